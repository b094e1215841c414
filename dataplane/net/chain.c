// SPDX-License-Identifier: BSD-3-Clause
/*
 * Byte queues of mbufs.
 *
 * Runs on: the worker that owns the mbufs. An mbuf leaves a chain with next == NULL, always: drivers
 * free what they sent with its successors, and one that is still referenced there must have none.
 * Room of an mbuf with a second reference is never written.
 */
#include "dataplane/net/chain.h"
#include "dataplane/net/pkt.h"

#include "dataplane/base/hot.h"

void
chain_push(struct chain *c, struct rte_mbuf *m)
{
	m->next = NULL;
	if (c->tail != NULL)
		c->tail->next = m;
	else
		c->head = m;
	c->tail = m;
	c->len += m->data_len;
	c->segs++;
}

void
chain_append(struct chain *to, struct chain *from)
{
	if (from->head == NULL)
		return;
	if (to->tail != NULL)
		to->tail->next = from->head;
	else
		to->head = from->head;
	to->tail = from->tail;
	to->len += from->len;
	to->segs += from->segs;
	chain_init(from);
}

struct rte_mbuf *
chain_pop(struct chain *c)
{
	struct rte_mbuf *m = c->head;

	if (m == NULL)
		return NULL;
	c->head = m->next;
	if (c->head == NULL)
		c->tail = NULL;
	c->len -= m->data_len;
	c->segs--;
	m->next = NULL;
	return m;
}

static void
unpop(struct chain *c, struct rte_mbuf *m)
{
	m->next = c->head;
	c->head = m;
	if (c->tail == NULL)
		c->tail = m;
	c->len += m->data_len;
	c->segs++;
}

/* Cuts mbuf m after n bytes; *second gets the rest. Returns the first part, NULL: no memory. */
static struct rte_mbuf *
cut(struct lcore *lc, struct rte_mbuf *m, uint16_t n, struct rte_mbuf **second)
{
	uint16_t rest = m->data_len - n;
	struct rte_mbuf *b = lcore_mbuf(lc);

	if (b == NULL)
		return NULL;
	if (n <= rest) {
		memcpy(rte_pktmbuf_mtod(b, void *), rte_pktmbuf_mtod(m, void *), n);
		b->data_len = n;
		m->data_off += n;
		m->data_len = rest;
		*second = m;
		return b;
	}
	memcpy(rte_pktmbuf_mtod(b, void *), rte_pktmbuf_mtod_offset(m, void *, n), rest);
	b->data_len = rest;
	m->data_len = n;
	*second = b;
	return m;
}

int
chain_split(struct lcore *lc, struct chain *c, uint32_t n, struct chain *out)
{
	struct chain first;

	sl_assert(n <= c->len);
	if (n == 0)
		return 0;
	if (n == c->len) {
		chain_append(out, c);
		return 0;
	}
	chain_init(&first);
	while (first.len < n) {
		struct rte_mbuf *m = chain_pop(c), *second, *part;

		if (first.len + m->data_len <= n) {
			chain_push(&first, m);
			continue;
		}
		part = cut(lc, m, (uint16_t)(n - first.len), &second);
		if (part == NULL) {
			unpop(c, m);
			chain_append(&first, c);
			*c = first;
			return -ENOMEM;
		}
		chain_push(&first, part);
		unpop(c, second);
	}
	chain_append(out, &first);
	return 0;
}

void
chain_trim_bufs(struct chain *c, uint32_t n)
{
	while (n > 0) {
		struct rte_mbuf *m = c->head;

		if (m->data_len > n) {
			m->data_off += (uint16_t)n;
			m->data_len -= (uint16_t)n;
			c->len -= n;
			return;
		}
		n -= m->data_len;
		rte_pktmbuf_free_seg(chain_pop(c));
	}
}

void
chain_free_all(struct chain *c)
{
	struct rte_mbuf *m;

	while ((m = chain_pop(c)) != NULL)
		rte_pktmbuf_free_seg(m);
}

uint32_t
chain_copy_out(const struct chain *c, uint32_t off, void *out, uint32_t n)
{
	uint8_t *to = out;
	uint32_t done = 0;

	for (const struct rte_mbuf *m = c->head; m != NULL && done < n; m = m->next) {
		uint32_t k;

		if (off >= m->data_len) {
			off -= m->data_len;
			continue;
		}
		k = sl_min(m->data_len - off, n - done);
		memcpy(to + done, rte_pktmbuf_mtod_offset(m, const uint8_t *, off), k);
		done += k;
		off = 0;
	}
	return done;
}

/* Bytes that may be added to the last mbuf so that it stays within mss. */
static uint32_t
tail_room(const struct chain *c, uint32_t mss)
{
	struct rte_mbuf *m = c->tail;

	if (m == NULL || !RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1 || m->data_len >= mss)
		return 0;
	// not rte_pktmbuf_tailroom(): it looks at one segment too, but asserts on nb_segs
	return sl_min((uint32_t)(m->buf_len - m->data_off - m->data_len), mss - m->data_len);
}

int
chain_copy_in_mss(struct lcore *lc, struct chain *c, const void *data, uint32_t n, uint32_t mss)
{
	const uint8_t *from = data;
	uint32_t unit = sl_min(mss, (uint32_t)PORT_MBUF_DATA);
	uint32_t room = sl_min(tail_room(c, mss), n);
	struct chain fresh;

	// everything is allocated before anything is changed
	chain_init(&fresh);
	for (uint32_t left = n - room; left > 0;) {
		struct rte_mbuf *m = lcore_mbuf(lc);
		uint32_t k = sl_min(left, unit);

		if (m == NULL) {
			chain_free(lc, &fresh);
			return -ENOMEM;
		}
		memcpy(rte_pktmbuf_mtod(m, void *), from + (n - left), k);
		m->data_len = (uint16_t)k;
		chain_push(&fresh, m);
		left -= k;
	}
	if (room > 0) {
		struct rte_mbuf *m = c->tail;
		memcpy(rte_pktmbuf_mtod_offset(m, void *, m->data_len), from, room);
		pkt_changed(m);
		m->data_len += (uint16_t)room;
		c->len += room;
	}
	chain_append(c, &fresh);
	return 0;
}

int
chain_copy_in(struct lcore *lc, struct chain *c, const void *data, uint32_t n)
{
	return chain_copy_in_mss(lc, c, data, n, UINT16_MAX);
}
