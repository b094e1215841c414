// SPDX-License-Identifier: BSD-3-Clause
/*
 * Plain keywords of proxies: mode, maxconn, retries, backends, options.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2, with its warnings for what a
 * frontend or a backend can make no use of.
 */
#include "control/conf/conf_priv.h"

static int
kw_mode(struct conf *c, const struct conf_args *a)
{
	struct sl_str mode = a->word[0];

	if (sl_str_eq(mode, SL_STR("http"))) {
		c->px->p->mode = PX_HTTP;
	} else if (sl_str_eq(mode, SL_STR("tcp"))) {
		c->px->p->mode = PX_TCP;
	} else if (sl_str_eq(mode, SL_STR("health"))) {
		conf_error(c,
			"'mode health' doesn't exist anymore. Use 'http-request return status 200' "
			"instead.");
		return -EINVAL;
	} else {
		conf_error(
			c, "unknown proxy mode '%.*s'; expects 'http' or 'tcp'.", SL_STR_ARG(mode));
		return -EINVAL;
	}
	return 0;
}

static int
kw_maxconn(struct conf *c, const struct conf_args *a)
{
	uint64_t n;

	if (c->section == CONF_BACKEND) {
		conf_warning(c,
			"'maxconn' ignored because backend '%.*s' has no frontend capability. "
			"Maybe you want 'fullconn' instead ?",
			SL_STR_ARG(c->section_ident));
		return 0;
	}
	if (conf_number(c, "maxconn", a->word[0], 0, INT32_MAX, &n) < 0)
		return -EINVAL;
	c->px->p->maxconn = (uint32_t)n;
	return 0;
}

static int
kw_retries(struct conf *c, const struct conf_args *a)
{
	uint64_t n;

	if (conf_number(c, "retries", a->word[0], 0, INT32_MAX, &n) < 0)
		return -EINVAL;
	c->px->p->retries = (uint32_t)n;
	return 0;
}

static int
kw_id(struct conf *c, const struct conf_args *a)
{
	uint64_t n;

	if (conf_number(c, "id", a->word[0], 1, INT32_MAX, &n) < 0)
		return -EINVAL;
	for (const struct conf_px *o = c->proxies; o != NULL; o = o->next) {
		if (o == c->px || !o->has_id || o->p->id != (uint32_t)n)
			continue;
		conf_error(c,
			"proxy '%.*s' reuses same custom id %u as proxy '%.*s' (declared at "
			"%s:%u).",
			SL_STR_ARG(c->section_ident), (uint32_t)n, SL_STR_ARG(o->p->name),
			o->pos.file, o->pos.line);
		return -EINVAL;
	}
	c->px->p->id = (uint32_t)n;
	c->px->has_id = true;
	return 0;
}

/* Accepted; there is no statistics page yet that would show it. */
static int
kw_nothing(struct conf *c sl_unused, const struct conf_args *a sl_unused)
{
	return 0;
}

static int
kw_default_backend(struct conf *c, const struct conf_args *a)
{
	c->px->default_be = a->word[0];
	c->px->default_be_pos = c->pos;
	return 0;
}

static int
kw_use_backend(struct conf *c, const struct conf_args *a)
{
	struct conf_switch *sw = arena_zalloc(&c->tmp, sizeof(*sw));
	const struct prog *prog;

	if (sw == NULL)
		return conf_nomem(c);
	sw->pos = c->pos;
	sw->name = a->word[0];
	sw->dynamic = sl_str_chr(a->word[0], '%') >= 0;
	sw->n = a->n - 1;
	sw->cond = conf_words(c, a->word + 1, sw->n);
	if (sw->cond == NULL)
		return -ENOMEM;
	c->px->seen |= PX_SEEN_SWITCH;
	if (sw->n > 0 && cond_find(sw->cond, sw->n, 0) != 0) {
		conf_error(c,
			"unexpected keyword '%.*s' after switching rule, only 'if' and 'unless' "
			"are allowed.",
			SL_STR_ARG(sw->cond[0]));
		return -EINVAL;
	}
	c->what = "error detected while parsing switching rule";
	if (sw->dynamic && fmt_compile(c, c->px, &c->tmp, sw->name, EVAL_BE_SWITCH, &prog) < 0)
		return -EINVAL;
	if (cond_compile(c, c->px, &c->tmp, sw->cond, sw->n, EVAL_BE_SWITCH, &prog) < 0)
		return -EINVAL;
	*c->px->switch_last = sw;
	c->px->switch_last = &sw->next;
	return 0;
}

/* The worker shares idle connections as "safe", HAProxy's default, says. */
static int
kw_http_reuse(struct conf *c, const struct conf_args *a)
{
	static const char *const others[] = { "never", "aggressive", "always" };

	if (sl_str_eq(a->word[0], SL_STR("safe")))
		return 0;
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(others); i++) {
		if (!sl_str_eq(a->word[0], sl_str_c(others[i])))
			continue;
		conf_error(
			c, "not supported yet by sluice: 'http-reuse %s': only 'safe'.", others[i]);
		return -EINVAL;
	}
	conf_error(c, "'http-reuse' expects 'safe', got '%.*s'.", SL_STR_ARG(a->word[0]));
	return -EINVAL;
}

/* ---- options that are a bit; those that exclude each other name the others ---- */

#define BITS(set, clear) ((uintptr_t)(set) | (uintptr_t)(clear) << 16)

static int
kw_option(struct conf *c, const struct conf_args *a)
{
	uint32_t set = (uint32_t)a->priv & 0xffff, clear = (uint32_t)(a->priv >> 16) & 0xffff;

	if (a->no || a->to_default)
		c->px->p->options &= ~set;
	else
		c->px->p->options = (c->px->p->options & ~clear) | set;
	return 0;
}

/*
 * "option redispatch [interval]": balanced by round robin, a request goes to another server at the
 * first failure, whatever the interval, as in HAProxy; an interval of 0 switches it off.
 */
static int
kw_redispatch(struct conf *c, const struct conf_args *a)
{
	int64_t n = -1;

	if (a->n > 0 && sl_str_i64(a->word[0], &n) < 0) {
		conf_error(c, "invalid interval '%.*s' for 'option redispatch'.",
			SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	if (a->no || a->to_default || n == 0)
		c->px->p->options &= ~PX_O_REDISPATCH;
	else
		c->px->p->options |= PX_O_REDISPATCH;
	return 0;
}

static int
kw_forwardfor(struct conf *c, const struct conf_args *a)
{
	struct proxy *p = c->px->p;

	p->forwardfor_hdr = SL_STR("x-forwarded-for");
	p->forwardfor_except = (struct ip_net){ 0 };
	p->forwardfor_ifnone = false;
	for (uint32_t i = 0; i < a->n; i++) {
		struct sl_str w = a->word[i];
		bool more = i + 1 < a->n;

		if (sl_str_eq(w, SL_STR("except"))) {
			if (!more || addr_parse_net(a->word[i + 1], &p->forwardfor_except) < 0) {
				conf_error(c,
					"'option forwardfor except' expects <address>[/mask] as "
					"argument%s%.*s.",
					more ? ", got " : "", more ? (int)a->word[i + 1].len : 0,
					more ? a->word[i + 1].p : "");
				return -EINVAL;
			}
			i++;
		} else if (sl_str_eq(w, SL_STR("header"))) {
			if (!more) {
				conf_error(c,
					"'option forwardfor header' expects <header_name> as "
					"argument.");
				return -EINVAL;
			}
			p->forwardfor_hdr = a->word[++i];
		} else if (sl_str_eq(w, SL_STR("if-none"))) {
			p->forwardfor_ifnone = true;
		} else {
			conf_error(c,
				"'option forwardfor' only supports optional values: 'except', "
				"'header' and 'if-none', got '%.*s'.",
				SL_STR_ARG(w));
			return -EINVAL;
		}
	}
	p->options |= PX_O_FORWARDFOR;
	return 0;
}

#define CLOSE_ALL (PX_O_SERVER_CLOSE | PX_O_CLOSE)

// clang-format off
SL_CFG_PROXY(
	{ "mode", CONF_ANY_PX, 1, 1, kw_mode, "http|tcp", "what is understood of the traffic" },
	{ "maxconn", CONF_ANY_PX, 1, 1, kw_maxconn, "<number>", "connections at a time" },
	{ "retries", CONF_ANY_PX, 1, 1, kw_retries, "<number>",
		"further attempts to connect to a server", .flags = CONF_KW_BE },
	{ "id", CONF_PROXY, 1, 1, kw_id, "<number>", "number in statistics" },
	{ "description", CONF_PROXY, 1, CONF_MANY, kw_nothing, "<text>", "text for statistics" },
	{ "enabled", CONF_ANY_PX, 0, 0, kw_nothing, "", "the proxy runs, which is the default" },
	{ "default_backend", CONF_ANY_PX, 1, 1, kw_default_backend, "a backend name",
		"backend of requests that no rule sends elsewhere", .flags = CONF_KW_FE },
	{ "use_backend", CONF_PROXY, 1, CONF_MANY, kw_use_backend,
		"a backend name [if|unless <condition>]", "sends matching requests to a backend",
		.flags = CONF_KW_FE },
	{ "http-reuse", CONF_ANY_PX, 1, 1, kw_http_reuse, "safe",
		"whose idle connections to servers may be used", .flags = CONF_KW_BE },
	{ "option dontlognull", CONF_ANY_PX, 0, 0, kw_option, "",
		"no records of connections without data", BITS(PX_O_DONTLOGNULL, 0),
		CONF_KW_NO | CONF_KW_FE },
	{ "option dontlog-normal", CONF_ANY_PX, 0, 0, kw_option, "",
		"records of failures and 5xx only", BITS(PX_O_DONTLOGNORM, 0),
		CONF_KW_NO | CONF_KW_FE },
	{ "option log-separate-errors", CONF_ANY_PX, 0, 0, kw_option, "",
		"records of failures and 5xx have level err", BITS(PX_O_LOGERRORS, 0),
		CONF_KW_NO | CONF_KW_FE },
	{ "option logasap", CONF_ANY_PX, 0, 0, kw_option, "",
		"records as soon as data flows", BITS(PX_O_LOGASAP, 0), CONF_KW_NO | CONF_KW_FE },
	{ "option socket-stats", CONF_ANY_PX, 0, 0, kw_option, "",
		"statistics for each address of a frontend", BITS(PX_O_SOCKET_STATS, 0),
		CONF_KW_NO | CONF_KW_FE },
	{ "option http-keep-alive", CONF_ANY_PX, 0, 0, kw_option, "",
		"several requests per connection, on both sides", BITS(0, CLOSE_ALL), CONF_KW_NO },
	{ "option http-server-close", CONF_ANY_PX, 0, 0, kw_option, "",
		"one request per connection to servers", BITS(PX_O_SERVER_CLOSE, CLOSE_ALL),
		CONF_KW_NO },
	{ "option httpclose", CONF_ANY_PX, 0, 0, kw_option, "",
		"one request per connection, on both sides", BITS(PX_O_CLOSE, CLOSE_ALL),
		CONF_KW_NO },
	{ "option redispatch", CONF_ANY_PX, 0, 1, kw_redispatch, "[<interval>]",
		"a request goes to another server when one cannot be reached",
		.flags = CONF_KW_NO | CONF_KW_BE },
	{ "option forwardfor", CONF_ANY_PX, 0, CONF_MANY, kw_forwardfor,
		"[except <network>] [header <name>] [if-none]",
		"the client's address in a header for servers" },
);
// clang-format on
