/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which thread runs on which CPU. Private to the files of control itself.
 */
#pragma once

#include <sched.h>

#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"

struct thread_plan {
	uint16_t nworkers;
	uint16_t worker_cpu[LCORE_MAX];
	int16_t worker_node[LCORE_MAX]; // of its memory; -1: anywhere
	uint16_t main_cpu;
	cpu_set_t script; // where script threads and io may run
	bool shared;      // a worker has to share its CPU
	int nice; // of script threads,
	bool idle_long; // and what they get while scripts compute (script.h)
	/* Hugepages: what each node gives; where the rings of each port lie, -1: anywhere. */
	uint16_t nnodes;
	uint32_t node_mb[EAL_NODES];
	int16_t port_node[PORT_MAX];
};

struct daemon;
/* Devices with rings: ports, but of a bond its slaves. */
uint32_t threads_rings(const struct model *m);
/*
 * Reads the machine's topology, plans (place.h) and says what was decided, with a warning for each
 * port that is far from a worker. Fills d->plan. 0 or -Exxx with a text.
 */
int threads_place(struct daemon *d);
/* The calling thread from now on; threads it starts inherit it. 0 or -Exxx. */
int thread_pin(uint16_t cpu);
int thread_pin_set(const cpu_set_t *cpus);
/*
 * The calling thread takes many short turns in place of few long ones: who shares a CPU and wants little
 * of it then gets it when it wants it. As far as the kernel does that (Linux from 6.12 on), else nothing
 * changes.
 */
void thread_short_turns(void);
