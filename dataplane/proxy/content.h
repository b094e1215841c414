/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules that look at bytes, or wait for them; private to dataplane/proxy. Workers only. */
#pragma once

#include "dataplane/proxy/stream.h"

/* What HAProxy's buffer holds: rules do not wait for more. */
#define CONTENT_FULL HTTP_MAX_HEAD

/* ---- content.c: a client's bytes, while rules of mode tcp look at them ---- */
/*
 * Evaluates the rules of a proxy on its client's bytes (res: its server's), from the start, or goes on
 * where they waited. RULE_PARKED: they wait for a script or for bytes; to be called again.
 */
enum rule_result content_pass(struct stream *s, const struct proxy *px, bool res);
/* Are rules being evaluated that may still wait for bytes? */
bool content_partial(const struct stream *s);
/* For fetches: how many bytes there are; the first n of them in one piece (NULL: no memory). */
uint32_t content_size(const struct stream *s, bool res);
const char *content_look(struct stream *s, bool res, uint32_t n);
/* Of a message (NULL: gone): is all of it there, or as much as is kept for rules? */
bool content_whole(const struct muxs *ms);
void content_run(struct stream *s); // a side has sent, or ended; or the date has come
sl_tick content_date(const struct stream *s); // TICK_NONE: nobody waits
/* What goes before the bytes of the client (res: of the server) goes to the other side; 0 or -Exxx. */
int content_send(struct stream *s, bool res, struct conn *to);
/* The server's connection dies, and rules are not done with what it had said: 0 or -ENOMEM. */
int content_keep(struct stream *s);
void content_end(struct stream *s);
int content_apply(struct stream *s, struct call_slot *slot);
void content_asked(struct stream *s, struct call_slot *slot);

/* ---- act_body.c: "wait-for-body" ---- */
/* Bytes of a body have come, its end, or the date: goes on with the rules if that is enough. */
void body_waited(struct stream *s);
