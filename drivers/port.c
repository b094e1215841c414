// SPDX-License-Identifier: BSD-3-Clause
/*
 * Life of a port: from a device name to started queues, and back.
 *
 * Runs on: the main thread; on_event() on EAL's interrupt thread, which notes link and removal. Order of
 * a start: find or plug the device → negotiate → configure → queues with the pool of their worker →
 * MTU, MAC → start → RSS table → multicast → link.
 */
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/log.h"
#include "drivers/drv.h"

SL_LOG_TYPE("drivers");

#define RX_DESC   1024
#define TX_DESC   1024
#define FILL_DESC 2048 // AF_XDP: what its fill ring takes

/* Finds or plugs the device of a text "name[,args]"; changes the text. */
static int
plug(const struct port_spec *s, char *text, uint16_t *id, struct port_err *err)
{
	char *args = strchr(text, ',');

	if (args != NULL)
		*args++ = '\0';
	if (rte_eth_dev_get_port_by_name(text, id) == 0)
		return 0;
	if (pmd_is_virtual(s->device) &&
		rte_eal_hotplug_add("vdev", text, args != NULL ? args : "") == 0 &&
		rte_eth_dev_get_port_by_name(text, id) == 0)
		return 0;
	return port_fail(err, -ENODEV,
		"port '%.*s': device '%.*s' was not found, or its driver refused it",
		SL_STR_ARG(s->name), SL_STR_ARG(s->device));
}

/* All devices of a port: one, or one for each queue. */
static int
find_devices(struct port *p, const struct port_spec *s, uint16_t nworkers, struct port_err *err)
{
	uint16_t n = check_split(s->device, nworkers);
	char text[PORT_DEVICE + 128];
	struct sl_buf b;

	for (uint16_t i = 0; i < n; i++) {
		int rc;

		sl_buf_init(&b, text, sizeof(text));
		rc = i == 0 ? pmd_device(s, nworkers, &b) : pmd_device_of_queue(s, i, &b);
		if (rc < 0)
			return port_fail(
				err, rc, "port '%.*s': device name too long", SL_STR_ARG(s->name));
		rc = plug(s, text, &p->q[i].ethdev, err);
		if (rc < 0)
			return rc;
		p->ndevs++;
	}
	p->ethdev = p->q[0].ethdev;
	return 0;
}

/*
 * A bond may go on by another slave: the network has to learn where we are now, which DPDK, unlike the
 * kernel's bonding (num_grat_arp), leaves to us.
 */
static void
look_at_slaves(struct port *p)
{
	uint32_t up;

	if (p->ndevs == 0 || !pmd_is_bond(sl_str_c(p->device)))
		return;
	up = bond_links(sl_str_c(p->device));
	if (up != p->slaves_up)
		atomic_fetch_add_explicit(&p->slave_changes, 1, memory_order_relaxed);
	p->slaves_up = up;
}

static void
look_at_link(struct port *p)
{
	struct rte_eth_link link;
	int up;

	if (p->ndevs == 0) // let go
		return;
	if (p->ifindex != 0 && !check_exists(p->ifindex))
		atomic_store_explicit(&p->gone, true, memory_order_relaxed);
	up = port_is_gone(p) ? 0 : check_carrier(sl_str_c(p->device));
	if (up < 0 && rte_eth_link_get_nowait(p->ethdev, &link) == 0)
		up = link.link_status == RTE_ETH_LINK_UP;
	if (up >= 0 && atomic_exchange(&p->link_up, up != 0) != (up != 0))
		atomic_fetch_add(&p->link_changes, 1);
}

/*
 * A carrier that went and came between two looks was away: the network may have changed behind it. Pairs
 * only, because what happens between the questions of one look is told by the next.
 */
static void
look_at_bounces(struct port *p)
{
	uint32_t n, links, moved, told, hidden;

	if (p->ndevs == 0 || p->ifindex == 0 || port_is_gone(p) ||
		check_carrier_changes(p->ifindex, &n) < 0)
		return;
	links = atomic_load(&p->link_changes);
	moved = n - p->carrier_seen;
	told = links - p->links_seen;
	hidden = moved > told ? (moved - told) & ~1u : 0;
	atomic_fetch_add(&p->link_changes, hidden);
	p->carrier_seen = n;
	p->links_seen = links + hidden;
}

void
port_poll_link(struct port *p)
{
	look_at_slaves(p);
	look_at_link(p);
	look_at_bounces(p);
}

static int
on_event(uint16_t ethdev sl_unused, enum rte_eth_event_type ev, void *ctx, void *ret sl_unused)
{
	struct port *p = ctx;

	if (ev == RTE_ETH_EVENT_INTR_RMV) // pulled, or taken back by its bus
		atomic_store_explicit(&p->gone, true, memory_order_relaxed);
	look_at_link(p);
	return 0;
}

static void
wire_options(struct port *p, uint8_t tso)
{
	struct sl_str dev = sl_str_c(p->device);
	struct sl_str q = port_arg(dev, "queues");
	uint64_t n = WIRE_QUEUES;

	sl_str_u64(q, &n);
	n = n == 0 || n > WIRE_QUEUES ? WIRE_QUEUES : n;
	p->nqueues = (uint16_t)sl_min((uint64_t)p->nqueues, n);
	p->mode = PORT_SINGLE;
	if (p->nqueues > 1) {
		bool rss = !sl_str_eq(port_arg(dev, "rss"), SL_STR("0"));
		p->mode = rss ? PORT_RSS : PORT_SOFT;
		p->offloads |= rss ? PORT_O_RSS_HASH : 0;
	}
	// the wire copies chains, whatever the device under it says
	p->offloads |= PORT_O_TX_MULTISEG;
	if (sl_str_eq(port_arg(dev, "multiseg"), SL_STR("0")))
		p->offloads &= ~PORT_O_TX_MULTISEG;
	n = 0;
	sl_str_u64(port_arg(dev, "tso"), &n);
	if (n > 1 && n < UINT16_MAX && tso != PORT_OFFLOAD_OFF) {
		p->offloads |= PORT_O_TX_IPCSUM | PORT_O_TX_TCPCSUM | PORT_O_TX_TSO;
		p->tso_segs = (uint16_t)n;
	}
}

/* All ports of a process share key and tables: less cache, one port class table. */
static int
set_key(struct ports *ps, struct port *p, bool fixed)
{
	struct toeplitz *t;

	for (uint16_t i = 0; i < ps->n; i++) {
		if (ps->port[i].toeplitz != NULL && &ps->port[i] != p) {
			memcpy(p->rss_key, ps->port[i].rss_key, PORT_RSS_KEY);
			p->toeplitz = ps->port[i].toeplitz;
			return 0;
		}
	}
	t = malloc(sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	toeplitz_make_key(p->rss_key, fixed);
	toeplitz_init(t, p->rss_key);
	p->toeplitz = t;
	return 0;
}

static void
put_key(struct ports *ps, struct port *p)
{
	const struct toeplitz *t = p->toeplitz;

	p->toeplitz = NULL;
	for (uint16_t i = 0; i < PORT_MAX; i++) {
		if (ps->port[i].toeplitz == t)
			return;
	}
	free((void *)(uintptr_t)t);
}

/* Behind those that are as long or longer. */
static void
add_route(struct port *p, const struct ip_route *r)
{
	uint16_t i = p->nroutes++;

	for (; i > 0 && p->route[i - 1].dst.prefix < r->dst.prefix; i--)
		p->route[i] = p->route[i - 1];
	p->route[i] = *r;
}

static int
fill_routes(struct port *p, const struct port_spec *s, struct port_err *err)
{
	const struct ip_addr *gw[2] = { &s->gateway4, &s->gateway6 };

	if (s->nroutes > PORT_MAX_ROUTES - 2 || s->nneighs > PORT_MAX_NEIGHS)
		return port_fail(err, -E2BIG, "port '%.*s': more than %u routes or %u neighbours",
			SL_STR_ARG(s->name), PORT_MAX_ROUTES - 2, PORT_MAX_NEIGHS);
	for (uint32_t i = 0; i < s->nroutes; i++)
		add_route(p, &s->routes[i]);
	for (uint32_t i = 0; i < 2; i++) {
		struct ip_route r = { .via = *gw[i] };

		r.dst.ip.family = gw[i]->family;
		if (gw[i]->family != ADDR_NONE)
			add_route(p, &r);
	}
	for (uint32_t i = 0; i < s->nneighs; i++)
		p->neigh[i] = s->neighs[i];
	p->nneighs = (uint16_t)s->nneighs;
	return 0;
}

static int
fill_spec(struct ports *ps, struct port *p, const struct port_spec *s, struct port_err *err)
{
	memset(p, 0, sizeof(*p));
	p->id = ps->n;
	p->mtu = s->mtu != 0 ? s->mtu : RTE_ETHER_MTU;
	p->vlan = s->vlan;
	p->rings = (uint16_t)port_rings(s->device);
	if (s->naddrs > PORT_MAX_ADDRS)
		return port_fail(err, -E2BIG, "port '%.*s': more than %u addresses",
			SL_STR_ARG(s->name), PORT_MAX_ADDRS);
	if (s->name.len >= sizeof(p->name) || s->device.len >= sizeof(p->device))
		return port_fail(
			err, -ENAMETOOLONG, "port '%.*s': name too long", SL_STR_ARG(s->name));
	if (p->mtu < 1280 || p->mtu > PORT_MBUF_DATA - 64)
		return port_fail(err, -EINVAL, "port '%.*s': mtu must be 1280..%u, got %u",
			SL_STR_ARG(s->name), PORT_MBUF_DATA - 64, p->mtu);
	if (s->vlan > 4094)
		return port_fail(err, -EINVAL, "port '%.*s': vlan must be 1..4094, got %u",
			SL_STR_ARG(s->name), s->vlan);
	memcpy(p->name, s->name.p, s->name.len);
	memcpy(p->device, s->device.p, s->device.len);
	if (s->naddrs > 0)
		memcpy(p->addr, s->addrs, s->naddrs * sizeof(*s->addrs));
	p->naddrs = (uint16_t)s->naddrs;
	return fill_routes(p, s, err);
}

static int
setup_queues(struct port *p, const struct port_spec *s, struct rte_mempool *const *pools,
	struct port_err *err)
{
	// where the device is, unless that node has no memory; without hugepages it is all one
	unsigned int node = (unsigned int)(rte_eal_has_hugepages() ? s->node : p->socket);

	for (uint16_t q = 0; q < p->nqueues; q++) {
		const struct port_queue *pq = &p->q[q];
		int rc = rte_eth_rx_queue_setup(
			pq->ethdev, pq->queue, p->rx_desc, node, NULL, pools[q]);

		if (rc == 0)
			rc = rte_eth_tx_queue_setup(pq->ethdev, pq->queue, p->tx_desc, node, NULL);
		if (rc < 0)
			return port_fail(err, rc,
				"port '%s': queue %u of device '%s' failed (%s): does the "
				"interface have that many queues?",
				p->name, q, p->device, strerror(-rc));
	}
	return 0;
}

static int
configure(struct port *p, const struct port_spec *s, struct rte_mempool *const *pools,
	uint16_t nworkers, struct port_err *err)
{
	uint32_t quirks = pmd_quirks(s->device);
	struct rte_eth_conf conf = { .rxmode.mtu = p->mtu };
	struct rte_eth_dev_info info;
	int rc = quirks & PMD_Q_BOND ? bond_join(s, p->ethdev, p->mtu, err) : 0;

	if (rc < 0)
		return rc;
	rc = rte_eth_dev_info_get(p->ethdev, &info);
	if (rc < 0)
		return port_fail(
			err, rc, "port '%s': device '%s' gives no information", p->name, p->device);
	rte_strscpy(p->driver, info.driver_name, sizeof(p->driver));
	caps_negotiate(p, &info, quirks, s->offload, nworkers, &conf);
	caps_negotiate_tso(p, &info, quirks, s->tso, &conf);
	if (quirks & PMD_Q_WIRE)
		wire_options(p, s->tso);
	if (s->tso == PORT_OFFLOAD_ON && !(p->offloads & PORT_O_TX_TSO))
		return caps_no_tso(p, err);
	if (p->ndevs > 1) {
		p->nqueues = p->ndevs;
		p->mode = PORT_SOFT;
	}
	for (uint16_t q = 0; q < p->nqueues && p->ndevs == 1; q++)
		p->q[q] = (struct port_queue){ .ethdev = p->ethdev, .queue = q };
	rss_fill_owner(p, info.reta_size);

	uint8_t key[64] = { 0 };
	memcpy(key, p->rss_key, PORT_RSS_KEY);
	if (conf.rxmode.mq_mode == RTE_ETH_MQ_RX_RSS) {
		conf.rx_adv_conf.rss_conf.rss_key = key;
		conf.rx_adv_conf.rss_conf.rss_key_len = info.hash_key_size;
	}
	if (info.max_mtu != 0 && p->mtu > info.max_mtu)
		return port_fail(err, -EINVAL, "port '%s': mtu %u is more than the device's %u",
			p->name, p->mtu, info.max_mtu);
	for (uint16_t i = 0; i < p->ndevs && rc == 0; i++) {
		uint16_t n = p->ndevs > 1 ? 1 : p->nqueues;
		rc = quirks & PMD_Q_BOND ? bond_configure(p->q[i].ethdev, n, &conf)
					 : rte_eth_dev_configure(p->q[i].ethdev, n, n, &conf);
	}
	if (rc < 0)
		return port_fail(err, rc, "port '%s': device '%s' refuses %u queues (%s)", p->name,
			p->device, p->nqueues, strerror(-rc));
	p->socket = rte_eth_dev_socket_id(p->ethdev);
	p->rx_desc = RX_DESC;
	p->tx_desc = TX_DESC;
	rte_eth_dev_adjust_nb_rx_tx_desc(p->ethdev, &p->rx_desc, &p->tx_desc);
	p->offloads |= bond_is_lacp(s->device) ? PORT_O_TX_POLL : 0;
	rc = setup_queues(p, s, pools, err);
	if (quirks & PMD_Q_FILL)
		p->rx_desc = sl_max(p->rx_desc, (uint16_t)FILL_DESC);
	return rc;
}

static void
set_mac(struct port *p, uint32_t quirks)
{
	// the same in every run, so that simulations are reproducible
	if (quirks & PMD_Q_WIRE) {
		struct rte_ether_addr mac = { { 0x02, 0x53, 0x4c } };
		char *end;
		mac.addr_bytes[4] = (uint8_t)strtoul(p->device + 4, &end, 10);
		mac.addr_bytes[5] = (uint8_t)*end;
		rte_eth_dev_default_mac_addr_set(p->ethdev, &mac);
	}
	rte_eth_macaddr_get(p->ethdev, &p->mac);
	if (quirks & PMD_Q_OTHER_MAC) {
		p->mac.addr_bytes[0] |= RTE_ETHER_LOCAL_ADMIN_ADDR;
		p->mac.addr_bytes[4] ^= 0x80;
	}
}

void
pool_flush(struct rte_mempool *const *pools, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mempool_cache *c = rte_mempool_default_cache(pools[i], rte_lcore_id());
		if (c != NULL)
			rte_mempool_cache_flush(c, pools[i]);
	}
}

/*
 * A bond before its slaves: it lets them go. What these hold are buffers of pools that end with the ports,
 * sooner than EAL would close them. remove: what find_devices() plugged, which no slave is.
 */
static void
close_devices(const struct port *p, bool remove)
{
	uint16_t ids[PORT_MAX_QUEUES + BOND_SLAVES];
	uint32_t n = port_devices(p, ids);

	for (uint32_t i = 0; i < n; i++) {
		struct rte_eth_dev_info info;
		bool ours = remove && i < p->ndevs && rte_eth_dev_info_get(ids[i], &info) == 0;

		rte_eth_dev_stop(ids[i]);
		rte_eth_dev_close(ids[i]);
		if (ours)
			rte_dev_remove(info.device);
	}
}

int
port_start(struct ports *ps, const struct port_spec *spec, struct rte_mempool *const *pools,
	uint16_t nworkers, struct port_err *err)
{
	uint32_t quirks = pmd_quirks(spec->device);
	struct port *p = &ps->port[ps->n];
	struct rte_eth_dev_info info;
	int rc;

	if (ps->n == PORT_MAX)
		return port_fail(err, -E2BIG, "more than %u ports", PORT_MAX);
	ps->nworkers = nworkers;
	rc = fill_spec(ps, p, spec, err);
	if (rc == 0)
		rc = find_devices(p, spec, nworkers, err);
	if (rc < 0)
		return rc;
	if (set_key(ps, p, quirks & PMD_Q_WIRE) < 0)
		return port_fail(err, -ENOMEM, "port '%s': no memory", p->name);
	rc = configure(p, spec, pools, nworkers, err);
	if (rc < 0)
		goto fail;
	set_mac(p, quirks);
	for (uint16_t i = 0; i < p->ndevs && rc == 0; i++)
		rc = rte_eth_dev_start(p->q[i].ethdev);
	if (quirks & PMD_Q_BOND) // that of its primary slave is taken only now
		set_mac(p, quirks);
	if (rc < 0) {
		port_fail(err, rc, "port '%s': device '%s' does not start (%s)", p->name, p->device,
			strerror(-rc));
		goto fail;
	}
	if (p->mode == PORT_RSS && !(quirks & PMD_Q_WIRE) &&
		(rte_eth_dev_info_get(p->ethdev, &info) < 0 || !rss_program(p, &info))) {
		p->mode = PORT_SOFT;
		p->offloads &= ~PORT_O_RSS_HASH;
		rss_fill_owner(p, 0);
		LOG(NOTICE,
			"port '%s': the device's RSS cannot be set: flows are spread in software",
			p->name);
	}
	atomic_store(&p->spread,
		(uint8_t)(p->mode == PORT_RSS ? PORT_SPREAD_WAITING : PORT_SPREAD_NONE));
	rc = quirks & PMD_Q_WIRE ? wire_bind(p, pools) : 0;
	if (rc < 0) {
		port_fail(err, rc, "port '%s': there is no wire for '%s'", p->name, p->device);
		goto fail;
	}
	for (uint16_t i = 0; i < p->ndevs; i++) { // IPv6 needs multicast; soft drivers pass all
		rc = rte_eth_allmulticast_enable(p->q[i].ethdev);
		// but LACP drops, broadcasts too, what its slaves were not told to take
		if (rc < 0 && quirks & PMD_Q_BOND)
			rte_eth_promiscuous_enable(p->q[i].ethdev);
	}
	p->ifindex = check_ifindex(spec->device);
	rte_eth_dev_callback_register(p->ethdev, RTE_ETH_EVENT_INTR_LSC, on_event, p);
	rte_eth_dev_callback_register(p->ethdev, RTE_ETH_EVENT_INTR_RMV, on_event, p);
	gone_watch(p);
	port_poll_link(p);
	atomic_store(&p->link_changes, 0);
	p->links_seen = 0;
	pool_flush(pools, nworkers);
	if (p->nqueues < nworkers)
		LOG(WARNING, "port '%s': %u queues for %u workers: the others do not use it",
			p->name, p->nqueues, nworkers);
	ps->n++;
	return 0;
fail:
	close_devices(p, false);
	put_key(ps, p);
	return rc;
}

void
port_forget(struct port *p)
{
	gone_unwatch(p);
	rte_eth_dev_callback_unregister(p->ethdev, RTE_ETH_EVENT_INTR_LSC, on_event, p);
	rte_eth_dev_callback_unregister(p->ethdev, RTE_ETH_EVENT_INTR_RMV, on_event, p);
}

void
port_stop(struct ports *ps, struct port *p)
{
	struct sl_str dev = sl_str_c(p->device);
	bool leave = ps->leave && (pmd_quirks(dev) & PMD_Q_KERNEL) != 0;

	atomic_store(&p->link_up, false);
	if (p->ndevs > 0)
		port_forget(p);
	for (uint16_t i = 0; i < p->ndevs; i++)
		rte_eth_dev_stop(p->q[i].ethdev);
	if (pmd_quirk(dev)->quirks & PMD_Q_WIRE)
		wire_unbind(p);
	if (!leave && p->ndevs > 0)
		close_devices(p, pmd_is_virtual(dev));
	put_key(ps, p);
	p->nqueues = 0;
	while (ps->n > 0 && ps->port[ps->n - 1].nqueues == 0)
		ps->n--;
}

void
port_finish(struct ports *ps)
{
	uint32_t mss = UINT16_MAX;

	for (uint16_t i = 0; i < ps->n; i++) {
		const struct port *p = &ps->port[i];
		bool v6 = false;

		for (uint16_t a = 0; a < p->naddrs; a++)
			v6 |= p->addr[a].ip.family == ADDR_V6;
		// IP and TCP headers, and the timestamp option
		mss = sl_min(mss, p->mtu - (v6 ? 40u : 20u) - 20u - 12u);
	}
	ps->payload_mss = (uint16_t)(ps->n == 0 ? 0 : mss);
}

void
port_stats(const struct port *p, struct rte_eth_stats *out)
{
	struct rte_eth_stats s;

	memset(out, 0, sizeof(*out));
	if (port_is_gone(p))
		return;
	for (uint16_t i = 0; i < p->ndevs; i++) {
		if (rte_eth_stats_get(p->q[i].ethdev, &s) != 0)
			continue;
		out->ipackets += s.ipackets;
		out->ibytes += s.ibytes;
		out->imissed += s.imissed;
		out->ierrors += s.ierrors;
		out->rx_nombuf += s.rx_nombuf;
		out->opackets += s.opackets;
		out->obytes += s.obytes;
		out->oerrors += s.oerrors;
	}
}
