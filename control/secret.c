// SPDX-License-Identifier: BSD-3-Clause
/*
 * Secrets of a start: what initial sequence numbers (RFC 6528 3), SYN cookies (RFC 4987 3.6), source
 * ports (RFC 6056 3.3.3) and the flow table's hash are keyed with, and seeds of the workers' numbers.
 *
 * Runs on: main. Never from rte_rand(), which is predictable from a few of its numbers; and without a
 * fallback, for a guessable secret looks like any other.
 */
#include "control/secret.h"

#include <errno.h>
#include <sys/random.h>

int
secret_draw(void *to, size_t n)
{
	ssize_t rc;

	do {
		rc = getrandom(to, n, 0);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return -errno;
	return (size_t)rc == n ? 0 : -EIO;
}
