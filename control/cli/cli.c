// SPDX-License-Identifier: BSD-3-Clause
/*
 * The sockets of the runtime API: opening them, taking clients, removing what was made.
 *
 * Runs on: main. A socket file is made under another name and renamed, as HAProxy does, so that a
 * client meets the old socket or the new one and never none.
 */
#include "control/cli/cli_priv.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static void
on_client(struct ev_loop *ev, struct ev_io *io, int events sl_unused)
{
	struct cli_listener *l = io->data;
	struct cli *c = l->cli;
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	cli_accept(c, fd, l->bind);
	// full: further clients wait in the backlog until one leaves (client.c starts us again)
	for (uint32_t i = 0; c->stats.clients >= c->maxconn && i < c->nlisteners; i++)
		ev_io_stop(ev, &c->listener[i].io);
}

static int
unix_name(const struct cli_bind *b, const char *suffix, struct sockaddr_un *un, socklen_t *len)
{
	size_t head = b->kind == CLI_BIND_ABNS ? 1 : 0;
	int n;

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	n = snprintf(un->sun_path + head, sizeof(un->sun_path) - head, "%.*s%s", SL_STR_ARG(b->path),
		suffix);
	if (n < 0 || (size_t)n >= sizeof(un->sun_path) - head)
		return -ENAMETOOLONG;
	*len = head == 1 ? (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)
			 : sizeof(*un);
	return 0;
}

static int
set_file(const struct cli_bind *b, const char *path)
{
	if (b->mode != 0 && chmod(path, b->mode) < 0)
		return -errno;
	if ((b->uid >= 0 || b->gid >= 0) && chown(path, (uid_t)b->uid, (gid_t)b->gid) < 0)
		return -errno;
	return 0;
}

static int
open_unix(struct cli_listener *l, int fd)
{
	const struct cli_bind *b = l->bind;
	struct sockaddr_un tmp, final;
	socklen_t len;
	char suffix[32];
	int rc;

	snprintf(suffix, sizeof(suffix), ".%d.tmp", (int)getpid());
	rc = unix_name(b, b->kind == CLI_BIND_ABNS ? "" : suffix, &tmp, &len);
	if (rc < 0)
		return rc;
	if (b->kind == CLI_BIND_ABNS)
		return bind(fd, (struct sockaddr *)&tmp, len) < 0 ? -errno : 0;
	rc = unix_name(b, "", &final, &len);
	if (rc < 0)
		return rc;
	(void)unlink(tmp.sun_path);
	if (bind(fd, (struct sockaddr *)&tmp, sizeof(tmp)) < 0)
		return -errno;
	rc = set_file(b, tmp.sun_path);
	if (rc == 0 && rename(tmp.sun_path, final.sun_path) < 0)
		rc = -errno;
	if (rc < 0)
		(void)unlink(tmp.sun_path);
	l->own_file = rc == 0;
	return rc;
}

static int
open_tcp(const struct cli_bind *b, int fd)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(b->addr.port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(b->addr.port) };
	bool v6 = b->addr.ip.family == ADDR_V6;
	int on = 1;

	memcpy(&in.sin_addr, b->addr.ip.b, 4);
	memcpy(&in6.sin6_addr, b->addr.ip.b, 16);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (v6 ? bind(fd, (struct sockaddr *)&in6, sizeof(in6)) < 0
	       : bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		return -errno;
	return 0;
}

static int
open_one(struct cli_listener *l)
{
	const struct cli_bind *b = l->bind;
	int domain = b->kind == CLI_BIND_TCP
		? (b->addr.ip.family == ADDR_V6 ? AF_INET6 : AF_INET)
		: AF_UNIX;
	int rc = 0;

	if (b->kind == CLI_BIND_FD) {
		int flags = fcntl(b->fd, F_GETFL);

		if (flags < 0 || fcntl(b->fd, F_SETFL, flags | O_NONBLOCK) < 0)
			return -errno;
		l->fd = b->fd;
	} else {
		l->fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (l->fd < 0)
			return -errno;
		rc = domain == AF_UNIX ? open_unix(l, l->fd) : open_tcp(b, l->fd);
	}
	if (rc == 0 && listen(l->fd, BACKLOG) < 0)
		rc = -errno;
	return rc;
}

int
cli_new(const struct cli_spec *s, struct cli **out, char *err, size_t size)
{
	const struct global_conf *g = &s->model->global;
	struct cli *c;

	*out = NULL;
	if (g->ncli_binds == 0)
		return -ENOENT;
	c = calloc(1, sizeof(*c));
	if (c != NULL)
		c->listener = calloc(g->ncli_binds, sizeof(*c->listener));
	if (c == NULL || c->listener == NULL) {
		free(c);
		snprintf(err, size, "no memory for the runtime API");
		return -ENOMEM;
	}
	c->s = *s;
	c->maxconn = g->cli_maxconn != 0 ? g->cli_maxconn : CLI_MAXCONN;
	c->timeout_ms = g->cli_timeout_ms != 0 ? g->cli_timeout_ms : CLI_TIMEOUT_MS;
	sl_list_init(&c->clients);
	sl_list_init(&c->jobs);
	if (s->io != NULL)
		io_loop_handle(s->io, XMSG_SURVEYED, cli_surveyed, c);
	for (uint32_t i = 0; i < g->ncli_binds; i++) {
		struct cli_listener *l = &c->listener[i];
		int rc;

		l->cli = c;
		l->bind = &g->cli_binds[i];
		l->fd = -1;
		c->nlisteners++;
		rc = open_one(l);
		if (rc < 0) {
			snprintf(err, size, "[%s:%u] : stats socket '%.*s': cannot listen: %s",
				l->bind->pos.file, l->bind->pos.line, SL_STR_ARG(l->bind->text),
				strerror(-rc));
			cli_free(c);
			return rc;
		}
		ev_io_init(&l->io, on_client, l->fd, EV_READ);
		l->io.data = l;
		ev_io_start(s->ev, &l->io);
	}
	*out = c;
	return 0;
}

void
cli_free(struct cli *c)
{
	if (c == NULL)
		return;
	c->maxconn = 0; // no listener is started again
	while (!sl_list_is_empty(&c->clients))
		cli_client_free(sl_list_first(&c->clients, struct cli_client, node));
	cli_jobs_free(c);
	if (c->s.io != NULL)
		io_loop_handle(c->s.io, XMSG_SURVEYED, NULL, NULL);
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		struct cli_listener *l = &c->listener[i];
		char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

		if (ev_is_active(&l->io))
			ev_io_stop(c->s.ev, &l->io);
		if (l->fd >= 0)
			close(l->fd);
		if (l->own_file) {
			snprintf(path, sizeof(path), "%.*s", SL_STR_ARG(l->bind->path));
			io_path_unlink(path);
		}
	}
	free(c->listener);
	free(c);
}

void
cli_set_model(struct cli *c, const struct model *m)
{
	const struct global_conf *g = &m->global;

	if (c == NULL)
		return;
	c->s.model = m;
	c->maxconn = g->cli_maxconn != 0 ? g->cli_maxconn : CLI_MAXCONN;
	c->timeout_ms = g->cli_timeout_ms != 0 ? g->cli_timeout_ms : CLI_TIMEOUT_MS;
	for (uint32_t i = 0; i < c->nlisteners && i < g->ncli_binds; i++)
		c->listener[i].bind = &g->cli_binds[i];
}

void
cli_reload_done(struct cli *c, uint32_t run, bool ok, struct sl_str messages)
{
	if (c == NULL)
		return;
	sl_list_foreach_safe(n, &c->clients) {
		struct cli_client *x = sl_list_entry(n, struct cli_client, node);

		if (x->reload != run || run == 0)
			continue;
		x->reload = 0;
		// as HAProxy's master answers from 2.7 on
		cli_add(&x->out, ok ? "Success=1\n--\n" : "Success=0\n--\n", 13);
		cli_add(&x->out, messages.p, messages.len);
		cli_client_go_on(x);
	}
}

void
cli_get_stats(const struct cli *c, struct cli_stats *out)
{
	*out = c->stats;
}
