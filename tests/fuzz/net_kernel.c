// SPDX-License-Identifier: BSD-3-Clause
/*
 * The kernel behind the TAP of the first port: reads, sends, shares addresses, or does not keep up.
 */
#include "tests/fuzz/net_live.h"

static struct net_tap *tap;

void
kernel_start(void)
{
	MUST(net_tap_add(host.net, 0, 20000) == 0);
	tap = host.net->port[0].tap;
}

void
kernel_begin(uint8_t how)
{
	// without: what is not ours is dropped, as on ports that have none
	host.net->port[0].tap = how & 1 ? tap : NULL;
	if (how & 1)
		net_tap_share(host.net, 0, (how >> 1 & 3) | (how & 8 ? 1ull << NET_TAP_LL_BIT : 0));
}

void
kernel_read(uint32_t n)
{
	uint32_t len = 0;

	if (host.net->port[0].tap == NULL)
		return;
	while (n-- > 0) {
		const uint8_t *f = net_tap_peek(host.net, 0, &len);

		MUST((f != NULL) == net_tap_waits(host.net, 0));
		if (f == NULL)
			return;
		MUST(len >= 14 && len <= NET_TAP_FRAME);
		MUST(memcmp(f + 6, host.ports.port[0].mac.addr_bytes, 6) != 0);
		net_tap_pop(host.net, 0);
	}
}

/* Frames of its own: so many that a burst, or the ring, is full. */
static void
frames_out(uint32_t n, uint32_t len)
{
	while (n-- > 0) {
		uint8_t *f = net_tap_room(host.net, 0);

		if (f == NULL)
			return;
		memset(f, 0, len);
		memcpy(f, peer_mac, 6);
		memcpy(f + 6, host.ports.port[0].mac.addr_bytes, 6);
		put16(f + 12, 0x88b5);
		net_tap_push(host.net, 0, len);
	}
	MUST(net_pending(host.lc[net_tap_worker(host.net, 0)]) > 0);
}

void
kernel_step(struct in *in)
{
	uint8_t what = take(in), arg = take(in);

	if (host.net->port[0].tap == NULL)
		return;
	switch (what & 3) {
	case 0:
		net_tap_share(host.net, 0, (arg & 3) | (arg & 4 ? 1ull << NET_TAP_LL_BIT : 0));
		break;
	case 1:
		frames_out(1 + arg, what & 4 ? NET_TAP_FRAME : 60);
		break;
	case 2:
		kernel_read(arg);
		break;
	default:
		MUST(net_link_local(host.net, 0)->b[0] == 0xfe);
		MUST(net_tap_counters(host.net, 0) != NULL &&
			net_tap_counters(host.net, 1) == NULL);
		break;
	}
}

void
kernel_end(void)
{
	kernel_read(UINT32_MAX);
}
