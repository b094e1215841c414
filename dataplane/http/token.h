/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Character classes of HTTP and fast scans over them. Private to dataplane/http.
 *
 * A scan returns the first byte that is not of the class, or `end`. It reads nothing outside
 * [lo, end): the last block is loaded so that it ends at `end`, which is why it wants to know how
 * far back it may reach. The wide and the byte-wise twin are both built always, and tested equal.
 */
#pragma once

#include <nmmintrin.h>

#include "dataplane/base/base.h"
#include "dataplane/base/str.h"

#define HTTP_C_TOKEN  0x01 // RFC 9110 5.6.2 tchar
#define HTTP_C_TARGET 0x02 // visible ASCII without '#': what a request-target may hold
#define HTTP_C_VALUE  0x04 // RFC 9110 5.5 field-vchar, SP and HTAB
#define HTTP_C_HOST   0x08 // of a host's name; no ',' so that a list of hosts is refused
#define HTTP_C_HEX    0x10
#define HTTP_C_DIGIT  0x20
#define HTTP_C_ALPHA  0x40

extern const uint8_t http_class[256];

static inline bool
http_is(char c, uint8_t class)
{
	return (http_class[(uint8_t)c] & class) != 0;
}

static inline const char *
scan_bytes(const char *p, const char *end, uint8_t class)
{
	while (p < end && http_is(*p, class))
		p++;
	return p;
}

/*
 * Set membership by nibbles: bit h of by_low[l] says that the byte h*16+l is in the set. Bytes from
 * 0x80 have no bit. A bit for each byte that is not.
 */
static inline __attribute__((always_inline)) uint32_t
not_among(__m128i v, __m128i by_low)
{
	const __m128i by_high =
		_mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0);
	const __m128i nibble = _mm_set1_epi8(0x0f);
	__m128i low = _mm_shuffle_epi8(by_low, _mm_and_si128(v, nibble));
	__m128i high = _mm_shuffle_epi8(by_high, _mm_and_si128(_mm_srli_epi16(v, 4), nibble));
	__m128i none = _mm_cmpeq_epi8(_mm_and_si128(low, high), _mm_setzero_si128());

	return (uint32_t)_mm_movemask_epi8(none);
}

/* What is no tchar. */
static inline __attribute__((always_inline)) uint32_t
bad_token(__m128i v)
{
	const __m128i by_low = _mm_setr_epi8((char)0xe8, (char)0xfc, (char)0xf8, (char)0xfc,
		(char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xf8, (char)0xf8, (char)0xf4,
		(char)0x54, (char)0xd0, (char)0x54, (char)0xf4, (char)0x70);

	return not_among(v, by_low);
}

/* Below 0x20 except HTAB, and DEL. */
static inline __attribute__((always_inline)) uint32_t
bad_value(__m128i v)
{
	__m128i ctl = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
	__m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
	__m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));

	return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, ctl), del));
}

/* Up to 0x20 or from 0x80 (negative as signed bytes), DEL, and '#'. */
static inline __attribute__((always_inline)) uint32_t
bad_target(__m128i v)
{
	__m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x21));
	__m128i hash = _mm_cmpeq_epi8(v, _mm_set1_epi8('#'));
	__m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));

	return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, hash), del));
}

/* What may not stand in a host's name; as not_among(). */
static inline __attribute__((always_inline)) uint32_t
bad_host(__m128i v)
{
	const __m128i by_low = _mm_setr_epi8((char)0xa8, (char)0xfc, (char)0xf8, (char)0xf8,
		(char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xf4,
		(char)0x5c, (char)0x50, (char)0x5c, (char)0xd4, (char)0x70);

	return not_among(v, by_low);
}

static inline __m128i
load16(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __attribute__((always_inline)) const char *
scan_wide(const char *p, const char *end, const char *lo, uint32_t (*bad16)(__m128i), uint8_t class)
{
	uint32_t bad, left;

	while (end - p >= 16) {
		bad = bad16(load16(p));
		if (bad != 0)
			return p + __builtin_ctz(bad);
		p += 16;
	}
	left = (uint32_t)(end - p);
	if (end - lo < 16 || left == 0)
		return scan_bytes(p, end, class);
	bad = bad16(load16(end - 16)) >> (16 - left);
	return bad != 0 ? p + __builtin_ctz(bad) : end;
}

static inline const char *
scan_token(const char *p, const char *end, const char *lo)
{
	return scan_wide(p, end, lo, bad_token, HTTP_C_TOKEN);
}

static inline const char *
scan_value(const char *p, const char *end, const char *lo)
{
	return scan_wide(p, end, lo, bad_value, HTTP_C_VALUE);
}

static inline const char *
scan_target(const char *p, const char *end, const char *lo)
{
	return scan_wide(p, end, lo, bad_target, HTTP_C_TARGET);
}

/*
 * Is a token of n bytes this name (a literal in lower case: letters and '-')? Among the bytes of tokens
 * only a letter becomes a letter, and only '-' becomes '-', where bit 5 is set.
 */
static inline __attribute__((always_inline)) bool
is_token_named(const char *p, const char *name, uint32_t n)
{
	uint64_t a, b, bits = 0x2020202020202020ull;
	uint32_t c, d;

	if (n < 8) {
		memcpy(&c, p, 4);
		memcpy(&d, p + n - 4, 4);
		a = c | (uint64_t)d << 32;
		memcpy(&c, name, 4);
		memcpy(&d, name + n - 4, 4);
		return (a | bits) == (c | (uint64_t)d << 32);
	}
	for (uint32_t i = 0; i < n; i += 8) {
		uint32_t at = sl_min(i, n - 8);

		memcpy(&a, p + at, 8);
		memcpy(&b, name + at, 8);
		if ((a | bits) != b)
			return false;
	}
	return true;
}

/*
 * Is none of the bytes bad? Their order does not matter, so a short text is taken in pieces that
 * overlap, and nothing outside of it is read.
 */
static inline __attribute__((always_inline)) bool
none_of(struct sl_str s, uint32_t (*bad16)(__m128i))
{
	uint64_t a, b;
	uint32_t c, d;

	if (s.len >= 16) {
		for (uint32_t i = 0; i + 16 < s.len; i += 16) {
			if (bad16(load16(s.p + i)) != 0)
				return false;
		}
		return bad16(load16(s.p + s.len - 16)) == 0;
	}
	if (s.len >= 8) {
		memcpy(&a, s.p, 8);
		memcpy(&b, s.p + s.len - 8, 8);
		return bad16(_mm_set_epi64x((int64_t)a, (int64_t)b)) == 0;
	}
	if (s.len >= 4) {
		memcpy(&c, s.p, 4);
		memcpy(&d, s.p + s.len - 4, 4);
	} else if (s.len > 0) {
		c = (uint8_t)s.p[0] * 0x01010101u;
		d = (uint8_t)s.p[s.len / 2] * 0x0101u | (uint32_t)(uint8_t)s.p[s.len - 1] << 16 |
			(uint32_t)(uint8_t)s.p[0] << 24;
	} else {
		return true;
	}
	return bad16(_mm_set1_epi64x((int64_t)(c | (uint64_t)d << 32))) == 0;
}
