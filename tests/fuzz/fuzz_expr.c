// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target: the compiler of expressions, formats and conditions, and running what it accepts.
 * The first byte chooses the kind; the rest is the text, a condition's words split at blanks.
 *
 * Invariants: an error is reported exactly when there is no program, and once; a program stays in
 * its stack, ends, and gives the same whether calls wait or not; a format gives a string without
 * control bytes of values; nothing reads outside of the text (it lies in an exact allocation).
 */
#include "tests/fuzz/fuzz.h"

#include "dataplane/expr/expr.h"

#define MAX_IN 4096

static struct arena_chunk *
get(void *ctx, uint32_t need)
{
	struct arena_chunk *c = malloc(sizeof(*c) + need);

	(void)ctx;
	MUST(c != NULL);
	c->size = need;
	return c;
}

static void
put(void *ctx, struct arena_chunk *c)
{
	(void)ctx;
	free(c);
}

static const struct arena_src src = { .get = get, .put = put };

static void
count_error(void *ctx, struct sl_str word, const char *text)
{
	uint32_t *n = ctx;

	/* Touches what was given. */
	for (uint32_t i = 0; i < word.len; i++)
		MUST(word.p[i] >= -128);
	MUST(text[0] != '\0' && strlen(text) < 512);
	(*n)++;
}

static int
lookup(void *ctx, char kind, struct sl_str name, uint32_t *points)
{
	(void)ctx;
	*points = EVAL_ANY;
	if (kind == 'f' && sl_str_eq(name, SL_STR("lua.f")))
		return 1;
	return kind == 'c' && sl_str_eq(name, SL_STR("lua.c")) ? 2 : -ENOENT;
}

/* A fetch gives "f\n", a converter its input's length: now, or later. */
struct waiting {
	bool wait;
	uint32_t calls;
	struct sample result;
};

static enum act_ret
call(struct prog_env *e, const struct prog_call *c, const struct sample *in, struct sample *out)
{
	struct waiting *w = e->owner;

	MUST((in != NULL) == (c->kind == 'c'));
	MUST(in == NULL || in->type == T_STR);
	for (uint32_t i = 0; i < c->nargs; i++)
		MUST(c->args[i].len <= MAX_IN);
	w->calls++;
	w->result = (struct sample){ .type = T_STR, .s = SL_STR("f\n") };
	if (in != NULL)
		w->result = (struct sample){ .type = T_SINT, .i = in->s.len };
	if (w->wait)
		return ACT_SUSPEND;
	*out = w->result;
	return ACT_CONT;
}

static const char head[] = "GET /p/q?a=1&b=2 HTTP/1.1\r\nHost: h.example\r\nA: x, \"y,z\", w\r\n"
			   "Cookie: c=1; d=2\r\nA: v\r\n\r\n";

static void
run(const struct prog *p, bool wait, struct arena *mem, struct prog_cursor *c, struct waiting *w)
{
	struct http_field hdr[HTTP_MAX_HDR];
	struct http_msg req;
	struct h1_parser h1 = { 0 };
	struct vars vars = { 0 };
	struct sl_rand rand;
	struct txn_view view = { .req = &req, .vars = &vars, .rand = &rand };
	struct prog_env e = { .view = &view, .mem = mem, .owner = w, .call = call };
	char text[sizeof(head)];
	enum prog_status st;

	memcpy(text, head, sizeof(head));
	http_msg_init(&req, hdr, HTTP_MAX_HDR, true);
	MUST(h1_parse_request(&h1, &req, text, sizeof(head) - 1) > 0);
	rand_seed(&rand, 1);
	w->wait = wait;
	prog_start(c, p);
	st = prog_run(c, &e);
	while (st == PROG_SUSPENDED)
		st = prog_resume(c, &e, &w->result);
	MUST(st == PROG_END);
	if (c->sp == 1 && c->stack[0].type == T_STR) // out of this frame's text
		c->stack[0].s = arena_str(mem, c->stack[0].s);
}

static bool
same(const struct prog_cursor *a, const struct prog_cursor *b)
{
	if (a->sp != b->sp || a->flag != b->flag)
		return false;
	if (a->sp == 0)
		return true;
	if (a->stack[0].type != b->stack[0].type)
		return false;
	if (a->stack[0].type == T_STR)
		return sl_str_eq(a->stack[0].s, b->stack[0].s);
	return true;
}

static uint32_t
split(struct sl_str text, struct sl_str *word, uint32_t max)
{
	uint32_t n = 0;

	while (text.p != NULL && n < max) {
		struct sl_str w = sl_str_cut(&text, ' ');
		if (w.len != 0)
			word[n++] = w;
	}
	return n;
}

static const struct prog *
compile(uint8_t kind, struct sl_str text, struct expr_comp *comp)
{
	struct prog_builder *b = prog_begin(comp);
	struct sl_str word[64];
	uint32_t n;

	MUST(b != NULL);
	switch (kind % 4) {
	case 0:
		return prog_add_expr(b, text, T_ANY) < 0 ? NULL : prog_end(b);
	case 1:
		return prog_add_fmt(b, text) < 0 ? NULL : prog_end(b);
	case 2:
		n = split(text, word, 64);
		return prog_add_cond(b, word, n, false) < 0 ? NULL : prog_end(b);
	default:
		n = split(text, word, 64);
		if (acl_add((struct acl_scope *)(uintptr_t)comp->acls, comp, SL_STR("x"), word, n) <
			0)
			return NULL;
		word[0] = SL_STR("!x");
		word[1] = SL_STR("or");
		word[2] = SL_STR("x");
		return prog_add_cond(b, word, 3, false) < 0 ? NULL : prog_end(b);
	}
}

static void
check_run(const struct prog *p, uint8_t kind)
{
	struct prog_cursor now, later;
	struct waiting a = { 0 }, b = { 0 };
	struct arena mem1, mem2;

	MUST(p->max_stack <= PROG_STACK);
	arena_init(&mem1, &src);
	arena_init(&mem2, &src);
	run(p, false, &mem1, &now, &a);
	run(p, true, &mem2, &later, &b);
	MUST(a.calls == b.calls && same(&now, &later));
	MUST(now.sp == (kind % 4 < 2));
	MUST(now.iter == 0);
	if (kind % 4 == 1)
		MUST(now.stack[0].type == T_STR);
	arena_reset(&mem1);
	arena_reset(&mem2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool opened;
	uint32_t errors = 0;
	const char *dup;

	if (!opened)
		MUST(expr_init(&dup) == 0);
	opened = true;
	/* "-f" would read whatever file the input names. */
	if (size < 1 || size > MAX_IN || memmem(data, size, "-f", 2) != NULL)
		return 0;
	struct arena mem;
	arena_init(&mem, &src);
	char *text = malloc(size - 1);
	MUST(text != NULL || size == 1);
	if (size > 1)
		memcpy(text, data + 1, size - 1);
	struct expr_diag diag = { .error = count_error, .ctx = &errors };
	struct expr_extern ext = { .lookup = lookup };
	struct expr_comp comp = { .mem = &mem,
		.ext = &ext,
		.diag = &diag,
		.acls = acl_scope_new(&mem),
		.point = EVAL_HTTP_REQ };
	const struct prog *p = compile(data[0], sl_str_make(text, size - 1), &comp);
	MUST(errors == (p == NULL));
	if (p != NULL)
		check_run(p, data[0]);
	free(text);
	arena_reset(&mem);
	return 0;
}
