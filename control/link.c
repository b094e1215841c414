// SPDX-License-Identifier: BSD-3-Clause
/*
 * Removing what a dead daemon left in the kernel.
 *
 * Runs on: the parent process (or main at its end). Follows rtnetlink(7). Not here: creating
 * interfaces; that is the drivers' and the administrator's business.
 */
#include "control/link.h"

#include <dirent.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define XDP_PINS "/sys/fs/bpf/xdp"

int
link_delete(int ifindex)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} req = {
		.h = { .nlmsg_len = sizeof(req),
			.nlmsg_type = RTM_DELLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.i = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex },
	};
	union {
		struct nlmsghdr h;
		char room[1024];
	} ans;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = send(fd, &req, sizeof(req), 0);
	if (n == (ssize_t)sizeof(req))
		n = recv(fd, &ans, sizeof(ans), 0);
	close(fd);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || ans.h.nlmsg_type != NLMSG_ERROR)
		return -EIO;
	return ((const struct nlmsgerr *)NLMSG_DATA(&ans.h))->error;
}

void
link_unpin_xdp(int ifindex)
{
	char prefix[32], path[320];
	struct dirent *e, *f;
	DIR *d = opendir(XDP_PINS), *sub;

	if (d == NULL)
		return;
	snprintf(prefix, sizeof(prefix), "dispatch-%d-", ifindex);
	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(path, sizeof(path), XDP_PINS "/%s", e->d_name);
		sub = opendir(path);
		if (sub == NULL)
			continue;
		while ((f = readdir(sub)) != NULL) {
			if (f->d_name[0] != '.')
				unlinkat(dirfd(sub), f->d_name, 0);
		}
		closedir(sub);
		rmdir(path);
	}
	closedir(d);
}
