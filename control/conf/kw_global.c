// SPDX-License-Identifier: BSD-3-Clause
/*
 * Keywords of the global section, but for Lua (kw_lua.c) and log (kw_log.c).
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 3; script-threads, dpdk-eal are
 * sluice's own.
 */
#include "control/conf/conf_priv.h"

#include <stdlib.h>

#define MAX_THREADS 64
#define MAX_SCRIPTS 16
#define MAX_CPU     1023

/* Rows of plain numbers and flags say where they go and what is allowed. */
struct field {
	size_t off;
	uint64_t min, max;
};
static const struct field f_nbthread = { offsetof(struct global_conf, nbthread), 1, MAX_THREADS };
static const struct field f_scripts = { offsetof(struct global_conf, script_threads), 1,
	MAX_SCRIPTS };
static const struct field f_maxconn = { offsetof(struct global_conf, maxconn), 0, INT32_MAX };
static const struct field f_mbufs = { offsetof(struct global_conf, mbufs), 1024, 1u << 21 };
static const struct field f_busy = { offsetof(struct global_conf, busy_polling), 0, 1 };
static const struct field f_daemon = { offsetof(struct global_conf, daemon), 0, 1 };
static const struct field f_quiet = { offsetof(struct global_conf, quiet), 0, 1 };
static const struct field f_pidfile = { offsetof(struct global_conf, pidfile), 0, 0 };
static const struct field f_node = { offsetof(struct global_conf, node), 0, 0 };
static const struct field f_descr = { offsetof(struct global_conf, description), 0, 0 };

static void *
field_at(struct conf *c, const struct conf_args *a, const struct field **f)
{
	*f = (const struct field *)a->priv;
	return (uint8_t *)&c->m->global + (*f)->off;
}

static int
kw_number(struct conf *c, const struct conf_args *a)
{
	const struct field *f;
	uint32_t *out = field_at(c, a, &f);
	uint64_t n;
	int rc = conf_number(c, a->kw, a->word[0], f->min, f->max, &n);

	if (rc == 0)
		*out = (uint32_t)n;
	return rc;
}

static int
kw_flag(struct conf *c, const struct conf_args *a)
{
	const struct field *f;
	bool *out = field_at(c, a, &f);

	*out = !a->no && !a->to_default;
	return 0;
}

static int
kw_string(struct conf *c, const struct conf_args *a)
{
	const struct field *f;
	struct sl_str *out = field_at(c, a, &f);

	*out = a->word[0];
	return 0;
}

static int
kw_zero_warning(struct conf *c, const struct conf_args *a sl_unused)
{
	c->zero_warning = true;
	return 0;
}

static int
kw_dpdk_eal(struct conf *c, const struct conf_args *a)
{
	c->m->global.dpdk_eal = a->word[0];
	return 0;
}

/* Other threads run: a variable may stay as it is, and nothing else. */
static int
env_same(struct conf *c, const char *kw, const char *name, const char *value)
{
	const char *now = getenv(name);

	if (now == value || (now != NULL && value != NULL && strcmp(now, value) == 0))
		return 0;
	conf_error(c,
		"'%s' : the environment is fixed at start, and '%s' would change: restart to change "
		"it.",
		kw, name);
	return -EINVAL;
}

static int
kw_localpeer(struct conf *c, const struct conf_args *a)
{
	if (c->spec->running)
		return env_same(c, a->kw, "HAPROXY_LOCALPEER", a->word[0].p);
	if (setenv("HAPROXY_LOCALPEER", a->word[0].p, 1) < 0)
		return conf_nomem(c);
	return 0;
}

enum { ENV_SET, ENV_PRESET, ENV_UNSET, ENV_RESET };

/* resetenv keeps the variables named, and drops all others. */
static int
env_reset(struct conf *c, const struct conf_args *a)
{
	struct sl_str value[CONF_MAX_WORDS];
	uint32_t n = sl_min(a->n, (uint32_t)CONF_MAX_WORDS);

	for (uint32_t i = 0; i < n; i++) {
		const char *v = getenv(a->word[i].p);

		value[i] = v == NULL ? SL_STR_NULL : conf_copy(c, sl_str_c(v));
	}
	if (clearenv() != 0)
		return conf_nomem(c);
	for (uint32_t i = 0; i < n; i++) {
		if (value[i].p != NULL && setenv(a->word[i].p, value[i].p, 1) < 0)
			return conf_nomem(c);
	}
	return 0;
}

static int
kw_env(struct conf *c, const struct conf_args *a)
{
	if (c->spec->running) {
		int rc = 0;

		if (a->priv == ENV_SET)
			return env_same(c, a->kw, a->word[0].p, a->word[1].p);
		if (a->priv == ENV_PRESET && getenv(a->word[0].p) == NULL)
			return env_same(c, a->kw, a->word[0].p, a->word[1].p);
		for (uint32_t i = 0; a->priv == ENV_UNSET && rc == 0 && i < a->n; i++)
			rc = env_same(c, a->kw, a->word[i].p, NULL);
		return rc; // "resetenv" has happened
	}
	if (a->priv == ENV_RESET)
		return env_reset(c, a);
	for (uint32_t i = 0; a->priv == ENV_UNSET && i < a->n; i++)
		(void)unsetenv(a->word[i].p);
	if (a->priv == ENV_UNSET)
		return 0;
	if (setenv(a->word[0].p, a->word[1].p, a->priv == ENV_SET) < 0) {
		conf_error(c, "'%s' cannot set '%s'.", a->kw, a->word[0].p);
		return -EINVAL;
	}
	return 0;
}

/* "3", "1-4": 0 or -EINVAL. */
static int
range(struct sl_str s, uint64_t min, uint64_t max, uint64_t *from, uint64_t *to)
{
	struct sl_str rest = s, first = sl_str_cut(&rest, '-');

	if (sl_str_u64(first, from) < 0 || *from < min || *from > max)
		return -EINVAL;
	*to = *from;
	if (rest.p != NULL && (sl_str_u64(rest, to) < 0 || *to < *from || *to > max))
		return -EINVAL;
	return 0;
}

/* "all", "odd", "even", "1", "1-4", each with "1/" before it: a bit per worker. */
static int
thread_set(struct sl_str s, uint64_t *set)
{
	uint64_t from, to;

	if (sl_str_starts(s, SL_STR("1/"), false))
		s = sl_str_make(s.p + 2, s.len - 2);
	if (sl_str_eq(s, SL_STR("all")))
		*set = UINT64_MAX;
	else if (sl_str_eq(s, SL_STR("odd")))
		*set = 0x5555555555555555u;
	else if (sl_str_eq(s, SL_STR("even")))
		*set = 0xaaaaaaaaaaaaaaaau;
	else if (range(s, 1, MAX_THREADS, &from, &to) == 0)
		*set = (UINT64_MAX >> (63 - (to - from))) << (from - 1);
	else
		return -EINVAL;
	return 0;
}

static void
map_set(struct cpu_map *m, uint64_t from, uint64_t to)
{
	m->set = true;
	for (uint64_t cpu = from; cpu <= to; cpu++)
		m->mask[cpu / 64] |= 1ull << (cpu % 64);
}

/* With "auto:" thread n gets the n-th CPU, else all threads get all CPUs. */
static int
kw_cpu_map(struct conf *c, const struct conf_args *a)
{
	struct sl_str who = a->word[0];
	bool is_auto = sl_str_starts(who, SL_STR("auto:"), false);
	struct cpu_map *map = c->m->global.cpu_map;
	uint64_t set, from, to;
	uint32_t next = 0;

	if (is_auto)
		who = sl_str_make(who.p + 5, who.len - 5);
	if (thread_set(who, &set) < 0) {
		conf_error(c,
			"'cpu-map' expects a thread ('all', 'odd', 'even', 1 to %u or a range), "
			"got '%.*s'.",
			MAX_THREADS, SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	for (uint32_t t = 0; t < MAX_THREADS; t++) {
		if ((set >> t & 1) != 0)
			map[t] = (struct cpu_map){ 0 };
	}
	for (uint32_t i = 1; i < a->n; i++) {
		if (range(a->word[i], 0, MAX_CPU, &from, &to) < 0) {
			conf_error(c, "'cpu-map' : '%.*s' is not a CPU range (0 to %u).",
				SL_STR_ARG(a->word[i]), MAX_CPU);
			return -EINVAL;
		}
		if (!is_auto) {
			for (uint32_t t = 0; t < MAX_THREADS; t++) {
				if ((set >> t & 1) != 0)
					map_set(&map[t], from, to);
			}
			continue;
		}
		for (uint64_t cpu = from; cpu <= to; cpu++) {
			while (next < MAX_THREADS && (set >> next & 1) == 0)
				next++;
			if (next < MAX_THREADS)
				map_set(&map[next++], cpu, cpu);
		}
	}
	return 0;
}

#define P(f) (uintptr_t) & (f)

// clang-format off
SL_CFG_GLOBAL(
	{ "nbthread", CONF_GLOBAL, 1, 1, kw_number, "<number>", "number of workers",
		P(f_nbthread) },
	{ "script-threads", CONF_GLOBAL, 1, 1, kw_number, "<number>",
		"number of threads that run Lua", P(f_scripts) },
	{ "maxconn", CONF_GLOBAL, 1, 1, kw_number, "<number>",
		"connections of clients accepted at a time", P(f_maxconn) },
	{ "tune.mbufs", CONF_GLOBAL, 1, 1, kw_number, "<number>",
		"packet buffers of each worker", P(f_mbufs) },
	{ "busy-polling", CONF_GLOBAL, 0, 0, kw_flag, "", "workers never nap", P(f_busy),
		CONF_KW_NO },
	{ "daemon", CONF_GLOBAL, 0, 0, kw_flag, "", "go to the background", P(f_daemon) },
	{ "quiet", CONF_GLOBAL, 0, 0, kw_flag, "", "no messages at start", P(f_quiet) },
	{ "zero-warning", CONF_GLOBAL, 0, 0, kw_zero_warning, "",
		"refuse to start with a warning" },
	{ "pidfile", CONF_GLOBAL, 1, 1, kw_string, "<file>", "where the process id is written",
		P(f_pidfile) },
	{ "node", CONF_GLOBAL, 1, 1, kw_string, "<name>", "name of this machine for statistics",
		P(f_node) },
	{ "description", CONF_GLOBAL, 1, CONF_MANY, kw_string, "<text>", "text for statistics",
		P(f_descr) },
	{ "dpdk-eal", CONF_GLOBAL, 1, 1, kw_dpdk_eal, "<arguments>",
		"further arguments of DPDK's environment" },
	{ "localpeer", CONF_GLOBAL, 1, 1, kw_localpeer, "<name>", "sets HAPROXY_LOCALPEER" },
	{ "setenv", CONF_GLOBAL, 2, 2, kw_env, "<name> <value>", "sets a variable", ENV_SET },
	{ "presetenv", CONF_GLOBAL, 2, 2, kw_env, "<name> <value>", "sets a variable that is unset",
		ENV_PRESET },
	{ "unsetenv", CONF_GLOBAL, 1, CONF_MANY, kw_env, "<name>...", "unsets variables",
		ENV_UNSET },
	{ "resetenv", CONF_GLOBAL, 0, CONF_MANY, kw_env, "[<name>...]",
		"unsets all variables but these", ENV_RESET },
	{ "cpu-map", CONF_GLOBAL, 2, CONF_MANY, kw_cpu_map, "[auto:]<threads> <cpus>...",
		"which CPUs workers run on" },
);
// clang-format on
