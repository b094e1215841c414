// SPDX-License-Identifier: BSD-3-Clause
/*
 * "balance": which server a request goes to.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2 "balance". Algorithms that are
 * not there yet are refused by name (unsupported.def).
 */
#include "control/conf/conf_priv.h"

static int
kw_balance(struct conf *c, const struct conf_args *a)
{
	const struct unsup *u;

	if (sl_str_eq(a->word[0], SL_STR("roundrobin"))) {
		if (a->n > 1) {
			conf_error(c,
				"'balance roundrobin' cannot handle unexpected argument '%.*s'.",
				SL_STR_ARG(a->word[1]));
			return -EINVAL;
		}
		c->px->p->lb = LB_ROUNDROBIN;
		return 0;
	}
	u = unsup_find(UNSUP_BALANCE, a->word, a->n);
	if (u != NULL)
		unsup_tell(c, u, "balance");
	else
		conf_error(c, "unknown balance algorithm '%.*s'; sluice has 'roundrobin'.",
			SL_STR_ARG(a->word[0]));
	return -EINVAL;
}

// clang-format off
SL_CFG_PROXY(
	{ "balance", CONF_ANY_PX, 1, CONF_MANY, kw_balance, "<algorithm>",
		 "which server a request goes to", .flags = CONF_KW_BE },
);
// clang-format on
