// SPDX-License-Identifier: BSD-3-Clause
/*
 * Neighbour tables, and the packets that wait for an answer.
 *
 * Runs on: one worker per port writes its table (the owner); all workers read. A table is
 * NEIGH_SETS sets of NEIGH_WAYS places; a full set gives away its place that is least worth (failed,
 * then asked for by answers without a connection alone, then longest unused; never one that a
 * connection asks for). Follows: RFC 4861 7.3 for the states,
 * for IPv4 too; requests one per second, three times (RFC 1122 2.3.2.1, RFC 4861 MAX_*_SOLICIT).
 */
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define RETRY_MS     1000 // RFC 4861 RETRANS_TIMER
#define TRIES        3
#define REACHABLE_MS 30000  // RFC 4861 REACHABLE_TIME
#define DELAY_MS     5000   // RFC 4861 DELAY_FIRST_PROBE_TIME
#define UNUSED_MS    600000 // a neighbour nobody talks to is forgotten
#define FAILED_MS    1000   // packets are refused so long before the next attempt
#define USED_STEP_MS 1000   // `used` is no more precise
#define SCAN         64     // places looked at per tick

static void
key_of(const struct ip_addr *a, uint64_t key[2])
{
	if (a->family == ADDR_V4) {
		key[0] = 0;
		key[1] = 0xffff0000ull | (uint64_t)a->v4 << 32;
	} else {
		key[0] = a->q[0];
		key[1] = a->q[1];
	}
}

static void
addr_of(const struct neigh *n, struct ip_addr *a)
{
	uint64_t k0 = atomic_load_explicit(&n->ip[0], memory_order_relaxed);
	uint64_t k1 = atomic_load_explicit(&n->ip[1], memory_order_relaxed);

	memset(a, 0, sizeof(*a));
	if (k0 == 0 && (uint32_t)k1 == 0xffff0000u) {
		a->v4 = (uint32_t)(k1 >> 32);
		a->family = ADDR_V4;
	} else {
		a->q[0] = k0;
		a->q[1] = k1;
		a->family = ADDR_V6;
	}
}

static uint32_t
set_of(const struct net_port *np, const uint64_t key[2])
{
	uint64_t h = hash_mix(key[0] ^ np->key[0] ^ hash_mix(key[1] ^ np->key[1]));

	return (uint32_t)h % NEIGH_SETS * NEIGH_WAYS;
}

static uint64_t
word_make(const struct rte_ether_addr *mac, uint32_t gen, enum neigh_state s)
{
	uint64_t w = 0;

	for (int i = 0; mac != NULL && i < 6; i++)
		w = w << 8 | mac->addr_bytes[i];
	return w << 16 | (uint64_t)(gen & 0x1fff) << 3 | s;
}

static uint64_t
word_get(const struct neigh *n)
{
	return atomic_load_explicit((_Atomic(uint64_t) *)(uintptr_t)&n->word, memory_order_acquire);
}

int
neigh_lookup(const struct net_port *np, const struct ip_addr *ip, uint64_t *word)
{
	uint64_t key[2];
	uint32_t at;

	key_of(ip, key);
	at = set_of(np, key);
	for (uint32_t i = at; i < at + NEIGH_WAYS; i++) {
		const struct neigh *n = &np->neigh[i];
		uint64_t w = word_get(n);

		if (word_state(w) == NEIGH_FREE ||
			atomic_load_explicit(&n->ip[0], memory_order_relaxed) != key[0] ||
			atomic_load_explicit(&n->ip[1], memory_order_relaxed) != key[1])
			continue;
		// the address was whole if the place has not changed hands meanwhile
		atomic_thread_fence(memory_order_acquire);
		if (word_gen(word_get(n)) != word_gen(w))
			continue;
		*word = w;
		return (int)i;
	}
	// fixed since start: nothing to be careful about
	for (uint32_t i = NEIGH_MAX; i < NEIGH_MAX + np->nstatic; i++) {
		const struct neigh *n = &np->neigh[i];

		if (atomic_load_explicit(&n->ip[0], memory_order_relaxed) == key[0] &&
			atomic_load_explicit(&n->ip[1], memory_order_relaxed) == key[1]) {
			*word = word_get(n);
			return (int)i;
		}
	}
	return -ENOENT;
}

sl_cold void
neigh_init_static(struct net_port *np, const struct port *p)
{
	for (uint32_t i = 0; i < p->nneighs; i++) {
		struct neigh *n = &np->neigh[NEIGH_MAX + i];
		struct rte_ether_addr mac;
		uint64_t key[2];

		memcpy(mac.addr_bytes, p->neigh[i].mac, sizeof(mac.addr_bytes));
		key_of(&p->neigh[i].ip, key);
		atomic_store(&n->ip[0], key[0]);
		atomic_store(&n->ip[1], key[1]);
		atomic_store(&n->word, word_make(&mac, 1, NEIGH_STATIC));
	}
	np->nstatic = p->nneighs;
}

void
neigh_touch(struct neigh *n, sl_tick now)
{
	uint32_t used = atomic_load_explicit(&n->used, memory_order_relaxed);

	if (now - used >= USED_STEP_MS)
		atomic_store_explicit(&n->used, now, memory_order_relaxed);
}

static void
set_state(struct neigh *n, enum neigh_state s)
{
	uint64_t w = word_get(n);

	atomic_store_explicit(&n->word, (w & ~7ull) | s, memory_order_release);
}

static void
forget(struct net_port *np, struct neigh *n)
{
	uint64_t w = word_get(n);

	atomic_store_explicit(
		&n->word, word_make(NULL, word_gen(w) + 1, NEIGH_FREE), memory_order_release);
	np->used--;
}

/* How much a place is worth keeping: its last use, adjusted by state; 0: give it away. */
static uint32_t
worth(const struct neigh *n, sl_tick now)
{
	uint32_t idle = now - atomic_load_explicit(&n->used, memory_order_relaxed);

	switch (word_state(word_get(n))) {
	case NEIGH_FREE:
		return 0;
	case NEIGH_FAILED:
		return 1;
	case NEIGH_INCOMPLETE:
		return n->bare ? 2 : UINT32_MAX; // maybe an address that somebody made up
	case NEIGH_PROBE:
		return UINT32_MAX;
	default:
		// used within the last step: not for anybody
		return idle < 2 * USED_STEP_MS ? UINT32_MAX : UINT32_MAX - 1 - idle;
	}
}

/* A place for a new address; NULL: all of its set are in use. */
static struct neigh *
take(struct lcore *lc, struct net_port *np, const struct ip_addr *ip)
{
	uint64_t key[2];
	uint32_t gen, best = UINT32_MAX;
	struct neigh *n = NULL;

	key_of(ip, key);
	for (uint32_t i = set_of(np, key), end = i + NEIGH_WAYS; i < end; i++) {
		uint32_t v = worth(&np->neigh[i], lc->now);
		if (v < best) {
			best = v;
			n = &np->neigh[i];
		}
	}
	if (n == NULL) {
		drop_count(lc, DROP_NEIGH_FULL);
		return NULL;
	}
	if (word_state(word_get(n)) != NEIGH_FREE)
		forget(np, n);
	gen = word_gen(word_get(n)) + 1;
	// readers that began before see the generation change; see neigh_lookup()
	atomic_store_explicit(&n->word, word_make(NULL, gen, NEIGH_FREE), memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&n->ip[0], key[0], memory_order_relaxed);
	atomic_store_explicit(&n->ip[1], key[1], memory_order_relaxed);
	atomic_store_explicit(&n->used, lc->now, memory_order_relaxed);
	atomic_store_explicit(
		&n->word, word_make(NULL, gen, NEIGH_INCOMPLETE), memory_order_release);
	n->tries = 0;
	n->bare = false;
	n->next = lc->now;
	np->used++;
	return n;
}

void
neigh_learn(struct lcore *lc, const struct port *p, const struct ip_addr *ip,
	const struct rte_ether_addr *mac, bool confirmed, bool create)
{
	struct net_port *np = net_port(lc, p->id);
	uint64_t w;
	int i = neigh_lookup(np, ip, &w);
	struct neigh *n;

	if (i < 0 && !create)
		return;
	if (i >= NEIGH_MAX)
		return; // what is configured stays
	if (!rte_is_valid_assigned_ether_addr(mac))
		return; // no station's: a group, or zeroes in an option
	n = i >= 0 ? &np->neigh[i] : take(lc, np, ip);
	if (n == NULL)
		return;
	// who only asked us is worth nothing until we talk to him: a flood of made-up senders
	// cannot push out those in use
	if (i < 0)
		atomic_store_explicit(&n->used, lc->now - 2 * USED_STEP_MS, memory_order_relaxed);
	w = word_get(n);
	n->tries = 0;
	if (confirmed || word_state(w) == NEIGH_INCOMPLETE)
		n->confirmed = lc->now;
	n->next = tick_add(lc->now, REACHABLE_MS);
	atomic_store_explicit(&n->word,
		word_make(mac, word_gen(w), confirmed ? NEIGH_REACHABLE : NEIGH_STALE),
		memory_order_release);
}

void
neigh_advert(struct lcore *lc, const struct port *p, const struct ip_addr *ip,
	const struct rte_ether_addr *mac, bool solicited, bool override)
{
	struct net_port *np = net_port(lc, p->id);
	struct rte_ether_addr was;
	enum neigh_state state;
	struct neigh *n;
	uint64_t w;
	int i = neigh_lookup(np, ip, &w);
	bool other;

	// 1. unasked nothing is created; what is configured stays
	if (i < 0 || i >= NEIGH_MAX || (mac != NULL && !rte_is_valid_assigned_ether_addr(mac)))
		return;
	n = &np->neigh[i];
	state = word_state(w);
	word_mac(w, &was);
	// 2. no address is known: this one is it, Override or not
	if (state == NEIGH_INCOMPLETE || state == NEIGH_FAILED) {
		if (mac != NULL)
			neigh_learn(lc, p, ip, mac, solicited, false);
		return;
	}
	// 3. another one without Override: the known one is doubted and asked, and stays
	other = mac != NULL && !rte_is_same_ether_addr(mac, &was);
	if (other && !override) {
		if (state == NEIGH_REACHABLE) {
			set_state(n, NEIGH_STALE);
			n->next = tick_add(lc->now, DELAY_MS);
		}
		return;
	}
	// 4. confirmed, or replaced; else it says nothing new
	if (other || solicited)
		neigh_learn(lc, p, ip, other ? mac : &was, solicited, false);
}

static void
ask(struct lcore *lc, const struct port *p, const struct ip_addr *ip,
	const struct rte_ether_addr *to)
{
	if (ip->family == ADDR_V6)
		nd_solicit(lc, p, ip, to);
	else
		arp_request(lc, p, ip, to);
}

void
neigh_want(struct lcore *lc, const struct port *p, const struct ip_addr *ip, bool bare)
{
	struct net_port *np = net_port(lc, p->id);
	struct xmsg x = { { XMSG_NEIGH_WANT,
		p->id | (uint64_t)ip->family << 16 | (uint64_t)bare << 24, ip->q[0], ip->q[1] } };
	struct neigh *n;
	uint64_t w;
	int i;

	if (neigh_owner(p) != lc->id) {
		// when the ring is full the waiting packet asks again
		lcore_mesh_push(lc, neigh_owner(p), &x);
		return;
	}
	i = neigh_lookup(np, ip, &w);
	if (i >= 0) { // known, asked for, or failed a moment ago
		if (!bare)
			np->neigh[i].bare = false;
		return;
	}
	n = take(lc, np, ip);
	if (n == NULL)
		return;
	n->bare = bare;
	n->tries = 1;
	n->next = tick_add(lc->now, RETRY_MS);
	ask(lc, p, ip, NULL);
}

static void
neigh_age(struct lcore *lc, const struct port *p, struct net_port *np, struct neigh *n)
{
	uint64_t w = word_get(n);
	uint32_t idle = lc->now - atomic_load_explicit(&n->used, memory_order_relaxed);
	struct rte_ether_addr mac;
	struct ip_addr ip;

	if (word_state(w) == NEIGH_FREE || !tick_is_expired(n->next, lc->now))
		return;
	addr_of(n, &ip);
	word_mac(w, &mac);
	switch (word_state(w)) {
	case NEIGH_INCOMPLETE:
	case NEIGH_PROBE:
		if (n->tries < TRIES) {
			n->tries++;
			n->next = tick_add(lc->now, RETRY_MS);
			ask(lc, p, &ip, word_state(w) == NEIGH_PROBE ? &mac : NULL);
			return;
		}
		set_state(n, NEIGH_FAILED);
		n->next = tick_add(lc->now, FAILED_MS);
		return;
	case NEIGH_REACHABLE:
	case NEIGH_STALE:
		if (idle >= UNUSED_MS) {
			forget(np, n);
		} else if (idle < REACHABLE_MS) {
			set_state(n, NEIGH_PROBE);
			n->tries = 1;
			n->next = tick_add(lc->now, RETRY_MS);
			ask(lc, p, &ip, &mac);
		} else {
			set_state(n, NEIGH_STALE);
			n->next = tick_add(lc->now, USED_STEP_MS);
		}
		return;
	default:
		forget(np, n);
	}
}

void
neigh_tick(struct lcore *lc, const struct port *p)
{
	struct net_port *np = net_port(lc, p->id);

	for (uint32_t i = 0; i < SCAN && np->used > 0; i++) {
		neigh_age(lc, p, np, &np->neigh[np->scan]);
		np->scan = (np->scan + 1) % NEIGH_MAX;
	}
}

void
neigh_reprobe(struct net_port *np, sl_tick now)
{
	for (uint32_t i = 0; i < NEIGH_MAX; i++) {
		enum neigh_state s = word_state(word_get(&np->neigh[i]));

		if (s == NEIGH_REACHABLE || s == NEIGH_STALE)
			np->neigh[i].next = now;
	}
}

/* ---- conflicts ---- */

#define DEFEND_MS 10000 // RFC 5227 DEFEND_INTERVAL

void
neigh_conflict(struct lcore *lc, struct rx *rx, const struct ip_addr *ours, const uint8_t *mac)
{
	struct net_port *np = rx->np;
	uint64_t key[2], m = 0;
	uint16_t i = 0;
	sl_tick *at;

	for (int k = 0; k < 6; k++)
		m = m << 8 | mac[k];
	key_of(ours, key);
	atomic_store_explicit(&np->conflict_ip[0], key[0], memory_order_relaxed);
	atomic_store_explicit(&np->conflict_ip[1], key[1], memory_order_relaxed);
	atomic_store_explicit(&np->conflict_mac, m, memory_order_relaxed);
	atomic_store_explicit(&np->conflicts,
		atomic_load_explicit(&np->conflicts, memory_order_relaxed) + 1,
		memory_order_release);
	while (i < rx->p->naddrs && !addr_eq(&rx->p->addr[i].ip, ours))
		i++;
	// say once more whose it is, but start no storm: of each address once
	at = &np->defended_at[i];
	if (tick_is_set(*at) && !tick_is_expired(*at, lc->now))
		return;
	*at = tick_add(lc->now, DEFEND_MS);
	if (ours->family == ADDR_V6)
		nd_announce(lc, rx->p, ours);
	else
		arp_announce(lc, rx->p, ours);
}

uint32_t
net_conflicts(const struct net_shared *s, uint16_t port, struct net_conflict *last)
{
	struct net_port *np = (struct net_port *)(uintptr_t)&s->port[port];
	uint32_t n = atomic_load_explicit(&np->conflicts, memory_order_acquire);
	uint64_t mac;
	struct neigh key;

	// while they come faster than this reads, the record may mix two of them
	atomic_init(&key.ip[0], atomic_load_explicit(&np->conflict_ip[0], memory_order_relaxed));
	atomic_init(&key.ip[1], atomic_load_explicit(&np->conflict_ip[1], memory_order_relaxed));
	mac = atomic_load_explicit(&np->conflict_mac, memory_order_relaxed);
	addr_of(&key, &last->ip);
	word_mac(mac << 16, &last->mac);
	return n;
}

/* ---- waiting packets ---- */

/* The slot of an address, or one for it; NULL: none is left, of all or of its kind. */
static struct wait *
wait_find(struct net_lcore *nl, const struct port *p, const struct ip_addr *ip, bool bare)
{
	struct wait *vacant = NULL;
	uint32_t here = 0, bares = 0;

	for (uint32_t i = 0; i < WAIT_MAX; i++) {
		struct wait *w = &nl->wait[i];
		if (w->n == 0) {
			if (vacant == NULL)
				vacant = w;
		} else if (w->port == p->id && w->ip.family == ip->family &&
			memcmp(w->ip.b, ip->b, 16) == 0) {
			return w;
		} else {
			here += w->port == p->id;
			bares += w->bare;
		}
	}
	return here >= WAIT_PORT || (bare && bares >= WAIT_BARE) ? NULL : vacant;
}

void
wait_add(struct lcore *lc, const struct port *p, const struct ip_addr *ip, struct rte_mbuf *m,
	bool bare)
{
	struct net_lcore *nl = lc->net;
	uint64_t word;
	struct wait *w;

	if (neigh_lookup(net_port(lc, p->id), ip, &word) >= 0 && word_state(word) == NEIGH_FAILED) {
		pkt_drop(lc, m, DROP_NEIGH_DEAD);
		return;
	}
	w = wait_find(nl, p, ip, bare);
	// what answers anybody pushes out nothing of a connection
	if (w == NULL || (w->n == WAIT_PACKETS && bare && !w->bare)) {
		pkt_drop(lc, m, DROP_NEIGH_QUEUE);
		return;
	}
	if (w->n == 0) {
		w->ip = *ip;
		w->port = (uint8_t)p->id;
		w->deadline = tick_add(lc->now, WAIT_MS);
		w->ask_at = tick_add(lc->now, RETRY_MS);
		w->bare = bare;
		nl->nwait++;
		neigh_want(lc, p, ip, bare);
	} else if (w->bare && !bare) {
		w->bare = false;
		neigh_want(lc, p, ip, false);
	}
	// RFC 1122 2.3.2.2: the latest is worth most
	if (w->n == WAIT_PACKETS) {
		pkt_drop(lc, w->m[0], DROP_NEIGH_QUEUE);
		memmove(w->m, w->m + 1, (WAIT_PACKETS - 1) * sizeof(w->m[0]));
		w->n--;
	}
	w->m[w->n++] = m;
}

static void
wait_send(struct lcore *lc, struct wait *w, uint64_t word)
{
	const struct port *p = &lc->ports->port[w->port];
	struct rte_ether_addr mac;
	uint8_t n = w->n;

	word_mac(word, &mac);
	w->n = 0;
	lc->net->nwait--;
	for (uint8_t i = 0; i < n; i++) {
		memcpy(rte_pktmbuf_mtod(w->m[i], void *), mac.addr_bytes, 6);
		eth_queue(lc, p, w->m[i]);
	}
}

/* Nobody answered: drops the packets, and tells tcp of each as a router would. */
static void
wait_fail(struct lcore *lc, struct wait *w)
{
	uint8_t n = w->n;

	w->n = 0;
	lc->net->nwait--;
	for (uint8_t i = 0; i < n; i++) {
		struct net_icmp_error e = { .kind = NET_ICMP_UNREACH };
		struct rte_mbuf *m = w->m[i];
		uint16_t l2 = (uint16_t)m->l2_len;
		bool segment = icmp_quote_read(rte_pktmbuf_mtod_offset(m, const uint8_t *, l2),
			(uint16_t)(m->data_len - l2), &e);

		pkt_drop(lc, m, DROP_NEIGH_DEAD);
		if (segment)
			(void)lc->net->icmp(lc, &e);
	}
}

void
wait_check(struct lcore *lc)
{
	struct net_lcore *nl = lc->net;

	for (uint32_t i = 0; i < WAIT_MAX && nl->nwait > 0; i++) {
		struct wait *w = &nl->wait[i];
		const struct port *p = &lc->ports->port[w->port];
		uint64_t word = 0;

		if (w->n == 0)
			continue;
		if (neigh_lookup(net_port(lc, w->port), &w->ip, &word) >= 0) {
			if (word_is_usable(word)) {
				wait_send(lc, w, word);
				continue;
			}
			if (word_state(word) == NEIGH_FAILED) {
				wait_fail(lc, w);
				continue;
			}
		}
		if (tick_is_expired(w->deadline, lc->now)) {
			wait_fail(lc, w);
		} else if (tick_is_expired(w->ask_at, lc->now)) {
			w->ask_at = tick_add(lc->now, RETRY_MS);
			neigh_want(lc, p, &w->ip, w->bare);
		}
	}
}

void
wait_free_all(struct lcore *lc)
{
	struct net_lcore *nl = lc->net;

	for (uint32_t i = 0; i < WAIT_MAX; i++) {
		while (nl->wait[i].n > 0)
			rte_pktmbuf_free(nl->wait[i].m[--nl->wait[i].n]);
	}
	nl->nwait = 0;
}

uint32_t
net_neigh_dump(const struct net_shared *s, struct net_neigh_view *out, uint32_t max)
{
	uint32_t n = 0;

	for (uint16_t p = 0; p < s->ports->n; p++) {
		for (uint32_t i = 0; i < NEIGH_ALL && n < max; i++) {
			const struct neigh *e = &s->port[p].neigh[i];
			uint64_t w = word_get(e);

			if (word_state(w) == NEIGH_FREE)
				continue;
			addr_of(e, &out[n].ip);
			atomic_thread_fence(memory_order_acquire);
			if (word_gen(word_get(e)) != word_gen(w))
				continue;
			word_mac(w, &out[n].mac);
			out[n].state = (uint8_t)word_state(w);
			out[n].port = (uint8_t)p;
			n++;
		}
	}
	return n;
}
