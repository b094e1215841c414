// SPDX-License-Identifier: BSD-3-Clause
/*
 * DPDK and what is of it: EAL, packet buffers, ports.
 *
 * Runs on: main. A step that fails puts a sentence into d->err, with the place in the configuration
 * where there is one.
 */
#include <rte_eal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "control/daemon.h"

static void
port_spec_of(struct port_spec *s, const struct port_conf *c, int node)
{
	*s = (struct port_spec){ .name = c->name,
		.device = c->device,
		.addrs = c->addrs,
		.naddrs = c->naddrs,
		.gateway4 = c->gateway4,
		.gateway6 = c->gateway6,
		.routes = c->routes,
		.nroutes = c->nroutes,
		.neighs = c->neighs,
		.nneighs = c->nneighs,
		.offload = c->offload,
		.tso = c->tso,
		.node = node,
		.mtu = c->mtu,
		.vlan = c->vlan };
}

/* An error of a driver names the device; add where the configuration names it. */
static void
add_position(struct daemon *d)
{
	const struct port_conf *hit = d->model->nports > 0 ? &d->model->ports[0] : NULL;
	char text[sizeof(d->err.text)];

	for (uint32_t i = 0; i < d->model->nports; i++) {
		const struct port_conf *c = &d->model->ports[i];
		struct sl_str rest = c->device, err = sl_str_c(d->err.text);

		while (rest.len > 0) {
			struct sl_str part = sl_str_cut(&rest, ',');
			int eq = sl_str_chr(part, '=');

			if (eq >= 0) {
				part.p += eq + 1;
				part.len -= (uint32_t)eq + 1;
			}
			if (part.len > 2 && sl_str_find(err, part, false) >= 0) {
				hit = c;
				goto found;
			}
		}
	}
found:
	if (hit == NULL || hit->device_pos.file == NULL)
		return;
	if (strncmp(d->err.text, "port '", 6) == 0)
		snprintf(text, sizeof(text), "[%s:%u] : %.400s", hit->device_pos.file,
			hit->device_pos.line, d->err.text);
	else
		snprintf(text, sizeof(text), "[%s:%u] : port '%.*s' : %.400s", hit->device_pos.file,
			hit->device_pos.line, SL_STR_ARG(hit->name), d->err.text);
	memcpy(d->err.text, text, sizeof(text));
}

int
eal_up(struct daemon *d)
{
	const struct model *m = d->model;
	struct eal_spec s = { .ports = d->spec,
		.nports = m->nports,
		.nworkers = d->plan.nworkers,
		.pool_mbufs = d->mbufs,
		.worker_cpu = d->plan.worker_cpu,
		.node_mb = d->plan.node_mb,
		.nnodes = d->plan.nnodes,
		.main_cpu = d->plan.main_cpu,
		.extra = m->global.dpdk_eal,
		.file_prefix = d->clean.prefix };
	int rc;

	if (m->nports > PORT_MAX)
		return daemon_fail(d, -E2BIG, "too many 'port' sections: 16 at most");
	for (uint32_t i = 0; i < m->nports; i++)
		port_spec_of(&d->spec[i], &m->ports[i], d->plan.port_node[i]);
	// telemetry would follow it, and dpdk-telemetry.py would look elsewhere
	unsetenv("RUNTIME_DIRECTORY");
	umask(077); // of EAL's files and its telemetry socket
	// EAL's helper threads stay where main is, away from the workers
	rc = thread_pin(d->plan.main_cpu);
	if (rc < 0)
		return daemon_fail(d, rc, "cannot bind the main thread to its CPU");
	rc = eal_start(&s, &d->huge, &d->err);
	if (rc < 0)
		add_position(d);
	return rc;
}

void
eal_down(struct daemon *d)
{
	eal_stop(d->leave);
}

int
ports_up(struct daemon *d)
{
	uint32_t nports = d->model->nports;
	int rc;

	d->ports = calloc(1, sizeof(*d->ports));
	if (d->ports == NULL)
		return daemon_fail(d, -ENOMEM, "no memory for the ports");
	for (uint16_t w = 0; w < d->plan.nworkers; w++) {
		// not rte_lcore_to_socket_id(): that is the node of the CPU with the lcore's number
		d->pool[w] = pool_create(w, d->mbufs, d->plan.worker_node[w], &d->err);
		if (d->pool[w] == NULL)
			return -ENOMEM;
	}
	d->ports->nworkers = d->plan.nworkers;
	rc = d->parented ? parent_note_pending(&d->clean) : 0;
	if (rc < 0) {
		snprintf(d->err.text, sizeof(d->err.text), "cannot write into %s: %s",
			d->clean.run_dir, strerror(-rc));
		return rc;
	}
	for (uint32_t i = 0; i < nports; i++) {
		rc = port_start(d->ports, &d->spec[i], d->pool, d->plan.nworkers, &d->err);
		if (rc < 0) {
			add_position(d);
			return rc;
		}
	}
	port_finish(d->ports);
	return 0;
}

void
ports_down(struct daemon *d)
{
	uint16_t n = d->ports != NULL ? d->ports->n : 0;

	for (uint16_t i = 0; i < n; i++)
		port_stop(d->ports, &d->ports->port[i]);
	for (uint16_t w = 0; w < d->plan.nworkers; w++)
		rte_mempool_free(d->pool[w]);
	free(d->ports);
	d->ports = NULL;
}

