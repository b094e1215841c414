// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lua states: creation, and running files at load time.
 *
 * Runs on: the loader, until the generation is ready; afterwards a state belongs to its script
 * thread.
 * Follows: HAProxy 2.6's wording of load errors.
 * Not here: what scripts can see (lua/api, found through the registry), coroutines (hook.c).
 */
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/script/script_priv.h"
#include "dataplane/base/registry.h"

SL_KW_SECTION(lua_api);

static void
open_api(lua_State *L)
{
	/* Order of the rows is that of their names: none may rely on another. */
	struct registry r = { 0 };

	if (registry_open(&r, lua_api) == 0) {
		for (uint32_t i = 0; i < r.count; i++)
			((const struct lua_api_row *)r.rows[i])->open(L);
	}
	registry_close(&r);
}

static int
open_all(lua_State *L)
{
	luaL_openlibs(L);
	sandbox_open(L);
	coro_open(L);
	open_api(L);
	return 0;
}

static void
say(struct script_err *err, const char *a, const char *b, const char *c)
{
	snprintf(err->text, sizeof(err->text), "%s%s%s", a, b, c != NULL ? c : "");
}

/* Words for the status of a pcall, error object on top. */
static void
say_status(lua_State *L, int rc, const char *what, struct script_err *err)
{
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;

	switch (rc) {
	case LUA_ERRMEM:
		say(err, what, " out of memory error", NULL);
		break;
	case LUA_ERRERR:
		say(err, what, " message handler error: ", text != NULL ? text : "unknown");
		break;
	default:
		say(err, what, " runtime error: ", text != NULL ? text : "unknown error");
		break;
	}
}

struct script_state *
vm_new(struct script_gen *g, uint16_t id, struct script_thread *t, struct script_err *err)
{
	struct script_state *st = calloc(1, sizeof(*st));

	if (st == NULL) {
		say(err, "Lua", " out of memory error", NULL);
		return NULL;
	}
	st->gen = g;
	st->id = id;
	st->maker = t;
	st->max = g->max_bytes;
	sl_list_init(&st->idle);
	sl_list_init(&st->runs);
	sl_list_init(&st->newborn);
	sl_list_init(&st->node);
	sl_list_init(&st->scoped);
	st->L = lua_newstate(mem_alloc, st);
	if (st->L == NULL) {
		say(err, "Lua", " out of memory error", NULL);
		mem_fini(&st->mem);
		free(st);
		return NULL;
	}
	*(struct script_state **)lua_getextraspace(st->L) = st;
	lua_pushcfunction(st->L, open_all);
	int rc = lua_pcall(st->L, 0, 0, 0);
	if (rc != LUA_OK) {
		say_status(st->L, rc, "Lua", err);
		vm_free(st);
		return NULL;
	}
	if ((g->prepend != NULL && vm_prepend_path(st, "path", g->prepend) < 0) ||
		(g->prepend_c != NULL && vm_prepend_path(st, "cpath", g->prepend_c) < 0)) {
		say(err, "lua-prepend-path: ", "cannot set package.path", NULL);
		vm_free(st);
		return NULL;
	}
	return st;
}

void
vm_free(struct script_state *st)
{
	if (st == NULL)
		return;
	sl_list_foreach(n, &st->runs) {
		struct script_run *r = sl_list_entry(n, struct script_run, all);
		if (r->wait != NULL)
			r->wait->run = NULL;
		scope_end(&r->scoped, false);
	}
	scope_end(&st->scoped, false);
	lua_close(st->L);
	sl_list_foreach_safe(n, &st->runs)
		run_free(sl_list_entry(n, struct script_run, all));
	mem_fini(&st->mem);
	free(st->ref);
	free(st->quick);
	free(st->init);
	free(st);
}

static int
prepend_path(lua_State *L)
{
	const char *field = lua_touserdata(L, 2);

	lua_getglobal(L, "package");
	lua_pushstring(L, lua_touserdata(L, 1));
	lua_pushliteral(L, ";");
	lua_getfield(L, 3, field);
	lua_concat(L, 3);
	lua_setfield(L, 3, field);
	return 0;
}

int
vm_prepend_path(struct script_state *st, const char *field, const char *path)
{
	lua_settop(st->L, 0);
	lua_pushcfunction(st->L, prepend_path);
	lua_pushlightuserdata(st->L, (void *)(uintptr_t)path);
	lua_pushlightuserdata(st->L, (void *)(uintptr_t)field);
	if (lua_pcall(st->L, 2, 0, 0) != LUA_OK) {
		lua_settop(st->L, 0);
		return -ENOMEM;
	}
	return 0;
}

static uint64_t
cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static bool
is_cancelled(const struct script_gen *g)
{
	_Atomic(bool) *flag = (_Atomic(bool) *)(uintptr_t)g->cancel;

	return flag != NULL && atomic_load_explicit(flag, memory_order_relaxed);
}

/*
 * Also in coroutines that a body made; after loading it finds nothing to do there. HAProxy lets a file
 * run for ever, and its -c with it.
 */
static void
on_load_hook(lua_State *L, lua_Debug *ar sl_unused)
{
	struct script_state *st = script_state_of(L);
	uint32_t limit_ms = st->gen->conf.lua_load_timeout_ms;
	bool cancelled = is_cancelled(st->gen);

	if (st->maker != NULL)
		counter_inc(&st->maker->beats);
	if (!cancelled &&
		(st->load_us == 0 || limit_ms == 0 ||
			cpu_us() - st->load_us < 1000ull * limit_ms))
		return;
	lua_sethook(L, on_load_hook, LUA_MASKCOUNT, 1); // pcall gets nowhere
	luaL_where(L, 0); // what runs, not who called it
	if (cancelled)
		lua_pushliteral(L, "loading was cancelled: it took too long");
	else
		lua_pushfstring(L, "loading used more than %d ms of CPU time ('tune.lua.load-timeout')",
			(int)limit_ms);
	lua_concat(L, 2);
	lua_error(L);
}

static void
watch_load(struct script_state *st, bool on)
{
	st->load_us = on ? cpu_us() : 0;
	lua_sethook(st->L, on ? on_load_hook : NULL, on ? LUA_MASKCOUNT : 0, SCRIPT_SLICE);
}

/* What load_file() gets. */
struct load_job {
	const char *file;
	char *const *args;
	uint32_t nargs;
	bool compiled;
};

/* Protected, so that even its strings may fail to be allocated. */
static int
load_file(lua_State *L)
{
	struct load_job *job = lua_touserdata(L, 1);

	lua_settop(L, 0);
	if (luaL_loadfilex(L, job->file, "t") != LUA_OK)
		return lua_error(L);
	job->compiled = true;
	luaL_checkstack(L, (int)job->nargs + 1, "too many arguments");
	for (uint32_t i = 0; i < job->nargs; i++)
		lua_pushstring(L, job->args[i]);
	lua_call(L, (int)job->nargs, 0);
	return 0;
}

/* An error value need not say where it comes from. */
static void
add_file(struct script_err *err, const char *file)
{
	size_t len = strlen(err->text);

	if (strstr(err->text, file) == NULL)
		snprintf(err->text + len, sizeof(err->text) - len, " (in '%s')", file);
}

int
vm_load(struct script_state *st, const char *file, char *const *args, uint32_t nargs,
	struct script_err *err)
{
	struct load_job job = { .file = file, .args = args, .nargs = nargs };
	lua_State *L = st->L;

	lua_settop(L, 0);
	lua_pushcfunction(L, load_file);
	lua_pushlightuserdata(L, &job);
	st->loading = true;
	watch_load(st, true);
	int rc = lua_pcall(L, 1, 0, 0);
	watch_load(st, false);
	st->loading = false;
	if (rc == LUA_OK)
		return 0;
	if (!job.compiled && rc != LUA_ERRMEM) {
		const char *text = lua_tostring(L, -1);
		snprintf(err->text, sizeof(err->text), "error in Lua file '%s': %s", file,
			text != NULL ? text : "unknown error");
	} else {
		say_status(L, rc, "Lua", err);
		if (rc == LUA_ERRRUN)
			add_file(err, file);
	}
	lua_settop(L, 0);
	return -EINVAL;
}

int
vm_run_init(struct script_state *st, struct script_err *err)
{
	lua_State *L = st->L;

	for (uint32_t i = 0; i < st->ninit; i++) {
		lua_settop(L, 0);
		lua_rawgeti(L, LUA_REGISTRYINDEX, st->init[i]);
		watch_load(st, true);
		int rc = lua_pcall(L, 0, 0, 0);
		watch_load(st, false);
		if (rc != LUA_OK) {
			say_status(L, rc, "Lua init:", err);
			lua_settop(L, 0);
			return -EINVAL;
		}
	}
	return 0;
}
