/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of drivers: everything between a device name and a queue.
 *
 * Runs on: the main thread, at start, on link events and at stop. Workers only read struct port
 * (fixed after port_start, but for the fields marked _Atomic) and call rte_eth_rx_burst() and
 * rte_eth_tx_burst() themselves with its ids.
 */
#pragma once

#include <rte_ether.h>
#include <rte_mempool.h>

#include "dataplane/base/addr.h"
#include "dataplane/base/base.h"
#include "dataplane/base/str.h"

#define PORT_MAX        16
#define PORT_MAX_ADDRS  32
#define PORT_MAX_ROUTES 34 // 32 and a gateway of each family
#define PORT_MAX_NEIGHS 32 // static ones
#define PORT_MAX_QUEUES 64
#define PORT_RETA       128 // entries of our own ownership table; a power of two
#define PORT_RSS_KEY    40  // bytes
#define PORT_DEVICE     256 // of a device with its arguments

/* How the worker that owns a flow is found (architecture: owner(4-tuple)). */
enum port_mode {
	PORT_SINGLE, // one worker: everything is its own
	PORT_RSS,    // the device's RSS delivers to the owner (self-tested)
	PORT_SOFT,   // the owner is computed in software, foreign frames go over the mesh
};

/* What traffic says of the device's RSS, against the key and the table that it was given. */
enum port_spread {
	PORT_SPREAD_NONE,    // not PORT_RSS: nothing is expected of it
	PORT_SPREAD_WAITING, // too little has come
	PORT_SPREAD_PASSED,  // frames come to their owners
	PORT_SPREAD_FAILED,  // they do not: the mesh carries them, as if it were PORT_SOFT
	PORT_SPREAD_NR
};

/* Who computes checksums, as configured; likewise who cuts into segments (tso). */
enum port_offload {
	PORT_OFFLOAD_AUTO, // the device, where its driver is known to be right
	PORT_OFFLOAD_ON,   // the device, wherever its driver says that it can; tso: or no start
	PORT_OFFLOAD_OFF,  // we
};

/* What was agreed with the device; absent means: done in software. */
#define PORT_O_RX_IPCSUM   0x01u
#define PORT_O_RX_L4CSUM   0x02u
#define PORT_O_TX_IPCSUM   0x04u
#define PORT_O_TX_TCPCSUM  0x08u
#define PORT_O_TX_MULTISEG 0x10u
#define PORT_O_RX_INTR     0x20u
#define PORT_O_RSS_HASH    0x40u // mbufs carry hash.rss of our key
#define PORT_O_TX_TSO4     0x80u // the device cuts one frame into segments: over IPv4
#define PORT_O_TX_TSO6     0x100u // and over IPv6
#define PORT_O_TX_POLL     0x200u // the driver sends frames of its own, while it is called to send
#define PORT_O_TX_TSO      (PORT_O_TX_TSO4 | PORT_O_TX_TSO6)

struct toeplitz;

/* Where a worker receives and sends: queue `queue` of DPDK's device `ethdev`. */
struct port_queue {
	uint16_t ethdev, queue;
};

struct port {
	/* ==== fixed after port_start ==== */
	uint16_t id;     // our index
	uint16_t ethdev; // DPDK's port id; of the first device, if there is one for each queue
	uint16_t ndevs;  // devices; q[i].ethdev for i < ndevs are all of them
	uint16_t
		nqueues; // rx and tx queues; queue q belongs to worker q; workers >= nqueues have none
	uint16_t mtu;
	uint16_t vlan; // 0: untagged
	char name[32];
	char device[PORT_DEVICE];
	char driver[32];
	struct rte_ether_addr mac;
	uint32_t offloads; // PORT_O_*
	uint16_t tso_segs; // PORT_O_TX_TSO: segments in a frame, at most
	uint16_t
		tso_frame; // and bytes of each as it leaves, with all its headers; 0: no such bound
	enum port_mode mode;
	uint8_t rss_key[PORT_RSS_KEY];
	const struct toeplitz *toeplitz; // tables of rss_key, shared by all ports
	uint8_t owner[PORT_RETA];        // bucket -> worker
	struct ip_net addr[PORT_MAX_ADDRS];
	uint16_t naddrs;
	uint16_t nroutes;
	uint16_t nneighs;
	struct ip_route route[PORT_MAX_ROUTES]; // longest prefix first; gateways are the last
	struct ip_neigh neigh[PORT_MAX_NEIGHS];
	int socket;                           // NUMA node or -1
	struct port_queue q[PORT_MAX_QUEUES]; // by worker, nqueues of them
	uint16_t rx_desc, tx_desc;
	uint16_t rings; // of a queue: one of each, or one of each for each slave of a bond
	unsigned int ifindex; // of the kernel's interface under it; 0: none
	/* ==== main and EAL's interrupt thread write, workers read ==== */
	_Atomic(bool) gone; // the device was taken away: for good
	_Atomic(bool) link_up;
	_Atomic(uint32_t) link_changes;
	/* ==== main writes, workers read ==== */
	_Atomic(uint8_t) spread;         // enum port_spread
	_Atomic(uint32_t) slave_changes; // of a bond: links of its slaves that came or went
	uint32_t slaves_up;              // main's: which had a link when it looked last
	uint32_t carrier_seen, links_seen; // main's: the interface's changes and link_changes then
	/* ==== EAL's interrupt thread writes, main reads ==== */
	_Atomic(bool) leaving;
};

struct ports {
	struct port port[PORT_MAX];
	uint16_t n;
	uint16_t nworkers;
	bool leave; // no rights to close devices of the kernel: whoever ends the process cleans up
	uint16_t payload_mss; // the one payload unit: min over ports and families, less timestamps
};

/* Errors of the drivers carry a text that names the thing and the fix. */
struct port_err {
	char text[512];
};

/* One configured port, as the start-up sequence passes it (from model's port_conf). */
struct port_spec {
	struct sl_str name, device;
	const struct ip_net *addrs;
	uint32_t naddrs;
	struct ip_addr gateway4, gateway6;
	const struct ip_route *routes;
	uint32_t nroutes;
	const struct ip_neigh *neighs;
	uint32_t nneighs;
	uint16_t mtu; // 0: 1500
	uint16_t vlan;
	uint8_t offload; // enum port_offload
	uint8_t tso;     // enum port_offload
	int node;        // NUMA node of its rings; -1: anywhere
};

/* ---- EAL ---- */
#define EAL_NODES   16 // NUMA nodes
#define EAL_BASE_MB 64 // of EAL's own tables and the drivers' state
#define EAL_PORT_MB 4  // of the rings of a port

struct eal_spec {
	const struct port_spec *ports;
	uint32_t nports;
	uint32_t nworkers;
	uint32_t pool_mbufs; // of each worker; 0: pool_mbufs(nports)
	const uint16_t *worker_cpu; // one CPU per worker
	uint16_t main_cpu;          // of the main lcore
	const uint32_t *node_mb;    // hugepages that each NUMA node shall give; NULL: any node
	uint16_t nnodes;
	struct sl_str extra;        // dpdk-eal "…"
	const char *file_prefix;    // "sluice"
	bool in_test;               // quiet, --no-telemetry
};
/*
 * Builds the arguments (hugepages if they are there and enough, else --no-huge --no-shconf; --vdev
 * or -a per port; -m sized for the pools), checks before what EAL would only fail on (interface
 * exists, /dev/net/tun, capabilities, veth peer offloads, memory needed against memory there), runs
 * rte_eal_init(). *huge says which profile was taken.
 */
int eal_start(const struct eal_spec *s, bool *huge, struct port_err *err);
/* leave: nothing of EAL's is closed, the process ends and its parent cleans up (no rights left). */
void eal_stop(bool leave);
/*
 * Does every node have the hugepages that are asked of it (MiB by node)? Then they are no part of
 * the memory that is free.
 */
bool eal_fits_huge(const uint32_t *node_mb, uint16_t nnodes, struct sl_str extra);
/* MiB of a pool of so many buffers. */
uint32_t eal_pool_mb(uint32_t mbufs);
/* MiB that EAL needs for pools of so many buffers and the queues of the ports. */
uint32_t eal_memory_mb(uint32_t nports, uint32_t nworkers, uint32_t pool_mbufs);
/* Memory that the machine has available, in MiB; more than any need where /proc does not say. */
uint64_t eal_available_mb(void);

/* ---- devices as they are written, and bonds ---- */
/* The i-th slave that a bond's device names, PCI address or name. NULL: no more; never one of others. */
struct sl_str port_slave(struct sl_str device, uint32_t i);
/* Value of `key=` in a device with its arguments. NULL: it is not there. */
struct sl_str port_arg(struct sl_str device, const char *key);
/* The next virtual device among arguments for EAL, of which *rest is left. NULL: no more. */
struct sl_str port_vdev(struct sl_str *rest);
/* A slave with its arguments, where it is a virtual device of `extra`, else itself. */
struct sl_str port_slave_device(struct sl_str extra, struct sl_str slave);
/* Devices with rings under a port's device: the slaves of a bond, else 1. Sizes count these, as "ports". */
uint32_t port_rings(struct sl_str device);

/* ---- pools ---- */
/* mbufs per worker pool: rings of all its queues, fill rings, caches, and the budget to retain. */
uint32_t pool_mbufs(uint32_t nports);
/* The fewest with which the rings of all ports can be full and queues still hold something. */
uint32_t pool_mbufs_min(uint32_t nports);
/* Bytes that one takes, with headers and private area. */
uint32_t pool_mbuf_bytes(void);
/*
 * The one mbuf pool of a worker: used by that worker only, once it runs. Private area: struct pkt
 * of net/pkt.h (PORT_PRIV bytes); lcore_mbuf() clears the first eight.
 */
struct rte_mempool *pool_create(uint16_t worker, uint32_t n, int socket, struct port_err *err);
#define PORT_PRIV      64
#define PORT_MBUF_DATA 2048 // bytes after the headroom (RTE_PKTMBUF_HEADROOM 128)

/* ---- ports ---- */
/* pools[w]: pool of worker w. Configures, negotiates, sets up queues, starts. */
int port_start(struct ports *ps, const struct port_spec *spec, struct rte_mempool *const *pools,
	uint16_t nworkers, struct port_err *err);
void port_stop(struct ports *ps, struct port *p);
/*
 * Looks whether the port has its device and a carrier, and stores it (gone, link_up, link_changes).
 * Drivers without events need it called: main does, twice a second; what the kernel's interface under
 * it did between two looks is counted as well. A port whose device is gone is not touched any more; it
 * stays so until a restart, whatever comes back under that name.
 */
void port_poll_link(struct port *p);
/* Word for telemetry and the runtime API: none, waiting, passed, failed. */
const char *port_spread_name(const struct port *p);
static inline bool
port_is_gone(const struct port *p)
{
	return atomic_load_explicit((_Atomic(bool) *)(uintptr_t)&p->gone, memory_order_relaxed);
}
/*
 * Is the device of a running port being taken away? Then port_let_go(), while no worker runs: what is
 * left is a port that is gone, without queues or link. pools: as of port_start().
 */
bool port_is_leaving(const struct port *p);
void port_let_go(struct ports *ps, struct port *p, struct rte_mempool *const *pools);
/* Sums over the devices of a port; zeroes once it is gone. Control threads. */
struct rte_eth_stats;
void port_stats(const struct port *p, struct rte_eth_stats *out);
/* After all ports: payload_mss and other sums. */
void port_finish(struct ports *ps);

/* ---- ownership ---- */
/*
 * Toeplitz hash of a received frame's tuple (remote = source, local = destination), IPv4 or IPv6
 * with ports in host order.
 */
uint32_t port_hash(const struct port *p, const struct ip_addr *remote, const struct ip_addr *local,
	uint16_t rport, uint16_t lport);
static inline uint16_t
port_owner(const struct port *p, uint32_t hash)
{
	return p->owner[hash & (PORT_RETA - 1)];
}
/*
 * Port classes: the hash is linear, so for given addresses and remote port the local ports that
 * return to a bucket form one class. port_class_next() gives the next local port of first..last whose
 * replies worker w receives, starting the search behind *cursor: O(1), no trials. base: port_hash()
 * with lport 0. Returns 0 only if w owns no bucket of the port, or none of the ports is of its.
 */
struct port_classes;
struct port_classes *port_classes_new(const struct port *p, uint16_t first, uint16_t last);
void port_classes_free(struct port_classes *pc);
uint16_t port_class_next(
	const struct port_classes *pc, uint32_t base, uint16_t w, uint32_t *cursor);

/* ---- the in-process ring port: a wire between two ports of one process ---- */
/*
 * Device name "wireN": a null device with rx and tx callbacks that copy frames through bounded
 * byte rings, as a wire copies, and emulate RSS with the receiver's key and ownership table (so
 * that a pool is only ever touched by the worker that owns it). The two ends of one wire are
 * "wireNa" and "wireNb"; both may be started by the same process, or one end may be driven by a
 * generator through wire_send/wire_recv. A frame reaches the queue that RSS of the receiving port
 * picks; where the receiving end is no port, or has "rss=0" in its device name ("wire0a,rss=0":
 * PORT_SOFT), it reaches the queue with the sender's queue number. "multiseg=0" takes the chained
 * mbufs away, "queues=N" limits the queues. "tso=N" makes it a card that computes the checksums of what
 * is sent and cuts frames of up to N segments, as such a card does it (wire_tso.c).
 */
#define WIRE_QUEUES 8    // queues per end; further workers have none
#define WIRE_FRAME  2044 // longest frame
struct wire;
/* depth: frames per queue and direction (power of two). Before eal_start of ports naming it. */
struct wire *wire_new(unsigned n, uint32_t depth);
void wire_free(struct wire *w);
/*
 * Generator's end ('a' or 'b'): 0 or -EAGAIN when full (not counted as lost); length or -EAGAIN when
 * empty, -EMSGSIZE when the frame does not fit.
 */
int wire_send(struct wire *w, char end, uint16_t queue, const void *frame, uint32_t len);
int wire_recv(struct wire *w, char end, uint16_t queue, void *frame, uint32_t size);
/* Frames sent by the port at `end` that were dropped because a ring was full or too long. */
uint64_t wire_lost(const struct wire *w, char end);
/*
 * TSC cycles that the owner of an end's queue has spent in the wire itself: copying frames, buffers
 * for received ones. For benchmarks; read on that thread.
 */
uint64_t wire_cycles(const struct wire *w, char end, uint16_t queue);
