// SPDX-License-Identifier: BSD-3-Clause
/*
 * The request: from a complete head over the rules to the choice of a backend, and the head's edits
 * for the server.
 *
 * Runs on: the worker. Follows: HAProxy's order: frontend's http-request rules, use_backend rules,
 * default_backend, backend's http-request rules, then option forwardfor. Of the Connection field
 * only "close" and "keep-alive" go (the mux writes its own); other tokens, such as "upgrade", pass. Of
 * TE only "trailers" passes: trailers are passed on, other codings than "chunked" are refused.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

#define VERSION_PART 9 // " HTTP/1.1"

/* ---- the head is there, or will never be ---- */

/* Request line as received, for the log: rules may change the message. */
static void
keep_line(struct stream *s)
{
	const struct http_msg *m = &s->req;
	uint32_t len = m->uri.off + m->uri.len - m->method.off + VERSION_PART;

	len = sl_min(len, (uint32_t)LOGREC_TEXT);
	s->log.line = arena_str(&s->arena, sl_str_make(m->base + m->method.off, len));
}

/* Rules on content, and then those on requests. */
static enum rule_result
rules_of(struct stream *s, const struct proxy *px)
{
	if (unlikely(px->tcp_req != NULL)) {
		enum rule_result rc = content_pass(s, px, false);

		if (rc != RULE_NEXT)
			return rc;
	}
	return rule_run(s, px->http_req);
}

void
txn_request_head(struct stream *s)
{
	s->log.head_us = s->lc->now_us;
	stream_count_in(s, h1_counted_size(&s->req));
	s->req_exp = TICK_NONE;
	if (s->req.meth == HTTP_HEAD)
		s->flags |= ST_F_HEAD;
	counter_inc(&px_cnt(s->lc, s->fe)->cum_req);
	keep_line(s);
	s->view.req = &s->req;
	logval_request(s);
	s->phase = ST_REQ_RULES_FE;
	if (unlikely(px_refuses(s)))
		return;
	switch (rules_of(s, s->fe)) {
	case RULE_NEXT:
		txn_request_rules(s);
		break;
	case RULE_PARKED:
	case RULE_ENDED:
	default:
		break;
	}
}

/* As in HAProxy, whose parser counts what it answers by itself, so that totals and failures fit. */
void
txn_count_no_request(const struct stream *s)
{
	struct px_counters *c = px_cnt(s->lc, s->fe);

	counter_inc(&c->cum_req);
	counter_inc(&c->failed_req);
}

void
txn_request_error(struct stream *s)
{
	enum mux_err err = muxs_error(s->cs);

	txn_count_no_request(s);
	if (err == MUX_ERR_PARSE || err == MUX_ERR_TOO_BIG)
		survey_keep_bad(s, s->cs, false);
	if (s->req.meth == HTTP_HEAD)
		s->flags |= ST_F_HEAD;
	switch (err) {
	case MUX_ERR_TOO_BIG:
		txn_fail(s, 431, "PR");
		break;
	case MUX_ERR_EOF:
	case MUX_ERR_RESET: // nobody hears it then
		txn_fail(s, 400, "CR");
		break;
	case MUX_ERR_NOMEM:
		txn_fail(s, 503, "RR");
		break;
	case MUX_ERR_PARSE:
	default:
		txn_fail(s, 400, "PR");
		break;
	}
}

/* ---- which backend ---- */

static enum rule_result
choose_backend(struct stream *s)
{
	enum rule_result rc = backend_choose(s);

	if (rc != RULE_NEXT)
		return rc;
	s->phase = ST_REQ_RULES_BE;
	s->step = SWITCH_COND;
	return s->be != s->fe ? rules_of(s, s->be) : RULE_NEXT;
}

/* What "balance hash" hashes; may wait, then it goes on behind the program. */
enum rule_result
txn_balance_key(struct stream *s)
{
	const struct sample *key = &s->side->cursor.stack[0];

	if (likely(s->be->lb != LB_HASH))
		return RULE_NEXT;
	if (s->step != BALANCE_KEY) {
		enum rule_result rc;

		s->step = BALANCE_KEY;
		rc = rule_run(s, s->be->hash.key);
		if (rc != RULE_NEXT)
			return rc;
	}
	if (s->side->cursor.sp == 1 && key->type == T_BIN)
		s->wait.key = lb_key(s->be, key->s);
	return RULE_NEXT;
}

void
txn_request_rules(struct stream *s)
{
	if (unlikely((s->flags & ST_F_CONTENT) != 0)) {
		if (rules_of(s, s->phase == ST_REQ_RULES_FE ? s->fe : s->be) != RULE_NEXT)
			return;
	}
	if (s->phase == ST_REQ_RULES_FE && (s->flags & ST_F_SERVICE) == 0 &&
		choose_backend(s) != RULE_NEXT)
		return;
	if (unlikely((s->flags & ST_F_SERVICE) != 0)) {
		svc_start(s);
		return;
	}
	if (txn_balance_key(s) != RULE_NEXT)
		return;
	if (stream_own_req(s) < 0 || txn_request_ready(s) < 0) {
		txn_fail(s, 500, "PR");
		return;
	}
	upstream_start(s);
}

/* ---- edits for the server ---- */

static bool
is_persistence(struct sl_str tok)
{
	return sl_str_ieq(tok, SL_STR("close")) || sl_str_ieq(tok, SL_STR("keep-alive"));
}

/* Appends the tokens of a Connection value that pass. */
static void
add_passing(struct sl_buf *b, struct sl_str value, bool *close)
{
	while (value.p != NULL) {
		struct sl_str tok = sl_str_trim(sl_str_cut(&value, ','));

		*close |= sl_str_ieq(tok, SL_STR("close"));
		if (tok.len == 0 || is_persistence(tok))
			continue;
		if (b->len > 0)
			sl_buf_addc(b, ", ");
		sl_buf_add(b, tok);
	}
}

int
txn_strip_tokens(struct http_msg *m, bool *close)
{
	struct sl_str name = SL_STR("connection");
	bool set = (m->flags & HTTP_F_CONN_SET) != 0, found = false;
	uint16_t pos = 0;
	struct sl_buf b;
	char keep[512];
	int i;

	sl_buf_init(&b, keep, sizeof(keep));
	for (i = http_hdr_find(m, name, &pos); i >= 0; i = http_hdr_find(m, name, &pos))
		add_passing(&b, http_str(m, m->hdr[i].value), &found);
	if (b.full)
		return -ENOSPC;
	*close = set && found;
	if (b.len > 0)
		return http_hdr_set(m, name, sl_buf_str(&b));
	http_hdr_del(m, name);
	return 0;
}

/* A body before another protocol: two parties may see its end at different places. HAProxy's answer too. */
static void
refuse_upgrade(struct http_msg *m)
{
	if (m->framing != HTTP_BODY_CHUNKED &&
		(m->framing != HTTP_BODY_LENGTH || m->content_length == 0))
		return;
	http_hdr_del(m, SL_STR("upgrade"));
	m->flags &= ~HTTP_F_UPGRADE; // a 101 is an error now
}

/* RFC 9110 10.1.4: what the client takes is not what we take. */
static int
fit_te(struct http_msg *m)
{
	struct sl_str name = SL_STR("te");
	bool trailers = false;
	uint16_t pos = 0;
	int i;

	for (i = http_hdr_find(m, name, &pos); i >= 0; i = http_hdr_find(m, name, &pos)) {
		struct sl_str value = http_str(m, m->hdr[i].value);

		while (value.p != NULL)
			trailers |= sl_str_ieq(
				sl_str_trim(sl_str_cut(&value, ',')), SL_STR("trailers"));
	}
	if (trailers)
		return http_hdr_set(m, name, SL_STR("trailers"));
	http_hdr_del(m, name);
	return 0;
}

static struct sl_str
forward_name(const struct stream *s)
{
	if ((s->be->options & PX_O_FORWARDFOR) != 0 && s->be->forwardfor_hdr.len > 0)
		return s->be->forwardfor_hdr;
	if ((s->fe->options & PX_O_FORWARDFOR) != 0 && s->fe->forwardfor_hdr.len > 0)
		return s->fe->forwardfor_hdr;
	return SL_STR("x-forwarded-for");
}

static bool
excepts(const struct proxy *px, const struct ip_addr *src)
{
	return (px->options & PX_O_FORWARDFOR) != 0 &&
		px->forwardfor_except.ip.family != ADDR_NONE &&
		addr_in_net(src, &px->forwardfor_except);
}

/* "if-none" holds only if each side that has the option says so. */
static bool
only_if_none(const struct stream *s)
{
	bool fe = (s->fe->options & PX_O_FORWARDFOR) != 0,
	     be = (s->be->options & PX_O_FORWARDFOR) != 0;

	return (!fe || s->fe->forwardfor_ifnone) && (!be || s->be->forwardfor_ifnone);
}

static int
add_forwardfor(struct stream *s)
{
	const struct ip_addr *src = &s->ses->src.ip;
	struct sl_str name = forward_name(s);
	struct sl_buf b;
	char text[64];

	if (((s->fe->options | s->be->options) & PX_O_FORWARDFOR) == 0)
		return 0;
	if (excepts(s->fe, src) || excepts(s->be, src))
		return 0;
	if (only_if_none(s) && http_hdr_get(&s->req, name).p != NULL)
		return 0;
	sl_buf_init(&b, text, sizeof(text));
	addr_format(&b, src);
	return http_hdr_add(&s->req, name, sl_buf_str(&b));
}

/* Its header, or the id alone: from now on the request has that one. */
static int
add_unique_id(struct stream *s)
{
	struct sl_str id = logval_unique_id(s);

	if (id.p == NULL)
		return -ENOMEM;
	return s->fe->unique_id_hdr.len > 0 ? http_hdr_add(&s->req, s->fe->unique_id_hdr, id) : 0;
}

int
txn_request_ready(struct stream *s)
{
	bool close;
	int rc;

	if ((s->flags & ST_F_REQ_READY) != 0)
		return 0;
	s->flags |= ST_F_REQ_READY;
	rc = txn_strip_connection(&s->req, &close);
	if (close)
		s->flags |= ST_F_SRV_CLOSE;
	if (rc == 0 && unlikely((s->req.flags & HTTP_F_TE) != 0))
		rc = fit_te(&s->req);
	if (rc == 0 && unlikely((s->req.flags & HTTP_F_UPGRADE) != 0))
		refuse_upgrade(&s->req);
	if (rc == 0)
		rc = add_forwardfor(s);
	if (rc == 0 && unlikely(s->fe->unique_id != NULL))
		rc = add_unique_id(s);
	return rc < 0 ? rc : http_fit_framing(&s->req);
}
