// SPDX-License-Identifier: BSD-3-Clause
/*
 * "timeout": how long a proxy waits for whom.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2 "timeout …"; a value of 0 or
 * none means "never", which is warned of where it hurts (build.c).
 */
#include "control/conf/conf_priv.h"

#define NEEDS_FE           1u
#define NEEDS_BE           2u
#define PRIV(field, needs) ((uintptr_t)offsetof(struct px_timeouts, field) << 2 | (needs))

static int
kw_timeout(struct conf *c, const struct conf_args *a)
{
	uint32_t caps = c->section == CONF_DEFAULTS ? PX_CAP_FE | PX_CAP_BE : c->px->p->caps;
	uint32_t *out = (uint32_t *)(void *)((uint8_t *)&c->px->p->timeout + (a->priv >> 2)), ms;
	const char *cap = NULL;

	if (a->n > 1) {
		conf_error(c, "'%s' : unexpected extra argument '%.*s' after value '%.*s'.", a->kw,
			SL_STR_ARG(a->word[1]), SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	if (conf_time(c, a->kw, a->word[0], &ms) < 0)
		return -EINVAL;
	if ((a->priv & NEEDS_FE) != 0 && (caps & PX_CAP_FE) == 0)
		cap = "frontend";
	else if ((a->priv & NEEDS_BE) != 0 && (caps & PX_CAP_BE) == 0)
		cap = "backend";
	if (cap != NULL)
		conf_warning(c, "'%s' will be ignored because %s '%.*s' has no %s capability",
			a->kw, c->section_name, SL_STR_ARG(c->section_ident), cap);
	*out = ms;
	return 0;
}

#define ROW(name, field, needs, help)                                                           \
	{                                                                                       \
		name, CONF_ANY_PX, 1, CONF_MANY, kw_timeout, "<time>", help, PRIV(field, needs) \
	}

// clang-format off
SL_CFG_PROXY(
	ROW("timeout client", client, NEEDS_FE, "inactivity of the client"),
	ROW("timeout server", server, NEEDS_BE, "inactivity of the server"),
	ROW("timeout connect", connect, NEEDS_BE, "until a connection to a server stands"),
	ROW("timeout http-request", http_request, 0, "until a request's head is complete"),
	ROW("timeout http-keep-alive", http_keep_alive, 0, "between two requests"),
	ROW("timeout queue", queue, NEEDS_BE, "until a server has a free place"),
	ROW("timeout check", check, NEEDS_BE, "until a health check has its answer"),
	ROW("timeout tunnel", tunnel, NEEDS_BE, "inactivity of both sides of a tunnel"),
);
// clang-format on
