// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where lines go, by generation: a set of targets each, over ways out that they share.
 *
 * Runs on: main; counters are read from any thread. A reload opens what is new and closes what no
 * generation names any more, so that a pipe keeps what waits in it and a ring its lines. A record of
 * an older generation is written by that generation's lines.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/io/io.h"
#include "control/log/log_priv.h"

#define BUF0_SIZE (1u << 20) // HAProxy's

struct log_conf
log_conf_of(const struct model *m)
{
	const struct global_conf *g = &m->global;

	return (struct log_conf){ .generation = m->generation,
		.target = g->log_target,
		.ntargets = g->nlog_targets,
		.mask = g->log_mask,
		.tag = g->log_tag,
		.ring = g->ring,
		.nrings = g->nrings };
}

int
outlets_init(struct outlets *o, struct ev_loop *ev, struct sink *out, struct sink *err)
{
	*o = (struct outlets){ .ev = ev, .std_out = out, .std_err = err };
	sl_list_init(&o->all);
	pthread_mutex_init(&o->lock, NULL);
	o->buf0 = ring_new(SL_STR("buf0"), BUF0_SIZE);
	if (o->buf0 == NULL)
		return -ENOMEM;
	snprintf(o->buf0->description, sizeof(o->buf0->description), "in-memory ring buffer");
	return 0;
}

void
outlets_fini(struct outlets *o)
{
	ring_free(o->buf0);
	o->buf0 = NULL;
	pthread_mutex_destroy(&o->lock);
}

struct ring *
outlets_ring(struct outlets *o, struct sl_str name)
{
	if (sl_str_eq(name, SL_STR("buf0")))
		return o->buf0;
	sl_list_foreach(n, &o->all) {
		struct outlet *x = sl_list_entry(n, struct outlet, node);

		if (x->ring != NULL && sl_str_eq(name, sl_str_c(x->ring->name)))
			return x->ring;
	}
	return NULL;
}

static bool
is_same(const struct outlet *x, const struct log_target *t)
{
	struct sockaddr_storage to;
	socklen_t len;

	if (x->kind != t->kind)
		return false;
	if (t->kind == LOG_TO_FD)
		return x->fd == t->fd;
	if (t->kind == LOG_TO_RING)
		return sl_str_eq(t->ring, sl_str_c(x->ring->name));
	if (t->kind != LOG_TO_DGRAM)
		return true;
	len = io_addr_to(&t->addr, &to);
	return len == x->sink->to_len && memcmp(&to, &x->sink->to, len) == 0;
}

static const struct ring_conf *
ring_conf_of(const struct log_conf *c, struct sl_str name)
{
	for (uint32_t i = 0; i < c->nrings; i++) {
		if (sl_str_eq(c->ring[i].name, name))
			return &c->ring[i];
	}
	return NULL;
}

/* One that cannot be opened loses its lines, counted. */
static int
open_sink(struct outlets *o, struct outlet *x, const struct log_target *t)
{
	if (t->kind == LOG_TO_STDOUT || t->kind == LOG_TO_STDERR) {
		x->sink = t->kind == LOG_TO_STDERR ? o->std_err : o->std_out;
		return 0;
	}
	x->sink = calloc(1, sizeof(*x->sink));
	if (x->sink == NULL)
		return -ENOMEM;
	if (t->kind == LOG_TO_DGRAM)
		sink_open_dgram(x->sink, &t->addr);
	else
		sink_open(x->sink, o->ev, t->fd);
	return 0;
}

static int
open_ring(struct outlets *o, struct outlet *x, const struct log_conf *c, struct sl_str name)
{
	const struct ring_conf *rc = ring_conf_of(c, name);

	x->ring = rc == NULL ? o->buf0 : ring_new(name, rc->size);
	return x->ring != NULL ? 0 : -ENOMEM;
}

static struct outlet *
outlet_new(struct outlets *o, const struct log_conf *c, const struct log_target *t)
{
	struct outlet *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->kind = t->kind;
	x->fd = t->fd;
	if ((t->kind == LOG_TO_RING ? open_ring(o, x, c, t->ring) : open_sink(o, x, t)) < 0) {
		free(x);
		return NULL;
	}
	pthread_mutex_lock(&o->lock);
	sl_list_add_tail(&o->all, &x->node);
	pthread_mutex_unlock(&o->lock);
	return x;
}

static void
count_ring(const struct ring *r, uint64_t *lines, uint64_t *lost)
{
	*lines += atomic_load_explicit(&r->lines, memory_order_relaxed);
	*lost += atomic_load_explicit(&r->dropped, memory_order_relaxed);
}

/* buf0 and the standard streams are there without any outlet: counted elsewhere. */
static void
count(const struct outlets *o, const struct outlet *x, uint64_t *lines, uint64_t *lost)
{
	if (x->ring != NULL && x->ring != o->buf0) {
		count_ring(x->ring, lines, lost);
	} else if (x->ring == NULL && x->sink != o->std_out && x->sink != o->std_err) {
		*lines += atomic_load_explicit(&x->sink->lines, memory_order_relaxed);
		*lost += atomic_load_explicit(&x->sink->lost, memory_order_relaxed);
	}
}

static void
outlet_put(struct outlets *o, struct outlet *x)
{
	bool own = x->sink != NULL && x->sink != o->std_out && x->sink != o->std_err;

	if (--x->refs > 0)
		return;
	if (own)
		sink_close(x->sink); // what waited counts as dropped from here on
	pthread_mutex_lock(&o->lock);
	sl_list_del(&x->node);
	count(o, x, &o->gone_lines, &o->gone_lost);
	pthread_mutex_unlock(&o->lock);
	if (x->ring != NULL && x->ring != o->buf0)
		ring_free(x->ring);
	if (own)
		free(x->sink);
	free(x);
}

static struct outlet *
outlet_get(struct outlets *o, const struct log_conf *c, const struct log_target *t, bool first)
{
	struct outlet *x = NULL;

	sl_list_foreach(n, &o->all) {
		x = sl_list_entry(n, struct outlet, node);
		if (is_same(x, t))
			break;
		x = NULL;
	}
	// what has that number by now may be anything of ours
	if (x == NULL && t->kind == LOG_TO_FD && !first)
		return NULL;
	if (x == NULL)
		x = outlet_new(o, c, t);
	if (x != NULL)
		x->refs++;
	return x;
}

/* A ring is there, and listed, whether or not a line goes there. */
static int
add(struct outlets *o, struct log_set *s, const struct log_conf *c, const struct log_target *t,
	bool first)
{
	struct outlet *x = outlet_get(o, c, t, first);

	if (x == NULL)
		return t->kind == LOG_TO_FD ? -EBADF : -ENOMEM;
	s->out[s->nout++] = x;
	return 0;
}

int
log_set_new(struct outlets *o, const struct log_conf *c, bool first, struct log_set **out,
	char *err, size_t size)
{
	struct log_set *s = calloc(1, sizeof(*s) + sizeof(s->out[0]) * (c->ntargets + c->nrings));
	int rc = 0;

	if (s == NULL)
		return -ENOMEM;
	s->generation = c->generation;
	s->mask = c->mask != 0 ? c->mask : UINT32_MAX;
	snprintf(s->tag, sizeof(s->tag), "%.*s",
		SL_STR_ARG(c->tag.len > 0 ? c->tag : SL_STR("sluice")));
	for (uint32_t i = 0; i < c->ntargets && rc == 0; i++) {
		const struct ring_conf *r = ring_conf_of(c, c->target[i].ring);
		struct log_target *t = &s->target[i];

		*t = c->target[i];
		rc = add(o, s, c, t, first);
		s->ntargets++;
		if (rc == -EBADF)
			snprintf(err, size,
				"'log fd@%d' was not there at start: restart to have it", t->fd);
		if (t->kind != LOG_TO_RING)
			continue;
		t->form = r != NULL ? r->form : LOG_TIMED; // the ring's, as HAProxy
		s->maxlen[i] = r != NULL ? sl_min(r->maxlen, (uint32_t)LOG_LINE) : LOG_LINE;
	}
	for (uint32_t i = 0; i < c->nrings && rc == 0; i++)
		rc = add(o, s, c,
			&(struct log_target){ .kind = LOG_TO_RING, .ring = c->ring[i].name },
			first);
	if (rc == 0) {
		*out = s;
		return 0;
	}
	if (rc == -ENOMEM)
		snprintf(err, size, "no memory for log targets");
	log_set_free(o, s);
	return rc;
}

void
log_set_apply(struct outlets *o, const struct log_conf *c)
{
	sl_list_foreach(n, &o->all) {
		struct outlet *x = sl_list_entry(n, struct outlet, node);
		const struct ring_conf *r;
		struct sl_str text;

		if (x->ring == NULL || x->ring == o->buf0)
			continue;
		r = ring_conf_of(c, sl_str_c(x->ring->name));
		if (r == NULL) // of an older generation: as it was
			continue;
		text = r->description.len > 0 ? r->description : r->name;
		snprintf(x->ring->description, sizeof(x->ring->description), "%.*s",
			SL_STR_ARG(text));
		(void)ring_resize(x->ring, r->size); // else it stays as large as it is
		forward_set(x->ring, o->ev, r);
	}
}

void
log_set_free(struct outlets *o, struct log_set *s)
{
	for (uint32_t i = 0; s != NULL && i < s->nout; i++)
		outlet_put(o, s->out[i]);
	free(s);
}

void
outlets_flush(struct outlets *o)
{
	sl_list_foreach(n, &o->all) {
		struct outlet *x = sl_list_entry(n, struct outlet, node);

		if (x->ring != NULL)
			ring_tell(x->ring);
		else
			sink_flush(x->sink);
	}
	ring_tell(o->buf0);
}

void
outlets_count(struct outlets *o, struct log_stats *out)
{
	pthread_mutex_lock(&o->lock);
	sl_list_foreach(n, &o->all)
		count(o, sl_list_entry(n, struct outlet, node), &out->lines, &out->lost_sink);
	count_ring(o->buf0, &out->lines, &out->lost_sink);
	out->lines += o->gone_lines;
	out->lost_sink += o->gone_lost;
	pthread_mutex_unlock(&o->lock);
}
