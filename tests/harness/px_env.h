/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's mux, balance and proxy over the fake transport, under virtual time: one frontend, one or
 * two backends, servers whose answers the test gives by path. Rules are written as in the
 * configuration.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/balance/balance.h"
#include "tests/harness/fake_conn.h"

#define ENV_SERVERS 4

/* What a server does when it has got a request for this path. */
struct env_answer {
	const char *path;
	const char *bytes; // written at once
	enum { ENV_KEEP, ENV_FIN, ENV_RST, ENV_HANG } then;
};

struct px_env {
	struct lcore *lc;
	struct bal_shared *bal;
	struct fake_net net;
	uint64_t now_us;
	struct arena_src src;
	struct arena mem;
	struct model model;
	struct global_conf *global;
	struct listen_addr bind;
	const struct listen_addr *binds[1];
	struct proxy fe, be, be2;
	const struct proxy *proxies[3];
	struct server srv[ENV_SERVERS], srv2[1];
	struct ip_port client;
	const struct env_answer *answers;
	/* instead of answers: called for each server connection with unseen bytes */
	void (*on_server)(struct px_env *e, struct fake *f);
	enum fake_answer connect[ENV_SERVERS]; // by server
	uint32_t connects[ENV_SERVERS];
	const struct expr_extern *ext; // lua.NAME of rules; by default every name exists
	uint32_t call_slots;
	uint32_t cancels; // seen by px_env_call()
	uint32_t mbufs;   // in use before
	char error[200];
};

/* The EAL, a pool and an lcore, once per process. */
int px_env_group_setup(void **state);
/* A model with defaults; the test changes it, adds rules, then px_env_start(). */
void px_env_init(struct px_env *e);
/* Appends to the frontend's http-request rules; all rules of a list in one call. */
const struct prog *px_env_rules(struct px_env *e, enum eval_point point, const char *const *rules);
const struct prog *px_env_cond(struct px_env *e, const char *cond);
void px_env_start(struct px_env *e);
/* Everything must have been given back; fails the test otherwise. */
void px_env_end(struct px_env *e);

struct fake *px_env_client(struct px_env *e);
/* Events, servers and due timers, until nothing moves. */
void px_env_run(struct px_env *e);
/* Lets time pass, with everything that becomes due. */
void px_env_wait(struct px_env *e, uint32_t ms);
/* c says text, and everything happens that follows from it. */
void px_env_ask(struct px_env *e, struct fake *c, const char *text);
/* How often needle stands in hay. */
uint32_t px_env_count(const char *hay, const char *needle);
/* For on_server: one that never answers. */
void px_env_hang(struct px_env *e, struct fake *f);
/* All that the client got so far, as a C string; reads on. */
const char *px_env_got(struct fake *f);
/* The next record, or NULL; copied. */
const struct logrec *px_env_log(struct px_env *e);
/* The test as script thread: the next call, or NULL; its answer, once the slot says what. */
struct call_slot *px_env_call(struct px_env *e);
void px_env_reply(struct px_env *e, struct call_slot *c);
/* The i-th live connection to a server, counting from 0; NULL. */
struct fake *px_env_backend(struct px_env *e, uint32_t i);
