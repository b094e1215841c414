/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The error convention on one page.
 *
 * function that can fail      int: >= 0 success, -Exxx failure; never a bare -1
 * function returning pointer  NULL means "none"; when the reason matters: int + out-parameter (last)
 * incremental parser          bytes consumed >= 0, -EAGAIN needs more, -EBADMSG malformed,
 *                             -EMSGSIZE over a limit; on -EAGAIN the state has not changed for the
 *                             bytes that were not consumed
 * predicate                   bool, and the name says so (is_, has_, can_)
 * packet path                 no return code: the packet is consumed; a drop goes through
 *                             pkt_drop(lc, m, DROP_...) and so has a named counter
 * configuration               conf_error(): file, line, word, what to change; parsing continues
 * HTTP level                  txn_fail(): status and termination state, set once
 */
#pragma once
#include <errno.h>
