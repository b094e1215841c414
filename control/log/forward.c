// SPDX-License-Identifier: BSD-3-Clause
/*
 * A ring's server: its lines over TCP (or a path), each sent once or held.
 *
 * Runs on: main. Follows: HAProxy 2.6 configuration manual 3.9; RFC 6587 for "log-proto". A line
 * counts as sent when the kernel has all of it; a connection that ends in the middle of one begins with
 * that line anew. One that cannot be made, or takes nothing for "timeout server", is tried again a
 * second later. What the server says is read and thrown away.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/io/io.h"
#include "control/log/log_priv.h"

#define AGAIN_S 1. // HAProxy's pace

enum forward_state { FWD_IDLE, FWD_CONNECTING, FWD_UP };

struct forward {
	struct sl_list node;       // of the ring's
	struct ring_reader reader; // at the first line that is not sent
	uint64_t read;             // behind the last one in buf
	struct ev_loop *ev;
	struct ev_io io;
	struct ev_timer timer; // to connect, to be read, or to try again
	enum forward_state state;
	int fd;
	char name[64];
	struct sockaddr_storage to;
	socklen_t to_len;
	bool octet_count, keep;
	uint32_t connect_ms, server_ms;
	uint32_t len, sent; // of buf; sent: bytes of the line at `reader` and those behind it
	char buf[16384];
};

static void connect_now(struct forward *f);

static void
arm(struct forward *f, double s)
{
	f->timer.repeat = s;
	ev_timer_again(f->ev, &f->timer); // 0: stops
}

static void
want(struct forward *f, int events)
{
	if ((f->io.events & (EV_READ | EV_WRITE)) == events && ev_is_active(&f->io))
		return;
	ev_io_stop(f->ev, &f->io);
	ev_io_set(&f->io, f->fd, events);
	ev_io_start(f->ev, &f->io);
}

/* What was sent in part is sent again as a whole. */
static void
hang_up(struct forward *f, double again_s)
{
	if (f->fd >= 0) {
		ev_io_stop(f->ev, &f->io);
		close(f->fd);
	}
	f->fd = -1;
	f->state = FWD_IDLE;
	f->len = f->sent = 0;
	f->read = f->reader.at;
	arm(f, again_s);
}

#define FRAME_MAX (LOG_LINE + 16) // a line, its length or its newline

/* A line as it goes over the wire, FRAME_MAX bytes at most; its length. */
static uint32_t
frame(const struct forward *f, uint64_t at, char *out)
{
	char line[LOG_LINE];
	uint32_t n = ring_peek(&f->reader, at, line, sizeof(line)), head = 0;

	if (f->octet_count)
		head = (uint32_t)snprintf(out, FRAME_MAX, "%u ", n);
	memcpy(out + head, line, n);
	if (!f->octet_count)
		out[n++] = '\n';
	return head + n;
}

static void
fill(struct forward *f)
{
	while (f->read != f->reader.ring->head && sizeof(f->buf) - f->len > FRAME_MAX) {
		f->len += frame(f, f->read, f->buf + f->len);
		f->read = ring_after(&f->reader, f->read);
	}
}

/* Lines that have left whole are the ring's to overwrite. */
static void
settle(struct forward *f)
{
	char line[FRAME_MAX];

	while (f->sent > 0) {
		uint32_t n = frame(f, f->reader.at, line);

		if (f->sent < n)
			return;
		f->sent -= n;
		f->len -= n;
		memmove(f->buf, f->buf + n, f->len);
		f->reader.at = ring_after(&f->reader, f->reader.at);
	}
}

/* True: all is sent. */
static bool
pump(struct forward *f)
{
	for (;;) {
		ssize_t n;

		fill(f);
		if (f->sent == f->len)
			break;
		n = send(f->fd, f->buf + f->sent, f->len - f->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			hang_up(f, AGAIN_S);
			return false;
		}
		if (n < 0) {
			want(f, EV_READ | EV_WRITE);
			if (!ev_is_active(&f->timer))
				arm(f, f->server_ms / 1000.);
			return false;
		}
		f->sent += (uint32_t)n;
		settle(f);
		arm(f, 0.);
	}
	want(f, EV_READ);
	return true;
}

static void
established(struct forward *f)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err != 0) {
		hang_up(f, AGAIN_S);
		return;
	}
	f->state = FWD_UP;
	arm(f, 0.);
	pump(f);
}

static void
on_io(struct ev_loop *ev sl_unused, struct ev_io *w, int events)
{
	struct forward *f = w->data;
	char dull[1024];
	ssize_t n;

	if (f->state == FWD_CONNECTING) {
		established(f);
		return;
	}
	if ((events & EV_READ) != 0) {
		n = recv(f->fd, dull, sizeof(dull), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			hang_up(f, AGAIN_S);
			return;
		}
	}
	if ((events & EV_WRITE) != 0)
		pump(f);
}

static void
on_timer(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct forward *f = t->data;

	if (f->state == FWD_IDLE)
		connect_now(f);
	else // not connected, or nothing taken, in time
		hang_up(f, AGAIN_S);
}

static void
connect_now(struct forward *f)
{
	int fd = f->to_len == 0
		? -1
		: socket(f->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	arm(f, AGAIN_S);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&f->to, f->to_len) < 0 && errno != EINPROGRESS) {
		close(fd);
		return;
	}
	f->fd = fd;
	f->state = FWD_CONNECTING;
	arm(f, f->connect_ms / 1000.);
	want(f, EV_WRITE);
}

static void
on_more(void *ctx)
{
	struct forward *f = ctx;

	if (f->state == FWD_UP && f->sent == f->len)
		pump(f);
}

static void
forward_close(struct forward *f)
{
	struct ring *r = f->reader.ring;
	uint64_t lost = 0;

	for (uint64_t at = f->reader.at; at != r->head; at = ring_after(&f->reader, at))
		lost++;
	atomic_fetch_add_explicit(&r->dropped, lost, memory_order_relaxed);
	hang_up(f, 0.);
	ring_detach(&f->reader);
	sl_list_del(&f->node);
	free(f);
}

void
forward_close_all(struct ring *r)
{
	sl_list_foreach_safe(n, &r->forwards)
		forward_close(sl_list_entry(n, struct forward, node));
}

static struct forward *
forward_new(struct ring *r, struct ev_loop *ev, const struct ring_server *s)
{
	struct forward *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->ev = ev;
	f->fd = -1;
	f->to_len = io_addr_to(&s->addr, &f->to);
	f->octet_count = s->octet_count;
	snprintf(f->name, sizeof(f->name), "%.*s", SL_STR_ARG(s->name));
	ev_io_init(&f->io, on_io, -1, EV_WRITE);
	f->io.data = f;
	ev_timer_init(&f->timer, on_timer, 0., 0.);
	f->timer.data = f;
	f->reader.holds = true;
	f->reader.more = on_more;
	f->reader.ctx = f;
	ring_attach(r, &f->reader, true);
	f->read = f->reader.at;
	sl_list_add_tail(&r->forwards, &f->node);
	connect_now(f);
	return f;
}

static struct forward *
find(struct ring *r, const struct ring_server *s)
{
	struct sockaddr_storage to;
	socklen_t len = io_addr_to(&s->addr, &to);

	sl_list_foreach(n, &r->forwards) {
		struct forward *f = sl_list_entry(n, struct forward, node);

		if (sl_str_eq(s->name, sl_str_c(f->name)) && f->octet_count == s->octet_count &&
			f->to_len == len && memcmp(&f->to, &to, len) == 0)
			return f;
	}
	return NULL;
}

void
forward_set(struct ring *r, struct ev_loop *ev, const struct ring_conf *c)
{
	sl_list_foreach(n, &r->forwards)
		sl_list_entry(n, struct forward, node)->keep = false;
	for (uint32_t i = 0; c != NULL && i < c->nservers; i++) {
		struct forward *f = find(r, &c->server[i]);

		if (f == NULL)
			f = forward_new(r, ev, &c->server[i]);
		if (f == NULL) // out of memory: as a server that is not there
			continue;
		f->keep = true;
		f->connect_ms = c->connect_ms;
		f->server_ms = c->server_ms;
	}
	sl_list_foreach_safe(n, &r->forwards) {
		struct forward *f = sl_list_entry(n, struct forward, node);

		if (!f->keep)
			forward_close(f);
	}
}

void
forward_flush(struct ring *r, int wait_ms)
{
	sl_list_foreach(n, &r->forwards) {
		struct forward *f = sl_list_entry(n, struct forward, node);

		while (f->fd >= 0 && f->reader.at != r->head) {
			struct pollfd p = { .fd = f->fd, .events = POLLOUT };

			if (f->state == FWD_UP && pump(f))
				break;
			if (f->fd < 0 || poll(&p, 1, wait_ms) <= 0)
				break;
			if (f->state == FWD_CONNECTING)
				established(f);
		}
	}
}
