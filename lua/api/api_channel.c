// SPDX-License-Identifier: BSD-3-Clause
/*
 * The class Channel: txn.req and txn.res.
 *
 * Runs on: script threads. In mode tcp, while "tcp-request content" rules are evaluated (of txn.res:
 * "tcp-response content"), the bytes that have come are read and changed in a copy in the call's slot
 * (call.h, CALL_ASK_CHAN); each method first asks for what has come since. What was changed goes to the
 * other side in their place.
 * Follows: HAProxy 2.6: offsets count from the first byte that is not to be forwarded already, negative
 * ones from the end; a text that does not fit gives -1; in mode http only the numbers may be asked for.
 * append() puts its text behind the others, as the manual has it.
 */
#include "dataplane/http/http.h"

#include "lua/api/api.h"

#define HTTP_REFUSED "Cannot manipulate HAProxy channels in HTTP mode."

enum op {
	CH_APPEND,
	CH_DATA,
	CH_DUP,
	CH_FORWARD,
	CH_GET,
	CH_GETLINE,
	CH_INPUT,
	CH_INSERT,
	CH_IS_FULL,
	CH_LINE,
	CH_MAY_RECV,
	CH_OUTPUT,
	CH_PREPEND,
	CH_REMOVE,
	CH_SEND,
	CH_SET,
};

/* What a method is: its name in messages, and how many values may follow the object. */
static const struct method {
	const char *name;
	const char *says; // in messages
	uint8_t min, max;
	bool number; // allowed in mode http
	bool edits;
} methods[] = {
	[CH_APPEND] = { "append", "append", 1, 1, false, true },
	[CH_DATA] = { "data", "data", 0, 2, false, false },
	[CH_DUP] = { "dup", "dup", 0, 0, false, false },
	[CH_FORWARD] = { "forward", "forward", 1, 1, false, true },
	[CH_GET] = { "get", "get", 0, 0, false, true },
	[CH_GETLINE] = { "getline", "getline", 0, 0, false, true },
	[CH_INPUT] = { "input", "input", 0, 0, true, false },
	[CH_INSERT] = { "insert", "insert", 1, 2, false, true },
	[CH_IS_FULL] = { "is_full", "is_full", 0, 0, true, false },
	[CH_LINE] = { "line", "line", 0, 2, false, false },
	[CH_MAY_RECV] = { "may_recv", "may_recv", 0, 0, true, false },
	[CH_OUTPUT] = { "output", "output", 0, 0, true, false },
	[CH_PREPEND] = { "prepend", "prepend", 1, 1, false, true },
	[CH_REMOVE] = { "remove", "remove", 0, 2, false, true },
	[CH_SEND] = { "send", "send", 1, 1, false, true },
	[CH_SET] = { "set", "set", 1, 3, false, true },
};

static void
check_args(lua_State *L, const struct method *m)
{
	int n = lua_gettop(L) - 1;

	if (n >= m->min && n <= m->max)
		return;
	if (m->min == m->max)
		luaL_error(L, "'%s' needs %d arguments", m->says, m->max + 1);
	if (m->min == 0)
		luaL_error(L, "'%s' expects at most %d arguments", m->says, m->max);
	luaL_error(L, "'%s' expects at least %d argument and at most %d arguments", m->says, m->min,
		m->max);
}

/* HAProxy's own texts have no position in the script. */
static int
refuse(lua_State *L, const char *text)
{
	lua_pushstring(L, text);
	return lua_error(L);
}

/* ---- a range: at index i the offset, behind it the length ---- */

struct range {
	uint32_t off, len; // from the first byte of p
};

static uint32_t
check_offset(lua_State *L, int i, const struct call_chan *ch, uint32_t none)
{
	uint32_t input = ch->len - ch->out;
	lua_Integer off = luaL_optinteger(L, i, none);

	if (off < 0)
		off = sl_max((lua_Integer)input + off, (lua_Integer)0);
	if (off > input)
		refuse(L, "offset out of range.");
	return ch->out + (uint32_t)off;
}

static struct range
check_range(lua_State *L, int i, const struct call_chan *ch)
{
	struct range r = { .off = check_offset(L, i, ch, 0) };
	lua_Integer len = luaL_optinteger(L, i + 1, -1);

	r.len = ch->len - r.off;
	if (len < -1 || len > (lua_Integer)r.len)
		refuse(L, "length out of range.");
	if (len >= 0)
		r.len = (uint32_t)len;
	return r;
}

/* ---- changes ---- */

/* Puts text in place of a range; -1: there is no room. */
static int
replace(lua_State *L, struct call_chan *ch, struct range r, struct sl_str text)
{
	uint32_t tail = ch->len - r.off - r.len;

	if (ch->len - r.len + (uint64_t)text.len > CALL_CHAN) {
		lua_pushinteger(L, -1);
		return 1;
	}
	memmove(ch->p + r.off + text.len, ch->p + r.off + r.len, tail);
	if (text.len != 0)
		memcpy(ch->p + r.off, text.p, text.len);
	ch->len = r.off + text.len + tail;
	ch->dirty = true;
	lua_pushinteger(L, text.len);
	return 1;
}

static int
send_text(lua_State *L, struct call_chan *ch)
{
	struct sl_str text = api_check_str(L, 2);
	int n = replace(L, ch, (struct range){ .off = ch->out }, text);

	if (lua_tointeger(L, -1) >= 0)
		ch->out += text.len;
	return n;
}

static int
forward(lua_State *L, struct call_chan *ch)
{
	uint32_t input = ch->len - ch->out;
	lua_Integer n = luaL_checkinteger(L, 2);

	if (n < 0 || n > input)
		n = input;
	ch->out += (uint32_t)n;
	lua_pushinteger(L, n);
	return 1;
}

/* Pushes a range, and takes it out. */
static int
take(lua_State *L, struct call_chan *ch, struct range r)
{
	lua_pushlstring(L, ch->p + r.off, r.len);
	replace(L, ch, r, SL_STR(""));
	lua_pop(L, 1);
	return 1;
}

/* ---- methods, when the bytes are there ---- */

static int told_k(lua_State *L, int status, intptr_t ctx);

static int
ask(lua_State *L, struct script_call *c, enum op op, bool wait)
{
	c->slot->ask_max = wait;
	return script_ask(
		L, c, CALL_ASK_CHAN, methods[op].name, told_k, (intptr_t)op | (wait ? 0x100 : 0));
}

/* The bytes up to the end of a line, or 0: there is none yet. */
static uint32_t
line_len(const struct call_chan *ch, struct range r)
{
	const char *nl = r.len != 0 ? memchr(ch->p + r.off, '\n', r.len) : NULL;

	return nl != NULL ? (uint32_t)(nl - ch->p) - r.off + 1 : 0;
}

/* data([off[, len]]), line([off[, len]]), getline(): may have to wait. asked: it did, in vain. */
static int
read_some(lua_State *L, struct script_call *c, enum op op, bool asked)
{
	struct call_chan *ch = &c->slot->chan;
	struct range r = { .off = check_offset(L, 2, ch, 0) };
	lua_Integer want = luaL_optinteger(L, 3, 0);
	bool all = lua_isnoneornil(L, 3), more;

	r.len = ch->len - r.off;
	if (want < -1)
		return refuse(L, "length out of range.");
	if (!all && want == 0) {
		lua_pushliteral(L, "");
		return 1;
	}
	more = all ? r.len == 0 : want < 0 || want > r.len;
	if (!all && want > 0)
		r.len = (uint32_t)sl_min((lua_Integer)r.len, want);
	if (op != CH_DATA) {
		uint32_t n = line_len(ch, r);
		more = n == 0 && (all || want < 0 || (lua_Integer)r.len < want);
		r.len = n != 0 ? n : r.len;
	}
	if (more && !asked && !ch->over && ch->len < CALL_CHAN && c->slot->kind == 'a')
		return ask(L, c, op, true);
	if (r.len == 0 && (more || ch->over)) {
		lua_pushnil(L);
		return 1;
	}
	if (op == CH_GETLINE)
		return take(L, ch, r);
	lua_pushlstring(L, ch->p + r.off, r.len);
	return 1;
}

static int
number(lua_State *L, const struct call_chan *ch, enum op op)
{
	if (op == CH_INPUT)
		lua_pushinteger(L, ch->len - ch->out);
	else if (op == CH_OUTPUT)
		lua_pushinteger(L, ch->out);
	else if (op == CH_IS_FULL)
		lua_pushboolean(L, ch->len >= CALL_CHAN);
	else
		lua_pushboolean(L, !ch->over && ch->len < CALL_CHAN);
	return 1;
}

static int
do_op(lua_State *L, struct script_call *c, enum op op, bool asked)
{
	struct call_chan *ch = &c->slot->chan;
	struct range all = { .off = ch->out, .len = ch->len - ch->out };

	switch (op) {
	case CH_APPEND:
		return replace(L, ch, (struct range){ .off = ch->len }, api_check_str(L, 2));
	case CH_PREPEND:
		return replace(L, ch, (struct range){ .off = ch->out }, api_check_str(L, 2));
	case CH_INSERT:
		return replace(L, ch, (struct range){ .off = check_offset(L, 3, ch, 0) },
			api_check_str(L, 2));
	case CH_SET:
		return replace(L, ch, check_range(L, 3, ch), api_check_str(L, 2));
	case CH_REMOVE: {
		struct range r = check_range(L, 2, ch);
		replace(L, ch, r, SL_STR(""));
		lua_pushinteger(L, r.len);
		return 1;
	}
	case CH_SEND:
		return send_text(L, ch);
	case CH_FORWARD:
		return forward(L, ch);
	case CH_DUP:
		lua_pushlstring(L, ch->p + all.off, all.len);
		return 1;
	case CH_GET:
		return take(L, ch, all);
	case CH_DATA:
	case CH_LINE:
	case CH_GETLINE:
		return read_some(L, c, op, asked);
	default:
		return number(L, ch, op);
	}
}

static int
told_k(lua_State *L, int status sl_unused, intptr_t ctx)
{
	struct script_call *c = api_call(L, 1);

	if (c->slot->ask_rc == -ECANCELED)
		return luaL_error(L, "the request does not wait any more");
	if (c->slot->ask_rc == -EINVAL)
		return luaL_error(L, "there are no bytes to look at any more at this point");
	if (c->slot->ask_rc < 0)
		return luaL_error(L, "no room for what was sent");
	return do_op(L, c, (enum op)(ctx & 0xff), (ctx & 0x100) != 0);
}

/* ---- mode http: the head's bytes are all there is to say ---- */

static int
http_number(lua_State *L, const struct call_slot *s, enum op op, bool res)
{
	const struct http_msg *m = res ? s->view.res : s->view.req;
	bool now = res == (s->point == EVAL_HTTP_RES);

	if (op == CH_INPUT)
		lua_pushinteger(L, m != NULL && now ? (lua_Integer)h1_counted_size(m) : 0);
	else if (op == CH_OUTPUT)
		lua_pushinteger(L, 0);
	else
		lua_pushboolean(L, op == CH_MAY_RECV);
	return 1;
}

/* upvalues: the method, of the response? */
static int
l_channel(lua_State *L)
{
	enum op op = (enum op)lua_tointeger(L, lua_upvalueindex(1));
	bool res = lua_toboolean(L, lua_upvalueindex(2));
	const struct method *m = &methods[op];

	check_args(L, m);
	struct script_call *c = api_call(L, 1);
	if (m->min > 0 && op != CH_FORWARD)
		(void)api_check_str(L, 2);
	if (c->slot->view.req != NULL)
		return m->number ? http_number(L, c->slot, op, res) : refuse(L, HTTP_REFUSED);
	if (res != (c->slot->point == EVAL_TCP_RES)) {
		if (m->number)
			return http_number(L, c->slot, op, res);
		return luaL_error(L, "no %s to look at at this point", res ? "response" : "request");
	}
	if (m->edits && c->slot->kind != 'a')
		return luaL_error(L, "'%s': only an action changes what was sent", m->name);
	return ask(L, c, op, false);
}

static int
l_is_resp(lua_State *L)
{
	api_nargs(L, 1, "is_resp");
	api_call(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	return 1;
}

static void
add(lua_State *L, const char *name, enum op op, bool res)
{
	lua_pushinteger(L, op);
	lua_pushboolean(L, res);
	lua_pushcclosure(L, l_channel, 2);
	lua_setfield(L, -2, name);
}

static void
open_channel(lua_State *L)
{
	for (int res = 0; res < 2; res++) {
		api_class(L, res ? API_CHANNEL_RES : API_CHANNEL, "Channel", NULL);
		lua_getfield(L, -1, "__index");
		for (size_t i = 0; i < SL_ARRAY_SIZE(methods); i++)
			add(L, methods[i].name, (enum op)i, res);
		add(L, "get_in_len", CH_INPUT, res);
		add(L, "get_out_len", CH_OUTPUT, res);
		lua_pushboolean(L, res);
		lua_pushcclosure(L, l_is_resp, 1);
		lua_setfield(L, -2, "is_resp");
		lua_pop(L, 2);
	}
}

SL_LUA_API({ "Channel", open_channel, "the bytes of a connection" });
