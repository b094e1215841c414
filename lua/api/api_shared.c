// SPDX-License-Identifier: BSD-3-Clause
/*
 * core.shared(name): tables that all states share, and core.once(key, fn): one of all states does it.
 * Both are sluice's own.
 *
 * Runs on: script threads, and the loader. Between shared_lock() and shared_unlock() nothing raises: values,
 * strings, numbers and booleans, are copied in and out. Bounds: shared_table.h.
 */
#include <stdlib.h>

#include "lua/api/api.h"
#include "lua/api/shared_table.h"

#define SHARED       "sl.shared"
#define ONCE_POLL_MS 2

/* ---- values between Lua and the tables; outside of the lock: they may raise ---- */

static bool
to_val(lua_State *L, int idx, struct shared_val *v)
{
	switch (lua_type(L, idx)) {
	case LUA_TNUMBER:
		if (lua_isinteger(L, idx))
			*v = (struct shared_val){ .type = VAL_INT, .i = lua_tointeger(L, idx) };
		else
			*v = (struct shared_val){ .type = VAL_NUM, .n = lua_tonumber(L, idx) };
		return true;
	case LUA_TBOOLEAN:
		*v = (struct shared_val){ .type = VAL_BOOL, .b = lua_toboolean(L, idx) };
		return true;
	case LUA_TSTRING:
		*v = (struct shared_val){ .type = VAL_STR, .s = api_check_str(L, idx) };
		return true;
	default:
		*v = (struct shared_val){ .type = VAL_NONE };
		return false;
	}
}

static struct shared_val
check_val(lua_State *L, int idx)
{
	struct shared_val v;

	if (!to_val(L, idx, &v))
		luaL_argerror(L, idx, "string, number or boolean expected");
	return v;
}

/* A string of shared_copy() in a userdata, so that an error on the way to Lua frees it. */
struct owned {
	void *p;
};

static int
owned_gc(lua_State *L)
{
	struct owned *o = luaL_checkudata(L, 1, "sl.owned");

	free(o->p);
	o->p = NULL;
	return 0;
}

static struct owned *
owner(lua_State *L)
{
	struct owned *o = lua_newuserdata(L, sizeof(*o));

	o->p = NULL;
	luaL_setmetatable(L, "sl.owned");
	return o;
}

static int
push_val(lua_State *L, struct owned *o, const struct shared_val *v)
{
	switch (v->type) {
	case VAL_INT:
		lua_pushinteger(L, v->i);
		break;
	case VAL_NUM:
		lua_pushnumber(L, v->n);
		break;
	case VAL_BOOL:
		lua_pushboolean(L, v->b);
		break;
	case VAL_STR:
		o->p = (void *)(uintptr_t)v->s.p;
		if (o->p == NULL)
			return luaL_error(L, "out of memory");
		lua_pushlstring(L, v->s.p, v->s.len);
		free(o->p);
		o->p = NULL;
		break;
	default:
		lua_pushnil(L);
		break;
	}
	return 1;
}

static struct shared_table *
check_table(lua_State *L)
{
	struct shared_table **t;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_rawgeti(L, 1, 0);
	t = luaL_testudata(L, -1, SHARED);
	lua_pop(L, 1);
	if (t == NULL)
		luaL_argerror(L, 1, "Shared expected");
	return *t;
}

/* Seconds, may have a fraction; none: 0. */
static uint64_t
opt_ttl(lua_State *L, int idx)
{
	lua_Number s = luaL_optnumber(L, idx, 0);

	luaL_argcheck(L, s >= 0 && s < 1e9, idx, "seconds expected");
	return (uint64_t)(s * 1e6);
}

static int
refused(lua_State *L, bool ok)
{
	lua_pushboolean(L, ok);
	if (ok)
		return 1;
	lua_pushliteral(L, "full");
	return 2;
}

/* ---- methods ---- */

/* shared:get(key): value or nil */
static int
l_shared_get(lua_State *L)
{
	struct shared_table *t = check_table(L);
	struct sl_str key = api_check_str(L, 2);
	struct owned *o = owner(L);

	shared_lock();
	struct shared_val v = shared_copy(*shared_find(t, key));
	shared_unlock();
	return push_val(L, o, &v);
}

/* shared:set(key, value[, ttl]): true; false, "full". A value of nil deletes. */
static int
l_shared_set(lua_State *L)
{
	struct shared_table *t = check_table(L);
	struct sl_str key = api_check_str(L, 2);
	bool del = lua_isnil(L, 3), ok = true;
	struct shared_val v = { .type = VAL_NONE };
	uint64_t ttl = opt_ttl(L, 4);

	if (!del)
		v = check_val(L, 3);
	shared_lock();
	if (!del) {
		ok = shared_put(t, key, &v, ttl, false);
	} else {
		struct shared_item **at = shared_find(t, key);
		if (*at != NULL)
			shared_drop(t, at);
	}
	shared_unlock();
	return refused(L, ok);
}

/* shared:add(key, value[, ttl]): true; false, "exists"; false, "full" */
static int
l_shared_add(lua_State *L)
{
	struct shared_table *t = check_table(L);
	struct sl_str key = api_check_str(L, 2);
	struct shared_val v = check_val(L, 3);
	uint64_t ttl = opt_ttl(L, 4);
	bool ok = false;

	shared_lock();
	bool exists = *shared_find(t, key) != NULL;
	if (!exists)
		ok = shared_put(t, key, &v, ttl, false);
	shared_unlock();
	if (!exists)
		return refused(L, ok);
	lua_pushboolean(L, false);
	lua_pushliteral(L, "exists");
	return 2;
}

/* shared:incr(key, by[, initial[, ttl]]): the new number; nil, "none" | "number expected" | "full" */
static int
l_shared_incr(lua_State *L)
{
	struct shared_table *t = check_table(L);
	struct sl_str key = api_check_str(L, 2);
	lua_Integer by = luaL_optinteger(L, 3, 1);
	bool has_init = !lua_isnoneornil(L, 4);
	struct shared_val v = { .type = VAL_INT, .i = luaL_optinteger(L, 4, 0) };
	uint64_t ttl = opt_ttl(L, 5);
	const char *why = NULL;

	shared_lock();
	const struct shared_item *it = *shared_find(t, key);
	if (it == NULL && !has_init)
		why = "none";
	else if (it != NULL && it->v.type != VAL_INT)
		why = "number expected";
	else if (it != NULL)
		v.i = it->v.i;
	if (why == NULL) {
		v.i = (lua_Integer)((lua_Unsigned)v.i + (lua_Unsigned)by);
		if (!shared_put(t, key, &v, ttl, it != NULL))
			why = "full";
	}
	shared_unlock();
	if (why != NULL) {
		lua_pushnil(L);
		lua_pushstring(L, why);
		return 2;
	}
	lua_pushinteger(L, v.i);
	return 1;
}

/* shared:cas(key, old, new[, ttl]): true; false and what is there. nil as old: there is none. */
static int
l_shared_cas(lua_State *L)
{
	struct shared_table *t = check_table(L);
	struct sl_str key = api_check_str(L, 2);
	struct shared_val old, v = check_val(L, 4), is;
	uint64_t ttl = opt_ttl(L, 5);
	bool ok = false;

	if (!lua_isnil(L, 3))
		old = check_val(L, 3);
	else
		old = (struct shared_val){ .type = VAL_NONE };
	struct owned *o = owner(L);
	shared_lock();
	const struct shared_item *it = *shared_find(t, key);
	is = it != NULL ? it->v : (struct shared_val){ .type = VAL_NONE };
	bool match = shared_same(&is, &old);
	if (match)
		ok = shared_put(t, key, &v, ttl, ttl == 0);
	is = match ? (struct shared_val){ .type = VAL_NONE } : shared_copy(it);
	shared_unlock();
	if (match)
		return refused(L, ok);
	lua_pushboolean(L, false);
	return 1 + push_val(L, o, &is);
}

static int
l_shared_delete(lua_State *L)
{
	struct shared_table *t = check_table(L);
	struct sl_str key = api_check_str(L, 2);

	shared_lock();
	struct shared_item **at = shared_find(t, key);
	bool was = *at != NULL;
	if (was)
		shared_drop(t, at);
	shared_unlock();
	lua_pushboolean(L, was);
	return 1;
}

/* shared:ttl(key): seconds left, -1 for ever, nil: none. shared:ttl(key, seconds) sets it: boolean. */
static int
l_shared_ttl(lua_State *L)
{
	struct shared_table *t = check_table(L);
	struct sl_str key = api_check_str(L, 2);
	bool set = !lua_isnoneornil(L, 3);
	uint64_t ttl = opt_ttl(L, 3), now, left = 0;

	shared_lock();
	struct shared_item *it = *shared_find(t, key);
	bool was = it != NULL, forever = was && it->expires_us == 0;
	now = shared_now_us(); // later than find()'s
	if (was && !forever)
		left = it->expires_us - sl_min(now, it->expires_us);
	if (was && set)
		shared_expire(t, it, ttl != 0 ? now + ttl : 0);
	shared_unlock();
	if (set)
		lua_pushboolean(L, was);
	else if (!was)
		lua_pushnil(L);
	else
		lua_pushnumber(L, forever ? -1.0 : (lua_Number)left / 1e6);
	return 1;
}

static size_t
check_bound(lua_State *L, int idx)
{
	lua_Integer max = luaL_optinteger(L, idx, 0);

	luaL_argcheck(L, max >= 0, idx, "bytes expected");
	if (max > (lua_Integer)SHARED_SUM)
		luaL_argerror(L, idx,
			lua_pushfstring(L, "more than the %d bytes that all tables have together",
				(int)SHARED_SUM));
	return (size_t)max;
}

/* shared:bound([bytes]): {items, bytes, max, refused, expired}; with an argument sets the limit. */
static int
l_shared_bound(lua_State *L)
{
	struct shared_table *t = check_table(L);
	size_t max = check_bound(L, 2);

	shared_lock();
	if (max > 0)
		t->max = max;
	struct {
		const char *name;
		lua_Integer v;
	} f[] = { { "items", (lua_Integer)t->items }, { "bytes", (lua_Integer)t->bytes },
		{ "max", (lua_Integer)t->max }, { "refused", (lua_Integer)t->refused },
		{ "expired", (lua_Integer)t->expired } };
	shared_unlock();
	lua_createtable(L, 0, 5);
	for (size_t i = 0; i < SL_ARRAY_SIZE(f); i++) {
		lua_pushinteger(L, f[i].v);
		lua_setfield(L, -2, f[i].name);
	}
	return 1;
}

/* core.shared(name[, bytes]): the limit counts when the table is new. */
static int
l_core_shared(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	size_t max = check_bound(L, 2);
	struct shared_table **ud;

	luaL_argcheck(L, strlen(name) < sizeof((*ud)->name), 1, "name is too long");
	ud = lua_newuserdata(L, sizeof(*ud));
	shared_lock();
	*ud = shared_open(name, max);
	shared_unlock();
	if (*ud == NULL)
		return luaL_error(L, "shared: more than %d tables, or no memory", SHARED_TABLES);
	luaL_setmetatable(L, SHARED);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, -2);
	lua_rawseti(L, -2, 0);
	lua_getfield(L, LUA_REGISTRYINDEX, API_SHARED);
	lua_setmetatable(L, -2);
	return 1;
}

/* ---- once ---- */

#define ONCE  "core.once"
#define CLAIM "sl.claim"

/*
 * Who runs fn says so under the key, and takes it back when it has the result, or when its call ends in any
 * other way: others never wait for somebody who is gone.
 */
struct claim {
	struct script_scoped scoped;
	struct shared_table *t;
	uint64_t id; // 0: taken back
	uint32_t len;
	char key[];
};

/* Under the lock: is this the item of that claim? */
static bool
is_of(const struct shared_item *it, uint64_t id)
{
	return it != NULL && it->v.type == VAL_BUSY && it->v.busy.id == id;
}

/* Under the lock: is somebody at it who may still come to an end? */
static bool
is_busy(const struct shared_item *it)
{
	return it != NULL && it->v.type == VAL_BUSY &&
		(it->v.busy.thread == NULL || !script_is_abandoned(it->v.busy.thread));
}

static void
take_back(struct claim *c)
{
	if (c->id == 0)
		return;
	shared_lock();
	struct shared_item **at = shared_find(c->t, sl_str_make(c->key, c->len));
	if (is_of(*at, c->id))
		shared_drop(c->t, at);
	shared_unlock();
	c->id = 0;
}

static void
on_call_end(struct script_scoped *s, bool clean sl_unused)
{
	take_back(sl_container_of(s, struct claim, scoped));
}

static int
claim_gc(lua_State *L)
{
	struct claim *c = luaL_checkudata(L, 1, CLAIM);

	script_scope_del(&c->scoped);
	take_back(c);
	return 0;
}

/* Pushes the claim; false, and nothing pushed: another was faster. */
static bool
claim(lua_State *L, struct shared_table *t, struct sl_str key)
{
	static uint64_t ids; // under the lock
	struct shared_val busy = { .type = VAL_BUSY, .busy = {
		.thread = script_here(L), .scope = script_scope(L) } };
	struct claim *c = lua_newuserdata(L, sizeof(*c) + key.len);
	bool ours, full = false;

	*c = (struct claim){ .scoped.end = on_call_end, .t = t, .len = key.len };
	if (key.len != 0)
		memcpy(c->key, key.p, key.len);
	luaL_setmetatable(L, CLAIM);
	shared_lock();
	struct shared_item **at = shared_find(t, key);
	ours = *at == NULL || ((*at)->v.type == VAL_BUSY && !is_busy(*at));
	if (ours) {
		busy.busy.id = ++ids;
		full = !shared_put(t, key, &busy, 0, false);
		c->id = full ? 0 : busy.busy.id;
	}
	shared_unlock();
	if (full)
		luaL_error(L, "once: too many keys");
	if (!ours) {
		lua_pop(L, 1);
		return false;
	}
	script_scope_add(L, &c->scoped);
	return true;
}

#define AT_CLAIM 4
#define AT_VALUE 5

/* Stack: 1 key, 2 fn, 3 the table of results, the claim, then fn's outcome. */
static int
once_done(lua_State *L, int status, lua_KContext ctx sl_unused)
{
	struct shared_table **t = luaL_checkudata(L, 3, SHARED);
	struct claim *c = luaL_checkudata(L, AT_CLAIM, CLAIM);
	struct sl_str key = api_check_str(L, 1);
	struct shared_val v = { .type = VAL_NONE };
	bool ok = (status == LUA_OK || status == LUA_YIELD) && lua_gettop(L) >= AT_VALUE;
	bool full = false;

	script_scope_del(&c->scoped);
	if (ok && !to_val(L, AT_VALUE, &v) && !lua_isnil(L, AT_VALUE))
		ok = false;
	if (ok && v.type == VAL_NONE)
		v = (struct shared_val){ .type = VAL_BOOL, .b = true };
	shared_lock();
	struct shared_item **at = shared_find(*t, key);
	bool ours = *at == NULL || is_of(*at, c->id);
	if (ours && *at != NULL)
		shared_drop(*t, at);
	if (ours && ok)
		full = !shared_put(*t, key, &v, 0, false);
	c->id = 0;
	shared_unlock();
	if (status != LUA_OK && status != LUA_YIELD)
		return lua_error(L); // fn's
	if (!ok)
		return luaL_error(L, "once: the result must be a string, number or boolean");
	if (full)
		return luaL_error(L, "once: no room for the result");
	struct owned *o = owner(L);
	if (v.type == VAL_STR) {
		lua_pushvalue(L, AT_VALUE);
		return 1;
	}
	return push_val(L, o, &v);
}

static int
once_try(lua_State *L, int status sl_unused, lua_KContext ctx sl_unused)
{
	struct shared_table **t = luaL_checkudata(L, 3, SHARED);
	struct sl_str key = api_check_str(L, 1);
	struct shared_val v = { .type = VAL_NONE };
	bool busy, own;

	lua_settop(L, 3);
	struct owned *o = owner(L);
	shared_lock();
	const struct shared_item *it = *shared_find(*t, key);
	busy = is_busy(it);
	own = busy && it->v.busy.scope == script_scope(L);
	if (it != NULL && it->v.type != VAL_BUSY)
		v = shared_copy(it);
	shared_unlock();
	if (v.type != VAL_NONE)
		return push_val(L, o, &v);
	lua_settop(L, 3);
	if (own) // nobody would ever come to an end
		return luaL_error(L, "once: '%s' is running here already", key.p);
	if (busy || !claim(L, *t, key))
		return script_wait(L, NULL, ONCE_POLL_MS, "once", once_try, 0);
	lua_pushvalue(L, 2);
	return once_done(L, lua_pcallk(L, 0, 1, 0, 0, once_done), 0);
}

/*
 * core.once(key, fn): fn() runs once in the process, whatever state asks first; its value (true for
 * nil) is everybody's. Who asks meanwhile waits. A fn that raises runs again for the next who asks.
 */
static int
l_core_once(lua_State *L)
{
	luaL_checkstring(L, 1);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	struct shared_table **ud = lua_newuserdata(L, sizeof(*ud));
	shared_lock();
	*ud = shared_open(ONCE, 0);
	shared_unlock();
	if (*ud == NULL)
		return luaL_error(L, "once: no memory");
	luaL_setmetatable(L, SHARED);
	return once_try(L, LUA_OK, 0);
}

static const luaL_Reg methods[] = {
	{ "get", l_shared_get },
	{ "set", l_shared_set },
	{ "add", l_shared_add },
	{ "incr", l_shared_incr },
	{ "cas", l_shared_cas },
	{ "delete", l_shared_delete },
	{ "ttl", l_shared_ttl },
	{ "bound", l_shared_bound },
	{ NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "shared", l_core_shared },
	{ "once", l_core_once },
	{ NULL, NULL },
};

static void
open_shared(lua_State *L)
{
	api_class(L, API_SHARED, "Shared", methods);
	luaL_newmetatable(L, SHARED);
	luaL_newmetatable(L, "sl.owned");
	lua_pushcfunction(L, owned_gc);
	lua_setfield(L, -2, "__gc");
	luaL_newmetatable(L, CLAIM);
	lua_pushcfunction(L, claim_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 4);
	api_core(L, functions);
}

SL_LUA_API({ "Shared", open_shared, "core.shared, core.once: what all states share" });
