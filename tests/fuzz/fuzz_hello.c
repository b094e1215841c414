// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target: the first words of TLS.
 *
 * Invariants: more bytes change a verdict only while it was "not whole yet"; a name lies within its message;
 * where OpenSSL reads the same bytes as a ClientHello with one host's name, ours is that name.
 */
#include <openssl/ssl.h>
#include <string.h>

#include "dataplane/proxy/tls_hello.h"
#include "tests/fuzz/fuzz.h"

#define MAX_IN 4096

struct seen {
	bool called, has;
	char name[MAX_IN];
	uint32_t len;
};

/* RFC 6066 3 with a single host; else `has` stays false. */
static int
on_hello(SSL *s, int *alert sl_unused, void *arg)
{
	struct seen *seen = arg;
	const unsigned char *p;
	size_t n;

	seen->called = true;
	if (SSL_client_hello_get0_ext(s, TLSEXT_TYPE_server_name, &p, &n) == 1 && n > 5 &&
		(size_t)(p[0] << 8 | p[1]) == n - 2 && p[2] == 0 &&
		(size_t)(p[3] << 8 | p[4]) == n - 5) {
		seen->has = true;
		seen->len = (uint32_t)n - 5;
		memcpy(seen->name, p + 5, n - 5);
	}
	return SSL_CLIENT_HELLO_ERROR;
}

static void
ask_openssl(const char *p, uint32_t len, struct seen *seen)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL *s;

	memset(seen, 0, sizeof(*seen));
	MUST(ctx != NULL && in != NULL && out != NULL);
	SSL_CTX_set_client_hello_cb(ctx, on_hello, seen);
	s = SSL_new(ctx);
	MUST(s != NULL && BIO_write(in, p, (int)len) == (int)len);
	SSL_set_bio(s, in, out);
	(void)SSL_accept(s);
	SSL_free(s);
	SSL_CTX_free(ctx);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_message m, other;
	enum tls_look whole;
	struct sl_str name;
	struct seen seen;
	char *copy;
	bool found;

	if (size == 0 || size > MAX_IN)
		return 0;
	copy = malloc(size);
	MUST(copy != NULL);
	memcpy(copy, data, size);
	whole = tls_handshake(sl_str_make(copy, (uint32_t)size), &m);
	for (uint32_t n = 0; n < size; n++) {
		char *cut = malloc(n + (n == 0));
		enum tls_look part;

		MUST(cut != NULL);
		memcpy(cut, data, n);
		part = tls_handshake(sl_str_make(cut, n), &other);
		MUST(part == TLS_PARTIAL || part == whole);
		MUST(part != TLS_WHOLE || (other.type == m.type && other.body.len == m.body.len));
		free(cut);
	}
	if (whole == TLS_WHOLE) {
		found = tls_server_name(m.body, &name);
		MUST(!found || (name.p >= m.body.p && name.p + name.len <= m.body.p + m.body.len));
		ask_openssl(copy, (uint32_t)size, &seen);
		if (seen.has && m.type == TLS_CLIENT_HELLO)
			MUST(found && name.len == seen.len && memcmp(name.p, seen.name, name.len) == 0);
	}
	free(copy);
	return 0;
}
