// SPDX-License-Identifier: BSD-3-Clause
/* Strings, text builder, ticks across the wrap, hash reference vectors, log levels. */
#include "dataplane/base/buf.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/log.h"
#include "dataplane/base/rand.h"
#include "dataplane/base/str.h"
#include "dataplane/base/tick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CHECK(row, cond)                                                    \
	do {                                                                \
		if (!(cond))                                                \
			fail_msg("row at line %d: %s", (row)->line, #cond); \
	} while (0)

static void
compare(void **state sl_unused)
{
	static const struct {
		int line;
		const char *a, *b;
		bool eq, ieq, starts, istarts, ends, iends;
		int find, ifind;
	} rows[] = {
		{ __LINE__, "", "", 1, 1, 1, 1, 1, 1, 0, 0 },
		{ __LINE__, "a", "", 0, 0, 1, 1, 1, 1, 0, 0 },
		{ __LINE__, "", "a", 0, 0, 0, 0, 0, 0, -ENOENT, -ENOENT },
		{ __LINE__, "Host", "host", 0, 1, 0, 1, 0, 1, -ENOENT, 0 },
		{ __LINE__, "host", "host", 1, 1, 1, 1, 1, 1, 0, 0 },
		// '@' and '`', '[' and '{' differ in the bit that folds case
		{ __LINE__, "a@b", "a`b", 0, 0, 0, 0, 0, 0, -ENOENT, -ENOENT },
		{ __LINE__, "[longer-than-8]", "{longer-than-8}", 0, 0, 0, 0, 0, 0, -ENOENT,
			-ENOENT },
		{ __LINE__, "Content-Length", "cONTENT-lENGTH", 0, 1, 0, 1, 0, 1, -ENOENT, 0 },
		{ __LINE__, "Content-Length", "content-lengtH!", 0, 0, 0, 0, 0, 0, -ENOENT,
			-ENOENT },
		{ __LINE__, "Content-Length", "Content_Length", 0, 0, 0, 0, 0, 0, -ENOENT,
			-ENOENT },
		{ __LINE__, "abcabd", "abd", 0, 0, 0, 0, 1, 1, 3, 3 },
		{ __LINE__, "abcABDx", "abd", 0, 0, 0, 0, 0, 0, -ENOENT, 3 },
		{ __LINE__, "\xc4", "\xe4", 0, 0, 0, 0, 0, 0, -ENOENT, -ENOENT },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct sl_str a = sl_str_c(rows[i].a), b = sl_str_c(rows[i].b);
		CHECK(&rows[i], sl_str_eq(a, b) == rows[i].eq);
		CHECK(&rows[i], sl_str_ieq(a, b) == rows[i].ieq);
		CHECK(&rows[i], sl_str_starts(a, b, false) == rows[i].starts);
		CHECK(&rows[i], sl_str_starts(a, b, true) == rows[i].istarts);
		CHECK(&rows[i], sl_str_ends(a, b, false) == rows[i].ends);
		CHECK(&rows[i], sl_str_ends(a, b, true) == rows[i].iends);
		CHECK(&rows[i], sl_str_find(a, b, false) == rows[i].find);
		CHECK(&rows[i], sl_str_find(a, b, true) == rows[i].ifind);
		CHECK(&rows[i], (sl_str_cmp(a, b) == 0) == rows[i].eq);
		CHECK(&rows[i], (sl_str_cmp(a, b) < 0) == (sl_str_cmp(b, a) > 0));
	}
	assert_true(sl_str_eq(SL_STR_NULL, SL_STR("")));
	assert_true(sl_str_ieq(SL_STR_NULL, sl_str_c(NULL)));
	assert_int_equal(sl_str_find(SL_STR_NULL, SL_STR("a"), false), -ENOENT);
	assert_int_equal(sl_str_chr(SL_STR_NULL, 'a'), -ENOENT);
	assert_int_equal(sl_str_chr(SL_STR("abc"), 'c'), 2);
}

/* Every pair of bytes folds as tolower() in the C locale says, at every place of a word. */
static void
fold_all_bytes(void **state sl_unused)
{
	for (int a = 0; a < 256; a++) {
		for (int b = 0; b < 256; b++) {
			int la = a >= 'A' && a <= 'Z' ? a + 32 : a;
			int lb = b >= 'A' && b <= 'Z' ? b + 32 : b;
			char x[11] = "0123456789", y[11] = "0123456789";
			x[a % 10] = (char)a;
			y[a % 10] = (char)b;
			assert_int_equal(
				sl_str_ieq(sl_str_make(x, 10), sl_str_make(y, 10)), la == lb);
		}
	}
}

static void
cut_and_trim(void **state sl_unused)
{
	struct sl_str rest = SL_STR("a,,b,");
	static const char *const want[] = { "a", "", "b", "" };

	for (size_t i = 0; i < SL_ARRAY_SIZE(want); i++) {
		assert_non_null(rest.p);
		assert_true(sl_str_eq(sl_str_cut(&rest, ','), sl_str_c(want[i])));
	}
	assert_null(rest.p);
	assert_true(sl_str_eq(sl_str_trim(SL_STR(" \t a b \t")), SL_STR("a b")));
	assert_int_equal(sl_str_trim(SL_STR(" \t ")).len, 0);
	assert_int_equal(sl_str_trim(SL_STR_NULL).len, 0);
}

static void
numbers(void **state sl_unused)
{
	static const struct {
		int line;
		const char *text;
		int urc;
		uint64_t u;
		int irc;
		int64_t i;
	} rows[] = {
		{ __LINE__, "0", 0, 0, 0, 0 },
		{ __LINE__, "007", 0, 7, 0, 7 },
		{ __LINE__, "18446744073709551615", 0, UINT64_MAX, -ERANGE, 0 },
		{ __LINE__, "18446744073709551616", -ERANGE, 0, -ERANGE, 0 },
		{ __LINE__, "99999999999999999999999", -ERANGE, 0, -ERANGE, 0 },
		{ __LINE__, "99999999999999999999999x", -EINVAL, 0, -EINVAL, 0 },
		{ __LINE__, "9223372036854775807", 0, INT64_MAX, 0, INT64_MAX },
		{ __LINE__, "-9223372036854775808", -EINVAL, 0, 0, INT64_MIN },
		{ __LINE__, "-9223372036854775809", -EINVAL, 0, -ERANGE, 0 },
		{ __LINE__, "+5", -EINVAL, 0, 0, 5 },
		{ __LINE__, "-0", -EINVAL, 0, 0, 0 },
		{ __LINE__, "", -EINVAL, 0, -EINVAL, 0 },
		{ __LINE__, "-", -EINVAL, 0, -EINVAL, 0 },
		{ __LINE__, " 1", -EINVAL, 0, -EINVAL, 0 },
		{ __LINE__, "1 ", -EINVAL, 0, -EINVAL, 0 },
		{ __LINE__, "0x1", -EINVAL, 0, -EINVAL, 0 },
		{ __LINE__, "--1", -EINVAL, 0, -EINVAL, 0 },
	};

	for (size_t k = 0; k < SL_ARRAY_SIZE(rows); k++) {
		uint64_t u = 42;
		int64_t i = 42;
		CHECK(&rows[k], sl_str_u64(sl_str_c(rows[k].text), &u) == rows[k].urc);
		CHECK(&rows[k], u == (rows[k].urc == 0 ? rows[k].u : 42));
		CHECK(&rows[k], sl_str_i64(sl_str_c(rows[k].text), &i) == rows[k].irc);
		CHECK(&rows[k], i == (rows[k].irc == 0 ? rows[k].i : 42));
	}
}

static void
builder(void **state sl_unused)
{
	char mem[16];
	struct sl_buf b;

	sl_buf_init(&b, mem, sizeof(mem));
	sl_buf_addc(&b, "ab");
	sl_buf_i64(&b, INT64_C(-120));
	sl_buf_u64(&b, 0);
	sl_buf_char(&b, '!');
	sl_buf_printf(&b, "%d", 77);
	assert_string_equal(mem, "ab-1200!77");
	assert_int_equal(b.len, 10);
	assert_false(b.full);
	sl_buf_printf(&b, "%s", "123456"); // five bytes are left beside the NUL
	assert_true(b.full);
	assert_string_equal(mem, "ab-1200!7712345");
	assert_int_equal(b.len, 15);
	sl_buf_char(&b, 'x');
	assert_int_equal(b.len, 15);
	assert_int_equal(mem[15], 0);

	sl_buf_reset(&b);
	assert_false(b.full);
	assert_int_equal(sl_buf_str(&b).len, 0);
	sl_buf_add(&b, SL_STR("0123456789abcdefgh"));
	assert_true(b.full);
	assert_string_equal(mem, "0123456789abcde");
	sl_buf_reset(&b);
	sl_buf_add(&b, SL_STR("0123456789abcde"));
	assert_false(b.full);

	sl_buf_init(&b, mem, 1);
	sl_buf_u64(&b, UINT64_MAX);
	assert_true(b.full);
	assert_string_equal(mem, "");

	char large[32];
	sl_buf_init(&b, large, sizeof(large));
	sl_buf_u64(&b, UINT64_MAX);
	assert_string_equal(large, "18446744073709551615");
	sl_buf_reset(&b);
	sl_buf_i64(&b, INT64_MIN);
	assert_string_equal(large, "-9223372036854775808");
}

static void
ticks_wrap(void **state sl_unused)
{
	static const sl_tick starts[] = { 1, 1000, 0x7fffffffu, 0x80000000u, UINT32_MAX - 5,
		UINT32_MAX };

	for (size_t i = 0; i < SL_ARRAY_SIZE(starts); i++) {
		sl_tick now = starts[i], soon = tick_add(now, 10), far = tick_add(now, UINT32_MAX);

		assert_true(tick_is_set(soon) && tick_is_set(far));
		assert_true(tick_is_before(now, soon));
		assert_true(tick_is_before(soon, far));
		assert_false(tick_is_before(far, now));
		assert_false(tick_is_expired(soon, now));
		assert_true(tick_is_expired(soon, soon));
		assert_true(tick_is_expired(soon, soon + 1));
		assert_int_equal(tick_remain(now, soon), 10);
		assert_int_equal(tick_remain(soon, now), 0);
		assert_int_equal(tick_first(soon, far), soon);
		assert_int_equal(tick_first(far, soon), soon);
		assert_int_equal(tick_first(TICK_NONE, soon), soon);
		assert_int_equal(tick_first(soon, TICK_NONE), soon);
		assert_int_equal(tick_add_ifset(now, 0), TICK_NONE);
	}
	assert_int_equal(tick_add(UINT32_MAX - 9, 10), 1); // 0 means "never"
	assert_int_equal(tick_remain(5, TICK_NONE), UINT32_MAX);
	assert_false(tick_is_expired(TICK_NONE, 5));
}

/* The first vectors of the reference implementation: key 00..0f, input 00, 00 01, ... */
static void
siphash_vectors(void **state sl_unused)
{
	static const uint64_t key[2] = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };
	static const struct {
		size_t len;
		uint64_t hash;
	} want[] = {
		{ 0, 0x726fdb47dd0e0e31ull },
		{ 1, 0x74f839c593dc67fdull },
		{ 2, 0x0d6c8009d9a94f5aull },
		{ 7, 0xab0200f58b01d137ull },
		{ 8, 0x93f5f5799a932462ull },
		{ 15, 0xa129ca6149be45e5ull },
	};
	uint8_t in[16];

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	for (size_t i = 0; i < SL_ARRAY_SIZE(want); i++)
		assert_int_equal(hash_sip(key, in, want[i].len), want[i].hash);
}

static void
fnv_and_rand(void **state sl_unused)
{
	struct sl_rand a, b;
	uint32_t hits[8] = { 0 };

	assert_int_equal(hash_fnv(SL_STR("")), 0x811c9dc5u);
	assert_int_equal(hash_fnv(SL_STR("a")), 0xe40c292cu);
	assert_int_equal(hash_fnv(SL_STR("foobar")), 0xbf9cf968u);
	rand_seed(&a, 7);
	rand_seed(&b, 7);
	for (int i = 0; i < 8000; i++) {
		uint32_t n = rand_below(&a, 8);
		assert_int_equal(n, rand_below(&b, 8));
		assert_true(n < 8);
		hits[n]++;
	}
	for (int i = 0; i < 8; i++)
		assert_in_range(hits[i], 850, 1150);
}

static void
sink(void *ctx, enum sl_level level, const char *type, const char *text)
{
	struct sl_buf *b = ctx;

	sl_buf_printf(b, "%s/%s/%s;", sl_level_name(level), type, text);
}

SL_LOG_TYPE("test");

static void
log_levels(void **state sl_unused)
{
	char mem[256];
	struct sl_buf b;

	sl_buf_init(&b, mem, sizeof(mem));
	sl_log_set_sink(sink, &b);
	sl_log_set_level(SL_WARNING);
	LOG(ERR, "n=%d", 1);
	LOG(WARNING, "n=%d", 2);
	LOG(NOTICE, "n=%d", 3);
	sl_log_set_sink(NULL, NULL);
	assert_string_equal(mem, "ERR/test/n=1;WARNING/test/n=2;");
	assert_string_equal(sl_level_name(SL_NR_LEVELS), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compare),
		cmocka_unit_test(fold_all_bytes),
		cmocka_unit_test(cut_and_trim),
		cmocka_unit_test(numbers),
		cmocka_unit_test(builder),
		cmocka_unit_test(ticks_wrap),
		cmocka_unit_test(siphash_vectors),
		cmocka_unit_test(fnv_and_rand),
		cmocka_unit_test(log_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
