// SPDX-License-Identifier: BSD-3-Clause
/*
 * HTTP/1 heads: from bytes to a message of offsets, in as many pieces as they come.
 *
 * Runs on: the worker that owns the stream (pure, so any thread may). Follows RFC 9112 2 to 5 and
 * refuses where the RFC lets a recipient choose: bare CR or LF, obs-fold, space before the colon,
 * more than one space in the start line. HAProxy 2.6 accepts bare LF and repeated spaces; nothing
 * that we write needs them, and each has been a way to smuggle.
 * Resuming: every byte before p->pos was already found good for the piece that it lies in, which
 * started at p->line; so a head that comes byte by byte costs no rescans.
 * Not here: what the fields mean (framing.c), the target's parts (uri.c).
 */
#include "dataplane/http/h1.h"
#include "dataplane/http/token.h"

#include <immintrin.h>

#include "dataplane/base/hot.h"

enum state {
	S_BEFORE, // empty lines before a request line
	S_METHOD,
	S_TARGET,
	S_VERSION, // of the request line, with its CRLF
	S_STATUS,  // "HTTP/1.x nnn" of a status line
	S_REASON,
	S_NAME,
	S_VALUE,
};

struct scan {
	struct h1_parser *p;
	struct http_msg *m;
	const char *buf, *end;
	const char *s; // here
};

static int
refuse(struct scan *c, const char *at, enum h1_error err)
{
	c->p->err = (uint8_t)err;
	c->p->err_pos = (uint32_t)(at - c->buf);
	return err == H1_TOO_LONG || err == H1_TOO_MANY ? -EMSGSIZE : -EBADMSG;
}

static int
more(struct scan *c)
{
	c->p->pos = (uint32_t)(c->s - c->buf);
	return -EAGAIN;
}

/* The next piece starts here. */
static void
enter(struct scan *c, enum state state, const char *at)
{
	c->p->state = (uint8_t)state;
	c->p->line = (uint32_t)(at - c->buf);
	c->s = at;
}

static struct http_slice
slice(const struct scan *c, const char *from, const char *to)
{
	return (struct http_slice){ (uint32_t)(from - c->buf), (uint32_t)(to - from) };
}

/* CRLF at c->s? 0, -EAGAIN or refused. */
static int
crlf(struct scan *c)
{
	if (c->s == c->end)
		return more(c);
	if (*c->s != '\r')
		return refuse(c, c->s, H1_BAD_LINE_END);
	if (c->s + 1 == c->end)
		return more(c);
	if (c->s[1] != '\n')
		return refuse(c, c->s, H1_BAD_LINE_END);
	return 0;
}

/* "HTTP/1." and a digit at `at`: 0, -EAGAIN (c->s stays) or refused. */
static int
version(struct scan *c, const char *at)
{
	static const char want[] = "HTTP/1.";

	if (likely(c->end - at >= 8) && memcmp(at, want, 7) == 0 && at[7] == '1')
		return 0;
	for (uint32_t i = 0; i < 7; i++) {
		if (at + i == c->end)
			return more(c);
		if (at[i] != want[i])
			return refuse(c, at + i, H1_BAD_VERSION);
	}
	if (at + 7 == c->end)
		return more(c);
	if (!http_is(at[7], HTTP_C_DIGIT))
		return refuse(c, at + 7, H1_BAD_VERSION);
	if (at[7] == '0')
		c->m->flags |= HTTP_F_10; // other 1.x read as 1.1 (RFC 9110 2.5)
	return 0;
}

/* RFC 9112 2.2: a server ignores empty lines before the request line. */
static int
before(struct scan *c)
{
	while (c->s != c->end && (*c->s == '\r' || *c->s == '\n')) {
		int rc = crlf(c);
		if (rc < 0)
			return rc;
		c->s += 2;
	}
	if (c->s == c->end)
		return more(c);
	enter(c, S_METHOD, c->s);
	return 0;
}

static int
method(struct scan *c)
{
	const char *start = c->buf + c->p->line;

	c->s = scan_token(c->s, c->end, c->buf);
	if (c->s == c->end)
		return more(c);
	if (*c->s != ' ' || c->s == start)
		return refuse(c, c->s, H1_BAD_METHOD);
	c->m->method = slice(c, start, c->s);
	enter(c, S_TARGET, c->s + 1);
	return 0;
}

static int
target(struct scan *c)
{
	const char *start = c->buf + c->p->line;

	c->s = scan_target(c->s, c->end, c->buf);
	if (c->s == c->end)
		return more(c);
	if (c->s != start && (*c->s == '\r' || *c->s == '\n'))
		return refuse(c, c->s, H1_BAD_VERSION); // HTTP/0.9
	if (*c->s != ' ' || c->s == start)
		return refuse(c, c->s, H1_BAD_TARGET);
	c->m->uri = slice(c, start, c->s);
	enter(c, S_VERSION, c->s + 1);
	return 0;
}

static int
request_version(struct scan *c)
{
	const char *start = c->s;
	int rc = version(c, start);

	if (rc < 0)
		return rc;
	c->s = start + 8;
	if (c->s != c->end && *c->s != '\r' && *c->s != '\n')
		rc = refuse(c, c->s, H1_BAD_VERSION);
	else
		rc = crlf(c);
	if (rc == -EAGAIN)
		c->p->pos = (uint32_t)(start - c->buf); // the version is read again
	if (rc < 0)
		return rc;
	enter(c, S_NAME, c->s + 2);
	return 0;
}

/* "HTTP/1.1 200", then SP and a reason, or the end of the line. */
static int
status(struct scan *c)
{
	const char *at = c->s;
	unsigned int code = 0;
	int rc = version(c, at);

	if (rc < 0)
		return rc;
	if (at + 8 == c->end)
		return more(c);
	if (at[8] != ' ')
		return refuse(c, at + 8, H1_BAD_VERSION);
	for (const char *d = at + 9; d < at + 12; d++) {
		if (d == c->end)
			return more(c);
		if (!http_is(*d, HTTP_C_DIGIT) || *d - '0' + code == 0)
			return refuse(c, d, H1_BAD_STATUS);
		code = code * 10 + (unsigned int)(*d - '0');
	}
	if (at + 12 == c->end)
		return more(c);
	c->m->status = (uint16_t)code;
	// a missing SP is a frequent mistake that HAProxy accepts as well
	if (at[12] != ' ' && at[12] != '\r' && at[12] != '\n')
		return refuse(c, at + 12, H1_BAD_STATUS);
	enter(c, S_REASON, at[12] == ' ' ? at + 13 : at + 12);
	return 0;
}

static int
reason(struct scan *c)
{
	const char *start = c->buf + c->p->line;
	int rc;

	c->s = scan_value(c->s, c->end, c->buf);
	if (c->s != c->end && *c->s != '\r' && *c->s != '\n')
		return refuse(c, c->s, H1_BAD_VALUE);
	rc = crlf(c);
	if (rc < 0)
		return rc;
	c->m->reason = slice(c, start, c->s);
	enter(c, S_NAME, c->s + 2);
	return 0;
}

/* Why a line that does not start with "token:" is refused. */
static int
refuse_name(struct scan *c, const char *start)
{
	if (c->s == start && (*c->s == ' ' || *c->s == '\t'))
		return refuse(c, c->s, H1_OBS_FOLD);
	if (*c->s == '\n')
		return refuse(c, c->s, H1_BAD_LINE_END);
	if (*c->s == '\r')
		return refuse(c, c->s, H1_NO_COLON);
	return refuse(c, c->s, H1_BAD_NAME);
}

static inline bool
is_ows(char ch)
{
	return ch == ' ' || ch == '\t';
}

/* ---- 64 bytes at a time ---- */

#define AVX2 __attribute__((target("avx2")))
#define WIDE 64

/* Bit i: byte i of 32 is no tchar; see bad_token(). */
AVX2 static inline uint32_t
bad_token32(__m256i v)
{
	const __m256i by_low = _mm256_setr_epi8((char)0xe8, (char)0xfc, (char)0xf8, (char)0xfc,
		(char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xf8, (char)0xf8, (char)0xf4,
		(char)0x54, (char)0xd0, (char)0x54, (char)0xf4, (char)0x70, (char)0xe8, (char)0xfc,
		(char)0xf8, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xf8,
		(char)0xf8, (char)0xf4, (char)0x54, (char)0xd0, (char)0x54, (char)0xf4, (char)0x70);
	const __m256i by_high = _mm256_setr_epi8(1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0,
		0, 0, 0, 1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0);
	const __m256i nibble = _mm256_set1_epi8(0x0f);
	__m256i low = _mm256_shuffle_epi8(by_low, _mm256_and_si256(v, nibble));
	__m256i high =
		_mm256_shuffle_epi8(by_high, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));

	return (uint32_t)_mm256_movemask_epi8(
		_mm256_cmpeq_epi8(_mm256_and_si256(low, high), _mm256_setzero_si256()));
}

/* Bit i: byte i of 32 is not from 0x20 to 0x7e, which stops at more than what may not be in a value. */
AVX2 static inline uint32_t
odd_value32(__m256i v)
{
	__m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), v); // signed: also from 0x80
	__m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));

	return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(low, del));
}

AVX2 static inline uint64_t
odd_value64(const char *p)
{
	const __m256i *v = (const __m256i *)(const void *)p;

	return odd_value32(_mm256_loadu_si256(v)) |
		(uint64_t)odd_value32(_mm256_loadu_si256(v + 1)) << 32;
}

static inline bool
is_pair(const char *p, char a, char b)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v == ((uint8_t)a | (uint8_t)b << 8);
}

/* In one store. */
static inline void
put_slice(struct http_slice *to, uint32_t off, uint32_t len)
{
	uint64_t v = off | (uint64_t)len << 32;

	memcpy(to, &v, sizeof(v));
}

/*
 * Field lines from `s` on that are exactly "name: value" CRLF, the value of printable ASCII: of each
 * line the first 64 bytes are classified at once, so that the common line has no loop in it. Returns the
 * start of the first line that is anything else (longer name, other bytes, not whole, the empty
 * line, one too many), which fields() judges. Reads within [buf, end) only, as token.h does.
 */
AVX2 static const char *
plain_lines(struct http_msg *m, const char *s, const char *end, const char *buf)
{
	struct http_field *f = m->hdr + m->nhdr, *last = m->hdr + m->maxhdr;
	uint32_t before = m->nhdr;

	if (end - buf < WIDE)
		return s;
	for (; f < last; f++) {
		// the last block ends at `end`: bits of what lies before the line are shifted out
		const char *at = s <= end - WIDE ? s : end - WIDE, *to = s;
		const __m256i *v = (const __m256i *)(const void *)at;
		uint32_t back = (uint32_t)(s - at), name, len;
		__m256i front = _mm256_loadu_si256(v), behind = _mm256_loadu_si256(v + 1);
		uint64_t odd = odd_value32(front) | (uint64_t)odd_value32(behind) << 32;
		uint64_t bad = bad_token32(front);

		if (unlikely(back != 0)) {
			if (back == WIDE)
				break;
			bad = (bad | (uint64_t)bad_token32(behind) << 32) >> back;
			odd >>= back;
		}
		if (unlikely(bad == 0))
			break;
		name = (uint32_t)__builtin_ctzll(bad);
		for (; unlikely(odd == 0); odd = odd_value64(to)) {
			to = at == s ? to + WIDE : end;
			if (end - to < WIDE)
				goto out;
		}
		to += (uint32_t)__builtin_ctzll(odd);
		// of the value; huge where there is less than a colon and a blank
		len = (uint32_t)(to - s) - name - 2;
		// a blank behind the colon and no other, neither there nor at the end
		if (unlikely(name == 0 || end - to < 2 || !is_pair(to, '\r', '\n') ||
			    (int32_t)len < 0 || !is_pair(s + name, ':', ' ') ||
			    s[name + 2] == ' ' || (to[-1] == ' ' && len > 0)))
			break;
		put_slice(&f->name, (uint32_t)(s - buf), name);
		put_slice(&f->value, (uint32_t)(s - buf) + name + 2, len);
		s = to + 2;
	}
out:
	m->nhdr = (uint16_t)(f - m->hdr);
	if (m->nraw == before)
		m->nraw = m->nhdr;
	return s;
}

/*
 * All field lines and the empty line: the length of the head. The pieces of a field need no
 * enter(): only more() looks at where the current one started.
 */
static int
fields(struct scan *c)
{
	const char *s = c->s, *end = c->end, *buf = c->buf;
	const char *line = buf + c->p->line, *colon = buf + c->p->colon;
	struct http_msg *m = c->m;
	uint32_t nhdr, maxhdr = m->maxhdr, nraw;
	bool in_value = c->p->state == S_VALUE;
	struct http_field *f;
	int rc;

	if (!in_value && s == line && __builtin_cpu_supports("avx2"))
		line = s = plain_lines(m, s, end, buf);
	if (likely(!in_value && s == line && end - s >= 2 && is_pair(s, '\r', '\n')))
		return (int)(s + 2 - buf);
	nhdr = m->nhdr;
	nraw = m->nraw;
	f = m->hdr + nhdr;
	for (;;) {
		const char *from, *to;

		if (!in_value) {
			s = scan_token(s, end, buf);
			if (unlikely(s == end))
				goto again;
			if (unlikely(*s != ':' || s == line)) {
				c->s = s;
				if (s != line || *s != '\r')
					return refuse_name(c, line);
				rc = crlf(c);
				if (rc == -EAGAIN)
					goto again;
				m->nhdr = (uint16_t)nhdr;
				m->nraw = (uint16_t)nraw;
				return rc < 0 ? rc : (int)(s + 2 - buf);
			}
			colon = s++;
			in_value = true;
		}
		s = scan_value(s, end, buf);
		if (unlikely(end - s < 2 || s[0] != '\r' || s[1] != '\n')) {
			c->s = s;
			if (s != end && *s != '\r' && *s != '\n')
				return refuse(c, s, H1_BAD_VALUE);
			rc = crlf(c);
			if (rc == -EAGAIN)
				goto again;
			return rc;
		}
		// nearly always one blank in front and none behind
		from = colon + 1 + (colon[1] == ' ');
		while (from < s && unlikely(is_ows(*from)))
			from++;
		for (to = s; to > from && unlikely(is_ows(to[-1])); to--)
			;
		if (unlikely(nhdr >= maxhdr))
			return refuse(c, line, H1_TOO_MANY);
		f->name.off = (uint32_t)(line - buf);
		f->name.len = (uint32_t)(colon - line);
		f->value.off = (uint32_t)(from - buf);
		f->value.len = (uint32_t)(to - from);
		// "name: value" and nothing else, like all before
		nraw += nraw == nhdr && from == colon + 2 && to == s;
		f++;
		nhdr++;
		s += 2;
		line = s;
		in_value = false;
	}
again:
	m->nhdr = (uint16_t)nhdr;
	m->nraw = (uint16_t)nraw;
	c->p->state = in_value ? S_VALUE : S_NAME;
	c->p->line = (uint32_t)(line - buf);
	c->p->colon = (uint32_t)(colon - buf);
	c->s = s;
	return more(c);
}

static int
parse(struct scan *c)
{
	int rc = 0;

	while (rc == 0) {
		switch ((enum state)c->p->state) {
		case S_BEFORE:
			rc = before(c);
			break;
		case S_METHOD:
			rc = method(c);
			break;
		case S_TARGET:
			rc = target(c);
			break;
		case S_VERSION:
			rc = request_version(c);
			break;
		case S_STATUS:
			rc = status(c);
			break;
		case S_REASON:
			rc = reason(c);
			break;
		case S_NAME:
		case S_VALUE:
			return fields(c);
		}
	}
	return rc;
}

/*
 * Bytes behind the limit are not looked at, so that a head is refused for the same reason however
 * it was cut into pieces.
 */
static int
parse_limited(struct h1_parser *p, struct http_msg *m, char *buf, uint32_t len)
{
	uint32_t max = sl_min(len, (uint32_t)HTTP_MAX_HEAD);
	struct scan c = { .p = p, .m = m, .buf = buf, .end = buf + max, .s = buf + p->pos };
	int rc;

	if (p->err != H1_OK)
		return p->err == H1_TOO_LONG || p->err == H1_TOO_MANY ? -EMSGSIZE : -EBADMSG;
	rc = parse(&c);
	if (rc == -EAGAIN && max == HTTP_MAX_HEAD)
		return refuse(&c, c.end, H1_TOO_LONG);
	if (rc > 0) {
		m->base = buf;
		m->len = (uint32_t)rc;
		p->pos = (uint32_t)rc;
	}
	return rc;
}

static int
judge(struct h1_parser *p, enum h1_error err, uint32_t pos, int len)
{
	if (likely(err == H1_OK))
		return len;
	p->err = (uint8_t)err;
	p->err_pos = pos;
	return -EBADMSG;
}

int
h1_parse_request(struct h1_parser *p, struct http_msg *m, char *buf, uint32_t len)
{
	enum h1_error err;
	uint32_t pos = 0;
	int rc = parse_limited(p, m, buf, len);

	if (rc <= 0)
		return rc;
	m->meth = http_method_find(http_str(m, m->method));
	if (unlikely(uri_parse_target(m) < 0))
		return judge(p, H1_BAD_TARGET, m->uri.off, rc);
	err = framing_request(m, &pos);
	return judge(p, err, pos, rc);
}

int
h1_parse_response(struct h1_parser *p, struct http_msg *m, char *buf, uint32_t len,
	enum http_method req_method)
{
	enum h1_error err;
	uint32_t pos = 0;
	int rc;

	if (p->state == S_BEFORE)
		p->state = S_STATUS;
	rc = parse_limited(p, m, buf, len);
	if (rc <= 0)
		return rc;
	err = framing_response(m, req_method, &pos);
	return judge(p, err, pos, rc);
}

const char *
h1_error_name(enum h1_error e)
{
	static const char *const names[H1_NR_ERRORS] = {
		[H1_OK] = "ok",
		[H1_BAD_METHOD] = "invalid method",
		[H1_BAD_TARGET] = "invalid request target",
		[H1_BAD_VERSION] = "invalid or unsupported version",
		[H1_BAD_STATUS] = "invalid status",
		[H1_BAD_LINE_END] = "line not ended by CRLF",
		[H1_BAD_NAME] = "invalid field name",
		[H1_BAD_VALUE] = "control byte in a value",
		[H1_OBS_FOLD] = "folded field line",
		[H1_NO_COLON] = "field line without a colon",
		[H1_BAD_LENGTH] = "invalid content-length",
		[H1_BAD_CODING] = "unsupported transfer-encoding",
		[H1_TE_AND_CL] = "transfer-encoding and content-length",
		[H1_BAD_HOST] = "missing, repeated or contradictory host",
		[H1_TOO_LONG] = "head too long",
		[H1_TOO_MANY] = "too many fields",
	};

	return (unsigned int)e < H1_NR_ERRORS ? names[e] : "?";
}
