// SPDX-License-Identifier: BSD-3-Clause
/*
 * Everything at once against real script threads: calls of all kinds, cancellations at any moment,
 * questions to the worker, waits, tasks, memory that runs out, threads stuck in C that come back, and the
 * end of the generation. The test is worker and main. Meant for the sanitizers as well:
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

#define STUCK_MS  100
#define IN_FLIGHT 40

static struct {
	_Atomic(uint32_t) inside;
	_Atomic(bool) release;
	struct xmsg moved;
	bool has_moved;
	struct call_spare *spare[SCRIPT_SPARE];
	uint32_t nspare;
	struct xmsg ring[SCRIPT_SPARE][2][BR_RING];
	struct call_slot *old[SCRIPT_SPARE + 1]; // slots that went with their thread
	uint32_t nold;
	uint64_t calls, cancelled, moves, asked;
} ch;

static uint32_t seconds = 3;
static uint64_t seed = 1;

static int
l_block(lua_State *L sl_unused)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	atomic_fetch_add(&ch.inside, 1);
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
	uint32_t seq, kind;
	uint64_t start_us;
	bool cancelled;
};

static bool
tell(void *ctx sl_unused, uint16_t worker sl_unused, const struct xmsg *m)
{
	ch.moved = *m;
	ch.has_moved = true;
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

static void
answered(struct flight *f, uint32_t *n, const struct call_slot *s)
{
	for (uint32_t i = 0; i < *n; i++) {
		if (f[i].slot != s)
			continue;
		bool ok = s->end == CALL_CANCELLED ? f[i].cancelled
			: s->end == CALL_OK        ? kinds[f[i].kind].ends
						   : kinds[f[i].kind].errs ||
				strstr(s->error, "out of memory") != NULL; // "eat" has it all
		if (!ok || s->seq != f[i].seq)
			fail_msg("%s: end %d, %s", kinds[f[i].kind].fn, s->end, s->error);
		ch.cancelled += s->end == CALL_CANCELLED;
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

/* Its thread is stuck: what was under way there is nobody's now. */
static void
move(struct bridge *b, uint16_t *pair, uint32_t *n)
{
	ch.has_moved = false;
	ch.moves++;
	assert_true(ch.moved.w[2] != UINT64_MAX);
	ch.spare[ch.nspare++] = (struct call_spare *)(uintptr_t)ch.moved.w[3];
	ch.old[ch.nold++] = b->slots;
	b->slots = new_slots();
	b->next = 0;
	*pair = (uint16_t)ch.moved.w[2];
	*n = 0;
}

static bool
push(struct bridge *b, uint16_t pair, uint32_t kind, struct flight *f)
{
	for (uint32_t i = 0; i < BR_SLOTS && b->slots[b->next % BR_SLOTS].busy; i++)
		b->next++;
	if (b->slots[b->next % BR_SLOTS].busy)
		return false;
	struct call_slot *s = br_slot(b, 'a', kinds[kind].fn, false);
	*f = (struct flight){ .slot = s, .seq = s->seq, .kind = kind, .start_us = now_us() };
	atomic_store(&s->taken, false);
	br_push(b, s, pair);
	ch.calls++;
	return true;
}

/* One life of the threads. */
static void
one_round(struct sl_rand *r, uint64_t until)
{
	static const struct global_conf conf = { .lua_forced_yield = 500, .lua_maxmem_mb = 4 };
	struct script_spec spec = { .tell = tell, .call_slots = 4, .stuck_ms = STUCK_MS };
	struct flight f[IN_FLIGHT];
	uint16_t pair = 0;
	uint32_t n = 0;
	uint64_t watched = 0;

	load_keep = true;
	atomic_store(&ch.release, false);
	ch.nspare = ch.nold = 0;
	ch.has_moved = false;
	struct bridge *b = br_with(scripts, &conf, 1, false, &spec);
	b->lc->socket = -1;
	for (uint16_t i = 0; i < SCRIPT_SPARE; i++) {
		xring_init(&b->lc->script[1 + i].to, ch.ring[i][0], BR_RING);
		xring_init(&b->lc->script[1 + i].from, ch.ring[i][1], BR_RING);
	}
	script_publish(b->gen);
	while (n > 0 || now_us() < until) {
		bool last = now_us() >= until;
		uint32_t kind = pick(r);

		if (strcmp(kinds[kind].fn, "block") == 0 && (ch.nspare == SCRIPT_SPARE || last))
			kind = 0;
		if (n < IN_FLIGHT && !last && push(b, pair, kind, &f[n]))
			n++;
		for (uint32_t i = 0; i < n; i++) { // deadlines and clients that leave
			bool due = now_us() - f[i].start_us > 20000 || last;
			if (f[i].cancelled || (!due && rand_below(r, 2000) != 0))
				continue;
			f[i].cancelled = true;
			br_cancel(b, f[i].slot, f[i].seq);
		}
		serve(b, pair, f, &n);
		if (now_us() - watched > 10000) {
			watched = now_us();
			script_watch();
			if (ch.has_moved)
				move(b, &pair, &n);
			if (rand_below(r, 100) == 0)
				atomic_store(&ch.release, true); // who was stuck comes back
			else if (rand_below(r, 20) == 0)
				atomic_store(&ch.release, false);
		}
	}
	atomic_store(&ch.release, true);
	script_retire(b->gen);
	while (!script_gen_closed(b->gen)) {
		struct timespec ts = { .tv_nsec = 100000 };
		nanosleep(&ts, NULL);
	}
	while (script_stuck() > 0) { // they come back now
		struct timespec ts = { .tv_nsec = 100000 };
		nanosleep(&ts, NULL);
	}
	script_stop(); // before the memory that abandoned threads know
	for (uint32_t i = 0; i < ch.nspare; i++)
		call_spare_free(ch.spare[i]);
	for (uint32_t i = 0; i < ch.nold; i++)
		free(ch.old[i]);
	br_free(b);
	unlink(load_kept);
}

static void
test_chaos(void **state sl_unused)
{
	uint64_t end = now_us() + seconds * 1000000ull;
	struct sl_rand r;

	rand_seed(&r, seed);
	while (now_us() < end)
		one_round(&r, sl_min(end, now_us() + 1500000));
	printf("chaos: seed %llu, %llu calls, %llu cancelled, %llu questions, %llu threads replaced\n",
		(unsigned long long)seed, (unsigned long long)ch.calls,
		(unsigned long long)ch.cancelled, (unsigned long long)ch.asked,
		(unsigned long long)ch.moves);
	assert_true(ch.calls > 0 && ch.cancelled > 0 && ch.asked > 0);
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
