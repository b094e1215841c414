// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chains of payload, beside plain bytes: whatever is done to one is done to the other.
 */
#include "tests/fuzz/net_live.h"

#define BYTES 6000u

static struct kept {
	struct chain c;
	uint32_t n;
	uint8_t d[BYTES];
} kept[LIVE_WORKERS][2];

static void
check(const struct kept *k)
{
	static uint8_t out[BYTES];
	const struct rte_mbuf *m, *last = NULL;
	uint32_t len = 0, segs = 0;

	for (m = k->c.head; m != NULL; m = m->next) {
		len += m->data_len;
		segs++;
		last = m;
	}
	MUST(k->c.len == len && k->c.segs == segs && k->c.tail == last && len == k->n);
	MUST(chain_is_empty(&k->c) == (segs == 0));
	MUST(chain_copy_out(&k->c, 0, out, BYTES) == len && memcmp(out, k->d, len) == 0);
}

static void
cut_front(struct kept *k, uint32_t n)
{
	k->n -= n;
	memmove(k->d, k->d + n, k->n);
}

void
chains_take(struct lcore *lc, struct rte_mbuf *m)
{
	struct kept *k = &kept[lc->id][0];
	const struct pkt *pk = pkt_of(m);
	const uint8_t *t = rte_pktmbuf_mtod_offset(m, const uint8_t *, pk->l4);
	uint32_t head = (t[12] >> 4) * 4u, n = pk->l4_len - head;

	if (head < 20 || head >= pk->l4_len || k->n + n > BYTES) {
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(k->d + k->n, t + head, n);
	k->n += n;
	m->data_off += (uint16_t)(pk->l4 + head);
	m->data_len = (uint16_t)n;
	chain_push(&k->c, m);
	check(k);
}

/* A copy behind what there is; with a second reference on the last buffer, which is then not written. */
static void
copy_in(struct lcore *lc, struct kept *k, uint8_t what, uint8_t n8, uint32_t mss)
{
	uint8_t text[1024];
	struct rte_mbuf *held = what & 0x40 ? k->c.tail : NULL;
	uint32_t n = sl_min(n8 * 4u, BYTES - k->n), before = held != NULL ? held->data_len : 0;
	int rc;

	memset(text, n8, sizeof(text));
	if (held != NULL)
		rte_mbuf_refcnt_update(held, 1);
	rc = mss != 0 ? chain_copy_in_mss(lc, &k->c, text, n, mss)
		      : chain_copy_in(lc, &k->c, text, n);
	if (held != NULL) {
		MUST(held->data_len == before);
		rte_mbuf_refcnt_update(held, -1);
	}
	if (rc == 0) {
		memcpy(k->d + k->n, text, n);
		k->n += n;
	}
	MUST(rc == 0 || rc == -ENOMEM);
	for (const struct rte_mbuf *m = held != NULL ? held->next : NULL; m != NULL; m = m->next)
		MUST(rc == 0 && (mss == 0 || m->data_len <= mss));
}

static void
split(struct lcore *lc, struct kept *from, struct kept *to, uint32_t n)
{
	if (to->n + n > BYTES || chain_split(lc, &from->c, n, &to->c) < 0)
		return;
	memcpy(to->d + to->n, from->d, n);
	to->n += n;
	cut_front(from, n);
}

void
chains_step(struct in *in)
{
	uint8_t what = take(in), arg = take(in), *part;
	uint32_t w = what >> 3 & 1, at, n;
	struct lcore *lc = host.lc[w];
	struct kept *k = &kept[w][what >> 4 & 1], *other = &kept[w][1 - (what >> 4 & 1)];
	uint8_t out[256];
	struct rte_mbuf *m;

	if (what & 0x20)
		lcore_mbuf_fail_in(lc, 1 + (arg & 1));
	switch (what & 7) {
	case 0: // 255: all of it
		split(lc, k, other, arg == 255 ? k->n : arg * 7u % (k->n + 1));
		break;
	case 1:
		if (k->n + other->n <= BYTES)
			split(lc, k, other, k->n);
		break;
	case 2:
		at = arg * 9u % (k->n + 1);
		part = k->d + at;
		n = chain_copy_out(&k->c, at, out, 1 + arg);
		MUST(n == sl_min(k->n - at, 1u + arg) && memcmp(out, part, n) == 0);
		break;
	case 3:
		n = arg * 5u % (k->n + 1);
		chain_trim(lc, &k->c, n);
		cut_front(k, n);
		break;
	case 4:
	case 5:
		copy_in(lc, k, what, arg, what & 0x80 ? 0 : 33u + take(in) * 8u);
		break;
	case 6:
		m = chain_pop(&k->c);
		if (m == NULL)
			break;
		MUST(m->next == NULL && m->data_len <= k->n);
		cut_front(k, m->data_len);
		rte_pktmbuf_free_seg(m);
		break;
	default:
		chain_append(&other->c, &k->c); // back at once, in the other order
		chain_append(&k->c, &other->c);
		if (k->n + other->n <= BYTES) {
			memmove(k->d + other->n, k->d, k->n);
			memcpy(k->d, other->d, other->n);
			k->n += other->n;
			other->n = 0;
		} else {
			chain_free(lc, &k->c);
			k->n = other->n = 0;
		}
		break;
	}
	lcore_mbuf_fail_in(lc, 0);
	check(k);
	check(other);
}

void
chains_end(void)
{
	for (uint32_t w = 0; w < LIVE_WORKERS; w++) {
		for (uint32_t i = 0; i < 2; i++) {
			check(&kept[w][i]);
			chain_free(host.lc[w], &kept[w][i].c);
			kept[w][i].n = 0;
		}
	}
}
