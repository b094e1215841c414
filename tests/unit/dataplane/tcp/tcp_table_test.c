// SPDX-License-Identifier: BSD-3-Clause
/*
 * Flow table against a plain list, its growth, RTO arithmetic against RFC 6298's formulas, sequence numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/tcp/tcp_priv.h"

#define N 4096

static struct tcp_lcore tl;

static int
pools(void **state)
{
	uint64_t key[2] = { 11, 22 };

	(void)state;
	memset(&tl, 0, sizeof(tl));
	pool_init(&tl.conns, calloc(1, pool_bytes(N, sizeof(struct tcp_conn))), N,
		sizeof(struct tcp_conn));
	pool_init(&tl.halfs, calloc(1, pool_bytes(N, sizeof(struct tcp_half))), N,
		sizeof(struct tcp_half));
	pool_init(
		&tl.tws, calloc(1, pool_bytes(N, sizeof(struct tcp_tw))), N, sizeof(struct tcp_tw));
	return tcp_table_init(NULL, &tl.table, N, key);
}

static int
unpools(void **state)
{
	(void)state;
	free(tl.conns.mem);
	free(tl.halfs.mem);
	free(tl.tws.mem);
	tcp_table_fini(&tl.table);
	return 0;
}

static struct tcp_key *
key_at(struct tcp_ref r)
{
	if (r.kind == TK_CONN)
		return &((struct tcp_conn *)pool_at(&tl.conns, r.idx))->key;
	if (r.kind == TK_HALF)
		return &((struct tcp_half *)pool_at(&tl.halfs, r.idx))->key;
	return &((struct tcp_tw *)pool_at(&tl.tws, r.idx))->key;
}

static void
make_key(struct tcp_key *k, uint32_t i)
{
	struct ip_addr l = { .family = ADDR_V4 }, r = { .family = i % 3 ? ADDR_V4 : ADDR_V6 };

	l.family = r.family;
	l.b[0] = 10;
	r.b[0] = 10;
	r.b[3] = (uint8_t)(i >> 8);
	tcp_key_set(k, &l, 80, &r, (uint16_t)i);
}

/* Random adding, replacing and deleting; all bucket chains with a hash of few values. */
static void
table(uint64_t hash_mask)
{
	static bool in[N];
	static enum tcp_kind kind[N];
	struct sl_rand rnd;
	uint32_t count = 0;

	rand_seed(&rnd, 5);
	memset(in, 0, sizeof(in));
	for (int step = 0; step < 200000; step++) {
		uint32_t i = rand_below(&rnd, hash_mask == 0 ? 100 : N), op = rand_below(&rnd, 3);
		struct tcp_key k;
		struct tcp_ref ref = { i, kind[i] }, got;
		uint64_t hash;

		make_key(&k, i);
		hash = hash_mask == 0 ? 7 : tcp_key_hash(&tl.table, &k) & hash_mask;
		if (!in[i] && op == 0) {
			ref.kind = kind[i] = (enum tcp_kind)rand_below(&rnd, 3);
			*key_at(ref) = k;
			if (tcp_table_add(&tl.table, hash, ref) == 0) {
				in[i] = true;
				count++;
			} else {
				assert_int_equal(hash_mask, 0); // out of overflow buckets
			}
		} else if (in[i] && op == 1) {
			tcp_table_del(&tl.table, hash, ref);
			in[i] = false;
			count--;
		} else if (in[i] && op == 2) {
			struct tcp_ref next = { i, (enum tcp_kind)((kind[i] + 1) % 3) };
			*key_at(next) = k;
			tcp_table_replace(&tl.table, hash, ref, next);
			kind[i] = next.kind;
		}
		got = tcp_lookup(&tl, &k, hash);
		if (in[i])
			assert_true(got.idx == i && got.kind == kind[i]);
		else
			assert_int_equal(got.idx, TCP_NONE);
		assert_int_equal(tl.table.entries, count);
	}
}

static void
test_table(void **state)
{
	(void)state;
	table(UINT64_MAX);
}

static void
test_table_one_bucket(void **state)
{
	(void)state;
	table(0);
}

/* The buckets that the entries ask for, each time; later deletions change nothing. */
static void
test_table_grows(void **state)
{
	const struct tcp_table *t = &tl.table;
	struct tcp_key k;

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		struct tcp_ref ref = { i, TK_CONN };
		uint32_t used, want = sl_max((i + 2) / 2, 16u);

		make_key(&k, i);
		*key_at(ref) = k;
		assert_int_equal(tcp_table_add(&tl.table, tcp_key_hash(t, &k), ref), 0);
		used = t->mask + 1 + t->split;
		assert_int_equal(used, sl_min(want, N / 4u));
		if ((i & (i - 1)) != 0)
			continue;
		for (uint32_t j = 0; j <= i; j++) {
			make_key(&k, j);
			assert_int_equal(tcp_lookup(&tl, &k, tcp_key_hash(t, &k)).idx, j);
		}
	}
	for (uint32_t i = 0; i < N; i++) {
		make_key(&k, i);
		tcp_table_del(&tl.table, tcp_key_hash(t, &k), (struct tcp_ref){ i, TK_CONN });
		assert_int_equal(tcp_lookup(&tl, &k, tcp_key_hash(t, &k)).idx, TCP_NONE);
	}
	assert_int_equal(t->entries, 0);
}

static void
test_keys(void **state)
{
	struct ip_addr l = { .family = ADDR_V4 }, r = l, a, b;
	struct tcp_key k, k6;

	(void)state;
	l.b[0] = 1;
	r.b[3] = 2;
	tcp_key_set(&k, &l, 1, &r, 2);
	assert_true(tcp_key_is_v4(&k));
	tcp_key_get(&k, &a, &b);
	assert_true(addr_eq(&a, &l) && addr_eq(&b, &r));
	// the same bytes as IPv6 are another key
	l.family = r.family = ADDR_V6;
	tcp_key_set(&k6, &l, 1, &r, 2);
	assert_false(tcp_key_is_v4(&k6));
	assert_memory_not_equal(&k, &k6, sizeof(k));
	assert_true(tcp_key_hash(&tl.table, &k) != tcp_key_hash(&tl.table, &k6));
}

/* RFC 6298 in floating point beside ours. */
static void
test_rto(void **state)
{
	struct tcp_conn tc = { 0 };
	double srtt = 0, rttvar = 0;
	struct sl_rand rnd;

	(void)state;
	tcp_conf_default(&tl.conf);
	tl.conf.rto_min_ms = 1;
	assert_int_equal(tcp_rto_ms(&tl, &tc), 1000); // (2.1)
	rand_seed(&rnd, 1);
	for (int i = 0; i < 10000; i++) {
		double us = 500 + rand_below(&rnd, i % 1000 < 900 ? 20000 : 900000), ms;

		tcp_rtt_sample(&tc, (uint32_t)us);
		if (i == 0) {
			srtt = us;
			rttvar = us / 2;
		} else {
			double err = srtt > us ? srtt - us : us - srtt;
			rttvar = 0.75 * rttvar + 0.25 * err;
			srtt = 0.875 * srtt + 0.125 * us;
		}
		ms = (srtt + (4 * rttvar > 1000 ? 4 * rttvar : 1000)) / 1000;
		if (tcp_rto_ms(&tl, &tc) < ms - 2 || tcp_rto_ms(&tl, &tc) > ms + 3)
			fail_msg("sample %d: %u ms, formula %f", i, tcp_rto_ms(&tl, &tc), ms);
	}
	tl.conf.rto_min_ms = 5000;
	assert_int_equal(tcp_rto_ms(&tl, &tc), 5000);
	tc.backoff = 3;
	assert_int_equal(tcp_rto_ms(&tl, &tc), 40000);
	tc.backoff = 16;
	assert_int_equal(tcp_rto_ms(&tl, &tc), 60000);
	tc.backoff = 255;
	assert_int_equal(tcp_rto_ms(&tl, &tc), 60000);
}

static void
test_seq(void **state)
{
	(void)state;
	assert_true(seq_lt(0xfffffff0u, 5) && seq_gt(5, 0xfffffff0u));
	assert_true(seq_leq(7, 7) && seq_geq(7, 7) && !seq_lt(7, 7));
	assert_int_equal(seq_max(0xfffffff0u, 5), 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_table, pools, unpools),
		cmocka_unit_test_setup_teardown(test_table_one_bucket, pools, unpools),
		cmocka_unit_test_setup_teardown(test_table_grows, pools, unpools),
		cmocka_unit_test_setup_teardown(test_keys, pools, unpools),
		cmocka_unit_test_setup_teardown(test_rto, pools, unpools),
		cmocka_unit_test(test_seq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
