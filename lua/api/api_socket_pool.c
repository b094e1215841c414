// SPDX-License-Identifier: BSD-3-Clause
/*
 * Idle connections: setkeepalive() puts one away, a later connect() to the same place takes it.
 *
 * Runs on: script threads. One set of pools per Lua state, so nothing is shared between threads.
 * The io thread closes what was idle for too long; a peer that closes, or says something unasked,
 * ends the connection here, at the latest when it would be taken.
 */
#include <stdlib.h>

#include "lua/api/socket.h"

#define IDLE_MS   60000
#define POOL_SIZE 30

struct sock_pool {
	struct sl_list node; // st->pools
	struct io_target to;
	struct sl_list idle; // struct sconn, the latest first
	uint32_t n, size;
};

struct sock_state {
	struct sl_list pools;
};

static bool
is_same(const struct io_target *a, const struct io_target *b)
{
	if (a->kind != b->kind || a->host != b->host || a->tls != b->tls ||
		a->ip.port != b->ip.port || !addr_eq(&a->ip.ip, &b->ip.ip) ||
		strcmp(a->name, b->name) != 0)
		return false;
	return !a->tls || memcmp(&a->sec, &b->sec, sizeof(a->sec)) == 0;
}

static struct sock_pool *
find(struct sock_state *st, const struct io_target *to)
{
	sl_list_foreach(n, &st->pools) {
		struct sock_pool *p = sl_list_entry(n, struct sock_pool, node);

		if (is_same(&p->to, to))
			return p;
	}
	return NULL;
}

/* Out of its pool, which goes with the last one. */
static void
leave(struct sconn *c)
{
	struct sock_pool *p = c->pool;

	sl_list_del(&c->idle);
	c->pool = NULL;
	if (--p->n == 0) {
		sl_list_del(&p->node);
		free(p);
	}
}

void
pool_drop(struct sconn *c)
{
	leave(c);
	io_sock_close(c->s, true);
}

struct sconn *
pool_take(struct sock_state *st, const struct io_target *to)
{
	struct sock_pool *p;

	while ((p = find(st, to)) != NULL) {
		struct sconn *c = sl_list_first(&p->idle, struct sconn, idle);

		if (!io_sock_unpark(c->s)) {
			pool_drop(c);
			continue;
		}
		leave(c);
		c->reused++;
		return c;
	}
	return NULL;
}

bool
pool_shed(struct sock_state *st)
{
	if (sl_list_is_empty(&st->pools))
		return false;
	struct sock_pool *p = sl_list_first(&st->pools, struct sock_pool, node);

	pool_drop(sl_list_entry(p->idle.prev, struct sconn, idle));
	return true;
}

static struct sock_pool *
pool_for(lua_State *L, struct sock_state *st, const struct io_target *to)
{
	struct sock_pool *p = find(st, to);

	if (p != NULL)
		return p;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		luaL_error(L, "setkeepalive: out of memory");
	p->to = *to;
	sl_list_init(&p->idle);
	sl_list_add_tail(&st->pools, &p->node);
	return p;
}

/* setkeepalive([idle_ms [, size]]): 1, or nil and why it was closed instead. */
int
l_socket_setkeepalive(lua_State *L)
{
	struct usock *u = sock_client(L);
	lua_Integer ms = luaL_optinteger(L, 2, IDLE_MS), size = luaL_optinteger(L, 3, POOL_SIZE);
	struct sconn *c = u->c;

	luaL_argcheck(L, ms >= 1 && ms <= INT32_MAX, 2, "milliseconds expected");
	luaL_argcheck(L, size >= 1 && size <= INT32_MAX, 3, "number of connections expected");
	if (u->rx.wait.run != NULL || u->tx.wait.run != NULL)
		return luaL_error(L, "setkeepalive: another coroutine uses the socket");
	if (c == NULL || u->rd_shut || io_sock_state(c->s) != IO_SOCK_CONNECTED ||
		io_sock_rx_len(c->s) > 0) {
		bool unread = c != NULL && io_sock_rx_len(c->s) > 0;

		sock_close(u, true);
		lua_pushnil(L);
		lua_pushstring(L, unread ? "unread data" : "closed");
		return 2;
	}
	struct sock_pool *p = pool_for(L, u->state, io_sock_target(c->s));

	u->c = NULL;
	script_scope_del(&u->scoped);
	c->u = NULL;
	c->pool = p;
	p->size = (uint32_t)size;
	sl_list_add_head(&p->idle, &c->idle);
	p->n++;
	io_sock_park(c->s, (uint32_t)ms);
	while (p->n > p->size) // the oldest goes; the new one stays
		pool_drop(sl_list_entry(p->idle.prev, struct sconn, idle));
	lua_pushinteger(L, 1);
	return 1;
}

int
l_socket_getreusedtimes(lua_State *L)
{
	struct usock *u = sock_client(L);

	lua_pushinteger(L, u->c != NULL ? u->c->reused : 0);
	return 1;
}

static int
state_gc(lua_State *L)
{
	struct sock_state *st = lua_touserdata(L, 1);

	while (pool_shed(st))
		continue;
	return 0;
}

struct sock_state *
sock_state_new(lua_State *L)
{
	struct sock_state *st = lua_newuserdata(L, sizeof(*st));

	sl_list_init(&st->pools);
	lua_newtable(L);
	lua_pushcfunction(L, state_gc);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	return st;
}
