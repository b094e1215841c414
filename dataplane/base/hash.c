// SPDX-License-Identifier: BSD-3-Clause
/*
 * Hash functions: SipHash-2-4 (Aumasson and Bernstein, 2012), 32-bit FNV-1a, and those that HAProxy
 * balances with: CRC-32 of IEEE 802.3, D. J. Bernstein's, sdbm, wt6, B. Jenkins' 32-bit mixing.
 *
 * Runs on: any thread; pure. SipHash guards everything whose keys a client can choose.
 */
#include "dataplane/base/hash.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotl(uint64_t x, int n)
{
	return (x << n) | (x >> (64 - n));
}

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 = rotl(s->v0, 32) + s->v3;
	s->v2 += s->v1;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

static inline void
sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

uint64_t
hash_sip(const uint64_t key[2], const void *data, size_t len)
{
	const uint8_t *p = data;
	struct sip s = {
		.v0 = key[0] ^ 0x736f6d6570736575ull,
		.v1 = key[1] ^ 0x646f72616e646f6dull,
		.v2 = key[0] ^ 0x6c7967656e657261ull,
		.v3 = key[1] ^ 0x7465646279746573ull,
	};
	uint64_t tail = (uint64_t)len << 56;
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, 8); // x86 is little-endian, as SipHash reads
		sip_word(&s, word);
	}
	for (size_t i = 0; i < left; i++)
		tail |= (uint64_t)p[i] << (8 * i);
	sip_word(&s, tail);
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint32_t
hash_fnv(struct sl_str s)
{
	uint32_t h = 2166136261u;

	for (uint32_t i = 0; i < s.len; i++)
		h = (h ^ (uint8_t)s.p[i]) * 16777619u;
	return h;
}

/* ---- as HAProxy's, bit for bit ---- */

static uint32_t
rol(uint32_t x, uint32_t n)
{
	return x << (n & 31) | x >> (-n & 31);
}

/* Reflected 0xedb88320, four bits at a time. */
uint32_t
hash_crc32(struct sl_str s)
{
	static const uint32_t nibble[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8,
		0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
	uint32_t h = UINT32_MAX;

	for (uint32_t i = 0; i < s.len; i++) {
		h ^= (unsigned char)s.p[i];
		h = h >> 4 ^ nibble[h & 15];
		h = h >> 4 ^ nibble[h & 15];
	}
	return ~h;
}

uint32_t
hash_djb2(struct sl_str s)
{
	uint32_t h = 5381;

	for (uint32_t i = 0; i < s.len; i++)
		h = h * 33 + (unsigned char)s.p[i];
	return h;
}

uint32_t
hash_sdbm(struct sl_str s)
{
	uint32_t h = 0;

	for (uint32_t i = 0; i < s.len; i++)
		h = h * 65599 + (unsigned char)s.p[i];
	return h;
}

/* Two accumulators that swap after rotations, whose lengths come from the data. */
uint32_t
hash_wt6(struct sl_str s)
{
	uint32_t a = 0xa53c965a, b = 0x5ca6953a, ra = 6, rb = 18;

	for (uint32_t i = 0; i < s.len; i++) {
		uint32_t c = (unsigned char)s.p[i];
		uint32_t x = rol(~(b + c), ra);
		b = rol(~(a ^ c), rb);
		a = x;
		uint32_t mix = (a >> 16 ^ b) & 0xffff;
		ra = mix & 31;
		rb = mix >> 11;
	}
	return a ^ b;
}

/* Every input bit changes about half of the output; the prime spreads it over HAProxy's tree. */
uint32_t
hash_avalanche(uint32_t a)
{
	a = a + 0x7ed55d16 + (a << 12);
	a = a ^ 0xc761c23c ^ a >> 19;
	a = a + 0x165667b1 + (a << 5);
	a = (a + 0xd3a2646c) ^ a << 9;
	a = a + 0xfd7046c5 + (a << 3);
	a = a ^ 0xb55a4f09 ^ a >> 16;
	return a * 3221225473u;
}
