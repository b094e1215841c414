// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs the programs of a stream and goes on after a suspension.
 *
 * Runs on: the worker. A program may stop anywhere: in a CALL (call.c), or in an action that waits.
 * The cursor stays in the stream's side table; whoever has the result calls stream_call_done(),
 * which resumes the program and then the transaction behind it.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

static enum act_ret
on_act(struct prog_env *e, const void *act, struct sample *args, uint32_t n)
{
	const struct act *a = act;

	return a->row->run(e->owner, a, args, n);
}

static enum act_ret
on_call(struct prog_env *e, const struct prog_call *c, const struct sample *in, struct sample *out)
{
	struct stream *s = e->owner;
	enum act_ret rc;

	s->flags |= ST_F_CALLED;
	rc = call_start(s, c, in, out);
	if (rc != ACT_SUSPEND)
		s->flags &= ~ST_F_CALLED;
	return rc;
}

static enum rule_result
after(struct stream *s, enum prog_status st)
{
	if (s->phase == ST_DEAD)
		return RULE_ENDED;
	switch (st) {
	case PROG_END:
	case PROG_STOPPED:
		return RULE_NEXT;
	case PROG_SUSPENDED:
		// what stays must not point into received packets
		if (s->fe->mode == PX_HTTP &&
			(stream_own_req(s) < 0 || (stream_at_response(s) && stream_own_res(s) < 0))) {
			txn_fail(s, 500, "RC");
			return RULE_ENDED;
		}
		s->flags |= ST_F_PARKED;
		return RULE_PARKED;
	case PROG_WAIT:
		// in mode http the head would move when bytes of its body come
		if (s->fe->mode == PX_HTTP &&
			(stream_own_req(s) < 0 || (stream_at_response(s) && stream_own_res(s) < 0))) {
			txn_fail(s, 500, "RC");
			return RULE_ENDED;
		}
		s->flags |= ST_F_MISSING;
		return RULE_PARKED;
	case PROG_DONE:
		stream_end(s); // the action has answered
		return RULE_ENDED;
	case PROG_NOMEM:
	default:
		txn_fail(s, 500, "RC");
		return RULE_ENDED;
	}
}

static void
refresh(struct stream *s)
{
	s->view.now_us = s->lc->now_us;
	s->view.wall_us = s->lc->wall_us;
	s->view.fe = s->fe;
	s->view.be = s->be;
	s->view.srv = s->srv;
	s->view.partial = (s->flags & ST_F_CONTENT) != 0 && content_partial(s);
}

enum rule_result
rule_run(struct stream *s, const struct prog *p)
{
	if (p == NULL)
		return RULE_NEXT;
	refresh(s);
	s->env = (struct prog_env){
		.view = &s->view,
		.mem = &s->arena,
		.owner = s,
		.act = on_act,
		.call = on_call,
	};
	prog_start(&s->side->cursor, p);
	return after(s, prog_run(&s->side->cursor, &s->env));
}

/* A program that cannot suspend, while another may be on its cursor. */
static bool
run_now(struct stream *s, const struct prog *p)
{
	struct prog_env env = {
		.view = &s->view, .mem = &s->arena, .owner = s, .act = on_act, .call = NULL
	};
	struct prog_cursor c;
	enum prog_status st;

	prog_start(&c, p);
	st = prog_run(&c, &env);
	if (s->phase != ST_DEAD && st != PROG_END && st != PROG_STOPPED)
		txn_fail(s, 500, "RH");
	return s->phase != ST_DEAD;
}

int
rule_run_after(struct stream *s)
{
	const struct proxy *be = s->be != NULL ? s->be : s->fe;

	if (likely(be->http_after == NULL && s->fe->http_after == NULL))
		return 0;
	refresh(s);
	s->view.res = &s->res;
	if (be->http_after != NULL && !run_now(s, be->http_after))
		return -EPIPE;
	if (s->fe != be && s->fe->http_after != NULL && !run_now(s, s->fe->http_after))
		return -EPIPE;
	return 0;
}

static void
resume(struct stream *s, const struct sample *value)
{
	refresh(s);
	if (after(s, prog_resume(&s->side->cursor, &s->env, value)) == RULE_NEXT)
		txn_advance(s);
}

void
rule_resume(struct stream *s)
{
	s->flags &= ~ST_F_PARKED;
	resume(s, NULL);
}

void
stream_set_call_deadline(struct stream *s, sl_tick at)
{
	s->call_exp = at;
	if (s->depth == 0)
		stream_rearm(s);
}

void
stream_count_denied(struct stream *s)
{
	if (!stream_at_response(s)) {
		counter_inc(&px_cnt(s->lc, s->fe)->denied_req);
		return;
	}
	counter_inc(&px_cnt(s->lc, s->fe)->denied_res);
	counter_inc(&px_be_cnt(s->lc, s->be)->denied_res);
	if (s->srv != NULL)
		counter_inc(&s->lc->srv_cnt[s->srv->slot].denied_res);
}

/* Termination state of what a script's end refuses, where it was asked. */
static const char *
refused(const struct stream *s)
{
	if (!stream_at_response(s))
		return "PR";
	return s->phase == ST_TUNNEL ? "PD" : "PH";
}

static void
deny(struct stream *s, uint16_t status)
{
	stream_count_denied(s);
	txn_fail(s,
		status != 0                     ? status
			: stream_at_response(s) ? 502
						: 403,
		refused(s));
}

#define REPLY_MAX_HDRS 16

/* txn:done(reply): sends it and ends the stream. */
static void
reply_of(struct stream *s, const struct call_slot *slot)
{
	struct reply r = { .status = slot->reply_status,
		.reason = slot->reply_reason,
		.body = slot->reply_body };
	struct sl_str hdr[2 * REPLY_MAX_HDRS];

	for (const struct call_write *w = slot->reply_hdr; w != NULL; w = w->next) {
		if (r.nhdr == REPLY_MAX_HDRS) {
			txn_fail(s, 500, "PR");
			return;
		}
		r.nhdr++;
		hdr[2 * (REPLY_MAX_HDRS - r.nhdr)] = w->name;
		hdr[2 * (REPLY_MAX_HDRS - r.nhdr) + 1] = w->value.s;
	}
	r.hdr = hdr + 2 * (REPLY_MAX_HDRS - r.nhdr);
	txn_set_term(s, stream_at_response(s) ? "LH" : "LR");
	if (reply_send(s, &r) < 0)
		txn_fail(s, 500, "PR");
	else
		stream_end(s);
}

/* All verdicts but CONT, which differs between the two callers. */
static void
decide(struct stream *s, const struct call_result *r)
{
	switch (r->verdict) {
	case CALLV_DENY:
		deny(s, r->status);
		break;
	case CALLV_ERROR:
		txn_fail(s, r->status != 0 ? r->status : 500, refused(s));
		break;
	case CALLV_REPLY:
		reply_of(s, r->reply);
		break;
	case CALLV_ABORT:
		txn_fail(s, 0, refused(s));
		break;
	default:
		break;
	}
}

void
stream_call_done(struct lcore *lc, struct stream *s, const struct call_result *r)
{
	(void)lc;
	stream_enter(s);
	s->flags &= ~(ST_F_PARKED | ST_F_CALLED);
	s->call_exp = TICK_NONE;
	if (r->verdict == CALLV_CONT)
		resume(s, r->value);
	else if (r->verdict == CALLV_STOP)
		txn_advance(s);
	else
		decide(s, r);
	stream_leave(s);
}

enum act_ret
stream_call_now(struct stream *s, const struct call_result *r, struct sample *out)
{
	if (r->verdict == CALLV_STOP)
		return ACT_STOP;
	if (r->verdict == CALLV_CONT) {
		if (r->value != NULL)
			*out = *r->value;
		else
			*out = (struct sample){ .type = T_ANY };
		return ACT_CONT;
	}
	decide(s, r);
	return ACT_DONE;
}
