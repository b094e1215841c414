// SPDX-License-Identifier: BSD-3-Clause
/*
 * A worker's root structure: memory, rings, counters' names, buffers.
 *
 * Runs on: the main thread (new, free, mesh, map); lcore_mbuf() and lcore_mesh_push() on the worker.
 * The memory is a mapping of its own on the worker's node: prefaulted, not inherited by children.
 */
#include "dataplane/lcore/lcore.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RING_SCRIPT   4096u // replies must always fit: at least the call slots of a pair
#define RING_CONTROL  1024u
#define MBUF_TRUESIZE (PORT_MBUF_DATA + 512u)
#define HUGE_PAGE     (2u << 20)

/* Large ones begin with a huge page: what stands first in a mapping is used most. */
static void *
map_aligned(size_t bytes)
{
	size_t more = bytes >= HUGE_PAGE ? HUGE_PAGE : 0, head;
	uint8_t *p = mmap(
		NULL, bytes + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || more == 0)
		return p;
	bytes = SL_ALIGN_UP(bytes, (size_t)4096);
	head = (HUGE_PAGE - ((uintptr_t)p & (HUGE_PAGE - 1))) & (HUGE_PAGE - 1);
	if (head > 0)
		munmap(p, head);
	munmap(p + head + bytes, more - head);
	return p + head;
}

void *
lcore_map(size_t bytes, int socket)
{
	void *p = map_aligned(bytes);

	if (p == MAP_FAILED)
		return NULL;
	// advice only: none of these has to work
	if (bytes >= HUGE_PAGE)
		madvise(p, bytes, MADV_HUGEPAGE);
	madvise(p, bytes, MADV_DONTFORK);
	if (socket >= 0 && socket < 64) {
		unsigned long node = 1ul << socket;
		syscall(SYS_mbind, p, bytes, MPOL_PREFERRED, &node, sizeof(node) * 8, 0);
	}
	for (size_t at = 0; at < bytes; at += 4096)
		((volatile uint8_t *)p)[at] = 0;
	return p;
}

void
lcore_unmap(void *p, size_t bytes)
{
	if (p != NULL)
		munmap(p, bytes);
}

/* Hands out parts of the worker's one mapping; with base NULL it only measures. */
struct carve {
	uint8_t *base;
	size_t used;
};

static void *
carve(struct carve *c, size_t bytes)
{
	void *p = c->base != NULL ? c->base + c->used : NULL;

	c->used = SL_ALIGN_UP(c->used + bytes, (size_t)SL_CACHE_LINE);
	return p;
}

static void
carve_pair(struct carve *c, struct xpair *p, uint32_t size)
{
	struct xmsg *to = carve(c, size * sizeof(struct xmsg));
	struct xmsg *from = carve(c, size * sizeof(struct xmsg));

	if (p != NULL) {
		xring_init(&p->to, to, size);
		xring_init(&p->from, from, size);
	}
}

/* The order of memory; called twice, to measure and to hand out. */
static struct lcore *
layout(struct carve *c, const struct lcore_spec *s)
{
	struct lcore *lc = carve(c, sizeof(*lc));
	struct px_counters *px = carve(c, s->npx * sizeof(*px));
	struct px_counters *bind = carve(c, s->nbind * sizeof(*bind));
	struct px_counters *srv = carve(c, s->nsrv * sizeof(*srv));

	carve_pair(c, lc != NULL ? &lc->main : NULL, RING_CONTROL);
	carve_pair(c, lc != NULL ? &lc->io : NULL, RING_CONTROL);
	for (uint16_t i = 0; i < s->nscripts + s->nspare; i++)
		carve_pair(c, lc != NULL ? &lc->script[i] : NULL, RING_SCRIPT);
	if (lc != NULL) {
		lc->px_cnt = px;
		lc->bind_cnt = bind;
		lc->srv_cnt = srv;
	}
	return lc;
}

/* What queues may hold, so that every ring can refill and packets can be built. */
static uint32_t
retain_budget(const struct lcore_spec *s)
{
	uint32_t rings = 512; // the pool's cache and a burst in hand

	for (uint16_t i = 0; s->ports != NULL && i < s->ports->n; i++)
		rings += ((uint32_t)s->ports->port[i].rx_desc + s->ports->port[i].tx_desc) *
			sl_max(s->ports->port[i].rings, (uint16_t)1);
	rings = sl_min(rings, s->pool_size * 3 / 4); // tiny pools of tests
	return (s->pool_size - rings) / 4 * 3 * MBUF_TRUESIZE;
}

struct lcore *
lcore_new(const struct lcore_spec *s)
{
	struct carve c = { .base = NULL };
	struct lcore *lc;

	if (s->nlcores > LCORE_MAX || s->nscripts > SCRIPT_MAX || s->nspare > SCRIPT_SPARE ||
		s->id >= s->nlcores)
		return NULL;
	layout(&c, s);
	c.base = lcore_map(c.used, s->socket);
	if (c.base == NULL)
		return NULL;
	c.used = 0;
	lc = layout(&c, s);
	lc->mapped = c.used;
	lc->id = s->id;
	lc->nlcores = s->nlcores;
	lc->nscripts = s->nscripts;
	lc->socket = s->socket;
	lc->pool = s->pool;
	lc->pool_size = s->pool_size;
	lc->retain_max = retain_budget(s);
	lc->ports = s->ports;
	lc->npx_cnt = s->npx;
	lc->nbind_cnt = s->nbind;
	lc->nsrv_cnt = s->nsrv;
	rand_seed(&lc->rand, s->seed + s->id);
	wheel_init(&lc->wheel, 1);
	atomic_store(&lc->quiescent, UINT64_MAX);
	if (waker_init(&lc->waker) < 0) {
		lcore_unmap(lc, lc->mapped);
		return NULL;
	}
	return lc;
}

void
lcore_free(struct lcore *lc)
{
	if (lc == NULL)
		return;
	waker_fini(&lc->waker);
	lcore_unmap(lc, lc->mapped);
}

static size_t
mesh_bytes(void)
{
	return sizeof(struct xring) + LCORE_MESH_RING * sizeof(struct xmsg);
}

int
lcore_mesh(struct lcore **lc, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		for (uint16_t j = 0; j < n; j++) {
			struct xring *r;

			if (i == j)
				continue;
			r = lcore_map(mesh_bytes(), lc[j]->socket); // i writes, j reads
			if (r == NULL) {
				lcore_unmesh(lc, n);
				return -ENOMEM;
			}
			xring_init(r, (struct xmsg *)(r + 1), LCORE_MESH_RING);
			lc[i]->worker[j].out = r;
			lc[i]->worker[j].peer = &lc[j]->waker;
			lc[j]->worker[i].in = r;
		}
	}
	return 0;
}

void
lcore_unmesh(struct lcore **lc, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		for (uint16_t j = 0; j < n; j++) {
			lcore_unmap(lc[i]->worker[j].out, mesh_bytes());
			lc[i]->worker[j].out = NULL;
			lc[j]->worker[i].in = NULL;
		}
	}
}

bool
lcore_mesh_push(struct lcore *lc, uint16_t to, const struct xmsg *m)
{
	struct xmesh *w = &lc->worker[to];
	uint32_t type = (uint32_t)(m->w[0] & 0xffff);

	if (to >= lc->nlcores || w->out == NULL)
		return false;
	// both sides' frames on their way fill at most half of the ring
	if (type == XMSG_FRAME && w->frames >= LCORE_MESH_FRAMES)
		return false;
	if (type != XMSG_FRAME_HOME && xring_count(w->out) >= LCORE_MESH_RING - LCORE_MESH_FRAMES)
		return false;
	if (!xring_push(w->out, m))
		return false;
	if (type == XMSG_FRAME)
		w->frames++;
	w->dirty = true;
	return true;
}

struct rte_mbuf *
lcore_mbuf(struct lcore *lc)
{
	struct rte_mbuf *m;

	if (unlikely(lc->mbuf_fail_in != 0) && --lc->mbuf_fail_in == 0)
		return NULL;
	m = rte_pktmbuf_alloc(lc->pool);
	if (likely(m != NULL))
		*(uint64_t *)rte_mbuf_to_priv(m) = 0; // what its last user knew of its bytes
	return m;
}

void
lcore_mbuf_fail_in(struct lcore *lc, uint32_t n)
{
	lc->mbuf_fail_in = n;
}

// clang-format off
#define STAT(sym, n, u, h) [STAT_##sym] = { .name = n, .unit = u, .help = h },
const struct stat_desc stat_desc[STAT_NR] = {
#include "dataplane/lcore/stats.def"
};
#undef STAT

#define DROP(sym, n, h) [DROP_##sym] = { .name = n, .unit = "packets", .help = h },
const struct stat_desc drop_desc[DROP_NR] = {
#include "dataplane/lcore/drop.def"
};
#undef DROP
// clang-format on
