// SPDX-License-Identifier: BSD-3-Clause
/* The Toeplitz hash against the published vectors; keys; owners; port classes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "drivers/drv.h"

/* Key and vectors of "Verifying the RSS Hash Calculation" (Microsoft, NDIS). */
static const uint8_t ms_key[PORT_RSS_KEY] = { 0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41,
	0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
	0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01,
	0xfa };

static const struct {
	int line;
	const char *src;
	uint16_t sport;
	const char *dst;
	uint16_t dport;
	uint32_t hash;
} vectors[] = {
	{ __LINE__, "66.9.149.187", 2794, "161.142.100.80", 1766, 0x51ccc178 },
	{ __LINE__, "199.92.111.2", 14230, "65.69.140.83", 4739, 0xc626b0ea },
	{ __LINE__, "24.19.198.95", 12898, "12.22.207.184", 38024, 0x5c2b394a },
	{ __LINE__, "38.27.205.30", 48228, "209.142.163.6", 2217, 0xafc7327f },
	{ __LINE__, "153.39.163.191", 44251, "202.188.127.2", 1303, 0x10e828a2 },
	{ __LINE__, "3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x40207d3d },
	{ __LINE__, "3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0xdde51bbf },
	{ __LINE__, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, "fe80::200:f8ff:fe21:67cf", 38024,
		0x02d1feef },
};

static struct toeplitz tables;

static struct port
make_port(uint16_t nqueues, bool fixed)
{
	struct port p = { .nqueues = nqueues, .toeplitz = &tables };

	toeplitz_make_key(p.rss_key, fixed);
	toeplitz_init(&tables, p.rss_key);
	rss_fill_owner(&p, 0);
	return p;
}

static void
reference(void **state)
{
	struct port p = { .toeplitz = &tables };

	(void)state;
	toeplitz_init(&tables, ms_key);
	for (size_t i = 0; i < SL_ARRAY_SIZE(vectors); i++) {
		struct ip_addr src, dst;
		uint32_t h;

		assert_int_equal(addr_parse(sl_str_c(vectors[i].src), &src), 0);
		assert_int_equal(addr_parse(sl_str_c(vectors[i].dst), &dst), 0);
		h = port_hash(&p, &src, &dst, vectors[i].sport, vectors[i].dport);
		if (h != vectors[i].hash)
			fail_msg("row of line %d: %08x", vectors[i].line, h);
	}
}

/* Whoever is asked for gets the replies: both families, any number of workers, random keys. */
static void
classes(void **state)
{
	static const char *const peers[] = { "10.0.0.2", "192.0.2.99", "2001:db8::77" };
	static const char *const ours[] = { "10.0.0.1", "198.51.100.1", "2001:db8::1" };

	(void)state;
	for (uint16_t nq = 1; nq <= 7; nq++) {
		struct port p = make_port(nq, nq % 2);
		struct port_classes *pc = port_classes_new(&p, 1024, 65535);

		assert_non_null(pc);
		for (int k = 0; k < 3; k++) {
			struct ip_addr peer, our;
			uint32_t base;

			addr_parse(sl_str_c(peers[k]), &peer);
			addr_parse(sl_str_c(ours[k]), &our);
			base = port_hash(&p, &peer, &our, 80, 0);
			for (uint16_t w = 0; w < nq; w++) {
				uint32_t cursor = 12345 * w;
				for (int i = 0; i < 2000; i++) {
					uint16_t lp = port_class_next(pc, base, w, &cursor);
					assert_true(lp >= 1024);
					assert_int_equal(
						port_owner(&p, port_hash(&p, &peer, &our, 80, lp)),
						w);
				}
			}
		}
		uint32_t cursor = 0;
		assert_int_equal(port_class_next(pc, 0, nq, &cursor), 0);
		port_classes_free(pc);
	}
}

struct range {
	uint16_t first, last;
	uint32_t turn; // steps of each worker
	bool once;     // classes are of equal size
	bool any;      // whatever the key; else a fixed one, as a part may be split unevenly
};

static void
is_complete(const struct range *r)
{
	static uint32_t seen[2][65536];
	struct port p = make_port(2, !r->any);
	struct port_classes *pc = port_classes_new(&p, r->first, r->last);

	memset(seen, 0, sizeof(seen));
	for (uint16_t w = 0; w < 2; w++) {
		uint32_t cursor = 0, none = 0;
		for (uint32_t i = 0; i < r->turn; i++) {
			uint16_t lp = port_class_next(pc, 0x5a5a5a5a, w, &cursor);

			if (lp == 0 && r->first > 0)
				none++;
			else
				seen[w][lp]++;
		}
		// of 256 ports all may be the other one's, by one key in 128 or so: then each is, below
		assert_true(none == 0 || none == r->turn);
	}
	for (uint32_t i = 0; i < 65536; i++) {
		uint32_t n = seen[0][i] + seen[1][i];

		if (i < r->first || i > r->last)
			assert_int_equal(n, 0);
		else if (n == 0 || (r->once && n > 1) || (seen[0][i] > 0 && seen[1][i] > 0))
			fail_msg("from %u: port %u, %u and %u", r->first, i, seen[0][i], seen[1][i]);
	}
	port_classes_free(pc);
}

/* A turn of the cursor gives every port of the range to its worker, and no other port. */
static void
classes_complete(void **state)
{
	static const struct range ranges[] = {
		{ 1024, 65535, 32256, true, false },
		{ 1024, 65535, 512 * PORT_RETA, false, true },
		{ 0, 65535, 32768, true, true },
		{ 32768, 33023, 128, true, false },
		{ 32768, 33023, 512 * PORT_RETA, false, true },
		{ 60000, 65535, 64 * 65536 / PORT_RETA, false, true },
	};

	(void)state;
	// of the keys that come by chance each fourth leaves classes of the short range empty
	for (size_t i = 0; i < SL_ARRAY_SIZE(ranges); i++)
		for (int n = ranges[i].any ? 16 : 1; n > 0; n--)
			is_complete(&ranges[i]);
}

/* A port that belongs to one worker only: the other one is told so, and does not search for ever. */
static void
classes_few(void **state)
{
	struct port p = make_port(2, false);
	struct port_classes *pc = port_classes_new(&p, 50000, 50000);
	uint32_t cursor[2] = { 7, 7 }, n = 0;

	(void)state;
	for (int i = 0; i < 200; i++)
		for (uint16_t w = 0; w < 2; w++) {
			uint16_t lp = port_class_next(pc, 1, w, &cursor[w]);

			assert_true(lp == 50000 || lp == 0);
			n += lp == 50000;
		}
	assert_int_equal(n, 200);
	port_classes_free(pc);
}

static void
owners(void **state)
{
	struct port p = { .nqueues = 3 };

	(void)state;
	rss_fill_owner(&p, 64); // a table of 64 in the device
	for (int i = 0; i < PORT_RETA; i++)
		assert_int_equal(p.owner[i], i % 64 % 3);
}

static void
devices(void **state)
{
	static const struct {
		int line;
		const char *device, *want;
	} rows[] = {
		{ __LINE__, "wire3a,rss=0", "net_null_wire3a,no-rx=1" },
		{ __LINE__, "net_tap0,iface=x", "net_tap0,iface=x" },
		{ __LINE__, "net_af_xdp0,iface=v",
			"net_af_xdp0,iface=v,start_queue=0,queue_count=4,"
			"busy_budget=0" },
		{ __LINE__, "net_af_xdp0,iface=v,queue_count=1,busy_budget=64",
			"net_af_xdp0,iface=v,queue_count=1,busy_budget=64,start_queue=0" },
		{ __LINE__, "net_af_packet0,iface=v,framecnt=8",
			"net_af_packet0,iface=v,framecnt=8,qpairs=4,blocksz=65536,framesz=2048,"
			"qdisc_bypass=1" },
		{ __LINE__, "0000:3b:00.0", "0000:3b:00.0" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct port_spec s = { .device = sl_str_c(rows[i].device) };
		char text[256];
		struct sl_buf b;

		sl_buf_init(&b, text, sizeof(text));
		assert_int_equal(pmd_device(&s, 4, &b), 0);
		if (strcmp(text, rows[i].want) != 0)
			fail_msg("row of line %d: %s", rows[i].line, text);
	}
}

static void
refused(void **state)
{
	static const struct {
		int line;
		const char *device, *says;
	} rows[] = {
		{ __LINE__, "net_af_xdp0", "iface=" },
		{ __LINE__, "net_af_packet0,iface=slnotthere", "no interface 'slnotthere'" },
		{ __LINE__, "net_ring0", "wireNa" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct port_spec s = { .name = SL_STR("lan"), .device = sl_str_c(rows[i].device) };
		struct port_err err = { .text = "" };

		assert_true(pmd_quirk(s.device)->check(&s, 1, &err) < 0);
		if (strstr(err.text, rows[i].says) == NULL || strstr(err.text, "'lan'") == NULL)
			fail_msg("row of line %d: %s", rows[i].line, err.text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reference),
		cmocka_unit_test(classes),
		cmocka_unit_test(classes_complete),
		cmocka_unit_test(classes_few),
		cmocka_unit_test(owners),
		cmocka_unit_test(devices),
		cmocka_unit_test(refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
