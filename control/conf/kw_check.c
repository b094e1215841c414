// SPDX-License-Identifier: BSD-3-Clause
/*
 * "option httpchk" and "http-check send": the request of health checks, built once.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2; the old way of writing
 * headers into the version ("HTTP/1.1\r\nHost: x") still works. Answers of 2xx and 3xx are good;
 * "http-check expect" is not there yet.
 */
#include "control/conf/conf_priv.h"

#define CHECK_MAX 4096

static int
kw_httpchk(struct conf *c, const struct conf_args *a)
{
	struct httpchk *h = &c->px->p->httpchk;

	h->method = SL_STR("OPTIONS");
	h->uri = SL_STR("/");
	h->version = SL_STR("HTTP/1.0");
	if (a->n == 1) {
		h->uri = a->word[0];
	} else if (a->n > 1) {
		h->method = a->word[0];
		h->uri = a->word[1];
	}
	if (a->n > 2)
		h->version = a->word[2];
	c->px->p->options |= PX_O_HTTPCHK;
	return 0;
}

static int
add_hdr(struct conf *c, struct sl_str name, struct sl_str value)
{
	struct conf_hdr *h = arena_zalloc(&c->tmp, sizeof(*h)), **last = &c->px->chk_hdr;

	if (h == NULL)
		return conf_nomem(c);
	h->name = name;
	h->value = value;
	while (*last != NULL)
		last = &(*last)->next;
	*last = h;
	return 0;
}

static int
bad_send(struct conf *c, struct sl_str w, const char *why)
{
	conf_error(c, "'http-check send' : '%.*s' %s.", SL_STR_ARG(w), why);
	return -EINVAL;
}

static int
kw_check_send(struct conf *c, const struct conf_args *a)
{
	struct httpchk *h = &c->px->p->httpchk;

	c->px->chk_hdr = NULL;
	c->px->chk_body = SL_STR("");
	for (uint32_t i = 0; i < a->n; i += 2) {
		struct sl_str w = a->word[i], v;

		if (i + 1 >= a->n)
			return bad_send(c, w, "expects a value");
		v = a->word[i + 1];
		if (sl_str_chr(v, '%') >= 0)
			return bad_send(c, v, "not supported yet by sluice: a format in a check");
		if (sl_str_eq(w, SL_STR("meth"))) {
			h->method = v;
		} else if (sl_str_eq(w, SL_STR("uri"))) {
			h->uri = v;
		} else if (sl_str_eq(w, SL_STR("ver"))) {
			h->version = v;
		} else if (sl_str_eq(w, SL_STR("body"))) {
			c->px->chk_body = v;
		} else if (sl_str_eq(w, SL_STR("hdr"))) {
			if (i + 2 >= a->n)
				return bad_send(c, v, "expects a value behind the header's name");
			if (add_hdr(c, v, a->word[i + 2]) < 0)
				return -ENOMEM;
			i++;
		} else {
			return bad_send(c, w,
				"unknown: only 'meth', 'uri', 'ver', 'hdr' and 'body' are there");
		}
	}
	return 0;
}

static bool
has_hdr(const struct conf_px *px, struct sl_str name)
{
	for (const struct conf_hdr *h = px->chk_hdr; h != NULL; h = h->next) {
		if (sl_str_ieq(h->name, name))
			return true;
	}
	return false;
}

void
conf_check_build(struct conf *c, struct conf_px *px)
{
	struct httpchk *h = &px->p->httpchk;
	char text[CHECK_MAX];
	struct sl_buf b;

	if ((px->p->options & PX_O_HTTPCHK) == 0)
		return;
	sl_buf_init(&b, text, sizeof(text));
	sl_buf_printf(&b, "%.*s %.*s %.*s\r\n", SL_STR_ARG(h->method), SL_STR_ARG(h->uri),
		SL_STR_ARG(h->version));
	for (const struct conf_hdr *x = px->chk_hdr; x != NULL; x = x->next)
		sl_buf_printf(&b, "%.*s: %.*s\r\n", SL_STR_ARG(x->name), SL_STR_ARG(x->value));
	if (!has_hdr(px, SL_STR("connection")))
		sl_buf_addc(&b, "connection: close\r\n"); // a check has a connection of its own
	if (px->chk_body.len > 0)
		sl_buf_printf(&b, "content-length: %u\r\n", px->chk_body.len);
	sl_buf_addc(&b, "\r\n");
	sl_buf_add(&b, px->chk_body);
	if (b.full) {
		conf_error_at(c, &px->pos, "the request of health checks is longer than %u bytes.",
			CHECK_MAX);
		return;
	}
	h->request = conf_copy(c, sl_buf_str(&b));
}

// clang-format off
SL_CFG_PROXY(
	{ "option httpchk", CONF_ANY_PX, 0, 3, kw_httpchk, "[<method>] [<uri> [<version>]]",
		 "checks servers with an HTTP request", .flags = CONF_KW_BE },
	{ "http-check send", CONF_ANY_PX, 1, CONF_MANY, kw_check_send,
		"[meth <m>] [uri <u>] [ver <v>] [hdr <name> <value>]... [body <text>]",
		"the request of HTTP checks", .flags = CONF_KW_BE },
);
// clang-format on
