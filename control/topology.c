// SPDX-License-Identifier: BSD-3-Clause
/*
 * The machine's topology, read once: libnuma for nodes, distances and memory, sysfs for what it does
 * not know (SMT siblings, isolated CPUs, nodes of devices).
 *
 * Runs on: main, before EAL. Not here: any decision (place.c).
 */
#include "control/topology.h"

#include <numa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/buf.h"

int
cpus_parse(const char *text, cpu_set_t *out)
{
	struct sl_str rest = sl_str_c(text);

	CPU_ZERO(out);
	while (rest.len > 0 && strchr(" \t\n", rest.p[rest.len - 1]) != NULL)
		rest.len--;
	while (rest.len > 0) {
		struct sl_str last = sl_str_cut(&rest, ','), first = sl_str_cut(&last, '-');
		uint64_t a, b;

		if (sl_str_u64(first, &a) < 0)
			return -EINVAL;
		b = a;
		if (last.p != NULL && sl_str_u64(last, &b) < 0)
			return -EINVAL;
		if (b < a)
			return -EINVAL;
		for (; a <= b && a < TOPO_CPUS; a++)
			CPU_SET((int)a, out);
	}
	return 0;
}

void
cpus_format(const cpu_set_t *set, char *out, uint32_t size)
{
	struct sl_buf b;

	sl_buf_init(&b, out, size);
	for (int i = 0; i < TOPO_CPUS; i++) {
		int last = i;

		if (!CPU_ISSET(i, set))
			continue;
		while (last + 1 < TOPO_CPUS && CPU_ISSET(last + 1, set))
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

/* The first line of a file of sysfs. */
static int
read_line(char *out, size_t size, const char *path)
{
	FILE *f = fopen(path, "re");
	bool ok = f != NULL && fgets(out, (int)size, f) != NULL;
	int rc = ok ? 0 : -ENOENT;

	if (f != NULL)
		fclose(f);
	return rc;
}

static int
read_cpus(const char *path, cpu_set_t *out)
{
	char line[4096];
	int rc = read_line(line, sizeof(line), path);

	CPU_ZERO(out);
	return rc < 0 ? rc : cpus_parse(line, out);
}

uint8_t
topology_distance(const struct topology *t, int a, int b)
{
	uint8_t d = a >= 0 && b >= 0 && a < TOPO_NODES && b < TOPO_NODES ? t->distance[a][b] : 0;

	return d != 0 ? d : a == b || a < 0 || b < 0 ? 10 : 20;
}

/*
 * Everything that the cgroup allows: the kernel cuts a mask of all CPUs down to it. The mask that we
 * had is put back.
 */
static void
ask_cpuset(struct topology *t)
{
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	t->cpuset = t->affinity;
	if (sched_setaffinity(0, sizeof(all), &all) != 0)
		return;
	sched_getaffinity(0, sizeof(t->cpuset), &t->cpuset);
	sched_setaffinity(0, sizeof(t->affinity), &t->affinity);
}

static void
read_nodes(struct topology *t)
{
	int max = numa_available() < 0 ? 0 : numa_max_node();

	t->nnodes = (uint16_t)sl_min(max + 1, TOPO_NODES);
	for (int a = 0; a < t->nnodes; a++) {
		long long bytes = max > 0 ? numa_node_size64(a, NULL) : -1;

		// one node, or libnuma cannot tell: memory is somewhere
		t->node_mb[a] = bytes > 0 ? (uint64_t)bytes >> 20 : max > 0 ? 0 : UINT32_MAX;
		for (int b = 0; b < t->nnodes; b++)
			t->distance[a][b] = max > 0 ? (uint8_t)numa_distance(a, b) : 10;
	}
	for (int i = 0; i < TOPO_CPUS; i++) {
		int node = !CPU_ISSET(i, &t->online) ? -1 : max > 0 ? numa_node_of_cpu(i) : 0;

		t->node[i] = (int16_t)(node >= 0 && node < t->nnodes ? node : -1);
	}
}

static void
read_cores(struct topology *t)
{
	for (int i = 0; i < TOPO_CPUS; i++) {
		char path[96];
		cpu_set_t core;

		t->core[i] = -1;
		if (!CPU_ISSET(i, &t->online))
			continue;
		snprintf(path, sizeof(path),
			"/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", i);
		if (read_cpus(path, &core) < 0)
			continue;
		for (int k = 0; k <= i && t->core[i] < 0; k++) {
			if (CPU_ISSET(k, &core))
				t->core[i] = (int16_t)k;
		}
	}
}

int
topology_read(struct topology *t)
{
	memset(t, 0, sizeof(*t));
	if (sched_getaffinity(0, sizeof(t->affinity), &t->affinity) != 0)
		return -errno;
	ask_cpuset(t);
	if (read_cpus("/sys/devices/system/cpu/online", &t->online) < 0 ||
		CPU_COUNT(&t->online) == 0)
		t->online = t->cpuset;
	read_cpus("/sys/devices/system/cpu/isolated", &t->isolated);
	read_nodes(t);
	read_cores(t);
	return 0;
}

int
topology_device_node(const char *sys, struct sl_str device)
{
	struct sl_str rest = device, name = sl_str_cut(&rest, ','), iface = { 0 };
	char path[256], line[32], *end;
	bool pci = name.len > 0 && sl_str_chr(name, ':') > 0 && sl_str_chr(name, '.') > 0;
	long node;

	while (rest.p != NULL) {
		struct sl_str arg = sl_str_cut(&rest, ',');

		if (sl_str_starts(arg, SL_STR("iface="), false))
			iface = sl_str_make(arg.p + 6, arg.len - 6);
	}
	if (pci) { // the domain may be left out; EAL takes either case, the kernel's name has one
		snprintf(path, sizeof(path), "%s/bus/pci/devices/%s%.*s/numa_node", sys,
			name.len < 12 ? "0000:" : "", SL_STR_ARG(name));
		for (char *p = path + strlen(sys); *p != '\0'; p++)
			*p = sl_lower(*p);
	} else if (iface.len > 0 && sl_str_chr(iface, '/') < 0)
		snprintf(path, sizeof(path), "%s/class/net/%.*s/device/numa_node", sys,
			SL_STR_ARG(iface));
	else
		return -1;
	if (read_line(line, sizeof(line), path) < 0)
		return -1;
	node = strtol(line, &end, 10);
	return end == line || node < 0 || node >= TOPO_NODES ? -1 : (int)node;
}
