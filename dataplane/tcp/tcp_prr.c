// SPDX-License-Identifier: BSD-3-Clause
/*
 * Proportional rate reduction: during fast recovery the window comes down with what arrives, not at
 * once, so that retransmissions and new data keep flowing.
 *
 * Runs on: the worker that owns the connection.
 * Follows: RFC 6937 3, with the choice of RFC 9937 between its two reduction bounds: slow start's
 * only while ACKs go forward and show no further loss, else strictly what arrived.
 * Not here: ssthresh (the congestion control's).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

void
tcp_prr_start(struct tcp_conn *tc, struct tcp_rec *r)
{
	r->prr_delivered = r->prr_out = 0;
	// RFC 9937 6: what was reported before will not be delivered again
	r->prr_flight = sl_max(tc->snd_nxt - tc->snd_una - tc->sacked, 1u);
}

void
tcp_prr_acked(struct tcp_conn *tc, struct tcp_rec *r, uint32_t delivered, bool safe)
{
	uint32_t pipe = tcp_pipe(tc), count;

	if (r->prr_flight == 0) // the recovery began without a block: the window is ssthresh
		return;
	if (r->prr_delivered == 0)
		r->prr_flight += delivered; // the ACK that began it
	r->prr_delivered += delivered;
	if (pipe > tc->ssthresh) { // proportional: CEIL(prr_delivered * ssthresh / RecoverFS)
		uint64_t due = ((uint64_t)r->prr_delivered * tc->ssthresh + r->prr_flight - 1) /
			r->prr_flight;
		count = due > r->prr_out ? (uint32_t)(due - r->prr_out) : 0;
	} else {
		uint32_t owed = r->prr_delivered > r->prr_out ? r->prr_delivered - r->prr_out : 0;
		count = sl_max(owed, delivered);
		if (safe)
			count += tc->mss;
		count = sl_min(count, tc->ssthresh - pipe);
	}
	// the first retransmission always goes (RFC 6675 5 (4.3)); so does one segment, ever
	tc->cwnd = sl_max(pipe + count, (uint32_t)tc->mss);
}
