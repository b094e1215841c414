// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fetch methods on what a connection has received and nobody has taken yet: lengths, bytes, the first words
 * of a TLS client; and wait_end.
 *
 * Runs on: the worker; scripts ask it. Mode tcp: until "tcp-request content" rules and use_backend rules are
 * through, and for the server's bytes while "tcp-response content" rules are.
 * Follows: HAProxy's manual 7.3.5, and which values may still change: then rules wait (content.c).
 */
#include "dataplane/proxy/content.h"
#include "dataplane/proxy/fetch_priv.h"
#include "dataplane/proxy/tls_hello.h"

#include "dataplane/base/hot.h"

static bool
later(struct sample *out)
{
	out->changes = true;
	return false;
}

/* ---- lengths and bytes ---- */

static bool
fetch_len(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	if (v->stream == NULL)
		return false;
	out->changes = true;
	return fetch_give_int(out, content_size(v->stream, dir == DIR_RES));
}

static bool
give_bytes(const struct txn_view *v, uintptr_t dir, uint64_t off, uint64_t n, struct sample *out)
{
	const char *p;

	if (off + n > CONTENT_FULL)
		return false; // it will never be there
	if (off + n > content_size(v->stream, dir == DIR_RES))
		return later(out);
	p = content_look(v->stream, dir == DIR_RES, (uint32_t)(off + n));
	if (p == NULL)
		return false;
	out->type = T_BIN;
	out->s = sl_str_make(p + off, (uint32_t)n);
	return true;
}

/* No length: all from the offset on, which may be more later. */
static bool
fetch_payload(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	uint64_t off = (uint64_t)args[0].i, n = (uint64_t)args[1].i;
	uint32_t size;

	if (v->stream == NULL)
		return false;
	size = sl_min(content_size(v->stream, dir == DIR_RES), (uint32_t)CONTENT_FULL);
	out->changes = n == 0;
	if (n == 0 && off > size)
		return later(out);
	return give_bytes(v, dir, off, n != 0 ? n : size - off, out);
}

static const char *
check_payload(const struct arg *args)
{
	for (uint32_t i = 0; i < 2; i++) {
		if (args[i].i < 0 || args[i].i > UINT16_MAX)
			return "expects an offset and a length from 0 to 65535";
	}
	return NULL;
}

/* "8", or "+8" and "-2" from the end of the length field. */
static int64_t
value_at(const struct arg *args)
{
	int64_t end = args[0].i + args[1].i, at;
	struct sl_str w = args[2].s;
	bool relative = w.len > 0 && (w.p[0] == '+' || w.p[0] == '-');

	if (args[2].type != ARG_STR)
		return end;
	if (w.len > 0 && w.p[0] == '+') {
		w.p++;
		w.len--;
	}
	if (sl_str_i64(w, &at) < 0 || at > UINT16_MAX)
		return -1;
	return relative ? end + at : at;
}

static bool
fetch_payload_lv(const struct txn_view *v, const struct arg *args, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	uint64_t n = 0;

	if (v->stream == NULL ||
		!give_bytes(v, dir, (uint64_t)args[0].i, (uint64_t)args[1].i, out))
		return false;
	for (uint32_t i = 0; i < out->s.len; i++)
		n = n << 8 | (unsigned char)out->s.p[i];
	if (n == 0 || n > CONTENT_FULL)
		return false;
	return give_bytes(v, dir, (uint64_t)value_at(args), n, out);
}

static const char *
check_payload_lv(const struct arg *args)
{
	if (check_payload(args) != NULL || args[1].i == 0 || args[1].i > 4)
		return "expects an offset from 0 to 65535 and the length of a length field, from 1 to 4";
	if (value_at(args) < 0)
		return "expects as third argument an offset, or one from the length field's end: '+8', '-2'";
	return NULL;
}

/* ---- the first words of TLS ---- */

/* The message that a side begins with; while it is not whole and there is room, there may be more later. */
static bool
handshake(const struct txn_view *v, uintptr_t dir, struct sample *out, struct tls_message *m)
{
	bool res = dir == DIR_RES;
	struct sl_str bytes;

	if (v->stream == NULL)
		return false;
	bytes.len = sl_min(content_size(v->stream, res), (uint32_t)CONTENT_FULL);
	bytes.p = content_look(v->stream, res, bytes.len);
	if (bytes.p == NULL)
		return false;
	switch (tls_handshake(bytes, m)) {
	case TLS_WHOLE:
		return true;
	case TLS_PARTIAL:
		return bytes.len < CONTENT_FULL && later(out);
	default:
		return false;
	}
}

static bool
fetch_hello_type(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	struct tls_message m;

	return handshake(v, dir, out, &m) && fetch_give_int(out, m.type);
}

static bool
fetch_sni(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	struct tls_message m;
	struct sl_str name;

	return handshake(v, dir, out, &m) && m.type == TLS_CLIENT_HELLO &&
	       tls_server_name(m.body, &name) && fetch_give_str(out, name);
}

/* ---- the end of the inspection ---- */

static bool
fetch_wait_end(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	if (v->partial)
		return later(out);
	out->type = T_BOOL;
	out->i = 1;
	return true;
}

#define REQ (EVAL_BIT(EVAL_TCP_CONTENT) | EVAL_BIT(EVAL_BE_SWITCH))
#define RES EVAL_BIT(EVAL_TCP_RES)
#define BYTES(nm, f, a, t, pts, d, h, ...)                                                          \
	{                                                                                           \
		.name = nm, .fn = f, .args = a, .out = t, .points = pts, .where = WHERE_OWNER,      \
		.help = h, .priv = d, .waits = true, .bytes = true, ##__VA_ARGS__                   \
	}
#define PAYLOAD(nm, pts, d)                                                                         \
	BYTES(nm, fetch_payload, SL_ARGS(2, ARG_SINT, ARG_SINT), T_BIN, pts, d,                     \
		"bytes received, from an offset on; length 0: all", .check = check_payload)
#define PAYLOAD_LV(nm, pts, d)                                                                      \
	BYTES(nm, fetch_payload_lv, SL_ARGS(2, ARG_SINT, ARG_SINT, ARG_STR), T_BIN, pts, d,         \
		"bytes received, as many as a length field at an offset says",                      \
		.check = check_payload_lv)

// clang-format off
SL_FETCHES(
	BYTES("req.len", fetch_len, SL_NOARGS, T_SINT, REQ, DIR_REQ, "bytes received from the client"),
	BYTES("req_len", fetch_len, SL_NOARGS, T_SINT, REQ, DIR_REQ, "older name of req.len"),
	BYTES("res.len", fetch_len, SL_NOARGS, T_SINT, RES, DIR_RES, "bytes received from the server"),
	PAYLOAD("req.payload", REQ, DIR_REQ),
	PAYLOAD("payload", REQ, DIR_REQ),
	PAYLOAD("res.payload", RES, DIR_RES),
	PAYLOAD_LV("req.payload_lv", REQ, DIR_REQ),
	PAYLOAD_LV("payload_lv", REQ, DIR_REQ),
	PAYLOAD_LV("res.payload_lv", RES, DIR_RES),
	BYTES("req.ssl_hello_type", fetch_hello_type, SL_NOARGS, T_SINT, REQ, DIR_REQ,
		"type of a TLS handshake message of the client"),
	BYTES("req_ssl_hello_type", fetch_hello_type, SL_NOARGS, T_SINT, REQ, DIR_REQ,
		"older name of req.ssl_hello_type"),
	BYTES("res.ssl_hello_type", fetch_hello_type, SL_NOARGS, T_SINT, RES, DIR_RES,
		"type of a TLS handshake message of the server"),
	BYTES("rep_ssl_hello_type", fetch_hello_type, SL_NOARGS, T_SINT, RES, DIR_RES,
		"older name of res.ssl_hello_type"),
	BYTES("req.ssl_sni", fetch_sni, SL_NOARGS, T_STR, REQ, DIR_REQ,
		"host that a TLS client asks for (SNI)"),
	BYTES("req_ssl_sni", fetch_sni, SL_NOARGS, T_STR, REQ, DIR_REQ, "older name of req.ssl_sni"),
	{ .name = "wait_end", .fn = fetch_wait_end, .out = T_BOOL, .points = REQ | RES,
		.where = WHERE_OWNER, .help = "true, once rules wait for no more bytes", .waits = true },
);
// clang-format on
