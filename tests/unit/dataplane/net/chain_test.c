// SPDX-License-Identifier: BSD-3-Clause
/* Byte queues of mbufs against a plain byte array, and checksums against the naive sum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/net/chain.h"
#include "dataplane/net/csum.h"
#include "dataplane/net/pkt.h"
#include "tests/harness/eal.h"

#define POOL  255
#define MODEL 65536

static struct rte_mempool *pool;
static struct lcore *lc;

static int
setup(void **state)
{
	struct lcore_spec s = { .nlcores = 1, .socket = -1, .pool_size = POOL };

	(void)state;
	if (test_eal_start() < 0)
		return -1;
	pool = test_pool_new("chain", POOL);
	s.pool = pool;
	lc = lcore_new(&s);
	return lc == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	lcore_free(lc);
	rte_mempool_free(pool);
	return 0;
}

struct model {
	uint8_t b[MODEL];
	uint32_t len;
};

static void
equal(const struct chain *c, const struct model *m)
{
	static uint8_t got[MODEL];
	uint32_t len = 0, segs = 0;
	const struct rte_mbuf *last = NULL;

	for (const struct rte_mbuf *s = c->head; s != NULL; s = s->next) {
		len += s->data_len;
		segs++;
		last = s;
	}
	assert_int_equal(c->len, m->len);
	assert_int_equal(len, m->len);
	assert_int_equal(segs, c->segs);
	assert_ptr_equal(last, c->tail);
	assert_int_equal(chain_copy_out(c, 0, got, MODEL), m->len);
	assert_memory_equal(got, m->b, m->len);
}

/* Random operations on two chains and their models; some allocations fail. */
static void
against_model(void **state)
{
	static struct model ma, mb;
	static uint8_t data[5000];
	struct chain a, b;
	struct sl_rand r;

	(void)state;
	rand_seed(&r, 7);
	chain_init(&a);
	chain_init(&b);
	for (int i = 0; i < 20000; i++) {
		uint32_t n, op = rand_below(&r, 7);

		lcore_mbuf_fail_in(lc, rand_below(&r, 5) == 0 ? 1 + rand_below(&r, 3) : 0);
		switch (op) {
		case 0:
		case 1:
			n = rand_below(&r, op == 0 ? 300 : 5000);
			if (ma.len + n > 20000)
				break;
			for (uint32_t k = 0; k < n; k++)
				data[k] = (uint8_t)rand_u64(&r);
			if (chain_copy_in_mss(lc, &a, data, n, 100 + rand_below(&r, 1400)) == 0) {
				memcpy(ma.b + ma.len, data, n);
				ma.len += n;
			}
			break;
		case 2:
		case 3:
			n = ma.len == 0 ? 0 : rand_below(&r, ma.len + 1);
			if (mb.len + n > 30000)
				break;
			if (chain_split(lc, &a, n, &b) == 0) {
				memcpy(mb.b + mb.len, ma.b, n);
				mb.len += n;
				memmove(ma.b, ma.b + n, ma.len - n);
				ma.len -= n;
			}
			break;
		case 4:
			n = mb.len == 0 ? 0 : rand_below(&r, mb.len + 1);
			chain_trim(lc, &b, n);
			memmove(mb.b, mb.b + n, mb.len - n);
			mb.len -= n;
			break;
		case 5:
			if (ma.len + mb.len <= 20000) {
				chain_append(&a, &b);
				memcpy(ma.b + ma.len, mb.b, mb.len);
				ma.len += mb.len;
				mb.len = 0;
			}
			break;
		default:
			n = rand_below(&r, ma.len + 10);
			if (n < ma.len) {
				uint32_t k = chain_copy_out(&a, n, data, 64);
				assert_int_equal(k, ma.len - n < 64 ? ma.len - n : 64);
				assert_memory_equal(data, ma.b + n, k);
			}
		}
		equal(&a, &ma);
		equal(&b, &mb);
	}
	lcore_mbuf_fail_in(lc, 0);
	chain_free(lc, &a);
	chain_free(lc, &b);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void
mss_units(void **state)
{
	static const uint8_t data[4000];
	struct chain c;

	(void)state;
	chain_init(&c);
	assert_int_equal(chain_copy_in(lc, &c, data, 10), 0);
	assert_int_equal(chain_copy_in_mss(lc, &c, data, 4000, 1448), 0);
	assert_int_equal(c.segs, 3);
	for (const struct rte_mbuf *m = c.head; m != NULL; m = m->next) {
		assert_true(m->data_len <= 1448);
		// room for all headers in front
		assert_true(rte_pktmbuf_headroom(m) >= 118);
	}
	chain_free(lc, &c);
	// an mbuf that somebody else still reads is not written behind its end
	chain_init(&c);
	assert_int_equal(chain_copy_in(lc, &c, data, 10), 0);
	struct rte_mbuf *shared = c.head;
	rte_mbuf_refcnt_update(shared, 1);
	assert_int_equal(chain_copy_in(lc, &c, data, 10), 0);
	assert_int_equal(c.segs, 2);
	assert_int_equal(shared->data_len, 10);
	chain_free(lc, &c);
	// and has no successor that a driver would free with it
	assert_null(shared->next);
	rte_pktmbuf_free(shared);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static uint16_t
naive(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* What is written behind received bytes makes what is known of their sum untrue. */
static void
notes(void **state)
{
	struct chain c;

	(void)state;
	chain_init(&c);
	assert_int_equal(chain_copy_in(lc, &c, "ab", 2), 0);
	pkt_of(c.head)->sum_len = 2;
	assert_int_equal(chain_copy_in(lc, &c, "cd", 2), 0);
	assert_int_equal(c.segs, 1);
	assert_int_equal(pkt_of(c.head)->sum_len, 0);
	chain_free(lc, &c);
}

static void
csums(void **state)
{
	static uint8_t data[2100];
	struct sl_rand r;

	(void)state;
	rand_seed(&r, 3);
	for (int i = 0; i < 20000; i++) {
		uint32_t off = rand_below(&r, 16), len = rand_below(&r, i % 2 ? 80 : 2048), cut;
		uint64_t sum, part;

		for (uint32_t k = 0; k < len; k++)
			data[off + k] = i % 3 == 0 ? 0xff : (uint8_t)rand_u64(&r);
		uint16_t want = naive(data + off, len);
		sum = csum_add(data + off, len, 0);
		assert_int_equal(__builtin_bswap16(csum_fold(sum)), want);
		// each implementation, and on top of a sum near the end of its range
		assert_int_equal(csum_fold(csum_add_plain(data + off, len, 0)), csum_fold(sum));
		assert_int_equal(csum_fold(csum_add_sse2(data + off, len, 0)), csum_fold(sum));
		if (__builtin_cpu_supports("avx2"))
			assert_int_equal(
				csum_fold(csum_add_avx2(data + off, len, 0)), csum_fold(sum));
		part = csum_add(data + off, len, ~(uint64_t)0 - 1);
		if (csum_fold(sum) != 0)
			assert_int_equal(
				csum_fold(part), csum_fold((uint64_t)csum_fold(sum) + 0xfffe));
		// in two parts, also at odd places
		cut = len == 0 ? 0 : rand_below(&r, len);
		part = csum_add(data + off + cut, len - cut, 0);
		sum = csum_add(data + off, cut, 0) + (cut & 1 ? csum_swap(part) : csum_fold(part));
		assert_int_equal(__builtin_bswap16(csum_fold(sum)), want);
		// and it verifies with its own complement
		if (len >= 2 && len % 2 == 0) {
			uint16_t c;
			memset(data + off, 0, 2);
			c = csum_finish(csum_add(data + off, len, 0));
			memcpy(data + off, &c, 2);
			assert_true(csum_is_good(csum_add(data + off, len, 0)));
			data[off + 1] ^= 1;
			assert_false(csum_is_good(csum_add(data + off, len, 0)));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_model),
		cmocka_unit_test(mss_units),
		cmocka_unit_test(notes),
		cmocka_unit_test(csums),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
