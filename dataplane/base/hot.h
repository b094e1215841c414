/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Included last by files of the packet path: whatever could block, lock, allocate or print becomes
 * a compile error.
 */
/* no #pragma once: the pragmas below are idempotent */
#pragma GCC poison malloc calloc realloc free strdup printf fprintf snprintf sprintf puts
#pragma GCC poison usleep nanosleep pthread_mutex_lock pthread_spin_lock
#pragma GCC poison rte_malloc rte_zmalloc rte_free rte_log sl_log
