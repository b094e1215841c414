// SPDX-License-Identifier: BSD-3-Clause
/*
 * A log record as a line: HAProxy's httplog (its manual, 8.2.3), tcplog (8.2.2) and the default
 * line of a frontend with neither.
 *
 * Runs on: main. Form for form what HAProxy 2.6 prints with "format raw", so that halog and the
 * like read it. Not here: log-format strings; those are evaluated on workers, into the record.
 */
#include <stdio.h>
#include <time.h>

#include "control/log/log_priv.h"

static const struct proxy *
proxy_at(const struct model *m, const struct logrec *r, uint16_t i)
{
	if (m == NULL || r->generation != m->generation || i >= m->nproxies)
		return NULL;
	return m->proxies[i];
}

/* "127.0.0.1:80", "::1:80": no brackets, as HAProxy. */
static void
add_addr(struct sl_buf *b, const struct ip_port *a)
{
	if (a->ip.family == ADDR_NONE) {
		sl_buf_addc(b, "-:0");
		return;
	}
	if (a->ip.family == ADDR_UNIX) { // HAProxy: "unix" and the number of the listener
		sl_buf_printf(b, "unix:%u", a->port);
		return;
	}
	addr_format(b, &a->ip);
	sl_buf_char(b, ':');
	sl_buf_u64(b, a->port);
}

/* " [06/Feb/2009:12:14:14.655]" in local time, with the C locale's month names. */
static void
add_date(struct sl_buf *b, uint64_t us)
{
	static const char mon[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	localtime_r(&t, &tm);
	sl_buf_printf(b, " [%02d/%s/%04d:%02d:%02d:%02d.%03u]", tm.tm_mday, mon[tm.tm_mon % 12],
		tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(us / 1000 % 1000));
}

/* " fe be/srv": the frontend stands for a backend that was never chosen. */
static void
add_names(struct sl_buf *b, const struct proxy *fe, const struct proxy *be, const struct logrec *r)
{
	struct sl_str unknown = SL_STR("<unknown>");
	struct sl_str fname = fe != NULL ? fe->name : unknown;
	struct sl_str sname = SL_STR("<NOSRV>");

	if (be != NULL && r->srv < be->nservers)
		sname = be->servers[r->srv].name;
	sl_buf_char(b, ' ');
	sl_buf_add(b, fname);
	sl_buf_char(b, ' ');
	sl_buf_add(b, be != NULL ? be->name : fname);
	sl_buf_char(b, '/');
	if (r->srv == LOGREC_SERVICE)
		sl_buf_printf(b, "<%.*s>", (int)sizeof(r->svc), r->svc);
	else
		sl_buf_add(b, sname);
}

static void
add_counts(struct sl_buf *b, const struct logrec *r)
{
	sl_buf_printf(b, " %u/%u/%u/%u/%s%u %u/%u", r->actconn, r->feconn, r->beconn, r->srvconn,
		r->redispatched ? "+" : "", r->retries, r->srv_queue, r->be_queue);
}

/* The request line: what could break a line or a parser of it becomes #XX, as HAProxy's %r. */
static void
add_request(struct sl_buf *b, const struct logrec *r)
{
	static const char hex[] = "0123456789ABCDEF";
	uint32_t n = sl_min((uint32_t)r->text_len, (uint32_t)LOGREC_TEXT);

	sl_buf_char(b, '"');
	if (n == 0)
		sl_buf_addc(b, "<BADREQ>");
	for (uint32_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)r->text[i];

		if (c < 32 || c >= 127 || c == '"' || c == '#') {
			sl_buf_char(b, '#');
			sl_buf_char(b, hex[c >> 4]);
			sl_buf_char(b, hex[c & 15]);
		} else {
			sl_buf_char(b, (char)c);
		}
	}
	sl_buf_char(b, '"');
}

static void
format_http(
	struct sl_buf *b, const struct logrec *r, const struct proxy *fe, const struct proxy *be)
{
	add_addr(b, &r->src);
	add_date(b, r->accept_wall_us);
	add_names(b, fe, be, r);
	sl_buf_printf(b, " %d/%d/%d/%d/%d %d %llu - - %.4s", r->tr, r->tw, r->tc, r->tresp, r->ta,
		r->status != 0 ? (int)r->status : -1, (unsigned long long)r->bytes_out, r->term);
	add_counts(b, r);
	sl_buf_char(b, ' ');
	add_request(b, r);
}

static void
format_tcp(struct sl_buf *b, const struct logrec *r, const struct proxy *fe, const struct proxy *be)
{
	add_addr(b, &r->src);
	add_date(b, r->accept_wall_us);
	add_names(b, fe, be, r);
	// only the first two letters: the last ones speak of cookies (%ts, not %tsc)
	sl_buf_printf(b, " %d/%d/%d %llu %.2s", r->tw, r->tc, r->tt,
		(unsigned long long)r->bytes_out, r->term);
	add_counts(b, r);
}

static void
format_connect(struct sl_buf *b, const struct logrec *r, const struct proxy *fe)
{
	sl_buf_addc(b, "Connect from ");
	add_addr(b, &r->src);
	sl_buf_addc(b, " to ");
	add_addr(b, &r->dst);
	sl_buf_addc(b, " (");
	sl_buf_add(b, fe != NULL ? fe->name : SL_STR("<unknown>"));
	sl_buf_addc(b, r->mode == PX_HTTP ? "/HTTP)" : "/TCP)");
}

uint32_t
log_format(const struct model *m, const struct logrec *r, char *out, uint32_t size)
{
	const struct proxy *fe = proxy_at(m, r, r->fe);
	const struct proxy *be = proxy_at(m, r, r->be);
	struct sl_buf b;

	sl_buf_init(&b, out, size);
	if (fe != NULL && (fe->options & PX_O_HTTPLOG) != 0 && r->mode == PX_HTTP)
		format_http(&b, r, fe, be);
	else if (fe != NULL && (fe->options & (PX_O_HTTPLOG | PX_O_TCPLOG)) != 0)
		format_tcp(&b, r, fe, be);
	else
		format_connect(&b, r, fe);
	return b.len;
}

/* "2026-11-20T12:57:49.527123+00:00" */
static void
add_iso(struct sl_buf *b, uint64_t us)
{
	time_t t = (time_t)(us / 1000000);
	char day[32], zone[8];
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	sl_buf_printf(b, "%s.%06u%.3s:%s", day, (unsigned)(us % 1000000), zone, zone + 3);
}

void
log_head(struct sl_buf *b, const struct log_target *t, enum sl_level level, uint64_t us, int pid)
{
	time_t sec = (time_t)(us / 1000000);
	unsigned pri = (unsigned)t->facility * 8 + level;
	char day[32];
	struct tm tm;

	if (t->form == LOG_RFC3164 || t->form == LOG_RFC5424 || t->form == LOG_PRIORITY)
		sl_buf_printf(b, "<%u>", pri);
	else if (t->form == LOG_SHORT || t->form == LOG_TIMED)
		sl_buf_printf(b, "<%u>", (unsigned)level);
	switch (t->form) {
	case LOG_RFC3164:
		localtime_r(&sec, &tm);
		strftime(day, sizeof(day), "%b %e %H:%M:%S", &tm);
		sl_buf_printf(b, "%s localhost sluice[%d]: ", day, pid);
		break;
	case LOG_RFC5424:
		sl_buf_addc(b, "1 ");
		add_iso(b, us);
		sl_buf_printf(b, " - sluice %d - - ", pid);
		break;
	case LOG_TIMED:
	case LOG_ISO:
		add_iso(b, us);
		sl_buf_char(b, ' ');
		break;
	default:
		break;
	}
}
