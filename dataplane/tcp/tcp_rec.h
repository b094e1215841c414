/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a connection needs once it is limited by its window, or loses something: a block of a pool
 * (tcp_rack.c). Private to dataplane/tcp.
 */
#pragma once

#include "dataplane/base/base.h"
#include "dataplane/base/tick.h"

struct tcp_westwood {
	uint64_t round_us;       // start of the running round trip
	uint64_t rate[2];        // bytes/s of the last two rounds, newest first
	uint32_t round_end;      // sequence number that ends it
	uint32_t delivered;      // in it, bytes
	uint32_t resent, flight; // of the running recovery
};

struct tcp_cubic {
	sl_tick epoch;     // when this congestion avoidance began; TICK_NONE: not yet
	sl_tick last;      // of the last growth: time without need does not count
	uint32_t w_max;    // bytes; 0: none (after a timeout)
	uint32_t k_ms;     // until w_max is reached again
	uint32_t w_est;    // what Reno would have
	uint32_t prior;    // cwnd at the last loss
	uint32_t est_part; // bytes acknowledged that w_est has not counted yet
	uint32_t w_saved;  // w_max before the last loss
};

/* Delivery rate (tcp_pace.c); times are the low 32 bits of us. */
struct tcp_rate {
	uint32_t dlv;             // bytes that arrived, ever (wraps)
	uint32_t dlv_us;          // when the last did
	uint32_t first_us;        // when the segment was sent that arrived last
	uint32_t app_until;       // of dlv; valid if app
	uint32_t s_dlv, s_us;     // of the running ACK: dlv before, and the time since; valid if sample
	bool app, sample, s_app;
};

struct tcp_bbr {
	uint32_t bw[3], bw_round[3]; // bytes/s: greatest of the last rounds, and what comes after it
	uint32_t rounds, round_end;  // of rate.dlv
	uint32_t min_rtt;            // us; UINT32_MAX: none
	sl_tick min_rtt_at, probe_until;
	uint32_t full_bw;
	uint32_t phase_us;   // low 32 bits, when the phase began
	uint32_t prior_cwnd; // before a loss, or PROBE_RTT
	uint8_t mode, phase, full_rounds;
	bool full;           // the path's rate was found
	bool probing, probe_round;
	bool conserve;       // first round of a recovery: out goes what arrives
	bool held;           // some of this round was such
	bool reduced;        // since the first loss of a recovery: prior_cwnd is the window
	bool lossy, after_rto, idle;
	uint32_t healed; // `rounds` when the last recovery ended, and 1; 0: none did
};

struct tcp_hystart {
	uint32_t end;            // sequence number that ends the round
	uint32_t last, cur;      // least RTT of the rounds, us; UINT32_MAX: none
	uint32_t base;           // of the round in which the slow phase (CSS) began; 0: not in it
	uint16_t samples, rounds;
};

/* A block of tcp_lcore.recs. Four cache lines; a connection with short answers has none. */
struct tcp_rec {
	/* RACK, RFC 8985 5.3 */
	uint64_t rack_us; // when the newest segment that has arrived was sent
	uint32_t rack_end, rack_rtt;
	uint32_t min_rtt[2]; // us: of the last 10 to 20 s, of its younger part
	sl_tick min_rtt_until;
	uint32_t fack;        // highest sequence number that has arrived
	uint32_t dsack_round; // valid if dsack_wait
	uint32_t tlp_end;     // valid if tlp
	uint8_t reo_mult;     // quarters of the least RTT
	uint8_t reo_persist;  // recoveries until it is 1 again
	bool reord, dsack_wait;
	bool tlp, tlp_retrans;
	bool dsack; // the ACK that is being processed says so
	/* path MTU (tcp_pmtu.c) */
	uint8_t mss_tries;
	uint16_t mss_full; // tried again at mss_at; 0: segments are as large as they may be
	sl_tick mss_at;
	/* PRR, RFC 6937 */
	uint32_t prr_delivered, prr_out, prr_flight; // prr_flight 0: not in use
	/* what a needless recovery took */
	uint32_t undo_cwnd, undo_ssthresh; // undo_cwnd 0: nothing to undo
	// retransmissions that no D-SACK, and no timestamp, has shown to be needless
	uint32_t undo_dsack, undo_ts;
	/* pacing, if TF_PACED */
	bool pace_held;     // in this loop something waits for its time
	bool pace_waits;    // and did in the last
	uint32_t pace_rate; // bytes/s; 0: none
	uint64_t pace_us;   // when the next segment may leave
	/* congestion control */
	union {
		struct {
			uint32_t part; // bytes or shares of a byte not counted yet
			struct tcp_hystart hy;
			union {
				struct tcp_westwood ww;
				struct tcp_cubic cu;
			};
		};
		struct {
			struct tcp_rate rate;
			struct tcp_bbr bbr;
		};
	};
};
static_assert(sizeof(struct tcp_rec) <= 256, "four cache lines");
