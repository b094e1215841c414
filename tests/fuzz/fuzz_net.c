// SPDX-License-Identifier: BSD-3-Clause
/*
 * Frame sequences into a live host: ARP, neighbour discovery, IPv4 with options, IPv6 with extension
 * headers, ICMP errors that quote, UDP, TCP headers.
 *
 * The input is a list of frames: a kind, a byte of choices, then changes (offset, value) to a frame
 * that is right, then, unless the choices say no, lengths and checksums are made right again, so
 * that the fuzzer gets behind them. Some kinds let time pass, send a segment to somebody, or let
 * buffers be refused. The host lives on from input to input; after each nothing may be held, but
 * packets that wait for a neighbour, and the neighbour table stays within its bounds.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "tests/harness/eal.h"
#include "tests/harness/host.h"

#define FRAME 320

struct in {
	const uint8_t *p;
	size_t n;
};

static struct wire *wire;
static struct test_host host;
static uint64_t now;

static const uint8_t peer_mac[6] = { 2, 0xaa, 0, 0, 0, 9 };
static const uint8_t us4[4] = { 10, 0, 0, 1 }, them4[4] = { 10, 0, 0, 2 };
static const uint8_t us6[16] = { 0xfd, [15] = 1 }, them6[16] = { 0xfd, [15] = 2 };

static uint8_t
take(struct in *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static void
on_tcp(struct lcore *lc, struct rte_mbuf **m, uint16_t n)
{
	(void)lc;
	for (uint16_t i = 0; i < n; i++) {
		const struct pkt *pk = pkt_of(m[i]);

		// what tcp relies on
		MUST(pk->l4_len >= 20 && pk->l4 + pk->l4_len <= m[i]->data_len && pk->l3 >= 14);
		rte_pktmbuf_free(m[i]);
	}
}

static void
on_icmp(struct lcore *lc, const struct net_icmp_error *e)
{
	MUST(net_local(lc, &e->laddr) >= 0);
	MUST(e->kind != NET_ICMP_TOO_BIG || e->mtu >= 68 || e->laddr.family == ADDR_V4);
}

static void
start(void)
{
	static const struct test_port port = { .device = "wire0a",
		.addr = { "10.0.0.1/24", "fd00::1/64" },
		.gateway4 = "10.0.0.254",
		.neigh = { { "fd00::77", "02:00:00:00:00:77" } } };

	MUST(test_eal_start() == 0);
	wire = wire_new(0, 64);
	MUST(wire != NULL);
	MUST(test_host_new(&host, "fz", &port, 1, 1, 2047, on_tcp, on_icmp) == 0);
	now = host.now_us;
}

static void
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t
sum(const uint8_t *p, uint32_t n, uint32_t s)
{
	for (uint32_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)(p[i] << 8 | p[i + 1]);
	return n & 1 ? s + ((uint32_t)p[n - 1] << 8) : s;
}

static uint16_t
finish(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static uint32_t
ether(uint8_t *f, uint16_t type)
{
	memcpy(f, host.ports.port[0].mac.addr_bytes, 6);
	memcpy(f + 6, peer_mac, 6);
	put16(f + 12, type);
	return 14;
}

static uint32_t
ip4(uint8_t *f, uint8_t proto, uint32_t opts, uint32_t len)
{
	uint32_t at = ether(f, 0x0800);

	f[at] = (uint8_t)(0x45 + opts);
	f[at + 8] = 64;
	f[at + 9] = proto;
	memcpy(f + at + 12, them4, 4);
	memcpy(f + at + 16, us4, 4);
	return at + 20 + opts * 4 + len;
}

static uint32_t
ip6(uint8_t *f, uint8_t proto, uint32_t len)
{
	uint32_t at = ether(f, 0x86dd);

	f[at] = 0x60;
	f[at + 6] = proto;
	f[at + 7] = 255;
	memcpy(f + at + 8, them6, 16);
	memcpy(f + at + 24, us6, 16);
	return at + 40 + len;
}

/* A frame that is right, or nearly; its length. */
static uint32_t
make(uint8_t *f, uint32_t kind, uint8_t how)
{
	static const uint8_t arp[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	uint32_t n;

	memset(f, 0, FRAME);
	switch (kind) {
	case 0: // ARP
		n = ether(f, 0x0806);
		memcpy(f + n, arp, 8);
		f[n + 7] = how & 1 ? 2 : 1;
		memcpy(f + n + 8, peer_mac, 6);
		memcpy(f + n + 14, them4, 4);
		memcpy(f + n + 24, us4, 4);
		return n + 28;
	case 1: // solicitation, advertisement
		n = ip6(f, 58, 32);
		f[54] = how & 1 ? 136 : 135;
		f[58] = how & 1 ? 0x60 : 0;
		memcpy(f + 62, how & 1 ? them6 : us6, 16);
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
			memcpy(f + 70, us6, 16);
			memcpy(f + 86, them6, 16);
			return n;
		}
		n = ip4(f, 1, 0, 8 + 40);
		f[34] = 3;
		f[35] = how >> 4;
		f[42] = 0x45;
		f[51] = 6;
		memcpy(f + 54, us4, 4);
		memcpy(f + 58, them4, 4);
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
	default: // TCP
		n = how & 1 ? ip6(f, 6, 40) : ip4(f, 6, how >> 5, 40);
		f[n - 40 + 12] = 0xa0;
		return n;
	}
}

/* Makes lengths and checksums right, as far as the headers allow to find them. */
static void
mend(uint8_t *f, uint32_t n)
{
	uint32_t type = (uint32_t)(f[12] << 8 | f[13]), at, pseudo = 0, proto, len;

	if (type == 0x0800 && n >= 34) {
		at = 14 + (f[14] & 15u) * 4;
		if (at < 34 || at > n)
			return;
		put16(f + 16, n - 14);
		put16(f + 24, 0);
		put16(f + 24, finish(sum(f + 14, at - 14, 0)));
		proto = f[23];
		pseudo = sum(f + 26, 8, 0);
	} else if (type == 0x86dd && n >= 54) {
		put16(f + 18, n - 54);
		at = 54;
		proto = f[20];
		for (int i = 0; i < 6 && at + 8 <= n; i++) {
			if (proto != 0 && proto != 43 && proto != 44 && proto != 60)
				break;
			len = proto == 44 ? 8 : (f[at + 1] + 1u) * 8;
			proto = f[at];
			at += len;
		}
		pseudo = sum(f + 22, 32, 0);
	} else {
		return;
	}
	len = n > at ? n - at : 0;
	pseudo += proto + len;
	if (proto == 1 && len >= 8) {
		put16(f + at + 2, 0);
		put16(f + at + 2, finish(sum(f + at, len, 0)));
	} else if (proto == 58 && len >= 8) {
		put16(f + at + 2, 0);
		put16(f + at + 2, finish(sum(f + at, len, pseudo)));
	} else if (proto == 17 && len >= 8) {
		put16(f + at + 4, len);
		put16(f + at + 6, 0);
		put16(f + at + 6, finish(sum(f + at, len, pseudo)));
	} else if (proto == 6 && len >= 20) {
		put16(f + at + 16, 0);
		put16(f + at + 16, finish(sum(f + at, len, pseudo)));
	}
}

/* A segment of ours to somebody on the link, behind the gateway, or to the static neighbour. */
static void
output(struct in *in)
{
	struct lcore *lc = host.lc[0];
	struct net_flow f = { .lport = 1000, .rport = 80 };
	struct rte_mbuf *m = lcore_mbuf(lc);
	uint8_t who = take(in), last = take(in);

	if (m == NULL)
		return;
	memset(rte_pktmbuf_append(m, 40), 0, 40);
	f.raddr.family = who & 1 ? ADDR_V6 : ADDR_V4;
	memcpy(f.raddr.b, who & 1 ? them6 : them4, who & 1 ? 16 : 4);
	f.raddr.b[who & 1 ? 15 : 3] = last;
	if (who & 2)
		f.raddr.b[0] ^= 0x40;
	if (net_route(lc, &f) < 0)
		rte_pktmbuf_free(m);
	else
		net_output(lc, &f, m, 0);
}

static void
one(struct in *in)
{
	uint8_t f[FRAME], kind = take(in), how, changes;
	uint32_t n;

	if (kind >= 250) {
		lcore_mbuf_fail_in(host.lc[0], 1 + (kind & 3u));
		return;
	}
	if (kind >= 230) {
		now += take(in) * 100000ull; // up to 25 s
		return;
	}
	if (kind >= 210) {
		output(in);
		return;
	}
	how = take(in);
	n = make(f, kind % 7, how);
	changes = take(in) & 15;
	for (uint32_t i = 0; i < changes; i++) {
		uint8_t at = take(in);

		f[at < n ? at : at % n] = take(in);
	}
	if (how & 4)
		n -= sl_min(n, take(in) % 64u);
	if (!(how & 8))
		mend(f, n);
	if (how & 16) { // groups
		f[0] = f[1] = (f[12] == 0x86) ? 0x33 : 0xff;
		if (f[12] != 0x86)
			memset(f, 0xff, 6);
	}
	(void)wire_send(wire, 'b', 0, f, n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct net_neigh_view v[2048];
	struct in in = { data, size };
	uint8_t back[2048];
	int len;

	if (wire == NULL)
		start();
	for (uint32_t i = 0; in.n > 0 && i < 32; i++) {
		one(&in);
		test_host_poll(&host, now += 1000);
		while ((len = wire_recv(wire, 'b', 0, back, sizeof(back))) > 0)
			MUST(len >= 42 &&
				memcmp(back + 6, host.ports.port[0].mac.addr_bytes, 6) == 0);
	}
	lcore_mbuf_fail_in(host.lc[0], 0);
	// whoever waits for a neighbour has been told by now
	for (int i = 0; i < 8; i++)
		test_host_poll(&host, now += 1000000);
	while (wire_recv(wire, 'b', 0, back, sizeof(back)) > 0)
		;
	MUST(test_host_in_use(&host) == 0);
	MUST(net_neigh_dump(host.net, v, 2048) <= 1024 + 1);
	return 0;
}
