// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device of a port that is taken away while it runs: a card that is pulled, a slot or a virtual
 * device that is switched off.
 *
 * Of a bond each slave counts: one that is taken away takes the port with it, since nobody else would let
 * go of it, and the removal would wait for ever.
 *
 * Runs on: on_event() on EAL's interrupt thread, which only notes it; the rest on main. vfio holds the
 * removal until the device is let go, so nothing is touched that is not there. While it is let go no
 * worker may run: buffers in its rings go back to pools that are theirs.
 */
#include <rte_dev.h>
#include <rte_ethdev.h>

#include "drivers/drv.h"

static void
on_event(const char *name sl_unused, enum rte_dev_event_type type, void *ctx)
{
	struct port *p = ctx;

	if (type == RTE_DEV_EVENT_REMOVE)
		atomic_store(&p->leaving, true);
}

uint32_t
port_devices(const struct port *p, uint16_t ids[PORT_MAX_QUEUES + BOND_SLAVES])
{
	for (uint16_t i = 0; i < p->ndevs; i++)
		ids[i] = p->q[i].ethdev;
	return p->ndevs + bond_slaves(sl_str_c(p->device), ids + p->ndevs);
}

void
gone_watch(struct port *p)
{
	uint16_t ids[PORT_MAX_QUEUES + BOND_SLAVES];
	uint32_t n = port_devices(p, ids);
	struct rte_eth_dev_info info;

	for (uint32_t i = 0; i < n; i++) {
		if (rte_eth_dev_info_get(ids[i], &info) == 0)
			rte_dev_event_callback_register(rte_dev_name(info.device), on_event, p);
	}
}

void
gone_unwatch(struct port *p)
{
	uint16_t ids[PORT_MAX_QUEUES + BOND_SLAVES];
	uint32_t n = port_devices(p, ids);
	struct rte_eth_dev_info info;

	for (uint32_t i = 0; i < n; i++) {
		if (rte_eth_dev_info_get(ids[i], &info) == 0)
			rte_dev_event_callback_unregister(rte_dev_name(info.device), on_event, p);
	}
}

bool
port_is_leaving(const struct port *p)
{
	return p->nqueues > 0 && atomic_load((_Atomic(bool) *)(uintptr_t)&p->leaving);
}

void
port_let_go(struct ports *ps, struct port *p, struct rte_mempool *const *pools)
{
	uint16_t ids[PORT_MAX_QUEUES + BOND_SLAVES];
	uint32_t n = port_devices(p, ids);

	atomic_store(&p->gone, true);
	atomic_store(&p->link_up, false);
	port_forget(p);
	for (uint16_t i = 0; i < p->ndevs; i++)
		rte_eth_dev_stop(p->q[i].ethdev);
	if (pmd_quirk(sl_str_c(p->device))->quirks & PMD_Q_WIRE)
		wire_unbind(p);
	for (uint32_t i = 0; i < n; i++) { // the bond first: it lets its slaves go
		struct rte_eth_dev_info info;
		bool known = rte_eth_dev_info_get(ids[i], &info) == 0;

		rte_eth_dev_close(ids[i]);
		if (known)
			rte_dev_remove(info.device);
	}
	pool_flush(pools, ps->nworkers);
	p->nqueues = p->ndevs = 0;
}
