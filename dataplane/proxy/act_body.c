// SPDX-License-Identifier: BSD-3-Clause
/*
 * "http-request wait-for-body time <time> [at-least <bytes>]", and of responses.
 *
 * Parsing runs on control threads, running on the worker. Follows: HAProxy 2.6: the rules wait until the
 * whole body is there, or so many bytes of it, or as much as a buffer holds; when the time is over a client
 * is answered 408 ("cR"), and instead of a server's answer there is 504 ("sR"). A client that waits for it
 * is told 100 (RFC 9110 10.1.1), and then its Expect field is taken away: the server would say the same
 * once more.
 */
#include "dataplane/proxy/px.h"

struct body_wait {
	uint32_t time_ms, min;
};

static int
bad(const struct act_parse *p, struct sl_str word, const char *text)
{
	p->comp->diag->error(p->comp->diag->ctx, word, text);
	return -EINVAL;
}

static int
read_time(const struct act_parse *p, struct sl_str w, uint32_t *ms)
{
	static const struct arg_spec spec = SL_ARGS(1, ARG_TIME);
	struct arg out[EXPR_MAX_ARGS + 1];
	char text[200];
	struct sl_buf why;

	sl_buf_init(&why, text, sizeof(text));
	if (expr_args_convert(&spec, &w, 1, p->comp->mem, out, &why) < 0 || out[0].i < 0 ||
		out[0].i > INT32_MAX)
		return -EINVAL;
	*ms = (uint32_t)out[0].i;
	return 0;
}

/* "10", "1k", "1m" */
static int
read_size(struct sl_str w, uint32_t *out)
{
	uint64_t n, unit = 1;

	if (w.len > 1 && (w.p[w.len - 1] == 'k' || w.p[w.len - 1] == 'm')) {
		unit = w.p[w.len - 1] == 'k' ? 1024 : 1024 * 1024;
		w.len--;
	}
	if (sl_str_u64(w, &n) < 0 || n > UINT32_MAX / unit)
		return -EINVAL;
	*out = (uint32_t)(n * unit);
	return 0;
}

static int
parse_wait(struct act_parse *p, uintptr_t priv)
{
	struct body_wait *w = arena_zalloc(p->comp->mem, sizeof(*w));

	(void)priv;
	if (w == NULL)
		return bad(p, SL_STR(""), "out of memory");
	for (uint32_t i = 0; i < p->nword; i += 2) {
		struct sl_str value = i + 1 < p->nword ? p->word[i + 1] : SL_STR("");

		if (sl_str_eq(p->word[i], SL_STR("time"))) {
			if (read_time(p, value, &w->time_ms) < 0)
				return bad(p, value, "expects a time, such as '500ms' or '5s'");
		} else if (sl_str_eq(p->word[i], SL_STR("at-least"))) {
			if (read_size(value, &w->min) < 0)
				return bad(p, value, "expects a number of bytes, such as '100' or '8k'");
		} else {
			return bad(p, p->word[i], "expects 'time <time>' and 'at-least <bytes>'");
		}
	}
	if (w->time_ms == 0)
		return bad(p, SL_STR(""), "expects 'time <time>', more than zero");
	p->data = w;
	return 0;
}

/* Is there as much as the rule wants, or as much as there can be? */
static bool
is_enough(const struct stream *s, uint32_t min)
{
	const struct muxs *ms = stream_at_response(s) ? s->ss : s->cs;
	bool whole;

	return content_whole(ms) || (min > 0 && muxs_rx_peek(ms, &whole) >= min);
}

/* 0, or -Exxx: the client is gone. */
static int
say_continue(struct stream *s)
{
	struct sl_str expect = http_hdr_get(&s->req, SL_STR("expect"));
	int rc;

	if (likely(expect.p == NULL) || !sl_str_ieq(expect, SL_STR("100-continue")) ||
		(s->req.flags & HTTP_F_10) != 0)
		return 0;
	if (stream_own_req(s) < 0)
		return -ENOMEM;
	http_hdr_del(&s->req, SL_STR("expect"));
	rc = muxs_send_bytes(s->lc, s->cs, SL_STR("HTTP/1.1 100 Continue\r\n\r\n"), false, false);
	if (rc == 0)
		stream_count_out(s, sizeof("HTTP/1.1 100 Continue\r\n\r\n") - 1);
	return rc;
}

static enum act_ret
run_wait(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	const struct body_wait *w = a->data;

	(void)args;
	(void)n;
	if (is_enough(s, w->min))
		return ACT_CONT;
	if (!stream_at_response(s) && say_continue(s) < 0) {
		txn_fail(s, 500, "RR");
		return ACT_DONE;
	}
	s->side->body_min = w->min;
	s->side->inspect_exp = tick_add(s->lc->now, w->time_ms);
	s->flags |= ST_F_BODY_WAIT;
	return ACT_SUSPEND;
}

void
body_waited(struct stream *s)
{
	bool enough = is_enough(s, s->side->body_min);

	if ((s->flags & ST_F_BODY_WAIT) == 0 ||
		(!enough && !tick_is_expired(s->side->inspect_exp, s->lc->now)))
		return;
	s->flags &= ~ST_F_BODY_WAIT;
	s->side->inspect_exp = TICK_NONE;
	if (enough)
		rule_resume(s);
	else if (stream_at_response(s))
		txn_fail(s, 504, "sR"); // not H: HAProxy 2.6 has one letter for both directions here
	else
		txn_fail(s, 408, "cR");
}

SL_ACTIONS({ "wait-for-body", EVAL_BIT(EVAL_HTTP_REQ) | EVAL_BIT(EVAL_HTTP_RES), parse_wait, run_wait,
	"time <time> [at-least <bytes>]: wait for bytes of the body" }, );
