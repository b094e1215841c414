// SPDX-License-Identifier: BSD-3-Clause
/*
 * Argument lists of fetch methods and converters: from "(a,b)" to typed values.
 *
 * Runs on: the thread that loads a configuration; expr_args_convert() also on script threads.
 * Follows: HAProxy's manual 2.2: a second level of quoting inside parentheses, where quotes protect
 * commas and parentheses and a backslash escapes quotes, blanks, itself and makes \n \r \t.
 */
#include "dataplane/expr/expr_priv.h"
#include "dataplane/expr/regex.h"

static const char *const arg_names[] = {
	[ARG_END] = "nothing",
	[ARG_SINT] = "integer",
	[ARG_STR] = "string",
	[ARG_TIME] = "time",
	[ARG_NET] = "network",
	[ARG_VAR] = "variable",
	[ARG_INTVAR] = "integer or variable",
	[ARG_IP] = "IP address",
	[ARG_MAP] = "file",
	[ARG_IP4] = "IPv4 address",
	[ARG_IP6] = "IPv6 address",
	[ARG_MASK4] = "IPv4 mask",
	[ARG_MASK6] = "IPv6 mask",
	[ARG_REG] = "regex",
};

static uint32_t
spec_count(const struct arg_spec *spec)
{
	uint32_t n = 0;

	while (n < EXPR_MAX_ARGS && spec->type[n] != ARG_END)
		n++;
	return n;
}

/* "expects 1 to 2 arguments: string, integer" */
static void
say_expected(const struct arg_spec *spec, struct sl_buf *why)
{
	uint32_t max = spec_count(spec);

	if (max == 0) {
		sl_buf_addc(why, "expects no argument");
		return;
	}
	sl_buf_addc(why, "expects ");
	if (spec->min != max) {
		sl_buf_u64(why, spec->min);
		sl_buf_addc(why, " to ");
	}
	sl_buf_u64(why, max);
	sl_buf_addc(why, max == 1 ? " argument: " : " arguments: ");
	for (uint32_t i = 0; i < max; i++) {
		sl_buf_addc(why, i == 0 ? "" : ", ");
		sl_buf_addc(why, arg_names[spec->type[i]]);
	}
}

static int
parse_time(struct sl_str t, int64_t *ms)
{
	static const struct {
		struct sl_str unit;
		int64_t num, den;
	} units[] = {
		{ { "us", 2 }, 1, 1000 },
		{ { "ms", 2 }, 1, 1 },
		{ { "s", 1 }, 1000, 1 },
		{ { "m", 1 }, 60000, 1 },
		{ { "h", 1 }, 3600000, 1 },
		{ { "d", 1 }, 86400000, 1 },
		{ { "", 0 }, 1, 1 },
	};
	struct sl_str unit = t;
	uint64_t n;

	while (unit.len != 0 && *unit.p >= '0' && *unit.p <= '9') {
		unit.p++;
		unit.len--;
	}
	if (sl_str_u64(sl_str_make(t.p, t.len - unit.len), &n) < 0 || n > INT32_MAX)
		return -EINVAL;
	for (size_t i = 0; i < SL_ARRAY_SIZE(units); i++) {
		if (sl_str_eq(units[i].unit, unit)) {
			int64_t up = (int64_t)n * units[i].num + units[i].den - 1;
			*ms = up / units[i].den;
			return 0;
		}
	}
	return -EINVAL;
}

static int
parse_family(struct sl_str t, uint8_t family, struct ip_net *out)
{
	if (addr_parse(t, &out->ip) < 0 || out->ip.family != family)
		return -EINVAL;
	out->prefix = family == ADDR_V4 ? 32 : 128;
	return 0;
}

/* A prefix length or the bits themselves. */
static int
parse_mask(struct sl_str t, uint8_t family, struct ip_net *out)
{
	uint32_t bits = family == ADDR_V4 ? 32 : 128;
	uint64_t n;

	if (sl_str_u64(t, &n) < 0)
		return parse_family(t, family, out);
	if (n > bits)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	out->ip.family = family;
	out->prefix = (uint8_t)n;
	for (uint32_t i = 0; i < n; i++)
		out->ip.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
	return 0;
}

static int
parse_var(struct sl_str t, struct arena *mem, struct arg *out)
{
	struct sl_str name;

	if (var_parse_name(t, &out->scope, &name) < 0)
		return -EINVAL;
	out->type = ARG_VAR;
	out->s = arena_str(mem, name);
	return out->s.p == NULL ? -ENOMEM : 0;
}

static int
convert_one(enum arg_type want, struct sl_str t, struct arena *mem, struct arg *out)
{
	out->type = want;
	switch (want) {
	case ARG_SINT:
		return sl_str_i64(t, &out->i);
	case ARG_STR:
	case ARG_MAP:
		out->s = arena_str(mem, t);
		return out->s.p == NULL ? -ENOMEM : 0;
	case ARG_TIME:
		return parse_time(t, &out->i);
	case ARG_NET:
		return addr_parse_net(t, &out->net);
	case ARG_VAR:
		return parse_var(t, mem, out);
	case ARG_INTVAR:
		if (sl_str_i64(t, &out->i) < 0)
			return parse_var(t, mem, out);
		out->type = ARG_SINT;
		return 0;
	case ARG_IP:
		out->type = ARG_NET;
		return addr_parse(t, &out->net.ip);
	case ARG_IP4:
	case ARG_IP6:
		out->type = ARG_NET;
		return parse_family(t, want == ARG_IP4 ? ADDR_V4 : ADDR_V6, &out->net);
	case ARG_MASK4:
	case ARG_MASK6:
		out->type = ARG_NET;
		return parse_mask(t, want == ARG_MASK4 ? ADDR_V4 : ADDR_V6, &out->net);
	default:
		return -EINVAL;
	}
}

static void
say_bad(enum arg_type want, struct sl_str t, uint32_t pos, struct sl_buf *why)
{
	if (want == ARG_VAR) {
		sl_buf_addc(why, "invalid variable name '");
		sl_buf_add(why, t);
		sl_buf_addc(why,
			"': a name starts with its scope ('proc', 'sess', 'txn', 'req' or 'res')"
			" and a dot, then letters, digits, '.' and '_'");
		return;
	}
	sl_buf_addc(why, "failed to parse '");
	sl_buf_add(why, t);
	sl_buf_addc(why, "' as type '");
	sl_buf_addc(why, arg_names[want]);
	sl_buf_addc(why, "' at position ");
	sl_buf_u64(why, pos + 1);
}

static int
parse_regex(struct sl_str t, struct sl_str flags, struct arena *mem, struct arg *out,
	struct sl_buf *why)
{
	out->type = ARG_REG;
	return regex_new_in(mem, t, sl_str_chr(flags, 'i') >= 0, &out->re, why);
}

int
expr_args_convert(const struct arg_spec *spec, const struct sl_str *text, uint32_t n,
	struct arena *mem, struct arg *out, struct sl_buf *why)
{
	uint32_t max = spec_count(spec);

	for (uint32_t i = 0; i <= EXPR_MAX_ARGS; i++)
		out[i] = (struct arg){ .type = ARG_END };
	/* "src()" has no argument, "str()" an empty one. */
	if (n == 1 && text[0].len == 0 && spec->min == 0)
		n = 0;
	if (n < spec->min || n > max) {
		say_expected(spec, why);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < n; i++) {
		enum arg_type want = (enum arg_type)spec->type[i];
		if (text[i].len == 0 && want != ARG_STR) {
			if (i >= spec->min)
				continue; // left out: "concat(a,,b)"
			say_expected(spec, why);
			return -EINVAL;
		}
		int rc;
		if (want == ARG_REG)
			rc = parse_regex(text[i], i + 2 < n ? text[i + 2] : SL_STR(""), mem,
				&out[i], why);
		else
			rc = convert_one(want, text[i], mem, &out[i]);
		if (rc == -ENOMEM)
			return rc;
		if (rc < 0 && want == ARG_REG)
			return -EINVAL;
		if (rc < 0) {
			say_bad(want, text[i], i, why);
			return -EINVAL;
		}
	}
	return 0;
}

/* ---- cutting ---- */

/* Copies one argument without its quotes to *out; stops at ',' or ')' or the end. */
static int
cut_arg(struct expr_lex *lx, char **out)
{
	char quote = 0;

	for (; lx->p < lx->end; lx->p++) {
		char c = *lx->p;
		if (quote == 0 && (c == ',' || c == ')'))
			return 0;
		if ((c == '"' || c == '\'') && (quote == 0 || quote == c)) {
			quote = quote == 0 ? c : 0;
			continue;
		}
		if (c == '\\' && quote != '\'' && lx->p + 1 < lx->end) {
			char next = lx->p[1];
			const char *at = memchr("nrt\\'\" ", next, 7);
			if (at != NULL && next != 0) {
				c = next == 'n'       ? '\n'
					: next == 'r' ? '\r'
					: next == 't' ? '\t'
						      : next;
				lx->p++;
			}
		}
		*(*out)++ = c;
	}
	return quote != 0 ? -EINVAL : 0;
}

int
arg_lex(const struct expr_comp *e, struct expr_lex *lx, struct sl_str who, const char *what,
	struct sl_str *text, uint32_t *n)
{
	*n = 0;
	if (lx->p == lx->end || *lx->p != '(')
		return 0;
	const char *start = ++lx->p;
	char *out = arena_alloc(e->mem, (size_t)(lx->end - lx->p) + 1);
	if (out == NULL)
		return expr_nomem(e);
	for (;;) {
		char *from = out;
		if (*n == EXPR_MAX_ARGS)
			return expr_error(
				e, who, "%s '%.*s': too many arguments", what, SL_STR_ARG(who));
		if (cut_arg(lx, &out) < 0)
			return expr_error(e, who, "%s '%.*s': unmatched quote in '(%.*s'", what,
				SL_STR_ARG(who), (int)sl_min(lx->end - start, 80), start);
		text[(*n)++] = sl_str_make(from, (size_t)(out - from));
		if (lx->p == lx->end)
			return expr_error(e, who, "%s '%.*s': expected ')' after '(%.*s'", what,
				SL_STR_ARG(who), (int)sl_min(lx->end - start, 80), start);
		if (*lx->p++ == ')')
			return 0;
	}
}
