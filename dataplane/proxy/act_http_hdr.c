// SPDX-License-Identifier: BSD-3-Clause
/*
 * Actions on header fields: set-header, add-header, del-header, for requests and responses.
 *
 * Parsing runs on control threads, running on the worker. As in HAProxy an edit that does not fit
 * the room for rewrites fails the transaction with 500; so does a value that must not stand in a
 * head, which an expression may make ("url_dec").
 */
#include "dataplane/proxy/stream.h"

#define POINTS (EVAL_BIT(EVAL_HTTP_REQ) | EVAL_BIT(EVAL_HTTP_RES) | EVAL_BIT(EVAL_HTTP_AFTER))

enum hdr_op { HDR_SET, HDR_ADD, HDR_DEL };

static int
bad(const struct act_parse *p, struct sl_str word, const char *text)
{
	p->comp->diag->error(p->comp->diag->ctx, word, text);
	return -EINVAL;
}

static int
parse_hdr(struct act_parse *p, uintptr_t op)
{
	struct sl_str *name;

	if (op == HDR_DEL && p->nword != 1)
		return bad(p, p->nword > 1 ? p->word[1] : SL_STR(""),
			"expects exactly 1 argument: <name>");
	if (op != HDR_DEL && p->nword != 2)
		return bad(p, p->nword > 2 ? p->word[2] : SL_STR(""),
			"expects exactly 2 arguments: <name> <format>");
	if (!http_is_token(p->word[0]))
		return bad(p, p->word[0], "is no valid header name");
	name = arena_alloc(p->comp->mem, sizeof(*name));
	if (name == NULL)
		return bad(p, p->word[0], "out of memory");
	*name = arena_str(p->comp->mem, p->word[0]);
	p->data = name;
	if (op == HDR_DEL)
		return 0;
	p->nsamples = 1;
	return prog_add_fmt(p->prog, p->word[1]);
}

static enum act_ret
run_hdr(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	struct http_msg *m = stream_at_response(s) ? &s->res : &s->req;
	const struct sl_str *name = a->data;
	struct sl_str value = n > 0 && args[0].type == T_STR ? args[0].s : SL_STR("");
	int rc = stream_at_response(s) ? stream_own_res(s) : stream_own_req(s);

	if (rc == 0) {
		switch ((enum hdr_op)a->row->priv) {
		case HDR_SET:
			rc = http_hdr_set(m, *name, value);
			break;
		case HDR_ADD:
			rc = http_hdr_add(m, *name, value);
			break;
		case HDR_DEL:
		default:
			rc = http_hdr_del(m, *name);
			break;
		}
	}
	if (rc >= 0)
		return ACT_CONT;
	txn_fail(s, 500, stream_at_response(s) ? "PH" : "PR");
	return ACT_DONE;
}

SL_ACTIONS({ "set-header", POINTS, parse_hdr, run_hdr,
		   "<name> <fmt>: replace all fields of a name by one", HDR_SET },
	{ "add-header", POINTS, parse_hdr, run_hdr, "<name> <fmt>: append a field", HDR_ADD },
	{ "del-header", POINTS, parse_hdr, run_hdr, "<name>: remove all fields of a name",
		HDR_DEL }, );
