// SPDX-License-Identifier: BSD-3-Clause
/*
 * "log": where records go: the standard streams, descriptors, syslog over UDP or a path, rings.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 3.1 and 4.2 "log".
 */
#include "control/conf/conf_addr.h"

static const char *const forms[LOG_NR_FORMS] = {
	[LOG_RFC3164] = "rfc3164",
	[LOG_RFC5424] = "rfc5424",
	[LOG_PRIORITY] = "priority",
	[LOG_SHORT] = "short",
	[LOG_TIMED] = "timed",
	[LOG_ISO] = "iso",
	[LOG_RAW] = "raw",
	[LOG_LOCAL] = "local",
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

int
conf_log_form(struct sl_str name)
{
	return index_of(forms, LOG_NR_FORMS, name);
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
			form = conf_log_form(a->word[i + 1]);
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

/* "stdout", "stderr", "fd@3", "ring@name", "10.0.0.1[:514]", "udp@…", "/dev/log". */
static int
parse_address(struct conf *c, struct sl_str word, struct log_target *t)
{
	static const struct sl_str udp[] = { { "udp@", 4 }, { "udp4@", 5 }, { "udp6@", 5 } };
	struct sl_str s = word;
	struct conf_addr addr;

	if (sl_str_eq(s, SL_STR("stdout")) || sl_str_eq(s, SL_STR("stderr"))) {
		t->kind = sl_str_eq(s, SL_STR("stderr")) ? LOG_TO_STDERR : LOG_TO_STDOUT;
		return 0;
	}
	if (sl_str_starts(s, SL_STR("ring@"), false)) {
		t->kind = LOG_TO_RING;
		t->ring = conf_copy(c, sl_str_make(s.p + 5, s.len - 5));
		return t->ring.p != NULL ? 0 : -ENOMEM;
	}
	if (sl_str_starts(s, SL_STR("tcp"), false)) {
		conf_error(c,
			"not supported yet by sluice: 'log %.*s': a 'ring' section with a 'server' "
			"sends over TCP.",
			SL_STR_ARG(word));
		return -EINVAL;
	}
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(udp); i++) {
		if (sl_str_starts(s, udp[i], false))
			s = sl_str_make(s.p + udp[i].len, s.len - udp[i].len);
	}
	if (sl_str_starts(s, SL_STR("uxdg@"), false))
		s = sl_str_make(s.p + 5, s.len - 5);
	if (conf_addr_parse(c, "log", s, &addr) < 0)
		return -EINVAL;
	if (addr.ip.family == ADDR_NONE || addr_is_any(&addr.ip)) {
		conf_error(c, "'log' : '%.*s' is no address of a log server", SL_STR_ARG(word));
		return -EINVAL;
	}
	t->addr = (struct ip_port){
		.ip = addr.ip, .port = (uint16_t)(addr.port < 0 ? 514 : addr.port), .host = true
	};
	t->kind = LOG_TO_DGRAM;
	if (addr.ip.family == ADDR_UNIX && addr_host_sock(&addr.ip)->fd >= 0) {
		t->kind = LOG_TO_FD;
		t->fd = addr_host_sock(&addr.ip)->fd;
	}
	return 0;
}

int
conf_log_parse(struct conf *c, const struct conf_args *a, struct log_target *out)
{
	struct log_target t = {
		.form = LOG_RFC3164, .level = SL_DEBUG, .min_level = SL_EMERG, .len = 1024, .fd = -1
	};
	int i, facility;

	if (parse_address(c, a->word[0], &t) < 0)
		return -EINVAL;
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

static bool
same_target(const struct log_target *a, const struct log_target *b)
{
	return a->kind == b->kind && a->form == b->form && a->fd == b->fd &&
		addr_port_eq(&a->addr, &b->addr) && sl_str_eq(a->ring, b->ring) &&
		a->facility == b->facility && a->level == b->level &&
		a->min_level == b->min_level && a->len == b->len;
}

/* Each target once, whoever names it. */
static int
add_target(struct conf *c, const struct log_target *t, uint32_t *mask)
{
	struct global_conf *g = &c->m->global;
	uint32_t i = 0;

	while (i < g->nlog_targets && !same_target(&g->log_target[i], t))
		i++;
	if (i == LOG_TARGETS) {
		conf_error(c, "not supported yet by sluice: more than %d different 'log' targets.",
			LOG_TARGETS);
		return -EINVAL;
	}
	if (i == g->nlog_targets) {
		c->log_pos[i] = c->pos;
		g->log_target[g->nlog_targets++] = *t;
	}
	*mask |= 1u << i;
	return 0;
}

static int
kw_log_global(struct conf *c, const struct conf_args *a)
{
	struct log_target t;

	if (a->no || a->to_default) {
		c->m->global.log_mask = 0;
		return 0;
	}
	if (conf_log_parse(c, a, &t) < 0)
		return -EINVAL;
	return add_target(c, &t, &c->m->global.log_mask);
}

static int
kw_log_proxy(struct conf *c, const struct conf_args *a)
{
	struct log_target t;

	if (a->no || a->to_default) {
		c->px->log_global = false;
		c->px->log_mask = 0;
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
	return add_target(c, &t, &c->px->log_mask);
}

#define LOG_ARGS \
	"<address>|stdout|stderr|fd@<n>|ring@<name> [len <n>] [format <format>] <facility> " \
	"[<level> [<minlevel>]]"

// clang-format off
SL_CFG_GLOBAL(
	{ "log", CONF_GLOBAL, 1, CONF_MANY, kw_log_global, LOG_ARGS,
		"where records of 'log global' go", .flags = CONF_KW_NO },
);
SL_CFG_PROXY(
	{ "log", CONF_ANY_PX, 1, CONF_MANY, kw_log_proxy, "global | " LOG_ARGS,
		 "log requests or connections", .flags = CONF_KW_NO },
);
// clang-format on
