// SPDX-License-Identifier: BSD-3-Clause
/*
 * Everything at once against real script threads: calls of all kinds, cancellations at any moment,
 * questions to the worker, waits, tasks, memory that runs out, threads stuck in C that come back,
 * generations that come and go meanwhile. The test is worker and main. Meant for the sanitizers as well:
 *
 *   script_chaos_test [SECONDS [SEED]]
 *
 * What must hold: every call is answered once, by what its kind allows; nothing is left at the end.
 */
#include "tests/unit/lua/api/bridge.h"

#include <lauxlib.h>
#include <lua.h>

#include "dataplane/base/rand.h"

#define ACTION(name, body) \
	"core.register_action('" name "', {'http-req'}, function(txn) " body " end)\n"

// closing a full state is no slice, and takes sanitizers so long
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STUCK_MS 500
#else
#define STUCK_MS 100
#endif
#define IN_FLIGHT 40
#define PLACES    2u
#define GENS      6u

/* One that was published. */
struct life {
	struct script_gen *g;
	struct model m; // what slots name
	char file[2][sizeof(load_kept)];
	uint32_t flights;
	bool lost[PLACES]; // it may have no state there: that went with a thread
	bool retired;
};

static struct {
	_Atomic(bool) release;
	struct xmsg moved[SCRIPT_SPARE];
	uint32_t nmoved, nserved;
	struct call_spare *spare[SCRIPT_SPARE];
	uint32_t nspare;
	struct xmsg ring[SCRIPT_SPARE][2][BR_RING];
	struct call_slot *old[SCRIPT_SPARE]; // slots that went with their thread
	uint32_t nold;
	/* by place */
	struct call_slot *slots[PLACES];
	uint32_t next[PLACES];
	uint16_t pair[PLACES];
	struct life *gen[GENS]; // the latest first
	uint32_t ngens;
	struct sl_rand rand; // of tell()
	uint64_t calls, cancelled, moves, asked, reloads, missing;
} ch;

static uint32_t seconds = 3;
static uint64_t seed = 1;

static int
l_block(lua_State *L sl_unused)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	while (!atomic_load(&ch.release))
		nanosleep(&ts, NULL);
	return 0;
}

static int
l_task(lua_State *L)
{
	lua_pushinteger(L, script_task(L, 0));
	return 1;
}

static void
open_probe(lua_State *L)
{
	static const luaL_Reg fn[] = { { "block", l_block }, { "task", l_task }, { NULL, NULL } };

	luaL_newlib(L, fn);
	lua_setglobal(L, "probe");
}

SL_LUA_API({ "probe", open_probe, "of this test" });

static bool
fetch_live(const struct txn_view *v sl_unused, const struct arg *a sl_unused,
	struct sample *out sl_unused, struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return false; // the test answers
}

SL_FETCHES({ "t_live", fetch_live, SL_NOARGS, T_SINT, EVAL_ANY_REQ, WHERE_OWNER, "of this test" });

// clang-format off
static const char scripts[] =
	"probe.task(function() while true do core.msleep(1) end end)\n"
	ACTION("quick", "txn:set_var('txn.q', txn.sf:req_hdr('host'))")
	ACTION("err", "local x = nil; return x.y")
	ACTION("loop", "while true do end")
	ACTION("ploop", "while true do pcall(function() while true do end end) end")
	ACTION("eat", "local t = {} for i = 1, 1e9 do t[i] = {} end")
	ACTION("nap", "core.msleep(1) core.yield() core.msleep(2)")
	ACTION("sleep", "pcall(coroutine.wrap(function() core.sleep(3600) end))")
	ACTION("ask", "for i = 1, 5 do txn:set_var('txn.n', txn.f:t_live()) end")
	ACTION("spawn", "probe.task(function() core.msleep(3) local t = {} t[1] = t end)")
	ACTION("gc", "setmetatable({}, {__gc = function() pcall(core.msleep, 1) end}) collectgarbage()")
	ACTION("block", "probe.block() txn:set_var('txn.late', 1)");
// clang-format on

static const struct {
	const char *fn;
	bool ends; // by itself
	bool errs; // with an error, it may
	uint32_t weight;
} kinds[] = {
	{ "quick", true, true, 200 },
	{ "err", true, true, 30 },
	{ "loop", false, false, 20 },
	{ "ploop", false, false, 10 },
	{ "eat", true, true, 3 },
	{ "nap", true, true, 60 },
	{ "sleep", false, false, 30 },
	{ "ask", true, true, 100 },
	{ "spawn", true, true, 20 },
	{ "gc", true, true, 5 },
	{ "block", true, true, 1 },
};

struct flight {
	struct call_slot *slot;
	struct life *gen;
	uint32_t seq, kind, place;
	uint64_t start_us;
	bool cancelled;
};

/* The worker's ring is full now and then. */
static bool
tell(void *ctx sl_unused, uint16_t worker sl_unused, const struct xmsg *m)
{
	if (rand_below(&ch.rand, 2) == 0)
		return false;
	assert_true(ch.nmoved < SCRIPT_SPARE);
	ch.moved[ch.nmoved++] = *m;
	return true;
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint32_t
pick(struct sl_rand *r)
{
	uint32_t sum = 0, at;

	for (size_t i = 0; i < SL_ARRAY_SIZE(kinds); i++)
		sum += kinds[i].weight;
	at = rand_below(r, sum);
	for (uint32_t i = 0;; i++) {
		if (at < kinds[i].weight)
			return i;
		at -= kinds[i].weight;
	}
}

static struct call_slot *
new_slots(void)
{
	size_t n = SL_ALIGN_UP(BR_SLOTS * sizeof(struct call_slot), (size_t)SL_CACHE_LINE);
	struct call_slot *s = aligned_alloc(SL_CACHE_LINE, n);

	memset(s, 0, n);
	return s;
}

/* ---- generations ---- */

/* The scripts once more, by names that tell them apart. */
static const char *
each_scripts(void)
{
	static char text[2 * sizeof(scripts)];
	static const char what[] = "register_action('";
	size_t n = 0;

	for (const char *p = scripts; *p != '\0';) {
		if (strncmp(p, what, sizeof(what) - 1) == 0) {
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%st_", what);
			p += sizeof(what) - 1;
		} else {
			text[n++] = *p++;
		}
	}
	text[n] = '\0';
	return text;
}

static void
publish(void)
{
	static const struct global_conf conf = { .lua_forced_yield = 500, .lua_maxmem_mb = 4 };
	struct life *l = calloc(1, sizeof(*l));
	struct script_err err = { "" };

	load_keep = true;
	assert_int_equal(script_gen_new(&l->g), 0);
	script_gen_conf(l->g, &conf);
	for (int i = 0; i < 2; i++) {
		if (load_text(l->g, i == 0 ? scripts : each_scripts(), i == 1, &err) < 0)
			fail_msg("%s", err.text);
		memcpy(l->file[i], load_kept, sizeof(load_kept));
	}
	l->m.lua = l->g;
	memmove(&ch.gen[1], &ch.gen[0], ch.ngens * sizeof(ch.gen[0]));
	ch.gen[0] = l;
	ch.ngens++;
	script_publish(l->g);
}

static void
forget(uint32_t i)
{
	struct life *l = ch.gen[i];

	script_gen_free(l->g);
	unlink(l->file[0]);
	unlink(l->file[1]);
	free(l);
	ch.ngens--;
	memmove(&ch.gen[i], &ch.gen[i + 1], (ch.ngens - i) * sizeof(ch.gen[0]));
}

/* As control/reload_gens.c: what nobody uses is retired, and freed when it is closed. */
static void
reap(void)
{
	for (uint32_t i = ch.ngens; i-- > 1;) {
		struct life *l = ch.gen[i];

		if (!l->retired && l->flights == 0 && !script_gen_is_held(l->g)) {
			script_retire(l->g);
			l->retired = true;
		} else if (l->retired && script_gen_closed(l->g)) {
			forget(i);
		}
	}
}

/* ---- calls ---- */

#define NO_STATE "its script thread has no state that knows it"

static void
answered(struct flight *f, uint32_t *n, const struct call_slot *s)
{
	for (uint32_t i = 0; i < *n; i++) {
		if (f[i].slot != s)
			continue;
		bool none = s->end == CALL_ERROR && strcmp(s->error, NO_STATE) == 0 &&
			f[i].gen->lost[f[i].place]; // there was no state to run it in
		bool ok = none                     ? true
			: s->end == CALL_CANCELLED ? f[i].cancelled
			: s->end == CALL_OK        ? kinds[f[i].kind].ends
						   : kinds[f[i].kind].errs ||
				strstr(s->error, "out of memory") != NULL; // "eat" has it all
		if (!ok || s->seq != f[i].seq)
			fail_msg("%s: end %d, %s", kinds[f[i].kind].fn, s->end, s->error);
		ch.cancelled += s->end == CALL_CANCELLED;
		ch.missing += none;
		f[i].gen->flights--;
		f[i] = f[--*n];
		return;
	}
	fail_msg("answered twice");
}

/* What a worker does with the messages of one pair. */
static void
serve(struct bridge *b, uint16_t pair, struct flight *f, uint32_t *n)
{
	struct xmsg m;

	while (xring_pop(&b->lc->script[pair].to, &m)) {
		struct call_slot *s = (struct call_slot *)(uintptr_t)m.w[1];
		if (m.w[0] == XMSG_CALL_ASK) {
			struct xmsg told = { .w = { XMSG_CALL_TOLD, (uintptr_t)s, s->seq } };
			s->ask_value = (struct sample){ .type = T_SINT, .i = 7 };
			s->ask_rc = s->seq % 3 == 0 ? -ECANCELED : 0;
			ch.asked++;
			assert_true(xring_push(&b->lc->script[pair].from, &told));
			waker_wake(b->lc->script[pair].peer);
			continue;
		}
		assert_int_equal(m.w[0], XMSG_CALL_DONE);
		assert_true(s->busy);
		s->busy = false;
		answered(f, n, s);
	}
}

/* False: no slot is free. */
static bool
push(struct bridge *b, struct flight *f)
{
	uint32_t p = f->place;
	struct call_slot *slots = ch.slots[p];
	char name[32];

	for (uint32_t i = 0; i < BR_SLOTS && slots[ch.next[p] % BR_SLOTS].busy; i++)
		ch.next[p]++;
	if (slots[ch.next[p] % BR_SLOTS].busy)
		return false;
	b->slots = slots;
	b->next = ch.next[p];
	b->gen = f->gen->g;
	snprintf(name, sizeof(name), "%s%s", p == 1 || f->kind % 2 == 1 ? "t_" : "",
		kinds[f->kind].fn);
	struct call_slot *s = br_slot(b, 'a', name, false);
	ch.next[p] = b->next;
	s->model = &f->gen->m;
	f->slot = s;
	f->seq = s->seq;
	atomic_store(&s->taken, false);
	br_push(b, s, ch.pair[p]);
	return true;
}

/* Its thread is stuck: what it had taken is lost, its successor gets the rest. */
static void
move(struct bridge *b, const struct xmsg *m, struct flight *f, uint32_t *n)
{
	uint32_t p = (uint32_t)m->w[1], left = 0;

	ch.moves++;
	assert_true(m->w[2] != UINT64_MAX);
	ch.spare[ch.nspare++] = (struct call_spare *)(uintptr_t)m->w[3];
	ch.old[ch.nold++] = ch.slots[p];
	ch.slots[p] = new_slots();
	ch.next[p] = 0;
	ch.pair[p] = (uint16_t)m->w[2];
	for (uint32_t i = 0; i < *n; i++) {
		bool lost = f[i].place == p && atomic_load(&f[i].slot->taken);

		if (lost) {
			f[i].gen->flights--;
			continue;
		}
		if (f[i].place == p) {
			f[i].cancelled = false;
			f[i].start_us = now_us();
			assert_true(push(b, &f[i]));
		}
		f[left++] = f[i];
	}
	*n = left;
}

static uint64_t
abandoned(void)
{
	struct script_stats st;
	uint64_t n = 0;

	for (uint16_t i = 0; i < PLACES; i++) {
		script_get_stats(i, &st);
		n += st.abandoned;
	}
	return n;
}

static void
main_ticks(struct bridge *b, struct sl_rand *r, struct flight *f, uint32_t *n)
{
	uint64_t before = abandoned();

	if (ch.ngens < GENS && rand_below(r, 12) == 0) {
		publish();
		ch.reloads++;
	}
	script_watch();
	// states of the latest one are made again; others' went with whoever had them
	for (uint32_t i = 1; abandoned() > before && i < ch.ngens; i++)
		ch.gen[i]->lost[0] = ch.gen[i]->lost[1] = true;
	while (ch.nserved < ch.nmoved)
		move(b, &ch.moved[ch.nserved++], f, n);
	reap();
	if (rand_below(r, 100) == 0)
		atomic_store(&ch.release, true); // who was stuck comes back
	else if (rand_below(r, 20) == 0)
		atomic_store(&ch.release, false);
}

static bool
is_block(uint32_t kind)
{
	return strcmp(kinds[kind].fn, "block") == 0;
}

static uint32_t
choose(struct sl_rand *r, const struct flight *f, uint32_t n)
{
	uint32_t kind = pick(r), may = (uint32_t)abandoned();

	if (!is_block(kind))
		return kind;
	for (uint32_t i = 0; i < n; i++)
		may += is_block(f[i].kind);
	return may < SCRIPT_SPARE ? kind : 0; // there is a successor for each
}

static struct life *
choose_gen(struct sl_rand *r)
{
	uint32_t i = rand_below(r, 3) == 0 ? rand_below(r, ch.ngens) : 0;

	return ch.gen[i]->retired ? ch.gen[0] : ch.gen[i];
}

static void
wait_a_little(void)
{
	struct timespec ts = { .tv_nsec = 100000 };

	nanosleep(&ts, NULL);
}

/* Everything closes, once all threads are back. */
static void
finish(struct bridge *b, struct script_gen *first)
{
	atomic_store(&ch.release, true);
	while (script_stuck() > 0)
		wait_a_little();
	while (ch.ngens > 0) {
		if (!ch.gen[0]->retired)
			script_retire(ch.gen[0]->g);
		ch.gen[0]->retired = true;
		while (!script_gen_closed(ch.gen[0]->g))
			wait_a_little();
		forget(0);
	}
	script_stop(); // before the memory that abandoned threads know
	for (uint32_t i = 0; i < ch.nspare; i++)
		call_spare_free(ch.spare[i]);
	for (uint32_t i = 0; i < ch.nold; i++)
		free(ch.old[i]);
	for (uint32_t i = 0; i < PLACES; i++)
		free(ch.slots[i]);
	b->slots = NULL;
	b->gen = first;
	br_free(b);
}

/* One life of the threads; us: how long calls come. */
static void
one_round(struct sl_rand *r, uint64_t us)
{
	struct script_spec spec = { .tell = tell, .call_slots = 4, .stuck_ms = STUCK_MS };
	struct flight f[IN_FLIGHT];
	struct script_gen *first;
	uint32_t n = 0;
	uint64_t watched = 0, until;

	load_keep = false;
	atomic_store(&ch.release, false);
	ch.nspare = ch.nold = ch.nmoved = ch.nserved = ch.ngens = 0;
	struct bridge *b = br_with("", NULL, PLACES, false, &spec);
	free(b->slots);
	first = b->gen;
	b->lc->socket = -1;
	for (uint16_t i = 0; i < SCRIPT_SPARE; i++) {
		xring_init(&b->lc->script[PLACES + i].to, ch.ring[i][0], BR_RING);
		xring_init(&b->lc->script[PLACES + i].from, ch.ring[i][1], BR_RING);
	}
	for (uint16_t i = 0; i < PLACES; i++) {
		ch.slots[i] = new_slots();
		ch.next[i] = 0;
		ch.pair[i] = i;
	}
	publish();
	until = now_us() + us;
	while (n > 0 || now_us() < until) {
		bool last = now_us() >= until;
		uint32_t kind = choose(r, f, n);

		if (n < IN_FLIGHT && !last) {
			f[n] = (struct flight){ .gen = choose_gen(r),
				.kind = kind,
				.place = rand_below(r, PLACES),
				.start_us = now_us() };
			if (push(b, &f[n])) {
				f[n++].gen->flights++;
				ch.calls++;
			}
		}
		for (uint32_t i = 0; i < n; i++) { // deadlines and clients that leave
			bool due = now_us() - f[i].start_us > 20000 || last;
			if (f[i].cancelled || (!due && rand_below(r, 2000) != 0))
				continue;
			f[i].cancelled = true;
			br_cancel(b, f[i].slot, f[i].seq);
		}
		for (uint32_t i = 0; i < PLACES; i++)
			serve(b, ch.pair[i], f, &n);
		if (now_us() - watched > 10000) {
			watched = now_us();
			main_ticks(b, r, f, &n);
		}
	}
	finish(b, first);
}

/* What a round is for and none has had yet: on a machine that does other things there may be one without. */
static bool
lacks_some(void)
{
	return ch.calls == 0 || ch.cancelled == 0 || ch.asked == 0 || ch.reloads == 0 || ch.moves == 0;
}

static void
test_chaos(void **state sl_unused)
{
	uint64_t end = now_us() + seconds * 1000000ull, late = end + 40000000;
	struct sl_rand r;

	rand_seed(&r, seed);
	rand_seed(&ch.rand, seed + 1);
	while (now_us() < end || (lacks_some() && now_us() < late))
		one_round(&r, 1500000);
	printf("chaos: seed %llu, %llu calls, %llu cancelled, %llu questions, %llu threads replaced, "
	       "%llu generations, %llu calls without a state\n",
		(unsigned long long)seed, (unsigned long long)ch.calls,
		(unsigned long long)ch.cancelled, (unsigned long long)ch.asked,
		(unsigned long long)ch.moves, (unsigned long long)ch.reloads,
		(unsigned long long)ch.missing);
	if (lacks_some())
		fail_msg("some of this has not happened at all");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chaos),
	};
	const char *dup;

	if (expr_init(&dup) < 0)
		return 1;
	if (argc > 1)
		seconds = (uint32_t)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
