// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where workers, main, scripts and memory go: on invented machines, with and without cpu-map, and what is
 * said about ports that are far away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/place.h"

static cpu_set_t
set_of(const char *text)
{
	cpu_set_t s;

	assert_int_equal(cpus_parse(text, &s), 0);
	return s;
}

/* An invented machine: the CPUs of each node, SMT as an offset between siblings, and what is missing. */
struct machine {
	const char *node[4]; // CPUs; NULL: no such node
	int smt;             // sibling of CPU n is n + smt; 0: none
	const char *offline, *cpuset, *affinity, *isolated; // NULL: none, all, the default, none
	int no_memory;                                      // node + 1; 0: all have memory
	uint8_t far, mid;                                   // distances; mid: between neighbours
};

static void
invent(struct topology *t, const struct machine *m)
{
	memset(t, 0, sizeof(*t));
	memset(t->node, 0xff, sizeof(t->node));
	memset(t->core, 0xff, sizeof(t->core));
	for (int n = 0; n < 4 && m->node[n] != NULL; n++) {
		cpu_set_t s = set_of(m->node[n]);

		t->nnodes++;
		t->node_mb[n] = n + 1 == m->no_memory ? 0 : 32768;
		CPU_OR(&t->online, &t->online, &s);
		for (int i = 0; i < TOPO_CPUS; i++) {
			if (!CPU_ISSET(i, &s))
				continue;
			t->node[i] = (int16_t)n;
			t->core[i] = (int16_t)(m->smt > 0 ? i % m->smt : i);
		}
		for (int k = 0; k < 4; k++)
			t->distance[n][k] = n == k ? 10
				: m->mid != 0 && n / 2 == k / 2 ? m->mid
								: (m->far != 0 ? m->far : 21);
	}
	if (m->offline != NULL) {
		cpu_set_t off = set_of(m->offline);

		for (int i = 0; i < TOPO_CPUS; i++) {
			if (!CPU_ISSET(i, &off))
				continue;
			CPU_CLR(i, &t->online);
			t->node[i] = t->core[i] = -1;
		}
	}
	if (m->isolated != NULL)
		t->isolated = set_of(m->isolated);
	t->cpuset = m->cpuset != NULL ? set_of(m->cpuset) : t->online;
	t->affinity = t->cpuset;
	for (int i = 0; i < TOPO_CPUS; i++) { // as the kernel starts init
		if (CPU_ISSET(i, &t->isolated))
			CPU_CLR(i, &t->affinity);
	}
	if (m->affinity != NULL)
		t->affinity = set_of(m->affinity);
}

/* ---- machines ---- */
static const struct machine one = { .node = { "0" } };
static const struct machine two = { .node = { "0-1" } };
static const struct machine eight = { .node = { "0-7" } };
static const struct machine not_zero = { .node = { "0-7" }, .affinity = "4-7" };
static const struct machine smt4 = { .node = { "0-7" }, .smt = 4 };
static const struct machine smt2 = { .node = { "0-3" }, .smt = 2 };
static const struct machine dual = { .node = { "0-15", "16-31" } };
static const struct machine dual_smt = { .node = { "0-7,16-23", "8-15,24-31" }, .smt = 16 };
static const struct machine dual_odd = { .node = { "0,2,4,6", "1,3,5,7" } }; // as Dell numbers them
static const struct machine hole = { .node = { "0-7" }, .offline = "1,3-4" };
static const struct machine no_mem = { .node = { "0-3", "4-7" }, .no_memory = 1 };
static const struct machine no_mem2 = { .node = { "0-3", "4-7" }, .no_memory = 2 };
static const struct machine isolcpus = { .node = { "0-7" }, .isolated = "4-7" };
static const struct machine isol_far = { .node = { "0-3", "4-7" }, .isolated = "2-3,6-7" };
static const struct machine isol_taskset = { .node = { "0-7" }, .isolated = "4-7", .affinity = "0-1" };
static const struct machine cpuset = { .node = { "0-7", "8-15" }, .cpuset = "2-4,12" };
static const struct machine cpuset_far = { .node = { "0-7", "8-15" }, .cpuset = "0-3" };
static const struct machine taskset = { .node = { "0-7", "8-15" }, .affinity = "0-3" };
static const struct machine four = { .node = { "0-3", "4-7", "8-11", "12-15" }, .mid = 16, .far = 32 };
static const struct machine tiny_dual = { .node = { "0", "1" } };

#define NONE { -1, -2 } // ports end with -2
#define MAX  8

struct row {
	int line;
	const struct machine *m;
	uint32_t nbthread;
	int port[4]; // nodes, up to -2
	const char *map[4]; // NULL: not set
	int rc;
	uint16_t worker[MAX], main;
	const char *script;
	bool shared;
	int16_t node[MAX]; // of the workers' memory
};

// clang-format off
static const struct row rows[] = {
	// one node
	{ __LINE__, &one, 1, NONE, { 0 }, 0, { 0 }, 0, "0", true, { 0 } },
	{ __LINE__, &one, 3, NONE, { 0 }, 0, { 0, 0, 0 }, 0, "0", true, { 0 } },
	{ __LINE__, &two, 1, NONE, { 0 }, 0, { 1 }, 0, "0", false, { 0 } },
	{ __LINE__, &two, 2, NONE, { 0 }, 0, { 1, 0 }, 0, "0-1", true, { 0 } },
	{ __LINE__, &eight, 1, NONE, { 0 }, 0, { 1 }, 0, "0,2-7", false, { 0 } },
	{ __LINE__, &eight, 4, NONE, { 0 }, 0, { 1, 2, 3, 4 }, 0, "0,5-7", false, { 0 } },
	{ __LINE__, &not_zero, 2, NONE, { 0 }, 0, { 5, 6 }, 4, "4,7", false, { 0 } },
	// SMT: whole cores first, main's core last, scripts not beside workers while there are others
	{ __LINE__, &smt4, 2, NONE, { 0 }, 0, { 1, 2 }, 0, "0,3-4,7", false, { 0 } },
	{ __LINE__, &smt4, 4, NONE, { 0 }, 0, { 1, 2, 3, 0 }, 4, "4-7", false, { 0 } },
	{ __LINE__, &smt4, 6, NONE, { 0 }, 0, { 1, 2, 3, 0, 5, 6 }, 4, "4,7", false, { 0 } },
	{ __LINE__, &smt2, 1, NONE, { 0 }, 0, { 1 }, 0, "0,2", false, { 0 } },
	{ __LINE__, &smt2, 2, NONE, { 0 }, 0, { 1, 0 }, 2, "2-3", false, { 0 } },
	// two nodes
	{ __LINE__, &dual, 2, NONE, { 0 }, 0, { 1, 2 }, 0, "0,3-15", false, { 0, 0 } },
	{ __LINE__, &dual, 2, { 0, -2 }, { 0 }, 0, { 1, 2 }, 0, "0,3-15", false, { 0, 0 } },
	{ __LINE__, &dual, 2, { 1, -2 }, { 0 }, 0, { 17, 18 }, 16, "16,19-31", false, { 1, 1 } },
	{ __LINE__, &dual, 2, { 1, -1, -2 }, { 0 }, 0, { 17, 18 }, 16, "16,19-31", false, { 1, 1 } },
	{ __LINE__, &dual, 2, { 0, 1, 1, -2 }, { 0 }, 0, { 17, 18 }, 16, "16,19-31", false, { 1, 1 } },
	{ __LINE__, &dual, 2, { 0, 1, -2 }, { 0 }, 0, { 1, 2 }, 0, "0,3-15", false, { 0, 0 } }, // a tie: together
	{ __LINE__, &dual_odd, 3, { 1, -2 }, { 0 }, 0, { 3, 5, 7 }, 1, "0-2,4,6", false, { 1, 1, 1 } },
	{ __LINE__, &dual_odd, 4, { 1, -2 }, { 0 }, 0, { 3, 5, 7, 1 }, 0, "0,2,4,6", false, { 1, 1, 1, 1 } },
	{ __LINE__, &dual_odd, 5, { 1, -2 }, { 0 }, 0, { 3, 5, 7, 1, 0 }, 2, "2,4,6", false, { 1, 1, 1, 1, 0 } },
	{ __LINE__, &dual_smt, 7, { 1, -2 }, { 0 }, 0, { 9, 10, 11, 12, 13, 14, 15 }, 8, "8,24", false, { 1, 1, 1, 1, 1, 1, 1 } },
	{ __LINE__, &dual_smt, 8, { 1, -2 }, { 0 }, 0, { 9, 10, 11, 12, 13, 14, 15, 8 }, 0, "0-7,16-23", false,
		{ 1, 1, 1, 1, 1, 1, 1, 1 } },
	{ __LINE__, &tiny_dual, 1, { 1, -2 }, { 0 }, 0, { 1 }, 0, "0", false, { 1 } },
	{ __LINE__, &tiny_dual, 1, { 0, -2 }, { 0 }, 0, { 0 }, 1, "1", false, { 0 } },
	// four nodes: the neighbour before those further away
	{ __LINE__, &four, 6, { 2, -2 }, { 0 }, 0, { 9, 10, 11, 8, 12, 13 }, 14, "14-15", false, { 2, 2, 2, 2, 3, 3 } },
	{ __LINE__, &four, 2, { 3, 2, -2 }, { 0 }, 0, { 9, 10 }, 8, "8,11", false, { 2, 2 } },
	// what is missing
	{ __LINE__, &hole, 2, NONE, { 0 }, 0, { 2, 5 }, 0, "0,6-7", false, { 0 } },
	{ __LINE__, &no_mem, 2, NONE, { 0 }, 0, { 5, 6 }, 4, "4,7", false, { 1, 1 } },
	{ __LINE__, &no_mem, 2, { 0, -2 }, { 0 }, 0, { 5, 6 }, 4, "4,7", false, { 1, 1 } },
	{ __LINE__, &no_mem2, 1, { 1, 1, -2 }, { 0 }, 0, { 1 }, 0, "0,2-3", false, { 0 } },
	{ __LINE__, &no_mem2, 1, { 1, -2 }, { "6" }, 0, { 6 }, 0, "0-3", false, { 0 } },
	// isolated CPUs are for workers
	{ __LINE__, &isolcpus, 2, NONE, { 0 }, 0, { 4, 5 }, 0, "0-3", false, { 0 } },
	{ __LINE__, &isolcpus, 5, NONE, { 0 }, 0, { 4, 5, 6, 7, 1 }, 0, "0,2-3", false, { 0 } },
	{ __LINE__, &isol_far, 2, { 1, -2 }, { 0 }, 0, { 6, 7 }, 4, "4-5", false, { 1, 1 } },
	{ __LINE__, &isol_far, 3, { 1, -2 }, { 0 }, 0, { 6, 7, 2 }, 4, "4-5", false, { 1, 1, 0 } },
	{ __LINE__, &isol_taskset, 1, NONE, { 0 }, 0, { 1 }, 0, "0", false, { 0 } },
	{ __LINE__, &isol_taskset, 1, NONE, { "5" }, 0, { 5 }, 0, "0-1", false, { 0 } },
	// the cgroup's CPUs, and the affinity
	{ __LINE__, &cpuset, 2, { 0, -2 }, { 0 }, 0, { 3, 4 }, 2, "2,12", false, { 0, 0 } },
	{ __LINE__, &cpuset, 1, { 1, -2 }, { 0 }, 0, { 12 }, 2, "2-4", false, { 1 } },
	{ __LINE__, &cpuset, 1, NONE, { "5" }, -EINVAL, { 0 }, 0, "", false, { 0 } },
	{ __LINE__, &taskset, 1, { 1, -2 }, { 0 }, 0, { 1 }, 0, "0,2-3", false, { 0 } },
	{ __LINE__, &taskset, 1, { 1, -2 }, { "9" }, 0, { 9 }, 0, "0-3", false, { 1 } },
	// cpu-map
	{ __LINE__, &eight, 2, NONE, { "3", "0" }, 0, { 3, 0 }, 1, "1-2,4-7", false, { 0 } },
	{ __LINE__, &eight, 3, NONE, { "2-3", "2-3", "2-3" }, 0, { 2, 3, 2 }, 0, "0-1,4-7", true, { 0 } },
	{ __LINE__, &eight, 2, NONE, { NULL, "1" }, 0, { 2, 1 }, 0, "0,3-7", false, { 0 } }, // others go round it
	{ __LINE__, &two, 1, NONE, { "2" }, -EINVAL, { 0 }, 0, "", false, { 0 } },
	{ __LINE__, &two, 65, NONE, { 0 }, -EINVAL, { 0 }, 0, "", false, { 0 } },
};
// clang-format on

static uint32_t
ports_of(const int *node, struct place_port *out)
{
	static const char *const name[] = { "a", "b", "c", "d" };
	uint32_t n = 0;

	for (; n < 4 && node[n] != -2; n++)
		out[n] = (struct place_port){ .name = sl_str_c(name[n]), .node = node[n] };
	return n;
}

static void
global_of(struct global_conf *g, uint32_t nbthread, const char *const *map)
{
	memset(g, 0, sizeof(*g));
	g->nbthread = nbthread;
	g->script_threads = 1;
	for (int w = 0; w < 4 && map != NULL; w++) {
		cpu_set_t s;

		if (map[w] == NULL)
			continue;
		s = set_of(map[w]);
		g->cpu_map[w].set = true;
		for (int i = 0; i < 1024; i++)
			g->cpu_map[w].mask[i / 64] |= (uint64_t)(CPU_ISSET(i, &s) != 0) << (i % 64);
	}
}

static void
test_rows(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		struct place_port pp[4];
		struct topology t;
		struct global_conf g;
		struct thread_plan p;
		struct port_err err = { "" };
		char text[512], script[128];
		int rc;

		invent(&t, r->m);
		global_of(&g, r->nbthread, r->map);
		rc = place_plan(&g, &t, pp, ports_of(r->port, pp), &p, &err);
		if (rc != r->rc)
			fail_msg("line %d: rc %d", r->line, rc);
		if (rc != 0) {
			assert_true(err.text[0] != '\0');
			continue;
		}
		place_format(&p, &t, text, sizeof(text));
		for (uint32_t w = 0; w < r->nbthread && w < MAX; w++) {
			if (p.worker_cpu[w] != r->worker[w] || p.worker_node[w] != r->node[w])
				fail_msg("line %d: %s; memory of worker %u on node %d", r->line, text, w + 1,
					p.worker_node[w]);
		}
		cpus_format(&p.script, script, sizeof(script));
		if (p.main_cpu != r->main || strcmp(script, r->script) != 0 || p.shared != r->shared)
			fail_msg("line %d: %s", r->line, text);
	}
}

/* Long scripts let others go first where they have no CPU to themselves. */
static void
test_nice(void **state sl_unused)
{
	static const struct {
		const struct machine *m;
		uint32_t workers, scripts;
		int nice;
		bool idle_long;
	} r[] = {
		{ &one, 1, 1, 19, false }, // with a worker
		{ &two, 2, 1, 19, false },
		{ &two, 1, 1, 0, true }, // with main and io
		{ &smt2, 1, 1, 0, true },
		{ &smt4, 2, 1, 0, false },
		{ &eight, 1, 1, 0, false },
		{ &eight, 1, 5, 0, false },
		{ &eight, 1, 6, 0, true },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(r); i++) {
		struct topology t;
		struct global_conf g;
		struct thread_plan p;
		struct port_err err;

		invent(&t, r[i].m);
		global_of(&g, r[i].workers, NULL);
		g.script_threads = r[i].scripts;
		assert_int_equal(place_plan(&g, &t, NULL, 0, &p, &err), 0);
		if (p.nice != r[i].nice || p.idle_long != r[i].idle_long)
			fail_msg("row %zu: nice %d, %d", i, p.nice, p.idle_long);
	}
}

static void
test_error_names_thread(void **state sl_unused)
{
	static const char *const map[4] = { NULL, "5" };
	struct topology t;
	struct global_conf g;
	struct thread_plan p;
	struct port_err err;

	invent(&t, &cpuset);
	global_of(&g, 2, map);
	assert_int_equal(place_plan(&g, &t, NULL, 0, &p, &err), -EINVAL);
	assert_non_null(strstr(err.text, "thread 2"));
	assert_non_null(strstr(err.text, "2-4,12"));
}

struct far_row {
	int line;
	const struct machine *m;
	uint32_t nbthread;
	int port[4];
	const char *map[4];
	int far;          // the port to ask about
	const char *says; // NULL: nothing
};

static const struct far_row far_rows[] = {
	{ __LINE__, &dual, 2, { 1, -2 }, { 0 }, 0, NULL },
	{ __LINE__, &dual, 2, { -1, -2 }, { "1", "2" }, 0, NULL },
	{ __LINE__, &dual, 2, { 1, -2 }, { "1", "2" }, 0, "write 'cpu-map auto:1-2 17-18'" },
	{ __LINE__, &dual, 2, { 1, -2 }, { "17", "2" }, 0, "worker 2 runs on CPU 2 of node 0 (distance 21)" },
	{ __LINE__, &dual, 1, { 1, -2 }, { "4" }, 0, "port 'a' is on node 1, worker 1 runs on CPU 4 of node 0" },
	{ __LINE__, &dual_odd, 3, { 1, -2 }, { "0", "2", "4" }, 0, "write 'cpu-map auto:1-3 3 5 7'" },
	{ __LINE__, &tiny_dual, 1, { 1, -2 }, { "0" }, 0, "write 'cpu-map 1 1'" },
	{ __LINE__, &taskset, 1, { 1, -2 }, { 0 }, 0, "write 'cpu-map 1 9'" }, // beyond the affinity
	{ __LINE__, &cpuset_far, 1, { 1, -2 }, { 0 }, 0, "may use no CPU of node 1" },
	{ __LINE__, &dual_odd, 5, { 1, -2 }, { 0 }, 0, "node 1 has 4 CPUs for 5 workers: 'nbthread 4'" },
	{ __LINE__, &dual, 2, { 0, 1, -2 }, { 0 }, 1, "on several nodes" },
	{ __LINE__, &dual, 2, { 0, 1, -2 }, { 0 }, 0, NULL },
};

static void
test_far(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(far_rows); i++) {
		const struct far_row *r = &far_rows[i];
		struct place_port pp[4];
		uint32_t n = ports_of(r->port, pp);
		struct topology t;
		struct global_conf g;
		struct thread_plan p;
		struct port_err err;
		char text[400] = "";
		bool far;

		invent(&t, r->m);
		global_of(&g, r->nbthread, r->map);
		assert_int_equal(place_plan(&g, &t, pp, n, &p, &err), 0);
		far = place_far(&g, &t, pp, n, (uint32_t)r->far, &p, text, sizeof(text));
		if (far != (r->says != NULL) || (far && strstr(text, r->says) == NULL))
			fail_msg("line %d: %s", r->line, text);
	}
}

/* Pools where their workers are, rings where the ports are, EAL's own where main is. */
static void
test_memory(void **state sl_unused)
{
	static const struct place_port pp[] = { { .node = 1 }, { .node = -1 } };
	static const char *const map[4] = { "1", "5" };
	struct topology t;
	struct global_conf g;
	struct thread_plan p;
	struct port_err err;
	uint32_t mb[TOPO_NODES];

	invent(&t, &(struct machine){ .node = { "0-3", "4-7" } });
	global_of(&g, 2, map);
	assert_int_equal(place_plan(&g, &t, pp, 2, &p, &err), 0);
	assert_int_equal(p.main_cpu, 4); // beside the port
	place_memory(&p, &t, pp, 2, 33, 4, 64, mb);
	assert_int_equal(mb[0], 34); // whole pages
	assert_int_equal(mb[1], 33 + 4 + 4 + 64 + 1);
	assert_int_equal(mb[2], 0);
	// the node of the port has no memory: everything of it lies on the other
	invent(&t, &no_mem2);
	assert_int_equal(place_plan(&g, &t, pp, 2, &p, &err), 0);
	place_memory(&p, &t, pp, 2, 32, 4, 64, mb);
	assert_int_equal(mb[0], 2 * 32 + 2 * 4 + 64);
	assert_int_equal(mb[1], 0);
	assert_int_equal(place_memory_node(&t, 1), 0);
	assert_int_equal(place_memory_node(&t, -1), -1);
}

static void
test_cpus_text(void **state sl_unused)
{
	static const struct {
		int line;
		const char *in, *out; // NULL: refused
	} cases[] = {
		{ __LINE__, "0-3,8\n", "0-3,8" },
		{ __LINE__, "", "" },
		{ __LINE__, "\n", "" },
		{ __LINE__, "7,1,2", "1-2,7" },
		{ __LINE__, "3-1", NULL },
		{ __LINE__, "x", NULL },
		{ __LINE__, "1-", NULL },
		{ __LINE__, "1020-2000", "1020-1023" },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		cpu_set_t s;
		char text[64];
		int rc = cpus_parse(cases[i].in, &s);

		if ((rc == 0) != (cases[i].out != NULL))
			fail_msg("line %d: rc %d", cases[i].line, rc);
		if (rc != 0)
			continue;
		cpus_format(&s, text, sizeof(text));
		if (strcmp(text, cases[i].out) != 0)
			fail_msg("line %d: %s", cases[i].line, text);
	}
}

static void
put(const char *root, const char *path, const char *text)
{
	char full[256];
	FILE *f;

	for (const char *p = path; (p = strchr(p, '/')) != NULL; p++) {
		snprintf(full, sizeof(full), "%s/%.*s", root, (int)(p - path), path);
		mkdir(full, 0700);
	}
	snprintf(full, sizeof(full), "%s/%s", root, path);
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
test_device_node(void **state sl_unused)
{
	static const struct {
		int line;
		const char *device;
		int node;
	} cases[] = {
		{ __LINE__, "0000:3b:00.0", 1 },
		{ __LINE__, "3b:00.0,arg=1", 1 },
		{ __LINE__, "0000:3B:00.0", 1 },
		{ __LINE__, "0000:3b:00.1", -1 }, // a device that knows none: "-1"
		{ __LINE__, "0000:99:00.0", -1 },
		{ __LINE__, "net_af_xdp0,iface=ens1,start_queue=0", 2 },
		{ __LINE__, "net_af_xdp0,iface=../../x", -1 },
		{ __LINE__, "net_tap0,iface=nowhere", -1 },
		{ __LINE__, "wire0a", -1 },
	};
	char root[] = "/tmp/sluice-topo-XXXXXX", cmd[64];

	assert_non_null(mkdtemp(root));
	put(root, "bus/pci/devices/0000:3b:00.0/numa_node", "1\n");
	put(root, "bus/pci/devices/0000:3b:00.1/numa_node", "-1\n");
	put(root, "class/net/ens1/device/numa_node", "2\n");
	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		int node = topology_device_node(root, sl_str_c(cases[i].device));

		if (node != cases[i].node)
			fail_msg("line %d: node %d", cases[i].line, node);
	}
	snprintf(cmd, sizeof(cmd), "rm -r %s", root);
	assert_int_equal(system(cmd), 0);
}

/* This machine's, whatever it is: what is read can be planned with, and reading changes nothing. */
static void
test_here(void **state sl_unused)
{
	struct topology t;
	struct global_conf g;
	struct thread_plan p;
	struct port_err err;
	cpu_set_t before, after;

	sched_getaffinity(0, sizeof(before), &before);
	assert_int_equal(topology_read(&t), 0);
	sched_getaffinity(0, sizeof(after), &after);
	assert_true(CPU_EQUAL(&before, &after));
	assert_true(CPU_EQUAL(&before, &t.affinity));
	assert_true(t.nnodes >= 1);
	assert_int_equal(t.distance[0][0], 10);
	global_of(&g, 1, NULL);
	assert_int_equal(place_plan(&g, &t, NULL, 0, &p, &err), 0);
	assert_true(CPU_ISSET(p.worker_cpu[0], &t.online));
	assert_true(p.worker_node[0] >= 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nice),
		cmocka_unit_test(test_error_names_thread),
		cmocka_unit_test(test_far),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_cpus_text),
		cmocka_unit_test(test_device_node),
		cmocka_unit_test(test_here),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
