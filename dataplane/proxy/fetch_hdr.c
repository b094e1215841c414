// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fetch methods on header fields.
 *
 * Runs on: workers, and script threads on a snapshot. Values are views into the message.
 * Follows: HAProxy's manual 7.3.6: hdr() knows comma-separated values, fhdr() whole fields; without
 * an occurrence a sample is the last one, while conditions look at all of them.
 */
#include "dataplane/proxy/fetch_priv.h"

#include "dataplane/base/hot.h"

/* How a row reads its fields: or'ed to enum fetch_dir in priv. */
#define HDR_DIR  0x3u
#define HDR_FULL 0x4u // whole fields

/* The next field of this name from *at on; an empty name is any. */
static bool
next_field(const struct http_msg *m, struct sl_str name, uint16_t *at, struct sl_str *value)
{
	int i;

	if (name.len == 0)
		i = *at < m->nhdr ? (*at)++ : -ENOENT;
	else
		i = http_hdr_find(m, name, at);
	if (i < 0)
		return false;
	*value = http_str(m, m->hdr[i].value);
	return true;
}

/*
 * Walks all values. *pos: index of the field to look at in the upper half; offset in its value plus
 * one in the lower, where 0 stands for "find the field first".
 */
static bool
next_value(
	const struct http_msg *m, struct sl_str name, bool full, uint64_t *pos, struct sl_str *out)
{
	uint16_t at = (uint16_t)(*pos >> 32);
	uint32_t off = (uint32_t)*pos;
	struct sl_str rest;

	if (off == 0) {
		if (!next_field(m, name, &at, &rest))
			return false;
	} else {
		struct sl_str all = http_str(m, m->hdr[at - 1].value);
		rest = sl_str_make(all.p + off - 1, all.len - (off - 1));
	}
	const char *start = http_str(m, m->hdr[at - 1].value).p;
	if (full) {
		*out = rest;
		rest = SL_STR_NULL;
	} else {
		*out = http_cut_value(&rest);
	}
	*pos = (uint64_t)at << 32 | (rest.p != NULL ? (uint32_t)(rest.p - start) + 1 : 0);
	return true;
}

/* The last value in one walk: the common case hdr(name). */
static bool
last_value(const struct http_msg *m, struct sl_str name, bool full, struct sl_str *out)
{
	struct sl_str field = SL_STR_NULL, v;
	uint16_t at = 0;
	bool any = false;

	while (next_field(m, name, &at, &v)) {
		field = v;
		any = true;
	}
	if (!any)
		return false;
	*out = field;
	if (full || sl_str_chr(field, ',') < 0)
		return true;
	do
		*out = http_cut_value(&field);
	while (field.p != NULL);
	return true;
}

static uint64_t
count_values(const struct http_msg *m, struct sl_str name, bool full)
{
	uint64_t pos = 0, n = 0;
	struct sl_str v;

	while (next_value(m, name, full, &pos, &v))
		n++;
	return n;
}

/* occ: 1 first, -1 last; HAProxy takes 0 for the last too. */
static bool
nth_value(const struct http_msg *m, struct sl_str name, bool full, int64_t occ, struct sl_str *out)
{
	uint64_t pos = 0, skip;

	if (occ == 0 || occ == -1)
		return last_value(m, name, full, out);
	if (occ > 0) {
		skip = (uint64_t)occ - 1;
	} else {
		uint64_t n = count_values(m, name, full), back = 0 - (uint64_t)occ;
		if (back > n)
			return false;
		skip = n - back;
	}
	while (next_value(m, name, full, &pos, out)) {
		if (skip-- == 0)
			return true;
	}
	return false;
}

static bool
value(const struct txn_view *v, const struct arg *args, uintptr_t priv, struct sl_str *out)
{
	const struct http_msg *m = fetch_msg(v, priv & HDR_DIR);

	return m != NULL &&
		nth_value(m, args[0].s, priv & HDR_FULL, args[1].type == ARG_SINT ? args[1].i : -1,
			out);
}

/* An explicit occurrence is one value, in conditions too. */
static bool
each_value(const struct txn_view *v, const struct arg *args, uint64_t *pos, uintptr_t priv,
	struct sl_str *out)
{
	uintptr_t dir = priv & HDR_DIR;
	const struct http_msg *m = fetch_msg(v, dir == DIR_AUTO ? DIR_REQ : dir);

	if (m == NULL)
		return false;
	if (args[1].type == ARG_SINT)
		return (*pos)++ == 0 && nth_value(m, args[0].s, priv & HDR_FULL, args[1].i, out);
	return next_value(m, args[0].s, priv & HDR_FULL, pos, out);
}

/* ---- rows ---- */

static bool
fetch_hdr(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv)
{
	struct sl_str s;

	return value(v, args, priv, &s) && fetch_give_str(out, s);
}

static bool
each_hdr(const struct txn_view *v, const struct arg *args, uint64_t *pos, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv)
{
	struct sl_str s;

	return each_value(v, args, pos, priv, &s) && fetch_give_str(out, s);
}

static bool
to_int(struct sl_str s, struct sample *out)
{
	fetch_give_str(out, s);
	return sample_cast(out, T_SINT, NULL); // to a number needs no memory
}

static bool
fetch_hdr_val(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv)
{
	struct sl_str s;

	return value(v, args, priv, &s) && to_int(s, out);
}

static bool
each_hdr_val(const struct txn_view *v, const struct arg *args, uint64_t *pos, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv)
{
	struct sl_str s;

	while (each_value(v, args, pos, priv, &s)) {
		if (to_int(s, out))
			return true;
	}
	return false;
}

/* "10.0.0.1", "10.0.0.1:80", "2001:db8::1". */
static bool
to_ip(struct sl_str s, struct sample *out)
{
	int colon;

	out->type = T_ADDR;
	if (addr_parse(s, &out->ip) == 0)
		return true;
	colon = sl_str_chr(s, ':');
	return colon > 0 && addr_parse(sl_str_make(s.p, (size_t)colon), &out->ip) == 0 &&
		out->ip.family == ADDR_V4;
}

static bool
fetch_hdr_ip(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv)
{
	struct sl_str s;

	return value(v, args, priv, &s) && to_ip(s, out);
}

static bool
each_hdr_ip(const struct txn_view *v, const struct arg *args, uint64_t *pos, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv)
{
	struct sl_str s;

	while (each_value(v, args, pos, priv, &s)) {
		if (to_ip(s, out))
			return true;
	}
	return false;
}

static bool
fetch_hdr_cnt(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv)
{
	const struct http_msg *m = fetch_msg(v, priv & HDR_DIR);
	struct sl_str name = args[0].type == ARG_STR ? args[0].s : SL_STR("");

	return m != NULL && fetch_give_int(out, (int64_t)count_values(m, name, priv & HDR_FULL));
}

/* Lower case, as HAProxy holds them. */
static bool
fetch_hdr_names(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem, uintptr_t priv)
{
	const struct http_msg *m = fetch_msg(v, priv & HDR_DIR);
	struct sl_str sep = args[0].type == ARG_STR ? args[0].s : SL_STR(",");
	size_t size = 1;
	struct sl_buf b;

	if (m == NULL)
		return false;
	for (uint32_t i = 0; i < m->nhdr; i++)
		size += m->hdr[i].name.len + (size_t)sep.len;
	char *p = size < UINT32_MAX ? arena_alloc(mem, size) : NULL;
	if (p == NULL)
		return false;
	sl_buf_init(&b, p, (uint32_t)size);
	for (uint32_t i = 0; i < m->nhdr; i++) {
		struct sl_str name = http_str(m, m->hdr[i].name);
		if (i != 0)
			sl_buf_add(&b, sep);
		for (uint32_t k = 0; k < name.len; k++)
			sl_buf_char(&b, sl_lower(name.p[k]));
	}
	return fetch_give_str(out, sl_buf_str(&b));
}

#define NAME_OCC SL_ARGS(1, ARG_STR, ARG_SINT)
#define NAME     SL_ARGS(0, ARG_STR)

// clang-format off
SL_FETCHES(
	{ "hdr",          fetch_hdr,       NAME_OCC, T_STR,  EVAL_ANY_REQ, WHERE_PURE,
		"value of a header, the last one or the n-th", DIR_AUTO, .each = each_hdr },
	{ "req.hdr",      fetch_hdr,       NAME_OCC, T_STR,  EVAL_ANY_REQ, WHERE_PURE,
		"value of a request header", DIR_REQ, .each = each_hdr },
	{ "res.hdr",      fetch_hdr,       NAME_OCC, T_STR,  EVAL_ANY_RES, WHERE_PURE,
		"value of a response header", DIR_RES, .each = each_hdr },
	{ "shdr",         fetch_hdr,       NAME_OCC, T_STR,  EVAL_ANY_RES, WHERE_PURE,
		"res.hdr", DIR_RES, .each = each_hdr },
	{ "req.fhdr",     fetch_hdr,       NAME_OCC, T_STR,  EVAL_ANY_REQ, WHERE_PURE,
		"whole request header field", DIR_REQ | HDR_FULL, .each = each_hdr },
	{ "res.fhdr",     fetch_hdr,       NAME_OCC, T_STR,  EVAL_ANY_RES, WHERE_PURE,
		"whole response header field", DIR_RES | HDR_FULL, .each = each_hdr },
	{ "hdr_val",      fetch_hdr_val,   NAME_OCC, T_SINT, EVAL_ANY_REQ, WHERE_PURE,
		"req.hdr_val", DIR_REQ, .each = each_hdr_val },
	{ "req.hdr_val",  fetch_hdr_val,   NAME_OCC, T_SINT, EVAL_ANY_REQ, WHERE_PURE,
		"number in a request header", DIR_REQ, .each = each_hdr_val },
	{ "res.hdr_val",  fetch_hdr_val,   NAME_OCC, T_SINT, EVAL_ANY_RES, WHERE_PURE,
		"number in a response header", DIR_RES, .each = each_hdr_val },
	{ "shdr_val",     fetch_hdr_val,   NAME_OCC, T_SINT, EVAL_ANY_RES, WHERE_PURE,
		"res.hdr_val", DIR_RES, .each = each_hdr_val },
	{ "hdr_ip",       fetch_hdr_ip,    NAME_OCC, T_ADDR, EVAL_ANY_REQ, WHERE_PURE,
		"req.hdr_ip", DIR_REQ, .each = each_hdr_ip },
	{ "req.hdr_ip",   fetch_hdr_ip,    NAME_OCC, T_ADDR, EVAL_ANY_REQ, WHERE_PURE,
		"address in a request header", DIR_REQ, .each = each_hdr_ip },
	{ "res.hdr_ip",   fetch_hdr_ip,    NAME_OCC, T_ADDR, EVAL_ANY_RES, WHERE_PURE,
		"address in a response header", DIR_RES, .each = each_hdr_ip },
	{ "shdr_ip",      fetch_hdr_ip,    NAME_OCC, T_ADDR, EVAL_ANY_RES, WHERE_PURE,
		"res.hdr_ip", DIR_RES, .each = each_hdr_ip },
	{ "hdr_cnt",      fetch_hdr_cnt,   NAME, T_SINT, EVAL_ANY_REQ, WHERE_PURE,
		"req.hdr_cnt", DIR_REQ },
	{ "req.hdr_cnt",  fetch_hdr_cnt,   NAME, T_SINT, EVAL_ANY_REQ, WHERE_PURE,
		"number of values of a request header, or of all", DIR_REQ },
	{ "res.hdr_cnt",  fetch_hdr_cnt,   NAME, T_SINT, EVAL_ANY_RES, WHERE_PURE,
		"number of values of a response header, or of all", DIR_RES },
	{ "shdr_cnt",     fetch_hdr_cnt,   NAME, T_SINT, EVAL_ANY_RES, WHERE_PURE,
		"res.hdr_cnt", DIR_RES },
	{ "req.fhdr_cnt", fetch_hdr_cnt,   NAME, T_SINT, EVAL_ANY_REQ, WHERE_PURE,
		"number of request header fields", DIR_REQ | HDR_FULL },
	{ "res.fhdr_cnt", fetch_hdr_cnt,   NAME, T_SINT, EVAL_ANY_RES, WHERE_PURE,
		"number of response header fields", DIR_RES | HDR_FULL },
	{ "req.hdr_names", fetch_hdr_names, NAME, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"names of the request headers, joined", DIR_REQ },
	{ "res.hdr_names", fetch_hdr_names, NAME, T_STR, EVAL_ANY_RES, WHERE_PURE,
		"names of the response headers, joined", DIR_RES },
	FETCH_ACLS("hdr", fetch_hdr, each_hdr, T_STR, EVAL_ANY_REQ, DIR_REQ, NAME_OCC),
	FETCH_ACLS("shdr", fetch_hdr, each_hdr, T_STR, EVAL_ANY_RES, DIR_RES, NAME_OCC),
);
// clang-format on
