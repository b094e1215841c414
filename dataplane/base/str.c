// SPDX-License-Identifier: BSD-3-Clause
/*
 * Strings as (pointer, length): comparison, search, cutting, decimal numbers.
 *
 * Runs on: any thread; pure. Case folding is ASCII only, as HTTP and HAProxy's language want it.
 * Not here: building text (buf.c).
 */
#include "dataplane/base/str.h"

struct sl_str
sl_str_c(const char *c)
{
	if (c == NULL)
		return (struct sl_str){ .p = "", .len = 0 };
	return sl_str_make(c, strlen(c));
}

static inline uint64_t
load64(const char *p)
{
	uint64_t x;

	memcpy(&x, p, 8);
	return x;
}

static inline uint32_t
load32(const char *p)
{
	uint32_t x;

	memcpy(&x, p, 4);
	return x;
}

/* Eight bytes at once: they may differ only in bit 5, and there only where both are letters. */
static inline bool
eq_nocase8(uint64_t a, uint64_t b)
{
	const uint64_t ones = 0x0101010101010101ull;
	uint64_t diff = a ^ b, low = (a | 0x20 * ones) & 0x7f * ones;
	uint64_t from_a = low + (0x80 - 'a') * ones, above_z = low + (0x80 - 'z' - 1) * ones;
	uint64_t letters = from_a & ~above_z & ~a;

	return (diff & ~(0x20 * ones)) == 0 && ((diff << 2) & ~letters & 0x80 * ones) == 0;
}

/* Field names are compared per request: the ends overlap instead of going byte by byte. */
static bool
eq_nocase(const char *a, const char *b, uint32_t len)
{
	if (len >= 8) {
		for (uint32_t i = 0; i + 8 < len; i += 8) {
			if (!eq_nocase8(load64(a + i), load64(b + i)))
				return false;
		}
		return eq_nocase8(load64(a + len - 8), load64(b + len - 8));
	}
	if (len >= 4)
		return eq_nocase8((uint64_t)load32(a) << 32 | load32(a + len - 4),
			(uint64_t)load32(b) << 32 | load32(b + len - 4));
	for (uint32_t i = 0; i < len; i++) {
		if (sl_lower(a[i]) != sl_lower(b[i]))
			return false;
	}
	return true;
}

/* memcmp() must not see NULL, not even for no bytes. */
static bool
eq_bytes(const char *a, const char *b, uint32_t len, bool icase)
{
	if (len == 0)
		return true;
	return icase ? eq_nocase(a, b, len) : memcmp(a, b, len) == 0;
}

bool
sl_str_eq(struct sl_str a, struct sl_str b)
{
	return a.len == b.len && eq_bytes(a.p, b.p, a.len, false);
}

bool
sl_str_ieq(struct sl_str a, struct sl_str b)
{
	return a.len == b.len && eq_bytes(a.p, b.p, a.len, true);
}

bool
sl_str_starts(struct sl_str s, struct sl_str prefix, bool icase)
{
	return s.len >= prefix.len && eq_bytes(s.p, prefix.p, prefix.len, icase);
}

bool
sl_str_ends(struct sl_str s, struct sl_str suffix, bool icase)
{
	if (s.len < suffix.len)
		return false;
	return suffix.len == 0 || eq_bytes(s.p + (s.len - suffix.len), suffix.p, suffix.len, icase);
}

int
sl_str_find(struct sl_str s, struct sl_str needle, bool icase)
{
	if (needle.len == 0)
		return 0;
	if (needle.len > s.len)
		return -ENOENT;
	if (!icase) {
		const char *hit = memmem(s.p, s.len, needle.p, needle.len);
		return hit == NULL ? -ENOENT : (int)(hit - s.p);
	}
	for (uint32_t i = 0; i <= s.len - needle.len; i++) {
		if (eq_nocase(s.p + i, needle.p, needle.len))
			return (int)i;
	}
	return -ENOENT;
}

int
sl_str_chr(struct sl_str s, char c)
{
	const char *hit = s.len == 0 ? NULL : memchr(s.p, c, s.len);

	return hit == NULL ? -ENOENT : (int)(hit - s.p);
}

struct sl_str
sl_str_trim(struct sl_str s)
{
	while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

int
sl_str_cmp(struct sl_str a, struct sl_str b)
{
	uint32_t len = sl_min(a.len, b.len);
	int diff = len == 0 ? 0 : memcmp(a.p, b.p, len);

	if (diff != 0)
		return diff;
	return a.len < b.len ? -1 : a.len > b.len;
}

struct sl_str
sl_str_cut(struct sl_str *rest, char sep)
{
	struct sl_str head = *rest;
	int at = sl_str_chr(head, sep);

	if (at < 0) {
		*rest = SL_STR_NULL;
		return head;
	}
	head.len = (uint32_t)at;
	*rest = sl_str_make(rest->p + at + 1, rest->len - (uint32_t)at - 1);
	return head;
}

int
sl_str_u64(struct sl_str s, uint64_t *out)
{
	uint64_t n = 0;

	if (s.len == 0)
		return -EINVAL;
	for (uint32_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
	}
	for (uint32_t i = 0; i < s.len; i++) {
		if (__builtin_mul_overflow(n, 10u, &n) ||
			__builtin_add_overflow(n, (uint64_t)(s.p[i] - '0'), &n))
			return -ERANGE;
	}
	*out = n;
	return 0;
}

int
sl_str_i64(struct sl_str s, int64_t *out)
{
	bool neg = s.len > 0 && s.p[0] == '-';
	uint64_t n;
	int rc;

	if (neg || (s.len > 0 && s.p[0] == '+')) {
		s.p++;
		s.len--;
	}
	rc = sl_str_u64(s, &n);
	if (rc < 0)
		return rc;
	if (n > (uint64_t)INT64_MAX + (neg ? 1 : 0))
		return -ERANGE;
	*out = neg ? (int64_t)(0 - n) : (int64_t)n;
	return 0;
}
