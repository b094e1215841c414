// SPDX-License-Identifier: BSD-3-Clause
/*
 * Script threads behind real rings, with a worker played by the test: fairness, limits, errors,
 * cancellation, memory, many calls. Nothing here depends on how fast the machine is.
 */
#include "control/script/script_priv.h"
#include "tests/unit/lua/api/bridge.h"

#include <dirent.h>
#include <lauxlib.h>
#include <lua.h>
#include <sys/resource.h>
#include <unistd.h>

#define ACTION(name, body) \
	"core.register_action('" name "', {'http-req'}, function(txn) " body " end)\n"
#define FETCH(name, body) "core.register_fetches('" name "', function(txn) " body " end)\n"

// clang-format off
static const char scripts[] =
	ACTION("loop", "while true do end")
	ACTION("ploop", "while true do pcall(function() while true do end end) end")
	ACTION("xploop",
		"while true do xpcall(function() while true do end end, function() end) end")
	ACTION("coloop", "coroutine.wrap(function() while true do end end)()")
	ACTION("coploop", "while true do"
		" coroutine.resume(coroutine.create(function() while true do end end)) end")
	ACTION("sortloop", "table.sort({1, 2, 3}, function() while true do end end)")
	ACTION("quick", "txn:set_var('txn.q', 1)")
	ACTION("err", "local x = nil; return x.y")
	ACTION("errt", "error({})")
	ACTION("errlong", "error(('long '):rep(1000))")
	ACTION("deny", "return act.DENY")
	ACTION("yields", "for i = 1, 5 do core.yield() end return act.STOP")
	ACTION("coyields", "local w = coroutine.wrap(function()"
		" core.yield() coroutine.yield(1) core.yield() return 2 end)"
		" if w() == 1 and w() == 2 then return act.STOP end")
	ACTION("plainyield", "coroutine.yield('x') return act.STOP")
	ACTION("long", "local n = 0 for i = 1, 1000000 do n = n + 1 end return act.STOP")
	ACTION("eat", "local t = {} for i = 1, 1e9 do t[i] = i end")
	ACTION("eat2", "t = {} while true do t[#t + 1] = string.rep('x', 1000) .. #t end")
	ACTION("shortco", "while true do coroutine.wrap(function() for i = 1, 300 do end end)() end")
	"made = 0\n"
	ACTION("tinyco", "while true do coroutine.wrap(function() made = made + 1 end)() end")
	FETCH("made", "local m = made made = 0 return m")
	ACTION("free", "t = nil collectgarbage() return act.STOP")
	FETCH("floop", "while true do end")
	/* keeps its thread for long without CPU time, before and behind the first slice */
	FETCH("stands", "os.execute('sleep 0.2') for i = 1, 30000 do end"
		" os.execute('sleep 0.2') for i = 1, 30000 do end return 'v'")
	FETCH("boolean", "return type(txn.f:always_true())")
	ACTION("oncehang", "core.once('test', function() core.sleep(3600) end)")
	FETCH("onceget", "return core.once('test', function() return 'mine' end)")
	FETCH("oncein", "local function inner() return core.once('in', function() return 'mine' end) end"
		" local ok, why = pcall(core.once, 'in', inner)"
		" local co = core.once('co', function() return select(2, pcall(coroutine.wrap(function()"
		" return core.once('co', inner) end))) end)"
		" local other = core.once('out', inner)" // another key, and what failed runs again
		" return table.concat({ tostring(ok), why, co, other }, '|')")
	FETCH("fget", "return 'v'")
	FETCH("fyield", "core.yield() return 1")
	/* works for 6 ms and sleeps for one, by the CPU's clock */
	ACTION("dozer", "while true do local till = os.clock() + 0.006"
		" while os.clock() < till do end core.msleep(1) end")
	/* works for less than it waits: of a runaway's time in a few dozen turns */
	"wakes = 0\n"
	ACTION("waiter", "while true do wakes = wakes + 1 local till = os.clock() + 0.0005"
		" while os.clock() < till do end core.msleep(3) end")
	FETCH("wakes", "return wakes")
	ACTION("sleep", "core.sleep(3600)")
	ACTION("cosleep", "pcall(coroutine.wrap(function() core.sleep(3600) end)) return act.STOP")
	ACTION("nap", "core.msleep(1) core.msleep(0) return act.STOP")
	FETCH("fnap", "core.msleep(1) return coroutine.wrap(function() core.msleep(1)"
		" return 'rested' end)()")
	FETCH("sortnap", "return select(2, pcall(table.sort, {1, 2, 3}, function()"
		" core.msleep(1) return false end))")
	"g = 0\n"
	/* check-then-set of a global: right only because fetches are not preempted */
	FETCH("count", "local v = g for i = 1, 50000 do end g = v + 1 return g")
	ACTION("held", "os.execute('sleep 0.01') return act.STOP")
	ACTION("hog", "for i = 1, 2000000 do end return act.STOP")
	/* quick for long enough that it is not counted any more, then in each way that does not end */
	"moods = 0\n"
	ACTION("moody", "moods = moods + 1 if moods <= 50 then return act.STOP end"
		" local loop = function() while true do pcall(function() while true do end end) end end"
		" if moods % 2 == 0 then coroutine.wrap(loop)() else loop() end")
	"core.register_converters('up', function(s, a) return s:upper() .. (a or '') end)\n";
// clang-format on

static int
l_task(lua_State *L)
{
	assert_int_equal(script_task(L, 0), 0);
	return 0;
}

static void
open_task(lua_State *L)
{
	lua_pushcfunction(L, l_task);
	lua_setglobal(L, "task");
}

SL_LUA_API({ "task", open_task, "of this test" });

#define SLICE 10000 // tune.lua.forced-yield by default

static const struct global_conf no_limits = { .lua_forced_yield = 1000 };

/* Everything below pushes to thread 0. */
static struct call_slot *
push(struct bridge *b, uint8_t kind, const char *fn)
{
	struct call_slot *s = br_slot(b, kind, fn, false);

	br_push(b, s, 0);
	return s;
}

static void
test_results(void **state sl_unused)
{
	static const struct {
		int line;
		uint8_t kind;
		const char *fn;
		enum call_end end;
		int32_t act;
	} rows[] = {
		{ __LINE__, 'a', "quick", CALL_OK, 0 },
		{ __LINE__, 'a', "deny", CALL_OK, 5 },
		{ __LINE__, 'a', "err", CALL_ERROR, 0 },
		{ __LINE__, 'a', "errt", CALL_ERROR, 0 },
		{ __LINE__, 'a', "yields", CALL_OK, 1 },
		{ __LINE__, 'a', "coyields", CALL_OK, 1 },
		{ __LINE__, 'a', "plainyield", CALL_OK, 1 },
		{ __LINE__, 'a', "long", CALL_OK, 1 },
		{ __LINE__, 'f', "fget", CALL_OK, 0 },
		{ __LINE__, 'f', "fyield", CALL_OK, 0 },
	};
	struct bridge *b = br_new(scripts, &no_limits, 1);

	for (int round = 0; round < 3; round++) { // coroutines are used again
		for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
			struct call_slot *s = br_call(b, rows[i].kind, rows[i].fn, false);
			if (s->end != rows[i].end || s->act != rows[i].act)
				fail_msg("row at line %d: end %d, act %d, %s", rows[i].line, s->end,
					s->act, s->error);
		}
	}
	br_free(b);
}

/* Words of HAProxy 2.6, as its log has them. */
static void
test_error_text(void **state sl_unused)
{
	struct bridge *b = br_new(scripts, &no_limits, 1);
	struct call_slot *s = br_call(b, 'a', "err", false);

	assert_non_null(strstr(s->error, "[state-id 0] runtime error: /tmp/sluice-lua-"));
	assert_non_null(strstr(s->error, ": attempt to index a nil value (local 'x') from "));
	br_call(b, 'a', "errt", false);
	br_call(b, 'f', "fget", false); // the log line stands before a later answer
	assert_non_null(strstr(b->logged, "1:Lua function 'err': [state-id 0] runtime error: "));
	assert_non_null(strstr(b->logged, ": in function line 8. (request of 192.0.2.1:4711)\n"));
	assert_non_null(strstr(b->logged,
		"1:Lua function 'errt': [state-id 0] unknown runtime error from [C]: in global"
		" 'error', "));
	assert_null(strstr(b->logged, "C function"));
	br_free(b);
}

/* Whose request it was stands in the line, however long the message and the id are. */
static void
test_error_id(void **state sl_unused)
{
	struct bridge *b = br_new(scripts, &no_limits, 1);
	static const char *const fn[] = { "err", "errlong" };
	static const char end[] = ", id 0a:1b-0007)\n";

	for (size_t i = 0; i < SL_ARRAY_SIZE(fn); i++) {
		struct call_slot *s = br_slot(b, 'a', fn[i], false);
		const char *line;

		s->id = SL_STR("0a:1b-0007");
		br_push(b, s, 0);
		br_wait(b);
		br_call(b, 'f', "fget", false);
		line = strstr(b->logged, i == 0 ? "'err': " : "'errlong': ");
		assert_non_null(line);
		assert_non_null(strstr(line, "/tmp/sluice-lua-"));
		assert_non_null(strstr(line, " (request of 192.0.2.1:4711, id 0a:1b-0007)\n"));
		assert_true(strchr(line, '\n') - line < 1000);
		assert_memory_equal(strchr(line, '\n') + 2 - sizeof(end), end, sizeof(end) - 1);
	}
	br_free(b);
}

static void
test_converter(void **state sl_unused)
{
	struct bridge *b = br_new(scripts, &no_limits, 1);
	struct call_slot *s = br_slot(b, 'c', "up", false);
	char got[BR_TEXT];

	s->input = (struct sample){ .type = T_STR, .s = SL_STR("abc") };
	s->nargs = 1;
	s->args[0] = SL_STR("-x");
	br_push(b, s, 0);
	assert_string_equal(br_result(br_wait(b), got, sizeof(got)), "str:ABC-x");
	br_free(b);
}

/* Short calls end while endless ones run; the endless ones end by cancellation. */
static void
test_fairness(void **state sl_unused)
{
	static const char *const loops[] = { "loop", "loop", "coloop", "ploop", "coploop", "loop" };
	struct bridge *b = br_new(scripts, &no_limits, 1);
	struct call_slot *endless[SL_ARRAY_SIZE(loops)];
	struct script_stats st;
	uint32_t cancelled = 0;

	for (size_t i = 0; i < SL_ARRAY_SIZE(loops); i++)
		endless[i] = push(b, 'a', loops[i]);
	for (int i = 0; i < 50; i++) {
		b->next = 10 + (uint32_t)i % 50; // not the slots that are under way
		struct call_slot *s = push(b, 'a', i % 2 ? "long" : "quick");
		assert_ptr_equal(br_wait(b), s);
		assert_int_equal(s->end, CALL_OK);
	}
	script_get_stats(0, &st);
	assert_int_equal(st.running, SL_ARRAY_SIZE(loops));
	br_cancel(b, endless[0], endless[0]->seq + 1); // of another call: no effect
	for (size_t i = 0; i < SL_ARRAY_SIZE(loops); i++)
		br_cancel(b, endless[i], endless[i]->seq);
	while (cancelled < SL_ARRAY_SIZE(loops)) {
		assert_int_equal(br_wait(b)->end, CALL_CANCELLED);
		cancelled++;
	}
	b->next = 0;
	assert_int_equal(br_call(b, 'a', "quick", false)->end, CALL_OK);
	script_get_stats(0, &st);
	assert_int_equal(st.cancelled, SL_ARRAY_SIZE(loops));
	br_free(b);
}

/* The policy of the script thread, found by its name. */
static int
thread_policy(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int policy = -1;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		char path[300], name[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (f != NULL && fgets(name, sizeof(name), f) != NULL &&
			strcmp(name, "sl-script-0\n") == 0)
			policy = sched_getscheduler((pid_t)strtoul(e->d_name, NULL, 10));
		if (f != NULL)
			fclose(f);
	}
	closedir(d);
	return policy;
}

/* A thread whose scripts compute lets others go first, for a while; one whose scripts do not, does not. */
static void
test_weight(void **state sl_unused)
{
	int nice = getpriority(PRIO_PROCESS, 0), lower;
	const struct script_spec spec = { .nice = nice, .idle_long = true };
	struct rlimit none = { 0, RLIM_INFINITY }, lim;
	struct timespec ms = { .tv_nsec = 1000000 };
	bool may = setrlimit(RLIMIT_NICE, &none) == 0; // with CAP_SYS_RESOURCE
	struct bridge *b = br_with(scripts, &no_limits, 1, false, &spec);

	assert_int_equal(getrlimit(RLIMIT_NICE, &lim), 0);
	if (may) // what counts when rights have been given up
		assert_true(lim.rlim_cur >= (rlim_t)(20 - nice));
	assert_int_equal(br_call(b, 'a', "hog", false)->end, CALL_OK);
	assert_int_equal(thread_policy(), SCHED_OTHER); // it is not known yet whether it may come back
	script_settled();
	may = atomic_load(&script_sched.may_idle);
	if (lim.rlim_cur >= (rlim_t)(20 - nice))
		assert_true(may);
	else if (geteuid() != 0)
		assert_false(may);
	lower = may ? SCHED_IDLE : SCHED_OTHER;
	for (int i = 0; i < 100; i++)
		br_call(b, 'a', "quick", false);
	assert_int_equal(br_call(b, 'a', "held", false)->end, CALL_OK); // by the wall that is long
	assert_int_equal(thread_policy(), SCHED_OTHER);
	assert_int_equal(br_call(b, 'a', "hog", false)->end, CALL_OK);
	assert_int_equal(thread_policy(), lower);
	// what blocks may start others, who would inherit it
	assert_int_equal(br_call(b, 'a', "held", false)->end, CALL_OK);
	assert_int_equal(thread_policy(), SCHED_OTHER);
	assert_int_equal(br_call(b, 'a', "hog", false)->end, CALL_OK);
	assert_int_equal(thread_policy(), lower);
	for (int i = 0; i < 20000 && thread_policy() != SCHED_OTHER; i++)
		nanosleep(&ms, NULL); // nobody calls
	assert_int_equal(thread_policy(), SCHED_OTHER);
	br_free(b);
}

/* Who sleeps costs nothing, and need not wake up to be cancelled. */
static void
test_sleep(void **state sl_unused)
{
	struct bridge *b = br_new(scripts, &no_limits, 1);
	struct call_slot *s[6];
	char got[BR_TEXT];

	for (int i = 0; i < 6; i++)
		s[i] = push(b, 'a', i % 2 ? "cosleep" : "sleep");
	for (int i = 0; i < 10; i++) {
		assert_int_equal(br_call(b, 'a', "nap", false)->act, 1);
		br_result(br_call(b, 'f', "fnap", false), got, sizeof(got));
		assert_string_equal(got, "str:rested"); // fetches may wait, unlike HAProxy's
		br_result(br_call(b, 'f', "sortnap", false), got, sizeof(got));
		assert_non_null(strstr(got, "sleep: cannot wait here"));
	}
	for (int i = 5; i >= 0; i--) {
		br_cancel(b, s[i], s[i]->seq);
		assert_ptr_equal(br_wait(b), s[i]);
		assert_int_equal(s[i]->end, CALL_CANCELLED);
	}
	push(b, 'a', "sleep"); // the thread stops with a sleeper
	assert_int_equal(br_call(b, 'a', "quick", false)->end, CALL_OK);
	br_free(b);
}

/* A cancellation that comes after the answer must not hit the slot's next call. */
static void
test_late_cancel(void **state sl_unused)
{
	struct bridge *b = br_new(scripts, &no_limits, 1);
	struct call_slot *s = br_call(b, 'a', "quick", false);
	uint32_t seq = s->seq;

	b->next = 0;
	assert_ptr_equal(push(b, 'a', "long"), s);
	br_cancel(b, s, seq);
	assert_ptr_equal(br_wait(b), s);
	assert_int_equal(s->end, CALL_OK);
	br_free(b);
}

/* No way around the limits; the state serves on afterwards. */
static void
test_limits(void **state sl_unused)
{
	static const struct {
		int line;
		uint8_t kind;
		const char *fn;
	} rows[] = {
		{ __LINE__, 'a', "loop" },
		{ __LINE__, 'a', "ploop" },
		{ __LINE__, 'a', "xploop" },
		{ __LINE__, 'a', "coloop" },
		{ __LINE__, 'a', "coploop" },
		{ __LINE__, 'a', "sortloop" },
		{ __LINE__, 'f', "floop" },
	};
	static const struct {
		struct global_conf conf;
		const char *why;
	} limits[] = {
		{ { .lua_session_timeout_ms = 10 }, "execution timeout" },
		{ { .lua_max_instructions = 100000 }, "instruction limit" },
	};

	for (size_t k = 0; k < SL_ARRAY_SIZE(limits); k++) {
		struct bridge *b = br_new(scripts, &limits[k].conf, 1);
		for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
			struct call_slot *s = br_call(b, rows[i].kind, rows[i].fn, false);
			// message handlers and sort may replace the text, nothing replaces the end
			if (s->end != CALL_EXHAUSTED)
				fail_msg("row at line %d: end %d, %s", rows[i].line, s->end,
					s->error);
			if (i == 0)
				assert_non_null(strstr(s->error, limits[k].why));
			assert_int_equal(br_call(b, 'a', "deny", false)->act, 5);
		}
		br_free(b);
	}
}

/*
 * A function that was always quick is not counted from its first instruction on. When it is not quick any
 * more it gets its limits all the same, and others their turn.
 */
static void
test_moods(void **state sl_unused)
{
	static const struct global_conf conf = { .lua_session_timeout_ms = 20 };
	struct bridge *b = br_new(scripts, &conf, 1);
	struct script_stats st[2];

	for (int i = 0; i < 50; i++)
		assert_int_equal(br_call(b, 'a', "moody", false)->act, 1);
	for (int i = 0; i < 4; i++) {
		struct call_slot *s = br_call(b, 'a', "moody", false);

		assert_int_equal(s->end, CALL_EXHAUSTED);
		assert_non_null(strstr(s->error, "execution timeout"));
		assert_int_equal(br_call(b, 'a', "deny", false)->act, 5);
	}
	br_free(b);

	b = br_new(scripts, NULL, 1);
	for (int i = 0; i < 50; i++)
		assert_int_equal(br_call(b, 'a', "moody", false)->act, 1);
	b->next = 0;
	push(b, 'a', "moody"); // has no limit here
	script_get_stats(0, &st[0]);
	b->next = 1;
	for (int i = 0; i < 20; i++)
		assert_int_equal(br_call(b, 'a', "deny", false)->act, 5);
	script_get_stats(0, &st[1]);
	assert_true(st[1].instructions > st[0].instructions);
	br_free(b);
}

/* Only what cannot yield has a burst: an action that loops is sliced and goes on. */
static void
test_burst(void **state sl_unused)
{
	static const struct global_conf conf = { .lua_burst_timeout_ms = 20 };
	struct bridge *b = br_new(scripts, &conf, 1);
	struct call_slot *s = br_call(b, 'f', "floop", false);

	assert_int_equal(s->end, CALL_EXHAUSTED);
	assert_non_null(strstr(s->error, "burst timeout"));
	s = push(b, 'a', "hog");
	assert_ptr_equal(br_wait(b), s);
	assert_int_equal(s->end, CALL_OK);
	br_free(b);
}

/* A thread that is kept from its CPU has not used it. */
static void
test_burst_is_cpu(void **state sl_unused)
{
	static const struct global_conf conf = { .lua_burst_timeout_ms = 100,
		.lua_session_timeout_ms = 100 };
	struct bridge *b = br_new(scripts, &conf, 1);
	struct call_slot *s = br_call(b, 'f', "stands", false);

	if (s->end != CALL_OK)
		fail_msg("%s", s->error);
	br_free(b);
}

/* The same script ends at the same count, whatever else runs. */
static void
test_deterministic(void **state sl_unused)
{
	static const struct global_conf conf = { .lua_forced_yield = 1000,
		.lua_max_instructions = 50500 };
	struct bridge *b = br_new(scripts, &conf, 1);
	uint64_t shortco = 0;

	for (int i = 0; i < 10; i++) {
		b->next = 0;
		struct call_slot *s = push(b, 'a', "loop");
		for (int k = 0; k < i; k++)
			push(b, 'a', "quick");
		for (int k = 0; k <= i; k++)
			br_wait(b);
		assert_int_equal(s->end, CALL_EXHAUSTED);
		assert_int_equal(s->instructions, 51000);
		b->next = 0;
		s = br_call(b, 'a', "shortco", false); // each far shorter than a slice: they count
		assert_int_equal(s->end, CALL_EXHAUSTED);
		shortco = i == 0 ? s->instructions : shortco;
		assert_int_equal(s->instructions, shortco);
	}
	br_free(b);
}

/* Making coroutines that end at once counts as well, in slices of any size. */
static void
test_tiny_coroutines(void **state sl_unused)
{
	static const struct global_conf conf = { .lua_max_instructions = 505000 };
	struct bridge *b = br_new(scripts, &conf, 1);
	uint64_t tiny = 0;

	for (int i = 0; i < 3; i++) {
		struct call_slot *s = br_call(b, 'a', "shortco", false);
		assert_int_equal(s->end, CALL_EXHAUSTED);
		assert_in_range(s->instructions, 505000, 505000 + SLICE);
		s = br_call(b, 'a', "tinyco", false);
		assert_int_equal(s->end, CALL_EXHAUSTED);
		assert_in_range(s->instructions, 505000, 505000 + SLICE);
		tiny = i == 0 ? s->instructions : tiny;
		assert_int_equal(s->instructions, tiny);
		s = br_call(b, 'f', "made", false);
		assert_in_range(s->value.i, 505000 / 400, 505000 / 100 + 1);
	}
	br_free(b);
}

/*
 * Endless calls get their share of the thread's time and not the rest either, though nobody else wants
 * it: the CPU may be shared with the packets. In wall time, so that load does not matter.
 */
static void
test_runaways(void **state sl_unused)
{
	static const struct global_conf conf = { .lua_forced_yield = 1000, .lua_runaway_share = 10 };
	struct timespec ms = { .tv_nsec = 1000000 }, wall[2];
	struct bridge *b = br_new(scripts, &conf, 1);
	struct script_stats st[2];
	double us;

	for (int i = 0; i < 8; i++)
		push(b, 'a', "loop");
	do {
		nanosleep(&ms, NULL);
		script_get_stats(0, &st[0]);
	} while (st[0].runaways < 8);
	clock_gettime(CLOCK_MONOTONIC, &wall[0]);
	for (int i = 0; i < 300; i++)
		nanosleep(&ms, NULL);
	script_get_stats(0, &st[1]);
	clock_gettime(CLOCK_MONOTONIC, &wall[1]);
	us = (double)(wall[1].tv_sec - wall[0].tv_sec) * 1e6 +
		(double)(wall[1].tv_nsec - wall[0].tv_nsec) / 1e3;
	if ((double)(st[1].runaway_us - st[0].runaway_us) > us * 0.2)
		fail_msg("endless calls had the thread for %llu of %.0f us",
			(unsigned long long)(st[1].runaway_us - st[0].runaway_us), us);
	assert_true(st[1].instructions > st[0].instructions); // they go on
	b->next = 20;
	for (int i = 0; i < 20; i++)
		assert_int_equal(br_call(b, 'a', "quick", false)->end, CALL_OK);
	br_free(b);
}

/* Who sleeps a little after each piece of work is one as well; a call that mostly waits is none. */
static void
test_dozing_runaway(void **state sl_unused)
{
	static const struct global_conf conf = { .lua_forced_yield = 1000, .lua_runaway_share = 10 };
	struct timespec ms = { .tv_nsec = 1000000 };
	struct bridge *b = br_new(scripts, &conf, 1);
	struct script_stats st;

	push(b, 'a', "waiter");
	do {
		nanosleep(&ms, NULL);
		script_get_stats(0, &st);
		assert_true(st.runaways == 0 && st.runaway_us == 0);
		b->next = 1; // beside its slot
	} while (br_call(b, 'f', "wakes", false)->value.i < 200);
	push(b, 'a', "dozer");
	for (int i = 0; i < 20000; i++) { // its CPU time as a runaway: of several rounds
		nanosleep(&ms, NULL);
		script_get_stats(0, &st);
		if (st.runaway_us >= 30000)
			break;
	}
	assert_true(st.runaway_us >= 30000);
	br_free(b);
}

static void
test_fn_stats(void **state sl_unused)
{
	static const struct global_conf conf = { .lua_forced_yield = 1000,
		.lua_max_instructions = 100000 };
	struct bridge *b = br_new(scripts, &conf, 1);
	struct script_fn_stats st;
	uint32_t found = 0;

	for (int i = 0; i < 3; i++) {
		br_call(b, 'a', "quick", false);
		br_call(b, 'a', "loop", false);
		br_call(b, 'a', "err", false);
	}
	for (uint32_t i = 0; script_fn_stats(b->gen, i, &st); i++) {
		bool loop = strcmp(st.name, "loop") == 0, err = strcmp(st.name, "err") == 0;

		if (st.kind != 'a' || !(loop || err || strcmp(st.name, "quick") == 0))
			continue;
		found++;
		assert_int_equal(st.calls, 3);
		assert_int_equal(st.errors, loop || err ? 3 : 0);
		assert_int_equal(st.instructions, loop ? 300000 : 0);
		assert_int_equal(st.waits + st.overloads, 0); // workers count these
		script_fn_counts(b->gen)[i].overloads = 4;
		script_fn_counts(b->gen)[i].waits = 5;
		assert_true(script_fn_stats(b->gen, i, &st));
		assert_true(st.overloads == 4 && st.waits == 5);
		assert_int_equal(
			st.us_10 + st.us_100 + st.ms_1 + st.ms_10 + st.ms_100 + st.longer, 3);
	}
	assert_int_equal(found, 3);
	br_free(b);
}

static uint32_t
times(const char *text, const char *what)
{
	uint32_t n = 0;

	while ((text = strstr(text, what)) != NULL) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* What holds a script thread is named once, or fails; it does not while files are loaded. */
static void
test_blocking(void **state sl_unused)
{
	static const struct global_conf error = { .lua_blocking_error = true };
	static const char file[] = "assert(os.execute('true'))\n"
		FETCH("blocks", "return tostring(select(2, pcall(os.execute, 'true')))");
	struct bridge *b = br_new(file, &no_limits, 1);
	char text[BR_TEXT];

	for (int i = 0; i < 3; i++)
		assert_string_equal(
			br_result(br_call(b, 'f', "blocks", false), text, sizeof(text)), "str:true");
	assert_int_equal(times(b->logged, "4:Lua: os.execute held a script thread for "), 1);
	br_free(b);
	b = br_new(file, &error, 1);
	assert_string_equal(br_result(br_call(b, 'f', "blocks", false), text, sizeof(text)),
		"str:os.execute blocks, and 'tune.lua.blocking error' is set");
	assert_int_equal(times(b->logged, "os.execute held"), 0);
	br_free(b);
}

/* tune.lua.bool-sample-conversion */
static void
test_booleans(void **state sl_unused)
{
	static const struct global_conf normal = { .lua_bool_normal = true };
	struct bridge *b = br_new(scripts, &no_limits, 1);
	char text[BR_TEXT];

	br_result(br_call(b, 'f', "boolean", false), text, sizeof(text));
	assert_string_equal(text, "str:number");
	br_free(b);
	b = br_new(scripts, &normal, 1);
	br_result(br_call(b, 'f', "boolean", false), text, sizeof(text));
	assert_string_equal(text, "str:boolean");
	br_free(b);
}

/* core.once: nobody waits for a call that has ended, however it did. */
static void
test_once_cancelled(void **state sl_unused)
{
	struct bridge *b = br_new(scripts, &no_limits, 1);
	struct call_slot *s = push(b, 'a', "oncehang"), *waits;
	uint64_t from;

	br_call(b, 'a', "quick", false); // it waits now
	waits = push(b, 'f', "onceget");
	br_call(b, 'a', "quick", false);
	assert_true(waits->busy);
	from = script_now_us();
	br_cancel(b, s, s->seq);
	assert_ptr_equal(br_wait(b), s);
	assert_ptr_equal(br_wait(b), waits);
	assert_true(sl_str_eq(waits->value.s, SL_STR("mine")));
	assert_in_range(script_now_us() - from, 0, 30000000); // not by some limit of time
	br_free(b);
}

/* Nor for itself. */
static void
test_once_inside(void **state sl_unused)
{
	struct bridge *b = br_new(scripts, &no_limits, 1);
	char got[BR_TEXT];

	alarm(30); // who waits for itself waits for ever
	br_result(br_call(b, 'f', "oncein", false), got, sizeof(got));
	alarm(0);
	assert_non_null(strstr(got, "str:false|"));
	assert_non_null(strstr(got, "once: 'in' is running here already|"));
	assert_non_null(strstr(got, "once: 'co' is running here already|"));
	assert_non_null(strstr(got, "|mine"));
	br_free(b);
}

/* A call that no state of the thread can take is an error of its function, and its text names the request. */
static void
test_no_state(void **state sl_unused)
{
	struct bridge *b = br_new(scripts, &no_limits, 1);
	struct call_slot *s = br_slot(b, 'a', "quick", false);
	struct script_fn_stats st;
	uint32_t found = 0;

	s->fn |= CALL_FN_PER_THREAD;
	br_push(b, s, 0);
	assert_ptr_equal(br_wait(b), s);
	assert_int_equal(s->end, CALL_ERROR);
	assert_string_equal(s->error, "its script thread has no state that knows it");
	for (uint32_t i = 0; script_fn_stats(b->gen, i, &st); i++) {
		if (st.kind != 'a' || strcmp(st.name, "quick") != 0)
			continue;
		found++;
		assert_true(st.calls == 1 && st.errors == 1);
	}
	assert_int_equal(found, 1);
	br_free(b);
}

/* A generation ends on its threads: what runs may end, tasks are cancelled, states are closed there. */
static void
test_retire(void **state sl_unused)
{
	static const char text[] = ACTION("nap",
		"core.msleep(50) return act.STOP") "task(function() core.sleep(3600) end)\n"
						   "task(function() while true do core.yield() end end)\n";
	struct bridge *b = br_new_per_thread(text, NULL, 2);
	struct timespec ts = { .tv_nsec = 1000000 };
	struct call_slot *s;

	script_publish(b->gen);
	s = push(b, 'a', "nap");
	script_retire(b->gen);
	while (!script_gen_closed(b->gen))
		nanosleep(&ts, NULL);
	assert_ptr_equal(br_wait(b), s); // closed means: nothing runs there any more
	assert_int_equal(s->act, 1);
	assert_int_equal(br_call(b, 'a', "nap", false)->end, CALL_ERROR); // none is left to call
	br_free(b);
}

static void
test_fetches_are_whole(void **state sl_unused)
{
	struct bridge *b = br_new(scripts, &no_limits, 1);

	push(b, 'a', "long");
	for (int i = 0; i < 20; i++)
		push(b, 'f', "count");
	for (int i = 0; i < 21; i++)
		br_wait(b);
	struct call_slot *s = br_call(b, 'f', "count", false);
	assert_int_equal(s->value.i, 21);
	br_free(b);
}

static void
test_memory(void **state sl_unused)
{
	static const struct global_conf conf = { .lua_maxmem_mb = 4 };
	struct bridge *b = br_new(scripts, &conf, 1);

	for (int i = 0; i < 3; i++) {
		struct call_slot *s = br_call(b, 'a', "eat", false);
		assert_int_equal(s->end, CALL_ERROR);
		assert_string_equal(s->error, "out of memory error");
		assert_int_equal(br_call(b, 'a', "quick", false)->end, CALL_OK);
	}
	/* a global holds it all: calls fail, none of them takes the thread down */
	assert_int_equal(br_call(b, 'a', "eat2", false)->end, CALL_ERROR);
	for (int i = 0; i < 100; i++)
		br_call(b, 'f', "fget", false);
	assert_int_equal(br_call(b, 'a', "free", false)->end, CALL_OK);
	assert_int_equal(br_call(b, 'a', "quick", false)->end, CALL_OK);
	br_free(b);
}

static void
test_many_calls(void **state sl_unused)
{
	static const char one[] = ACTION("one", "txn:set_var('txn.v', txn.sf:req_hdr('host'))");
	const uint32_t total = 100000;
	struct bridge *b = br_new(one, NULL, 1);
	uint32_t sent = 0, done = 0;
	struct script_stats st;

	while (done < total) {
		while (sent < total && sent - done < BR_SLOTS && !b->slots[sent % BR_SLOTS].busy) {
			push(b, 'a', "one");
			sent++;
		}
		struct call_slot *s = br_wait(b);
		assert_int_equal(s->end, CALL_OK);
		assert_true(sl_str_eq(s->first->value.s, SL_STR("www.example.com")));
		done++;
	}
	script_get_stats(0, &st);
	assert_int_equal(st.calls, total);
	assert_int_equal(st.running, 0);
	br_free(b);
}

/* lua-load-per-thread: each thread has its own state; its calls go there. */
static void
test_two_threads(void **state sl_unused)
{
	static const char text[] = FETCH("who", "return core.thread");
	struct bridge *b = br_new_per_thread(text, NULL, 2);

	for (uint16_t i = 0; i < 6; i++) {
		struct call_slot *s = br_slot(b, 'f', "who", false);
		br_push(b, s, i % 2);
		assert_ptr_equal(br_wait(b), s);
		assert_int_equal(s->value.i, i % 2 + 1);
	}
	br_free(b);
}

/* With an argument: only the tests of that name, e.g. test_many_calls under TSan. */
int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_error_text),
		cmocka_unit_test(test_converter),
		cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_weight),
		cmocka_unit_test(test_sleep),
		cmocka_unit_test(test_late_cancel),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_moods),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_burst_is_cpu),
		cmocka_unit_test(test_deterministic),
		cmocka_unit_test(test_tiny_coroutines),
		cmocka_unit_test(test_fetches_are_whole),
		cmocka_unit_test(test_runaways),
		cmocka_unit_test(test_dozing_runaway),
		cmocka_unit_test(test_error_id),
		cmocka_unit_test(test_fn_stats),
		cmocka_unit_test(test_blocking),
		cmocka_unit_test(test_booleans),
		cmocka_unit_test(test_once_cancelled),
		cmocka_unit_test(test_once_inside),
		cmocka_unit_test(test_no_state),
		cmocka_unit_test(test_retire),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_many_calls),
		cmocka_unit_test(test_two_threads),
	};
	const char *dup;

	if (expr_init(&dup) < 0)
		return 1;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
