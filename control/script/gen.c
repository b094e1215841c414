// SPDX-License-Identifier: BSD-3-Clause
/*
 * The states of one generation of the configuration, and what scripts registered in them.
 *
 * Runs on: the loader (or main at start). Script threads read the table of functions, which does
 * not change after script_gen_ready().
 * Follows: HAProxy: lua-load fills state 0, lua-load-per-thread one state per thread; a function
 * exists in one kind only, and in all states of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/script/script_priv.h"

int
script_gen_new(struct script_gen **out)
{
	struct script_gen *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return -ENOMEM;
	g->slice = SCRIPT_SLICE;
	g->session_ms = g->service_ms = 4000; // HAProxy's defaults
	g->share = SCRIPT_SHARE;
	g->burst_ms = 1000;
	*out = g;
	return 0;
}

void
script_gen_conf(struct script_gen *g, const struct global_conf *conf)
{
	g->conf = *conf;
	g->slice = conf->lua_forced_yield != 0 ? conf->lua_forced_yield : SCRIPT_SLICE;
	g->session_ms = conf->lua_session_timeout_ms;
	g->service_ms = conf->lua_service_timeout_ms;
	g->task_ms = conf->lua_task_timeout_ms;
	g->share = conf->lua_runaway_share != 0 ? conf->lua_runaway_share : SCRIPT_SHARE;
	g->burst_ms = conf->lua_burst_timeout_ms;
	g->max_instr = conf->lua_max_instructions;
	g->socket_compat = conf->lua_socket_compat;
	g->max_bytes = (size_t)conf->lua_maxmem_mb << 20;
	if (conf->lua_prepend_path.len != 0 && g->prepend == NULL)
		g->prepend = strndup(conf->lua_prepend_path.p, conf->lua_prepend_path.len);
	if (conf->lua_prepend_cpath.len != 0 && g->prepend_c == NULL)
		g->prepend_c = strndup(conf->lua_prepend_cpath.p, conf->lua_prepend_cpath.len);
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(g->state); i++) {
		if (g->state[i] != NULL)
			g->state[i]->max = g->max_bytes;
	}
}

void
script_gen_pats(struct script_gen *g, struct pat_set *pats)
{
	g->pats = pats;
}

struct pat_set *
script_pats(struct lua_State *L)
{
	return script_state_of(L)->gen->pats;
}

void
script_gen_procs(struct script_gen *g, struct proc_vars *procs)
{
	g->procs = procs;
}

struct proc_vars *
script_procs(struct lua_State *L)
{
	return script_state_of(L)->gen->procs;
}

void
script_gen_cancel(struct script_gen *g, const _Atomic(bool) *flag)
{
	g->cancel = flag;
}

static void
free_args(char **args, uint32_t n)
{
	for (uint32_t i = 0; args != NULL && i < n; i++)
		free(args[i]);
	free(args);
}

static char **
copy_args(const struct sl_str *args, uint32_t n)
{
	char **out = calloc(n + 1, sizeof(*out));

	for (uint32_t i = 0; out != NULL && i < n; i++) {
		out[i] = strndup(args[i].p != NULL ? args[i].p : "", args[i].len);
		if (out[i] == NULL) {
			free_args(out, i);
			return NULL;
		}
	}
	return out;
}

/* Takes args over; false: no memory. */
static bool
keep_file(struct script_gen *g, const char *name, char **args, uint32_t nargs, bool per_thread)
{
	struct script_file *f = realloc(g->file, (g->nfiles + 1) * sizeof(*f));
	char *copy = strdup(name);

	if (f != NULL)
		g->file = f;
	if (f == NULL || copy == NULL) {
		free(copy);
		return false;
	}
	g->file[g->nfiles++] = (struct script_file){
		.name = copy, .args = args, .nargs = nargs, .per_thread = per_thread
	};
	return true;
}

int
script_load(struct script_gen *g, const char *file, const struct sl_str *args, uint32_t nargs,
	bool per_thread, struct script_err *err)
{
	uint16_t id = per_thread ? 1 : 0;
	char **copy = copy_args(args, nargs);
	int rc = -EINVAL;

	if (copy == NULL) {
		snprintf(err->text, sizeof(err->text), "Lua out of memory error");
		return -EINVAL;
	}
	if (g->state[id] == NULL)
		g->state[id] = vm_new(g, id, NULL, err);
	if (g->state[id] != NULL)
		rc = vm_load(g->state[id], file, copy, nargs, err);
	if (rc == 0 && keep_file(g, file, copy, nargs, per_thread))
		return 0;
	free_args(copy, nargs);
	if (rc == 0) {
		snprintf(err->text, sizeof(err->text), "Lua out of memory error");
		return -EINVAL;
	}
	return rc;
}

static struct sl_str
bare_name(struct sl_str name)
{
	if (sl_str_starts(name, SL_STR("lua."), false))
		return sl_str_make(name.p + 4, name.len - 4);
	return name;
}

static int
find_fn(const struct script_gen *g, char kind, struct sl_str name)
{
	for (uint32_t i = 0; i < g->nfn; i++) {
		if (g->fn[i].kind == kind && sl_str_eq(sl_str_c(g->fn[i].name), name))
			return (int)i;
	}
	return -ENOENT;
}

int
script_lookup(void *ctx, char kind, struct sl_str name, uint32_t *points)
{
	const struct script_gen *g = ctx;
	int i = find_fn(g, kind, bare_name(name));

	if (i < 0)
		return i;
	if (points != NULL)
		*points = g->fn[i].points;
	return g->fn[i].per_thread ? i | (int)CALL_FN_PER_THREAD : i;
}

int
script_action_nargs(void *ctx, int fn)
{
	const struct script_gen *g = ctx;
	uint32_t i = (uint32_t)fn & ~CALL_FN_PER_THREAD;

	return i < g->nfn ? g->fn[i].nargs : -EINVAL;
}

/* ---- registering; called from Lua bodies through lua/api ---- */

static int
add_fn(struct script_gen *g, char kind, struct sl_str name, bool per_thread)
{
	struct script_fn *fn = realloc(g->fn, (g->nfn + 1) * sizeof(*fn));

	if (fn == NULL)
		return -ENOMEM;
	g->fn = fn;
	if (g->nfn >= CALL_FN_PER_THREAD)
		return -ENOMEM;
	char *copy = strndup(name.p, name.len);
	if (copy == NULL)
		return -ENOMEM;
	g->fn[g->nfn] = (struct script_fn){ .name = copy, .kind = kind, .per_thread = per_thread };
	return (int)g->nfn++;
}

static int
set_ref(lua_State *L, struct script_state *st, uint32_t i, int fn)
{
	if (i >= st->nref) {
		int *ref = realloc(st->ref, (i + 1) * sizeof(*ref));
		if (ref == NULL)
			return -ENOMEM;
		for (uint32_t k = st->nref; k <= i; k++)
			ref[k] = LUA_NOREF;
		st->ref = ref;
		uint8_t *quick = realloc(st->quick, i + 1);
		if (quick == NULL)
			return -ENOMEM;
		memset(quick + st->nref, 0, i + 1 - st->nref);
		st->quick = quick;
		st->nref = i + 1;
	}
	luaL_unref(L, LUA_REGISTRYINDEX, st->ref[i]);
	st->ref[i] = LUA_NOREF;
	lua_pushvalue(L, fn);
	st->ref[i] = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static int
add_init(lua_State *L, struct script_state *st, int fn)
{
	int *init = realloc(st->init, (st->ninit + 1) * sizeof(*init));

	if (init == NULL)
		return -ENOMEM;
	st->init = init;
	lua_pushvalue(L, fn);
	st->init[st->ninit] = luaL_ref(L, LUA_REGISTRYINDEX);
	st->ninit++;
	return 0;
}

int
script_register(lua_State *L, char kind, struct sl_str name, uint32_t points, int nargs, int fn)
{
	struct script_state *st = script_state_of(L);
	struct script_gen *g = st->gen;
	bool again;
	int i;

	if (!st->loading)
		return -EPERM;
	if (kind == 'i')
		return add_init(L, st, fn);
	i = find_fn(g, kind, name);
	again = i >= 0 && (uint32_t)i < st->nref && st->ref[i] != LUA_NOREF;
	if (i >= 0 && g->fn[i].per_thread != (st->id != 0))
		return -EINVAL; // one kind of state only
	if (i < 0) {
		if (st->id > 1 || g->ready)
			return -ENOENT; // not in the first thread's state, or not the first time
		i = add_fn(g, kind, name, st->id != 0);
		if (i < 0)
			return i;
	}
	if (st->id <= 1 && !g->ready) { // other threads read it from then on
		g->fn[i].points = again ? g->fn[i].points | points : points;
		g->fn[i].nargs = nargs;
	}
	int rc = set_ref(L, st, (uint32_t)i, fn);
	return rc < 0 ? rc : again ? -EEXIST : 0;
}

/* ---- the end of loading ---- */

/* Runs the files of a state and finds all its functions. */
static int
fill_state(struct script_state *st, struct script_err *err)
{
	struct script_gen *g = st->gen;

	for (uint32_t i = 0; i < g->nfiles; i++) {
		const struct script_file *f = &g->file[i];
		int rc = f->per_thread == (st->id != 0)
			? vm_load(st, f->name, f->args, f->nargs, err)
			: 0;
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0; i < g->nfn; i++) {
		if (g->fn[i].per_thread != (st->id != 0) ||
			(i < st->nref && st->ref[i] != LUA_NOREF))
			continue;
		snprintf(err->text, sizeof(err->text),
			"Lua function '%s' is not referenced in all thread. Expect function"
			" in all thread or in none thread.",
			g->fn[i].name);
		return -EINVAL;
	}
	return 0;
}

/* One more state: 0 from the files of lua-load, others from those of lua-load-per-thread. */
static int
make_threads(struct script_gen *g, uint32_t nthreads, struct script_err *err)
{
	int rc = 0;

	for (uint32_t t = 2; t <= nthreads && rc == 0; t++) {
		g->state[t] = vm_new(g, (uint16_t)t, NULL, err);
		rc = g->state[t] != NULL ? fill_state(g->state[t], err) : -EINVAL;
	}
	return rc;
}

static bool
make_counters(struct script_gen *g, uint32_t nthreads)
{
	for (uint32_t i = 0; i < nthreads + SCRIPT_SPARE; i++) {
		g->count[i] = calloc(g->nfn + 1, sizeof(*g->count[i]));
		if (g->count[i] == NULL)
			return false;
	}
	g->worker_count = calloc(g->nfn + 1, sizeof(*g->worker_count));
	return g->worker_count != NULL;
}

/* Not listed before it is whole, so that nobody else comes to it. NULL after a message. */
static struct script_state *
remake(struct script_gen *g, uint32_t id, struct script_thread *t)
{
	struct script_err err = { .text = "" };
	struct script_state *st = vm_new(g, (uint16_t)id, t, &err);
	char text[1200];
	struct sl_buf b;

	if (st != NULL && fill_state(st, &err) == 0 && vm_run_init(st, &err) == 0)
		return st;
	vm_free(st);
	sl_buf_init(&b, text, sizeof(text));
	sl_buf_printf(&b, "script thread %u: its state cannot be made again: %s", t->id, err.text);
	script_emit(SL_ALERT, sl_buf_str(&b));
	return NULL;
}

void
gen_remake(struct script_gen *g, struct script_thread *t)
{
	uint32_t id[2] = { 0, t->id + 1u };
	bool any[2] = { false, false };

	for (uint32_t i = 0; i < g->nfiles; i++)
		any[g->file[i].per_thread] = true;
	any[0] = any[0] && t->id == 0;
	for (int k = 0; k < 2; k++) {
		struct script_state *st;

		if (!any[k] || g->state[id[k]] != NULL)
			continue;
		sched_enter(t);
		st = remake(g, id[k], t);
		if (!sched_leave(t)) { // it took too long: there is another successor
			vm_free(st);
			return;
		}
		g->state[id[k]] = st;
	}
}

int
script_gen_ready(struct script_gen *g, uint32_t nthreads, struct script_err *err)
{
	int rc = 0;

	if (nthreads > SCRIPT_MAX) {
		snprintf(err->text, sizeof(err->text), "at most %d script threads", SCRIPT_MAX);
		return -EINVAL;
	}
	if (!make_counters(g, nthreads)) {
		snprintf(err->text, sizeof(err->text), "Lua out of memory error");
		return -EINVAL;
	}
	if (g->state[1] != NULL)
		rc = make_threads(g, nthreads, err);
	for (uint32_t i = 0; rc == 0 && i < SL_ARRAY_SIZE(g->state); i++) {
		if (g->state[i] != NULL)
			rc = vm_run_init(g->state[i], err);
	}
	g->ready = rc == 0;
	g->cancel = NULL;
	return rc;
}

void
script_gen_free(struct script_gen *g)
{
	if (g == NULL)
		return;
	gen_forget(g);
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(g->state); i++)
		vm_free(g->state[i]);
	for (uint32_t i = 0; i < g->nfn; i++)
		free(g->fn[i].name);
	for (uint32_t i = 0; i < g->nfiles; i++) {
		free(g->file[i].name);
		free_args(g->file[i].args, g->file[i].nargs);
	}
	for (uint32_t i = 0; i < SCRIPT_PAIRS; i++)
		free(g->count[i]);
	free(g->worker_count);
	free(g->fn);
	free(g->file);
	free(g->prepend);
	free(g->prepend_c);
	free(g);
}

struct script_state *
script_state_for(const struct script_gen *g, uint16_t fn, uint16_t thread)
{
	if (fn & CALL_FN_PER_THREAD)
		return g->state[thread + 1];
	return thread == 0 ? g->state[0] : NULL;
}

bool
script_fn_stats(const struct script_gen *g, uint32_t i, struct script_fn_stats *out)
{
	if (g == NULL || i >= g->nfn)
		return false;
	*out = (struct script_fn_stats){ .name = g->fn[i].name, .kind = g->fn[i].kind };
	for (uint32_t t = 0; t < SCRIPT_PAIRS && g->count[t] != NULL; t++) {
		const struct script_fn_count *c = &g->count[t][i];
#define X(sym, help) out->sym += counter_get(&c->sym);
		SCRIPT_FN_OWN(X)
#undef X
	}
	if (g->worker_count == NULL)
		return true;
#define X(sym, help) \
	out->sym = atomic_load_explicit(&g->worker_count[i].sym, memory_order_relaxed);
	SCRIPT_FN_WORKERS(X)
#undef X
	return true;
}

struct call_fn_count *
script_fn_counts(struct script_gen *g)
{
	return g->worker_count;
}

bool
script_gen_closed(const struct script_gen *g)
{
	struct script_gen *w = (struct script_gen *)(uintptr_t)g;

	for (uint16_t i = 0; i < script_sched.n; i++) {
		if (!atomic_load_explicit(&w->closed[i], memory_order_acquire))
			return false;
	}
	return !script_gen_is_held(g);
}

void
gen_forget(struct script_gen *g)
{
	if (g->number == 0)
		return; // never published: it may be the loader that lets it go
	for (struct script_gen **at = &script_sched.gens; *at != NULL; at = &(*at)->next) {
		if (*at == g) {
			*at = g->next;
			return;
		}
	}
}

void
gen_publish(struct script_gen *g)
{
	gen_forget(g);
	g->number = ++script_sched.published;
	g->next = script_sched.gens;
	script_sched.gens = g;
}

struct script_gen *
script_gen_of(lua_State *L)
{
	return script_state_of(L)->gen;
}

const struct global_conf *
script_conf(lua_State *L)
{
	return &script_state_of(L)->gen->conf;
}

bool
script_is_loading(lua_State *L)
{
	return script_state_of(L)->loading;
}

uint16_t
script_thread_of(lua_State *L)
{
	return script_state_of(L)->id;
}

void
script_set_txn(lua_State *L, void (*push)(lua_State *L, struct script_call *c))
{
	script_state_of(L)->push_txn = push;
}

void
script_set_applet(lua_State *L, void (*push)(lua_State *L, struct script_call *c))
{
	script_state_of(L)->push_applet = push;
}

bool
script_in_call(lua_State *L)
{
	return script_state_of(L)->running != NULL;
}

bool
script_socket_compat(lua_State *L)
{
	return script_state_of(L)->gen->socket_compat;
}

struct script_call *
script_current(lua_State *L)
{
	struct script_run *r = script_state_of(L)->running;

	return r != NULL && r->call.slot != NULL ? &r->call : NULL;
}
