// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fetch methods that read no message: constants, variables, time, chance, names of proxies.
 *
 * Runs on: workers, and script threads on a snapshot; constant rows while loading only, which is
 * why env() and hostname may ask the system.
 * Follows: HAProxy's manual 7.3.2.
 */
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/expr/expr.h"
#include "dataplane/model/model.h"

#include "dataplane/base/hot.h"

static bool
give_str(struct sample *out, struct sl_str s)
{
	out->type = T_STR;
	out->s = s;
	return true;
}

static bool
give_int(struct sample *out, enum sample_type t, int64_t i)
{
	out->type = t;
	out->i = i;
	return true;
}

/* ---- constants ---- */

static bool
fetch_always(const struct txn_view *v sl_unused, const struct arg *args sl_unused,
	struct sample *out, struct arena *mem sl_unused, uintptr_t value)
{
	return give_int(out, T_BOOL, (int64_t)value);
}

static bool
fetch_int(const struct txn_view *v sl_unused, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return give_int(out, T_SINT, args[0].i);
}

static bool
fetch_str(const struct txn_view *v sl_unused, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return give_str(out, args[0].s);
}

static int
bool_value(struct sl_str s)
{
	if (sl_str_ieq(s, SL_STR("true")) || sl_str_eq(s, SL_STR("1")))
		return 1;
	return sl_str_ieq(s, SL_STR("false")) || sl_str_eq(s, SL_STR("0")) ? 0 : -EINVAL;
}

static bool
fetch_bool(const struct txn_view *v sl_unused, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return give_int(out, T_BOOL, bool_value(args[0].s));
}

static const char *
check_bool(const struct arg *args)
{
	return bool_value(args[0].s) < 0 ? "expects 'true', 'false', '0' or '1'" : NULL;
}

static bool
fetch_ip(const struct txn_view *v sl_unused, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	out->type = T_ADDR;
	out->ip = args[0].net.ip;
	return true;
}

static const char *
check_bin(const struct arg *args)
{
	if (args[0].s.len % 2 != 0)
		return "an even number of hex digits is expected";
	for (uint32_t i = 0; i < args[0].s.len; i++) {
		if (sl_hex_value(args[0].s.p[i]) < 0)
			return "a series of hex digits is expected";
	}
	return NULL;
}

static bool
fetch_bin(const struct txn_view *v sl_unused, const struct arg *args, struct sample *out,
	struct arena *mem, uintptr_t priv sl_unused)
{
	uint32_t n = args[0].s.len / 2;
	char *p = arena_alloc(mem, n);

	if (p == NULL)
		return false;
	for (uint32_t i = 0; i < n; i++)
		p[i] = (char)(sl_hex_value(args[0].s.p[2 * i]) << 4 |
			sl_hex_value(args[0].s.p[2 * i + 1]));
	give_str(out, sl_str_make(p, n));
	out->type = T_BIN;
	return true;
}

/* arg strings end with a NUL (arena_str()). */
static bool
fetch_env(const struct txn_view *v sl_unused, const struct arg *args, struct sample *out,
	struct arena *mem, uintptr_t priv sl_unused)
{
	const char *value = getenv(args[0].s.p);

	if (value == NULL)
		return false;
	give_str(out, arena_str(mem, sl_str_c(value)));
	return out->s.p != NULL;
}

static bool
fetch_hostname(const struct txn_view *v sl_unused, const struct arg *args sl_unused,
	struct sample *out, struct arena *mem, uintptr_t priv sl_unused)
{
	char name[256];

	if (gethostname(name, sizeof(name)) < 0)
		return false;
	name[sizeof(name) - 1] = '\0';
	give_str(out, arena_str(mem, sl_str_c(name)));
	return out->s.p != NULL;
}

/* ---- variables, time, chance ---- */

static bool
fetch_var(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem, uintptr_t priv sl_unused)
{
	if (var_read(v->vars, args[0].scope, args[0].s, out, mem))
		return true;
	return args[1].type == ARG_STR && give_str(out, args[1].s);
}

static bool
fetch_rand(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	if (v->rand == NULL)
		return false;
	if (args[0].type == ARG_END)
		return give_int(out, T_SINT, (int64_t)(rand_u64(v->rand) >> 32));
	if (args[0].i <= 0)
		return give_int(out, T_SINT, 0);
	return give_int(out, T_SINT, rand_below(v->rand, (uint32_t)args[0].i));
}

static const char *
check_rand(const struct arg *args)
{
	return args[0].type == ARG_SINT && args[0].i > UINT32_MAX ? "the range has 32 bits" : NULL;
}

/* Microseconds of a unit's name; 0: not a unit. */
static int64_t
unit_us(const struct arg *a)
{
	if (a->type == ARG_END || sl_str_eq(a->s, SL_STR("s")))
		return 1000000;
	return sl_str_eq(a->s, SL_STR("ms")) ? 1000 : sl_str_eq(a->s, SL_STR("us"));
}

static const char *
check_date(const struct arg *args)
{
	return unit_us(&args[1]) == 0 ? "expects 's', 'ms' or 'us' as second argument" : NULL;
}

/* The offset is in the unit asked for. */
static bool
fetch_date(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	int64_t unit = unit_us(&args[1]);
	int64_t t = (int64_t)v->wall_us / (unit != 0 ? unit : 1);

	if (args[0].type == ARG_SINT && __builtin_add_overflow(t, args[0].i, &t))
		return false;
	return give_int(out, T_SINT, t);
}

static bool
fetch_date_us(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return give_int(out, T_SINT, (int64_t)(v->wall_us % 1000000));
}

/* ---- proxies and servers ---- */

enum { PX_FE, PX_BE };

static bool
fetch_px_name(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t which)
{
	const struct proxy *px = which == PX_FE ? v->fe : v->be;

	return px != NULL && give_str(out, px->name);
}

static bool
fetch_px_id(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t which)
{
	const struct proxy *px = which == PX_FE ? v->fe : v->be;

	return px != NULL && give_int(out, T_SINT, px->id);
}

static bool
fetch_srv_name(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return v->srv != NULL && give_str(out, v->srv->name);
}

static bool
fetch_srv_id(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return v->srv != NULL && give_int(out, T_SINT, v->srv->id);
}

#define CONST(nm, f, a, o, h, ...)                                                                 \
	{                                                                                          \
		.name = nm, .fn = f, .args = a, .out = o, .points = EVAL_ANY, .where = WHERE_PURE, \
		.help = h, .constant = true, ##__VA_ARGS__                                         \
	}

// clang-format off
SL_FETCHES(
	CONST("always_true",  fetch_always, SL_NOARGS, T_BOOL, "true", .priv = 1),
	CONST("always_false", fetch_always, SL_NOARGS, T_BOOL, "false", .priv = 0),
	CONST("bin",      fetch_bin,  SL_ARGS(1, ARG_STR), T_BIN,
		"bytes written in hex", .check = check_bin),
	CONST("bool",     fetch_bool, SL_ARGS(1, ARG_STR), T_BOOL,
		"the boolean given", .check = check_bool),
	CONST("env",      fetch_env,  SL_ARGS(1, ARG_STR), T_STR,
		"environment variable, read while loading"),
	CONST("hostname", fetch_hostname, SL_NOARGS, T_STR,
		"name of this host, read while loading"),
	CONST("int",      fetch_int,  SL_ARGS(1, ARG_SINT), T_SINT, "the number given"),
	CONST("ipv4",     fetch_ip,   SL_ARGS(1, ARG_IP4), T_ADDR, "the IPv4 address given"),
	CONST("ipv6",     fetch_ip,   SL_ARGS(1, ARG_IP6), T_ADDR, "the IPv6 address given"),
	CONST("str",      fetch_str,  SL_ARGS(1, ARG_STR), T_STR, "the string given"),
	{ "var",      fetch_var,  SL_ARGS(1, ARG_VAR, ARG_STR), T_ANY, EVAL_ANY, WHERE_PURE,
		"variable, with a default" },
	{ "rand",     fetch_rand, SL_ARGS(0, ARG_SINT), T_SINT, EVAL_ANY, WHERE_PURE,
		"random number below 2^32 or the range", .check = check_rand },
	{ "date",     fetch_date, SL_ARGS(0, ARG_SINT, ARG_STR), T_SINT, EVAL_ANY, WHERE_PURE,
		"time since the epoch plus an offset, in s, ms or us", .check = check_date },
	{ "date_us",  fetch_date_us, SL_NOARGS, T_SINT, EVAL_ANY, WHERE_PURE,
		"microseconds within the second" },
	{ "fe_name",  fetch_px_name, SL_NOARGS, T_STR, EVAL_STREAM, WHERE_PURE,
		"name of the frontend", PX_FE },
	{ "fe_id",    fetch_px_id,   SL_NOARGS, T_SINT, EVAL_STREAM, WHERE_PURE,
		"number of the frontend", PX_FE },
	{ "be_name",  fetch_px_name, SL_NOARGS, T_STR, EVAL_STREAM, WHERE_PURE,
		"name of the backend", PX_BE },
	{ "be_id",    fetch_px_id,   SL_NOARGS, T_SINT, EVAL_STREAM, WHERE_PURE,
		"number of the backend", PX_BE },
	{ "srv_name", fetch_srv_name, SL_NOARGS, T_STR, EVAL_RES_LOG, WHERE_PURE,
		"name of the server" },
	{ "srv_id",   fetch_srv_id,   SL_NOARGS, T_SINT, EVAL_RES_LOG, WHERE_PURE,
		"number of the server in its backend" },
);
// clang-format on
