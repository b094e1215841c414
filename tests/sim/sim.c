// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two stacks over a simulated wire under a virtual clock.
 *
 * Runs on: the test's thread, which plays both workers. One iteration does what the worker's loop
 * does (rx burst, net, tcp, handlers, timers, output, flush), without dataplane/worker.
 */
#include "tests/sim/sim.h"

#include <rte_ethdev.h>
#include <rte_ip.h>

#include <stdio.h>
#include <stdlib.h>

#define POOL_SIZE 8191
#define START_US  100000000ull

uint64_t sim_begin_us = START_US;

static struct wire *wires[2];
static struct rte_mempool *pools[2];
static struct ports ports[2];
// of the one simulation that is open; kept, for they are large and a fuzzer opens thousands a second
static struct sim_frame frames[SIM_HEAP];
static uint32_t heap[SIM_HEAP], unused[SIM_HEAP];
static struct sim_pkt stolen[SIM_STOLEN];

static struct ip_net
net_of(const char *text, uint8_t prefix)
{
	struct ip_net n = { .prefix = prefix };

	if (addr_parse(sl_str_c(text), &n.ip) < 0)
		abort();
	return n;
}

/* EAL keeps what it was given and says so to nobody. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:eal_start\n";
}

const char *
__lsan_default_options(void)
{
	return "print_suppressions=0";
}

int
sim_start(void)
{
	struct ip_net addr[2][2] = {
		{ net_of("10.9.0.1", 24), net_of("fd00:9::1", 64) },
		{ net_of("10.9.0.2", 24), net_of("fd00:9::2", 64) },
	};
	const char *tso = getenv("SIM_TSO");
	char device[2][32];
	struct port_spec spec[2] = {
		{ .name = SL_STR("left"), .addrs = addr[0], .naddrs = 2 },
		{ .name = SL_STR("right"), .addrs = addr[1], .naddrs = 2 },
	};
	uint16_t cpu[1] = { 0 };
	struct eal_spec eal = {
		.ports = spec,
		.nports = 2,
		.nworkers = 1,
		.worker_cpu = cpu,
		.main_cpu = 0,
		.extra = SL_STR("--no-huge"),
		.file_prefix = "sluice-sim",
		.in_test = true,
	};
	struct port_err err = { "" };
	bool huge;

	for (int i = 0; i < 2; i++) {
		snprintf(device[i], sizeof(device[i]), "wire%da%s%s", i, tso != NULL ? ",tso=" : "",
			tso != NULL ? tso : "");
		spec[i].device = sl_str_c(device[i]);
	}
	wires[0] = wire_new(0, 2048);
	wires[1] = wire_new(1, 2048);
	if (wires[0] == NULL || wires[1] == NULL || eal_start(&eal, &huge, &err) < 0)
		goto fail;
	for (int i = 0; i < 2; i++) {
		char name[16];
		snprintf(name, sizeof(name), "sim%d", i);
		pools[i] = rte_pktmbuf_pool_create_by_ops(name, POOL_SIZE, 0, PORT_PRIV,
			RTE_PKTMBUF_HEADROOM + PORT_MBUF_DATA, -1, "ring_sp_sc");
		if (pools[i] == NULL || port_start(&ports[i], &spec[i], &pools[i], 1, &err) < 0)
			goto fail;
		port_finish(&ports[i]);
	}
	return 0;
fail:
	fprintf(stderr, "sim: %s\n", err.text);
	return -EINVAL;
}

void
sim_stop(void)
{
	for (int i = 0; i < 2; i++) {
		port_stop(&ports[i], &ports[i].port[0]);
		rte_mempool_free(pools[i]);
		wire_free(wires[i]);
	}
	eal_stop(false);
}

void
sim_conf(struct tcp_conf *c)
{
	tcp_conf_default(c);
	c->rcv_buf = c->snd_buf = 128 * 1024;
	c->max_conns = 64;
	c->max_half_open = 16;
	c->max_timewait = 64;
	c->timewait_ms = 2000;
	c->fin_timeout_ms = 5000;
}

static void
set_clock(struct sim *sim)
{
	for (int i = 0; i < 2; i++)
		lcore_set_clock(sim->host[i].lc, sim->now_us, sim->now_us + 1600000000000000ull);
}

int
sim_open(struct sim *sim, uint64_t seed, const struct tcp_conf *conf)
{
	uint64_t secret[2] = { hash_mix(seed), hash_mix(seed + 77) };

	memset(sim, 0, sizeof(*sim));
	rand_seed(&sim->rand, seed);
	sim->now_us = sim_begin_us;
	sim->frame = frames;
	sim->heap = heap;
	sim->unused = unused;
	sim->stolen = stolen;
	for (uint32_t i = 0; i < SIM_HEAP; i++)
		sim->unused[sim->nunused++] = i;
	for (int i = 0; i < 2; i++) {
		struct sim_host *h = &sim->host[i];
		struct lcore_spec ls = { .nlcores = 1,
			.socket = -1,
			.seed = seed * 2 + (unsigned)i,
			.pool = pools[i],
			.pool_size = POOL_SIZE,
			.ports = &h->ports };

		h->ports = ports[i];
		h->pool = pools[i];
		h->wire = wires[i];
		h->v4 = ports[i].port[0].addr[0].ip;
		h->v6 = ports[i].port[0].addr[1].ip;
		h->level = rte_mempool_avail_count(pools[i]);
		h->lc = lcore_new(&ls);
		if (h->lc == NULL)
			return -ENOMEM;
		h->net = net_shared_new(&h->ports);
		if (h->net == NULL || net_attach(h->lc, h->net, tcp_input, tcp_icmp) < 0 ||
			tcp_attach(h->lc, &conf[i], secret) < 0)
			return -ENOMEM;
		sim->link[i].delay_us = 5000;
	}
	set_clock(sim);
	return 0;
}

void
sim_set_mtu(struct sim *sim, int host, uint16_t mtu)
{
	struct sim_host *h = &sim->host[host];

	h->ports.port[0].mtu = mtu;
	h->ports.payload_mss = mtu - 72;
	h->lc->tcp->payload_mss = mtu - 72;
}

static int
fail(struct sim *sim, const char *what, int host, const char *why)
{
	if (sim->why[0] == '\0')
		snprintf(sim->why, sizeof(sim->why), "%s (host %d, %.6f s): %s", what, host,
			(double)(sim->now_us - sim_begin_us) / 1e6, why);
	return -EINVAL;
}

int
sim_close(struct sim *sim)
{
	char text[160];

	for (int i = 0; i < 2; i++) {
		struct sim_host *h = &sim->host[i];
		uint8_t scrap[SIM_FRAME];

		tcp_detach(h->lc);
		net_detach(h->lc);
		if (h->lc->retained != 0) {
			snprintf(text, sizeof(text), "%u bytes still charged", h->lc->retained);
			fail(sim, "retained", i, text);
		}
		while (wire_recv(h->wire, 'b', 0, scrap, sizeof(scrap)) >= 0) {}
		if (rte_mempool_avail_count(h->pool) != h->level) {
			snprintf(text, sizeof(text), "%u mbufs of %u are back",
				rte_mempool_avail_count(h->pool), h->level);
			fail(sim, "mempool", i, text);
		}
		net_shared_free(h->net);
		lcore_free(h->lc);
	}
	sim->frame = NULL; // closed
	return sim->why[0] == '\0' ? 0 : -EINVAL;
}

/* ---- frames on their way: a heap by time ---- */
static bool
before(const struct sim *sim, uint32_t a, uint32_t b)
{
	const struct sim_frame *x = &sim->frame[a], *y = &sim->frame[b];

	return x->at_us != y->at_us ? x->at_us < y->at_us : x->order < y->order;
}

static void
heap_push(struct sim *sim, uint32_t f)
{
	uint32_t i = sim->nheap++;

	while (i > 0 && before(sim, f, sim->heap[(i - 1) / 2])) {
		sim->heap[i] = sim->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	sim->heap[i] = f;
}

static uint32_t
heap_pop(struct sim *sim)
{
	uint32_t top = sim->heap[0], last = sim->heap[--sim->nheap], i = 0;

	for (;;) {
		uint32_t c = 2 * i + 1;
		if (c >= sim->nheap)
			break;
		if (c + 1 < sim->nheap && before(sim, sim->heap[c + 1], sim->heap[c]))
			c++;
		if (!before(sim, sim->heap[c], last))
			break;
		sim->heap[i] = sim->heap[c];
		i = c;
	}
	sim->heap[i] = last;
	return top;
}

static void
put_frame(struct sim *sim, int to, const uint8_t *data, uint32_t len, uint64_t at_us)
{
	struct sim_frame *f;
	uint32_t i;

	if (sim->nunused == 0)
		return; // as a full queue
	i = sim->unused[--sim->nunused];
	f = &sim->frame[i];
	f->at_us = at_us;
	f->order = sim->order++;
	f->to = (uint8_t)to;
	f->len = (uint16_t)len;
	memcpy(f->data, data, len);
	heap_push(sim, i);
}

/* ---- segments ---- */
static bool
decode(const uint8_t *d, uint32_t len, struct sim_pkt *p)
{
	const struct rte_tcp_hdr *th;
	uint32_t l4, end;

	memset(&p->s, 0, sizeof(p->s));
	if (len >= 54 && d[12] == 0x08 && d[13] == 0 && d[14 + 9] == 6) {
		struct ip_addr a = { .family = ADDR_V4 }, b = { .family = ADDR_V4 };
		p->v6 = false;
		memcpy(a.b, d + 26, 4);
		memcpy(b.b, d + 30, 4);
		tcp_key_set(&p->s.key, &a, 0, &b, 0);
		l4 = 34;
		end = 14u + ((uint32_t)d[16] << 8 | d[17]);
	} else if (len >= 74 && d[12] == 0x86 && d[13] == 0xdd && d[14 + 6] == 6) {
		p->v6 = true;
		memcpy(p->s.key.l, d + 22, 16);
		memcpy(p->s.key.r, d + 38, 16);
		l4 = 54;
		end = 54u + ((uint32_t)d[18] << 8 | d[19]);
	} else {
		return false;
	}
	th = (const struct rte_tcp_hdr *)(const void *)(d + l4);
	p->s.key.lport = rte_be_to_cpu_16(th->src_port);
	p->s.key.rport = rte_be_to_cpu_16(th->dst_port);
	p->s.seq = rte_be_to_cpu_32(th->sent_seq);
	p->s.ack = rte_be_to_cpu_32(th->recv_ack);
	p->s.wnd = rte_be_to_cpu_16(th->rx_win);
	p->s.flags = th->tcp_flags;
	p->s.thl = (th->data_off >> 4) * 4;
	if (end > len || l4 + p->s.thl > end)
		return false;
	p->s.len = (uint16_t)(end - l4 - p->s.thl);
	memcpy(p->payload, d + l4 + p->s.thl, p->s.len);
	return tcp_opt_parse((const uint8_t *)(th + 1), p->s.thl - 20u,
		       p->s.flags & RTE_TCP_SYN_FLAG, &p->s) == 0;
}

static void
trace(const struct sim *sim, int from, const struct sim_pkt *p, const char *fate)
{
	const struct tcp_seg *s = &p->s;

	printf("%11.6f %d>%d %5u>%-5u %c%c%c%c%c %10u+%-4u ack %10u wnd %5u",
		(double)(sim->now_us - sim_begin_us) / 1e6, from, 1 - from, s->key.lport, s->key.rport,
		s->flags & RTE_TCP_SYN_FLAG ? 'S' : '.', s->flags & RTE_TCP_FIN_FLAG ? 'F' : '.',
		s->flags & RTE_TCP_RST_FLAG ? 'R' : '.', s->flags & RTE_TCP_PSH_FLAG ? 'P' : '.',
		s->flags & RTE_TCP_ACK_FLAG ? 'A' : '.', s->seq, s->len, s->ack, s->wnd);
	for (uint32_t i = 0; i < s->nsack; i++)
		printf(" [%u,%u)", s->sack[i].from, s->sack[i].to);
	printf("%s\n", fate);
}

/* Seeded chance in a million. */
static bool
chance(struct sim *sim, uint32_t ppm)
{
	return ppm != 0 && rand_below(&sim->rand, 1000000) < ppm;
}

/* A router on the way has no room: it says so, or not. */
static void
too_big(struct sim *sim, int from, const struct sim_pkt *p)
{
	struct net_icmp_error e = { .kind = NET_ICMP_TOO_BIG,
		.mtu = (uint16_t)sim->link[from].mtu,
		.seq = p->s.seq,
		.lport = p->s.key.lport,
		.rport = p->s.key.rport };

	sim->link[from].too_big++;
	tcp_key_get(&p->s.key, &e.laddr, &e.raddr);
	if (!sim->link[from].hole)
		tcp_icmp(sim->host[from].lc, &e);
}

/* A frame leaves host `from`. */
static void
transmit(struct sim *sim, int from, const uint8_t *d, uint32_t len)
{
	struct sim_link *l = &sim->link[from];
	struct sim_host *to = &sim->host[1 - from];
	uint64_t at = sim->now_us + l->delay_us;
	struct sim_pkt p;
	uint8_t bad[SIM_FRAME];
	bool seg = decode(d, len, &p), lost;

	l->frames++;
	// a neighbour that cannot be resolved ends a connection, and rightly so: not what is tested
	lost = (seg && chance(sim, l->loss_ppm)) || sim->down ||
		(seg && sim->tap != NULL && !sim->tap(sim, from, &p));
	if (seg && sim->trace)
		trace(sim, from, &p, lost ? "  LOST" : "");
	if (seg && sim->steal && from == 0) {
		if (sim->nstolen < SIM_STOLEN)
			sim->stolen[sim->nstolen++] = p;
		return;
	}
	if (lost) {
		l->lost++;
		return;
	}
	if (seg && l->mtu != 0 && len - 14 > l->mtu) {
		too_big(sim, from, &p);
		return;
	}
	if (seg && chance(sim, l->corrupt_ppm)) {
		l->corrupted++;
		memcpy(bad, d, len);
		bad[14 + rand_below(&sim->rand, len - 14)] ^= (uint8_t)(1 + rand_below(&sim->rand, 255));
		d = bad;
	}
	if (l->mbit != 0) {
		l->free_us = sl_max(l->free_us, sim->now_us);
		if (l->free_us - sim->now_us > l->queue_us) {
			l->overflow++;
			return;
		}
		l->free_us += (len + 24) * 8 / l->mbit;
		at += l->free_us - sim->now_us;
	}
	if (l->jitter_us != 0)
		at += rand_below(&sim->rand, l->jitter_us);
	at = sl_max(at, to->to_at_us);
	to->to_at_us = at;
	if (chance(sim, l->reorder_ppm)) {
		l->reordered++;
		at += l->reorder_us;
	}
	put_frame(sim, 1 - from, d, len, at);
	if (chance(sim, l->dup_ppm)) {
		l->dups++;
		put_frame(sim, 1 - from, d, len, at + rand_below(&sim->rand, l->delay_us + 1));
	}
}

void
sim_inject(struct sim *sim, int from, const struct sim_pkt *p)
{
	struct sim_host *a = &sim->host[from], *b = &sim->host[1 - from];
	uint8_t d[SIM_FRAME] = { 0 };
	struct rte_tcp_hdr *th;
	uint8_t *opt;
	uint32_t l3 = 14, l4 = p->v6 ? 54 : 34, n = 0, l4_len;

	memcpy(d, b->ports.port[0].mac.addr_bytes, 6);
	memcpy(d + 6, a->ports.port[0].mac.addr_bytes, 6);
	th = (struct rte_tcp_hdr *)(void *)(d + l4);
	opt = (uint8_t *)(th + 1);
	if (p->s.flags & RTE_TCP_SYN_FLAG) {
		struct tcp_bare o = { .mss = p->s.mss,
			.opts = p->s.opts,
			.wscale = p->s.wscale,
			.tsval = p->s.tsval,
			.tsecr = p->s.tsecr };
		if (p->s.mss != 0)
			n = tcp_opt_syn(opt, &o);
	} else {
		if (p->s.opts & TCP_OPT_TS)
			n = tcp_opt_ts(opt, p->s.tsval, p->s.tsecr);
		if (p->s.nsack > 0)
			n += tcp_opt_sack(opt + n, p->s.sack, p->s.nsack);
	}
	th->src_port = rte_cpu_to_be_16(p->s.key.lport);
	th->dst_port = rte_cpu_to_be_16(p->s.key.rport);
	th->sent_seq = rte_cpu_to_be_32(p->s.seq);
	th->recv_ack = rte_cpu_to_be_32(p->s.ack);
	th->data_off = (uint8_t)((20 + n) / 4 << 4);
	th->tcp_flags = p->s.flags;
	th->rx_win = rte_cpu_to_be_16(p->s.wnd);
	memcpy(opt + n, p->payload, p->s.len);
	l4_len = 20 + n + p->s.len;
	if (p->v6) {
		struct rte_ipv6_hdr *h = (struct rte_ipv6_hdr *)(void *)(d + l3);
		d[12] = 0x86;
		d[13] = 0xdd;
		h->vtc_flow = rte_cpu_to_be_32(6u << 28);
		h->payload_len = rte_cpu_to_be_16((uint16_t)l4_len);
		h->proto = 6;
		h->hop_limits = 64;
		memcpy(h->src_addr, p->s.key.l, 16);
		memcpy(h->dst_addr, p->s.key.r, 16);
		th->cksum = rte_ipv6_udptcp_cksum(h, th);
	} else {
		struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)(void *)(d + l3);
		d[12] = 0x08;
		h->version_ihl = 0x45;
		h->total_length = rte_cpu_to_be_16((uint16_t)(20 + l4_len));
		h->time_to_live = 64;
		h->next_proto_id = 6;
		h->src_addr = p->s.key.l[3];
		h->dst_addr = p->s.key.r[3];
		h->hdr_checksum = rte_ipv4_cksum(h);
		th->cksum = rte_ipv4_udptcp_cksum(h, th);
	}
	if (sim->trace)
		trace(sim, from, p, "  INJECTED");
	put_frame(sim, 1 - from, d, l4 + l4_len, sim->now_us);
}

bool
sim_take(struct sim *sim, struct sim_pkt *p)
{
	if (sim->nstolen == 0)
		return false;
	*p = sim->stolen[0];
	sim->nstolen--;
	memmove(sim->stolen, sim->stolen + 1, sim->nstolen * sizeof(*sim->stolen));
	return true;
}

/* ---- time ---- */
static void
deliver(struct sim *sim)
{
	while (sim->nheap > 0 && sim->frame[sim->heap[0]].at_us <= sim->now_us) {
		uint32_t i = heap_pop(sim);
		struct sim_frame *f = &sim->frame[i];
		wire_send(sim->host[f->to].wire, 'b', 0, f->data, f->len);
		sim->unused[sim->nunused++] = i;
	}
}

static void
iterate(struct sim *sim, int host)
{
	struct sim_host *h = &sim->host[host];
	struct lcore *lc = h->lc;
	struct rte_mbuf *m[32];
	uint16_t n;
	int len;

	while ((n = rte_eth_rx_burst(h->ports.port[0].ethdev, 0, m, 32)) > 0)
		net_input(lc, 0, m, n);
	tcp_run_events(lc);
	wheel_advance(&lc->wheel, lc->now, 64, lc);
	tcp_run_events(lc);
	if (sim->app != NULL)
		sim->app(sim, host);
	tcp_run_events(lc);
	tcp_run_output(lc);
	net_tick(lc);
	net_flush(lc);
	for (;;) {
		uint8_t d[SIM_FRAME];
		len = wire_recv(h->wire, 'b', 0, d, sizeof(d));
		if (len < 0)
			break;
		transmit(sim, host, d, (uint32_t)len);
	}
}

/* When something happens next; at most so far away that net's timers run. */
static uint64_t
next_us(const struct sim *sim)
{
	// a puppet acts between two steps: there time runs slowly
	bool slow = sim->steal && (sim->until_us == 0 || sim->nstolen > 0);
	uint64_t at = sim->now_us + (slow ? 1000 : sim->until_us != 0 ? 10000000 : 500000);

	if (sim->until_us != 0)
		at = sl_min(at, sim->until_us);
	if (sim->nheap > 0)
		at = sl_min(at, sim->frame[sim->heap[0]].at_us);
	for (int i = 0; i < 2; i++) {
		uint32_t ms = wheel_next_ms(&sim->host[i].lc->wheel);
		uint64_t t = (sim->now_us / 1000 + ms) * 1000;
		if (ms != UINT32_MAX)
			at = sl_min(at, t);
		if (sim->host[i].away_us != 0)
			at = sl_min(at, sim->host[i].back_us);
	}
	return sl_max(at, sim->now_us + 100);
}

int
sim_step(struct sim *sim)
{
	char why[160];

	deliver(sim);
	for (int i = 0; i < 2; i++) {
		if (sim->now_us < sim->host[i].back_us)
			continue;
		iterate(sim, i);
		sim->host[i].back_us = sim->host[i].away_us == 0 ? 0 : sim->now_us + sim->host[i].away_us;
		if (tcp_validate(sim->host[i].lc, why, sizeof(why)) < 0)
			return fail(sim, "invariant", i, why);
		if (wheel_validate(&sim->host[i].lc->wheel) < 0)
			return fail(sim, "wheel", i, "");
	}
	sim->steps++;
	sim->now_us = next_us(sim);
	set_clock(sim);
	return sim->why[0] == '\0' ? 0 : -EINVAL;
}

bool
sim_until(struct sim *sim, bool (*cond)(struct sim *sim), uint64_t us)
{
	uint64_t end = sim->now_us + us;

	while (sim->now_us < end) {
		if (cond(sim))
			return true;
		if (sim_step(sim) < 0)
			return false;
	}
	return cond(sim);
}

int
sim_run(struct sim *sim, uint64_t us)
{
	uint64_t end = sim->now_us + us;

	while (sim->now_us < end) {
		int rc = sim_step(sim);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void
warm_event(struct lcore *lc sl_unused, struct tcp_conn *tc sl_unused, void *user sl_unused,
	uint32_t ev sl_unused)
{
}

int
sim_warm(struct sim *sim)
{
	// a SYN to a closed port makes both sides learn the other's address
	static const struct tcp_handler h = { .event = warm_event };

	for (int v6 = 0; v6 < 2; v6++) {
		struct ip_port to = { .ip = v6 ? sim->host[1].v6 : sim->host[1].v4, .port = 9 };
		struct tcp_conn *tc;
		int rc = tcp_connect(sim->host[0].lc, &to, NULL, &h, NULL, &tc);
		if (rc < 0)
			return rc;
		rc = sim_run(sim, 200000);
		if (rc < 0)
			return rc;
	}
	return sim_run(sim, 2000000);
}
