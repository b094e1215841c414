// SPDX-License-Identifier: BSD-3-Clause
/*
 * IPv6 headers into a live host: chains of extension headers with their options.
 *
 * The input is a list of packets: choices, then for each extension header its kind, its length and its
 * options, then what stands behind them. A packet to which no flaw was added is judged: a walk over
 * its headers, written again here from RFC 8200, says whether tcp may see it, and where its segment
 * must begin; with flaws in it only what holds for every frame is asked.
 */
#include "tests/fuzz/live.h"

#define EXTS 8

static uint32_t seen, seen_l4, seen_len;

static void
on_seen(const struct rte_mbuf *m, const struct pkt *pk)
{
	(void)m;
	seen++;
	seen_l4 = pk->l4;
	seen_len = pk->l4_len;
}

/* One extension header at f + at, which says that `next` follows; its length. */
static uint32_t
extension(struct in *in, uint8_t *f, uint32_t at, uint8_t kind)
{
	uint32_t units = take(in) & 3u, end = at + (units + 1) * 8;
	uint32_t options = kind == 0 || kind == 60 ? take(in) % 12u : 0;

	memset(f + at, 0, end - at);
	f[at + 1] = (uint8_t)units;
	if (kind == 43) { // routing: mostly nowhere else to go
		f[at + 2] = take(in);
		f[at + 3] = take(in) & 7 ? 0 : 1;
	} else if (kind == 44) { // a fragment, mostly the only one
		put16(f + at + 2, take(in) & 7 ? 0 : (uint32_t)take(in) << 8 | take(in));
		f[at + 1] = take(in) & 7 ? 0 : take(in);
		end = at + 8;
	}
	for (uint32_t o = at + 2; options > 0 && o + 2 <= end; options--) {
		uint8_t type = take(in), len = take(in);

		f[o] = type;
		f[o + 1] = len & 0x80 ? len : (uint8_t)(len % (end - o));
		if (type == 0)
			o++;
		else
			o += f[o + 1] + 2u;
	}
	return end - at;
}

/* RFC 8200 4: what a receiver has to do with these options; true: go on. */
static bool
options_pass(const uint8_t *o, uint32_t n)
{
	uint32_t i = 0, count = 0;

	while (i < n) {
		if (o[i] == 0) {
			i++;
			continue;
		}
		if (i + 1 == n || i + 2 + o[i + 1] > n)
			return false;
		if (o[i] != 1 && (o[i] >= 64 || ++count > 8))
			return false;
		i += 2u + o[i + 1];
	}
	return true;
}

/* Where the segment begins that tcp must be shown; 0: it may see none. */
static uint32_t
judge(const uint8_t *f, uint32_t n)
{
	uint8_t kind = f[20];
	uint32_t at = 54;

	for (int i = 0; kind != 6; i++) {
		uint32_t len;

		if (i == 4 || at + 8 > n || (kind == 0 && i > 0))
			return 0;
		len = kind == 44 ? 8 : (f[at + 1] + 1u) * 8;
		if (at + len > n)
			return 0;
		if (kind == 43               ? f[at + 3] != 0
				: kind == 44 ? f[at + 2] != 0 || (f[at + 3] & 0xf9) != 0
				: kind == 0 || kind == 60 ? !options_pass(f + at + 2, len - 2)
							  : true)
			return 0;
		kind = f[at];
		at += len;
	}
	return n - at >= 20 ? at : 0;
}

static void
addresses(uint8_t *f, uint8_t how)
{
	static const uint8_t all_nodes[16] = { 0xff, 2, [15] = 1 };

	switch (how & 7) {
	case 0:
		memset(f + 22, 0, 16);
		break;
	case 1:
		memset(f + 22, 0, 15);
		f[37] = 1;
		break;
	case 2:
		memcpy(f + 22, us6, 16);
		break;
	case 3:
		memcpy(f + 22, all_nodes, 16);
		break;
	default:
		break;
	}
	if ((how & 0x70) == 0x10)
		memcpy(f + 38, all_nodes, 16);
	else if ((how & 0x70) == 0x20)
		f[53] ^= how;
}

static void
one(struct in *in)
{
	static const uint8_t kinds[16] = { 0, 60, 43, 44, 60, 0, 60, 43, 44, 60, 60, 43, 59, 51, 50,
		135 };
	static const uint8_t uppers[8] = { 6, 6, 6, 6, 58, 17, 59, 132 };
	uint8_t f[FRAME], how = take(in), upper = uppers[take(in) & 7];
	uint32_t n = ip6(f, upper, 0), exts = how & 7, len = 20 + take(in) % 40u, from, at;
	bool flaw = how & 0x80;

	memset(f + n, 0, sizeof(f) - n);
	put16(f + 14, 0x6000);
	memset(f + 16, 0, 4);
	for (uint32_t i = 0, where = 20; i < exts; i++) {
		uint8_t kind = kinds[take(in) & 15];

		f[where] = kind;
		where = n;
		n += extension(in, f, n, kind);
		f[where] = upper;
	}
	from = n;
	for (uint32_t i = 0; i < len; i++)
		f[n++] = (uint8_t)i;
	if (upper == 6)
		f[from + 12] = 0x50;
	if (upper == 58)
		f[from] = (uint8_t)(how & 0x40 ? 128 : 1 + take(in) % 4);
	if (flaw) {
		addresses(f, take(in));
		for (uint32_t i = take(in) & 7; i > 0; i--) {
			at = take(in) * 2u;
			at = 14 + (at + (how & 1)) % (n - 14);
			f[at] = take(in);
		}
		n -= sl_min(n - 14, how & 0x10 ? take(in) : 0u);
	}
	if (!flaw || how & 0x20)
		mend(f, n);
	seen = 0;
	(void)wire_send(wire, 'b', 0, f, n);
	live_poll();
	at = flaw ? 0 : judge(f, n);
	MUST(flaw || seen == (at != 0));
	MUST(at == 0 || (seen_l4 == at && seen_len == n - at));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size };

	live_start(on_seen);
	for (uint32_t i = 0; in.n > 0 && i < 16; i++)
		one(&in);
	live_settle();
	return 0;
}
