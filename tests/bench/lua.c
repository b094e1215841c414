// SPDX-License-Identifier: BSD-3-Clause
/*
 * Scripts of sluice-bench.
 *
 * The hostile set, by the number in the request's path: 1 to 8 loop for ever, 9 allocates without bound
 * (again and again, as its call fails at the state's cap), 10 sleeps a minute in a C function. Loops end with
 * the thread that the sleeper costs: 21 to 28, which bench.c asks for in each second, loop anew, for a second.
 * Every tenth request calls a hook of some 40 us: twice of what one thread can run. What is plain calls
 * nothing. The worker's requests wait for no hostile one: they have deadlines and go on.
 */
#include "tests/bench/lua.h"

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/script/script.h"

const char bench_lua_reply[] = "\r\nx-lua: www.example.com\r\n";

static const char script[] =
	"core.register_action('bench', {'http-req'}, function(txn)\n"
	" txn:set_var('txn.bench', txn.sf:req_hdr('host'))\n"
	"end)\n"
	"core.register_action('loop', {'http-req'}, function() while true do end end)\n"
	"core.register_action('eat', {'http-req'}, function()\n"
	" local t = {} for i = 1, 1e9 do t[i] = i end end)\n"
	"core.register_action('stuck', {'http-req'}, function() bench.sleep(60) end)\n"
	"core.register_action('hook', {'http-req'}, function(txn)\n"
	" local n = 0 for i = 1, 3000 do n = n + i end txn:set_var('txn.n', n) end)\n";

static int
l_sleep(lua_State *L)
{
	sleep((unsigned)luaL_checkinteger(L, 1));
	return 0;
}

static void
open_bench(lua_State *L)
{
	static const luaL_Reg fn[] = { { "sleep", l_sleep }, { NULL, NULL } };

	luaL_newlib(L, fn);
	lua_setglobal(L, "bench");
}

SL_LUA_API({ "bench", open_bench, "of the benchmark" });

bool
bench_lua_conf(uint32_t n, bool hostile, char *global, size_t gsize, char *fe, size_t fsize)
{
	static const char bad[] =
		"    http-request lua.loop deadline 60s on-overload continue if { path_beg"
		" /bench/2000000001 /bench/2000000002 /bench/2000000003 /bench/2000000004"
		" /bench/2000000005 /bench/2000000006 /bench/2000000007 /bench/2000000008 }\n"
		"    http-request lua.loop deadline 1s on-overload continue if { path_beg"
		" /bench/2000000021 /bench/2000000022 /bench/2000000023 /bench/2000000024"
		" /bench/2000000025 /bench/2000000026 /bench/2000000027 /bench/2000000028 }\n"
		"    http-request lua.eat on-overload continue if { path_beg /bench/2000000009 }\n"
		"    http-request lua.stuck deadline 60s on-overload continue if { path_beg"
		" /bench/2000000010 }\n"
		"    http-request lua.hook on-overload continue if { path,field(3,/),bytes(9,1)"
		" -m str 4 } { path_beg /bench/2 }\n"; // as much work for plain ones
	int fd = memfd_create("bench.lua", 0);
	struct sl_buf b;

	if (fd < 0 || write(fd, script, sizeof(script) - 1) != (ssize_t)sizeof(script) - 1)
		return false;
	snprintf(global, gsize,
		"    lua-load /proc/self/fd/%d\n    tune.lua.maxmem 16\n"
		"    tune.lua.session-timeout 0\n    tune.lua.stuck-timeout 500ms\n"
		"    tune.lua.forced-yield 1000\n",
		fd);
	sl_buf_init(&b, fe, (uint32_t)fsize);
	if (hostile)
		sl_buf_addc(&b, bad);
	for (uint32_t i = 0; i < n; i++)
		sl_buf_addc(&b, "    http-request lua.bench\n");
	if (n > 0)
		sl_buf_addc(&b, "    http-response set-header x-lua %[var(txn.bench)]\n");
	sl_buf_char(&b, '\0');
	return !b.full;
}

static bool
tell(void *ctx, uint16_t worker sl_unused, const struct xmsg *m)
{
	struct lcore *lc = ctx;

	return xring_push(&lc->main.to, m);
}

static void
keep_quiet(void *ctx sl_unused, enum sl_level level, struct sl_str text)
{
	static _Atomic(uint32_t) said;

	if (level <= SL_ALERT && atomic_fetch_add(&said, 1) < 8)
		fprintf(stderr, "bench: %.*s\n", (int)sl_min(text.len, 120u), text.p);
}

int
bench_lua_start(struct lcore *lc, const struct model *m)
{
	static struct lcore *all[1];
	static cpu_set_t others;
	cpu_set_t mine;
	struct script_spec spec = { .nthreads = 1,
		.nice = getpriority(PRIO_PROCESS, 0),
		.lc = all,
		.nlcores = 1,
		.log = keep_quiet,
		.tell = tell,
		.tell_ctx = lc,
		.call_slots = BENCH_LUA_SLOTS,
		.stuck_ms = m->global.lua_stuck_timeout_ms };
	int rc;

	all[0] = lc;
	pthread_getaffinity_np(pthread_self(), sizeof(mine), &mine);
	CPU_ZERO(&others);
	for (long i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++) {
		if (!CPU_ISSET(i, &mine))
			CPU_SET(i, &others);
	}
	if (CPU_COUNT(&others) > 0)
		spec.cpus = &others;
	rc = script_start(&spec);
	if (rc == 0)
		script_publish(m->lua);
	return rc;
}

void
bench_lua_turn(struct lcore *lc sl_unused, uint64_t now_us)
{
	static uint64_t last;

	if (now_us - last < SCRIPT_WATCH_MS * 1000)
		return;
	last = now_us;
	script_watch();
}

uint64_t
bench_lua_instructions(void)
{
	struct script_stats st;

	script_get_stats(0, &st);
	return st.instructions;
}

void
bench_lua_print(void)
{
	struct script_stats st;

	script_get_stats(0, &st);
#define X(sym, help) printf("script %s: %llu\n", #sym, (unsigned long long)st.sym);
	SCRIPT_COUNTERS(X)
#undef X
}
