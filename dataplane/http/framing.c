// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the fields of an HTTP/1 head say about the end of the body, the host and the connection.
 *
 * Runs on: any thread; pure. Follows RFC 9112 6.3, 3.2 and 9.3, and refuses whatever two parsers
 * could read differently: every Transfer-Encoding but exactly one "chunked", any in HTTP/1.0, one
 * together with Content-Length; every Content-Length but one plain number. HAProxy 2.6 accepts
 * repeated equal lengths and drops a length beside a coding; both are request smuggling's tools.
 */
#include "dataplane/http/h1.h"
#include "dataplane/http/token.h"

#include "dataplane/base/hot.h"

struct facts {
	int host; // index of the field, -1: none
	int length;
	int coding;
	bool repeated_host, repeated_length, repeated_coding;
	bool conn_upgrade, upgrade;
};

/*
 * First letters of the names that matter, by length, and these lengths as bits: most fields are passed
 * over without a look at their text.
 */
static const char first_letter[18] = {
	[2] = 't',
	[4] = 'h',
	[6] = 'e',
	[7] = 'u',
	[10] = 'c',
	[14] = 'c',
	[17] = 't',
};
#define LENGTHS (1u << 2 | 1u << 4 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 14 | 1u << 17)

static sl_apart void
connection(struct http_msg *m, struct facts *f, struct sl_str value)
{
	m->flags |= HTTP_F_CONN;
	if (value.len == 10 && sl_str_ieq(value, SL_STR("keep-alive"))) { // nearly always
		m->flags |= HTTP_F_CONN_KEEP;
		return;
	}
	while (value.p != NULL) {
		struct sl_str tok = sl_str_trim(sl_str_cut(&value, ','));

		if (tok.len == 5 && sl_str_ieq(tok, SL_STR("close")))
			m->flags |= HTTP_F_CONN_CLOSE;
		else if (tok.len == 10 && sl_str_ieq(tok, SL_STR("keep-alive")))
			m->flags |= HTTP_F_CONN_KEEP;
		else if (tok.len == 7 && sl_str_ieq(tok, SL_STR("upgrade")))
			f->conn_upgrade = true;
		else if (tok.len == 0)
			m->flags |= HTTP_F_CONN_GAP;
	}
}

static void
note(int *at, bool *repeated, int i)
{
	if (*at >= 0)
		*repeated = true;
	else
		*at = i;
}

static void
look(struct http_msg *m, struct facts *f, int i)
{
	const char *name = m->base + m->hdr[i].name.off;

	switch (m->hdr[i].name.len) {
	case 2:
		if ((name[1] | 0x20) == 'e') // and the first letter is known
			m->flags |= HTTP_F_TE;
		break;
	case 4:
		if (is_token_named(name, "host", 4))
			note(&f->host, &f->repeated_host, i);
		break;
	case 6:
		if (is_token_named(name, "expect", 6) && (m->flags & HTTP_F_10) == 0 &&
			sl_str_ieq(http_str(m, m->hdr[i].value), SL_STR("100-continue")))
			m->flags |= HTTP_F_EXPECT;
		break;
	case 7:
		if (is_token_named(name, "upgrade", 7))
			f->upgrade = true;
		break;
	case 10:
		if (is_token_named(name, "connection", 10))
			connection(m, f, http_str(m, m->hdr[i].value));
		break;
	case 14:
		if (is_token_named(name, "content-length", 14))
			note(&f->length, &f->repeated_length, i);
		break;
	case 17:
		if (is_token_named(name, "transfer-encoding", 17))
			note(&f->coding, &f->repeated_coding, i);
		break;
	default:
		break;
	}
}

static void
collect(struct http_msg *m, struct facts *f)
{
	*f = (struct facts){ .host = -1, .length = -1, .coding = -1 };
	for (const struct http_field *h = m->hdr, *end = h + m->nhdr; h < end; h++) {
		uint32_t len = h->name.len;

		if (len < 32 && (LENGTHS >> len & 1) &&
			(m->base[h->name.off] | 0x20) == first_letter[len])
			look(m, f, (int)(h - m->hdr));
	}
	if (f->upgrade && f->conn_upgrade)
		m->flags |= HTTP_F_UPGRADE;
}

/* Digits only; no sign, list or empty value, and nothing that a signed 64-bit peer misreads. */
static enum h1_error
body_length(struct http_msg *m, const struct facts *f)
{
	uint64_t n;

	if (f->length < 0)
		return H1_OK;
	if (f->repeated_length || sl_str_u64(http_str(m, m->hdr[f->length].value), &n) < 0 ||
		n > INT64_MAX)
		return H1_BAD_LENGTH;
	m->content_length = n;
	return H1_OK;
}

static enum h1_error
body_coding(const struct http_msg *m, const struct facts *f)
{
	if (f->coding < 0)
		return H1_OK;
	if (f->repeated_coding || (m->flags & HTTP_F_10) != 0 ||
		!sl_str_ieq(http_str(m, m->hdr[f->coding].value), SL_STR("chunked")))
		return H1_BAD_CODING;
	return f->length >= 0 ? H1_TE_AND_CL : H1_OK;
}

static enum h1_error
lengths(struct http_msg *m, const struct facts *f, uint32_t *err_pos)
{
	enum h1_error err = body_coding(m, f);

	if (err != H1_OK) {
		*err_pos = m->hdr[f->coding].name.off;
		return err;
	}
	err = body_length(m, f);
	if (err != H1_OK)
		*err_pos = m->hdr[f->length].name.off;
	return err;
}

/* RFC 9112 3.2: one Host in 1.1; where the target names an authority, the same one. */
static enum h1_error
host(struct http_msg *m, const struct facts *f, uint32_t *err_pos)
{
	struct sl_str value;

	*err_pos = m->uri.off;
	if (f->host < 0)
		return (m->flags & HTTP_F_10) != 0 ? H1_OK : H1_BAD_HOST;
	*err_pos = m->hdr[f->host].name.off;
	value = http_str(m, m->hdr[f->host].value);
	if (f->repeated_host || !uri_is_host(value))
		return H1_BAD_HOST;
	if (m->authority.len == 0) {
		m->authority = m->hdr[f->host].value;
		return H1_OK;
	}
	if (!uri_same_host(value, http_str(m, m->authority), http_str(m, m->scheme)))
		return H1_BAD_HOST;
	return H1_OK;
}

enum h1_error
framing_request(struct http_msg *m, uint32_t *err_pos)
{
	enum h1_error err;
	struct facts f;

	collect(m, &f);
	err = lengths(m, &f, err_pos);
	if (err != H1_OK)
		return err;
	if (f.coding >= 0)
		m->framing = HTTP_BODY_CHUNKED;
	else
		m->framing = f.length >= 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
	// RFC 9110 9.3.6: content of a CONNECT means nothing, or tunnel bytes to a careless peer
	if (unlikely(m->meth == HTTP_CONNECT && m->framing != HTTP_BODY_NONE)) {
		*err_pos = m->hdr[f.coding >= 0 ? f.coding : f.length].name.off;
		return f.coding >= 0 ? H1_BAD_CODING : H1_BAD_LENGTH;
	}
	return host(m, &f, err_pos);
}

enum h1_error
framing_response(struct http_msg *m, enum http_method req_method, uint32_t *err_pos)
{
	bool success = m->status >= 200 && m->status < 300;
	enum h1_error err;
	struct facts f;

	collect(m, &f);
	err = lengths(m, &f, err_pos);
	if (err != H1_OK)
		return err;
	if (m->status == 101 || (req_method == HTTP_CONNECT && success))
		m->framing = HTTP_BODY_TUNNEL;
	else if (req_method == HTTP_HEAD || m->status < 200 || m->status == 204 || m->status == 304)
		m->framing = HTTP_BODY_NONE;
	else if (f.coding >= 0)
		m->framing = HTTP_BODY_CHUNKED;
	else
		m->framing = f.length >= 0 ? HTTP_BODY_LENGTH : HTTP_BODY_CLOSE;
	return H1_OK;
}

bool
h1_is_keepalive(const struct http_msg *m)
{
	if ((m->flags & HTTP_F_CONN_CLOSE) != 0)
		return false;
	if (m->framing == HTTP_BODY_CLOSE || m->framing == HTTP_BODY_TUNNEL)
		return false;
	return (m->flags & HTTP_F_10) == 0 || (m->flags & HTTP_F_CONN_KEEP) != 0;
}
