/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the proxy's flow and its calls to script threads (call.c, act_lua.c); private to
 * dataplane/proxy. All on the worker that owns the stream.
 *
 * A program reaches OP_CALL: rule.c calls call_start(). When it suspends, the stream is parked until
 * stream_call_done(), which call.c calls for a reply (after it applied the slot's writes), for a
 * deadline, or when a policy decides. A stream that ends before calls call_cancel() first.
 */
#pragma once

#include "dataplane/base/list.h"
#include "dataplane/expr/expr.h"
#include "dataplane/lcore/lcore.h"

struct stream;
struct call_slot;
struct px_spec;
struct call_lcore; // private to call*.c; hangs from px_lcore->calls
struct call_pair;

/* What call.c keeps in a stream while it is parked. */
struct call_wait {
	struct call_slot *slot;       // NULL: none, or in the FIFO for one
	const struct prog_call *call; // the instruction's
	struct sl_list node;          // place in the worker's FIFO
	struct sample in;             // a converter's input, in the stream's arena
	sl_tick exp;                  // when the stream stops waiting for good
	uint32_t seq;
	bool queued;                 // node is linked
	struct call_pair *queued_at; // where
	bool again;                  // act.YIELD: the call deadline starts it again
};

enum call_verdict {
	CALLV_CONT,  // go on with the program, value is the call's result
	CALLV_STOP,  // end this ruleset, go on with the request (act.STOP, act.DONE)
	CALLV_DENY,  // answer with status (0: 403), as "deny" (act.DENY, policies)
	CALLV_ERROR, // answer with status (0: 500): internal error (act.ERROR)
	CALLV_REPLY, // answer with what stands in the slot `reply`
	CALLV_ABORT, // close without an answer (act.ABORT)
};
struct call_result {
	enum call_verdict verdict;
	uint16_t status;
	const struct call_slot *reply;
	const struct sample *value; // strings in the stream's arena; NULL: none
};

/* ---- by call.c ---- */
int call_attach(struct lcore *lc, const struct px_spec *spec);
size_t call_memory(const struct px_spec *spec); // bytes that it will take
void call_detach(struct lcore *lc);
/*
 * ACT_SUSPEND: parked, a slot is under way or waited for. ACT_CONT with *out: answered at once.
 * ACT_DONE after stream_call_now(). Once the stream is parked its heads are private copies.
 */
enum act_ret call_start(
	struct stream *s, const struct prog_call *c, const struct sample *in, struct sample *out);
/* The stream ends while parked: forgets the FIFO place, or tells the script thread. */
void call_cancel(struct lcore *lc, struct stream *s);
/* XMSG_SCRIPT_MOVED: a script thread is stuck, and another serves its place from now on, or nobody. */
void call_moved(struct lcore *lc, const struct xmsg *m);
/* The date given to stream_set_call_deadline() has come. */
void call_deadline(struct lcore *lc, struct stream *s);

/* Nobody waits any more for a call that was taken (a service behind its head). */
void call_drop(struct lcore *lc, struct call_slot *slot, uint32_t seq);
/* What on-error answers for s->call. */
uint16_t call_error_status(const struct stream *s);

/* ---- by call_apply.c: slot -> stream ---- */
/* The script's writes so far, in its order; they are forgotten then. 0 or -Exxx. */
int call_apply(struct stream *s, struct call_slot *slot);
/*
 * CALL_ASK: answers, or leaves it to who calls call_told() later. s: NULL when the stream does not
 * wait for this slot any more.
 */
void call_asked(struct lcore *lc, struct stream *s, struct call_slot *slot);
void call_told(struct lcore *lc, struct call_slot *slot, int rc);

/* ---- by rule.c ---- */
/* Continues a parked stream; it may be gone when this returns. */
void stream_call_done(struct lcore *lc, struct stream *s, const struct call_result *r);
/* From inside call_start(): the answer of a policy at once. Returns what call_start() returns. */
enum act_ret stream_call_now(struct stream *s, const struct call_result *r, struct sample *out);
/* When call_deadline() is called; TICK_NONE: never. */
void stream_set_call_deadline(struct stream *s, sl_tick at);
/* call_lcore of a worker. */
struct call_lcore **px_calls(struct lcore *lc);
