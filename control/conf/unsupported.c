// SPDX-License-Identifier: BSD-3-Clause
/*
 * HAProxy 2.6's keywords that sluice does not have: refused by name and with the reason, or
 * accepted when nothing of the traffic can depend on them (a notice says so).
 *
 * Runs on: the loader. The lists are unsupported.def and unsupported_expr.def; a row of the former that
 * gets an implementation leaves it (a test looks for names in both).
 */
#include "control/conf/conf_priv.h"

#define NO(scope, name, why)            { UNSUP_##scope, name, why, false, 0 },
#define SKIP(scope, name, nargs, why)   { UNSUP_##scope, name, why, true, nargs },
#define NO_ARG(scope, name, nargs, why) { UNSUP_##scope, name, why, false, nargs },
static const struct unsup list[] = {
#include "control/conf/unsupported.def"
#include "control/conf/unsupported_expr.def"
};
#undef NO
#undef SKIP
#undef NO_ARG

/* Words of "a b c" that word[] begins with; 0: it does not. A name ending in '*' is a prefix. */
static uint32_t
match(const char *name, const struct sl_str *word, uint32_t n)
{
	struct sl_str rest = sl_str_c(name);
	uint32_t i = 0;

	while (rest.p != NULL) {
		struct sl_str w = sl_str_cut(&rest, ' ');

		if (i == n)
			return 0;
		if (w.p[w.len - 1] == '*') {
			if (!sl_str_starts(word[i], sl_str_make(w.p, w.len - 1), false))
				return 0;
		} else if (!sl_str_eq(word[i], w)) {
			return 0;
		}
		i++;
	}
	return i;
}

const struct unsup *
unsup_find(enum unsup_scope scope, const struct sl_str *word, uint32_t n)
{
	const struct unsup *best = NULL;
	uint32_t longest = 0;

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(list); i++) {
		uint32_t len = list[i].scope == scope ? match(list[i].name, word, n) : 0;

		if (len > longest) {
			longest = len;
			best = &list[i];
		}
	}
	return best;
}

void
unsup_tell(struct conf *c, const struct unsup *u, const char *kind)
{
	if (u->ignored)
		conf_notice(c, "%s '%s' has no effect in sluice: %s.", kind, u->name, u->why);
	else
		conf_error(c, "not supported yet by sluice: %s '%s': %s.", kind, u->name, u->why);
}

uint32_t
unsup_count(void)
{
	return SL_ARRAY_SIZE(list);
}

const struct unsup *
unsup_at(uint32_t i)
{
	return &list[i];
}
