// SPDX-License-Identifier: BSD-3-Clause
/*
 * Services of mode tcp: the same questions as in mode http, but for the head (svc.c), on the client's
 * connection itself.
 *
 * Runs on: the worker that owns the stream.
 * Follows: HAProxy 2.6: the end of the function is the end of the connection, behind what it has sent;
 * a client that ends its direction is still served. "timeout client" holds while the service waits for
 * the client, here also in mode tcp, where HAProxy's services wait for ever.
 */
#include "dataplane/proxy/call.h"
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

int
svc_tcp_receive(struct stream *s, struct call_slot *slot, uint32_t max)
{
	struct conn *c = s->cli.c;
	struct lcore *lc = s->lc;
	uint32_t n = c != NULL ? sl_min(conn_rx(c)->len, max) : 0;
	char *p;

	if (unlikely(s->side->pre[0].len > 0)) { // a rule's script has changed what comes first
		struct chain *pre = &s->side->pre[0];

		n = sl_min(pre->len, max);
		p = call_alloc(slot, n);
		if (p == NULL)
			return -ENOSPC;
		chain_copy_out(pre, 0, p, n);
		lc->retained -= chain_truesize(pre);
		chain_trim(lc, pre, n);
		lc->retained += chain_truesize(pre);
		slot->ask_value.s = sl_str_make(p, n);
		stream_count_in(s, n);
		return 0;
	}
	if (n == 0)
		return c == NULL || (conn_rx(c)->len == 0 && conn_rx_eof(c)) ? 0 : 1;
	p = call_alloc(slot, n);
	if (p == NULL)
		return -ENOSPC;
	chain_copy_out(conn_rx(c), 0, p, n);
	conn_rx_drop(lc, c, n);
	slot->ask_value.s = sl_str_make(p, n);
	stream_touch_client(s);
	stream_count_in(s, n);
	return 0;
}

int
svc_tcp_send(struct stream *s, struct sl_str text, uint32_t *done)
{
	struct conn *c = s->cli.c;
	struct lcore *lc = s->lc;

	while (*done < text.len) {
		struct chain out;
		uint32_t n;

		if (c == NULL)
			return -EPIPE;
		n = sl_min(text.len - *done, conn_send_space(c));
		if (n == 0)
			return 1;
		chain_init(&out);
		if (chain_copy_in_mss(lc, &out, text.p + *done, n, conn_unit(lc, c)) < 0) {
			chain_free(lc, &out);
			return -EAGAIN;
		}
		*done += n;
		stream_touch_client(s);
		stream_count_out(s, n);
		if (conn_send(lc, c, &out) < 0)
			return -EPIPE;
	}
	return 0;
}
