// SPDX-License-Identifier: BSD-3-Clause
/*
 * The exception path: what is the kernel's of what a port receives, and the way of its frames out.
 *
 * Runs on: workers; the other ends of the rings on the thread that has the TAP. Ours is TCP to a
 * listener or of a connection, ICMP echo to our addresses, ARP and ND for them; errors, replies of
 * neighbours and what is said to all are for both. All else is the kernel's: other addresses, groups,
 * EtherTypes, VLANs; and of an address that both have, what is not served here. Each class has a
 * bucket on each worker (kernel_rate) and a ring (kernel_full). Frames of the kernel are sent before
 * those of proxies. Not here: the TAP itself (control/tap.c).
 */
#include "dataplane/net/tap.h"

#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define RING_ROUTING 128u
#define RING_NEIGH   64u
#define RING_OTHER   256u
#define RING_OUT     256u
#define TICKS        (1000u / NET_TICK_MS) // a second

#define PORT_BGP     179
#define PORT_BFD     3784 // RFC 5881, and 4784 of RFC 5883
#define PORT_BFDM    4784
#define PROTO_OSPF   89
#define PROTO_VRRP   112

struct frame {
	uint32_t len;
	uint8_t d[NET_TAP_FRAME];
};

struct frames {
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) tail; // producer writes
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) head; // consumer writes
	/* ==== fixed ==== */
	alignas(SL_CACHE_LINE) uint32_t mask;
	struct frame *f;
};

struct net_tap {
	/* ==== fixed ==== */
	// all may send to the kernel: one without a queue gets segments of others
	uint16_t nworkers;
	uint16_t owner;    // sends for it
	uint32_t per_tick; // frames of a class and worker
	/* ==== main writes, workers read ==== */
	_Atomic(uint64_t) shared;
	/* ==== the thread of the TAP ==== */
	struct frames *peeked;
	uint16_t turn; // worker that is asked first
	struct net_tap_counters cnt;
	/* ==== rings ==== */
	struct frames out;
	struct frames in[TAP_CLASSES][PORT_MAX_QUEUES];
};

static const uint32_t ring_size[TAP_CLASSES] = {
	[TAP_ROUTING] = RING_ROUTING, [TAP_NEIGH] = RING_NEIGH, [TAP_OTHER] = RING_OTHER
};

/* ---- rings ---- */

/* Producer: a free place or NULL; then ring_push(). */
static struct frame *
ring_room(struct frames *r)
{
	uint32_t t = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (t - atomic_load_explicit(&r->head, memory_order_acquire) > r->mask)
		return NULL;
	return &r->f[t & r->mask];
}

static void
ring_push(struct frames *r)
{
	atomic_store_explicit(&r->tail, atomic_load_explicit(&r->tail, memory_order_relaxed) + 1,
		memory_order_release);
}

/* Consumer: the first or NULL; then ring_pop(). */
static struct frame *
ring_first(const struct frames *ring)
{
	struct frames *r = (struct frames *)(uintptr_t)ring;
	uint32_t h = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (h == atomic_load_explicit(&r->tail, memory_order_acquire))
		return NULL;
	return &r->f[h & r->mask];
}

static void
ring_pop(struct frames *r)
{
	atomic_store_explicit(&r->head, atomic_load_explicit(&r->head, memory_order_relaxed) + 1,
		memory_order_release);
}

/* ---- life, and the thread of the TAP ---- */

sl_cold int
net_tap_add(struct net_shared *s, uint16_t port, uint32_t rate)
{
	const struct port *p = &s->ports->port[port];
	uint16_t n = s->ports->nworkers;
	uint32_t frames = RING_OUT;
	struct net_tap *t;
	struct frame *f;

	for (uint32_t c = 0; c < TAP_CLASSES; c++)
		frames += ring_size[c] * n;
	t = lcore_map(sizeof(*t) + frames * sizeof(*f), p->socket);
	if (t == NULL)
		return -ENOMEM;
	f = (struct frame *)(t + 1);
	t->nworkers = n;
	t->owner = neigh_owner(p);
	t->per_tick = sl_max(rate / TICKS / n, 1u);
	t->out.f = f;
	t->out.mask = RING_OUT - 1;
	f += RING_OUT;
	for (uint32_t c = 0; c < TAP_CLASSES; c++) {
		for (uint16_t w = 0; w < t->nworkers; w++) {
			t->in[c][w].f = f;
			t->in[c][w].mask = ring_size[c] - 1;
			f += ring_size[c];
		}
	}
	s->port[port].tap = t;
	s->port[port].tap_bytes = sizeof(*t) + frames * sizeof(*f);
	s->ntaps++;
	return 0;
}

sl_cold void
tap_free(struct net_port *np)
{
	if (np->tap != NULL)
		lcore_unmap(np->tap, np->tap_bytes);
	np->tap = NULL;
}

void
net_tap_share(struct net_shared *s, uint16_t port, uint64_t mask)
{
	atomic_store_explicit(&s->port[port].tap->shared, mask, memory_order_relaxed);
}

const struct ip_addr *
net_link_local(const struct net_shared *s, uint16_t port)
{
	return &s->port[port].ll;
}

const void *
net_tap_peek(struct net_shared *s, uint16_t port, uint32_t *len)
{
	struct net_tap *t = s->port[port].tap;

	for (uint32_t c = 0; c < TAP_CLASSES; c++) {
		for (uint16_t i = 0; i < t->nworkers; i++) {
			struct frames *r = &t->in[c][(t->turn + i) % t->nworkers];
			struct frame *f = ring_first(r);

			if (f == NULL)
				continue;
			t->peeked = r;
			*len = f->len;
			return f->d;
		}
	}
	return NULL;
}

void
net_tap_pop(struct net_shared *s, uint16_t port)
{
	struct net_tap *t = s->port[port].tap;

	ring_pop(t->peeked);
	t->turn = (uint16_t)((t->turn + 1) % t->nworkers);
}

bool
net_tap_waits(const struct net_shared *s, uint16_t port)
{
	const struct net_tap *t = s->port[port].tap;

	for (uint32_t c = 0; c < TAP_CLASSES; c++) {
		for (uint16_t w = 0; w < t->nworkers; w++) {
			if (ring_first(&t->in[c][w]) != NULL)
				return true;
		}
	}
	return false;
}

void *
net_tap_room(struct net_shared *s, uint16_t port)
{
	struct frame *f = ring_room(&s->port[port].tap->out);

	return f != NULL ? f->d : NULL;
}

void
net_tap_push(struct net_shared *s, uint16_t port, uint32_t len)
{
	struct frames *r = &s->port[port].tap->out;

	ring_room(r)->len = len;
	ring_push(r);
}

struct net_tap_counters *
net_tap_counters(struct net_shared *s, uint16_t port)
{
	return s->port[port].tap != NULL ? &s->port[port].tap->cnt : NULL;
}

uint16_t
net_tap_worker(const struct net_shared *s, uint16_t port)
{
	return s->port[port].tap->owner;
}

/* ---- to the kernel ---- */

/* What keeps routes and addresses alive, by what the operator cannot have meant otherwise. */
static enum tap_class
class_of(const struct rte_mbuf *m, uint32_t l3)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *), *l4;
	uint32_t room = m->data_len;
	uint16_t type, a, b;
	uint8_t proto;

	if (l3 < 14 || room < l3 + 20)
		return TAP_OTHER;
	type = (uint16_t)(d[l3 - 2] << 8 | d[l3 - 1]);
	if (type == RTE_ETHER_TYPE_ARP)
		return TAP_NEIGH;
	if (type == RTE_ETHER_TYPE_IPV4) {
		proto = d[l3 + 9];
		l4 = d + l3 + (d[l3] & 0x0f) * 4;
	} else if (type == RTE_ETHER_TYPE_IPV6 && room >= l3 + 40) {
		proto = d[l3 + 6];
		l4 = d + l3 + 40;
	} else {
		return TAP_OTHER;
	}
	if (proto == PROTO_OSPF || proto == PROTO_VRRP)
		return TAP_ROUTING;
	if (l4 + 4 > d + room)
		return TAP_OTHER;
	if (proto == IPPROTO_ICMPV6)
		return l4[0] >= 133 && l4[0] <= 136 ? TAP_NEIGH : TAP_OTHER;
	a = (uint16_t)(l4[0] << 8 | l4[1]);
	b = (uint16_t)(l4[2] << 8 | l4[3]);
	if (proto == IPPROTO_TCP && (a == PORT_BGP || b == PORT_BGP))
		return TAP_ROUTING;
	if (proto == IPPROTO_UDP && (b == PORT_BFD || b == PORT_BFDM))
		return TAP_ROUTING;
	return TAP_OTHER;
}

/* Where the network layer begins, of a frame that was refused before anybody looked. */
static uint32_t
l3_of(const struct rte_mbuf *m)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);

	return d[12] == 0x81 && d[13] == 0 ? 18 : 14;
}

/* As it was on the wire: a tag that the device took off is put back. */
static void
copy_frame(struct frame *f, const struct rte_mbuf *m)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t tag = m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED ? 4 : 0;

	memcpy(f->d, d, 12);
	memcpy(f->d + 12 + tag, d + 12, m->data_len - 12u);
	if (tag != 0) {
		f->d[12] = 0x81;
		f->d[13] = 0x00;
		f->d[14] = (uint8_t)(m->vlan_tci >> 8);
		f->d[15] = (uint8_t)m->vlan_tci;
	}
	f->len = m->data_len + tag;
}

/* A copy for the kernel; m stays the caller's. */
static void
give(struct lcore *lc, const struct port *p, const struct rte_mbuf *m, uint32_t l3)
{
	enum tap_class c = class_of(m, l3 != 0 ? l3 : l3_of(m));
	struct net_tap *t = net_port(lc, p->id)->tap;
	uint32_t *spent = &lc->net->tap_spent[p->id][c];
	struct frames *r = &t->in[c][lc->id];
	struct frame *f;

	// what may be saved is what a ring holds
	if (*spent >= sl_max(ring_size[c], t->per_tick)) {
		drop_count(lc, DROP_KERNEL_RATE);
		return;
	}
	(*spent)++;
	f = m->data_len + 4u <= NET_TAP_FRAME ? ring_room(r) : NULL;
	if (f == NULL) {
		drop_count(lc, DROP_KERNEL_FULL);
		return;
	}
	copy_frame(f, m);
	ring_push(r);
	stat_inc(lc, STAT_KERNEL_IN);
	lc->io.dirty = true;
}

/* Does the kernel have this address of the port too? */
static bool
is_shared(const struct lcore *lc, const struct port *p, const struct ip_addr *a)
{
	const struct net_port *np = net_port(lc, p->id);
	uint64_t mask = atomic_load_explicit(&np->tap->shared, memory_order_relaxed);

	for (uint16_t i = 0; i < p->naddrs; i++) {
		if (addr_eq(&p->addr[i].ip, a))
			return mask >> i & 1;
	}
	return addr_eq(&np->ll, a) && mask >> NET_TAP_LL_BIT & 1;
}

/* Destination of the IP packet at l3; false: there is none. */
static bool
destination(const struct rte_mbuf *m, uint32_t l3, struct ip_addr *a)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *) + l3;

	if (m->data_len >= l3 + 20u && d[0] >> 4 == 4) {
		addr_set4(a, d + 16);
		return true;
	}
	if (m->data_len >= l3 + 40u && d[0] >> 4 == 6) {
		addr_set6(a, d + 24);
		return true;
	}
	return false;
}

static bool
is_kernels(const struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m, enum drop why)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	struct ip_addr dst;
	bool ours;

	switch (why) {
	case DROP_ETH_NOT_OURS: // a group, which the kernel may be in; not what it sent itself
		return (d[0] & 1) != 0 && (d[6] & 1) == 0 &&
			memcmp(d + 6, rx->p->mac.addr_bytes, 6) != 0;
	case DROP_ETH_TYPE:
	case DROP_ETH_VLAN:
		return true;
	default:
		break;
	}
	if (!destination(m, rx->l3, &dst))
		return false;
	ours = port_has_addr(lc, rx->p, &dst);
	switch (why) {
	case DROP_IP_FRAGMENT:
	case DROP_IP_PROTO:
	case DROP_IP6_EXT:
	case DROP_ICMP_TYPE:
	case DROP_UDP_NO_PORT:
		return !ours || is_shared(lc, rx->p, &dst);
	case DROP_IP_NOT_OURS: // nothing that is not ours was looked at closely
	case DROP_IP_HEADER:
	case DROP_IP_CSUM:
	case DROP_IP_LENGTH:
	case DROP_IP_SOURCE:
		return !ours;
	default:
		return false;
	}
}

sl_cold bool
tap_takes(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, enum drop why)
{
	if (rx->np->tap == NULL || !is_kernels(lc, rx, m, why))
		return false;
	give(lc, rx->p, m, rx->l3);
	rte_pktmbuf_free(m);
	return true;
}

sl_cold void
tap_or_drop(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, enum drop why)
{
	if (!tap_takes(lc, rx, m, why))
		pkt_drop(lc, m, why);
}

void
tap_copy(struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m)
{
	// who received it has done so
	if (rx->np->tap != NULL && !rx->foreign)
		give(lc, rx->p, m, rx->l3);
}

static bool
is_for_both(const struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m)
{
	struct ip_addr dst;

	return rx->np->tap != NULL && destination(m, rx->l3, &dst) && is_shared(lc, rx->p, &dst);
}

sl_cold void
tap_copy_shared(struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m)
{
	if (is_for_both(lc, rx, m))
		tap_copy(lc, rx, m);
}

sl_cold void
tap_left_or_drop(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, enum drop why)
{
	if (is_for_both(lc, rx, m))
		rte_pktmbuf_free(m);
	else
		pkt_drop(lc, m, why);
}

sl_cold bool
net_tap_segment(struct lcore *lc, struct rte_mbuf *m)
{
	const struct pkt *pk = pkt_of(m);
	const struct port *p = &lc->ports->port[pk->port];
	struct ip_addr dst;

	if (net_port(lc, p->id)->tap == NULL || !destination(m, pk->l3, &dst) ||
		!is_shared(lc, p, &dst))
		return false;
	give(lc, p, m, pk->l3);
	rte_pktmbuf_free(m);
	return true;
}

void
tap_tick(struct lcore *lc)
{
	for (uint16_t i = 0; i < lc->ports->n; i++) {
		const struct net_tap *t = net_port(lc, i)->tap;

		for (uint32_t c = 0; t != NULL && c < TAP_CLASSES; c++) {
			uint32_t *spent = &lc->net->tap_spent[i][c];

			*spent -= sl_min(*spent, t->per_tick);
		}
	}
}

/* ---- from the kernel ---- */

static void
refill(struct lcore *lc, struct frames *r, struct tapq *q)
{
	struct frame *f;

	while (q->n < TAP_BURST && (f = ring_first(r)) != NULL) {
		struct rte_mbuf *m = lcore_mbuf(lc);

		if (m == NULL)
			return; // it waits
		memcpy(rte_pktmbuf_mtod(m, void *), f->d, f->len);
		m->data_len = (uint16_t)f->len;
		m->pkt_len = f->len;
		ring_pop(r);
		q->m[q->n++] = m;
	}
}

void
tap_flush(struct lcore *lc, const struct port *p)
{
	struct net_tap *t = net_port(lc, p->id)->tap;
	struct tapq *q = &lc->net->tapq[p->id];
	uint16_t sent;

	if (t == NULL || t->owner != lc->id)
		return;
	refill(lc, &t->out, q);
	if (q->n == 0)
		return;
	if (!atomic_load_explicit(&p->link_up, memory_order_relaxed)) {
		while (q->n > 0)
			pkt_drop(lc, q->m[--q->n], DROP_TX_LINK_DOWN);
		return;
	}
	for (uint16_t i = 0; i < q->n; i++)
		stat_add(lc, STAT_TX_BYTES, q->m[i]->pkt_len);
	sent = rte_eth_tx_burst(p->q[lc->id].ethdev, p->q[lc->id].queue, q->m, q->n);
	for (uint16_t i = sent; i < q->n; i++)
		stat_add(lc, STAT_TX_BYTES, -(uint64_t)q->m[i]->pkt_len);
	stat_add(lc, STAT_TX_PACKETS, sent);
	stat_add(lc, STAT_KERNEL_OUT, sent);
	q->n -= sent;
	memmove(q->m, q->m + sent, q->n * sizeof(q->m[0]));
	lc->net->tx[p->id].owed = true;
	lc->net->tx[p->id].idle = 0;
}

uint32_t
tap_pending(const struct lcore *lc)
{
	uint32_t n = 0;

	for (uint16_t i = 0; i < lc->ports->n; i++) {
		const struct net_tap *t = net_port(lc, i)->tap;

		if (t != NULL && t->owner == lc->id)
			n += lc->net->tapq[i].n + (ring_first(&t->out) != NULL);
	}
	return n;
}
