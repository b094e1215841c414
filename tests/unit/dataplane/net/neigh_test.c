// SPDX-License-Identifier: BSD-3-Clause
/*
 * Who may wait for a neighbour, and who may be pushed out: answers to addresses that somebody made up
 * leave room for connections, for routers and for the other ports.
 */
#include "dataplane/net/net_priv.h"
#include "tests/harness/net_env.h"

static const struct test_port two[2] = {
	{ .device = "wire0a", .addr = { "10.0.0.1/16", "fd00::1/64" }, .gateway4 = "10.0.0.254" },
	{ .device = "wire1a", .addr = { "10.1.0.1/16" } }
};
static struct wire *other;

static int
setup_two(void **state)
{
	(void)state;
	assert_int_equal(test_eal_start(), 0);
	wire = wire_new(0, 256);
	other = wire_new(1, 256);
	assert_true(wire != NULL && other != NULL);
	assert_int_equal(test_host_new(&host, "a", two, 2, 1, 1023, on_tcp, on_icmp), 0);
	now = host.now_us;
	run_ms(3000); // the announcements
	count_out(0);
	while (wire_recv(other, 'b', 0, out, sizeof(out)) > 0)
		;
	return 0;
}

static int
teardown_two(void **state)
{
	run_ms(5000); // packets that waited are gone
	teardown(state);
	wire_free(other);
	return 0;
}

/* One segment to 10.0.hi.lo, of a connection or bare. */
static void
emit(uint8_t hi, uint8_t lo, bool bare)
{
	struct net_flow fl;
	char text[24];

	snprintf(text, sizeof(text), "10.0.%u.%u", hi, lo);
	fl = flow_to(text);
	fl.bare = bare;
	net_output(host.lc[0], &fl, segment(1), bare ? 0 : 0x10);
}

/* Is it asked for on this wire, and does the segment leave once it answers? */
static bool
delivered(struct wire *w, const char *to, bool bare)
{
	uint8_t f[64], b[2048], mac[6];
	struct net_flow fl = flow_to(to);
	bool asked = false, left = false;
	struct ip_addr a;

	memcpy(mac, host.ports.port[fl.port].mac.addr_bytes, 6);
	assert_int_equal(addr_parse(sl_str_c(to), &a), 0);
	while (wire_recv(w, 'b', 0, b, sizeof(b)) > 0)
		;
	fl.bare = bare;
	net_output(host.lc[0], &fl, segment(1), 0);
	run_ms(10);
	while (wire_recv(w, 'b', 0, b, sizeof(b)) > 0)
		asked |= b[12] == 8 && b[13] == 6 && memcmp(b + 38, a.b, 4) == 0;
	arp(f, 2, a.b, fl.laddr.b);
	memcpy(f, mac, 6);
	assert_int_equal(wire_send(w, 'b', 0, f, 42), 0);
	run_ms(20);
	while (wire_recv(w, 'b', 0, b, sizeof(b)) > 0)
		left |= b[12] == 8 && b[13] == 0 && memcmp(b + 30, a.b, 4) == 0;
	return asked && left;
}

static void
bare_leave_room(void **state)
{
	static const uint8_t gw[4] = { 10, 0, 0, 254 };
	struct net_flow fl = flow_to("192.0.2.1"); // by the gateway

	(void)state;
	for (uint8_t i = 0; i < 64; i++)
		emit(1, i + 1, true);
	assert_int_equal(drops(DROP_NEIGH_QUEUE), 64 - WAIT_BARE);
	assert_true(delivered(wire, "10.0.2.1", false));
	assert_true(delivered(other, "10.1.0.2", false));
	assert_false(delivered(wire, "10.0.2.2", true));
	// whoever is behind a router, it is worth a slot
	count_out(0);
	fl.bare = true;
	net_output(host.lc[0], &fl, segment(1), 0);
	run_ms(10);
	assert_int_equal(count_out(0x0806), 1);
	assert_memory_equal(out + 38, gw, 4);
}

/* Connections to many that are mute: what another port asks for has room. */
static void
ports_leave_room(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < 64; i++)
		emit(1, i + 1, false);
	assert_int_equal(drops(DROP_NEIGH_QUEUE), 64 - WAIT_PORT);
	assert_true(delivered(other, "10.1.0.2", false));
}

/* A connection joins who waits: the slot is its own from then on, and its packets are not pushed out. */
static void
joined(void **state)
{
	static const uint8_t them[4] = { 10, 0, 1, 1 }, us[4] = { 10, 0, 0, 1 };
	uint8_t f[64], b[2048];
	uint32_t all = 0, own = 0;

	(void)state;
	for (uint8_t i = 0; i < WAIT_BARE; i++)
		emit(1, i + 1, true);
	assert_int_equal(drops(DROP_NEIGH_QUEUE), 0);
	emit(1, 1, false);
	emit(1, 100, true); // in its place
	assert_int_equal(drops(DROP_NEIGH_QUEUE), 0);
	for (int i = 0; i < WAIT_PACKETS; i++)
		emit(1, 1, true);
	assert_int_equal(drops(DROP_NEIGH_QUEUE), 2);
	run_ms(10);
	count_out(0);
	assert_int_equal(wire_send(wire, 'b', 0, f, arp(f, 2, them, us)), 0);
	run_ms(20);
	while (wire_recv(wire, 'b', 0, b, sizeof(b)) > 0) {
		all += b[12] == 8 && b[13] == 0;
		own += b[12] == 8 && b[13] == 0 && b[15] == 0x10;
	}
	assert_int_equal(all, WAIT_PACKETS);
	assert_int_equal(own, 1);
}

static enum neigh_state
state_of(const struct ip_addr *a)
{
	uint64_t w = 0;

	return neigh_lookup(net_port(host.lc[0], 0), a, &w) < 0 ? NEIGH_FREE : word_state(w);
}

/* Thousands that do not answer, asked for by bare answers: quiet neighbours and questions of connections stay. */
static void
sets(void **state)
{
	static const uint8_t quiet[4] = { 10, 0, 0, 2 }, us[4] = { 10, 0, 0, 1 };
	const struct port *p = &host.ports.port[0];
	struct ip_addr a = { .family = ADDR_V4 }, made_up, want;
	uint8_t f[64];

	(void)state;
	memcpy(a.b, quiet, 4);
	ask(f, arp(f, 1, quiet, us));
	run_ms(3000);
	assert_int_equal(state_of(&a), NEIGH_STALE);
	assert_int_equal(addr_parse(SL_STR("fd00::2:1"), &want), 0);
	neigh_want(host.lc[0], p, &want, true);
	neigh_want(host.lc[0], p, &want, false); // and then by one of a connection
	assert_int_equal(addr_parse(SL_STR("fd00::1:0"), &made_up), 0);
	for (uint32_t i = 0; i < 4000; i++) {
		put16(made_up.b + 14, (uint16_t)i);
		neigh_want(host.lc[0], p, &made_up, true);
		if (i % 100 == 0)
			run_ms(10);
	}
	assert_int_equal(state_of(&a), NEIGH_STALE);
	assert_int_equal(state_of(&want), NEIGH_INCOMPLETE);
	assert_int_equal(drops(DROP_NEIGH_FULL), 0);
	// sets are full of them: a new one of a connection finds a place all the same
	for (uint32_t i = 0; i < 100; i++) {
		put16(want.b + 14, (uint16_t)(i + 2));
		neigh_want(host.lc[0], p, &want, false);
		assert_int_equal(state_of(&want), NEIGH_INCOMPLETE);
	}
}

/* Which addresses share a set depends on a secret. */
static void
keyed(void **state)
{
	static const uint64_t secret[2] = { 1, 2 };
	struct net_port *np = net_port(host.lc[0], 0);
	struct ip_addr a;
	uint32_t moved = 0;
	int at[32];
	uint64_t w;

	(void)state;
	assert_int_equal(addr_parse(SL_STR("fd00::1:0"), &a), 0);
	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < 32; i++) {
			int was = at[i];

			put16(a.b + 14, (uint16_t)i);
			neigh_want(host.lc[0], &host.ports.port[0], &a, false);
			at[i] = neigh_lookup(np, &a, &w) / NEIGH_WAYS;
			moved += k > 0 && at[i] != was;
		}
		net_shared_key(host.net, secret);
	}
	assert_in_range(moved, 28, 32);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup_two, teardown_two)
	const struct CMUnitTest tests[] = {
		T(bare_leave_room),
		T(ports_leave_room),
		T(joined),
		T(sets),
		T(keyed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
