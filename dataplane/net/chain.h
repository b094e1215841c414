/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Byte queue over single-segment mbufs linked by m->next; nothing is copied but where said. Each
 * mbuf's data (data_off, data_len) is payload. pkt_len and nb_segs are not maintained.
 * Owner: the worker whose pool the mbufs come from. A chain charges its truesize to
 * lc->retained only by the queue that holds it (tcp), not here.
 */
#pragma once

#include "dataplane/lcore/lcore.h"

struct chain {
	struct rte_mbuf *head, *tail;
	uint32_t len;  // payload bytes
	uint32_t segs; // mbufs
};

#define CHAIN_TRUESIZE (PORT_MBUF_DATA + 512u) // what one mbuf costs, headers included

static inline void
chain_init(struct chain *c)
{
	c->head = c->tail = NULL;
	c->len = c->segs = 0;
}

static inline bool
chain_is_empty(const struct chain *c)
{
	return c->head == NULL;
}

static inline uint32_t
chain_truesize(const struct chain *c)
{
	return c->segs * CHAIN_TRUESIZE;
}

/* One mbuf whose data is payload. */
void chain_push(struct chain *c, struct rte_mbuf *m);
/* Moves everything of `from` behind `to`. */
void chain_append(struct chain *to, struct chain *from);
/* First mbuf, or NULL. */
struct rte_mbuf *chain_pop(struct chain *c);
/*
 * Moves the first n bytes to `out`; a boundary inside an mbuf copies the shorter part into a fresh
 * one. 0 or -ENOMEM (then nothing moved).
 */
int chain_split(struct lcore *lc, struct chain *c, uint32_t n, struct chain *out);
/* Drops the first n bytes (n <= len). */
static inline void chain_trim(struct lcore *lc, struct chain *c, uint32_t n);
static inline void chain_free(struct lcore *lc, struct chain *c);
/* Copies out n bytes from offset off; returns bytes copied. */
uint32_t chain_copy_out(const struct chain *c, uint32_t off, void *out, uint32_t n);
/* Appends a copy, filling the tail's room first; 0 or -ENOMEM (then unchanged). */
int chain_copy_in(struct lcore *lc, struct chain *c, const void *data, uint32_t n);
/*
 * Appends a copy to packets of at most `mss` bytes: like copy_in, but leaves each mbuf no longer
 * than mss, so that the writer's segments cross unchanged.
 */
int chain_copy_in_mss(struct lcore *lc, struct chain *c, const void *data, uint32_t n, uint32_t mss);

/* The general cases of what follows. */
void chain_trim_bufs(struct chain *c, uint32_t n);
void chain_free_all(struct chain *c);

static inline void
chain_trim(struct lcore *lc sl_unused, struct chain *c, uint32_t n)
{
	sl_assert(n <= c->len);
	if (likely(n > 0 && n < c->head->data_len)) {
		c->head->data_off += (uint16_t)n;
		c->head->data_len -= (uint16_t)n;
		c->len -= n;
	} else {
		chain_trim_bufs(c, n);
	}
}

static inline void
chain_free(struct lcore *lc sl_unused, struct chain *c)
{
	if (c->head != NULL)
		chain_free_all(c);
}
