/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of a reload: its steps, generations, sockets, the loader's thread, what is fixed. */
#pragma once

#include <ev.h>
#include <sched.h>

#include "control/daemon.h"
#include "control/options.h"
#include "dataplane/model/model.h"

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
	bool stuck;       // the loader does not end
	uint32_t maxconn; // of the start
	uint32_t run;     // number of the one under way, or of the last one
	bool again;       // asked for meanwhile
	double began, step_began;
	struct gen *gens; // the newest first
	uint64_t places;  // of those that live
	struct pat_set *pats; // of one of them, that has lists waiting for a grace
	uint64_t pats_since[LCORE_MAX];
	/* the one under way */
	struct model *next;
	struct checks_next *checks;
	int *fd; // by the index of next->binds: a new socket of the host, or -1
	uint32_t nretired;
	uint64_t since[LCORE_MAX];
	char *text; // messages of the loader
	uint32_t text_len;
};

static inline double
reload_now(const struct reload *r)
{
	return ev_now(r->d->ev);
}

/* ---- reload_gens.c ---- */
/* The newest, of model m, with a place of its own; NULL: no memory. */
struct gen *reload_gen_new(struct reload *r, struct model *m);
/* Looks after old ones; frees those that nothing holds. */
void reload_reap(struct reload *r);

/* ---- reload_sockets.c ---- */
/* Opens those that only r->next has. 0 or -Exxx with a sentence in d->err. */
int reload_sockets_open(struct reload *r);
/* On the io thread, ctx is the reload: stops accepting where binds go; accepts where they came. */
void reload_sockets_end(struct io_loop *l, void *ctx);
void reload_sockets_begin(struct io_loop *l, void *ctx);
/* Before r->next is published: paths of those that go, rights of those that stay. */
void reload_sockets_switch(struct reload *r);
/* Those that io did not take. */
void reload_sockets_close(struct reload *r);

/* ---- reload_fixed.c ---- */
/*
 * Does next change what is fixed at start? True with a sentence in err that names it. maxconn: what
 * the tables were sized for.
 */
bool reload_fixed(const struct model *now, const struct model *next, uint32_t maxconn, char *err,
	size_t size);

/* ---- loader.c ---- */
struct loader;
struct loader_spec {
	struct ev_loop *ev;
	const struct options *opt;
	uint32_t generation;
	uint32_t timeout_ms; // 0: none
	const cpu_set_t *cpus;
	int nice; // 0: as main
	/*
	 * Main, once: m (writable, not published) or NULL; text: the messages, a line each in the form of
	 * stderr, valid during the call. The loader is gone when it returns.
	 */
	void (*done)(void *ctx, struct model *m, struct sl_str text);
	/* Main: loading was cancelled, and does not end: a script is stuck in a C function. */
	void (*stuck)(void *ctx);
	void *ctx;
};
/* Begins to load on a thread of its own. 0 and *out, or -Exxx. */
int loader_start(const struct loader_spec *s, struct loader **out);
/* The process ends: cancels, and waits a moment. False: the thread is stuck, and must be left alone. */
bool loader_stop(struct loader *l);
