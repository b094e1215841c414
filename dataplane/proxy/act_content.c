// SPDX-License-Identifier: BSD-3-Clause
/*
 * Actions of "tcp-request content" and "tcp-response content" alone: accept, reject, close.
 *
 * Runs on: the worker. Follows: HAProxy 2.6: "accept" ends the rules; "reject" closes the connection
 * without an answer, in mode http too, termination state "PR", of responses "PD"; "close" ends the server's
 * connection behind what it has said so far, and with it the client's.
 */
#include "dataplane/proxy/stream.h"

#define POINTS (EVAL_BIT(EVAL_TCP_CONTENT) | EVAL_BIT(EVAL_TCP_RES))

static enum act_ret
run_accept(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	(void)s;
	(void)a;
	(void)args;
	(void)n;
	return ACT_STOP;
}

static enum act_ret
run_reject(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	(void)a;
	(void)args;
	(void)n;
	stream_count_denied(s);
	txn_fail(s, 0, stream_at_response(s) ? "PD" : "PR");
	return ACT_DONE;
}

static int
parse_close(struct act_parse *p, uintptr_t priv)
{
	const struct expr_comp *e = p->comp;

	(void)priv;
	if (p->nword == 0 && e->mode != EXPR_HTTP)
		return 0;
	e->diag->error(e->diag->ctx, p->nword > 0 ? p->word[0] : SL_STR("close"),
		p->nword > 0 ? "takes no argument"
			     : "is of mode tcp: in mode http use 'reject', or 'option http-server-close'");
	return -EINVAL;
}

static enum act_ret
run_close(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	(void)a;
	(void)args;
	(void)n;
	s->flags |= ST_F_SRV_CLOSE;
	return ACT_STOP;
}

SL_ACTIONS({ "accept", POINTS, NULL, run_accept, "go on with the request" },
	{ "close", EVAL_BIT(EVAL_TCP_RES), parse_close, run_close,
		"end the server's connection behind what it has said" },
	{ "reject", POINTS, NULL, run_reject, "close the connection without an answer" }, );
