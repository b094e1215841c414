// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lua in the global section: which files are loaded, and the limits of what they register.
 *
 * Runs on: the loader. Files run when the first proxy begins (all tune.lua.* are known then, and
 * rules may name what they register), in the order of their lines.
 */
#include "control/conf/conf_priv.h"

#include "dataplane/proxy/call.h"

static int
kw_lua_load(struct conf *c, const struct conf_args *a)
{
	struct conf_lua *l = arena_zalloc(&c->tmp, sizeof(*l));

	if (l == NULL)
		return conf_nomem(c);
	*l = (struct conf_lua){
		.pos = c->pos, .file = a->word[0], .narg = a->n - 1, .per_thread = a->priv != 0
	};
	l->arg = conf_words(c, a->word + 1, l->narg);
	if (l->arg == NULL)
		return -ENOMEM;
	*c->load_last = l;
	c->load_last = &l->next;
	return 0;
}

/* Later lines are searched first. */
static int
kw_prepend_path(struct conf *c, const struct conf_args *a)
{
	struct global_conf *g = &c->m->global;
	char text[4096];
	struct sl_buf b;

	bool cpath = a->n == 2 && sl_str_eq(a->word[1], SL_STR("cpath"));
	struct sl_str *out = cpath ? &g->lua_prepend_cpath : &g->lua_prepend_path;

	if (a->n == 2 && !cpath && !sl_str_eq(a->word[1], SL_STR("path"))) {
		conf_error(c,
			"'lua-prepend-path' : unknown type '%.*s', expects 'path' or 'cpath'.",
			SL_STR_ARG(a->word[1]));
		return -EINVAL;
	}
	sl_buf_init(&b, text, sizeof(text));
	sl_buf_add(&b, a->word[0]);
	if (out->len > 0) {
		sl_buf_char(&b, ';');
		sl_buf_add(&b, *out);
	}
	if (b.full) {
		conf_error(c, "'lua-prepend-path' : all paths together are too long.");
		return -EINVAL;
	}
	*out = conf_copy(c, sl_buf_str(&b));
	return 0;
}

static int
kw_number(struct conf *c, const struct conf_args *a)
{
	return conf_global_number(c, a, 0, INT32_MAX);
}

static int
kw_forced_yield(struct conf *c, const struct conf_args *a)
{
	return conf_global_number(c, a, 1, INT32_MAX);
}

static int
kw_share(struct conf *c, const struct conf_args *a)
{
	return conf_global_number(c, a, 1, 100);
}

static int
kw_max_instr(struct conf *c, const struct conf_args *a)
{
	return conf_number(c, a->kw, a->word[0], 0, INT64_MAX, &c->m->global.lua_max_instructions);
}

static int
kw_lua_time(struct conf *c, const struct conf_args *a)
{
	return conf_time(
		c, a->kw, a->word[0], (uint32_t *)(void *)((uint8_t *)&c->m->global + a->priv));
}

/* One of two words; priv: where the bool of the second goes. */
static int
kw_either(struct conf *c, const struct conf_args *a, const char *no, const char *yes)
{
	bool *out = (bool *)((uint8_t *)&c->m->global + a->priv);

	if (!sl_str_eq(a->word[0], sl_str_c(no)) && !sl_str_eq(a->word[0], sl_str_c(yes))) {
		conf_error(c, "'%s' expects '%s' or '%s', got '%.*s'.", a->kw, no, yes,
			SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	*out = sl_str_eq(a->word[0], sl_str_c(yes));
	return 0;
}

static int
kw_socket_compat(struct conf *c, const struct conf_args *a)
{
	return kw_either(c, a, "luasocket", "haproxy");
}

static int
kw_blocking(struct conf *c, const struct conf_args *a)
{
	return kw_either(c, a, "warn", "error");
}

static int
kw_bool_sample(struct conf *c, const struct conf_args *a)
{
	return kw_either(c, a, "pre-3.1-bug", "normal");
}

/* priv: on overload? */
static int
kw_policy(struct conf *c, const struct conf_args *a)
{
	struct global_conf *g = &c->m->global;
	uint8_t *policy = a->priv ? &g->lua_on_overload : &g->lua_on_error;
	uint16_t *status = a->priv ? &g->lua_overload_status : &g->lua_error_status;
	struct sl_str w = a->word[0];
	uint64_t n;

	if (a->n == 2 && !sl_str_eq(w, SL_STR("status"))) {
		conf_error(c, "'%s' cannot handle unexpected argument '%.*s'.", a->kw,
			SL_STR_ARG(a->word[1]));
		return -EINVAL;
	}
	if (sl_str_eq(w, SL_STR("continue"))) {
		*policy = CALL_POLICY_CONT;
	} else if (sl_str_eq(w, SL_STR("deny"))) {
		*policy = CALL_POLICY_DENY;
	} else if (a->priv && sl_str_eq(w, SL_STR("wait"))) {
		*policy = CALL_POLICY_WAIT;
	} else if (sl_str_eq(w, SL_STR("status")) && a->n == 2) {
		if (conf_number(c, a->kw, a->word[1], 200, 599, &n) < 0)
			return -EINVAL;
		*policy = CALL_POLICY_STATUS;
		*status = (uint16_t)n;
	} else {
		conf_error(c, "'%s' expects %s'continue', 'deny' or 'status <code>', got '%.*s'.",
			a->kw, a->priv ? "'wait', " : "", SL_STR_ARG(w));
		return -EINVAL;
	}
	return 0;
}

void
conf_lua_load(struct conf *c)
{
	struct src_pos pos = c->pos;
	struct script_err err;

	for (const struct conf_lua *l = c->loads; l != NULL && c->lua != NULL; l = l->next) {
		c->pos = l->pos;
		script_gen_conf(c->lua, &c->m->global);
		err.text[0] = '\0';
		if (script_load(c->lua, l->file.p, l->arg, l->narg, l->per_thread, &err) < 0)
			conf_error(c, "%s", err.text);
	}
	c->loads = NULL;
	c->load_last = &c->loads;
	c->pos = pos;
}

void
conf_lua_ready(struct conf *c)
{
	struct script_err err = { .text = "" };

	if (c->lua == NULL)
		return;
	script_gen_conf(c->lua, &c->m->global);
	if (script_gen_ready(c->lua, c->m->global.script_threads, &err) < 0)
		conf_error_at(c, NULL, "%s", err.text);
	c->m->lua_fn = script_fn_counts(c->lua);
}

// clang-format off
SL_CFG_GLOBAL(
	{ "lua-load", CONF_GLOBAL, 1, CONF_MANY, kw_lua_load, "a file name [<argument>...]",
		"runs a Lua file, in the state all scripts share", 0 },
	{ "lua-load-per-thread", CONF_GLOBAL, 1, CONF_MANY, kw_lua_load,
		"a file name [<argument>...]", "runs a Lua file in a state per script thread", 1 },
	{ "lua-prepend-path", CONF_GLOBAL, 1, 2, kw_prepend_path, "<path> [path|cpath]",
		"where Lua looks for modules first" },
	{ "tune.lua.forced-yield", CONF_GLOBAL, 1, 1, kw_forced_yield, "<number>",
		"instructions of a script before others run", AT_GLOBAL(lua_forced_yield) },
	{ "tune.lua.maxmem", CONF_GLOBAL, 1, 1, kw_number, "<megabytes>", "memory of a Lua state",
		AT_GLOBAL(lua_maxmem_mb) },
	{ "tune.lua.blocking", CONF_GLOBAL, 1, 1, kw_blocking, "warn|error",
		"what functions that hold a script thread do: are named in the log, or fail",
		AT_GLOBAL(lua_blocking_error) },
	{ "tune.lua.bool-sample-conversion", CONF_GLOBAL, 1, 1, kw_bool_sample, "pre-3.1-bug|normal",
		"booleans of samples are 0 and 1 in scripts, or booleans", AT_GLOBAL(lua_bool_normal) },
	{ "tune.lua.max-instructions", CONF_GLOBAL, 1, 1, kw_max_instr, "<number>",
		"instructions of a call in all; 0: no limit" },
	{ "tune.lua.session-timeout", CONF_GLOBAL, 1, 1, kw_lua_time, "<time>",
		"CPU time of a call in all", AT_GLOBAL(lua_session_timeout_ms) },
	{ "tune.lua.burst-timeout", CONF_GLOBAL, 1, 1, kw_lua_time, "<time>",
		"CPU time of a call without a pause", AT_GLOBAL(lua_burst_timeout_ms) },
	{ "tune.lua.task-timeout", CONF_GLOBAL, 1, 1, kw_lua_time, "<time>",
		"CPU time of a task in all; none by default", AT_GLOBAL(lua_task_timeout_ms) },
	{ "tune.lua.service-timeout", CONF_GLOBAL, 1, 1, kw_lua_time, "<time>",
		"CPU time of a service in all", AT_GLOBAL(lua_service_timeout_ms) },
	{ "tune.lua.load-timeout", CONF_GLOBAL, 1, 1, kw_lua_time, "<time>",
		"CPU time of a file while it is loaded; 0: no limit", AT_GLOBAL(lua_load_timeout_ms) },
	{ "tune.lua.runaway-share", CONF_GLOBAL, 1, 1, kw_share, "<percent>",
		"share of a script thread for calls and tasks that run on and on",
		AT_GLOBAL(lua_runaway_share) },
	{ "tune.lua.stuck-timeout", CONF_GLOBAL, 1, 1, kw_lua_time, "<time>",
		"how long a C function may hold a script thread until another takes over; 0: for ever",
		AT_GLOBAL(lua_stuck_timeout_ms) },
	{ "tune.lua.socket-compat", CONF_GLOBAL, 1, 1, kw_socket_compat, "luasocket|haproxy",
		"whose words and results the sockets of scripts have", AT_GLOBAL(lua_socket_compat) },
	{ "tune.lua.sockets", CONF_GLOBAL, 1, 1, kw_number, "<number>",
		"sockets of all scripts together, idle ones included", AT_GLOBAL(lua_sockets) },
	{ "tune.lua.deadline", CONF_GLOBAL, 1, 1, kw_lua_time, "<time>",
		"how long a request waits for a script", AT_GLOBAL(lua_deadline_ms) },
	{ "tune.lua.on-error", CONF_GLOBAL, 1, 2, kw_policy, "continue|deny|status <code>",
		"what becomes of a request whose script failed", 0 },
	{ "tune.lua.on-overload", CONF_GLOBAL, 1, 2, kw_policy, "wait|continue|deny|status <code>",
		"what becomes of a request whose script could not start", 1 },
);
// clang-format on
