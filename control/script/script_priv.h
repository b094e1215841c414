/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/script: states of a generation, the runs of coroutines, script threads.
 *
 * A state is touched by one thread at a time: the loader until script_gen_ready() returns, then
 * its script thread only. The table of functions is immutable from then on.
 */
#pragma once

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>

#include "control/script/script.h"
#include "dataplane/base/list.h"
#include "dataplane/base/wheel.h"

#define SCRIPT_SHARE 10    // per cent
#define SCRIPT_PAIRS (SCRIPT_MAX + SCRIPT_SPARE) // of rings; a thread has one for its life
#define SCRIPT_SLICE 10000 // HAProxy's tune.lua.forced-yield: hook cost below 6 % from 500 on

struct script_run;

/* Freed blocks that a state keeps: memory.c. */
#define MEM_CLASSES 53
struct script_mem {
	void *list[MEM_CLASSES];
	size_t kept; // bytes
};

/* One lua_State. lua_getextraspace() of each of its coroutines points here. */
struct script_state {
	lua_State *L;
	struct script_gen *gen;
	uint16_t id;      // core.thread: 0 for lua-load, 1.. per script thread
	bool loading;     // a body runs: core.register_* is legal
	uint64_t load_us; // CPU clock when a body or an init function began; 0: none runs
	size_t used, max; // bytes; max 0: no cap
	size_t held;      // of script_hold()
	struct script_mem mem;
	int *ref;       // registry reference by function number
	uint8_t *quick; // calls in a row that ended within a slice, by function number
	uint32_t nref;
	int *init; // registry references of core.register_init
	uint32_t ninit;
	struct script_run *running;   // whose coroutine runs now
	uint32_t blocked;             // C boundaries in the chain of coroutines that cannot yield
	bool chain;                   // the whole chain is being suspended
	bool wait;                    // and does not run again before …
	struct script_wait *wait_for; // … this is woken (NULL: nothing but time), …
	uint64_t wait_ms;             // … or so long
	struct script_thread *thread; // whose it is; NULL before it ran there
	struct script_thread *maker;  // that runs its files; NULL: the loader
	struct sl_list idle;          // runs whose coroutine can be used again
	struct sl_list runs;          // all runs
	struct sl_list newborn;       // tasks that wait for script_publish()
	struct sl_list scoped;        // what was made outside of calls
	struct sl_list node;          // of the thread's states
	uint32_t ntasks, active;      // tasks; calls and tasks that have not ended
	bool retired;                 // closed when nothing is active
	void (*push_txn)(lua_State *L, struct script_call *c);
	void (*push_applet)(lua_State *L, struct script_call *c);
};

struct script_fn {
	char *name; // without "lua."
	char kind;
	bool per_thread;
	int nargs;
	uint32_t points;
};

/* A file, for the states that are made later. */
struct script_file {
	char *name;
	bool per_thread;
	char **args;
	uint32_t nargs;
};

struct script_gen {
	/* Of a place: its thread's; main's while nobody serves it, and while its thread is abandoned. */
	struct script_state *state[1 + SCRIPT_MAX];
	struct script_fn *fn;
	uint32_t nfn;
	struct script_file *file;
	uint32_t nfiles;
	char *prepend, *prepend_c; // package.path, package.cpath
	struct pat_set *pats;
	struct proc_vars *procs;
	struct global_conf conf; // its strings live in the model
	/* limits */
	uint32_t slice;
	uint32_t session_ms, service_ms, task_ms, burst_ms;
	bool socket_compat;
	uint64_t max_instr;
	size_t max_bytes;
	bool ready;
	const _Atomic(bool) *cancel;               // of loading; NULL: none
	uint32_t share;                            // per cent of a thread for what runs on and on
	struct script_fn_count *count[SCRIPT_PAIRS]; // by pair, then by function; from ready on
	struct call_fn_count *worker_count;        // by function; workers write
	_Atomic(bool) closed[SCRIPT_MAX]; // places that have none of its states any more
	struct script_adopt {
		struct script_note note;
		struct script_gen *gen;
		struct script_thread *thread;
	} adopt[SCRIPT_PAIRS], retire[SCRIPT_PAIRS]; // one for each thread, by its pair
	/* ==== main ==== */
	struct script_gen *next; // of script_sched.gens
	uint32_t number;         // in the order of script_publish(); 0: before
	bool retiring;           // script_retire() was called
};

/* The script thread writes. */
struct script_fn_count {
#define X(sym, help) counter sym;
	SCRIPT_FN_OWN(X)
#undef X
};

/* Why a run must end, whatever the script does about it. */
enum script_kill {
	KILL_NONE,
	KILL_TIMEOUT, // CPU time of the whole call
	KILL_BURST,   // CPU time of one slice
	KILL_INSTR,
	KILL_CANCEL,
	KILL_DONE, // txn:done(), core.done()
};

/* A coroutine and the call it serves, or a task. */
struct script_run {
	struct script_call call; // first: what lua/api holds
	struct sl_list node;     // run queue, or the state's idle list; not linked while it waits
	struct sl_list all;      // of the state
	struct sl_list scoped;   // struct script_scoped
	struct script_state *st;
	lua_State *co;
	int co_ref;
	int narg;     // for the next lua_resume()
	uint8_t kind; // of its function (script_register()), or 't': a task
	bool preempt; // forced yields allowed
	bool waiting;
	bool runaway; // used more than others may: has its share only
	bool asked;   // the slot is the worker's until CALL_TOLD
	struct script_wait told;
	struct script_wait *wait; // for this; NULL: only for the timer
	struct wheel_timer timer;
	enum script_kill kill;
	/* budget */
	uint64_t instr;
	uint64_t looked;      // of these, when limits of time were judged last
	uint64_t slice_instr; // of this slice
	uint64_t cpu_us;      // finished slices, as limits see them
	uint64_t cost_us;     // and as they are told: before the first full slice by the wall
	uint64_t since_us;    // of these, what it did not wait as long for since then
	uint64_t wait_us;     // when the wait began
	uint64_t wait_max_us; // what it was to take
	uint64_t start_us;    // of this slice, in the clock that `cpu` says
	bool cpu;             // the thread's CPU clock; before the first full slice: monotonic
	bool burst_seen;
	bool counted; // its instructions are: else it runs without a count (tick.c)
};

/* What a worker's slot is doing here. */
struct place {
	struct script_run *run;
	uint32_t seq;
};

struct script_thread {
	uint16_t id;   // a successor has its predecessor's
	uint16_t pair; // of its rings: lc->script[pair]
	pthread_t tid;
	bool joinable;
	bool gone;                  // found out that it was abandoned
	struct script_gen *boot;    // a successor makes its states of it first
	struct sl_list states;      // that are its own
	struct script_thread *next; // abandoned ones
	struct waker waker;
	struct io_poll *poll;   // where it sleeps, and its sockets
	lua_State *volatile on; // the coroutine that runs; on_tick() reads
	timer_t timer;          // if `ticks`
	bool ticks;
	uint32_t unpolled; // rounds since it looked there
	_Atomic(bool) stop;
	_Atomic(struct script_note *) inbox; // the latest first
	struct sl_list fresh, used, runaway; // runs
	uint64_t runaway_us;                 // when the runaways may run again
	struct wheel wheel;                  // timers of waiting runs; ctx: the thread
	struct place *place[LCORE_MAX];
	bool dirty[LCORE_MAX]; // answered since the last wake
	uint64_t last_us;      // of the last call
	uint32_t yields;       // since there was something to do
	uint64_t idle_us;      // of the last idle moment; 0: there was none since
	uint64_t wanted_us;    // until when its CPU counts as wanted by others
	uint64_t light_us;     // until when it has the lower weight; 0: it has the usual one
	/* ==== main: what script_watch() saw last ==== */
	uint64_t seen_slice, seen_beats, seen_us, seen_cpu_us;
	uint32_t last_gen; // number of the last generation that it may know; from abandonment on
	/* ==== this thread writes, others read ==== */
	struct script_count *cnt;
	_Atomic(uint64_t) beats;  // slices and hooks
	_Atomic(bool) exited;
	_Atomic(int) stat_fd; // its /proc/…/stat: does it want CPU?
	/* ==== this thread and main ==== */
	_Atomic(uint64_t) slice; // odd where Lua may run; SLICE_GONE: main has abandoned it meanwhile
};
#define SLICE_GONE UINT64_MAX

struct script_count {
#define X(sym, help) counter sym;
	SCRIPT_COUNTERS(X)
#undef X
	/* ==== main writes (and `abandoned`) ==== */
	_Atomic(uint16_t) serves; // its place, from 1; 0: there is no such thread
	_Atomic(bool) left;       // that place is another's by now
} sl_cache_aligned;

/* XMSG_SCRIPT_MOVED of a worker whose ring was full, from `out` on; a thread is abandoned once. */
struct script_moves {
	struct xmsg m[SCRIPT_PAIRS];
	uint16_t in, out;
};

/* Set by script_start() before the threads run; main only, but for spec. */
struct script_sched {
	struct script_spec spec;
	struct script_thread *thread[SCRIPT_MAX]; // who serves each place; NULL: nobody any more
	struct script_count *count; // by pair: one that comes back shares none with its successor
	struct script_thread *abandoned;
	struct script_gen *gens; // published ones that live, the latest first
	uint32_t published;      // number of the last one
	uint16_t n, nspare;      // places, successors so far
	struct script_moves moves[LCORE_MAX];
	uint64_t watch_us;
	_Atomic(bool) may_idle; // SCHED_IDLE, and back
};
extern struct script_sched script_sched;

static inline bool
script_is_service(uint8_t kind)
{
	return kind == 's' || kind == 'S';
}

static inline struct script_state *
script_state_of(lua_State *L)
{
	return *(struct script_state **)lua_getextraspace(L);
}

/* ---- vm.c ---- */
/* t: the thread that does it; NULL: the loader. */
struct script_state *vm_new(
	struct script_gen *g, uint16_t id, struct script_thread *t, struct script_err *err);
void vm_free(struct script_state *st);
/* field: "path" or "cpath" */
int vm_prepend_path(struct script_state *st, const char *field, const char *path);
int vm_load(struct script_state *st, const char *file, char *const *args, uint32_t nargs,
	struct script_err *err);
int vm_run_init(struct script_state *st, struct script_err *err);

/* ---- memory.c ---- */
/* A lua_Alloc; ctx: the state. */
void *mem_alloc(void *ctx, void *ptr, size_t osize, size_t nsize);
/* After lua_close(). */
void mem_fini(struct script_mem *m);

/* ---- sandbox.c, debug.c, coro.c: replace functions of the standard libraries ---- */
void sandbox_open(lua_State *L);
void debug_open(lua_State *L);
void coro_open(lua_State *L);

/* ---- budget.c ---- */
#define BUDGET_FIRST_US 1000 // what a first full slice takes at most, unless others have the CPU
/* A new call on this coroutine. */
void budget_start(struct script_run *r);
/* After its last instruction: was it quick? */
void budget_end(struct script_run *r);
/* In a signal handler: what runs on L is counted from now on, if it is not. */
void budget_count(lua_State *L);
/* Around each wait: what it has used is forgiven as fast as it waits. */
void budget_wait_begin(struct script_run *r, uint64_t ms);
void budget_wait_end(struct script_run *r);
/* Did it use more CPU than others may without waiting as long? */
bool budget_is_runaway(const struct script_run *r);
/* Around each slice. */
void budget_slice_begin(struct script_run *r);
void budget_slice_end(struct script_run *r);
/* Makes a coroutine that L resumes subject to the same limits. */
void budget_join(struct script_state *st, lua_State *L, lua_State *co);
/* Raises; does not return. pcall cannot keep it: every further instruction raises again. */
int budget_raise(struct script_run *r, lua_State *L, enum script_kill why);
/* Text of the reason, as HAProxy words it. */
const char *budget_why(enum script_kill why);
uint64_t script_now_us(void);
uint64_t script_cpu_us(void); // of this thread; a system call

/* ---- gen.c, on a script thread ---- */
/*
 * A successor's states, but those that its predecessor never had. One that cannot be made is missing, after
 * a message.
 */
void gen_remake(struct script_gen *g, struct script_thread *t);
/* Main: takes it out of those that live, and puts it there. */
void gen_forget(struct script_gen *g);
void gen_publish(struct script_gen *g);

/* ---- hook.c ---- */
/* Takes a slot; NULL: answered at once (slot->end is set), told and counted. st NULL: the thread has none. */
struct script_run *run_start(struct script_state *st, struct call_slot *s, uint16_t pair);
/* Runs a slice. true: it ended, slot->end is set and the run was put away. */
bool run_slice(struct script_run *r);
/* Ends a run that does not run now. */
void run_cancel(struct script_run *r);
void run_free(struct script_run *r);
/* The state that serves a function on a script thread; NULL: none. */
struct script_state *script_state_for(const struct script_gen *g, uint16_t fn, uint16_t thread);

/* ---- wait.c ---- */
/* After a slice that suspended: the run waits now. */
void wait_begin(struct script_run *r);
/* It must not wait any longer: the wait is forgotten, the run in no list. */
void wait_forget(struct script_run *r);
void wait_init(struct script_run *r);
/* Calls end() of all. */
void scope_end(struct sl_list *scoped, bool clean);

/* ---- note.c ---- */
/* Runs what was posted; how many. */
uint32_t notes_run(struct script_thread *t);
bool notes_waiting(const struct script_thread *t);

/* ---- weight.c ---- */
/* Main, before rights are given up: what a thread gives away it may take back, where main may allow it. */
void weight_allow(const struct script_spec *s);
void weight_begin(struct script_thread *t);
/* After a slice, of a run that is still there. */
void weight_used(struct script_thread *t, const struct script_run *r);
/* Now and then, while light_us is set. */
void weight_rest(struct script_thread *t);
/* At once: who it starts now inherits what it has. */
void weight_back(struct script_thread *t);
/* Microseconds until weight_rest() is due; UINT64_MAX: it is not. */
uint64_t weight_until(const struct script_thread *t);

/* ---- tick.c ---- */
/* Before the threads run. */
void tick_allow(void);
/* On the thread, at its begin and end. */
void tick_begin(struct script_thread *t);
void tick_end(struct script_thread *t);

/* ---- task.c ---- */
/* Tells a thread that the states of a generation are its own: their tasks start. */
void task_publish(struct script_gen *g, struct script_thread *t);
/* On the thread: the same. Nothing when it was abandoned: then what it never had is its successor's. */
void task_adopt(struct script_gen *g, struct script_thread *t);
/* Tells a thread to end a generation's tasks and close its states when they are idle. */
void task_retire(struct script_gen *g, struct script_thread *t);

/* ---- watch.c ---- */
/* A thread is abandoned: the lists of states forget its own. */
void watch_forget(const struct script_thread *t);
/* The end: slots of which no worker was told. */
void watch_fini(void);

/* ---- sched.c ---- */
/* A thread for a place and a pair of rings, and what it ends with. */
int sched_thread_new(uint16_t id, uint16_t pair, struct script_thread **out);
int sched_thread_run(struct script_thread *t);
/*
 * Ends a thread, and frees it if that takes no longer than *ms milliseconds, which become less by what
 * it took: one that is in C for longer keeps what it has.
 */
void sched_thread_free(struct script_thread *t, int *ms);
/* A state is this thread's from now on. */
void sched_own(struct script_thread *t, struct script_state *st);
/*
 * Around whatever may run Lua, on the thread. When it loses its place meanwhile (control/script/watch.c)
 * sched_leave() is false, and t->gone set: the lists of states are not its own any more.
 */
void sched_enter(struct script_thread *t);
bool sched_leave(struct script_thread *t);
/* Closes a retired state on which nothing is active any more. */
void sched_reap(struct script_state *st);
/* What runs have left for others goes out: to servers, and who is answered is woken. */
void sched_give(struct script_thread *t);
/* Puts a run that is in no list behind those that are to run. */
void sched_ready(struct script_run *r);
/* Sends CALL_ASK. */
void sched_ask(struct script_run *r);
/* Clock of the thread's wheel. */
sl_tick sched_tick(uint64_t us);
/* Text to the log of the script threads, or sl_log() before they run. */
void script_emit(enum sl_level level, struct sl_str text);
