/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 and IPv6 addresses with an optional port and prefix length. */
#pragma once

#include "dataplane/base/base.h"
#include "dataplane/base/buf.h"
#include "dataplane/base/str.h"

/* ADDR_UNIX: a socket of the host without an IP address; q[0] is a struct host_sock *. */
enum addr_family { ADDR_NONE = 0, ADDR_UNIX = 1, ADDR_V4 = 4, ADDR_V6 = 6 };

/* Bytes in network order; IPv4 occupies the first four, the rest is zero. */
struct ip_addr {
	union {
		uint8_t b[16];
		uint32_t v4; // network order
		uint64_t q[2];
	};
	uint8_t family; // enum addr_family
};

struct ip_port {
	struct ip_addr ip;
	uint16_t port; // host order
	bool host;     // reached through the host's kernel, not through a port
};

/* A path, a name of the abstract namespace, or a descriptor that was inherited. Never freed. */
struct host_sock {
	int fd;         // fd@; else -1
	uint32_t len;   // of name
	char name[108]; // sun_path: a path with its NUL, or NUL and a name
	char text[128]; // as the configuration has it
};

struct ip_net {
	struct ip_addr ip;
	uint8_t prefix;
};

/* A network behind a next hop. */
struct ip_route {
	struct ip_net dst;
	struct ip_addr via;
};

/* An address with its Ethernet address, as somebody wrote it down. */
struct ip_neigh {
	struct ip_addr ip;
	uint8_t mac[6];
};

bool addr_eq(const struct ip_addr *a, const struct ip_addr *b);
bool addr_port_eq(const struct ip_port *a, const struct ip_port *b);
static inline const struct host_sock *
addr_host_sock(const struct ip_addr *a)
{
	return a->family == ADDR_UNIX ? (const struct host_sock *)(uintptr_t)a->q[0] : NULL;
}
static inline bool
addr_is_ip(const struct ip_addr *a)
{
	return a->family >= ADDR_V4;
}
bool addr_is_loopback(const struct ip_addr *a);
bool addr_is_any(const struct ip_addr *a);
bool addr_is_multicast(const struct ip_addr *a); // and the IPv4 limited broadcast
bool addr_is_linklocal(const struct ip_addr *a);
bool addr_is_mapped(const struct ip_addr *a); // an IPv4 one as ::ffff:a.b.c.d; never in packets
bool addr_in_net(const struct ip_addr *a, const struct ip_net *n);
/* "10.0.0.1", "2001:db8::1"; 0 or -EINVAL. */
int addr_parse(struct sl_str s, struct ip_addr *out);
/* "10.0.0.1/24"; without a slash the full length. */
int addr_parse_net(struct sl_str s, struct ip_net *out);
/* "02:00:5e:10:00:01" (or with '-'): the Ethernet address of one host. 0 or -EINVAL. */
int addr_parse_mac(struct sl_str s, uint8_t mac[6]);
/* Canonical text (RFC 5952). */
void addr_format(struct sl_buf *b, const struct ip_addr *a);
/* "10.0.0.1:80", "[2001:db8::1]:80" (HAProxy logs IPv6 without brackets: use addr_format). */
void addr_format_port(struct sl_buf *b, const struct ip_port *ap);
