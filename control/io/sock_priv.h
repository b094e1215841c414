/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/io: sockets of scripts. The user's half is sock.c, and sock_poll.c for those that its
 * thread serves itself; the io thread's is sock_io.c (connections), sock_tls.c, sock_name.c.
 */
#pragma once

#include <pthread.h>
#include <time.h>

#include "control/io/sock.h"
#include "dataplane/lcore/counter.h"

#define MAX_ADDRS 8 // of one name, tried in order

/* What the user asks for; bits of `todo`. */
#define TODO_OPEN  0x01u
#define TODO_TX    0x02u // bytes in tx
#define TODO_ROOM  0x04u // room in rx again
#define TODO_SHUT  0x08u
#define TODO_CLOSE 0x10u
#define TODO_ABORT 0x20u // with CLOSE

#define SWEEP_S 0.1 // between two looks at idle connections
#define PARK_NO      0u
#define PARK_EXPIRED UINT32_MAX

/*
 * A byte ring: positions run on, the index is their low bits. Writer and reader of each as said in
 * struct io_sock.
 */
#define RING_AT(pos) ((pos) & (IO_SOCK_BUF - 1))

struct name_query;
struct sock_tls;

struct io_sock {
	struct io_socks *all;
	struct sl_list node; // all->list, under its lock
	struct io_target to;
	struct io_sock_user u;
	struct io_sock *next_todo; // in all->inbox
	/* ==== user writes ==== */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) todo; // io clears
	_Atomic(uint32_t) tx_tail, rx_head;
	_Atomic(uint32_t) want;   // io clears
	_Atomic(uint32_t) parked; // PARK_NO, deadline in ms, io: PARK_EXPIRED
	bool shut;                // no more writes
	_Atomic(bool) own;   // served by the user's thread: what io writes and owns below is the user's then
	struct io_poll *poll; // of the user's thread; NULL: io serves all
	struct sl_list late;  // in poll->late
	struct sl_list park;  // in poll->parked
	uint64_t park_us;     // until when
	uint32_t armed;       // epoll events
	bool waits;           // counted in poll->waiting
	bool readable, hup;   // the kernel said so
	bool nodelay, written;
	bool ending, reset;   // closed by the user, not yet for the kernel; with a reset
	/* ==== io writes ==== */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) state;
	_Atomic(uint32_t) tx_head, rx_tail;
	_Atomic(bool) rx_full; // it stopped reading for lack of room
	_Atomic(int) fd;       // -1: none, or TLS or our own TCP lies between
	int err;               // before DEAD
	char why[120];
	struct ip_port local, remote;
	/* ==== io only ==== */
	alignas(SL_CACHE_LINE) struct ev_io io;
	_Atomic(int) kfd; // kernel socket or -1
	bool opened, closing, shut_asked, shut_done, paused;
	bool connecting; // the transport
	bool eof;        // of the transport
	bool eof_told;   // to the user
	struct io_conn *conn;
	struct sock_tls *tls;
	struct name_query *query;
	struct ip_port addr[MAX_ADDRS];
	uint8_t naddr, iaddr;
	uint8_t *rx, *tx;
};

struct io_socks {
	struct io_thread *io;
	struct io_loop *loop; // io thread
	const struct ports *ports;
	uint16_t nworkers, next_worker;
	uint32_t max;
	bool muted;   // io: users are not called any more
	bool stopped; // only memory is left
	struct waker *waker;
	struct io_source src;
	struct ev_timer sweep;
	struct names *names;
	struct tls_ctxs *tls;
	_Atomic(struct io_sock *) inbox; // the latest first
	pthread_mutex_t lock;            // list, open, spare
	struct sl_list list;
	uint32_t open;
	_Atomic(uint64_t) opened, refused, failed, expired;
	counter resolved, bad_names; // io writes
};

/* ---- sock_kernel.c: either thread ---- */
/* Does our own TCP serve the address? */
bool sock_is_ours(const struct io_sock *s, const struct ip_addr *a);
/* 0: connected; 1: on its way; -errno. *fd is the caller's in any case, -1: there is none. */
int sock_kernel_open(const struct io_sock *s, const struct ip_port *to, int *fd);
int sock_kernel_error(int fd);
void sock_kernel_nodelay(int fd);
/*
 * Acknowledgements with the next data, or as far as they are due at once. The handshake's, too, if it is said
 * before: the server then sees a client with its first bytes, or a tick later.
 */
void sock_kernel_ack(int fd, bool now);
/* abort: with a reset. */
void sock_kernel_close(struct io_sock *s, bool abort);

/* ---- sock_poll.c: the user's thread, for sockets that are `own` ---- */
/* Makes it own and starts to connect; false: only io can do that. */
bool poll_start(struct io_sock *s);
/* Memory of a socket that was closed, or NULL; size: of all before its buffers. */
void *poll_spare(struct io_poll *p, size_t size);
/* false: it has to be freed. */
bool poll_keep(struct io_sock *s);
/* Before a write of n bytes. */
void poll_nodelay(struct io_sock *s, uint32_t n);
/* Is a write of n bytes, with nothing before it, put off? Then poll_defer() is due behind it. */
bool poll_defers(const struct io_sock *s, uint32_t n);
void poll_defer(struct io_sock *s, uint32_t n);
/* More in tx behind what waits already. */
void poll_send(struct io_sock *s);
/* What was put off goes now. */
void poll_hurry(struct io_sock *s);
void poll_want(struct io_sock *s, uint32_t what);
/* There is room in rx again. */
void poll_consumed(struct io_sock *s);
void poll_shutdown(struct io_sock *s);
/* false: bytes are left to be sent; it is the io thread's now, which has to be told. */
bool poll_close(struct io_sock *s, bool abort);
void poll_park(struct io_sock *s, uint32_t idle_ms);
void poll_unpark(struct io_sock *s);

/* ---- sock_io.c ---- */
void sock_do(struct io_sock *s, uint32_t todo);
/* The end of a connection, or of the attempt. */
void sock_fail(struct io_sock *s, int err, const char *why);
void sock_up(struct io_sock *s);
void sock_eof(struct io_sock *s);
/* Bytes to the transport: how many it took, or -errno. */
int sock_raw_send(struct io_sock *s, const uint8_t *p, uint32_t n);
/* Addresses of a name. */
void sock_resolved(struct io_sock *s, const struct ip_addr *a, uint32_t n, const char *why);
void sock_sweep(struct io_socks *all);
/* Frees what io holds of it. */
void sock_drop(struct io_sock *s, bool abort);

/* Milliseconds of the monotonic clock, never one of the marks above; any thread. */
static inline uint32_t
sock_clock_ms(void)
{
	struct timespec ts;
	uint32_t ms;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ms = (uint32_t)ts.tv_sec * 1000 + (uint32_t)(ts.tv_nsec / 1000000);
	return ms == PARK_NO || ms == PARK_EXPIRED ? 1 : ms;
}

static inline bool
sock_is_own(const struct io_sock *s)
{
	return atomic_load_explicit(&s->own, memory_order_relaxed);
}

static inline void
sock_set(struct io_sock *s, uint32_t bits)
{
	atomic_fetch_or_explicit(&s->state, bits, memory_order_release);
}

/* Contiguous room in rx and bytes in tx, for io. */
static inline uint32_t
sock_rx_room(struct io_sock *s, uint8_t **p)
{
	uint32_t tail = atomic_load_explicit(&s->rx_tail, memory_order_relaxed);
	uint32_t used = tail - atomic_load_explicit(&s->rx_head, memory_order_acquire);

	*p = s->rx + RING_AT(tail);
	return sl_min(IO_SOCK_BUF - used, IO_SOCK_BUF - RING_AT(tail));
}

static inline uint32_t
sock_rx_free(struct io_sock *s)
{
	return IO_SOCK_BUF -
		(atomic_load_explicit(&s->rx_tail, memory_order_relaxed) -
			atomic_load_explicit(&s->rx_head, memory_order_acquire));
}

static inline void
sock_rx_put(struct io_sock *s, uint32_t n)
{
	atomic_store_explicit(&s->rx_tail,
		atomic_load_explicit(&s->rx_tail, memory_order_relaxed) + n, memory_order_release);
}

static inline uint32_t
sock_tx_bytes(struct io_sock *s, const uint8_t **p)
{
	uint32_t head = atomic_load_explicit(&s->tx_head, memory_order_relaxed);
	uint32_t n = atomic_load_explicit(&s->tx_tail, memory_order_acquire) - head;

	*p = s->tx + RING_AT(head);
	return sl_min(n, IO_SOCK_BUF - RING_AT(head));
}

static inline uint32_t
sock_tx_len(struct io_sock *s)
{
	return atomic_load_explicit(&s->tx_tail, memory_order_acquire) -
		atomic_load_explicit(&s->tx_head, memory_order_relaxed);
}

static inline bool
sock_tx_has(struct io_sock *s)
{
	return sock_tx_len(s) > 0;
}

static inline void
sock_tx_take(struct io_sock *s, uint32_t n)
{
	atomic_store_explicit(&s->tx_head,
		atomic_load_explicit(&s->tx_head, memory_order_relaxed) + n, memory_order_release);
}

/* ---- sock_name.c ---- */
struct names *names_new(struct io_socks *all);
void names_free(struct names *n);
/* Leads to sock_resolved(), perhaps at once. 0 or -ENOMEM. */
int name_lookup(struct names *n, struct io_sock *s);
void name_cancel(struct io_sock *s);

/* ---- sock_tls.c ---- */
struct tls_ctxs *tls_ctxs_new(void);
void tls_ctxs_free(struct tls_ctxs *c);
/* Begins the handshake; 0 or -errno with s->why. */
int tls_start(struct io_sock *s);
void tls_free(struct io_sock *s);
/* Bytes from the transport. */
int tls_input(struct io_sock *s, const uint8_t *p, uint32_t n);
/*
 * Moves what can be moved: handshake, records both ways. 1: bytes for the transport are left; 0;
 * -errno: it is over.
 */
int tls_pump(struct io_sock *s);
bool tls_is_up(const struct io_sock *s);
/* After the last byte: says goodbye. */
void tls_shutdown(struct io_sock *s);
