/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers that nobody may guess: from the kernel, or not at all. */
#pragma once

#include <stddef.h>

/*
 * Fills n bytes (at most 256, so that the kernel gives all or none); waits while the machine has just
 * booted and gathers noise. Negative errno if the kernel gives none. On main, at the start.
 */
int secret_draw(void *to, size_t n);
