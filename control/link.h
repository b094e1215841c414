/* SPDX-License-Identifier: BSD-3-Clause */
/* Interfaces of the kernel: what is made, and what the parent takes back. Private. */
#pragma once

/* Removes a network interface (RTM_DELLINK). 0 or -Exxx. */
int link_delete(int ifindex);
struct ip_net;
/* Gives an interface an address. 0 or -Exxx; -EEXIST: it has it. */
int link_add_address(int ifindex, const struct ip_net *a);
/* Removes libxdp's pinned dispatcher of an interface, if bpffs is mounted. */
void link_unpin_xdp(int ifindex);
