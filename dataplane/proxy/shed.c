// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the proxy gives up when queues hold nearly all buffers that they may (PRESSURE_SHED): idle
 * connections, then new requests.
 *
 * Runs on: the worker, once per loop while the level lasts. Idle ones go a few at a time, in order of
 * the pool, so that a loop stays short; a request that comes meanwhile is answered by 503 and its
 * connection closed; mode tcp refuses new connections. What is in flight goes on: it is what gives
 * buffers back.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

#define SHED_LOOK 256     // sessions looked at in a loop
#define SHED_US   1000000 // idle for so long

void
px_shed(struct lcore *lc)
{
	struct px_lcore *px = lc->px;

	idle_flush(lc, UINT32_MAX);
	for (uint32_t i = 0; i < SHED_LOOK && i < px->sessions.nr; i++) {
		struct session *ses = pool_at(&px->sessions, px->shed_at);
		bool live = pool_is_live(&px->sessions, px->shed_at);

		px->shed_at = px->shed_at + 1 < px->sessions.nr ? px->shed_at + 1 : 0;
		// between two requests, and not for a moment only; who has sent none yet is about to
		if (!live || ses->stream != NULL || ses->mx == NULL || ses->nreq == 0 ||
			lc->now_us - ses->idle_us < SHED_US || !mux_is_idle(ses->mx))
			continue;
		mux_close(lc, ses->mx, false);
		session_free(ses);
		stat_inc(lc, STAT_SHED_IDLE);
	}
}

bool
px_refuses(struct stream *s)
{
	if (likely(s->lc->pressure < PRESSURE_SHED))
		return false;
	stat_inc(s->lc, STAT_SHED_REQUESTS);
	txn_fail(s, 503, "RR");
	return true;
}
