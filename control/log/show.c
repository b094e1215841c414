// SPDX-License-Identifier: BSD-3-Clause
/*
 * What "show events" shows: sinks, and the lines of rings.
 *
 * Runs on: main. Follows: HAProxy 2.6 management guide 9.3 "show events".
 */
#include <stdlib.h>

#include "control/log/log_priv.h"

struct log_reader {
	struct ring_reader r;
};

bool
log_sink_info(struct log *l, uint32_t i, struct log_sink_info *out)
{
	static const struct log_sink_info std[] = { { "stdout", "standard output (fd#1)", false,
							    0 },
		{ "stderr", "standard output (fd#2)", false, 0 } };
	const struct ring *r = i == 2 ? l->outlets.buf0 : NULL;
	uint32_t k = 3;

	if (i < 2) {
		*out = std[i];
		out->dropped = atomic_load_explicit(
			i == 0 ? &l->out.lost : &l->err.lost, memory_order_relaxed);
		return true;
	}
	sl_list_foreach(n, &l->outlets.all) {
		const struct outlet *x = sl_list_entry(n, struct outlet, node);

		if (r == NULL && x->ring != NULL && x->ring != l->outlets.buf0 && k++ == i)
			r = x->ring;
	}
	if (r == NULL)
		return false;
	*out = (struct log_sink_info){ .name = r->name,
		.description = r->description,
		.ring = true,
		.dropped = atomic_load_explicit(&r->dropped, memory_order_relaxed) };
	return true;
}

int
log_reader_open(struct log *l, struct sl_str name, void (*more)(void *ctx), void *ctx,
	struct log_reader **out)
{
	struct ring *r = outlets_ring(&l->outlets, name);
	struct log_reader *x;

	if (r == NULL)
		return sl_str_eq(name, SL_STR("stdout")) || sl_str_eq(name, SL_STR("stderr"))
			? -EINVAL
			: -ENOENT;
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return -ENOMEM;
	x->r.more = more;
	x->r.ctx = ctx;
	ring_attach(r, &x->r, false);
	*out = x;
	return 0;
}

uint32_t
log_reader_next(struct log_reader *x, char out[LOG_LINE])
{
	uint32_t n = ring_peek(&x->r, x->r.at, out, LOG_LINE);

	if (n > 0)
		x->r.at = ring_after(&x->r, x->r.at);
	return n;
}

void
log_reader_skip(struct log_reader *x)
{
	x->r.at = x->r.ring->head;
}

uint64_t
log_reader_missed(struct log_reader *x)
{
	uint64_t n = x->r.missed;

	x->r.missed = 0;
	return n;
}

bool
log_reader_ended(const struct log_reader *x)
{
	return x->r.ring == NULL;
}

void
log_reader_close(struct log_reader *x)
{
	if (x == NULL)
		return;
	ring_detach(&x->r);
	free(x);
}
