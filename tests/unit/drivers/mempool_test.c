// SPDX-License-Identifier: BSD-3-Clause
/*
 * Pools: what a card writes to is the buffer; objects without gaps; what was freed last is used next;
 * nothing stays when they go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "drivers/port.h"
#include "tests/harness/eal.h"

struct seen {
	uintptr_t last;
	uint32_t objects, no_iova, gaps;
	uint32_t size;
};

static void
look(struct rte_mempool *mp, void *ctx, void *obj, unsigned int i)
{
	const struct rte_mbuf *m = obj;
	struct seen *s = ctx;

	(void)i;
	// in this mode a card's address of a byte is the program's
	s->no_iova += rte_mbuf_data_iova(m) != (uintptr_t)m->buf_addr + RTE_PKTMBUF_HEADROOM ||
		rte_mempool_virt2iova(obj) != (uintptr_t)obj;
	s->size = mp->header_size + mp->elt_size + mp->trailer_size;
	s->gaps += s->last != 0 && (uintptr_t)obj != s->last + s->size;
	s->last = (uintptr_t)obj;
	s->objects++;
}

static void
pools(void **state)
{
	struct port_err err;

	(void)state;
	// the names are free again each time
	for (int round = 0; round < 2; round++) {
		struct rte_mempool *mp = pool_create(0, 4095, SOCKET_ID_ANY, &err);
		struct seen s = { 0 };

		assert_non_null(mp);
		rte_mempool_obj_iter(mp, look, &s);
		assert_int_equal(s.objects, 4095);
		assert_int_equal(s.no_iova, 0);
		assert_int_equal(s.gaps, 0);
		// drivers do not map memory that is not meant for cards
		assert_int_equal(mp->flags & RTE_MEMPOOL_F_NON_IO, 0);
		rte_mempool_free(mp);
	}
}

#define BURST 1000 // more than the cache of a thread holds

/* A load that needs few buffers touches few, however many there are. */
static void
few_are_touched(void **state)
{
	struct rte_mempool *mp;
	struct rte_mbuf *m[BURST];
	struct port_err err;
	uint32_t touched = 0;

	(void)state;
	mp = pool_create(0, 16383, SOCKET_ID_ANY, &err);
	assert_non_null(mp);
	for (int round = 0; round < 40; round++) {
		for (uint32_t i = 0; i < BURST; i++) {
			m[i] = rte_pktmbuf_alloc(mp);
			assert_non_null(m[i]);
			touched += m[i]->dynfield1[0] == 0;
			m[i]->dynfield1[0] = 1;
		}
		for (uint32_t i = 0; i < BURST; i++)
			rte_pktmbuf_free(m[i]);
	}
	assert_true(touched < 2 * BURST);
	rte_mempool_free(mp);
}

static void
too_large(void **state)
{
	struct port_err err = { "" };

	(void)state;
	assert_null(pool_create(0, (1u << 22) - 1, SOCKET_ID_ANY, &err));
	assert_non_null(strstr(err.text, "give more hugepages"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pools),
		cmocka_unit_test(few_are_touched),
		cmocka_unit_test(too_large),
	};

	if (test_eal_start() < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
