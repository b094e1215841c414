/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A live host for fuzz targets: ports on wires, workers that run in turn, a virtual clock, frames made
 * by hand. It lives on from input to input.
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

#define LIVE_PORTS 3

extern struct wire *wire; // of the first port
extern struct wire *live_wire[LIVE_PORTS];
extern struct test_host host;
extern uint64_t now; // us; also for inputs that let time pass

extern const uint8_t peer_mac[6], us4[4], them4[4], us6[16], them6[16];
extern const uint8_t static6[16], static_mac[6]; // a neighbour that is configured
#define LIVE_GATEWAY4 254                        // last byte

/*
 * The port that frames are made for: our addresses there, theirs and the MAC. Those of port n have n in
 * the third byte (IPv4) or the fourth (IPv6).
 */
extern uint16_t live_at;

/* The next byte, 0 behind the end. */
uint8_t take(struct in *in);

/* Starts the host once; every segment that reaches tcp is shown to `seen` (or NULL) and freed. */
void live_start(void (*seen)(const struct rte_mbuf *m, const struct pkt *pk));
/* The same with other ports, workers, and something else than tcp above net. */
void live_open(const struct test_port *ports, uint32_t nports, uint16_t nworkers, net_tcp_fn tcp,
	net_icmp_fn icmp);
/* What net promises of a segment that it hands up. */
void live_check(const struct rte_mbuf *m, const struct pkt *pk);
/* One turn of the host's, a millisecond later; what it sends must have its own address. */
void live_poll(void);
/* Takes what the host has sent; each frame must be as its port says, and is shown to `sent` (or NULL). */
typedef void (*live_sent)(uint16_t port, const uint8_t *f, uint32_t n);
void live_drain(live_sent sent);
/* Behind an input: whoever waits for a neighbour is told, and nothing may be held. */
void live_settle(void);
/* A segment of ours to somebody on a link, behind the gateway, or to the static neighbour. */
void live_output(struct in *in);

void put16(uint8_t *p, uint32_t v);
/* Addresses, as they are on the port that frames are made for. */
void put_ip4(uint8_t *p, const uint8_t ip[4]);
void put_ip6(uint8_t *p, const uint8_t ip[16]);
/* Headers; what they return is the length up to there, with len more bytes. */
uint32_t ether(uint8_t *f, uint16_t type);
uint32_t ip4(uint8_t *f, uint8_t proto, uint32_t opts, uint32_t len);
uint32_t ip6(uint8_t *f, uint8_t proto, uint32_t len);
/* Makes lengths and checksums right, as far as the headers allow to find them. */
void mend(uint8_t *f, uint32_t n);
