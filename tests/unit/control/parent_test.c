// SPDX-License-Identifier: BSD-3-Clause
/*
 * The parent process around fake daemons: exit codes, forwarded signals, and what is removed after
 * each kind of end; what somebody else holds stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/parent.h"
#include "dataplane/base/base.h"

#define DAEMON 0x7ffffff0 // nobody

struct fix {
	char root[64], huge[96], pidfile[96];
	const char *huges[1];
	struct parent_spec s;
};

static void
touch(const char *dir, const char *name)
{
	char path[320];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static bool
there(const char *dir, const char *name)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	snprintf(f->root, sizeof(f->root), "/tmp/sluice-parent-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	snprintf(f->huge, sizeof(f->huge), "%s/huge", f->root);
	assert_int_equal(mkdir(f->huge, 0700), 0);
	snprintf(f->pidfile, sizeof(f->pidfile), "%s/pid", f->root);
	f->huges[0] = f->huge;
	f->s.huge_dirs = f->huges;
	f->s.nhuge_dirs = 1;
	f->s.pidfile = f->pidfile;
	assert_int_equal(parent_share_sockets(&f->s), 0);
	assert_int_equal(parent_take_prefix(&f->s, f->root, "t"), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char path[320];

	close(f->s.run_lock);
	snprintf(path, sizeof(path), "%s/kept", f->huge);
	unlink(path);
	snprintf(path, sizeof(path), "%s/tmap_held", f->huge);
	unlink(path);
	rmdir(f->huge);
	assert_int_equal(rmdir(f->root), 0); // everything else was removed by the parent
	free(f);
	return 0;
}

static void
put_pid(const struct fix *f, pid_t pid)
{
	FILE *file = fopen(f->pidfile, "w");

	if (file == NULL)
		_exit(97);
	fprintf(file, "%d\n", (int)pid);
	fclose(file);
}

enum end { END_EXIT, END_KILL, END_WAIT };

/*
 * Forks a parent whose daemon leaves files, says so by a byte, and ends as told (END_WAIT: by a
 * signal to the parent). Returns the parent's pid; *fd: end of file once nobody lives.
 */
static pid_t
run(struct fix *f, enum end end, int *fd)
{
	int p[2];
	pid_t pid;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(p[0]);
		if (parent_fork(&f->s) != 0)
			_exit(99);
		alarm(20); // never a leftover of a failing test
		touch(f->s.run_dir, "dpdk_telemetry.v2");
		touch(f->s.run_dir, "config");
		touch(f->huge, "tmap_0");
		touch(f->huge, "kept");
		put_pid(f, getppid());
		if (write(p[1], "", 1) != 1)
			_exit(98);
		if (end == END_EXIT)
			_exit(7);
		if (end == END_KILL)
			raise(SIGKILL);
		for (;;)
			pause();
	}
	close(p[1]);
	*fd = p[0];
	return pid;
}

static void
wait_byte(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 1);
}

static int
wait_code(pid_t pid, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int st;
	char c;

	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFEXITED(st));
	assert_int_equal(poll(&p, 1, 5000), 1); // nobody keeps the pipe open
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	return WEXITSTATUS(st);
}

static void
assert_clean(const struct fix *f)
{
	assert_false(there(f->root, "t"));
	assert_false(there(f->root, "pid"));
	assert_false(there(f->huge, "tmap_0"));
	assert_true(there(f->huge, "kept"));
}

static void
test_exit_code(void **state)
{
	int fd;
	pid_t pid = run(*state, END_EXIT, &fd);

	wait_byte(fd);
	assert_int_equal(wait_code(pid, fd), 7);
	assert_clean(*state);
}

static void
test_killed(void **state)
{
	int fd;
	pid_t pid = run(*state, END_KILL, &fd);

	wait_byte(fd);
	assert_int_equal(wait_code(pid, fd), 128 + SIGKILL);
	assert_clean(*state);
}

static void
test_forwards(void **state)
{
	static const int sigs[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

	for (size_t i = 0; i < SL_ARRAY_SIZE(sigs); i++) {
		struct fix *f = *state;
		int fd;
		pid_t pid = run(f, END_WAIT, &fd);

		wait_byte(fd);
		kill(pid, sigs[i]);
		assert_int_equal(wait_code(pid, fd), 128 + sigs[i]);
		assert_clean(f);
		mkdir(f->s.run_dir, 0700); // for the next round
	}
	rmdir(((struct fix *)*state)->s.run_dir);
}

/* The daemon does not outlive its parent. */
static void
test_parent_killed(void **state)
{
	struct fix *f = *state;
	struct pollfd p = { .events = POLLIN };
	int st;
	pid_t pid = run(f, END_WAIT, &p.fd);
	char c;

	wait_byte(p.fd);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(read(p.fd, &c, 1), 0);
	close(p.fd);
	parent_clean(&f->s, DAEMON); // what nobody was left to do
	assert_clean(f);
}

/* A prefix in use gives another one; its files are not touched, nor hugepages that are in use. */
static void
test_prefix(void **state)
{
	struct fix *f = *state;
	struct parent_spec other = { .huge_dirs = f->huges, .nhuge_dirs = 1 };
	char path[320];
	int fd;

	touch(f->huge, "kept");
	touch(f->huge, "tmap_held");
	snprintf(path, sizeof(path), "%s/tmap_held", f->huge);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_SH), 0);
	assert_int_equal(parent_take_prefix(&other, f->root, "t"), 0);
	assert_string_not_equal(other.prefix, f->s.prefix);
	touch(f->s.run_dir, "config");
	parent_clean(&other, DAEMON);
	close(other.run_lock);
	assert_true(there(f->s.run_dir, "config"));
	assert_false(there(f->root, other.prefix));
	parent_clean(&f->s, DAEMON);
	assert_true(there(f->huge, "tmap_held"));
	assert_false(there(f->root, "t"));
	close(fd);
}

/* Sockets of a daemon that could not remove them; one at which somebody else listens by now stays. */
static void
test_sockets(void **state)
{
	struct fix *f = *state;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int live = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/dead", f->root);
	assert_int_equal(bind(dead, (struct sockaddr *)&un, sizeof(un)), 0);
	close(dead);
	parent_add_socket(&f->s, un.sun_path);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/live", f->root);
	assert_int_equal(bind(live, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(live, 1), 0);
	parent_add_socket(&f->s, un.sun_path);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/kept", f->huge);
	touch(f->huge, "kept"); // a file is no socket
	parent_add_socket(&f->s, un.sun_path);
	parent_clean(&f->s, DAEMON);
	assert_false(there(f->root, "dead"));
	assert_true(there(f->root, "live"));
	assert_true(there(f->huge, "kept"));
	close(live);
	parent_clean(&f->s, DAEMON);
	assert_false(there(f->root, "live"));
}

static int
bound(struct fix *f, const char *name, struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(un->sun_path, sizeof(un->sun_path), "%s/%s", f->root, name);
	assert_int_equal(bind(fd, (struct sockaddr *)un, sizeof(*un)), 0);
	return fd;
}

/* A daemon that is killed between the socket and its name, or behind a reload that made one. */
static void
test_sockets_later(void **state)
{
	struct fix *f = *state;
	struct sockaddr_un un, other;
	int st;
	pid_t pid;

	close(bound(f, "late", &un));
	assert_int_equal(parent_add_socket(&f->s, un.sun_path), 0);
	pid = fork();
	if (pid == 0) { // what it adds, its parent knows
		char tmp[PARENT_SOCKET + 16];

		snprintf(tmp, sizeof(tmp), "reloaded.%d.tmp", DAEMON);
		close(bound(f, tmp, &other));
		snprintf(tmp, sizeof(tmp), "%s/reloaded", f->root);
		_exit(parent_add_socket(&f->s, tmp) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_int_equal(st, 0);
	assert_int_equal(f->s.sockets->n, 2);
	parent_clean(&f->s, DAEMON);
	assert_false(there(f->root, "late"));
	assert_false(there(f->root, "reloaded.2147483632.tmp"));
}

/* The bound: those that have gone make room, a path is there once, and one too many is said. */
static void
test_sockets_many(void **state)
{
	struct fix *f = *state;
	struct sockaddr_un un;
	char path[PARENT_SOCKET + 1];
	int fd = bound(f, "s0", &un);

	for (int i = 0; i < 2 * PARENT_SOCKETS; i++)
		assert_int_equal(parent_add_socket(&f->s, un.sun_path), 0);
	assert_int_equal(f->s.sockets->n, 1);
	for (int i = 1; i < 2 * PARENT_SOCKETS; i++) {
		snprintf(path, sizeof(path), "%s/t%d", f->root, i);
		assert_int_equal(parent_add_socket(&f->s, path), 0);
		parent_sockets_made(&f->s); // none of them is
	}
	assert_int_equal(f->s.sockets->n, PARENT_SOCKETS);
	assert_string_equal(f->s.sockets->path[0], un.sun_path);
	for (int i = 0; i < PARENT_SOCKETS; i++)
		snprintf(f->s.sockets->path[i], PARENT_SOCKET, "%s", un.sun_path);
	assert_int_equal(parent_add_socket(&f->s, path), -ENOSPC);
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(parent_add_socket(&f->s, path), -ENAMETOOLONG);
	close(fd);
	parent_clean(&f->s, DAEMON);
	assert_false(there(f->root, "s0"));
}

static void
add(struct fix *f, const char *name, int i, int rc)
{
	char path[PARENT_SOCKET];

	snprintf(path, sizeof(path), "%s/%s%d", f->root, name, i);
	assert_int_equal(parent_add_socket(&f->s, path), rc);
}

static bool
known(struct fix *f, const char *name, int i)
{
	char path[PARENT_SOCKET];

	snprintf(path, sizeof(path), "%s/%s%d", f->root, name, i);
	for (uint32_t k = 0; k < f->s.sockets->n; k++) {
		if (strcmp(f->s.sockets->path[k], path) == 0)
			return true;
	}
	return false;
}

/* Those that are told together keep each other's places, though none of them is made yet. */
static void
test_sockets_together(void **state)
{
	struct fix *f = *state;

	for (int i = 0; i < PARENT_SOCKETS - 1; i++)
		add(f, "old", i, 0);
	parent_sockets_made(&f->s);
	add(f, "old", 0, 0); // once more: it is not free
	for (int i = 0; i < PARENT_SOCKETS - 1; i++)
		add(f, "new", i, 0);
	add(f, "new", PARENT_SOCKETS, -ENOSPC);
	assert_true(known(f, "old", 0));
	for (int i = 0; i < PARENT_SOCKETS - 1; i++)
		assert_true(known(f, "new", i));
	parent_clean(&f->s, DAEMON);
}

/* What is out of the daemon's sight is not taken for missing; what is in it, is. */
static void
test_sockets_chroot(void **state)
{
	struct fix *f = *state;
	struct sockaddr_un un;

	add(f, "inside/s", 0, 0); // not made, and seen as "/s0"
	close(bound(f, "outside1", &un));
	for (int i = 1; i < PARENT_SOCKETS; i++)
		add(f, "outside", i, 0);
	parent_sockets_made(&f->s);
	snprintf(f->s.root, sizeof(f->s.root), "%s/inside", f->root);
	add(f, "inside/t", 0, 0);
	assert_false(known(f, "inside/s", 0));
	parent_sockets_made(&f->s);
	add(f, "inside/t", 1, 0);
	add(f, "inside/t", 2, -ENOSPC);
	for (int i = 1; i < PARENT_SOCKETS; i++)
		assert_true(known(f, "outside", i));
	f->s.root[0] = '\0'; // the parent's
	parent_clean(&f->s, DAEMON);
	assert_false(there(f->root, "outside1"));
}

/* A health file names its process: one that lives keeps it. */
static void
test_health(void **state)
{
	struct fix *f = *state;
	FILE *h;

	snprintf(f->s.health, sizeof(f->s.health), "%s/welcome", f->root);
	for (int alive = 0; alive < 2; alive++) {
		h = fopen(f->s.health, "we");
		assert_non_null(h);
		fprintf(h, "%d\n", alive ? 1 : 0x7ffffff0);
		fclose(h);
		parent_clean(&f->s, DAEMON);
		assert_int_equal(there(f->root, "welcome"), alive);
	}
	h = fopen(f->s.health, "we");
	assert_non_null(h);
	fclose(h); // nothing in it
	parent_clean(&f->s, DAEMON);
	assert_false(there(f->root, "welcome"));
}

/* Nor does a start that failed, or one that has a successor, take the file of the one that runs. */
static void
test_pidfile(void **state)
{
	struct fix *f = *state;

	put_pid(f, 1);
	parent_clean(&f->s, DAEMON);
	assert_true(there(f->root, "pid"));
	put_pid(f, getpid());
	parent_clean(&f->s, DAEMON);
	assert_false(there(f->root, "pid"));
}

static void
test_devices(void **state sl_unused)
{
	static const struct {
		int line;
		const char *device;
		uint32_t n;
		const char *name;
		bool tap, existed;
	} rows[] = {
		{ __LINE__, "net_tap0,iface=slx0", 1, "slx0", true, false },
		{ __LINE__, "net_tap1,mac=fixed,iface=lo", 1, "lo", true, true },
		{ __LINE__, "net_af_xdp0,iface=slx1,start_queue=0", 1, "slx1", false, false },
		{ __LINE__, "net_af_packet0,iface=slx1", 0, "", false, false },
		{ __LINE__, "net_tap0", 0, "", false, false },
		{ __LINE__, "net_tap0,iface=", 0, "", false, false },
		{ __LINE__, "net_tap0,iface=a_name_that_is_too_long", 0, "", false, false },
		{ __LINE__, "0000:3b:00.0", 0, "", false, false },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct parent_spec s = { .run_lock = -1 };

		parent_add_device(&s, sl_str_c(rows[i].device));
		if (s.nlinks != rows[i].n)
			fail_msg("line %d: %u links", rows[i].line, s.nlinks);
		if (s.nlinks == 0)
			continue;
		assert_string_equal(s.link[0].name, rows[i].name);
		assert_int_equal(s.link[0].tap, rows[i].tap);
		assert_int_equal(s.link[0].existed, rows[i].existed);
	}
}

/* What a memif server left would keep DPDK from starting; its file goes with us. */
static void
test_memif(void **state)
{
	struct fix *f = *state;
	struct sockaddr_un un;
	char device[300];

	close(bound(f, "memif", &un));
	snprintf(device, sizeof(device), "net_memif0,role=client,socket=%s,socket-abstract=no", un.sun_path);
	parent_add_device(&f->s, sl_str_c(device));
	snprintf(device, sizeof(device), "net_memif0,role=server,socket=%s", un.sun_path); // abstract
	parent_add_device(&f->s, sl_str_c(device));
	assert_int_equal(f->s.sockets->n, 0);
	assert_true(there(f->root, "memif"));
	snprintf(device, sizeof(device), "net_memif0,role=server,id=0,socket=%s,socket-abstract=no", un.sun_path);
	parent_add_device(&f->s, sl_str_c(device));
	assert_false(there(f->root, "memif"));
	close(bound(f, "memif", &un));
	parent_clean(&f->s, DAEMON);
	assert_false(there(f->root, "memif"));
}

/* Its name may begin at the folder in which we are started. */
static void
test_memif_relative(void **state)
{
	static const char *const names[] = { "memif", "huge/../memif" };
	struct fix *f = *state;
	char device[300], *before = getcwd(NULL, 0);
	struct sockaddr_un un;

	assert_non_null(before);
	for (size_t i = 0; i < SL_ARRAY_SIZE(names); i++) {
		assert_int_equal(chdir(f->root), 0);
		close(bound(f, "memif", &un));
		snprintf(device, sizeof(device),
			"net_memif0,role=server,socket=%s,socket-abstract=no", names[i]);
		parent_add_device(&f->s, sl_str_c(device));
		assert_false(there(f->root, "memif"));
		close(bound(f, "memif", &un));
		assert_int_equal(chdir("/"), 0);
		parent_clean(&f->s, DAEMON);
		assert_false(there(f->root, "memif"));
	}
	parent_add_device(
		&f->s, SL_STR("net_memif0,role=server,socket=none/memif,socket-abstract=no"));
	assert_int_equal(f->s.sockets->n, 1);
	assert_int_equal(chdir(before), 0);
	free(before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_exit_code, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forwards, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parent_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prefix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sockets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sockets_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sockets_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sockets_together, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sockets_chroot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memif, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memif_relative, setup, teardown),
		cmocka_unit_test_setup_teardown(test_health, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pidfile, setup, teardown),
		cmocka_unit_test(test_devices),
	};
	signal(SIGHUP, SIG_DFL); // nohup leaves it ignored, to all that we start too
	return cmocka_run_group_tests(tests, NULL, NULL);
}
