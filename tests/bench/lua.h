/* SPDX-License-Identifier: BSD-3-Clause */
/* The benchmark's scripts: rules that call them, and script threads on other CPUs than the worker's. */
#pragma once

#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"

#define BENCH_LUA_SLOTS 256

/*
 * Lines for the global section and the frontend: n actions for each request, each of which reads a
 * header and sets a variable; the last variable goes into the reply. hostile: also what a bad day looks
 * like, for requests whose number the rules name (see lua.c). False: no room, or no file.
 */
bool bench_lua_conf(uint32_t n, bool hostile, char *global, size_t gsize, char *fe, size_t fsize);
/* What the reply carries then. */
extern const char bench_lua_reply[];
/* main becomes the worker: scripts run on the other CPUs. 0 or -Exxx. */
int bench_lua_start(struct lcore *lc, const struct model *m);
/* Between two turns of the worker: what main does for it. */
void bench_lua_turn(struct lcore *lc, uint64_t now_us);
uint64_t bench_lua_instructions(void);
void bench_lua_print(void);
