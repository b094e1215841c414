// SPDX-License-Identifier: BSD-3-Clause
/*
 * Messages about a configuration: counted, placed, and worded so that the reader knows what to
 * change. The caller of conf_load() prints them (options.c in HAProxy's form).
 *
 * Runs on: the loader.
 */
#include "control/conf/conf_priv.h"

#include <stdarg.h>
#include <stdio.h>

static void
tell(struct conf *c, enum sl_level level, const struct src_pos *pos, const char *fmt, va_list ap)
{
	char text[CONF_MAX_TEXT];
	int at = 0;

	if (level <= SL_ERR)
		c->count->errors++;
	else if (level == SL_WARNING)
		c->count->warnings++;
	if (pos != NULL && pos->file != NULL)
		at = snprintf(text, sizeof(text), "parsing [%.300s:%u] : ", pos->file, pos->line);
	if (at < 0 || (size_t)at >= sizeof(text))
		at = 0;
	(void)vsnprintf(text + at, sizeof(text) - (size_t)at, fmt, ap);
	c->spec->message(c->spec->ctx, level, text);
}

void
conf_error(struct conf *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(c, SL_ALERT, &c->pos, fmt, ap);
	va_end(ap);
}

void
conf_warning(struct conf *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(c, SL_WARNING, &c->pos, fmt, ap);
	va_end(ap);
}

void
conf_notice(struct conf *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(c, SL_NOTICE, &c->pos, fmt, ap);
	va_end(ap);
}

void
conf_error_at(struct conf *c, const struct src_pos *pos, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(c, SL_ALERT, pos, fmt, ap);
	va_end(ap);
}

void
conf_warning_at(struct conf *c, const struct src_pos *pos, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(c, SL_WARNING, pos, fmt, ap);
	va_end(ap);
}

struct conf_hint
conf_hint(const void *row, const char *end)
{
	struct conf_hint h;

	if (row == NULL)
		(void)snprintf(h.text, sizeof(h.text), "%s", end);
	else
		(void)snprintf(h.text, sizeof(h.text), "; did you mean '%s' maybe ?",
			*(const char *const *)row);
	return h;
}

int
conf_nomem(struct conf *c)
{
	if (!c->nomem) {
		c->nomem = true;
		conf_error_at(c, NULL, "out of memory while loading the configuration.");
	}
	return -ENOMEM;
}

void
conf_expr_error(void *ctx, struct sl_str word, const char *text)
{
	struct conf *c = ctx;
	char quoted[200];
	struct sl_buf b;
	const char *sep = c->what[0] == '\0' ? "" : " : ";

	sl_buf_init(&b, quoted, sizeof(quoted));
	sl_buf_printf(&b, "'%.*s'", SL_STR_ARG(word));
	// the text usually quotes the word it is about; when it does not, it is added
	if (word.len == 0 || sl_str_find(sl_str_c(text), sl_buf_str(&b), false) >= 0)
		conf_error(c, "%s%s%s", c->what, sep, text);
	else
		conf_error(c, "%s%s%s: %s", c->what, sep, text, quoted);
}
