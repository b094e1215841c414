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
	uint16_t main_cpu;
	cpu_set_t script; // where script threads may run
	bool shared;      // a worker has to share its CPU
};

/*
 * Places nbthread workers, main and the script threads on the CPUs of `allowed`: by cpu-map where
 * it is set, else workers from the second CPU upwards and the first one last, so that main keeps a
 * CPU for itself as long as there are enough. 0, or -EINVAL with a text.
 */
int thread_plan(const struct global_conf *g, const cpu_set_t *allowed, struct thread_plan *out,
	struct port_err *err);
/* CPUs this process may use now. 0 or -Exxx. */
int thread_allowed(cpu_set_t *out);
/* The calling thread from now on; threads it starts inherit it. 0 or -Exxx. */
int thread_pin(uint16_t cpu);
int thread_pin_set(const cpu_set_t *cpus);
