// SPDX-License-Identifier: BSD-3-Clause
/*
 * Cycles (wall TSC) of the HTTP/1 head functions: parse with framing, own + edit, write.
 *
 * 256 different heads of 8 fields and about 400 bytes in random order, so that neither the branch
 * predictor nor one cache line knows them; every result is checked. Prints the median and the
 * spread of 21 rounds, one figure per line. Not a test: asserts nothing about time.
 */
#include "dataplane/base/rand.h"
#include "dataplane/http/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#define HEADS  256
#define ROUNDS 21
#define STEPS  20000

struct head {
	char text[640];
	uint32_t len;
};

static struct head heads[HEADS], answers[HEADS];
static struct sl_rand rnd;

static void
word(struct sl_buf *b, uint32_t min, uint32_t max)
{
	for (uint32_t n = min + rand_below(&rnd, max - min + 1); n > 0; n--)
		sl_buf_char(b, "abcdefghijklmnopqrstuvwxyz0123456789-/"[rand_below(&rnd, 38)]);
}

static void
make_request(struct head *h)
{
	struct sl_buf b;

	sl_buf_init(&b, h->text, sizeof(h->text));
	sl_buf_addc(&b, "GET /");
	word(&b, 10, 40);
	sl_buf_addc(&b, "?id=");
	word(&b, 1, 12);
	sl_buf_addc(&b, " HTTP/1.1\r\nHost: ");
	word(&b, 1, 1);
	sl_buf_addc(&b, "www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) ");
	word(&b, 20, 60);
	sl_buf_addc(&b,
		"\r\nAccept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n"
		"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n"
		"Connection: keep-alive\r\nReferer: http://www.example.com/");
	word(&b, 5, 25);
	sl_buf_addc(&b, "\r\nCookie: session=");
	word(&b, 16, 48);
	sl_buf_addc(&b, "\r\n\r\n");
	for (char *p = strstr(h->text, "Host: ") + 6; *p == '-' || *p == '/'; p++)
		*p = 'h'; // a host that passes
	h->len = b.len;
}

static void
make_response(struct head *h)
{
	struct sl_buf b;

	sl_buf_init(&b, h->text, sizeof(h->text));
	sl_buf_addc(&b,
		"HTTP/1.1 200 OK\r\nServer: backend/1.2\r\n"
		"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/html\r\n"
		"Content-Length: ");
	sl_buf_u64(&b, 1 + rand_below(&rnd, 100000));
	sl_buf_addc(&b, "\r\nETag: \"");
	word(&b, 10, 30);
	sl_buf_addc(&b, "\"\r\nCache-Control: max-age=60\r\n\r\n");
	h->len = b.len;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

typedef void (*step_fn)(uint32_t i);

static void
check(bool ok)
{
	if (!ok) {
		fprintf(stderr, "bench_h1: wrong result\n");
		exit(1);
	}
}

static void
step_request(uint32_t i)
{
	struct http_field hdr[HTTP_MAX_HDR];
	struct h1_parser p = { 0 };
	struct http_msg m;

	http_msg_init(&m, hdr, HTTP_MAX_HDR, true);
	check(h1_parse_request(&p, &m, heads[i].text, heads[i].len) == (int)heads[i].len);
	check(m.nhdr == 8);
}

static void
step_response(uint32_t i)
{
	struct http_field hdr[HTTP_MAX_HDR];
	struct h1_parser p = { 0 };
	struct http_msg m;

	http_msg_init(&m, hdr, HTTP_MAX_HDR, false);
	check(h1_parse_response(&p, &m, answers[i].text, answers[i].len, HTTP_GET) ==
		(int)answers[i].len);
	check(m.framing == HTTP_BODY_LENGTH);
}

static void
step_proxy(uint32_t i)
{
	struct http_field hdr[HTTP_MAX_HDR];
	char mem[2048], out[2048];
	struct h1_parser p = { 0 };
	struct http_msg m;

	http_msg_init(&m, hdr, HTTP_MAX_HDR, true);
	check(h1_parse_request(&p, &m, heads[i].text, heads[i].len) > 0);
	check(http_msg_own(&m, mem, sizeof(mem)) == 0);
	check(http_hdr_add(&m, SL_STR("X-Forwarded-For"), SL_STR("192.0.2.1")) == 0);
	check(http_hdr_set(&m, SL_STR("X-Request"), SL_STR("1")) == 0);
	check(http_hdr_del(&m, SL_STR("Connection")) == 1);
	check(h1_write_head(&m, out, sizeof(out), false) > 400 - 200);
}

static void
measure(const char *name, step_fn step)
{
	static uint32_t order[STEPS];
	double cycles[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start;
		for (uint32_t i = 0; i < STEPS; i++)
			order[i] = rand_below(&rnd, HEADS);
		start = __rdtsc();
		for (uint32_t i = 0; i < STEPS; i++)
			step(order[i]);
		cycles[round] = (double)(__rdtsc() - start) / STEPS;
	}
	qsort(cycles, ROUNDS, sizeof(*cycles), by_value);
	printf("%-28s %7.0f cycles (%.0f .. %.0f)\n", name, cycles[ROUNDS / 2], cycles[0],
		cycles[ROUNDS - 1]);
}

int
main(void)
{
	uint64_t bytes = 0;

	rand_seed(&rnd, 1);
	for (int i = 0; i < HEADS; i++) {
		make_request(&heads[i]);
		make_response(&answers[i]);
		bytes += heads[i].len;
	}
	printf("%-28s %7.0f bytes\n", "mean request head, 8 fields", (double)bytes / HEADS);
	measure("parse request", step_request);
	measure("parse response", step_response);
	measure("parse, own, 3 edits, write", step_proxy);
	return 0;
}
