/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to net: state of a worker, state shared by workers, and what the files call of each other.
 */
#pragma once

#include <rte_ethdev.h>
#include <rte_ip.h>

#include "dataplane/net/csum.h"
#include "dataplane/net/net.h"
#include "dataplane/net/tap.h"

#define NET_BATCH     64   // segments handed to tcp at once
#define TXQ_MAX       512  // frames that wait for a port: its array and spill in one
#define WAIT_MAX      64   // neighbours that a worker waits for
#define WAIT_PORT     48   // of them, on one port: the others keep some
#define WAIT_BARE     32   // and for answers without a connection, whose addresses anybody makes up
#define WAIT_PACKETS  8    // packets for each of them
#define WAIT_MS       3500 // a little longer than resolution may take
#define NEIGH_SETS    256
#define NEIGH_WAYS    4
#define NEIGH_MAX     (NEIGH_SETS * NEIGH_WAYS)
#define NEIGH_ALL     (NEIGH_MAX + PORT_MAX_NEIGHS) // the static ones stand behind the sets
#define ERR_BURST     50                            // ICMP errors at once
#define ERR_PER_TICK  5                             // and per net_tick: 500/s
#define ECHO_BURST    200                           // echo replies at once
#define ECHO_PER_TICK 20                            // and per net_tick of 10 ms: 2000/s
#define NET_TICK_MS   10
#define TAP_BURST     32 // frames of the kernel in one loop

/* Of frames for the kernel, the most urgent first. */
enum tap_class { TAP_ROUTING, TAP_NEIGH, TAP_OTHER, TAP_CLASSES };

/* ---- neighbours ---- */
enum neigh_state {
	NEIGH_FREE,
	NEIGH_INCOMPLETE, // asked, no answer yet
	NEIGH_REACHABLE,
	NEIGH_STALE, // usable; to be confirmed when used
	NEIGH_PROBE, // usable; confirmation asked for
	NEIGH_FAILED,
	NEIGH_STATIC, // configured: never asked for, never changed
};

/*
 * One neighbour. `word` holds MAC, state and generation at once, so that a packet needs one load.
 * The address changes only while state is NEIGH_FREE, and every new owner of a place gets a new
 * generation: a reader that sees the same generation before and after reading the address has read
 * a whole one.
 */
struct neigh {
	_Atomic(uint64_t) word;  // MAC << 16 | generation << 3 | state
	_Atomic(uint64_t) ip[2]; // IPv4 as ::ffff:a.b.c.d
	_Atomic(uint32_t) used;  // tick of last use, to the second; any worker
	/* ==== owner worker ==== */
	uint8_t tries;
	bool bare;         // asked for by answers without a connection alone
	sl_tick next;      // when to act
	sl_tick confirmed; // last answer
};

static inline enum neigh_state
word_state(uint64_t w)
{
	return (enum neigh_state)(w & 7);
}

static inline uint32_t
word_gen(uint64_t w)
{
	return (uint32_t)(w >> 3) & 0x1fff;
}

static inline bool
word_is_usable(uint64_t w)
{
	enum neigh_state s = word_state(w);
	return s == NEIGH_REACHABLE || s == NEIGH_STALE || s == NEIGH_PROBE || s == NEIGH_STATIC;
}

static inline void
word_mac(uint64_t w, struct rte_ether_addr *mac)
{
	w = rte_cpu_to_be_64(w);
	memcpy(mac->addr_bytes, &w, 6);
}

struct net_tap;

struct net_port {
	struct ip_addr ll; // link-local address of its MAC
	/* ==== fixed at start ==== */
	struct net_tap *tap; // NULL: what is not ours is dropped
	size_t tap_bytes;
	uint32_t nstatic;
	uint64_t key[2]; // of the sets: nobody outside can aim at one
	struct neigh neigh[NEIGH_ALL];
	/* ==== owner worker ==== */
	uint32_t used;      // places taken
	uint32_t scan;      // next place that net_tick looks at
	uint32_t link_seen; // of the port's link_changes
	uint8_t announce;   // announcements left
	bool reprobe;       // the table is to be confirmed
	sl_tick announce_at;
	sl_tick defended_at[PORT_MAX_ADDRS + 1]; // by address; the last: ll
	/* ==== owner worker writes, main reads ==== */
	_Atomic(uint32_t) conflicts;      // so many; of the last one:
	_Atomic(uint64_t) conflict_ip[2]; // as neigh.ip
	_Atomic(uint64_t) conflict_mac;
};

struct net_shared {
	const struct ports *ports;
	uint32_t ntaps; // fixed at start
	struct net_port port[PORT_MAX];
};

/* ---- a worker ---- */
struct txq {
	uint16_t n;
	uint16_t idle;  // flushes without a packet
	uint16_t ready; // frames in front that the driver has prepared (ports with TSO)
	bool owed;      // sent since the driver was last asked to complete
	struct rte_mbuf *m[TXQ_MAX];
};

/* Frames of the kernel that wait for the device. */
struct tapq {
	uint16_t n;
	struct rte_mbuf *m[TAP_BURST];
};

struct wait {
	struct ip_addr ip;
	uint8_t port;
	uint8_t n; // 0: free
	bool bare; // no packet of a connection is among them
	sl_tick deadline, ask_at;
	struct rte_mbuf *m[WAIT_PACKETS]; // whole frames, destination MAC open
};

/* What came of a port whose device spreads the flows. By family: IPv4, IPv6. */
struct rss_seen {
	uint32_t tests[2];    // packets whose device hash was compared
	_Atomic(bool) bad[2]; // another hash than ours; main reads
	counter own, stray;
};

struct net_lcore {
	net_tcp_fn tcp;
	net_icmp_fn icmp;
	struct net_shared *shared;
	uint32_t nbatch;
	struct rte_mbuf *batch[NET_BATCH];
	uint32_t nwait;
	uint32_t echo_tokens, err_tokens;
	sl_tick next_tick;
	struct rss_seen rss[PORT_MAX];
	struct wait wait[WAIT_MAX];
	struct txq tx[PORT_MAX];
	struct tapq tapq[PORT_MAX];
	uint32_t tap_spent[PORT_MAX][TAP_CLASSES]; // of the buckets
};

/* What is known of a frame on its way in. */
struct rx {
	const struct port *p;
	struct net_port *np;
	uint16_t l3;  // offset of the IP header
	bool foreign; // received by another worker: ours by decision
	bool hashed;
	uint32_t hash;
	uint64_t mac; // of the port, as the last six bytes of a word in memory
};

static inline struct net_port *
net_port(const struct lcore *lc, uint16_t port)
{
	return &lc->net->shared->port[port];
}

/* The worker that owns a port's neighbour table: one that has a queue of it. */
static inline uint16_t
neigh_owner(const struct port *p)
{
	return p->nqueues == 0 ? 0 : p->id % p->nqueues;
}

static inline bool
has_queue(const struct lcore *lc, const struct port *p)
{
	return lc->id < p->nqueues;
}

/* ---- in ---- */
void eth_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m);
void arp_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m);
void ip4_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m);
void ip6_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m);
/* l4: offset of the header behind IP; len: bytes from there. */
void tcp_in(
	struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len, bool v6);
void icmp4_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len);
void icmp6_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len);
/* ICMPv6 types 135 and 136; the checksum is verified. */
void nd_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len);
/* If worker `to` is not us, gives it the frame and returns true. */
bool mesh_forward(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, uint16_t to);
/* A frame for the port's neighbour owner: as above. */
bool mesh_to_neigh(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m);
/* Answers an echo request in place: m begins at the ICMP header (checksum still to be set). */
bool echo_allowed(struct lcore *lc);
/* Which segment of tcp's the len bytes from the IP header at q are; false: none, or not enough. */
bool icmp_quote_read(const uint8_t *q, uint16_t len, struct net_icmp_error *e);
/* Quoted segment of an ICMP error: q, len bytes from the quoted IP header. Consumes m. */
void icmp_quote_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t q, uint16_t len,
	struct net_icmp_error *e);

/*
 * Answers a packet to us that is not served with an ICMP error (RFC 1122 3.2.2, RFC 4443 3), if
 * one may be sent: to one host, within the limit. Does not consume m.
 */
void icmp4_error(struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m, uint8_t type,
	uint8_t code);
/* value: what stands behind the checksum (the pointer of a parameter problem). */
void icmp6_error(struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m, uint8_t type,
	uint8_t code, uint32_t value);
/* A UDP datagram for us, which nobody here wants; consumes m. */
void udp_in(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len,
	bool v6);

/* ---- out ---- */
/* Prepends Ethernet (and the port's VLAN tag) and queues; consumes m. */
void eth_out(struct lcore *lc, const struct port *p, struct rte_mbuf *m,
	const struct rte_ether_addr *dst, uint16_t type);
/* Prepends an Ethernet header; dst may be NULL (filled in later). */
void eth_prepend(
	const struct port *p, struct rte_mbuf *m, const struct rte_ether_addr *dst, uint16_t type);
/* Queues a whole frame. */
void eth_queue(struct lcore *lc, const struct port *p, struct rte_mbuf *m);
void ip4_prepend(const struct port *p, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t proto, uint8_t tos);
void ip6_prepend(struct rte_mbuf *m, const struct ip_addr *src, const struct ip_addr *dst,
	uint8_t proto, uint8_t tos, uint8_t hops);
void tx_flush(struct lcore *lc, const struct port *p);
void tx_poll(struct lcore *lc, const struct port *p);

/* ---- the exception path ---- */
/* A frame that is refused here for this reason: the kernel's (consumed), or nobody's. */
bool tap_takes(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, enum drop why);
/* The same; what is nobody's is dropped. */
void tap_or_drop(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, enum drop why);
/* A frame that both sides have to see; its receiver says so, before it changes it. */
void tap_copy(struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m);
/* Likewise, if it came to an address that both have. */
void tap_copy_shared(struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m);
/* What is not ours after all: the kernel's, if it had such a copy; else dropped. */
void tap_left_or_drop(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, enum drop why);
void tap_tick(struct lcore *lc);
void tap_flush(struct lcore *lc, const struct port *p);
uint32_t tap_pending(const struct lcore *lc);
void tap_free(struct net_port *np);

/* ---- routes ---- */
bool port_has_addr(const struct lcore *lc, const struct port *p, const struct ip_addr *a);
/* Address of the next hop to dst by this port: itself or a router. NULL: none. */
const struct ip_addr *next_hop(const struct port *p, const struct ip_addr *dst);
bool on_link(const struct port *p, const struct ip_addr *a);
/* Our address to speak from to an on-link a. NULL: none. */
const struct ip_addr *addr_towards(
	const struct lcore *lc, const struct port *p, const struct ip_addr *a);
void addr_set4(struct ip_addr *a, const void *bytes);
void addr_set6(struct ip_addr *a, const void *bytes);

/* ---- neighbours ---- */
/* Place of an address, with the word read there; -ENOENT. Any worker. */
int neigh_lookup(const struct net_port *np, const struct ip_addr *ip, uint64_t *word);
void neigh_touch(struct neigh *n, sl_tick now);
/* Owner: an answer or a request told us; `create`: also if the address is new. */
void neigh_learn(struct lcore *lc, const struct port *p, const struct ip_addr *ip,
	const struct rte_ether_addr *mac, bool confirmed, bool create);
/* Owner: an advertisement, by RFC 4861 7.2.5; mac: of its option, or NULL. */
void neigh_advert(struct lcore *lc, const struct port *p, const struct ip_addr *ip,
	const struct rte_ether_addr *mac, bool solicited, bool override);
/* Asks for an address, here or at the owner; bare: for an answer without a connection. */
void neigh_want(struct lcore *lc, const struct port *p, const struct ip_addr *ip, bool bare);
/* All entries are to be confirmed, because the link was down. */
void neigh_reprobe(struct net_port *np, sl_tick now);
/* Another host says that our address is its own: noted for main, and defended (RFC 5227 2.4). */
void neigh_conflict(
	struct lcore *lc, struct rx *rx, const struct ip_addr *ours, const uint8_t *mac);
void neigh_init_static(struct net_port *np, const struct port *p);
void neigh_tick(struct lcore *lc, const struct port *p);
/* Puts a frame without destination MAC aside until ip is resolved; bare: as above. */
void wait_add(struct lcore *lc, const struct port *p, const struct ip_addr *ip, struct rte_mbuf *m,
	bool bare);
void wait_check(struct lcore *lc);
void wait_free_all(struct lcore *lc);
void arp_request(struct lcore *lc, const struct port *p, const struct ip_addr *target,
	const struct rte_ether_addr *to);
void arp_announce(struct lcore *lc, const struct port *p, const struct ip_addr *a);
void nd_solicit(struct lcore *lc, const struct port *p, const struct ip_addr *target,
	const struct rte_ether_addr *to);
/* Asks whether somebody else has our address (RFC 4862 5.4.2); the answer is a conflict. */
void nd_probe(struct lcore *lc, const struct port *p, const struct ip_addr *a);
void nd_announce(struct lcore *lc, const struct port *p, const struct ip_addr *a);
