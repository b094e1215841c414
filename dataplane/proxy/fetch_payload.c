// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fetch methods on what a connection has received and nobody has taken yet: lengths, bytes, the first words
 * of a TLS client; and wait_end.
 *
 * Runs on: the worker; scripts ask it. Mode tcp: until "tcp-request content" rules and use_backend rules are
 * through, and for the server's bytes while "tcp-response content" rules are.
 * Follows: HAProxy's manual 7.3.5, and which values may still change: then rules wait (content.c).
 * RFC 8446 4.1.2, RFC 6066 3: a ClientHello is looked at once it is whole, in one record.
 */
#include "dataplane/proxy/content.h"
#include "dataplane/proxy/fetch_priv.h"

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

/* Bytes that were checked to be there; what reads beyond them is broken. */
struct reader {
	const unsigned char *p;
	uint32_t left;
	bool bad;
};

static uint32_t
take(struct reader *r, uint32_t n)
{
	uint32_t v = 0;

	if (r->left < n) {
		r->bad = true;
		r->left = 0;
		return 0;
	}
	for (uint32_t i = 0; i < n; i++)
		v = v << 8 | r->p[i];
	r->p += n;
	r->left -= n;
	return v;
}

/* The next n bytes by themselves. */
static struct reader
part(struct reader *r, uint32_t n)
{
	struct reader out = { .p = r->p, .left = n };

	if (r->bad || r->left < n) {
		r->bad = true;
		return (struct reader){ .bad = true };
	}
	r->p += n;
	r->left -= n;
	return out;
}

/* The handshake message at the start; *type. 1; 0: there will be none; -1: it is not whole yet. */
static int
handshake(const struct txn_view *v, uintptr_t dir, uint32_t *type, struct reader *body)
{
	bool res = dir == DIR_RES;
	uint32_t size = sl_min(content_size(v->stream, res), (uint32_t)CONTENT_FULL), record, n;
	const char *p = content_look(v->stream, res, size);
	struct reader r = { .p = (const unsigned char *)p, .left = size };

	if (p == NULL)
		return 0;
	if (size > 0 && r.p[0] != 0x16)
		return 0;
	if (size > 1 && r.p[1] < 3)
		return 0;
	if (size < 9)
		return -1;
	(void)take(&r, 3);
	record = take(&r, 2);
	*type = take(&r, 1);
	n = take(&r, 3);
	if (record < 4 || record - 4 < n) // in several records: as HAProxy, not looked at
		return 0;
	if (r.left < n)
		return size < CONTENT_FULL ? -1 : 0;
	*body = part(&r, n);
	return 1;
}

static bool
fetch_hello_type(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	struct reader body;
	uint32_t type;
	int rc = v->stream != NULL ? handshake(v, dir, &type, &body) : 0;

	if (rc < 0)
		return later(out);
	return rc > 0 && fetch_give_int(out, type);
}

/* A ClientHello's extension. */
static bool
find_extension(struct reader *hello, uint32_t kind, struct reader *out)
{
	struct reader all;

	(void)take(hello, 2);                    // version
	(void)part(hello, 32);                   // random
	(void)part(hello, take(hello, 1));       // session
	(void)part(hello, take(hello, 2));       // ciphers
	(void)part(hello, take(hello, 1));       // compressions
	all = part(hello, take(hello, 2));
	while (!all.bad && all.left > 0) {
		uint32_t is = take(&all, 2);

		*out = part(&all, take(&all, 2));
		if (!out->bad && is == kind)
			return true;
	}
	return false;
}

/* RFC 6066 3: a list of names, of which the first one of the kind 0 is the host's. */
static bool
fetch_sni(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t dir)
{
	struct reader body, ext, list;
	uint32_t type;
	int rc = v->stream != NULL ? handshake(v, dir, &type, &body) : 0;

	if (rc < 0)
		return later(out);
	if (rc == 0 || type != 1 || !find_extension(&body, 0, &ext))
		return false;
	list = part(&ext, take(&ext, 2));
	while (!list.bad && list.left > 0) {
		uint32_t kind = take(&list, 1);
		struct reader name = part(&list, take(&list, 2));

		if (!name.bad && kind == 0)
			return fetch_give_str(out, sl_str_make((const char *)name.p, name.left));
	}
	return false;
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
