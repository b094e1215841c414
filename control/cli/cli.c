// SPDX-License-Identifier: BSD-3-Clause
/*
 * The sockets of the runtime API: opening them, taking clients, removing what was made.
 *
 * Runs on: main. Sockets are opened as those of "bind" lines are (control/io), but that without "mode"
 * the umask counts.
 */
#include "control/cli/cli_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static void
on_client(struct ev_loop *ev, struct ev_io *io, int events sl_unused)
{
	struct cli_listener *l = io->data;
	struct cli *c = l->cli;
	int fd;

	cli_turn_begin(c);
	fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		cli_accept(c, fd, l->bind);
	cli_turn_end(c);
	// full: further clients wait in the backlog until one leaves (client.c starts us again)
	for (uint32_t i = 0; c->stats.clients >= c->maxconn && i < c->nlisteners; i++)
		ev_io_stop(ev, &c->listener[i].io);
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
	cli_turns_init(c, g->cli_share);
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
	cli_turns_fini(c);
	cli_jobs_free(c);
	cli_capture_free(c);
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
	cli_turns_set(c, g->cli_share);
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
