// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lines in memory: a ring that keeps the newest, for "show events" and for servers.
 *
 * Runs on: main. A line lies behind its length, at positions that count bytes for ever, so that a
 * reader is one number. A new line takes the room of the oldest ones. A server's reader holds what it has
 * not sent: then the new line is dropped and counted, as HAProxy does. Who only looks holds nothing:
 * what is overwritten before it was read is counted for that reader.
 */
#include <stdlib.h>

#include "control/log/log_priv.h"

#define HEAD 4u // bytes before a line

static void
put(struct ring *r, uint64_t at, const void *p, uint32_t n)
{
	uint32_t off = (uint32_t)(at % r->size), first = sl_min(n, r->size - off);

	memcpy(r->buf + off, p, first);
	memcpy(r->buf, (const char *)p + first, n - first);
}

static void
get(const struct ring *r, uint64_t at, void *p, uint32_t n)
{
	uint32_t off = (uint32_t)(at % r->size), first = sl_min(n, r->size - off);

	memcpy(p, r->buf + off, first);
	memcpy((char *)p + first, r->buf, n - first);
}

static uint32_t
len_at(const struct ring *r, uint64_t at)
{
	uint32_t len;

	get(r, at, &len, sizeof(len));
	return len;
}

struct ring *
ring_new(struct sl_str name, uint32_t size)
{
	struct ring *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->size = size;
	r->buf = malloc(size); // pages come with the lines
	snprintf(r->name, sizeof(r->name), "%.*s", SL_STR_ARG(name));
	sl_list_init(&r->readers);
	sl_list_init(&r->forwards);
	if (r->buf != NULL)
		return r;
	free(r);
	return NULL;
}

void
ring_free(struct ring *r)
{
	if (r == NULL)
		return;
	forward_close_all(r);
	sl_list_foreach_safe(n, &r->readers) {
		struct ring_reader *x = sl_list_entry(n, struct ring_reader, node);

		ring_detach(x);
		x->more(x->ctx);
	}
	free(r->buf);
	free(r);
}

/* Does a server wait for the oldest line? */
static bool
is_held(const struct ring *r)
{
	sl_list_foreach(n, &r->readers) {
		const struct ring_reader *x = sl_list_entry(n, struct ring_reader, node);

		if (x->holds && x->at == r->tail)
			return true;
	}
	return false;
}

static void
drop_oldest(struct ring *r)
{
	uint64_t next = r->tail + HEAD + len_at(r, r->tail);

	sl_list_foreach(n, &r->readers) {
		struct ring_reader *x = sl_list_entry(n, struct ring_reader, node);

		if (x->at != r->tail)
			continue;
		x->at = next;
		x->missed++;
	}
	r->tail = next;
}

void
ring_push(struct ring *r, const char *line, uint32_t len)
{
	bool fits = len <= r->size - HEAD;

	while (fits && r->size - (r->head - r->tail) < HEAD + len) {
		fits = !is_held(r);
		if (fits)
			drop_oldest(r);
	}
	if (!fits) {
		atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
		return;
	}
	put(r, r->head, &len, HEAD);
	put(r, r->head + HEAD, line, len);
	r->head += HEAD + len;
	atomic_fetch_add_explicit(&r->lines, 1, memory_order_relaxed);
	r->fresh = true;
}

void
ring_tell(struct ring *r)
{
	if (!r->fresh)
		return;
	r->fresh = false;
	sl_list_foreach_safe(n, &r->readers) {
		struct ring_reader *x = sl_list_entry(n, struct ring_reader, node);

		x->more(x->ctx);
	}
}

int
ring_resize(struct ring *r, uint32_t size)
{
	char *buf = size == r->size ? NULL : malloc(size);
	struct ring old = *r;
	uint64_t at;

	if (size == r->size)
		return 0;
	if (buf == NULL)
		return -ENOMEM;
	while (r->head - r->tail > size && !is_held(r))
		drop_oldest(r);
	if (r->head - r->tail > size) { // a server waits for more than that: as large as it was
		free(buf);
		return -EBUSY;
	}
	r->buf = buf;
	r->size = size;
	for (at = r->tail; at < r->head; at++)
		buf[at % size] = old.buf[at % old.size];
	free(old.buf);
	return 0;
}

void
ring_attach(struct ring *r, struct ring_reader *x, bool at_end)
{
	x->ring = r;
	x->at = at_end ? r->head : r->tail;
	x->missed = 0;
	sl_list_add_tail(&r->readers, &x->node);
}

void
ring_detach(struct ring_reader *x)
{
	if (x->ring != NULL)
		sl_list_del(&x->node);
	x->ring = NULL;
}

uint32_t
ring_peek(const struct ring_reader *x, uint64_t at, char *out, uint32_t size)
{
	const struct ring *r = x->ring;
	uint32_t len;

	if (r == NULL || at == r->head)
		return 0;
	len = sl_min(len_at(r, at), size);
	get(r, at + HEAD, out, len);
	return len;
}

uint64_t
ring_after(const struct ring_reader *x, uint64_t at)
{
	return at + HEAD + len_at(x->ring, at);
}
