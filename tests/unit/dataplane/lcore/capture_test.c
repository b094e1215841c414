// SPDX-License-Identifier: BSD-3-Clause
/* Rings of captured frames: contents, order, the end of the memory, room, filters, two threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <sched.h>

#include "dataplane/lcore/capture.h"

#define RING  4096u
#define COUNT 20000u

static struct lcore lcore; // no more of it than its number and the time are looked at

/* A frame of n bytes that tell its number, in one or two pieces. */
struct frame {
	struct rte_mbuf m[2];
	uint8_t b[2000];
};

static void
make(struct frame *f, uint32_t number, uint32_t n, uint32_t cut)
{
	memset(f->m, 0, sizeof(f->m));
	for (uint32_t i = 0; i < n; i++)
		f->b[i] = (uint8_t)(number * 7 + i);
	f->m[0].buf_addr = f->b;
	f->m[0].data_len = (uint16_t)(cut != 0 ? cut : n);
	f->m[0].pkt_len = n;
	f->m[0].nb_segs = cut != 0 ? 2 : 1;
	f->m[0].next = cut != 0 ? &f->m[1] : NULL;
	f->m[1].buf_addr = f->b + cut;
	f->m[1].data_len = (uint16_t)(n - cut);
}

static struct capture *
open_one(uint32_t snaplen, const struct bpf_insn *insns, uint32_t n)
{
	struct capture_spec s = {
		.snaplen = snaplen, .nworkers = 1, .ring_size = RING, .insns = insns, .ninsns = n
	};
	struct capture *c = NULL;

	assert_int_equal(capture_new(&s, &c), 0);
	return c;
}

static void
expect(const struct capture_rec *r, uint32_t number, uint32_t kept, uint32_t wire)
{
	assert_non_null(r);
	assert_int_equal(r->len, kept);
	assert_int_equal(r->wire, wire);
	for (uint32_t i = 0; i < kept; i++)
		if (capture_data(r)[i] != (uint8_t)(number * 7 + i))
			fail_msg("frame %u differs at byte %u", number, i);
}

/* Sizes that meet the end of the memory in every way; whole and in pieces; cut by the length. */
static void
contents(void **state)
{
	struct capture *c = open_one(1500, NULL, 0);
	struct capture_ring *r = c->ring[0];
	struct frame f;

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t n = 1 + i * 13 % 1900;

		make(&f, i, n, i % 3 == 0 && n > 50 ? n / 2 : 0);
		lcore.wall_us = i;
		capture_frame(&lcore, c, 3, f.m, i % 2 == 0);
		const struct capture_rec *rec = capture_peek(r);
		expect(rec, i, sl_min(n, 1500u), n);
		assert_int_equal(rec->kind, CAPTURE_FRAME);
		assert_int_equal(rec->port, 3);
		assert_int_equal(rec->out, i % 2 == 0);
		assert_int_equal(rec->wall_us, i);
		capture_pop(r, rec);
		assert_null(capture_peek(r));
	}
	assert_int_equal(counter_get(&r->count[3].seen), 20000);
	assert_int_equal(counter_get(&r->count[3].matched), 20000);
	assert_int_equal(counter_get(&r->count[3].lost), 0);
	capture_free(c);
}

/* A full ring keeps what it has and counts what it loses; seen = kept + lost. */
static void
bounds(void **state)
{
	struct capture *c = open_one(CAPTURE_SNAPLEN, NULL, 0);
	struct capture_ring *r = c->ring[0];
	const struct capture_rec *rec;
	struct frame f;
	uint32_t kept = 0;

	(void)state;
	for (uint32_t round = 0; round < 50; round++) {
		for (uint32_t i = 0; i < 100; i++) {
			make(&f, i, 100 + round, 0);
			capture_frame(&lcore, c, 0, f.m, false);
		}
		for (uint32_t i = 0; (rec = capture_peek(r)) != NULL; i++, kept++) {
			expect(rec, i, 100 + round, 100 + round);
			capture_pop(r, rec);
		}
	}
	assert_true(kept > 50 * (RING / 256) && kept < 50 * (RING / 100));
	assert_int_equal(counter_get(&r->count[0].seen), 5000);
	assert_int_equal(counter_get(&r->count[0].lost), 5000 - kept);
	// one that would never fit
	make(&f, 0, 2000, 0);
	f.m[0].next = f.m;
	f.m[0].pkt_len = 6000;
	f.m[0].nb_segs = 3;
	capture_frame(&lcore, c, 0, f.m, false);
	assert_null(capture_peek(r));
	assert_int_equal(counter_get(&r->count[0].lost), 5001 - kept);
	capture_free(c);
}

static void
links(void **state)
{
	struct capture *c = open_one(100, NULL, 0);
	struct capture_link l = { .stream = { 5, 7 }, .client.remote.port = 4242 }, got;
	struct frame f;
	const struct capture_rec *rec;

	(void)state;
	make(&f, 1, 60, 0);
	capture_link(&lcore, c, &l);
	capture_host(&lcore, c, 9, f.m, true, true);
	rec = capture_peek(c->ring[0]);
	assert_int_equal(rec->kind, CAPTURE_LINK);
	memcpy(&got, capture_data(rec), sizeof(got));
	assert_memory_equal(&got, &l, sizeof(l));
	capture_pop(c->ring[0], rec);
	rec = capture_peek(c->ring[0]);
	expect(rec, 1, 60, 60);
	assert_int_equal(rec->kind, CAPTURE_HOST);
	assert_int_equal(rec->port, CAPTURE_IFS - 1);
	assert_int_equal(rec->host, 9);
	assert_true(rec->out && rec->passive);
	capture_free(c);
}

/* What it leaves out is neither kept nor lost; bytes behind the first piece are seen. */
static void
filters(void **state)
{
	static const struct bpf_insn is_77[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 60),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 77, 0, 1), BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0) };
	struct capture *c = open_one(8, is_77, SL_ARRAY_SIZE(is_77));
	struct capture_count *n = &c->ring[0]->count[0];
	struct frame f;

	(void)state;
	for (uint32_t i = 0; i < 20; i++) {
		make(&f, 1, 70, i % 2 == 0 ? 20 : 0);
		f.b[60] = i % 4 < 2 ? 77 : 0;
		capture_frame(&lcore, c, 0, f.m, false);
	}
	make(&f, 1, 60, 0); // too short for the byte: no match
	capture_frame(&lcore, c, 0, f.m, false);
	assert_int_equal(counter_get(&n->seen), 21);
	assert_int_equal(counter_get(&n->matched), 10);
	assert_int_equal(counter_get(&n->lost), 0);
	capture_free(c);
}

/* A program that does not end, or not here, is refused. */
static void
bad_filters(void **state)
{
	static const struct bpf_insn row[][2] = {
		{ BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)-1), BPF_STMT(BPF_RET | BPF_K, 0) }, // to itself
		{ BPF_STMT(BPF_JMP | BPF_JA, 7), BPF_STMT(BPF_RET | BPF_K, 0) },
		{ BPF_STMT(BPF_LD | BPF_IMM, 0), BPF_STMT(BPF_LD | BPF_IMM, 0) }, // no end
		{ BPF_STMT(BPF_ST, 99), BPF_STMT(BPF_RET | BPF_K, 0) },           // no such memory
		{ BPF_STMT(0xffff, 0), BPF_STMT(BPF_RET | BPF_K, 0) },
		{ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 9, 9), BPF_STMT(BPF_RET | BPF_K, 0) },
	};

	(void)state;
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(row); i++) {
		struct capture_spec s = { .snaplen = 64, .nworkers = 1, .insns = row[i], .ninsns = 2 };
		struct capture *c = NULL;

		if (capture_new(&s, &c) != -EINVAL)
			fail_msg("filter %u is taken", i);
	}
}

static void *
worker(void *arg)
{
	static struct frame f;

	for (uint32_t i = 0; i < COUNT; i++) {
		make(&f, i, 4 + i % 300, 0);
		memcpy(f.b, &i, sizeof(i));
		capture_frame(&lcore, arg, 0, f.m, false);
		if (i % 256 == 0)
			sched_yield();
	}
	return NULL;
}

/* What comes through is whole and in order, whatever is lost between. */
static void
two_threads(void **state)
{
	struct capture *c = open_one(CAPTURE_SNAPLEN, NULL, 0);
	struct capture_ring *r = c->ring[0];
	uint64_t seen, got = 0;
	uint32_t next = 0, number;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, worker, c), 0);
	do {
		const struct capture_rec *rec;

		seen = counter_get(&r->count[0].seen);
		while ((rec = capture_peek(r)) != NULL) {
			memcpy(&number, capture_data(rec), sizeof(number));
			if (number < next || rec->len != 4 + number % 300)
				fail_msg("frame %u of %u bytes after %u", number, rec->len, next);
			for (uint32_t i = 4; i < rec->len; i++)
				if (capture_data(rec)[i] != (uint8_t)(number * 7 + i))
					fail_msg("frame %u differs", number);
			next = number + 1;
			got++;
			capture_pop(r, rec);
		}
		sched_yield();
	} while (seen < COUNT || capture_peek(r) != NULL);
	pthread_join(t, NULL);
	for (const struct capture_rec *rec; (rec = capture_peek(r)) != NULL; got++)
		capture_pop(r, rec);
	assert_int_equal(got + counter_get(&r->count[0].lost), COUNT);
	capture_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contents),
		cmocka_unit_test(bounds),
		cmocka_unit_test(links),
		cmocka_unit_test(filters),
		cmocka_unit_test(bad_filters),
		cmocka_unit_test(two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
