// SPDX-License-Identifier: BSD-3-Clause
/*
 * Names of hosts, through c-ares, on the loop of the io thread.
 *
 * Runs on: the io thread. Follows: /etc/hosts and /etc/resolv.conf, read at start, as c-ares does;
 * both families are asked. How many may be under way is bounded by the sockets.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "control/io/sock_priv.h"

#define MAX_FDS 32

struct names {
	struct io_socks *all;
	ares_channel ch;
	struct ev_timer timer;
	struct ev_io io[MAX_FDS];
	int fd[MAX_FDS]; // -1: free
	bool leaving;
};

struct name_query {
	struct io_sock *s; // NULL: nobody waits any more
};

static struct ev_loop *
loop_of(const struct names *n)
{
	return io_loop_ev(n->all->loop);
}

/* When c-ares wants to be called next. */
static void
rearm(struct names *n)
{
	struct timeval tv, *at = ares_timeout(n->ch, NULL, &tv);

	ev_timer_stop(loop_of(n), &n->timer);
	if (at == NULL)
		return;
	ev_timer_set(&n->timer, (double)at->tv_sec + (double)at->tv_usec / 1e6 + 0.001, 0.);
	ev_timer_start(loop_of(n), &n->timer);
}

static void
on_timer(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct names *n = t->data;

	ares_process_fd(n->ch, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(n);
}

static void
on_io(struct ev_loop *ev sl_unused, struct ev_io *w, int events)
{
	struct names *n = w->data;
	int fd = w->fd;

	ares_process_fd(n->ch, events & EV_READ ? fd : ARES_SOCKET_BAD,
		events & EV_WRITE ? fd : ARES_SOCKET_BAD);
	rearm(n);
}

/* c-ares has a socket, or wants other events of it, or none any more. */
static void
on_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct names *n = ctx;
	int at = -1;

	for (int i = 0; i < MAX_FDS; i++) {
		if (n->fd[i] == fd) {
			at = i;
			break;
		}
		if (n->fd[i] < 0 && at < 0)
			at = i;
	}
	if (at < 0)
		return; // its timeout answers
	ev_io_stop(loop_of(n), &n->io[at]);
	n->fd[at] = -1;
	if (!readable && !writable)
		return;
	n->fd[at] = fd;
	ev_io_init(&n->io[at], on_io, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
	n->io[at].data = n;
	ev_io_start(loop_of(n), &n->io[at]);
}

/* As LuaSocket says it. */
static const char *
words(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
	case ARES_EBADNAME:
	case ARES_ENONAME:
		return "host or service not provided, or not known";
	case ARES_ETIMEOUT:
	case ARES_ECONNREFUSED:
		return "temporary failure in name resolution";
	default:
		return ares_strerror(status);
	}
}

static void
on_answer(void *ctx, int status, int timeouts sl_unused, struct ares_addrinfo *info)
{
	struct name_query *q = ctx;
	struct ip_addr a[MAX_ADDRS];
	uint32_t n = 0;

	memset(a, 0, sizeof(a));
	if (status == ARES_SUCCESS) {
		for (struct ares_addrinfo_node *i = info->nodes; i != NULL && n < MAX_ADDRS;
			i = i->ai_next) {
			if (i->ai_family == AF_INET) {
				a[n].family = ADDR_V4;
				a[n++].v4 = ((struct sockaddr_in *)i->ai_addr)->sin_addr.s_addr;
			} else if (i->ai_family == AF_INET6) {
				a[n].family = ADDR_V6;
				memcpy(a[n++].b, &((struct sockaddr_in6 *)i->ai_addr)->sin6_addr, 16);
			}
		}
		ares_freeaddrinfo(info);
	}
	if (q->s != NULL)
		sock_resolved(q->s, a, n, words(status == ARES_SUCCESS ? ARES_ENODATA : status));
	free(q);
}

struct names *
names_new(struct io_socks *all)
{
	struct names *n = calloc(1, sizeof(*n));
	struct ares_options o = { .sock_state_cb = on_state };

	if (n == NULL)
		return NULL;
	n->all = all;
	o.sock_state_cb_data = n;
	for (int i = 0; i < MAX_FDS; i++)
		n->fd[i] = -1;
	ev_timer_init(&n->timer, on_timer, 0., 0.);
	n->timer.data = n;
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		free(n);
		return NULL;
	}
	if (ares_init_options(&n->ch, &o, ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS) {
		ares_library_cleanup();
		free(n);
		return NULL;
	}
	return n;
}

void
names_free(struct names *n)
{
	if (n == NULL)
		return;
	ares_destroy(n->ch); // answers all that is under way
	ev_timer_stop(loop_of(n), &n->timer);
	ares_library_cleanup();
	free(n);
}

int
name_lookup(struct names *n, struct io_sock *s)
{
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct name_query *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return -ENOMEM;
	q->s = s;
	s->query = q;
	ares_getaddrinfo(n->ch, s->to.name, NULL, &hints, on_answer, q);
	rearm(n);
	return 0;
}

void
name_cancel(struct io_sock *s)
{
	s->query->s = NULL;
	s->query = NULL;
}
