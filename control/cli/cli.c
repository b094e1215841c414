// SPDX-License-Identifier: BSD-3-Clause
/*
 * The life of the runtime API: from a model to the next, and the end.
 *
 * Runs on: main.
 */
#include "control/cli/cli_priv.h"

#include <stdio.h>
#include <stdlib.h>

void
cli_commit(struct cli *c, const struct model *m)
{
	const struct global_conf *g = &m->global;

	c->s.model = m;
	c->maxconn = g->cli_maxconn != 0 ? g->cli_maxconn : CLI_MAXCONN;
	c->timeout_ms = g->cli_timeout_ms != 0 ? g->cli_timeout_ms : CLI_TIMEOUT_MS;
	cli_turns_set(c, g->cli_share);
	cli_listen_follow(c, m);
}

int
cli_new(const struct cli_spec *s, struct cli **out, char *err, size_t size)
{
	struct cli *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (c == NULL) {
		snprintf(err, size, "no memory for the runtime API");
		return -ENOMEM;
	}
	c->s = *s;
	sl_list_init(&c->clients);
	sl_list_init(&c->jobs);
	sl_list_init(&c->listeners);
	sl_list_init(&c->fresh);
	cli_turns_init(c, s->model->global.cli_share);
	if (s->io != NULL)
		io_loop_handle(s->io, XMSG_SURVEYED, cli_surveyed, c);
	rc = cli_prepare(c, s->model, err, size);
	if (rc < 0) {
		cli_free(c);
		return rc;
	}
	cli_commit(c, s->model);
	*out = c;
	return 0;
}

void
cli_free(struct cli *c)
{
	if (c == NULL)
		return;
	c->maxconn = 0; // no listener is started again
	while (!sl_list_is_empty(&c->clients))
		cli_client_free(sl_list_first(&c->clients, struct cli_client, node));
	cli_turns_fini(c);
	cli_jobs_free(c);
	cli_capture_free(c);
	if (c->s.io != NULL)
		io_loop_handle(c->s.io, XMSG_SURVEYED, NULL, NULL);
	cli_listen_end(c);
	free(c);
}

void
cli_reload_done(struct cli *c, uint32_t run, bool ok, struct sl_str messages)
{
	if (c == NULL)
		return;
	sl_list_foreach_safe(n, &c->clients) {
		struct cli_client *x = sl_list_entry(n, struct cli_client, node);

		if (x->reload != run || run == 0)
			continue;
		x->reload = 0;
		// as HAProxy's master answers from 2.7 on
		cli_add(&x->out, ok ? "Success=1\n--\n" : "Success=0\n--\n", 13);
		cli_add(&x->out, messages.p, messages.len);
		cli_client_go_on(x);
	}
}

void
cli_get_stats(const struct cli *c, struct cli_stats *out)
{
	*out = c->stats;
}
