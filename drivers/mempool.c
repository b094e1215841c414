// SPDX-License-Identifier: BSD-3-Clause
/*
 * The mbuf pools: one per worker, used by that worker alone once it runs, but for frames of LACP.
 *
 * Runs on: the main thread. Because there is one owner, nobody waits for the lock of the pool's
 * stack, which gives what was freed last: a load that needs few buffers stays with these, where a ring
 * would lead it through all of them, and each would be cold. One pool serves the worker's queues on
 * all ports, so that AF_XDP forwards a buffer from port to port without a copy.
 *
 * Under LACP DPDK's bonding driver keeps the switch's own frames, which a worker received, in rings of
 * the slave: EAL's interrupt thread frees what was negotiated (about one a second and slave), and any
 * worker that sends by the bond sends the answer to a marker. Such a buffer comes home through the
 * stack and its lock, or stays in that worker's cache of the pool; that is why the lock is needed.
 */
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <stdio.h>

#include "drivers/drv.h"

#define POOL_CACHE    256
#define POOL_RETAIN   20480 // buffers that queues may hold, whatever the rings take
#define POOL_NO_PORT  8192  // the same of a worker that has sockets of the host alone
#define POOL_PER_PORT 4096 // rx ring or fill ring, and tx ring
#define POOL_OBJECT                                                                         \
	(64 + sizeof(struct rte_mbuf) + PORT_PRIV + RTE_PKTMBUF_HEADROOM + PORT_MBUF_DATA + \
		64) // header, mbuf, private area, data, padding

uint32_t
pool_mbufs(uint32_t nports)
{
	// 2^n - 1, as DPDK advises for pools
	return (nports == 0 ? POOL_NO_PORT : sl_pow2_up(POOL_RETAIN + nports * POOL_PER_PORT)) - 1;
}

uint32_t
pool_mbufs_min(uint32_t nports)
{
	return 1024 + nports * POOL_PER_PORT;
}

uint32_t
pool_mbuf_bytes(void)
{
	return POOL_OBJECT + sizeof(void *);
}

uint32_t
eal_pool_mb(uint32_t mbufs)
{
	return (uint32_t)(((uint64_t)mbufs + 1) * pool_mbuf_bytes() >> 20) + 2;
}

uint32_t
eal_memory_mb(uint32_t nports, uint32_t nworkers, uint32_t pool_mbufs)
{
	return nworkers * eal_pool_mb(pool_mbufs) + nports * EAL_PORT_MB + EAL_BASE_MB;
}

static void
free_zone(struct rte_mempool_memhdr *hdr sl_unused, void *zone)
{
	rte_memzone_free(zone);
}

/*
 * One piece of memory for all objects, with the addresses by which devices know it. (What
 * rte_mempool_populate_default() does with RTE_MEMPOOL_F_NO_IOVA_CONTIG has none: each buffer's
 * would be RTE_BAD_IOVA, which a card on PCI writes to.)
 */
static int
populate(struct rte_mempool *mp, uint32_t n)
{
	char name[RTE_MEMZONE_NAMESIZE];
	const struct rte_memzone *mz;
	size_t size = (size_t)n * (mp->header_size + mp->elt_size + mp->trailer_size);
	int rc;

	// said of pools with that flag, and drivers then would not map this one
	mp->flags &= ~RTE_MEMPOOL_F_NON_IO;
	snprintf(name, sizeof(name), "%.16s_objects", mp->name);
	mz = rte_memzone_reserve_aligned(
		name, size, mp->socket_id, RTE_MEMZONE_SIZE_HINT_ONLY, RTE_MEMPOOL_ALIGN);
	if (mz == NULL)
		return -rte_errno;
	rc = rte_mempool_populate_iova(
		mp, mz->addr, mz->iova, mz->len, free_zone, (void *)(uintptr_t)mz);
	if (rc == (int)n)
		return rc;
	if (rc <= 0)
		rte_memzone_free(mz);
	return rc < 0 ? rc : -ENOMEM;
}

/*
 * As rte_pktmbuf_pool_create(), but its objects lie one behind the other without gaps at page
 * borders: AF_XDP registers populated_size * object size as its memory, and drops, unsaid, frames
 * that lie beyond. Without physical addresses nothing needs the gaps.
 */
static struct rte_mempool *
packed_pool(const char *name, uint32_t n, int socket)
{
	struct rte_pktmbuf_pool_private priv = { .mbuf_data_room_size =
							 RTE_PKTMBUF_HEADROOM + PORT_MBUF_DATA,
		.mbuf_priv_size = PORT_PRIV };
	uint32_t size = sizeof(struct rte_mbuf) + PORT_PRIV + priv.mbuf_data_room_size;
	bool va = rte_eal_iova_mode() == RTE_IOVA_VA;
	struct rte_mempool *mp;

	mp = rte_mempool_create_empty(name, n, size, POOL_CACHE, sizeof(priv), socket,
		va ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0);
	if (mp == NULL)
		return NULL;
	if (rte_mempool_set_ops_byname(mp, "stack", NULL) != 0)
		goto fail;
	rte_pktmbuf_pool_init(mp, &priv);
	if ((va ? populate(mp, n) : rte_mempool_populate_default(mp)) < 0)
		goto fail;
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
fail:
	rte_mempool_free(mp);
	return NULL;
}

struct rte_mempool *
pool_create(uint16_t worker, uint32_t n, int socket, struct port_err *err)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;

	snprintf(name, sizeof(name), "worker%u", worker);
	mp = packed_pool(name, n, socket);
	if (mp == NULL)
		port_fail(err, -ENOMEM,
			"no memory for the %u packet buffers of worker %u (%s): give more hugepages "
			"or fewer threads (nbthread)",
			n, worker, rte_strerror(rte_errno));
	return mp;
}
