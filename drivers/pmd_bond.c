// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bonds: ports whose device is DPDK's net_bonding over slaves, which are devices of their own.
 *
 * Runs on: the main thread: at start, when it looks at links, and when a device is taken away. Under LACP
 * the driver itself runs on EAL's interrupt thread, too, and frees there what workers received for it
 * (mempool.c). What is known of it was read in the sources of DPDK 22.11: a slave is named by `slave=`,
 * as a PCI address or as the name of a virtual device, and looked for among the devices that EAL has when
 * the bond is configured; until then the bond knows no limits, offloads or address. EAL makes no slave by
 * itself.
 */
#include <rte_pci.h>

#include "drivers/drv.h"

/* What a bond inherits of the weaknesses of its slaves' drivers. */
#define BOND_QUIRKS                                                                             \
	(PMD_Q_SOFT | PMD_Q_NO_RSS | PMD_Q_SINGLE_SEG | PMD_Q_FILL | PMD_Q_KERNEL | PMD_Q_GSO | \
		PMD_Q_OTHER_MAC)

static const char *const bond_args[] = { "slave", "primary", "mode", "xmit_policy", "socket_id",
	"mac", "agg_mode", "lsc_poll_period_ms", "up_delay", "down_delay" };

bool
pmd_is_bond(struct sl_str device)
{
	return sl_str_starts(device, SL_STR("net_bonding"), false) ||
		sl_str_starts(device, SL_STR("eth_bond"), false);
}

struct sl_str
port_slave(struct sl_str device, uint32_t i)
{
	struct sl_str rest = device;

	sl_str_cut(&rest, ','); // the name
	while (pmd_is_bond(device) && rest.p != NULL) {
		struct sl_str val = sl_str_cut(&rest, ',');
		struct sl_str key = sl_str_cut(&val, '=');

		if (sl_str_eq(sl_str_trim(key), SL_STR("slave")) && val.p != NULL && i-- == 0)
			return sl_str_trim(val);
	}
	return (struct sl_str){ .p = NULL };
}

uint32_t
port_rings(struct sl_str device)
{
	uint32_t n = 0;

	while (port_slave(device, n).p != NULL)
		n++;
	return sl_max(n, 1u);
}

static bool
is_hex(struct sl_str s, uint32_t min, uint32_t max)
{
	for (uint32_t i = 0; i < s.len; i++) {
		if (sl_hex_value(s.p[i]) < 0)
			return false;
	}
	return s.len >= min && s.len <= max;
}

bool
pmd_is_pci(struct sl_str name)
{
	struct sl_str rest = name, bus = sl_str_cut(&rest, ':');

	if (rest.p != NULL && sl_str_chr(rest, ':') >= 0) {
		if (!is_hex(bus, 1, 8)) // it is the domain
			return false;
		bus = sl_str_cut(&rest, ':');
	}
	struct sl_str func = rest, dev = sl_str_cut(&func, '.');
	return is_hex(bus, 1, 2) && is_hex(dev, 1, 2) && is_hex(func, 1, 1);
}

static bool
pci_address(struct sl_str name, struct rte_pci_addr *a)
{
	char text[sizeof("dddddddd:bb:dd.f")];

	if (!pmd_is_pci(name))
		return false;
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	return rte_pci_addr_parse(text, a) == 0;
}

/* One address of PCI has many spellings: letters of both cases, zeros in front, a domain of 0 left out. */
static bool
same_device(struct sl_str a, struct sl_str b)
{
	struct rte_pci_addr pa, pb;

	return pci_address(a, &pa) && pci_address(b, &pb) ? rte_pci_addr_cmp(&pa, &pb) == 0
							  : sl_str_eq(a, b);
}

struct sl_str
port_vdev(struct sl_str *rest)
{
	bool next = false;

	while (rest->p != NULL) {
		struct sl_str word = sl_str_trim(sl_str_cut(rest, ' '));

		if (sl_str_starts(word, SL_STR("--vdev="), false))
			return sl_str_make(word.p + 7, word.len - 7);
		if (next && word.len > 0)
			return word;
		next = next || sl_str_eq(word, SL_STR("--vdev"));
	}
	return (struct sl_str){ .p = NULL };
}

struct sl_str
port_slave_device(struct sl_str extra, struct sl_str slave)
{
	struct sl_str vdev;

	while (!pmd_is_pci(slave) && (vdev = port_vdev(&extra)).p != NULL) {
		struct sl_str args = vdev;

		if (sl_str_eq(sl_str_cut(&args, ','), slave))
			return vdev;
	}
	return slave;
}

uint32_t
pmd_quirks(struct sl_str device)
{
	uint32_t quirks = pmd_quirk(device)->quirks;

	for (uint32_t i = 0; port_slave(device, i).p != NULL; i++)
		quirks |= pmd_quirk(port_slave(device, i))->quirks & BOND_QUIRKS;
	return quirks;
}

static bool
is_slave(struct sl_str bond, struct sl_str name)
{
	struct sl_str slave;

	for (uint32_t i = 0; (slave = port_slave(bond, i)).p != NULL; i++) {
		if (same_device(slave, name))
			return true;
	}
	return false;
}

static int
check_args(const struct port_spec *s, struct port_err *err)
{
	struct sl_str rest = s->device, mode = port_arg(s->device, "mode");
	struct sl_str primary = port_arg(s->device, "primary");

	sl_str_cut(&rest, ','); // the name
	while (rest.p != NULL) {
		struct sl_str val = sl_str_cut(&rest, ','), key = sl_str_cut(&val, '=');
		size_t i = 0;

		key = sl_str_trim(key);
		while (i < SL_ARRAY_SIZE(bond_args) && !sl_str_eq(key, sl_str_c(bond_args[i])))
			i++;
		if (i == SL_ARRAY_SIZE(bond_args))
			return port_fail(err, -EINVAL,
				"port '%.*s': device '%.*s': a bond has no argument '%.*s'; its "
				"members are given by 'slave=', the way by 'mode='",
				SL_STR_ARG(s->name), SL_STR_ARG(s->device), SL_STR_ARG(key));
	}
	if (mode.len != 1 || mode.p[0] < '0' || mode.p[0] > '6')
		return port_fail(err, -EINVAL,
			"port '%.*s': device '%.*s': a bond needs 'mode=' 0 to 6, for example "
			"'mode=1' (active backup) or 'mode=4' (LACP)",
			SL_STR_ARG(s->name), SL_STR_ARG(s->device));
	if (port_slave(s->device, 0).p == NULL)
		return port_fail(err, -EINVAL,
			"port '%.*s': device '%.*s': a bond needs slaves, for example "
			"'slave=0000:41:00.0,slave=0000:41:00.1'",
			SL_STR_ARG(s->name), SL_STR_ARG(s->device));
	if (primary.p != NULL && !is_slave(s->device, primary))
		return port_fail(err, -EINVAL,
			"port '%.*s': device '%.*s': 'primary=%.*s' is none of its slaves",
			SL_STR_ARG(s->name), SL_STR_ARG(s->device), SL_STR_ARG(primary));
	if (port_slave(s->device, BOND_SLAVES).p != NULL)
		return port_fail(err, -E2BIG,
			"port '%.*s': device '%.*s': a bond has at most %u slaves",
			SL_STR_ARG(s->name), SL_STR_ARG(s->device), BOND_SLAVES);
	return 0;
}

/* Nobody else has it: a port of its own, another bond, this one once more. */
static int
check_sole(const struct eal_spec *e, uint32_t port, uint32_t nth, struct port_err *err)
{
	const struct port_spec *s = &e->ports[port];
	struct sl_str slave = port_slave(s->device, nth);

	for (uint32_t i = 0; i < e->nports; i++) {
		struct sl_str rest = e->ports[i].device, other;

		if (same_device(sl_str_cut(&rest, ','), slave))
			return port_fail(err, -EBUSY,
				"port '%.*s': slave '%.*s' is the device of port '%.*s' at once: "
				"remove that port, or the slave",
				SL_STR_ARG(s->name), SL_STR_ARG(slave),
				SL_STR_ARG(e->ports[i].name));
		for (uint32_t k = 0; (other = port_slave(e->ports[i].device, k)).p != NULL; k++) {
			if ((i != port || k != nth) && same_device(other, slave))
				return port_fail(err, -EBUSY,
					"port '%.*s': slave '%.*s' is given twice (port '%.*s'): "
					"remove one",
					SL_STR_ARG(s->name), SL_STR_ARG(slave),
					SL_STR_ARG(e->ports[i].name));
		}
	}
	return 0;
}

static int
check_slave(const struct eal_spec *e, uint32_t port, uint32_t nth, struct port_err *err)
{
	const struct port_spec *s = &e->ports[port];
	struct sl_str slave = port_slave(s->device, nth);
	struct sl_str vdev = port_slave_device(e->extra, slave);
	struct port_spec of_slave = *s;
	const struct pmd_quirk *q = pmd_quirk(vdev);
	int rc = check_sole(e, port, nth, err);

	if (rc < 0 || pmd_is_pci(slave))
		return rc;
	if (pmd_is_bond(slave) || q->quirks & PMD_Q_WIRE)
		return port_fail(err, -ENOTSUP, "port '%.*s': '%.*s' cannot be the slave of a bond",
			SL_STR_ARG(s->name), SL_STR_ARG(slave));
	if (vdev.p == slave.p)
		return port_fail(err, -ENODEV,
			"port '%.*s': slave '%.*s' is no PCI address, and no virtual device that "
			"is made: add 'dpdk-eal \"--vdev %.*s,...\"' to 'global'",
			SL_STR_ARG(s->name), SL_STR_ARG(slave), SL_STR_ARG(slave));
	of_slave.device = vdev;
	return q->check != NULL ? q->check(&of_slave, (uint16_t)e->nworkers, err) : 0;
}

int
check_bond(const struct eal_spec *e, uint32_t port, struct port_err *err)
{
	const struct port_spec *s = &e->ports[port];
	int rc = pmd_is_bond(s->device) ? check_args(s, err) : 0;

	for (uint32_t i = 0; rc == 0 && port_slave(s->device, i).p != NULL; i++)
		rc = check_slave(e, port, i, err);
	return rc;
}

/* DPDK's port of a slave, however either of them spells it. */
static int
slave_ethdev(struct sl_str slave, uint16_t *id)
{
	char name[RTE_ETH_NAME_MAX_LEN];

	for (uint32_t i = rte_eth_find_next(0); i < RTE_MAX_ETHPORTS;
		i = rte_eth_find_next((uint16_t)(i + 1))) {
		if (rte_eth_dev_get_name_by_port((uint16_t)i, name) == 0 &&
			same_device(slave, sl_str_c(name))) {
			*id = (uint16_t)i;
			return 0;
		}
	}
	return -ENODEV;
}

uint32_t
bond_slaves(struct sl_str device, uint16_t ids[BOND_SLAVES])
{
	struct sl_str slave;
	uint32_t n = 0;

	for (; n < BOND_SLAVES && (slave = port_slave(device, n)).p != NULL; n++) {
		if (slave_ethdev(slave, &ids[n]) != 0)
			break;
	}
	return n;
}

uint32_t
bond_links(struct sl_str device)
{
	uint16_t ids[BOND_SLAVES];
	uint32_t n = bond_slaves(device, ids), up = 0;
	struct rte_eth_link link;

	for (uint32_t i = 0; i < n; i++) {
		if (rte_eth_link_get_nowait(ids[i], &link) == 0 && link.link_status == RTE_ETH_LINK_UP)
			up |= 1u << i;
	}
	return up;
}

/*
 * The bond asks each slave every 10 ms (lsc_poll_period_ms) for its link, also where the driver says that
 * it has an event for it: TAP only notes that, and e1000's "em" has no interrupt of it under MSI-X. The bond
 * would never learn that the link went, and rte_eth_link_get_nowait() would go on with what the last event
 * said.
 */
static void
poll_link_of(uint16_t slave)
{
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(slave, &info) == 0)
		*(uint32_t *)(uintptr_t)info.dev_flags &= ~(uint32_t)RTE_ETH_DEV_INTR_LSC;
}

/* Only with its slaves the bond knows what it can; it takes them when it is configured. */
int
bond_join(const struct port_spec *s, uint16_t bond, uint16_t mtu, struct port_err *err)
{
	struct rte_eth_conf conf = { .rxmode.mtu = mtu };
	struct rte_eth_dev_info info;
	uint16_t ids[BOND_SLAVES];
	uint32_t n = bond_slaves(s->device, ids);
	struct sl_str slave = port_slave(s->device, n);

	if (slave.p != NULL)
		return port_fail(err, -ENODEV,
			"port '%.*s': slave '%.*s' was not found, or its driver refused it: run "
			"'sluice-setup check'",
			SL_STR_ARG(s->name), SL_STR_ARG(slave));
	for (uint32_t i = 0; i < n; i++)
		poll_link_of(ids[i]);
	if (rte_eth_dev_configure(bond, 1, 1, &conf) < 0)
		return port_fail(err, -EINVAL,
			"port '%.*s': DPDK refuses the bond '%.*s': see its messages above",
			SL_STR_ARG(s->name), SL_STR_ARG(s->device));
	for (uint32_t i = 0; i < n; i++) {
		if (rte_eth_dev_info_get(ids[i], &info) < 0 ||
			!(*info.dev_flags & RTE_ETH_DEV_BONDED_SLAVE))
			return port_fail(err, -EINVAL,
				"port '%.*s': the bond does not take its slave '%.*s': see DPDK's "
				"messages above",
				SL_STR_ARG(s->name), SL_STR_ARG(port_slave(s->device, i)));
	}
	return 0;
}

int
bond_configure(uint16_t bond, uint16_t nqueues, const struct rte_eth_conf *conf)
{
	int type = rte_log_register("pmd.net.bonding"), level = rte_log_get_level((uint32_t)type);
	int rc;

	// it says of each slave that it has it already
	rte_log_set_level((uint32_t)type, RTE_LOG_CRIT);
	rc = rte_eth_dev_configure(bond, nqueues, nqueues, conf);
	if (level >= 0)
		rte_log_set_level((uint32_t)type, (uint32_t)level);
	return rc;
}

bool
bond_is_lacp(struct sl_str device)
{
	return pmd_is_bond(device) && sl_str_eq(port_arg(device, "mode"), SL_STR("4"));
}
