// SPDX-License-Identifier: BSD-3-Clause
/*
 * Converters that hash: the 32-bit functions that HAProxy balances with, bit for bit the same, so
 * that both choose the same server for a key.
 *
 * Runs on: workers and script threads. None of them is for security.
 * Follows: the published algorithms (CRC-32 of IEEE 802.3, D. J. Bernstein, sdbm, wt6) and
 * B. Jenkins' 32-bit mixing for the argument 1.
 */
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

enum { H_CRC32, H_DJB2, H_SDBM, H_WT6 };

static uint32_t
rol(uint32_t x, uint32_t n)
{
	return x << (n & 31) | x >> (-n & 31);
}

/* Reflected 0xedb88320, four bits at a time. */
static uint32_t
crc32(struct sl_str s)
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

static uint32_t
djb2(struct sl_str s)
{
	uint32_t h = 5381;

	for (uint32_t i = 0; i < s.len; i++)
		h = h * 33 + (unsigned char)s.p[i];
	return h;
}

static uint32_t
sdbm(struct sl_str s)
{
	uint32_t h = 0;

	for (uint32_t i = 0; i < s.len; i++)
		h = h * 65599 + (unsigned char)s.p[i];
	return h;
}

/* Two accumulators that swap after rotations, whose lengths come from the data. */
static uint32_t
wt6(struct sl_str s)
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
static uint32_t
avalanche(uint32_t a)
{
	a = a + 0x7ed55d16 + (a << 12);
	a = a ^ 0xc761c23c ^ a >> 19;
	a = a + 0x165667b1 + (a << 5);
	a = (a + 0xd3a2646c) ^ a << 9;
	a = a + 0xfd7046c5 + (a << 3);
	a = a ^ 0xb55a4f09 ^ a >> 16;
	return a * 3221225473u;
}

static bool
conv_hash(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args,
	struct arena *mem sl_unused, uintptr_t which)
{
	uint32_t h;

	switch (which) {
	case H_CRC32:
		h = crc32(s->s);
		break;
	case H_DJB2:
		h = djb2(s->s);
		break;
	case H_SDBM:
		h = sdbm(s->s);
		break;
	default:
		h = wt6(s->s);
		break;
	}
	if (args[0].type == ARG_SINT && args[0].i != 0)
		h = avalanche(h);
	s->type = T_SINT;
	s->i = h;
	return true;
}

// clang-format off
SL_CONVERTERS(
	{ "crc32", conv_hash, SL_ARGS(0, ARG_SINT), T_BIN, T_SINT, WHERE_PURE,
		"CRC-32; 1: mixed", H_CRC32 },
	{ "djb2",  conv_hash, SL_ARGS(0, ARG_SINT), T_BIN, T_SINT, WHERE_PURE,
		"DJB2 hash; 1: mixed", H_DJB2 },
	{ "sdbm",  conv_hash, SL_ARGS(0, ARG_SINT), T_BIN, T_SINT, WHERE_PURE,
		"SDBM hash; 1: mixed", H_SDBM },
	{ "wt6",   conv_hash, SL_ARGS(0, ARG_SINT), T_BIN, T_SINT, WHERE_PURE,
		"WT6 hash; 1: mixed", H_WT6 },
);
// clang-format on
