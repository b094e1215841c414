// SPDX-License-Identifier: BSD-3-Clause
/*
 * From a stream's log block to a fixed-size record for main, and the ring between them.
 *
 * Runs on: the worker; the reader's half is logring.c. A full ring loses the record and counts it; the
 * worker never waits. Counters of response classes are kept here too, because this is where every
 * exchange ends once. Timers as HAProxy's manual 8.4: -1 for what was not reached.
 */
#include "dataplane/base/log.h"
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

#define AHEAD_LINES 5 // of a record: its fixed part and a short request line

static size_t
own_bytes(void)
{
	return SL_ALIGN_UP(sizeof(struct logring), (size_t)SL_CACHE_LINE);
}

static size_t
ring_bytes(uint32_t n)
{
	return own_bytes() + n * (sizeof(struct logrec) + 2 * sizeof(uint16_t));
}

sl_cold struct logring *
logring_new(uint32_t n, int socket)
{
	struct logring *r;

	if (!sl_is_pow2(n) || n > 32768)
		return NULL;
	r = lcore_map(ring_bytes(n), socket);
	if (r == NULL)
		return NULL;
	r->mask = n - 1;
	r->rec = (struct logrec *)((uint8_t *)r + own_bytes());
	r->ring = (uint16_t *)(r->rec + n);
	r->idle = r->ring + n;
	for (r->nidle = 0; r->nidle < n; r->nidle++)
		r->idle[r->nidle] = (uint16_t)(n - 1 - r->nidle);
	return r;
}

sl_cold void
logring_free(struct logring *r)
{
	if (r != NULL)
		lcore_unmap(r, ring_bytes(r->mask + 1));
}

/* Where a set of counters has the one of a response's class. */
static size_t
class_of(uint16_t status)
{
	static const uint16_t at[] = {
		offsetof(struct px_counters, rsp_other),
		offsetof(struct px_counters, rsp_1xx),
		offsetof(struct px_counters, rsp_2xx),
		offsetof(struct px_counters, rsp_3xx),
		offsetof(struct px_counters, rsp_4xx),
		offsetof(struct px_counters, rsp_5xx),
	};
	uint32_t class = status / 100;

	return at[class < sizeof(at) / sizeof(at[0]) ? class : 0];
}

static void
count_class(struct px_counters *c, size_t class)
{
	counter_inc((counter *)(void *)((char *)c + class));
}

/* Milliseconds between two dates; -1 if the later was not reached. */
static int32_t
ms(uint64_t from, uint64_t to)
{
	return to == 0 ? -1 : (int32_t)((to - from) / 1000);
}

static void
add_ms(struct lcore *lc, struct px_counters *c, counter *sum, enum px_max max, uint64_t from,
	uint64_t to)
{
	if (to < from + 1000 || from == 0)
		return;
	counter_add(sum, (to - from) / 1000);
	px_max(lc, c, max, (to - from) / 1000);
}

/* Sums of what "show stat" gives as averages; main makes windows of them. */
static void
count_times(const struct stream *s, struct px_counters *c)
{
	const struct txn_log *l = &s->log;
	uint64_t start = l->head_us != 0 ? l->head_us : l->first_us;

	counter_inc(&c->timed);
	if (s->lc->now_us < start + 1000)
		return; // and so is every part of it
	add_ms(s->lc, c, &c->q_ms, PX_MAX_Q_MS, start, l->queue_us);
	add_ms(s->lc, c, &c->c_ms, PX_MAX_C_MS, l->queue_us, l->connect_us);
	add_ms(s->lc, c, &c->r_ms, PX_MAX_R_MS, l->connect_us, l->res_us);
	add_ms(s->lc, c, &c->t_ms, PX_MAX_T_MS, start, s->lc->now_us);
}

static void
count_end(struct stream *s)
{
	size_t class;

	if (s->srv != NULL) {
		count_times(s, px_be_cnt(s->lc, s->be));
		count_times(s, &s->lc->srv_cnt[s->srv->slot]);
	}
	if (s->fe->mode != PX_HTTP)
		return;
	if (s->srv != NULL) { // at the end, because a retry may have chosen another one
		counter_add(&s->lc->srv_cnt[s->srv->slot].bytes_in, s->log.bytes_in);
		counter_add(&s->lc->srv_cnt[s->srv->slot].bytes_out, s->log.bytes_out);
	}
	class = class_of(s->log.status);
	count_class(px_cnt(s->lc, s->fe), class);
	if ((s->flags & ST_F_WAS_AT_BE) != 0)
		count_class(px_be_cnt(s->lc, s->be), class);
}

void
logrec_count_answer(const struct stream *s)
{
	struct px_counters *c;

	if (s->srv == NULL) // a service of a script
		return;
	c = &s->lc->srv_cnt[s->srv->slot];
	counter_inc(&c->cum_req);
	count_class(c, class_of(s->res.status));
}

static void
fill_timers(const struct stream *s, struct logrec *r)
{
	const struct txn_log *l = &s->log;
	uint64_t now = s->lc->now_us, start = l->first_us;

	r->ti = (int32_t)((start - s->ses->idle_us) / 1000);
	if (s->fe->mode == PX_HTTP) {
		r->td = l->res_us != 0 ? ms(l->res_us, now) : -1;
		r->tr = ms(start, l->head_us);
		r->tw = ms(l->head_us, l->queue_us);
		r->tc = ms(l->queue_us, l->connect_us);
		r->tresp = ms(l->connect_us, l->res_us);
		r->ta = ms(start, now);
	} else {
		r->tr = r->tresp = -1;
		r->tw = ms(s->ses->accept_us, l->queue_us);
		r->tc = ms(l->queue_us, l->connect_us);
		r->td = l->connect_us != 0 ? ms(l->connect_us, now) : -1;
		r->ta = (int32_t)((now - start) / 1000);
	}
	r->th = 0;
	r->tt = (int32_t)((now - s->ses->idle_us) / 1000);
}

uint16_t
logrec_proxy(const struct stream *s, const struct proxy *px)
{
	if (likely(px->index < s->model->nproxies && s->model->proxies[px->index] == px))
		return (uint16_t)px->index;
	for (uint32_t i = 0; i < s->model->nproxies; i++)
		if (s->model->proxies[i] == px)
			return (uint16_t)i;
	return UINT16_MAX;
}

static void
fill_text(const struct stream *s, struct logrec *r)
{
	struct sl_str t = s->log.line;

	r->text_len = (uint16_t)sl_min(t.len, (uint32_t)LOGREC_TEXT);
	r->truncated = t.len == LOGREC_TEXT;
	memcpy(r->text, t.p != NULL ? t.p : "", r->text_len);
}

/* The values behind the request line; what finds no room is cut, or as if it were not there. */
static void
fill_values(const struct stream *s, struct logrec *r)
{
	char *p = r->text + r->text_len, *end = p + LOGREC_VALUES;
	uint32_t n = s->log.value != NULL ? s->fe->nlog_values : 0;

	for (uint32_t i = 0; i < n; i++) {
		struct sl_str v = s->log.value[i];
		uint16_t len = LOGREC_NONE;

		if (end - p < (ptrdiff_t)sizeof(len))
			break;
		if (v.p != NULL)
			len = (uint16_t)sl_min(v.len, (uint32_t)(end - p - (ptrdiff_t)sizeof(len)));
		memcpy(p, &len, sizeof(len));
		p += sizeof(len);
		if (v.p != NULL && len > 0)
			memcpy(p, v.p, len);
		p += v.p != NULL ? len : 0;
	}
	r->values_len = (uint16_t)(p - r->text - r->text_len);
}

void
logrec_fill(const struct stream *s, struct logrec *r)
{
	struct bal_shared *sh = s->lc->bal_shared;

	r->accept_wall_us = s->log.first_wall_us;
	r->start_wall_us = s->log.first_wall_us - (s->log.first_us - s->ses->idle_us);
	r->asap = false;
	r->tls = false;
	r->values_len = 0;
	r->no_captures = s->log.head_us == 0;
	r->generation = s->model->generation;
	r->unique = s->unique * s->lc->nlcores + s->lc->id;
	r->bc_src = s->log.bc_src != NULL ? *s->log.bc_src : (struct ip_port){ 0 };
	r->src = s->ses->src;
	r->dst = s->ses->dst;
	r->bc_dst = s->srv != NULL ? *srv_addr(&s->lc->bal_shared->srv[s->srv->slot], s->srv)
				    : (struct ip_port){ 0 };
	r->fe = logrec_proxy(s, s->fe);
	r->be = logrec_proxy(s, s->be);
	r->srv = s->srv != NULL ? (uint16_t)(s->srv - s->be->servers) : UINT16_MAX;
	if (unlikely((s->flags & ST_F_SERVICE) != 0)) {
		struct sl_str name = s->side->svc.name;
		uint32_t n = sl_min(name.len, (uint32_t)sizeof(r->svc) - 3);

		r->srv = LOGREC_SERVICE;
		r->svc[0] = '<';
		memcpy(r->svc + 1, name.p, n);
		memcpy(r->svc + 1 + n, ">", 2);
	}
	fill_timers(s, r);
	r->bytes_in = s->log.bytes_in;
	// as HAProxy: what its parser answers by itself counts nowhere in the record
	r->bytes_out = s->fe->mode == PX_HTTP && s->log.head_us == 0 ? 0 : s->log.bytes_out;
	r->status = s->log.status;
	r->mode = (uint8_t)s->fe->mode;
	r->retries = s->log.retries;
	r->redispatched = s->log.redispatched;
	r->term[0] = s->log.term[0] != '\0' ? s->log.term[0] : '-';
	r->term[1] = s->log.term[1] != '\0' ? s->log.term[1] : '-';
	r->term[2] = r->term[3] = '-'; // cookies
	r->actconn = atomic_load_explicit(&sh->conns, memory_order_relaxed);
	r->feconn = atomic_load_explicit(&sh->px[s->fe->slot].conns, memory_order_relaxed);
	r->beconn = s->px->be_conns[s->be->slot];
	r->srvconn = s->srv != NULL ? srv_cur(s->lc, s->srv) : 0;
	r->srv_queue = 0; // waiting is for a backend, whatever server is free first
	r->be_queue = s->wait.ahead;
	fill_text(s, r);
	if (unlikely(s->log.value != NULL))
		fill_values(s, r);
}

/* What "option log-separate-errors" raises and "option dontlog-normal" keeps. */
static bool
is_error(const struct stream *s)
{
	char who = s->log.term[0];

	return s->log.redispatched || s->log.retries > 0 || (s->log.status >= 500) ||
		(who != '\0' && who != '-' && who != 'L');
}

static uint8_t
level_of(const struct stream *s, bool error)
{
	if (s->log.level > 0)
		return (uint8_t)(s->log.level - 1);
	return error && (s->fe->options & PX_O_LOGERRORS) != 0 ? SL_ERR : SL_INFO;
}

static bool
is_logged(const struct stream *s, bool error)
{
	uint32_t o = s->fe->options;

	if (s->fe->log_mask == 0 || s->model == NULL || s->log.level == TXN_LOG_SILENT ||
		(s->flags & ST_F_LOGGED) != 0)
		return false;
	if ((o & PX_O_DONTLOGNORM) != 0 && !error)
		return false;
	return (o & PX_O_DONTLOGNULL) == 0 || s->log.bytes_in != 0 || s->log.head_us != 0 ||
		s->log.line.len != 0 || s->cs != NULL;
}

/* The record to fill next, the last of `idle`; NULL: all are under way. */
static struct logrec *
next_record(struct logring *r)
{
	uint32_t h = atomic_load_explicit(&r->head, memory_order_acquire);

	while (r->back != h)
		r->idle[r->nidle++] = r->ring[r->back++ & r->mask];
	return r->nidle > 0 ? &r->rec[r->idle[r->nidle - 1]] : NULL;
}

static void
push(struct stream *s)
{
	struct logring *ring = s->lc->logring;
	bool error = is_error(s);
	struct logrec *r;
	const char *next;
	uint32_t t;

	if (!is_logged(s, error))
		return;
	r = next_record(ring);
	if (r == NULL) {
		stat_inc(s->lc, STAT_LOG_DROPPED);
		return;
	}
	logrec_fill(s, r);
	r->level = level_of(s, error);
	r->asap = (s->fe->options & PX_O_LOGASAP) != 0;
	t = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	ring->ring[t & ring->mask] = ring->idle[--ring->nidle];
	atomic_store_explicit(&ring->tail, t + 1, memory_order_release);
	// where records lie in wait the next one is no longer near, or the reader has its lines
	if (ring->nidle > 0) {
		next = (const char *)&ring->rec[ring->idle[ring->nidle - 1]];
		for (uint32_t i = 0; i < AHEAD_LINES; i++)
			__builtin_prefetch(next + (size_t)i * SL_CACHE_LINE, 1);
	}
	stat_inc(s->lc, STAT_LOG_RECORDS);
}

void
logrec_push(struct stream *s)
{
	count_end(s);
	push(s);
}

void
logrec_asap(struct stream *s)
{
	logval_end(s);
	push(s);
	s->flags |= ST_F_LOGGED;
}
