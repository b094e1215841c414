// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target: chunked bodies. The first byte chooses the pieces; the rest is the body.
 *
 * Invariants: length, payload and verdict do not depend on the pieces, nor on whether the framing
 * is removed; a scan changes no byte; the payload in chunks of our own means the same.
 */
#include "tests/fuzz/fuzz.h"

#include "dataplane/http/http.h"

#define MAX_IN 65536

struct result {
	int rc;
	bool done;
	uint32_t payload_len;
	char *payload;
};

static void
run(const char *text, uint32_t len, uint32_t step, bool decode, struct result *r)
{
	struct h1_chunk c = { 0 };
	uint32_t at = 0;

	*r = (struct result){ .payload = malloc(len + 1) };
	MUST(r->payload != NULL);
	while (at < len && c.state != H1_CHUNK_DONE) {
		uint32_t n = sl_min(step, len - at), data;
		char *piece = malloc(n);
		int rc;

		MUST(piece != NULL);
		memcpy(piece, text + at, n);
		rc = decode ? h1_chunk_decode(&c, piece, n, &data)
			    : h1_chunk_scan(&c, piece, n, &data);
		if (rc < 0) {
			r->rc = rc;
			r->payload_len = 0;
			free(piece);
			return;
		}
		MUST((uint32_t)rc <= n && data <= (uint32_t)rc);
		MUST((uint32_t)rc == n || c.state == H1_CHUNK_DONE);
		if (decode)
			memcpy(r->payload + r->payload_len, piece, data);
		else
			MUST(memcmp(piece, text + at, n) == 0);
		r->payload_len += data;
		r->rc += rc;
		at += n;
		free(piece);
	}
	r->done = c.state == H1_CHUNK_DONE;
}

/* The payload as one chunk, written by us. */
static void
write_and_read(const struct result *r)
{
	char *text = malloc(r->payload_len + 32);
	struct h1_chunk c = { 0 };
	uint32_t len = 0, data;

	MUST(text != NULL);
	if (r->payload_len > 0) {
		len = (uint32_t)h1_chunk_head(text, r->payload_len);
		memcpy(text + len, r->payload, r->payload_len);
		len += r->payload_len;
		memcpy(text + len, "\r\n", 2);
		len += 2;
	}
	memcpy(text + len, "0\r\n\r\n", 5);
	len += 5;
	MUST(h1_chunk_decode(&c, text, len, &data) == (int)len);
	MUST(c.state == H1_CHUNK_DONE && data == r->payload_len);
	MUST(memcmp(text, r->payload, data) == 0);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole, other;
	const char *text;
	uint32_t len;

	if (size < 2 || size > MAX_IN)
		return 0;
	text = (const char *)data + 1;
	len = (uint32_t)size - 1;
	run(text, len, len, true, &whole);
	for (int i = 0; i < 3; i++) {
		uint32_t step = i == 0 ? 1 : i == 1 ? 1u + data[0] % 17u : len;
		run(text, len, step, i < 2, &other);
		MUST(other.rc == whole.rc && other.done == whole.done);
		MUST(other.payload_len == whole.payload_len);
		MUST(i == 2 || memcmp(other.payload, whole.payload, whole.payload_len) == 0);
		free(other.payload);
	}
	if (whole.done)
		write_and_read(&whole);
	free(whole.payload);
	return 0;
}
