// SPDX-License-Identifier: BSD-3-Clause
/*
 * Answers of commands: memory that grows, up to a bound; what goes beyond is cut, and the client is
 * told so (client.c).
 *
 * Runs on: main.
 */
#include "control/cli/cli_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool
room(struct cli_out *o, size_t n)
{
	size_t size = sl_max(o->size, 4096u);
	char *p;

	if (o->cut || o->len + n > CLI_ANSWER_MAX) {
		o->cut = true;
		return false;
	}
	if (o->len + n <= o->size)
		return true;
	while (size < o->len + n)
		size *= 2;
	p = realloc(o->p, size);
	if (p == NULL) {
		o->cut = true;
		return false;
	}
	o->p = p;
	o->size = (uint32_t)size;
	return true;
}

void
cli_add(struct cli_out *o, const char *p, size_t n)
{
	if (n == 0 || !room(o, n))
		return;
	memcpy(o->p + o->len, p, n);
	o->len += (uint32_t)n;
}

void
cli_str(struct cli_ctx *x, struct sl_str s)
{
	cli_add(x->out, s.p, s.len);
}

void
cli_printf(struct cli_ctx *x, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < (int)sizeof(text)) {
		cli_add(x->out, text, n > 0 ? (size_t)n : 0);
		return;
	}
	if (!room(x->out, (size_t)n + 1))
		return;
	va_start(ap, fmt);
	vsnprintf(x->out->p + x->out->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	x->out->len += (uint32_t)n;
}

void
cli_msg(struct cli_ctx *x, const char *text)
{
	cli_printf(x, "%s\n", text);
}

void
cli_severity(struct cli_ctx *x, enum sl_level level)
{
	static const char *const names[] = { "emerg", "alert", "crit", "err", "warning", "notice",
		"info", "debug" };

	if (x->client->severity == CLI_SEVERITY_NUMBER)
		cli_printf(x, "[%d]: ", level);
	else if (x->client->severity == CLI_SEVERITY_STRING)
		cli_printf(x, "[%s]: ", names[level]);
}

void
cli_err(struct cli_ctx *x, const char *text)
{
	cli_severity(x, SL_ERR);
	cli_msg(x, text);
}

void
cli_errf(struct cli_ctx *x, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_err(x, text);
}
