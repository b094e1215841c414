/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the named cases share: a recording endpoint over a stack, and a puppet, a peer of host 0
 * whose every segment the test writes.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

#define F_SYN RTE_TCP_SYN_FLAG
#define F_FIN RTE_TCP_FIN_FLAG
#define F_RST RTE_TCP_RST_FLAG
#define F_ACK RTE_TCP_ACK_FLAG
#define F_PSH RTE_TCP_PSH_FLAG

#define MS    1000ull
#define SEC   1000000ull

struct ep {
	struct sim *sim;
	int host;
	struct tcp_conn *tc; // NULL once closed
	uint32_t events;     // all that came
	uint32_t calls;
	int err;
	uint64_t got, sent;
	bool hold; // does not read
	bool echo;
	bool refuse; // accept() says no
	bool wrong;  // a byte was not what ep_send() sends
	bool accepted;
	void (*on_event)(struct ep *e, uint32_t ev);
};

extern const struct tcp_handler ep_handler;

void ep_listen(struct sim *sim, int host, uint16_t port, bool v6, struct ep *e);
int ep_connect(struct sim *sim, int host, uint16_t port, bool v6, struct ep *e);
/* Queues n bytes of the pattern that every ep checks, in segments of its mss. */
int ep_send(struct ep *e, uint32_t n);
void ep_read(struct ep *e);
void ep_shutdown(struct ep *e);
void ep_close(struct ep *e);
void ep_abort(struct ep *e);

/* Opens the simulation (defaults when conf is NULL) with warm neighbours and runs it down again. */
void case_open(struct sim *sim, const struct tcp_conf *conf);
void case_open_seed(struct sim *sim, uint64_t seed, const struct tcp_conf *conf);
void case_close(struct sim *sim);
/* Steps for that long; fails the test on a broken invariant. */
void run(struct sim *sim, uint64_t us);
/* A pair on port 80, established; host 0 is the client. */
void pair(struct sim *sim, bool v6, struct ep *client, struct ep *server);

struct pup {
	struct sim *sim;
	struct sim_pkt out; // key, flags, options of what it sends next
	struct sim_pkt in;  // last segment expected
	uint32_t seq, ack;
	uint16_t wnd;
	bool ts;
	uint32_t tsval, tsecr;
};

/* Host 0 listens on port: full handshake from local port cport. opts: TCP_OPT_*; mss 0: none. */
void pup_connect(
	struct pup *p, struct sim *sim, uint16_t port, uint16_t cport, uint8_t opts, uint16_t mss);
/* Only names it: the first segment is the test's. */
void pup_init(struct pup *p, struct sim *sim, uint16_t port, uint16_t cport, bool v6);
/* Takes the SYN of host 0 (from ep_connect); what answers it is the test's. */
void pup_syn(struct pup *p, struct sim *sim);
/* Takes it and answers. */
void pup_accept(struct pup *p, struct sim *sim, uint8_t opts, uint16_t mss);
/* Opens the simulation: host 0 listens on port 80, and the puppet connects. */
void case_passive(
	struct sim *sim, const struct tcp_conf *conf, struct ep *s, struct pup *p, uint8_t opts);
/* Opens the simulation: host 0 connects, and the puppet accepts. */
void case_active(
	struct sim *sim, const struct tcp_conf *conf, struct ep *c, struct pup *p, uint8_t opts);
/* Sends at p->seq (which moves on) with p->ack. */
void pup_send(struct pup *p, uint8_t flags, uint32_t len);
/* Sends at another place; p->seq stays. */
void pup_send_at(struct pup *p, uint32_t seq, uint8_t flags, uint32_t len);
/* The next segment of host 0 within so long; false: none came. */
bool pup_next(struct pup *p, uint64_t us);
/* Must come: flags (but PSH) and payload length. */
#define pup_expect(p, flags, len, us) pup_expect_((p), (flags), (len), (us), __LINE__)
void pup_expect_(struct pup *p, uint8_t flags, uint32_t len, uint64_t us, int line);
#define pup_silence(p, us) assert_false(pup_next((p), (us)))

int group_start(void **state);
int group_stop(void **state);
