/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to the fetch_*.c files: which message a row reads, and the rows that ACLs derive from a
 * string fetch ("path_beg", …).
 */
#pragma once

#include "dataplane/expr/expr.h"

enum fetch_dir {
	DIR_REQ,
	DIR_RES,
	DIR_AUTO, // hdr(): the response once there is one; in conditions the request (as HAProxy)
};

static inline const struct http_msg *
fetch_msg(const struct txn_view *v, uintptr_t dir)
{
	if (dir == DIR_AUTO)
		return v->res != NULL ? v->res : v->req;
	return dir == DIR_RES ? v->res : v->req;
}

static inline bool
fetch_give_str(struct sample *out, struct sl_str s)
{
	out->type = T_STR;
	out->s = s;
	return true;
}

static inline bool
fetch_give_int(struct sample *out, int64_t i)
{
	out->type = T_SINT;
	out->i = i;
	return true;
}

/* The arguments come last: their initialisers have commas. */
#define FETCH_ACL(nm, suffix, f, e, o, pts, dir, ...)                                         \
	{                                                                                     \
		.name = nm "_" suffix, .fn = f, .args = __VA_ARGS__, .out = o, .points = pts, \
		.where = WHERE_PURE, .help = "ACL: " nm " -m " suffix, .priv = dir,           \
		.match = suffix, .each = e                                                    \
	}
/* "_reg" is there to be refused by name. */
#define FETCH_ACLS(nm, f, e, o, pts, dir, ...)                        \
	FETCH_ACL(nm, "beg", f, e, o, pts, dir, __VA_ARGS__),         \
		FETCH_ACL(nm, "dir", f, e, o, pts, dir, __VA_ARGS__), \
		FETCH_ACL(nm, "dom", f, e, o, pts, dir, __VA_ARGS__), \
		FETCH_ACL(nm, "end", f, e, o, pts, dir, __VA_ARGS__), \
		FETCH_ACL(nm, "len", f, e, o, pts, dir, __VA_ARGS__), \
		FETCH_ACL(nm, "reg", f, e, o, pts, dir, __VA_ARGS__), \
		FETCH_ACL(nm, "sub", f, e, o, pts, dir, __VA_ARGS__)
