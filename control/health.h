/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "health-file": a file that is there while traffic is welcome, for whoever announces our addresses.
 * Private to control's own files.
 */
#pragma once

#include <stdbool.h>

struct daemon;
struct health;

/* Steps of start.c. Opens the file's folder, while root and all folders are in reach. */
int health_up(struct daemon *d);
/* With the rights that are left: can the file be made and removed? */
int health_check(struct daemon *d);
void health_down(struct daemon *d);
/* Ready: from now on the file follows the state. NULL is fine, here and below. */
void health_begin(struct health *h);
/* A soft stop has begun: the file goes, and does not come back. */
void health_stop(struct health *h);
/* By command: away until it is set to come back. */
void health_set(struct health *h, bool welcome);
/* Why the file is not there; NULL: it is. */
const char *health_why(const struct health *h);
