// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fetch methods on start lines: method, target and its parts, versions, status.
 *
 * Runs on: workers, and script threads on a snapshot. Values are views into the message.
 * Follows: HAProxy's manual 7.3.6. A target without a path ("*", a CONNECT's authority) has none.
 * Not here: header fields (fetch_hdr.c), cookies (fetch_cookie.c).
 */
#include "dataplane/proxy/fetch_priv.h"

#include "dataplane/base/hot.h"

static bool
fetch_method(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	if (v->req == NULL)
		return false;
	out->type = T_METH;
	out->s = http_str(v->req, v->req->method);
	out->meth = v->req->meth;
	return true;
}

static bool
has_path(const struct http_msg *m)
{
	return m != NULL && m->path.len != 0 && m->base[m->path.off] == '/';
}

enum { PART_URL, PART_PATH, PART_PATHQ, PART_QUERY };

static bool
fetch_part(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t part)
{
	const struct http_msg *m = v->req;
	struct sl_str query;

	if (part == PART_URL)
		return m != NULL && fetch_give_str(out, http_str(m, m->uri));
	if (!has_path(m))
		return false;
	switch (part) {
	case PART_PATH:
		return fetch_give_str(out, http_path_only(m));
	case PART_PATHQ:
		return fetch_give_str(out, http_str(m, m->path));
	default:
		query = http_query(m);
		return query.p != NULL && fetch_give_str(out, query);
	}
}

/* The first Host and the path. */
static bool
fetch_base(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem, uintptr_t query)
{
	struct sl_str host, path;
	struct sl_buf b;

	if (!has_path(v->req))
		return false;
	host = http_hdr_get(v->req, SL_STR("host"));
	path = query ? http_str(v->req, v->req->path) : http_path_only(v->req);
	char *p = arena_alloc(mem, (size_t)host.len + path.len + 1);
	if (p == NULL)
		return false;
	sl_buf_init(&b, p, host.len + path.len + 1);
	sl_buf_add(&b, host);
	sl_buf_add(&b, path);
	return fetch_give_str(out, sl_buf_str(&b));
}

static bool
fetch_ver(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	const struct http_msg *m = fetch_msg(v, dir);

	if (m == NULL)
		return false;
	return fetch_give_str(out, m->flags & HTTP_F_10 ? SL_STR("1.0") : SL_STR("1.1"));
}

static bool
fetch_status(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return v->res != NULL && fetch_give_int(out, v->res->status);
}

static bool
give_bool(struct sample *out, bool b)
{
	out->type = T_BOOL;
	out->i = b;
	return true;
}

static bool
fetch_is_http(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return give_bool(out, v->req != NULL);
}

/* For the predefined ACL HTTP_URL_ABS. */
static bool
fetch_is_abs(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return give_bool(out, v->req != NULL && v->req->scheme.len != 0);
}

/* ---- parameters of the query ---- */

/* Where the list starts: behind the first delimiter of the target, '?' unless told otherwise. */
static bool
param_list(const struct txn_view *v, const struct arg *args, char *delim, struct sl_str *list)
{
	int at;

	*delim = args[1].type == ARG_STR && args[1].s.len != 0 ? args[1].s.p[0] : '?';
	if (!has_path(v->req))
		return false;
	*list = http_str(v->req, v->req->path);
	at = sl_str_chr(*list, *delim);
	if (at < 0)
		return false;
	list->p += at + 1;
	list->len -= (uint32_t)at + 1;
	return true;
}

/* *pos: offset in the list plus one; an empty name is any. */
static bool
next_param(const struct txn_view *v, const struct arg *args, uint64_t *pos, struct sl_str *out)
{
	struct sl_str name = args[0].type == ARG_STR ? args[0].s : SL_STR("");
	struct sl_str list;
	char delim;

	if (!param_list(v, args, &delim, &list))
		return false;
	for (uint32_t i = *pos == 0 ? 0 : (uint32_t)(*pos - 1); i < list.len;) {
		struct sl_str p = sl_str_make(list.p + i, 0);
		while (i < list.len && list.p[i] != '&' && list.p[i] != ';' && list.p[i] != delim)
			i++;
		p.len = (uint32_t)(list.p + i - p.p);
		*pos = (uint64_t)++i + 1;
		int eq = sl_str_chr(p, '=');
		if (eq < 0 || (name.len != 0 && !sl_str_eq(sl_str_make(p.p, (size_t)eq), name)))
			continue;
		*out = sl_str_make(p.p + eq + 1, p.len - (uint32_t)eq - 1);
		return true;
	}
	return false;
}

static bool
each_urlp(const struct txn_view *v, const struct arg *args, uint64_t *pos, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	struct sl_str s;

	return next_param(v, args, pos, &s) && fetch_give_str(out, s);
}

static bool
fetch_urlp(const struct txn_view *v, const struct arg *args, struct sample *out, struct arena *mem,
	uintptr_t priv)
{
	uint64_t pos = 0;

	return each_urlp(v, args, &pos, out, mem, priv);
}

static bool
each_urlp_val(const struct txn_view *v, const struct arg *args, uint64_t *pos, struct sample *out,
	struct arena *mem, uintptr_t priv)
{
	while (each_urlp(v, args, pos, out, mem, priv)) {
		if (sample_cast(out, T_SINT, mem))
			return true;
	}
	return false;
}

static bool
fetch_urlp_val(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem, uintptr_t priv)
{
	return fetch_urlp(v, args, out, mem, priv) && sample_cast(out, T_SINT, mem);
}

static const char *
check_urlp(const struct arg *args)
{
	if (args[1].type == ARG_STR && args[1].s.len > 1)
		return "the delimiter is one character";
	return NULL;
}

#define PARAM SL_ARGS(0, ARG_STR, ARG_STR)

// clang-format off
SL_FETCHES(
	{ "method",    fetch_method, SL_NOARGS, T_METH, EVAL_REQ_LOG, WHERE_PURE,
		"method of the request" },
	{ "url",       fetch_part,   SL_NOARGS, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"target of the request, as received or set", PART_URL },
	{ "path",      fetch_part,   SL_NOARGS, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"path without the query", PART_PATH },
	{ "pathq",     fetch_part,   SL_NOARGS, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"path with the query", PART_PATHQ },
	{ "query",     fetch_part,   SL_NOARGS, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"query without the question mark", PART_QUERY },
	{ "base",      fetch_base,   SL_NOARGS, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"first Host and path", 0 },
	{ "baseq",     fetch_base,   SL_NOARGS, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"first Host, path and query", 1 },
	{ "req.ver",   fetch_ver,    SL_NOARGS, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"version of the request: 1.0 or 1.1", DIR_REQ },
	{ "req_ver",   fetch_ver,    SL_NOARGS, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"req.ver", DIR_REQ },
	{ "res.ver",   fetch_ver,    SL_NOARGS, T_STR, EVAL_ANY_RES, WHERE_PURE,
		"version of the response: 1.0 or 1.1", DIR_RES },
	{ "resp_ver",  fetch_ver,    SL_NOARGS, T_STR, EVAL_ANY_RES, WHERE_PURE,
		"res.ver", DIR_RES },
	{ "status",    fetch_status, SL_NOARGS, T_SINT, EVAL_RES_LOG, WHERE_PURE,
		"status of the response" },
	{ "req.proto_http", fetch_is_http, SL_NOARGS, T_BOOL, EVAL_STREAM, WHERE_PURE,
		"true if a request was parsed" },
	{ "internal.url_abs", fetch_is_abs, SL_NOARGS, T_BOOL, EVAL_ANY_REQ, WHERE_PURE,
		"true if the target has a scheme" },
	{ "urlp",      fetch_urlp,   PARAM, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"parameter of the query, the first one", .each = each_urlp, .check = check_urlp },
	{ "url_param", fetch_urlp,   PARAM, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"urlp", .each = each_urlp, .check = check_urlp },
	{ "urlp_val",  fetch_urlp_val, PARAM, T_SINT, EVAL_ANY_REQ, WHERE_PURE,
		"number in a parameter of the query", .each = each_urlp_val, .check = check_urlp },
	FETCH_ACLS("path", fetch_part, NULL, T_STR, EVAL_ANY_REQ, PART_PATH, SL_NOARGS),
	FETCH_ACLS("url",  fetch_part, NULL, T_STR, EVAL_ANY_REQ, PART_URL, SL_NOARGS),
	FETCH_ACLS("base", fetch_base, NULL, T_STR, EVAL_ANY_REQ, 0, SL_NOARGS),
	FETCH_ACLS("urlp", fetch_urlp, each_urlp, T_STR, EVAL_ANY_REQ, 0, PARAM),
);
// clang-format on
