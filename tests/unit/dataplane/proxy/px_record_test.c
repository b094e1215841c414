// SPDX-License-Identifier: BSD-3-Clause
/*
 * What an exchange leaves behind: counters and the log's records.
 */
#include "dataplane/proxy/px.h"
#include "tests/harness/px_env.h"

#define G(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct px_env e;

/* ---- counters and log ---- */

static void
test_record(void **state sl_unused)
{
	static const struct env_answer a[] = {
		{ "/x?y", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ENV_KEEP },
		{ NULL, NULL, 0 }
	};
	const struct px_counters *fe, *srv;
	const struct logrec *r;
	struct fake *c;

	px_env_init(&e);
	e.answers = a;
	e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ,
		(const char *const[]){ "set-header host other", "set-header x 1", NULL });
	px_env_start(&e);
	c = px_env_client(&e);
	fake_give(c, "GET /x?y HTTP/1.1\r\n", 19);
	px_env_run(&e);
	px_env_wait(&e, 50);
	px_env_ask(&e, c, "Host: a\r\n\r\n");
	r = px_env_log(&e);
	assert_non_null(r);
	assert_int_equal(r->text_len, 17);
	assert_memory_equal(r->text, "GET /x?y HTTP/1.1", 17);
	assert_int_equal(r->fe, 0);
	assert_int_equal(r->be, 1);
	assert_int_equal(r->srv, 0);
	assert_int_equal(r->tr, 50);
	assert_int_equal(r->tw, 0);
	assert_int_equal(r->tc, 0);
	assert_int_equal(r->tresp, 0);
	assert_int_equal(r->ta, 50);
	assert_int_equal(r->bytes_out, c->out_len + 15 - 4); // HAProxy's measure: h1_counted_size()
	assert_memory_equal(r->term, "----", 4);
	assert_int_equal(r->actconn, 1);
	assert_int_equal(r->feconn, 1);
	assert_int_equal(r->src.port, c->remote.port);
	fe = &e.lc->px_cnt[0];
	srv = &e.lc->srv_cnt[0];
	assert_int_equal(counter_get(&fe->cum_req), 1);
	assert_int_equal(counter_get(&fe->cum_conn), 1);
	assert_int_equal(counter_get(&fe->cur_conn), 1);
	assert_int_equal(counter_get(&fe->rsp_2xx), 1);
	assert_int_equal(counter_get(&fe->bytes_out), c->out_len + 15 - 4);
	assert_int_equal(counter_get(&fe->bytes_in), 30 + 15 - 4);
	assert_int_equal(counter_get(&srv->cum_req), 1);
	assert_int_equal(counter_get(&srv->rsp_2xx), 1);
	assert_int_equal(counter_get(&srv->cur_conn), 0);
	px_env_end(&e);
}

static void
test_dontlognull(void **state sl_unused)
{
	struct fake *c;

	px_env_init(&e);
	e.fe.options |= PX_O_DONTLOGNULL;
	px_env_start(&e);
	c = px_env_client(&e);
	fake_fin(c);
	px_env_run(&e);
	assert_null(px_env_log(&e));
	c = px_env_client(&e);
	px_env_ask(&e, c, "G");
	fake_fin(c);
	px_env_run(&e);
	assert_non_null(px_env_log(&e));
	px_env_end(&e);
}

/* The ring is full: records are lost and counted, requests are not. */
static void
test_log_full(void **state sl_unused)
{
	uint64_t before;
	struct fake *c;

	px_env_init(&e);
	px_env_start(&e);
	before = counter_get(&e.lc->stat[STAT_LOG_DROPPED]);
	c = px_env_client(&e);
	for (int i = 0; i < 300; i++)
		px_env_ask(&e, c, G("/"));
	assert_int_equal(px_env_count(px_env_got(c), "200 OK"), 300);
	assert_int_equal(counter_get(&e.lc->stat[STAT_LOG_DROPPED]) - before, 300 - 256);
	px_env_end(&e);
}

/* A reader that keeps up gets them all in the same few records; one that waits gets them in order. */
static void
test_log_reuse(void **state sl_unused)
{
	const struct logrec *first, *r;
	uint64_t last = 0;
	struct fake *c;

	px_env_init(&e);
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/"));
	first = logring_peek(e.lc->logring);
	assert_non_null(first);
	logring_done(e.lc->logring);
	for (int i = 0; i < 1000; i++) {
		px_env_ask(&e, c, G("/"));
		assert_ptr_equal(logring_peek(e.lc->logring), first);
		logring_done(e.lc->logring);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++)
			px_env_ask(&e, c, G("/"));
		for (int i = 0; i < 200; i++) {
			r = logring_peek(e.lc->logring);
			assert_non_null(r);
			assert_true(r->unique > last);
			last = r->unique;
			logring_done(e.lc->logring);
		}
		assert_null(logring_peek(e.lc->logring));
	}
	px_env_end(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_dontlognull),
		cmocka_unit_test(test_log_full),
		cmocka_unit_test(test_log_reuse),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
