/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Within the calls to script threads (call*.c): the slots of a worker, and who waits for one. All of it
 * is the worker's.
 */
#pragma once

#include "dataplane/proxy/call.h"
#include "dataplane/proxy/stream.h"

/* One script thread's share. */
struct call_pair {
	struct call_slot *slots;
	struct call_slot *unused;
	struct sl_list waiting;     // struct call_wait: for a slot
	struct sl_list want_blocks; // likewise: a slot there was, but no block, of which the worker has few
	uint32_t nwaiting, nbusy, nslots;
	bool given_up; // its thread is stuck: whatever still comes of it is nobody's
};

struct call_spare {
	size_t bytes;
	struct call_spare *next;
	struct call_slot *slots;
	uint32_t nslots;
};

struct call_lcore {
	size_t bytes;
	int16_t route[SCRIPT_MAX]; // pair of a place; -1: nobody serves it any more
	uint16_t nplaces;
	struct call_spare *spare;  // that came later
	struct call_block *blocks; // free ones
	uint32_t nslots;           // of each pair
	uint16_t npairs;
	struct call_pair pair[];
};

/* ---- call_pool.c ---- */
struct call_slot *call_slot_get(struct call_pair *p); // NULL: all are out
void call_slot_put(struct call_lcore *cl, struct call_pair *p, struct call_slot *slot);
void call_pair_init(struct call_pair *p, struct call_slot *slots, uint32_t n);

/* ---- call_policy.c ---- */
/* A rule's policy: its own, else the global one, else `fallback`. */
struct call_choice {
	enum call_policy kind;
	uint16_t status;
};
struct call_choice call_error_policy(const struct stream *s);
struct call_choice call_overload_policy(const struct stream *s);
/* The call found no slot. */
void call_count_wait(const struct stream *s);
/* Its deadline has passed, and is answered now. */
void call_count_late(const struct stream *s);
/* on-overload decides, and that is counted. */
struct call_result call_overloaded(const struct stream *s, struct call_choice policy);
/* What a policy answers; WAIT here means that waiting is over. */
struct call_result call_by_policy(struct call_choice p);
uint32_t call_deadline_ms(const struct stream *s);

/* ---- call_snap.c ---- */
/* Worker -> slot; exp: when the stream stops waiting. 0, -EMSGSIZE: more than the slot holds. */
int call_snapshot(struct call_slot *slot, struct stream *s, sl_tick exp);

/* ---- call.c ---- */
/* Behind those that wait for a slot; out of either list. */
void call_enqueue(struct call_pair *p, struct stream *s);
void call_dequeue(struct stream *s);
/* Slots of p, or blocks, became free: the longest waiting streams get them. */
void call_serve_waiting(struct lcore *lc, struct call_pair *p);
