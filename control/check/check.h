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

/* What an operator asked of a server; bits. Workers see only the state that comes of it. */
#define SRV_ADM_MAINT 0x01u // "disabled" in the configuration, or by command
#define SRV_ADM_DRAIN 0x02u

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
/*
 * ---- follow.c: another generation ----
 * In two steps, so that what may fail stands before what cannot be undone. All is kept by server
 * slot: health, what an operator asked, weight and address set by command, as long as the
 * configuration says what it said; a value that the configuration changes holds from then on.
 */
struct checks_next;
/* NULL: no memory. m has its slots later than now. */
struct checks_next *checks_prepare(const struct model *m);
/* Never used, or used up. NULL is fine. */
void checks_next_free(struct checks_next *n);
/*
 * Right before m is published: new servers get their run-time state, changed ones theirs; checks of
 * servers that are gone end. n is used up.
 */
void checks_commit(struct checks *c, const struct model *m, struct checks_next *n);
/* Nobody has this server slot any more: no connection is kept for it. */
void checks_forget(struct checks *c, uint32_t slot);
/* Before io_loop_free(). NULL is fine. */
void checks_free(struct checks *c);

/* ---- servers.c: the state of every server, checked or not; main ---- */
/* Maintenance and drain. 0, -EALREADY: it was so; lines as HAProxy's are logged. */
int servers_set_admin(struct checks *c, const struct server *srv, uint8_t admin);
/* As if the checks had said so; "nolb" is drain by health. */
enum server_health { SERVER_HEALTH_DOWN, SERVER_HEALTH_STOPPING, SERVER_HEALTH_UP };
void servers_set_health(struct checks *c, const struct server *srv, enum server_health h);
/* 0..256; what balancing uses from now on. */
void servers_set_weight(struct checks *c, const struct server *srv, uint16_t weight);
/* Pauses or resumes the checks of a checked server. -ENOENT: it has none. */
int servers_enable_checks(struct checks *c, const struct server *srv, bool on);
/* Where requests and checks go from now on. */
int servers_set_addr(struct checks *c, const struct server *srv, const struct ip_port *to);
void servers_set_maxconn(struct checks *c, const struct server *srv, uint32_t maxconn);

struct server_view {
	enum srv_state state; // what workers see
	uint8_t admin;        // SRV_ADM_*
	bool stopping;        // health says: no new requests
	uint16_t weight, iweight;
	uint32_t maxconn, cur;
	struct ip_port addr;
	uint32_t lastchg_s;
	uint64_t downtime_s, chkfail, chkdown;
	/* of its checks */
	bool checked, paused, running;
	bool has_result;
	const char *check_status; // "L4OK", …, "INI" before the first
	const char *check_desc;
	const char *check_info;
	uint16_t check_code, rise, fall, health;
	uint32_t check_ms;
	uint8_t check_ok;
};
/* As "show servers state" numbers the last check. */
unsigned servers_check_code(const struct server_view *v);
void servers_view(const struct checks *c, const struct server *srv, struct server_view *out);
struct backend_view {
	bool up;
	uint32_t active, backup; // servers that are up
	uint32_t weight;         // of those that serve
	uint32_t lastchg_s;
	uint64_t downtime_s, chkdown;
};
void servers_view_backend(const struct checks *c, const struct proxy *be, struct backend_view *out);
