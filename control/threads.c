// SPDX-License-Identifier: BSD-3-Clause
/*
 * Thread roles and CPU placement: workers first, main beside them, scripts on what is left.
 *
 * Runs on: main, before EAL starts (EAL's own helper threads inherit main's affinity, so it has to
 * be set before). Follows: cpu-map of HAProxy, of which the first free CPU of each mask is taken.
 * Not here: starting workers (EAL), starting script threads (control/script).
 */
#include "control/threads.h"

#include <pthread.h>
#include <stdio.h>

#define MAP_CPUS ((int)(SL_ARRAY_SIZE(((struct cpu_map *)0)->mask) * 64))

static bool
map_has(const struct cpu_map *m, int cpu)
{
	return cpu < MAP_CPUS && (m->mask[cpu / 64] >> (cpu % 64) & 1) != 0;
}

/* "0-3,8": the CPUs of a set as taskset writes them. */
static void
cpus_format(const cpu_set_t *set, char *out, uint32_t size)
{
	struct sl_buf b;

	sl_buf_init(&b, out, size);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		int last = i;

		if (!CPU_ISSET(i, set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		if (b.len > 0)
			sl_buf_char(&b, ',');
		sl_buf_u64(&b, (uint64_t)i);
		if (last > i) {
			sl_buf_char(&b, '-');
			sl_buf_u64(&b, (uint64_t)last);
		}
		i = last;
	}
}

/* The first CPU of the worker's map that is allowed, preferably one that no worker has. */
static int
pick_mapped(const struct cpu_map *m, const cpu_set_t *allowed, const cpu_set_t *taken)
{
	int shared = -ENOENT;

	for (int i = 0; i < MAP_CPUS && i < CPU_SETSIZE; i++) {
		if (!map_has(m, i) || !CPU_ISSET(i, allowed))
			continue;
		if (!CPU_ISSET(i, taken))
			return i;
		if (shared < 0)
			shared = i;
	}
	return shared;
}

/* n-th CPU of the order in which automatic workers take them: 2nd, 3rd, … last, 1st, 2nd … */
static int
pick_auto(const cpu_set_t *allowed, uint32_t n)
{
	uint32_t count = (uint32_t)CPU_COUNT(allowed);
	uint32_t want = (n + 1) % count;

	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, allowed) && want-- == 0)
			return i;
	}
	return 0;
}

/* Main: the first CPU that no worker has, else the last worker's, which is the least special. */
static uint16_t
pick_main(const cpu_set_t *allowed, const cpu_set_t *taken, const struct thread_plan *p)
{
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, allowed) && !CPU_ISSET(i, taken))
			return (uint16_t)i;
	}
	return p->worker_cpu[p->nworkers - 1];
}

static int
place_worker(const struct global_conf *g, const cpu_set_t *allowed, const cpu_set_t *taken,
	uint32_t w, struct port_err *err)
{
	char list[128];
	int cpu;

	if (!g->cpu_map[w].set)
		return pick_auto(allowed, w);
	cpu = pick_mapped(&g->cpu_map[w], allowed, taken);
	if (cpu >= 0)
		return cpu;
	cpus_format(allowed, list, sizeof(list));
	snprintf(err->text, sizeof(err->text),
		"'cpu-map' of thread %u names no CPU that this process may use (it may use: %s); "
		"change the line, or start it on more CPUs (taskset, cpuset)",
		w + 1, list);
	return -EINVAL;
}

int
thread_plan(const struct global_conf *g, const cpu_set_t *allowed, struct thread_plan *out,
	struct port_err *err)
{
	uint32_t n = g->nbthread != 0 ? g->nbthread : 1;
	cpu_set_t taken;

	memset(out, 0, sizeof(*out));
	CPU_ZERO(&taken);
	if (n > LCORE_MAX || CPU_COUNT(allowed) == 0) {
		snprintf(err->text, sizeof(err->text),
			"'nbthread %u': between 1 and %d workers are possible", n, LCORE_MAX);
		return -EINVAL;
	}
	out->nworkers = (uint16_t)n;
	for (uint32_t w = 0; w < n; w++) {
		int cpu = place_worker(g, allowed, &taken, w, err);

		if (cpu < 0)
			return cpu;
		out->shared |= CPU_ISSET(cpu, &taken);
		CPU_SET(cpu, &taken);
		out->worker_cpu[w] = (uint16_t)cpu;
	}
	out->main_cpu = pick_main(allowed, &taken, out);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, allowed) && !CPU_ISSET(i, &taken))
			CPU_SET(i, &out->script);
	}
	if (CPU_COUNT(&out->script) == 0) { // nothing is left: anywhere, at the lowest weight
		out->shared = true;
		out->script = *allowed;
	}
	return 0;
}

int
thread_allowed(cpu_set_t *out)
{
	return sched_getaffinity(0, sizeof(*out), out) == 0 ? 0 : -errno;
}

int
thread_pin_set(const cpu_set_t *cpus)
{
	return -pthread_setaffinity_np(pthread_self(), sizeof(*cpus), cpus);
}

int
thread_pin(uint16_t cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return thread_pin_set(&one);
}
