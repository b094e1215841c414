/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/proxy (table): the row type of actions ("http-request deny …"), their parse and
 * run functions. Rows stand at the bottom of the act_*.c file that implements them.
 */
#pragma once

#include "dataplane/expr/expr.h"
#include "dataplane/model/model.h"

struct stream;

/* What an action's parser gets: the words after the action's name up to if/unless. */
struct act_parse {
	const struct expr_comp *comp; // memory, diagnosis, evaluation point
	struct prog_builder *prog;    // push argument samples here (prog_add_fmt, prog_add_expr)
	const struct sl_str *word;
	uint32_t nword;
	/* Filled by the parser */
	uint32_t nsamples; // how many samples the action pops
	void *data;        // its constants, in comp->mem
};

/* A compiled action: what OP_ACT points at. */
struct act {
	const struct act_row *row;
	const void *data;
	struct src_pos pos;
};

struct act_row {
	const char *name;
	uint32_t points; // EVAL_BIT()s of the rulesets it may stand in
	/* 0, or -EINVAL after reporting through comp->diag. NULL: takes no words. */
	int (*parse)(struct act_parse *p, uintptr_t priv);
	/* Worker. args: nsamples values, first pushed first; T_ANY when an expression had none. */
	enum act_ret (*run)(struct stream *s, const struct act *a, struct sample *args, uint32_t n);
	const char *help;
	uintptr_t priv;
};
#define SL_ACTIONS(...) SL_KWTAB(action, struct act_row, __VA_ARGS__)

/*
 * "lua.NAME ARGS… [deadline T] [on-error …] [on-overload …]": emits the CALL itself, so the rule has
 * no OP_ACT. p->word: behind the name. 0, or -EINVAL after p->comp->diag.
 */
int act_lua_parse(struct act_parse *p, struct sl_str name);

int action_init(const char **dup);
const struct registry *action_rows(void);
