// SPDX-License-Identifier: BSD-3-Clause
/*
 * Addresses as HAProxy writes them: "10.0.0.1:80", ":80", "*:80", "[::1]:80", "::1:80",
 * "ipv4@10.0.0.1:80", "unix@/path", "/path", "abns@name", "fd@3"; and ours: "host@…" through the
 * kernel, "port@…" through a port, whatever the address.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2 "bind" and "server"; without
 * brackets the last colon is before the port. In an address "$NAME" and "${NAME}" are the
 * environment's without quotes too, and what it has not is empty, as in HAProxy's str2sa_range().
 * Names and port ranges are refused by name: they need what is not there yet.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "control/conf/conf_addr.h"

#define SOCK_NAME_MAX 108 // as sun_path

static int
refuse(struct conf *c, const char *what, struct sl_str s, const char *why)
{
	conf_error(c, "'%s' : not supported yet by sluice: '%.*s': %s.", what, SL_STR_ARG(s), why);
	return -EINVAL;
}

/*
 * One object per name, for ever: connections, listeners and later generations compare by pointer.
 * Bounded by the names that this process was ever given; the loader is one thread.
 */
static struct host_sock *
intern(const struct host_sock *hs)
{
	static struct sock_node {
		struct sock_node *next;
		struct host_sock s;
	} * all;
	struct sock_node *n = all;

	while (n != NULL &&
		(n->s.fd != hs->fd || n->s.len != hs->len ||
			memcmp(n->s.name, hs->name, sizeof(hs->name)) != 0))
		n = n->next;
	if (n == NULL) {
		n = malloc(sizeof(*n));
		if (n == NULL)
			return NULL;
		n->s = *hs;
		n->next = all;
		all = n;
	}
	return &n->s;
}

/* "/path", "unix@path", "abns@name", "fd@3": kinds that have no IP address. */
static int
parse_sock(struct conf *c, const char *what, struct sl_str all, struct sl_str s, char kind,
	struct conf_addr *out)
{
	struct host_sock hs = { .fd = -1 }, *one;
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	uint64_t fd;

	snprintf(hs.text, sizeof(hs.text), "%.*s", SL_STR_ARG(all));
	if (kind == 'f' && strcmp(what, "server") == 0) {
		conf_error(c, "'%s' : '%.*s': a descriptor is for 'bind' only.", what,
			SL_STR_ARG(all));
		return -EINVAL;
	}
	if (kind == 'f') {
		if (sl_str_u64(s, &fd) < 0 || fd > INT32_MAX) {
			conf_error(c, "'%s' : file descriptor '%.*s' is not a number in '%.*s'",
				what, SL_STR_ARG(s), SL_STR_ARG(all));
			return -EINVAL;
		}
		hs.fd = (int)fd;
		if (strcmp(what, "log") == 0 // any kind of file
				? fcntl(hs.fd, F_GETFD) < 0
				: getsockname(hs.fd, (struct sockaddr *)&name, &len) < 0) {
			conf_error(c, "'%s' : cannot use file descriptor '%d' : %s.", what, hs.fd,
				strerror(errno));
			return -EINVAL;
		}
	} else if (s.len == 0 || s.len > SOCK_NAME_MAX - 1) {
		conf_error(c, "'%s' : socket path '%.*s' %s (max %d)", what, SL_STR_ARG(all),
			s.len == 0 ? "is empty" : "too long", SOCK_NAME_MAX - 1);
		return -EINVAL;
	} else if (kind == 'a') {
		memcpy(hs.name + 1, s.p, s.len);
		hs.len = s.len + 1;
	} else {
		memcpy(hs.name, s.p, s.len);
		hs.len = s.len + 1;
	}
	one = intern(&hs);
	if (one == NULL)
		return conf_nomem(c);
	out->ip.family = ADDR_UNIX;
	out->ip.q[0] = (uintptr_t)one;
	out->port = 0;
	out->via = VIA_HOST;
	return 0;
}

/* Kinds of address in front of the address itself. */
static const struct prefix {
	const char *name;
	uint8_t family; // 255: either
	char kind;      // 'i': IP, 'u' unix, 'a' abstract, 'f' descriptor, '-' refused
} prefixes[] = { { "ipv4@", ADDR_V4, 'i' }, { "ipv6@", ADDR_V6, 'i' }, { "tcp@", 255, 'i' },
	{ "tcp4@", ADDR_V4, 'i' }, { "tcp6@", ADDR_V6, 'i' }, { "unix@", 0, 'u' },
	{ "uxst@", 0, 'u' }, { "abns@", 0, 'a' }, { "fd@", 0, 'f' }, { "sockpair@", 0, '-' },
	{ "udp@", 0, '-' }, { "udp4@", 0, '-' }, { "udp6@", 0, '-' }, { "quic4@", 0, '-' },
	{ "quic6@", 0, '-' }, { "uxdg@", 0, '-' } };

/* "host@" and "port@", then the kind; returns the row, NULL: none. */
static const struct prefix *
strip_prefix(struct sl_str *s, enum conf_via *via)
{
	static const struct sl_str host = { "host@", 5 }, port = { "port@", 5 };

	if (sl_str_starts(*s, host, false) || sl_str_starts(*s, port, false)) {
		*via = s->p[0] == 'h' ? VIA_HOST : VIA_PORT;
		*s = sl_str_make(s->p + 5, s->len - 5);
	}
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(prefixes); i++) {
		struct sl_str name = sl_str_c(prefixes[i].name);

		if (!sl_str_starts(*s, name, false))
			continue;
		*s = sl_str_make(s->p + name.len, s->len - name.len);
		return &prefixes[i];
	}
	return NULL;
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

static bool
is_env_char(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
		ch == '_';
}

/* At the dollar: appends the variable's value; returns the index behind its name. */
static uint32_t
expand(struct sl_buf *b, struct sl_str s, uint32_t at)
{
	bool brace = at + 1 < s.len && s.p[at + 1] == '{';
	uint32_t begin = at + 1 + (brace ? 1 : 0), i = begin;
	const char *v = NULL;
	char name[128];

	while (i < s.len && is_env_char(s.p[i]))
		i++;
	if (i - begin < sizeof(name)) {
		memcpy(name, s.p + begin, i - begin);
		name[i - begin] = '\0';
		v = getenv(name);
	}
	if (v != NULL)
		sl_buf_addc(b, v);
	return brace && i < s.len && s.p[i] == '}' ? i + 1 : i;
}

int
conf_addr_expand(struct conf *c, const char *what, struct sl_str *s)
{
	char text[1024];
	struct sl_buf b;
	uint32_t i = 0;

	if (sl_str_chr(*s, '$') < 0)
		return 0;
	sl_buf_init(&b, text, sizeof(text));
	while (i < s->len) {
		if (s->p[i] == '$')
			i = expand(&b, *s, i);
		else
			sl_buf_add(&b, sl_str_make(s->p + i++, 1));
	}
	if (b.full) {
		conf_error(c, "'%s' : '%.*s' is longer than %zu bytes with the values of its variables.",
			what, SL_STR_ARG(*s), sizeof(text));
		return -EINVAL;
	}
	*s = arena_str(&c->mem, sl_buf_str(&b));
	return s->p != NULL ? 0 : conf_nomem(c);
}

int
conf_addr_parse_named(struct conf *c, const char *what, struct sl_str s, struct conf_addr *out)
{
	int rc = conf_addr_expand(c, what, &s);
	struct sl_str all = s, host, port;
	const struct prefix *kind;
	uint8_t family;

	*out = (struct conf_addr){ .port = -1 };
	if (rc < 0)
		return rc;
	kind = strip_prefix(&s, &out->via);
	family = kind != NULL ? kind->family : 255;
	if (kind != NULL && kind->kind == '-')
		return refuse(c, what, all, "this kind of address");
	if (kind == NULL ? s.len > 0 && s.p[0] == '/' : kind->kind != 'i') {
		if (out->via != VIA_PORT)
			return parse_sock(c, what, all, s, kind == NULL ? 'u' : kind->kind, out);
		conf_error(c, "'%s' : '%.*s': a port has IP addresses only", what, SL_STR_ARG(all));
		return -EINVAL;
	}
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
		out->name = host;
		out->family = family == 255 ? 0 : family;
		return 0;
	}
	if (family != 255 && family != out->ip.family) {
		conf_error(
			c, "'%s' : '%.*s' is no IPv%d address", what, SL_STR_ARG(all), (int)family);
		return -EINVAL;
	}
	return 0;
}

int
conf_addr_parse(struct conf *c, const char *what, struct sl_str s, struct conf_addr *out)
{
	int rc = conf_addr_parse_named(c, what, s, out);
	const char *why;

	if (rc < 0 || out->name.len == 0)
		return rc;
	why = conf_name_resolve(out->name, out->family, &out->ip);
	if (why == NULL)
		return 0;
	conf_error(c, "'%s' : invalid address: '%.*s' in '%.*s' (%s)", what, SL_STR_ARG(out->name),
		SL_STR_ARG(s), why);
	return -EINVAL;
}
