/* SPDX-License-Identifier: BSD-3-Clause */
/* Hash functions: keyed for tables that clients can reach, plain for the rest. */
#pragma once

#include "dataplane/base/base.h"
#include "dataplane/base/str.h"

/* SipHash-2-4 with a 128-bit key: RFC 6528 ISNs, flow tables, cookies. */
uint64_t hash_sip(const uint64_t key[2], const void *data, size_t len);
/* FNV-1a, for names at configuration time. */
uint32_t hash_fnv(struct sl_str s);
/* Those of HAProxy, bit for bit, so that both choose the same server for a key. Not for security. */
uint32_t hash_crc32(struct sl_str s);
uint32_t hash_djb2(struct sl_str s);
uint32_t hash_sdbm(struct sl_str s);
uint32_t hash_wt6(struct sl_str s);
/* Every input bit changes about half of the output. */
uint32_t hash_avalanche(uint32_t a);
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
