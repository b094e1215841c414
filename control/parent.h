/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The privileged parent: forked from before EAL starts, outlives the daemon however it ends, and
 * takes away what a killed process leaves behind. Private to the files of control itself.
 */
#pragma once

#include <sys/types.h>

#include "dataplane/base/str.h"

#define PARENT_MAX_LINKS 32
#define PARENT_PREFIX    32
#define PARENT_SOCKETS   64
#define PARENT_SOCKET    108 // bytes of a path, as the kernel has them

/* A network interface that the daemon will use, and how it was found. */
struct parent_link {
	char name[16];
	bool tap;      // else AF_XDP
	bool existed;  // a TAP: then it is not ours to delete
	uint32_t prog; // AF_XDP: program attached before us
};

/*
 * Files of unix sockets, in memory that the daemon shares with its parent: reloads add some. Written by
 * the daemon's main before it makes the file; read by the parent when the daemon is gone. All that that does
 * with one is to remove it, if it is a socket behind which nobody listens.
 */
struct parent_sockets {
	_Atomic(uint32_t) n;
	char path[PARENT_SOCKETS][PARENT_SOCKET];
};

struct parent_spec {
	char prefix[PARENT_PREFIX];   // EAL file prefix
	char run_dir[256];            // EAL's run-time folder of that prefix
	int run_lock;                 // descriptor of the lock in that folder, -1: none
	char own_dir[200];            // a folder made for this instance, removed at the end; or ""
	const char *const *huge_dirs; // NULL: hugetlbfs mounts of this machine
	uint32_t nhuge_dirs;
	const char *pidfile; // removed at the end; NULL: none
	char health[256];    // likewise the health file; "": none
	struct parent_link link[PARENT_MAX_LINKS];
	uint32_t nlinks;
	struct parent_sockets *sockets; // NULL: parent_share_sockets() has not been called
	uint64_t fresh;                 // places of those that may not be made yet, a bit for each
	char root[PARENT_SOCKET];       // the daemon's root, as its parent calls it; "": the same
};

/* Memory in which the parent sees what parent_add_socket() adds, whenever. Before all below. 0 or -Exxx. */
int parent_share_sockets(struct parent_spec *s);

/*
 * Adds what a device string names: the interface ("net_tap0,iface=x"), or the socket of a memif server,
 * which is removed at once if an instance that was killed together with its parent left it: DPDK would
 * not start on it.
 */
void parent_add_device(struct parent_spec *s, struct sl_str device);
/*
 * A unix socket that the daemon will make, as the parent calls it: it is removed at the end. Of more than
 * 64, those that are seen to be no longer there make room. 0; -ENOSPC, -ENOMEM, -ENAMETOOLONG: it stays.
 */
int parent_add_socket(struct parent_spec *s, const char *path);
/* All that were added have been made, or will not be: from now on one that is not there is missing. */
void parent_sockets_made(struct parent_spec *s);
/*
 * Chooses the file prefix `want`, or want-PID if a living process holds its run-time folder, and
 * locks that folder until the process (and its parent) is gone. XDP programs that an instance of this
 * prefix left are detached; devices have been added before. 0 or -Exxx.
 */
int parent_take_prefix(struct parent_spec *s, const char *root, const char *want);
/* Gives the prefix back: there will be no daemon. */
void parent_leave_prefix(struct parent_spec *s);
/*
 * Before a port is started: writes down which programs the interfaces have, so that the next start knows
 * any other as ours, should this process and its parent be killed before parent_note_links().
 */
int parent_note_pending(const struct parent_spec *s);
/*
 * Writes down which XDP programs the ports have attached, for the next start in case that even the
 * parent is killed: it then knows them for what they are, and takes them away. Before rights are
 * given up. 0 or -Exxx.
 */
int parent_note_links(const struct parent_spec *s);
/*
 * Forks. In the daemon: returns 0; SIGTERM comes when the parent dies. In the parent: never
 * returns; forwards signals, waits, cleans up, exits with the daemon's code (128 + n: signal n).
 */
int parent_fork(const struct parent_spec *s);
/*
 * What the parent does at the end of the process `daemon`; also for a daemon without a parent. Harmless when
 * repeated.
 */
void parent_clean(const struct parent_spec *s, pid_t daemon);
