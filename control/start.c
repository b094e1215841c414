// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bringing the daemon up and down: one list of steps, each with its undo.
 *
 * Runs on: main, after the configuration was loaded and the parent forked. A step that fails puts a
 * sentence into d->err that names the thing and what to change; what stood before it is undone in
 * reverse. Order: parse -> size -> listening sockets -> generations -> EAL -> ports -> shared state
 * -> workers -> io -> TAPs -> scripts -> telemetry -> checks -> rights given up -> launch.
 */
#include <fcntl.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/health.h"
#include "control/io/sock.h"
#include "control/priv.h"
#include "control/script/script.h"
#include "control/secret.h"
#include "control/stats/stats.h"
#include "control/tap.h"

#define HOST_BLOCKS_MB \
	16u // of buffers between workers and sockets of the host, then they are scarce
#define IO_CONNS 1024u // that scripts open over our TCP

int
daemon_fail(struct daemon *d, int rc, const char *text)
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
		.conf = log_conf_of(d->model),
		.quiet = d->opt->quiet || g->quiet };

	d->ev = s.ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (d->ev == NULL)
		return daemon_fail(d, -ENOMEM, "no event loop: out of memory or file descriptors");
	d->log = log_new(&s);
	if (d->log == NULL)
		return daemon_fail(d, -ENOMEM, "no memory for the log");
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
	if (d->ev != NULL && !d->loader_stuck)
		ev_loop_destroy(d->ev);
	d->ev = NULL;
}

/* ---- shared state and workers ---- */

static int
shared_up(struct daemon *d)
{
	d->net = net_shared_new(d->ports);
	d->bal = bal_shared_new(d->cap[SLOT_SERVER], d->cap[SLOT_PROXY], d->cap[SLOT_BIND]);
	if (d->net == NULL || d->bal == NULL)
		return daemon_fail(d, -ENOMEM, "no memory for neighbours and servers");
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
	uint64_t seed[LCORE_MAX];
	int rc;

	s->net = d->net;
	s->bal = d->bal;
	rc = secret_draw(s->secret, sizeof(s->secret));
	for (uint16_t w = 0; rc == 0 && w < d->plan.nworkers; w++)
		rc = secret_draw(&seed[w], sizeof(seed[w]));
	if (rc < 0)
		return daemon_fail(d, rc,
			"the kernel gives no random numbers (getrandom): allow it to this process");
	net_shared_key(d->net, s->secret);
	for (uint16_t w = 0; w < d->plan.nworkers; w++) {
		s->lcore = (struct lcore_spec){ .id = w,
			.nlcores = d->plan.nworkers,
			.nscripts = (uint16_t)m->global.script_threads,
			.nspare = SCRIPT_SPARE,
			.socket = d->plan.worker_node[w],
			.seed = seed[w],
			.pool = d->pool[w],
			.pool_size = d->mbufs,
			.ports = d->ports,
			.npx = d->cap[SLOT_PROXY],
			.nbind = d->cap[SLOT_BIND],
			.nsrv = d->cap[SLOT_SERVER] };
		d->lc[w] = worker_new(s, &d->err);
		if (d->lc[w] == NULL)
			return -ENOMEM;
		d->nlc++;
	}
	if (lcore_mesh(d->lc, d->nlc) < 0)
		return daemon_fail(d, -ENOMEM, "no memory for the rings between workers");
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
	arena_map_protect(d->model->mem);
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
		return daemon_fail(d, -ENOMEM, "no memory for health checks");
	rc = io_thread_start(&s, &d->iot);
	if (rc < 0)
		return daemon_fail(d, rc, "cannot start the io thread");
	io_thread_run(d->iot, host_up, d);
	return d->host != NULL ? 0 : daemon_fail(d, -ENOMEM, "no memory for sockets of the host");
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
		.nice = d->plan.nice,
		.idle_long = d->plan.idle_long,
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
		return daemon_fail(d, rc, "no memory for the sockets of scripts");
	s.socks = d->socks;
	rc = script_start(&s);
	if (rc < 0)
		return daemon_fail(d, rc, "cannot start the script threads");
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
		.pat_refused = &d->pat_refused,
		.huge = d->huge };

	return stats_open(&d->stats_spec) < 0 ? daemon_fail(d, -EINVAL, "telemetry: commands are taken") : 0;
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
	return d->checks != NULL ? 0 : daemon_fail(d, -ENOMEM, "no memory for health checks");
}

static void
checks_down(struct daemon *d)
{
	checks_free(d->checks);
	d->checks = NULL;
}

static uint32_t
on_cli_reload(void *ctx)
{
	return reload_request(ctx);
}

static void
on_cli_health(void *ctx, bool welcome)
{
	health_set(((struct daemon *)ctx)->health, welcome);
}

static const char *
on_cli_why(void *ctx)
{
	return health_why(((struct daemon *)ctx)->health);
}

static int
cli_up(struct daemon *d)
{
	struct cli_spec s = { .ev = d->ev,
		.io = d->io,
		.lc = d->lc,
		.nlc = d->nlc,
		.ports = d->ports,
		.bal = d->bal,
		.checks = d->checks,
		.model = d->model,
		.log = d->log,
		.reload = on_cli_reload,
		.generations = reload_generations,
		.reloads = &d->reloads,
		.health_set = d->model->global.health_file.len > 0 ? on_cli_health : NULL,
		.health_why = on_cli_why,
		.ctx = d };
	const char *dup = NULL;
	int rc;

	d->stats = s.stats = stats_new(d->ev, &d->stats_spec, d->checks);
	if (d->stats == NULL)
		return daemon_fail(d, -ENOMEM, "no memory for statistics");
	rc = cli_init(&dup);
	if (rc < 0)
		return daemon_fail(d, rc, dup != NULL ? dup : "no memory for the runtime API");
	return cli_new(&s, &d->cli, d->err.text, sizeof(d->err.text));
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
run_worker(void *lc)
{
	thread_short_turns();
	return worker_main(lc);
}

static int
launch_up(struct daemon *d)
{
	script_settled();
	for (uint16_t w = 0; w < d->nlc; w++) {
		int rc = rte_eal_remote_launch(run_worker, d->lc[w], w + 1u);

		if (rc < 0)
			return daemon_fail(d, rc, "cannot start a worker on its CPU");
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

int
daemon_let_go(struct daemon *d, struct port *p)
{
	int rc;

	launch_down(d);
	port_let_go(d->ports, p, d->pool);
	for (uint16_t w = 0; w < d->nlc; w++)
		atomic_store_explicit(&d->lc[w]->stop, false, memory_order_release);
	rc = launch_up(d);
	if (rc < 0)
		daemon_say(d, SL_ALERT, "%s", d->err.text);
	else
		daemon_say(d, SL_ALERT,
			"port '%s': its device %s was taken away: it is let go, and the port is "
			"down until sluice is started again",
			p->name, p->device);
	return rc;
}

/*
 * The pid file names the process to signal: the parent where there is one. Written when all is open, as
 * HAProxy does: a start that fails leaves the file of the one that runs.
 */
static int
pidfile_up(struct daemon *d)
{
	const char *path = d->clean.pidfile;
	int fd, rc = 0;

	if (path == NULL)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || dprintf(fd, "%d\n", (int)(d->parented ? getppid() : getpid())) < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		snprintf(d->err.text, sizeof(d->err.text), "cannot create pidfile %s: %s", path,
			strerror(-rc));
	return rc;
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
	{ "generations", reload_up, reload_down },
	{ "DPDK", eal_up, eal_down },
	{ "buffers and ports", ports_up, ports_down },
	{ "neighbours and servers", shared_up, shared_down },
	{ "workers", workers_up, workers_down },
	{ "connections of control threads", io_up, io_down },
	{ "exception path", taps_up, taps_down },
	{ "configuration to workers", publish_up, NULL },
	{ "script threads", scripts_up, scripts_down },
	{ "telemetry", stats_up, stats_down },
	{ "health checks", checks_up, checks_down },
	{ "runtime API", cli_up, cli_down },
	{ "health file", health_up, health_down },
	{ "pid file", pidfile_up, NULL },
	{ "rights", priv_up, NULL },
	{ "writing the health file", health_check, NULL },
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
	reload_cancel(d);
	// first the workers, so that nothing moves while its surroundings go; then the list
	launch_down(d);
	undo(d, SL_ARRAY_SIZE(steps) - 1);
}
