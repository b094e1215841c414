// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chunked bodies by table: whole, byte by byte and cut at every place, scanned and decoded, against
 * a forbidden page.
 */
#include "dataplane/http/http.h"
#include "tests/harness/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MAX_IN (4 * H1_CHUNK_MAX_OVERHEAD)

struct outcome {
	int rc; // bytes of the body in all, or the error
	bool done;
	uint32_t data; // payload bytes in all
	uint64_t left;
	char payload[256]; // of decoding
};

static struct guard guard;

/* Runs text in pieces: [0,cut) and then steps of `step`. */
static void
run(struct sl_str text, uint32_t cut, uint32_t step, bool decode, struct outcome *o)
{
	struct h1_chunk c = { 0 };
	uint32_t at = 0;

	memset(o, 0, sizeof(*o));
	do {
		uint32_t n = at < cut ? cut - at : sl_min(step, text.len - at), data;
		char *buf = guard_end(&guard, text.p + at, n);
		int rc = decode ? h1_chunk_decode(&c, buf, n, &data)
				: h1_chunk_scan(&c, buf, n, &data);

		if (rc < 0) {
			memset(o, 0, sizeof(*o));
			o->rc = rc;
			return;
		}
		if (decode && o->data < sizeof(o->payload))
			memcpy(o->payload + o->data, buf,
				sl_min(data, (uint32_t)sizeof(o->payload) - o->data));
		if (!decode && n > 0)
			assert_memory_equal(buf, text.p + at, n); // scan changes nothing
		o->data += data;
		o->rc += rc;
		at += n;
		if (c.state != H1_CHUNK_DONE)
			assert_int_equal(rc, n);
	} while (at < text.len && c.state != H1_CHUNK_DONE);
	o->done = c.state == H1_CHUNK_DONE;
	o->left = c.left;
}

static void
agree(int line, uint32_t cut, uint32_t step, const struct outcome *a, const struct outcome *b)
{
	if (a->rc != b->rc || a->done != b->done || a->data != b->data || a->left != b->left)
		fail_msg("line %d, cut %u step %u: rc %d data %u, whole rc %d data %u", line, cut,
			step, b->rc, b->data, a->rc, a->data);
}

static void
run_all(int line, struct sl_str text, struct outcome *whole)
{
	struct outcome decoded, o;

	run(text, 0, text.len, false, whole);
	run(text, 0, text.len, true, &decoded);
	agree(line, 0, text.len, whole, &decoded);
	for (uint32_t step = 1; step <= 3; step++) {
		run(text, 0, step, false, &o);
		agree(line, 0, step, whole, &o);
		run(text, 0, step, true, &o);
		agree(line, 0, step, whole, &o);
		if (memcmp(o.payload, decoded.payload, sizeof(o.payload)) != 0)
			fail_msg("line %d, step %u: payload", line, step);
	}
	for (uint32_t cut = 1; cut < text.len && text.len < 1000; cut++) {
		run(text, cut, text.len, true, &o);
		agree(line, cut, text.len, whole, &o);
		if (memcmp(o.payload, decoded.payload, sizeof(o.payload)) != 0)
			fail_msg("line %d, cut %u: payload", line, cut);
	}
	memcpy(whole->payload, decoded.payload, sizeof(decoded.payload));
}

// clang-format off
#define IN(text) { text, sizeof(text) - 1 }
#define BAD (-EBADMSG)
#define MORE (-EAGAIN) // everything belongs to the body, which is not finished

static const struct {
	int line;
	struct sl_str in;
	int rc; // bytes of the body
	const char *payload;
} rows[] = {
	{ __LINE__, IN("0\r\n\r\n"), 5, "" },
	{ __LINE__, IN("0\r\n\r\nGET / HTTP/1.1\r\n"), 5, "" },
	{ __LINE__, IN("3\r\nabc\r\n0\r\n\r\n"), 13, "abc" },
	{ __LINE__, IN("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nX"), 20, "abcde" },
	{ __LINE__, IN("A\r\n0123456789\r\n0\r\n\r\n"), 20, "0123456789" },
	{ __LINE__, IN("a\r\n0123456789\r\n0\r\n\r\n"), 20, "0123456789" },
	{ __LINE__, IN("0003\r\nabc\r\n000\r\n\r\n"), 18, "abc" },
	{ __LINE__, IN("0000000000000003\r\nabc\r\n0\r\n\r\n"), 28, "abc" },
	{ __LINE__, IN("00000000000000000000003\r\nabc\r\n0\r\n\r\n"), 35, "abc" },
	{ __LINE__, IN("000000000000000000000008000000000000000\r\nabc"), BAD, NULL },
	{ __LINE__, IN("4\r\n\r\n\r\n\r\n0\r\n\r\n"), 14, "\r\n\r\n" },
	{ __LINE__, IN("5\r\n0\r\n\r\n\r\n0\r\n\r\n"), 15, "0\r\n\r\n" },
	/* blanks and extensions */
	{ __LINE__, IN("3 \r\nabc\r\n0 \t \r\n\r\n"), 17, "abc" },
	{ __LINE__, IN("3;x\r\nabc\r\n0;y=z\r\n\r\n"), 19, "abc" },
	{ __LINE__, IN("3 ; x=\"a;b\"\r\nabc\r\n0\r\n\r\n"), 23, "abc" },
	{ __LINE__, IN("3;\r\nabc\r\n0\r\n\r\n"), 14, "abc" },
	{ __LINE__, IN("3;\xff\r\nabc\r\n0\r\n\r\n"), 15, "abc" },
	{ __LINE__, IN("3 x\r\nabc\r\n0\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("3 5\r\nabc\r\n0\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("3;x\nabc\r\n0\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("3;x\rabc\r\n0\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("3;\0\r\nabc\r\n0\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("3;\x7f\r\nabc\r\n0\r\n\r\n"), BAD, NULL },
	/* sizes */
	{ __LINE__, IN(""), MORE, "" },
	{ __LINE__, IN("\r\n"), BAD, NULL },
	{ __LINE__, IN(" 3\r\nabc\r\n"), BAD, NULL },
	{ __LINE__, IN(";x\r\n"), BAD, NULL },
	{ __LINE__, IN("g\r\n"), BAD, NULL },
	{ __LINE__, IN("0x3\r\nabc\r\n"), BAD, NULL },
	{ __LINE__, IN("+3\r\nabc\r\n"), BAD, NULL },
	{ __LINE__, IN("-3\r\nabc\r\n"), BAD, NULL },
	{ __LINE__, IN("3_0\r\nabc\r\n"), BAD, NULL },
	{ __LINE__, IN("3\0\r\nabc\r\n"), BAD, NULL },
	{ __LINE__, IN("1ffffffff\r\nabc"), MORE, "abc" },
	{ __LINE__, IN("fffffffffffff\r\nabc"), MORE, "abc" },
	{ __LINE__, IN("000fffffffffffff\r\nabc"), MORE, "abc" },
	{ __LINE__, IN("10000000000000\r\nabc"), BAD, NULL },
	{ __LINE__, IN("7fffffffffffffff\r\nabc"), BAD, NULL },
	{ __LINE__, IN("8000000000000000\r\nabc"), BAD, NULL },
	{ __LINE__, IN("ffffffffffffffff\r\nabc"), BAD, NULL },
	{ __LINE__, IN("10000000000000003\r\nabc\r\n"), BAD, NULL },
	{ __LINE__, IN("100000000000000000003\r\nabc\r\n"), BAD, NULL },
	/* line ends */
	{ __LINE__, IN("3\nabc\r\n0\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("3\r\nabc\n0\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("3\r\nabc\r0\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("3\r\nabcd\r\n0\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("3\r\nab\r\n0\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("3\rabc\r\n"), BAD, NULL },
	{ __LINE__, IN("3\r\rabc"), BAD, NULL },
	{ __LINE__, IN("0\n\r\n"), BAD, NULL },
	{ __LINE__, IN("0\r\n\n"), BAD, NULL },
	{ __LINE__, IN("0\r\n\rX"), BAD, NULL },
	/* trailers */
	{ __LINE__, IN("0\r\nA: b\r\n\r\nX"), 11, "" },
	{ __LINE__, IN("3\r\nabc\r\n0\r\nA:\r\nB-2: \tc d\xff\r\n\r\n"), 29, "abc" },
	{ __LINE__, IN("0\r\nA\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("0\r\nA : b\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("0\r\n: b\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("0\r\n A: b\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("0\r\nA: b\r\n c\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("0\r\nA: b\n\r\n"), BAD, NULL },
	{ __LINE__, IN("0\r\nA: b\rc\r\n\r\n"), BAD, NULL },
	{ __LINE__, IN("0\r\nA: \0\r\n\r\n"), BAD, NULL },
	/* not finished */
	{ __LINE__, IN("3"), MORE, "" },
	{ __LINE__, IN("3\r"), MORE, "" },
	{ __LINE__, IN("3\r\nab"), MORE, "ab" },
	{ __LINE__, IN("3\r\nabc"), MORE, "abc" },
	{ __LINE__, IN("3\r\nabc\r\n"), MORE, "abc" },
	{ __LINE__, IN("0\r\n"), MORE, "" },
	{ __LINE__, IN("0\r\nA: b\r\n"), MORE, "" },
};
// clang-format on

static void
table(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct outcome o;
		int line = rows[i].line;

		run_all(line, rows[i].in, &o);
		if (rows[i].rc == BAD) {
			if (o.rc != BAD)
				fail_msg("line %d: rc %d", line, o.rc);
			continue;
		}
		if (o.rc != (rows[i].rc == MORE ? (int)rows[i].in.len : rows[i].rc) ||
			o.done != (rows[i].rc != MORE))
			fail_msg("line %d: rc %d done %d", line, o.rc, o.done);
		if (o.data != strlen(rows[i].payload) ||
			memcmp(o.payload, rows[i].payload, o.data) != 0)
			fail_msg("line %d: payload", line);
	}
}

static char text[MAX_IN];

/* How much framing passes: one long extension, many, and such as payload pays for. */
static void
overhead(void **state sl_unused)
{
	struct outcome o;
	struct sl_buf b;

	for (int extra = 0; extra <= 1; extra++) { // "1;xxx" of exactly the limit, CR and LF too
		uint32_t len = H1_CHUNK_MAX_OVERHEAD + (uint32_t)extra;
		memset(text, 'x', sizeof(text));
		memcpy(text, "1;", 2);
		memcpy(text + len - 2, "\r\nd\r\n", 5);
		run_all(__LINE__, sl_str_make(text, len + 3), &o);
		assert_int_equal(o.rc, extra > 0 ? -EMSGSIZE : (int)len + 3);
	}
	// the same again and again for one byte each: each pays 18 bytes, the rest adds up
	sl_buf_init(&b, text, sizeof(text));
	for (int i = 0; i < 100; i++)
		sl_buf_printf(&b, "1;%0*d\r\nd\r\n", H1_CHUNK_MAX_OVERHEAD / 50, 0);
	run_all(__LINE__, sl_buf_str(&b), &o);
	assert_int_equal(o.rc, -EMSGSIZE);
	// small chunks without extensions may go on for ever
	sl_buf_reset(&b);
	for (int i = 0; i < 5000; i++)
		sl_buf_addc(&b, "1\r\nd\r\n");
	assert_false(b.full);
	run_all(__LINE__, sl_buf_str(&b), &o);
	assert_int_equal(o.rc, (int)b.len);
	assert_int_equal(o.data, 5000);
	// trailers
	for (int lines = 3; lines < 40; lines += 30) {
		sl_buf_reset(&b);
		sl_buf_addc(&b, "0\r\n");
		for (int i = 0; i < lines; i++)
			sl_buf_printf(&b, "T: %0*d\r\n", 1000, 0);
		sl_buf_addc(&b, "\r\n");
		run_all(__LINE__, sl_buf_str(&b), &o);
		assert_int_equal(o.rc, lines > 15 ? -EMSGSIZE : (int)b.len);
	}
}

static void
beyond_32_bits(void **state sl_unused)
{
	struct h1_chunk c = { 0 };
	static const char size[] = "1ffffffff\r\n";
	uint64_t sent = 0;
	uint32_t data;

	assert_int_equal(h1_chunk_scan(&c, size, sizeof(size) - 1, &data), sizeof(size) - 1);
	assert_int_equal(c.left, 0x1ffffffffull);
	while (c.state == H1_CHUNK_DATA) {
		// pretends that the payload came: the scan does not touch it
		uint32_t n = (uint32_t)sl_min(c.left, (uint64_t)INT32_MAX);
		assert_int_equal(h1_chunk_scan(&c, text, n, &data), (int)n);
		assert_int_equal(data, n);
		sent += n;
	}
	assert_int_equal(sent, 0x1ffffffffull);
	assert_int_equal(h1_chunk_scan(&c, "\r\n0\r\n\r\nX", 8, &data), 7);
	assert_int_equal(c.state, H1_CHUNK_DONE);
	assert_int_equal(h1_chunk_scan(&c, "X", 1, &data), 0);
}

static void
heads(void **state sl_unused)
{
	static const struct {
		uint64_t n;
		const char *text;
	} want[] = { { 1, "1\r\n" }, { 15, "f\r\n" }, { 16, "10\r\n" }, { 0x1a2, "1a2\r\n" },
		{ 0xffffffff, "ffffffff\r\n" }, { 0x100000000ull, "100000000\r\n" },
		{ UINT64_MAX, "ffffffffffffffff\r\n" }, { 0, "0\r\n" } };

	for (size_t i = 0; i < SL_ARRAY_SIZE(want); i++) {
		char *out = guard_end(&guard, text, 18);
		int len = h1_chunk_head(out, want[i].n);
		assert_int_equal(len, strlen(want[i].text));
		assert_memory_equal(out, want[i].text, (size_t)len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(overhead),
		cmocka_unit_test(beyond_32_bits),
		cmocka_unit_test(heads),
	};

	guard_init(&guard, MAX_IN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
