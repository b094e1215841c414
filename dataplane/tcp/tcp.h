/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/tcp: the TCP state machine, one instance per worker.
 *
 * Clock, randomness, buffers and wire come from the lcore (lc->now_us, lc->rand, lc->pool, net_*),
 * so the same objects run on workers, in a virtual-time simulator, under a fuzzer and in the
 * benchmark. All functions run on the owner of the connection.
 *
 * Events are batched: tcp_input() handles all segments of a burst, then calls the handler once per
 * touched connection with the accumulated events; output happens after the handlers, once per
 * connection and loop, so that acknowledgements ride on data.
 */
#pragma once

#include "dataplane/lcore/lcore.h"
#include "dataplane/net/chain.h"
#include "dataplane/net/net.h"

struct tcp_conn;

enum tcp_state {
	TCP_CLOSED,
	TCP_SYN_SENT,
	TCP_SYN_RECEIVED,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_TIME_WAIT,
	TCP_NR_STATES
};
const char *tcp_state_name(enum tcp_state s);

#define TCP_EV_CONNECTED 0x01u // active open done, or passive open ready (after accept)
#define TCP_EV_READABLE 0x02u  // new in-order bytes in tcp_rx()
#define TCP_EV_WRITABLE 0x04u  // send space came back after tcp_send_space() was short
#define TCP_EV_EOF 0x08u       // the peer's FIN: no more bytes behind those in tcp_rx()
#define TCP_EV_CLOSED 0x10u    // the connection is over; see tcp_error(). Last event ever: the
                               // TCB is gone when the handler returns
#define TCP_EV_ACKED 0x20u     // everything sent was acknowledged

struct tcp_handler {
	/*
	 * A passive connection finished its handshake. cookie: of the listener. Returns the user
	 * pointer for events, or NULL to refuse (reset).
	 */
	void *(*accept)(struct lcore *lc, void *cookie, struct tcp_conn *tc);
	/* May send, read, shut, close or abort; never called re-entrantly from those. */
	void (*event)(struct lcore *lc, struct tcp_conn *tc, void *user, uint32_t events);
	/*
	 * Optional: an event comes soon, so touch what it will read: what user refers to (step 1),
	 * and later, when that has arrived, what the objects above refer to (step 2). No other
	 * effect; *user may have been freed, its memory is still that of a pool.
	 */
	void (*prefetch)(const void *user, uint32_t step);
};

/* Congestion controls; rows of the documentation's table. */
enum tcp_cc_id {
	TCP_CC_NEWRENO,
	TCP_CC_WESTWOOD,
	TCP_CC_CUBIC,
	TCP_CC_BBR,
	TCP_CC_NR,
	TCP_CC_HOST = TCP_CC_NR // only in a configuration: control/congestion.c says which it is
};

/* When a SYN is answered by a cookie, without keeping anything. */
enum tcp_cookie_use {
	TCP_COOKIES_OFF,  // a full table forgets its oldest entry
	TCP_COOKIES_AUTO, // from three quarters of the half-open table on, or under pressure
	TCP_COOKIES_ALWAYS
};

/* Probes of an idle connection (RFC 1122 4.2.3.6). */
struct tcp_keepalive {
	uint32_t idle_ms;  // without a word of the peer, before the first probe
	uint32_t intvl_ms; // between probes
	uint32_t count;    // unanswered ones that end the connection
};

/* Limits and timers; milliseconds. Defaults by tcp_conf_default(). */
struct tcp_conf {
	uint32_t max_conns;     // TCBs per worker
	uint32_t max_half_open;
	uint32_t max_timewait;
	uint32_t rcv_buf, snd_buf; // bytes per connection and direction
	uint32_t rto_min_ms, rto_max_ms, rto_init_ms;
	uint32_t delack_ms;
	uint32_t syn_retries, data_retries;
	uint32_t timewait_ms;
	uint32_t fin_timeout_ms;
	uint16_t port_first, port_last; // ephemeral range
	struct tcp_keepalive keepalive; // where a connection names nothing else
	uint32_t cookies;               // enum tcp_cookie_use
	uint32_t sack, timestamps, wscale; // 0 or 1
	uint32_t cc;                       // enum tcp_cc_id
};
void tcp_conf_default(struct tcp_conf *c);
/* Bytes that tcp_attach() will take with it. */
size_t tcp_memory(const struct tcp_conf *c);

/* secret: 16 bytes, the same on all workers (ISN, hashes). */
int tcp_attach(struct lcore *lc, const struct tcp_conf *c, const uint64_t secret[2]);
void tcp_detach(struct lcore *lc);

/* For net_attach(). */
void tcp_input(struct lcore *lc, struct rte_mbuf **m, uint16_t n);
bool tcp_icmp(struct lcore *lc, const struct net_icmp_error *e);

/* Runs handlers of connections that have events; after each input burst and after timers. */
void tcp_run_events(struct lcore *lc);
/* Sends what is ready on all touched connections: once per loop, before net_flush(). */
void tcp_run_output(struct lcore *lc);

/* ---- listening ---- */
/* addr family any-address: all local addresses of the family. Same cookie on every worker. */
int tcp_listen(struct lcore *lc, const struct ip_port *addr, const struct tcp_handler *h,
	void *cookie);
int tcp_unlisten(struct lcore *lc, const struct ip_port *addr);

/* ---- connections ---- */
/*
 * Opens a connection; laddr may have family ADDR_NONE (chosen by route), its port 0 (chosen so that
 * replies come back to this worker). 0 and *out, or -ENETUNREACH, -EADDRNOTAVAIL (no port free),
 * -ENOMEM. Completion: TCP_EV_CONNECTED or TCP_EV_CLOSED.
 */
int tcp_connect(struct lcore *lc, const struct ip_port *raddr, const struct ip_port *laddr,
	const struct tcp_handler *h, void *user, struct tcp_conn **out);

/*
 * In-order received bytes: the head of the queue, to look at in place. Valid until the next call
 * that takes or drops.
 */
const struct chain *tcp_rx(const struct tcp_conn *tc);
/* Moves the first n bytes to out (appended); 0 or -ENOMEM (a split inside an mbuf). */
int tcp_rx_take(struct lcore *lc, struct tcp_conn *tc, uint32_t n, struct chain *out);
void tcp_rx_drop(struct lcore *lc, struct tcp_conn *tc, uint32_t n);
/* Has TCP_FLAG_EOF once the peer's FIN was received in order (bytes may still be unread). */
#define TCP_FLAG_EOF 0x1000u
const uint32_t *tcp_flags(const struct tcp_conn *tc);
static inline bool
tcp_rx_eof(const struct tcp_conn *tc)
{
	return (*tcp_flags(tc) & TCP_FLAG_EOF) != 0;
}

/* Acknowledges what was received in this loop, instead of waiting for data to ride on. */
void tcp_ack_now(struct lcore *lc, struct tcp_conn *tc);

/* Bytes that tcp_send() takes now without exceeding the send buffer. */
uint32_t tcp_send_space(const struct tcp_conn *tc);
/*
 * Queues a chain; takes ownership always. May exceed the space (then space is 0 until it drains):
 * callers that ask for space first stay within bounds by one message. -EPIPE after shutdown or on
 * a dead connection (the chain is freed).
 */
int tcp_send(struct lcore *lc, struct tcp_conn *tc, struct chain *c);
/* Unsent and unacknowledged bytes. */
uint32_t tcp_send_queued(const struct tcp_conn *tc);
/* FIN after what is queued. The other direction stays open. */
int tcp_shutdown(struct lcore *lc, struct tcp_conn *tc);
/*
 * The user lets go: no more events. Sends FIN after what is queued, received data from now on is
 * answered by RST (RFC 9293 3.10.4/3.6), the TCB lives until the close is done or times out.
 */
void tcp_close(struct lcore *lc, struct tcp_conn *tc);
/* RST at once; no more events. */
void tcp_abort(struct lcore *lc, struct tcp_conn *tc);

void tcp_set_user(struct tcp_conn *tc, const struct tcp_handler *h, void *user);
/*
 * Keepalive from now on; zero fields stand for the worker's settings (tcp_conf). k NULL: none. A
 * worker knows 31 different settings; the worker's own take the place of further ones.
 */
void tcp_set_keepalive(struct lcore *lc, struct tcp_conn *tc, const struct tcp_keepalive *k);
/* Errno of the end: 0 orderly, ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH. */
int tcp_error(const struct tcp_conn *tc);
enum tcp_state tcp_get_state(const struct tcp_conn *tc);
void tcp_get_addrs(const struct tcp_conn *tc, struct ip_port *local, struct ip_port *remote);
/* Payload bytes per segment that fit the peer and the path (options subtracted). */
uint32_t tcp_mss(const struct tcp_conn *tc);
/* The payload unit of this worker's ports: what receivers are told, writers fill. */
uint32_t tcp_payload_unit(const struct lcore *lc);
uint32_t tcp_srtt_us(const struct tcp_conn *tc);

struct tcp_info {
	uint32_t conns, half_open, timewait, listeners;
	uint32_t retained; // truesize in queues
};
void tcp_get_info(const struct lcore *lc, struct tcp_info *out);

/*
 * Invariants of all connections (a timer armed whenever data is outstanding, nothing sent beyond
 * the window, queue sums right): 0 or -EINVAL with a text. For tests and simulators.
 */
int tcp_validate(const struct lcore *lc, char *why, uint32_t size);
