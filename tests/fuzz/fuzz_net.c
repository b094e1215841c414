// SPDX-License-Identifier: BSD-3-Clause
/*
 * Frame sequences into a live host: ARP, neighbour discovery, IPv4 with options, IPv6 with extension
 * headers, ICMP errors that quote, UDP, TCP, what is the kernel's.
 *
 * The host has two workers and three ports: one whose frames come to any worker, with a TAP; one with a
 * VLAN; and one whose card spreads by RSS, cuts segments and says what it thinks of sums. Two bytes say who
 * gets the segments (nobody, chains of payload, a live tcp), what the kernel shares, what the card does.
 *
 * The rest is a list of steps, mostly frames: a kind, bytes of choices, then changes (offset, value) to a
 * frame that is right, then, unless the choices say no, lengths and checksums are made right again, so
 * that the fuzzer gets behind them. Other kinds let time pass, let the peer answer what was said, are calls
 * of tcp's user or of whoever has the TAP, take a link or a port away, or let buffers be refused. The host
 * lives on from input to input; after each nothing may be held, but packets that wait for a neighbour, and
 * the neighbour table stays within its bounds.
 */
#include <rte_ethdev.h>

#include "tests/fuzz/net_live.h"

#define FRAME_NET 320
#define STEPS     48
#define CARD      2 // the port with the card

enum takes takes;
static uint8_t card; // what it says of a frame
static bool kernel_sleeps;
// frames of a burst that devices take, and one; 0: all. The wire has had the others by then, too
static uint32_t busy;

static void
on_tcp(struct lcore *lc, struct rte_mbuf **m, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		live_check(m[i], pkt_of(m[i]));
		MUST(m[i]->pool == lc->pool);
		if (takes == TAKES_CHAIN)
			chains_take(lc, m[i]);
		else if (takes == TAKES_NOBODY && !net_tap_segment(lc, m[i]))
			rte_pktmbuf_free(m[i]);
	}
	if (takes == TAKES_TCP)
		tcp_input(lc, m, n);
}

static bool
on_icmp(struct lcore *lc, const struct net_icmp_error *e)
{
	MUST(net_local(lc, &e->laddr) >= 0);
	MUST(e->kind != NET_ICMP_TOO_BIG || e->mtu >= 1280 || e->laddr.family == ADDR_V4);
	return takes == TAKES_TCP ? tcp_icmp(lc, e) : (e->seq & 1) != 0;
}

static uint16_t
on_busy(uint16_t port, uint16_t queue, struct rte_mbuf **m, uint16_t n, void *ctx)
{
	(void)port;
	(void)queue;
	(void)m;
	(void)ctx;
	return busy != 0 ? (uint16_t)sl_min((uint32_t)n, busy - 1) : n;
}

static void
start(void)
{
	static const struct test_port ports[LIVE_PORTS] = {
		{ .device = "wire0a,rss=0",
			.addr = { "10.0.0.1/24", "fd00::1/64" },
			.gateway4 = "10.0.0.254",
			.neigh = { { "fd00::77", "02:00:00:00:00:77" } } },
		{ .device = "wire1a,rss=0",
			.vlan = 100,
			.addr = { "10.0.1.1/24", "fd00:1::1/64" },
			.neigh = { { "10.0.1.2", "02:aa:00:00:00:09" } } },
		{ .device = "wire2a,tso=8",
			.addr = { "10.0.2.1/24", "fd00:2::1/64" },
			.neigh = { { "10.0.2.2", "02:aa:00:00:00:09" },
				{ "fd00:2::2", "02:aa:00:00:00:09" } } },
	};

	if (wire != NULL)
		return;
	live_open(ports, LIVE_PORTS, LIVE_WORKERS, on_tcp, on_icmp);
	for (uint16_t i = 0; i < LIVE_PORTS; i++) {
		for (uint16_t w = 0; w < LIVE_WORKERS; w++) {
			const struct port_queue *q = &host.ports.port[i].q[w];

			MUST(rte_eth_add_tx_callback(q->ethdev, q->queue, on_busy, NULL) != NULL);
		}
	}
	kernel_start();
}

/* What a card may say of a frame: a tag that it took off, sums, a hash that is not ours. */
static void
said_by_card(struct rte_mbuf *m)
{
	static const uint64_t l4[4] = { RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, RTE_MBUF_F_RX_L4_CKSUM_GOOD,
		RTE_MBUF_F_RX_L4_CKSUM_NONE, RTE_MBUF_F_RX_L4_CKSUM_BAD };
	static const uint64_t ip[4] = { RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN, RTE_MBUF_F_RX_IP_CKSUM_GOOD,
		RTE_MBUF_F_RX_IP_CKSUM_NONE, RTE_MBUF_F_RX_IP_CKSUM_BAD };

	m->ol_flags |= l4[card & 3] | ip[card >> 2 & 3];
	if (card & 0x10)
		m->hash.rss ^= 0x55;
	if (card & 0x20) {
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		m->vlan_tci = card & 0x40 ? 7 : 0;
	}
}

static void
turn(void)
{
	const struct port *p = &host.ports.port[CARD];

	now += 1000;
	for (uint16_t w = 0; w < host.n; w++) {
		struct rte_mbuf *m[HOST_BURST];
		uint16_t n = rte_eth_rx_burst(p->q[w].ethdev, p->q[w].queue, m, HOST_BURST);

		lcore_set_clock(host.lc[w], now, now);
		for (uint16_t i = 0; i < n; i++)
			said_by_card(m[i]);
		net_input(host.lc[w], CARD, m, n);
	}
	test_host_poll(&host, now);
	if (takes == TAKES_TCP)
		stack_turn();
	live_drain(stack_sent);
	if (!kernel_sleeps)
		kernel_read(64);
}

/* A frame that is right, or nearly; its length. */
static uint32_t
make(uint8_t *f, uint32_t kind, uint8_t how)
{
	static const uint8_t arp[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	// MSS, SACK, timestamps, window scale
	static const uint8_t opts[20] = { 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3,
		3, 7 };
	uint32_t n;
	uint8_t proto;

	memset(f, 0, FRAME_NET);
	switch (kind) {
	case 0: // ARP
		n = ether(f, 0x0806);
		memcpy(f + n, arp, 8);
		f[n + 7] = how & 1 ? 2 : 1;
		memcpy(f + n + 8, peer_mac, 6);
		put_ip4(f + n + 14, them4);
		put_ip4(f + n + 24, us4);
		return n + 28;
	case 1: // solicitation, advertisement
		n = ip6(f, 58, 32);
		f[54] = how & 1 ? 136 : 135;
		f[58] = how & 1 ? 0x60 : 0;
		put_ip6(f + 62, how & 1 ? them6 : us6);
		f[78] = how & 1 ? 2 : 1;
		f[79] = 1;
		memcpy(f + 80, peer_mac, 6);
		return n;
	case 2: // echo
		if (how & 1) {
			n = ip6(f, 58, 24);
			f[54] = 128;
			return n;
		}
		n = ip4(f, 1, how >> 5, 24);
		f[14 + 20 + (how >> 5) * 4] = 8;
		return n;
	case 3: // ICMP errors that quote a segment
		if (how & 1) {
			n = ip6(f, 58, 8 + 60);
			f[54] = how & 2 ? 2 : 1;
			f[62] = 0x60;
			f[68] = 6;
			put_ip6(f + 70, us6);
			put_ip6(f + 86, them6);
			return n;
		}
		n = ip4(f, 1, 0, 8 + 40);
		f[34] = 3;
		f[35] = how >> 4;
		f[42] = 0x45;
		f[51] = 6;
		put_ip4(f + 54, us4);
		put_ip4(f + 58, them4);
		return n;
	case 4: // extension headers: what they are is for the input to say
		n = ip6(f, (uint8_t[]){ 0, 60, 43, 44 }[how >> 6], 40 + 24);
		f[54] = 60;
		f[62] = 60;
		f[70] = 60;
		f[78] = 58;
		f[94] = 128;
		return n;
	case 5: // UDP
		n = how & 1 ? ip6(f, 17, 24) : ip4(f, 17, 0, 24);
		put16(f + n - 24 + 2, 53);
		put16(f + n - 24 + 4, 24);
		return n;
	case 6: // TCP: a SYN with options, or anything
		n = how & 1 ? ip6(f, 6, 40 + 8) : ip4(f, 6, how >> 5, 40 + 8);
		put16(f + n - 48, 4000u + (how >> 5));
		put16(f + n - 46, 80);
		f[n - 48 + 12] = 0xa0;
		f[n - 48 + 13] = how & 2 ? 2 : 0x18;
		put16(f + n - 48 + 14, 0x2000);
		memcpy(f + n - 28, opts, sizeof(opts));
		return n;
	case 7: // what routing needs: OSPF, VRRP, BGP, BFD
		proto = (uint8_t[]){ 89, 112, 6, 17 }[how >> 6];
		n = how & 1 ? ip6(f, proto, 24) : ip4(f, proto, 0, 24);
		put16(f + n - 24 + 2, proto == 6 ? 179 : 3784 + (how & 32 ? 1000u : 0));
		f[n - 24 + 12] = 0x50;
		return n;
	default: // another EtherType
		n = ether(f, (uint16_t)(how & 1 ? 0x88cc : 0x9000 + how));
		return n + 46;
	}
}

/* A tag behind the addresses: the VLAN's, of the input's choice, or none. */
static uint32_t
tag(struct in *in, uint8_t *f, uint32_t n, uint32_t which)
{
	uint16_t vid = host.ports.port[live_at].vlan;

	if (which & 1)
		vid = (uint16_t)(vid != 0 && which & 2 ? 0 : take(in));
	if ((vid == 0 && !(which & 1)) || n < 12 || which == 3)
		return n;
	memmove(f + 16, f + 12, n - 12);
	put16(f + 12, 0x8100);
	put16(f + 14, vid);
	return n + 4;
}

/* All the ways to add up the same bytes. */
static void
sums(const uint8_t *f, uint32_t n)
{
	uint16_t plain = csum_fold(csum_add_plain(f, n, 0));

	MUST(csum_fold(csum_add(f, n, 0)) == plain);
	MUST(csum_fold(csum_add_sse2(f, n, 0)) == plain);
	if (__builtin_cpu_supports("avx2"))
		MUST(csum_fold(csum_add_avx2(f, n, 0)) == plain);
}

/* The same once more; a SYN is of the next port. */
static void
next(uint8_t *f, const uint8_t *first, uint32_t n, uint8_t kind, uint8_t how)
{
	uint32_t l4 = how & 1 ? 54 : 34 + (how >> 5) * 4u;

	memcpy(f, first, n);
	if (kind % 9 != 6 || !(how & 2) || n < l4 + 20)
		return;
	f[l4 + 1]++;
	mend(f, n);
}

static void
frame(struct in *in, uint8_t kind)
{
	uint8_t f[FRAME], first[FRAME], how, where, changes, which;
	uint32_t n, again;

	how = take(in);
	where = take(in);
	live_at = (where & 3) % LIVE_PORTS;
	n = make(f, kind % 9, how);
	changes = take(in) & 15;
	for (uint32_t i = 0; i < changes; i++) {
		uint8_t at = take(in);

		f[at < n ? at : at % n] = take(in);
	}
	if (where & 32 && n >= 54) // somebody else
		f[f[12] == 0x86 ? 53 : f[13] == 6 ? 41 : 33] ^= 0x44;
	if (how & 4)
		n -= sl_min(n, take(in) % 64u);
	if (!(how & 8))
		mend(f, n);
	if (how & 16) { // groups
		f[0] = f[1] = (f[12] == 0x86) ? 0x33 : 0xff;
		if (f[12] != 0x86)
			memset(f, 0xff, 6);
	}
	if (where & 64)
		memcpy(f, (const uint8_t[]){ 1, 0, 0x5e, 0, 0, 18 }, 6);
	sums(f, n);
	// a flow that the card's hash becomes trusted for, a ring that fills, a table that grows
	again = where & 128 ? take(in) & 63u : 0;
	which = where & 8 ? take(in) : 0;
	for (;; again--) {
		struct in vid = { &which, 1 };

		memcpy(first, f, n);
		(void)wire_send(live_wire[live_at], 'b', where >> 2 & 1, f,
			tag(&vid, f, n, where >> 3 & 3));
		if (again == 0)
			return;
		next(f, first, n, kind, how);
	}
}

static void
answer(struct in *in)
{
	uint8_t f[FRAME];
	uint32_t n = stack_answer(in, f);

	mend(f, n);
	n = tag(in, f, n, 0);
	(void)wire_send(live_wire[live_at], 'b', take(in) & 1, f, n);
}

/* Links, ports and what waits for them. */
static void
trouble(struct in *in)
{
	uint8_t what = take(in), arg = take(in);
	struct port *p = &host.ports.port[(what >> 4 & 3) % LIVE_PORTS];
	struct lcore *lc = host.lc[what >> 6 & 1];

	switch (what & 7) {
	case 0: // a link goes or comes
		atomic_store(&p->link_up, arg & 1);
		if (arg & 2)
			atomic_fetch_add(&p->link_changes, 1);
		break;
	case 1:
		atomic_store(&p->gone, arg & 1);
		break;
	case 2:
		tx_poll(lc, p);
		break;
	case 3: // many frames between two flushes
		for (uint32_t i = 0; i < (arg == 255 ? TXQ_MAX + 2 : arg & 63u); i++) {
			const uint8_t who[2] = { (uint8_t)(what >> 3 & 1 ? 0x28 : 0x20), 2 };

			live_output(&(struct in){ who, 2 });
		}
		MUST(net_pending(host.lc[0]) <= TXQ_MAX * LIVE_PORTS + TAP_BURST + 1);
		break;
	case 4: // the driver sends frames of its own; devices that do not keep up
		if (what & 8)
			busy = arg;
		else
			p->offloads ^= PORT_O_TX_POLL;
		break;
	case 5:
		atomic_fetch_add(&p->slave_changes, 1);
		break;
	case 6: // what the card is trusted with
		host.ports.port[CARD].offloads ^= PORT_O_RX_L4CSUM | PORT_O_RX_IPCSUM;
		break;
	default:
		card = arg;
		break;
	}
}

static void
step(struct in *in)
{
	uint8_t kind = take(in);

	if (kind >= 250)
		lcore_mbuf_fail_in(host.lc[kind >> 2 & 1], 1 + (kind & 3u));
	else if (kind >= 236)
		now += take(in) * 100000ull; // up to 25 s
	else if (kind >= 222)
		live_output(in);
	else if (kind >= 208)
		trouble(in);
	else if (kind >= 196)
		kernel_step(in);
	else if (kind >= 180)
		chains_step(in);
	else if (kind >= 164)
		stack_user(in);
	else if (kind >= 135)
		answer(in);
	else
		frame(in, kind);
}

static void
begin(struct in *in)
{
	uint8_t who = take(in), how = take(in);

	takes = (enum takes)((who & 3) % TAKES_NR);
	card = 0;
	busy = 0;
	kernel_sleeps = who & 0x80;
	kernel_begin(who >> 2);
	for (uint16_t w = 0; w < host.n; w++) {
		struct rss_seen *seen = &host.lc[w]->net->rss[CARD];

		// nearly enough of them agreed, or nothing is known
		for (uint32_t v6 = 0; v6 < 2; v6++) {
			seen->tests[v6] = who & 0x40 ? 62 : 0;
			seen->bad[v6] = false;
		}
	}
	if (takes == TAKES_TCP)
		stack_begin(how);
	else
		card = how;
}

/* Everything as it was, for the next input. */
static void
end(uint32_t offloads)
{
	for (uint16_t i = 0; i < host.ports.n; i++) {
		struct port *p = &host.ports.port[i];

		atomic_store(&p->link_up, true);
		atomic_store(&p->gone, false);
		p->offloads &= ~PORT_O_TX_POLL;
	}
	host.ports.port[CARD].offloads = offloads;
	busy = 0;
	chains_end();
	if (takes == TAKES_TCP)
		stack_end();
	takes = TAKES_NOBODY;
	live_settle();
	kernel_end();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct net_neigh_view v[4096];
	struct in in = { data, size };
	uint32_t offloads;

	start();
	offloads = host.ports.port[CARD].offloads;
	begin(&in);
	for (uint32_t i = 0; in.n > 0 && i < STEPS; i++) {
		step(&in);
		turn();
	}
	end(offloads);
	MUST(net_neigh_dump(host.net, v, 4096) <= LIVE_PORTS * (1024 + 2));
	return 0;
}
