// SPDX-License-Identifier: BSD-3-Clause
/* Where workers, main and scripts go, for small and large machines, with and without cpu-map. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "control/threads.h"

static cpu_set_t
set_of(uint64_t bits)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	for (int i = 0; i < 64; i++) {
		if (bits >> i & 1)
			CPU_SET(i, &s);
	}
	return s;
}

static uint64_t
bits_of(const cpu_set_t *s)
{
	uint64_t bits = 0;

	for (int i = 0; i < 64; i++)
		bits |= (uint64_t)CPU_ISSET(i, s) << i;
	return bits;
}

struct row {
	int line;
	uint64_t allowed;
	uint32_t nbthread;
	uint64_t map[4]; // 0: not set
	int rc;
	uint16_t worker[4], main;
	uint64_t script;
	bool shared;
};

static const struct row rows[] = {
	// automatic
	{ __LINE__, 0x1, 1, { 0 }, 0, { 0 }, 0, 0x1, true },
	{ __LINE__, 0x1, 3, { 0 }, 0, { 0, 0, 0 }, 0, 0x1, true },
	{ __LINE__, 0x3, 1, { 0 }, 0, { 1 }, 0, 0x1, false },
	{ __LINE__, 0x3, 2, { 0 }, 0, { 1, 0 }, 0, 0x3, true },
	{ __LINE__, 0xff, 1, { 0 }, 0, { 1 }, 0, 0xfd, false },
	{ __LINE__, 0xff, 4, { 0 }, 0, { 1, 2, 3, 4 }, 0, 0xe1, false },
	{ __LINE__, 0xf0, 2, { 0 }, 0, { 5, 6 }, 4, 0x90, false }, // not from CPU 0 on
	// cpu-map
	{ __LINE__, 0xff, 2, { 0x08, 0x01 }, 0, { 3, 0 }, 1, 0xf6, false },
	{ __LINE__, 0xff, 3, { 0x0c, 0x0c, 0x0c }, 0, { 2, 3, 2 }, 0, 0xf3, true },
	{ __LINE__, 0x0f, 2, { 0xf1, 0 }, 0, { 0, 2 }, 1, 0x0a, false }, // mixed
	{ __LINE__, 0x03, 1, { 0x04 }, -EINVAL, { 0 }, 0, 0, false },
	// bounds
	{ __LINE__, 0x03, 65, { 0 }, -EINVAL, { 0 }, 0, 0, false },
};

static void
test_rows(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		cpu_set_t allowed = set_of(r->allowed);
		struct global_conf g = { .nbthread = r->nbthread };
		struct thread_plan p;
		struct port_err err = { "" };
		int rc;

		for (int w = 0; w < 4; w++) {
			g.cpu_map[w].set = r->map[w] != 0;
			g.cpu_map[w].mask[0] = r->map[w];
		}
		rc = thread_plan(&g, &allowed, &p, &err);
		if (rc != r->rc)
			fail_msg("line %d: rc %d", r->line, rc);
		if (rc != 0) {
			assert_true(err.text[0] != '\0');
			continue;
		}
		for (uint32_t w = 0; w < r->nbthread; w++) {
			if (p.worker_cpu[w] != r->worker[w])
				fail_msg("line %d: worker %u on %u", r->line, w, p.worker_cpu[w]);
		}
		if (p.main_cpu != r->main || bits_of(&p.script) != r->script ||
			p.shared != r->shared)
			fail_msg("line %d: main %u, scripts %lx, shared %d", r->line, p.main_cpu,
				bits_of(&p.script), p.shared);
	}
}

static void
test_error_names_thread(void **state sl_unused)
{
	cpu_set_t allowed = set_of(0x17);
	struct global_conf g = { .nbthread = 2 };
	struct thread_plan p;
	struct port_err err;

	g.cpu_map[1] = (struct cpu_map){ .set = true, .mask = { 0x08 } };
	assert_int_equal(thread_plan(&g, &allowed, &p, &err), -EINVAL);
	assert_non_null(strstr(err.text, "thread 2"));
	assert_non_null(strstr(err.text, "0-2,4"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_error_names_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
