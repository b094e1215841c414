/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of control threads and of the start-up; never called on the packet path (hot.h poisons
 * it). The sink is replaceable: stderr by default, rte_log or syslog in the daemon.
 */
#pragma once

#include "dataplane/base/base.h"

/* syslog's levels, which are HAProxy's and Lua's (core.emerg .. core.debug). */
enum sl_level {
	SL_EMERG,
	SL_ALERT,
	SL_CRIT,
	SL_ERR,
	SL_WARNING,
	SL_NOTICE,
	SL_INFO,
	SL_DEBUG,
	SL_NR_LEVELS
};

typedef void (*sl_log_fn)(void *ctx, enum sl_level level, const char *type, const char *text);

/* Before threads start. */
void sl_log_set_sink(sl_log_fn fn, void *ctx);
void sl_log_set_level(enum sl_level max);
void sl_log(enum sl_level level, const char *type, const char *fmt, ...) sl_printf(3, 4);
const char *sl_level_name(enum sl_level level);

/* Once per file: SL_LOG_TYPE("net"); then LOG(WARNING, "text %d", n). */
#define SL_LOG_TYPE(name) static const char *const sl_log_type_ = (name)
#define LOG(level, ...) sl_log(SL_##level, sl_log_type_, __VA_ARGS__)
