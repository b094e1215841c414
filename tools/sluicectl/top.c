// SPDX-License-Identifier: BSD-3-Clause
/*
 * "sluicectl top": live rates. Counters are read over the runtime API; a rate is the difference of two
 * readings over the time between them. A worker's busy share is the cycles of loops that found work
 * over all cycles that went by.
 */
#include "tools/sluicectl/ctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 64
#define PROXIES 256

struct worker {
	double busy, rx, tx, conns, streams, naps;
};
struct px {
	char name[64], server[64];
	double sess, req, in, out, cur, queued, err5;
	char status[32];
};
struct sample {
	double at; // seconds
	double tsc_hz;
	unsigned nworkers, npx;
	struct worker worker[WORKERS];
	struct px px[PROXIES];
};

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- show workers: "# worker N", then "name: value" lines ---- */

static double *
worker_field(struct worker *w, const char *name, size_t n)
{
	static const struct {
		const char *name;
		size_t at;
	} fields[] = {
		{ "cycles_busy", offsetof(struct worker, busy) },
		{ "rx_packets", offsetof(struct worker, rx) },
		{ "tx_packets", offsetof(struct worker, tx) },
		{ "conns", offsetof(struct worker, conns) },
		{ "streams", offsetof(struct worker, streams) },
		{ "naps", offsetof(struct worker, naps) },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (strlen(fields[i].name) == n && memcmp(fields[i].name, name, n) == 0)
			return (double *)((char *)w + fields[i].at);
	}
	return NULL;
}

static void
read_workers(const char *p, struct sample *s)
{
	struct worker *w = NULL;

	for (; p != NULL && *p != '\0'; p = strchr(p, '\n'), p = p != NULL ? p + 1 : NULL) {
		const char *colon = strchr(p, ':');
		unsigned n;
		double *f;

		if (sscanf(p, "# worker %u", &n) == 1) {
			w = n < WORKERS ? &s->worker[n] : NULL;
			if (w != NULL && n >= s->nworkers)
				s->nworkers = n + 1;
			continue;
		}
		if (colon == NULL || w == NULL)
			continue;
		if ((size_t)(colon - p) == 6 && memcmp(p, "tsc_hz", 6) == 0)
			s->tsc_hz = strtod(colon + 1, NULL);
		f = worker_field(w, p, (size_t)(colon - p));
		if (f != NULL)
			*f = strtod(colon + 1, NULL);
	}
}

/* ---- show stat: CSV ---- */

enum { COL_PX, COL_SV, COL_QCUR, COL_SCUR = 4, COL_STOT = 7, COL_BIN, COL_BOUT, COL_STATUS = 17,
	COL_5XX = 43, COL_REQ = 48, COLS };

static void
read_row(char *line, struct sample *s)
{
	char *col[COLS] = { 0 };
	struct px *x = &s->px[s->npx];

	for (int i = 0; i < COLS && line != NULL; i++)
		col[i] = strsep(&line, ",");
	if (col[COL_REQ] == NULL || s->npx == PROXIES || line == NULL)
		return;
	snprintf(x->name, sizeof(x->name), "%s", col[COL_PX]);
	snprintf(x->server, sizeof(x->server), "%s", col[COL_SV]);
	snprintf(x->status, sizeof(x->status), "%s", col[COL_STATUS]);
	x->queued = strtod(col[COL_QCUR], NULL);
	x->cur = strtod(col[COL_SCUR], NULL);
	x->sess = strtod(col[COL_STOT], NULL);
	x->in = strtod(col[COL_BIN], NULL);
	x->out = strtod(col[COL_BOUT], NULL);
	x->err5 = strtod(col[COL_5XX], NULL);
	x->req = strtod(col[COL_REQ], NULL);
	s->npx++;
}

static void
read_stat(char *p, struct sample *s)
{
	while (p != NULL && *p != '\0') {
		char *line = strsep(&p, "\n");

		if (line[0] != '#' && line[0] != '\0')
			read_row(line, s);
	}
}

static int
take(struct ctl_conn *c, struct sample *s)
{
	struct ctl_text t;
	int rc;

	memset(s, 0, sizeof(*s));
	rc = ctl_ask(c, "show workers", &t);
	if (rc < 0)
		return rc;
	s->at = now();
	read_workers(t.p, s);
	ctl_text_free(&t);
	rc = ctl_ask(c, "show stat", &t);
	if (rc < 0)
		return rc;
	read_stat(t.p, s);
	ctl_text_free(&t);
	return 0;
}

/* ---- drawing ---- */

static const char *
bytes(double n, char *to, size_t size)
{
	const char *unit = "kMGT";

	if (n < 1000) {
		snprintf(to, size, "%.0f", n);
		return to;
	}
	for (n /= 1000; n >= 1000 && unit[1] != '\0'; unit++)
		n /= 1000;
	snprintf(to, size, "%.1f%c", n, *unit);
	return to;
}

static double
rate(double a, double b, double s)
{
	return b >= a && s > 0 ? (b - a) / s : 0; // counters may have been cleared
}

static void
draw(const struct sample *a, const struct sample *b, bool tty)
{
	double s = b->at - a->at;
	char t[2][16];

	if (tty)
		fputs("\033[H\033[2J", stdout);
	printf("%-8s %6s %12s %12s %10s %10s %10s\n", "worker", "busy", "rx pkt/s", "tx pkt/s",
		"conns", "streams", "naps/s");
	for (unsigned i = 0; i < b->nworkers; i++) {
		const struct worker *x = &a->worker[i], *y = &b->worker[i];
		double busy = b->tsc_hz > 0 ? rate(x->busy, y->busy, s) / b->tsc_hz * 100 : 0;

		printf("%-8u %5.1f%% %12.0f %12.0f %10.0f %10.0f %10.0f\n", i,
			busy > 100 ? 100 : busy, rate(x->rx, y->rx, s), rate(x->tx, y->tx, s),
			y->conns, y->streams, rate(x->naps, y->naps, s));
	}
	printf("\n%-24s %-16s %-10s %8s %6s %9s %9s %9s %9s %7s\n", "proxy", "", "status", "sess",
		"queue", "sess/s", "req/s", "in B/s", "out B/s", "5xx/s");
	for (unsigned i = 0; i < b->npx; i++) {
		const struct px *y = &b->px[i];
		const struct px *x = i < a->npx && strcmp(a->px[i].name, y->name) == 0 &&
				strcmp(a->px[i].server, y->server) == 0
			? &a->px[i]
			: y;

		printf("%-24.24s %-16.16s %-10.10s %8.0f %6.0f %9.0f %9.0f %9s %9s %7.0f\n", y->name,
			y->server, y->status, y->cur, y->queued, rate(x->sess, y->sess, s),
			rate(x->req, y->req, s), bytes(rate(x->in, y->in, s), t[0], sizeof(t[0])),
			bytes(rate(x->out, y->out, s), t[1], sizeof(t[1])),
			rate(x->err5, y->err5, s));
	}
	if (!tty)
		putchar('\n');
	fflush(stdout);
}

static void
pause_for(double s)
{
	struct timespec ts = { .tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9) };

	nanosleep(&ts, NULL);
}

int
ctl_top(struct ctl_conn *c, double every_s, unsigned rounds)
{
	bool tty = isatty(STDOUT_FILENO);
	struct sample *s = calloc(2, sizeof(*s));
	unsigned at = 0;
	int rc = s != NULL ? take(c, &s[0]) : -1;

	for (unsigned i = 0; rc == 0 && (rounds == 0 || i < rounds); i++) {
		pause_for(every_s);
		rc = take(c, &s[!at]);
		if (rc < 0)
			break;
		draw(&s[at], &s[!at], tty);
		at = !at;
	}
	free(s);
	if (rc < 0)
		fprintf(stderr, "sluicectl: %s: %s\n", c->where, strerror(-rc));
	return rc < 0;
}
