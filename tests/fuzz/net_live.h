/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands above and beside net in fuzz_net: a live tcp with an application, chains of payload
 * with copies of their bytes, and the kernel behind the TAP of the first port.
 */
#pragma once

#include "dataplane/net/net_priv.h"
#include "dataplane/tcp/tcp.h"
#include "tests/fuzz/live.h"

#define LIVE_WORKERS 2

/* Who gets the segments of an input. */
enum takes {
	TAKES_NOBODY, // freed, or the kernel's if it has the address
	TAKES_CHAIN,  // their payload is kept
	TAKES_TCP,    // a live stack on each worker
	TAKES_NR
};
extern enum takes takes;

/* ---- net_stack.c ---- */
/* Fresh tcp on both workers, for one input; how: its settings. */
void stack_begin(uint8_t how);
/* One turn of its: timers, events, output; its invariants must hold. */
void stack_turn(void);
/* Ends it; its last words are not sent yet. */
void stack_end(void);
/* A frame that the host has sent: what a peer would answer. */
void stack_sent(uint16_t port, const uint8_t *f, uint32_t n);
/* The peer's answer to one of the last segments; its length. */
uint32_t stack_answer(struct in *in, uint8_t *f);
/* A call of the application's. */
void stack_user(struct in *in);

/* ---- net_chain.c ---- */
/* Keeps the payload of a segment; consumes m. */
void chains_take(struct lcore *lc, struct rte_mbuf *m);
void chains_step(struct in *in);
void chains_end(void);

/* ---- net_kernel.c ---- */
/* The first port gets its TAP, once. */
void kernel_start(void);
/* how: whether there is one in this input, and the addresses that it shares. */
void kernel_begin(uint8_t how);
void kernel_step(struct in *in);
/* It reads what waits for it, at most n frames. */
void kernel_read(uint32_t n);
void kernel_end(void);
