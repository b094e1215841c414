// SPDX-License-Identifier: BSD-3-Clause
/* Rings between two threads, the mesh's room for what must come home, wakers, epochs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "dataplane/lcore/lcore.h"

#define COUNT 300000u

static struct xring ring;
static struct xmsg slots[64];

static void *
producer(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < COUNT;) {
		struct xmsg m = { { i, ~i, i * 3, i ^ 0x5555 } };
		if (xring_push(&ring, &m))
			i++;
		else
			sched_yield();
	}
	return NULL;
}

static void
two_threads(void **state)
{
	pthread_t t;
	struct xmsg m;

	(void)state;
	xring_init(&ring, slots, 64);
	assert_int_equal(pthread_create(&t, NULL, producer, NULL), 0);
	for (uint64_t i = 0; i < COUNT;) {
		if (!xring_pop(&ring, &m)) {
			sched_yield();
			continue;
		}
		if (m.w[0] != i || m.w[1] != ~i || m.w[2] != i * 3 || m.w[3] != (i ^ 0x5555))
			fail_msg("message %llu is wrong", (unsigned long long)i);
		i++;
	}
	pthread_join(t, NULL);
	assert_false(xring_pop(&ring, &m));
}

static void
bounds(void **state)
{
	struct xmsg m = { { 0 } };

	(void)state;
	xring_init(&ring, slots, 64);
	// over the wrap of the counters
	atomic_store(&ring.head, UINT32_MAX - 30);
	atomic_store(&ring.tail, UINT32_MAX - 30);
	ring.head_seen = ring.tail_seen = UINT32_MAX - 30;
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 64; i++) {
			m.w[0] = i;
			assert_true(xring_push(&ring, &m));
		}
		assert_false(xring_push(&ring, &m));
		assert_int_equal(xring_count(&ring), 64);
		for (uint64_t i = 0; i < 64; i++) {
			assert_true(xring_pop(&ring, &m));
			assert_int_equal(m.w[0], i);
		}
		assert_false(xring_pop(&ring, &m));
	}
	assert_int_equal(ring.full, 3);
}

static struct lcore *
make(uint16_t id)
{
	struct lcore_spec s = { .id = id, .nlcores = 2, .nscripts = 1, .socket = -1, .npx = 2 };
	struct lcore *lc = lcore_new(&s);

	assert_non_null(lc);
	return lc;
}

/* However full the way there is, what was sent here can go home. */
static void
mesh_room(void **state)
{
	struct lcore *lc[2] = { make(0), make(1) };
	struct xmsg frame = { { XMSG_FRAME } }, home = { { XMSG_FRAME_HOME } },
		    want = { { XMSG_NEIGH_WANT } };
	uint32_t frames = 0, wants = 0;

	(void)state;
	assert_int_equal(lcore_mesh(lc, 2), 0);
	while (lcore_mesh_push(lc[0], 1, &frame))
		frames++;
	while (lcore_mesh_push(lc[0], 1, &want))
		wants++;
	assert_int_equal(frames, LCORE_MESH_FRAMES);
	assert_true(wants > 0);
	for (uint32_t i = 0; i < LCORE_MESH_FRAMES; i++)
		assert_true(lcore_mesh_push(lc[0], 1, &home));
	assert_false(lcore_mesh_push(lc[0], 0, &want)); // to itself
	assert_ptr_equal(lc[0]->worker[1].out, lc[1]->worker[0].in);
	assert_ptr_equal(lc[1]->worker[0].out, lc[0]->worker[1].in);
	lcore_unmesh(lc, 2);
	lcore_free(lc[0]);
	lcore_free(lc[1]);
}

static void
waking(void **state)
{
	struct lcore *lc[2] = { make(0), make(1) };
	struct xmsg want = { { XMSG_NEIGH_WANT } };
	uint64_t n;

	(void)state;
	assert_int_equal(lcore_mesh(lc, 2), 0);
	// awake: no write
	lcore_mesh_push(lc[0], 1, &want);
	lcore_wake_peers(lc[0]);
	assert_true(read(lc[1]->waker.fd, &n, sizeof(n)) < 0);
	// asleep: one, however many pushes
	waker_prepare(&lc[1]->waker);
	lcore_mesh_push(lc[0], 1, &want);
	lcore_mesh_push(lc[0], 1, &want);
	lcore_wake_peers(lc[0]);
	lcore_mesh_push(lc[0], 1, &want);
	lcore_wake_peers(lc[0]);
	waker_wait(&lc[1]->waker, UINT64_MAX); // returns, or the test hangs
	assert_false(atomic_load(&lc[1]->waker.asleep));
	assert_true(read(lc[1]->waker.fd, &n, sizeof(n)) < 0);
	// who was late for the sleep before ends one more, not all that follow
	n = 1;
	assert_int_equal(write(lc[1]->waker.fd, &n, sizeof(n)), sizeof(n));
	waker_prepare(&lc[1]->waker);
	waker_wait(&lc[1]->waker, UINT64_MAX);
	assert_false(atomic_load(&lc[1]->waker.asleep));
	assert_true(read(lc[1]->waker.fd, &n, sizeof(n)) < 0);
	lcore_unmesh(lc, 2);
	lcore_free(lc[0]);
	lcore_free(lc[1]);
}

static void
epochs(void **state)
{
	struct lcore *lc[2] = { make(0), make(1) };
	const struct model *a = (const struct model *)(uintptr_t)64,
			   *b = (const struct model *)(uintptr_t)128;
	uint64_t since[2];

	(void)state;
	epoch_publish(lc, 2, a);
	epoch_online(lc[0]);
	assert_ptr_equal(lc[0]->model, a);
	epoch_publish(lc, 2, b);
	epoch_snapshot(lc, 2, since);
	assert_false(epoch_passed(lc, 2, since)); // 0 may still look at a; 1 is offline
	assert_ptr_equal(lc[0]->model, a);
	epoch_quiescent(lc[0]);
	assert_ptr_equal(lc[0]->model, b);
	assert_true(epoch_passed(lc, 2, since));
	epoch_online(lc[1]);
	assert_ptr_equal(lc[1]->model, b);
	epoch_snapshot(lc, 2, since);
	epoch_quiescent(lc[0]);
	assert_false(epoch_passed(lc, 2, since));
	epoch_offline(lc[1]); // a nap is as good
	assert_true(epoch_passed(lc, 2, since));
	lcore_free(lc[0]);
	lcore_free(lc[1]);
}

static void
names(void **state)
{
	(void)state;
	for (int i = 0; i < STAT_NR; i++)
		assert_true(stat_desc[i].name != NULL && stat_desc[i].help != NULL);
	for (int i = 0; i < DROP_NR; i++)
		assert_true(drop_desc[i].name != NULL && drop_desc[i].help != NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads),
		cmocka_unit_test(bounds),
		cmocka_unit_test(mesh_room),
		cmocka_unit_test(waking),
		cmocka_unit_test(epochs),
		cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
