// SPDX-License-Identifier: BSD-3-Clause
/*
 * The receive buffer follows the reader: who reads slowly holds little, who keeps up gets what the path
 * needs, and who stops keeping up gets less again.
 */
#include "tests/sim/peer.h"

#define START (1u << TCP_RCV_SHIFT)
#define MB    (1u << 20)

static struct sim sim;
static struct ep client, server;
static uint32_t most;  // ever unread at the server
static uint32_t bite;  // what the server reads of it at once; 0: nothing
static uint64_t every; // so often, us
static uint64_t next;

/* The client always has something to send, the server reads by the bite. */
static void
app(struct sim *s, int host)
{
	uint32_t n;

	if (host == 0 && client.tc != NULL) {
		n = tcp_send_space(client.tc) / tcp_mss(client.tc) * tcp_mss(client.tc);
		if (n > 0)
			ep_send(&client, n);
	} else if (host == 1 && server.tc != NULL) {
		n = tcp_rx(server.tc)->len;
		most = sl_max(most, n);
		if (bite > 0 && n > 0 && s->now_us >= next) {
			tcp_rx_drop(s->host[1].lc, server.tc, bite);
			next = s->now_us + every;
		}
	}
}

static void
start(uint32_t rcv_buf)
{
	struct tcp_conf conf;

	sim_conf(&conf);
	conf.rcv_buf = rcv_buf;
	conf.snd_buf = 4 * MB;
	case_open(&sim, &conf);
	client = (struct ep){ 0 };
	server = (struct ep){ .hold = true };
	sim.link[0].delay_us = sim.link[1].delay_us = 20000;
	pair(&sim, false, &client, &server);
	sim.app = app;
	most = 0;
	next = 0;
}

static void
finish(void)
{
	sim.app = NULL;
	ep_abort(&client);
	run(&sim, 1 * SEC);
	case_close(&sim);
}

/* A reader of 100 kB/s, and one that does not read at all: 256 KiB wait, not 2 MiB. */
static void
test_slow_reader(void **state)
{
	(void)state;
	for (int reads = 0; reads < 2; reads++) {
		start(2 * MB);
		bite = reads ? 10000 : 0;
		every = 100 * MS;
		run(&sim, 60 * SEC);
		assert_in_range(most, START / 2, START + 127); // the field's unit
		assert_int_equal(server.tc->rcv_step, 0);
		finish();
	}
}

/* A path of 40 ms and a reader that keeps up: the window opens to what is allowed. */
static void
test_fast_reader(void **state)
{
	(void)state;
	start(2 * MB);
	bite = UINT32_MAX;
	every = 0;
	run(&sim, 3 * SEC);
	assert_int_equal(tcp_rcv_buf(sim.host[1].lc, server.tc), 2 * MB);
	// and is used: more than the first buffer is on its way
	assert_true(client.tc->snd_nxt - client.tc->snd_una > 2 * START);
	finish();
}

/* The setting is the limit, below the first size and between two. */
static void
test_limit(void **state)
{
	(void)state;
	for (uint32_t buf = 100000; buf < MB; buf *= 4) {
		start(buf);
		bite = UINT32_MAX;
		every = 0;
		run(&sim, 2 * SEC);
		assert_int_equal(tcp_rcv_buf(sim.host[1].lc, server.tc), buf);
		bite = 0;
		run(&sim, 5 * SEC);
		assert_true(most <= buf + 127);
		finish();
	}
}

/* It kept up, and then does no more: the buffer shrinks with what he reads, the edge never moves back. */
static void
test_reader_slows_down(void **state)
{
	(void)state;
	start(2 * MB);
	bite = UINT32_MAX;
	every = 0;
	run(&sim, 3 * SEC);
	assert_int_equal(server.tc->rcv_step, 3);
	bite = 60000;
	every = 20 * MS;
	run(&sim, 20 * SEC);
	assert_int_equal(server.tc->rcv_step, 0);
	assert_true(tcp_rx(server.tc)->len <= START); // what he had been allowed is read
	most = 0;
	run(&sim, 5 * SEC);
	assert_true(most <= START + 127);
	finish();
}

static uint32_t edge; // the right one, as the wire has seen it

static bool
watch(struct sim *s, int from, const struct sim_pkt *p)
{
	uint32_t at = p->s.ack + ((uint32_t)p->s.wnd << 6);

	(void)s;
	if (from == 0) {
		assert_true(seq_gt(at + 64, edge)); // it may seem to go back by less than a unit
		edge = seq_max(edge, at);
	}
	return true;
}

/* Nobody reads, and the peer sends always less than the field's unit, so that each ACK has to be rounded. */
static void
creep(struct ep *s, struct pup *p)
{
	uint32_t left;

	edge = s->tc->rcv_nxt;
	sim.tap = watch;
	while ((left = s->tc->rcv_adv - s->tc->rcv_nxt) > 64) {
		pup_send(p, F_ACK, sl_min(left - 64, 1448u));
		sim.nstolen = 0;
	}
	for (int i = 0; i < 10000; i++) {
		p->seq = s->tc->rcv_nxt; // but for what was refused
		pup_send_at(p, p->seq, F_ACK, 63);
		pup_send_at(p, p->seq - 63, F_ACK, 63); // wants an ACK
		sim.nstolen = 0;
	}
	p->seq = s->tc->rcv_nxt;
}

/* The edge does not creep on, neither beyond the buffer nor, when memory is scarce, beyond its share. */
static void
test_edge_creeps(void **state)
{
	(void)state;
	for (int scarce = 0; scarce < 2; scarce++) {
		uint32_t least = scarce ? 65535 : START;
		struct ep s = { .hold = true };
		struct tcp_conf conf;
		struct pup p;

		sim_conf(&conf);
		conf.rcv_buf = 2 * MB;
		case_passive(&sim, &conf, &s, &p, TCP_OPT_WSCALE);
		assert_int_equal(s.tc->rcv_scale, 6);
		if (scarce) // an eighth of it is what the SYN said
			sim.host[0].lc->retain_max = MB / 2;
		creep(&s, &p);
		assert_int_equal(s.tc->rcv_step, 0);
		assert_in_range(tcp_rx(s.tc)->len, least, least + least / 8 + 64);
		// what it takes is what it offered, and the window opens again
		s.hold = false;
		ep_read(&s);
		assert_true(s.got >= least);
		pup_expect(&p, F_ACK, 0, 10 * MS);
		assert_true((uint32_t)p.in.s.wnd << 6 >= least - 64);
		pup_send(&p, F_ACK, 1000);
		assert_int_equal(s.tc->rcv_nxt, p.seq);
		assert_false(s.wrong);
		sim.tap = NULL;
		case_close(&sim);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_fast_reader),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_reader_slows_down),
		cmocka_unit_test(test_edge_creeps),
	};
	return cmocka_run_group_tests(tests, group_start, group_stop);
}
