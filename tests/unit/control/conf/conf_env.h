/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads a text as a configuration and keeps what was said about it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/conf/conf.h"
#include "dataplane/base/buf.h"

/* A port that the addresses of the tests belong to; behind the text, so that lines count from 1. */
#define PORTS                                                 \
	"port lan\n device net_ring0\n address 10.1.0.1/24\n" \
	" address fd00::1/64\n gateway 10.1.0.254\n"
#define DEFAULTS \
	"defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n"

struct conf_run {
	struct model *m;
	struct conf_count n;
	int rc;
	struct sl_buf log; // one message per line: "ALERT parsing [9:3] : …"
	char text[65536];
};

static inline void
conf_run_message(void *ctx, enum sl_level level, const char *text)
{
	struct conf_run *r = ctx;

	sl_buf_printf(&r->log, "%s %s\n",
		level <= SL_ERR               ? "ALERT"
			: level == SL_WARNING ? "WARNING"
					      : "NOTICE",
		text);
}

/* A file in memory; its path is good until the descriptor is closed. */
static inline int
conf_run_file(const char *text, char path[64])
{
	int fd = memfd_create("conf", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static inline void
conf_run_with(struct conf_run *r, const char *text, uint32_t fail_mem, uint32_t fail_tmp)
{
	char path[2][64];
	int fd[2] = { conf_run_file(text, path[0]), conf_run_file(PORTS, path[1]) };
	const char *files[2] = { path[0], path[1] };
	const struct conf_spec spec = { .files = files,
		.nfiles = 2,
		.message = conf_run_message,
		.ctx = r,
		.generation = 1,
		.fail_mem = fail_mem,
		.fail_tmp = fail_tmp };

	sl_buf_init(&r->log, r->text, sizeof(r->text));
	r->rc = conf_load(&spec, &r->m, &r->n);
	close(fd[0]);
	close(fd[1]);
}

static inline void
conf_run(struct conf_run *r, const char *text)
{
	conf_run_with(r, text, 0, 0);
}

static inline void
conf_run_end(struct conf_run *r)
{
	conf_free(r->m);
	r->m = NULL;
}
