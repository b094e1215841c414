/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telling the service manager (systemd's Type=notify). Private to the files of control itself, which
 * say things by daemon_tell_systemd().
 */
#pragma once

#include <stdbool.h>

/*
 * Connects to $NOTIFY_SOCKET. *fd: -1 when nobody is to be told (not enabled, no such variable). 0,
 * or -Exxx when there is a variable, but nobody behind it.
 */
int notify_open(bool enabled, int *fd);
/* "READY=1\n" and the like, one or more lines. Never waits. 0 (also for fd -1) or -Exxx. */
int notify_send(int fd, const char *text);
