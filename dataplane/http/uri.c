// SPDX-License-Identifier: BSD-3-Clause
/*
 * Request-targets: their four forms, hosts, and edits of path and query.
 *
 * Runs on: any thread; pure. Follows RFC 9112 3.2 and RFC 3986. Refused though RFC 3986 allows
 * them: user information in an authority (RFC 9110 4.2.4) and an absolute form with a query but no
 * path, whose path would not be in the text.
 */
#include "dataplane/http/h1.h"
#include "dataplane/http/token.h"

#include "dataplane/base/hot.h"

/* Port digits to the end of s. */
static bool
is_port(struct sl_str s)
{
	return s.len <= 5 && scan_bytes(s.p, s.p + s.len, HTTP_C_DIGIT) == s.p + s.len;
}

/* Splits a valid host text at the colon of its port; port is empty without one. */
static struct sl_str
cut_port(struct sl_str s, struct sl_str *port)
{
	uint32_t i = s.len;

	*port = sl_str_make(s.p + s.len, 0);
	while (i > 0 && http_is(s.p[i - 1], HTTP_C_DIGIT))
		i--;
	if (i == 0 || s.p[i - 1] != ':')
		return s;
	*port = sl_str_make(s.p + i, s.len - i);
	return sl_str_make(s.p, i - 1);
}

/* The length of "[v6]" at the start of s, or 0. */
static uint32_t
literal_len(struct sl_str s)
{
	uint32_t i = 1;

	while (i < s.len && (http_is(s.p[i], HTTP_C_HEX) || s.p[i] == ':' || s.p[i] == '.'))
		i++;
	return i > 2 && i < s.len && s.p[i] == ']' ? i + 1 : 0;
}

bool
uri_is_host(struct sl_str s)
{
	uint32_t name;

	if (none_of(s, bad_host)) // nearly always: a name without a port
		return true;
	if (s.p[0] == '[')
		name = literal_len(s);
	else
		name = (uint32_t)(scan_bytes(s.p, s.p + s.len, HTTP_C_HOST) - s.p);
	if (name == 0 || name == s.len)
		return name > 0;
	return s.p[name] == ':' && is_port(sl_str_make(s.p + name + 1, s.len - name - 1));
}

bool
uri_same_host(struct sl_str a, struct sl_str b, struct sl_str scheme)
{
	struct sl_str usual = sl_str_ieq(scheme, SL_STR("https")) ? SL_STR("443") : SL_STR("80");
	struct sl_str port_a, port_b;

	a = cut_port(a, &port_a);
	b = cut_port(b, &port_b);
	if (port_a.len == 0)
		port_a = usual;
	if (port_b.len == 0)
		port_b = usual;
	return sl_str_ieq(a, b) && sl_str_eq(port_a, port_b);
}

/* RFC 9112 3.2.3: "host:port", the port is required. */
static int
parse_authority_form(struct http_msg *m, struct sl_str t)
{
	struct sl_str port;

	cut_port(t, &port);
	if (!uri_is_host(t) || port.len == 0)
		return -EINVAL;
	m->authority = m->uri;
	m->path = (struct http_slice){ m->uri.off, 0 };
	return 0;
}

static int
parse_absolute_form(struct http_msg *m, struct sl_str t)
{
	const char *end = t.p + t.len, *s = t.p, *auth;
	uint32_t off = m->uri.off;

	if (!http_is(*s, HTTP_C_ALPHA))
		return -EINVAL;
	while (s < end &&
		(http_is(*s, HTTP_C_ALPHA | HTTP_C_DIGIT) || *s == '+' || *s == '-' || *s == '.'))
		s++;
	if (end - s < 3 || memcmp(s, "://", 3) != 0)
		return -EINVAL;
	m->scheme = (struct http_slice){ off, (uint32_t)(s - t.p) };
	auth = s + 3;
	for (s = auth; s < end && *s != '/' && *s != '?'; s++)
		;
	if (s == auth || !uri_is_host(sl_str_make(auth, (size_t)(s - auth))))
		return -EINVAL;
	m->authority = (struct http_slice){ off + (uint32_t)(auth - t.p), (uint32_t)(s - auth) };
	if (s == end) // no path means "/" (RFC 9110 4.2.3): the one before the authority serves
		m->path = (struct http_slice){ m->authority.off - 1, 1 };
	else if (*s == '/')
		m->path = (struct http_slice){ off + (uint32_t)(s - t.p), (uint32_t)(end - s) };
	else
		return -EINVAL;
	return 0;
}

int
uri_parse_target(struct http_msg *m)
{
	struct sl_str t = http_str(m, m->uri);

	m->scheme = m->authority = (struct http_slice){ m->uri.off, 0 };
	m->path = m->uri;
	if (t.len == 0)
		return -EINVAL;
	if (m->meth == HTTP_CONNECT)
		return parse_authority_form(m, t);
	if (t.p[0] == '/')
		return 0;
	if (t.len == 1 && t.p[0] == '*')
		return m->meth == HTTP_OPTIONS ? 0 : -EINVAL; // RFC 9112 3.2.4
	return parse_absolute_form(m, t);
}

struct sl_str
http_path_only(const struct http_msg *m)
{
	struct sl_str path = http_str(m, m->path);
	int q = sl_str_chr(path, '?');

	return q < 0 ? path : sl_str_make(path.p, (size_t)q);
}

struct sl_str
http_query(const struct http_msg *m)
{
	struct sl_str path = http_str(m, m->path);
	int q = sl_str_chr(path, '?');

	if (q < 0)
		return SL_STR_NULL;
	return sl_str_make(path.p + q + 1, path.len - (uint32_t)q - 1);
}

static bool
is_target(struct sl_str s)
{
	return s.len == 0 || scan_target(s.p, s.p + s.len, s.p) == s.p + s.len;
}

static char *
put(char *to, struct sl_str s)
{
	if (s.len > 0)
		memcpy(to, s.p, s.len);
	return to + s.len;
}

/* Puts a new target behind the owned text and reads it; on failure the message is as before. */
static int
replace_uri(struct http_msg *m, const struct sl_str *part, uint32_t nr)
{
	struct http_msg old = *m;
	uint32_t len = 0;
	char *to;

	for (uint32_t i = 0; i < nr; i++)
		len += part[i].len;
	to = msg_room(m, len);
	if (to == NULL)
		return -ENOSPC;
	m->uri = (struct http_slice){ (uint32_t)(to - m->base), len };
	for (uint32_t i = 0; i < nr; i++)
		to = put(to, part[i]);
	if (uri_parse_target(m) < 0) {
		*m = old;
		return -EINVAL;
	}
	if (m->authority.len == 0) // the host is still the field's, or the old target's
		m->authority = old.authority;
	m->flags |= HTTP_F_EDITED;
	return 0;
}

int
http_set_uri(struct http_msg *m, struct sl_str uri)
{
	struct http_msg old = *m;
	int rc;

	if (!is_target(uri))
		return -EINVAL;
	rc = replace_uri(m, &uri, 1);
	if (rc < 0 || m->scheme.len == 0)
		return rc;
	// Host must not contradict an absolute target (HAProxy updates it too)
	rc = http_hdr_set(m, SL_STR("Host"), http_str(m, m->authority));
	if (rc < 0)
		*m = old; // http_hdr_set() changes no field when it fails
	return rc;
}

/* What stands before the path in the target: nothing, or scheme and authority. */
static struct sl_str
before_path(const struct http_msg *m)
{
	if (m->scheme.len == 0)
		return sl_str_make(m->base + m->uri.off, 0);
	return sl_str_make(m->base + m->uri.off, m->authority.off + m->authority.len - m->uri.off);
}

int
http_set_path(struct http_msg *m, struct sl_str path)
{
	struct sl_str query = http_query(m);
	struct sl_str part[] = { before_path(m), path, SL_STR("?"), query };

	if (m->meth == HTTP_CONNECT || path.len == 0 || path.p[0] != '/' || !is_target(path) ||
		sl_str_chr(path, '?') >= 0)
		return -EINVAL;
	return replace_uri(m, part, query.p == NULL ? 2 : 4);
}

int
http_set_query(struct http_msg *m, struct sl_str query)
{
	struct sl_str part[] = { before_path(m), http_path_only(m), SL_STR("?"), query };

	if (m->meth == HTTP_CONNECT || !is_target(query))
		return -EINVAL;
	return replace_uri(m, part, query.len == 0 ? 2 : 4);
}

int
uri_set_authority(struct http_msg *m, struct sl_str host)
{
	struct sl_str part[] = { http_str(m, m->scheme), SL_STR("://"), host,
		http_str(m, m->path) };

	if (sl_str_eq(host, http_str(m, m->authority)))
		return 0;
	return replace_uri(m, part, 4);
}
