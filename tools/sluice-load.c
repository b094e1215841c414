// SPDX-License-Identifier: BSD-3-Clause
/*
 * HTTP/1.1 load generator over kernel sockets, one thread.
 *
 *   sluice-load [-c conns] [-d seconds] [-r requests/s] [-C] [-H 'Name: value'] [-b body_bytes]
 *               [-e expected_body_bytes] [-m] http://ADDRESS:PORT/path
 *
 * Closed loop (default): each connection sends its next request when the answer of the last one is
 * complete. Open loop (-r): requests are due at fixed intervals whatever the answers do; one that
 * finds no free connection waits, and its latency counts from the moment when it was due, so that
 * a stall is seen by all requests that it delayed; one that was never sent counts as unfinished. -C opens
 * a new connection for each request.
 * A %u in the path becomes the request's number. Every answer is checked: status 2xx, complete
 * body, and its length if -e is given; anything else is an error.
 *
 * SIGINT or SIGTERM ends it as if its time were over: what is open then still has two seconds.
 * The last line is machine-readable: key=value pairs (-m prints nothing else). Exit code 1 if any
 * request failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/addr.h"
#include "dataplane/base/base.h"

#define BUF          65536
#define HIST_SUB     64 // per power of two: 1.6 % resolution
#define HIST_BUCKETS (40 * HIST_SUB)

struct conn {
	int fd;
	bool busy, connected;
	uint64_t due_us; // when the running request should have been sent
	uint32_t head_len;
	int64_t body_left; // -1: head not complete; -2: chunked; -3: until close
	uint32_t out_off, out_len;
	uint64_t body_got;
	uint32_t used;
	uint32_t next_free;
	char out[4096];
	char in[16384];
};

static struct {
	struct sockaddr_storage sa;
	socklen_t salen;
	char host[128];
	char path[1024];
	char headers[2048];
	uint32_t conns;
	double seconds, rate;
	bool close_each, machine;
	int64_t expect_body;
	uint32_t post_bytes;
} opt = { .conns = 64, .seconds = 5, .expect_body = -1 };

static struct conn *conns;
static uint32_t *idle, nidle;
static int ep;
static uint64_t sent, unsent, done, errors, err_connect, err_status, err_short, bytes;
static uint64_t hist[HIST_BUCKETS], max_us;
static uint64_t start_us, end_us;
static volatile sig_atomic_t stop;

static void
on_signal(int sig sl_unused)
{
	stop = 1;
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

static uint32_t
bucket(uint64_t us)
{
	uint32_t e;

	if (us < HIST_SUB)
		return (uint32_t)us;
	e = 63 - (uint32_t)__builtin_clzll(us) - 6; // HIST_SUB is 2^6
	return sl_min((e + 1) * HIST_SUB + (uint32_t)((us >> e) - HIST_SUB), HIST_BUCKETS - 1u);
}

static uint64_t
bucket_value(uint32_t b)
{
	uint32_t e = b / HIST_SUB;

	return e == 0 ? b : ((uint64_t)(b % HIST_SUB) + HIST_SUB) << (e - 1);
}

static uint64_t
quantile(double q)
{
	uint64_t want = (uint64_t)(q * (double)done), n = 0;

	for (uint32_t b = 0; b < HIST_BUCKETS; b++) {
		n += hist[b];
		if (n > want)
			return bucket_value(b);
	}
	return max_us;
}

static void
record(uint64_t us)
{
	hist[bucket(us)]++;
	max_us = sl_max(max_us, us);
	done++;
}

static int
conn_open(struct conn *c)
{
	int one = 1;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };

	c->fd = socket(opt.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->connected = false;
	if (connect(c->fd, (struct sockaddr *)&opt.sa, opt.salen) != 0 && errno != EINPROGRESS) {
		close(c->fd);
		c->fd = -1;
		return -errno;
	}
	epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
	return 0;
}

static void
conn_drop(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void
push_idle(struct conn *c)
{
	c->busy = false;
	idle[nidle++] = (uint32_t)(c - conns);
}

static void
fail(struct conn *c, uint64_t *why)
{
	errors++;
	(*why)++;
	conn_drop(c);
	push_idle(c);
}

static void
flush_out(struct conn *c)
{
	while (c->out_off < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
		if (n < 0)
			return; // EAGAIN, or an error that the read side will see
		c->out_off += (uint32_t)n;
	}
}

static void
request(struct conn *c, uint64_t due)
{
	char path[1024];
	const char *u = strstr(opt.path, "%u");
	int n;

	if (u != NULL)
		snprintf(path, sizeof(path), "%.*s%llu%s", (int)(u - opt.path), opt.path,
			(unsigned long long)sent, u + 2);
	else
		snprintf(path, sizeof(path), "%s", opt.path);
	n = snprintf(c->out, sizeof(c->out), "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s",
		opt.post_bytes != 0 ? "POST" : "GET", path, opt.host, opt.headers,
		opt.close_each ? "Connection: close\r\n" : "");
	if (opt.post_bytes != 0)
		n += snprintf(c->out + n, sizeof(c->out) - (size_t)n, "Content-Length: %u\r\n",
			opt.post_bytes);
	n += snprintf(c->out + n, sizeof(c->out) - (size_t)n, "\r\n");
	for (uint32_t i = 0; i < opt.post_bytes && (uint32_t)n < sizeof(c->out); i++)
		c->out[n++] = (char)('a' + i % 26);
	c->out_len = (uint32_t)n;
	c->out_off = 0;
	c->used = 0;
	c->body_left = -1;
	c->body_got = 0;
	c->due_us = due;
	c->busy = true;
	sent++;
	if (c->fd < 0 && conn_open(c) != 0) {
		fail(c, &err_connect);
		return;
	}
	if (c->connected)
		flush_out(c);
}

static void
finish(struct conn *c)
{
	if (opt.expect_body >= 0 && c->body_got != (uint64_t)opt.expect_body) {
		fail(c, &err_short);
		return;
	}
	record(now_us() - c->due_us);
	if (opt.close_each)
		conn_drop(c);
	push_idle(c);
}

/* Head complete in c->in: evaluates status and framing; moves body bytes to the front. */
static int
head(struct conn *c, uint32_t len)
{
	unsigned status = 0;
	char *p = c->in, save = c->in[len - 1];

	c->in[len - 1] = 0;
	if (sscanf(p, "HTTP/1.%*c %u", &status) != 1)
		return -EBADMSG;
	c->body_left = -3;
	for (p = strstr(p, "\r\n"); p != NULL; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, "content-length:", 15) == 0)
			c->body_left = strtoll(p + 15, NULL, 10);
		else if (strncasecmp(p, "transfer-encoding:", 18) == 0)
			c->body_left = -2;
	}
	c->in[len - 1] = save;
	if (status < 200 || status > 299)
		return -EPROTO;
	if (status == 204)
		c->body_left = 0;
	memmove(c->in, c->in + len, c->used - len);
	c->used -= len;
	return 0;
}

/* Chunked: consumes whole chunks at the front; true at the last one. */
static bool
chunks(struct conn *c)
{
	for (;;) {
		char *nl = memchr(c->in, '\n', c->used);
		unsigned long n;
		uint32_t line;

		if (nl == NULL)
			return false;
		line = (uint32_t)(nl - c->in) + 1;
		n = strtoul(c->in, NULL, 16);
		if (c->used < line + n + 2)
			return false;
		memmove(c->in, c->in + line + n + 2, c->used - line - n - 2);
		c->used -= (uint32_t)(line + n + 2);
		c->body_got += n;
		if (n == 0)
			return true;
	}
}

static void
input(struct conn *c)
{
	for (;;) {
		ssize_t n = recv(c->fd, c->in + c->used, sizeof(c->in) - 1 - c->used, 0);
		char *e;
		int rc;

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			if (!c->busy)
				conn_drop(c); // closed while idle
			else if (n == 0 && c->body_left == -3)
				finish(c);
			else
				fail(c, c->connected ? &err_short : &err_connect);
			return;
		}
		if (!c->busy)
			continue; // bytes nobody asked for; the next request will fail on them
		bytes += (uint64_t)n;
		c->used += (uint32_t)n;
		if (c->body_left == -1) {
			c->in[c->used] = 0;
			e = memmem(c->in, c->used, "\r\n\r\n", 4);
			if (e == NULL) {
				if (c->used >= sizeof(c->in) - 1) {
					fail(c, &err_short);
					return;
				}
				continue;
			}
			rc = head(c, (uint32_t)(e - c->in) + 4);
			if (rc != 0) {
				fail(c, &err_status);
				return;
			}
		}
		if (c->body_left == -2) {
			if (chunks(c)) {
				finish(c);
				return;
			}
			continue;
		}
		c->body_got += c->used;
		if (c->body_left >= 0)
			c->body_left -= sl_min((int64_t)c->used, c->body_left);
		c->used = 0;
		if (c->body_left == 0) {
			finish(c);
			return;
		}
	}
}

static void
event(struct conn *c, uint32_t ev)
{
	if (c->fd < 0)
		return;
	if ((ev & EPOLLOUT) != 0) {
		c->connected = true;
		flush_out(c);
	}
	if ((ev & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
		input(c);
}

/* When the n-th request of the open loop is due. */
static uint64_t
due_at(uint64_t n)
{
	return start_us + (uint64_t)((double)n * (1e6 / opt.rate));
}

static void
loop(void)
{
	struct epoll_event ev[256];
	uint64_t due = 0; // number of requests that became due and were sent

	for (;;) {
		uint64_t now = now_us();
		struct timespec ts = { .tv_nsec = 100000000 };
		int n;

		if (stop)
			end_us = sl_min(end_us, now);
		if (now >= end_us && nidle == opt.conns && (opt.rate <= 0 || due_at(due) >= end_us))
			return;
		if (now >= end_us + 2000000) { // what is still missing counts as unfinished
			while (opt.rate > 0 && due_at(due + unsent) < end_us)
				unsent++;
			return;
		}
		if (now < end_us && opt.rate <= 0) {
			while (nidle > 0)
				request(&conns[idle[--nidle]], now_us());
		} else if (opt.rate > 0) {
			while (nidle > 0) {
				uint64_t at = due_at(due);
				if (at >= end_us)
					break;
				if (at > now) { // microseconds matter: latency counts from `at`
					ts.tv_nsec = (long)sl_min((at - now) * 1000, 100000000u);
					break;
				}
				due++;
				request(&conns[idle[--nidle]], at);
			}
		}
		n = epoll_pwait2(ep, ev, SL_ARRAY_SIZE(ev), &ts, NULL);
		for (int i = 0; i < n; i++)
			event(ev[i].data.ptr, ev[i].events);
	}
}

static int
parse_url(const char *url)
{
	struct ip_addr ip;
	struct sockaddr_in *s4 = (struct sockaddr_in *)&opt.sa;
	struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)&opt.sa;
	const char *p, *slash, *colon, *end;
	unsigned port = 80;

	if (strncmp(url, "http://", 7) != 0)
		return -EINVAL;
	p = url + 7;
	slash = strchr(p, '/');
	end = slash != NULL ? slash : p + strlen(p);
	snprintf(opt.path, sizeof(opt.path), "%s", slash != NULL ? slash : "/");
	snprintf(opt.host, sizeof(opt.host), "%.*s", (int)(end - p), p);
	if (*p == '[') {
		const char *close_br = memchr(p, ']', (size_t)(end - p));
		if (close_br == NULL)
			return -EINVAL;
		if (addr_parse(sl_str_make(p + 1, (size_t)(close_br - p - 1)), &ip) != 0)
			return -EINVAL;
		colon = close_br + 1 < end && close_br[1] == ':' ? close_br + 1 : NULL;
	} else {
		colon = memchr(p, ':', (size_t)(end - p));
		if (addr_parse(sl_str_make(p, (size_t)((colon != NULL ? colon : end) - p)), &ip) !=
			0)
			return -EINVAL;
	}
	if (colon != NULL)
		port = (unsigned)strtoul(colon + 1, NULL, 10);
	if (ip.family == ADDR_V4) {
		s4->sin_family = AF_INET;
		s4->sin_port = htons((uint16_t)port);
		memcpy(&s4->sin_addr, ip.b, 4);
		opt.salen = sizeof(*s4);
	} else {
		s6->sin6_family = AF_INET6;
		s6->sin6_port = htons((uint16_t)port);
		memcpy(&s6->sin6_addr, ip.b, 16);
		opt.salen = sizeof(*s6);
	}
	return 0;
}

static int
usage(void)
{
	fprintf(stderr,
		"usage: sluice-load [-c conns] [-d seconds] [-r requests/s] [-C] [-m]\n"
		"                   [-H 'Name: value'] [-b post_bytes] [-e body_bytes] URL\n"
		"URL: http://ADDRESS[:PORT]/path, where %%u becomes the request's number\n");
	return 2;
}

static void
report(double took)
{
	uint64_t lost = sent + unsent - done - errors;

	if (!opt.machine)
		printf("%llu requests in %.2f s over %u connections, %s loop%s\n"
		       "latency us: p50 %llu  p90 %llu  p99 %llu  p99.9 %llu  max %llu\n",
			(unsigned long long)done, took, opt.conns, opt.rate > 0 ? "open" : "closed",
			opt.close_each ? ", one request each" : "",
			(unsigned long long)quantile(0.5), (unsigned long long)quantile(0.9),
			(unsigned long long)quantile(0.99), (unsigned long long)quantile(0.999),
			(unsigned long long)max_us);
	printf("requests=%llu rate=%.1f errors=%llu connect=%llu status=%llu short=%llu "
	       "unfinished=%llu bytes=%llu p50_us=%llu p90_us=%llu p99_us=%llu p999_us=%llu "
	       "max_us=%llu\n",
		(unsigned long long)done, (double)done / took, (unsigned long long)errors,
		(unsigned long long)err_connect, (unsigned long long)err_status,
		(unsigned long long)err_short, (unsigned long long)lost, (unsigned long long)bytes,
		(unsigned long long)quantile(0.5), (unsigned long long)quantile(0.9),
		(unsigned long long)quantile(0.99), (unsigned long long)quantile(0.999),
		(unsigned long long)max_us);
}

int
main(int argc, char **argv)
{
	size_t hl = 0;
	int c;

	while ((c = getopt(argc, argv, "c:d:r:CmH:b:e:")) != -1) {
		switch (c) {
		case 'c':
			opt.conns = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'd':
			opt.seconds = strtod(optarg, NULL);
			break;
		case 'r':
			opt.rate = strtod(optarg, NULL);
			break;
		case 'C':
			opt.close_each = true;
			break;
		case 'm':
			opt.machine = true;
			break;
		case 'b':
			opt.post_bytes = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'e':
			opt.expect_body = strtoll(optarg, NULL, 10);
			break;
		case 'H':
			hl += (size_t)snprintf(
				opt.headers + hl, sizeof(opt.headers) - hl, "%s\r\n", optarg);
			if (hl >= sizeof(opt.headers))
				return usage();
			break;
		default:
			return usage();
		}
	}
	if (argc - optind != 1 || opt.conns == 0 || opt.post_bytes > 1024 ||
		parse_url(argv[optind]) != 0)
		return usage();
	conns = calloc(opt.conns, sizeof(*conns));
	idle = calloc(opt.conns, sizeof(*idle));
	ep = epoll_create1(0);
	if (conns == NULL || idle == NULL || ep < 0)
		return 1;
	for (uint32_t i = opt.conns; i-- > 0;) {
		conns[i].fd = -1;
		idle[nidle++] = i;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	start_us = now_us();
	end_us = start_us + (uint64_t)(opt.seconds * 1e6);
	loop();
	report((double)(sl_min(now_us(), end_us) - start_us) / 1e6);
	return errors != 0 || sent + unsent != done ? 1 : 0;
}
