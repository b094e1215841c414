// SPDX-License-Identifier: BSD-3-Clause
/*
 * Keywords of the global section by which rights are given up: chroot, user, group, uid, gid.
 *
 * Runs on: the loader; control/priv.c does it. Follows: HAProxy 2.6 configuration manual 3.1: the first
 * of several lines counts, 0 means unchanged. Unlike there, a number that is none is an error.
 */
#include "control/conf/conf_priv.h"

#include <grp.h>
#include <pwd.h>

enum { PRIV_USER, PRIV_GROUP, PRIV_UID, PRIV_GID };

static int
find_id(struct conf *c, const struct conf_args *a, uint64_t *id)
{
	const struct passwd *pw;
	const struct group *gr;

	switch (a->priv) {
	case PRIV_USER:
		pw = getpwnam(a->word[0].p);
		if (pw == NULL)
			conf_error(c, "cannot find user id for '%s': create the user, or name another.",
				a->word[0].p);
		else
			*id = pw->pw_uid;
		return pw == NULL ? -ENOENT : 0;
	case PRIV_GROUP:
		gr = getgrnam(a->word[0].p);
		if (gr == NULL)
			conf_error(c,
				"cannot find group id for '%s': create the group, or name another.",
				a->word[0].p);
		else
			*id = gr->gr_gid;
		return gr == NULL ? -ENOENT : 0;
	default:
		return conf_number(c, a->kw, a->word[0], 0, INT32_MAX, id);
	}
}

static int
kw_id(struct conf *c, const struct conf_args *a)
{
	struct global_conf *g = &c->m->global;
	bool is_user = a->priv == PRIV_USER || a->priv == PRIV_UID;
	uint32_t *out = is_user ? &g->uid : &g->gid;
	uint64_t id = 0;
	int rc;

	if (*out != 0) {
		conf_notice(c, "%s already specified. Continuing.", is_user ? "user/uid" : "group/gid");
		return 0;
	}
	rc = find_id(c, a, &id);
	if (rc == 0)
		*out = (uint32_t)id;
	return rc;
}

static int
kw_chroot(struct conf *c, const struct conf_args *a)
{
	struct global_conf *g = &c->m->global;

	if (g->chroot.len > 0)
		conf_notice(c, "'chroot' already specified. Continuing.");
	else
		g->chroot = a->word[0];
	return 0;
}

// clang-format off
SL_CFG_GLOBAL(
	{ "chroot", CONF_GLOBAL, 1, 1, kw_chroot, "<folder>",
		"root of the file system once all is open" },
	{ "user", CONF_GLOBAL, 1, 1, kw_id, "<name>", "whom to run as once all is open", PRIV_USER },
	{ "uid", CONF_GLOBAL, 1, 1, kw_id, "<number>", "the same by number", PRIV_UID },
	{ "group", CONF_GLOBAL, 1, 1, kw_id, "<name>", "and its group", PRIV_GROUP },
	{ "gid", CONF_GLOBAL, 1, 1, kw_id, "<number>", "the same by number", PRIV_GID },
);
// clang-format on
