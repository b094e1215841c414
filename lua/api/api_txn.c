// SPDX-License-Identifier: BSD-3-Clause
/*
 * The TXN object: private data, log, the objects f, sf, c, sc and http. Variables are in api_var.c.
 *
 * Runs on: script threads. Reads the slot's snapshot; writes take effect on the slot's copy at once
 * and on the transaction when the worker gets the slot back.
 * Follows: HAProxy 2.6, manual "TXN class".
 * Not here: Channel (txn.req, txn.res: api_channel.c).
 */
#include "lua/api/api.h"

#define PRIV     "sl.priv"     // by stream: the value
#define PRIV_GEN "sl.priv_gen" // by stream: whose it is

/* f, sf, c, sc, http: made when first used, then fields of the object. */
static bool
push_part(lua_State *L, const char *name)
{
	static const struct {
		const char *name, *key;
	} parts[] = {
		{ "f", API_F },
		{ "sf", API_SF },
		{ "c", API_C },
		{ "sc", API_SC },
		{ "http", API_HTTP },
		{ "req", API_CHANNEL },
		{ "res", API_CHANNEL_RES },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(parts); i++) {
		if (strcmp(parts[i].name, name) != 0)
			continue;
		const struct script_call *c = api_call(L, 1);
		if (strcmp(name, "http") == 0 &&
			(c->slot->view.req == NULL || c->slot->kind == 's'))
			return false; // mode tcp; services
		if (name[0] == 'r' && (c->slot->kind == 's' || c->slot->kind == 'S'))
			return false;
		lua_rawgeti(L, 1, 0);
		api_object(L, parts[i].key, -1);
		lua_pushvalue(L, 2);
		lua_pushvalue(L, -2);
		lua_rawset(L, 1);
		return true;
	}
	return false;
}

/* A method (upvalue 1: their table), or a part. */
static int
object_index(lua_State *L)
{
	lua_pushvalue(L, 2);
	if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
		return 1;
	if (lua_type(L, 2) != LUA_TSTRING || !push_part(L, lua_tostring(L, 2)))
		lua_pushnil(L);
	return 1;
}

void
api_call_class(lua_State *L, const char *key, const char *name, const luaL_Reg *methods)
{
	api_class(L, key, name, methods);
	lua_getfield(L, -1, "__index");
	lua_pushcclosure(L, object_index, 1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

static void
push_txn(lua_State *L, struct script_call *c)
{
	api_push_ud(L, c);
	api_object(L, API_TXN, -1);
	lua_replace(L, -2);
}

/* ---- private data: any Lua value, shared by all calls of a transaction in this state ---- */

/*
 * Streams are numbered per worker and their numbers used again: the generation tells whether a
 * value is of this transaction. What is stored lives until the number's next user stores something.
 */
static lua_Integer
priv_key(const struct call_slot *s)
{
	return (lua_Integer)s->worker << 32 | s->stream.idx;
}

int
api_set_priv(lua_State *L)
{
	api_nargs(L, 2, "set_priv");
	const struct script_call *c = api_call(L, 1);
	lua_Integer key = priv_key(c->slot);

	luaL_checkany(L, 2);
	lua_getfield(L, LUA_REGISTRYINDEX, PRIV_GEN);
	lua_pushinteger(L, c->slot->stream.gen);
	lua_rawseti(L, -2, key);
	lua_getfield(L, LUA_REGISTRYINDEX, PRIV);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, key);
	return 0;
}

int
api_get_priv(lua_State *L)
{
	api_nargs(L, 1, "get_priv");
	const struct script_call *c = api_call(L, 1);
	lua_Integer key = priv_key(c->slot);

	lua_getfield(L, LUA_REGISTRYINDEX, PRIV_GEN);
	lua_rawgeti(L, -1, key);
	if (lua_tointeger(L, -1) != (lua_Integer)c->slot->stream.gen) {
		lua_pushnil(L);
		return 1;
	}
	lua_getfield(L, LUA_REGISTRYINDEX, PRIV);
	lua_rawgeti(L, -1, key);
	return 1;
}

/* ---- log ---- */

static int
l_txn_log(lua_State *L)
{
	api_nargs(L, 3, "log");
	lua_Integer level = luaL_checkinteger(L, 2);
	struct sl_str msg = api_check_str(L, 3);

	api_call(L, 1);
	if (level < SL_EMERG || level >= SL_NR_LEVELS)
		return luaL_argerror(L, 1, "Invalid loglevel.");
	script_log(L, (enum sl_level)level, msg);
	return 0;
}

static int
say(lua_State *L, enum sl_level level, const char *name)
{
	api_nargs(L, 2, name);
	api_call(L, 1);
	script_log(L, level, api_check_str(L, 2));
	return 0;
}

static int
l_txn_deflog(lua_State *L)
{
	return say(L, SL_INFO, "deflog"); // HAProxy's level of requests
}

static int
l_txn_debug(lua_State *L)
{
	return say(L, SL_DEBUG, "Debug");
}

static int
l_txn_info(lua_State *L)
{
	return say(L, SL_INFO, "Info");
}

static int
l_txn_warning(lua_State *L)
{
	return say(L, SL_WARNING, "Warning");
}

static int
l_txn_alert(lua_State *L)
{
	return say(L, SL_ALERT, "Alert");
}

/* ---- the end ---- */

/* txn:done([reply]): an action ends the transaction, by the reply if there is one; elsewhere the call
 * just ends. */
static int
l_txn_done(lua_State *L)
{
	struct script_call *c = api_call(L, 1);

	if (c->slot->kind == 'a' && lua_istable(L, 2) && c->slot->view.req != NULL)
		api_take_reply(L, c->slot);
	if (c->slot->kind == 'a')
		c->slot->act = 6; // act.ABORT
	return script_done(L, c->slot->kind == 'a' ? SCRIPT_NO_VALUE : 0);
}

/* txn:set_loglevel(level): -1 no record, else the level of the request's record. */
static int
l_txn_set_loglevel(lua_State *L)
{
	api_nargs(L, 2, "set_loglevel");
	struct script_call *c = api_call(L, 1);
	lua_Integer level = luaL_checkinteger(L, 2);
	struct sample v = { .type = T_SINT, .i = level };

	if (level < -1 || level >= SL_NR_LEVELS)
		return luaL_argerror(L, 2, "Bad log level. It must be between 0 and 7");
	if (call_add_write(c->slot, CW_LOGLEVEL, VAR_TXN, SL_STR(""), &v) < 0)
		return luaL_error(L, "set_loglevel: no room");
	return 0;
}

static const luaL_Reg txn_methods[] = {
	{ "get_var", api_get_var },
	{ "set_var", api_set_var },
	{ "unset_var", api_unset_var },
	{ "get_priv", api_get_priv },
	{ "set_priv", api_set_priv },
	{ "log", l_txn_log },
	{ "deflog", l_txn_deflog },
	{ "Debug", l_txn_debug },
	{ "Info", l_txn_info },
	{ "Warning", l_txn_warning },
	{ "Alert", l_txn_alert },
	{ "reply", api_txn_reply },
	{ "done", l_txn_done },
	{ "set_loglevel", l_txn_set_loglevel },
	{ NULL, NULL },
};

static void
open_txn(lua_State *L)
{
	api_call_class(L, API_TXN, "TXN", txn_methods);
	lua_newtable(L);
	lua_setfield(L, LUA_REGISTRYINDEX, PRIV);
	lua_newtable(L);
	lua_setfield(L, LUA_REGISTRYINDEX, PRIV_GEN);
	script_set_txn(L, push_txn);
}

SL_LUA_API({ "TXN", open_txn, "the transaction: variables, private data, log" });
