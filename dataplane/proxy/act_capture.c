// SPDX-License-Identifier: BSD-3-Clause
/*
 * "capture <expression> id <number>": puts a value into a place of the frontend's captures; and what
 * reads captures again.
 *
 * Parsing runs on control threads, running on the worker. Follows: HAProxy's manual 4.2, 7.3.6:
 * "capture … len" makes a place of its own (control/conf); a frontend without that place ignores the
 * rule; values are cut to the place's length.
 */
#include "dataplane/proxy/logfmt.h"
#include "dataplane/proxy/stream.h"

static int
bad(const struct act_parse *p, struct sl_str word, const char *text)
{
	p->comp->diag->error(p->comp->diag->ctx, word, text);
	return -EINVAL;
}

static int
parse_capture(struct act_parse *p, uintptr_t priv sl_unused)
{
	uint32_t *id = arena_alloc(p->comp->mem, sizeof(*id));
	char text[1024];
	struct sl_buf b;
	uint64_t n;

	if (id == NULL)
		return bad(p, SL_STR(""), "out of memory");
	if (p->nword < 3 || !sl_str_eq(p->word[p->nword - 2], SL_STR("id")))
		return bad(p, SL_STR(""), "expects <expression> [ len <length> | id <number> ]");
	if (sl_str_u64(p->word[p->nword - 1], &n) < 0 || n >= LOG_MAX_VALUES)
		return bad(p, p->word[p->nword - 1], "is no number of a capture");
	*id = (uint32_t)n;
	p->data = id;
	sl_buf_init(&b, text, sizeof(text));
	for (uint32_t i = 0; i + 2 < p->nword; i++)
		sl_buf_add(&b, p->word[i]);
	if (b.full)
		return bad(p, p->word[0], "expression too long");
	p->nsamples = 1;
	return prog_add_expr(p->prog, arena_str(p->comp->mem, sl_buf_str(&b)), T_STR);
}

static void
put(struct stream *s, bool request, uint32_t id, const struct sample *v)
{
	const struct proxy *fe = s->fe;
	uint32_t n = request ? fe->nreq_cap : fe->nres_cap;
	const struct px_capture *cap = request ? fe->req_cap : fe->res_cap;

	if (id < n && v->type == T_STR)
		logval_set(s, LOGREC_CAPTURES + (request ? 0 : fe->nreq_cap) + id, cap[id].len,
			v->s);
}

static enum act_ret
run_capture(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	if (n > 0)
		put(s, !stream_at_response(s), *(const uint32_t *)a->data, &args[0]);
	return ACT_CONT;
}

/* ---- reading ---- */

static bool
give(struct sample *out, struct sl_str s)
{
	out->type = T_STR;
	out->s = s;
	return s.p != NULL;
}

static bool
fetch_req_hdr(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	const struct stream *s = v->stream;

	if (args[0].i < 0 || args[0].i >= s->fe->nreq_cap)
		return false;
	return give(out, logval_get(s, LOGREC_CAPTURES + (uint32_t)args[0].i));
}

static bool
fetch_res_hdr(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	const struct stream *s = v->stream;

	if (args[0].i < 0 || args[0].i >= s->fe->nres_cap)
		return false;
	return give(out, logval_get(s, LOGREC_CAPTURES + s->fe->nreq_cap + (uint32_t)args[0].i));
}

enum { LINE_METHOD, LINE_URI };

/* Of the request line as received: the method, or the target without scheme and host. */
static bool
fetch_line(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t which)
{
	struct sl_str line = v->stream->log.line, word = sl_str_cut(&line, ' ');
	int at;

	if (which == LINE_METHOD || word.p == NULL)
		return give(out, word);
	word = sl_str_cut(&line, ' ');
	at = word.len > 0 && word.p[0] != '/' ? sl_str_find(word, SL_STR("://"), false) : -ENOENT;
	if (at > 0) {
		word = sl_str_make(word.p + at + 3, word.len - (uint32_t)at - 3);
		at = sl_str_chr(word, '/');
		word = at >= 0 ? sl_str_make(word.p + at, word.len - (uint32_t)at) : SL_STR_NULL;
	}
	return give(out, word);
}

static bool
fetch_version(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t response)
{
	const struct http_msg *m = response ? v->res : v->req;

	if (m == NULL)
		return false;
	return give(out,
		(m->flags & HTTP_F_10) != 0 ? SL_STR("HTTP/1.0") : SL_STR("HTTP/1.1"));
}

static bool
fetch_unique_id(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return give(out, logval_unique_id(v->stream));
}

// clang-format off
SL_ACTIONS(
	{ "capture", EVAL_BIT(EVAL_HTTP_REQ) | EVAL_BIT(EVAL_HTTP_RES), parse_capture, run_capture,
		"<expr> [len <length> | id <number>]: keep a value for records" },
);
SL_FETCHES(
	{ "capture.req.hdr", fetch_req_hdr, SL_ARGS(1, ARG_SINT), T_STR, EVAL_REQ_LOG, WHERE_OWNER,
		"captured field of the request, by its number" },
	{ "capture.req.method", fetch_line, SL_NOARGS, T_STR, EVAL_REQ_LOG, WHERE_OWNER,
		"method as it was received", LINE_METHOD },
	{ "capture.req.uri", fetch_line, SL_NOARGS, T_STR, EVAL_REQ_LOG, WHERE_OWNER,
		"path and query as they were received", LINE_URI },
	{ "capture.req.ver", fetch_version, SL_NOARGS, T_STR, EVAL_REQ_LOG, WHERE_OWNER,
		"HTTP/1.0 or HTTP/1.1", 0 },
	{ "capture.res.hdr", fetch_res_hdr, SL_ARGS(1, ARG_SINT), T_STR, EVAL_RES_LOG, WHERE_OWNER,
		"captured field of the response, by its number" },
	{ "capture.res.ver", fetch_version, SL_NOARGS, T_STR, EVAL_RES_LOG, WHERE_OWNER,
		"HTTP/1.0 or HTTP/1.1", 1 },
	{ "unique-id", fetch_unique_id, SL_NOARGS, T_STR, EVAL_REQ_LOG, WHERE_OWNER,
		"the request's name by unique-id-format" },
);
// clang-format on
