// SPDX-License-Identifier: BSD-3-Clause
/* Variables of the process: values of every size, bounds, what is given back, threads at once. */
#include <pthread.h>
#include <sys/random.h>

#include "expr_env.h"

#include "dataplane/expr/procvar.h"

static struct proc_vars *
fresh(struct env *e)
{
	struct proc_vars *p = proc_vars_new();

	env_open(e);
	assert_non_null(p);
	return p;
}

static void
done(struct env *e, struct proc_vars *p)
{
	env_close(e);
	proc_vars_free(p);
}

static struct sample
text(const char *t, uint32_t len)
{
	return (struct sample){ .type = T_STR, .s = { t, len } };
}

static struct sample
number(int64_t i)
{
	return (struct sample){ .type = T_SINT, .i = i };
}

static char big[PROC_VAR_MAX + 1];

/* Every length around the borders of blocks comes back as it went in. */
static void
values(void **state sl_unused)
{
	struct env e;
	struct proc_vars *p = fresh(&e);
	struct sample v, got;

	for (uint32_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 256);
	assert_false(proc_var_get(p, SL_STR("x"), &got, &e.txn));
	for (uint32_t len = 0; len <= PROC_VAR_MAX; len += len < 1200 ? 1 : 997) {
		v = text(big, len);
		assert_int_equal(proc_var_set(p, SL_STR("x"), &v, false), 0);
		assert_int_equal(proc_vars_used(p), PROC_VAR_SIZE + len);
		assert_true(proc_var_get(p, SL_STR("x"), &got, &e.txn));
		assert_int_equal(got.type, T_STR);
		if (got.s.len != len || memcmp(got.s.p, big, len) != 0)
			fail_msg("length %u came back as another text of %u", len, got.s.len);
		arena_reset(&e.txn);
	}
	v = text(big, PROC_VAR_MAX + 1);
	assert_int_equal(proc_var_set(p, SL_STR("x"), &v, false), -ENOSPC);
	assert_true(proc_var_get(p, SL_STR("x"), &got, &e.txn)); // the old one stays
	v = number(-7);
	assert_int_equal(proc_var_set(p, SL_STR("x"), &v, false), 0);
	assert_true(proc_var_get(p, SL_STR("x"), &got, NULL));
	assert_true(got.type == T_SINT && got.i == -7);
	v = (struct sample){ .type = T_METH, .meth = HTTP_POST, .s = SL_STR("POST") };
	assert_int_equal(proc_var_set(p, SL_STR("m"), &v, false), 0);
	assert_true(proc_var_get(p, SL_STR("m"), &got, &e.txn));
	assert_true(got.type == T_METH && got.meth == HTTP_POST && sl_str_eq(got.s, SL_STR("POST")));
	proc_var_unset(p, SL_STR("x"));
	proc_var_unset(p, SL_STR("x"));
	proc_var_unset(p, SL_STR("m"));
	proc_var_unset(p, SL_STR("nobody"));
	assert_false(proc_var_get(p, SL_STR("x"), &got, &e.txn));
	assert_int_equal(proc_vars_used(p), 0);
	e.txn.fail_in = 1;
	v = text("abc", 3);
	assert_int_equal(proc_var_set(p, SL_STR("x"), &v, false), 0);
	got = number(11);
	assert_false(proc_var_get(p, SL_STR("x"), &got, &e.txn)); // no memory for the copy
	assert_true(got.type == T_SINT && got.i == 11);           // nothing of it
	done(&e, p);
}

/* Blocks are given back, however often a variable changes, and nothing else gets what is in use. */
static void
given_back(void **state sl_unused)
{
	struct env e;
	struct proc_vars *p = fresh(&e);
	struct sample v, got;
	char name[16];

	for (uint32_t i = 0; i < 4000; i++) { // 64 MB of values in 16
		v = text(big, PROC_VAR_MAX);
		assert_int_equal(proc_var_set(p, SL_STR("x"), &v, false), 0);
	}
	proc_var_unset(p, SL_STR("x"));
	for (uint32_t round = 0; round < 3; round++) {
		uint32_t n = 0;
		for (;; n++) {
			snprintf(name, sizeof(name), "v%u", n);
			v = text(big, PROC_VAR_MAX);
			if (proc_var_set(p, sl_str_c(name), &v, false) < 0)
				break;
		}
		assert_int_equal(n, PROC_VARS_BYTES / (PROC_VAR_SIZE + PROC_VAR_MAX));
		for (uint32_t i = 0; i < n; i++) {
			snprintf(name, sizeof(name), "v%u", i);
			assert_true(proc_var_get(p, sl_str_c(name), &got, &e.txn));
			assert_memory_equal(got.s.p, big, PROC_VAR_MAX);
			arena_reset(&e.txn);
			proc_var_unset(p, sl_str_c(name));
		}
		assert_int_equal(proc_vars_used(p), 0);
	}
	done(&e, p);
}

static void
bounds(void **state sl_unused)
{
	struct env e;
	struct proc_vars *p = fresh(&e);
	struct sample v = text(big, 36), got;
	char name[PROC_VAR_NAME + 2];

	proc_vars_limit(p, 2 * PROC_VAR_SIZE + 100);
	assert_int_equal(proc_var_set(p, SL_STR("a"), &v, false), 0);
	v = text(big, 65);
	assert_int_equal(proc_var_set(p, SL_STR("b"), &v, false), -ENOSPC);
	v = text(big, 64);
	assert_int_equal(proc_var_set(p, SL_STR("b"), &v, false), 0);
	v = text(big, 37);
	assert_int_equal(proc_var_set(p, SL_STR("a"), &v, false), -ENOSPC);
	v = text(big + 9, 36); // what goes is counted for what comes
	assert_int_equal(proc_var_set(p, SL_STR("a"), &v, false), 0);
	assert_true(proc_var_get(p, SL_STR("a"), &got, &e.txn));
	assert_memory_equal(got.s.p, big + 9, 36);
	proc_vars_limit(p, 0);
	v = text(big, 37);
	assert_int_equal(proc_var_set(p, SL_STR("a"), &v, false), 0);

	memset(name, 'n', sizeof(name));
	v = number(1);
	assert_int_equal(proc_var_set(p, sl_str_make(name, PROC_VAR_NAME + 1), &v, false), -ENOSPC);
	assert_int_equal(proc_var_set(p, sl_str_make(name, PROC_VAR_NAME), &v, false), 0);
	for (uint32_t i = 3; i < PROC_VARS_NAMES; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(proc_var_set(p, sl_str_c(name), &v, false), 0);
	}
	assert_int_equal(proc_var_set(p, SL_STR("more"), &v, false), -ENOSPC);
	assert_int_equal(proc_var_declare(p, SL_STR("more")), -ENOSPC);
	assert_int_equal(proc_var_declare(p, SL_STR("n3")), 0);
	assert_true(proc_var_get(p, SL_STR("n1000"), &got, NULL));
	done(&e, p);
}

/* ifexist: a name of the configuration, or a variable that has a value. */
static void
ifexist(void **state sl_unused)
{
	struct env e;
	struct proc_vars *p = fresh(&e);
	struct sample v = number(1), got;

	assert_int_equal(proc_var_set(p, SL_STR("new"), &v, true), -ENOENT);
	assert_int_equal(proc_var_declare(p, SL_STR("said")), 0);
	assert_false(proc_var_get(p, SL_STR("said"), &got, NULL));
	assert_int_equal(proc_var_set(p, SL_STR("said"), &v, true), 0);
	proc_var_unset(p, SL_STR("said"));
	assert_int_equal(proc_var_set(p, SL_STR("said"), &v, true), 0);
	assert_int_equal(proc_var_set(p, SL_STR("new"), &v, false), 0);
	assert_int_equal(proc_var_set(p, SL_STR("new"), &v, true), 0);
	proc_var_unset(p, SL_STR("new"));
	assert_int_equal(proc_var_set(p, SL_STR("new"), &v, true), -ENOENT);
	done(&e, p);
}

/* ---- threads ---- */

#define WRITERS 3
#define ROUNDS  20000

struct racer {
	struct proc_vars *p;
	uint32_t id;
	uint64_t reads;
	_Atomic(bool) *stop;
};

/* A text of one letter, whose length says which: whoever sees another mixes two values. */
static void *
writer(void *arg)
{
	struct racer *r = arg;
	char mine[1024], name[8];
	struct sl_rand rand;

	rand_seed(&rand, r->id);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t len = rand_below(&rand, sizeof(mine));
		struct sample v = { .type = T_STR, .s = { mine, len } };

		memset(mine, (char)('a' + len % 26), len);
		snprintf(name, sizeof(name), "v%u", rand_below(&rand, 4));
		if (rand_below(&rand, 8) == 0)
			proc_var_unset(r->p, sl_str_c(name));
		else if (proc_var_set(r->p, sl_str_c(name), &v, false) < 0)
			return (void *)1;
	}
	return NULL;
}

static void *
reader(void *arg)
{
	struct racer *r = arg;
	struct env e;
	struct sample got;
	char name[8];

	env_open(&e);
	for (uint32_t i = 0; !atomic_load(r->stop); i++) {
		snprintf(name, sizeof(name), "v%u", i % 4);
		if (!proc_var_get(r->p, sl_str_c(name), &got, &e.txn))
			continue;
		r->reads++;
		for (uint32_t k = 0; k < got.s.len; k++) {
			if (got.s.p[k] != (char)('a' + got.s.len % 26))
				return (void *)1;
		}
		arena_reset(&e.txn);
	}
	env_close(&e);
	return NULL;
}

static void
at_once(void **state sl_unused)
{
	pthread_t w[WRITERS], t[2];
	struct racer rw[WRITERS], rr[2];
	_Atomic(bool) stop = false;
	struct env e;
	struct proc_vars *p = fresh(&e);
	void *bad;

	for (uint32_t i = 0; i < 2; i++) {
		rr[i] = (struct racer){ .p = p, .id = i, .stop = &stop };
		assert_int_equal(pthread_create(&t[i], NULL, reader, &rr[i]), 0);
	}
	for (uint32_t i = 0; i < WRITERS; i++) {
		rw[i] = (struct racer){ .p = p, .id = i };
		assert_int_equal(pthread_create(&w[i], NULL, writer, &rw[i]), 0);
	}
	for (uint32_t i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(w[i], &bad), 0);
		assert_null(bad);
	}
	stop = true;
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
		assert_true(rr[i].reads > 0);
	}
	for (uint32_t i = 0; i < 4; i++) {
		char name[8];
		snprintf(name, sizeof(name), "v%u", i);
		proc_var_unset(p, sl_str_c(name));
	}
	assert_int_equal(proc_vars_used(p), 0);
	done(&e, p);
}

/* ---- set-var outside of rules ---- */

static const struct {
	int line;
	const char *name, *text;
	bool fmt;
	int rc;
	const char *out; // the value as text, or the error; NULL: no value
} assigns[] = {
	{ __LINE__, "proc.a", "str(primary)", false, 0, "primary" },
	{ __LINE__, "proc.n", "int(100)", false, 0, "100" },
	{ __LINE__, "proc.t", "int(200),sub(proc.n)", false, 0, "100" },
	{ __LINE__, "proc.t", "var(proc.none)", false, 0, "100" },
	{ __LINE__, "proc.u", "var(proc.none)", false, 0, NULL },
	{ __LINE__, "proc.f", "n is %[var(proc.n)]%%", true, 0, "n is 100%" },
	{ __LINE__, "proc.c", "str(x),concat(-,proc.a,.)", false, 0, "x-primary." },
	{ __LINE__, "proc.s", "str(primary),strcmp(proc.a)", false, 0, "0" },
	{ __LINE__, "proc.r", "rand(1)", false, 0, "0" },
	{ __LINE__, "proc.b", "src", false, -EINVAL,
		"fetch method 'src' cannot be used in the global section and the runtime API" },
	{ __LINE__, "proc.b", "path", false, -EINVAL,
		"fetch method 'path' cannot be used in the global section and the runtime API" },
	{ __LINE__, "proc.b", "%[fe_name]", true, -EINVAL,
		"fetch method 'fe_name' cannot be used in the global section and the runtime API" },
	{ __LINE__, "txn.a", "int(1)", false, -EINVAL,
		"cannot set variable 'txn.a', only scope 'proc' is permitted here" },
	{ __LINE__, "proc.", "int(1)", false, -EINVAL,
		"invalid variable name 'proc.': a name starts with its scope ('proc', 'sess', "
		"'txn', 'req' or 'res') and a dot, then letters, digits, '.' and '_'" },
};

static void
assign(void **state sl_unused)
{
	struct env e;
	struct proc_vars *p = fresh(&e);
	struct sample got;

	e.comp.procs = p;
	e.comp.point = EVAL_CONF;
	for (size_t i = 0; i < SL_ARRAY_SIZE(assigns); i++) {
		int rc;

		e.nerrors = 0;
		rc = proc_var_assign(&e.comp, sl_str_c(assigns[i].name), sl_str_c(assigns[i].text),
			assigns[i].fmt);
		if (rc != assigns[i].rc)
			fail_msg("line %d: %d %s", assigns[i].line, rc, e.error);
		if (rc < 0) {
			assert_string_equal(e.error, assigns[i].out);
			continue;
		}
		bool set = proc_var_get(p, sl_str_c(assigns[i].name + 5), &got, &e.txn);
		if (set != (assigns[i].out != NULL) ||
			(set && (!sample_cast(&got, T_STR, &e.txn) ||
					!sl_str_eq(got.s, sl_str_c(assigns[i].out)))))
			fail_msg("line %d: %d '%.*s'", assigns[i].line, set, SL_STR_ARG(got.s));
	}
	/* What an expression names is declared. */
	struct sample v = number(3);
	assert_int_equal(proc_var_set(p, SL_STR("none"), &v, true), 0);
	proc_vars_limit(p, 1);
	assert_int_equal(proc_var_assign(&e.comp, SL_STR("proc.a"), SL_STR("str(longer text)"), false),
		-ENOSPC);
	done(&e, p);
}

/* var_read() and its kin lead to the store; without one there are none. */
static void
scope(void **state sl_unused)
{
	struct env e;
	struct proc_vars *p = fresh(&e);
	struct vars v = { .procs = p }, none = { 0 };
	struct sample n = number(5), got;

	assert_int_equal(var_set(&v, &e.txn, VAR_PROC, SL_STR("x"), &n), 0);
	assert_int_equal(var_set(&v, &e.txn, VAR_TXN, SL_STR("x"), &(struct sample){ T_SINT, .i = 6 }),
		0);
	assert_true(var_read(&v, VAR_PROC, SL_STR("x"), &got, &e.txn) && got.i == 5);
	assert_true(var_read(&v, VAR_TXN, SL_STR("x"), &got, &e.txn) && got.i == 6);
	assert_false(var_read(NULL, VAR_PROC, SL_STR("x"), &got, &e.txn));
	assert_false(var_read(&none, VAR_PROC, SL_STR("x"), &got, &e.txn));
	assert_int_equal(var_set(&none, &e.txn, VAR_PROC, SL_STR("x"), &n), -ENOSPC);
	var_unset(&none, VAR_PROC, SL_STR("x"));
	var_unset(&v, VAR_PROC, SL_STR("x"));
	assert_false(var_read(&v, VAR_PROC, SL_STR("x"), &got, &e.txn));
	assert_true(var_read(&v, VAR_TXN, SL_STR("x"), &got, &e.txn));
	done(&e, p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(given_back),
		cmocka_unit_test(bounds),
		cmocka_unit_test(ifexist),
		cmocka_unit_test(at_once),
		cmocka_unit_test(assign),
		cmocka_unit_test(scope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
