// SPDX-License-Identifier: BSD-3-Clause
/*
 * Growing, freezing and listing programs.
 *
 * Runs on: the thread that loads a configuration. The builder knows the depth of the stack at every
 * instruction, so that running needs no checks.
 * Not here: text to instructions (compile.c, acl.c), running (eval.c).
 */
#include <stdarg.h>
#include <stdio.h>

#include "dataplane/expr/expr_priv.h"

int
expr_error(const struct expr_comp *e, struct sl_str word, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (e->diag != NULL && e->diag->error != NULL)
		e->diag->error(e->diag->ctx, word, text);
	return -EINVAL;
}

int
expr_nomem(const struct expr_comp *e)
{
	return expr_error(e, SL_STR(""), "out of memory");
}

struct prog_builder *
prog_begin(const struct expr_comp *e)
{
	struct prog_builder *b = arena_zalloc(e->mem, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->e = e;
	b->points = EVAL_ANY;
	return b;
}

static int
fail(struct prog_builder *b, int rc)
{
	b->failed = true;
	return rc;
}

static bool
is_call_of(const struct prog_insn *in, uint8_t kind)
{
	return in->op == OP_CALL && ((const struct prog_call *)in->ptr)->kind == kind;
}

/* What an instruction takes from the stack and puts there. */
static void
effect(const struct prog_insn *in, uint32_t *pop, uint32_t *push)
{
	*pop = *push = 0;
	switch (in->op) {
	case OP_FETCH:
	case OP_EACH:
	case OP_LIT:
		*push = 1;
		break;
	case OP_CONV:
	case OP_CAST:
		*pop = *push = 1;
		break;
	case OP_MATCH:
		*pop = 1;
		break;
	case OP_CONCAT:
		*pop = in->n;
		*push = 1;
		break;
	case OP_CALL:
		*push = !is_call_of(in, 'a');
		*pop = is_call_of(in, 'c');
		break;
	case OP_ACT:
		*pop = in->n;
		break;
	default:
		break;
	}
}

static int
grow(struct prog_builder *b)
{
	uint32_t cap = b->cap == 0 ? 16 : b->cap * 2;
	struct prog_insn *code = arena_alloc(b->e->mem, (size_t)cap * sizeof(*code));

	if (code == NULL)
		return expr_nomem(b->e);
	if (b->len != 0)
		memcpy(code, b->code, b->len * sizeof(*code));
	b->code = code;
	b->cap = cap;
	return 0;
}

int
prog_add_op(struct prog_builder *b, enum prog_op op, uint32_t n, const void *ptr)
{
	struct prog_insn in = { .op = (uint8_t)op, .depth = (uint8_t)b->depth, .n = n, .ptr = ptr };
	uint32_t pop, push;

	if (b->failed)
		return -EINVAL;
	if (b->len == b->cap && grow(b) < 0)
		return fail(b, -EINVAL);
	effect(&in, &pop, &push);
	if (pop > b->depth)
		return fail(b, expr_error(b->e, SL_STR(""), "internal: stack underflow"));
	/* An action may edit the message that older samples point into. */
	if ((op == OP_ACT || is_call_of(&in, 'a')) && b->depth != pop)
		return fail(b, expr_error(b->e, SL_STR(""), "internal: action inside a value"));
	b->depth += push - pop;
	if (b->depth > PROG_STACK)
		return fail(b,
			expr_error(b->e, SL_STR(""), "rule too complex: more than %d values",
				PROG_STACK));
	b->max_depth = sl_max(b->max_depth, b->depth);
	b->ncalls += op == OP_CALL;
	b->code[b->len] = in;
	return (int)b->len++;
}

void
prog_patch(struct prog_builder *b, uint32_t at)
{
	if (b->failed || at >= b->len)
		return;
	/* Jumps do not move the stack. */
	sl_assert(b->code[at].depth == b->depth);
	b->code[at].n = b->len;
}

const struct prog *
prog_end(struct prog_builder *b)
{
	struct prog *p;

	if (prog_add_op(b, OP_END, 0, NULL) < 0)
		return NULL;
	p = arena_alloc(b->e->mem, sizeof(*p));
	if (p == NULL) {
		expr_nomem(b->e);
		return NULL;
	}
	*p = (struct prog){
		.code = b->code, .len = b->len, .max_stack = b->max_depth, .ncalls = b->ncalls
	};
	return p;
}

/* ---- listing ---- */

static void
dump_args(const struct arg *a, struct sl_buf *out)
{
	char sep = '(';

	for (; a->type != ARG_END; a++, sep = ',') {
		sl_buf_char(out, sep);
		if (a->type == ARG_SINT || a->type == ARG_TIME) {
			sl_buf_i64(out, a->i);
		} else if (a->type == ARG_NET) {
			addr_format(out, &a->net.ip);
			sl_buf_char(out, '/');
			sl_buf_u64(out, a->net.prefix);
		} else {
			sl_buf_char(out, '\'');
			sl_buf_add(out, a->s);
			sl_buf_char(out, '\'');
		}
	}
	if (sep == ',')
		sl_buf_char(out, ')');
}

static void
dump_value(const struct sample *s, struct sl_buf *out)
{
	switch (s->type) {
	case T_ANY:
		sl_buf_addc(out, "none");
		break;
	case T_BOOL:
	case T_SINT:
		sl_buf_i64(out, s->i);
		break;
	case T_ADDR:
		addr_format(out, &s->ip);
		break;
	default:
		sl_buf_char(out, '\'');
		sl_buf_add(out, s->s);
		sl_buf_char(out, '\'');
		break;
	}
}

static void
dump_call(const struct prog_insn *in, struct sl_buf *out)
{
	const struct prog_call *c = in->ptr;

	sl_buf_char(out, ' ');
	sl_buf_char(out, (char)c->kind);
	sl_buf_u64(out, c->fn);
	for (uint32_t i = 0; i < c->nargs; i++) {
		sl_buf_addc(out, i == 0 ? " '" : "' '");
		sl_buf_add(out, c->args[i]);
	}
	if (c->nargs != 0)
		sl_buf_char(out, '\'');
}

static void
dump_insn(const struct prog_insn *in, struct sl_buf *out)
{
	static const char *const names[] = { "end", "fetch", "conv", "cast", "match", "not", "jf",
		"jt", "jmp", "lit", "concat", "call", "act", "each", "again", "term",
		"wait" };

	sl_buf_addc(out, in->op < SL_ARRAY_SIZE(names) ? names[in->op] : "?");
	switch (in->op) {
	case OP_FETCH:
	case OP_EACH: {
		const struct expr_fetch *f = in->ptr;
		sl_buf_char(out, ' ');
		sl_buf_addc(out, f->row->name);
		dump_args(f->args, out);
		break;
	}
	case OP_CONV: {
		const struct expr_conv *c = in->ptr;
		sl_buf_char(out, ' ');
		sl_buf_addc(out, c->row->name);
		dump_args(c->args, out);
		break;
	}
	case OP_CAST:
		sl_buf_char(out, ' ');
		sl_buf_addc(out, sample_type_name((enum sample_type)in->n));
		break;
	case OP_MATCH:
		sl_buf_char(out, ' ');
		pat_dump(in->ptr, out);
		break;
	case OP_LIT:
		sl_buf_char(out, ' ');
		dump_value(in->ptr, out);
		break;
	case OP_JF:
	case OP_JT:
	case OP_JMP:
	case OP_AGAIN:
	case OP_CONCAT:
	case OP_ACT:
		sl_buf_char(out, ' ');
		sl_buf_u64(out, in->n);
		break;
	case OP_CALL:
		dump_call(in, out);
		break;
	default:
		break;
	}
}

void
prog_dump(const struct prog *p, struct sl_buf *out)
{
	for (uint32_t i = 0; i < p->len; i++) {
		sl_buf_u64(out, i);
		sl_buf_char(out, ' ');
		dump_insn(&p->code[i], out);
		sl_buf_char(out, '\n');
	}
}
