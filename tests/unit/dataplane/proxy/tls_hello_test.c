// SPDX-License-Identifier: BSD-3-Clause
/*
 * The first words of TLS: those that OpenSSL writes, of each version, whole, cut at every byte, with every
 * byte spoilt, and with lengths of every kind. All inputs end at a forbidden page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "dataplane/proxy/tls_hello.h"
#include "tests/harness/guard.h"

#define MAX 8192

static struct guard guard;
static char hello[MAX];

/* What a client says first that asks for this host (NULL: for none); its length. */
static uint32_t
client_says(const char *host, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL *s;
	int n;

	SSL_CTX_set_security_level(ctx, 0);
	assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
	s = SSL_new(ctx);
	SSL_set_bio(s, in, out);
	if (host != NULL)
		assert_int_equal(SSL_set_tlsext_host_name(s, host), 1);
	assert_int_equal(SSL_connect(s), -1); // nobody answers
	n = BIO_read(out, hello, MAX);
	assert_in_range(n, 1, MAX);
	SSL_free(s);
	SSL_CTX_free(ctx);
	return (uint32_t)n;
}

/* The first n bytes at the forbidden page. */
static enum tls_look
look(uint32_t n, struct tls_message *m)
{
	return tls_handshake(sl_str_make(guard_end(&guard, hello, n), n), m);
}

static void
test_whole(void **state sl_unused)
{
	static const char *const hosts[] = { "a", "www.example.com", NULL };
	static const int versions[] = { TLS1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION };

	for (size_t i = 0; i < SL_ARRAY_SIZE(versions); i++) {
		for (size_t k = 0; k < SL_ARRAY_SIZE(hosts); k++) {
			uint32_t n = client_says(hosts[k], versions[i]);
			struct tls_message m;
			struct sl_str name;

			for (uint32_t cut = 0; cut < n; cut++)
				assert_int_equal(look(cut, &m), TLS_PARTIAL);
			assert_int_equal(look(n, &m), TLS_WHOLE);
			assert_int_equal(m.type, TLS_CLIENT_HELLO);
			assert_int_equal(tls_server_name(m.body, &name), hosts[k] != NULL);
			if (hosts[k] != NULL) {
				assert_int_equal(name.len, strlen(hosts[k]));
				assert_memory_equal(name.p, hosts[k], name.len);
			}
		}
	}
}

/* A body that ends early, whatever its lengths say: no name, and nothing read behind it. */
static void
test_cut_body(void **state sl_unused)
{
	uint32_t n = client_says("www.example.com", TLS1_3_VERSION);
	struct tls_message m;
	struct sl_str name;
	uint32_t found = 0;

	assert_int_equal(look(n, &m), TLS_WHOLE);
	for (uint32_t cut = 0; cut <= m.body.len; cut++) {
		const char *p = guard_end(&guard, hello + n - m.body.len, cut);

		found += tls_server_name(sl_str_make(p, cut), &name);
	}
	assert_int_equal(found, 1); // the vector of all extensions reaches to the end
}

/* Each byte with each value: no more is read than is there, and what is found lies within. */
static void
test_spoilt(void **state sl_unused)
{
	uint32_t n = client_says("www.example.com", TLS1_3_VERSION);

	for (uint32_t at = 0; at < n; at++) {
		char was = hello[at];

		for (uint32_t v = 0; v < 256; v++) {
			struct tls_message m;
			struct sl_str name;

			hello[at] = (char)v;
			if (look(n, &m) != TLS_WHOLE || !tls_server_name(m.body, &name))
				continue;
			assert_true(name.p >= m.body.p && name.p + name.len <= m.body.p + m.body.len);
		}
		hello[at] = was;
	}
}

static const struct {
	int line;
	const char *bytes;
	uint32_t len;
	enum tls_look is;
} heads[] = {
	{ __LINE__, "", 0, TLS_PARTIAL },
	{ __LINE__, "\x15", 1, TLS_NONE }, // an alert
	{ __LINE__, "GET / HTTP/1.1\r\n", 16, TLS_NONE },
	{ __LINE__, "\x16\x02", 2, TLS_NONE }, // SSL 2
	{ __LINE__, "\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9, TLS_WHOLE },
	{ __LINE__, "\x16\x03\x01\x00\x03\x02\x00\x00\x00", 9, TLS_NONE }, // no room for its head
	{ __LINE__, "\x16\x03\x01\x00\x05\x02\x00\x00\x02", 9, TLS_NONE }, // goes on in another record
	{ __LINE__, "\x16\x03\x01\xff\xff\x01\xff\xff\xff", 9, TLS_NONE },
	{ __LINE__, "\x16\x03\x01\xff\xff\x01\x00\xff\xfb", 9, TLS_PARTIAL },
};

static void
test_heads(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(heads); i++) {
		const char *p = guard_end(&guard, heads[i].bytes, heads[i].len);
		struct tls_message m;

		if (tls_handshake(sl_str_make(p, heads[i].len), &m) != heads[i].is)
			fail_msg("line %d", heads[i].line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_cut_body),
		cmocka_unit_test(test_spoilt),
		cmocka_unit_test(test_heads),
	};

	guard_init(&guard, MAX);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
