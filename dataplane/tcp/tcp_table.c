// SPDX-License-Identifier: BSD-3-Clause
/*
 * Flow table: from a 4-tuple to a connection, a half-open entry or a TIME_WAIT entry.
 *
 * Runs on: the worker that owns it. A bucket is one cache line of eight {16-bit tag, index}; the
 * hash is keyed with a secret, so that nobody outside can aim at a bucket (a NIC's Toeplitz hash is
 * linear and its key often known). A full bucket gets an overflow bucket; entries of a chain stay
 * dense: a deletion moves the last one into the hole.
 * The memory is for the most entries, but only as many buckets are used as the most entries so far ask
 * for, so that a few thousand connections do not each have a line in a page of their own. The table
 * grows bucket by bucket (linear hashing, Litwin 1980): an entry carries the bits of its hash that say
 * where to.
 * Not here: what an entry means (tcp_in.c).
 */
#include <rte_byteorder.h>
#include <rte_prefetch.h>

#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define SLOTS     8u
#define IDX_MASK  0x3fffffffu
#define GROW_BITS 8u // what `more` of an entry holds
#define GROW_AT   2u // entries per bucket in use: at most half full, where it is not yet split

/* Buckets of a table for so many entries: at most half full on average, so that few overflow. */
static uint32_t
nbuckets(uint32_t entries)
{
	return sl_pow2_up(sl_max(entries / 4, 16u));
}

size_t
tcp_table_bytes(uint32_t entries)
{
	size_t n = nbuckets(entries);

	return (n + n / 8 + 16) * sizeof(struct tcp_bucket);
}

int
tcp_table_init(
	struct lcore *lc sl_unused, struct tcp_table *t, uint32_t entries, const uint64_t key[2])
{
	uint32_t n = nbuckets(entries);

	memset(t, 0, sizeof(*t));
	t->nover = n / 8 + 16;
	t->nbuckets = n;
	t->mask = sl_max(n >> GROW_BITS, 16u) - 1;
	t->min_bits = (uint8_t)__builtin_popcount(t->mask);
	t->key[0] = key[0] | 1;
	t->key[1] = key[1];
	t->bytes = ((size_t)n + t->nover) * sizeof(struct tcp_bucket);
	t->b = lcore_map(t->bytes, -1);
	if (t->b == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n + t->nover; i++)
		t->b[i].next = i >= n && i + 1 < n + t->nover ? i + 1 : TCP_NONE;
	t->over_free = n;
	return 0;
}

void
tcp_table_fini(struct tcp_table *t)
{
	if (t->b != NULL)
		lcore_unmap(t->b, t->bytes);
	t->b = NULL;
}

static inline uint64_t
mum(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t
two(const uint32_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

uint64_t
tcp_key_hash(const struct tcp_table *t, const struct tcp_key *k)
{
	uint64_t ports = (uint64_t)k->lport << 16 | k->rport;
	uint64_t a = mum(two(k->r + 2) ^ t->key[0], two(k->r) ^ t->key[1]);
	uint64_t b = mum(two(k->l + 2) ^ t->key[1], two(k->l) ^ ports ^ t->key[0]);

	return mum(a ^ ports ^ t->key[1], b ^ t->key[0] ^ 0x9e3779b97f4a7c15ull);
}

static void
addr_to_key(uint32_t out[4], const struct ip_addr *a)
{
	if (a->family == ADDR_V4) {
		out[0] = out[1] = 0;
		out[2] = RTE_BE32(0xffff);
		out[3] = a->v4;
	} else {
		memcpy(out, a->b, 16);
	}
}

static void
key_to_addr(const uint32_t in[4], bool v4, struct ip_addr *a)
{
	a->q[0] = v4 ? in[3] : two(in); // little endian: IPv4 stands in the first four bytes
	a->q[1] = v4 ? 0 : two(in + 2);
	a->family = v4 ? ADDR_V4 : ADDR_V6;
}

void
tcp_key_set(struct tcp_key *k, const struct ip_addr *l, uint16_t lport, const struct ip_addr *r,
	uint16_t rport)
{
	addr_to_key(k->l, l);
	addr_to_key(k->r, r);
	k->lport = lport;
	k->rport = rport;
}

bool
tcp_key_is_v4(const struct tcp_key *k)
{
	return (k->l[0] | k->l[1]) == 0 && k->l[2] == RTE_BE32(0xffff);
}

void
tcp_key_get(const struct tcp_key *k, struct ip_addr *l, struct ip_addr *r)
{
	bool v4 = tcp_key_is_v4(k);

	key_to_addr(k->l, v4, l);
	key_to_addr(k->r, v4, r);
}

static inline bool
key_eq(const struct tcp_key *a, const struct tcp_key *b)
{
	return (((two(a->l) ^ two(b->l)) | (two(a->l + 2) ^ two(b->l + 2)) |
			(two(a->r) ^ two(b->r)) | (two(a->r + 2) ^ two(b->r + 2))) == 0) &&
		a->lport == b->lport && a->rport == b->rport;
}

static inline uint16_t
tag_of(uint64_t hash)
{
	uint16_t tag = (uint16_t)(hash >> 48);

	return tag != 0 ? tag : 1;
}

static inline const struct tcp_key *
key_of(const struct tcp_lcore *tl, struct tcp_ref r)
{
	switch (r.kind) {
	case TK_CONN:
		return &((const struct tcp_conn *)pool_at(&tl->conns, r.idx))->key;
	case TK_HALF:
		return &((const struct tcp_half *)pool_at(&tl->halfs, r.idx))->key;
	default:
		return &((const struct tcp_tw *)pool_at(&tl->tws, r.idx))->key;
	}
}

static inline struct tcp_ref
unpack(uint32_t v)
{
	return (struct tcp_ref){ .idx = v & IDX_MASK, .kind = (enum tcp_kind)(v >> 30) };
}

static inline uint32_t
pack(struct tcp_ref r)
{
	return (uint32_t)r.kind << 30 | r.idx;
}

static inline struct tcp_bucket *
bucket_of(const struct tcp_table *t, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & t->mask;
	uint32_t wide = (uint32_t)hash & (2 * t->mask + 1);

	return &t->b[i < t->split ? wide : i];
}

static inline uint8_t
more_of(const struct tcp_table *t, uint64_t hash)
{
	return (uint8_t)(hash >> t->min_bits);
}

struct tcp_ref
tcp_lookup(const struct tcp_lcore *tl, const struct tcp_key *k, uint64_t hash)
{
	const struct tcp_bucket *b = bucket_of(&tl->table, hash);
	uint16_t tag = tag_of(hash);

	for (;;) {
		for (uint32_t i = 0; i < b->n; i++) {
			if (b->tag[i] != tag)
				continue;
			struct tcp_ref r = unpack(b->val[i]);
			if (likely(key_eq(key_of(tl, r), k)))
				return r;
		}
		if (likely(b->next == TCP_NONE))
			return (struct tcp_ref){ .idx = TCP_NONE };
		b = &tl->table.b[b->next];
	}
}

void
tcp_table_prefetch(const struct tcp_lcore *tl, uint64_t hash)
{
	rte_prefetch0(bucket_of(&tl->table, hash));
}

struct tcp_conn *
tcp_table_prefetch_conn(const struct tcp_lcore *tl, uint64_t hash)
{
	const struct tcp_bucket *b = bucket_of(&tl->table, hash);
	uint16_t tag = tag_of(hash);

	for (uint32_t i = 0; i < b->n; i++) {
		if (b->tag[i] != tag)
			continue;
		struct tcp_ref r = unpack(b->val[i]);
		const char *p = (const char *)key_of(tl, r);
		rte_prefetch0(p);
		if (r.kind != TK_CONN)
			return NULL;
		p = (const char *)conn_at(tl, r.idx);
		rte_prefetch0(p);
		rte_prefetch0(p + 64);
		rte_prefetch0(p + 128);
		return conn_at(tl, r.idx);
	}
	return NULL;
}

void
tcp_prefetch_sent(const struct tcp_conn *tc)
{
	struct rte_mbuf *m = tc->sndq;

	if (m == NULL)
		return;
	rte_prefetch0(m);
	rte_prefetch0((const char *)m + SL_CACHE_LINE);
	rte_prefetch0(pkt_of(m));
}

bool
tcp_table_is(const struct tcp_conn *tc, const struct tcp_key *k)
{
	return (tc->flags & TF_HASHED) != 0 && key_eq(&tc->key, k);
}

/* Appends to the chain of a bucket; false: there is no overflow bucket for it. */
static bool
append(struct tcp_table *t, struct tcp_bucket *b, uint16_t tag, uint8_t more, uint32_t val)
{
	while (b->n == SLOTS && b->next != TCP_NONE)
		b = &t->b[b->next];
	if (b->n == SLOTS) {
		uint32_t o = t->over_free;
		if (o == TCP_NONE)
			return false;
		t->over_free = t->b[o].next;
		t->b[o].next = TCP_NONE;
		b->next = o;
		b = &t->b[o];
	}
	b->tag[b->n] = tag;
	b->more[b->n] = more;
	b->val[b->n++] = val;
	return true;
}

static void
over_put(struct tcp_table *t, uint32_t o)
{
	t->b[o].n = 0;
	t->b[o].next = t->over_free;
	t->over_free = o;
}

/*
 * Shares the next bucket's entries out between itself and a new one. Two chains take no more overflow
 * buckets than the one, and each of these is given back before its entries are put anywhere.
 */
static sl_apart void
split(struct tcp_table *t)
{
	struct tcp_bucket *low = &t->b[t->split], *high = low + t->mask + 1, all = *low;
	uint32_t bit = (uint32_t)__builtin_popcount(t->mask) - t->min_bits;

	low->n = 0;
	low->next = TCP_NONE;
	for (;;) {
		for (uint32_t i = 0; i < all.n; i++) {
			bool up = (all.more[i] >> bit & 1) != 0;
			bool there sl_unused =
				append(t, up ? high : low, all.tag[i], all.more[i], all.val[i]);
			sl_assert(there);
		}
		if (all.next == TCP_NONE)
			break;
		uint32_t o = all.next;
		all = t->b[o];
		over_put(t, o);
	}
	if (++t->split > t->mask) {
		t->mask = 2 * t->mask + 1;
		t->split = 0;
	}
}

int
tcp_table_add(struct tcp_table *t, uint64_t hash, struct tcp_ref ref)
{
	uint32_t used = t->mask + 1 + t->split;

	if (!append(t, bucket_of(t, hash), tag_of(hash), more_of(t, hash), pack(ref)))
		return -ENOMEM;
	if (++t->entries > used * GROW_AT && used < t->nbuckets)
		split(t);
	return 0;
}

/* The slot that holds ref; sl_assert'ed to exist. */
static struct tcp_bucket *
find_slot(struct tcp_table *t, uint64_t hash, struct tcp_ref ref, uint32_t *slot)
{
	uint32_t v = pack(ref);

	for (struct tcp_bucket *b = bucket_of(t, hash);; b = &t->b[b->next]) {
		for (uint32_t i = 0; i < b->n; i++) {
			if (b->val[i] == v) {
				*slot = i;
				return b;
			}
		}
		if (b->next == TCP_NONE)
			return NULL;
	}
}

void
tcp_table_del(struct tcp_table *t, uint64_t hash, struct tcp_ref ref)
{
	uint32_t i;
	struct tcp_bucket *hole = find_slot(t, hash, ref, &i), *last, *before = NULL;

	sl_assert(hole != NULL);
	if (hole == NULL)
		return;
	last = bucket_of(t, hash); // from the start: an emptied overflow bucket is unlinked
	while (last->next != TCP_NONE) {
		before = last;
		last = &t->b[last->next];
	}
	last->n--;
	hole->tag[i] = last->tag[last->n];
	hole->more[i] = last->more[last->n];
	hole->val[i] = last->val[last->n];
	if (last->n == 0 && before != NULL) {
		uint32_t o = before->next;
		before->next = TCP_NONE;
		over_put(t, o);
	}
	t->entries--;
}

void
tcp_table_replace(struct tcp_table *t, uint64_t hash, struct tcp_ref old, struct tcp_ref ref)
{
	uint32_t i;
	struct tcp_bucket *b = find_slot(t, hash, old, &i);

	sl_assert(b != NULL);
	if (b != NULL)
		b->val[i] = pack(ref);
}
