/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the machine is made of, as far as placement asks: CPUs, nodes, distances. Private to the
 * files of control itself.
 */
#pragma once

#include <sched.h>
#include <stdint.h>

#include "dataplane/base/str.h"
#include "drivers/port.h"

#define TOPO_CPUS  CPU_SETSIZE
#define TOPO_NODES EAL_NODES

struct topology {
	int16_t node[TOPO_CPUS]; // of a CPU; -1: unknown
	int16_t core[TOPO_CPUS]; // the lowest CPU of the same physical core; -1: unknown
	cpu_set_t online;
	cpu_set_t cpuset;   // where the cgroup lets this process go (offline ones are in none)
	cpu_set_t affinity; // where it was put: taskset, CPUAffinity=, or the kernel's default
	cpu_set_t isolated; // isolcpus=
	uint16_t nnodes;
	uint64_t node_mb[TOPO_NODES];             // memory; 0: a node without
	uint8_t distance[TOPO_NODES][TOPO_NODES]; // 10: the same node; 0: unknown
};

/* Reads this machine's. Always something usable: without NUMA it is one node. 0 or -Exxx. */
int topology_read(struct topology *t);
/*
 * NUMA node of what a port's device string names: a PCI function, or the kernel's interface of a
 * driver with "iface=". -1: it has none, or none is known. sys: "/sys".
 */
int topology_device_node(const char *sys, struct sl_str device);
/* 10 where nothing is known and both are the same, 20 otherwise. */
uint8_t topology_distance(const struct topology *t, int a, int b);
/* "0-3,8" as the kernel writes sets of CPUs. 0 or -EINVAL. */
int cpus_parse(const char *text, cpu_set_t *out);
/* The same the other way; cut off when it does not fit. */
void cpus_format(const cpu_set_t *set, char *out, uint32_t size);
