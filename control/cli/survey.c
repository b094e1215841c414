// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands that ask workers: one question at a time to one worker after another, in small steps.
 *
 * Runs on: main. Between two steps the client's answer so far leaves; the next step is asked only
 * when it has left, so that a client that does not read costs a step of memory and holds nobody up.
 * While a command waits, its client is not read. A client that goes away leaves its question behind;
 * that is freed when the worker has told, which is looked after by a timer too: the worker's message
 * may find its ring full.
 */
#include "control/cli/cli_priv.h"

#include <stdlib.h>

#define LOOK_S 0.05 // for answers whose message found no room

/* Everything at the beginning, so that the worker's answer leads here. */
struct cli_job {
	struct survey q;
	struct cli *cli;
	struct cli_client *client; // NULL: gone
	struct cli_survey how;
	uint32_t worker; // that is asked
	bool asked;      // the question is the worker's
	uint64_t total;
	struct ev_timer look;
};

static bool step(struct cli_job *j);

static void
job_free(struct cli_job *j)
{
	ev_timer_stop(j->cli->s.ev, &j->look);
	sl_list_del(&j->how.node);
	if (j->how.gone != NULL)
		j->how.gone(j->how.state);
	free(j->how.state);
	free(j);
}

static void
ctx_of(struct cli_job *j, struct cli_ctx *x)
{
	*x = (struct cli_ctx){ .cli = j->cli, .client = j->client, .out = &j->client->out };
}

static void
finish(struct cli_job *j)
{
	struct cli_client *c = j->client;
	struct cli_ctx x;

	ctx_of(j, &x);
	if (j->how.end != NULL)
		j->how.end(&x, j->how.state, j->total);
	c->job = NULL;
	job_free(j);
	cli_client_go_on(c);
}

/* The worker has told. */
static void
take(struct cli_job *j)
{
	struct cli_ctx x;

	j->asked = false;
	ev_timer_stop(j->cli->s.ev, &j->look);
	if (j->client == NULL) {
		job_free(j);
		return;
	}
	ctx_of(j, &x);
	j->total += j->q.n;
	if (j->how.rows != NULL)
		j->how.rows(&x, j->how.state, (uint16_t)j->worker, &j->q);
	if (j->q.end) {
		j->worker++;
		j->q.next = 0;
	}
	if (j->how.only || j->worker >= j->cli->s.nlc)
		finish(j);
	else if (cli_client_drained(j->client) && !step(j))
		finish(j);
}

static void
on_look(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct cli_job *j = t->data;

	if (j->asked && atomic_load_explicit(&j->q.told, memory_order_acquire))
		take(j);
}

/* False: there is not even room to wait. */
static bool
step(struct cli_job *j)
{
	struct xmsg m = { .w = { XMSG_SURVEY, (uintptr_t)&j->q } };

	j->q.n = 0;
	j->q.end = false;
	atomic_store_explicit(&j->q.told, false, memory_order_relaxed);
	j->asked = io_message(j->cli->s.io, (uint16_t)j->worker, &m);
	if (j->asked)
		ev_timer_again(j->cli->s.ev, &j->look);
	return j->asked;
}

/* By address only: the job may have been freed, by the timer's look. */
void
cli_surveyed(void *ctx, uint16_t worker sl_unused, const struct xmsg *m)
{
	struct cli *c = ctx;

	sl_list_foreach(n, &c->jobs) {
		struct cli_survey *how = sl_list_entry(n, struct cli_survey, node);
		struct cli_job *j = sl_container_of(how, struct cli_job, how);

		if ((uintptr_t)&j->q != m->w[1] || !j->asked ||
			!atomic_load_explicit(&j->q.told, memory_order_acquire))
			continue;
		take(j);
		return;
	}
}

void
cli_ask(struct cli_ctx *x, const struct survey *q, const struct cli_survey *how)
{
	struct cli_job *j = x->cli->s.io != NULL ? calloc(1, sizeof(*j)) : NULL;

	if (j == NULL || x->cli->s.nlc == 0) {
		free(j);
		free(how->state);
		cli_err(x, "Out of memory.");
		return;
	}
	j->q.what = q->what;
	j->q.has_one = q->has_one;
	j->q.one = q->one;
	j->q.slot = q->slot;
	j->cli = x->cli;
	j->client = x->client;
	j->how = *how;
	j->worker = how->only ? how->worker : 0;
	ev_timer_init(&j->look, on_look, LOOK_S, LOOK_S);
	j->look.data = j;
	sl_list_add_tail(&x->cli->jobs, &j->how.node);
	x->client->job = j;
	if (step(j))
		return;
	x->client->job = NULL;
	job_free(j);
	cli_err(x, "Workers are too busy to be asked.");
}

void
cli_job_drained(struct cli_job *j)
{
	if (!j->asked && !step(j))
		finish(j);
}

void
cli_job_leave(struct cli_job *j)
{
	j->client = NULL;
	if (!j->asked)
		job_free(j);
}

/* Workers have stopped: what they were asked is ours again. */
void
cli_jobs_free(struct cli *c)
{
	sl_list_foreach_safe(n, &c->jobs) {
		struct cli_survey *how = sl_list_entry(n, struct cli_survey, node);

		job_free(sl_container_of(how, struct cli_job, how));
	}
}
