// SPDX-License-Identifier: BSD-3-Clause
/*
 * Character classes against their definition, the wide scans against the byte-wise one at every
 * length and offset, against forbidden pages; and the names of methods and statuses.
 */
#include "dataplane/base/rand.h"
#include "dataplane/http/http.h"
#include "dataplane/http/token.h"
#include "tests/harness/guard.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct guard guard;

static const struct {
	const char *(*wide)(const char *, const char *, const char *);
	uint8_t class;
} scans[] = {
	{ scan_token, HTTP_C_TOKEN },
	{ scan_value, HTTP_C_VALUE },
	{ scan_target, HTTP_C_TARGET },
};

static void
classes(void **state sl_unused)
{
	for (int b = 0; b < 256; b++) {
		char c = (char)b;
		bool ascii = b < 128, alnum = ascii && isalnum(b);

		assert_int_equal(http_is(c, HTTP_C_TOKEN),
			b != 0 && (alnum || (ascii && strchr("!#$%&'*+-.^_`|~", b) != NULL)));
		assert_int_equal(http_is(c, HTTP_C_VALUE), b == 9 || (b >= 32 && b != 127));
		assert_int_equal(http_is(c, HTTP_C_TARGET), b > 32 && b < 127 && b != '#');
		assert_int_equal(http_is(c, HTTP_C_HOST),
			b != 0 && (alnum || (ascii && strchr("-._~%!$&'()*+;=", b) != NULL)));
		assert_int_equal(http_is(c, HTTP_C_HEX), ascii && isxdigit(b));
		assert_int_equal(http_is(c, HTTP_C_DIGIT), ascii && isdigit(b));
		assert_int_equal(http_is(c, HTTP_C_ALPHA), ascii && isalpha(b));
		assert_int_equal(http_is_token(sl_str_make(&c, 1)), http_is(c, HTTP_C_TOKEN));
		assert_int_equal(http_is_value(sl_str_make(&c, 1)), http_is(c, HTTP_C_VALUE));
	}
	assert_false(http_is_token(SL_STR("")));
	assert_true(http_is_value(SL_STR_NULL));
}

static void
both(const char *p, const char *end, const char *lo, size_t which)
{
	const char *a = scans[which].wide(p, end, lo);
	const char *b = scan_bytes(p, end, scans[which].class);

	if (a != b)
		fail_msg("scan %zu of %td bytes: %td, byte-wise %td", which, end - p, a - p, b - p);
}

/* Each byte value at each place of a text of good bytes. */
static void
twins_by_byte(void **state sl_unused)
{
	char text[72];

	for (size_t which = 0; which < SL_ARRAY_SIZE(scans); which++) {
		for (uint32_t len = 0; len <= 70; len++) {
			for (uint32_t at = 0; at < len; at++) {
				memset(text, 'a', sizeof(text));
				for (int b = 0; b < 256; b += len < 34 ? 1 : 7) {
					char *s;
					text[at] = (char)b;
					s = guard_end(&guard, text, len);
					both(s, s + len, s, which);
					if (len > 20) // a part of a larger text
						both(s + 3, s + len, s, which);
				}
			}
		}
	}
}

static void
twins_random(void **state sl_unused)
{
	struct sl_rand r;
	char text[200];

	rand_seed(&r, 5);
	for (int i = 0; i < 100000; i++) {
		uint32_t len = rand_below(&r, sizeof(text)), from = rand_below(&r, len + 1);
		char *s;

		for (uint32_t k = 0; k < len; k++)
			text[k] = (char)(rand_below(&r, 40) == 0 ? rand_below(&r, 256)
								 : 'a' + rand_below(&r, 26));
		s = (i & 1) != 0 ? guard_end(&guard, text, len) : guard_start(&guard, text, len);
		both(s + from, s + len, s, (size_t)i % SL_ARRAY_SIZE(scans));
	}
}

static void
names(void **state sl_unused)
{
	static const char *const others[] = { "", "G", "GE", "get", "GETS", "PUS", "POSX", "HEAP",
		"TRACK", "DELETX", "OPTIONZ", "CONNECX", "PROPFIND", "PATCH", "OTHER" };

	for (int m = 0; m < HTTP_OTHER; m++) {
		const char *name = http_method_name((enum http_method)m);
		assert_int_equal(http_method_find(sl_str_c(name)), m);
	}
	for (size_t i = 0; i < SL_ARRAY_SIZE(others); i++) {
		size_t len = strlen(others[i]);
		char *s = guard_end(&guard, others[i], len);
		assert_int_equal(http_method_find(sl_str_make(s, len)), HTTP_OTHER);
	}
	assert_string_equal(http_method_name(HTTP_NR_METHODS), "?");
	assert_string_equal(http_reason(200), "OK");
	assert_string_equal(http_reason(404), "Not Found");
	assert_string_equal(http_reason(503), "Service Unavailable");
	assert_string_equal(http_reason(299), "Success");
	assert_string_equal(http_reason(199), "Informational");
	assert_string_equal(http_reason(399), "Redirection");
	assert_string_equal(http_reason(498), "Client Error");
	assert_string_equal(http_reason(599), "Server Error");
	assert_string_equal(http_reason(600), "Other");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes),
		cmocka_unit_test(twins_by_byte),
		cmocka_unit_test(twins_random),
		cmocka_unit_test(names),
	};

	guard_init(&guard, 4096);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
