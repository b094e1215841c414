/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that a worker allocates, by name: the tests let the n-th request for it be refused.
 */
#pragma once

#include "dataplane/balance/bal.h"
#include "dataplane/mux/mux_h1.h"
#include "dataplane/proxy/px.h"
#include "dataplane/tcp/tcp_priv.h"

enum scarce {
	SCARCE_MBUF,
	SCARCE_STREAM,
	SCARCE_SESSION,
	SCARCE_MUX,
	SCARCE_MUX_STREAM,
	SCARCE_CHUNK,
	SCARCE_NR_PX, // those above are there without TCP, too
	SCARCE_TCB = SCARCE_NR_PX,
	SCARCE_HALF,
	SCARCE_TIMEWAIT,
	SCARCE_PATH,
	SCARCE_CONN,
	SCARCE_IDLE,
	SCARCE_NR
};

static inline const char *
scarce_name(enum scarce what)
{
	static const char *const name[SCARCE_NR] = { "buffer", "stream", "session", "mux",
		"stream of a mux", "chunk", "TCB", "half-open entry", "TIME_WAIT entry", "path",
		"conn", "idle entry" };

	return name[what];
}

/* n: 1 is the next one; 0: none. */
static inline void
scarce_refuse(struct lcore *lc, enum scarce what, uint32_t n)
{
	struct pool *p = NULL;

	switch (what) {
	case SCARCE_MBUF:
		lcore_mbuf_fail_in(lc, n);
		return;
	case SCARCE_STREAM:
		p = &lc->px->streams;
		break;
	case SCARCE_SESSION:
		p = &lc->px->sessions;
		break;
	case SCARCE_MUX:
		p = &lc->mux->muxes;
		break;
	case SCARCE_MUX_STREAM:
		p = &lc->mux->streams;
		break;
	case SCARCE_CHUNK:
		lc->px->small.fail_in = n;
		lc->px->large.fail_in = n > 0; // or it would be taken instead
		return;
	case SCARCE_TCB:
		p = &lc->tcp->conns;
		break;
	case SCARCE_HALF:
		p = &lc->tcp->halfs;
		break;
	case SCARCE_TIMEWAIT:
		p = &lc->tcp->tws;
		break;
	case SCARCE_PATH:
		p = &lc->tcp->recs;
		break;
	case SCARCE_CONN:
		p = (struct pool *)(void *)lc->conn; // its first member
		break;
	case SCARCE_IDLE:
		p = &lc->bal->entries;
		break;
	default:
		return;
	}
	p->fail_in = n;
}
