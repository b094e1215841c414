// SPDX-License-Identifier: BSD-3-Clause
/*
 * Actions that decide what becomes of a transaction: allow, deny, redirect, return.
 *
 * Parsing runs on control threads, running on the worker. deny, and return, take the same words;
 * they differ in the default status, and in the termination state: P for refused, L for answered
 * locally.
 */
#include "dataplane/proxy/stream.h"

#define POINTS         (EVAL_BIT(EVAL_HTTP_REQ) | EVAL_BIT(EVAL_HTTP_RES))
#define MAX_REPLY_HDRS 16

static int
bad(const struct act_parse *p, struct sl_str word, const char *text)
{
	p->comp->diag->error(p->comp->diag->ctx, word, text);
	return -EINVAL;
}

/* ---- allow ---- */

static enum act_ret
run_allow(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	(void)s;
	(void)a;
	(void)args;
	(void)n;
	return ACT_STOP;
}

/* ---- deny, return ---- */

enum payload { PAYLOAD_NONE, PAYLOAD_DEFAULT, PAYLOAD_PAGE, PAYLOAD_PAGES, PAYLOAD_STRING, PAYLOAD_FORMAT };

struct flow {
	uint16_t status; // 0: the action's default
	enum payload payload;
	const struct http_page *page;         // "errorfile"
	const struct http_page *const *pages; // "errorfiles"
	struct sl_str ctype;
	struct sl_str string;
	uint32_t body_arg; // which sample the format's value is
	bool by_default; // "deny_status"
	uint32_t nhdr;
	struct sl_str hdr[MAX_REPLY_HDRS];
	uint32_t hdr_arg[MAX_REPLY_HDRS];
};

enum flow_kind { FLOW_DENY, FLOW_RETURN };

static int
parse_status(struct act_parse *p, struct flow *f, struct sl_str word)
{
	uint64_t n;

	if (sl_str_u64(word, &n) < 0 || n < 200 || n > 599)
		return bad(p, word, "status must be 200..599");
	f->status = (uint16_t)n;
	return 0;
}

static int
add_fmt(struct act_parse *p, struct sl_str fmt, uint32_t *arg)
{
	*arg = p->nsamples++;
	return prog_add_fmt(p->prog, fmt);
}

static int
parse_hdr(struct act_parse *p, struct flow *f, struct sl_str name, struct sl_str fmt)
{
	if (!http_is_token(name))
		return bad(p, name, "is no valid header name");
	if (f->nhdr == MAX_REPLY_HDRS)
		return bad(p, name, "more than 16 'hdr' arguments");
	f->hdr[f->nhdr] = arena_str(p->comp->mem, name);
	return add_fmt(p, fmt, &f->hdr_arg[f->nhdr++]);
}

/* What is in files is read now; a format in a file is one in the configuration. */
static int
parse_file(struct act_parse *p, struct flow *f, struct sl_str word, struct sl_str value)
{
	const struct expr_extern *ext = p->comp->ext;
	struct sl_str text;

	if (ext == NULL || ext->file == NULL)
		return bad(p, word, "there are no files here");
	if (sl_str_eq(word, SL_STR("errorfile"))) {
		f->payload = PAYLOAD_PAGE;
		f->page = ext->page(ext->file_ctx, value);
		return f->page != NULL ? 0 : -EINVAL;
	}
	if (sl_str_eq(word, SL_STR("errorfiles"))) {
		f->payload = PAYLOAD_PAGES;
		f->pages = ext->pages(ext->file_ctx, value);
		return f->pages != NULL ? 0 : -EINVAL;
	}
	if (ext->file(ext->file_ctx, value, &text) < 0)
		return -EINVAL;
	if (sl_str_eq(word, SL_STR("lf-file"))) {
		f->payload = PAYLOAD_FORMAT;
		return add_fmt(p, text, &f->body_arg);
	}
	f->payload = PAYLOAD_STRING;
	f->string = text;
	return 0;
}

static int
parse_payload(struct act_parse *p, struct flow *f, struct sl_str word, struct sl_str value)
{
	if (f->payload != PAYLOAD_NONE)
		return bad(p, word, "only one payload may be given");
	if (sl_str_eq(word, SL_STR("string"))) {
		f->payload = PAYLOAD_STRING;
		f->string = arena_str(p->comp->mem, value);
		return 0;
	}
	if (sl_str_eq(word, SL_STR("lf-string"))) {
		f->payload = PAYLOAD_FORMAT;
		return add_fmt(p, value, &f->body_arg);
	}
	return parse_file(p, f, word, value);
}

static bool
is_payload(struct sl_str w)
{
	static const char *const names[] = { "string", "lf-string", "file", "lf-file", "errorfile",
		"errorfiles" };

	for (size_t i = 0; i < SL_ARRAY_SIZE(names); i++) {
		if (sl_str_eq(w, sl_str_c(names[i])))
			return true;
	}
	return false;
}

/* One keyword with its values, from word i on; returns the index behind, or -EINVAL. */
static int
parse_word(struct act_parse *p, struct flow *f, uint32_t i)
{
	struct sl_str w = p->word[i];
	uint32_t left = p->nword - i - 1;
	int rc;

	if (sl_str_eq(w, SL_STR("default-errorfiles"))) {
		if (f->payload != PAYLOAD_NONE)
			return bad(p, w, "only one payload may be given");
		f->payload = PAYLOAD_DEFAULT;
		return (int)i + 1;
	}
	if (left == 0)
		return bad(p, w, "unknown argument, or its value is missing");
	if (sl_str_eq(w, SL_STR("status")) || sl_str_eq(w, SL_STR("deny_status"))) {
		f->by_default = f->by_default || w.p[0] == 'd';
		rc = parse_status(p, f, p->word[i + 1]);
	} else if (sl_str_eq(w, SL_STR("content-type"))) {
		f->ctype = arena_str(p->comp->mem, p->word[i + 1]);
		rc = 0;
	} else if (sl_str_eq(w, SL_STR("hdr")) && left >= 2) {
		rc = parse_hdr(p, f, p->word[i + 1], p->word[i + 2]);
		return rc < 0 ? rc : (int)i + 3;
	} else if (is_payload(w)) {
		rc = parse_payload(p, f, w, p->word[i + 1]);
	} else {
		return bad(p, w, "unknown argument");
	}
	return rc < 0 ? rc : (int)i + 2;
}

static int
parse_flow(struct act_parse *p, uintptr_t kind)
{
	struct flow *f = arena_zalloc(p->comp->mem, sizeof(*f));

	if (f == NULL)
		return bad(p, SL_STR(""), "out of memory");
	for (uint32_t i = 0; i < p->nword;) {
		int next = parse_word(p, f, i);
		if (next < 0)
			return next;
		i = (uint32_t)next;
	}
	if ((f->payload == PAYLOAD_STRING || f->payload == PAYLOAD_FORMAT) && f->ctype.len == 0)
		return bad(p, SL_STR("string"), "a payload needs 'content-type'");
	// as HAProxy: a page goes with "deny" alone and with "deny_status"; "status" asks for an empty answer
	if (kind == FLOW_DENY && f->payload == PAYLOAD_NONE && (f->by_default || p->nword == 0))
		f->payload = PAYLOAD_DEFAULT;
	if (f->payload == PAYLOAD_DEFAULT && f->status != 0 && http_error_index(f->status) < 0)
		return bad(p, SL_STR("status"), "there is no default page for this status");
	p->data = f;
	return 0;
}

static enum act_ret
answer(struct stream *s, const struct reply *r, const char req_term[2], const char res_term[2])
{
	txn_set_term(s, stream_at_response(s) ? res_term : req_term);
	if (reply_send(s, r) < 0)
		txn_fail(s, 500, "PR");
	return ACT_DONE;
}

/* An answer that is a page; a section without one for the status gives an empty answer. */
static void
from_pages(const struct stream *s, const struct flow *f, struct reply *r)
{
	const struct http_page *page = f->page;

	if (f->payload == PAYLOAD_DEFAULT) {
		reply_page(s, r->status, r);
		return;
	}
	if (f->payload == PAYLOAD_PAGES) {
		int i = http_error_index(r->status);

		page = i >= 0 ? f->pages[i] : NULL;
	}
	if (page != NULL)
		reply_from_page(r, r->status, page);
}

static enum act_ret
run_flow(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	const struct flow *f = a->data;
	bool deny = a->row->priv == FLOW_DENY;
	struct sl_str hdr[2 * MAX_REPLY_HDRS];
	struct reply r = { .status = f->status };

	(void)n;
	if (r.status == 0)
		r.status = !deny ? 200 : stream_at_response(s) ? 502 : 403;
	if (f->payload == PAYLOAD_DEFAULT || f->payload == PAYLOAD_PAGE || f->payload == PAYLOAD_PAGES) {
		from_pages(s, f, &r);
	} else {
		if (f->payload != PAYLOAD_NONE) {
			r.body = f->payload == PAYLOAD_STRING ? f->string : args[f->body_arg].s;
			r.ctype = f->ctype;
		}
		for (uint32_t i = 0; i < f->nhdr; i++) {
			struct sl_str value = args[f->hdr_arg[i]].s;

			if (value.len == 0)
				continue; // HAProxy leaves it out
			hdr[2 * r.nhdr] = f->hdr[i];
			hdr[2 * r.nhdr++ + 1] = value;
		}
		r.hdr = hdr;
	}
	if (deny)
		stream_count_denied(s);
	else
		counter_inc(&s->lc->px_cnt[s->fe->slot].intercepted);
	return deny ? answer(s, &r, "PR", "PH") : answer(s, &r, "LR", "LH");
}

/* ---- redirect ---- */

enum redirect_kind { REDIRECT_LOCATION, REDIRECT_PREFIX, REDIRECT_SCHEME, REDIRECT_NONE };

struct redirect {
	enum redirect_kind kind;
	uint16_t code;
	bool drop_query;
};

static enum redirect_kind
redirect_kind(struct sl_str w)
{
	if (sl_str_eq(w, SL_STR("location")))
		return REDIRECT_LOCATION;
	if (sl_str_eq(w, SL_STR("prefix")))
		return REDIRECT_PREFIX;
	if (sl_str_eq(w, SL_STR("scheme")))
		return REDIRECT_SCHEME;
	return REDIRECT_NONE;
}

static int
redirect_code(struct act_parse *p, struct redirect *r, struct sl_str word)
{
	uint64_t n;

	if (sl_str_u64(word, &n) < 0 || !(n == 301 || n == 302 || n == 303 || n == 307 || n == 308))
		return bad(p, word, "unsupported code: expects 301, 302, 303, 307 or 308");
	r->code = (uint16_t)n;
	return 0;
}

static int
parse_redirect(struct act_parse *p, uintptr_t priv)
{
	struct redirect *r = arena_zalloc(p->comp->mem, sizeof(*r));
	int rc = 0;

	(void)priv;
	if (r == NULL)
		return bad(p, SL_STR(""), "out of memory");
	r->kind = REDIRECT_NONE;
	r->code = 302;
	for (uint32_t i = 0; i < p->nword && rc == 0; i++) {
		struct sl_str w = p->word[i];
		bool more = i + 1 < p->nword;

		if (sl_str_eq(w, SL_STR("drop-query"))) {
			r->drop_query = true;
		} else if (sl_str_eq(w, SL_STR("code")) && more) {
			rc = redirect_code(p, r, p->word[++i]);
		} else if (redirect_kind(w) != REDIRECT_NONE && more && r->kind == REDIRECT_NONE) {
			r->kind = redirect_kind(w);
			p->nsamples = 1;
			rc = prog_add_fmt(p->prog, p->word[++i]);
		} else {
			return bad(p, w,
				"expects 'location', 'prefix' or 'scheme' with a value, "
				"'code <code>' or 'drop-query'");
		}
	}
	if (rc == 0 && r->kind == REDIRECT_NONE)
		return bad(p, SL_STR(""), "expects 'location', 'prefix' or 'scheme' with a value");
	p->data = r;
	return rc;
}

static void
build_location(
	struct sl_buf *b, const struct http_msg *m, const struct redirect *r, struct sl_str v)
{
	struct sl_str path = r->drop_query ? http_path_only(m) : http_str(m, m->path);

	switch (r->kind) {
	case REDIRECT_PREFIX:
		if (!sl_str_eq(v, SL_STR("/")))
			sl_buf_add(b, v);
		sl_buf_add(b, path);
		break;
	case REDIRECT_SCHEME:
		sl_buf_add(b, v);
		sl_buf_addc(b, "://");
		sl_buf_add(b, http_hdr_get(m, SL_STR("host")));
		if (path.len == 0 || path.p[0] != '/')
			path = SL_STR("/");
		sl_buf_add(b, path);
		break;
	case REDIRECT_LOCATION:
	default:
		sl_buf_add(b, v);
		break;
	}
}

static enum act_ret
run_redirect(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	const struct redirect *rd = a->data;
	struct sl_str v = n > 0 && args[0].type == T_STR ? args[0].s : SL_STR("");
	uint32_t size = v.len + s->req.len + 16;
	struct sl_str hdr[2] = { SL_STR("location") };
	// as HAProxy: what a browser may keep by itself is not marked
	struct reply r = { .status = rd->code,
		.reason = rd->code == 302 ? SL_STR("Found") : SL_STR_NULL,
		.hdr = hdr,
		.nhdr = 1,
		.no_cache = rd->code == 302 || rd->code == 303 || rd->code == 307,
		.close = s->req.framing == HTTP_BODY_CHUNKED ||
			(s->req.framing == HTTP_BODY_LENGTH && s->req.content_length > 0) };
	struct sl_buf b;
	char *mem = arena_alloc(&s->arena, size);

	if (mem == NULL) {
		txn_fail(s, 500, "PR");
		return ACT_DONE;
	}
	sl_buf_init(&b, mem, size);
	build_location(&b, &s->req, rd, v);
	hdr[1] = sl_buf_str(&b);
	if (!stream_at_response(s) && ((s->flags & ST_F_AT_BE) == 0 || s->be == s->fe))
		counter_inc(&s->lc->px_cnt[s->fe->slot].intercepted); // as HAProxy: by the frontend
	return answer(s, &r, "LR", "LH");
}

SL_ACTIONS({ "allow", POINTS | EVAL_BIT(EVAL_HTTP_AFTER), NULL, run_allow, "stop evaluating this ruleset" },
	{ "deny", POINTS, parse_flow, run_flow,
		"[status|deny_status <code>] [content-type <type>] [string|lf-string|file|lf-file|"
		"errorfile|errorfiles <arg>|default-errorfiles] [hdr <name> <fmt>]*: "
		"refuse the request",
		FLOW_DENY },
	{ "return", POINTS, parse_flow, run_flow,
		"[status <code>] [content-type <type>] [string|lf-string|file|lf-file|errorfile|"
		"errorfiles <arg>|default-errorfiles] [hdr <name> <fmt>]*: "
		"answer the request",
		FLOW_RETURN },
	{ "redirect", POINTS, parse_redirect, run_redirect,
		"location|prefix|scheme <fmt> [code <code>] [drop-query]: answer by a redirection" }, );
