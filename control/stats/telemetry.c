// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands on DPDK's telemetry socket: /sluice/…, read by dpdk-telemetry.py -f sluice.
 *
 * Runs on: EAL's telemetry threads, beside everything else; the lock only keeps stats_close() from
 * pulling the memory away. Commands cannot be unregistered, so they stay and answer nothing.
 * Parameters: /sluice/workers,N and /sluice/drops,N speak of worker N alone.
 */
#include <pthread.h>
#include <rte_ethdev.h>
#include <rte_telemetry.h>
#include <rte_version.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/net/tap.h"
#include "control/io/sock.h"
#include "control/script/script.h"
#include "control/stats/stats.h"

#define LUA_FUNCTIONS 200 // a dictionary of telemetry holds 256 entries

static struct {
	pthread_mutex_t lock;
	struct stats_spec s;
	bool open, registered;
	time_t start;
} tele = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int
add_u64(struct rte_tel_data *d, const char *name, uint64_t v)
{
	return rte_tel_data_add_dict_u64(d, name, v);
}

/* A text that is not NUL-terminated, cut to what telemetry takes. */
static void
add_text(struct rte_tel_data *d, const char *name, struct sl_str v)
{
	char text[RTE_TEL_MAX_STRING_LEN];

	snprintf(text, sizeof(text), "%.*s", (int)sl_min(v.len, (uint32_t)sizeof(text) - 1), v.p);
	rte_tel_data_add_dict_string(d, name, text);
}

/* Telemetry allows [A-Za-z0-9_/ -] in names only. */
static void
key_of(char *out, size_t size, const char *prefix, struct sl_str name)
{
	size_t at = (size_t)snprintf(out, size, "%s", prefix);

	for (uint32_t i = 0; i < name.len && at + 1 < size; i++, at++) {
		char c = name.p[i];
		bool ok = (c >= '0' && c <= '9') || (sl_lower(c) >= 'a' && sl_lower(c) <= 'z') ||
			c == '_' || c == '-';

		out[at] = ok ? c : '_';
	}
	out[at] = '\0';
}

/* A dictionary inside d, or NULL. */
static struct rte_tel_data *
add_dict(struct rte_tel_data *d, const char *name)
{
	struct rte_tel_data *in = rte_tel_data_alloc();

	if (in == NULL)
		return NULL;
	rte_tel_data_start_dict(in);
	if (rte_tel_data_add_dict_container(d, name, in, 0) < 0) {
		rte_tel_data_free(in);
		return NULL;
	}
	return in;
}

/* Worker of the parameter; -ENOENT: none given. -EINVAL: no such worker. */
static int
one_worker(const char *params)
{
	uint64_t w;

	if (params == NULL || params[0] == '\0')
		return -ENOENT;
	if (sl_str_u64(sl_str_c(params), &w) < 0 || w >= tele.s.nlc)
		return -EINVAL;
	return (int)w;
}

static int
do_info(const char *params sl_unused, struct rte_tel_data *d)
{
	const struct stats_spec *s = &tele.s;
	struct log_stats log;

	log_get_stats(s->log, &log);
	rte_tel_data_add_dict_string(d, "version", SL_VERSION);
	rte_tel_data_add_dict_string(d, "dpdk", rte_version());
	add_u64(d, "pid", (uint64_t)getpid());
	add_u64(d, "uptime_s", (uint64_t)(time(NULL) - tele.start));
	add_u64(d, "workers", s->nlc);
	add_u64(d, "script_threads", script_count());
	add_u64(d, "ports", s->ports->n);
	add_u64(d, "hugepages", s->huge);
	add_u64(d, "generation", s->model->generation);
	add_u64(d, "maxconn", s->model->global.maxconn);
	add_u64(d, "connections",
		atomic_load_explicit(
			(_Atomic(uint32_t) *)(uintptr_t)&s->bal->conns, memory_order_relaxed));
	add_u64(d, "payload_mss", s->ports->payload_mss);
	add_u64(d, "log_lines", log.lines);
	add_u64(d, "log_lost_sink", log.lost_sink);
	add_u64(d, "log_lost_post", log.lost_post);
	add_u64(d, "pat_refused", s->pat_refused != NULL
			? atomic_load_explicit(s->pat_refused, memory_order_relaxed)
			: 0);
	return 0;
}

static void
add_port(struct rte_tel_data *d, const struct port *p)
{
	static const char *const modes[] = { "single", "rss", "soft" };
	struct net_spread spread = { 0 };
	struct rte_eth_stats sum;
	char mac[RTE_ETHER_ADDR_FMT_SIZE];

	rte_ether_format_addr(mac, sizeof(mac), &p->mac);
	rte_tel_data_add_dict_string(d, "name", p->name);
	rte_tel_data_add_dict_string(d, "device", p->device);
	rte_tel_data_add_dict_string(d, "driver", p->driver);
	rte_tel_data_add_dict_string(d, "mac", mac);
	rte_tel_data_add_dict_string(d, "ownership", modes[p->mode]);
	rte_tel_data_add_dict_string(d, "rss_test", port_spread_name(p));
	for (uint16_t w = 0; w < tele.s.nlc; w++)
		net_spread_add(tele.s.lc[w], p->id, &spread);
	add_u64(d, "rss_strays", spread.stray);
	add_u64(d, "link_up", atomic_load_explicit(&p->link_up, memory_order_relaxed));
	add_u64(d, "gone", port_is_gone(p));
	add_u64(d, "link_changes", atomic_load_explicit(&p->link_changes, memory_order_relaxed));
	add_u64(d, "queues", p->nqueues);
	add_u64(d, "mtu", p->mtu);
	add_u64(d, "offloads", p->offloads);
	add_u64(d, "tso_segs", p->tso_segs);
	port_stats(p, &sum);
	add_u64(d, "rx_packets", sum.ipackets);
	add_u64(d, "rx_bytes", sum.ibytes);
	add_u64(d, "rx_missed", sum.imissed);
	add_u64(d, "rx_errors", sum.ierrors);
	add_u64(d, "rx_no_mbuf", sum.rx_nombuf);
	add_u64(d, "tx_packets", sum.opackets);
	add_u64(d, "tx_bytes", sum.obytes);
	add_u64(d, "tx_errors", sum.oerrors);
}

/* The exception path of "kernel-tap". */
static void
add_tap(struct rte_tel_data *d, const struct net_tap_counters *c)
{
	if (c == NULL)
		return;
	add_u64(d, "kernel_in", counter_get(&c->in));
	add_u64(d, "kernel_out", counter_get(&c->out));
	add_u64(d, "kernel_refused", counter_get(&c->refused));
	add_u64(d, "kernel_too_long", counter_get(&c->too_long));
}

static int
do_ports(const char *params sl_unused, struct rte_tel_data *d)
{
	for (uint16_t i = 0; i < tele.s.ports->n; i++) {
		const struct port *p = &tele.s.ports->port[i];
		struct rte_tel_data *in;
		char key[RTE_TEL_MAX_STRING_LEN];

		key_of(key, sizeof(key), "", sl_str_c(p->name));
		in = add_dict(d, key);
		if (in != NULL)
			add_port(in, p);
		if (in != NULL)
			add_tap(in, net_tap_counters((struct net_shared *)(uintptr_t)tele.s.net, i));
	}
	return 0;
}

static void
add_worker(struct rte_tel_data *d, const struct lcore *lc)
{
	for (int i = 0; i < STAT_NR; i++)
		add_u64(d, stat_desc[i].name, counter_get(&lc->stat[i]));
	add_u64(d, "conns", counter_get(&lc->gauge_conns));
	add_u64(d, "streams", counter_get(&lc->gauge_streams));
	add_u64(d, "retained_bytes", counter_get(&lc->gauge_retained));
	add_u64(d, "pressure", counter_get(&lc->gauge_pressure));
	add_u64(d, "mbufs", counter_get(&lc->gauge_mbufs));
	add_u64(d, "mbufs_total", lc->pool_size);
}

static int
do_workers(const char *params, struct rte_tel_data *d)
{
	int one = one_worker(params);

	if (one == -EINVAL)
		return one;
	for (uint16_t w = 0; w < tele.s.nlc; w++) {
		struct rte_tel_data *in;
		char key[16];

		if (one >= 0 && one != w)
			continue;
		snprintf(key, sizeof(key), "%u", w);
		in = add_dict(d, key);
		if (in != NULL)
			add_worker(in, tele.s.lc[w]);
	}
	return 0;
}

static int
do_drops(const char *params, struct rte_tel_data *d)
{
	int one = one_worker(params);

	if (one == -EINVAL)
		return one;
	for (int i = 0; i < DROP_NR; i++) {
		uint64_t v = one >= 0 ? stats_sum_drop(tele.s.lc + one, 1, (enum drop)i)
				      : stats_sum_drop(tele.s.lc, tele.s.nlc, (enum drop)i);
		add_u64(d, drop_desc[i].name, v);
	}
	return 0;
}

static void
add_px(struct rte_tel_data *d, enum stats_set set, uint32_t slot)
{
	struct px_sums c;

	stats_sum_px(tele.s.lc, tele.s.nlc, set, slot, &c);
#define X(sym, name, help) add_u64(d, #sym, c.sym);
	PX_COUNTERS(X)
#undef X
}

static void
add_server(struct rte_tel_data *px, const struct server *srv)
{
	static const char *const states[] = { "UP", "DOWN", "MAINT", "DRAIN" };
	const struct srv_run *run =
		srv->slot < tele.s.bal->nslots ? &tele.s.bal->srv[srv->slot] : NULL;
	char key[RTE_TEL_MAX_STRING_LEN];
	struct rte_tel_data *in;
	uint8_t st;

	key_of(key, sizeof(key), "server_", srv->name);
	in = add_dict(px, key);
	if (in == NULL || run == NULL)
		return;
	st = atomic_load_explicit(&run->state, memory_order_relaxed);
	rte_tel_data_add_dict_string(in, "state", st < SL_ARRAY_SIZE(states) ? states[st] : "?");
	add_u64(in, "changes", atomic_load_explicit(&run->changes, memory_order_relaxed));
	add_u64(in, "in_use", atomic_load_explicit(&run->cur, memory_order_relaxed));
	add_px(in, STATS_SERVER, srv->slot);
}

static int
do_proxies(const char *params, struct rte_tel_data *d)
{
	const struct model *m = tele.s.model;

	for (uint32_t i = 0; i < m->nproxies; i++) {
		const struct proxy *p = m->proxies[i];
		char key[RTE_TEL_MAX_STRING_LEN];
		struct rte_tel_data *in;

		if (params != NULL && params[0] != '\0' && !sl_str_eq(sl_str_c(params), p->name))
			continue;
		key_of(key, sizeof(key), "", p->name);
		in = add_dict(d, key);
		if (in == NULL)
			continue;
		add_text(in, "type",
			p->caps == PX_CAP_FE           ? SL_STR("frontend")
				: p->caps == PX_CAP_BE ? SL_STR("backend")
						       : SL_STR("listen"));
		add_px(in, STATS_PROXY, p->slot);
		for (uint32_t k = 0; k < p->nservers; k++)
			add_server(in, &p->servers[k]);
	}
	return 0;
}

static int
do_lua(const char *params sl_unused, struct rte_tel_data *d)
{
	for (uint16_t t = 0; t < script_count(); t++) {
		struct script_stats st;
		struct rte_tel_data *in;
		char key[16];

		snprintf(key, sizeof(key), "%u", t);
		in = add_dict(d, key);
		if (in == NULL)
			break;
		script_get_stats(t, &st);
#define X(sym, help) add_u64(in, #sym, st.sym);
		SCRIPT_COUNTERS(X)
#undef X
	}
	for (uint32_t i = 0; i < LUA_FUNCTIONS; i++) {
		struct script_fn_stats st;
		struct rte_tel_data *in;
		char kind[8], key[RTE_TEL_MAX_STRING_LEN];

		if (!script_fn_stats(tele.s.model->lua, i, &st))
			break;
		snprintf(kind, sizeof(kind), "%c_", st.kind);
		key_of(key, sizeof(key), kind, sl_str_c(st.name));
		in = add_dict(d, key);
		if (in == NULL)
			break;
#define X(sym, help) add_u64(in, #sym, st.sym);
		SCRIPT_FN_COUNTERS(X)
#undef X
	}
	return 0;
}

static int
do_sockets(const char *params sl_unused, struct rte_tel_data *d)
{
	struct io_socks_stats st;

	if (tele.s.socks == NULL)
		return 0; // no scripts
	io_socks_get_stats(tele.s.socks, &st);
	add_u64(d, "open", st.open);
	add_u64(d, "opened", st.opened);
	add_u64(d, "refused", st.refused);
	add_u64(d, "failed", st.failed);
	add_u64(d, "expired", st.expired);
	add_u64(d, "names", st.names);
	add_u64(d, "bad_names", st.bad_names);
	return 0;
}

static int
do_neigh(const char *params sl_unused, struct rte_tel_data *d)
{
	static struct net_neigh_view v[64]; // under the lock
	uint32_t n = net_neigh_dump(tele.s.net, v, SL_ARRAY_SIZE(v));

	for (uint32_t i = 0; i < n && i < SL_ARRAY_SIZE(v); i++) {
		char key[16], ip[64], mac[RTE_ETHER_ADDR_FMT_SIZE];
		struct rte_tel_data *in;
		struct sl_buf b;

		snprintf(key, sizeof(key), "%u", i);
		in = add_dict(d, key);
		if (in == NULL)
			break;
		sl_buf_init(&b, ip, sizeof(ip));
		addr_format(&b, &v[i].ip);
		rte_ether_format_addr(mac, sizeof(mac), &v[i].mac);
		rte_tel_data_add_dict_string(in, "address", ip);
		rte_tel_data_add_dict_string(in, "mac", mac);
		rte_tel_data_add_dict_string(in, "port",
			v[i].port < tele.s.ports->n ? tele.s.ports->port[v[i].port].name : "?");
		add_u64(in, "state", v[i].state);
	}
	return 0;
}

static const struct command {
	const char *path;
	int (*run)(const char *params, struct rte_tel_data *d);
	const char *help;
} commands[] = {
	{ "/sluice/info", do_info, "Version, uptime, sizes, log. Takes no parameters." },
	{ "/sluice/ports", do_ports, "Each port with its counters. Takes no parameters." },
	{ "/sluice/workers", do_workers,
		"Counters of each worker. Parameter: one worker's number." },
	{ "/sluice/drops", do_drops, "Dropped packets by reason. Parameter: one worker's number." },
	{ "/sluice/proxies", do_proxies, "Proxies and servers. Parameter: one proxy's name." },
	{ "/sluice/lua", do_lua, "Script threads. Takes no parameters." },
	{ "/sluice/sockets", do_sockets, "Sockets of scripts. Takes no parameters." },
	{ "/sluice/neigh", do_neigh, "Neighbours by ARP and ND. Takes no parameters." },
};

static int
on_command(const char *cmd, const char *params, struct rte_tel_data *d)
{
	int rc = -ENOENT;

	rte_tel_data_start_dict(d);
	pthread_mutex_lock(&tele.lock);
	for (size_t i = 0; tele.open && i < SL_ARRAY_SIZE(commands); i++) {
		if (strcmp(cmd, commands[i].path) == 0)
			rc = commands[i].run(params, d);
	}
	pthread_mutex_unlock(&tele.lock);
	return rc;
}

int
stats_open(const struct stats_spec *s)
{
	pthread_mutex_lock(&tele.lock);
	tele.s = *s;
	tele.start = time(NULL);
	tele.open = true;
	pthread_mutex_unlock(&tele.lock);
	for (size_t i = 0; !tele.registered && i < SL_ARRAY_SIZE(commands); i++) {
		int rc = rte_telemetry_register_cmd(commands[i].path, on_command, commands[i].help);
		if (rc < 0)
			return rc;
	}
	tele.registered = true;
	return 0;
}

void
stats_publish(const struct model *m)
{
	pthread_mutex_lock(&tele.lock);
	tele.s.model = m;
	pthread_mutex_unlock(&tele.lock);
}

void
stats_close(void)
{
	pthread_mutex_lock(&tele.lock);
	tele.open = false;
	pthread_mutex_unlock(&tele.lock);
}
