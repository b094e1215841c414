// SPDX-License-Identifier: BSD-3-Clause
/*
 * The class Socket: receive and send.
 *
 * Runs on: script threads.
 * Follows: LuaSocket 3.1's contract: patterns "*l" "*a" and a number, prefix, partial results, nil
 * with "timeout" or "closed", always three results; with `tune.lua.socket-compat haproxy` HAProxy
 * 2.6's results. Bytes lie in the ring of the io thread until a function takes them; what a waiting
 * receive() has taken lies in a buffer that counts to the memory of the state.
 */
#include "lua/api/socket.h"

/* Stack of receive(): */
#define AT_PREFIX 3
#define AT_BUF    4 // struct rxbuf, or nil

struct rxbuf {
	size_t len, cap;
	char data[];
};

/* ---- the buffer ---- */

static void
buf_add(lua_State *L, const void *p, size_t n)
{
	struct rxbuf *b = lua_touserdata(L, AT_BUF), *more;
	size_t len = b != NULL ? b->len : 0;

	if (b == NULL || b->cap - len < n) {
		size_t cap = sl_max((len + n) * 2, (size_t)512);

		more = lua_newuserdata(L, sizeof(*more) + cap);
		more->len = len;
		more->cap = cap;
		if (len > 0)
			memcpy(more->data, b->data, len);
		lua_replace(L, AT_BUF);
		b = more;
	}
	memcpy(b->data + len, p, n);
	b->len = len + n;
}

/* A line without its \r: LuaSocket drops all of them. */
static void
buf_add_line(lua_State *L, const uint8_t *p, size_t n)
{
	while (n > 0) {
		const uint8_t *cr = memchr(p, '\r', n);
		size_t part = cr != NULL ? (size_t)(cr - p) : n;

		if (part > 0)
			buf_add(L, p, part);
		if (cr != NULL)
			part++;
		p += part;
		n -= part;
	}
}

/* prefix .. buffer */
static void
push_all(lua_State *L)
{
	const struct rxbuf *b = lua_touserdata(L, AT_BUF);
	size_t n;

	lua_tolstring(L, AT_PREFIX, &n);
	if (b == NULL) {
		lua_pushvalue(L, AT_PREFIX);
		return;
	}
	if (n > 0)
		lua_pushvalue(L, AT_PREFIX);
	lua_pushlstring(L, b->data, b->len);
	if (n > 0)
		lua_concat(L, 2);
}

/* ---- receive ---- */

static int
rx_done(lua_State *L)
{
	push_all(L);
	if (script_socket_compat(L))
		return 1;
	lua_pushnil(L);
	lua_pushnil(L);
	return 3;
}

static int
rx_failed(lua_State *L, const char *why)
{
	if (script_socket_compat(L)) {
		const struct rxbuf *b = lua_touserdata(L, AT_BUF);

		if (b != NULL && b->len > 0)
			return rx_done(L); // what came is a success there
		lua_pushnil(L);
		lua_pushliteral(L, "connection closed.");
		return 2;
	}
	lua_pushnil(L);
	lua_pushstring(L, why);
	push_all(L);
	return 3;
}

/* The usual line lies in the ring as one piece: no buffer. */
static int
rx_line_at_once(lua_State *L, struct usock *u, const uint8_t *p, uint32_t n)
{
	u->received += n;
	lua_pushlstring(L, (const char *)p, n > 1 && p[n - 2] == '\r' ? n - 2 : n - 1);
	io_sock_consume(u->c->s, n);
	if (script_socket_compat(L))
		return 1;
	lua_pushnil(L);
	lua_pushnil(L);
	return 3;
}

/* Takes what belongs to it; true: it is complete. */
static bool
rx_take(lua_State *L, struct usock *u, const uint8_t *p, uint32_t n)
{
	struct sock_op *op = &u->rx;
	const uint8_t *nl = NULL;
	uint32_t take = n;

	switch (op->mode) {
	case 'l':
		nl = memchr(p, '\n', n);
		if (nl != NULL)
			take = (uint32_t)(nl - p) + 1;
		buf_add_line(L, p, nl != NULL ? take - 1 : take);
		break;
	case 'n':
		take = (uint32_t)sl_min((uint64_t)n, op->wanted - op->total);
		if (take > 0)
			buf_add(L, p, take);
		break;
	default:
		buf_add(L, p, take);
		break;
	}
	u->received += take;
	op->total += take;
	io_sock_consume(u->c->s, take);
	return nl != NULL || (op->mode == 'n' && op->total >= op->wanted);
}

static int
rx_end(lua_State *L, struct usock *u, uint32_t state)
{
	const char *why = (state & IO_SOCK_DEAD) != 0 ? sock_conn_words(u->c) : "closed";

	if (u->rx.mode == 'a' && u->rx.total > 0 && strcmp(why, "closed") == 0)
		return rx_done(L);
	return rx_failed(L, why);
}

static int
rx_step(lua_State *L, int status sl_unused, intptr_t ctx sl_unused)
{
	struct usock *u = lua_touserdata(L, 1);
	bool looked = false;

	for (;;) {
		const uint8_t *p;
		uint32_t state, n;

		if (u->c == NULL)
			return rx_failed(L, "closed"); // perhaps by another coroutine meanwhile
		state = io_sock_state(u->c->s); // before the bytes: they come first
		n = io_sock_peek(u->c->s, &p);
		if (n > 0) {
			const uint8_t *nl;
			size_t prefix;

			lua_tolstring(L, AT_PREFIX, &prefix);
			if (u->rx.mode == 'l' && prefix == 0 && lua_isnil(L, AT_BUF) &&
				(nl = memchr(p, '\n', n)) != NULL &&
				((nl == p) || memchr(p, '\r', (size_t)(nl - p - 1)) == NULL))
				return rx_line_at_once(L, u, p, (uint32_t)(nl - p) + 1);
			if (rx_take(L, u, p, n))
				return rx_done(L);
			continue;
		}
		if ((state & (IO_SOCK_EOF | IO_SOCK_DEAD)) != 0 || u->rd_shut)
			return rx_end(L, u, state);
		if (sock_is_late(&u->rx))
			return rx_failed(L, "timeout");
		if (looked)
			return sock_wait(L, u, &u->rx, 0, "receive", rx_step);
		io_sock_want(u->c->s, IO_SOCK_WANT_RX);
		looked = true;
	}
}

static void
rx_pattern(lua_State *L, struct sock_op *op)
{
	op->total = 0;
	op->wanted = 0;
	if (lua_isnumber(L, 2)) {
		double n = lua_tonumber(L, 2);
		size_t prefix;

		luaL_argcheck(L, n >= 0, 2, "invalid receive pattern");
		lua_tolstring(L, AT_PREFIX, &prefix);
		op->mode = 'n';
		op->wanted = n < 9e15 ? (uint64_t)n : (uint64_t)9e15;
		if (prefix > 0 && op->wanted <= prefix)
			op->mode = 'd'; // it is there already
		else
			op->wanted -= prefix;
		return;
	}
	const char *p = luaL_optstring(L, 2, "*l");

	op->mode = p[0] == '*' ? p[1] : '\0';
	luaL_argcheck(L, op->mode == 'l' || op->mode == 'a', 2, "invalid receive pattern");
}

/* receive([pattern [, prefix]]): data, nil, nil; or nil, error, what came. */
int
l_socket_receive(lua_State *L)
{
	struct usock *u = sock_client(L);
	struct sock_op op = u->rx;

	luaL_optstring(L, 3, "");
	lua_settop(L, 3);
	if (lua_isnil(L, AT_PREFIX)) {
		lua_pushliteral(L, "");
		lua_replace(L, AT_PREFIX);
	}
	lua_tostring(L, AT_PREFIX); // a number becomes text here
	rx_pattern(L, &op);
	if (u->rx.wait.run != NULL)
		return luaL_error(L, "receive: another coroutine waits for the same");
	lua_pushnil(L); // AT_BUF
	u->rx = op;
	if (op.mode == 'd')
		return rx_done(L);
	sock_begin(u, &u->rx);
	return rx_step(L, LUA_OK, 0);
}

/* ---- send ---- */

/* Stack: 1 the socket, 2 data, 3 first byte (0-based), 4 end. */

static int
tx_result(lua_State *L, const struct usock *u, const char *why)
{
	lua_Integer last = lua_tointeger(L, 3) + (lua_Integer)u->tx.total;

	if (script_socket_compat(L)) {
		lua_pushinteger(L, why == NULL ? last : -1);
		return 1;
	}
	if (why != NULL) {
		lua_pushnil(L);
		lua_pushstring(L, why);
		lua_pushnumber(L, (lua_Number)last);
	} else {
		lua_pushnumber(L, (lua_Number)last);
		lua_pushnil(L);
		lua_pushnil(L);
	}
	return 3;
}

static int
tx_step(lua_State *L, int status sl_unused, intptr_t ctx sl_unused)
{
	struct usock *u = lua_touserdata(L, 1);
	const char *data = lua_tostring(L, 2);
	uint64_t first = (uint64_t)lua_tointeger(L, 3), end = (uint64_t)lua_tointeger(L, 4);
	bool looked = false;

	while (u->tx.total < end - first) {
		uint64_t left = end - first - u->tx.total;
		int n;

		if (u->c == NULL)
			return tx_result(L, u, "closed");
		n = io_sock_write(u->c->s, data + first + u->tx.total,
			(uint32_t)sl_min(left, (uint64_t)INT32_MAX));
		if (n < 0)
			return tx_result(L, u, sock_words(-n, ""));
		if (n > 0) {
			u->tx.total += (uint64_t)n;
			u->sent += (uint64_t)n;
			continue;
		}
		if (sock_is_late(&u->tx))
			return tx_result(L, u, "timeout");
		if (looked)
			return sock_wait(L, u, &u->tx, 0, "send", tx_step);
		io_sock_want(u->c->s, IO_SOCK_WANT_TX);
		looked = true;
	}
	return tx_result(L, u, NULL);
}

/* send(data [, i [, j]]): index of the last byte, nil, nil; or nil, error, index. */
int
l_socket_send(lua_State *L)
{
	struct usock *u = sock_client(L);
	size_t size;

	luaL_checklstring(L, 2, &size);
	lua_Integer len = (lua_Integer)size;
	lua_Integer first = (lua_Integer)luaL_optnumber(L, 3, 1);
	lua_Integer last = (lua_Integer)luaL_optnumber(L, 4, -1);

	if (u->tx.wait.run != NULL)
		return luaL_error(L, "send: another coroutine waits for the same");
	if (first < 0)
		first += len + 1;
	if (last < 0)
		last += len + 1;
	first = sl_max(first, (lua_Integer)1);
	last = sl_min(last, len);
	lua_settop(L, 2);
	lua_pushinteger(L, first - 1);
	lua_pushinteger(L, sl_max(last, first - 1));
	u->tx.total = 0;
	sock_begin(u, &u->tx);
	return tx_step(L, LUA_OK, 0);
}
