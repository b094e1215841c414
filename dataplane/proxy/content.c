// SPDX-License-Identifier: BSD-3-Clause
/*
 * What has been received while rules on content are evaluated: when "tcp-request content" and "tcp-response
 * content" start, wait for bytes and go on, and what fetches see of the bytes. Scripts read and change what
 * was sent (Channel) before it goes to the other side.
 *
 * Runs on: the worker that owns the stream. The bytes are those in side->pre, then those that the connection
 * has received. In pre stands what a script has put in place of others, and what a server had said
 * whose connection died while a rule was parked; it counts in lc->retained, as queues do. A script works
 * on a copy in its slot, at most CALL_CHAN bytes; what it changed comes back with its next question, or
 * with its end.
 * Follows: HAProxy 2.6: a condition on bytes that may still come is neither true nor false; then the rules
 * wait and start again from the first one with each arrival, until the inspect-delay has passed, the peer
 * has ended its direction, or a buffer's worth is there. A script may wait for more until the inspect-delay
 * has passed since the rules began, or the client has ended its direction; without a delay it never waits.
 * Not here: mode http, where scripts must not touch a channel.
 */
#include "dataplane/proxy/call.h"
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

static const struct conn *
conn_of(const struct stream *s, bool res)
{
	return res ? s->back.c : s->cli.c;
}

uint32_t
content_size(const struct stream *s, bool res)
{
	const struct conn *c = conn_of(s, res);

	return s->side->pre[res].len + (c != NULL ? conn_rx(c)->len : 0);
}

static bool
is_over(const struct stream *s, bool res)
{
	const struct conn *c = conn_of(s, res);

	return c == NULL || conn_rx_eof(c) || conn_error(c) != 0;
}

bool
content_whole(const struct muxs *ms)
{
	bool whole = true;

	return ms == NULL || muxs_rx_peek(ms, &whole) >= CONTENT_FULL || whole ||
		muxs_rx_ready(ms) >= CONTENT_FULL;
}

static bool
in_time(const struct stream *s)
{
	return tick_is_set(s->side->inspect_exp) &&
		!tick_is_expired(s->side->inspect_exp, s->lc->now);
}

static bool
may_wait(const struct stream *s, bool res)
{
	return !is_over(s, res) && in_time(s);
}

/* The direction whose rules asked the script. */
static bool
asked_of_server(const struct call_slot *slot)
{
	return slot->point == EVAL_TCP_RES;
}

bool
content_partial(const struct stream *s)
{
	bool res = (s->flags & ST_F_CONTENT_RES) != 0;

	if ((s->flags & ST_F_CONTENT) == 0 || !in_time(s))
		return false;
	if (s->fe->mode == PX_HTTP)
		return !content_whole(res ? s->ss : s->cs);
	return !is_over(s, res) && content_size(s, res) < CONTENT_FULL;
}

enum rule_result
content_pass(struct stream *s, const struct proxy *px, bool res)
{
	enum rule_result rc;

	if ((s->flags & ST_F_CONTENT) == 0) {
		s->flags |= ST_F_CONTENT | (res ? ST_F_CONTENT_RES : 0);
		s->side->inspect_exp = tick_add_ifset(
			s->lc->now, res ? px->inspect_res_ms : px->inspect_delay_ms);
	} else if ((s->flags & ST_F_MISSING) == 0) {
		goto passed; // a rule was parked, and what stood behind it has been evaluated
	}
	s->flags &= ~ST_F_MISSING;
	rc = rule_run(s, res ? px->tcp_res : px->tcp_req);
	if (rc != RULE_NEXT)
		return rc;
passed:
	s->flags &= ~(ST_F_CONTENT | ST_F_CONTENT_RES);
	s->side->inspect_exp = TICK_NONE;
	return RULE_NEXT;
}

/* n of the bytes that are there, from the offset on. */
static void
copy(const struct stream *s, bool res, uint32_t off, char *out, uint32_t n)
{
	const struct chain *pre = &s->side->pre[res];
	uint32_t done = 0;

	if (off < pre->len)
		done = chain_copy_out(pre, off, out, n);
	if (done < n)
		chain_copy_out(conn_rx(conn_of(s, res)), off + done - pre->len, out + done, n - done);
}

/* It grows by what has come since, so that a client who sends byte by byte costs no more than another. */
const char *
content_look(struct stream *s, bool res, uint32_t n)
{
	struct content_look *k = &s->side->look[res];

	if (n > k->cap) {
		uint32_t cap = sl_min(2 * k->cap, (uint32_t)CONTENT_FULL);
		char *p;

		cap = sl_max(cap, 256u);
		cap = sl_max(cap, n);
		p = arena_alloc(&s->arena, cap);
		if (p == NULL)
			return NULL;
		if (k->len > 0)
			memcpy(p, k->p, k->len);
		k->p = p;
		k->cap = cap;
	}
	if (n > k->len)
		copy(s, res, k->len, k->p + k->len, n - k->len);
	k->len = sl_max(k->len, n);
	return k->cap > 0 ? k->p : "";
}

/* What the script made of the bytes it has seen takes their place. 0 or -ENOMEM. */
int
content_apply(struct stream *s, struct call_slot *slot)
{
	bool res = asked_of_server(slot);
	struct call_chan *ch = &slot->chan;
	struct chain *pre = &s->side->pre[res];
	struct chain text;
	uint32_t n;

	if (!ch->dirty)
		return 0;
	chain_init(&text);
	if (ch->len > 0 && chain_copy_in(s->lc, &text, ch->p, ch->len) < 0) {
		chain_free(s->lc, &text);
		return -ENOMEM;
	}
	n = sl_min(ch->seen, pre->len);
	s->lc->retained -= chain_truesize(pre);
	chain_trim(s->lc, pre, n);
	if (ch->seen > n)
		conn_rx_drop(s->lc, res ? s->back.c : s->cli.c, ch->seen - n);
	chain_append(&text, pre);
	*pre = text;
	s->lc->retained += chain_truesize(pre);
	s->side->look[res].len = 0;
	ch->seen = ch->len;
	ch->dirty = false;
	return 0;
}

/* True: it was told; false: there is nothing new. */
static bool
tell_more(struct stream *s, struct call_slot *slot)
{
	bool res = asked_of_server(slot);
	struct call_chan *ch = &slot->chan;
	uint32_t n = sl_min(content_size(s, res) - ch->seen, CALL_CHAN - ch->len);

	if (n == 0 && slot->ask_max != 0 && ch->len < CALL_CHAN && may_wait(s, res))
		return false;
	if (n > 0)
		copy(s, res, ch->seen, ch->p + ch->len, n);
	ch->len += n;
	ch->seen += n;
	ch->over = is_over(s, res);
	s->side->chan = NULL;
	call_told(s->lc, slot, 0);
	return true;
}

void
content_asked(struct stream *s, struct call_slot *slot)
{
	if (s->fe->mode != PX_TCP || (s->flags & ST_F_CONTENT) == 0) {
		call_told(s->lc, slot, -EINVAL);
		return;
	}
	if (slot->chan.p == NULL)
		slot->chan.p = call_alloc(slot, CALL_CHAN);
	if (slot->chan.p == NULL) {
		call_told(s->lc, slot, -ENOSPC);
		return;
	}
	if (!tell_more(s, slot)) {
		s->side->chan = slot;
		s->side->chan_seq = slot->seq;
	}
}

void
content_run(struct stream *s)
{
	struct call_slot *slot = s->side->chan;

	if (unlikely((s->flags & ST_F_BODY_WAIT) != 0))
		body_waited(s);
	if (slot == NULL)
		return;
	if (s->call.slot == slot && s->call.seq == s->side->chan_seq)
		(void)tell_more(s, slot);
	else
		s->side->chan = NULL; // a deadline or the like has decided meanwhile
}

sl_tick
content_date(const struct stream *s)
{
	bool waits = s->side->chan != NULL || (s->flags & (ST_F_MISSING | ST_F_BODY_WAIT)) != 0;

	return waits ? s->side->inspect_exp : TICK_NONE;
}

int
content_send(struct stream *s, bool res, struct conn *to)
{
	struct chain *pre = &s->side->pre[res];
	struct chain out = *pre;

	if (out.len == 0)
		return 0;
	chain_init(pre);
	s->lc->retained -= chain_truesize(&out);
	if (res)
		stream_count_out(s, out.len);
	else
		stream_count_in(s, out.len);
	return conn_send(s->lc, to, &out);
}

int
content_keep(struct stream *s)
{
	struct chain *pre = &s->side->pre[1];
	struct conn *c = s->back.c;
	uint32_t before = chain_truesize(pre);
	int rc = conn_rx_take(s->lc, c, conn_rx(c)->len, pre);

	s->lc->retained += chain_truesize(pre) - before; // the connection has given it back
	return rc;
}

void
content_end(struct stream *s)
{
	for (int i = 0; i < 2; i++) {
		s->lc->retained -= chain_truesize(&s->side->pre[i]);
		chain_free(s->lc, &s->side->pre[i]);
	}
	s->side->chan = NULL;
}
