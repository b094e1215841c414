// SPDX-License-Identifier: BSD-3-Clause
/*
 * The connections of a user's thread that is lost: it will not close them, and their servers wait.
 *
 * Runs on: the io thread, for main. The thread may come back at any time and go on for a while with what it
 * knows: so nothing is freed here. What it serves itself has its descriptor turned into one that is no
 * socket, under the lock under which such a descriptor is closed; what the io thread serves fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/io/sock_priv.h"

struct cut {
	struct io_socks *all;
	const struct io_poll *of;
};

/* The kernel's socket ends, the number stays taken. */
static void
cut_fd(int fd)
{
	int none = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (none < 0 || dup3(none, fd, O_CLOEXEC) < 0)
		shutdown(fd, SHUT_RDWR);
	if (none >= 0)
		close(none);
}

static void
cut(struct io_loop *l sl_unused, void *ctx)
{
	const struct cut *c = ctx;

	pthread_mutex_lock(&c->all->lock);
	sl_list_foreach(n, &c->all->list) {
		struct io_sock *s = sl_list_entry(n, struct io_sock, node);
		int fd;

		if (s->poll != c->of)
			continue;
		if (!sock_is_own(s))
			sock_fail(s, ECANCELED, NULL);
		fd = s->kfd;
		if (fd >= 0)
			cut_fd(fd);
	}
	pthread_mutex_unlock(&c->all->lock);
}

void
io_socks_cut(struct io_socks *all, const struct io_poll *of)
{
	struct cut c = { .all = all, .of = of };

	if (all != NULL && of != NULL)
		io_thread_run(all->io, cut, &c);
}
