// SPDX-License-Identifier: BSD-3-Clause
/*
 * The response: from the server's head over the rules to the client.
 *
 * Runs on: the worker. Order of rules as HAProxy: backend's http-response, then frontend's.
 * Interim heads (1xx) are passed on as they come. A client that speaks HTTP/1.0 gets a chunked body
 * without its framing, ended by the connection (RFC 9112 7.1, A.1); everything else keeps the
 * framing in which it came. 101, and 2xx to CONNECT, turn both connections into a tunnel.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

/* RFC 9110 8.6, RFC 9112 6.1: no server may send these with 1xx and 204, and no client need believe it. */
static void
drop_lengths(struct http_msg *m)
{
	http_hdr_del(m, SL_STR("content-length"));
	http_hdr_del(m, SL_STR("transfer-encoding"));
}

/* ---- interim ---- */

void
txn_response_interim(struct stream *s)
{
	s->flags |= ST_F_RES_SEEN;
	if (s->phase != ST_WAIT_RES)
		return;
	logrec_count_answer(s); // as in HAProxy it is one, beside the final one
	if ((s->req.flags & HTTP_F_10) != 0)
		return; // RFC 9110 15.2: never to a 1.0 client
	drop_lengths(&s->res);
	if (muxs_send_head(s->lc, s->cs, &s->res, NULL, false, false) == 0)
		stream_count_out(s, h1_counted_size(&s->res));
}

/* ---- final ---- */

static bool
wants_close(const struct stream *s)
{
	return (s->fe->options & PX_O_CLOSE) != 0 || s->lc->stopping || s->ses->last;
}

/*
 * Rules may change the method on its way to the server and the status on its way to the client, but
 * not what the client makes of them: where it expects no body it must not get one, as it would read
 * that as its next answer, and where it expects one it must not wait (RFC 9112 6.3). *drop: the
 * server's body is nobody's.
 */
static int
fit_body(struct stream *s, bool *drop)
{
	bool none = (s->flags & ST_F_HEAD) != 0 || s->res.status == 204 || s->res.status == 304;

	*drop = false;
	if (s->res.status < 200 || s->res.status == 204)
		drop_lengths(&s->res);
	if (s->res.framing == HTTP_BODY_TUNNEL)
		return 0;
	if (s->res.status < 200)
		return -EINVAL; // a final answer cannot be told as an interim one
	if (none && s->res.framing != HTTP_BODY_NONE) {
		*drop = true;
		s->res.framing = HTTP_BODY_NONE;
	} else if (!none && s->res.framing == HTTP_BODY_NONE) {
		s->res.framing = HTTP_BODY_LENGTH;
		s->res.content_length = 0;
		s->res.flags |= HTTP_F_REFRAMED;
	}
	return 0;
}

/* Body in another framing than it came in: a chunked one for a client that cannot read it. */
static int
fit_framing(struct stream *s)
{
	bool strip = s->res.framing == HTTP_BODY_CHUNKED && (s->req.flags & HTTP_F_10) != 0;

	if (unlikely(s->ss == NULL)) // a service: its bytes have no framing
		return http_fit_framing(&s->res);
	muxs_set_raw(s->cs, true, true);
	muxs_set_raw(s->ss, !strip, true);
	if (!strip)
		return http_fit_framing(&s->res);
	http_hdr_del(&s->res, SL_STR("transfer-encoding"));
	s->res.framing = HTTP_BODY_CLOSE;
	return http_fit_framing(&s->res);
}

/*
 * A head that nothing has to be changed of is passed on as it was received, in the buffer that has the
 * first bytes of its body too; any other becomes a private copy. 0 or -ENOMEM.
 */
static int
keep_head(struct stream *s)
{
	const uint32_t edits = HTTP_F_CONN_CLOSE | HTTP_F_CONN_KEEP | HTTP_F_CONN_SET;

	if ((s->res.flags & (HTTP_F_OWNED | edits)) == 0 && h1_is_as_received(&s->res) &&
		muxs_head_stays(s->ss, muxs_send_space(s->cs)))
		return 0;
	return stream_own_res(s);
}

static void
send_response(struct stream *s)
{
	bool tunnel = s->res.framing == HTTP_BODY_TUNNEL, eom = false, close = wants_close(s);
	bool drop, set;
	struct lcore *lc = s->lc;
	struct chain body;
	int rc;

	chain_init(&body);
	if (rule_run_after(s) < 0)
		return;
	if (keep_head(s) < 0 || txn_strip_connection(&s->res, &set) < 0 ||
		fit_body(s, &drop) < 0 || fit_framing(s) < 0) {
		txn_fail(s, 500, "PH");
		return;
	}
	close |= set;
	s->phase = tunnel ? ST_TUNNEL : ST_DATA;
	eom = drop;
	if (!tunnel && !drop && s->ss != NULL)
		rc = body_first(s, s->ss, s->cs, &body, &eom);
	else
		rc = 0;
	if (rc == 0) {
		stream_count_out(s, body.len);
		rc = muxs_send_head(lc, s->cs, &s->res, &body, eom, close);
	}
	if (rc < 0) {
		chain_free(lc, &body);
		txn_fail(s, rc == -EBADMSG ? 502 : 500, rc == -EBADMSG ? "PH" : "RD");
		return;
	}
	s->flags |= ST_F_RES_SENT | (eom ? ST_F_RES_DONE : 0);
	s->log.status = s->res.status;
	if (unlikely((s->flags & ST_F_SERVICE) != 0))
		svc_head_sent(s);
	if (tunnel) {
		muxs_set_tunnel(s->cs);
		muxs_set_tunnel(s->ss);
		s->flags &= ~(ST_F_REQ_DONE | ST_F_RES_DONE);
	}
	if (unlikely((s->fe->options & PX_O_LOGASAP) != 0))
		logrec_asap(s);
	stream_touch_client(s);
	stream_touch_server(s);
	body_run(s);
}

/* Rules of the backend: on content, and then on responses. */
static enum rule_result
backend_rules(struct stream *s)
{
	if (unlikely(s->be->tcp_res != NULL)) {
		enum rule_result rc = content_pass(s, s->be, true);

		if (rc != RULE_NEXT)
			return rc;
	}
	return rule_run(s, s->be->http_res);
}

void
txn_response_rules(struct stream *s)
{
	if (unlikely((s->flags & ST_F_CONTENT) != 0) && backend_rules(s) != RULE_NEXT)
		return;
	if (s->phase == ST_RES_RULES_BE) {
		s->phase = ST_RES_RULES_FE;
		if (s->fe != s->be && rule_run(s, s->fe->http_res) != RULE_NEXT)
			return;
	}
	send_response(s);
}

void
txn_response_head(struct stream *s)
{
	if (s->phase != ST_WAIT_RES)
		return;
	s->flags |= ST_F_RES_SEEN;
	s->log.res_us = s->lc->now_us;
	s->log.status = s->res.status;
	s->view.res = &s->res;
	stream_count_out(s, h1_counted_size(&s->res));
	logrec_count_answer(s);
	logval_response(s);
	// a tunnel that the client did not ask for would carry its next requests past all rules
	if (unlikely(s->res.status == 101 && (s->req.flags & HTTP_F_UPGRADE) == 0)) {
		counter_inc(&px_be_cnt(s->lc, s->be)->failed_resp);
		counter_inc(&s->lc->srv_cnt[s->srv->slot].failed_resp);
		txn_fail(s, 502, "PH");
		return;
	}
	s->phase = ST_RES_RULES_BE;
	s->vars.head[VAR_REQ] = NULL; // HAProxy's: gone when the response is processed
	if (backend_rules(s) == RULE_NEXT)
		txn_response_rules(s);
}

/* Before a response head: the server closed, reset, or sent nonsense. */
void
txn_server_error(struct stream *s)
{
	enum mux_err err = muxs_error(s->ss);
	bool theirs = err == MUX_ERR_EOF || err == MUX_ERR_RESET;
	const char *term = theirs ? "SH" : "PH";

	if (theirs && upstream_replay(s))
		return;
	if (err == MUX_ERR_PARSE || err == MUX_ERR_TOO_BIG)
		survey_keep_bad(s, s->ss, true);
	counter_inc(&px_be_cnt(s->lc, s->be)->failed_resp);
	counter_inc(&s->lc->srv_cnt[s->srv->slot].failed_resp);
	if (theirs && (s->flags & (ST_F_REUSED | ST_F_RES_SEEN)) == ST_F_REUSED) {
		// as HAProxy: the client sees its kept connection close, and may try again itself
		txn_fail(s, 0, term);
		return;
	}
	txn_fail(s, 502, term);
}
