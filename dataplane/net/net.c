// SPDX-License-Identifier: BSD-3-Clause
/*
 * Life of net: shared and per-worker state, and its timer.
 *
 * Runs on: net_shared_* and net_attach/detach on the main thread; net_tick on workers. The timer is
 * the loop's (every 10 ms), not the wheel's: it never sleeps for long while neighbours age.
 */
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define ANNOUNCE_NUM      2    // RFC 5227 2.3
#define ANNOUNCE_INTERVAL 2000 // ms

/* RFC 4291 appendix A: fe80::/64 and the MAC with ff:fe in its middle. */
static void
link_local(struct ip_addr *a, const struct rte_ether_addr *mac)
{
	const uint8_t *m = mac->addr_bytes;
	const uint8_t b[16] = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe,
		m[3], m[4], m[5] };

	addr_set6(a, b);
}

sl_cold struct net_shared *
net_shared_new(const struct ports *ps)
{
	struct net_shared *s = lcore_map(sizeof(*s), -1);

	if (s == NULL)
		return NULL;
	s->ports = ps;
	for (uint16_t i = 0; i < ps->n; i++)
		link_local(&s->port[i].ll, &ps->port[i].mac);
	for (uint16_t i = 0; i < ps->n; i++) {
		neigh_init_static(&s->port[i], &ps->port[i]);
		s->port[i].link_seen = UINT32_MAX; // the first look announces
	}
	return s;
}

sl_cold void
net_shared_key(struct net_shared *s, const uint64_t secret[2])
{
	for (uint16_t i = 0; i < s->ports->n; i++) {
		s->port[i].key[0] = hash_mix(secret[0] ^ 0x6e65696768ull);
		s->port[i].key[1] = hash_mix(secret[1] + i);
	}
}

sl_cold void
net_shared_free(struct net_shared *s)
{
	for (uint16_t i = 0; s != NULL && i < PORT_MAX; i++)
		tap_free(&s->port[i]);
	lcore_unmap(s, sizeof(*s));
}

sl_cold int
net_attach(struct lcore *lc, struct net_shared *s, net_tcp_fn tcp, net_icmp_fn icmp)
{
	struct net_lcore *nl = lcore_map(sizeof(*nl), lc->socket);

	if (nl == NULL)
		return -ENOMEM;
	nl->shared = s;
	nl->tcp = tcp;
	nl->icmp = icmp;
	nl->echo_tokens = ECHO_BURST;
	nl->err_tokens = ERR_BURST;
	lc->net = nl;
	lc->net_shared = s;
	return 0;
}

sl_cold void
net_detach(struct lcore *lc)
{
	struct net_lcore *nl = lc->net;

	if (nl == NULL)
		return;
	wait_free_all(lc);
	for (uint16_t i = 0; i < PORT_MAX; i++) {
		while (nl->tx[i].n > 0)
			rte_pktmbuf_free(nl->tx[i].m[--nl->tx[i].n]);
		while (nl->tapq[i].n > 0)
			rte_pktmbuf_free(nl->tapq[i].m[--nl->tapq[i].n]);
	}
	lcore_unmap(nl, sizeof(*nl));
	lc->net = NULL;
}

/* At start, at a new link, when a bond may use another slave: who we are (RFC 5227 2.3, RFC 4861 7.2.6). */
static void
announce(struct lcore *lc, const struct port *p)
{
	struct net_port *np = net_port(lc, p->id);
	uint32_t changes = atomic_load_explicit(&p->link_changes, memory_order_relaxed) +
		atomic_load_explicit(&p->slave_changes, memory_order_relaxed);

	// counted, not compared: a link that was down for less than a tick was down
	if (changes != np->link_seen && atomic_load_explicit(&p->link_up, memory_order_relaxed)) {
		if (np->link_seen != UINT32_MAX)
			neigh_reprobe(np, lc->now);
		np->link_seen = changes;
		np->announce = ANNOUNCE_NUM;
		np->announce_at = lc->now;
	}
	if (np->announce == 0 || !tick_is_expired(np->announce_at, lc->now))
		return;
	np->announce--;
	np->announce_at = tick_add(lc->now, ANNOUNCE_INTERVAL);
	for (uint16_t i = 0; i < p->naddrs; i++) {
		if (p->addr[i].ip.family == ADDR_V6) {
			nd_probe(lc, p, &p->addr[i].ip);
			nd_announce(lc, p, &p->addr[i].ip);
		} else {
			arp_announce(lc, p, &p->addr[i].ip);
		}
	}
}

void
net_tick(struct lcore *lc)
{
	struct net_lcore *nl = lc->net;

	if (tick_is_set(nl->next_tick) && !tick_is_expired(nl->next_tick, lc->now))
		return;
	nl->next_tick = tick_add(lc->now, NET_TICK_MS);
	nl->echo_tokens = sl_min(nl->echo_tokens + ECHO_PER_TICK, (uint32_t)ECHO_BURST);
	nl->err_tokens = sl_min(nl->err_tokens + ERR_PER_TICK, (uint32_t)ERR_BURST);
	if (nl->shared->ntaps > 0)
		tap_tick(lc);
	for (uint16_t i = 0; i < lc->ports->n; i++) {
		const struct port *p = &lc->ports->port[i];

		if (neigh_owner(p) != lc->id || !has_queue(lc, p))
			continue;
		if (unlikely(p->offloads & PORT_O_TX_POLL))
			tx_poll(lc, p);
		announce(lc, p);
		neigh_tick(lc, p);
	}
	if (nl->nwait > 0)
		wait_check(lc);
}
