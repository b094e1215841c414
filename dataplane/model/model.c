// SPDX-License-Identifier: BSD-3-Clause
/*
 * Looking things up in a compiled configuration.
 *
 * Runs on: any thread, workers included; the model is immutable.
 */
#include "dataplane/model/model.h"

const struct proxy *
model_find_proxy(const struct model *m, struct sl_str name, uint32_t caps)
{
	for (uint32_t i = 0; i < m->nproxies; i++) {
		const struct proxy *px = m->proxies[i];
		if ((px->caps & caps) == caps && sl_str_eq(px->name, name))
			return px;
	}
	return NULL;
}

const struct log_var_info log_var_info[LOGV_NR] = {
#define LOG_VAR(sym, nm, fl, help) [LOGV_##sym] = { nm, fl },
#include "dataplane/model/log_vars.def"
#undef LOG_VAR
};

int
cli_severity_of(struct sl_str word)
{
	static const char *const names[] = { "none", "number", "string" };

	for (int i = 0; i < (int)SL_ARRAY_SIZE(names); i++) {
		if (sl_str_eq(word, sl_str_c(names[i])))
			return i;
	}
	return -EINVAL;
}
