// SPDX-License-Identifier: BSD-3-Clause
/*
 * Brings packet cores up and down.
 *
 * worker_new() and worker_free() run on main, before and after the thread; worker_main() is the
 * thread. Layers are attached bottom to top and detached in reverse.
 */
#include "dataplane/worker/worker.h"

#include <rte_cycles.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <time.h>

#include "dataplane/worker/worker_priv.h"

static uint64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int
attach_app(struct lcore *lc, const struct worker_spec *s)
{
	struct px_spec px = { .max_streams = s->max_streams,
		.max_sessions = s->max_conns,
		.nscripts = s->lcore.nscripts,
		.call_slots = s->call_slots };
	int rc = conn_attach(lc, s->max_conns, s->max_host);

	if (rc < 0)
		return rc;
	rc = mux_attach(lc, s->max_conns);
	if (rc < 0)
		goto detach_conn;
	rc = bal_attach(lc, s->bal, s->idle_per_server);
	if (rc < 0)
		goto detach_mux;
	rc = px_attach(lc, &px);
	if (rc < 0)
		goto detach_bal;
	return 0;
detach_bal:
	bal_detach(lc);
detach_mux:
	mux_detach(lc);
detach_conn:
	conn_detach(lc);
	return rc;
}

static uint64_t
tables(const struct worker_spec *s, uint32_t max_conns, uint32_t max_streams, uint32_t nproxies)
{
	struct tcp_conf tcp = s->tcp;
	struct px_spec px = { .max_streams = max_streams,
		.max_sessions = max_conns,
		.nscripts = s->lcore.nscripts,
		.call_slots = s->call_slots };

	// where a transport has fewer of its own, they do not follow
	if (tcp.max_conns == s->max_conns)
		tcp.max_conns = max_conns;
	return tcp_memory(&tcp) + mux_memory(max_conns) + px_memory(&px, nproxies) +
		conn_memory(max_conns, s->max_host == s->max_conns ? max_conns : s->max_host);
}

sl_cold void
worker_memory(const struct worker_spec *s, uint32_t nproxies, struct worker_memory *out)
{
	uint32_t nc = sl_max(s->max_conns, 2u), ns = sl_max(s->max_streams, 2u);

	out->total = tables(s, nc, ns, nproxies);
	out->per_conn = (uint32_t)((out->total - tables(s, 1, ns, nproxies)) / (nc - 1));
	out->per_stream = (uint32_t)((out->total - tables(s, nc, 1, nproxies)) / (ns - 1));
	out->fixed = out->total - (uint64_t)out->per_conn * nc - (uint64_t)out->per_stream * ns;
}

struct lcore *
worker_new(const struct worker_spec *s, struct port_err *err)
{
	struct lcore *lc = lcore_new(&s->lcore);
	const char *what = "net";
	int rc;

	if (lc == NULL) {
		snprintf(err->text, sizeof(err->text), "worker %u: no memory for its state",
			s->lcore.id);
		return NULL;
	}
	lc->busy_polling = s->busy_polling;
	lcore_set_clock(lc, clock_us(CLOCK_MONOTONIC), clock_us(CLOCK_REALTIME));
	rc = net_attach(lc, s->net, tcp_input, tcp_icmp);
	if (rc < 0)
		goto free_lcore;
	what = "connections (maxconn)";
	rc = tcp_attach(lc, &s->tcp, s->secret);
	if (rc < 0)
		goto detach_net;
	what = "streams";
	rc = attach_app(lc, s);
	if (rc < 0)
		goto detach_tcp;
	worker_gauges(lc);
	return lc;
detach_tcp:
	tcp_detach(lc);
detach_net:
	net_detach(lc);
free_lcore:
	lcore_free(lc);
	snprintf(err->text, sizeof(err->text), "worker %u: no memory for its %s: %s", s->lcore.id,
		what, strerror(-rc));
	return NULL;
}

void
worker_free(struct lcore *lc)
{
	px_unlisten_all(lc);
	px_detach(lc);
	bal_detach(lc);
	mux_detach(lc);
	conn_detach(lc);
	tcp_detach(lc);
	net_detach(lc);
	lcore_free(lc);
}

void
worker_gauges(struct lcore *lc)
{
	struct tcp_info ti;

	if (lc->gauged == lc->now)
		return; // counting a pool is not free
	lc->gauged = lc->now;
	tcp_get_info(lc, &ti);
	atomic_store_explicit(&lc->gauge_streams, px_streams(lc), memory_order_relaxed);
	atomic_store_explicit(&lc->gauge_pressure, lc->pressure, memory_order_relaxed);
	atomic_store_explicit(&lc->gauge_retained, lc->retained, memory_order_relaxed);
	atomic_store_explicit(
		&lc->gauge_mbufs, rte_mempool_in_use_count(lc->pool), memory_order_relaxed);
}

int
worker_main(void *arg)
{
	struct lcore *lc = arg;
	uint64_t hz = rte_get_tsc_hz(), tsc0 = rte_rdtsc();
	uint64_t mono0 = clock_us(CLOCK_MONOTONIC), wall0 = clock_us(CLOCK_REALTIME),
		 wall_at = tsc0;
	uint32_t empty = 0;

	epoch_online(lc);
	worker_serve(lc);
	while (!atomic_load_explicit(&lc->stop, memory_order_relaxed) && !lc->quit) {
		uint64_t t = rte_rdtsc(), us = (uint64_t)((double)(t - tsc0) * 1e6 / (double)hz);

		if (unlikely(
			    t - wall_at > hz)) { // the wall clock may step; once a second is enough
			wall_at = t;
			wall0 = clock_us(CLOCK_REALTIME) - us;
		}
		lcore_set_clock(lc, mono0 + us, wall0 + us);
		if (worker_iterate(lc)) {
			stat_add(lc, STAT_CYCLES_BUSY, rte_rdtsc() - t);
			empty = 0;
		} else {
			worker_idle(lc, &empty, lc->busy_polling);
		}
	}
	epoch_offline(lc);
	return 0;
}
