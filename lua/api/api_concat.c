// SPDX-License-Identifier: BSD-3-Clause
/*
 * core.concat() and core.queue().
 *
 * Runs on: script threads, and the loader.
 * Follows: HAProxy: a Concat joins strings without making each intermediate one; a Queue (HAProxy
 * 2.8) is a FIFO of any values but nil within one state.
 */
#include "lua/api/api.h"

/* ---- Concat: the userdata itself is the buffer's head ---- */

#define CONCAT "sl.concat"

struct concat {
	char *p;
	size_t len, cap;
};

static struct concat *
check_concat(lua_State *L)
{
	struct concat *c = NULL;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_rawgeti(L, 1, 0);
	c = luaL_testudata(L, -1, CONCAT);
	lua_pop(L, 1);
	if (c == NULL)
		luaL_argerror(L, 1, "Concat expected");
	return c;
}

static int
concat_gc(lua_State *L)
{
	struct concat *c = luaL_checkudata(L, 1, CONCAT);
	void *ud;
	lua_Alloc alloc = lua_getallocf(L, &ud);

	alloc(ud, c->p, c->cap, 0);
	*c = (struct concat){ 0 };
	return 0;
}

/* Through Lua's allocator: the memory counts for tune.lua.maxmem. */
static void
concat_room(lua_State *L, struct concat *c, size_t more)
{
	void *ud;
	lua_Alloc alloc = lua_getallocf(L, &ud);
	size_t cap = c->cap != 0 ? c->cap : 256;
	char *p;

	while (cap - c->len < more) {
		if (cap > SIZE_MAX / 4)
			luaL_error(L, "out of memory");
		cap *= 2;
	}
	if (cap == c->cap)
		return;
	p = alloc(ud, c->p, c->cap, cap);
	if (p == NULL) {
		lua_gc(L, LUA_GCCOLLECT, 0);
		p = alloc(ud, c->p, c->cap, cap);
	}
	if (p == NULL)
		luaL_error(L, "out of memory");
	c->p = p;
	c->cap = cap;
}

static int
l_concat_add(lua_State *L)
{
	struct concat *c = check_concat(L);
	size_t len;
	const char *s = luaL_checklstring(L, 2, &len);

	concat_room(L, c, len);
	if (len != 0)
		memcpy(c->p + c->len, s, len);
	c->len += len;
	return 0;
}

static int
l_concat_dump(lua_State *L)
{
	const struct concat *c = check_concat(L);

	lua_pushlstring(L, c->len != 0 ? c->p : "", c->len);
	return 1;
}

static int
l_core_concat(lua_State *L)
{
	struct concat *c = lua_newuserdata(L, sizeof(*c));

	*c = (struct concat){ 0 };
	luaL_setmetatable(L, CONCAT);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, -2);
	lua_rawseti(L, -2, 0);
	lua_getfield(L, LUA_REGISTRYINDEX, API_CONCAT);
	lua_setmetatable(L, -2);
	return 1;
}

/* ---- Queue: values at first .. last - 1 of a plain table ---- */

#define QUEUE_FIRST 1
#define QUEUE_LAST  2
#define QUEUE_ITEMS 3
#define QUEUE_WAITERS 4

static void
check_queue(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_rawgeti(L, 1, 0);
	if (!lua_istable(L, -1) || !lua_getmetatable(L, 1) ||
		lua_getfield(L, LUA_REGISTRYINDEX, API_QUEUE) != LUA_TTABLE ||
		!lua_rawequal(L, -1, -2))
		luaL_argerror(L, 1, "Queue expected");
	lua_pop(L, 2);
}

static lua_Integer
queue_at(lua_State *L, int which)
{
	lua_rawgeti(L, -1, which);
	lua_Integer n = lua_tointeger(L, -1);
	lua_pop(L, 1);
	return n;
}

static void
queue_set(lua_State *L, int which, lua_Integer n)
{
	lua_pushinteger(L, n);
	lua_rawseti(L, -2, which);
}

static int
l_queue_size(lua_State *L)
{
	check_queue(L);
	lua_pushinteger(L, queue_at(L, QUEUE_LAST) - queue_at(L, QUEUE_FIRST));
	return 1;
}

/* Wakes all who wait: one of them gets the value, the others wait again. The state is on the top. */
static void
queue_wake(lua_State *L)
{
	lua_rawgeti(L, -1, QUEUE_WAITERS);
	for (lua_Integer n = (lua_Integer)lua_rawlen(L, -1); n > 0; n--) {
		lua_rawgeti(L, -1, n);
		script_wake(lua_touserdata(L, -1));
		lua_pop(L, 1);
		lua_pushnil(L);
		lua_rawseti(L, -2, n);
	}
	lua_pop(L, 1);
}

static int
l_queue_push(lua_State *L)
{
	luaL_checkany(L, 2);
	luaL_argcheck(L, !lua_isnil(L, 2), 2, "unexpected nil argument");
	check_queue(L);
	lua_Integer last = queue_at(L, QUEUE_LAST);
	lua_rawgeti(L, -1, QUEUE_ITEMS);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, last);
	lua_pop(L, 1);
	queue_set(L, QUEUE_LAST, last + 1);
	queue_wake(L);
	lua_pushboolean(L, true);
	return 1;
}

/* Pops onto the stack; false: empty, nothing pushed. The queue's state is on the top. */
static bool
queue_take(lua_State *L)
{
	lua_Integer first = queue_at(L, QUEUE_FIRST);

	if (first == queue_at(L, QUEUE_LAST))
		return false;
	queue_set(L, QUEUE_FIRST, first + 1);
	lua_rawgeti(L, -1, QUEUE_ITEMS);
	lua_rawgeti(L, -1, first);
	lua_pushnil(L);
	lua_rawseti(L, -3, first);
	return true;
}

static int
l_queue_pop(lua_State *L)
{
	check_queue(L);
	if (!queue_take(L))
		lua_pushnil(L);
	return 1;
}

/* Stack: 1 the queue, 2 the wait. */
static int
queue_wait_k(lua_State *L, int status sl_unused, lua_KContext ctx sl_unused)
{
	lua_settop(L, 2);
	check_queue(L);
	if (queue_take(L))
		return 1;
	lua_rawgeti(L, -1, QUEUE_WAITERS);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	lua_settop(L, 2);
	return script_wait(
		L, lua_touserdata(L, 2), SCRIPT_FOREVER, "pop_wait", queue_wait_k, 0);
}

/* HAProxy allows it in tasks only; here everywhere that waits. */
static int
l_queue_pop_wait(lua_State *L)
{
	script_check_wait(L, "pop_wait");
	lua_settop(L, 1);
	struct script_wait *w = lua_newuserdata(L, sizeof(*w));
	*w = (struct script_wait){ 0 };
	return queue_wait_k(L, LUA_OK, 0);
}

static int
l_core_queue(lua_State *L)
{
	lua_createtable(L, 1, 0);
	lua_createtable(L, 4, 0);
	queue_set(L, QUEUE_FIRST, 1);
	queue_set(L, QUEUE_LAST, 1);
	lua_newtable(L);
	lua_rawseti(L, -2, QUEUE_ITEMS);
	lua_newtable(L);
	lua_rawseti(L, -2, QUEUE_WAITERS);
	lua_rawseti(L, -2, 0);
	lua_getfield(L, LUA_REGISTRYINDEX, API_QUEUE);
	lua_setmetatable(L, -2);
	return 1;
}

static const luaL_Reg concat_methods[] = {
	{ "add", l_concat_add },
	{ "dump", l_concat_dump },
	{ NULL, NULL },
};

static const luaL_Reg queue_methods[] = {
	{ "size", l_queue_size },
	{ "push", l_queue_push },
	{ "pop", l_queue_pop },
	{ "pop_wait", l_queue_pop_wait },
	{ NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "concat", l_core_concat },
	{ "queue", l_core_queue },
	{ NULL, NULL },
};

static void
open_concat(lua_State *L)
{
	api_class(L, API_CONCAT, "Concat", concat_methods);
	lua_pushliteral(L, "Concat object"); // HAProxy has no __tostring here
	lua_setfield(L, -2, "__name");
	lua_pushnil(L);
	lua_setfield(L, -2, "__tostring");
	api_class(L, API_QUEUE, "Queue", queue_methods);
	luaL_newmetatable(L, CONCAT);
	lua_pushcfunction(L, concat_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 3);
	api_core(L, functions);
}

SL_LUA_API({ "Concat", open_concat, "core.concat, core.queue: joining strings, a FIFO" });
