// SPDX-License-Identifier: BSD-3-Clause
/*
 * Interfaces of the kernel: addresses for a TAP, and removing what a dead daemon left.
 *
 * Runs on: main at start, the parent process (or main at its end). Follows rtnetlink(7). Not here:
 * creating interfaces; that is the drivers', control/tap.c's and the administrator's business.
 */
#include "control/link.h"

#include "dataplane/base/addr.h"

#include <dirent.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define XDP_PINS "/sys/fs/bpf/xdp"

/* Sends a request of rtnetlink and returns what the kernel says to it. */
static int
ask(struct nlmsghdr *h)
{
	union {
		struct nlmsghdr h;
		char room[1024];
	} ans;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = send(fd, h, h->nlmsg_len, 0);
	if (n == (ssize_t)h->nlmsg_len)
		n = recv(fd, &ans, sizeof(ans), 0);
	close(fd);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || ans.h.nlmsg_type != NLMSG_ERROR)
		return -EIO;
	return ((const struct nlmsgerr *)NLMSG_DATA(&ans.h))->error;
}

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

	return ask(&req.h);
}

int
link_add_address(int ifindex, const struct ip_net *a)
{
	bool v6 = a->ip.family == ADDR_V6;
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg i;
		struct rtattr attr;
		uint8_t addr[16];
	} req = {
		.h = { .nlmsg_type = RTM_NEWADDR,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL },
		.i = { .ifa_family = v6 ? AF_INET6 : AF_INET,
			.ifa_prefixlen = a->prefix,
			.ifa_flags = v6 ? IFA_F_NODAD : 0, // the port says who has it
			.ifa_index = (unsigned)ifindex },
		.attr = { .rta_type = IFA_LOCAL },
	};
	uint16_t n = v6 ? 16 : 4;

	req.attr.rta_len = (unsigned short)RTA_LENGTH(n);
	req.h.nlmsg_len = (uint32_t)(offsetof(__typeof__(req), addr) + n);
	memcpy(req.addr, a->ip.b, n);
	return ask(&req.h);
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
