/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/net: the exception path. What a port receives and sluice does not serve goes to
 * the kernel through a TAP, and what the kernel sends on the TAP leaves by the port.
 *
 * Frames cross in rings of plain buffers, single producer and single consumer: three from each worker
 * to the thread that has the TAP, by class, and one back to the port's neighbour owner. So routing
 * protocols do not wait behind a flood of anything else, and nobody but workers touches mbufs. Full
 * towards the kernel: the frame is dropped and counted (kernel_full). Full towards the worker: the
 * TAP is not read, so frames wait in the kernel's own queue.
 */
#pragma once

#include "dataplane/lcore/lcore.h"

#define NET_TAP_FRAME   2044u // longest frame; the MTU of a port is below
#define NET_TAP_LL_BIT  63    // of net_tap_share(): the link-local address of the port's MAC
#define NET_TAP_RATE    10000u
#define NET_TAP_RATE_MIN 100u // one in each tick of a worker

struct net_shared;

/*
 * The port has a TAP: main, before workers run. rate: frames per second of each class, over all workers.
 * 0 or -ENOMEM.
 */
int net_tap_add(struct net_shared *s, uint16_t port, uint32_t rate);
/*
 * Addresses that the kernel has too: bit i for addr[i] of the port. What comes to one of them and is not
 * served here goes to the kernel, instead of being refused. Main, at any time.
 */
void net_tap_share(struct net_shared *s, uint16_t port, uint64_t mask);
/* fe80:: with the port's MAC. */
const struct ip_addr *net_link_local(const struct net_shared *s, uint16_t port);

/* ---- the thread that has the TAP ---- */
/* Next frame for the kernel, the most urgent first; NULL: none. Valid until net_tap_pop(). */
const void *net_tap_peek(struct net_shared *s, uint16_t port, uint32_t *len);
void net_tap_pop(struct net_shared *s, uint16_t port);
bool net_tap_waits(const struct net_shared *s, uint16_t port);
/* Room of NET_TAP_FRAME bytes for a frame of the kernel; NULL: the worker has not caught up. */
void *net_tap_room(struct net_shared *s, uint16_t port);
void net_tap_push(struct net_shared *s, uint16_t port, uint32_t len);
/* Whom to wake after net_tap_push(). */
uint16_t net_tap_worker(const struct net_shared *s, uint16_t port);

/* Written by that thread, read by all. NULL: the port has no TAP. */
struct net_tap_counters {
	counter in, out;  // frames given to the kernel, frames taken from it
	counter refused;  // that the kernel did not take
	counter too_long; // of the kernel, longer than the port's MTU
};
struct net_tap_counters *net_tap_counters(struct net_shared *s, uint16_t port);

/* ---- workers ---- */
/*
 * A segment to an address of ours with no connection and no listener here (tcp): true if the kernel
 * has the address too; then m is consumed.
 */
bool net_tap_segment(struct lcore *lc, struct rte_mbuf *m);
