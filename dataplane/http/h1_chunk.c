// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chunked transfer coding: where the body ends, and its payload.
 *
 * Runs on: the worker that owns the stream. Follows RFC 9112 7.1; every line ends in CRLF, sizes
 * have 13 significant digits at most, extensions hold no control bytes, trailer lines look like fields.
 * HAProxy 2.6 takes a bare LF as well, which other parsers read as part of an extension.
 * Framing is paid for by payload: else one byte of body could be sent in kilobytes of extensions,
 * again and again.
 * Not here: the meaning of extensions and trailers.
 */
#include "dataplane/http/h1.h"
#include "dataplane/http/token.h"

#include "dataplane/base/hot.h"

#define MAX_SIZE ((1ull << 52) - 1) // HAProxy's: what every number type of a peer holds
#define FREE_PER_CHUNK 16u // a size line of the usual kind

/* The size line is complete: its payload pays for framing. */
static void
chunk_starts(struct h1_chunk *c)
{
	uint64_t credit = FREE_PER_CHUNK + (c->left < UINT32_MAX ? 2 * c->left : UINT32_MAX);

	c->overhead = c->overhead > credit ? (uint32_t)(c->overhead - credit) : 0;
	c->digits = 0;
	c->state = c->left > 0 ? H1_CHUNK_DATA : H1_CHUNK_TRAILER;
}

static int
size_byte(struct h1_chunk *c, char ch)
{
	if (http_is(ch, HTTP_C_HEX)) {
		uint64_t digit = (uint64_t)(ch <= '9' ? ch - '0' : (ch | 0x20) - 'a' + 10);

		if (c->left > MAX_SIZE >> 4) // leading zeros count as framing only
			return -EBADMSG;
		c->digits = 1;
		c->left = c->left << 4 | digit;
		return 0;
	}
	if (c->digits == 0)
		return -EBADMSG;
	if (ch == '\r')
		c->state = H1_CHUNK_SIZE_LF;
	else if (ch == ';')
		c->state = H1_CHUNK_EXT;
	else if (ch == ' ' || ch == '\t') // padding by old servers, and RFC 9112 7.1.1 BWS
		c->state = H1_CHUNK_BWS;
	else
		return -EBADMSG;
	return 0;
}

/* `ch` must be `want`; goes to the next state. */
static int
expect(struct h1_chunk *c, char ch, char want, enum h1_chunk_state next)
{
	if (ch != want)
		return -EBADMSG;
	c->state = (uint8_t)next;
	return 0;
}

static int
trailer_byte(struct h1_chunk *c, char ch)
{
	switch (c->state) {
	case H1_CHUNK_TRAILER:
		if (ch == '\r')
			c->state = H1_CHUNK_END_LF;
		else if (http_is(ch, HTTP_C_TOKEN))
			c->state = H1_CHUNK_TRAILER_NAME;
		else
			return -EBADMSG;
		return 0;
	case H1_CHUNK_TRAILER_NAME:
		if (ch == ':')
			c->state = H1_CHUNK_TRAILER_VALUE;
		else if (!http_is(ch, HTTP_C_TOKEN))
			return -EBADMSG;
		return 0;
	default:
		if (ch == '\r')
			c->state = H1_CHUNK_TRAILER_LF;
		else if (!http_is(ch, HTTP_C_VALUE))
			return -EBADMSG;
		return 0;
	}
}

/* One byte of framing. */
static int
frame_byte(struct h1_chunk *c, char ch)
{
	switch ((enum h1_chunk_state)c->state) {
	case H1_CHUNK_SIZE:
		return size_byte(c, ch);
	case H1_CHUNK_BWS:
		if (ch == ' ' || ch == '\t')
			return 0;
		if (ch == ';')
			c->state = H1_CHUNK_EXT;
		else
			return expect(c, ch, '\r', H1_CHUNK_SIZE_LF);
		return 0;
	case H1_CHUNK_EXT:
		if (http_is(ch, HTTP_C_VALUE))
			return 0;
		return expect(c, ch, '\r', H1_CHUNK_SIZE_LF);
	case H1_CHUNK_SIZE_LF:
		if (ch != '\n')
			return -EBADMSG;
		chunk_starts(c);
		return 0;
	case H1_CHUNK_DATA_CR:
		return expect(c, ch, '\r', H1_CHUNK_DATA_LF);
	case H1_CHUNK_DATA_LF:
		return expect(c, ch, '\n', H1_CHUNK_SIZE);
	case H1_CHUNK_TRAILER_LF:
		return expect(c, ch, '\n', H1_CHUNK_TRAILER);
	case H1_CHUNK_END_LF:
		return expect(c, ch, '\n', H1_CHUNK_DONE);
	default:
		return trailer_byte(c, ch);
	}
}

/* `out`: where the payload goes (not behind the scan), or NULL. */
static inline __attribute__((always_inline)) int
run(struct h1_chunk *c, const char *buf, uint32_t len, uint32_t *data, char *out)
{
	uint32_t at = 0;

	*data = 0;
	while (at < len && c->state != H1_CHUNK_DONE) {
		int rc;

		if (c->state == H1_CHUNK_DATA) {
			uint32_t n = (uint32_t)sl_min(c->left, (uint64_t)(len - at));

			if (out != NULL && out + *data != buf + at)
				memmove(out + *data, buf + at, n);
			*data += n;
			at += n;
			c->left -= n;
			if (c->left == 0)
				c->state = H1_CHUNK_DATA_CR;
			continue;
		}
		if (++c->overhead > H1_CHUNK_MAX_OVERHEAD)
			return -EMSGSIZE;
		rc = frame_byte(c, buf[at++]);
		if (rc < 0)
			return rc;
	}
	return (int)at;
}

int
h1_chunk_scan(struct h1_chunk *c, const char *buf, uint32_t len, uint32_t *data)
{
	return run(c, buf, len, data, NULL);
}

int
h1_chunk_decode(struct h1_chunk *c, char *buf, uint32_t len, uint32_t *data)
{
	return run(c, buf, len, data, buf);
}

int
h1_chunk_head(char *out, uint64_t n)
{
	int digits = n == 0 ? 1 : (67 - __builtin_clzll(n)) / 4;

	for (int i = digits - 1; i >= 0; i--) {
		out[i] = "0123456789abcdef"[n & 15];
		n >>= 4;
	}
	out[digits] = '\r';
	out[digits + 1] = '\n';
	return digits + 2;
}
