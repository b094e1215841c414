# SPDX-License-Identifier: BSD-3-Clause
"""Scripts that mean harm beside plain traffic. The goals are tests/bench/isolation_compare's, for a
machine at rest; here the margins are wide, and what is broken is far outside them: where scripts run
inline, nothing is left."""
import time

import hostile
from lib import SLOW, Failure, check, wait_for


def test_hostile(net):
    """Loops, an eater of memory, a thread stuck in C, too many hooks: plain requests go on."""
    hostile.servers(net)
    glob, conf = hostile.config(True)
    p = net.sluice(net.sluice_head("af_xdp", 1, glob) + conf)
    for n in range(3):  # a moment in which the machine is away hurts one of them, what is broken all
        quiet, quiet99 = hostile.plain(net, 3)
        before = hostile.instructions(net.telemetry("/sluice/lua"))
        end = hostile.begin(net)
        wait_for("a thread abandoned", lambda n=n: p.log().count("is abandoned") > n, 15)
        watch, since = hostile.Watch(net, p.logname), time.time()
        watch.start()
        rate, p99 = hostile.plain(net, 4)
        watch.stop()
        gap = hostile.check_gap(net, since)
        end()
        after = hostile.instructions(net.telemetry("/sluice/lua"))
        check(after > before, "no script ran")
        check(watch.rows[-1][2] > watch.rows[0][2], "no log line was written")
        slow = max(watch.answers)
        if rate >= 0.4 * quiet and p99 <= 20 * max(quiet99, 1) and slow <= 1.0 * SLOW and \
                gap <= 20 * SLOW * hostile.CHECK_MS:
            break
        wait_for("the stuck thread's end", lambda n=n: p.log().count("is abandoned") == n + 1, 15)
    else:
        raise Failure("%.0f requests/s of %.0f are left, p99 %.1f ms of %.1f, telemetry took %.2f s, %.0f ms between "
                      "health checks" % (rate, quiet, p99, quiet99, slow, gap))
    net.stop_sluice(p)
