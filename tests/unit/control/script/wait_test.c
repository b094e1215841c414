// SPDX-License-Identifier: BSD-3-Clause
/*
 * Waiting for what happens outside of Lua, what ends with a call, messages to a script thread, and
 * tasks: through a table `probe` that only this test has, built on what control/script gives lua/api.
 */
#include "tests/unit/lua/api/bridge.h"

#include <lauxlib.h>
#include <lua.h>

#define ACTION(name, body) \
	"core.register_action('" name "', {'http-req'}, function(txn) " body " end)\n"
#define FETCH(name, body) "core.register_fetches('" name "', function(txn) " body " end)\n"

#define NWAIT             8

static struct {
	struct script_wait *wait[NWAIT];  // by number; in userdata, which the waiters hold
	struct script_thread *thread;     // of the last waiter
	_Atomic(uint32_t) waiting[NWAIT]; // how many came to wait
	_Atomic(uint32_t) ended;          // scopes
	struct script_note note[NWAIT];
} probe;

static int
wait_k(lua_State *L, int status sl_unused, intptr_t ctx)
{
	struct script_wait *w = lua_touserdata(L, -1);

	assert_int_equal(ctx, 17);
	assert_null(w->run);
	lua_pushstring(L, w->woken ? "woken" : "time");
	return 1;
}

/* probe.wait(number [, ms]) */
static int
l_wait(lua_State *L)
{
	lua_Integer i = luaL_checkinteger(L, 1);
	lua_Integer ms = luaL_optinteger(L, 2, -1);
	struct script_wait *w = lua_newuserdata(L, sizeof(*w));

	memset(w, 0, sizeof(*w));
	lua_pushvalue(L, -1);
	luaL_ref(L, LUA_REGISTRYINDEX); // notes that come late still look at it
	script_check_wait(L, "probe");
	probe.wait[i] = w;
	probe.thread = script_here(L);
	atomic_fetch_add(&probe.waiting[i], 1);
	return script_wait(L, w, ms < 0 ? SCRIPT_FOREVER : (uint64_t)ms, "probe", wait_k, 17);
}

static int
l_wake(lua_State *L)
{
	script_wake(probe.wait[luaL_checkinteger(L, 1)]);
	return 0;
}

struct scoped {
	struct script_scoped s;
};

static void
on_end(struct script_scoped *s, bool clean sl_unused)
{
	assert_false(s->node.next != NULL);
	atomic_fetch_add(&probe.ended, 1);
}

static int
l_scoped(lua_State *L)
{
	struct scoped *s =
		lua_newuserdata(L, sizeof(*s)); // kept by the state: __gc is not the subject

	memset(s, 0, sizeof(*s));
	s->s.end = on_end;
	luaL_ref(L, LUA_REGISTRYINDEX);
	script_scope_add(L, &s->s);
	return 0;
}

static int
l_task(lua_State *L)
{
	lua_pushinteger(L, script_task(L, lua_gettop(L) - 1));
	return 1;
}

static void
open_probe(lua_State *L)
{
	static const luaL_Reg fn[] = { { "wait", l_wait }, { "wake", l_wake },
		{ "scoped", l_scoped }, { "task", l_task }, { NULL, NULL } };

	luaL_newlib(L, fn);
	lua_setglobal(L, "probe");
}

SL_LUA_API({ "probe", open_probe, "of this test" });

// clang-format off
static const char scripts[] =
	ACTION("wait", "core.Info(probe.wait(0)) return act.STOP")
	FETCH("fwait", "return probe.wait(0)")
	FETCH("cowait", "return coroutine.wrap(function()"
		" local ok, v = pcall(probe.wait, 0) return v end)()")
	FETCH("timed", "return probe.wait(1, 1)")
	FETCH("both", "return probe.wait(1, 3600000)")
	FETCH("wake", "probe.wake(1) return 'did'")
	"core.register_converters('cwait', function(s) return s .. probe.wait(0) end)\n"
	FETCH("sortwait", "return select(2, pcall(table.sort, {1, 2, 3}, function()"
		" probe.wait(2) return false end))")
	FETCH("gsubwait", "return select(2, pcall(string.gsub, 'a', 'a', function()"
		" probe.wait(2) end))")
	FETCH("gcwait", "r = '' setmetatable({}, {__gc = function()"
		" r = select(2, pcall(probe.wait, 2)) end}) collectgarbage() return r")
	FETCH("metawait", "return setmetatable({}, {__index = function(t, k)"
		" return probe.wait(1, 1) end}).x")
	ACTION("scope", "probe.scoped() probe.scoped() return act.STOP")
	ACTION("scopeerr", "probe.scoped() error('x')")
	ACTION("scopewait", "probe.scoped() probe.wait(3)")
	"bodyerr = select(2, pcall(probe.wait, 2))\n"
	FETCH("bodyerr", "return bodyerr")
	"n = 0\n"
	"probe.task(function(a, b) n = n + a + b core.msleep(1) n = n + 100 end, 1, 2)\n"
	FETCH("ntasks", "return n")
	FETCH("spawn", "return probe.task(function() probe.scoped() n = n + 1000 end)")
	FETCH("spawnwait", "return probe.task(function() probe.scoped() probe.wait(4) n = n + 1 end)")
	FETCH("spawnerr", "return probe.task(function() local x = nil; return x.y end)")
	FETCH("spawnloop", "return probe.task(function() while true do end end)")
	FETCH("many", "for i = 1, 5000 do local rc = probe.task(function() core.sleep(3600) end)"
		" if rc ~= 0 then return rc .. ' at ' .. i end end");
// clang-format on

static struct bridge *
start(const struct global_conf *conf)
{
	memset(&probe, 0, sizeof(probe));
	return br_new(scripts, conf, 1);
}

static void
until(_Atomic(uint32_t) *n, uint32_t want)
{
	struct timespec ts = { .tv_nsec = 20000 };

	while (atomic_load(n) < want)
		nanosleep(&ts, NULL);
}

static void
on_note(struct script_note *n)
{
	script_wake(probe.wait[n - probe.note]);
}

/* From this thread, which is none of Lua's. */
static void
post(int i)
{
	probe.note[i].fn = on_note;
	script_post(probe.thread, &probe.note[i]);
}

static const char *
fetch(struct bridge *b, const char *fn)
{
	static char got[BR_TEXT];

	return br_result(br_call(b, 'f', fn, false), got, sizeof(got));
}

/* In every kind of call, and inside the script's own coroutines. */
static void
test_wait(void **state sl_unused)
{
	static const struct {
		uint8_t kind;
		const char *fn, *want;
	} rows[] = {
		{ 'a', "wait", "none" },
		{ 'f', "fwait", "str:woken" },
		{ 'f', "cowait", "str:woken" },
		{ 'c', "cwait", "str:in-woken" },
	};
	struct bridge *b = start(NULL);
	char got[BR_TEXT];

	for (uint32_t i = 0; i < 40; i++) {
		size_t k = i % SL_ARRAY_SIZE(rows);
		struct call_slot *s = br_slot(b, rows[k].kind, rows[k].fn, false);

		s->input = (struct sample){ .type = T_STR, .s = SL_STR("in-") };
		br_push(b, s, 0);
		until(&probe.waiting[0], i + 1);
		post(0);
		assert_ptr_equal(br_wait(b), s);
		assert_string_equal(br_result(s, got, sizeof(got)), rows[k].want);
	}
	assert_string_equal(fetch(b, "timed"), "str:time");
	assert_string_equal(fetch(b, "metawait"), "str:time"); // a metamethod may wait
	struct call_slot *s = br_slot(b, 'f', "both", false);
	br_push(b, s, 0);
	until(&probe.waiting[1], 3);
	br_push(b, br_slot(b, 'f', "wake", false), 0); // by another call of the state
	assert_string_equal(br_result(br_wait(b), got, sizeof(got)), "str:did");
	assert_string_equal(br_result(br_wait(b), got, sizeof(got)), "str:woken");
	br_free(b);
}

static void
test_cannot_wait(void **state sl_unused)
{
	struct bridge *b = start(NULL);

	assert_non_null(strstr(fetch(b, "sortwait"),
		": probe: cannot wait here: below a C function such as table.sort or string.gsub, or in"
		" __gc"));
	assert_non_null(strstr(fetch(b, "gsubwait"), "cannot wait here: below a C function"));
	assert_non_null(strstr(fetch(b, "gcwait"), "cannot wait here: below a C function"));
	assert_non_null(
		strstr(fetch(b, "bodyerr"), "probe: cannot wait here: not in a call or a task"));
	br_free(b);
}

/* A cancelled wait is forgotten: a wake that comes later finds nobody, in whatever order. */
static void
test_cancel(void **state sl_unused)
{
	struct bridge *b = start(NULL);

	for (uint32_t i = 0; i < 20; i++) {
		struct call_slot *s = br_slot(b, 'a', i % 2 ? "wait" : "scopewait", false);

		br_push(b, s, 0);
		until(&probe.waiting[i % 2 ? 0 : 3], i / 2 + 1);
		if (i % 3 == 0)
			post(i % 2 ? 0 : 3); // beside the cancellation: either may win
		br_cancel(b, s, s->seq);
		assert_ptr_equal(br_wait(b), s);
		assert_true(s->end == CALL_CANCELLED || i % 3 == 0);
		assert_string_equal(fetch(b, "timed"), "str:time");
	}
	assert_int_equal(atomic_load(&probe.ended), 10);
	br_push(b, br_slot(b, 'a', "wait", false), 0); // the thread stops with a waiter
	until(&probe.waiting[0], 11);
	br_free(b);
}

/* end() has run when the answer is there. */
static void
test_scope(void **state sl_unused)
{
	struct bridge *b = start(NULL);

	assert_int_equal(br_call(b, 'a', "scope", false)->end, CALL_OK);
	assert_int_equal(atomic_load(&probe.ended), 2);
	assert_int_equal(br_call(b, 'a', "scopeerr", false)->end, CALL_ERROR);
	assert_int_equal(atomic_load(&probe.ended), 3);
	br_push(b, br_slot(b, 'a', "scopewait", false), 0);
	until(&probe.waiting[3], 1);
	assert_int_equal(atomic_load(&probe.ended), 3);
	br_free(b); // with the state
	assert_int_equal(atomic_load(&probe.ended), 4);
}

static void
wait_for(struct bridge *b, const char *fn, const char *want)
{
	while (strcmp(fetch(b, fn), want) != 0)
		;
}

static void
test_tasks(void **state sl_unused)
{
	static const struct global_conf conf = { .lua_task_timeout_ms = 20 };
	struct bridge *b = start(&conf);
	struct script_stats st;

	assert_string_equal(fetch(b, "ntasks"), "sint:0"); // not before it is published
	script_publish(b->gen);
	wait_for(b, "ntasks", "sint:103");
	assert_string_equal(fetch(b, "spawn"), "sint:0");
	until(&probe.ended, 1);
	wait_for(b, "ntasks", "sint:1103");
	assert_string_equal(fetch(b, "spawnwait"), "sint:0");
	until(&probe.waiting[4], 1);
	script_get_stats(0, &st);
	post(4);
	until(&probe.ended, 2);
	wait_for(b, "ntasks", "sint:1104");
	assert_string_equal(fetch(b, "spawnerr"), "sint:0");
	assert_string_equal(fetch(b, "spawnloop"), "sint:0");
	while (strstr(b->logged, "execution timeout") == NULL)
		fetch(b, "ntasks");
	assert_non_null(strstr(b->logged, "1:Lua task: [state-id 0] runtime error: "));
	assert_non_null(strstr(b->logged, "attempt to index a nil value (local 'x')"));
	assert_string_equal(fetch(b, "many"), "str:-28 at 4097"); // the bound, and none was lost
	br_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_cannot_wait),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_tasks),
	};
	const char *dup;

	if (expr_init(&dup) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
