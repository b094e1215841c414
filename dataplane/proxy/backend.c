// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which backend: use_backend rules in their order, then default_backend, then the proxy itself if it
 * has servers ("listen").
 *
 * Runs on: the worker, in both modes. A rule's condition, or its name, may be a program that stops;
 * the stream keeps how far it got and goes on there.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

/* The backend that a rule names by an expression; NULL: nobody has this name. */
static const struct proxy *
by_name(const struct stream *s, const struct sample *name)
{
	const struct proxy *be = name->type == T_STR
		? model_find_proxy(s->model, name->s, PX_CAP_BE)
		: NULL;

	return be != NULL && be->mode == s->fe->mode ? be : NULL;
}

/* use_backend rules, one program after the other; goes on where a suspension left it. */
static enum rule_result
by_switches(struct stream *s, const struct proxy **be)
{
	struct prog_cursor *cur = &s->side->cursor;

	for (; s->next_switch < s->fe->nswitches; s->next_switch++, s->step = SWITCH_COND) {
		const struct be_switch *sw = &s->fe->switches[s->next_switch];
		enum rule_result rc;

		if (s->step == SWITCH_COND) {
			s->step = SWITCH_COND_DONE;
			rc = rule_run(s, sw->cond);
			if (rc != RULE_NEXT)
				return rc;
		}
		if (s->step == SWITCH_COND_DONE) {
			if (sw->cond != NULL && !cur->flag)
				continue;
			*be = sw->be;
			if (*be != NULL || sw->name == NULL)
				return RULE_NEXT;
			s->step = SWITCH_NAME_DONE;
			rc = rule_run(s, sw->name);
			if (rc != RULE_NEXT)
				return rc;
		}
		*be = by_name(s, &cur->stack[0]);
		if (*be != NULL)
			return RULE_NEXT; // a name that nobody has: the next rule, as HAProxy
	}
	return RULE_NEXT;
}

static void
enter(struct stream *s, const struct proxy *be)
{
	struct px_counters *n = px_be_cnt(s->lc, be);

	s->be = be;
	s->view.be = be;
	s->px->be_conns[be->slot]++;
	s->flags |= ST_F_AT_BE | ST_F_WAS_AT_BE;
	if (s->fe->mode == PX_HTTP)
		counter_inc(&n->cum_req);
	counter_inc(&n->cur_conn);
	px_max(s->lc, n, PX_MAX_CONN, counter_get(&n->cur_conn));
	counter_inc(&n->cum_conn);
	counter_add(&n->bytes_in, s->log.bytes_in); // what came before it was chosen
}

enum rule_result
backend_choose(struct stream *s)
{
	const struct proxy *be = NULL;
	enum rule_result rc = by_switches(s, &be);

	if (rc != RULE_NEXT)
		return rc;
	if (be == NULL)
		be = s->fe->default_be;
	if (be == NULL && (s->fe->caps & PX_CAP_BE) != 0)
		be = s->fe;
	if (be == NULL) {
		txn_fail(s, s->fe->mode == PX_HTTP ? 503 : 0, "SC");
		return RULE_ENDED;
	}
	enter(s, be);
	return RULE_NEXT;
}
