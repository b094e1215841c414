// SPDX-License-Identifier: BSD-3-Clause
/*
 * "http-request", "http-response", "http-after-response" and the old "redirect": which rules a proxy
 * has. Actions have their own rows (proxy/action.h); rules.c compiles.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2; "redirect" rules run behind
 * all http-request rules, whatever the order of the lines, and HAProxy's warning says so.
 */
#include "control/conf/conf_priv.h"

static void
warn_order(struct conf *c, const char *what, uint32_t seen, const char *other)
{
	if ((c->px->seen & seen) != 0)
		conf_warning(c,
			"a '%s' rule placed after a '%s' rule will still be processed before.",
			what, other);
}

static int
kw_http_request(struct conf *c, const struct conf_args *a)
{
	struct sl_str word[CONF_MAX_WORDS + 1];

	if ((c->px->seen & PX_SEEN_REDIRECT) != 0)
		warn_order(c, "http-request", PX_SEEN_REDIRECT, "redirect");
	else
		warn_order(c, "http-request", PX_SEEN_SWITCH, "use_backend");
	if (conf_capture_rule(c, a->word, a->n, word) < 0)
		return -EINVAL;
	return rules_add(c, &c->px->http_req, "http-request", EVAL_HTTP_REQ, word, a->n);
}

static int
kw_http_response(struct conf *c, const struct conf_args *a)
{
	return rules_add(c, &c->px->http_res, "http-response", EVAL_HTTP_RES, a->word, a->n);
}

static int
kw_http_after(struct conf *c, const struct conf_args *a)
{
	return rules_add(
		c, &c->px->http_after, "http-after-response", EVAL_HTTP_AFTER, a->word, a->n);
}

static int
kw_tcp_content(struct conf *c, const struct conf_args *a)
{
	return rules_add(
		c, &c->px->tcp_req, "tcp-request content", EVAL_TCP_CONTENT, a->word, a->n);
}

static int
kw_tcp_response(struct conf *c, const struct conf_args *a)
{
	return rules_add(c, &c->px->tcp_res, "tcp-response content", EVAL_TCP_RES, a->word, a->n);
}

/* How long such rules may wait for bytes. */
static int
kw_inspect_delay(struct conf *c, const struct conf_args *a)
{
	return conf_time(c, a->kw, a->word[0], &c->px->p->inspect_delay_ms);
}

static int
kw_inspect_res(struct conf *c, const struct conf_args *a)
{
	return conf_time(c, a->kw, a->word[0], &c->px->p->inspect_res_ms);
}

/* "redirect location /x if …" is "http-request redirect location /x if …", later. */
static int
kw_redirect(struct conf *c, const struct conf_args *a)
{
	struct sl_str word[CONF_MAX_WORDS + 1];

	warn_order(c, "redirect", PX_SEEN_SWITCH, "use_backend");
	c->px->seen |= PX_SEEN_REDIRECT;
	word[0] = SL_STR("redirect");
	for (uint32_t i = 0; i < a->n; i++)
		word[i + 1] = a->word[i];
	return rules_add(c, &c->px->redirects, "http-request", EVAL_HTTP_REQ, word, a->n + 1);
}

// clang-format off
SL_CFG_PROXY(
	{ "tcp-request content", CONF_PROXY, 1, CONF_MANY, kw_tcp_content,
		"<action> [<argument>...] [if|unless <condition>]", "a rule on what a client sends" },
	{ "tcp-request inspect-delay", CONF_ANY_PX, 1, 1, kw_inspect_delay, "<time>",
		"how long such rules may wait for bytes" },
	{ "tcp-response content", CONF_BE, 1, CONF_MANY, kw_tcp_response,
		"<action> [<argument>...] [if|unless <condition>]", "a rule on what a server sends" },
	{ "tcp-response inspect-delay", CONF_BE | CONF_DEFAULTS, 1, 1, kw_inspect_res, "<time>",
		"how long such rules may wait for bytes" },
	{ "http-request", CONF_PROXY, 1, CONF_MANY, kw_http_request,
		 "<action> [<argument>...] [if|unless <condition>]", "a rule on requests" },
	{ "http-response", CONF_PROXY, 1, CONF_MANY, kw_http_response,
		"<action> [<argument>...] [if|unless <condition>]", "a rule on responses" },
	{ "http-after-response", CONF_PROXY, 1, CONF_MANY, kw_http_after,
		"<action> [<argument>...] [if|unless <condition>]",
		"a rule on all answers, sluice's own too" },
	{ "redirect", CONF_PROXY, 1, CONF_MANY, kw_redirect,
		"location|prefix|scheme <to> [<option>...] [if|unless <condition>]",
		"answers requests with another place" },
);
// clang-format on
