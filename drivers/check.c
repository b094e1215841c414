// SPDX-License-Identifier: BSD-3-Clause
/*
 * Checks before EAL starts, of what EAL and the drivers would only fail on (or worse: accept). Each
 * refusal names the port, the thing and the fix.
 *
 * Runs on: the main thread, at start.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <mntent.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base/log.h"
#include "drivers/drv.h"

SL_LOG_TYPE("drivers");

int
port_fail(struct port_err *err, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(err->text, sizeof(err->text), fmt, ap) < 0)
		err->text[0] = '\0';
	va_end(ap);
	return rc;
}

static int
iface_name(const struct port_spec *s, char name[IFNAMSIZ], struct port_err *err)
{
	struct sl_str v = port_arg(s->device, "iface");

	if (v.len == 0)
		return port_fail(err, -EINVAL,
			"port '%.*s': device '%.*s' has no 'iface=' that names its interface",
			SL_STR_ARG(s->name), SL_STR_ARG(s->device));
	if (v.len >= IFNAMSIZ)
		return port_fail(err, -EINVAL, "port '%.*s': '%.*s' is no interface name",
			SL_STR_ARG(s->name), SL_STR_ARG(v));
	memcpy(name, v.p, v.len);
	name[v.len] = '\0';
	return 0;
}

int
check_iface(const struct port_spec *s, struct port_err *err)
{
	struct ifreq req = { 0 };
	int rc = iface_name(s, req.ifr_name, err), fd;

	if (rc < 0)
		return rc;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0; // cannot tell: leave it to the driver
	if (ioctl(fd, SIOCGIFFLAGS, &req) < 0)
		rc = port_fail(err, -ENODEV, "port '%.*s': there is no interface '%s'",
			SL_STR_ARG(s->name), req.ifr_name);
	else if (!(req.ifr_flags & IFF_UP))
		rc = port_fail(err, -ENETDOWN,
			"port '%.*s': interface '%s' is down: run 'ip link set %s up'",
			SL_STR_ARG(s->name), req.ifr_name, req.ifr_name);
	else if (ioctl(fd, SIOCGIFMTU, &req) == 0 && s->mtu > req.ifr_mtu)
		rc = port_fail(err, -EMSGSIZE,
			"port '%.*s': mtu %u is more than the %d of interface '%s'",
			SL_STR_ARG(s->name), s->mtu, req.ifr_mtu, req.ifr_name);
	close(fd);
	return rc;
}

int
check_cap(const struct port_spec *s, unsigned int cap, const char *what, struct port_err *err)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	uint64_t eff = UINT64_MAX;

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "CapEff:", 7) == 0)
			eff = strtoull(line + 7, NULL, 16);
	}
	fclose(f);
	if (eff >> cap & 1)
		return 0;
	return port_fail(err, -EPERM, "port '%.*s': no right to use %s: start as root, or with %s",
		SL_STR_ARG(s->name), what, cap == CAP_NET_ADMIN ? "CAP_NET_ADMIN" : "CAP_NET_RAW");
}

int
check_tun(const struct port_spec *s, struct port_err *err)
{
	if (access("/dev/net/tun", R_OK | W_OK) == 0)
		return check_cap(s, CAP_NET_ADMIN, "TAP interfaces", err);
	return port_fail(err, -errno,
		"port '%.*s': cannot open /dev/net/tun (%s): load the tun module or start as root",
		SL_STR_ARG(s->name), strerror(errno));
}

static int
ethtool_call(int fd, const char *iface, void *data)
{
	struct ifreq req = { 0 };

	if (strlen(iface) >= sizeof(req.ifr_name))
		return -EINVAL;
	memcpy(req.ifr_name, iface, strlen(iface));
	req.ifr_data = data;
	return ioctl(fd, SIOCETHTOOL, &req) < 0 ? -errno : 0;
}

int
check_carrier(struct sl_str device)
{
	struct sl_str v = port_arg(device, "iface");
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	char name[IFNAMSIZ] = "";
	int fd, rc;

	if (v.len == 0 || v.len >= IFNAMSIZ)
		return -ENOTSUP;
	memcpy(name, v.p, v.len);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -ENOTSUP;
	// not IFF_RUNNING: the kernel tells that up to a second late
	rc = ethtool_call(fd, name, &link);
	close(fd);
	if (rc == -ENODEV)
		return 0; // an interface that is gone carries nothing
	return rc < 0 ? -ENOTSUP : link.data != 0;
}

/* Reads one answer to RTM_GETLINK. */
static int
carrier_changes_in(struct nlmsghdr *h, size_t len, uint32_t *n)
{
	struct ifinfomsg *i = NLMSG_DATA(h);
	int left;

	if (!NLMSG_OK(h, len) || h->nlmsg_type != RTM_NEWLINK)
		return -ENOTSUP;
	left = (int)IFLA_PAYLOAD(h);
	for (struct rtattr *a = IFLA_RTA(i); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type != IFLA_CARRIER_CHANGES || RTA_PAYLOAD(a) < sizeof(*n))
			continue;
		memcpy(n, RTA_DATA(a), sizeof(*n));
		return 0;
	}
	return -ENOTSUP;
}

int
check_carrier_changes(unsigned int ifindex, uint32_t *n)
{
	// not of /sys, which may be that of another network namespace
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} ask = { { sizeof(ask), RTM_GETLINK, NLM_F_REQUEST, 1, 0 },
		{ .ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex } };
	union {
		struct nlmsghdr h;
		char room[16384];
	} got;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t len = -1;

	if (fd < 0)
		return -ENOTSUP;
	// the kernel has answered when send() returns: there is nothing to wait for
	if (send(fd, &ask, sizeof(ask), 0) == (ssize_t)sizeof(ask))
		len = recv(fd, &got, sizeof(got), MSG_DONTWAIT);
	close(fd);
	return len < 0 ? -ENOTSUP : carrier_changes_in(&got.h, (size_t)len, n);
}

unsigned int
check_ifindex(struct sl_str device)
{
	struct sl_str v = port_arg(device, "iface");
	char name[IFNAMSIZ] = "";

	if (v.len == 0 || v.len >= IFNAMSIZ)
		return 0;
	memcpy(name, v.p, v.len);
	return if_nametoindex(name);
}

bool
check_exists(unsigned int ifindex)
{
	char name[IFNAMSIZ];

	return if_indextoname(ifindex, name) != NULL || errno != ENXIO;
}

static bool
ethtool_on(int fd, const char *iface, uint32_t cmd)
{
	struct ethtool_value v = { .cmd = cmd };

	return ethtool_call(fd, iface, &v) == 0 && v.data != 0;
}

static bool
is_veth(int fd, const char *iface)
{
	struct ethtool_drvinfo d = { .cmd = ETHTOOL_GDRVINFO };

	return ethtool_call(fd, iface, &d) == 0 && strcmp(d.driver, "veth") == 0;
}

/* Interface index of a veth's peer, in the peer's namespace; 0: unknown. It is statistic 0. */
static uint32_t
veth_peer(int fd, const char *iface)
{
	struct ethtool_drvinfo d = { .cmd = ETHTOOL_GDRVINFO };
	struct ethtool_stats *st;
	uint32_t peer = 0;

	if (ethtool_call(fd, iface, &d) < 0 || d.n_stats == 0 || d.n_stats > 100000)
		return 0;
	st = calloc(1, sizeof(*st) + d.n_stats * sizeof(uint64_t));
	if (st == NULL)
		return 0;
	st->cmd = ETHTOOL_GSTATS;
	st->n_stats = d.n_stats;
	if (ethtool_call(fd, iface, st) == 0)
		peer = (uint32_t)st->data[0];
	free(st);
	return peer;
}

/*
 * The kernel at the other end of a veth leaves checksums to a NIC that does not exist and sends
 * segments of 64 KiB, unless told not to.
 */
int
check_veth(const struct port_spec *s, struct port_err *err)
{
	char iface[IFNAMSIZ], peer[IF_NAMESIZE];
	int rc = iface_name(s, iface, err), fd;

	if (rc < 0)
		return rc;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || !is_veth(fd, iface))
		goto out;
	// the index means something here only if that interface's peer is ours; the interface's
	// own index is what two namespaces that count alike give
	if (if_indextoname(veth_peer(fd, iface), peer) == NULL || strcmp(peer, iface) == 0 ||
		!is_veth(fd, peer) || veth_peer(fd, peer) != if_nametoindex(iface)) {
		LOG(NOTICE,
			"port '%.*s': the peer of '%s' is in another network namespace: there, run "
			"'ethtool -K PEER tx off tso off gso off' or its segments are dropped",
			SL_STR_ARG(s->name), iface);
		goto out;
	}
	if (ethtool_on(fd, peer, ETHTOOL_GTXCSUM) || ethtool_on(fd, peer, ETHTOOL_GTSO) ||
		ethtool_on(fd, peer, ETHTOOL_GGSO))
		rc = port_fail(err, -EINVAL,
			"port '%.*s': '%s', the peer of '%s', leaves checksums or segmentation to "
			"hardware that is not there: run 'ethtool -K %s tx off tso off gso off'",
			SL_STR_ARG(s->name), peer, iface, peer);
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
get_channels(struct sl_str device, struct ethtool_channels *ch)
{
	struct sl_str v = port_arg(device, "iface");
	char iface[IFNAMSIZ] = "";
	int fd, rc;

	memset(ch, 0, sizeof(*ch));
	ch->cmd = ETHTOOL_GCHANNELS;
	if (v.len == 0 || v.len >= IFNAMSIZ)
		return -EINVAL;
	memcpy(iface, v.p, v.len);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	rc = ethtool_call(fd, iface, ch);
	close(fd);
	return rc;
}

/* The driver asks the same question, and refuses more queues than it gets for an answer. */
uint16_t
check_channels(struct sl_str device)
{
	struct ethtool_channels ch;
	int rc = get_channels(device, &ch);

	if (rc == -EOPNOTSUPP || (rc == 0 && ch.max_combined == 0))
		return 1;
	return rc == 0 ? (uint16_t)sl_max(ch.combined_count, 1u) : UINT16_MAX;
}

uint16_t
check_split(struct sl_str device, uint16_t nworkers)
{
	struct ethtool_channels ch;

	if (pmd_quirk(device)->quirks != pmd_quirk(SL_STR("net_af_xdp"))->quirks ||
		port_arg(device, "start_queue").p != NULL ||
		port_arg(device, "queue_count").p != NULL || get_channels(device, &ch) < 0 ||
		ch.max_combined != 0)
		return 1;
	if (ch.rx_count <= 1)
		return 1;
	return (uint16_t)sl_min((uint32_t)nworkers, ch.rx_count);
}

/* What arrives at a queue without a socket goes to the kernel, unseen by us. */
int
check_queues(const struct port_spec *s, uint16_t nworkers, struct port_err *err)
{
	struct ethtool_channels ch;
	uint16_t opened = sl_min(nworkers, check_channels(s->device));
	uint16_t split = check_split(s->device, nworkers);
	uint32_t there;

	if (get_channels(s->device, &ch) < 0)
		return 0;
	there = ch.combined_count + ch.rx_count;
	opened = sl_max(opened, split);
	if (there <= opened)
		return 0;
	return port_fail(err, -EINVAL,
		"port '%.*s': its interface receives on %u queues, of which %u are opened: run "
		"'ethtool -L %.*s %s %u'",
		SL_STR_ARG(s->name), there, opened, SL_STR_ARG(port_arg(s->device, "iface")),
		ch.combined_count > 0 ? "combined" : "rx", opened);
}

/* Free pages of a node; the machine's where the kernel does not count by node. */
static uint64_t
free_pages(int node)
{
	char path[128];
	unsigned long long n = 0;
	FILE *f;

	snprintf(path, sizeof(path),
		"/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/free_hugepages", node);
	f = fopen(path, "re");
	if (f == NULL && node == 0)
		f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

/* Pages of 2 MiB: what the kernel says of a mount; without a word it is the default size. */
static bool
is_2m(const struct mntent *m)
{
	const char *size = hasmntopt(m, "pagesize");

	return strcmp(m->mnt_type, "hugetlbfs") == 0 &&
		(size == NULL || strncmp(size, "pagesize=2M", 11) == 0);
}

int
check_hugetlbfs(char *dir, size_t size)
{
	FILE *f = setmntent("/proc/mounts", "re");
	struct mntent *m;
	int nth = 0, rc = -ENOENT;

	if (f == NULL)
		return -ENOENT;
	while (rc < 0 && (m = getmntent(f)) != NULL) {
		size_t len = strlen(m->mnt_dir);

		if (!is_2m(m))
			continue;
		rc = -EACCES;
		if (len < size && faccessat(AT_FDCWD, m->mnt_dir, W_OK | X_OK, AT_EACCESS) == 0) {
			memcpy(dir, m->mnt_dir, len + 1);
			rc = nth > 0;
		}
		nth++;
	}
	endmntent(f);
	return rc;
}

uint64_t
check_hugepages_mb(int node)
{
	char dir[256];

	return check_hugetlbfs(dir, sizeof(dir)) >= 0 ? free_pages(node) * 2 : 0;
}
