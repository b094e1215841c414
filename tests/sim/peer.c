// SPDX-License-Identifier: BSD-3-Clause
/*
 * Recording endpoints and puppets for the named cases.
 */
#include "tests/sim/peer.h"

static uint8_t
pattern(uint64_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

int
group_start(void **state)
{
	(void)state;
	return sim_start();
}

int
group_stop(void **state)
{
	(void)state;
	sim_stop();
	return 0;
}

void
run(struct sim *sim, uint64_t us)
{
	if (sim_run(sim, us) < 0)
		fail_msg("%s", sim->why);
}

void
case_open(struct sim *sim, const struct tcp_conf *conf)
{
	case_open_seed(sim, 1, conf);
}

void
case_open_seed(struct sim *sim, uint64_t seed, const struct tcp_conf *conf)
{
	struct tcp_conf c[2];

	if (sim->frame != NULL) // of a test that failed
		sim_close(sim);
	sim_conf(&c[0]);
	if (conf != NULL)
		c[0] = *conf;
	c[1] = c[0];
	assert_int_equal(sim_open(sim, seed, c), 0);
	assert_int_equal(sim_warm(sim), 0);
}

void
case_close(struct sim *sim)
{
	run(sim, 1 * MS);
	if (sim_close(sim) < 0)
		fail_msg("%s", sim->why);
}

/* ---- endpoints ---- */
void
ep_read(struct ep *e)
{
	struct lcore *lc = e->sim->host[e->host].lc;
	uint8_t b[2048];
	struct chain c;

	chain_init(&c);
	if (e->tc == NULL || tcp_rx(e->tc)->len == 0 ||
		tcp_rx_take(lc, e->tc, tcp_rx(e->tc)->len, &c) < 0)
		return;
	for (uint32_t off = 0; off < c.len;) {
		uint32_t n = chain_copy_out(&c, off, b, sizeof(b));
		for (uint32_t i = 0; i < n; i++)
			e->wrong |= b[i] != pattern(e->got + i);
		e->got += n;
		off += n;
	}
	if (e->echo) {
		e->sent += c.len;
		tcp_send(lc, e->tc, &c);
	} else {
		chain_free(lc, &c);
	}
}

static void
on_event(struct lcore *lc, struct tcp_conn *tc, void *user, uint32_t ev)
{
	struct ep *e = user;

	(void)lc;
	assert_ptr_equal(tc, e->tc);
	e->events |= ev;
	e->calls++;
	if (!e->hold)
		ep_read(e);
	if (e->on_event != NULL)
		e->on_event(e, ev);
	if (ev & TCP_EV_CLOSED) {
		if (e->tc != NULL)
			e->err = tcp_error(tc);
		e->tc = NULL;
	}
}

static void *
on_accept(struct lcore *lc, void *cookie, struct tcp_conn *tc)
{
	struct ep *e = cookie;

	(void)lc;
	if (e->refuse)
		return NULL;
	e->tc = tc;
	e->accepted = true;
	return e;
}

const struct tcp_handler ep_handler = { .accept = on_accept, .event = on_event };

void
ep_listen(struct sim *sim, int host, uint16_t port, bool v6, struct ep *e)
{
	struct ip_port at = { .ip = { .family = v6 ? ADDR_V6 : ADDR_V4 }, .port = port };

	e->sim = sim;
	e->host = host;
	assert_int_equal(tcp_listen(sim->host[host].lc, &at, &ep_handler, e), 0);
}

int
ep_connect(struct sim *sim, int host, uint16_t port, bool v6, struct ep *e)
{
	struct sim_host *h = &sim->host[1 - host];
	struct ip_port to = { .ip = v6 ? h->v6 : h->v4, .port = port };

	e->sim = sim;
	e->host = host;
	return tcp_connect(sim->host[host].lc, &to, NULL, &ep_handler, e, &e->tc);
}

int
ep_send(struct ep *e, uint32_t n)
{
	struct lcore *lc = e->sim->host[e->host].lc;
	struct chain c;
	int rc;

	chain_init(&c);
	while (n > 0) {
		uint8_t b[4096];
		uint32_t k = sl_min(n, (uint32_t)sizeof(b));
		for (uint32_t i = 0; i < k; i++)
			b[i] = pattern(e->sent + i);
		rc = chain_copy_in_mss(lc, &c, b, k, tcp_mss(e->tc));
		if (rc < 0) {
			chain_free(lc, &c);
			return rc;
		}
		e->sent += k;
		n -= k;
	}
	return tcp_send(lc, e->tc, &c);
}

void
ep_shutdown(struct ep *e)
{
	assert_int_equal(tcp_shutdown(e->sim->host[e->host].lc, e->tc), 0);
}

void
ep_close(struct ep *e)
{
	tcp_close(e->sim->host[e->host].lc, e->tc);
	e->tc = NULL;
}

void
ep_abort(struct ep *e)
{
	tcp_abort(e->sim->host[e->host].lc, e->tc);
	e->tc = NULL;
}

void
pair(struct sim *sim, bool v6, struct ep *client, struct ep *server)
{
	ep_listen(sim, 1, 80, v6, server);
	assert_int_equal(ep_connect(sim, 0, 80, v6, client), 0);
	run(sim, 100 * MS);
	assert_non_null(client->tc);
	assert_non_null(server->tc);
	assert_int_equal(tcp_get_state(client->tc), TCP_ESTABLISHED);
	assert_int_equal(tcp_get_state(server->tc), TCP_ESTABLISHED);
}

/* ---- puppets ---- */
void
pup_init(struct pup *p, struct sim *sim, uint16_t port, uint16_t cport, bool v6)
{
	struct sim_host *me = &sim->host[1], *it = &sim->host[0];

	memset(p, 0, sizeof(*p));
	p->sim = sim;
	sim->steal = true;
	p->out.v6 = v6;
	tcp_key_set(&p->out.s.key, v6 ? &me->v6 : &me->v4, cport, v6 ? &it->v6 : &it->v4, port);
	p->seq = 1000000;
	p->wnd = 65535;
	p->tsval = 5000;
}

void
pup_send_at(struct pup *p, uint32_t seq, uint8_t flags, uint32_t len)
{
	struct sim_pkt *o = &p->out;

	o->s.seq = seq;
	o->s.ack = flags & F_ACK ? p->ack : 0;
	o->s.flags = flags;
	o->s.wnd = p->wnd;
	o->s.len = (uint16_t)len;
	if (!(flags & F_SYN))
		o->s.opts = p->ts ? TCP_OPT_TS : 0;
	o->s.tsval = p->tsval;
	o->s.tsecr = p->tsecr;
	for (uint32_t i = 0; i < len; i++)
		o->payload[i] = pattern(seq - 1000001 + i); // behind the SYN of pup_init()
	sim_inject(p->sim, 1, o);
	o->s.nsack = 0;
	if (sim_step(p->sim) < 0)
		fail_msg("%s", p->sim->why);
}

void
pup_send(struct pup *p, uint8_t flags, uint32_t len)
{
	uint32_t seq = p->seq;

	p->seq += len + !!(flags & F_SYN) + !!(flags & F_FIN);
	pup_send_at(p, seq, flags, len);
}

bool
pup_next(struct pup *p, uint64_t us)
{
	uint64_t end = p->sim->now_us + us;
	bool found;

	while (!(found = sim_take(p->sim, &p->in)) && p->sim->now_us < end) {
		p->sim->until_us = end;
		if (sim_step(p->sim) < 0)
			fail_msg("%s", p->sim->why);
		p->sim->until_us = 0;
	}
	if (found && (p->in.s.opts & TCP_OPT_TS))
		p->tsecr = p->in.s.tsval;
	return found;
}

void
pup_expect_(struct pup *p, uint8_t flags, uint32_t len, uint64_t us, int line)
{
	if (!pup_next(p, us))
		fail_msg("line %d: nothing came", line);
	if ((p->in.s.flags & ~F_PSH) != flags || p->in.s.len != len)
		fail_msg("line %d: flags %02x len %u, expected %02x %u", line, p->in.s.flags,
			p->in.s.len, flags, len);
}

void
pup_connect(
	struct pup *p, struct sim *sim, uint16_t port, uint16_t cport, uint8_t opts, uint16_t mss)
{
	pup_init(p, sim, port, cport, false);
	p->out.s.mss = mss;
	p->out.s.opts = opts;
	p->out.s.wscale = 0;
	pup_send(p, F_SYN, 0);
	pup_expect(p, F_SYN | F_ACK, 0, 100 * MS);
	assert_int_equal(p->in.s.ack, p->seq);
	p->ack = p->in.s.seq + 1;
	p->ts = (opts & TCP_OPT_TS) != 0;
	p->tsval++;
	pup_send(p, F_ACK, 0);
}

void
pup_syn(struct pup *p, struct sim *sim)
{
	pup_init(p, sim, 0, 0, false);
	pup_expect(p, F_SYN, 0, 100 * MS);
	p->out.v6 = p->in.v6;
	memcpy(p->out.s.key.l, p->in.s.key.r, 16);
	memcpy(p->out.s.key.r, p->in.s.key.l, 16);
	p->out.s.key.lport = p->in.s.key.rport;
	p->out.s.key.rport = p->in.s.key.lport;
	p->ack = p->in.s.seq + 1;
}

void
pup_accept(struct pup *p, struct sim *sim, uint8_t opts, uint16_t mss)
{
	pup_syn(p, sim);
	p->out.s.opts = opts;
	p->out.s.mss = mss;
	pup_send(p, F_SYN | F_ACK, 0);
	p->ts = (opts & TCP_OPT_TS) != 0;
	pup_expect(p, F_ACK, 0, 100 * MS);
	assert_int_equal(p->in.s.ack, p->seq);
}

void
case_passive(
	struct sim *sim, const struct tcp_conf *conf, struct ep *s, struct pup *p, uint8_t opts)
{
	case_open(sim, conf);
	ep_listen(sim, 0, 80, false, s);
	pup_connect(p, sim, 80, 4000, opts, 1460);
}

void
case_active(struct sim *sim, const struct tcp_conf *conf, struct ep *c, struct pup *p, uint8_t opts)
{
	case_open(sim, conf);
	assert_int_equal(ep_connect(sim, 0, 80, false, c), 0);
	pup_accept(p, sim, opts, 1460);
}
