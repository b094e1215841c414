/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to lua/api: objects, and the conversions between Lua values and samples.
 *
 * Objects are tables with a private userdata at [0] and the class's metatable, as in HAProxy;
 * scripts may add fields. The userdata names the call it was made for; used after that call, it
 * raises an error.
 */
#pragma once

#include <lauxlib.h>
#include <lua.h>

#include "control/script/script.h"

/* ---- classes ---- */
/*
 * Makes a class: metatable with __tostring "HAProxy class NAME" and an __index table filled from
 * `methods` (may be NULL). Leaves the metatable on the stack and the registry's field `key`.
 */
void api_class(lua_State *L, const char *key, const char *name, const luaL_Reg *methods);
/* Pushes a new object of the class `key` with the userdata at index ud. */
void api_object(lua_State *L, const char *key, int ud);
int l_core_tcp(lua_State *L); // api_socket.c
#define API_TXN  "sl.txn"
#define API_HTTP "sl.http"
#define API_F    "sl.f"
#define API_SF   "sl.sf"
#define API_C    "sl.c"
#define API_SC   "sl.sc"
#define API_CHANNEL     "sl.Channel"
#define API_CHANNEL_RES "sl.channel_res"
#define API_CONCAT "sl.Concat"
#define API_QUEUE  "sl.Queue"
#define API_REGEX  "sl.Regex"
#define API_MAP    "sl.Map"
#define API_REPLY  "sl.Reply"
#define API_SHARED "sl.Shared"
#define API_APPLET_HTTP "sl.AppletHTTP"
#define API_APPLET_TCP  "sl.AppletTCP"
/*
 * A class of objects of a call, as api_class(), but popped: besides their methods they have f, sf, c, sc,
 * http, made when first asked for.
 */
void api_call_class(lua_State *L, const char *key, const char *name, const luaL_Reg *methods);
/* Methods that TXN and the applets share. */
int api_get_var(lua_State *L);
int api_set_var(lua_State *L);
int api_unset_var(lua_State *L);
int api_get_priv(lua_State *L);
int api_set_priv(lua_State *L);
/* Zero-based lists of values by lower-case name; m may be NULL. */
int api_push_headers(lua_State *L, const struct http_msg *m);
/* Of services: what the client sends, and bytes to it (api_applet.c). */
int api_applet_receive(lua_State *L);
int api_applet_getline(lua_State *L);
int api_applet_send(lua_State *L);
/* Pushes the object of class `key` for a service's call. */
void api_push_applet(lua_State *L, struct script_call *c, const char *key);
/* txn:reply(); txn:done(reply): the table at index 2 goes into the slot. */
int api_txn_reply(lua_State *L);
void api_take_reply(lua_State *L, struct call_slot *s);
/* Adds functions to the table core, whatever file opens it first. */
void api_core(lua_State *L, const luaL_Reg *functions);
void api_nargs2(lua_State *L, int min, int max, const char *name);
/* The expression of the object Regex at index idx; raises. */
const struct regex *api_regex(lua_State *L, int idx);
/* Compiles one and leaves it on the stack: it lives as long as it is there. Raises. */
const struct regex *api_push_regex(lua_State *L, struct sl_str text, bool icase);
/* HAProxy's check of the number of arguments: "'name' needs n arguments". */
void api_nargs(lua_State *L, int n, const char *name);
/* Name of a fetch or converter as Lua sees it: '.', '-' and '+' become '_'. */
void api_push_name(lua_State *L, const char *name);
/* Pushes the userdata for a call. */
void api_push_ud(lua_State *L, struct script_call *c);
/* The call of the object at index idx; raises when it has ended or idx is no object. */
struct script_call *api_call(lua_State *L, int idx);

/* ---- values ---- */
struct sl_str api_check_str(lua_State *L, int idx);
/*
 * Pushes a sample: sint and bool as integer, text and binary as string, address as string, none as
 * nil. as_str: always a string, "" for none.
 */
void api_push_sample(lua_State *L, struct sample *s, struct arena *mem, bool as_str);
/*
 * A row that only the worker may run (WHERE_OWNER): asks, waits, and pushes the value as
 * api_push_sample(). args and v are copied into the slot, which is cut back to `mark` afterwards. To
 * be used as `return api_ask(…)`; the object of the call is at index 1.
 */
int api_ask(lua_State *L, struct script_call *c, enum call_ask ask, const void *row,
	const char *name, const struct arg *args, const struct sample *v, uint32_t mark, bool as_str);
/* Lua value to sample (compat: number to sint, boolean, string, everything else false). */
void api_to_sample(lua_State *L, int idx, struct sample *out);
/*
 * Lua arguments from index `first` up to the top as arguments of a row; out has EXPR_MAX_ARGS + 1
 * entries. Raises an error that names the method.
 */
void api_args(lua_State *L, int first, const char *name, const struct arg_spec *spec,
	struct arena *mem, struct arg *out);
