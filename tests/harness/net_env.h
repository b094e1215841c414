/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of net share: a host at one end of a wire, the test at the other, writing frames
 * byte by byte and reading what comes back, in virtual time. Included once by each test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/harness/eal.h"
#include "tests/harness/host.h"

#define STEP_US 10000

static struct wire *wire;
static struct test_host host;
static uint64_t now;
static uint32_t tcp_got, icmp_got;
static uint16_t tcp_len;
static struct net_icmp_error icmp_last;
static bool icmp_stale; // what is said of them
static uint8_t out[2048];

static const uint8_t peer_mac[6] = { 2, 0xaa, 0, 0, 0, 9 };

static sl_unused void
on_tcp(struct lcore *lc, struct rte_mbuf **m, uint16_t n)
{
	(void)lc;
	for (uint16_t i = 0; i < n; i++) {
		tcp_len = pkt_of(m[i])->l4_len;
		rte_pktmbuf_free(m[i]);
	}
	tcp_got += n;
}

static sl_unused bool
on_icmp(struct lcore *lc, const struct net_icmp_error *e)
{
	(void)lc;
	icmp_got++;
	icmp_last = *e;
	return !icmp_stale;
}

/* Naive, on purpose: 16 bits at a time. */
static sl_unused uint16_t
naive_sum(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static sl_unused void
put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static sl_unused uint32_t
eth(uint8_t *f, const uint8_t *dst, uint16_t type)
{
	memcpy(f, dst, 6);
	memcpy(f + 6, peer_mac, 6);
	put16(f + 12, type);
	return 14;
}

static sl_unused const uint8_t *
our_mac(void)
{
	return host.ports.port[0].mac.addr_bytes;
}

/* IPv4 frame around len bytes of payload at f + 34. */
static sl_unused uint32_t
ip4(uint8_t *f, uint8_t proto, uint32_t len)
{
	static const uint8_t addrs[8] = { 10, 0, 0, 2, 10, 0, 0, 1 };

	eth(f, our_mac(), 0x0800);
	memset(f + 14, 0, 20);
	f[14] = 0x45;
	put16(f + 16, (uint16_t)(20 + len));
	f[22] = 64;
	f[23] = proto;
	memcpy(f + 26, addrs, 8);
	put16(f + 24, naive_sum(f + 14, 20, 0));
	return 34 + len;
}

static sl_unused uint32_t
ip6_to(uint8_t *f, uint8_t proto, uint32_t len, const char *src, const char *dst)
{
	struct ip_addr a;

	eth(f, our_mac(), 0x86dd);
	memset(f + 14, 0, 8);
	f[14] = 0x60;
	put16(f + 18, (uint16_t)len);
	f[20] = proto;
	f[21] = 255;
	assert_int_equal(addr_parse(sl_str_c(src), &a), 0);
	memcpy(f + 22, a.b, 16);
	assert_int_equal(addr_parse(sl_str_c(dst), &a), 0);
	memcpy(f + 38, a.b, 16);
	return 54 + len;
}

static sl_unused void
icmp6_sum(uint8_t *f, uint32_t len)
{
	uint32_t sum = 58 + len;

	put16(f + 56, 0);
	for (int i = 22; i < 54; i += 2)
		sum += (uint32_t)(f[i] << 8 | f[i + 1]);
	put16(f + 56, naive_sum(f + 54, len, sum));
}

static sl_unused uint32_t
echo4(uint8_t *f, uint32_t data)
{
	memset(f + 34, 0, 8);
	f[34] = 8;
	put16(f + 38, 77);
	for (uint32_t i = 0; i < data; i++)
		f[42 + i] = (uint8_t)i;
	put16(f + 36, naive_sum(f + 34, 8 + data, 0));
	return ip4(f, 1, 8 + data);
}

static sl_unused uint32_t
echo6(uint8_t *f, uint32_t data)
{
	uint32_t n = ip6_to(f, 58, 8 + data, "fd00::2", "fd00::1");

	memset(f + 54, 0, 8 + data);
	f[54] = 128;
	icmp6_sum(f, 8 + data);
	return n;
}

static sl_unused uint32_t
arp(uint8_t *f, uint16_t op, const uint8_t *sip, const uint8_t *tip)
{
	static const uint8_t head[6] = { 0, 1, 8, 0, 6, 4 };
	static const uint8_t bcast[6] = { 255, 255, 255, 255, 255, 255 };

	eth(f, op == 1 ? bcast : our_mac(), 0x0806);
	memcpy(f + 14, head, 6);
	put16(f + 20, op);
	memcpy(f + 22, peer_mac, 6);
	memcpy(f + 28, sip, 4);
	memset(f + 32, 0, 6);
	memcpy(f + 38, tip, 4);
	return 42;
}

/* Sends, runs the host, returns the length of the first answer (0: none) in `out`. */
static sl_unused int
ask(const uint8_t *f, uint32_t len)
{
	int rc;

	while (wire_recv(wire, 'b', 0, out, sizeof(out)) > 0)
		;
	assert_int_equal(wire_send(wire, 'b', 0, f, len), 0);
	test_host_poll(&host, now += STEP_US);
	rc = wire_recv(wire, 'b', 0, out, sizeof(out));
	return rc > 0 ? rc : 0;
}

static sl_unused uint64_t
drops(enum drop d)
{
	return counter_get(&host.lc[0]->drop[d]);
}

static sl_unused uint64_t
all_drops(void)
{
	uint64_t n = 0;
	for (int i = 0; i < DROP_NR; i++)
		n += drops((enum drop)i);
	return n;
}

static sl_unused void
run_ms(uint32_t ms)
{
	for (uint32_t i = 0; i < ms / 10; i++)
		test_host_poll(&host, now += STEP_US);
}

static const struct test_port default_port = {
	.device = "wire0a", .addr = { "10.0.0.1/24", "fd00::1/64" }, .gateway4 = "10.0.0.254"
};

/* *state: the port to take, or NULL. */
static sl_unused int
setup_fresh(void **state)
{
	const struct test_port *port = *state != NULL ? *state : &default_port;

	assert_int_equal(test_eal_start(), 0);
	wire = wire_new(0, 64);
	assert_non_null(wire);
	assert_int_equal(test_host_new(&host, "a", port, 1, 1, 511, on_tcp, on_icmp), 0);
	now = host.now_us;
	tcp_got = icmp_got = 0;
	return 0;
}

/* With the announcements over. */
static sl_unused int
setup(void **state)
{
	int rc = setup_fresh(state);

	run_ms(3000);
	while (wire_recv(wire, 'b', 0, out, sizeof(out)) > 0)
		;
	return rc;
}

static sl_unused int
teardown(void **state)
{
	(void)state;
	test_host_poll(&host, now += STEP_US);
	assert_int_equal(test_host_in_use(&host), 0);
	test_host_free(&host);
	wire_free(wire);
	return 0;
}

static sl_unused struct rte_mbuf *
segment(uint32_t payload)
{
	struct rte_mbuf *m = lcore_mbuf(host.lc[0]);
	uint8_t *d;

	assert_non_null(m);
	d = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(20 + payload));
	if (d == NULL) // gcc 12 follows the NULL into memset
		return NULL;
	memset(d, 0, 20 + payload);
	put16(d, 1000);
	put16(d + 2, 80);
	d[12] = 0x50;
	for (uint32_t i = 0; i < payload; i++)
		d[20 + i] = (uint8_t)(i * 7);
	return m;
}

static sl_unused struct net_flow
flow_to(const char *to)
{
	struct net_flow f = { .lport = 1000, .rport = 80 };

	assert_int_equal(addr_parse(sl_str_c(to), &f.raddr), 0);
	assert_int_equal(net_route(host.lc[0], &f), 0);
	return f;
}

static sl_unused uint32_t
count_out(uint16_t type)
{
	uint8_t b[2048];
	uint32_t n = 0;

	while (wire_recv(wire, 'b', 0, b, sizeof(b)) > 0) {
		if ((b[12] << 8 | b[13]) == type) {
			memcpy(out, b, sizeof(out));
			n++;
		}
	}
	return n;
}
