// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the applets of services share: reading what the client sends, and sending to it.
 *
 * Runs on: script threads. Every piece is a question to the worker (call.h): the coroutine waits until
 * the client has sent some, or has room. What was received and not asked for yet stays with the object,
 * as the private value of its userdata: one piece at most.
 * Follows: HAProxy 2.6, "AppletHTTP class" and "AppletTCP class": getline() and receive() give "" at the
 * end.
 */
#include "lua/api/api.h"

#define PIECE    16384u // bytes per question
#define KEEP     512u   // of the slot, for variables that the script sets meanwhile
#define AGAIN_MS 2      // until the worker may have buffers again

/* Stack of a call that waits: 1 the applet, 2 the argument, 3 pieces. */
enum { AT_SELF = 1, AT_ARG, AT_PIECES };

/* The memory of an answer or a question goes back to the slot. Raises what went wrong. */
static void
told(lua_State *L, struct call_slot *s)
{
	s->used = s->ask_mark;
	switch (s->ask_rc) {
	case 0:
		return;
	case -ECANCELED:
	case -EPIPE:
		luaL_error(L, "the client has gone");
		break;
	case -EMSGSIZE:
		luaL_error(L, "'send' more bytes than the field content-length has announced");
		break;
	default:
		luaL_error(L, "no room for what the client sent");
	}
}

/* ---- receiving ---- */

/* Pushes what is left of the last piece; "" or nil: nothing. */
static struct sl_str
push_rest(lua_State *L)
{
	size_t len = 0;

	lua_rawgeti(L, AT_SELF, 0);
	lua_getuservalue(L, -1);
	lua_remove(L, -2);
	const char *p = lua_tolstring(L, -1, &len);
	return sl_str_make(p, len);
}

/* Pops it. */
static void
set_rest(lua_State *L)
{
	lua_rawgeti(L, AT_SELF, 0);
	lua_insert(L, -2);
	lua_setuservalue(L, -2);
	lua_pop(L, 1);
}

/* The first n bytes of the rest, which is on top, go behind the pieces. Pops it. */
static void
take(lua_State *L, struct sl_str rest, uint32_t n)
{
	lua_pushlstring(L, rest.p, n);
	lua_rawseti(L, AT_PIECES, (lua_Integer)lua_rawlen(L, AT_PIECES) + 1);
	lua_pushlstring(L, rest.p + n, rest.len - n);
	set_rest(L);
	lua_pop(L, 1);
}

static int
give(lua_State *L)
{
	lua_Integer n = (lua_Integer)lua_rawlen(L, AT_PIECES);
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(L, AT_PIECES, i);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	return 1;
}

static int
ask_more(lua_State *L, struct script_call *c, const char *what, script_k k, intptr_t ctx)
{
	struct call_slot *s = c->slot;
	uint32_t room = call_room(s);

	if (room <= KEEP)
		return luaL_error(L, "%s: no room in the call's slot", what);
	s->ask_mark = s->used;
	s->ask_max = sl_min(room - KEEP, PIECE);
	return script_ask(L, c, CALL_ASK_RECV, what, k, ctx);
}

/* After the answer: true, a piece is there or the end was told; false: it is to be asked again. */
static bool
got_piece(lua_State *L, struct call_slot *s)
{
	if (s->ask_rc == -EAGAIN) {
		s->used = s->ask_mark;
		return false;
	}
	told(L, s);
	if (s->ask_value.s.len == 0) {
		s->svc_eof = true;
		return true;
	}
	lua_pushlstring(L, s->ask_value.s.p, s->ask_value.s.len);
	set_rest(L);
	return true;
}

static int receive_go(lua_State *L, struct script_call *c, uint64_t have);

static int
receive_again(lua_State *L, int status sl_unused, intptr_t ctx)
{
	return receive_go(L, api_call(L, AT_SELF), (uint64_t)ctx);
}

static int
receive_told(lua_State *L, int status sl_unused, intptr_t ctx)
{
	struct script_call *c = api_call(L, AT_SELF);

	if (!got_piece(L, c->slot))
		return script_wait(L, NULL, AGAIN_MS, "receive", receive_again, ctx);
	return receive_go(L, c, (uint64_t)ctx);
}

/* have: bytes in the pieces. */
static int
receive_go(lua_State *L, struct script_call *c, uint64_t have)
{
	lua_Integer want = lua_tointeger(L, AT_ARG);
	struct sl_str rest = push_rest(L);
	uint32_t n = rest.len;

	if (want >= 0)
		n = (uint32_t)sl_min((uint64_t)n, (uint64_t)want - have);
	if (n > 0)
		take(L, rest, n);
	else
		lua_pop(L, 1);
	have += n;
	if ((want >= 0 && have == (uint64_t)want) || c->slot->svc_eof)
		return give(L);
	return ask_more(L, c, "receive", receive_told, (intptr_t)have);
}

/* applet:receive([size]): so many bytes, less at the end; without: until the end. */
int
api_applet_receive(lua_State *L)
{
	api_nargs2(L, 1, 2, "receive");
	struct script_call *c = api_call(L, AT_SELF);
	lua_Integer want = luaL_optinteger(L, AT_ARG, -1);

	lua_settop(L, AT_SELF);
	lua_pushinteger(L, want);
	lua_newtable(L);
	return receive_go(L, c, 0);
}

static int getline_go(lua_State *L, struct script_call *c);

static int
getline_again(lua_State *L, int status sl_unused, intptr_t ctx sl_unused)
{
	return getline_go(L, api_call(L, AT_SELF));
}

static int
getline_told(lua_State *L, int status sl_unused, intptr_t ctx sl_unused)
{
	struct script_call *c = api_call(L, AT_SELF);

	if (!got_piece(L, c->slot))
		return script_wait(L, NULL, AGAIN_MS, "getline", getline_again, 0);
	return getline_go(L, c);
}

static int
getline_go(lua_State *L, struct script_call *c)
{
	struct sl_str rest = push_rest(L);
	int at = rest.len > 0 ? sl_str_chr(rest, '\n') : -1;

	if (rest.len > 0)
		take(L, rest, at >= 0 ? (uint32_t)at + 1 : rest.len);
	else
		lua_pop(L, 1);
	if (at >= 0 || c->slot->svc_eof)
		return give(L);
	return ask_more(L, c, "getline", getline_told, 0);
}

/* applet:getline(): a line with its end; the last may have none. */
int
api_applet_getline(lua_State *L)
{
	struct script_call *c = api_call(L, AT_SELF);

	lua_settop(L, AT_SELF);
	lua_pushnil(L);
	lua_newtable(L);
	return getline_go(L, c);
}

/* ---- sending ---- */

static int send_go(lua_State *L, struct script_call *c, uint64_t at);

static int
send_again(lua_State *L, int status sl_unused, intptr_t ctx)
{
	return send_go(L, api_call(L, AT_SELF), (uint64_t)ctx);
}

static int
send_told(lua_State *L, int status sl_unused, intptr_t ctx)
{
	struct script_call *c = api_call(L, AT_SELF);
	struct call_slot *s = c->slot;

	if (s->ask_rc == -EAGAIN) {
		s->used = s->ask_mark;
		return script_wait(L, NULL, AGAIN_MS, "send", send_again, ctx);
	}
	told(L, s);
	return send_go(L, c, (uint64_t)ctx + s->ask_value.s.len);
}

static int
send_go(lua_State *L, struct script_call *c, uint64_t at)
{
	struct sl_str text = api_check_str(L, AT_ARG);
	struct call_slot *s = c->slot;
	uint32_t room = call_room(s), n;

	if (at == text.len) {
		lua_pushinteger(L, (lua_Integer)at);
		return 1;
	}
	if (room <= KEEP)
		return luaL_error(L, "send: no room in the call's slot");
	n = sl_min(text.len - (uint32_t)at, room - KEEP);
	n = sl_min(n, PIECE);
	s->ask_mark = s->used;
	s->ask_value.type = T_STR;
	s->ask_value.s = call_str(s, sl_str_make(text.p + at, n));
	return script_ask(L, c, CALL_ASK_SEND, "send", send_told, (intptr_t)at);
}

/* applet:send(text): waits until the client has room; the number of bytes. */
int
api_applet_send(lua_State *L)
{
	struct script_call *c = api_call(L, AT_SELF);

	if (c->slot->kind == 's' && !c->slot->svc_started)
		return luaL_error(
			L, "Lua: 'send' you must call start_response() before sending data.");
	api_nargs(L, 2, "send");
	api_check_str(L, AT_ARG); // a number becomes its text
	return send_go(L, c, 0);
}

/* ---- objects ---- */

void
api_push_applet(lua_State *L, struct script_call *c, const char *key)
{
	api_push_ud(L, c);
	api_object(L, key, -1);
	lua_replace(L, -2);
}
