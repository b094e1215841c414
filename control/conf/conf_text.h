/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/conf: from text to words, numbers, times and sizes. */
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/str.h"
#include "dataplane/model/model.h"

struct conf;

/* ---- lexer.c ---- */
struct lex_in {
	struct sl_str line; // without its end
	struct src_pos pos;
	const char *section; // for ${.SECTION}
};
struct lex_err {
	const char *what;   // "unmatched quote"
	uint32_t at;        // byte of the line
	struct sl_str word; // the first that is one too many
};
/*
 * Cuts a line into words; quotes, escapes and variables are resolved. Words are NUL-terminated in
 * mem. Returns their number, -EINVAL with *err, -E2BIG (more than max) or -ENOMEM.
 */
int lex_line(const struct lex_in *in, struct arena *mem, struct sl_str *word, uint32_t max,
	struct lex_err *err);

/* ---- units.c ---- */
#define UNIT_MAX_MS 2147483647u
/*
 * "10s": 0, -EINVAL (*bad: the first byte that does not belong), -ERANGE. A number without a unit
 * counts in milliseconds; a part of one is rounded up, so that 500us is not "never".
 */
int unit_time(struct sl_str s, uint32_t *ms, char *bad);
/* "16k", "1m", "1g" in bytes. */
int unit_size(struct sl_str s, uint64_t *out);
/* A whole decimal number from min to max. Reports on its own. */
int conf_number(
	struct conf *c, const char *kw, struct sl_str s, uint64_t min, uint64_t max, uint64_t *out);
int conf_time(struct conf *c, const char *kw, struct sl_str s, uint32_t *ms);
/* A name of a proxy, server, ACL: letters, digits, - _ . : Reports on its own; what: "server". */
int conf_name(struct conf *c, const char *what, struct sl_str s);
struct sl_str conf_copy(struct conf *c, struct sl_str s);
/* The array of words in c->tmp (the bytes live anyway); NULL: no memory. */
const struct sl_str *conf_words(struct conf *c, const struct sl_str *word, uint32_t n);

#define COND_MAX_DEPTH 32 // nested ".if"
