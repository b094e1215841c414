// SPDX-License-Identifier: BSD-3-Clause
/*
 * Send side of an HTTP/1 stream: heads, framing, and the segments they travel in.
 *
 * Runs on: the worker that owns the connection. A head is written straight into a packet's buffer: in
 * front of the body's first bytes if there is room (there is where another head was received before
 * them; if that is the same head, nothing is written at all), else into a buffer of its own, and the
 * first buffer of the body is copied behind it if it fits there whole. So a small message is one
 * segment; all other body bytes are moved. The field "connection" is decided here, as HAProxy
 * does: "close" when the connection will end, "keep-alive" only where HTTP/1.0 needs it said.
 */
#include "dataplane/mux/mux_h1.h"
#include "dataplane/net/net.h"

#include "dataplane/base/hot.h"

uint32_t
muxs_send_space(const struct muxs *ms)
{
	if (ms->mx->c == NULL || (ms->flags & MS_TX_DONE) != 0)
		return 0;
	return conn_send_space(ms->mx->c);
}

bool
muxs_tx_done(const struct muxs *ms)
{
	return (ms->flags & MS_TX_DONE) != 0;
}

bool
muxs_tx_started(const struct muxs *ms)
{
	return (ms->flags & MS_TX_STARTED) != 0;
}

bool
muxs_is_replayable(const struct muxs *ms)
{
	if (ms->mx->c == NULL)
		return ms->tx_bytes == 0;
	return conn_send_queued(ms->mx->c) >= ms->tx_bytes;
}

static int
push(struct lcore *lc, struct muxs *ms, struct chain *data, bool eom)
{
	struct conn *c = ms->mx->c;
	uint32_t n = data->len;
	int rc = 0;

	if (unlikely(c == NULL)) {
		chain_free(lc, data);
		return -EPIPE;
	}
	if (n > 0)
		rc = conn_send(lc, c, data);
	if (rc < 0)
		return rc;
	ms->tx_bytes += n;
	ms->flags |= MS_TX_STARTED;
	if (eom) {
		ms->flags |= MS_TX_DONE;
		// a tunnel's end, or the end of a body that only the end of the connection tells
		if (ms->tx_framing == HTTP_BODY_TUNNEL)
			conn_shutdown(lc, c);
	}
	return 0;
}

/* "connection: …" for this message, or empty. */
static struct sl_str
connection_field(const struct muxs *ms, const struct http_msg *m)
{
	bool msg10 = (m->flags & HTTP_F_10) != 0;
	bool peer10 = (ms->mx->flags & MX_SERVER) != 0 && (ms->flags & MS_PEER10) != 0;
	bool close = (ms->flags & MS_CLOSE) != 0;

	if ((m->flags & HTTP_F_REQUEST) == 0 && m->status < 200)
		return SL_STR_NULL; // interim heads, and 101 says "upgrade" itself
	if (m->framing == HTTP_BODY_TUNNEL)
		return SL_STR_NULL;
	if (close && !msg10)
		return SL_STR("connection: close\r\n");
	if (!close && (msg10 || peer10))
		return SL_STR("connection: keep-alive\r\n");
	return SL_STR_NULL;
}

/* Returns the length or -ENOSPC. */
static int
write_head(const struct http_msg *m, struct sl_str extra, char *out, uint32_t size)
{
	int n;

	if (unlikely(size < extra.len))
		return -ENOSPC;
	n = h1_write_head(m, out, size - extra.len, (m->flags & HTTP_F_10) != 0);
	if (n < 0 || likely(extra.len == 0))
		return n;
	memcpy(out + n - 2, extra.p, extra.len); // over the empty line
	memcpy(out + n - 2 + extra.len, "\r\n", 2);
	return n + (int)extra.len;
}

static int
put_head(struct lcore *lc, struct muxs *ms, const struct http_msg *m, struct chain *out, uint32_t unit)
{
	struct sl_str extra = connection_field(ms, m);
	struct rte_mbuf *mb = lcore_mbuf(lc);
	struct mux_lcore *ml = lc->mux;
	int n;

	if (mb == NULL)
		return -ENOMEM;
	n = write_head(m, extra, rte_pktmbuf_mtod(mb, char *),
		sl_min(unit, (uint32_t)rte_pktmbuf_tailroom(mb)));
	if (likely(n >= 0)) {
		mb->data_len = (uint16_t)n;
		chain_push(out, mb);
		return 0;
	}
	rte_pktmbuf_free(mb);
	n = write_head(m, extra, ml->scratch, ml->scratch_size);
	if (n < 0)
		return -EMSGSIZE;
	return chain_copy_in_mss(lc, out, ml->scratch, (uint32_t)n, unit);
}

/*
 * The head in front of the body's first bytes, in their buffer. Where it was received just there and
 * stayed as it was, it needs only to be uncovered. false: no room, or not in one segment; nothing
 * changed.
 */
static bool
head_in_front(const struct muxs *ms, const struct http_msg *m, struct chain *body, uint32_t unit)
{
	struct rte_mbuf *first = body->head;
	struct sl_str extra;
	uint32_t size;
	char *at;
	bool there;

	if (first == NULL || !RTE_MBUF_DIRECT(first) || rte_mbuf_refcnt_read(first) != 1)
		return false;
	at = rte_pktmbuf_mtod(first, char *);
	extra = connection_field(ms, m);
	there = m->base + m->len == at && extra.len == 0 && h1_is_as_received(m);
	size = there ? m->len : h1_head_size(m) + extra.len;
	if (first->data_off < size + NET_TCP_HEADROOM ||
		size + first->data_len > unit)
		return false;
	if (!there) {
		// a head that is not owned may be in the way of itself
		if ((m->flags & HTTP_F_OWNED) == 0 ||
			write_head(m, extra, at - size, size) != (int)size)
			return false;
		pkt_changed(first);
	}
	first->data_off -= (uint16_t)size;
	first->data_len += (uint16_t)size;
	body->len += size;
	return true;
}

#define SMALL 256 // bytes that are cheaper copied than sent as a segment of their own

/*
 * The body's first buffer moves into the last segment of the head if it fits there whole (any: is there
 * already), and so do small ones behind it (chunk framing).
 */
static sl_apart void
join(struct chain *out, struct chain *body, uint32_t unit, bool any)
{
	struct rte_mbuf *last = out->tail, *first;

	while (last != NULL && (first = body->head) != NULL && (!any || first->data_len <= SMALL) &&
		(uint32_t)last->data_len + first->data_len <= unit &&
		rte_pktmbuf_tailroom(last) >= first->data_len) {
		first = chain_pop(body);
		memcpy(rte_pktmbuf_mtod_offset(last, char *, last->data_len),
			rte_pktmbuf_mtod(first, char *), first->data_len);
		pkt_changed(last);
		last->data_len = (uint16_t)(last->data_len + first->data_len);
		out->len += first->data_len;
		rte_pktmbuf_free(first);
		any = true;
	}
	chain_append(out, body);
}

/* Wraps body bytes into one chunk (RFC 9112 7.1) and ends the body where asked. */
static int
frame(struct lcore *lc, struct muxs *ms, struct chain *body, bool eom, struct chain *out)
{
	static const char last[] = "0\r\n\r\n";
	char head[18];
	int rc = 0;

	if (ms->tx_framing != HTTP_BODY_CHUNKED || (ms->flags & MS_TX_RAW) != 0) {
		chain_append(out, body);
		return 0;
	}
	if (body->len > 0) {
		rc = chain_copy_in(lc, out, head, (uint32_t)h1_chunk_head(head, body->len));
		chain_append(out, body);
		rc = rc < 0 ? rc : chain_copy_in(lc, out, "\r\n", 2);
	}
	if (eom && rc == 0)
		rc = chain_copy_in(lc, out, last, sizeof(last) - 1);
	return rc;
}

/* What the sending of a final head settles: framing, and whether the connection goes on. */
static void
settle(struct muxs *ms, const struct http_msg *m, bool close)
{
	bool server = (ms->mx->flags & MX_SERVER) != 0;

	ms->flags |= MS_TX_HEAD;
	ms->tx_framing = (uint8_t)m->framing;
	if (!server)
		ms->req_meth = (uint8_t)m->meth;
	if (close || m->framing == HTTP_BODY_CLOSE || m->framing == HTTP_BODY_TUNNEL)
		ms->flags |= MS_CLOSE;
	if (server && (ms->flags & MS_KEEP) == 0)
		ms->flags |= MS_CLOSE;
}

void
muxs_set_tunnel(struct muxs *ms)
{
	ms->rx_framing = ms->tx_framing = HTTP_BODY_TUNNEL;
	ms->flags &= ~(MS_RX_DONE | MS_TX_DONE);
	ms->flags |= MS_CLOSE;
}

int
muxs_send_head(struct lcore *lc, struct muxs *ms, const struct http_msg *m, struct chain *body,
	bool eom, bool close)
{
	bool interim = (m->flags & HTTP_F_REQUEST) == 0 && m->status < 200 && m->status != 101;
	struct chain out, framed;
	uint32_t unit;
	bool in_front;
	int rc = -EPIPE;

	chain_init(&out);
	chain_init(&framed);
	if (unlikely(ms->mx->c == NULL))
		goto fail;
	if (!interim)
		settle(ms, m, close);
	if (body != NULL || eom) {
		struct chain none;

		chain_init(&none);
		rc = frame(lc, ms, body != NULL ? body : &none, eom, &framed);
		if (rc < 0)
			goto fail;
	}
	unit = conn_unit(lc, ms->mx->c);
	in_front = head_in_front(ms, m, &framed, unit);
	if (in_front) {
		chain_push(&out, chain_pop(&framed));
	} else {
		rc = put_head(lc, ms, m, &out, unit);
		if (rc < 0)
			goto fail;
	}
	if (in_front && framed.head == NULL)
		return push(lc, ms, &out, eom);
	join(&out, &framed, unit, in_front);
	return push(lc, ms, &out, eom);

fail:
	chain_free(lc, &out);
	chain_free(lc, &framed);
	if (body != NULL)
		chain_free(lc, body);
	return rc;
}

int
muxs_send_bytes(struct lcore *lc, struct muxs *ms, struct sl_str bytes, bool eom, bool close)
{
	struct chain out;
	int rc;

	chain_init(&out);
	if (ms->mx->c == NULL)
		return -EPIPE;
	if (eom) {
		ms->flags |= MS_TX_HEAD;
		ms->tx_framing = HTTP_BODY_NONE;
		if (close || (ms->flags & MS_KEEP) == 0)
			ms->flags |= MS_CLOSE;
	}
	rc = chain_copy_in_mss(lc, &out, bytes.p, bytes.len, conn_unit(lc, ms->mx->c));
	if (rc < 0) {
		chain_free(lc, &out);
		return rc;
	}
	return push(lc, ms, &out, eom);
}

int
muxs_send(struct lcore *lc, struct muxs *ms, struct chain *body, bool eom)
{
	struct chain out;
	int rc;

	chain_init(&out);
	rc = frame(lc, ms, body, eom, &out);
	if (rc < 0) {
		chain_free(lc, &out);
		chain_free(lc, body);
		return rc;
	}
	return push(lc, ms, &out, eom);
}
