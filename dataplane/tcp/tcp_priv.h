/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of dataplane/tcp call of each other, by file in the order of a segment's way. All of
 * it runs on the worker that owns the connection. Private.
 */
#pragma once

#include "dataplane/tcp/tcp_conn.h"

/* ---- tcp_table.c ---- */
int tcp_table_init(struct lcore *lc, struct tcp_table *t, uint32_t entries, const uint64_t key[2]);
size_t tcp_table_bytes(uint32_t entries);
void tcp_table_fini(struct tcp_table *t);
uint64_t tcp_key_hash(const struct tcp_table *t, const struct tcp_key *k);
void tcp_key_set(struct tcp_key *k, const struct ip_addr *l, uint16_t lport,
	const struct ip_addr *r, uint16_t rport);
void tcp_key_get(const struct tcp_key *k, struct ip_addr *l, struct ip_addr *r);
bool tcp_key_is_v4(const struct tcp_key *k);
struct tcp_ref tcp_lookup(const struct tcp_lcore *tl, const struct tcp_key *k, uint64_t hash);
/* Touches what tcp_lookup() will read. */
void tcp_table_prefetch(const struct tcp_lcore *tl, uint64_t hash);
/* When that has arrived: touches the connection, and returns it if the tag is right. */
struct tcp_conn *tcp_table_prefetch_conn(const struct tcp_lcore *tl, uint64_t hash);
/* When that has arrived: the buffer that an acknowledgement will free. */
void tcp_prefetch_sent(const struct tcp_conn *tc);
/* Is that what tcp_lookup() would find, wherever the pointer is from (but of the pool)? */
bool tcp_table_is(const struct tcp_conn *tc, const struct tcp_key *k);
/* 0 or -ENOMEM (no overflow bucket left). */
int tcp_table_add(struct tcp_table *t, uint64_t hash, struct tcp_ref ref);
void tcp_table_del(struct tcp_table *t, uint64_t hash, struct tcp_ref ref);
/* The entry becomes another one of the same key. */
void tcp_table_replace(struct tcp_table *t, uint64_t hash, struct tcp_ref old, struct tcp_ref ref);

/* ---- tcp_conn.c ---- */
/* A TCB in the table (replacing old, if its idx is set), timers initialised. NULL: no memory. */
struct tcp_conn *tcp_conn_new(struct lcore *lc, const struct tcp_key *k, struct tcp_ref old);
/* Out of the table, timers off, send and out-of-order queues freed; the user is told. */
void tcp_conn_end(struct lcore *lc, struct tcp_conn *tc, int err);
/* Orderly end: as above once the received bytes are read. */
void tcp_conn_done(struct lcore *lc, struct tcp_conn *tc);
void tcp_conn_release(struct lcore *lc, struct tcp_conn *tc);
/* The handshake is over: buffers, windows, congestion control. */
void tcp_conn_start(struct lcore *lc, struct tcp_conn *tc, uint16_t peer_mss);
void tcp_isn(struct lcore *lc, const struct tcp_key *k, uint32_t *iss);
void tcp_flow_load(const struct tcp_key *k, uint8_t port, struct net_flow *f);
bool tcp_limit_ok(struct lcore *lc, struct tcp_limit *l, uint32_t per_s);
void tcp_sndq_free(struct lcore *lc, struct tcp_conn *tc);

/* ---- tcp_event.c ---- */
static inline void
tcp_touch(struct tcp_lcore *tl, struct tcp_conn *tc)
{
	if (!(tc->flags & TF_OUT)) {
		tc->flags |= TF_OUT;
		tl->out[tl->nout++] = pool_index(&tl->conns, tc);
	}
}

static inline void
tcp_raise(struct tcp_lcore *tl, struct tcp_conn *tc, uint8_t events)
{
	tc->events |= events;
	if (!(tc->flags & TF_EV)) {
		tc->flags |= TF_EV;
		tl->ev[tl->nev++] = pool_index(&tl->conns, tc);
	}
}

/* Data came twice: the next ACK of this loop says so (RFC 2883); tcp_send.c. */
void tcp_came_twice(struct lcore *lc, struct tcp_conn *tc, uint32_t from, uint32_t to);

/* ---- tcp_listen.c ---- */
void tcp_listen_init(struct tcp_lcore *tl);
/* A SYN of no connection; min_iss: 0, or the least ISN to use (TIME_WAIT reuse). */
void tcp_syn_input(
	struct lcore *lc, struct rte_mbuf *m, const struct tcp_seg *s, const uint32_t *min_iss);
/* A segment for a half-open entry; returns the connection to which the segment goes on, or NULL
 * when it was consumed. */
struct tcp_conn *tcp_half_input(
	struct lcore *lc, struct rte_mbuf *m, const struct tcp_seg *s, uint32_t idx);
/* A connection in the place of `old` (idx TCP_NONE: none) from what its handshake said; NULL: full. */
struct tcp_conn *tcp_establish(struct lcore *lc, const struct tcp_half *e, struct tcp_ref old,
	const struct tcp_seg *s);
/* The listener for a destination, or -ENOENT. */
int tcp_find_listener(const struct lcore *lc, const struct tcp_key *k);
/* Options of the SYN that we take part in. */
uint8_t tcp_syn_opts(const struct tcp_lcore *tl, const struct tcp_seg *s);
/* Sends SYN-ACKs again and forgets entries; at most `budget`. Next date or TICK_NONE. */
sl_tick tcp_half_age(struct lcore *lc, uint32_t budget);

/* ---- tcp_cookie.c ---- */
void tcp_cookie_init(struct lcore *lc);
/* Is a SYN to be answered without an entry? */
bool tcp_cookie_due(const struct lcore *lc);
/* Answers the SYN. */
void tcp_cookie_synack(struct lcore *lc, const struct tcp_seg *s);
/* A segment of no connection: true if it brings a cookie of ours. *tc: the connection; NULL: full. */
bool tcp_cookie_input(struct lcore *lc, const struct tcp_seg *s, struct tcp_conn **tc);
/* Perhaps the segment overtook the one that brings a cookie: no reset then. */
bool tcp_cookie_may_come(const struct lcore *lc, const struct tcp_seg *s);

/* ---- tcp_in.c: parsing and segment processing ---- */
/*
 * An empty segment out of place gets its ACK, but may be such an ACK itself: two sides of which each is
 * out of place for the other, after a forged segment say, would answer each other for ever. So it is one
 * in a quarter of a second, or two quarters; probes come less often. *at: of the last, in 256 ms, if there
 * was one.
 */
static inline bool
tcp_spare_ack(struct lcore *lc, bool was, uint8_t *at)
{
	uint8_t now = (uint8_t)(lc->now >> 8);

	if (was && (uint8_t)(now - *at) < 2) {
		stat_inc(lc, STAT_TCP_ACK_SPARED);
		return true;
	}
	*at = now;
	return false;
}

/* ---- tcp_reasm.c ---- */
/* Payload of an acceptable segment; takes m. Sets ACK flags and events. */
void tcp_data_input(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, struct tcp_seg *s);
void tcp_ooo_free(struct lcore *lc, struct tcp_conn *tc);
/* The peer's FIN is in order. */
void tcp_fin_input(struct lcore *lc, struct tcp_conn *tc);
/* SACK blocks to report, newest first; returns their number. */
uint32_t tcp_ooo_blocks(const struct tcp_conn *tc, struct tcp_sack *out, uint32_t max);

/* ---- tcp_ack.c ---- */
enum tcp_verdict { TV_OK, TV_DROP };
/* RFC 9293 3.10.7.4 fifth step; TV_DROP: the segment goes no further (counted). */
enum tcp_verdict tcp_ack_input(
	struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s, enum drop *why);
void tcp_ack_later(struct lcore *lc, struct tcp_conn *tc);
/* The same for a segment that tcp_is_predicted(). */
void tcp_ack_predicted(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s);

/* The reordering window is over: marks and, if something is lost, enters recovery. */
void tcp_reo_timeout(struct lcore *lc, struct tcp_conn *tc);
/* A recovery was needless: the windows as they were. */
void tcp_undo(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r);

/* ---- tcp_sack.c ---- */
/* Marks what the blocks cover; returns bytes newly covered. r may be NULL. */
uint32_t tcp_sack_update(
	struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r, const struct tcp_seg *s);
/* RFC 2883 4: is the first block one of data that came twice? */
bool tcp_is_dsack(const struct tcp_conn *tc, const struct tcp_seg *s);
/* RFC 6675 IsLost(), for a connection without a tcp_rec; returns bytes newly marked. */
uint32_t tcp_sack_mark_lost(struct tcp_conn *tc);
void tcp_mark_lost(struct tcp_conn *tc, struct pkt *p);
void tcp_mark_head_lost(struct tcp_conn *tc);
void tcp_mark_all_lost(struct tcp_conn *tc);

/* ---- tcp_rack.c ---- */
/* The connection's block, taken now if need be; NULL: none left. */
struct tcp_rec *tcp_rec_get(struct lcore *lc, struct tcp_conn *tc);
void tcp_rec_put(struct lcore *lc, struct tcp_conn *tc);
/* A segment arrived that was not known to have; s: the ACK that says so. */
void tcp_rack_arrived(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r,
	const struct pkt *p, const struct tcp_seg *s);
/* A round trip, for the least one. */
void tcp_rack_rtt(const struct lcore *lc, struct tcp_rec *r, uint32_t us);
/* What is lost by now; returns bytes newly marked. *wait_us: when to look again, 0: not. */
uint32_t tcp_rack_detect(
	struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r, uint64_t *wait_us);
/* A D-SACK: the window for reordering grows. */
void tcp_rack_dsack(struct tcp_conn *tc, struct tcp_rec *r);
/* A recovery is over. */
void tcp_rack_recovered(struct tcp_rec *r);
/* The retransmission timer ran out (RFC 8985 6.3). */
void tcp_rack_rto(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r);
/* Milliseconds until a tail loss probe, or 0: the RTO comes first. */
uint32_t tcp_tlp_ms(const struct tcp_lcore *tl, const struct tcp_conn *tc, uint32_t rto_ms);
void tcp_tlp_fire(struct lcore *lc, struct tcp_conn *tc);
/* RFC 8985 7.4: did the probe repair a loss? again: the ACK acknowledged nothing new. */
void tcp_tlp_acked(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r,
	const struct tcp_seg *s, bool again);

/* ---- tcp_prr.c: RFC 6937 ---- */
void tcp_prr_start(struct tcp_conn *tc, struct tcp_rec *r);
/* An ACK in recovery: sets cwnd. safe: it went forward and showed no further loss. */
void tcp_prr_acked(struct tcp_conn *tc, struct tcp_rec *r, uint32_t delivered, bool safe);

/* ---- tcp_out.c ---- */
void tcp_output(struct lcore *lc, struct tcp_conn *tc);
/* One segment of new data whatever cwnd says; false: there is none, or no window. */
bool tcp_send_one(struct lcore *lc, struct tcp_conn *tc);
/* A segment without payload. 0 or -ENOMEM. */
int tcp_send_ctl(struct lcore *lc, struct tcp_conn *tc, uint32_t seq, uint8_t flags);
/* RFC 5961: an ACK within the rate limit. */
void tcp_challenge(struct lcore *lc, struct tcp_conn *tc);
struct tcp_bare {
	const struct tcp_key *key;
	uint32_t seq, ack;
	uint32_t tsval, tsecr;
	uint16_t wnd, mss;
	uint8_t port, flags, opts, wscale;
};
/* A segment of no TCB: RST, SYN-ACK, the ACK of TIME_WAIT. 0 or -ENOMEM (counted). */
int tcp_send_bare(struct lcore *lc, const struct tcp_bare *b);
/* Answers a segment of no connection by RST (RFC 9293 3.10.7.1), rate-limited. */
void tcp_send_reset(struct lcore *lc, const struct tcp_seg *s);
uint32_t tcp_pipe(const struct tcp_conn *tc);

/* ---- tcp_send.c: emission ladder ---- */
/* Makes m (of the send queue) no longer than n; -ENOMEM. */
int tcp_sndq_split(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint32_t n);
/* Sends m of the send queue (first time or again); -ENOMEM. */
int tcp_sndq_emit(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint8_t flags);
/*
 * The receive buffer: from 256 KiB on it doubles while the reader empties the queue, and is
 * halved while he leaves a quarter of it; tune.tcp.rcvbuf at most.
 */
#define TCP_RCV_SHIFT 18u
#define TCP_RCV_STEPS 10u
static inline uint32_t
tcp_rcv_buf(const struct lcore *lc, const struct tcp_conn *tc)
{
	return sl_min(lc->tcp->conf.rcv_buf, 1u << (TCP_RCV_SHIFT + tc->rcv_step));
}
/* Is a window update worth a packet, given that the peer sees little? */
bool tcp_window_gains(const struct lcore *lc, const struct tcp_conn *tc);
static inline bool
tcp_window_due(const struct lcore *lc, const struct tcp_conn *tc)
{
	uint32_t low = sl_min(lc->tcp->conf.rcv_buf / 2, TCP_WND_LOW);

	return unlikely(tc->rcv_adv - tc->rcv_nxt < low) && tcp_window_gains(lc, tc);
}
/* ---- tcp_tso.c ---- */
/* From here on tcp_sndq_emit() gives its segments to tcp_join_add(), until tcp_join_end(). */
void tcp_join_begin(struct lcore *lc, struct tcp_conn *tc);
/* m begins at its payload; one reference of it is taken. */
void tcp_join_add(
	struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint32_t seq, uint8_t flags);
void tcp_join_end(struct lcore *lc, struct tcp_conn *tc);

/* What a TCP header adds up to, and its length. */
struct tcp_sum {
	uint64_t sum;
	uint16_t len;
};
/* Hands a finished segment to net. */
void tcp_transmit(
	struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, struct tcp_sum header);
/* The same for several in one, of `size` bytes each: m->next … are their payload. */
void tcp_transmit_joined(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint16_t size);
/* The segment's TCP header in front of the payload that starts at m's data. */
struct tcp_sum tcp_header(
	struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint32_t seq, uint8_t flags);

/*
 * What one queue of a connection may hold, in bytes of payload: an eighth of the worker's budget while
 * it is free, and with the square of what is left of it. So those who do not read share a part
 * among themselves, however many they are, and leave the others theirs. Not more than `most`, which is
 * found out without arithmetic where it is the answer.
 */
uint32_t tcp_share_scarce(const struct lcore *lc, uint32_t most);
static inline uint32_t
tcp_share(const struct lcore *lc, uint32_t most)
{
	const struct tcp_lcore *tl = lc->tcp;

	if (likely(lc->retained <= tl->plenty && lc->retain_max == tl->plenty_of &&
		    most <= tl->conf.rcv_buf))
		return most;
	return tcp_share_scarce(lc, most);
}

/* ---- tcp_pmtu.c ---- */
/* The path does not take what tc->mss was. */
void tcp_pmtu_reduce(struct lcore *lc, struct tcp_conn *tc, uint16_t mss);
/* Is it time to try again? r->mss_full is not 0. */
void tcp_pmtu_grow(const struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r);

/* ---- tcp_pace.c, for connections with TF_PACED ---- */
/* A tcp_rec was taken. */
void tcp_pace_init(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r);
/* Has the next segment to wait? Then the timer will be set by tcp_pace_end(). */
bool tcp_pace_wait(struct lcore *lc, struct tcp_conn *tc);
void tcp_pace_sent(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r, struct pkt *p);
/* A segment is acknowledged, or reported, for the first time. */
void tcp_pace_arrived(struct lcore *lc, struct tcp_rec *r, const struct pkt *p);
/* Output is over for this loop. */
void tcp_pace_end(struct lcore *lc, struct tcp_conn *tc);

/* ---- tcp_opt.c ---- */
/* Fills the option fields; -EBADMSG on a malformed list. */
int tcp_opt_parse(const uint8_t *p, uint32_t n, bool syn, struct tcp_seg *s);
/* Writers return the bytes written, a multiple of 4. */
uint32_t tcp_opt_ts(uint8_t *p, uint32_t tsval, uint32_t tsecr);
uint32_t tcp_opt_sack(uint8_t *p, const struct tcp_sack *b, uint32_t n);
uint32_t tcp_opt_syn(uint8_t *p, const struct tcp_bare *b);

/* ---- tcp_rtt.c ---- */
void tcp_rtt_sample(struct tcp_conn *tc, uint32_t us);
uint32_t tcp_rto_ms(const struct tcp_lcore *tl, const struct tcp_conn *tc);

static inline uint32_t
tcp_ts_now(const struct lcore *lc)
{
	return lc->now + lc->tcp->ts_off; // the same as of now_us, without a division
}

/*
 * RFC 7323 3.2, 4.1: how long ago, in milliseconds, we sent what `s` echoes. false: we never sent that; it
 * is of the future, or older than any round trip that we would believe.
 */
static inline bool
tcp_ts_age(const struct lcore *lc, const struct tcp_seg *s, uint32_t *ms)
{
	*ms = tcp_ts_now(lc) - s->tsecr;
	return *ms < 60000;
}

/* ---- tcp_timer.c ---- */
void tcp_timer_init(struct tcp_conn *tc);
/* Sets mode and deadline from what is outstanding; restart: an ACK made progress. */
void tcp_timer_update(struct lcore *lc, struct tcp_conn *tc, bool restart);
void tcp_timer_delack(struct lcore *lc, struct tcp_conn *tc, uint32_t ms);
void tcp_aging_init(struct lcore *lc);
void tcp_aging_arm(struct lcore *lc, sl_tick at);

/* ---- tcp_timewait.c ---- */
/* Moves the identity of a connection into the TIME_WAIT table; the TCB leaves the flow table. */
void tcp_timewait_enter(struct lcore *lc, struct tcp_conn *tc);
void tcp_timewait_input(
	struct lcore *lc, struct rte_mbuf *m, const struct tcp_seg *s, uint32_t idx);
void tcp_timewait_del(struct lcore *lc, uint32_t idx);
sl_tick tcp_timewait_age(struct lcore *lc, uint32_t budget);

/* ---- tcp_port.c ---- */
int tcp_port_init(struct lcore *lc);
void tcp_port_fini(struct lcore *lc);
/* A free local port whose replies reach this worker, into k->lport; -EADDRNOTAVAIL. */
int tcp_port_pick(struct lcore *lc, uint8_t port, struct tcp_key *k);

/* ---- lists by index, for half-open and TIME_WAIT entries ---- */
#define TCP_FIFO_ADD(tl_, pool_, type_, fifo_, idx_)                                     \
	do {                                                                             \
		type_ *e_ = pool_at(&(tl_)->pool_, (idx_));                              \
		e_->next = TCP_NONE;                                                     \
		e_->prev = (fifo_)->tail;                                                \
		if ((fifo_)->tail != TCP_NONE)                                           \
			((type_ *)pool_at(&(tl_)->pool_, (fifo_)->tail))->next = (idx_); \
		else                                                                     \
			(fifo_)->head = (idx_);                                          \
		(fifo_)->tail = (idx_);                                                  \
	} while (0)
#define TCP_FIFO_DEL(tl_, pool_, type_, fifo_, idx_)                                  \
	do {                                                                          \
		type_ *e_ = pool_at(&(tl_)->pool_, (idx_));                           \
		if (e_->prev != TCP_NONE)                                             \
			((type_ *)pool_at(&(tl_)->pool_, e_->prev))->next = e_->next; \
		else                                                                  \
			(fifo_)->head = e_->next;                                     \
		if (e_->next != TCP_NONE)                                             \
			((type_ *)pool_at(&(tl_)->pool_, e_->next))->prev = e_->prev; \
		else                                                                  \
			(fifo_)->tail = e_->prev;                                     \
	} while (0)
