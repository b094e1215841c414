// SPDX-License-Identifier: BSD-3-Clause
/*
 * A connection on this worker that a control thread drives: health checks today.
 *
 * Runs on: the worker. Memory is lent by the control side and always goes back: full blocks when
 * their bytes are queued in TCP, empty ones filled with what arrived, all of them before the last
 * event. If the ring to the control side is full, what is to be told stays here and is told in a
 * later iteration, in the same order.
 * Not here: the control side's half (control/io/io_stack.c).
 */
#include "dataplane/conn/lsock.h"

#include "dataplane/base/hot.h"

#define EVENT_BIT(e) (uint8_t)(1u << (e))

static bool
tell(struct lcore *lc, struct lsock *ls, enum lsock_event e, uintptr_t w3)
{
	struct xmsg m = { .w = { XMSG_SOCK_EVENT, (uintptr_t)ls, (uint64_t)e, w3 } };
	struct xpair *p = ls->io ? &lc->io : &lc->main;

	if (!xring_push(&p->from, &m))
		return false;
	p->dirty = true;
	return true;
}

/* In order: connected, blocks, end of stream, closed, gone. False: the ring is full. */
static bool
tell_all(struct lcore *lc, struct lsock *ls)
{
	uint32_t n = 0;

	if (ls->events & EVENT_BIT(LSOCK_CONNECTED)) {
		if (!tell(lc, ls, LSOCK_CONNECTED, 0))
			return false;
		ls->events &= (uint8_t)~EVENT_BIT(LSOCK_CONNECTED);
	}
	while (n < ls->nback && tell(lc, ls, ls->back[n].type, (uintptr_t)ls->back[n].block))
		n++;
	memmove(ls->back, ls->back + n, (ls->nback - n) * sizeof(ls->back[0]));
	ls->nback = (uint8_t)(ls->nback - n);
	if (ls->nback > 0)
		return false;
	if (ls->events & EVENT_BIT(LSOCK_EOF)) {
		if (!tell(lc, ls, LSOCK_EOF, 0))
			return false;
		ls->events &= (uint8_t)~EVENT_BIT(LSOCK_EOF);
	}
	if (ls->events & EVENT_BIT(LSOCK_CLOSED)) {
		if (!tell(lc, ls, LSOCK_CLOSED, (uintptr_t)(unsigned int)ls->err))
			return false;
		ls->events &= (uint8_t)~EVENT_BIT(LSOCK_CLOSED);
	}
	// the control side may free it at once: nothing is read afterwards
	return !(ls->events & EVENT_BIT(LSOCK_GONE)) || tell(lc, ls, LSOCK_GONE, 0);
}

static void
report(struct lcore *lc, struct lsock *ls)
{
	struct lsock **tail = &lc->lsock_waiting;

	if (ls->waiting || tell_all(lc, ls))
		return;
	ls->waiting = true;
	ls->next = NULL;
	while (*tail != NULL)
		tail = &(*tail)->next;
	*tail = ls;
}

void
lsock_retry(struct lcore *lc)
{
	struct lsock *ls = lc->lsock_waiting, *next;

	for (; ls != NULL; ls = next) {
		next = ls->next;
		ls->waiting = false;
		lc->lsock_waiting = next;
		if (!tell_all(lc, ls)) { // stays the first
			ls->waiting = true;
			lc->lsock_waiting = ls;
			return;
		}
	}
}

static void
give_back(struct lsock *ls, struct lsock_block *b, enum lsock_event type)
{
	sl_assert(ls->nback < LSOCK_CREDIT + LSOCK_OUT);
	ls->back[ls->nback].block = b;
	ls->back[ls->nback++].type = type;
}

/* The connection is over; what is lent goes back. */
static void
end(struct lcore *lc, struct lsock *ls, enum lsock_event how, int err)
{
	ls->conn = NULL;
	ls->dead = true;
	ls->err = err;
	for (uint8_t i = 0; i < ls->nout; i++)
		give_back(ls, ls->out[i], LSOCK_SENT);
	for (uint8_t i = 0; i < ls->ncredit; i++) {
		ls->credit[i]->len = 0;
		give_back(ls, ls->credit[i], LSOCK_DATA);
	}
	ls->nout = ls->ncredit = 0;
	ls->events |= EVENT_BIT(how);
	report(lc, ls);
}

/* all: whatever room there is, because the end comes behind it. */
static void
pump_out(struct lcore *lc, struct lsock *ls, bool all)
{
	uint8_t n = 0;

	while (ls->connected && n < ls->nout &&
		(all || conn_send_space(ls->conn) >= ls->out[n]->len)) {
		struct chain c;

		chain_init(&c);
		if (chain_copy_in_mss(lc, &c, ls->out[n]->data, ls->out[n]->len,
			    conn_unit(lc, ls->conn)) < 0)
			break; // no buffer now: at the next event
		if (conn_send(lc, ls->conn, &c) < 0)
			break; // CLOSED follows
		give_back(ls, ls->out[n++], LSOCK_SENT);
	}
	memmove(ls->out, ls->out + n, (ls->nout - n) * sizeof(ls->out[0]));
	ls->nout = (uint8_t)(ls->nout - n);
}

static void
pump_in(struct lcore *lc, struct lsock *ls)
{
	const struct chain *rx = conn_rx(ls->conn);

	while (rx->len > 0 && ls->ncredit > 0) {
		struct lsock_block *b = ls->credit[--ls->ncredit];

		b->len = chain_copy_out(rx, 0, b->data, LSOCK_BLOCK);
		conn_rx_drop(lc, ls->conn, b->len);
		give_back(ls, b, LSOCK_DATA);
	}
	// a connection that was reset has not ended
	if (rx->len == 0 && conn_rx_eof(ls->conn) && conn_error(ls->conn) == 0 && !ls->eof) {
		ls->eof = true;
		ls->events |= EVENT_BIT(LSOCK_EOF);
	}
}

static void
event(struct lcore *lc, struct conn *c, void *user, uint32_t ev)
{
	struct lsock *ls = user;

	if (ev & CONN_EV_CONNECTED) {
		struct ip_port remote;

		conn_addrs(c, &ls->local, &remote);
		ls->connected = true;
		ls->events |= EVENT_BIT(LSOCK_CONNECTED);
	}
	if (ls->connected)
		pump_in(lc, ls);
	if (ev & CONN_EV_CLOSED) {
		int err = conn_error(c);
		conn_close(lc, c);
		end(lc, ls, LSOCK_CLOSED, err);
		return;
	}
	pump_out(lc, ls, false);
	report(lc, ls);
}

static const struct conn_handler handler = { .event = event };

static void
on_open(struct lcore *lc, struct lsock *ls)
{
	int rc = conn_connect(lc, &ls->to, NULL, &handler, ls, &ls->conn);

	if (rc < 0)
		end(lc, ls, LSOCK_CLOSED, -rc);
}

static void
on_close(struct lcore *lc, struct lsock *ls, bool abort)
{
	if (!ls->dead && !abort)
		pump_out(lc, ls, true); // at most LSOCK_OUT blocks: bounded
	if (!ls->dead && (abort || !ls->connected || ls->nout > 0))
		conn_abort(lc, ls->conn); // half a message must not look like a whole one
	else if (!ls->dead)
		conn_close(lc, ls->conn);
	end(lc, ls, LSOCK_GONE, 0);
}

void
lsock_message(struct lcore *lc, const struct xmsg *m)
{
	struct lsock *ls = (struct lsock *)(uintptr_t)m->w[1];
	struct lsock_block *b = (struct lsock_block *)(uintptr_t)m->w[2];

	switch (m->w[0] & 0xffff) {
	case XMSG_SOCK_OPEN:
		on_open(lc, ls);
		return;
	case XMSG_SOCK_CLOSE:
		on_close(lc, ls, m->w[2] != 0);
		return;
	case XMSG_SOCK_SHUT:
		if (!ls->dead && ls->connected)
			conn_shutdown(lc, ls->conn);
		return;
	case XMSG_SOCK_SEND:
		if (ls->dead || ls->nout == LSOCK_OUT) {
			give_back(ls, b, LSOCK_SENT);
		} else {
			ls->out[ls->nout++] = b;
			pump_out(lc, ls, false);
		}
		break;
	case XMSG_SOCK_CREDIT:
		if (ls->dead || ls->ncredit == LSOCK_CREDIT) {
			b->len = 0;
			give_back(ls, b, LSOCK_DATA);
		} else {
			ls->credit[ls->ncredit++] = b;
			if (ls->connected)
				pump_in(lc, ls);
		}
		break;
	default:
		return;
	}
	report(lc, ls);
}
