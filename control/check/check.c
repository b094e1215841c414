// SPDX-License-Identifier: BSD-3-Clause
/*
 * Running checks: one at a time per server, each through the next worker.
 *
 * Runs on: main, from its event loop. Owns a struct check per checked server. Timeouts follow
 * HAProxy: without `timeout check` the whole check has `inter`; with it, connecting has the shorter
 * of `timeout connect` and `inter`, and the answer has `timeout check` after that.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/check/check_priv.h"

const struct check_kind *
check_kind_of(const struct server *srv)
{
	return (srv->be->options & PX_O_HTTPCHK) != 0 ? &check_http : &check_tcp;
}

bool
check_is_ok(enum check_status s)
{
	return s == CHK_L4OK || s == CHK_L7OK;
}

static const struct {
	const char *name, *text;
} statuses[] = {
	[CHK_L4OK] = { "L4OK", "Layer4 check passed" },
	[CHK_L4TOUT] = { "L4TOUT", "Layer4 timeout" },
	[CHK_L4CON] = { "L4CON", "Layer4 connection problem" },
	[CHK_L7OK] = { "L7OK", "Layer7 check passed" },
	[CHK_L7TOUT] = { "L7TOUT", "Layer7 timeout" },
	[CHK_L7RSP] = { "L7RSP", "Layer7 invalid response" },
	[CHK_L7STS] = { "L7STS", "Layer7 wrong status" },
};

const char *
check_status_name(enum check_status s)
{
	return statuses[s].name;
}

const char *
check_status_text(enum check_status s)
{
	return statuses[s].text;
}

void
check_format(char *out, uint32_t size, const struct check_line *l)
{
	const struct check_result *r = l->res;
	struct sl_buf b;

	sl_buf_init(&b, out, size);
	sl_buf_printf(&b, "%sServer %.*s/%.*s is %s, reason: %s", l->srv->backup ? "Backup " : "",
		SL_STR_ARG(l->srv->be->name), SL_STR_ARG(l->srv->name), l->up ? "UP" : "DOWN",
		check_status_text(r->status));
	if (r->code != 0)
		sl_buf_printf(&b, ", code: %u", r->code);
	if (r->info[0] != '\0' && r->status != CHK_L7OK)
		sl_buf_printf(&b, ", info: \"%s\"", r->info);
	sl_buf_printf(&b, ", check duration: %ums. %u active and %u backup servers %s.",
		l->duration_ms, l->active, l->backup, l->up ? "online" : "left");
	if (l->up) {
		sl_buf_addc(&b, " 0 sessions requeued, 0 total in queue.");
		return;
	}
	if (l->active == 0 && l->backup > 0)
		sl_buf_addc(&b, " Running on backup.");
	sl_buf_printf(&b, " %u sessions active, 0 requeued, 0 remaining in queue.", l->sessions);
}

static void
report(struct check *c, bool up, uint32_t ms)
{
	struct checks *all = c->all;
	const struct proxy *be = c->srv->be;
	struct check_line l = { .srv = c->srv, .up = up, .res = &c->res, .duration_ms = ms };
	char text[512];

	for (uint32_t i = 0; i < be->nservers; i++) {
		if (!server_is_usable(all, &be->servers[i]))
			continue;
		if (be->servers[i].backup)
			l.backup++;
		else
			l.active++;
	}
	l.sessions = atomic_load_explicit(&all->s.bal->srv[c->srv->slot].cur, memory_order_relaxed);
	check_format(text, sizeof(text), &l);
	all->s.say(all->s.say_ctx, up ? SL_NOTICE : SL_ALERT, text);
	if (!up && l.active + l.backup == 0) {
		snprintf(text, sizeof(text), "backend %.*s has no server available!",
			SL_STR_ARG(be->name));
		all->s.say(all->s.say_ctx, SL_EMERG, text);
	}
}

void
check_arm(struct check *c, uint32_t ms)
{
	c->timer.repeat = (double)(ms > 0 ? ms : 1) / 1000;
	ev_timer_again(c->all->s.ev, &c->timer);
}

static void
finish(struct check *c)
{
	uint32_t ms = (uint32_t)((ev_now(c->all->s.ev) - c->start) * 1000);
	enum check_change ch = check_sm_result(&c->sm, check_is_ok(c->res.status));

	if (c->conn != NULL)
		io_close(c->conn, true);
	c->conn = NULL;
	c->has_result = true;
	c->last_ms = ms;
	if (!check_is_ok(c->res.status))
		c->all->srv[c->srv->slot].chkfail++;
	if (ch != CHECK_SAME) {
		book_health(c->all, c->srv, ch == CHECK_UP);
		report(c, ch == CHECK_UP, ms);
	}
	check_arm(c, check_sm_interval(&c->sm));
}

static void
on_connected(struct io_conn *conn sl_unused, void *user)
{
	struct check *c = user;
	uint32_t limit = c->srv->be->timeout.check;

	c->connected = true;
	if (limit != 0)
		check_arm(c, limit);
	if (check_kind_of(c->srv)->connected(c))
		finish(c);
}

static void
on_data(struct io_conn *conn sl_unused, void *user, const void *p, uint32_t n)
{
	struct check *c = user;

	if (check_kind_of(c->srv)->data(c, p, n))
		finish(c);
}

static void
on_closed(struct io_conn *conn sl_unused, void *user, int err)
{
	struct check *c = user;

	c->conn = NULL;
	if (check_kind_of(c->srv)->ended(c, err))
		finish(c);
}

static const struct io_handler handler = {
	.connected = on_connected,
	.data = on_data,
	.closed = on_closed,
};

static void
start(struct check *c)
{
	struct checks *all = c->all;
	struct ip_port to = *srv_addr(&all->s.bal->srv[c->srv->slot], c->srv);
	const struct px_timeouts *t = &c->srv->be->timeout;
	uint32_t limit = c->sm.inter;

	if (c->srv->check_port != 0)
		to.port = c->srv->check_port;
	if (t->check != 0 && t->connect != 0)
		limit = sl_min(limit, t->connect);
	c->start = ev_now(all->s.ev);
	c->connected = false;
	c->head_len = 0;
	c->worker = all->next_worker++ % all->s.nlc;
	if (io_connect(all->s.io, c->worker, &to, &handler, c, &c->conn) < 0) {
		// our own shortage says nothing about the server: later
		c->conn = NULL;
		limit = check_sm_interval(&c->sm);
	}
	check_arm(c, limit);
}

static void
on_timer(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct check *c = t->data;

	if (c->conn == NULL && c->paused)
		ev_timer_stop(c->all->s.ev, t);
	else if (c->conn == NULL)
		start(c);
	else if (check_kind_of(c->srv)->timeout(c))
		finish(c);
}

/* Begins anew when it goes on, as from the start. */
void
check_pause(struct check *c, bool pause)
{
	if (c->paused == pause)
		return;
	c->paused = pause;
	if (pause && c->conn != NULL) {
		io_close(c->conn, true);
		c->conn = NULL;
	}
	if (pause)
		ev_timer_stop(c->all->s.ev, &c->timer);
	else
		check_arm(c, 1);
}

bool
server_is_checked(const struct server *s)
{
	return s->check && s->addr.ip.family != ADDR_NONE;
}

struct check *
check_new(struct checks *all, const struct server *srv)
{
	struct check *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	ev_timer_init(&c->timer, on_timer, 0., 0.);
	c->timer.data = c;
	if (srv != NULL)
		check_of(c, all, srv);
	return c;
}

void
check_of(struct check *c, struct checks *all, const struct server *srv)
{
	c->all = all;
	c->srv = srv;
	check_sm_init(&c->sm, srv);
	c->paused = srv->disabled;
}

void
check_free(struct check *c)
{
	if (c == NULL)
		return;
	ev_timer_stop(c->all->s.ev, &c->timer);
	if (c->conn != NULL)
		io_close(c->conn, true);
	free(c);
}

void
check_follow(struct check *c, const struct server *srv)
{
	const struct check_kind *was = check_kind_of(c->srv);
	struct check_sm sm;
	bool up = check_sm_is_up(&c->sm);

	check_sm_init(&sm, srv);
	if (sm.rise == c->sm.rise && sm.fall == c->sm.fall)
		sm.health = c->sm.health;
	else
		sm.health = up ? (uint16_t)(sm.rise + sm.fall - 1) : 0;
	c->sm = sm;
	c->srv = srv;
	if (c->conn == NULL || check_kind_of(srv) == was)
		return;
	// half a check of another kind says nothing
	io_close(c->conn, true);
	c->conn = NULL;
	check_arm(c, 1);
}

static int
checks_of(struct checks *all, const struct model *m)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < m->nproxies; p++)
		n += m->proxies[p]->nservers;
	all->check = calloc(n + 1, sizeof(*all->check));
	if (all->check == NULL)
		return -ENOMEM;
	for (uint32_t p = 0; p < m->nproxies; p++) {
		for (uint32_t k = 0; k < m->proxies[p]->nservers; k++) {
			const struct server *s = &m->proxies[p]->servers[k];
			struct check *c = server_is_checked(s) ? check_new(all, s) : NULL;

			if (c == NULL && server_is_checked(s))
				return -ENOMEM;
			if (c == NULL)
				continue;
			all->srv[s->slot].check = c;
			all->check[all->n++] = c;
		}
	}
	return 0;
}

struct checks *
checks_new(const struct checks_spec *s)
{
	struct checks *all = calloc(1, sizeof(*all));
	uint32_t min_ms = UINT32_MAX;

	if (all == NULL)
		return NULL;
	all->s = *s;
	if (books_new(all) < 0 || checks_of(all, s->model) < 0) {
		checks_free(all);
		return NULL;
	}
	for (uint32_t i = 0; i < all->n; i++)
		min_ms = sl_min(min_ms, check_sm_interval(&all->check[i]->sm));
	for (uint32_t i = 0; i < all->n; i++)
		check_arm(all->check[i], check_start_ms(i, all->n, min_ms));
	return all;
}

void
checks_free(struct checks *all)
{
	if (all == NULL)
		return;
	for (uint32_t i = 0; i < all->n; i++)
		check_free(all->check[i]);
	free(all->check);
	books_free(all);
	free(all);
}
