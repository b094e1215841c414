// SPDX-License-Identifier: BSD-3-Clause
/* What is asked of a device for TSO, and what is said where it was asked for and cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "drivers/drv.h"

#define CSUM  (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
#define MULTI RTE_ETH_TX_OFFLOAD_MULTI_SEGS
#define TSO   RTE_ETH_TX_OFFLOAD_TCP_TSO
#define AUTO  PORT_OFFLOAD_AUTO
#define ON    PORT_OFFLOAD_ON
#define OFF   PORT_OFFLOAD_OFF

static const struct row {
	int line;
	uint64_t capa;
	uint32_t quirks;
	uint8_t offload, tso;
	uint16_t seg_max, ring;
	uint32_t got; // of PORT_O_TX_TSO
	uint16_t segs;
	const char *why; // of caps_no_tso()
} rows[] = {
	{ __LINE__, CSUM | MULTI | TSO, 0, AUTO, AUTO, 0, 4096, PORT_O_TX_TSO, 44, NULL },
	{ __LINE__, CSUM | MULTI | TSO, 0, AUTO, ON, 0, 4096, PORT_O_TX_TSO, 44, NULL },
	// as virtio: it has no sum of the IP header to compute
	{ __LINE__, RTE_ETH_TX_OFFLOAD_TCP_CKSUM | MULTI | TSO, 0, AUTO, AUTO, 0, 4096,
		PORT_O_TX_TSO, 44, NULL },
	{ __LINE__, CSUM | MULTI | TSO, 0, AUTO, AUTO, 40, 4096, PORT_O_TX_TSO, 40, NULL },
	{ __LINE__, CSUM | MULTI | TSO, 0, AUTO, AUTO, 0, 128, PORT_O_TX_TSO, 32, NULL },
	{ __LINE__, CSUM | MULTI | TSO, 0, AUTO, AUTO, 0, 0, PORT_O_TX_TSO, 44, NULL },
	{ __LINE__, CSUM | MULTI | TSO, 0, AUTO, OFF, 0, 4096, 0, 0, NULL },
	{ __LINE__, CSUM | MULTI | TSO, 0, OFF, AUTO, 0, 4096, 0, 0, NULL },
	{ __LINE__, CSUM | MULTI | TSO, 0, OFF, ON, 0, 4096, 0, 0, "'offload on'" },
	{ __LINE__, CSUM | MULTI, 0, AUTO, ON, 0, 4096, 0, 0, "does not cut" },
	{ __LINE__, CSUM | TSO, 0, AUTO, ON, 0, 4096, 0, 0, "in several pieces" },
	{ __LINE__, MULTI | TSO, 0, AUTO, ON, 0, 4096, 0, 0, "computes checksums" },
	{ __LINE__, CSUM | MULTI | TSO, 0, AUTO, ON, 1, 4096, 0, 0, "does not cut" },
	{ __LINE__, CSUM | MULTI | TSO, PMD_Q_SINGLE_SEG, AUTO, ON, 0, 0, 0, 0, "several pieces" },
	// soft drivers: only where both are asked for
	{ __LINE__, CSUM | MULTI | TSO, PMD_Q_SOFT, AUTO, AUTO, 0, 0, 0, 0, NULL },
	{ __LINE__, CSUM | MULTI | TSO, PMD_Q_SOFT, ON, AUTO, 0, 0, 0, 0, NULL },
	{ __LINE__, CSUM | MULTI | TSO, PMD_Q_SOFT, AUTO, ON, 0, 0, 0, 0, "'offload on'" },
	{ __LINE__, CSUM | MULTI | TSO, PMD_Q_SOFT, ON, ON, 0, 0, PORT_O_TX_TSO, 44, NULL },
	// bonds: only where it is asked for
	{ __LINE__, CSUM | MULTI | TSO, PMD_Q_BOND, AUTO, AUTO, 0, 0, 0, 0, NULL },
	{ __LINE__, CSUM | MULTI | TSO, PMD_Q_BOND, AUTO, ON, 0, 0, PORT_O_TX_TSO, 44, NULL },
	{ __LINE__, CSUM | MULTI | TSO, PMD_Q_SOFT | PMD_Q_GSO, ON, ON, 0, 0, PORT_O_TX_TSO4, 44,
		NULL },
};

static void
negotiation(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		struct port p = { .name = "lan", .device = "dev", .driver = "net_x", .mtu = 1500 };
		struct rte_eth_conf conf = { .rxmode.mtu = 1500 };
		struct rte_eth_dev_info info = { .max_rx_queues = 1,
			.max_tx_queues = 1,
			.max_rx_pktlen = 1522,
			.tx_offload_capa = r->capa,
			.tx_desc_lim = { .nb_max = r->ring, .nb_seg_max = r->seg_max } };
		struct port_err err = { "" };

		caps_negotiate(&p, &info, r->quirks, r->offload, 1, &conf);
		caps_negotiate_tso(&p, &info, r->quirks, r->tso, &conf);
		if ((p.offloads & PORT_O_TX_TSO) != r->got || p.tso_segs != r->segs)
			fail_msg("row of line %d: 0x%x, %u segments", r->line, p.offloads,
				p.tso_segs);
		assert_int_equal(!!(conf.txmode.offloads & TSO), r->got != 0);
		// what the driver is told as MTU is what it compares whole frames with
		assert_int_equal(p.tso_frame, r->got == PORT_O_TX_TSO4 ? 1504 : 0);
		assert_int_equal(conf.rxmode.mtu, r->got == PORT_O_TX_TSO4 ? 1504 : 1500);
		if (r->why == NULL)
			continue;
		assert_true(caps_no_tso(&p, &err) < 0);
		if (strstr(err.text, r->why) == NULL || strstr(err.text, "'tso on'") == NULL ||
			strstr(err.text, "'lan'") == NULL)
			fail_msg("row of line %d: %s", r->line, err.text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(negotiation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
