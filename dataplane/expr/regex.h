/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/expr (regular expressions): PCRE2, compiled at load (or by scripts), matched
 * anywhere without allocating.
 *
 * A match does at most REGEX_LIMIT steps, so that no pattern and no text can hold a worker: what
 * needs more does not match.
 */
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/buf.h"
#include "dataplane/base/str.h"

#define REGEX_GROUPS 20 // HAProxy's bound, the whole match included
#define REGEX_LIMIT  100000u

struct regex;

/*
 * Heap; control and script threads. 0, -ENOMEM, or -EINVAL with HAProxy's words in why: "regex 'x'
 * is invalid (error=…, erroffset=…)".
 */
int regex_new(struct sl_str text, bool icase, struct regex **out, struct sl_buf *why);
void regex_free(struct regex *r);
/* Bytes that it holds: whoever must not take more than a share counts them. */
size_t regex_bytes(const struct regex *r);
/* Freed with the source of `mem`; -ENOTSUP where that cannot be. */
int regex_new_in(struct arena *mem, struct sl_str text, bool icase, const struct regex **out,
	struct sl_buf *why);

/* Where the groups are; 0 is the whole match. start == UINT32_MAX: took no part. */
struct regex_match {
	uint32_t n; // groups up to the last that took part
	struct {
		uint32_t start, end;
	} at[REGEX_GROUPS];
};
/* Any thread; m may be NULL. */
bool regex_exec(const struct regex *r, struct sl_str text, struct regex_match *m);
/* Text behind an earlier match: '^' does not match at its start. */
bool regex_next(const struct regex *r, struct sl_str text, struct regex_match *m);
/*
 * Appends `with`, where \0..\9 stand for groups, \xHH for a byte and \c for any other byte c.
 * -EINVAL: \x without two digits.
 */
int regex_expand(
	struct sl_buf *out, struct sl_str text, const struct regex_match *m, struct sl_str with);
