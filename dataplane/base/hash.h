/* SPDX-License-Identifier: BSD-3-Clause */
/* Hash functions: keyed for tables that clients can reach, plain for the rest. */
#pragma once

#include "dataplane/base/base.h"
#include "dataplane/base/str.h"

/* SipHash-2-4 with a 128-bit key: RFC 6528 ISNs, flow tables, cookies. */
uint64_t hash_sip(const uint64_t key[2], const void *data, size_t len);
/* FNV-1a, for names at configuration time. */
uint32_t hash_fnv(struct sl_str s);
/* Mixes 64 bits (splitmix64 finaliser). */
static inline uint64_t
hash_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}
