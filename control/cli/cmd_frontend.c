// SPDX-License-Identifier: BSD-3-Clause
/*
 * "disable", "enable" and "shutdown frontend": whether it takes new connections.
 *
 * Runs on: main. Follows: HAProxy 2.6 management guide 9.3, with its answers. What is in flight goes on.
 * A connection to one that is stopped is reset by the worker; the address stays taken, which HAProxy
 * gives back. A disabled one stays so over reloads; one that was shut down is back after the next.
 */
#include "control/cli/cli_priv.h"

static _Atomic(uint8_t) *
stop_of(struct cli_ctx *x)
{
	const struct proxy *p;

	if (x->n == 0) {
		cli_err(x, "A frontend name is expected.");
		return NULL;
	}
	p = cli_find_frontend(x, x->arg[0]);
	return p != NULL ? &x->cli->s.bal->px[p->slot].stop : NULL;
}

/* Nothing was done, and nothing had to be. Of one that was shut down HAProxy sees it so, but for "enable". */
static void
note(struct cli_ctx *x, const char *text)
{
	cli_severity(x, SL_NOTICE);
	cli_msg(x, text);
}

static void
do_enable(struct cli_ctx *x)
{
	_Atomic(uint8_t) *stop = stop_of(x);

	if (stop == NULL)
		return;
	if (*stop == PX_STOP_SHUT)
		cli_err(x, "Frontend was previously shut down, cannot enable.");
	else if (*stop == PX_STOP_NO)
		note(x, "All sockets are already enabled.");
	else
		*stop = PX_STOP_NO;
}

static void
do_disable(struct cli_ctx *x)
{
	_Atomic(uint8_t) *stop = stop_of(x);

	if (stop == NULL)
		return;
	if (*stop == PX_STOP_SHUT)
		note(x, "Frontend was previously shut down, cannot disable.");
	else if (*stop == PX_STOP_DISABLED)
		note(x, "All sockets are already disabled.");
	else
		*stop = PX_STOP_DISABLED;
}

static void
do_shutdown(struct cli_ctx *x)
{
	_Atomic(uint8_t) *stop = stop_of(x);

	if (stop == NULL)
		return;
	if (*stop == PX_STOP_SHUT)
		note(x, "Frontend was already shut down.");
	else
		*stop = PX_STOP_SHUT;
}

// clang-format off
SL_CLI_COMMANDS(
	{ "enable frontend", CLI_ADMIN, 0, 1, do_enable, "<frontend>",
		"re-enable specific frontend" },
	{ "disable frontend", CLI_ADMIN, 0, 1, do_disable, "<frontend>",
		"temporarily disable specific frontend" },
	{ "shutdown frontend", CLI_ADMIN, 0, 1, do_shutdown, "<frontend>",
		"stop a specific frontend" },
);
// clang-format on
