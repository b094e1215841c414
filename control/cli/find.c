// SPDX-License-Identifier: BSD-3-Clause
/*
 * Names in commands to objects of the running configuration, with HAProxy's answers when there is
 * none. A name that begins with '#' is a number.
 *
 * Runs on: main.
 */
#include "control/cli/cli_priv.h"

static const struct proxy *
find_proxy(const struct model *m, struct sl_str name, uint32_t caps)
{
	uint64_t id;

	if (name.len > 1 && name.p[0] == '#' &&
		sl_str_u64(sl_str_make(name.p + 1, name.len - 1), &id) == 0) {
		for (uint32_t i = 0; i < m->nproxies; i++) {
			if (m->proxies[i]->id == id && (m->proxies[i]->caps & caps) != 0)
				return m->proxies[i];
		}
		return NULL;
	}
	return model_find_proxy(m, name, caps);
}

const struct proxy *
cli_find_frontend(struct cli_ctx *x, struct sl_str name)
{
	const struct proxy *p = find_proxy(x->cli->s.model, name, PX_CAP_FE);

	if (p == NULL)
		cli_err(x, "No such frontend.");
	return p;
}

const struct proxy *
cli_find_backend(struct cli_ctx *x, struct sl_str name)
{
	return find_proxy(x->cli->s.model, name, PX_CAP_BE);
}

const struct server *
cli_find_server(struct cli_ctx *x, struct sl_str name)
{
	struct sl_str rest = name, be_name = sl_str_cut(&rest, '/');
	const struct proxy *be;
	uint64_t id = 0;

	if (rest.p == NULL || rest.len == 0) {
		cli_err(x, "Require 'backend/server'.");
		return NULL;
	}
	be = find_proxy(x->cli->s.model, be_name, PX_CAP_BE);
	if (be == NULL) {
		cli_err(x, "No such backend.");
		return NULL;
	}
	if (rest.p[0] == '#')
		(void)sl_str_u64(sl_str_make(rest.p + 1, rest.len - 1), &id);
	for (uint32_t i = 0; i < be->nservers; i++) {
		const struct server *s = &be->servers[i];

		if (sl_str_eq(s->name, rest) || (id != 0 && s->id == id))
			return s;
	}
	cli_err(x, "No such server.");
	return NULL;
}
