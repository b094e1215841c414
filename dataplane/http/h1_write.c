// SPDX-License-Identifier: BSD-3-Clause
/*
 * From a message to an HTTP/1 head.
 *
 * Runs on: the worker that owns the stream. Fields that still stand behind each other as received
 * or as appended by hdr.c are copied in one piece: a head that was not edited is two copies.
 * Not here: which fields may pass (hop-by-hop, framing).
 */
#include "dataplane/http/http.h"

#include "dataplane/base/hot.h"

#define VERSION_LEN 8 // "HTTP/1.1"

static inline char *
put(char *to, const char *from, uint32_t len)
{
	memcpy(to, from, len);
	return to + len;
}

/* Stands the value one byte after the colon, so that "name: value\r\n" is there as text? */
static inline bool
is_canonical(const struct http_field *f)
{
	return f->value.off == f->name.off + f->name.len + 2;
}

/*
 * Between the value of one field and the name of the next lies only CRLF: the parser accepts no
 * other line end, and blanks before it would make the gap longer.
 */
static inline bool
is_next(const struct http_field *f, const struct http_field *next)
{
	return next->name.off == f->value.off + f->value.len + 2 && is_canonical(next);
}

/* Start line and its CRLF. */
static inline uint32_t
start_size(const struct http_msg *m)
{
	if ((m->flags & HTTP_F_REQUEST) != 0)
		return m->method.len + m->uri.len + VERSION_LEN + 4;
	return m->reason.len + VERSION_LEN + 7;
}

/* The fields that were not edited, but for the last CRLF. */
static inline uint32_t
raw_size(const struct http_msg *m)
{
	const struct http_field *last = m->hdr + m->nraw - 1;

	return last->value.off + last->value.len - m->hdr[0].name.off;
}

static inline uint32_t
head_size(const struct http_msg *m)
{
	uint32_t n = start_size(m) + 2; // and the empty line

	if (m->nraw > 0)
		n += raw_size(m) + 2;
	for (uint16_t i = m->nraw; i < m->nhdr; i++)
		n += m->hdr[i].name.len + m->hdr[i].value.len + 4;
	return n;
}

uint32_t
h1_head_size(const struct http_msg *m)
{
	return head_size(m);
}

bool
h1_is_as_received(const struct http_msg *m)
{
	bool request = (m->flags & HTTP_F_REQUEST) != 0;
	uint32_t minor = request ? m->uri.off + m->uri.len + VERSION_LEN : VERSION_LEN - 1;

	// where the fields are as written, only the start line can make a difference of length
	return (m->flags & HTTP_F_EDITED) == 0 && m->nraw == m->nhdr && m->len == head_size(m) &&
		m->base[minor] == ((m->flags & HTTP_F_10) != 0 ? '0' : '1');
}

static sl_apart uint32_t
without_connection(const struct http_msg *m, uint32_t n)
{
	for (uint16_t i = 0; i < m->nhdr; i++) {
		const struct http_field *h = &m->hdr[i];

		if (h->name.len == 10 && (m->flags & HTTP_F_UPGRADE) == 0 &&
			sl_str_ieq(sl_str_make(m->base + h->name.off, 10), SL_STR("connection")))
			n -= 10u + h->value.len;
	}
	return n;
}

uint32_t
h1_counted_size(const struct http_msg *m)
{
	uint32_t n = head_size(m) + 15 - 4u * m->nhdr;

	if (likely((m->flags & (HTTP_F_CONN | HTTP_F_CONN_SET)) == 0))
		return n;
	return without_connection(m, n);
}

static char *
put_start(const struct http_msg *m, char *to, bool version10)
{
	const char *version = version10 ? "HTTP/1.0" : "HTTP/1.1";

	if ((m->flags & HTTP_F_REQUEST) != 0) {
		to = put(to, m->base + m->method.off, m->method.len);
		*to++ = ' ';
		to = put(to, m->base + m->uri.off, m->uri.len);
		*to++ = ' ';
		to = put(to, version, VERSION_LEN);
	} else {
		to = put(to, version, VERSION_LEN);
		*to++ = ' ';
		*to++ = (char)('0' + m->status / 100 % 10);
		*to++ = (char)('0' + m->status / 10 % 10);
		*to++ = (char)('0' + m->status % 10);
		*to++ = ' ';
		to = put(to, m->base + m->reason.off, m->reason.len);
	}
	return put(to, "\r\n", 2);
}

int
h1_write_head(const struct http_msg *m, char *out, uint32_t size, bool version10)
{
	const struct http_field *f = m->hdr, *end = m->hdr + m->nhdr;
	uint32_t left = size, n = start_size(m) + 2; // with the empty line
	char *to = out;

	if (n > left)
		return -ENOSPC;
	left -= n;
	to = put_start(m, to, version10);
	if (likely(m->nraw > 0)) {
		n = raw_size(m);
		if (n + 2 > left)
			return -ENOSPC;
		left -= n + 2;
		to = put(to, m->base + f->name.off, n);
		to = put(to, "\r\n", 2);
		f += m->nraw;
	}
	while (f < end) {
		const struct http_field *last = f;

		if (!is_canonical(f)) {
			n = f->name.len + f->value.len + 4;
			if (n > left)
				return -ENOSPC;
			left -= n;
			to = put(to, m->base + f->name.off, f->name.len);
			to = put(to, ": ", 2);
			to = put(to, m->base + f->value.off, f->value.len);
			to = put(to, "\r\n", 2);
			f++;
			continue;
		}
		while (last + 1 < end && is_next(last, last + 1))
			last++;
		n = last->value.off + last->value.len - f->name.off;
		if (n + 2 > left)
			return -ENOSPC;
		left -= n + 2;
		to = put(to, m->base + f->name.off, n);
		to = put(to, "\r\n", 2);
		f = last + 1;
	}
	to = put(to, "\r\n", 2);
	return (int)(to - out);
}
