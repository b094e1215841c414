// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fields of a message: lookup, and edits within the owned buffer.
 *
 * Runs on: any thread; pure. New text goes behind the old one, in the form "name: value\r\n" that
 * h1_write_head() can copy whole; what an edit frees is not reclaimed until the head is written.
 * An edit that does not fit returns -ENOSPC and leaves the message as it was.
 */
#include "dataplane/http/h1.h"
#include "dataplane/http/token.h"

#include "dataplane/base/hot.h"

void
http_msg_init(struct http_msg *m, struct http_field *hdr, uint16_t maxhdr, bool request)
{
	*m = (struct http_msg){
		.flags = request ? HTTP_F_REQUEST : 0,
		.hdr = hdr,
		.maxhdr = maxhdr,
		.meth = HTTP_OTHER,
	};
}

int
http_msg_own(struct http_msg *m, char *mem, uint32_t cap)
{
	if (cap < m->len)
		return -ENOSPC;
	if (m->len > 0)
		memcpy(mem, m->base, m->len);
	m->base = mem;
	m->cap = cap;
	m->flags |= HTTP_F_OWNED;
	return 0;
}

char *
msg_room(struct http_msg *m, uint32_t n)
{
	char *to = m->base + m->len;

	if ((m->flags & HTTP_F_OWNED) == 0 || m->cap - m->len < n)
		return NULL;
	m->len += n;
	return to;
}

/* The length decides nearly always. */
static inline bool
is_named(const struct http_msg *m, uint32_t i, struct sl_str name)
{
	return m->hdr[i].name.len == name.len && sl_str_ieq(http_str(m, m->hdr[i].name), name);
}

int
http_hdr_find(const struct http_msg *m, struct sl_str name, uint16_t *pos)
{
	for (uint16_t i = *pos; i < m->nhdr; i++) {
		if (is_named(m, i, name)) {
			*pos = (uint16_t)(i + 1);
			return i;
		}
	}
	*pos = m->nhdr;
	return -ENOENT;
}

struct sl_str
http_hdr_get(const struct http_msg *m, struct sl_str name)
{
	uint16_t pos = 0;
	int i = http_hdr_find(m, name, &pos);

	return i < 0 ? SL_STR_NULL : http_str(m, m->hdr[i].value);
}

struct sl_str
http_cut_value(struct sl_str *rest)
{
	struct sl_str all = *rest;
	bool quoted = false;

	for (uint32_t i = 0; i < all.len; i++) {
		if (quoted && all.p[i] == '\\') {
			i++;
		} else if (all.p[i] == '"') {
			quoted = !quoted;
		} else if (!quoted && all.p[i] == ',') {
			*rest = sl_str_make(all.p + i + 1, all.len - i - 1);
			return sl_str_trim(sl_str_make(all.p, i));
		}
	}
	*rest = SL_STR_NULL;
	return sl_str_trim(all);
}

static struct sl_str
value_from_start(const struct http_msg *m, struct sl_str name, uint32_t nth)
{
	uint16_t pos = 0;
	int i;

	while ((i = http_hdr_find(m, name, &pos)) >= 0) {
		struct sl_str rest = http_str(m, m->hdr[i].value);
		while (rest.p != NULL) {
			struct sl_str v = http_cut_value(&rest);
			if (--nth == 0)
				return v;
		}
	}
	return SL_STR_NULL;
}

uint32_t
http_hdr_count_values(const struct http_msg *m, struct sl_str name)
{
	uint32_t count = 0;
	uint16_t pos = 0;
	int i;

	while ((i = http_hdr_find(m, name, &pos)) >= 0) {
		struct sl_str rest = http_str(m, m->hdr[i].value);
		while (rest.p != NULL) {
			http_cut_value(&rest);
			count++;
		}
	}
	return count;
}

struct sl_str
http_hdr_value(const struct http_msg *m, struct sl_str name, int nth)
{
	uint32_t count;

	if (nth == 0)
		return SL_STR_NULL;
	if (nth > 0)
		return value_from_start(m, name, (uint32_t)nth);
	count = http_hdr_count_values(m, name);
	if (count < 0 - (uint32_t)nth)
		return SL_STR_NULL;
	return value_from_start(m, name, count + 1 - (0 - (uint32_t)nth));
}

/* The text of a new field behind the others; the array is the caller's matter. */
static int
write_field(struct http_msg *m, struct sl_str name, struct sl_str value, struct http_field *out)
{
	char *to = msg_room(m, name.len + value.len + 4);
	uint32_t off;

	if (to == NULL)
		return -ENOSPC;
	off = (uint32_t)(to - m->base);
	memcpy(to, name.p, name.len);
	memcpy(to + name.len, ": ", 2);
	if (value.len > 0)
		memcpy(to + name.len + 2, value.p, value.len);
	memcpy(to + name.len + 2 + value.len, "\r\n", 2);
	*out = (struct http_field){ { off, name.len }, { off + name.len + 2, value.len } };
	return 0;
}

static bool
is_framing(struct sl_str name)
{
	return (name.len == 14 && sl_str_ieq(name, SL_STR("content-length"))) ||
		(name.len == 17 && sl_str_ieq(name, SL_STR("transfer-encoding")));
}

static void
mark_edited(struct http_msg *m, struct sl_str name)
{
	m->flags |= HTTP_F_EDITED | (is_framing(name) ? HTTP_F_REFRAMED : 0);
	if (name.len == 10 && sl_str_ieq(name, SL_STR("connection")))
		m->flags |= HTTP_F_CONN_SET;
}

static bool
is_host(const struct http_msg *m, struct sl_str name)
{
	return (m->flags & HTTP_F_REQUEST) != 0 && name.len == 4 &&
		sl_str_ieq(name, SL_STR("host"));
}

/*
 * A new Host value: an absolute target must follow, which may fail and so comes before the field
 * is changed.
 */
static bool
target_follows(const struct http_msg *m, struct sl_str name, struct sl_str value)
{
	return m->scheme.len > 0 && value.len > 0 && is_host(m, name);
}

/* Host was changed: without an authority in the target, the first one is the authority. */
static sl_apart void
host_changed(struct http_msg *m)
{
	uint16_t pos = 0;
	int i;

	if (m->scheme.len > 0 || m->meth == HTTP_CONNECT)
		return;
	i = http_hdr_find(m, SL_STR("host"), &pos);
	m->authority = i < 0 ? (struct http_slice){ 0, 0 } : m->hdr[i].value;
}

void
http_hdr_del_at(struct http_msg *m, uint16_t idx)
{
	struct sl_str name = http_str(m, m->hdr[idx].name);
	bool host = is_host(m, name);

	m->nraw = sl_min(m->nraw, idx);
	m->nhdr--;
	memmove(m->hdr + idx, m->hdr + idx + 1, (size_t)(m->nhdr - idx) * sizeof(*m->hdr));
	mark_edited(m, name);
	if (host)
		host_changed(m);
}

static int
delete_all(struct http_msg *m, struct sl_str name)
{
	uint16_t to = 0;
	int gone;

	while (to < m->nhdr && !is_named(m, to, name))
		to++;
	if (to == m->nhdr)
		return 0;
	m->nraw = sl_min(m->nraw, to);
	for (uint16_t i = to; i < m->nhdr; i++) {
		if (!is_named(m, i, name))
			m->hdr[to++] = m->hdr[i];
	}
	gone = m->nhdr - to;
	m->nhdr = to;
	mark_edited(m, name);
	return gone;
}

int
http_hdr_del(struct http_msg *m, struct sl_str name)
{
	int gone = delete_all(m, name);

	if (gone > 0 && is_host(m, name))
		host_changed(m);
	return gone;
}

static int
put_field(struct http_msg *m, struct sl_str name, struct sl_str value, bool replace)
{
	struct http_field field;
	struct http_msg old;
	uint16_t pos = 0;
	bool target;
	int rc;

	value = sl_str_trim(value);
	if (!http_is_token(name) || !http_is_value(value))
		return -EINVAL;
	// a full array still has the place of a field that goes
	if (m->nhdr >= m->maxhdr && (!replace || http_hdr_find(m, name, &pos) < 0))
		return -ENOSPC;
	target = target_follows(m, name, value);
	if (unlikely(target)) {
		old = *m;
		rc = uri_set_authority(m, value);
		if (rc < 0)
			return rc;
	}
	rc = write_field(m, name, value, &field);
	if (rc < 0) {
		if (target)
			*m = old;
		return rc;
	}
	if (replace)
		delete_all(m, name);
	m->hdr[m->nhdr++] = field;
	mark_edited(m, name);
	if (is_host(m, name))
		host_changed(m);
	return 0;
}

int
http_hdr_add(struct http_msg *m, struct sl_str name, struct sl_str value)
{
	return put_field(m, name, value, false);
}

/* As HAProxy's set-header: the new field stands last. */
int
http_hdr_set(struct http_msg *m, struct sl_str name, struct sl_str value)
{
	return put_field(m, name, value, true);
}

int
http_hdr_set_at(struct http_msg *m, uint16_t idx, struct sl_str value)
{
	struct sl_str name = http_str(m, m->hdr[idx].name);
	struct http_msg old = *m;
	struct http_field field;
	int rc = 0;

	value = sl_str_trim(value);
	if (!http_is_value(value))
		return -EINVAL;
	if (target_follows(m, name, value))
		rc = uri_set_authority(m, value);
	if (rc == 0)
		rc = write_field(m, http_str(m, m->hdr[idx].name), value, &field);
	if (rc < 0) {
		*m = old;
		return rc;
	}
	m->nraw = sl_min(m->nraw, idx);
	m->hdr[idx] = field;
	name = http_str(m, field.name);
	mark_edited(m, name);
	if (is_host(m, name))
		host_changed(m);
	return 0;
}

int
http_fit_framing(struct http_msg *m)
{
	struct sl_str length = SL_STR("content-length"), coding = SL_STR("transfer-encoding");
	struct sl_buf b;
	char num[24];

	if (likely((m->flags & HTTP_F_REFRAMED) == 0) ||
		(m->framing == HTTP_BODY_NONE && (m->flags & HTTP_F_REQUEST) == 0))
		return 0;
	delete_all(m, length);
	delete_all(m, coding);
	if (m->framing == HTTP_BODY_CHUNKED)
		return http_hdr_add(m, coding, SL_STR("chunked"));
	if (m->framing != HTTP_BODY_LENGTH)
		return 0;
	sl_buf_init(&b, num, sizeof(num));
	sl_buf_u64(&b, m->content_length);
	return http_hdr_add(m, length, sl_buf_str(&b));
}

int
http_set_method(struct http_msg *m, struct sl_str method)
{
	enum http_method meth = http_method_find(method);
	char *to;

	if (!http_is_token(method))
		return -EINVAL;
	// the form of the target depends on the method
	if ((meth == HTTP_CONNECT) != (m->meth == HTTP_CONNECT))
		return -EINVAL;
	if (meth != HTTP_OPTIONS && m->path.len == 1 && m->base[m->path.off] == '*')
		return -EINVAL;
	to = msg_room(m, method.len);
	if (to == NULL)
		return -ENOSPC;
	memcpy(to, method.p, method.len);
	m->method = (struct http_slice){ (uint32_t)(to - m->base), method.len };
	m->meth = meth;
	m->flags |= HTTP_F_EDITED;
	return 0;
}

int
http_set_status(struct http_msg *m, uint16_t status, struct sl_str reason)
{
	char *to;

	if (status < 100 || status > 999 || !http_is_value(reason))
		return -EINVAL;
	to = msg_room(m, reason.len);
	if (to == NULL)
		return -ENOSPC;
	if (reason.len > 0)
		memcpy(to, reason.p, reason.len);
	m->reason = (struct http_slice){ (uint32_t)(to - m->base), reason.len };
	m->status = status;
	m->flags |= HTTP_F_EDITED;
	return 0;
}
