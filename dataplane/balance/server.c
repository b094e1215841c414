// SPDX-License-Identifier: BSD-3-Clause
/*
 * Run-time state of servers: up or down, weight, connections in use; and the worker's part of it.
 *
 * State and weight are written by main and read by workers. The count of connections is shared by
 * all workers and exact: it is what maxconn bounds, and what the log reports.
 */
#include "dataplane/balance/bal.h"

#include <stdlib.h>

sl_cold struct bal_shared *
bal_shared_new(uint32_t nslots, uint32_t nproxies, uint32_t nbinds)
{
	struct bal_shared *s = aligned_alloc(SL_CACHE_LINE, sizeof(*s));

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->nslots = sl_max(nslots, 1u);
	s->nproxies = sl_max(nproxies, 1u);
	s->nbinds = sl_max(nbinds, 1u);
	s->srv = aligned_alloc(SL_CACHE_LINE, s->nslots * sizeof(*s->srv));
	s->px = aligned_alloc(SL_CACHE_LINE, s->nproxies * sizeof(*s->px));
	s->bind = aligned_alloc(SL_CACHE_LINE, s->nbinds * sizeof(*s->bind));
	if (s->srv == NULL || s->px == NULL || s->bind == NULL) {
		bal_shared_free(s);
		return NULL;
	}
	memset(s->srv, 0, s->nslots * sizeof(*s->srv));
	memset(s->px, 0, s->nproxies * sizeof(*s->px));
	atomic_store(&s->maxconn, UINT32_MAX);
	for (uint32_t i = 0; i < s->nproxies; i++)
		atomic_store(&s->px[i].maxconn, UINT32_MAX);
	memset(s->bind, 0, s->nbinds * sizeof(*s->bind));
	return s;
}

sl_cold void
bal_shared_free(struct bal_shared *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; s->srv != NULL && i < s->nslots; i++)
		free((void *)(uintptr_t)atomic_load(&s->srv[i].addr));
	for (uint32_t i = 0; i < s->nretired; i++)
		free((void *)(uintptr_t)s->retired[i]);
	free(s->retired);
	free(s->srv);
	free(s->px);
	free(s->bind);
	free(s);
}

sl_cold void
bal_shared_retire(struct bal_shared *s, const struct ip_port *addr)
{
	const struct ip_port **more;

	if (addr == NULL)
		return;
	more = realloc(s->retired, (s->nretired + 1) * sizeof(*more));
	if (more == NULL)
		return; // 20 bytes are lost
	s->retired = more;
	s->retired[s->nretired++] = addr;
}

sl_cold void
bal_shared_reap(struct bal_shared *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free((void *)(uintptr_t)s->retired[i]);
	s->nretired -= n;
	if (n > 0)
		memmove(s->retired, s->retired + n, s->nretired * sizeof(*s->retired));
}

sl_cold void
bal_shared_init_model(struct bal_shared *s, const struct model *m)
{
	for (uint32_t i = 0; i < m->nproxies; i++) {
		const struct proxy *px = m->proxies[i];

		for (uint32_t j = 0; j < px->nservers; j++) {
			const struct server *srv = &px->servers[j];

			if (srv->slot >= s->nslots)
				continue;
			atomic_store(&s->srv[srv->slot].weight, srv->weight);
			atomic_store(&s->srv[srv->slot].maxconn, srv->maxconn);
			atomic_store(&s->srv[srv->slot].state, srv->disabled ? SRV_MAINT : SRV_UP);
		}
	}
}

static size_t
region(size_t n)
{
	return SL_ALIGN_UP(n, (size_t)SL_CACHE_LINE);
}

sl_cold int
bal_attach(struct lcore *lc, struct bal_shared *s, uint32_t idle_per_server)
{
	uint32_t nidle = sl_max(s->nslots * idle_per_server, 1u);
	size_t own = region(sizeof(struct bal_lcore)), a = region(s->nslots * sizeof(int32_t));
	size_t b = region(s->nslots * sizeof(struct idle_slot));
	size_t c = region(s->nproxies * sizeof(struct bal_queue));
	size_t d = region(s->nslots * sizeof(int64_t)), e = region(s->nslots * sizeof(uint32_t));
	size_t f = region(pool_bytes(nidle, sizeof(struct idle)));
	size_t size = own + a + b + c + d + e + f;
	uint8_t *mem = lcore_map(size, SOCKET_ID_ANY);
	struct bal_lcore *bl = (struct bal_lcore *)mem;

	if (mem == NULL)
		return -ENOMEM;
	bl->mem = mem;
	bl->mem_size = size;
	bl->shared = s;
	bl->nslots = s->nslots;
	bl->nproxies = s->nproxies;
	bl->rr = (int32_t *)(mem + own);
	bl->idle = (struct idle_slot *)(mem + own + a);
	bl->queue = (struct bal_queue *)(mem + own + a + b);
	bl->idle_max = idle_per_server;
	for (uint32_t i = 0; i < s->nslots; i++)
		sl_list_init(&bl->idle[i].list);
	for (uint32_t i = 0; i < s->nproxies; i++)
		sl_list_init(&bl->queue[i].list);
	bl->score = (int64_t *)(mem + own + a + b + c);
	bl->weight = (uint32_t *)(mem + own + a + b + c + d);
	pool_init(&bl->entries, mem + own + a + b + c + d + e, nidle, sizeof(struct idle));
	wheel_timer_init(&bl->purge, idle_on_purge);
	wheel_timer_init(&bl->poll, queue_on_poll);
	lc->bal = bl;
	lc->bal_shared = s;
	return 0;
}

sl_cold void
bal_detach(struct lcore *lc)
{
	struct bal_lcore *b = lc->bal;

	if (b == NULL)
		return;
	idle_flush(lc, UINT32_MAX);
	wheel_cancel(&lc->wheel, &b->purge);
	wheel_cancel(&lc->wheel, &b->poll);
	lc->bal = NULL;
	lcore_unmap(b->mem, b->mem_size);
}

bool
srv_is_up(const struct lcore *lc, const struct server *srv)
{
	const struct srv_run *r = srv_run_of(lc, srv);

	return atomic_load_explicit(&r->state, memory_order_relaxed) == SRV_UP;
}

uint32_t
srv_cur(const struct lcore *lc, const struct server *srv)
{
	return atomic_load_explicit(&srv_run_of(lc, srv)->cur, memory_order_relaxed);
}

static uint32_t
max_of(const struct srv_run *r)
{
	return atomic_load_explicit(
		(_Atomic(uint32_t) *)(uintptr_t)&r->maxconn, memory_order_relaxed);
}

bool
srv_has_room(const struct lcore *lc, const struct server *srv, bool *full)
{
	return srv_run_has_room(srv_run_of(lc, srv), full);
}

bool
srv_take(struct lcore *lc, const struct server *srv)
{
	_Atomic(uint32_t) *cur = &srv_run_of(lc, srv)->cur;
	uint32_t n = atomic_load_explicit(cur, memory_order_relaxed);
	uint32_t max = max_of(srv_run_of(lc, srv));

	do {
		if (max != 0 && n >= max)
			return false;
	} while (!atomic_compare_exchange_weak(cur, &n, n + 1));
	return true;
}

void
srv_release(struct lcore *lc, const struct server *srv)
{
	uint32_t n = atomic_fetch_sub(&srv_run_of(lc, srv)->cur, 1);

	sl_assert(n > 0);
	(void)n;
	if (unlikely(max_of(srv_run_of(lc, srv)) != 0))
		queue_released(lc, srv);
}
