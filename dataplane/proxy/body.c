// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bodies, both ways: buffers of one connection's receive queue become the other's send queue.
 *
 * Runs on: the worker. Only as much is taken as the other side's send space holds; the rest stays in
 * the receive queue, whose window then closes: that is the back-pressure, and the bound. Whoever was
 * short of space tells when it has some again (MUX_EV_SPACE).
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

void
stream_count_in(struct stream *s, uint32_t n)
{
	s->log.bytes_in += n;
	counter_add(&px_cnt(s->lc, s->fe)->bytes_in, n);
	counter_add(&s->lc->bind_cnt[s->ses->bind->slot].bytes_in, n);
	if ((s->flags & ST_F_WAS_AT_BE) != 0)
		counter_add(&px_be_cnt(s->lc, s->be)->bytes_in, n);
	if (s->srv != NULL && s->fe->mode == PX_TCP)
		counter_add(&s->lc->srv_cnt[s->srv->slot].bytes_in, n);
}

void
stream_count_out(struct stream *s, uint32_t n)
{
	s->log.bytes_out += n;
	counter_add(&px_cnt(s->lc, s->fe)->bytes_out, n);
	counter_add(&s->lc->bind_cnt[s->ses->bind->slot].bytes_out, n);
	if ((s->flags & ST_F_WAS_AT_BE) != 0)
		counter_add(&px_be_cnt(s->lc, s->be)->bytes_out, n);
	if (s->srv != NULL && s->fe->mode == PX_TCP)
		counter_add(&s->lc->srv_cnt[s->srv->slot].bytes_out, n);
}

int
body_first(struct stream *s, struct muxs *from, struct muxs *to, struct chain *out, bool *eom)
{
	uint32_t space = muxs_send_space(to);
	int rc;

	*eom = muxs_rx_done(from);
	if (*eom || space == 0 || muxs_rx_ready(from) == 0)
		return 0;
	rc = muxs_recv(s->lc, from, space, out, eom);
	if (rc < 0)
		return rc;
	if (from == s->cs) {
		stream_count_in(s, out->len);
		if (out->len > 0)
			s->flags |= ST_F_BODY_MOVED;
	}
	return 0;
}

void
body_client_broke(struct stream *s)
{
	if (muxs_error(s->cs) != MUX_ERR_PARSE) {
		txn_client_abort(s);
		return;
	}
	counter_inc(&px_cnt(s->lc, s->fe)->failed_req);
	txn_fail(s, 400, (s->flags & ST_F_RES_SENT) != 0 ? "PD" : "PH");
}

static void
server_broke(struct stream *s)
{
	bool ours = muxs_error(s->ss) == MUX_ERR_PARSE;

	counter_inc(&px_be_cnt(s->lc, s->be)->srv_aborts);
	counter_inc(&s->lc->srv_cnt[s->srv->slot].srv_aborts);
	txn_fail(s, 502, ours ? "PD" : "SD");
}

/* Moves one way until nothing is there, or no space. 1: the message is through; 0; -Exxx. */
static int
move(struct stream *s, struct muxs *from, struct muxs *to, bool up)
{
	struct lcore *lc = s->lc;

	for (;;) {
		uint32_t space = muxs_send_space(to);
		bool eom = false;
		struct chain c;
		int rc;

		if (space == 0)
			return 0;
		chain_init(&c);
		rc = muxs_recv(lc, from, space, &c, &eom);
		if (rc < 0 && rc != -EBADMSG)
			return 0; // no buffer now: the next event tries again
		if (c.len > 0 || eom) {
			stream_touch_client(s);
			stream_touch_server(s);
			if (up) {
				stream_count_in(s, c.len);
				s->flags |= ST_F_BODY_MOVED;
			} else {
				stream_count_out(s, c.len);
			}
			rc = muxs_send(lc, to, &c, eom);
			if (eom)
				return 1;
			if (rc < 0)
				return rc;
			continue;
		}
		return muxs_error(from) != MUX_OK ? -EBADMSG : 0;
	}
}

static bool
move_up(struct stream *s)
{
	int rc;

	if (s->ss == NULL || (s->flags & ST_F_REQ_DONE) != 0)
		return true;
	rc = move(s, s->cs, s->ss, true);
	if (rc == 1)
		s->flags |= ST_F_REQ_DONE;
	if (rc != -EBADMSG)
		return true;
	body_client_broke(s);
	return false;
}

static bool
move_down(struct stream *s)
{
	int rc;

	if (s->ss == NULL || (s->flags & (ST_F_RES_DONE | ST_F_RES_SENT)) != ST_F_RES_SENT)
		return true;
	rc = move(s, s->ss, s->cs, false);
	if (rc == 1)
		s->flags |= ST_F_RES_DONE;
	if (rc != -EBADMSG)
		return true;
	server_broke(s);
	return false;
}

void
body_run(struct stream *s)
{
	if (unlikely((s->flags & ST_F_SERVICE) != 0)) {
		svc_run(s);
		return;
	}
	if (!move_up(s) || !move_down(s))
		return;
	if ((s->flags & ST_F_RES_DONE) == 0)
		return;
	// a tunnel whose server had ended its direction, and now takes nothing more
	if ((s->flags & ST_F_REQ_DONE) == 0 && s->phase == ST_TUNNEL && s->ss != NULL &&
		muxs_error(s->ss) != MUX_OK) {
		server_broke(s);
		return;
	}
	// an answer that is complete ends the exchange, also one that did not wait for the request
	if (s->phase != ST_TUNNEL || (s->flags & ST_F_REQ_DONE) != 0) {
		txn_set_term(s, "--");
		stream_end(s);
	}
}
