// SPDX-License-Identifier: BSD-3-Clause
/*
 * "show info": the process in HAProxy's words. What sluice has not is 0, as HAProxy's own where a
 * feature is unused.
 *
 * Runs on: main.
 */
#include "control/stats/table.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const struct {
	int pos;
	const char *name, *tags, *help;
} lines[INF_NR] = {
#define I(pos, sym, name, tags, help) [INF_##sym] = { pos, name, tags, help },
#include "control/stats/info_fields.def"
#undef I
};

static uint64_t
ulimit_n(void)
{
	struct rlimit r;

	return getrlimit(RLIMIT_NOFILE, &r) == 0 ? r.rlim_cur : 0;
}

/* Share of the last loops that found no work, over all workers, in percent. */
static uint32_t
idle_percent(const struct stats_src *s)
{
	uint64_t loops = stats_sum(s->lc, s->nlc, STAT_LOOPS);
	uint64_t busy = stats_sum(s->lc, s->nlc, STAT_LOOPS_BUSY);

	return loops == 0 ? 100 : (uint32_t)(100 - busy * 100 / loops);
}

static uint32_t
count_binds(const struct model *m)
{
	return m->nbinds + m->global.ncli_binds;
}

static void
fill_rates(const struct stats_src *s, struct field *f)
{
	f[INF_CONNRATE] = field_u32(s->rates->conn.rate);
	f[INF_MAXCONNRATE] = field_u32(s->rates->conn.max);
	f[INF_SESSRATE] = field_u32(s->rates->conn.rate);
	f[INF_MAXSESSRATE] = field_u32(s->rates->conn.max);
	f[INF_TOTALBYTESOUT] = field_u64(stats_bytes_out(s->lc, s->nlc));
	f[INF_TOTALSPLICDEDBYTESOUT] = field_u64(0);
	f[INF_BYTESOUTRATE] = field_u64(s->rates->bytes_out.rate);
}

static uint64_t
pool_bytes_used(const struct stats_src *s)
{
	uint64_t n = 0;

	for (uint16_t w = 0; w < s->nlc; w++)
		n += counter_get(&s->lc[w]->gauge_retained);
	return n;
}

static void
fill_identity(const struct stats_src *s, struct field *f, struct info_texts *t)
{
	const struct global_conf *g = &s->model->global;
	uint64_t up = (uint64_t)time(NULL) - s->start;

	snprintf(t->uptime, sizeof(t->uptime), "%ud %uh%02um%02us", (unsigned)(up / 86400),
		(unsigned)(up / 3600 % 24), (unsigned)(up / 60 % 60), (unsigned)(up % 60));
	if (gethostname(t->host, sizeof(t->host)) < 0)
		t->host[0] = '\0';
	t->host[sizeof(t->host) - 1] = '\0';
	f[INF_NAME] = field_str(SL_STR("sluice"));
	f[INF_VERSION] = f[INF_BUILD_INFO] = field_str(SL_STR(SL_VERSION));
	f[INF_RELEASE_DATE] = field_str(SL_STR("2026/11/26"));
	f[INF_NBTHREAD] = field_u32(s->nlc);
	f[INF_NBPROC] = f[INF_PROCESS_NUM] = field_u32(1);
	f[INF_PID] = field_u32((uint64_t)getpid());
	f[INF_UPTIME] = field_str(sl_str_c(t->uptime));
	f[INF_UPTIME_SEC] = field_u32(up);
	f[INF_START_TIME_SEC] = field_u32(s->start);
	f[INF_NODE] = field_str(g->node.len > 0 ? g->node : sl_str_c(t->host));
	if (g->description.len > 0)
		f[INF_DESCRIPTION] = field_str(g->description);
	f[INF_TAINTED] = field_str(SL_STR("0"));
}

void
info_fill(const struct stats_src *s, struct field *f, struct info_texts *t)
{
	uint64_t fds = ulimit_n();
	struct log_stats log;

	for (int i = 0; i < INF_NR; i++)
		f[i] = i == INF_DESCRIPTION ? (struct field){ 0 } : field_u32(0);
	fill_identity(s, f, t);
	f[INF_ULIMIT_N] = f[INF_MAXSOCK] = field_u32(fds);
	f[INF_MAXCONN] = field_u32(s->maxconn);
	f[INF_HARD_MAXCONN] = field_u32(s->model->global.maxconn);
	f[INF_CURRCONNS] = field_u32(atomic_load_explicit(
		(_Atomic(uint32_t) *)(uintptr_t)&s->bal->conns, memory_order_relaxed));
	f[INF_CUMCONNS] = field_u32(stats_accepts(s->lc, s->nlc));
	f[INF_CUMREQ] = field_u32(stats_sum(s->lc, s->nlc, STAT_H1_REQUESTS));
	fill_rates(s, f);
	f[INF_IDLE_PCT] = field_u32(idle_percent(s));
	f[INF_STOPPING] = field_u32(s->stopping);
	f[INF_LISTENERS] = field_u32(count_binds(s->model));
	f[INF_JOBS] = field_u32(count_binds(s->model) + (uint32_t)f[INF_CURRCONNS].n);
	f[INF_BUSYPOLLING] = field_u32(s->model->global.busy_polling);
	log_get_stats(s->log, &log);
	f[INF_DROPPEDLOGS] = field_u32(log.lost_sink + log.lost_post +
		stats_sum(s->lc, s->nlc, STAT_LOG_DROPPED));
	f[INF_POOLALLOC_BYTES] = field_u64(0);
	f[INF_POOLUSED_BYTES] = field_u64(pool_bytes_used(s));
	f[INF_POOLUSED_MB] = field_u32(pool_bytes_used(s) >> 20);
}

void
info_dump(const struct stats_src *s, enum stat_form form, bool desc, const struct field_out *o)
{
	struct field f[INF_NR];
	struct info_texts t;
	bool first = true;

	info_fill(s, f, &t);
	if (form == FORM_JSON)
		field_puts(o, "[");
	for (int i = 0; i < INF_NR; i++) {
		if (f[i].kind == FIELD_NONE)
			continue;
		if (form == FORM_CSV) {
			field_printf(o, "%s: ", lines[i].name);
			field_plain(o, &f[i]);
		} else if (form == FORM_TYPED) {
			field_printf(o, "%d.%s.1:", lines[i].pos, lines[i].name);
			field_typed(o, &f[i], lines[i].tags);
		} else {
			field_printf(o,
				"%s{\"field\":{\"pos\":%d,\"name\":\"%s\"},\"processNum\":1,",
				first ? "" : ",", lines[i].pos, lines[i].name);
			field_json(o, &f[i], lines[i].tags);
			field_puts(o, "}");
		}
		if (form != FORM_JSON && desc)
			field_printf(o, ":\"%s\"", lines[i].help);
		if (form != FORM_JSON)
			field_puts(o, "\n");
		first = false;
	}
	if (form == FORM_JSON)
		field_puts(o, "]");
}
