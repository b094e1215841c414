/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/proxy (flow): sessions, streams and transactions of a worker.
 *
 * conn (bytes) -> mux -> stream (two endpoints, timers, variables, program cursor, handle) -> txn
 * (one exchange: request, response, log block). The session is what the streams of one client
 * connection share.
 */
#pragma once

#include "dataplane/conn/conn.h"
#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"
#include "dataplane/proxy/call.h"

/* How connections are made; NULL in the spec: conn_listen() and so on. Tests put a fake here. */
struct px_transport {
	int (*listen)(struct lcore *lc, const struct ip_port *addr, const struct conn_handler *h,
		void *cookie);
	int (*unlisten)(struct lcore *lc, const struct ip_port *addr);
	int (*connect)(struct lcore *lc, const struct ip_port *to, const struct ip_port *from,
		const struct conn_handler *h, void *user, struct conn **out);
};

struct px_spec {
	uint32_t max_streams;
	uint32_t max_sessions; // 0: as many as streams
	uint32_t nscripts;
	uint32_t call_slots;  // per script thread
	uint32_t log_records; // of the log ring, a power of two; 0: 1024
	const struct px_transport *transport;
};
/* Bytes that px_attach() will take, without the log ring. */
size_t px_memory(const struct px_spec *s, uint32_t nproxies);
int px_attach(struct lcore *lc, const struct px_spec *s);
void px_detach(struct lcore *lc);
/* Opens the listeners of the published model, closes those it no longer has. 0 or -Exxx. */
int px_listen(struct lcore *lc, const struct model *m);
void px_unlisten_all(struct lcore *lc);
/*
 * Before px_listen() with another generation: what is kept by slot begins anew where the slot has
 * another owner since, or another address. served: lc->served of the one before.
 */
void px_adopt(struct lcore *lc, const struct model *m, uint64_t served);
/*
 * While lc->following, once per loop: moves idle connections to the generation of now and ends those
 * of generations that are to end, a few at a time. True: there is more to do.
 */
bool px_follow(struct lcore *lc);
/* Soft stop: no new connections, kept ones end with their request, idle kept ones now. */
void px_stop(struct lcore *lc);
/* Messages from script threads (CALL_DONE), from main (SERVER_STATE) and workers (SRV_TOKEN). */
void px_script_message(struct lcore *lc, uint16_t script, const struct xmsg *m);
void px_main_message(struct lcore *lc, const struct xmsg *m);
/* Under PRESSURE_SHED, once per loop: closes idle connections of both sides. */
void px_shed(struct lcore *lc);
/* A capture runs: tells it of streams that were there before, some at a time. */
void px_show_links(struct lcore *lc);
/* Streams and client connections alive, for stop and telemetry. */
uint32_t px_streams(const struct lcore *lc);
uint32_t px_sessions(const struct lcore *lc);

/* Memory of the call slots of a worker, for the script threads to see: slot i of script s. */
struct call_slot *px_call_slot(const struct lcore *lc, uint16_t script, uint32_t i);

/* ---- log records: worker -> main ---- */
#define LOGREC_TEXT   1024 // of the request line
#define LOGREC_VALUES 1024 // of expressions and captures, with their lengths
/* Values of a record, in their order; those of expressions follow the captures. */
#define LOGREC_UNIQUE_ID 0u
#define LOGREC_CAPTURES  1u
#define LOGREC_NONE      0xffffu // length of what is not there
#define LOGREC_SERVICE (UINT16_MAX - 1) // in place of a server: a service of a script
/* Fixed-size; HAProxy's timers in milliseconds, -1: not reached. */
struct logrec {
	uint64_t accept_wall_us; // date of the request
	uint64_t start_wall_us;  // of the accept, or of the end of the exchange before
	uint32_t generation;
	uint32_t unique;
	struct ip_port src, dst, bc_src, bc_dst;
	uint16_t fe, be;                   // index into model->proxies, UINT16_MAX none
	uint16_t srv;                      // index within the backend, UINT16_MAX none
	char svc[48];                      // with LOGREC_SERVICE: "<lua.NAME>"
	int32_t tr, tw, tc, tresp, ta, th; // TR Tw Tc Tr Ta Th
	int32_t tt, ti, td;                // Tt Ti Td
	uint64_t bytes_out, bytes_in;
	uint16_t status;
	uint8_t mode; // enum px_mode
	uint8_t retries;
	bool redispatched;
	uint8_t level; // enum sl_level; HAProxy's default is info
	char term[4]; // termination state, e.g. "----", "SC--"
	uint32_t actconn, feconn, beconn, srvconn;
	uint32_t srv_queue, be_queue; // requests that were queued before it there
	bool asap;         // "option logasap": what is counted goes on
	bool tls;          // of the client's connection
	bool no_captures;  // there never was a request
	uint16_t text_len; // request line in text
	bool truncated;
	uint16_t values_len; // behind it: length (16 bits) and bytes of each
	char text[LOGREC_TEXT + LOGREC_VALUES];
};
/*
 * Records are far larger than what the ring itself needs, and a reader that keeps up leaves few of
 * them under way: the worker fills the one that came back last, which is still in its caches.
 */
struct logring {
	/* ==== worker writes ==== */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) tail;
	uint32_t back;  // entries of `ring` whose records the worker has taken back
	uint32_t nidle; // in `idle`, the last to be used next
	/* ==== main writes ==== */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) head;
	/* ==== fixed ==== */
	alignas(SL_CACHE_LINE) uint32_t mask;
	struct logrec *rec;
	uint16_t *ring; // indices of the records under way; the worker writes
	uint16_t *idle; // the worker's
};
/* n: a power of two, at most 32768. px_attach() makes one where lc->logring is NULL. */
struct logring *logring_new(uint32_t n, int socket);
void logring_free(struct logring *r);
/* Main: the record at a position between head and tail. */
const struct logrec *logring_at(const struct logring *r, uint32_t at);
/* Main: the next record, or NULL; done() gives it back. */
const struct logrec *logring_peek(struct logring *r);
void logring_done(struct logring *r);
