// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sockets of scripts: the user's half.
 *
 * Runs on: the user's thread (a script thread), but for start and stop (main) and the inbox (io).
 * A socket is in the inbox of the io thread at most once, however much is asked of it: nothing is
 * allocated per message, and no ring can be full. Each ring has one writer and one reader.
 * What a kernel socket takes at once is sent from here. Kernel sockets whose user has a poll of its own are
 * served there (sock_poll.c): the io thread would only be woken for them.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/io/sock_priv.h"

/* ---- to io ---- */

static void
ask(struct io_sock *s, uint32_t what)
{
	struct io_socks *all = s->all;
	struct io_sock *head;

	if (atomic_fetch_or_explicit(&s->todo, what, memory_order_acq_rel) != 0)
		return; // it is on its way
	head = atomic_load_explicit(&all->inbox, memory_order_relaxed);
	do {
		s->next_todo = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&all->inbox, &head, s, memory_order_release, memory_order_relaxed));
	waker_wake(all->waker);
}

static void
drain(void *ctx)
{
	struct io_socks *all = ctx;
	struct io_sock *s, *next, *ordered = NULL;

	if (atomic_load_explicit(&all->inbox, memory_order_relaxed) == NULL)
		return;
	s = atomic_exchange_explicit(&all->inbox, NULL, memory_order_acquire);
	for (; s != NULL; s = next) {
		next = s->next_todo;
		s->next_todo = ordered;
		ordered = s;
	}
	for (s = ordered; s != NULL; s = next) {
		next = s->next_todo; // it may be asked again from the next line on
		sock_do(s, atomic_exchange_explicit(&s->todo, 0, memory_order_acq_rel));
	}
}

static bool
waits(const void *ctx)
{
	struct io_socks *all = (struct io_socks *)(uintptr_t)ctx;

	return atomic_load_explicit(&all->inbox, memory_order_acquire) != NULL;
}

/* ---- life ---- */

int
io_sock_open(struct io_socks *all, const struct io_target *to, const struct io_sock_user *u,
	struct io_poll *poll, struct io_sock **out)
{
	size_t head = SL_ALIGN_UP(sizeof(struct io_sock), (size_t)SL_CACHE_LINE);
	size_t user = SL_ALIGN_UP(u->size, (size_t)SL_CACHE_LINE);
	struct io_sock *s = poll != NULL ? poll_spare(poll, head + user) : NULL;
	bool room;

	if (s == NULL)
		s = aligned_alloc(SL_CACHE_LINE, head + user + 2 * IO_SOCK_BUF);
	if (s == NULL)
		return -ENOMEM;
	memset(s, 0, head + user);
	s->poll = poll; // the list's readers look at these
	s->kfd = -1;
	pthread_mutex_lock(&all->lock);
	room = all->open < all->max;
	if (room) {
		all->open++;
		sl_list_add_tail(&all->list, &s->node);
	}
	pthread_mutex_unlock(&all->lock);
	if (!room) {
		free(s);
		atomic_fetch_add_explicit(&all->refused, 1, memory_order_relaxed);
		return -EMFILE;
	}
	s->all = all;
	s->to = *to;
	s->u = *u;
	atomic_init(&s->fd, -1);
	s->rx = (uint8_t *)s + head + user;
	s->tx = s->rx + IO_SOCK_BUF;
	atomic_fetch_add_explicit(&all->opened, 1, memory_order_relaxed);
	*out = s;
	return 0;
}

void *
io_sock_user(struct io_sock *s)
{
	return (uint8_t *)s + SL_ALIGN_UP(sizeof(*s), (size_t)SL_CACHE_LINE);
}

const struct io_target *
io_sock_target(const struct io_sock *s)
{
	return &s->to;
}

void
io_sock_start(struct io_sock *s)
{
	if (!poll_start(s))
		ask(s, TODO_OPEN);
}

static void
all_free(struct io_socks *all)
{
	pthread_mutex_destroy(&all->lock);
	free(all);
}

void
io_sock_close(struct io_sock *s, bool abort)
{
	struct io_socks *all = s->all;

	if (!all->stopped) {
		if (!sock_is_own(s))
			ask(s, TODO_CLOSE | (abort ? TODO_ABORT : 0));
		else if (!poll_close(s, abort))
			ask(s, TODO_OPEN | TODO_CLOSE);
		return;
	}
	sock_kernel_close(s, abort);
	io_sock_free(s);
	if (sl_list_is_empty(&all->list))
		all_free(all);
}

void
io_sock_free(struct io_sock *s)
{
	struct io_socks *all = s->all;

	pthread_mutex_lock(&all->lock);
	sl_list_del(&s->node);
	all->open--;
	pthread_mutex_unlock(&all->lock);
	// after the threads ended there is no poll of theirs any more
	if (all->stopped || s->poll == NULL || !poll_keep(s))
		free(s);
}

/* ---- state ---- */

uint32_t
io_sock_state(struct io_sock *s)
{
	return atomic_load_explicit(&s->state, memory_order_acquire);
}

int
io_sock_error(const struct io_sock *s, const char **text)
{
	*text = s->why;
	return s->err;
}

int
io_sock_fd(struct io_sock *s)
{
	// the descriptor of TLS is good for options, too
	if (sock_is_own(s)) { // what is asked for comes after it
		poll_hurry(s);
		poll_nodelay(s, UINT32_MAX);
	}
	return (io_sock_state(s) & IO_SOCK_CONNECTED) != 0 ? s->kfd : -1;
}

void
io_sock_addrs(struct io_sock *s, struct ip_port *local, struct ip_port *remote)
{
	*local = s->local;
	*remote = s->remote;
}

/* ---- bytes ---- */

uint32_t
io_sock_rx_len(struct io_sock *s)
{
	return atomic_load_explicit(&s->rx_tail, memory_order_acquire) -
		atomic_load_explicit(&s->rx_head, memory_order_relaxed);
}

uint32_t
io_sock_peek(struct io_sock *s, const uint8_t **p)
{
	uint32_t head = atomic_load_explicit(&s->rx_head, memory_order_relaxed);

	*p = s->rx + RING_AT(head);
	return sl_min(io_sock_rx_len(s), IO_SOCK_BUF - RING_AT(head));
}

void
io_sock_consume(struct io_sock *s, uint32_t n)
{
	uint32_t head = atomic_load_explicit(&s->rx_head, memory_order_relaxed) + n;

	atomic_store_explicit(&s->rx_head, head, memory_order_release);
	if (sock_is_own(s)) {
		poll_consumed(s);
		return;
	}
	atomic_thread_fence(memory_order_seq_cst); // against io: rx_full, then its last look at head
	if (unlikely(atomic_load_explicit(&s->rx_full, memory_order_relaxed)) &&
		io_sock_rx_len(s) <= IO_SOCK_BUF / 2)
		ask(s, TODO_ROOM);
}

/* Only while nothing is queued before it, and nothing lies between us and the kernel. */
static int
send_now(struct io_sock *s, const void *p, uint32_t n)
{
	int fd = atomic_load_explicit(&s->fd, memory_order_acquire);
	ssize_t got;

	if (fd < 0)
		return 0;
	if (sock_is_own(s))
		poll_nodelay(s, n);
	do {
		got = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (got < 0 && errno == EINTR);
	if (got >= 0)
		return (int)got;
	return errno == EAGAIN ? 0 : -errno;
}

int
io_sock_write(struct io_sock *s, const void *p, uint32_t n)
{
	uint32_t tail = atomic_load_explicit(&s->tx_tail, memory_order_relaxed);
	uint32_t used = tail - atomic_load_explicit(&s->tx_head, memory_order_acquire);
	uint32_t at = RING_AT(tail), room, part;
	bool defers = used == 0 && sock_is_own(s) && poll_defers(s, n);
	int done = 0;

	if (s->shut)
		return -EPIPE;
	if ((io_sock_state(s) & IO_SOCK_DEAD) != 0)
		return -s->err;
	if (used == 0 && !defers) {
		done = send_now(s, p, n);
		if (done < 0 || (uint32_t)done == n)
			return done;
		p = (const uint8_t *)p + done;
		n -= (uint32_t)done;
	}
	room = sl_min(IO_SOCK_BUF - used, n);
	if (room == 0)
		return done;
	part = sl_min(room, IO_SOCK_BUF - at);
	memcpy(s->tx + at, p, part);
	memcpy(s->tx, (const uint8_t *)p + part, room - part);
	atomic_store_explicit(&s->tx_tail, tail + room, memory_order_release);
	if (defers)
		poll_defer(s, n);
	else if (sock_is_own(s))
		poll_send(s);
	else
		ask(s, TODO_TX);
	return done + (int)room;
}

void
io_sock_want(struct io_sock *s, uint32_t what)
{
	if (sock_is_own(s)) {
		poll_want(s, what);
		return;
	}
	atomic_fetch_or_explicit(&s->want, what, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

void
io_sock_shutdown(struct io_sock *s)
{
	s->shut = true;
	if (sock_is_own(s))
		poll_shutdown(s);
	else
		ask(s, TODO_SHUT);
}

/* ---- idle connections ---- */

void
io_sock_park(struct io_sock *s, uint32_t idle_ms)
{
	uint32_t until;

	if (sock_is_own(s)) {
		poll_park(s, idle_ms);
		return;
	}
	until = sock_clock_ms() + sl_min(idle_ms, (uint32_t)INT32_MAX);
	if (until == PARK_NO || until == PARK_EXPIRED)
		until = 1;
	atomic_store_explicit(&s->parked, until, memory_order_release);
}

/* Did the peer close it or say something? The kernel knows before the io thread does. */
static bool
is_quiet(struct io_sock *s)
{
	int fd = atomic_load_explicit(&s->fd, memory_order_acquire);
	char c;

	if (fd >= 0 && (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN))
		return false;
	// after it: io may have taken meanwhile what the kernel had
	return io_sock_state(s) == IO_SOCK_CONNECTED && io_sock_rx_len(s) == 0;
}

bool
io_sock_unpark(struct io_sock *s)
{
	uint32_t until = atomic_load_explicit(&s->parked, memory_order_relaxed);

	if (sock_is_own(s)) {
		if (s->park.next == NULL)
			return false;
		poll_unpark(s);
		return is_quiet(s);
	}
	return until != PARK_EXPIRED &&
		atomic_compare_exchange_strong_explicit(&s->parked, &until, PARK_NO,
			memory_order_acq_rel, memory_order_relaxed) &&
		is_quiet(s);
}

/* ---- start and stop; main ---- */

static void
on_sweep(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	sock_sweep(t->data);
}

struct attach {
	struct io_socks *all;
	int rc;
};

static void
attach(struct io_loop *l, void *ctx)
{
	struct attach *a = ctx;
	struct io_socks *all = a->all;

	all->loop = l;
	all->waker = io_loop_waker(l);
	all->names = names_new(all);
	all->tls = tls_ctxs_new();
	if (all->names == NULL || all->tls == NULL) {
		names_free(all->names);
		tls_ctxs_free(all->tls);
		a->rc = -ENOMEM;
		return;
	}
	all->src = (struct io_source){ .drain = drain, .waits = waits, .ctx = all };
	io_source_add(l, &all->src);
	ev_timer_init(&all->sweep, on_sweep, SWEEP_S, SWEEP_S);
	all->sweep.data = all;
}

static void
detach(struct io_loop *l, void *ctx)
{
	struct io_socks *all = ctx;

	all->muted = true;
	drain(all);
	ev_timer_stop(io_loop_ev(l), &all->sweep);
	io_source_del(&all->src);
	sl_list_foreach(n, &all->list) {
		struct io_sock *s = sl_list_entry(n, struct io_sock, node);

		if (!sock_is_own(s))
			sock_drop(s, true);
	}
	names_free(all->names);
	tls_ctxs_free(all->tls);
}

int
io_socks_start(const struct io_socks_spec *spec, struct io_socks **out)
{
	struct io_socks *all = calloc(1, sizeof(*all));
	struct attach a = { .all = all };

	if (all == NULL)
		return -ENOMEM;
	all->io = spec->io;
	all->ports = spec->ports;
	all->nworkers = spec->nworkers;
	all->max = spec->max;
	sl_list_init(&all->list);
	pthread_mutex_init(&all->lock, NULL);
	io_thread_run(spec->io, attach, &a);
	if (a.rc < 0) {
		all_free(all);
		return a.rc;
	}
	*out = all;
	return 0;
}

static void
mute(struct io_loop *l sl_unused, void *ctx)
{
	((struct io_socks *)ctx)->muted = true;
}

void
io_socks_mute(struct io_socks *all)
{
	if (all != NULL)
		io_thread_run(all->io, mute, all);
}

void
io_socks_stop(struct io_socks *all)
{
	if (all == NULL)
		return;
	io_thread_run(all->io, detach, all);
	all->stopped = true;
	sl_list_foreach_safe(n, &all->list) {
		struct io_sock *s = sl_list_entry(n, struct io_sock, node);

		if (s->closing)
			io_sock_free(s);
	}
	if (sl_list_is_empty(&all->list))
		all_free(all);
}

void
io_socks_get_stats(struct io_socks *all, struct io_socks_stats *out)
{
	*out = (struct io_socks_stats){
		.opened = atomic_load_explicit(&all->opened, memory_order_relaxed),
		.refused = atomic_load_explicit(&all->refused, memory_order_relaxed),
		.failed = atomic_load_explicit(&all->failed, memory_order_relaxed),
		.expired = atomic_load_explicit(&all->expired, memory_order_relaxed),
		.names = counter_get(&all->resolved),
		.bad_names = counter_get(&all->bad_names),
	};
	pthread_mutex_lock(&all->lock);
	out->open = all->open;
	pthread_mutex_unlock(&all->lock);
}
