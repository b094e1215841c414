/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parent takes back from the kernel: links and pinned XDP dispatchers. Private. */
#pragma once

/* Removes a network interface (RTM_DELLINK). 0 or -Exxx. */
int link_delete(int ifindex);
/* Removes libxdp's pinned dispatcher of an interface, if bpffs is mounted. */
void link_unpin_xdp(int ifindex);
