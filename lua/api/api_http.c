// SPDX-License-Identifier: BSD-3-Clause
/*
 * txn.http: reading and editing the head of the request or response.
 *
 * Runs on: script threads. An edit is made on the slot's copy (so the script reads what it wrote)
 * and noted in the list that the worker applies in order.
 * Follows: HAProxy: header tables are zero-based with lower-case names; request setters raise outside
 * of request rules, response setters outside of response rules.
 */
#include "dataplane/expr/regex.h"

#include "lua/api/api.h"

/* The message to edit; raises where there is none. */
static struct http_msg *
check_msg(lua_State *L, struct script_call *c, bool res)
{
	struct call_slot *s = c->slot;
	bool at_res = s->point == EVAL_HTTP_RES || s->point == EVAL_HTTP_AFTER;

	if (res != at_res || (res ? s->view.res : s->view.req) == NULL)
		luaL_error(L,
			res ? "no response to edit at this point"
			    : "no request to edit at this point");
	return res ? &s->res : &s->req;
}

/* ---- reading ---- */

static void
push_lower(lua_State *L, struct sl_str s)
{
	luaL_Buffer b;
	char *p = luaL_buffinitsize(L, &b, s.len);

	for (uint32_t i = 0; i < s.len; i++)
		p[i] = sl_lower(s.p[i]);
	luaL_pushresultsize(&b, s.len);
}

int
api_push_headers(lua_State *L, const struct http_msg *m)
{
	lua_createtable(L, 0, m != NULL ? m->nhdr : 0);
	for (uint16_t i = 0; m != NULL && i < m->nhdr; i++) {
		struct sl_str value = http_str(m, m->hdr[i].value);
		push_lower(L, http_str(m, m->hdr[i].name));
		lua_pushvalue(L, -1);
		if (lua_rawget(L, -3) != LUA_TTABLE) {
			lua_pop(L, 1);
			lua_createtable(L, 0, 1);
			lua_pushvalue(L, -2);
			lua_pushvalue(L, -2);
			lua_rawset(L, -5);
			lua_pushlstring(L, value.len != 0 ? value.p : "", value.len);
			lua_rawseti(L, -2, 0);
		} else {
			// [0] is not counted by rawlen: the border of 1.. is the last index
			lua_pushlstring(L, value.len != 0 ? value.p : "", value.len);
			lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
		}
		lua_pop(L, 2);
	}
	return 1;
}

static int
l_http_req_get_headers(lua_State *L)
{
	api_nargs(L, 1, "req_get_headers");
	return api_push_headers(L, api_call(L, 1)->slot->view.req);
}

static int
l_http_res_get_headers(lua_State *L)
{
	api_nargs(L, 1, "res_get_headers");
	return api_push_headers(L, api_call(L, 1)->slot->view.res);
}

/* ---- editing ---- */

/* Notes an edit that succeeded on the copy; pushes HAProxy's boolean for the request line. */
static int
note(lua_State *L, struct script_call *c, int rc, enum call_write_op op, struct sl_str name,
	const struct sample *value)
{
	if (rc >= 0 && call_add_write(c->slot, op, VAR_TXN, name, value) < 0)
		return luaL_error(L, "no room for another edit");
	lua_pushboolean(L, rc >= 0);
	return 1;
}

static struct sample
text(struct sl_str s)
{
	return (struct sample){ .type = T_STR, .s = s };
}

static int
add_header(lua_State *L, bool res)
{
	api_nargs(L, 3, res ? "res_add_hdr" : "req_add_hdr");
	struct script_call *c = api_call(L, 1);
	struct sl_str name = api_check_str(L, 2);
	struct sample v = text(api_check_str(L, 3));
	struct http_msg *m = check_msg(L, c, res);

	note(L, c, http_hdr_add(m, name, v.s), res ? CW_RES_ADD_HDR : CW_REQ_ADD_HDR, name, &v);
	return 0; // as HAProxy
}

static int
set_header(lua_State *L, bool res)
{
	api_nargs(L, 3, res ? "res_set_hdr" : "req_set_hdr");
	struct script_call *c = api_call(L, 1);
	struct sl_str name = api_check_str(L, 2);
	struct sample v = text(api_check_str(L, 3));
	struct http_msg *m = check_msg(L, c, res);

	note(L, c, http_hdr_set(m, name, v.s), res ? CW_RES_SET_HDR : CW_REQ_SET_HDR, name, &v);
	return 0;
}

static int
del_header(lua_State *L, bool res)
{
	api_nargs(L, 2, res ? "res_del_hdr" : "req_del_hdr");
	struct script_call *c = api_call(L, 1);
	struct sl_str name = api_check_str(L, 2);
	struct http_msg *m = check_msg(L, c, res);

	http_hdr_del(m, name);
	note(L, c, 0, res ? CW_RES_DEL_HDR : CW_REQ_DEL_HDR, name, NULL);
	return 0;
}

static int
l_http_req_add_header(lua_State *L)
{
	return add_header(L, false);
}

static int
l_http_res_add_header(lua_State *L)
{
	return add_header(L, true);
}

static int
l_http_req_set_header(lua_State *L)
{
	return set_header(L, false);
}

static int
l_http_res_set_header(lua_State *L)
{
	return set_header(L, true);
}

static int
l_http_req_del_header(lua_State *L)
{
	return del_header(L, false);
}

static int
l_http_res_del_header(lua_State *L)
{
	return del_header(L, true);
}

/* ---- replacing by regular expressions ---- */

#define REP_MAX 16384u // HAProxy's buffer

/* The regex of the running call; freed by Lua. Argument 3 is its text. */
static const struct regex *
check_regex(lua_State *L, int idx)
{
	lua_getglobal(L, "Regex");
	lua_getfield(L, -1, "new");
	lua_pushvalue(L, idx);
	lua_pushboolean(L, true);
	lua_call(L, 2, 2);
	if (!lua_toboolean(L, -2))
		luaL_argerror(L, idx, "invalid regex"); // HAProxy's words
	return api_regex(L, -1);
}

/* The whole value becomes `with`, if the pattern is found in it. False: it stays. */
static bool
expand(lua_State *L, luaL_Buffer *b, const struct regex *re, struct sl_str value, struct sl_str with)
{
	struct regex_match m;
	struct sl_buf out;
	char *p;

	if (!regex_exec(re, value, &m))
		return false;
	p = luaL_prepbuffsize(b, REP_MAX);
	sl_buf_init(&out, p, REP_MAX);
	bool bad = regex_expand(&out, value, &m, with) < 0;
	if (out.full)
		script_current(L)->slot->full = true; // the value is the client's
	if (bad || out.full)
		luaL_error(L, "the new value is malformed or longer than %d bytes", (int)REP_MAX);
	luaL_addsize(b, sl_buf_str(&out).len);
	return true;
}

/* Of a comma-separated list each value by itself; as in HAProxy, blanks before a new one go. */
static bool
expand_list(lua_State *L, luaL_Buffer *b, const struct regex *re, struct sl_str all, struct sl_str with)
{
	bool any = false;

	while (all.p != NULL) {
		struct sl_str rest = all, part = http_cut_value(&rest);
		bool hit = expand(L, b, re, part, with);
		if (!hit)
			luaL_addlstring(b, all.p, (size_t)(part.p + part.len - all.p));
		any |= hit;
		const char *next = rest.p != NULL ? rest.p : all.p + all.len;
		luaL_addlstring(b, part.p + part.len, (size_t)(next - part.p - part.len));
		all = rest;
	}
	return any;
}

static int
replace(lua_State *L, bool res, bool list)
{
	api_nargs(L, 4, res ? (list ? "res_rep_val" : "res_rep_hdr") : "req_rep_hdr");
	struct script_call *c = api_call(L, 1);
	struct sl_str name = api_check_str(L, 2), with = api_check_str(L, 4);
	const struct regex *re;
	struct http_msg *m;
	uint16_t pos = 0;
	int i, rc = 0;

	api_check_str(L, 3);
	m = check_msg(L, c, res);
	re = check_regex(L, 3);
	while (rc == 0 && (i = http_hdr_find(m, name, &pos)) >= 0) {
		struct sl_str old = http_str(m, m->hdr[i].value);
		luaL_Buffer b;
		luaL_buffinit(L, &b);
		bool hit = list ? expand_list(L, &b, re, old, with) : expand(L, &b, re, old, with);
		luaL_pushresult(&b);
		if (hit) {
			struct sample v = text(api_check_str(L, -1));
			rc = http_hdr_set_at(m, (uint16_t)i, v.s);
			if (rc == 0 &&
				call_add_write(c->slot, res ? CW_RES_PUT_HDR : CW_REQ_PUT_HDR,
					(enum var_scope)i, name, &v) < 0)
				return luaL_error(L, "no room for another edit");
		}
		lua_pop(L, 1);
	}
	return 0;
}

static int
l_http_req_rep_header(lua_State *L)
{
	return replace(L, false, false);
}

static int
l_http_res_rep_header(lua_State *L)
{
	return replace(L, true, false);
}

static int
l_http_req_rep_value(lua_State *L)
{
	return replace(L, false, true);
}

static int
l_http_res_rep_value(lua_State *L)
{
	return replace(L, true, true);
}

/* The parts of the request line. */
static int
set_line(lua_State *L, enum call_write_op op, int (*set)(struct http_msg *m, struct sl_str v))
{
	struct script_call *c = api_call(L, 1);
	struct sample v = text(api_check_str(L, 2));
	struct http_msg *m = check_msg(L, c, false);

	return note(L, c, set(m, v.s), op, SL_STR(""), &v);
}

static int
l_http_req_set_method(lua_State *L)
{
	return set_line(L, CW_REQ_METHOD, http_set_method);
}

static int
l_http_req_set_path(lua_State *L)
{
	return set_line(L, CW_REQ_PATH, http_set_path);
}

static int
l_http_req_set_query(lua_State *L)
{
	return set_line(L, CW_REQ_QUERY, http_set_query);
}

static int
l_http_req_set_uri(lua_State *L)
{
	return set_line(L, CW_REQ_URI, http_set_uri);
}

/* http:res_set_status(code[, reason]) */
static int
l_http_res_set_status(lua_State *L)
{
	struct script_call *c = api_call(L, 1);
	lua_Integer code = luaL_checkinteger(L, 2);
	struct http_msg *m = check_msg(L, c, true);
	struct sample v = { .type = T_SINT, .i = code };

	luaL_argcheck(L, code >= 100 && code <= 999, 2, "status code expected");
	struct sl_str reason =
		lua_isnoneornil(L, 3) ? sl_str_c(http_reason((uint16_t)code)) : api_check_str(L, 3);
	note(L, c, http_set_status(m, (uint16_t)code, reason), CW_RES_STATUS, reason, &v);
	return 0;
}

static const luaL_Reg http_methods[] = {
	{ "req_get_headers", l_http_req_get_headers },
	{ "req_add_header", l_http_req_add_header },
	{ "req_set_header", l_http_req_set_header },
	{ "req_del_header", l_http_req_del_header },
	{ "req_rep_header", l_http_req_rep_header },
	{ "req_rep_value", l_http_req_rep_value },
	{ "res_rep_header", l_http_res_rep_header },
	{ "res_rep_value", l_http_res_rep_value },
	{ "req_set_method", l_http_req_set_method },
	{ "req_set_path", l_http_req_set_path },
	{ "req_set_query", l_http_req_set_query },
	{ "req_set_uri", l_http_req_set_uri },
	{ "res_get_headers", l_http_res_get_headers },
	{ "res_add_header", l_http_res_add_header },
	{ "res_set_header", l_http_res_set_header },
	{ "res_del_header", l_http_res_del_header },
	{ "res_set_status", l_http_res_set_status },
	{ NULL, NULL },
};

static void
open_http(lua_State *L)
{
	api_class(L, API_HTTP, "HTTP", http_methods);
	lua_pop(L, 1);
}

SL_LUA_API({ "HTTP", open_http, "txn.http: heads of request and response" });
