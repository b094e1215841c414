// SPDX-License-Identifier: BSD-3-Clause
/*
 * A live tcp on both workers of fuzz_net, its application, and a peer that knows what was said.
 */
#include "tests/fuzz/net_live.h"

#include <rte_tcp.h>

#define CONNS 8
#define SAID  4
#define ISS   1000000u

/* Connections of the application's. */
static struct {
	struct lcore *lc;
	struct tcp_conn *tc; // NULL: none
} conn[CONNS];

/* The last segments that the host has sent, as their receiver sees them. */
static struct said {
	bool v6, ts;
	uint8_t flags;
	uint16_t port, lport, rport; // of our port; ours, the peer's
	uint8_t us[16], them[16];
	uint32_t seq, ack, len, tsval, tsecr;
} said[SAID];
static uint32_t nsaid;

static void
forget(const struct tcp_conn *tc)
{
	for (uint32_t i = 0; i < CONNS; i++) {
		if (conn[i].tc == tc)
			conn[i].tc = NULL;
	}
}

static void
keep(struct lcore *lc, struct tcp_conn *tc)
{
	for (uint32_t i = 0; i < CONNS; i++) {
		if (conn[i].tc == NULL) {
			conn[i].lc = lc;
			conn[i].tc = tc;
			return;
		}
	}
}

static void *
on_accept(struct lcore *lc, void *cookie, struct tcp_conn *tc)
{
	struct ip_port local, remote;

	tcp_get_addrs(tc, &local, &remote);
	MUST(net_local(lc, &local.ip) >= 0 && local.port == 80);
	if (remote.port % 8 == 7)
		return NULL;
	keep(lc, tc);
	return cookie;
}

static void
on_event(struct lcore *lc, struct tcp_conn *tc, void *user, uint32_t ev)
{
	struct chain c;

	(void)user;
	chain_init(&c);
	if (ev & TCP_EV_READABLE) { // says it again
		if (tcp_rx_take(lc, tc, tcp_rx(tc)->len, &c) == 0)
			(void)tcp_send(lc, tc, &c);
	}
	if (ev & TCP_EV_CLOSED)
		forget(tc);
}

static const struct tcp_handler handler = { .accept = on_accept, .event = on_event };

void
stack_begin(uint8_t how)
{
	static const uint64_t secret[2] = { 77, 78 };
	struct ip_port at = { .port = 80 };
	struct tcp_conf c;

	tcp_conf_default(&c);
	c.max_conns = c.max_timewait = 32;
	c.max_half_open = how & 0x40 ? 4 : 128;
	c.rcv_buf = 16384;
	c.snd_buf = 65536;
	c.timewait_ms = 2000;
	c.fin_timeout_ms = 5000;
	c.port_first = 20000;
	c.port_last = how & 1 ? 20002 : 20255; // soon none is left
	c.cookies = (how >> 1 & 3) % 3;
	c.timestamps = !(how & 8);
	c.cc = (how >> 4 & 3) % TCP_CC_NR;
	memset(conn, 0, sizeof(conn));
	memset(said, 0, sizeof(said));
	nsaid = 0;
	for (uint16_t w = 0; w < host.n; w++) {
		struct lcore *lc = host.lc[w];

		rand_seed(&lc->rand, w);
		MUST(tcp_attach(lc, &c, secret) == 0);
		at.ip.family = ADDR_V4;
		MUST(tcp_listen(lc, &at, &handler, conn) == 0);
		at.ip.family = ADDR_V6;
		MUST(tcp_listen(lc, &at, &handler, conn) == 0);
	}
}

void
stack_turn(void)
{
	char why[128] = "";

	for (uint16_t w = 0; w < host.n; w++) {
		struct lcore *lc = host.lc[w];

		wheel_advance(&lc->wheel, lc->now, 64, lc);
		tcp_run_events(lc);
		tcp_run_output(lc);
		net_flush(lc);
		if (tcp_validate(lc, why, sizeof(why)) < 0) {
			fprintf(stderr, "worker %u: %s\n", w, why);
			MUST(!"invariant");
		}
	}
}

void
stack_end(void)
{
	for (uint16_t w = 0; w < host.n; w++) {
		tcp_detach(host.lc[w]);
		MUST(host.lc[w]->retained == 0);
		wheel_advance(&host.lc[w]->wheel, host.lc[w]->now, 64, host.lc[w]);
	}
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

void
stack_sent(uint16_t port, const uint8_t *f, uint32_t n)
{
	struct said *s = &said[nsaid % SAID];
	uint32_t at = host.ports.port[port].vlan != 0 ? 18 : 14, l4, head;
	uint32_t type = (uint32_t)(f[at - 2] << 8 | f[at - 1]);

	if (type == 0x0800 && f[at + 9] == 6)
		l4 = at + 20;
	else if (type == 0x86dd && f[at + 6] == 6)
		l4 = at + 40;
	else
		return;
	MUST(n >= l4 + 20);
	if (f[l4] == 0 && f[l4 + 1] == 0) // of live_output(), which writes no header
		return;
	head = (f[l4 + 12] >> 4) * 4u;
	MUST(head >= 20 && l4 + head <= n);
	memset(s, 0, sizeof(*s));
	s->v6 = l4 == at + 40;
	s->port = port;
	memcpy(s->us, f + at + (s->v6 ? 8 : 12), s->v6 ? 16 : 4);
	memcpy(s->them, f + at + (s->v6 ? 24 : 16), s->v6 ? 16 : 4);
	s->lport = (uint16_t)(f[l4] << 8 | f[l4 + 1]);
	s->rport = (uint16_t)(f[l4 + 2] << 8 | f[l4 + 3]);
	s->seq = get32(f + l4 + 4);
	s->ack = get32(f + l4 + 8);
	s->flags = f[l4 + 13];
	s->len = n - l4 - head + ((s->flags & RTE_TCP_SYN_FLAG) != 0) +
		(s->flags & RTE_TCP_FIN_FLAG);
	for (uint32_t i = l4 + 20; i + 1 < l4 + head && f[i] != 0;) {
		if (f[i] == 8 && i + 10 <= l4 + head) {
			s->ts = true;
			s->tsval = get32(f + i + 2);
			s->tsecr = get32(f + i + 6);
		}
		i += f[i] == 1 ? 1 : sl_max(f[i + 1], (uint8_t)2);
	}
	nsaid++;
}

uint32_t
stack_answer(struct in *in, uint8_t *f)
{
	uint8_t how = take(in), more = take(in);
	const struct said *s = &said[(nsaid - 1 - (more & 3)) % SAID];
	bool first = (s->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG;
	uint32_t head = first ? 40 : 32, len = how & 1 ? take(in) : 0, n, l4;

	memset(f, 0, FRAME);
	live_at = s->port;
	n = s->v6 ? ip6(f, 6, head + len) : ip4(f, 6, 0, head + len);
	l4 = s->v6 ? 54 : 34;
	memcpy(f + (s->v6 ? 22 : 26), s->them, s->v6 ? 16 : 4);
	memcpy(f + (s->v6 ? 38 : 30), s->us, s->v6 ? 16 : 4);
	put16(f + l4, s->rport);
	put16(f + l4 + 2, s->lport);
	put32(f + l4 + 4,
		(s->flags & RTE_TCP_ACK_FLAG ? s->ack : ISS) +
			(how & 2 ? (uint32_t)(int8_t)take(in) : 0));
	put32(f + l4 + 8, s->seq + s->len - (how & 4 ? take(in) * 8u : 0));
	f[l4 + 12] = (uint8_t)(head << 2);
	f[l4 + 13] = RTE_TCP_ACK_FLAG | (first ? RTE_TCP_SYN_FLAG : 0) |
		(how & 8 ? RTE_TCP_FIN_FLAG : 0) | (how & 16 ? RTE_TCP_RST_FLAG : 0);
	put16(f + l4 + 14, how & 32 ? take(in) << 3 : 0x2000);
	memset(f + l4 + 20, 1, head - 20);
	if (first) // MSS, SACK, window scale
		memcpy(f + l4 + 32, (const uint8_t[]){ 2, 4, 5, 0xb4, 3, 3, 7, 1 }, 8);
	if (s->ts) {
		f[l4 + 22] = 8;
		f[l4 + 23] = 10;
		put32(f + l4 + 24, s->tsecr + 1);
		put32(f + l4 + 28, s->tsval);
	}
	memset(f + l4 + head, more, len);
	return n;
}

/* A connection of ours: to a neighbour of a port's, or to somebody behind the gateway. */
static void
open_one(struct lcore *lc, uint8_t to, uint8_t last)
{
	struct ip_port at = { .port = (uint16_t)(to & 0x80 ? 443 : 8080) }, from = { 0 };
	struct tcp_conn *tc = NULL;
	int rc;

	live_at = (uint16_t)((to & 3) % host.ports.n);
	at.ip.family = to & 4 ? ADDR_V6 : ADDR_V4;
	from.ip.family = at.ip.family;
	if (to & 4) {
		put_ip6(at.ip.b, them6);
		put_ip6(from.ip.b, us6);
	} else {
		put_ip4(at.ip.b, them4);
		put_ip4(from.ip.b, us4);
	}
	at.ip.b[to & 4 ? 15 : 3] = last;
	if (to & 8)
		at.ip.b[0] ^= 0x40;
	from.port = to & 0x40 ? 20000 : 0;
	rc = tcp_connect(lc, &at, to & 0x20 ? &from : NULL, &handler, conn, &tc);
	MUST((rc == 0) == (tc != NULL));
	if (rc == 0)
		keep(lc, tc);
}

void
stack_user(struct in *in)
{
	static const uint8_t text[16384];
	uint8_t what = take(in), arg = take(in);
	uint32_t i = arg % CONNS;
	struct lcore *lc = conn[i].lc;
	struct tcp_conn *tc = conn[i].tc;
	struct chain c;

	if (takes != TAKES_TCP)
		return;
	if ((what & 7) < 3) {
		// several at once: a range of ports is used up
		for (uint32_t n = 1 + (what & 0x10 ? 6u : 0); n > 0; n--)
			open_one(host.lc[what >> 3 & 1], arg, take(in));
		return;
	}
	if (tc == NULL)
		return;
	switch (what & 7) {
	case 3:
		(void)tcp_shutdown(lc, tc);
		break;
	case 4:
		conn[i].tc = NULL;
		tcp_close(lc, tc);
		break;
	case 5:
		conn[i].tc = NULL;
		tcp_abort(lc, tc);
		break;
	default:
		chain_init(&c);
		if (chain_copy_in_mss(lc, &c, text, sl_min(arg * 64u + 1, tcp_send_space(tc)),
			    tcp_mss(tc)) == 0)
			(void)tcp_send(lc, tc, &c);
		break;
	}
}
