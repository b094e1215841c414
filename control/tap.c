// SPDX-License-Identifier: BSD-3-Clause
/*
 * The TAPs of "kernel-tap": opened at start, read and written on the thread io, watched by main.
 *
 * Runs on: main (life, carrier, addresses), io (frames). Owns: the descriptors; a TAP that did not exist
 * goes with its descriptor, however the process ends. Which addresses the kernel has is heard from
 * rtnetlink(7), so that whoever sets them (an operator, BIRD) need not tell us. Full rings: see
 * dataplane/net/tap.h. What the kernel refuses (the TAP is down, or gone) is counted.
 */
#include "control/tap.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/link.h"
#include "dataplane/net/tap.h"

#define FRAMES_ONCE 64     // of each direction, then others have their turn
#define AGAIN_S     0.001  // until the worker is asked again whether it has room

struct tap {
	struct daemon *d;
	const struct port *p;
	char name[IFNAMSIZ];
	int fd;
	int carrier; // as told to the kernel; -1: not yet
	bool said;   // that it is gone
	_Atomic(bool) gone; // io writes, main reads
	struct net_tap_counters *cnt; // io writes
	struct ev_io io;
	struct ev_timer again;
	struct io_source source;
};

struct taps {
	uint32_t n;
	struct tap tap[PORT_MAX];
	int netlink;
	bool attached; // to the thread io
	struct ev_io heard;
};

/* ---- frames; the thread io ---- */

static void
on_drain(void *ctx)
{
	struct tap *t = ctx;
	const void *f;
	uint32_t len;

	for (uint32_t i = 0; i < FRAMES_ONCE; i++) {
		f = net_tap_peek(t->d->net, t->p->id, &len);
		if (f == NULL)
			return;
		if (write(t->fd, f, len) == (ssize_t)len)
			counter_inc(&t->cnt->in);
		else
			counter_inc(&t->cnt->refused);
		net_tap_pop(t->d->net, t->p->id);
	}
}

static bool
on_waits(const void *ctx)
{
	const struct tap *t = ctx;

	return net_tap_waits(t->d->net, t->p->id);
}

/* One frame of the kernel. False: there is none, or no room for it. */
static bool
take(struct tap *t, struct ev_loop *ev)
{
	void *room = net_tap_room(t->d->net, t->p->id);
	ssize_t n;

	if (room == NULL) {
		ev_io_stop(ev, &t->io);
		ev_timer_again(ev, &t->again);
		return false;
	}
	n = read(t->fd, room, NET_TAP_FRAME);
	if (n < 0 && errno != EAGAIN && errno != EINTR) { // EBADFD, EIO: the interface was deleted
		ev_io_stop(ev, &t->io);
		atomic_store_explicit(&t->gone, true, memory_order_release);
	}
	if (n <= 0)
		return false;
	if (n > t->p->mtu + 18) {
		counter_inc(&t->cnt->too_long);
		return true;
	}
	counter_inc(&t->cnt->out);
	net_tap_push(t->d->net, t->p->id, (uint32_t)n);
	return true;
}

static void
on_frames(struct ev_loop *ev, struct ev_io *w, int events sl_unused)
{
	struct tap *t = w->data;
	uint32_t n = 0;

	while (n < FRAMES_ONCE && take(t, ev))
		n++;
	if (n > 0)
		waker_wake(&t->d->lc[net_tap_worker(t->d->net, t->p->id)]->waker);
}

static void
on_again(struct ev_loop *ev, struct ev_timer *w, int events sl_unused)
{
	struct tap *t = w->data;

	ev_timer_stop(ev, w);
	ev_io_start(ev, &t->io);
}

static void
attach(struct io_loop *l, void *ctx)
{
	struct taps *ts = ctx;

	for (uint32_t i = 0; i < ts->n; i++) {
		struct tap *t = &ts->tap[i];

		t->source = (struct io_source){ .drain = on_drain, .waits = on_waits, .ctx = t };
		io_source_add(l, &t->source);
		ev_io_init(&t->io, on_frames, t->fd, EV_READ);
		ev_timer_init(&t->again, on_again, AGAIN_S, AGAIN_S);
		t->io.data = t->again.data = t;
		ev_io_start(io_loop_ev(l), &t->io);
	}
}

static void
detach(struct io_loop *l, void *ctx)
{
	struct taps *ts = ctx;

	for (uint32_t i = 0; i < ts->n; i++) {
		io_source_del(&ts->tap[i].source);
		ev_io_stop(io_loop_ev(l), &ts->tap[i].io);
		ev_timer_stop(io_loop_ev(l), &ts->tap[i].again);
	}
}

/* ---- which addresses the kernel has; main ---- */

static void
note_shared(const struct ifaddrs *list, const struct net_shared *net, struct tap *t)
{
	uint64_t mask = 0;

	for (const struct ifaddrs *a = list; a != NULL; a = a->ifa_next) {
		struct sockaddr_storage ss = { 0 };
		struct ip_port ip;

		if (a->ifa_addr == NULL)
			continue;
		if (a->ifa_addr->sa_family == AF_INET)
			memcpy(&ss, a->ifa_addr, sizeof(struct sockaddr_in));
		else if (a->ifa_addr->sa_family == AF_INET6)
			memcpy(&ss, a->ifa_addr, sizeof(struct sockaddr_in6));
		else
			continue;
		io_addr_from(&ss, &ip);
		for (uint16_t i = 0; i < t->p->naddrs; i++) {
			if (addr_eq(&t->p->addr[i].ip, &ip.ip))
				mask |= 1ull << i;
		}
		// a link-local address belongs to its link
		if (strcmp(a->ifa_name, t->name) == 0 &&
			addr_eq(net_link_local(net, t->p->id), &ip.ip))
			mask |= 1ull << NET_TAP_LL_BIT;
	}
	net_tap_share(t->d->net, t->p->id, mask);
}

static void
look_at_addresses(struct taps *ts)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) != 0)
		return; // no memory: as it was
	for (uint32_t i = 0; i < ts->n; i++)
		note_shared(list, ts->tap[i].d->net, &ts->tap[i]);
	freeifaddrs(list);
}

/* What exactly changed does not matter, nor whether a message was lost. */
static void
on_heard(struct ev_loop *ev sl_unused, struct ev_io *w, int events sl_unused)
{
	struct taps *ts = w->data;
	char room[8192];

	while (recv(ts->netlink, room, sizeof(room), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		;
	look_at_addresses(ts);
}

static int
listen_addresses(struct taps *ts)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };

	ts->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (ts->netlink < 0 || bind(ts->netlink, (struct sockaddr *)&nl, sizeof(nl)) != 0)
		return -errno;
	ev_io_init(&ts->heard, on_heard, ts->netlink, EV_READ);
	ts->heard.data = ts;
	ev_io_start(ts->tap[0].d->ev, &ts->heard);
	return 0;
}

/* ---- life; main ---- */

static int
fail(struct tap *t, const char *what)
{
	int rc = -errno;

	snprintf(t->d->err.text, sizeof(t->d->err.text), "port '%s': 'kernel-tap %s': %s: %s",
		t->p->name, t->name, what, strerror(-rc));
	return rc;
}

static int
open_tap(struct tap *t)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	memcpy(r.ifr_name, t->name, sizeof(r.ifr_name));
	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return fail(t, "/dev/net/tun cannot be opened (modprobe tun; in a container: "
			       "--device /dev/net/tun)");
	if (ioctl(t->fd, TUNSETIFF, &r) == 0)
		return 0;
	return fail(t, errno == EBUSY ? "another process has this TAP"
			: errno == EINVAL
			? "an interface of this name exists and is no TAP: choose another name"
			: "cannot be made (start as root, or with CAP_NET_ADMIN)");
}

static int
set_up(struct tap *t, const struct port_conf *c)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;
	struct ifreq r = { 0 };

	if (s < 0)
		return fail(t, "no socket");
	memcpy(r.ifr_name, t->name, sizeof(r.ifr_name));
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, t->p->mac.addr_bytes, 6);
	if (ioctl(s, SIOCSIFHWADDR, &r) != 0)
		rc = fail(t, "cannot have the port's MAC");
	r.ifr_mtu = t->p->mtu;
	if (rc == 0 && ioctl(s, SIOCSIFMTU, &r) != 0)
		rc = fail(t, "cannot have the port's MTU");
	r.ifr_flags = 0;
	if (rc == 0 && (ioctl(s, SIOCGIFFLAGS, &r) != 0 ||
			       (r.ifr_flags |= IFF_UP, ioctl(s, SIOCSIFFLAGS, &r)) != 0))
		rc = fail(t, "cannot be switched on");
	close(s);
	for (uint32_t i = 0; rc == 0 && i < c->ntap_addrs; i++) {
		errno = -link_add_address((int)if_nametoindex(t->name), &c->tap_addr[i]);
		if (errno != 0 && errno != EEXIST)
			rc = fail(t, "cannot have its address");
	}
	return rc;
}

static int
tap_open(struct taps *ts, struct daemon *d, const struct port *p, const struct port_conf *c)
{
	struct tap *t = &ts->tap[ts->n++];
	int rc;

	t->d = d;
	t->p = p;
	t->fd = t->carrier = -1;
	snprintf(t->name, sizeof(t->name), "%.*s", SL_STR_ARG(c->tap));
	rc = net_tap_add(d->net, p->id, c->tap_rate);
	if (rc < 0)
		return daemon_fail(d, rc, "no memory for the frames of 'kernel-tap'");
	t->cnt = net_tap_counters(d->net, p->id);
	rc = open_tap(t);
	return rc < 0 ? rc : set_up(t, c);
}

int
taps_up(struct daemon *d)
{
	struct taps *ts = NULL;
	int rc = 0;

	for (uint16_t i = 0; rc == 0 && i < d->ports->n; i++) {
		const struct port_conf *c = &d->model->ports[i];

		if (c->tap.len == 0)
			continue;
		if (ts == NULL)
			ts = d->taps = calloc(1, sizeof(*ts));
		if (ts == NULL)
			return daemon_fail(d, -ENOMEM, "no memory for 'kernel-tap'");
		ts->netlink = -1;
		rc = tap_open(ts, d, &d->ports->port[i], c);
	}
	if (rc < 0 || ts == NULL)
		return rc;
	rc = listen_addresses(ts);
	if (rc < 0)
		return daemon_fail(d, rc, "'kernel-tap': cannot hear of the kernel's addresses");
	look_at_addresses(ts);
	taps_look(d);
	io_thread_run(d->iot, attach, ts);
	ts->attached = true;
	return 0;
}

void
taps_down(struct daemon *d)
{
	struct taps *ts = d->taps;

	if (ts == NULL)
		return;
	if (ts->attached)
		io_thread_run(d->iot, detach, ts);
	if (ts->netlink >= 0) {
		ev_io_stop(d->ev, &ts->heard);
		close(ts->netlink);
	}
	for (uint32_t i = 0; i < ts->n; i++) {
		if (ts->tap[i].fd >= 0)
			close(ts->tap[i].fd);
	}
	free(ts);
	d->taps = NULL;
}

void
taps_look(struct daemon *d)
{
	for (uint32_t i = 0; d->taps != NULL && i < d->taps->n; i++) {
		struct tap *t = &d->taps->tap[i];
		int up = atomic_load_explicit(&t->p->link_up, memory_order_relaxed);

		if (up != t->carrier && ioctl(t->fd, TUNSETCARRIER, &up) == 0)
			t->carrier = up;
		if (t->said || !atomic_load_explicit(&t->gone, memory_order_acquire))
			continue;
		t->said = true;
		daemon_say(d, SL_ALERT,
			"port '%s': somebody deleted its TAP '%s': what is not sluice's is lost "
			"until a restart",
			t->p->name, t->name);
	}
}
