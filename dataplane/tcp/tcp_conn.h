/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TCP control block and what a worker's TCP owns. Private to dataplane/tcp.
 *
 * A TCB is four cache lines: receive, transmit, recovery, cold. Field names follow RFC 9293. The
 * send queue is linked through struct pkt (never through m->next, which a driver follows when it
 * frees); its mbufs carry seq, payload bounds and TXF_* there. The out-of-order queue uses the same
 * fields for its own mbufs.
 *
 * Bytes in flight ("pipe", RFC 6675) = snd_nxt - snd_una - sacked - lost, where `sacked` is what a
 * SACK covers (or, without SACK, what duplicate ACKs stand for) and `lost` what is marked lost and
 * was not sent again yet.
 */
#pragma once

#include <rte_tcp.h>

#include "dataplane/base/hash.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_rec.h"

/* ---- sequence numbers ---- */
static inline bool
seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}
static inline bool
seq_leq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}
static inline bool
seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}
static inline bool
seq_geq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}
static inline uint32_t
seq_max(uint32_t a, uint32_t b)
{
	return seq_gt(a, b) ? a : b;
}

/* ---- constants ---- */
#define TCP_MSS_MIN        88  // below, a peer only wants us to work (CVE-2019-11479)
#define TCP_MSS_DEFAULT4   536 // RFC 9293 3.7.1
#define TCP_MSS_DEFAULT6   1220
#define TCP_WSCALE_MAX     14 // RFC 7323 2.3
#define TCP_SACK_BLOCKS    4
#define TCP_DUPTHRESH      3
#define TCP_BURST          32
#define TCP_COPY_MAX       256 // received payload up to here is copied into the tail buffer
#define TCP_RETRY_MS       5   // after an allocation failed
#define TCP_WND_LOW        32768u // a window below is worth an update of its own
#define TCP_OPT_TS_LEN     12
#define TCP_OPT_TS_WORD    0x0101080au // two NOPs, kind and length (RFC 7323 appendix A)
#define TCP_LISTENERS      255
#define TCP_LISTEN_BUCKETS 64
#define TCP_HALF_LEVELS    8 // SYN-ACK retransmissions, at most
#define TCP_NONE           UINT32_MAX
#define TCP_SSTHRESH_NONE  (UINT32_MAX / 2) // nothing was lost yet
#define TCP_KEEPS          32 // different settings of keepalive per worker

/* IPv4 stands as ::ffff:a.b.c.d, so that the family is part of the key. */
struct tcp_key {
	uint32_t l[4], r[4];   // network order
	uint16_t lport, rport; // host order
};

/* ---- struct tcp_conn.flags ---- */
#define TF_TS         0x0001u // timestamps on every segment
#define TF_SACK       0x0002u // SACK negotiated
#define TF_WSCALE     0x0004u // window scaling negotiated
#define TF_ACK_NOW    0x0008u // an acknowledgement must leave in this loop
#define TF_OUT        0x0010u // in the list of tcp_run_output()
#define TF_EV         0x0020u // in the list of tcp_run_events()
#define TF_HASHED     0x0040u // in the flow table
#define TF_ACCEPT     0x0080u // accept() is to be called; user is the listener's cookie
#define TF_ORPHAN     0x0100u // the user let go
#define TF_DEAD       0x0200u // freed by the next tcp_run_output()
#define TF_FIN_QUEUED 0x0400u // FIN follows what is queued
#define TF_FIN_SENT   0x0800u
#define TF_FIN_RCVD   TCP_FLAG_EOF
#define TF_RECOVERY   0x2000u   // fast recovery until `recover`
#define TF_LOSS       0x4000u   // after a retransmission timeout until `recover`
#define TF_RTX_FORCE  0x8000u   // the next retransmission ignores cwnd (RFC 6675 5 (4.3)) and window
#define TF_SHORT      0x10000u  // send space ran short: WRITABLE when it is back
#define TF_DONE       0x20000u  // orderly end; CLOSED when the received bytes are read
#define TF_SHRUNK     0x40000u  // the peer took window back: its edge lies before SND.NXT
#define TF_WND_FORCE  0x80000u  // persist timer: send what the window takes, however little
#define TF_SYN_DUE    0x100000u // SYN or SYN-ACK to be sent (TCBs only)
#define TF_BLOCKED    0x200000u // output stopped at the peer's window
#define TF_PASSIVE    0x400000u
#define TF_REO        0x800000u // rtx_at is the end of a reordering window
#define TF_TLP        0x2000000u // rtx_at is the date of a tail loss probe
#define TF_PACED      0x4000000u // tcp_pace.c has a say in when something is sent
#define TF_TS_OLD     0x1000000u // RFC 7323 5.5: after 24 days ts_recent says nothing
#define TF_ANSWERED   0x8000000u // `answered` is valid
#define TF_SYN_LOST   0x10000000u // a SYN of ours timed out: the RTO is 3 s at least until a sample

/* What the state timer (rtx_at) stands for. */
enum tcp_tmode { TM_NONE, TM_RTX, TM_PERSIST, TM_FIN, TM_KEEP };

struct tcp_conn {
	/* ---- line 0: receive ---- */
	uint32_t rcv_nxt;
	uint32_t rcv_adv;  // right edge advertised; never moves back
	uint32_t last_ack; // acknowledgement number last sent
	uint32_t ts_recent;
	uint32_t flags;
	uint8_t state;
	uint8_t events; // TCP_EV_* for the next tcp_run_events()
	uint8_t snd_scale : 4, rcv_scale : 4;
	uint8_t tmode : 4;
	uint8_t rcv_step : 4; // how often the receive buffer has doubled (tcp_rcv_buf)
	struct chain rxq; // in order, unread
	struct rte_mbuf *ooo;
	sl_tick delack_at; // acknowledge (or try output again) by then
	uint16_t rcv_mss;  // largest payload seen: what "full-sized" means
	uint16_t ooo_segs;

	/* ---- line 1: transmit ---- */
	uint32_t snd_una, snd_nxt;
	uint32_t snd_wnd;
	uint32_t snd_wl1;
	uint32_t snd_end; // behind the last byte queued; the FIN stands here
	uint32_t cwnd, ssthresh;
	uint16_t mss;                                  // payload bytes per segment
	uint16_t max_wnd;                              // largest window field seen (unscaled)
	struct rte_mbuf *sndq, *sndq_tail, *sndq_next; // next: first never sent
	uint16_t sndq_segs;
	uint8_t dupacks; // in TM_PERSIST, TM_KEEP: probes without an answer
	uint8_t retries; // timeouts since progress
	uint32_t rcv_at : 24; // when the peer was last heard, in 256 ms (wraps as ticks do)
	uint32_t backoff : 8; // RTO is doubled so often

	/* ---- line 2: timer and recovery ---- */
	struct wheel_timer timer; // at the first of rtx_at and delack_at, or before
	sl_tick rtx_at;           // TM_NONE: when the send queue ran empty (idle since)
	uint32_t srtt;            // us << 3; 0: no sample yet
	uint32_t rttvar;          // us << 2
	uint32_t recover;
	uint32_t sacked, lost;
	uint32_t ooo_last; // in the block that goes first into SACK options
	uint32_t rec; // struct tcp_rec; TCP_NONE: none

	/* ---- line 3: cold, and the key ---- */
	struct tcp_key key;
	uint8_t cc : 3;   // index in tcp_cc_algos
	uint8_t keep : 5; // index in tcp_lcore.keep; 0: no keepalive
	uint8_t port;
	uint16_t neigh;
	uint32_t neigh_gen;
	uint8_t err;
	uint8_t answered; // when an empty segment out of place got its ACK, in 256 ms (wraps)
	uint16_t snd_kb;  // send buffer
	const struct tcp_handler *h;
	void *user;
};
/* Milliseconds since the peer was heard, to about a quarter of a second. */
static inline uint32_t
tcp_quiet_ms(const struct tcp_conn *tc, sl_tick now)
{
	return (((now >> 8) - tc->rcv_at) & 0xffffffu) << 8;
}
static inline uint32_t
tcp_snd_buf(const struct tcp_conn *tc)
{
	return (uint32_t)tc->snd_kb << 10;
}
static_assert(sizeof(struct tcp_conn) == 256, "a TCB is four cache lines");
static_assert(offsetof(struct tcp_conn, snd_una) == 64, "line 1");
static_assert(offsetof(struct tcp_conn, timer) == 128, "line 2");
static_assert(offsetof(struct tcp_conn, key) == 192, "line 3");

/* struct pkt.tx_flags: send queue */
#define TXF_SACKED 0x01u
#define TXF_LOST   0x02u
#define TXF_RETX   0x04u // sent again since it was marked lost
#define TXF_APP    0x08u // sent while the writer was the limit (tcp_pace.c)
/* out-of-order queue */
#define TXF_FIN    0x10u

/* A SYN that was answered. */
struct tcp_half {
	struct tcp_key key;
	uint32_t iss, irs;
	uint32_t ts_recent;
	uint16_t mss; // of the peer's option
	uint8_t opts; // TCP_OPT_* that are on
	uint8_t snd_scale : 4, level : 4;
	uint8_t port;
	uint8_t listener;
	uint16_t due; // tick >> 4, when the SYN-ACK is sent again
	uint32_t prev, next;
};
static_assert(sizeof(struct tcp_half) <= 64, "half-open entries");

struct tcp_tw {
	struct tcp_key key;
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent; // valid if ts
	sl_tick deadline;
	uint32_t prev, next;
	uint8_t port;
	bool ts;
	bool was_answered;
	uint8_t answered; // as in struct tcp_conn; valid if was_answered
};
static_assert(sizeof(struct tcp_tw) <= 64, "TIME_WAIT entries");

/* ---- options ---- */
#define TCP_OPT_MSS     0x01u
#define TCP_OPT_WSCALE  0x02u
#define TCP_OPT_SACK_OK 0x04u
#define TCP_OPT_TS      0x08u

struct tcp_sack {
	uint32_t from, to;
};

/* A parsed segment. */
struct tcp_seg {
	struct tcp_key key;
	uint64_t hash;
	uint32_t seq, ack;
	uint32_t tsval, tsecr;
	uint16_t wnd; // unscaled
	uint16_t off; // payload, from the start of data
	uint16_t len; // payload bytes
	uint16_t mss;
	uint8_t flags; // RTE_TCP_*_FLAG
	uint8_t opts;
	uint8_t wscale;
	uint8_t nsack;
	uint8_t port;
	uint8_t thl; // header bytes
	uint16_t l4;
	struct tcp_conn *tc; // probably its connection; NULL: nothing is known
	struct tcp_sack sack[TCP_SACK_BLOCKS];
};

static inline uint32_t
seg_end(const struct tcp_seg *s)
{
	return s->seq + s->len + !!(s->flags & RTE_TCP_SYN_FLAG) + !!(s->flags & RTE_TCP_FIN_FLAG);
}

/* ---- flow table ---- */
enum tcp_kind { TK_CONN, TK_HALF, TK_TW };
struct tcp_ref {
	uint32_t idx; // TCP_NONE: no entry
	enum tcp_kind kind;
};
struct tcp_bucket {
	uint16_t tag[8];
	uint32_t val[8]; // kind << 30 | index
	uint32_t next;   // overflow bucket, or TCP_NONE
	uint32_t n;      // entries used: the first n
	uint8_t more[8]; // bits of the hashes that say where an entry goes when buckets are split
} sl_cache_aligned;
static_assert(sizeof(struct tcp_bucket) == 64, "a bucket is a cache line");

struct tcp_table {
	struct tcp_bucket *b; // buckets, then overflow buckets
	uint32_t mask, split; // in use: mask + 1 + split; those before split have one more bit
	uint32_t nbuckets;    // that may be in use
	uint32_t nover;
	uint8_t min_bits; // of the first mask
	uint32_t over_free; // list through next
	uint32_t entries;
	uint64_t key[2];
	size_t bytes;
};

struct tcp_listener {
	struct ip_port addr;
	const struct tcp_handler *h; // NULL: free slot
	void *cookie;
	uint8_t next; // in its bucket, 255: end
};

struct tcp_fifo {
	uint32_t head, tail;
};

/* At most so many per second, the exact number drawn anew (RFC 5961 10). */
struct tcp_limit {
	uint64_t until_us;
	uint32_t left;
};

/* What SYN cookies need (tcp_cookie.c). */
struct tcp_cookies {
	uint64_t epoch;     // of key[epoch & 1]; the other one is the epoch before
	uint64_t until_us;  // the last cookie that was sent counts until then
	uint64_t key[2][2];
};

/* Segments that may leave as one frame (tcp_tso.c). */
struct tcp_join {
	uint8_t flags;    // of the last segment
	uint16_t n, most; // segments: held; in a frame, at most
	uint16_t size;    // payload of each but the last
	uint16_t size_max;
	uint32_t bytes, bytes_max; // payload of all
	uint32_t seq;              // of the first
	struct rte_mbuf *head, *tail;
};

struct tcp_lcore {
	struct tcp_conf conf;
	struct tcp_table table;
	struct pool conns, halfs, tws, recs;
	uint32_t *ev, *out; // indices of connections
	uint32_t nev, nout;
	uint32_t ts_off;
	uint16_t payload_mss;
	uint8_t rcv_scale;
	bool tso;                   // some port cuts frames into segments
	bool joining;               // segments are given to `join`
	uint32_t plenty, plenty_of; // tcp_share(): held up to here each may have rcv_buf, of this budget
	uint32_t sockets_open;      // reserved for telemetry
	struct wheel_timer aging; // of half-open and TIME_WAIT entries
	struct tcp_fifo half_fifo[TCP_HALF_LEVELS], tw_fifo;
	struct tcp_limit rst_limit, challenge_limit;
	uint64_t secret[2];
	struct tcp_cookies cookies;
	struct tcp_keepalive keep[TCP_KEEPS]; // [0]: none
	uint32_t nkeeps;
	struct tcp_listener listener[TCP_LISTENERS];
	uint8_t listen_bucket[TCP_LISTEN_BUCKETS];
	uint32_t nlisteners;
	struct port_classes *classes[PORT_MAX];
	uint32_t port_cursor;
	struct tcp_conn *dup_of; // duplicate data of this loop, for a D-SACK; NULL: none
	struct tcp_sack dup;
	uint32_t ooo_came; // pieces out of order, ever (wraps)
	struct tcp_join join;
	size_t list_bytes;
};

static inline struct tcp_rec *
tcp_rec(const struct tcp_lcore *tl, const struct tcp_conn *tc)
{
	return tc->rec == TCP_NONE ? NULL : pool_at(&tl->recs, tc->rec);
}

static inline struct tcp_conn *
conn_at(const struct tcp_lcore *tl, uint32_t i)
{
	return pool_at(&tl->conns, i);
}
