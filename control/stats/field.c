// SPDX-License-Identifier: BSD-3-Clause
/*
 * One value in HAProxy's forms.
 *
 * Runs on: control threads. Follows: HAProxy 2.6 management guide 9.1 to 9.3.
 */
#include "control/stats/field.h"

#include <stdarg.h>
#include <stdio.h>

void
field_puts(const struct field_out *o, const char *text)
{
	o->add(o->ctx, text, strlen(text));
}

void
field_printf(const struct field_out *o, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		o->add(o->ctx, text, sl_min((size_t)n, sizeof(text) - 1));
}

/* By hand: an answer has hundreds of numbers per row, and printf() takes ten times as long. */
static void
number(const struct field_out *o, uint64_t v, bool minus)
{
	char text[21], *at = text + sizeof(text);

	do
		*--at = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	if (minus)
		*--at = '-';
	o->add(o->ctx, at, (size_t)(text + sizeof(text) - at));
}

void
field_plain(const struct field_out *o, const struct field *f)
{
	switch (f->kind) {
	case FIELD_NONE:
		break;
	case FIELD_STR:
		o->add(o->ctx, f->s.p, f->s.len);
		break;
	case FIELD_S32:
		number(o, f->n < 0 ? -(uint64_t)f->n : (uint64_t)f->n, f->n < 0);
		break;
	default:
		number(o, (uint64_t)f->n, false);
	}
}

void
field_csv(const struct field_out *o, const struct field *f)
{
	bool quote = false;

	if (f->kind != FIELD_STR) {
		field_plain(o, f);
		return;
	}
	for (uint32_t i = 0; i < f->s.len && !quote; i++)
		quote = f->s.p[i] == '"' || f->s.p[i] == ',' || f->s.p[i] == '\n' ||
			f->s.p[i] == '\r';
	if (!quote) {
		field_plain(o, f);
		return;
	}
	o->add(o->ctx, "\"", 1);
	for (uint32_t i = 0; i < f->s.len; i++)
		o->add(o->ctx, f->s.p[i] == '"' ? "\"\"" : &f->s.p[i], f->s.p[i] == '"' ? 2 : 1);
	o->add(o->ctx, "\"", 1);
}

static const char *
type_of(const struct field *f)
{
	switch (f->kind) {
	case FIELD_U32:
		return "u32";
	case FIELD_U64:
		return "u64";
	case FIELD_S32:
		return "s32";
	default:
		return "str";
	}
}

void
field_typed(const struct field_out *o, const struct field *f, const char *tags)
{
	field_printf(o, "%s:%s:", f->tags != NULL ? f->tags : tags, type_of(f));
	field_plain(o, f);
}

static const char *
origin(char c)
{
	return c == 'M' ? "Metric" : c == 'S' ? "Status" : c == 'K' ? "Key" : c == 'C' ? "Config"
											: "Product";
}

static const char *
nature(char c)
{
	static const char letters[] = "AaCDGLMmNORT";
	static const char *const words[] = { "Age", "Avg", "Counter", "Duration", "Gauge", "Limit",
		"Max", "Min", "Name", "Output", "Rate", "Time" };
	const char *at = strchr(letters, c);

	return at != NULL && c != '\0' ? words[at - letters] : "Output";
}

static const char *
scope(char c)
{
	return c == 'P' ? "Process" : c == 'S' ? "Service" : c == 's' ? "System" : "Cluster";
}

static void
json_string(const struct field_out *o, struct sl_str s)
{
	o->add(o->ctx, "\"", 1);
	for (uint32_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			field_printf(o, "\\%c", c);
		else if (c < 0x20)
			field_printf(o, "\\u%04x", c);
		else
			o->add(o->ctx, &s.p[i], 1);
	}
	o->add(o->ctx, "\"", 1);
}

void
field_json(const struct field_out *o, const struct field *f, const char *tags)
{
	const char *t = f->tags != NULL ? f->tags : tags;

	field_printf(o,
		"\"tags\":{\"origin\":\"%s\",\"nature\":\"%s\",\"scope\":\"%s\"},"
		"\"value\":{\"type\":\"%s\",\"value\":",
		origin(t[0]), nature(t[1]), scope(t[2]), type_of(f));
	if (f->kind == FIELD_STR)
		json_string(o, f->s);
	else
		field_plain(o, f);
	field_puts(o, "}");
}
