/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to lua/api: the class Socket. api_socket.c: life, connecting, options; api_socket_io.c:
 * bytes; api_socket_pool.c: idle connections; socket_addr.c: addresses.
 */
#pragma once

#include "control/io/sock.h"
#include "lua/api/api.h"

struct sock_state; // of a Lua state: its idle connections
struct usock;

/* One connection: the user's part of an io_sock. */
struct sconn {
	struct script_note news, gone; // to the script thread
	struct script_thread *thread;
	struct io_sock *s;
	struct usock *u; // whose it is; NULL: idle, or closed
	struct sock_pool *pool;
	struct sl_list idle;
	uint32_t reused;
};

enum sock_step { SOCK_MASTER, SOCK_CLIENT }; // as LuaSocket's tcp{master}, tcp{client}

/* What a function that waits must know when it runs on. One a direction. */
struct sock_op {
	struct script_wait wait;
	uint64_t until_us; // SCRIPT_FOREVER
	uint64_t total;    // bytes done
	uint64_t wanted;
	char mode;
};

/* The userdata at [0] of the object. */
struct usock {
	struct script_scoped scoped;
	struct sock_state *state;
	struct sconn *c; // NULL: not connected, or closed
	enum sock_step step;
	bool keep;    // outlives calls that end well
	bool rd_shut; // shutdown("receive")
	double block, total; // timeouts in seconds; < 0: none
	uint64_t born_us, received, sent;
	struct sock_op rx, tx;
};

#define API_SOCKET "sl.socket"

/* The userdata of the object at index 1, which takes its place on the stack. */
struct usock *sock_self(lua_State *L);
/* As sock_self(), but raises unless it was connected once. */
struct usock *sock_client(lua_State *L);
/* Lets go of the connection. */
void sock_close(struct usock *u, bool abort);
/* Begins an operation: its end by the timeouts. */
void sock_begin(struct usock *u, struct sock_op *op);
/* Suspends until there is news or time is over; k looks again. Raises where it cannot wait. */
int sock_wait(lua_State *L, struct usock *u, struct sock_op *op, uint32_t want, const char *what,
	script_k k);
bool sock_is_late(const struct sock_op *op);
/* LuaSocket's word for an error of a connection. */
const char *sock_words(int err, const char *why);
const char *sock_conn_words(const struct sconn *c);

/* ---- socket_addr.c ---- */
/*
 * Address at stack index 2, port at 3 (may be missing where the address has one). NULL, or what is
 * wrong with them.
 */
const char *sock_target(lua_State *L, struct io_target *to);

/* ---- api_socket_io.c ---- */
int l_socket_receive(lua_State *L);
int l_socket_send(lua_State *L);

/* ---- api_socket_pool.c ---- */
struct sock_state *sock_state_new(lua_State *L); // a userdata on the stack
/* An idle connection to the target, or NULL. */
struct sconn *pool_take(struct sock_state *st, const struct io_target *to);
/* Makes room by closing the one that was idle longest; false: none is. */
bool pool_shed(struct sock_state *st);
/* It is over with an idle connection. */
void pool_drop(struct sconn *c);
int l_socket_setkeepalive(lua_State *L);
int l_socket_getreusedtimes(lua_State *L);
