// SPDX-License-Identifier: BSD-3-Clause
/*
 * Draining: log records of workers, and messages that any control thread posts.
 *
 * Runs on: main, from its event loop; log_post() on any control thread, under a lock that is held
 * for the copy of one line. Owns: the ring of posted messages and the sinks. Follows: HAProxy,
 * which sends a message to the log target and, unless quiet, shows it on stderr in its own form.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "control/log/log_priv.h"

#define POSTS 256u // messages that may wait for main

struct post {
	enum log_origin origin;
	enum sl_level level;
	uint32_t len;
	char text[LOG_TEXT];
};

struct log {
	struct sink out, err;
	struct ev_loop *ev;
	struct ev_async wake;
	struct log_target target[LOG_TARGETS];
	struct sink *sink[LOG_TARGETS]; // out, err, or one of its own
	uint32_t ntargets;
	uint32_t mask; // of messages
	bool quiet;
	int pid;
	_Atomic(uint64_t) lost_post;
	pthread_mutex_t lock; // of the fields below
	uint32_t head, count;
	struct post post[POSTS];
};

static void
on_wake(struct ev_loop *ev sl_unused, struct ev_async *w, int events sl_unused)
{
	log_drain(w->data);
}

static struct sink *
open_target(struct log *l, const struct log_target *t)
{
	struct sink *s;

	if (t->kind == LOG_TO_STDOUT || t->kind == LOG_TO_STDERR)
		return t->kind == LOG_TO_STDERR ? &l->err : &l->out;
	s = calloc(1, sizeof(*s));
	// one that cannot be opened loses its lines, counted
	if (s != NULL && t->kind == LOG_TO_DGRAM)
		sink_open_dgram(s, &t->addr);
	else if (s != NULL)
		sink_open(s, l->ev, t->fd);
	return s;
}

struct log *
log_new(const struct log_spec *s)
{
	struct log *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	l->ev = s->ev;
	l->quiet = s->quiet;
	l->pid = (int)getpid();
	ev_async_init(&l->wake, on_wake);
	l->wake.data = l;
	ev_async_start(l->ev, &l->wake);
	sink_open(&l->out, s->ev, s->out);
	sink_open(&l->err, s->ev, s->err);
	l->mask = s->mask != 0 ? s->mask : UINT32_MAX;
	for (uint32_t i = 0; i < s->ntargets; i++) {
		l->target[i] = s->target[i];
		l->sink[i] = open_target(l, &s->target[i]);
		if (l->sink[i] == NULL) {
			log_free(l);
			return NULL;
		}
		l->ntargets++;
	}
	return l;
}

void
log_free(struct log *l)
{
	if (l == NULL)
		return;
	ev_async_stop(l->ev, &l->wake);
	for (uint32_t i = 0; i < l->ntargets; i++) {
		if (l->sink[i] == &l->out || l->sink[i] == &l->err)
			continue;
		sink_close(l->sink[i]);
		free(l->sink[i]);
	}
	sink_close(&l->out);
	sink_close(&l->err);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void
log_detach(struct log *l)
{
	sink_close(&l->out);
	sink_close(&l->err);
}

void
log_post(struct log *l, enum log_origin origin, enum sl_level level, struct sl_str text)
{
	struct post *p;
	bool first = false;

	pthread_mutex_lock(&l->lock);
	if (l->count < POSTS) {
		first = l->count == 0;
		p = &l->post[(l->head + l->count++) % POSTS];
		p->origin = origin;
		p->level = level;
		p->len = sl_min(text.len, (uint32_t)LOG_TEXT);
		if (p->len > 0)
			memcpy(p->text, text.p, p->len);
	} else {
		atomic_fetch_add_explicit(&l->lost_post, 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&l->lock);
	if (first)
		ev_async_send(l->ev, &l->wake);
}

/* A message is one line, whatever is in it. */
static void
put_line(struct sink *s, struct sl_buf *b, uint32_t max)
{
	max = sl_min(max, b->size);
	b->len = sl_min(b->len, max - 1);
	for (uint32_t i = 0; i < b->len; i++) {
		if (b->p[i] == '\n' || b->p[i] == '\r')
			b->p[i] = ' ';
	}
	b->p[b->len++] = '\n';
	sink_line(s, b->p, b->len);
}

static uint64_t
wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* To those targets of the mask whose level it passes. */
static void
emit(struct log *l, uint32_t mask, enum sl_level level, struct sl_str text)
{
	char mem[LOG_LINE];
	uint64_t now = wall_us();
	struct sl_buf b;

	for (uint32_t i = 0; i < l->ntargets; i++) {
		const struct log_target *t = &l->target[i];

		if ((mask >> i & 1) == 0 || level > t->level)
			continue;
		sl_buf_init(&b, mem, sizeof(mem));
		log_head(&b, t, sl_max(level, (enum sl_level)t->min_level), now, l->pid);
		sl_buf_add(&b, text);
		put_line(l->sink[i], &b, t->len != 0 ? t->len : LOG_LINE);
	}
}

/* What waits in streams. */
static void
flush_all(struct log *l)
{
	for (uint32_t i = 0; i < l->ntargets; i++)
		sink_flush(l->sink[i]);
	sink_flush(&l->out);
	sink_flush(&l->err);
}

/* HAProxy's forms: "[WARNING]  (pid) : …", and for Lua "[info] DDD/HHMMSS (pid) : …". */
static void
show(struct log *l, const struct post *p)
{
	const char *tag = "[NOTICE]   ";
	time_t now = time(NULL);
	char mem[LOG_LINE];
	struct sl_buf b;
	struct tm tm;

	sl_buf_init(&b, mem, sizeof(mem));
	if (p->origin == LOG_SCRIPT) {
		localtime_r(&now, &tm);
		sl_buf_char(&b, '[');
		for (const char *c = sl_level_name(p->level); *c != '\0'; c++)
			sl_buf_char(&b, sl_lower(*c));
		sl_buf_printf(&b, "] %03d/%02d%02d%02d (%d) : ", tm.tm_yday, tm.tm_hour, tm.tm_min,
			tm.tm_sec, l->pid);
	} else {
		if (p->level <= (p->origin == LOG_SERVER ? SL_EMERG : SL_ERR))
			tag = "[ALERT]    ";
		else if (p->level <= SL_WARNING || p->origin == LOG_SERVER)
			tag = "[WARNING]  ";
		sl_buf_printf(&b, "%s(%d) : ", tag, l->pid);
	}
	sl_buf_add(&b, sl_str_make(p->text, p->len));
	put_line(&l->err, &b, LOG_LINE);
}

static bool
take(struct log *l, struct post *out)
{
	bool any = false;

	pthread_mutex_lock(&l->lock);
	if (l->count > 0) {
		const struct post *p = &l->post[l->head++ % POSTS];

		l->count--;
		memcpy(out, p, offsetof(struct post, text) + p->len);
		any = true;
	}
	pthread_mutex_unlock(&l->lock);
	return any;
}

void
log_drain(struct log *l)
{
	struct post p;

	// bounded: whoever posts faster than we write must not keep the event loop here
	for (uint32_t i = 0; i < POSTS && take(l, &p); i++) {
		emit(l, l->mask, p.level, sl_str_make(p.text, p.len));
		if (!l->quiet && p.level <= SL_INFO)
			show(l, &p);
	}
	flush_all(l);
	pthread_mutex_lock(&l->lock);
	if (l->count > 0)
		ev_async_send(l->ev, &l->wake);
	pthread_mutex_unlock(&l->lock);
}

/* The targets of its frontend; a record of an older generation goes where messages go. */
static uint32_t
mask_of(const struct model *m, const struct logrec *r)
{
	if (m == NULL || r->generation != m->generation || r->fe >= m->nproxies)
		return UINT32_MAX;
	return m->proxies[r->fe]->log_mask;
}

uint32_t
log_collect(struct log *l, struct lcore *const *lc, uint16_t n, log_model_fn find, void *ctx)
{
	char text[LOG_LINE];
	uint32_t got = 0;

	for (uint16_t w = 0; w < n; w++) {
		struct logring *r = lc[w]->logring;
		const struct logrec *rec;

		for (uint32_t i = 0; r != NULL && i <= r->mask; i++) {
			rec = logring_peek(r);
			if (rec == NULL)
				break;
			const struct model *m = find(ctx, rec->generation);
			emit(l, mask_of(m, rec), (enum sl_level)rec->level,
				sl_str_make(text, log_format(m, rec, text, sizeof(text))));
			logring_done(r);
			got++;
		}
	}
	if (got > 0)
		flush_all(l);
	return got;
}

void
log_flush(struct log *l, int wait_ms)
{
	struct sink *s[LOG_TARGETS + 2] = { &l->out, &l->err };

	log_drain(l);
	memcpy(s + 2, l->sink, sizeof(l->sink));
	for (uint32_t i = 0; i < l->ntargets + 2; i++) {
		struct pollfd p = { .fd = s[i]->fd, .events = POLLOUT };

		while (!sink_flush(s[i]) && poll(&p, 1, wait_ms) > 0)
			;
	}
}

static void
count(struct sink *s, struct log_stats *out)
{
	out->lines += atomic_load_explicit(&s->lines, memory_order_relaxed);
	out->lost_sink += atomic_load_explicit(&s->lost, memory_order_relaxed);
}

void
log_get_stats(struct log *l, struct log_stats *out)
{
	*out = (struct log_stats){ 0 };
	count(&l->out, out);
	count(&l->err, out);
	for (uint32_t i = 0; i < l->ntargets; i++) {
		if (l->sink[i] != &l->out && l->sink[i] != &l->err)
			count(l->sink[i], out);
	}
	out->lost_post = atomic_load_explicit(&l->lost_post, memory_order_relaxed);
}
