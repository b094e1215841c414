// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a client has sent while "tcp-request content" rules are evaluated in mode tcp: scripts read and
 * change it (Channel) before it goes to a server.
 *
 * Runs on: the worker that owns the stream. The bytes are those that a script has put in place of others
 * (side->pre), then those that the connection has received. A script works on a copy in its slot, at
 * most CALL_CHAN bytes; what it changed comes back with its next question, or with its end.
 * Follows: HAProxy 2.6: a script may wait for more until the inspect-delay has passed since the rules
 * began, or the client has ended its direction; without a delay it never waits.
 * Not here: mode http, where scripts must not touch a channel.
 */
#include "dataplane/proxy/call.h"
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

static uint32_t
content_len(const struct stream *s)
{
	return s->side->pre.len + (s->cli.c != NULL ? conn_rx(s->cli.c)->len : 0);
}

static bool
is_over(const struct stream *s)
{
	return s->cli.c == NULL || conn_rx_eof(s->cli.c);
}

static bool
may_wait(const struct stream *s)
{
	return !is_over(s) && tick_is_set(s->side->inspect_exp) &&
		!tick_is_expired(s->side->inspect_exp, s->lc->now);
}

void
content_begin(struct stream *s)
{
	s->side->inspect_exp = tick_add_ifset(s->lc->now, s->fe->inspect_delay_ms);
}

/* n bytes from the offset on. */
static void
copy(const struct stream *s, uint32_t off, char *out, uint32_t n)
{
	uint32_t done = 0;

	if (off < s->side->pre.len)
		done = chain_copy_out(&s->side->pre, off, out, n);
	if (done < n)
		chain_copy_out(conn_rx(s->cli.c), off + done - s->side->pre.len, out + done, n - done);
}

/* What the script made of the bytes it has seen takes their place. 0 or -ENOMEM. */
int
content_apply(struct stream *s, struct call_slot *slot)
{
	struct call_chan *ch = &slot->chan;
	struct chain text;
	uint32_t n;

	if (!ch->dirty)
		return 0;
	chain_init(&text);
	if (ch->len > 0 && chain_copy_in(s->lc, &text, ch->p, ch->len) < 0) {
		chain_free(s->lc, &text);
		return -ENOMEM;
	}
	n = sl_min(ch->seen, s->side->pre.len);
	chain_trim(s->lc, &s->side->pre, n);
	if (ch->seen > n)
		conn_rx_drop(s->lc, s->cli.c, ch->seen - n);
	chain_append(&text, &s->side->pre);
	s->side->pre = text;
	ch->seen = ch->len;
	ch->dirty = false;
	return 0;
}

/* True: it was told; false: there is nothing new. */
static bool
tell_more(struct stream *s, struct call_slot *slot)
{
	struct call_chan *ch = &slot->chan;
	uint32_t n = sl_min(content_len(s) - ch->seen, CALL_CHAN - ch->len);

	if (n == 0 && slot->ask_max != 0 && ch->len < CALL_CHAN && may_wait(s))
		return false;
	if (n > 0)
		copy(s, ch->seen, ch->p + ch->len, n);
	ch->len += n;
	ch->seen += n;
	ch->over = is_over(s);
	s->side->chan = NULL;
	call_told(s->lc, slot, 0);
	return true;
}

void
content_asked(struct stream *s, struct call_slot *slot)
{
	if (s->fe->mode != PX_TCP || s->phase != ST_REQ_RULES_FE) {
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
	return s->side->chan != NULL ? s->side->inspect_exp : TICK_NONE;
}

int
content_send(struct stream *s, struct conn *to)
{
	struct chain *pre = &s->side->pre;
	struct chain out = *pre;

	if (out.len == 0)
		return 0;
	chain_init(pre);
	stream_count_in(s, out.len);
	return conn_send(s->lc, to, &out);
}

void
content_end(struct stream *s)
{
	chain_free(s->lc, &s->side->pre);
	s->side->chan = NULL;
}
