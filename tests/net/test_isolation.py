# SPDX-License-Identifier: BSD-3-Clause
"""Scripts that mean harm beside plain traffic. The goals are tests/bench/isolation_compare's, for a
machine at rest; here the margins are wide, and what is broken is far outside them: where scripts run
inline, nothing is left."""
import time

import hostile
from lib import SLOW, check, wait_for


def test_hostile(net):
    """Loops, an eater of memory, a thread stuck in C, too many hooks: plain requests go on."""
    hostile.servers(net)
    glob, conf = hostile.config(True)
    p = net.sluice(net.sluice_head("af_xdp", 1, glob) + conf)
    quiet, quiet99 = hostile.plain(net, 3)
    before = hostile.instructions(net.telemetry("/sluice/lua"))
    end = hostile.begin(net)
    wait_for("a thread abandoned", lambda: "is abandoned" in p.log(), 15)
    watch, since = hostile.Watch(net, p.logname), time.time()
    watch.start()
    rate, p99 = hostile.plain(net, 4)
    watch.stop()
    gap = hostile.check_gap(net, since)
    end()
    check(rate >= 0.4 * quiet, "%.0f requests/s of %.0f are left" % (rate, quiet))
    check(p99 <= 20 * max(quiet99, 1), "p99 %.1f ms, %.1f without" % (p99, quiet99))
    after = hostile.instructions(net.telemetry("/sluice/lua"))
    check(after > before, "no script ran")
    check(watch.rows[-1][2] > watch.rows[0][2], "no log line was written")
    check(gap <= 20 * SLOW * hostile.CHECK_MS, "%.0f ms between health checks" % gap)
    check(max(watch.answers) <= 1.0 * SLOW, "telemetry took %.2f s" % max(watch.answers))
    net.stop_sluice(p)
