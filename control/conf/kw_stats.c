// SPDX-License-Identifier: BSD-3-Clause
/*
 * "stats socket", "stats timeout", "stats maxconn": where and how the runtime API listens.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 3.1 and 5.1 (mode, user, uid,
 * group, gid, level). Nothing is opened here: control/cli does that at start.
 */
#include "control/conf/conf_addr.h"

#include <grp.h>
#include <pwd.h>

static int
parse_where(struct conf *c, struct sl_str s, struct cli_bind *b)
{
	static const struct {
		const char *prefix;
		enum cli_bind_kind kind;
	} kinds[] = { { "unix@", CLI_BIND_UNIX }, { "uxst@", CLI_BIND_UNIX },
		{ "abns@", CLI_BIND_ABNS }, { "fd@", CLI_BIND_FD } };
	struct conf_addr addr;
	uint64_t fd;

	if (conf_addr_expand(c, "stats socket", &s) < 0)
		return -EINVAL;
	b->text = s;
	if (s.len > 0 && s.p[0] == '/') {
		b->kind = CLI_BIND_UNIX;
		b->path = s;
		return 0;
	}
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(kinds); i++) {
		struct sl_str name = sl_str_c(kinds[i].prefix);

		if (!sl_str_starts(s, name, false))
			continue;
		b->kind = kinds[i].kind;
		b->path = sl_str_make(s.p + name.len, s.len - name.len);
		if (b->kind != CLI_BIND_FD && b->path.len > 0)
			return 0;
		if (b->kind == CLI_BIND_FD && sl_str_u64(b->path, &fd) == 0 && fd <= INT32_MAX) {
			b->fd = (int)fd;
			return 0;
		}
		conf_error(c, "'stats socket' : '%.*s' : expects %s behind '%s'", SL_STR_ARG(s),
			b->kind == CLI_BIND_FD ? "the number of an inherited descriptor" : "a path",
			kinds[i].prefix);
		return -EINVAL;
	}
	b->kind = CLI_BIND_TCP;
	if (conf_addr_parse(c, "stats socket", s, &addr) < 0)
		return -EINVAL;
	if (addr.port < 0) {
		conf_error(c, "'stats socket' : missing port specification in '%.*s'", SL_STR_ARG(s));
		return -EINVAL;
	}
	b->addr.ip = addr.ip;
	if (addr.ip.family == ADDR_NONE)
		b->addr.ip.family = ADDR_V4;
	b->addr.port = (uint16_t)addr.port;
	return 0;
}

static int
opt_mode(struct conf *c, struct cli_bind *b, struct sl_str v)
{
	uint32_t mode = 0;

	for (uint32_t i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '7' || i > 4) {
			conf_error(c, "'stats socket' : 'mode' expects an octal number, got '%.*s'",
				SL_STR_ARG(v));
			return -EINVAL;
		}
		mode = mode * 8 + (uint32_t)(v.p[i] - '0');
	}
	b->mode = mode;
	return 0;
}

static int
opt_uid(struct conf *c, struct cli_bind *b, struct sl_str v)
{
	uint64_t n;

	if (conf_number(c, "stats socket uid", v, 0, UINT32_MAX - 1, &n) < 0)
		return -EINVAL;
	b->uid = (int64_t)n;
	return 0;
}

static int
opt_gid(struct conf *c, struct cli_bind *b, struct sl_str v)
{
	uint64_t n;

	if (conf_number(c, "stats socket gid", v, 0, UINT32_MAX - 1, &n) < 0)
		return -EINVAL;
	b->gid = (int64_t)n;
	return 0;
}

static int
opt_user(struct conf *c, struct cli_bind *b, struct sl_str v)
{
	const struct passwd *pw = getpwnam(v.p);

	if (pw == NULL) {
		conf_error(c, "'stats socket' : 'user' : there is no user '%.*s'", SL_STR_ARG(v));
		return -EINVAL;
	}
	b->uid = pw->pw_uid;
	return 0;
}

static int
opt_group(struct conf *c, struct cli_bind *b, struct sl_str v)
{
	const struct group *gr = getgrnam(v.p);

	if (gr == NULL) {
		conf_error(c, "'stats socket' : 'group' : there is no group '%.*s'", SL_STR_ARG(v));
		return -EINVAL;
	}
	b->gid = gr->gr_gid;
	return 0;
}

static int
opt_level(struct conf *c, struct cli_bind *b, struct sl_str v)
{
	static const char *const levels[] = { "user", "operator", "admin" };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(levels); i++) {
		if (sl_str_eq(v, sl_str_c(levels[i]))) {
			b->level = (enum cli_level)i;
			return 0;
		}
	}
	conf_error(c, "'stats socket' : 'level' expects 'user', 'operator' or 'admin', got '%.*s'",
		SL_STR_ARG(v));
	return -EINVAL;
}

static int
opt_severity(struct conf *c, struct cli_bind *b, struct sl_str v)
{
	int n = cli_severity_of(v);

	if (n < 0) {
		conf_error(c,
			"'stats socket' : 'severity-output' only supports 'none', 'number', and "
			"'string' (got '%.*s')",
			SL_STR_ARG(v));
		return n;
	}
	b->severity = (enum cli_severity)n;
	return 0;
}

/* Accepted without effect: one process serves all. */
static int
opt_nothing(struct conf *c sl_unused, struct cli_bind *b sl_unused, struct sl_str v sl_unused)
{
	return 0;
}

static const struct {
	const char *name;
	uint8_t nargs;
	int (*parse)(struct conf *c, struct cli_bind *b, struct sl_str v);
} opts[] = {
	{ "mode", 1, opt_mode },
	{ "user", 1, opt_user },
	{ "uid", 1, opt_uid },
	{ "group", 1, opt_group },
	{ "gid", 1, opt_gid },
	{ "level", 1, opt_level },
	{ "severity-output", 1, opt_severity },
	{ "expose-fd", 1, opt_nothing },
	{ "process", 1, opt_nothing },
	{ "thread", 1, opt_nothing },
	{ "name", 1, opt_nothing },
	{ "backlog", 1, opt_nothing },
};

static int
parse_option(struct conf *c, const struct conf_args *a, uint32_t *i, struct cli_bind *b)
{
	for (uint32_t k = 0; k < SL_ARRAY_SIZE(opts); k++) {
		if (!sl_str_eq(a->word[*i], sl_str_c(opts[k].name)))
			continue;
		if (*i + opts[k].nargs >= a->n) {
			conf_error(c, "'stats socket' : '%s' : missing value", opts[k].name);
			return -EINVAL;
		}
		*i += opts[k].nargs;
		return opts[k].parse(c, b, a->word[*i]);
	}
	conf_error(c,
		"'stats socket' : unknown keyword '%.*s' (mode, user, uid, group, gid, level, "
		"expose-fd)",
		SL_STR_ARG(a->word[*i]));
	return -EINVAL;
}

static int
add_socket(struct conf *c, const struct conf_args *a, struct cli_bind b)
{
	struct global_conf *g = &c->m->global;
	int rc = parse_where(c, a->word[0], &b);
	struct cli_bind *all;

	b.pos = c->pos;
	for (uint32_t i = 1; i < a->n; i++) {
		if (parse_option(c, a, &i, &b) < 0)
			rc = -EINVAL;
	}
	if (rc < 0)
		return rc;
	all = arena_zalloc(&c->mem, sizeof(*all) * (g->ncli_binds + 1));
	if (all == NULL)
		return conf_nomem(c);
	for (uint32_t i = 0; i < g->ncli_binds; i++)
		all[i] = g->cli_binds[i];
	all[g->ncli_binds++] = b;
	g->cli_binds = all;
	return 0;
}

static int
kw_socket(struct conf *c, const struct conf_args *a)
{
	const struct cli_bind b = { .uid = -1, .gid = -1, .fd = -1, .level = CLI_OPER };
	int rc = add_socket(c, a, b);

	if (rc == 0 && !c->has_cli) {
		c->has_cli = true;
		for (const struct conf_px *px = c->proxies; px != NULL; px = px->next)
			c->before_cli = px;
	}
	return rc;
}

int
conf_master_socket(struct conf *c, const char *text)
{
	const struct cli_bind b = {
		.uid = -1, .gid = -1, .fd = -1, .level = CLI_ADMIN, .master = true
	};
	struct sl_str rest = conf_copy(c, sl_str_c(text)), word[CONF_MAX_WORDS];
	struct conf_args a = { .kw = "-S", .word = word };

	if (rest.p == NULL)
		return -ENOMEM;
	while (rest.len > 0 && a.n < CONF_MAX_WORDS)
		word[a.n++] = conf_copy(c, sl_str_cut(&rest, ','));
	c->pos = (struct src_pos){ .file = "-S", .line = 0 };
	if (a.n == 0) {
		conf_error_at(c, NULL, "option '-S' expects <address>|<path>[,<option>...].");
		return -EINVAL;
	}
	return add_socket(c, &a, b);
}

static int
kw_timeout(struct conf *c, const struct conf_args *a)
{
	return conf_time(c, a->kw, a->word[0], &c->m->global.cli_timeout_ms);
}

static int
kw_maxconn(struct conf *c, const struct conf_args *a)
{
	return conf_global_number(c, a, 1, 1000);
}

static int
kw_share(struct conf *c, const struct conf_args *a)
{
	return conf_global_number(c, a, 1, 100);
}

// clang-format off
SL_CFG_GLOBAL(
	{ "stats socket", CONF_GLOBAL, 1, CONF_MANY, kw_socket,
		"<address>|<path> [mode <octal>] [user <name>] [group <name>] [level <level>] "
		"[severity-output <format>]",
		"where the runtime API listens" },
	{ "stats timeout", CONF_GLOBAL, 1, 1, kw_timeout, "<time>",
		"how long a client of the runtime API may be silent" },
	{ "stats maxconn", CONF_GLOBAL, 1, 1, kw_maxconn, "<number>",
		"clients of the runtime API at a time", AT_GLOBAL(cli_maxconn) },
	{ "tune.cli.cpu-share", CONF_GLOBAL, 1, 1, kw_share, "<percent>",
		"share of one CPU for commands of the runtime API; 100: no limit",
		AT_GLOBAL(cli_share) },
);
// clang-format on
