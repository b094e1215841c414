// SPDX-License-Identifier: BSD-3-Clause
/*
 * Addresses of sockets as scripts write them: HAProxy's forms (prefixes, paths, "ip:port") and
 * LuaSocket's (host and port).
 *
 * Runs on: script threads.
 */
#include <stdlib.h>

#include "lua/api/socket.h"

static const char too_long[] = "address is too long";
static const char bad_port[] = "host or service not provided, or not known";

static bool
has_prefix(struct sl_str *a, const char *prefix)
{
	uint32_t n = (uint32_t)strlen(prefix);

	if (a->len < n || memcmp(a->p, prefix, n) != 0)
		return false;
	a->p += n;
	a->len -= n;
	return true;
}

static const char *
set_name(struct io_target *to, enum io_target_kind kind, struct sl_str name, uint32_t max)
{
	to->kind = kind;
	if (name.len == 0)
		return "address is empty";
	if (name.len >= max || memchr(name.p, '\0', name.len) != NULL)
		return too_long;
	memcpy(to->name, name.p, name.len);
	return NULL;
}

/* "host:port" or "[host]:port", where no port was given on its own. */
static bool
cut_port(struct sl_str *host, struct sl_str *port)
{
	uint32_t at = host->len;

	while (at > 0 && host->p[at - 1] != ':')
		at--;
	if (at == 0 || at == host->len)
		return false;
	*port = sl_str_make(host->p + at, host->len - at);
	host->len = at - 1;
	// more colons: an IPv6 address, which needs brackets to have a port
	if (sl_str_chr(*host, ':') >= 0 && host->p[0] != '[')
		return false;
	return true;
}

static bool
take_port(struct sl_str text, uint16_t *out)
{
	uint32_t n = 0;

	if (text.len == 0 || text.len > 5)
		return false;
	for (uint32_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		n = n * 10 + (uint32_t)(text.p[i] - '0');
	}
	*out = (uint16_t)n;
	return n > 0 && n < 65536;
}

/* The port argument: nothing, a number or its text. */
static struct sl_str
arg_port(lua_State *L)
{
	if (lua_isnoneornil(L, 3))
		return SL_STR("");
	if (lua_type(L, 3) == LUA_TNUMBER) {
		lua_pushinteger(L, script_to_int(L, 3)); // 80.0 is 80
		lua_replace(L, 3);
	}
	return api_check_str(L, 3);
}

const char *
sock_target(lua_State *L, struct io_target *to)
{
	struct sl_str a = api_check_str(L, 2), port = arg_port(L), all;
	int family = 0;

	memset(to, 0, sizeof(*to));
	if (has_prefix(&a, "unix@") || (a.len > 0 && a.p[0] == '/'))
		return set_name(to, IO_TARGET_UNIX, a, 107);
	if (has_prefix(&a, "abns@"))
		return set_name(to, IO_TARGET_ABNS, a, 107);
	if (has_prefix(&a, "fd@"))
		return "fd@ is not supported";
	to->host = has_prefix(&a, "host@");
	if (has_prefix(&a, "ipv4@"))
		family = ADDR_V4;
	else if (has_prefix(&a, "ipv6@"))
		family = ADDR_V6;
	all = a;
	if (port.len == 0 && !cut_port(&a, &port)) {
		luaL_checkstring(L, 3); // raises, as LuaSocket
		a = all;
	}
	if (a.len > 1 && a.p[0] == '[' && a.p[a.len - 1] == ']') {
		a.p++;
		a.len -= 2;
	}
	if (!take_port(port, &to->ip.port))
		return bad_port;
	if (addr_parse(a, &to->ip.ip) == 0) {
		to->kind = IO_TARGET_IP;
		return family != 0 && family != to->ip.ip.family ? "address of another family"
								 : NULL;
	}
	memset(&to->ip.ip, 0, sizeof(to->ip.ip));
	return set_name(to, IO_TARGET_NAME, a, IO_SOCK_NAME);
}
