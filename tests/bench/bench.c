// SPDX-License-Identifier: BSD-3-Clause
/*
 * sluice-bench: cycles per proxied request, in process.
 *
 * Runs the daemon's own worker (worker_iterate, all layers, the model of a real configuration text)
 * over a wire port against the synthetic world of gen.c, in one thread: worker and generator take
 * turns, and only the worker's turns are counted. The figure is wall TSC of the worker ÷ requests,
 * empty polls included. `wire` says how much of it is the wire's copying, which a device does by
 * DMA. Every byte of every answer is checked.
 *
 *   sluice-bench [-c conns] [-w window] [-n requests] [-b body] [-r runs] [-v US] [-C] [-q]
 *                [-f EXTRA] [-m CYCLES] [-l ACTIONS] [-i SECONDS] [-g GAP]
 *
 *   -v  a virtual clock: each turn takes so many microseconds, so that the instructions executed
 *       are the same in every run (valgrind --tool=callgrind --toggle-collect=worker_turn)
 *   -C  a new connection on both sides for each request
 *   -f  a file with more lines for the frontend
 *   -m  fail (exit code 1) if the median is above this many cycles; with -i, if the throughput beside hostile
 *       scripts is below this part of the plain one, or a second passes in which no script gets on; with -l, if
 *       fewer actions than this come back in a second
 *   -l  so many Lua actions for each request; the script thread has the other CPUs
 *   -i  isolation: so many seconds of plain traffic, then as many beside hostile scripts (lua.c)
 *   -g  latency: one request at a time, that many milliseconds apart
 */
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/conf/conf.h"
#include "dataplane/worker/worker.h"
#include "tests/bench/gen.h"
#include "tests/bench/lua.h"

#define VIP      "10.0.0.10"
#define MAX_RUNS 99

static struct {
	uint32_t conns, window, body, runs, turn_us;
	uint64_t requests;
	double limit;
	uint32_t actions, isolate_s;
	int gap_ms; // -1: not asked
	bool close, quiet;
	const char *extra;
} opt = { .conns = 1000, .window = 64, .body = 1000, .runs = 5, .requests = 400000, .gap_ms = -1 };

static const char config[] = "global\n"
			     "    log stdout format raw local0\n"
			     "    maxconn 1000000\n"
			     "%s"
			     "port bench\n"
			     "    device wire0a\n"
			     "    address " VIP "/8\n"
			     "defaults\n"
			     "    mode http\n"
			     "    log global\n"
			     "    option httplog\n"
			     "    option forwardfor\n"
			     "    timeout connect 2s\n"
			     "    timeout client 60s\n"
			     "    timeout server 60s\n"
			     "    timeout http-request 10s\n"
			     "    timeout http-keep-alive 60s\n"
			     "    maxconn 1000000\n"
			     "%s"
			     "frontend web\n"
			     "    bind " VIP ":80\n"
			     "    http-request set-header x-bench %%[path,length]\n"
			     "%s"
			     "    default_backend be\n"
			     "backend be\n"
			     "    balance roundrobin\n"
			     "    server s1 10.2.0.1:8000\n"
			     "    server s2 10.2.0.2:8000\n"
			     "    server s3 10.2.0.3:8000\n"
			     "    server s4 10.2.0.4:8000\n";

static void
message(void *ctx sl_unused, enum sl_level level sl_unused, const char *text)
{
	fprintf(stderr, "bench: %s\n", text);
}

static bool
has_lua(void)
{
	return opt.actions > 0 || opt.isolate_s > 0;
}

static struct model *
load_model(void)
{
	char name[64], extra[4096] = "", global[512] = "";
	const char *file = name;
	struct conf_spec spec = {
		.files = &file, .nfiles = 1, .message = message, .generation = 1
	};
	struct conf_count count;
	struct model *m = NULL;
	int fd = memfd_create("bench.cfg", 0);

	if (opt.extra != NULL) {
		FILE *f = fopen(opt.extra, "r");
		if (f == NULL) {
			perror(opt.extra);
			return NULL;
		}
		extra[fread(extra, 1, sizeof(extra) - 1, f)] = 0;
		fclose(f);
	}
	if (has_lua() &&
		!bench_lua_conf(opt.actions, opt.isolate_s > 0, global, sizeof(global),
			extra + strlen(extra), sizeof(extra) - strlen(extra)))
		return NULL;
	if (fd < 0 ||
		dprintf(fd, config, global, opt.close ? "    option httpclose\n" : "", extra) < 0)
		return NULL;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (conf_load(&spec, &m, &count) != 0)
		m = NULL;
	close(fd);
	return m;
}

/* Each client keeps its last answer waiting for an acknowledgement, 40 ms at most. */
static uint32_t
mbufs(void)
{
	return opt.conns > 4096 ? 65535 : pool_mbufs(1);
}

static int
start_eal(const struct port_spec *ps, struct port_err *err)
{
	char prefix[64];
	uint16_t cpu = 0;
	bool huge;
	int rc;
	struct eal_spec spec = { .ports = ps,
		.nports = 1,
		.nworkers = 1,
		.pool_mbufs = mbufs(),
		.worker_cpu = &cpu,
		.main_cpu = 0,
		.file_prefix = prefix,
		.in_test = true };

	snprintf(prefix, sizeof(prefix), "sluice-bench-%d", getpid());
	rc = eal_start(&spec, &huge, err);
	if (rc == 0)
		rmdir(rte_eal_get_runtime_dir()); // empty, and nobody comes back for it
	return rc;
}

static struct lcore *
start_worker(const struct model *m, struct ports *ps, struct port_err *err)
{
	const struct port_conf *pc = &m->ports[0];
	struct port_spec port = { .name = pc->name,
		.device = pc->device,
		.addrs = pc->addrs,
		.naddrs = pc->naddrs,
		.mtu = pc->mtu };
	struct worker_spec ws = { .max_streams = opt.window * 4 + 1024,
		.idle_per_server = 1024,
		.call_slots = BENCH_LUA_SLOTS,
		.busy_polling = true,
		.secret = { 1, 2 } };
	struct rte_mempool *pool;

	if (start_eal(&port, err) != 0)
		return NULL;
	pool = pool_create(0, mbufs(), SOCKET_ID_ANY, err);
	if (pool == NULL || port_start(ps, &port, &pool, 1, err) != 0)
		return NULL;
	port_finish(ps);
	tcp_conf_default(&ws.tcp);
	ws.max_conns = ws.tcp.max_conns = opt.conns * 2 + 70000;
	ws.net = net_shared_new(ps);
	ws.bal = bal_shared_new(m->nservers, m->nproxies, m->nbinds);
	if (ws.net == NULL || ws.bal == NULL)
		return NULL;
	bal_shared_init_model(ws.bal, m);
	ws.lcore = (struct lcore_spec){ .nlcores = 1,
		.nscripts = has_lua(),
		.nspare = has_lua() ? SCRIPT_SPARE : 0,
		.socket = -1,
		.seed = 1,
		.pool = pool,
		.pool_size = mbufs(),
		.ports = ps,
		.npx = m->npx_counters,
		.nbind = m->nbinds,
		.nsrv = m->nservers };
	return worker_new(&ws, err);
}

static void
drain_log(struct lcore *lc)
{
	while (logring_peek(lc->logring) != NULL)
		logring_done(lc->logring);
}

struct turn {
	uint64_t cycles, wire, polls, empty; // wire: of the cycles, those in the wire itself
};

/* Stays a function of its own under link-time optimisation, so that a profiler finds it. */
static __attribute__((noipa)) bool
worker_turn(struct lcore *lc)
{
	return worker_iterate(lc);
}

/* Generator and worker take turns until `until` answers came, or nothing moves for 3 s. */
static int
run(struct lcore *lc, struct wire *w, struct gen *g, uint64_t until, struct turn *t)
{
	uint64_t hz = rte_get_tsc_hz(), last_done = 0, last_tsc = rte_rdtsc();
	uint64_t start_us = lc->now_us, start_tsc = last_tsc;

	while (gen_stats(g)->done < until || !gen_connected(g)) {
		uint64_t now = rte_rdtsc(), a, us, wire;
		bool busy;

		if (opt.turn_us != 0)
			us = lc->now_us + opt.turn_us;
		else
			us = start_us + (uint64_t)((double)(now - start_tsc) * 1e6 / (double)hz);
		gen_poll(g, us);
		lcore_set_clock(lc, us, us);
		wire = wire_cycles(w, 'a', 0);
		a = rte_rdtsc();
		busy = worker_turn(lc);
		t->cycles += rte_rdtsc() - a;
		t->wire += wire_cycles(w, 'a', 0) - wire;
		t->polls++;
		t->empty += !busy;
		drain_log(lc);
		bench_lua_turn(lc, us);
		if (gen_stats(g)->done + gen_stats(g)->opened != last_done) {
			last_done = gen_stats(g)->done + gen_stats(g)->opened;
			last_tsc = now;
		} else if (now - last_tsc > 3 * hz || gen_stats(g)->wrong > 1000) {
			return -ETIMEDOUT;
		}
	}
	return 0;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static int
measure(struct lcore *lc, struct wire *w, struct gen *g, double *cycles, double *wire)
{
	const struct gen_stats *st = gen_stats(g);
	struct turn t = { 0 };
	uint64_t rx, tx, acks, done;
	// connect and warm up: the first request of a connection opens one to a server
	int rc = run(lc, w, g, sl_max(opt.requests / 10, (uint64_t)opt.conns * 2), &t);

	for (uint32_t i = 0; rc == 0 && i < opt.runs; i++) {
		t = (struct turn){ 0 };
		rx = st->rx;
		tx = st->tx;
		acks = st->pure_acks_rx;
		done = st->done;
		rc = run(lc, w, g, done + opt.requests, &t);
		done = st->done - done;
		if (done == 0)
			break;
		cycles[i] = (double)t.cycles / (double)done;
		wire[i] = (double)t.wire / (double)done;
		if (!opt.quiet)
			printf("run %u: %.0f cycles/request, %.0f requests/s, rx empty %.1f %%, "
			       "frames in %.2f out %.2f (pure ACKs %.2f) per request\n",
				i + 1, cycles[i], (double)rte_get_tsc_hz() / cycles[i],
				100.0 * (double)t.empty / (double)t.polls,
				(double)(st->tx - tx) / (double)done,
				(double)(st->rx - rx) / (double)done,
				(double)(st->pure_acks_rx - acks) / (double)done);
	}
	if (rc != 0 || st->wrong != 0 || st->resets != 0) {
		printf("FAILED: %s; done %llu, wrong %llu (%s), resets %llu, in flight %u\n",
			rc != 0 ? "no progress for 3 s" : "wrong answers",
			(unsigned long long)st->done, (unsigned long long)st->wrong,
			st->first_wrong, (unsigned long long)st->resets, st->in_flight);
		return -EIO;
	}
	qsort(cycles, opt.runs, sizeof(cycles[0]), by_value);
	qsort(wire, opt.runs, sizeof(wire[0]), by_value);
	return 0;
}

/* ---- Lua ---- */

/* Wall time of one request after the other: microseconds, median and 99th percentile. */
static int
latency(struct lcore *lc, struct wire *wire, struct gen *g)
{
	uint32_t n = (uint32_t)sl_min(opt.requests, (uint64_t)100000);
	double *us = calloc(n, sizeof(*us)), hz = (double)rte_get_tsc_hz();
	struct turn t = { 0 };
	int rc = run(lc, wire, g, 1000, &t);

	gen_allow(g, 0);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		uint64_t base = rte_rdtsc(), base_us = lc->now_us, from;
		double gone = 0;

		while (gone < opt.gap_ms * 1e3) { // all go on as they do
			gone = (double)(rte_rdtsc() - base) * 1e6 / hz;
			gen_poll(g, base_us + (uint64_t)gone);
			lcore_set_clock(lc, base_us + (uint64_t)gone, base_us + (uint64_t)gone);
			worker_turn(lc);
			bench_lua_turn(lc, lc->now_us);
		}
		gen_allow(g, 1);
		from = rte_rdtsc();
		rc = run(lc, wire, g, gen_stats(g)->done + 1, &t);
		us[i] = (double)(rte_rdtsc() - from) * 1e6 / hz;
	}
	if (rc == 0) {
		qsort(us, n, sizeof(us[0]), by_value);
		printf("latency_us median=%.1f p99=%.1f min=%.1f requests=%u gap_ms=%d actions=%u\n",
			us[n / 2], us[n * 99 / 100], us[0], n, opt.gap_ms, opt.actions);
	}
	free(us);
	return rc;
}

struct window {
	double rps, cycles, instr_min; // instr_min: of the poorest second
};

/* Seconds of traffic in steps of one; each but the first begins with the requests from number `again` on. */
static int
window(struct lcore *lc, struct wire *wire, struct gen *g, uint32_t again, struct window *w)
{
	uint64_t hz = rte_get_tsc_hz(), start = rte_rdtsc(), done = gen_stats(g)->done;
	uint64_t instr = bench_lua_instructions(), next = start + hz;
	struct turn t = { 0 };
	int rc = 0;

	w->instr_min = 1e18;
	while (rc == 0 && rte_rdtsc() - start < opt.isolate_s * hz) {
		rc = run(lc, wire, g, gen_stats(g)->done + 64, &t);
		if (rte_rdtsc() < next)
			continue;
		next += hz;
		if (again != 0)
			gen_number(g, again);
		w->instr_min = sl_min(w->instr_min, (double)(bench_lua_instructions() - instr));
		instr = bench_lua_instructions();
	}
	done = gen_stats(g)->done - done;
	w->rps = (double)done * (double)hz / (double)(rte_rdtsc() - start);
	w->cycles = (double)t.cycles / (double)done;
	return rc;
}

static int
isolation(struct lcore *lc, struct wire *wire, struct gen *g)
{
	struct window plain = { 0 }, bad = { 0 };
	struct turn t = { 0 };
	int rc = run(lc, wire, g, opt.conns * 2, &t);

	gen_number(g, 1000000000);
	rc = rc == 0 ? window(lc, wire, g, 0, &plain) : rc;
	gen_number(g, 2000000000);
	rc = rc == 0 ? window(lc, wire, g, 2000000020, &bad) : rc;
	printf("isolation plain_rps=%.0f hostile_rps=%.0f ratio=%.3f cycles=%.0f/%.0f "
	       "instructions_in_poorest_second=%.0f\n",
		plain.rps, bad.rps, bad.rps / plain.rps, plain.cycles, bad.cycles, bad.instr_min);
	if (rc != 0 || gen_stats(g)->wrong != 0) {
		printf("FAILED: %d, wrong %s\n", rc, gen_stats(g)->first_wrong);
		return -EIO;
	}
	if (opt.limit > 0 && (bad.rps < opt.limit * plain.rps || bad.instr_min <= 0)) {
		printf("FAILED: below %.2f of plain traffic, or a second without instructions\n", opt.limit);
		return -ERANGE;
	}
	return 0;
}

/* Actions that came back, per second of wall time; false: too few. */
static bool
enough_actions(struct lcore *lc, uint64_t tsc)
{
	double rate = (double)counter_get(&lc->stat[STAT_LUA_REPLIES]) * (double)rte_get_tsc_hz() / (double)tsc;

	printf("lua_actions_per_s=%.0f actions_per_request=%u\n", rate, opt.actions);
	if (rate >= opt.limit || opt.isolate_s > 0 || opt.gap_ms >= 0)
		return true;
	printf("FAILED: fewer than %.0f actions per second\n", opt.limit);
	return false;
}

static void
print_counters(struct lcore *lc)
{
	for (uint32_t i = 0; i < DROP_NR; i++)
		if (counter_get(&lc->drop[i]) != 0)
			printf("drop %s: %llu\n", drop_desc[i].name,
				(unsigned long long)counter_get(&lc->drop[i]));
	if (!opt.quiet)
		for (uint32_t i = 0; i < STAT_NR; i++)
			if (counter_get(&lc->stat[i]) != 0)
				printf("%s: %llu\n", stat_desc[i].name,
					(unsigned long long)counter_get(&lc->stat[i]));
}

int
main(int argc, char **argv)
{
	static struct ports ps;
	struct gen_conf gc = { .seed = 1, .vip = 0x0a00000a, .queues = 1 };
	double cycles[MAX_RUNS] = { 0 }, wire[MAX_RUNS] = { 0 };
	struct port_err err = { "" };
	const char *dup = NULL;
	struct model *m;
	struct wire *w;
	struct lcore *lc;
	struct gen *g;
	int c, rc;

	while ((c = getopt(argc, argv, "c:w:n:b:r:v:Cqf:m:l:i:g:")) != -1) {
		switch (c) {
		case 'c':
			opt.conns = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'w':
			opt.window = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			opt.requests = strtoull(optarg, NULL, 10);
			break;
		case 'b':
			opt.body = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			opt.runs = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'v':
			opt.turn_us = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'C':
			opt.close = true;
			break;
		case 'q':
			opt.quiet = true;
			break;
		case 'f':
			opt.extra = optarg;
			break;
		case 'l':
			opt.actions = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'i':
			opt.isolate_s = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'g':
			opt.gap_ms = (int)strtol(optarg, NULL, 10);
			break;
		case 'm':
			opt.limit = strtod(optarg, NULL);
			break;
		default:
			return 2;
		}
	}
	if (opt.gap_ms >= 0)
		opt.conns = opt.window = 1;
	if (opt.runs == 0 || opt.runs > MAX_RUNS || opt.window == 0 || opt.conns == 0)
		return 2;
	if (opt.close && opt.conns > 512)
		opt.conns = 512; // only those in flight exist
	if (conf_init(&dup) < 0) {
		fprintf(stderr, "bench: keyword twice: %s\n", dup);
		return 1;
	}
	m = load_model();
	w = wire_new(0, opt.conns > 4096 ? 8192 : 1024); // as deep as a NIC's ring
	if (m == NULL || w == NULL)
		return 1;
	lc = start_worker(m, &ps, &err);
	if (lc == NULL) {
		fprintf(stderr, "bench: %s\n", err.text);
		return 1;
	}
	if (opt.turn_us != 0) {
		uint64_t us = SL_ALIGN_UP(lc->now_us, UINT64_C(65536000)); // slots of the wheel
		lcore_set_clock(lc, us, us);
	}
	epoch_publish(&lc, 1, m);
	epoch_quiescent(lc);
	rc = px_listen(lc, m);
	gc.conns = opt.conns;
	gc.window = sl_min(opt.window, opt.conns);
	gc.body = opt.body;
	gc.reply = opt.actions > 0 ? bench_lua_reply : NULL;
	gc.close = opt.close;
	g = gen_new(w, 'b', &gc);
	if (rc != 0 || g == NULL) {
		fprintf(stderr, "bench: cannot listen or allocate (%d)\n", rc);
		return 1;
	}
	printf("workload: %s, %u connections visited in random order, %u in flight; request 500 B "
	       "with 8 headers and a varying path, answer %u B; forwarded-for, one set-header, 4 "
	       "servers, timeouts, counters and a log record on; checksums in software both ways; "
	       "copying wire; TSC %.2f GHz\n",
		opt.close ? "a connection each" : "keep-alive", opt.conns, gc.window, opt.body,
		(double)rte_get_tsc_hz() / 1e9);
	if (has_lua() && bench_lua_start(lc, m) < 0)
		return 1;
	uint64_t tsc = rte_rdtsc();
	rc = opt.isolate_s > 0    ? isolation(lc, w, g)
		: opt.gap_ms >= 0 ? latency(lc, w, g)
				  : measure(lc, w, g, cycles, wire);
	if (opt.actions > 0 && !enough_actions(lc, rte_rdtsc() - tsc))
		rc = -ERANGE;
	print_counters(lc);
	if (has_lua() && !opt.quiet)
		bench_lua_print();
	if (rc == 0 && (opt.isolate_s > 0 || opt.gap_ms >= 0))
		return 0;
	if (rc != 0)
		return 1;
	printf("cycles_per_request=%.0f min=%.0f max=%.0f wire=%.0f runs=%u requests=%llu "
	       "checked=all\n",
		cycles[opt.runs / 2], cycles[0], cycles[opt.runs - 1], wire[opt.runs / 2], opt.runs,
		(unsigned long long)opt.requests);
	gen_free(g);
	if (opt.limit > 0 && opt.actions == 0 && cycles[opt.runs / 2] > opt.limit) {
		printf("FAILED: above the limit of %.0f cycles\n", opt.limit);
		return 1;
	}
	return 0;
}
