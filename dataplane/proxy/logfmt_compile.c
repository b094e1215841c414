// SPDX-License-Identifier: BSD-3-Clause
/*
 * Text of a log format -> nodes, and one program that evaluates its expressions.
 *
 * Runs on: the thread that loads a configuration. Follows: HAProxy's manual 8.2.6: blanks separate
 * and are merged, flags stand in %{}, those of %o hold for what follows it.
 */
#include "dataplane/proxy/logfmt.h"

#include "dataplane/expr/expr.h"

#define MAX_NODES 512

struct sl_str
logfmt_builtin(enum logfmt_builtin i)
{
	switch (i) {
	case LOGFMT_HTTP:
		return SL_STR("%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc "
			      "%ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r");
	case LOGFMT_TCP:
		return SL_STR("%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc "
			      "%sq/%bq");
	case LOGFMT_CLF:
	default:
		return SL_STR("%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR "
			      "%Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl");
	}
}

/* A format being compiled. */
struct comp {
	const struct expr_comp *e;
	struct prog_builder *b;
	enum px_mode mode;
	bool on_worker;
	const char *p, *end;
	uint8_t flags; // those of %o
	uint32_t first, nvalues;
	uint32_t n;
	struct log_node node[MAX_NODES];
};

/* "before 'word' behind"; word NULL: before alone. */
static int
fail(struct comp *c, const char *before, struct sl_str word, const char *behind)
{
	char text[256];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	sl_buf_addc(&b, before);
	if (word.p != NULL)
		sl_buf_printf(&b, " '%.*s'%s", SL_STR_ARG(word), behind);
	c->e->diag->error(c->e->diag->ctx, SL_STR(""), text);
	return -EINVAL;
}

static int
add(struct comp *c, struct log_node node)
{
	if (c->n == MAX_NODES)
		return fail(c, "format too long", SL_STR_NULL, "");
	c->node[c->n++] = node;
	return 0;
}

/* Text up to the next blank or '%'; "%%" stands for one. */
static int
text(struct comp *c)
{
	char *mem = arena_alloc(c->e->mem, (size_t)(c->end - c->p) + 1), *to = mem;

	if (mem == NULL)
		return fail(c, "out of memory", SL_STR_NULL, "");
	while (c->p < c->end && *c->p != ' ') {
		if (*c->p == '%') {
			if (c->p + 1 == c->end || c->p[1] != '%')
				break;
			c->p++;
		}
		*to++ = *c->p++;
	}
	return add(c, (struct log_node){ .var = LOGV_TEXT, .text = { mem, (uint32_t)(to - mem) } });
}

/* "{+Q,-X}" */
static int
flags(struct comp *c, uint8_t *out)
{
	static const char names[] = "QXEM";
	const char *start = c->p++;
	bool on = true;

	for (; c->p < c->end && *c->p != '}'; c->p++) {
		const char *at = *c->p != '\0' ? strchr(names, *c->p) : NULL;

		if (*c->p == '+' || *c->p == '-')
			on = *c->p == '+';
		else if (at != NULL && on)
			*out = (uint8_t)(*out | 1u << (at - names));
		else if (at != NULL)
			*out = (uint8_t)(*out & ~(1u << (at - names)));
		else if (*c->p != ',' && *c->p != ' ')
			return fail(c, "unknown flag at the end of",
				sl_str_make(start, (size_t)(c->p + 1 - start)),
				": expects Q, X, E or M behind '+' or '-'");
	}
	if (c->p == c->end)
		return fail(
			c, "missing '}' behind", sl_str_make(start, (size_t)(c->p - start)), "");
	c->p++;
	return 0;
}

/* Behind "[": up to the ']' that is no part of the expression. */
static int
expression(struct comp *c, uint8_t fl)
{
	uint32_t index = c->first + c->nvalues;
	int used;

	if (index >= LOG_MAX_VALUES)
		return fail(c, "too many expressions", SL_STR_NULL, "");
	used = prog_add_value(c->b, sl_str_make(c->p, (size_t)(c->end - c->p)), ']', T_STR);
	if (used < 0)
		return used;
	c->p += used + 1;
	c->nvalues++;
	if (prog_add_op(c->b, OP_ACT, 1, (const void *)(uintptr_t)index) < 0)
		return -EINVAL;
	return add(c, (struct log_node){ .var = LOGV_EXPR, .flags = fl, .index = (uint16_t)index });
}

static bool
is_word(char x)
{
	return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (x >= '0' && x <= '9');
}

static int
variable(struct comp *c, uint8_t fl)
{
	const char *start = c->p;
	struct sl_str name;

	while (c->p < c->end && is_word(*c->p))
		c->p++;
	name = sl_str_make(start, (size_t)(c->p - start));
	if (sl_str_eq(name, SL_STR("o"))) {
		c->flags = fl;
		return 0;
	}
	for (uint32_t i = 0; i < LOGV_NR; i++) {
		if (log_var_info[i].name == NULL ||
			!sl_str_eq(name, sl_str_c(log_var_info[i].name)))
			continue;
		if ((log_var_info[i].flags & LOGV_HTTP) != 0 && c->mode != PX_HTTP)
			return fail(c, "format variable", name, " is reserved for HTTP mode");
		if ((log_var_info[i].flags & LOGV_MAIN) != 0 && c->on_worker)
			return fail(c, "not supported yet by sluice: format variable", name,
				" in a unique-id-format");
		return add(c, (struct log_node){ .var = (uint8_t)i, .flags = fl });
	}
	return fail(c, "no such format variable", name,
		". If you wanted to emit the '%' character verbatim, you need to use '%%'.");
}

/* At a '%' that is not doubled. */
static int
percent(struct comp *c)
{
	uint8_t fl = c->flags;

	c->p++;
	if (c->p < c->end && *c->p == '{' && flags(c, &fl) < 0)
		return -EINVAL;
	if (c->p == c->end)
		return fail(c, "truncated line after '%'.", SL_STR_NULL, "");
	if (*c->p != '[')
		return variable(c, fl);
	c->p++;
	return expression(c, fl);
}

static int
parse(struct comp *c)
{
	int rc = 0;

	while (c->p < c->end && rc == 0) {
		if (*c->p == ' ') {
			c->p++;
			rc = add(c, (struct log_node){ .var = LOGV_BLANK });
		} else if (*c->p == '%' && (c->p + 1 == c->end || c->p[1] != '%')) {
			rc = percent(c);
		} else {
			rc = text(c);
		}
	}
	return rc;
}

const struct log_format *
logfmt_compile(const struct expr_comp *e, struct sl_str source, enum px_mode mode, uint32_t first,
	bool on_worker)
{
	struct log_format *f = arena_zalloc(e->mem, sizeof(*f));
	struct comp *c = arena_zalloc(e->mem, sizeof(*c));
	struct log_node *node;

	if (f == NULL || c == NULL) {
		e->diag->error(e->diag->ctx, SL_STR(""), "out of memory");
		return NULL;
	}
	c->e = e;
	c->mode = mode;
	c->on_worker = on_worker;
	c->first = first;
	c->p = source.p;
	c->end = source.p + source.len;
	c->flags = on_worker ? 0 : LOGF_MANDATORY;
	c->b = prog_begin(e);
	if (c->b == NULL) {
		e->diag->error(e->diag->ctx, SL_STR(""), "out of memory");
		return NULL;
	}
	if (parse(c) < 0)
		return NULL;
	node = arena_alloc(e->mem, sizeof(*node) * (c->n + 1));
	if (node == NULL) {
		e->diag->error(e->diag->ctx, SL_STR(""), "out of memory");
		return NULL;
	}
	memcpy(node, c->node, sizeof(*node) * c->n);
	*f = (struct log_format){ .node = node, .n = c->n, .nvalues = c->nvalues };
	if (c->nvalues > 0) {
		f->prog = prog_end(c->b);
		if (f->prog == NULL)
			return NULL;
	}
	return f;
}
