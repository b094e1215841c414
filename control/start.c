// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bringing the daemon up and down: one list of steps, each with its undo.
 *
 * Runs on: main, after the configuration was loaded and the parent forked. A step that fails puts a
 * sentence into d->err that names the thing and what to change; what stood before it is undone in
 * reverse. Order: parse -> size -> listening sockets -> EAL -> ports -> shared state -> workers -> io
 * -> scripts -> telemetry -> checks -> rights given up -> launch.
 */
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_random.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/io/sock.h"
#include "control/priv.h"
#include "control/script/script.h"
#include "control/stats/stats.h"

#define STREAMS_MAX     8192u // in flight per worker: each has 6 KiB of its own
#define IDLE_PER_SERVER 64u
#define CHECK_CONNS     1024u
#define NO_PORT_CONNS   64u
#define SPARE_FDS       256u // of a process without connections
#define HOST_BLOCKS_MB \
	16u // of buffers between workers and sockets of the host, then they are scarce
#define BACKLOG_MAX 65535u
#define IO_CONNS    1024u // that scripts open over our TCP

static int
fail(struct daemon *d, int rc, const char *text)
{
	snprintf(d->err.text, sizeof(d->err.text), "%s", text);
	return rc;
}

/* ---- loop and log ---- */

static void
on_text(void *ctx, enum sl_level level, const char *type sl_unused, const char *text)
{
	log_post(ctx, LOG_CORE, level, sl_str_c(text));
}

static int
loop_up(struct daemon *d)
{
	const struct global_conf *g = &d->model->global;
	struct log_spec s = { .out = STDOUT_FILENO,
		.err = STDERR_FILENO,
		.target = g->log_target,
		.ntargets = g->nlog_targets,
		.mask = g->log_mask,
		.quiet = d->opt->quiet || g->quiet };

	d->ev = s.ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (d->ev == NULL)
		return fail(d, -ENOMEM, "no event loop: out of memory or file descriptors");
	d->log = log_new(&s);
	if (d->log == NULL)
		return fail(d, -ENOMEM, "no memory for the log");
	sl_log_set_sink(on_text, d->log);
	return 0;
}

static void
loop_down(struct daemon *d)
{
	sl_log_set_sink(NULL, NULL);
	if (d->log != NULL) {
		log_flush(d->log, 100);
		log_free(d->log);
	}
	d->log = NULL;
	if (d->ev != NULL)
		ev_loop_destroy(d->ev);
	d->ev = NULL;
}

/* ---- sizes ---- */

static uint64_t
available_mb(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[256];
	uint64_t kb = UINT64_MAX;

	if (f == NULL)
		return kb;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "MemAvailable:", 13) == 0)
			kb = strtoull(line + 13, NULL, 10);
	}
	fclose(f);
	return kb == UINT64_MAX ? kb : kb / 1024;
}

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
	if (g->tcp != NULL)
		w->tcp = *g->tcp;
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
	worker_memory(&w, d->model->nproxies, m);
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

/*
 * What maxconn needs against what is there, before anything is taken. Packet buffers in hugepages are
 * no part of the memory that is free.
 */
static int
size_up(struct daemon *d)
{
	const struct global_conf *g = &d->model->global;
	uint64_t n = d->plan.nworkers, there = available_mb(), need;
	uint32_t least = pool_mbufs_min(d->model->nports), pools;
	struct worker_spec w = { 0 };
	struct worker_memory m;

	size_worker(&w, d->model, n, g->maxconn);
	d->mbufs = g->mbufs != 0 ? g->mbufs : pool_mbufs(d->model->nports);
	if (d->mbufs < least) {
		snprintf(d->err.text, sizeof(d->err.text),
			"'tune.mbufs %u' is too few: the rings of %u port%s take %u, so at least %u "
			"are needed",
			d->mbufs, d->model->nports, d->model->nports == 1 ? "" : "s", least - 1024,
			least);
		return -EINVAL;
	}
	pools = eal_memory_mb(d->model->nports, (uint32_t)n, d->mbufs);
	if (eal_fits_huge(d->plan.node_mb, d->plan.nnodes, g->dpdk_eal))
		pools = 0;
	need = tables_mb(d, g->maxconn, &m);
	if (need + pools > there) {
		snprintf(d->err.text, sizeof(d->err.text),
			"'maxconn %u' on %u thread%s needs %llu MiB (%u bytes for each of %llu "
			"connections, %u for each of %u requests in flight)%s%.0u%s, %llu MiB are "
			"there: lower maxconn to %llu or give the machine %llu MiB more",
			g->maxconn, (unsigned)n, n == 1 ? "" : "s", (unsigned long long)need,
			m.per_conn, (unsigned long long)n * w.max_conns, m.per_stream,
			(unsigned)n * w.max_streams, pools != 0 ? " and " : "", pools,
			pools != 0 ? " MiB of packet buffers" : "", (unsigned long long)there,
			(unsigned long long)largest_maxconn(
				d, g->maxconn, there > pools ? there - pools : 0),
			(unsigned long long)(need + pools - there));
		return -ENOMEM;
	}
	d->worker_mb = (uint32_t)(need / n);
	d->worker_mem = m;
	d->wspec = w;
	size_sockets(d);
	return 0;
}

static int
plan_up(struct daemon *d)
{
	int rc = threads_place(d);

	return rc < 0 ? rc : size_up(d);
}

/* ---- listening sockets of the host: before anything that takes long or gives up rights ---- */

static int
listen_one(struct daemon *d, const struct listen_addr *b, int *out)
{
	uint32_t backlog = b->backlog;
	struct io_listen_opts o = { .v6only = b->v6only,
		.has_mode = b->has_mode,
		.mode = (mode_t)b->mode,
		.uid = (uid_t)b->uid,
		.gid = (gid_t)b->gid };
	char text[160];
	struct sl_buf t;

	if (backlog == 0)
		backlog = b->fe->maxconn != 0 ? b->fe->maxconn : d->model->global.maxconn;
	o.backlog = (int)sl_min(backlog, BACKLOG_MAX);
	*out = io_listen_open(&b->addr, &o);
	if (*out >= 0)
		return 0;
	sl_buf_init(&t, text, sizeof(text));
	addr_format_port(&t, &b->addr);
	snprintf(d->err.text, sizeof(d->err.text),
		"[%s:%u] : Starting %s %.*s: cannot bind socket (%s) for [%.*s]%s", b->pos.file,
		b->pos.line, (b->fe->caps & PX_CAP_BE) != 0 ? "proxy" : "frontend",
		SL_STR_ARG(b->fe->name), strerror(-*out), SL_STR_ARG(sl_buf_str(&t)),
		*out == -EADDRNOTAVAIL && d->model->nports > 0
			? "; it is the address of no port section either"
			: "");
	return *out;
}

static int
listen_up(struct daemon *d)
{
	const struct model *m = d->model;

	d->listen_fd = malloc(sizeof(int) * (m->nbinds + 1));
	if (d->listen_fd == NULL)
		return fail(d, -ENOMEM, "no memory for listeners");
	for (uint32_t i = 0; i < m->nbinds; i++)
		d->listen_fd[i] = -1;
	for (uint32_t i = 0; i < m->nbinds; i++) {
		int rc = m->binds[i]->addr.host ? listen_one(d, m->binds[i], &d->listen_fd[i]) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

static void
unlink_path(const struct listen_addr *b)
{
	const struct host_sock *hs = addr_host_sock(&b->addr.ip);

	if (hs != NULL && hs->fd < 0 && hs->name[0] != '\0')
		unlink(hs->name);
}

static void
listen_down(struct daemon *d)
{
	for (uint32_t i = 0; d->listen_fd != NULL && i < d->model->nbinds; i++) {
		if (d->listen_fd[i] >= 0)
			close(d->listen_fd[i]);
		unlink_path(d->model->binds[i]);
	}
	free(d->listen_fd);
	d->listen_fd = NULL;
}

/* ---- DPDK ---- */

static void
port_spec_of(struct port_spec *s, const struct port_conf *c, int node)
{
	*s = (struct port_spec){ .name = c->name,
		.device = c->device,
		.addrs = c->addrs,
		.naddrs = c->naddrs,
		.gateway4 = c->gateway4,
		.gateway6 = c->gateway6,
		.routes = c->routes,
		.nroutes = c->nroutes,
		.neighs = c->neighs,
		.nneighs = c->nneighs,
		.offload = c->offload,
		.node = node,
		.mtu = c->mtu,
		.vlan = c->vlan };
}

/* An error of a driver names the device; add where the configuration names it. */
static void
add_position(struct daemon *d)
{
	const struct port_conf *hit = d->model->nports > 0 ? &d->model->ports[0] : NULL;
	char text[sizeof(d->err.text)];

	for (uint32_t i = 0; i < d->model->nports; i++) {
		const struct port_conf *c = &d->model->ports[i];
		struct sl_str rest = c->device, err = sl_str_c(d->err.text);

		while (rest.len > 0) {
			struct sl_str part = sl_str_cut(&rest, ',');
			int eq = sl_str_chr(part, '=');

			if (eq >= 0) {
				part.p += eq + 1;
				part.len -= (uint32_t)eq + 1;
			}
			if (part.len > 2 && sl_str_find(err, part, false) >= 0) {
				hit = c;
				goto found;
			}
		}
	}
found:
	if (hit == NULL || hit->device_pos.file == NULL)
		return;
	if (strncmp(d->err.text, "port '", 6) == 0)
		snprintf(text, sizeof(text), "[%s:%u] : %.400s", hit->device_pos.file,
			hit->device_pos.line, d->err.text);
	else
		snprintf(text, sizeof(text), "[%s:%u] : port '%.*s' : %.400s", hit->device_pos.file,
			hit->device_pos.line, SL_STR_ARG(hit->name), d->err.text);
	memcpy(d->err.text, text, sizeof(text));
}

static int
eal_up(struct daemon *d)
{
	const struct model *m = d->model;
	struct eal_spec s = { .ports = d->spec,
		.nports = m->nports,
		.nworkers = d->plan.nworkers,
		.pool_mbufs = d->mbufs,
		.worker_cpu = d->plan.worker_cpu,
		.node_mb = d->plan.node_mb,
		.nnodes = d->plan.nnodes,
		.main_cpu = d->plan.main_cpu,
		.extra = m->global.dpdk_eal,
		.file_prefix = d->clean.prefix };
	int rc;

	if (m->nports > PORT_MAX)
		return fail(d, -E2BIG, "too many 'port' sections: 16 at most");
	for (uint32_t i = 0; i < m->nports; i++)
		port_spec_of(&d->spec[i], &m->ports[i], d->plan.port_node[i]);
	// telemetry would follow it, and dpdk-telemetry.py would look elsewhere
	unsetenv("RUNTIME_DIRECTORY");
	umask(077); // of EAL's files and its telemetry socket
	// EAL's helper threads stay where main is, away from the workers
	rc = thread_pin(d->plan.main_cpu);
	if (rc < 0)
		return fail(d, rc, "cannot bind the main thread to its CPU");
	rc = eal_start(&s, &d->huge, &d->err);
	if (rc < 0)
		add_position(d);
	return rc;
}

static void
eal_down(struct daemon *d)
{
	eal_stop(d->leave);
}

static int
ports_up(struct daemon *d)
{
	uint32_t nports = d->model->nports;

	d->ports = calloc(1, sizeof(*d->ports));
	if (d->ports == NULL)
		return fail(d, -ENOMEM, "no memory for the ports");
	for (uint16_t w = 0; w < d->plan.nworkers; w++) {
		// not rte_lcore_to_socket_id(): that is the node of the CPU with the lcore's number
		d->pool[w] = pool_create(w, d->mbufs, d->plan.worker_node[w], &d->err);
		if (d->pool[w] == NULL)
			return -ENOMEM;
	}
	d->ports->nworkers = d->plan.nworkers;
	for (uint32_t i = 0; i < nports; i++) {
		int rc = port_start(d->ports, &d->spec[i], d->pool, d->plan.nworkers, &d->err);

		if (rc < 0) {
			add_position(d);
			return rc;
		}
	}
	port_finish(d->ports);
	return 0;
}

static void
ports_down(struct daemon *d)
{
	for (uint16_t i = 0; d->ports != NULL && i < d->ports->n; i++)
		port_stop(d->ports, &d->ports->port[i]);
	for (uint16_t w = 0; w < d->plan.nworkers; w++)
		rte_mempool_free(d->pool[w]);
	free(d->ports);
	d->ports = NULL;
}

/* ---- shared state and workers ---- */

static int
shared_up(struct daemon *d)
{
	d->net = net_shared_new(d->ports);
	d->bal = bal_shared_new(d->model->nservers, d->model->nproxies, d->model->nbinds);
	if (d->net == NULL || d->bal == NULL)
		return fail(d, -ENOMEM, "no memory for neighbours and servers");
	bal_shared_init_model(d->bal, d->model);
	return 0;
}

static void
shared_down(struct daemon *d)
{
	if (d->bal != NULL)
		bal_shared_free(d->bal);
	if (d->net != NULL)
		net_shared_free(d->net);
	d->bal = NULL;
	d->net = NULL;
}

static int
workers_up(struct daemon *d)
{
	const struct model *m = d->model;
	struct worker_spec *s = &d->wspec;

	s->net = d->net;
	s->bal = d->bal;
	s->secret[0] = rte_rand();
	s->secret[1] = rte_rand();
	for (uint16_t w = 0; w < d->plan.nworkers; w++) {
		s->lcore = (struct lcore_spec){ .id = w,
			.nlcores = d->plan.nworkers,
			.nscripts = (uint16_t)m->global.script_threads,
			.nspare = SCRIPT_SPARE,
			.socket = d->plan.worker_node[w],
			.seed = rte_rand(),
			.pool = d->pool[w],
			.pool_size = d->mbufs,
			.ports = d->ports,
			.npx = m->npx_counters,
			.nbind = m->nbinds,
			.nsrv = m->nservers };
		d->lc[w] = worker_new(s, &d->err);
		if (d->lc[w] == NULL)
			return -ENOMEM;
		d->nlc++;
	}
	if (lcore_mesh(d->lc, d->nlc) < 0)
		return fail(d, -ENOMEM, "no memory for the rings between workers");
	return 0;
}

static void
workers_down(struct daemon *d)
{
	lcore_unmesh(d->lc, d->nlc);
	while (d->nlc > 0)
		worker_free(d->lc[--d->nlc]);
}

static int
publish_up(struct daemon *d)
{
	// workers are not running: they open the listeners as their first act
	epoch_publish(d->lc, d->nlc, d->model);
	return 0;
}

/* On the io thread. */
static void
host_up(struct io_loop *l, void *ctx)
{
	struct daemon *d = ctx;
	struct io_host_spec s = { .max_socks = d->max_socks,
		.blocks = HOST_BLOCKS_MB * 1048576u / (uint32_t)sizeof(struct host_block) };

	d->host = io_host_new(l, &s);
	for (uint32_t i = 0; d->host != NULL && i < d->model->nbinds; i++) {
		if (d->listen_fd[i] >= 0 &&
			io_host_listen(d->host, &d->model->binds[i]->addr, d->listen_fd[i]) == 0)
			d->listen_fd[i] = -1;
	}
}

static void
host_down(struct io_loop *l sl_unused, void *ctx)
{
	struct daemon *d = ctx;

	io_host_free(d->host);
	d->host = NULL;
}

static int
io_up(struct daemon *d)
{
	struct io_thread_spec s = {
		.lc = d->lc, .n = d->nlc, .max_conns = IO_CONNS, .cpus = &d->plan.script
	};
	int rc;

	d->io = io_loop_new(d->ev, d->lc, d->nlc, IO_PAIR_MAIN, CHECK_CONNS);
	if (d->io == NULL)
		return fail(d, -ENOMEM, "no memory for health checks");
	rc = io_thread_start(&s, &d->iot);
	if (rc < 0)
		return fail(d, rc, "cannot start the io thread");
	io_thread_run(d->iot, host_up, d);
	return d->host != NULL ? 0 : fail(d, -ENOMEM, "no memory for sockets of the host");
}

static void
io_down(struct daemon *d)
{
	if (d->iot != NULL)
		io_thread_run(d->iot, host_down, d);
	io_thread_stop(d->iot);
	d->iot = NULL;
	if (d->io != NULL)
		io_loop_free(d->io);
	d->io = NULL;
}

/* ---- scripts, telemetry, checks ---- */

static void
on_script_text(void *ctx, enum sl_level level, struct sl_str text)
{
	log_post(ctx, LOG_SCRIPT, level, text);
}

static bool
tell_worker(void *ctx, uint16_t worker, const struct xmsg *m)
{
	return io_message(ctx, worker, m);
}

static int
scripts_up(struct daemon *d)
{
	struct script_spec s = { .nthreads = (uint16_t)d->model->global.script_threads,
		.lc = d->lc,
		.nlcores = d->nlc,
		.nice = d->plan.shared ? 19 : 0,
		.cpus = &d->plan.script,
		.log = on_script_text,
		.log_ctx = d->log,
		.tell = tell_worker,
		.tell_ctx = d->io,
		.call_slots = d->wspec.call_slots,
		.stuck_ms = d->model->global.lua_stuck_timeout_ms };
	struct io_socks_spec socks = { .io = d->iot,
		.ports = d->ports,
		.nworkers = d->nlc,
		.max = d->model->global.lua_sockets };
	int rc;

	if (d->model->lua == NULL)
		return 0;
	rc = io_socks_start(&socks, &d->socks);
	if (rc < 0)
		return fail(d, rc, "no memory for the sockets of scripts");
	s.socks = d->socks;
	rc = script_start(&s);
	if (rc < 0)
		return fail(d, rc, "cannot start the script threads");
	script_publish(d->model->lua);
	d->scripts = true;
	return 0;
}

static void
scripts_down(struct daemon *d)
{
	io_socks_mute(d->socks);
	if (d->scripts)
		script_stop();
	d->scripts = false;
	io_socks_stop(d->socks);
	d->socks = NULL;
}

static int
stats_up(struct daemon *d)
{
	d->stats_spec = (struct stats_spec){ .lc = d->lc,
		.nlc = d->nlc,
		.ports = d->ports,
		.net = d->net,
		.bal = d->bal,
		.model = d->model,
		.log = d->log,
		.socks = d->socks,
		.huge = d->huge };

	return stats_open(&d->stats_spec) < 0 ? fail(d, -EINVAL, "telemetry: commands are taken") : 0;
}

static void
stats_down(struct daemon *d sl_unused)
{
	stats_close();
}

static void
on_server_text(void *ctx, enum sl_level level, const char *text)
{
	log_post(ctx, LOG_SERVER, level, sl_str_c(text));
}

static int
checks_up(struct daemon *d)
{
	struct checks_spec s = { .ev = d->ev,
		.io = d->io,
		.lc = d->lc,
		.nlc = d->nlc,
		.bal = d->bal,
		.model = d->model,
		.say = on_server_text,
		.say_ctx = d->log };

	d->checks = checks_new(&s);
	return d->checks != NULL ? 0 : fail(d, -ENOMEM, "no memory for health checks");
}

static void
checks_down(struct daemon *d)
{
	checks_free(d->checks);
	d->checks = NULL;
}

static int
cli_up(struct daemon *d)
{
	struct cli_spec s = { .ev = d->ev,
		.lc = d->lc,
		.nlc = d->nlc,
		.ports = d->ports,
		.bal = d->bal,
		.checks = d->checks,
		.model = d->model,
		.log = d->log };
	const char *dup = NULL;
	int rc;

	d->stats = s.stats = stats_new(d->ev, &d->stats_spec, d->checks);
	if (d->stats == NULL)
		return fail(d, -ENOMEM, "no memory for statistics");
	rc = cli_init(&dup);
	if (rc < 0)
		return fail(d, rc, dup != NULL ? dup : "no memory for the runtime API");
	rc = cli_new(&s, &d->cli, d->err.text, sizeof(d->err.text));
	return rc == -ENOENT ? 0 : rc;
}

static void
cli_down(struct daemon *d)
{
	cli_free(d->cli);
	d->cli = NULL;
	stats_free(d->stats);
	d->stats = NULL;
}

static int
launch_up(struct daemon *d)
{
	for (uint16_t w = 0; w < d->nlc; w++) {
		int rc = rte_eal_remote_launch(worker_main, d->lc[w], w + 1u);

		if (rc < 0)
			return fail(d, rc, "cannot start a worker on its CPU");
		d->launched = true;
	}
	return 0;
}

static void
launch_down(struct daemon *d)
{
	for (uint16_t w = 0; d->launched && w < d->nlc; w++) {
		atomic_store_explicit(&d->lc[w]->stop, true, memory_order_release);
		waker_wake(&d->lc[w]->waker);
	}
	for (uint16_t w = 0; d->launched && w < d->nlc; w++)
		rte_eal_wait_lcore(w + 1u);
	d->launched = false;
}

/* ---- the list ---- */

static const struct step {
	const char *what;
	int (*up)(struct daemon *d);
	void (*down)(struct daemon *d); // also after an `up` that failed half-way
} steps[] = {
	{ "event loop and log", loop_up, loop_down },
	{ "placement and sizes", plan_up, NULL },
	{ "listeners of the host", listen_up, listen_down },
	{ "DPDK", eal_up, eal_down },
	{ "buffers and ports", ports_up, ports_down },
	{ "neighbours and servers", shared_up, shared_down },
	{ "workers", workers_up, workers_down },
	{ "connections of control threads", io_up, io_down },
	{ "configuration to workers", publish_up, NULL },
	{ "script threads", scripts_up, scripts_down },
	{ "telemetry", stats_up, stats_down },
	{ "health checks", checks_up, checks_down },
	{ "runtime API", cli_up, cli_down },
	{ "rights", priv_up, NULL },
	{ "launch", launch_up, launch_down },
};

static void
undo(struct daemon *d, size_t n)
{
	while (n-- > 0) {
		if (steps[n].down != NULL)
			steps[n].down(d);
	}
}

int
daemon_start(struct daemon *d)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(steps); i++) {
		int rc = steps[i].up(d);

		if (rc >= 0)
			continue;
		if (d->err.text[0] == '\0')
			snprintf(d->err.text, sizeof(d->err.text), "%s: %s", steps[i].what,
				strerror(-rc));
		daemon_say(d, SL_ALERT, "%s", d->err.text);
		undo(d, steps[i].up == eal_up ? i : i + 1);
		return rc;
	}
	return 0;
}

void
daemon_stop(struct daemon *d)
{
	// first the workers, so that nothing moves while its surroundings go; then the list
	launch_down(d);
	undo(d, SL_ARRAY_SIZE(steps) - 1);
}
