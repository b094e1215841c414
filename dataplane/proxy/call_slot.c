// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory and writes of a call slot.
 *
 * Runs on: whoever holds the slot: the worker that fills or reads it, or the script thread between
 * CALL and CALL_DONE. Nothing here reaches beyond the slot.
 * Not here: who gets a slot and when (call.c).
 */
#include "dataplane/proxy/call.h"

#include "dataplane/base/hot.h"

#define ARENA_CHUNK 512u // most calls need one for all their temporary strings

void *
call_alloc(struct call_slot *s, uint32_t n)
{
	uint32_t at = SL_ALIGN_UP(s->used, 8u);
	uint32_t size = s->block != NULL ? CALL_BLOCK : CALL_DATA;

	if (n > size || at > size - n) {
		s->full = true;
		return NULL;
	}
	s->used = at + n;
	return (s->block != NULL ? s->block->mem : s->data) + at;
}

uint32_t
call_room(const struct call_slot *s)
{
	uint32_t at = SL_ALIGN_UP(s->used, 8u);
	uint32_t size = s->block != NULL ? CALL_BLOCK : CALL_DATA;

	return at < size ? size - at : 0;
}

struct sl_str
call_str(struct call_slot *s, struct sl_str text)
{
	char *p = call_alloc(s, text.len);

	if (p == NULL)
		return SL_STR_NULL;
	if (text.len != 0)
		memcpy(p, text.p, text.len);
	return sl_str_make(p, text.len);
}

static struct arena_chunk *
chunk_get(void *ctx, uint32_t need)
{
	struct call_slot *s = ctx;
	uint32_t want = sl_max(need, ARENA_CHUNK);
	struct arena_chunk *c;

	if (call_room(s) < sizeof(*c) + (uint64_t)want)
		want = sl_min(need, (uint32_t)CALL_BLOCK); // more never fits
	c = call_alloc(s, (uint32_t)sizeof(*c) + want);
	if (c != NULL)
		c->size = want;
	return c;
}

/* Bump memory: what is used stays used until the slot is. */
static void
chunk_put(void *ctx sl_unused, struct arena_chunk *c sl_unused)
{
}

void
call_arena_init(struct call_arena *a, struct call_slot *s)
{
	a->slot = s;
	a->src = (struct arena_src){ .get = chunk_get, .put = chunk_put, .ctx = s };
	arena_init(&a->arena, &a->src);
}

int
call_add_write(struct call_slot *s, enum call_write_op op, enum var_scope scope, struct sl_str name,
	const struct sample *value)
{
	uint32_t mark = s->used;
	struct call_write *w = call_alloc(s, sizeof(*w));

	if (w == NULL)
		return -ENOSPC;
	*w = (struct call_write){ .op = (uint8_t)op, .scope = (uint8_t)scope };
	w->name = call_str(s, name);
	if (value != NULL)
		w->value = *value;
	if (value != NULL && sample_has_text(value))
		w->value.s = call_str(s, value->s);
	if (w->name.p == NULL || (value != NULL && sample_has_text(value) && w->value.s.p == NULL)) {
		s->used = mark;
		return -ENOSPC;
	}
	if (s->last != NULL)
		s->last->next = w;
	else
		s->first = w;
	s->last = w;
	return 0;
}
