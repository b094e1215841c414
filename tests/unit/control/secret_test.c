// SPDX-License-Identifier: BSD-3-Clause
/* Secrets come from the kernel, or a start fails. */
#include "control/secret.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

#include <cmocka.h>

/* What the kernel says, a call each: an errno, or 0 for all that is asked, or minus the bytes it gives. */
static int says[3];
static uint32_t calls;
static unsigned int flags_seen;

ssize_t
getrandom(void *to, size_t n, unsigned int flags)
{
	int what = says[calls++];

	flags_seen |= flags;
	if (what > 0) {
		errno = what;
		return -1;
	}
	n = what < 0 ? (size_t)-what : n;
	memset(to, 0xa5, n);
	return (ssize_t)n;
}

static const struct row {
	int line;
	int says[3];
	int rc;
	uint32_t calls;
} rows[] = {
	{ __LINE__, { 0 }, 0, 1 },
	{ __LINE__, { EINTR, EINTR, 0 }, 0, 3 },
	{ __LINE__, { ENOSYS }, -ENOSYS, 1 },
	{ __LINE__, { EINTR, EPERM }, -EPERM, 2 },
	{ __LINE__, { -7 }, -EIO, 1 },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t b[17] = { 0 };
		int rc;

		memcpy(says, rows[i].says, sizeof(says));
		calls = 0;
		rc = secret_draw(b, 16);
		if (rc != rows[i].rc || calls != rows[i].calls)
			fail_msg("line %d: %d after %u calls", rows[i].line, rc, calls);
		if (rc == 0)
			for (int k = 0; k < 16; k++)
				assert_int_equal(b[k], 0xa5);
		assert_int_equal(b[16], 0);
	}
	assert_int_equal(flags_seen, 0); // waits for noise, and takes no other source
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
