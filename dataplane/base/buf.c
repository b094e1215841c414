// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bounded text builder: whatever does not fit is cut off and remembered in `full`.
 *
 * Runs on: any thread, except sl_buf_printf() (control threads: the C library's printf may lock
 * and allocate). Invariant: len < size and p[len] == 0.
 */
#include "dataplane/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void
sl_buf_init(struct sl_buf *b, char *mem, uint32_t size)
{
	sl_assert(size >= 1);
	b->p = mem;
	b->size = size;
	sl_buf_reset(b);
}

void
sl_buf_reset(struct sl_buf *b)
{
	b->len = 0;
	b->full = false;
	b->p[0] = '\0';
}

void
sl_buf_add(struct sl_buf *b, struct sl_str s)
{
	uint32_t room = b->size - 1 - b->len;

	if (s.len > room) {
		s.len = room;
		b->full = true;
	}
	if (s.len > 0)
		memcpy(b->p + b->len, s.p, s.len);
	b->len += s.len;
	b->p[b->len] = '\0';
}

void
sl_buf_addc(struct sl_buf *b, const char *c)
{
	sl_buf_add(b, sl_str_c(c));
}

void
sl_buf_char(struct sl_buf *b, char c)
{
	sl_buf_add(b, sl_str_make(&c, 1));
}

void
sl_buf_u64(struct sl_buf *b, uint64_t n)
{
	char text[20]; // UINT64_MAX has 20 digits
	uint32_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	sl_buf_add(b, sl_str_make(text + at, sizeof(text) - at));
}

void
sl_buf_i64(struct sl_buf *b, int64_t n)
{
	if (n < 0)
		sl_buf_char(b, '-');
	sl_buf_u64(b, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

sl_cold void
sl_buf_printf(struct sl_buf *b, const char *fmt, ...)
{
	uint32_t room = b->size - b->len; // with the NUL
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(b->p + b->len, room, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->p[b->len] = '\0';
		b->full = true;
	} else if ((uint32_t)n >= room) {
		b->len = b->size - 1;
		b->full = true;
	} else {
		b->len += (uint32_t)n;
	}
}

struct sl_str
sl_buf_str(const struct sl_buf *b)
{
	return sl_str_make(b->p, b->len);
}
