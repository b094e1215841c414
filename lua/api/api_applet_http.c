// SPDX-License-Identifier: BSD-3-Clause
/*
 * AppletHTTP, the object of a service of mode http: the request as it was when the service began, and
 * the head of its answer.
 *
 * Runs on: script threads.
 * Follows: HAProxy 2.6, "AppletHTTP class". The fields of the answer stand in applet.response, as there:
 * lists of values by name. What HAProxy sends though it is no HTTP is refused: names and values with
 * line ends, 1xx as the final answer.
 */
#include "lua/api/api.h"

#define STATUS "sl_status"
#define REASON "sl_reason"

/* ---- the request ---- */

static void
set_text(lua_State *L, const char *field, struct sl_str text)
{
	lua_pushlstring(L, text.len != 0 ? text.p : "", text.len);
	lua_setfield(L, -2, field);
}

static void
push_http(lua_State *L, struct script_call *c)
{
	const struct http_msg *m = c->slot->view.req;
	bool length = m->framing == HTTP_BODY_LENGTH;

	api_push_applet(L, c, API_APPLET_HTTP);
	set_text(L, "method", http_str(m, m->method));
	set_text(L, "version",
		(m->flags & HTTP_F_10) != 0 ? SL_STR("HTTP/1.0") : SL_STR("HTTP/1.1"));
	set_text(L, "path", http_path_only(m));
	set_text(L, "qs", http_query(m));
	lua_pushinteger(L, length ? (lua_Integer)m->content_length : 0);
	lua_setfield(L, -2, "length");
	api_push_headers(L, m);
	lua_setfield(L, -2, "headers");
	lua_newtable(L);
	lua_setfield(L, -2, "response");
}

static void
push_applet(lua_State *L, struct script_call *c)
{
	if (c->slot->kind == 's')
		push_http(L, c);
	else
		api_push_applet(L, c, API_APPLET_TCP);
}

/* ---- the answer's head ---- */

/* applet:set_status(code [, reason]): false, if there is no such code. */
static int
l_set_status(lua_State *L)
{
	lua_Integer code = luaL_checkinteger(L, 2);
	const char *reason = luaL_optstring(L, 3, NULL);
	bool ok = code >= 100 && code <= 599;

	api_call(L, 1);
	if (ok) {
		lua_pushliteral(L, STATUS);
		lua_pushinteger(L, code);
		lua_rawset(L, 1);
		lua_pushliteral(L, REASON);
		lua_pushstring(L, reason != NULL ? reason : http_reason((uint16_t)code));
		lua_rawset(L, 1);
	}
	lua_pushboolean(L, ok);
	return 1;
}

/* Pushes applet.response. */
static void
push_response(lua_State *L)
{
	if (lua_getfield(L, 1, "response") != LUA_TTABLE)
		luaL_error(L,
			"AppletHTTP internal error: AppletHTTP['response'] is expected as an array."
			" %s found",
			luaL_typename(L, -1));
}

static int
l_add_header(lua_State *L)
{
	lua_Integer at = 0;

	luaL_checkstring(L, 2);
	luaL_checkstring(L, 3);
	api_call(L, 1);
	push_response(L);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, -2) != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, 2);
		lua_pushvalue(L, -2);
		lua_rawset(L, -4);
	}
	while (lua_rawgeti(L, -1, at) != LUA_TNIL) {
		lua_pop(L, 1);
		at++;
	}
	lua_pop(L, 1);
	lua_pushvalue(L, 3);
	lua_rawseti(L, -2, at);
	return 0;
}

/* What is told of the body's end: the length, if there is one. True: not a field to be sent as it is. */
static bool
frames(lua_State *L, struct call_slot *s, struct sl_str name, struct sl_str value)
{
	uint64_t n;

	if (sl_str_ieq(name, SL_STR("transfer-encoding"))) {
		if (!sl_str_ieq(value, SL_STR("chunked")))
			luaL_error(L, "'transfer-encoding' of an answer can only be 'chunked'");
		return true;
	}
	if (!sl_str_ieq(name, SL_STR("content-length")))
		return false;
	if (sl_str_u64(value, &n) < 0 || n > INT64_MAX ||
		(s->body_len != CALL_NO_LEN && s->body_len != n))
		luaL_error(L, "Invalid 'content-length' header.");
	if (s->body_len == n)
		return true; // once is enough
	s->body_len = n;
	return false;
}

static void
add_write(lua_State *L, struct call_slot *s, struct sl_str name, struct sl_str value)
{
	struct sample v = { .type = T_STR, .s = value };

	if (!http_is_token(name))
		luaL_error(L, "invalid name of a header: '%s'", name.p);
	if (!http_is_value(value))
		luaL_error(L, "invalid value of the header '%s'", name.p);
	if (!frames(L, s, name, value) && call_add_write(s, CW_REPLY_HDR, VAR_TXN, name, &v) < 0)
		luaL_error(L, "start_response: the head does not fit in the call's slot");
}

/* The values on top, by index from 0 or 1 on. */
static void
add_values(lua_State *L, struct call_slot *s, struct sl_str name)
{
	int values = lua_gettop(L);

	if (lua_type(L, values) != LUA_TTABLE)
		luaL_error(L,
			"Lua applet http: AppletHTTP['response']['%s'] is expected as an array."
			" %s found",
			name.p, luaL_typename(L, values));
	for (lua_Integer i = lua_rawgeti(L, values, 0) != LUA_TNIL ? 0 : 1;; i++) {
		lua_settop(L, values);
		if (lua_rawgeti(L, values, i) == LUA_TNIL)
			break;
		add_write(L, s, name, api_check_str(L, -1));
	}
	lua_settop(L, values);
}

static void
add_fields(lua_State *L, struct call_slot *s)
{
	push_response(L);
	int fields = lua_gettop(L);

	s->body_len = CALL_NO_LEN;
	lua_pushnil(L);
	while (lua_next(L, fields) != 0) {
		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L,
				"Lua applet http: AppletHTTP['response'] key must be a string. %s"
				" found",
				luaL_typename(L, -2));
		add_values(L, s, api_check_str(L, -2));
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void
add_status(lua_State *L, struct call_slot *s)
{
	lua_Integer status = 200;
	struct sl_str reason = SL_STR("OK");

	if (lua_getfield(L, 1, STATUS) == LUA_TNUMBER)
		status = lua_tointeger(L, -1);
	if (lua_getfield(L, 1, REASON) == LUA_TSTRING)
		reason = api_check_str(L, -1);
	if (status < 200)
		luaL_error(L, "%d is no status of a final answer", (int)status);
	if (!http_is_value(reason))
		luaL_error(L, "invalid reason of the status %d", (int)status);
	s->reply_status = (uint16_t)status;
	s->reply_reason = call_str(s, reason);
	if (s->reply_reason.p == NULL)
		luaL_error(L, "start_response: the head does not fit in the call's slot");
	lua_pop(L, 2);
}

static int
started(lua_State *L, int status sl_unused, intptr_t ctx sl_unused)
{
	struct call_slot *s = api_call(L, 1)->slot;

	s->used = s->ask_mark;
	if (s->ask_rc == -ECANCELED)
		return luaL_error(L, "the client has gone");
	if (s->ask_rc < 0)
		return luaL_error(L, "start_response: the head is too large, or no HTTP");
	return 0;
}

static int
l_start_response(lua_State *L)
{
	api_nargs(L, 1, "start_response");
	struct script_call *c = api_call(L, 1);
	struct call_slot *s = c->slot;

	if (s->svc_started)
		return luaL_error(L, "start_response() was called before");
	s->ask_mark = s->used;
	add_status(L, s);
	add_fields(L, s);
	s->svc_started = true;
	return script_ask(L, c, CALL_ASK_HEAD, "start_response", started, 0);
}

static const luaL_Reg methods[] = {
	{ "set_status", l_set_status },
	{ "add_header", l_add_header },
	{ "start_response", l_start_response },
	{ "getline", api_applet_getline },
	{ "receive", api_applet_receive },
	{ "send", api_applet_send },
	{ "get_var", api_get_var },
	{ "set_var", api_set_var },
	{ "unset_var", api_unset_var },
	{ "get_priv", api_get_priv },
	{ "set_priv", api_set_priv },
	{ NULL, NULL },
};

static void
open_applet_http(lua_State *L)
{
	api_call_class(L, API_APPLET_HTTP, "AppletHTTP", methods);
	script_set_applet(L, push_applet);
}

SL_LUA_API({ "AppletHTTP", open_applet_http, "a service's client, mode http" });
