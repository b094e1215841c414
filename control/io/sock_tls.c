// SPDX-License-Identifier: BSD-3-Clause
/*
 * TLS of sockets of scripts: OpenSSL between the transport and the rings, through memory buffers, so
 * that it works over a kernel socket and over our own TCP.
 *
 * Runs on: the io thread. A context per set of certificates and policy, made at its first use and
 * kept. Follows: RFC 6125 (the certificate must carry the name that was asked for), RFC 6066 (SNI).
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "control/io/sock_priv.h"

#define MAX_CTXS 16
#define OUT_MAX  32768u // bytes for the transport that may wait

struct tls_ctxs {
	struct {
		SSL_CTX *ctx;
		char ca[IO_SOCK_NAME];
		bool verify;
	} c[MAX_CTXS];
	uint32_t n;
};

struct sock_tls {
	SSL *ssl;
	BIO *in, *out; // of ssl
	bool up, bye;
};

struct tls_ctxs *
tls_ctxs_new(void)
{
	return calloc(1, sizeof(struct tls_ctxs));
}

void
tls_ctxs_free(struct tls_ctxs *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->n; i++)
		SSL_CTX_free(c->c[i].ctx);
	free(c);
}

/* The latest error of OpenSSL as text. */
static void
say(struct io_sock *s, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = e != 0 ? ERR_reason_error_string(e) : NULL;

	snprintf(s->why, sizeof(s->why), "%s%s%s", what, text != NULL ? ": " : "",
		text != NULL ? text : "");
	ERR_clear_error();
}

static SSL_CTX *
ctx_of(struct io_sock *s)
{
	struct tls_ctxs *c = s->all->tls;
	const struct io_tls *want = &s->to.sec;
	SSL_CTX *ctx;

	for (uint32_t i = 0; i < c->n; i++) {
		if (c->c[i].verify == want->verify && strcmp(c->c[i].ca, want->ca) == 0)
			return c->c[i].ctx;
	}
	if (c->n == MAX_CTXS) {
		snprintf(s->why, sizeof(s->why), "more than %d different ca files", MAX_CTXS);
		return NULL;
	}
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL) {
		say(s, "TLS");
		return NULL;
	}
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
			SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_verify(ctx, want->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (want->verify &&
		(want->ca[0] != '\0' ? SSL_CTX_load_verify_locations(ctx, want->ca, NULL)
				     : SSL_CTX_set_default_verify_paths(ctx)) != 1) {
		say(s, want->ca[0] != '\0' ? "cannot read the ca file" : "no certificates");
		SSL_CTX_free(ctx);
		return NULL;
	}
	c->c[c->n].ctx = ctx;
	c->c[c->n].verify = want->verify;
	memcpy(c->c[c->n].ca, want->ca, sizeof(want->ca));
	c->n++;
	return ctx;
}

/* Whose certificate it must be: the name, or the address where there is none. */
static bool
set_peer(struct io_sock *s, SSL *ssl)
{
	const struct io_tls *want = &s->to.sec;
	const struct ip_addr *ip = &s->addr[s->iaddr].ip;

	if (want->sni[0] != '\0')
		return SSL_set_tlsext_host_name(ssl, want->sni) == 1 &&
			SSL_set1_host(ssl, want->sni) == 1;
	if (!want->verify || ip->family == ADDR_NONE)
		return true; // a path has no name: the chain alone is checked
	return X509_VERIFY_PARAM_set1_ip(
		       SSL_get0_param(ssl), ip->b, ip->family == ADDR_V4 ? 4 : 16) == 1;
}

int
tls_start(struct io_sock *s)
{
	SSL_CTX *ctx = ctx_of(s);
	struct sock_tls *t;

	if (ctx == NULL)
		return -IO_SOCK_ETLS;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	s->tls = t;
	t->ssl = SSL_new(ctx);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (t->ssl == NULL || t->in == NULL || t->out == NULL) {
		BIO_free(t->in);
		BIO_free(t->out);
		t->in = t->out = NULL;
		return -ENOMEM;
	}
	BIO_set_mem_eof_return(t->in, -1); // empty: more will come
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_connect_state(t->ssl);
	if (!set_peer(s, t->ssl) ||
		(s->to.sec.alpn_len > 0 &&
			SSL_set_alpn_protos(t->ssl, (const uint8_t *)s->to.sec.alpn,
				s->to.sec.alpn_len) != 0)) {
		say(s, "TLS");
		return -IO_SOCK_ETLS;
	}
	return 0;
}

void
tls_free(struct io_sock *s)
{
	if (s->tls == NULL)
		return;
	SSL_free(s->tls->ssl); // and both buffers
	free(s->tls);
	s->tls = NULL;
}

bool
tls_is_up(const struct io_sock *s)
{
	return s->tls->up;
}

int
tls_input(struct io_sock *s, const uint8_t *p, uint32_t n)
{
	return BIO_write(s->tls->in, p, (int)n) == (int)n ? 0 : -ENOMEM;
}

/* What OpenSSL wants to send. 1: something is left. */
static int
flush(struct io_sock *s)
{
	struct sock_tls *t = s->tls;
	char gone[4096];
	char *p;
	long n;

	while ((n = BIO_get_mem_data(t->out, &p)) > 0) {
		int rc = sock_raw_send(s, (const uint8_t *)p, (uint32_t)sl_min(n, (long)sizeof(gone)));

		if (rc < 0)
			return rc;
		if (rc == 0)
			return 1;
		BIO_read(t->out, gone, rc);
	}
	return 0;
}

static int
handshake_failed(struct io_sock *s)
{
	long v = SSL_get_verify_result(s->tls->ssl);

	if (v != X509_V_OK && s->to.sec.verify) {
		snprintf(s->why, sizeof(s->why), "certificate verify failed: %s",
			X509_verify_cert_error_string(v));
		ERR_clear_error();
	} else {
		say(s, "TLS handshake");
	}
	flush(s); // the alert
	return -IO_SOCK_ETLS;
}

static int
handshake(struct io_sock *s)
{
	struct sock_tls *t = s->tls;
	int rc = SSL_do_handshake(t->ssl);

	if (rc == 1) {
		t->up = true;
		sock_up(s);
		return 0;
	}
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	default:
		return handshake_failed(s);
	}
}

/* Records into rx. */
static int
open_records(struct io_sock *s)
{
	struct sock_tls *t = s->tls;
	uint8_t *to;
	uint32_t room;

	while (!s->closing && (room = sock_rx_room(s, &to)) > 0) {
		int n = SSL_read(t->ssl, to, (int)room);

		if (n > 0) {
			sock_rx_put(s, (uint32_t)n);
			continue;
		}
		switch (SSL_get_error(t->ssl, n)) {
		case SSL_ERROR_WANT_READ:
		case SSL_ERROR_WANT_WRITE:
			if (s->eof) // without a farewell, as many servers do it
				sock_eof(s);
			return 0;
		case SSL_ERROR_ZERO_RETURN:
			sock_eof(s);
			return 0;
		default:
			say(s, "TLS");
			return -IO_SOCK_ETLS;
		}
	}
	return 0;
}

/* tx into records. */
static int
seal_records(struct io_sock *s)
{
	struct sock_tls *t = s->tls;
	const uint8_t *p;
	uint32_t n;

	while (BIO_ctrl_pending(t->out) < OUT_MAX && (n = sock_tx_bytes(s, &p)) > 0) {
		int rc = SSL_write(t->ssl, p, (int)n);

		if (rc > 0) {
			sock_tx_take(s, (uint32_t)rc);
			continue;
		}
		rc = SSL_get_error(t->ssl, rc);
		if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE)
			return 0;
		say(s, "TLS");
		return -IO_SOCK_ETLS;
	}
	return 0;
}

int
tls_pump(struct io_sock *s)
{
	struct sock_tls *t = s->tls;
	int rc = t->up ? 0 : handshake(s);

	if (rc == 0 && t->up)
		rc = open_records(s);
	do {
		if (rc == 0 && t->up)
			rc = seal_records(s);
		if (rc < 0)
			return rc;
		rc = flush(s);
		if (rc != 0)
			return rc;
	} while (t->up && sock_tx_has(s));
	return 0;
}

void
tls_shutdown(struct io_sock *s)
{
	struct sock_tls *t = s->tls;

	if (!t->up || t->bye)
		return;
	t->bye = true;
	ERR_clear_error();
	if (SSL_shutdown(t->ssl) >= 0)
		flush(s); // what does not fit is lost: it is only a farewell
	ERR_clear_error();
}
