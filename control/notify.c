// SPDX-License-Identifier: BSD-3-Clause
/*
 * sd_notify(3) in a few lines: datagrams to the service manager, without its library.
 *
 * Runs on: main. The socket is opened and connected at the start, because later 'chroot' hides the
 * path; it stays open until the process ends. Only with -Ws, as HAProxy. The unit needs
 * NotifyAccess=all: the process that it started is the parent.
 */
#include "control/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/daemon.h"

int
notify_open(bool enabled, int *fd)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = path != NULL ? strlen(path) : 0;
	int rc = 0;

	*fd = -1;
	if (!enabled || len == 0)
		return 0;
	if (len >= sizeof(un.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -EINVAL;
	memcpy(un.sun_path, path, len);
	if (path[0] == '@') // a name of the abstract namespace
		un.sun_path[0] = '\0';
	*fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -errno;
	if (connect(*fd, (struct sockaddr *)&un,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0) {
		rc = -errno;
		close(*fd);
		*fd = -1;
	}
	return rc;
}

int
notify_send(int fd, const char *text)
{
	if (fd < 0)
		return 0;
	return send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

void
daemon_tell_systemd(struct daemon *d, const char *text)
{
	int rc = notify_send(d->notify_fd, text);

	if (rc < 0)
		daemon_say(d, SL_WARNING, "NOTIFY_SOCKET: %s", strerror(-rc));
}
