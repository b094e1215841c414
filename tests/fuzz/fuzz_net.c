// SPDX-License-Identifier: BSD-3-Clause
/*
 * Frame sequences into a live host: ARP, neighbour discovery, IPv4 with options, IPv6 with extension
 * headers, ICMP errors that quote, UDP, TCP headers.
 *
 * The input is a list of frames: a kind, a byte of choices, then changes (offset, value) to a frame
 * that is right, then, unless the choices say no, lengths and checksums are made right again, so
 * that the fuzzer gets behind them. Some kinds let time pass, send a segment to somebody, or let
 * buffers be refused. The host lives on from input to input; after each nothing may be held, but
 * packets that wait for a neighbour, and the neighbour table stays within its bounds.
 */
#include "tests/fuzz/live.h"

#define FRAME_NET 320

/* A frame that is right, or nearly; its length. */
static uint32_t
make(uint8_t *f, uint32_t kind, uint8_t how)
{
	static const uint8_t arp[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	uint32_t n;

	memset(f, 0, FRAME_NET);
	switch (kind) {
	case 0: // ARP
		n = ether(f, 0x0806);
		memcpy(f + n, arp, 8);
		f[n + 7] = how & 1 ? 2 : 1;
		memcpy(f + n + 8, peer_mac, 6);
		memcpy(f + n + 14, them4, 4);
		memcpy(f + n + 24, us4, 4);
		return n + 28;
	case 1: // solicitation, advertisement
		n = ip6(f, 58, 32);
		f[54] = how & 1 ? 136 : 135;
		f[58] = how & 1 ? 0x60 : 0;
		memcpy(f + 62, how & 1 ? them6 : us6, 16);
		f[78] = how & 1 ? 2 : 1;
		f[79] = 1;
		memcpy(f + 80, peer_mac, 6);
		return n;
	case 2: // echo
		if (how & 1) {
			n = ip6(f, 58, 24);
			f[54] = 128;
			return n;
		}
		n = ip4(f, 1, how >> 5, 24);
		f[14 + 20 + (how >> 5) * 4] = 8;
		return n;
	case 3: // ICMP errors that quote a segment
		if (how & 1) {
			n = ip6(f, 58, 8 + 60);
			f[54] = how & 2 ? 2 : 1;
			f[62] = 0x60;
			f[68] = 6;
			memcpy(f + 70, us6, 16);
			memcpy(f + 86, them6, 16);
			return n;
		}
		n = ip4(f, 1, 0, 8 + 40);
		f[34] = 3;
		f[35] = how >> 4;
		f[42] = 0x45;
		f[51] = 6;
		memcpy(f + 54, us4, 4);
		memcpy(f + 58, them4, 4);
		return n;
	case 4: // extension headers: what they are is for the input to say
		n = ip6(f, (uint8_t[]){ 0, 60, 43, 44 }[how >> 6], 40 + 24);
		f[54] = 60;
		f[62] = 60;
		f[70] = 60;
		f[78] = 58;
		f[94] = 128;
		return n;
	case 5: // UDP
		n = how & 1 ? ip6(f, 17, 24) : ip4(f, 17, 0, 24);
		put16(f + n - 24 + 2, 53);
		put16(f + n - 24 + 4, 24);
		return n;
	default: // TCP
		n = how & 1 ? ip6(f, 6, 40) : ip4(f, 6, how >> 5, 40);
		f[n - 40 + 12] = 0xa0;
		return n;
	}
}

static void
one(struct in *in)
{
	uint8_t f[FRAME_NET], kind = take(in), how, changes;
	uint32_t n;

	if (kind >= 250) {
		lcore_mbuf_fail_in(host.lc[0], 1 + (kind & 3u));
		return;
	}
	if (kind >= 230) {
		now += take(in) * 100000ull; // up to 25 s
		return;
	}
	if (kind >= 210) {
		live_output(in);
		return;
	}
	how = take(in);
	n = make(f, kind % 7, how);
	changes = take(in) & 15;
	for (uint32_t i = 0; i < changes; i++) {
		uint8_t at = take(in);

		f[at < n ? at : at % n] = take(in);
	}
	if (how & 4)
		n -= sl_min(n, take(in) % 64u);
	if (!(how & 8))
		mend(f, n);
	if (how & 16) { // groups
		f[0] = f[1] = (f[12] == 0x86) ? 0x33 : 0xff;
		if (f[12] != 0x86)
			memset(f, 0xff, 6);
	}
	(void)wire_send(wire, 'b', 0, f, n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct net_neigh_view v[2048];
	struct in in = { data, size };

	live_start(NULL);
	for (uint32_t i = 0; in.n > 0 && i < 32; i++) {
		one(&in);
		live_poll();
	}
	live_settle();
	MUST(net_neigh_dump(host.net, v, 2048) <= 1024 + 1);
	return 0;
}
