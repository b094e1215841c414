// SPDX-License-Identifier: BSD-3-Clause
/*
 * Kernel sockets of scripts: how one is made and starts to connect.
 *
 * Runs on: the io thread, and the user's for what it serves itself. Nothing here blocks.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/io/sock_priv.h"

/* Is the address in the subnet of one of our ports? They are settled before scripts run. */
bool
sock_is_ours(const struct io_sock *s, const struct ip_addr *a)
{
	const struct ports *p = s->all->ports;

	for (uint16_t i = 0; !s->to.host && p != NULL && i < p->n; i++) {
		for (uint32_t k = 0; k < p->port[i].naddrs; k++) {
			if (addr_in_net(a, &p->port[i].addr[k]))
				return true;
		}
	}
	return false;
}

static socklen_t
unix_addr(const struct io_target *to, struct sockaddr_un *un)
{
	size_t n = strnlen(to->name, sizeof(un->sun_path) - 1);
	bool abns = to->kind == IO_TARGET_ABNS;

	un->sun_family = AF_UNIX;
	memcpy(un->sun_path + abns, to->name, n);
	// HAProxy's abns@: the name is padded with zeroes to the whole length
	return abns ? (socklen_t)sizeof(*un)
		    : (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
}

static socklen_t
ip_addr(const struct ip_port *a, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *in = (struct sockaddr_in *)out;

	if (a->ip.family == ADDR_V4) {
		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		in->sin_addr.s_addr = a->ip.v4;
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(a->port);
	memcpy(&in6->sin6_addr, a->ip.b, 16);
	return sizeof(*in6);
}

int
sock_kernel_error(int fd)
{
	socklen_t len = sizeof(int);
	int err = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

void
sock_kernel_nodelay(int fd)
{
	const int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void
sock_kernel_ack(int fd, bool now)
{
	const int on = now;

	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

int
sock_kernel_open(const struct io_sock *s, const struct ip_port *to, int *fd)
{
	bool local = s->to.kind == IO_TARGET_UNIX || s->to.kind == IO_TARGET_ABNS;
	struct sockaddr_storage sa = { 0 };
	socklen_t len = local ? unix_addr(&s->to, (struct sockaddr_un *)&sa) : ip_addr(to, &sa);

	*fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -errno;
	if (!local && sock_is_own(s))
		sock_kernel_ack(*fd, false);
	else if (!local)
		sock_kernel_nodelay(*fd);
	if (connect(*fd, (struct sockaddr *)&sa, len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	// a server on this machine has been connected by now
	len = sizeof(sa);
	return getpeername(*fd, (struct sockaddr *)&sa, &len) == 0 ? 0 : 1;
}

void
sock_kernel_close(struct io_sock *s, bool abort)
{
	const struct linger now = { .l_onoff = 1 };
	bool own = sock_is_own(s); // against sock_cut.c, which finds it by the list
	int fd;

	atomic_store_explicit(&s->fd, -1, memory_order_release);
	fd = s->kfd;
	if (fd < 0)
		return;
	if (abort)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	if (own)
		pthread_mutex_lock(&s->all->lock);
	s->kfd = -1;
	close(fd);
	if (own)
		pthread_mutex_unlock(&s->all->lock);
}
