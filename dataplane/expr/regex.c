// SPDX-License-Identifier: BSD-3-Clause
/*
 * Regular expressions by PCRE2.
 *
 * Runs on: compiling on control and script threads (heap); matching on any thread, in a block on
 * the stack: JIT code needs nothing more, and the interpreter, where there is no JIT, fails rather
 * than allocate.
 * Follows: HAProxy with USE_PCRE2: no UTF mode, the first 20 groups, its error text.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdlib.h>

#include "dataplane/expr/regex.h"

#define BLOCK 1024u // contexts and a match block of REGEX_GROUPS pairs

struct regex {
	pcre2_code *code;
	pcre2_match_context *limits;
};

int
regex_new(struct sl_str text, bool icase, struct regex **out, struct sl_buf *why)
{
	struct regex *r = calloc(1, sizeof(*r));
	PCRE2_SIZE at = 0;
	PCRE2_UCHAR words[160];
	int err = 0;

	*out = NULL;
	if (r == NULL)
		return -ENOMEM;
	r->code = pcre2_compile((PCRE2_SPTR)(text.len != 0 ? text.p : ""), text.len,
		icase ? PCRE2_CASELESS : 0, &err, &at, NULL);
	if (r->code == NULL) {
		free(r);
		if (pcre2_get_error_message(err, words, sizeof(words)) < 0)
			words[0] = '\0';
		sl_buf_addc(why, "regex '");
		sl_buf_add(why, text);
		sl_buf_addc(why, "' is invalid (error=");
		sl_buf_addc(why, (const char *)words);
		sl_buf_addc(why, ", erroffset=");
		sl_buf_u64(why, at);
		sl_buf_char(why, ')');
		return err == PCRE2_ERROR_HEAP_FAILED ? -ENOMEM : -EINVAL;
	}
	r->limits = pcre2_match_context_create(NULL);
	if (r->limits == NULL) {
		regex_free(r);
		return -ENOMEM;
	}
	pcre2_set_match_limit(r->limits, REGEX_LIMIT);
	(void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); // without it: the interpreter
	*out = r;
	return 0;
}

void
regex_free(struct regex *r)
{
	if (r == NULL)
		return;
	pcre2_match_context_free(r->limits);
	pcre2_code_free(r->code);
	free(r);
}

size_t
regex_bytes(const struct regex *r)
{
	size_t code = 0, jit = 0;

	(void)pcre2_pattern_info(r->code, PCRE2_INFO_SIZE, &code);
	(void)pcre2_pattern_info(r->code, PCRE2_INFO_JITSIZE, &jit);
	return sizeof(*r) + code + jit;
}

static void
free_one(void *p)
{
	regex_free(p);
}

int
regex_new_in(struct arena *mem, struct sl_str text, bool icase, const struct regex **out,
	struct sl_buf *why)
{
	struct regex *r;
	int rc = regex_new(text, icase, &r, why);

	*out = NULL;
	if (rc < 0)
		return rc;
	rc = arena_defer(mem, free_one, r);
	if (rc < 0) {
		regex_free(r);
		sl_buf_addc(why, "a regular expression cannot be made here");
		return rc;
	}
	*out = r;
	return 0;
}

#include "dataplane/base/hot.h"

struct block {
	size_t used;
	alignas(16) uint8_t mem[BLOCK];
};

static void *
block_get(size_t n, void *ctx)
{
	struct block *b = ctx;

	n = SL_ALIGN_UP(n, (size_t)16);
	if (n > BLOCK - b->used)
		return NULL;
	b->used += n;
	return b->mem + b->used - n;
}

static void
block_put(void *p sl_unused, void *ctx sl_unused)
{
}

static void
take_groups(pcre2_match_data *md, int n, struct regex_match *m)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(md);

	m->n = n > 0 ? (uint32_t)n : REGEX_GROUPS; // 0: more groups than places
	for (uint32_t i = 0; i < REGEX_GROUPS; i++) {
		bool in = i < m->n && at[2 * i] != PCRE2_UNSET;
		m->at[i].start = in ? (uint32_t)at[2 * i] : UINT32_MAX;
		m->at[i].end = in ? (uint32_t)at[2 * i + 1] : UINT32_MAX;
	}
}

static bool
run(const struct regex *r, struct sl_str text, uint32_t flags, struct regex_match *m)
{
	struct block b = { .used = 0 };
	pcre2_general_context *g = pcre2_general_context_create(block_get, block_put, &b);
	pcre2_match_data *md =
		g != NULL ? pcre2_match_data_create(m != NULL ? REGEX_GROUPS : 1, g) : NULL;
	int rc;

	if (md == NULL)
		return false;
	rc = pcre2_match(r->code, (PCRE2_SPTR)(text.len != 0 ? text.p : ""), text.len, 0, flags, md,
		r->limits);
	if (rc < 0)
		return false;
	if (m != NULL)
		take_groups(md, rc, m);
	return true;
}

bool
regex_exec(const struct regex *r, struct sl_str text, struct regex_match *m)
{
	return run(r, text, 0, m);
}

bool
regex_next(const struct regex *r, struct sl_str text, struct regex_match *m)
{
	return run(r, text, PCRE2_NOTBOL, m);
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = sl_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
regex_expand(
	struct sl_buf *out, struct sl_str text, const struct regex_match *m, struct sl_str with)
{
	for (uint32_t i = 0; i < with.len; i++) {
		char c = with.p[i];
		if (c != '\\' || i + 1 == with.len) {
			sl_buf_char(out, c);
			continue;
		}
		c = with.p[++i];
		if (c >= '0' && c <= '9') {
			uint32_t k = (uint32_t)(c - '0');
			if (m->at[k].start != UINT32_MAX)
				sl_buf_add(out,
					sl_str_make(text.p + m->at[k].start,
						m->at[k].end - m->at[k].start));
		} else if (c == 'x') {
			int hi = i + 2 < with.len ? hex(with.p[i + 1]) : -1;
			int lo = i + 2 < with.len ? hex(with.p[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return -EINVAL;
			sl_buf_char(out, (char)(hi << 4 | lo));
			i += 2;
		} else {
			sl_buf_char(out, c);
		}
	}
	return 0;
}
