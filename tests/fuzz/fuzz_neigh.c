// SPDX-License-Identifier: BSD-3-Clause
/*
 * ARP and neighbour discovery into a live host that talks to its neighbours meanwhile.
 *
 * The input is a list of steps: a message (requests, replies, announcements, solicitations and
 * advertisements with and without options; senders and targets out of a few, among them us, our
 * gateway and the static neighbour), packets of ours to neighbours, time, refused buffers. Throughout:
 * the table is bounded, what can be sent to is neither one of our own addresses nor a group's and has
 * one station's MAC, and the static neighbour stays what it was configured to be.
 */
#include "dataplane/net/net_priv.h"
#include "tests/fuzz/live.h"

/* Addresses: mostly a few that meet again, rarely one out of many. */
static void
some4(struct in *in, uint8_t *a)
{
	static const uint8_t last[8] = { 1, 2, 3, LIVE_GATEWAY4, 255, 0, 4, 5 };
	uint8_t how = take(in);

	memcpy(a, us4, 4);
	a[3] = how < 200 ? last[how & 7] : take(in);
	if (how >= 240)
		a[how & 3] ^= take(in);
	if (how == 239)
		memset(a, 0, 4);
}

static void
some6(struct in *in, uint8_t *a)
{
	static const uint8_t last[8] = { 1, 2, 3, 0x77, 0xfe, 0, 4, 5 };
	uint8_t how = take(in);

	memcpy(a, us6, 16);
	a[15] = how < 200 ? last[how & 7] : take(in);
	if (how >= 240)
		a[how & 15] ^= take(in);
	else if (how >= 230) { // its solicited-node group, all nodes, none
		static const uint8_t group[13] = { 0xff, 2, [11] = 1, [12] = 0xff };

		memset(a + 13, 0, 2);
		memcpy(a, group, how & 1 ? 13 : 2);
		if (!(how & 1))
			memset(a + 2, 0, 13);
		if (how == 239)
			memset(a, 0, 16);
	}
}

static void
some_mac(struct in *in, uint8_t *a)
{
	uint8_t how = take(in);

	memcpy(a, peer_mac, 6);
	a[5] = how & 15;
	if (how >= 240)
		a[0] ^= how & 3; // a group's, none
	if (how == 250)
		memset(a, 0, 6);
	if (how == 251)
		memcpy(a, host.ports.port[0].mac.addr_bytes, 6);
}

static uint32_t
arp(struct in *in, uint8_t *f)
{
	static const uint8_t fixed[7] = { 0, 1, 8, 0, 6, 4, 0 };
	uint32_t n = ether(f, 0x0806);
	uint8_t how = take(in);

	memset(f + n, 0, 46);
	memcpy(f + n, fixed, 7);
	f[n + 7] = how & 1 ? 2 : 1;
	some_mac(in, f + n + 8);
	some4(in, f + n + 14);
	some_mac(in, f + n + 18);
	some4(in, f + n + 24);
	if (how & 2)
		memset(f, 0xff, 6);
	if (how & 4)
		memcpy(f + n + 24, f + n + 14, 4); // an announcement
	if ((how & 0xf0) == 0xf0)
		f[n + take(in) % 8u] = take(in);
	return n + 28 - ((how & 0xf8) == 0xe8 ? take(in) % 28u : 0);
}

static uint32_t
nd(struct in *in, uint8_t *f)
{
	uint8_t how = take(in), options = take(in) % 4u;
	uint32_t n = ip6(f, 58, 0);

	memset(f + n, 0, FRAME - n);
	some6(in, f + 22);
	some6(in, f + 38);
	f[n] = how & 1 ? 136 : 135;
	if ((how & 0x70) == 0x70)
		f[n] = take(in); // router's messages, redirects, anything
	f[n + 1] = (how & 0xf) == 0xe ? take(in) : 0;
	f[n + 4] = take(in) & 0xe0;
	some6(in, f + n + 8);
	n += 24;
	for (; options > 0; options--) {
		uint8_t kind = take(in);
		uint32_t len = kind & 8 ? take(in) & 3u : 1;

		f[n] = kind & 4 ? kind : 1 + (kind & 1);
		f[n + 1] = (uint8_t)len;
		some_mac(in, f + n + 2);
		n += len * 8;
	}
	if (f[38] == 0xff) {
		f[0] = f[1] = 0x33;
		memcpy(f + 2, f + 50, 4);
	}
	if ((how & 0x8f) == 0x82)
		f[21] = take(in); // it came over a router
	if (!(how & 0x80) || how & 2)
		mend(f, n);
	return n - ((how & 0x8f) == 0x84 ? take(in) % 40u : 0);
}

static void
check(void)
{
	static struct net_neigh_view v[2048];
	uint32_t n = net_neigh_dump(host.net, v, 2048), fixed = 0;

	MUST(n <= 1024 + 1);
	for (uint32_t i = 0; i < n; i++) {
		const struct ip_addr *a = &v[i].ip;

		MUST(!addr_is_multicast(a) && !addr_is_any(a));
		// somebody may want to talk to us through the wire, and waits in vain
		MUST(v[i].state == NEIGH_INCOMPLETE || v[i].state == NEIGH_FAILED ||
			(net_local(host.lc[0], a) < 0 &&
				rte_is_valid_assigned_ether_addr(&v[i].mac)));
		if (a->family == ADDR_V6 && memcmp(a->b, static6, 16) == 0) {
			MUST(memcmp(v[i].mac.addr_bytes, static_mac, 6) == 0);
			fixed++;
		}
	}
	MUST(fixed == 1);
}

static void
one(struct in *in)
{
	uint8_t f[FRAME], kind = take(in);

	if (kind >= 248)
		lcore_mbuf_fail_in(host.lc[0], 1 + (kind & 3u));
	else if (kind >= 224)
		now += take(in) * 250000ull; // up to a minute
	else if (kind >= 180)
		live_output(in);
	else
		(void)wire_send(wire, 'b', 0, f, kind & 1 ? arp(in, f) : nd(in, f));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size };

	live_start(NULL);
	for (uint32_t i = 0; in.n > 0 && i < 32; i++) {
		one(&in);
		live_poll();
	}
	check();
	live_settle();
	return 0;
}
