// SPDX-License-Identifier: BSD-3-Clause
/*
 * TCP options, pure: any bytes, as a SYN's and as another segment's. What comes out is within its
 * bounds; options that we write are read back as they were.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "dataplane/tcp/tcp_priv.h"

static void
parse(const uint8_t *data, uint32_t n, bool syn, struct tcp_seg *s)
{
	memset(s, 0, sizeof(*s));
	if (tcp_opt_parse(data, n, syn, s) < 0)
		return;
	MUST(s->nsack <= TCP_SACK_BLOCKS);
	MUST(s->wscale <= TCP_WSCALE_MAX);
	MUST(syn || (s->opts & (TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK)) == 0);
	MUST(!syn || s->nsack == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_seg s, again;
	uint8_t out[64];
	uint32_t n;

	if (size > 40)
		size = 40; // the header has no room for more
	parse(data, (uint32_t)size, true, &s);
	parse(data, (uint32_t)size, false, &s);
	if (s.opts & TCP_OPT_TS) {
		n = tcp_opt_ts(out, s.tsval, s.tsecr);
		MUST(n == 12);
		parse(out, n, false, &again);
		MUST((again.opts & TCP_OPT_TS) && again.tsval == s.tsval && again.tsecr == s.tsecr);
	}
	if (s.nsack > 0) {
		n = tcp_opt_sack(out, s.sack, s.nsack);
		MUST(n <= 40 && n % 4 == 0);
		parse(out, n, false, &again);
		MUST(again.nsack == s.nsack &&
			memcmp(again.sack, s.sack, s.nsack * sizeof(s.sack[0])) == 0);
	}
	return 0;
}
