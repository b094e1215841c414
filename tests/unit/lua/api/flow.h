/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's proxy over the fake transport, and a real script thread behind it: requests of a client
 * whose rules call Lua.
 */
#pragma once

#include <time.h>

#include "tests/harness/px_env.h"
#include "tests/unit/lua/api/load.h"

#define G(path) "GET " path " HTTP/1.1\r\nHost: a\r\nX-In: in\r\n\r\n"

static struct px_env e;
static struct script_gen *gen;
static struct expr_extern ext;

static char logged[1024]; // the latest message; read when the thread has answered

static inline void
keep(void *ctx sl_unused, enum sl_level level sl_unused, struct sl_str text)
{
	snprintf(logged, sizeof(logged), "%.*s", SL_STR_ARG(text));
}

static bool flow_tcp; // mode tcp: rules are "tcp-request content"

/* Rules of the frontend; responses' may be NULL. */
static inline void
start(const char *script, const char *const *req, const char *const *res)
{
	struct script_spec spec = { .nthreads = 1, .nlcores = 1, .log = keep };
	struct script_err err = { "" };

	px_env_init(&e);
	memset(e.lc->stat, 0, sizeof(e.lc->stat));
	assert_int_equal(script_gen_new(&gen), 0);
	if (load_text(gen, script, false, &err) < 0 || script_gen_ready(gen, 1, &err) < 0)
		fail_msg("%s", err.text);
	ext = (struct expr_extern){
		.lookup = script_lookup, .nargs = script_action_nargs, .ctx = gen
	};
	e.ext = &ext;
	e.call_slots = 4;
	e.model.lua = gen;
	if (flow_tcp) {
		e.fe.mode = e.be.mode = PX_TCP;
		e.fe.tcp_req = px_env_rules(&e, EVAL_TCP_CONTENT, req);
	} else {
		e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, req);
	}
	if (e.fe.http_req == NULL && e.fe.tcp_req == NULL)
		fail_msg("%s", e.error);
	if (res != NULL) {
		e.fe.http_res = px_env_rules(&e, EVAL_HTTP_RES, res);
		if (e.fe.http_res == NULL)
			fail_msg("%s", e.error);
	}
	px_env_start(&e);
	spec.lc = &e.lc;
	assert_int_equal(script_start(&spec), 0);
}

/* Takes the answers that are there. */
static inline bool
pump(void)
{
	struct xmsg m;
	bool any = false;

	lcore_wake_peers(e.lc);
	while (xring_pop(&e.lc->script[0].to, &m)) {
		px_script_message(e.lc, 0, &m);
		any = true;
	}
	return any;
}

/* Until no call is out. */
static inline void
settle(void)
{
	struct timespec ts = { .tv_nsec = 20000 };

	px_env_run(&e);
	while (e.lc->calls_out > 0) {
		if (pump())
			px_env_run(&e);
		else
			nanosleep(&ts, NULL);
	}
}

static inline void
end(void)
{
	px_env_end(&e);
	script_stop();
	script_gen_free(gen);
}

static inline void
ask(struct fake *c, const char *text)
{
	fake_give(c, text, (uint32_t)strlen(text));
	settle();
}

static inline uint64_t
stat(enum lc_stat s)
{
	return counter_get(&e.lc->stat[s]);
}
