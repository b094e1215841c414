// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lookups and edits of messages, and the written head. After every edit the message is written
 * and parsed again: what comes back must be the same message.
 */
#include "dataplane/base/rand.h"
#include "dataplane/http/http.h"
#include "tests/harness/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MAXHDR 12
#define CAP    2048

struct own {
	struct http_msg m;
	struct http_field hdr[MAXHDR];
	char mem[CAP];
	char out[CAP];
};

static struct guard guard;

static void
make_cap(struct own *o, const char *head, bool request, uint32_t cap)
{
	struct h1_parser p = { 0 };
	size_t len = strlen(head);
	char *buf = guard_end(&guard, head, len);

	http_msg_init(&o->m, o->hdr, MAXHDR, request);
	if (request)
		assert_int_equal(h1_parse_request(&p, &o->m, buf, (uint32_t)len), (int)len);
	else
		assert_int_equal(
			h1_parse_response(&p, &o->m, buf, (uint32_t)len, HTTP_GET), (int)len);
	assert_int_equal(http_hdr_add(&o->m, SL_STR("a"), SL_STR("b")), -ENOSPC); // not owned
	assert_int_equal(http_msg_own(&o->m, o->mem, (uint32_t)len - 1), -ENOSPC);
	assert_int_equal(http_msg_own(&o->m, o->mem, cap), 0);
}

static void
make(struct own *o, const char *head)
{
	make_cap(o, head, true, CAP);
}

/* Writes to exactly the size that h1_head_size() asks for. */
static struct sl_str
write_head(struct own *o)
{
	uint32_t size = h1_head_size(&o->m);
	bool v10 = (o->m.flags & HTTP_F_10) != 0;
	char *out = guard_end(&guard, o->out, size);
	int n;

	assert_int_equal(h1_write_head(&o->m, out, size - 1, v10), -ENOSPC);
	n = h1_write_head(&o->m, out, size, v10);
	assert_int_equal(n, size);
	memcpy(o->out, out, size);
	return sl_str_make(o->out, size);
}

static void
same(const struct http_msg *a, struct http_slice sa, const struct http_msg *b, struct http_slice sb)
{
	if (!sl_str_eq(http_str(a, sa), http_str(b, sb)))
		fail_msg("'%.*s' came back as '%.*s'", SL_STR_ARG(http_str(a, sa)),
			SL_STR_ARG(http_str(b, sb)));
}

static void
comes_back(struct own *o)
{
	struct sl_str text = write_head(o);
	struct http_field hdr[MAXHDR];
	struct h1_parser p = { 0 };
	struct http_msg m;
	int rc;

	http_msg_init(&m, hdr, MAXHDR, (o->m.flags & HTTP_F_REQUEST) != 0);
	if ((o->m.flags & HTTP_F_REQUEST) != 0)
		rc = h1_parse_request(&p, &m, o->out, text.len);
	else
		rc = h1_parse_response(&p, &m, o->out, text.len, HTTP_GET);
	if (rc != (int)text.len)
		fail_msg("rc %d (%s):\n%.*s", rc, h1_error_name(p.err), SL_STR_ARG(text));
	same(&o->m, o->m.method, &m, m.method);
	same(&o->m, o->m.uri, &m, m.uri);
	same(&o->m, o->m.authority, &m, m.authority);
	same(&o->m, o->m.path, &m, m.path);
	same(&o->m, o->m.scheme, &m, m.scheme);
	same(&o->m, o->m.reason, &m, m.reason);
	assert_int_equal(o->m.status, m.status);
	assert_int_equal(o->m.meth, m.meth);
	assert_int_equal(o->m.nhdr, m.nhdr);
	for (int i = 0; i < m.nhdr; i++) {
		same(&o->m, o->m.hdr[i].name, &m, m.hdr[i].name);
		same(&o->m, o->m.hdr[i].value, &m, m.hdr[i].value);
	}
}

static void
is(struct sl_str got, const char *want)
{
	if (want == NULL ? got.p != NULL : !sl_str_eq(got, sl_str_c(want)) || got.p == NULL)
		fail_msg("'%.*s', not '%s'", SL_STR_ARG(got), want == NULL ? "(none)" : want);
}

static void
lookup(void **state sl_unused)
{
	struct own o;
	uint16_t pos = 0;

	make(&o,
		"GET /p/q?x=1&y HTTP/1.1\r\nHost: h\r\nX: a, b ,\"c,\\\"d\" ,e\r\nY:\r\n"
		"x: f\r\n\r\n");
	is(http_hdr_get(&o.m, SL_STR("HOST")), "h");
	is(http_hdr_get(&o.m, SL_STR("Y")), "");
	is(http_hdr_get(&o.m, SL_STR("Z")), NULL);
	assert_int_equal(http_hdr_find(&o.m, SL_STR("X"), &pos), 1);
	assert_int_equal(http_hdr_find(&o.m, SL_STR("X"), &pos), 3);
	assert_int_equal(http_hdr_find(&o.m, SL_STR("X"), &pos), -ENOENT);
	assert_int_equal(http_hdr_find(&o.m, SL_STR("X"), &pos), -ENOENT);
	assert_int_equal(http_hdr_count_values(&o.m, SL_STR("x")), 5);
	assert_int_equal(http_hdr_count_values(&o.m, SL_STR("y")), 1);
	assert_int_equal(http_hdr_count_values(&o.m, SL_STR("z")), 0);
	is(http_hdr_value(&o.m, SL_STR("x"), 1), "a");
	is(http_hdr_value(&o.m, SL_STR("x"), 2), "b");
	is(http_hdr_value(&o.m, SL_STR("x"), 3), "\"c,\\\"d\"");
	is(http_hdr_value(&o.m, SL_STR("x"), 5), "f");
	is(http_hdr_value(&o.m, SL_STR("x"), 6), NULL);
	is(http_hdr_value(&o.m, SL_STR("x"), -1), "f");
	is(http_hdr_value(&o.m, SL_STR("x"), -5), "a");
	is(http_hdr_value(&o.m, SL_STR("x"), -6), NULL);
	is(http_hdr_value(&o.m, SL_STR("x"), 0), NULL);
	is(http_hdr_value(&o.m, SL_STR("x"), INT32_MIN), NULL);
	is(http_path_only(&o.m), "/p/q");
	is(http_query(&o.m), "x=1&y");
	comes_back(&o);
}

static void
edits(void **state sl_unused)
{
	struct own o;

	make(&o, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB:2\r\nA:  3\r\nC: 4\r\n\r\n");
	is(write_head(&o), "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nA: 3\r\nC: 4\r\n\r\n");
	assert_int_equal(o.m.flags & HTTP_F_EDITED, 0);
	assert_int_equal(http_hdr_set(&o.m, SL_STR("a"), SL_STR(" new\t")), 0);
	assert_int_not_equal(o.m.flags & HTTP_F_EDITED, 0);
	is(write_head(&o), "GET / HTTP/1.1\r\nHost: h\r\nB: 2\r\nC: 4\r\na: new\r\n\r\n");
	assert_int_equal(http_hdr_add(&o.m, SL_STR("A"), SL_STR("")), 0);
	comes_back(&o);
	assert_int_equal(http_hdr_del(&o.m, SL_STR("A")), 2);
	assert_int_equal(http_hdr_del(&o.m, SL_STR("A")), 0);
	http_hdr_del_at(&o.m, 1);
	is(write_head(&o), "GET / HTTP/1.1\r\nHost: h\r\nC: 4\r\n\r\n");
	// a value out of the message itself, also of the field that is replaced
	assert_int_equal(http_hdr_set(&o.m, SL_STR("C"), http_hdr_get(&o.m, SL_STR("C"))), 0);
	is(http_hdr_get(&o.m, SL_STR("C")), "4");
	assert_int_equal(http_hdr_set(&o.m, http_str(&o.m, o.m.hdr[1].name), SL_STR("5")), 0);
	is(write_head(&o), "GET / HTTP/1.1\r\nHost: h\r\nC: 5\r\n\r\n");

	assert_int_equal(http_hdr_add(&o.m, SL_STR("A b"), SL_STR("c")), -EINVAL);
	assert_int_equal(http_hdr_add(&o.m, SL_STR(""), SL_STR("c")), -EINVAL);
	assert_int_equal(http_hdr_add(&o.m, SL_STR("A"), SL_STR("c\r\nB: d")), -EINVAL);
	assert_int_equal(http_hdr_set(&o.m, SL_STR("A"), SL_STR("c\0d")), -EINVAL);
	is(write_head(&o), "GET / HTTP/1.1\r\nHost: h\r\nC: 5\r\n\r\n");
}

static void
start_lines(void **state sl_unused)
{
	struct own o;

	make(&o, "GET /p?q HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(http_set_method(&o.m, SL_STR("PATCH")), 0);
	assert_int_equal(o.m.meth, HTTP_OTHER);
	assert_int_equal(http_set_method(&o.m, SL_STR("POST")), 0);
	assert_int_equal(o.m.meth, HTTP_POST);
	assert_int_equal(http_set_method(&o.m, SL_STR("P T")), -EINVAL);
	assert_int_equal(http_set_method(&o.m, SL_STR("CONNECT")), -EINVAL);
	assert_int_equal(http_set_path(&o.m, SL_STR("/new")), 0);
	is(http_str(&o.m, o.m.uri), "/new?q");
	assert_int_equal(http_set_query(&o.m, SL_STR("a=b")), 0);
	is(http_str(&o.m, o.m.path), "/new?a=b");
	assert_int_equal(http_set_query(&o.m, SL_STR("")), 0);
	is(http_str(&o.m, o.m.uri), "/new");
	is(http_query(&o.m), NULL);
	assert_int_equal(http_set_path(&o.m, SL_STR("/x")), 0);
	assert_int_equal(http_set_path(&o.m, SL_STR("x")), -EINVAL);
	assert_int_equal(http_set_path(&o.m, SL_STR("")), -EINVAL);
	assert_int_equal(http_set_path(&o.m, SL_STR("/a b")), -EINVAL);
	assert_int_equal(http_set_path(&o.m, SL_STR("/a?b")), -EINVAL);
	assert_int_equal(http_set_query(&o.m, SL_STR("a#b")), -EINVAL);
	assert_int_equal(http_set_uri(&o.m, SL_STR("/u?v")), 0);
	is(http_str(&o.m, o.m.authority), "h");
	assert_int_equal(http_set_uri(&o.m, SL_STR("u")), -EINVAL);
	assert_int_equal(http_set_uri(&o.m, SL_STR("*")), -EINVAL);
	assert_int_equal(http_set_uri(&o.m, SL_STR("/ HTTP/1.1\r\nX: y\r\n")), -EINVAL);
	is(write_head(&o), "POST /u?v HTTP/1.1\r\nHost: h\r\n\r\n");
	comes_back(&o);

	make_cap(&o, "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", false, CAP);
	assert_int_equal(http_set_status(&o.m, 404, SL_STR("Gone Fishing")), 0);
	is(write_head(&o), "HTTP/1.1 404 Gone Fishing\r\nServer: x\r\n\r\n");
	comes_back(&o);
	assert_int_equal(http_set_status(&o.m, 99, SL_STR("x")), -EINVAL);
	assert_int_equal(http_set_status(&o.m, 1000, SL_STR("x")), -EINVAL);
	assert_int_equal(http_set_status(&o.m, 200, SL_STR("a\nb")), -EINVAL);
	assert_int_equal(h1_write_head(&o.m, o.out, CAP, true), (int)h1_head_size(&o.m));
	assert_memory_equal(o.out, "HTTP/1.0 404 ", 13);
}

/* Host, authority and an absolute target stay one story. */
static void
hosts(void **state sl_unused)
{
	struct own o;

	make(&o, "GET /p HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(http_hdr_set(&o.m, SL_STR("host"), SL_STR("new:81")), 0);
	is(http_str(&o.m, o.m.authority), "new:81");
	comes_back(&o);
	assert_int_equal(http_set_uri(&o.m, SL_STR("http://abs/q?r")), 0);
	is(http_hdr_get(&o.m, SL_STR("host")), "abs");
	comes_back(&o);
	assert_int_equal(http_hdr_set(&o.m, SL_STR("Host"), SL_STR("other")), 0);
	is(http_str(&o.m, o.m.uri), "http://other/q?r");
	is(http_str(&o.m, o.m.authority), "other");
	comes_back(&o);
	assert_int_equal(http_hdr_set(&o.m, SL_STR("Host"), SL_STR("a b")), -EINVAL);
	is(http_hdr_get(&o.m, SL_STR("host")), "other");
	assert_int_equal(http_set_path(&o.m, SL_STR("/z")), 0);
	is(http_str(&o.m, o.m.uri), "http://other/z?r");
	comes_back(&o);
	make(&o, "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(http_set_query(&o.m, SL_STR("a")), 0);
	is(http_str(&o.m, o.m.uri), "http://h/?a");
	comes_back(&o);
	make(&o, "GET / HTTP/1.0\r\nHost: h\r\n\r\n");
	assert_int_equal(http_hdr_del(&o.m, SL_STR("host")), 1);
	assert_int_equal(o.m.authority.len, 0);
	assert_int_equal(http_hdr_add(&o.m, SL_STR("Host"), SL_STR("i")), 0);
	is(http_str(&o.m, o.m.authority), "i");
	http_hdr_del_at(&o.m, 0);
	assert_int_equal(o.m.authority.len, 0);
}

/* Whatever does not fit leaves the message as it was: every free space from none to enough. */
static void
full(void **state sl_unused)
{
	static const char head[] = "GET http://h/p HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n";
	uint32_t len = sizeof(head) - 1;
	int refused = 0;

	for (uint32_t room = 0; room < 60; room++) {
		for (int what = 0; what < 7; what++) {
			struct own o;
			char before[CAP];
			struct sl_str text;
			int rc;

			make_cap(&o, head, true, len + room);
			memset(o.mem + len + room, 0x5a, 8);
			text = write_head(&o);
			memcpy(before, text.p, text.len);
			switch (what) {
			case 0:
				rc = http_hdr_set(&o.m, SL_STR("A"), SL_STR("longer value"));
				break;
			case 1:
				rc = http_hdr_add(&o.m, SL_STR("B"), SL_STR("c"));
				break;
			case 2:
				rc = http_set_uri(&o.m, SL_STR("http://other/"));
				break;
			case 3:
				rc = http_set_path(&o.m, SL_STR("/longer"));
				break;
			case 4:
				rc = http_set_method(&o.m, SL_STR("OPTIONS"));
				break;
			case 5:
				rc = http_hdr_set(&o.m, SL_STR("Host"), SL_STR("other"));
				break;
			default:
				rc = http_set_query(&o.m, SL_STR("q=1"));
				break;
			}
			for (int i = 0; i < 8; i++)
				assert_int_equal(o.mem[len + room + (uint32_t)i], 0x5a);
			if (rc < 0) {
				assert_int_equal(rc, -ENOSPC);
				refused++;
				text = write_head(&o);
				assert_memory_equal(text.p, before, text.len);
			}
			comes_back(&o);
		}
	}
	assert_in_range(refused, 50, 300);
}

static void
full_array(void **state sl_unused)
{
	struct own o;

	make(&o, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n");
	while (o.m.nhdr < MAXHDR)
		assert_int_equal(http_hdr_add(&o.m, SL_STR("B"), SL_STR("2")), 0);
	assert_int_equal(http_hdr_add(&o.m, SL_STR("B"), SL_STR("2")), -ENOSPC);
	assert_int_equal(http_hdr_set(&o.m, SL_STR("C"), SL_STR("2")), -ENOSPC);
	assert_int_equal(http_hdr_set(&o.m, SL_STR("A"), SL_STR("3")), 0);
	assert_int_equal(o.m.nhdr, MAXHDR);
	is(http_str(&o.m, o.m.hdr[MAXHDR - 1].value), "3");
	comes_back(&o);
}

/* Random edits of a few names: what is written always comes back. */
static void
random_edits(void **state sl_unused)
{
	static const char *const names[] = { "Host", "A", "a-longer-name", "X-Forwarded-For", "b" };
	static const char *const values[] = { "", "v", "1.2.3.4", "h:80", "some longer text" };
	struct sl_rand r;
	struct own o;

	rand_seed(&r, 17);
	for (int round = 0; round < 300; round++) {
		make(&o,
			round % 3 == 0 ? "GET /p HTTP/1.0\r\nHost: h\r\nA: 1\r\nb: 2\r\nA: 3\r\nc: 4\r\n\r\n"
			: round % 3 == 1
				? "GET /p?q HTTP/1.0\r\nHost: h\r\nA:1\r\nb: \t2\r\nA: 3\r\n\r\n"
				: "GET http://h/p HTTP/1.0\r\nHost: h\r\nA: 1\r\nb:2 \r\n\r\n");
		for (int op = 0; op < 30; op++) {
			struct sl_str name = sl_str_c(names[rand_below(&r, 5)]);
			struct sl_str value = sl_str_c(values[rand_below(&r, 4)]);

			if (sl_str_ieq(name, SL_STR("host")) && value.len == 0)
				continue;
			switch (rand_below(&r, 7)) {
			case 0:
				if (!sl_str_ieq(name, SL_STR("host")))
					(void)http_hdr_add(&o.m, name, value);
				break;
			case 1:
				(void)http_hdr_set(&o.m, name, value);
				break;
			case 2:
				(void)http_hdr_del(&o.m, name);
				break;
			case 3:
				if (o.m.nhdr > 0)
					http_hdr_del_at(&o.m, (uint16_t)rand_below(&r, o.m.nhdr));
				break;
			case 4:
				(void)http_set_path(&o.m, SL_STR("/some/path"));
				break;
			case 5:
				// a Host that is empty is none, and would not be parsed again
				if (o.m.nhdr > 0 && value.len > 0)
					(void)http_hdr_set_at(&o.m,
						(uint16_t)rand_below(&r, o.m.nhdr), value);
				break;
			default:
				(void)http_set_query(&o.m, value);
				break;
			}
			comes_back(&o);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookup),
		cmocka_unit_test(edits),
		cmocka_unit_test(start_lines),
		cmocka_unit_test(hosts),
		cmocka_unit_test(full),
		cmocka_unit_test(full_array),
		cmocka_unit_test(random_edits),
	};

	guard_init(&guard, 4096);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
