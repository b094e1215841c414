// SPDX-License-Identifier: BSD-3-Clause
/*
 * The condition of ".if": numbers, predicates, ! && || and parentheses.
 *
 * Runs on: the loader, and main for -cc. Follows: HAProxy 2.6 configuration manual 2.4. The version
 * that version_atleast() compares with is that of the HAProxy whose language this is; feature()
 * knows what sluice has.
 */
#include "control/conf/conf_priv.h"

#include <stdlib.h>

#define LANGUAGE_VERSION \
	{                \
		2, 6, 12 \
	}
#define NEST_MAX    64
#define ARG_MAX_LEN 256

static const char *const features[] = { "LUA", "THREAD", "EPOLL", "PCRE2", "PCRE2_JIT" };

struct cursor {
	const char *p, *end;
	struct sl_buf *why;
	uint32_t depth;
};

static int
fail(struct cursor *cu, const char *what)
{
	sl_buf_printf(cu->why, "%s at '%.*s'", what, (int)(cu->end - cu->p), cu->p);
	return -EINVAL;
}

static void
blanks(struct cursor *cu)
{
	while (cu->p < cu->end && (*cu->p == ' ' || *cu->p == '\t'))
		cu->p++;
}

static bool
take(struct cursor *cu, const char *text)
{
	size_t len = strlen(text);

	blanks(cu);
	if ((size_t)(cu->end - cu->p) < len || memcmp(cu->p, text, len) != 0)
		return false;
	cu->p += len;
	return true;
}

/* One argument of a predicate, up to a comma or the closing parenthesis; quotes are dropped. */
static int
argument(struct cursor *cu, char out[ARG_MAX_LEN])
{
	uint32_t n = 0;
	char q = '\0';

	for (; cu->p < cu->end; cu->p++) {
		char ch = *cu->p;

		if (q != '\0' && ch == q) {
			q = '\0';
			continue;
		}
		if (q == '\0' && (ch == '"' || ch == '\'')) {
			q = ch;
			continue;
		}
		if (q == '\0' && (ch == ',' || ch == ')'))
			break;
		if (ch == '\\' && q != '\'' && cu->p + 1 < cu->end)
			ch = *++cu->p;
		if (n + 1 == ARG_MAX_LEN)
			return fail(cu, "argument too long");
		out[n++] = ch;
	}
	out[n] = '\0';
	return q == '\0' ? 0 : fail(cu, "unmatched quote");
}

/* "2.4-dev19" -> 2.4.0; development versions come before their release. */
static bool
is_at_least(const char *want)
{
	static const uint64_t have[3] = LANGUAGE_VERSION;

	for (uint32_t i = 0; i < 3; i++) {
		char *end;
		uint64_t n = strtoull(want, &end, 10);

		if (have[i] != n)
			return have[i] > n;
		want = *end == '.' ? end + 1 : "";
	}
	return true;
}

static bool
has_feature(const char *name)
{
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(features); i++) {
		if (strcmp(features[i], name) == 0)
			return true;
	}
	return false;
}

enum pred { P_DEFINED, P_FEATURE, P_STREQ, P_STRNEQ, P_STRSTR, P_ATLEAST, P_BEFORE };
static const struct {
	const char *name;
	enum pred pred;
	uint32_t nargs;
} preds[] = { { "defined", P_DEFINED, 1 }, { "feature", P_FEATURE, 1 }, { "streq", P_STREQ, 2 },
	{ "strneq", P_STRNEQ, 2 }, { "strstr", P_STRSTR, 2 }, { "version_atleast", P_ATLEAST, 1 },
	{ "version_before", P_BEFORE, 1 } };

static bool
apply(enum pred pred, char arg[2][ARG_MAX_LEN])
{
	switch (pred) {
	case P_DEFINED:
		return getenv(arg[0]) != NULL;
	case P_FEATURE:
		return has_feature(arg[0]);
	case P_STREQ:
		return strcmp(arg[0], arg[1]) == 0;
	case P_STRNEQ:
		return strcmp(arg[0], arg[1]) != 0;
	case P_STRSTR:
		return strstr(arg[0], arg[1]) != NULL;
	case P_ATLEAST:
		return is_at_least(arg[0]);
	case P_BEFORE:
		return !is_at_least(arg[0]);
	}
	return false;
}

static int
predicate(struct cursor *cu)
{
	char arg[2][ARG_MAX_LEN] = { "", "" };
	const char *begin = cu->p;
	uint32_t i, n = 0;

	while (cu->p < cu->end && (*cu->p == '_' || (*cu->p >= 'a' && *cu->p <= 'z')))
		cu->p++;
	for (i = 0; i < SL_ARRAY_SIZE(preds); i++) {
		if (sl_str_eq(sl_str_make(begin, (size_t)(cu->p - begin)), sl_str_c(preds[i].name)))
			break;
	}
	if (i == SL_ARRAY_SIZE(preds)) {
		cu->p = begin;
		return fail(cu, "unknown predicate");
	}
	if (!take(cu, "("))
		return fail(cu, "'(' missing");
	do {
		if (n == preds[i].nargs)
			return fail(cu, "too many arguments");
		if (argument(cu, arg[n++]) < 0)
			return -EINVAL;
	} while (take(cu, ","));
	if (!take(cu, ")"))
		return fail(cu, "')' missing");
	if (n < preds[i].nargs)
		return fail(cu, "too few arguments");
	return apply(preds[i].pred, arg);
}

static int either(struct cursor *cu);

static int
term(struct cursor *cu)
{
	uint64_t n = 0;
	int rc;

	if (cu->depth == NEST_MAX)
		return fail(cu, "too deeply nested");
	if (take(cu, "!")) {
		cu->depth++;
		rc = term(cu);
		cu->depth--;
		return rc < 0 ? rc : !rc;
	}
	if (take(cu, "(")) {
		cu->depth++;
		rc = either(cu);
		cu->depth--;
		if (rc >= 0 && !take(cu, ")"))
			return fail(cu, "')' missing");
		return rc;
	}
	if (cu->p == cu->end || *cu->p < '0' || *cu->p > '9')
		return predicate(cu);
	for (; cu->p < cu->end && *cu->p >= '0' && *cu->p <= '9'; cu->p++)
		n |= (uint64_t)(*cu->p - '0');
	return n != 0;
}

/* "&&" binds tighter; all of it is read, whatever the result. */
static int
both(struct cursor *cu)
{
	int a = term(cu);

	while (a >= 0 && take(cu, "&&")) {
		int b = term(cu);

		a = b < 0 ? b : (a && b);
	}
	return a;
}

static int
either(struct cursor *cu)
{
	int a = both(cu);

	while (a >= 0 && take(cu, "||")) {
		int b = both(cu);

		a = b < 0 ? b : (a || b);
	}
	return a;
}

int
conf_condition(struct sl_str text, struct sl_buf *why)
{
	struct cursor cu = { .p = text.p, .end = text.p + text.len, .why = why };
	int rc;

	blanks(&cu);
	if (cu.p == cu.end)
		return 0; // an empty condition is false
	rc = either(&cu);
	blanks(&cu);
	if (rc >= 0 && cu.p != cu.end)
		return fail(&cu, "trailing text");
	return rc;
}
