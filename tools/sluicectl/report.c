// SPDX-License-Identifier: BSD-3-Clause
/*
 * "sluicectl report": a tar file with what helps to understand a problem from afar: counters, states,
 * memory, the machine. No secrets: not the configuration, the environment, heads of requests, nor
 * names of clients; so neither "show env", "show errors" nor "show sess".
 */
#include "tools/sluicectl/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 512

struct tar {
	FILE *f;
	const char *folder;
	time_t at;
};

/* POSIX ustar. */
struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "one block");

static int
put_file(struct tar *t, const char *name, const char *p, size_t n)
{
	static const char zero[BLOCK];
	struct ustar h = { .type = '0', .magic = "ustar", .version = { '0', '0' } };
	size_t pad = (BLOCK - n % BLOCK) % BLOCK;
	unsigned sum = 0;

	snprintf(h.name, sizeof(h.name), "%s/%s", t->folder, name);
	memcpy(h.mode, "0000644", 8);
	memcpy(h.uid, "0000000", 8);
	memcpy(h.gid, "0000000", 8);
	snprintf(h.size, sizeof(h.size), "%011zo", n);
	snprintf(h.mtime, sizeof(h.mtime), "%011llo", (unsigned long long)t->at);
	memset(h.sum, ' ', sizeof(h.sum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((const unsigned char *)&h)[i];
	snprintf(h.sum, sizeof(h.sum), "%06o", sum);
	if (fwrite(&h, sizeof(h), 1, t->f) != 1 || (n > 0 && fwrite(p, n, 1, t->f) != 1) ||
		(pad > 0 && fwrite(zero, pad, 1, t->f) != 1))
		return -EIO;
	return 0;
}

static int
put_command(struct tar *t, struct ctl_conn *c, const char *command)
{
	struct ctl_text out;
	char name[64];
	int rc = ctl_ask(c, command, &out);

	if (rc < 0)
		return rc;
	snprintf(name, sizeof(name), "%s.txt", command);
	for (char *p = name; *p != '\0'; p++) {
		if (*p == ' ')
			*p = '-';
	}
	rc = put_file(t, name, out.p, out.len);
	ctl_text_free(&out);
	return rc;
}

/* A file of the kernel; one that is not there is left out. */
static int
put_proc(struct tar *t, const char *path, const char *name)
{
	static char text[262144];
	FILE *f = fopen(path, "r");
	size_t n;

	if (f == NULL)
		return 0;
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	return put_file(t, name, text, n);
}

static int
put_machine(struct tar *t)
{
	struct utsname u;
	char text[512];
	int n;

	if (uname(&u) < 0)
		return 0;
	// the node's name is the reader's business
	n = snprintf(text, sizeof(text), "%s %s %s %s\ncpus: %ld\npage size: %ld\n", u.sysname,
		u.release, u.version, u.machine, sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_PAGESIZE));
	return put_file(t, "machine.txt", text, n > 0 ? (size_t)n : 0);
}

static int
put_all(struct tar *t, struct ctl_conn *c)
{
	static const char *const commands[] = { "show version", "show info", "show stat",
		"show servers state", "show servers conn", "show backend", "show ports",
		"show workers", "show drops", "show memory", "show lua", "help" };
	static const char zero[2 * BLOCK];
	int rc = put_machine(t);

	for (size_t i = 0; rc == 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
		rc = put_command(t, c, commands[i]);
	if (rc == 0)
		rc = put_proc(t, "/proc/meminfo", "meminfo.txt");
	if (rc == 0)
		rc = put_proc(t, "/proc/cpuinfo", "cpuinfo.txt");
	if (rc == 0)
		rc = put_proc(t, "/proc/interrupts", "interrupts.txt");
	if (rc == 0 && fwrite(zero, sizeof(zero), 1, t->f) != 1)
		rc = -EIO;
	return rc;
}

int
ctl_report(struct ctl_conn *c, const char *file)
{
	struct tar t = { .at = time(NULL) };
	char folder[48], name[64];
	int rc;

	strftime(folder, sizeof(folder), "sluice-report-%Y%m%d-%H%M%S", gmtime(&t.at));
	t.folder = folder;
	snprintf(name, sizeof(name), "%s.tar", folder);
	if (file == NULL)
		file = name;
	t.f = strcmp(file, "-") == 0 ? stdout : fopen(file, "wx");
	if (t.f == NULL) {
		fprintf(stderr, "sluicectl: %s: %s\n", file, strerror(errno));
		return 1;
	}
	rc = put_all(&t, c);
	if (fflush(t.f) != 0 && rc == 0)
		rc = -errno;
	if (t.f != stdout)
		fclose(t.f);
	if (rc < 0) {
		if (t.f != stdout)
			(void)unlink(file);
		fprintf(stderr, "sluicectl: report: %s\n", strerror(-rc));
		return 1;
	}
	if (t.f != stdout)
		printf("%s\n", file);
	return 0;
}
