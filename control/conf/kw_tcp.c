// SPDX-License-Identifier: BSD-3-Clause
/*
 * TCP: "tune.tcp.*" of the global section, and keepalive of proxies.
 *
 * Runs on: the loader. "option tcpka" and its relatives follow HAProxy 2.6; "tune.tcp.*" is sluice's
 * own, because there it is the kernel that has such settings. They are read at start.
 */
#include "control/conf/conf_priv.h"
#include "dataplane/tcp/tcp.h"

#define MAX_MS    86400000u // a day

/* Where a row's value goes, and what is allowed. */
struct tcp_field {
	size_t off;
	uint32_t min, max;
};
#define FIELD(name, field, min, max) \
	static const struct tcp_field f_##name = { offsetof(struct tcp_conf, field), min, max }
FIELD(rto_min, rto_min_ms, 5, 10000);
FIELD(rto_max, rto_max_ms, 1000, 600000);
FIELD(rto_init, rto_init_ms, 50, 60000);
FIELD(delack, delack_ms, 1, 500); // RFC 9293 3.8.6.3
FIELD(timewait, timewait_ms, 100, 600000);
FIELD(fin, fin_timeout_ms, 1000, 3600000);
FIELD(idle, keepalive.idle_ms, 1000, MAX_MS);
FIELD(intvl, keepalive.intvl_ms, 1000, MAX_MS);
FIELD(cnt, keepalive.count, 1, 127);
FIELD(syn_retries, syn_retries, 0, 7);
FIELD(retries, data_retries, 1, 100);
FIELD(half_open, max_half_open, 16, 1u << 20);
FIELD(tw_max, max_timewait, 16, 1u << 20);
FIELD(rcvbuf, rcv_buf, 16384, 1u << 26);
FIELD(sndbuf, snd_buf, 16384, 1u << 25);
FIELD(sack, sack, 0, 1);
FIELD(timestamps, timestamps, 0, 1);
FIELD(wscale, wscale, 0, 1);
FIELD(cookies, cookies, 0, 0);
FIELD(cc, cc, 0, 0);

/* The draft of the model's settings; NULL: no memory (told). */
static struct tcp_conf *
draft(struct conf *c)
{
	struct tcp_conf *t;

	// the one that the model points at is ours until it is frozen
	if (c->m->global.tcp != NULL)
		return (struct tcp_conf *)(uintptr_t)c->m->global.tcp;
	t = arena_zalloc(&c->mem, sizeof(*t));
	if (t == NULL) {
		(void)conf_nomem(c);
		return NULL;
	}
	tcp_conf_default(t);
	t->cc = TCP_CC_HOST;
	c->m->global.tcp = t;
	return t;
}

static int
store(struct conf *c, const struct conf_args *a, uint64_t v, const char *unit)
{
	const struct tcp_field *f = (const struct tcp_field *)a->priv;
	struct tcp_conf *t = draft(c);

	if (t == NULL)
		return -ENOMEM;
	if (v < f->min || v > f->max) {
		conf_error(c, "'%s' : value '%.*s' must be between %u%s and %u%s.", a->kw,
			SL_STR_ARG(a->word[0]), f->min, unit, f->max, unit);
		return -EINVAL;
	}
	*(uint32_t *)(void *)((uint8_t *)t + f->off) = (uint32_t)v;
	return 0;
}

static int
kw_tcp_time(struct conf *c, const struct conf_args *a)
{
	uint32_t ms;

	return conf_time(c, a->kw, a->word[0], &ms) < 0 ? -EINVAL : store(c, a, ms, "ms");
}

static int
kw_tcp_number(struct conf *c, const struct conf_args *a)
{
	uint64_t n;

	return conf_number(c, a->kw, a->word[0], 0, UINT32_MAX, &n) < 0 ? -EINVAL
									  : store(c, a, n, "");
}

static int
kw_tcp_size(struct conf *c, const struct conf_args *a)
{
	uint64_t n;

	if (unit_size(a->word[0], &n) < 0) {
		conf_error(c, "'%s' expects a size in bytes ('k' or 'm' may follow), got '%.*s'.",
			a->kw, SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	return store(c, a, n, " bytes");
}

/* One word of a list, into the field; its place in the list is the value. */
static int
kw_tcp_word(struct conf *c, const struct conf_args *a, const char *const *words, const char *list)
{
	const struct tcp_field *f = (const struct tcp_field *)a->priv;
	struct tcp_conf *t = draft(c);

	if (t == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; words[i] != NULL; i++) {
		if (sl_str_eq(a->word[0], sl_str_c(words[i]))) {
			*(uint32_t *)(void *)((uint8_t *)t + f->off) = i;
			return 0;
		}
	}
	conf_error(c, "'%s' expects %s, got '%.*s'.", a->kw, list, SL_STR_ARG(a->word[0]));
	return -EINVAL;
}

static int
kw_tcp_switch(struct conf *c, const struct conf_args *a)
{
	static const char *const words[] = { "off", "on", NULL };

	return kw_tcp_word(c, a, words, "'on' or 'off'");
}

static int
kw_tcp_cookies(struct conf *c, const struct conf_args *a)
{
	static const char *const words[] = { [TCP_COOKIES_OFF] = "off",
		[TCP_COOKIES_AUTO] = "auto",
		[TCP_COOKIES_ALWAYS] = "always",
		NULL };

	return kw_tcp_word(c, a, words, "'off', 'auto' or 'always'");
}

static int
kw_tcp_cc(struct conf *c, const struct conf_args *a)
{
	static const char *const words[TCP_CC_HOST + 2] = { [TCP_CC_NEWRENO] = "newreno",
		[TCP_CC_WESTWOOD] = "westwood",
		[TCP_CC_CUBIC] = "cubic",
		[TCP_CC_BBR] = "bbr",
		[TCP_CC_HOST] = "host" };

	return kw_tcp_word(c, a, words, "'host', 'cubic', 'bbr', 'newreno' or 'westwood'");
}

static int
kw_tcp_ports(struct conf *c, const struct conf_args *a)
{
	struct tcp_conf *t = draft(c);
	uint64_t from, to;

	if (t == NULL)
		return -ENOMEM;
	if (conf_number(c, a->kw, a->word[0], 1024, 65535, &from) < 0 ||
		conf_number(c, a->kw, a->word[1], 1024, 65535, &to) < 0)
		return -EINVAL;
	if (to < from + 255) {
		conf_error(c, "'%s' : %u to %u are fewer than 256 ports.", a->kw, (uint32_t)from,
			(uint32_t)to);
		return -EINVAL;
	}
	t->port_first = (uint16_t)from;
	t->port_last = (uint16_t)to;
	return 0;
}

/* ---- keepalive of proxies ---- */

static int
kw_tcpka(struct conf *c, const struct conf_args *a)
{
	uint32_t set = (uint32_t)a->priv;

	if (a->no || a->to_default)
		c->px->p->options &= ~set;
	else
		c->px->p->options |= set;
	return 0;
}

#define KA(field) offsetof(struct proxy, field)

static int
kw_tcpka_count(struct conf *c, const struct conf_args *a)
{
	uint32_t *out = (uint32_t *)(void *)((uint8_t *)c->px->p + a->priv);
	uint64_t n;

	if (conf_number(c, a->kw, a->word[0], 1, 127, &n) < 0)
		return -EINVAL;
	*out = (uint32_t)n;
	return 0;
}

/* Here a number without a unit is seconds, as in HAProxy. */
static int
kw_tcpka_time(struct conf *c, const struct conf_args *a)
{
	uint32_t *out = (uint32_t *)(void *)((uint8_t *)c->px->p + a->priv), ms;
	uint64_t n;

	if (sl_str_u64(a->word[0], &n) == 0)
		ms = (uint32_t)sl_min(n * 1000, (uint64_t)UINT32_MAX);
	else if (conf_time(c, a->kw, a->word[0], &ms) < 0)
		return -EINVAL;
	if (ms < 1000 || ms > MAX_MS) {
		conf_error(c, "'%s' : value '%.*s' must be between 1s and 1d.", a->kw,
			SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	*out = ms;
	return 0;
}

#define P(f) (uintptr_t) & (f)

// clang-format off
SL_CFG_GLOBAL(
	{ "tune.tcp.rto-min", CONF_GLOBAL, 1, 1, kw_tcp_time, "<time>",
		"shortest retransmission timeout (200ms)", P(f_rto_min) },
	{ "tune.tcp.rto-max", CONF_GLOBAL, 1, 1, kw_tcp_time, "<time>",
		"longest retransmission timeout (60s)", P(f_rto_max) },
	{ "tune.tcp.rto-initial", CONF_GLOBAL, 1, 1, kw_tcp_time, "<time>",
		"retransmission timeout before a round trip is known (1s)", P(f_rto_init) },
	{ "tune.tcp.delack", CONF_GLOBAL, 1, 1, kw_tcp_time, "<time>",
		"how long an acknowledgement waits for data to ride on (40ms)", P(f_delack) },
	{ "tune.tcp.syn-retries", CONF_GLOBAL, 1, 1, kw_tcp_number, "<number>",
		"how often a SYN or its answer is sent again (5)", P(f_syn_retries) },
	{ "tune.tcp.retries", CONF_GLOBAL, 1, 1, kw_tcp_number, "<number>",
		"timeouts without progress that end a connection (15)", P(f_retries) },
	{ "tune.tcp.syn-cookies", CONF_GLOBAL, 1, 1, kw_tcp_cookies, "off|auto|always",
		"when SYNs are answered without keeping an entry (auto: under pressure, "
		"and from three quarters of the table on)", P(f_cookies) },
	{ "tune.tcp.half-open", CONF_GLOBAL, 1, 1, kw_tcp_number, "<number>",
		"entries of half-open connections per worker (4096)", P(f_half_open) },
	{ "tune.tcp.timewait", CONF_GLOBAL, 1, 1, kw_tcp_time, "<time>",
		"how long a closed connection stays in TIME_WAIT (60s)", P(f_timewait) },
	{ "tune.tcp.timewait-max", CONF_GLOBAL, 1, 1, kw_tcp_number, "<number>",
		"entries in TIME_WAIT per worker; the oldest make room (16384)", P(f_tw_max) },
	{ "tune.tcp.fin-timeout", CONF_GLOBAL, 1, 1, kw_tcp_time, "<time>",
		"how long a closed connection waits for the peer's FIN (60s)", P(f_fin) },
	{ "tune.tcp.keepalive-idle", CONF_GLOBAL, 1, 1, kw_tcp_time, "<time>",
		"silence before the first keepalive probe (2h)", P(f_idle) },
	{ "tune.tcp.keepalive-intvl", CONF_GLOBAL, 1, 1, kw_tcp_time, "<time>",
		"time between keepalive probes (75s)", P(f_intvl) },
	{ "tune.tcp.keepalive-cnt", CONF_GLOBAL, 1, 1, kw_tcp_number, "<number>",
		"unanswered keepalive probes that end a connection (9)", P(f_cnt) },
	{ "tune.tcp.cc", CONF_GLOBAL, 1, 1, kw_tcp_cc, "host|cubic|bbr|newreno|westwood",
		"congestion control; 'host': that of the kernel's sysctl, cubic where it is another (host)",
		P(f_cc) },
	{ "tune.tcp.rcvbuf", CONF_GLOBAL, 1, 1, kw_tcp_size, "<size>",
		"receive buffer of a connection, at most (2m)", P(f_rcvbuf) },
	{ "tune.tcp.sndbuf", CONF_GLOBAL, 1, 1, kw_tcp_size, "<size>",
		"send buffer of a connection, at most (4m)", P(f_sndbuf) },
	{ "tune.tcp.sack", CONF_GLOBAL, 1, 1, kw_tcp_switch, "on|off",
		"selective acknowledgements (on)", P(f_sack) },
	{ "tune.tcp.timestamps", CONF_GLOBAL, 1, 1, kw_tcp_switch, "on|off",
		"timestamps (on)", P(f_timestamps) },
	{ "tune.tcp.window-scaling", CONF_GLOBAL, 1, 1, kw_tcp_switch, "on|off",
		"windows above 64 kB (on)", P(f_wscale) },
	{ "tune.tcp.port-range", CONF_GLOBAL, 2, 2, kw_tcp_ports, "<first> <last>",
		"source ports towards servers (10240 65535)" },
);
SL_CFG_PROXY(
	{ "option tcpka", CONF_ANY_PX, 0, 0, kw_tcpka, "",
		"silent clients and servers are asked whether they live",
		PX_O_CLITCPKA | PX_O_SRVTCPKA },
	{ "option clitcpka", CONF_ANY_PX, 0, 0, kw_tcpka, "",
		"silent clients are asked whether they live", PX_O_CLITCPKA,
		CONF_KW_NO | CONF_KW_FE },
	{ "option srvtcpka", CONF_ANY_PX, 0, 0, kw_tcpka, "",
		"silent servers are asked whether they live", PX_O_SRVTCPKA,
		CONF_KW_NO | CONF_KW_BE },
	{ "clitcpka-idle", CONF_ANY_PX, 1, 1, kw_tcpka_time, "<time>",
		"silence of a client before the first probe", KA(keep_client.idle_ms), CONF_KW_FE },
	{ "clitcpka-intvl", CONF_ANY_PX, 1, 1, kw_tcpka_time, "<time>",
		"time between probes of a client", KA(keep_client.intvl_ms), CONF_KW_FE },
	{ "clitcpka-cnt", CONF_ANY_PX, 1, 1, kw_tcpka_count, "<number>",
		"unanswered probes after which a client is gone", KA(keep_client.count),
		CONF_KW_FE },
	{ "srvtcpka-idle", CONF_ANY_PX, 1, 1, kw_tcpka_time, "<time>",
		"silence of a server before the first probe", KA(keep_server.idle_ms), CONF_KW_BE },
	{ "srvtcpka-intvl", CONF_ANY_PX, 1, 1, kw_tcpka_time, "<time>",
		"time between probes of a server", KA(keep_server.intvl_ms), CONF_KW_BE },
	{ "srvtcpka-cnt", CONF_ANY_PX, 1, 1, kw_tcpka_count, "<number>",
		"unanswered probes after which a server is gone", KA(keep_server.count),
		CONF_KW_BE },
);
// clang-format on
