// SPDX-License-Identifier: BSD-3-Clause
/*
 * The transaction: what a stream does next, and how it ends badly.
 *
 *   REQ_HEAD -> REQ_RULES_FE -> REQ_RULES_BE -> [QUEUE] -> CONNECT -> WAIT_RES
 *                    |  answered by a rule          ^ PAUSE |             |
 *                    v                              |_______|             v
 *                  (end) <------- DATA | TUNNEL <------ RES_RULES_BE -> RES_RULES_FE
 *
 * Runs on: the worker that owns the client connection. Events of the two muxes come in here; each
 * goes to the function of the present phase. Rules may park the stream in any *_RULES phase; what
 * arrives meanwhile waits in the connections (back-pressure) and is looked at when it goes on.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

void
txn_set_term(struct stream *s, const char term[2])
{
	if (s->log.term[0] != '\0')
		return;
	s->log.term[0] = term[0];
	s->log.term[1] = term[1];
}

char
txn_phase_letter(const struct stream *s)
{
	switch (s->phase) {
	case ST_REQ_HEAD:
	case ST_REQ_RULES_FE:
	case ST_REQ_RULES_BE:
		return 'R';
	case ST_QUEUE:
		return 'Q';
	case ST_PAUSE:
	case ST_CONNECT:
		return 'C';
	case ST_WAIT_RES:
	case ST_RES_RULES_BE:
	case ST_RES_RULES_FE:
		return 'H';
	default:
		return 'D';
	}
}

void
txn_fail(struct stream *s, uint16_t status, const char term[2])
{
	if (s->phase == ST_DEAD)
		return;
	txn_set_term(s, term);
	if ((s->flags & ST_F_RES_SENT) == 0) {
		s->log.status = s->fe->mode == PX_HTTP ? status : 0;
		if (status != 0 && s->cs != NULL)
			reply_default(s, status);
	}
	stream_end(s);
}

void
txn_client_abort(struct stream *s)
{
	char term[2] = { 'C', txn_phase_letter(s) };

	counter_inc(&px_cnt(s->lc, s->fe)->cli_aborts);
	if (s->srv != NULL)
		counter_inc(&s->lc->srv_cnt[s->srv->slot].cli_aborts);
	txn_fail(s, 0, term);
}

void
txn_advance(struct stream *s)
{
	switch (s->phase) {
	case ST_REQ_RULES_FE:
	case ST_REQ_RULES_BE:
		if (s->fe->mode == PX_TCP)
			tcp_mode_start(s);
		else
			txn_request_rules(s);
		break;
	case ST_RES_RULES_BE:
	case ST_RES_RULES_FE:
		txn_response_rules(s);
		break;
	case ST_TUNNEL: // rules on a server's bytes
		if (s->fe->mode == PX_TCP)
			tcp_mode_run(s);
		break;
	default:
		break;
	}
}

static bool
is_flowing(const struct stream *s)
{
	return (s->flags & ST_F_PARKED) == 0 &&
		(s->phase == ST_WAIT_RES || s->phase == ST_DATA || s->phase == ST_TUNNEL);
}

void
txn_client_event(struct lcore *lc, struct muxs *ms, void *user, uint32_t ev)
{
	struct stream *s = user;

	(void)lc;
	stream_enter(s);
	if ((ev & (MUX_EV_BODY | MUX_EV_SPACE | MUX_EV_SENT)) != 0)
		stream_touch_client(s);
	if ((ev & MUX_EV_ERROR) != 0 && s->phase == ST_REQ_HEAD)
		txn_request_error(s);
	else if ((ev & MUX_EV_ERROR) != 0 && muxs_error(ms) == MUX_ERR_RESET)
		txn_client_abort(s);
	else if ((ev & MUX_EV_HEAD) != 0)
		txn_request_head(s);
	else if (unlikely((s->flags & (ST_F_MISSING | ST_F_CONTENT_RES)) == ST_F_MISSING))
		txn_advance(s);
	else if (unlikely((s->flags & ST_F_BODY_WAIT) != 0) && !stream_at_response(s))
		body_waited(s);
	else if (is_flowing(s) || (s->flags & ST_F_SERVICE) != 0)
		body_run(s);
	else if ((ev & MUX_EV_ERROR) != 0)
		txn_client_abort(s); // closed inside the body, before we read that far
	stream_leave(s);
}

static void
server_event(struct stream *s, struct muxs *ms, uint32_t ev)
{
	if ((ev & MUX_EV_ERROR) != 0 && s->phase == ST_CONNECT) {
		upstream_failed(s, muxs_conn_error(ms));
		return;
	}
	if ((ev & MUX_EV_CONNECTED) != 0 && s->phase == ST_CONNECT)
		upstream_connected(s);
	if (s->ss != ms)
		return;
	if ((ev & MUX_EV_INTERIM) != 0)
		txn_response_interim(s);
	else if ((ev & MUX_EV_HEAD) != 0)
		txn_response_head(s);
	else if ((ev & MUX_EV_ERROR) != 0 && s->phase == ST_WAIT_RES)
		txn_server_error(s);
	else if (unlikely((s->flags & ST_F_MISSING) != 0))
		txn_advance(s);
	else if (unlikely((s->flags & ST_F_BODY_WAIT) != 0))
		body_waited(s);
	else if (is_flowing(s))
		body_run(s);
}

static void
on_server_event(struct lcore *lc, struct muxs *ms, void *user, uint32_t ev)
{
	struct stream *s = user;

	(void)lc;
	stream_enter(s);
	stream_touch_server(s);
	server_event(s, ms, ev);
	stream_leave(s);
}

/* The server's connection always has a stream while it is ours. */
static void
on_server_gone(struct lcore *lc, void *owner, struct mux *mx)
{
	(void)lc;
	(void)owner;
	(void)mx;
}

const struct mux_user txn_server_user = {
	.head_mem = stream_head_mem,
	.event = on_server_event,
	.gone = on_server_gone,
};
