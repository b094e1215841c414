// SPDX-License-Identifier: BSD-3-Clause
/*
 * A log record as a line: by its frontend's format, or the default line of one with none; and what
 * stands before it.
 *
 * Runs on: main. Form for form what HAProxy 2.6 prints, so that halog and the like read it. Not here:
 * the formats themselves (proxy/logfmt.c); their expressions are evaluated on workers, into the record.
 */
#include <stdio.h>
#include <time.h>

#include "control/log/log_priv.h"

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

/* "06/Feb/2009:12:14:14.655" and so on, with the C locale's month names. */
void
log_date(struct sl_buf *b, uint64_t us, int kind)
{
	static const char mon[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)(us / 1000000);
	char zone[8] = "+0000";
	struct tm tm;

	if (kind == LOGFMT_GMT)
		gmtime_r(&t, &tm);
	else
		localtime_r(&t, &tm);
	sl_buf_printf(b, "%02d/%s/%04d:%02d:%02d:%02d", tm.tm_mday, mon[tm.tm_mon % 12],
		tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (kind == LOGFMT_LOCAL)
		strftime(zone, sizeof(zone), "%z", &tm);
	if (kind == LOGFMT_MS)
		sl_buf_printf(b, ".%03u", (unsigned)(us / 1000 % 1000));
	else
		sl_buf_printf(b, " %s", zone);
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

/* Of what never was a request the format for errors, if there is one. */
static const struct log_format *
format_of(const struct proxy *fe, const struct logrec *r)
{
	if (fe == NULL)
		return NULL;
	return fe->log_err != NULL && r->mode == PX_HTTP && r->no_captures ? fe->log_err : fe->log_fmt;
}

uint32_t
log_format(const struct logfmt_env *e, const struct logrec *r, char *out, uint32_t size)
{
	const struct proxy *fe = logfmt_proxy(e->m, r, r->fe);
	const struct log_format *f = format_of(fe, r);
	struct sl_buf b;

	sl_buf_init(&b, out, size);
	if (f != NULL)
		logfmt_print(&b, f, r, e);
	else
		format_connect(&b, r, fe);
	return b.len;
}

uint32_t
log_structured(const struct logfmt_env *e, const struct logrec *r, char *out, uint32_t size)
{
	const struct proxy *fe = logfmt_proxy(e->m, r, r->fe);
	struct sl_buf b;

	sl_buf_init(&b, out, size);
	if (fe != NULL && fe->log_sd != NULL)
		logfmt_print(&b, fe->log_sd, r, e);
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
log_head(struct sl_buf *b, const struct log_target *t, const struct log_head_args *h)
{
	enum sl_level level = h->level;
	uint64_t us = h->us;
	time_t sec = (time_t)(us / 1000000);
	unsigned pri = (unsigned)t->facility * 8 + level;
	char day[32];
	struct tm tm;

	if (t->form == LOG_RFC3164 || t->form == LOG_LOCAL || t->form == LOG_RFC5424 ||
		t->form == LOG_PRIORITY)
		sl_buf_printf(b, "<%u>", pri);
	else if (t->form == LOG_SHORT || t->form == LOG_TIMED)
		sl_buf_printf(b, "<%u>", (unsigned)level);
	switch (t->form) {
	case LOG_RFC3164:
	case LOG_LOCAL:
		localtime_r(&sec, &tm);
		strftime(day, sizeof(day), "%b %e %H:%M:%S", &tm);
		sl_buf_printf(b, "%s %s%.*s[%d]: ", day, t->form == LOG_LOCAL ? "" : "localhost ",
			SL_STR_ARG(h->tag), h->pid);
		break;
	case LOG_RFC5424:
		sl_buf_addc(b, "1 ");
		add_iso(b, us);
		sl_buf_printf(b, " - %.*s %d - ", SL_STR_ARG(h->tag), h->pid);
		sl_buf_add(b, h->sd.len > 0 ? h->sd : SL_STR("-"));
		sl_buf_char(b, ' ');
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
