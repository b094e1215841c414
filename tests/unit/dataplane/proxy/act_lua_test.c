// SPDX-License-Identifier: BSD-3-Clause
/* "http-request lua.NAME …": arguments, options, errors, and the instruction that comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "dataplane/proxy/action.h"
#include "dataplane/proxy/call.h"

#define MAX_WORDS 16

static char said[256];

static void
on_error(void *ctx sl_unused, struct sl_str word, const char *text)
{
	if (said[0] == '\0')
		snprintf(said, sizeof(said), "%.*s: %s", SL_STR_ARG(word), text);
}

/* One action "lua.act" of two arguments, for requests only. */
static int
lookup(void *ctx sl_unused, char kind, struct sl_str name, uint32_t *points)
{
	*points = EVAL_BIT(EVAL_HTTP_REQ);
	return kind == 'a' && sl_str_eq(name, SL_STR("lua.act")) ? 5 | (int)CALL_FN_PER_THREAD
								 : -ENOENT;
}

static int
nargs(void *ctx sl_unused, int fn)
{
	return fn == (5 | (int)CALL_FN_PER_THREAD) ? 2 : -EINVAL;
}

static const struct expr_extern ext = { .lookup = lookup, .nargs = nargs };
static const struct expr_diag diag = { .error = on_error };

/* Compiles the blank-separated words; the call, or NULL with `said`. */
static const struct prog_call *
parse(struct arena *mem, const char *text, enum eval_point point)
{
	struct expr_comp comp = { .mem = mem, .ext = &ext, .diag = &diag, .point = point };
	struct sl_str word[MAX_WORDS], rest = sl_str_c(text), name = sl_str_cut(&rest, ' ');
	struct act_parse p = { .comp = &comp, .word = word };

	said[0] = '\0';
	while (rest.p != NULL)
		word[p.nword++] = sl_str_cut(&rest, ' ');
	p.prog = prog_begin(&comp);
	if (act_lua_parse(&p, name) < 0) {
		assert_string_not_equal(said, "");
		return NULL;
	}
	const struct prog *prog = prog_end(p.prog);
	assert_non_null(prog);
	assert_int_equal(prog->code[0].op, OP_CALL);
	assert_int_equal(prog->ncalls, 1);
	return prog->code[0].ptr;
}

static void
test_ok(void **state sl_unused)
{
	static const struct {
		int line;
		const char *text;
		struct call_rule rule;
	} rows[] = {
		{ __LINE__, "lua.act x y", { 0 } },
		{ __LINE__, "lua.act x y deadline 250ms", { .deadline_ms = 250 } },
		{ __LINE__, "lua.act x y deadline 2s on-error deny",
			{ .deadline_ms = 2000, .on_error = CALL_POLICY_DENY } },
		{ __LINE__, "lua.act x y on-error continue on-overload wait",
			{ .on_error = CALL_POLICY_CONT, .on_overload = CALL_POLICY_WAIT } },
		{ __LINE__, "lua.act x y on-overload status 429 on-error status 500",
			{ .on_overload = CALL_POLICY_STATUS,
				.overload_status = 429,
				.on_error = CALL_POLICY_STATUS,
				.error_status = 500 } },
		/* the function's own words may look like options */
		{ __LINE__, "lua.act deadline on-error", { 0 } },
	};
	struct arena_map *map = arena_map_new();
	struct arena mem;

	arena_init(&mem, arena_map_src(map));
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct prog_call *c = parse(&mem, rows[i].text, EVAL_HTTP_REQ);
		if (c == NULL)
			fail_msg("row at line %d: %s", rows[i].line, said);
		assert_int_equal(c->fn, 5 | CALL_FN_PER_THREAD);
		assert_int_equal(c->kind, 'a');
		assert_int_equal(c->nargs, 2);
		if (memcmp(c->priv, &rows[i].rule, sizeof(struct call_rule)) != 0)
			fail_msg("row at line %d: other options", rows[i].line);
	}
	const struct prog_call *c = parse(&mem, "lua.act one two", EVAL_HTTP_REQ);
	assert_true(sl_str_eq(c->args[0], SL_STR("one")) && sl_str_eq(c->args[1], SL_STR("two")));
	arena_map_free(map);
}

static void
test_errors(void **state sl_unused)
{
	static const struct {
		int line;
		const char *text;
		const char *error;
	} rows[] = {
		{ __LINE__, "lua.nope", "lua.nope: no script registered the action 'lua.nope'" },
		{ __LINE__, "lua.act x", "lua.act: expects 2 arguments" },
		{ __LINE__, "lua.act x y z", "z: expects 'deadline'" },
		{ __LINE__, "lua.act x y deadline", "deadline: missing value behind 'deadline'" },
		{ __LINE__, "lua.act x y deadline 0", "0: 'deadline' expects a time above zero" },
		{ __LINE__, "lua.act x y deadline soon", "soon: 'deadline' expects a time" },
		{ __LINE__, "lua.act x y on-error wait", "wait: 'on-error' expects" },
		{ __LINE__, "lua.act x y on-overload sometimes", "got 'sometimes'" },
		{ __LINE__, "lua.act x y on-error status", "status: 'status' expects a code" },
		{ __LINE__, "lua.act x y on-error status 99", "99: 'status' expects a code" },
		{ __LINE__, "lua.act x y on-error status 600", "600: 'status' expects a code" },
	};
	struct arena_map *map = arena_map_new();
	struct arena mem;

	arena_init(&mem, arena_map_src(map));
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		if (parse(&mem, rows[i].text, EVAL_HTTP_REQ) != NULL ||
			strstr(said, rows[i].error) == NULL)
			fail_msg("row at line %d: \"%s\"", rows[i].line, said);
	}
	assert_null(parse(&mem, "lua.act x y", EVAL_HTTP_RES));
	assert_non_null(strstr(said, "not registered for this kind of rule"));
	arena_map_free(map);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ok),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
