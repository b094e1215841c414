// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fetch methods on cookies.
 *
 * Runs on: workers, and script threads on a snapshot. Values are views into the message.
 * Follows: RFC 6265 4; HAProxy's manual 7.3.6: a sample is the last value, conditions look at all.
 */
#include "dataplane/proxy/fetch_priv.h"

#include "dataplane/base/hot.h"

/* Cuts up to an unquoted separator; Cookie lists also end values at ','. */
static struct sl_str
cut_pair(struct sl_str *rest, bool list)
{
	struct sl_str all = *rest;
	bool quoted = false;

	for (uint32_t i = 0; i < all.len; i++) {
		char c = all.p[i];
		if (c == '"') {
			quoted = !quoted;
		} else if (!quoted && (c == ';' || (list && c == ','))) {
			*rest = sl_str_make(all.p + i + 1, all.len - i - 1);
			return sl_str_make(all.p, i);
		}
	}
	*rest = SL_STR_NULL;
	return all;
}

/* Is it "name=value" of the cookie asked for (an empty name is any)? */
static bool
is_cookie(struct sl_str pair, struct sl_str name, struct sl_str *value)
{
	int eq = sl_str_chr(pair, '=');

	if (eq < 0)
		return false;
	struct sl_str key = sl_str_trim(sl_str_make(pair.p, (size_t)eq));
	if (name.len != 0 && !sl_str_eq(key, name))
		return false; // *value keeps the last match
	*value = sl_str_trim(sl_str_make(pair.p + eq + 1, pair.len - (size_t)eq - 1));
	return true;
}

/*
 * Walks all values. *pos: index behind the field in the upper half; offset in its value plus one in
 * the lower, where 0 stands for "find the next field". Set-Cookie has one cookie in a field, then
 * attributes.
 */
static bool
next_cookie(const struct http_msg *m, uintptr_t dir, struct sl_str name, uint64_t *pos,
	struct sl_str *out)
{
	struct sl_str field = dir == DIR_REQ ? SL_STR("cookie") : SL_STR("set-cookie");
	uint16_t at = (uint16_t)(*pos >> 32);
	uint32_t off = (uint32_t)*pos;

	for (;;) {
		if (off == 0) {
			if (http_hdr_find(m, field, &at) < 0)
				return false;
			off = 1;
		}
		struct sl_str all = http_str(m, m->hdr[at - 1].value);
		struct sl_str rest = sl_str_make(all.p + off - 1, all.len - (off - 1));
		struct sl_str pair = cut_pair(&rest, dir == DIR_REQ);
		off = rest.p != NULL && dir == DIR_REQ ? (uint32_t)(rest.p - all.p) + 1 : 0;
		*pos = (uint64_t)at << 32 | off;
		if (is_cookie(pair, name, out))
			return true;
	}
}

static struct sl_str
name_of(const struct arg *args)
{
	return args[0].type == ARG_STR ? args[0].s : SL_STR("");
}

/* The last of this name; without a name, the first at all. */
static bool
value(const struct txn_view *v, const struct arg *args, uintptr_t dir, struct sl_str *out)
{
	const struct http_msg *m = fetch_msg(v, dir);
	struct sl_str name = name_of(args);
	uint64_t pos = 0;
	bool any = false;

	while (m != NULL && next_cookie(m, dir, name, &pos, out)) {
		any = true;
		if (name.len == 0)
			break;
	}
	return any;
}

static bool
next_arg(const struct txn_view *v, const struct arg *args, uint64_t *pos, uintptr_t dir,
	struct sl_str *out)
{
	const struct http_msg *m = fetch_msg(v, dir);

	return m != NULL && next_cookie(m, dir, name_of(args), pos, out);
}

static bool
fetch_cook(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	struct sl_str s = SL_STR_NULL;

	return value(v, args, dir, &s) && fetch_give_str(out, s);
}

static bool
each_cook(const struct txn_view *v, const struct arg *args, uint64_t *pos, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	struct sl_str s = SL_STR_NULL;

	return next_arg(v, args, pos, dir, &s) && fetch_give_str(out, s);
}

static bool
fetch_cook_val(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem, uintptr_t dir)
{
	return fetch_cook(v, args, out, mem, dir) && sample_cast(out, T_SINT, mem);
}

static bool
each_cook_val(const struct txn_view *v, const struct arg *args, uint64_t *pos, struct sample *out,
	struct arena *mem, uintptr_t dir)
{
	while (each_cook(v, args, pos, out, mem, dir)) {
		if (sample_cast(out, T_SINT, mem))
			return true;
	}
	return false;
}

static bool
fetch_cook_cnt(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	struct sl_str s;
	uint64_t pos = 0;
	int64_t n = 0;

	while (next_arg(v, args, &pos, dir, &s))
		n++;
	return fetch_msg(v, dir) != NULL && fetch_give_int(out, n);
}

#define NAME SL_ARGS(0, ARG_STR)

// clang-format off
SL_FETCHES(
	{ "cook",         fetch_cook, NAME, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"req.cook", DIR_REQ, .each = each_cook },
	{ "req.cook",     fetch_cook, NAME, T_STR, EVAL_ANY_REQ, WHERE_PURE,
		"value of a request cookie, the last one", DIR_REQ, .each = each_cook },
	{ "scook",        fetch_cook, NAME, T_STR, EVAL_ANY_RES, WHERE_PURE,
		"res.cook", DIR_RES, .each = each_cook },
	{ "res.cook",     fetch_cook, NAME, T_STR, EVAL_ANY_RES, WHERE_PURE,
		"value of a cookie that the response sets", DIR_RES, .each = each_cook },
	{ "cook_val",     fetch_cook_val, NAME, T_SINT, EVAL_ANY_REQ, WHERE_PURE,
		"req.cook_val", DIR_REQ, .each = each_cook_val },
	{ "req.cook_val", fetch_cook_val, NAME, T_SINT, EVAL_ANY_REQ, WHERE_PURE,
		"number in a request cookie", DIR_REQ, .each = each_cook_val },
	{ "scook_val",    fetch_cook_val, NAME, T_SINT, EVAL_ANY_RES, WHERE_PURE,
		"res.cook_val", DIR_RES, .each = each_cook_val },
	{ "res.cook_val", fetch_cook_val, NAME, T_SINT, EVAL_ANY_RES, WHERE_PURE,
		"number in a cookie that the response sets", DIR_RES, .each = each_cook_val },
	{ "cook_cnt",     fetch_cook_cnt, NAME, T_SINT, EVAL_ANY_REQ, WHERE_PURE,
		"req.cook_cnt", DIR_REQ },
	{ "req.cook_cnt", fetch_cook_cnt, NAME, T_SINT, EVAL_ANY_REQ, WHERE_PURE,
		"how often a request cookie occurs", DIR_REQ },
	{ "scook_cnt",    fetch_cook_cnt, NAME, T_SINT, EVAL_ANY_RES, WHERE_PURE,
		"res.cook_cnt", DIR_RES },
	{ "res.cook_cnt", fetch_cook_cnt, NAME, T_SINT, EVAL_ANY_RES, WHERE_PURE,
		"how often the response sets a cookie", DIR_RES },
	FETCH_ACLS("cook", fetch_cook, each_cook, T_STR, EVAL_ANY_REQ, DIR_REQ, NAME),
	FETCH_ACLS("scook", fetch_cook, each_cook, T_STR, EVAL_ANY_RES, DIR_RES, NAME),
);
// clang-format on
