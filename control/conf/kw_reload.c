// SPDX-License-Identifier: BSD-3-Clause
/*
 * "hard-stop-after", "grace" and "tune.reload.timeout": how long what is old may last, when it begins
 * to, and how long loading may take.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 3.1 for the first two; the last is
 * ours.
 */
#include "control/conf/conf_priv.h"

static int
kw_global_time(struct conf *c, const struct conf_args *a)
{
	uint32_t *out = (uint32_t *)(void *)((uint8_t *)&c->m->global + a->priv);

	return conf_time(c, a->kw, a->word[0], out);
}

#define AT(field) offsetof(struct global_conf, field)

// clang-format off
SL_CFG_GLOBAL(
	{ "hard-stop-after", CONF_GLOBAL, 1, 1, kw_global_time, "<time>",
		"how long connections may go on after a reload or a soft stop", AT(hard_stop_ms) },
	{ "grace", CONF_GLOBAL, 1, 1, kw_global_time, "<time>",
		"how long connections are still accepted after SIGUSR1", AT(grace_ms) },
	{ "tune.reload.timeout", CONF_GLOBAL, 1, 1, kw_global_time, "<time>",
		"how long loading another configuration may take", AT(reload_timeout_ms) },
);
// clang-format on
