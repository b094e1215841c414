// SPDX-License-Identifier: BSD-3-Clause
/*
 * "help", and the answer to a command that is not there: the rows that begin alike.
 *
 * Runs on: main. The form is HAProxy's: a line a command, its help in column 43.
 */
#include "control/cli/cli_priv.h"

#include <stdio.h>

#define COLUMN 40

static bool
is_session(const struct cli_cmd *cmd)
{
	static const char *const last[] = { "help", "prompt", "quit" };

	for (size_t i = 0; i < SL_ARRAY_SIZE(last); i++) {
		if (strcmp(cmd->name, last[i]) == 0)
			return true;
	}
	return false;
}

/* Are the first n words the beginning of the row's? The last one may be cut short. */
static bool
matches(const struct cli_cmd *cmd, const struct sl_str *word, uint32_t n)
{
	struct sl_str rest = sl_str_c(cmd->name);

	for (uint32_t i = 0; i < n; i++) {
		struct sl_str w;

		if (rest.p == NULL)
			return true; // arguments
		w = sl_str_cut(&rest, ' ');
		if (!sl_str_starts(w, word[i], false))
			return false;
		if (i + 1 < n && !sl_str_eq(w, word[i]))
			return false;
	}
	return true;
}

static bool
has_match(const struct cli_ctx *x, const struct sl_str *word, uint32_t n)
{
	const struct registry *r = cli_registry();

	for (uint32_t i = 0; i < r->count && n > 0; i++) {
		const struct cli_cmd *cmd = r->rows[i];

		if (cmd->level <= x->client->level && matches(cmd, word, n))
			return true;
	}
	return false;
}

static void
line(struct cli_ctx *x, const struct cli_cmd *cmd)
{
	char text[256];

	snprintf(text, sizeof(text), "%s%s%s", cmd->name, cmd->args[0] != '\0' ? " " : "", cmd->args);
	cli_printf(x, "  %-*s: %s\n", COLUMN, text, cmd->help);
}

void
cli_help(struct cli_ctx *x, const struct sl_str *word, uint32_t n, bool unknown)
{
	const struct registry *r = cli_registry();
	bool any = has_match(x, word, n);

	while (!any && n > 1) // by as many words as there are commands for
		any = has_match(x, word, --n);
	if (unknown && !any)
		cli_msg(x, "Unknown command. Please enter one of the following commands only :");
	else if (unknown)
		cli_msg(x, "Unknown command, but maybe one of the following ones is a better match:");
	else
		cli_msg(x, "The following commands are valid at this level:");
	for (int last = 0; last < 2; last++) {
		for (uint32_t i = 0; i < r->count; i++) {
			const struct cli_cmd *cmd = r->rows[i];

			if (cmd->level > x->client->level || is_session(cmd) != (last == 1))
				continue;
			if (last == 1 || !any || matches(cmd, word, n))
				line(x, cmd);
		}
	}
}
