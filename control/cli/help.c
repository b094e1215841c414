// SPDX-License-Identifier: BSD-3-Clause
/*
 * "help", and the answer to a command that is not there: the rows that begin alike.
 *
 * Runs on: main. The form is HAProxy's: a line a command, its help in column 43.
 */
#include "control/cli/cli_priv.h"

#include <stdio.h>

#define COLUMN 40
#define NEAR   5 // commands that a misspelt one is offered, as HAProxy

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

/* As many words as the row has, of those given: how far from its own; NEVER: mostly something else. */
#define NEVER UINT32_MAX
static uint32_t
distance(const struct cli_cmd *cmd, const struct sl_str *word, uint32_t n)
{
	uint32_t max, d;
	struct sl_str rest = sl_str_c(cmd->name);
	char text[128];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	for (uint32_t i = 0; i < n && rest.p != NULL; i++) {
		(void)sl_str_cut(&rest, ' ');
		if (i > 0)
			sl_buf_char(&b, ' ');
		sl_buf_add(&b, word[i]);
	}
	if (b.full)
		return NEVER;
	max = b.len / 3 + 1;
	d = registry_distance(sl_buf_str(&b), sl_str_c(cmd->name), max);
	return d <= max && d < strlen(cmd->name) ? d : NEVER;
}

/* The rows nearest to a command that begins like none, the nearest first. */
static uint32_t
find_near(const struct cli_ctx *x, const struct sl_str *word, uint32_t n, const struct cli_cmd **near)
{
	const struct registry *r = cli_registry();
	uint32_t far[NEAR], count = 0;

	for (uint32_t i = 0; i < r->count && n > 0; i++) {
		const struct cli_cmd *cmd = r->rows[i];
		uint32_t d = distance(cmd, word, n), at = count;

		if (cmd->level > x->client->level || is_session(cmd) || d == NEVER)
			continue;
		while (at > 0 && far[at - 1] > d)
			at--;
		if (at == NEAR)
			continue;
		count = sl_min(count + 1, (uint32_t)NEAR);
		for (uint32_t k = count - 1; k > at; k--) {
			far[k] = far[k - 1];
			near[k] = near[k - 1];
		}
		far[at] = d;
		near[at] = cmd;
	}
	return count;
}

static bool
is_near(const struct cli_cmd *cmd, const struct cli_cmd *const *near, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (near[i] == cmd)
			return true;
	}
	return false;
}

void
cli_help(struct cli_ctx *x, const struct sl_str *word, uint32_t n, bool unknown)
{
	const struct registry *r = cli_registry();
	const struct cli_cmd *near[NEAR];
	bool any = has_match(x, word, n);
	uint32_t nnear;

	nnear = unknown && !any ? find_near(x, word, n, near) : 0;
	while (nnear == 0 && !any && n > 1) // by as many words as there are commands for
		any = has_match(x, word, --n);
	cli_severity(x, SL_INFO);
	if (unknown && !any && nnear == 0)
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
			if (last == 1 || (nnear > 0 ? is_near(cmd, near, nnear)
						     : !any || matches(cmd, word, n)))
				line(x, cmd);
		}
	}
}
