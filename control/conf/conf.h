/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of control/conf: text -> model, or all errors of the text in one run.
 *
 * Runs on the loader (main at start). Messages go to a sink in HAProxy 2.6's form; the caller
 * decides what exit code they mean.
 */
#pragma once

#include "dataplane/base/log.h"
#include "dataplane/model/model.h"

struct conf_spec {
	const char *const *files; // files and directories, in order (-f)
	uint32_t nfiles;
	/* Once per message, without newline: "parsing [f.cfg:12] : …". */
	void (*message)(void *ctx, enum sl_level level, const char *text);
	void *ctx;
	uint32_t generation;
	const char *master; // "-S": another socket of the runtime API; NULL: none
	bool running; // a reload: what is of the process (its environment) is not changed
	/* Another thread sets it: loading ends soon, with an error. NULL: nobody does. */
	const _Atomic(bool) *cancel;
	/* Test hook: refuse the n-th allocation of the model, or of drafts (0: off). */
	uint32_t fail_mem, fail_tmp;
};
struct conf_count {
	uint32_t errors, warnings, listeners;
	uint32_t files, unread; // that were read; that could not be (which is among the errors)
};
/*
 * Opens the keyword tables, also those of expr and proxy. Main thread, before threads start; again
 * is harmless. 0, -ENOMEM, or -EEXIST with the keyword and its two files in *dup.
 */
int conf_init(const char **dup);
/*
 * Also runs the Lua files, and their init functions when there was no error: the states are ready
 * (script_gen_ready() was called) in (*out)->lua. The model is still writable, for what the command
 * line overrides; arena_map_protect((*out)->mem) when it is published.
 *
 * 0 with *out (owned by the caller, conf_free), or -EINVAL (errors were reported), -ENOMEM. A model
 * without any bind loads (count->listeners == 0): the caller refuses it as HAProxy does.
 */
int conf_load(const struct conf_spec *s, struct model **out, struct conf_count *count);
void conf_free(struct model *m);
/* Rows as text, one a line, for -dK and the reference: kind, name, arguments, help. */
void conf_dump_keywords(void (*line)(void *ctx, const char *text), void *ctx);
/* The condition of ".if" and -cc: 0 false, 1 true, or -EINVAL with a text in why. */
int conf_condition(struct sl_str text, struct sl_buf *why);
