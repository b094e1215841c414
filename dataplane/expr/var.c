// SPDX-License-Identifier: BSD-3-Clause
/*
 * Variables of a session, transaction, request or response; those of the process are in var_proc.c.
 *
 * Runs on: the thread that owns the list. Names are found by hash, then compared.
 * Follows: HAProxy's scopes and names (manual, "set-var").
 * Not here: when a scope ends; the owner of the arena empties the list's head.
 */
#include "dataplane/base/hash.h"
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

static const struct sl_str scope_names[VAR_NR] = {
	[VAR_PROC] = { "proc", 4 },
	[VAR_SESS] = { "sess", 4 },
	[VAR_TXN] = { "txn", 3 },
	[VAR_REQ] = { "req", 3 },
	[VAR_RES] = { "res", 3 },
};

static bool
is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '.' || c == '_';
}

static struct var *
find(const struct vars *v, enum var_scope scope, struct sl_str name, uint32_t hash)
{
	for (struct var *x = v->head[scope]; x != NULL; x = x->next) {
		if (x->name_hash == hash && sl_str_eq(x->name, name))
			return x;
	}
	return NULL;
}

int
var_parse_name(struct sl_str full, enum var_scope *scope, struct sl_str *name)
{
	int dot = full.len != 0 ? sl_str_chr(full, '.') : -ENOENT;

	if (dot <= 0 || (uint32_t)dot + 1 >= full.len)
		return -EINVAL;
	struct sl_str head = sl_str_make(full.p, (size_t)dot);
	struct sl_str rest = sl_str_make(full.p + dot + 1, full.len - (size_t)dot - 1);
	for (uint32_t i = 0; i < rest.len; i++) {
		if (!is_name_byte(rest.p[i]))
			return -EINVAL;
	}
	for (int i = 0; i < VAR_NR; i++) {
		if (sl_str_eq(scope_names[i], head)) {
			*scope = (enum var_scope)i;
			*name = rest;
			return 0;
		}
	}
	return -EINVAL;
}

const struct sample *
var_get(const struct vars *v, enum var_scope scope, struct sl_str name)
{
	if (v == NULL || v->head[scope] == NULL)
		return NULL;
	const struct var *x = find(v, scope, name, hash_fnv(name));
	return x != NULL && x->value.type != T_ANY ? &x->value : NULL;
}

bool
var_read(const struct vars *v, enum var_scope scope, struct sl_str name, struct sample *out,
	struct arena *mem)
{
	const struct sample *x;

	if (scope == VAR_PROC)
		return v != NULL && v->procs != NULL && proc_var_get(v->procs, name, out, mem);
	x = var_get(v, scope, name);
	if (x != NULL)
		*out = *x;
	return x != NULL;
}

/* Not into the old value's bytes: samples on a program's stack may still point at them. */
static int
copy_value(struct sample *out, const struct sample *in, struct arena *mem)
{
	struct sample s = *in;

	if (sample_has_text(&s)) {
		char *p = arena_alloc(mem, s.s.len);
		if (p == NULL)
			return -ENOMEM;
		if (s.s.len != 0)
			memcpy(p, s.s.p, s.s.len);
		s.s.p = p;
	}
	*out = s;
	return 0;
}

int
var_set(struct vars *v, struct arena *mem, enum var_scope scope, struct sl_str name,
	const struct sample *value)
{
	uint32_t hash;
	struct var *x;

	if (scope == VAR_PROC)
		return v->procs != NULL ? proc_var_set(v->procs, name, value, false) : -ENOSPC;
	hash = hash_fnv(name);
	x = find(v, scope, name, hash);
	if (x != NULL)
		return copy_value(&x->value, value, mem);
	x = arena_alloc(mem, sizeof(*x) + name.len);
	if (x == NULL)
		return -ENOMEM;
	if (copy_value(&x->value, value, mem) < 0)
		return -ENOMEM;
	if (name.len != 0)
		memcpy(x + 1, name.p, name.len);
	x->name = sl_str_make((const char *)(x + 1), name.len);
	x->name_hash = hash;
	x->scope = (uint8_t)scope;
	x->next = v->head[scope];
	v->head[scope] = x;
	return 0;
}

void
var_unset(struct vars *v, enum var_scope scope, struct sl_str name)
{
	uint32_t hash;

	if (scope == VAR_PROC) {
		if (v->procs != NULL)
			proc_var_unset(v->procs, name);
		return;
	}
	hash = hash_fnv(name);
	for (struct var **at = &v->head[scope]; *at != NULL; at = &(*at)->next) {
		if ((*at)->name_hash == hash && sl_str_eq((*at)->name, name)) {
			*at = (*at)->next;
			return;
		}
	}
}
