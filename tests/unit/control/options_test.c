// SPDX-License-Identifier: BSD-3-Clause
/* The command line: what each option means, what is refused, which exit status comes of it. */
#include "control/options.h"
#include "tests/unit/control/conf/conf_env.h"

#include <fcntl.h>

#define ARGS_MAX 32

static int
parse(struct options *o, const char *line)
{
	static char text[512];
	char *argv[ARGS_MAX] = { (char[]){ "sluice" } };
	int argc = 1;

	snprintf(text, sizeof(text), "%s", line);
	for (char *save, *w = strtok_r(text, " ", &save); w != NULL;
		w = strtok_r(NULL, " ", &save)) {
		assert_in_range(argc, 1, ARGS_MAX - 1);
		argv[argc++] = w;
	}
	return options_parse(argc, argv, o);
}

/* What the program prints is not the matter here. */
static int saved[2];

static void
hush(void)
{
	int null = open("/dev/null", O_WRONLY);

	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		saved[i] = dup(i + 1);
		dup2(null, i + 1);
	}
	close(null);
}

static void
speak(void)
{
	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
	}
}

static void
test_fields(void **state sl_unused)
{
	struct options o;

	assert_int_equal(
		parse(&o, "-f a -f b -c -V -q -D -dW -p /p -C /d -L me -n 5 -N 6 -m 7 -- c d"), 0);
	assert_int_equal(o.nfiles, 4);
	assert_string_equal(o.files[0], "a");
	assert_string_equal(o.files[1], "b");
	assert_string_equal(o.files[2], "c");
	assert_string_equal(o.files[3], "d");
	assert_true(o.check && o.verbose && o.quiet && o.daemon && o.warn_fatal);
	assert_false(o.debug || o.foreground || o.dump);
	assert_string_equal(o.pidfile, "/p");
	assert_string_equal(o.dir, "/d");
	assert_string_equal(o.localpeer, "me");
	assert_int_equal(o.maxconn, 5);
	assert_int_equal(o.proxy_maxconn, 6);
	assert_int_equal(o.memory_mb, 7);
	options_free(&o);
	assert_int_equal(parse(&o, "-d -f a"), 0);
	assert_true(o.debug && o.foreground);
	options_free(&o);
	assert_int_equal(parse(&o, "-db -f a"), 0);
	assert_true(o.foreground && !o.debug);
	options_free(&o);
	assert_int_equal(parse(&o, "-dKall"), 0);
	assert_true(o.dump);
	options_free(&o);
}

static void
test_status(void **state sl_unused)
{
	static const struct {
		int line;
		const char *args;
		int rc, status;
	} t[] = {
		{ __LINE__, "-v", 1, 0 },
		{ __LINE__, "-vv", 1, 0 },
		{ __LINE__, "-h", 1, 1 },
		{ __LINE__, "", 1, 1 },
		{ __LINE__, "-c", 1, 1 },
		{ __LINE__, "-Z -f a", 1, 1 },
		{ __LINE__, "a", 1, 1 },
		{ __LINE__, "-", 1, 1 },
		{ __LINE__, "-f", 1, 1 },
		{ __LINE__, "-f a -n", 1, 1 },
		{ __LINE__, "-f a -n x", 1, 1 },
		{ __LINE__, "-f a -S", 1, 1 },
		{ __LINE__, "-f a -S x", 0, 0 },
		{ __LINE__, "-f a -sf 1", 0, 0 },
		{ __LINE__, "-f a -sf 1 2 -W", 0, 0 },
		{ __LINE__, "-f a -st", 0, 0 },
		{ __LINE__, "-f a -sf 1 x", 1, 1 },
		{ __LINE__, "-f a -x /s", 1, 1 },
		{ __LINE__, "-cc 1", 1, 0 },
		{ __LINE__, "-cc 0", 1, 1 },
		{ __LINE__, "-cc (", 1, 2 },
		{ __LINE__, "-dM -dI -dW -f a", 0, 0 },
		{ __LINE__, "-dM55,no-merge -dV -dr -dG -dR -dS -de -dp -dD -f a", 0, 0 },
		{ __LINE__, "--", 1, 1 },
		{ __LINE__, "-- a", 0, 0 },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(t); i++) {
		struct options o;
		int rc;

		hush();
		rc = parse(&o, t[i].args);
		speak();
		if (rc != t[i].rc || o.status != t[i].status)
			fail_msg("line %d: %d, status %d", t[i].line, rc, o.status);
		options_free(&o);
	}
}

/* Loads a text with options before -f; returns the status, -1 when there is a model to run. */
static int
load(struct options *o, const char *options, const char *text, struct model **m)
{
	char path[64], line[200];
	int fd = conf_run_file(text, path), rc;

	snprintf(line, sizeof(line), "%s -f %s", options, path);
	hush();
	rc = parse(o, line);
	if (rc == 0)
		rc = options_load(o, m);
	speak();
	close(fd);
	return rc == 0 ? -1 : o->status;
}

#define GOOD PORTS DEFAULTS " maxconn 3\nlisten a\n bind :80\nfrontend b\n maxconn 0\n bind :81\n"
#define WARN PORTS "frontend b\n bind :81\n"

static void
test_load(void **state sl_unused)
{
	static const struct {
		int line;
		const char *options, *text;
		int status;
	} t[] = {
		{ __LINE__, "-c", GOOD, 0 },
		{ __LINE__, "", GOOD, -1 },
		{ __LINE__, "-c", WARN, 0 },
		{ __LINE__, "-c -dW", WARN, 1 },
		{ __LINE__, "-dW", WARN, 1 },
		{ __LINE__, "-c -dW", GOOD, 0 },
		{ __LINE__, "-c", "nonsense\n", 1 },
		{ __LINE__, "-c -q", "nonsense\n", 1 },
		{ __LINE__, "", "nonsense\n", 1 },
		{ __LINE__, "-c", "global\n daemon\n", 2 },
		{ __LINE__, "", "global\n daemon\n", 1 },
		{ __LINE__, "-c -f /nonexistent", GOOD, 1 },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(t); i++) {
		struct model *m = NULL;
		struct options o;
		int status = load(&o, t[i].options, t[i].text, &m);

		if (status != t[i].status || (m != NULL) != (status < 0))
			fail_msg("line %d: status %d", t[i].line, status);
		conf_free(m);
		options_free(&o);
	}
}

static void
test_override(void **state sl_unused)
{
	struct model *m;
	struct options o;

	assert_int_equal(load(&o, "-n 9 -N 8 -p /p -q -D", "global\n maxconn 5\n" GOOD, &m), -1);
	assert_int_equal(m->global.maxconn, 9);
	assert_string_equal(m->global.pidfile.p, "/p");
	assert_true(m->global.quiet && m->global.daemon);
	assert_int_equal(m->proxies[0]->maxconn, 3);
	assert_int_equal(m->proxies[1]->maxconn, 8);
	conf_free(m);
	options_free(&o);
	// -db and -V undo what the file says
	assert_int_equal(load(&o, "-db -V", "global\n daemon\n quiet\n maxconn 5\n" GOOD, &m), -1);
	assert_int_equal(m->global.maxconn, 5);
	assert_false(m->global.quiet || m->global.daemon);
	conf_free(m);
	options_free(&o);
}

static void
test_apply(void **state sl_unused)
{
	struct options o = { .localpeer = "me", .dir = "/" };

	assert_int_equal(options_apply(&o), 0);
	assert_string_equal(getenv("HAPROXY_LOCALPEER"), "me");
	o = (struct options){ .localpeer = NULL };
	assert_int_equal(options_apply(&o), 0);
	assert_string_not_equal(getenv("HAPROXY_LOCALPEER"), "me");
	o.dir = "/nonexistent";
	hush();
	assert_int_equal(options_apply(&o), -ENOENT);
	speak();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_apply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
