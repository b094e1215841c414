// SPDX-License-Identifier: BSD-3-Clause
/*
 * Messages of control threads: level filter and replaceable sink.
 *
 * Runs on: control threads and the start-up, never on the packet path. The sink and the level are
 * the one pair of writable globals of this folder: set before threads start (the level may change
 * later, so it is atomic).
 */
#include "dataplane/base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define LOG_LINE 1024 // longer messages are cut, as syslog would

static void
sink_stderr(void *ctx sl_unused, enum sl_level level, const char *type, const char *text)
{
	fprintf(stderr, "[%s] %s: %s\n", sl_level_name(level), type, text);
}

static sl_log_fn log_sink = sink_stderr;
static void *log_ctx;
static _Atomic int log_max = SL_INFO; // writer: main; readers: every control thread

void
sl_log_set_sink(sl_log_fn fn, void *ctx)
{
	log_sink = fn != NULL ? fn : sink_stderr;
	log_ctx = ctx;
}

void
sl_log_set_level(enum sl_level max)
{
	atomic_store_explicit(&log_max, (int)max, memory_order_relaxed);
}

sl_cold void
sl_log(enum sl_level level, const char *type, const char *fmt, ...)
{
	char text[LOG_LINE];
	va_list ap;

	if ((int)level > atomic_load_explicit(&log_max, memory_order_relaxed))
		return;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	log_sink(log_ctx, level, type, text);
}

const char *
sl_level_name(enum sl_level level)
{
	static const char *const names[SL_NR_LEVELS] = {
		[SL_EMERG] = "EMERG",
		[SL_ALERT] = "ALERT",
		[SL_CRIT] = "CRIT",
		[SL_ERR] = "ERR",
		[SL_WARNING] = "WARNING",
		[SL_NOTICE] = "NOTICE",
		[SL_INFO] = "INFO",
		[SL_DEBUG] = "DEBUG",
	};

	return (unsigned int)level < SL_NR_LEVELS ? names[level] : "?";
}
