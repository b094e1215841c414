/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of dataplane/http share among themselves. Private to dataplane/http. */
#pragma once

#include "dataplane/http/http.h"

/*
 * Cuts a request-target into scheme, authority and path, by the method's form (RFC 9112 3.2).
 * 0 or -EINVAL.
 */
int uri_parse_target(struct http_msg *m);
/* Is it "host", "host:port", "[v6]" or "[v6]:port"? Also the empty string. */
bool uri_is_host(struct sl_str s);
/* The same host and port, where a missing port is the scheme's default (no scheme: http). */
bool uri_same_host(struct sl_str a, struct sl_str b, struct sl_str scheme);

/*
 * Evaluates what the fields say about framing, host and connection; sets *err_pos to the offset
 * to blame. H1_OK or why the head is refused.
 */
enum h1_error framing_request(struct http_msg *m, uint32_t *err_pos);
enum h1_error framing_response(struct http_msg *m, enum http_method req_method, uint32_t *err_pos);

/* Gives an absolute-form target another authority; 0, -ENOSPC or -EINVAL. */
int uri_set_authority(struct http_msg *m, struct sl_str host);
/* Room for n more bytes in an owned head: their place, or NULL. */
char *msg_room(struct http_msg *m, uint32_t n);
