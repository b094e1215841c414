// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a host owes its link: tags, routes, static neighbours, errors to who asks for what is not
 * there, address conflicts, a link that goes and comes.
 */
#include "dataplane/net/net_priv.h"
#include "tests/harness/net_env.h"

static const struct test_port tagged = {
	.device = "wire0a", .addr = { "10.0.0.1/24", "fd00::1/64" }, .vlan = 100
};

static const struct test_port routed = { .device = "wire0a",
	.addr = { "10.0.0.1/16", "fd00::1/64", "10.9.0.1/24" },
	.gateway4 = "10.0.0.254",
	.route = { { "10.0.7.0/24", "10.0.0.7" }, { "192.0.2.0/24", "10.9.0.2" },
		{ "192.0.2.128/25", "10.0.0.8" }, { "::/0", "fe80::fe" } },
	.neigh = { { "10.0.0.254", "02:00:00:00:00:fe" }, { "fd00::77", "02-00-00-00-00-77" } } };

/* Puts a tag into a frame. */
static uint32_t
tag(uint8_t *f, uint32_t n, uint16_t tci)
{
	memmove(f + 16, f + 12, n - 12);
	put16(f + 12, 0x8100);
	put16(f + 14, tci);
	return n + 4;
}

static void
vlan(void **state)
{
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 };
	uint8_t f[256];
	uint32_t n;

	(void)state;
	n = tag(f, echo4(f, 56), 100);
	assert_int_equal(ask(f, n), n);
	assert_int_equal(out[12] << 8 | out[13], 0x8100);
	assert_int_equal(out[14] << 8 | out[15], 100);
	assert_int_equal(naive_sum(out + 18, 20, 0), 0);
	// its priority bits are not ours to judge
	n = tag(f, echo6(f, 8), 5 << 13 | 100);
	assert_int_equal(ask(f, n), n);
	n = tag(f, arp(f, 1, them, us), 100);
	assert_int_equal(ask(f, n), 46);
	assert_int_equal(out[14] << 8 | out[15], 100);
	// no tag, another one, a tag in a tag, half a tag
	assert_int_equal(ask(f, echo4(f, 56)), 0);
	assert_int_equal(ask(f, tag(f, echo4(f, 56), 101)), 0);
	assert_int_equal(ask(f, tag(f, echo4(f, 56), 0)), 0);
	assert_int_equal(drops(DROP_ETH_VLAN), 3);
	n = tag(f, echo4(f, 56), 100);
	assert_int_equal(ask(f, tag(f, n, 100)), 0);
	assert_int_equal(drops(DROP_ETH_TYPE), 1);
	tag(f, echo4(f, 56), 100);
	assert_int_equal(ask(f, 17), 0);
	assert_int_equal(drops(DROP_ETH_VLAN), 4);
}

static void
vlan_out(void **state)
{
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 };
	struct net_flow fl = flow_to("10.0.0.2");
	uint8_t f[256];

	(void)state;
	net_output(host.lc[0], &fl, segment(100), 0);
	run_ms(10);
	assert_int_equal(count_out(0x8100), 1); // the request
	assert_int_equal(out[16] << 8 | out[17], 0x0806);
	assert_int_equal(ask(f, tag(f, arp(f, 2, them, us), 100)), 18 + 20 + 120);
	assert_memory_equal(out, peer_mac, 6);
	assert_int_equal(out[14] << 8 | out[15], 100);
	assert_int_equal(out[16] << 8 | out[17], 0x0800);
	assert_int_equal(naive_sum(out + 18, 20, 0), 0);
}

/* A priority tag on an untagged port is none (IEEE 802.1Q 6.9). */
static void
priority_tag(void **state)
{
	uint8_t f[256];
	uint32_t n = tag(f, echo4(f, 56), 7 << 13);

	(void)state;
	assert_int_equal(ask(f, n), n - 4);
	assert_int_equal(ask(f, tag(f, echo4(f, 56), 7)), 0);
	assert_int_equal(drops(DROP_ETH_VLAN), 1);
}

/* Who is asked for on the way to an address (IPv4: from the ARP request). */
static void
expect_hop(const char *to, const char *from, const char *hop)
{
	struct net_flow fl = flow_to(to);
	struct ip_addr want;

	assert_int_equal(addr_parse(sl_str_c(from), &want), 0);
	if (!addr_eq(&fl.laddr, &want))
		fail_msg("%s: not from %s", to, from);
	assert_int_equal(addr_parse(sl_str_c(hop), &want), 0);
	run_ms(10);
	count_out(0);
	net_output(host.lc[0], &fl, segment(1), 0);
	run_ms(10);
	if (want.family == ADDR_V4) {
		if (count_out(0x0806) != 1 || memcmp(out + 38, want.b, 4) != 0)
			fail_msg("%s: not by %s", to, hop);
	} else if (count_out(0x86dd) != 1 || out[54] != 135 || memcmp(out + 62, want.b, 16) != 0) {
		fail_msg("%s: not by %s", to, hop);
	}
}

static void
routes(void **state)
{
	struct net_flow fl = { .lport = 1, .rport = 2 };

	(void)state;
	expect_hop("10.0.3.3", "10.0.0.1", "10.0.3.3"); // connected
	expect_hop("10.0.7.3", "10.0.0.1", "10.0.0.7"); // a part of it behind a router
	expect_hop("10.9.0.9", "10.9.0.1", "10.9.0.9");
	expect_hop("192.0.2.1", "10.9.0.1", "10.9.0.2");
	expect_hop("192.0.2.129", "10.0.0.1", "10.0.0.8"); // the longer of two
	expect_hop("fd00::5", "fd00::1", "fd00::5");
	expect_hop("2001:db8::1", "fd00::1", "fe80::fe"); // never from fe80::
	assert_int_equal(addr_parse(SL_STR("ff02::1"), &fl.raddr), 0);
	assert_int_equal(net_route(host.lc[0], &fl), -ENETUNREACH);
	run_ms(5000); // packets that waited are gone
}

static void
no_route(void **state)
{
	struct net_flow fl = { .lport = 1, .rport = 2 };

	(void)state;
	assert_int_equal(addr_parse(SL_STR("2001:db8::1"), &fl.raddr), 0);
	assert_int_equal(net_route(host.lc[0], &fl), -ENETUNREACH);
}

static void
static_neighbours(void **state)
{
	static const uint8_t gw[4] = { 10, 0, 0, 254 }, us[4] = { 10, 0, 0, 1 },
			     mac[6] = { 2, 0, 0, 0, 0, 0xfe };
	struct net_flow fl = flow_to("203.0.113.1"), fl6 = flow_to("fd00::77");
	struct net_neigh_view v[8];
	uint8_t f[64];

	(void)state;
	assert_int_equal(net_neigh_dump(host.net, v, 8), 2);
	net_output(host.lc[0], &fl, segment(1), 0);
	run_ms(10);
	assert_int_equal(count_out(0x0800), 1); // at once, unasked
	assert_memory_equal(out, mac, 6);
	net_output(host.lc[0], &fl6, segment(1), 0);
	run_ms(10);
	assert_int_equal(count_out(0x86dd), 1);
	assert_int_equal(out[5], 0x77);
	// neither a request nor a reply of somebody else changes it, nor does time
	ask(f, arp(f, 1, gw, us));
	ask(f, arp(f, 2, gw, us));
	for (uint32_t i = 0; i < 700; i++)
		test_host_poll(&host, now += 1000000);
	net_output(host.lc[0], &fl, segment(1), 0);
	run_ms(10);
	assert_int_equal(count_out(0x0800), 1);
	assert_memory_equal(out, mac, 6);
}

/* Answers to what nobody here serves. */

static uint32_t
udp4(uint8_t *f, uint32_t data)
{
	memset(f + 34, 0, 8 + data);
	put16(f + 34, 5353);
	put16(f + 36, 53);
	put16(f + 38, (uint16_t)(8 + data));
	return ip4(f, 17, 8 + data);
}

static void
unreachable4(void **state)
{
	uint8_t f[1600];
	uint32_t n = udp4(f, 32);

	(void)state;
	assert_int_equal(ask(f, n), 14 + 20 + 8 + (n - 14));
	assert_int_equal(naive_sum(out + 14, 20, 0), 0);
	assert_int_equal(out[34], 3);
	assert_int_equal(out[35], 3);
	assert_int_equal(naive_sum(out + 34, 8 + n - 14, 0), 0);
	assert_memory_equal(out + 42, f + 14, n - 14);
	assert_memory_equal(out + 30, f + 26, 4);
	// at most 576 bytes
	assert_int_equal(ask(f, udp4(f, 1400)), 14 + 576);
	// a protocol that we do not speak
	assert_int_equal(ask(f, ip4(f, 132, 8)), 14 + 20 + 8 + 28);
	assert_int_equal(out[35], 2);
	assert_int_equal(counter_get(&host.lc[0]->stat[STAT_ICMP_ERR_OUT]), 3);
	assert_int_equal(drops(DROP_UDP_NO_PORT), 2);
	assert_int_equal(drops(DROP_IP_PROTO), 1);
	// malformed: short, longer than its packet, a wrong sum
	assert_int_equal(ask(f, ip4(f, 17, 7)), 0);
	udp4(f, 8);
	f[39] = 17;
	assert_int_equal(ask(f, 50), 0);
	n = udp4(f, 8);
	put16(f + 40, 0x1234);
	assert_int_equal(ask(f, n), 0);
	assert_int_equal(drops(DROP_UDP_BAD), 3);
	// to the broadcast MAC: refused without a word
	n = udp4(f, 8);
	memset(f, 0xff, 6);
	assert_int_equal(ask(f, n), 0);
	assert_int_equal(drops(DROP_UDP_NO_PORT), 3);
}

static void
unreachable6(void **state)
{
	uint8_t f[256];
	uint32_t n = ip6_to(f, 17, 16, "fd00::2", "fd00::1"), sum = 17 + 16;

	(void)state;
	memset(f + 54, 0, 16);
	put16(f + 58, 16);
	for (int i = 22; i < 54; i += 2)
		sum += (uint32_t)(f[i] << 8 | f[i + 1]);
	put16(f + 60, naive_sum(f + 54, 16, sum));
	assert_int_equal(ask(f, n), 54 + 8 + 56);
	assert_int_equal(out[54], 1);
	assert_int_equal(out[55], 4);
	assert_memory_equal(out + 62, f + 14, 56);
	sum = 58 + 64;
	for (int i = 22; i < 54; i += 2)
		sum += (uint32_t)(out[i] << 8 | out[i + 1]);
	assert_int_equal(naive_sum(out + 54, 64, sum), 0);
	put16(f + 60, 0); // no sum: only IPv4 may
	assert_int_equal(ask(f, n), 0);
	assert_int_equal(drops(DROP_UDP_BAD), 1);
	// a next header that we do not speak: where it stood
	ip6_to(f, 132, 16, "fd00::2", "fd00::1");
	assert_int_equal(ask(f, n), 54 + 8 + 56);
	assert_int_equal(out[54], 4);
	assert_int_equal(out[55], 1);
	assert_int_equal(out[61], 6);
	// to a group, or from nobody: no error
	ip6_to(f, 132, 16, "fd00::2", "ff02::1");
	assert_int_equal(ask(f, n), 0);
	ip6_to(f, 132, 16, "::", "fd00::1");
	assert_int_equal(ask(f, n), 0);
}

static void
errors_limited(void **state)
{
	uint8_t f[256];
	uint32_t n = udp4(f, 8), got = 0;

	(void)state;
	for (int i = 0; i < 80; i++) {
		assert_int_equal(wire_send(wire, 'b', 0, f, n), 0);
		test_host_poll(&host, now);
		while (wire_recv(wire, 'b', 0, out, sizeof(out)) > 0)
			got += out[34] == 3;
	}
	assert_int_equal(got, 50);
	assert_int_equal(counter_get(&host.lc[0]->stat[STAT_ICMP_ERR_LIMITED]), 30);
	run_ms(20);
	assert_int_not_equal(ask(f, n), 0);
	// echo has a limit of its own
	assert_int_not_equal(ask(f, echo4(f, 8)), 0);
}

struct opt6 {
	int line;
	uint8_t first;
	uint8_t h[16];
	uint32_t len;
	int code, at; // of the parameter problem; -1: silence; -2: answered
};

static const struct opt6 opts6[] = {
	{ __LINE__, 0, { 58, 0, 5, 2, 0, 0, 1, 0 }, 8, -2, 0 },     // router alert: to be skipped
	{ __LINE__, 60, { 58, 0, 0x1e, 2, 0, 0, 0, 0 }, 8, -2, 0 }, // not known, skip
	{ __LINE__, 60, { 58, 0, 0x5e, 2, 0, 0, 0, 0 }, 8, -1, 0 }, // drop
	{ __LINE__, 60, { 58, 0, 0x9e, 2, 0, 0, 0, 0 }, 8, 2, 42 }, // tell
	{ __LINE__, 60, { 58, 0, 0, 0, 0xde, 2, 0, 0 }, 8, 2, 44 }, // tell
	{ __LINE__, 0, { 58, 0, 0xc2, 4, 0, 1, 0, 0 }, 8, 2, 42 },  // jumbo payload
	{ __LINE__, 60, { 58, 0, 1, 5, 0, 0, 0, 0 }, 8, -1, 0 },    // beyond its header
	{ __LINE__, 60, { 58, 0, 0, 0, 0, 0, 0, 1 }, 8, -1, 0 },    // half an option
	{ __LINE__, 43, { 58, 0, 0, 1, 0, 0, 0, 0 }, 8, 0, 42 },    // routing type 0, to go on
	{ __LINE__, 60, { 0, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4 }, 16, 1, 40 }, // hop-by-hop later
	// nine options
	{ __LINE__, 60, { 58, 1, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0 }, 16, -2, 0 },
	{ __LINE__, 60, { 0 }, 24, -1, 0 },
};

static void
options6(void **state)
{
	uint8_t f[256], g[256];

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(opts6); i++) {
		const struct opt6 *o = &opts6[i];
		uint32_t n = echo6(g, 8);
		int rc;

		memcpy(f, g, 54);
		memset(f + 54, 0, o->len);
		memcpy(f + 54, o->h, sl_min(o->len, 16u));
		if (o->len == 24) {
			f[54] = 58;
			f[55] = 2;
			for (uint32_t k = 56; k < 78; k += 2)
				f[k] = 3;
		}
		memcpy(f + 54 + o->len, g + 54, n - 54);
		f[20] = o->first;
		put16(f + 18, (uint16_t)(16 + o->len));
		rc = ask(f, n + o->len);
		if (o->code == -2 ? out[54] != 129 || rc == 0
				: o->code == -1
				? rc != 0
				: rc == 0 || out[54] != 4 || out[55] != o->code || out[61] != o->at)
			fail_msg("row of line %d: %d bytes, code %u, pointer %u", o->line, rc,
				out[55], out[61]);
	}
}

static uint32_t
advert(uint8_t *f, const char *target)
{
	uint32_t n = ip6_to(f, 58, 32, "fd00::2", "ff02::1");
	struct ip_addr a;

	f[0] = f[1] = 0x33;
	memset(f + 54, 0, 32);
	f[54] = 136;
	f[58] = 0x20;
	assert_int_equal(addr_parse(sl_str_c(target), &a), 0);
	memcpy(f + 62, a.b, 16);
	f[78] = 2;
	f[79] = 1;
	memcpy(f + 80, peer_mac, 6);
	icmp6_sum(f, 32);
	return n;
}

/* Somebody with an address of this last byte asks for ours. */
static uint32_t
solicit(uint8_t *f, uint8_t who)
{
	uint32_t n = ip6_to(f, 58, 32, "fd00::2", "fd00::1");

	f[37] = who + 1;
	memset(f + 54, 0, 32);
	f[54] = 135;
	memcpy(f + 62, f + 38, 16);
	f[78] = 1;
	f[79] = 1;
	memcpy(f + 80, peer_mac, 6);
	icmp6_sum(f, 32);
	return n;
}

static void
conflicts(void **state)
{
	static const uint8_t us[4] = { 10, 0, 0, 1 }, nobody[4] = { 0, 0, 0, 0 };
	struct net_conflict c;
	struct ip_addr ll;
	uint8_t f[128];
	char text[40];
	uint32_t n;

	(void)state;
	assert_int_equal(net_conflicts(host.net, 0, &c), 0);
	// a probe is a question, not a claim
	assert_int_equal(ask(f, arp(f, 1, nobody, us)), 42);
	assert_int_equal(net_conflicts(host.net, 0, &c), 0);
	assert_int_equal(ask(f, arp(f, 2, us, us)), 42);
	assert_int_equal(net_conflicts(host.net, 0, &c), 1);
	assert_memory_equal(c.mac.addr_bytes, peer_mac, 6);
	assert_int_equal(c.ip.family, ADDR_V4);
	assert_memory_equal(c.ip.b, us, 4);
	assert_int_equal(ask(f, arp(f, 2, us, us)), 0); // defended once in ten seconds
	assert_int_equal(ask(f, advert(f, "fd00::1")), 86); // each address by itself
	assert_int_equal(out[54], 136);
	assert_memory_equal(out + 80, our_mac(), 6);
	assert_int_equal(net_conflicts(host.net, 0, &c), 3);
	assert_int_equal(c.ip.family, ADDR_V6);
	assert_int_equal(c.ip.b[15], 1);
	assert_int_equal(ask(f, advert(f, "fd00::1")), 0);
	assert_int_equal(ask(f, advert(f, "fd00::2")), 0);
	assert_int_equal(net_conflicts(host.net, 0, &c), 4);
	// and the one that its MAC makes
	ll = net_port(host.lc[0], 0)->ll;
	snprintf(text, sizeof(text), "fe80::%x:%x:%x:%x", ll.b[8] << 8 | ll.b[9],
		ll.b[10] << 8 | ll.b[11], ll.b[12] << 8 | ll.b[13], ll.b[14] << 8 | ll.b[15]);
	assert_int_equal(ask(f, advert(f, text)), 86);
	assert_int_equal(ask(f, advert(f, text)), 0);
	run_ms(11000);
	count_out(0);
	assert_int_equal(ask(f, arp(f, 2, us, us)), 42);
	// as another host says it: from the address itself
	n = advert(f, "fd00::1");
	f[37] = 1;
	icmp6_sum(f, 32);
	assert_int_equal(ask(f, n), 86);
	assert_int_equal(drops(DROP_ADDR_CONFLICT), 8);
	// nothing else comes from there
	n = advert(f, "fd00::2");
	f[37] = 1;
	icmp6_sum(f, 32);
	assert_int_equal(ask(f, n), 0);
	n = solicit(f, 0);
	icmp6_sum(f, 32);
	assert_int_equal(ask(f, n), 0);
	assert_int_equal(drops(DROP_IP_SOURCE), 2);
}

/* A link-layer address of zeroes names no station: nobody is reached by it. */
static void
no_station(void **state)
{
	static struct net_neigh_view v[8];
	uint8_t f[128], was[6];
	uint32_t n;

	(void)state;
	assert_int_equal(ask(f, solicit(f, 1)), 86);
	n = net_neigh_dump(host.net, v, 8);
	assert_int_equal(n, 1);
	memcpy(was, v[0].mac.addr_bytes, 6);
	for (int create = 0; create < 2; create++) {
		uint32_t len = create ? solicit(f, 9) : advert(f, "fd00::2");

		memset(f + 80, 0, 6);
		icmp6_sum(f, 32);
		ask(f, len);
		assert_int_equal(net_neigh_dump(host.net, v, 8), 1);
		assert_memory_equal(v[0].mac.addr_bytes, was, 6);
	}
}

/* What is known of an address; NEIGH_FREE: nothing. */
static enum neigh_state
known(const char *ip, uint8_t *last)
{
	static struct net_neigh_view v[64];
	uint32_t n = net_neigh_dump(host.net, v, 64);
	struct ip_addr a;

	assert_int_equal(addr_parse(sl_str_c(ip), &a), 0);
	for (uint32_t i = 0; i < n; i++) {
		if (addr_eq(&v[i].ip, &a)) {
			*last = v[i].mac.addr_bytes[5];
			return v[i].state;
		}
	}
	return NEIGH_FREE;
}

enum { NONE = 256 };

static void advertise(const char *ip, uint8_t flags, uint32_t mac);

/* The tables have IPv4 addresses as IPv6 ones: what ARP told is not ND's to change. */
static void
mapped(void **state)
{
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 };
	uint8_t f[128], last = 0;
	uint32_t n;

	(void)state;
	ask(f, arp(f, 1, them, us));
	assert_int_equal(known("10.0.0.2", &last), NEIGH_STALE);
	assert_int_equal(last, 9);
	advertise("::ffff:10.0.0.2", 0x60, 5);
	advertise("::ffff:10.0.0.2", 0x20, 5);
	assert_int_equal(drops(DROP_ND_BAD), 2);
	n = solicit(f, 0);
	memset(f + 22, 0, 16);
	f[32] = f[33] = 0xff;
	memcpy(f + 34, them, 4);
	f[85] = 5;
	icmp6_sum(f, 32);
	assert_int_equal(ask(f, n), 0);
	assert_int_equal(drops(DROP_IP_SOURCE), 1);
	assert_int_equal(known("10.0.0.2", &last), NEIGH_STALE);
	assert_int_equal(last, 9);
}

/* An advertisement to us alone; its option says a MAC that ends in mac. */
static void
advertise(const char *ip, uint8_t flags, uint32_t mac)
{
	uint32_t len = mac == NONE ? 24 : 32, n;
	uint8_t f[128];

	advert(f, ip);
	n = ip6_to(f, 58, (uint16_t)len, "fd00::2", "fd00::1");
	f[58] = flags;
	f[85] = (uint8_t)mac;
	icmp6_sum(f, len);
	ask(f, n);
}

/* RFC 4861 7.2.5, its table in appendix C: state, what the advertisement says; then. */
static void
adverts(void **state)
{
	enum { O = 0x20, S = 0x40 };
	static const struct {
		int line;
		uint8_t before, flags;
		uint16_t mac; // known: 9
		uint8_t after, last;
	} row[] = {
		{ __LINE__, NEIGH_FREE, S | O, 5, NEIGH_FREE, 0 },
		{ __LINE__, NEIGH_INCOMPLETE, S | O, NONE, NEIGH_INCOMPLETE, 0 },
		{ __LINE__, NEIGH_INCOMPLETE, S, 5, NEIGH_REACHABLE, 5 },
		{ __LINE__, NEIGH_INCOMPLETE, 0, 5, NEIGH_STALE, 5 },
		{ __LINE__, NEIGH_INCOMPLETE, O, 5, NEIGH_STALE, 5 },
		{ __LINE__, NEIGH_REACHABLE, S, 5, NEIGH_STALE, 9 },
		{ __LINE__, NEIGH_REACHABLE, 0, 5, NEIGH_STALE, 9 },
		{ __LINE__, NEIGH_REACHABLE, O, 5, NEIGH_STALE, 5 },
		{ __LINE__, NEIGH_REACHABLE, S | O, 5, NEIGH_REACHABLE, 5 },
		{ __LINE__, NEIGH_REACHABLE, O, 9, NEIGH_REACHABLE, 9 },
		{ __LINE__, NEIGH_REACHABLE, S | O, NONE, NEIGH_REACHABLE, 9 },
		{ __LINE__, NEIGH_STALE, S, 5, NEIGH_STALE, 9 },
		{ __LINE__, NEIGH_STALE, 0, 9, NEIGH_STALE, 9 },
		{ __LINE__, NEIGH_STALE, O, 5, NEIGH_STALE, 5 },
		{ __LINE__, NEIGH_STALE, S, 9, NEIGH_REACHABLE, 9 },
		{ __LINE__, NEIGH_STALE, S | O, NONE, NEIGH_REACHABLE, 9 },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(row); i++) {
		enum neigh_state s;
		uint8_t last = 0;
		char ip[16];

		snprintf(ip, sizeof(ip), "fd00::1:%zu", i + 1);
		if (row[i].before != NEIGH_FREE) {
			struct net_flow fl = flow_to(ip);

			net_output(host.lc[0], &fl, segment(1), 0);
			assert_int_equal(known(ip, &last), NEIGH_INCOMPLETE);
		}
		if (row[i].before == NEIGH_REACHABLE)
			advertise(ip, S | O, 9);
		else if (row[i].before == NEIGH_STALE)
			advertise(ip, O, 9);
		assert_int_equal(known(ip, &last), row[i].before);
		advertise(ip, row[i].flags, row[i].mac);
		s = known(ip, &last);
		if (s != row[i].after || (s > NEIGH_INCOMPLETE && last != row[i].last))
			fail_msg("row of line %d: state %d, MAC %u", row[i].line, s, last);
	}
	run_ms(5000); // packets that waited are gone
}

/* An advertisement that was not believed: who is known is asked, by the address that is known. */
static void
doubted(void **state)
{
	struct net_flow fl = flow_to("fd00::1:1");
	uint32_t asked = 0;

	(void)state;
	net_output(host.lc[0], &fl, segment(1), 0);
	advertise("fd00::1:1", 0x60, 9);
	advertise("fd00::1:1", 0x40, 5);
	net_output(host.lc[0], &fl, segment(1), 0);
	for (int i = 0; i < 700; i++) {
		test_host_poll(&host, now += STEP_US);
		while (wire_recv(wire, 'b', 0, out, sizeof(out)) > 0)
			asked += out[12] == 0x86 && out[54] == 135 && out[0] == peer_mac[0] && out[5] == 9;
	}
	assert_in_range(asked, 1, 3);
	run_ms(5000);
}

/* The question at start whether an address is taken (RFC 4862 5.4.2): from ::, without an option. */
static void
probes(void **state)
{
	uint32_t n = 0;

	(void)state;
	test_host_poll(&host, now += STEP_US);
	for (int len; (len = wire_recv(wire, 'b', 0, out, sizeof(out))) > 0;) {
		if (out[12] != 0x86 || out[54] != 135)
			continue;
		n++;
		assert_int_equal(len, 78);
		assert_int_equal(out[22] | out[37], 0);
		assert_int_equal(out[38], 0xff);
		assert_int_equal(out[0], 0x33);
		assert_int_equal(out[77], 1);
	}
	assert_int_equal(n, 1);
}

static void
link_flaps(void **state)
{
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 };
	struct port *p = &host.ports.port[0];
	struct net_flow fl = flow_to("10.0.0.2");
	uint32_t arps = 0, nas = 0;
	uint8_t f[64];
	bool asked = false;

	(void)state;
	ask(f, arp(f, 1, them, us));
	net_output(host.lc[0], &fl, segment(1), 0);
	run_ms(10);
	count_out(0);
	atomic_store(&p->link_up, false);
	atomic_fetch_add(&p->link_changes, 1);
	net_output(host.lc[0], &fl, segment(1), 0);
	assert_int_equal(drops(DROP_TX_LINK_DOWN), 1);
	run_ms(1000);
	assert_int_equal(count_out(0x0806), 0);
	atomic_store(&p->link_up, true);
	atomic_fetch_add(&p->link_changes, 1);
	for (int i = 0; i < 300; i++) {
		test_host_poll(&host, now += STEP_US);
		while (wire_recv(wire, 'b', 0, out, sizeof(out)) > 0) {
			bool is_arp = out[12] == 8 && out[13] == 6;

			asked |= is_arp && memcmp(out + 38, them, 4) == 0 &&
				memcmp(out, peer_mac, 6) == 0;
			arps += is_arp && memcmp(out + 38, us, 4) == 0;
			nas += out[12] == 0x86 && out[54] == 136;
		}
	}
	assert_int_equal(arps, 2); // announced again
	assert_int_equal(nas, 2);
	assert_true(asked); // and who was known is asked whether he is still there
	// gone and back between two looks: as well
	atomic_fetch_add(&p->link_changes, 2);
	run_ms(50);
	assert_in_range(count_out(0x0806), 1, 2);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define ON(f, p) \
	cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, (void *)(uintptr_t) & (p))
	const struct CMUnitTest tests[] = {
		ON(vlan, tagged),
		ON(vlan_out, tagged),
		T(priority_tag),
		ON(routes, routed),
		T(no_route),
		ON(static_neighbours, routed),
		T(unreachable4),
		T(unreachable6),
		T(errors_limited),
		T(options6),
		T(conflicts),
		T(no_station),
		T(mapped),
		T(adverts),
		T(doubted),
		cmocka_unit_test_setup_teardown(probes, setup_fresh, teardown),
		T(link_flaps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
