// SPDX-License-Identifier: BSD-3-Clause
/*
 * Main's book about servers: what an operator asked (maintenance, drain, weight, address), what the
 * checks say, and the one state that workers see, which follows from both. Since when, how often.
 *
 * Runs on: main. Follows: HAProxy 2.6, management guide 9.3 "set server"; maintenance stands above
 * health, health above drain; leaving maintenance a server is up at once and its checks begin anew.
 */
#include "control/check/check_priv.h"

#include <stdio.h>
#include <stdlib.h>

static double
now(const struct checks *all)
{
	return ev_now(all->s.ev);
}

bool
server_is_usable(const struct checks *all, const struct server *s)
{
	return atomic_load_explicit(&all->s.bal->srv[s->slot].state, memory_order_relaxed) ==
		SRV_UP;
}

static enum srv_state
state_of(const struct srv_book *b)
{
	if ((b->admin & SRV_ADM_MAINT) != 0)
		return SRV_MAINT;
	if (b->down)
		return SRV_DOWN;
	return (b->admin & SRV_ADM_DRAIN) != 0 || b->stopping ? SRV_DRAIN : SRV_UP;
}

/* Workers read the state at every pick; the message lets them drop idle connections now. */
static void
tell_workers(struct checks *all, uint32_t slot, bool moved)
{
	struct xmsg m = { .w = { XMSG_SERVER_STATE, slot, moved } };

	for (uint16_t w = 0; w < all->s.nlc; w++)
		io_message(all->s.io, w, &m);
}

static void
count(const struct checks *all, const struct proxy *be, uint32_t *active, uint32_t *backup)
{
	*active = *backup = 0;
	for (uint32_t i = 0; i < be->nservers; i++) {
		if (!server_is_usable(all, &be->servers[i]))
			continue;
		if (be->servers[i].backup)
			(*backup)++;
		else
			(*active)++;
	}
}

static void
update_backend(struct checks *all, const struct proxy *be)
{
	struct px_book *b = &all->px[be->slot];
	uint32_t active, backup;
	bool up;

	count(all, be, &active, &backup);
	up = active + backup > 0;
	if (up == b->up)
		return;
	b->up = up;
	b->changed = now(all);
	if (up) {
		b->downtime_s += (uint64_t)(now(all) - b->down_since);
	} else {
		b->down_since = now(all);
		b->chkdown++;
	}
}

/* Publishes what follows from the book; *was, if asked for, is what it was before. */
static bool
publish(struct checks *all, struct srv_book *b, enum srv_state *was)
{
	struct srv_run *r = &all->s.bal->srv[b->srv->slot];
	enum srv_state old = (enum srv_state)atomic_load(&r->state), new = state_of(b);
	bool was_down = old == SRV_DOWN || old == SRV_MAINT;
	bool is_down = new == SRV_DOWN || new == SRV_MAINT;

	if (was != NULL)
		*was = old;
	if (old == new)
		return false;
	atomic_store_explicit(&r->state, new, memory_order_release);
	atomic_fetch_add_explicit(&r->changes, 1, memory_order_relaxed);
	b->changed = now(all);
	if (is_down && !was_down)
		b->down_since = now(all);
	else if (was_down && !is_down)
		b->downtime_s += (uint64_t)(now(all) - b->down_since);
	tell_workers(all, b->srv->slot, false);
	update_backend(all, b->srv->be);
	return true;
}

void
book_health(struct checks *all, const struct server *srv, bool up)
{
	struct srv_book *b = &all->srv[srv->slot];

	b->down = !up;
	b->stopping = false;
	if (!up)
		b->chkdown++;
	publish(all, b, NULL);
}

/* "Server be/a …. 1 active and 0 backup servers left. …" */
static void
say(struct checks *all, const struct srv_book *b, bool gone, const char *what)
{
	const struct server *srv = b->srv;
	uint32_t active, backup;
	char text[512];
	struct sl_buf o;

	count(all, srv->be, &active, &backup);
	sl_buf_init(&o, text, sizeof(text));
	sl_buf_printf(&o, "%sServer %.*s/%.*s %s", srv->backup ? "Backup " : "",
		SL_STR_ARG(srv->be->name), SL_STR_ARG(srv->name), what);
	if (gone) {
		sl_buf_printf(&o, " %u active and %u backup servers left.%s", active, backup,
			active == 0 && backup > 0 ? " Running on backup." : "");
		sl_buf_printf(&o, " %u sessions active, 0 requeued, 0 remaining in queue.",
			atomic_load(&all->s.bal->srv[srv->slot].cur));
	}
	all->s.say(all->s.say_ctx, gone ? SL_WARNING : SL_NOTICE, text);
	if (gone && active + backup == 0) {
		snprintf(text, sizeof(text), "backend '%.*s' has no server available!",
			SL_STR_ARG(srv->be->name));
		all->s.say(all->s.say_ctx, SL_EMERG, text);
	}
}

int
servers_set_admin(struct checks *all, const struct server *srv, uint8_t admin)
{
	struct srv_book *b = &all->srv[srv->slot];
	uint8_t old = b->admin;
	enum srv_state was;

	if (admin == old)
		return -EALREADY;
	b->admin = admin;
	if ((old & SRV_ADM_MAINT) != 0 && (admin & SRV_ADM_MAINT) == 0) {
		b->down = b->stopping = false;
		if (b->check != NULL)
			b->check->sm.health = b->check->sm.rise;
	}
	publish(all, b, &was);
	if (b->check != NULL)
		check_pause(b->check, (admin & SRV_ADM_MAINT) != 0);
	if ((admin & SRV_ADM_MAINT) != 0)
		say(all, b, was != SRV_DOWN,
			was == SRV_DOWN ? "was DOWN and now enters maintenance."
					: "is going DOWN for maintenance.");
	else if ((old & SRV_ADM_MAINT) != 0)
		say(all, b, false, "is UP/READY (leaving forced maintenance).");
	else if ((admin & SRV_ADM_DRAIN) != 0)
		say(all, b, true, "enters drain state.");
	else
		say(all, b, false,
			b->down ? "is DOWN (leaving forced drain)." : "is UP (leaving forced drain).");
	return 0;
}

void
servers_set_health(struct checks *all, const struct server *srv, enum server_health h)
{
	struct srv_book *b = &all->srv[srv->slot];
	bool changed;

	b->down = h == SERVER_HEALTH_DOWN;
	b->stopping = h == SERVER_HEALTH_STOPPING;
	if (b->check != NULL)
		b->check->sm.health = b->down ? 0
					      : (uint16_t)(b->check->sm.rise + b->check->sm.fall - 1);
	changed = publish(all, b, NULL);
	if (changed && b->down)
		b->chkdown++;
	if (changed)
		say(all, b, h != SERVER_HEALTH_UP,
			h == SERVER_HEALTH_UP             ? "is UP, changed from CLI."
				: h == SERVER_HEALTH_DOWN ? "is DOWN, changed from CLI."
							  : "is stopping, changed from CLI.");
}

void
servers_set_weight(struct checks *all, const struct server *srv, uint16_t weight)
{
	atomic_store_explicit(
		&all->s.bal->srv[srv->slot].weight, weight, memory_order_relaxed);
	tell_workers(all, srv->slot, false); // waiters may have a server now
}

int
servers_enable_checks(struct checks *all, const struct server *srv, bool on)
{
	struct srv_book *b = &all->srv[srv->slot];

	if (b->check == NULL)
		return -ENOENT;
	check_pause(b->check, !on || (b->admin & SRV_ADM_MAINT) != 0);
	return 0;
}

int
servers_set_addr(struct checks *all, const struct server *srv, const struct ip_port *to)
{
	struct srv_run *r = &all->s.bal->srv[srv->slot];
	struct ip_port *copy = malloc(sizeof(*copy));
	const struct ip_port *old;

	if (copy == NULL)
		return -ENOMEM;
	*copy = *to;
	old = atomic_exchange(&r->addr, copy);
	// workers may be reading the old one: it goes when the process does, 20 bytes per command
	bal_shared_retire(all->s.bal, old);
	tell_workers(all, srv->slot, true);
	return 0;
}

void
servers_set_maxconn(struct checks *all, const struct server *srv, uint32_t maxconn)
{
	atomic_store_explicit(
		&all->s.bal->srv[srv->slot].maxconn, maxconn, memory_order_relaxed);
	tell_workers(all, srv->slot, false);
}

unsigned
servers_check_code(const struct server_view *v)
{
	static const struct {
		const char *name;
		unsigned code;
	} codes[] = { { "INI", 2 }, { "L4OK", 6 }, { "L4TOUT", 7 }, { "L4CON", 8 }, { "L7TOUT", 12 },
		{ "L7RSP", 13 }, { "L7OK", 15 }, { "L7STS", 17 } };

	for (size_t i = 0; v->checked && i < SL_ARRAY_SIZE(codes); i++) {
		if (strcmp(codes[i].name, v->check_status) == 0)
			return codes[i].code;
	}
	return 1; // none
}

static void
view_check(const struct check *c, struct server_view *v)
{
	v->checked = true;
	v->paused = c->paused;
	v->running = c->conn != NULL;
	v->rise = c->sm.rise;
	v->fall = c->sm.fall;
	v->health = c->sm.health;
	v->has_result = c->has_result;
	v->check_status = c->has_result ? check_status_name(c->res.status) : "INI";
	v->check_desc = c->has_result ? check_status_text(c->res.status) : "Initializing";
	v->check_info = c->has_result ? c->res.info : "";
	v->check_code = c->has_result ? c->res.code : 0;
	v->check_ms = c->last_ms;
	v->check_ok = c->has_result && check_is_ok(c->res.status);
}

void
servers_view(const struct checks *all, const struct server *srv, struct server_view *v)
{
	const struct srv_book *b = &all->srv[srv->slot];
	struct srv_run *r = &all->s.bal->srv[srv->slot];

	*v = (struct server_view){ .check_status = "", .check_desc = "", .check_info = "" };
	v->state = (enum srv_state)atomic_load_explicit(&r->state, memory_order_relaxed);
	v->admin = b->admin;
	v->stopping = b->stopping;
	v->weight = atomic_load_explicit(&r->weight, memory_order_relaxed);
	v->iweight = srv->weight;
	v->maxconn = atomic_load_explicit(&r->maxconn, memory_order_relaxed);
	v->cur = atomic_load_explicit(&r->cur, memory_order_relaxed);
	v->addr = *srv_addr(r, srv);
	v->lastchg_s = (uint32_t)(now(all) - b->changed);
	v->downtime_s = b->downtime_s;
	if (v->state == SRV_DOWN || v->state == SRV_MAINT)
		v->downtime_s += (uint64_t)(now(all) - b->down_since);
	v->chkfail = b->chkfail;
	v->chkdown = b->chkdown;
	if (b->check != NULL)
		view_check(b->check, v);
}

void
servers_view_backend(const struct checks *all, const struct proxy *be, struct backend_view *v)
{
	const struct px_book *b = &all->px[be->slot];

	*v = (struct backend_view){ .up = b->up || be->nservers == 0, .chkdown = b->chkdown };
	count(all, be, &v->active, &v->backup);
	for (uint32_t i = 0; i < be->nservers; i++) {
		const struct server *s = &be->servers[i];

		if (server_is_usable(all, s) && (!s->backup || v->active == 0))
			v->weight += atomic_load_explicit(
				&all->s.bal->srv[s->slot].weight, memory_order_relaxed);
		if (s->backup && v->active == 0 && server_is_usable(all, s))
			break; // without allbackups only the first one serves
	}
	v->lastchg_s = (uint32_t)(now(all) - b->changed);
	v->downtime_s = b->downtime_s;
	if (!v->up)
		v->downtime_s += (uint64_t)(now(all) - b->down_since);
}

/* A server that had no book. */
void
book_open(struct checks *all, const struct server *srv)
{
	struct srv_book *b = &all->srv[srv->slot];

	*b = (struct srv_book){ .srv = srv,
		.admin = srv->disabled ? SRV_ADM_MAINT : 0,
		.changed = now(all),
		.down_since = now(all) };
}

void
book_open_backend(struct checks *all, const struct proxy *be)
{
	uint32_t active, backup;

	count(all, be, &active, &backup);
	all->px[be->slot] = (struct px_book){
		.up = active + backup > 0, .changed = now(all), .down_since = now(all)
	};
}

void
book_publish(struct checks *all, struct srv_book *b)
{
	publish(all, b, NULL);
}

void
book_backend(struct checks *all, const struct proxy *be)
{
	update_backend(all, be);
}

int
books_new(struct checks *all)
{
	const struct model *m = all->s.model;

	all->started = now(all);
	all->nsrv = sl_max(all->s.bal->nslots, 1u);
	all->npx = sl_max(all->s.bal->nproxies, 1u);
	all->srv = calloc(all->nsrv, sizeof(*all->srv));
	all->px = calloc(all->npx, sizeof(*all->px));
	if (all->srv == NULL || all->px == NULL)
		return -ENOMEM;
	for (uint32_t p = 0; p < m->nproxies; p++) {
		const struct proxy *be = m->proxies[p];

		for (uint32_t k = 0; k < be->nservers; k++)
			book_open(all, &be->servers[k]);
		book_open_backend(all, be);
	}
	return 0;
}

void
books_free(struct checks *all)
{
	free(all->srv);
	free(all->px);
}
