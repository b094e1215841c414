// SPDX-License-Identifier: BSD-3-Clause
/*
 * The slots of a worker: a fixed array for each script thread, and blocks for large heads.
 *
 * Runs on: the worker; start and stop by whoever makes and ends it, call_spare_new() by main.
 */
#include "dataplane/proxy/call_pair.h"

#include "dataplane/base/hot.h"

struct call_slot *
call_slot_get(struct call_pair *p)
{
	struct call_slot *slot = p->unused;

	if (slot == NULL)
		return NULL;
	p->unused = slot->next_free;
	slot->busy = true;
	p->nbusy++;
	return slot;
}

static void
block_put(struct call_lcore *cl, struct call_slot *slot)
{
	if (slot->block == NULL)
		return;
	slot->block->next_free = cl->blocks;
	cl->blocks = slot->block;
	slot->block = NULL;
}

void
call_slot_put(struct call_lcore *cl, struct call_pair *p, struct call_slot *slot)
{
	sl_assert(slot->busy);
	block_put(cl, slot);
	slot->busy = false;
	slot->next_free = p->unused;
	p->unused = slot;
	p->nbusy--;
}

struct call_slot *
px_call_slot(const struct lcore *lc, uint16_t script, uint32_t i)
{
	const struct call_lcore *cl = *px_calls((struct lcore *)(uintptr_t)lc);

	return script < cl->npairs && i < cl->pair[script].nslots ? &cl->pair[script].slots[i]
								  : NULL;
}

sl_cold static void
name_slots(struct call_slot *slot, uint32_t n, uint16_t worker, uint16_t pair)
{
	for (uint32_t k = 0; k < n; k++) {
		slot[k].worker = worker;
		slot[k].script = pair;
		slot[k].index = (uint16_t)k;
	}
}

void
call_pair_init(struct call_pair *p, struct call_slot *slots, uint32_t n)
{
	*p = (struct call_pair){ .slots = slots, .nslots = n };
	sl_list_init(&p->waiting);
	sl_list_init(&p->want_blocks);
	for (uint32_t k = n; k-- > 0;) {
		slots[k].next_free = p->unused;
		p->unused = &slots[k];
	}
}

sl_cold struct call_spare *
call_spare_new(uint16_t worker, uint16_t pair, uint32_t nslots, int socket)
{
	size_t head = SL_ALIGN_UP(sizeof(struct call_spare), (size_t)SL_CACHE_LINE);
	size_t bytes = head + nslots * sizeof(struct call_slot);
	struct call_spare *sp = lcore_map(bytes, socket);

	if (sp == NULL)
		return NULL;
	sp->bytes = bytes;
	sp->nslots = nslots;
	sp->slots = (struct call_slot *)((uint8_t *)sp + head);
	name_slots(sp->slots, nslots, worker, pair);
	return sp;
}

sl_cold void
call_spare_free(struct call_spare *sp)
{
	lcore_unmap(sp, sp->bytes);
}

sl_cold size_t
call_memory(const struct px_spec *s)
{
	size_t head =
		sizeof(struct call_lcore) + (s->nscripts + SCRIPT_SPARE) * sizeof(struct call_pair);
	size_t nblocks = s->nscripts > 0 ? sl_max(s->call_slots / 8, 4u) : 0;

	return head + s->nscripts * s->call_slots * sizeof(struct call_slot) +
		nblocks * sizeof(struct call_block);
}

sl_cold int
call_attach(struct lcore *lc, const struct px_spec *spec)
{
	size_t head = sizeof(struct call_lcore) +
		(spec->nscripts + SCRIPT_SPARE) * sizeof(struct call_pair);
	size_t each = spec->call_slots * sizeof(struct call_slot);
	uint32_t nblocks = spec->nscripts > 0 ? sl_max(spec->call_slots / 8, 4u) : 0;
	struct call_block *block;
	struct call_lcore *cl;

	if (spec->call_slots > CALL_MAX_SLOTS || spec->nscripts > lc->nscripts)
		return -EINVAL;
	head = SL_ALIGN_UP(head, (size_t)SL_CACHE_LINE);
	each = SL_ALIGN_UP(each, (size_t)SL_CACHE_LINE);
	size_t bytes = head + spec->nscripts * each + nblocks * sizeof(*block);
	cl = lcore_map(bytes, lc->socket);
	if (cl == NULL)
		return -ENOMEM;
	cl->bytes = bytes;
	block = (struct call_block *)((uint8_t *)cl + head + spec->nscripts * each);
	for (uint32_t i = 0; i < nblocks; i++) {
		block[i].next_free = cl->blocks;
		cl->blocks = &block[i];
	}
	cl->nslots = spec->call_slots;
	cl->npairs = cl->nplaces = (uint16_t)spec->nscripts;
	for (uint16_t i = 0; i < cl->npairs; i++) {
		struct call_slot *slots = (struct call_slot *)((uint8_t *)cl + head + i * each);

		name_slots(slots, cl->nslots, lc->id, i);
		call_pair_init(&cl->pair[i], slots, cl->nslots);
		cl->route[i] = (int16_t)i;
	}
	*px_calls(lc) = cl;
	return 0;
}

sl_cold void
call_detach(struct lcore *lc)
{
	struct call_lcore **cl = px_calls(lc);

	while (*cl != NULL && (*cl)->spare != NULL) {
		struct call_spare *sp = (*cl)->spare;
		(*cl)->spare = sp->next;
		call_spare_free(sp);
	}
	if (*cl != NULL)
		lcore_unmap(*cl, (*cl)->bytes);
	*cl = NULL;
}
