// SPDX-License-Identifier: BSD-3-Clause
/*
 * A script thread is stuck: its calls end, and another thread serves its place from now on.
 *
 * Runs on: the worker.
 */
#include "dataplane/proxy/call_pair.h"

static void
move_all(struct sl_list *from, struct sl_list *to)
{
	while (!sl_list_is_empty(from)) {
		struct sl_list *n = from->next;

		sl_list_del(n);
		sl_list_add_tail(to, n);
	}
}

/*
 * A call that the thread had taken failed with it: on-error. One that it had not taken, or that waited
 * for a slot, goes to the successor, in its order; without one on-overload decides. The slots are the
 * thread's for ever.
 */
static void
give_up(struct lcore *lc, struct call_pair *old, struct call_pair *succ)
{
	struct call_pair *next = succ != NULL ? succ : old;
	struct sl_list waited;

	sl_list_init(&waited);
	move_all(&old->want_blocks, &waited);
	move_all(&old->waiting, &waited);
	/* lists first: what streams do when they go on may end other streams */
	for (uint32_t i = 0; i < old->nslots; i++) {
		struct call_slot *slot = &old->slots[i];
		struct stream *s = slot->busy ? stream_lookup(lc, slot->stream) : NULL;

		lc->calls_out -= slot->busy;
		if (slot->busy) // main keeps the generation as long as its thread is stuck
			counter_dec(&lc->gen[slot->model->place].slots);
		if (s != NULL && s->call.slot == slot && s->call.seq == slot->seq &&
			!atomic_load_explicit(&slot->taken, memory_order_acquire))
			call_enqueue(next, s);
	}
	while (!sl_list_is_empty(&waited)) {
		struct call_wait *w = sl_list_first(&waited, struct call_wait, node);
		sl_list_del(&w->node);
		call_enqueue(next, sl_container_of(w, struct stream, call));
	}
	for (uint32_t i = 0; i < old->nslots; i++) {
		struct call_slot *slot = &old->slots[i];
		struct stream *s = slot->busy ? stream_lookup(lc, slot->stream) : NULL;
		struct call_result r;

		if (s != NULL && svc_holds(s, slot)) {
			stat_inc(lc, STAT_LUA_ERRORS);
			svc_done(s, slot, CALL_ERROR);
			continue;
		}
		if (s == NULL || s->call.slot != slot || s->call.seq != slot->seq)
			continue;
		s->call.slot = NULL;
		stat_inc(lc, STAT_LUA_ERRORS);
		r = call_by_policy(call_error_policy(s));
		stream_call_done(lc, s, &r);
	}
	while (!sl_list_is_empty(&old->waiting)) {
		struct call_wait *w = sl_list_first(&old->waiting, struct call_wait, node);
		struct stream *s = sl_container_of(w, struct stream, call);
		struct call_result r = call_overloaded(s, call_overload_policy(s));

		call_dequeue(s);
		stream_call_done(lc, s, &r);
	}
}

void
call_moved(struct lcore *lc, const struct xmsg *m)
{
	struct call_lcore *cl = *px_calls(lc);
	struct call_spare *sp = (struct call_spare *)(uintptr_t)m->w[3];
	uint16_t place = (uint16_t)m->w[1];
	int16_t to = (int16_t)m->w[2], from = cl->route[place];
	struct call_pair *succ = NULL;

	sl_assert(place < cl->nplaces && from >= 0);
	cl->route[place] = to;
	if (to >= 0) {
		sl_assert(to == cl->npairs);
		sp->next = cl->spare;
		cl->spare = sp;
		succ = &cl->pair[to];
		call_pair_init(succ, sp->slots, sp->nslots);
		cl->npairs = (uint16_t)(to + 1);
		lc->nscripts = cl->npairs;
	}
	cl->pair[from].given_up = true;
	give_up(lc, &cl->pair[from], succ);
	if (succ != NULL)
		call_serve_waiting(lc, succ);
}
