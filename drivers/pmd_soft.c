// SPDX-License-Identifier: BSD-3-Clause
/*
 * What must be known about single drivers: the arguments they need to give every worker a queue, and
 * the claims that are not to be relied on (read in the sources of DPDK 22.11).
 *
 * Runs on: the main thread, before and at the start of ports. A device that has no row here is
 * taken at its word (real NICs).
 */
#include <linux/capability.h>
#include <stdio.h>

#include "drivers/drv.h"

struct sl_str
port_arg(struct sl_str device, const char *key)
{
	struct sl_str rest = device, k = sl_str_c(key);

	sl_str_cut(&rest, ','); // the name
	while (rest.p != NULL) {
		struct sl_str val = sl_str_cut(&rest, ',');
		struct sl_str name = sl_str_cut(&val, '=');
		if (sl_str_eq(sl_str_trim(name), k))
			return val;
	}
	return (struct sl_str){ .p = NULL };
}

static bool
has_arg(struct sl_str device, const char *key)
{
	return port_arg(device, key).p != NULL;
}

static void
add_arg(struct sl_buf *b, struct sl_str device, const char *key, uint32_t value)
{
	if (!has_arg(device, key))
		sl_buf_printf(b, ",%s=%u", key, value);
}

/*
 * A socket per queue. busy_budget makes the driver enter the kernel on every poll that finds
 * nothing, which takes the CPU from the thread that would fill the ring on small machines.
 */
static void
args_af_xdp(struct sl_buf *b, struct sl_str device, uint16_t nworkers)
{
	add_arg(b, device, "start_queue", 0);
	add_arg(b, device, "queue_count", sl_min(nworkers, check_channels(device)));
	add_arg(b, device, "busy_budget", 0);
}

/* A full ring blocks the sender for ever, so it is long; frames must hold an MTU of 1500. */
static void
args_af_packet(struct sl_buf *b, struct sl_str device, uint16_t nworkers)
{
	add_arg(b, device, "qpairs", nworkers);
	add_arg(b, device, "blocksz", 65536);
	add_arg(b, device, "framesz", 2048);
	add_arg(b, device, "framecnt", 4096);
	add_arg(b, device, "qdisc_bypass", 1);
}

static int
check_af_xdp(const struct port_spec *s, uint16_t nworkers, struct port_err *err)
{
	int rc = check_iface(s, err);

	if (rc == 0)
		rc = check_cap(s, CAP_NET_RAW, "AF_XDP sockets", err);
	if (rc == 0)
		rc = check_cap(s, CAP_NET_ADMIN, "XDP programs", err);
	if (rc == 0)
		rc = check_queues(s, nworkers, err);
	return rc == 0 ? check_veth(s, err) : rc;
}

static int
check_af_packet(const struct port_spec *s, uint16_t nworkers sl_unused, struct port_err *err)
{
	int rc = check_iface(s, err);

	if (rc == 0)
		rc = check_cap(s, CAP_NET_RAW, "packet sockets", err);
	return rc == 0 ? check_veth(s, err) : rc;
}

static int
check_tap(const struct port_spec *s, uint16_t nworkers sl_unused, struct port_err *err)
{
	return check_tun(s, err);
}

static int
check_refuse(const struct port_spec *s, uint16_t nworkers sl_unused, struct port_err *err)
{
	return port_fail(err, -ENOTSUP, "port '%.*s': device '%.*s': %s", SL_STR_ARG(s->name),
		SL_STR_ARG(s->device), pmd_quirk(s->device)->text);
}

// clang-format off
static const struct pmd_quirk quirks[] = {
	{ "net_af_xdp", PMD_Q_SOFT | PMD_Q_NO_RSS | PMD_Q_SINGLE_SEG | PMD_Q_FILL |
			PMD_Q_KERNEL,
		args_af_xdp, check_af_xdp, NULL },
	{ "net_af_packet", PMD_Q_SOFT | PMD_Q_NO_RSS, args_af_packet, check_af_packet, NULL },
	{ "net_tap", PMD_Q_SOFT | PMD_Q_NO_RSS | PMD_Q_OTHER_MAC | PMD_Q_KERNEL | PMD_Q_GSO,
		NULL, check_tap, NULL },
	{ "net_memif", PMD_Q_SOFT | PMD_Q_NO_RSS, NULL, NULL, NULL },
	{ "net_pcap", PMD_Q_SOFT | PMD_Q_NO_RSS, NULL, NULL, NULL },
	{ "net_null", PMD_Q_SOFT | PMD_Q_NO_RSS, NULL, NULL, NULL },
	{ "wire", PMD_Q_SOFT | PMD_Q_WIRE, NULL, NULL, NULL },
	{ "net_ring", PMD_Q_REFUSE, NULL, check_refuse,
		"it hands buffers of one worker to another; use 'wireNa' and 'wireNb'" },
	{ "eth_ring", PMD_Q_REFUSE, NULL, check_refuse,
		"it hands buffers of one worker to another; use 'wireNa' and 'wireNb'" },
	{ "net_bonding", PMD_Q_BOND, NULL, NULL, NULL }, // and what its slaves have
	{ "eth_bond", PMD_Q_BOND, NULL, NULL, NULL },
	{ "net_", PMD_Q_SOFT | PMD_Q_NO_RSS, NULL, NULL, NULL }, // other virtual devices
	{ "virtio_user", PMD_Q_SOFT | PMD_Q_NO_RSS, NULL, NULL, NULL },
	{ "", 0, NULL, NULL, NULL }, // last: everything else
};
// clang-format on

const struct pmd_quirk *
pmd_quirk(struct sl_str device)
{
	const struct pmd_quirk *q = quirks;

	while (!sl_str_starts(device, sl_str_c(q->prefix), false))
		q++;
	return q;
}

bool
pmd_is_virtual(struct sl_str device)
{
	return pmd_quirk(device)->prefix[0] != '\0';
}

int
pmd_device_of_queue(const struct port_spec *s, uint16_t i, struct sl_buf *out)
{
	struct sl_str rest = s->device, name = sl_str_cut(&rest, ',');

	sl_buf_add(out, name);
	sl_buf_printf(out, "_q%u,", i);
	sl_buf_add(out, rest);
	sl_buf_printf(out, ",start_queue=%u,queue_count=1", i);
	add_arg(out, s->device, "busy_budget", 0);
	return out->full ? -ENAMETOOLONG : 0;
}

int
pmd_device(const struct port_spec *s, uint16_t nworkers, struct sl_buf *out)
{
	const struct pmd_quirk *q = pmd_quirk(s->device);
	struct sl_str rest = s->device, name = sl_str_cut(&rest, ',');

	if (q->quirks & PMD_Q_WIRE) {
		sl_buf_addc(out, "net_null_");
		sl_buf_add(out, name);
		sl_buf_addc(out, ",no-rx=1");
	} else {
		sl_buf_add(out, s->device);
		if (q->args != NULL)
			q->args(out, s->device, nworkers);
	}
	return out->full ? -ENAMETOOLONG : 0;
}
