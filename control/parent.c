// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process above the daemon: forwards signals and exit codes, and removes leftovers.
 *
 * Runs on: the parent process, single-threaded, which stays root while the daemon gives rights up.
 * Owns: nothing but the list of what may be left: XDP programs, TAP devices, unix sockets, EAL's
 * run-time folder, hugepage files, the health file, the pid file. Each is removed only if nobody alive
 * holds it; interfaces and programs only if they were not there before us. Of what an instance before
 * left, whose parent was killed too, programs and the sockets of memif servers go at the start. Not
 * here: restarting the daemon (-Ws) and opening files on request.
 */
#include "control/parent.h"

#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <mntent.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/io/io.h"
#include "control/link.h"
#include "control/priv.h"
#include "drivers/port.h"

static const int forwarded[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

static uint32_t
xdp_prog(const char *ifname)
{
	unsigned idx = if_nametoindex(ifname);
	uint32_t id = 0;

	if (idx == 0 || bpf_xdp_query_id((int)idx, 0, &id) != 0)
		return 0;
	return id;
}

/* As it is called from everywhere: EAL takes a name from the folder in which the daemon was started. */
static bool
from_root(struct sl_str path, char *out, size_t size)
{
	char text[PARENT_SOCKET], *slash, *dir;
	int n;

	if (path.len >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", SL_STR_ARG(path));
	slash = strrchr(text, '/');
	if (text[0] == '/')
		return (size_t)snprintf(out, size, "%s", text) < size;
	if (slash != NULL)
		*slash = '\0';
	dir = realpath(slash != NULL ? text : ".", NULL);
	if (dir == NULL)
		return false;
	n = snprintf(out, size, "%s/%s", dir, slash != NULL ? slash + 1 : text);
	free(dir);
	return n > 0 && (size_t)n < size;
}

/* As DPDK's memif driver reads it: a server has a file unless "socket-abstract" is not "no". */
static void
add_memif(struct parent_spec *s, struct sl_str device)
{
	struct sl_str role = port_arg(device, "role"), path = port_arg(device, "socket");
	char text[PARENT_SOCKET];

	if ((!sl_str_eq(role, SL_STR("server")) && !sl_str_eq(role, SL_STR("master"))) ||
		!sl_str_eq(port_arg(device, "socket-abstract"), SL_STR("no")))
		return;
	if (path.len == 0)
		path = SL_STR("/run/memif.sock");
	if (!from_root(path, text, sizeof(text)))
		return;
	io_path_unlink(text);
	(void)parent_add_socket(s, text);
}

void
parent_add_device(struct parent_spec *s, struct sl_str device)
{
	bool tap = sl_str_starts(device, SL_STR("net_tap"), false);
	bool xdp = sl_str_starts(device, SL_STR("net_af_xdp"), false);
	struct sl_str name = port_arg(device, "iface");
	struct parent_link *l = &s->link[s->nlinks];

	if (sl_str_starts(device, SL_STR("net_memif"), false))
		add_memif(s, device);
	if ((!tap && !xdp) || s->nlinks == PARENT_MAX_LINKS)
		return;
	if (name.len == 0 || name.len >= sizeof(l->name))
		return; // the driver will name it
	memset(l, 0, sizeof(*l));
	memcpy(l->name, name.p, name.len);
	l->tap = tap;
	l->existed = if_nametoindex(l->name) != 0;
	l->prog = xdp ? xdp_prog(l->name) : 0;
	s->nlinks++;
}

/* Made before the fork, or the parent would never see it. */
int
parent_share_sockets(struct parent_spec *s)
{
	void *p = mmap(NULL, sizeof(*s->sockets), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	s->sockets = p;
	return 0;
}

/* A path's name where the daemon's root is; NULL: it is out of sight. */
static const char *
seen_as(const struct parent_spec *s, const char *path)
{
	size_t n = strlen(s->root);

	if (n == 0)
		return path;
	return strncmp(path, s->root, n) == 0 && path[n] == '/' ? path + n : NULL;
}

/* A place for another path; -ENOSPC. */
static int
free_place(const struct parent_spec *s, uint32_t n)
{
	struct stat st;

	for (uint32_t i = 0; n == PARENT_SOCKETS && i < n; i++) {
		const char *path = seen_as(s, s->sockets->path[i]);

		if ((s->fresh >> i & 1) == 0 && path != NULL && lstat(path, &st) != 0 &&
			errno == ENOENT)
			return (int)i;
	}
	return n < PARENT_SOCKETS ? (int)n : -ENOSPC;
}

void
parent_sockets_made(struct parent_spec *s)
{
	s->fresh = 0;
}

int
parent_add_socket(struct parent_spec *s, const char *path)
{
	struct parent_sockets *x = s->sockets;
	uint32_t n;
	int place;

	_Static_assert(PARENT_SOCKETS <= 64, "a bit for each");
	if (strlen(path) >= PARENT_SOCKET)
		return -ENAMETOOLONG;
	if (x == NULL)
		return -ENOMEM;
	n = atomic_load_explicit(&x->n, memory_order_relaxed);
	for (place = 0; (uint32_t)place < n; place++) {
		if (strcmp(x->path[place], path) == 0)
			break;
	}
	if ((uint32_t)place == n) {
		place = free_place(s, n);
		if (place < 0)
			return place;
		snprintf(x->path[place], PARENT_SOCKET, "%s", path);
	}
	s->fresh |= UINT64_C(1) << place;
	if ((uint32_t)place == n)
		atomic_store_explicit(&x->n, n + 1, memory_order_release);
	return 0;
}

/* Each, and what it is called until it is complete (control/io/io_addr.c). */
static void
clean_sockets(const struct parent_sockets *x, pid_t daemon)
{
	uint32_t n = x != NULL ? atomic_load_explicit(&x->n, memory_order_acquire) : 0;

	for (uint32_t i = 0; i < sl_min(n, (uint32_t)PARENT_SOCKETS); i++) {
		char path[PARENT_SOCKET], tmp[PARENT_SOCKET + 16];

		snprintf(path, sizeof(path), "%.*s", PARENT_SOCKET - 1, x->path[i]);
		if (path[0] != '/')
			continue;
		io_path_unlink(path);
		snprintf(tmp, sizeof(tmp), "%s.%d.tmp", path, (int)daemon);
		if (strlen(tmp) < PARENT_SOCKET)
			io_path_unlink(tmp);
	}
}

/*
 * Makes the folder and locks a file in it; -EWOULDBLOCK when somebody holds it. Not the folder
 * itself: with hugepages EAL locks that, and would wait for us for ever.
 */
static int
lock_dir(const char *dir)
{
	char path[sizeof(((struct parent_spec *)0)->run_dir) + 16];
	struct stat a, b;
	int fd;

	snprintf(path, sizeof(path), "%s/sluice.lock", dir);
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) // the last owner of the folder may be removing it
		return errno == ENOENT ? -ESTALE : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		return -EWOULDBLOCK;
	}
	// its last owner may have removed the file between open and lock
	if (fstat(fd, &a) != 0 || stat(path, &b) != 0 || a.st_ino != b.st_ino) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static int
take(struct parent_spec *s, const char *root)
{
	int fd;

	if ((size_t)snprintf(s->run_dir, sizeof(s->run_dir), "%s/%s", root, s->prefix) >=
		sizeof(s->run_dir))
		return -ENAMETOOLONG;
	for (int tries = 0; tries < 10; tries++) {
		fd = lock_dir(s->run_dir);
		if (fd != -ESTALE)
			break;
	}
	if (fd < 0)
		return fd;
	s->run_lock = fd;
	return 0;
}

/*
 * The list in our own run-time folder: a line for each interface and its program; with "pending" the
 * program that it had before.
 */
static FILE *
open_links(const struct parent_spec *s, const char *mode)
{
	char path[sizeof(s->run_dir) + 8];

	snprintf(path, sizeof(path), "%s/links", s->run_dir);
	return fopen(path, mode);
}

int
parent_note_pending(const struct parent_spec *s)
{
	FILE *f = s->run_lock >= 0 ? open_links(s, "we") : NULL;
	int rc;

	if (f == NULL)
		return s->run_lock >= 0 ? -errno : 0;
	for (uint32_t i = 0; i < s->nlinks; i++) {
		if (!s->link[i].tap)
			fprintf(f, "%s %u pending\n", s->link[i].name, s->link[i].prog);
	}
	rc = ferror(f) ? -EIO : 0;
	return fclose(f) != 0 ? -errno : rc;
}

int
parent_note_links(const struct parent_spec *s)
{
	FILE *f = s->run_lock >= 0 ? open_links(s, "we") : NULL;
	int rc;

	if (f == NULL)
		return s->run_lock >= 0 ? -errno : 0;
	for (uint32_t i = 0; i < s->nlinks; i++) {
		uint32_t id = s->link[i].tap ? 0 : xdp_prog(s->link[i].name);

		if (id != 0 && id != s->link[i].prog)
			fprintf(f, "%s %u\n", s->link[i].name, id);
	}
	rc = ferror(f) ? -EIO : 0;
	return fclose(f) != 0 ? -errno : rc;
}

/* What the list of an instance that did not come to its end names, if it is still what it was. */
static void
take_stale(struct parent_spec *s)
{
	FILE *f = open_links(s, "re");
	char line[64], name[16], word[8];
	uint32_t id;

	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		int n = sscanf(line, "%15s %u %7s", name, &id, word);
		uint32_t now = n >= 2 ? xdp_prog(name) : 0;

		if (now == 0 || (n == 3 ? now == id : now != id))
			continue;
		bpf_xdp_detach((int)if_nametoindex(name), 0, NULL);
		link_unpin_xdp((int)if_nametoindex(name));
		for (uint32_t i = 0; i < s->nlinks; i++) {
			if (strcmp(s->link[i].name, name) == 0)
				s->link[i].prog = 0;
		}
	}
	fclose(f);
}

static int
take_prefix(struct parent_spec *s, const char *root, const char *want)
{
	int rc;

	snprintf(s->prefix, sizeof(s->prefix), "%s", want);
	rc = take(s, root);
	if (rc != -EWOULDBLOCK)
		return rc;
	snprintf(s->prefix, sizeof(s->prefix), "%.15s-%d", want, (int)getpid());
	return take(s, root);
}

int
parent_take_prefix(struct parent_spec *s, const char *root, const char *want)
{
	int rc;

	s->run_lock = -1;
	if (mkdir(root, 0755) != 0 && errno != EEXIST)
		return -errno;
	rc = take_prefix(s, root, want);
	if (rc == 0)
		take_stale(s);
	return rc;
}

static void
clean_link(const struct parent_link *l)
{
	unsigned idx = if_nametoindex(l->name);
	uint32_t id;

	if (idx == 0)
		return;
	if (l->tap) {
		if (!l->existed)
			link_delete((int)idx);
		return;
	}
	id = xdp_prog(l->name);
	if (id != 0 && id != l->prog)
		bpf_xdp_detach((int)idx, 0, NULL);
	link_unpin_xdp((int)idx);
}

/* Files of a folder whose names start with prefix; a file that somebody has locked stays. */
static void
clean_files(const char *dir, const char *prefix, bool check_lock)
{
	size_t n = strlen(prefix);
	struct dirent *e;
	DIR *d = opendir(dir);

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		int fd = -1;

		if (e->d_name[0] == '.' || strncmp(e->d_name, prefix, n) != 0)
			continue;
		if (check_lock) {
			fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);
			if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
				if (fd >= 0)
					close(fd);
				continue;
			}
		}
		unlinkat(dirfd(d), e->d_name, 0);
		if (fd >= 0)
			close(fd);
	}
	closedir(d);
}

static void
clean_hugepages(const struct parent_spec *s)
{
	char prefix[PARENT_PREFIX + 8];
	struct mntent *m;
	FILE *f;

	snprintf(prefix, sizeof(prefix), "%smap_", s->prefix);
	for (uint32_t i = 0; i < s->nhuge_dirs; i++)
		clean_files(s->huge_dirs[i], prefix, true);
	if (s->huge_dirs != NULL)
		return;
	f = setmntent("/proc/mounts", "re");
	if (f == NULL)
		return;
	while ((m = getmntent(f)) != NULL) {
		if (strcmp(m->mnt_type, "hugetlbfs") == 0)
			clean_files(m->mnt_dir, prefix, true);
	}
	endmntent(f);
}

/* A successor may have made its own by now. */
static void
clean_pid(const char *path)
{
	FILE *f = fopen(path, "re");
	int pid = 0;

	if (f == NULL)
		return;
	if (fscanf(f, "%d", &pid) != 1)
		pid = 0;
	fclose(f);
	if (pid <= 0 || pid == getpid() || (kill(pid, 0) != 0 && errno == ESRCH))
		unlink(path);
}

static void
clean_run_dir(const struct parent_spec *s)
{
	if (s->run_lock < 0)
		return;
	clean_files(s->run_dir, "", false); // locked by us: nobody else uses this prefix
	rmdir(s->run_dir);
}

void
parent_leave_prefix(struct parent_spec *s)
{
	clean_run_dir(s);
	if (s->run_lock >= 0)
		close(s->run_lock);
	s->run_lock = -1;
}

void
parent_clean(const struct parent_spec *s, pid_t daemon)
{
	for (uint32_t i = 0; i < s->nlinks; i++)
		clean_link(&s->link[i]);
	clean_sockets(s->sockets, daemon);
	if (s->prefix[0] != '\0')
		clean_hugepages(s);
	clean_run_dir(s);
	if (s->own_dir[0] != '\0') {
		char root[sizeof(s->own_dir) + 8];

		snprintf(root, sizeof(root), "%s/dpdk", s->own_dir);
		rmdir(root);
		rmdir(s->own_dir);
	}
	if (s->health[0] != '\0') {
		char fresh[sizeof(s->health) + 8]; // control/health.c writes it beside

		snprintf(fresh, sizeof(fresh), "%s.new", s->health);
		clean_pid(s->health);
		clean_pid(fresh);
	}
	if (s->pidfile != NULL)
		clean_pid(s->pidfile);
}

/* Waits for the end of the daemon; returns its exit code. */
static int
watch(pid_t child, const sigset_t *set)
{
	for (;;) {
		int sig = sigwaitinfo(set, NULL);
		int st;

		if (sig < 0)
			continue; // EINTR: a debugger
		if (sig != SIGCHLD) {
			kill(child, sig);
			continue;
		}
		if (waitpid(child, &st, WNOHANG) != child)
			continue;
		if (WIFEXITED(st))
			return WEXITSTATUS(st);
		if (WIFSIGNALED(st))
			return 128 + WTERMSIG(st);
	}
}

/* Whoever reads our output shall see its end when the daemon ends. */
static void
drop_stdio(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

int
parent_fork(const struct parent_spec *s)
{
	sigset_t set, old;
	pid_t parent = getpid(), child;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < SL_ARRAY_SIZE(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, &old);
	child = fork();
	if (child < 0) {
		rc = -errno;
		sigprocmask(SIG_SETMASK, &old, NULL);
		return rc;
	}
	if (child == 0) {
		// a signal that came while blocked was for the process that the user sees: it is
		// forwarded by the parent, not pending here
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		sigprocmask(SIG_SETMASK, &old, NULL);
		if (getppid() != parent) // died before prctl
			_exit(128 + SIGTERM);
		return 0;
	}
	prctl(PR_SET_NAME, "sluice-parent");
	drop_stdio();
	priv_parent();
	rc = watch(child, &set);
	parent_clean(s, child);
	// no exit handlers: what they would flush belongs to the daemon
	_exit(rc);
}
