/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first words of TLS, looked at from outside: which message it is, and which host a client asks for.
 * Nothing is decrypted or answered here. Private to dataplane/proxy; pure, any thread.
 */
#pragma once

#include "dataplane/base/str.h"

enum tls_look {
	TLS_NONE,    // this is no such message, whatever follows
	TLS_PARTIAL, // not whole yet
	TLS_WHOLE,
};

#define TLS_CLIENT_HELLO 1

/* A handshake message within its record; the body belongs to the caller's bytes. */
struct tls_message {
	uint32_t type;
	struct sl_str body;
};

/* The message that these bytes begin with. Follows RFC 8446 4, 5.1. */
enum tls_look tls_handshake(struct sl_str bytes, struct tls_message *out);
/* The server_name of a ClientHello's body, as it was sent. Follows RFC 8446 4.1.2, RFC 6066 3. */
bool tls_server_name(struct sl_str hello, struct sl_str *name);
