// SPDX-License-Identifier: BSD-3-Clause
/*
 * The impairment box: a process between two interfaces that forwards frames both ways with seeded
 * loss, delay, reordering, duplication and rate. It stands where netem would (which bypasses
 * AF_XDP and is not in every kernel), between two namespaces or inside a third one.
 *
 *   impair [-s seed] [-l loss%] [-d delay_ms] [-r reorder%] [-u duplicate%] [-b Mbit/s]
 *          [-q queue_frames] [-V vlan] IF1 IF2
 *
 * Reordering: the chosen frame waits an extra delay of reorder_ms (-R, default delay/2 + 1 ms), so
 * that later ones pass it. With -V the network behind IF2 is tagged: frames get the 802.1Q tag on
 * their way there, and lose it on their way back; others are counted as `untagged`. SIGTERM or SIGINT ends it; counters are printed then, and on SIGUSR1:
 *
 *   IF1>IF2 frames=… lost=… delayed=… reordered=… duplicated=… overflow=… sent=…
 *
 * Offloads of the interfaces and their peers must be off: a frame longer than FRAME_MAX is counted
 * as `oversize` and dropped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/rand.h"

#define FRAME_MAX 2048
#define BURST     64

struct frame {
	uint64_t due_ns;
	uint64_t order; // keeps equal dates in order
	uint32_t len;
	uint8_t data[FRAME_MAX];
};

struct dir {
	const char *name;
	int in, out; // sockets
	bool tags;   // with -V: puts tags in; else takes them out
	struct frame **heap;
	uint32_t nheap;
	uint64_t line_free_ns; // when the rate allows the next frame
	uint64_t frames, lost, delayed, reordered, duplicated, overflow, oversize, untagged, sent,
		failed;
};

static struct {
	double loss, reorder, dup, mbit;
	uint64_t delay_ns, extra_ns;
	uint32_t queue;
	uint32_t vlan;
	struct sl_rand rand;
	uint64_t order;
} cfg;
static volatile sig_atomic_t stop, report;

static void
on_signal(int sig)
{
	if (sig == SIGUSR1)
		report = 1;
	else
		stop = 1;
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool
chance(double percent)
{
	return percent > 0 &&
		(double)(rand_u64(&cfg.rand) >> 11) / 9007199254740992.0 * 100 < percent;
}

static bool
before(const struct frame *a, const struct frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void
heap_push(struct dir *d, struct frame *f)
{
	uint32_t i = d->nheap++;

	for (; i > 0 && before(f, d->heap[(i - 1) / 2]); i = (i - 1) / 2)
		d->heap[i] = d->heap[(i - 1) / 2];
	d->heap[i] = f;
}

static struct frame *
heap_pop(struct dir *d)
{
	struct frame *top = d->heap[0], *last = d->heap[--d->nheap];
	uint32_t i = 0, c;

	while ((c = 2 * i + 1) < d->nheap) {
		if (c + 1 < d->nheap && before(d->heap[c + 1], d->heap[c]))
			c++;
		if (!before(d->heap[c], last))
			break;
		d->heap[i] = d->heap[c];
		i = c;
	}
	d->heap[i] = last;
	return top;
}

static int
open_if(const char *name)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL)), buf = 8 << 20;
	struct packet_mreq mr = { .mr_type = PACKET_MR_PROMISC };

	sll.sll_ifindex = (int)if_nametoindex(name);
	mr.mr_ifindex = sll.sll_ifindex;
	if (fd < 0 || sll.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&sll, sizeof(sll)) != 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof(mr)) != 0) {
		fprintf(stderr, "impair: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &(int){ 1 }, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buf, sizeof(buf));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buf, sizeof(buf));
	return fd;
}

static void
enqueue(struct dir *d, const uint8_t *data, uint32_t len, uint64_t now)
{
	struct frame *f;

	if (d->nheap >= cfg.queue) {
		d->overflow++;
		return;
	}
	f = malloc(sizeof(*f));
	if (f == NULL) {
		d->overflow++;
		return;
	}
	f->due_ns = now;
	if (cfg.mbit > 0) {
		if (d->line_free_ns < now)
			d->line_free_ns = now;
		d->line_free_ns += (uint64_t)((len + 24) * 8 * 1000.0 / cfg.mbit);
		f->due_ns = d->line_free_ns;
	}
	f->due_ns += cfg.delay_ns;
	if (cfg.delay_ns != 0)
		d->delayed++;
	if (chance(cfg.reorder)) {
		f->due_ns += cfg.extra_ns;
		d->reordered++;
	}
	f->order = cfg.order++;
	f->len = len;
	memcpy(f->data, data, len);
	heap_push(d, f);
}

/* tci: of the tag that the kernel took out before it gave us the frame; -1: none. */
static bool
retag(const struct dir *d, uint8_t *f, ssize_t *n, int tci)
{
	if (!d->tags && tci >= 0)
		return (tci & 0xfff) == (int)cfg.vlan;
	if (d->tags) {
		const uint8_t tag[4] = { 0x81, 0, (uint8_t)(cfg.vlan >> 8), (uint8_t)cfg.vlan };

		memmove(f + 16, f + 12, (size_t)*n - 12);
		memcpy(f + 12, tag, 4);
		*n += 4;
		return true;
	}
	if (*n < 18 || f[12] != 0x81 || f[13] != 0 ||
		((f[14] << 8 | f[15]) & 0xfff) != (int)cfg.vlan)
		return false;
	memmove(f + 12, f + 16, (size_t)*n - 16);
	*n -= 4;
	return true;
}

static int
tci_of(struct msghdr *mh)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		struct tpacket_auxdata aux;

		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		return aux.tp_status & TP_STATUS_VLAN_VALID ? aux.tp_vlan_tci : -1;
	}
	return -1;
}

static void
take(struct dir *d, uint64_t now)
{
	uint8_t buf[65536];

	for (int i = 0; i < BURST; i++) {
		struct sockaddr_ll from;
		struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) - 4 };
		char ctl[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct msghdr mh = { .msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = cfg.vlan != 0 ? ctl : NULL,
			.msg_controllen = cfg.vlan != 0 ? sizeof(ctl) : 0 };
		ssize_t n = recvmsg(d->in, &mh, MSG_TRUNC);

		if (n < 0)
			return;
		if (from.sll_pkttype == PACKET_OUTGOING)
			continue; // our own
		d->frames++;
		if (n > FRAME_MAX) {
			d->oversize++;
			continue;
		}
		if (cfg.vlan != 0 && !retag(d, buf, &n, tci_of(&mh))) {
			d->untagged++;
			continue;
		}
		if (chance(cfg.loss)) {
			d->lost++;
			continue;
		}
		enqueue(d, buf, (uint32_t)n, now);
		if (chance(cfg.dup)) {
			d->duplicated++;
			enqueue(d, buf, (uint32_t)n, now);
		}
	}
}

static void
give(struct dir *d, uint64_t now)
{
	while (d->nheap > 0 && d->heap[0]->due_ns <= now) {
		struct frame *f = heap_pop(d);
		if (send(d->out, f->data, f->len, 0) == (ssize_t)f->len)
			d->sent++;
		else
			d->failed++;
		free(f);
	}
}

static void
print(const struct dir *d)
{
	printf("%s frames=%llu lost=%llu delayed=%llu reordered=%llu duplicated=%llu overflow=%llu "
	       "oversize=%llu untagged=%llu sent=%llu failed=%llu\n",
		d->name, (unsigned long long)d->frames, (unsigned long long)d->lost,
		(unsigned long long)d->delayed, (unsigned long long)d->reordered,
		(unsigned long long)d->duplicated, (unsigned long long)d->overflow,
		(unsigned long long)d->oversize, (unsigned long long)d->untagged,
		(unsigned long long)d->sent, (unsigned long long)d->failed);
	fflush(stdout);
}

static uint64_t
next_due(const struct dir *d)
{
	return d->nheap > 0 ? d->heap[0]->due_ns : UINT64_MAX;
}

static void
run(struct dir *d)
{
	struct pollfd p[2] = { { .fd = d[0].in, .events = POLLIN },
		{ .fd = d[1].in, .events = POLLIN } };

	while (!stop) {
		uint64_t now = now_ns(), due = sl_min(next_due(&d[0]), next_due(&d[1]));
		uint64_t wait = due == UINT64_MAX ? 1000000000u : due > now ? due - now : 0;
		struct timespec ts = { .tv_sec = (time_t)(wait / 1000000000u),
			.tv_nsec = (long)(wait % 1000000000u) };

		ppoll(p, 2, &ts, NULL);
		now = now_ns();
		for (int i = 0; i < 2; i++) {
			take(&d[i], now);
			give(&d[i], now);
		}
		if (report) {
			report = 0;
			print(&d[0]);
			print(&d[1]);
		}
	}
}

int
main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct dir d[2] = { { .name = NULL } };
	uint64_t seed = 1;
	double delay_ms = 0, extra_ms = -1;
	char names[2][64];
	int c, fd[2];

	cfg.queue = 10000;
	while ((c = getopt(argc, argv, "s:l:d:r:R:u:b:q:V:")) != -1) {
		switch (c) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'l':
			cfg.loss = strtod(optarg, NULL);
			break;
		case 'd':
			delay_ms = strtod(optarg, NULL);
			break;
		case 'r':
			cfg.reorder = strtod(optarg, NULL);
			break;
		case 'R':
			extra_ms = strtod(optarg, NULL);
			break;
		case 'u':
			cfg.dup = strtod(optarg, NULL);
			break;
		case 'b':
			cfg.mbit = strtod(optarg, NULL);
			break;
		case 'q':
			cfg.queue = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'V':
			cfg.vlan = (uint32_t)strtoul(optarg, NULL, 0) & 0xfff;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 2) {
		fprintf(stderr,
			"usage: impair [-s seed] [-l loss%%] [-d delay_ms] [-r reorder%%] "
			"[-R reorder_ms] [-u duplicate%%] [-b Mbit/s] [-q frames] [-V vlan] "
			"IF1 IF2\n");
		return 2;
	}
	rand_seed(&cfg.rand, seed);
	cfg.delay_ns = (uint64_t)(delay_ms * 1e6);
	cfg.extra_ns = (uint64_t)((extra_ms >= 0 ? extra_ms : delay_ms / 2 + 1) * 1e6);
	for (int i = 0; i < 2; i++) {
		fd[i] = open_if(argv[optind + i]);
		d[i].heap = calloc(cfg.queue, sizeof(d[i].heap[0]));
		if (d[i].heap == NULL)
			return 1;
		snprintf(names[i], sizeof(names[i]), "%.20s>%.20s", argv[optind + i],
			argv[optind + 1 - i]);
		d[i].name = names[i];
	}
	for (int i = 0; i < 2; i++) {
		d[i].in = fd[i];
		d[i].out = fd[1 - i];
		d[i].tags = i == 0;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	run(d);
	print(&d[0]);
	print(&d[1]);
	return 0;
}
