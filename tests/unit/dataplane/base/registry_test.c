// SPDX-License-Identifier: BSD-3-Clause
/* Keyword tables: collected from the linker section, sorted, duplicates refused by file. */
#include "dataplane/base/registry.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct row {
	const char *name;
	int value;
};

SL_KWTAB(fruit, struct row, { "pear", 1 }, { "apple", 2 }, { "http-request", 3 });
SL_KW_SECTION(fruit);
SL_KW_SECTION(nothing);

static void
linker_section(void **state sl_unused)
{
	struct registry r;
	const struct row *row;

	assert_int_equal(registry_open(&r, fruit), 0);
	assert_int_equal(r.count, 3);
	assert_string_equal(r.kind, "fruit");
	for (uint32_t i = 1; i < r.count; i++)
		assert_true(strcmp(*(const char *const *)r.rows[i - 1],
				    *(const char *const *)r.rows[i]) < 0);
	row = registry_find(&r, SL_STR("apple"));
	assert_non_null(row);
	assert_int_equal(row->value, 2);
	assert_null(registry_find(&r, SL_STR("appl")));
	assert_null(registry_find(&r, SL_STR("apples")));
	assert_null(registry_find(&r, SL_STR("")));
	assert_null(registry_find(&r, SL_STR("Apple")));
	registry_close(&r);
	assert_int_equal(registry_open(&r, nothing), -ENOENT);
	registry_close(&r);
}

static void
duplicates(void **state sl_unused)
{
	static const struct row a[] = { { "one", 1 }, { "two", 2 } };
	static const struct row b[] = { { "three", 3 }, { NULL, 0 }, { "two", 4 } };
	static const struct sl_kwtab ta = { a, sizeof(*a), 2, "a.c" };
	static const struct sl_kwtab tb = { b, sizeof(*b), 3, "b.c" };
	static const struct sl_kwtab *const both[] = { &ta, &tb };
	static const struct sl_kwtab *const gap[] = { NULL, &tb };
	struct registry r;

	assert_int_equal(registry_open_section(&r, "k", both, both + 2), -EEXIST);
	assert_non_null(r.dup);
	assert_non_null(strstr(r.dup, "two: "));
	assert_non_null(strstr(r.dup, "a.c"));
	assert_non_null(strstr(r.dup, "b.c"));
	registry_close(&r);
	// a section may hold a hole (padding), and a row without a name ends nothing
	assert_int_equal(registry_open_section(&r, "k", gap, gap + 2), 0);
	assert_int_equal(r.count, 2);
	registry_close(&r);
}

static void
nearest(void **state sl_unused)
{
	static const struct {
		int line;
		const char *a, *b;
		uint32_t max, want;
	} rows[] = {
		{ __LINE__, "", "", 3, 0 },
		{ __LINE__, "", "abc", 3, 3 },
		{ __LINE__, "abc", "", 3, 3 },
		{ __LINE__, "kitten", "sitting", 5, 3 },
		{ __LINE__, "kitten", "sitting", 2, 3 },
		{ __LINE__, "pear", "paer", 5, 2 },
		{ __LINE__, "same", "same", 0, 0 },
		{ __LINE__, "abcdef", "uvwxyz", 3, 4 },
	};
	char huge[100];
	struct registry r;
	const struct row *row;

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		uint32_t d =
			registry_distance(sl_str_c(rows[i].a), sl_str_c(rows[i].b), rows[i].max);
		if (d != rows[i].want)
			fail_msg("line %d: %u", rows[i].line, d);
	}
	memset(huge, 'x', sizeof(huge));
	assert_int_equal(registry_distance(sl_str_make(huge, 100), SL_STR("x"), 3), 4);
	assert_int_equal(registry_distance(sl_str_make(huge, 100), sl_str_make(huge, 100), 3), 0);

	assert_int_equal(registry_open(&r, fruit), 0);
	row = registry_nearest(&r, SL_STR("http-reqeust"));
	assert_non_null(row);
	assert_string_equal(row->name, "http-request");
	row = registry_nearest(&r, SL_STR("aple"));
	assert_non_null(row);
	assert_string_equal(row->name, "apple");
	assert_null(registry_nearest(&r, SL_STR("zzz")));
	assert_null(registry_nearest(&r, SL_STR("")));
	registry_close(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linker_section),
		cmocka_unit_test(duplicates),
		cmocka_unit_test(nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
