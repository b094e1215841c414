// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loading beside a running event loop: what comes of it, its messages, and how it is cancelled.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/reload_priv.h"

#define GOOD                                                                     \
	"defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout " \
	"connect 1s\nfrontend f\n bind 127.0.0.1:80\n"
#define LUA "global\n lua-load %s/x.lua\n"

static char dir[] = "/tmp/sluice-loader-XXXXXX";
static struct {
	bool done, stuck;
	struct model *m;
	char text[8192];
	struct ev_loop *ev;
} got;

static void
on_done(void *ctx sl_unused, struct model *m, struct sl_str text)
{
	got.done = true;
	got.m = m;
	snprintf(got.text, sizeof(got.text), "%.*s", SL_STR_ARG(text));
	ev_break(got.ev, EVBREAK_ALL);
}

static void
on_stuck(void *ctx sl_unused)
{
	got.stuck = true;
	ev_break(got.ev, EVBREAK_ALL);
}

static const char *
path(const char *name)
{
	static char p[100];

	snprintf(p, sizeof(p), "%s/%s", dir, name);
	return p;
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(path(name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct loader *
begin(const char *conf, const char *lua, uint32_t timeout_ms)
{
	static const char *files[1];
	static struct options o;
	struct loader *l = NULL;
	struct loader_spec s = { .opt = &o,
		.generation = 7,
		.timeout_ms = timeout_ms,
		.done = on_done,
		.stuck = on_stuck };
	static char name[100];
	char text[1024];

	snprintf(text, sizeof(text), LUA "%s", dir, conf);
	put("x.cfg", text);
	put("x.lua", lua);
	snprintf(name, sizeof(name), "%s", path("x.cfg"));
	files[0] = name;
	o = (struct options){ .files = files, .nfiles = 1 };
	memset(&got, 0, sizeof(got));
	s.ev = got.ev = ev_loop_new(0);
	assert_int_equal(loader_start(&s, &l), 0);
	return l;
}

static void
end(void)
{
	ev_loop_destroy(got.ev);
	conf_free(got.m);
	unlink(path("x.cfg"));
	unlink(path("x.lua"));
}

static void
test_good(void **state sl_unused)
{
	begin(GOOD, "core.register_action('a', {'http-req'}, function() end)", 20000);
	ev_run(got.ev, 0);
	assert_non_null(got.m);
	assert_int_equal(got.m->generation, 7);
	assert_int_equal(got.m->nbinds, 1);
	assert_string_equal(got.text, "");
	end();
}

static void
test_messages(void **state sl_unused)
{
	static const struct {
		int line;
		const char *conf, *lua, *want[2];
	} rows[] = {
		{ __LINE__, GOOD " frob\n", "", { "unknown keyword 'frob' in 'frontend' section",
			"Fatal errors found in configuration." } },
		{ __LINE__, GOOD, "error('no')", { "x.lua:1: no", "Fatal errors" } },
		{ __LINE__, GOOD, "core.register_init(function() error('late') end)",
			{ "late", "Fatal errors" } },
		{ __LINE__, "defaults\n mode http\n", "", { "No enabled listener found", "ALERT" } },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		begin(rows[i].conf, rows[i].lua, 20000);
		ev_run(got.ev, 0);
		if (got.m != NULL || strstr(got.text, rows[i].want[0]) == NULL ||
			strstr(got.text, rows[i].want[1]) == NULL)
			fail_msg("line %d: %s", rows[i].line, got.text);
		end();
	}
}

/* A script that never ends is ended, whatever it does about it. */
static void
test_time_limit(void **state sl_unused)
{
	static const char *const rows[] = {
		"while true do end",
		"while true do pcall(function() while true do end end) end",
		"core.register_init(function() while true do end end)",
		"local c = coroutine.create(function() while true do end end) coroutine.resume(c)\n"
		"while true do end",
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		begin(GOOD, rows[i], 50);
		ev_run(got.ev, 0);
		assert_true(got.done);
		assert_null(got.m);
		if (strstr(got.text, "loading was cancelled: it took too long") == NULL)
			fail_msg("%s: %s", rows[i], got.text);
		end();
	}
}

/* Its CPU time has a limit of its own, which holds for -c and the start too; the line is named. */
static void
test_cpu_limit(void **state sl_unused)
{
	static const char conf[] = " tune.lua.load-timeout 20ms\n" GOOD;
	static const char *const rows[] = {
		"local x = 1\nwhile true do end",
		"local x = 1\nwhile true do pcall(function() while true do end end) end",
		"core.register_init(function()\nwhile true do end end)",
		"local c = coroutine.wrap(function() while true do end end)\nc()",
	};
	static const char want[] =
		"loading used more than 20 ms of CPU time ('tune.lua.load-timeout')";

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		begin(conf, rows[i], 60000);
		ev_run(got.ev, 0);
		assert_null(got.m);
		if (strstr(got.text, want) == NULL || strstr(got.text, "x.lua:2: ") == NULL)
			fail_msg("%s: %s", rows[i], got.text);
		end();
	}
}

/* One that is stuck in C cannot be ended: that is said, and its end is still taken. */
static void
test_stuck(void **state sl_unused)
{
	char lua[200];

	snprintf(lua, sizeof(lua), "local f = io.open('%s/pipe') f:read('a')", dir);
	assert_int_equal(mkfifo(path("pipe"), 0600), 0);
	begin(GOOD, lua, 10);
	int fd;
	do // until the script is in there; the limit is looked at by the loop, so later
		fd = open(path("pipe"), O_WRONLY | O_NONBLOCK);
	while (fd < 0 && errno == ENXIO);
	assert_true(fd >= 0);
	ev_run(got.ev, 0);
	assert_true(got.stuck);
	assert_false(got.done);
	close(fd); // now it comes back
	ev_run(got.ev, 0);
	assert_true(got.done);
	assert_null(got.m);
	unlink(path("pipe"));
	end();
}

/* The daemon ends meanwhile. */
static void
test_stop(void **state sl_unused)
{
	struct loader *l = begin(GOOD, "while true do end", 0);

	bool ended = false;

	for (int i = 0; i < 60 && !ended; i++) // half a second each
		ended = loader_stop(l);
	assert_true(ended);
	assert_false(got.done);
	end();
}

static int
make_dir(void **state sl_unused)
{
	return mkdtemp(dir) == NULL;
}

static int
remove_dir(void **state sl_unused)
{
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_cpu_limit),
		cmocka_unit_test(test_stuck),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
