// SPDX-License-Identifier: BSD-3-Clause
/*
 * Single-producer single-consumer rings: set-up. Runs on: whoever creates the ring; push and pop are
 * inline in the header.
 */
#include "dataplane/lcore/xring.h"

void
xring_init(struct xring *r, struct xmsg *slots, uint32_t size)
{
	sl_assert(sl_is_pow2(size));
	memset(r, 0, sizeof(*r));
	r->mask = size - 1;
	r->slot = slots;
}
