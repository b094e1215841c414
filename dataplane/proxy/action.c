// SPDX-License-Identifier: BSD-3-Clause
/*
 * The registry of actions ("http-request deny" and the like).
 *
 * Runs on: the main thread, once, before any configuration is read; read-only afterwards.
 */
#include "dataplane/proxy/action.h"

SL_KW_SECTION(action);

/* Written by action_init() only (allow-listed in the symbol check). */
static struct registry actions;

sl_cold int
action_init(const char **dup)
{
	int rc = registry_open(&actions, action);

	if (rc == -EEXIST)
		*dup = actions.dup;
	return rc;
}

const struct registry *
action_rows(void)
{
	return &actions;
}
