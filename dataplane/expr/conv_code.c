// SPDX-License-Identifier: BSD-3-Clause
/*
 * Converters between bytes and their textual codes: hex, base64, URL encoding.
 *
 * Runs on: workers and script threads; results come from the caller's arena.
 * Follows: RFC 4648, RFC 3986 2.1; HAProxy where both leave a choice (no result for malformed
 * input, '+' is a blank behind '?' only unless the text is a form).
 */
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

static const char upper_hex[] = "0123456789ABCDEF";
static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static bool
conv_hex(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem, uintptr_t priv sl_unused)
{
	char *p = arena_alloc(mem, (size_t)s->s.len * 2);

	if (p == NULL)
		return false;
	for (uint32_t i = 0; i < s->s.len; i++) {
		p[2 * i] = upper_hex[(unsigned char)s->s.p[i] >> 4];
		p[2 * i + 1] = upper_hex[s->s.p[i] & 15];
	}
	s->s = sl_str_make(p, (size_t)s->s.len * 2);
	s->type = T_STR;
	return true;
}

static bool
conv_hex2i(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	uint64_t n = 0;

	if (s->s.len == 0)
		return false;
	for (uint32_t i = 0; i < s->s.len; i++) {
		int d = sl_hex_value(s->s.p[i]);
		if (d < 0)
			return false;
		n = n << 4 | (uint64_t)d;
	}
	s->type = T_SINT;
	s->i = (int64_t)n;
	return true;
}

static bool
conv_base64(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem, uintptr_t priv sl_unused)
{
	const unsigned char *in = (const unsigned char *)s->s.p;
	uint32_t n = s->s.len, at = 0;
	char *p = arena_alloc(mem, ((size_t)n + 2) / 3 * 4);

	if (p == NULL)
		return false;
	for (uint32_t i = 0; i < n; i += 3) {
		uint32_t left = n - i;
		uint32_t w = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
			(left > 2 ? in[i + 2] : 0);
		p[at++] = b64[w >> 18];
		p[at++] = b64[w >> 12 & 63];
		p[at++] = left > 1 ? b64[w >> 6 & 63] : '=';
		p[at++] = left > 2 ? b64[w & 63] : '=';
	}
	s->s = sl_str_make(p, at);
	s->type = T_STR;
	return true;
}

static int
b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool
conv_b64dec(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem, uintptr_t priv sl_unused)
{
	struct sl_str t = s->s;
	uint32_t pad = 0, at = 0;

	if (t.len % 4 != 0)
		return false;
	while (pad < 2 && t.len > pad && t.p[t.len - 1 - pad] == '=')
		pad++;
	char *p = arena_alloc(mem, (size_t)t.len / 4 * 3);
	if (p == NULL)
		return false;
	for (uint32_t i = 0; i < t.len; i += 4) {
		uint32_t w = 0;
		for (uint32_t k = i; k < i + 4; k++) {
			int d = k >= t.len - pad ? 0 : b64_value(t.p[k]);
			if (d < 0)
				return false;
			w = w << 6 | (uint32_t)d;
		}
		p[at++] = (char)(w >> 16);
		p[at++] = (char)(w >> 8 & 255);
		p[at++] = (char)(w & 255);
	}
	s->s = sl_str_make(p, at - pad);
	s->type = T_BIN;
	return true;
}

static bool
conv_url_dec(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args,
	struct arena *mem, uintptr_t priv sl_unused)
{
	bool form = args[0].type == ARG_SINT && args[0].i != 0;
	struct sl_str t = s->s;
	char *p = arena_alloc(mem, t.len);
	uint32_t at = 0;

	if (p == NULL)
		return false;
	for (uint32_t i = 0; i < t.len; i++) {
		char c = t.p[i];
		if (c == '%') {
			int hi = i + 2 < t.len ? sl_hex_value(t.p[i + 1]) : -1;
			int lo = i + 2 < t.len ? sl_hex_value(t.p[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return false;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && form) {
			c = ' ';
		} else if (c == '?') {
			form = true;
		}
		p[at++] = c;
	}
	s->s = sl_str_make(p, at);
	return true;
}

/* RFC 3986 2.3. */
static bool
is_unreserved(char c)
{
	char l = sl_lower(c);

	return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		c == '.' || c == '~';
}

static bool
conv_url_enc(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem, uintptr_t priv sl_unused)
{
	char *p = arena_alloc(mem, (size_t)s->s.len * 3);
	uint32_t at = 0;

	if (p == NULL)
		return false;
	for (uint32_t i = 0; i < s->s.len; i++) {
		char c = s->s.p[i];
		if (is_unreserved(c)) {
			p[at++] = c;
			continue;
		}
		p[at++] = '%';
		p[at++] = upper_hex[(unsigned char)c >> 4];
		p[at++] = upper_hex[c & 15];
	}
	s->s = sl_str_make(p, at);
	return true;
}

static const char *
check_url_enc(const struct arg *args)
{
	if (args[0].type == ARG_END || sl_str_eq(args[0].s, SL_STR("query")))
		return NULL;
	return "unexpected encode type; the allowed value is 'query'";
}

// clang-format off
SL_CONVERTERS(
	{ "hex",     conv_hex,     SL_NOARGS, T_BIN, T_STR, WHERE_PURE,
		"two upper-case hex digits per byte" },
	{ "hex2i",   conv_hex2i,   SL_NOARGS, T_STR, T_SINT, WHERE_PURE,
		"number written in hex digits" },
	{ "base64",  conv_base64,  SL_NOARGS, T_BIN, T_STR, WHERE_PURE, "base64 text of bytes" },
	{ "b64dec",  conv_b64dec,  SL_NOARGS, T_STR, T_BIN, WHERE_PURE, "bytes of base64 text" },
	{ "url_dec", conv_url_dec, SL_ARGS(0, ARG_SINT), T_STR, T_STR, WHERE_PURE,
		"URL-decoded text; 1: of a form" },
	{ "url_enc", conv_url_enc, SL_ARGS(0, ARG_STR), T_STR, T_STR, WHERE_PURE,
		"URL-encoded text", .check = check_url_enc },
);
// clang-format on
