/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/http: HTTP as data. Pure functions over bytes: no sockets, no mbufs, no clock.
 * Safe on any thread.
 *
 * A message is version-neutral: pseudo fields (method, scheme, authority, path, status) and a list
 * of fields, all as offsets from one base. The base is either the receive buffer (read-only, valid
 * for this loop iteration) or, after http_msg_own(), a private buffer with room for edits. Since
 * everything is an offset, owning a head is one copy.
 */
#pragma once

#include "dataplane/base/base.h"
#include "dataplane/base/buf.h"
#include "dataplane/base/str.h"

#define HTTP_MAX_HDR 101    // HAProxy's tune.http.maxhdr
#define HTTP_MAX_HEAD 15360 // HAProxy: tune.bufsize (16384) - tune.maxrewrite (1024)
#define HTTP_REWRITE 1024   // room for edits, HAProxy's tune.maxrewrite

enum http_method {
	HTTP_OPTIONS,
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_TRACE,
	HTTP_CONNECT,
	HTTP_OTHER,
	HTTP_NR_METHODS
};

/* A piece of a head: offset from msg->base. */
struct http_slice {
	uint32_t off;
	uint32_t len;
};

struct http_field {
	struct http_slice name; // as received; names compare case-insensitively
	struct http_slice value; // trimmed of OWS
};

/* How the end of the body is found (RFC 9112 6.3). */
enum http_framing {
	HTTP_BODY_NONE,   // no body by rule
	HTTP_BODY_LENGTH, // content_length bytes
	HTTP_BODY_CHUNKED,
	HTTP_BODY_CLOSE,  // response until close
	HTTP_BODY_TUNNEL, // after 101 or a CONNECT's 2xx
};

#define HTTP_F_REQUEST 0x01u
#define HTTP_F_10 0x02u         // HTTP/1.0 on the wire
#define HTTP_F_CONN_CLOSE 0x04u // "Connection: close" seen
#define HTTP_F_CONN_KEEP 0x08u  // "Connection: keep-alive" seen
#define HTTP_F_UPGRADE 0x10u    // "Connection: upgrade" and an Upgrade field
#define HTTP_F_EXPECT 0x20u     // "Expect: 100-continue"
#define HTTP_F_OWNED 0x40u      // base is private and may be edited
#define HTTP_F_EDITED 0x80u     // differs from what was received
#define HTTP_F_REFRAMED 0x100u  // a field that tells the body's end was edited: http_fit_framing()
#define HTTP_F_CONN_SET 0x200u  // a Connection field was edited
#define HTTP_F_CONN 0x400u      // a Connection field was received
#define HTTP_F_TE 0x800u        // a TE field was received
#define HTTP_F_CONN_GAP 0x1000u // a Connection field has an empty member, or is empty

struct http_msg {
	char *base;
	uint32_t len; // bytes in use at base
	uint32_t cap; // bytes at base when owned, else 0
	uint32_t flags;
	uint16_t nhdr;
	uint16_t maxhdr;
	struct http_field *hdr; // array of the caller, maxhdr entries
	uint16_t nraw; // the first nraw fields stand behind each other as "name: value\r\n" each
	enum http_framing framing;
	uint64_t content_length; // for HTTP_BODY_LENGTH
	/* request */
	enum http_method meth;
	struct http_slice method;
	struct http_slice uri;       // request-target as received or set
	struct http_slice scheme;    // of an absolute-form target, else empty
	struct http_slice authority; // of an absolute-form target, else the Host value
	struct http_slice path;      // path and query, starts with '/' or is "*"
	/* response */
	uint16_t status;
	struct http_slice reason;
};

static inline struct sl_str
http_str(const struct http_msg *m, struct http_slice s)
{
	return sl_str_make(m->base + s.off, s.len);
}

/* hdr: array of maxhdr entries that lives as long as the message. */
void http_msg_init(struct http_msg *m, struct http_field *hdr, uint16_t maxhdr, bool request);
/* Copies the head to mem (cap bytes >= m->len + HTTP_REWRITE expected); offsets stay valid. */
int http_msg_own(struct http_msg *m, char *mem, uint32_t cap);

/* ---- fields; the editing ones need HTTP_F_OWNED and return 0 or -ENOSPC / -EINVAL ---- */

/*
 * Next field of this name from index *pos on (start with 0); advances *pos behind it. Returns the
 * index or -ENOENT.
 */
int http_hdr_find(const struct http_msg *m, struct sl_str name, uint16_t *pos);
/* Value of the first field of this name; {NULL,0} if none. */
struct sl_str http_hdr_get(const struct http_msg *m, struct sl_str name);
/*
 * Comma-separated values over all fields of this name, quotes respected (HAProxy's hdr()). `nth`:
 * 1 = first, -1 = last, 0 is invalid. {NULL,0} if there is none.
 */
struct sl_str http_hdr_value(const struct http_msg *m, struct sl_str name, int nth);
/*
 * Cuts one value, trimmed, off a comma-separated list; commas in quoted strings do not count. *rest
 * becomes {NULL, 0} behind the last.
 */
struct sl_str http_cut_value(struct sl_str *rest);
uint32_t http_hdr_count_values(const struct http_msg *m, struct sl_str name);
/*
 * name: a token, value: http_is_value(); -EINVAL otherwise. Both may point into the message. A new
 * field stands last, also one that replaces (HAProxy's set-header). An edited Host changes
 * `authority` too, and the target if that is in absolute form.
 */
int http_hdr_add(struct http_msg *m, struct sl_str name, struct sl_str value);
int http_hdr_set(struct http_msg *m, struct sl_str name, struct sl_str value);
/* Another value for field idx, in its place. */
int http_hdr_set_at(struct http_msg *m, uint16_t idx, struct sl_str value);
/* Deletes all fields of this name; returns how many. */
int http_hdr_del(struct http_msg *m, struct sl_str name);
void http_hdr_del_at(struct http_msg *m, uint16_t idx);
int http_set_method(struct http_msg *m, struct sl_str method);
int http_set_uri(struct http_msg *m, struct sl_str uri);
int http_set_path(struct http_msg *m, struct sl_str path);   // keeps the query
int http_set_query(struct http_msg *m, struct sl_str query); // without '?', empty removes
/*
 * Makes content-length and transfer-encoding say what `framing` is, if edits touched them: the peer
 * must not find another end of the body than we do. A message without a body keeps what it says,
 * if it is a response (to HEAD, or 304). 0 or -ENOSPC.
 */
int http_fit_framing(struct http_msg *m);
/* 100..999; an empty reason stays empty: http_reason() has the usual ones. */
int http_set_status(struct http_msg *m, uint16_t status, struct sl_str reason);

/* Path without the query; query without '?'. */
struct sl_str http_path_only(const struct http_msg *m);
struct sl_str http_query(const struct http_msg *m);

/*
 * The statuses that HAProxy 2.6 answers by itself, for which there may be pages of one's own: their
 * place in a table, or -ENOENT; and back.
 */
#define HTTP_ERRORS 19
int http_error_index(uint16_t status);
uint16_t http_error_at(uint32_t i);

/* ---- HTTP/1 heads ---- */

/* Resume state of one head; zero-initialise. */
struct h1_parser {
	uint32_t pos;   // scanned so far
	uint8_t state;  // private to h1_parse.c
	uint8_t err;    // enum h1_error, set with -EBADMSG / -EMSGSIZE
	uint32_t err_pos;
	uint32_t line;  // private
	uint32_t colon; // private
};

/* Why a head was refused; names in h1_error_name(). */
enum h1_error {
	H1_OK,
	H1_BAD_METHOD,
	H1_BAD_TARGET,
	H1_BAD_VERSION,
	H1_BAD_STATUS,
	H1_BAD_LINE_END, // bare CR or LF where CRLF is required
	H1_BAD_NAME,     // empty, or not a token
	H1_BAD_VALUE,    // control byte in a value
	H1_OBS_FOLD,
	H1_NO_COLON,
	H1_BAD_LENGTH,  // content-length not a number, empty, or contradictory
	H1_BAD_CODING,  // transfer-encoding other than exactly "chunked"
	H1_TE_AND_CL,   // both: request smuggling (RFC 9112 6.3)
	H1_BAD_HOST,    // missing in 1.1, repeated, or different from the authority
	H1_TOO_LONG,
	H1_TOO_MANY,
	H1_NR_ERRORS
};
const char *h1_error_name(enum h1_error e);

/*
 * Parses a head that starts at buf (contiguous; may grow between calls, and may move: the parser
 * holds offsets only). Leading CRLFs before a request line are skipped and counted in the result.
 * Returns the length of the head including the empty line; -EAGAIN: needs more; -EBADMSG,
 * -EMSGSIZE (limits above): see p->err. On success m holds all slices relative to buf, and framing,
 * connection and expectation flags are evaluated strictly (framing.c).
 * For responses `req_method` says what was asked (HEAD and CONNECT change the framing).
 */
int h1_parse_request(struct h1_parser *p, struct http_msg *m, char *buf, uint32_t len);
int h1_parse_response(struct h1_parser *p, struct http_msg *m, char *buf, uint32_t len,
	enum http_method req_method);

/*
 * Does the connection persist after this message, by the rules of RFC 9112 9.3?
 * For a response: whether the framing allows reuse at all.
 */
bool h1_is_keepalive(const struct http_msg *m);

/*
 * Writes the start line, all fields and the empty line to out (size bytes). `version10` writes
 * HTTP/1.0. Returns the length or -ENOSPC. Hop-by-hop fields are the caller's matter.
 */
int h1_write_head(const struct http_msg *m, char *out, uint32_t size, bool version10);
/* What h1_write_head() writes, bytes. */
uint32_t h1_head_size(const struct http_msg *m);
/* Would h1_write_head() write, byte for byte, what was received and stands at m->base? */
bool h1_is_as_received(const struct http_msg *m);
/*
 * What a head counts in "bytes" of logs and statistics: HAProxy counts its own form of a head, which
 * has no separators (4 bytes less a field), no Connection, and 20 bytes of a start line's numbers.
 */
uint32_t h1_counted_size(const struct http_msg *m);

/* ---- chunked bodies ---- */

#define H1_CHUNK_MAX_OVERHEAD HTTP_MAX_HEAD

enum h1_chunk_state {
	H1_CHUNK_SIZE,
	H1_CHUNK_BWS, // blanks behind the size
	H1_CHUNK_EXT,
	H1_CHUNK_SIZE_LF,
	H1_CHUNK_DATA,
	H1_CHUNK_DATA_CR,
	H1_CHUNK_DATA_LF,
	H1_CHUNK_TRAILER, // at the start of a trailer line
	H1_CHUNK_TRAILER_NAME,
	H1_CHUNK_TRAILER_VALUE,
	H1_CHUNK_TRAILER_LF,
	H1_CHUNK_END_LF,
	H1_CHUNK_DONE
};

/* Zero-initialise. */
struct h1_chunk {
	uint64_t left; // of the current chunk
	uint8_t state; // enum h1_chunk_state
	uint8_t digits;
	uint32_t overhead; // framing bytes beyond what the payload pays for, bounded
};

/*
 * Scans chunked bytes without changing them (framing passed through verbatim). Returns how many
 * of the len bytes belong to this body (== len unless the body ends inside), with state DONE at
 * the end; -EBADMSG: malformed; -EMSGSIZE: more framing than H1_CHUNK_MAX_OVERHEAD beyond 16 bytes
 * per chunk and two per payload byte, or trailers of that size. *data counts the payload bytes.
 * After an error the state is of no use.
 */
int h1_chunk_scan(struct h1_chunk *c, const char *buf, uint32_t len, uint32_t *data);
/*
 * As scan, but also removes the framing in place: buf[0..*data) holds the payload afterwards.
 * Trailers are checked and dropped.
 */
int h1_chunk_decode(struct h1_chunk *c, char *buf, uint32_t len, uint32_t *data);
/* "1a2\r\n" before a chunk of n > 0 bytes: returns its length; out >= 18 bytes. */
int h1_chunk_head(char *out, uint64_t n);

/* ---- names ---- */

enum http_method http_method_find(struct sl_str s);
const char *http_method_name(enum http_method m);
/* Standard reason phrase, "Unknown" for others. */
const char *http_reason(uint16_t status);
bool http_is_token(struct sl_str s);
/* May the value go on a wire: no CR, LF, NUL or other control byte but TAB. */
bool http_is_value(struct sl_str s);
