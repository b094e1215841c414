// SPDX-License-Identifier: BSD-3-Clause
/*
 * Listening sockets of the kernel: connections go to the workers in turn.
 *
 * Runs on: the io thread.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/io/host_priv.h"

#define ACCEPTS 16

void
hlisten_on_pause_over(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct io_host *h = t->data;

	h->paused = false;
	sl_list_foreach(n, &h->listeners)
		ev_io_start(h->ev, &sl_list_entry(n, struct hlisten, node)->r);
}

/* Connections stay in the kernel's queue meanwhile. */
static void
pause_accepting(struct io_host *h)
{
	counter_inc(&h->st.pauses);
	h->paused = true;
	sl_list_foreach(n, &h->listeners)
		ev_io_stop(h->ev, &sl_list_entry(n, struct hlisten, node)->r);
	ev_timer_set(&h->pause, HLISTEN_PAUSE_S, 0.);
	ev_timer_start(h->ev, &h->pause);
}

static bool
accept_one(struct hlisten *l)
{
	struct io_host *h = l->h;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct hsock *s;
	int fd;

	if (h->nsocks >= h->max_socks) {
		counter_inc(&h->st.no_socket);
		pause_accepting(h);
		return false;
	}
	fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		// EINVAL: shut down by whoever gave it to us
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_accepting(h);
		return errno == EINTR || errno == ECONNABORTED;
	}
	s = hsock_new(h, h->next);
	if (s == NULL) {
		close(fd);
		pause_accepting(h);
		return false;
	}
	h->next = (uint16_t)((h->next + 1) % h->n);
	counter_inc(&h->st.accepts);
	hsock_set_fd(s, fd, peer.ss_family != AF_UNIX);
	s->acc.listen = l->addr;
	if (peer.ss_family == AF_UNIX) {
		s->acc.local = s->acc.remote = l->addr;
	} else {
		io_addr_from(&peer, &s->acc.remote);
		hsock_name(fd, false, &s->acc.local);
	}
	s->flags |= HS_ACC_DUE;
	hsock_report(s);
	return true;
}

static void
on_acceptable(struct ev_loop *ev sl_unused, struct ev_io *w, int events sl_unused)
{
	for (int i = 0; i < ACCEPTS && accept_one(w->data); i++)
		;
}

int
io_host_listen(struct io_host *h, const struct ip_port *addr, int fd)
{
	struct hlisten *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	*l = (struct hlisten){ .h = h, .addr = *addr, .fd = fd };
	ev_io_init(&l->r, on_acceptable, fd, EV_READ);
	l->r.data = l;
	if (!h->paused)
		ev_io_start(h->ev, &l->r);
	sl_list_add_tail(&h->listeners, &l->node);
	return 0;
}

static void
listener_free(struct hlisten *l)
{
	ev_io_stop(l->h->ev, &l->r);
	close(l->fd);
	sl_list_del(&l->node);
	free(l);
}

void
io_host_unlisten(struct io_host *h, const struct ip_port *addr)
{
	sl_list_foreach_safe(n, &h->listeners) {
		struct hlisten *l = sl_list_entry(n, struct hlisten, node);

		if (!addr_port_eq(&l->addr, addr))
			continue;
		while (!h->paused && accept_one(l))
			;
		listener_free(l);
	}
}

void
io_host_backlog(struct io_host *h, const struct ip_port *addr, int backlog)
{
	sl_list_foreach(n, &h->listeners) {
		const struct hlisten *l = sl_list_entry(n, struct hlisten, node);

		if (addr_port_eq(&l->addr, addr))
			(void)listen(l->fd, backlog); // it listens: only the number changes
	}
}

void
io_host_unlisten_all(struct io_host *h)
{
	sl_list_foreach_safe(n, &h->listeners)
		listener_free(sl_list_entry(n, struct hlisten, node));
}
