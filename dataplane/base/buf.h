/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounded text builder over memory of the caller. Overflow truncates and sets `full`; the text is
 * always NUL-terminated (size must be >= 1).
 */
#pragma once

#include "dataplane/base/base.h"
#include "dataplane/base/str.h"

struct sl_buf {
	char *p;
	uint32_t len;  // without the NUL
	uint32_t size; // with the NUL
	bool full;     // something did not fit
};

void sl_buf_init(struct sl_buf *b, char *mem, uint32_t size);
void sl_buf_reset(struct sl_buf *b);
void sl_buf_add(struct sl_buf *b, struct sl_str s);
void sl_buf_addc(struct sl_buf *b, const char *c);
void sl_buf_char(struct sl_buf *b, char c);
void sl_buf_u64(struct sl_buf *b, uint64_t n);
void sl_buf_i64(struct sl_buf *b, int64_t n);
/* Control threads only (uses the C library's printf). */
void sl_buf_printf(struct sl_buf *b, const char *fmt, ...) sl_printf(2, 3);
struct sl_str sl_buf_str(const struct sl_buf *b);
