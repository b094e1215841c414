/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values as HAProxy's "show stat" and "show info" give them, and the three forms in which they are
 * written: text or CSV, typed, JSON. Private to control/stats but for its users in control/cli.
 */
#pragma once

#include "dataplane/base/str.h"

enum field_kind { FIELD_NONE, FIELD_U32, FIELD_U64, FIELD_S32, FIELD_STR };
struct field {
	enum field_kind kind;
	const char *tags; // origin, nature, scope: "MCP"; NULL: the column's
	int64_t n;
	struct sl_str s;
};

static inline struct field
field_u32(uint64_t n)
{
	return (struct field){ .kind = FIELD_U32, .n = (int64_t)(n > UINT32_MAX ? UINT32_MAX : n) };
}

static inline struct field
field_u64(uint64_t n)
{
	return (struct field){ .kind = FIELD_U64, .n = (int64_t)n };
}

static inline struct field
field_s32(int64_t n)
{
	return (struct field){ .kind = FIELD_S32, .n = n };
}

/* The bytes must live until the row is written. */
static inline struct field
field_str(struct sl_str s)
{
	return (struct field){ .kind = FIELD_STR, .s = s };
}

/* Where text goes; any length. */
struct field_out {
	void (*add)(void *ctx, const char *p, size_t n);
	void *ctx;
};
void field_puts(const struct field_out *o, const char *text);
void field_printf(const struct field_out *o, const char *fmt, ...) sl_printf(2, 3);
/* "12", "text"; nothing for FIELD_NONE. */
void field_plain(const struct field_out *o, const struct field *f);
/* As a cell of CSV: quoted where it must be. */
void field_csv(const struct field_out *o, const struct field *f);
/* "MCP:u64:12" */
void field_typed(const struct field_out *o, const struct field *f, const char *tags);
/* "\"tags\":{…},\"value\":{…}" */
void field_json(const struct field_out *o, const struct field *f, const char *tags);
