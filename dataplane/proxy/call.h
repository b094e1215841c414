/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/proxy (view for other threads): call slots, the bridge to script threads.
 *
 * A slot belongs to one (worker, script thread) pair. The worker fills the snapshot and pushes
 * XMSG_CALL; from then on the slot is the script thread's until it pushes XMSG_CALL_DONE; then it is
 * the worker's again. The stream never leaves its worker: the slot names it by handle, and a verdict
 * whose handle is stale is dropped. The reply ring has as many entries as there are slots, so a
 * reply cannot fail.
 *
 * Everything in a slot is self-contained: strings of the view point into data[].
 */
#pragma once

#include "dataplane/expr/expr.h"
#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"

#define CALL_DATA 24576     // heads, their room for edits, variables, writes
#define CALL_ROOM 17408     // of that, at least, for what the script writes and for copies that
			    // converters make: HAProxy's buffer, and more than all that it was given
#define CALL_BLOCK 65536    // in place of it for a request whose heads leave less: two heads of
			    // HTTP_MAX_HEAD fit
#define CALL_MAX_VARS 64
#define CALL_MAX_SLOTS 1024 // per pair: its rings hold four messages of each
#define CALL_DEADLINE_MS 30000 // a request never waits for ever
/* Bit of a function id: it exists in the state of each script thread, not only on thread 0. */
#define CALL_FN_PER_THREAD 0x8000u
#define CALL_NO_LEN        UINT64_MAX

/* DEFAULT: the global section's; there it means continue on errors, wait on overload. */
enum call_policy {
	CALL_POLICY_DEFAULT,
	CALL_POLICY_CONT,
	CALL_POLICY_DENY,
	CALL_POLICY_STATUS,
	CALL_POLICY_WAIT
};
/* Of one rule: "deadline T", "on-error …", "on-overload …"; prog_call.priv points at it. */
struct call_rule {
	uint32_t deadline_ms; // 0: the global default, and CALL_DEADLINE_MS where there is none
	uint8_t on_error;     // enum call_policy
	uint8_t on_overload;
	uint16_t error_status, overload_status;
};

/* Of one function: what workers count, all of them. model->lua_fn, by number without CALL_FN_PER_THREAD. */
struct call_fn_count {
	_Atomic(uint64_t) waits;     // found no slot, and waited for one
	_Atomic(uint64_t) overloads; // on-overload decided: no slot, or the deadline passed
	/* Of these, how long after the deadline, by the worker's clock. */
	_Atomic(uint64_t) late_2ms, late_20ms, later;
};

/* Ordered writes, applied by the worker on resume. */
enum call_write_op {
	CW_REQ_ADD_HDR,
	CW_REQ_SET_HDR,
	CW_REQ_DEL_HDR,
	CW_RES_ADD_HDR,
	CW_RES_SET_HDR,
	CW_RES_DEL_HDR,
	CW_REQ_PUT_HDR, // value of field `scope`, in its place
	CW_RES_PUT_HDR,
	CW_REQ_METHOD,
	CW_REQ_URI,
	CW_REQ_PATH,
	CW_REQ_QUERY,
	CW_RES_STATUS,
	CW_SET_VAR,
	CW_UNSET_VAR,
	CW_REPLY_HDR, // a field of the reply
	CW_LOGLEVEL,  // value: -1 silent, or enum sl_level
};
struct call_write {
	struct call_write *next; // inside data[]
	uint8_t op;    // enum call_write_op
	uint8_t scope; // enum var_scope; *_PUT_HDR: the field's index
	struct sl_str name;
	struct sample value;
};

enum call_end { CALL_OK, CALL_ERROR, CALL_EXHAUSTED, CALL_CANCELLED };

/*
 * What a running call may ask of the worker (CALL_ASK). One question at a time; the slot is the
 * worker's until CALL_TOLD, which always comes. The writes so far are applied first.
 */
enum call_ask {
	CALL_ASK_NONE,
	CALL_ASK_FETCH, // ask_row: a WHERE_OWNER fetch, ask_args; ask_value: its value, T_ANY: none
	CALL_ASK_CONV,  // ask_row: a WHERE_OWNER converter, ask_args; ask_value: input, then result
	/* of services (svc.c); the answer may take as long as the client does */
	CALL_ASK_HEAD, // reply_status, reply_reason, body_len, CW_REPLY_HDR: the answer's head; once
	CALL_ASK_RECV, // up to ask_max bytes of what the client sends: ask_value; empty: its end
	CALL_ASK_CHAN, // chan: what else was sent; ask_max 1: waits until there is some
	CALL_ASK_SEND, // ask_value to the client. -EMSGSIZE: body_len is over; -EAGAIN: no memory now
};

/* Memory in place of data[]; they belong to the worker. */
struct call_block {
	struct call_block *next_free;
	alignas(16) uint8_t mem[CALL_BLOCK];
};

/* What a script sees of the bytes of a side in mode tcp (content.c). */
#define CALL_CHAN 16384u // HAProxy's buffer
struct call_chan {
	char *p; // CALL_CHAN bytes in the slot; NULL: not asked for yet
	uint32_t len;
	uint32_t out;  // of these, to be sent before the rules are through
	uint32_t seen; // bytes of the stream's that they stand for
	bool dirty;    // changed since
	bool over;     // no more is sent
};

struct call_slot {
	/* ==== fixed ==== */
	uint16_t worker, script, index;
	/* ==== worker writes before CALL ==== */
	struct sl_handle stream;
	uint32_t seq;            // of this use of the slot
	uint8_t kind;            // 'a', 'f', 'c'; services: 's' of mode http, 'S' of mode tcp
	uint16_t fn;             // function id of the generation
	const struct model *model;
	uint32_t nargs;
	struct sl_str args[EXPR_MAX_ARGS];
	struct sample input;     // converter
	enum eval_point point;
	struct txn_view view;
	struct http_msg req, res;
	struct http_field req_hdr[HTTP_MAX_HDR], res_hdr[HTTP_MAX_HDR];
	struct vars vars;
	uint64_t deadline_us;    // when the worker stops waiting
	struct sl_str id;        // unique-id of the request; empty: it has none
	/* ==== script thread writes before CALL_DONE ==== */
	enum call_end end;
	int32_t act;             // HAProxy's act.* value of an action
	uint32_t wake_ms;        // with act.YIELD: when to run it again
	uint16_t reply_status;   // 0: none; txn:done(reply), its fields are writes
	struct sl_str reply_reason, reply_body;
	struct call_write *reply_hdr; // the last first; the worker collects them
	struct sample value;     // fetch, converter
	struct call_write *first, *last;
	bool full; // something did not fit: on-overload decides, not on-error, if the call fails
	char error[192];
	uint64_t cpu_us;
	uint64_t instructions;   // counted in whole slices
	/* ==== script thread before CALL_ASK, worker before CALL_TOLD ==== */
	enum call_ask ask;
	int32_t ask_rc; // 0; -ECANCELED: the stream does not wait any more; other errors by question
	const void *ask_row;
	struct arg *ask_args; // in data
	struct sample ask_value;
	uint32_t ask_max;
	struct call_chan chan;
	uint64_t body_len; // of a service's answer; CALL_NO_LEN: it says none
	/* ==== script thread only, while a service runs ==== */
	uint32_t ask_mark; // `used` to go back to
	bool svc_started, svc_eof; // HEAD was asked; RECV has told the end
	/* ==== both, in turn: bump memory for the above ==== */
	uint32_t used;
	struct call_block *block; // NULL: data
	alignas(16) uint8_t data[CALL_DATA];
	/* ==== the script thread sets it when it takes the call, the worker clears it before ==== */
	_Atomic(bool) taken;
	/* ==== worker only ==== */
	struct call_slot *next_free;
	bool busy;
	bool asked; // CALL_ASK came, CALL_TOLD was not sent
	int lost;   // 0, or why a write did not take effect: none behind it does
};

/*
 * Slots for a successor of a script thread: made by main (main, any thread; NULL: no memory), given to
 * the worker by XMSG_SCRIPT_MOVED, which keeps them. nslots as px_spec.call_slots.
 */
struct call_spare;
struct call_spare *call_spare_new(uint16_t worker, uint16_t pair, uint32_t nslots, int socket);
void call_spare_free(struct call_spare *sp);

/* NULL when data[] is full, which `full` keeps. Thread: whoever holds the slot. */
void *call_alloc(struct call_slot *s, uint32_t n);
struct sl_str call_str(struct call_slot *s, struct sl_str text);
/* Bytes that call_alloc() has left. */
uint32_t call_room(const struct call_slot *s);
/* An arena over data[], for fetches and casts on the script thread. */
struct call_arena {
	struct arena arena;
	struct arena_src src;
	struct call_slot *slot;
};
void call_arena_init(struct call_arena *a, struct call_slot *s);
/* Appends a write (copies name and value); 0 or -ENOSPC. */
int call_add_write(struct call_slot *s, enum call_write_op op, enum var_scope scope,
	struct sl_str name, const struct sample *value);
