// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands about requests and connections in flight: "show sess", "shutdown session(s)", "show
 * errors". Workers are asked step by step (survey.c).
 *
 * Runs on: main. Follows: HAProxy 2.6 management guide 9.3, its lines and its answers. What it calls a
 * session's pointer is a number of ours: worker, generation and place of the stream. Behind each line
 * stands what it has not: phase, worker, and the TCP state of both connections ("HOST": the kernel's).
 */
#include "control/cli/cli_priv.h"
#include "dataplane/http/http.h"
#include "dataplane/proxy/proxy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

/* ---- names of streams ---- */

#define ID_PLACE 24 // bits; more streams than that do not fit into one worker's memory

uint64_t
cli_stream_id(uint16_t w, struct sl_handle h)
{
	return (uint64_t)(w + 1u) << 56 | (uint64_t)h.gen << ID_PLACE | h.idx;
}

/* "0x…"; the worker, or -EINVAL. */
static int
id_parse(struct sl_str s, struct sl_handle *h)
{
	uint64_t n = 0;

	if (sl_str_starts(s, SL_STR("0x"), false))
		s = sl_str_make(s.p + 2, s.len - 2);
	if (s.len == 0 || s.len > 16)
		return -EINVAL;
	for (uint32_t i = 0; i < s.len; i++) {
		char c = sl_lower(s.p[i]);

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return -EINVAL;
		n = n << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	h->idx = (uint32_t)(n & ((1u << ID_PLACE) - 1));
	h->gen = (uint32_t)(n >> ID_PLACE);
	return (int)(n >> 56) - 1;
}

/* ---- texts ---- */

static struct sl_str
name_of(const struct survey_name *n, const char *none)
{
	return n->id >= 0 ? sl_str_make(n->text, n->len) : sl_str_c(none);
}

/* "18s", "2m18s", "3h2m"; nothing for a date that is not set. */
static const char *
human(char *to, size_t size, int64_t ms)
{
	int64_t s = ms / 1000;

	if (ms < 0)
		snprintf(to, size, "%s", "");
	else if (s >= 86400)
		snprintf(to, size, "%dd%dh", (int)(s / 86400), (int)(s / 3600 % 24));
	else if (s >= 3600)
		snprintf(to, size, "%dh%dm", (int)(s / 3600), (int)(s / 60 % 60));
	else if (s >= 60)
		snprintf(to, size, "%dm%ds", (int)(s / 60), (int)(s % 60));
	else
		snprintf(to, size, "%ds", (int)s);
	return to;
}

static const char *
address(char *to, size_t size, const struct ip_port *a)
{
	struct sl_buf b;

	sl_buf_init(&b, to, (uint32_t)size);
	if (a->ip.family == ADDR_UNIX) {
		sl_buf_printf(&b, "unix:%u", a->port);
	} else {
		addr_format(&b, &a->ip);
		sl_buf_printf(&b, ":%u", a->port);
	}
	return to;
}

static const char *
protocol(const struct ip_port *a)
{
	return a->ip.family == ADDR_UNIX  ? "unix_stream"
		: a->ip.family == ADDR_V6 ? "tcpv6"
					  : "tcpv4";
}

/* HAProxy's numbers of a stream connector's states, for ours. */
static int
server_side_state(const struct survey_row *r)
{
	if (r->back.open)
		return strcmp(r->phase, "CONNECT") == 0 ? 5 : 8;
	return strcmp(r->phase, "QUEUE") == 0 ? 2 : strcmp(r->phase, "PAUSE") == 0 ? 3 : 0;
}

static int64_t
nearest(const struct survey_row *r)
{
	const int32_t all[] = { r->cli_ms, r->srv_ms, r->wait_ms, r->req_ms };
	int64_t least = -1;

	for (size_t i = 0; i < SL_ARRAY_SIZE(all); i++) {
		if (all[i] >= 0 && (least < 0 || all[i] < least))
			least = all[i];
	}
	return least;
}

/* ---- show sess ---- */

static void
line(struct cli_ctx *x, uint16_t w, const struct survey_row *r)
{
	char t[5][24], src[64];

	cli_printf(x,
		"0x%" PRIx64 ": proto=%s src=%s fe=%.*s be=%.*s srv=%.*s ts=%02x epoch=0 age=%s "
		"calls=1 rate=0 cpu=0 lat=0",
		cli_stream_id(w, r->id), protocol(&r->cli.remote),
		address(src, sizeof(src), &r->cli.remote), SL_STR_ARG(name_of(&r->fe, "<NONE>")),
		SL_STR_ARG(name_of(&r->be, "<NONE>")), SL_STR_ARG(name_of(&r->srv, "<none>")),
		r->parked, human(t[0], sizeof(t[0]), r->age_ms));
	cli_printf(x, " rq[f=%xh,i=%u,an=%xh,rx=%s,wx=,ax=%s] rp[f=%xh,i=%u,an=00h,rx=%s,wx=,ax=]",
		r->flags, r->cli.received, 1u << r->phase_nr, human(t[1], sizeof(t[1]), r->cli_ms),
		human(t[2], sizeof(t[2]), r->req_ms), r->flags, r->back.received,
		human(t[3], sizeof(t[3]), r->srv_ms));
	cli_printf(x, " scf=[8,0h,fd=-1] scb=[%d,1h,fd=-1] exp=%s rc=%u c_exp=%s",
		server_side_state(r), human(t[4], sizeof(t[4]), nearest(r)), r->retries,
		human(t[0], sizeof(t[0]), r->wait_ms));
	cli_printf(x, " worker=%u phase=%s tcpf=%s tcpb=%s\n", w, r->phase, r->cli.state,
		r->back.state);
}

/* "[27/Nov/2026:00:06:22.984669]" */
static void
date(struct cli_ctx *x, uint64_t us, bool micro)
{
	time_t t = (time_t)(us / 1000000);
	char day[32];
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(day, sizeof(day), "%d/%b/%Y:%H:%M:%S", &tm);
	if (micro)
		cli_printf(x, "[%s.%06u]", day, (unsigned)(us % 1000000));
	else
		cli_printf(x, "[%s.%03u]", day, (unsigned)(us / 1000 % 1000));
}

static const char *
mode_of(const struct survey_name *n)
{
	return n->id < 0 ? "-" : n->http ? "http" : "tcp";
}

static void
one_end(struct cli_ctx *x, const char *what, const struct survey_end *e)
{
	char a[64], b[64];

	if (!e->open) {
		cli_printf(x, "  %s=- state=-\n", what);
		return;
	}
	cli_printf(x, "  %s=%s state=%s local=%s remote=%s queued=%u received=%u\n", what,
		e->host ? "host" : "tcp", e->state, address(a, sizeof(a), &e->local),
		address(b, sizeof(b), &e->remote), e->queued, e->received);
}

static void
details(struct cli_ctx *x, uint16_t w, const struct survey_row *r)
{
	char a[64], t[24];

	cli_printf(x, "0x%" PRIx64 ": ", cli_stream_id(w, r->id));
	date(x, r->start_wall_us, true);
	cli_printf(x, " id=%u proto=%s source=%s\n", r->unique, protocol(&r->cli.remote),
		address(a, sizeof(a), &r->cli.remote));
	cli_printf(x, "  flags=0x%x, conn_retries=%u, conn_exp=%s waiting=%u\n", r->flags,
		r->retries, r->wait_ms >= 0 ? human(t, sizeof(t), r->wait_ms) : "<NEVER>",
		strcmp(r->phase, "QUEUE") == 0);
	cli_printf(x, "  frontend=%.*s (id=%d mode=%s) addr=%s\n",
		SL_STR_ARG(name_of(&r->fe, "<NONE>")), r->fe.id, mode_of(&r->fe),
		address(a, sizeof(a), &r->cli.local));
	if (r->be.id >= 0)
		cli_printf(x, "  backend=%.*s (id=%d mode=%s) addr=%s\n",
			SL_STR_ARG(name_of(&r->be, "")), r->be.id, mode_of(&r->be),
			address(a, sizeof(a), &r->back.local));
	else
		cli_msg(x, "  backend=<NONE> (id=-1 mode=-)");
	if (r->srv.id >= 0)
		cli_printf(x, "  server=%.*s (id=%d) addr=%s\n", SL_STR_ARG(name_of(&r->srv, "")),
			r->srv.id, address(a, sizeof(a), &r->back.remote));
	else
		cli_msg(x, "  server=<NONE> (id=-1)");
	cli_printf(x, "  worker=%u phase=%s parked=%u kept=%u age=%s exp=%s\n", w, r->phase,
		r->parked, r->kept, human(t, sizeof(t), r->age_ms),
		human(a, sizeof(a), nearest(r)));
	if (r->line_len > 0)
		cli_printf(x, "  txn=\"%.*s\"", (int)r->line_len, r->line);
	else
		cli_printf(x, "  txn=-");
	cli_printf(x, " status=%d bytes_in=%" PRIu64 " bytes_out=%" PRIu64 "\n",
		r->status != 0 ? r->status : -1, r->bytes_in, r->bytes_out);
	one_end(x, "scf", &r->cli);
	one_end(x, "scb", &r->back);
}

/* What is asked for: all, those older than, one. */
struct sess_ask {
	bool details;
	uint32_t older_ms;
};

static void
sess_rows(struct cli_ctx *x, void *state, uint16_t w, const struct survey *q)
{
	const struct sess_ask *a = state;

	for (uint32_t i = 0; i < q->n; i++) {
		if (q->row[i].age_ms < a->older_ms)
			continue;
		if (a->details)
			details(x, w, &q->row[i]);
		else
			line(x, w, &q->row[i]);
	}
}

static void
sess_end(struct cli_ctx *x, void *state sl_unused, uint64_t total)
{
	if (total == 0)
		cli_msg(x, "Session not found.");
}

static bool
is(const struct cli_ctx *x, uint32_t i, const char *word)
{
	return i < x->n && sl_str_eq(x->arg[i], sl_str_c(word));
}

/* "10s", "2m", "500": seconds. */
static int
seconds(struct sl_str s, uint32_t *ms)
{
	static const struct {
		char unit;
		uint32_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	uint64_t n, by = 1;

	for (size_t i = 0; i < SL_ARRAY_SIZE(units); i++) {
		if (s.len > 1 && s.p[s.len - 1] == units[i].unit) {
			by = units[i].s;
			s.len--;
			break;
		}
	}
	if (sl_str_u64(s, &n) < 0 || n > 4000000 / by)
		return -EINVAL;
	*ms = (uint32_t)(n * by * 1000);
	return 0;
}

static void
do_sess(struct cli_ctx *x)
{
	struct survey q = { .what = SURVEY_STREAMS };
	struct cli_survey how = { .rows = sess_rows };
	struct sess_ask *a = calloc(1, sizeof(*a));
	int w = 0;

	if (a == NULL) {
		cli_err(x, "Out of memory.");
		return;
	}
	how.state = a;
	if (is(x, 0, "all") || is(x, 0, "help")) {
		a->details = is(x, 0, "all");
	} else if (is(x, 0, "older")) {
		if (x->n < 2 || seconds(x->arg[1], &a->older_ms) < 0) {
			cli_err(x, "Invalid age.");
			free(a);
			return;
		}
	} else if (x->n > 0) {
		a->details = true;
		q.has_one = true;
		how.only = true;
		how.end = sess_end;
		w = id_parse(x->arg[0], &q.one);
		if (w < 0 || w >= x->cli->s.nlc) {
			cli_msg(x, "Session not found.");
			free(a);
			return;
		}
		how.worker = (uint16_t)w;
	}
	cli_ask(x, &q, &how);
}

/* ---- shutdown ---- */

static void
kill_end(struct cli_ctx *x, void *state sl_unused, uint64_t total)
{
	if (total == 0)
		cli_err(x, "No such session (use 'show sess').");
}

static void
do_shutdown(struct cli_ctx *x)
{
	struct survey q = { .what = SURVEY_KILL, .has_one = true };
	struct cli_survey how = { .only = true, .end = kill_end };
	int w;

	if (x->n == 0) {
		cli_err(x, "Session pointer expected (use 'show sess').");
		return;
	}
	w = id_parse(x->arg[0], &q.one);
	if (w < 0 && !sl_str_starts(x->arg[0], SL_STR("0x"), false)) {
		cli_err(x, "Session pointer expected (use 'show sess').");
		return;
	}
	if (w < 0 || w >= x->cli->s.nlc) {
		kill_end(x, NULL, 0);
		return;
	}
	how.worker = (uint16_t)w;
	cli_ask(x, &q, &how);
}

static void
do_shutdown_server(struct cli_ctx *x)
{
	struct survey q = { .what = SURVEY_KILL_SERVER };
	const struct server *srv = cli_find_server(x, x->n > 0 ? x->arg[0] : SL_STR(""));

	if (srv == NULL)
		return;
	q.slot = srv->slot;
	cli_ask(x, &q, &(struct cli_survey){ 0 });
}

/* ---- show errors ---- */

/* All that workers have kept; the newest of each proxy and direction is shown, as HAProxy keeps it. */
struct errors_ask {
	int64_t px; // id of a proxy, -1: all
	bool requests, responses;
	uint64_t events; // captured by all workers
	uint32_t n, cap;
	struct survey_bad *bad;
};

/* A captured head as HAProxy dumps buffers: offset, text with escapes, a line where it has one. */
static void
dump(struct sl_buf *b, const char *p, uint32_t len)
{
	uint32_t i = 0;

	while (i < len) {
		uint32_t col = 0;

		sl_buf_printf(b, "  %05u%s ", i, i == 0 || p[i - 1] == '\n' ? " " : "+");
		for (; i < len && col < 68; i++) {
			unsigned char c = (unsigned char)p[i];

			if (c >= 32 && c < 127 && c != '\\') {
				sl_buf_char(b, (char)c);
				col++;
			} else if (c == '\t' || c == '\n' || c == '\r' || c == '\033' ||
				c == '\\') {
				sl_buf_printf(b, "\\%c",
					c == '\t'             ? 't'
						: c == '\n'   ? 'n'
						: c == '\r'   ? 'r'
						: c == '\033' ? 'e'
							      : '\\');
				col += 2;
			} else {
				sl_buf_printf(b, "\\x%02X", c);
				col += 4;
			}
			if (c == '\n') {
				i++;
				break;
			}
		}
		sl_buf_char(b, '\n');
	}
}

static void
one_error(struct cli_ctx *x, const struct survey_bad *e)
{
	const struct survey_name *at = e->response ? &e->be : &e->fe;
	const struct survey_name *other = e->response ? &e->fe : &e->be;
	char src[64], mem[8192];
	struct sl_buf b;

	cli_msg(x, " ");
	date(x, e->wall_us, false);
	cli_printf(x, " %s %.*s (#%d): invalid %s\n", e->response ? "backend" : "frontend",
		SL_STR_ARG(name_of(at, "<NONE>")), at->id, e->response ? "response" : "request");
	cli_printf(x, "  %s %.*s (#%d), server %.*s (#%d), event #%" PRIu64 ", src %s\n",
		e->response ? "frontend" : "backend", SL_STR_ARG(name_of(other, "<NONE>")),
		other->id, SL_STR_ARG(name_of(&e->srv, "<NONE>")), e->srv.id, e->event,
		address(src, sizeof(src), &e->src));
	cli_printf(x,
		"  buffer starts at 0 (including 0 out), %u free,\n"
		"  len %u, wraps at %u, error at position %u\n  %s :\n  \n",
		SURVEY_BAD - e->len, e->total, SURVEY_BAD, e->pos, e->why);
	sl_buf_init(&b, mem, sizeof(mem));
	dump(&b, e->text, e->len);
	cli_str(x, sl_buf_str(&b));
}

static void
error_rows(struct cli_ctx *x sl_unused, void *state, uint16_t w sl_unused, const struct survey *q)
{
	struct errors_ask *a = state;

	if (q->end)
		a->events += q->events;
	if (q->n == 0)
		return;
	if (a->n == a->cap) {
		struct survey_bad *more = realloc(a->bad, (a->cap + 16) * sizeof(*more));

		if (more == NULL)
			return;
		a->bad = more;
		a->cap += 16;
	}
	a->bad[a->n++] = q->bad;
}

static const struct survey_bad *
newest(const struct errors_ask *a, struct sl_str px, bool response)
{
	const struct survey_bad *best = NULL;

	for (uint32_t i = 0; i < a->n; i++) {
		const struct survey_bad *b = &a->bad[i];

		if (b->response != response ||
			!sl_str_eq(name_of(response ? &b->be : &b->fe, ""), px))
			continue;
		if (best == NULL || b->wall_us >= best->wall_us)
			best = b;
	}
	return best;
}

static void
errors_end(struct cli_ctx *x, void *state, uint64_t total sl_unused)
{
	struct errors_ask *a = state;
	const struct model *m = x->cli->s.model;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	cli_printf(x, "Total events captured on ");
	date(x, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000, false);
	cli_printf(x, " : %" PRIu64 "\n", a->events);
	for (uint32_t i = 0; i < m->nproxies; i++) {
		if (a->px >= 0 && m->proxies[i]->id != a->px)
			continue;
		for (int response = 0; response < 2; response++) {
			uint32_t cap = response != 0 ? PX_CAP_BE : PX_CAP_FE;
			const struct survey_bad *b = newest(a, m->proxies[i]->name, response != 0);

			if (b != NULL && (m->proxies[i]->caps & cap) != 0 &&
				(response != 0 ? a->responses : a->requests))
				one_error(x, b);
		}
	}
}

static void
errors_gone(void *state)
{
	free(((struct errors_ask *)state)->bad);
}

/* "show errors [<iid>|<proxy>] [request|response]" */
static void
do_errors(struct cli_ctx *x)
{
	struct survey q = { .what = SURVEY_ERRORS };
	struct cli_survey how = { .rows = error_rows, .end = errors_end, .gone = errors_gone };
	struct errors_ask *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		cli_err(x, "Out of memory.");
		return;
	}
	*a = (struct errors_ask){ .px = -1, .requests = true, .responses = true };
	how.state = a;
	if (x->n > 0) {
		const struct proxy *p = model_find_proxy(x->cli->s.model, x->arg[0], PX_CAP_FE);

		if (p == NULL)
			p = model_find_proxy(x->cli->s.model, x->arg[0], PX_CAP_BE);
		if (p != NULL) {
			a->px = p->id;
		} else if (sl_str_i64(x->arg[0], &a->px) < 0) {
			cli_err(x, "No such proxy.");
			free(a);
			return;
		}
		a->requests = !is(x, 1, "response");
		a->responses = !is(x, 1, "request");
	}
	cli_ask(x, &q, &how);
}

// clang-format off
SL_CLI_COMMANDS(
	{ "show sess", CLI_OPER, 0, 2, do_sess, "[<id>|all|older <age>]",
		"report the list of current sessions or dump this exact session" },
	{ "show errors", CLI_OPER, 0, 2, do_errors, "[<px>] [request|response]",
		"report last request and/or response errors for each proxy" },
	{ "shutdown session", CLI_ADMIN, 0, 1, do_shutdown, "[id]", "kill a specific session" },
	{ "shutdown sessions server", CLI_ADMIN, 0, 1, do_shutdown_server, "<bk>/<srv>",
		"kill sessions on a server" },
);
// clang-format on
