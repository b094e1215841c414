/* SPDX-License-Identifier: BSD-3-Clause */
/* Per-owner pseudo random numbers (xoshiro256**); seeded from the kernel, or by a test. */
#pragma once

#include "dataplane/base/base.h"
#include "dataplane/base/hash.h"

struct sl_rand {
	uint64_t s[4];
};

static inline void
rand_seed(struct sl_rand *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		seed += 0x9e3779b97f4a7c15ull;
		r->s[i] = hash_mix(seed);
	}
}

static inline uint64_t
rand_u64(struct sl_rand *r)
{
	uint64_t *s = r->s, t = s[1] << 17, x = s[1] * 5;
	uint64_t out = ((x << 7) | (x >> 57)) * 9;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return out;
}

/* 0 .. n-1 without visible bias for n far below 2^32; n must not be 0. */
static inline uint32_t
rand_below(struct sl_rand *r, uint32_t n)
{
	return (uint32_t)(((rand_u64(r) >> 32) * n) >> 32);
}
