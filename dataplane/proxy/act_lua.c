// SPDX-License-Identifier: BSD-3-Clause
/*
 * "http-request lua.NAME ARGS… [deadline T] [on-error P] [on-overload P]": a rule that calls a
 * function of a script.
 *
 * Runs on: the thread that loads a configuration. The call itself is an instruction of the rule's
 * program (OP_CALL, kind 'a'): call.c. "use-service lua.NAME" ends the rules, on the worker; the service
 * is called behind them: svc.c.
 * Follows: HAProxy: the function declares how many words it takes, and gets them as strings. The
 * words behind them are ours.
 */
#include "dataplane/proxy/call.h"
#include "dataplane/proxy/stream.h"

static int
refuse(const struct act_parse *p, struct sl_str word, const char *fmt, struct sl_str arg)
{
	char text[256];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	sl_buf_addc(&b, fmt);
	sl_buf_add(&b, arg);
	sl_buf_char(&b, '\'');
	p->comp->diag->error(p->comp->diag->ctx, word, text);
	return -EINVAL;
}

static int
say(const struct act_parse *p, struct sl_str word, const char *text)
{
	p->comp->diag->error(p->comp->diag->ctx, word, text);
	return -EINVAL;
}

static bool
is_option(struct sl_str w)
{
	return sl_str_eq(w, SL_STR("deadline")) || sl_str_eq(w, SL_STR("on-error")) ||
		sl_str_eq(w, SL_STR("on-overload"));
}

static int
parse_deadline(const struct act_parse *p, struct sl_str word, uint32_t *out)
{
	static const struct arg_spec spec = SL_ARGS(1, ARG_TIME);
	struct arg arg[EXPR_MAX_ARGS + 1];
	char text[128];
	struct sl_buf why;

	sl_buf_init(&why, text, sizeof(text));
	if (expr_args_convert(&spec, &word, 1, p->comp->mem, arg, &why) < 0 || arg[0].i <= 0 ||
		arg[0].i > INT32_MAX)
		return refuse(p, word, "'deadline' expects a time above zero, got '", word);
	*out = (uint32_t)arg[0].i;
	return 0;
}

/* "continue", "deny", "status N", and "wait" where `wait` is set; *i is the policy's word. */
static int
parse_policy(const struct act_parse *p, uint32_t *i, bool wait, uint8_t *policy, uint16_t *status)
{
	struct sl_str w = p->word[*i];
	uint64_t n;

	if (sl_str_eq(w, SL_STR("continue"))) {
		*policy = CALL_POLICY_CONT;
		return 0;
	}
	if (sl_str_eq(w, SL_STR("deny"))) {
		*policy = CALL_POLICY_DENY;
		return 0;
	}
	if (wait && sl_str_eq(w, SL_STR("wait"))) {
		*policy = CALL_POLICY_WAIT;
		return 0;
	}
	if (!sl_str_eq(w, SL_STR("status")))
		return refuse(p, w,
			wait ? "'on-overload' expects 'wait', 'continue', 'deny' or 'status <code>',"
			       " got '"
			     : "'on-error' expects 'continue', 'deny' or 'status <code>', got '",
			w);
	if (++*i == p->nword)
		return say(p, w, "'status' expects a code from 200 to 599");
	if (sl_str_u64(p->word[*i], &n) < 0 || n < 200 || n > 599)
		return refuse(p, p->word[*i], "'status' expects a code from 200 to 599, got '",
			p->word[*i]);
	*policy = CALL_POLICY_STATUS;
	*status = (uint16_t)n;
	return 0;
}

static int
parse_options(const struct act_parse *p, uint32_t i, struct call_rule *rule)
{
	for (; i < p->nword; i++) {
		struct sl_str kw = p->word[i];
		int rc;
		if (!is_option(kw))
			return refuse(p, kw,
				"expects 'deadline', 'on-error', 'on-overload', 'if' or 'unless'"
				" behind the function's arguments, got '",
				kw);
		if (++i == p->nword)
			return refuse(p, kw, "missing value behind '", kw);
		if (sl_str_eq(kw, SL_STR("deadline")))
			rc = parse_deadline(p, p->word[i], &rule->deadline_ms);
		else if (sl_str_eq(kw, SL_STR("on-error")))
			rc = parse_policy(p, &i, false, &rule->on_error, &rule->error_status);
		else
			rc = parse_policy(p, &i, true, &rule->on_overload, &rule->overload_status);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* How many words belong to the function; -EINVAL after a message. */
static int
count_args(const struct act_parse *p, struct sl_str name, int fn)
{
	const struct expr_extern *ext = p->comp->ext;
	uint32_t n = 0;
	char text[96];
	struct sl_buf b;

	if (ext->nargs == NULL) {
		while (n < p->nword && !is_option(p->word[n]))
			n++;
	} else {
		n = (uint32_t)ext->nargs(ext->ctx, fn);
	}
	if (n <= p->nword && n <= EXPR_MAX_ARGS)
		return (int)n;
	sl_buf_init(&b, text, sizeof(text));
	sl_buf_addc(&b, "expects ");
	sl_buf_u64(&b, n);
	sl_buf_addc(&b, n == 1 ? " argument" : " arguments");
	return say(p, name, text);
}

int
act_lua_parse(struct act_parse *p, struct sl_str name)
{
	const struct expr_comp *e = p->comp;
	uint32_t points = 0;
	int fn = -ENOENT;

	if (e->ext != NULL && e->ext->lookup != NULL)
		fn = e->ext->lookup(e->ext->ctx, 'a', name, &points);
	if (fn < 0)
		return refuse(p, name, "no script registered the action '", name);
	if (e->point == EVAL_HTTP_AFTER)
		return say(p, name, "scripts cannot wait in http-after-response rules");
	if ((points & EVAL_BIT(e->point)) == 0)
		return refuse(p, name, "not registered for this kind of rule: action '", name);
	int nargs = count_args(p, name, fn);
	if (nargs < 0)
		return nargs;
	struct prog_call *c = arena_zalloc(e->mem, sizeof(*c));
	struct call_rule *rule = arena_zalloc(e->mem, sizeof(*rule));
	if (c == NULL || rule == NULL)
		return say(p, name, "out of memory");
	*c = (struct prog_call){
		.fn = (uint16_t)fn, .kind = 'a', .nargs = (uint8_t)nargs, .priv = rule
	};
	for (int i = 0; i < nargs; i++) {
		c->args[i] = arena_str(e->mem, p->word[i]);
		if (c->args[i].p == NULL)
			return say(p, name, "out of memory");
	}
	if (parse_options(p, (uint32_t)nargs, rule) < 0)
		return -EINVAL;
	return prog_add_op(p->prog, OP_CALL, (uint32_t)fn, c) < 0 ? -EINVAL : 0;
}

/* ---- use-service ---- */

struct use_service {
	struct prog_call call;
	struct sl_str name; // "lua.NAME"
};

/* What policies of a service may be. */
static int
check_policies(const struct act_parse *p, const struct call_rule *r)
{
	if (r->on_error == CALL_POLICY_CONT || r->on_overload == CALL_POLICY_CONT)
		return say(p, p->word[0],
			"a service has nothing to continue with: 'on-error' expects 'deny' or"
			" 'status <code>', 'on-overload' also 'wait'");
	return 0;
}

static int
find_service(const struct act_parse *p, struct sl_str name, char kind)
{
	const struct expr_extern *ext = p->comp->ext;
	uint32_t points;
	int fn = -ENOENT;

	if (ext != NULL && ext->lookup != NULL)
		fn = ext->lookup(ext->ctx, kind, name, &points);
	if (fn >= 0)
		return fn;
	if (ext != NULL && ext->lookup != NULL &&
		ext->lookup(ext->ctx, kind == 's' ? 'S' : 's', name, &points) >= 0)
		return refuse(p, name,
			kind == 's' ? "registered as a service of mode tcp: '"
				    : "registered as a service of mode http: '",
			name);
	return refuse(p, name, "no script registered the service '", name);
}

static int
parse_service(struct act_parse *p, uintptr_t priv sl_unused)
{
	const struct expr_comp *e = p->comp;
	struct sl_str name = p->nword > 0 ? p->word[0] : SL_STR("use-service");
	struct call_rule *rule = arena_zalloc(e->mem, sizeof(*rule));
	struct use_service *u = arena_zalloc(e->mem, sizeof(*u));
	char kind = e->point == EVAL_TCP_CONTENT ? 'S' : 's';

	if (p->nword == 0)
		return say(p, name, "expects 'lua.<name>', a service that a script registered");
	if (!sl_str_starts(name, SL_STR("lua."), false))
		return refuse(p, name,
			"expects 'lua.<name>', a service that a script registered, got '", name);
	if (rule == NULL || u == NULL)
		return say(p, name, "out of memory");
	if (kind == 'S' && e->mode == EXPR_HTTP)
		return say(p, name,
			"services of mode tcp cannot be used in mode http: use 'http-request use-service'");
	int fn = find_service(p, name, kind);
	if (fn < 0)
		return fn;
	u->call = (struct prog_call){ .fn = (uint16_t)fn, .kind = (uint8_t)kind, .priv = rule };
	u->name = arena_str(e->mem, name);
	p->data = u;
	return parse_options(p, 1, rule) < 0 ? -EINVAL : check_policies(p, rule);
}

static enum act_ret
run_service(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	const struct use_service *u = a->data;

	(void)args;
	(void)n;
	s->side->svc = (struct st_svc){ .call = &u->call, .name = u->name, .left = CALL_NO_LEN };
	s->flags |= ST_F_SERVICE;
	return ACT_STOP;
}

SL_ACTIONS({ "use-service", EVAL_BIT(EVAL_HTTP_REQ) | EVAL_BIT(EVAL_TCP_CONTENT), parse_service,
	run_service,
	"lua.<name> [deadline <time>] [on-error ...] [on-overload ...]: a script answers" });
