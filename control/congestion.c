// SPDX-License-Identifier: BSD-3-Clause
/*
 * "tune.tcp.cc host", the default: what the kernel of this machine (of this network namespace) would use.
 *
 * Runs on: main, at start. A proxy over the kernel's sockets follows this sysctl: whoever has set it for
 * HAProxy, because of what the paths to his clients are like, gets the same here.
 */
#include "control/congestion.h"

#include "dataplane/tcp/tcp.h"

#include <stdio.h>
#include <string.h>

uint32_t
congestion_of_host(const char *file)
{
	static const struct {
		const char *name; // the kernel's
		uint32_t id;
	} rows[] = {
		{ "cubic", TCP_CC_CUBIC },
		{ "bbr", TCP_CC_BBR },
		{ "reno", TCP_CC_NEWRENO },
		{ "westwood", TCP_CC_WESTWOOD },
	};
	char name[32] = "";
	FILE *f = fopen(file, "re");

	if (f == NULL)
		return TCP_CC_CUBIC;
	if (fgets(name, sizeof(name), f) == NULL)
		name[0] = '\0';
	fclose(f);
	name[strcspn(name, " \n")] = '\0';
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		if (strcmp(name, rows[i].name) == 0)
			return rows[i].id;
	}
	return TCP_CC_CUBIC;
}
