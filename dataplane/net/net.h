/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/net: Ethernet to IP, both families, and back.
 *
 * net_input() takes a burst from one queue, answers ARP, ND and ICMP echo itself, hands TCP up in
 * one call per burst, and forwards what another worker owns over the mesh. net_output() takes
 * segments that start at the TCP header. VLAN tags and checksums are written here, never left to
 * a soft device.
 */
#pragma once

#include "dataplane/base/addr.h"
#include "dataplane/lcore/lcore.h"
#include "dataplane/net/chain.h"
#include "dataplane/net/pkt.h"

/* Room that net_output() needs before the TCP header: Ethernet, VLAN, IPv6. */
#define NET_HEADROOM     58
/* Room a payload mbuf must have in front to be sent as it lies: the above and a TCP header. */
#define NET_TCP_HEADROOM (NET_HEADROOM + 60)
#define NET_NEIGH_NONE   UINT16_MAX

/* Where a connection's packets go: cached in the TCB, refreshed when `gen` is stale. */
struct net_flow {
	struct ip_addr laddr, raddr;
	uint16_t lport, rport; // host order
	uint8_t port;          // index of the port
	/*
	 * No connection stands behind it: an answer to an address that anybody may have made up. It waits
	 * for a neighbour only where there is room beside those of connections.
	 */
	bool bare;
	uint16_t neigh; // index in the port's neighbour table, or NET_NEIGH_NONE
	uint32_t gen;   // of the neighbour entry
	/*
	 * The first `summed` bytes of the segment (an even number, in its first buffer) add up to `sum`
	 * (32-bit words as they lie in memory, csum.h): whoever writes a header has its words at hand,
	 * and reading back what was just written in pieces is slow. 0: nothing is known.
	 */
	uint16_t summed;
	uint64_t sum;
};

/* tcp's entry: n segments of connections that this worker owns; all consumed. Registered once. */
typedef void (*net_tcp_fn)(struct lcore *lc, struct rte_mbuf **m, uint16_t n);
/* An ICMP error or PTB quoting one of our segments (RFC 5927: the receiver checks seq). */
struct net_icmp_error {
	struct ip_addr laddr, raddr; // ours, theirs, from the quoted packet
	uint16_t lport, rport;
	uint32_t seq;
	uint8_t kind; // enum net_icmp_kind
	uint16_t mtu; // for NET_ICMP_TOO_BIG
};
enum net_icmp_kind { NET_ICMP_UNREACH, NET_ICMP_REFUSED, NET_ICMP_TOO_BIG };
/* False: no segment in flight is meant, and nothing was done. */
typedef bool (*net_icmp_fn)(struct lcore *lc, const struct net_icmp_error *e);

/* Shared by all workers: neighbour tables (one owner worker per port, seqlock readers). */
struct net_shared *net_shared_new(const struct ports *ps);
void net_shared_free(struct net_shared *s);
/* Before the first worker: what the neighbour tables are keyed with. */
void net_shared_key(struct net_shared *s, const uint64_t secret[2]);

int net_attach(struct lcore *lc, struct net_shared *s, net_tcp_fn tcp, net_icmp_fn icmp);
void net_detach(struct lcore *lc);

/* A burst of one queue. */
void net_input(struct lcore *lc, uint16_t port, struct rte_mbuf **m, uint16_t n);
/* A frame that another worker received (XMSG_FRAME); copies it, sends the original home. */
void net_input_foreign(struct lcore *lc, const struct xmsg *msg, uint16_t from);
/* Segments of foreign frames are collected; after a ring was read this hands them to tcp. */
void net_deliver(struct lcore *lc);
/* Other net messages: FRAME_HOME, NEIGH_WANT. */
void net_message(struct lcore *lc, const struct xmsg *msg, uint16_t from);

/*
 * Fills port and laddr (if laddr's family is ADDR_NONE: the port's address for raddr) by the
 * routes. 0, or -ENETUNREACH.
 */
int net_route(struct lcore *lc, struct net_flow *f);
/* Is this an address of ours? Returns the port's index or -ENOENT. */
int net_local(const struct lcore *lc, const struct ip_addr *a);

/*
 * Sends a segment that starts at the TCP header (header and payload in m; checksum field zero).
 * m->nb_segs and m->next describe the packet: drivers free it with its successors, so an mbuf that
 * is sent must not be linked into a chain by m->next, even with a reference of its own.
 * Prepends IP and Ethernet, computes or offloads checksums, queues for this loop's flush. Consumes
 * one reference of m, always (drops are counted). If the neighbour is not known yet the packet
 * waits (bounded).
 * tos: DSCP/ECN byte.
 */
void net_output(struct lcore *lc, struct net_flow *f, struct rte_mbuf *m, uint8_t tos);
/*
 * The same for a frame of several segments, which the device cuts: m has one TCP header, and m->next …
 * the payload of the others; each of them has `size` bytes of payload but the last, which may have less. The
 * port has PORT_O_TX_TSO for the family, the whole is no longer than NET_TSO_BYTES.
 */
#define NET_TSO_BYTES (65535u - NET_HEADROOM)
void net_output_joined(
	struct lcore *lc, struct net_flow *f, struct rte_mbuf *m, uint16_t size, uint8_t tos);
/* One tx flush per loop; also polls tx completions of idle queues. */
void net_flush(struct lcore *lc);
/* Timers of net (neighbour retries, announcements, rate limits); every 10 ms or so. */
void net_tick(struct lcore *lc);
/* Frames waiting in this worker's tx arrays, or of the kernel for it (0 when idle). */
uint32_t net_pending(const struct lcore *lc);

/* Another host that says it has an address of ours: how many times, and who was the last. */
struct net_conflict {
	struct ip_addr ip;
	struct rte_ether_addr mac;
};
uint32_t net_conflicts(const struct net_shared *s, uint16_t port, struct net_conflict *last);

/* TCP frames that the RSS of a port's device gave to a worker (PORT_RSS). */
struct net_spread {
	uint64_t own, stray; // owned by that worker, by another
	bool hash_bad[2];    // by family, IPv4 and IPv6: the hash that came along is not ours
};
/* Adds those of one worker; any thread. */
void net_spread_add(const struct lcore *lc, uint16_t port, struct net_spread *sum);

/* Neighbour table, for telemetry and tests (any thread). */
struct net_neigh_view {
	struct ip_addr ip;
	struct rte_ether_addr mac;
	uint8_t state;
	uint8_t port;
};
uint32_t net_neigh_dump(const struct net_shared *s, struct net_neigh_view *out, uint32_t max);
