/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/expr (values; expr.h includes it): samples, and the variables that keep them.
 */
#pragma once

#include "dataplane/base/addr.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/str.h"
#include "dataplane/http/http.h"

/* ---- samples ---- */

enum sample_type {
	T_ANY, // as an in-type: anything; as a value: not set
	T_BOOL,
	T_SINT,
	T_ADDR, // IPv4 or IPv6, as ip.family says
	T_STR,
	T_BIN,
	T_METH,
	T_NR
};

struct sample {
	enum sample_type type;
	union {
		int64_t i; // T_BOOL, T_SINT
		struct ip_addr ip;
		struct sl_str s; // T_STR, T_BIN; T_METH as text
	};
	enum http_method meth; // T_METH
	bool changes; // a fetch says so: more bytes may make another value of it, or a value
};

/* Is the value in s->s? */
static inline bool
sample_has_text(const struct sample *s)
{
	return s->type == T_STR || s->type == T_BIN || s->type == T_METH;
}
const char *sample_type_name(enum sample_type t);
/* Converts in place as HAProxy's cast matrix; text that must be made comes from `mem`. */
bool sample_cast(struct sample *s, enum sample_type to, struct arena *mem);
/* Can `from` ever become `to`? */
bool sample_can_cast(enum sample_type from, enum sample_type to);

/* ---- variables ---- */

struct proc_vars; // procvar.h

/* One variable; names are interned at load, run-time names are hashed. */
enum var_scope { VAR_PROC, VAR_SESS, VAR_TXN, VAR_REQ, VAR_RES, VAR_NR };
struct var {
	struct var *next;
	uint32_t name_hash;
	uint8_t scope; // enum var_scope
	struct sl_str name; // without the scope
	struct sample value;
};
struct vars {
	struct var *head[VAR_NR];
	struct proc_vars *procs; // those of scope proc, which are in no list; NULL: none can be
};
/* Splits "txn.name"; 0 or -EINVAL. */
int var_parse_name(struct sl_str full, enum var_scope *scope, struct sl_str *name);
/* Of a list. */
const struct sample *var_get(const struct vars *v, enum var_scope scope, struct sl_str name);
/* Of any scope; what other threads may change is copied to mem. False: not set, no memory; *out stays. */
bool var_read(const struct vars *v, enum var_scope scope, struct sl_str name, struct sample *out,
	struct arena *mem);
/* Copies name and value into mem; 0 or -ENOMEM; of scope proc also -ENOSPC. */
int var_set(struct vars *v, struct arena *mem, enum var_scope scope, struct sl_str name,
	const struct sample *value);
void var_unset(struct vars *v, enum var_scope scope, struct sl_str name);
