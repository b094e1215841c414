// SPDX-License-Identifier: BSD-3-Clause
/*
 * Draining: log records of workers, and messages that any control thread posts.
 *
 * Runs on: main, from its event loop; log_post() on any control thread, under a lock that is held
 * for the copy of one line. Follows: HAProxy,
 * which sends a message to the log target and, unless quiet, shows it on stderr in its own form.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/log/log_priv.h"

/* How lines of that generation are written; of one that is no more, as messages. */
static const struct log_set *
set_of(const struct log *l, uint32_t generation)
{
	for (const struct log_set *s = l->set; s != NULL; s = s->older) {
		if (s->generation == generation)
			return s;
	}
	return l->set;
}

void
log_post(struct log *l, enum log_origin origin, enum sl_level level, struct sl_str text)
{
	struct post *p;
	bool first = false;

	pthread_mutex_lock(&l->lock);
	if (l->count < LOG_POSTS) {
		first = l->count == 0;
		p = &l->post[(l->head + l->count++) % LOG_POSTS];
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
one_line(struct sl_buf *b)
{
	for (uint32_t i = 0; i < b->len; i++) {
		if (b->p[i] == '\n' || b->p[i] == '\r')
			b->p[i] = ' ';
	}
}

static void
put_line(struct sink *s, struct sl_buf *b, uint32_t max)
{
	max = sl_min(max, b->size - 1); // without the newline, as HAProxy
	b->len = sl_min(b->len, max);
	one_line(b);
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

/* To those targets of the mask whose level it passes. True: whoever reads stderr sees it now. */
static bool
emit(struct log *l, const struct log_set *s, const struct line *x)
{
	struct log_head_args h = { .us = wall_us(),
		.pid = l->pid,
		.tag = x->tag.len > 0 ? x->tag : sl_str_c(s->tag),
		.sd = x->sd };
	char mem[LOG_LINE];
	struct sl_buf b;
	bool seen = false;

	for (uint32_t i = 0; i < s->ntargets; i++) {
		const struct log_target *t = &s->target[i];
		uint32_t len = t->len != 0 ? t->len : LOG_LINE;
		struct ring *r = s->out[i]->ring;

		if ((x->mask >> i & 1) == 0 || x->level > t->level)
			continue;
		if (r == NULL && sink_is_stuck(s->out[i]->sink)) {
			sink_lose(s->out[i]->sink);
			continue;
		}
		sl_buf_init(&b, mem, sizeof(mem));
		h.level = sl_max(x->level, (enum sl_level)t->min_level);
		log_head(&b, t, &h);
		if (r == NULL) {
			sl_buf_add(&b, x->text);
			if (b.len <= len) // stderr shows it whole
				seen |= s->out[i]->sink == &l->err || (l->one && s->out[i]->sink == &l->out);
			put_line(s->out[i]->sink, &b, len);
			continue;
		}
		// as HAProxy: "len" is of the text, the ring's of both
		sl_buf_add(&b, sl_str_make(x->text.p, sl_min(x->text.len, len - 1)));
		b.len = sl_min(b.len, s->maxlen[i]);
		one_line(&b);
		ring_push(r, b.p, b.len);
	}
	return seen;
}

/*
 * Nobody takes a line now: it is lost for each of those whom it was for, without being written. A target
 * that does not read must not cost more than one that does.
 */
static bool
all_stuck(const struct log_set *s, uint32_t mask, enum sl_level level)
{
	for (int lose = 0; lose < 2; lose++) {
		for (uint32_t i = 0; i < s->ntargets; i++) {
			if ((mask >> i & 1) == 0 || level > s->target[i].level)
				continue;
			if (lose)
				sink_lose(s->out[i]->sink);
			else if (s->out[i]->ring != NULL || !sink_is_stuck(s->out[i]->sink))
				return false;
		}
	}
	return true;
}

/* What waits in streams, and who waits for rings. */
static void
flush_all(struct log *l)
{
	outlets_flush(&l->outlets);
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
		const struct post *p = &l->post[l->head++ % LOG_POSTS];

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
	for (uint32_t i = 0; i < LOG_POSTS && take(l, &p); i++) {
		bool seen = emit(l, l->set,
			&(struct line){ .mask = l->set->mask,
				.level = p.level,
				.text = sl_str_make(p.text, p.len) });

		// what scripts say has a form of its own on stderr, as HAProxy's
		if (!l->quiet && p.level <= SL_INFO && (!seen || p.origin == LOG_SCRIPT))
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
	// one whose model is no more goes where messages go
	struct line x = { .mask = fe != NULL ? fe->log_mask : UINT32_MAX,
		.level = (enum sl_level)r->level,
		.tag = fe != NULL ? fe->log_tag : SL_STR_NULL };
	const struct log_set *set = set_of(l, r->generation);
	char text[LOG_LINE], sd[LOG_LINE];

	if (all_stuck(set, x.mask, x.level))
		return;
	x.text = sl_str_make(text, log_format(&e, r, text, sizeof(text)));
	if (x.text.len == 0) // as HAProxy: a format may give nothing
		return;
	x.sd = sl_str_make(sd, log_structured(&e, r, sd, sizeof(sd)));
	(void)emit(l, set, &x);
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
