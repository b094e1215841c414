// SPDX-License-Identifier: BSD-3-Clause
/*
 * Converters that hash: the 32-bit functions that HAProxy balances with, bit for bit the same, so
 * that both choose the same server for a key.
 *
 * Runs on: workers and script threads. None of them is for security.
 * The functions themselves: base/hash.h.
 */
#include "dataplane/base/hash.h"
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

enum { H_CRC32, H_DJB2, H_SDBM, H_WT6 };

static bool
conv_hash(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args,
	struct arena *mem sl_unused, uintptr_t which)
{
	uint32_t h;

	switch (which) {
	case H_CRC32:
		h = hash_crc32(s->s);
		break;
	case H_DJB2:
		h = hash_djb2(s->s);
		break;
	case H_SDBM:
		h = hash_sdbm(s->s);
		break;
	default:
		h = hash_wt6(s->s);
		break;
	}
	if (args[0].type == ARG_SINT && args[0].i != 0)
		h = hash_avalanche(h);
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
