// SPDX-License-Identifier: BSD-3-Clause
/*
 * The worker's half of a connection that a control thread drives, over a fake transport: bytes both
 * ways, the order of what is told, a ring without room, orderly and hard ends. Every block that was
 * lent comes back, once, before the last event.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_mempool.h>

#include "dataplane/conn/lsock.h"
#include "tests/harness/eal.h"
#include "tests/harness/fake_conn.h"

#define BLOCKS 24

static struct lcore *lc;
static struct fake_net net;
static enum fake_answer answer;
static struct lsock ls;
static struct lsock_block block[BLOCKS];
static bool lent[BLOCKS];

/* What lsock.c asks the stack for; the library with the real one is not linked here. */
int
conn_connect(struct lcore *l, const struct ip_port *to, const struct ip_port *from,
	const struct conn_handler *h, void *user, struct conn **out)
{
	return fake_transport.connect(l, to, from, h, user, out);
}

static enum fake_answer
on_connect(struct fake_net *n sl_unused, const struct ip_port *to sl_unused)
{
	return answer;
}

static int
group_setup(void **state sl_unused)
{
	struct lcore_spec spec = {
		.nlcores = 1, .socket = -1, .npx = 1, .nbind = 1, .nsrv = 1, .pool_size = 511
	};

	if (test_eal_start() < 0)
		return -1;
	spec.pool = test_pool_new("lsock", spec.pool_size);
	if (spec.pool == NULL)
		return -1;
	lc = lcore_new(&spec);
	return lc != NULL ? 0 : -1;
}

static void
send(enum xmsg_type type, uint64_t w2)
{
	struct xmsg m = { .w = { type, (uintptr_t)&ls, w2, 0 } };

	lsock_message(lc, &m);
}

static void
lend(enum xmsg_type type, uint32_t i, const char *text, uint32_t n)
{
	assert_false(lent[i]);
	lent[i] = true;
	block[i].len = n;
	if (text != NULL)
		memcpy(block[i].data, text, n);
	send(type, (uintptr_t)&block[i]);
}

static int
setup(void **state sl_unused)
{
	memset(&ls, 0, sizeof(ls));
	memset(lent, 0, sizeof(lent));
	lcore_set_clock(lc, 1000000, 1000000);
	wheel_init(&lc->wheel, lc->now);
	fake_net_init(&net, lc);
	net.on_connect = on_connect;
	answer = FAKE_ACCEPT;
	return 0;
}

/* The next event, -1: none. A block that comes with it is no longer lent; its index in *i. */
static int
told(uint32_t *i)
{
	struct xmsg m;

	if (!xring_pop(&lc->main.from, &m))
		return -1;
	assert_int_equal(m.w[0] & 0xffff, XMSG_SOCK_EVENT);
	assert_ptr_equal((void *)(uintptr_t)m.w[1], &ls);
	if (m.w[2] == LSOCK_SENT || m.w[2] == LSOCK_DATA) {
		*i = (uint32_t)((struct lsock_block *)(uintptr_t)m.w[3] - block);
		assert_in_range(*i, 0, BLOCKS - 1);
		assert_true(lent[*i]);
		lent[*i] = false;
	} else {
		*i = (uint32_t)m.w[3];
	}
	return (int)m.w[2];
}

static void
want(enum lsock_event e)
{
	uint32_t i;

	assert_int_equal(told(&i), (int)e);
}

static int
teardown(void **state sl_unused)
{
	uint32_t i;

	while (told(&i) >= 0)
		;
	for (i = 0; i < BLOCKS; i++)
		assert_false(lent[i]);
	assert_null(lc->lsock_waiting);
	assert_int_equal(fake_net_fini(&net), 0);
	assert_int_equal(rte_mempool_in_use_count(lc->pool), 0);
	return 0;
}

static struct fake *
open_it(void)
{
	send(XMSG_SOCK_OPEN, 0);
	fake_run(&net);
	want(LSOCK_CONNECTED);
	return &net.conn[0];
}

static void
test_both_ways(void **state sl_unused)
{
	struct fake *f = open_it();
	uint32_t i;

	lend(XMSG_SOCK_SEND, 0, "hello ", 6);
	lend(XMSG_SOCK_SEND, 1, "world", 5);
	want(LSOCK_SENT);
	want(LSOCK_SENT);
	assert_int_equal(f->out_len, 11);
	assert_memory_equal(f->out, "hello world", 11);
	// without an empty block what arrives waits in the connection
	fake_give(f, "answer", 6);
	fake_run(&net);
	assert_int_equal(told(&i), -1);
	lend(XMSG_SOCK_CREDIT, 2, NULL, 0);
	assert_int_equal(told(&i), LSOCK_DATA);
	assert_int_equal(i, 2);
	assert_int_equal(block[2].len, 6);
	assert_memory_equal(block[2].data, "answer", 6);
	// the end is told behind the last bytes
	lend(XMSG_SOCK_CREDIT, 3, NULL, 0);
	fake_give(f, "!", 1);
	fake_fin(f);
	fake_run(&net);
	assert_int_equal(told(&i), LSOCK_DATA);
	assert_int_equal(block[i].len, 1);
	want(LSOCK_EOF);
	send(XMSG_SOCK_CLOSE, 0);
	want(LSOCK_GONE);
	assert_true(f->user_gone);
	assert_false(f->reset);
}

/* What was lent before an orderly end is sent, whatever room the connection says it has. */
static void
test_close_sends_all(void **state sl_unused)
{
	static char big[LSOCK_BLOCK];
	struct fake *f = open_it();

	memset(big, 'x', sizeof(big));
	f->stalled = true;
	net.window = 3000;
	for (uint32_t i = 0; i < 10; i++)
		lend(XMSG_SOCK_SEND, i, big, LSOCK_BLOCK);
	want(LSOCK_SENT);
	assert_true(f->out_len < 10 * LSOCK_BLOCK);
	send(XMSG_SOCK_CLOSE, 0);
	assert_int_equal(f->out_len, 10 * LSOCK_BLOCK);
	assert_true(f->user_gone);
	assert_false(f->reset);
	for (uint32_t i = 1; i < 10; i++)
		want(LSOCK_SENT);
	want(LSOCK_GONE);
}

/* Where that cannot be, the peer sees a reset, not half a message with an orderly end. */
static void
test_close_no_memory(void **state sl_unused)
{
	static char big[LSOCK_BLOCK];
	struct fake *f = open_it();

	f->stalled = true;
	net.window = 3000;
	for (uint32_t i = 0; i < 4; i++)
		lend(XMSG_SOCK_SEND, i, big, LSOCK_BLOCK);
	lc->mbuf_fail_in = 1;
	send(XMSG_SOCK_CLOSE, 0);
	lc->mbuf_fail_in = 0;
	assert_true(f->user_gone);
	assert_true(f->reset);
}

static void
test_abort(void **state sl_unused)
{
	struct fake *f = open_it();
	uint32_t i, back = 0;

	f->stalled = true;
	net.window = 10;
	for (i = 0; i < 3; i++)
		lend(XMSG_SOCK_SEND, i, "0123456789", 10);
	for (i = 3; i < 6; i++)
		lend(XMSG_SOCK_CREDIT, i, NULL, 0);
	send(XMSG_SOCK_CLOSE, 1);
	assert_true(f->reset);
	for (int e = told(&i); e != LSOCK_GONE; e = told(&i), back++)
		assert_in_range(e, LSOCK_DATA, LSOCK_SENT);
	assert_int_equal(back, 6);
	assert_int_equal(told(&i), -1);
}

/* Refused, and reset: the errno, after all blocks; what comes later goes straight back. */
static void
test_failures(void **state sl_unused)
{
	struct fake *f;
	uint32_t i;

	answer = FAKE_REFUSE;
	send(XMSG_SOCK_OPEN, 0);
	lend(XMSG_SOCK_SEND, 0, "x", 1);
	lend(XMSG_SOCK_CREDIT, 1, NULL, 0);
	fake_run(&net);
	want(LSOCK_SENT);
	assert_int_equal(told(&i), LSOCK_DATA);
	assert_int_equal(block[i].len, 0);
	assert_int_equal(told(&i), LSOCK_CLOSED);
	assert_int_equal(i, ECONNREFUSED);
	lend(XMSG_SOCK_SEND, 0, "x", 1);
	want(LSOCK_SENT);
	lend(XMSG_SOCK_CREDIT, 1, NULL, 0);
	want(LSOCK_DATA);
	send(XMSG_SOCK_CLOSE, 0);
	want(LSOCK_GONE);

	memset(&ls, 0, sizeof(ls));
	answer = FAKE_ACCEPT;
	send(XMSG_SOCK_OPEN, 0);
	fake_run(&net);
	want(LSOCK_CONNECTED);
	f = &net.conn[1];
	fake_rst(f);
	fake_run(&net);
	assert_int_equal(told(&i), LSOCK_CLOSED);
	assert_int_equal(i, ECONNRESET);
	send(XMSG_SOCK_CLOSE, 0);
	want(LSOCK_GONE);

	// no source port: told at once
	memset(&ls, 0, sizeof(ls));
	answer = FAKE_NO_PORT;
	send(XMSG_SOCK_OPEN, 0);
	assert_int_equal(told(&i), LSOCK_CLOSED);
	assert_int_equal(i, EADDRNOTAVAIL);
	send(XMSG_SOCK_CLOSE, 0);
	want(LSOCK_GONE);
}

/* Closed before the handshake ended: nothing is sent, nothing is kept. */
static void
test_close_connecting(void **state sl_unused)
{
	answer = FAKE_SILENT;
	send(XMSG_SOCK_OPEN, 0);
	lend(XMSG_SOCK_SEND, 0, "x", 1);
	send(XMSG_SOCK_CLOSE, 0);
	want(LSOCK_SENT);
	want(LSOCK_GONE);
	assert_true(net.conn[0].user_gone);
}

/* Without room in the ring nothing is lost, and the order holds. */
static void
test_full_ring(void **state sl_unused)
{
	struct xmsg filler = { .w = { XMSG_SOCK_EVENT, 0, 0, 0 } }, m;
	struct fake *f = open_it();
	uint32_t i, n = 0;

	while (xring_push(&lc->main.from, &filler))
		n++;
	for (i = 0; i < 3; i++)
		lend(XMSG_SOCK_CREDIT, i, NULL, 0);
	fake_give(f, "abc", 3);
	fake_fin(f);
	fake_run(&net);
	assert_ptr_equal(lc->lsock_waiting, &ls);
	send(XMSG_SOCK_CLOSE, 0);
	lsock_retry(lc);
	assert_ptr_equal(lc->lsock_waiting, &ls);
	for (i = 0; i < n; i++)
		assert_true(xring_pop(&lc->main.from, &m));
	lsock_retry(lc);
	assert_null(lc->lsock_waiting);
	assert_int_equal(told(&i), LSOCK_DATA);
	assert_int_equal(block[i].len, 3);
	want(LSOCK_DATA);
	want(LSOCK_DATA);
	want(LSOCK_EOF);
	want(LSOCK_GONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_sends_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abort, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_connecting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_ring, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
