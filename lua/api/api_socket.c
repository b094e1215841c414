// SPDX-License-Identifier: BSD-3-Clause
/*
 * The class Socket: core.tcp(), connecting, timeouts, options, and when a connection ends.
 *
 * Runs on: script threads. The connections live on the io thread (control/io/sock.h); here is the
 * object of the script.
 * Follows: LuaSocket 3.1 (results, error words, which calls need a connected socket); HAProxy's
 * addresses and, with `tune.lua.socket-compat haproxy`, its results.
 * A connection belongs to the call that made the object and is closed when it ends. An object made
 * outside of calls, or kept by keep(), outlives calls that return; a call that used it and was ended
 * in the middle (error, limit, cancellation) takes it along: nobody knows what is still to be read.
 */
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lua/api/socket.h"

static struct usock *
usock_at(lua_State *L)
{
	struct usock *u;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_rawgeti(L, 1, 0);
	u = luaL_testudata(L, -1, API_SOCKET ".ud");
	if (u == NULL)
		luaL_argerror(L, 1, "Socket expected");
	lua_replace(L, 1);
	return u;
}

struct usock *
sock_self(lua_State *L)
{
	return usock_at(L);
}

struct usock *
sock_client(lua_State *L)
{
	struct usock *u = usock_at(L);

	if (u->step != SOCK_CLIENT)
		luaL_argerror(L, 1, "tcp{client} expected");
	if (u->keep && u->c != NULL) { // the call that uses it now answers for it
		script_scope_del(&u->scoped);
		script_scope_add(L, &u->scoped);
	}
	return u;
}

/* ---- news of the io thread; on the script thread ---- */

static void
on_news(struct script_note *n)
{
	struct sconn *c = sl_container_of(n, struct sconn, news);

	if (c->u != NULL) {
		script_wake(&c->u->rx.wait);
		script_wake(&c->u->tx.wait);
	} else if (c->pool != NULL && io_sock_state(c->s) != IO_SOCK_CONNECTED) {
		pool_drop(c);
	}
}

static void
on_gone(struct script_note *n)
{
	io_sock_free(sl_container_of(n, struct sconn, gone)->s);
}

/* On the io thread, or in the own thread's io_poll. */
static void
post_news(void *user)
{
	struct sconn *c = user;

	script_post(c->thread, &c->news);
}

static void
post_gone(void *user)
{
	struct sconn *c = user;

	script_post(c->thread, &c->gone);
}

static const struct io_sock_user conn_user = {
	.notify = post_news,
	.gone = post_gone,
	.size = sizeof(struct sconn),
};

/* ---- time ---- */

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void
sock_begin(struct usock *u, struct sock_op *op)
{
	double s = u->block;

	if (u->total >= 0 && (s < 0 || u->total < s))
		s = u->total;
	op->until_us = SCRIPT_FOREVER;
	if (s >= 0 && s < 1e9)
		op->until_us = now_us() + (uint64_t)(s * 1e6);
}

bool
sock_is_late(const struct sock_op *op)
{
	return op->until_us != SCRIPT_FOREVER && now_us() >= op->until_us;
}

int
sock_wait(lua_State *L, struct usock *u sl_unused, struct sock_op *op, uint32_t want sl_unused,
	const char *what, script_k k)
{
	uint64_t now, ms = SCRIPT_FOREVER;

	if (op->until_us != SCRIPT_FOREVER) {
		now = now_us();
		ms = op->until_us > now ? (op->until_us - now + 999) / 1000 : 0;
	}
	return script_wait(L, &op->wait, ms, what, k, 0);
}

/* ---- words ---- */

const char *
sock_words(int err, const char *why)
{
	if (why[0] != '\0')
		return why;
	switch (err) {
	case EADDRINUSE:
		return "address already in use";
	case EISCONN:
		return "already connected";
	case EACCES:
		return "permission denied";
	case ECONNREFUSED:
		return "connection refused";
	case ECONNABORTED:
	case ECONNRESET:
	case EPIPE:
		return "closed";
	case ETIMEDOUT:
		return "timeout";
	default:
		return strerror(err);
	}
}

const char *
sock_conn_words(const struct sconn *c)
{
	const char *why;
	int err = io_sock_error(c->s, &why);

	return sock_words(err, why);
}

static int
fail(lua_State *L, const char *why)
{
	lua_pushnil(L);
	lua_pushstring(L, why);
	return 2;
}

/* ---- life ---- */

void
sock_close(struct usock *u, bool abort)
{
	struct sconn *c = u->c;

	script_scope_del(&u->scoped);
	u->c = NULL;
	if (c == NULL)
		return;
	c->u = NULL;
	io_sock_close(c->s, abort);
	// another coroutine that waits sees that it is closed
	script_wake(&u->rx.wait);
	script_wake(&u->tx.wait);
}

static void
on_scope_end(struct script_scoped *s, bool clean)
{
	struct usock *u = sl_container_of(s, struct usock, scoped);

	if (!u->keep || !clean)
		sock_close(u, !clean);
}

static int
l_socket_gc(lua_State *L)
{
	sock_close(luaL_checkudata(L, 1, API_SOCKET ".ud"), false);
	return 0;
}

int
l_core_tcp(lua_State *L)
{
	struct usock *u = lua_newuserdata(L, sizeof(*u));

	memset(u, 0, sizeof(*u));
	u->scoped.end = on_scope_end;
	u->block = u->total = -1;
	u->born_us = now_us();
	u->keep = !script_in_call(L);
	luaL_setmetatable(L, API_SOCKET ".ud");
	lua_getfield(L, LUA_REGISTRYINDEX, API_SOCKET ".state");
	u->state = lua_touserdata(L, -1);
	lua_pop(L, 1);
	if (!u->keep)
		script_scope_add(L, &u->scoped);
	api_object(L, API_SOCKET, -1);
	return 1;
}

static int
l_socket_close(lua_State *L)
{
	struct usock *u = sock_self(L);

	sock_close(u, false);
	lua_pushnumber(L, 1);
	return 1;
}

/* keep([false]): whether it outlives the calls that use it. Returns the socket. */
static int
l_socket_keep(lua_State *L)
{
	bool on = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);

	lua_settop(L, 1);
	lua_pushvalue(L, 1);
	sock_self(L)->keep = on;
	return 1;
}

/* ---- connecting ---- */

static int
connect_failed(lua_State *L, struct usock *u, const char *why)
{
	sock_close(u, true);
	if (!u->keep)
		script_scope_add(L, &u->scoped);
	return fail(L, script_socket_compat(L) ? "Can't connect" : why);
}

static int
connect_done(lua_State *L)
{
	if (script_socket_compat(L))
		lua_pushinteger(L, 1);
	else
		lua_pushnumber(L, 1);
	return 1;
}

static int
connect_step(lua_State *L, int status sl_unused, intptr_t ctx sl_unused)
{
	struct usock *u = lua_touserdata(L, 1);
	uint32_t state;

	if (u->c == NULL)
		return fail(L, "closed");
	state = io_sock_state(u->c->s);
	if ((state & IO_SOCK_DEAD) != 0) {
		lua_pushstring(L, sock_conn_words(u->c)); // the connection's own text goes with it
		return connect_failed(L, u, lua_tostring(L, -1));
	}
	if ((state & IO_SOCK_CONNECTED) != 0)
		return connect_done(L);
	if (sock_is_late(&u->rx))
		return connect_failed(L, u, "timeout");
	return sock_wait(L, u, &u->rx, 0, "connect", connect_step);
}

static int
open_new(lua_State *L, struct usock *u, const struct io_target *to)
{
	struct io_socks *all = script_socks();
	struct io_sock *s;
	int rc;

	if (all == NULL)
		return -ENOTSUP;
	rc = io_sock_open(all, to, &conn_user, script_poll(script_here(L)), &s);
	if (rc < 0) {
		if (rc == -EMFILE)
			pool_shed(u->state); // room for the next one
		return rc;
	}
	u->c = io_sock_user(s);
	u->c->s = s;
	u->c->u = u;
	u->c->thread = script_here(L);
	u->c->news.fn = on_news;
	u->c->gone.fn = on_gone;
	io_sock_start(s);
	return 0;
}

static int
do_connect(lua_State *L, struct usock *u, const struct io_target *to)
{
	int rc;

	u->step = SOCK_CLIENT;
	u->rd_shut = false;
	if (u->c != NULL)
		return fail(L, "already connected");
	u->c = pool_take(u->state, to);
	if (u->c != NULL) {
		u->c->u = u;
	} else {
		script_check_wait(L, "connect");
		rc = open_new(L, u, to);
		if (rc < 0)
			return connect_failed(L, u, sock_words(-rc, ""));
	}
	// whose it is while this call runs: for a kept one, too
	script_scope_del(&u->scoped);
	script_scope_add(L, &u->scoped);
	sock_begin(u, &u->rx);
	return connect_step(L, LUA_OK, 0);
}

/* connect(address [, port]): 1, or nil and why. */
static int
l_socket_connect(lua_State *L)
{
	struct usock *u = sock_self(L);
	struct io_target to;
	const char *why = sock_target(L, &to);

	if (why != NULL)
		return connect_failed(L, u, why);
	return do_connect(L, u, &to);
}

static void
opt_field(lua_State *L, const char *name, char *out, size_t size)
{
	size_t len;

	lua_getfield(L, 4, name);
	if (!lua_isnil(L, -1)) {
		const char *p = luaL_checklstring(L, -1, &len);

		if (len >= size)
			luaL_error(L, "connect_ssl: '%s' is too long", name);
		memset(out, 0, size);
		memcpy(out, p, len);
	}
	lua_pop(L, 1);
}

/* { "h2", "http/1.1" } or one name, as RFC 7301 wants it on the wire. */
static void
opt_alpn(lua_State *L, struct io_tls *t)
{
	lua_getfield(L, 4, "alpn");
	if (lua_type(L, -1) == LUA_TSTRING) {
		lua_createtable(L, 1, 0);
		lua_insert(L, -2);
		lua_rawseti(L, -2, 1);
	}
	for (int i = 1; lua_istable(L, -1); i++) {
		size_t len;

		if (lua_rawgeti(L, -1, i) == LUA_TNIL) {
			lua_pop(L, 1);
			break;
		}
		const char *p = luaL_checklstring(L, -1, &len);

		if (len == 0 || t->alpn_len + len + 1 > sizeof(t->alpn))
			luaL_error(L, "connect_ssl: 'alpn' is too long");
		t->alpn[t->alpn_len] = (char)len;
		memcpy(t->alpn + t->alpn_len + 1, p, len);
		t->alpn_len = (uint8_t)(t->alpn_len + len + 1);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/*
 * connect_ssl(address, port [, { sni =, verify =, ca =, alpn = }]). The certificate is verified
 * unless verify is false; HAProxy never does, and so does socket-compat haproxy by default.
 */
static int
l_socket_connect_ssl(lua_State *L)
{
	struct usock *u = sock_self(L);
	struct io_target to;
	const char *why = sock_target(L, &to);

	if (why != NULL)
		return connect_failed(L, u, why);
	to.tls = true;
	to.sec.verify = !script_socket_compat(L);
	if (to.kind == IO_TARGET_NAME)
		memcpy(to.sec.sni, to.name, sizeof(to.sec.sni));
	lua_settop(L, 4);
	if (!lua_isnil(L, 4)) {
		luaL_checktype(L, 4, LUA_TTABLE);
		opt_field(L, "sni", to.sec.sni, sizeof(to.sec.sni));
		opt_field(L, "ca", to.sec.ca, sizeof(to.sec.ca));
		opt_alpn(L, &to.sec);
		if (lua_getfield(L, 4, "verify") != LUA_TNIL)
			to.sec.verify = lua_toboolean(L, -1);
		lua_pop(L, 1);
	}
	return do_connect(L, u, &to);
}

/* shutdown([mode]): 1. */
static int
l_socket_shutdown(lua_State *L)
{
	static const char *const modes[] = { "receive", "send", "both", NULL };
	struct usock *u = sock_client(L);
	int mode = luaL_checkoption(L, 2, "both", modes);

	if (u->c != NULL && mode != 1)
		u->rd_shut = true;
	if (u->c != NULL && mode != 0)
		io_sock_shutdown(u->c->s);
	if (u->rd_shut)
		script_wake(&u->rx.wait);
	lua_pushnumber(L, 1);
	return 1;
}

/* ---- timeouts ---- */

/* settimeout(seconds [, mode]): 1. "b" (default): of a wait; "t", "r": of the whole operation. */
static int
l_socket_settimeout(lua_State *L)
{
	struct usock *u = sock_self(L);
	double t = luaL_optnumber(L, 2, -1);
	const char *mode = luaL_optstring(L, 3, "b");

	if (isnan(t))
		t = -1;
	switch (*mode) {
	case 'b':
		u->block = t;
		break;
	case 'r':
	case 't':
		u->total = t;
		break;
	default:
		luaL_argerror(L, 3, "invalid timeout mode");
	}
	lua_pushnumber(L, 1);
	return 1;
}

static int
l_socket_gettimeout(lua_State *L)
{
	const struct usock *u = sock_self(L);

	lua_pushnumber(L, u->block);
	lua_pushnumber(L, u->total);
	return 2;
}

/* ---- addresses ---- */

static int
push_addr(lua_State *L, const struct ip_port *a, bool peer)
{
	char text[80];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	if (script_socket_compat(L)) {
		addr_format_port(&b, a);
		lua_pushlstring(L, text, b.len);
		return 1;
	}
	addr_format(&b, &a->ip);
	lua_pushlstring(L, text, b.len);
	if (peer)
		lua_pushinteger(L, a->port);
	else
		lua_pushfstring(L, "%d", a->port); // as LuaSocket: a string here, a number there
	lua_pushstring(L, a->ip.family == ADDR_V6 ? "inet6" : "inet");
	return 3;
}

static int
push_sockaddr(lua_State *L, const struct sockaddr_storage *sa, bool peer)
{
	struct ip_port a;

	memset(&a, 0, sizeof(a));
	switch (sa->ss_family) {
	case AF_INET:
		a.ip.family = ADDR_V4;
		a.ip.v4 = ((const struct sockaddr_in *)sa)->sin_addr.s_addr;
		a.port = ntohs(((const struct sockaddr_in *)sa)->sin_port);
		break;
	case AF_INET6:
		a.ip.family = ADDR_V6;
		memcpy(a.ip.b, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
		a.port = ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
		break;
	default:
		lua_pushstring(L, ((const struct sockaddr_un *)sa)->sun_path);
		return 1;
	}
	return push_addr(L, &a, peer);
}

static int
name_of(lua_State *L, bool peer)
{
	struct usock *u = sock_self(L);
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct ip_port local, remote;
	int fd, rc;

	if (u->c == NULL || (io_sock_state(u->c->s) & IO_SOCK_CONNECTED) == 0)
		return fail(L, strerror(EBADF));
	fd = io_sock_fd(u->c->s);
	if (fd < 0) {
		io_sock_addrs(u->c->s, &local, &remote);
		return push_addr(L, peer ? &remote : &local, peer);
	}
	memset(&sa, 0, sizeof(sa));
	rc = peer ? getpeername(fd, (struct sockaddr *)&sa, &len)
		  : getsockname(fd, (struct sockaddr *)&sa, &len);
	return rc < 0 ? fail(L, strerror(errno)) : push_sockaddr(L, &sa, peer);
}

static int
l_socket_getpeername(lua_State *L)
{
	return name_of(L, true);
}

static int
l_socket_getsockname(lua_State *L)
{
	return name_of(L, false);
}

static int
l_socket_getfd(lua_State *L)
{
	struct usock *u = sock_self(L);

	lua_pushnumber(L, u->c != NULL ? io_sock_fd(u->c->s) : -1);
	return 1;
}

static int
l_socket_getfamily(lua_State *L)
{
	struct usock *u = sock_self(L);
	struct sockaddr_storage sa = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(sa);
	struct ip_port local, remote;
	int fd = u->c != NULL ? io_sock_fd(u->c->s) : -1;

	if (fd >= 0 && getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		sa.ss_family = AF_UNSPEC;
	if (fd < 0 && u->c != NULL) {
		io_sock_addrs(u->c->s, &local, &remote);
		sa.ss_family = remote.ip.family == ADDR_V6 ? AF_INET6
			: remote.ip.family == ADDR_V4	   ? AF_INET
							   : AF_UNSPEC;
	}
	lua_pushstring(L, sa.ss_family == AF_INET6 ? "inet6"
			: sa.ss_family == AF_INET  ? "inet4"
						   : "unspec");
	return 1;
}

/* ---- options ---- */

enum option_kind { OPT_BOOL, OPT_INT, OPT_LINGER };

static const struct {
	const char *name;
	int level, opt;
	enum option_kind kind;
} options[] = {
	{ "keepalive", SOL_SOCKET, SO_KEEPALIVE, OPT_BOOL },
	{ "reuseaddr", SOL_SOCKET, SO_REUSEADDR, OPT_BOOL },
	{ "tcp-nodelay", IPPROTO_TCP, TCP_NODELAY, OPT_BOOL },
	{ "tcp-keepidle", IPPROTO_TCP, TCP_KEEPIDLE, OPT_INT },
	{ "tcp-keepcnt", IPPROTO_TCP, TCP_KEEPCNT, OPT_INT },
	{ "tcp-keepintvl", IPPROTO_TCP, TCP_KEEPINTVL, OPT_INT },
	{ "recv-buffer-size", SOL_SOCKET, SO_RCVBUF, OPT_INT },
	{ "send-buffer-size", SOL_SOCKET, SO_SNDBUF, OPT_INT },
	{ "linger", SOL_SOCKET, SO_LINGER, OPT_LINGER },
};

static size_t
check_option(lua_State *L)
{
	const char *name = luaL_checkstring(L, 2);
	char text[64];

	for (size_t i = 0; i < SL_ARRAY_SIZE(options); i++) {
		if (strcmp(options[i].name, name) == 0)
			return i;
	}
	snprintf(text, sizeof(text), "unsupported option `%.35s'", name);
	return (size_t)luaL_argerror(L, 2, text);
}

static struct linger
check_linger(lua_State *L)
{
	struct linger l = { 0 };

	luaL_checktype(L, 3, LUA_TTABLE);
	lua_getfield(L, 3, "on");
	l.l_onoff = lua_toboolean(L, -1);
	lua_getfield(L, 3, "timeout");
	l.l_linger = (int)script_to_int(L, -1);
	return l;
}

/* setoption(name, value): 1. HAProxy takes everything and does nothing. */
static int
l_socket_setoption(lua_State *L)
{
	struct usock *u = sock_self(L);
	int fd = u->c != NULL ? io_sock_fd(u->c->s) : -1, rc = 0, val;

	if (script_socket_compat(L))
		return 0;
	size_t i = check_option(L);

	if (options[i].kind == OPT_LINGER) {
		struct linger l = check_linger(L);

		rc = setsockopt(fd, options[i].level, options[i].opt, &l, sizeof(l));
	} else {
		if (options[i].kind == OPT_BOOL) {
			luaL_checktype(L, 3, LUA_TBOOLEAN);
			val = lua_toboolean(L, 3);
		} else {
			val = (int)luaL_checknumber(L, 3);
		}
		rc = setsockopt(fd, options[i].level, options[i].opt, &val, sizeof(val));
	}
	// our own TCP has none of them, and its ways are those that are asked for here
	if (rc < 0 && (u->c == NULL || fd >= 0))
		return fail(L, "setsockopt failed");
	lua_pushnumber(L, 1);
	return 1;
}

static int
l_socket_getoption(lua_State *L)
{
	struct usock *u = sock_self(L);
	int fd = u->c != NULL ? io_sock_fd(u->c->s) : -1;
	size_t i = check_option(L);
	struct linger l = { 0 };
	int val = 0;
	socklen_t len = options[i].kind == OPT_LINGER ? sizeof(l) : sizeof(val);

	if (getsockopt(fd, options[i].level, options[i].opt,
		    options[i].kind == OPT_LINGER ? (void *)&l : (void *)&val, &len) < 0)
		return fail(L, "getsockopt failed");
	switch (options[i].kind) {
	case OPT_BOOL:
		lua_pushboolean(L, val);
		break;
	case OPT_INT:
		lua_pushnumber(L, val);
		break;
	case OPT_LINGER:
		lua_createtable(L, 0, 2);
		lua_pushboolean(L, l.l_onoff);
		lua_setfield(L, -2, "on");
		lua_pushinteger(L, l.l_linger);
		lua_setfield(L, -2, "timeout");
		break;
	}
	return 1;
}

/* ---- statistics ---- */

static int
l_socket_getstats(lua_State *L)
{
	const struct usock *u = sock_client(L);

	lua_pushnumber(L, (lua_Number)u->received);
	lua_pushnumber(L, (lua_Number)u->sent);
	lua_pushnumber(L, (lua_Number)(now_us() - u->born_us) / 1e6);
	return 3;
}

static int
l_socket_setstats(lua_State *L)
{
	struct usock *u = sock_client(L);

	u->received = (uint64_t)luaL_optnumber(L, 2, (lua_Number)u->received);
	u->sent = (uint64_t)luaL_optnumber(L, 3, (lua_Number)u->sent);
	if (!lua_isnoneornil(L, 4))
		u->born_us = now_us() - (uint64_t)(luaL_checknumber(L, 4) * 1e6);
	lua_pushnumber(L, 1);
	return 1;
}

static int
l_socket_dirty(lua_State *L)
{
	struct usock *u = sock_self(L);

	lua_pushboolean(L, u->c != NULL && io_sock_rx_len(u->c->s) > 0);
	return 1;
}

static const luaL_Reg methods[] = {
	{ "close", l_socket_close },
	{ "connect", l_socket_connect },
	{ "connect_ssl", l_socket_connect_ssl },
	{ "dirty", l_socket_dirty },
	{ "getfamily", l_socket_getfamily },
	{ "getfd", l_socket_getfd },
	{ "getoption", l_socket_getoption },
	{ "getpeername", l_socket_getpeername },
	{ "getreusedtimes", l_socket_getreusedtimes },
	{ "getsockname", l_socket_getsockname },
	{ "getstats", l_socket_getstats },
	{ "gettimeout", l_socket_gettimeout },
	{ "keep", l_socket_keep },
	{ "receive", l_socket_receive },
	{ "send", l_socket_send },
	{ "setkeepalive", l_socket_setkeepalive },
	{ "setoption", l_socket_setoption },
	{ "setpeername", l_socket_connect },
	{ "setstats", l_socket_setstats },
	{ "settimeout", l_socket_settimeout },
	{ "shutdown", l_socket_shutdown },
	{ NULL, NULL },
};

static void
open_socket(lua_State *L)
{
	api_class(L, API_SOCKET, "Socket", methods);
	lua_pop(L, 1);
	luaL_newmetatable(L, API_SOCKET ".ud");
	lua_pushcfunction(L, l_socket_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
	sock_state_new(L);
	lua_setfield(L, LUA_REGISTRYINDEX, API_SOCKET ".state");
}

SL_LUA_API({ "socket", open_socket, "client connections: core.tcp()" });
