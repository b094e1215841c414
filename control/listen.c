// SPDX-License-Identifier: BSD-3-Clause
/*
 * Listening sockets of the host: opened on main, before anything that takes long or gives up rights;
 * accepted from on the io thread.
 *
 * Runs on: main.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/daemon.h"

#define BACKLOG_MAX 65535u
#define OLD_TRIES   500 // of 10 ms: for the process before to stop listening

int
listen_backlog(const struct model *m, const struct listen_addr *b)
{
	uint32_t n = b->backlog;

	if (n == 0)
		n = b->fe->maxconn != 0 ? b->fe->maxconn : m->global.maxconn;
	return (int)sl_min(n, BACKLOG_MAX);
}

const struct listen_addr *
listen_find(const struct model *m, const struct ip_port *addr)
{
	for (uint32_t i = 0; i < m->nbinds; i++) {
		if (addr_port_eq(&m->binds[i]->addr, addr))
			return m->binds[i];
	}
	return NULL;
}

void
listen_adjust(struct daemon *d, const struct listen_addr *was, const struct listen_addr *b)
{
	const struct host_sock *hs = addr_host_sock(&b->addr.ip);
	mode_t mode = b->has_mode ? (mode_t)b->mode : 0777;
	bool moved = was->uid != b->uid || was->gid != b->gid;
	int rc = 0;

	if (hs == NULL || hs->fd >= 0 || hs->name[0] == '\0')
		return;
	if (moved)
		rc = chown(hs->name, b->uid < 0 ? geteuid() : (uid_t)b->uid,
			b->gid < 0 ? getegid() : (gid_t)b->gid);
	if (rc == 0 && (moved || was->has_mode != b->has_mode || was->mode != b->mode))
		rc = chmod(hs->name, mode);
	if (rc < 0)
		daemon_say(d, SL_WARNING,
			"[%s:%u] : the rights of '%s' could not be changed (%s): they hold from a "
			"restart on",
			b->pos.file, b->pos.line, hs->name, strerror(errno));
}

int
listen_one(struct daemon *d, const struct model *m, const struct listen_addr *b, int *out)
{
	struct io_listen_opts o = { .v6only = b->v6only,
		.has_mode = b->has_mode,
		.mode = (mode_t)b->mode,
		.uid = (uid_t)b->uid,
		.gid = (gid_t)b->gid,
		.backlog = listen_backlog(m, b) };
	char text[160];
	struct sl_buf t;

	*out = io_listen_open(&b->addr, &o);
	// -sf, -st: the one before has it, and gives it up when it is told
	for (int i = 0; *out == -EADDRINUSE && d->opt->nold > 0 && i < OLD_TRIES; i++) {
		struct timespec ms = { .tv_nsec = 10000000 };

		daemon_end_old(d);
		nanosleep(&ms, NULL);
		*out = io_listen_open(&b->addr, &o);
	}
	if (*out >= 0)
		return 0;
	sl_buf_init(&t, text, sizeof(text));
	addr_format_port(&t, &b->addr);
	snprintf(d->err.text, sizeof(d->err.text),
		"[%s:%u] : Starting %s %.*s: cannot bind socket (%s) for [%.*s]%s", b->pos.file,
		b->pos.line, (b->fe->caps & PX_CAP_BE) != 0 ? "proxy" : "frontend",
		SL_STR_ARG(b->fe->name), strerror(-*out), SL_STR_ARG(sl_buf_str(&t)),
		*out == -EADDRNOTAVAIL && m->nports > 0
			? "; it is the address of no port section either"
			: "");
	return *out;
}

/* The parent sees it where the daemon's root is not its own. */
static void
note(struct daemon *d, struct sl_str path)
{
	char text[PARENT_SOCKET];
	struct sl_buf b;
	int rc = -ENAMETOOLONG;

	sl_buf_init(&b, text, sizeof(text) - 1);
	sl_buf_add(&b, sl_str_c(d->clean.root));
	sl_buf_add(&b, path);
	if (!b.full) {
		text[b.len] = '\0';
		rc = parent_add_socket(&d->clean, text);
	}
	if (rc < 0)
		daemon_say(d, SL_WARNING, "'%.*s' would stay behind a daemon that is killed (%s)",
			SL_STR_ARG(path), strerror(-rc));
}

static bool
has_cli_bind(const struct model *m, const struct cli_bind *b)
{
	for (uint32_t i = 0; i < m->global.ncli_binds; i++) {
		const struct cli_bind *other = &m->global.cli_binds[i];

		if (other->kind == b->kind && sl_str_eq(other->path, b->path))
			return true;
	}
	return false;
}

/*
 * Behind a chroot what was opened before has another name than what is opened now: only the latter is
 * told, under the new one.
 */
void
listen_note(struct daemon *d, const struct model *m)
{
	const struct model *was = d->chrooted ? d->model : NULL;

	parent_sockets_made(&d->clean);
	for (uint32_t i = 0; i < m->nbinds; i++) {
		const struct host_sock *hs = addr_host_sock(&m->binds[i]->addr.ip);

		if (hs != NULL && hs->fd < 0 && hs->name[0] == '/' &&
			(was == NULL || listen_find(was, &m->binds[i]->addr) == NULL))
			note(d, sl_str_c(hs->name));
	}
	for (uint32_t i = 0; i < m->global.ncli_binds; i++) {
		const struct cli_bind *b = &m->global.cli_binds[i];

		if (b->kind == CLI_BIND_UNIX && (was == NULL || !has_cli_bind(was, b)))
			note(d, b->path);
	}
}

int
listen_up(struct daemon *d)
{
	const struct model *m = d->model;

	d->listen_fd = malloc(sizeof(int) * (m->nbinds + 1));
	if (d->listen_fd == NULL)
		return daemon_fail(d, -ENOMEM, "no memory for listeners");
	d->nlisten = m->nbinds;
	for (uint32_t i = 0; i < m->nbinds; i++)
		d->listen_fd[i] = -1;
	for (uint32_t i = 0; i < m->nbinds; i++) {
		int rc = m->binds[i]->addr.host ? listen_one(d, m, m->binds[i], &d->listen_fd[i]) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

void
listen_unlink(const struct listen_addr *b)
{
	const struct host_sock *hs = addr_host_sock(&b->addr.ip);

	if (hs != NULL && hs->fd < 0 && hs->name[0] != '\0')
		io_path_unlink(hs->name);
}

void
listen_down(struct daemon *d)
{
	for (uint32_t i = 0; i < d->nlisten; i++) {
		if (d->listen_fd[i] >= 0)
			close(d->listen_fd[i]);
	}
	for (uint32_t i = 0; d->listen_fd != NULL && i < d->model->nbinds; i++)
		listen_unlink(d->model->binds[i]);
	free(d->listen_fd);
	d->listen_fd = NULL;
	d->nlisten = 0;
}
