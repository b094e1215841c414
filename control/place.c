// SPDX-License-Identifier: BSD-3-Clause
/*
 * Placement: from a topology, the ports' nodes and what is configured, to CPUs and memory nodes.
 *
 * Runs on: main, before EAL starts (EAL's own helper threads inherit main's affinity). Pure: reads
 * no file, asks no kernel. Follows: cpu-map of HAProxy, of which the first free CPU of each mask is
 * taken. Every worker serves every port, so what counts for a CPU is the sum of its distances to all
 * of them.
 */
#include "control/place.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/buf.h"

#define MAP_CPUS   ((int)(SL_ARRAY_SIZE(((struct cpu_map *)0)->mask) * 64))
#define NICE_SHARED 19 // of scripts, on a worker's CPU
#define CORE(t, i) ((t)->core[i] >= 0 ? (t)->core[i] : (int16_t)(i))

/* A CPU that a worker may get, with what it is sorted by, the first deciding. */
struct cand {
	uint8_t busy; // not isolated, while isolated ones are there
	uint32_t cost;
	uint32_t home; // distance to the best node: a tie keeps workers together
	uint8_t smt;   // how many threads of its core come before
	uint8_t kept;  // the one that main gets as long as there are enough
	uint16_t cpu;
};

struct place {
	const struct global_conf *g;
	const struct topology *t;
	const struct place_port *ports;
	uint32_t nports;
	cpu_set_t usable; // of what chooses by itself
	cpu_set_t reach;  // of cpu-map
	cpu_set_t taken;
	int home; // the best node
	struct cand *cand;
	uint32_t ncand;
};

int
place_memory_node(const struct topology *t, int node)
{
	int best = -1;

	if (node < 0 || node >= t->nnodes)
		return -1;
	for (int n = 0; n < t->nnodes; n++) {
		if (t->node_mb[n] == 0)
			continue;
		if (best < 0 || topology_distance(t, node, n) < topology_distance(t, node, best))
			best = n;
	}
	return best;
}

/* Of work done on a node: to each port, and above all to memory, where buffers, rings and tables are. */
static uint32_t
node_cost(const struct place *s, int node)
{
	uint32_t cost = 4u * topology_distance(s->t, node, place_memory_node(s->t, node));

	for (uint32_t i = 0; i < s->nports; i++) {
		if (s->ports[i].node >= 0)
			cost += topology_distance(s->t, node, s->ports[i].node);
	}
	return cost;
}

static int
by_rank(const void *a, const void *b)
{
	const struct cand *x = a, *y = b;

#define BY(field)                 \
	if (x->field != y->field) \
	return x->field < y->field ? -1 : 1
	BY(busy);
	BY(cost);
	BY(home);
	BY(smt);
	BY(kept);
	BY(cpu);
#undef BY
	return 0;
}

static void
find_home(struct place *s)
{
	s->home = -1;
	for (int i = 0; i < TOPO_CPUS; i++) {
		int node = CPU_ISSET(i, &s->usable) ? s->t->node[i] : -1;

		if (node >= 0 && (s->home < 0 || node_cost(s, node) < node_cost(s, s->home)))
			s->home = node;
	}
}

/* The usable CPUs in the order in which workers take them. 0 or -ENOMEM. */
static int
rank(struct place *s)
{
	bool isolated = false;
	int kept = -1;

	s->cand = calloc(TOPO_CPUS, sizeof(*s->cand));
	if (s->cand == NULL)
		return -ENOMEM;
	find_home(s);
	for (int i = 0; i < TOPO_CPUS; i++) {
		struct cand *c = &s->cand[s->ncand];

		if (!CPU_ISSET(i, &s->usable))
			continue;
		isolated |= CPU_ISSET(i, &s->t->isolated) != 0;
		*c = (struct cand){ .busy = !CPU_ISSET(i, &s->t->isolated),
			.cost = node_cost(s, s->t->node[i]),
			.home = topology_distance(s->t, s->t->node[i], s->home),
			.cpu = (uint16_t)i };
		for (int k = 0; k < i; k++)
			c->smt += CPU_ISSET(k, &s->usable) && CORE(s->t, k) == CORE(s->t, i);
		s->ncand++;
	}
	for (uint32_t i = 0; i < s->ncand; i++) {
		if (s->cand[i].busy && (kept < 0 || by_rank(&s->cand[i], &s->cand[kept]) < 0))
			kept = (int)i;
	}
	if (kept >= 0) {
		// its siblings too: main on a worker's core slows the worker
		for (uint32_t i = 0; i < s->ncand; i++)
			s->cand[i].kept =
				CORE(s->t, s->cand[i].cpu) == CORE(s->t, s->cand[kept].cpu);
	}
	for (uint32_t i = 0; i < s->ncand && !isolated; i++)
		s->cand[i].busy = 0;
	qsort(s->cand, s->ncand, sizeof(*s->cand), by_rank);
	return 0;
}

/* Isolated CPUs are ours by default, unless somebody chose the affinity by hand. */
static void
find_usable(struct place *s)
{
	const struct topology *t = s->t;
	bool by_default = true;

	CPU_AND(&s->reach, &t->cpuset, &t->online);
	CPU_AND(&s->usable, &t->affinity, &s->reach);
	for (int i = 0; i < TOPO_CPUS; i++)
		by_default &= !CPU_ISSET(i, &s->reach) || CPU_ISSET(i, &t->isolated) ||
			CPU_ISSET(i, &s->usable);
	for (int i = 0; by_default && i < TOPO_CPUS; i++) {
		if (CPU_ISSET(i, &s->reach) && CPU_ISSET(i, &t->isolated))
			CPU_SET(i, &s->usable);
	}
}

static bool
map_has(const struct cpu_map *m, int cpu)
{
	return cpu < MAP_CPUS && (m->mask[cpu / 64] >> (cpu % 64) & 1) != 0;
}

/* The first CPU of the worker's map that it may use, preferably one that no worker has. */
static int
pick_mapped(const struct place *s, const struct cpu_map *m)
{
	int shared = -ENOENT;

	for (int i = 0; i < MAP_CPUS && i < TOPO_CPUS; i++) {
		if (!map_has(m, i) || !CPU_ISSET(i, &s->reach))
			continue;
		if (!CPU_ISSET(i, &s->taken))
			return i;
		if (shared < 0)
			shared = i;
	}
	return shared;
}

/* The best CPU that is free; where none is, all get a further worker in turn. */
static uint16_t
pick_auto(const struct place *s, uint32_t w)
{
	for (uint32_t i = 0; i < s->ncand; i++) {
		if (!CPU_ISSET(s->cand[i].cpu, &s->taken))
			return s->cand[i].cpu;
	}
	return s->cand[w % s->ncand].cpu;
}

static bool
core_works(const struct place *s, int cpu)
{
	for (int i = 0; i < TOPO_CPUS; i++) {
		if (CPU_ISSET(i, &s->taken) && CORE(s->t, i) == CORE(s->t, cpu))
			return true;
	}
	return false;
}

/* How unfit a CPU is for what is no worker, below 512; -1: not at all. */
static int
unfit(const struct place *s, int cpu)
{
	if (!CPU_ISSET(cpu, &s->usable) || CPU_ISSET(cpu, &s->taken) ||
		CPU_ISSET(cpu, &s->t->isolated))
		return -1;
	return (core_works(s, cpu) ? 256 : 0) + topology_distance(s->t, s->t->node[cpu], s->home);
}

/* Where main goes, else with the last worker, which is the least special. */
static uint16_t
pick_main(const struct place *s, const struct thread_plan *p)
{
	int best = -1;

	for (int i = 0; i < TOPO_CPUS; i++) {
		int u = unfit(s, i);

		if (u >= 0 && (best < 0 || u < unfit(s, best)))
			best = i;
	}
	for (int i = 0; best < 0 && i < TOPO_CPUS; i++) { // isolated, but free
		if (CPU_ISSET(i, &s->usable) && !CPU_ISSET(i, &s->taken))
			best = i;
	}
	return best >= 0 ? (uint16_t)best : p->worker_cpu[p->nworkers - 1];
}

/* Good CPUs first, worse ones only while there are fewer than threads. */
static void
pick_scripts(const struct place *s, struct thread_plan *p)
{
	uint32_t want = sl_max(s->g->script_threads, 1u) + 1; // and io

	for (int u = 0; u < 512 && (uint32_t)CPU_COUNT(&p->script) < want; u++) {
		for (int i = 0; i < TOPO_CPUS; i++) {
			if (unfit(s, i) == u)
				CPU_SET(i, &p->script);
		}
	}
	if (CPU_COUNT(&p->script) == 0) { // nothing is left: anywhere, at the lowest weight
		p->shared = true;
		p->script = s->usable;
	}
}

/*
 * A script may run for as long as its budget allows. Where it has no CPU to itself everybody else goes
 * first then: the kernel lets who wakes up wait for less, the lighter the one is who runs.
 */
static void
weigh_scripts(const struct place *s, struct thread_plan *p)
{
	uint32_t want = sl_max(s->g->script_threads, 1u) + 2; // and io, and main

	p->nice = p->shared ? NICE_SHARED : 0;
	p->idle_long = !p->shared && (uint32_t)CPU_COUNT(&p->script) < want;
}

static int
place_mapped(struct place *s, struct thread_plan *p, struct port_err *err)
{
	for (uint32_t w = 0; w < p->nworkers; w++) {
		char list[128];
		int cpu;

		if (!s->g->cpu_map[w].set)
			continue;
		cpu = pick_mapped(s, &s->g->cpu_map[w]);
		if (cpu < 0) {
			cpus_format(&s->reach, list, sizeof(list));
			snprintf(err->text, sizeof(err->text),
				"'cpu-map' of thread %u names no CPU that this process may use (it "
				"may use: %s); change the line, or start it on more CPUs (cpuset)",
				w + 1, list);
			return -EINVAL;
		}
		p->shared |= CPU_ISSET(cpu, &s->taken);
		CPU_SET(cpu, &s->taken);
		p->worker_cpu[w] = (uint16_t)cpu;
	}
	return 0;
}

static void
place_auto(struct place *s, struct thread_plan *p)
{
	for (uint32_t w = 0; w < p->nworkers; w++) {
		uint16_t cpu;

		if (s->g->cpu_map[w].set)
			continue;
		cpu = pick_auto(s, w);
		p->shared |= CPU_ISSET(cpu, &s->taken);
		CPU_SET(cpu, &s->taken);
		p->worker_cpu[w] = cpu;
	}
}

int
place_plan(const struct global_conf *g, const struct topology *t, const struct place_port *ports,
	uint32_t nports, struct thread_plan *out, struct port_err *err)
{
	uint32_t n = g->nbthread != 0 ? g->nbthread : 1;
	struct place s = { .g = g, .t = t, .ports = ports, .nports = nports };
	int rc;

	memset(out, 0, sizeof(*out));
	find_usable(&s);
	if (n > LCORE_MAX || CPU_COUNT(&s.usable) == 0) {
		snprintf(err->text, sizeof(err->text),
			n > LCORE_MAX ? "'nbthread %u': between 1 and %d workers are possible"
				      : "none of this process's CPUs is online",
			n, LCORE_MAX);
		return -EINVAL;
	}
	rc = rank(&s);
	if (rc < 0)
		return rc;
	out->nworkers = (uint16_t)n;
	rc = place_mapped(&s, out, err);
	if (rc == 0) {
		place_auto(&s, out);
		for (uint32_t w = 0; w < n; w++)
			out->worker_node[w] =
				(int16_t)place_memory_node(t, t->node[out->worker_cpu[w]]);
		out->main_cpu = pick_main(&s, out);
		pick_scripts(&s, out);
		weigh_scripts(&s, out);
	}
	free(s.cand);
	return rc;
}

void
place_memory(const struct thread_plan *p, const struct topology *t, const struct place_port *ports,
	uint32_t nports, uint32_t pool_mb, uint32_t port_mb, uint32_t base_mb,
	uint32_t mb[TOPO_NODES])
{
	int main_node = place_memory_node(t, t->node[p->main_cpu]);

	memset(mb, 0, TOPO_NODES * sizeof(*mb));
	mb[sl_max(main_node, 0)] += base_mb;
	for (uint16_t w = 0; w < p->nworkers; w++)
		mb[sl_max(p->worker_node[w], 0)] += pool_mb;
	for (uint32_t i = 0; i < nports; i++) {
		int node = place_memory_node(t, ports[i].node);

		mb[node >= 0 ? node : sl_max(main_node, 0)] += port_mb;
	}
	for (int n = 0; n < TOPO_NODES; n++) // pages of 2 MiB
		mb[n] = (mb[n] + 1) & ~1u;
}

static uint32_t
plan_cost(const struct topology *t, const struct place_port *ports, uint32_t nports,
	const struct thread_plan *p)
{
	struct place s = { .t = t, .ports = ports, .nports = nports };
	uint32_t sum = 0;

	for (uint16_t w = 0; w < p->nworkers; w++)
		sum += node_cost(&s, t->node[p->worker_cpu[w]]);
	return sum;
}

/* "cpu-map auto:1-2 17-18" for a plan. */
static void
format_map(struct sl_buf *b, const struct thread_plan *p)
{
	sl_buf_printf(b, p->nworkers == 1 ? "cpu-map 1" : "cpu-map auto:1-%u", p->nworkers);
	for (uint16_t w = 0; w < p->nworkers; w++) {
		uint16_t end = w;

		while (end + 1 < p->nworkers && p->worker_cpu[end + 1] == p->worker_cpu[end] + 1)
			end++;
		sl_buf_printf(b, " %u", p->worker_cpu[w]);
		if (end > w)
			sl_buf_printf(b, "-%u", p->worker_cpu[end]);
		w = end;
	}
}

static uint32_t
cpus_of_node(const struct topology *t, int node)
{
	uint32_t n = 0;

	for (int i = 0; i < TOPO_CPUS; i++)
		n += t->node[i] == node && CPU_ISSET(i, &t->cpuset) && CPU_ISSET(i, &t->online);
	return n;
}

bool
place_far(const struct global_conf *g, const struct topology *t, const struct place_port *ports,
	uint32_t nports, uint32_t port, const struct thread_plan *p, char *out, uint32_t size)
{
	struct global_conf any = *g;
	struct topology wide = *t;
	struct thread_plan best;
	struct port_err err;
	const struct place_port *pp = &ports[port];
	uint16_t w = 0;
	uint32_t there;
	struct sl_buf b;

	sl_buf_init(&b, out, size);
	while (pp->node >= 0 && w < p->nworkers &&
		topology_distance(t, t->node[p->worker_cpu[w]], pp->node) <= 10)
		w++;
	if (pp->node < 0 || w == p->nworkers)
		return false;
	sl_buf_printf(&b,
		"port '%.*s' is on node %d, worker %u runs on CPU %u of node %d (distance %u): ",
		SL_STR_ARG(pp->name), pp->node, w + 1, p->worker_cpu[w], t->node[p->worker_cpu[w]],
		topology_distance(t, t->node[p->worker_cpu[w]], pp->node));
	// what would be chosen from all that a cpu-map can reach
	memset(any.cpu_map, 0, sizeof(any.cpu_map));
	wide.affinity = t->cpuset;
	there = cpus_of_node(t, pp->node);
	if (place_plan(&any, &wide, ports, nports, &best, &err) == 0 &&
		plan_cost(t, ports, nports, &best) < plan_cost(t, ports, nports, p)) {
		sl_buf_addc(&b, "write '");
		format_map(&b, &best);
		sl_buf_addc(&b, "' into the global section");
	} else if (there == 0) {
		sl_buf_printf(&b,
			"this process may use no CPU of node %d: widen its cpuset, or put the card "
			"into a slot of another node",
			pp->node);
	} else if (there < p->nworkers) {
		sl_buf_printf(&b,
			"node %d has %u CPU%s for %u workers: 'nbthread %u' keeps all of them there",
			pp->node, there, there == 1 ? "" : "s", p->nworkers, there);
	} else {
		sl_buf_addc(&b,
			"the ports are on several nodes, no placement is near to all of "
			"them: put the cards into slots of one node");
	}
	return true;
}

void
place_format(const struct thread_plan *p, const struct topology *t, char *out, uint32_t size)
{
	char list[256];
	struct sl_buf b;

	sl_buf_init(&b, out, size);
	for (uint16_t w = 0; w < p->nworkers; w++) {
		uint16_t end = w;
		int node = t->node[p->worker_cpu[w]];

		while (end + 1 < p->nworkers && t->node[p->worker_cpu[end + 1]] == node)
			end++;
		sl_buf_printf(&b, w == end ? "worker %u" : "workers %u", w + 1);
		if (end > w)
			sl_buf_printf(&b, "-%u", end + 1);
		sl_buf_addc(&b, end > w ? " on CPUs " : " on CPU ");
		for (uint16_t i = w; i <= end; i++)
			sl_buf_printf(&b, i > w ? ",%u" : "%u", p->worker_cpu[i]);
		if (t->nnodes > 1)
			sl_buf_printf(&b, " (node %d)", node);
		if (t->nnodes > 1 && p->worker_node[w] != node)
			sl_buf_printf(&b, " with memory of node %d", p->worker_node[w]);
		sl_buf_addc(&b, ", ");
		w = end;
	}
	cpus_format(&p->script, list, sizeof(list));
	sl_buf_printf(&b, "main on CPU %u, scripts and sockets of the host on CPU%s %s%s",
		p->main_cpu, CPU_COUNT(&p->script) == 1 ? "" : "s", list,
		p->shared ? " (shared with workers)" : "");
}
