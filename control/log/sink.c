// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where lines go: a stream or datagrams, never waiting for the reader.
 *
 * Runs on: main. O_NONBLOCK belongs to the open file, which the shell and other processes share, so
 * pipes and terminals are opened again for ourselves (those of another user cannot be: they are asked
 * first whether they take a page); sockets are written with MSG_DONTWAIT; regular files never block.
 * What the reader does not take waits in 64 KiB, then whole lines are dropped and counted; when it goes
 * away, those that waited move from the lines taken to those dropped, so that the sum is exact. A datagram
 * that the kernel does not take at once is dropped and counted; where that happened REFUSED_MAX times in
 * a row nobody reads, and the kernel is asked again after REST_NS.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/io/io.h"
#include "control/log/log_priv.h"

#define REFUSED_MAX 256u      // a burst of lines may find the queue of a reader full so often
#define REST_NS     20000000u // less than a person who starts the reader again notices

static ssize_t
put(struct sink *s, const char *p, size_t n)
{
	struct pollfd ask = { .fd = s->fd, .events = POLLOUT };
	ssize_t w;

	if (s->shared) {
		if (poll(&ask, 1, 0) <= 0)
			return -EAGAIN;
		n = sl_min(n, (size_t)PIPE_BUF); // what a pipe that is writable takes at once
	}
	do {
		w = s->sock ? send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(s->fd, p, n);
	} while (w < 0 && errno == EINTR);
	return w < 0 ? -errno : w;
}

static void
mark_end(struct sink *s, uint32_t at)
{
	s->ends[at / 64] |= UINT64_C(1) << at % 64;
}

/* Forgets the ends of lines among n waiting bytes; returns how many there were. */
static uint32_t
take_ends(struct sink *s, uint32_t n)
{
	uint32_t lines = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = (s->head + i) % SINK_BUF;
		uint64_t bit = UINT64_C(1) << at % 64;

		lines += (s->ends[at / 64] & bit) != 0;
		s->ends[at / 64] &= ~bit;
	}
	return lines;
}

/* Nobody will read what waits. */
static void
drop_waiting(struct sink *s)
{
	uint32_t n = take_ends(s, s->len);

	atomic_fetch_sub_explicit(&s->lines, n, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->lost, n, memory_order_relaxed);
	s->len = 0;
}

bool
sink_flush(struct sink *s)
{
	while (s->len > 0 && !s->dead) {
		uint32_t at = s->head % SINK_BUF;
		uint32_t n = sl_min(s->len, SINK_BUF - at);
		ssize_t w = put(s, s->buf + at, n);

		if (w == -EAGAIN || w == -EWOULDBLOCK)
			break;
		if (w <= 0) {
			s->dead = true;
			drop_waiting(s);
			break;
		}
		s->full = false;
		(void)take_ends(s, (uint32_t)w);
		s->head += (uint32_t)w;
		s->len -= (uint32_t)w;
	}
	if (s->ev != NULL && s->len > 0)
		ev_io_start(s->ev, &s->io);
	else if (s->ev != NULL)
		ev_io_stop(s->ev, &s->io);
	return s->len == 0;
}

static void
on_writable(struct ev_loop *ev sl_unused, struct ev_io *w, int events sl_unused)
{
	sink_flush(w->data);
}

static uint64_t
coarse_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void
sink_lose(struct sink *s)
{
	atomic_fetch_add_explicit(&s->lost, 1, memory_order_relaxed);
}

bool
sink_is_stuck(const struct sink *s)
{
	return s->dead || s->full || (s->refused >= REFUSED_MAX && coarse_ns() < s->rests_until);
}

static void
datagram(struct sink *s, const char *line, uint32_t len)
{
	if (sendto(s->fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&s->to,
		    s->to_len) >= 0) {
		s->refused = 0;
		atomic_fetch_add_explicit(&s->lines, 1, memory_order_relaxed);
		return;
	}
	sink_lose(s);
	if (++s->refused >= REFUSED_MAX) {
		s->refused = REFUSED_MAX;
		s->rests_until = coarse_ns() + REST_NS;
	}
}

void
sink_line(struct sink *s, const char *line, uint32_t len)
{
	uint32_t at, n;

	if (sink_is_stuck(s)) {
		sink_lose(s);
		return;
	}
	if (s->dgram) {
		datagram(s, line, len);
		return;
	}
	if (len > SINK_BUF - s->len) {
		s->full = true;
		sink_lose(s);
		return;
	}
	at = (s->head + s->len) % SINK_BUF;
	n = sl_min(len, SINK_BUF - at);
	memcpy(s->buf + at, line, n);
	memcpy(s->buf, line + n, len - n);
	s->len += len;
	mark_end(s, (s->head + s->len - 1) % SINK_BUF);
	atomic_fetch_add_explicit(&s->lines, 1, memory_order_relaxed);
}

int
sink_open(struct sink *s, struct ev_loop *ev, int fd)
{
	char path[64];
	struct stat st;

	memset(s, 0, offsetof(struct sink, buf));
	s->ev = ev;
	s->fd = fd;
	s->dead = true;
	if (fd < 0 || fstat(fd, &st) != 0)
		return -EBADF;
	if (S_ISSOCK(st.st_mode)) {
		s->sock = true;
	} else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		s->fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		s->own = s->fd >= 0;
		s->shared = !s->own;
		if (s->shared)
			s->fd = fd;
	}
	s->dead = false;
	ev_io_init(&s->io, on_writable, s->fd, EV_WRITE);
	s->io.data = s;
	// epoll refuses regular files; they take everything at once anyway
	if (S_ISREG(st.st_mode))
		s->ev = NULL;
	return 0;
}

int
sink_open_dgram(struct sink *s, const struct ip_port *to)
{
	memset(s, 0, offsetof(struct sink, buf));
	s->dgram = s->own = true;
	s->to_len = io_addr_to(to, &s->to);
	s->fd = s->to_len > 0 ? socket(s->to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	s->dead = s->fd < 0;
	if (!s->dead)
		return 0;
	s->own = false;
	return s->to_len > 0 ? -errno : -EAFNOSUPPORT;
}

void
sink_close(struct sink *s)
{
	if (s->ev != NULL && s->fd >= 0)
		ev_io_stop(s->ev, &s->io);
	drop_waiting(s);
	if (s->own)
		close(s->fd);
	s->own = false;
	s->dead = true;
	s->fd = -1;
}
