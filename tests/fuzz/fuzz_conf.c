// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target: the configuration language. The input is a file; it is loaded twice.
 *
 * Invariants: there is a model exactly when no error was told; the same text gives the same
 * verdict and the same number of messages; what the model's pointers say is true. lua-load runs
 * whatever file the input names: give it no Lua files.
 */
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "control/conf/conf.h"

static void
on_message(void *ctx, enum sl_level level, const char *text)
{
	uint32_t *n = ctx;

	(void)level;
	MUST(text[0] != '\0');
	(*n)++;
}

static void
check_model(const struct model *m, const struct conf_count *n)
{
	uint32_t binds = 0, servers = 0;

	for (uint32_t i = 0; i < m->nproxies; i++) {
		const struct proxy *px = m->proxies[i];

		MUST(px->caps != 0 && px->slot == i && px->id != 0);
		for (uint32_t k = 0; k < px->nbinds; k++) {
			MUST(px->binds[k].fe == px && px->binds[k].addr.port != 0);
			MUST(m->binds[binds] == &px->binds[k] && px->binds[k].slot == binds);
			binds++;
		}
		for (uint32_t k = 0; k < px->nservers; k++) {
			const struct server *s = &px->servers[k];

			MUST(s->be == px && s->id != 0 && s->weight <= 256);
			MUST(s->addr.port != 0 && s->addr.ip.family != ADDR_NONE);
			MUST(s->rise > 0 && s->fall > 0 && s->slot == servers++);
		}
		for (uint32_t k = 0; k < px->nswitches; k++)
			MUST((px->switches[k].be == NULL) == (px->switches[k].name != NULL));
		MUST(px->default_be == NULL || px->default_be->mode == px->mode);
	}
	MUST(binds == m->nbinds && binds == n->listeners && servers == m->nservers);
	for (uint32_t i = 0; i < m->nports; i++)
		MUST(m->ports[i].naddrs > 0 && m->ports[i].device.len > 0);
	MUST(m->global.nbthread >= 1 && m->global.nbthread <= 64);
}

static int
load(const char *path, struct conf_count *n, uint32_t *messages)
{
	const char *const files[] = { path };
	const struct conf_spec spec = {
		.files = files, .nfiles = 1, .message = on_message, .ctx = messages
	};
	struct model *m;
	int rc;

	*messages = 0;
	rc = conf_load(&spec, &m, n);
	MUST((rc == 0) == (n->errors == 0) && (rc == 0) == (m != NULL));
	MUST(*messages >= n->errors + n->warnings);
	if (m != NULL)
		check_model(m, n);
	conf_free(m);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", 0);
	struct conf_count n[2];
	uint32_t messages[2];
	char path[64];

	MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	// the environment that the text sets is there from the first load on
	(void)load(path, &n[0], &messages[0]);
	int rc = load(path, &n[0], &messages[0]);
	MUST(load(path, &n[1], &messages[1]) == rc);
	MUST(n[0].errors == n[1].errors && n[0].warnings == n[1].warnings);
	MUST(messages[0] == messages[1]);
	close(fd);
	return 0;
}
