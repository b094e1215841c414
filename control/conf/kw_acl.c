// SPDX-License-Identifier: BSD-3-Clause
/*
 * "acl": named conditions of a proxy. Fetches, matches and patterns are expr's business.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 7.
 */
#include "control/conf/conf_priv.h"

static int
kw_acl(struct conf *c, const struct conf_args *a)
{
	struct expr_comp comp = conf_comp(c, c->px, &c->mem, EVAL_NONE);
	struct sl_str name = a->word[0];
	char what[160];
	struct sl_buf b;
	int rc;

	if (conf_name(c, "acl", name) < 0)
		return -EINVAL;
	if (sl_str_ieq(name, SL_STR("or"))) {
		conf_error(c,
			"acl name 'or' will never match: it is the disjunction within a "
			"condition.");
		return -EINVAL;
	}
	sl_buf_init(&b, what, sizeof(what));
	sl_buf_printf(&b, "error detected while parsing ACL '%.*s'", SL_STR_ARG(name));
	c->what = what;
	if (a->n < 2) {
		conf_error(c, "%s : missing fetch method.", what);
		return -EINVAL;
	}
	rc = acl_add(c->px->acls, &comp, name, a->word + 1, a->n - 1);
	c->what = "";
	return rc == -ENOMEM ? conf_nomem(c) : rc;
}

// clang-format off
SL_CFG_PROXY(
	{ "acl", CONF_PROXY, 1, CONF_MANY, kw_acl, "<name> <fetch> [<flag>...] [<value>...]",
		 "names a condition" },
);
// clang-format on
