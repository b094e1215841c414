/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which congestion control "tune.tcp.cc host" means on this machine.
 */
#pragma once

#include <stdint.h>

#define CONGESTION_FILE "/proc/sys/net/ipv4/tcp_congestion_control"

/* What the file names, as an enum tcp_cc_id; what we have not, or cannot read, is CUBIC. Main thread. */
uint32_t congestion_of_host(const char *file);
