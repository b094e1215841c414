// SPDX-License-Identifier: BSD-3-Clause
/* Maps and lists of files: which entry is found, and what changes at run time are seen. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "dataplane/expr/patset_priv.h"
#include "tests/unit/dataplane/expr/expr_env.h"

/* A file of these lines; the caller unlinks it. */
static void
write_file(char *name, const char *text)
{
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* The value of an expression over a file ("%s" in it), as text; "-": none. */
static const char *
value(struct env *e, const char *expr, const char *name)
{
	static char text[256];
	const char *at = strstr(expr, "%s");
	struct prog_cursor c;

	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - expr), expr, name, at + 2);
	const struct prog *p = env_expr(e, text, T_STR);
	if (p == NULL)
		fail_msg("%s: %s", text, e->error);
	arena_reset(&e->txn);
	assert_int_equal(env_run(e, p, &c), PROG_END);
	if (c.stack[0].type == T_ANY)
		return "-";
	snprintf(text, sizeof(text), "%.*s", SL_STR_ARG(c.stack[0].s));
	return text;
}

static const char lines[] = "# a comment\n"
			    "/a  first value \n"
			    "/a second\n"
			    "/ab\tAB\r\n"
			    "\n"
			    "   /c 12\n"
			    "/d\n"
			    "www.example.com dom\n"
			    "last 7";
static const char nets[] = "10.0.0.0/8 ten\n10.1.0.0/16 ten one\n10.1.2.3 host\n"
			   "10.1.0.0/16 again\n2001:db8::/32 doc\n192.0.2.0/24 9\n";

static const struct {
	int line;
	const char *expr, *want;
} values[] = {
	{ __LINE__, "str(/a),map(%s)", "first value" },
	{ __LINE__, "str(/a),map_str(%s)", "first value" },
	{ __LINE__, "str(/A),map(%s)", "-" },
	{ __LINE__, "str(/ab),map(%s)", "AB" },
	{ __LINE__, "str(/x),map(%s)", "-" },
	{ __LINE__, "str(/x),map(%s,none)", "none" },
	{ __LINE__, "str(/d),map(%s,none)", "" },
	{ __LINE__, "str(/abc),map_beg(%s)", "AB" },
	{ __LINE__, "str(/a/b),map_beg(%s)", "first value" },
	{ __LINE__, "str(x/c),map_end(%s)", "12" },
	{ __LINE__, "str(x/cx),map_sub(%s)", "12" },
	{ __LINE__, "str(/x/last/y),map_dir(%s)", "7" },
	{ __LINE__, "str(b.www.example.com),map_dom(%s)", "dom" },
	{ __LINE__, "str(a-last-b),map_reg(%s)", "7" },
};

static void
which_entry(void **state sl_unused)
{
	static const char *const ips[][2] = { { "10.1.2.3", "host" }, { "10.1.2.4", "ten one" },
		{ "10.2.2.4", "ten" }, { "11.1.1.1", "-" }, { "2001:db8::1", "doc" },
		{ "::ffff:10.1.2.3", "host" }, { "192.0.2.9", "9" } };
	char name[] = "/tmp/map_test_XXXXXX", net[] = "/tmp/map_test_XXXXXX", text[80];
	struct env e;

	env_open(&e);
	write_file(name, lines);
	write_file(net, nets);
	for (size_t i = 0; i < SL_ARRAY_SIZE(values); i++) {
		const char *v = value(&e, values[i].expr, name);
		if (strcmp(v, values[i].want) != 0)
			fail_msg("line %d: '%s'", values[i].line, v);
	}
	for (size_t i = 0; i < SL_ARRAY_SIZE(ips); i++) {
		snprintf(text, sizeof(text), "str(%s),map_ip(%%s)", ips[i][0]);
		assert_string_equal(value(&e, text, net), ips[i][1]);
	}
	unlink(name);
	unlink(net);
	memcpy(net, "/tmp/map_test_XXXXXX", sizeof(net)); // a short list is walked
	write_file(net, "10.0.0.0/8 ten\n10.1.0.0/16 one\n10.1.0.0/16 again\n");
	assert_string_equal(value(&e, "str(10.1.2.3),map_ip(%s)", net), "one");
	assert_string_equal(value(&e, "str(10.2.2.3),map_ip(%s)", net), "ten");
	unlink(net);
	env_close(&e);
}

static void
types_of_values(void **state sl_unused)
{
	char name[] = "/tmp/map_test_XXXXXX", text[200];
	struct env e;

	env_open(&e);
	write_file(name, "1 10\n5:9 20\n^/r(.)(.*)$ 7\n");
	assert_null(env_expr(&e, "int(7),map_int_int(/nonexistent/x)", T_STR));
	assert_string_equal(e.error,
		"invalid args in converter 'map_int_int' : failed to open pattern file "
		"</nonexistent/x>: No such file or directory");
	snprintf(text, sizeof(text), "int(7),map_int(%s)", name);
	assert_null(env_expr(&e, text, T_STR));
	snprintf(text, sizeof(text),
		"invalid args in converter 'map_int' : '^/r(.)(.*)$' is not a number at line 3 of "
		"file '%s'",
		name);
	assert_string_equal(e.error, text);
	unlink(name);
	memcpy(name, "/tmp/map_test_XXXXXX", sizeof(name)); // another file: this one is read once
	write_file(name, "1 10\n5:9 20\n");
	assert_string_equal(value(&e, "int(7),map_int_int(%s),add(1)", name), "21");
	assert_string_equal(value(&e, "int(10),map_int_int(%s,3),add(1)", name), "4");
	snprintf(text, sizeof(text), "int(7),map_int_ip(%s)", name);
	assert_null(env_expr(&e, text, T_STR));
	assert_non_null(strstr(e.error, "unable to parse '10' at line 1 of file"));
	unlink(name);
	memcpy(name, "/tmp/map_test_XXXXXX", sizeof(name));
	write_file(name, "^/r(.)(.*)$ <\\2|\\1>\n");
	assert_string_equal(value(&e, "str(/rabc),map_regm(%s)", name), "<bc|a>");
	assert_string_equal(value(&e, "str(/rabc),map_reg(%s)", name), "<\\2|\\1>");
	unlink(name);
	env_close(&e);
}

/* ---- many entries: as walking finds them ---- */

#define MANY 600

static void
random_text(struct sl_rand *r, char *out, uint32_t max)
{
	uint32_t n = 1 + rand_below(r, max);

	for (uint32_t i = 0; i < n; i++)
		out[i] = (char)('a' + rand_below(r, 2));
	out[n] = '\0';
}

static void
longest_prefix(void **state sl_unused)
{
	static char key[MANY][16], file[MANY * 32];
	char name[] = "/tmp/map_test_XXXXXX", text[64], want[16], q[32];
	uint32_t at = 0, hits = 0;
	struct env e;

	env_open(&e);
	for (uint32_t i = 0; i < MANY; i++) {
		random_text(&e.rand, key[i], 9);
		at += (uint32_t)snprintf(file + at, sizeof(file) - at, "%s %u\n", key[i], i);
	}
	write_file(name, file);
	for (uint32_t i = 0; i < 2000; i++) {
		int best = -1, exact = -1;

		random_text(&e.rand, q, 12);
		for (int k = 0; k < MANY; k++) {
			size_t n = strlen(key[k]);
			if (strncmp(key[k], q, n) == 0 && (best < 0 || n > strlen(key[best])))
				best = k;
			if (exact < 0 && strcmp(key[k], q) == 0)
				exact = k;
		}
		hits += best >= 0;
		snprintf(want, sizeof(want), "%d", best);
		snprintf(text, sizeof(text), "str(%s),map_beg(%%s,-1)", q);
		assert_string_equal(value(&e, text, name), want);
		snprintf(want, sizeof(want), "%d", exact);
		snprintf(text, sizeof(text), "str(%s),map(%%s,-1)", q);
		assert_string_equal(value(&e, text, name), want);
		arena_reset(&e.mem);
		e.comp.acls = acl_scope_new(&e.mem);
	}
	assert_in_range(hits, 100, 2000);
	unlink(name);
	env_close(&e);
}

/* ---- changes ---- */

static int
change(struct pat_file *f, enum pat_op op, const char *key, const char *val, uint32_t ver)
{
	struct pat_edit d = { .op = op, .ver = ver, .key = sl_str_c(key), .value = sl_str_c(val) };
	char text[200];
	struct sl_buf why;

	sl_buf_init(&why, text, sizeof(text));
	return pat_file_edit(f, &d, 1, &why);
}

static void
changes_are_seen(void **state sl_unused)
{
	char name[] = "/tmp/map_test_XXXXXX";
	struct pat_file_info info;
	struct env e;

	env_open(&e);
	write_file(name, lines);
	assert_string_equal(value(&e, "str(/new),map(%s)", name), "-");
	struct pat_file *f = pat_set_find(e.comp.pats, sl_str_c(name), true);
	assert_non_null(f);
	assert_null(pat_set_find(e.comp.pats, sl_str_c(name), false));
	assert_int_equal(change(f, PAT_ADD, "/new", "x", 0), 0);
	assert_string_equal(value(&e, "str(/new),map(%s)", name), "x");
	assert_int_equal(change(f, PAT_SET, "/a", "y", 0), 0); // both of them
	assert_int_equal(change(f, PAT_SET, "/none", "y", 0), -ENOENT);
	assert_string_equal(value(&e, "str(/a),map(%s)", name), "y");
	assert_int_equal(change(f, PAT_PUT, "/put", "1", 0), 0);
	assert_int_equal(change(f, PAT_PUT, "/put", "2", 0), 0);
	assert_string_equal(value(&e, "str(/put),map(%s)", name), "2");
	assert_int_equal(change(f, PAT_DEL, "/a", "", 0), 0);
	assert_string_equal(value(&e, "str(/a),map(%s)", name), "-");
	assert_int_equal(change(f, PAT_DEL, "/a", "", 0), -ENOENT);
	/* what was there waits for its grace, and only once */
	assert_true(pat_set_retire(e.comp.pats));
	assert_int_equal(change(f, PAT_ADD, "/z", "z", 0), 0);
	pat_set_release(e.comp.pats);
	assert_true(pat_set_retire(e.comp.pats));
	pat_set_release(e.comp.pats);
	assert_false(pat_set_retire(e.comp.pats));
	/* a version */
	uint32_t ver = pat_file_prepare(f);
	assert_int_equal(change(f, PAT_ADD, "/v", "v", ver), 0);
	assert_string_equal(value(&e, "str(/v),map(%s)", name), "-");
	assert_int_equal(pat_file_commit(f, ver + 1), -EINVAL);
	assert_int_equal(pat_file_commit(f, ver), 0);
	assert_string_equal(value(&e, "str(/v),map(%s)", name), "v");
	assert_string_equal(value(&e, "str(/new),map(%s)", name), "-");
	pat_file_info(f, &info);
	assert_int_equal(info.entries, 1);
	assert_int_equal(change(f, PAT_CLEAR, "", "", 0), 0);
	assert_string_equal(value(&e, "str(/v),map(%s)", name), "-");
	unlink(name);
	env_close(&e);
}

/* What is no pattern of one of the views changes nothing; too many changes at once neither. */
static void
changes_refused(void **state sl_unused)
{
	char name[] = "/tmp/map_test_XXXXXX";
	struct env e;
	int rc = 0;

	env_open(&e);
	write_file(name, nets);
	assert_string_equal(value(&e, "str(10.2.2.2),map_ip(%s)", name), "ten");
	struct pat_file *f = pat_set_find(e.comp.pats, sl_str_c(name), true);
	assert_int_equal(change(f, PAT_ADD, "nonsense", "x", 0), -EINVAL);
	assert_string_equal(value(&e, "str(nonsense),map(%s)", name), "-");
	for (uint32_t i = 0; i < PAT_RETIRED_MAX / PAT_RETIRED_LIST + 2 && rc == 0; i++)
		rc = change(f, PAT_SET, "10.0.0.0/8", "more", 0);
	assert_int_equal(rc, -EAGAIN);
	assert_true(pat_set_retire(e.comp.pats));
	pat_set_release(e.comp.pats);
	assert_int_equal(change(f, PAT_SET, "10.0.0.0/8", "eight", 0), 0);
	assert_string_equal(value(&e, "str(10.2.2.2),map_ip(%s)", name), "eight");
	unlink(name);
	env_close(&e);
}

/* Called while somebody has the set's lock, for a walk over a whole file. */
static void
main_goes_on(void *ctx, uint64_t id sl_unused, struct sl_str key sl_unused,
	struct sl_str value sl_unused)
{
	struct pat_set *s = ctx;

	assert_false(pat_set_retire(s));
	assert_false(pat_set_release(s));
	assert_int_equal(pat_set_serve(s, 10), 0);
}

/* Main waits for nobody's walk, and does what there is to do at the next tick. */
static void
main_never_waits(void **state sl_unused)
{
	char name[] = "/tmp/map_test_XXXXXX";
	struct env e;

	alarm(30); // who waits for itself waits for ever
	env_open(&e);
	write_file(name, lines);
	assert_string_equal(value(&e, "str(/new),map(%s)", name), "-");
	struct pat_file *f = pat_set_find(e.comp.pats, sl_str_c(name), true);
	assert_int_equal(pat_set_asks(e.comp.pats), 0);
	assert_int_equal(change(f, PAT_ADD, "/old", "x", 0), 0);
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("/new"), SL_STR("y")));
	pat_file_entries(f, 0, main_goes_on, e.comp.pats);
	assert_string_equal(value(&e, "str(/new),map(%s)", name), "-");
	assert_int_equal(pat_set_serve(e.comp.pats, 10), 1);
	assert_string_equal(value(&e, "str(/new),map(%s)", name), "y");
	assert_true(pat_set_retire(e.comp.pats));
	assert_true(pat_set_release(e.comp.pats));
	alarm(0);
	unlink(name);
	env_close(&e);
}

/* What scripts and rules put into a file is bounded; what the operator does is not. */
static void
changes_bounded(void **state sl_unused)
{
	char name[] = "/tmp/map_test_XXXXXX";
	char *big = malloc(PAT_GROWN_MAX / 2);
	struct pat_edit d = { .op = PAT_PUT, .bounded = true, .key = SL_STR("one") };
	char text[200];
	struct sl_buf why;
	struct env e;

	assert_non_null(big);
	memset(big, 'x', PAT_GROWN_MAX / 2);
	big[PAT_GROWN_MAX / 2 - 1] = '\0';
	d.value = sl_str_make(big, PAT_GROWN_MAX / 2 - 500);
	sl_buf_init(&why, text, sizeof(text));
	env_open(&e);
	write_file(name, lines);
	assert_string_equal(value(&e, "str(/new),map(%s)", name), "-");
	struct pat_file *f = pat_set_find(e.comp.pats, sl_str_c(name), true);
	assert_int_equal(pat_file_edit(f, &d, 1, &why), 0);
	assert_int_equal(pat_file_edit(f, &d, 1, &why), 0); // in its place
	d.key = SL_STR("two");
	assert_int_equal(pat_file_edit(f, &d, 1, &why), 0);
	d.key = SL_STR("/a"); // two lines of the file
	assert_int_equal(pat_file_edit(f, &d, 1, &why), -ENOSPC);
	assert_string_equal(value(&e, "str(/a),map(%s)", name), "first value");
	assert_int_equal(change(f, PAT_ADD, "three", big, 0), 0);
	d.key = SL_STR("two");
	d.op = PAT_DEL;
	assert_int_equal(pat_file_edit(f, &d, 1, &why), 0);
	d.key = SL_STR("three");
	d.op = PAT_PUT;
	assert_int_equal(pat_file_edit(f, &d, 1, &why), 0);
	unlink(name);
	env_close(&e);
	free(big);
}

/* What rules ask for: in order, bounded; one that cannot be made takes no other with it. */
static void
changes_asked(void **state sl_unused)
{
	char name[] = "/tmp/map_test.XXXXXX";
	static char big[PAT_ASK_TEXT + 1];
	struct env e;

	env_open(&e);
	write_file(name, lines);
	assert_string_equal(value(&e, "str(/ab),map(%s)", name), "AB");
	struct pat_file *f = pat_set_find(e.comp.pats, sl_str_c(name), true);
	assert_false(pat_file_ask(f, PAT_PUT, SL_STR("/n"), SL_STR("new"))); // no rule does so
	assert_int_equal(pat_set_serve(e.comp.pats, 10), 0);
	assert_int_equal(pat_set_asks(e.comp.pats), 0);

	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("/ab"), SL_STR("changed")));
	assert_true(pat_file_ask(f, PAT_DEL, SL_STR("/nothing"), SL_STR("")));
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("/n"), SL_STR("new")));
	assert_true(pat_file_ask(f, PAT_DEL, SL_STR("/a"), SL_STR("")));
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("/n"), SL_STR("newer")));
	assert_string_equal(value(&e, "str(/ab),map(%s)", name), "AB");
	assert_int_equal(pat_set_serve(e.comp.pats, 10), 5);
	assert_string_equal(value(&e, "str(/ab),map(%s)", name), "changed");
	assert_string_equal(value(&e, "str(/a),map(%s)", name), "-");
	assert_string_equal(value(&e, "str(/n),map(%s)", name), "newer");

	memset(big, 'x', sizeof(big));
	assert_false(pat_file_ask(f, PAT_PUT, SL_STR("k"), sl_str_make(big, PAT_ASK_TEXT)));
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("k"), sl_str_make(big, PAT_ASK_TEXT - 1)));
	for (uint32_t i = 1; i < PAT_ASKS; i++)
		assert_true(pat_file_ask(f, PAT_PUT, SL_STR("last"), SL_STR("8")));
	assert_false(pat_file_ask(f, PAT_PUT, SL_STR("last"), SL_STR("9")));
	assert_int_equal(pat_set_serve(e.comp.pats, 100), 100);
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("last"), SL_STR("9")));
	assert_int_equal(pat_set_serve(e.comp.pats, 2 * PAT_ASKS), PAT_ASKS - 99);
	assert_string_equal(value(&e, "str(last),map(%s)", name), "9");
	unlink(name);
	env_close(&e);
}

/* One that cannot be made costs the others nothing, and is counted if it is lost. */
static void
changes_in_vain(void **state sl_unused)
{
	char name[] = "/tmp/map_test.XXXXXX";
	char *big = malloc(PAT_GROWN_MAX - 2000);
	static char text[PAT_ASK_TEXT - 8];
	struct pat_edit d = { .op = PAT_PUT, .bounded = true, .key = SL_STR("10.0.0.1") };
	struct env e;
	struct sl_buf why;
	char words[200];

	assert_non_null(big);
	memset(big, 'x', PAT_GROWN_MAX - 2000);
	memset(text, 'y', sizeof(text));
	sl_buf_init(&why, words, sizeof(words));
	env_open(&e);
	write_file(name, "10.0.0.0/8 net\n");
	assert_string_equal(value(&e, "str(10.2.2.2),map_ip(%s)", name), "net");
	struct pat_set *s = e.comp.pats;
	struct pat_file *f = pat_set_find(s, sl_str_c(name), true);
	assert_int_equal(pat_set_asks(s), 0);

	/* no such key: nothing is lost, and nothing is compiled more than once */
	for (int i = 0; i < 64; i++)
		assert_true(pat_file_ask(f, i == 30 ? PAT_DEL : PAT_PUT, i == 30 ? SL_STR("10.9.9.9")
			: SL_STR("10.0.0.2"), SL_STR("v")));
	uint32_t lists = s->nretired;
	assert_int_equal(pat_set_serve(s, 64), 64);
	assert_in_range(s->nretired - lists, 1, 2 * PAT_RETIRED_LIST - 1);
	assert_string_equal(value(&e, "str(10.0.0.2),map_ip(%s)", name), "v");
	assert_true(pat_file_ask(f, PAT_DEL, SL_STR("10.9.9.9"), SL_STR("")));
	lists = s->nretired;
	assert_int_equal(pat_set_serve(s, 64), 1);
	assert_int_equal(s->nretired, lists);
	assert_int_equal(pat_set_refused(s), 0);

	/* no address: the others are made */
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("nonsense"), SL_STR("v")));
	assert_int_equal(pat_set_serve(s, 64), 1);
	assert_int_equal(pat_set_refused(s), 1);
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("10.0.0.3"), SL_STR("three")));
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("nonsense"), SL_STR("v")));
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("10.0.0.4"), SL_STR("four")));
	assert_true(pat_file_ask(f, PAT_DEL, SL_STR("10.9.9.9"), SL_STR("")));
	assert_int_equal(pat_set_serve(s, 64), 4);
	assert_int_equal(pat_set_refused(s), 1);
	assert_string_equal(value(&e, "str(10.0.0.3),map_ip(%s)", name), "three");
	assert_string_equal(value(&e, "str(10.0.0.4),map_ip(%s)", name), "four");

	/* no room: what still fits is made, behind it as well */
	d.value = sl_str_make(big, PAT_GROWN_MAX - 2000);
	assert_int_equal(pat_file_edit(f, &d, 1, &why), 0);
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("10.0.0.5"), sl_str_make(text, sizeof(text))));
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("10.0.0.6"), sl_str_make(text, sizeof(text))));
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("10.0.0.7"), SL_STR("seven")));
	lists = s->nretired;
	assert_int_equal(pat_set_serve(s, 64), 3);
	assert_in_range(s->nretired - lists, 1, 2 * PAT_RETIRED_LIST - 1);
	assert_int_equal(pat_set_refused(s), 1);
	assert_string_equal(value(&e, "str(10.0.0.6),map_ip(%s)", name), "net");
	assert_string_equal(value(&e, "str(10.0.0.7),map_ip(%s)", name), "seven");
	unlink(name);
	env_close(&e);
	free(big);
}

/* Changes that find too many lists waiting for their grace wait, and none of them is lost. */
static void
changes_wait(void **state sl_unused)
{
	char name[] = "/tmp/map_test.XXXXXX";
	struct env e;
	uint32_t n = 0;

	env_open(&e);
	write_file(name, "10.0.0.1 1\n10.0.0.2 1\n");
	assert_string_equal(value(&e, "str(10.0.0.1),map_ip(%s)", name), "1");
	struct pat_file *f = pat_set_find(e.comp.pats, sl_str_c(name), true);
	assert_int_equal(pat_set_asks(e.comp.pats), 0);
	while (change(f, PAT_SET, "10.0.0.1", "1", 0) == 0)
		n++;
	assert_true(pat_set_retire(e.comp.pats));
	pat_set_release(e.comp.pats);
	while (n-- > 1) // room for one
		assert_int_equal(change(f, PAT_SET, "10.0.0.1", "2", 0), 0);
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("10.0.0.1"), SL_STR("3")));
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("nonsense"), SL_STR("3")));
	assert_true(pat_file_ask(f, PAT_PUT, SL_STR("10.0.0.2"), SL_STR("3")));
	assert_int_equal(pat_set_serve(e.comp.pats, 10), 1);
	assert_string_equal(value(&e, "str(10.0.0.1),map_ip(%s)", name), "3");
	assert_int_equal(pat_set_serve(e.comp.pats, 10), 0);
	assert_true(pat_set_retire(e.comp.pats));
	pat_set_release(e.comp.pats);
	assert_int_equal(pat_set_serve(e.comp.pats, 10), 2);
	assert_string_equal(value(&e, "str(10.0.0.2),map_ip(%s)", name), "3");
	unlink(name);
	env_close(&e);
}

/* Several threads ask while another serves: each change is made once, in each asker's order. */
#define ASKERS 3
#define EACH   2000

static void *
ask_all(void *p)
{
	struct pat_file *f = p;
	static _Atomic uint32_t ids;
	char key[16], text[16];
	uint32_t id = atomic_fetch_add(&ids, 1) % ASKERS;

	snprintf(key, sizeof(key), "k%u", id);
	for (uint32_t i = 1; i <= EACH; i++) {
		snprintf(text, sizeof(text), "%u", i);
		while (!pat_file_ask(f, PAT_PUT, sl_str_c(key), sl_str_c(text)))
			sched_yield();
	}
	return NULL;
}

static void
changes_of_threads(void **state sl_unused)
{
	char name[] = "/tmp/map_test.XXXXXX";
	pthread_t t[ASKERS];
	struct env e;
	uint32_t n = 0;

	env_open(&e);
	write_file(name, "a b\n");
	assert_string_equal(value(&e, "str(a),map(%s)", name), "b");
	struct pat_file *f = pat_set_find(e.comp.pats, sl_str_c(name), true);
	assert_int_equal(pat_set_asks(e.comp.pats), 0);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, ask_all, f), 0);
	while (n < ASKERS * EACH) {
		uint32_t done = pat_set_serve(e.comp.pats, PAT_ASKS);

		n += done;
		if (pat_set_retire(e.comp.pats))
			pat_set_release(e.comp.pats);
		if (done == 0)
			sched_yield();
	}
	for (int i = 0; i < ASKERS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(n, ASKERS * EACH);
	assert_string_equal(value(&e, "str(k0),map(%s)", name), "2000");
	assert_string_equal(value(&e, "str(k1),map(%s)", name), "2000");
	assert_string_equal(value(&e, "str(k2),map(%s)", name), "2000");
	unlink(name);
	env_close(&e);
}

/* The lines that use a file, each once. */
static void
uses(void **state sl_unused)
{
	char name[] = "/tmp/map_test.XXXXXX";
	const char *path;
	struct env e;
	uint32_t line;

	env_open(&e);
	write_file(name, lines);
	pat_set_place(e.comp.pats, "x.cfg", 7);
	(void)value(&e, "str(/ab),map(%s)", name);
	(void)value(&e, "str(/ab),map_beg(%s)", name);
	pat_set_place(e.comp.pats, "x.cfg", 9);
	(void)value(&e, "str(/ab),map(%s)", name);
	struct pat_file *f = pat_set_find(e.comp.pats, sl_str_c(name), true);
	assert_true(pat_file_use(f, 0, &path, &line));
	assert_string_equal(path, "x.cfg");
	assert_int_equal(line, 7);
	assert_true(pat_file_use(f, 1, &path, &line));
	assert_int_equal(line, 9);
	assert_false(pat_file_use(f, 2, &path, &line));
	unlink(name);
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_entry),
		cmocka_unit_test(types_of_values),
		cmocka_unit_test(longest_prefix),
		cmocka_unit_test(changes_are_seen),
		cmocka_unit_test(changes_refused),
		cmocka_unit_test(changes_bounded),
		cmocka_unit_test(main_never_waits),
		cmocka_unit_test(changes_asked),
		cmocka_unit_test(changes_in_vain),
		cmocka_unit_test(changes_wait),
		cmocka_unit_test(changes_of_threads),
		cmocka_unit_test(uses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
