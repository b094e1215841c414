// SPDX-License-Identifier: BSD-3-Clause
/*
 * Types of samples and the casts between them.
 *
 * Runs on: any thread; the strings that a cast makes come from the caller's arena.
 * Follows: HAProxy's cast matrix (manual 7.1), where BOOL and SINT are one number, text becomes a
 * number by its leading digits, and an IPv6 address never becomes an integer.
 * Not here: converters (conv_*.c), which a user asks for by name.
 */
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

static const char *const type_names[T_NR] = {
	[T_ANY] = "any",
	[T_BOOL] = "boolean",
	[T_SINT] = "integer",
	[T_ADDR] = "address",
	[T_STR] = "string",
	[T_BIN] = "binary",
	[T_METH] = "method",
};

/* Rows: from; a bit for each type it may become. */
#define B(t) (1u << (t))
static const uint16_t cast_to[T_NR] = {
	[T_ANY] = B(T_ANY) | B(T_BOOL) | B(T_SINT) | B(T_ADDR) | B(T_STR) | B(T_BIN) | B(T_METH),
	[T_BOOL] = B(T_ANY) | B(T_BOOL) | B(T_SINT) | B(T_STR) | B(T_BIN),
	[T_SINT] = B(T_ANY) | B(T_BOOL) | B(T_SINT) | B(T_ADDR) | B(T_STR) | B(T_BIN),
	[T_ADDR] = B(T_ANY) | B(T_SINT) | B(T_ADDR) | B(T_STR) | B(T_BIN),
	[T_STR] = B(T_ANY) | B(T_BOOL) | B(T_SINT) | B(T_ADDR) | B(T_STR) | B(T_BIN) | B(T_METH),
	[T_BIN] = B(T_ANY) | B(T_STR) | B(T_BIN) | B(T_METH),
	[T_METH] = B(T_ANY) | B(T_STR) | B(T_BIN) | B(T_METH),
};
#undef B

static bool
text_from_int(struct sample *s, struct arena *mem)
{
	struct sl_buf b;
	char *p = arena_alloc(mem, 24);

	if (p == NULL)
		return false;
	sl_buf_init(&b, p, 24);
	sl_buf_i64(&b, s->i);
	s->s = sl_buf_str(&b);
	return true;
}

static bool
text_from_addr(struct sample *s, struct arena *mem)
{
	struct sl_buf b;
	char *p = arena_alloc(mem, 48);

	if (p == NULL)
		return false;
	sl_buf_init(&b, p, 48);
	addr_format(&b, &s->ip);
	s->s = sl_buf_str(&b);
	return true;
}

/*
 * Leading digits with an optional sign, as HAProxy: "12abc" is 12, "abc" is 0, and what does not
 * fit stays at the end of the range.
 */
static int64_t
int_from_text(struct sl_str s)
{
	const char *p = s.p, *end = s.p + s.len;
	bool neg = false;
	uint64_t n = 0, max = INT64_MAX;

	if (p < end && (*p == '-' || *p == '+')) {
		neg = *p == '-';
		p++;
		max += neg;
	}
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		uint64_t d = (uint64_t)(*p - '0');
		if (n > (max - d) / 10) {
			n = max;
			break;
		}
		n = n * 10 + d;
	}
	return neg ? (int64_t)(0 - n) : (int64_t)n;
}

static bool
int_from_addr(struct sample *s)
{
	if (s->ip.family != ADDR_V4)
		return false;
	const uint8_t *b = s->ip.b;
	s->i = (int64_t)((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]);
	return true;
}

static void
addr_from_int(struct sample *s)
{
	uint32_t n = (uint32_t)s->i;
	struct ip_addr ip = { .family = ADDR_V4 };

	ip.b[0] = (uint8_t)(n >> 24);
	ip.b[1] = (uint8_t)(n >> 16);
	ip.b[2] = (uint8_t)(n >> 8);
	ip.b[3] = (uint8_t)n;
	s->ip = ip;
}

static bool
bin_from_int(struct sample *s, struct arena *mem)
{
	uint64_t n = (uint64_t)s->i;
	char *p = arena_alloc(mem, 8);

	if (p == NULL)
		return false;
	for (int i = 7; i >= 0; i--, n >>= 8)
		p[i] = (char)(n & 0xff);
	s->s = sl_str_make(p, 8);
	return true;
}

static bool
bin_from_addr(struct sample *s, struct arena *mem)
{
	uint32_t len = s->ip.family == ADDR_V4 ? 4 : 16;
	char *p = arena_alloc(mem, len);

	if (p == NULL)
		return false;
	memcpy(p, s->ip.b, len);
	s->s = sl_str_make(p, len);
	return true;
}

static bool
to_str(struct sample *s, struct arena *mem)
{
	switch (s->type) {
	case T_BOOL:
	case T_SINT:
		return text_from_int(s, mem);
	case T_ADDR:
		return text_from_addr(s, mem);
	case T_BIN: {
		/* HAProxy cuts at the first NUL. */
		const char *nul = s->s.len ? memchr(s->s.p, 0, s->s.len) : NULL;
		if (nul != NULL)
			s->s.len = (uint32_t)(nul - s->s.p);
		return true;
	}
	default:
		return true; // T_METH holds its text
	}
}

static bool
to_bin(struct sample *s, struct arena *mem)
{
	if (s->type == T_SINT || s->type == T_BOOL)
		return bin_from_int(s, mem);
	if (s->type == T_ADDR)
		return bin_from_addr(s, mem);
	return true;
}

static bool
to_int(struct sample *s)
{
	if (s->type == T_ADDR)
		return int_from_addr(s);
	if (s->type == T_STR) {
		if (s->s.len == 0)
			return false; // HAProxy: nothing is no number, while "abc" is 0
		s->i = int_from_text(s->s);
	}
	return true;
}

static bool
to_addr(struct sample *s)
{
	struct ip_addr ip;

	if (s->type == T_SINT) {
		addr_from_int(s);
		return true;
	}
	if (addr_parse(s->s, &ip) < 0)
		return false;
	s->ip = ip;
	return true;
}

const char *
sample_type_name(enum sample_type t)
{
	return t < T_NR ? type_names[t] : "?";
}

bool
sample_can_cast(enum sample_type from, enum sample_type to)
{
	return from < T_NR && to < T_NR && (cast_to[from] >> to & 1);
}

bool
sample_cast(struct sample *s, enum sample_type to, struct arena *mem)
{
	bool ok;

	if (s->type == to || to == T_ANY)
		return true;
	if (s->type == T_ANY || !sample_can_cast(s->type, to))
		return false;
	switch (to) {
	case T_BOOL:
		ok = to_int(s);
		s->i = s->i != 0;
		break;
	case T_SINT:
		ok = to_int(s);
		break;
	case T_ADDR:
		ok = to_addr(s);
		break;
	case T_STR:
		ok = to_str(s, mem);
		break;
	case T_BIN:
		ok = to_bin(s, mem);
		break;
	case T_METH:
		s->meth = http_method_find(s->s);
		ok = true;
		break;
	default:
		ok = false;
		break;
	}
	if (ok)
		s->type = to;
	return ok;
}
