// SPDX-License-Identifier: BSD-3-Clause
/*
 * A connection to the runtime API in its interactive mode: an answer ends where the prompt comes.
 */
#include "tools/sluicectl/ctl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S        15
#define RELOAD_TIMEOUT_S 3600 // "reload" answers when it has happened: the file says how long that may take
#define PROMPT    "\n> "

static socklen_t
unix_address(const char *where, struct sockaddr_storage *ss)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ss;
	size_t n = strlen(where);

	if (n >= sizeof(un->sun_path))
		return 0;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, where, n);
	if (where[0] != '@')
		return sizeof(*un);
	un->sun_path[0] = '\0'; // abstract
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

/* "127.0.0.1:9999", "[::1]:9999" */
static socklen_t
inet_address(const char *where, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
	const char *colon = strrchr(where, ':');
	char host[64], *end;
	long port = strtol(colon + 1, &end, 10);
	size_t n = (size_t)(colon - where);

	if (*end != '\0' || port < 1 || port > 65535 || n >= sizeof(host))
		return 0;
	memcpy(host, where, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		return sizeof(*in);
	}
	if (host[0] == '[' && n > 2 && host[n - 1] == ']') {
		host[n - 1] = '\0';
		if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1) {
			in6->sin6_family = AF_INET6;
			in6->sin6_port = htons((uint16_t)port);
			return sizeof(*in6);
		}
	}
	return 0;
}

static int
send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? -errno : -EPIPE;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* Up to the prompt, which is cut off. */
static int
read_answer(int fd, struct ctl_text *out)
{
	size_t size = 65536;
	const size_t tail = sizeof(PROMPT) - 1;

	out->p = malloc(size);
	out->len = 0;
	while (out->p != NULL) {
		ssize_t n = recv(fd, out->p + out->len, size - out->len - 1, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int rc = n == 0 ? -EPIPE : errno == EAGAIN ? -ETIMEDOUT : -errno;

			ctl_text_free(out);
			return rc;
		}
		out->len += (size_t)n;
		out->p[out->len] = '\0';
		if (out->len >= tail && memcmp(out->p + out->len - tail, PROMPT, tail) == 0) {
			out->len -= tail;
			out->p[out->len] = '\0';
			return 0;
		}
		if (size - out->len < 4096) {
			char *more = realloc(out->p, size *= 2);

			if (more == NULL)
				ctl_text_free(out);
			else
				out->p = more;
		}
	}
	return -ENOMEM;
}

static void
set_timeout(int fd, time_t s)
{
	struct timeval tv = { .tv_sec = s };

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

/* ---- what a line asks for ---- */

/* The next command of a line, which ';' separates. False: there is none. */
static bool
next_command(const char **line, const char **command, size_t *len)
{
	const char *p = *line + strspn(*line, " \t;");

	*command = p;
	for (; *p != '\0' && *p != ';'; p++)
		p += p[0] == '\\' && p[1] != '\0';
	*line = p;
	*len = (size_t)(p - *command);
	return *len > 0;
}

/* Cuts the next word off a command; its length, 0: there is none. */
static size_t
next_word(const char **p, size_t *left, const char **word)
{
	size_t n = 0;

	for (; *left > 0 && (**p == ' ' || **p == '\t'); (*left)--)
		(*p)++;
	*word = *p;
	while (n < *left && (*p)[n] != ' ' && (*p)[n] != '\t')
		n++;
	*p += n;
	*left -= n;
	return n;
}

static bool
is_word(const char *word, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(word, text, len) == 0;
}

static bool
asks_reload(const char *line)
{
	const char *p, *w;
	size_t left, n;

	while (next_command(&line, &p, &left)) {
		n = next_word(&p, &left, &w);
		if (is_word(w, n, "reload"))
			return true;
	}
	return false;
}

/* "show events SINK -w" */
static bool
waits(const char *p, size_t left)
{
	static const char *const head[] = { "show", "events" };
	const char *w;
	size_t n;

	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
		n = next_word(&p, &left, &w);
		if (!is_word(w, n, head[i]))
			return false;
	}
	next_word(&p, &left, &w);
	while ((n = next_word(&p, &left, &w)) > 0) {
		if (is_word(w, n, "-w") || is_word(w, n, "-nw") || is_word(w, n, "-wn"))
			return true;
	}
	return false;
}

bool
ctl_has_no_end(const char *line)
{
	const char *p;
	size_t left;

	while (next_command(&line, &p, &left)) {
		if (waits(p, left))
			return true;
	}
	return false;
}

/* ---- answers ---- */

/* Cuts "[3]: " off the lines that begin so, and keeps the lowest number. *begins: t does so with a line. */
static void
take_severity(struct ctl_text *t, bool *line_begins)
{
	char *to = t->p;
	bool begins = *line_begins;

	for (const char *at = t->p, *end = t->p + t->len; at < end;) {
		if (begins && end - at >= 5 && at[0] == '[' && at[1] >= '0' && at[1] <= '7' &&
			memcmp(at + 2, "]: ", 3) == 0) {
			if (at[1] - '0' < t->severity)
				t->severity = at[1] - '0';
			at += 5;
			begins = false;
			continue;
		}
		begins = *at == '\n';
		*to++ = *at++;
	}
	*to = '\0';
	t->len = (size_t)(to - t->p);
	*line_begins = begins;
}

static int
ask_once(struct ctl_conn *c, const char *line, struct ctl_text *out)
{
	bool begins = true;
	int rc = send_all(c->fd, line, strlen(line));

	set_timeout(c->fd, asks_reload(line) ? RELOAD_TIMEOUT_S : TIMEOUT_S);
	if (rc == 0)
		rc = send_all(c->fd, "\n", 1);
	if (rc == 0)
		rc = read_answer(c->fd, out);
	out->severity = CTL_DATA;
	if (rc == 0)
		take_severity(out, &begins);
	return rc;
}

int
ctl_open(struct ctl_conn *c, const char *where)
{
	struct sockaddr_storage ss = { 0 };
	bool is_path = where[0] == '/' || where[0] == '@' || strchr(where, ':') == NULL;
	socklen_t len = is_path ? unix_address(where, &ss) : inet_address(where, &ss);
	static const char *const first[] = { "prompt", "set severity-output number" };
	struct ctl_text none;
	int rc;

	c->where = where;
	c->fd = -1;
	if (len == 0)
		return -EINVAL;
	c->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	rc = connect(c->fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]) && rc == 0; i++) {
		rc = ask_once(c, first[i], &none);
		if (rc == 0)
			ctl_text_free(&none);
	}
	if (rc < 0)
		ctl_close(c);
	return rc;
}

void
ctl_close(struct ctl_conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

int
ctl_ask(struct ctl_conn *c, const char *line, struct ctl_text *out)
{
	bool fresh = c->fd < 0;
	int rc = fresh ? ctl_open(c, c->where) : 0;

	if (rc == 0)
		rc = ask_once(c, line, out);
	if (rc == -EPIPE || rc == -ECONNRESET) { // it closes those who are silent
		ctl_close(c);
		if (!fresh && (rc = ctl_open(c, c->where)) == 0)
			rc = ask_once(c, line, out);
	}
	if (rc < 0)
		ctl_close(c);
	return rc;
}

/* As recv(), but -errno; -ECANCELED: there is something to read at `stop`. */
static ssize_t
receive_or_stop(int fd, int stop, char *p, size_t size)
{
	struct pollfd w[] = { { .fd = fd, .events = POLLIN }, { .fd = stop, .events = POLLIN } };
	ssize_t n;

	do {
		n = poll(w, 2, -1) < 0 ? -1 : w[1].revents != 0 ? -ECANCELED : recv(fd, p, size, 0);
	} while (n == -1 && errno == EINTR);
	return n == -1 ? -errno : n;
}

/* Appends, and says whether the last bytes of all that came are the prompt. */
static bool
is_prompt(char last[], const char *p, size_t n)
{
	const size_t tail = sizeof(PROMPT) - 1;
	size_t keep = n < tail ? tail - n : 0;

	memmove(last, last + tail - keep, keep);
	memcpy(last + keep, p + n - (tail - keep), tail - keep);
	return memcmp(last, PROMPT, tail) == 0;
}

/* 0: the daemon ended it; 1: the daemon has gone; -ECANCELED: stopped; -errno. */
static int
follow(struct ctl_conn *c, FILE *to, int stop, int *severity)
{
	const size_t tail = sizeof(PROMPT) - 1;
	char p[16384], last[sizeof(PROMPT) - 1] = { 0 };
	bool begins = true, ended = false;

	while (!ended) {
		struct ctl_text t = { .p = p, .severity = *severity };
		ssize_t n = receive_or_stop(c->fd, stop, p, sizeof(p) - 1);

		if (n <= 0)
			return n == 0 ? 1 : (int)n;
		t.len = (size_t)n;
		ended = is_prompt(last, p, t.len);
		t.len -= ended ? (t.len < tail ? t.len : tail) : 0;
		take_severity(&t, &begins);
		*severity = t.severity;
		if (fwrite(p, 1, t.len, to) != t.len || fflush(to) != 0)
			return -EIO;
	}
	return 0;
}

/* It closes those who are silent. */
static bool
is_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

int
ctl_follow(struct ctl_conn *c, const char *line, FILE *to, int stop)
{
	int severity = CTL_DATA, rc = 0;

	if (c->fd >= 0 && is_closed(c->fd))
		ctl_close(c);
	if (c->fd < 0)
		rc = ctl_open(c, c->where);
	if (rc == 0)
		rc = send_all(c->fd, line, strlen(line));
	if (rc == 0)
		rc = send_all(c->fd, "\n", 1);
	if (rc == 0)
		rc = follow(c, to, stop, &severity);
	if (rc != 0) // one that waits would take the next line for its end
		ctl_close(c);
	if (rc < 0 && rc != -ECANCELED)
		return rc;
	return severity <= CTL_ERR;
}

void
ctl_text_free(struct ctl_text *t)
{
	free(t->p);
	t->p = NULL;
	t->len = 0;
}

bool
ctl_is_refusal(const struct ctl_text *t)
{
	// HAProxy's answers that weigh less than what they say, or nothing
	static const char *const starts[] = { "Unknown command", "Invalid addr",
		"Session not found", "Success=0", "Frontend was previously shut down" };

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		if (strncmp(t->p, starts[i], strlen(starts[i])) == 0)
			return true;
	}
	return t->severity <= CTL_ERR;
}
