// SPDX-License-Identifier: BSD-3-Clause
/* What scripts see of a transaction, value by value, through a real script thread. */
#include "tests/unit/lua/api/bridge.h"

/* A function body and what comes back. */
struct row {
	int line;
	const char *body;
	const char *want; // as br_result(); "error:" rows compare the start, then look for the rest
};

/* Loads one function per row ("f0", "f1", …) and calls them in turn. */
static void
run_rows(const struct row *rows, size_t n, bool res)
{
	static char text[65536];
	struct sl_buf out;
	struct bridge *b;
	char name[24], got[BR_TEXT];
	uint32_t bad = 0;

	sl_buf_init(&out, text, sizeof(text));
	for (size_t i = 0; i < n; i++)
		sl_buf_printf(&out, "core.register_fetches('f%zu', function(txn, ...) %s end)\n", i,
			rows[i].body);
	assert_false(out.full);
	b = br_new(text, NULL, 1);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		br_result(br_call(b, 'f', name, res), got, sizeof(got));
		bool ok = strcmp(got, rows[i].want) == 0;
		if (strncmp(rows[i].want, "error:", 6) == 0)
			ok = strncmp(got, "error:", 6) == 0 &&
				strstr(got, rows[i].want + 6) != NULL;
		if (!ok)
			print_error("row at line %d: got \"%s\", want \"%s\"\n", rows[i].line, got,
				rows[i].want);
		bad += !ok;
	}
	br_free(b);
	assert_int_equal(bad, 0);
}

/* Lua -> sample: the table of HAProxy's manual. */
static const struct row to_sample[] = {
	{ __LINE__, "return 'x'", "str:x" },
	{ __LINE__, "return ''", "str:" },
	{ __LINE__, "return 'a\\0b'", "str:a" }, // printed as C text; the length is below
	{ __LINE__, "return #'a\\0b'", "sint:3" },
	{ __LINE__, "return 12", "sint:12" },
	{ __LINE__, "return -3.99", "sint:0" }, // as HAProxy 2.6
	{ __LINE__, "return 4.0", "sint:4" },
	{ __LINE__, "return 1e300", "sint:0" },
	{ __LINE__, "return 0/0", "sint:0" },
	{ __LINE__, "return math.mininteger", "sint:-9223372036854775808" },
	{ __LINE__, "return true", "bool:1" },
	{ __LINE__, "return false", "bool:0" },
	{ __LINE__, "return nil", "bool:0" },
	{ __LINE__, "return {}", "bool:0" },
	{ __LINE__, "return print", "bool:0" },
	{ __LINE__, "return", "none" },
	{ __LINE__, "", "none" },
	{ __LINE__, "return 1, 2", "sint:2" }, // HAProxy takes the last
	{ __LINE__, "return string.rep('x', 100000)", "error:too long" },
	{ __LINE__, "return string.rep('x', 24000)", "error:no room" },
};

static void
test_to_sample(void **state sl_unused)
{
	run_rows(to_sample, SL_ARRAY_SIZE(to_sample), false);
}

/* Sample -> Lua. */
static const struct row from_sample[] = {
	{ __LINE__, "return txn.f:path()", "str:/a/b.html" },
	{ __LINE__, "return txn.sf:path()", "str:/a/b.html" },
	{ __LINE__, "return math.type(txn.f:src_port())", "str:integer" },
	{ __LINE__, "return txn.f:src_port()", "sint:4711" },
	{ __LINE__, "return txn.sf:src_port()", "str:4711" },
	{ __LINE__, "return txn.f:src()", "str:192.0.2.1" },
	{ __LINE__, "return type(txn.f:src())", "str:string" },
	{ __LINE__, "return txn.f:method()", "str:GET" },
	{ __LINE__, "return txn.f:hdr('User-Agent')", "str:test" },
	{ __LINE__, "return txn.f:req_hdr('user-agent')", "str:test" },
	{ __LINE__, "return type(txn.f:hdr('nope'))", "str:nil" },
	{ __LINE__, "return txn.sf:hdr('nope')", "str:" },
	{ __LINE__, "return txn.f:req_fhdr('x-one', 1)", "str:1" },
	{ __LINE__, "return txn.f:nope()", "error:attempt to call a nil value (method 'nope')" },
	{ __LINE__, "return txn.f:path('x')", "error:'path': expects no argument" },
	{ __LINE__, "return select(2, pcall(txn.f.path))",
		"str:bad argument #1 to '?' (table expected, got no value)" },
	/* converters */
	{ __LINE__, "return txn.c:lower('ABC')", "str:abc" },
	{ __LINE__, "return txn.c:length('abc')", "sint:3" },
	{ __LINE__, "return txn.sc:length('abc')", "str:3" },
	{ __LINE__, "return txn.c:lower()", "str:0" },
	{ __LINE__, "return txn.c:add('12', 5)", "sint:17" },
	{ __LINE__, "return txn.c:field('a,b,c', 2, ',')", "str:b" },
	{ __LINE__, "return txn.c:lower('A', 1, 2)", "error:'lower'" },
	/* objects */
	{ __LINE__, "return tostring(txn)", "str:HAProxy class TXN" },
	{ __LINE__, "return tostring(txn.f) .. tostring(txn.sf)",
		"str:HAProxy class FetchesHAProxy class Fetches" },
	{ __LINE__, "return tostring(txn.c)", "str:HAProxy class Converters" },
	{ __LINE__, "return tostring(txn.http)", "str:HAProxy class HTTP" },
	{ __LINE__, "return type(txn[0])", "str:userdata" },
	{ __LINE__, "txn.mine = 5 return txn.mine", "sint:5" },
	{ __LINE__, "return txn.f == txn.f", "bool:1" },
	{ __LINE__, "kept = txn return 1", "sint:1" },
	{ __LINE__, "return kept:get_var('txn.a')", "error:transaction that has ended" },
	{ __LINE__, "return kept.f:path()", "error:transaction that has ended" },
	{ __LINE__, "return txn.get_var({[0] = io.stdout}, 'txn.a')",
		"error:object of the current transaction expected" },
	{ __LINE__, "return txn.get_var({}, 'txn.a')",
		"error:object of the current transaction expected" },
};

static void
test_from_sample(void **state sl_unused)
{
	run_rows(from_sample, SL_ARRAY_SIZE(from_sample), false);
}

static const struct row vars[] = {
	{ __LINE__, "return txn:set_var('txn.a', 'x')", "bool:1" },
	{ __LINE__, "txn:set_var('txn.a', 'x') return txn:get_var('txn.a')", "str:x" },
	{ __LINE__, "txn:set_var('txn.a', 1.5) return math.type(txn:get_var('txn.a'))",
		"str:integer" },
	{ __LINE__, "txn:set_var('txn.a', 1) txn:set_var('txn.a', 'y') return txn:get_var('txn.a')",
		"str:y" },
	{ __LINE__, "txn:set_var('req.a', true) return txn:get_var('req.a')", "sint:1" },
	{ __LINE__, "txn:set_var('req.a', {}) return txn:get_var('req.a')", "sint:0" },
	{ __LINE__, "return txn:set_var('bad.a', 1)", "bool:0" },
	{ __LINE__, "return txn:set_var('txn.new', 1, true)", "bool:1" },
	{ __LINE__, "txn:set_var('txn.a', 1) return txn:set_var('txn.a', 2, true)", "bool:1" },
	{ __LINE__, "return type(txn:get_var('txn.a'))", "str:nil" },
	{ __LINE__, "txn:set_var('txn.a', 1) return txn:unset_var('txn.a')", "bool:1" },
	{ __LINE__,
		"txn:set_var('txn.a', 1) txn:unset_var('txn.a') return type(txn:get_var('txn.a'))",
		"str:nil" },
	{ __LINE__, "return txn:unset_var('bad')", "bool:0" },
	{ __LINE__, "txn:set_var('txn.a')", "error:'set_var' needs between 3 and 4 arguments" },
	{ __LINE__, "txn:set_var('sess.u', 5) return txn.f:var('sess.u')", "sint:5" },
	{ __LINE__, "txn:set_var('txn.big', string.rep('x', 30000))", "error:no room" },
	{ __LINE__, "for i = 1, 10000 do txn:set_var('txn.v' .. i, i) end", "error:no room" },
	{ __LINE__, "txn:set_priv({7}) return txn:get_priv()[1]", "sint:7" },
	{ __LINE__, "return type(txn:get_priv())", "str:nil" }, // another stream
};

static void
test_vars(void **state sl_unused)
{
	run_rows(vars, SL_ARRAY_SIZE(vars), false);
}

#define SHOW "local h = txn.http:req_get_headers() "
static const struct row edits[] = {
	{ __LINE__, SHOW "return h['x-one'][0] .. h['x-one'][1] .. tostring(h['x-one'][2])",
		"str:12nil" },
	{ __LINE__, SHOW "return h.host[0]", "str:www.example.com" },
	{ __LINE__, SHOW "return tostring(h['X-One'])", "str:nil" },
	{ __LINE__, "return select('#', txn.http:req_set_header('X-New', 'v'))", "sint:0" },
	{ __LINE__, "txn.http:req_set_header('X-New', 'v')" SHOW "return h['x-new'][0]", "str:v" },
	{ __LINE__, "txn.http:req_set_header('X-New', 'v') return txn.f:hdr('x-new')", "str:v" },
	{ __LINE__, "txn.http:req_add_header('x-one', '3')" SHOW "return h['x-one'][2]", "str:3" },
	{ __LINE__,
		"txn.http:req_set_header('x-one', '3')" SHOW
		"return h['x-one'][0] .. tostring(h['x-one'][1])",
		"str:3nil" },
	{ __LINE__, "return select('#', txn.http:req_del_header('x-one'))", "sint:0" },
	{ __LINE__, "txn.http:req_del_header('X-ONE')" SHOW "return tostring(h['x-one'])",
		"str:nil" },
	{ __LINE__, "txn.http:req_set_header('bad name', 'v') return txn.f:req_hdr_cnt('bad name')",
		"sint:0" },
	{ __LINE__, "txn.http:req_set_header('n', 'a\\r\\nb: c') return txn.f:req_hdr_cnt('n')", "sint:0" },
	{ __LINE__, "txn.http:req_set_path('/new') return txn.f:url()", "str:/new?x=1&y=2" },
	{ __LINE__, "txn.http:req_set_query('q=9') return txn.f:url()", "str:/a/b.html?q=9" },
	{ __LINE__, "txn.http:req_set_query('') return txn.f:url()", "str:/a/b.html" },
	{ __LINE__, "txn.http:req_set_uri('/u?v') return txn.f:url()", "str:/u?v" },
	{ __LINE__, "txn.http:req_set_method('POST') return txn.f:method()", "str:POST" },
	{ __LINE__, "txn.http:res_set_header('a', 'b')", "error:no response to edit" },
	{ __LINE__, "txn.http:res_set_status(200)", "error:no response to edit" },
	{ __LINE__, "txn.http:req_set_header('big', string.rep('x', 2000)) return txn.f:req_hdr_cnt('big')",
		"sint:0" },
	{ __LINE__, "return txn.done(txn)", "bool:0" },
	{ __LINE__, "pcall(txn.done, txn) return 1", "bool:0" }, // pcall cannot keep it
	{ __LINE__, "pcall(core.done) return 1", "bool:0" },
};

static void
test_edits(void **state sl_unused)
{
	run_rows(edits, SL_ARRAY_SIZE(edits), false);
}

static const struct row res_edits[] = {
	{ __LINE__, "return txn.http:res_get_headers().server[0]", "str:s" },
	{ __LINE__, "return txn.f:status()", "sint:404" },
	{ __LINE__, "txn.http:res_set_status(503) return txn.f:status()", "sint:503" },
	{ __LINE__, "txn.http:res_set_status(99)", "error:status code expected" },
	{ __LINE__,
		"txn.http:res_add_header('server', 't')"
		" return txn.http:res_get_headers().server[1]",
		"str:t" },
	{ __LINE__,
		"txn.http:res_del_header('server')"
		" return tostring(txn.http:res_get_headers().server)",
		"str:nil" },
	{ __LINE__, "txn.http:req_set_header('a', 'b')", "error:no request to edit" },
	{ __LINE__, "txn.http:req_set_path('/')", "error:no request to edit" },
};

static void
test_res_edits(void **state sl_unused)
{
	run_rows(res_edits, SL_ARRAY_SIZE(res_edits), true);
}

/* The list that the worker will apply: same order, own copies. */
static void
test_write_list(void **state sl_unused)
{
	static const char text[] =
		"core.register_action('a', {'http-req'}, function(txn, one)\n"
		" txn.http:req_set_header('H', one) txn:set_var('txn.v', 5)\n"
		" txn.http:req_del_header('x-one') txn.http:req_set_path('/p')\n"
		" txn.http:req_set_header('bad name', 'x') txn:unset_var('txn.v')\n"
		" return act.DENY end, 1)";
	static const struct {
		enum call_write_op op;
		const char *name, *value;
	} want[] = {
		{ CW_REQ_SET_HDR, "H", "arg" },
		{ CW_SET_VAR, "v", NULL },
		{ CW_REQ_DEL_HDR, "x-one", NULL },
		{ CW_REQ_PATH, "", "/p" },
		{ CW_UNSET_VAR, "v", NULL },
	};
	struct bridge *b = br_new(text, NULL, 1);
	struct call_slot *s = br_slot(b, 'a', "a", false);
	size_t i = 0;

	s->nargs = 1;
	s->args[0] = SL_STR("arg");
	br_push(b, s, 0);
	assert_ptr_equal(br_wait(b), s);
	assert_int_equal(s->end, CALL_OK);
	assert_int_equal(s->act, 5);
	for (const struct call_write *w = s->first; w != NULL; w = w->next, i++) {
		assert_true(i < SL_ARRAY_SIZE(want));
		assert_int_equal(w->op, want[i].op);
		assert_true(sl_str_eq(w->name, sl_str_c(want[i].name)));
		assert_true((const uint8_t *)w->name.p >= s->data);
		if (want[i].value != NULL)
			assert_true(sl_str_eq(w->value.s, sl_str_c(want[i].value)));
	}
	assert_int_equal(i, SL_ARRAY_SIZE(want));
	assert_int_equal(s->first->next->value.i, 5);
	br_free(b);
}

/* Whatever finds no room in the slot says so, also where the script catches the error. */
static void
test_full(void **state sl_unused)
{
	static const char text[] =
		"local long = string.rep('A', 5000)\n"
		"local function f(name, fn) core.register_fetches(name, fn) end\n"
		"f('conv', function(txn) return txn.sc:lower(long) end)\n"
		"f('args', function(txn) return txn.sc:field(long, 1, long) end)\n"
		"f('cast', function(txn) return txn.sf:src_port() end)\n"
		"f('set', function(txn) txn:set_var('txn.v', long) end)\n"
		"f('hdr', function(txn) for i = 1, 200 do txn.http:req_set_header('H', 'x') end end)\n"
		"f('rep', function(txn) for i = 1, 200 do\n"
		" txn.http:req_rep_header('Host', '.*', 'x') end end)\n"
		"f('value', function(txn) return long end)\n"
		"f('huge', function(txn) return string.rep(long, 6) end)\n"
		"f('grow', function(txn) txn.http:req_rep_header('Host', '(.*)',\n"
		" string.rep('x', 16000) .. string.rep('\\\\1', 400)) end)\n"
		"f('fine', function(txn) return txn.sc:lower('A') end)\n"
		"f('fails', function(txn) error('x') end)\n"
		"f('caught', function(txn) pcall(txn.sc.lower, txn.sc, long) return 'ok' end)\n";
	static const struct {
		const char *fn;
		bool ok, full;
		uint32_t room;
	} rows[] = {
		{ "conv", false, true },
		{ "args", false, true },
		{ "cast", false, true, 8 }, // not an empty string
		{ "set", false, true },
		{ "hdr", false, true },
		{ "rep", false, true },
		{ "value", false, true },
		{ "huge", false, true },
		{ "grow", false, true },
		{ "fine", true, false },
		{ "fails", false, false },
		{ "caught", true, true },
	};
	struct bridge *b = br_new(text, NULL, 1);

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct call_slot *s = br_slot(b, 'f', rows[i].fn, false);
		s->used = CALL_DATA - (rows[i].room != 0 ? rows[i].room : 4000);
		br_push(b, s, 0);
		assert_ptr_equal(br_wait(b), s);
		if ((s->end == CALL_OK) != rows[i].ok || s->full != rows[i].full)
			fail_msg("%s: end %d, full %d: %s", rows[i].fn, s->end, s->full, s->error);
	}
	br_free(b);
}

/* Private data: seen by every call of one stream, by no other. */
static void
test_priv(void **state sl_unused)
{
	static const char text[] =
		"core.register_fetches('set', function(txn) txn:set_priv('mine') end)\n"
		"core.register_fetches('get', function(txn) return tostring(txn:get_priv()) end)\n";
	struct bridge *b = br_new(text, NULL, 1);
	struct call_slot *s = br_call(b, 'f', "set", false);
	struct sl_handle h = s->stream;
	char got[BR_TEXT];

	s = br_slot(b, 'f', "get", false);
	s->stream = h;
	br_push(b, s, 0);
	assert_string_equal(br_result(br_wait(b), got, sizeof(got)), "str:mine");
	s = br_slot(b, 'f', "get", false);
	s->stream = (struct sl_handle){ h.idx, h.gen + 2 }; // its number, used again
	br_push(b, s, 0);
	assert_string_equal(br_result(br_wait(b), got, sizeof(got)), "str:nil");
	br_free(b);
}

/* ---- txn.f over every row that may run on a snapshot ---- */

static const char *
any_arg(enum arg_type t)
{
	switch (t) {
	case ARG_STR:
		return "'a1'"; // a header's name, and valid hex
	case ARG_VAR:
		return "'txn.v'";
	case ARG_NET:
	case ARG_IP4:
		return "'10.0.0.1'";
	case ARG_IP6:
		return "'2001:db8::1'";
	case ARG_MASK4:
	case ARG_MASK6:
		return "'24'";
	case ARG_TIME:
		return "'10s'";
	default:
		return "1";
	}
}

/* Rows whose value is never the same twice. */
static bool
is_volatile(const char *name)
{
	return strcmp(name, "rand") == 0 || strcmp(name, "uuid") == 0;
}

static void
test_every_fetch(void **state sl_unused)
{
	static char text[65536], lua_text[BR_TEXT], row_text[BR_TEXT];
	const struct registry *r = expr_fetches();
	struct sl_buf out;
	uint32_t n = 0;

	sl_buf_init(&out, text, sizeof(text));
	for (uint32_t i = 0; i < r->count; i++) {
		const struct fetch_row *row = r->rows[i];
		if (row->match != NULL || row->where == WHERE_OWNER)
			continue;
		sl_buf_printf(
			&out, "core.register_fetches('f%u', function(txn) return txn.sf['", i);
		for (const char *p = row->name; *p != '\0'; p++)
			sl_buf_char(&out, *p == '.' || *p == '-' ? '_' : *p);
		sl_buf_addc(&out, "'](txn.sf");
		for (int k = 0; k < row->args.min; k++)
			sl_buf_printf(&out, ", %s", any_arg(row->args.type[k]));
		sl_buf_addc(&out, ") end)\n");
	}
	assert_false(out.full);
	struct bridge *b = br_new(text, NULL, 1);
	for (uint32_t i = 0; i < r->count; i++) {
		const struct fetch_row *row = r->rows[i];
		if (row->match != NULL || row->where == WHERE_OWNER || is_volatile(row->name))
			continue;
		char name[24];
		snprintf(name, sizeof(name), "f%u", i);
		struct call_slot *s = br_call(b, 'f', name, true);
		br_result(s, lua_text, sizeof(lua_text));

		/* the same row by hand */
		struct arg args[EXPR_MAX_ARGS + 1];
		struct sl_str word[EXPR_MAX_ARGS];
		struct sample v = { .type = T_ANY };
		struct call_arena mem;
		struct sl_buf why;
		char reason[64];
		s->used = 20000; // behind the heads
		call_arena_init(&mem, s);
		sl_buf_init(&why, reason, sizeof(reason));
		for (int k = 0; k < row->args.min; k++) {
			word[k] = sl_str_c(any_arg(row->args.type[k]));
			if (*word[k].p == '\'')
				word[k] = sl_str_make(word[k].p + 1, word[k].len - 2);
		}
		assert_int_equal(
			expr_args_convert(&row->args, word, row->args.min, &mem.arena, args, &why),
			0);
		if (!row->fn(row->constant ? NULL : &s->view, args, &v, &mem.arena, row->priv) ||
			!sample_cast(&v, T_STR, &mem.arena))
			v = (struct sample){ .type = T_STR };
		snprintf(row_text, sizeof(row_text), "str:%.*s", SL_STR_ARG(v.s));
		if (strcmp(lua_text, row_text) != 0)
			fail_msg("%s: Lua says \"%s\", the row \"%s\"", row->name, lua_text,
				row_text);
		n++;
	}
	assert_true(n >= 20);
	br_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_to_sample),
		cmocka_unit_test(test_from_sample),
		cmocka_unit_test(test_vars),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_res_edits),
		cmocka_unit_test(test_write_list),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_priv),
		cmocka_unit_test(test_every_fetch),
	};
	const char *dup;

	if (expr_init(&dup) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
