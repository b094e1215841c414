// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory of a Lua state: what is allocated, resized and freed in any order keeps its bytes; freed blocks
 * are used again, and only so much of them is kept; the cap holds, and shrinking never fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/script/script_priv.h"
#include "dataplane/base/rand.h"

#define BLOCKS 500

static struct script_state st;

static int
setup(void **state sl_unused)
{
	memset(&st, 0, sizeof(st));
	return 0;
}

static int
teardown(void **state sl_unused)
{
	assert_int_equal(st.used, 0);
	mem_fini(&st.mem);
	assert_int_equal(st.mem.kept, 0);
	return 0;
}

static void
check(const uint8_t *p, size_t n, uint8_t mark)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i], mark);
}

static void
test_random(void **state sl_unused)
{
	static uint8_t *p[BLOCKS];
	static size_t n[BLOCKS];
	struct sl_rand r;
	size_t used = 0;

	rand_seed(&r, 3);
	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t k = (uint32_t)(rand_u64(&r) % BLOCKS);
		size_t want = (size_t)(rand_u64(&r) % (1u << (rand_u64(&r) % 17))); // also 0
		size_t keep = sl_min(n[k], want);

		p[k] = mem_alloc(&st, p[k], n[k], want);
		assert_true((p[k] != NULL) == (want > 0));
		check(p[k], keep, (uint8_t)k);
		if (want > 0)
			memset(p[k], (int)(uint8_t)k, want);
		used += want - n[k];
		n[k] = want;
		assert_int_equal(st.used, used);
		assert_in_range(st.mem.kept, 0, 2 << 20);
	}
	for (uint32_t k = 0; k < BLOCKS; k++) {
		check(p[k], n[k], (uint8_t)k);
		mem_alloc(&st, p[k], n[k], 0);
	}
}

/* Tables have 40 << n bytes: no byte is wasted on them, and the next one gets the same block. */
static void
test_again(void **state sl_unused)
{
#ifndef __SANITIZE_ADDRESS__ // where nothing is kept
	for (size_t n = 40; n <= 16384; n *= 2) {
		size_t round = n < 512 ? SL_ALIGN_UP(n, (size_t)16) : n;
		void *p = mem_alloc(&st, NULL, 0, n);

		assert_non_null(p);
		mem_alloc(&st, p, n, 0);
		assert_int_equal(st.mem.kept, round);
		assert_ptr_equal(mem_alloc(&st, NULL, 0, n), p);
		assert_int_equal(st.mem.kept, 0);
		mem_alloc(&st, p, n, 0);
		mem_fini(&st.mem);
	}
#endif
}

static void
test_cap(void **state sl_unused)
{
	void *p, *q;

	st.max = 1000;
	p = mem_alloc(&st, NULL, LUA_TTABLE, 900); // the old size is a type here
	assert_non_null(p);
	assert_null(mem_alloc(&st, NULL, 0, 101));
	assert_null(mem_alloc(&st, p, 900, 1001)); // and it is as it was
	q = mem_alloc(&st, NULL, 0, 100);
	assert_non_null(q);
	p = mem_alloc(&st, p, 900, 10);
	assert_non_null(p);
	assert_int_equal(st.used, 110);
	mem_alloc(&st, p, 10, 0);
	mem_alloc(&st, q, 100, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cap, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
