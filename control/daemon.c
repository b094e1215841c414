// SPDX-License-Identifier: BSD-3-Clause
/*
 * The event loop of main: signals, links, log records, and how the daemon ends.
 *
 * Runs on: main. SIGTERM and SIGINT end at once (143 and 130 as HAProxy's shell-visible codes);
 * SIGUSR1 takes the health file away, after "grace" stops accepting, and ends when the last client has
 * gone; SIGHUP and SIGUSR2 reload. An alarm ends a
 * shutdown that hangs: the parent cleans up either way.
 */
#include "control/daemon.h"

#include <fcntl.h>
#include <rte_ethdev.h>
#include <rte_version.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/health.h"
#include "control/script/script.h"
#include "control/spread.h"
#include "control/tap.h"

#define LOG_TICK     0.005 // seconds between looks at the log rings, while there are records
#define LOG_IDLE     0.05  // and while there are none: a ring of 1024 lasts for 20,000 per second
#define LINK_TICK    0.5
#define WATCH_TICK   (SCRIPT_WATCH_MS / 1000.)
#define CONFLICT_S   10.
#define STOP_ALARM_S 10 // of a stop that hangs; one that is merely late ends by itself

struct running {
	struct daemon *d;
	struct ev_signal sig[5];
	struct ev_timer log, link, watch, hard, grace;
	uint32_t link_changes[PORT_MAX], conflicts[PORT_MAX]; // told so far
	bool gone[PORT_MAX];
	struct spread_watch spread[PORT_MAX];
	double conflict_next[PORT_MAX];
	bool draining; // "grace": the health file is gone, connections are still accepted
	bool soft;     // stopping, streams may end
	int code;
};

void
daemon_say(struct daemon *d, enum sl_level level, const char *fmt, ...)
{
	char text[LOG_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (d->log == NULL) {
		options_print(level, NULL, text);
		return;
	}
	log_post(d->log, LOG_CORE, level, sl_str_c(text));
	log_drain(d->log);
}

static void
unlisten(struct io_loop *l sl_unused, void *ctx)
{
	io_host_unlisten_all(ctx);
}

/* "hard-stop-after": a soft stop has lasted long enough. */
static void
on_hard_stop(struct ev_loop *ev, struct ev_timer *t, int events sl_unused)
{
	struct running *r = t->data;

	daemon_say(r->d, SL_WARNING, "'hard-stop-after': ends, whatever is left");
	r->code = 0;
	ev_break(ev, EVBREAK_ALL);
}

static void
stop_accepting(struct running *r)
{
	struct daemon *d = r->d;
	uint32_t hard_ms = d->model->global.hard_stop_ms;

	r->soft = true;
	if (hard_ms != 0) {
		ev_timer_set(&r->hard, hard_ms / 1000., 0.);
		ev_timer_start(d->ev, &r->hard);
	}
	daemon_say(d, SL_NOTICE, "stops accepting; ends when the last connection has");
	io_thread_run(d->iot, unlisten, d->host);
	for (uint16_t w = 0; w < d->nlc; w++) {
		atomic_store_explicit(&d->lc[w]->asked_stop_accept, true, memory_order_release);
		waker_wake(&d->lc[w]->waker);
	}
}

static void
on_grace(struct ev_loop *ev, struct ev_timer *t, int events sl_unused)
{
	ev_timer_stop(ev, t);
	stop_accepting(t->data);
}

/* SIGUSR1: whoever announces our addresses hears of it first, and has "grace" to act on it. */
static void
soft_stop(struct running *r)
{
	struct daemon *d = r->d;
	uint32_t grace_ms = d->model->global.grace_ms;

	if (r->draining || r->soft)
		return;
	r->draining = true;
	stats_set_stopping(d->stats);
	daemon_tell_systemd(d, "STOPPING=1\n");
	health_stop(d->health);
	if (grace_ms == 0) {
		stop_accepting(r);
		return;
	}
	daemon_say(d, SL_NOTICE, "'grace': goes on accepting for %u.%03u s", grace_ms / 1000,
		grace_ms % 1000);
	ev_timer_set(&r->grace, grace_ms / 1000., 0.);
	ev_timer_start(d->ev, &r->grace);
}

static void
on_signal(struct ev_loop *ev, struct ev_signal *s, int events sl_unused)
{
	struct running *r = s->data;

	switch (s->signum) {
	case SIGUSR1:
		soft_stop(r);
		return;
	case SIGHUP:
	case SIGUSR2:
		if (r->draining)
			daemon_say(r->d, SL_WARNING, "stopping: nothing is reloaded any more");
		else
			reload_request(r->d);
		return;
	default:
		alarm(STOP_ALARM_S);
		daemon_tell_systemd(r->d, "STOPPING=1\n");
		r->code = 128 + s->signum;
		ev_break(ev, EVBREAK_ALL);
	}
}

/* A soft stop ends when the last client has gone: HAProxy's meaning of SIGUSR1. */
static bool
is_drained(const struct daemon *d)
{
	uint64_t n = atomic_load_explicit(&d->bal->conns, memory_order_relaxed);

	for (uint16_t w = 0; w < d->nlc; w++)
		n += counter_get(&d->lc[w]->gauge_streams);
	return n == 0;
}

static void
on_log(struct ev_loop *ev, struct ev_timer *t, int events sl_unused)
{
	struct running *r = t->data;
	struct daemon *d = r->d;
	uint32_t n = log_collect(d->log, d->lc, d->nlc, reload_model, d);

	n += patterns_serve(d);
	t->repeat = n > 0 ? LOG_TICK : LOG_IDLE;
	ev_timer_again(ev, t);
	if (r->soft && is_drained(d)) {
		r->code = 0;
		ev_break(ev, EVBREAK_ALL);
	}
}

/* What is told of a port was seen by whoever saw it first: a driver's event, or this timer. */
static void
say_link(struct running *r, const struct port *p)
{
	uint32_t changes = atomic_load_explicit(&p->link_changes, memory_order_acquire);
	bool up = atomic_load_explicit(&p->link_up, memory_order_relaxed);
	uint32_t n = changes - r->link_changes[p->id];

	r->link_changes[p->id] = changes;
	if (port_is_gone(p)) {
		if (!r->gone[p->id])
			daemon_say(r->d, SL_ALERT,
				"port '%s': its device %s is gone: nothing goes over it until sluice is "
				"restarted with it back",
				p->name, p->device);
		r->gone[p->id] = true;
		return;
	}
	if (n == 1)
		daemon_say(r->d, up ? SL_NOTICE : SL_WARNING, "port '%s': link is %s", p->name,
			up ? "up" : "down");
	else if (n > 1)
		daemon_say(r->d, SL_WARNING, "port '%s': link changed %u times, it is %s", p->name,
			n, up ? "up" : "down");
}

/* One line per port and CONFLICT_S, however many there are. */
static void
say_conflict(struct running *r, const struct port *p)
{
	struct net_conflict c;
	uint32_t n = net_conflicts(r->d->net, p->id, &c);
	double now = ev_now(r->d->ev);
	char ip[64], mac[RTE_ETHER_ADDR_FMT_SIZE];
	struct sl_buf b;

	if (n == r->conflicts[p->id] || now < r->conflict_next[p->id])
		return;
	sl_buf_init(&b, ip, sizeof(ip));
	addr_format(&b, &c.ip);
	rte_ether_format_addr(mac, sizeof(mac), &c.mac);
	daemon_say(r->d, SL_ALERT,
		"port '%s': address %s is also used by %s (%u packets say so); one of both must "
		"give it up",
		p->name, ip, mac, n - r->conflicts[p->id]);
	r->conflicts[p->id] = n;
	r->conflict_next[p->id] = now + CONFLICT_S;
}

static void
say_spread(struct running *r, struct port *p)
{
	struct net_spread sum = { 0 };
	char text[LOG_TEXT];

	for (uint16_t w = 0; w < r->d->nlc; w++)
		net_spread_add(r->d->lc[w], p->id, &sum);
	if (spread_judge(&r->spread[p->id], p, &sum, text, sizeof(text)))
		daemon_say(r->d, SL_WARNING, "%s", text);
}

static void
on_link(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct running *r = t->data;
	struct ports *ps = r->d->ports;

	for (uint16_t i = 0; i < ps->n; i++) {
		struct port *p = &ps->port[i];

		if (port_is_leaving(p)) {
			r->gone[p->id] = true; // told there
			if (daemon_let_go(r->d, p) < 0) {
				r->code = 1;
				ev_break(r->d->ev, EVBREAK_ALL);
			}
		}
		port_poll_link(p);
		say_link(r, p);
		say_conflict(r, p);
		say_spread(r, p);
	}
	taps_look(r->d);
}

static void
on_watch(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct running *r = t->data;

	if (r->d->scripts)
		script_watch();
	patterns_free(r->d);
}

/* -D: the process in the foreground ends now, and stdio is let go, as HAProxy does. */
static void
go_background(struct daemon *d)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_detach(d->log);
	for (int i = 0; fd >= 0 && i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
	if (write(d->ready_fd, "", 1) < 0)
		daemon_say(d, SL_WARNING, "nobody waits for this daemon");
	close(d->ready_fd);
	d->ready_fd = -1;
}

void
daemon_end_old(struct daemon *d)
{
	for (; d->old_told < d->opt->nold; d->old_told++) {
		pid_t pid = (pid_t)strtol(d->opt->old_pid[d->old_told], NULL, 10);

		if (kill(pid, d->opt->old_finish ? SIGUSR1 : SIGTERM) < 0 && errno != ESRCH)
			daemon_say(d, SL_WARNING, "process %d: %s", (int)pid, strerror(errno));
	}
}

/* The sum that size_up() found to fit. */
static void
say_memory(struct daemon *d)
{
	const struct worker_memory *m = &d->worker_mem;
	uint32_t held = d->lc[0]->retain_max / (PORT_MBUF_DATA + 512u);

	daemon_say(d, SL_NOTICE,
		"memory for maxconn %u: %u worker%s x (%u connections of %u bytes + %u requests in "
		"flight of %u bytes + %u MiB) = %u MiB",
		d->model->global.maxconn, d->nlc, d->nlc == 1 ? "" : "s", d->wspec.max_conns,
		m->per_conn, d->wspec.max_streams, m->per_stream,
		(unsigned)((m->fixed + 1048575) >> 20), d->worker_mb * d->nlc);
	daemon_say(d, SL_NOTICE,
		"memory for packets: %u worker%s x %u buffers of %u bytes = %u MiB (%s); queues may "
		"hold %u of each worker's",
		d->nlc, d->nlc == 1 ? "" : "s", d->mbufs, pool_mbuf_bytes(),
		eal_memory_mb(threads_rings(d->model), d->nlc, d->mbufs),
		d->huge ? "hugepages" : "no hugepages", held);
}

static void
say_ready(struct daemon *d)
{
	char ports[512];
	struct sl_buf b;

	sl_buf_init(&b, ports, sizeof(ports));
	for (uint16_t i = 0; i < d->ports->n; i++) {
		const struct port *p = &d->ports->port[i];

		sl_buf_printf(&b, "%s%s (%s)", i > 0 ? ", " : "", p->name, p->driver);
	}
	ports_say(d);
	say_memory(d);
	daemon_say(d, SL_NOTICE, "sluice " SL_VERSION " (%s, %u worker%s, port%s %s%s%s) ready",
		rte_version(), d->nlc, d->nlc == 1 ? "" : "s", d->ports->n == 1 ? "" : "s",
		d->ports->n == 0 ? "none" : ports,
		strcmp(d->clean.prefix, "sluice") == 0 ? "" : ", telemetry -f ",
		strcmp(d->clean.prefix, "sluice") == 0 ? "" : d->clean.prefix);
	daemon_end_old(d);
	log_flush(d->log, 100);
	daemon_tell_systemd(d, "READY=1\n");
	if (d->ready_fd >= 0)
		go_background(d);
}

static const int sigs[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

static void
on_late_signal(struct ev_loop *ev sl_unused, struct ev_signal *s sl_unused, int events sl_unused)
{
}

/*
 * Whoever asks again for what is under way must not end it: files would stay. libev gives a signal back to
 * its default with the last watcher, so there are others until it is ignored.
 */
static void
ignore_signals(struct running *r)
{
	static struct ev_signal late[SL_ARRAY_SIZE(sigs)];

	alarm(STOP_ALARM_S);
	for (size_t i = 0; i < SL_ARRAY_SIZE(sigs); i++) {
		ev_signal_init(&late[i], on_late_signal, sigs[i]);
		ev_signal_start(r->d->ev, &late[i]);
		ev_signal_stop(r->d->ev, &r->sig[i]);
		signal(sigs[i], SIG_IGN);
	}
}

int
daemon_run(struct daemon *d)
{
	struct running r = { .d = d };

	for (size_t i = 0; i < SL_ARRAY_SIZE(sigs); i++) {
		ev_signal_init(&r.sig[i], on_signal, sigs[i]);
		r.sig[i].data = &r;
		ev_signal_start(d->ev, &r.sig[i]);
	}
	ev_timer_init(&r.log, on_log, LOG_IDLE, LOG_IDLE);
	r.log.data = &r;
	ev_timer_start(d->ev, &r.log);
	ev_timer_init(&r.link, on_link, 0., LINK_TICK);
	r.link.data = &r;
	ev_timer_start(d->ev, &r.link);
	ev_timer_init(&r.watch, on_watch, WATCH_TICK, WATCH_TICK);
	ev_timer_init(&r.hard, on_hard_stop, 0., 0.);
	r.hard.data = &r;
	r.watch.data = &r;
	ev_timer_init(&r.grace, on_grace, 0., 0.);
	r.grace.data = &r;
	if (d->scripts)
		ev_timer_start(d->ev, &r.watch);
	say_ready(d);
	health_begin(d->health);
	ev_run(d->ev, 0);
	ev_timer_stop(d->ev, &r.grace);
	ev_timer_stop(d->ev, &r.hard);
	ev_timer_stop(d->ev, &r.watch);
	ev_timer_stop(d->ev, &r.link);
	ev_timer_stop(d->ev, &r.log);
	ignore_signals(&r);
	log_collect(d->log, d->lc, d->nlc, reload_model, d);
	return r.code;
}
