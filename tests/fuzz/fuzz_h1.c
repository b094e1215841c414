// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target: HTTP/1 heads. The first byte chooses request or response, the request's method and
 * where the text is cut; the rest is the head.
 *
 * Invariants: the verdict does not depend on the pieces in which a head comes; all slices lie in
 * the head; what is accepted holds no byte that ends a line elsewhere; a head that is written
 * parses again to the same message, also after edits.
 */
#include "tests/fuzz/fuzz.h"

#include "dataplane/http/http.h"

#define MAX_IN 3000 // byte by byte costs its square in copies

struct parsed {
	struct h1_parser p;
	struct http_msg m;
	struct http_field hdr[HTTP_MAX_HDR];
	int rc;
	enum http_method method;
};

static int
feed(struct parsed *x, char *buf, uint32_t len)
{
	if ((x->m.flags & HTTP_F_REQUEST) != 0)
		return h1_parse_request(&x->p, &x->m, buf, len);
	return h1_parse_response(&x->p, &x->m, buf, len, x->method);
}

static void
begin(struct parsed *x, bool request, enum http_method method)
{
	memset(&x->p, 0, sizeof(x->p));
	http_msg_init(&x->m, x->hdr, HTTP_MAX_HDR, request);
	x->method = method;
}

/* A copy of exactly this size, so that ASan sees a byte too many. */
static char *
copy(const char *from, uint32_t len)
{
	char *p = malloc(len > 0 ? len : 1);

	MUST(p != NULL);
	if (len > 0)
		memcpy(p, from, len);
	return p;
}

static void
same_text(
	const struct parsed *a, struct http_slice sa, const struct parsed *b, struct http_slice sb)
{
	MUST(sl_str_eq(http_str(&a->m, sa), http_str(&b->m, sb)));
}

static void
same_message(const struct parsed *a, const struct parsed *b)
{
	uint32_t kept = ~(HTTP_F_OWNED | HTTP_F_EDITED);

	MUST(a->m.nhdr == b->m.nhdr && a->m.framing == b->m.framing);
	MUST(a->m.content_length == b->m.content_length && a->m.status == b->m.status);
	MUST((a->m.flags & kept) == (b->m.flags & kept) && a->m.meth == b->m.meth);
	same_text(a, a->m.method, b, b->m.method);
	same_text(a, a->m.uri, b, b->m.uri);
	same_text(a, a->m.scheme, b, b->m.scheme);
	same_text(a, a->m.authority, b, b->m.authority);
	same_text(a, a->m.path, b, b->m.path);
	same_text(a, a->m.reason, b, b->m.reason);
	for (int i = 0; i < a->m.nhdr; i++) {
		same_text(a, a->m.hdr[i].name, b, b->m.hdr[i].name);
		same_text(a, a->m.hdr[i].value, b, b->m.hdr[i].value);
	}
}

static void
inside(const struct http_msg *m, struct http_slice s)
{
	MUST(s.off <= m->len && s.len <= m->len - s.off);
}

static void
check_slices(const struct http_msg *m)
{
	inside(m, m->method);
	inside(m, m->uri);
	inside(m, m->scheme);
	inside(m, m->authority);
	inside(m, m->path);
	inside(m, m->reason);
	MUST(http_is_value(http_str(m, m->uri)) && http_is_value(http_str(m, m->reason)));
	for (int i = 0; i < m->nhdr; i++) {
		inside(m, m->hdr[i].name);
		inside(m, m->hdr[i].value);
		MUST(http_is_token(http_str(m, m->hdr[i].name)));
		MUST(http_is_value(http_str(m, m->hdr[i].value)));
	}
}

/* In pieces: [0,from), then step by step; each piece at another address. */
static void
in_pieces(const struct parsed *whole, const char *text, uint32_t len, uint32_t from, uint32_t step)
{
	struct parsed x;
	char *buf = NULL;

	begin(&x, (whole->m.flags & HTTP_F_REQUEST) != 0, whole->method);
	x.rc = -EAGAIN;
	for (uint32_t n = from; x.rc == -EAGAIN; n = sl_min(n + step, len)) {
		free(buf);
		buf = copy(text, n);
		x.rc = feed(&x, buf, n);
		if (n == len)
			break;
	}
	MUST(x.rc == whole->rc);
	MUST(x.p.err == whole->p.err && x.p.err_pos == whole->p.err_pos);
	if (x.rc > 0)
		same_message(whole, &x);
	free(buf);
}

/* Writes, parses again, compares. */
static void
write_and_read(const struct parsed *a)
{
	uint32_t size = h1_head_size(&a->m);
	char *out = malloc(size);
	struct parsed b;

	MUST(out != NULL);
	MUST(h1_write_head(&a->m, out, size, (a->m.flags & HTTP_F_10) != 0) == (int)size);
	begin(&b, (a->m.flags & HTTP_F_REQUEST) != 0, a->method);
	MUST(feed(&b, out, size) == (int)size);
	same_message(a, &b);
	free(out);
}

static void
edit(struct parsed *x, uint32_t choice)
{
	static char mem[MAX_IN + 256];
	struct sl_str name = choice % 2 == 0 || x->m.nhdr == 0
		? SL_STR("X-Forwarded-For")
		: http_str(&x->m, x->m.hdr[choice % x->m.nhdr].name);

	if (http_msg_own(&x->m, mem, x->m.len + choice) < 0)
		return;
	// what decides over framing or connection is not edited: its flags are of the receipt
	if (sl_str_ieq(name, SL_STR("X-Forwarded-For")))
		(void)http_hdr_set(&x->m, name, SL_STR("192.0.2.1"));
	if (x->m.meth != HTTP_CONNECT && (x->m.flags & HTTP_F_REQUEST) != 0) {
		(void)http_set_path(&x->m, SL_STR("/edited"));
		(void)http_set_query(&x->m, SL_STR("q=1"));
	}
	check_slices(&x->m);
	write_and_read(x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parsed whole;
	const char *text;
	uint32_t len;
	char *buf;

	if (size < 1 || size > MAX_IN)
		return 0;
	text = (const char *)data + 1;
	len = (uint32_t)size - 1;
	buf = copy(text, len);
	begin(&whole, (data[0] & 1) == 0, (enum http_method)((data[0] >> 1) % HTTP_NR_METHODS));
	whole.rc = feed(&whole, buf, len);
	// byte by byte where that is cheap: the unit tests do it for every case
	in_pieces(&whole, text, len, 0, 1 + len / 64);
	in_pieces(&whole, text, len, len * (data[0] >> 4) / 16, len);
	if (whole.rc > 0) {
		MUST((uint32_t)whole.rc <= len && whole.m.len == (uint32_t)whole.rc);
		check_slices(&whole.m);
		(void)h1_is_keepalive(&whole.m);
		(void)http_hdr_value(&whole.m, SL_STR("connection"), -1);
		write_and_read(&whole);
		edit(&whole, data[0]);
	} else {
		MUST(whole.rc == -EAGAIN || whole.p.err != H1_OK);
	}
	free(buf);
	return 0;
}
