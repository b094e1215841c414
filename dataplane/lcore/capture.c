// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rings of copied frames.
 *
 * Runs on: capture_frame(), capture_host(), capture_link() on the worker that owns the ring; the rest
 * on main. A record lies in one piece: where it would cross the end of the memory, a pad record fills
 * what is left. The filter sees the frame where it lies, so that what it leaves out is not copied. It is
 * libpcap's interpreter, a function of its arguments: rte_bpf_convert() of DPDK 22.11 makes programs out
 * of tcp[…] that give wrong answers, and its machine code of them crashes.
 * Not here: what a record becomes (control/cli/capture.c), host's headers (conn/host_capture.c).
 */
#include "dataplane/lcore/capture.h"

#include <pcap/bpf.h>

#define ALIGN 8u

static_assert(sizeof(struct bpf_insn) == sizeof(((struct capture *)0)->filter[0]), "capture.filter");

/* Room for n bytes behind a record's head, in one piece; NULL: none. */
static struct capture_rec *
reserve(struct capture_ring *r, uint32_t n)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint32_t size = SL_ALIGN_UP((uint32_t)sizeof(struct capture_rec) + n, ALIGN);
	uint32_t at = (uint32_t)(tail & (r->size - 1)), end = r->size - at;
	uint32_t pad = size > end ? end : 0;
	struct capture_rec *rec = (struct capture_rec *)(void *)(r->data + at);

	if (tail + pad + size - r->head_seen > r->size) {
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		if (tail + pad + size - r->head_seen > r->size)
			return NULL;
	}
	if (pad > 0) { // as short as 8 bytes: no more than size and kind are written
		rec->size = pad;
		rec->kind = CAPTURE_PAD;
		// seen no earlier than what follows: the tail is stored once, by commit()
		rec = (struct capture_rec *)(void *)r->data;
	}
	rec->size = size;
	return rec;
}

static void
commit(struct capture_ring *r, const struct capture_rec *rec)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint32_t at = (uint32_t)(tail & (r->size - 1));
	uint32_t start = (uint32_t)((const uint8_t *)rec - r->data);

	if (start != at)
		tail += r->size - at; // the pad
	atomic_store_explicit(&r->tail, tail + rec->size, memory_order_release);
}

static void
copy(uint8_t *to, const struct rte_mbuf *m, uint32_t n)
{
	for (; n > 0 && m != NULL; m = m->next) {
		uint32_t len = sl_min((uint32_t)m->data_len, n);

		memcpy(to, rte_pktmbuf_mtod(m, const void *), len);
		to += len;
		n -= len;
	}
}

static bool
matches(const struct capture *c, struct capture_ring *r, const struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t len = m->data_len;

	if (c->ninsns == 0)
		return true;
	if (m->nb_segs > 1) {
		len = sl_min(m->pkt_len, CAPTURE_SNAPLEN);
		copy(r->whole, m, len);
		p = r->whole;
	}
	return bpf_filter((const struct bpf_insn *)(const void *)c->filter, p, m->pkt_len, len) != 0;
}

static void
put(struct lcore *lc, const struct capture *c, const struct capture_rec *what,
	const struct rte_mbuf *m)
{
	struct capture_ring *r = c->ring[lc->id];
	struct capture_count *n = &r->count[what->port];
	uint32_t keep = sl_min(m->pkt_len, c->snaplen), size;
	struct capture_rec *rec;

	counter_inc(&n->seen);
	if (!matches(c, r, m))
		return;
	counter_inc(&n->matched);
	rec = reserve(r, keep);
	if (rec == NULL) {
		counter_inc(&n->lost);
		return;
	}
	size = rec->size;
	*rec = *what;
	rec->size = size;
	rec->wall_us = lc->wall_us;
	rec->len = keep;
	rec->wire = m->pkt_len;
	copy((uint8_t *)(rec + 1), m, keep);
	commit(r, rec);
}

void
capture_frame(
	struct lcore *lc, struct capture *c, uint16_t port, const struct rte_mbuf *m, bool out)
{
	struct capture_rec what = { .kind = CAPTURE_FRAME, .port = (uint8_t)port, .out = out };

	put(lc, c, &what, m);
}

void
capture_host(struct lcore *lc, struct capture *c, uint64_t host, const struct rte_mbuf *m, bool out,
	bool passive)
{
	struct capture_rec what = { .kind = CAPTURE_HOST,
		.port = CAPTURE_IFS - 1,
		.out = out,
		.passive = passive,
		.host = host };

	put(lc, c, &what, m);
}

void
capture_link(struct lcore *lc, struct capture *c, const struct capture_link *l)
{
	struct capture_ring *r = c->ring[lc->id];
	struct capture_rec *rec = reserve(r, sizeof(*l));
	uint32_t size;

	if (rec == NULL)
		return; // frames are lost too, and counted
	size = rec->size;
	*rec = (struct capture_rec){
		.size = size, .kind = CAPTURE_LINK, .wall_us = lc->wall_us, .len = sizeof(*l)
	};
	memcpy(rec + 1, l, sizeof(*l));
	commit(r, rec);
}

/* ---- main ---- */

/* What bpf_filter() does not know makes it abort, and bpf_validate() lets some of that through. */
static bool
is_known(uint16_t code)
{
	static const uint16_t codes[] = { BPF_RET | BPF_K, BPF_RET | BPF_A, BPF_LD | BPF_W | BPF_ABS,
		BPF_LD | BPF_H | BPF_ABS, BPF_LD | BPF_B | BPF_ABS, BPF_LD | BPF_W | BPF_LEN,
		BPF_LD | BPF_W | BPF_IND, BPF_LD | BPF_H | BPF_IND, BPF_LD | BPF_B | BPF_IND,
		BPF_LDX | BPF_MSH | BPF_B, BPF_LD | BPF_IMM, BPF_LDX | BPF_IMM, BPF_LD | BPF_MEM,
		BPF_LDX | BPF_MEM, BPF_ST, BPF_STX, BPF_JMP | BPF_JA, BPF_JMP | BPF_JGT | BPF_K,
		BPF_JMP | BPF_JGE | BPF_K, BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JSET | BPF_K,
		BPF_JMP | BPF_JGT | BPF_X, BPF_JMP | BPF_JGE | BPF_X, BPF_JMP | BPF_JEQ | BPF_X,
		BPF_JMP | BPF_JSET | BPF_X, BPF_ALU | BPF_NEG, BPF_MISC | BPF_TAX,
		BPF_MISC | BPF_TXA };
	static const uint16_t alu[] = { BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND, BPF_OR,
		BPF_XOR, BPF_LSH, BPF_RSH };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(codes); i++)
		if (code == codes[i])
			return true;
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(alu); i++)
		if (code == (BPF_ALU | alu[i] | BPF_K) || code == (BPF_ALU | alu[i] | BPF_X))
			return true;
	return false;
}

/* Also that it ends: bpf_validate() lets a jump wrap around to a place before it. */
static int
load_filter(struct capture *c, const struct capture_spec *s)
{
	const struct bpf_insn *p = s->insns;

	if (s->ninsns == 0)
		return 0;
	if (s->ninsns > CAPTURE_INSNS || !bpf_validate(p, (int)s->ninsns))
		return -EINVAL;
	for (uint32_t i = 0; i < s->ninsns; i++)
		if (!is_known(p[i].code) || (p[i].code == (BPF_JMP | BPF_JA) && p[i].k >= s->ninsns))
			return -EINVAL;
	memcpy(c->filter, p, s->ninsns * sizeof(*p));
	c->ninsns = s->ninsns;
	return 0;
}

static struct capture_ring *
ring_new(uint32_t size)
{
	struct capture_ring *r = lcore_map(sizeof(*r) + size, -1);

	if (r == NULL)
		return NULL;
	r->size = size;
	r->data = (uint8_t *)(r + 1);
	return r;
}

static uint32_t
ring_size(uint32_t nworkers)
{
	uint32_t size = CAPTURE_RING;

	while (size * nworkers > CAPTURE_RINGS)
		size /= 2;
	return size;
}

int
capture_new(const struct capture_spec *s, struct capture **out)
{
	uint32_t size = s->ring_size != 0 ? s->ring_size : ring_size(s->nworkers);
	struct capture *c = lcore_map(sizeof(*c), -1);
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->snaplen = s->snaplen;
	rc = load_filter(c, s);
	while (rc == 0 && c->nrings < s->nworkers) {
		c->ring[c->nrings] = ring_new(size);
		if (c->ring[c->nrings] == NULL)
			rc = -ENOMEM;
		else
			c->nrings++;
	}
	if (rc < 0) {
		capture_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void
capture_free(struct capture *c)
{
	if (c == NULL)
		return;
	for (uint16_t i = 0; i < c->nrings; i++)
		lcore_unmap(c->ring[i], sizeof(struct capture_ring) + c->ring[i]->size);
	lcore_unmap(c, sizeof(*c));
}

const struct capture_rec *
capture_peek(struct capture_ring *r)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	while (head != atomic_load_explicit(&r->tail, memory_order_acquire)) {
		const struct capture_rec *rec =
			(const struct capture_rec *)(const void *)(r->data + (head & (r->size - 1)));

		if (rec->kind != CAPTURE_PAD)
			return rec;
		head += rec->size;
		atomic_store_explicit(&r->head, head, memory_order_release);
	}
	return NULL;
}

void
capture_pop(struct capture_ring *r, const struct capture_rec *rec)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store_explicit(&r->head, head + rec->size, memory_order_release);
}
