// SPDX-License-Identifier: BSD-3-Clause
/* Bonds as ports: what they take from their slaves, and what is left when one is taken away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_dev.h>
#include <rte_errno.h>

#include "drivers/drv.h"
#include "tests/harness/eal.h"

static struct ports ports;
static struct rte_mempool *pool[2];

static int
start(const char *device, struct port_err *err)
{
	const struct port_spec s = { .name = SL_STR("lan"), .device = sl_str_c(device) };

	memset(&ports, 0, sizeof(ports));
	return port_start(&ports, &s, pool, 2, err);
}

static bool
there(const char *name)
{
	uint16_t id;

	return rte_eth_dev_get_port_by_name(name, &id) == 0;
}

static void
slaves_up(const char *args)
{
	assert_int_equal(rte_eal_hotplug_add("vdev", "net_null7", args), 0);
	assert_int_equal(rte_eal_hotplug_add("vdev", "net_null8", args), 0);
}

static void
slaves_down(void)
{
	rte_eal_hotplug_remove("vdev", "net_null7");
	rte_eal_hotplug_remove("vdev", "net_null8");
}

/* Limits and address are those of the slaves, which the driver takes only when it is configured. */
static void
started(void **state sl_unused)
{
	struct port_err err = { .text = "" };
	struct rte_ether_addr mac;
	struct port *p = &ports.port[0];
	uint16_t id;

	slaves_up("no-rx=1");
	if (start("net_bonding3,mode=1,slave=net_null7,slave=net_null8,primary=net_null8", &err) <
		0)
		fail_msg("%s", err.text);
	assert_string_equal(p->driver, "net_bonding");
	assert_int_equal(p->nqueues, 2);
	assert_int_equal(p->rings, 2);
	assert_int_equal(p->mode, PORT_SOFT);
	assert_false(p->offloads & PORT_O_TX_POLL);
	// the driver looks at its slaves every 10 ms, and tells
	for (int i = 0; i < 10000 && !atomic_load(&p->link_up); i++)
		usleep(1000);
	assert_true(atomic_load(&p->link_up));
	assert_int_equal(rte_eth_dev_get_port_by_name("net_null8", &id), 0);
	assert_int_equal(rte_eth_macaddr_get(id, &mac), 0);
	assert_memory_equal(&mac, &p->mac, sizeof(mac));
	port_stop(&ports, p);
	// its slaves hold buffers of the pools, which end next
	assert_false(there("net_bonding3") || there("net_null7") || there("net_null8"));
	slaves_down();

	slaves_up("no-rx=1");
	if (start("net_bonding3,mode=4,slave=net_null7,slave=net_null8", &err) < 0)
		fail_msg("%s", err.text);
	assert_true(p->offloads & PORT_O_TX_POLL);
	port_stop(&ports, p);
	slaves_down();
}

/* The slaves are looked at by main alone, whatever the interrupt thread hears of the bond. */
static void
links(void **state sl_unused)
{
	struct port_err err = { .text = "" };
	struct port *p = &ports.port[0];
	uint32_t before;
	uint16_t id;

	slaves_up("no-rx=1");
	if (start("net_bonding3,mode=1,slave=net_null7,slave=net_null8", &err) < 0)
		fail_msg("%s", err.text);
	for (int i = 0; i < 10000 && !atomic_load(&p->link_up); i++)
		usleep(1000);
	assert_true(atomic_load(&p->link_up));
	port_poll_link(p);
	before = atomic_load(&p->slave_changes);
	assert_int_equal(p->slaves_up, 3);
	for (int i = 7; i <= 8; i++) {
		assert_int_equal(
			rte_eth_dev_get_port_by_name(i == 7 ? "net_null7" : "net_null8", &id), 0);
		assert_int_equal(rte_eth_dev_stop(id), 0);
	}
	for (int i = 0; i < 10000 && atomic_load(&p->link_up); i++)
		usleep(1000);
	assert_false(atomic_load(&p->link_up));
	assert_int_equal(p->slaves_up, 3);
	assert_int_equal(atomic_load(&p->slave_changes), before);
	port_poll_link(p);
	assert_int_equal(p->slaves_up, 0);
	assert_int_equal(atomic_load(&p->slave_changes), before + 1);
	port_stop(&ports, p);
	slaves_down();
}

static void
taken_away(void **state sl_unused)
{
	struct port_err err = { .text = "" };
	struct port *p = &ports.port[0];

	slaves_up("no-rx=1");
	if (start("net_bonding3,mode=1,slave=net_null7,slave=net_null8", &err) < 0)
		fail_msg("%s", err.text);
	assert_false(port_is_leaving(p));
	rte_dev_event_callback_process("net_null8", RTE_DEV_EVENT_REMOVE);
	assert_true(port_is_leaving(p));
	port_let_go(&ports, p, pool);
	assert_true(port_is_gone(p));
	assert_false(there("net_bonding3") || there("net_null7") || there("net_null8"));
	assert_int_equal(rte_mempool_in_use_count(pool[0]), 0);
	port_stop(&ports, p);
}

static void
refused(void **state sl_unused)
{
	struct port_err err = { .text = "" };

	slaves_up("no-rx=1");
	assert_true(start("net_bonding3,mode=1,slave=net_null7,slave=net_null9", &err) < 0);
	assert_non_null(strstr(err.text, "slave 'net_null9' was not found"));
	assert_false(there("net_bonding3") || there("net_null7"));
	slaves_down();
	slaves_up("no-rx=1");
	assert_true(start("net_bonding4,mode=1,slave=41:00.0", &err) < 0);
	assert_non_null(strstr(err.text, "slave '41:00.0' was not found"));
	slaves_down();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(started),
		cmocka_unit_test(links),
		cmocka_unit_test(taken_away),
		cmocka_unit_test(refused),
	};
	struct port_err err;

	if (test_eal_start() < 0 ||
		rte_eal_hotplug_add("vdev", "net_bonding9", "mode=1") < 0) // no such driver here
		return 77;
	rte_eal_hotplug_remove("vdev", "net_bonding9");
	for (uint16_t i = 0; i < 2; i++) {
		pool[i] = pool_create(i, 16383, SOCKET_ID_ANY, &err);
		if (pool[i] == NULL)
			return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
