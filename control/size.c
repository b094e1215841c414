// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sizes: what maxconn and the ports need of memory and descriptors, and whether it is there.
 *
 * Runs on: main, before anything is taken. A step that fails puts a sentence into d->err that names
 * the thing and what to change.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "control/congestion.h"
#include "control/daemon.h"

#define STREAMS_MAX     8192u // in flight per worker: each has 6 KiB of its own
#define IDLE_PER_SERVER 64u
#define NO_PORT_CONNS   64u
#define SPARE_FDS       256u // of a process without connections

static bool
uses_host(const struct model *m)
{
	for (uint32_t i = 0; i < m->nbinds; i++) {
		if (m->binds[i]->addr.host)
			return true;
	}
	for (uint32_t i = 0; i < m->nproxies; i++) {
		for (uint32_t k = 0; k < m->proxies[i]->nservers; k++) {
			if (m->proxies[i]->servers[k].addr.host)
				return true;
		}
	}
	return false;
}

/* Descriptors for both sides of every connection, as far as we may have them. */
static void
size_sockets(struct daemon *d)
{
	uint64_t want = 2ull * d->model->global.maxconn + SPARE_FDS;
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return;
	if (lim.rlim_cur < want) {
		lim.rlim_cur = sl_min((rlim_t)want, lim.rlim_max);
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	want = sl_min((uint64_t)lim.rlim_cur, want);
	d->max_socks = want > 2 * SPARE_FDS ? (uint32_t)want - SPARE_FDS : SPARE_FDS;
	if (uses_host(d->model) && lim.rlim_cur < 2ull * d->model->global.maxconn + SPARE_FDS)
		daemon_say(d, SL_WARNING,
			"'maxconn %u' needs %llu descriptors for sockets of the host, the limit is "
			"%llu: raise it (ulimit -n) or lower maxconn",
			d->model->global.maxconn, 2ull * d->model->global.maxconn + SPARE_FDS,
			(unsigned long long)lim.rlim_cur);
}

/* The spec of a worker for a global maxconn: its share, and what RSS may do to it. */
static void
size_worker(struct worker_spec *w, const struct model *m, uint64_t n, uint64_t maxconn)
{
	const struct global_conf *g = &m->global;
	uint64_t share = n > 1 ? maxconn * 3 / (2 * n) + 1 : maxconn;

	tcp_conf_default(&w->tcp);
	w->tcp.cc = TCP_CC_HOST;
	if (g->tcp != NULL)
		w->tcp = *g->tcp;
	if (w->tcp.cc == TCP_CC_HOST)
		w->tcp.cc = congestion_of_host(CONGESTION_FILE);
	// client and server side
	w->max_conns = (uint32_t)sl_min(2 * share + CHECK_CONNS, (uint64_t)INT32_MAX);
	w->max_host = w->max_conns;
	w->tcp.max_conns = m->nports > 0 ? w->max_conns : NO_PORT_CONNS;
	if (m->nports > 0 && !uses_host(m))
		w->max_host = sl_min(w->max_conns, CHECK_CONNS);
	w->max_streams = (uint32_t)sl_min(share + 64, (uint64_t)STREAMS_MAX);
	w->idle_per_server = IDLE_PER_SERVER;
	w->call_slots = g->ncall_slots;
	w->busy_polling = g->busy_polling;
	w->lcore.nscripts = (uint16_t)g->script_threads;
}

static uint64_t
tables_mb(const struct daemon *d, uint64_t maxconn, struct worker_memory *m)
{
	struct worker_spec w = { 0 };

	size_worker(&w, d->model, d->plan.nworkers, maxconn);
	worker_memory(&w, d->cap[SLOT_PROXY], m);
	return (d->plan.nworkers * m->total + 1048575) / 1048576;
}

/* The largest maxconn whose tables fit into so much. */
static uint64_t
largest_maxconn(const struct daemon *d, uint64_t maxconn, uint64_t mb)
{
	uint64_t low = 0, high = maxconn;
	struct worker_memory m;

	while (low < high) {
		uint64_t mid = low + (high - low + 1) / 2;

		if (tables_mb(d, mid, &m) <= mb)
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

/* What to do about `lack` MiB too little: a lower maxconn, where there is one that fits into mb. */
static void
advise(const struct daemon *d, uint64_t mb, uint64_t lack, char *to, size_t room)
{
	uint64_t fits = largest_maxconn(d, d->model->global.maxconn, mb);

	if (fits > 0)
		snprintf(to, room, "lower maxconn to %llu or give the machine %llu MiB more",
			(unsigned long long)fits, (unsigned long long)lack);
	else
		snprintf(to, room, "no maxconn would do: give the machine %llu MiB more%s",
			(unsigned long long)lack, d->plan.nworkers > 1 ? " or lower nbthread" : "");
}

/*
 * What maxconn needs against what is there, before anything is taken. Packet buffers in hugepages are
 * no part of the memory that is free.
 */
static int
size_up(struct daemon *d)
{
	const struct global_conf *g = &d->model->global;
	uint64_t n = d->plan.nworkers, there = eal_available_mb(), need;
	uint32_t rings = threads_rings(d->model), least = pool_mbufs_min(rings), pools;
	struct worker_spec w = { 0 };
	struct worker_memory m;
	char todo[128];

	slots_capacity(d->model, d->cap);
	size_worker(&w, d->model, n, g->maxconn);
	d->mbufs = g->mbufs != 0 ? g->mbufs : pool_mbufs(rings);
	if (d->mbufs < least) {
		snprintf(d->err.text, sizeof(d->err.text),
			"'tune.mbufs %u' is too few: the rings of %u port%s take %u, so at least %u "
			"are needed",
			d->mbufs, d->model->nports, d->model->nports == 1 ? "" : "s", least - 1024,
			least);
		return -EINVAL;
	}
	pools = eal_memory_mb(rings, (uint32_t)n, d->mbufs);
	if (eal_fits_huge(d->plan.node_mb, d->plan.nnodes, g->dpdk_eal))
		pools = 0;
	need = tables_mb(d, g->maxconn, &m);
	if (need + pools > there) {
		advise(d, there > pools ? there - pools : 0, need + pools - there, todo,
			sizeof(todo));
		snprintf(d->err.text, sizeof(d->err.text),
			"'maxconn %u' on %u thread%s needs %llu MiB (%u bytes for each of %llu "
			"connections, %u for each of %u requests in flight)%s%.0u%s, %llu MiB are "
			"there: %s",
			g->maxconn, (unsigned)n, n == 1 ? "" : "s", (unsigned long long)need,
			m.per_conn, (unsigned long long)n * w.max_conns, m.per_stream,
			(unsigned)n * w.max_streams, pools != 0 ? " and " : "", pools,
			pools != 0 ? " MiB of packet buffers" : "", (unsigned long long)there, todo);
		return -ENOMEM;
	}
	d->worker_mb = (uint32_t)(need / n);
	d->worker_mem = m;
	d->wspec = w;
	size_sockets(d);
	return 0;
}

int
plan_up(struct daemon *d)
{
	int rc = threads_place(d);

	return rc < 0 ? rc : size_up(d);
}
