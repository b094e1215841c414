// SPDX-License-Identifier: BSD-3-Clause
/*
 * The proxy's part of a worker: memory, listeners, messages from other threads.
 *
 * Runs on: main while attaching; then the worker. All memory is one mapping: sessions, streams,
 * their side table, and the chunks of their arenas.
 */
#include <unistd.h>

#include "dataplane/proxy/px.h"

static const struct px_transport conn_transport = {
	.listen = conn_listen,
	.unlisten = conn_unlisten,
	.connect = conn_connect,
};

/* ---- chunks ---- */

static struct arena_chunk *
chunks_get(struct px_chunks *p)
{
	struct arena_chunk *c = p->free;

	if (unlikely(p->fail_in > 0 && --p->fail_in == 0))
		return NULL;
	if (c == NULL)
		return NULL;
	p->free = c->next;
	__builtin_prefetch(p->free, 1); // for the next request
	p->used++;
	c->next = NULL;
	c->size = p->size;
	c->used = 0;
	return c;
}

static void
chunks_put(struct px_chunks *p, struct arena_chunk *c)
{
	c->next = p->free;
	p->free = c;
	p->used--;
}

static struct arena_chunk *
src_get(void *ctx, uint32_t need)
{
	struct px_lcore *px = ctx;
	struct arena_chunk *c = NULL;

	if (likely(need <= px->small.size))
		c = chunks_get(&px->small);
	if (c == NULL && need <= px->large.size)
		c = chunks_get(&px->large);
	return c;
}

static void
src_put(void *ctx, struct arena_chunk *c)
{
	struct px_lcore *px = ctx;

	chunks_put(c->size == px->small.size ? &px->small : &px->large, c);
}

static sl_cold void
chunks_init(struct px_chunks *p, uint8_t *mem, uint32_t nr, uint32_t stride)
{
	p->size = stride - (uint32_t)sizeof(struct arena_chunk);
	p->nr = nr;
	for (uint32_t i = nr; i-- > 0;) {
		struct arena_chunk *c = (struct arena_chunk *)(mem + (size_t)i * stride);
		c->next = p->free;
		p->free = c;
	}
}

/* ---- attach ---- */

struct layout {
	size_t sessions, streams, side, small, large, be, size;
	uint32_t nses, nlarge, nsmall;
};

static sl_cold size_t
place(struct layout *l, size_t bytes)
{
	size_t at = l->size;

	l->size += SL_ALIGN_UP(bytes, (size_t)SL_CACHE_LINE);
	return at;
}

static sl_cold void
lay_out(struct layout *l, const struct px_spec *s, uint32_t nproxies)
{
	uint32_t n = s->max_streams;

	l->size = SL_ALIGN_UP(sizeof(struct px_lcore), (size_t)SL_CACHE_LINE);
	l->nses = s->max_sessions > 0 ? s->max_sessions : n;
	l->nsmall = n + n / 4 + 8;
	l->nlarge = n / 16 + 32;
	l->sessions = place(l, pool_bytes(l->nses, sizeof(struct session)));
	l->streams = place(l, pool_bytes(n, sizeof(struct stream)));
	l->side = place(l, n * sizeof(struct st_side));
	l->small = place(l, (size_t)l->nsmall * PX_CHUNK_SMALL);
	l->large = place(l, (size_t)l->nlarge * PX_CHUNK_LARGE);
	l->be = place(l, nproxies * sizeof(uint32_t));
}

sl_cold size_t
px_memory(const struct px_spec *s, uint32_t nproxies)
{
	struct layout l;

	lay_out(&l, s, nproxies);
	return l.size + call_memory(s);
}

int
px_attach(struct lcore *lc, const struct px_spec *s)
{
	uint32_t nproxies = lc->bal_shared->nproxies;
	struct layout l;
	struct px_lcore *px;
	uint8_t *mem;
	int rc;

	lay_out(&l, s, nproxies);
	mem = lcore_map(l.size, lc->socket);
	if (mem == NULL)
		return -ENOMEM;
	px = (struct px_lcore *)mem;
	px->lc = lc;
	px->pid = (int)getpid();
	px->mem = mem;
	px->mem_size = l.size;
	px->net = s->transport != NULL ? s->transport : &conn_transport;
	px->nproxies = nproxies;
	px->be_conns = (uint32_t *)(mem + l.be);
	px->side = (struct st_side *)(mem + l.side);
	px->src = (struct arena_src){ .get = src_get, .put = src_put, .ctx = px };
	pool_init(&px->sessions, mem + l.sessions, l.nses, sizeof(struct session));
	pool_init(&px->streams, mem + l.streams, s->max_streams, sizeof(struct stream));
	chunks_init(&px->small, mem + l.small, l.nsmall, PX_CHUNK_SMALL);
	chunks_init(&px->large, mem + l.large, l.nlarge, PX_CHUNK_LARGE);
	lc->px = px;
	rc = call_attach(lc, s);
	if (rc == 0 && lc->logring == NULL) {
		lc->logring = logring_new(s->log_records > 0 ? s->log_records : 1024, lc->socket);
		rc = lc->logring != NULL ? 0 : -ENOMEM;
	}
	if (rc < 0)
		px_detach(lc);
	return rc;
}

sl_cold /* What is still alive goes with the memory; its timers must not stay in the wheel. */
static void
timers_off(struct lcore *lc, struct px_lcore *px)
{
	for (uint32_t i = 0; i < px->streams.nr; i++) {
		struct stream *s = pool_at(&px->streams, i);
		if (pool_is_live(&px->streams, i))
			wheel_cancel(&lc->wheel, &s->timer);
	}
	for (uint32_t i = 0; i < px->sessions.nr; i++) {
		struct session *ses = pool_at(&px->sessions, i);
		if (pool_is_live(&px->sessions, i))
			wheel_cancel(&lc->wheel, &ses->timer);
	}
}

void
px_detach(struct lcore *lc)
{
	struct px_lcore *px = lc->px;

	if (px == NULL)
		return;
	call_detach(lc);
	timers_off(lc, px);
	logring_free(lc->logring);
	lc->logring = NULL;
	lc->px = NULL;
	lcore_unmap(px->mem, px->mem_size);
}

struct call_lcore **
px_calls(struct lcore *lc)
{
	return &lc->px->calls;
}

uint32_t
px_streams(const struct lcore *lc)
{
	return lc->px->streams.used;
}

uint32_t
px_sessions(const struct lcore *lc)
{
	return lc->px->sessions.used;
}

/* ---- listeners ---- */

static const struct conn_handler http_listener = {
	.accept = session_accept,
	.event = mux_conn_event,
	.prefetch = mux_conn_prefetch,
};
static const struct conn_handler tcp_listener = {
	.accept = session_accept,
	.event = tcp_mode_event,
};

static struct px_listener *
find_listener(struct px_lcore *px, const struct ip_port *addr)
{
	for (uint32_t i = 0; i < px->nlst; i++)
		if (px->lst[i].open && addr_port_eq(&px->lst[i].addr, addr))
			return &px->lst[i];
	return NULL;
}

static struct px_listener *
free_listener(struct px_lcore *px)
{
	for (uint32_t i = 0; i < px->nlst; i++)
		if (!px->lst[i].open)
			return &px->lst[i];
	return px->nlst < PX_MAX_LISTENERS ? &px->lst[px->nlst++] : NULL;
}

static void
close_listener(struct lcore *lc, struct px_listener *l)
{
	lc->px->net->unlisten(lc, &l->addr);
	l->open = false;
}

static int
open_listener(struct lcore *lc, const struct listen_addr *b)
{
	bool http = b->fe->mode == PX_HTTP;
	struct px_listener *l = find_listener(lc->px, &b->addr);
	int rc;

	if (l != NULL) {
		// the next connections belong to the new generation, also those half-way here
		l->bind = b;
		if (l->http == http)
			return 0;
		l->http = http;
		return lc->px->net->listen(
			lc, &b->addr, http ? &http_listener : &tcp_listener, l);
	}
	l = free_listener(lc->px);
	if (l == NULL)
		return -ENOSPC;
	*l = (struct px_listener){ .bind = b, .addr = b->addr, .http = http };
	rc = lc->px->net->listen(lc, &b->addr, http ? &http_listener : &tcp_listener, l);
	l->open = rc == 0;
	return rc;
}

const struct listen_addr *
px_bind_now(struct lcore *lc, const struct ip_port *addr, enum px_mode mode)
{
	const struct px_listener *l = find_listener(lc->px, addr);

	return l != NULL && l->http == (mode == PX_HTTP) ? l->bind : NULL;
}

int
px_listen(struct lcore *lc, const struct model *m)
{
	struct px_lcore *px = lc->px;
	int first = 0;

	px_follow_start(lc);

	for (uint32_t i = 0; i < px->nlst; i++) {
		bool still = false;
		for (uint32_t j = 0; j < m->nbinds; j++)
			still |= addr_port_eq(&m->binds[j]->addr, &px->lst[i].addr);
		if (px->lst[i].open && !still)
			close_listener(lc, &px->lst[i]);
	}
	for (uint32_t j = 0; j < m->nbinds; j++) {
		int rc = open_listener(lc, m->binds[j]);
		if (rc < 0 && first == 0)
			first = rc;
	}
	return first;
}

void
px_unlisten_all(struct lcore *lc)
{
	for (uint32_t i = 0; i < lc->px->nlst; i++)
		if (lc->px->lst[i].open)
			close_listener(lc, &lc->px->lst[i]);
}

void
px_stop(struct lcore *lc)
{
	struct px_lcore *px = lc->px;

	lc->stopping = true;
	px_unlisten_all(lc);
	for (uint32_t i = 0; i < px->sessions.nr; i++)
		if (pool_is_live(&px->sessions, i))
			session_stop(pool_at(&px->sessions, i));
}

void
px_main_message(struct lcore *lc, const struct xmsg *m)
{
	uint32_t slot = (uint32_t)m->w[1];

	if ((m->w[0] & 0xffff) == XMSG_SRV_TOKEN) {
		bal_message(lc, m);
		return;
	}
	if ((m->w[0] & 0xffff) == XMSG_SURVEY) {
		survey_message(lc, m);
		return;
	}
	if ((m->w[0] & 0xffff) == XMSG_SCRIPT_MOVED) {
		call_moved(lc, m);
		return;
	}
	if ((m->w[0] & 0xffff) == XMSG_GEN_END) {
		px_end(lc, (uint32_t)m->w[1]);
		return;
	}
	if ((m->w[0] & 0xffff) != XMSG_SERVER_STATE || slot >= lc->bal_shared->nslots)
		return;
	// w2: its address changed, idle connections lead to the old one
	if (atomic_load(&lc->bal_shared->srv[slot].state) != SRV_UP || m->w[2] != 0)
		idle_flush(lc, slot);
	queue_kick(lc);
	queue_run(lc);
}
