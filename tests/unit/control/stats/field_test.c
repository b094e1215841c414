// SPDX-License-Identifier: BSD-3-Clause
/* Values in the forms of HAProxy: numbers at their bounds, texts that CSV has to quote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/stats/field.h"
#include "dataplane/base/buf.h"

static void
add(void *ctx, const char *p, size_t n)
{
	sl_buf_add(ctx, sl_str_make(p, (uint32_t)n));
}

static void
test_csv(void **state)
{
	static const struct {
		int line;
		struct field f;
		const char *text;
	} rows[] = {
		{ __LINE__, { .kind = FIELD_NONE }, "" },
		{ __LINE__, { .kind = FIELD_U32, .n = 0 }, "0" },
		{ __LINE__, { .kind = FIELD_U32, .n = 9 }, "9" },
		{ __LINE__, { .kind = FIELD_U32, .n = 10 }, "10" },
		{ __LINE__, { .kind = FIELD_U32, .n = UINT32_MAX }, "4294967295" },
		{ __LINE__, { .kind = FIELD_U64, .n = -1 }, "18446744073709551615" },
		{ __LINE__, { .kind = FIELD_S32, .n = -1 }, "-1" },
		{ __LINE__, { .kind = FIELD_S32, .n = 120 }, "120" },
		{ __LINE__, { .kind = FIELD_S32, .n = INT64_MIN }, "-9223372036854775808" },
		{ __LINE__, { .kind = FIELD_STR, .s = SL_STR("UP 1/3") }, "UP 1/3" },
		{ __LINE__, { .kind = FIELD_STR, .s = SL_STR("a,b") }, "\"a,b\"" },
		{ __LINE__, { .kind = FIELD_STR, .s = SL_STR("a\"b") }, "\"a\"\"b\"" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		char text[64];
		struct sl_buf b;

		sl_buf_init(&b, text, sizeof(text));
		field_csv(&(struct field_out){ add, &b }, &rows[i].f);
		if (!sl_str_eq(sl_buf_str(&b), sl_str_c(rows[i].text)))
			fail_msg("line %d: %.*s", rows[i].line, (int)b.len, text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_csv) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
