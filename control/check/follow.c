// SPDX-License-Identifier: BSD-3-Clause
/*
 * From one generation of the configuration to the next: checks and the book about servers.
 *
 * Runs on: main. A server is the same if its backend and its name are, which its slot says; then its
 * health, its running check, what an operator asked and its numbers go on.
 */
#include "control/check/check_priv.h"

#include <stdlib.h>

struct checks_next {
	struct check **check;  // room for the new array
	struct check **fresh;  // as many as there may be new ones
	struct ip_port **addr; // likewise, for servers that moved
	uint32_t nfresh, naddr, n;
};

void
checks_next_free(struct checks_next *n)
{
	if (n == NULL)
		return;
	for (uint32_t i = 0; n->fresh != NULL && i < n->nfresh; i++)
		free(n->fresh[i]);
	for (uint32_t i = 0; n->addr != NULL && i < n->naddr; i++)
		free(n->addr[i]);
	free(n->check);
	free(n->fresh);
	free(n->addr);
	free(n);
}

/* Any server may turn out to be new, or moved: memory for each. */
static bool
fill(struct checks_next *n)
{
	for (; n->nfresh < n->n; n->nfresh++) {
		n->fresh[n->nfresh] = check_new(NULL, NULL);
		if (n->fresh[n->nfresh] == NULL)
			return false;
	}
	for (; n->naddr < n->n; n->naddr++) {
		n->addr[n->naddr] = malloc(sizeof(struct ip_port));
		if (n->addr[n->naddr] == NULL)
			return false;
	}
	return true;
}

struct checks_next *
checks_prepare(const struct model *m)
{
	struct checks_next *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	for (uint32_t p = 0; p < m->nproxies; p++)
		n->n += m->proxies[p]->nservers;
	n->check = calloc(n->n + 1, sizeof(*n->check));
	n->fresh = calloc(n->n + 1, sizeof(*n->fresh));
	n->addr = calloc(n->n + 1, sizeof(*n->addr));
	if (n->check != NULL && n->fresh != NULL && n->addr != NULL && fill(n))
		return n;
	checks_next_free(n);
	return NULL;
}

static void
set_run(struct srv_run *r, const struct server *srv)
{
	atomic_store(&r->weight, srv->weight);
	atomic_store(&r->maxconn, srv->maxconn);
	atomic_store(&r->state, srv->disabled ? SRV_MAINT : SRV_UP);
}

static void
move_to(struct checks *all, struct srv_run *r, struct checks_next *n, const struct ip_port *to)
{
	struct ip_port *copy = NULL;

	if (to != NULL) {
		copy = n->addr[--n->naddr];
		*copy = *to;
	}
	bal_shared_retire(all->s.bal, atomic_exchange(&r->addr, copy));
}

/* The configuration says something else than before: that holds. */
static void
change(struct checks *all, struct srv_book *b, const struct server *srv, struct checks_next *n)
{
	struct srv_run *r = &all->s.bal->srv[srv->slot];
	const struct server *old = b->srv;

	if (srv->weight != old->weight)
		atomic_store(&r->weight, srv->weight);
	if (srv->maxconn != old->maxconn)
		atomic_store(&r->maxconn, srv->maxconn);
	if (srv->disabled != old->disabled) {
		b->admin = (uint8_t)((b->admin & ~SRV_ADM_MAINT) |
			(srv->disabled ? SRV_ADM_MAINT : 0));
		if (!srv->disabled) // as when an operator says "ready"
			b->down = b->stopping = false;
		if (b->check != NULL)
			check_pause(b->check, srv->disabled);
	}
	if (!addr_port_eq(&srv->addr, &old->addr))
		move_to(all, r, n, &srv->addr);
	if (b->check != NULL && !server_is_checked(srv)) {
		check_free(b->check);
		b->check = NULL;
		b->down = b->stopping = false; // nobody would ever say otherwise
	}
	b->srv = srv;
	if (b->check != NULL)
		check_follow(b->check, srv);
	book_publish(all, b);
}

static void
follow(struct checks *all, const struct model *m, const struct server *srv, struct checks_next *n)
{
	struct srv_book *b = &all->srv[srv->slot];
	bool is_new = srv->since == m->generation || b->srv == NULL;
	struct check *c;

	if (is_new) {
		check_free(b->check);
		// named, where older generations may still hold connections to another one
		move_to(all, &all->s.bal->srv[srv->slot], n, srv->moved != 0 ? &srv->addr : NULL);
		set_run(&all->s.bal->srv[srv->slot], srv);
		book_open(all, srv);
	} else {
		change(all, b, srv, n);
	}
	if (!server_is_checked(srv))
		return;
	if (b->check == NULL) {
		c = b->check = n->fresh[--n->nfresh];
		check_of(c, all, srv);
		c->paused = (b->admin & SRV_ADM_MAINT) != 0;
		check_arm(c, 1);
	}
	n->check[all->n++] = b->check;
}

/* Servers that this generation has not: their checks end, their state stays for those who are there. */
static void
end_others(struct checks *all)
{
	for (uint32_t i = 0; i < all->nsrv; i++) {
		struct srv_book *b = &all->srv[i];

		if (b->srv == NULL || b->seen)
			continue;
		check_free(b->check);
		b->check = NULL;
		b->srv = NULL;
	}
}

void
checks_commit(struct checks *all, const struct model *m, struct checks_next *n)
{
	for (uint32_t i = 0; i < all->nsrv; i++)
		all->srv[i].seen = false;
	all->n = 0;
	for (uint32_t p = 0; p < m->nproxies; p++) {
		const struct proxy *be = m->proxies[p];

		for (uint32_t k = 0; k < be->nservers; k++) {
			follow(all, m, &be->servers[k], n);
			all->srv[be->servers[k].slot].seen = true;
		}
		if (be->since == m->generation || be->be_since == m->generation)
			book_open_backend(all, be);
		else
			book_backend(all, be);
	}
	end_others(all);
	free(all->check);
	all->check = n->check;
	n->check = NULL;
	all->s.model = m;
	checks_next_free(n);
}

void
checks_forget(struct checks *all, uint32_t slot)
{
	struct xmsg m = { .w = { XMSG_SERVER_STATE, slot, false } };

	atomic_store(&all->s.bal->srv[slot].state, SRV_MAINT);
	for (uint16_t w = 0; w < all->s.nlc; w++)
		io_message(all->s.io, w, &m);
}
