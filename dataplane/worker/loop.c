// SPDX-License-Identifier: BSD-3-Clause
/*
 * The loop of a packet core: read this first.
 *
 * Runs on: the worker. One iteration takes what is there, lets every layer finish with it, and
 * sends everything that came of it in one flush per port:
 *
 *   rx bursts -> net -> tcp (all segments of a burst) -> handlers, once per connection
 *   frames and messages of other threads; handlers of connections of the host
 *   expired timers
 *   tcp output, once per touched connection (acknowledgements ride on data); what io is told
 *   tx flush, wake-ups, quiescent point
 *
 * Nothing here waits. Time is read once per iteration by the caller: the TSC in worker_main(), a
 * virtual clock in simulators.
 */
#include "dataplane/worker/worker.h"

#include <rte_ethdev.h>

#include "dataplane/conn/host.h"
#include "dataplane/conn/lsock.h"
#include "dataplane/lcore/capture.h"
#include "dataplane/worker/worker_priv.h"

#include "dataplane/base/hot.h"

static uint32_t
rx_ports(struct lcore *lc)
{
	struct rte_mbuf *m[RX_BURST];
	uint32_t found = 0;

	for (uint16_t i = 0; i < lc->ports->n; i++) {
		const struct port *p = &lc->ports->port[i];
		uint16_t n;

		if (unlikely(lc->id >= p->nqueues || port_is_gone(p)))
			continue;
		n = rte_eth_rx_burst(p->q[lc->id].ethdev, p->q[lc->id].queue, m, RX_BURST);
		if (n == 0)
			continue;
		net_input(lc, i, m, n);
		tcp_run_events(lc);
		found += n;
	}
	return found;
}

static void
mesh_message(struct lcore *lc, const struct xmsg *m, uint16_t from)
{
	switch (m->w[0] & 0xffff) {
	case XMSG_FRAME:
		net_input_foreign(lc, m, from);
		break;
	case XMSG_SRV_TOKEN:
		px_main_message(lc, m);
		break;
	default:
		net_message(lc, m, from);
	}
}

static void
control_message(struct lcore *lc, const struct xmsg *m)
{
	switch (m->w[0] & 0xffff) {
	case XMSG_SOCK_OPEN:
	case XMSG_SOCK_SEND:
	case XMSG_SOCK_CREDIT:
	case XMSG_SOCK_SHUT:
	case XMSG_SOCK_CLOSE:
		lsock_message(lc, m);
		break;
	case XMSG_HOST_ACCEPT:
	case XMSG_HOST_CONNECTED:
	case XMSG_HOST_DATA:
	case XMSG_HOST_CREDIT:
	case XMSG_HOST_EOM:
	case XMSG_HOST_ABORT:
	case XMSG_HOST_GONE:
	case XMSG_HOST_BLOCKS:
		host_message(lc, m);
		break;
	default:
		px_main_message(lc, m);
	}
}

static uint32_t
messages(struct lcore *lc)
{
	uint32_t found = 0;
	struct xmsg m;

	for (uint16_t i = 0; i < lc->nlcores; i++)
		for (uint32_t k = 0; lc->worker[i].in != NULL && k < MSG_BURST &&
			xring_pop(lc->worker[i].in, &m);
			k++, found++)
			mesh_message(lc, &m, i);
	net_deliver(lc); // what came as frames
	for (uint16_t i = 0; i < lc->nscripts; i++)
		for (uint32_t k = 0; k < MSG_BURST && xring_pop(&lc->script[i].to, &m);
			k++, found++)
			px_script_message(lc, i, &m);
	for (uint32_t k = 0; k < MSG_BURST && xring_pop(&lc->main.to, &m); k++, found++)
		control_message(lc, &m);
	for (uint32_t k = 0; k < MSG_BURST && xring_pop(&lc->io.to, &m); k++, found++)
		control_message(lc, &m);
	return found;
}

/* By generation, not by pointer: it may have changed during a nap, or memory been used again. */
void
worker_serve(struct lcore *lc)
{
	if (likely(lc->model == NULL || lc->served == lc->model->generation + 1ull))
		return;
	px_adopt(lc, lc->model, lc->served);
	lc->served = lc->model->generation + 1ull;
	if (!lc->stopping)
		px_listen(lc, lc->model);
}

bool
worker_iterate(struct lcore *lc)
{
	uint32_t found = rx_ports(lc);

	found += messages(lc);
	found += host_run(lc);
	if (unlikely(lc->lsock_waiting != NULL))
		lsock_retry(lc);
	found += wheel_advance(&lc->wheel, lc->now, TIMER_BUDGET, lc);
	if (unlikely(lc->now - lc->ticked >= NET_TICK_MS)) {
		lc->ticked = lc->now;
		net_tick(lc);
	}
	tcp_run_events(lc);
	found += host_run(lc);
	lcore_pressure(lc);
	if (unlikely(lc->pressure == PRESSURE_SHED))
		px_shed(lc);
	if (unlikely(lc->following))
		found += px_follow(lc);
	if (unlikely(capture_of(lc) != NULL))
		px_show_links(lc);
	tcp_run_output(lc);
	net_flush(lc);
	found += net_pending(lc);
	lcore_wake_peers(lc);
	if (found > 0) {
		stat_inc(lc, STAT_LOOPS_BUSY);
		worker_gauges(lc);
	}
	stat_inc(lc, STAT_LOOPS);
	epoch_quiescent(lc);
	worker_serve(lc);
	if (unlikely(atomic_load_explicit(&lc->asked_stop_accept, memory_order_relaxed)) &&
		!lc->stopping) {
		px_stop(lc);
	}
	return found > 0;
}
