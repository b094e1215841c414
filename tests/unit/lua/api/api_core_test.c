// SPDX-License-Identifier: BSD-3-Clause
/* Bodies: registering, errors, sandbox, memory cap, per-thread states; no script thread runs. */
#include "tests/unit/lua/api/load.h"

static char logged[4096];

static void
sink(void *ctx sl_unused, enum sl_level level, const char *type sl_unused, const char *text)
{
	size_t at = strlen(logged);

	snprintf(logged + at, sizeof(logged) - at, "%d:%s\n", (int)level, text);
}

static int
setup(void **state)
{
	struct script_gen *g;

	assert_int_equal(script_gen_new(&g), 0);
	logged[0] = '\0';
	*state = g;
	return 0;
}

static int
teardown(void **state)
{
	script_gen_free(*state);
	return 0;
}

static void
test_register(void **state)
{
	static const char text[] =
		"core.register_action('a', {'http-req','http-res'}, function() end, 2)\n"
		"core.register_fetches('f', function() end)\n"
		"core.register_converters('c', function() end)\n";
	struct script_gen *g = *state;
	struct script_err err;
	uint32_t points;

	assert_int_equal(load_text(g, text, false, &err), 0);
	int a = script_lookup(g, 'a', SL_STR("lua.a"), &points);
	assert_true(a >= 0);
	assert_int_equal(points, EVAL_BIT(EVAL_HTTP_REQ) | EVAL_BIT(EVAL_HTTP_RES));
	assert_int_equal(script_action_nargs(g, a), 2);
	assert_int_equal(script_lookup(g, 'a', SL_STR("a"), &points), a);
	assert_true(script_lookup(g, 'f', SL_STR("lua.f"), &points) >= 0);
	assert_true(points & EVAL_BIT(EVAL_BE_SWITCH));
	assert_false(points & EVAL_BIT(EVAL_LOG));
	assert_true(script_lookup(g, 'c', SL_STR("lua.c"), &points) >= 0);
	assert_int_equal(script_lookup(g, 'c', SL_STR("lua.f"), &points), -ENOENT);
	assert_int_equal(script_lookup(g, 'f', SL_STR("lua.nope"), &points), -ENOENT);
	assert_int_equal(script_gen_ready(g, 1, &err), 0);
}

/* What a body prints, or the error it ends with. */
static const struct {
	int line;
	const char *text;
	const char *error; // substring, NULL: loads
	const char *log;   // substring, NULL: any
} bodies[] = {
	{ __LINE__, "x = = 1", "unexpected symbol near '='", NULL },
	{ __LINE__, "x = = 1", "error in Lua file '/tmp/sluice-lua-", NULL },
	{ __LINE__, "error('boom')", "Lua runtime error: /tmp/sluice-lua-", NULL },
	{ __LINE__, "error('boom')", ":1: boom", NULL },
	{ __LINE__, "error({})", "Lua runtime error: unknown error (in '/tmp/sluice-lua-", NULL },
	{ __LINE__, "error('boom', 0)", "Lua runtime error: boom (in '/tmp/sluice-lua-", NULL },
	{ __LINE__, "core.register_action('a', {'bogus'}, function() end)",
		"Lua action environment 'bogus' is unknown.", NULL },
	{ __LINE__, "core.register_fetches('a', 12)",
		"bad argument #2 to 'register_fetches' (function expected, got number)", NULL },
	{ __LINE__, "core.register_fetches('a', print) core.register_fetches('a', print)", NULL,
		"4:Trying to register sample-fetch 'lua.a' more than once." },
	{ __LINE__, "core.log(core.info, 'hi')", NULL, "6:hi\n" },
	{ __LINE__, "core.Alert('hi')", NULL, "1:hi\n" },
	{ __LINE__, "core.Warning('hi') core.Info('x') core.Debug('y')", NULL, "4:hi\n6:x\n7:y\n" },
	{ __LINE__, "core.log(9, 'hi')", "Invalid loglevel.", NULL },
	{ __LINE__, "print('a', 1, nil, true)", NULL, "5:a\t1\tnil\ttrue\n" },
	{ __LINE__, "print(core.thread)", NULL, "5:0\n" },
	{ __LINE__, "print(math.type(core.now().sec), core.now().sec > 1600000000)", NULL,
		"integer\ttrue" },
	{ __LINE__, "print(table.concat(core.tokenize('a,b;c,,d', ',;'), '|'))", NULL, "a|b|c||d" },
	{ __LINE__, "print(table.concat(core.tokenize('a,b;c,,d', ',;', true), '|'))", NULL,
		"a|b|c|d" },
	/* sandbox */
	{ __LINE__, "debug.sethook()", "debug.sethook is not allowed", NULL },
	{ __LINE__, "os.exit(0)", "os.exit is not allowed", NULL },
	{ __LINE__, "load(string.dump(function() end), 'x', 'b')()", "attempt to call a nil value",
		NULL },
	{ __LINE__, "print(select(2, load(string.dump(function() end))))", NULL,
		"attempt to load a binary chunk (mode is 't')" },
	{ __LINE__, "print(load('return 1 + ...')(2))", NULL, "5:3\n" },
	{ __LINE__, "print(load('return x', 'n', 't', {x = 7})())", NULL, "5:7\n" },
	{ __LINE__,
		"local n = os.tmpname() local f = io.open(n, 'wb')"
		" f:write(string.dump(function() end)) f:close()"
		" local a, b, c = select(2, loadfile(n)), select(2, pcall(dofile, n)), nil"
		" package.path = n .. ';' .. package.path"
		" c = select(2, pcall(require, 'some'))"
		" os.remove(n)"
		" for _, s in ipairs({a, b, c}) do"
		"  assert(string.find(s, \"binary chunk (mode is 't')\", 1, true), s) end"
		" print('all', 3)",
		NULL, "all\t3" },
	/* what all states share has a bound that no script lifts */
	{ __LINE__, "core.shared('a lot', 1 << 50)",
		"more than the 268435456 bytes that all tables have together", NULL },
	{ __LINE__, "core.shared('bounded'):bound(1 << 50)",
		"more than the 268435456 bytes that all tables have together", NULL },
	{ __LINE__, "core.shared('bounded'):bound(-1)", "bytes expected", NULL },
	/* the library debug is no way around it */
	{ __LINE__, "print('n', select('#', debug.getupvalue(load, 1)))", NULL, "5:n\t0\n" },
	{ __LINE__, "print('n', select('#', debug.getupvalue(os.execute, 1)))", NULL, "5:n\t0\n" },
	{ __LINE__, "debug.setupvalue(load, 2, 99)",
		"debug.setupvalue is not allowed for a function of C", NULL },
	{ __LINE__, "debug.getregistry()", "debug.getregistry is not allowed", NULL },
	{ __LINE__, "debug.debug()", "debug.debug is not allowed", NULL },
	{ __LINE__, "debug.setmetatable(io.stdout, {})",
		"debug.setmetatable is not allowed for userdata", NULL },
	{ __LINE__,
		"local real load(function() real = debug.getinfo(2, 'f').func end)"
		" print('found', real, debug.getinfo(1, 'f').func ~= nil,"
		" debug.getinfo(print, 'f').func == print)",
		NULL, "5:found\tnil\ttrue\ttrue\n" },
	{ __LINE__,
		"table.sort({2, 1}, function(a, b) print('c', debug.getlocal(2, 1)) return a < b end)",
		NULL, "5:c\tnil\n" },
	{ __LINE__, "table.sort({2, 1}, function(a, b) debug.setlocal(2, 1, 7) end)",
		"debug.setlocal sets the named variables of Lua functions only", NULL },
	{ __LINE__,
		"local function f() for i = 1, 9 do debug.setlocal(2, i, 7) end end"
		" local t = {1, f()}",
		"debug.setlocal sets the named variables of Lua functions only", NULL },
	{ __LINE__,
		"getmetatable(Regex.new and select(2, Regex.new('a', true))[0]).__gc(io.stdout)",
		"(sl.regex expected, got FILE*)", NULL },
	{ __LINE__, "getmetatable(core.concat()[0]).__gc(io.stdout)", "expected, got", NULL },
	{ __LINE__, "getmetatable(core.tcp()[0]).__gc(io.stdout)", "expected, got", NULL },
	/* and what loggers and tracers use works */
	{ __LINE__,
		"local a, b = 1, 2 local function f(x) local y = x"
		" local n, v = debug.getlocal(2, 1) debug.setlocal(2, 1, 5)"
		" return n, v, debug.getinfo(2, 'l').currentline,"
		" debug.getupvalue(function() return y end, 1) end"
		" print('have', f(3)) print('set', a)",
		NULL, "5:have\ta\t1\t1\ty\t3\n5:set\t5\n" },
	{ __LINE__,
		"local x = 1 local function f() return x end debug.setupvalue(f, 1, 8)"
		" local t = debug.setmetatable({}, {__index = {q = 9}})"
		" print(f(), t.q, debug.getmetatable(io.stdout) ~= nil,"
		" debug.traceback('where'):match('main chunk'))",
		NULL, "5:8\t9\ttrue\tmain chunk\n" },
	{ __LINE__,
		"local co = coroutine.create(function(v) local w = v coroutine.yield() end)"
		" coroutine.resume(co, 4) print('co', debug.getlocal(co, 1, 2))"
		" print('none', pcall(debug.getlocal, 99, 1))",
		NULL, "5:co\tw\t4\n5:none\tfalse\tbad argument #1 to '" },
	{ __LINE__, "os.exit = nil print(os.exit)", NULL, "5:nil\n" },
	/* coroutines behave as ever */
	{ __LINE__,
		"local c = coroutine.create(function(a) local b = coroutine.yield(a + 1)"
		" error('x' .. b, 0) end)"
		" print(coroutine.resume(c, 1)) print(coroutine.resume(c, 5))"
		" print(coroutine.resume(c))",
		NULL, "5:true\t2\n5:false\tx5\n5:false\tcannot resume dead coroutine\n" },
	{ __LINE__,
		"local g = coroutine.wrap(function(...) for i = 1, select('#', ...) do"
		" coroutine.yield(i, i * i) end end)"
		" print(g('a', 'b')) print(g()) print(g())"
		" print(pcall(g))",
		NULL, "5:1\t1\n5:2\t4\n5:\n5:false\t" },
	{ __LINE__, "print(pcall(coroutine.resume, 1)) print(coroutine.isyieldable())", NULL,
		"coroutine expected" },
};

static void
test_bodies(void **state sl_unused)
{
	struct script_err err;
	struct script_gen *g;

	for (size_t i = 0; i < SL_ARRAY_SIZE(bodies); i++) {
		assert_int_equal(script_gen_new(&g), 0);
		logged[0] = '\0';
		int rc = load_text(g, bodies[i].text, false, &err);
		if ((rc == 0) != (bodies[i].error == NULL) ||
			(bodies[i].error != NULL && strstr(err.text, bodies[i].error) == NULL) ||
			(bodies[i].log != NULL && strstr(logged, bodies[i].log) == NULL))
			fail_msg("row at line %d: rc %d, error \"%s\", log \"%s\"", bodies[i].line,
				rc, err.text, logged);
		script_gen_free(g);
	}
}

static void
test_missing_file(void **state)
{
	struct script_err err;

	assert_int_equal(script_load(*state, "/nonexistent/x.lua", NULL, 0, false, &err), -EINVAL);
	assert_string_equal(err.text,
		"error in Lua file '/nonexistent/x.lua': cannot open /nonexistent/x.lua: No such file"
		" or directory");
}

static void
test_args(void **state)
{
	struct script_gen *g = *state;
	struct sl_str args[] = { SL_STR("one"), SL_STR("two") };
	struct script_err err;
	char name[] = "/tmp/sluice-lua-XXXXXX";
	int fd = mkstemp(name);

	assert_int_equal(write(fd, "print(...)", 10), 10);
	close(fd);
	assert_int_equal(script_load(g, name, args, 2, false, &err), 0);
	unlink(name);
	assert_non_null(strstr(logged, "one\ttwo"));
}

static void
test_memory_cap(void **state)
{
	static const char small[] = "t = nil x = string.rep('a', 1 << 10) print(#x)";
	static const char regexes[] = "t = {} for i = 1, 3000 do"
				      " local ok, r = Regex.new(('(a|b)*c'):rep(40) .. i, true)"
				      " if not ok then error(r) end t[i] = r end";
	static const char passing[] = "t = nil for i = 1, 1000 do"
				      " assert(Regex.new(('(a|b)*c'):rep(40) .. i, true)) end";
	struct script_gen *g = *state;
	struct global_conf conf = { .lua_maxmem_mb = 2 };
	struct script_err err;

	script_gen_conf(g, &conf);
	assert_int_equal(load_text(g, "x = string.rep('a', 8 << 20)", false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not enough memory"));
	assert_int_equal(
		load_text(g, "t = {} for i = 1, 1e7 do t[i] = i end", false, &err), -EINVAL);
	assert_string_equal(err.text, "Lua out of memory error");
	/* what PCRE2 holds counts, too, until the object is garbage */
	assert_int_equal(load_text(g, regexes, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "out of memory"));
	assert_int_equal(load_text(g, passing, false, &err), 0);
	/* the state lives on */
	assert_int_equal(load_text(g, small, false, &err), 0);
	assert_non_null(strstr(logged, "1024"));
}

static void
test_init(void **state)
{
	static const char text[] = "core.register_init(function() print('first') end)"
				   "core.register_init(function() print('second')"
				   " core.register_fetches('late', print) end)";
	struct script_gen *g = *state;
	struct script_err err;

	assert_int_equal(load_text(g, text, false, &err), 0);
	assert_null(strstr(logged, "first"));
	assert_int_equal(script_gen_ready(g, 1, &err), -EINVAL);
	assert_non_null(strstr(logged, "5:first\n5:second\n"));
	assert_non_null(strstr(err.text, "not available outside of the body"));
}

static void
test_per_thread(void **state)
{
	struct script_gen *g = *state;
	struct script_err err;
	uint32_t points;
	int rc = load_text(
		g, "print('t', core.thread) core.register_fetches('p', print)", true, &err);

	assert_int_equal(rc, 0);
	int p = script_lookup(g, 'f', SL_STR("lua.p"), &points);
	assert_true(p >= 0 && (p & CALL_FN_PER_THREAD));
	assert_non_null(strstr(logged, "t\t1\n5:t\t2\n5:t\t3\n"));
	assert_int_equal(load_text(g, "core.register_fetches('p', print)", false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "these two context exclusive"));
}

static void
test_not_in_all_threads(void **state)
{
	struct script_err err;
	int rc = load_text(*state, "if core.thread == 1 then core.register_fetches('p', print) end",
		true, &err);

	assert_int_equal(rc, -EINVAL);
	assert_non_null(strstr(err.text, "is not referenced in all thread"));
}

static void
test_prepend_path(void **state)
{
	struct global_conf conf = { .lua_prepend_path = SL_STR("/some/where/?.lua") };
	struct script_err err;

	script_gen_conf(*state, &conf);
	assert_int_equal(load_text(*state, "print(package.path)", false, &err), 0);
	assert_non_null(strstr(logged, "5:/some/where/?.lua;"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_register, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bodies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_args, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_cap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_init, setup, teardown),
		cmocka_unit_test_setup_teardown(test_per_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_in_all_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prepend_path, setup, teardown),
	};
	const char *dup;

	sl_log_set_sink(sink, NULL);
	sl_log_set_level(SL_DEBUG);
	if (expr_init(&dup) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
