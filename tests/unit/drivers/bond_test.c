// SPDX-License-Identifier: BSD-3-Clause
/* Bonds: their slaves, what EAL is told of them, and what is refused before it starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "drivers/drv.h"

static char argued[2048]; // what EAL was started with

/* In EAL's place: it keeps the arguments from the first device on, and does not start. */
int
rte_eal_init(int argc, char **argv)
{
	struct sl_buf b;
	bool device = false;

	sl_buf_init(&b, argued, sizeof(argued));
	for (int i = 0; i < argc; i++) {
		device |= strcmp(argv[i], "--vdev") == 0 || strcmp(argv[i], "-a") == 0;
		if (strncmp(argv[i], "--log-level", 11) == 0)
			continue;
		if (device)
			sl_buf_printf(&b, "%s%s", b.len > 0 ? " " : "", argv[i]);
	}
	rte_errno = ENOTSUP;
	return -1;
}

/* Devices in ethdev's place, named as EAL names them. */
static const char *const devices[] = { "net_null0", "0000:af:00.0", "10000:01:00.0", "41:00.1" };

uint16_t
rte_eth_find_next(uint16_t id)
{
	return id < SL_ARRAY_SIZE(devices) ? id : RTE_MAX_ETHPORTS;
}

int
rte_eth_dev_get_name_by_port(uint16_t id, char *name)
{
	if (id >= SL_ARRAY_SIZE(devices))
		return -ENODEV;
	snprintf(name, RTE_ETH_NAME_MAX_LEN, "%s", devices[id]);
	return 0;
}

int
rte_eth_dev_get_port_by_name(const char *name, uint16_t *id)
{
	for (uint16_t i = 0; i < SL_ARRAY_SIZE(devices); i++) {
		if (strcmp(devices[i], name) == 0) {
			*id = i;
			return 0;
		}
	}
	return -ENODEV;
}

/* A slave is found however it is spelt. */
static void
found(void **state sl_unused)
{
	static const struct {
		int line;
		const char *slave;
		uint16_t id; // RTE_MAX_ETHPORTS: none
	} rows[] = {
		{ __LINE__, "net_null0", 0 },
		{ __LINE__, "0000:af:00.0", 1 },
		{ __LINE__, "0000:AF:00.0", 1 },
		{ __LINE__, "AF:00.0", 1 },
		{ __LINE__, "0:af:0.0", 1 },
		{ __LINE__, "10000:01:00.0", 2 },
		{ __LINE__, "00010000:1:00.0", 2 },
		{ __LINE__, "0000:41:00.1", 3 },
		{ __LINE__, "41:00.1", 3 },
		{ __LINE__, "01:00.0", RTE_MAX_ETHPORTS },
		{ __LINE__, "0000:af:00.1", RTE_MAX_ETHPORTS },
		{ __LINE__, "net_null", RTE_MAX_ETHPORTS },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		uint16_t ids[BOND_SLAVES] = { RTE_MAX_ETHPORTS };
		char device[64];
		uint32_t n;

		snprintf(device, sizeof(device), "net_bonding0,mode=1,slave=%s", rows[i].slave);
		n = bond_slaves(sl_str_c(device), ids);
		if (n != (rows[i].id < RTE_MAX_ETHPORTS) || ids[0] != rows[i].id)
			fail_msg("line %d: %u, device %u", rows[i].line, n, ids[0]);
	}
}

static void
slaves(void **state sl_unused)
{
	static const struct {
		int line;
		const char *device, *slave[3];
		uint32_t rings, quirks;
	} rows[] = {
		{ __LINE__, "net_bonding0,mode=4,slave=0000:41:00.0,slave=41:00.1",
			{ "0000:41:00.0", "41:00.1" }, 2, PMD_Q_BOND },
		{ __LINE__, "eth_bond1,slave=net_tap7,mode=1", { "net_tap7" }, 1,
			PMD_Q_BOND | PMD_Q_SOFT | PMD_Q_NO_RSS | PMD_Q_OTHER_MAC | PMD_Q_KERNEL |
				PMD_Q_GSO },
		{ __LINE__,
			"net_bonding0,slave=net_af_packet0,slave=net_af_xdp1,primary=net_af_xdp1",
			{ "net_af_packet0", "net_af_xdp1" }, 2,
			PMD_Q_BOND | PMD_Q_SOFT | PMD_Q_NO_RSS | PMD_Q_SINGLE_SEG | PMD_Q_FILL |
				PMD_Q_KERNEL },
		{ __LINE__, "net_bonding0,mode=1", { NULL }, 1, PMD_Q_BOND },
		{ __LINE__, "net_tap0,slave=x", { NULL }, 1,
			PMD_Q_SOFT | PMD_Q_NO_RSS | PMD_Q_OTHER_MAC | PMD_Q_KERNEL | PMD_Q_GSO },
		{ __LINE__, "0000:41:00.0", { NULL }, 1, 0 },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct sl_str dev = sl_str_c(rows[i].device);

		for (uint32_t k = 0; k < 3; k++) {
			struct sl_str s = port_slave(dev, k), want = { .p = NULL };

			if (rows[i].slave[k] != NULL)
				want = sl_str_c(rows[i].slave[k]);
			if ((s.p == NULL) != (want.p == NULL) || !sl_str_eq(s, want))
				fail_msg("line %d: slave %u: %.*s", rows[i].line, k, SL_STR_ARG(s));
		}
		if (port_rings(dev) != rows[i].rings || pmd_quirks(dev) != rows[i].quirks)
			fail_msg("line %d: %u rings, quirks %x", rows[i].line, port_rings(dev),
				pmd_quirks(dev));
	}
}

static void
pci(void **state sl_unused)
{
	static const char *const yes[] = { "0000:41:00.0", "41:00.1", "10001:1:2.7" };
	static const char *const no[] = { "", "0", "net_tap0", "41:00", "g1:00.0", "0:0:0:0.0",
		"41:00.", "0000:41:00.0x", ":41:00.0" };

	for (size_t i = 0; i < SL_ARRAY_SIZE(yes); i++)
		if (!pmd_is_pci(sl_str_c(yes[i])))
			fail_msg("'%s' is an address", yes[i]);
	for (size_t i = 0; i < SL_ARRAY_SIZE(no); i++)
		if (pmd_is_pci(sl_str_c(no[i])))
			fail_msg("'%s' is no address", no[i]);
}

/* Starts EAL for up to two devices; the arguments, or the refusal. */
static const char *
start(const char *a, const char *b, const char *extra, uint32_t node_mb)
{
	static struct port_err err;
	const struct port_spec ports[2] = { { .name = SL_STR("lan"), .device = sl_str_c(a) },
		{ .name = SL_STR("srv"), .device = sl_str_c(b != NULL ? b : "") } };
	const uint16_t cpu[2] = { 0, 0 };
	struct eal_spec s = { .ports = ports,
		.nports = b != NULL ? 2 : 1,
		.nworkers = 2,
		.pool_mbufs = 1023,
		.worker_cpu = cpu,
		.node_mb = &node_mb,
		.nnodes = 1,
		.extra = sl_str_c(extra),
		.file_prefix = "sluice-bond-test" };
	bool huge;

	argued[0] = '\0';
	assert_true(eal_start(&s, &huge, &err) < 0);
	eal_stop(true); // the arguments only
	return argued[0] != '\0' ? argued : err.text;
}

static void
arguments(void **state sl_unused)
{
	static const struct {
		int line;
		const char *a, *b, *extra, *want;
	} rows[] = {
		{ __LINE__, "net_bonding0,mode=4,slave=0000:41:00.0,slave=41:00.1", NULL,
			"--no-huge",
			"--vdev net_bonding0,mode=4,slave=0000:41:00.0,slave=41:00.1 -a "
			"0000:41:00.0 -a 41:00.1 --no-huge" },
		{ __LINE__, "net_bonding0,mode=1,slave=0000:41:00.0,slave=net_null1",
			"0000:42:00.0", "--no-huge --vdev net_null1",
			"--vdev net_bonding0,mode=1,slave=0000:41:00.0,slave=net_null1 -a "
			"0000:41:00.0 -a 0000:42:00.0 --no-huge --vdev net_null1" },
		{ __LINE__, "eth_bond0,mode=1,slave=net_null0,slave=net_null1", NULL,
			"  --vdev=net_null0,size=64   --vdev net_null1 --vdev net_null2",
			"--vdev eth_bond0,mode=1,slave=net_null0,slave=net_null1 --no-pci --vdev "
			"net_null0,size=64 --vdev net_null1 --vdev net_null2" },
		// a slave gets what a port of its kind gets, no other device does
		{ __LINE__, "net_bonding0,mode=1,slave=net_af_packet1", NULL,
			"--vdev net_af_packet1,iface=lo --vdev net_af_packet2,iface=lo",
			"--vdev net_bonding0,mode=1,slave=net_af_packet1 --no-pci --vdev "
			"net_af_packet1,iface=lo,qpairs=2,blocksz=65536,framesz=2048,framecnt=4096,"
			"qdisc_bypass=1 --vdev net_af_packet2,iface=lo" },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const char *got = start(rows[i].a, rows[i].b, rows[i].extra, 0);

		if (strcmp(got, rows[i].want) != 0)
			fail_msg("line %d: %s", rows[i].line, got);
	}
}

static void
refused(void **state sl_unused)
{
	static const struct {
		int line;
		const char *a, *b, *extra, *says;
	} rows[] = {
		{ __LINE__, "net_bonding0,slave=0000:41:00.0", NULL, "", "needs 'mode='" },
		{ __LINE__, "net_bonding0,mode=7,slave=0000:41:00.0", NULL, "", "needs 'mode='" },
		{ __LINE__, "net_bonding0,mode=1", NULL, "", "needs slaves" },
		{ __LINE__, "net_bonding0,mode=1,member=0000:41:00.0", NULL, "", "'member'" },
		{ __LINE__, "net_bonding0,mode=1,slave=0000:41:00.0,primary=0000:41:00.1", NULL, "",
			"'primary=0000:41:00.1'" },
		{ __LINE__, "net_bonding0,mode=1,slave=0", NULL, "",
			"slave '0' is no PCI address" },
		{ __LINE__, "net_bonding0,mode=1,slave=net_tap1", NULL, "--vdev net_tap10,iface=x",
			"add 'dpdk-eal \"--vdev net_tap1,..." },
		{ __LINE__, "net_bonding0,mode=1,slave=net_bonding1", NULL, "--vdev net_bonding1",
			"'net_bonding1' cannot be" },
		{ __LINE__, "net_bonding0,mode=1,slave=41:00.0,slave=0000:41:00.0", NULL, "",
			"given twice" },
		{ __LINE__, "net_bonding0,mode=1,slave=AF:0.0,slave=0000:af:00.0", NULL, "",
			"given twice" },
		{ __LINE__, "net_bonding0,mode=1,slave=41:00.0", "0000:41:00.0", "",
			"device of port 'srv'" },
		{ __LINE__, "net_bonding0,mode=1,slave=41:00.0",
			"net_bonding1,mode=1,slave=41:00.0", "", "given twice (port 'srv')" },
		{ __LINE__, "net_bonding0,mode=1,slave=net_af_packet1", NULL,
			"--vdev net_af_packet1,iface=slnotthere", "no interface 'slnotthere'" },
		{ __LINE__, "net_bonding0,mode=1,slave=net_ring0", NULL, "--vdev net_ring0",
			"'wireNa'" },
		{ __LINE__, "net_bonding0,mode=1,slave=net_null0,slave=41:00.0", NULL,
			"--vdev net_null0", "'sluice-setup hugepages 0=1048576'" },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const char *got = start(rows[i].a, rows[i].b, rows[i].extra, 1 << 20);

		if (strstr(got, rows[i].says) == NULL || strstr(got, "port 'lan'") == NULL)
			fail_msg("line %d: %s", rows[i].line, got);
	}
	// a bond of virtual devices does without
	if (strstr(start("net_bonding0,mode=1,slave=net_null0", NULL, "--vdev net_null0", 1 << 20),
		    "--no-pci") == NULL)
		fail_msg("not started");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found),
		cmocka_unit_test(slaves),
		cmocka_unit_test(pci),
		cmocka_unit_test(arguments),
		cmocka_unit_test(refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
