// SPDX-License-Identifier: BSD-3-Clause
/*
 * The in-process ring port: a wire that copies.
 *
 * Runs on: wire_new/free/bind on the main thread; the callbacks on the worker that polls the queue;
 * wire_send/wire_recv on the generator's thread. A null device (which never receives and frees what
 * it is given) carries two callbacks per queue: tx copies frames into rings, rx copies them out
 * into buffers of the queue's pool. A buffer is so only ever touched by its pool's owner. There is
 * one single-producer ring per (sending queue, receiving queue), and RSS is emulated by the
 * sender with the receiver's key and table.
 * What is on its way takes little memory, however long a ring is: a frame goes into the slot that became
 * free last. A device keeps such frames on its chip or writes them past the near caches; slots used
 * in turn would drive everything else out of these.
 */
#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include <stdlib.h>
#include <sys/mman.h>

#include "drivers/drv.h"

#define WIRE_MAX 16
#define LANES    (2u * WIRE_QUEUES * WIRE_QUEUES) // of a wire, both ways

struct frame {
	uint32_t hash;
	uint16_t len;
	uint16_t has_hash;
	uint8_t data[WIRE_FRAME + 4];
};

/* One sending queue to one receiving queue. */
struct lane {
	/* ==== sender writes ==== */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) tail;
	_Atomic(uint64_t) lost;
	uint32_t back;  // entries of `ring` whose slots the sender has taken back
	uint32_t nfree; // in `free`, the last to be used next
	uint32_t fresh; // slots from here on were never used
	/* ==== receiver writes ==== */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) head;
	/* ==== fixed ==== */
	alignas(SL_CACHE_LINE) struct frame *slot;
	uint16_t *ring; // slots of the frames on their way; the sender writes
	uint16_t *free; // the sender's
};

struct wire_end {
	struct lane in[WIRE_QUEUES][WIRE_QUEUES]; // [receiving queue][sending queue]
	const struct port *_Atomic port;          // NULL: a generator
	struct rte_mempool *pool[WIRE_QUEUES];    // of the receiving queues
	const struct rte_eth_rxtx_callback *rx_cb[WIRE_QUEUES], *tx_cb[WIRE_QUEUES];
	struct wire *wire;
	struct wire_end *peer;
	uint32_t next[WIRE_QUEUES]; // lane that the next look begins with
	uint64_t cycles[WIRE_QUEUES]; // TSC spent in the callbacks, by the worker that polls
};

struct wire {
	unsigned int n;
	uint32_t depth;
	struct frame *slots;
	size_t bytes;
	struct wire_end end[2];
};

static struct wire *wires[WIRE_MAX]; // main thread only

struct wire *
wire_new(unsigned int n, uint32_t depth)
{
	struct wire *w;
	struct frame *f;
	uint16_t *lists;

	if (n >= WIRE_MAX || wires[n] != NULL || !sl_is_pow2(depth) || depth > UINT16_MAX)
		return NULL;
	w = aligned_alloc(SL_CACHE_LINE, SL_ALIGN_UP(sizeof(*w), (size_t)SL_CACHE_LINE));
	if (w == NULL)
		return NULL;
	memset(w, 0, sizeof(*w));
	w->n = n;
	w->depth = depth;
	w->bytes = (size_t)LANES * depth * (sizeof(struct frame) + 2 * sizeof(uint16_t));
	// pages of lanes that nobody uses are never touched
	w->slots = mmap(NULL, w->bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->slots == MAP_FAILED) {
		free(w);
		return NULL;
	}
	madvise(w->slots, w->bytes, MADV_HUGEPAGE);
	f = w->slots;
	lists = (uint16_t *)(f + (size_t)LANES * depth);
	for (int e = 0; e < 2; e++) {
		w->end[e].wire = w;
		w->end[e].peer = &w->end[1 - e];
		for (uint32_t i = 0; i < LANES / 2; i++, f += depth, lists += 2 * (size_t)depth) {
			struct lane *l = &w->end[e].in[i / WIRE_QUEUES][i % WIRE_QUEUES];

			l->slot = f;
			l->ring = lists;
			l->free = lists + depth;
		}
	}
	return wires[n] = w;
}

void
wire_free(struct wire *w)
{
	if (w == NULL)
		return;
	wires[w->n] = NULL;
	munmap(w->slots, w->bytes);
	free(w);
}

/* The slot for the next frame; NULL: all are on their way. */
static struct frame *
lane_tail(struct lane *l, uint32_t depth)
{
	uint32_t h = atomic_load_explicit(&l->head, memory_order_acquire);

	while (l->back != h)
		l->free[l->nfree++] = l->ring[l->back++ & (depth - 1)];
	if (l->nfree > 0)
		return &l->slot[l->free[l->nfree - 1]];
	return l->fresh < depth ? &l->slot[l->fresh] : NULL;
}

/* Sends the frame in the slot that lane_tail() gave. */
static void
lane_push(struct lane *l, uint32_t depth)
{
	uint32_t t = atomic_load_explicit(&l->tail, memory_order_relaxed);
	uint32_t slot = l->nfree > 0 ? l->free[--l->nfree] : l->fresh++;

	l->ring[t & (depth - 1)] = (uint16_t)slot;
	atomic_store_explicit(&l->tail, t + 1, memory_order_release);
}

static struct frame *
lane_head(struct lane *l, uint32_t depth)
{
	uint32_t h = atomic_load_explicit(&l->head, memory_order_relaxed);

	if (h == atomic_load_explicit(&l->tail, memory_order_acquire))
		return NULL;
	return &l->slot[l->ring[h & (depth - 1)]];
}

static void
lane_pop(struct lane *l)
{
	uint32_t h = atomic_load_explicit(&l->head, memory_order_relaxed);

	atomic_store_explicit(&l->head, h + 1, memory_order_release);
}

/* Hash of a TCP or UDP frame as a NIC computes it; false: none (fragments, other protocols). */
static bool
frame_hash(const struct port *p, const uint8_t *d, uint32_t len, uint32_t *hash)
{
	uint8_t in[TOEPLITZ_INPUT];
	uint32_t at = 12, l4, n;
	uint8_t proto;

	if (len >= 16 && d[at] == 0x81 && d[at + 1] == 0x00)
		at += 4;
	if (len >= at + 2 + 20 && d[at] == 0x08 && d[at + 1] == 0x00) {
		at += 2;
		proto = d[at + 9];
		if ((d[at + 6] & 0x3f) != 0 || d[at + 7] != 0)
			return false;
		l4 = at + (d[at] & 0x0fu) * 4;
		at += 12;
		n = 8;
	} else if (len >= at + 2 + 40 && d[at] == 0x86 && d[at + 1] == 0xdd) {
		at += 2;
		proto = d[at + 6];
		l4 = at + 40;
		at += 8;
		n = 32;
	} else {
		return false;
	}
	if ((proto != 6 && proto != 17) || len < l4 + 4)
		return false;
	memcpy(in, d + at, n);
	memcpy(in + n, d + l4, 4);
	*hash = toeplitz_hash(p->toeplitz, in, n + 4);
	return true;
}

/* The lane by which a frame of sending queue q reaches the other end. */
static struct lane *
steer(struct wire_end *to, uint16_t q, const uint8_t *d, uint32_t len, uint32_t *hash, bool *hashed)
{
	const struct port *p = atomic_load_explicit(&to->port, memory_order_acquire);
	uint32_t rxq = q;

	*hashed = false;
	if (p != NULL) {
		if (p->mode == PORT_RSS) {
			*hashed = frame_hash(p, d, len, hash);
			rxq = *hashed ? port_owner(p, *hash) : 0;
		}
		if (unlikely(rxq >= p->nqueues))
			rxq %= p->nqueues;
	}
	return &to->in[rxq][q];
}

/* A frame that a card has to finish, and perhaps to cut; what does not fit is lost. */
static sl_apart void
send_pieces(
	struct wire_end *e, struct lane *l, const struct rte_mbuf *m, uint32_t hash, bool hashed)
{
	uint32_t n = wire_pieces(m);

	for (uint32_t i = 0; i < n; i++) {
		struct frame *f = lane_tail(l, e->wire->depth);
		uint32_t len = f != NULL ? wire_piece(m, i, f->data, WIRE_FRAME) : 0;

		if (len == 0) {
			atomic_fetch_add_explicit(&l->lost, 1, memory_order_relaxed);
			continue;
		}
		f->len = (uint16_t)len;
		f->hash = hash;
		f->has_hash = hashed;
		lane_push(l, e->wire->depth);
	}
}

static uint16_t
on_tx(uint16_t port sl_unused, uint16_t queue, struct rte_mbuf **m, uint16_t n, void *ctx)
{
	struct wire_end *e = ctx;
	uint64_t start = rte_rdtsc();

	for (uint16_t i = 0; i < n; i++) {
		uint8_t mem[128];
		uint32_t len = m[i]->pkt_len, hash = 0;
		// headers in one piece, for the hash
		const uint8_t *d =
			rte_pktmbuf_read(m[i], 0, sl_min(len, (uint32_t)sizeof(mem)), mem);
		bool hashed;
		struct lane *l;
		struct frame *f;

		if (d == NULL)
			continue;
		l = steer(e->peer, queue, d, sl_min(len, (uint32_t)sizeof(mem)), &hash, &hashed);
		if (unlikely(m[i]->ol_flags & WIRE_OFFLOADS)) {
			send_pieces(e, l, m[i], hash, hashed);
			continue;
		}
		f = len <= WIRE_FRAME ? lane_tail(l, e->wire->depth) : NULL;
		if (f == NULL) {
			atomic_fetch_add_explicit(&l->lost, 1, memory_order_relaxed);
			continue;
		}
		if (unlikely(m[i]->nb_segs > 1))
			d = rte_pktmbuf_read(m[i], 0, len, f->data);
		if (d == NULL)
			continue;
		if (d != (const uint8_t *)f->data)
			memcpy(f->data, d, len);
		f->len = (uint16_t)len;
		f->hash = hash;
		f->has_hash = hashed;
		lane_push(l, e->wire->depth);
	}
	e->cycles[queue] += rte_rdtsc() - start;
	return n; // the null device frees them
}

/* Buffers for n frames, or for as many as there are. */
static uint16_t
alloc(struct rte_mempool *pool, struct rte_mbuf **m, uint16_t n)
{
	uint16_t k = 0;

	if (likely(rte_pktmbuf_alloc_bulk(pool, m, n) == 0))
		return n;
	while (k < n && (m[k] = rte_pktmbuf_alloc(pool)) != NULL)
		k++;
	return k;
}

/* Copies waiting frames of one lane into fresh buffers, at most max. */
static uint16_t
take(struct wire_end *e, struct lane *l, uint16_t queue, struct rte_mbuf **m, uint16_t max)
{
	uint32_t h = atomic_load_explicit(&l->head, memory_order_relaxed);
	uint32_t there = atomic_load_explicit(&l->tail, memory_order_acquire) - h;
	uint16_t n = (uint16_t)sl_min(there, (uint32_t)max);

	if (n == 0)
		return 0;
	n = alloc(e->pool[queue], m, n); // the rest stays on the wire, as in a NIC's fifo
	for (uint16_t i = 0; i < n; i++) {
		const struct frame *f =
			&l->slot[l->ring[(h + i) & (e->wire->depth - 1)]];

		memcpy(rte_pktmbuf_append(m[i], f->len), f->data, f->len);
		if (f->has_hash) {
			m[i]->hash.rss = f->hash;
			m[i]->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
		}
	}
	atomic_store_explicit(&l->head, h + n, memory_order_release);
	return n;
}

static uint16_t
on_rx(uint16_t port sl_unused, uint16_t queue, struct rte_mbuf **m, uint16_t n sl_unused,
	uint16_t max, void *ctx)
{
	struct wire_end *e = ctx;
	uint64_t start = rte_rdtsc();
	uint16_t got = 0;

	for (uint32_t k = 0; k < WIRE_QUEUES && got < max; k++) {
		struct lane *l = &e->in[queue][(e->next[queue] + k) % WIRE_QUEUES];

		got += take(e, l, queue, m + got, (uint16_t)(max - got));
	}
	e->next[queue]++;
	e->cycles[queue] += rte_rdtsc() - start;
	return got;
}

/* "wire3a" -> the end. */
static struct wire_end *
find_end(const char *device)
{
	unsigned int n = 0;
	const char *c = device;

	if (strncmp(c, "wire", 4) != 0)
		return NULL;
	for (c += 4; *c >= '0' && *c <= '9' && n < WIRE_MAX; c++)
		n = n * 10 + (unsigned int)(*c - '0');
	if (n >= WIRE_MAX || wires[n] == NULL || (*c != 'a' && *c != 'b'))
		return NULL;
	return &wires[n]->end[*c - 'a'];
}

int
wire_bind(struct port *p, struct rte_mempool *const *pools)
{
	struct wire_end *e = find_end(p->device);

	if (e == NULL)
		return -ENODEV;
	for (uint16_t q = 0; q < p->nqueues; q++) {
		e->pool[q] = pools[q];
		e->rx_cb[q] = rte_eth_add_rx_callback(p->ethdev, q, on_rx, e);
		e->tx_cb[q] = rte_eth_add_tx_callback(p->ethdev, q, on_tx, e);
		if (e->rx_cb[q] == NULL || e->tx_cb[q] == NULL)
			return -ENOMEM;
	}
	atomic_store_explicit(&e->port, p, memory_order_release);
	return 0;
}

void
wire_unbind(const struct port *p)
{
	struct wire_end *e = find_end(p->device);

	if (e == NULL)
		return;
	atomic_store_explicit(&e->port, NULL, memory_order_release);
	for (uint16_t q = 0; q < p->nqueues; q++) {
		rte_eth_remove_rx_callback(p->ethdev, q, e->rx_cb[q]);
		rte_eth_remove_tx_callback(p->ethdev, q, e->tx_cb[q]);
	}
}

int
wire_send(struct wire *w, char end, uint16_t queue, const void *frame, uint32_t len)
{
	struct wire_end *e = &w->end[end != 'a'];
	uint32_t hash = 0;
	bool hashed;
	struct lane *l;
	struct frame *f;

	if (len > WIRE_FRAME || queue >= WIRE_QUEUES)
		return -EMSGSIZE;
	l = steer(e->peer, queue, frame, len, &hash, &hashed);
	f = lane_tail(l, w->depth);
	if (f == NULL)
		return -EAGAIN;
	memcpy(f->data, frame, len);
	f->len = (uint16_t)len;
	f->hash = hash;
	f->has_hash = hashed;
	lane_push(l, w->depth);
	return 0;
}

int
wire_recv(struct wire *w, char end, uint16_t queue, void *frame, uint32_t size)
{
	struct wire_end *e = &w->end[end != 'a'];

	if (queue >= WIRE_QUEUES)
		return -EAGAIN;
	for (uint32_t k = 0; k < WIRE_QUEUES; k++) {
		struct lane *l = &e->in[queue][k];
		struct frame *f = lane_head(l, w->depth);
		int len;

		if (f == NULL)
			continue;
		if (f->len > size)
			return -EMSGSIZE;
		len = f->len;
		memcpy(frame, f->data, f->len);
		lane_pop(l);
		return len;
	}
	return -EAGAIN;
}

uint64_t
wire_cycles(const struct wire *w, char end, uint16_t queue)
{
	return w->end[end != 'a'].cycles[queue];
}

uint64_t
wire_lost(const struct wire *w, char end)
{
	const struct wire_end *to = &w->end[end == 'a'];
	uint64_t sum = 0;

	for (uint32_t i = 0; i < WIRE_QUEUES * WIRE_QUEUES; i++) {
		const struct lane *l = &to->in[i / WIRE_QUEUES][i % WIRE_QUEUES];
		sum += atomic_load_explicit(
			(_Atomic(uint64_t) *)(uintptr_t)&l->lost, memory_order_relaxed);
	}
	return sum;
}
