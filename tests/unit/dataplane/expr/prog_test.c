// SPDX-License-Identifier: BSD-3-Clause
/*
 * Programs: suspension at every CALL and ACT, allocation failures at every point, listing, limits
 * of the builder.
 */
#include "tests/unit/dataplane/expr/expr_env.h"

static const char request[] =
	"GET /p?x=1 HTTP/1.1\r\nHost: Www.example.com\r\nA: x, y\r\nA: z\r\n\r\n";

/* ---- fake external functions: lua.f gives a string, lua.c brackets its input, lua.none ---- */

enum { FN_STR, FN_WRAP, FN_NONE, FN_LEN, FN_RES_ONLY };

static int
lookup(void *ctx sl_unused, char kind, struct sl_str name, uint32_t *points)
{
	static const struct {
		char kind;
		const char *name;
		int id;
	} fns[] = {
		{ 'f', "lua.str", FN_STR },
		{ 'f', "lua.none", FN_NONE },
		{ 'c', "lua.wrap", FN_WRAP },
		{ 'c', "lua.len", FN_LEN },
		{ 'f', "lua.res", FN_RES_ONLY },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(fns); i++) {
		if (fns[i].kind == kind && sl_str_eq(sl_str_c(fns[i].name), name)) {
			*points = fns[i].id == FN_RES_ONLY ? EVAL_BIT(EVAL_HTTP_RES) : EVAL_ANY;
			return fns[i].id;
		}
	}
	return -ENOENT;
}

/* One evaluation with a mask of the calls and actions that suspend. */
struct run {
	struct env *e;
	uint32_t suspend; // bit n: the n-th step waits
	uint32_t steps;   // calls and actions so far
	bool scramble;    // the head goes away while waiting
	struct sample result;
	bool has_result;
	char log[1024]; // what was called, with what
	size_t log_len;
};

static void note(struct run *r, const char *fmt, ...) sl_printf(2, 3);
static void
note(struct run *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	r->log_len += (size_t)vsnprintf(r->log + r->log_len, sizeof(r->log) - r->log_len, fmt, ap);
	va_end(ap);
	assert_true(r->log_len < sizeof(r->log));
}

static struct sample
text(struct run *r, const char *t)
{
	struct sample s = { .type = T_STR };

	s.s = arena_str(&r->e->txn, sl_str_c(t));
	return s;
}

/* What function fn gives; computed at the call, delivered now or later. */
static void
compute(struct run *r, const struct prog_call *c, const struct sample *in)
{
	char buf[256];

	r->has_result = true;
	switch (c->fn) {
	case FN_STR:
		snprintf(buf, sizeof(buf), "<%s>",
			c->nargs ? arena_str(&r->e->txn, c->args[0]).p : "");
		r->result = text(r, buf);
		break;
	case FN_WRAP:
		assert_int_equal(in->type, T_STR);
		snprintf(buf, sizeof(buf), "[%.*s]", SL_STR_ARG(in->s));
		r->result = text(r, buf);
		break;
	case FN_LEN:
		r->result = (struct sample){ .type = T_SINT, .i = in->s.len };
		break;
	default:
		r->has_result = false;
		break;
	}
}

static const char *
text_of(struct run *r, const struct sample *s)
{
	return s != NULL && s->type == T_STR ? arena_str(&r->e->txn, s->s).p : "";
}

static enum act_ret
wait_or_go(struct run *r)
{
	return r->suspend >> r->steps++ & 1 ? ACT_SUSPEND : ACT_CONT;
}

static enum act_ret
fake_call(
	struct prog_env *pe, const struct prog_call *c, const struct sample *in, struct sample *out)
{
	struct run *r = pe->owner;

	assert_true((in != NULL) == (c->kind == 'c'));
	note(r, "%c%d(%s) ", c->kind, c->fn, text_of(r, in));
	compute(r, c, in);
	if (wait_or_go(r) == ACT_SUSPEND)
		return ACT_SUSPEND;
	if (r->has_result)
		*out = r->result;
	return ACT_CONT;
}

static enum act_ret
fake_act(struct prog_env *pe, const void *act, struct sample *args, uint32_t n)
{
	struct run *r = pe->owner;

	note(r, "act %s", (const char *)act);
	for (uint32_t i = 0; i < n; i++)
		note(r, " '%s'", text_of(r, &args[i]));
	note(r, "; ");
	if (strcmp(act, "stop") == 0)
		return ACT_STOP;
	if (strcmp(act, "done") == 0)
		return ACT_DONE;
	return wait_or_go(r);
}

static enum prog_status
run(struct run *r, const struct prog *p, struct prog_cursor *c)
{
	struct prog_env pe = { .view = &r->e->view,
		.mem = &r->e->txn,
		.owner = r,
		.act = fake_act,
		.call = fake_call };
	char saved[sizeof(r->e->req_text)];

	prog_start(c, p);
	enum prog_status st = prog_run(c, &pe);
	while (st == PROG_SUSPENDED) {
		/* The stream moves its head to an arena; the receive buffer is overwritten. */
		if (r->scramble) {
			memcpy(saved, r->e->req_text, sizeof(saved));
			memset(r->e->req_text, '#', sizeof(saved));
			for (uint32_t i = 0; i < c->sp; i++) {
				const struct sample *s = &c->stack[i];
				if (s->type == T_STR && s->s.len != 0)
					assert_null(memchr(s->s.p, '#', s->s.len));
			}
			memcpy(r->e->req_text, saved, sizeof(saved));
		}
		st = prog_resume(c, &pe, r->has_result ? &r->result : NULL);
	}
	return st;
}

static void
open_all(struct env *e)
{
	env_open(e);
	env_request(e, request);
	e->ext = (struct expr_extern){ .lookup = lookup };
	e->comp.ext = &e->ext;
}

static uint32_t
count_calls(const struct prog *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->len; i++)
		n += p->code[i].op == OP_CALL || p->code[i].op == OP_ACT;
	return n;
}

static void
show(const struct sample *s, bool flag, char *out, size_t size, struct env *e)
{
	struct sample copy = *s;

	if (s->type == T_ANY || !sample_cast(&copy, T_STR, &e->txn))
		snprintf(out, size, "none/%d", flag);
	else
		snprintf(out, size, "%d:%.*s/%d", s->type, SL_STR_ARG(copy.s), flag);
}

/* Every mask of waiting steps gives the same value, flag and steps. */
static void
same_for_all_masks(struct env *e, const struct prog *p, const char *name)
{
	uint32_t n = count_calls(p);
	char want[256] = "", want_log[1024] = "", got[256];
	uint32_t want_steps = 0;

	assert_true(n <= 8);
	for (uint32_t mask = 0; mask < 1u << (n + 2); mask++) { // loops call more often than n
		struct run r = { .e = e, .suspend = mask, .scramble = true };
		struct prog_cursor c;
		enum prog_status st = run(&r, p, &c);

		if (st != PROG_END && st != PROG_STOPPED && st != PROG_DONE)
			fail_msg("%s: status %d", name, st);
		show(c.sp != 0 ? &c.stack[0] : &(struct sample){ .type = T_ANY }, c.flag, got,
			sizeof(got), e);
		assert_true(c.sp <= 1);
		if (mask == 0) {
			snprintf(want, sizeof(want), "%s", got);
			snprintf(want_log, sizeof(want_log), "%s", r.log);
			want_steps = r.steps;
		}
		if (strcmp(want, got) != 0 || strcmp(want_log, r.log) != 0 || r.steps != want_steps)
			fail_msg("%s, mask %x: '%s' '%s', not '%s' '%s'", name, mask, got, r.log,
				want, want_log);
	}
}

static const char *const exprs[] = {
	"lua.str(a)",
	"lua.str",
	"lua.str()",
	"lua.none",
	"lua.none,lua.wrap,upper",
	"lua.str(a),upper",
	"hdr(host),lua.wrap",
	"hdr(host),lua.wrap,upper,lua.wrap,length",
	"lua.str(a),lua.wrap,lua.wrap,lua.len,add(1)",
	"hdr(none),lua.wrap",
	"src,lower,lua.wrap",
	"src,lua.wrap",
};

static const char *const fmts[] = {
	"%[lua.str(a)]",
	"x %[hdr(host)] %[lua.str(a)] y",
	"%[hdr(host)]%[hdr(host),lua.wrap]%[path]%[lua.none]%[lua.str(b),lua.wrap]",
	"a%[path]b%[path]c%[path]d%[path]e%[lua.str(z)]f%[path]g%[path]h%[lua.str(y)]i%[path]j",
};

static const char *const conds[] = {
	"{ lua.str(a) -m str <a> }",
	"{ lua.str(a) -m str <b> }",
	"! { lua.str(a) -m str <a> } or { hdr(host),lua.wrap -m beg [ }",
	"{ hdr(a),lua.wrap -m str [z] }",
	"{ hdr(a),lua.wrap [none] } or { path,lua.len 2 }",
	"{ path,lua.len -m int 2 }",
	"{ src,lua.wrap [127.0.0.1] }",
	"{ path /q } { lua.str(a) -m found } or { path /p } { lua.str(b) -m found }",
	"{ lua.none -m found } or named",
};

static void
suspend_values(void **state sl_unused)
{
	struct env e;

	open_all(&e);
	for (size_t i = 0; i < SL_ARRAY_SIZE(exprs); i++) {
		const struct prog *p = env_expr(&e, exprs[i], T_ANY);
		if (p == NULL)
			fail_msg("%s: %s", exprs[i], e.error);
		same_for_all_masks(&e, p, exprs[i]);
	}
	for (size_t i = 0; i < SL_ARRAY_SIZE(fmts); i++) {
		const struct prog *p = env_fmt(&e, fmts[i]);
		if (p == NULL)
			fail_msg("%s: %s", fmts[i], e.error);
		same_for_all_masks(&e, p, fmts[i]);
	}
	env_close(&e);
}

static void
suspend_conditions(void **state sl_unused)
{
	struct sl_str word[] = { SL_STR("lua.str(n),lua.wrap"), SL_STR("-m"), SL_STR("end"),
		SL_STR(">]") };
	struct env e;

	open_all(&e);
	assert_int_equal(acl_add((struct acl_scope *)(uintptr_t)e.comp.acls, &e.comp,
				 SL_STR("named"), word, 4),
		0);
	for (size_t i = 0; i < SL_ARRAY_SIZE(conds); i++) {
		const struct prog *p = env_cond(&e, conds[i], false);
		if (p == NULL)
			fail_msg("%s: %s", conds[i], e.error);
		same_for_all_masks(&e, p, conds[i]);
	}
	env_close(&e);
}

/* A ruleset as the configuration builds it: condition, jump, values, action. */
static const struct prog *
ruleset(struct env *e, const char *end)
{
	struct prog_builder *b = prog_begin(&e->comp);
	struct sl_str word[8];
	int skip;

	assert_int_equal(prog_add_fmt(b, SL_STR("v=%[hdr(host),lua.wrap]")), 0);
	assert_int_equal(prog_add_expr(b, SL_STR("lua.str(one)"), T_STR), 0);
	assert_true(prog_add_op(b, OP_ACT, 2, "set") >= 0);
	uint32_t n = env_words("{ hdr(a),lua.wrap -m str [y] }", word, 8);
	assert_int_equal(prog_add_cond(b, word, n, false), 0);
	skip = prog_add_op(b, OP_JF, 0, NULL);
	assert_true(skip >= 0);
	assert_true(prog_add_op(b, OP_ACT, 0, "hit") >= 0);
	assert_int_equal(prog_add_fmt(b, SL_STR("plain")), 0);
	assert_true(prog_add_op(b, OP_ACT, 1, end) >= 0);
	prog_patch(b, (uint32_t)skip);
	assert_true(prog_add_op(b, OP_ACT, 0, "last") >= 0);
	return prog_end(b);
}

static void
suspend_rules(void **state sl_unused)
{
	static const struct {
		const char *end;
		enum prog_status st;
		const char *log;
	} rows[] = {
		{ "go", PROG_END,
			"c1() f0() act set 'v=[Www.example.com]' '<one>'; c1() c1() act hit; "
			"act go 'plain'; act last; " },
		{ "stop", PROG_STOPPED,
			"c1() f0() act set 'v=[Www.example.com]' '<one>'; c1() c1() act hit; "
			"act stop 'plain'; " },
		{ "done", PROG_DONE,
			"c1() f0() act set 'v=[Www.example.com]' '<one>'; c1() c1() act hit; "
			"act done 'plain'; " },
	};
	struct env e;

	open_all(&e);
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct prog *p = ruleset(&e, rows[i].end);
		assert_non_null(p);
		same_for_all_masks(&e, p, rows[i].end);
		struct run r = { .e = &e, .suspend = UINT32_MAX };
		struct prog_cursor c;
		assert_int_equal(run(&r, p, &c), rows[i].st);
		char bare[1024];
		size_t at = 0;
		bool in = false;
		for (const char *q = r.log; *q != '\0'; q++) { // without the inputs of calls
			in = *q == '(' ? true : *q == ')' ? false : in;
			if (!in || *q == '(')
				bare[at++] = *q;
		}
		bare[at] = '\0';
		assert_string_equal(bare, rows[i].log);
	}
	env_close(&e);
}

/* ---- listing ---- */

static void
dump_text(void **state sl_unused)
{
	static const char want[] = "0 each hdr('a')\n"
				   "1 conv lower\n"
				   "2 call c1\n"
				   "3 cast string\n"
				   "4 match str i'y' (file)\n"
				   "5 again 0\n"
				   "6 jt 10\n"
				   "7 fetch src\n"
				   "8 match ip 10.0.0.0/8\n"
				   "9 not\n"
				   "10 not\n"
				   "11 jf 18\n"
				   "12 lit 'a'\n"
				   "13 fetch path\n"
				   "14 conv field(2,'/')\n"
				   "15 concat 2\n"
				   "16 call f0 'b' 'c'\n"
				   "17 act 2\n"
				   "18 end\n";
	struct sl_str word[24];
	char mem[1024];
	struct sl_buf out;
	struct env e;

	open_all(&e);
	struct prog_builder *b = prog_begin(&e.comp);
	uint32_t n = env_words(
		"{ hdr(a),lower,lua.wrap -m str -f LIST -i y } or ! { src 10.0.0.0/8 }", word, 24);
	char name[] = "/tmp/expr_test_XXXXXX";
	int fd = mkstemp(name);
	FILE *f = fdopen(fd, "w");
	assert_non_null(f);
	fputs("x\n", f);
	fclose(f);
	for (uint32_t i = 0; i < n; i++) {
		if (sl_str_eq(word[i], SL_STR("LIST")))
			word[i] = sl_str_c(name);
	}
	assert_int_equal(prog_add_cond(b, word, n, true), 0);
	remove(name);
	int skip = prog_add_op(b, OP_JF, 0, NULL);
	assert_int_equal(prog_add_fmt(b, SL_STR("a%[path,field(2,/)]")), 0);
	assert_int_equal(prog_add_expr(b, SL_STR("lua.str(b,c)"), T_ANY), 0);
	assert_true(prog_add_op(b, OP_ACT, 2, "x") >= 0);
	prog_patch(b, (uint32_t)skip);
	const struct prog *p = prog_end(b);
	assert_non_null(p);
	assert_int_equal(p->ncalls, 2);
	assert_int_equal(p->max_stack, 2);
	sl_buf_init(&out, mem, sizeof(mem));
	prog_dump(p, &out);
	assert_string_equal(mem, want);
	env_close(&e);
}

/* ---- limits ---- */

static void
builder_limits(void **state sl_unused)
{
	struct env e;

	open_all(&e);
	struct prog_builder *b = prog_begin(&e.comp);
	for (int i = 0; i < PROG_STACK; i++)
		assert_int_equal(prog_add_fmt(b, SL_STR("x")), 0);
	assert_int_equal(prog_add_fmt(b, SL_STR("x")), -EINVAL);
	assert_string_equal(e.error, "rule too complex: more than 24 values");
	assert_null(prog_end(b));

	/* After an error, everything is refused and nothing else is said. */
	b = prog_begin(&e.comp);
	e.nerrors = 0;
	assert_int_equal(prog_add_expr(b, SL_STR("nosuch"), T_STR), -EINVAL);
	assert_int_equal(prog_add_fmt(b, SL_STR("x")), -EINVAL);
	assert_int_equal(prog_add_op(b, OP_ACT, 0, "x"), -EINVAL);
	assert_null(prog_end(b));
	assert_int_equal(e.nerrors, 1);

	b = prog_begin(&e.comp);
	assert_int_equal(prog_add_op(b, OP_ACT, 1, "x"), -EINVAL); // underflow
	b = prog_begin(&e.comp);
	assert_int_equal(prog_add_fmt(b, SL_STR("x")), 0);
	assert_int_equal(prog_add_op(b, OP_ACT, 0, "x"), -EINVAL); // leaves a value
	env_close(&e);
}

/* ---- memory ---- */

static const struct prog *
compile_all(struct env *e)
{
	struct prog_builder *b = prog_begin(&e->comp);
	struct sl_str word[32];
	struct acl_scope *s = acl_scope_new(&e->mem);

	if (b == NULL || s == NULL)
		return NULL;
	e->comp.acls = s;
	uint32_t n = env_words("hdr(a),upper,lua.wrap -m str -i a b c d e [z]", word, 32);
	if (acl_add(s, &e->comp, SL_STR("x"), word, n) < 0)
		return NULL;
	n = env_words("x { int(1) 1:2 } or { src 10.0.0.0/8 127.1 } or { str(ab) -m bin 6162 }",
		word, 32);
	if (prog_add_cond(b, word, n, false) < 0)
		return NULL;
	if (prog_add_fmt(b,
		    SL_STR("a%[hdr(host),lower]b%[src]%[int(3),add(txn.v)]"
			   "%[path,concat(x,txn.v,y)]%[lua.str(q),hex,b64dec]%[env(HOME)]"
			   "%[base]%[req.hdr_names]%[bin(00ff)]%[str(a),crc32,length]")) < 0)
		return NULL;
	return prog_end(b);
}

static void
compile_without_memory(void **state sl_unused)
{
	struct env e;
	bool ok = false;

	for (uint32_t n = 1; !ok; n++) {
		assert_true(n < 1000);
		open_all(&e);
		e.mem.fail_in = n;
		ok = compile_all(&e) != NULL;
		if (ok)
			assert_true(e.mem.fail_in != 0); // the first that did not fail
		env_close(&e);
	}
}

/* Every refused allocation ends the program with PROG_NOMEM: never with another value. */
static void
run_without_memory(void **state sl_unused)
{
	struct sample v = { .type = T_SINT, .i = 4 };
	struct env e;
	bool ok = false;
	char want[1024], got[1024];

	open_all(&e);
	assert_int_equal(var_set(&e.vars, &e.mem, VAR_TXN, SL_STR("v"), &v), 0);
	const struct prog *p = compile_all(&e);
	assert_non_null(p);
	struct run all = { .e = &e, .suspend = 0 };
	struct prog_cursor c;
	assert_int_equal(run(&all, p, &c), PROG_END);
	show(&c.stack[0], c.flag, want, sizeof(want), &e);
	uint32_t n;
	for (n = 1; !ok; n++) {
		struct run r = { .e = &e, .suspend = 0 };
		arena_reset(&e.txn);
		e.txn.fail_in = n;
		enum prog_status st = run(&r, p, &c);
		ok = e.txn.fail_in != 0;
		e.txn.fail_in = 0;
		if (!ok && st != PROG_NOMEM)
			fail_msg("allocation %u: status %d", n, st);
		if (!ok)
			continue;
		assert_int_equal(st, PROG_END);
		show(&c.stack[0], c.flag, got, sizeof(got), &e);
		assert_string_equal(got, want);
	}
	assert_true(n > 12);
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(suspend_values),
		cmocka_unit_test(suspend_conditions),
		cmocka_unit_test(suspend_rules),
		cmocka_unit_test(dump_text),
		cmocka_unit_test(builder_limits),
		cmocka_unit_test(compile_without_memory),
		cmocka_unit_test(run_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
