// SPDX-License-Identifier: BSD-3-Clause
/*
 * "show events": the rings of logs, and the lines in them as they come.
 *
 * Runs on: main. Follows: HAProxy 2.6 management guide 9.3. Some lines at a time go to the client, and
 * the next ones when those have left: one that does not read costs that much, holds no ring, and is told
 * how many lines were overwritten meanwhile.
 */
#include "control/cli/cli_priv.h"

#include <inttypes.h>
#include <stdlib.h>

#define STEP 32768u // bytes of an answer after which it has to leave first

/* What a client waits for. */
struct cli_events {
	struct log_reader *lines;
	bool wait; // for new ones, at the end
};

static void
list(struct cli_ctx *x)
{
	struct log_sink_info s;

	cli_msg(x,
		"Supported events sinks are listed below. Add -w(wait), -n(new). Any key to stop");
	for (uint32_t i = 0; log_sink_info(x->cli->s.log, i, &s); i++)
		cli_printf(x, "    %-10s : type=%s, %" PRIu64 " dropped, %s\n", s.name,
			s.ring ? "buffer" : "fd", s.dropped, s.description);
}

/* True: there is nothing more to say. */
static bool
fill(struct cli_client *c)
{
	struct cli_events *e = c->events;
	char line[LOG_LINE];
	uint32_t n = 1;

	while (c->out.len < STEP && n > 0) {
		uint64_t missed = log_reader_missed(e->lines);
		struct cli_ctx x = { .cli = c->cli, .client = c, .out = &c->out };

		if (missed > 0)
			cli_printf(&x,
				"(%" PRIu64 " lines were overwritten before they were read)\n",
				missed);
		n = log_reader_next(e->lines, line);
		cli_add(&c->out, line, n);
		if (n > 0)
			cli_add(&c->out, "\n", 1);
	}
	// any input ends the wait: what follows in the line, and further ones, too
	return n == 0 &&
		(!e->wait || c->rest != NULL || c->in_len > c->line_end ||
			log_reader_ended(e->lines));
}

static void
finish(struct cli_client *c)
{
	cli_events_end(c);
	cli_client_go_on(c);
}

void
cli_events_drained(struct cli_client *c)
{
	bool end;

	do {
		end = fill(c);
	} while (!end && c->out.len > 0 && cli_client_drained(c));
	if (end)
		finish(c);
}

static void
on_more(void *ctx)
{
	struct cli_client *c = ctx;

	if (c->out.len == 0)
		cli_events_drained(c);
}

void
cli_events_end(struct cli_client *c)
{
	if (c->events == NULL)
		return;
	log_reader_close(c->events->lines);
	free(c->events);
	c->events = NULL;
}

void
cli_events_stop(struct cli_client *c)
{
	finish(c);
}

/* "-w", "-n", "-nw", "-wn"; false: another word. */
static bool
parse_flags(const struct cli_ctx *x, bool *wait, bool *fresh)
{
	for (uint32_t i = 1; i < x->n; i++) {
		struct sl_str w = x->arg[i];
		bool both = sl_str_eq(w, SL_STR("-nw")) || sl_str_eq(w, SL_STR("-wn"));

		if (!both && !sl_str_eq(w, SL_STR("-w")) && !sl_str_eq(w, SL_STR("-n")))
			return false;
		*wait |= both || w.p[1] == 'w';
		*fresh |= both || w.p[1] == 'n';
	}
	return true;
}

static void
do_events(struct cli_ctx *x)
{
	struct cli_client *c = x->client;
	bool wait = false, fresh = false;
	struct cli_events *e;
	int rc;

	if (x->n == 0) {
		list(x);
		return;
	}
	if (!cli_allowed(x, CLI_OPER))
		return;
	e = calloc(1, sizeof(*e));
	if (e == NULL) {
		cli_err(x, "Out of memory.");
		return;
	}
	rc = log_reader_open(x->cli->s.log, x->arg[0], on_more, c, &e->lines);
	if (rc == 0 && parse_flags(x, &wait, &fresh)) {
		if (fresh)
			log_reader_skip(e->lines);
		e->wait = wait;
		c->events = e;
		c->rest = NULL;
		if (fill(c)) // all at once
			cli_events_end(c);
		return;
	}
	cli_severity(x, SL_ERR);
	cli_str(x,
		rc == 0                 ? SL_STR("unknown option")
			: rc == -EINVAL ? SL_STR("Nothing to report for this sink")
			: rc == -ENOENT ? SL_STR("No such event sink")
					: SL_STR("Out of memory."));
	log_reader_close(e->lines);
	free(e);
}

// clang-format off
SL_CLI_COMMANDS(
	{ "show events", CLI_USER, 0, CLI_MANY, do_events, "[<sink>] [-w] [-n]",
		"show event sink state" },
);
// clang-format on
