/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A live host for fuzz targets below tcp: one port on a wire, a virtual clock, frames made by hand.
 * It lives on from input to input.
 */
#pragma once

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/harness/host.h"

#define FRAME 512

struct in {
	const uint8_t *p;
	size_t n;
};

extern struct wire *wire;
extern struct test_host host;
extern uint64_t now; // us; also for inputs that let time pass

extern const uint8_t peer_mac[6], us4[4], them4[4], us6[16], them6[16];
extern const uint8_t static6[16], static_mac[6]; // a neighbour that is configured
#define LIVE_GATEWAY4 254                        // last byte

/* The next byte, 0 behind the end. */
uint8_t take(struct in *in);

/* Starts the host once; every segment that reaches tcp is shown to `seen` (or NULL) and freed. */
void live_start(void (*seen)(const struct rte_mbuf *m, const struct pkt *pk));
/* One turn of the host's, a millisecond later; what it sends must have its own address. */
void live_poll(void);
/* Behind an input: whoever waits for a neighbour is told, and nothing may be held. */
void live_settle(void);
/* A segment of ours to somebody on the link, behind the gateway, or to the static neighbour. */
void live_output(struct in *in);

void put16(uint8_t *p, uint32_t v);
/* Headers; what they return is the length up to there, with len more bytes. */
uint32_t ether(uint8_t *f, uint16_t type);
uint32_t ip4(uint8_t *f, uint8_t proto, uint32_t opts, uint32_t len);
uint32_t ip6(uint8_t *f, uint8_t proto, uint32_t len);
/* Makes lengths and checksums right, as far as the headers allow to find them. */
void mend(uint8_t *f, uint32_t n);
