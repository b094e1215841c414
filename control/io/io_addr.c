// SPDX-License-Identifier: BSD-3-Clause
/*
 * Addresses between our form and the kernel's, and listening sockets.
 *
 * Runs on: any thread; io_listen_open() on main while it starts, before rights are given up.
 * Follows: HAProxy, which unlinks a path before it binds it, and takes a descriptor that it
 * inherited as it is.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/io/io.h"

void
io_addr_from(const struct sockaddr_storage *ss, struct ip_port *out)
{
	memset(out, 0, sizeof(*out));
	out->host = true;
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;

		out->ip.family = ADDR_V4;
		memcpy(out->ip.b, &in->sin_addr, 4);
		out->port = ntohs(in->sin_port);
	} else if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)ss;

		out->ip.family = ADDR_V6;
		memcpy(out->ip.b, &in->sin6_addr, 16);
		out->port = ntohs(in->sin6_port);
	}
}

socklen_t
io_addr_to(const struct ip_port *a, struct sockaddr_storage *ss)
{
	const struct host_sock *hs = addr_host_sock(&a->ip);

	memset(ss, 0, sizeof(*ss));
	if (a->ip.family == ADDR_V4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip.b, 4);
		return sizeof(*in);
	}
	if (a->ip.family == ADDR_V6) {
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)ss;

		in->sin6_family = AF_INET6;
		in->sin6_port = htons(a->port);
		memcpy(&in->sin6_addr, a->ip.b, 16);
		return sizeof(*in);
	}
	if (hs != NULL && hs->fd < 0) {
		struct sockaddr_un *un = (struct sockaddr_un *)ss;

		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, hs->name, hs->len);
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + hs->len);
	}
	return 0;
}

/* A descriptor that was inherited: a stream socket that listens, or will. */
static int
inherited(int given, int backlog)
{
	int type = 0, on = 0, fd;
	socklen_t len = sizeof(type);

	if (getsockopt(given, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	if (type != SOCK_STREAM)
		return -ESOCKTNOSUPPORT;
	len = sizeof(on);
	if (getsockopt(given, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) < 0)
		return -errno;
	if (on == 0 && listen(given, backlog) < 0)
		return -errno;
	// one of our own, so that it may be closed
	fd = fcntl(given, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/* Under a name of its own until it is complete: clients never see a socket with wrong rights. */
static int
bind_path(int fd, struct sockaddr_un *un, socklen_t len, const struct io_listen_opts *o)
{
	struct sockaddr_un tmp = *un;
	int rc = 0;

	if (un->sun_path[0] == '\0')
		return bind(fd, (struct sockaddr *)un, len) < 0 ? -errno : 0;
	if (snprintf(tmp.sun_path, sizeof(tmp.sun_path), "%s.%d.tmp", un->sun_path,
		    (int)getpid()) >= (int)sizeof(tmp.sun_path))
		return -ENAMETOOLONG;
	if (unlink(tmp.sun_path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&tmp, sizeof(tmp)) < 0)
		return -errno;
	if ((o->has_mode && chmod(tmp.sun_path, o->mode) < 0) ||
		((o->uid != (uid_t)-1 || o->gid != (gid_t)-1) &&
			chown(tmp.sun_path, o->uid, o->gid) < 0) ||
		listen(fd, o->backlog) < 0 || rename(tmp.sun_path, un->sun_path) < 0)
		rc = -errno;
	if (rc < 0)
		unlink(tmp.sun_path);
	return rc;
}

void
io_path_unlink(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct stat st;
	int fd;

	if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0 && errno == ECONNREFUSED)
		unlink(path);
	close(fd);
}

int
io_listen_open(const struct ip_port *a, const struct io_listen_opts *o)
{
	const struct host_sock *hs = addr_host_sock(&a->ip);
	struct sockaddr_storage ss;
	int fd, rc = 0, one = 1, v6only = o->v6only;
	mode_t mask;
	socklen_t len;

	if (hs != NULL && hs->fd >= 0)
		return inherited(hs->fd, o->backlog);
	len = io_addr_to(a, &ss);
	if (len == 0)
		return -EAFNOSUPPORT;
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ss.ss_family == AF_UNIX) {
		mask = umask(0); // as HAProxy without "mode": open to all that reach the folder
		if (o->keep_umask)
			umask(mask);
		rc = bind_path(fd, (struct sockaddr_un *)&ss, len, o);
		umask(mask);
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (ss.ss_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
		if (bind(fd, (struct sockaddr *)&ss, len) < 0)
			rc = -errno;
	}
	if (rc == 0 && listen(fd, o->backlog) < 0)
		rc = -errno;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}
