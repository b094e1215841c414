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

#define AVX2 __attribute__((target("avx2,bmi")))
#define WIDE 64

/* A constant that the compiler may not fold: it makes two instructions of a comparison with one. */
AVX2 static inline __m256i
opaque(int8_t byte)
{
	__m256i v = _mm256_set1_epi8(byte);

	__asm__("" : "+x"(v));
	return v;
}

/* Bit i: byte i of 32 is no tchar; see bad_token(). The low table has 0 for what is not ASCII. */
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
	__m256i low = _mm256_shuffle_epi8(by_low, v);
	__m256i high =
		_mm256_shuffle_epi8(by_high, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));

	return (uint32_t)_mm256_movemask_epi8(
		_mm256_cmpeq_epi8(_mm256_and_si256(low, high), _mm256_setzero_si256()));
}

/* Bit i: byte i of 32 is from 0x20 to 0x7e, which leaves out more than what may not be in a value. */
AVX2 static inline uint32_t
plain_value32(__m256i v, __m256i ones, __m256i blank)
{
	// one more: DEL becomes negative, as what is not ASCII is but for 0xff, which becomes 0
	return (uint32_t)_mm256_movemask_epi8(
		_mm256_cmpgt_epi8(_mm256_sub_epi8(v, ones), blank));
}

AVX2 static inline uint64_t
odd_value64(__m256i front, __m256i behind, __m256i ones, __m256i blank)
{
	return ~(plain_value32(front, ones, blank) |
		(uint64_t)plain_value32(behind, ones, blank) << 32);
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
	const __m256i ones = opaque(-1), blank = opaque(' ');
	const char *wide = end - WIDE - 2; // up to here a line's block and what follows it are there
	uint32_t before = m->nhdr;

	if (end - buf < WIDE)
		return s;
	for (; f < last; f++) {
		const __m256i *v = (const __m256i *)(const void *)s;
		const char *to = s;
		uint64_t odd;
		uint32_t name;

		if (likely(s <= wide)) {
			__m256i front = _mm256_loadu_si256(v);

			odd = odd_value64(front, _mm256_loadu_si256(v + 1), ones, blank);
			// 32 if there is none: then that is where the name must end
			name = _tzcnt_u32(bad_token32(front));
		} else {
			// the last block ends at `end`: bits of what lies before the line are shifted out
			uint32_t back = s > end - WIDE ? (uint32_t)(s - (end - WIDE)) : 0;
			__m256i front, behind;
			uint64_t bad;

			if (end - s < 4) // the empty line, or not a whole one
				break;
			v = (const __m256i *)(const void *)(s - back);
			front = _mm256_loadu_si256(v);
			behind = _mm256_loadu_si256(v + 1);
			odd = odd_value64(front, behind, ones, blank) >> back;
			bad = (bad_token32(front) | (uint64_t)bad_token32(behind) << 32) >> back;
			if (bad == 0)
				break;
			name = (uint32_t)__builtin_ctzll(bad);
		}
		while (unlikely(odd == 0)) {
			to += WIDE;
			if (end - to < WIDE)
				goto out;
			v = (const __m256i *)(const void *)to;
			odd = odd_value64(
				_mm256_loadu_si256(v), _mm256_loadu_si256(v + 1), ones, blank);
		}
		to += __builtin_ctzll(odd);
		// the end of the line is in the buffer, and so is all before it
		if (unlikely(to > end - 2 || !is_pair(to, '\r', '\n')))
			break;
		// a blank behind the colon and no other, neither there nor at the end
		if (unlikely(name == 0 || !is_pair(s + name, ':', ' ') || s[name + 2] == ' ' ||
			    (to[-1] == ' ' && to != s + name + 2)))
			break;
		put_slice(&f->name, (uint32_t)(s - buf), name);
		put_slice(&f->value, (uint32_t)(s - buf) + name + 2, (uint32_t)(to - s) - name - 2);
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
static sl_apart int
any_lines(struct scan *c)
{
	const char *s = c->s, *end = c->end, *buf = c->buf;
	const char *line = buf + c->p->line, *colon = buf + c->p->colon;
	struct http_msg *m = c->m;
	uint32_t nhdr, maxhdr = m->maxhdr, nraw;
	bool in_value = c->p->state == S_VALUE;
	struct http_field *f;
	int rc;

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

/* The same, which is nothing but plain lines nearly always. */
static inline int
fields(struct scan *c)
{
	const char *s = c->s;

	if (likely(c->p->state == S_NAME && s == c->buf + c->p->line) &&
		__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")) {
		s = plain_lines(c->m, s, c->end, c->buf);
		if (likely(c->end - s >= 2 && is_pair(s, '\r', '\n')))
			return (int)(s + 2 - c->buf);
		enter(c, S_NAME, s);
	}
	return any_lines(c);
}

/*
 * A start line that is there whole, and as nearly all are; false: nothing was done, and it is for
 * the pieces above to judge.
 */
static inline bool
request_line(struct scan *c)
{
	const char *start = c->s, *sp = scan_token(start, c->end, c->buf), *uri = sp + 1, *to;

	if (unlikely(sp == start || sp == c->end || *sp != ' '))
		return false;
	to = scan_target(uri, c->end, c->buf);
	if (unlikely(to == uri || c->end - to < 11 || memcmp(to, " HTTP/1.1\r\n", 11) != 0))
		return false;
	c->m->method = slice(c, start, sp);
	c->m->uri = slice(c, uri, to);
	enter(c, S_NAME, to + 11);
	return true;
}

static inline bool
status_line(struct scan *c)
{
	const char *at = c->s, *to;
	uint32_t a, b, d;

	if (unlikely(c->end - at < 15 || memcmp(at, "HTTP/1.1", 8) != 0 || at[8] != ' ' ||
		    at[12] != ' '))
		return false;
	a = (uint32_t)(uint8_t)at[9] - '0';
	b = (uint32_t)(uint8_t)at[10] - '0';
	d = (uint32_t)(uint8_t)at[11] - '0';
	if (unlikely(a - 1 > 8 || b > 9 || d > 9))
		return false;
	to = scan_value(at + 13, c->end, c->buf);
	if (unlikely(c->end - to < 2 || !is_pair(to, '\r', '\n')))
		return false;
	c->m->status = (uint16_t)(a * 100 + b * 10 + d);
	c->m->reason = slice(c, at + 13, to);
	enter(c, S_NAME, to + 2);
	return true;
}

/* Piece by piece. */
static sl_apart int
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
static inline __attribute__((always_inline)) int
parse_limited(struct h1_parser *p, struct http_msg *m, char *buf, uint32_t len, bool request)
{
	uint32_t max = sl_min(len, (uint32_t)HTTP_MAX_HEAD);
	struct scan c = { .p = p, .m = m, .buf = buf, .end = buf + max, .s = buf + p->pos };
	int rc;

	if (p->err != H1_OK)
		return p->err == H1_TOO_LONG || p->err == H1_TOO_MANY ? -EMSGSIZE : -EBADMSG;
	if (request ? p->state == S_BEFORE && request_line(&c)
		    : p->state == S_STATUS && status_line(&c))
		rc = fields(&c);
	else
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
	int rc = parse_limited(p, m, buf, len, true);

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
	rc = parse_limited(p, m, buf, len, false);
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
