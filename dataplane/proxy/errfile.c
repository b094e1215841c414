// SPDX-License-Identifier: BSD-3-Clause
/*
 * Answers of our own: the page of each status, and how an answer is sent.
 *
 * Runs on: the worker. Fields as HAProxy's: "content-length", "cache-control: no-cache",
 * "content-type: text/html"; the mux adds "connection: close" where the connection ends. An answer
 * that comes before the request's body was read discards what is there of it; if more is to come,
 * the connection ends with the answer (RFC 9112 9.6).
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

/* The pages that are built in. Their reasons are HAProxy's, which gives some statuses two wordings. */
// clang-format off
#define PAGE(status, reason, text) \
	{ status, SL_STR(reason), \
		SL_STR("<html><body><h1>" #status " " reason "</h1>\n" text "\n</body></html>\n") }
static const struct {
	uint16_t status;
	struct sl_str reason, body;
} pages[] = {
	PAGE(200, "OK", "The service is ready."),
	PAGE(400, "Bad request", "The request could not be understood."),
	PAGE(401, "Unauthorized", "This page asks for a user and a password."),
	PAGE(403, "Forbidden", "A rule of this site forbids the request."),
	PAGE(404, "Not Found", "There is nothing at this address."),
	PAGE(405, "Method Not Allowed", "This method is not allowed here."),
	PAGE(407, "Unauthorized", "The proxy asks for a user and a password."),
	PAGE(408, "Request Time-out", "The request did not arrive completely in time."),
	PAGE(410, "Gone", "What was here is gone for good."),
	PAGE(413, "Payload Too Large", "The request's body is too large."),
	PAGE(421, "Misdirected Request", "This site is not served here."),
	PAGE(422, "Unprocessable Content", "The request makes no sense."),
	PAGE(425, "Too Early", "The request came before the handshake's end."),
	PAGE(429, "Too Many Requests", "Too many requests came in a short time."),
	PAGE(431, "Request Header Fields Too Large", "The request's head is too large."),
	PAGE(500, "Internal Server Error", "The request could not be processed."),
	PAGE(501, "Not Implemented", "This is not supported here."),
	PAGE(502, "Bad Gateway", "The server's answer was broken or missing."),
	PAGE(503, "Service Unavailable", "No server can take the request now."),
	PAGE(504, "Gateway Time-out", "The server did not answer in time."),
};
// clang-format on

void
reply_built_in(struct reply *r, uint16_t status)
{
	*r = (struct reply){ .status = status, .no_cache = true };
	for (size_t i = 0; i < SL_ARRAY_SIZE(pages); i++) {
		if (pages[i].status != status)
			continue;
		r->reason = pages[i].reason;
		r->body = pages[i].body;
		r->ctype = SL_STR("text/html");
	}
}

#define REPLY_FIELDS 24

static int
add_fields(struct http_msg *m, const struct reply *r, bool has_body)
{
	struct sl_buf b;
	char num[24];
	int rc = 0;

	if (has_body && r->length == REPLY_LEN_ADDED) {
		sl_buf_init(&b, num, sizeof(num));
		sl_buf_u64(&b, r->body.len);
		rc = http_hdr_add(m, SL_STR("content-length"), sl_buf_str(&b));
	}
	for (uint32_t i = 0; i < r->nhdr && rc == 0; i++)
		rc = http_hdr_add(m, r->hdr[2 * i], r->hdr[2 * i + 1]);
	if (r->no_cache && rc == 0)
		rc = http_hdr_add(m, SL_STR("cache-control"), SL_STR("no-cache"));
	if (r->ctype.len > 0 && rc == 0)
		rc = http_hdr_add(m, SL_STR("content-type"), r->ctype);
	return rc;
}

static uint32_t
fields_size(const struct reply *r)
{
	uint32_t n = 256 + r->ctype.len;

	for (uint32_t i = 0; i < 2 * r->nhdr; i++)
		n += r->hdr[i].len + 4;
	return n;
}

static bool
has_after(const struct stream *s)
{
	return s->fe->http_after != NULL || (s->be != NULL && s->be->http_after != NULL);
}

/* Rules on an answer of our own. 0, or -EPIPE: the stream has ended. */
static int
run_after(struct stream *s, struct http_msg *m)
{
	int rc;

	s->res = *m;
	rc = rule_run_after(s);
	*m = s->res;
	return rc;
}

/* Builds the head in the stream's arena. */
int
reply_build(struct stream *s, const struct reply *r, struct http_msg *m)
{
	uint16_t status = r->written != 0 ? r->written : r->status;
	struct sl_str reason = r->reason.len > 0 ? r->reason : sl_str_c(http_reason(status));
	uint32_t room = has_after(s) ? HTTP_REWRITE : 0;
	uint32_t cap = fields_size(r) + reason.len + room;
	char *mem = arena_alloc(&s->arena, cap);
	bool bodiless = status == 204 || status == 304;

	if (mem == NULL)
		return -ENOMEM;
	http_msg_init(m, s->side->res_hdr, HTTP_MAX_HDR, false);
	m->base = mem;
	m->len = 0;
	m->cap = cap;
	m->flags |= HTTP_F_OWNED;
	if (r->http10)
		m->flags |= HTTP_F_10;
	m->framing = bodiless                       ? HTTP_BODY_NONE
		: r->length == REPLY_LEN_NONE ? HTTP_BODY_CLOSE
					      : HTTP_BODY_LENGTH;
	m->content_length = r->body.len;
	if (http_set_status(m, status, reason) < 0)
		return -ENOSPC;
	return add_fields(m, r, !bodiless);
}

int
reply_send(struct stream *s, const struct reply *r)
{
	struct lcore *lc = s->lc;
	bool close = r->close || (s->fe->options & PX_O_CLOSE) != 0 || lc->stopping ||
		s->ses->last;
	struct http_msg m;
	struct chain body;
	int rc;

	s->log.status = r->status;
	if (mux_conn(muxs_mux(s->cs)) == NULL)
		return -EPIPE;
	if (r->silent) {
		s->flags |= ST_F_RES_SENT | ST_F_RES_DONE;
		s->phase = ST_REPLY;
		return 0;
	}
	rc = reply_build(s, r, &m);
	if (rc < 0)
		return rc;
	if (unlikely(has_after(s))) {
		s->flags |= ST_F_RES_SENT; // a rule that fails ends it, without another answer
		s->phase = ST_REPLY;
		if (run_after(s, &m) < 0)
			return -EPIPE;
	}
	muxs_rx_discard(lc, s->cs);
	chain_init(&body);
	if (m.framing != HTTP_BODY_NONE && (s->flags & ST_F_HEAD) == 0 && r->body.len > 0)
		rc = chain_copy_in(lc, &body, r->body.p, r->body.len);
	if (rc < 0)
		return rc;
	s->flags |= ST_F_RES_SENT | ST_F_RES_DONE;
	if (likely(s->log.head_us != 0)) // as HAProxy: what its parser answers by itself counts nowhere
		stream_count_out(s, h1_counted_size(&m) + body.len + r->uncounted);
	s->phase = ST_REPLY;
	return muxs_send_head(lc, s->cs, &m, &body, true, close || !muxs_rx_done(s->cs));
}

int
reply_send_bare(struct stream *s, struct conn *c, const struct reply *r)
{
	struct lcore *lc = s->lc;
	struct http_msg m;
	struct chain out;
	char head[512];
	int rc = reply_build(s, r, &m);

	if (rc == 0)
		rc = http_hdr_add(&m, SL_STR("connection"), SL_STR("close"));
	if (rc == 0)
		rc = h1_write_head(&m, head, sizeof(head), false);
	if (rc < 0)
		return rc;
	chain_init(&out);
	if (chain_copy_in(lc, &out, head, (uint32_t)rc) < 0 ||
		chain_copy_in(lc, &out, r->body.p, r->body.len) < 0) {
		chain_free(lc, &out);
		return -ENOMEM;
	}
	s->flags |= ST_F_RES_SENT; // as in HAProxy its bytes count nowhere
	return conn_send(lc, c, &out);
}

void
reply_from_page(struct reply *r, uint16_t status, const struct http_page *page)
{
	*r = (struct reply){ .status = status,
		.written = page->status,
		.reason = page->reason,
		.body = page->body,
		.hdr = page->hdr,
		.nhdr = page->nhdr,
		.close = page->close,
		.http10 = page->http10,
		.silent = page->silent,
		.uncounted = page->says_close ? sizeof("connectionclose") - 1 : 0,
		.length = page->has_length ? REPLY_LEN_IN_HDR : REPLY_LEN_NONE };
}

/* As HAProxy: the backend's goes before the frontend's. */
static const struct http_page *
page_for(const struct stream *s, uint16_t status)
{
	int i = http_error_index(status);

	if (i < 0)
		return NULL;
	if (s->be != NULL && s->be->page[i] != NULL)
		return s->be->page[i];
	return s->fe->page[i];
}

void
reply_page(const struct stream *s, uint16_t status, struct reply *r)
{
	const struct http_page *page = page_for(s, status);

	if (page != NULL) {
		reply_from_page(r, status, page);
		return;
	}
	reply_built_in(r, status);
}

int
reply_default(struct stream *s, uint16_t status)
{
	struct reply r;

	reply_page(s, status, &r);
	return reply_send(s, &r);
}
