// SPDX-License-Identifier: BSD-3-Clause
/*
 * A live host for fuzz targets, and frames for it.
 */
#include "tests/fuzz/live.h"

#include "tests/harness/eal.h"

struct wire *wire, *live_wire[LIVE_PORTS];
uint16_t live_at;
struct test_host host;
uint64_t now;

const uint8_t peer_mac[6] = { 2, 0xaa, 0, 0, 0, 9 };
const uint8_t us4[4] = { 10, 0, 0, 1 }, them4[4] = { 10, 0, 0, 2 };
const uint8_t us6[16] = { 0xfd, [15] = 1 }, them6[16] = { 0xfd, [15] = 2 };
const uint8_t static6[16] = { 0xfd, [15] = 0x77 }, static_mac[6] = { 2, 0, 0, 0, 0, 0x77 };

static void (*show)(const struct rte_mbuf *m, const struct pkt *pk);

uint8_t
take(struct in *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

void
live_check(const struct rte_mbuf *m, const struct pkt *pk)
{
	MUST(pk->l4_len >= 20 && pk->l4 + pk->l4_len <= m->data_len && pk->l3 >= 14);
	MUST(pk->port < host.ports.n);
}

static void
on_tcp(struct lcore *lc, struct rte_mbuf **m, uint16_t n)
{
	(void)lc;
	for (uint16_t i = 0; i < n; i++) {
		live_check(m[i], pkt_of(m[i]));
		if (show != NULL)
			show(m[i], pkt_of(m[i]));
		rte_pktmbuf_free(m[i]);
	}
}

static bool
on_icmp(struct lcore *lc, const struct net_icmp_error *e)
{
	MUST(net_local(lc, &e->laddr) >= 0);
	MUST(e->kind != NET_ICMP_TOO_BIG || e->mtu >= 1280 || e->laddr.family == ADDR_V4);
	return e->seq & 1;
}

void
live_start(void (*seen)(const struct rte_mbuf *m, const struct pkt *pk))
{
	static const struct test_port port = { .device = "wire0a",
		.addr = { "10.0.0.1/24", "fd00::1/64" },
		.gateway4 = "10.0.0.254",
		.neigh = { { "fd00::77", "02:00:00:00:00:77" } } };

	show = seen;
	live_open(&port, 1, 1, on_tcp, on_icmp);
}

/* What it still has must be its own to give back. */
static void
live_close(void)
{
	test_host_free(&host);
	for (uint32_t i = 0; i < LIVE_PORTS; i++)
		wire_free(live_wire[i]);
}

void
live_open(const struct test_port *ports, uint32_t nports, uint16_t nworkers, net_tcp_fn tcp,
	net_icmp_fn icmp)
{
	if (wire != NULL)
		return;
	MUST(test_eal_start() == 0 && nports <= LIVE_PORTS);
	for (uint32_t i = 0; i < nports; i++) {
		live_wire[i] = wire_new(i, 64);
		MUST(live_wire[i] != NULL);
	}
	wire = live_wire[0];
	MUST(test_host_new(&host, "fz", ports, nports, nworkers, 2047, tcp, icmp) == 0);
	now = host.now_us;
	MUST(atexit(live_close) == 0);
}

void
live_drain(live_sent sent)
{
	uint8_t back[2048];
	int len;

	for (uint16_t i = 0; i < host.ports.n; i++) {
		const struct port *p = &host.ports.port[i];

		for (uint16_t q = 0; q < host.n; q++) {
			while ((len = wire_recv(live_wire[i], 'b', q, back, sizeof(back))) > 0) {
				MUST(len >= 42 && memcmp(back + 6, p->mac.addr_bytes, 6) == 0);
				MUST(p->vlan == 0 ||
					(back[12] == 0x81 && back[13] == 0x00 &&
						back[14] == p->vlan >> 8 &&
						back[15] == (p->vlan & 0xff)));
				if (sent != NULL)
					sent(i, back, (uint32_t)len);
			}
		}
	}
}

void
live_poll(void)
{
	test_host_poll(&host, now += 1000);
	live_drain(NULL);
}

void
live_settle(void)
{
	for (uint16_t w = 0; w < host.n; w++)
		lcore_mbuf_fail_in(host.lc[w], 0);
	for (int i = 0; i < 8; i++)
		test_host_poll(&host, now += 1000000);
	live_drain(NULL);
	MUST(test_host_in_use(&host) == 0);
}

void
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

void
put_ip4(uint8_t *p, const uint8_t ip[4])
{
	memcpy(p, ip, 4);
	p[2] = (uint8_t)live_at;
}

void
put_ip6(uint8_t *p, const uint8_t ip[16])
{
	memcpy(p, ip, 16);
	p[3] = (uint8_t)live_at;
}

uint32_t
ether(uint8_t *f, uint16_t type)
{
	memcpy(f, host.ports.port[live_at].mac.addr_bytes, 6);
	memcpy(f + 6, peer_mac, 6);
	put16(f + 12, type);
	return 14;
}

uint32_t
ip4(uint8_t *f, uint8_t proto, uint32_t opts, uint32_t len)
{
	uint32_t at = ether(f, 0x0800);

	f[at] = (uint8_t)(0x45 + opts);
	f[at + 8] = 64;
	f[at + 9] = proto;
	put_ip4(f + at + 12, them4);
	put_ip4(f + at + 16, us4);
	return at + 20 + opts * 4 + len;
}

uint32_t
ip6(uint8_t *f, uint8_t proto, uint32_t len)
{
	uint32_t at = ether(f, 0x86dd);

	f[at] = 0x60;
	f[at + 6] = proto;
	f[at + 7] = 255;
	put_ip6(f + at + 8, them6);
	put_ip6(f + at + 24, us6);
	return at + 40 + len;
}

void
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

void
live_output(struct in *in)
{
	uint8_t who = take(in), last = take(in);
	struct lcore *lc = host.lc[(who >> 3 & 1) % host.n];
	struct net_flow f = { .lport = 1000, .rport = 80 };
	struct rte_mbuf *m = lcore_mbuf(lc);

	if (m == NULL)
		return;
	memset(rte_pktmbuf_append(m, 40), 0, 40);
	if (who & 4) { // in two pieces, the first of odd length
		struct rte_mbuf *rest = lcore_mbuf(lc);

		if (rest != NULL) {
			memset(rte_pktmbuf_append(rest, 1 + last), last, 1 + last);
			memset(rte_pktmbuf_append(m, 1), 0, 1);
			m->next = rest;
			m->nb_segs = 2;
		}
	}
	f.raddr.family = who & 1 ? ADDR_V6 : ADDR_V4;
	memcpy(f.raddr.b, who & 1 ? them6 : them4, who & 1 ? 16 : 4);
	f.raddr.b[who & 1 ? 3 : 2] = (uint8_t)((who >> 4 & 3) % host.ports.n);
	f.raddr.b[who & 1 ? 15 : 3] = last;
	if (who & 2)
		f.raddr.b[0] ^= 0x40;
	if (net_route(lc, &f) < 0)
		rte_pktmbuf_free(m);
	else
		net_output(lc, &f, m, 0);
}
