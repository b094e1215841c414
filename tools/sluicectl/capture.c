// SPDX-License-Identifier: BSD-3-Clause
/*
 * "sluicectl capture": the packets of a running daemon, into a pcapng file of ours: the daemon needs no
 * right to write anywhere. The filter is compiled here, so that names are looked up here too. Only
 * whole blocks are written; an interrupt lets the daemon deliver what it has, the second one does not
 * wait for that.
 */
#include "tools/sluicectl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER     "Capturing.\n"
#define BLOCK_HEAD 12u // type, length, and the length again
#define BLOCK_MAX  (1u << 20)
#define INSN_TEXT  16u // digits of an instruction

enum { BLOCK_STATISTICS = 5, BLOCK_PACKET = 6 };
enum { OPT_SEEN = 4, OPT_MATCHED = 6, OPT_LOST = 7 };

struct counts {
	uint64_t packets, seen, matched, lost;
	bool whole; // the statistics have come
};
struct input {
	size_t len;
	unsigned char p[2 * BLOCK_MAX];
};

static volatile sig_atomic_t interrupts;

static void
on_signal(int sig)
{
	(void)sig;
	interrupts = interrupts + 1;
}

static uint32_t
u32(const unsigned char *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	return n;
}

/* ---- the filter ---- */

/* As the daemon wants it: instructions in hexadecimal. NULL: a message was printed. */
static char *
compile(const char *text, int snaplen)
{
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, snaplen);
	struct bpf_program prog;
	char *out = NULL;

	if (dead == NULL)
		return NULL;
	if (pcap_compile(dead, &prog, text, 1, PCAP_NETMASK_UNKNOWN) < 0) {
		fprintf(stderr, "sluicectl: filter '%s': %s\n", text, pcap_geterr(dead));
		pcap_close(dead);
		return NULL;
	}
	out = malloc(prog.bf_len * INSN_TEXT + 1);
	for (u_int i = 0; out != NULL && i < prog.bf_len; i++) {
		const struct bpf_insn *b = &prog.bf_insns[i];

		snprintf(out + i * INSN_TEXT, INSN_TEXT + 1, "%04x%02x%02x%08x", b->code, b->jt, b->jf, b->k);
	}
	pcap_freecode(&prog);
	pcap_close(dead);
	return out;
}

/* The words of the command line, with blanks between. */
static char *
join(char **word)
{
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);

	for (char **w = word; f != NULL && *w != NULL; w++)
		fprintf(f, "%s%s", w > word ? " " : "", *w);
	if (f != NULL)
		fclose(f);
	return out;
}

/* ---- what comes ---- */

/* Options of a statistics block: what we add up. */
static void
add_statistics(const unsigned char *p, size_t len, struct counts *n)
{
	for (size_t at = 20; at + 4 <= len - 4;) {
		uint16_t code, size;
		uint64_t value;

		memcpy(&code, p + at, 2);
		memcpy(&size, p + at + 2, 2);
		at += 4;
		if (code == 0 || at + size > len - 4)
			break;
		if (size == sizeof(value)) {
			memcpy(&value, p + at, sizeof(value));
			n->seen += code == OPT_SEEN ? value : 0;
			n->matched += code == OPT_MATCHED ? value : 0;
			n->lost += code == OPT_LOST ? value : 0;
		}
		at += (size + 3u) & ~3u;
	}
	n->whole = true;
}

/* Writes whole blocks and keeps the rest. 0, -EIO (errno), -EBADMSG. */
static int
write_blocks(struct input *in, FILE *f, struct counts *n)
{
	size_t at = 0;

	while (in->len - at >= BLOCK_HEAD) {
		const unsigned char *p = in->p + at;
		uint32_t len = u32(p + 4);

		if (len < BLOCK_HEAD || len > BLOCK_MAX || len % 4 != 0)
			return -EBADMSG;
		if (in->len - at < len)
			break;
		if (fwrite(p, len, 1, f) != 1)
			return -EIO;
		if (u32(p) == BLOCK_PACKET)
			n->packets++;
		else if (u32(p) == BLOCK_STATISTICS)
			add_statistics(p, len, n);
		at += len;
	}
	memmove(in->p, in->p + at, in->len - at);
	in->len -= at;
	return fflush(f) == 0 ? 0 : -EIO;
}

/* > 0: bytes came; 0: the end; -EINTR: a signal came; -errno. */
static ssize_t
receive(int fd, struct input *in, const sigset_t *while_waiting)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (ppoll(&p, 1, NULL, while_waiting) < 0)
		return -errno;
	n = recv(fd, in->p + in->len, sizeof(in->p) - in->len, 0);
	if (n < 0)
		return errno == EAGAIN ? -EINTR : -errno;
	in->len += (size_t)n;
	return n;
}

/* The daemon's first line. 0: it is capturing; 1: it refuses, and says why. */
static int
read_answer(int fd, struct input *in, const sigset_t *mask)
{
	const size_t len = sizeof(ANSWER) - 1;
	const char *text;

	while (in->len < len || memchr(in->p, '\n', in->len) == NULL) {
		ssize_t n = receive(fd, in, mask);

		if (n == -EINTR && interrupts == 0)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
	}
	if (memcmp(in->p, ANSWER, len) == 0) {
		in->len -= len;
		memmove(in->p, in->p + len, in->len);
		return 0;
	}
	text = (const char *)in->p;
	if (in->len > 5 && text[0] == '[') // the weight of the message
		text += 5;
	fprintf(stderr, "sluicectl: %.*s\n", (int)strcspn(text, "\n"), text);
	return 1;
}

static int
copy_all(int fd, struct input *in, FILE *f, struct counts *n, const sigset_t *mask)
{
	bool told = false;
	int rc;

	for (;;) {
		ssize_t got;

		rc = write_blocks(in, f, n);
		if (rc < 0)
			return rc;
		got = receive(fd, in, mask);
		if (got == 0)
			return in->len == 0 && n->whole ? 0 : -EPIPE;
		if (got < 0 && got != -EINTR)
			return (int)got;
		if (interrupts > 1)
			return -EINTR;
		if (interrupts == 1 && !told) {
			told = true;
			if (send(fd, "stop\n", 5, MSG_NOSIGNAL) < 0)
				return -errno;
		}
	}
}

static void
say(const struct counts *n)
{
	fprintf(stderr, "%" PRIu64 " packets captured\n", n->packets);
	if (!n->whole)
		return;
	fprintf(stderr, "%" PRIu64 " packets dropped, because they were not read in time\n", n->lost);
	fprintf(stderr, "%" PRIu64 " packets left out by the filter\n", n->seen - n->matched);
}

/*
 * Before the daemon is asked, so that no capture begins which nobody can take. What the file holds stays
 * until one begins; `made`: there was none. NULL: errno.
 */
static FILE *
open_file(const char *file, bool *made)
{
	FILE *f = NULL;
	int fd;

	*made = false;
	if (strcmp(file, "-") == 0)
		return stdout;
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd >= 0)
		*made = true;
	else if (errno == EEXIST)
		fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && (f = fdopen(fd, "w")) == NULL)
		close(fd);
	return f;
}

static int
record(struct ctl_conn *c, const char *line, const char *file, const sigset_t *mask)
{
	static struct input in;
	struct counts n = { 0 };
	bool made;
	FILE *f = open_file(file, &made);
	int rc;

	if (f == NULL) {
		fprintf(stderr, "sluicectl: %s: %s\n", file, strerror(errno));
		return 1;
	}
	if (send(c->fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line))
		rc = read_answer(c->fd, &in, mask);
	else
		rc = -errno;
	if (rc != 0) {
		if (rc < 0)
			fprintf(stderr, "sluicectl: %s: %s\n", c->where, strerror(-rc));
		if (f != stdout)
			fclose(f);
		if (made)
			unlink(file);
		return rc < 0 ? 2 : 1;
	}
	if (f != stdout && ftruncate(fileno(f), 0) < 0 && errno != EINVAL) // a pipe has nothing to cut
		fprintf(stderr, "sluicectl: %s: %s\n", file, strerror(errno));
	rc = copy_all(c->fd, &in, f, &n, mask);
	if (rc == -EIO)
		fprintf(stderr, "sluicectl: %s: %s\n", file, strerror(errno));
	else if (rc < 0 && rc != -EINTR)
		fprintf(stderr, "sluicectl: the daemon ended the capture: %s\n", strerror(-rc));
	if (f != stdout && fclose(f) != 0 && rc == 0) {
		fprintf(stderr, "sluicectl: %s: %s\n", file, strerror(errno));
		rc = -EIO;
	}
	say(&n);
	return rc == 0 ? 0 : rc == -EIO || rc == -EINTR ? 1 : 2;
}

/* From here on they only end a wait. */
static void
take_signals(sigset_t *before)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t block;

	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, before);
	sigdelset(before, SIGINT);
	sigdelset(before, SIGTERM);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

int
ctl_capture(struct ctl_conn *c, const struct ctl_capture *q)
{
	char *text = join(q->filter), *filter = NULL, count[32] = "", *line = NULL;
	sigset_t mask;
	int rc = 2;

	if (text != NULL && text[0] != '\0' && (filter = compile(text, (int)q->snaplen)) == NULL)
		goto free_all;
	if (q->count > 0)
		snprintf(count, sizeof(count), " count %" PRIu64, q->count);
	if (asprintf(&line, "capture snaplen %u%s%s%s\n", q->snaplen, count,
		    filter != NULL ? " filter " : "", filter != NULL ? filter : "") < 0) {
		line = NULL;
		goto free_all;
	}
	if (strlen(line) >= 16000) {
		fprintf(stderr, "sluicectl: filter '%s': it is too long\n", text);
		goto free_all;
	}
	take_signals(&mask);
	rc = record(c, line, q->file, &mask);
free_all:
	free(text);
	free(filter);
	free(line);
	return rc;
}
