// SPDX-License-Identifier: BSD-3-Clause
/*
 * From one generation of the configuration to the next, while traffic runs.
 *
 * Runs on: main. The steps: load (loader.c, a thread) -> refuse what is fixed -> open new sockets of
 * the host -> slots by name -> io stops accepting where binds go, and what it accepted reaches the
 * workers -> servers and checks -> one pointer store -> grace: every worker passed a quiescent point
 * -> io accepts where binds came. Whatever may fail stands before what cannot be undone, so a reload
 * that fails has changed nothing.
 *
 * An old generation is freed when nobody counts it any more (connections, streams, call slots), every
 * worker passed another quiescent point, its log records are written and its Lua states closed.
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
#define END_AGAIN 1.    // between two orders to end a generation

enum gen_state {
	GEN_SERVED,
	GEN_OLD,     // something may hold it
	GEN_GRACE,   // nothing counts it; a worker may be in the middle of letting go
	GEN_CLOSING, // its Lua states are being closed
};

struct gen {
	struct gen *older;
	struct model *m;
	enum gen_state state;
	double born, replaced, ended; // ev_now()
	uint64_t since[LCORE_MAX];    // quiescent counters when the state began
};

enum step { STEP_IDLE, STEP_LOADING, STEP_DRAIN, STEP_GRACE };

struct reload {
	struct daemon *d;
	enum step step;
	struct ev_timer tick;
	struct loader *loader;
	bool stuck;      // the loader does not end
	uint32_t maxconn; // of the start
	uint32_t run;    // number of the one under way, or of the last one
	bool again;      // asked for meanwhile
	double began, step_began;
	struct gen *gens; // the newest first
	uint64_t places;  // of those that live
	/* the one under way */
	struct model *next;
	struct checks_next *checks;
	int *fd; // by the index of next->binds: a new socket of the host, or -1
	uint32_t nretired;
	uint64_t since[LCORE_MAX];
	char *text; // messages of the loader
	uint32_t text_len;
};

static void begin(struct reload *r);

static double
now(const struct reload *r)
{
	return ev_now(r->d->ev);
}

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
	for (uint32_t i = 0; r->fd != NULL && i < r->next->nbinds; i++) {
		if (r->fd[i] >= 0)
			close(r->fd[i]);
	}
	free(r->fd);
	r->fd = NULL;
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

/* ---- sockets of the host ---- */

static const struct listen_addr *
find_bind(const struct model *m, const struct ip_port *addr)
{
	for (uint32_t i = 0; i < m->nbinds; i++) {
		if (addr_port_eq(&m->binds[i]->addr, addr))
			return m->binds[i];
	}
	return NULL;
}

static bool
has_bind(const struct model *m, const struct ip_port *addr)
{
	return find_bind(m, addr) != NULL;
}

/* What the kernel knows of sockets that stay, as far as it takes another word. */
static void
adjust_sockets(struct daemon *d, const struct model *was, const struct model *m)
{
	for (uint32_t i = 0; i < m->nbinds; i++) {
		const struct listen_addr *b = m->binds[i], *old = find_bind(was, &b->addr);

		if (b->addr.host && old != NULL)
			listen_adjust(d, old, b);
	}
}

static int
open_sockets(struct reload *r)
{
	const struct model *m = r->next;
	int rc = 0;

	r->fd = malloc(sizeof(int) * (m->nbinds + 1));
	if (r->fd == NULL)
		return daemon_fail(r->d, -ENOMEM, "no memory for listeners");
	for (uint32_t i = 0; i < m->nbinds; i++)
		r->fd[i] = -1;
	for (uint32_t i = 0; i < m->nbinds && rc == 0; i++) {
		const struct listen_addr *b = m->binds[i];

		// what survives stays open: nobody who connects meanwhile is turned away
		if (b->addr.host && !has_bind(r->d->model, &b->addr))
			rc = listen_one(r->d, m, b, &r->fd[i]);
	}
	return rc;
}

/* On the io thread. */
static void
unlisten_gone(struct io_loop *l sl_unused, void *ctx)
{
	struct reload *r = ctx;
	const struct model *m = r->d->model;

	for (uint32_t i = 0; i < m->nbinds; i++) {
		if (m->binds[i]->addr.host && !has_bind(r->next, &m->binds[i]->addr))
			io_host_unlisten(r->d->host, &m->binds[i]->addr);
	}
}

static void
listen_new(struct io_loop *l sl_unused, void *ctx)
{
	struct reload *r = ctx;
	const struct model *m = r->d->model;

	for (uint32_t i = 0; i < m->nbinds; i++) {
		if (r->fd[i] < 0 && m->binds[i]->addr.host)
			io_host_backlog(r->d->host, &m->binds[i]->addr,
				listen_backlog(m, m->binds[i]));
		if (r->fd[i] >= 0 && io_host_listen(r->d->host, &m->binds[i]->addr, r->fd[i]) == 0)
			r->fd[i] = -1;
	}
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
	const struct model *was = d->model;

	for (uint32_t i = 0; i < was->nbinds; i++) {
		if (was->binds[i]->addr.host && !has_bind(r->next, &was->binds[i]->addr))
			listen_unlink(was->binds[i]);
	}
	adjust_sockets(d, was, r->next);
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
	g->born = old->replaced = now(r);
	g->state = GEN_SERVED;
	old->state = GEN_OLD;
	switch_main(d, r->next);
	r->step = STEP_GRACE;
	r->step_began = now(r);
}

static void
served(struct reload *r)
{
	struct daemon *d = r->d;

	io_thread_run(d->iot, listen_new, r);
	for (uint32_t i = 0; i < r->next->nbinds; i++) {
		if (r->fd[i] < 0)
			continue;
		daemon_say(d, SL_ALERT, "no memory to listen on a new bind of [%s:%u]",
			r->next->binds[i]->pos.file, r->next->binds[i]->pos.line);
		close(r->fd[i]);
	}
	free(r->fd);
	r->fd = NULL;
	bal_shared_reap(d->bal, r->nretired);
	stats_forget(d->stats, r->next);
	daemon_say(d, SL_NOTICE, "reloaded: generation %u is served, after %.0f ms",
		r->next->generation, (now(r) - r->began) * 1000);
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

static struct gen *
gen_new(struct reload *r, struct model *m)
{
	struct gen *g = calloc(1, sizeof(*g));
	uint16_t place = 0;

	if (g == NULL)
		return NULL;
	while ((r->places >> place & 1) != 0)
		place++;
	r->places |= 1ull << place;
	m->place = place;
	g->m = m;
	g->older = r->gens;
	r->gens = g;
	return g;
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
	rc = open_sockets(r);
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
	if (gen_new(r, r->next) != NULL)
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
	io_thread_run(r->d->iot, unlisten_gone, r);
	r->step = STEP_DRAIN;
	r->step_began = now(r);
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
	r->began = now(r);
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

/* ---- old generations ---- */

static void
held(const struct daemon *d, const struct model *m, struct cli_generation *out)
{
	for (uint16_t w = 0; w < d->nlc; w++) {
		const struct lcore_gen *g = &d->lc[w]->gen[m->place];
		const struct logring *l = d->lc[w]->logring;
		uint32_t at, end;

		out->conns += counter_get(&g->conns);
		out->streams += counter_get(&g->streams);
		out->slots += counter_get(&g->slots);
		if (l == NULL)
			continue;
		at = atomic_load_explicit((_Atomic(uint32_t) *)(uintptr_t)&l->head, memory_order_relaxed);
		end = atomic_load_explicit(
			(_Atomic(uint32_t) *)(uintptr_t)&l->tail, memory_order_acquire);
		for (; at != end; at++)
			out->records += l->rec[at & l->mask].generation == m->generation;
	}
}

static bool
is_held(const struct daemon *d, const struct model *m)
{
	struct cli_generation n = { 0 };

	held(d, m, &n);
	// a script thread that is stuck in C may still look at any of them when it comes back
	return n.conns + n.streams + n.slots > 0 || script_stuck() > 0;
}

static void
end_connections(struct reload *r, struct gen *g)
{
	struct xmsg m = { .w = { XMSG_GEN_END, g->m->place } };
	uint32_t after = g->m->global.hard_stop_ms;

	if (after == 0 || now(r) - g->replaced < after / 1000. || now(r) - g->ended < END_AGAIN)
		return;
	if (g->ended == 0.)
		daemon_say(r->d, SL_WARNING,
			"generation %u: 'hard-stop-after' ends the connections that are left",
			g->m->generation);
	g->ended = now(r);
	for (uint16_t w = 0; w < r->d->nlc; w++)
		io_message(r->d->io, w, &m);
}

static void
on_slot_gone(void *ctx, uint32_t slot)
{
	struct daemon *d = ctx;

	checks_forget(d->checks, slot);
}

/* True: it is no more. */
static bool
advance(struct reload *r, struct gen *g)
{
	struct daemon *d = r->d;

	switch (g->state) {
	case GEN_OLD:
		if (is_held(d, g->m)) {
			end_connections(r, g);
			return false;
		}
		epoch_snapshot(d->lc, d->nlc, g->since);
		g->state = GEN_GRACE;
		return false;
	case GEN_GRACE:
		if (!epoch_passed(d->lc, d->nlc, g->since))
			return false;
		if (is_held(d, g->m)) {
			g->state = GEN_OLD;
			return false;
		}
		log_collect(d->log, d->lc, d->nlc, reload_model, d);
		if (g->m->lua != NULL)
			script_retire(g->m->lua);
		g->state = GEN_CLOSING;
		return false;
	case GEN_CLOSING:
		return g->m->lua == NULL || script_gen_closed(g->m->lua);
	default:
		return false;
	}
}

static void
reap(struct reload *r)
{
	struct gen **at = &r->gens->older;

	// the first one is served, or about to be; the one before it may still be
	while (*at != NULL) {
		struct gen *g = *at;

		if (g->state == GEN_SERVED || !advance(r, g)) {
			at = &g->older;
			continue;
		}
		*at = g->older;
		slots_release(r->d->slots, g->m, on_slot_gone, r->d);
		log_forget(r->d->log, g->m->generation);
		r->places &= ~(1ull << g->m->place);
		daemon_say(r->d, SL_INFO, "generation %u has ended", g->m->generation);
		conf_free(g->m);
		free(g);
	}
}

static void
on_tick(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct reload *r = t->data;
	struct daemon *d = r->d;

	if (r->step == STEP_DRAIN && (rings_empty(d) || now(r) - r->step_began > DRAIN_S))
		publish(r);
	else if (r->step == STEP_GRACE && epoch_passed(d->lc, d->nlc, r->since))
		served(r);
	// within the grace a worker may still take hold of the generation before
	if (r->step != STEP_DRAIN && r->step != STEP_GRACE)
		reap(r);
	set_tick(r);
}

/* ---- what others ask ---- */

const struct model *
reload_model(void *ctx, uint32_t generation)
{
	const struct daemon *d = ctx;

	for (const struct gen *g = d->reload->gens; g != NULL; g = g->older) {
		if (g->m->generation == generation)
			return g->m;
	}
	return NULL;
}

uint32_t
reload_generations(void *ctx, struct cli_generation *out, uint32_t max)
{
	static const char *const states[] = { [GEN_SERVED] = "served",
		[GEN_OLD] = "old",
		[GEN_GRACE] = "old",
		[GEN_CLOSING] = "closing" };
	const struct daemon *d = ctx;
	uint32_t n = 0;

	for (const struct gen *g = d->reload->gens; g != NULL && n < max; g = g->older) {
		if (d->reload->step == STEP_DRAIN && g == d->reload->gens)
			continue; // not served yet
		out[n] = (struct cli_generation){ .id = g->m->generation,
			.state = states[g->state],
			.age_s = (uint64_t)(now(d->reload) - g->born) };
		held(d, g->m, &out[n]);
		n++;
	}
	return n;
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
	g = gen_new(r, d->model);
	if (g == NULL)
		return daemon_fail(d, -ENOMEM, "no memory for generations");
	g->born = now(r);
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
