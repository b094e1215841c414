// SPDX-License-Identifier: BSD-3-Clause
/*
 * What HAProxy's master process answers, given by the one process that there is: "@1 ...",
 * "show proc"; "reload" is in cmd_reload.c.
 *
 * Runs on: main. Follows: HAProxy 2.6, management guide 9.4. Every command is there with and without a
 * prefix, as there is nobody else to ask.
 */
#include "control/cli/cli_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "control/stats/table.h"

bool
cli_master_prefix(struct cli_ctx *x, struct sl_str **word, uint32_t *n)
{
	struct sl_str w = (*word)[0], pid;
	uint64_t id;
	bool worker;

	if (w.len == 0 || w.p[0] != '@')
		return true;
	pid = sl_str_make(w.p + 1, w.len - 1);
	if (pid.len == 0 || sl_str_eq(pid, SL_STR("master"))) {
		worker = false;
	} else if (sl_str_eq(pid, SL_STR("1"))) {
		worker = true;
	} else if (pid.p[0] == '!' &&
		sl_str_u64(sl_str_make(pid.p + 1, pid.len - 1), &id) == 0 &&
		(id == (uint64_t)getpid() ||
			(x->cli->s.reloads != NULL && id == (uint64_t)x->cli->s.reloads->master))) {
		worker = id == (uint64_t)getpid();
	} else {
		cli_errf(x, "Can't find the target PID matching the prefix '%.*s'", SL_STR_ARG(w));
		return false;
	}
	if (*n == 1) // alone: from now on
		x->client->worker = worker;
	(*word)++;
	(*n)--;
	return true;
}

static void
row(struct cli_ctx *x, int pid, const char *type, const char *reloads, uint64_t s)
{
	char up[32];

	snprintf(up, sizeof(up), "%" PRIu64 "d%02uh%02um%02us", s / 86400,
		(unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
	cli_printf(x, "%-15d %-15s %-15s %-15s %-15s\n", pid, type, reloads, up, SL_VERSION);
}

/* Old generations stand where HAProxy has its old workers. */
static void
do_proc(struct cli_ctx *x)
{
	const struct cli_spec *s = &x->cli->s;
	struct cli_generation g[MODEL_GENERATIONS];
	uint32_t n = s->generations != NULL ? s->generations(s->ctx, g, MODEL_GENERATIONS) : 0;
	const struct cli_reloads none = { .master = (int)getpid() };
	const struct cli_reloads *r = s->reloads != NULL ? s->reloads : &none;
	struct stats_src src;
	char text[64];
	uint64_t up;

	stats_source(s->stats, &src);
	up = (uint64_t)time(NULL) - src.start;
	cli_printf(x, "%-15s %-15s %-15s %-15s %-15s\n", "#<PID>", "<type>", "<reloads>", "<uptime>",
		"<version>");
	snprintf(text, sizeof(text), "%u [failed: %u]", r->done, r->failed);
	row(x, r->master, "master", text, up);
	cli_msg(x, "# workers");
	row(x, (int)getpid(), "worker", "0", n > 0 ? g[0].age_s : up);
	if (n > 1)
		cli_msg(x, "# old workers");
	for (uint32_t i = 1; i < n; i++) {
		snprintf(text, sizeof(text), "%u", g[0].id - g[i].id);
		row(x, (int)getpid(), "worker", text, g[i].age_s);
	}
	cli_msg(x, "# programs");
}

// clang-format off
SL_CLI_COMMANDS(
	{ "show proc", CLI_USER, 0, 0, do_proc, "", "show processes status" },
);
// clang-format on
