/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/proxy (formats): "log-format" and what is built like it. A format is compiled
 * once; its expressions are evaluated by the worker at the end of the transaction, as values of the
 * record; everything is put together by logfmt_print(), on main for lines, on the worker for a
 * unique-id. Follows: HAProxy's manual 8.2.6.
 */
#pragma once

#include "dataplane/base/buf.h"
#include "dataplane/expr/expr.h"
#include "dataplane/model/model.h"
#include "dataplane/proxy/proxy.h"

/* Control threads: the strings behind "option httplog" and so on. */
enum logfmt_builtin { LOGFMT_HTTP, LOGFMT_TCP, LOGFMT_CLF };
struct sl_str logfmt_builtin(enum logfmt_builtin i);
/*
 * Control threads: compiles for a proxy of that mode; its values are numbered from `first`. on_worker:
 * the format is printed on workers (unique-id-format). NULL after comp->diag.
 */
const struct log_format *logfmt_compile(const struct expr_comp *comp, struct sl_str text,
	enum px_mode mode, uint32_t first, bool on_worker);

/* What a record does not hold. */
struct logfmt_env {
	const struct model *m;
	struct sl_str hostname;
	int pid;
	uint64_t log_count;
	/* Main: dates; NULL on workers. kind: enum logfmt_date */
	void (*date)(struct sl_buf *b, uint64_t wall_us, int kind);
};
enum logfmt_date {
	LOGFMT_MS,    // 06/Feb/2009:12:14:14.655, local time
	LOGFMT_LOCAL, // 06/Feb/2009:12:14:14 +0100
	LOGFMT_GMT,
};
/* The proxy of an index of a record; NULL: of another generation, or none. */
const struct proxy *logfmt_proxy(const struct model *m, const struct logrec *r, uint16_t i);
/* Any thread. Appends to b. */
void logfmt_print(struct sl_buf *b, const struct log_format *f, const struct logrec *r,
	const struct logfmt_env *e);
/* A value's text, no more than fits; n of them stand in r->values behind each other. */
struct sl_str logrec_value(const struct logrec *r, uint32_t index);
