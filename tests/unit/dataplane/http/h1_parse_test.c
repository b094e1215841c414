// SPDX-License-Identifier: BSD-3-Clause
/*
 * HTTP/1 heads by table. Each case runs whole, byte by byte and cut in two at every place, with the
 * text at another address and against a forbidden page each time; all runs must agree.
 */
#include "dataplane/http/http.h"
#include "tests/harness/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MAX_IN (HTTP_MAX_HEAD + 4096)
#define MAXHDR 16

/* What a parse said; comparable with memcmp(). */
struct outcome {
	int rc;
	uint8_t err;
	uint32_t err_pos;
	uint32_t len, flags;
	uint16_t nhdr, status;
	enum http_framing framing;
	uint64_t content_length;
	enum http_method meth;
	struct http_slice slices[6];
	struct http_field hdr[MAXHDR];
};

struct input {
	struct sl_str text;
	bool request;
	enum http_method req_method;
};

struct run {
	const struct input *in;
	struct h1_parser p;
	struct http_msg m;
	struct http_field hdr[MAXHDR];
};

static struct guard guard;

static void
begin(struct run *r, const struct input *in)
{
	memset(r, 0, sizeof(*r));
	r->in = in;
	http_msg_init(&r->m, r->hdr, MAXHDR, in->request);
}

static int
feed(struct run *r, uint32_t len, bool at_end)
{
	char *buf = at_end ? guard_end(&guard, r->in->text.p, len)
			   : guard_start(&guard, r->in->text.p, len);

	if (r->in->request)
		return h1_parse_request(&r->p, &r->m, buf, len);
	return h1_parse_response(&r->p, &r->m, buf, len, r->in->req_method);
}

static void
finish(const struct run *r, int rc, struct outcome *o)
{
	const struct http_msg *m = &r->m;
	struct http_slice all[] = { m->method, m->uri, m->scheme, m->authority, m->path,
		m->reason };

	memset(o, 0, sizeof(*o));
	o->rc = rc;
	o->err = r->p.err;
	o->err_pos = r->p.err_pos;
	if (rc < 0)
		return; // the message means nothing
	o->len = m->len;
	o->flags = m->flags;
	o->nhdr = m->nhdr;
	o->status = m->status;
	o->framing = m->framing;
	o->content_length = m->content_length;
	o->meth = m->meth;
	memcpy(o->slices, all, sizeof(all));
	memcpy(o->hdr, m->hdr, m->nhdr * sizeof(*m->hdr));
}

static void
agree(int line, const char *how, uint32_t at, const struct outcome *a, const struct outcome *b)
{
	if (memcmp(a, b, sizeof(*a)) != 0)
		fail_msg("line %d, %s at %u: rc %d err %s at %u; whole: rc %d err %s at %u", line,
			how, at, b->rc, h1_error_name(b->err), b->err_pos, a->rc,
			h1_error_name(a->err), a->err_pos);
}

/* Runs an input in all ways; *r keeps the whole run, whose text stays valid in in->text. */
static void
run_all(int line, const struct input *in, struct run *r, struct outcome *whole)
{
	struct outcome o;
	struct run x;
	int rc;

	begin(r, in);
	rc = feed(r, in->text.len, true);
	finish(r, rc, whole);
	r->m.base = (char *)(uintptr_t)in->text.p; // offsets from any copy
	begin(&x, in);
	finish(&x, feed(&x, in->text.len, false), &o);
	agree(line, "start of page", 0, whole, &o);

	begin(&x, in);
	rc = -EAGAIN;
	for (uint32_t n = 0; n <= in->text.len && rc == -EAGAIN; n++)
		rc = feed(&x, n, true);
	finish(&x, rc, &o);
	agree(line, "byte by byte", 0, whole, &o);
	if (rc < 0 && rc != -EAGAIN) // a refused head stays refused
		assert_int_equal(feed(&x, in->text.len, true), rc);

	for (uint32_t k = 0; k < in->text.len; k++) {
		begin(&x, in);
		rc = feed(&x, k, true);
		if (rc == -EAGAIN)
			rc = feed(&x, in->text.len, true);
		finish(&x, rc, &o);
		agree(line, "cut", k, whole, &o);
	}
}

static void
has(int line, const char *what, const struct http_msg *m, struct http_slice s, const char *want)
{
	if (!sl_str_eq(http_str(m, s), sl_str_c(want)))
		fail_msg("line %d: %s is '%.*s', not '%s'", line, what, SL_STR_ARG(http_str(m, s)),
			want);
}

// clang-format off
#define IN(text) { text, sizeof(text) - 1 }
#define G(fields) IN("GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n")
#define P(fields) IN("POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n")
#define L(line) IN(line "\r\nHost: a\r\n\r\n")
#define HOST(h) IN("GET / HTTP/1.1\r\nHost: " h "\r\n\r\n")
#define MORE 255 // expected: -EAGAIN

enum {
	NONE = HTTP_BODY_NONE, LEN = HTTP_BODY_LENGTH, CHUNKED = HTTP_BODY_CHUNKED,
	CLOSE = HTTP_BODY_CLOSE, TUNNEL = HTTP_BODY_TUNNEL
};
#define F10 HTTP_F_10
#define FC HTTP_F_CONN_CLOSE
#define FK HTTP_F_CONN_KEEP
#define FU HTTP_F_UPGRADE
#define FE HTTP_F_EXPECT
#define FG HTTP_F_CONN_GAP

static const struct {
	int line;
	struct sl_str in;
	int err; // enum h1_error or MORE
	int framing;
	uint64_t length;
	uint32_t flags;
	int nhdr;
	const char *uri, *authority, *path; // uri NULL: none of them is compared
} requests[] = {
	/* start lines */
	{ __LINE__, L("GET / HTTP/1.1"), 0, NONE, 0, 0, 1, "/", "a", "/" },
	{ __LINE__, L("GET /a/b?c=d&e HTTP/1.1"), 0, NONE, 0, 0, 1, "/a/b?c=d&e", "a", "/a/b?c=d&e" },
	{ __LINE__, IN("GET / HTTP/1.0\r\n\r\n"), 0, NONE, 0, F10, 0, "/", "", "/" },
	{ __LINE__, L("GET / HTTP/1.2"), 0, NONE, 0, 0, 1, "/", "a", "/" },
	{ __LINE__, IN("GET / HTTP/1.9\r\nHost: a\r\n\r\nnext"), 0, NONE, 0, 0, 1, "/", "a", "/" },
	{ __LINE__, L("\r\n\r\nGET / HTTP/1.1"), 0, NONE, 0, 0, 1, "/", "a", "/" },
	{ __LINE__, L("BREW /pot HTTP/1.1"), 0, NONE, 0, 0, 1, "/pot", "a", "/pot" },
	{ __LINE__, L("!#$%&'*+-.^_`|~0aZ / HTTP/1.1"), 0, NONE, 0, 0, 1, "/", "a", "/" },
	{ __LINE__, L("OPTIONS * HTTP/1.1"), 0, NONE, 0, 0, 1, "*", "a", "*" },
	{ __LINE__, L("GET http://a/x?y HTTP/1.1"), 0, NONE, 0, 0, 1, "http://a/x?y", "a", "/x?y" },
	{ __LINE__, L("GET http://A:80 HTTP/1.1"), 0, NONE, 0, 0, 1, "http://A:80", "A:80", "/" },
	{ __LINE__, L("GET https://a:443/ HTTP/1.1"), 0, NONE, 0, 0, 1, "https://a:443/", "a:443", "/" },
	{ __LINE__, L("GET https://a:80/ HTTP/1.1"), H1_BAD_HOST },
	{ __LINE__, L("GET http://b/ HTTP/1.1"), H1_BAD_HOST },
	{ __LINE__, IN("GET http://[::1]:8080/ HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), 0, NONE, 0, 0, 1, "http://[::1]:8080/", "[::1]:8080", "/" },
	{ __LINE__, IN("GET http://a/ HTTP/1.0\r\n\r\n"), 0, NONE, 0, F10, 0, "http://a/", "a", "/" },
	{ __LINE__, L("GET http://u@a/ HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET http:///x HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET http://a?x HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET http:/a HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET 1http://a/ HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET a HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET ?x HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET * HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, IN("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), 0, NONE, 0, 0, 1, "a:443", "a:443", "" },
	{ __LINE__, L("CONNECT a HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("CONNECT /x HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("CONNECT b:80 HTTP/1.1"), H1_BAD_HOST },
	{ __LINE__, L("CONNECT a:80 HTTP/1.1\r\nContent-Length: 1"), H1_BAD_LENGTH },
	{ __LINE__, L("CONNECT a:80 HTTP/1.1\r\nTransfer-Encoding: chunked"), H1_BAD_CODING },
	{ __LINE__, L("GET /#frag HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET /\x80 HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET /\x7f HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET /\0 HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET /\t HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET  / HTTP/1.1"), H1_BAD_TARGET },
	{ __LINE__, L("GET /  HTTP/1.1"), H1_BAD_VERSION },
	{ __LINE__, L(" GET / HTTP/1.1"), H1_BAD_METHOD },
	{ __LINE__, L("GET\t/ HTTP/1.1"), H1_BAD_METHOD },
	{ __LINE__, L("G(T / HTTP/1.1"), H1_BAD_METHOD },
	{ __LINE__, IN("GET\r\n\r\n"), H1_BAD_METHOD },
	{ __LINE__, IN("GET /\r\n"), H1_BAD_VERSION }, // HTTP/0.9
	{ __LINE__, IN("GET /\n"), H1_BAD_VERSION },
	{ __LINE__, IN("GET \r\n"), H1_BAD_TARGET },
	{ __LINE__, L("GET / HTTP/2.0"), H1_BAD_VERSION },
	{ __LINE__, IN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), H1_BAD_VERSION },
	{ __LINE__, L("GET / HTTP/0.9"), H1_BAD_VERSION },
	{ __LINE__, L("GET / HTTP/1."), H1_BAD_VERSION },
	{ __LINE__, L("GET / HTTP/1.10"), H1_BAD_VERSION },
	{ __LINE__, L("GET / http/1.1"), H1_BAD_VERSION },
	{ __LINE__, L("GET / HTTP/1.1 "), H1_BAD_VERSION },
	{ __LINE__, IN("GET / HTTP/1.1\nHost: a\r\n\r\n"), H1_BAD_LINE_END },
	{ __LINE__, IN("GET / HTTP/1.1\rHost: a\r\n\r\n"), H1_BAD_LINE_END },
	{ __LINE__, L("\nGET / HTTP/1.1"), H1_BAD_LINE_END },
	{ __LINE__, L("\rGET / HTTP/1.1"), H1_BAD_LINE_END },
	/* field lines */
	{ __LINE__, G("A:b\r\n"), 0, NONE, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, G("A:\r\nB: \t \r\nC: \t v \t\r\n"), 0, NONE, 0, 0, 4, "/", "a", "/" },
	{ __LINE__, G("A: caf\xc3\xa9 \xff\r\n"), 0, NONE, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, G("A: a\tb\"c,d:e\r\n"), 0, NONE, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, G("A-name-that-is-longer-than-one-block-of-16: v\r\n"), 0, NONE, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, G("A: a value that is longer than two blocks of sixteen bytes, and more\r\n"), 0, NONE, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, G("A : b\r\n"), H1_BAD_NAME },
	{ __LINE__, G("A\t: b\r\n"), H1_BAD_NAME },
	{ __LINE__, G(": b\r\n"), H1_BAD_NAME },
	{ __LINE__, G("A b: c\r\n"), H1_BAD_NAME },
	{ __LINE__, G("A(b): c\r\n"), H1_BAD_NAME },
	{ __LINE__, G("A\x80: c\r\n"), H1_BAD_NAME },
	{ __LINE__, G("A\0: c\r\n"), H1_BAD_NAME },
	{ __LINE__, G("A\r\n"), H1_NO_COLON },
	{ __LINE__, G("A\n"), H1_BAD_LINE_END },
	{ __LINE__, G("A: b\n"), H1_BAD_LINE_END },
	{ __LINE__, G("A: b\rc\r\n"), H1_BAD_LINE_END },
	{ __LINE__, G("A: b\r\r\n"), H1_BAD_LINE_END },
	{ __LINE__, G("A: b\0c\r\n"), H1_BAD_VALUE },
	{ __LINE__, G("A: b\x01\r\n"), H1_BAD_VALUE },
	{ __LINE__, G("A: b\x7f\r\n"), H1_BAD_VALUE },
	{ __LINE__, G("A: b\r\n c\r\n"), H1_OBS_FOLD },
	{ __LINE__, G("A: b\r\n\tc\r\n"), H1_OBS_FOLD },
	{ __LINE__, IN("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), H1_OBS_FOLD },
	{ __LINE__, IN("GET / HTTP/1.1\r\nHost: a\r\n\n"), H1_BAD_LINE_END },
	{ __LINE__, IN("GET / HTTP/1.1\r\nHost: a\r\n\rx"), H1_BAD_LINE_END },
	/* framing */
	{ __LINE__, P("Content-Length: 0\r\n"), 0, LEN, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, P("content-length: 5\r\n"), 0, LEN, 5, 0, 2, "/", "a", "/" },
	{ __LINE__, P("Content-Length:\t0005 \r\n"), 0, LEN, 5, 0, 2, "/", "a", "/" },
	{ __LINE__, P("Content-Length: 9223372036854775807\r\n"), 0, LEN, INT64_MAX, 0, 2, "/", "a", "/" },
	{ __LINE__, P("Content-Length: 9223372036854775808\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Content-Length: 18446744073709551621\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Content-Length: 5\r\nContent-Length: 5\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Content-Length: 5\r\ncONTENT-lENGTH: 6\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Content-Length: 5, 5\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Content-Length:\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Content-Length: +5\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Content-Length: -5\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Content-Length: 0x5\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Content-Length: 5 5\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Content-Length: 5.0\r\n"), H1_BAD_LENGTH },
	{ __LINE__, P("Transfer-Encoding: chunked\r\n"), 0, CHUNKED, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, P("transfer-encoding:CHUNKED\r\n"), 0, CHUNKED, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, P("Transfer-Encoding: gzip, chunked\r\n"), H1_BAD_CODING },
	{ __LINE__, P("Transfer-Encoding: chunked, identity\r\n"), H1_BAD_CODING },
	{ __LINE__, P("Transfer-Encoding: identity\r\n"), H1_BAD_CODING },
	{ __LINE__, P("Transfer-Encoding: chunked;q=1\r\n"), H1_BAD_CODING },
	{ __LINE__, P("Transfer-Encoding: \"chunked\"\r\n"), H1_BAD_CODING },
	{ __LINE__, P("Transfer-Encoding:\r\n"), H1_BAD_CODING },
	{ __LINE__, P("Transfer-Encoding: xchunked\r\n"), H1_BAD_CODING },
	{ __LINE__, P("Transfer-Encoding: \x0b""chunked\r\n"), H1_BAD_VALUE },
	{ __LINE__, P("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), H1_BAD_CODING },
	{ __LINE__, P("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), H1_TE_AND_CL },
	{ __LINE__, P("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), H1_TE_AND_CL },
	{ __LINE__, IN("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), H1_BAD_CODING },
	{ __LINE__, P("Transfer-Encodin: gzip\r\nContent-Lengt: x\r\n"), 0, NONE, 0, 0, 3, "/", "a", "/" },
	/* host */
	{ __LINE__, IN("GET / HTTP/1.1\r\n\r\n"), H1_BAD_HOST },
	{ __LINE__, IN("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), H1_BAD_HOST },
	{ __LINE__, IN("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), H1_BAD_HOST },
	{ __LINE__, HOST(""), 0, NONE, 0, 0, 1, "/", "", "/" },
	{ __LINE__, HOST("a:"), 0, NONE, 0, 0, 1, "/", "a:", "/" },
	{ __LINE__, HOST("[::1]:80"), 0, NONE, 0, 0, 1, "/", "[::1]:80", "/" },
	{ __LINE__, HOST("[::1]"), 0, NONE, 0, 0, 1, "/", "[::1]", "/" },
	{ __LINE__, HOST("a b"), H1_BAD_HOST },
	{ __LINE__, HOST("a,b"), H1_BAD_HOST },
	{ __LINE__, HOST("a/b"), H1_BAD_HOST },
	{ __LINE__, HOST("u@a"), H1_BAD_HOST },
	{ __LINE__, HOST("a:8x"), H1_BAD_HOST },
	{ __LINE__, HOST("a:b:80"), H1_BAD_HOST },
	{ __LINE__, HOST(":80"), H1_BAD_HOST },
	{ __LINE__, HOST("a:123456"), H1_BAD_HOST },
	{ __LINE__, HOST("[::1"), H1_BAD_HOST },
	{ __LINE__, HOST("[::1]x"), H1_BAD_HOST },
	{ __LINE__, HOST("[::g]"), H1_BAD_HOST },
	{ __LINE__, HOST("[::1x"), H1_BAD_HOST },
	{ __LINE__, HOST("[]"), H1_BAD_HOST },
	{ __LINE__, HOST("a[1]"), H1_BAD_HOST },
	/* connection, upgrade, expect */
	{ __LINE__, G("Connection: close\r\n"), 0, NONE, 0, FC, 2, "/", "a", "/" },
	{ __LINE__, G("Connection: Keep-Alive\r\n"), 0, NONE, 0, FK, 2, "/", "a", "/" },
	{ __LINE__, G("Connection: foo, CLOSE ,bar\r\n"), 0, NONE, 0, FC, 2, "/", "a", "/" },
	{ __LINE__, G("Connection: foo\r\nConnection: close\r\n"), 0, NONE, 0, FC, 3, "/", "a", "/" },
	{ __LINE__, G("Connection: closed\r\n"), 0, NONE, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, G("Connection: ,,\r\n"), 0, NONE, 0, FG, 2, "/", "a", "/" },
	{ __LINE__, G("Connection:\r\n"), 0, NONE, 0, FG, 2, "/", "a", "/" },
	{ __LINE__, G("Connection: foo,, bar\r\n"), 0, NONE, 0, FG, 2, "/", "a", "/" },
	{ __LINE__, G("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"), 0, NONE, 0, FK | FU, 3, "/", "a", "/" },
	{ __LINE__, G("Upgrade: websocket\r\n"), 0, NONE, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, G("Connection: upgrade\r\n"), 0, NONE, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, P("Content-Length: 5\r\nExpect: 100-Continue\r\n"), 0, LEN, 5, FE, 3, "/", "a", "/" },
	{ __LINE__, P("Expect: 200-ok\r\n"), 0, NONE, 0, 0, 2, "/", "a", "/" },
	{ __LINE__, IN("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), 0, NONE, 0, F10, 1, "/", "", "/" },
	/* not finished */
	{ __LINE__, IN(""), MORE },
	{ __LINE__, IN("\r\n\r"), MORE },
	{ __LINE__, IN("GET"), MORE },
	{ __LINE__, IN("GET /index"), MORE },
	{ __LINE__, IN("GET / HTTP/1.1\r"), MORE },
	{ __LINE__, IN("GET / HTTP/1.1\r\nHost"), MORE },
	{ __LINE__, IN("GET / HTTP/1.1\r\nHost: a\r\n"), MORE },
	{ __LINE__, IN("GET / HTTP/1.1\r\nHost: a\r\n\r"), MORE },
};

#define R(fields) IN("HTTP/1.1 200 OK\r\n" fields "\r\n")
#define GET HTTP_GET

static const struct {
	int line;
	struct sl_str in;
	enum http_method method; // of the request
	int err;
	int status;
	int framing;
	uint64_t length;
	uint32_t flags;
	bool keep;
	const char *reason;
} responses[] = {
	{ __LINE__, IN("HTTP/1.1 200 OK\r\n\r\n"), GET, 0, 200, CLOSE, 0, 0, false, "OK" },
	{ __LINE__, IN("HTTP/1.1 200 \r\n\r\n"), GET, 0, 200, CLOSE, 0, 0, false, "" },
	{ __LINE__, IN("HTTP/1.1 200\r\n\r\n"), GET, 0, 200, CLOSE, 0, 0, false, "" },
	{ __LINE__, IN("HTTP/1.1 404 Not\tFound \xe9\r\n\r\n"), GET, 0, 404, CLOSE, 0, 0, false, "Not\tFound \xe9" },
	{ __LINE__, IN("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"), GET, 0, 200, LEN, 3, F10, false, "OK" },
	{ __LINE__, IN("HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n"), GET, 0, 200, LEN, 3, F10 | FK, true, "OK" },
	{ __LINE__, R("Content-Length: 0\r\n"), GET, 0, 200, LEN, 0, 0, true, "OK" },
	{ __LINE__, R("Content-Length: 10\r\nConnection: close\r\n"), GET, 0, 200, LEN, 10, FC, false, "OK" },
	{ __LINE__, R("Transfer-Encoding: chunked\r\n"), GET, 0, 200, CHUNKED, 0, 0, true, "OK" },
	{ __LINE__, R("Transfer-Encoding: gzip, chunked\r\n"), GET, H1_BAD_CODING },
	{ __LINE__, R("Transfer-Encoding: identity\r\n"), GET, H1_BAD_CODING },
	{ __LINE__, R("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), GET, H1_TE_AND_CL },
	{ __LINE__, IN("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), GET, H1_BAD_CODING },
	{ __LINE__, R("Content-Length: 1\r\nContent-Length: 1\r\n"), GET, H1_BAD_LENGTH },
	{ __LINE__, R("Content-Length: x\r\n"), GET, H1_BAD_LENGTH },
	{ __LINE__, R("Content-Length: 10\r\n"), HTTP_HEAD, 0, 200, NONE, 10, 0, true, "OK" },
	{ __LINE__, R("Transfer-Encoding: chunked\r\n"), HTTP_HEAD, 0, 200, NONE, 0, 0, true, "OK" },
	{ __LINE__, R(""), HTTP_HEAD, 0, 200, NONE, 0, 0, true, "OK" },
	{ __LINE__, R("Content-Length: x\r\n"), HTTP_HEAD, H1_BAD_LENGTH },
	{ __LINE__, IN("HTTP/1.1 204 No Content\r\n\r\n"), GET, 0, 204, NONE, 0, 0, true, "No Content" },
	{ __LINE__, IN("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), GET, 0, 204, NONE, 0, 0, true, "No Content" },
	{ __LINE__, IN("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"), GET, 0, 304, NONE, 99, 0, true, "Not Modified" },
	{ __LINE__, IN("HTTP/1.1 205 Reset\r\n\r\n"), GET, 0, 205, CLOSE, 0, 0, false, "Reset" },
	{ __LINE__, IN("HTTP/1.1 100 Continue\r\n\r\n"), HTTP_POST, 0, 100, NONE, 0, 0, true, "Continue" },
	{ __LINE__, IN("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), GET, 0, 103, NONE, 0, 0, true, "Early Hints" },
	{ __LINE__, IN("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), GET, 0, 101, TUNNEL, 0, FU, false, "Switching" },
	{ __LINE__, R(""), HTTP_CONNECT, 0, 200, TUNNEL, 0, 0, false, "OK" },
	{ __LINE__, R("Content-Length: 5\r\n"), HTTP_CONNECT, 0, 200, TUNNEL, 5, 0, false, "OK" },
	{ __LINE__, IN("HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n"), HTTP_CONNECT, 0, 407, LEN, 5, 0, true, "No" },
	{ __LINE__, IN("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), GET, 0, 999, LEN, 0, 0, true, "Odd" },
	{ __LINE__, R("Host: x\r\nHost: y\r\nContent-Length: 0\r\n"), GET, 0, 200, LEN, 0, 0, true, "OK" },
	{ __LINE__, IN("HTTP/1.1 099 x\r\n\r\n"), GET, H1_BAD_STATUS },
	{ __LINE__, IN("HTTP/1.1 20 OK\r\n\r\n"), GET, H1_BAD_STATUS },
	{ __LINE__, IN("HTTP/1.1 2000 OK\r\n\r\n"), GET, H1_BAD_STATUS },
	{ __LINE__, IN("HTTP/1.1 2x0 OK\r\n\r\n"), GET, H1_BAD_STATUS },
	{ __LINE__, IN("HTTP/1.1  200 OK\r\n\r\n"), GET, H1_BAD_STATUS },
	{ __LINE__, IN("HTTP/1.1 +20 OK\r\n\r\n"), GET, H1_BAD_STATUS },
	{ __LINE__, IN("HTTP/1.1200 OK\r\n\r\n"), GET, H1_BAD_VERSION },
	{ __LINE__, IN("HTTP/2.0 200 OK\r\n\r\n"), GET, H1_BAD_VERSION },
	{ __LINE__, IN("HTTP/1.x 200 OK\r\n\r\n"), GET, H1_BAD_VERSION },
	{ __LINE__, IN("ICY 200 OK\r\n\r\n"), GET, H1_BAD_VERSION },
	{ __LINE__, IN("\r\nHTTP/1.1 200 OK\r\n\r\n"), GET, H1_BAD_VERSION },
	{ __LINE__, IN("<html>"), GET, H1_BAD_VERSION },
	{ __LINE__, IN("HTTP/1.1 200 OK\n\r\n"), GET, H1_BAD_LINE_END },
	{ __LINE__, IN("HTTP/1.1 200 OK\rX\r\n\r\n"), GET, H1_BAD_LINE_END },
	{ __LINE__, IN("HTTP/1.1 200\n"), GET, H1_BAD_LINE_END },
	{ __LINE__, IN("HTTP/1.1 200 O\0K\r\n\r\n"), GET, H1_BAD_VALUE },
	{ __LINE__, IN("HTTP/1.1 200 O\x7fK\r\n\r\n"), GET, H1_BAD_VALUE },
	{ __LINE__, R("A: b\r\n c\r\n"), GET, H1_OBS_FOLD },
	{ __LINE__, R("A : b\r\n"), GET, H1_BAD_NAME },
	{ __LINE__, R("A: b\n"), GET, H1_BAD_LINE_END },
	{ __LINE__, R("A\r\n"), GET, H1_NO_COLON },
	{ __LINE__, IN("HTTP/1.1 200 OK\r\nA: "), GET, MORE },
	{ __LINE__, IN("HTTP/1.1 20"), GET, MORE },
	{ __LINE__, IN("HT"), GET, MORE },
	{ __LINE__, IN(""), GET, MORE },
};
// clang-format on

static void
check_outcome(int line, int err, const struct outcome *o, uint32_t want_flags)
{
	if (err == MORE) {
		if (o->rc != -EAGAIN)
			fail_msg("line %d: rc %d", line, o->rc);
		return;
	}
	if (o->err != err || (o->rc > 0) != (err == H1_OK))
		fail_msg(
			"line %d: rc %d, %s at %u", line, o->rc, h1_error_name(o->err), o->err_pos);
	if (err == H1_OK && (o->flags & ~HTTP_F_CONN) != want_flags)
		fail_msg("line %d: flags %#x, not %#x", line, o->flags, want_flags);
}

static void
request_table(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(requests); i++) {
		struct input in = { requests[i].in, true, HTTP_GET };
		int line = requests[i].line;
		struct outcome o;
		struct run r;

		run_all(line, &in, &r, &o);
		check_outcome(line, requests[i].err, &o, requests[i].flags | HTTP_F_REQUEST);
		if (o.rc < 0)
			continue;
		if ((int)o.framing != requests[i].framing ||
			o.content_length != requests[i].length || o.nhdr != requests[i].nhdr)
			fail_msg("line %d: framing %d length %llu fields %d", line, o.framing,
				(unsigned long long)o.content_length, o.nhdr);
		has(line, "uri", &r.m, r.m.uri, requests[i].uri);
		has(line, "authority", &r.m, r.m.authority, requests[i].authority);
		has(line, "path", &r.m, r.m.path, requests[i].path);
	}
}

static void
response_table(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(responses); i++) {
		struct input in = { responses[i].in, false, responses[i].method };
		int line = responses[i].line;
		struct outcome o;
		struct run r;

		run_all(line, &in, &r, &o);
		check_outcome(line, responses[i].err, &o, responses[i].flags);
		if (o.rc < 0)
			continue;
		if ((int)o.framing != responses[i].framing || o.status != responses[i].status ||
			o.content_length != responses[i].length ||
			h1_is_keepalive(&r.m) != responses[i].keep)
			fail_msg("line %d: framing %d length %llu status %d", line, o.framing,
				(unsigned long long)o.content_length, o.status);
		has(line, "reason", &r.m, r.m.reason, responses[i].reason);
	}
}

/* Names and values exactly, with blanks of every kind around. */
static void
slices(void **state sl_unused)
{
	struct input in = { IN("\r\nPUT /x HTTP/1.1\r\nHost: h\r\nA:b\r\nB: \t c d \t\r\nC:\r\n"
			       "D: \r\nLonger-Than-Sixteen-Bytes:  v\r\n\r\nrest"),
		true, HTTP_GET };
	static const char *const want[][2] = { { "Host", "h" }, { "A", "b" }, { "B", "c d" },
		{ "C", "" }, { "D", "" }, { "Longer-Than-Sixteen-Bytes", "v" } };
	struct outcome o;
	struct run r;

	run_all(__LINE__, &in, &r, &o);
	assert_int_equal(o.rc, in.text.len - 4);
	assert_int_equal(r.m.len, o.rc);
	assert_int_equal(o.meth, HTTP_PUT);
	assert_int_equal(r.m.method.off, 2);
	assert_int_equal(o.nhdr, SL_ARRAY_SIZE(want));
	for (size_t i = 0; i < SL_ARRAY_SIZE(want); i++) {
		has((int)i, "name", &r.m, r.m.hdr[i].name, want[i][0]);
		has((int)i, "value", &r.m, r.m.hdr[i].value, want[i][1]);
	}
}

static void
error_places(void **state sl_unused)
{
	static const struct {
		struct sl_str in;
		uint32_t pos;
	} rows[] = {
		{ IN("GET /#x HTTP/1.1\r\n"), 5 },
		{ IN("GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n"), 26 },
		{ IN("GET / HTTP/1.1\r\nHost: a\r\nA: \x01\r\n"), 28 },
		{ IN("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"), 26 },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct input in = { rows[i].in, true, HTTP_GET };
		struct outcome o;
		struct run r;

		run_all((int)i, &in, &r, &o);
		assert_true(o.err != H1_OK);
		assert_int_equal(o.err_pos, rows[i].pos);
	}
}

static char text[MAX_IN];

/* The limit of a head: exact, and with the same verdict whatever the pieces. */
static void
length_limit(void **state sl_unused)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
	struct input in = { { text, 0 }, true, HTTP_GET };
	struct outcome o;
	struct run r;

	for (int extra = -1; extra <= 2; extra++) {
		uint32_t len = (uint32_t)(HTTP_MAX_HEAD + extra);

		memset(text, 'x', sizeof(text));
		memcpy(text, head, sizeof(head) - 1);
		memcpy(text + len - 4, "\r\n\r\n", 4);
		begin(&r, &in);
		finish(&r, feed(&r, len, true), &o);
		assert_int_equal(o.err, extra > 0 ? H1_TOO_LONG : H1_OK);
		assert_int_equal(o.rc, extra > 0 ? -EMSGSIZE : (int)len);
		if (extra <= 0)
			continue;
		assert_int_equal(o.err_pos, HTTP_MAX_HEAD);
		begin(&r, &in);
		assert_int_equal(feed(&r, HTTP_MAX_HEAD - 1, true), -EAGAIN);
		assert_int_equal(feed(&r, HTTP_MAX_HEAD, true), -EMSGSIZE);
		assert_int_equal(r.p.err_pos, HTTP_MAX_HEAD);
	}
	// a mistake behind the limit is not looked at
	memset(text, 'x', sizeof(text));
	memcpy(text, head, sizeof(head) - 1);
	text[HTTP_MAX_HEAD] = '\0';
	begin(&r, &in);
	assert_int_equal(feed(&r, sizeof(text), true), -EMSGSIZE);
	// an endless start line, and endless empty lines
	memset(text, '/', sizeof(text));
	memcpy(text, "GET ", 4);
	begin(&r, &in);
	assert_int_equal(feed(&r, sizeof(text), true), -EMSGSIZE);
	for (uint32_t i = 0; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\r\n", 2);
	begin(&r, &in);
	assert_int_equal(feed(&r, sizeof(text), true), -EMSGSIZE);
}

static void
count_limit(void **state sl_unused)
{
	for (uint32_t nr = MAXHDR - 1; nr <= MAXHDR + 1; nr++) {
		struct input in = { { text, 0 }, true, HTTP_GET };
		struct outcome o;
		struct sl_buf b;
		struct run r;

		sl_buf_init(&b, text, sizeof(text));
		sl_buf_addc(&b, "GET / HTTP/1.0\r\n");
		for (uint32_t i = 0; i < nr; i++)
			sl_buf_printf(&b, "N%u: v\r\n", i);
		sl_buf_addc(&b, "\r\n");
		in.text = sl_buf_str(&b);
		run_all(__LINE__, &in, &r, &o);
		assert_int_equal(o.err, nr > MAXHDR ? H1_TOO_MANY : H1_OK);
		assert_int_equal(o.rc, nr > MAXHDR ? -EMSGSIZE : (int)b.len);
	}
}

/* Every byte value at every place of a head: all cuts agree, and no control byte gets through. */
static void
every_byte(void **state sl_unused)
{
	static const char seed[] =
		"POST /p HTTP/1.1\r\nHost: a:80\r\nContent-Length: 12\r\nX-Y:  z z\t\r\n\r\n";

	for (uint32_t at = 0; at < sizeof(seed) - 1; at++) {
		for (int b = 0; b < 256; b++) {
			struct input in = { { text, sizeof(seed) - 1 }, true, HTTP_GET };
			struct outcome o;
			struct run r;

			memcpy(text, seed, sizeof(seed));
			text[at] = (char)b;
			run_all(b, &in, &r, &o);
			if (o.rc > 0 && b != '\t' && b != '\r' && b != '\n' &&
				(b < ' ' || b == 127))
				fail_msg("byte %d at %u passed", b, at);
		}
	}
}

static void
keepalive(void **state sl_unused)
{
	static const struct {
		int line;
		struct sl_str in;
		bool keep;
	} rows[] = {
		{ __LINE__, G(""), true },
		{ __LINE__, G("Connection: close\r\n"), false },
		{ __LINE__, G("Connection: keep-alive, close\r\n"), false },
		{ __LINE__, IN("GET / HTTP/1.0\r\n\r\n"), false },
		{ __LINE__, IN("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), true },
		{ __LINE__, IN("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), false },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct input in = { rows[i].in, true, HTTP_GET };
		struct outcome o;
		struct run r;

		run_all(rows[i].line, &in, &r, &o);
		if (o.rc < 0 || h1_is_keepalive(&r.m) != rows[i].keep)
			fail_msg("line %d", rows[i].line);
	}
	for (int e = 0; e < H1_NR_ERRORS; e++)
		assert_string_not_equal(h1_error_name((enum h1_error)e), "?");
	assert_string_equal(h1_error_name(H1_NR_ERRORS), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_table),
		cmocka_unit_test(response_table),
		cmocka_unit_test(slices),
		cmocka_unit_test(error_places),
		cmocka_unit_test(length_limit),
		cmocka_unit_test(count_limit),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(keepalive),
	};

	guard_init(&guard, MAX_IN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
