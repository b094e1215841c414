// SPDX-License-Identifier: BSD-3-Clause
/*
 * The io thread: it sleeps, is woken by each kind of ring, and takes calls from several threads.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "control/io/io.h"

#define ROUNDS  2000
#define CALLERS 4

struct fix {
	struct lcore *lc[2];
	struct io_thread *t;
	struct io_loop *l;
	struct xring ring; // of a source: this thread -> io
	struct xmsg slots[16];
	struct io_source src;
	_Atomic(uint32_t) from_ring, from_worker[2];
	_Atomic(bool) race; // somebody pushes and wakes just when the loop looks before its sleep
	uint32_t calls; // on the io thread only
	pthread_t io;
};

static void
drain(void *ctx)
{
	struct fix *f = ctx;
	struct xmsg m;

	while (xring_pop(&f->ring, &m))
		atomic_fetch_add(&f->from_ring, 1);
}

static bool
waits(const void *ctx)
{
	struct fix *f = (struct fix *)(uintptr_t)ctx;
	struct xmsg m = { .w = { XMSG_STOP } };

	if (atomic_exchange(&f->race, false)) {
		xring_push(&f->ring, &m);
		waker_wake(io_loop_waker(f->l));
	}
	return xring_count(&((const struct fix *)ctx)->ring) > 0;
}

static void
on_message(void *ctx, uint16_t w, const struct xmsg *m)
{
	struct fix *f = ctx;

	if (m->w[1] == w)
		atomic_fetch_add(&f->from_worker[w], 1);
}

static void
attach(struct io_loop *l, void *ctx)
{
	struct fix *f = ctx;

	f->l = l;
	f->io = pthread_self();
	f->src = (struct io_source){ .drain = drain, .waits = waits, .ctx = f };
	io_source_add(l, &f->src);
	io_loop_handle(l, XMSG_STOP, on_message, f);
}

static void
detach(struct io_loop *l, void *ctx)
{
	io_source_del(&((struct fix *)ctx)->src);
	io_loop_handle(l, XMSG_STOP, NULL, NULL);
}

/* Waits for the event, for as long as a loaded machine may need. */
static void
await(_Atomic(uint32_t) *n, uint32_t want)
{
	for (int i = 0; i < 200000 && atomic_load(n) < want; i++) {
		struct timespec ts = { .tv_nsec = 50000 };

		nanosleep(&ts, NULL);
	}
	assert_int_equal(atomic_load(n), want);
}

static int
setup(void **state)
{
	struct fix *f =
		aligned_alloc(SL_CACHE_LINE, SL_ALIGN_UP(sizeof(*f), (size_t)SL_CACHE_LINE));
	struct lcore_spec s = { .nlcores = 2, .socket = -1 };
	struct io_thread_spec spec = { .lc = f->lc, .n = 2, .max_conns = 4 };

	memset(f, 0, sizeof(*f));
	xring_init(&f->ring, f->slots, SL_ARRAY_SIZE(f->slots));
	for (s.id = 0; s.id < 2; s.id++) {
		f->lc[s.id] = lcore_new(&s);
		assert_non_null(f->lc[s.id]);
	}
	assert_int_equal(io_thread_start(&spec, &f->t), 0);
	io_thread_run(f->t, attach, f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	io_thread_run(f->t, detach, f);
	io_thread_stop(f->t);
	lcore_free(f->lc[0]);
	lcore_free(f->lc[1]);
	free(f);
	return 0;
}

/* One message at a time, after the thread may have gone to sleep: none is slept over. */
static void
test_wakes(void **state)
{
	struct fix *f = *state;

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		struct xmsg m = { .w = { XMSG_STOP, i & 1 } };
		struct lcore *lc = f->lc[i & 1];

		assert_true(xring_push(&lc->io.from, &m));
		lc->io.dirty = true;
		lcore_wake_peers(lc);
		await(&f->from_worker[i & 1], (i + 1) / 2);
		if ((i & 1) != 0)
			continue;
		assert_true(xring_push(&f->ring, &m));
		waker_wake(io_loop_waker(f->l));
		await(&f->from_ring, i / 2);
	}
}

/* Told between its flag and its last look: the loop must not sleep with the flag down. */
static void
test_race(void **state)
{
	struct fix *f = *state;

	for (uint32_t i = 1; i <= 20; i++) {
		struct xmsg m = { .w = { XMSG_STOP } };

		atomic_store(&f->race, true);
		waker_wake(io_loop_waker(f->l)); // a round
		await(&f->from_ring, 2 * i - 1);
		for (int k = 0; k < 20; k++) { // it may sleep now
			struct timespec ts = { .tv_nsec = 50000 };

			nanosleep(&ts, NULL);
		}
		assert_true(xring_push(&f->ring, &m));
		waker_wake(io_loop_waker(f->l));
		await(&f->from_ring, 2 * i);
	}
}

static void
count(struct io_loop *l, void *ctx)
{
	struct fix *f = ctx;

	f->calls++; // TSan looks
	assert_ptr_equal(l, f->l);
	assert_true(pthread_equal(pthread_self(), f->io));
}

static void *
caller(void *ctx)
{
	struct fix *f = ctx;

	for (int i = 0; i < ROUNDS; i++)
		io_thread_run(f->t, count, f);
	return NULL;
}

static void
test_calls(void **state)
{
	struct fix *f = *state;
	pthread_t tid[CALLERS];

	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&tid[i], NULL, caller, f), 0);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(tid[i], NULL);
	assert_int_equal(f->calls, CALLERS * ROUNDS);
}

static void
stray(struct io_loop *l, void *ctx)
{
	io_get_stats(l, ctx);
}

/* A message that nobody handles is counted; one to a worker waits for room in order. */
static void
test_messages(void **state)
{
	struct fix *f = *state;
	struct xmsg m = { .w = { XMSG_CALL, 1 } };
	struct io_stats st = { 0 };

	assert_true(xring_push(&f->lc[0]->io.from, &m));
	f->lc[0]->io.dirty = true;
	lcore_wake_peers(f->lc[0]);
	for (int i = 0; i < 200000 && st.stray == 0; i++)
		io_thread_run(f->t, stray, &st);
	assert_int_equal(st.stray, 1);
	assert_true(io_thread_cpu_us(f->t) > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_race, setup, teardown),
		cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
