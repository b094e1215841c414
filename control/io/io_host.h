/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of control/io (host transport): sockets of the kernel for workers. All on the io thread, but
 * for io_listen_open() and the statistics.
 */
#pragma once

#include "control/io/io.h"
#include "dataplane/conn/host.h"

struct io_host;

struct io_host_spec {
	uint32_t max_socks; // at a time
	uint32_t blocks;    // in use before they count as scarce
};
struct io_host *io_host_new(struct io_loop *l, const struct io_host_spec *spec);
/* After the workers have stopped. NULL is fine. */
void io_host_free(struct io_host *h);
/* Connections to fd go to the workers that listen on addr. Takes fd. */
int io_host_listen(struct io_host *h, const struct ip_port *addr, int fd);
/* Who has connected already is accepted first. Harmless when nobody listens there. */
void io_host_unlisten(struct io_host *h, const struct ip_port *addr);
void io_host_unlisten_all(struct io_host *h);
/* So many may wait from now on. */
void io_host_backlog(struct io_host *h, const struct ip_port *addr, int backlog);

/* Written by the io thread; read by anyone. */
struct io_host_stats {
	counter sockets; // now
	counter accepts, connects;
	counter in, out;           // bytes
	counter ring_full;         // a worker's ring took no message; tried again
	counter no_block, scarce;  // no block; times that few were left
	counter no_socket, pauses; // beyond the limit; times that accepting paused
	counter lingered;          // ended because the peer did not read to the end
	bool starved;              // io only: sockets wait for a block to read into
};
const struct io_host_stats *io_host_get_stats(const struct io_host *h);
