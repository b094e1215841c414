// SPDX-License-Identifier: BSD-3-Clause
/*
 * Stands in for call.c until it is there: calls to scripts do nothing and the rule goes on, which is
 * what HAProxy does with a script that fails. Weak: the real functions take over when linked.
 */
#include "dataplane/proxy/stream.h"

#define WEAK __attribute__((weak))

WEAK int
call_attach(struct lcore *lc, const struct px_spec *spec)
{
	(void)lc;
	(void)spec;
	return 0;
}

WEAK void
call_detach(struct lcore *lc)
{
	(void)lc;
}

WEAK enum act_ret
call_start(
	struct stream *s, const struct prog_call *c, const struct sample *in, struct sample *out)
{
	(void)s;
	(void)c;
	(void)in;
	*out = (struct sample){ .type = T_ANY };
	return ACT_CONT;
}

WEAK void
call_cancel(struct lcore *lc, struct stream *s)
{
	(void)lc;
	(void)s;
}

WEAK void
call_deadline(struct lcore *lc, struct stream *s)
{
	(void)lc;
	(void)s;
}

WEAK void
px_script_message(struct lcore *lc, uint16_t script, const struct xmsg *m)
{
	(void)lc;
	(void)script;
	(void)m;
}
