// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which two connections a stream joins, for a capture: told when the stream gets a server's, and once
 * for all those that were there before the capture.
 *
 * Runs on: the worker; a bounded number of streams a loop.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

#define WALK_STEP 256u

void
show_link(const struct stream *s, struct capture *c)
{
	const struct conn *cli = s->cs != NULL ? mux_conn(muxs_mux(s->cs)) : s->cli.c;
	const struct conn *srv = s->ss != NULL ? mux_conn(muxs_mux(s->ss)) : s->back.c;
	struct capture_link l = { .stream = stream_handle(s) };

	if (cli == NULL || srv == NULL)
		return;
	conn_capture_end(s->lc, cli, &l.client);
	conn_capture_end(s->lc, srv, &l.server);
	capture_link(s->lc, c, &l);
}

void
px_show_links(struct lcore *lc)
{
	struct capture *c = capture_of(lc);
	struct pool *streams = &lc->px->streams;
	struct capture_ring *r = c != NULL ? c->ring[lc->id] : NULL;
	uint32_t end;

	if (r == NULL || r->walked >= streams->nr)
		return;
	end = sl_min(r->walked + WALK_STEP, streams->nr);
	for (; r->walked < end; r->walked++) {
		const struct stream *s = pool_at(streams, r->walked);

		if (pool_is_live(streams, r->walked) && s->phase != ST_DEAD)
			show_link(s, c);
	}
}
