// SPDX-License-Identifier: BSD-3-Clause
/*
 * A TLS handshake message, and the host's name in a ClientHello.
 *
 * Runs on: the worker, by the fetches of fetch_payload.c.
 * Follows: RFC 8446 4.1.2, 4.2, 5.1; RFC 6066 3. As HAProxy: a message is looked at once it is whole, and
 * only if it is in one record. Why not OpenSSL: it would allocate, and wants a connection to answer.
 */
#include "dataplane/proxy/tls_hello.h"

#define RECORD_HANDSHAKE 22
#define RECORD_HEAD      5
#define MESSAGE_HEAD     4
#define EXT_SERVER_NAME  0
#define NAME_HOST        0

/* Bytes that are there; once something was to be read beyond them, nothing more is. */
struct reader {
	const char *p;
	uint32_t left;
	bool bad;
};

static uint32_t
take(struct reader *r, uint32_t n)
{
	uint32_t v = 0;

	if (r->left < n) {
		*r = (struct reader){ .bad = true };
		return 0;
	}
	for (uint32_t i = 0; i < n; i++)
		v = v << 8 | (unsigned char)r->p[i];
	r->p += n;
	r->left -= n;
	return v;
}

/* The next n bytes by themselves. */
static struct reader
part(struct reader *r, uint32_t n)
{
	struct reader out = { .p = r->p, .left = n };

	if (r->left < n)
		return *r = (struct reader){ .bad = true };
	r->p += n;
	r->left -= n;
	return out;
}

/* A vector behind its length, which has `size` bytes (RFC 8446 3.4). */
static struct reader
vector(struct reader *r, uint32_t size)
{
	return part(r, take(r, size));
}

enum tls_look
tls_handshake(struct sl_str bytes, struct tls_message *out)
{
	struct reader r = { .p = bytes.p, .left = bytes.len };
	uint32_t record, n;

	if (bytes.len > 0 && bytes.p[0] != RECORD_HANDSHAKE)
		return TLS_NONE;
	if (bytes.len > 1 && (unsigned char)bytes.p[1] < 3) // SSL 3.0 and its children
		return TLS_NONE;
	if (bytes.len < RECORD_HEAD + MESSAGE_HEAD)
		return TLS_PARTIAL;
	(void)take(&r, 3);
	record = take(&r, 2);
	out->type = take(&r, 1);
	n = take(&r, 3);
	if (record < MESSAGE_HEAD || record - MESSAGE_HEAD < n) // in several records
		return TLS_NONE;
	if (r.left < n)
		return TLS_PARTIAL;
	out->body = sl_str_make(r.p, n);
	return TLS_WHOLE;
}

static bool
find_extension(struct sl_str hello, uint32_t kind, struct reader *out)
{
	struct reader r = { .p = hello.p, .left = hello.len }, all;

	(void)take(&r, 2);   // version
	(void)part(&r, 32);  // random
	(void)vector(&r, 1); // session
	(void)vector(&r, 2); // cipher suites
	(void)vector(&r, 1); // compressions
	all = vector(&r, 2);
	while (all.left > 0) {
		uint32_t is = take(&all, 2);

		*out = vector(&all, 2);
		if (!all.bad && is == kind)
			return true;
	}
	return false;
}

bool
tls_server_name(struct sl_str hello, struct sl_str *name)
{
	struct reader ext, list;

	if (!find_extension(hello, EXT_SERVER_NAME, &ext))
		return false;
	list = vector(&ext, 2);
	while (list.left > 0) {
		uint32_t kind = take(&list, 1);
		struct reader one = vector(&list, 2);

		if (!list.bad && kind == NAME_HOST) {
			*name = sl_str_make(one.p, one.left);
			return true;
		}
	}
	return false;
}
