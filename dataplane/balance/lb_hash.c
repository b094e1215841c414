// SPDX-License-Identifier: BSD-3-Clause
/*
 * "balance hash": the same key goes to the same server.
 *
 * Runs on: the worker, at each request; lb_map_order() on the loader too.
 * Follows: HAProxy, place for place (compared with 2.6: tests/net/test_lua_hash.py): map-based takes
 * element hash modulo n of a table in which servers take turns by weight; consistent takes the nearest
 * of all servers' places on a ring of 32 bits, 16 places a unit of weight.
 * The table for "all up" and the ring come with the model. While servers are missing the order of the
 * others is worked out at each pick, in time of table size times servers.
 * A server at its maxconn is not passed by: the request waits for it.
 */
#include "dataplane/balance/bal.h"
#include "dataplane/base/hash.h"

#include "dataplane/base/hot.h"

struct bal_key
lb_key(const struct proxy *be, struct sl_str bytes)
{
	uint32_t h;

	switch ((enum lb_hash_fn)be->hash.fn) {
	case LB_DJB2:
		h = hash_djb2(bytes);
		break;
	case LB_WT6:
		h = hash_wt6(bytes);
		break;
	case LB_CRC32:
		h = hash_crc32(bytes);
		break;
	default:
		h = hash_sdbm(bytes);
		break;
	}
	return (struct bal_key){ true, be->hash.avalanche ? hash_avalanche(h) : h };
}

/*
 * At each step every server earns its weight; the first whose earnings reach the highest multiple of
 * the total has its turn and pays the total.
 */
static uint32_t
next_turn(const uint32_t *weight, int64_t *score, uint32_t nsrv, int64_t total)
{
	int64_t max = -1;
	uint32_t best = 0;

	for (uint32_t i = 0; i < nsrv; i++) {
		if (weight[i] == 0)
			continue;
		score[i] += weight[i];
		int64_t v = (score[i] + total) / total;
		if (v > max) {
			max = v;
			best = i;
		}
	}
	score[best] -= total;
	return best;
}

void
lb_map_order(const uint32_t *weight, int64_t *score, uint32_t nsrv, uint16_t *out, uint32_t n)
{
	int64_t total = 0;

	for (uint32_t i = 0; i < nsrv; i++) {
		total += weight[i];
		score[i] = 0;
	}
	for (uint32_t k = 0; k < n; k++)
		out[k] = (uint16_t)next_turn(weight, score, nsrv, total);
}

static bool
is_usable(const struct lcore *lc, const struct server *srv, const struct server *avoid)
{
	return !srv->backup && srv != avoid && srv_is_up(lc, srv) &&
		atomic_load_explicit(&srv_run_of(lc, srv)->weight, memory_order_relaxed) > 0;
}

static uint32_t
gcd(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t r = a % b;
		a = b;
		b = r;
	}
	return a;
}

/* Some are missing: the order of the others, as far as needed. Configured weights count. */
static const struct server *
degraded(struct lcore *lc, const struct proxy *be, uint32_t hash, const struct server *avoid)
{
	uint32_t *weight = lc->bal->weight + be->servers[0].slot, div = 0, total = 0, at = 0;
	int64_t *score = lc->bal->score + be->servers[0].slot;

	for (uint32_t i = 0; i < be->nservers; i++) {
		weight[i] = is_usable(lc, &be->servers[i], avoid) ? be->servers[i].weight : 0;
		score[i] = 0;
		div = gcd(weight[i], div);
	}
	if (div == 0)
		return NULL;
	for (uint32_t i = 0; i < be->nservers; i++) {
		weight[i] /= div;
		total += weight[i];
	}
	for (uint32_t k = 0; k <= hash % total; k++)
		at = next_turn(weight, score, be->nservers, total);
	return &be->servers[at];
}

static const struct server *
by_map(struct lcore *lc, const struct proxy *be, uint32_t hash, const struct server *avoid)
{
	for (uint32_t i = 0; i < be->nservers; i++) {
		const struct server *srv = &be->servers[i];
		if (srv->weight > 0 && !srv->backup && !is_usable(lc, srv, avoid))
			return degraded(lc, be, hash, avoid);
	}
	return be->hash.nmap != 0 ? &be->servers[be->hash.map[hash % be->hash.nmap]] : NULL;
}

static const struct server *
on_node(const struct lcore *lc, const struct proxy *be, const struct lb_node *n,
	const struct server *avoid)
{
	const struct server *srv = &be->servers[n->srv];

	if (!is_usable(lc, srv, avoid) ||
		n->place >= LB_PLACES *
				atomic_load_explicit(
					&srv_run_of(lc, srv)->weight, memory_order_relaxed))
		return NULL;
	return srv;
}

/* First usable place at or above the hash, and below it; the nearer one. */
static const struct server *
by_ring(struct lcore *lc, const struct proxy *be, uint32_t hash, const struct server *avoid)
{
	const struct lb_node *ring = be->hash.ring;
	const struct server *up = NULL, *down = NULL;
	uint32_t n = be->hash.nring, lo = 0, hi = n, ukey = 0, dkey = 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (ring[mid].key < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (uint32_t i = 0; i < n && up == NULL; i++) {
		const struct lb_node *at = &ring[(lo + i) % n];
		up = on_node(lc, be, at, avoid);
		ukey = at->key;
	}
	if (up == NULL)
		return NULL;
	for (uint32_t i = 1; i <= n && down == NULL; i++) {
		const struct lb_node *at = &ring[(lo + n - i) % n];
		down = on_node(lc, be, at, avoid);
		dkey = at->key;
	}
	return ukey - hash <= hash - dkey ? up : down;
}

const struct server *
hash_pick(struct lcore *lc, const struct proxy *be, uint32_t hash, const struct server *avoid,
	bool *full)
{
	const struct server *srv = be->nservers == 0 ? NULL
		: be->hash.consistent                ? by_ring(lc, be, hash, avoid)
						     : by_map(lc, be, hash, avoid);

	return srv != NULL && srv_has_room(lc, srv, full) ? srv : NULL;
}
