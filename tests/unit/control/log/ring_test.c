// SPDX-License-Identifier: BSD-3-Clause
/*
 * A ring keeps the newest lines; who only looks is told what it missed; what a server waits for is not
 * overwritten, and each line is sent or counted, over connections that break.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/log/log_priv.h"

static int told;

static void
on_more(void *ctx sl_unused)
{
	told++;
}

static struct ring_reader
reader(bool holds)
{
	return (struct ring_reader){ .holds = holds, .more = on_more };
}

static void
push(struct ring *r, int i)
{
	char line[32];

	ring_push(r, line, (uint32_t)snprintf(line, sizeof(line), "line %d", i));
}

/* The number in the next line; -1: none. */
static int
next(struct ring_reader *x)
{
	char line[32] = "";
	int i = -1;

	if (ring_peek(x, x->at, line, sizeof(line) - 1) == 0)
		return -1;
	x->at = ring_after(x, x->at);
	assert_int_equal(sscanf(line, "line %d", &i), 1);
	return i;
}

static void
test_newest(void **state sl_unused)
{
	struct ring *r =
		ring_new(SL_STR("r"), 100); // nine lines of 7 and 4 bytes, wherever they wrap
	struct ring_reader a = reader(false), b = reader(false);

	ring_attach(r, &a, false);
	for (int i = 10; i < 99; i++) {
		push(r, i);
		if (i % 3 == 0)
			continue;
		while (a.at != r->head)
			assert_true(next(&a) >= i - 1);
	}
	assert_int_equal(a.missed, 0);
	ring_attach(r, &b, false);
	assert_int_equal(next(&b), 90);
	for (int i = 99; i < 109; i++)
		push(r, i);
	assert_int_equal(a.missed, 2); // 101 to 108 are left
	assert_int_equal(r->dropped, 0);
	told = 0;
	ring_tell(r);
	ring_tell(r);
	assert_int_equal(told, 2);
	ring_free(r); // both readers lose it
	assert_true(a.ring == NULL && b.ring == NULL);
	assert_int_equal(told, 4);
	assert_int_equal(next(&a), -1);
}

static void
test_held(void **state sl_unused)
{
	struct ring *r = ring_new(SL_STR("r"), 100);
	struct ring_reader a = reader(true), b = reader(false);

	ring_attach(r, &a, false);
	ring_attach(r, &b, true);
	for (int i = 10; i < 30; i++)
		push(r, i);
	assert_int_equal(r->lines, 9);
	assert_int_equal(r->dropped, 11);
	assert_int_equal(next(&a), 10);
	push(r, 30); // in place of what was read
	assert_int_equal(b.missed, 1);
	assert_int_equal(ring_resize(r, 50), -EBUSY);
	assert_int_equal(ring_resize(r, 200), 0);
	push(r, 31);
	for (int i = 11; i < 19; i++)
		assert_int_equal(next(&a), i);
	assert_int_equal(next(&a), 30);
	assert_int_equal(next(&a), 31);
	assert_int_equal(next(&a), -1);
	assert_int_equal(ring_resize(r, 50), 0); // the newest four are left
	assert_int_equal(next(&b), 17);
	assert_int_equal(a.missed, 0);
	ring_push(r, "a line that is longer than all of the ring, which it cannot hold", 64);
	assert_int_equal(r->dropped, 12);
	ring_detach(&a);
	ring_free(r);
}

/* ---- a server ---- */

static int
listen_at(struct host_sock *hs)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(un.sun_path, hs->name, hs->len);
	assert_int_equal(bind(fd, (struct sockaddr *)&un,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + hs->len)),
		0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int
has_input(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms);
}

/* Takes what comes until the loop brings nothing more, at most max bytes; how many lines end in it. */
static int
take(struct ev_loop *ev, struct ring *r, int fd, size_t max, int *last)
{
	static char buf[65536];
	static size_t part; // of a line that is not whole
	int lines = 0;
	ssize_t n;

	for (;;) {
		forward_flush(r, 0);
		ev_run(ev, EVRUN_NOWAIT);
		if (max == 0 || has_input(fd, 0) <= 0)
			return lines;
		n = recv(fd, buf + part, sl_min(max, sizeof(buf) - part), 0);
		assert_true(n > 0);
		max -= (size_t)n;
		part += (size_t)n;
		for (char *end; (end = memchr(buf, '\n', part)) != NULL; lines++) {
			assert_int_equal(sscanf(buf, "line %d", last), 1);
			part -= (size_t)(end + 1 - buf);
			memmove(buf, end + 1, part);
		}
	}
}

static void
test_server(void **state sl_unused)
{
	static struct host_sock hs = { .fd = -1, .name = "\0sluice-ring-test", .len = 17 };
	struct ring_server s = { .name = SL_STR("s"),
		.addr = { .ip.family = ADDR_UNIX, .host = true } };
	struct ring_conf c = { .server = &s, .nservers = 1, .server_ms = 60000 };
	struct ring *r = ring_new(SL_STR("r"), 65536);
	struct ev_loop *ev = ev_loop_new(0);
	int l = listen_at(&hs), fd, n = 0, last = 0, total = 60000;

	signal(SIGPIPE, SIG_IGN);
	s.addr.ip.q[0] = (uintptr_t)&hs;
	forward_set(r, ev, &c);
	fd = accept(l, NULL, NULL);
	forward_set(r, ev, &c); // the same one: no other connection
	assert_int_equal(has_input(l, 0), 0);
	for (int i = 0; i < total; i++) {
		push(r, i);
		if (i % 1000 == 999)
			n += take(ev, r, fd, 3000, &last);
	}
	assert_true(r->dropped > 0); // it was too slow
	n += take(ev, r, fd, SIZE_MAX, &last);
	assert_int_equal(n + (int)r->dropped, total);
	// what did not leave comes over another connection, a second later
	close(fd);
	for (int i = 0; i < 100; i++)
		push(r, i);
	take(ev, r, fd, 0, &last);
	while (has_input(l, 0) == 0)
		ev_run(ev, EVRUN_ONCE);
	fd = accept(l, NULL, NULL);
	assert_int_equal(take(ev, r, fd, SIZE_MAX, &last), 100);
	assert_int_equal(last, 99);
	close(fd);
	total = (int)r->dropped;
	push(r, 7);
	push(r, 8);
	forward_set(r, ev, NULL); // whoever waited for them is no more
	assert_int_equal(r->dropped, total + 2);
	ring_free(r);
	ev_loop_destroy(ev);
	close(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newest),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
