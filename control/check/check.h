/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of control/check: health checks of servers, over the same transport as the traffic.
 *
 * Runs on main. A check opens a connection through a worker (another one each time), so that it
 * sees what clients would see. Results go to srv_run.state, which workers read, and as
 * XMSG_SERVER_STATE to every worker.
 */
#pragma once

#include <ev.h>

#include "control/io/io.h"
#include "dataplane/balance/balance.h"
#include "dataplane/base/log.h"
#include "dataplane/model/model.h"

struct checks;

struct checks_spec {
	struct ev_loop *ev;
	struct io_loop *io;
	struct lcore *const *lc;
	uint16_t nlc;
	struct bal_shared *bal;
	const struct model *model;
	/* Lines about servers in HAProxy's words. */
	void (*say)(void *ctx, enum sl_level level, const char *text);
	void *say_ctx;
};
/* Starts checking, spread over the shortest interval. NULL when out of memory. */
struct checks *checks_new(const struct checks_spec *s);
/* Before io_loop_free(). NULL is fine. */
void checks_free(struct checks *c);
