// SPDX-License-Identifier: BSD-3-Clause
/*
 * Running programs.
 *
 * Runs on: workers, per request; allocates from the transaction's arena only.
 * The cursor is the whole state: it may wait for a CALL for as long as it takes, and continues
 * behind it. Depths and jump targets were checked by the builder.
 */
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

/* A missing value and a refused allocation must not look the same: a deny rule would not fire. */
static bool
out_of_memory(const struct prog_env *e)
{
	return unlikely(e->mem->failed);
}

static void
run_fetch(const struct expr_fetch *f, struct prog_cursor *c, struct prog_env *e, struct sample *out)
{
	out->changes = false;
	if (!f->row->fn(e->view, f->args, out, e->mem, f->row->priv))
		out->type = T_ANY;
	c->changes = f->row->waits && out->changes && e->view->partial;
}

static void
run_each(const struct expr_fetch *f, struct prog_cursor *c, struct prog_env *e, struct sample *out)
{
	if (!f->row->each(e->view, f->args, &c->iter, out, e->mem, f->row->priv)) {
		out->type = T_ANY;
		c->iter = 0;
	}
}

static void
run_conv(const struct expr_conv *cv, struct prog_env *e, struct sample *s)
{
	if (s->type == T_ANY)
		return;
	if (!cv->row->fn(e->view, s, cv->args, e->mem, cv->row->priv))
		s->type = T_ANY;
}

/* Upper bound of a sample's text; control bytes may become three. */
static size_t
text_bound(const struct sample *s, bool encode)
{
	switch (s->type) {
	case T_ANY:
		return 0;
	case T_BOOL:
	case T_SINT:
		return 21;
	case T_ADDR:
		return 46;
	default:
		return encode ? (size_t)s->s.len * 3 : s->s.len;
	}
}

static bool
is_plain(unsigned char c)
{
	return (c >= 32 && c != 127) || c == '\t';
}

/* How many bytes from i on need no code; eight at a time, as nearly all values are plain. */
static uint32_t
plain_run(struct sl_str s, uint32_t i)
{
	const uint64_t ones = 0x0101010101010101ull, tops = ones << 7;
	uint32_t from = i;

	for (; s.len - i >= 8; i += 8) {
		uint64_t w, del;
		memcpy(&w, s.p + i, 8);
		del = w ^ ones * 0x7f;
		/* A top bit for each byte below 32 or equal to 127 (and some above a borrow). */
		if ((((w - ones * 32) & ~w) | ((del - ones) & ~del)) & tops)
			break;
	}
	while (i < s.len && is_plain((unsigned char)s.p[i]))
		i++;
	return i - from;
}

/* As HAProxy: control bytes but TAB are %XX, so that a value cannot end a header line. */
static void
add_encoded(struct sl_buf *b, struct sl_str s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (uint32_t i = 0; i < s.len; i++) {
		uint32_t run = plain_run(s, i);
		if (run != 0)
			sl_buf_add(b, sl_str_make(s.p + i, run));
		i += run;
		if (i == s.len)
			break;
		sl_buf_char(b, '%');
		sl_buf_char(b, hex[(unsigned char)s.p[i] >> 4]);
		sl_buf_char(b, hex[s.p[i] & 15]);
	}
}

static void
add_text(struct sl_buf *b, const struct sample *s, bool encode)
{
	struct sl_str t;

	switch (s->type) {
	case T_ANY:
		return;
	case T_BOOL:
	case T_SINT:
		sl_buf_i64(b, s->i);
		return;
	case T_ADDR:
		addr_format(b, &s->ip);
		return;
	case T_BIN: {
		struct sample cut = *s;
		sample_cast(&cut, T_STR, NULL); // cuts at NUL, needs no memory
		t = cut.s;
		break;
	}
	default:
		t = s->s;
		break;
	}
	if (encode)
		add_encoded(b, t);
	else
		sl_buf_add(b, t);
}

/* literal: bit i says that sample i comes from the configuration and stays as it is. */
static bool
run_concat(struct sample *s, uint32_t n, uintptr_t literal, struct arena *mem)
{
	size_t size = 1;
	struct sl_buf b;

	for (uint32_t i = 0; i < n; i++)
		size += text_bound(&s[i], !(literal >> i & 1));
	char *p = size < UINT32_MAX ? arena_alloc(mem, size) : NULL;
	if (p == NULL)
		return false;
	sl_buf_init(&b, p, (uint32_t)size);
	for (uint32_t i = 0; i < n; i++)
		add_text(&b, &s[i], !(literal >> i & 1));
	s[0].type = T_STR;
	s[0].s = sl_buf_str(&b);
	return true;
}

/* Before waiting: the head may be moved or edited meanwhile. */
static bool
own_stack(struct prog_cursor *c, struct arena *mem)
{
	for (uint32_t i = 0; i < c->sp; i++) {
		struct sample *s = &c->stack[i];
		if (!sample_has_text(s) || s->s.len == 0)
			continue;
		char *p = arena_alloc(mem, s->s.len);
		if (p == NULL)
			return false;
		memcpy(p, s->s.p, s->s.len);
		s->s.p = p;
	}
	return true;
}

static void
call_result(struct prog_cursor *c, const struct prog_call *call, const struct sample *result)
{
	if (call->kind == 'a')
		return;
	if (call->kind == 'c')
		c->sp--;
	if (result != NULL)
		c->stack[c->sp++] = *result;
	else
		c->stack[c->sp++].type = T_ANY;
}

/* PROG_END: go on. */
static enum prog_status
run_call(struct prog_cursor *c, struct prog_env *e, const struct prog_call *call)
{
	struct sample out = { .type = T_ANY };
	const struct sample *in = NULL;

	if (call->kind == 'c') {
		in = &c->stack[c->sp - 1];
		if (in->type == T_ANY)
			return PROG_END;
	}
	if (!own_stack(c, e->mem))
		return PROG_NOMEM;
	switch (e->call(e, call, in, &out)) {
	case ACT_CONT:
		call_result(c, call, &out);
		return out_of_memory(e) ? PROG_NOMEM : PROG_END;
	case ACT_SUSPEND:
		return PROG_SUSPENDED;
	case ACT_STOP:
		return PROG_STOPPED;
	default:
		return PROG_DONE;
	}
}

static enum prog_status
run_act(struct prog_cursor *c, struct prog_env *e, const struct prog_insn *in)
{
	c->sp = (uint8_t)(c->sp - in->n);
	switch (e->act(e, in->ptr, &c->stack[c->sp], in->n)) {
	case ACT_CONT:
		return PROG_END;
	case ACT_SUSPEND:
		return PROG_SUSPENDED;
	case ACT_STOP:
		return PROG_STOPPED;
	default:
		return PROG_DONE;
	}
}

/*
 * Follows HAProxy, whose conditions have three values while bytes come: a match is one whatever comes,
 * but no match of a value that may change is neither yes nor no, under a "!" too. The first part that is
 * not true decides its alternative; a condition is open if no alternative is true, and one is open.
 */
static void
run_match(struct prog_cursor *c, const struct prog_insn *in, const struct sample *s)
{
	c->flag = s->type != T_ANY && pat_match(in->ptr, s);
	c->unsure |= c->changes;
	c->changes = false;
}

static void
run_term(struct prog_cursor *c, const struct prog_insn *in)
{
	if (c->unsure && !c->flag)
		c->open = true;
	else
		c->flag = c->flag != (in->n != 0);
	c->unsure = false;
}

/* True: the program waits. */
static bool
run_wait(struct prog_cursor *c)
{
	bool wait = c->open && !c->flag;

	c->open = false;
	return wait;
}

static void
run_again(struct prog_cursor *c, const struct prog_insn *in)
{
	if (!c->flag && c->iter != 0)
		c->pc = in->n;
	else
		c->iter = 0;
}

void
prog_start(struct prog_cursor *c, const struct prog *p)
{
	c->prog = p;
	c->pc = 0;
	c->sp = 0;
	c->flag = c->changes = c->unsure = c->open = false;
	c->iter = 0;
}

enum prog_status
prog_run(struct prog_cursor *c, struct prog_env *e)
{
	const struct prog_insn *code = c->prog->code;
	enum prog_status rc;

	e->mem->failed = false; // what others had refused is not ours
	for (;;) {
		const struct prog_insn *in = &code[c->pc];
		struct sample *top = &c->stack[c->sp];

		if (in->op == OP_END)
			return PROG_END; // stays there: running on is harmless
		c->pc++;
		switch ((enum prog_op)in->op) {
		case OP_FETCH:
			run_fetch(in->ptr, c, e, top);
			c->sp++;
			break;
		case OP_EACH:
			run_each(in->ptr, c, e, top);
			c->sp++;
			break;
		case OP_CONV:
			run_conv(in->ptr, e, top - 1);
			break;
		case OP_CAST:
			if (top[-1].type != T_ANY &&
				!sample_cast(top - 1, (enum sample_type)in->n, e->mem))
				top[-1].type = T_ANY;
			break;
		case OP_MATCH:
			c->sp--;
			run_match(c, in, top - 1);
			continue; // needs no memory
		case OP_NOT:
			c->flag = !c->flag;
			continue;
		case OP_JF:
			if (!c->flag)
				c->pc = in->n;
			continue;
		case OP_JT:
			if (c->flag)
				c->pc = in->n;
			continue;
		case OP_JMP:
			c->pc = in->n;
			continue;
		case OP_AGAIN:
			run_again(c, in);
			continue;
		case OP_TERM:
			run_term(c, in);
			continue;
		case OP_WAIT:
			if (run_wait(c))
				return PROG_WAIT;
			continue;
		case OP_LIT:
			*top = *(const struct sample *)in->ptr;
			c->sp++;
			continue;
		case OP_CONCAT:
			c->sp = (uint8_t)(c->sp - in->n);
			if (!run_concat(&c->stack[c->sp], in->n, (uintptr_t)in->ptr, e->mem))
				return PROG_NOMEM;
			c->sp++;
			continue;
		case OP_CALL:
			rc = run_call(c, e, in->ptr);
			if (rc != PROG_END)
				return rc;
			continue;
		case OP_ACT:
			rc = run_act(c, e, in);
			if (rc != PROG_END)
				return rc;
			e->mem->failed = false; // the action has dealt with it
			c->changes = false;     // what it was given is as it is
			continue;
		case OP_END:
			return PROG_END;
		}
		if (out_of_memory(e))
			return PROG_NOMEM;
	}
}

enum prog_status
prog_resume(struct prog_cursor *c, struct prog_env *e, const struct sample *result)
{
	const struct prog_insn *in = &c->prog->code[c->pc - 1];

	if (in->op == OP_CALL)
		call_result(c, in->ptr, result);
	return prog_run(c, e);
}
