// SPDX-License-Identifier: BSD-3-Clause
/*
 * net as a whole against a generator at the other end of a wire: the test writes frames byte by byte
 * and reads what comes back, in virtual time.
 */
#include "dataplane/net/csum.h"
#include "tests/harness/net_env.h"

static void
ping4(void **state)
{
	uint8_t f[256];
	uint32_t n = echo4(f, 56);

	(void)state;
	assert_int_equal(ask(f, n), n);
	assert_memory_equal(out, peer_mac, 6);
	assert_memory_equal(out + 6, our_mac(), 6);
	assert_memory_equal(out + 26, f + 30, 4);
	assert_memory_equal(out + 30, f + 26, 4);
	assert_int_equal(naive_sum(out + 14, 20, 0), 0);
	assert_int_equal(out[34], 0);
	assert_int_equal(naive_sum(out + 34, 64, 0), 0);
	assert_memory_equal(out + 38, f + 38, 60);
	// padding of short frames is no part of the packet
	n = echo4(f, 0);
	memset(f + n, 0xee, 18);
	assert_int_equal(ask(f, 60), n);
}

static void
ping6(void **state)
{
	uint8_t f[256];
	uint32_t n = echo6(f, 57), sum = 58 + 65;

	(void)state;
	assert_int_equal(ask(f, n), n);
	assert_memory_equal(out + 22, f + 38, 16);
	assert_memory_equal(out + 38, f + 22, 16);
	assert_int_equal(out[54], 129);
	for (int i = 22; i < 54; i += 2)
		sum += (uint32_t)(out[i] << 8 | out[i + 1]);
	assert_int_equal(naive_sum(out + 54, 65, sum), 0);
	// to the address that every port has
	n = ip6_to(f, 58, 8, "fe80::9", "fe80::53:4cff:fe00:61");
	f[54] = 128;
	icmp6_sum(f, 8);
	assert_int_equal(ask(f, n), n);
}

static void
ping_limited(void **state)
{
	uint8_t f[256];
	uint32_t n = echo4(f, 0), got = 0;

	(void)state;
	run_ms(50);
	// without time passing, only the burst is answered
	for (int i = 0; i < 300; i++) {
		assert_int_equal(wire_send(wire, 'b', 0, f, n), 0);
		test_host_poll(&host, now);
		while (wire_recv(wire, 'b', 0, out, sizeof(out)) > 0)
			got += out[23] == 1;
	}
	assert_int_equal(got, 200);
	assert_int_equal(drops(DROP_ICMP_RATE), 100);
}

struct bad {
	int line;
	uint32_t at;
	uint8_t value;
	bool fix_sum; // of the IPv4 header, afterwards
	enum drop why;
};

static const struct bad bad4[] = {
	{ __LINE__, 0, 0x06, false, DROP_ETH_NOT_OURS }, // other MAC
	{ __LINE__, 6, 0x03, false, DROP_ETH_NOT_OURS }, // from a group
	{ __LINE__, 12, 0x88, false, DROP_ETH_TYPE },
	{ __LINE__, 14, 0x55, true, DROP_IP_HEADER }, // version 5
	{ __LINE__, 14, 0x44, true, DROP_IP_HEADER }, // 16 bytes
	{ __LINE__, 14, 0x4f, true, DROP_IP_CSUM },   // options that are no header
	{ __LINE__, 17, 0x13, true, DROP_IP_LENGTH }, // 19 bytes
	{ __LINE__, 16, 0x02, true, DROP_IP_LENGTH }, // beyond the frame
	{ __LINE__, 24, 0x00, false, DROP_IP_CSUM },
	{ __LINE__, 20, 0x20, true, DROP_IP_FRAGMENT }, // more fragments
	{ __LINE__, 21, 0x01, true, DROP_IP_FRAGMENT }, // offset
	{ __LINE__, 23, 17, true, DROP_UDP_BAD },
	{ __LINE__, 26, 0, true, DROP_IP_SOURCE },
	{ __LINE__, 26, 127, true, DROP_IP_SOURCE },
	{ __LINE__, 26, 224, true, DROP_IP_SOURCE },
	{ __LINE__, 29, 255, true, DROP_IP_SOURCE }, // broadcast of the network
	{ __LINE__, 29, 0, true, DROP_IP_SOURCE },
	{ __LINE__, 29, 1, true, DROP_IP_SOURCE }, // our own
	{ __LINE__, 33, 7, true, DROP_IP_NOT_OURS },
	{ __LINE__, 33, 255, true, DROP_IP_NOT_OURS },
	{ __LINE__, 34, 13, false, DROP_ICMP_BAD }, // checksum
	{ __LINE__, 60, 1, false, DROP_ICMP_BAD },
};

static void
refused4(void **state)
{
	uint8_t f[256];

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(bad4); i++) {
		const struct bad *b = &bad4[i];
		uint32_t n = echo4(f, 32);
		uint64_t before = drops(b->why), all = all_drops();

		f[b->at] = b->value;
		if (b->fix_sum && (f[14] & 15) == 5) {
			put16(f + 24, 0);
			put16(f + 24, naive_sum(f + 14, 20, 0));
		}
		if (ask(f, n) != 0 || drops(b->why) != before + 1 || all_drops() != all + 1)
			fail_msg("row of line %d: not dropped as %s", b->line,
				drop_desc[b->why].name);
	}
}

struct opts {
	int line;
	uint8_t o[8];
	bool ok;
};

static const struct opts opts4[] = {
	{ __LINE__, { 1, 1, 1, 0, 9, 9, 9, 9 }, true },
	{ __LINE__, { 148, 4, 0, 0, 1, 1, 1, 1 }, true },  // router alert
	{ __LINE__, { 131, 7, 4, 1, 2, 3, 4, 0 }, false }, // source route
	{ __LINE__, { 137, 7, 4, 1, 2, 3, 4, 0 }, false },
	{ __LINE__, { 7, 1, 0, 0, 0, 0, 0, 0 }, false }, // length below its own header
	{ __LINE__, { 7, 9, 0, 0, 0, 0, 0, 0 }, false }, // beyond the end
	{ __LINE__, { 1, 1, 1, 1, 1, 1, 1, 7 }, false }, // no length at all
};

static void
options4(void **state)
{
	uint8_t f[256];

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(opts4); i++) {
		uint32_t n = echo4(f, 8);

		memmove(f + 42, f + 34, n - 34);
		memcpy(f + 34, opts4[i].o, 8);
		f[14] = 0x47;
		put16(f + 16, (uint16_t)(n + 8 - 14));
		put16(f + 24, 0);
		put16(f + 24, naive_sum(f + 14, 28, 0));
		if ((ask(f, n + 8) == (int)n) != opts4[i].ok)
			fail_msg("row of line %d", opts4[i].line);
	}
	assert_int_equal(drops(DROP_IP_HEADER), 5);
}

/* Every prefix of valid frames: dropped, counted, nothing read beyond (ASan looks). */
static void
truncated(void **state)
{
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 };
	uint8_t f[4][256];
	uint32_t n[4] = { echo4(f[0], 16), echo6(f[1], 16), arp(f[2], 1, them, us), 0 };

	(void)state;
	n[3] = ip6_to(f[3], 58, 24, "fd00::2", "fd00::1");
	memset(f[3] + 54, 0, 24);
	f[3][54] = 135;
	memcpy(f[3] + 62, f[3] + 38, 16);
	icmp6_sum(f[3], 24);
	for (int k = 0; k < 4; k++) {
		assert_int_not_equal(ask(f[k], n[k]), 0);
		for (uint32_t len = 0; len < n[k]; len++) {
			uint64_t all = all_drops();
			if (ask(f[k], len) != 0 || all_drops() != all + 1)
				fail_msg("frame %d cut to %u bytes", k, len);
		}
	}
}

struct ext {
	int line;
	uint8_t first;
	uint8_t h[24];
	uint32_t len;
	enum drop why; // DROP_NR: answered
};

static const struct ext exts[] = {
	{ __LINE__, 0, { 58, 0, 1, 4 }, 8, DROP_NR },  // hop by hop
	{ __LINE__, 60, { 58, 0, 1, 4 }, 8, DROP_NR }, // destination options
	{ __LINE__, 0, { 60, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4 }, 16, DROP_NR },
	{ __LINE__, 60, { 0, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4 }, 16, DROP_IP6_EXT }, // not first
	{ __LINE__, 43, { 58, 0, 4, 0 }, 8, DROP_NR },             // routing, at its end
	{ __LINE__, 43, { 58, 0, 4, 1 }, 8, DROP_IP6_EXT },        // routing, to go on
	{ __LINE__, 44, { 58, 0, 0, 0, 1, 2, 3, 4 }, 8, DROP_NR }, // whole (RFC 6946)
	{ __LINE__, 44, { 58, 0, 0, 1 }, 8, DROP_IP_FRAGMENT },
	{ __LINE__, 44, { 58, 0, 1, 0 }, 8, DROP_IP_FRAGMENT },
	{ __LINE__, 59, { 0 }, 8, DROP_IP6_EXT },
	{ __LINE__, 60, { 58, 9 }, 8, DROP_IP6_EXT }, // beyond the packet
};

static void
extensions(void **state)
{
	uint8_t f[256], g[256];

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(exts); i++) {
		const struct ext *e = &exts[i];
		uint32_t n = echo6(g, 8);

		memcpy(f, g, 54);
		memcpy(f + 54, e->h, e->len);
		memcpy(f + 54 + e->len, g + 54, n - 54);
		f[20] = e->first;
		put16(f + 18, (uint16_t)(16 + e->len));
		uint64_t before = e->why == DROP_NR ? 0 : drops(e->why);
		int rc = ask(f, n + e->len);
		if (e->why == DROP_NR ? rc != (int)n
				      : (rc != 0 && out[54] == 129) || drops(e->why) != before + 1)
			fail_msg("row of line %d", e->line);
	}
}

static void
arp_answers(void **state)
{
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 },
			     other[4] = { 10, 0, 0, 77 };
	struct net_neigh_view v[8];
	uint8_t f[64];

	(void)state;
	assert_int_equal(ask(f, arp(f, 1, them, us)), 42);
	assert_int_equal(out[21], 2);
	assert_memory_equal(out + 22, our_mac(), 6);
	assert_memory_equal(out + 28, us, 4);
	assert_memory_equal(out + 32, peer_mac, 6);
	assert_memory_equal(out + 38, them, 4);
	assert_int_equal(net_neigh_dump(host.net, v, 8), 1);
	assert_memory_equal(v[0].mac.addr_bytes, peer_mac, 6);
	assert_memory_equal(v[0].ip.b, them, 4);
	// not for us: neither answered nor learnt
	assert_int_equal(ask(f, arp(f, 1, other, them)), 0);
	// replies that nobody asked for are not learnt
	assert_int_equal(ask(f, arp(f, 2, other, us)), 0);
	assert_int_equal(net_neigh_dump(host.net, v, 8), 1);
	// a sender with our address is told off, but once
	assert_int_equal(ask(f, arp(f, 1, us, us)), 42);
	assert_memory_equal(out + 28, us, 4);
	assert_int_equal(ask(f, arp(f, 1, us, us)), 0);
	assert_int_equal(drops(DROP_ADDR_CONFLICT), 2);
	// malformed: hardware, protocol, lengths, operation, sender
	for (uint32_t at = 15; at <= 22; at++) {
		uint64_t before = drops(DROP_ARP_BAD);
		if (at == 20)
			continue;
		arp(f, 1, them, us);
		f[at] ^= 0x11;
		assert_int_equal(ask(f, 42), 0);
		assert_int_equal(drops(DROP_ARP_BAD), before + 1);
	}
}

static void
announces(void **state)
{
	uint32_t arps = 0, nas = 0;

	(void)state;
	for (int i = 0; i < 500; i++) {
		test_host_poll(&host, now += STEP_US);
		while (wire_recv(wire, 'b', 0, out, sizeof(out)) > 0) {
			arps += out[12] == 8 && out[13] == 6;
			nas += out[12] == 0x86 && out[54] == 136;
		}
	}
	assert_int_equal(arps, 2);
	assert_int_equal(nas, 2);
}

static void
nd_answers(void **state)
{
	struct net_neigh_view v[8];
	uint8_t f[128];
	uint32_t n;

	(void)state;
	run_ms(50);
	n = ip6_to(f, 58, 32, "fd00::2", "ff02::1:ff00:1");
	f[0] = f[1] = 0x33;
	memset(f + 54, 0, 32);
	f[54] = 135;
	f[62] = 0xfd;
	f[77] = 1;
	f[78] = f[79] = 1;
	memcpy(f + 80, peer_mac, 6);
	icmp6_sum(f, 32);
	assert_int_equal(ask(f, n), 86);
	assert_int_equal(out[54], 136);
	assert_int_equal(out[58], 0x60);
	assert_int_equal(out[21], 255);
	assert_memory_equal(out + 80, our_mac(), 6);
	assert_int_equal(net_neigh_dump(host.net, v, 8), 1);
	// hop limit, code, option of length 0, group as target
	static const uint8_t at[] = { 21, 55, 79, 62 }, val[] = { 254, 1, 0, 0xff };
	for (int i = 0; i < 4; i++) {
		uint8_t g[128];
		memcpy(g, f, n);
		g[at[i]] = val[i];
		icmp6_sum(g, 32);
		assert_int_equal(ask(g, n), 0);
		assert_int_equal(drops(DROP_ND_BAD), i + 1);
	}
	// checksum
	f[70] ^= 1;
	assert_int_equal(ask(f, n), 0);
	assert_int_equal(drops(DROP_ICMP_BAD), 1);
}

static void
resolve_with_loss(void **state)
{
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 };
	struct net_flow fl = flow_to("10.0.0.2");
	uint8_t f[64];

	(void)state;
	// more than may wait: the oldest go
	for (int i = 0; i < 10; i++)
		net_output(host.lc[0], &fl, segment(100), 0);
	assert_int_equal(drops(DROP_NEIGH_QUEUE), 2);
	test_host_poll(&host, now += STEP_US);
	assert_int_equal(count_out(0x0806), 1); // one request, lost
	assert_memory_equal(out + 38, them, 4);
	run_ms(1500);
	assert_int_equal(count_out(0x0806), 1); // and one more
	assert_int_equal(wire_send(wire, 'b', 0, f, arp(f, 2, them, us)), 0);
	test_host_poll(&host, now += STEP_US);
	assert_int_equal(count_out(0x0800), 8);
	assert_memory_equal(out, peer_mac, 6);
	assert_int_equal(naive_sum(out + 14, 20, 0), 0);
	// the flow now knows its neighbour
	net_output(host.lc[0], &fl, segment(101), 0x10);
	assert_true(fl.neigh != NET_NEIGH_NONE);
	test_host_poll(&host, now += STEP_US);
	assert_int_equal(count_out(0x0800), 1);
	assert_int_equal(out[15], 0x10);
	uint32_t sum = 6 + 121;
	for (int i = 26; i < 34; i += 2)
		sum += (uint32_t)(out[i] << 8 | out[i + 1]);
	assert_int_equal(naive_sum(out + 34, 121, sum), 0);
	assert_int_equal(drops(DROP_NEIGH_QUEUE), 2);
	// in use for long: confirmed by a request to its own MAC, whose answer is lost
	for (int i = 0; i < 400; i++) {
		net_output(host.lc[0], &fl, segment(1), 0);
		run_ms(100);
		while (wire_recv(wire, 'b', 0, out, sizeof(out)) > 0) {
			if (out[12] == 8 && out[13] == 6) {
				assert_memory_equal(out, peer_mac, 6);
				return;
			}
		}
	}
	fail_msg("never probed");
}

/* What the frame's TCP checksum is off by. */
static uint16_t
checksum_off(struct rte_mbuf *m)
{
	struct net_flow fl = flow_to("10.0.0.2");
	uint32_t len = m->data_len, sum = 6 + len;

	net_output(host.lc[0], &fl, m, 0);
	test_host_poll(&host, now += STEP_US);
	assert_int_equal(count_out(0x0800), 1);
	for (int i = 26; i < 34; i += 2)
		sum += (uint32_t)(out[i] << 8 | out[i + 1]);
	return naive_sum(out + 34, len, sum);
}

/* A sum that is known is used, of exactly these bytes, until somebody says that they changed. */
static void
known_sums(void **state)
{
	static const struct {
		int off, len, sum; // what the note says more than is true
		bool changed, used;
	} rows[] = {
		{ 0, 0, 0, false, true },
		{ 0, 0, 1, false, true },
		{ 0, 0, 1, true, false },
		{ 2, 0, 1, false, false },
		{ 0, -2, 1, false, false },
		{ 0, 2, 1, false, false },
	};
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 };
	uint8_t f[64];

	(void)state;
	ask(f, arp(f, 1, them, us)); // so that it is known
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct rte_mbuf *m = segment(500);
		struct pkt *pk = pkt_of(m);
		bool off;

		assert_int_equal(pk->sum_len, 0); // also where the buffer had a note before
		pk->sum = csum_fold(csum_add(rte_pktmbuf_mtod(m, void *), m->data_len, 0));
		pk->sum = (uint16_t)(pk->sum + rows[i].sum);
		pk->sum_off = (uint16_t)(m->data_off + rows[i].off);
		pk->sum_len = (uint16_t)(m->data_len + rows[i].len);
		if (rows[i].changed)
			pkt_changed(m);
		off = checksum_off(m) != 0;
		if (off != (rows[i].used && rows[i].sum != 0))
			fail_msg("row %zu", i);
	}
}

static void
dead_neighbour(void **state)
{
	struct net_flow fl = flow_to("192.0.2.1"); // by the gateway

	(void)state;
	net_output(host.lc[0], &fl, segment(100), 0);
	run_ms(4000);
	assert_int_equal(count_out(0x0806), 3);
	static const uint8_t gw[4] = { 10, 0, 0, 254 };
	assert_memory_equal(out + 38, gw, 4);
	assert_int_equal(drops(DROP_NEIGH_DEAD), 1);
	assert_int_equal(icmp_got, 1);
	assert_int_equal(icmp_last.kind, NET_ICMP_UNREACH);
	assert_int_equal(icmp_last.lport, 1000);
	assert_int_equal(icmp_last.rport, 80);
	assert_int_equal(drops(DROP_ICMP_BAD) + drops(DROP_ICMP_STALE), 0); // it is no message
	// refused at once for a moment, then asked again
	run_ms(10);
	net_output(host.lc[0], &fl, segment(100), 0);
	run_ms(2000);
	net_output(host.lc[0], &fl, segment(100), 0);
	run_ms(10);
	assert_in_range(count_out(0x0806), 1, 3);
	run_ms(4000);
}

/* Many senders: the table stays bounded and who is in use stays. */
static void
neighbour_bounds(void **state)
{
	static const uint8_t us[4] = { 10, 0, 0, 1 };
	static struct net_neigh_view v[2048];
	struct net_flow fl = flow_to("10.0.0.2");
	uint8_t f[64], them[4] = { 10, 0, 0, 2 };
	uint32_t used = 0, n;

	(void)state;
	for (int i = 0; i < 40; i++) {
		assert_int_equal(wire_send(wire, 'b', 0, f, arp(f, 1, them, us)), 0);
		test_host_poll(&host, now += STEP_US);
	}
	net_output(host.lc[0], &fl, segment(1), 0);
	for (uint32_t i = 3; i < 254; i++) {
		them[3] = (uint8_t)i;
		ask(f, arp(f, 1, them, us));
		net_output(host.lc[0], &fl, segment(1), 0);
	}
	for (uint32_t i = 0; i < 3000; i++) {
		uint8_t g[128];
		uint32_t len = ip6_to(g, 58, 32, "fd00::2", "ff02::1:ff00:1");
		put16(g + 36, (uint16_t)(i + 10));
		g[0] = g[1] = 0x33;
		memset(g + 54, 0, 32);
		g[54] = 135;
		g[62] = 0xfd;
		g[77] = 1;
		g[78] = g[79] = 1;
		memcpy(g + 80, peer_mac, 6);
		icmp6_sum(g, 32);
		ask(g, len);
		if (i % 50 == 0)
			net_output(host.lc[0], &fl, segment(1), 0);
	}
	n = net_neigh_dump(host.net, v, 2048);
	assert_in_range(n, 900, 1024);
	for (uint32_t i = 0; i < n; i++)
		used += v[i].ip.family == ADDR_V4 && v[i].ip.b[3] == 2;
	assert_int_equal(used, 1);
	test_host_poll(&host, now += STEP_US);
}

static void
tcp_up(void **state)
{
	uint8_t f[256];
	uint32_t n;

	(void)state;
	memset(f + 34, 0, 60);
	put16(f + 34, 40000);
	put16(f + 36, 80);
	f[46] = 0x50;
	n = ip4(f, 6, 27);
	uint32_t sum = 6 + 27;
	for (int i = 26; i < 34; i += 2)
		sum += (uint32_t)(f[i] << 8 | f[i + 1]);
	put16(f + 50, naive_sum(f + 34, 27, sum));
	ask(f, n);
	assert_int_equal(tcp_got, 1);
	assert_int_equal(tcp_len, 27);
	f[60] ^= 0x80;
	ask(f, n);
	assert_int_equal(tcp_got, 1);
	assert_int_equal(drops(DROP_TCP_CSUM), 1);
	ask(f, ip4(f, 6, 19));
	assert_int_equal(drops(DROP_TCP_SHORT), 1);
}

static void
icmp_errors(void **state)
{
	static const struct {
		int line;
		uint8_t type, code;
		uint16_t mtu, quoted; // quoted: total length, for old routers
		uint8_t kind;
		uint16_t want;
	} rows[] = {
		{ __LINE__, 3, 0, 0, 0, NET_ICMP_UNREACH, 0 },
		{ __LINE__, 3, 1, 0, 0, NET_ICMP_UNREACH, 0 },
		{ __LINE__, 3, 3, 0, 0, NET_ICMP_REFUSED, 0 },
		{ __LINE__, 3, 4, 1400, 1500, NET_ICMP_TOO_BIG, 1400 },
		{ __LINE__, 3, 4, 0, 1500, NET_ICMP_TOO_BIG, 1492 },
		{ __LINE__, 3, 4, 0, 1280, NET_ICMP_TOO_BIG, 1006 },
	};
	static const uint8_t quote[8] = { 10, 0, 0, 1, 10, 0, 0, 2 };
	uint8_t f[256];

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		uint32_t before = icmp_got;

		memset(f + 34, 0, 64);
		f[34] = rows[i].type;
		f[35] = rows[i].code;
		put16(f + 40, rows[i].mtu);
		f[42] = 0x45;
		put16(f + 44, rows[i].quoted);
		f[51] = 6;
		memcpy(f + 54, quote, 8);
		put16(f + 62, 1000);
		put16(f + 64, 80);
		f[66] = 0x12;
		put16(f + 36, naive_sum(f + 34, 36, 0));
		ask(f, ip4(f, 1, 36));
		if (icmp_got != before + 1 || icmp_last.kind != rows[i].kind ||
			icmp_last.mtu != rows[i].want)
			fail_msg("row of line %d: %u %u %u", rows[i].line, icmp_got, icmp_last.kind,
				icmp_last.mtu);
		assert_int_equal(icmp_last.seq, 0x12000000);
		assert_int_equal(icmp_last.laddr.b[3], 1);
		// one byte less than eight of TCP
		put16(f + 36, 0);
		put16(f + 36, naive_sum(f + 34, 35, 0));
		ask(f, ip4(f, 1, 35));
		assert_int_equal(icmp_got, before + 1);
	}
	assert_int_equal(drops(DROP_ICMP_BAD), SL_ARRAY_SIZE(rows));
	assert_int_equal(counter_get(&host.lc[0]->stat[STAT_ICMP_ERR_IN]), SL_ARRAY_SIZE(rows));
	assert_int_equal(drops(DROP_ICMP_STALE), 0);
	// of nothing that tcp knows
	icmp_stale = true;
	put16(f + 36, 0);
	put16(f + 36, naive_sum(f + 34, 36, 0));
	ask(f, ip4(f, 1, 36));
	icmp_stale = false;
	assert_int_equal(drops(DROP_ICMP_STALE), 1);
	assert_int_equal(counter_get(&host.lc[0]->stat[STAT_ICMP_ERR_IN]), SL_ARRAY_SIZE(rows));
}

/* RFC 8201 4: what says less than 1280 is discarded. */
static void
too_big6(void **state)
{
	static const struct {
		int line;
		uint32_t mtu;
		uint16_t want; // 0: dropped
	} rows[] = {
		{ __LINE__, 0, 0 },
		{ __LINE__, 68, 0 },
		{ __LINE__, 1279, 0 },
		{ __LINE__, 1280, 1280 },
		{ __LINE__, 1400, 1400 },
		{ __LINE__, 0x10500, 65535 },
	};
	uint8_t f[256];
	uint32_t dropped = 0;

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		uint32_t before = icmp_got, n = ip6_to(f, 58, 8 + 60, "fd00::2", "fd00::1");

		memset(f + 54, 0, 8 + 60);
		f[54] = 2;
		put16(f + 58, (uint16_t)(rows[i].mtu >> 16));
		put16(f + 60, (uint16_t)rows[i].mtu);
		f[62] = 0x60;
		f[68] = 6;
		memcpy(f + 70, f + 38, 16);
		memcpy(f + 86, f + 22, 16);
		icmp6_sum(f, 8 + 60);
		ask(f, n);
		dropped += rows[i].want == 0;
		if (icmp_got != before + (rows[i].want != 0) || drops(DROP_ICMP_MTU) != dropped ||
			(rows[i].want != 0 && icmp_last.mtu != rows[i].want))
			fail_msg("row of line %d: %u %u", rows[i].line, icmp_got - before,
				icmp_last.mtu);
	}
	assert_int_equal(drops(DROP_ICMP_BAD), 0);
}

static void
tx_full(void **state)
{
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 };
	struct net_flow fl = flow_to("10.0.0.2");
	uint8_t f[64];

	(void)state;
	ask(f, arp(f, 1, them, us));
	run_ms(20);
	count_out(0);
	// the wire holds 64: what it cannot take is lost there and counted there
	for (int i = 0; i < 100; i++)
		net_output(host.lc[0], &fl, segment(10), 0);
	assert_int_equal(net_pending(host.lc[0]), 100);
	uint64_t lost = wire_lost(wire, 'a');
	test_host_poll(&host, now += STEP_US);
	assert_int_equal(net_pending(host.lc[0]), 0);
	assert_int_equal(wire_lost(wire, 'a'), lost + 36);
	assert_int_equal(count_out(0x0800), 64);
}

static void
no_buffers(void **state)
{
	uint8_t f[256];
	uint32_t n = echo4(f, 8);
	static struct rte_mbuf *held[600];
	uint32_t k = 0;

	(void)state;
	run_ms(20);
	while (k < 600 && (held[k] = lcore_mbuf(host.lc[0])) != NULL)
		k++;
	assert_int_equal(k, 511);
	assert_int_equal(ask(f, n), 0); // waits on the wire
	while (k > 0)
		rte_pktmbuf_free(held[--k]);
	test_host_poll(&host, now += STEP_US);
	assert_int_equal(wire_recv(wire, 'b', 0, out, sizeof(out)), n);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(ping4),
		T(ping6),
		T(ping_limited),
		T(refused4),
		T(options4),
		T(truncated),
		T(extensions),
		T(arp_answers),
		cmocka_unit_test_setup_teardown(announces, setup_fresh, teardown),
		T(nd_answers),
		T(resolve_with_loss),
		T(known_sums),
		T(dead_neighbour),
		T(neighbour_bounds),
		T(tcp_up),
		T(icmp_errors),
		T(too_big6),
		T(tx_full),
		T(no_buffers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
