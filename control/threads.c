// SPDX-License-Identifier: BSD-3-Clause
/*
 * Thread roles and CPU placement: what the machine is (topology.c) goes into the plan (place.c),
 * which is said, and kept for whoever starts threads.
 *
 * Runs on: main, before EAL starts. Not here: starting workers (EAL), starting script threads
 * (control/script).
 */
#include "control/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/place.h"

#define TURN_NS  100000 // the kernel's least; it gives others some milliseconds
#define SLACK_NS 1000ul // by which a sleep may take longer: 50 us by default, half of a nap

/* sched_setattr(2), as far as Linux 4 had it; glibc has none. */
struct turns {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static void
say_plan(struct daemon *d, const struct topology *t, const struct place_port *pp, uint32_t n)
{
	char text[400];

	place_format(&d->plan, t, text, sizeof(text));
	daemon_say(d, SL_NOTICE, "placement: %s", text);
	for (uint32_t i = 0; i < n; i++) {
		// once for all slaves of a bond
		if (i > 0 && pp[i].name.p == pp[i - 1].name.p && pp[i].node == pp[i - 1].node)
			continue;
		if (place_far(&d->model->global, t, pp, n, i, &d->plan, text, sizeof(text)))
			daemon_say(d, SL_WARNING, "%s", text);
	}
}

/* How much of which node EAL shall take, and where the rings of ports lie. */
static void
plan_memory(struct daemon *d, const struct topology *t, const struct place_port *pp, uint32_t n)
{
	uint32_t mbufs = d->model->global.mbufs != 0 ? d->model->global.mbufs : pool_mbufs(n);

	d->plan.nnodes = t->nnodes;
	place_memory(
		&d->plan, t, pp, n, eal_pool_mb(mbufs), EAL_PORT_MB, EAL_BASE_MB, d->plan.node_mb);
	for (uint32_t i = 0, k = 0; i < d->model->nports && i < PORT_MAX; i++) {
		d->plan.port_node[i] = (int16_t)place_memory_node(t, pp[k].node);
		k += port_rings(d->model->ports[i].device);
	}
}

/* What has rings and lies somewhere: the device of each port, but for a bond, whose slaves do. */
static void
devices_of(struct place_port *pp, const struct model *m)
{
	for (uint32_t i = 0; i < m->nports; i++) {
		const struct port_conf *p = &m->ports[i];

		for (uint32_t k = 0; k < port_rings(p->device); k++) {
			struct sl_str slave = port_slave(p->device, k);
			struct sl_str dev = slave.p == NULL
				? p->device
				: port_slave_device(m->global.dpdk_eal, slave);

			*pp++ = (struct place_port){ .name = p->name,
				.node = topology_device_node("/sys", dev) };
		}
	}
}

uint32_t
threads_rings(const struct model *m)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->nports; i++)
		n += port_rings(m->ports[i].device);
	return n;
}

int
threads_place(struct daemon *d)
{
	const struct model *m = d->model;
	uint32_t n = threads_rings(m);
	struct place_port *pp = calloc(n + 1, sizeof(*pp));
	struct topology *t = malloc(sizeof(*t));
	int rc = t == NULL || pp == NULL ? -ENOMEM : topology_read(t);

	if (rc < 0) {
		snprintf(d->err.text, sizeof(d->err.text),
			"cannot read which CPUs this process may use");
		goto out;
	}
	devices_of(pp, m);
	rc = place_plan(&m->global, t, pp, n, &d->plan, &d->err);
	if (rc == 0) {
		plan_memory(d, t, pp, n);
		say_plan(d, t, pp, n);
	}
out:
	free(pp);
	free(t);
	return rc;
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

void
thread_short_turns(void)
{
	struct turns t = { .size = sizeof(t) };

	prctl(PR_SET_TIMERSLACK, SLACK_NS);
	// who was started under another policy keeps it
	if (syscall(SYS_sched_getattr, 0, &t, sizeof(t), 0) < 0 || t.policy != SCHED_OTHER)
		return;
	t.flags = 0;
	t.runtime = TURN_NS;
	if (syscall(SYS_sched_setattr, 0, &t, 0) < 0)
		errno = 0; // it goes without
}
