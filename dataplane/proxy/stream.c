// SPDX-License-Identifier: BSD-3-Clause
/*
 * The life of a stream: what is allocated with it and what must be let go, whatever state it ends in.
 *
 * Runs on: the worker. Handlers from below wrap their work in stream_enter()/stream_leave(), so that
 * a stream that ends deep inside stays readable until the outermost one leaves.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

struct stream *
stream_new(struct lcore *lc, struct session *ses)
{
	struct px_lcore *px = lc->px;
	struct stream *s = pool_new(&px->streams);

	if (unlikely(s == NULL))
		return NULL;
	s->lc = lc;
	s->px = px;
	s->ses = ses;
	s->model = ses->bind->model;
	s->fe = s->be = ses->fe;
	s->side = &px->side[pool_index(&px->streams, s)];
	chain_init(&s->side->pre[0]);
	chain_init(&s->side->pre[1]);
	s->side->chan = NULL;
	memset(s->side->look, 0, sizeof(s->side->look));
	s->side->inspect_exp = TICK_NONE;
	s->unique = px->unique++;
	arena_init(&s->arena, &px->src);
	wheel_timer_init(&s->timer, stream_on_timer);
	sl_list_init(&s->wait.node);
	sl_list_init(&s->call.node);
	s->vars.head[VAR_SESS] = ses->vars;
	s->vars.procs = s->model->procs;
	s->view = (struct txn_view){
		.src = ses->src,
		.dst = ses->dst,
		.fe = ses->fe,
		.be = ses->fe,
		.vars = &s->vars,
		.rand = &lc->rand,
		.unique = s->unique,
		.stream = s,
	};
	ses->stream = s;
	counter_add(&lc->gauge_streams, 1);
	counter_inc(&lc->gen[s->model->place].streams);
	return s;
}

struct sl_handle
stream_handle(const struct stream *s)
{
	return pool_handle(&s->px->streams, s);
}

struct stream *
stream_lookup(struct lcore *lc, struct sl_handle h)
{
	return pool_lookup(&lc->px->streams, h);
}

static int
own(struct stream *s, struct http_msg *m)
{
	uint32_t cap = m->len + HTTP_REWRITE;
	char *mem;

	if ((m->flags & HTTP_F_OWNED) != 0)
		return 0;
	mem = arena_alloc(&s->arena, cap);
	return mem != NULL ? http_msg_own(m, mem, cap) : -ENOMEM;
}

char *
stream_head_mem(struct lcore *lc sl_unused, struct muxs *ms sl_unused, void *user, uint32_t size)
{
	struct stream *s = user;

	return arena_alloc(&s->arena, size);
}

int
stream_own_req(struct stream *s)
{
	return own(s, &s->req);
}

int
stream_own_res(struct stream *s)
{
	return own(s, &s->res);
}

int
stream_set_var(
	struct stream *s, enum var_scope scope, struct sl_str name, const struct sample *value)
{
	int rc = var_set(
		&s->vars, scope == VAR_SESS ? &s->ses->arena : &s->arena, scope, name, value);

	s->ses->vars = s->vars.head[VAR_SESS];
	return rc;
}

void
stream_unset_var(struct stream *s, enum var_scope scope, struct sl_str name)
{
	var_unset(&s->vars, scope, name);
	s->ses->vars = s->vars.head[VAR_SESS];
}

void
stream_end(struct stream *s)
{
	struct lcore *lc = s->lc;
	struct muxs *cs = s->cs;
	bool alive = false;

	if (s->phase == ST_DEAD)
		return;
	if ((s->flags & ST_F_CALLED) != 0)
		call_cancel(lc, s);
	if ((s->flags & ST_F_SERVICE) != 0)
		svc_end(s);
	content_end(s);
	s->flags &= ~(ST_F_CALLED | ST_F_PARKED);
	queue_del(lc, &s->wait);
	logval_end(s);
	upstream_release(s);
	wheel_cancel(&lc->wheel, &s->timer);
	if ((s->flags & ST_F_AT_BE) != 0) {
		s->px->be_conns[s->be->slot]--;
		counter_dec(&px_be_cnt(lc, s->be)->cur_conn);
		s->flags &= ~ST_F_AT_BE;
	}
	s->phase = ST_DEAD;
	logrec_push(s);
	if (s->fe->mode == PX_TCP) {
		tcp_mode_close(s);
	} else if (cs != NULL) {
		s->cs = NULL;
		alive = muxs_detach(lc, cs);
		session_stream_ended(s->ses, alive);
	}
	s->ses = NULL;
	arena_reset(&s->arena);
}

void
stream_leave(struct stream *s)
{
	struct lcore *lc = s->lc;

	if (--s->depth > 0)
		return;
	if (s->phase == ST_DEAD) {
		counter_dec(&lc->gauge_streams);
		counter_dec(&lc->gen[s->model->place].streams);
		pool_free(&s->px->streams, s);
	} else {
		stream_rearm(s);
	}
	queue_run(lc);
}
