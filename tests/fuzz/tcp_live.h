/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two stacks for fuzz_tcp: host 0 is the one under test. Host 1 either hears nothing, and the input
 * plays the peer, or is a peer of our own kind behind a path that loses what the input says.
 * What is below tcp lives on from input to input, as does the clock.
 */
#pragma once

#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim.h"

#define LIVE_PORT      80   // host 0 listens
#define LIVE_CLIENT    4000 // the first tuple
// of the hosts' loops while an input waits: more than all of its bytes need
#define TCP_LIVE_TURNS 60000u
#define LIVE_ISS       1000000u // of the peer that the input plays

/* An application, by host. */
struct tcp_user {
	struct tcp_conn *tc; // NULL: none, or over
	uint32_t feed;       // bytes that it will still write
	uint8_t nibble;      // reads so many bytes at a time; 0: all that there is
	bool hold;           // does not read
	bool ends;           // shuts down when it has written all
};

struct tcp_live {
	struct sim sim;
	struct tcp_user user[2];
	uint32_t budget;            // of host 0's queues, where nothing is in short supply
	struct sim_pkt seen;        // last segment of host 0
	bool live;                  // host 1 hears
	uint16_t lose[2], count[2]; // by sender: every 16 segments those whose bit is set are lost
};

extern struct tcp_live tl;

/* Fresh tcp on both hosts, as conf says. */
void tcp_live_begin(const struct tcp_conf conf[2]);
/* Ends it: nothing may be left. */
void tcp_live_end(void);
/* Time goes by, from one event to the next; the invariants must hold after each. */
void tcp_live_run(uint64_t us);
/* As an application of that host's: writes what it may. */
void tcp_live_write(int host);
/* Opens the first connection from that host to the other one. */
void tcp_live_connect(int host, bool v6, uint16_t lport, uint16_t rport);
