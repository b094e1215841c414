// SPDX-License-Identifier: BSD-3-Clause
/*
 * Source ports of active opens, such that the replies come back to this worker.
 *
 * Runs on: workers (init and fini: the main thread). With several workers the port classes of
 * drivers/port.h give the next port of ours in O(1); alone, every port is ours. Where they begin
 * depends on a secret and on the destination, and goes on with each (RFC 6056 3.3.3).
 * A tuple in TIME_WAIT may be opened again when timestamps keep old segments out and our sequence
 * numbers go on above the old ones (RFC 6191 2, seen from the client's side).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define TRIES    8192u // an exhausted range must not stop a worker
#define REUSE_MS 1000u // the timestamp clock has moved by then

int
tcp_port_init(struct lcore *lc)
{
	struct tcp_lcore *tl = lc->tcp;

	tl->port_cursor = (uint32_t)rand_u64(&lc->rand);
	if (lc->ports == NULL || lc->nlcores <= 1)
		return 0;
	for (uint16_t i = 0; i < lc->ports->n; i++) {
		const struct port *p = &lc->ports->port[i];
		if (p->mode == PORT_SINGLE)
			continue;
		tl->classes[i] = port_classes_new(p, tl->conf.port_first, tl->conf.port_last);
		if (tl->classes[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

void
tcp_port_fini(struct lcore *lc)
{
	for (uint32_t i = 0; i < PORT_MAX; i++) {
		if (lc->tcp->classes[i] != NULL)
			port_classes_free(lc->tcp->classes[i]);
		lc->tcp->classes[i] = NULL;
	}
}

/* Is the tuple free, or can it be made so? */
static bool
is_free(struct lcore *lc, const struct tcp_key *k)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_ref r = tcp_lookup(tl, k, tcp_key_hash(&tl->table, k));
	const struct tcp_tw *w;
	uint32_t iss;

	if (r.idx == TCP_NONE)
		return true;
	if (r.kind != TK_TW)
		return false;
	w = pool_at(&tl->tws, r.idx);
	tcp_isn(lc, k, &iss);
	if (!w->ts || !tl->conf.timestamps || !seq_gt(iss, w->snd_nxt) ||
		tick_remain(lc->now, w->deadline) + REUSE_MS > tl->conf.timewait_ms)
		return false;
	tcp_timewait_del(lc, r.idx);
	return true;
}

int
tcp_port_pick(struct lcore *lc, uint8_t port, struct tcp_key *k)
{
	struct tcp_lcore *tl = lc->tcp;
	const struct port *p = &lc->ports->port[port];
	const struct port_classes *pc = tl->classes[port];
	uint32_t range = (uint32_t)tl->conf.port_last - tl->conf.port_first + 1, base = 0;
	uint32_t offset = (uint32_t)hash_sip(tl->table.key, k, sizeof(*k)); // lport is 0

	if (pc != NULL) {
		struct ip_addr l, r;
		tcp_key_get(k, &l, &r);
		base = port_hash(p, &r, &l, k->rport, 0);
	}
	for (uint32_t i = 0; i < sl_min(range, TRIES); i++) {
		uint32_t at = offset + tl->port_cursor++;

		k->lport = pc != NULL ? port_class_next(pc, base, lc->id, &at)
				      : (uint16_t)(tl->conf.port_first + at % range);
		if (k->lport != 0 && is_free(lc, k))
			return 0;
	}
	return -EADDRNOTAVAIL;
}
