/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/expr: what compiled instructions point at, the builder, and the steps of
 * compiling that call each other across files.
 */
#pragma once

#include "dataplane/expr/expr.h"
#include "dataplane/expr/patset.h"
#include "dataplane/expr/procvar.h"

/* Behind OP_FETCH and OP_EACH. */
struct expr_fetch {
	const struct fetch_row *row;
	struct arg args[]; // as many as the row declares, and one ARG_END
};

/* Behind OP_CONV. */
struct expr_conv {
	const struct conv_row *row;
	struct arg args[];
};

/* ---- builder (prog.c) ---- */

/* Parts of a format that are pushed before they are joined: bounds the stack. */
#define FMT_GROUP 8

struct prog_builder {
	const struct expr_comp *e;
	struct prog_insn *code;
	uint32_t len, cap;
	uint32_t depth; // samples on the stack at this point
	uint32_t max_depth;
	uint32_t ncalls;
	bool failed; // an error was reported, or memory ran out
	/* At EVAL_NONE (named ACLs) the places are collected, and checked where the ACL is used. */
	uint32_t points;
	struct sl_str culprit; // the row that allows the fewest
	const char *culprit_what;
};

/* Reports through e->diag; returns -EINVAL. */
int expr_error(const struct expr_comp *e, struct sl_str word, const char *fmt, ...) sl_printf(3, 4)
	sl_cold;
/* Memory ran out while compiling. */
int expr_nomem(const struct expr_comp *e) sl_cold;

/* ---- argument lists (arg.c) ---- */

/* A position in a text being compiled. */
struct expr_lex {
	const char *p, *end;
};

/* Cuts "(a,b)" at lx into texts, quotes and escapes resolved; no '(' gives none. */
int arg_lex(const struct expr_comp *e, struct expr_lex *lx, struct sl_str who, const char *what,
	struct sl_str *text, uint32_t *n);

/* ---- expressions (compile.c) ---- */

/* What a compiled expression leaves on the stack. */
struct expr_info {
	enum sample_type out;
	const char *match; // method that the fetch's name implies, or NULL
	bool each;         // starts with OP_EACH at `start`
	uint32_t start;
};
/* Compiles from lx up to the end of the expression (the first byte that is no part of it). */
int expr_compile(struct prog_builder *b, struct expr_lex *lx, bool cond, struct expr_info *out);
/* May something that works at `points` be used where the program runs? 0 or -EINVAL. */
int expr_check_point(struct prog_builder *b, uint32_t points, struct sl_str name, const char *what);
/* May the fetch be used in the mode of the proxy? 0 or -EINVAL. */
int expr_check_mode(struct prog_builder *b, const struct fetch_row *row);
/* Pushes a copy of s. */
int expr_literal(struct prog_builder *b, const struct sample *s);
/* Casts what was just pushed. */
int expr_want(
	struct prog_builder *b, struct sl_str text, enum sample_type have, enum sample_type want);

/* ---- patterns (pattern.c, pattern_read.c, match.c) ---- */

struct pat_str {
	struct sl_str s; // lower case when icase
	uint32_t idx;    // place in the order of reading, as of all items
	bool icase;
};

/* A regular expression; s is its text. */
struct pat_re {
	struct sl_str s;
	uint32_t idx;
	bool icase;
	const struct regex *re;
};

/* Both bounds belong to the range. */
struct pat_range {
	int64_t lo, hi;
	uint32_t idx;
};

/* Any mask, HAProxy takes them with holes too. */
struct pat_net {
	struct ip_addr ip; // masked
	uint64_t mask[2];
	uint32_t idx;
};

/* Nets with the same family and mask, in order of their addresses. */
struct pat_group {
	uint32_t start, n;
};

/* Immutable after compile. */
struct pat_list {
	enum pat_method m;
	uint32_t n;
	uint32_t nexact;  // strings: the first ones respect case, the rest does not
	bool sorted;      // PAT_STR: each of the two parts is in order; PAT_BEG: all, with case
	uint32_t ngroups; // PAT_IP: 0 if the list is short
	const struct pat_group *group;
	union {
		const struct pat_str *str;
		const struct pat_re *re;
		const struct pat_range *range;
		const struct pat_net *net;
	};
	/* lists of files, which may change at any time */
	const struct pat_view *const *view;
	uint32_t nview;
	const struct sample *value; // of a map, by idx; NULL: none
};

/* What the expression before the patterns is. */
struct pat_ctx {
	struct sl_str who;     // its text
	enum sample_type type; // of its value
	const char *match;     // method that its name implies, or NULL
};

/* How numbers behind an operator compare. */
enum pat_cmp { CMP_EQ, CMP_GE, CMP_GT, CMP_LE, CMP_LT, CMP_NONE };

/* Patterns being collected. */
struct pat_reader {
	const struct expr_comp *e;
	enum pat_method m;
	enum pat_cmp cmp;
	bool icase;
	void *items;
	uint32_t n, cap;
	size_t size; // of one
	bool any_icase; // one of them is without case
	bool maps;      // -M: files have values
	int32_t id;     // -u: number of the next file; -1
	const struct pat_view *view[16];
	uint32_t nview;
};
/* Sorts what was read, for searching. */
int pat_finish(struct pat_reader *r, struct pat_list *l);
/* Size of a method's item. */
size_t pat_item_size(enum pat_method m);
/* Adds one pattern; 0, or -EINVAL after a message. */
int pat_read(struct pat_reader *r, struct sl_str w);

const char *pat_method_name(enum pat_method m);
/* What samples are cast to before matching; T_ANY: nothing. */
enum sample_type pat_needs(enum pat_method m);
/* Flags and patterns behind a criterion. NULL after an error. */
const struct pat_list *pat_compile(const struct expr_comp *e, const struct pat_ctx *ctx,
	const struct sl_str *word, uint32_t n);
/* s is of the type that the method needs. */
bool pat_match(const struct pat_list *l, const struct sample *s);
/* What a map converter's row says (conv_map.c). */
void pat_how_of(uintptr_t priv, struct pat_how *out);
/* What is in force now; workers only. */
const struct pat_list *pat_view_list(const struct pat_view *v);
/* The item that a map takes (lookup.c): the longest prefix, else the first; its idx, or -1. */
int64_t pat_lookup(const struct pat_list *l, const struct sample *s);
bool pat_match_one(enum pat_method m, struct sl_str text, const struct pat_str *p);
/* Is it inside? The IPv4 address in an IPv6 one, and the other way round, as HAProxy. */
struct pat_ip {
	struct ip_addr v4, v6;
	bool has4;
};
void pat_ip(const struct ip_addr *ip, struct pat_ip *out);
bool pat_in_net(const struct pat_net *p, const struct pat_ip *ip);
/* Order of the strings of a sorted part. */
int pat_str_cmp(struct sl_str a, struct sl_str b, bool fold);
void pat_dump(const struct pat_list *l, struct sl_buf *out);
