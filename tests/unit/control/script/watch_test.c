// SPDX-License-Identifier: BSD-3-Clause
/*
 * A script thread that is stuck in a C function: found, abandoned, replaced; what comes back ends. The
 * worker and main are played by the test.
 */
#include "tests/unit/lua/api/bridge.h"

#include <dirent.h>
#include <lauxlib.h>
#include <lua.h>

#define ACTION(name, body) \
	"core.register_action('" name "', {'http-req'}, function(txn) " body " end)\n"
#define FETCH(name, body) "core.register_fetches('" name "', function(txn) " body " end)\n"

#define STUCK_MS          60

#define NO_STATE "error:its script thread has no state that knows it"

static struct {
	_Atomic(uint32_t) inside, left, tasks, loads, again;
	_Atomic(uint32_t) block_at; // the load that blocks
	_Atomic(bool) release;
	struct xmsg moved[8];
	uint32_t nmoved, refused; // so many more are refused
	struct xmsg ring[SCRIPT_SPARE][2][BR_RING];
	char file[sizeof(load_kept)]; // of the bridge's generation
} probe;

/* A C function that does not come back before the test says so. */
static int
l_block(lua_State *L sl_unused)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	atomic_fetch_add(&probe.inside, 1);
	while (!atomic_load(&probe.release))
		nanosleep(&ts, NULL);
	atomic_fetch_add(&probe.left, 1);
	return 0;
}

static int
l_started(lua_State *L sl_unused)
{
	atomic_fetch_add(&probe.tasks, 1);
	return 0;
}

static int
l_loaded(lua_State *L)
{
	uint32_t nth = atomic_fetch_add(&probe.loads, 1) + 1;

	return nth == atomic_load(&probe.block_at) ? l_block(L) : 0;
}

/* Was it called before? */
static int
l_again(lua_State *L)
{
	lua_pushboolean(L, atomic_fetch_add(&probe.again, 1) > 0);
	return 1;
}

static int
l_task(lua_State *L)
{
	assert_int_equal(script_task(L, 0), 0);
	return 0;
}

static void
open_probe(lua_State *L)
{
	static const luaL_Reg fn[] = { { "block", l_block }, { "started", l_started },
		{ "task", l_task }, { "loaded", l_loaded }, { "again", l_again }, { NULL, NULL } };

	luaL_newlib(L, fn);
	lua_setglobal(L, "probe");
}

SL_LUA_API({ "probe", open_probe, "of this test" });

// clang-format off
static const char scripts[] =
	"n = 0\n"
	"probe.loaded()\n"
	"probe.task(function() probe.started() core.sleep(3600) end)\n"
	ACTION("block", "txn:set_var('txn.a', 1) probe.block() txn:set_var('txn.b', 1)"
		" for i = 1, 1e6 do end return act.DENY")
	ACTION("loop", "while true do end")
	ACTION("sleep", "core.sleep(3600)")
	FETCH("count", "n = n + 1 return n");
// clang-format on

static const struct global_conf conf = { .lua_forced_yield = 1000 };

static bool
tell(void *ctx sl_unused, uint16_t worker, const struct xmsg *m)
{
	assert_int_equal(worker, 0);
	if (probe.refused > 0) {
		probe.refused--;
		return false;
	}
	assert_true(probe.nmoved < SL_ARRAY_SIZE(probe.moved));
	probe.moved[probe.nmoved++] = *m;
	return true;
}

static void
nap(uint32_t ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000l };

	nanosleep(&ts, NULL);
}

static struct bridge *
start(void)
{
	struct script_spec spec = { .tell = tell, .call_slots = 4, .stuck_ms = STUCK_MS };
	struct bridge *b;

	memset(&probe, 0, sizeof(probe));
	load_keep = true;
	b = br_with(scripts, &conf, 1, false, &spec);
	for (uint16_t i = 0; i < SCRIPT_SPARE; i++) {
		xring_init(&b->lc->script[1 + i].to, probe.ring[i][0], BR_RING);
		xring_init(&b->lc->script[1 + i].from, probe.ring[i][1], BR_RING);
	}
	memcpy(probe.file, load_kept, sizeof(probe.file));
	b->lc->socket = -1;
	script_publish(b->gen);
	return b;
}

static void
end(struct bridge *b)
{
	atomic_store(&probe.release, true);
	while (script_stuck() > 0) // they still know the bridge's memory
		nap(1);
	b->lc->nscripts = 1; // rings that are the bridge's
	for (uint32_t i = 0; i < probe.nmoved; i++) {
		if (probe.moved[i].w[3] != 0)
			call_spare_free((struct call_spare *)(uintptr_t)probe.moved[i].w[3]);
	}
	br_free(b);
	unlink(probe.file);
}

/* As main's timer, until something moved. */
static void
watch(uint32_t want)
{
	while (probe.nmoved < want) {
		script_watch();
		nap(5);
	}
}

/* Waits until so many threads are left in the process. */
static void
threads(uint32_t want)
{
	uint32_t n = 0;

	while (n != want) {
		DIR *d = opendir("/proc/self/task");

		for (n = 0; readdir(d) != NULL;)
			n++;
		n -= 2; // "." and ".."
		closedir(d);
		nap(1);
	}
}

static void
block(struct bridge *b, uint16_t pair, uint32_t nth)
{
	br_push(b, br_slot(b, 'a', "block", false), pair);
	while (atomic_load(&probe.inside) < nth)
		nap(1);
}

static void
fetch_is(struct bridge *b, uint16_t pair, const char *want)
{
	char got[BR_TEXT];

	br_push(b, br_slot(b, 'f', "count", false), pair);
	assert_string_equal(br_result(br_wait(b), got, sizeof(got)), want);
}

static void
test_replaced(void **state sl_unused)
{
	struct bridge *b = start();
	struct script_stats st;

	fetch_is(b, 0, "sint:1");
	fetch_is(b, 0, "sint:2");
	br_push(b, br_slot(b, 'a', "sleep", false), 0);
	block(b, 0, 1);
	watch(1);
	assert_int_equal(probe.moved[0].w[0], XMSG_SCRIPT_MOVED);
	assert_int_equal(probe.moved[0].w[1], 0);
	assert_int_equal(probe.moved[0].w[2], 1);
	assert_true(probe.moved[0].w[3] != 0);
	assert_non_null(strstr(b->logged, "1:script thread 0 is stuck in a C function"));
	b->lc->nscripts = 2;
	fetch_is(b, 1, "sint:1"); // a state of its own, from the files
	fetch_is(b, 1, "sint:2");
	assert_int_equal(atomic_load(&probe.tasks), 2); // its tasks too
	script_get_stats(0, &st);
	assert_int_equal(st.abandoned, 1);
	assert_int_equal(st.running, 0);
	/* it comes back: it runs no instruction more than its slice, and answers nobody */
	atomic_store(&probe.release, true);
	while (atomic_load(&probe.left) < 1)
		nap(1);
	fetch_is(b, 1, "sint:3");
	threads(2);
	assert_int_equal(xring_count(&b->lc->script[0].to), 0);
	end(b);
}

static struct script_gen *
another_with(const struct global_conf *c, const char *text, char *file)
{
	struct script_err err = { "" };
	struct script_gen *g;

	assert_int_equal(script_gen_new(&g), 0);
	script_gen_conf(g, c);
	if (load_text(g, text, false, &err) < 0 || script_gen_ready(g, 1, &err) < 0)
		fail_msg("%s", err.text);
	memcpy(file, load_kept, sizeof(load_kept));
	return g;
}

static struct script_gen *
another(const char *text, char *file)
{
	return another_with(&conf, text, file);
}

/* As fetch_is(), of another generation than the bridge's. */
static void
fetch_of_is(struct bridge *b, struct script_gen *g, uint16_t pair, const char *want)
{
	struct model m = { .lua = g };
	struct call_slot *s = br_slot(b, 'f', "count", false);
	char got[BR_TEXT];

	s->model = &m;
	s->fn = (uint16_t)script_lookup(g, 'f', SL_STR("count"), NULL);
	br_push(b, s, pair);
	assert_string_equal(br_result(br_wait(b), got, sizeof(got)), want);
}

static void
let_back(uint32_t want)
{
	atomic_store(&probe.release, true);
	while (script_stuck() > 0)
		nap(1);
	assert_int_equal(atomic_load(&probe.left), want);
}

static void
closes(const struct script_gen *g)
{
	while (!script_gen_closed(g))
		nap(1);
}

/*
 * A reload while the thread is stuck, and noticed after it: what the thread is inside of, in whatever
 * generation, is its own; what was loaded for it and never ran is its successor's.
 */
static void
test_generations(void **state sl_unused)
{
	struct bridge *b = start();
	char file[2][sizeof(load_kept)];
	struct script_gen *next, *third;

	fetch_is(b, 0, "sint:1");
	block(b, 0, 1);
	next = another(scripts, file[0]);
	script_publish(next);
	watch(1);
	b->lc->nscripts = 2;
	fetch_is(b, 1, NO_STATE); // its state went with the thread
	fetch_of_is(b, next, 1, "sint:1");
	assert_int_equal(atomic_load(&probe.loads), 2); // and none was made again
	assert_int_equal(atomic_load(&probe.tasks), 2);
	third = another(scripts, file[1]);
	script_publish(third);
	fetch_of_is(b, third, 1, "sint:1");
	script_retire(b->gen);
	fetch_of_is(b, next, 1, "sint:2"); // that message has been read
	assert_true(script_gen_is_held(b->gen));
	assert_false(script_gen_closed(b->gen));
	assert_true(script_gen_is_held(next));
	assert_false(script_gen_is_held(third)); // it does not know this one
	let_back(1);
	closes(b->gen);
	fetch_of_is(b, next, 1, "sint:3");
	script_retire(next);
	closes(next);
	fetch_of_is(b, third, 1, "sint:2");
	end(b);
	script_gen_free(next);
	script_gen_free(third);
	unlink(file[0]);
	unlink(file[1]);
}

/* One that came and went meanwhile: the successor closes it, and its end is not waited for twice. */
static void
test_generation_in_between(void **state sl_unused)
{
	struct bridge *b = start();
	char file[2][sizeof(load_kept)];
	struct script_gen *brief, *last;

	fetch_is(b, 0, "sint:1");
	block(b, 0, 1);
	brief = another(scripts, file[0]);
	script_publish(brief);
	script_retire(brief);
	last = another(scripts, file[1]);
	script_publish(last);
	script_retire(b->gen);
	watch(1);
	b->lc->nscripts = 2;
	fetch_of_is(b, last, 1, "sint:1");
	fetch_of_is(b, brief, 1, NO_STATE); // closed
	assert_false(script_gen_closed(brief)); // but the thread was told of it
	let_back(1);
	closes(brief);
	closes(b->gen);
	fetch_of_is(b, last, 1, "sint:2");
	end(b);
	script_gen_free(brief);
	script_gen_free(last);
	unlink(file[0]);
	unlink(file[1]);
}

/* The last finalizers of a generation run when it is closed, as no call's: one that blocks is found, too. */
static void
test_finalizer(void **state sl_unused)
{
	struct bridge *b = start();
	char file[sizeof(load_kept)];
	struct script_gen *g;

	g = another(FETCH("count", "return 7")
		"keep = setmetatable({}, {__gc = function() probe.block() end})",
		file);
	script_publish(g);
	fetch_of_is(b, g, 0, "sint:7");
	fetch_is(b, 0, "sint:1");
	script_retire(g);
	watch(1);
	assert_int_equal(atomic_load(&probe.inside), 1);
	b->lc->nscripts = 2;
	fetch_is(b, 1, "sint:1");
	assert_false(script_gen_closed(g));
	let_back(1);
	closes(g);
	fetch_is(b, 1, "sint:2");
	end(b);
	script_gen_free(g);
	unlink(file);
}

/* A file that blocks when its state is made again. */
static void
test_body(void **state sl_unused)
{
	struct bridge *b = start();

	atomic_store(&probe.block_at, 2);
	block(b, 0, 1);
	watch(2);
	assert_int_equal(atomic_load(&probe.inside), 2);
	b->lc->nscripts = 3;
	fetch_is(b, 2, "sint:1");
	let_back(2);
	fetch_is(b, 2, "sint:2");
	end(b);
}

static uint64_t
instructions(void)
{
	struct script_stats st;

	script_get_stats(0, &st);
	return st.instructions;
}

/* Fetches are whole: what comes back goes on to its end. Each instruction is counted by itself. */
#define SPIN "for i = 1, 100000 do end return 1"

/*
 * What comes back runs on for a while, beside its successor: neither takes counts from the other. The same
 * is done one after the other, and side by side.
 */
static void
test_counts(void **state sl_unused)
{
	static const struct global_conf each = { .lua_forced_yield = 1 };
	struct bridge *b = start();
	char file[sizeof(load_kept)];
	struct script_gen *g = another_with(&each,
		FETCH("count", SPIN) FETCH("hold", "probe.block() " SPIN), file);
	struct model m = { .lua = g };
	uint64_t counted[2];

	script_publish(g);
	for (uint16_t i = 0; i < 2; i++) {
		struct call_slot *s = br_slot(b, 'f', "count", false);

		atomic_store(&probe.release, false);
		s->model = &m;
		s->fn = (uint16_t)script_lookup(g, 'f', SL_STR("hold"), NULL);
		br_push(b, s, i);
		while (atomic_load(&probe.inside) < i + 1u)
			nap(1);
		watch(i + 1u);
		b->lc->nscripts = i + 2;
		fetch_is(b, i + 1, NO_STATE); // it runs
		counted[i] = instructions();
		if (i == 0)
			let_back(1);
		else
			atomic_store(&probe.release, true);
		fetch_of_is(b, g, i + 1, "sint:1");
		let_back(i + 1u);
		counted[i] = instructions() - counted[i];
	}
	assert_true(counted[0] >= 200000);
	assert_int_equal(counted[0], counted[1]);
	end(b);
	script_gen_free(g);
	unlink(file);
}

/* A worker whose ring is full hears of it later, and of the first move first. */
static void
test_told_later(void **state sl_unused)
{
	struct bridge *b = start();

	probe.refused = UINT32_MAX;
	for (uint16_t i = 0; i < 3; i++) {
		block(b, i, i + 1u);
		while (script_stuck() <= i) {
			script_watch();
			nap(5);
		}
		if (i == 1) {
			probe.refused = 0;
			watch(2);
			probe.refused = UINT32_MAX; // of the third nobody hears before the end
		}
	}
	assert_int_equal(probe.nmoved, 2);
	for (uint16_t i = 0; i < 2; i++) {
		assert_int_equal(probe.moved[i].w[2], i + 1);
		assert_true(probe.moved[i].w[3] != 0);
	}
	end(b);
}

/* A file fails when it is run again: the states of the others are whole. */
static void
test_partly_remade(void **state sl_unused)
{
	struct bridge *b = start();
	struct script_err err = { "" };
	char file[2][sizeof(load_kept)], got[BR_TEXT];
	struct model m = { 0 };
	struct script_gen *g;
	struct call_slot *s;

	assert_int_equal(script_gen_new(&g), 0);
	assert_int_equal(
		load_text(g, "if probe.again() then error('no more') end\n", false, &err), 0);
	memcpy(file[0], load_kept, sizeof(load_kept));
	assert_int_equal(load_text(g,
				 "probe.task(function() probe.started() core.sleep(3600) end)\n"
				 FETCH("each", "return 5"),
				 true, &err),
		0);
	memcpy(file[1], load_kept, sizeof(load_kept));
	script_publish(g);
	fetch_is(b, 0, "sint:1");
	assert_int_equal(atomic_load(&probe.tasks), 2);
	block(b, 0, 1);
	watch(1);
	b->lc->nscripts = 2;
	m.lua = g;
	s = br_slot(b, 'f', "count", false);
	s->model = &m;
	s->fn = (uint16_t)script_lookup(g, 'f', SL_STR("each"), NULL);
	br_push(b, s, 1);
	assert_string_equal(br_result(br_wait(b), got, sizeof(got)), "sint:5");
	assert_non_null(strstr(b->logged, "no more"));
	assert_int_equal(atomic_load(&probe.tasks), 3);
	end(b);
	script_gen_free(g);
	unlink(file[0]);
	unlink(file[1]);
}

/* What runs Lua, sleeps, or has nothing to do is not stuck. */
static void
test_not_stuck(void **state sl_unused)
{
	struct bridge *b = start();

	for (int i = 0; i < 20; i++, nap(10))
		script_watch();
	br_push(b, br_slot(b, 'a', "sleep", false), 0);
	br_push(b, br_slot(b, 'a', "loop", false), 0);
	for (int i = 0; i < 40; i++, nap(10))
		script_watch();
	assert_int_equal(probe.nmoved, 0);
	fetch_is(b, 0, "sint:1");
	end(b);
}

/* The last successor is stuck as well: nobody takes over. */
static void
test_at_most(void **state sl_unused)
{
	struct bridge *b = start();

	for (uint16_t i = 0; i <= SCRIPT_SPARE; i++) {
		b->lc->nscripts = i + 1;
		block(b, i, i + 1u);
		watch(i + 1u);
		assert_int_equal(probe.moved[i].w[2], i < SCRIPT_SPARE ? i + 1u : UINT64_MAX);
	}
	assert_int_equal(probe.moved[SCRIPT_SPARE].w[3], 0);
	assert_non_null(strstr(b->logged, "none takes over"));
	for (int i = 0; i < 5; i++)
		script_watch(); // nothing more to do
	end(b);
}

/*
 * The process ends while a thread is in C, before it was found: stopping waits a moment, not for ever.
 * The last case: the thread stays where it is until the process is gone.
 */
static void
test_stop(void **state sl_unused)
{
	struct bridge *b = start();

	br_push(b, br_slot(b, 'a', "loop", false), 0); // this one ends by itself
	block(b, 0, 1);
	script_stop();
	assert_int_equal(atomic_load(&probe.left), 0);
	threads(2);
	br_free(b);
	unlink(probe.file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_generation_in_between),
		cmocka_unit_test(test_finalizer),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_told_later),
		cmocka_unit_test(test_partly_remade),
		cmocka_unit_test(test_not_stuck),
		cmocka_unit_test(test_at_most),
		cmocka_unit_test(test_stop),
	};
	const char *dup;

	if (expr_init(&dup) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
