// SPDX-License-Identifier: BSD-3-Clause
/*
 * Blocks of the host transport: they belong to io, and are lent to workers.
 *
 * Runs on: the io thread.
 */
#include <stdlib.h>

#include "control/io/host_priv.h"

#define KEEP_FREE 256u

static void
set_scarce(struct io_host *h)
{
	bool scarce = h->nblocks - h->nfree > h->soft_blocks;

	if (scarce == h->scarce)
		return;
	h->scarce = scarce;
	if (scarce)
		counter_inc(&h->st.scarce);
	for (uint16_t w = 0; w < h->n; w++)
		atomic_store_explicit(&h->lc[w]->host_scarce, scarce, memory_order_relaxed);
}

struct host_block *
hblock_get(struct io_host *h)
{
	struct host_block *b = h->free;

	if (b != NULL) {
		h->free = b->next;
		h->nfree--;
	} else if (h->nblocks < h->max_blocks && (b = malloc(sizeof(*b))) != NULL) {
		sl_list_add_tail(&h->blocks, &b->all);
		h->nblocks++;
	} else {
		counter_inc(&h->st.no_block);
		return NULL;
	}
	b->next = NULL;
	b->off = b->len = 0;
	set_scarce(h);
	return b;
}

void
hblock_put(struct io_host *h, struct host_block *b)
{
	if (h->nfree < KEEP_FREE) {
		b->next = h->free;
		h->free = b;
		h->nfree++;
	} else {
		sl_list_del(&b->all);
		free(b);
		h->nblocks--;
	}
	set_scarce(h);
}

void
hblock_put_list(struct io_host *h, struct host_block *b)
{
	while (b != NULL) {
		struct host_block *next = b->next;

		hblock_put(h, b);
		b = next;
	}
}

/* Blocks for those workers that asked; as many as there are, later if there are none. */
bool
hblock_lend(struct io_host *h)
{
	bool left = false;

	for (uint16_t w = 0; w < h->n; w++) {
		struct xmsg m = { .w = { XMSG_HOST_BLOCKS } };

		if (!h->want[w])
			continue;
		for (uint32_t i = 0; h->lend[w] == NULL && i < HBLOCK_LEND; i++) {
			struct host_block *b = hblock_get(h);

			if (b == NULL)
				break;
			b->next = (struct host_block *)(uintptr_t)m.w[1];
			m.w[1] = (uintptr_t)b;
			m.w[2]++;
		}
		if (h->lend[w] != NULL)
			m.w[1] = (uintptr_t)h->lend[w];
		h->lend[w] = (struct host_block *)(uintptr_t)m.w[1];
		if (h->lend[w] != NULL && io_push(h->l, w, &m)) {
			h->lend[w] = NULL;
			h->want[w] = false;
		}
		left |= h->want[w];
	}
	return left;
}
