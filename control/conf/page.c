// SPDX-License-Identifier: BSD-3-Clause
/*
 * Pages from files: an answer as it goes over the wire, read and taken apart when the configuration
 * is loaded, so that a worker only copies it.
 *
 * Runs on: the loader. Follows: HAProxy 2.6's errorfile: a head (lines may end in a bare LF) and a
 * body, of at most a buffer's size together; the length, if it is given, must be the body's; no
 * chunks; an empty file answers nothing and closes.
 */
#include "control/conf/conf_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PAGE_MAX 16384 // HAProxy's tune.bufsize

/* Up to `max` bytes and one more, by which the caller sees that there is more; or a negative errno. */
static ssize_t
read_upto(int fd, char *to, size_t max)
{
	size_t n = 0;

	while (n <= max) {
		ssize_t got = read(fd, to + n, max + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

int
page_read(struct conf *c, const char *what, struct sl_str path, struct sl_str *out)
{
	struct sl_str name = arena_str(&c->tmp, path);
	char *text = arena_alloc(&c->tmp, PAGE_MAX + 1);
	ssize_t n;
	int fd;

	if (name.p == NULL || text == NULL)
		return conf_nomem(c);
	fd = open(name.p, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		conf_error(c, "%s : error opening file '%s' (%s).", what, name.p, strerror(errno));
		return -EINVAL;
	}
	n = read_upto(fd, text, PAGE_MAX);
	close(fd);
	if (n < 0)
		conf_error(c, "%s : error reading file '%s' (%s).", what, name.p, strerror((int)-n));
	else if (n > PAGE_MAX)
		conf_error(c, "%s : file '%s' exceeds the buffer size (%u).", what, name.p, PAGE_MAX);
	if (n < 0 || n > PAGE_MAX)
		return -EINVAL;
	*out = arena_str(&c->mem, sl_str_make(text, (uint32_t)n)); // what it needs, not what it may
	return out->p != NULL ? 0 : conf_nomem(c);
}

/* The head with CRLF behind each line; *body: what follows it. NULL: no memory. */
static char *
crlf_head(struct conf *c, struct sl_str text, uint32_t *len, struct sl_str *body)
{
	char *out = arena_alloc(&c->mem, 2 * text.len + 1);
	uint32_t n = 0, line = 0, i = 0;

	if (out == NULL)
		return NULL;
	while (i < text.len) {
		char ch = text.p[i++];

		if (ch != '\n') {
			out[n++] = ch;
			continue;
		}
		if (n > 0 && out[n - 1] == '\r')
			n--;
		bool empty = n == line;
		out[n++] = '\r';
		out[n++] = '\n';
		line = n;
		if (empty)
			break;
	}
	*len = n;
	*body = sl_str_make(text.p + i, text.len - i);
	return out;
}

static int
bad_page(struct conf *c, const char *what, struct sl_str path, const char *why)
{
	conf_error(c, "%s : '%.*s': %s", what, SL_STR_ARG(path), why);
	return -EINVAL;
}

/* Fields in small letters, as everything that we send; those of the connection are the mux's. */
static int
take_fields(struct conf *c, const struct http_msg *m, struct http_page *p)
{
	struct sl_str *f = arena_alloc(&c->mem, sizeof(*f) * (2u * m->nhdr + 1));

	if (f == NULL)
		return conf_nomem(c);
	p->hdr = f;
	for (uint16_t i = 0; i < m->nhdr; i++) {
		struct sl_str name = arena_str(&c->mem, http_str(m, m->hdr[i].name));

		if (name.p == NULL)
			return conf_nomem(c);
		for (uint32_t k = 0; k < name.len; k++)
			((char *)(uintptr_t)name.p)[k] = sl_lower(name.p[k]);
		if (sl_str_eq(name, SL_STR("connection")))
			continue;
		*f++ = name;
		*f++ = http_str(m, m->hdr[i].value);
		p->nhdr++;
	}
	return 0;
}

static int
parse_page(struct conf *c, const char *what, struct sl_str path, struct sl_str text,
	struct http_page *p)
{
	static struct http_field field[HTTP_MAX_HDR]; // the loader is one
	struct h1_parser h = { 0 };
	struct http_msg m;
	uint32_t len;
	char why[128];
	char *head = crlf_head(c, text, &len, &p->body);
	int rc;

	if (head == NULL)
		return conf_nomem(c);
	http_msg_init(&m, field, SL_ARRAY_SIZE(field), false);
	rc = h1_parse_response(&h, &m, head, len, HTTP_GET);
	if (rc < 0) {
		snprintf(why, sizeof(why), "unable to parse headers (%s, error offset: %u)",
			rc == -EAGAIN ? "no empty line behind them" : h1_error_name(h.err), h.err_pos);
		return bad_page(c, what, path, why);
	}
	if (m.status < 200)
		return bad_page(c, what, path, "an interim status is no answer");
	if (m.framing == HTTP_BODY_CHUNKED)
		return bad_page(c, what, path, "chunk-encoded payload not supported");
	p->has_length = m.framing != HTTP_BODY_CLOSE;
	if (p->has_length && (m.framing == HTTP_BODY_LENGTH ? m.content_length : 0) != p->body.len) {
		snprintf(why, sizeof(why),
			"payload size does not match the announced content-length (%u != %llu)",
			p->body.len, (unsigned long long)m.content_length);
		return bad_page(c, what, path, why);
	}
	p->status = m.status;
	p->reason = http_str(&m, m.reason);
	p->http10 = (m.flags & HTTP_F_10) != 0;
	p->says_close = (m.flags & HTTP_F_CONN_CLOSE) != 0;
	p->close = p->says_close || !p->has_length;
	return take_fields(c, &m, p);
}

const struct http_page *
page_from_file(struct conf *c, const char *what, struct sl_str path)
{
	struct http_page *p = arena_zalloc(&c->mem, sizeof(*p));
	struct sl_str text;

	if (p == NULL) {
		(void)conf_nomem(c);
		return NULL;
	}
	if (page_read(c, what, path, &text) < 0)
		return NULL;
	p->silent = text.len == 0;
	if (!p->silent && parse_page(c, what, path, text, p) < 0)
		return NULL;
	return p;
}

const struct http_page *
page_to_location(struct conf *c, uint16_t status, struct sl_str url)
{
	struct http_page *p = arena_zalloc(&c->mem, sizeof(*p));
	struct sl_str *f = arena_alloc(&c->mem, 6 * sizeof(*f));

	if (p == NULL || f == NULL) {
		(void)conf_nomem(c);
		return NULL;
	}
	f[0] = SL_STR("cache-control");
	f[1] = SL_STR("no-cache");
	f[2] = SL_STR("content-length");
	f[3] = SL_STR("0");
	f[4] = SL_STR("location");
	f[5] = url;
	*p = (struct http_page){ .status = status,
		.reason = status == 302 ? SL_STR("Found") : sl_str_c(http_reason(status)),
		.has_length = true,
		.hdr = f,
		.nhdr = 3 };
	return p;
}
