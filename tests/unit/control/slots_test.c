// SPDX-License-Identifier: BSD-3-Clause
/*
 * Slots by name over generations: what keeps its slot, what gets one anew, what is refused.
 */
#include "control/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define SERVERS 8

/* A model of one "listen" with a bind and servers; the test names them. */
struct made {
	struct model m;
	struct proxy px;
	const struct proxy *proxies[1];
	struct listen_addr bind;
	const struct listen_addr *binds[1];
	struct server srv[SERVERS];
};

static struct ip_port
at(uint16_t port)
{
	return (struct ip_port){ .ip = { .b = { 10, 0, 0, 1 }, .family = ADDR_V4 }, .port = port };
}

/* servers: a letter each, its port follows from it. */
static void
make(struct made *d, uint32_t generation, const char *name, uint32_t caps, uint16_t port,
	const char *servers)
{
	memset(d, 0, sizeof(*d));
	d->px = (struct proxy){
		.name = sl_str_c(name), .caps = caps, .binds = &d->bind, .servers = d->srv
	};
	d->bind = (struct listen_addr){ .fe = &d->px, .addr = at(port) };
	d->px.nbinds = (caps & PX_CAP_FE) != 0 ? 1 : 0;
	for (; servers[d->px.nservers] != '\0'; d->px.nservers++)
		d->srv[d->px.nservers] = (struct server){ .be = &d->px,
			.name = sl_str_make(servers + d->px.nservers, 1),
			.addr = at((uint16_t)servers[d->px.nservers]) };
	d->proxies[0] = &d->px;
	d->binds[0] = &d->bind;
	d->m = (struct model){ .generation = generation,
		.proxies = d->proxies,
		.nproxies = 1,
		.npx_counters = 2,
		.binds = d->binds,
		.nbinds = d->px.nbinds,
		.nservers = d->px.nservers };
}

static uint32_t ngone, gone_slot;

static void
on_gone(void *ctx sl_unused, uint32_t slot)
{
	ngone++;
	gone_slot = slot;
}

static struct slots *
start(struct made *d)
{
	uint32_t cap[SLOT_KINDS];
	struct slots *s;
	char err[200];

	slots_capacity(&d->m, cap);
	s = slots_new(cap);
	assert_non_null(s);
	assert_int_equal(slots_assign(s, &d->m, err, sizeof(err)), 0);
	return s;
}

static void
next(struct slots *s, struct made *d)
{
	char err[200] = "";

	if (slots_assign(s, &d->m, err, sizeof(err)) != 0)
		fail_msg("%s", err);
}

static void
test_survives(void **state sl_unused)
{
	struct made a, b;
	struct slots *s;

	make(&a, 1, "l", PX_CAP_FE | PX_CAP_BE, 80, "ab");
	s = start(&a);
	assert_int_not_equal(a.px.slot, a.px.be_slot);
	assert_int_not_equal(a.srv[0].slot, a.srv[1].slot);
	// another order, one gone, one new
	make(&b, 2, "l", PX_CAP_FE | PX_CAP_BE, 80, "cb");
	next(s, &b);
	assert_int_equal(b.px.slot, a.px.slot);
	assert_int_equal(b.px.be_slot, a.px.be_slot);
	assert_int_equal(b.bind.slot, a.bind.slot);
	assert_int_equal(b.srv[1].slot, a.srv[1].slot);
	assert_int_equal(b.srv[1].since, 1);
	assert_int_equal(b.srv[1].moved, 0);
	assert_int_equal(b.srv[0].since, 2);
	assert_int_not_equal(b.srv[0].slot, a.srv[0].slot);
	assert_int_equal(b.m.changed, 2);
	// the one that is gone keeps its slot as long as the first generation lives
	assert_int_equal(slots_used(s, SLOT_SERVER), 3);
	ngone = 0;
	slots_release(s, &a.m, on_gone, NULL);
	assert_int_equal(ngone, 1);
	assert_int_equal(gone_slot, a.srv[0].slot);
	assert_int_equal(slots_used(s, SLOT_SERVER), 2);
	assert_int_equal(slots_used(s, SLOT_BIND), 1);
	slots_free(s);
}

static void
test_moved(void **state sl_unused)
{
	struct made a, b, c;
	struct slots *s;

	make(&a, 1, "b", PX_CAP_BE, 80, "a");
	s = start(&a);
	make(&b, 2, "b", PX_CAP_BE, 80, "a");
	b.srv[0].addr.port = 9;
	next(s, &b);
	assert_int_equal(b.srv[0].slot, a.srv[0].slot);
	assert_int_equal(b.srv[0].since, 1);
	assert_int_equal(b.srv[0].moved, 2);
	make(&c, 3, "b", PX_CAP_BE, 80, "a");
	c.srv[0].addr.port = 9;
	next(s, &c);
	assert_int_equal(c.srv[0].moved, 2); // a worker may have slept through the second
	slots_free(s);
}

/* What is another thing is not the same: the halves of a proxy, a bind of another address. */
static void
test_others(void **state sl_unused)
{
	struct made a, b;
	struct slots *s;

	make(&a, 1, "l", PX_CAP_FE | PX_CAP_BE, 80, "a");
	s = start(&a);
	make(&b, 2, "l", PX_CAP_FE, 81, "");
	next(s, &b);
	assert_int_equal(b.px.slot, a.px.slot);
	assert_int_equal(b.px.be_slot, b.px.slot);
	assert_int_equal(b.bind.since, 2);
	make(&b, 3, "l", PX_CAP_BE, 81, "a");
	next(s, &b);
	assert_int_equal(b.px.slot, a.px.be_slot);
	assert_int_equal(b.srv[0].slot, a.srv[0].slot);
	make(&b, 4, "other", PX_CAP_BE, 81, "a");
	next(s, &b);
	assert_int_equal(b.px.since, 4);
	assert_int_equal(b.srv[0].since, 4);
	slots_free(s);
}

/* Two things of the same name have a slot each, and keep it. */
static void
test_twins(void **state sl_unused)
{
	struct made a, b;
	struct slots *s;

	make(&a, 1, "b", PX_CAP_BE, 80, "aa");
	s = start(&a);
	assert_int_not_equal(a.srv[0].slot, a.srv[1].slot);
	make(&b, 2, "b", PX_CAP_BE, 80, "aa");
	next(s, &b);
	assert_int_equal(slots_used(s, SLOT_SERVER), 2);
	assert_int_not_equal(b.srv[0].slot, b.srv[1].slot);
	slots_free(s);
}

/* Full: refused by name, nothing changed; after the end of a generation there is room again. */
static void
test_full(void **state sl_unused)
{
	static const uint32_t cap[SLOT_KINDS] = { [SLOT_PROXY] = 2, [SLOT_BIND] = 2, [SLOT_SERVER] = 3 };
	struct slots *s = slots_new(cap);
	struct made a, b, c;
	char err[256] = "";

	make(&a, 1, "b", PX_CAP_BE, 80, "ab");
	next(s, &a);
	make(&b, 2, "b", PX_CAP_BE, 80, "acd");
	assert_int_equal(slots_assign(s, &b.m, err, sizeof(err)), -ENOSPC);
	assert_non_null(strstr(err, "too many new servers: memory for 3"));
	assert_int_equal(slots_used(s, SLOT_SERVER), 2);
	assert_int_equal(slots_used(s, SLOT_PROXY), 1);
	// the same number again, as after a refused reload
	make(&b, 2, "b", PX_CAP_BE, 80, "ac");
	next(s, &b);
	assert_int_equal(b.srv[0].slot, a.srv[0].slot);
	slots_release(s, &a.m, NULL, NULL);
	make(&c, 3, "b", PX_CAP_BE, 80, "ad");
	next(s, &c);
	assert_int_equal(c.srv[1].slot, a.srv[1].slot); // given out again
	assert_int_equal(c.srv[1].since, 3);
	slots_free(s);
}

/* Many generations leave nothing behind. */
static void
test_turns(void **state sl_unused)
{
	struct made d[2];
	struct slots *s;

	make(&d[1], 1, "l", PX_CAP_FE | PX_CAP_BE, 80, "ab");
	s = start(&d[1]);
	for (uint32_t g = 2; g < 2000; g++) {
		struct made *now = &d[g & 1], *old = &d[(g + 1) & 1];

		make(now, g, "l", PX_CAP_FE | PX_CAP_BE, (uint16_t)(80 + (g & 1)), g & 1 ? "ab" : "ac");
		next(s, now);
		slots_release(s, &old->m, NULL, NULL);
		assert_int_equal(slots_used(s, SLOT_SERVER), 2);
		assert_int_equal(slots_used(s, SLOT_BIND), 1);
		assert_int_equal(slots_used(s, SLOT_PROXY), 2);
		assert_int_equal(now->srv[0].since, 1);
	}
	slots_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_survives),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_twins),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
