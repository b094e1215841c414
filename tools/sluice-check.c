// SPDX-License-Identifier: BSD-3-Clause
/*
 * sluice-check: checks a configuration without starting anything of DPDK. The command line is
 * sluice's; -c is implied.
 *
 * Runs: on any machine, as any user.
 */
#include <stdio.h>

#include "control/options.h"

int
main(int argc, char **argv)
{
	struct options o;
	struct model *m;
	int rc = options_parse(argc, argv, &o);

	if (rc < 0) {
		fputs("out of memory\n", stderr);
		return 1;
	}
	if (rc == 0) {
		o.check = true;
		if (options_apply(&o) < 0)
			o.status = 1;
		else
			(void)options_load(&o, &m);
	}
	options_free(&o);
	return o.status;
}
