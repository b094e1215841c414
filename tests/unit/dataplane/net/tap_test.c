// SPDX-License-Identifier: BSD-3-Clause
/*
 * The exception path: what goes to the kernel, what stays, what both see; limits and their counters;
 * urgent before other; frames of the kernel before those of proxies, none lost.
 */
#include "tests/harness/net_env.h"

#include "dataplane/net/tap.h"

static bool tcp_none; // tcp has neither connection nor listener
static uint16_t tcp_at; // the worker that it runs on

static void
on_tcp_tap(struct lcore *lc, struct rte_mbuf **m, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		tcp_got++;
		lc->id = tcp_at;
		if (!tcp_none || !net_tap_segment(lc, m[i]))
			rte_pktmbuf_free(m[i]);
		lc->id = 0;
	}
}

static int
setup_tap(void **state)
{
	const struct test_port *port = *state != NULL ? *state : &default_port;

	assert_int_equal(test_eal_start(), 0);
	wire = wire_new(0, 512);
	assert_non_null(wire);
	assert_int_equal(test_host_new(&host, "a", port, 1, 1, 1023, on_tcp_tap, on_icmp), 0);
	host.ports.nworkers = 2;
	assert_int_equal(net_tap_add(host.net, 0, 20000), 0);
	now = host.now_us;
	tcp_got = icmp_got = 0;
	tcp_none = false;
	tcp_at = 0;
	run_ms(3000);
	while (wire_recv(wire, 'b', 0, out, sizeof(out)) > 0)
		;
	return 0;
}

/* Length of the frame that the kernel gets next, in `got`. */
static uint8_t got[2048];
static uint32_t
kernel(void)
{
	uint32_t len = 0;
	const void *f = net_tap_peek(host.net, 0, &len);

	if (f == NULL)
		return 0;
	memcpy(got, f, len);
	net_tap_pop(host.net, 0);
	return len;
}

/* The kernel gets the frame as it is, and nobody answers; or it does not get it. */
#define KERNELS(f, n)                                       \
	do {                                                \
		uint32_t n_ = (n);                          \
		assert_int_equal(ask(f, n_), 0);            \
		assert_int_equal(kernel(), n_);             \
		assert_memory_equal(got, f, n_);            \
		assert_int_equal(kernel(), 0);              \
	} while (0)
#define OURS(f, n)                                \
	do {                                      \
		ask(f, n);                        \
		assert_int_equal(kernel(), 0);    \
	} while (0)

static void
set_dst4(uint8_t *f, uint8_t last)
{
	f[33] = last;
	put16(f + 24, 0);
	put16(f + 24, naive_sum(f + 14, 20, 0));
}

static uint32_t
tcp4(uint8_t *f, uint16_t sport, uint16_t dport)
{
	uint32_t n;
	uint32_t sum = 6 + 20;

	memset(f + 34, 0, 20);
	put16(f + 34, sport);
	put16(f + 36, dport);
	f[46] = 0x50;
	f[47] = 2; // SYN
	n = ip4(f, 6, 20);
	for (int i = 26; i < 34; i += 2)
		sum += (uint32_t)(f[i] << 8 | f[i + 1]);
	put16(f + 50, naive_sum(f + 34, 20, sum));
	return n;
}

static uint32_t
udp(uint8_t *f, uint16_t dport, uint32_t data)
{
	memset(f + 34, 0, 8 + data);
	put16(f + 34, 5353);
	put16(f + 36, dport);
	put16(f + 38, (uint16_t)(8 + data));
	return ip4(f, 17, 8 + data);
}

static void
other_addresses(void **state)
{
	uint8_t f[256];
	uint32_t n;

	(void)state;
	n = echo4(f, 56);
	set_dst4(f, 3);
	KERNELS(f, n);
	n = tcp4(f, 1000, 22);
	set_dst4(f, 3);
	KERNELS(f, n);
	set_dst4(f, 255); // the whole network
	memset(f, 0xff, 6);
	KERNELS(f, n);
	n = ip6_to(f, 58, 8, "fd00::2", "fd00::3");
	memset(f + 54, 0, 8);
	f[54] = 128;
	icmp6_sum(f, 8);
	KERNELS(f, n);
	assert_int_equal(all_drops(), 0);
	assert_int_equal(tcp_got, 0);
	assert_int_equal(counter_get(&host.lc[0]->stat[STAT_KERNEL_IN]), 4);
}

static void
other_frames(void **state)
{
	static const uint8_t vrrp[6] = { 1, 0, 0x5e, 0, 0, 18 };
	uint8_t f[256];
	uint32_t n;

	(void)state;
	memset(f, 0, sizeof(f));
	eth(f, our_mac(), 0x88cc);
	KERNELS(f, 60);
	memset(f + 34, 0, 20);
	n = ip4(f, 112, 20);
	memcpy(f, vrrp, 6);
	KERNELS(f, n);
	// another VLAN
	n = echo4(f, 8);
	memmove(f + 16, f + 12, n - 12);
	put16(f + 12, 0x8100);
	put16(f + 14, 7);
	KERNELS(f, n + 4);
	// unicast for another host, and what we sent ourselves
	n = echo4(f, 8);
	f[5] ^= 1;
	OURS(f, n);
	n = ip4(f, 112, 20);
	memcpy(f, vrrp, 6);
	memcpy(f + 6, our_mac(), 6);
	OURS(f, n);
	assert_int_equal(drops(DROP_ETH_NOT_OURS), 2);
}

/* An address that the kernel does not have: all that comes to it is ours, as without a TAP. */
static void
ours_alone(void **state)
{
	uint8_t f[256];

	(void)state;
	assert_int_equal(ask(f, echo4(f, 56)), 98);
	assert_int_equal(kernel(), 0);
	assert_int_equal(ask(f, udp(f, 53, 8)), 14 + 20 + 8 + 36);
	assert_int_equal(kernel(), 0);
	assert_int_equal(drops(DROP_UDP_NO_PORT), 1);
	tcp_none = true;
	OURS(f, tcp4(f, 1000, 22));
	OURS(f, ip4(f, 89, 24));
	assert_int_equal(drops(DROP_IP_PROTO), 1);
}

static void
shared(void **state)
{
	uint8_t f[256];

	(void)state;
	net_tap_share(host.net, 0, 1);
	assert_int_equal(ask(f, echo4(f, 56)), 98); // echo is answered here
	assert_int_equal(kernel(), 0);
	KERNELS(f, udp(f, 53, 8));
	KERNELS(f, ip4(f, 89, 24));
	OURS(f, tcp4(f, 1000, 80)); // tcp has a listener
	assert_int_equal(tcp_got, 1);
	tcp_none = true;
	KERNELS(f, tcp4(f, 1000, 22));
	tcp_at = 1; // has no queue of the port: the segment was another worker's
	KERNELS(f, tcp4(f, 1000, 22));
	tcp_at = 0;
	// the reply to a ping of the kernel
	echo4(f, 8);
	f[34] = 0;
	put16(f + 36, 0);
	put16(f + 36, naive_sum(f + 34, 16, 0));
	KERNELS(f, 50);
	// the other address is not shared
	assert_int_equal(ask(f, ip6_to(f, 89, 8, "fd00::2", "fd00::1")), 14 + 40 + 8 + 48);
	assert_int_equal(kernel(), 0);
	// a broken packet is nobody's
	ip4(f, 89, 24);
	f[24] ^= 1;
	OURS(f, 58);
	assert_int_equal(drops(DROP_IP_CSUM), 1);
}

static void
neighbours(void **state)
{
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 },
			     kern[4] = { 10, 0, 0, 3 };
	struct net_neigh_view v[8];
	struct net_flow fl = flow_to("10.0.0.2");
	uint8_t f[256];
	uint32_t n;

	(void)state;
	// who asks for ours is answered here alone
	assert_int_equal(ask(f, arp(f, 1, them, us)), 42);
	assert_int_equal(kernel(), 0);
	// who asks for the kernel's is answered there
	KERNELS(f, arp(f, 1, them, kern));
	// both learn from a reply, whoever asked
	net_output(host.lc[0], &fl, segment(1), 0);
	assert_int_equal(ask(f, arp(f, 2, them, us)), 14 + 20 + 21); // what waited
	assert_int_equal(kernel(), 42);
	KERNELS(f, arp(f, 2, them, kern));
	n = net_neigh_dump(host.net, v, 8);
	assert_int_equal(n, 1);
	assert_memory_equal(v[0].mac.addr_bytes, peer_mac, 6);
	// solicitations for ours, and for the kernel's
	n = ip6_to(f, 58, 24, "fd00::2", "fd00::1");
	memset(f + 54, 0, 24);
	f[54] = 135;
	memcpy(f + 62, f + 38, 16);
	icmp6_sum(f, 24);
	assert_int_equal(ask(f, n), 86);
	assert_int_equal(kernel(), 0);
	ip6_to(f, 58, 24, "fd00::2", "ff02::1:ff00:3");
	memcpy(f, (uint8_t[]){ 0x33, 0x33, 0xff, 0, 0, 3 }, 6);
	f[77] = 3;
	icmp6_sum(f, 24);
	KERNELS(f, n);
	// an advertisement is for both
	ip6_to(f, 58, 24, "fd00::2", "fd00::1");
	f[54] = 136;
	f[77] = 2;
	icmp6_sum(f, 24);
	KERNELS(f, n);
}

/* An error about a segment of an address that both have may be about either's. */
static void
errors(void **state)
{
	uint8_t f[256], q[64];
	uint32_t n;

	(void)state;
	tcp4(f, 80, 1000);
	memcpy(q, f + 14, 40);
	memcpy(q + 12, (uint8_t[]){ 10, 0, 0, 1, 10, 0, 0, 2 }, 8);
	memset(f + 34, 0, 8);
	f[34] = 3;
	f[35] = 3;
	memcpy(f + 42, q, 40);
	put16(f + 36, naive_sum(f + 34, 48, 0));
	n = ip4(f, 1, 48);
	OURS(f, n);
	assert_int_equal(icmp_got, 1);
	net_tap_share(host.net, 0, 1);
	KERNELS(f, n);
	assert_int_equal(icmp_got, 2);
	// of what tcp does not know, and of UDP: the kernel's, and nobody lost it
	icmp_stale = true;
	KERNELS(f, n);
	assert_int_equal(icmp_got, 3);
	f[42 + 9] = 17;
	put16(f + 36, 0);
	put16(f + 36, naive_sum(f + 34, 48, 0));
	KERNELS(f, n);
	assert_int_equal(icmp_got, 3);
	assert_int_equal(counter_get(&host.lc[0]->stat[STAT_ICMP_ERR_IN]), 2);
	assert_int_equal(all_drops(), 0);
	// without the kernel it is
	net_tap_share(host.net, 0, 0);
	OURS(f, n);
	assert_int_equal(drops(DROP_ICMP_BAD), 1);
	f[42 + 9] = 6;
	put16(f + 36, 0);
	put16(f + 36, naive_sum(f + 34, 48, 0));
	OURS(f, n);
	icmp_stale = false;
	assert_int_equal(drops(DROP_ICMP_STALE), 1);
}

/* A flood of what nobody needs neither holds up BGP nor is it counted as something else. */
static void
limits(void **state)
{
	uint8_t f[256];
	uint32_t n = udp(f, 7777, 8), frames = 0, junk = 0;

	(void)state;
	set_dst4(f, 3);
	run_ms(100); // full buckets
	for (uint32_t i = 0; i < 600; i++)
		assert_int_equal(wire_send(wire, 'b', 0, f, n), i < 512 ? 0 : -EAGAIN);
	while (test_host_poll(&host, now) > 0) // at one moment
		;
	// 256 places, 256 tokens
	assert_int_equal(drops(DROP_KERNEL_FULL) + drops(DROP_KERNEL_RATE), 256);
	n = tcp4(f, 179, 1000);
	set_dst4(f, 3);
	assert_int_equal(wire_send(wire, 'b', 0, f, n), 0);
	test_host_poll(&host, now);
	assert_int_equal(kernel(), n);
	assert_memory_equal(got, f, n); // before all that waits
	while (kernel() > 0)
		junk++;
	assert_int_equal(junk, 256);
	// by time: 10000 a second are 100 in 10 ms
	n = udp(f, 7777, 8);
	set_dst4(f, 3);
	assert_true(drops(DROP_KERNEL_RATE) > 0);
	for (uint32_t ms = 0; ms < 100; ms += 10) {
		for (uint32_t i = 0; i < 300; i++)
			assert_int_equal(wire_send(wire, 'b', 0, f, n), 0);
		now += STEP_US;
		while (test_host_poll(&host, now) > 0)
			;
		while (kernel() > 0)
			frames++;
	}
	assert_in_range(frames, 900, 1100);
}

/* The ring is full although the bucket is not. */
static void
full(void **state)
{
	uint8_t f[256];
	uint32_t n = tcp4(f, 179, 1000);

	(void)state;
	set_dst4(f, 3);
	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < 64; i++)
			assert_int_equal(wire_send(wire, 'b', 0, f, n), 0);
		run_ms(100);
	}
	assert_int_equal(drops(DROP_KERNEL_FULL), 128);
	assert_int_equal(drops(DROP_KERNEL_RATE), 0);
}

static void
out_of_the_kernel(void **state)
{
	uint8_t f[256], b[2048];
	struct net_flow fl = flow_to("10.0.0.2");
	static const uint8_t them[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 };
	uint32_t pushed = 0, first = 0;

	(void)state;
	ask(f, arp(f, 1, them, us)); // the neighbour is known
	while (wire_recv(wire, 'b', 0, b, sizeof(b)) > 0)
		;
	assert_int_equal(net_tap_worker(host.net, 0), 0);
	for (void *p; (p = net_tap_room(host.net, 0)) != NULL; pushed++) {
		memset(p, 0, 60);
		eth(p, peer_mac, 0x88b5);
		put16((uint8_t *)p + 20, (uint16_t)pushed);
		net_tap_push(host.net, 0, 60);
	}
	assert_int_equal(pushed, 256); // then the TAP is not read
	assert_true(net_pending(host.lc[0]) > 0); // no nap
	for (uint32_t i = 0; i < 40; i++)
		net_output(host.lc[0], &fl, segment(100), 0);
	test_host_poll(&host, now += STEP_US);
	while (wire_recv(wire, 'b', 0, b, sizeof(b)) > 0 && b[12] == 0x88 && b[13] == 0xb5)
		first++;
	assert_in_range(first, 32, 256); // ahead of all segments
	run_ms(200);
	assert_int_equal(counter_get(&host.lc[0]->stat[STAT_KERNEL_OUT]), pushed);
	assert_int_equal(net_pending(host.lc[0]), 0);
	while (wire_recv(wire, 'b', 0, b, sizeof(b)) > 0)
		;
	assert_int_equal(all_drops(), 0);
}

static void
link_down(void **state)
{
	void *p = net_tap_room(host.net, 0);

	(void)state;
	memset(p, 0, 60);
	net_tap_push(host.net, 0, 60);
	atomic_store(&host.ports.port[0].link_up, false);
	run_ms(10);
	assert_int_equal(drops(DROP_TX_LINK_DOWN), 1);
	assert_int_equal(net_pending(host.lc[0]), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup_tap, teardown)
	const struct CMUnitTest tests[] = {
		T(other_addresses),
		T(other_frames),
		T(ours_alone),
		T(shared),
		T(neighbours),
		T(errors),
		T(limits),
		T(full),
		T(out_of_the_kernel),
		T(link_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
