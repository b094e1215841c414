// SPDX-License-Identifier: BSD-3-Clause
/* Pools with generations, arenas over both kinds of chunk source, and their failure hooks. */
#include "dataplane/base/arena.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/rand.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void *
pool_make(struct pool *p, uint32_t nr, uint32_t size)
{
	size_t bytes = SL_ALIGN_UP(pool_bytes(nr, size), 64);
	void *mem = aligned_alloc(64, bytes);

	assert_non_null(mem);
	memset(mem, 0, bytes);
	pool_init(p, mem, nr, size);
	assert_int_equal(pool_validate(p), 0);
	return mem;
}

static void
pool_basics(void **state sl_unused)
{
	struct sl_handle h, none = { 0, 0 };
	struct pool p;
	void *mem = pool_make(&p, 3, 20);
	uint8_t *a, *b, *c;

	assert_int_equal(p.size, 24);
	assert_null(pool_lookup(&p, none));
	a = pool_new(&p);
	b = pool_new(&p);
	c = pool_new(&p);
	assert_true(a != NULL && b != NULL && c != NULL);
	assert_null(pool_new(&p));
	assert_int_equal(p.failed, 1);
	assert_int_equal(p.used, 3);
	assert_int_equal(p.peak, 3);
	assert_ptr_equal(pool_at(&p, pool_index(&p, b)), b);
	h = pool_handle(&p, b);
	assert_int_equal(h.gen & 1, 1);
	assert_ptr_equal(pool_lookup(&p, h), b);
	memset(b, 0xff, 24);
	pool_free(&p, b);
	assert_null(pool_lookup(&p, h));
	assert_int_equal(pool_validate(&p), 0);
	assert_ptr_equal(pool_new(&p), b); // last freed, first used
	assert_int_equal(b[0] | b[23], 0);
	assert_null(pool_lookup(&p, h)); // the next life has another generation
	h.idx = 3;
	assert_null(pool_lookup(&p, h));
	h.idx = POOL_NONE;
	assert_null(pool_lookup(&p, h));
	// a forged even generation names nobody, not even a free object
	pool_free(&p, a);
	h = (struct sl_handle){ pool_index(&p, a), p.gen[pool_index(&p, a)] };
	assert_null(pool_lookup(&p, h));
	free(mem);
}

static void
pool_gen_wraps(void **state sl_unused)
{
	struct pool p;
	void *mem = pool_make(&p, 1, 8), *a;
	struct sl_handle h;

	p.gen[0] = UINT32_MAX - 1;
	a = pool_new(&p);
	h = pool_handle(&p, a);
	assert_int_equal(h.gen, UINT32_MAX);
	pool_free(&p, a);
	assert_int_equal(p.gen[0], 0);
	assert_null(pool_lookup(&p, h));
	assert_null(pool_lookup(&p, (struct sl_handle){ 0, 0 }));
	a = pool_new(&p);
	assert_int_equal(pool_handle(&p, a).gen, 1);
	free(mem);
}

static void
pool_random(void **state sl_unused)
{
	enum { NR = 50 };
	struct pool p;
	void *mem = pool_make(&p, NR, 64), *live[NR];
	struct sl_handle handle[NR], old[NR] = { { 0, 0 } };
	uint32_t n = 0, peak = 0;
	struct sl_rand r;

	rand_seed(&r, 3);
	for (int op = 0; op < 20000; op++) {
		if (rand_below(&r, 2) == 0) {
			void *obj = pool_new(&p);
			assert_int_equal(obj == NULL, n == NR);
			if (obj != NULL) {
				handle[n] = pool_handle(&p, obj);
				live[n++] = obj;
				memset(obj, 0xa5, 64);
			}
		} else if (n > 0) {
			uint32_t k = rand_below(&r, n);
			old[rand_below(&r, NR)] = handle[k];
			pool_free(&p, live[k]);
			live[k] = live[--n];
			handle[k] = handle[n];
		}
		peak = sl_max(peak, n);
		assert_int_equal(pool_validate(&p), 0);
		assert_int_equal(p.used, n);
		assert_int_equal(p.peak, peak);
		for (uint32_t i = 0; i < n; i++)
			assert_ptr_equal(pool_lookup(&p, handle[i]), live[i]);
		for (uint32_t i = 0; i < NR; i++)
			assert_null(pool_lookup(&p, old[i]));
	}
	free(mem);
}

static void
pool_fails_on_demand(void **state sl_unused)
{
	struct pool p;
	void *mem = pool_make(&p, 4, 8);

	p.fail_in = 2;
	assert_non_null(pool_new(&p));
	assert_null(pool_new(&p));
	assert_non_null(pool_new(&p));
	assert_int_equal(p.failed, 1);
	assert_int_equal(p.fail_in, 0);
	assert_int_equal(pool_validate(&p), 0);
	pool_init(&p, mem, 0, 8);
	assert_null(pool_new(&p));
	free(mem);
}

/* ---- arenas ---- */

struct heap {
	uint32_t chunk; // usable bytes of a usual chunk
	uint32_t got, put;
	uint32_t max; // refuses beyond
};

static struct arena_chunk *
heap_get(void *ctx, uint32_t need)
{
	struct heap *h = ctx;
	uint32_t size = sl_max(need, h->chunk);
	struct arena_chunk *c;

	if (h->got - h->put >= h->max)
		return NULL;
	c = malloc(sizeof(*c) + size); // exact, so that ASan sees one byte too many
	assert_non_null(c);
	c->size = size;
	h->got++;
	return c;
}

static void
heap_put(void *ctx, struct arena_chunk *c)
{
	((struct heap *)ctx)->put++;
	free(c);
}

static void
arena_basics(void **state sl_unused)
{
	struct heap h = { .chunk = 100, .max = 3 };
	struct arena_src src = { heap_get, heap_put, &h };
	struct arena a;
	struct sl_str s;
	uint8_t *p;

	arena_init(&a, &src);
	for (int i = 0; i < 12; i++) {
		p = arena_alloc(&a, 8);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 8, 0);
		memset(p, 0xee, 8);
	}
	assert_int_equal(h.got, 1);
	p = arena_alloc(&a, 4); // 96 used of 100: an aligned word does not fit
	assert_non_null(p);
	memset(p, 0xee, 8);
	assert_int_equal(h.got, 2);
	p = arena_alloc(&a, 5000); // larger than a chunk
	assert_non_null(p);
	memset(p, 0xee, 5000);
	assert_int_equal(h.got, 3);
	assert_false(a.failed);
	assert_null(arena_alloc(&a, 5000)); // the source refuses
	assert_true(a.failed);
	a.failed = false;
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_true(a.failed);
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, UINT32_MAX));
	arena_reset(&a);
	assert_int_equal(h.put, 3);

	s = arena_str(&a, SL_STR("abc"));
	assert_string_equal(s.p, "abc");
	assert_int_equal(s.len, 3);
	assert_string_equal(arena_str(&a, SL_STR_NULL).p, "");
	assert_string_equal(arena_cstr(&a, "12345678"), "12345678");
	p = arena_alloc(&a, 24);
	memset(p, 0xff, 24);
	p = arena_zalloc(&a, 24);
	for (int i = 0; i < 24; i++)
		assert_int_equal(p[i], 0);
	assert_non_null(arena_alloc(&a, 0));
	arena_reset(&a);
	assert_int_equal(h.got, h.put);
}

static void
arena_fails_on_demand(void **state sl_unused)
{
	struct heap h = { .chunk = 4096, .max = UINT32_MAX };
	struct arena_src src = { heap_get, heap_put, &h };
	struct arena a;

	// whatever the n-th allocation is, its failure is reported and the next works
	for (uint32_t n = 1; n <= 4; n++) {
		bool ok[4];
		arena_init(&a, &src);
		a.fail_in = n;
		ok[0] = arena_alloc(&a, 10) != NULL;
		ok[1] = arena_zalloc(&a, 10) != NULL;
		ok[2] = arena_str(&a, SL_STR("x")).p != NULL;
		ok[3] = arena_cstr(&a, "y") != NULL;
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(ok[i], i + 1 != n);
		assert_true(a.failed);
		arena_reset(&a);
		assert_false(a.failed);
	}
	assert_int_equal(h.got, h.put);
}

static void
arena_mapped(void **state sl_unused)
{
	struct arena_map *m = arena_map_new();
	struct arena a;
	char *text, *large;
	pid_t pid;
	int status;

	assert_non_null(m);
	arena_init(&a, arena_map_src(m));
	text = arena_cstr(&a, "published");
	large = arena_zalloc(&a, 1 << 20);
	assert_true(text != NULL && large != NULL);
	large[(1 << 20) - 1] = 'x';
	arena_map_protect(m);
	assert_string_equal(text, "published");

	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); // ASan's handler would report it
		*(volatile char *)text = 'x';
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);

	arena_reset(&a); // gives chunks back one by one
	assert_non_null(arena_alloc(&a, 10));
	arena_map_free(m); // and the rest at once
	arena_map_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_basics),
		cmocka_unit_test(pool_gen_wraps),
		cmocka_unit_test(pool_random),
		cmocka_unit_test(pool_fails_on_demand),
		cmocka_unit_test(arena_basics),
		cmocka_unit_test(arena_fails_on_demand),
		cmocka_unit_test(arena_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
