// SPDX-License-Identifier: BSD-3-Clause
/*
 * The registries of fetch methods and converters.
 *
 * Runs on: the main thread, once, before any configuration is read; read-only afterwards.
 */
#include "dataplane/expr/expr_priv.h"

SL_KW_SECTION(fetch);
SL_KW_SECTION(conv);

/* Written by expr_init() only (allow-listed in the symbol check). */
static struct registry fetches, convs;

sl_cold int
expr_init(const char **dup)
{
	int rc = registry_open(&fetches, fetch);

	if (rc < 0) {
		*dup = fetches.dup;
		return rc;
	}
	rc = registry_open(&convs, conv);
	if (rc < 0)
		*dup = convs.dup;
	return rc;
}

const struct registry *
expr_fetches(void)
{
	return &fetches;
}

const struct registry *
expr_convs(void)
{
	return &convs;
}
