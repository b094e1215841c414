// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sockets of the host over a reload: new ones are open before anything changes, those that stay are never
 * closed, and of those that go the kernel's queue is emptied first.
 *
 * Runs on: main; what io has to do, on the io thread, while main waits.
 */
#include <stdlib.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/reload_priv.h"

static bool
has_bind(const struct model *m, const struct ip_port *addr)
{
	return listen_find(m, addr) != NULL;
}

int
reload_sockets_open(struct reload *r)
{
	const struct model *m = r->next;
	int rc = 0;

	r->fd = malloc(sizeof(int) * (m->nbinds + 1));
	if (r->fd == NULL)
		return daemon_fail(r->d, -ENOMEM, "no memory for listeners");
	for (uint32_t i = 0; i < m->nbinds; i++)
		r->fd[i] = -1;
	for (uint32_t i = 0; i < m->nbinds && rc == 0; i++) {
		const struct listen_addr *b = m->binds[i];

		// what survives stays open: nobody who connects meanwhile is turned away
		if (b->addr.host && !has_bind(r->d->model, &b->addr))
			rc = listen_one(r->d, m, b, &r->fd[i]);
	}
	return rc;
}

void
reload_sockets_end(struct io_loop *l sl_unused, void *ctx)
{
	struct reload *r = ctx;
	const struct model *m = r->d->model;

	for (uint32_t i = 0; i < m->nbinds; i++) {
		if (m->binds[i]->addr.host && !has_bind(r->next, &m->binds[i]->addr))
			io_host_unlisten(r->d->host, &m->binds[i]->addr);
	}
}

void
reload_sockets_begin(struct io_loop *l sl_unused, void *ctx)
{
	struct reload *r = ctx;
	const struct model *m = r->d->model;

	for (uint32_t i = 0; i < m->nbinds; i++) {
		if (r->fd[i] < 0 && m->binds[i]->addr.host)
			io_host_backlog(
				r->d->host, &m->binds[i]->addr, listen_backlog(m, m->binds[i]));
		if (r->fd[i] >= 0 && io_host_listen(r->d->host, &m->binds[i]->addr, r->fd[i]) == 0)
			r->fd[i] = -1;
	}
}

void
reload_sockets_switch(struct reload *r)
{
	struct daemon *d = r->d;
	const struct model *was = d->model, *m = r->next;

	for (uint32_t i = 0; i < was->nbinds; i++) {
		if (was->binds[i]->addr.host && !has_bind(m, &was->binds[i]->addr))
			listen_unlink(was->binds[i]);
	}
	// what the kernel knows of those that stay, as far as it takes another word
	for (uint32_t i = 0; i < m->nbinds; i++) {
		const struct listen_addr *b = m->binds[i], *old = listen_find(was, &b->addr);

		if (b->addr.host && old != NULL)
			listen_adjust(d, old, b);
	}
}

void
reload_sockets_close(struct reload *r)
{
	for (uint32_t i = 0; r->fd != NULL && i < r->next->nbinds; i++) {
		if (r->fd[i] >= 0)
			close(r->fd[i]);
	}
	free(r->fd);
	r->fd = NULL;
}
