// SPDX-License-Identifier: BSD-3-Clause
/*
 * "health-file": there while traffic is welcome, for BIRD (by sluice-vip) or whoever else announces our
 * addresses.
 *
 * Runs on: main, ten times a second. Traffic is welcome from "ready" on, while every worker goes round
 * its loop, every port has its device, and every backend that is named has a server that takes requests
 * (without names: one of all backends that have servers). It is not after SIGUSR1, nor when a command
 * said so. The file holds our process id, so that one that nobody could remove is known for what it is;
 * the parent removes it however we end. Its folder is opened before rights are given up, and has to be
 * writable for `user`.
 */
#include "control/health.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/daemon.h"

#define TICK_S  0.1
#define STUCK_S 1. // a worker that has not gone round for so long is none

struct health {
	struct daemon *d;
	struct ev_timer tick;
	int dir;
	char name[256];
	bool there, begun;
	bool stopping, unwelcome; // for ever; by command
	bool failed;              // said that it cannot be written
	const char *why;
	uint64_t loops[LCORE_MAX];
	double seen[LCORE_MAX]; // when they were last more
};

/* ---- what is to be true ---- */

static bool
has_server(const struct daemon *d, const struct proxy *px)
{
	for (uint32_t i = 0; i < px->nservers; i++) {
		const struct srv_run *r = &d->bal->srv[px->servers[i].slot];

		if (atomic_load_explicit(&r->state, memory_order_relaxed) == SRV_UP &&
			atomic_load_explicit(&r->weight, memory_order_relaxed) > 0)
			return true;
	}
	return false;
}

static bool
servers_ok(const struct daemon *d)
{
	const struct model *m = d->model;
	const struct global_conf *g = &m->global;
	bool any = false, one = false;

	for (uint32_t i = 0; i < g->nhealth_backends; i++) {
		const struct proxy *px = model_find_proxy(m, g->health_backend[i], PX_CAP_BE);

		if (px == NULL || !has_server(d, px))
			return false;
	}
	if (g->nhealth_backends > 0)
		return true;
	for (uint32_t i = 0; i < m->nproxies && !one; i++) {
		any |= m->proxies[i]->nservers > 0;
		one = has_server(d, m->proxies[i]);
	}
	return one || !any;
}

static bool
workers_ok(struct health *h)
{
	const struct daemon *d = h->d;
	double now = ev_now(d->ev);
	bool ok = true;

	for (uint16_t w = 0; w < d->nlc; w++) {
		uint64_t n = counter_get(&d->lc[w]->stat[STAT_LOOPS]);

		if (n != h->loops[w] || h->seen[w] == 0.)
			h->seen[w] = now;
		h->loops[w] = n;
		ok &= now - h->seen[w] < STUCK_S;
	}
	return ok;
}

static const char *
judge(struct health *h)
{
	bool workers = workers_ok(h); // also when that does not matter: it has to be seen

	if (!h->begun)
		return "not ready yet";
	if (h->stopping)
		return "stopping";
	if (h->unwelcome)
		return "by command";
	if (!workers)
		return "a worker is stuck";
	for (uint16_t i = 0; i < h->d->ports->n; i++) {
		if (port_is_gone(&h->d->ports->port[i]))
			return "a port is gone";
	}
	if (!servers_ok(h->d))
		return "no server";
	return NULL;
}

/* ---- the file ---- */

/* The process whose number is in it; 0: there is none. A successor's (-sf) is not ours to remove. */
static pid_t
owner(const struct health *h)
{
	int fd = openat(h->dir, h->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char text[16] = "";
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* Written beside it and renamed, so that nobody ever sees half of it. `only_try`: that it can be done. */
static int
make(const struct health *h, bool only_try)
{
	char tmp[sizeof(h->name) + 8];
	int fd, rc = 0;

	snprintf(tmp, sizeof(tmp), "%s.new", h->name);
	fd = openat(h->dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0644) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0 ||
		(!only_try && renameat(h->dir, tmp, h->dir, h->name) != 0))
		rc = -errno;
	close(fd);
	if ((rc < 0 || only_try) && unlinkat(h->dir, tmp, 0) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

static void
follow(struct health *h)
{
	const char *why = judge(h);
	bool ours = owner(h) == getpid();
	int rc = 0;

	if (why == NULL && !ours)
		rc = make(h, false);
	else if (why != NULL && ours && unlinkat(h->dir, h->name, 0) != 0)
		rc = -errno;
	if (rc < 0) {
		if (!h->failed)
			daemon_say(h->d, SL_ALERT, "'health-file': cannot be %s: %s",
				why == NULL ? "written" : "removed", strerror(-rc));
		h->failed = true;
		return;
	}
	h->failed = false;
	if (h->there != (why == NULL) && h->begun)
		daemon_say(h->d, why == NULL ? SL_NOTICE : SL_WARNING, "'health-file': %s%s",
			why == NULL ? "there: traffic is welcome" : "removed: ",
			why == NULL ? "" : why);
	h->there = why == NULL;
	h->why = why;
}

static void
on_tick(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	follow(t->data);
}

void
health_begin(struct health *h)
{
	if (h == NULL)
		return;
	h->begun = true;
	follow(h);
}

void
health_stop(struct health *h)
{
	if (h == NULL)
		return;
	h->stopping = true;
	follow(h);
}

void
health_set(struct health *h, bool welcome)
{
	h->unwelcome = !welcome;
	follow(h);
}

const char *
health_why(const struct health *h)
{
	return h->why;
}

/* ---- life ---- */

static int
fail(struct daemon *d, int rc, const char *what)
{
	snprintf(d->err.text, sizeof(d->err.text), "'health-file %.*s': %s: %s",
		SL_STR_ARG(d->model->global.health_file), what, strerror(-rc));
	return rc;
}

int
health_up(struct daemon *d)
{
	struct sl_str path = d->model->global.health_file;
	char dir[512], *base;
	struct health *h;

	if (path.len == 0)
		return 0;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return daemon_fail(d, -ENOMEM, "no memory for 'health-file'");
	d->health = h;
	h->d = d;
	h->dir = -1;
	h->why = "not ready yet";
	if ((size_t)snprintf(dir, sizeof(dir), "%.*s", SL_STR_ARG(path)) >= sizeof(dir))
		return fail(d, -ENAMETOOLONG, "the path");
	base = strrchr(dir, '/');
	if ((size_t)snprintf(h->name, sizeof(h->name), "%s", base != NULL ? base + 1 : dir) >=
		sizeof(h->name) - 8)
		return fail(d, -ENAMETOOLONG, "the name");
	if (base != NULL)
		base[base == dir ? 1 : 0] = '\0';
	h->dir = open(base != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->dir < 0)
		return fail(d, -errno, "its folder");
	ev_timer_init(&h->tick, on_tick, TICK_S, TICK_S);
	h->tick.data = h;
	ev_timer_start(d->ev, &h->tick);
	return 0;
}

int
health_check(struct daemon *d)
{
	struct health *h = d->health;
	int rc;

	if (h == NULL)
		return 0;
	rc = make(h, true);
	return rc == 0 ? 0 : fail(d, rc, "the folder has to be writable for 'user'");
}

void
health_down(struct daemon *d)
{
	struct health *h = d->health;

	if (h == NULL)
		return;
	ev_timer_stop(d->ev, &h->tick);
	if (h->dir >= 0) {
		if (owner(h) == getpid())
			unlinkat(h->dir, h->name, 0);
		close(h->dir);
	}
	free(h);
	d->health = NULL;
}
