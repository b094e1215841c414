// SPDX-License-Identifier: BSD-3-Clause
/*
 * "reload" and "show generations": from one configuration to the next, and what is left of the ones
 * before.
 *
 * Runs on: main. A reload takes as long as its scripts do; the client that asked waits for it, and
 * nobody else.
 */
#include "control/cli/cli_priv.h"

#include <inttypes.h>

static void
do_reload(struct cli_ctx *x)
{
	const struct cli_spec *s = &x->cli->s;

	if (s->reload == NULL)
		cli_err(x, "Nothing can be reloaded here.");
	else
		x->client->reload = s->reload(s->ctx);
}

static void
do_generations(struct cli_ctx *x)
{
	const struct cli_spec *s = &x->cli->s;
	struct cli_generation g[MODEL_GENERATIONS];
	uint32_t n = s->generations != NULL ? s->generations(s->ctx, g, MODEL_GENERATIONS) : 0;

	cli_msg(x, "# id state age_s connections streams slots records");
	for (uint32_t i = 0; i < n; i++)
		cli_printf(x,
			"%u %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", g[i].id,
			g[i].state, g[i].age_s, g[i].conns, g[i].streams, g[i].slots, g[i].records);
}

// clang-format off
SL_CLI_COMMANDS(
	{ "reload", CLI_ADMIN, 0, 0, do_reload, "",
		"load the configuration again and serve it; nothing is lost" },
	{ "show generations", CLI_OPER, 0, 0, do_generations, "",
		"configurations that are in use, and by what" },
);
// clang-format on
