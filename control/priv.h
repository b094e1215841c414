/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Giving rights up: what the daemon may still do once everything is open, and what its parent may.
 * Private to the files of control itself.
 */
#pragma once

#include "dataplane/model/model.h"
#include "drivers/port.h"

struct daemon;

/* No program that is started from now on gains rights. For the daemon, before it has threads. */
void priv_early(void);
/*
 * 'chroot', 'group'/'gid', 'user'/'uid' take effect, in all threads; of the capabilities the calling
 * thread keeps CAP_NET_BIND_SERVICE (ports below 1024 after a reload), others keep none. SIGTERM at
 * the parent's death, which the kernel forgets at a change of user, is asked for again. Nothing
 * configured: nothing changes. 0, or -Exxx with a text. parent: 0 when there is none.
 */
int priv_drop(const struct global_conf *g, pid_t parent, struct port_err *err);
/* A step of the start: priv_drop() with what is configured, and a line about it. */
int priv_up(struct daemon *d);
/* The parent keeps what cleaning and forwarding signals need. */
void priv_parent(void);
