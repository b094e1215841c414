// SPDX-License-Identifier: BSD-3-Clause
/*
 * What crosses a socket of the host, as a capture shows it: the kernel has the packets, so segments
 * are made up around the bytes, one for each block, with the connection's addresses.
 *
 * Runs on: the worker that owns the connection. Sequence numbers count from the first byte that was
 * seen; opening and closing are shown when the worker hears of them. An end without an IP address (a
 * path, a descriptor) or port stands as 127.0.0.1 and a port out of the connection's number.
 */
#include <rte_ip.h>
#include <rte_tcp.h>

#include "dataplane/conn/conn_priv.h"
#include "dataplane/lcore/capture.h"

#include "dataplane/base/hot.h"

#define PORT_LISTEN 65535u
#define PORT_FIRST  32768u
#define PORT_MASK   0x3fffu

static bool
is_passive(const struct hconn *hc)
{
	return hc->to.ip.family == ADDR_NONE;
}

static uint32_t
number(const struct lcore *lc, const struct hconn *hc)
{
	return pool_index(&lc->conn->host.hconns, hc);
}

static void
stand_in(struct ip_port *a, uint32_t port)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };

	if (!addr_is_ip(&a->ip)) {
		memset(a, 0, sizeof(*a));
		memcpy(a->ip.b, loopback, sizeof(loopback));
		a->ip.family = ADDR_V4;
	}
	if (a->port == 0)
		a->port = (uint16_t)port;
}

void
conn_capture_end(const struct lcore *lc, const struct conn *c, struct capture_end *e)
{
	memset(e, 0, sizeof(*e));
	if (conn_is_host(c))
		host_capture_end(lc, c->lower, e);
	else
		conn_addrs(c, &e->local, &e->remote);
}

void
host_capture_end(const struct lcore *lc, const struct hconn *hc, struct capture_end *e)
{
	uint32_t n = number(lc, hc), one = PORT_FIRST + (n & PORT_MASK);
	bool passive = is_passive(hc);

	e->local = hc->local;
	e->remote = hc->remote;
	e->host = n + 1;
	stand_in(&e->local, passive ? PORT_LISTEN : one);
	stand_in(&e->remote, passive ? one : PORT_LISTEN);
	if (e->local.ip.family != e->remote.ip.family) { // not bound yet: loopback was taken for it
		e->local.ip = e->remote.ip;
	}
}

/* Ethernet, IP and TCP of a segment. */
struct head {
	uint8_t b[14 + sizeof(struct rte_ipv6_hdr) + sizeof(struct rte_tcp_hdr)];
	uint32_t len, l3;
};

static void
put_ip(struct head *h, const struct ip_addr *src, const struct ip_addr *dst, uint32_t n)
{
	uint32_t l4 = n + (uint32_t)sizeof(struct rte_tcp_hdr);

	if (src->family == ADDR_V4) {
		struct rte_ipv4_hdr ip = { .version_ihl = RTE_IPV4_VHL_DEF,
			.total_length = rte_cpu_to_be_16((uint16_t)(sizeof(ip) + l4)),
			.time_to_live = 64,
			.next_proto_id = IPPROTO_TCP,
			.src_addr = src->v4,
			.dst_addr = dst->v4 };

		ip.hdr_checksum = rte_ipv4_cksum(&ip);
		h->b[12] = 0x08;
		memcpy(h->b + h->l3, &ip, sizeof(ip));
		h->len = h->l3 + (uint32_t)sizeof(ip);
	} else {
		struct rte_ipv6_hdr ip = { .vtc_flow = rte_cpu_to_be_32(6u << 28),
			.payload_len = rte_cpu_to_be_16((uint16_t)l4),
			.proto = IPPROTO_TCP,
			.hop_limits = 64 };

		memcpy(ip.src_addr, src->b, 16);
		memcpy(ip.dst_addr, dst->b, 16);
		h->b[12] = 0x86;
		h->b[13] = 0xdd;
		memcpy(h->b + h->l3, &ip, sizeof(ip));
		h->len = h->l3 + (uint32_t)sizeof(ip);
	}
}

/*
 * rte_raw_cksum_mbuf() of DPDK 22.11 swaps the bytes of a part behind an odd one before it has folded
 * the part's sum, and loses what is above 16 bits.
 */
static void
sum_up(const struct head *h, const struct rte_mbuf *m, struct rte_tcp_hdr *tcp, uint32_t l4)
{
	const void *ip = h->b + h->l3;
	uint32_t off = l4, done = 0, all = m->pkt_len - l4;
	uint64_t sum = h->b[12] == 0x08 ? rte_ipv4_phdr_cksum(ip, 0) : rte_ipv6_phdr_cksum(ip, 0);
	uint16_t folded;

	for (; m != NULL && done < all; m = m->next, off = 0) {
		uint32_t len = sl_min(m->data_len - off, all - done);
		uint16_t part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const void *, off), len);

		sum += done & 1 ? rte_bswap16(part) : part;
		done += len;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	folded = (uint16_t)((sum & 0xffff) + (sum >> 16));
	tcp->cksum = (uint16_t)~folded;
}

static void
segment(struct lcore *lc, struct capture *c, struct hconn *hc, bool out, uint8_t flags,
	struct rte_mbuf *data, uint32_t n)
{
	struct head h = { .b = { 2, 0, 0, 0, 0, out ? 2 : 1, 2, 0, 0, 0, 0, out ? 1 : 2 }, .l3 = 14 };
	struct rte_mbuf m;
	struct capture_end e;
	const struct ip_port *src, *dst;
	uint32_t *seq = out ? &hc->shown_out : &hc->shown_in, l4;
	uint32_t ack = out ? hc->shown_in : hc->shown_out;
	struct rte_tcp_hdr *tcp;

	host_capture_end(lc, hc, &e);
	src = out ? &e.local : &e.remote;
	dst = out ? &e.remote : &e.local;
	put_ip(&h, &src->ip, &dst->ip, n);
	l4 = h.len;
	tcp = (struct rte_tcp_hdr *)(void *)(h.b + l4);
	*tcp = (struct rte_tcp_hdr){ .src_port = rte_cpu_to_be_16(src->port),
		.dst_port = rte_cpu_to_be_16(dst->port),
		.sent_seq = rte_cpu_to_be_32(*seq),
		.recv_ack = rte_cpu_to_be_32((flags & RTE_TCP_ACK_FLAG) != 0 ? ack : 0),
		.data_off = 5 << 4,
		.tcp_flags = flags,
		.rx_win = 0xffff };
	h.len += (uint32_t)sizeof(*tcp);
	memset(&m, 0, sizeof(m));
	m.buf_addr = h.b;
	m.data_len = (uint16_t)h.len;
	m.pkt_len = h.len + n;
	m.nb_segs = n > 0 ? 2 : 1; // more than one is all that is asked
	m.next = n > 0 ? data : NULL;
	sum_up(&h, &m, tcp, l4);
	*seq += n + ((flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG)) != 0);
	capture_host(lc, c, e.host, &m, out, is_passive(hc));
}

void
host_capture_open(struct lcore *lc, struct capture *c, struct hconn *hc)
{
	bool passive = is_passive(hc);

	hc->shown_in = hc->shown_out = 0;
	segment(lc, c, hc, !passive, RTE_TCP_SYN_FLAG, NULL, 0);
	segment(lc, c, hc, passive, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
	segment(lc, c, hc, !passive, RTE_TCP_ACK_FLAG, NULL, 0);
}

void
host_capture_data(struct lcore *lc, struct capture *c, struct hconn *hc, bool out,
	struct rte_mbuf *head, uint32_t n)
{
	segment(lc, c, hc, out, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, head, n);
}

void
host_capture_close(struct lcore *lc, struct capture *c, struct hconn *hc, bool out, bool reset)
{
	segment(lc, c, hc, out, RTE_TCP_ACK_FLAG | (reset ? RTE_TCP_RST_FLAG : RTE_TCP_FIN_FLAG), NULL,
		0);
}
