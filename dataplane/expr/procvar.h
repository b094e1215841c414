/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/expr (variables of the process): the scope "proc", shared by all threads.
 *
 * A generation has one store. Any thread reads and writes it at any time, and none waits for another.
 */
#pragma once

#include "dataplane/expr/expr.h"

#define PROC_VARS_BYTES (16u << 20) // room for values, at most
#define PROC_VARS_NAMES 1536u
#define PROC_VAR_NAME   104u  // bytes of a name
#define PROC_VAR_MAX    16384u // of a value: HAProxy's buffer
#define PROC_VAR_SIZE   64u    // counted for a variable, beside its text
/* Loader: those of a generation. NULL: no memory. */
struct proc_vars *proc_vars_new(void);
void proc_vars_free(struct proc_vars *p);
void proc_vars_limit(struct proc_vars *p, uint64_t bytes); // 0: PROC_VARS_BYTES
uint64_t proc_vars_used(const struct proc_vars *p);
/* The configuration names it: `ifexist` finds it. 0 or -ENOSPC. */
int proc_var_declare(struct proc_vars *p, struct sl_str name);
/*
 * Text is copied to mem, which gives up to two pieces of PROC_VAR_MAX for it (the second if the value grows
 * meanwhile). False: not set, or no memory; *out is then as it was.
 */
bool proc_var_get(struct proc_vars *p, struct sl_str name, struct sample *out, struct arena *mem);
/*
 * Copies the value. 0; -ENOSPC (its size, all their sizes, their number, its name): the old value stays;
 * -ENOENT: ifexist, and there is none of that name.
 */
int proc_var_set(struct proc_vars *p, struct sl_str name, const struct sample *v, bool ifexist);
void proc_var_unset(struct proc_vars *p, struct sl_str name);

/*
 * Loader, main: sets a variable of comp->procs ("proc.x") to the value of an expression or format; comp's
 * point is EVAL_CONF, its memory scratch. Without a value it stays as it was. 0; -EINVAL after comp->diag;
 * -ENOSPC: no room; -ENOMEM.
 */
int proc_var_assign(
	const struct expr_comp *comp, struct sl_str full, struct sl_str text, bool fmt);
