// SPDX-License-Identifier: BSD-3-Clause
/*
 * The listening sockets of the runtime API, and how they follow a reload: those of the next model are
 * opened before anything changes, those that both have go on, those that it has not are closed.
 *
 * Runs on: main. Sockets are opened as those of "bind" lines are (control/io), but that without "mode"
 * the umask counts. Clients do not hang from them: who is connected stays, whatever becomes of the socket.
 */
#include "control/cli/cli_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static void
on_client(struct ev_loop *ev sl_unused, struct ev_io *io, int events sl_unused)
{
	struct cli_listener *l = io->data;
	struct cli *c = l->cli;
	int fd;

	cli_turn_begin(c);
	fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		cli_accept(c, fd, l->bind);
		cli_listen_go(c);
	}
	cli_turn_end(c);
}

/* Full: further clients wait in the backlog until one leaves. */
void
cli_listen_go(struct cli *c)
{
	bool room = c->stats.clients < c->maxconn;

	sl_list_foreach(n, &c->listeners) {
		struct cli_listener *l = sl_list_entry(n, struct cli_listener, node);

		if (room)
			ev_io_start(c->s.ev, &l->io);
		else
			ev_io_stop(c->s.ev, &l->io);
	}
}

/* The address of a "stats socket" line as control/io takes addresses; *hs: memory for a path. */
static int
address(const struct cli_bind *b, struct host_sock *hs, struct ip_port *a)
{
	uint32_t head = b->kind == CLI_BIND_ABNS ? 1 : 0; // the byte before an abstract name

	if (b->kind == CLI_BIND_TCP) {
		*a = b->addr;
		a->host = true;
		return 0;
	}
	*hs = (struct host_sock){ .fd = b->kind == CLI_BIND_FD ? b->fd : -1 };
	if (b->path.len + 1 > sizeof(hs->name))
		return -ENAMETOOLONG;
	memcpy(hs->name + head, b->path.p, b->path.len);
	hs->len = b->path.len + 1; // that byte, or the path's NUL
	*a = (struct ip_port){ .ip.family = ADDR_UNIX, .host = true };
	a->ip.q[0] = (uintptr_t)hs;
	return 0;
}

static int
open_one(struct cli_listener *l)
{
	const struct cli_bind *b = l->bind;
	struct io_listen_opts o = { .backlog = BACKLOG,
		.has_mode = b->mode != 0,
		.keep_umask = true,
		.mode = b->mode,
		.uid = (uid_t)b->uid,
		.gid = (gid_t)b->gid };
	struct host_sock hs;
	struct ip_port a;
	int rc = address(b, &hs, &a);

	if (rc < 0)
		return rc;
	l->fd = io_listen_open(&a, &o);
	if (l->fd < 0)
		return l->fd;
	l->own_file = b->kind == CLI_BIND_UNIX;
	return 0;
}

static void
close_one(struct cli_listener *l)
{
	const struct cli_bind *b = l->bind;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	ev_io_stop(l->cli->s.ev, &l->io);
	close(l->fd);
	if (l->own_file) {
		snprintf(path, sizeof(path), "%.*s", SL_STR_ARG(b->path));
		io_path_unlink(path);
	}
	sl_list_del(&l->node);
	free(l);
}

static void
close_all(struct sl_list *all)
{
	while (!sl_list_is_empty(all))
		close_one(sl_list_first(all, struct cli_listener, node));
}

/* The same address, whatever its options. */
static bool
same_place(const struct cli_bind *a, const struct cli_bind *b)
{
	if (a->kind != b->kind || a->master != b->master)
		return false;
	switch (a->kind) {
	case CLI_BIND_TCP:
		return addr_port_eq(&a->addr, &b->addr);
	case CLI_BIND_FD:
		return a->fd == b->fd;
	default:
		return sl_str_eq(a->path, b->path);
	}
}

static struct cli_listener *
listener_of(struct sl_list *all, const struct cli_bind *b)
{
	sl_list_foreach(n, all) {
		struct cli_listener *l = sl_list_entry(n, struct cli_listener, node);

		if (same_place(l->bind, b))
			return l;
	}
	return NULL;
}

int
cli_prepare(struct cli *c, const struct model *m, char *err, size_t size)
{
	for (uint32_t i = 0; i < m->global.ncli_binds; i++) {
		const struct cli_bind *b = &m->global.cli_binds[i];
		struct cli_listener *l;
		int rc;

		if (listener_of(&c->listeners, b) != NULL)
			continue;
		l = calloc(1, sizeof(*l));
		rc = -ENOMEM;
		if (l != NULL) {
			*l = (struct cli_listener){ .cli = c, .bind = b };
			rc = open_one(l);
		}
		if (rc < 0) {
			free(l);
			snprintf(err, size, "[%s:%u] : stats socket '%.*s': cannot listen: %s",
				b->pos.file, b->pos.line, SL_STR_ARG(b->text), strerror(-rc));
			return rc;
		}
		ev_io_init(&l->io, on_client, l->fd, EV_READ);
		l->io.data = l;
		sl_list_add_tail(&c->fresh, &l->node);
	}
	return 0;
}

void
cli_abandon(struct cli *c)
{
	if (c != NULL)
		close_all(&c->fresh);
}

/* There is no other call that tells it; for that moment files that scripts make have none. */
static mode_t
umask_now(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return mask;
}

/* The rights of a path that stays. */
static void
adjust(struct cli *c, const struct cli_bind *was, const struct cli_bind *b)
{
	bool moved = was->uid != b->uid || was->gid != b->gid;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)], text[512];
	int rc = 0;

	if (b->kind != CLI_BIND_UNIX)
		return;
	snprintf(path, sizeof(path), "%.*s", SL_STR_ARG(b->path));
	if (moved)
		rc = chown(path, b->uid < 0 ? geteuid() : (uid_t)b->uid,
			b->gid < 0 ? getegid() : (gid_t)b->gid);
	if (rc == 0 && (moved || was->mode != b->mode))
		rc = chmod(path, b->mode != 0 ? (mode_t)b->mode : 0777 & ~umask_now());
	if (rc == 0)
		return;
	snprintf(text, sizeof(text),
		"[%s:%u] : the rights of '%s' could not be changed (%s): they hold from a restart on",
		b->pos.file, b->pos.line, path, strerror(errno));
	log_post(c->s.log, LOG_CORE, SL_WARNING, sl_str_c(text));
}

void
cli_listen_follow(struct cli *c, const struct model *m)
{
	struct sl_list gone;

	sl_list_init(&gone);
	sl_list_foreach_safe(n, &c->listeners) {
		sl_list_del(n);
		sl_list_add_tail(&gone, n);
	}
	// in the order of the lines
	for (uint32_t i = 0; i < m->global.ncli_binds; i++) {
		const struct cli_bind *b = &m->global.cli_binds[i];
		struct cli_listener *l = listener_of(&gone, b);

		if (l != NULL)
			adjust(c, l->bind, b);
		else
			l = listener_of(&c->fresh, b);
		if (l == NULL) // a line twice
			continue;
		l->bind = b;
		sl_list_del(&l->node);
		sl_list_add_tail(&c->listeners, &l->node);
	}
	close_all(&gone);
	cli_listen_go(c);
}

void
cli_listen_end(struct cli *c)
{
	close_all(&c->fresh);
	close_all(&c->listeners);
}
