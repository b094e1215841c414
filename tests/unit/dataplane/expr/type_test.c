// SPDX-License-Identifier: BSD-3-Clause
/*
 * The cast matrix, whole, and variables. Expected values follow HAProxy 2.6.12 (conv_test.c has the
 * rows that were printed by it).
 */
#include "tests/unit/dataplane/expr/expr_env.h"

static const struct {
	enum sample_type from;
	const char *to; // a letter per type in order of the enum: y can, - cannot
} matrix[] = {
	/*          any bool sint addr str bin meth */
	{ T_ANY, "yyyyyyy" },
	{ T_BOOL, "yyy-yy-" },
	{ T_SINT, "yyyyyy-" },
	{ T_ADDR, "y-yyyy-" },
	{ T_STR, "yyyyyyy" },
	{ T_BIN, "y---yyy" },
	{ T_METH, "y---yyy" },
};

static void
cast_matrix(void **state sl_unused)
{
	assert_int_equal(SL_ARRAY_SIZE(matrix), T_NR);
	for (int f = 0; f < T_NR; f++) {
		assert_int_equal(matrix[f].from, f);
		assert_int_equal(strlen(matrix[f].to), T_NR);
		for (int t = 0; t < T_NR; t++) {
			if (sample_can_cast((enum sample_type)f, (enum sample_type)t) !=
				(matrix[f].to[t] == 'y'))
				fail_msg("%s to %s", sample_type_name((enum sample_type)f),
					sample_type_name((enum sample_type)t));
		}
	}
	assert_false(sample_can_cast(T_NR, T_STR));
	assert_string_equal(sample_type_name(T_NR), "?");
}

struct cast_row {
	int line;
	enum sample_type from;
	const char *in;
	enum sample_type to;
	const char *want; // NULL: fails
};

static const struct cast_row casts[] = {
	{ __LINE__, T_BOOL, "1", T_SINT, "1" },
	{ __LINE__, T_BOOL, "0", T_STR, "0" },
	{ __LINE__, T_BOOL, "1", T_BIN, "0000000000000001" },
	{ __LINE__, T_BOOL, "1", T_ADDR, NULL },
	{ __LINE__, T_BOOL, "1", T_METH, NULL },
	{ __LINE__, T_SINT, "5", T_BOOL, "1" },
	{ __LINE__, T_SINT, "0", T_BOOL, "0" },
	{ __LINE__, T_SINT, "-5", T_STR, "-5" },
	{ __LINE__, T_SINT, "-2", T_BIN, "fffffffffffffffe" },
	{ __LINE__, T_SINT, "3232235777", T_ADDR, "192.168.1.1" },
	{ __LINE__, T_SINT, "5", T_METH, NULL },
	{ __LINE__, T_ADDR, "192.168.1.1", T_SINT, "3232235777" },
	{ __LINE__, T_ADDR, "::1", T_SINT, NULL },
	{ __LINE__, T_ADDR, "::1", T_STR, "::1" },
	{ __LINE__, T_ADDR, "1.2.3.4", T_BIN, "01020304" },
	{ __LINE__, T_ADDR, "2001:db8::1", T_BIN, "20010db8000000000000000000000001" },
	{ __LINE__, T_ADDR, "1.2.3.4", T_BOOL, NULL },
	{ __LINE__, T_STR, "12x", T_SINT, "12" },
	{ __LINE__, T_STR, "x", T_SINT, "0" },
	{ __LINE__, T_STR, "", T_SINT, NULL },
	{ __LINE__, T_STR, "-", T_SINT, "0" },
	{ __LINE__, T_STR, "9223372036854775807", T_SINT, "9223372036854775807" },
	{ __LINE__, T_STR, "9223372036854775808", T_SINT, "9223372036854775807" },
	{ __LINE__, T_STR, "-9223372036854775808", T_SINT, "-9223372036854775808" },
	{ __LINE__, T_STR, "-9223372036854775809", T_SINT, "-9223372036854775808" },
	{ __LINE__, T_STR, "2", T_BOOL, "1" },
	{ __LINE__, T_STR, "", T_BOOL, NULL },
	{ __LINE__, T_STR, "10.0.0.1", T_ADDR, "10.0.0.1" },
	{ __LINE__, T_STR, "fe80::1", T_ADDR, "fe80::1" },
	{ __LINE__, T_STR, "10.0.0", T_ADDR, NULL },
	{ __LINE__, T_STR, "ab", T_BIN, "6162" },
	{ __LINE__, T_STR, "PUT", T_METH, "PUT" },
	{ __LINE__, T_STR, "FOO", T_METH, "FOO" },
	{ __LINE__, T_BIN, "616263", T_STR, "abc" },
	{ __LINE__, T_BIN, "610062", T_STR, "a" },
	{ __LINE__, T_BIN, "", T_STR, "" },
	{ __LINE__, T_BIN, "61", T_SINT, NULL },
	{ __LINE__, T_METH, "GET", T_STR, "GET" },
	{ __LINE__, T_METH, "GET", T_BIN, "474554" },
	{ __LINE__, T_METH, "GET", T_SINT, NULL },
	{ __LINE__, T_SINT, "7", T_ANY, "7" },
};

static void
make(struct env *e, struct sample *s, enum sample_type t, const char *text)
{
	struct sl_str in = sl_str_c(text);
	char *p;

	*s = (struct sample){ .type = t, .s = in };
	if (t == T_BOOL || t == T_SINT) {
		assert_int_equal(sl_str_i64(in, &s->i), 0);
	} else if (t == T_ADDR) {
		assert_int_equal(addr_parse(in, &s->ip), 0);
	} else if (t == T_METH) {
		s->meth = http_method_find(in);
	} else if (t == T_BIN) {
		p = arena_alloc(&e->txn, in.len / 2);
		for (uint32_t i = 0; i < in.len / 2; i++) {
			unsigned byte;
			assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
			p[i] = (char)byte;
		}
		s->s = sl_str_make(p, in.len / 2);
	}
}

static void
show(const struct sample *s, char *out, size_t size)
{
	struct sl_buf b;

	sl_buf_init(&b, out, (uint32_t)size);
	switch (s->type) {
	case T_BOOL:
	case T_SINT:
		sl_buf_i64(&b, s->i);
		break;
	case T_ADDR:
		addr_format(&b, &s->ip);
		break;
	case T_BIN:
		for (uint32_t i = 0; i < s->s.len; i++)
			sl_buf_printf(&b, "%02x", (unsigned char)s->s.p[i]);
		break;
	default:
		sl_buf_add(&b, s->s);
		break;
	}
}

static void
cast_values(void **state sl_unused)
{
	struct env e;
	char got[128];

	env_open(&e);
	for (size_t i = 0; i < SL_ARRAY_SIZE(casts); i++) {
		const struct cast_row *r = &casts[i];
		struct sample s;
		make(&e, &s, r->from, r->in);
		bool ok = sample_cast(&s, r->to, &e.txn);
		if (ok != (r->want != NULL))
			fail_msg("line %d: cast returned %d", r->line, ok);
		if (!ok) {
			assert_int_equal(s.type, r->from);
			continue;
		}
		if (r->to != T_ANY)
			assert_int_equal(s.type, r->to);
		show(&s, got, sizeof(got));
		if (strcmp(got, r->want) != 0)
			fail_msg("line %d: '%s', not '%s'", r->line, got, r->want);
		if (r->to == T_METH)
			assert_int_equal(s.meth, http_method_find(s.s));
	}
	struct sample none = { .type = T_ANY };
	assert_false(sample_cast(&none, T_STR, &e.txn));
	env_close(&e);
}

/* ---- variables ---- */

static const struct {
	int line;
	const char *full;
	int rc;
	enum var_scope scope;
	const char *name;
} names[] = {
	{ __LINE__, "proc.a", 0, VAR_PROC, "a" },
	{ __LINE__, "sess.a_b.C9", 0, VAR_SESS, "a_b.C9" },
	{ __LINE__, "txn.x", 0, VAR_TXN, "x" },
	{ __LINE__, "req.x", 0, VAR_REQ, "x" },
	{ __LINE__, "res.x", 0, VAR_RES, "x" },
	{ __LINE__, "", -EINVAL, 0, NULL },
	{ __LINE__, "x", -EINVAL, 0, NULL },
	{ __LINE__, "txn.", -EINVAL, 0, NULL },
	{ __LINE__, ".x", -EINVAL, 0, NULL },
	{ __LINE__, "foo.x", -EINVAL, 0, NULL },
	{ __LINE__, "TXN.x", -EINVAL, 0, NULL },
	{ __LINE__, "txn.a-b", -EINVAL, 0, NULL },
	{ __LINE__, "txn.a b", -EINVAL, 0, NULL },
};

static void
var_names(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(names); i++) {
		enum var_scope scope = VAR_NR;
		struct sl_str name = SL_STR_NULL;
		int rc = var_parse_name(sl_str_c(names[i].full), &scope, &name);
		if (rc != names[i].rc)
			fail_msg("line %d: %d", names[i].line, rc);
		if (rc < 0)
			continue;
		assert_int_equal(scope, names[i].scope);
		assert_true(sl_str_eq(name, sl_str_c(names[i].name)));
	}
}

static void
var_life(void **state sl_unused)
{
	struct vars v = { 0 };
	struct env e;
	char name[8] = "abc", value[8] = "one";
	struct sample s = { .type = T_STR, .s = { value, 3 } };
	struct sample n = { .type = T_SINT, .i = 9 }, none = { .type = T_ANY };

	env_open(&e);
	assert_null(var_get(NULL, VAR_TXN, SL_STR("abc")));
	assert_null(var_get(&v, VAR_TXN, SL_STR("abc")));
	assert_int_equal(var_set(&v, &e.txn, VAR_TXN, sl_str_c(name), &s), 0);
	memset(name, 'z', 3); // both were copied
	memset(value, 'z', 3);
	const struct sample *got = var_get(&v, VAR_TXN, SL_STR("abc"));
	assert_non_null(got);
	assert_true(sl_str_eq(got->s, SL_STR("one")));
	assert_null(var_get(&v, VAR_REQ, SL_STR("abc")));
	assert_null(var_get(&v, VAR_TXN, SL_STR("ABC")));

	/* A sample of the old value stays what it was when the variable changes. */
	struct sample old = *got;
	memcpy(value, "two", 3);
	assert_int_equal(var_set(&v, &e.txn, VAR_TXN, SL_STR("abc"), &s), 0);
	assert_true(sl_str_eq(old.s, SL_STR("one")));
	assert_true(sl_str_eq(var_get(&v, VAR_TXN, SL_STR("abc"))->s, SL_STR("two")));

	/* Many, over all scopes; then unset some. */
	for (int i = 0; i < 100; i++) {
		char key[8];
		snprintf(key, sizeof(key), "k%d", i);
		n.i = i;
		assert_int_equal(
			var_set(&v, &e.txn, (enum var_scope)(VAR_SESS + i % 4), sl_str_c(key), &n),
			0);
	}
	var_unset(&v, VAR_SESS, SL_STR("k96"));
	var_unset(&v, VAR_SESS, SL_STR("k0"));
	var_unset(&v, VAR_SESS, SL_STR("none"));
	assert_null(var_get(&v, VAR_SESS, SL_STR("k96")));
	assert_null(var_get(&v, VAR_SESS, SL_STR("k0")));
	assert_int_equal(var_get(&v, VAR_SESS, SL_STR("k52"))->i, 52);
	assert_int_equal(var_get(&v, VAR_RES, SL_STR("k99"))->i, 99);
	assert_int_equal(var_set(&v, &e.txn, VAR_RES, SL_STR("k99"), &none), 0);
	assert_null(var_get(&v, VAR_RES, SL_STR("k99"))); // set to nothing

	for (uint32_t i = 1; i <= 2; i++) {
		e.txn.fail_in = i;
		assert_int_equal(var_set(&v, &e.txn, VAR_TXN, SL_STR("new"), &s), -ENOMEM);
		assert_null(var_get(&v, VAR_TXN, SL_STR("new")));
	}
	e.txn.fail_in = 1;
	assert_int_equal(var_set(&v, &e.txn, VAR_TXN, SL_STR("abc"), &s), -ENOMEM);
	assert_true(sl_str_eq(var_get(&v, VAR_TXN, SL_STR("abc"))->s, SL_STR("two")));
	env_close(&e);
}

/* ---- arguments from values (what scripts pass) ---- */

static void
args_time(void **state sl_unused)
{
	static const struct {
		const char *text;
		int rc;
		int64_t ms;
	} rows[] = {
		{ "10", 0, 10 },
		{ "10ms", 0, 10 },
		{ "1us", 0, 1 },
		{ "1500us", 0, 2 },
		{ "10s", 0, 10000 },
		{ "2m", 0, 120000 },
		{ "1h", 0, 3600000 },
		{ "1d", 0, 86400000 },
		{ "", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "10x", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },
		{ "99999999999s", -EINVAL, 0 },
	};
	struct arg_spec spec = SL_ARGS(1, ARG_TIME, ARG_NET);
	struct arg out[EXPR_MAX_ARGS + 1];
	char mem[200];
	struct sl_buf why;
	struct env e;

	env_open(&e);
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct sl_str t = sl_str_c(rows[i].text);
		sl_buf_init(&why, mem, sizeof(mem));
		if (expr_args_convert(&spec, &t, 1, &e.mem, out, &why) != rows[i].rc)
			fail_msg("'%s': %s", rows[i].text, mem);
		if (rows[i].rc == 0)
			assert_int_equal(out[0].i, rows[i].ms);
		assert_int_equal(out[1].type, ARG_END);
		assert_int_equal(out[EXPR_MAX_ARGS].type, ARG_END);
	}
	struct sl_str two[] = { SL_STR("1s"), SL_STR("10.0.0.0/8") };
	sl_buf_init(&why, mem, sizeof(mem));
	assert_int_equal(expr_args_convert(&spec, two, 2, &e.mem, out, &why), 0);
	assert_int_equal(out[1].net.prefix, 8);
	two[1] = SL_STR("10.0.0.0/33");
	assert_int_equal(expr_args_convert(&spec, two, 2, &e.mem, out, &why), -EINVAL);
	assert_string_equal(mem, "failed to parse '10.0.0.0/33' as type 'network' at position 2");
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cast_matrix),
		cmocka_unit_test(cast_values),
		cmocka_unit_test(var_names),
		cmocka_unit_test(var_life),
		cmocka_unit_test(args_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
