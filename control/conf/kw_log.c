// SPDX-License-Identifier: BSD-3-Clause
/*
 * "log": where records go. So far the standard streams; syslog over a network comes with host
 * sockets.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 3.1 and 4.2 "log".
 */
#include "control/conf/conf_priv.h"

static const char *const forms[LOG_NR_FORMS] = {
	[LOG_RFC3164] = "rfc3164",
	[LOG_RFC5424] = "rfc5424",
	[LOG_PRIORITY] = "priority",
	[LOG_SHORT] = "short",
	[LOG_TIMED] = "timed",
	[LOG_ISO] = "iso",
	[LOG_RAW] = "raw",
};
static const char *const facilities[] = { "kern", "user", "mail", "daemon", "auth", "syslog", "lpr",
	"news", "uucp", "cron", "auth2", "ftp", "ntp", "audit", "alert", "cron2", "local0",
	"local1", "local2", "local3", "local4", "local5", "local6", "local7" };
static const char *const levels[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info",
	"debug" };

static int
index_of(const char *const *names, uint32_t n, struct sl_str s)
{
	for (uint32_t i = 0; i < n; i++) {
		if (sl_str_eq(s, sl_str_c(names[i])))
			return (int)i;
	}
	return -ENOENT;
}

static int
parse_level(struct conf *c, struct sl_str s, uint8_t *out)
{
	int level = index_of(levels, SL_ARRAY_SIZE(levels), s);

	if (level < 0) {
		conf_error(c, "log : unknown optional log level '%.*s'", SL_STR_ARG(s));
		return -EINVAL;
	}
	*out = (uint8_t)level;
	return 0;
}

/* "len N" and "format F" before the facility; returns the index behind them. */
static int
parse_options(struct conf *c, const struct conf_args *a, struct log_target *t)
{
	uint32_t i = 1;
	uint64_t len;
	int form;

	for (; i + 1 < a->n; i += 2) {
		if (sl_str_eq(a->word[i], SL_STR("len"))) {
			if (conf_number(c, "log len", a->word[i + 1], 80, 65535, &len) < 0)
				return -EINVAL;
			t->len = (uint32_t)len;
		} else if (sl_str_eq(a->word[i], SL_STR("format"))) {
			form = index_of(forms, LOG_NR_FORMS, a->word[i + 1]);
			if (form < 0) {
				conf_error(c, "log : unknown log format '%.*s'",
					SL_STR_ARG(a->word[i + 1]));
				return -EINVAL;
			}
			t->form = (enum log_form)form;
		} else if (sl_str_eq(a->word[i], SL_STR("sample"))) {
			conf_error(c, "not supported yet by sluice: 'log … sample'.");
			return -EINVAL;
		} else {
			break;
		}
	}
	return (int)i;
}

int
conf_log_parse(struct conf *c, const struct conf_args *a, struct log_target *out)
{
	struct log_target t = {
		.form = LOG_RFC3164, .level = SL_DEBUG, .min_level = SL_EMERG, .len = 1024
	};
	int i, facility;

	t.to_stderr = sl_str_eq(a->word[0], SL_STR("stderr"));
	if (!t.to_stderr && !sl_str_eq(a->word[0], SL_STR("stdout"))) {
		conf_error(c,
			"not supported yet by sluice: 'log %.*s': only 'log stdout' and 'log "
			"stderr', because addresses and sockets of the host are not there yet.",
			SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	i = parse_options(c, a, &t);
	if (i < 0)
		return i;
	if ((uint32_t)i >= a->n) {
		conf_error(c, "log : expects <address> and <facility> as arguments");
		return -EINVAL;
	}
	facility = index_of(facilities, SL_ARRAY_SIZE(facilities), a->word[i]);
	if (facility < 0) {
		conf_error(c, "log : unknown log facility '%.*s'", SL_STR_ARG(a->word[i]));
		return -EINVAL;
	}
	t.facility = (uint8_t)facility;
	i++;
	if ((uint32_t)i < a->n && parse_level(c, a->word[i++], &t.level) < 0)
		return -EINVAL;
	if ((uint32_t)i < a->n && parse_level(c, a->word[i++], &t.min_level) < 0)
		return -EINVAL;
	if ((uint32_t)i < a->n) {
		conf_error(c, "'log' cannot handle unexpected argument '%.*s'.",
			SL_STR_ARG(a->word[i]));
		return -EINVAL;
	}
	*out = t;
	return 0;
}

/* Until there are several targets, a second one that differs would silently win: refused. */
static int
set_target(struct conf *c, const struct log_target *t)
{
	struct global_conf *g = &c->m->global;
	const struct log_target *old = &g->log_target;

	if (g->log_stdout &&
		(old->form != t->form || old->to_stderr != t->to_stderr ||
			old->facility != t->facility || old->level != t->level ||
			old->min_level != t->min_level || old->len != t->len)) {
		conf_error(c, "not supported yet by sluice: a second 'log' target that differs.");
		return -EINVAL;
	}
	g->log_stdout = true;
	g->log_target = *t;
	return 0;
}

static int
kw_log_global(struct conf *c, const struct conf_args *a)
{
	struct log_target t;

	if (a->no || a->to_default) {
		c->m->global.log_stdout = false;
		return 0;
	}
	if (conf_log_parse(c, a, &t) < 0)
		return -EINVAL;
	return set_target(c, &t);
}

static int
kw_log_proxy(struct conf *c, const struct conf_args *a)
{
	struct log_target t;

	if (a->no || a->to_default) {
		c->px->log_global = c->px->log_own = false;
		return 0;
	}
	if (sl_str_eq(a->word[0], SL_STR("global"))) {
		if (a->n > 1) {
			conf_error(c, "'log global' cannot handle unexpected argument '%.*s'.",
				SL_STR_ARG(a->word[1]));
			return -EINVAL;
		}
		c->px->log_global = true;
		return 0;
	}
	if (conf_log_parse(c, a, &t) < 0)
		return -EINVAL;
	c->px->log_own = true;
	return set_target(c, &t);
}

static int
kw_httplog(struct conf *c, const struct conf_args *a)
{
	if (a->n > 0) {
		if (sl_str_eq(a->word[0], SL_STR("clf")))
			conf_error(c, "not supported yet by sluice: 'option httplog clf'.");
		else
			conf_error(c, "keyword 'httplog' only supports option 'clf', got '%.*s'.",
				SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	if (c->section == CONF_BACKEND) {
		conf_warning(c,
			"backend '%.*s' : 'option httplog' directive is ignored in backends.",
			SL_STR_ARG(c->section_ident));
		return 0;
	}
	c->px->p->options = (c->px->p->options & ~PX_O_TCPLOG) | PX_O_HTTPLOG;
	c->px->httplog_pos = c->pos;
	return 0;
}

static int
kw_tcplog(struct conf *c, const struct conf_args *a sl_unused)
{
	if (c->section == CONF_BACKEND) {
		conf_warning(c,
			"backend '%.*s' : 'option tcplog' directive is ignored in backends.",
			SL_STR_ARG(c->section_ident));
		return 0;
	}
	c->px->p->options = (c->px->p->options & ~PX_O_HTTPLOG) | PX_O_TCPLOG;
	return 0;
}

#define LOG_ARGS "stdout|stderr [len <n>] [format <format>] <facility> [<level> [<minlevel>]]"

// clang-format off
SL_CFG_GLOBAL(
	{ "log", CONF_GLOBAL, 1, CONF_MANY, kw_log_global, LOG_ARGS,
		"where records of 'log global' go", .flags = CONF_KW_NO },
);
SL_CFG_PROXY(
	{ "log", CONF_ANY_PX, 1, CONF_MANY, kw_log_proxy, "global | " LOG_ARGS,
		 "log requests or connections", .flags = CONF_KW_NO },
	{ "option httplog", CONF_ANY_PX, 0, 1, kw_httplog, "",
		"records with the request's details" },
	{ "option tcplog", CONF_ANY_PX, 0, 0, kw_tcplog, "",
		"records with the connection's details" },
);
// clang-format on
