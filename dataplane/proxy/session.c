// SPDX-License-Identifier: BSD-3-Clause
/*
 * The life of a client connection: accepted, idle between requests, closed.
 *
 * Runs on: the worker that owns the connection. While a request is in flight its stream is in
 * charge; the session's timer covers what lies between: waiting for the first byte ("timeout
 * http-request", answered by 408) and for the next request ("timeout http-keep-alive", just closed).
 * maxconn of process, frontend and bind are exact over all workers; a connection beyond is refused
 * and counted.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

/* ---- limits ---- */

static bool
take_below(_Atomic(uint32_t) *n, uint32_t max)
{
	uint32_t had = atomic_fetch_add(n, 1);

	if (likely(max == 0 || had < max))
		return true;
	atomic_fetch_sub(n, 1);
	return false;
}

static uint32_t
either(const _Atomic(uint32_t) *set, uint32_t configured)
{
	uint32_t max = atomic_load_explicit(
		(_Atomic(uint32_t) *)(uintptr_t)set, memory_order_relaxed);

	return max != UINT32_MAX ? max : configured;
}

/* A bind without a maxconn of its own is not counted: that would cost all workers a shared line. */
static void
limits_give(struct lcore *lc, const struct listen_addr *b)
{
	struct bal_shared *sh = lc->bal_shared;

	atomic_fetch_sub(&sh->conns, 1);
	atomic_fetch_sub(&sh->px[b->fe->slot].conns, 1);
	if (b->maxconn != 0)
		atomic_fetch_sub(&sh->bind[b->slot].conns, 1);
}

static bool
limits_take(struct lcore *lc, const struct listen_addr *b)
{
	struct bal_shared *sh = lc->bal_shared;
	uint32_t max = lc->model != NULL ? lc->model->global.maxconn : 0;

	if (unlikely(atomic_load_explicit(&sh->px[b->fe->slot].stop, memory_order_relaxed) !=
		    PX_STOP_NO))
		return false;
	// by command, instead of what is configured
	max = either(&sh->maxconn, max);
	if (!take_below(&sh->conns, max))
		return false;
	if (!take_below(&sh->px[b->fe->slot].conns,
		    either(&sh->px[b->fe->slot].maxconn, b->fe->maxconn))) {
		atomic_fetch_sub(&sh->conns, 1);
		return false;
	}
	if (b->maxconn == 0 || take_below(&sh->bind[b->slot].conns, b->maxconn))
		return true;
	atomic_fetch_sub(&sh->conns, 1);
	atomic_fetch_sub(&sh->px[b->fe->slot].conns, 1);
	return false;
}

/* ---- life ---- */

static void
set_timer(struct session *ses, uint32_t ms)
{
	wheel_arm(&ses->lc->wheel, &ses->timer, tick_add_ifset(ses->lc->now, ms));
}

/* HAProxy looks for no other page where there is no request: only whether there shall be none. */
static bool
is_silent(const struct proxy *fe, uint16_t status)
{
	const struct http_page *page = fe->page[http_error_index(status)];

	return page != NULL && page->silent;
}

/* Nothing came: an answer and a record without a request. */
static void
end_unused(struct session *ses, uint16_t status, const char term[2])
{
	struct stream *s = stream_new(ses->lc, ses);

	if (s == NULL)
		return;
	stream_enter(s);
	s->log.first_us = ses->accept_us;
	s->log.first_wall_us = ses->accept_wall_us;
	s->log.status = status;
	txn_count_no_request(s);
	txn_set_term(s, term);
	if (status == 408 && ses->mx != NULL && !is_silent(ses->fe, status)) {
		// no stream on the connection yet: the answer goes out by itself
		struct reply r;

		reply_built_in(&r, status);
		r.close = true;
		reply_send_bare(s, mux_conn(ses->mx), &r);
	}
	ses->stream = NULL;
	stream_end(s);
	stream_leave(s);
}

void
session_free(struct session *ses)
{
	struct lcore *lc = ses->lc;
	struct px_lcore *px = lc->px;

	wheel_cancel(&lc->wheel, &ses->timer);
	limits_give(lc, ses->bind);
	counter_dec(&px_cnt(lc, ses->fe)->cur_conn);
	counter_dec(&lc->bind_cnt[ses->bind->slot].cur_conn);
	counter_dec(&lc->gen[ses->bind->model->place].conns);
	arena_reset(&ses->arena);
	pool_free(&px->sessions, ses);
}

/*
 * Another generation of the configuration: a connection whose address still has a bind there belongs
 * to it from its next request on. One whose bind is gone ends with its next answer, so that no request
 * that is under way meets a closed door.
 */
sl_cold void
session_move(struct session *ses)
{
	const struct listen_addr *old = ses->bind;
	struct lcore *lc = ses->lc;
	const struct listen_addr *b = px_bind_now(lc, &old->addr, old->fe->mode);
	struct bal_shared *sh = lc->bal_shared;

	ses->last = b == NULL;
	if (b == NULL || b == old)
		return;
	// it is there already, so no limit refuses it
	atomic_fetch_add(&sh->px[b->fe->slot].conns, 1);
	if (b->maxconn != 0)
		atomic_fetch_add(&sh->bind[b->slot].conns, 1);
	atomic_fetch_sub(&sh->px[old->fe->slot].conns, 1);
	if (old->maxconn != 0)
		atomic_fetch_sub(&sh->bind[old->slot].conns, 1);
	counter_inc(&px_cnt(lc, b->fe)->cur_conn);
	counter_dec(&px_cnt(lc, old->fe)->cur_conn);
	counter_inc(&lc->bind_cnt[b->slot].cur_conn);
	counter_dec(&lc->bind_cnt[old->slot].cur_conn);
	counter_inc(&lc->gen[b->model->place].conns);
	counter_dec(&lc->gen[old->model->place].conns);
	ses->bind = b;
	ses->fe = b->fe;
	if (unlikely(ses->src.ip.family == ADDR_UNIX))
		ses->src.port = (uint16_t)(b - b->fe->binds + 1);
}

void
session_kill(struct session *ses)
{
	struct stream *s = ses->stream;

	if (s != NULL) {
		char term[2] = { 'K', txn_phase_letter(s) };

		stream_enter(s);
		txn_fail(s, 0, term);
		stream_leave(s);
	} else if (ses->mx != NULL) {
		struct mux *mx = ses->mx;

		ses->mx = NULL;
		mux_close(ses->lc, mx, false);
		session_free(ses);
	}
}

static void
on_timer(void *ctx, struct wheel_timer *t)
{
	struct session *ses = sl_container_of(t, struct session, timer);
	struct lcore *lc = ctx;
	struct mux *mx = ses->mx;

	if (ses->stream != NULL)
		return; // a request is in flight: its own dates count
	if (ses->nreq == 0)
		end_unused(ses, 408, "cR");
	ses->mx = NULL;
	mux_close(lc, mx, false);
	session_free(ses);
	queue_run(lc);
}

/*
 * A variable's replaced values stay in the arena as long as a program may look at them; between
 * requests none does, so what is in use moves to fresh memory. Without this a client could fill all
 * chunks of the worker by one connection and many requests.
 */
static void
compact_vars(struct session *ses)
{
	struct arena fresh, old = ses->arena;
	struct vars v = { 0 };

	if (likely(old.head == NULL || old.head->next == NULL))
		return;
	arena_init(&fresh, old.src);
	for (const struct var *x = ses->vars; x != NULL; x = x->next) {
		if (var_set(&v, &fresh, VAR_SESS, x->name, &x->value) < 0) {
			arena_reset(&fresh); // no room for both: at the next chance
			return;
		}
	}
	ses->vars = v.head[VAR_SESS];
	ses->arena = fresh;
	arena_reset(&old);
}

void
session_stream_ended(struct session *ses, bool alive)
{
	const struct px_timeouts *t;

	ses->stream = NULL;
	if (!alive) {
		session_free(ses);
		return;
	}
	compact_vars(ses);
	ses->idle_us = ses->lc->now_us;
	session_follow(ses);
	t = &ses->fe->timeout;
	if (ses->lc->stopping && mux_is_idle(ses->mx)) {
		mux_close(ses->lc, ses->mx, false);
		session_free(ses);
		return;
	}
	if (t->http_keep_alive != 0)
		set_timer(ses, t->http_keep_alive);
	else
		set_timer(ses, t->http_request != 0 ? t->http_request : t->client);
}

void
session_stop(struct session *ses)
{
	struct mux *mx = ses->mx;

	// one that has not asked yet may be about to
	if (mx == NULL || ses->stream != NULL || ses->nreq == 0 || !mux_is_idle(mx))
		return;
	ses->mx = NULL;
	mux_close(ses->lc, mx, false);
	session_free(ses);
}

/* ---- the mux's server side ---- */

static void *
on_open(struct lcore *lc, void *owner, struct mux *mx, struct muxs *ms)
{
	struct session *ses = owner;
	sl_tick first_exp = ses->timer.deadline;
	struct stream *s;

	(void)mx;
	session_follow(ses);
	s = stream_new(lc, ses);
	if (s == NULL)
		return NULL;
	s->cs = ms;
	s->log.first_us = lc->now_us;
	s->log.first_wall_us = lc->wall_us;
	if (ses->nreq++ > 0)
		s->flags |= ST_F_KEPT;
	muxs_set_msg(ms, &s->req, s->side->req_hdr, HTTP_MAX_HDR);
	// for the first request the time runs from the accept
	if (ses->fe->timeout.http_request != 0)
		s->req_exp = (s->flags & ST_F_KEPT) == 0 && tick_is_set(first_exp)
			? first_exp
			: tick_add(lc->now, ses->fe->timeout.http_request);
	stream_touch_client(s);
	stream_rearm(s);
	return s;
}

static void
on_gone(struct lcore *lc, void *owner, struct mux *mx)
{
	struct session *ses = owner;

	(void)mx;
	(void)lc;
	ses->mx = NULL;
	// HAProxy logs a connection without a request as a bad one, unless "option dontlognull"
	if (ses->nreq == 0)
		end_unused(ses, 400, "CR");
	session_free(ses);
}

static void
on_event(struct lcore *lc, struct muxs *ms, void *user, uint32_t events)
{
	txn_client_event(lc, ms, user, events);
}

static const struct mux_user session_user = {
	.open = on_open,
	.head_mem = stream_head_mem,
	.event = on_event,
	.gone = on_gone,
};

/* ---- accept ---- */

static struct session *
session_new(struct lcore *lc, const struct listen_addr *b, struct conn *c)
{
	struct session *ses;

	if (!limits_take(lc, b)) {
		drop_count(lc, DROP_TCP_MAXCONN);
		return NULL;
	}
	ses = pool_new(&lc->px->sessions);
	if (ses == NULL) {
		drop_count(lc, DROP_TCP_NO_MEM);
		limits_give(lc, b);
		return NULL;
	}
	ses->lc = lc;
	ses->bind = b;
	ses->fe = b->fe;
	ses->accept_us = ses->idle_us = lc->now_us;
	ses->accept_wall_us = lc->wall_us;
	conn_addrs(c, &ses->dst, &ses->src);
	if (unlikely(ses->src.ip.family == ADDR_UNIX)) // as HAProxy logs it
		ses->src.port = (uint16_t)(b - b->fe->binds + 1);
	arena_init(&ses->arena, &lc->px->src);
	wheel_timer_init(&ses->timer, on_timer);
	counter_inc(&px_cnt(lc, ses->fe)->cum_conn);
	counter_inc(&px_cnt(lc, ses->fe)->cur_conn);
	px_max(lc, px_cnt(lc, ses->fe), PX_MAX_CONN, counter_get(&px_cnt(lc, ses->fe)->cur_conn));
	counter_inc(&lc->bind_cnt[b->slot].cum_conn);
	counter_inc(&lc->bind_cnt[b->slot].cur_conn);
	counter_inc(&lc->gen[b->model->place].conns);
	return ses;
}

void *
session_accept(struct lcore *lc, void *cookie, struct conn *c)
{
	struct px_listener *l = cookie;
	struct session *ses;

	if (lc->stopping || !l->open)
		return NULL;
	if (unlikely(lc->pressure >= PRESSURE_SHED) && !l->http) {
		drop_count(lc, DROP_PRESSURE);
		return NULL;
	}
	ses = session_new(lc, l->bind, c);
	if (ses == NULL)
		return NULL;
	px_keepalive(lc, c, ses->fe, PX_O_CLITCPKA);
	if (!l->http) {
		void *s = tcp_mode_open(lc, ses, c);
		if (s == NULL)
			session_free(ses);
		return s;
	}
	ses->mx = mux_new(lc, c, true, &session_user, ses);
	if (ses->mx == NULL) {
		drop_count(lc, DROP_TCP_NO_MEM);
		session_free(ses);
		return NULL;
	}
	set_timer(ses,
		ses->fe->timeout.http_request != 0 ? ses->fe->timeout.http_request
						   : ses->fe->timeout.client);
	return ses->mx;
}
