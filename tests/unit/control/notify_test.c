// SPDX-License-Identifier: BSD-3-Clause
/* What the service manager receives: over a path, over the abstract namespace, after the path is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/notify.h"
#include "dataplane/base/base.h"

static int
manager(const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, name, strlen(name));
	if (name[0] == '@')
		un.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&un,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
		0);
	return fd;
}

static void
expect(int fd, const char *text)
{
	char got[64] = "";
	ssize_t n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);

	assert_int_equal(n, (ssize_t)strlen(text));
	assert_string_equal(got, text);
}

static void
test_path(void **state sl_unused)
{
	char path[64];
	int server, fd;

	snprintf(path, sizeof(path), "/tmp/sluice-notify-%d", getpid());
	setenv("NOTIFY_SOCKET", path, 1);
	server = manager(path);
	assert_int_equal(notify_open(true, &fd), 0);
	assert_true(fd >= 0);
	unlink(path); // as after chroot
	assert_int_equal(notify_send(fd, "READY=1\n"), 0);
	assert_int_equal(notify_send(fd, "STOPPING=1\n"), 0);
	expect(server, "READY=1\n");
	expect(server, "STOPPING=1\n");
	close(server);
	assert_true(notify_send(fd, "READY=1\n") < 0);
	close(fd);
	assert_int_equal(notify_open(true, &fd), -ENOENT);
	assert_int_equal(fd, -1);
}

static void
test_abstract(void **state sl_unused)
{
	char name[64];
	int server, fd;

	snprintf(name, sizeof(name), "@sluice-notify-%d", getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	server = manager(name);
	assert_int_equal(notify_open(true, &fd), 0);
	assert_int_equal(notify_send(fd, "READY=1\n"), 0);
	expect(server, "READY=1\n");
	close(fd);
	close(server);
}

/* Nobody to tell: no error, and nothing happens. */
static void
test_nobody(void **state sl_unused)
{
	char longest[256];
	int fd = 7;

	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_open(true, &fd), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(notify_send(-1, "READY=1\n"), 0);
	setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	assert_int_equal(notify_open(false, &fd), 0); // not asked to: without -Ws
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_open(true, &fd), -EINVAL);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longest, 1);
	assert_int_equal(notify_open(true, &fd), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_abstract),
		cmocka_unit_test(test_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
