// SPDX-License-Identifier: BSD-3-Clause
/*
 * The converters map_<method>_<output>(file[, default]).
 *
 * Runs on: workers only, whose lists are freed after their grace; scripts ask (and HAProxy refuses them:
 * a script has the class Map).
 * Follows: HAProxy 2.6: without a match the default, or no sample; a name without an output is a text's.
 */
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

#define HOW(m, out, expand) ((uintptr_t)(m) | (uintptr_t)(out) << 8 | (uintptr_t)(expand) << 16)

void
pat_how_of(uintptr_t priv, struct pat_how *out)
{
	*out = (struct pat_how){ .m = (enum pat_method)(priv & 0xff),
		.out = (enum sample_type)(priv >> 8 & 0xff),
		.expand = priv >> 16 != 0 };
}

static bool
by_default(const struct arg *arg, enum sample_type out, struct sample *s)
{
	if (arg->type == ARG_END)
		return false;
	s->type = out;
	if (out == T_SINT)
		s->i = arg->i;
	else if (out == T_ADDR)
		s->ip = arg->net.ip;
	else
		s->s = arg->s;
	return true;
}

static bool
conv_map(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args,
	struct arena *mem, uintptr_t priv)
{
	struct sample out;

	if (args[0].type != ARG_MAP || !pat_view_find(args[0].map, s, &out, mem))
		return by_default(&args[1], (enum sample_type)(priv >> 8 & 0xff), s);
	*s = out;
	return true;
}

#define MAP(name, m, in, what)                                                                          \
	{                                                                                               \
		name, conv_map, SL_ARGS(1, ARG_MAP, ARG_STR), in, T_STR, WHERE_OWNER,                   \
			"the text that a file of '<key> <text>' lines has for it, the key being " what, \
			HOW(m, T_STR, 0)                                                                \
	}
#define MAP3(name, m, in, what)                                                                  \
	MAP(name, m, in, what),                                                                  \
		{ name "_int", conv_map, SL_ARGS(1, ARG_MAP, ARG_SINT), in, T_SINT, WHERE_OWNER, \
			"the same, of integers", HOW(m, T_SINT, 0) },                            \
	{                                                                                        \
		name "_ip", conv_map, SL_ARGS(1, ARG_MAP, ARG_IP), in, T_ADDR, WHERE_OWNER,      \
			"the same, of addresses", HOW(m, T_ADDR, 0)                              \
	}

// clang-format off
SL_CONVERTERS(
	MAP("map", PAT_STR, T_STR, "equal"),
	MAP3("map_str", PAT_STR, T_STR, "equal"),
	MAP3("map_beg", PAT_BEG, T_STR, "its longest beginning"),
	MAP3("map_sub", PAT_SUB, T_STR, "somewhere inside"),
	MAP3("map_dir", PAT_DIR, T_STR, "between slashes"),
	MAP3("map_dom", PAT_DOM, T_STR, "between dots"),
	MAP3("map_end", PAT_END, T_STR, "its end"),
	MAP3("map_reg", PAT_REG, T_STR, "a regular expression that matches"),
	MAP3("map_int", PAT_INT, T_SINT, "a number or a range around it"),
	MAP3("map_ip", PAT_IP, T_ADDR, "the smallest network around it"),
	{ "map_regm", conv_map, SL_ARGS(1, ARG_MAP, ARG_STR), T_STR, T_STR, WHERE_OWNER,
		"as map_reg, with groups of the match for \\1 to \\9 in the text",
		HOW(PAT_REG, T_STR, 1) },
);
// clang-format on
