// SPDX-License-Identifier: BSD-3-Clause
/*
 * The dates of a stream, and what their passing means.
 *
 * Runs on: the worker, out of its timing wheel. One timer per stream is armed for the nearest date
 * that counts in the present phase: http-request while the head is incomplete; connect, queue or
 * pause; client and server inactivity while something is expected from them; a script's deadline.
 * Follows: HAProxy's rules, in particular that a side is blamed only for what it keeps us waiting
 * for: the client while its body is incomplete or it does not take what we have, the server once it
 * has the whole request.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

static uint32_t
inactivity(const struct stream *s, uint32_t own)
{
	return s->phase == ST_TUNNEL && s->be->timeout.tunnel != 0 ? s->be->timeout.tunnel : own;
}

void
stream_touch_client(struct stream *s)
{
	s->cli_exp = tick_add_ifset(s->lc->now, inactivity(s, s->fe->timeout.client));
}

void
stream_touch_server(struct stream *s)
{
	s->srv_exp = tick_add_ifset(s->lc->now, inactivity(s, s->be->timeout.server));
}

/* Does the answer stand still because the client does not take it? */
static bool
client_blocks(const struct stream *s)
{
	return s->cs != NULL && (s->flags & ST_F_RES_SENT) != 0 && muxs_send_space(s->cs) == 0;
}

static bool
server_blocks(const struct stream *s)
{
	return s->ss != NULL && muxs_send_space(s->ss) == 0;
}

/* Are we waiting for the client, or for the server, while messages flow? */
static bool
wait_client(const struct stream *s)
{
	if ((s->flags & ST_F_SERVICE) != 0)
		return svc_waits(s);
	if (s->phase == ST_TUNNEL)
		return true;
	return client_blocks(s) || ((s->flags & ST_F_REQ_DONE) == 0 && !server_blocks(s));
}

static bool
wait_server(const struct stream *s)
{
	if ((s->flags & ST_F_SERVICE) != 0)
		return false; // its own limits hold
	if (s->phase == ST_TUNNEL)
		return true;
	if (client_blocks(s))
		return false;
	return (s->flags & ST_F_REQ_DONE) != 0 || server_blocks(s) || s->phase == ST_DATA;
}

/* Rules wait for bytes: as in HAProxy the limits of whoever is to send them hold too. */
static sl_tick
side_date(const struct stream *s)
{
	if (s->phase == ST_TUNNEL)
		return tick_first(s->cli_exp, s->srv_exp);
	return stream_at_response(s) ? TICK_NONE : s->cli_exp;
}

static sl_tick
next_date(const struct stream *s)
{
	sl_tick t = TICK_NONE;

	if ((s->flags & ST_F_PARKED) != 0)
		return (s->flags & ST_F_SERVICE) != 0 && svc_waits(s)
			? tick_first(s->call_exp, s->cli_exp)
			: tick_first(s->call_exp, content_date(s));
	if (unlikely((s->flags & ST_F_MISSING) != 0))
		return tick_first(s->side->inspect_exp, side_date(s));
	switch (s->phase) {
	case ST_REQ_HEAD:
		return tick_is_set(s->req_exp) ? s->req_exp : s->cli_exp;
	case ST_REQ_RULES_FE: // mode tcp: about to start
	case ST_QUEUE:
	case ST_PAUSE:
	case ST_CONNECT:
		return s->wait_exp;
	case ST_WAIT_RES:
	case ST_DATA:
	case ST_TUNNEL:
		if (wait_client(s))
			t = tick_first(t, s->cli_exp);
		if (wait_server(s))
			t = tick_first(t, s->srv_exp);
		return t;
	default:
		return TICK_NONE;
	}
}

void
stream_rearm(struct stream *s)
{
	sl_tick t = next_date(s);

	if (t != s->timer.deadline)
		wheel_arm(&s->lc->wheel, &s->timer, t);
}

static void
flow_expired(struct stream *s)
{
	sl_tick now = s->lc->now;
	bool client = wait_client(s) && tick_is_expired(s->cli_exp, now);
	bool server = wait_server(s) && tick_is_expired(s->srv_exp, now);
	bool data = s->phase != ST_WAIT_RES;

	if (client && (!server || !tick_is_before(s->srv_exp, s->cli_exp))) {
		txn_fail(s, 408, data ? "cD" : "cH");
	} else if (server) {
		counter_inc(&px_be_cnt(s->lc, s->be)->failed_resp);
		if (s->srv != NULL)
			counter_inc(&s->lc->srv_cnt[s->srv->slot].failed_resp);
		txn_fail(s, 504, data ? "sD" : "sH");
	}
}

static void
expired(struct stream *s)
{
	if ((s->flags & ST_F_PARKED) != 0 && !tick_is_expired(s->call_exp, s->lc->now)) {
		if (tick_is_set(content_date(s))) {
			content_run(s);
			return;
		}
		txn_fail(s, 408, "cH"); // the client keeps a service waiting
		return;
	}
	if ((s->flags & ST_F_PARKED) != 0) {
		s->call_exp = TICK_NONE;
		call_deadline(s->lc, s);
		return;
	}
	if (unlikely((s->flags & ST_F_MISSING) != 0) && s->phase != ST_TUNNEL) {
		if (tick_is_expired(s->side->inspect_exp, s->lc->now))
			txn_advance(s);
		else
			txn_fail(s, 408, "cR");
		return;
	}
	if (unlikely((s->flags & ST_F_MISSING) != 0) &&
		tick_is_expired(s->side->inspect_exp, s->lc->now)) {
		txn_advance(s);
		return;
	}
	switch (s->phase) {
	case ST_REQ_HEAD:
		txn_count_no_request(s);
		txn_fail(s, 408, "cR");
		break;
	case ST_REQ_RULES_FE:
		tcp_mode_start(s);
		break;
	case ST_QUEUE:
	case ST_PAUSE:
	case ST_CONNECT:
		upstream_timeout(s);
		break;
	case ST_WAIT_RES:
	case ST_DATA:
	case ST_TUNNEL:
		flow_expired(s);
		break;
	default:
		break;
	}
}

void
stream_on_timer(void *ctx, struct wheel_timer *t)
{
	struct stream *s = sl_container_of(t, struct stream, timer);

	(void)ctx;
	stream_enter(s);
	if (tick_is_expired(next_date(s), s->lc->now))
		expired(s);
	stream_leave(s);
}
