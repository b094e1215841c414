/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads Lua text into a generation, for tests: through a file, as lua-load does. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/script/script.h"

static bool load_keep; // states are made again later
static char load_kept[32];

static inline int
load_text(struct script_gen *g, const char *text, bool per_thread, struct script_err *err)
{
	char name[] = "/tmp/sluice-lua-XXXXXX";
	int fd = mkstemp(name);
	size_t len = strlen(text);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	err->text[0] = '\0';
	int rc = script_load(g, name, NULL, 0, per_thread, err);
	// further states of per-thread files read them again
	if (rc == 0 && per_thread)
		rc = script_gen_ready(g, 3, err);
	if (load_keep)
		snprintf(load_kept, sizeof(load_kept), "%s", name); // the test removes it
	else
		unlink(name);
	return rc;
}
