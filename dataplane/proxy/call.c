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
 * itself did.
 * Not here: running Lua (control/script).
 */
#include "dataplane/proxy/call.h"
#include "dataplane/proxy/stream.h"

#include "dataplane/base/hot.h"

/* One script thread's share. */
struct call_pair {
	struct call_slot *slots;
	struct call_slot *unused;
	struct sl_list waiting; // struct call_wait
	uint32_t nwaiting, nbusy, nslots;
	bool given_up; // its thread is stuck: whatever still comes of it is nobody's
};

struct call_spare {
	size_t bytes;
	struct call_spare *next;
	struct call_slot *slots;
	uint32_t nslots;
};

struct call_lcore {
	size_t bytes;
	int16_t route[SCRIPT_MAX]; // pair of a place; -1: nobody serves it any more
	uint16_t nplaces;
	struct call_spare *spare;  // that came later
	struct call_block *blocks; // free ones
	uint32_t nslots;           // of each pair
	uint16_t npairs;
	struct call_pair pair[];
};

/* ---- slots ---- */

static struct call_slot *
slot_get(struct call_pair *p)
{
	struct call_slot *slot = p->unused;

	if (slot == NULL)
		return NULL;
	p->unused = slot->next_free;
	slot->busy = true;
	p->nbusy++;
	return slot;
}

static void
block_put(struct call_lcore *cl, struct call_slot *slot)
{
	if (slot->block == NULL)
		return;
	slot->block->next_free = cl->blocks;
	cl->blocks = slot->block;
	slot->block = NULL;
}

static void
slot_put(struct call_lcore *cl, struct call_pair *p, struct call_slot *slot)
{
	sl_assert(slot->busy);
	block_put(cl, slot);
	slot->busy = false;
	slot->next_free = p->unused;
	p->unused = slot;
	p->nbusy--;
}

/* ---- policies ---- */

/* A rule's policy: its own, else the global one, else `fallback`. */
struct policy {
	enum call_policy kind;
	uint16_t status;
};

static struct policy
choose(uint8_t own, uint16_t own_status, uint8_t global, uint16_t global_status,
	enum call_policy fallback)
{
	if (own != CALL_POLICY_DEFAULT)
		return (struct policy){ (enum call_policy)own, own_status };
	if (global != CALL_POLICY_DEFAULT)
		return (struct policy){ (enum call_policy)global, global_status };
	return (struct policy){ fallback, 0 };
}

/* A service has nothing to go on with. */
static struct policy
of_service(struct policy p, const struct stream *s, enum call_policy instead, uint16_t status)
{
	if (p.kind == CALL_POLICY_CONT && (s->flags & ST_F_SERVICE) != 0)
		return (struct policy){ instead, status };
	return p;
}

static struct policy
error_policy(const struct stream *s)
{
	const struct call_rule *r = s->call.call->priv;
	const struct global_conf *g = &s->model->global;

	return of_service(choose(r != NULL ? r->on_error : CALL_POLICY_DEFAULT,
				  r != NULL ? r->error_status : 0, g->lua_on_error,
				  g->lua_error_status, CALL_POLICY_CONT),
		s, CALL_POLICY_STATUS, 500);
}

static struct policy
overload_policy(const struct stream *s)
{
	const struct call_rule *r = s->call.call->priv;
	const struct global_conf *g = &s->model->global;

	return of_service(choose(r != NULL ? r->on_overload : CALL_POLICY_DEFAULT,
				  r != NULL ? r->overload_status : 0, g->lua_on_overload,
				  g->lua_overload_status, CALL_POLICY_WAIT),
		s, CALL_POLICY_WAIT, 0);
}

/* What a policy answers; WAIT here means that waiting is over. */
static struct call_result
by_policy(struct policy p)
{
	switch (p.kind) {
	case CALL_POLICY_DENY:
		return (struct call_result){ .verdict = CALLV_DENY };
	case CALL_POLICY_STATUS:
		return (struct call_result){ .verdict = CALLV_ERROR, .status = p.status };
	case CALL_POLICY_WAIT:
		return (struct call_result){ .verdict = CALLV_ERROR, .status = 503 };
	default:
		return (struct call_result){ .verdict = CALLV_CONT };
	}
}

uint16_t
call_error_status(const struct stream *s)
{
	struct policy p = error_policy(s);

	return p.kind == CALL_POLICY_STATUS ? p.status : p.kind == CALL_POLICY_DENY ? 403 : 500;
}

static uint32_t
deadline_ms(const struct stream *s)
{
	const struct call_rule *r = s->call.call->priv;

	if (r != NULL && r->deadline_ms != 0)
		return r->deadline_ms;
	return s->model->global.lua_deadline_ms != 0 ? s->model->global.lua_deadline_ms
						     : CALL_DEADLINE_MS;
}

/* ---- snapshot: worker -> slot ---- */

static bool
has_text(const struct sample *v)
{
	return v->type == T_STR || v->type == T_BIN || v->type == T_METH;
}

static int
copy_sample(struct call_slot *slot, struct sample *out, const struct sample *in)
{
	*out = *in;
	if (!has_text(in))
		return 0;
	out->s = call_str(slot, in->s);
	return out->s.p != NULL ? 0 : -ENOSPC;
}

/* Offsets stay valid; room: for edits by the script. */
static int
copy_msg(struct call_slot *slot, struct http_msg *out, struct http_field *hdr,
	const struct http_msg *in, uint32_t room)
{
	char *base = call_alloc(slot, in->len + room);

	if (base == NULL || in->nhdr > HTTP_MAX_HDR)
		return -EMSGSIZE;
	*out = *in;
	memcpy(base, in->base, in->len);
	memcpy(hdr, in->hdr, in->nhdr * sizeof(*hdr));
	out->base = base;
	out->cap = in->len + room;
	out->flags |= HTTP_F_OWNED;
	out->hdr = hdr;
	out->maxhdr = HTTP_MAX_HDR;
	return 0;
}

static int
copy_vars(struct call_slot *slot, const struct vars *in)
{
	uint32_t n = 0;

	for (int scope = 0; scope < VAR_NR; scope++) {
		struct var **at = &slot->vars.head[scope];
		for (const struct var *v = in->head[scope]; v != NULL; v = v->next) {
			struct var *c = n++ < CALL_MAX_VARS ? call_alloc(slot, sizeof(*c)) : NULL;
			if (c == NULL)
				return -EMSGSIZE;
			*c = *v;
			c->name = call_str(slot, v->name);
			if (c->name.p == NULL || copy_sample(slot, &c->value, &v->value) < 0)
				return -EMSGSIZE;
			*at = c;
			at = &c->next;
		}
		*at = NULL;
	}
	return 0;
}

static enum eval_point
point_of(const struct stream *s)
{
	if (s->fe->mode == PX_TCP || (s->flags & ST_F_CONTENT) != 0)
		return EVAL_TCP_CONTENT;
	return stream_at_response(s) ? EVAL_HTTP_RES : EVAL_HTTP_REQ;
}

static int
snapshot(struct call_slot *slot, struct stream *s, sl_tick exp)
{
	const struct prog_call *c = s->call.call;
	bool res = stream_at_response(s);

	slot->stream = stream_handle(s);
	slot->seq++;
	slot->kind = c->kind;
	slot->fn = c->fn;
	slot->model = s->model;
	slot->nargs = c->nargs;
	memcpy(slot->args, c->args, sizeof(slot->args)); // their bytes live in the model
	slot->point = point_of(s);
	slot->ask = CALL_ASK_NONE;
	slot->asked = false;
	atomic_store_explicit(&slot->taken, false, memory_order_relaxed);
	slot->view = s->view;
	slot->view.stream = NULL;
	slot->view.rand = NULL; // the script thread's own
	slot->view.vars = &slot->vars;
	slot->first = slot->last = NULL;
	slot->used = 0;
	slot->wake_ms = 0;
	slot->reply_status = 0;
	slot->reply_hdr = NULL;
	slot->deadline_us = s->lc->now_us + (uint64_t)tick_remain(s->lc->now, exp) * 1000;
	if (c->kind == 'c' && copy_sample(slot, &slot->input, &s->call.in) < 0)
		return -EMSGSIZE;
	if (s->view.req != NULL) {
		slot->view.req = &slot->req;
		if (copy_msg(slot, &slot->req, slot->req_hdr, s->view.req, res ? 0 : HTTP_REWRITE) <
			0)
			return -EMSGSIZE;
	}
	if (s->view.res != NULL) {
		slot->view.res = &slot->res;
		if (copy_msg(slot, &slot->res, slot->res_hdr, s->view.res, HTTP_REWRITE) < 0)
			return -EMSGSIZE;
	}
	return copy_vars(slot, &s->vars);
}

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

/* Would the heads leave too little of a slot's own memory? */
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
		rc = snapshot(slot, s, exp);
	if (likely(rc != -EMSGSIZE))
		return rc;
	slot->block = cl->blocks;
	if (slot->block == NULL)
		return -EAGAIN;
	cl->blocks = slot->block->next_free;
	return snapshot(slot, s, exp);
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
		slot_put(cl, p, slot);
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

/* Behind those that wait for a slot. */
static void
enqueue(struct call_pair *p, struct stream *s)
{
	s->call.slot = NULL;
	sl_list_add_tail(&p->waiting, &s->call.node);
	s->call.queued = true;
	s->call.queued_at = p;
	p->nwaiting++;
}

static void
dequeue(struct stream *s)
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
		*r = by_policy(overload_policy(s));
		return false;
	}
	// who waits longer is served first
	slot = sl_list_is_empty(&p->waiting) ? slot_get(p) : NULL;
	int rc = slot != NULL ? launch(lc, p, slot, s, s->call.exp) : -EAGAIN;
	if (rc < 0 && rc != -EAGAIN) {
		*r = by_policy(error_policy(s));
		return false;
	}
	if (rc == -EAGAIN) {
		struct policy op = overload_policy(s);
		stat_inc(lc, STAT_LUA_NO_SLOT);
		if (op.kind != CALL_POLICY_WAIT) {
			*r = by_policy(op);
			return false;
		}
		enqueue(p, s);
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
		r = by_policy(error_policy(s));
		return stream_call_now(s, &r, out);
	}
	s->call.exp = tick_add(lc->now, deadline_ms(s));
	return send_call(s, &r) ? ACT_SUSPEND : stream_call_now(s, &r, out);
}

/*
 * A slot became free: the longest waiting stream gets it. Blocks are shared by all pairs, so one that
 * waits for a block of another pair's is looked at with its own pair's next slot, at the latest.
 */
static void
serve_waiting(struct lcore *lc, struct call_pair *p)
{
	while (p->unused != NULL && !sl_list_is_empty(&p->waiting)) {
		struct call_wait *w = sl_list_first(&p->waiting, struct call_wait, node);
		struct stream *s = sl_container_of(w, struct stream, call);
		int rc = launch(lc, p, slot_get(p), s, s->call.exp);
		if (rc == -EAGAIN)
			return; // a block comes back with some slot
		dequeue(s);
		if (rc < 0) {
			struct call_result r = by_policy(error_policy(s));
			stream_call_done(lc, s, &r);
		}
	}
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
		dequeue(s);
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
	r = by_policy(overload_policy(s));
	stat_inc(lc, STAT_LUA_DEADLINE);
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

	if (slot->end != CALL_OK || rc < 0) {
		stat_inc(lc, STAT_LUA_ERRORS);
		return by_policy(error_policy(s));
	}
	if (slot->kind == 'a' && slot->reply_status != 0)
		return (struct call_result){ .verdict = CALLV_REPLY, .reply = slot };
	if (slot->kind == 'a') {
		r = by_act(slot->act);
		if (slot->act == 7 && stream_at_response(s))
			r.status = 502;
		return r;
	}
	*value = slot->value;
	if (has_text(value) && value->s.len != 0) {
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

	if (slot->end != CALL_OK || slot->kind != 'a' || slot->act != 2)
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
	slot_put(cl, &cl->pair[slot->script], slot);
	svc_done(s, slot, end);
	serve_waiting(lc, &cl->pair[slot->script]);
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
	slot_put(cl, p, slot);
	if (s != NULL && !again && r.verdict != CALLV_REPLY)
		stream_call_done(lc, s, &r);
	serve_waiting(lc, p);
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

struct call_slot *
px_call_slot(const struct lcore *lc, uint16_t script, uint32_t i)
{
	const struct call_lcore *cl = *px_calls((struct lcore *)(uintptr_t)lc);

	return script < cl->npairs && i < cl->pair[script].nslots ? &cl->pair[script].slots[i]
								  : NULL;
}

/* ---- life ---- */

sl_cold static void
name_slots(struct call_slot *slot, uint32_t n, uint16_t worker, uint16_t pair)
{
	for (uint32_t k = 0; k < n; k++) {
		slot[k].worker = worker;
		slot[k].script = pair;
		slot[k].index = (uint16_t)k;
	}
}

static void
pair_init(struct call_pair *p, struct call_slot *slots, uint32_t n)
{
	*p = (struct call_pair){ .slots = slots, .nslots = n };
	sl_list_init(&p->waiting);
	for (uint32_t k = n; k-- > 0;) {
		slots[k].next_free = p->unused;
		p->unused = &slots[k];
	}
}

sl_cold struct call_spare *
call_spare_new(uint16_t worker, uint16_t pair, uint32_t nslots, int socket)
{
	size_t head = SL_ALIGN_UP(sizeof(struct call_spare), (size_t)SL_CACHE_LINE);
	size_t bytes = head + nslots * sizeof(struct call_slot);
	struct call_spare *sp = lcore_map(bytes, socket);

	if (sp == NULL)
		return NULL;
	sp->bytes = bytes;
	sp->nslots = nslots;
	sp->slots = (struct call_slot *)((uint8_t *)sp + head);
	name_slots(sp->slots, nslots, worker, pair);
	return sp;
}

sl_cold void
call_spare_free(struct call_spare *sp)
{
	lcore_unmap(sp, sp->bytes);
}

/* ---- a script thread is stuck ---- */

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
	while (!sl_list_is_empty(&old->waiting)) {
		struct sl_list *n = old->waiting.next;
		sl_list_del(n);
		sl_list_add_tail(&waited, n);
	}
	/* lists first: what streams do when they go on may end other streams */
	for (uint32_t i = 0; i < old->nslots; i++) {
		struct call_slot *slot = &old->slots[i];
		struct stream *s = slot->busy ? stream_lookup(lc, slot->stream) : NULL;

		lc->calls_out -= slot->busy;
		if (slot->busy) // main keeps the generation as long as its thread is stuck
			counter_dec(&lc->gen[slot->model->place].slots);
		if (s != NULL && s->call.slot == slot && s->call.seq == slot->seq &&
			!atomic_load_explicit(&slot->taken, memory_order_acquire))
			enqueue(next, s);
	}
	while (!sl_list_is_empty(&waited)) {
		struct call_wait *w = sl_list_first(&waited, struct call_wait, node);
		sl_list_del(&w->node);
		enqueue(next, sl_container_of(w, struct stream, call));
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
		r = by_policy(error_policy(s));
		stream_call_done(lc, s, &r);
	}
	while (!sl_list_is_empty(&old->waiting)) {
		struct call_wait *w = sl_list_first(&old->waiting, struct call_wait, node);
		struct stream *s = sl_container_of(w, struct stream, call);
		struct call_result r = by_policy(overload_policy(s));

		dequeue(s);
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
		pair_init(succ, sp->slots, sp->nslots);
		cl->npairs = (uint16_t)(to + 1);
		lc->nscripts = cl->npairs;
	}
	cl->pair[from].given_up = true;
	give_up(lc, &cl->pair[from], succ);
	if (succ != NULL)
		serve_waiting(lc, succ);
}

sl_cold size_t
call_memory(const struct px_spec *s)
{
	size_t head = sizeof(struct call_lcore) +
		(s->nscripts + SCRIPT_SPARE) * sizeof(struct call_pair);
	size_t nblocks = s->nscripts > 0 ? sl_max(s->call_slots / 8, 4u) : 0;

	return head + s->nscripts * s->call_slots * sizeof(struct call_slot) +
		nblocks * sizeof(struct call_block);
}

sl_cold int
call_attach(struct lcore *lc, const struct px_spec *spec)
{
	size_t head = sizeof(struct call_lcore) +
		(spec->nscripts + SCRIPT_SPARE) * sizeof(struct call_pair);
	size_t each = spec->call_slots * sizeof(struct call_slot);
	uint32_t nblocks = spec->nscripts > 0 ? sl_max(spec->call_slots / 8, 4u) : 0;
	struct call_block *block;
	struct call_lcore *cl;

	if (spec->call_slots > CALL_MAX_SLOTS || spec->nscripts > lc->nscripts)
		return -EINVAL;
	head = SL_ALIGN_UP(head, (size_t)SL_CACHE_LINE);
	each = SL_ALIGN_UP(each, (size_t)SL_CACHE_LINE);
	size_t bytes = head + spec->nscripts * each + nblocks * sizeof(*block);
	cl = lcore_map(bytes, lc->socket);
	if (cl == NULL)
		return -ENOMEM;
	cl->bytes = bytes;
	block = (struct call_block *)((uint8_t *)cl + head + spec->nscripts * each);
	for (uint32_t i = 0; i < nblocks; i++) {
		block[i].next_free = cl->blocks;
		cl->blocks = &block[i];
	}
	cl->nslots = spec->call_slots;
	cl->npairs = cl->nplaces = (uint16_t)spec->nscripts;
	for (uint16_t i = 0; i < cl->npairs; i++) {
		struct call_slot *slots = (struct call_slot *)((uint8_t *)cl + head + i * each);

		name_slots(slots, cl->nslots, lc->id, i);
		pair_init(&cl->pair[i], slots, cl->nslots);
		cl->route[i] = (int16_t)i;
	}
	*px_calls(lc) = cl;
	return 0;
}

sl_cold void
call_detach(struct lcore *lc)
{
	struct call_lcore **cl = px_calls(lc);

	while (*cl != NULL && (*cl)->spare != NULL) {
		struct call_spare *sp = (*cl)->spare;
		(*cl)->spare = sp->next;
		call_spare_free(sp);
	}
	if (*cl != NULL)
		lcore_unmap(*cl, (*cl)->bytes);
	*cl = NULL;
}
