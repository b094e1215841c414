// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rights: given up after ports, sockets and files are open, before the first packet.
 *
 * Runs on: main, while workers wait to be launched. Follows: HAProxy's user, group, uid, gid and
 * chroot (configuration manual 3.1); 0 for an id means unchanged. setresuid() and its like reach all
 * threads (glibc); that clears their capabilities, because only the calling thread keeps its own.
 * Not here: what the service's unit forbids in advance.
 */
#include "control/priv.h"

#include <cap-ng.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <rte_eal.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/acl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/daemon.h"

sl_printf(3, 4) static int fail(struct port_err *err, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return rc;
}

void
priv_early(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int
enter_chroot(struct sl_str dir, struct port_err *err)
{
	char path[512];

	if ((size_t)snprintf(path, sizeof(path), "%.*s", SL_STR_ARG(dir)) >= sizeof(path))
		return fail(err, -ENAMETOOLONG, "'chroot': the name is too long");
	if (chroot(path) == 0 && chdir("/") == 0)
		return 0;
	return fail(err, -errno,
		"Cannot chroot(%s) (%s): make the folder, or start as root ('chroot' in the global "
		"section)",
		path, strerror(errno));
}

static int
change_ids(const struct global_conf *g, struct port_err *err)
{
	gid_t gid = g->gid;
	uid_t uid = g->uid;

	if (geteuid() == 0 && (uid != 0 || gid != 0) && setgroups(gid != 0, &gid) != 0)
		return fail(err, -errno, "Cannot leave the groups of root (%s)",
			strerror(errno));
	if (gid != 0 && setresgid(gid, gid, gid) != 0)
		return fail(err, -errno,
			"Cannot set gid %u (%s): start as root, or leave 'group' out", gid,
			strerror(errno));
	if (uid != 0 && setresuid(uid, uid, uid) != 0)
		return fail(err, -errno,
			"Cannot set uid %u (%s): start as root, or leave 'user' out", uid,
			strerror(errno));
	return 0;
}

int
priv_drop(const struct global_conf *g, pid_t parent, struct port_err *err)
{
	bool root = geteuid() == 0;
	int rc = 0;

	if (g->chroot.len > 0)
		rc = enter_chroot(g->chroot, err);
	if (rc < 0 || (g->uid == 0 && g->gid == 0))
		return rc;
	if (root && g->uid != 0)
		prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	rc = change_ids(g, err);
	if (rc < 0 || !root || g->uid == 0)
		return rc;
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	capng_clear(CAPNG_SELECT_CAPS);
	capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return fail(err, -EPERM, "Cannot give up the capabilities of root");
	if (parent != 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent) // died meanwhile
			raise(SIGTERM);
	}
	return 0;
}

/* The line about `uid`, or a new one. 0, or -1 with errno. */
static int
line_of(acl_t *acl, uid_t uid, acl_entry_t *e)
{
	int more;

	for (more = acl_get_entry(*acl, ACL_FIRST_ENTRY, e); more == 1;
		more = acl_get_entry(*acl, ACL_NEXT_ENTRY, e)) {
		acl_tag_t tag;
		uid_t *who;

		if (acl_get_tag_type(*e, &tag) < 0)
			return -1;
		if (tag != ACL_USER)
			continue;
		who = acl_get_qualifier(*e);
		if (who == NULL)
			return -1;
		more = *who == uid;
		acl_free(who);
		if (more)
			return 0;
	}
	if (more < 0 || acl_create_entry(acl, e) < 0 || acl_set_tag_type(*e, ACL_USER) < 0)
		return -1;
	return acl_set_qualifier(*e, &uid);
}

/* `uid` may do `perm` with `path` too; what its list says of others stays. 0 or -errno. */
static int
let(const char *path, uid_t uid, acl_perm_t perm)
{
	acl_t acl = acl_get_file(path, ACL_TYPE_ACCESS);
	acl_permset_t ps;
	acl_entry_t e;
	int rc = -1;

	if (acl == NULL)
		return -errno;
	if (line_of(&acl, uid, &e) == 0 && acl_get_permset(e, &ps) == 0 &&
		acl_add_perm(ps, perm) == 0 && acl_calc_mask(&acl) == 0)
		rc = acl_set_file(path, ACL_TYPE_ACCESS, acl);
	rc = rc == 0 ? 0 : -errno;
	acl_free(acl);
	return rc;
}

/*
 * EAL's folders stay root's, but `uid` finds what is in ours: dpdk-dumpcap and its like make sockets
 * there, which we answer after we have become that user. EAL makes the one above with mode 0700 for
 * all its programs; of it we need no more than the way through. 0 or -errno.
 */
static int
let_answer(uid_t uid)
{
	const char *own = rte_eal_get_runtime_dir(), *slash = strrchr(own, '/');
	char above[PATH_MAX];
	struct stat st;
	int rc = 0;

	snprintf(above, sizeof(above), "%.*s", (int)(slash - own), own);
	if (stat(above, &st) < 0)
		return -errno;
	if ((st.st_mode & S_IXOTH) == 0)
		rc = let(above, uid, ACL_EXECUTE);
	return rc < 0 ? rc : let(own, uid, ACL_READ | ACL_EXECUTE);
}

int
priv_up(struct daemon *d)
{
	const struct global_conf *g = &d->model->global;
	int rc = d->parented ? parent_note_links(&d->clean) : 0;
	const struct passwd *pw;
	bool chrooted;

	if (rc < 0)
		return fail(&d->err, rc, "cannot write into %s: %s", d->clean.run_dir, strerror(-rc));
	if (d->huge && g->uid != 0 && geteuid() == 0)
		rc = let_answer(g->uid);
	if (rc < 0)
		daemon_say(d, SL_WARNING, "dpdk-dumpcap cannot attach: access list of %s: %s",
			rte_eal_get_runtime_dir(), strerror(-rc));
	rc = priv_drop(g, d->parented ? getppid() : 0, &d->err);
	chrooted = d->chrooted = rc == 0 && g->chroot.len > 0;
	if (chrooted)
		snprintf(d->clean.root, sizeof(d->clean.root), "%.*s", SL_STR_ARG(g->chroot));
	if (rc < 0 || (g->uid == 0 && g->gid == 0 && !chrooted))
		return rc;
	d->leave = d->ports->leave = d->parented && g->uid != 0;
	pw = chrooted ? NULL : getpwuid(geteuid()); // its files are out of sight
	daemon_say(d, SL_NOTICE, "runs as uid %u%s%s%s, gid %u%s%.*s", geteuid(),
		pw != NULL ? " (" : "", pw != NULL ? pw->pw_name : "", pw != NULL ? ")" : "",
		getegid(), chrooted ? ", in " : "", chrooted ? (int)g->chroot.len : 0,
		chrooted ? g->chroot.p : "");
	return 0;
}

/*
 * TAPs and XDP programs (NET_ADMIN, BPF and, on older kernels, SYS_ADMIN), files of root and of the
 * user (DAC_OVERRIDE, FOWNER), signals to the user's process (KILL).
 */
void
priv_parent(void)
{
	static const unsigned int keep[] = { CAP_NET_ADMIN, CAP_BPF, CAP_SYS_ADMIN,
		CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL };

	priv_early();
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < SL_ARRAY_SIZE(keep); i++) {
		// without it (a container) nothing can be kept
		if (prctl(PR_CAPBSET_READ, keep[i], 0, 0, 0) == 1)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, keep[i]);
	}
	capng_apply(CAPNG_SELECT_CAPS); // if it fails, it may do more than it needs
}
