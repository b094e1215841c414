/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The benchmark's outside world at one end of a wire: synthetic clients and web servers as small
 * TCP endpoints over frames. They negotiate what kernels do (MSS 1460, window scale, SACK,
 * timestamps), compute and check checksums, and check every byte of every request and answer.
 */
#pragma once

#include "dataplane/base/base.h"
#include "drivers/port.h"

#define GEN_SERVERS 4

struct gen_conf {
	uint32_t conns;  // client connections
	uint32_t window; // requests in flight
	uint32_t body;   // bytes of an answer's body
	bool close;      // a new connection on both sides for each request
	uint64_t seed;   // order in which connections are visited
	uint32_t vip;    // sluice's address, host order
	uint16_t queues; // of the wire
	const char *reply; // what the heads of answers must contain; NULL: nothing more
};

struct gen_stats {
	uint64_t done;  // answers complete and right
	uint64_t wrong; // bytes that differ, unexpected segments
	uint64_t resets;
	uint64_t tx, rx;       // frames from and to the generator
	uint64_t pure_acks_rx; // frames from sluice that carry only an ACK
	uint64_t opened;
	uint32_t in_flight;
	char first_wrong[1024];
};

struct gen;
struct gen *gen_new(struct wire *w, char end, const struct gen_conf *c);
void gen_free(struct gen *g);
/* Takes every frame that is there, answers, and starts requests; now_us: virtual or real. */
void gen_poll(struct gen *g, uint64_t now_us);
/* Opens all client connections before requests start; true once done. */
bool gen_connected(const struct gen *g);
/* The number that requests go on from. */
void gen_number(struct gen *g, uint32_t n);
/* So many requests more from now on, then as gen_stop(). */
void gen_allow(struct gen *g, uint32_t n);
/* No new requests from now on (to drain). */
void gen_stop(struct gen *g);
const struct gen_stats *gen_stats(const struct gen *g);
