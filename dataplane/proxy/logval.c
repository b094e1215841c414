// SPDX-License-Identifier: BSD-3-Clause
/*
 * Values of a record: captures of fields, expressions of the log format, the unique-id.
 *
 * Runs on: the worker. All of them are copies in the stream's arena, so that nothing of a message has
 * to live until the record is made; a proxy without any pays one branch. Without memory a value is
 * not there, as if nothing had been found. Follows: HAProxy: the last field of a name is captured,
 * in the frontend, as it was received.
 */
#include "dataplane/proxy/logfmt.h"
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

#define UNIQUE_ID_MAX 128 // bytes, as HAProxy

static struct sl_str *
values(struct stream *s)
{
	if (s->log.value == NULL)
		s->log.value = arena_zalloc(
			&s->arena, s->fe->nlog_values * sizeof(s->log.value[0]));
	return s->log.value;
}

void
logval_set(struct stream *s, uint32_t index, uint32_t max, struct sl_str text)
{
	struct sl_str *v = index < s->fe->nlog_values ? values(s) : NULL;

	if (v != NULL)
		v[index] = arena_str(&s->arena, sl_str_make(text.p, sl_min(text.len, max)));
}

struct sl_str
logval_get(const struct stream *s, uint32_t index)
{
	if (s->log.value == NULL || index >= s->fe->nlog_values)
		return SL_STR_NULL;
	return s->log.value[index];
}

static struct sl_str
last_field(const struct http_msg *m, struct sl_str name)
{
	struct sl_str found = SL_STR_NULL;
	uint16_t pos = 0;

	for (int i = http_hdr_find(m, name, &pos); i >= 0; i = http_hdr_find(m, name, &pos))
		found = http_str(m, m->hdr[i].value);
	return found;
}

static void
capture(struct stream *s, const struct http_msg *m, const struct px_capture *cap, uint32_t n,
	uint32_t first)
{
	for (uint32_t i = 0; i < n; i++) {
		struct sl_str v = cap[i].name.len > 0 ? last_field(m, cap[i].name) : SL_STR_NULL;

		if (v.p != NULL)
			logval_set(s, first + i, cap[i].len, v);
	}
}

void
logval_request(struct stream *s)
{
	if (unlikely(s->fe->nreq_cap > 0))
		capture(s, &s->req, s->fe->req_cap, s->fe->nreq_cap, LOGREC_CAPTURES);
}

void
logval_response(struct stream *s)
{
	if (unlikely(s->fe->nres_cap > 0))
		capture(s, &s->res, s->fe->res_cap, s->fe->nres_cap,
			LOGREC_CAPTURES + s->fe->nreq_cap);
}

/* ---- expressions ---- */

/* What a format's ACT does: its number is that of the value. */
static enum act_ret
on_value(struct prog_env *e, const void *act, struct sample *args, uint32_t n)
{
	struct stream *s = e->owner;

	if (n == 1 && args[0].type == T_STR)
		logval_set(s, (uint32_t)(uintptr_t)act, LOGREC_VALUES, args[0].s);
	return ACT_CONT;
}

static bool
was_request(const struct stream *s)
{
	return s->fe->mode != PX_HTTP || s->log.head_us != 0;
}

static void
evaluate(struct stream *s, const struct log_format *f)
{
	struct prog_env env = { .view = &s->view, .mem = &s->arena, .owner = s, .act = on_value };
	struct prog_cursor c;

	if (f == NULL || f->prog == NULL)
		return;
	s->view.now_us = s->lc->now_us;
	s->view.wall_us = s->lc->wall_us;
	s->view.fe = s->fe;
	s->view.be = was_request(s) ? s->be : NULL;
	s->view.srv = s->srv;
	prog_start(&c, f->prog); // the stream's own may be at the rule that ended it
	prog_run(&c, &env);
}

struct sl_str
logval_unique_id(struct stream *s)
{
	struct logfmt_env env = { .m = s->model, .pid = s->px->pid };
	char text[UNIQUE_ID_MAX];
	struct logrec r;
	struct sl_buf b;

	if (s->fe->unique_id == NULL || !was_request(s))
		return SL_STR_NULL;
	if (logval_get(s, LOGREC_UNIQUE_ID).p != NULL)
		return s->log.value[LOGREC_UNIQUE_ID];
	evaluate(s, s->fe->unique_id);
	logrec_fill(s, &r);
	sl_buf_init(&b, text, sizeof(text));
	logfmt_print(&b, s->fe->unique_id, &r, &env);
	logval_set(s, LOGREC_UNIQUE_ID, UNIQUE_ID_MAX, sl_buf_str(&b));
	return logval_get(s, LOGREC_UNIQUE_ID);
}

static void
keep_source(struct stream *s)
{
	const struct conn *c = s->back.c;

	if (s->ss != NULL)
		c = mux_conn(muxs_mux(s->ss));
	if (c == NULL || s->phase < ST_WAIT_RES)
		return;
	s->log.bc_src = arena_alloc(&s->arena, sizeof(*s->log.bc_src));
	if (s->log.bc_src != NULL) {
		struct ip_port remote;

		conn_addrs(c, s->log.bc_src, &remote);
	}
}

/*
 * A head that is not our copy may be gone from the receive buffer by now: its line was kept, and the
 * method is all of it that expressions may look at here.
 */
static void
view_line(struct stream *s)
{
	struct http_msg *m;
	bool had = s->view.req != NULL;

	if ((s->req.flags & HTTP_F_OWNED) != 0)
		return;
	s->view.req = NULL;
	(void)logval_unique_id(s); // as in HAProxy nothing of the head is found then
	if (!had)
		return;
	m = arena_alloc(&s->arena, sizeof(*m));
	s->view.req = m;
	if (m == NULL)
		return;
	*m = s->req;
	m->base = (char *)(uintptr_t)s->log.line.p;
	m->method.off = 0;
	m->method.len = sl_min(m->method.len, s->log.line.len);
}

void
logval_end(struct stream *s)
{
	const struct proxy *fe = s->fe;

	if (likely(fe->nlog_values == 0 && !fe->log_bc) || fe->log_mask == 0 ||
		(s->flags & ST_F_LOGGED) != 0)
		return;
	if (fe->log_bc)
		keep_source(s);
	if (fe->nlog_values == 0)
		return;
	view_line(s);
	if (fe->mode == PX_HTTP && s->log.head_us == 0 && fe->log_err != NULL) {
		evaluate(s, fe->log_err);
		return;
	}
	(void)logval_unique_id(s);
	evaluate(s, fe->log_fmt);
	evaluate(s, fe->log_sd);
}
