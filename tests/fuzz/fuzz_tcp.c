// SPDX-License-Identifier: BSD-3-Clause
/*
 * Segments into a live stack, and all that happens around them.
 *
 * The input is a set-up, then a list of steps: a kind, then fields. Segments are built around what the
 * stack expects next (offsets from its numbers, edges of what it has sent), so that checksums and
 * tuples are right and the fuzzer reaches the state machine: what follows a loss, a report, a closed
 * window, a cookie. Time is virtual and a step as well; so are the application's calls, ICMP errors,
 * refused buffers and a budget that is used up. After each step tcp_validate() must hold, at the end
 * nothing may be retained.
 */
#include "tests/fuzz/tcp_live.h"

#define STEPS 160
#define TURNS 20000   // of the hosts' loops, then it ends
#define FEED  600000u // bytes that applications write in one input, at most

struct in {
	const uint8_t *p;
	size_t n;
};

static uint16_t wnd; // what the peer that the input plays offers
static uint32_t fed;
static uint8_t opts; // of its SYNs
static uint16_t mss;

static uint32_t
take(struct in *in, uint32_t n)
{
	uint32_t v = 0;

	while (n-- > 0) {
		v = v << 8 | (in->n > 0 ? *in->p : 0);
		if (in->n > 0) {
			in->p++;
			in->n--;
		}
	}
	return v;
}

/* Small signed offsets mostly, sometimes anything. */
static uint32_t
near(struct in *in, uint32_t base)
{
	uint32_t how = take(in, 1);

	if (how < 200)
		return base + (uint32_t)(int32_t)(int8_t)take(in, 1);
	return how < 250 ? base + take(in, 2) - 32768 : take(in, 4);
}

/* A segment of the peer's in its place: acknowledges nothing new, carries nothing. */
static struct sim_pkt *
plain(void)
{
	static struct sim_pkt p;
	const struct tcp_conn *tc = tl.user[0].tc;

	memset(&p.s, 0, sizeof(p.s));
	p.s.flags = RTE_TCP_ACK_FLAG;
	p.s.wnd = wnd;
	p.s.mss = mss;
	p.s.wscale = 3;
	p.s.tsecr = tl.seen.s.tsval;
	if (tc == NULL) {
		p.v6 = false;
		tcp_key_set(
			&p.s.key, &tl.sim.host[1].v4, LIVE_CLIENT, &tl.sim.host[0].v4, LIVE_PORT);
		p.s.seq = LIVE_ISS + 1;
		p.s.ack = 1;
		p.s.opts = opts;
		p.s.tsval = 1;
		return &p;
	}
	p.v6 = !tcp_key_is_v4(&tc->key);
	memcpy(p.s.key.l, tc->key.r, 16);
	memcpy(p.s.key.r, tc->key.l, 16);
	p.s.key.lport = tc->key.rport;
	p.s.key.rport = tc->key.lport;
	p.s.seq = tc->rcv_nxt;
	p.s.ack = tc->snd_una;
	p.s.opts = tc->flags & TF_TS ? TCP_OPT_TS : 0;
	p.s.tsval = tc->ts_recent + 1;
	return &p;
}

/* Any fields. */
static void
segment(struct in *in)
{
	struct sim_pkt *p = plain();
	uint32_t una = p->s.ack, bits = take(in, 1);

	if ((bits & 0x30) == 0x30)
		p->s.key.lport = (uint16_t)take(in, 1);
	p->s.flags = (uint8_t)take(in, 1);
	p->s.seq = near(in, p->s.seq);
	p->s.ack = near(in, una);
	p->s.wnd = (uint16_t)take(in, 2);
	p->s.len = (uint16_t)(bits & 1 ? take(in, 1) : bits & 2 ? take(in, 2) % 1400 : 0);
	p->s.opts = (uint8_t)((bits & 4 ? TCP_OPT_TS : 0) | (bits & 8 ? TCP_OPT_SACK_OK : 0) |
		(bits & 0x40 ? TCP_OPT_WSCALE : 0));
	p->s.tsval = near(in, p->s.tsval);
	p->s.tsecr = near(in, p->s.tsecr);
	p->s.mss = (uint16_t)take(in, 2);
	p->s.wscale = (uint8_t)take(in, 1) & 15;
	p->s.nsack = bits & 0x80 ? (uint8_t)take(in, 1) % 4 : 0;
	for (uint32_t i = 0; i < p->s.nsack; i++) {
		p->s.sack[i].from = near(in, una);
		p->s.sack[i].to = near(in, p->s.sack[i].from);
	}
	sim_inject(&tl.sim, 1, p);
}

/* The left edge of the n-th segment that is on its way; behind the last: snd_nxt. */
static uint32_t
edge(uint32_t n)
{
	const struct tcp_conn *tc = tl.user[0].tc;

	if (tc == NULL)
		return 1;
	for (struct rte_mbuf *m = tc->sndq; m != NULL && m != tc->sndq_next; m = pkt_of(m)->next) {
		if (n-- == 0)
			return pkt_of(m)->seq;
	}
	return tc->snd_nxt;
}

/* An acknowledgement up to an edge, with reports of others. */
static void
ack(struct in *in, bool sack)
{
	struct sim_pkt *p = plain();
	uint32_t up_to = take(in, 1), blocks = sack ? take(in, 1) : 0, at = up_to;

	p->s.ack = edge(up_to);
	p->s.nsack = sack ? 1 + (blocks & 3) % 3 : 0;
	for (uint32_t i = 0; i < p->s.nsack; i++) {
		uint32_t where = take(in, 1);

		at += 1 + (where >> 4);
		p->s.sack[i].from = edge(at);
		at += 1 + (where & 15);
		p->s.sack[i].to = edge(at);
	}
	if (blocks & 4) { // of what came twice, below or within the next block
		p->s.sack[0].to = blocks & 8 && p->s.nsack > 1 ? p->s.sack[1].to : p->s.ack;
		p->s.sack[0].from = p->s.sack[0].to - 1 - (blocks >> 4) * 200;
	}
	if (blocks & 0x80) // the echo of something old
		p->s.tsecr -= 3000;
	sim_inject(&tl.sim, 1, p);
}

/* Payload: in order, or behind a hole, or again. */
static void
data(struct in *in)
{
	struct sim_pkt *p = plain();
	uint32_t how = take(in, 1);

	p->s.len = (uint16_t)(take(in, 2) % 1449);
	if (how & 1)
		p->s.seq += (uint32_t)(int32_t)(int8_t)take(in, 1) * 100u;
	if (how & 2)
		p->s.flags |= RTE_TCP_FIN_FLAG;
	if (how & 4)
		p->s.ack = edge(255);
	for (uint32_t n = 1 + (how >> 5); n > 0; n--) {
		sim_inject(&tl.sim, 1, p);
		p->s.seq += p->s.len;
	}
}

/* What a peer says to the last segment of host 0's: the other half of a handshake, or an ACK. */
static void
answer(struct in *in, uint32_t how)
{
	const struct tcp_seg *s = &tl.seen.s;
	struct sim_pkt *p = plain();

	if (how & 1)
		p->s.wnd = (uint16_t)take(in, 2);
	p->v6 = tl.seen.v6;
	memcpy(p->s.key.l, s->key.r, 16);
	memcpy(p->s.key.r, s->key.l, 16);
	p->s.key.lport = s->key.rport;
	p->s.key.rport = s->key.lport;
	p->s.ack = seg_end(s);
	p->s.seq = s->flags & RTE_TCP_ACK_FLAG ? s->ack : LIVE_ISS;
	p->s.opts = s->opts & TCP_OPT_TS;
	p->s.tsval = s->tsecr + 1;
	if ((s->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG) {
		p->s.flags |= RTE_TCP_SYN_FLAG;
		p->s.opts = opts;
		if (how & 2) // both open at once
			p->s.flags = RTE_TCP_SYN_FLAG;
	}
	if (how & 4)
		p->s.flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG;
	if (how & 8)
		p->s.flags |= RTE_TCP_FIN_FLAG;
	sim_inject(&tl.sim, 1, p);
}

/* SYNs: of the first tuple, or of others, one after the other. */
static void
syns(struct in *in)
{
	uint32_t how = take(in, 1), port = LIVE_CLIENT;

	if (how & 1)
		port = LIVE_CLIENT + 1 + take(in, 1);
	for (uint32_t n = 1 + (how >> 4); n > 0; n--) {
		struct sim_pkt *p = plain();

		p->v6 = false;
		tcp_key_set(&p->s.key, how & 2 ? &tl.sim.host[1].v4 : &tl.sim.host[0].v4,
			(uint16_t)port++, &tl.sim.host[0].v4, how & 4 ? LIVE_PORT : 81);
		if (how & 2)
			p->s.key.rport = LIVE_PORT;
		p->s.flags = RTE_TCP_SYN_FLAG;
		p->s.seq = tl.user[0].tc != NULL ? LIVE_ISS + 9000000 : LIVE_ISS;
		p->s.opts = how & 8 ? 0 : opts;
		sim_inject(&tl.sim, 1, p);
	}
}

static void
icmp(struct in *in)
{
	const struct sim_pkt *p = plain();
	struct net_icmp_error e = { .kind = (uint8_t)(take(in, 1) % 3), .seq = p->s.ack };

	e.lport = p->s.key.rport;
	e.rport = p->s.key.lport;
	tcp_key_get(&p->s.key, &e.raddr, &e.laddr);
	e.mtu = (uint16_t)(take(in, 1) * 6);
	if (take(in, 1) & 1)
		e.seq = near(in, e.seq);
	tcp_icmp(tl.sim.host[0].lc, &e);
}

static void
user(struct in *in)
{
	uint32_t what = take(in, 1);
	int host = what >> 7;
	struct tcp_user *u = &tl.user[host];
	struct lcore *lc = tl.sim.host[host].lc;
	struct tcp_keepalive keep = { 0 };
	uint32_t n;

	if (u->tc == NULL)
		return;
	switch (what & 7) {
	case 0:
		(void)tcp_shutdown(lc, u->tc);
		break;
	case 1:
		tcp_close(lc, u->tc);
		u->tc = NULL;
		break;
	case 2:
		tcp_abort(lc, u->tc);
		u->tc = NULL;
		break;
	case 3: // reads on, or no more, or little at a time
		u->hold = what & 8;
		u->nibble = what & 16 ? (uint8_t)take(in, 1) : 0;
		if (!u->hold && u->nibble == 0)
			tcp_rx_drop(lc, u->tc, tcp_rx(u->tc)->len);
		break;
	case 4:
		keep.idle_ms = take(in, 1) * 100;
		keep.intvl_ms = 1000;
		keep.count = what >> 3 & 15;
		tcp_set_keepalive(lc, u->tc, what & 8 ? &keep : NULL);
		break;
	default:
		n = sl_min(take(in, 1) * 4001 / (what & 8 ? 1 : 20), FEED - fed);
		fed += n;
		u->feed += n;
		u->ends = what & 16;
		tcp_live_write(host);
		break;
	}
}

/* What goes wrong beside the network. */
static void
trouble(struct in *in)
{
	uint32_t what = take(in, 1);
	struct ip_port at = { .ip = { .family = ADDR_V4 }, .port = LIVE_PORT };
	struct lcore *lc = tl.sim.host[what >> 7].lc;

	switch (what & 7) {
	case 0:
		lcore_mbuf_fail_in(lc, 1 + take(in, 1) % 8);
		break;
	case 1: // the budget: what is held, and so much more
		lc->retain_max = lc->retained + take(in, 1) * 1000;
		break;
	case 2:
		lc->retain_max = tl.budget;
		break;
	case 3:
		(void)tcp_unlisten(lc, &at);
		break;
	case 4:
		lc->stopping = what & 8;
		break;
	case 5:
		lc->pressure = what >> 3 & 3;
		break;
	case 6:
		tcp_live_connect(what >> 7, what & 8, what & 16 ? (uint16_t)(LIVE_CLIENT + 50) : 0,
			what & 32 ? LIVE_PORT : 81);
		break;
	default: // no block is left for what recovers
		lc->tcp->recs.fail_in = 1;
		break;
	}
}

/* The way to and from a peer that hears. */
static void
path(struct in *in)
{
	uint32_t what = take(in, 1);
	struct sim_link *l = &tl.sim.link[what & 1];

	switch (what >> 1 & 3) {
	case 0:
		tl.lose[what & 1] = (uint16_t)take(in, 2);
		break;
	case 1:
		l->delay_us = 200 + take(in, 1) * 500;
		l->jitter_us = what & 8 ? 4000 : 0;
		break;
	case 2:
		l->mtu = what & 8 ? 600 + take(in, 1) * 4 : 0;
		l->hole = what & 16;
		break;
	default:
		l->reorder_ppm = what & 8 ? 100000 : 0;
		l->reorder_us = 1000 + (what >> 4) * 2000;
		l->dup_ppm = what & 16 ? 100000 : 0;
		l->mbit = what & 32 ? 10 : 0;
		l->queue_us = 100000;
		break;
	}
}

static void
step(struct in *in)
{
	uint32_t kind = take(in, 1), us = 100;

	switch (kind & 15) {
	case 0:
	case 1:
		segment(in);
		break;
	case 2:
	case 3:
		ack(in, false);
		break;
	case 4:
	case 5:
		ack(in, true);
		break;
	case 6:
		data(in);
		break;
	case 7:
		answer(in, kind >> 4);
		break;
	case 8:
		user(in);
		break;
	case 9:
		us = 1000 * (1 + take(in, 1));
		break;
	case 10: // a timeout or several
		us = 100000 * (1 + take(in, 1));
		break;
	case 11:
		us = kind & 0x80 ? 5000000 * (1 + take(in, 1)) : 100;
		break;
	case 12:
		wnd = (uint16_t)(kind & 0x80 ? take(in, 1) : take(in, 1) << 8);
		ack(in, false);
		break;
	case 13:
		path(in);
		break;
	case 14:
		if (kind & 0x10)
			icmp(in);
		else
			syns(in);
		break;
	default:
		trouble(in);
		break;
	}
	tcp_live_run(us);
}

/* The first bytes say who the two are, and whether their connection stands before the steps begin. */
static void
begin(struct in *in)
{
	static const uint32_t bufs[4] = { 4096, 16384, 65536, 262144 };
	uint32_t who = take(in, 1), how = take(in, 1);
	struct tcp_conf conf[2];

	for (int i = 0; i < 2; i++) {
		sim_conf(&conf[i]);
		conf[i].cc = (who >> 1 & 3) % TCP_CC_NR;
		conf[i].sack = !(who & 8);
		conf[i].timestamps = !(who & 16);
		conf[i].wscale = !(who & 32);
		conf[i].cookies = (who >> 6) % 3;
		conf[i].rcv_buf = bufs[how & 3];
		conf[i].snd_buf = bufs[how >> 2 & 3];
	}
	if (how & 0x10) { // little of everything
		conf[0].max_conns = conf[0].max_half_open = conf[0].max_timewait = 4;
		conf[0].port_last = conf[0].port_first + 2;
	}
	MUST(tcp_memory(&conf[0]) > conf[0].max_conns * sizeof(struct tcp_conn));
	wnd = 0x2000;
	mss = how & 0x10 ? 300 : 1460;
	opts = TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK | TCP_OPT_TS;
	fed = 0;
	tcp_live_begin(conf);
	tl.live = how & 0x80;
	if (who & 1)
		tcp_live_connect(0, how & 0x20, 0, LIVE_PORT);
	else if (tl.live)
		tcp_live_connect(1, how & 0x20, LIVE_CLIENT, LIVE_PORT);
	if (!(how & 0x40))
		return;
	if (tl.live) {
		tcp_live_run(40000);
		return;
	}
	if (!(who & 1))
		syns(&(struct in){ (const uint8_t[]){ 6 }, 1 });
	tcp_live_run(100);
	answer(in, 0);
	tcp_live_run(5000);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data_, size_t size)
{
	struct in in = { data_, size };
	uint64_t end = tl.sim.steps + TURNS;

	begin(&in);
	for (uint32_t steps = 0; in.n > 0 && steps < STEPS && tl.sim.steps < end; steps++)
		step(&in);
	tcp_live_end();
	return 0;
}
