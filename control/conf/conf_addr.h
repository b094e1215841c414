/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Within control/conf: addresses as HAProxy writes them, and names of hosts. On the loader.
 */
#pragma once

#include "control/conf/conf_priv.h"

/* ---- addr.c ---- */
/* Parts of "host:port" as HAProxy writes addresses; port -1: none given. */
struct conf_addr {
	struct ip_addr ip; // family ADDR_NONE: "*" or nothing; ADDR_UNIX: port is 0
	int32_t port;
	enum conf_via via;
	struct sl_str name; // of a host, if it is still to be resolved
	uint8_t family;     // that the name's address must have; 0: either
};
/* Replaces "$NAME" and "${NAME}" by the environment's values, in the model's memory. */
int conf_addr_expand(struct conf *c, const char *what, struct sl_str *s);
/* Both do that first. Names are resolved at once. */
int conf_addr_parse(struct conf *c, const char *what, struct sl_str s, struct conf_addr *out);
/* Names are left in out->name. */
int conf_addr_parse_named(struct conf *c, const char *what, struct sl_str s, struct conf_addr *out);

/* ---- name.c ---- */
/* The first address of a host's name, of that family (0: either); NULL, or why there is none. */
const char *conf_name_resolve(struct sl_str name, uint8_t family, struct ip_addr *out);
