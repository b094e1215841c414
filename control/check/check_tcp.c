// SPDX-License-Identifier: BSD-3-Clause
/*
 * `check` alone: a connection that opens is a server that lives.
 *
 * Runs on main. The connection is reset at once, as HAProxy does: nothing stays behind on either
 * side.
 */
#include <stdio.h>

#include "control/check/check_priv.h"

static bool
end(struct check *c, enum check_status st, const char *info)
{
	c->res.status = st;
	c->res.code = 0;
	snprintf(c->res.info, sizeof(c->res.info), "%s", info);
	return true;
}

static bool
tcp_connected(struct check *c)
{
	return end(c, CHK_L4OK, "");
}

static bool
tcp_data(struct check *c sl_unused, const void *p sl_unused, uint32_t n sl_unused)
{
	return false;
}

static bool
tcp_ended(struct check *c, int err)
{
	if (err == ETIMEDOUT)
		return end(c, CHK_L4TOUT, "");
	return end(c, CHK_L4CON, err != 0 ? strerror(err) : "");
}

static bool
tcp_timeout(struct check *c)
{
	return end(c, CHK_L4TOUT, "");
}

const struct check_kind check_tcp = {
	.connected = tcp_connected,
	.data = tcp_data,
	.ended = tcp_ended,
	.timeout = tcp_timeout,
};
