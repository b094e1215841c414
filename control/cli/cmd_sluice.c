// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands that HAProxy has not: what a kernel-bypass balancer has to show. The numbers are those of
 * DPDK telemetry, out of the same definitions.
 *
 * Runs on: main. Form: a line that begins with '#' names the columns.
 */
#include "control/cli/cli_priv.h"
#include "control/script/script.h"

#include <inttypes.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>

static void
do_ports(struct cli_ctx *x)
{
	static const char *const modes[] = { "single", "rss", "soft" };
	const struct ports *ps = x->cli->s.ports;

	cli_msg(x,
		"# name device driver mac link ownership rss_test queues mtu rx_packets rx_bytes "
		"rx_missed rx_errors rx_no_mbuf tx_packets tx_bytes tx_errors tso_segs");
	for (uint16_t i = 0; ps != NULL && i < ps->n; i++) {
		const struct port *p = &ps->port[i];
		char mac[RTE_ETHER_ADDR_FMT_SIZE];
		struct rte_eth_stats s;

		rte_ether_format_addr(mac, sizeof(mac), &p->mac);
		port_stats(p, &s);
		cli_printf(x, "%s %s %s %s %s %s %s %u %u", p->name, p->device, p->driver, mac,
			port_is_gone(p)                                                   ? "gone"
				: atomic_load_explicit(&p->link_up, memory_order_relaxed) ? "up"
											  : "down",
			modes[p->mode], port_spread_name(p), p->nqueues, p->mtu);
		cli_printf(x,
			" %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
			" %" PRIu64 " %" PRIu64 " %u\n",
			s.ipackets, s.ibytes, s.imissed, s.ierrors, s.rx_nombuf, s.opackets,
			s.obytes, s.oerrors, p->tso_segs);
	}
}

static void
do_workers(struct cli_ctx *x)
{
	for (uint16_t w = 0; w < x->cli->s.nlc; w++) {
		const struct lcore *lc = x->cli->s.lc[w];

		cli_printf(x, "# worker %u\n", w);
		for (int i = 0; i < STAT_NR; i++)
			cli_printf(x, "%s: %" PRIu64 "\n", stat_desc[i].name,
				counter_get(&lc->stat[i]));
		cli_printf(x,
			"conns: %" PRIu64 "\nstreams: %" PRIu64 "\nretained_bytes: %" PRIu64
			"\nmbufs: %" PRIu64 "\nmbufs_total: %u\ntsc_hz: %" PRIu64 "\n",
			counter_get(&lc->gauge_conns), counter_get(&lc->gauge_streams),
			counter_get(&lc->gauge_retained), counter_get(&lc->gauge_mbufs),
			lc->pool_size, rte_get_tsc_hz());
	}
}

static void
do_drops(struct cli_ctx *x)
{
	cli_msg(x, "# reason packets");
	for (int i = 0; i < DROP_NR; i++)
		cli_printf(x, "%s: %" PRIu64 "\n", drop_desc[i].name,
			stats_sum_drop(x->cli->s.lc, x->cli->s.nlc, (enum drop)i));
}

static void
do_memory(struct cli_ctx *x)
{
	cli_msg(x, "# worker mbufs mbufs_total retained_bytes retained_max_bytes connections");
	for (uint16_t w = 0; w < x->cli->s.nlc; w++) {
		const struct lcore *lc = x->cli->s.lc[w];

		cli_printf(x, "%u %" PRIu64 " %u %" PRIu64 " %u %" PRIu64 "\n", w,
			counter_get(&lc->gauge_mbufs), lc->pool_size,
			counter_get(&lc->gauge_retained), lc->retain_max,
			counter_get(&lc->gauge_conns));
	}
}

static void
do_lua(struct cli_ctx *x)
{
	cli_str(x, SL_STR("# thread"));
#define X(sym, help) cli_printf(x, " %s", #sym);
	SCRIPT_COUNTERS(X)
#undef X
	for (uint16_t t = 0; t < script_count(); t++) {
		struct script_stats s;

		script_get_stats(t, &s);
		cli_printf(x, "\n%u", t);
#define X(sym, help) cli_printf(x, " %" PRIu64, s.sym);
		SCRIPT_COUNTERS(X)
#undef X
	}
	cli_str(x, SL_STR("\n\n# function kind"));
#define X(sym, help) cli_printf(x, " %s", #sym);
	SCRIPT_FN_COUNTERS(X)
#undef X
	for (uint32_t i = 0;; i++) {
		struct script_fn_stats s;

		if (!script_fn_stats(x->cli->s.model->lua, i, &s))
			break;
		cli_printf(x, "\n%s %c", s.name, s.kind);
#define X(sym, help) cli_printf(x, " %" PRIu64, s.sym);
		SCRIPT_FN_COUNTERS(X)
#undef X
	}
	cli_str(x, SL_STR("\n"));
}

// clang-format off
SL_CLI_COMMANDS(
	{ "show ports", CLI_OPER, 0, 0, do_ports, "", "ports with their devices and counters" },
	{ "show workers", CLI_OPER, 0, 0, do_workers, "", "counters of each worker" },
	{ "show drops", CLI_OPER, 0, 0, do_drops, "", "dropped packets by reason" },
	{ "show memory", CLI_OPER, 0, 0, do_memory, "", "packet buffers and what holds them" },
	{ "show lua", CLI_OPER, 0, 0, do_lua, "", "script threads, and functions of scripts" },
);
// clang-format on
