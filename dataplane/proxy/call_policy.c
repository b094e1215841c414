// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is to happen with a request whose script errs, is slow, or finds no room.
 *
 * Runs on: the worker that owns the stream. A rule's own word comes first, then tune.lua.on-*.
 */
#include "dataplane/proxy/call_pair.h"

#include "dataplane/base/hot.h"

static struct call_choice
choose(uint8_t own, uint16_t own_status, uint8_t global, uint16_t global_status,
	enum call_policy fallback)
{
	if (own != CALL_POLICY_DEFAULT)
		return (struct call_choice){ (enum call_policy)own, own_status };
	if (global != CALL_POLICY_DEFAULT)
		return (struct call_choice){ (enum call_policy)global, global_status };
	return (struct call_choice){ fallback, 0 };
}

/* A service has nothing to go on with. */
static struct call_choice
of_service(struct call_choice p, const struct stream *s, enum call_policy instead, uint16_t status)
{
	if (p.kind == CALL_POLICY_CONT && (s->flags & ST_F_SERVICE) != 0)
		return (struct call_choice){ instead, status };
	return p;
}

struct call_choice
call_error_policy(const struct stream *s)
{
	const struct call_rule *r = s->call.call->priv;
	const struct global_conf *g = &s->model->global;

	return of_service(choose(r != NULL ? r->on_error : CALL_POLICY_DEFAULT,
				  r != NULL ? r->error_status : 0, g->lua_on_error,
				  g->lua_error_status, CALL_POLICY_CONT),
		s, CALL_POLICY_STATUS, 500);
}

struct call_choice
call_overload_policy(const struct stream *s)
{
	const struct call_rule *r = s->call.call->priv;
	const struct global_conf *g = &s->model->global;

	return of_service(choose(r != NULL ? r->on_overload : CALL_POLICY_DEFAULT,
				  r != NULL ? r->overload_status : 0, g->lua_on_overload,
				  g->lua_overload_status, CALL_POLICY_WAIT),
		s, CALL_POLICY_WAIT, 0);
}

struct call_result
call_by_policy(struct call_choice p)
{
	switch (p.kind) {
	case CALL_POLICY_DENY:
		return (struct call_result){ .verdict = CALLV_DENY };
	case CALL_POLICY_STATUS:
		return (struct call_result){ .verdict = CALLV_ERROR, .status = p.status };
	case CALL_POLICY_WAIT:
		return (struct call_result){ .verdict = CALLV_ERROR, .status = 503 };
	default:
		return (struct call_result){ .verdict = CALLV_CONT };
	}
}

static struct call_fn_count *
count_of(const struct stream *s)
{
	struct call_fn_count *c = s->model->lua_fn;

	return c != NULL ? &c[s->call.call->fn & ~CALL_FN_PER_THREAD] : NULL;
}

void
call_count_wait(const struct stream *s)
{
	struct call_fn_count *c = count_of(s);

	if (c != NULL)
		atomic_fetch_add_explicit(&c->waits, 1, memory_order_relaxed);
}

void
call_count_late(const struct stream *s)
{
	struct call_fn_count *c = count_of(s);
	uint32_t ms = tick_remain(s->call.exp, s->lc->now);

	if (c == NULL)
		return;
	atomic_fetch_add_explicit(ms <= 2 ? &c->late_2ms
			: ms <= 20        ? &c->late_20ms
					  : &c->later,
		1, memory_order_relaxed);
}

struct call_result
call_overloaded(const struct stream *s, struct call_choice policy)
{
	struct call_fn_count *c = count_of(s);

	if (c != NULL)
		atomic_fetch_add_explicit(&c->overloads, 1, memory_order_relaxed);
	return call_by_policy(policy);
}

uint16_t
call_error_status(const struct stream *s)
{
	struct call_choice p = call_error_policy(s);

	return p.kind == CALL_POLICY_STATUS ? p.status : p.kind == CALL_POLICY_DENY ? 403 : 500;
}

uint32_t
call_deadline_ms(const struct stream *s)
{
	const struct call_rule *r = s->call.call->priv;

	if (r != NULL && r->deadline_ms != 0)
		return r->deadline_ms;
	return s->model->global.lua_deadline_ms != 0 ? s->model->global.lua_deadline_ms
						     : CALL_DEADLINE_MS;
}
