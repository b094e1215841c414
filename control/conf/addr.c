// SPDX-License-Identifier: BSD-3-Clause
/*
 * Addresses as HAProxy writes them: "10.0.0.1:80", ":80", "*:80", "[::1]:80", "::1:80",
 * "ipv4@10.0.0.1:80".
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2 "bind" and "server"; without
 * brackets the last colon is before the port. Names, sockets of the host and port ranges are
 * refused by name: they need what is not there yet.
 */
#include "control/conf/conf_priv.h"

static int
refuse(struct conf *c, const char *what, struct sl_str s, const char *why)
{
	conf_error(c, "'%s' : not supported yet by sluice: '%.*s': %s.", what, SL_STR_ARG(s), why);
	return -EINVAL;
}

/* Kinds of address in front of the address itself. */
static int
strip_prefix(struct conf *c, const char *what, struct sl_str *s, uint8_t *family)
{
	static const struct {
		const char *name;
		uint8_t family; // 0: refused
	} kind[] = { { "ipv4@", ADDR_V4 }, { "ipv6@", ADDR_V6 }, { "tcp@", 255 },
		{ "tcp4@", ADDR_V4 }, { "tcp6@", ADDR_V6 }, { "port@", 255 }, { "unix@", 0 },
		{ "abns@", 0 }, { "fd@", 0 }, { "sockpair@", 0 }, { "udp@", 0 }, { "udp4@", 0 },
		{ "udp6@", 0 }, { "quic4@", 0 }, { "quic6@", 0 }, { "host@", 0 }, { "uxst@", 0 },
		{ "uxdg@", 0 }, { "/", 0 } };

	*family = 255; // either
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(kind); i++) {
		struct sl_str name = sl_str_c(kind[i].name);

		if (!sl_str_starts(*s, name, false))
			continue;
		if (kind[i].family == 0)
			return refuse(c, what, *s,
				"sockets of the host are not there yet, give an address of a port");
		*family = kind[i].family;
		*s = sl_str_make(s->p + name.len, s->len - name.len);
		break;
	}
	return 0;
}

static int
parse_port(struct conf *c, const char *what, struct sl_str all, struct sl_str s, int32_t *port)
{
	uint64_t n;

	if (s.len > 0 && (s.p[0] == '+' || s.p[0] == '-'))
		return refuse(c, what, all, "ports relative to the client's");
	if (sl_str_chr(s, '-') > 0)
		return refuse(c, what, all, "ranges of ports");
	if (sl_str_u64(s, &n) < 0) {
		char bad = '\0';

		for (uint32_t i = 0; i < s.len && bad == '\0'; i++)
			bad = s.p[i] < '0' || s.p[i] > '9' ? s.p[i] : '\0';
		conf_error(c, "'%s' : invalid character '%c' in port number '%.*s' in '%.*s'", what,
			bad == '\0' ? ' ' : bad, SL_STR_ARG(s), SL_STR_ARG(all));
		return -EINVAL;
	}
	if (n < 1 || n > 65535) {
		conf_error(c, "'%s' : invalid port '%.*s' in '%.*s' (1 to 65535)", what,
			SL_STR_ARG(s), SL_STR_ARG(all));
		return -EINVAL;
	}
	*port = (int32_t)n;
	return 0;
}

/* Cuts the port off; a colon inside brackets belongs to the address. */
static void
cut_port(struct sl_str s, struct sl_str *host, struct sl_str *port)
{
	uint32_t i = s.len;

	*host = s;
	*port = SL_STR_NULL;
	while (i > 0 && s.p[i - 1] != ':' && s.p[i - 1] != ']')
		i--;
	if (i == 0 || s.p[i - 1] == ']')
		return;
	*host = sl_str_make(s.p, i - 1);
	*port = sl_str_make(s.p + i, s.len - i);
}

int
conf_addr_parse(struct conf *c, const char *what, struct sl_str s, struct conf_addr *out)
{
	struct sl_str all = s, host, port;
	uint8_t family;

	*out = (struct conf_addr){ .port = -1 };
	if (strip_prefix(c, what, &s, &family) < 0)
		return -EINVAL;
	cut_port(s, &host, &port);
	if (port.len > 0 && parse_port(c, what, all, port, &out->port) < 0)
		return -EINVAL;
	if (host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
		host = sl_str_make(host.p + 1, host.len - 2);
	if (host.len == 0 || sl_str_eq(host, SL_STR("*"))) {
		if (family == ADDR_V6)
			out->ip.family = ADDR_V6;
		return 0;
	}
	if (addr_parse(host, &out->ip) < 0) {
		conf_error(c,
			"'%s' : invalid address: '%.*s' in '%.*s' (names are not resolved yet by "
			"sluice: give an IPv4 or IPv6 address)",
			what, SL_STR_ARG(host), SL_STR_ARG(all));
		return -EINVAL;
	}
	if (family != 255 && family != out->ip.family) {
		conf_error(
			c, "'%s' : '%.*s' is no IPv%d address", what, SL_STR_ARG(all), (int)family);
		return -EINVAL;
	}
	return 0;
}
