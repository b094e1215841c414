// SPDX-License-Identifier: BSD-3-Clause
/*
 * The snapshot of a stream that a script sees: heads, variables and the input, copied into a slot.
 *
 * Runs on: the worker that owns the stream, before the slot is the script thread's.
 */
#include "dataplane/proxy/call_pair.h"

#include "dataplane/base/hot.h"

static int
copy_sample(struct call_slot *slot, struct sample *out, const struct sample *in)
{
	*out = *in;
	if (!sample_has_text(in))
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
	if ((s->flags & ST_F_CONTENT_RES) != 0)
		return EVAL_TCP_RES;
	if (s->fe->mode == PX_TCP || (s->flags & ST_F_CONTENT) != 0)
		return EVAL_TCP_CONTENT;
	return stream_at_response(s) ? EVAL_HTTP_RES : EVAL_HTTP_REQ;
}

int
call_snapshot(struct call_slot *slot, struct stream *s, sl_tick exp)
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
	slot->vars.procs = s->vars.procs;
	slot->first = slot->last = NULL;
	slot->full = false;
	slot->lost = 0;
	slot->used = 0;
	slot->chan = (struct call_chan){ .p = NULL };
	slot->id = SL_STR("");
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
	if (unlikely(s->fe->unique_id != NULL)) {
		slot->id = call_str(slot, logval_unique_id(s));
		if (slot->id.p == NULL)
			return -EMSGSIZE;
	}
	return copy_vars(slot, &s->vars);
}
