/* SPDX-License-Identifier: BSD-3-Clause */
/* What a worker has for sessions and streams; private to dataplane/proxy. */
#pragma once

#include "dataplane/lcore/capture.h"
#include "dataplane/proxy/content.h"
#include "dataplane/proxy/stream.h"
#include "dataplane/proxy/survey.h"

#define PX_MAX_LISTENERS MODEL_MAX_BINDS

/*
 * Chunk sizes of a stream's arena: the small one holds both heads of a usual exchange with their
 * room for edits; the large one holds the largest head. Small ones take an odd number of cache lines:
 * those that began at the same place in their pages would share a few sets of the nearest cache.
 */
#define PX_CHUNK_SMALL (4096u + SL_CACHE_LINE)
#define PX_CHUNK_LARGE (HTTP_MAX_HEAD + HTTP_REWRITE + 1024u)

/* HAProxy's turn-around pause before the same server is tried again. */
#define PX_RETRY_PAUSE_MS 1000

/* Malformed heads that are kept for "show errors". */
#define PX_BAD_HEADS 16u

struct px_listener {
	const struct listen_addr *bind; // of the generation in use
	struct ip_port addr;
	bool open, http;
};

/* Free chunks of one size; not zeroed on reuse, unlike a pool's objects. */
struct px_chunks {
	struct arena_chunk *free;
	uint32_t size; // usable bytes
	uint32_t used, nr;
	uint32_t fail_in; // test hook: refuse the n-th next one (0: off)
};

struct px_lcore {
	struct lcore *lc;
	struct pool sessions, streams;
	struct st_side *side; // by stream index
	struct px_chunks small, large;
	struct arena_src src;
	const struct px_transport *net;
	struct call_lcore *calls;
	struct px_listener lst[PX_MAX_LISTENERS];
	uint32_t nlst;
	uint32_t shed_at; // next session that px_shed() looks at
	uint32_t follow_at; // and px_follow()
	uint64_t ending;    // generations by place whose connections are ended
	uint32_t unique;
	int pid; // for unique-ids
	uint32_t nbad; // malformed heads so far
	struct survey_bad bad[PX_BAD_HEADS]; // the last ones
	uint32_t *be_conns; // by proxy slot: streams at this backend, of this worker
	uint32_t nproxies;
	void *mem;
	size_t mem_size;
};

/* Keepalive of a connection, if the proxy wants it; which: PX_O_CLITCPKA or PX_O_SRVTCPKA. */
static inline void
px_keepalive(struct lcore *lc, struct conn *c, const struct proxy *p, uint32_t which)
{
	const struct px_keepalive *k = which == PX_O_CLITCPKA ? &p->keep_client : &p->keep_server;

	if (unlikely((p->options & which) != 0))
		conn_keepalive(lc, c, k->idle_ms, k->intvl_ms, k->count);
}

/* ---- show.c: for whoever captures traffic ---- */
void show_link(const struct stream *s, struct capture *c);
/* The stream has a server connection from now on: what both ends are. */
static inline void
px_show_link(const struct stream *s)
{
	struct capture *c = capture_of(s->lc);

	if (unlikely(c != NULL))
		show_link(s, c);
}

/* ---- session.c ---- */
void session_free(struct session *ses);
/* A stream ended; alive: the connection goes on. */
void session_stream_ended(struct session *ses, bool alive);
/* No more requests: ends a connection that waits for its next one. */
void session_stop(struct session *ses);
void *session_accept(struct lcore *lc, void *cookie, struct conn *c);

/* Between requests: belongs to the generation that is served now, if that has its address. */
void session_move(struct session *ses);
static inline void
session_follow(struct session *ses)
{
	if (unlikely(ses->bind->model != ses->lc->model))
		session_move(ses);
}
/* By order of main, whatever it does; may be gone afterwards. */
void session_kill(struct session *ses);

/* ---- follow.c ---- */
static inline void
px_follow_start(struct lcore *lc)
{
	lc->px->follow_at = 0;
	lc->following = lc->px->sessions.used > 0;
}
/* XMSG_GEN_END */
void px_end(struct lcore *lc, uint32_t place);

/* ---- px.c ---- */
/* The bind of an address in the model that is served now; NULL: none, or of another mode. */
const struct listen_addr *px_bind_now(
	struct lcore *lc, const struct ip_port *addr, enum px_mode mode);

/* ---- shed.c ---- */
/* Answers 503 under pressure; true: the stream has ended. */
bool px_refuses(struct stream *s);

/* ---- counters ---- */
static inline struct px_counters *
px_cnt(struct lcore *lc, const struct proxy *px)
{
	return &lc->px_cnt[px->slot];
}

/* Of a proxy as a backend: "listen" counts its two halves apart. */
static inline struct px_counters *
px_be_cnt(struct lcore *lc, const struct proxy *px)
{
	return &lc->px_cnt[px->be_slot];
}
