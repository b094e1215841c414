// SPDX-License-Identifier: BSD-3-Clause
/*
 * HTTP/1 connections: streams one after the other, keep-alive, pipelining, and the end.
 *
 * Runs on: the worker that owns the connection. mux_run() is the only place that calls users; it
 * never nests for one connection: what happens inside an event sets MX_AGAIN and is done when the
 * event returns. A stream that ends outside of its connection's events is followed up in the next
 * loop (the ready list), so that flows never recurse through several connections.
 * Follows: RFC 9112 9.3 (persistence), 9.6 (ending without losing the answer).
 */
#include "dataplane/mux/mux_h1.h"

#include "dataplane/base/hot.h"

#define SCRATCH_SIZE (HTTP_MAX_HEAD + 2 * HTTP_REWRITE)
#define MAX_STREAMS  65536u // beyond, streams are fewer than connections

/* ---- the lists that timers serve ---- */

static void
ready_add(struct lcore *lc, struct mux *mx)
{
	struct mux_lcore *ml = lc->mux;

	if ((mx->flags & MX_BUSY) != 0) {
		mx->flags |= MX_AGAIN;
		return;
	}
	sl_list_del(&mx->node);
	sl_list_add_tail(&ml->ready, &mx->node);
	wheel_arm(&lc->wheel, &ml->ready_timer, lc->now);
}

static void
on_ready(void *ctx, struct wheel_timer *t)
{
	struct lcore *lc = ctx;
	struct mux_lcore *ml = sl_container_of(t, struct mux_lcore, ready_timer);
	struct sl_list todo;

	// only what stands there now: what it leads to waits for the next loop
	sl_list_init(&todo);
	while (!sl_list_is_empty(&ml->ready)) {
		struct sl_list *n = ml->ready.next;
		sl_list_del(n);
		sl_list_add_tail(&todo, n);
	}
	while (!sl_list_is_empty(&todo)) {
		struct mux *mx = sl_list_first(&todo, struct mux, node);
		sl_list_del(&mx->node);
		mux_run(lc, mx);
	}
}

static void
mux_release(struct lcore *lc, struct mux *mx)
{
	sl_list_del(&mx->node);
	mx->c = NULL;
	if ((mx->flags & MX_BUSY) != 0)
		mx->flags |= MX_DEAD;
	else
		pool_free(&lc->mux->muxes, mx);
}

static void
on_linger(void *ctx, struct wheel_timer *t)
{
	struct lcore *lc = ctx;
	struct mux_lcore *ml = sl_container_of(t, struct mux_lcore, linger_timer);

	while (!sl_list_is_empty(&ml->linger)) {
		struct mux *mx = sl_list_first(&ml->linger, struct mux, node);

		if (!tick_is_expired(mx->linger_at, lc->now)) {
			wheel_arm(&lc->wheel, t, mx->linger_at);
			return;
		}
		conn_close(lc, mx->c);
		mux_release(lc, mx);
	}
}

/* ---- ends ---- */

static void
stream_free(struct lcore *lc, struct mux *mx, struct muxs *ms)
{
	h1_head_release(lc, ms);
	chain_free(lc, &ms->stash);
	mx->ms = NULL;
	mx->seq++;
	pool_free(&lc->mux->streams, ms);
}

/* Our end is sent; reads on until the client has ended too, for a bounded time. */
static sl_apart void
linger(struct lcore *lc, struct mux *mx)
{
	struct mux_lcore *ml = lc->mux;
	struct conn *c = mx->c;
	uint32_t n = conn_rx(c)->len;

	if (conn_rx_eof(c)) {
		conn_close(lc, c);
		mux_release(lc, mx);
		return;
	}
	conn_shutdown(lc, c);
	if (n > 0)
		conn_rx_drop(lc, c, n);
	mx->flags |= MX_LINGER;
	mx->owner = NULL;
	mx->linger_at = tick_add(lc->now, MUX_LINGER_MS);
	sl_list_del(&mx->node);
	sl_list_add_tail(&ml->linger, &mx->node);
	if (!tick_is_set(ml->linger_timer.deadline))
		wheel_arm(&lc->wheel, &ml->linger_timer, mx->linger_at);
}

static sl_apart void
linger_event(struct lcore *lc, struct mux *mx, uint32_t events)
{
	uint32_t n = (events & CONN_EV_CLOSED) != 0 ? 0 : conn_rx(mx->c)->len;

	if (n > 0)
		conn_rx_drop(lc, mx->c, n);
	if ((events & CONN_EV_CLOSED) == 0 && !conn_rx_eof(mx->c))
		return;
	conn_close(lc, mx->c);
	mux_release(lc, mx);
}

void
mux_close(struct lcore *lc, struct mux *mx, bool reset)
{
	sl_assert(mx->ms == NULL);
	if (mx->c != NULL && reset)
		conn_abort(lc, mx->c);
	else if (mx->c != NULL)
		conn_close(lc, mx->c);
	mux_release(lc, mx);
}

/* The user's side of a connection that ended without a stream. */
static sl_apart void
tell_gone(struct lcore *lc, struct mux *mx)
{
	if (mx->c != NULL) {
		conn_close(lc, mx->c);
		mx->c = NULL;
	}
	mx->u->gone(lc, mx->owner, mx);
	mux_release(lc, mx);
}

/* Server side: answer sent whole or not, request read whole or not. */
static bool
detach_server(struct lcore *lc, struct mux *mx, struct muxs *ms)
{
	uint32_t f = ms->flags;
	bool until_close = ms->tx_framing == HTTP_BODY_CLOSE;

	if ((f & MS_DISCARD) != 0)
		h1_discard(lc, ms);
	f = ms->flags;
	stream_free(lc, mx, ms);
	if (mx->c == NULL) {
		mux_release(lc, mx);
		return false;
	}
	if ((f & (MS_RX_DONE | MS_TX_DONE | MS_KEEP | MS_CLOSE)) ==
		(MS_RX_DONE | MS_TX_DONE | MS_KEEP)) {
		if (conn_rx(mx->c)->len > 0 || conn_rx_eof(mx->c))
			ready_add(lc, mx);
		return true;
	}
	if ((f & MS_TX_DONE) == 0 && (f & MS_TX_HEAD) != 0 && until_close) {
		// an orderly end would make half an answer look like a whole one
		mux_close(lc, mx, true);
		return false;
	}
	if ((f & MS_RX_DONE) == 0 || (f & MS_KEEP) != 0 || conn_rx(mx->c)->len > 0)
		linger(lc, mx); // more may be on its way
	else
		mux_close(lc, mx, false);
	return false;
}

static bool
detach_client(struct lcore *lc, struct mux *mx, struct muxs *ms)
{
	uint32_t f = ms->flags;
	bool whole = (f & (MS_RX_DONE | MS_TX_DONE)) == (MS_RX_DONE | MS_TX_DONE);

	stream_free(lc, mx, ms);
	if (mx->c != NULL && whole && (f & (MS_KEEP | MS_CLOSE)) == MS_KEEP &&
		conn_rx(mx->c)->len == 0 && !conn_rx_eof(mx->c))
		return true;
	mux_close(lc, mx, !whole);
	return false;
}

bool
muxs_detach(struct lcore *lc, struct muxs *ms)
{
	struct mux *mx = ms->mx;

	return (mx->flags & MX_SERVER) != 0 ? detach_server(lc, mx, ms) : detach_client(lc, mx, ms);
}

/* ---- streams ---- */

static struct muxs *
stream_new(struct lcore *lc, struct mux *mx, void *user)
{
	struct muxs *ms = pool_new(&lc->mux->streams);

	if (ms == NULL)
		return NULL;
	ms->mx = mx;
	ms->user = user;
	ms->first_us = lc->now_us;
	mx->ms = ms;
	mx->seq++;
	return ms;
}

/*
 * Empty lines before a request are no request (RFC 9112 2.2), nor do they start one for timeouts.
 * Returns whether something else is there.
 */
static bool
skip_empty_lines(struct lcore *lc, struct conn *c)
{
	for (;;) {
		const struct chain *rx = conn_rx(c);
		uint32_t n = 0, len;
		const char *p;

		if (rx->head == NULL)
			return false;
		p = rte_pktmbuf_mtod(rx->head, const char *);
		len = rx->head->data_len;
		while (n < len && (p[n] == '\r' || p[n] == '\n'))
			n++;
		if (n == 0)
			return true;
		conn_rx_drop(lc, c, n);
	}
}

/* Server side without a stream: the next request, the end, or nothing. */
static void
open_next(struct lcore *lc, struct mux *mx)
{
	struct muxs *ms;

	if (mx->c != NULL && skip_empty_lines(lc, mx->c)) {
		ms = stream_new(lc, mx, NULL);
		if (ms != NULL)
			ms->user = mx->u->open(lc, mx->owner, mx, ms);
		if (ms != NULL && ms->user != NULL) {
			mx->flags |= MX_AGAIN;
			return;
		}
		if (ms != NULL)
			stream_free(lc, mx, ms);
		conn_abort(lc, mx->c);
		mx->c = NULL;
		tell_gone(lc, mx);
		return;
	}
	if (mx->c == NULL || conn_rx_eof(mx->c))
		tell_gone(lc, mx);
}

/* Without a stream: server side opens one; an idle client side must stay silent. */
static void
run_idle(struct lcore *lc, struct mux *mx)
{
	if ((mx->flags & MX_SERVER) != 0)
		open_next(lc, mx);
	else if (mx->c == NULL || conn_rx(mx->c)->len > 0 || conn_rx_eof(mx->c))
		tell_gone(lc, mx);
}

/* What there is to tell about the body. */
static uint32_t
body_events(struct lcore *lc, struct muxs *ms)
{
	bool eof;

	if ((ms->flags & MS_DISCARD) != 0)
		h1_discard(lc, ms);
	if ((ms->flags & MS_RX_DONE) != 0)
		return MUX_EV_EOM;
	if (muxs_rx_ready(ms) > 0)
		return MUX_EV_BODY;
	eof = h1_rx_eof(ms);
	if (!eof)
		return 0;
	if (ms->rx_framing == HTTP_BODY_CLOSE || ms->rx_framing == HTTP_BODY_TUNNEL)
		return MUX_EV_BODY; // muxs_recv() gives the end
	if (ms->err == MUX_OK)
		ms->err = MUX_ERR_EOF;
	return 0;
}

static uint32_t
collect(struct lcore *lc, struct muxs *ms)
{
	uint32_t ev = ms->pend;

	ms->pend = 0;
	if (unlikely(ms->msg == NULL) && h1_rx(ms)->len > 0) {
		// a server that speaks before it was asked: its bytes wait until the user, which
		// hears of the connection now, has said where a head goes
		if ((ev & MUX_EV_CONNECTED) != 0)
			ms->mx->flags |= MX_AGAIN;
	} else if ((ms->flags & MS_HEAD_DONE) == 0 && ms->err == MUX_OK) {
		if (h1_head_parse(lc, ms) == 0) {
			bool interim = (ms->mx->flags & MX_SERVER) == 0 && ms->msg->status < 200 &&
				ms->msg->status != 101;
			ev |= interim ? MUX_EV_INTERIM : MUX_EV_HEAD;
			if (!interim)
				ev |= body_events(lc, ms);
		}
	} else if ((ms->flags & (MS_HEAD_DONE | MS_RX_DONE)) == MS_HEAD_DONE && ms->err == MUX_OK) {
		ev |= body_events(lc, ms);
	}
	if ((ms->flags & MS_OVER) != 0 && ms->err == MUX_OK &&
		(ms->flags & (MS_RX_DONE | MS_TX_DONE)) != (MS_RX_DONE | MS_TX_DONE) &&
		(ev & (MUX_EV_BODY | MUX_EV_HEAD)) == 0)
		ms->err = MUX_ERR_RESET;
	if (ms->err != MUX_OK && (ms->flags & MS_ERR_TOLD) == 0) {
		ms->flags |= MS_ERR_TOLD;
		ev |= MUX_EV_ERROR;
	}
	if (h1_rx_eof(ms) && (ms->flags & (MS_SHUT_TOLD | MS_RX_DONE)) == MS_RX_DONE) {
		ms->flags |= MS_SHUT_TOLD;
		ev |= MUX_EV_SHUT;
	}
	return ev;
}

static void
run_stream(struct lcore *lc, struct mux *mx)
{
	struct muxs *ms = mx->ms;
	uint32_t seq = mx->seq, ev = collect(lc, ms);

	if (ev == 0)
		return;
	mx->u->event(lc, ms, ms->user, ev);
	if (mx->seq != seq || (mx->flags & MX_DEAD) != 0)
		return; // ended inside: another may stand there now
	h1_head_release(lc, ms);
	if ((ev & MUX_EV_INTERIM) != 0) {
		h1_head_reset(ms);
		mx->flags |= MX_AGAIN;
	}
}

/*
 * A message has begun, and all that came of it is used up: a peer that sends small pieces waits for
 * our acknowledgement, and we would wait for something to ride on.
 */
static bool
waits_for_more(const struct mux *mx)
{
	const struct muxs *ms = mx->ms;

	if ((ms->flags & (MS_RX_DONE | MS_OVER)) != 0)
		return false;
	if ((ms->flags & MS_HEAD_DONE) == 0)
		return conn_rx(mx->c)->len > 0;
	return conn_rx(mx->c)->len == 0;
}

void
mux_run(struct lcore *lc, struct mux *mx)
{
	if ((mx->flags & MX_BUSY) != 0) {
		mx->flags |= MX_AGAIN;
		return;
	}
	mx->flags |= MX_BUSY;
	do {
		mx->flags &= ~MX_AGAIN;
		if (mx->ms != NULL)
			run_stream(lc, mx);
		else
			run_idle(lc, mx);
	} while ((mx->flags & (MX_AGAIN | MX_DEAD | MX_LINGER)) == MX_AGAIN);
	if (!(mx->flags & MX_DEAD) && mx->c != NULL && mx->ms != NULL && waits_for_more(mx))
		conn_ack_now(lc, mx->c);
	mx->flags &= ~MX_BUSY;
	if ((mx->flags & MX_DEAD) != 0)
		pool_free(&lc->mux->muxes, mx);
}

/* ---- events of the connection ---- */

/*
 * It is dead: keep what was received for the stream, and let go. What a server said before it reset the
 * connection counts, a whole answer too: those that close with a part of the request unread reset it
 * (RFC 9112 9.6). A client that reset it hears nothing more.
 */
static sl_apart void
on_closed(struct lcore *lc, struct mux *mx)
{
	struct conn *c = mx->c;
	struct muxs *ms = mx->ms;

	mx->err = (int16_t)conn_error(c);
	if (ms != NULL) {
		uint32_t n = conn_rx(c)->len;
		bool heard = mx->err == 0 || (mx->flags & MX_SERVER) == 0;

		if (n > 0 && heard)
			conn_rx_take(lc, c, n, &ms->stash);
		ms->flags |= MS_OVER;
		if (mx->err != 0 && ms->err == MUX_OK && ms->stash.len == 0)
			ms->err = MUX_ERR_RESET;
	}
	conn_close(lc, c);
	mx->c = NULL;
}

void
mux_conn_event(struct lcore *lc, struct conn *c, void *user, uint32_t events)
{
	struct mux *mx = user;

	if (mx->c == NULL)
		mx->c = c;
	if (unlikely((mx->flags & MX_LINGER) != 0)) {
		linger_event(lc, mx, events);
		return;
	}
	if (mx->ms != NULL) {
		uint32_t pend = 0;

		if ((events & CONN_EV_CONNECTED) != 0)
			pend |= MUX_EV_CONNECTED;
		if ((events & CONN_EV_WRITABLE) != 0)
			pend |= MUX_EV_SPACE;
		if ((events & CONN_EV_ACKED) != 0)
			pend |= MUX_EV_SENT;
		mx->ms->pend |= pend;
	}
	if ((events & CONN_EV_CONNECTED) != 0)
		mx->flags |= MX_CONNECTED;
	if (unlikely((events & CONN_EV_CLOSED) != 0))
		on_closed(lc, mx);
	mux_run(lc, mx);
}

/* ---- life ---- */

struct mux *
mux_new(struct lcore *lc, struct conn *c, bool server, const struct mux_user *u, void *owner)
{
	struct mux *mx = pool_new(&lc->mux->muxes);

	if (mx == NULL)
		return NULL;
	sl_list_init(&mx->node);
	mx->c = c;
	mx->u = u;
	mx->owner = owner;
	mx->flags = server ? MX_SERVER | MX_CONNECTED : 0;
	return mx;
}

void
mux_set_conn(struct mux *mx, struct conn *c)
{
	mx->c = c;
}

struct conn *
mux_conn(const struct mux *mx)
{
	return mx->c;
}

void *
mux_owner(const struct mux *mx)
{
	return mx->owner;
}

void
mux_set_owner(struct mux *mx, const struct mux_user *u, void *owner)
{
	mx->u = u;
	mx->owner = owner;
}

bool
mux_is_reusable(const struct mux *mx)
{
	return mx->c != NULL && mx->ms == NULL &&
		(mx->flags & (MX_CONNECTED | MX_CLOSE | MX_SERVER | MX_DEAD)) == MX_CONNECTED &&
		conn_rx(mx->c)->len == 0 && !conn_rx_eof(mx->c);
}

bool
mux_is_idle(const struct mux *mx)
{
	return mx->ms == NULL && (mx->c == NULL || conn_rx(mx->c)->len == 0);
}

int
muxs_conn_error(const struct muxs *ms)
{
	return ms->mx->c != NULL ? conn_error(ms->mx->c) : ms->mx->err;
}

/* One that is still connecting takes its stream too; it waits for MUX_EV_CONNECTED. */
struct muxs *
mux_attach_stream(struct lcore *lc, struct mux *mx, void *user)
{
	if (mx->ms != NULL || ((mx->flags & MX_CONNECTED) != 0 && !mux_is_reusable(mx)))
		return NULL;
	return stream_new(lc, mx, user);
}

struct mux *
muxs_mux(const struct muxs *ms)
{
	return ms->mx;
}

void
muxs_set_user(struct muxs *ms, void *user)
{
	ms->user = user;
}

static sl_cold size_t
region(size_t n)
{
	return SL_ALIGN_UP(n, (size_t)SL_CACHE_LINE);
}

sl_cold size_t
mux_memory(uint32_t max_mux)
{
	return region(sizeof(struct mux_lcore)) +
		region(pool_bytes(max_mux, sizeof(struct mux))) +
		region(pool_bytes(sl_min(max_mux, MAX_STREAMS), sizeof(struct muxs))) +
		SCRATCH_SIZE;
}

int
mux_attach(struct lcore *lc, uint32_t max_mux)
{
	uint32_t nstreams = sl_min(max_mux, MAX_STREAMS);
	size_t own = region(sizeof(struct mux_lcore));
	size_t a = region(pool_bytes(max_mux, sizeof(struct mux)));
	size_t size = mux_memory(max_mux);
	uint8_t *mem = lcore_map(size, SOCKET_ID_ANY);
	struct mux_lcore *ml = (struct mux_lcore *)mem;

	if (mem == NULL)
		return -ENOMEM;
	ml->mem = mem;
	ml->mem_size = size;
	pool_init(&ml->muxes, mem + own, max_mux, sizeof(struct mux));
	pool_init(&ml->streams, mem + own + a, nstreams, sizeof(struct muxs));
	ml->scratch = (char *)mem + size - SCRATCH_SIZE;
	ml->scratch_size = SCRATCH_SIZE;
	sl_list_init(&ml->ready);
	sl_list_init(&ml->linger);
	wheel_timer_init(&ml->ready_timer, on_ready);
	wheel_timer_init(&ml->linger_timer, on_linger);
	lc->mux = ml;
	return 0;
}

sl_cold void
mux_detach(struct lcore *lc)
{
	struct mux_lcore *ml = lc->mux;

	if (ml == NULL)
		return;
	wheel_cancel(&lc->wheel, &ml->ready_timer);
	wheel_cancel(&lc->wheel, &ml->linger_timer);
	lc->mux = NULL;
	lcore_unmap(ml->mem, ml->mem_size);
}

/* The owner's first lines: a session's timer, and what a new request copies from it. */
void
mux_conn_prefetch(const void *user)
{
	const char *owner = ((const struct mux *)user)->owner;

	for (uint32_t i = 0; owner != NULL && i < 4; i++)
		__builtin_prefetch(owner + (size_t)i * SL_CACHE_LINE);
}

const struct conn_handler mux_conn_handler = {
	.event = mux_conn_event,
	.prefetch = mux_conn_prefetch,
};
