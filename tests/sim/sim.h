/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two stacks, a wire and a clock, all simulated: deterministic by seed.
 *
 * Each host is a struct lcore with one port ("wireNa"); the far end of its wire is driven from here
 * through a link that delays, loses, duplicates and reorders. Time is virtual: sim_step() does one
 * iteration on both hosts and jumps to the next thing that happens. Instead of the second host a
 * test may play the peer itself: with sim.steal set, segments of host 0 end in a list, and
 * sim_inject() answers them.
 */
#pragma once

#include "dataplane/net/net.h"
#include "dataplane/tcp/tcp_priv.h"

#define SIM_FRAME  2048
#define SIM_HEAP   8192
#define SIM_STOLEN 256

/* A TCP segment as seen on the wire. */
struct sim_pkt {
	struct tcp_seg s; // key: seen from its sender (l: source)
	bool v6;
	uint8_t payload[SIM_FRAME];
};

struct sim_link {
	uint32_t loss_ppm, dup_ppm, reorder_ppm;
	uint32_t corrupt_ppm; // of segments: one byte becomes another
	uint32_t mtu;         // larger IP packets do not pass; 0: all do
	bool hole;            // and nobody says so
	uint32_t delay_us, jitter_us;
	uint32_t reorder_us; // a reordered frame comes so much later
	uint32_t mbit;       // the line's rate, Mbit/s; 0: none
	uint32_t queue_us;   // what may stand before it; more is lost
	uint64_t free_us;    // when the line is free again
	uint64_t overflow;
	uint64_t frames, lost, dups, reordered, corrupted, too_big;
};

struct sim_host {
	struct lcore *lc;
	struct net_shared *net;
	struct ports ports;
	struct rte_mempool *pool;
	struct wire *wire;
	uint32_t level;    // mbufs available before the run
	uint64_t to_at_us; // of the last frame on its way here: no reordering by jitter alone
	uint32_t away_us;  // between two iterations somebody else has the CPU for so long
	uint64_t back_us;
	struct ip_addr v4, v6;
};

struct sim_frame {
	uint64_t at_us, order;
	uint16_t len;
	uint8_t to;
	uint8_t data[SIM_FRAME];
};

struct sim {
	struct sim_host host[2];
	struct sim_link link[2]; // by sender
	uint64_t now_us;
	uint64_t steps;
	struct sl_rand rand;
	struct sim_frame
		*frame; // heap of pointers into a free list would save copies; it is a test
	uint32_t *heap, nheap;
	uint32_t *unused, nunused;
	uint64_t order;
	bool trace;
	bool steal; // segments of host 0 go to stolen[]
	bool down;  // nothing passes
	uint64_t until_us; // 0, or a puppet waits until then: time need not run slowly
	struct sim_pkt *stolen;
	uint32_t nstolen;
	/* Sees every segment before the link; false: lost. */
	bool (*tap)(struct sim *sim, int from, const struct sim_pkt *p);
	void *ctx;
	/* The application, once per host and iteration. */
	void (*app)(struct sim *sim, int host);
	char why[256]; // first failure
};

/* When the next sim_open() begins; the clock of ticks wraps at 2^32 ms. */
extern uint64_t sim_begin_us;

/* Once per process. With SIM_TSO=N in the environment the ports' wires cut frames of N segments. */
int sim_start(void);
void sim_stop(void);
/* Fresh stacks; conf[i] for host i. 0 or -ENOMEM. */
int sim_open(struct sim *sim, uint64_t seed, const struct tcp_conf *conf);
/* Ends both stacks and checks that nothing is left: 0 or -EINVAL with sim.why. */
int sim_close(struct sim *sim);
/* Defaults for tests: small tables, short TIME_WAIT. */
void sim_conf(struct tcp_conf *c);
void sim_set_mtu(struct sim *sim, int host, uint16_t mtu);

/* One iteration of both hosts, then the clock jumps. 0, or -EINVAL when an invariant broke. */
int sim_step(struct sim *sim);
/* Steps until cond() or so much time went by; true if cond() came true. */
bool sim_until(struct sim *sim, bool (*cond)(struct sim *sim), uint64_t us);
int sim_run(struct sim *sim, uint64_t us);
/* Neighbours get to know each other. */
int sim_warm(struct sim *sim);

/* A segment from host 1 (0) to the other one, now; key: as its sender sees it. */
void sim_inject(struct sim *sim, int from, const struct sim_pkt *p);
/* Takes the oldest stolen segment; false: none. */
bool sim_take(struct sim *sim, struct sim_pkt *p);

static inline struct tcp_lcore *
sim_tcp(struct sim *sim, int host)
{
	return sim->host[host].lc->tcp;
}

static inline uint64_t
sim_stat(struct sim *sim, int host, enum lc_stat s)
{
	return counter_get(&sim->host[host].lc->stat[s]);
}

static inline uint64_t
sim_drop(struct sim *sim, int host, enum drop d)
{
	return counter_get(&sim->host[host].lc->drop[d]);
}
