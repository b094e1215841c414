// SPDX-License-Identifier: BSD-3-Clause
/*
 * Receive side of an HTTP/1 stream: heads and bodies out of the connection's queue.
 *
 * Runs on: the worker that owns the connection. A head in one buffer is parsed where it lies and
 * given back when the event that told of it returns; a head in pieces is copied to memory of the
 * stream, and what was copied leaves the queue at once, so that slow heads hold no packets.
 * Follows: RFC 9112 6 (bodies), 7.1 (chunked). Raw bodies are scanned for their end, not changed.
 * Not here: what a message means (proxy), the parser (http).
 */
#include "dataplane/mux/mux_h1.h"
#include "dataplane/net/pkt.h"

#include "dataplane/base/hot.h"

#define HEAD_SMALL (1024u + HTTP_REWRITE)

static const struct chain no_rx;

const struct chain *
h1_rx(const struct muxs *ms)
{
	if (unlikely((ms->flags & MS_OVER) != 0))
		return &ms->stash;
	return ms->mx->c != NULL ? conn_rx(ms->mx->c) : &no_rx;
}

bool
h1_rx_eof(const struct muxs *ms)
{
	if (unlikely((ms->flags & MS_OVER) != 0))
		return ms->mx->err == 0; // a reset ends no message
	if (unlikely(ms->mx->c == NULL))
		return true;
	return conn_rx_eof(ms->mx->c);
}

void
h1_rx_drop(struct lcore *lc, struct muxs *ms, uint32_t n)
{
	if (n == 0)
		return;
	if (unlikely((ms->flags & MS_OVER) != 0))
		chain_trim(lc, &ms->stash, n);
	else if (ms->mx->c != NULL)
		conn_rx_drop(lc, ms->mx->c, n);
}

static int
rx_take(struct lcore *lc, struct muxs *ms, uint32_t n, struct chain *out)
{
	struct chain part;
	int rc;

	if (likely((ms->flags & MS_OVER) == 0))
		return conn_rx_take(lc, ms->mx->c, n, out);
	chain_init(&part);
	rc = chain_split(lc, &ms->stash, n, &part);
	chain_append(out, &part);
	return rc;
}

/* ---- heads ---- */

void
h1_head_release(struct lcore *lc, struct muxs *ms)
{
	uint32_t n = ms->head_pending;

	ms->head_pending = 0;
	h1_rx_drop(lc, ms, n);
}

void
h1_head_reset(struct muxs *ms)
{
	memset(&ms->parser, 0, sizeof(ms->parser));
	http_msg_init(ms->msg, ms->hdr, ms->maxhdr, (ms->mx->flags & MX_SERVER) != 0);
	ms->hb = NULL; // stays with the message that uses it
	ms->hb_len = ms->hb_cap = 0;
	// what an interim head settled is not true of the final one
	ms->flags &= ~(MS_HEAD_DONE | MS_RX_DONE | MS_KEEP | MS_PEER10);
}

static int
parse(struct muxs *ms, char *buf, uint32_t len)
{
	if ((ms->mx->flags & MX_SERVER) != 0)
		return h1_parse_request(&ms->parser, ms->msg, buf, len);
	return h1_parse_response(&ms->parser, ms->msg, buf, len, (enum http_method)ms->req_meth);
}

static sl_apart int
fail(struct lcore *lc, struct muxs *ms, enum mux_err err)
{
	ms->err = (uint8_t)err;
	if (err == MUX_ERR_PARSE || err == MUX_ERR_TOO_BIG)
		stat_inc(lc, STAT_H1_BAD);
	return -EBADMSG;
}

/*
 * Memory for a head in pieces: little at first, as most heads are small and a client may open many
 * of them; the whole once it is needed. Room for edits stays in either.
 */
static int
gather_room(struct lcore *lc, struct muxs *ms, uint32_t more)
{
	uint32_t need = ms->hb_len + more + HTTP_REWRITE;
	uint32_t cap = need <= HEAD_SMALL ? HEAD_SMALL : HTTP_MAX_HEAD + HTTP_REWRITE;
	char *mem;

	if (ms->hb != NULL && cap <= ms->hb_cap)
		return 0;
	mem = ms->mx->u->head_mem(lc, ms, ms->user, cap);
	if (mem == NULL)
		return -ENOMEM;
	if (ms->hb_len > 0)
		memcpy(mem, ms->hb, ms->hb_len);
	ms->hb = mem;
	ms->hb_cap = cap;
	return 0;
}

/* Continues in a private buffer; every byte copied so far belongs to the head. */
static sl_apart int
parse_gathered(struct lcore *lc, struct muxs *ms)
{
	const struct chain *rx = h1_rx(ms);
	uint32_t before = ms->hb_len, n;
	int rc;

	if (gather_room(lc, ms, rx->len) < 0)
		return -ENOMEM;
	n = sl_min(rx->len, ms->hb_cap - ms->hb_len);
	ms->hb_len += chain_copy_out(rx, 0, ms->hb + before, n);
	rc = parse(ms, ms->hb, ms->hb_len);
	if (rc == -EAGAIN && ms->hb_len == ms->hb_cap)
		return -EMSGSIZE;
	if (rc == -EAGAIN)
		h1_rx_drop(lc, ms, ms->hb_len - before);
	if (rc < 0)
		return rc;
	h1_rx_drop(lc, ms, (uint32_t)rc - before);
	ms->msg->cap = ms->hb_cap;
	ms->msg->flags |= HTTP_F_OWNED;
	return rc;
}

static int
parse_any(struct lcore *lc, struct muxs *ms)
{
	const struct chain *rx = h1_rx(ms);
	int rc;

	if (rx->head == NULL)
		return -EAGAIN;
	if (likely(ms->hb == NULL)) {
		rc = parse(ms, rte_pktmbuf_mtod(rx->head, char *), rx->head->data_len);
		if (rc > 0)
			ms->head_pending = (uint32_t)rc;
		if (rc != -EAGAIN || rx->head->next == NULL)
			return rc;
	}
	return parse_gathered(lc, ms);
}

/* A head is there: what follows it (framing), and whether the connection persists. */
static void
head_done(struct lcore *lc, struct muxs *ms)
{
	const struct http_msg *m = ms->msg;

	ms->flags |= MS_HEAD_DONE;
	ms->rx_framing = (uint8_t)m->framing;
	ms->rx_left = m->framing == HTTP_BODY_LENGTH ? m->content_length : 0;
	memset(&ms->rx_chunk, 0, sizeof(ms->rx_chunk));
	if (m->framing == HTTP_BODY_NONE || (m->framing == HTTP_BODY_LENGTH && ms->rx_left == 0))
		ms->flags |= MS_RX_DONE;
	if (h1_is_keepalive(m))
		ms->flags |= MS_KEEP;
	if ((ms->mx->flags & MX_SERVER) != 0) {
		stat_inc(lc, STAT_H1_REQUESTS);
		ms->req_meth = (uint8_t)m->meth;
		if ((m->flags & HTTP_F_10) != 0)
			ms->flags |= MS_PEER10;
	} else {
		stat_inc(lc, STAT_H1_RESPONSES);
	}
}

int
h1_head_parse(struct lcore *lc, struct muxs *ms)
{
	int rc = parse_any(lc, ms);

	if (likely(rc > 0)) {
		head_done(lc, ms);
		return 0;
	}
	switch (rc) {
	case -EAGAIN:
		return h1_rx_eof(ms) ? fail(lc, ms, MUX_ERR_EOF) : -EAGAIN;
	case -ENOMEM:
		return fail(lc, ms, MUX_ERR_NOMEM);
	case -EMSGSIZE:
		return fail(lc, ms, MUX_ERR_TOO_BIG);
	default:
		return fail(lc, ms, MUX_ERR_PARSE);
	}
}

void
muxs_set_msg(struct muxs *ms, struct http_msg *m, struct http_field *hdr, uint16_t maxhdr)
{
	ms->msg = m;
	ms->hdr = hdr;
	ms->maxhdr = maxhdr;
	h1_head_reset(ms);
}

struct http_msg *
muxs_msg(struct muxs *ms)
{
	return ms->msg;
}

int
muxs_own(struct lcore *lc, struct muxs *ms, char *mem, uint32_t cap)
{
	(void)lc;
	if ((ms->msg->flags & HTTP_F_OWNED) != 0)
		return 0;
	if (cap < ms->msg->len + HTTP_REWRITE)
		return -ENOSPC;
	// the received bytes stay for this event: values taken from them may still be in use
	return http_msg_own(ms->msg, mem, cap);
}

bool
muxs_head_stays(const struct muxs *ms, uint32_t max)
{
	const struct rte_mbuf *m = h1_rx(ms)->head;
	uint32_t rest;

	if (ms->head_pending == 0 || m->data_len <= ms->head_pending)
		return false;
	rest = m->data_len - ms->head_pending;
	if (rest > max)
		return false;
	// where a chunked body ends is not known yet
	return ms->rx_framing == HTTP_BODY_CLOSE ||
		(ms->rx_framing == HTTP_BODY_LENGTH && rest <= ms->rx_left);
}

/* ---- bodies ---- */

/* Bytes among the first max that belong to a chunked body; moves the state on. */
static int
chunk_scan(struct muxs *ms, uint32_t max, uint32_t *n)
{
	const struct chain *rx = h1_rx(ms);

	*n = 0;
	for (struct rte_mbuf *m = rx->head; m != NULL && *n < max; m = m->next) {
		uint32_t len = sl_min((uint32_t)m->data_len, max - *n), data;
		int rc = h1_chunk_scan(&ms->rx_chunk, rte_pktmbuf_mtod(m, char *), len, &data);

		if (rc < 0)
			return rc;
		*n += (uint32_t)rc;
		if (ms->rx_chunk.state == H1_CHUNK_DONE) {
			ms->flags |= MS_RX_DONE;
			break;
		}
	}
	return 0;
}

/* Removes the framing from bytes that chunk_scan() has checked, c being the state before. */
static void
chunk_strip(struct lcore *lc, struct h1_chunk *c, struct chain *raw, struct chain *out)
{
	struct rte_mbuf *m;

	while ((m = chain_pop(raw)) != NULL) {
		uint32_t data = 0;

		h1_chunk_decode(c, rte_pktmbuf_mtod(m, char *), m->data_len, &data);
		pkt_changed(m);
		m->data_len = (uint16_t)data;
		if (data > 0)
			chain_push(out, m);
		else
			rte_pktmbuf_free(m);
	}
	(void)lc;
}

static sl_apart int
recv_chunked(struct lcore *lc, struct muxs *ms, uint32_t max, struct chain *out)
{
	struct h1_chunk before = ms->rx_chunk;
	uint32_t flags = ms->flags, n;
	struct chain raw;
	int rc;

	if (chunk_scan(ms, max, &n) < 0) {
		fail(lc, ms, MUX_ERR_PARSE);
		return -EBADMSG;
	}
	chain_init(&raw);
	if (n > 0 && rx_take(lc, ms, n, &raw) < 0) {
		ms->rx_chunk = before;
		ms->flags = flags;
		return -ENOMEM;
	}
	rc = (int)n;
	if ((ms->flags & MS_RX_RAW) != 0) {
		chain_append(out, &raw);
	} else {
		uint32_t had = out->len;
		chunk_strip(lc, &before, &raw, out);
		rc = (int)(out->len - had);
	}
	return rc;
}

/*
 * A head that still stands before the body is taken with it and cut off here, so that its bytes stay what
 * they are as long as the buffer (muxs_head_stays()).
 */
static int
recv_plain(struct lcore *lc, struct muxs *ms, uint32_t max, struct chain *out)
{
	uint32_t head = ms->head_pending, n = sl_min(h1_rx(ms)->len - head, max);
	struct chain part;
	int rc = 0;

	if (ms->rx_framing == HTTP_BODY_LENGTH && n > ms->rx_left)
		n = (uint32_t)ms->rx_left;
	if (n == 0) {
		h1_head_release(lc, ms);
	} else if (head == 0) {
		rc = rx_take(lc, ms, n, out);
	} else {
		chain_init(&part);
		rc = rx_take(lc, ms, head + n, &part);
		if (rc == 0) {
			ms->head_pending = 0;
			chain_trim(lc, &part, head);
			chain_append(out, &part);
		}
	}
	if (rc < 0)
		return -ENOMEM;
	if (ms->rx_framing == HTTP_BODY_LENGTH) {
		ms->rx_left -= n;
		if (ms->rx_left == 0)
			ms->flags |= MS_RX_DONE;
	} else if (h1_rx(ms)->len == 0 && h1_rx_eof(ms)) {
		ms->flags |= MS_RX_DONE;
	}
	return (int)n;
}

int
muxs_recv(struct lcore *lc, struct muxs *ms, uint32_t max, struct chain *out, bool *eom)
{
	int rc = 0;

	if ((ms->flags & (MS_RX_DONE | MS_HEAD_DONE)) == MS_HEAD_DONE && ms->err == MUX_OK &&
		ms->rx_framing != HTTP_BODY_CHUNKED) {
		rc = recv_plain(lc, ms, max, out);
	} else {
		h1_head_release(lc, ms);
		if ((ms->flags & (MS_RX_DONE | MS_HEAD_DONE)) == MS_HEAD_DONE && ms->err == MUX_OK)
			rc = recv_chunked(lc, ms, max, out);
	}
	if ((ms->flags & (MS_RX_DONE | MS_HEAD_DONE)) == MS_HEAD_DONE && ms->err == MUX_OK &&
		rc >= 0 && h1_rx(ms)->len == 0) {
		if (h1_rx_eof(ms))
			fail(lc, ms, MUX_ERR_EOF);
		else if (unlikely((ms->flags & MS_OVER) != 0))
			fail(lc, ms, MUX_ERR_RESET);
	}
	*eom = (ms->flags & MS_RX_DONE) != 0;
	return rc;
}

void
h1_discard(struct lcore *lc, struct muxs *ms)
{
	uint32_t n = h1_rx(ms)->len;

	if ((ms->flags & (MS_RX_DONE | MS_HEAD_DONE)) != MS_HEAD_DONE || ms->err != MUX_OK)
		return;
	if (ms->rx_framing == HTTP_BODY_CHUNKED) {
		if (chunk_scan(ms, n, &n) < 0) {
			fail(lc, ms, MUX_ERR_PARSE);
			return;
		}
	} else if (ms->rx_framing == HTTP_BODY_LENGTH) {
		n = (uint32_t)sl_min((uint64_t)n, ms->rx_left);
		ms->rx_left -= n;
		if (ms->rx_left == 0)
			ms->flags |= MS_RX_DONE;
	}
	h1_rx_drop(lc, ms, n);
}

void
muxs_rx_discard(struct lcore *lc, struct muxs *ms)
{
	h1_head_release(lc, ms);
	ms->flags |= MS_DISCARD;
	h1_discard(lc, ms);
}

void
muxs_set_raw(struct muxs *ms, bool rx, bool tx)
{
	ms->flags &= ~(MS_RX_RAW | MS_TX_RAW);
	ms->flags |= (rx ? MS_RX_RAW : 0) | (tx ? MS_TX_RAW : 0);
}

uint32_t
muxs_rx_ready(const struct muxs *ms)
{
	uint32_t n = h1_rx(ms)->len - ms->head_pending;

	if ((ms->flags & (MS_RX_DONE | MS_HEAD_DONE)) != MS_HEAD_DONE)
		return 0;
	if (ms->rx_framing == HTTP_BODY_LENGTH && n > ms->rx_left)
		n = (uint32_t)ms->rx_left;
	return n;
}

uint32_t
muxs_rx_peek(const struct muxs *ms, bool *whole)
{
	uint32_t n = muxs_rx_ready(ms), skip = ms->head_pending, sum = 0;
	struct h1_chunk c = ms->rx_chunk;

	*whole = ms->err != MUX_OK || (ms->flags & MS_RX_DONE) != 0 || h1_rx_eof(ms) ||
		(ms->rx_framing == HTTP_BODY_LENGTH && n == ms->rx_left);
	if (ms->rx_framing != HTTP_BODY_CHUNKED || n == 0)
		return n;
	for (struct rte_mbuf *m = h1_rx(ms)->head; m != NULL && c.state != H1_CHUNK_DONE; m = m->next) {
		uint32_t from = sl_min(skip, (uint32_t)m->data_len), data = 0;

		skip -= from;
		if (h1_chunk_scan(&c, rte_pktmbuf_mtod(m, char *) + from, m->data_len - from, &data) < 0) {
			*whole = true; // muxs_recv() will say so
			return sum;
		}
		sum += data;
	}
	*whole |= c.state == H1_CHUNK_DONE;
	return sum;
}

bool
muxs_rx_done(const struct muxs *ms)
{
	return (ms->flags & MS_RX_DONE) != 0;
}

enum mux_err
muxs_error(const struct muxs *ms)
{
	return (enum mux_err)ms->err;
}

enum h1_error
muxs_parse_error(const struct muxs *ms)
{
	return (enum h1_error)ms->parser.err;
}

uint64_t
muxs_first_byte_us(const struct muxs *ms)
{
	return ms->first_us;
}

uint32_t
muxs_bad_head(const struct muxs *ms, char *to, uint32_t size, uint32_t *total, uint32_t *pos)
{
	const struct chain *rx = h1_rx(ms);

	*pos = ms->parser.err_pos;
	if (ms->hb_len > 0) {
		*total = ms->hb_len;
		size = sl_min(size, ms->hb_len);
		memcpy(to, ms->hb, size);
		return size;
	}
	*total = rx->len;
	return chain_copy_out(rx, 0, to, sl_min(size, rx->len));
}
