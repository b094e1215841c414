// SPDX-License-Identifier: BSD-3-Clause
/*
 * Another generation of the configuration on a worker: which connections belong to which, when the old
 * one is held by nothing, what slots carry over, and how what is left is ended.
 */
#include "dataplane/proxy/px.h"
#include "tests/harness/px_env.h"

#define G(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct px_env e;

/* The second generation: as the first, and its own answer header. */
static struct {
	struct model m;
	struct global_conf global;
	struct listen_addr bind;
	const struct listen_addr *binds[1];
	struct proxy fe, be;
	const struct proxy *proxies[2];
	struct server srv[ENV_SERVERS];
} two;

static const struct prog *
header(const char *gen)
{
	static char rule[64];
	const char *const rules[] = { rule, NULL };

	snprintf(rule, sizeof(rule), "set-header x-gen %s", gen);
	return px_env_rules(&e, EVAL_HTTP_RES, rules);
}

static void
set_up(enum px_mode mode)
{
	px_env_init(&e);
	e.fe.mode = e.be.mode = e.be2.mode = mode;
	if (mode == PX_HTTP)
		e.fe.http_res = header("one");
	e.lc->served = 2; // of generation 1
	two.global = e.model.global;
	two.fe = e.fe;
	two.be = e.be;
	memcpy(two.srv, e.srv, sizeof(two.srv));
	two.bind = e.bind;
	two.bind.model = &two.m;
	two.bind.fe = &two.fe;
	two.binds[0] = &two.bind;
	two.fe.binds = &two.bind;
	two.fe.default_be = &two.be;
	two.be.servers = two.srv;
	for (uint32_t i = 0; i < ENV_SERVERS; i++)
		two.srv[i].be = &two.be;
	if (mode == PX_HTTP)
		two.fe.http_res = header("two");
	two.proxies[0] = &two.fe;
	two.proxies[1] = &two.be;
	two.m = (struct model){ .generation = 2,
		.place = 5,
		.proxies = two.proxies,
		.nproxies = 2,
		.binds = two.binds,
		.nbinds = 1,
		.nservers = ENV_SERVERS };
}

/* As the worker's loop does it when it sees the pointer. */
static void
publish(void)
{
	e.lc->model = &two.m;
	px_adopt(e.lc, &two.m, e.lc->served);
	e.lc->served = two.m.generation + 1ull;
	assert_int_equal(px_listen(e.lc, &two.m), 0);
}

static void
holds(int line, uint64_t conns1, uint64_t streams1, uint64_t conns2, uint64_t streams2)
{
	const struct lcore_gen *a = &e.lc->gen[0], *b = &e.lc->gen[5];

	if (counter_get(&a->conns) != conns1 || counter_get(&a->streams) != streams1 ||
		counter_get(&b->conns) != conns2 || counter_get(&b->streams) != streams2)
		fail_msg("line %d: %lu connections, %lu streams of the first, %lu, %lu of the second",
			line, counter_get(&a->conns), counter_get(&a->streams),
			counter_get(&b->conns), counter_get(&b->streams));
}

static void
follow(void)
{
	while (e.lc->following)
		px_follow(e.lc);
	px_env_run(&e);
}

static bool
says(struct fake *c, const char *text)
{
	return strstr(px_env_got(c), text) != NULL;
}

/* A request that is on its way ends as it began; the next one on the same connection is new. */
static void
test_in_flight(void **state sl_unused)
{
	static const struct env_answer answers[] = { { "/slow", NULL, ENV_HANG }, { NULL } };
	struct fake *c, *b;

	set_up(PX_HTTP);
	e.answers = answers;
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/slow"));
	holds(__LINE__, 1, 1, 0, 0);
	publish();
	follow(); // has nothing to do with it
	holds(__LINE__, 1, 1, 0, 0);
	b = px_env_backend(&e, 0);
	fake_give(b, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow", 42);
	px_env_run(&e);
	assert_true(says(c, "x-gen: one"));
	assert_false(says(c, "lose"));
	holds(__LINE__, 0, 0, 1, 0); // between two requests it belongs to the new one
	px_env_ask(&e, c, G("/next"));
	assert_true(says(c, "x-gen: two"));
	holds(__LINE__, 0, 0, 1, 0);
	// the connection to the server came along: the slot is the same
	assert_int_equal(e.connects[0], 1);
	px_env_end(&e);
}

/* One that is silent comes along by itself, so that it does not hold the old generation. */
static void
test_idle(void **state sl_unused)
{
	struct fake *c, *fresh;

	set_up(PX_HTTP);
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/"));
	fresh = px_env_client(&e); // has sent nothing yet
	publish();
	holds(__LINE__, 2, 0, 0, 0);
	assert_true(e.lc->following);
	follow();
	holds(__LINE__, 0, 0, 2, 0);
	assert_int_equal(atomic_load(&e.bal->px[0].conns), 2);
	px_env_ask(&e, fresh, G("/"));
	assert_true(says(fresh, "x-gen: two"));
	px_env_end(&e);
}

/* With its next request at the latest, also when the walk has not come there. */
static void
test_next_request(void **state sl_unused)
{
	struct fake *c;

	set_up(PX_HTTP);
	two.fe.slot = 3; // another proxy, as far as counters go
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/"));
	assert_true(says(c, "x-gen: one"));
	publish();
	px_env_ask(&e, c, G("/"));
	assert_true(says(c, "x-gen: two"));
	holds(__LINE__, 0, 0, 1, 0);
	assert_int_equal(counter_get(&e.lc->px_cnt[0].cur_conn), 0);
	assert_int_equal(counter_get(&e.lc->px_cnt[3].cur_conn), 1);
	assert_int_equal(atomic_load(&e.bal->px[0].conns), 0);
	assert_int_equal(atomic_load(&e.bal->px[3].conns), 1);
	px_env_end(&e);
}

/* The bind is gone, or of another mode: a last answer by the old rules, which says so. */
static void
test_bind_gone(void **state sl_unused)
{
	for (int other_mode = 0; other_mode < 2; other_mode++) {
		struct fake *c;

		set_up(PX_HTTP);
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, G("/"));
		if (other_mode)
			two.fe.mode = two.be.mode = PX_TCP;
		else
			two.m.nbinds = 0;
		publish();
		follow();
		holds(__LINE__, 1, 0, 0, 0);
		assert_false(c->user_gone); // a request may be on its way
		px_env_ask(&e, c, G("/"));
		assert_true(says(c, "x-gen: one"));
		assert_true(says(c, "onnection: close"));
		assert_true(c->user_gone || c->shut);
		if (!other_mode)
			assert_null(px_env_client(&e));
		fake_fin(c);
		px_env_run(&e);
		holds(__LINE__, 0, 0, 0, 0);
		px_env_end(&e);
	}
}

/* A tunnel keeps its generation until it ends, or until "hard-stop-after" has it ended. */
static void
test_tunnel(void **state sl_unused)
{
	for (int hard = 0; hard < 2; hard++) {
		struct xmsg m = { .w = { XMSG_GEN_END, 0 } };
		struct fake *c, *later;

		set_up(PX_TCP);
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, "hello");
		publish();
		follow();
		later = px_env_client(&e);
		px_env_ask(&e, later, "hello");
		holds(__LINE__, 1, 1, 1, 1);
		px_env_ask(&e, c, "again");
		assert_false(c->user_gone);
		if (hard) {
			px_main_message(e.lc, &m);
			follow();
			assert_true(c->user_gone || c->dead);
			assert_memory_equal(px_env_log(&e)->term, "K", 1);
		} else {
			fake_rst(c);
			px_env_run(&e);
		}
		holds(__LINE__, 0, 0, 1, 1);
		assert_false(later->user_gone);
		px_env_end(&e);
	}
}

/* The same for a request that waits for its server, and for a connection between two requests. */
static void
test_hard_stop(void **state sl_unused)
{
	static const struct env_answer answers[] = { { "/slow", NULL, ENV_HANG }, { NULL } };
	struct xmsg m = { .w = { XMSG_GEN_END, 0 } };
	struct fake *busy, *idle;

	set_up(PX_HTTP);
	e.answers = answers;
	px_env_start(&e);
	busy = px_env_client(&e);
	px_env_ask(&e, busy, G("/slow"));
	idle = px_env_client(&e);
	px_env_ask(&e, idle, G("/"));
	two.m.nbinds = 0; // so that nothing follows
	publish();
	follow();
	holds(__LINE__, 2, 1, 0, 0);
	px_main_message(e.lc, &m);
	follow();
	holds(__LINE__, 0, 0, 0, 0);
	assert_true(busy->user_gone || busy->dead || busy->shut);
	assert_true(idle->user_gone || idle->dead || idle->shut);
	px_env_end(&e);
}

/* A call that nobody waits for any more still holds the generation: a script may look at it. */
static void
test_call_slot(void **state sl_unused)
{
	const char *const rules[] = { "lua.slow", NULL };
	struct call_slot *call;
	struct fake *c;

	set_up(PX_HTTP);
	e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, rules);
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/"));
	call = px_env_call(&e);
	assert_non_null(call);
	publish();
	fake_rst(c);
	px_env_run(&e);
	holds(__LINE__, 0, 0, 0, 0);
	assert_int_equal(counter_get(&e.lc->gen[0].slots), 1);
	px_env_reply(&e, call);
	assert_int_equal(counter_get(&e.lc->gen[0].slots), 0);
	px_env_end(&e);
}

/* A slot that has another owner begins anew; one that goes on keeps its numbers and connections. */
static void
test_slots(void **state sl_unused)
{
	static const struct {
		int line;
		uint32_t since, moved;
		bool counts, connection;
	} rows[] = {
		{ __LINE__, 1, 0, true, true },
		{ __LINE__, 2, 0, false, false },
		{ __LINE__, 1, 2, true, false },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct fake *c;

		set_up(PX_HTTP);
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, G("/"));
		assert_int_equal(idle_count(e.lc, e.srv[0].slot), 1);
		two.srv[0].since = rows[i].since;
		two.srv[0].moved = rows[i].moved;
		two.m.changed = 2;
		publish();
		if ((counter_get(&e.lc->srv_cnt[e.srv[0].slot].cum_req) == 1) != rows[i].counts ||
			(idle_count(e.lc, e.srv[0].slot) == 1) != rows[i].connection)
			fail_msg("line %d: %lu requests, %u connections", rows[i].line,
				counter_get(&e.lc->srv_cnt[e.srv[0].slot].cum_req),
				idle_count(e.lc, e.srv[0].slot));
		px_env_end(&e);
	}
}

/* A server moved: what was connected to before is not kept, however late the answer comes. */
static void
test_moved_in_flight(void **state sl_unused)
{
	static const struct env_answer answers[] = { { "/slow", NULL, ENV_HANG }, { NULL } };
	struct ip_port *now = malloc(sizeof(*now));
	struct fake *c;

	set_up(PX_HTTP);
	e.answers = answers;
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/slow"));
	*now = e.srv[1].addr;
	two.srv[0].addr = *now;
	two.srv[0].moved = two.m.changed = 2;
	atomic_store(&e.bal->srv[e.srv[0].slot].addr, now);
	publish();
	fake_give(px_env_backend(&e, 0), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 40);
	px_env_run(&e);
	assert_true(says(c, "x-gen: one"));
	assert_int_equal(idle_count(e.lc, e.srv[0].slot), 0);
	px_env_ask(&e, c, G("/"));
	assert_int_equal(e.connects[1], 1);
	px_env_end(&e);
}

/* Requests of the old generation whose servers are full do not hold up those of the new one. */
static void
test_queue(void **state sl_unused)
{
	static const struct env_answer answers[] = { { "/slow", NULL, ENV_HANG }, { NULL } };
	struct fake *c[3];

	set_up(PX_HTTP);
	e.answers = answers;
	e.srv[0].maxconn = 1;
	two.be.servers = &two.srv[1];
	px_env_start(&e);
	for (int i = 0; i < 2; i++) {
		c[i] = px_env_client(&e);
		px_env_ask(&e, c[i], G("/slow"));
	}
	assert_int_equal(queue_len(e.lc, &e.be), 1);
	atomic_store(&e.bal->srv[two.srv[1].slot].weight, 1); // main does, for a new server
	publish();
	c[2] = px_env_client(&e);
	px_env_ask(&e, c[2], G("/"));
	px_env_wait(&e, 20);
	assert_true(says(c[2], "x-gen: two"));
	assert_int_equal(queue_len(e.lc, &e.be), 1);
	px_env_end(&e);
}

/* The walk over many connections is cut into pieces. */
static void
test_many(void **state sl_unused)
{
	struct fake *c[60];
	uint32_t turns = 0;

	set_up(PX_HTTP);
	px_env_start(&e);
	for (size_t i = 0; i < SL_ARRAY_SIZE(c); i++) {
		c[i] = px_env_client(&e);
		assert_non_null(c[i]);
	}
	publish();
	while (e.lc->following) {
		uint64_t before = counter_get(&e.lc->gen[0].conns);

		px_follow(e.lc);
		assert_true(before - counter_get(&e.lc->gen[0].conns) <= 16);
		turns++;
	}
	assert_true(turns >= 4);
	holds(__LINE__, 0, 0, SL_ARRAY_SIZE(c), 0);
	px_env_end(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_flight),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_next_request),
		cmocka_unit_test(test_bind_gone),
		cmocka_unit_test(test_tunnel),
		cmocka_unit_test(test_hard_stop),
		cmocka_unit_test(test_call_slot),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_moved_in_flight),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
