// SPDX-License-Identifier: BSD-3-Clause
/*
 * Numbers, times, sizes and names of the configuration language.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 2.5. Stricter than HAProxy on
 * purpose: "3x" where a number is expected is an error everywhere, not sometimes a 3.
 */
#include "control/conf/conf_priv.h"

/* Digits at the beginning; returns how many, *out saturates. */
static uint32_t
digits(struct sl_str s, uint64_t *out)
{
	uint32_t i = 0;
	uint64_t n = 0;

	for (; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
		if (n < UINT64_MAX / 100)
			n = n * 10 + (uint64_t)(s.p[i] - '0');
	}
	*out = n;
	return i;
}

int
unit_time(struct sl_str s, uint32_t *ms, char *bad)
{
	static const struct {
		const char *name;
		uint64_t mul, div;
	} unit[] = { { "", 1, 1 }, { "us", 1, 1000 }, { "ms", 1, 1 }, { "s", 1000, 1 },
		{ "m", 60000, 1 }, { "h", 3600000, 1 }, { "d", 86400000, 1 } };
	uint64_t n;
	uint32_t used = digits(s, &n);
	struct sl_str rest = sl_str_make(s.p + used, s.len - used);

	*bad = s.len == 0 ? '\0' : s.p[used < s.len ? used : s.len - 1];
	if (used == 0)
		return -EINVAL;
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(unit); i++) {
		if (!sl_str_eq(rest, sl_str_c(unit[i].name)))
			continue;
		if (n > (uint64_t)UNIT_MAX_MS * unit[i].div / unit[i].mul)
			return -ERANGE;
		*ms = (uint32_t)((n * unit[i].mul + unit[i].div - 1) / unit[i].div);
		return 0;
	}
	return -EINVAL;
}

int
unit_size(struct sl_str s, uint64_t *out)
{
	uint64_t n;
	uint32_t used = digits(s, &n), shift = 0;

	if (used == 0 || s.len > used + 1)
		return -EINVAL;
	if (s.len == used + 1) {
		char ch = sl_lower(s.p[used]);

		shift = ch == 'k' ? 10 : ch == 'm' ? 20 : ch == 'g' ? 30 : 0;
		if (shift == 0)
			return -EINVAL;
	}
	if (n > (UINT64_MAX / 100) >> shift)
		return -ERANGE;
	*out = n << shift;
	return 0;
}

int
conf_number(
	struct conf *c, const char *kw, struct sl_str s, uint64_t min, uint64_t max, uint64_t *out)
{
	int64_t n;
	int rc = sl_str_i64(s, &n);

	if (rc == -EINVAL) {
		conf_error(c, "'%s' expects an integer argument, got '%.*s'.", kw, SL_STR_ARG(s));
		return -EINVAL;
	}
	if (rc < 0 || n < 0 || (uint64_t)n < min || (uint64_t)n > max) {
		conf_error(c, "'%s' value must be between %llu and %llu (was %.*s)", kw,
			(unsigned long long)min, (unsigned long long)max, SL_STR_ARG(s));
		return -EINVAL;
	}
	*out = (uint64_t)n;
	return 0;
}

int
conf_global_number(struct conf *c, const struct conf_args *a, uint64_t min, uint64_t max)
{
	uint32_t *out = (uint32_t *)(void *)((uint8_t *)&c->m->global + a->priv);
	uint64_t n;

	if (conf_number(c, a->kw, a->word[0], min, max, &n) < 0)
		return -EINVAL;
	*out = (uint32_t)n;
	return 0;
}

int
conf_time(struct conf *c, const char *kw, struct sl_str s, uint32_t *ms)
{
	char bad;
	int rc = unit_time(s, ms, &bad);

	if (rc == -ERANGE) {
		conf_error(c,
			"timer overflow in argument '%.*s' to '%s' (maximum value is %u ms or "
			"~24.8 days)",
			SL_STR_ARG(s), kw, UNIT_MAX_MS);
	} else if (rc < 0) {
		conf_error(c,
			"unexpected character '%c' in '%s': '%.*s' is no time (an integer and one "
			"of us, ms, s, m, h, d).",
			bad == '\0' ? ' ' : bad, kw, SL_STR_ARG(s));
	}
	return rc;
}

static bool
is_name_char(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
		ch == '-' || ch == '_' || ch == '.' || ch == ':';
}

int
conf_name(struct conf *c, const char *what, struct sl_str s)
{
	if (s.len == 0) {
		conf_error(c, "an empty word is no %s name.", what);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < s.len; i++) {
		char ch = s.p[i];

		if (is_name_char(ch))
			continue;
		if (ch >= ' ' && ch < 0x7f)
			conf_error(c, "character '%c' is not permitted in %s name '%.*s'.", ch,
				what, SL_STR_ARG(s));
		else // of a longer sequence: a part of it would not be text
			conf_error(c, "character '\\x%02x' is not permitted in %s name '%.*s'.",
				(uint8_t)ch, what, SL_STR_ARG(s));
		return -EINVAL;
	}
	return 0;
}

struct sl_str
conf_copy(struct conf *c, struct sl_str s)
{
	struct sl_str out = arena_str(&c->mem, s);

	if (out.p == NULL) {
		conf_nomem(c);
		return SL_STR("");
	}
	return out;
}

const struct sl_str *
conf_words(struct conf *c, const struct sl_str *word, uint32_t n)
{
	struct sl_str *out = arena_alloc(&c->tmp, sizeof(*out) * (n + 1));

	if (out == NULL) {
		(void)conf_nomem(c);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		out[i] = word[i];
	return out;
}
