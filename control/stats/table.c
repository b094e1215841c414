// SPDX-License-Identifier: BSD-3-Clause
/*
 * The rows of "show stat": what each kind of row has, from counters, the servers' book and samples.
 *
 * Runs on: main. Follows: HAProxy 2.6: which cell of which row is filled, and in which mode. What
 * sluice has not (TLS, compression, cache, agents) is 0 where HAProxy's would be 0.
 */
#include "control/stats/table.h"

#include <stdio.h>
#include <time.h>

static const struct {
	const char *name, *tags, *help;
} columns[ST_NR] = {
#define F(sym, n, t, h) [ST_##sym] = { n, t, h },
#define MARK()
#include "control/stats/stat_fields.def"
#undef F
#undef MARK
};

static const char csv_head[] = "# "
#define F(sym, n, t, h) n ","
#define MARK()          "-,"
#include "control/stats/stat_fields.def"
#undef F
#undef MARK
			       "\n";

static uint32_t
average(uint64_t sum, uint64_t n)
{
	return n == 0 ? 0 : (uint32_t)(sum / n);
}

static void
fill_common(struct field *f, const struct proxy *p, struct sl_str svname, uint32_t sid, uint32_t type)
{
	f[ST_PXNAME] = field_str(p->name);
	f[ST_SVNAME] = field_str(svname);
	f[ST_PID] = field_u32(1);
	f[ST_IID] = field_u32(p->id);
	f[ST_SID] = field_u32(sid);
	f[ST_TYPE] = field_u32(type);
	f[ST_MODE] = field_str(p->mode == PX_HTTP ? SL_STR("http") : SL_STR("tcp"));
}

static void
fill_classes(struct field *f, const struct px_sums *c)
{
	f[ST_HRSP_1XX] = field_u64(c->rsp_1xx);
	f[ST_HRSP_2XX] = field_u64(c->rsp_2xx);
	f[ST_HRSP_3XX] = field_u64(c->rsp_3xx);
	f[ST_HRSP_4XX] = field_u64(c->rsp_4xx);
	f[ST_HRSP_5XX] = field_u64(c->rsp_5xx);
	f[ST_HRSP_OTHER] = field_u64(c->rsp_other);
}

static void
fill_zeros(struct field *f, enum stat_field first, enum stat_field last)
{
	for (int i = (int)first; i <= (int)last; i++)
		f[i] = field_u64(0);
}

static uint32_t
frontend_limit(const struct stats_src *s, const struct proxy *p)
{
	uint32_t set = atomic_load_explicit(&s->bal->px[p->slot].maxconn, memory_order_relaxed);

	return set != UINT32_MAX ? set : p->maxconn != 0 ? p->maxconn : s->maxconn;
}

/* Stopped by a signal, or by command. */
static struct sl_str
status_of(const struct stats_src *s, const struct proxy *p)
{
	uint8_t stop = atomic_load_explicit(&s->bal->px[p->slot].stop, memory_order_relaxed);

	if (s->stopping || stop == PX_STOP_SHUT)
		return SL_STR("STOP");
	return stop == PX_STOP_DISABLED ? SL_STR("PAUSED") : SL_STR("OPEN");
}

/* The most at a time: what one worker saw, or what all had at one of our looks. */
static uint64_t
most(const struct stats_src *s, enum stats_set set, uint32_t slot, const struct rates_of *r,
	uint64_t cur)
{
	uint64_t looked = sl_max((uint64_t)r->cur_max, cur);

	return sl_max(looked, stats_max_px(s->lc, s->nlc, set, slot, PX_MAX_CONN));
}

static void
fill_maxima(const struct stats_src *s, struct field *f, enum stats_set set, uint32_t slot)
{
	static const struct {
		enum stat_field field;
		enum px_max max;
	} all[] = { { ST_QTIME_MAX, PX_MAX_Q_MS }, { ST_CTIME_MAX, PX_MAX_C_MS },
		{ ST_RTIME_MAX, PX_MAX_R_MS }, { ST_TTIME_MAX, PX_MAX_T_MS } };

	for (size_t i = 0; i < SL_ARRAY_SIZE(all); i++)
		f[all[i].field] =
			field_u32(stats_max_px(s->lc, s->nlc, set, slot, all[i].max));
}

void
stat_fill_frontend(const struct stats_src *s, const struct proxy *p, struct field *f)
{
	const struct rates_of *r = &s->rates->px[p->slot];
	bool http = p->mode == PX_HTTP;
	struct px_sums c;

	stats_sum_px(s->lc, s->nlc, STATS_PROXY, p->slot, &c);
	fill_common(f, p, SL_STR("FRONTEND"), 0, 0);
	f[ST_SCUR] = field_u32(c.cur_conn);
	f[ST_SMAX] = field_u32(most(s, STATS_PROXY, p->slot, r, c.cur_conn));
	f[ST_SLIM] = field_u32(frontend_limit(s, p));
	f[ST_STOT] = field_u64(c.cum_conn);
	f[ST_BIN] = field_u64(c.bytes_in);
	f[ST_BOUT] = field_u64(c.bytes_out);
	f[ST_DREQ] = field_u64(c.denied_req);
	f[ST_DRESP] = field_u64(c.denied_res);
	f[ST_EREQ] = field_u64(c.failed_req);
	f[ST_STATUS] = field_str(status_of(s, p));
	f[ST_RATE] = field_u32(r->sess.rate);
	f[ST_RATE_LIM] = field_u32(0);
	f[ST_RATE_MAX] = (struct field){ FIELD_U32, "MMP", r->sess.max, SL_STR_NULL };
	if (http) {
		fill_classes(f, &c);
		f[ST_INTERCEPTED] = field_u64(c.intercepted);
		f[ST_CACHE_LOOKUPS] = field_u64(0);
		f[ST_CACHE_HITS] = field_u64(0);
	}
	if (http) {
		f[ST_REQ_RATE] = field_u32(r->req.rate);
		f[ST_REQ_RATE_MAX] = field_u32(r->req.max);
		f[ST_REQ_TOT] = field_u64(c.cum_req);
	} else {
		f[ST_REQ_RATE] = field_u32(0);
		f[ST_REQ_RATE_MAX] = field_u32(0);
		f[ST_REQ_TOT] = field_u64(0);
	}
	fill_zeros(f, ST_COMP_IN, ST_COMP_RSP);
	f[ST_CONN_RATE] = field_u32(r->sess.rate);
	f[ST_CONN_RATE_MAX] = field_u32(r->sess.max);
	f[ST_CONN_TOT] = field_u64(c.cum_conn);
	fill_zeros(f, ST_DCON, ST_WREW);
	f[ST_EINT] = field_u64(0);
	fill_zeros(f, ST_SSL_SESS, ST_H2_BACKEND_TOTAL_STREAMS);
	fill_zeros(f, ST_H1_OPEN_CONNECTIONS, (enum stat_field)(ST_NR - 1));
	if (http) {
		f[ST_H1_OPEN_CONNECTIONS] = field_u64(c.cur_conn);
		f[ST_H1_TOTAL_CONNECTIONS] = field_u64(c.cum_conn);
		f[ST_H1_TOTAL_STREAMS] = field_u64(c.cum_req);
		f[ST_H1_BYTES_IN] = field_u64(c.bytes_in);
		f[ST_H1_BYTES_OUT] = field_u64(c.bytes_out);
	}
}

/* What servers and backends share. */
static void
fill_upstream(struct field *f, const struct px_sums *c, const struct rates_of *r, bool http)
{
	f[ST_QCUR] = field_u32(0);
	f[ST_QMAX] = field_u32(0);
	f[ST_SCUR] = field_u32(c->cur_conn);
	f[ST_STOT] = field_u64(c->cum_conn);
	f[ST_BIN] = field_u64(c->bytes_in);
	f[ST_BOUT] = field_u64(c->bytes_out);
	f[ST_DRESP] = field_u64(c->denied_res);
	f[ST_ECON] = field_u64(c->failed_conn);
	f[ST_ERESP] = field_u64(c->failed_resp);
	f[ST_WRETR] = field_u64(c->retries);
	f[ST_WREDIS] = field_u64(c->redispatches);
	f[ST_LBTOT] = field_u64(c->lb_picks);
	if (http) {
		fill_classes(f, c);
		f[ST_REQ_TOT] = field_u64(c->cum_req);
	}
	f[ST_CLI_ABRT] = field_u64(c->cli_aborts);
	f[ST_SRV_ABRT] = field_u64(c->srv_aborts);
	f[ST_LASTSESS] = field_s32(
		r->last_session == 0 ? -1 : (int64_t)time(NULL) - (int64_t)r->last_session);
	f[ST_QTIME] = field_u32(average(c->q_ms, c->timed));
	f[ST_CTIME] = field_u32(average(c->c_ms, c->timed));
	f[ST_RTIME] = field_u32(average(c->r_ms, c->timed));
	f[ST_TTIME] = field_u32(average(c->t_ms, c->timed));
	f[ST_WREW] = field_u64(0);
	f[ST_CONNECT] = field_u64(c->connects);
	f[ST_REUSE] = field_u64(c->reuses);
	f[ST_EINT] = field_u64(0);
}

void
stat_fill_backend(const struct stats_src *s, const struct proxy *p, struct field *f)
{
	const struct rates_of *r = &s->rates->px[p->be_slot];
	struct backend_view v;
	struct px_sums c;
	uint32_t queued = 0;

	stats_sum_px(s->lc, s->nlc, STATS_PROXY, p->be_slot, &c);
	for (uint16_t w = 0; w < s->nlc; w++)
		queued += queue_len(s->lc[w], p);
	servers_view_backend(s->checks, p, &v);
	fill_common(f, p, SL_STR("BACKEND"), 0, 1);
	fill_upstream(f, &c, r, p->mode == PX_HTTP);
	f[ST_QCUR] = field_u32(queued);
	f[ST_QMAX] = field_u32(stats_max_px(s->lc, s->nlc, STATS_PROXY, p->be_slot, PX_MAX_QUEUED));
	f[ST_SMAX] = field_u32(most(s, STATS_PROXY, p->be_slot, r, c.cur_conn));
	fill_maxima(s, f, STATS_PROXY, p->be_slot);
	f[ST_SLIM] = field_u32(sl_max(s->maxconn / 10, 1u)); // HAProxy's default of fullconn
	f[ST_DREQ] = field_u64(c.denied_req);
	f[ST_STATUS] = field_str(v.up ? SL_STR("UP") : SL_STR("DOWN"));
	f[ST_WEIGHT] = field_u32(v.weight);
	f[ST_ACT] = (struct field){ FIELD_U32, "MGP", v.active, SL_STR_NULL };
	f[ST_BCK] = (struct field){ FIELD_U32, "MGP", v.backup, SL_STR_NULL };
	f[ST_CHKDOWN] = field_u64(v.chkdown);
	f[ST_LASTCHG] = field_u32(v.lastchg_s);
	if (p->nservers > 0)
		f[ST_DOWNTIME] = field_u32(v.downtime_s);
	f[ST_RATE] = (struct field){ FIELD_U32, "MGP", r->sess.rate, SL_STR_NULL };
	f[ST_RATE_MAX] = (struct field){ FIELD_U32, "MGP", r->sess.max, SL_STR_NULL };
	fill_zeros(f, ST_COMP_IN, ST_COMP_RSP);
	f[ST_ALGO] = field_str(SL_STR("roundrobin"));
	if (p->mode == PX_HTTP) {
		f[ST_CACHE_LOOKUPS] = field_u64(0);
		f[ST_CACHE_HITS] = field_u64(0);
	}
	f[ST_UWEIGHT] = field_u32(v.weight);
	f[ST_AGG_SERVER_STATUS] = field_u32(0);
	f[ST_AGG_SERVER_CHECK_STATUS] = field_u32(0);
	f[ST_AGG_CHECK_STATUS] = field_u32(0);
	fill_zeros(f, ST_SSL_SESS, (enum stat_field)(ST_NR - 1));
	f[ST_H1_TOTAL_CONNECTIONS] = field_u64(c.connects);
	f[ST_H1_TOTAL_STREAMS] = field_u64(c.cum_req);
}

static struct sl_str
server_status(const struct server_view *v, struct stat_texts *t)
{
	uint32_t top = (uint32_t)v->rise + v->fall - 1;

	switch (v->state) {
	case SRV_MAINT:
		return SL_STR("MAINT");
	case SRV_DOWN:
		if (!v->checked || v->health == 0)
			return SL_STR("DOWN");
		snprintf(t->status, sizeof(t->status), "DOWN %u/%u", v->health, v->rise);
		return sl_str_c(t->status);
	case SRV_DRAIN:
		return v->stopping && (v->admin & SRV_ADM_DRAIN) == 0 ? SL_STR("NOLB")
								      : SL_STR("DRAIN");
	default:
		break;
	}
	if (!v->checked || v->paused)
		return SL_STR("no check");
	if (v->weight == 0)
		return SL_STR("DRAIN");
	if (v->health >= top)
		return SL_STR("UP");
	snprintf(t->status, sizeof(t->status), "UP %u/%u", v->health - v->rise + 1, v->fall);
	return sl_str_c(t->status);
}

static void
fill_check(struct field *f, const struct server_view *v, struct stat_texts *t)
{
	f[ST_CHKFAIL] = field_u64(v->chkfail);
	f[ST_CHKDOWN] = field_u64(v->chkdown);
	f[ST_DOWNTIME] = field_u32(v->downtime_s);
	if (v->state == SRV_MAINT || v->paused)
		return;
	snprintf(t->check, sizeof(t->check), "%s%s", v->running && v->has_result ? "* " : "",
		v->check_status);
	f[ST_CHECK_STATUS] = field_str(sl_str_c(t->check));
	if (v->check_code != 0)
		f[ST_CHECK_CODE] = field_u32(v->check_code);
	if (v->has_result) {
		f[ST_CHECK_DURATION] = field_u64(v->check_ms);
		f[ST_LAST_CHK] = field_str(sl_str_c(v->check_info));
	}
	f[ST_CHECK_DESC] = field_str(sl_str_c(v->check_desc));
	f[ST_CHECK_RISE] = field_u32(v->rise);
	f[ST_CHECK_FALL] = field_u32(v->fall);
	f[ST_CHECK_HEALTH] = field_u32(v->health);
}

static uint32_t
idle_of(const struct stats_src *s, uint32_t slot)
{
	uint64_t n = 0;

	for (uint16_t w = 0; w < s->nlc; w++)
		n += idle_count(s->lc[w], slot);
	return (uint32_t)n;
}

void
stat_fill_server(const struct stats_src *s, const struct server *srv, struct field *f,
	struct stat_texts *t)
{
	struct server_view v;
	struct px_sums c;
	struct sl_buf b;
	uint32_t idle = idle_of(s, srv->slot);

	stats_sum_px(s->lc, s->nlc, STATS_SERVER, srv->slot, &c);
	servers_view(s->checks, srv, &v);
	fill_common(f, srv->be, srv->name, srv->id, 2);
	fill_upstream(f, &c, &s->rates->srv[srv->slot], srv->be->mode == PX_HTTP);
	f[ST_SMAX] = field_u32(
		most(s, STATS_SERVER, srv->slot, &s->rates->srv[srv->slot], c.cur_conn));
	fill_maxima(s, f, STATS_SERVER, srv->slot);
	if (v.maxconn != 0)
		f[ST_SLIM] = field_u32(v.maxconn);
	f[ST_STATUS] = field_str(server_status(&v, t));
	f[ST_WEIGHT] = field_u32(v.weight);
	f[ST_ACT] = (struct field){ FIELD_U32, "SGP", !srv->backup, SL_STR_NULL };
	f[ST_BCK] = (struct field){ FIELD_U32, "SGP", srv->backup, SL_STR_NULL };
	f[ST_LASTCHG] = field_u32(v.lastchg_s);
	if (v.checked)
		fill_check(f, &v, t);
	f[ST_RATE] = field_u32(s->rates->srv[srv->slot].sess.rate);
	f[ST_RATE_MAX] = field_u32(s->rates->srv[srv->slot].sess.max);
	sl_buf_init(&b, t->addr, sizeof(t->addr));
	addr_format_port(&b, &v.addr);
	f[ST_ADDR] = field_str(sl_buf_str(&b));
	f[ST_SRV_ICUR] = field_u32(idle);
	f[ST_IDLE_CONN_CUR] = field_u32(0);
	f[ST_SAFE_CONN_CUR] = field_u32(idle);
	f[ST_USED_CONN_CUR] = field_u32(c.cur_conn);
	f[ST_NEED_CONN_EST] = field_u32(s->rates->srv[srv->slot].cur_max);
	f[ST_UWEIGHT] = field_u32(v.weight);
	fill_zeros(f, ST_SSL_SESS, ST_SSL_FAILED_HANDSHAKE);
}

void
stat_fill_listener(const struct stats_src *s, const struct listen_addr *l, struct field *f,
	struct stat_texts *t)
{
	const struct rates_of *r = &s->rates->bind[l->slot];
	uint32_t sid = 1 + (uint32_t)(l - l->fe->binds);
	struct px_sums c;
	struct sl_buf b;

	stats_sum_px(s->lc, s->nlc, STATS_LISTENER, l->slot, &c);
	sl_buf_init(&b, t->addr, sizeof(t->addr));
	addr_format_port(&b, &l->addr);
	snprintf(t->status, sizeof(t->status), "sock-%u", sid);
	fill_common(f, l->fe, l->name.len > 0 ? l->name : sl_str_c(t->status), sid, 3);
	f[ST_SCUR] = field_u32(c.cur_conn);
	f[ST_SMAX] = field_u32(sl_max((uint64_t)r->cur_max, c.cur_conn));
	f[ST_SLIM] = field_u32(l->maxconn != 0 ? l->maxconn : frontend_limit(s, l->fe));
	f[ST_STOT] = field_u64(c.cum_conn);
	f[ST_BIN] = field_u64(c.bytes_in);
	f[ST_BOUT] = field_u64(c.bytes_out);
	fill_zeros(f, ST_DREQ, ST_EREQ);
	f[ST_STATUS] = field_str(s->stopping ? SL_STR("WAITING") : SL_STR("OPEN"));
	f[ST_ADDR] = field_str(sl_buf_str(&b));
	fill_zeros(f, ST_DCON, ST_WREW);
	f[ST_EINT] = field_u64(0);
}

/* ---- the three forms ---- */

static void
row_csv(const struct field *f, const struct field_out *o)
{
	for (int i = 0; i < ST_NR; i++) {
		if (i == ST_SSL_SESS)
			o->add(o->ctx, "-,", 2);
		field_csv(o, &f[i]);
		o->add(o->ctx, ",", 1);
	}
	o->add(o->ctx, "\n", 1);
}

static void
row_typed(const struct field *f, const struct field_out *o, bool desc)
{
	static const char kinds[] = "FBSL";

	for (int i = 0; i < ST_NR; i++) {
		if (f[i].kind == FIELD_NONE)
			continue;
		field_printf(o, "%c.%u.%u.%d.%s.1:", kinds[f[ST_TYPE].n], (unsigned)f[ST_IID].n,
			(unsigned)f[ST_SID].n, i, columns[i].name);
		field_typed(o, &f[i], columns[i].tags);
		if (desc)
			field_printf(o, ":\"%s\"", columns[i].help);
		field_puts(o, "\n");
	}
}

static void
row_json(const struct field *f, const struct field_out *o)
{
	static const char *const kinds[] = { "Frontend", "Backend", "Server", "Listener" };
	bool first = true;

	field_puts(o, "[");
	for (int i = 0; i < ST_NR; i++) {
		if (f[i].kind == FIELD_NONE)
			continue;
		field_printf(o,
			"%s{\"objType\":\"%s\",\"proxyId\":%u,\"id\":%u,"
			"\"field\":{\"pos\":%d,\"name\":\"%s\"},\"processNum\":1,",
			first ? "" : ",", kinds[f[ST_TYPE].n], (unsigned)f[ST_IID].n,
			(unsigned)f[ST_SID].n, i, columns[i].name);
		field_json(o, &f[i], columns[i].tags);
		field_puts(o, "}");
		first = false;
	}
	field_puts(o, "]");
}

struct dump {
	const struct stat_query *q;
	const struct field_out *o;
	uint32_t rows;
};

static void
row(struct dump *d, const struct field *f)
{
	if (d->q->form == FORM_JSON && d->rows > 0)
		field_puts(d->o, ",");
	d->rows++;
	if (d->q->form == FORM_CSV)
		row_csv(f, d->o);
	else if (d->q->form == FORM_TYPED)
		row_typed(f, d->o, d->q->desc);
	else
		row_json(f, d->o);
}

static bool
wants(const struct stat_query *q, uint32_t bit)
{
	return q->type < 0 || (q->type & bit) != 0;
}

static void
dump_servers(const struct stats_src *s, const struct proxy *p, struct dump *d)
{
	for (uint32_t i = 0; i < p->nservers; i++) {
		const struct server *srv = &p->servers[i];
		struct field f[ST_NR] = { 0 };
		struct stat_texts t;
		struct server_view v;

		servers_view(s->checks, srv, &v);
		if ((d->q->sid >= 0 && d->q->sid != srv->id) ||
			(d->q->up && v.state != SRV_UP && v.state != SRV_DRAIN) ||
			(d->q->no_maint && v.state == SRV_MAINT))
			continue;
		stat_fill_server(s, srv, f, &t);
		row(d, f);
	}
}

static void
dump_proxy(const struct stats_src *s, const struct proxy *p, struct dump *d)
{
	bool one = d->q->sid > 0; // servers and listeners only

	if ((p->caps & PX_CAP_FE) != 0 && !one && wants(d->q, 1)) {
		struct field f[ST_NR] = { 0 };

		stat_fill_frontend(s, p, f);
		row(d, f);
	}
	for (uint32_t i = 0; (p->options & PX_O_SOCKET_STATS) != 0 && i < p->nbinds; i++) {
		struct field f[ST_NR] = { 0 };
		struct stat_texts t;

		if (!wants(d->q, 8) || (d->q->sid >= 0 && d->q->sid != i + 1))
			continue;
		stat_fill_listener(s, &p->binds[i], f, &t);
		row(d, f);
	}
	if ((p->caps & PX_CAP_BE) == 0)
		return;
	if (wants(d->q, 4))
		dump_servers(s, p, d);
	if (!one && wants(d->q, 2)) {
		struct field f[ST_NR] = { 0 };

		stat_fill_backend(s, p, f);
		row(d, f);
	}
}

void
stat_dump(const struct stats_src *s, const struct stat_query *q, const struct field_out *o)
{
	struct dump d = { .q = q, .o = o };

	if (q->form == FORM_CSV)
		o->add(o->ctx, csv_head, sizeof(csv_head) - 1);
	else if (q->form == FORM_JSON)
		field_puts(o, "[");
	for (uint32_t i = 0; i < s->model->nproxies; i++) {
		if (q->iid < 0 || q->iid == s->model->proxies[i]->id)
			dump_proxy(s, s->model->proxies[i], &d);
	}
	if (q->form == FORM_JSON)
		field_puts(o, "]");
}
