/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to drivers: what the parts of the start-up tell each other. Runs on: the main thread.
 */
#pragma once

#include <rte_ethdev.h>

#include "dataplane/base/buf.h"
#include "drivers/port.h"

/* ---- toeplitz.c ---- */
#define TOEPLITZ_INPUT 36 // bytes hashed for TCP over IPv6

struct toeplitz {
	uint32_t t[TOEPLITZ_INPUT][256]; // contribution of byte value v at position i
};
void toeplitz_init(struct toeplitz *t, const uint8_t key[PORT_RSS_KEY]);
uint32_t toeplitz_hash(const struct toeplitz *t, const uint8_t *data, uint32_t len);
/*
 * Ours to choose, with two properties that port classes need: bytes 34..39 repeat bytes 10..15, so
 * that the local port contributes the same to IPv4 and to IPv6 hashes; and the low bits of that
 * contribution take every value. fixed: the same in every run (wires: reproducible simulations).
 */
void toeplitz_make_key(uint8_t key[PORT_RSS_KEY], bool fixed);

/* ---- pmd_soft.c ---- */
#define PMD_Q_SOFT       0x01u // checksums of this driver are not to be relied on
#define PMD_Q_NO_RSS     0x02u // claims of RSS are not to be relied on
#define PMD_Q_SINGLE_SEG 0x04u // sends only the first segment
#define PMD_Q_WIRE       0x08u // null device behind a wire
#define PMD_Q_REFUSE     0x10u // cannot work; see `text`
#define PMD_Q_FILL       0x20u // holds a second ring of buffers (fill ring)
#define PMD_Q_KERNEL     0x80u // closing it changes an interface of the kernel: needs rights
#define PMD_Q_OTHER_MAC  0x40u // its address is the kernel's end of the device: take another
#define PMD_Q_BOND       0x200u // over slaves (pmd_bond.c)
#define PMD_Q_GSO        0x100u // cuts by DPDK's library: IPv4 only, a frame no longer than the MTU

struct pmd_quirk {
	const char *prefix; // of the device's name
	uint32_t quirks;
	/* Adds arguments that the user left out. NULL: none. */
	void (*args)(struct sl_buf *b, struct sl_str device, uint16_t nworkers);
	/* Checks before EAL; 0 or -Exxx with a text. NULL: none. */
	int (*check)(const struct port_spec *s, uint16_t nworkers, struct port_err *err);
	const char *text;
};
/* Never NULL: a device that is not in the table has an empty row. */
const struct pmd_quirk *pmd_quirk(struct sl_str device);
bool pmd_is_virtual(struct sl_str device);
/* Quirks of a device; a bond has those of its slaves. */
uint32_t pmd_quirks(struct sl_str device);
/* Device as EAL takes it: name[,args] with our defaults added. 0 or -ENAMETOOLONG. */
int pmd_device(const struct port_spec *s, uint16_t nworkers, struct sl_buf *out);
/* The i-th further device of a port that is split. */
int pmd_device_of_queue(const struct port_spec *s, uint16_t i, struct sl_buf *out);

/* ---- pmd_bond.c ---- */
#define BOND_SLAVES 32 // RTE_MAX_ETHPORTS, the most that the driver takes
bool pmd_is_bond(struct sl_str device);
bool pmd_is_pci(struct sl_str name); // [domain:]bus:device.function
/* Mode 4: its frames to the switch go out when a worker calls the driver to send. */
bool bond_is_lacp(struct sl_str device);
/* Checks the bond of a port, before EAL; 0 for what is none. */
int check_bond(const struct eal_spec *e, uint32_t port, struct port_err *err);
/* DPDK's ports of the slaves, up to the first that is not there: how many; 0 of what is no bond. */
uint32_t bond_slaves(struct sl_str device, uint16_t ids[BOND_SLAVES]);
/* Which of its slaves have a link, a bit for each. */
uint32_t bond_links(struct sl_str device);
/* Gives a bond its slaves, so that it can be asked what it can. */
int bond_join(const struct port_spec *s, uint16_t bond, uint16_t mtu, struct port_err *err);
/* rte_eth_dev_configure() of a bond that has its slaves. */
int bond_configure(uint16_t bond, uint16_t nqueues, const struct rte_eth_conf *conf);

/* ---- check.c: what EAL would only fail on ---- */
int check_iface(const struct port_spec *s, struct port_err *err);
int check_cap(const struct port_spec *s, unsigned int cap, const char *what, struct port_err *err);
int check_tun(const struct port_spec *s, struct port_err *err);
int check_veth(const struct port_spec *s, struct port_err *err);
/* Carrier of the kernel's interface under a device ("iface="): 1, 0, or -ENOTSUP if it has none. */
int check_carrier(struct sl_str device);
/* How often the carrier of the interface with this index has changed. 0, or -ENOTSUP: cannot tell. */
int check_carrier_changes(unsigned int ifindex, uint32_t *n);
/* Index of that interface; 0: there is none. */
unsigned int check_ifindex(struct sl_str device);
/* Is an interface of this index there, whatever its name? */
bool check_exists(unsigned int ifindex);
/* Queues that AF_XDP can open on the device's interface; UINT16_MAX: cannot tell. */
uint16_t check_channels(struct sl_str device);
/*
 * Devices to make for one port, each with one queue: where the interface has queues that its
 * driver does not see (veth: it counts "combined" channels only). 1: one device for all.
 */
uint16_t check_split(struct sl_str device, uint16_t nworkers);
int check_queues(const struct port_spec *s, uint16_t nworkers, struct port_err *err);
/*
 * Where hugepages of 2 MiB are mounted and this process may make files. 0: the first such mount,
 * which EAL takes by itself; 1: a later one; -EACCES: it may not write to any; -ENOENT: none.
 */
int check_hugetlbfs(char *dir, size_t size);
uint64_t check_hugepages_mb(int node); // free there, and mounted where we may use them

/* ---- caps.c ---- */
/* Picks offloads and RSS: fills p->offloads, p->mode, p->nqueues and conf. */
void caps_negotiate(struct port *p, const struct rte_eth_dev_info *info, uint32_t quirks,
	uint8_t offload, uint16_t nworkers, struct rte_eth_conf *conf);
/* The same for TSO, when the checksums are agreed. */
void caps_negotiate_tso(struct port *p, const struct rte_eth_dev_info *info, uint32_t quirks,
	uint8_t tso, struct rte_eth_conf *conf);
/* Why a port has no TSO that was asked to have it. */
int caps_no_tso(const struct port *p, struct port_err *err);

/* ---- rss.c ---- */
void rss_fill_owner(struct port *p, uint16_t reta_size);
/* Programs key and table; false: the device does not do what we need. */
bool rss_program(struct port *p, const struct rte_eth_dev_info *info);

/* ---- port.c ---- */
/* No more events of its device reach the port. */
void port_forget(struct port *p);
/* What this thread took through its own cache belongs to the workers from now on. */
void pool_flush(struct rte_mempool *const *pools, uint16_t n);

/* ---- gone.c ---- */
/* DPDK's ports of all that may be taken away: the port's own, then the slaves of a bond. How many. */
uint32_t port_devices(const struct port *p, uint16_t ids[PORT_MAX_QUEUES + BOND_SLAVES]);
void gone_watch(struct port *p);
void gone_unwatch(struct port *p);

/* ---- wire.c ---- */
/* Joins a started port to its wire. 0, or -ENODEV when there is no such wire. */
int wire_bind(struct port *p, struct rte_mempool *const *pools);
void wire_unbind(const struct port *p);

/* ---- wire_tso.c ---- */
#define WIRE_OFFLOADS (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM)
/* Frames that leave for m, which has flags of WIRE_OFFLOADS. */
uint32_t wire_pieces(const struct rte_mbuf *m);
/* The i-th of them as a card makes it; its length, or 0: longer than size, or no frame for it. */
uint32_t wire_piece(const struct rte_mbuf *m, uint32_t i, uint8_t *out, uint32_t size);

int port_fail(struct port_err *err, int rc, const char *fmt, ...) sl_printf(3, 4);
