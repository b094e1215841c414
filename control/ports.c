// SPDX-License-Identifier: BSD-3-Clause
/*
 * What was agreed with each port's device, in the log of the start: driver, firmware, node, speed,
 * queues, and who does checksums and finds a flow's owner.
 *
 * Runs on: main.
 */
#include <rte_ethdev.h>
#include <stdio.h>

#include "control/daemon.h"

static void
add_speed(struct sl_buf *b, const struct port *p)
{
	struct rte_eth_link link = { 0 };

	if (!atomic_load_explicit(&p->link_up, memory_order_relaxed)) {
		sl_buf_addc(b, ", link down");
		return;
	}
	sl_buf_addc(b, ", link up");
	if (rte_eth_link_get_nowait(p->ethdev, &link) == 0 &&
		link.link_speed != RTE_ETH_SPEED_NUM_NONE &&
		link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
		sl_buf_printf(b, " at %s%s", rte_eth_link_speed_to_str(link.link_speed),
			link.link_duplex == RTE_ETH_LINK_HALF_DUPLEX ? " half duplex" : "");
}

static void
add_offloads(struct sl_buf *b, uint32_t o)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{ PORT_O_RX_IPCSUM | PORT_O_RX_L4CSUM, "rx checksums" },
		{ PORT_O_TX_IPCSUM | PORT_O_TX_TCPCSUM, "tx checksums" },
		{ PORT_O_TX_MULTISEG, "several segments" },
	};
	bool any = false;
	uint32_t tso = o & PORT_O_TX_TSO;

	if ((o & (names[0].bit | names[1].bit)) == 0)
		sl_buf_addc(b, "; checksums in software");
	for (size_t i = 0; i < SL_ARRAY_SIZE(names); i++) {
		if ((o & names[i].bit) != names[i].bit)
			continue;
		sl_buf_addc(b, any ? ", " : "; the device does ");
		sl_buf_addc(b, names[i].name);
		any = true;
	}
	if (tso != 0)
		sl_buf_addc(b, tso == PORT_O_TX_TSO ? ", TSO" : ", TSO of IPv4");
}

void
ports_format(const struct port *p, char *out, uint32_t size)
{
	static const char *const owners[] = { [PORT_SINGLE] = "", [PORT_RSS] = " by the device's RSS",
		[PORT_SOFT] = " spread in software" };
	char mac[RTE_ETHER_ADDR_FMT_SIZE], fw[64] = "";
	struct sl_buf b;

	sl_buf_init(&b, out, size);
	rte_ether_format_addr(mac, sizeof(mac), &p->mac);
	sl_buf_printf(&b, "port '%s': %s (%s), %s", p->name, p->device, p->driver, mac);
	if (rte_eth_dev_fw_version_get(p->ethdev, fw, sizeof(fw)) == 0 && fw[0] != '\0')
		sl_buf_printf(&b, ", firmware %s", fw);
	if (p->socket >= 0)
		sl_buf_printf(&b, ", node %d", p->socket);
	sl_buf_printf(&b, ", %u queue%s of %u+%u%s", p->nqueues, p->nqueues == 1 ? "" : "s",
		p->rx_desc, p->tx_desc, owners[p->mode]);
	add_speed(&b, p);
	add_offloads(&b, p->offloads);
}

void
ports_say(struct daemon *d)
{
	char text[512];

	for (uint16_t i = 0; i < d->ports->n; i++) {
		ports_format(&d->ports->port[i], text, sizeof(text));
		daemon_say(d, SL_NOTICE, "%s", text);
	}
}
