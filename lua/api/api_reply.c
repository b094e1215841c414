// SPDX-License-Identifier: BSD-3-Clause
/*
 * The class Reply: an answer that a script makes, for txn:done(reply).
 *
 * Runs on: script threads. A Reply is a table of plain fields (status, reason, headers, body), which
 * scripts may also set themselves; only done() looks at them.
 * Follows: HAProxy 2.6, manual "Reply class".
 */
#include "lua/api/api.h"

static void
check_reply(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
}

/* reply:set_status(code[, reason]) */
static int
l_reply_set_status(lua_State *L)
{
	check_reply(L);
	lua_Integer status = luaL_checkinteger(L, 2);

	luaL_argcheck(L, status >= 100 && status <= 599, 2, "HTTP status expected");
	lua_pushinteger(L, status);
	lua_setfield(L, 1, "status");
	lua_pushstring(L, luaL_optstring(L, 3, http_reason((uint16_t)status)));
	lua_setfield(L, 1, "reason");
	return 0;
}

/* Pushes headers[name] (argument 2); `make`: creates it. */
static bool
push_values(lua_State *L, bool make)
{
	if (lua_getfield(L, 1, "headers") != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setfield(L, 1, "headers");
	}
	lua_pushvalue(L, 2);
	if (lua_rawget(L, -2) == LUA_TTABLE)
		return true;
	if (!make)
		return false;
	lua_newtable(L);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, -2);
	lua_rawset(L, -5);
	return true;
}

static int
l_reply_add_header(lua_State *L)
{
	check_reply(L);
	luaL_checkstring(L, 2);
	luaL_checkstring(L, 3);
	push_values(L, true);
	lua_pushvalue(L, 3);
	lua_tostring(L, -1); // a number becomes its text
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	return 0;
}

static int
l_reply_del_header(lua_State *L)
{
	check_reply(L);
	luaL_checkstring(L, 2);
	push_values(L, false);
	lua_getfield(L, 1, "headers");
	lua_pushvalue(L, 2);
	lua_pushnil(L);
	lua_rawset(L, -3);
	return 0;
}

static int
l_reply_set_body(lua_State *L)
{
	check_reply(L);
	luaL_checkstring(L, 2);
	lua_pushvalue(L, 2);
	lua_setfield(L, 1, "body");
	return 0;
}

/* txn:reply([fields]): as HAProxy, what is of another type is left out here; done() checks. */
int
api_txn_reply(lua_State *L)
{
	lua_Integer status = 200;

	struct script_call *c = api_call(L, 1);
	if (c->slot->view.req == NULL)
		luaL_error(L, "txn object is not an HTTP transaction.");
	lua_settop(L, 2);
	if (!lua_istable(L, 2)) {
		lua_newtable(L);
		lua_replace(L, 2);
	}
	lua_newtable(L); // 3
	if (lua_getfield(L, 2, "status") == LUA_TNUMBER)
		status = lua_tointeger(L, -1);
	lua_pushinteger(L, status);
	lua_setfield(L, 3, "status");
	if (lua_getfield(L, 2, "reason") != LUA_TSTRING)
		lua_pushstring(L, http_reason((uint16_t)status));
	lua_setfield(L, 3, "reason");
	if (lua_getfield(L, 2, "headers") != LUA_TTABLE)
		lua_newtable(L);
	lua_setfield(L, 3, "headers");
	lua_getfield(L, 2, "body");
	lua_setfield(L, 3, "body");
	lua_settop(L, 3);
	lua_getfield(L, LUA_REGISTRYINDEX, API_REPLY);
	lua_setmetatable(L, 3);
	return 1;
}

/* ---- txn:done(reply): the table at index 2 goes into the slot ---- */

static struct sl_str
keep(lua_State *L, struct call_slot *s, struct sl_str text)
{
	struct sl_str out = call_str(s, text);

	if (out.p == NULL)
		luaL_error(L, "done: the reply does not fit in %d bytes", CALL_DATA);
	return out;
}

/* One field with all its values: a table, or a string. */
static void
keep_field(lua_State *L, struct call_slot *s, struct sl_str name)
{
	// the mux frames what is sent; HAProxy drops these too
	bool ours = sl_str_ieq(name, SL_STR("content-length")) ||
		sl_str_ieq(name, SL_STR("transfer-encoding"));
	int values = lua_gettop(L);

	if (ours)
		return;
	if (!http_is_token(name))
		luaL_error(L, "done: invalid name of a header");
	if (lua_type(L, values) != LUA_TTABLE) {
		lua_newtable(L);
		lua_pushvalue(L, values);
		lua_rawseti(L, -2, 1);
		values = lua_gettop(L);
	}
	for (lua_Integer i = lua_rawgeti(L, values, 0) != LUA_TNIL ? 0 : 1;; i++) {
		lua_rawgeti(L, values, i);
		if (lua_isnil(L, -1))
			return;
		struct sample v = { .type = T_STR, .s = api_check_str(L, -1) };
		if (!http_is_value(v.s))
			luaL_error(L, "done: invalid value of a header");
		if (call_add_write(s, CW_REPLY_HDR, VAR_TXN, name, &v) < 0)
			luaL_error(L, "done: the reply does not fit in %d bytes", CALL_DATA);
		lua_pop(L, 1);
	}
}

void
api_take_reply(lua_State *L, struct call_slot *s)
{
	lua_Integer status = 200;

	luaL_checktype(L, 2, LUA_TTABLE);
	if (lua_getfield(L, 2, "status") != LUA_TNIL)
		status = luaL_checkinteger(L, -1);
	if (status < 200 || status > 599)
		luaL_error(L, "done: the status of a reply is from 200 to 599");
	s->reply_reason = SL_STR("");
	if (lua_getfield(L, 2, "reason") == LUA_TSTRING && http_is_value(api_check_str(L, -1)))
		s->reply_reason = keep(L, s, api_check_str(L, -1));
	if (lua_getfield(L, 2, "headers") == LUA_TTABLE) {
		int headers = lua_gettop(L);
		lua_pushnil(L);
		while (lua_next(L, headers) != 0) {
			int top = lua_gettop(L);
			lua_pushvalue(L, -2); // a number must not be changed in place
			struct sl_str name = keep(L, s, api_check_str(L, -1));
			lua_pop(L, 1);
			keep_field(L, s, name);
			lua_settop(L, top - 1);
		}
	}
	s->reply_body = SL_STR("");
	if (lua_getfield(L, 2, "body") == LUA_TSTRING)
		s->reply_body = keep(L, s, api_check_str(L, -1));
	s->reply_status = (uint16_t)status;
}

static const luaL_Reg methods[] = {
	{ "set_status", l_reply_set_status },
	{ "add_header", l_reply_add_header },
	{ "del_header", l_reply_del_header },
	{ "set_body", l_reply_set_body },
	{ NULL, NULL },
};

static void
open_reply(lua_State *L)
{
	api_class(L, API_REPLY, "Reply", methods);
	lua_pop(L, 1);
}

SL_LUA_API({ "Reply", open_reply, "answers of scripts" });
