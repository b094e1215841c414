// SPDX-License-Identifier: BSD-3-Clause
/* What "tune.tcp.cc host" makes of the kernel's setting. */
#include "control/congestion.h"
#include "dataplane/tcp/tcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static uint32_t
of(const char *text)
{
	char path[] = "/tmp/congestion-test-XXXXXX";
	int fd = mkstemp(path);
	uint32_t id;

	assert_true(fd >= 0);
	assert_int_equal(dprintf(fd, "%s", text), (int)strlen(text));
	close(fd);
	id = congestion_of_host(path);
	unlink(path);
	return id;
}

static void
test_names(void **state)
{
	(void)state;
	assert_int_equal(of("bbr\n"), TCP_CC_BBR);
	assert_int_equal(of("cubic\n"), TCP_CC_CUBIC);
	assert_int_equal(of("reno\n"), TCP_CC_NEWRENO);
	assert_int_equal(of("westwood\n"), TCP_CC_WESTWOOD);
}

/* RFC 9438 is what everything else means. */
static void
test_others(void **state)
{
	(void)state;
	assert_int_equal(of("dctcp\n"), TCP_CC_CUBIC);
	assert_int_equal(of("bbr2\n"), TCP_CC_CUBIC);
	assert_int_equal(of(""), TCP_CC_CUBIC);
	assert_int_equal(of("a-name-that-is-longer-than-any-that-the-kernel-would-take"), TCP_CC_CUBIC);
	assert_int_equal(congestion_of_host("/nonexistent/file"), TCP_CC_CUBIC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
