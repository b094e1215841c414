// SPDX-License-Identifier: BSD-3-Clause
/* See fake_conn.h. Every misuse of a connection by its user is an assertion. */
#include "tests/harness/fake_conn.h"

#include "dataplane/net/csum.h"
#include "dataplane/net/pkt.h"

#include <assert.h>
#include <stdlib.h>

static struct fake_net *the_net;

static struct fake *
fake_of(const struct conn *c)
{
	struct fake *f = (struct fake *)(uintptr_t)c;

	assert(f->used && !f->user_gone);
	return f;
}

static void
f_bind(struct conn *c)
{
	struct fake *f = fake_of(c);

	c->rx = &f->rx;
	c->flags_in = &f->ended;
	c->eof_in = 1;
}

static int
f_rx_take(struct lcore *lc, struct conn *c, uint32_t n, struct chain *out)
{
	struct fake *f = fake_of(c);
	struct chain part;
	int rc;

	assert(n <= f->rx.len);
	chain_init(&part);
	rc = chain_split(lc, &f->rx, n, &part);
	chain_append(out, &part);
	return rc;
}

/* Nobody may look at dropped bytes again: they are overwritten. */
static void
spoil(struct chain *c, uint32_t n)
{
	for (struct rte_mbuf *m = c->head; m != NULL && n > 0; m = m->next) {
		uint32_t part = sl_min(n, (uint32_t)m->data_len);
		memset(rte_pktmbuf_mtod(m, char *), 0xdb, part);
		n -= part;
	}
}

static void
f_rx_drop(struct lcore *lc, struct conn *c, uint32_t n)
{
	assert(n <= fake_of(c)->rx.len);
	spoil(&fake_of(c)->rx, n);
	chain_trim(lc, &fake_of(c)->rx, n);
}

static uint32_t
f_send_space(const struct conn *c)
{
	struct fake *f = fake_of(c);

	if (f->shut || f->dead || f->connecting)
		return 0;
	if (f->unacked >= f->net->window) {
		f->was_short = true;
		return 0;
	}
	return f->net->window - f->unacked;
}

static uint32_t
f_send_queued(const struct conn *c)
{
	return fake_of(c)->unacked;
}

static uint16_t
sum_of(const struct rte_mbuf *m)
{
	return csum_fold(csum_add_plain(rte_pktmbuf_mtod(m, const void *), m->data_len, 0));
}

/* As net does with what it has verified. */
static void
note_sums(struct chain *c)
{
	for (struct rte_mbuf *m = c->head; m != NULL; m = m->next) {
		pkt_of(m)->sum = sum_of(m);
		pkt_of(m)->sum_off = m->data_off;
		pkt_of(m)->sum_len = m->data_len;
	}
}

/* What net would send without another look must be true. */
static void
check_sum(struct rte_mbuf *m)
{
	const struct pkt *pk = pkt_of(m);

	if (pk->sum_len == m->data_len && pk->sum_off == m->data_off)
		assert(pk->sum == sum_of(m));
}

static int
f_send(struct lcore *lc, struct conn *c, struct chain *data)
{
	struct fake *f = fake_of(c);
	struct rte_mbuf *m;

	f->sends++;
	if (f->shut || f->dead) {
		chain_free(lc, data);
		return -EPIPE;
	}
	assert(!f->connecting);
	while ((m = chain_pop(data)) != NULL) {
		uint32_t n = m->data_len;

		assert(n > 0);
		check_sum(m);
		if (f->out_len + n > f->out_cap) {
			f->out_cap = (f->out_len + n) * 2;
			f->out = realloc(f->out, f->out_cap);
			assert(f->out != NULL);
		}
		memcpy(f->out + f->out_len, rte_pktmbuf_mtod(m, char *), n);
		f->out_len += n;
		f->unacked += n;
		f->segs++;
		f->max_seg = sl_max(f->max_seg, n);
		rte_pktmbuf_free(m);
	}
	assert(data->len == 0);
	return 0;
}

/* Both directions ended: the connection is over, once. */
static void
check_over(struct fake *f)
{
	if (f->shut && f->rx_eof && !f->dead && !f->user_gone) {
		f->dead = true;
		f->ended = 1;
		f->pend |= CONN_EV_CLOSED;
	}
}

static int
f_shutdown(struct lcore *lc sl_unused, struct conn *c)
{
	struct fake *f = fake_of(c);

	if (f->dead)
		return -EPIPE;
	f->shut = true;
	check_over(f);
	return 0;
}

static void
let_go(struct fake *f)
{
	chain_free(f->net->lc, &f->rx);
	f->user_gone = true;
	f->conn.rx = NULL; // nobody may look any more
	f->conn.flags_in = NULL;
	f->pend = 0;
}

static void
f_close(struct lcore *lc sl_unused, struct conn *c)
{
	fake_of(c)->shut = true;
	let_go(fake_of(c));
}

static void
f_abort(struct lcore *lc sl_unused, struct conn *c)
{
	fake_of(c)->reset = true;
	let_go(fake_of(c));
}

static int
f_error(const struct conn *c)
{
	return c->err;
}

static void
f_addrs(const struct conn *c, struct ip_port *local, struct ip_port *remote)
{
	*local = fake_of(c)->local;
	*remote = fake_of(c)->remote;
}

static uint32_t
f_unit(const struct lcore *lc sl_unused, const struct conn *c)
{
	return fake_of(c)->net->unit;
}

static const struct conn_ops fake_ops = {
	.name = "fake",
	.bind = f_bind,
	.rx_take = f_rx_take,
	.rx_drop = f_rx_drop,
	.send_space = f_send_space,
	.send_queued = f_send_queued,
	.send = f_send,
	.shutdown = f_shutdown,
	.close = f_close,
	.abort = f_abort,
	.error = f_error,
	.addrs = f_addrs,
	.unit = f_unit,
};

static struct fake *
fake_new(struct fake_net *n)
{
	for (uint32_t i = 0; i < FAKE_MAX; i++) {
		struct fake *f = &n->conn[i];

		if (f->used)
			continue;
		memset(f, 0, sizeof(*f));
		f->used = true;
		f->net = n;
		f->conn.ops = &fake_ops;
		f_bind(&f->conn);
		return f;
	}
	assert(!"too many connections");
	return NULL;
}

static bool
same(const struct ip_port *a, const struct ip_port *b)
{
	return a->port == b->port && addr_eq(&a->ip, &b->ip);
}

static int
t_listen(struct lcore *lc sl_unused, const struct ip_port *addr, const struct conn_handler *h,
	void *cookie)
{
	for (uint32_t i = 0; i < FAKE_LISTENERS; i++) {
		if (the_net->listener[i].open && !same(&the_net->listener[i].addr, addr))
			continue;
		the_net->listener[i].open = true;
		the_net->listener[i].addr = *addr;
		the_net->listener[i].h = h;
		the_net->listener[i].cookie = cookie;
		return 0;
	}
	return -ENOSPC;
}

static int
t_unlisten(struct lcore *lc sl_unused, const struct ip_port *addr)
{
	for (uint32_t i = 0; i < FAKE_LISTENERS; i++)
		if (the_net->listener[i].open && same(&the_net->listener[i].addr, addr))
			the_net->listener[i].open = false;
	return 0;
}

static int
t_connect(struct lcore *lc sl_unused, const struct ip_port *to,
	const struct ip_port *from sl_unused, const struct conn_handler *h, void *user,
	struct conn **out)
{
	enum fake_answer a =
		the_net->on_connect != NULL ? the_net->on_connect(the_net, to) : FAKE_ACCEPT;
	struct fake *f;

	the_net->connects++;
	if (a == FAKE_NO_PORT)
		return -EADDRNOTAVAIL;
	f = fake_new(the_net);
	f->remote = *to;
	f->conn.h = h;
	f->conn.user = user;
	f->connecting = true;
	if (a == FAKE_ACCEPT) {
		f->pend = CONN_EV_CONNECTED;
	} else if (a == FAKE_REFUSE) {
		f->conn.err = ECONNREFUSED;
		f->dead = true;
		f->ended = 1;
		f->pend = CONN_EV_CLOSED;
	}
	*out = &f->conn;
	return 0;
}

const struct px_transport fake_transport = {
	.listen = t_listen,
	.unlisten = t_unlisten,
	.connect = t_connect,
};

void
fake_net_init(struct fake_net *n, struct lcore *lc)
{
	memset(n, 0, sizeof(*n));
	n->lc = lc;
	n->unit = 1448;
	n->window = 65536;
	the_net = n;
}

uint32_t
fake_net_fini(struct fake_net *n)
{
	uint32_t open = 0;

	for (uint32_t i = 0; i < FAKE_MAX; i++) {
		struct fake *f = &n->conn[i];

		if (!f->used)
			continue;
		if (!f->user_gone) {
			open++;
			chain_free(n->lc, &f->rx);
		}
		free(f->out);
	}
	return open;
}

struct fake *
fake_client(struct fake_net *n, const struct ip_port *to, const struct ip_port *from)
{
	for (uint32_t i = 0; i < FAKE_LISTENERS; i++) {
		struct fake *f;

		if (!n->listener[i].open || !same(&n->listener[i].addr, to))
			continue;
		f = fake_new(n);
		f->passive = true;
		f->local = *to;
		f->remote = *from;
		f->conn.h = n->listener[i].h;
		f->conn.user = f->conn.h->accept(n->lc, n->listener[i].cookie, &f->conn);
		if (f->conn.user != NULL)
			return f;
		f->used = false;
		return NULL;
	}
	return NULL;
}

void
fake_give(struct fake *f, const void *data, uint32_t n)
{
	struct lcore *lc = f->net->lc;
	uint32_t fail_in = lc->mbuf_fail_in; // the user's allocations fail, not the peer's
	const char *p = data;

	if (f->user_gone || f->dead)
		return;
	lc->mbuf_fail_in = 0;
	assert(!f->rx_eof);
	while (n > 0) {
		uint32_t part = sl_min(n, f->net->unit);
		struct chain c;

		chain_init(&c);
		if (f->net->coalesce && part <= 256) {
			assert(chain_copy_in(f->net->lc, &f->rx, p, part) == 0);
		} else {
			assert(chain_copy_in_mss(f->net->lc, &c, p, part, part) == 0);
			note_sums(&c);
			chain_append(&f->rx, &c);
		}
		p += part;
		n -= part;
	}
	f->pend |= CONN_EV_READABLE;
	lc->mbuf_fail_in = fail_in;
}

void
fake_fin(struct fake *f)
{
	if (f->user_gone || f->dead || f->rx_eof)
		return;
	f->rx_eof = true;
	f->ended = 1;
	f->pend |= CONN_EV_EOF;
	check_over(f);
}

void
fake_rst(struct fake *f)
{
	if (f->user_gone || f->dead)
		return;
	f->dead = true;
	f->ended = 1;
	f->conn.err = ECONNRESET;
	f->pend |= CONN_EV_CLOSED;
}

void
fake_read(struct fake *f)
{
	if (f->stalled || f->unacked == 0)
		return;
	f->unacked = 0;
	if (f->user_gone || f->dead)
		return;
	f->pend |= CONN_EV_ACKED;
	if (f->was_short) {
		f->was_short = false;
		f->pend |= CONN_EV_WRITABLE;
	}
}

bool
fake_run(struct fake_net *n)
{
	bool any = false;

	for (uint32_t i = 0; i < FAKE_MAX; i++) {
		struct fake *f = &n->conn[i];
		uint32_t ev = f->pend;

		if (!f->used || f->user_gone || ev == 0)
			continue;
		f->pend = 0;
		any = true;
		if ((ev & CONN_EV_CONNECTED) != 0)
			f->connecting = false;
		f->conn.h->event(n->lc, &f->conn, f->conn.user, ev);
		// after this event the transport has forgotten it, unread bytes included
		if ((ev & CONN_EV_CLOSED) != 0 && !f->user_gone)
			chain_free(n->lc, &f->rx);
	}
	return any;
}

void
fake_forget(struct fake *f)
{
	assert(f->user_gone);
	free(f->out);
	f->out = NULL;
	f->used = false;
}
