/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Strings as (pointer, length): never NUL-terminated by contract, never owned by the struct.
 * All functions are pure and safe on any thread.
 */
#pragma once

#include "dataplane/base/base.h"

struct sl_str {
	const char *p;
	uint32_t len;
};

#define SL_STR(lit) ((struct sl_str){ .p = (lit), .len = sizeof(lit) - 1 })
#define SL_STR_NULL ((struct sl_str){ .p = NULL, .len = 0 })
/* For printf("%.*s"). */
#define SL_STR_ARG(s) (int)(s).len, (s).p

static inline struct sl_str
sl_str_make(const char *p, size_t len)
{
	return (struct sl_str){ .p = p, .len = (uint32_t)len };
}

/* From a C string; NULL gives the empty string. */
struct sl_str sl_str_c(const char *c);

bool sl_str_eq(struct sl_str a, struct sl_str b);
/* ASCII case-insensitive. */
bool sl_str_ieq(struct sl_str a, struct sl_str b);
bool sl_str_starts(struct sl_str s, struct sl_str prefix, bool icase);
bool sl_str_ends(struct sl_str s, struct sl_str suffix, bool icase);
/* Index of the first occurrence of needle, or -ENOENT. */
int sl_str_find(struct sl_str s, struct sl_str needle, bool icase);
/* Index of byte c, or -ENOENT. */
int sl_str_chr(struct sl_str s, char c);
/* Without leading and trailing space and tab (HTTP OWS). */
struct sl_str sl_str_trim(struct sl_str s);
/* Order as memcmp, shorter first on a tie. */
int sl_str_cmp(struct sl_str a, struct sl_str b);
/*
 * Cuts the part before the first `sep` off *rest and returns it; without sep the whole rest.
 * *rest becomes {NULL, 0} once exhausted.
 */
struct sl_str sl_str_cut(struct sl_str *rest, char sep);
/* Decimal, whole string: 0 or -EINVAL (not a number) / -ERANGE. */
int sl_str_u64(struct sl_str s, uint64_t *out);
int sl_str_i64(struct sl_str s, int64_t *out);

static inline char
sl_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* What a hexadecimal digit of either case is worth, or -1. */
static inline int
sl_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = sl_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
