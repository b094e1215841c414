// SPDX-License-Identifier: BSD-3-Clause
/*
 * From a line to commands: words, ';', levels, and the commands about the session itself.
 *
 * Runs on: main. Follows: HAProxy 2.6 management guide 9.3.
 */
#include "control/cli/cli_priv.h"

#include <inttypes.h>

SL_KW_SECTION(cli_cmd);

static struct registry commands;

int
cli_init(const char **dup)
{
	int rc = commands.count > 0 ? 0 : registry_open(&commands, cli_cmd);

	if (rc < 0)
		*dup = commands.dup;
	return rc;
}

const struct registry *
cli_registry(void)
{
	return &commands;
}

const char *
cli_level_name(enum cli_level l)
{
	static const char *const names[] = { "user", "operator", "admin" };

	return names[l];
}

int
cli_words(char *line, struct sl_str *word, uint32_t max)
{
	char *at = line, *to;
	uint32_t n = 0;

	for (;;) {
		while (*at == ' ' || *at == '\t')
			at++;
		if (*at == '\0')
			return (int)n;
		if (n == max)
			return -E2BIG;
		word[n].p = to = at;
		while (*at != '\0' && *at != ' ' && *at != '\t') {
			if (*at == '\\' && at[1] != '\0')
				at++;
			*to++ = *at++;
		}
		word[n].len = (uint32_t)(to - word[n].p);
		n++;
		if (*at != '\0')
			at++;
		*to = '\0';
	}
}

/* The row with the most words that are all there; *used: how many. */
static const struct cli_cmd *
find(const struct sl_str *word, uint32_t n, uint32_t *used)
{
	const struct cli_cmd *best = NULL;
	char text[128];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	for (uint32_t i = 0; i < n && i < 4; i++) {
		const struct cli_cmd *row;

		if (i > 0)
			sl_buf_char(&b, ' ');
		sl_buf_add(&b, word[i]);
		row = b.full ? NULL : registry_find(&commands, sl_buf_str(&b));
		if (row != NULL) {
			best = row;
			*used = i + 1;
		}
	}
	return best;
}

bool
cli_allowed(struct cli_ctx *x, enum cli_level least)
{
	if (x->client->level >= least)
		return true;
	x->cli->stats.denied++;
	cli_err(x, "Permission denied");
	return false;
}

static void
run_one(struct cli_client *c, char *text, struct sl_str payload)
{
	struct sl_str words[CLI_WORDS_MAX], *word = words;
	struct cli_ctx x = { .cli = c->cli, .client = c, .out = &c->out, .payload = payload };
	const struct cli_cmd *cmd;
	uint32_t used = 0;
	int n = cli_words(text, words, CLI_WORDS_MAX);

	c->cli->stats.commands++;
	if (n < 0) {
		cli_err(&x, "Too many words in this command.");
		return;
	}
	if (n > 0 && c->master) {
		uint32_t left = (uint32_t)n;

		if (!cli_master_prefix(&x, &word, &left))
			return;
		n = (int)left;
	}
	if (n == 0)
		return;
	cmd = find(word, (uint32_t)n, &used);
	if (cmd == NULL) {
		cli_help(&x, word, (uint32_t)n, true);
		return;
	}
	if (!cli_allowed(&x, cmd->level))
		return;
	x.arg = word + used;
	x.n = (uint32_t)n - used;
	x.priv = cmd->priv;
	if (x.n < cmd->min || (cmd->max != CLI_MANY && x.n > cmd->max)) {
		cli_errf(&x, "'%s' expects %s.", cmd->name,
			cmd->max == 0 ? "no argument" : cmd->args);
		return;
	}
	cmd->run(&x);
}

void
cli_run_line(struct cli_client *c, char *line, struct sl_str payload)
{
	bool more = true;

	c->rest = NULL;
	while (more && !c->closing) {
		char *end = line;

		while (*end != '\0' && *end != ';') {
			if (*end == '\\' && end[1] != '\0')
				end++;
			end++;
		}
		more = *end == ';';
		*end = '\0';
		run_one(c, line, more ? SL_STR_NULL : payload);
		if (cli_client_waits(c)) {
			c->rest = more ? end + 1 : NULL;
			return;
		}
		cli_add(&c->out, "\n", c->closing ? 0 : 1);
		line = end + 1;
	}
}

/* ---- the session itself ---- */

static void
do_quit(struct cli_ctx *x)
{
	x->client->closing = true;
}

static void
do_prompt(struct cli_ctx *x)
{
	x->client->prompt = !x->client->prompt;
}

static void
do_help(struct cli_ctx *x)
{
	cli_help(x, x->arg, x->n, false);
}

/* "user", "operator": down only. */
static void
do_lower(struct cli_ctx *x)
{
	if (x->client->level > (enum cli_level)x->priv)
		x->client->level = (enum cli_level)x->priv;
}

static void
do_level(struct cli_ctx *x)
{
	cli_severity(x, SL_INFO);
	cli_msg(x, cli_level_name(x->client->level));
}

static void
do_sockets(struct cli_ctx *x)
{
	cli_msg(x, "# socket lvl processes");
	sl_list_foreach(n, &x->cli->listeners) {
		const struct cli_bind *b = sl_list_entry(n, struct cli_listener, node)->bind;
		bool bare = b->kind == CLI_BIND_UNIX && b->text.len > 0 && b->text.p[0] == '/';

		cli_printf(x, "%s%.*s %s all\n", bare ? "unix@" : "", SL_STR_ARG(b->text),
			cli_level_name(b->level));
	}
}

static void
do_counters(struct cli_ctx *x)
{
	const struct cli_stats *s = &x->cli->stats;

	cli_msg(x, "# clients accepted commands denied cut waited");
	cli_printf(x, "%u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
		s->clients, s->accepted, s->commands, s->denied, s->cut, s->waited);
}

static void
do_timeout(struct cli_ctx *x)
{
	struct sl_str w = x->n > 1 ? x->arg[1] : SL_STR("");
	uint64_t s;

	if (x->n == 0 || !sl_str_eq(x->arg[0], SL_STR("cli"))) {
		cli_err(x, "'set timeout' only supports 'cli'.");
		return;
	}
	if (w.len == 0) {
		cli_err(x, "Expects an integer value.");
		return;
	}
	if (w.len > 1 && w.p[w.len - 1] == 's') // the unit that it has anyway
		w.len--;
	if (sl_str_u64(w, &s) < 0 || s < 1 || s > 1000000) {
		cli_err(x, "Invalid timeout value.");
		return;
	}
	x->client->timeout_ms = (uint32_t)(s * 1000);
}

static void
do_severity(struct cli_ctx *x)
{
	int n = x->n > 0 ? cli_severity_of(x->arg[0]) : -EINVAL;

	if (n < 0)
		cli_err(x, "one of 'none', 'number', 'string' is a required argument");
	else
		x->client->severity = (enum cli_severity)n;
}

// clang-format off
SL_CLI_COMMANDS(
	{ "help", CLI_USER, 0, CLI_MANY, do_help, "[<command>]", "list matching or all commands" },
	{ "prompt", CLI_USER, 0, CLI_MANY, do_prompt, "", "toggle interactive mode with prompt" },
	{ "quit", CLI_USER, 0, CLI_MANY, do_quit, "", "disconnect" },
	{ "user", CLI_USER, 0, 0, do_lower, "", "lower the level of the current CLI session to user",
		CLI_USER },
	{ "operator", CLI_OPER, 0, 0, do_lower, "",
		"lower the level of the current CLI session to operator", CLI_OPER },
	{ "show cli level", CLI_USER, 0, 0, do_level, "",
		"display the level of the current CLI session" },
	{ "show cli sockets", CLI_OPER, 0, 0, do_sockets, "", "dump list of cli sockets" },
	{ "show cli counters", CLI_OPER, 0, 0, do_counters, "",
		"clients and commands, and how often one waited for its turn" },
	{ "set severity-output", CLI_USER, 0, 1, do_severity, "[none|number|string]",
		"set presence of severity level in feedback information" },
	{ "set timeout", CLI_USER, 0, 2, do_timeout, "[cli] <delay>", "change a timeout setting" },
);
// clang-format on
