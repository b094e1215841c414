// SPDX-License-Identifier: BSD-3-Clause
/*
 * Mode tcp: bytes both ways between two connections, each direction ended by itself.
 *
 * Runs on: the worker. The stream is the connection's whole life; there is no mux, no message. What
 * is received on one side is moved to the other as far as it has room (back-pressure as in body.c);
 * a side's end is passed on after its bytes. Termination states as HAProxy: first letter who, second
 * C while connecting, Q in the queue, D later.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

void *
tcp_mode_open(struct lcore *lc, struct session *ses, struct conn *c)
{
	struct stream *s = stream_new(lc, ses);

	if (s == NULL)
		return NULL;
	s->cli.c = c;
	s->log.first_us = lc->now_us;
	s->log.first_wall_us = lc->wall_us;
	counter_inc(&px_cnt(lc, ses->fe)->cum_req);
	s->phase = ST_REQ_RULES_FE;
	stream_touch_client(s);
	s->wait_exp =
		lc->now; // starts when the accept has returned, out of the first event or timer
	wheel_arm(&lc->wheel, &s->timer, lc->now);
	return s;
}

/* "tcp-request content" rules of a proxy, once; false: they wait, or have ended the stream. */
static bool
content_passed(struct stream *s, const struct proxy *px)
{
	if ((s->flags & ST_F_CONTENT_OK) != 0)
		return true;
	if (content_pass(s, px, false) != RULE_NEXT)
		return false;
	s->flags |= ST_F_CONTENT_OK;
	return true;
}

/* Out of the first event or the timer that the accept armed, and when a parked rule goes on. */
void
tcp_mode_start(struct stream *s)
{
	if (s->phase == ST_REQ_RULES_FE) {
		if (unlikely(s->fe->tcp_req != NULL) && !content_passed(s, s->fe))
			return;
		if ((s->flags & ST_F_SERVICE) == 0) {
			if (backend_choose(s) != RULE_NEXT)
				return;
			s->phase = ST_REQ_RULES_BE;
			s->step = SWITCH_COND;
			if (s->be != s->fe)
				s->flags &= ~ST_F_CONTENT_OK;
		}
	}
	if (unlikely(s->be != s->fe && s->be->tcp_req != NULL) && !content_passed(s, s->be))
		return;
	if (unlikely((s->flags & ST_F_SERVICE) != 0)) {
		svc_start(s);
		return;
	}
	if (txn_balance_key(s) == RULE_NEXT)
		upstream_start(s);
}

/* Moves from one side to the other; all: beyond the room there, because `from` is over. */
static void
move(struct stream *s, struct st_leg *from, struct st_leg *to, bool all)
{
	bool up = from == &s->cli;
	struct lcore *lc = s->lc;
	uint32_t n;

	if (to->c == NULL || to->shut)
		return;
	if (unlikely(s->side->pre[!up].len > 0)) {
		if ((!all && conn_send_space(to->c) == 0) || content_send(s, !up, to->c) < 0)
			return;
	}
	if (from->c == NULL)
		return;
	while ((n = conn_rx(from->c)->len) > 0) {
		if (!all)
			n = sl_min(n, conn_send_space(to->c));
		if (n == 0)
			return;
		struct chain c;

		chain_init(&c);
		if (conn_rx_take(lc, from->c, n, &c) < 0)
			return;
		stream_touch_client(s);
		stream_touch_server(s);
		if (up)
			stream_count_in(s, n);
		else
			stream_count_out(s, n);
		if (conn_send(lc, to->c, &c) < 0)
			return;
	}
	if (conn_rx(from->c)->len == 0 && conn_rx_eof(from->c)) {
		from->eof = true;
		to->shut = true;
		conn_shutdown(lc, to->c);
	}
}

/* "tcp-response content close": what the server has said goes to the client, and then both end. */
static void
close_server(struct stream *s)
{
	move(s, &s->back, &s->cli, true);
	if (s->phase == ST_DEAD)
		return;
	txn_set_term(s, "--");
	if (s->back.c != NULL)
		conn_abort(s->lc, s->back.c);
	s->back.c = NULL;
	stream_end(s);
}

/* What the server says waits for "tcp-response content" rules; false: it goes on waiting, or has ended. */
static bool
released(struct stream *s)
{
	if (likely((s->flags & ST_F_RES_HELD) == 0))
		return true;
	if ((s->flags & ST_F_PARKED) != 0 || content_pass(s, s->be, true) != RULE_NEXT)
		return false;
	s->flags &= ~ST_F_RES_HELD;
	if ((s->flags & ST_F_SRV_CLOSE) == 0)
		return true;
	close_server(s);
	return false;
}

/* The server's connection has died; what it had said is with the client. */
static void
server_gone(struct stream *s, int err)
{
	if (err == 0 && s->back.eof && s->back.shut) {
		txn_set_term(s, "--");
		stream_end(s);
	} else {
		counter_inc(&px_be_cnt(s->lc, s->be)->srv_aborts);
		txn_fail(s, 0, "SD");
	}
}

void
tcp_mode_run(struct stream *s)
{
	bool held;

	if (s->phase != ST_TUNNEL)
		return;
	if (unlikely((s->flags & ST_F_SERVICE) != 0)) {
		svc_run(s);
		return;
	}
	held = !released(s);
	if (s->phase == ST_DEAD)
		return;
	move(s, &s->cli, &s->back, false);
	if (unlikely(held))
		return;
	if (unlikely(s->back.c == NULL)) { // it died while a rule was parked
		move(s, &s->back, &s->cli, true);
		if (s->phase != ST_DEAD)
			server_gone(s, s->back.eof ? 0 : ECONNRESET);
		return;
	}
	move(s, &s->back, &s->cli, false);
	if (s->cli.eof && s->back.eof) {
		txn_set_term(s, "--");
		stream_end(s);
	}
}

void
tcp_mode_close(struct stream *s)
{
	struct conn *c = s->cli.c;
	bool whole = s->log.term[0] == '-' || s->log.term[0] == 'S' || s->log.term[0] == 'P';

	s->cli.c = NULL;
	if (c != NULL && whole)
		conn_close(s->lc, c);
	else if (c != NULL)
		conn_abort(s->lc, c);
	session_stream_ended(s->ses, false);
}

/* A connection died: what it had sent goes to the other side before that one ends. */
static void
closed(struct stream *s, struct st_leg *leg, bool client)
{
	struct conn *c = leg->c;
	int err = conn_error(c);
	bool was_open = s->phase == ST_TUNNEL;
	bool kept;

	if (was_open && (client || released(s))) // a reset takes back nothing that was said before it
		move(s, leg, client ? &s->back : &s->cli, true);
	if (s->phase == ST_DEAD)
		return; // rules on the answer have ended it, and let go of both
	kept = was_open && !client && (s->flags & ST_F_PARKED) != 0 && content_keep(s) == 0;
	conn_close(s->lc, c);
	leg->c = NULL;
	if (kept)
		leg->eof = err == 0;
	if (s->phase == ST_DEAD || kept)
		return;
	if (!client && !was_open) {
		upstream_failed(s, err != 0 ? err : ECONNRESET);
	} else if (!client) {
		server_gone(s, err);
	} else if (err == 0 && leg->eof && leg->shut) {
		txn_set_term(s, "--");
		stream_end(s);
	} else {
		if (s->back.c != NULL && was_open && conn_send_queued(s->back.c) > 0) {
			conn_close(s->lc, s->back.c); // behind its last bytes
			s->back.c = NULL;
		}
		txn_client_abort(s);
	}
}

void
tcp_mode_event(struct lcore *lc, struct conn *c, void *user, uint32_t events)
{
	struct stream *s = user;

	(void)lc;
	stream_enter(s);
	if (s->cli.c == NULL)
		s->cli.c = c;
	stream_touch_client(s);
	if ((events & CONN_EV_CLOSED) == 0) {
		if ((s->phase == ST_REQ_RULES_FE && (s->flags & ST_F_PARKED) == 0) ||
			(s->phase == ST_REQ_RULES_BE && (s->flags & ST_F_MISSING) != 0))
			tcp_mode_start(s);
		if (unlikely((s->flags & ST_F_CONTENT) != 0))
			content_run(s);
	}
	if (s->phase != ST_DEAD && (events & CONN_EV_CLOSED) != 0)
		closed(s, &s->cli, true);
	else if (s->phase != ST_DEAD)
		tcp_mode_run(s);
	stream_leave(s);
}

static void
on_server_event(struct lcore *lc, struct conn *c, void *user, uint32_t events)
{
	struct stream *s = user;

	(void)lc;
	(void)c;
	stream_enter(s);
	stream_touch_server(s);
	if ((events & CONN_EV_CONNECTED) != 0 && s->phase == ST_CONNECT) {
		s->log.connect_us = lc->now_us;
		s->phase = ST_TUNNEL;
		if (unlikely(s->be->tcp_res != NULL))
			s->flags |= ST_F_RES_HELD;
		if (unlikely((s->fe->options & PX_O_LOGASAP) != 0))
			logrec_asap(s);
		stream_touch_client(s);
		stream_touch_server(s);
	}
	if ((events & CONN_EV_CLOSED) != 0)
		closed(s, &s->back, false);
	else
		tcp_mode_run(s);
	if (unlikely((s->flags & ST_F_CONTENT_RES) != 0))
		content_run(s);
	stream_leave(s);
}

const struct conn_handler tcp_mode_server = { .accept = NULL, .event = on_server_event };
