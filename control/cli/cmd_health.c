// SPDX-License-Identifier: BSD-3-Clause
/*
 * "set health" and "show health": whether traffic is welcome, by the file of "health-file".
 *
 * Runs on: main. sluice's own: who announces our addresses acts on that file, so this is how traffic is
 * taken away before a stop, and given back if it was not needed.
 */
#include "control/cli/cli_priv.h"

static void
do_set(struct cli_ctx *x)
{
	const struct cli_spec *s = &x->cli->s;
	struct sl_str how = x->arg[0];

	if (s->health_set == NULL)
		cli_err(x, "There is no 'health-file'.");
	else if (sl_str_eq(how, SL_STR("auto")))
		s->health_set(s->ctx, true);
	else if (sl_str_eq(how, SL_STR("down")))
		s->health_set(s->ctx, false);
	else
		cli_err(x, "'set health' expects 'auto' or 'down'.");
}

static void
do_show(struct cli_ctx *x)
{
	const struct cli_spec *s = &x->cli->s;
	const char *why = s->health_set != NULL ? s->health_why(s->ctx) : "there is no 'health-file'";

	if (why == NULL)
		cli_msg(x, "up");
	else
		cli_printf(x, "down: %s\n", why);
}

// clang-format off
SL_CLI_COMMANDS(
	{ "set health", CLI_ADMIN, 1, 1, do_set, "auto|down",
		"whether the file of 'health-file' follows the state, or is away" },
	{ "show health", CLI_OPER, 0, 0, do_show, "", "whether traffic is welcome, or why not" },
);
// clang-format on
