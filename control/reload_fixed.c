// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is fixed when the process starts: threads, ports, DPDK, and the memory that is sized by them. A
 * configuration that changes it is refused by name while the daemon runs.
 *
 * Runs on: main.
 */
#include <stdio.h>

#include "control/reload_priv.h"
#include "dataplane/tcp/tcp.h"

/* One number of the global section. */
struct fixed {
	const char *kw;
	size_t off;
	size_t size;
};
#define ROW(kw, field)                                                                         \
	{                                                                                      \
		kw, offsetof(struct global_conf, field), sizeof(((struct global_conf *)0)->field) \
	}

static const struct fixed numbers[] = {
	ROW("nbthread", nbthread),
	ROW("script-threads", script_threads),
	ROW("tune.mbufs", mbufs),
	ROW("busy-polling", busy_polling),
	ROW("tune.lua.sockets", lua_sockets),
	ROW("tune.lua.stuck-timeout", lua_stuck_timeout_ms),
	ROW("user' or 'uid", uid),
	ROW("group' or 'gid", gid),
};

static uint64_t
number_of(const struct global_conf *g, const struct fixed *f)
{
	const uint8_t *p = (const uint8_t *)g + f->off;
	uint32_t v;

	if (f->size == sizeof(bool))
		return *(const bool *)p;
	memcpy(&v, p, sizeof(v));
	return v;
}

static bool
differs(char *err, size_t size, const char *kw, const char *what)
{
	snprintf(err, size, "'%s' is fixed at start%s: restart to change it", kw, what);
	return true;
}

static bool
numbers_differ(const struct global_conf *a, const struct global_conf *b, char *err, size_t size)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(numbers); i++) {
		uint64_t was = number_of(a, &numbers[i]), is = number_of(b, &numbers[i]);
		char what[64];

		if (was == is)
			continue;
		snprintf(what, sizeof(what), " (%llu, and now %llu)", (unsigned long long)was,
			(unsigned long long)is);
		return differs(err, size, numbers[i].kw, what);
	}
	return false;
}

static bool
same_tcp(const struct global_conf *a, const struct global_conf *b)
{
	struct tcp_conf x, y;

	tcp_conf_default(&x);
	tcp_conf_default(&y);
	if (a->tcp != NULL)
		x = *a->tcp;
	if (b->tcp != NULL)
		y = *b->tcp;
	return memcmp(&x, &y, sizeof(x)) == 0; // all numbers, no padding
}

static bool
same_cpus(const struct global_conf *a, const struct global_conf *b)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(a->cpu_map); i++) {
		if (a->cpu_map[i].set != b->cpu_map[i].set ||
			memcmp(a->cpu_map[i].mask, b->cpu_map[i].mask,
				sizeof(a->cpu_map[i].mask)) != 0)
			return false;
	}
	return true;
}

/* ---- ports ---- */

static bool
same_addrs(const struct port_conf *a, const struct port_conf *b)
{
	if (a->naddrs != b->naddrs)
		return false;
	for (uint32_t i = 0; i < a->naddrs; i++) {
		if (!addr_eq(&a->addrs[i].ip, &b->addrs[i].ip) ||
			a->addrs[i].prefix != b->addrs[i].prefix)
			return false;
	}
	return true;
}

static bool
same_routes(const struct port_conf *a, const struct port_conf *b)
{
	if (a->nroutes != b->nroutes || !addr_eq(&a->gateway4, &b->gateway4) ||
		!addr_eq(&a->gateway6, &b->gateway6))
		return false;
	for (uint32_t i = 0; i < a->nroutes; i++) {
		if (!addr_eq(&a->routes[i].dst.ip, &b->routes[i].dst.ip) ||
			a->routes[i].dst.prefix != b->routes[i].dst.prefix ||
			!addr_eq(&a->routes[i].via, &b->routes[i].via))
			return false;
	}
	return true;
}

static bool
same_neighs(const struct port_conf *a, const struct port_conf *b)
{
	if (a->nneighs != b->nneighs)
		return false;
	for (uint32_t i = 0; i < a->nneighs; i++) {
		if (!addr_eq(&a->neighs[i].ip, &b->neighs[i].ip) ||
			memcmp(a->neighs[i].mac, b->neighs[i].mac, sizeof(a->neighs[i].mac)) != 0)
			return false;
	}
	return true;
}

static bool
same_tap(const struct port_conf *a, const struct port_conf *b)
{
	if (!sl_str_eq(a->tap, b->tap) || a->tap_rate != b->tap_rate ||
		a->ntap_addrs != b->ntap_addrs)
		return false;
	for (uint32_t i = 0; i < a->ntap_addrs; i++) {
		if (!addr_eq(&a->tap_addr[i].ip, &b->tap_addr[i].ip) ||
			a->tap_addr[i].prefix != b->tap_addr[i].prefix)
			return false;
	}
	return true;
}

static bool
port_differs(const struct port_conf *a, const struct port_conf *b, char *err, size_t size)
{
	const char *kw = !sl_str_eq(a->device, b->device) ? "device"
		: !same_addrs(a, b)                       ? "address"
		: !same_routes(a, b)                      ? "route' or 'gateway"
		: !same_neighs(a, b)                      ? "neighbour"
		: a->mtu != b->mtu                        ? "mtu"
		: a->vlan != b->vlan                      ? "vlan"
		: a->offload != b->offload                ? "offload"
		: a->tso != b->tso                        ? "tso"
		: !same_tap(a, b)                         ? "kernel-tap"
							  : NULL;

	if (kw == NULL)
		return false;
	snprintf(err, size, "[%s:%u] : port '%.*s' : '%s' is fixed at start: restart to change it",
		b->pos.file, b->pos.line, SL_STR_ARG(b->name), kw);
	return true;
}

static bool
ports_differ(const struct model *a, const struct model *b, char *err, size_t size)
{
	for (uint32_t i = 0; i < a->nports || i < b->nports; i++) {
		const struct port_conf *x = i < a->nports ? &a->ports[i] : NULL;
		const struct port_conf *y = i < b->nports ? &b->ports[i] : NULL;

		if (x != NULL && y != NULL && sl_str_eq(x->name, y->name)) {
			if (port_differs(x, y, err, size))
				return true;
			continue;
		}
		if (y != NULL)
			snprintf(err, size,
				"[%s:%u] : port '%.*s' was not there at start: ports are fixed, "
				"restart to change them",
				y->pos.file, y->pos.line, SL_STR_ARG(y->name));
		else
			snprintf(err, size,
				"port '%.*s' is no longer there: ports are fixed at start, restart "
				"to change them",
				SL_STR_ARG(x->name));
		return true;
	}
	return false;
}

/* Whether "::" takes IPv4 too: the kernel is told before the socket has its address. */
static bool
families_differ(const struct model *a, const struct model *b, char *err, size_t size)
{
	for (uint32_t i = 0; i < b->nbinds; i++) {
		const struct listen_addr *y = b->binds[i];

		for (uint32_t k = 0; k < a->nbinds; k++) {
			const struct listen_addr *x = a->binds[k];

			if (!y->addr.host || y->addr.ip.family != ADDR_V6 ||
				!addr_port_eq(&x->addr, &y->addr) || x->v6only == y->v6only)
				continue;
			snprintf(err, size,
				"[%s:%u] : 'v4v6' and 'v6only' of a 'bind' that stays are fixed: "
				"restart to change them",
				y->pos.file, y->pos.line);
			return true;
		}
	}
	return false;
}

bool
reload_fixed(const struct model *now, const struct model *next, uint32_t maxconn, char *err,
	size_t size)
{
	const struct global_conf *a = &now->global, *b = &next->global;

	if (numbers_differ(a, b, err, size) || ports_differ(now, next, err, size))
		return true;
	if (families_differ(now, next, err, size))
		return true;
	if (!same_cpus(a, b))
		return differs(err, size, "cpu-map", "");
	if (!sl_str_eq(a->dpdk_eal, b->dpdk_eal))
		return differs(err, size, "dpdk-eal", "");
	if (!sl_str_eq(a->chroot, b->chroot))
		return differs(err, size, "chroot", "");
	if (!sl_str_eq(a->health_file, b->health_file))
		return differs(err, size, "health-file", "");
	if (!sl_str_eq(a->pidfile, b->pidfile))
		return differs(err, size, "pidfile", "");
	if (!same_tcp(a, b))
		return differs(err, size, "tune.tcp.*", "");
	if (b->maxconn <= maxconn)
		return false;
	snprintf(err, size,
		"'maxconn %u' is more than the %u that memory was taken for at start: restart to have "
		"more",
		b->maxconn, maxconn);
	return true;
}
