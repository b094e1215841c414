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
	char hostname[64];
	char tag[64];
	uint64_t *records; // of frontends, by slot, for %lc
	uint32_t nrecords;
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
	if (gethostname(l->hostname, sizeof(l->hostname)) < 0)
		l->hostname[0] = '\0';
	l->hostname[sizeof(l->hostname) - 1] = '\0';
	snprintf(l->tag, sizeof(l->tag), "%.*s", SL_STR_ARG(s->tag.len > 0 ? s->tag : SL_STR("sluice")));
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
	free(l->records);
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
	max = sl_min(max, b->size - 1); // without the newline, as HAProxy
	b->len = sl_min(b->len, max);
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

/* A line on its way: what is the same for all targets. */
struct line {
	uint32_t mask; // of targets
	enum sl_level level;
	struct sl_str text, tag, sd; // tag empty: the process's
};

/* To those targets of the mask whose level it passes. */
static void
emit(struct log *l, const struct line *x)
{
	struct log_head_args h = { .us = wall_us(),
		.pid = l->pid,
		.tag = x->tag.len > 0 ? x->tag : sl_str_c(l->tag),
		.sd = x->sd };
	char mem[LOG_LINE];
	struct sl_buf b;

	for (uint32_t i = 0; i < l->ntargets; i++) {
		const struct log_target *t = &l->target[i];

		if ((x->mask >> i & 1) == 0 || x->level > t->level)
			continue;
		sl_buf_init(&b, mem, sizeof(mem));
		h.level = sl_max(x->level, (enum sl_level)t->min_level);
		log_head(&b, t, &h);
		sl_buf_add(&b, x->text);
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
		emit(l, &(struct line){ .mask = l->mask,
				.level = p.level,
				.text = sl_str_make(p.text, p.len) });
		if (!l->quiet && p.level <= SL_INFO)
			show(l, &p);
	}
	flush_all(l);
	pthread_mutex_lock(&l->lock);
	if (l->count > 0)
		ev_async_send(l->ev, &l->wake);
	pthread_mutex_unlock(&l->lock);
}

/* How many records of that frontend there were before this one. */
static uint64_t
count_record(struct log *l, const struct proxy *fe)
{
	uint32_t slot = fe != NULL ? fe->slot : 0;

	if (slot >= l->nrecords) {
		uint64_t *more = realloc(l->records, (slot + 64) * sizeof(*more));

		if (more == NULL)
			return 0;
		memset(more + l->nrecords, 0, (slot + 64 - l->nrecords) * sizeof(*more));
		l->records = more;
		l->nrecords = slot + 64;
	}
	return l->records[slot]++;
}

static void
emit_record(struct log *l, const struct model *m, const struct logrec *r)
{
	const struct proxy *fe = logfmt_proxy(m, r, r->fe);
	struct logfmt_env e = { .m = m,
		.hostname = sl_str_c(l->hostname),
		.pid = l->pid,
		.log_count = count_record(l, fe),
		.date = log_date };
	// a record of an older generation goes where messages go
	struct line x = { .mask = fe != NULL ? fe->log_mask : UINT32_MAX,
		.level = (enum sl_level)r->level,
		.tag = fe != NULL ? fe->log_tag : SL_STR_NULL };
	char text[LOG_LINE], sd[LOG_LINE];

	x.text = sl_str_make(text, log_format(&e, r, text, sizeof(text)));
	if (x.text.len == 0) // as HAProxy: a format may give nothing
		return;
	x.sd = sl_str_make(sd, log_structured(&e, r, sd, sizeof(sd)));
	emit(l, &x);
}

uint32_t
log_collect(struct log *l, struct lcore *const *lc, uint16_t n, log_model_fn find, void *ctx)
{
	uint32_t got = 0;

	for (uint16_t w = 0; w < n; w++) {
		struct logring *r = lc[w]->logring;
		const struct logrec *rec;

		for (uint32_t i = 0; r != NULL && i <= r->mask; i++) {
			rec = logring_peek(r);
			if (rec == NULL)
				break;
			emit_record(l, find(ctx, rec->generation), rec);
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
