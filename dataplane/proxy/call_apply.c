// SPDX-License-Identifier: BSD-3-Clause
/*
 * From a call slot to the stream: the writes of a script, and its questions while it runs.
 *
 * Runs on: the worker that owns the stream, between CALL_ASK and CALL_TOLD or behind CALL_DONE.
 * Not here: when a slot comes and goes (call.c).
 */
#include "dataplane/proxy/call.h"
#include "dataplane/proxy/content.h"
#include "dataplane/proxy/stream.h"

#include "dataplane/base/hot.h"

/* ---- writes ---- */

static int
apply_msg(struct http_msg *m, const struct call_write *w)
{
	int rc = 0;

	switch ((enum call_write_op)w->op) {
	case CW_REQ_ADD_HDR:
	case CW_RES_ADD_HDR:
		return http_hdr_add(m, w->name, w->value.s);
	case CW_REQ_SET_HDR:
	case CW_RES_SET_HDR:
		return http_hdr_set(m, w->name, w->value.s);
	case CW_REQ_DEL_HDR:
	case CW_RES_DEL_HDR:
		http_hdr_del(m, w->name);
		return 0;
	case CW_REQ_PUT_HDR:
	case CW_RES_PUT_HDR:
		return w->scope < m->nhdr ? http_hdr_set_at(m, w->scope, w->value.s) : -EINVAL;
	case CW_REQ_METHOD:
		return http_set_method(m, w->value.s);
	case CW_REQ_URI:
		return http_set_uri(m, w->value.s);
	case CW_REQ_PATH:
		return http_set_path(m, w->value.s);
	case CW_REQ_QUERY:
		return http_set_query(m, w->value.s);
	case CW_RES_STATUS:
		return http_set_status(m, (uint16_t)w->value.i, w->name);
	default:
		return rc;
	}
}

static int
apply_one(struct stream *s, const struct call_write *w)
{
	switch ((enum call_write_op)w->op) {
	case CW_SET_VAR:
		return stream_set_var(s, (enum var_scope)w->scope, w->name, &w->value);
	case CW_UNSET_VAR:
		stream_unset_var(s, (enum var_scope)w->scope, w->name);
		return 0;
	case CW_LOGLEVEL:
		s->log.level = (int8_t)(w->value.i < 0 ? TXN_LOG_SILENT : w->value.i + 1);
		return 0;
	case CW_RES_ADD_HDR:
	case CW_RES_SET_HDR:
	case CW_RES_DEL_HDR:
	case CW_RES_PUT_HDR:
	case CW_RES_STATUS:
		return stream_at_response(s) ? apply_msg(&s->res, w) : 0;
	default:
		return s->view.req != NULL ? apply_msg(&s->req, w) : 0;
	}
}

/*
 * They took effect on the slot's copy, so they fit here too, but for what the stream has no memory for: then
 * this fails for the rest of the call, whatever the script makes of an answer that says so.
 */
int
call_apply(struct stream *s, struct call_slot *slot)
{
	struct call_write *next;
	int rc = slot->lost;

	for (struct call_write *w = slot->first; w != NULL && rc >= 0; w = next) {
		next = w->next;
		if (w->op == CW_REPLY_HDR) { // the last first: they stay for the reply
			w->next = slot->reply_hdr;
			slot->reply_hdr = w;
		} else {
			rc = apply_one(s, w);
		}
	}
	slot->first = slot->last = NULL;
	if (rc >= 0 && unlikely(slot->chan.dirty))
		rc = content_apply(s, slot);
	slot->lost = rc;
	return rc;
}

/* ---- questions ---- */

void
call_told(struct lcore *lc, struct call_slot *slot, int rc)
{
	struct xmsg m = { .w = { XMSG_CALL_TOLD, (uintptr_t)slot, slot->seq } };
	struct xpair *x = &lc->script[slot->script];

	slot->ask_rc = rc;
	slot->asked = false;
	if (!xring_push(&x->from, &m))
		sl_assert(0); // it holds four messages of each slot
	x->dirty = true;
}

/* A row that only the worker may run, on the live transaction. Its value goes into the slot. */
static int
ask_row(struct stream *s, struct call_slot *slot)
{
	struct sample *v = &slot->ask_value;
	bool ok;

	s->arena.failed = false;
	if (slot->ask == CALL_ASK_FETCH) {
		const struct fetch_row *f = slot->ask_row;
		ok = f->fn(&s->view, slot->ask_args, v, &s->arena, f->priv);
	} else {
		const struct conv_row *c = slot->ask_row;
		ok = c->fn(&s->view, v, slot->ask_args, &s->arena, c->priv);
	}
	if (s->arena.failed) {
		slot->full = true;
		return -ENOMEM;
	}
	if (!ok)
		v->type = T_ANY;
	if (sample_has_text(v)) {
		v->s = call_str(slot, v->s);
		if (v->s.p == NULL)
			return -ENOSPC;
	}
	return 0;
}

void
call_asked(struct lcore *lc, struct stream *s, struct call_slot *slot)
{
	int rc = s != NULL ? call_apply(s, slot) : -ECANCELED;

	if (rc < 0) {
		call_told(lc, slot, rc);
		return;
	}
	switch (slot->ask) {
	case CALL_ASK_FETCH:
	case CALL_ASK_CONV:
		call_told(lc, slot, ask_row(s, slot));
		break;
	case CALL_ASK_CHAN:
		content_asked(s, slot);
		break;
	case CALL_ASK_HEAD:
	case CALL_ASK_RECV:
	case CALL_ASK_SEND:
		svc_asked(s, slot);
		break;
	case CALL_ASK_NONE:
	default:
		call_told(lc, slot, -EINVAL);
		break;
	}
}
