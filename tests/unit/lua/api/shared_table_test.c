// SPDX-License-Identifier: BSD-3-Clause
/* Tables that all states share: values of each type, replacing, what expires, what is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lua/api/shared_table.h"

#define ITEM sizeof(struct shared_item)

static struct shared_val
text(const char *s)
{
	return (struct shared_val){ .type = VAL_STR, .s = sl_str_c(s) };
}

static struct shared_val
number(lua_Integer i)
{
	return (struct shared_val){ .type = VAL_INT, .i = i };
}

static bool
put(struct shared_table *t, const char *key, struct shared_val v)
{
	return shared_put(t, sl_str_c(key), &v, 0, false);
}

static struct shared_item *
get(struct shared_table *t, const char *key)
{
	return *shared_find(t, sl_str_c(key));
}

/* Tables live as long as the process: each case has one of its own. */
static struct shared_table *
fresh(const char *name, size_t max)
{
	struct shared_table *t = shared_open(name, max);

	assert_non_null(t);
	assert_ptr_equal(shared_open(name, 1), t); // the limit is the first one's
	assert_int_equal(t->items + t->bytes, 0);
	return t;
}

static void
values(void **state sl_unused)
{
	struct shared_table *t = fresh("values", 0);
	const struct shared_val v[] = { number(-5), { .type = VAL_NUM, .n = .5 },
		{ .type = VAL_BOOL, .b = true }, text("some text"), text(""), number(-5) };
	struct shared_val got;

	assert_int_equal(t->max, 16u << 20);
	for (size_t i = 0; i < SL_ARRAY_SIZE(v); i++) {
		assert_true(put(t, "k", v[i])); // in the place of the one before
		assert_true(shared_same(&get(t, "k")->v, &v[i]));
		assert_int_equal(t->items, 1);
		assert_int_equal(t->bytes, ITEM + 1 + (v[i].type == VAL_STR ? v[i].s.len : 0));
		got = shared_copy(get(t, "k"));
		assert_true(shared_same(&got, &v[i]));
		if (got.type == VAL_STR) {
			assert_ptr_not_equal(got.s.p, get(t, "k")->v.s.p);
			free((void *)(uintptr_t)got.s.p);
		}
		assert_int_equal(shared_same(&v[i], &v[0]), i == 0 || i == 5);
	}
	assert_null(get(t, "kk"));
	assert_null(get(t, ""));
	got = shared_copy(NULL);
	assert_int_equal(got.type, VAL_NONE);
	shared_drop(t, shared_find(t, SL_STR("k")));
	assert_null(get(t, "k"));
	assert_int_equal(t->items + t->bytes, 0);
}

/* More items than there are buckets: each is found, none twice. */
static void
many(void **state sl_unused)
{
	struct shared_table *t = fresh("many", 0);
	char key[16];

	for (int i = 0; i < 10000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_true(put(t, key, number(i)));
	}
	assert_int_equal(t->items, 10000);
	for (int i = 0; i < 10000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(get(t, key)->v.i, i);
		shared_drop(t, shared_find(t, sl_str_c(key)));
	}
	assert_int_equal(t->items + t->bytes, 0);
}

static void
expiry(void **state sl_unused)
{
	struct shared_table *t = fresh("expiry", 3 * ITEM + 3);
	struct shared_val v = number(1);

	assert_true(shared_put(t, SL_STR("a"), &v, 1, false));
	while (get(t, "a") != NULL) // a microsecond
		;
	assert_int_equal(t->items + t->bytes, 0);
	assert_int_equal(t->expired, 1);
	assert_true(shared_put(t, SL_STR("a"), &v, 3600000000u, false));
	assert_true(get(t, "a")->expires_us > shared_now_us() + 3500000000u);
	assert_true(shared_put(t, SL_STR("a"), &v, 0, true)); // keeps its time
	assert_true(get(t, "a")->expires_us > shared_now_us() + 3500000000u);
	assert_true(put(t, "a", v));
	assert_int_equal(get(t, "a")->expires_us, 0);
	/* what has expired gives room to others, though nobody asked for it */
	assert_true(shared_put(t, SL_STR("b"), &v, 1, false));
	assert_true(shared_put(t, SL_STR("c"), &v, 1, false));
	for (uint64_t until = shared_now_us() + 2; shared_now_us() < until;)
		;
	assert_int_equal(t->items, 3);
	assert_true(put(t, "d", v));
	assert_int_equal(t->items, 2);
	assert_int_equal(t->expired, 3);
	assert_int_equal(t->refused, 0);
}

static void
full(void **state sl_unused)
{
	struct shared_table *t = fresh("full", 2 * ITEM + 2 + 10);

	assert_true(put(t, "a", text("0123456789")));
	assert_true(put(t, "b", number(1)));
	assert_false(put(t, "c", number(1)));
	assert_int_equal(t->refused, 1);
	assert_null(get(t, "c"));
	assert_true(put(t, "b", number(2))); // what goes is counted for what comes
	assert_true(put(t, "a", text("abcdefghij")));
	assert_true(put(t, "a", text("0123456789")));
	shared_drop(t, shared_find(t, SL_STR("b")));
	assert_true(put(t, "c", number(1)));
	assert_false(put(t, "a", text("0123456789+"))); // the old value stays
	assert_true(sl_str_eq(get(t, "a")->v.s, SL_STR("0123456789")));
	assert_int_equal(t->refused, 2);
}

/* Nobody asks for more than there is for all together. */
static void
sum(void **state sl_unused)
{
	struct shared_table *a = fresh("sum a", SIZE_MAX), *b = fresh("sum b", SIZE_MAX);
	char key[16];
	int n = 0;

	shared_limit(40000);
	do
		snprintf(key, sizeof(key), "k%d", n);
	while (n < 1000 && put(n % 2 == 0 ? a : b, key, text("0123456789")) && ++n > 0);
	assert_in_range(n, 10, 40000 / ITEM);
	assert_int_equal(a->refused + b->refused, 1);
	assert_true(put(a, "k0", text("0123456789")));
	assert_true(put(a, "k0", number(1)));
	assert_false(put(b, "more", text("0123456789012345678901234567890123456789")));
	shared_drop(b, shared_find(b, SL_STR("k1")));
	assert_true(put(a, "more", text("0123456789")));
	shared_limit(SHARED_SUM);
}

static void
pass(uint64_t us)
{
	for (uint64_t until = shared_now_us() + us; shared_now_us() < until;)
		;
}

/* What has expired in a table gives room to all others, however it came to expire. */
static void
sum_expired(void **state sl_unused)
{
	static const char *const before[] = { "values", "many", "expiry", "full", "sum a", "sum b" };
	struct shared_table *a = fresh("expired a", SIZE_MAX), *b = fresh("expired b", SIZE_MAX);
	struct shared_table *c = fresh("expired c", ITEM);
	struct shared_val v = number(1);
	size_t used = 0;
	char key[16];

	for (size_t i = 0; i < SL_ARRAY_SIZE(before); i++)
		used += shared_open(before[i], 1)->bytes;
	shared_limit(used + 20 * (ITEM + 3));
	for (int i = 10; i < 30; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_true(shared_put(b, sl_str_c(key), &v, 1, false));
	}
	pass(2);
	assert_false(put(c, "one", v)); // by its own limit: the others are spared
	assert_int_equal(b->expired, 0);
	assert_true(put(a, "one", v));
	assert_int_equal(b->expired, 20);
	/* what lives stays; its time is set later */
	for (int i = 10; i < 29; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_true(put(b, key, v));
	}
	assert_false(put(a, "two", v));
	assert_int_equal(b->items, 19);
	shared_expire(b, get(b, "k10"), shared_now_us() + 1);
	pass(2);
	assert_true(put(a, "two", v));
	assert_false(put(a, "thr", v));
	/* one sooner, one later */
	assert_true(shared_put(b, SL_STR("k12"), &v, 1, false));
	assert_true(shared_put(b, SL_STR("k11"), &v, 100000, false));
	pass(2);
	assert_true(put(a, "thr", v));
	assert_non_null(get(b, "k11"));
	assert_false(put(a, "fou", v));
	pass(100000);
	assert_true(put(a, "fou", v));
	assert_int_equal(b->expired, 23);
	assert_int_equal(b->items, 16);
	assert_int_equal(a->refused, 3);
	shared_limit(SHARED_SUM);
}

/* After the others, as no further table can be opened. */
static void
tables(void **state sl_unused)
{
	char name[16];
	int n = 0;

	do
		snprintf(name, sizeof(name), "t%d", n);
	while (shared_open(name, 0) != NULL && n++ < 2 * SHARED_TABLES);
	assert_in_range(n, SHARED_TABLES - 10, SHARED_TABLES);
	assert_non_null(shared_open("full", 0));
	assert_non_null(shared_open("t0", 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(many),
		cmocka_unit_test(expiry),
		cmocka_unit_test(full),
		cmocka_unit_test(sum),
		cmocka_unit_test(sum_expired),
		cmocka_unit_test(tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
