// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a record says: "log-format" and its kin, captures, "unique-id-format".
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2 and 8.2.6. A format is kept as
 * text where it is read, because proxies inherit it from defaults sections, and compiled for each
 * frontend when its mode and its captures are known.
 */
#include "control/conf/conf_priv.h"
#include "dataplane/proxy/logfmt.h"

/* As HAProxy: a format makes sense on the side of the client only. */
static bool
is_ignored(struct conf *c, const char *kw)
{
	if (c->section != CONF_BACKEND)
		return false;
	conf_warning(c, "backend '%.*s' : '%s' directive is ignored in backends.",
		SL_STR_ARG(c->section_ident), kw);
	return true;
}

/* The last line wins; in a defaults section that is worth a warning. */
static void
set_format(struct conf *c, const char *kw, struct sl_str text, uint32_t option)
{
	struct proxy *p = c->px->p;
	const char *was = (p->options & PX_O_HTTPLOG) != 0 ? "option httplog"
		: (p->options & PX_O_TCPLOG) != 0          ? "option tcplog"
		: c->px->log_fmt.text.p != NULL            ? "log-format"
							   : NULL;

	if (was != NULL && c->section == CONF_DEFAULTS)
		conf_warning(c, "'%s' overrides previous '%s' in 'defaults' section.", kw, was);
	p->options = (p->options & ~(PX_O_HTTPLOG | PX_O_TCPLOG)) | option;
	c->px->log_fmt = (struct conf_fmt){ text, c->pos };
}

static int
kw_httplog(struct conf *c, const struct conf_args *a)
{
	bool clf = a->n > 0 && sl_str_eq(a->word[0], SL_STR("clf"));

	if (a->n > 0 && !clf) {
		conf_error(c, "keyword 'httplog' only supports option 'clf', got '%.*s'.",
			SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	if (is_ignored(c, "option httplog"))
		return 0;
	set_format(
		c, "option httplog", logfmt_builtin(clf ? LOGFMT_CLF : LOGFMT_HTTP), PX_O_HTTPLOG);
	c->px->httplog_pos = c->pos;
	return 0;
}

static int
kw_tcplog(struct conf *c, const struct conf_args *a sl_unused)
{
	if (!is_ignored(c, "option tcplog"))
		set_format(c, "option tcplog", logfmt_builtin(LOGFMT_TCP), PX_O_TCPLOG);
	return 0;
}

static int
kw_log_format(struct conf *c, const struct conf_args *a)
{
	if (!is_ignored(c, a->kw))
		set_format(c, a->kw, a->word[0], 0);
	return 0;
}

/* priv: where in the draft. */
static int
kw_other_format(struct conf *c, const struct conf_args *a)
{
	if (is_ignored(c, a->kw))
		return 0;
	*(struct conf_fmt *)((char *)c->px + a->priv) = (struct conf_fmt){ a->word[0], c->pos };
	return 0;
}

static int
kw_unique_id_header(struct conf *c, const struct conf_args *a)
{
	if (!is_ignored(c, a->kw))
		c->px->p->unique_id_hdr = conf_copy(c, a->word[0]);
	return 0;
}

static int
kw_log_tag(struct conf *c, const struct conf_args *a)
{
	if (c->section == CONF_GLOBAL)
		c->m->global.log_tag = conf_copy(c, a->word[0]);
	else
		c->px->p->log_tag = conf_copy(c, a->word[0]);
	return 0;
}

/* ---- captures ---- */

/* The number of the new one, or -EINVAL. */
static int
add_capture(struct conf *c, bool request, struct sl_str name, struct sl_str len)
{
	struct px_capture **list = request ? &c->px->req_cap : &c->px->res_cap;
	uint32_t *n = request ? &c->px->p->nreq_cap : &c->px->p->nres_cap;
	uint64_t max;

	if (conf_number(c, "capture len", len, 1, LOGREC_VALUES, &max) < 0)
		return -EINVAL;
	if (*list == NULL)
		*list = arena_zalloc(&c->mem, LOG_MAX_VALUES * sizeof(**list));
	if (*list == NULL)
		return conf_nomem(c);
	if (c->px->p->nreq_cap + c->px->p->nres_cap + LOGREC_CAPTURES >= LOG_MAX_VALUES) {
		conf_error(c, "not supported yet by sluice: more than %u captures and expressions.",
			LOG_MAX_VALUES - LOGREC_CAPTURES);
		return -EINVAL;
	}
	(*list)[*n] = (struct px_capture){ .name = conf_copy(c, name), .len = (uint32_t)max };
	return (int)(*n)++;
}

/* "capture request header <name> len <n>", "declare capture request len <n>" */
static int
kw_capture(struct conf *c, const struct conf_args *a)
{
	uint32_t named = (uint32_t)(a->priv >> 1);

	if (!sl_str_eq(a->word[named], SL_STR("len"))) {
		conf_error(c, "'%s' expects %slen <length>", a->kw, named != 0 ? "<name> " : "");
		return -EINVAL;
	}
	return sl_min(add_capture(c, (a->priv & 1) != 0, named != 0 ? a->word[0] : SL_STR(""),
			      a->word[named + 1]),
		0);
}

int
conf_capture_rule(struct conf *c, const struct sl_str *word, uint32_t n, struct sl_str *out)
{
	uint32_t end = cond_find(word, n, 1);
	char number[16];
	struct sl_buf b;
	int id;

	for (uint32_t i = 0; i < n; i++)
		out[i] = word[i];
	if (end < 4 || !sl_str_eq(word[0], SL_STR("capture")) ||
		!sl_str_eq(word[end - 2], SL_STR("len")))
		return 0;
	if (c->section == CONF_BACKEND) {
		conf_error(c,
			"'http-request capture … len' is for frontends: in a backend use "
			"'id' and 'declare capture' in the frontend.");
		return -EINVAL;
	}
	id = add_capture(c, true, SL_STR(""), word[end - 1]);
	if (id < 0)
		return id;
	sl_buf_init(&b, number, sizeof(number));
	sl_buf_u64(&b, (uint64_t)id);
	out[end - 2] = SL_STR("id");
	out[end - 1] = arena_str(&c->tmp, sl_buf_str(&b));
	return 0;
}

/* ---- compiling ---- */

static const struct log_format *
compile(struct conf *c, struct conf_px *px, const struct conf_fmt *f, const char *what,
	bool on_worker)
{
	// a unique-id is made when the request is complete
	struct expr_comp comp = conf_comp(
		c, px, &c->mem, on_worker && px->p->mode == PX_HTTP ? EVAL_HTTP_REQ : EVAL_LOG);
	struct src_pos was = c->pos;
	const struct log_format *out;
	char text[64];
	struct sl_buf b;

	if (f->text.p == NULL)
		return NULL;
	sl_buf_init(&b, text, sizeof(text));
	sl_buf_printf(&b, "failed to parse %s", what);
	c->pos = f->pos;
	c->what = text;
	out = logfmt_compile(&comp, f->text, px->p->mode, px->p->nlog_values, on_worker);
	c->what = "";
	c->pos = was;
	if (out != NULL)
		px->p->nlog_values += out->nvalues;
	return out;
}

static bool
has_var(const struct log_format *f, enum log_var v)
{
	for (uint32_t i = 0; f != NULL && i < f->n; i++) {
		if (f->node[i].var == v)
			return true;
	}
	return false;
}

static bool
tells_source(const struct proxy *p)
{
	const struct log_format *all[] = { p->log_fmt, p->log_sd };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(all); i++) {
		if (has_var(all[i], LOGV_BE_IP) || has_var(all[i], LOGV_BE_PORT))
			return true;
	}
	return false;
}

void
conf_log_build(struct conf *c, struct conf_px *px)
{
	struct proxy *p = px->p;

	if ((p->caps & PX_CAP_FE) == 0)
		return;
	if ((p->options & PX_O_TCPLOG) != 0) // also what "option httplog" falls back to
		px->log_fmt.text = logfmt_builtin(LOGFMT_TCP);
	p->req_cap = px->req_cap;
	p->res_cap = px->res_cap;
	p->nlog_values = LOGREC_CAPTURES + p->nreq_cap + p->nres_cap;
	p->unique_id = compile(c, px, &px->unique_id, "unique-id", true);
	p->log_fmt = compile(c, px, &px->log_fmt, "log-format", false);
	p->log_sd = compile(c, px, &px->log_sd, "log-format-sd", false);
	p->log_err = compile(c, px, &px->log_err, "error-log-format", false);
	p->log_bc = tells_source(p);
	// nothing but the place of a unique-id that is not made
	if (p->nlog_values == LOGREC_CAPTURES && p->unique_id == NULL)
		p->nlog_values = 0;
}

#define AT(member)              offsetof(struct conf_px, member)
#define CAPTURE(request, named) ((request) | (uintptr_t)(named) << 1)

// clang-format off
SL_CFG_GLOBAL(
	{ "log-tag", CONF_GLOBAL, 1, 1, kw_log_tag, "<text>", "name of the program in records" },
);
SL_CFG_PROXY(
	{ "option httplog", CONF_ANY_PX, 0, 1, kw_httplog, "[clf]",
		"records with the request's details" },
	{ "option tcplog", CONF_ANY_PX, 0, 0, kw_tcplog, "",
		"records with the connection's details" },
	{ "log-format", CONF_ANY_PX, 1, 1, kw_log_format, "<format>",
		"what records say: text, %variables, %[expressions]" },
	{ "log-format-sd", CONF_ANY_PX, 1, 1, kw_other_format, "<format>",
		"structured data of records to targets with format rfc5424", AT(log_sd) },
	{ "error-log-format", CONF_ANY_PX, 1, 1, kw_other_format, "<format>",
		"what records of connections say that brought no request", AT(log_err) },
	{ "log-tag", CONF_ANY_PX, 1, 1, kw_log_tag, "<text>", "name of the program in records" },
	{ "unique-id-format", CONF_ANY_PX, 1, 1, kw_other_format, "<format>",
		"a name for each request", AT(unique_id) },
	{ "unique-id-header", CONF_ANY_PX, 1, 1, kw_unique_id_header, "<name>",
		"the header in which servers get the unique-id" },
	{ "capture request header", CONF_PROXY, 3, 3, kw_capture, "<name> len <length>",
		"keeps the last field of that name for records", CAPTURE(1, 1), CONF_KW_FE },
	{ "capture response header", CONF_PROXY, 3, 3, kw_capture, "<name> len <length>",
		"keeps the last field of that name for records", CAPTURE(0, 1), CONF_KW_FE },
	{ "declare capture request", CONF_PROXY, 2, 2, kw_capture, "len <length>",
		"a place that rules may fill", CAPTURE(1, 0), CONF_KW_FE },
	{ "declare capture response", CONF_PROXY, 2, 2, kw_capture, "len <length>",
		"a place that rules may fill", CAPTURE(0, 0), CONF_KW_FE },
);
// clang-format on
