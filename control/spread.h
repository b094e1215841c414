/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Does a device's RSS do what it was told? Judged by the traffic: what comes to a worker that does not
 * own it was put there against key and table. Private to the files of control itself.
 *
 * Runs on: main, twice a second.
 */
#pragma once

#include "dataplane/net/net.h"
#include "drivers/port.h"

#define SPREAD_ROUND  128 // frames that a look needs
#define SPREAD_ROUNDS 2   // so many in a row: what came before the table was set fills one

/* What main remembers of a port. Zero at start. */
struct spread_watch {
	uint64_t own, stray; // at the last look
	uint32_t rounds;     // in a row that were bad
	bool hash_told[2];
};

/*
 * Looks at the sums over all workers and stores the verdict in the port. True: `text` is a warning,
 * once for each thing that is wrong.
 */
bool spread_judge(struct spread_watch *w, struct port *p, const struct net_spread *now, char *text,
	uint32_t size);
