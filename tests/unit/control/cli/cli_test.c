// SPDX-License-Identifier: BSD-3-Clause
/* Words of commands, the table, and a client over a socket pair fed whole and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/cli/cli_priv.h"

static void
test_words(void **state)
{
	static const struct {
		int line;
		const char *text;
		int n;
		const char *word[4];
	} rows[] = {
		{ __LINE__, "", 0, { NULL } },
		{ __LINE__, "  \t ", 0, { NULL } },
		{ __LINE__, "show  info", 2, { "show", "info" } },
		{ __LINE__, "\tset weight be/a\t50% ", 4, { "set", "weight", "be/a", "50%" } },
		{ __LINE__, "a\\ b c\\\\", 2, { "a b", "c\\" } },
		{ __LINE__, "end\\", 1, { "end\\" } },
		{ __LINE__, "a b c d e", -E2BIG, { NULL } },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct sl_str word[4];
		char text[64];
		int n;

		snprintf(text, sizeof(text), "%s", rows[i].text);
		n = cli_words(text, word, 4);
		if (n != rows[i].n)
			fail_msg("line %d: %d words", rows[i].line, n);
		for (int k = 0; k < n; k++)
			assert_true(sl_str_eq(word[k], sl_str_c(rows[i].word[k])));
	}
}

/* Every row can be found, and says what it needs. */
static void
test_rows(void **state)
{
	const char *dup = NULL;

	(void)state;
	assert_int_equal(cli_init(&dup), 0);
	assert_true(cli_registry()->count > 25);
	for (uint32_t i = 0; i < cli_registry()->count; i++) {
		const struct cli_cmd *c = cli_registry()->rows[i];

		assert_ptr_equal(registry_find(cli_registry(), sl_str_c(c->name)), c);
		assert_non_null(c->help);
		assert_true(c->min <= c->max);
		assert_true(c->level <= CLI_ADMIN);
	}
}

struct env {
	struct cli cli;
	int fd;
};

static void
open_env(struct env *e, enum cli_level level)
{
	int p[2];

	*e = (struct env){ .cli = { .maxconn = 10, .timeout_ms = 10000 } };
	e->cli.s.ev = ev_loop_new(EVFLAG_AUTO);
	sl_list_init(&e->cli.clients);
	sl_list_init(&e->cli.listeners);
	cli_turns_init(&e->cli, 100);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	(void)fcntl(p[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(p[1], F_SETFL, O_NONBLOCK);
	e->fd = p[1];
	cli_accept(&e->cli, p[0], &(struct cli_bind){ .level = level });
}

static void
close_env(struct env *e)
{
	close(e->fd);
	while (!sl_list_is_empty(&e->cli.clients))
		cli_client_free(sl_list_first(&e->cli.clients, struct cli_client, node));
	cli_turns_fini(&e->cli);
	ev_loop_destroy(e->cli.s.ev);
}

/* Sends text in pieces of `step`, returns all that comes back. */
static const char *
talk(struct env *e, const char *text, size_t step)
{
	static char out[65536];
	size_t n = 0, len = strlen(text);
	ssize_t r;

	for (size_t i = 0; i < len; i += step) {
		if (write(e->fd, text + i, sl_min(step, len - i)) < 0)
			break; // closed before all was said
		ev_run(e->cli.s.ev, EVRUN_NOWAIT);
	}
	for (int i = 0; i < 20; i++) {
		ev_run(e->cli.s.ev, EVRUN_NOWAIT);
		while ((r = read(e->fd, out + n, sizeof(out) - 1 - n)) > 0)
			n += (size_t)r;
	}
	out[n] = '\0';
	return out;
}

static void
test_client(void **state)
{
	static const struct {
		int line;
		enum cli_level level;
		const char *in, *out;
		bool ends;
	} rows[] = {
		{ __LINE__, CLI_ADMIN, "show cli level\n", "admin\n\n", true },
		{ __LINE__, CLI_ADMIN, "show cli level\r\n", "admin\n\n", true },
		{ __LINE__, CLI_ADMIN, "user;show cli level;operator;show cli level\n",
			"\nuser\n\nPermission denied\n\nuser\n\n", true },
		{ __LINE__, CLI_OPER, "set weight be/a 3\n", "Permission denied\n\n", true },
		{ __LINE__, CLI_ADMIN, "prompt\nshow cli level\n", "\n> admin\n\n> ", false },
		{ __LINE__, CLI_ADMIN, "prompt\nshow cli level\nquit\nshow cli level\n",
			"\n> admin\n\n> ", true },
		{ __LINE__, CLI_ADMIN, "prompt\nshow cli level <<\none\n two\n\nshow cli level\n",
			"\n> + admin\n\n> admin\n\n> ", false },
		{ __LINE__, CLI_ADMIN, "show cli level <<\n\n", "admin\n\n", true },
		{ __LINE__, CLI_ADMIN, "set timeout cli 0\n", "Invalid timeout value.\n\n", true },
		{ __LINE__, CLI_ADMIN, "\n", "\n", true },
		{ __LINE__, CLI_ADMIN, "show cli level", "", false },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		for (size_t step = 1; step < 70; step += step == 1 ? 2 : 60) {
			struct env e;
			const char *out;

			open_env(&e, rows[i].level);
			out = talk(&e, rows[i].in, step);
			if (strcmp(out, rows[i].out) != 0)
				fail_msg("line %d, pieces of %zu: '%s'", rows[i].line, step, out);
			assert_int_equal(sl_list_is_empty(&e.cli.clients), rows[i].ends);
			assert_int_equal(e.cli.stats.clients, !rows[i].ends);
			close_env(&e);
		}
	}
}

/* A line without end, and a payload without end, are answered and closed. */
static void
test_too_long(void **state)
{
	char *text = malloc(3 * CLI_LINE_MAX);
	struct env e;

	(void)state;
	memset(text, 'x', 3 * CLI_LINE_MAX);
	text[CLI_LINE_MAX + 10] = '\0';
	open_env(&e, CLI_ADMIN);
	assert_non_null(strstr(talk(&e, text, 1000), "Line too long"));
	close_env(&e);
	memset(text, 'x', 3 * CLI_LINE_MAX);
	memcpy(text, "show cli level <<\n", 18);
	for (uint32_t i = 100; i < 2 * CLI_LINE_MAX; i += 100)
		text[i] = '\n';
	text[2 * CLI_LINE_MAX] = '\0';
	open_env(&e, CLI_ADMIN);
	assert_non_null(strstr(talk(&e, text, 1000), "Line too long"));
	close_env(&e);
	free(text);
}

/* ---- reload ---- */

static uint32_t
begin_reload(void *ctx)
{
	return ++*(uint32_t *)ctx;
}

static uint32_t
generations(void *ctx sl_unused, struct cli_generation *out, uint32_t max)
{
	assert_true(max >= 2);
	out[0] = (struct cli_generation){ .id = 9, .state = "served", .age_s = 3, .conns = 5 };
	out[1] = (struct cli_generation){ .id = 7, .state = "old", .age_s = 60, .streams = 1, .slots = 2 };
	return 2;
}

/* Who asked waits for the end, and what stands behind it in the line too; others do not. */
static void
test_reload(void **state sl_unused)
{
	const char *last;
	uint32_t run = 40;
	struct env e;

	for (int ok = 0; ok < 2; ok++) {
		open_env(&e, CLI_ADMIN);
		e.cli.s.reload = begin_reload;
		e.cli.s.ctx = &run;
		run = 40;
		assert_string_equal(talk(&e, "reload; show cli level\n", 100), "");
		cli_reload_done(&e.cli, 40, true, SL_STR("another one"));
		assert_string_equal(talk(&e, "", 1), "");
		cli_reload_done(&e.cli, 41, ok != 0, SL_STR("[ALERT] x\n"));
		last = talk(&e, "", 1);
		assert_string_equal(last,
			ok ? "Success=1\n--\n[ALERT] x\n\nadmin\n\n"
			   : "Success=0\n--\n[ALERT] x\n\nadmin\n\n");
		assert_true(sl_list_is_empty(&e.cli.clients));
		close_env(&e);
	}
	// one that leaves meanwhile leaves nothing behind
	open_env(&e, CLI_ADMIN);
	e.cli.s.reload = begin_reload;
	e.cli.s.ctx = &run;
	talk(&e, "reload; show cli level\n", 100);
	shutdown(e.fd, SHUT_RDWR);
	cli_reload_done(&e.cli, run, true, SL_STR(""));
	close_env(&e);
	open_env(&e, CLI_OPER);
	assert_string_equal(talk(&e, "reload\n", 100), "Permission denied\n\n");
	close_env(&e);
}

static void
test_generations(void **state sl_unused)
{
	struct env e;

	open_env(&e, CLI_OPER);
	e.cli.s.generations = generations;
	assert_string_equal(talk(&e, "show generations\n", 100),
		"# id state age_s connections streams slots records\n"
		"9 served 3 5 0 0 0\n7 old 60 0 1 2 0\n\n");
	close_env(&e);
}

/* "@1" and its kin, on a socket of "-S" only. */
static void
test_master(void **state sl_unused)
{
	struct cli_reloads r = { .master = 77 };
	char own[64], want[128];
	const struct {
		int line;
		const char *in, *out;
	} rows[] = {
		{ __LINE__, "@1 show cli level\n", "admin\n\n" },
		{ __LINE__, "@ show cli level\n", "admin\n\n" },
		{ __LINE__, "@master show cli level\n", "admin\n\n" },
		{ __LINE__, "@!77 show cli level\n", "admin\n\n" },
		{ __LINE__, own, "admin\n\n" },
		{ __LINE__, "@2 show cli level\n",
			"Can't find the target PID matching the prefix '@2'\n\n" },
		{ __LINE__, "@!1x show cli level\n",
			"Can't find the target PID matching the prefix '@!1x'\n\n" },
		{ __LINE__, "prompt\n@1\n@\nquit\n", want },
	};

	snprintf(own, sizeof(own), "@!%d show cli level\n", (int)getpid());
	snprintf(want, sizeof(want), "\nmaster> \n%d> \nmaster> ", (int)getpid());
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct env e;
		const char *out;

		open_env(&e, CLI_ADMIN);
		e.cli.s.reloads = &r;
		sl_list_first(&e.cli.clients, struct cli_client, node)->master = true;
		out = talk(&e, rows[i].in, 100);
		if (strcmp(out, rows[i].out) != 0)
			fail_msg("line %d: %s", rows[i].line, out);
		close_env(&e);
	}
}

/* ---- turns ---- */

/* So little in all that it is burnt within a slice of the kernel's, however busy the machine is. */
#define BURN_S  0.0002
#define BURST_S 0.0005
#define SHARE   1

static double
cpu_s(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
do_burn(struct cli_ctx *x)
{
	double end = cpu_s(CLOCK_THREAD_CPUTIME_ID) + BURN_S;

	while (cpu_s(CLOCK_THREAD_CPUTIME_ID) < end)
		;
	cli_msg(x, "ash");
}

static uint32_t
count_of(const char *text, const char *word)
{
	uint32_t n = 0;

	while ((text = strstr(text, word)) != NULL) {
		n++;
		text++;
	}
	return n;
}

/*
 * One that asks too much gets the share of the CPU and no more; whoever asks beside it is answered
 * before it is done; without a limit nobody waits.
 */
static void
test_turns(void **state sl_unused)
{
	enum { N = 20 };

	for (int limited = 0; limited < 2; limited++) {
		char out[4096] = "", text[512] = "prompt\n", beside[64] = "";
		double began = cpu_s(CLOCK_MONOTONIC), wall, least;
		uint32_t when = 0;
		struct env e;
		size_t n = 0;
		int p[2];

		open_env(&e, CLI_ADMIN);
		if (limited) {
			cli_turns_set(&e.cli, SHARE);
			e.cli.turns.burst = e.cli.turns.credit = BURST_S;
		}
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p), 0);
		cli_accept(&e.cli, p[0], &(struct cli_bind){ .level = CLI_OPER });
		for (size_t i = 0, at = strlen(text); i < N; i++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "burn\n");
		assert_int_equal(write(e.fd, text, strlen(text)), strlen(text));
		while (count_of(out, "ash") < N && cpu_s(CLOCK_MONOTONIC) < began + 30.) {
			ssize_t r;

			ev_run(e.cli.s.ev, EVRUN_NOWAIT);
			r = read(e.fd, out + n, sizeof(out) - 1 - n);
			if (r <= 0)
				continue;
			if (n == 0)
				assert_int_equal(write(p[1], "show cli level\n", 15), 15);
			out[n += (size_t)r] = '\0';
			if (beside[0] == '\0' && read(p[1], beside, sizeof(beside) - 1) > 0)
				when = count_of(out, "ash");
		}
		wall = cpu_s(CLOCK_MONOTONIC) - began;
		least = (N * BURN_S - 2 * BURST_S - BURN_S) * 100 / SHARE;
		assert_int_equal(count_of(out, "ash"), N);
		assert_true((e.cli.stats.waited > 0) == (limited != 0));
		if (limited && (wall < least || when == 0 || when >= N))
			fail_msg("%.3f s, at least %.3f; answered beside after %u", wall, least,
				when);
		assert_true(!limited || strcmp(beside, "operator\n\n") == 0);
		close(p[1]);
		close_env(&e);
	}
}

/* Who leaves while waiting is forgotten. */
static void
test_turn_leaves(void **state sl_unused)
{
	struct env e;

	open_env(&e, CLI_ADMIN);
	cli_turns_set(&e.cli, 1);
	e.cli.turns.credit = -0.001;
	assert_string_equal(talk(&e, "show cli level\n", 100), "");
	assert_false(sl_list_is_empty(&e.cli.turns.waiting));
	cli_client_free(sl_list_first(&e.cli.clients, struct cli_client, node));
	assert_true(sl_list_is_empty(&e.cli.turns.waiting));
	ev_run(e.cli.s.ev, 0); // the timer finds nobody
	close_env(&e);
}

// clang-format off
SL_CLI_COMMANDS(
	{ "burn", CLI_ADMIN, 0, 0, do_burn, "", "takes main's time" },
);
// clang-format on

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_master),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_turn_leaves),
	};

	signal(SIGPIPE, SIG_IGN); // as the daemon
	return cmocka_run_group_tests(tests, NULL, NULL);
}
