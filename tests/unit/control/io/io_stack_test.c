// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control half of an lsock against a worker that the test plays: bytes both ways, full rings,
 * ends that cross; every block that was lent comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/io/io.h"

#define CONNS 700 // three messages each: more than the ring of 1024 takes

struct user {
	uint32_t connected, bytes, sent, closed;
	int err;
	struct io_conn *c;
	bool close_on_data;
};

struct fix {
	struct ev_loop *ev;
	struct lcore *lc;
	struct io_loop *l;
	struct user u[CONNS];
	uint32_t mute; // messages that the worker leaves in its ring
};

static void
on_connected(struct io_conn *c sl_unused, void *user)
{
	((struct user *)user)->connected++;
}

static void
on_data(struct io_conn *c, void *user, const void *p, uint32_t n)
{
	struct user *u = user;

	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(((const uint8_t *)p)[i], (uint8_t)(u->bytes + i));
	u->bytes += n;
	if (u->close_on_data) {
		io_close(c, true);
		u->c = NULL;
	}
}

static void
on_sent(struct io_conn *c sl_unused, void *user)
{
	((struct user *)user)->sent++;
}

static void
on_closed(struct io_conn *c sl_unused, void *user, int err)
{
	struct user *u = user;

	u->closed++;
	u->err = err;
	u->c = NULL;
}

static const struct io_handler handler = {
	.connected = on_connected,
	.data = on_data,
	.sent = on_sent,
	.closed = on_closed,
};

/* ---- the worker ---- */

static void
tell(struct fix *f, struct lsock *s, enum lsock_event e, uintptr_t w3)
{
	struct xmsg m = { .w = { XMSG_SOCK_EVENT, (uintptr_t)s, e, w3 } };

	assert_true(xring_push(&f->lc->main.from, &m));
}

static void
give_all(struct fix *f, struct lsock *s)
{
	for (; s->nout > 0; s->nout--)
		tell(f, s, LSOCK_SENT, (uintptr_t)s->out[s->nout - 1]);
	for (; s->ncredit > 0; s->ncredit--) {
		s->credit[s->ncredit - 1]->len = 0;
		tell(f, s, LSOCK_DATA, (uintptr_t)s->credit[s->ncredit - 1]);
	}
}

/* Up to n messages, as lsock.c answers them; a connection opens at once. */
static uint32_t
work(struct fix *f, uint32_t n)
{
	uint32_t done = 0;
	struct xmsg m;

	for (; done < n && xring_pop(&f->lc->main.to, &m); done++) {
		struct lsock *s = (struct lsock *)(uintptr_t)m.w[1];
		struct lsock_block *b = (struct lsock_block *)(uintptr_t)m.w[2];

		switch (m.w[0]) {
		case XMSG_SOCK_OPEN:
			s->connected = true;
			tell(f, s, LSOCK_CONNECTED, 0);
			break;
		case XMSG_SOCK_SEND:
			if (s->dead) {
				tell(f, s, LSOCK_SENT, (uintptr_t)b);
				break;
			}
			assert_true(s->nout < LSOCK_OUT);
			s->out[s->nout++] = b;
			break;
		case XMSG_SOCK_CREDIT:
			if (s->dead) {
				b->len = 0;
				tell(f, s, LSOCK_DATA, (uintptr_t)b);
				break;
			}
			assert_true(s->ncredit < LSOCK_CREDIT);
			s->credit[s->ncredit++] = b;
			break;
		case XMSG_SOCK_CLOSE:
			s->dead = true;
			give_all(f, s);
			tell(f, s, LSOCK_GONE, 0);
			break;
		default:
			fail_msg("message %d", (int)m.w[0]);
		}
	}
	return done;
}

static void
die(struct fix *f, struct lsock *s, int err)
{
	s->dead = true;
	give_all(f, s);
	tell(f, s, LSOCK_CLOSED, (uintptr_t)err);
}

static void
data(struct fix *f, struct lsock *s, uint32_t from, uint32_t n)
{
	struct lsock_block *b;

	assert_true(s->ncredit > 0);
	b = s->credit[--s->ncredit];
	b->len = n;
	for (uint32_t i = 0; i < n; i++)
		b->data[i] = (uint8_t)(from + i);
	tell(f, s, LSOCK_DATA, (uintptr_t)b);
}

static struct lsock *
sock_of(struct io_conn *c)
{
	return (struct lsock *)c; // the first member
}

static void
turn(struct fix *f)
{
	ev_run(f->ev, EVRUN_NOWAIT);
}

static void
open_all(struct fix *f, uint32_t n)
{
	struct ip_port to = { .port = 80 };

	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(io_connect(f->l, 0, &to, &handler, &f->u[i], &f->u[i].c), 0);
}

static void
assert_nothing_lent(struct fix *f)
{
	struct io_stats st;

	io_get_stats(f->l, &st);
	assert_int_equal(st.blocks, 0);
	assert_int_equal(st.conns, 0);
	assert_int_equal(st.waiting, 0);
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct lcore_spec s = { .nlcores = 1, .socket = -1 };

	f->ev = ev_loop_new(0);
	f->lc = lcore_new(&s);
	assert_non_null(f->lc);
	f->l = io_loop_new(f->ev, &f->lc, 1, IO_PAIR_MAIN, CONNS);
	assert_non_null(f->l);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	io_loop_free(f->l);
	lcore_free(f->lc);
	ev_loop_destroy(f->ev);
	free(f);
	return 0;
}

static void
test_exchange(void **state)
{
	struct fix *f = *state;
	static uint8_t text[IO_SEND_MAX + 1];
	struct user *u = &f->u[0];
	struct lsock *s;

	open_all(f, 1);
	work(f, 99);
	turn(f);
	assert_int_equal(u->connected, 1);
	s = sock_of(u->c);
	assert_int_equal(io_send(u->c, text, IO_SEND_MAX + 1), -ENOSPC);
	assert_int_equal(io_send(u->c, text, IO_SEND_MAX), 0);
	assert_int_equal(io_send(u->c, text, 1), -ENOSPC);
	work(f, 99);
	assert_int_equal(s->nout, LSOCK_OUT);
	give_all(f, s);
	turn(f);
	assert_int_equal(u->sent, 1);
	work(f, 99); // credit that came back unused is not lent again
	assert_int_equal(s->ncredit, 0);
	io_close(u->c, false);
	work(f, 99);
	turn(f);
	assert_int_equal(u->closed, 0); // the user closed: nobody tells him
	assert_nothing_lent(f);
}

static void
test_data_and_end(void **state)
{
	struct fix *f = *state;
	struct user *u = &f->u[0];
	struct lsock *s;

	open_all(f, 1);
	work(f, 99);
	s = sock_of(u->c);
	for (int i = 0; i < 10; i++) {
		data(f, s, (uint32_t)i * 100, 100);
		turn(f);
		work(f, 99); // the block comes back as credit
	}
	assert_int_equal(u->bytes, 1000);
	tell(f, s, LSOCK_EOF, 0);
	turn(f);
	assert_int_equal(u->closed, 1);
	assert_int_equal(u->err, 0);
	work(f, 99);
	turn(f);
	assert_nothing_lent(f);
}

/* The worker's end and the user's end meet; a close inside the data callback. */
static void
test_crossing(void **state)
{
	struct fix *f = *state;

	open_all(f, 3);
	work(f, 99);
	turn(f);
	die(f, sock_of(f->u[0].c), ECONNRESET);
	io_close(f->u[0].c, false); // before CLOSED is read
	f->u[1].close_on_data = true;
	data(f, sock_of(f->u[1].c), 0, 10);
	die(f, sock_of(f->u[1].c), 0);
	die(f, sock_of(f->u[2].c), ECONNREFUSED);
	for (int i = 0; i < 3; i++) {
		turn(f);
		work(f, 99);
	}
	turn(f);
	assert_int_equal(f->u[0].closed, 0);
	assert_int_equal(f->u[1].closed, 0);
	assert_int_equal(f->u[1].bytes, 10);
	assert_int_equal(f->u[2].closed, 1);
	assert_int_equal(f->u[2].err, ECONNREFUSED);
	assert_nothing_lent(f);
}

/* More messages than the ring takes: they wait in order, none is lost. */
static void
test_full_ring(void **state)
{
	struct fix *f = *state;
	struct ip_port to = { .port = 80 };
	struct io_stats st;
	struct io_conn *c;

	open_all(f, CONNS);
	assert_int_equal(io_connect(f->l, 0, &to, &handler, NULL, &c), -EAGAIN);
	io_get_stats(f->l, &st);
	assert_int_equal(st.conns, CONNS);
	assert_true(st.ring_full > 0);
	assert_int_equal(st.waiting, CONNS * 3 - 1024);
	for (int i = 0; i < 20000 && st.waiting > 0; i++) {
		work(f, 100);
		ev_run(f->ev, EVRUN_ONCE); // the retry timer: a millisecond
		io_get_stats(f->l, &st);
	}
	work(f, UINT32_MAX);
	turn(f);
	for (int i = 0; i < CONNS; i++) {
		assert_int_equal(f->u[i].connected, 1);
		io_close(f->u[i].c, true);
	}
	for (int i = 0; i < 10; i++) {
		work(f, 300);
		turn(f);
	}
	work(f, UINT32_MAX);
	turn(f);
	assert_nothing_lent(f);
}

/* The loop goes while workers still hold blocks, in rings and in lsocks: the sanitizer looks. */
static void
test_free_in_flight(void **state)
{
	struct fix *f = *state;

	open_all(f, CONNS);
	work(f, 20);
	for (int i = 0; i < 4; i++)
		assert_int_equal(io_send(f->u[i].c, "hello", 5), 0);
	work(f, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_exchange, setup, teardown),
		cmocka_unit_test_setup_teardown(test_data_and_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crossing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_in_flight, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
