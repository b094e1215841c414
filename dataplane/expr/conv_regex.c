// SPDX-License-Identifier: BSD-3-Clause
/*
 * The converter regsub(regex, text[, flags]).
 *
 * Runs on: workers and script threads; the result comes from the caller's arena.
 * Follows: HAProxy: flags 'g' (all matches) and 'i'; an empty match ends the search.
 */
#include "dataplane/expr/expr_priv.h"
#include "dataplane/expr/regex.h"

#include "dataplane/base/hot.h"

#define REGSUB_MAX 16384u // HAProxy's buffer

static const char *
check_regsub(const struct arg *args)
{
	if (args[2].type != ARG_STR)
		return NULL;
	for (uint32_t i = 0; i < args[2].s.len; i++) {
		if (args[2].s.p[i] != 'g' && args[2].s.p[i] != 'i')
			return "the flags are 'g' and 'i'";
	}
	return NULL;
}

/* Up to the next match and its replacement; *rest is behind it. False: there is none. */
static bool
replace_one(const struct arg *args, bool first, struct sl_str *rest, struct sl_buf *out)
{
	struct regex_match m;
	uint32_t end;

	if (!(first ? regex_exec(args[0].re, *rest, &m) : regex_next(args[0].re, *rest, &m)))
		return false;
	end = m.at[0].end;
	sl_buf_add(out, sl_str_make(rest->p, m.at[0].start));
	if (regex_expand(out, *rest, &m, args[1].s) < 0)
		return false;
	if (end == m.at[0].start && end < rest->len) // empty: or it would match here for ever
		sl_buf_char(out, rest->p[end++]);
	else if (end == m.at[0].start)
		*rest = SL_STR_NULL;
	if (rest->p != NULL)
		*rest = sl_str_make(rest->p + end, rest->len - end);
	return rest->p != NULL;
}

static bool
conv_regsub(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args,
	struct arena *mem, uintptr_t priv sl_unused)
{
	bool all = args[2].type == ARG_STR && sl_str_chr(args[2].s, 'g') >= 0, first = true;
	uint32_t size = sl_min(s->s.len * 4 + args[1].s.len + 256, REGSUB_MAX);
	struct sl_str rest = s->s.p != NULL ? s->s : SL_STR("");
	struct sl_buf b;
	char *p = arena_alloc(mem, size);

	if (p == NULL)
		return false;
	sl_buf_init(&b, p, size);
	while (replace_one(args, first, &rest, &b) && all)
		first = false;
	if (rest.p != NULL)
		sl_buf_add(&b, rest);
	if (b.full)
		return false;
	s->type = T_STR;
	s->s = sl_buf_str(&b);
	return true;
}

// clang-format off
SL_CONVERTERS(
	{ "regsub", conv_regsub, SL_ARGS(2, ARG_REG, ARG_STR, ARG_STR), T_STR, T_STR, WHERE_PURE,
		"replaces what matches a regular expression: regex, text with \\1.., flags (g, i)", 0,
		check_regsub },
);
// clang-format on
