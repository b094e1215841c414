// SPDX-License-Identifier: BSD-3-Clause
/*
 * Streams as main asks for them: rows, ends by command, malformed heads.
 *
 * Runs on: the worker, a bounded step per message.
 */
#include "dataplane/proxy/survey.h"

#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

static const char *
phase_name(enum st_phase p)
{
	static const char *const names[] = {
		[ST_REQ_HEAD] = "REQ_HEAD",
		[ST_REQ_RULES_FE] = "REQ_RULES_FE",
		[ST_REQ_RULES_BE] = "REQ_RULES_BE",
		[ST_QUEUE] = "QUEUE",
		[ST_PAUSE] = "PAUSE",
		[ST_CONNECT] = "CONNECT",
		[ST_WAIT_RES] = "WAIT_RES",
		[ST_RES_RULES_BE] = "RES_RULES_BE",
		[ST_RES_RULES_FE] = "RES_RULES_FE",
		[ST_DATA] = "DATA",
		[ST_TUNNEL] = "TUNNEL",
		[ST_REPLY] = "REPLY",
		[ST_DEAD] = "DEAD",
	};

	return names[p];
}

static void
fill_end(const struct conn *c, struct survey_end *e)
{
	*e = (struct survey_end){ .state = "-" };
	if (c == NULL)
		return;
	e->open = true;
	e->host = conn_is_host(c);
	e->state = conn_state(c);
	conn_addrs(c, &e->local, &e->remote);
	e->queued = conn_send_queued(c);
	e->received = conn_rx(c)->len;
}

static struct survey_name
name(struct sl_str s, uint32_t id, bool http)
{
	struct survey_name n = { .id = (int32_t)id, .http = http };

	n.len = sl_min(s.len, (uint32_t)sizeof(n.text));
	memcpy(n.text, s.p, n.len);
	return n;
}

static const struct survey_name no_name = { .id = -1 };

static struct survey_name
proxy_name(const struct proxy *p, uint32_t cap)
{
	if (p == NULL || (p->caps & cap) == 0)
		return no_name; // a frontend stands for its backend until one is chosen
	return name(p->name, p->id, p->mode == PX_HTTP);
}

static struct survey_name
server_name(const struct server *srv)
{
	return srv != NULL ? name(srv->name, srv->id, false) : no_name;
}

static int32_t
left(const struct stream *s, sl_tick date)
{
	return tick_is_set(date) ? (int32_t)sl_max((int32_t)(date - s->lc->now), 0) : -1;
}

static void
fill_row(const struct stream *s, struct survey_row *r)
{
	bool waits = s->phase >= ST_QUEUE && s->phase <= ST_CONNECT;
	struct sl_str line = s->log.line;

	*r = (struct survey_row){
		.id = stream_handle(s),
		.unique = s->unique,
		.fe = proxy_name(s->fe, PX_CAP_FE),
		.be = proxy_name(s->be, PX_CAP_BE),
		.srv = server_name(s->srv),
		.phase = phase_name(s->phase),
		.phase_nr = (uint8_t)s->phase,
		.parked = (s->flags & ST_F_PARKED) != 0,
		.kept = (s->flags & ST_F_KEPT) != 0,
		.term = { s->log.term[0], s->log.term[1] },
		.retries = s->log.retries,
		.flags = s->flags,
		.start_wall_us = s->log.first_wall_us,
		.age_ms = (uint32_t)((s->lc->now_us - s->log.first_us) / 1000),
		.cli_ms = left(s, s->cli_exp),
		.srv_ms = left(s, s->srv_exp),
		.wait_ms = waits ? left(s, s->wait_exp) : -1,
		.req_ms = left(s, s->req_exp),
		.bytes_in = s->log.bytes_in,
		.bytes_out = s->log.bytes_out,
		.status = s->log.status,
		.line_len = sl_min(line.len, (uint32_t)sizeof(r->line)),
	};
	if (r->line_len > 0)
		memcpy(r->line, line.p, r->line_len);
	fill_end(s->cs != NULL ? mux_conn(muxs_mux(s->cs)) : s->cli.c, &r->cli);
	fill_end(s->ss != NULL ? mux_conn(muxs_mux(s->ss)) : s->back.c, &r->back);
}

static struct stream *
live(struct px_lcore *px, uint32_t i)
{
	struct stream *s = pool_is_live(&px->streams, i) ? pool_at(&px->streams, i) : NULL;

	return s != NULL && s->phase != ST_DEAD ? s : NULL;
}

static struct stream *
named(struct lcore *lc, const struct survey *q)
{
	struct stream *s = stream_lookup(lc, q->one);

	return s != NULL && s->phase != ST_DEAD ? s : NULL;
}

static void
streams(struct lcore *lc, struct survey *q)
{
	struct px_lcore *px = lc->px;
	uint32_t stop = sl_min(q->next + SURVEY_STEP, px->streams.nr);

	q->n = 0;
	if (q->has_one) {
		const struct stream *s = named(lc, q);

		if (s != NULL)
			fill_row(s, &q->row[q->n++]);
		q->end = true;
		return;
	}
	for (; q->next < stop && q->n < SURVEY_ROWS; q->next++) {
		const struct stream *s = live(px, q->next);

		if (s != NULL)
			fill_row(s, &q->row[q->n++]);
	}
	q->end = q->next >= px->streams.nr;
}

/* As HAProxy: K, and the letter of the phase; 502 where a response was awaited, 503 before. */
static void
kill(struct stream *s)
{
	char term[2] = { 'K', txn_phase_letter(s) };

	stream_enter(s);
	txn_fail(s, s->phase >= ST_WAIT_RES ? 502 : 503, term);
	stream_leave(s);
}

static void
kill_one(struct lcore *lc, struct survey *q)
{
	struct stream *s = named(lc, q);

	q->n = s != NULL;
	q->end = true;
	if (s != NULL)
		kill(s);
}

static void
kill_server(struct lcore *lc, struct survey *q)
{
	struct px_lcore *px = lc->px;
	uint32_t stop = sl_min(q->next + SURVEY_STEP, px->streams.nr);

	q->n = 0;
	for (; q->next < stop && q->n < SURVEY_KILLS; q->next++) {
		struct stream *s = live(px, q->next);

		if (s == NULL || s->srv == NULL || s->srv->slot != q->slot)
			continue;
		kill(s);
		q->n++;
	}
	q->end = q->next >= px->streams.nr;
}

/* ---- malformed heads ---- */

void
survey_keep_bad(struct stream *s, struct muxs *ms, bool response)
{
	struct px_lcore *px = s->px;
	struct survey_bad *b = &px->bad[px->nbad % PX_BAD_HEADS];

	*b = (struct survey_bad){
		.wall_us = s->lc->wall_us,
		.event = px->nbad++,
		.fe = proxy_name(s->fe, PX_CAP_FE),
		.be = response ? proxy_name(s->be, PX_CAP_BE) : no_name,
		.srv = response ? server_name(s->srv) : no_name,
		.response = response,
		.why = h1_error_name(muxs_parse_error(ms)),
		.src = s->ses->src,
	};
	b->len = muxs_bad_head(ms, b->text, sizeof(b->text), &b->total, &b->pos);
}

/* One a step: `next` is its number, from the oldest that is kept. */
static void
errors(struct lcore *lc, struct survey *q)
{
	struct px_lcore *px = lc->px;
	uint32_t oldest = px->nbad > PX_BAD_HEADS ? px->nbad - PX_BAD_HEADS : 0;

	q->next = sl_max(q->next, oldest);
	q->events = px->nbad;
	q->n = q->next < px->nbad;
	if (q->n > 0)
		q->bad = px->bad[q->next++ % PX_BAD_HEADS];
	q->end = q->next >= px->nbad;
}

void
survey_message(struct lcore *lc, const struct xmsg *m)
{
	struct survey *q = (struct survey *)(uintptr_t)m->w[1];
	struct xmsg told = { .w = { XMSG_SURVEYED, m->w[1] } };

	switch ((enum survey_what)q->what) {
	case SURVEY_STREAMS:
		streams(lc, q);
		break;
	case SURVEY_KILL:
		kill_one(lc, q);
		break;
	case SURVEY_KILL_SERVER:
		kill_server(lc, q);
		break;
	case SURVEY_ERRORS:
	default:
		errors(lc, q);
		break;
	}
	queue_run(lc);
	atomic_store_explicit(&q->told, true, memory_order_release);
	// without room main finds out by its timer
	if (xring_push(&lc->main.from, &told))
		lc->main.dirty = true;
}
