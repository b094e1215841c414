// SPDX-License-Identifier: BSD-3-Clause
/*
 * To the server: pick, wait in the queue, an idle connection or a new one, retries.
 *
 * Runs on: the worker. Follows HAProxy:
 * - reuse as "http-reuse safe": the first request of a client connection always gets a server
 *   connection of its own, later ones may take an idle one (a browser repeats a request that fails
 *   on a kept connection, not a first one); a connection that served is kept for others;
 * - "retries" counts attempts after the first; before the same server is tried again there is a
 *   pause of the connect timeout, at most 1 s; with "option redispatch" another server is tried at
 *   once where there is one (round robin), else on the last retry;
 * - a request whose reused connection died before any answer is sent once more over a new one, if
 *   it is idempotent and none of its body is gone (RFC 9110 9.2.2).
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

static void connect_server(struct stream *s);

/* ---- the server's slot ---- */

static void
leave_server(struct stream *s)
{
	if ((s->flags & ST_F_AT_SRV) != 0) {
		counter_dec(&s->lc->srv_cnt[s->srv->slot].cur_conn);
		s->flags &= ~ST_F_AT_SRV;
	}
	if ((s->flags & ST_F_TOKEN) != 0) {
		s->flags &= ~ST_F_TOKEN;
		srv_release(s->lc, s->srv);
	}
}

static bool
may_keep(const struct stream *s)
{
	return ((s->fe->options | s->be->options) & (PX_O_SERVER_CLOSE | PX_O_CLOSE)) == 0 &&
		s->phase != ST_TUNNEL && (s->flags & ST_F_SRV_CLOSE) == 0;
}

static void
drop_connection(struct stream *s)
{
	struct muxs *ss = s->ss;
	struct mux *mx;

	if (s->back.c != NULL && s->log.term[0] == '-')
		conn_close(s->lc, s->back.c);
	else if (s->back.c != NULL)
		conn_abort(s->lc, s->back.c);
	s->back.c = NULL;
	if (ss == NULL)
		return;
	s->ss = NULL;
	mx = muxs_mux(ss);
	if (!muxs_detach(s->lc, ss))
		return;
	if (may_keep(s))
		idle_put(s->lc, s->srv, mx);
	else
		mux_close(s->lc, mx, false);
}

void
upstream_release(struct stream *s)
{
	drop_connection(s);
	leave_server(s);
}

/* ---- picking ---- */

static void
no_server(struct stream *s)
{
	counter_inc(&px_be_cnt(s->lc, s->be)->failed_conn);
	txn_fail(s, 503, "SC");
}

static void
on_queue_ready(struct lcore *lc, struct bal_wait *w, const struct server *srv)
{
	struct stream *s = sl_container_of(w, struct stream, wait);

	(void)lc;
	stream_enter(s);
	s->srv = srv;
	s->flags |= ST_F_TOKEN;
	connect_server(s);
	stream_leave(s);
}

static void
wait_in_queue(struct stream *s)
{
	const struct px_timeouts *t = &s->be->timeout;

	s->phase = ST_QUEUE;
	s->wait_exp = tick_add_ifset(s->lc->now, t->queue != 0 ? t->queue : t->connect);
	s->wait.be = s->be;
	s->wait.ready = on_queue_ready;
	queue_add(s->lc, &s->wait);
}

static void
pick(struct stream *s, const struct server *avoid)
{
	const struct server *srv;
	bool full;

	do {
		srv = lb_pick(s->lc, s->be, &s->wait.key, avoid, &full);
	} while (srv != NULL && !srv_take(s->lc, srv));
	if (srv == NULL && full) {
		wait_in_queue(s);
	} else if (srv == NULL) {
		no_server(s);
	} else {
		s->srv = srv;
		s->flags |= ST_F_TOKEN;
		counter_inc(&s->lc->srv_cnt[srv->slot].lb_picks);
		counter_inc(&px_be_cnt(s->lc, s->be)->lb_picks);
		connect_server(s);
	}
}

void
upstream_start(struct stream *s)
{
	// who waits comes first: a newcomer does not take a token that others stand in line for
	if (unlikely(queue_len(s->lc, s->be) > 0))
		wait_in_queue(s);
	else
		pick(s, NULL);
}

/* ---- connecting ---- */

static void
send_request(struct stream *s)
{
	struct lcore *lc = s->lc;
	bool eom = false, close;
	struct chain body;
	int rc;

	chain_init(&body);
	close = !may_keep(s);
	s->log.connect_us = lc->now_us;
	s->phase = ST_WAIT_RES;
	muxs_set_msg(s->ss, &s->res, s->side->res_hdr, HTTP_MAX_HDR);
	muxs_set_raw(s->ss, true, true);
	muxs_set_raw(s->cs, true, true);
	rc = body_first(s, s->cs, s->ss, &body, &eom);
	if (rc == 0)
		rc = muxs_send_head(lc, s->ss, &s->req, &body, eom, close);
	if (rc < 0) {
		chain_free(lc, &body);
		if (rc == -EBADMSG)
			txn_fail(s, 400, "PR");
		else
			txn_fail(s, 503, rc == -EPIPE ? "SC" : "RC");
		return;
	}
	if (eom)
		s->flags |= ST_F_REQ_DONE;
	stream_touch_client(s);
	stream_touch_server(s);
	if (!eom)
		body_run(s);
}

void
upstream_connected(struct stream *s)
{
	send_request(s);
}

static bool
take_idle(struct stream *s)
{
	struct mux *mx;

	if ((s->flags & ST_F_KEPT) == 0 || !may_keep(s))
		return false;
	mx = idle_get(s->lc, s->srv);
	if (mx == NULL)
		return false;
	mux_set_owner(mx, &txn_server_user, NULL);
	s->ss = mux_attach_stream(s->lc, mx, s);
	if (s->ss == NULL) {
		mux_close(s->lc, mx, false);
		return false;
	}
	s->flags |= ST_F_REUSED;
	counter_inc(&s->lc->srv_cnt[s->srv->slot].cum_conn);
	counter_inc(&s->lc->srv_cnt[s->srv->slot].reuses);
	counter_inc(&px_be_cnt(s->lc, s->be)->reuses);
	stat_inc(s->lc, STAT_BACKEND_REUSE);
	return true;
}

static const struct ip_port *
srv_addr_of(const struct stream *s)
{
	return srv_addr(&s->lc->bal_shared->srv[s->srv->slot], s->srv);
}

/* A connection of its own; the stream is attached at once, so that it hears how it goes. */
static int
open_http(struct stream *s, const struct ip_port *from)
{
	struct mux *mx = mux_new(s->lc, NULL, false, &txn_server_user, NULL);
	struct conn *c = NULL;
	int rc;

	if (mx == NULL)
		return -ENOMEM;
	s->ss = mux_attach_stream(s->lc, mx, s);
	rc = s->ss != NULL
		? s->px->net->connect(s->lc, srv_addr_of(s), from, &mux_conn_handler, mx, &c)
		: -ENOMEM;
	if (rc == 0) {
		px_keepalive(s->lc, c, s->be, PX_O_SRVTCPKA);
		mux_set_conn(mx, c);
		return 0;
	}
	if (s->ss != NULL)
		muxs_detach(s->lc, s->ss);
	else
		mux_close(s->lc, mx, true);
	s->ss = NULL;
	return rc;
}

static void
open_connection(struct stream *s)
{
	struct ip_port from = { 0 };
	int rc;

	s->phase = ST_CONNECT;
	s->flags &= ~ST_F_REUSED;
	s->wait_exp = tick_add_ifset(s->lc->now, s->be->timeout.connect);
	counter_inc(&s->lc->srv_cnt[s->srv->slot].cum_conn); // each attempt
	counter_inc(&s->lc->srv_cnt[s->srv->slot].connects);
	counter_inc(&px_be_cnt(s->lc, s->be)->connects);
	stat_inc(s->lc, STAT_BACKEND_NEW);
	if (s->fe->mode == PX_TCP)
		rc = s->px->net->connect(
			s->lc, srv_addr_of(s), &from, &tcp_mode_server, s, &s->back.c);
	else
		rc = open_http(s, &from);
	if (rc == 0 && s->fe->mode == PX_TCP)
		px_keepalive(s->lc, s->back.c, s->be, PX_O_SRVTCPKA);
	if (rc == 0)
		px_show_link(s);
	if (rc == -ENOMEM || rc == -EADDRNOTAVAIL) {
		counter_inc(&px_be_cnt(s->lc, s->be)->failed_conn);
		txn_fail(s, 503, "RC");
	} else if (rc < 0) {
		upstream_failed(s, -rc);
	}
}

static void
connect_server(struct stream *s)
{
	if (s->log.queue_us == 0)
		s->log.queue_us = s->lc->now_us;
	if ((s->flags & ST_F_AT_SRV) == 0) {
		struct px_counters *n = &s->lc->srv_cnt[s->srv->slot];

		counter_inc(&n->cur_conn);
		px_max(s->lc, n, PX_MAX_CONN, counter_get(&n->cur_conn));
		s->flags |= ST_F_AT_SRV;
	}
	s->view.srv = s->srv;
	if (s->fe->mode == PX_HTTP && take_idle(s)) {
		px_show_link(s);
		send_request(s);
	} else {
		open_connection(s);
	}
}

/* ---- failures ---- */

static bool
has_other(const struct stream *s)
{
	for (uint32_t i = 0; i < s->be->nservers; i++) {
		const struct server *srv = &s->be->servers[i];
		if (srv != s->srv && !srv->backup && srv_is_up(s->lc, srv))
			return true;
	}
	return false;
}

static void
count_failure(struct stream *s)
{
	counter_inc(&s->lc->srv_cnt[s->srv->slot].failed_conn);
	counter_inc(&px_be_cnt(s->lc, s->be)->failed_conn);
}

static void
count_retry(struct stream *s, bool redispatch)
{
	struct px_counters *be = px_be_cnt(s->lc, s->be), *srv = &s->lc->srv_cnt[s->srv->slot];

	s->log.retries++;
	counter_inc(redispatch ? &be->redispatches : &be->retries);
	counter_inc(redispatch ? &srv->redispatches : &srv->retries);
}

void
upstream_failed(struct stream *s, int err)
{
	bool redispatch;
	uint32_t pause;

	drop_connection(s);
	if (s->tries++ >= s->be->retries) {
		count_failure(s);
		txn_fail(s, 503, err == ETIMEDOUT ? "sC" : "SC");
		return;
	}
	// balanced by round robin no server is owed to the client, so the next one may be tried at once
	redispatch = (s->be->options & PX_O_REDISPATCH) != 0 && has_other(s) &&
		(!s->wait.key.set || s->tries == s->be->retries);
	count_retry(s, redispatch);
	if (redispatch) {
		const struct server *was = s->srv;

		s->log.redispatched = true;
		leave_server(s);
		pick(s, was);
		return;
	}
	pause = sl_min(s->be->timeout.connect != 0 ? s->be->timeout.connect : PX_RETRY_PAUSE_MS,
		(uint32_t)PX_RETRY_PAUSE_MS);
	s->phase = ST_PAUSE;
	s->wait_exp = tick_add(s->lc->now, pause);
}

void
upstream_timeout(struct stream *s)
{
	if (s->phase == ST_PAUSE) {
		if (srv_is_up(s->lc, s->srv)) {
			open_connection(s);
			return;
		}
		leave_server(s); // went down meanwhile
		pick(s, s->srv);
	} else if (s->phase == ST_CONNECT) {
		upstream_failed(s, ETIMEDOUT);
	} else {
		queue_del(s->lc, &s->wait);
		counter_inc(&px_be_cnt(s->lc, s->be)->failed_conn);
		txn_fail(s, 503, "sQ");
	}
}

static bool
is_idempotent(const struct http_msg *m)
{
	switch (m->meth) {
	case HTTP_GET:
	case HTTP_HEAD:
	case HTTP_OPTIONS:
	case HTTP_TRACE:
	case HTTP_PUT:
	case HTTP_DELETE:
		return true;
	default:
		return false;
	}
}

bool
upstream_replay(struct stream *s)
{
	if ((s->flags & (ST_F_REUSED | ST_F_RES_SEEN | ST_F_BODY_MOVED)) != ST_F_REUSED ||
		!is_idempotent(&s->req))
		return false;
	drop_connection(s);
	s->flags &= ~ST_F_REQ_DONE;
	count_retry(s, false);
	open_connection(s);
	return true;
}
