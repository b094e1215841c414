// SPDX-License-Identifier: BSD-3-Clause
/*
 * A packet core without packets: it comes up and down, opens the listeners of each generation,
 * counts its loops, naps when nothing is due and no longer than it may, and is woken by a push.
 */
#include <pthread.h>
#include <rte_mempool.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/worker/worker_priv.h"
#include "tests/harness/eal.h"

static struct ports ports;
static struct lcore *lc;
static struct worker_spec spec;

static const struct proxy fe = {
	.name = { "f", 1 }, .caps = PX_CAP_FE, .mode = PX_HTTP, .slot = 0
};
static const struct listen_addr binds[] = {
	{ .fe = &fe, .addr = { .ip = { .family = ADDR_V4 }, .port = 80 }, .slot = 0 },
	{ .fe = &fe, .addr = { .ip = { .family = ADDR_V4 }, .port = 81 }, .slot = 1 },
	{ .fe = &fe, .addr = { .ip = { .family = ADDR_V6 }, .port = 80 }, .slot = 2 },
};
static const struct proxy *const proxies[] = { &fe };
static const struct listen_addr *const two[] = { &binds[0], &binds[1] };
static const struct listen_addr *const other[] = { &binds[1], &binds[2] };
static const struct model first = {
	.generation = 1, .proxies = proxies, .nproxies = 1, .binds = two, .nbinds = 2
};
static const struct model second = {
	.generation = 2, .proxies = proxies, .nproxies = 1, .binds = other, .nbinds = 2
};

static int
group_setup(void **state sl_unused)
{
	if (test_eal_start() < 0)
		return -1;
	spec.lcore = (struct lcore_spec){ .nlcores = 1,
		.socket = -1,
		.seed = 1,
		.pool = test_pool_new("worker", 511),
		.pool_size = 511,
		.ports = &ports,
		.npx = 1,
		.nbind = 3,
		.nsrv = 1 };
	spec.net = net_shared_new(&ports);
	spec.bal = bal_shared_new(1, 1, 3);
	tcp_conf_default(&spec.tcp);
	spec.tcp.max_conns = 64;
	spec.max_streams = 64;
	spec.idle_per_server = 4;
	spec.call_slots = 4;
	return spec.lcore.pool != NULL && spec.net != NULL && spec.bal != NULL ? 0 : -1;
}

static int
setup(void **state sl_unused)
{
	struct port_err err = { .text = "" };

	lc = worker_new(&spec, &err);
	if (lc == NULL)
		printf("%s\n", err.text);
	return lc != NULL ? 0 : -1;
}

static int
teardown(void **state sl_unused)
{
	worker_free(lc);
	assert_int_equal(rte_mempool_in_use_count(spec.lcore.pool), 0);
	return 0;
}

static uint32_t
listeners(void)
{
	struct tcp_info i;

	tcp_get_info(lc, &i);
	return i.listeners;
}

static void
step(uint32_t ms)
{
	lcore_set_clock(lc, lc->now_us + (uint64_t)ms * 1000, lc->wall_us + (uint64_t)ms * 1000);
	worker_iterate(lc);
}

/* So much address space beyond what is used; 0: as much as before. What is there must not matter. */
static void
limit_memory(uint64_t bytes)
{
	static struct rlimit before;
	struct rlimit lim;
	unsigned long pages = 0;
	FILE *f;

	if (bytes == 0) {
		assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
		return;
	}
	f = fopen("/proc/self/statm", "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	lim = before;
	lim.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
	assert_int_equal(setrlimit(RLIMIT_AS, &lim), 0);
}

/* What there is no memory for is named, and what stood is taken down. */
static void
test_no_memory(void **state sl_unused)
{
	struct worker_spec s = spec;
	struct port_err err = { .text = "" };

	limit_memory(1u << 30);
	s.tcp.max_conns = UINT32_MAX / 4;
	assert_null(worker_new(&s, &err));
	assert_non_null(strstr(err.text, "worker 0"));
	assert_non_null(strstr(err.text, "connections (maxconn)"));
	s = spec;
	s.max_streams = UINT32_MAX / 4;
	assert_null(worker_new(&s, &err));
	limit_memory(0);
	assert_non_null(strstr(err.text, "streams"));
	assert_int_equal(rte_mempool_in_use_count(spec.lcore.pool), 0);
}

static void
test_generations(void **state sl_unused)
{
	step(1);
	assert_int_equal(listeners(), 0);
	epoch_publish(&lc, 1, &first);
	step(1);
	step(1);
	assert_int_equal(listeners(), 2);
	assert_int_equal(tcp_listen(lc, &binds[0].addr, NULL, NULL), -EADDRINUSE);
	epoch_publish(&lc, 1, &second);
	step(1);
	step(1);
	assert_int_equal(listeners(), 2);
	assert_int_equal(tcp_unlisten(lc, &binds[0].addr), -ENOENT);
	atomic_store(&lc->asked_stop_accept, true);
	step(1);
	assert_int_equal(listeners(), 0);
	assert_true(lc->stopping);
	// a generation that comes now opens nothing any more
	epoch_publish(&lc, 1, &first);
	step(1);
	step(1);
	assert_int_equal(listeners(), 0);
}

/* Busy means that something was done; only such loops count as busy. */
static void
test_counts(void **state sl_unused)
{
	struct xmsg m = { .w = { XMSG_SERVER_STATE, 0 } };
	uint64_t loops, busy;

	epoch_publish(&lc, 1, &first);
	for (uint32_t i = 0; i < 50; i++)
		step(1);
	loops = counter_get(&lc->stat[STAT_LOOPS]);
	busy = counter_get(&lc->stat[STAT_LOOPS_BUSY]);
	assert_false(worker_iterate(lc));
	for (uint32_t i = 0; i < MSG_BURST + 1; i++)
		assert_true(xring_push(&lc->main.to, &m));
	assert_true(worker_iterate(lc)); // a burst, not all of them
	assert_int_equal(xring_count(&lc->main.to), 1);
	assert_true(worker_iterate(lc));
	assert_int_equal(xring_count(&lc->main.to), 0);
	assert_false(worker_iterate(lc));
	assert_int_equal(counter_get(&lc->stat[STAT_LOOPS]) - loops, 4);
	assert_int_equal(counter_get(&lc->stat[STAT_LOOPS_BUSY]) - busy, 2);
}

static uint32_t fired;

static void
on_timer(void *ctx sl_unused, struct wheel_timer *t sl_unused)
{
	fired++;
}

static void
test_idle_time(void **state sl_unused)
{
	struct wheel_timer t;

	step(1);
	assert_in_range(worker_idle_us(lc), 0, NET_TICK_MS * 1000);
	wheel_timer_init(&t, on_timer);
	wheel_arm(&lc->wheel, &t, tick_add(lc->now, 3));
	assert_in_range(worker_idle_us(lc), 1000, 3000);
	step(2);
	assert_int_equal(fired, 0);
	assert_in_range(worker_idle_us(lc), 0, 1000);
	step(1);
	assert_int_equal(fired, 1);
}

/* First it polls on, then it pauses, then it naps; never with busy polling. */
static void
test_idle_ramp(void **state sl_unused)
{
	uint64_t naps = counter_get(&lc->stat[STAT_NAPS]);
	uint32_t empty = 0;

	step(1);
	for (uint32_t i = 0; i < IDLE_PAUSE - 1; i++)
		worker_idle(lc, &empty, false);
	assert_int_equal(counter_get(&lc->stat[STAT_NAPS]), naps);
	worker_idle(lc, &empty, false);
	worker_idle(lc, &empty, false);
	assert_true(counter_get(&lc->stat[STAT_NAPS]) > naps);
	naps = counter_get(&lc->stat[STAT_NAPS]);
	for (uint32_t i = 0; i < IDLE_PAUSE; i++)
		worker_idle(lc, &empty, true);
	// what waits in a ring is no reason to sleep
	assert_true(xring_push(&lc->main.to, &(struct xmsg){ .w = { XMSG_SERVER_STATE, 0 } }));
	worker_idle(lc, &empty, false);
	assert_int_equal(counter_get(&lc->stat[STAT_NAPS]), naps);
	worker_iterate(lc);
}

static uint32_t
empties_until_nap(void)
{
	uint64_t naps = counter_get(&lc->stat[STAT_NAPS]);
	uint32_t empty = 0;

	while (counter_get(&lc->stat[STAT_NAPS]) == naps && empty < 1000000)
		worker_idle(lc, &empty, false);
	return empty;
}

/* It waits longer while scripts work, and hardly at all where its CPU is taken away from it. */
static void
test_idle_patience(void **state sl_unused)
{
	uint32_t empty = 10;

	step(1);
	assert_int_equal(empties_until_nap(), IDLE_PAUSE);
	lc->calls_out = 1;
	assert_int_equal(empties_until_nap(), IDLE_CALLS);
	lc->calls_out = 0;
	// time that passed in a nap, or in an iteration that had work, says nothing
	lc->now_us += 10 * PREEMPTED_US;
	assert_int_equal(empties_until_nap(), IDLE_PAUSE);
	worker_idle(lc, &empty, false);
	lc->now_us += PREEMPTED_US + 1;
	empty = 0;
	worker_idle(lc, &empty, false);
	assert_int_equal(empties_until_nap(), IDLE_PAUSE);
	// in an empty one it does
	empty = 10;
	worker_idle(lc, &empty, false);
	lc->now_us += PREEMPTED_US + 1;
	worker_idle(lc, &empty, false);
	assert_int_equal(empties_until_nap(), IDLE_CONTENDED);
	lc->calls_out = 1; // scripts are no reason to stay on such a CPU
	assert_int_equal(empties_until_nap(), IDLE_CONTENDED);
	lc->calls_out = 0;
	lc->now_us += CONTENDED_US;
	assert_int_equal(empties_until_nap(), IDLE_PAUSE);
}

/* While scripts work it lets others go first: who takes the CPU then wants it, and next time it naps. */
static void
test_idle_given(void **state sl_unused)
{
	static const struct {
		uint32_t empty, us;
		bool wanted;
	} rows[] = {
		{ IDLE_YIELD + 1, GIVEN_US, false },
		{ IDLE_YIELD + 1, GIVEN_US + 1, true },
		{ IDLE_YIELD - 10, GIVEN_US + 1, false }, // it did not yield yet
	};
	uint32_t empty;

	step(1);
	lc->calls_out = 1;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		lc->now_us += 2 * CONTENDED_US;
		for (empty = 0; empty < rows[i].empty;)
			worker_idle(lc, &empty, false);
		lc->now_us += rows[i].us;
		worker_idle(lc, &empty, false);
		empty = empties_until_nap();
		if (empty != (rows[i].wanted ? IDLE_CONTENDED : IDLE_CALLS))
			fail_msg("row %zu: nap after %u", i, empty);
	}
	lc->now_us += 2 * CONTENDED_US;
	// what came with news was an iteration with work
	for (empty = 0; empty < IDLE_YIELD + 1;)
		worker_idle(lc, &empty, false);
	lc->now_us += GIVEN_US + 1;
	assert_int_equal(empties_until_nap(), IDLE_CALLS);
	lc->calls_out = 0;
}

static void
wait_until(bool (*done)(void))
{
	for (int i = 0; i < 10000 && !done(); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_true(done());
}

static bool
has_napped(void)
{
	return counter_get(&lc->stat[STAT_NAPS]) > 0;
}

static bool
is_empty(void)
{
	return xring_count(&lc->main.to) == 0;
}

static void *
thread(void *arg)
{
	worker_main(arg);
	return NULL;
}

/* The thread itself: naps, takes what is pushed, ends when told. */
static void
test_thread(void **state sl_unused)
{
	pthread_t t;

	epoch_publish(&lc, 1, &first);
	assert_int_equal(pthread_create(&t, NULL, thread, lc), 0);
	wait_until(has_napped);
	for (uint32_t i = 0; i < 100; i++) {
		assert_true(xring_push(
			&lc->main.to, &(struct xmsg){ .w = { XMSG_SERVER_STATE, 0 } }));
		waker_wake(&lc->waker);
	}
	wait_until(is_empty);
	atomic_store(&lc->stop, true);
	waker_wake(&lc->waker);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(listeners(), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test_setup_teardown(test_generations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_ramp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_patience, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_given, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thread, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
