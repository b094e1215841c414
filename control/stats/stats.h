/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of control/stats: the counters of all workers, summed and named, for DPDK telemetry and
 * later the statistics page and Prometheus. Names, units and help come from stats.def, drop.def
 * and PX_COUNTERS: one definition.
 */
#pragma once

#include "control/log/log.h"
#include "dataplane/balance/balance.h"
#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"
#include "dataplane/net/net.h"

/* Everything must outlive stats_close(). */
struct stats_spec {
	struct lcore *const *lc;
	uint16_t nlc;
	const struct ports *ports;
	const struct net_shared *net;
	struct bal_shared *bal;
	const struct model *model;
	struct log *log;
	struct io_socks *socks; // of scripts; NULL: none
	const _Atomic(uint64_t) *pat_refused; // changes that rules asked for; NULL: none
	bool huge;
};

/* Main's part: rates, and what the tables of "show stat" are filled from (table.h). */
struct stats;
struct rates;
struct stats_src;
struct ev_loop;
struct checks;
/* NULL when out of memory. s must outlive it. */
struct stats *stats_new(struct ev_loop *ev, const struct stats_spec *s, const struct checks *checks);
void stats_free(struct stats *st);
void stats_source(const struct stats *st, struct stats_src *out);
struct rates *stats_rates(struct stats *st);
void stats_set_stopping(struct stats *st);
/* Another generation is served. */
void stats_set_model(struct stats *st, const struct model *m);
/* And all workers do: what its new slots had from whoever had them before is forgotten. */
void stats_forget(struct stats *st, const struct model *m);
/* The same for telemetry; no command looks at the one before when it returns. */
void stats_publish(const struct model *m);

/* Registers the commands (once per process) and lets them see s. 0 or -Exxx. */
int stats_open(const struct stats_spec *s);
/* Commands answer with nothing from now on; no command is inside when it returns. */
void stats_close(void);

/* ---- aggregate.c: any thread, reads relaxed counters ---- */
uint64_t stats_sum(struct lcore *const *lc, uint16_t n, enum lc_stat s);
/* Connections accepted, and bytes sent, over ports and sockets of the host alike. */
uint64_t stats_accepts(struct lcore *const *lc, uint16_t n);
uint64_t stats_bytes_out(struct lcore *const *lc, uint16_t n);
uint64_t stats_sum_drop(struct lcore *const *lc, uint16_t n, enum drop d);
enum stats_set { STATS_PROXY, STATS_LISTENER, STATS_SERVER };
/* Sum of a counter set over workers, as plain numbers. */
struct px_sums {
#define X(sym, name, help) uint64_t sym;
	PX_COUNTERS(X)
#undef X
};
void stats_sum_px(struct lcore *const *lc, uint16_t n, enum stats_set set, uint32_t slot,
	struct px_sums *out);
/* The largest of all workers since maxima were cleared. */
uint64_t stats_max_px(struct lcore *const *lc, uint16_t n, enum stats_set set, uint32_t slot,
	enum px_max which);
/* Main: "clear counters". Workers forget theirs when they look next; readers at once. */
void stats_clear_max(struct lcore *const *lc, uint16_t n);
/* The same as stats_sum_px(), whatever was cleared. */
void stats_sum_px_raw(struct lcore *const *lc, uint16_t n, enum stats_set set, uint32_t slot,
	struct px_sums *out);
/* A slot has another owner, and the workers began anew: nothing of it was cleared. Main. */
void stats_unclear(enum stats_set set, uint32_t slot);
/*
 * "clear counters all": from now on stats_sum_px() counts from here. Workers' counters stay, so
 * what they own is written by them alone. Main; -ENOMEM.
 */
int stats_clear(struct lcore *const *lc, uint16_t n);
