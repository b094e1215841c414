// SPDX-License-Identifier: BSD-3-Clause
/*
 * From one generation of the configuration to the next, while traffic runs.
 *
 * Runs on: main. The steps: load (loader.c, a thread) -> refuse what is fixed -> open new sockets of
 * the host -> slots by name -> io stops accepting where binds go, and what it accepted reaches the
 * workers -> servers and checks -> one pointer store -> grace: every worker passed a quiescent point
 * -> io accepts where binds came. Whatever may fail stands before what cannot be undone, so a reload
 * that fails has changed nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/reload_priv.h"
#include "control/script/script.h"

#define TICK_BUSY 0.001 // while a reload is under way
#define TICK_OLD  0.02  // while old generations live
#define DRAIN_S   0.1   // for messages between io and a worker that had no turn

static void begin(struct reload *r);

static void
set_tick(struct reload *r)
{
	bool old = r->gens != NULL && r->gens->older != NULL;
	double s = r->step == STEP_DRAIN || r->step == STEP_GRACE ? TICK_BUSY : old ? TICK_OLD : 0.;

	r->tick.repeat = s;
	ev_timer_again(r->d->ev, &r->tick); // 0: stops
}

/* ---- the end of a run ---- */

static void
free_next(struct reload *r)
{
	reload_sockets_close(r);
	checks_next_free(r->checks);
	r->checks = NULL;
	log_abandon(r->d->log);
	cli_abandon(r->d->cli);
	conf_free(r->next);
	r->next = NULL;
}

static void
finish(struct reload *r, bool ok)
{
	struct daemon *d = r->d;

	r->step = STEP_IDLE;
	d->reloads.done += ok;
	d->reloads.failed += !ok;
	d->reloads.last_failed = !ok;
	cli_reload_done(d->cli, r->run, ok, sl_str_make(r->text != NULL ? r->text : "", r->text_len));
	free(r->text);
	r->text = NULL;
	r->text_len = 0;
	daemon_tell_systemd(d, "READY=1\n");
	set_tick(r);
	if (r->again)
		begin(r);
}

/* Why, behind the messages of the loader; then all is as before. */
static void
refuse(struct reload *r, const char *why)
{
	char line[1024], *more;
	struct sl_buf b;

	if (why != NULL) {
		daemon_say(r->d, SL_ALERT, "%s", why);
		sl_buf_init(&b, line, sizeof(line));
		options_format(&b, SL_ALERT, "", why);
		more = realloc(r->text, r->text_len + b.len + 1);
		if (more != NULL) {
			memcpy(more + r->text_len, line, b.len);
			r->text = more;
			r->text_len += b.len;
		}
	}
	daemon_say(r->d, SL_ALERT, "reload refused: generation %u goes on, nothing has changed",
		r->d->model->generation);
	if (r->next != NULL)
		free_next(r);
	finish(r, false);
}

/* ---- publishing ---- */

static bool
rings_empty(const struct daemon *d)
{
	for (uint16_t w = 0; w < d->nlc; w++) {
		if (xring_count(&d->lc[w]->io.to) > 0)
			return false;
	}
	return true;
}

/* What main's own parts look at. */
static void
switch_main(struct daemon *d, struct model *m)
{
	d->model = m;
	d->stats_spec.model = m;
	stats_publish(m);
	stats_set_model(d->stats, m);
	cli_commit(d->cli, m);
}

/* What commands said of a frontend that is another one now; one that was shut down is back. */
static void
forget_commands(struct daemon *d, const struct model *m)
{
	for (uint32_t i = 0; i < m->nproxies; i++) {
		const struct proxy *p = m->proxies[i];
		struct px_run *run = &d->bal->px[p->slot];

		if (p->since == m->generation) {
			atomic_store_explicit(&run->maxconn, UINT32_MAX, memory_order_relaxed);
			atomic_store_explicit(&run->stop, PX_STOP_NO, memory_order_relaxed);
		} else if (atomic_load_explicit(&run->stop, memory_order_relaxed) == PX_STOP_SHUT) {
			atomic_store_explicit(&run->stop, PX_STOP_NO, memory_order_relaxed);
		}
	}
}

/* From here on nothing fails. */
static void
publish(struct reload *r)
{
	struct daemon *d = r->d;
	struct gen *g = r->gens, *old = g->older;
	const struct log_conf lc = log_conf_of(r->next);

	reload_sockets_switch(r);
	arena_map_protect(r->next->mem);
	if (r->next->lua != NULL)
		script_publish(r->next->lua);
	checks_commit(d->checks, r->next, r->checks);
	r->checks = NULL;
	log_commit(d->log, &lc);
	forget_commands(d, r->next);
	epoch_publish(d->lc, d->nlc, r->next);
	epoch_snapshot(d->lc, d->nlc, r->since);
	r->nretired = d->bal->nretired;
	g->born = old->replaced = reload_now(r);
	g->state = GEN_SERVED;
	old->state = GEN_OLD;
	switch_main(d, r->next);
	r->step = STEP_GRACE;
	r->step_began = reload_now(r);
}

static void
served(struct reload *r)
{
	struct daemon *d = r->d;

	// SIGUSR1 may have closed all listeners meanwhile: none is opened then, those made go with the rest
	bool stops = atomic_load_explicit(&d->lc[0]->asked_stop_accept, memory_order_relaxed);

	if (!stops)
		io_thread_run(d->iot, reload_sockets_begin, r);
	for (uint32_t i = 0; i < r->next->nbinds && !stops; i++) {
		if (r->fd[i] >= 0)
			daemon_say(d, SL_ALERT, "no memory to listen on a new bind of [%s:%u]",
				r->next->binds[i]->pos.file, r->next->binds[i]->pos.line);
	}
	reload_sockets_close(r);
	bal_shared_reap(d->bal, r->nretired);
	stats_forget(d->stats, r->next);
	daemon_say(d, SL_NOTICE, "reloaded: generation %u is served, after %.0f ms",
		r->next->generation, (reload_now(r) - r->began) * 1000);
	r->next = NULL;
	finish(r, true);
}

/* ---- loading ---- */

/* Each line of the loader's into the log too. */
static void
say_messages(struct reload *r, struct sl_str text)
{
	while (text.len > 0) {
		struct sl_str line = sl_str_cut(&text, '\n');
		int at = line.len > 1 ? sl_str_chr(line, ')') : -1;
		enum sl_level level = sl_str_starts(line, SL_STR("[ALERT]"), false) ? SL_ALERT
			: sl_str_starts(line, SL_STR("[WARN"), false)               ? SL_WARNING
										    : SL_NOTICE;

		if (at > 0 && line.len > (uint32_t)at + 4) // "[ALERT]   (pid) : "
			line = sl_str_make(line.p + at + 4, line.len - (uint32_t)at - 4);
		daemon_say(r->d, level, "%.*s", SL_STR_ARG(line));
	}
}

/* Everything that may fail. 0 or -Exxx with a sentence in d->err. */
static int
prepare(struct reload *r)
{
	struct daemon *d = r->d;
	const struct log_conf lc = log_conf_of(r->next);
	struct port_err *e = &d->err;
	int rc;

	e->text[0] = '\0';
	if (reload_fixed(d->model, r->next, r->maxconn, e->text, sizeof(e->text)))
		return -EINVAL;
	if (r->places == UINT64_MAX)
		return daemon_fail(d, -EBUSY,
			"64 generations are in use by connections that do not end: "
			"'hard-stop-after' would end them ('show generations' lists them)");
	listen_note(d, r->next);
	rc = reload_sockets_open(r);
	if (rc < 0)
		return rc;
	rc = log_prepare(d->log, &lc, e->text, sizeof(e->text));
	if (rc == 0)
		rc = cli_prepare(d->cli, r->next, e->text, sizeof(e->text));
	if (rc < 0)
		return rc;
	r->checks = checks_prepare(r->next);
	if (r->checks == NULL)
		return daemon_fail(d, -ENOMEM, "no memory for health checks");
	rc = slots_assign(d->slots, r->next, e->text, sizeof(e->text));
	if (rc < 0)
		return rc;
	if (reload_gen_new(r, r->next) != NULL)
		return 0;
	slots_release(d->slots, r->next, NULL, NULL);
	return daemon_fail(d, -ENOMEM, "no memory for another generation");
}

static void
on_loaded(void *ctx, struct model *m, struct sl_str text)
{
	struct reload *r = ctx;

	r->loader = NULL;
	r->stuck = false;
	r->next = m;
	r->text = malloc(text.len + 1);
	r->text_len = r->text != NULL ? text.len : 0;
	if (r->text != NULL && text.len > 0)
		memcpy(r->text, text.p, text.len);
	say_messages(r, text);
	if (m == NULL) {
		// the loader is a thread of this process
		refuse(r,
			r->d->model->global.chroot.len > 0
				? "'chroot': the files were looked for inside of it, by the same names"
				: NULL);
		return;
	}
	if (atomic_load_explicit(&r->d->lc[0]->asked_stop_accept, memory_order_relaxed)) {
		refuse(r, "stopping: nothing is reloaded any more");
		return;
	}
	if (prepare(r) < 0) {
		refuse(r, r->d->err.text);
		return;
	}
	io_thread_run(r->d->iot, reload_sockets_end, r);
	r->step = STEP_DRAIN;
	r->step_began = reload_now(r);
	set_tick(r);
}

static void
on_stuck(void *ctx)
{
	struct reload *r = ctx;

	r->stuck = true;
	daemon_say(r->d, SL_ALERT,
		"loading was cancelled, and does not end: a Lua file is stuck in a C function; no "
		"other reload begins before it comes back");
}

static void
begin(struct reload *r)
{
	struct daemon *d = r->d;
	const struct global_conf *g = &d->model->global;
	struct timespec ts;
	char text[96];
	struct loader_spec s = { .ev = d->ev,
		.opt = d->opt,
		.generation = d->model->generation + 1,
		.timeout_ms = g->reload_timeout_ms,
		.cpus = &d->plan.script,
		.nice = d->plan.shared ? 10 : 0,
		.done = on_loaded,
		.stuck = on_stuck,
		.ctx = r };
	int rc;

	r->again = false;
	r->run++;
	r->began = reload_now(r);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n",
		(uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
	daemon_tell_systemd(d, text);
	daemon_say(d, SL_NOTICE, "reloading: generation %u is being loaded", s.generation);
	r->step = STEP_LOADING;
	rc = loader_start(&s, &r->loader);
	if (rc < 0)
		refuse(r, "no memory for the loader's thread");
}

uint32_t
reload_request(struct daemon *d)
{
	struct reload *r = d->reload;

	if (r->step == STEP_IDLE) {
		begin(r);
		return r->run;
	}
	// the files may have been read already
	r->again = true;
	return r->run + 1;
}

bool
reload_is_busy(const struct daemon *d)
{
	return d->reload->step != STEP_IDLE;
}

static void
on_tick(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct reload *r = t->data;
	struct daemon *d = r->d;

	if (r->step == STEP_DRAIN && (rings_empty(d) || reload_now(r) - r->step_began > DRAIN_S))
		publish(r);
	else if (r->step == STEP_GRACE && epoch_passed(d->lc, d->nlc, r->since))
		served(r);
	// within the grace a worker may still take hold of the generation before
	if (r->step != STEP_DRAIN && r->step != STEP_GRACE)
		reload_reap(r);
	set_tick(r);
}

/* ---- up and down ---- */

int
reload_up(struct daemon *d)
{
	struct reload *r = calloc(1, sizeof(*r));
	struct gen *g;
	int rc;

	d->reload = r;
	d->slots = slots_new(d->cap);
	if (r == NULL || d->slots == NULL)
		return daemon_fail(d, -ENOMEM, "no memory for generations");
	r->d = d;
	d->reloads.master = d->parented ? (int)getppid() : (int)getpid();
	r->maxconn = d->model->global.maxconn;
	ev_timer_init(&r->tick, on_tick, 0., 0.);
	r->tick.data = r;
	rc = slots_assign(d->slots, d->model, d->err.text, sizeof(d->err.text));
	if (rc < 0)
		return rc;
	g = reload_gen_new(r, d->model);
	if (g == NULL)
		return daemon_fail(d, -ENOMEM, "no memory for generations");
	g->born = reload_now(r);
	return 0;
}

void
reload_cancel(struct daemon *d)
{
	struct reload *r = d->reload;

	if (r == NULL)
		return;
	ev_timer_stop(d->ev, &r->tick);
	if (r->loader != NULL && !loader_stop(r->loader))
		d->loader_stuck = true;
	r->loader = NULL;
}

void
reload_down(struct daemon *d)
{
	struct reload *r = d->reload;

	if (r == NULL)
		return;
	reload_cancel(d);
	while (r->gens != NULL) {
		struct gen *g = r->gens;

		r->gens = g->older;
		if (g->m != d->model && g->m != r->next)
			conf_free(g->m);
		free(g);
	}
	if (r->next != NULL && r->next != d->model)
		free_next(r);
	free(r->fd);
	free(r->text);
	free(r);
	d->reload = NULL;
	slots_free(d->slots);
	d->slots = NULL;
}
