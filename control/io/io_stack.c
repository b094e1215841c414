// SPDX-License-Identifier: BSD-3-Clause
/*
 * Connections over our own TCP, driven from an event loop: the control thread's half of an lsock.
 *
 * Runs on: the thread of the event loop (main, or io). Owns every block and every lsock; a worker
 * borrows them and gives each back before LSOCK_GONE. Never touches a worker's pool.
 */
#include <stdlib.h>

#include "control/io/io_priv.h"

struct io_conn {
	struct lsock s;
	struct sl_list node;
	struct io_loop *l;
	const struct io_handler *h; // NULL: the user has let go
	void *user;
	uint32_t out_blocks; // lent full
	uint32_t lent;       // lent in all
	uint32_t owed;       // empty blocks that are not lent because of the pause
	bool paused;
	bool closing; // SOCK_CLOSE was sent
};

/* ---- to workers ---- */

static void
send_msg(struct io_loop *l, uint16_t w, enum xmsg_type type, struct io_conn *c, uint64_t w2)
{
	struct xmsg m = { .w = { type, (uintptr_t)&c->s, w2, 0 } };

	if (!io_post(l, w, &m, 0))
		sl_assert(0); // MESSAGES_PER_CONN bounds it
}

static void
lend(struct io_conn *c, enum xmsg_type type, struct lsock_block *b)
{
	c->lent++;
	c->l->lent++;
	send_msg(c->l, c->s.worker, type, c, (uintptr_t)b);
}

static void
send_close(struct io_conn *c, bool abort)
{
	if (c->closing)
		return;
	c->closing = true;
	send_msg(c->l, c->s.worker, XMSG_SOCK_CLOSE, c, abort);
}

/* ---- from workers ---- */

static void
took_back(struct io_conn *c)
{
	sl_assert(c->lent > 0);
	c->lent--;
	c->l->lent--;
}

static void
on_data(struct io_conn *c, struct lsock_block *b)
{
	took_back(c);
	if (b->len > 0 && c->h != NULL)
		c->h->data(c, c->user, b->data, b->len);
	if (c->closing || b->len == 0) {
		free(b);
		return;
	}
	if (c->paused) {
		free(b);
		c->owed++;
		return;
	}
	lend(c, XMSG_SOCK_CREDIT, b);
}

static void
on_sent(struct io_conn *c, struct lsock_block *b)
{
	took_back(c);
	free(b);
	if (--c->out_blocks == 0 && c->h != NULL && !c->closing && c->h->sent != NULL)
		c->h->sent(c, c->user);
}

/* Tells the user once; whatever happens later is nobody's. */
static void
over(struct io_conn *c, int err)
{
	const struct io_handler *h = c->h;

	c->h = NULL;
	send_close(c, err != 0);
	if (h != NULL)
		h->closed(c, c->user, err);
}

static void
on_gone(struct io_conn *c)
{
	sl_assert(c->lent == 0);
	sl_list_del(&c->node);
	c->l->conns--;
	free(c);
}

void
io_stack_event(const struct xmsg *m)
{
	struct lsock *s = (struct lsock *)(uintptr_t)m->w[1];
	struct io_conn *c = s->owner;
	struct lsock_block *b = (struct lsock_block *)(uintptr_t)m->w[3];

	switch ((enum lsock_event)m->w[2]) {
	case LSOCK_CONNECTED:
		if (c->h != NULL)
			c->h->connected(c, c->user);
		break;
	case LSOCK_DATA:
		on_data(c, b);
		break;
	case LSOCK_SENT:
		on_sent(c, b);
		break;
	case LSOCK_EOF:
		if (c->h != NULL && c->h->eof != NULL)
			c->h->eof(c, c->user);
		else
			over(c, 0);
		break;
	case LSOCK_CLOSED:
		over(c, (int)m->w[3]);
		break;
	case LSOCK_GONE:
		on_gone(c);
		break;
	}
}

/* ---- the end of the loop ---- */

static void
free_lent(const struct xmsg *m)
{
	if (m->w[0] == XMSG_SOCK_SEND || m->w[0] == XMSG_SOCK_CREDIT)
		free((void *)(uintptr_t)m->w[2]);
}

void
io_stack_fini(struct io_loop *l)
{
	sl_list_foreach_safe(n, &l->all) {
		struct io_conn *c = sl_list_entry(n, struct io_conn, node);

		for (uint8_t i = 0; i < c->s.nout; i++)
			free(c->s.out[i]);
		for (uint8_t i = 0; i < c->s.ncredit; i++)
			free(c->s.credit[i]);
		for (uint8_t i = 0; i < c->s.nback; i++)
			free(c->s.back[i].block);
		free(c);
	}
	for (uint16_t w = 0; w < l->n && l->lc[w] != NULL; w++) {
		struct pending *p = &l->pend[w];
		struct xmsg m;

		// blocks in messages that no worker has read
		while (xring_pop(&io_pair(l, w)->to, &m))
			free_lent(&m);
		for (; p->count > 0; p->count--, p->head++)
			free_lent(&p->m[p->head & p->mask]);
	}
}

/* ---- connections ---- */

int
io_connect(struct io_loop *l, uint16_t w, const struct ip_port *to, const struct io_handler *h,
	void *user, struct io_conn **out)
{
	struct lsock_block *b[IO_CREDIT] = { NULL };
	struct io_conn *c;

	if (l->conns >= l->max)
		return -EAGAIN;
	c = calloc(1, sizeof(*c));
	for (uint32_t i = 0; c != NULL && i < IO_CREDIT; i++) {
		b[i] = malloc(sizeof(*b[i]));
		if (b[i] == NULL) {
			while (i-- > 0)
				free(b[i]);
			free(c);
			c = NULL;
		}
	}
	if (c == NULL)
		return -ENOMEM;
	c->l = l;
	c->h = h;
	c->user = user;
	c->s.to = *to;
	c->s.worker = w;
	c->s.io = l->pair == IO_PAIR_IO;
	c->s.owner = c;
	sl_list_add_tail(&l->all, &c->node);
	l->conns++;
	send_msg(l, w, XMSG_SOCK_OPEN, c, 0);
	for (uint32_t i = 0; i < IO_CREDIT; i++)
		lend(c, XMSG_SOCK_CREDIT, b[i]);
	*out = c;
	return 0;
}

int
io_send(struct io_conn *c, const void *p, uint32_t n)
{
	uint32_t blocks = (n + IO_BLOCK - 1) / IO_BLOCK;
	const uint8_t *at = p;

	if (c->closing || c->h == NULL)
		return -EPIPE;
	if (blocks > LSOCK_OUT - c->out_blocks)
		return -ENOSPC;
	while (n > 0) {
		struct lsock_block *b = malloc(sizeof(*b));

		if (b == NULL)
			return -ENOMEM; // a part may have been sent: the caller closes
		b->len = sl_min(n, (uint32_t)IO_BLOCK);
		memcpy(b->data, at, b->len);
		at += b->len;
		n -= b->len;
		c->out_blocks++;
		lend(c, XMSG_SOCK_SEND, b);
	}
	return 0;
}

void
io_shutdown(struct io_conn *c)
{
	if (!c->closing && c->h != NULL)
		send_msg(c->l, c->s.worker, XMSG_SOCK_SHUT, c, 0);
}

void
io_pause(struct io_conn *c)
{
	c->paused = true;
}

void
io_resume(struct io_conn *c)
{
	c->paused = false;
	for (; c->owed > 0 && !c->closing; c->owed--) {
		struct lsock_block *b = malloc(sizeof(*b));

		if (b == NULL) {
			over(c, ENOMEM);
			return;
		}
		lend(c, XMSG_SOCK_CREDIT, b);
	}
}

void
io_addrs(const struct io_conn *c, struct ip_port *local, struct ip_port *remote)
{
	*local = c->s.local;
	*remote = c->s.to;
}

void
io_close(struct io_conn *c, bool abort)
{
	c->h = NULL;
	send_close(c, abort);
}
