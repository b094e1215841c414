// SPDX-License-Identifier: BSD-3-Clause
/*
 * Round-trip time and retransmission timeout.
 *
 * Runs on: the worker that owns the connection.
 * Follows: RFC 6298; samples come from segments sent once (Karn) or from timestamps, in
 * microseconds. srtt is kept times 8, rttvar times 4, so that the gains 1/8 and 1/4 are shifts.
 * Not here: when a sample may be taken (tcp_ack.c), the timer (tcp_timer.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define RTT_MAX_US            60000000u
#define RTO_AFTER_LOST_SYN_MS 3000u

void
tcp_rtt_sample(struct tcp_conn *tc, uint32_t us)
{
	us = sl_min(us, RTT_MAX_US);
	us = sl_max(us, 1u);
	if (tc->srtt == 0) {
		// (2.2) SRTT = R, RTTVAR = R/2
		tc->srtt = us << 3;
		tc->rttvar = us << 1;
		return;
	}
	// (2.3) RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R|, then SRTT = 7/8 SRTT + 1/8 R
	int32_t err = (int32_t)us - (int32_t)(tc->srtt >> 3);
	uint32_t dev = (uint32_t)(err < 0 ? -err : err);

	tc->rttvar += dev - (tc->rttvar >> 2);
	tc->srtt = (uint32_t)((int32_t)tc->srtt + err);
	if (tc->srtt == 0)
		tc->srtt = 1;
}

uint32_t
tcp_rto_ms(const struct tcp_lcore *tl, const struct tcp_conn *tc)
{
	uint64_t ms = tl->conf.rto_init_ms;

	// (2.3) RTO = SRTT + max(G, 4 RTTVAR); G is our millisecond
	if (tc->srtt != 0)
		ms = ((tc->srtt >> 3) + sl_max(1000u, tc->rttvar) + 999) / 1000;
	else if (unlikely(tc->flags & TF_SYN_LOST)) // (5.7)
		ms = sl_max(ms, (uint64_t)RTO_AFTER_LOST_SYN_MS);
	ms = sl_max(ms, (uint64_t)tl->conf.rto_min_ms);
	ms <<= tc->backoff > 16 ? 16u : tc->backoff;
	return (uint32_t)sl_min(ms, (uint64_t)tl->conf.rto_max_ms);
}

uint32_t
tcp_srtt_us(const struct tcp_conn *tc)
{
	return tc->srtt >> 3;
}
