// SPDX-License-Identifier: BSD-3-Clause
/*
 * Clients and servers that hang up at random bytes, for soak tests.
 *
 *   abuse client [-s seed] [-n requests] [-c concurrent] ADDRESS PORT
 *   abuse server [-s seed] PORT
 *
 * A client connection sends a request (GET or POST with a body, sometimes two pipelined) and at a
 * random byte of what it sends or of what it reads it stops: by reset, by close, or by shutting its
 * sending side and reading on; about a third goes through undisturbed. The server answers with
 * bodies of random length, by length, chunked or until close, and cuts a quarter of its answers at a
 * random byte by reset or close. The client's last line counts what happened; SIGINT ends it before its
 * requests are through.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/addr.h"
#include "dataplane/base/rand.h"

#define OUT_MAX  65536
#define MAX_CONC 1024

enum cut { CUT_NONE, CUT_RST, CUT_FIN, CUT_SHUT };

struct peer {
	int fd;
	bool shut;
	uint64_t last_ms; // something moved
	enum cut cut;
	uint32_t send_cut, read_cut; // bytes after which it stops
	uint32_t out_off, out_len, got, used;
	char out[OUT_MAX];
	char in[8192];
};

#define IDLE_MS 60 // a client that waits longer for an answer that was cut gives up

static struct sl_rand rnd;
static int ep;
static struct sockaddr_storage target;
static socklen_t target_len;
static uint64_t started, ended, whole, resets, closes, shuts, refused;
static uint64_t want = 1000;
static uint32_t conc = 64;
static volatile sig_atomic_t stop;

static void
on_signal(int sig sl_unused)
{
	stop = 1;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
watch(struct peer *p, int op)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = p };
	epoll_ctl(ep, op, p->fd, &ev);
}

static void
hang_up(struct peer *p, bool rst)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	if (rst)
		setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(p->fd);
	p->fd = -1;
}

/* Sends up to the cut; true when everything was sent or cut. */
static bool
push(struct peer *p)
{
	uint32_t end = p->cut != CUT_NONE ? sl_min(p->out_len, p->send_cut) : p->out_len;

	while (p->out_off < end) {
		ssize_t n = send(p->fd, p->out + p->out_off, end - p->out_off, MSG_NOSIGNAL);
		if (n < 0)
			return false;
		p->out_off += (uint32_t)n;
	}
	return true;
}

/* ---- client ---- */

static uint32_t
make_request(char *out)
{
	uint32_t body = rand_below(&rnd, 3) == 0 ? 1 + rand_below(&rnd, 20000) : 0, n = 0;
	uint32_t times = rand_below(&rnd, 8) == 0 ? 2 : 1;

	for (uint32_t i = 0; i < times; i++) {
		n += (uint32_t)snprintf(out + n, OUT_MAX - n,
			"%s /%llu HTTP/1.1\r\nHost: abuse\r\nX-Some: header %u\r\n",
			body != 0 ? "POST" : "GET", (unsigned long long)started,
			rand_below(&rnd, 1000000));
		if (body != 0)
			n += (uint32_t)snprintf(
				out + n, OUT_MAX - n, "Content-Length: %u\r\n", body);
		n += (uint32_t)snprintf(out + n, OUT_MAX - n, "\r\n");
		memset(out + n, 'b', body);
		n += body;
	}
	return n;
}

static void
client_start(struct peer *p)
{
	p->fd = socket(target.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (p->fd < 0)
		exit(1);
	p->out_len = make_request(p->out);
	p->out_off = p->got = 0;
	p->shut = false;
	p->cut = rand_below(&rnd, 3) == 0 ? CUT_NONE : 1 + rand_below(&rnd, 3);
	p->send_cut = rand_below(&rnd, 2) ? rand_below(&rnd, p->out_len + 1) : UINT32_MAX;
	p->read_cut = rand_below(&rnd, 30000);
	started++;
	p->last_ms = now_ms();
	if (connect(p->fd, (struct sockaddr *)&target, target_len) != 0 && errno != EINPROGRESS) {
		refused++;
		ended++;
		hang_up(p, true);
		return;
	}
	watch(p, EPOLL_CTL_ADD);
}

static void
client_end(struct peer *p, enum cut how)
{
	resets += how == CUT_RST;
	closes += how == CUT_FIN;
	whole += how == CUT_NONE;
	ended++;
	hang_up(p, how == CUT_RST);
}

static void
client_cut(struct peer *p)
{
	if (p->cut == CUT_SHUT) {
		if (!p->shut)
			shuts++;
		p->shut = true;
		shutdown(p->fd, SHUT_WR);
		return;
	}
	client_end(p, p->cut);
}

static void
client_event(struct peer *p, uint32_t ev)
{
	ssize_t n;

	if (p->fd < 0)
		return;
	p->last_ms = now_ms();
	if ((ev & EPOLLOUT) != 0 && push(p) && p->cut != CUT_NONE && p->send_cut < p->out_len) {
		client_cut(p);
		if (p->fd < 0)
			return;
	}
	for (;;) {
		n = recv(p->fd, p->in, sizeof(p->in), 0);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			client_end(p, n == 0 ? CUT_FIN : CUT_RST);
			return;
		}
		p->got += (uint32_t)n;
		if (p->cut != CUT_NONE && p->got >= p->read_cut && !p->shut) {
			client_cut(p);
			if (p->fd < 0)
				return;
		}
	}
	/* An undisturbed one is finished when a little was read: keep-alive has no end of its own. */
	if ((p->cut == CUT_NONE || p->shut) && p->got > 100)
		client_end(p, CUT_NONE);
}

static int
client(void)
{
	struct peer *peers = calloc(conc, sizeof(*peers));
	struct epoll_event ev[128];

	if (peers == NULL)
		return 1;
	for (uint32_t i = 0; i < conc; i++)
		peers[i].fd = -1;
	while (ended < want && !stop) {
		int n;
		for (uint32_t i = 0; i < conc; i++)
			if (peers[i].fd < 0 && started < want)
				client_start(&peers[i]);
		n = epoll_wait(ep, ev, SL_ARRAY_SIZE(ev), IDLE_MS / 2);
		for (int i = 0; i < n; i++)
			client_event(ev[i].data.ptr, ev[i].events);
		for (uint32_t i = 0; i < conc; i++)
			if (peers[i].fd >= 0 && now_ms() - peers[i].last_ms > IDLE_MS)
				client_end(&peers[i], 1 + rand_below(&rnd, 2));
	}
	printf("requests=%llu ended=%llu whole=%llu resets=%llu closes=%llu shuts=%llu refused=%llu\n",
		(unsigned long long)started, (unsigned long long)ended, (unsigned long long)whole,
		(unsigned long long)resets, (unsigned long long)closes, (unsigned long long)shuts,
		(unsigned long long)refused);
	free(peers);
	return ended == want ? 0 : 1;
}

/* ---- server ---- */

static void
make_answer(struct peer *p)
{
	uint32_t body = rand_below(&rnd, 4) == 0 ? rand_below(&rnd, 50000) : rand_below(&rnd, 3000);
	uint32_t kind = rand_below(&rnd, 8), n, left = body;

	n = (uint32_t)snprintf(p->out, OUT_MAX, "HTTP/1.1 200 OK\r\nX-Kind: %u\r\n", kind);
	if (kind == 0) {
		n += (uint32_t)snprintf(p->out + n, OUT_MAX - n, "Connection: close\r\n\r\n");
	} else if (kind <= 2) {
		n += (uint32_t)snprintf(
			p->out + n, OUT_MAX - n, "Transfer-Encoding: chunked\r\n\r\n");
		while (left > 0) {
			uint32_t c = sl_min(left, 1 + rand_below(&rnd, 5000));
			n += (uint32_t)snprintf(p->out + n, OUT_MAX - n, "%x\r\n", c);
			memset(p->out + n, 'c', c);
			n += c;
			p->out[n++] = '\r';
			p->out[n++] = '\n';
			left -= c;
		}
		n += (uint32_t)snprintf(p->out + n, OUT_MAX - n, "0\r\n\r\n");
		body = 0;
	} else {
		n += (uint32_t)snprintf(
			p->out + n, OUT_MAX - n, "Content-Length: %u\r\n\r\n", body);
	}
	memset(p->out + n, 'a', body);
	p->out_len = n + body;
	p->out_off = 0;
	p->cut = rand_below(&rnd, 4) == 0 ? CUT_RST + rand_below(&rnd, 2) : CUT_NONE;
	p->send_cut = rand_below(&rnd, p->out_len);
	if (kind == 0 && p->cut == CUT_NONE) {
		p->cut = CUT_FIN;
		p->send_cut = p->out_len;
	}
}

static void
server_event(struct peer *p, uint32_t ev sl_unused)
{
	ssize_t n;
	char *end;

	for (;;) {
		if (p->out_off < p->out_len || p->cut != CUT_NONE) {
			if (!push(p))
				break;
			if (p->cut != CUT_NONE) {
				hang_up(p, p->cut == CUT_RST);
				free(p);
				return;
			}
		}
		n = recv(p->fd, p->in + p->used, sizeof(p->in) - 1 - p->used, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close(p->fd);
			free(p);
			return;
		}
		p->used += (uint32_t)n;
		p->in[p->used] = 0;
		end = strstr(p->in, "\r\n\r\n");
		if (end != NULL) { // answers at the head; the rest is read and forgotten
			p->used = 0;
			make_answer(p);
		} else if (p->used > sizeof(p->in) / 2) {
			p->used = 0;
		}
	}
}

static int
server(uint16_t port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int one = 1, fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct epoll_event ev[128], le = { .events = EPOLLIN };

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(fd, 1024) != 0)
		return 1;
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &le);
	for (;;) {
		int n = epoll_wait(ep, ev, SL_ARRAY_SIZE(ev), -1);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr != NULL) {
				server_event(ev[i].data.ptr, ev[i].events);
				continue;
			}
			for (int c; (c = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
				struct peer *p = calloc(1, sizeof(*p));
				if (p == NULL)
					return 1;
				p->fd = c;
				watch(p, EPOLL_CTL_ADD);
			}
		}
	}
}

static int
set_target(const char *addr, uint16_t port)
{
	struct sockaddr_in *s4 = (struct sockaddr_in *)&target;
	struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)&target;
	struct ip_addr ip;

	if (addr_parse(sl_str_c(addr), &ip) != 0)
		return -EINVAL;
	if (ip.family == ADDR_V4) {
		s4->sin_family = AF_INET;
		s4->sin_port = htons(port);
		memcpy(&s4->sin_addr, ip.b, 4);
		target_len = sizeof(*s4);
	} else {
		s6->sin6_family = AF_INET6;
		s6->sin6_port = htons(port);
		memcpy(&s6->sin6_addr, ip.b, 16);
		target_len = sizeof(*s6);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	uint64_t seed = 1;
	bool is_client = argc > 1 && strcmp(argv[1], "client") == 0;
	int c;

	optind = 2;
	while ((c = getopt(argc, argv, "s:n:c:")) != -1) {
		switch (c) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			want = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			conc = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	rand_seed(&rnd, seed);
	signal(SIGPIPE, SIG_IGN);
	ep = epoll_create1(0);
	if (is_client && argc - optind == 2 && conc > 0 && conc <= MAX_CONC) {
		if (set_target(argv[optind], (uint16_t)strtoul(argv[optind + 1], NULL, 10)) != 0)
			return 2;
		signal(SIGINT, on_signal);
		return client();
	}
	if (!is_client && argc - optind == 1)
		return server((uint16_t)strtoul(argv[optind], NULL, 10));
	fprintf(stderr,
		"usage: abuse client [-s seed] [-n requests] [-c concurrent] ADDRESS PORT\n"
		"       abuse server [-s seed] PORT\n");
	return 2;
}
