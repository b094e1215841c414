// SPDX-License-Identifier: BSD-3-Clause
/* Pages from files: what is taken apart how, and what is refused with which words. */
#include "tests/unit/control/conf/conf_env.h"

struct page_case {
	const char *text;
	const char *says; // part of the message; NULL: it is taken
};

// clang-format off
static const struct page_case cases[] = {
	{ "HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nabc", NULL },
	{ "HTTP/1.0 503 Busy\nX: y\n\nabc", NULL },
	{ "HTTP/1.1 503 Busy\r\n\r\n", NULL },
	{ "", NULL },
	{ "garbage", "unable to parse headers (" },
	{ "garbage\r\n\r\n", "unable to parse headers" },
	{ "HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nab", "payload size does not match the announced content-length (2 != 3)" },
	{ "HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nabcd", "content-length (4 != 3)" },
	{ "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunk-encoded payload not supported" },
	{ "HTTP/1.1 100 Continue\r\n\r\n", "an interim status is no answer" },
	{ "HTTP/1.1 503 Busy\r\nA b: c\r\n\r\n", "unable to parse headers" },
	{ "HTTP/1.1 503 Busy\r\nA: b\r\n", "no empty line" },
};
// clang-format on

static const struct http_page *
load(struct conf_run *r, const char *path)
{
	char text[512];

	snprintf(text, sizeof(text), DEFAULTS "frontend f\n bind :80\n errorfile 503 %s\n", path);
	conf_run(r, text);
	return r->rc == 0 ? r->m->proxies[0]->page[http_error_index(503)] : NULL;
}

static void
test_texts(void **state sl_unused)
{
	static struct conf_run r;

	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		char path[64];
		int fd = conf_run_file(cases[i].text, path);
		const struct http_page *p = load(&r, path);

		if (cases[i].says == NULL && p == NULL)
			fail_msg("%zu: %s", i, r.text);
		if (cases[i].says != NULL && (p != NULL || strstr(r.text, cases[i].says) == NULL))
			fail_msg("%zu: '%s' instead of '%s'", i, r.text, cases[i].says);
		if (cases[i].says != NULL)
			assert_non_null(strstr(r.text, "] : errorfile : '/proc/self/fd/"));
		conf_run_end(&r);
		close(fd);
	}
}

static void
is_field(const struct http_page *p, uint32_t i, const char *name, const char *value)
{
	assert_true(sl_str_eq(p->hdr[2 * i], sl_str_c(name)));
	assert_true(sl_str_eq(p->hdr[2 * i + 1], sl_str_c(value)));
}

static void
test_parts(void **state sl_unused)
{
	static struct conf_run r;
	char path[64];
	int fd = conf_run_file(
		"HTTP/1.0 404 Not here\nX-One: 1\nConnection: close\nX-Two:  2 \n\nbody\n\r\n\n", path);
	const struct http_page *p = load(&r, path);

	assert_non_null(p);
	assert_int_equal(p->status, 404);
	assert_true(sl_str_eq(p->reason, SL_STR("Not here")));
	assert_true(p->http10 && p->close && p->says_close && !p->has_length && !p->silent);
	assert_int_equal(p->nhdr, 2);
	is_field(p, 0, "x-one", "1");
	is_field(p, 1, "x-two", "2");
	assert_true(sl_str_eq(p->body, SL_STR("body\n\r\n\n"))); // a body is left as it is
	conf_run_end(&r);
	close(fd);
}

/* A buffer's size, and one byte more. */
static void
test_size(void **state sl_unused)
{
	static struct conf_run r;
	static char text[16386];
	char path[64];

	for (uint32_t more = 0; more < 2; more++) {
		int n = snprintf(text, sizeof(text), "HTTP/1.1 503 Busy\r\n\r\n"), fd;

		memset(text + n, 'x', 16384 + more - (uint32_t)n);
		text[16384 + more] = '\0';
		fd = conf_run_file(text, path);
		assert_int_equal(load(&r, path) != NULL, more == 0);
		if (more != 0)
			assert_non_null(strstr(r.text, "exceeds the buffer size (16384)"));
		conf_run_end(&r);
		close(fd);
	}
}

/* Later lines hold, whichever kind they are; what is inherited is older than one's own. */
static void
test_order(void **state sl_unused)
{
	static const struct {
		const char *inherited, *own;
		const char *status; // of the page for 503
	} rows[] = {
		{ "errorloc 503 /a", "", "302" },
		{ "errorloc 503 /a", "errorloc303 503 /b", "303" },
		{ "", "errorloc303 503 /b\n errorloc 503 /a", "302" },
		{ "errorloc 503 /a", "errorfiles none", "302" },
		{ "", "errorloc303 503 /b\n errorfiles x", "200" },
		{ "", "errorfiles x\n errorloc303 503 /b", "303" },
		{ "errorfiles x", "", "200" },
		{ "errorfiles x", "errorloc303 503 /b", "303" },
		{ "errorfiles x 404", "", "none" },
	};
	static struct conf_run r;
	char path[64], text[1024];
	int fd = conf_run_file("HTTP/1.1 200 Fine\r\n\r\n", path);

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct http_page *p;
		char got[16] = "none";

		snprintf(text, sizeof(text), DEFAULTS " %s\nfrontend f\n bind :80\n %s\n"
			"http-errors none\nhttp-errors x\n errorfile 503 %s\n",
			rows[i].inherited, rows[i].own, path);
		conf_run(&r, text);
		if (r.rc != 0)
			fail_msg("%zu: %s", i, r.text);
		p = r.m->proxies[0]->page[http_error_index(503)];
		if (p != NULL)
			snprintf(got, sizeof(got), "%u", p->status);
		assert_string_equal(got, rows[i].status);
		conf_run_end(&r);
	}
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
