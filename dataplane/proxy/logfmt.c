// SPDX-License-Identifier: BSD-3-Clause
/*
 * A record by a format: variables, values of expressions, captures; with their flags.
 *
 * Runs on: main for lines of the log, workers for a unique-id. No printf(), no time zones: dates come
 * from the caller. Follows: HAProxy 2.6, whose lines tests compare byte by byte: bytes that could
 * break a line or a parser of it become #XX, and +E puts a backslash before '"', '\' and ']'.
 */
#include "dataplane/proxy/logfmt.h"

const struct proxy *
logfmt_proxy(const struct model *m, const struct logrec *r, uint16_t i)
{
	if (m == NULL || r->generation != m->generation || i >= m->nproxies)
		return NULL;
	return m->proxies[i];
}

struct sl_str
logrec_value(const struct logrec *r, uint32_t index)
{
	const char *p = r->text + r->text_len, *end = p + r->values_len;
	uint16_t len = LOGREC_NONE;

	for (uint32_t i = 0; p + sizeof(len) <= end; i++) {
		memcpy(&len, p, sizeof(len));
		p += sizeof(len);
		if (i == index)
			return len == LOGREC_NONE ? SL_STR_NULL : sl_str_make(p, len);
		p += len == LOGREC_NONE ? 0 : len;
	}
	return SL_STR_NULL;
}

/* ---- texts ---- */

static const char hex[] = "0123456789ABCDEF";

static void
put_hex(struct sl_buf *b, uint64_t n, uint32_t digits)
{
	while (digits < 16 && n >> (4 * digits) != 0)
		digits++;
	while (digits-- > 0)
		sl_buf_char(b, hex[n >> (4 * digits) & 15]);
}

static bool
wants_backslash(char c)
{
	return c == '"' || c == '\\' || c == ']';
}

/* As it is; nothing is '-' if the flag says so. */
static void
put_text(struct sl_buf *b, struct sl_str s, uint8_t flags)
{
	if ((flags & LOGF_QUOTE) != 0)
		sl_buf_char(b, '"');
	else if (s.len == 0 && (flags & LOGF_MANDATORY) != 0)
		sl_buf_char(b, '-');
	if ((flags & LOGF_ESCAPE) == 0) {
		sl_buf_add(b, s);
	} else {
		for (uint32_t i = 0; i < s.len; i++) {
			if (wants_backslash(s.p[i]))
				sl_buf_char(b, '\\');
			sl_buf_char(b, s.p[i]);
		}
	}
	if ((flags & LOGF_QUOTE) != 0)
		sl_buf_char(b, '"');
}

/* also: further bytes that become #XX. */
static void
put_encoded(struct sl_buf *b, struct sl_str s, uint8_t flags, const char *also)
{
	for (uint32_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 32 || c >= 127 || c == '"' || c == '#' || strchr(also, c) != NULL) {
			sl_buf_char(b, '#');
			sl_buf_char(b, hex[c >> 4]);
			sl_buf_char(b, hex[c & 15]);
			continue;
		}
		if ((flags & LOGF_ESCAPE) != 0 && wants_backslash((char)c))
			sl_buf_char(b, '\\');
		sl_buf_char(b, (char)c);
	}
}

static void
put_quoted(struct sl_buf *b, struct sl_str s, uint8_t flags, const char *also)
{
	if ((flags & LOGF_QUOTE) != 0)
		sl_buf_char(b, '"');
	put_encoded(b, s, flags, also);
	if ((flags & LOGF_QUOTE) != 0)
		sl_buf_char(b, '"');
}

static void
put_ip(struct sl_buf *b, const struct ip_addr *a, uint8_t flags)
{
	char mem[64];
	struct sl_buf t;

	if (a->family == ADDR_NONE) {
		put_text(b, SL_STR_NULL, flags);
		return;
	}
	if ((flags & LOGF_HEX) != 0 && a->family != ADDR_UNIX) {
		for (uint32_t i = 0; i < (a->family == ADDR_V4 ? 4u : 16u); i++)
			put_hex(b, a->b[i], 2);
		return;
	}
	sl_buf_init(&t, mem, sizeof(mem));
	if (a->family == ADDR_UNIX)
		sl_buf_addc(&t, "unix");
	else
		addr_format(&t, a);
	put_text(b, sl_buf_str(&t), flags);
}

static void
put_port(struct sl_buf *b, const struct ip_port *a, uint8_t flags)
{
	if (a->ip.family == ADDR_NONE)
		put_text(b, SL_STR_NULL, flags);
	else if ((flags & LOGF_HEX) != 0)
		put_hex(b, a->port, 4);
	else
		sl_buf_u64(b, a->port);
}

/* ---- parts of the request line ---- */

#define BADREQ SL_STR("<BADREQ>")

static struct sl_str
request_line(const struct logrec *r)
{
	return r->text_len > 0 ? sl_str_make(r->text, r->text_len) : BADREQ;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Word i of the line: 0 the method, 1 the target, 2 the version. */
static struct sl_str
word(const struct logrec *r, uint32_t i)
{
	struct sl_str s = request_line(r);
	uint32_t at = 0, end;

	for (;; i--) {
		for (end = at; end < s.len && !is_blank(s.p[end]);)
			end++;
		if (end == at)
			return BADREQ;
		if (i == 0)
			return sl_str_make(s.p + at, end - at);
		for (at = end; at < s.len && is_blank(s.p[at]);)
			at++;
	}
}

static struct sl_str
before_query(struct sl_str uri)
{
	int at = sl_str_chr(uri, '?');

	return at >= 0 ? sl_str_make(uri.p, (size_t)at) : uri;
}

static struct sl_str
query(const struct logrec *r)
{
	struct sl_str uri = word(r, 1);
	int at = sl_str_chr(uri, '?');

	if (uri.p[0] == '<')
		return uri;
	return at >= 0 ? sl_str_make(uri.p + at, uri.len - (uint32_t)at) : SL_STR("");
}

/* Behind "scheme://host", if that is there. */
static struct sl_str
path_only(struct sl_str uri)
{
	int at = sl_str_find(uri, SL_STR("://"), false);
	uint32_t i;

	uri = before_query(uri);
	if (at <= 0 || uri.p[0] == '/' || (uint32_t)at + 3 > uri.len)
		return uri;
	for (i = (uint32_t)at + 3; i < uri.len && uri.p[i] != '/';)
		i++;
	return sl_str_make(uri.p + i, uri.len - i);
}

/* ---- captures ---- */

#define CAPTURE_ALSO "{|}"

/* False: there are none, and the node prints nothing. */
static bool
put_captures(struct sl_buf *b, const struct logrec *r, uint32_t first, uint32_t n, uint8_t flags,
	bool clf)
{
	if (n == 0 || r->no_captures)
		return false;
	if (!clf && (flags & LOGF_QUOTE) != 0)
		sl_buf_char(b, '"');
	if (!clf)
		sl_buf_char(b, '{');
	for (uint32_t i = 0; i < n; i++) {
		struct sl_str v = logrec_value(r, first + i);

		if (i > 0)
			sl_buf_char(b, clf ? ' ' : '|');
		if (!clf)
			put_encoded(b, v, flags, CAPTURE_ALSO);
		else if (v.p != NULL)
			put_quoted(b, v, flags, CAPTURE_ALSO);
		else
			put_text(b, SL_STR_NULL, flags);
	}
	if (!clf)
		sl_buf_char(b, '}');
	if (!clf && (flags & LOGF_QUOTE) != 0)
		sl_buf_char(b, '"');
	return true;
}

/* ---- variables ---- */

struct print {
	struct sl_buf *b;
	const struct logrec *r;
	const struct logfmt_env *e;
	const struct proxy *fe, *be;
};

static struct sl_str
fe_name(const struct print *p)
{
	return p->fe != NULL ? p->fe->name : SL_STR("<unknown>");
}

static struct sl_str
server_name(const struct print *p)
{
	if (p->be != NULL && p->r->srv < p->be->nservers)
		return p->be->servers[p->r->srv].name;
	if (p->r->srv == LOGREC_SERVICE)
		return sl_str_c(p->r->svc);
	return SL_STR("<NOSRV>");
}

static void
put_count(const struct print *p, uint64_t n, uint8_t flags)
{
	if ((flags & LOGF_HEX) != 0)
		put_hex(p->b, n, 4);
	else
		sl_buf_u64(p->b, n);
}

/* What is not known yet with "option logasap" is at least that much. */
static void
put_growing(const struct print *p, int64_t n)
{
	if (p->r->asap)
		sl_buf_char(p->b, '+');
	sl_buf_i64(p->b, n);
}

static void
put_date(const struct print *p, uint64_t us, enum logfmt_date kind)
{
	if (p->e->date != NULL)
		p->e->date(p->b, us, (int)kind);
}

static void
put_millis(const struct print *p, uint8_t flags)
{
	uint32_t ms = (uint32_t)(p->r->start_wall_us / 1000 % 1000);

	if ((flags & LOGF_HEX) != 0) {
		put_hex(p->b, ms, 2);
		return;
	}
	sl_buf_char(p->b, (char)('0' + ms / 100));
	sl_buf_char(p->b, (char)('0' + ms / 10 % 10));
	sl_buf_char(p->b, (char)('0' + ms % 10));
}

static void
put_name_t(const struct print *p, uint8_t flags)
{
	char mem[256];
	struct sl_buf t;

	sl_buf_init(&t, mem, sizeof(mem));
	sl_buf_add(&t, fe_name(p));
	if (p->r->tls)
		sl_buf_char(&t, '~');
	put_text(p->b, sl_buf_str(&t), flags);
}

/* False: nothing was printed, the blanks around it are one. */
static bool
put_var(const struct print *p, const struct log_node *n)
{
	const struct logrec *r = p->r;
	struct sl_buf *b = p->b;
	uint8_t fl = n->flags;

	switch ((enum log_var)n->var) {
	case LOGV_BYTES:
		put_growing(p, (int64_t)r->bytes_out);
		break;
	case LOGV_REQ_COOKIE:
	case LOGV_RES_COOKIE:
	case LOGV_TLS_CIPHER:
	case LOGV_TLS_VERSION:
		put_text(b, SL_STR_NULL, fl);
		break;
	case LOGV_HOSTNAME:
		put_text(b, p->e->hostname, fl);
		break;
	case LOGV_METHOD:
		put_quoted(b, word(r, 0), fl, "");
		break;
	case LOGV_PATH:
		put_quoted(b, before_query(word(r, 1)), fl, "");
		break;
	case LOGV_PATH_ONLY:
		put_quoted(b, path_only(word(r, 1)), fl, "");
		break;
	case LOGV_QUERY:
		put_quoted(b, query(r), fl, "");
		break;
	case LOGV_URI:
		put_quoted(b, word(r, 1), fl, "");
		break;
	case LOGV_VERSION:
		put_quoted(b, word(r, 2), fl, "");
		break;
	case LOGV_REQUEST:
		put_quoted(b, request_line(r), fl, "");
		break;
	case LOGV_UNIQUE_ID:
		put_text(b, logrec_value(r, LOGREC_UNIQUE_ID), fl);
		break;
	case LOGV_STATUS:
		sl_buf_i64(b, r->status != 0 ? r->status : r->mode == PX_HTTP ? -1 : 0);
		break;
	case LOGV_TA:
	case LOGV_TU:
		put_growing(p, r->ta);
		break;
	case LOGV_TC:
		sl_buf_i64(b, r->tc);
		break;
	case LOGV_TD:
		sl_buf_i64(b, r->td);
		break;
	case LOGV_TH:
		sl_buf_i64(b, r->th);
		break;
	case LOGV_TI:
		sl_buf_i64(b, r->ti);
		break;
	case LOGV_TQ:
		sl_buf_i64(b, r->tr < 0 ? -1 : (int64_t)r->th + r->ti + r->tr);
		break;
	case LOGV_TR:
		sl_buf_i64(b, r->tr);
		break;
	case LOGV_TRESP:
		sl_buf_i64(b, r->tresp);
		break;
	case LOGV_TT:
		put_growing(p, r->tt);
		break;
	case LOGV_TW:
		sl_buf_i64(b, r->tw);
		break;
	case LOGV_TIMESTAMP:
		put_count(p, r->start_wall_us / 1000000, fl);
		break;
	case LOGV_MILLIS:
		put_millis(p, fl);
		break;
	case LOGV_DATE_MS:
		put_date(p, r->start_wall_us, LOGFMT_MS);
		break;
	case LOGV_DATE_GMT:
		put_date(p, r->start_wall_us, LOGFMT_GMT);
		break;
	case LOGV_DATE_LOCAL:
		put_date(p, r->start_wall_us, LOGFMT_LOCAL);
		break;
	case LOGV_REQ_DATE:
		put_date(p, r->accept_wall_us, LOGFMT_MS);
		break;
	case LOGV_REQ_DATE_GMT:
		put_date(p, r->accept_wall_us, LOGFMT_GMT);
		break;
	case LOGV_REQ_DATE_LOCAL:
		put_date(p, r->accept_wall_us, LOGFMT_LOCAL);
		break;
	case LOGV_UPLOADED:
		sl_buf_u64(b, r->bytes_in);
		break;
	case LOGV_ACTCONN:
		sl_buf_u64(b, r->actconn);
		break;
	case LOGV_FECONN:
		sl_buf_u64(b, r->feconn);
		break;
	case LOGV_BECONN:
		sl_buf_u64(b, r->beconn);
		break;
	case LOGV_SRVCONN:
		sl_buf_u64(b, r->srvconn);
		break;
	case LOGV_SRV_QUEUE:
		sl_buf_u64(b, r->srv_queue);
		break;
	case LOGV_BE_QUEUE:
		sl_buf_u64(b, r->be_queue);
		break;
	case LOGV_RETRIES:
		if (r->redispatched)
			sl_buf_char(b, '+');
		sl_buf_u64(b, r->retries);
		break;
	case LOGV_REQ_COUNT:
		put_count(p, r->unique, fl);
		break;
	case LOGV_PID:
		put_count(p, (uint64_t)p->e->pid, fl);
		break;
	case LOGV_LOG_COUNT:
		sl_buf_u64(b, p->e->log_count);
		break;
	case LOGV_BACKEND:
		put_text(b, p->be != NULL ? p->be->name : fe_name(p), fl);
		break;
	case LOGV_FRONTEND:
		put_text(b, fe_name(p), fl);
		break;
	case LOGV_FRONTEND_T:
		put_name_t(p, fl);
		break;
	case LOGV_SERVER:
		put_text(b, server_name(p), fl);
		break;
	case LOGV_CLIENT_IP:
		put_ip(b, &r->src.ip, fl);
		break;
	case LOGV_CLIENT_PORT:
		put_port(b, &r->src, fl);
		break;
	case LOGV_FE_IP:
		put_ip(b, &r->dst.ip, fl);
		break;
	case LOGV_FE_PORT:
		put_port(b, &r->dst, fl);
		break;
	case LOGV_BE_IP:
		put_ip(b, &r->bc_src.ip, fl);
		break;
	case LOGV_BE_PORT:
		put_port(b, &r->bc_src, fl);
		break;
	case LOGV_SRV_IP:
		put_ip(b, &r->bc_dst.ip, fl);
		break;
	case LOGV_SRV_PORT:
		put_port(b, &r->bc_dst, fl);
		break;
	case LOGV_TERM:
		sl_buf_add(b, sl_str_make(r->term, 2));
		break;
	case LOGV_TERM_COOKIE:
		sl_buf_add(b, sl_str_make(r->term, 4));
		break;
	case LOGV_REQ_HDRS:
	case LOGV_REQ_HDRS_CLF:
		return put_captures(b, r, LOGREC_CAPTURES, p->fe != NULL ? p->fe->nreq_cap : 0, fl,
			n->var == LOGV_REQ_HDRS_CLF);
	case LOGV_RES_HDRS:
	case LOGV_RES_HDRS_CLF:
		return put_captures(b, r, LOGREC_CAPTURES + (p->fe != NULL ? p->fe->nreq_cap : 0),
			p->fe != NULL ? p->fe->nres_cap : 0, fl, n->var == LOGV_RES_HDRS_CLF);
	case LOGV_TEXT:
	case LOGV_BLANK:
	case LOGV_EXPR:
	case LOGV_NR:
	default:
		break;
	}
	return true;
}

void
logfmt_print(struct sl_buf *b, const struct log_format *f, const struct logrec *r,
	const struct logfmt_env *e)
{
	struct print p = { .b = b,
		.r = r,
		.e = e,
		.fe = logfmt_proxy(e->m, r, r->fe),
		.be = logfmt_proxy(e->m, r, r->be) };
	bool blank = true; // none at the beginning

	for (uint32_t i = 0; i < f->n; i++) {
		const struct log_node *n = &f->node[i];

		switch (n->var) {
		case LOGV_BLANK:
			if (!blank)
				sl_buf_char(b, ' ');
			blank = true;
			break;
		case LOGV_TEXT:
			sl_buf_add(b, n->text);
			blank = false;
			break;
		case LOGV_EXPR:
			put_text(b, logrec_value(r, n->index), n->flags);
			blank = false;
			break;
		default:
			if (put_var(&p, n))
				blank = false;
			break;
		}
	}
}
