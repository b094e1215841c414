/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of control/io for scripts: client sockets that another thread (the user) drives. Bytes lie in two
 * rings of fixed size, one a direction; the user never waits and the io thread never waits for it. What
 * carries them: a kernel socket, or our own TCP where the address is in the subnet of a port; TLS over
 * both; names through c-ares. Plain kernel sockets to an address are served by the user's thread itself
 * in an io_poll; the io thread serves the others, and all of a user without one.
 *
 * Life: io_sock_open() at once gives a socket that connects; io_sock_close() lets go; io_sock_user's
 * `gone` is the last that is done with it, whereupon the user's thread frees it.
 * All functions are the user's, one thread per socket, unless said otherwise.
 */
#pragma once

#include "control/io/io.h"
#include "dataplane/base/str.h"

#define IO_SOCK_BUF  16384u // bytes that wait per direction
#define IO_SOCK_NAME 256u   // of a host or path, with its NUL

struct io_socks; // all sockets of one io thread
struct io_sock;

struct io_socks_spec {
	struct io_thread *io;
	const struct ports *ports; // our own TCP serves their subnets; NULL: none
	uint16_t nworkers;
	uint32_t max; // sockets at a time
};
/* Main. After io_thread_start(); end it when the users' threads have ended. 0 or -Exxx. */
int io_socks_start(const struct io_socks_spec *s, struct io_socks **out);
/* No more calls of users from now on: before their threads end. */
void io_socks_mute(struct io_socks *all);
/* After their threads ended. What a user still holds it may, and must, io_sock_close() later. */
void io_socks_stop(struct io_socks *all);

/* Main: the thread that this poll belongs to is lost; all its connections end. */
struct io_poll;
void io_socks_cut(struct io_socks *all, const struct io_poll *of);

struct io_socks_stats {
	uint64_t opened;   // sockets ever
	uint64_t refused;  // over the bound
	uint64_t failed;   // connections that did not come to stand
	uint64_t expired;  // idle ones closed in time
	uint64_t names;    // resolved
	uint64_t bad_names;
	uint32_t open; // now
};
/* Any thread. */
void io_socks_get_stats(struct io_socks *all, struct io_socks_stats *out);

enum io_target_kind { IO_TARGET_IP, IO_TARGET_NAME, IO_TARGET_UNIX, IO_TARGET_ABNS };

struct io_tls {
	char sni[IO_SOCK_NAME];  // "": none; it is also the name that the certificate must have
	char ca[IO_SOCK_NAME];   // file of certificates; "": the system's
	char alpn[64];           // wire format: length, name, …
	uint8_t alpn_len;
	bool verify;
};

struct io_target {
	enum io_target_kind kind;
	bool host; // a kernel socket whatever the address
	bool tls;
	struct ip_port ip;       // IO_TARGET_IP; port for names too
	char name[IO_SOCK_NAME]; // host, path, abstract name
	struct io_tls sec;
};

/*
 * Where a user's thread sleeps, and what it has to look at while it does not: one a thread, all functions
 * are that thread's, but for new and free. w is the thread's own waker, which ends a sleep, too.
 */
struct io_poll;
int io_poll_new(struct waker *w, struct io_poll **out);
void io_poll_free(struct io_poll *p);
/* Sockets for which something is to come: as long as there are any, io_poll_run() is due now and then. */
uint32_t io_poll_waiting(const struct io_poll *p);
/*
 * Short writes and ends of connections are put off until here, or until the next look at what came: a server
 * is woken once for those of several users. Due before the thread does anything else for long, and before
 * io_socks_stop().
 */
void io_poll_flush(struct io_poll *p);
/* Takes what came, at once: users are told from here. How many events. */
uint32_t io_poll_run(struct io_poll *p);
/* Waits for it, or a wake, or timeout_us (UINT64_MAX: none); clears the waker's flag, if it is up. */
uint32_t io_poll_wait(struct io_poll *p, uint64_t timeout_us);

/* On the io thread, or the user's own in io_poll; must not block. */
struct io_sock_user {
	void (*notify)(void *user); // state or rings changed
	void (*gone)(void *user);   // after io_sock_close(): io_sock_free() is due
	size_t size;                // bytes of `user`, zeroed, freed with the socket
};

/*
 * 0 and *out; -EMFILE: the bound; -ENOMEM. The user's memory is there before anything is told. poll: the
 * thread's own, which is there as long as the socket, or NULL.
 */
int io_sock_open(struct io_socks *all, const struct io_target *to, const struct io_sock_user *u,
	struct io_poll *poll, struct io_sock **out);
void *io_sock_user(struct io_sock *s);
const struct io_target *io_sock_target(const struct io_sock *s);
/*
 * Starts connecting. A server on this machine may be connected when it returns: then no notify() says so.
 * In an io_poll, what the peer does is told from the first io_sock_want() or io_sock_park() on.
 */
void io_sock_start(struct io_sock *s);
/* The io thread closes it and says `gone`. abort: what is queued is dropped. */
void io_sock_close(struct io_sock *s, bool abort);
/* After `gone`, on the user's thread. */
void io_sock_free(struct io_sock *s);

#define IO_SOCK_CONNECTED 0x1u
#define IO_SOCK_EOF       0x2u // the peer finished; bytes may be left to read
#define IO_SOCK_DEAD      0x4u // io_sock_error() says why
uint32_t io_sock_state(struct io_sock *s);
/* errno, and a text where there is a better one than strerror()'s ("" else). */
int io_sock_error(const struct io_sock *s, const char **text);
#define IO_SOCK_ENAME 1001 // the name could not be resolved
#define IO_SOCK_ETLS  1002

/* Contiguous bytes at the front of what was received; 0: none. */
uint32_t io_sock_peek(struct io_sock *s, const uint8_t **p);
uint32_t io_sock_rx_len(struct io_sock *s);
void io_sock_consume(struct io_sock *s, uint32_t n);
/* Takes up to n bytes; returns how many, or -errno (-EPIPE after shutdown). */
int io_sock_write(struct io_sock *s, const void *p, uint32_t n);
/*
 * notify() will come when there are bytes to read or room to write, or the state changes. Look once
 * more after it.
 */
#define IO_SOCK_WANT_RX 0x1u
#define IO_SOCK_WANT_TX 0x2u
void io_sock_want(struct io_sock *s, uint32_t what);
/* End of our direction after what is queued. */
void io_sock_shutdown(struct io_sock *s);

/* Parks an idle connection: the io thread closes it (DEAD, notify) after idle_ms. */
void io_sock_park(struct io_sock *s, uint32_t idle_ms);
/* Takes it back; false: too late, or the peer closed it or sent something unasked. */
bool io_sock_unpark(struct io_sock *s);

/* The kernel's descriptor while connected, else -1: for setsockopt(), getsockname(). */
int io_sock_fd(struct io_sock *s);
/* Addresses of a connection over our own TCP. */
void io_sock_addrs(struct io_sock *s, struct ip_port *local, struct ip_port *remote);
