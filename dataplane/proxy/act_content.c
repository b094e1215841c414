// SPDX-License-Identifier: BSD-3-Clause
/*
 * Actions of "tcp-request content" alone: accept, reject.
 *
 * Runs on: the worker. Follows: HAProxy 2.6: "accept" ends the rules; "reject" closes the connection
 * without an answer, in mode http too, termination state "PR".
 */
#include "dataplane/proxy/stream.h"

#define POINTS EVAL_BIT(EVAL_TCP_CONTENT)

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
	txn_fail(s, 0, "PR");
	return ACT_DONE;
}

SL_ACTIONS({ "accept", POINTS, NULL, run_accept, "go on with the request" },
	{ "reject", POINTS, NULL, run_reject, "close the connection without an answer" }, );
