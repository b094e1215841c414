// SPDX-License-Identifier: BSD-3-Clause
/*
 * Requests that wait for a server below its maxconn.
 *
 * One FIFO per worker and backend. A worker with waiters sets its bit in the backend's mask and
 * then looks for room once more, so that a token released in between is not lost; a worker that
 * releases a token serves its own waiters first, else tells one of the others by message. If the
 * mesh is full the waiting worker finds out by its poll timer.
 */
#include "dataplane/balance/bal.h"

#include "dataplane/base/hot.h"

static struct bal_queue *
queue_of(const struct lcore *lc, const struct proxy *be)
{
	return &lc->bal->queue[be->slot];
}

uint32_t
queue_len(const struct lcore *lc, const struct proxy *be)
{
	return gauge_get(&queue_of(lc, be)->count);
}

static void
set_waiting(struct lcore *lc, const struct proxy *be, bool on)
{
	_Atomic(uint64_t) *mask = &lc->bal->shared->px[be->slot].waiters;

	if (on)
		atomic_fetch_or(mask, 1ull << lc->id);
	else
		atomic_fetch_and(mask, ~(1ull << lc->id));
}

void
queue_add(struct lcore *lc, struct bal_wait *w)
{
	struct bal_queue *q = queue_of(lc, w->be);

	w->ahead = gauge_get(&q->count);
	sl_list_add_tail(&q->list, &w->node);
	px_max(lc, &lc->px_cnt[w->be->be_slot], PX_MAX_QUEUED, w->ahead + 1u);
	lc->bal->nwaiting++;
	lc->bal->nqueues = sl_max(lc->bal->nqueues, w->be->slot + 1);
	gauge_add(&q->count, 1);
	if (gauge_get(&q->count) == 1)
		set_waiting(lc, w->be, true);
	lc->bal->released = true; // the second look
	if (!tick_is_set(lc->bal->poll.deadline))
		wheel_arm(&lc->wheel, &lc->bal->poll, tick_add(lc->now, QUEUE_POLL_MS));
}

void
queue_del(struct lcore *lc, struct bal_wait *w)
{
	struct bal_queue *q;

	if (w->node.next == NULL || sl_list_is_empty(&w->node))
		return;
	q = queue_of(lc, w->be);
	sl_list_del(&w->node);
	lc->bal->nwaiting--;
	gauge_add(&q->count, -1);
	if (gauge_get(&q->count) == 0)
		set_waiting(lc, w->be, false);
}

/* Takes a token for a waiter; NULL: none of its servers has room. */
static const struct server *
take_for(struct lcore *lc, const struct bal_wait *w)
{
	const struct server *srv;
	bool full;

	do
		srv = lb_pick(lc, w->be, &w->key, NULL, &full);
	while (srv != NULL && !srv_take(lc, srv)); // another worker was faster
	return srv;
}

/*
 * The first that can be served; its token is taken. Who is bound to a server by a hash does not hold
 * up those behind; elsewhere what the first cannot get, nobody can, but who sees another generation of
 * the backend, with other servers.
 */
static struct bal_wait *
next_served(struct lcore *lc, struct bal_queue *q, const struct server **srv)
{
	const struct proxy *full = NULL;

	sl_list_foreach(n, &q->list) {
		struct bal_wait *w = sl_list_entry(n, struct bal_wait, node);

		if (w->be == full)
			continue;
		*srv = take_for(lc, w);
		if (*srv != NULL)
			return w;
		if (w->be->lb == LB_HASH)
			continue;
		full = w->be;
		if (sl_list_entry(q->list.prev, struct bal_wait, node)->be == full)
			break;
	}
	return NULL;
}

/* Serves the FIFO of one backend as far as there is room. */
static void
serve(struct lcore *lc, struct bal_queue *q)
{
	const struct server *srv;
	struct bal_wait *w;

	while ((w = next_served(lc, q, &srv)) != NULL) {
		queue_del(lc, w);
		w->ready(lc, w, srv);
	}
}

static sl_apart void
run_queues(struct lcore *lc)
{
	struct bal_lcore *b = lc->bal;

	b->running = true;
	while (b->released && b->nwaiting > 0) {
		b->released = false;
		for (uint32_t i = 0; i < b->nqueues; i++)
			if (gauge_get(&b->queue[i].count) > 0)
				serve(lc, &b->queue[i]);
	}
	b->running = false;
}

void
queue_run(struct lcore *lc)
{
	const struct bal_lcore *b = lc->bal;

	if (unlikely(b->nwaiting != 0) && b->released && !b->running)
		run_queues(lc);
}

void
queue_kick(struct lcore *lc)
{
	lc->bal->released = true;
}

void
queue_on_poll(void *ctx, struct wheel_timer *t)
{
	struct lcore *lc = ctx;

	lc->bal->released = true;
	queue_run(lc);
	if (lc->bal->nwaiting > 0)
		wheel_arm(&lc->wheel, t, tick_add(lc->now, QUEUE_POLL_MS));
}

void
queue_released(struct lcore *lc, const struct server *srv)
{
	struct xmsg m = { .w = { XMSG_SRV_TOKEN, srv->be->slot } };
	uint64_t mask, turned;
	uint32_t shift, to;

	lc->bal->released = true;
	if (gauge_get(&queue_of(lc, srv->be)->count) > 0)
		return;
	mask = atomic_load(&lc->bal->shared->px[srv->be->slot].waiters) & ~(1ull << lc->id);
	if (likely(mask == 0))
		return;
	// the next one behind us, so that no worker is always first
	shift = (lc->id + 1u) & 63u;
	turned = shift == 0 ? mask : (mask >> shift | mask << (64 - shift));
	to = ((uint32_t)__builtin_ctzll(turned) + shift) & 63u;
	lcore_mesh_push(lc, (uint16_t)to, &m);
}

void
bal_message(struct lcore *lc, const struct xmsg *m)
{
	if ((m->w[0] & 0xffff) != XMSG_SRV_TOKEN)
		return;
	lc->bal->released = true;
	queue_run(lc);
}
