// SPDX-License-Identifier: BSD-3-Clause
/*
 * SYN cookies: the answer to a SYN that keeps nothing here.
 *
 * Runs on: the worker that gets the SYN, and the ACK that brings the cookie back. Our sequence
 * number is the cookie: 24 bits of a keyed hash over the tuple, the peer's number and the 8 bits
 * below, which hold an index of the MSS (3), an index of the window scale (3), SACK (1) and the
 * parity of the key's epoch (1). The key is another one every 34 seconds, the one before still
 * counts: a cookie is good for 34 to 67 seconds. That timestamps are on shows in the ACK itself;
 * where they are, their low four bits tell the peer's window scale exactly.
 * Without timestamps an MSS or a scale that has no index becomes the next lower one.
 * Follows: RFC 4987 3.6, RFC 6528 (the hash; such numbers do not follow a clock).
 * Not here: the cache for SYNs in quiet times (tcp_listen.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define EPOCH_SHIFT 25 // of microseconds: 33.6 s
#define LIFETIME_US (2ull << EPOCH_SHIFT)
#define NO_SCALE    15u

#define C_PARITY    0x01u
#define C_SACK      0x02u
#define C_SCALE(i)  ((uint32_t)(i) << 2)
#define C_MSS(i)    ((uint32_t)(i) << 5)

static const uint16_t mss_of[8] = { TCP_MSS_MIN, TCP_MSS_DEFAULT4, TCP_MSS_DEFAULT6, 1360, 1400, 1440,
	1452, 1460 };
static const uint8_t scale_of[8] = { NO_SCALE, 0, 2, 4, 6, 7, 8, 10 };

static void
make_key(const struct lcore *lc, uint64_t epoch, uint64_t out[2])
{
	for (uint64_t i = 0; i < 2; i++) {
		uint64_t in[3] = { epoch, i, 0x636f6f6b6965ull };
		out[i] = hash_sip(lc->tcp->secret, in, sizeof(in));
	}
}

/* Brings the keys up to date. */
static void
rotate(struct lcore *lc)
{
	struct tcp_cookies *c = &lc->tcp->cookies;
	uint64_t epoch = lc->now_us >> EPOCH_SHIFT;

	if (likely(epoch == c->epoch))
		return;
	c->epoch = epoch;
	make_key(lc, epoch, c->key[epoch & 1]);
	make_key(lc, epoch - 1, c->key[~epoch & 1]);
}

void
tcp_cookie_init(struct lcore *lc)
{
	lc->tcp->cookies.epoch = UINT64_MAX;
}

bool
tcp_cookie_due(const struct lcore *lc)
{
	const struct tcp_lcore *tl = lc->tcp;
	uint32_t most = tl->conf.max_half_open;

	if (tl->conf.cookies == TCP_COOKIES_AUTO)
		return tl->halfs.used >= most - most / 4 || lc->pressure >= PRESSURE_COOKIES;
	return tl->conf.cookies == TCP_COOKIES_ALWAYS;
}

static uint32_t
cookie(const struct tcp_lcore *tl, const struct tcp_key *k, uint32_t irs, uint32_t bits)
{
	struct {
		struct tcp_key k;
		uint32_t irs, bits;
	} in = { *k, irs, bits };

	static_assert(sizeof(in) == sizeof(*k) + 8, "no padding goes into the hash");
	return ((uint32_t)hash_sip(tl->cookies.key[bits & C_PARITY], &in, sizeof(in)) & ~0xffu) |
		bits;
}

/* The last row that is not above v; row 0 if there is none. */
static uint32_t
mss_index(const struct tcp_key *k, uint16_t v)
{
	uint32_t i = 7;

	if (v == 0)
		v = tcp_key_is_v4(k) ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
	while (i > 0 && mss_of[i] > v)
		i--;
	return i;
}

static uint32_t
scale_index(uint8_t v)
{
	uint32_t i = 7;

	while (i > 1 && scale_of[i] > v)
		i--;
	return i;
}

/* Our clock, at most 16 ms back, with the scale in its low bits; never ahead of the clock. */
static uint32_t
stamp(const struct lcore *lc, uint32_t scale)
{
	uint32_t now = tcp_ts_now(lc), v = (now & ~15u) | scale;

	return seq_gt(v, now) ? v - 16 : v;
}

void
tcp_cookie_synack(struct lcore *lc, const struct tcp_seg *s)
{
	struct tcp_lcore *tl = lc->tcp;
	uint8_t opts = tcp_syn_opts(tl, s);
	uint32_t scale = opts & TCP_OPT_WSCALE ? s->wscale : NO_SCALE;
	uint32_t bits = C_MSS(mss_index(&s->key, s->mss));
	struct tcp_bare b = {
		.key = &s->key,
		.ack = s->seq + 1,
		.tsval = stamp(lc, scale),
		.tsecr = s->tsval,
		.wnd = (uint16_t)sl_min(tl->conf.rcv_buf, 0xffffu),
		.mss = tl->payload_mss,
		.port = s->port,
		.flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
		.opts = opts,
		.wscale = tl->rcv_scale,
	};

	rotate(lc);
	if (opts & TCP_OPT_WSCALE)
		bits |= C_SCALE(scale_index(s->wscale));
	if (opts & TCP_OPT_SACK_OK)
		bits |= C_SACK;
	bits |= tl->cookies.epoch & C_PARITY;
	b.seq = cookie(tl, &s->key, s->seq, bits);
	if (tcp_send_bare(lc, &b) < 0)
		return; // as if it were lost: the SYN comes again
	tl->cookies.until_us = lc->now_us + LIFETIME_US;
	stat_inc(lc, STAT_TCP_COOKIES);
}

bool
tcp_cookie_input(struct lcore *lc, const struct tcp_seg *s, struct tcp_conn **tc)
{
	struct tcp_lcore *tl = lc->tcp;
	uint32_t iss = s->ack - 1, bits = iss & 0xff, scale = scale_of[bits >> 2 & 7];
	struct tcp_half e = { .key = s->key, .iss = iss, .irs = s->seq - 1, .port = s->port };
	int l;

	if (lc->now_us >= tl->cookies.until_us ||
		(s->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) != RTE_TCP_ACK_FLAG)
		return false;
	l = tcp_find_listener(lc, &s->key);
	if (l < 0)
		return false;
	rotate(lc);
	if (cookie(tl, &s->key, e.irs, bits) != iss) {
		stat_inc(lc, STAT_TCP_COOKIES_BAD);
		return false;
	}
	e.listener = (uint8_t)l;
	e.mss = mss_of[bits >> 5];
	e.opts = TCP_OPT_MSS | (bits & C_SACK ? TCP_OPT_SACK_OK : 0);
	if (tl->conf.timestamps && (s->opts & TCP_OPT_TS)) {
		e.opts |= TCP_OPT_TS;
		e.ts_recent = s->tsval;
		// an echo of ours, as old as a cookie can be
		if (tcp_ts_now(lc) - s->tsecr <= LIFETIME_US / 1000)
			scale = s->tsecr & 15;
	}
	if (scale != NO_SCALE && tl->conf.wscale) {
		e.opts |= TCP_OPT_WSCALE;
		e.snd_scale = scale & 15;
	}
	*tc = tcp_establish(lc, &e, (struct tcp_ref){ .idx = TCP_NONE }, s);
	if (*tc != NULL)
		stat_inc(lc, STAT_TCP_COOKIES_OK);
	return true;
}

bool
tcp_cookie_may_come(const struct lcore *lc, const struct tcp_seg *s)
{
	return lc->now_us < lc->tcp->cookies.until_us && tcp_find_listener(lc, &s->key) >= 0;
}
