// SPDX-License-Identifier: BSD-3-Clause
/*
 * Starting EAL: arguments from what is configured, after checks of what EAL would only fail on.
 *
 * Runs on: the main thread, once. Two profiles: hugepages when enough are free and mounted,
 * otherwise ordinary memory (--no-huge --no-shconf: an instance of its own, no files left).
 */
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_pdump.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/base/log.h"
#include "drivers/drv.h"

SL_LOG_TYPE("drivers");

#define ARGS_MAX 128
#define TEXT_MAX 8192

/* Built up, then handed to EAL, which keeps pointers into it: never freed. */
struct args {
	char *argv[ARGS_MAX + 1];
	int argc;
	char text[TEXT_MAX];
	uint32_t used;
	bool full;
};

static void
add_str(struct args *a, struct sl_str s)
{
	if (a->argc == ARGS_MAX || a->used + s.len + 1 > TEXT_MAX) {
		a->full = true;
		return;
	}
	a->argv[a->argc] = a->text + a->used;
	memcpy(a->argv[a->argc++], s.p, s.len);
	a->text[a->used + s.len] = '\0';
	a->used += s.len + 1;
}

sl_printf(2, 3) static void add(struct args *a, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof(text))
		a->full = true;
	else
		add_str(a, sl_str_make(text, (size_t)n));
}

/* lcore 0 is main, lcore w + 1 is worker w; two may share a CPU. */
static void
add_lcores(struct args *a, const struct eal_spec *s)
{
	char text[1024];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	sl_buf_printf(&b, "0@%u", s->main_cpu);
	for (uint32_t w = 0; w < s->nworkers; w++)
		sl_buf_printf(&b, ",%u@%u", w + 1, s->worker_cpu[w]);
	a->full |= b.full;
	add(a, "--lcores");
	add_str(a, sl_buf_str(&b));
	add(a, "--main-lcore=0");
}

static void
add_devices(struct args *a, const struct eal_spec *s)
{
	bool pci = false;

	for (uint32_t i = 0; i < s->nports; i++) {
		const struct port_spec *p = &s->ports[i];
		char text[PORT_DEVICE + 128];
		struct sl_str slave;
		struct sl_buf b;

		sl_buf_init(&b, text, sizeof(text));
		a->full |= pmd_device(p, (uint16_t)s->nworkers, &b) < 0;
		add(a, "%s", pmd_is_virtual(p->device) ? "--vdev" : "-a");
		add_str(a, sl_buf_str(&b));
		pci |= !pmd_is_virtual(p->device);
		for (uint32_t k = 0; (slave = port_slave(p->device, k)).p != NULL; k++) {
			if (!pmd_is_pci(slave))
				continue;
			add(a, "-a");
			add_str(a, slave);
			pci = true;
		}
	}
	if (!pci)
		add(a, "--no-pci");
}

/* By node where it comes from hugepages: EAL would share it out by the numbers of its lcores. */
static void
add_memory(struct args *a, const struct eal_spec *s, uint32_t need, bool huge)
{
	char text[256];
	struct sl_buf b;

	// the user's own choice
	if (sl_str_find(s->extra, SL_STR("--socket-mem"), false) >= 0 ||
		sl_str_starts(s->extra, SL_STR("-m "), false) ||
		sl_str_find(s->extra, SL_STR(" -m "), false) >= 0)
		return;
	if (!huge || s->node_mb == NULL) {
		add(a, "-m");
		add(a, "%u", need);
		return;
	}
	sl_buf_init(&b, text, sizeof(text));
	for (uint16_t i = 0; i < s->nnodes; i++)
		sl_buf_printf(&b, i > 0 ? ",%u" : "%u", s->node_mb[i]);
	a->full |= b.full;
	add(a, "--socket-mem");
	add_str(a, sl_buf_str(&b));
}

/* EAL takes the first mount, and fails where it may not write there (another user's). */
static void
add_huge_dir(struct args *a, struct sl_str extra)
{
	char dir[256];

	if (sl_str_find(extra, SL_STR("--huge-dir"), false) < 0 &&
		check_hugetlbfs(dir, sizeof(dir)) > 0)
		add(a, "--huge-dir=%s", dir);
}

static bool
is_slave(const struct eal_spec *s, struct sl_str name)
{
	struct sl_str slave;

	for (uint32_t i = 0; i < s->nports; i++) {
		for (uint32_t k = 0; (slave = port_slave(s->ports[i].device, k)).p != NULL; k++) {
			if (sl_str_eq(slave, name))
				return true;
		}
	}
	return false;
}

/* A virtual device that the user has made: as it is, but for a slave, which needs what a port does. */
static void
add_vdev(struct args *a, const struct eal_spec *s, struct sl_str device)
{
	struct port_spec slave = { .device = device };
	struct sl_str rest = device;
	char text[PORT_DEVICE + 128];
	struct sl_buf b;

	if (!is_slave(s, sl_str_cut(&rest, ','))) {
		add_str(a, device);
		return;
	}
	sl_buf_init(&b, text, sizeof(text));
	a->full |= pmd_device(&slave, (uint16_t)s->nworkers, &b) < 0;
	add_str(a, sl_buf_str(&b));
}

/* Blanks separate the user's own arguments. */
static void
add_extra(struct args *a, const struct eal_spec *s)
{
	struct sl_str extra = s->extra, rest = extra, vdev = port_vdev(&rest);

	while (extra.p != NULL) {
		struct sl_str word = sl_str_trim(sl_str_cut(&extra, ' '));

		if (word.len == 0)
			continue;
		if (vdev.p != NULL && word.p + word.len == vdev.p + vdev.len) {
			if (word.p != vdev.p) // "--vdev=..."
				add(a, "--vdev");
			add_vdev(a, s, vdev);
			vdev = port_vdev(&rest);
		} else {
			add_str(a, word);
		}
	}
}

static void
add_logging(struct args *a, const struct eal_spec *s)
{
	// on every start: "failed to create multiq qdisc", which does no harm. For types that
	// register later EAL takes the first option that fits, for the others the last
	add(a, "--log-level=pmd.net.tap:critical");
	add(a, "--log-level=*:%s", s->in_test ? "critical" : "error");
	add(a, "--log-level=pmd.net.tap:critical");
	if (s->in_test)
		add(a, "--no-telemetry");
}

/* The first node that gives less than is asked of it; -1: none. */
static int
node_lacking(const uint32_t *node_mb, uint16_t nnodes)
{
	for (uint16_t i = 0; i < nnodes; i++) {
		if (node_mb[i] > 0 && check_hugepages_mb(i) < node_mb[i])
			return i;
	}
	return -1;
}

bool
eal_fits_huge(const uint32_t *node_mb, uint16_t nnodes, struct sl_str extra)
{
	// dpdk-eal "--no-huge" of the user wins
	return node_lacking(node_mb, nnodes) < 0 &&
		sl_str_find(extra, SL_STR("--no-huge"), false) < 0;
}

/* Has a port a NIC on PCI, itself or as a slave of its bond? */
static bool
has_pci(struct sl_str device)
{
	bool pci = !pmd_is_virtual(device);

	for (uint32_t i = 0; port_slave(device, i).p != NULL; i++)
		pci |= pmd_is_pci(port_slave(device, i));
	return pci;
}

/*
 * Without hugepages, where some were meant to be used: a NIC on PCI needs them (its driver finds
 * memory by physical page), other devices do without.
 */
static int
check_huge(const struct eal_spec *s, const uint32_t *node_mb, uint16_t nnodes, struct port_err *err)
{
	int node = node_lacking(node_mb, nnodes);
	uint64_t there = node >= 0 ? check_hugepages_mb(node) : 0;

	if (node < 0 || sl_str_find(s->extra, SL_STR("--no-huge"), false) >= 0)
		return 0;
	for (uint32_t i = 0; i < s->nports; i++) {
		if (has_pci(s->ports[i].device))
			return port_fail(err, -ENOMEM,
				"port '%.*s': device '%.*s' needs hugepages: node %d shall give %u "
				"MiB, %llu MiB are free there: run 'sluice-setup hugepages %d=%u'",
				SL_STR_ARG(s->ports[i].name), SL_STR_ARG(s->ports[i].device), node,
				node_mb[node], (unsigned long long)there, node, node_mb[node]);
	}
	for (int i = 0; i < nnodes; i++) {
		if (check_hugepages_mb(i) > 0)
			LOG(WARNING,
				"hugepages are there, but node %d has %llu MiB of %u free: going "
				"without ('sluice-setup hugepages %d=%u' gives what is missing)",
				node, (unsigned long long)there, node_mb[node], node,
				node_mb[node]);
	}
	return 0;
}

uint64_t
eal_available_mb(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[256];
	uint64_t kb = UINT64_MAX;

	if (f == NULL)
		return kb;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "MemAvailable:", 13) == 0)
			kb = strtoull(line + 13, NULL, 10);
	}
	fclose(f);
	return kb / 1024;
}

static int
check_memory(const struct eal_spec *s, uint32_t need, bool *huge, struct port_err *err)
{
	const uint32_t *node_mb = s->node_mb != NULL ? s->node_mb : &need;
	uint16_t nnodes = s->node_mb != NULL ? s->nnodes : 1;
	uint64_t there = eal_available_mb();
	int rc = check_huge(s, node_mb, nnodes, err);

	if (rc < 0)
		return rc;
	*huge = eal_fits_huge(node_mb, nnodes, s->extra);
	if (!*huge && there < need)
		return port_fail(err, -ENOMEM,
			"%u MiB are needed for the packet buffers of %u threads, %llu MiB are there: "
			"lower nbthread or give the machine more memory",
			need, s->nworkers, (unsigned long long)there);
	return 0;
}

static int
check_devices(const struct eal_spec *s, struct port_err *err)
{
	for (uint32_t i = 0; i < s->nports; i++) {
		const struct pmd_quirk *q = pmd_quirk(s->ports[i].device);
		int rc = q->check != NULL ? q->check(&s->ports[i], (uint16_t)s->nworkers, err) : 0;
		if (rc == 0)
			rc = check_bond(s, i, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static struct args *eal_args; // EAL keeps pointers into it

int
eal_start(const struct eal_spec *s, bool *huge, struct port_err *err)
{
	uint32_t rings = 0, need;
	struct args *a;
	int rc = check_devices(s, err);

	for (uint32_t i = 0; i < s->nports; i++)
		rings += port_rings(s->ports[i].device);
	need = eal_memory_mb(
		rings, s->nworkers, s->pool_mbufs != 0 ? s->pool_mbufs : pool_mbufs(rings));
	if (rc == 0)
		rc = check_memory(s, need, huge, err);
	if (rc < 0)
		return rc;
	a = eal_args = calloc(1, sizeof(*a));
	if (a == NULL)
		return port_fail(err, -ENOMEM, "no memory");
	add(a, "sluice");
	add_lcores(a, s);
	add_memory(a, s, need, *huge);
	// the daemon has locked its prefix; tests run side by side
	if (s->in_test)
		add(a, "--file-prefix=%s%d", s->file_prefix, (int)getpid());
	else
		add(a, "--file-prefix=%s", s->file_prefix);
	// hugepage files stay while we run, so that dpdk-dumpcap can attach; the parent removes them
	if (*huge) {
		add_huge_dir(a, s->extra);
	} else {
		add(a, "--no-huge");
		add(a, "--no-shconf");
		add(a, "--iova-mode=va");
	}
	add_devices(a, s);
	add_logging(a, s);
	add_extra(a, s);
	if (a->full) {
		free(a);
		eal_args = NULL;
		return port_fail(err, -E2BIG, "too many arguments for EAL");
	}
	if (rte_eal_init(a->argc, a->argv) < 0) {
		rc = rte_errno != 0 ? -rte_errno : -EINVAL;
		return port_fail(err, rc,
			"DPDK does not start (%s): see its messages above, and 'dpdk-eal' in the "
			"configuration",
			rte_strerror(-rc));
	}
	if (*huge && !s->in_test && rte_pdump_init() < 0)
		LOG(WARNING, "dpdk-dumpcap cannot attach: %s", rte_strerror(rte_errno));
	if (s->in_test)
		rmdir(rte_eal_get_runtime_dir()); // empty, and nobody comes back for it
	return 0;
}

void
eal_stop(bool leave)
{
	if (!leave)
		rte_eal_cleanup();
	free(eal_args);
	eal_args = NULL;
}
