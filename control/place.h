/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who runs where and whose memory lies where, from a topology: a pure function. Private to the files
 * of control itself.
 */
#pragma once

#include "control/threads.h"
#include "control/topology.h"

/* A port, as far as placement cares. */
struct place_port {
	struct sl_str name;
	int node; // of its device; -1: none known, no preference
};

/*
 * Places nbthread workers, main and the script threads.
 *
 * A worker with a cpu-map takes the first free CPU of it that the cgroup allows. The others take, of
 * the CPUs that this process was put on: isolated ones first (isolcpus= is a statement; they count
 * as long as nobody narrowed the affinity further), then by the sum of distances to the ports, whole
 * cores before SMT siblings, and the first of them last, so that main keeps it. Main and scripts go
 * to CPUs without a worker, not isolated, on cores without a worker, near the workers, as far as
 * there are such. Memory of a worker lies on its node, or on the nearest that has memory.
 *
 * 0, or -EINVAL with a text.
 */
int place_plan(const struct global_conf *g, const struct topology *t,
	const struct place_port *ports, uint32_t nports, struct thread_plan *out,
	struct port_err *err);
/* Node for the rings of a device on `node`: itself, or the nearest with memory; -1: anywhere. */
int place_memory_node(const struct topology *t, int node);
/*
 * MiB of hugepages by node: pool_mb for each worker, port_mb for the rings of each port, base_mb
 * where main is.
 */
void place_memory(const struct thread_plan *p, const struct topology *t,
	const struct place_port *ports, uint32_t nports, uint32_t pool_mb, uint32_t port_mb,
	uint32_t base_mb, uint32_t mb[TOPO_NODES]);
/*
 * Is a worker further from this port than it has to be? Writes what to do about it and returns true:
 * the cpu-map line, or, where no line helps, what keeps workers away.
 */
bool place_far(const struct global_conf *g, const struct topology *t,
	const struct place_port *ports, uint32_t nports, uint32_t port, const struct thread_plan *p,
	char *out, uint32_t size);
/* The plan in one line: "worker 1 on CPU 2 (node 0), main on CPU 0, scripts on CPUs 0,1,3". */
void place_format(const struct thread_plan *p, const struct topology *t, char *out, uint32_t size);
