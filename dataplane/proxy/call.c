// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls to script threads: snapshot out, ordered writes in, and what happens when a script errs, is
 * slow, or there is no room.
 *
 * Runs on: the worker that owns the stream; the slots belong to it but for the time between CALL and
 * CALL_DONE. Slots are a fixed array per (worker, script thread); streams that find none wait in a
 * FIFO, bounded by their deadlines and by the number of streams.
 * A deadline that passes is decided by on-overload, also when the script has started: a flood of
 * slow calls must not switch off a script that guards something. on-error is for what the script
 * itself did. A call that cannot be made, whose writes do not fit, or that fails after its slot had no room
 * for something, is decided by on-overload, too: heads and variables are the client's, who must not be able
 * to switch a script off. A script that catches such an error and ends well has said what it wants.
 * Not here: running Lua (control/script).
 */
#include "dataplane/proxy/call_pair.h"

#include "dataplane/base/hot.h"

/* ---- starting ---- */

static uint16_t
place_of(const struct call_lcore *cl, const struct stream *s)
{
	if (s->call.call->fn & CALL_FN_PER_THREAD)
		return (uint16_t)(s->unique % cl->nplaces); // all calls of a stream to one thread
	return 0;
}

/* NULL: that script thread is gone for good. */
static struct call_pair *
pair_of(struct call_lcore *cl, const struct stream *s)
{
	int16_t i = cl->route[place_of(cl, s)];

	return i >= 0 ? &cl->pair[i] : NULL;
}

/* Would the heads alone leave too little of a slot's own memory? */
static bool
wants_block(const struct stream *s)
{
	uint32_t n = HTTP_REWRITE;

	if (s->view.req != NULL)
		n += s->view.req->len;
	if (s->view.res != NULL)
		n += s->view.res->len;
	return n > CALL_DATA - CALL_ROOM;
}

static int
fill(struct call_lcore *cl, struct call_slot *slot, struct stream *s, sl_tick exp)
{
	int rc = -EMSGSIZE;

	if (likely(!wants_block(s)))
		rc = call_snapshot(slot, s, exp);
	if (unlikely(rc == 0 && call_room(slot) < CALL_ROOM))
		rc = -EMSGSIZE; // variables, a converter's input
	if (likely(rc != -EMSGSIZE))
		return rc;
	slot->block = cl->blocks;
	if (slot->block == NULL)
		return -EAGAIN;
	cl->blocks = slot->block->next_free;
	return call_snapshot(slot, s, exp);
}

/*
 * 0: on its way; -EMSGSIZE: too large for a block; -EAGAIN: it needs a block, and there is none. exp:
 * when the stream stops waiting.
 */
static int
launch(struct lcore *lc, struct call_pair *p, struct call_slot *slot, struct stream *s, sl_tick exp)
{
	struct xmsg m = { .w = { XMSG_CALL, (uintptr_t)slot } };
	struct xpair *x = &lc->script[slot->script];
	struct call_lcore *cl = *px_calls(lc);
	int rc = fill(cl, slot, s, exp);

	if (rc == 0 && !xring_push(&x->from, &m))
		rc = -EMSGSIZE; // cannot be: the ring holds four messages of each slot
	if (rc < 0) {
		call_slot_put(cl, p, slot);
		if (rc != -EAGAIN)
			stat_inc(lc, STAT_LUA_ERRORS);
		return rc;
	}
	x->dirty = true;
	lc->calls_out++;
	counter_inc(&lc->gen[slot->model->place].slots);
	stat_inc(lc, STAT_LUA_CALLS);
	s->call.slot = slot;
	s->call.seq = slot->seq;
	return 0;
}

static void
wait_in(struct sl_list *list, struct call_pair *p, struct stream *s)
{
	s->call.slot = NULL;
	sl_list_add_tail(list, &s->call.node);
	s->call.queued = true;
	s->call.queued_at = p;
	p->nwaiting++;
}

/* Behind those that wait for a slot. */
void
call_enqueue(struct call_pair *p, struct stream *s)
{
	wait_in(&p->waiting, p, s);
}

void
call_dequeue(struct stream *s)
{
	sl_list_del(&s->call.node);
	s->call.queued = false;
	s->call.queued_at->nwaiting--;
}

/*
 * Sends the call that s->call names, or lets it wait for a slot until s->call.exp. False: answered at
 * once, by *r.
 */
static bool
send_call(struct stream *s, struct call_result *r)
{
	struct lcore *lc = s->lc;
	struct call_lcore *cl = *px_calls(lc);
	struct call_pair *p = pair_of(cl, s);
	struct call_slot *slot;

	if (unlikely(p == NULL)) {
		stat_inc(lc, STAT_LUA_NO_SLOT);
		*r = call_overloaded(s, call_overload_policy(s));
		return false;
	}
	// who waits longer is served first
	slot = sl_list_is_empty(&p->waiting) ? call_slot_get(p) : NULL;
	int rc = slot != NULL ? launch(lc, p, slot, s, s->call.exp) : -EAGAIN;
	if (rc < 0 && rc != -EAGAIN) {
		*r = call_overloaded(s, call_overload_policy(s));
		return false;
	}
	if (rc == -EAGAIN) {
		struct call_choice op = call_overload_policy(s);
		stat_inc(lc, STAT_LUA_NO_SLOT);
		if (op.kind != CALL_POLICY_WAIT) {
			*r = call_overloaded(s, op);
			return false;
		}
		call_count_wait(s);
		// who lacks a block holds up nobody who needs none
		wait_in(slot != NULL ? &p->want_blocks : &p->waiting, p, s);
	}
	stream_set_call_deadline(s, s->call.exp);
	return true;
}

enum act_ret
call_start(struct stream *s, const struct prog_call *c, const struct sample *in, struct sample *out)
{
	struct lcore *lc = s->lc;
	struct call_lcore *cl = *px_calls(lc);
	struct call_result r;

	s->call.call = c;
	s->call.slot = NULL;
	s->call.again = false;
	s->call.in.type = T_ANY;
	if (in != NULL)
		s->call.in = *in;
	if (c->kind == 'c' && !sample_cast(&s->call.in, T_STR, &s->arena)) {
		r = (struct call_result){ .verdict = CALLV_CONT }; // the conversion fails
		return stream_call_now(s, &r, out);
	}
	if (unlikely(cl->npairs == 0)) { // no script thread runs: nobody will ever answer
		stat_inc(lc, STAT_LUA_ERRORS);
		r = call_by_policy(call_error_policy(s));
		return stream_call_now(s, &r, out);
	}
	s->call.exp = tick_add(lc->now, call_deadline_ms(s));
	return send_call(s, &r) ? ACT_SUSPEND : stream_call_now(s, &r, out);
}

/* The first of a list gets a slot; -EAGAIN: there is no block for it. */
static int
serve_first(struct lcore *lc, struct call_pair *p, struct sl_list *list)
{
	struct call_wait *w = sl_list_first(list, struct call_wait, node);
	struct stream *s = sl_container_of(w, struct stream, call);
	int rc = launch(lc, p, call_slot_get(p), s, s->call.exp);

	if (rc == -EAGAIN && list == &p->want_blocks)
		return rc;
	call_dequeue(s);
	if (rc == -EAGAIN) {
		wait_in(&p->want_blocks, p, s);
	} else if (rc < 0) {
		struct call_result r = call_overloaded(s, call_overload_policy(s));
		stream_call_done(lc, s, &r);
	}
	return rc;
}

static void
serve_blocks(struct lcore *lc, struct call_pair *p)
{
	const struct call_lcore *cl = *px_calls(lc);

	while (p->unused != NULL && cl->blocks != NULL && !sl_list_is_empty(&p->want_blocks)) {
		if (serve_first(lc, p, &p->want_blocks) == -EAGAIN)
			return;
	}
}

/* Blocks are shared by all pairs: one that comes back may be what another pair's stream waits for. */
void
call_serve_waiting(struct lcore *lc, struct call_pair *p)
{
	struct call_lcore *cl = *px_calls(lc);

	serve_blocks(lc, p);
	while (p->unused != NULL && !sl_list_is_empty(&p->waiting))
		(void)serve_first(lc, p, &p->waiting);
	for (uint16_t i = 0; i < cl->npairs && cl->blocks != NULL; i++)
		serve_blocks(lc, &cl->pair[i]);
}

/* ---- ending early ---- */

void
call_drop(struct lcore *lc, struct call_slot *slot, uint32_t seq)
{
	struct xmsg m = { .w = { XMSG_CALL_CANCEL, (uintptr_t)slot, seq } };

	if (slot->asked)
		call_told(lc, slot, -ECANCELED);
	// when full, the script runs to its end for nobody
	if (xring_push(&lc->script[slot->script].from, &m))
		lc->script[slot->script].dirty = true;
}

/* The stream no longer waits; the slot comes back with CALL_DONE. */
static void
let_go(struct lcore *lc, struct stream *s)
{
	if (s->call.queued)
		call_dequeue(s);
	if (s->call.slot != NULL)
		call_drop(lc, s->call.slot, s->call.seq);
	s->call.slot = NULL;
}

void
call_cancel(struct lcore *lc, struct stream *s)
{
	let_go(lc, s);
}

void
call_deadline(struct lcore *lc, struct stream *s)
{
	struct call_result r;

	if (s->call.again && !tick_is_expired(s->call.exp, lc->now)) {
		s->call.again = false;
		if (!send_call(s, &r))
			stream_call_done(lc, s, &r);
		return;
	}
	s->call.again = false;
	r = call_overloaded(s, call_overload_policy(s));
	stat_inc(lc, STAT_LUA_DEADLINE);
	call_count_late(s);
	let_go(lc, s);
	stream_call_done(lc, s, &r);
}

/* ---- verdict: slot -> worker ---- */

/* HAProxy's act.* values but YIELD. */
static struct call_result
by_act(int32_t act)
{
	switch (act) {
	case 1:
	case 4: // DONE: HAProxy 2.6 goes on to the server, whatever its manual says
		return (struct call_result){ .verdict = CALLV_STOP };
	case 3:
		return (struct call_result){ .verdict = CALLV_ERROR };
	case 5:
		return (struct call_result){ .verdict = CALLV_DENY };
	case 6:
		return (struct call_result){ .verdict = CALLV_ABORT };
	case 7:
		return (struct call_result){ .verdict = CALLV_ERROR, .status = 400 };
	default:
		return (struct call_result){ .verdict = CALLV_CONT };
	}
}

#define YIELD_MS 10 // act.YIELD without act.wake_time()

/* What the script did before it failed stays done, as in HAProxy. value: storage for the result. */
static struct call_result
conclude(struct lcore *lc, struct stream *s, struct call_slot *slot, struct sample *value)
{
	struct call_result r = { .verdict = CALLV_CONT };
	int rc = call_apply(s, slot);

	if (slot->end != CALL_OK || rc < 0)
		stat_inc(lc, STAT_LUA_ERRORS);
	if (rc < 0 || (slot->end != CALL_OK && slot->full)) // half of what it did, or would have done
		return call_overloaded(s, call_overload_policy(s));
	if (slot->end != CALL_OK)
		return call_by_policy(call_error_policy(s));
	if (slot->kind == 'a' && slot->reply_status != 0)
		return (struct call_result){ .verdict = CALLV_REPLY, .reply = slot };
	if (slot->kind == 'a') {
		r = by_act(slot->act);
		if (slot->act == 7 && stream_at_response(s))
			r.status = 502;
		return r;
	}
	*value = slot->value;
	if (sample_has_text(value) && value->s.len != 0) {
		value->s = arena_str(&s->arena, value->s);
		if (value->s.p == NULL)
			return (struct call_result){ .verdict = CALLV_ERROR };
	}
	r.value = value->type != T_ANY ? value : NULL;
	return r;
}

/* act.YIELD: the slot goes back, the call comes again. */
static bool
yields(struct lcore *lc, struct stream *s, const struct call_slot *slot)
{
	uint32_t ms = slot->wake_ms != 0 ? slot->wake_ms : YIELD_MS;

	if (slot->end != CALL_OK || slot->lost < 0 || slot->kind != 'a' || slot->act != 2)
		return false;
	s->call.again = true;
	stream_set_call_deadline(s, tick_first(tick_add(lc->now, ms), s->call.exp));
	return true;
}

static bool
holds(const struct stream *s, const struct call_slot *slot)
{
	return (s->call.slot == slot && s->call.seq == slot->seq) || svc_holds(s, slot);
}

static bool
is_service(uint8_t kind)
{
	return kind == 's' || kind == 'S';
}

/* The slot goes back first: rules on the response may want one. */
static void
service_done(struct lcore *lc, struct stream *s, struct call_slot *slot)
{
	struct call_lcore *cl = *px_calls(lc);
	enum call_end end = call_apply(s, slot) < 0 ? CALL_ERROR : slot->end;

	stat_inc(lc, STAT_LUA_REPLIES);
	if (end != CALL_OK)
		stat_inc(lc, STAT_LUA_ERRORS);
	call_slot_put(cl, &cl->pair[slot->script], slot);
	svc_done(s, slot, end);
	call_serve_waiting(lc, &cl->pair[slot->script]);
}

static void
call_done(struct lcore *lc, struct call_slot *slot)
{
	struct call_lcore *cl = *px_calls(lc);
	struct call_pair *p = &cl->pair[slot->script];
	struct stream *s = stream_lookup(lc, slot->stream);
	struct call_result r = { .verdict = CALLV_CONT };
	struct sample value;
	bool again;

	lc->calls_out--;
	counter_dec(&lc->gen[slot->model->place].slots);
	if (s != NULL && !holds(s, slot))
		s = NULL; // it gave up waiting, or the stream is another by now
	if (s == NULL) {
		stat_inc(lc, STAT_LUA_LATE);
	} else if (is_service(slot->kind)) {
		service_done(lc, s, slot);
		return;
	} else {
		s->call.slot = NULL;
		r = conclude(lc, s, slot, &value);
		stat_inc(lc, STAT_LUA_REPLIES);
	}
	again = s != NULL && yields(lc, s, slot);
	if (r.verdict == CALLV_REPLY)
		stream_call_done(lc, s, &r); // reads the slot, and starts no other call
	call_slot_put(cl, p, slot);
	if (s != NULL && !again && r.verdict != CALLV_REPLY)
		stream_call_done(lc, s, &r);
	call_serve_waiting(lc, p);
}

static void
call_ask(struct lcore *lc, struct call_slot *slot)
{
	struct stream *s = stream_lookup(lc, slot->stream);

	if (s != NULL && !holds(s, slot))
		s = NULL;
	slot->asked = true;
	call_asked(lc, s, slot);
}

void
px_script_message(struct lcore *lc, uint16_t script, const struct xmsg *m)
{
	struct call_slot *slot = (struct call_slot *)(uintptr_t)m->w[1];

	if (unlikely((*px_calls(lc))->pair[script].given_up))
		return;
	if ((m->w[0] & 0xffff) == XMSG_CALL_DONE)
		call_done(lc, slot);
	else if ((m->w[0] & 0xffff) == XMSG_CALL_ASK)
		call_ask(lc, slot);
}
