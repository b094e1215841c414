/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/lcore (capture): copies of frames for whoever looks at traffic.
 *
 * Main makes a struct capture and publishes it in every lcore->capture; from then on each worker
 * copies what it receives and sends, as far as the filter lets it through, into a ring of plain
 * memory of its own. Nobody but the worker touches its mbufs, and nothing waits: what finds the ring
 * full is counted and left out. To end, main publishes NULL, and frees the memory when every worker
 * has passed a quiescent point (epoch.c). Without a capture this costs a branch a frame.
 *
 * What a frame belongs to is said by records in between: CAPTURE_LINK names the two connections of a
 * stream, by addresses, or by `host` where the kernel has the socket.
 */
#pragma once

#include "dataplane/base/addr.h"
#include "dataplane/base/pool.h"
#include "dataplane/lcore/lcore.h"

#define CAPTURE_RING    (8u << 20) // bytes of a worker's ring, less where there are many
#define CAPTURE_RINGS   (64u << 20) // of all together
#define CAPTURE_SNAPLEN 65535u     // bytes of a frame, at most
#define CAPTURE_INSNS   1000u      // of a filter
#define CAPTURE_IFS     (PORT_MAX + 1u) // the ports, and the host

enum capture_kind {
	CAPTURE_PAD, // nothing: up to the end of the memory
	CAPTURE_FRAME,
	CAPTURE_HOST, // bytes of a socket of the host, with headers that are made up
	CAPTURE_LINK, // data: struct capture_link
};

struct capture_rec {
	uint32_t size; // with this head and what fills up to a multiple of 8
	uint8_t kind;  // enum capture_kind
	uint8_t port;  // index; of CAPTURE_HOST: CAPTURE_IFS - 1
	bool out;      // sent by us
	bool passive;  // CAPTURE_HOST: a connection that we accepted
	uint64_t wall_us;
	uint64_t host; // CAPTURE_HOST: names the connection on this worker
	uint32_t len;  // bytes kept, behind this
	uint32_t wire; // bytes that the frame had
};

/* A connection as frames show it. */
struct capture_end {
	struct ip_port local, remote;
	uint64_t host; // of the kernel's; 0: of our TCP
};
struct capture_link {
	struct capture_end client, server;
	struct sl_handle stream;
};

/* One of the interfaces, as a worker counts it. */
struct capture_count {
	counter seen;    // frames that went by
	counter matched; // of them, those that the filter let through
	counter lost;    // of those, those that found the ring full
};

struct capture_ring {
	/* ==== worker writes ==== */
	alignas(SL_CACHE_LINE) _Atomic(uint64_t) tail; // bytes ever written
	uint64_t head_seen;
	uint32_t walked; // proxy: streams that were there before the capture, up to here
	struct capture_count count[CAPTURE_IFS];
	uint8_t whole[CAPTURE_SNAPLEN]; // a frame in pieces, for the filter
	/* ==== main writes ==== */
	alignas(SL_CACHE_LINE) _Atomic(uint64_t) head;
	/* ==== fixed ==== */
	alignas(SL_CACHE_LINE) uint32_t size; // of data, a power of two
	uint8_t *data;
};

struct capture {
	uint32_t snaplen;
	uint32_t ninsns; // 0: everything
	uint16_t nrings;
	struct capture_ring *ring[LCORE_MAX];
	uint64_t filter[CAPTURE_INSNS]; // struct bpf_insn
};

/* What a worker has to do for, in this moment; NULL: nothing. */
static inline struct capture *
capture_of(struct lcore *lc)
{
	return atomic_load(&lc->capture); // in one order with epoch_quiescent()
}

/* ---- worker ---- */
/* A frame as it was received or is handed to the device. */
void capture_frame(
	struct lcore *lc, struct capture *c, uint16_t port, const struct rte_mbuf *m, bool out);
/* The like of a socket of the host, with made up headers; m need not be of a pool. */
void capture_host(struct lcore *lc, struct capture *c, uint64_t host, const struct rte_mbuf *m,
	bool out, bool passive);
void capture_link(struct lcore *lc, struct capture *c, const struct capture_link *l);

/* ---- main ---- */
struct capture_spec {
	uint32_t snaplen;   // 1 … CAPTURE_SNAPLEN
	uint16_t nworkers;
	uint32_t ring_size; // a power of two; 0: as above
	const void *insns;  // struct bpf_insn: a filter in classic BPF
	uint32_t ninsns;    // 0: none
};
/* 0 and *out; -ENOMEM; -EINVAL: the filter is not one that ends well. */
int capture_new(const struct capture_spec *s, struct capture **out);
/* No worker may see it any more. NULL is fine. */
void capture_free(struct capture *c);
/* The oldest record of a worker's ring, or NULL; it stays there until capture_pop(). */
const struct capture_rec *capture_peek(struct capture_ring *r);
void capture_pop(struct capture_ring *r, const struct capture_rec *rec);
static inline const uint8_t *
capture_data(const struct capture_rec *rec)
{
	return (const uint8_t *)(rec + 1);
}
