// SPDX-License-Identifier: BSD-3-Clause
/*
 * TCP options: parsing and writing.
 *
 * Runs on: workers. Every length comes from the wire and is checked; unknown options are skipped
 * (RFC 9293 MUST-6), options that belong to SYNs are ignored elsewhere.
 * Follows: RFC 9293 3.1, RFC 7323 (window scale, timestamps), RFC 2018 (SACK).
 */
#include <rte_byteorder.h>

#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

enum { K_END = 0, K_NOP = 1, K_MSS = 2, K_WSCALE = 3, K_SACK_OK = 4, K_SACK = 5, K_TS = 8 };

static inline uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return rte_be_to_cpu_32(v);
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	v = rte_cpu_to_be_32(v);
	memcpy(p, &v, 4);
}

static void
option(const uint8_t *p, uint32_t n, bool syn, struct tcp_seg *s)
{
	switch (p[0]) {
	case K_MSS:
		if (!syn || n != 4)
			return;
		s->mss = (uint16_t)(p[2] << 8 | p[3]);
		s->opts |= TCP_OPT_MSS;
		return;
	case K_WSCALE:
		if (!syn || n != 3)
			return;
		s->wscale = sl_min(p[2], (uint8_t)TCP_WSCALE_MAX);
		s->opts |= TCP_OPT_WSCALE;
		return;
	case K_SACK_OK:
		if (syn && n == 2)
			s->opts |= TCP_OPT_SACK_OK;
		return;
	case K_SACK:
		if (syn || n < 10 || (n - 2) % 8 != 0)
			return;
		s->nsack = 0;
		for (uint32_t i = 2; i < n && s->nsack < TCP_SACK_BLOCKS; i += 8) {
			s->sack[s->nsack].from = get32(p + i);
			s->sack[s->nsack++].to = get32(p + i + 4);
		}
		return;
	case K_TS:
		if (n != 10)
			return;
		s->tsval = get32(p + 2);
		s->tsecr = get32(p + 6);
		s->opts |= TCP_OPT_TS;
		return;
	default:
		return;
	}
}

int
tcp_opt_parse(const uint8_t *p, uint32_t n, bool syn, struct tcp_seg *s)
{
	s->opts = 0;
	s->nsack = 0;
	// what every data segment with timestamps looks like (RFC 7323 appendix A)
	if (likely(n == TCP_OPT_TS_LEN && get32(p) == TCP_OPT_TS_WORD)) {
		s->tsval = get32(p + 4);
		s->tsecr = get32(p + 8);
		s->opts = TCP_OPT_TS;
		return 0;
	}
	for (uint32_t i = 0; i < n;) {
		if (p[i] == K_END)
			break;
		if (p[i] == K_NOP) {
			i++;
			continue;
		}
		if (i + 1 >= n || p[i + 1] < 2 || p[i + 1] > n - i)
			return -EBADMSG;
		option(p + i, p[i + 1], syn, s);
		i += p[i + 1];
	}
	return 0;
}

uint32_t
tcp_opt_ts(uint8_t *p, uint32_t tsval, uint32_t tsecr)
{
	put32(p, TCP_OPT_TS_WORD);
	put32(p + 4, tsval);
	put32(p + 8, tsecr);
	return TCP_OPT_TS_LEN;
}

uint32_t
tcp_opt_sack(uint8_t *p, const struct tcp_sack *b, uint32_t n)
{
	p[0] = p[1] = K_NOP;
	p[2] = K_SACK;
	p[3] = (uint8_t)(2 + 8 * n);
	for (uint32_t i = 0; i < n; i++) {
		put32(p + 4 + 8 * i, b[i].from);
		put32(p + 8 + 8 * i, b[i].to);
	}
	return 4 + 8 * n;
}

uint32_t
tcp_opt_syn(uint8_t *p, const struct tcp_bare *b)
{
	uint32_t n = 0;

	p[n] = K_MSS;
	p[n + 1] = 4;
	p[n + 2] = (uint8_t)(b->mss >> 8);
	p[n + 3] = (uint8_t)b->mss;
	n += 4;
	if (b->opts & TCP_OPT_TS) {
		if (b->opts & TCP_OPT_SACK_OK) {
			p[n] = K_SACK_OK;
			p[n + 1] = 2;
		} else {
			p[n] = p[n + 1] = K_NOP;
		}
		p[n + 2] = K_TS;
		p[n + 3] = 10;
		put32(p + n + 4, b->tsval);
		put32(p + n + 8, b->tsecr);
		n += 12;
	} else if (b->opts & TCP_OPT_SACK_OK) {
		p[n] = p[n + 1] = K_NOP;
		p[n + 2] = K_SACK_OK;
		p[n + 3] = 2;
		n += 4;
	}
	if (b->opts & TCP_OPT_WSCALE) {
		p[n] = K_NOP;
		p[n + 1] = K_WSCALE;
		p[n + 2] = 3;
		p[n + 3] = b->wscale;
		n += 4;
	}
	return n;
}
