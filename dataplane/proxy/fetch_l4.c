// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fetch methods on the client's connection: addresses and ports.
 *
 * Runs on: workers, and script threads on a snapshot.
 * Follows: HAProxy's manual 7.3.3.
 */
#include "dataplane/expr/expr.h"

#include "dataplane/base/hot.h"

enum { L4_SRC, L4_DST };

static const struct ip_port *
side(const struct txn_view *v, uintptr_t priv)
{
	return priv == L4_SRC ? &v->src : &v->dst;
}

static bool
fetch_addr(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv)
{
	const struct ip_port *ap = side(v, priv);

	if (!addr_is_ip(&ap->ip))
		return false; // a UNIX socket
	out->type = T_ADDR;
	out->ip = ap->ip;
	return true;
}

static bool
fetch_port(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv)
{
	const struct ip_port *ap = side(v, priv);

	if (!addr_is_ip(&ap->ip))
		return false;
	out->type = T_SINT;
	out->i = ap->port;
	return true;
}

// clang-format off
SL_FETCHES(
	{ "src",      fetch_addr, SL_NOARGS, T_ADDR, EVAL_STREAM, WHERE_PURE,
		"address of the client", L4_SRC },
	{ "src_port", fetch_port, SL_NOARGS, T_SINT, EVAL_STREAM, WHERE_PURE,
		"port of the client", L4_SRC },
	{ "dst",      fetch_addr, SL_NOARGS, T_ADDR, EVAL_STREAM, WHERE_PURE,
		"address that the client connected to", L4_DST },
	{ "dst_port", fetch_port, SL_NOARGS, T_SINT, EVAL_STREAM, WHERE_PURE,
		"port that the client connected to", L4_DST },
);
// clang-format on
