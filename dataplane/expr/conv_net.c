// SPDX-License-Identifier: BSD-3-Clause
/*
 * Converters on addresses.
 *
 * Runs on: workers and script threads.
 */
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

static bool
conv_ipmask(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	const struct arg *a = s->ip.family == ADDR_V4 ? &args[0] : &args[1];

	if (a->type != ARG_NET)
		return false; // HAProxy: IPv6 without a mask of its own has no result
	s->ip.q[0] &= a->net.ip.q[0];
	s->ip.q[1] &= a->net.ip.q[1];
	return true;
}

// clang-format off
SL_CONVERTERS(
	{ "ipmask", conv_ipmask, SL_ARGS(1, ARG_MASK4, ARG_MASK6), T_ADDR, T_ADDR, WHERE_PURE,
		"address under a mask for IPv4, and one for IPv6" },
);
// clang-format on
