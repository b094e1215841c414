// SPDX-License-Identifier: BSD-3-Clause
/*
 * Names of hosts, resolved while a configuration is read.
 *
 * Runs on: the loader (so at start, and at a reload within its time limit); it waits for the answer as
 * HAProxy's "libc" method does. Follows: HAProxy 2.6 configuration manual 5.2 "init-addr": the first
 * address that getaddrinfo() gives. Nothing is asked again until the next reload.
 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "control/conf/conf_addr.h"

/* RFC 1123 2.1 and the underscore that people use. */
static bool
is_name(struct sl_str s)
{
	for (uint32_t i = 0; i < s.len; i++) {
		char ch = s.p[i];
		bool alnum = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') ||
			(ch >= 'A' && ch <= 'Z');

		if (!alnum && ch != '-' && ch != '.' && ch != '_')
			return false;
	}
	return s.len > 0 && s.len < NI_MAXHOST;
}

const char *
conf_name_resolve(struct sl_str name, uint8_t family, struct ip_addr *out)
{
	struct addrinfo hints = { .ai_family = family == ADDR_V4 ? AF_INET
				: family == ADDR_V6              ? AF_INET6
								 : AF_UNSPEC,
		.ai_socktype = SOCK_DGRAM };
	struct addrinfo *found = NULL;
	char text[NI_MAXHOST];
	int rc;

	if (!is_name(name))
		return "neither an address nor a name";
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	rc = getaddrinfo(text, NULL, &hints, &found);
	if (rc != 0)
		return gai_strerror(rc);
	*out = (struct ip_addr){ .family = ADDR_NONE };
	for (const struct addrinfo *a = found; a != NULL && out->family == ADDR_NONE; a = a->ai_next) {
		if (a->ai_family == AF_INET) {
			const struct sockaddr_in *in = (const void *)a->ai_addr;

			out->family = ADDR_V4;
			memcpy(out->b, &in->sin_addr, 4);
		} else if (a->ai_family == AF_INET6) {
			const struct sockaddr_in6 *in6 = (const void *)a->ai_addr;

			out->family = ADDR_V6;
			memcpy(out->b, &in6->sin6_addr, 16);
		}
	}
	freeaddrinfo(found);
	return out->family == ADDR_NONE ? "it has no address" : NULL;
}
