// SPDX-License-Identifier: BSD-3-Clause
/*
 * Services: a function of a script in place of a server, "use-service lua.NAME".
 *
 * Runs on: the worker that owns the stream. The function asks (call.h): for the request's body, piece
 * by piece; to send the answer's head, once; to send bytes of its body. An answer to a question is the
 * credit for the next: what waits here is one piece per stream, in the call's slot, and it waits as
 * long as the client does. The head passes the rules on responses as a server's would.
 * Follows: HAProxy 2.6: no length means chunked (HTTP/1.0: until the end of the connection); a function
 * that ends without a head is answered with 500, which passes the rules too; one that fails behind its
 * head, or says less than it has announced, breaks the connection, so that nobody takes a part for the
 * whole; the termination state is "LR". Timeouts of servers do not hold; the deadline of the rule holds
 * until the head is there.
 */
#include "dataplane/proxy/call.h"
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

static struct st_svc *
svc(const struct stream *s)
{
	return &s->side->svc;
}

bool
svc_holds(const struct stream *s, const struct call_slot *slot)
{
	return (s->flags & ST_F_SERVICE) != 0 && svc(s)->slot == slot && svc(s)->seq == slot->seq;
}

static bool
receives(const struct stream *s)
{
	return svc(s)->asked != NULL && svc(s)->asked->ask == CALL_ASK_RECV;
}

bool
svc_waits(const struct stream *s)
{
	bool sends = svc(s)->asked != NULL || svc(s)->page.len > 0;

	return receives(s) || (sends && (s->phase == ST_DATA || s->phase == ST_TUNNEL));
}

static void
tell(struct stream *s, int rc)
{
	struct call_slot *slot = svc(s)->asked;

	svc(s)->asked = NULL;
	call_told(s->lc, slot, rc);
}

/* ---- the request's body, for the function ---- */

/* False: the stream has ended. */
static bool
receive(struct stream *s)
{
	struct call_slot *slot = svc(s)->asked;
	uint32_t max = sl_min(slot->ask_max, call_room(slot));
	struct lcore *lc = s->lc;
	bool eom = false;
	struct chain c;

	slot->ask_value = (struct sample){ .type = T_STR, .s = SL_STR("") };
	if (s->fe->mode == PX_TCP) {
		int tcp = svc_tcp_receive(s, slot, max);
		if (tcp <= 0)
			tell(s, tcp);
		return true;
	}
	chain_init(&c);
	int rc = muxs_recv(lc, s->cs, max, &c, &eom);
	if (rc < 0 && rc != -EBADMSG) {
		tell(s, -EAGAIN);
		return true;
	}
	if (c.len > 0) {
		uint32_t n = c.len;
		char *p = call_alloc(slot, n);

		stream_touch_client(s);
		stream_count_in(s, n);
		s->flags |= ST_F_BODY_MOVED;
		if (p != NULL) {
			chain_copy_out(&c, 0, p, n);
			slot->ask_value.s = sl_str_make(p, n);
		}
		chain_free(lc, &c);
		tell(s, p != NULL ? 0 : -ENOSPC);
	} else if (eom) {
		s->flags |= ST_F_REQ_DONE;
		tell(s, 0);
	} else if (muxs_error(s->cs) != MUX_OK) {
		body_client_broke(s);
		return false;
	}
	return true;
}

/* ---- the answer's body ---- */

/*
 * Sends what the client has room for; *done counts it. 0: all is on its way or dropped, 1: the client
 * must take some first; -EMSGSIZE: more than was announced, -EAGAIN: no memory, -EPIPE.
 */
static int
send_text(struct stream *s, struct sl_str text, uint32_t *done)
{
	struct conn *conn = mux_conn(muxs_mux(s->cs));
	struct st_svc *v = svc(s);
	struct lcore *lc = s->lc;

	while (*done < text.len) {
		uint32_t n = sl_min(text.len - *done, muxs_send_space(s->cs));
		struct chain c;

		if ((s->flags & ST_F_RES_DONE) != 0) { // nobody reads a body there
			if (v->left == 0)
				return -EMSGSIZE;
			*done = text.len;
			return 0;
		}
		if (conn == NULL)
			return -EPIPE;
		if (n == 0)
			return 1;
		n = (uint32_t)sl_min((uint64_t)n, v->left);
		chain_init(&c);
		if (chain_copy_in_mss(lc, &c, text.p + *done, n, conn_unit(lc, conn)) < 0) {
			chain_free(lc, &c);
			return -EAGAIN;
		}
		if (v->left != CALL_NO_LEN)
			v->left -= n;
		*done += n;
		stream_touch_client(s);
		stream_count_out(s, n);
		if (v->left == 0)
			s->flags |= ST_F_RES_DONE;
		if (muxs_send(lc, s->cs, &c, v->left == 0) < 0)
			return -EPIPE;
	}
	return 0;
}

static void
send_asked(struct stream *s)
{
	struct st_svc *v = svc(s);
	struct sl_str text = v->asked->ask_value.s;
	int rc = s->fe->mode == PX_TCP ? svc_tcp_send(s, text, &v->sent)
				       : send_text(s, text, &v->sent);

	if (rc != 1)
		tell(s, rc);
}

/* Nothing more will come of the function. */
static void
finish(struct stream *s)
{
	struct st_svc *v = svc(s);
	struct chain none;

	if (s->fe->mode == PX_TCP) {
		txn_set_term(s, "--");
		stream_end(s);
		return;
	}
	chain_init(&none);
	if ((s->flags & ST_F_RES_DONE) == 0) {
		if (v->broken || (v->left != CALL_NO_LEN && v->left > 0) ||
			muxs_send(s->lc, s->cs, &none, true) < 0) {
			txn_fail(s, 0, "LR");
			return;
		}
		s->flags |= ST_F_RES_DONE;
	}
	muxs_rx_discard(s->lc, s->cs);
	stream_end(s);
}

void
svc_head_sent(struct stream *s)
{
	const struct http_msg *m = &s->res;

	svc(s)->left = m->framing == HTTP_BODY_LENGTH ? m->content_length : CALL_NO_LEN;
}

void
svc_run(struct stream *s)
{
	struct st_svc *v = svc(s);

	if (receives(s) && !receive(s))
		return;
	if (s->phase != ST_DATA && s->phase != ST_TUNNEL)
		return; // the head is not through
	if (v->page.len > 0) {
		int rc = send_text(s, v->page, &v->sent);
		if (rc == 1)
			return;
		v->broken = rc < 0;
		v->page = SL_STR_NULL;
	}
	if (v->asked != NULL && v->asked->ask == CALL_ASK_SEND)
		send_asked(s);
	if (v->ended)
		finish(s);
}

/* ---- the answer's head ---- */

static int
add_fields(struct http_msg *m, const struct call_slot *slot)
{
	const struct call_write *field[HTTP_MAX_HDR];
	uint32_t n = 0;
	int rc = 0;

	for (const struct call_write *w = slot->reply_hdr; w != NULL; w = w->next) {
		if (n == SL_ARRAY_SIZE(field))
			return -ENOSPC;
		field[n++] = w; // the last first
	}
	while (n > 0 && rc == 0) {
		n--;
		rc = http_hdr_add(m, field[n]->name, field[n]->value.s);
	}
	return rc;
}

static uint32_t
fields_size(const struct call_slot *slot)
{
	uint32_t n = 0;

	for (const struct call_write *w = slot->reply_hdr; w != NULL; w = w->next)
		n += w->name.len + w->value.s.len + 4;
	return n;
}

static int
fit_body(struct stream *s, const struct call_slot *slot)
{
	struct http_msg *m = &s->res;

	m->framing = HTTP_BODY_LENGTH;
	m->content_length = slot->body_len != CALL_NO_LEN ? slot->body_len : 0;
	if (slot->body_len != CALL_NO_LEN || m->status == 204 || m->status == 304)
		return 0;
	if ((s->req.flags & HTTP_F_10) != 0) {
		m->framing = HTTP_BODY_CLOSE;
		return 0;
	}
	m->framing = HTTP_BODY_CHUNKED;
	return http_hdr_add(m, SL_STR("transfer-encoding"), SL_STR("chunked"));
}

/* From the slot to s->res. 0 or -Exxx. */
static int
take_head(struct stream *s, const struct call_slot *slot)
{
	uint32_t cap = fields_size(slot) + slot->reply_reason.len + 64 + HTTP_REWRITE;
	struct http_msg *m = &s->res;
	char *mem = cap <= HTTP_MAX_HEAD + HTTP_REWRITE ? arena_alloc(&s->arena, cap) : NULL;
	int rc;

	if (mem == NULL)
		return -ENOSPC;
	http_msg_init(m, s->side->res_hdr, HTTP_MAX_HDR, false);
	m->base = mem;
	m->len = 0;
	m->cap = cap;
	m->flags |= HTTP_F_OWNED;
	rc = http_set_status(m, slot->reply_status, slot->reply_reason);
	if (rc == 0)
		rc = add_fields(m, slot);
	return rc == 0 ? fit_body(s, slot) : rc;
}

/* The call is the service's own from now on: rules on the response may make others. */
static void
release_call(struct stream *s)
{
	s->call.slot = NULL;
	s->flags &= ~(ST_F_CALLED | ST_F_PARKED);
	s->call_exp = TICK_NONE;
}

static void
take_call(struct stream *s, struct call_slot *slot)
{
	release_call(s);
	svc(s)->slot = slot;
	svc(s)->seq = slot->seq;
}

static void
on_head(struct stream *s, struct call_slot *slot)
{
	int rc = s->call.slot == slot && s->fe->mode == PX_HTTP ? take_head(s, slot) : -EINVAL;

	call_told(s->lc, slot, rc);
	if (rc < 0)
		return;
	take_call(s, slot);
	txn_response_head(s);
}

void
svc_asked(struct stream *s, struct call_slot *slot)
{
	stream_enter(s);
	if (s->fe->mode == PX_TCP && s->call.slot == slot)
		take_call(s, slot);
	if (slot->ask == CALL_ASK_HEAD) {
		on_head(s, slot);
	} else {
		svc(s)->asked = slot;
		svc(s)->sent = 0;
		stream_touch_client(s);
		svc_run(s);
	}
	stream_leave(s);
}

/* ---- beginning and end ---- */

/* An answer of our own in its place; it passes the rules on responses, as HAProxy's does. */
static void
own_answer(struct stream *s, uint16_t status)
{
	struct st_svc *v = svc(s);
	struct reply r;

	reply_built_in(&r, status);
	if (reply_build(s, &r, &s->res) < 0) {
		txn_fail(s, 500, "LR");
		return;
	}
	v->page = r.body;
	v->sent = 0;
	txn_response_head(s);
}

void
svc_done(struct stream *s, struct call_slot *slot, enum call_end end)
{
	struct st_svc *v = svc(s);

	stream_enter(s);
	v->asked = NULL;
	v->ended = true;
	if (s->call.slot == slot && s->fe->mode == PX_TCP) {
		release_call(s); // it has said nothing
		svc_run(s);
	} else if (s->call.slot == slot) {
		uint16_t status = end == CALL_OK ? 500 : call_error_status(s);

		release_call(s);
		own_answer(s, status);
	} else {
		v->slot = NULL;
		v->broken = end != CALL_OK;
		svc_run(s);
	}
	stream_leave(s);
}

static void
call(struct stream *s)
{
	struct sample none;

	s->flags |= ST_F_CALLED | ST_F_PARKED;
	if (call_start(s, svc(s)->call, NULL, &none) == ACT_SUSPEND || s->phase == ST_DEAD)
		return;
	release_call(s);
	txn_fail(s, 500, "LR");
}

void
svc_start(struct stream *s)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	counter_inc(&px_cnt(s->lc, s->fe)->intercepted);
	s->log.queue_us = s->log.connect_us = s->lc->now_us; // nothing to wait for, as in HAProxy
	if (s->fe->mode == PX_TCP) {
		s->phase = ST_TUNNEL;
		call(s);
		return;
	}
	txn_set_term(s, "LR");
	if (stream_own_req(s) < 0) {
		txn_fail(s, 500, "LR");
		return;
	}
	s->phase = ST_WAIT_RES;
	if ((s->req.flags & (HTTP_F_EXPECT | HTTP_F_10)) == HTTP_F_EXPECT && !muxs_rx_done(s->cs))
		muxs_send_bytes(s->lc, s->cs, sl_str_make(go_on, sizeof(go_on) - 1), false, false);
	muxs_set_raw(s->cs, false, false);
	call(s);
}

void
svc_end(struct stream *s)
{
	struct st_svc *v = svc(s);

	v->asked = NULL; // before its head s->call tells it
	if (v->slot != NULL)
		call_drop(s->lc, v->slot, v->seq);
	v->slot = NULL;
}
