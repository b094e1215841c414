// SPDX-License-Identifier: BSD-3-Clause
/*
 * conn over sockets of the host: the worker's half. io's half is control/io/io_host.c.
 *
 * Runs on: the worker that owns the connection. Calls of users only change the hconn and put it on
 * the worker's list; host_run(), once or twice a loop, tells users what came and io what they did.
 * What finds no room (ring to io full, no block, no buffer) stays on the list and is tried again in
 * the next loop; order is kept per connection. Bytes are copied between io's blocks and buffers of
 * this worker: nobody else ever touches those. This is the side door: it is meant to be right, and
 * to disturb nobody.
 */
#include "dataplane/conn/conn_priv.h"
#include "dataplane/lcore/capture.h"
#include "dataplane/tcp/tcp.h"

#include "dataplane/base/hot.h"

#define HC_CONNECT    0x0001u // HOST_CONNECT is due
#define HC_CONNECTED  0x0002u
#define HC_EOM_IN     0x0004u // the peer has finished; `in` and rx may hold its last bytes
#define HC_EOF_TOLD   0x0008u
#define HC_SHUT       0x0010u // our user has finished sending
#define HC_EOM_SENT   0x0020u
#define HC_DEAD       0x0040u // io said so; c->err
#define HC_CLOSE      0x0080u // the user has let go
#define HC_RESET      0x0100u // and wants it reset
#define HC_CLOSE_SENT 0x0200u
#define HC_SHORT      0x0400u // the user was told of little space

#define STOCK_MAX     64u // empty blocks that stay here
#define HOME_BATCH    16u
#define SEGS_MAX      UINT16_MAX

/* ---- for whoever looks (host_capture.c) ---- */

static void
show_open(struct lcore *lc, struct hconn *hc)
{
	struct capture *c = capture_of(lc);

	if (unlikely(c != NULL))
		host_capture_open(lc, c, hc);
}

/* The first n bytes of a chain. */
static void
show_data(struct lcore *lc, struct hconn *hc, bool out, struct rte_mbuf *head, uint32_t n)
{
	struct capture *c = capture_of(lc);

	if (unlikely(c != NULL))
		host_capture_data(lc, c, hc, out, head, n);
}

static void
show_block(struct lcore *lc, struct hconn *hc, struct host_block *b)
{
	struct rte_mbuf m;

	if (likely(capture_of(lc) == NULL))
		return;
	memset(&m, 0, sizeof(m));
	m.buf_addr = b->data + b->off;
	m.data_len = (uint16_t)b->len;
	show_data(lc, hc, false, &m, b->len);
}

static void
show_close(struct lcore *lc, struct hconn *hc, bool out, bool reset)
{
	struct capture *c = capture_of(lc);

	if (unlikely(c != NULL))
		host_capture_close(lc, c, hc, out, reset);
}

static struct host_lcore *
host_of(struct lcore *lc)
{
	return &lc->conn->host;
}

static void
touch(struct lcore *lc, struct hconn *hc)
{
	if (sl_list_is_empty(&hc->node))
		sl_list_add_tail(&host_of(lc)->work, &hc->node);
}

static bool
tell(struct lcore *lc, enum xmsg_type type, const void *w1, uint64_t w2, uint64_t w3)
{
	struct xmsg m = { .w = { type, (uintptr_t)w1, w2, w3 } };

	if (!xring_push(&lc->io.from, &m))
		return false;
	lc->io.dirty = true;
	return true;
}

/* ---- blocks ---- */

static struct host_block *
block_get(struct lcore *lc)
{
	struct host_lcore *hl = host_of(lc);
	struct host_block *b = hl->stock;

	if (b == NULL) {
		if (!hl->asked)
			hl->asked = tell(lc, XMSG_HOST_WANT, NULL, 0, 0);
		return NULL;
	}
	hl->stock = b->next;
	hl->nstock--;
	return b;
}

static void
block_put(struct host_lcore *hl, struct host_block *b)
{
	struct host_block **list = hl->nstock < STOCK_MAX ? &hl->stock : &hl->home;

	if (list == &hl->stock)
		hl->nstock++;
	else
		hl->nhome++;
	b->next = *list;
	*list = b;
}

static void
send_home(struct lcore *lc)
{
	struct host_lcore *hl = host_of(lc);

	if (hl->nhome == 0 || !tell(lc, XMSG_HOST_BLOCKS, hl->home, hl->nhome, 0))
		return;
	hl->home = NULL;
	hl->nhome = 0;
}

/* ---- what came ---- */

/* Copies into our own buffers, as far as there are any. */
static void
take_in(struct lcore *lc, struct hconn *hc)
{
	uint32_t unit = tcp_payload_unit(lc);

	while (hc->in != NULL) {
		struct host_block *b = hc->in;
		uint32_t segs = hc->rx.segs, need = (b->len / unit + 1) * CHAIN_TRUESIZE;

		if (lc->retained + need > lc->retain_max ||
			chain_copy_in_mss(lc, &hc->rx, b->data, b->len, unit) < 0)
			return;
		lc->retained += (hc->rx.segs - segs) * CHAIN_TRUESIZE;
		hc->in = b->next;
		hc->blocks++;
		hc->events |= CONN_EV_READABLE;
		block_put(host_of(lc), b);
	}
	hc->in_last = &hc->in;
	if ((hc->flags & (HC_EOM_IN | HC_EOF_TOLD)) == HC_EOM_IN) {
		hc->flags |= HC_EOF_TOLD;
		hc->events |= CONN_EV_EOF;
	}
}

static void
drop_chain(struct lcore *lc, struct chain *c)
{
	lc->retained -= chain_truesize(c);
	chain_free(lc, c);
}

static void
drop_in(struct lcore *lc, struct hconn *hc)
{
	while (hc->in != NULL) {
		struct host_block *b = hc->in;

		hc->in = b->next;
		block_put(host_of(lc), b);
	}
	hc->in_last = &hc->in;
}

static uint32_t
space(const struct hconn *hc)
{
	uint32_t queued = hc->tx.len + hc->out;

	return queued < HOST_WINDOW ? HOST_WINDOW - queued : 0;
}

/* ---- what goes ---- */

/* How much may be at io before the next block goes there. */
static uint32_t
out_limit(const struct lcore *lc, const struct hconn *hc)
{
	// whoever closes has left; io gives the peer a bounded time to read the rest
	if ((hc->flags & HC_CLOSE) != 0)
		return UINT32_MAX;
	return atomic_load_explicit(&lc->host_scarce, memory_order_relaxed)
		? 0
		: HOST_WINDOW - HOST_BLOCK;
}

/* False: no block or no room in the ring. */
static bool
pump_out(struct lcore *lc, struct hconn *hc)
{
	while (hc->tx.len > 0 && hc->out <= out_limit(lc, hc)) {
		struct host_block *b = block_get(lc);
		uint32_t segs = hc->tx.segs, n;

		if (b == NULL)
			return false;
		n = chain_copy_out(&hc->tx, 0, b->data, HOST_BLOCK);
		b->off = 0;
		b->len = n;
		b->next = NULL;
		if (!tell(lc, XMSG_HOST_DATA, hc, (uintptr_t)b, 0)) {
			block_put(host_of(lc), b);
			return false;
		}
		// the block is io's now, which may have sent it and filled it anew
		hc->out += n;
		stat_add(lc, STAT_HOST_OUT, n);
		show_data(lc, hc, true, hc->tx.head, n);
		chain_trim(lc, &hc->tx, n);
		lc->retained -= (segs - hc->tx.segs) * CHAIN_TRUESIZE;
	}
	return true;
}

static bool
credit(struct lcore *lc, struct hconn *hc)
{
	bool all = hc->rx.len == 0 && hc->in == NULL;

	if (hc->read == 0 && hc->blocks == 0)
		return true;
	if (!all && hc->read < HOST_WINDOW / 4 && hc->blocks < HOST_BLOCKS / 2)
		return true;
	if (!tell(lc, XMSG_HOST_CREDIT, hc, hc->read, hc->blocks))
		return false;
	hc->read = hc->blocks = 0;
	return true;
}

static void
hconn_free(struct lcore *lc, struct hconn *hc)
{
	drop_in(lc, hc);
	drop_chain(lc, &hc->rx);
	drop_chain(lc, &hc->tx);
	sl_list_del(&hc->node);
	pool_free(&host_of(lc)->hconns, hc);
}

/* In order: open, data, end, credit, close. False: something is left and cannot go now. */
static bool
output(struct lcore *lc, struct hconn *hc)
{
	if (hc->accept != NULL) {
		if (!tell(lc, XMSG_HOST_OPEN, hc, (uintptr_t)hc->accept, 0))
			return false;
		hc->accept = NULL;
	}
	if ((hc->flags & HC_CONNECT) != 0) {
		if (!tell(lc, XMSG_HOST_CONNECT, hc, 0, 0))
			return false;
		hc->flags &= ~HC_CONNECT;
	}
	if ((hc->flags & (HC_DEAD | HC_RESET)) != 0)
		drop_chain(lc, &hc->tx);
	else if ((hc->flags & HC_CONNECTED) != 0 && !pump_out(lc, hc))
		return false;
	if (hc->tx.len == 0 &&
		(hc->flags & (HC_SHUT | HC_EOM_SENT | HC_DEAD | HC_CONNECTED)) ==
			(HC_SHUT | HC_CONNECTED)) {
		if (!tell(lc, XMSG_HOST_EOM, hc, 0, 0))
			return false;
		hc->flags |= HC_EOM_SENT;
		show_close(lc, hc, true, false);
	}
	if ((hc->flags & HC_CLOSE) == 0)
		return (hc->flags & HC_DEAD) != 0 || credit(lc, hc);
	if (hc->tx.len == 0 && (hc->flags & HC_CLOSE_SENT) == 0) {
		if (!tell(lc, XMSG_HOST_CLOSE, hc, (hc->flags & HC_RESET) != 0, 0))
			return false;
		hc->flags |= HC_CLOSE_SENT;
		if ((hc->flags & HC_CONNECTED) != 0 && (hc->flags & (HC_EOM_SENT | HC_DEAD)) == 0)
			show_close(lc, hc, true, (hc->flags & HC_RESET) != 0);
	}
	return true;
}

/* ---- the loop ---- */

/* False: something is left to be done in the next loop. */
static bool
serve(struct lcore *lc, struct hconn *hc)
{
	if ((hc->flags & HC_CLOSE) == 0)
		take_in(lc, hc);
	if (hc->events != 0 && hc->c != NULL) {
		uint32_t events = hc->events;

		hc->events = 0;
		hc->c->h->event(lc, hc->c, hc->c->user, events);
	}
	return output(lc, hc) && (hc->in == NULL || (hc->flags & HC_CLOSE) != 0);
}

static void
refuse_again(struct lcore *lc)
{
	struct host_lcore *hl = host_of(lc);

	while (hl->refused != NULL) {
		struct host_accept *a = hl->refused, *next = a->next;

		if (!tell(lc, XMSG_HOST_REFUSE, a, 0, 0))
			return;
		hl->refused = next;
	}
}

uint32_t
host_run(struct lcore *lc)
{
	struct host_lcore *hl = host_of(lc);
	struct sl_list todo;
	uint32_t n = 0;

	if (likely(sl_list_is_empty(&hl->work) && hl->refused == NULL && hl->nhome == 0))
		return 0;
	refuse_again(lc);
	// what is touched meanwhile waits for the next call
	sl_list_init(&todo);
	while (!sl_list_is_empty(&hl->work)) {
		struct sl_list *node = hl->work.next;

		sl_list_del(node);
		sl_list_add_tail(&todo, node);
	}
	while (!sl_list_is_empty(&todo)) {
		struct hconn *hc = sl_list_first(&todo, struct hconn, node);

		sl_list_del(&hc->node);
		if (serve(lc, hc)) {
			sl_list_del(&hc->node); // its own handler may have touched it
			n++;
		} else {
			stat_inc(lc, STAT_HOST_WAITS);
			touch(lc, hc);
		}
	}
	if (hl->nhome >= HOME_BATCH || sl_list_is_empty(&hl->work))
		send_home(lc);
	return n;
}

bool
host_pending(const struct lcore *lc)
{
	const struct host_lcore *hl = &lc->conn->host;

	return !sl_list_is_empty(&hl->work) || hl->refused != NULL || hl->nhome > 0;
}

/* ---- the vtable ---- */

static void
ch_bind(struct conn *c)
{
	const struct hconn *hc = c->lower;

	c->rx = &hc->rx;
	c->flags_in = &hc->flags;
	c->eof_in = HC_EOF_TOLD | HC_DEAD;
}

static void
was_read(struct lcore *lc, struct hconn *hc, uint32_t segs, uint32_t n)
{
	lc->retained -= (segs - hc->rx.segs) * CHAIN_TRUESIZE;
	hc->read += n;
	if (hc->rx.len == 0 || hc->read >= HOST_WINDOW / 4 || hc->in != NULL)
		touch(lc, hc);
}

static int
ch_rx_take(struct lcore *lc, struct conn *c, uint32_t n, struct chain *out)
{
	struct hconn *hc = c->lower;
	uint32_t segs = hc->rx.segs;

	n = sl_min(n, hc->rx.len);
	if (n == hc->rx.len) {
		chain_append(out, &hc->rx);
	} else {
		int rc = chain_split(lc, &hc->rx, n, out);

		if (rc < 0)
			return rc;
	}
	was_read(lc, hc, segs, n);
	return 0;
}

static void
ch_rx_drop(struct lcore *lc, struct conn *c, uint32_t n)
{
	struct hconn *hc = c->lower;
	uint32_t segs = hc->rx.segs;

	n = sl_min(n, hc->rx.len);
	chain_trim(lc, &hc->rx, n);
	was_read(lc, hc, segs, n);
}

static uint32_t
ch_send_space(const struct conn *c)
{
	const struct hconn *hc = c->lower;

	return (hc->flags & (HC_DEAD | HC_SHUT)) != 0 ? 0 : space(hc);
}

static uint32_t
ch_send_queued(const struct conn *c)
{
	const struct hconn *hc = c->lower;

	return hc->tx.len + hc->out;
}

static int
ch_send(struct lcore *lc, struct conn *c, struct chain *data)
{
	struct hconn *hc = c->lower;

	if ((hc->flags & (HC_DEAD | HC_SHUT)) != 0 || hc->tx.segs + data->segs > SEGS_MAX) {
		chain_free(lc, data);
		return -EPIPE;
	}
	lc->retained += chain_truesize(data);
	chain_append(&hc->tx, data);
	if (space(hc) < HOST_WINDOW / 2)
		hc->flags |= HC_SHORT;
	touch(lc, hc);
	return 0;
}

static int
ch_shutdown(struct lcore *lc, struct conn *c)
{
	struct hconn *hc = c->lower;

	if ((hc->flags & HC_DEAD) != 0)
		return -EPIPE;
	hc->flags |= HC_SHUT;
	touch(lc, hc);
	return 0;
}

static void
let_go(struct lcore *lc, struct conn *c, uint16_t flags)
{
	struct hconn *hc = c->lower;

	pool_free(&lc->conn->conns, c);
	hc->c = NULL;
	hc->flags |= HC_CLOSE | flags;
	// before it is connected there is nothing that an orderly end could keep
	if ((hc->flags & HC_CONNECTED) == 0)
		hc->flags |= HC_RESET;
	drop_in(lc, hc);
	drop_chain(lc, &hc->rx);
	touch(lc, hc);
}

static void
ch_close(struct lcore *lc, struct conn *c)
{
	let_go(lc, c, 0);
}

static void
ch_abort(struct lcore *lc, struct conn *c)
{
	let_go(lc, c, HC_RESET);
}

static int
ch_error(const struct conn *c)
{
	return c->err;
}

static void
ch_addrs(const struct conn *c, struct ip_port *local, struct ip_port *remote)
{
	const struct hconn *hc = c->lower;

	*local = hc->local;
	*remote = hc->remote;
}

static uint32_t
ch_unit(const struct lcore *lc, const struct conn *c sl_unused)
{
	return tcp_payload_unit(lc);
}

static const struct conn_ops host_ops = {
	.name = "host",
	.bind = ch_bind,
	.rx_take = ch_rx_take,
	.rx_drop = ch_rx_drop,
	.send_space = ch_send_space,
	.send_queued = ch_send_queued,
	.send = ch_send,
	.shutdown = ch_shutdown,
	.close = ch_close,
	.abort = ch_abort,
	.error = ch_error,
	.addrs = ch_addrs,
	.unit = ch_unit,
};

/* ---- messages ---- */

static struct hconn *
hconn_new(struct lcore *lc)
{
	struct hconn *hc = pool_new(&host_of(lc)->hconns);

	if (hc == NULL)
		return NULL;
	sl_list_init(&hc->node);
	chain_init(&hc->rx);
	chain_init(&hc->tx);
	hc->in_last = &hc->in;
	return hc;
}

static void
refuse(struct lcore *lc, struct host_accept *a)
{
	struct host_lcore *hl = host_of(lc);

	stat_inc(lc, STAT_HOST_REFUSED);
	if (hl->refused == NULL && tell(lc, XMSG_HOST_REFUSE, a, 0, 0))
		return;
	a->next = hl->refused;
	hl->refused = a;
}

static void
on_accept(struct lcore *lc, struct host_accept *a)
{
	const struct conn_listener *l = conn_find_listener(lc->conn, &a->listen);
	struct hconn *hc = l != NULL ? hconn_new(lc) : NULL;
	bool closed;

	if (hc == NULL) {
		refuse(lc, a);
		return;
	}
	hc->local = a->local;
	hc->remote = a->remote;
	hc->accept = a;
	hc->flags = HC_CONNECTED;
	hc->c = conn_accept(lc, l, &host_ops, hc, &closed);
	if (hc->c == NULL && !closed) {
		hconn_free(lc, hc);
		refuse(lc, a);
		return;
	}
	stat_inc(lc, STAT_HOST_ACCEPTS);
	show_open(lc, hc);
	touch(lc, hc);
}

static void
on_data(struct lcore *lc, struct hconn *hc, struct host_block *b)
{
	stat_add(lc, STAT_HOST_IN, b->len);
	show_block(lc, hc, b);
	if ((hc->flags & HC_CLOSE) != 0) {
		block_put(host_of(lc), b);
		return;
	}
	b->next = NULL;
	*hc->in_last = b;
	hc->in_last = &b->next;
	touch(lc, hc);
}

static void
on_credit(struct lcore *lc, struct hconn *hc, uint32_t bytes)
{
	sl_assert(bytes <= hc->out);
	hc->out -= bytes;
	if (hc->out == 0 && hc->tx.len == 0)
		hc->events |= CONN_EV_ACKED;
	if ((hc->flags & HC_SHORT) != 0 && space(hc) >= HOST_WINDOW / 2) {
		hc->flags &= ~HC_SHORT;
		hc->events |= CONN_EV_WRITABLE;
	}
	touch(lc, hc);
}

static void
on_blocks(struct lcore *lc, struct host_block *b)
{
	struct host_lcore *hl = host_of(lc);

	hl->asked = false;
	while (b != NULL) {
		struct host_block *next = b->next;

		block_put(hl, b);
		b = next;
	}
}

void
host_message(struct lcore *lc, const struct xmsg *m)
{
	struct hconn *hc = (struct hconn *)(uintptr_t)m->w[1];

	switch (m->w[0] & 0xffff) {
	case XMSG_HOST_ACCEPT:
		on_accept(lc, (struct host_accept *)(uintptr_t)m->w[1]);
		break;
	case XMSG_HOST_CONNECTED:
		stat_inc(lc, STAT_HOST_CONNECTS);
		hc->flags |= HC_CONNECTED;
		show_open(lc, hc);
		hc->events |= CONN_EV_CONNECTED;
		touch(lc, hc);
		break;
	case XMSG_HOST_DATA:
		on_data(lc, hc, (struct host_block *)(uintptr_t)m->w[2]);
		break;
	case XMSG_HOST_CREDIT:
		on_credit(lc, hc, (uint32_t)m->w[2]);
		break;
	case XMSG_HOST_EOM:
		hc->flags |= HC_EOM_IN;
		show_close(lc, hc, false, false);
		touch(lc, hc);
		break;
	case XMSG_HOST_ABORT:
		stat_inc(lc, STAT_HOST_ABORTS);
		if ((hc->flags & HC_CONNECTED) != 0)
			show_close(lc, hc, false, true);
		hc->flags |= HC_DEAD;
		hc->events |= CONN_EV_CLOSED;
		if (hc->c != NULL)
			hc->c->err = (int16_t)m->w[2];
		touch(lc, hc);
		break;
	case XMSG_HOST_GONE:
		hconn_free(lc, hc);
		break;
	case XMSG_HOST_BLOCKS:
		on_blocks(lc, (struct host_block *)(uintptr_t)m->w[1]);
		break;
	default:
		break;
	}
}

/* ---- life ---- */

void
host_init(struct host_lcore *hl, void *mem, uint32_t max)
{
	pool_init(&hl->hconns, mem, max, sizeof(struct hconn));
	sl_list_init(&hl->work);
}

int
conn_host_connect(struct lcore *lc, const struct ip_port *to, const struct conn_handler *h,
	void *user, struct conn **out)
{
	struct hconn *hc = hconn_new(lc);

	if (hc == NULL)
		return -ENOMEM;
	hc->c = conn_new(lc, &host_ops, h, user);
	if (hc->c == NULL) {
		hconn_free(lc, hc);
		return -ENOMEM;
	}
	hc->c->lower = hc;
	ch_bind(hc->c);
	hc->to = *to;
	hc->remote = *to;
	hc->flags = HC_CONNECT;
	touch(lc, hc);
	*out = hc->c;
	return 0;
}
