/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of control/script: the Lua scheduler. States belong to a generation (model->lua), coroutines
 * run only on script threads, in slices of tune.lua.forced-yield instructions, round-robin. What
 * Lua code can see stands in lua/api and is found through the registry (SL_LUA_API).
 */
#pragma once

#include <sched.h>

#include "dataplane/base/keyword.h"
#include "dataplane/base/list.h"
#include "dataplane/base/log.h"
#include "dataplane/expr/expr.h"
#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"
#include "dataplane/proxy/call.h"

struct lua_State;
struct script_gen;    // the states of one generation, and its tables of registered functions
struct script_thread; // one script thread
struct io_socks;
struct io_poll;

struct script_err {
	char text[1024]; // as HAProxy words it; a traceback may follow after a newline
};

/* ---- loading; the loader (or main at start) ---- */
int script_gen_new(struct script_gen **out);
/*
 * Options that must be known before states run: slices, timeouts (0: none), memory. Before
 * script_load; may be called again. Without it HAProxy's defaults hold.
 */
void script_gen_conf(struct script_gen *g, const struct global_conf *conf);
/* The files of patterns that the generation's scripts share with its configuration. */
void script_gen_pats(struct script_gen *g, struct pat_set *pats);
/* Their variables of the process. */
void script_gen_procs(struct script_gen *g, struct proc_vars *procs);
/*
 * While bodies and init functions run: when *flag is set (by another thread) they end with an error.
 * NULL: nobody does. Until script_gen_ready() returns.
 */
void script_gen_cancel(struct script_gen *g, const _Atomic(bool) *flag);
/*
 * lua-load: runs the file at once (bodies may call core.register_*). per_thread: one state per
 * script thread (further ones run at script_gen_ready). 0 or -EINVAL with a text.
 */
int script_load(struct script_gen *g, const char *file, const struct sl_str *args, uint32_t nargs,
	bool per_thread, struct script_err *err);
/*
 * expr_extern.lookup: ids of registered actions, fetches and converters, with or without "lua.";
 * ctx: script_gen. CALL_FN_PER_THREAD is part of the id.
 */
int script_lookup(void *ctx, char kind, struct sl_str name, uint32_t *points);
/* expr_extern.nargs: declared arguments of an action (core.register_action's nargs). */
int script_action_nargs(void *ctx, int fn);
/* After parsing: remaining per-thread states, then core.register_init functions. */
int script_gen_ready(struct script_gen *g, uint32_t nthreads, struct script_err *err);
/* No thread uses it any more (calls drained). */
void script_gen_free(struct script_gen *g);

/* ---- threads; main ---- */
struct script_spec {
	uint16_t nthreads;
	struct lcore **lc; // all workers
	uint16_t nlcores;
	int nice; // 19 on small machines
	bool idle_long; // SCHED_IDLE while scripts run for long without waiting
	const cpu_set_t *cpus; // where they may run, kept by the caller; NULL: as who starts them
	/* Where messages go (core.log, print): any thread, must not block. */
	void (*log)(void *ctx, enum sl_level level, struct sl_str text);
	void *log_ctx;
	/* Sends main's message to a worker (script_watch()); NULL: threads are never abandoned. */
	bool (*tell)(void *ctx, uint16_t worker, const struct xmsg *m);
	void *tell_ctx;
	uint32_t call_slots; // of each pair of worker and thread
	uint32_t stuck_ms;   // tune.lua.stuck-timeout; 0: never
	struct io_socks *socks; // sockets of scripts (control/io/sock.h); NULL: there are none
};
int script_start(const struct script_spec *s);
/* After rights were given up: whether threads may do as `idle_long` says is known only now. */
void script_settled(void);
/* Makes a generation's tasks run; before epoch_publish. */
void script_publish(struct script_gen *g);
/*
 * No worker will call into g any more: its tasks are cancelled, and each thread closes its states when
 * what still runs there has ended. script_gen_free() when script_gen_closed().
 */
void script_retire(struct script_gen *g);
bool script_gen_closed(const struct script_gen *g);
/* A thread that was abandoned after g was published has not come back: it may still look at g. */
bool script_gen_is_held(const struct script_gen *g);
void script_stop(void);
/*
 * Every SCRIPT_WATCH_MS: looks whether a thread is stuck in a C function (no instruction, no slice for
 * tune.lua.stuck-timeout, and not for want of CPU). Such a thread is abandoned with its rings, slots
 * and states; a successor starts, on rings of its own, at most SCRIPT_SPARE times (lcore.h).
 */
#define SCRIPT_WATCH_MS 100
void script_watch(void);
/* Abandoned threads that have not come back. */
uint32_t script_stuck(void);

/* Of one place, over all threads that served it; each writes its own, anyone reads. */
#define SCRIPT_SUMS(X)                                                    \
	X(calls, "calls taken")                                           \
	X(errors, "calls that ended with an error")                       \
	X(exhausted, "calls ended by a limit of their own")               \
	X(cancelled, "calls ended because the request had gone")          \
	X(slices, "turns of coroutines")                                  \
	X(instructions, "Lua instructions, in whole slices")              \
	X(wakeups, "times it was woken")                                  \
	X(cpu_us, "CPU time of ended calls, microseconds")                \
	X(abandoned, "times it was stuck in C and replaced")              \
	X(runaway_us, "CPU time of runaways, microseconds")
/* Of the thread that serves it now. */
#define SCRIPT_GAUGES(X)                                                  \
	X(running, "calls under way now")                                 \
	X(tasks, "tasks that live now")                                   \
	X(runaways, "calls and tasks now over their share of the thread") \
	X(memory_kb, "memory of the state that ran last, KiB")
#define SCRIPT_COUNTERS(X) SCRIPT_SUMS(X) SCRIPT_GAUGES(X)
struct script_stats {
#define X(sym, help) uint64_t sym;
	SCRIPT_COUNTERS(X)
#undef X
};
uint16_t script_count(void);
void script_get_stats(uint16_t thread, struct script_stats *out);

/* Of one registered function, over all threads: what script threads count, and what workers do. */
#define SCRIPT_FN_OWN(X)                                                \
	X(calls, "calls that ended")                                    \
	X(errors, "of these, with an error or by a limit of their own") \
	X(instructions, "Lua instructions, in whole slices")            \
	X(cpu_us, "CPU time, microseconds")                             \
	X(us_10, "calls of up to 10 us of CPU time")                    \
	X(us_100, "calls of up to 100 us")                              \
	X(ms_1, "calls of up to 1 ms")                                  \
	X(ms_10, "calls of up to 10 ms")                                \
	X(ms_100, "calls of up to 100 ms")                              \
	X(longer, "calls of more")
#define SCRIPT_FN_WORKERS(X)                                                            \
	X(waits, "calls that found no slot, and waited for one")                        \
	X(overloads, "calls that on-overload decided: no slot, or the deadline passed") \
	X(late_2ms, "deadlines that were answered within 2 ms")                         \
	X(late_20ms, "within 20 ms")                                                    \
	X(later, "after that")
#define SCRIPT_FN_COUNTERS(X) SCRIPT_FN_OWN(X) SCRIPT_FN_WORKERS(X)
struct script_fn_stats {
	const char *name;
	char kind;
#define X(sym, help) uint64_t sym;
	SCRIPT_FN_COUNTERS(X)
#undef X
};
/* Where workers count, for the model; from script_gen_ready() on, while g lives. */
struct call_fn_count *script_fn_counts(struct script_gen *g);
/* By number from 0; false behind the last. Any thread, while g lives. */
bool script_fn_stats(const struct script_gen *g, uint32_t i, struct script_fn_stats *out);

/* ---- what lua/api sees ---- */
/* The call that the running coroutine serves; NULL in bodies, init functions and tasks. */
struct script_call {
	struct call_slot *slot;
	struct script_gen *gen;
	uint64_t seq; // changes when the call ends: an object that outlived it is refused
	struct sl_rand rand;
};
struct script_call *script_current(struct lua_State *L);
struct script_gen *script_gen_of(struct lua_State *L);
/* NULL: there are none. */
struct pat_set *script_pats(struct lua_State *L);
/* Variables of the process, of its generation. */
struct proc_vars *script_procs(struct lua_State *L);
/* Does a call or task run? */
bool script_in_call(struct lua_State *L);
/* tune.lua.socket-compat haproxy */
bool script_socket_compat(struct lua_State *L);
/* Sockets, while script threads run; NULL: none. */
struct io_socks *script_socks(void);
/* Is the body being loaded (core.register_* legal)? */
bool script_is_loading(struct lua_State *L);
void script_log(struct lua_State *L, enum sl_level level, struct sl_str text);
/* core.thread: 0 in the shared state, else 1.. */
uint16_t script_thread_of(struct lua_State *L);
/*
 * Registers the function at (absolute) stack index fn under a name without "lua."; kind 'a' 'f' 'c',
 * 's' service of mode http, 'S' of mode tcp, 'i' init function. 0; -EEXIST: replaced an earlier one;
 * -EINVAL: exists in the other kind of state; -ENOENT: not registered by the first thread's state;
 * -EPERM: no body runs; -ENOMEM.
 */
int script_register(
	struct lua_State *L, char kind, struct sl_str name, uint32_t points, int nargs, int fn);
/* Called by open(): how the TXN object of a call is pushed (first argument of hooks). */
void script_set_txn(struct lua_State *L, void (*push)(struct lua_State *L, struct script_call *c));
/* As script_set_txn(), for services. */
void script_set_applet(
	struct lua_State *L, void (*push)(struct lua_State *L, struct script_call *c));
/*
 * core.done: ends the running call at once, pcall cannot keep it; does not return. value: index of what it
 * gives in place of the function's result; 0: as HAProxy without a value, a false of a fetch or converter;
 * SCRIPT_NO_VALUE: as a function that returns nothing.
 */
#define SCRIPT_NO_VALUE (-1)
int script_done(struct lua_State *L, int value);
/*
 * core.yield: suspends, to be run again after the others; nothing where waiting is not possible. To
 * be used as `return script_yield(L)`.
 */
int script_yield(struct lua_State *L);
/* core.sleep: suspends for ms; raises where waiting is not possible. As script_yield(). */
int script_sleep(struct lua_State *L, uint64_t ms);

/* ---- waiting for what happens outside of Lua ---- */
/*
 * One wait of a coroutine. Zeroed before its first use; lives in memory that outlives the wait, such
 * as a userdata on the stack of the function that waits. One coroutine at a time waits on it: while
 * `run` is set, another must use a wait of its own.
 */
struct script_wait {
	struct script_run *run; // who waits; NULL: nobody
	bool woken;             // by script_wake(), and not by time
};
typedef int (*script_k)(struct lua_State *L, int status, intptr_t ctx); // a lua_KFunction
#define SCRIPT_FOREVER UINT64_MAX
/* May the running function suspend? */
bool script_can_wait(struct lua_State *L);
/* Raises "WHAT: cannot wait here: why" unless it may. */
void script_check_wait(struct lua_State *L, const char *what);
/*
 * Suspends the whole chain of coroutines until script_wake(w), or for ms milliseconds; then k runs in
 * place of the function that waited, on its stack, and looks at w->woken. Works in actions, fetches,
 * converters, services and tasks; raises elsewhere, as script_check_wait(). When the call is
 * cancelled or hits a limit k never runs: what must be undone then goes into the call's scope.
 * To be used as `return script_wait(…)`. w may be NULL: only time ends it.
 */
int script_wait(struct lua_State *L, struct script_wait *w, uint64_t ms, const char *what,
	script_k k, intptr_t ctx);
/*
 * The event is there: the coroutine runs again soon (not from inside this call). On the script
 * thread of the waiting state only. Nothing when nobody waits.
 */
void script_wake(struct script_wait *w);

/*
 * Asks the worker something about the running call's stream (c->slot->ask_… filled), and waits for the
 * answer: then k runs, and finds ask_rc and ask_value. The slot must not be touched meanwhile. As
 * script_wait(). The usual answer takes two crossings of a ring.
 */
int script_ask(struct lua_State *L, struct script_call *c, enum call_ask ask, const char *what,
	script_k k, intptr_t ctx);

/*
 * What ends with the running call or task (a socket): end() runs on the state's thread, outside of
 * Lua, after its last instruction, however it ends, and before its answer is sent. Outside of calls:
 * with the state. The node is unlinked before. clean: it returned, and was not ended by an error, a
 * limit or a cancellation. A userdata's __gc must call script_scope_del().
 */
struct script_scoped {
	struct sl_list node; // not linked: not in a scope
	void (*end)(struct script_scoped *s, bool clean);
};
void script_scope_add(struct lua_State *L, struct script_scoped *s);
/* Whose end that is, for comparisons: the call or task that runs, or the state while files are loaded. */
const void *script_scope(struct lua_State *L);
void script_scope_del(struct script_scoped *s);

/*
 * A message to a script thread, from any thread, embedded in the sender's object: fn runs on the
 * script thread outside of Lua, and may script_wake() or post n again. Never refused, as the
 * memory is the sender's; posting what is under way already is one message. The thread lives until
 * script_stop(), also after it was abandoned: then its messages wait until it comes back.
 */
struct script_note {
	struct script_note *next;
	_Atomic(bool) posted;
	void (*fn)(struct script_note *n);
};
/* The thread on which L runs; NULL while it is being loaded. */
struct script_thread *script_here(struct lua_State *L);
/* Is it stuck in C, and its place another's? What its calls hold is held for nobody. */
bool script_is_abandoned(struct script_thread *t);
/* Where it serves its sockets. */
struct io_poll *script_poll(const struct script_thread *t);
void script_post(struct script_thread *t, struct script_note *n);

/*
 * core.register_task: a function and nargs arguments, popped from the top of the stack, run as a
 * coroutine of their own: from script_publish() on, or soon when scripts run already. 0, -ENOMEM,
 * -ENOSPC (more than SCRIPT_TASKS live in this state); may raise a Lua memory error.
 */
#define SCRIPT_TASKS 4096
int script_task(struct lua_State *L, int nargs);
/*
 * What a script holds outside of Lua's memory counts for its state as well. false: it would be over its part
 * of tune.lua.maxmem, even after what is garbage was collected. May raise (an error of a __gc).
 */
bool script_hold(struct lua_State *L, size_t bytes);
void script_let_go(struct lua_State *L, size_t bytes);
/* The global section as the state's generation has it. */
const struct global_conf *script_conf(struct lua_State *L);
/* What script_start() got; NULL before. */
const struct script_spec *script_running(void);
/* A Lua number or boolean as integer; 0 for everything else, and for 3.99, as HAProxy 2.6 does. */
int64_t script_to_int(struct lua_State *L, int idx);

/* One table or class that Lua code can see: open() leaves nothing on the stack. */
struct lua_api_row {
	const char *name;
	void (*open)(struct lua_State *L);
	const char *help;
};
#define SL_LUA_API(...) SL_KWTAB(lua_api, struct lua_api_row, __VA_ARGS__)
