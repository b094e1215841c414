/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TAPs of "kernel-tap": where the exception path (dataplane/net/tap.h) meets the kernel. Private to
 * control's own files.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct port;
struct taps;

/*
 * Steps of start.c: makes the TAPs with MAC, MTU and addresses of their ports, while there are rights;
 * reads and writes them on the thread io. 0 or -Exxx with a sentence in d->err.
 */
int taps_up(struct daemon *d);
/* After the workers have stopped; a TAP that was not there before is gone then. */
void taps_down(struct daemon *d);
/* Main, twice a second: carrier as the port's, and what there is to say about the TAP. */
void taps_look(struct daemon *d);
