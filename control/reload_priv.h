/* SPDX-License-Identifier: BSD-3-Clause */
/* Between reload.c, the loader's thread and the list of what is fixed. */
#pragma once

#include <ev.h>
#include <sched.h>

#include "control/options.h"
#include "dataplane/model/model.h"

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
