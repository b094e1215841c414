// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a process may still do after it gave its rights up: every thread of it, read from the kernel.
 * In children, because there is no way back. As another user than root: only what needs no rights.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/priv.h"

#define NOBODY   65534u
#define CAP_BIND 10

struct status {
	unsigned long long uid[4], gid[4], cap_eff, cap_prm, cap_inh;
	int no_new_privs, groups;
};

/* Of a thread of this process. */
static bool
read_status(const char *tid, struct status *s)
{
	char path[64], line[512];
	FILE *f;

	memset(s, 0, sizeof(*s));
	snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "Uid: %llu %llu %llu %llu", &s->uid[0], &s->uid[1], &s->uid[2], &s->uid[3]);
		sscanf(line, "Gid: %llu %llu %llu %llu", &s->gid[0], &s->gid[1], &s->gid[2], &s->gid[3]);
		sscanf(line, "CapEff: %llx", &s->cap_eff);
		sscanf(line, "CapPrm: %llx", &s->cap_prm);
		sscanf(line, "CapInh: %llx", &s->cap_inh);
		sscanf(line, "NoNewPrivs: %d", &s->no_new_privs);
		if (strncmp(line, "Groups:", 7) == 0) {
			for (char *p = line + 7; *p != '\0'; p++)
				s->groups += *p >= '0' && *p <= '9' && (p[1] < '0' || p[1] > '9');
		}
	}
	fclose(f);
	return true;
}

static void *
waits(void *ctx)
{
	for (;;)
		pause();
	return ctx;
}

/* 0, or the number of the first thing that is wrong. */
static int
check_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	if (d == NULL)
		return 1;
	while ((e = readdir(d)) != NULL) {
		struct status s;
		bool main_thread = strtol(e->d_name, NULL, 10) == getpid();
		unsigned long long keeps = main_thread ? 1ull << CAP_BIND : 0;

		if (e->d_name[0] == '.')
			continue;
		n++;
		if (!read_status(e->d_name, &s))
			return 2;
		for (int i = 0; i < 4; i++) {
			if (s.uid[i] != NOBODY || s.gid[i] != NOBODY)
				return 3;
		}
		if (s.cap_eff != keeps || s.cap_prm != keeps || s.cap_inh != 0)
			return 4;
		if (s.no_new_privs != 1)
			return 5;
		if (s.groups > 1)
			return 6;
	}
	closedir(d);
	return n == 3 ? 0 : 7;
}

static int
in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int st;

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &st, 0), pid);
	return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

static int
drop_all(void)
{
	struct global_conf g = { .uid = NOBODY, .gid = NOBODY };
	struct port_err err = { "" };
	pthread_t t[2];
	int sig = 0;

	// groups that root has on some machines, and must not keep
	if (setgroups(3, (const gid_t[]){ 0, 4, 24 }) != 0)
		return 24;
	priv_early();
	for (int i = 0; i < 2; i++) { // threads that are there before
		if (pthread_create(&t[i], NULL, waits, NULL) != 0)
			return 20;
	}
	if (priv_drop(&g, getppid(), &err) != 0)
		return 21;
	prctl(PR_GET_PDEATHSIG, &sig);
	if (sig != SIGTERM)
		return 22;
	if (setresuid(0, 0, 0) == 0)
		return 23;
	return check_threads();
}

static void
test_threads(void **state sl_unused)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(drop_all), 0);
}

static int
chroot_only(void)
{
	struct global_conf g = { .chroot = SL_STR("/var/empty") };
	struct port_err err = { "" };
	char root[] = "/tmp/sluice-priv-XXXXXX";
	int rc;

	if (mkdtemp(root) == NULL)
		return 20;
	g.chroot = sl_str_c(root);
	rc = priv_drop(&g, 0, &err);
	if (rc != 0 || access("/proc", F_OK) == 0 || geteuid() != 0)
		return 21;
	return 0;
}

static void
test_chroot(void **state sl_unused)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(chroot_only), 0);
	assert_int_equal(system("rmdir /tmp/sluice-priv-*"), 0);
}

static void
test_nothing(void **state sl_unused)
{
	struct global_conf g = { 0 };
	struct port_err err = { "" };

	assert_int_equal(priv_drop(&g, 0, &err), 0);
	assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

/* What is refused says what to change. */
static int
refused(void)
{
	struct global_conf dir = { .chroot = SL_STR("/no/such/folder") };
	struct global_conf user = { .uid = 12345 }, group = { .gid = 12345 };
	struct global_conf self = { .uid = NOBODY };
	struct port_err err = { "" };

	if (priv_drop(&dir, 0, &err) != -ENOENT || strstr(err.text, "Cannot chroot(/no/such/folder)") == NULL)
		return 20;
	if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0)
		return 21;
	if (priv_drop(&user, 0, &err) != -EPERM || strstr(err.text, "leave 'user' out") == NULL)
		return 22;
	if (priv_drop(&group, 0, &err) != -EPERM || strstr(err.text, "leave 'group' out") == NULL)
		return 23;
	self.uid = geteuid(); // who one is already: nothing to do
	return priv_drop(&self, 0, &err) == 0 ? 0 : 24;
}

static void
test_refused(void **state sl_unused)
{
	assert_int_equal(in_child(refused), 0);
}

static int
parent_rights(void)
{
	struct status s;
	char tid[16];

	priv_parent();
	snprintf(tid, sizeof(tid), "%d", getpid());
	if (!read_status(tid, &s) || s.no_new_privs != 1)
		return 20;
	// DAC_OVERRIDE, FOWNER, KILL, NET_ADMIN, SYS_ADMIN, BPF at most
	return (s.cap_eff & ~(1ull << 1 | 1ull << 3 | 1ull << 5 | 1ull << 12 | 1ull << 21 | 1ull << 39)) == 0 &&
			(s.cap_eff >> 5 & 1) != 0
		? 0
		: 21;
}

static void
test_parent(void **state sl_unused)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(parent_rights), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_chroot),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_parent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
