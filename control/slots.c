// SPDX-License-Identifier: BSD-3-Clause
/*
 * Names to slots, over the generations of the configuration.
 *
 * Runs on: main. Each kind is a fixed array, as the workers' memory behind it is taken at start. What
 * was freed is given out again as late as possible.
 */
#include "control/slots.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/hash.h"
#include "dataplane/base/list.h"

#define BUCKETS 1024u

struct slot {
	struct sl_list node; // of the bucket, or of the free ones
	char *key;           // NULL: free
	uint32_t key_len;
	uint32_t refs;        // generations that name it
	uint32_t since;       // generation that was the first
	uint32_t taken;       // by which it was last
	struct ip_port addr;  // of a server: as configured last
	uint32_t moved;       // generation that changed that
};

struct slot_set {
	uint32_t cap, used;
	struct slot *slot;
	struct sl_list free;
	struct sl_list bucket[BUCKETS];
};

struct slots {
	struct slot_set set[SLOT_KINDS];
};

static const struct {
	const char *things;
	uint32_t spare;
} kinds[SLOT_KINDS] = {
	[SLOT_PROXY] = { "proxies (a 'listen' counts twice)", 64 },
	[SLOT_BIND] = { "binds", 64 },
	[SLOT_SERVER] = { "servers", 128 },
};

void
slots_capacity(const struct model *m, uint32_t cap[SLOT_KINDS])
{
	// twice what there is: a reload that replaces everything fits beside what is still in use
	cap[SLOT_PROXY] = 2 * m->npx_counters + kinds[SLOT_PROXY].spare;
	cap[SLOT_BIND] = 2 * m->nbinds + kinds[SLOT_BIND].spare;
	cap[SLOT_SERVER] = 2 * m->nservers + kinds[SLOT_SERVER].spare;
}

struct slots *
slots_new(const uint32_t cap[SLOT_KINDS])
{
	struct slots *s = calloc(1, sizeof(*s));

	for (int k = 0; s != NULL && k < SLOT_KINDS; k++) {
		struct slot_set *set = &s->set[k];

		set->cap = cap[k];
		set->slot = calloc(cap[k] + 1, sizeof(*set->slot));
		sl_list_init(&set->free);
		for (uint32_t i = 0; i < BUCKETS; i++)
			sl_list_init(&set->bucket[i]);
		for (uint32_t i = 0; set->slot != NULL && i < cap[k]; i++)
			sl_list_add_tail(&set->free, &set->slot[i].node);
	}
	for (int k = 0; s != NULL && k < SLOT_KINDS; k++) {
		if (s->set[k].slot == NULL) {
			slots_free(s);
			return NULL;
		}
	}
	return s;
}

void
slots_free(struct slots *s)
{
	if (s == NULL)
		return;
	for (int k = 0; k < SLOT_KINDS; k++) {
		for (uint32_t i = 0; s->set[k].slot != NULL && i < s->set[k].cap; i++)
			free(s->set[k].slot[i].key);
		free(s->set[k].slot);
	}
	free(s);
}

uint32_t
slots_used(const struct slots *s, enum slot_kind k)
{
	return s->set[k].used;
}

/* ---- keys ---- */

/* Parts, each behind its length, so that no two lists of parts are the same bytes. */
struct key {
	struct sl_str part[3];
	uint32_t n;
};

static uint32_t
key_len(const struct key *k)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i < k->n; i++)
		len += (uint32_t)sizeof(uint32_t) + k->part[i].len;
	return len;
}

static void
key_write(const struct key *k, char *out)
{
	for (uint32_t i = 0; i < k->n; i++) {
		memcpy(out, &k->part[i].len, sizeof(uint32_t));
		out += sizeof(uint32_t);
		if (k->part[i].len > 0)
			memcpy(out, k->part[i].p, k->part[i].len);
		out += k->part[i].len;
	}
}

static struct sl_str
bytes_of(const void *p, size_t n)
{
	return sl_str_make(p, n);
}

/* ---- giving out ---- */

/* One more name of this generation: its slot, or -ENOSPC, -ENOMEM. */
static int
take(struct slot_set *set, const struct key *k, uint32_t generation, struct slot **out)
{
	uint32_t len = key_len(k);
	char *key = malloc(len + 1);
	struct sl_list *bucket;
	struct slot *s;

	if (key == NULL)
		return -ENOMEM;
	key_write(k, key);
	bucket = &set->bucket[hash_fnv(sl_str_make(key, len)) % BUCKETS];
	sl_list_foreach(n, bucket) {
		s = sl_list_entry(n, struct slot, node);
		// two of the same name have a slot each
		if (s->key_len != len || memcmp(s->key, key, len) != 0 || s->taken == generation)
			continue;
		free(key);
		s->refs++;
		s->taken = generation;
		*out = s;
		return 0;
	}
	if (sl_list_is_empty(&set->free)) {
		free(key);
		return -ENOSPC;
	}
	s = sl_list_first(&set->free, struct slot, node);
	sl_list_del(&s->node);
	sl_list_add_tail(bucket, &s->node);
	*s = (struct slot){ .node = s->node,
		.key = key,
		.key_len = len,
		.refs = 1,
		.since = generation,
		.taken = generation };
	set->used++;
	*out = s;
	return 0;
}

/* True: nobody has it any more. */
static bool
put(struct slot_set *set, uint32_t i)
{
	struct slot *s = &set->slot[i];

	sl_assert(s->refs > 0);
	if (--s->refs > 0)
		return false;
	free(s->key);
	s->key = NULL;
	s->key_len = 0;
	sl_list_del(&s->node);
	sl_list_add_tail(&set->free, &s->node);
	set->used--;
	return true;
}

/* What one generation holds, in the order in which it was taken. */
struct holding {
	struct slot **slot;
	uint8_t *kind;
	uint32_t n;
};

static int
hold(struct slots *s, struct holding *h, enum slot_kind kind, const struct key *k,
	const struct model *m, struct slot **out)
{
	int rc = take(&s->set[kind], k, m->generation, out);

	if (rc == 0) {
		h->slot[h->n] = *out;
		h->kind[h->n++] = (uint8_t)kind;
	}
	return rc;
}

static struct key
proxy_key(const struct proxy *p, const char *half)
{
	return (struct key){ .part = { sl_str_c(half), p->name }, .n = 2 };
}

static struct key
bind_key(const struct listen_addr *b)
{
	return (struct key){
		.part = { b->fe->name, bytes_of(&b->addr.ip.b, sizeof(b->addr.ip.b)),
			bytes_of(&b->addr.port, sizeof(b->addr.port)) },
		.n = 3
	};
}

static struct key
server_key(const struct server *s)
{
	return (struct key){ .part = { s->be->name, s->name }, .n = 2 };
}

static int
hold_proxy(struct slots *s, struct holding *h, const struct proxy *p, const struct model *m,
	enum slot_kind *full)
{
	struct slot *slot;
	struct key k;
	int rc = 0;

	*full = SLOT_PROXY;
	if ((p->caps & PX_CAP_FE) != 0) {
		k = proxy_key(p, "F");
		rc = hold(s, h, SLOT_PROXY, &k, m, &slot);
	}
	if (rc == 0 && ((p->caps & PX_CAP_BE) != 0 || p->caps == 0)) {
		k = proxy_key(p, "B");
		rc = hold(s, h, SLOT_PROXY, &k, m, &slot);
	}
	for (uint32_t i = 0; rc == 0 && i < p->nbinds; i++) {
		*full = SLOT_BIND;
		k = bind_key(&p->binds[i]);
		rc = hold(s, h, SLOT_BIND, &k, m, &slot);
	}
	for (uint32_t i = 0; rc == 0 && i < p->nservers; i++) {
		*full = SLOT_SERVER;
		k = server_key(&p->servers[i]);
		rc = hold(s, h, SLOT_SERVER, &k, m, &slot);
	}
	return rc;
}

/* Of the model that is being built: it is not published yet, so still writable. */
static struct slot *
next_held(struct slots *s, const struct holding *h, uint32_t *at, uint32_t *index)
{
	struct slot *slot = h->slot[*at];

	*index = (uint32_t)(slot - s->set[h->kind[*at]].slot);
	(*at)++;
	return slot;
}

static void
number_servers(struct slots *s, const struct holding *h, uint32_t *at, const struct proxy *p,
	struct model *m)
{
	for (uint32_t i = 0; i < p->nservers; i++) {
		struct server *srv = (struct server *)(uintptr_t)&p->servers[i];
		struct slot *slot = next_held(s, h, at, &srv->slot);

		if (slot->since != m->generation && !addr_port_eq(&slot->addr, &srv->addr))
			slot->moved = m->generation;
		slot->addr = srv->addr;
		srv->since = slot->since;
		srv->moved = slot->moved;
		m->changed = sl_max(m->changed, srv->since);
		m->changed = sl_max(m->changed, srv->moved);
	}
}

static void
number_proxy(struct slots *s, const struct holding *h, uint32_t *at, struct proxy *p,
	struct model *m)
{
	bool fe = (p->caps & PX_CAP_FE) != 0, be = (p->caps & PX_CAP_BE) != 0;

	if (fe)
		p->since = next_held(s, h, at, &p->slot)->since;
	if (be || !fe)
		p->be_since = next_held(s, h, at, &p->be_slot)->since;
	if (!fe) {
		p->slot = p->be_slot;
		p->since = p->be_since;
	} else if (!be) {
		p->be_slot = p->slot;
		p->be_since = p->since;
	}
	m->changed = sl_max(m->changed, p->since);
	m->changed = sl_max(m->changed, p->be_since);
	for (uint32_t i = 0; i < p->nbinds; i++) {
		struct listen_addr *b = (struct listen_addr *)(uintptr_t)&p->binds[i];

		b->since = next_held(s, h, at, &b->slot)->since;
		m->changed = sl_max(m->changed, b->since);
	}
	number_servers(s, h, at, p, m);
}

static uint32_t
count_names(const struct model *m)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->nproxies; i++)
		n += 2 + m->proxies[i]->nbinds + m->proxies[i]->nservers;
	return n;
}

int
slots_assign(struct slots *s, struct model *m, char *err, size_t size)
{
	uint32_t n = count_names(m), at = 0;
	struct holding h = { .slot = calloc(n + 1, sizeof(*h.slot)), .kind = calloc(n + 1, 1) };
	enum slot_kind full = SLOT_PROXY;
	int rc = h.slot != NULL && h.kind != NULL ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < m->nproxies; i++)
		rc = hold_proxy(s, &h, m->proxies[i], m, &full);
	if (rc == 0) {
		for (uint32_t i = 0; i < m->nproxies; i++)
			number_proxy(s, &h, &at, (struct proxy *)(uintptr_t)m->proxies[i], m);
	} else if (rc == -ENOSPC) {
		snprintf(err, size,
			"the configuration has too many new %s: memory for %u was taken at start, and "
			"generations that are still in use hold theirs; restart to have more",
			kinds[full].things, s->set[full].cap);
	} else {
		snprintf(err, size, "no memory for the names of proxies and servers");
	}
	while (rc < 0 && h.n > 0) {
		struct slot_set *set = &s->set[h.kind[--h.n]];

		h.slot[h.n]->taken = 0;
		put(set, (uint32_t)(h.slot[h.n] - set->slot));
	}
	free(h.slot);
	free(h.kind);
	return rc;
}

void
slots_release(struct slots *s, const struct model *m, void (*gone)(void *ctx, uint32_t slot),
	void *ctx)
{
	for (uint32_t i = 0; i < m->nproxies; i++) {
		const struct proxy *p = m->proxies[i];

		put(&s->set[SLOT_PROXY], p->slot);
		if (p->be_slot != p->slot)
			put(&s->set[SLOT_PROXY], p->be_slot);
		for (uint32_t k = 0; k < p->nbinds; k++)
			put(&s->set[SLOT_BIND], p->binds[k].slot);
		for (uint32_t k = 0; k < p->nservers; k++) {
			if (put(&s->set[SLOT_SERVER], p->servers[k].slot) && gone != NULL)
				gone(ctx, p->servers[k].slot);
		}
	}
}
