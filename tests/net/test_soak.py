# SPDX-License-Identifier: BSD-3-Clause
"""Clients and servers that hang up at random bytes: nothing may be retained, nothing may grow."""
import os
import re

from lib import ASAN, BUILD, FULL, Failure, SRV4, VIP4, check, sh, wait_for

CONF = """
defaults
    mode http
    timeout connect 1s
    timeout client 3s
    timeout server 3s
    timeout http-request 3s
    timeout http-keep-alive 3s
    retries 1
frontend web
    bind %s:80
    default_backend be
backend be
    server a1 %s:8001
    server a2 %s:8002
""" % (VIP4, SRV4, SRV4)


def rss_kb(net, p):
    """Of the daemon itself: the privileged parent's child."""
    _, out = sh(["pgrep", "-P", str(p.pid)])
    with open("/proc/%s/status" % out.split()[0]) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def levels(net):
    """What must come back to where it was: per worker."""
    w = net.telemetry("/sluice/workers")
    return [(int(x["retained_bytes"]), int(x["mbufs"]), int(x["streams"]), int(x["conns"]))
            for x in w.values() if isinstance(x, dict)]


def abuse(net, n, seed):
    abuse_bin = os.path.join(BUILD, "tests/harness/abuse")
    _, out = sh([abuse_bin, "client", "-s", str(seed), "-n", str(n), VIP4, "80"], ns=net.c,
                timeout=600)
    m = re.search(r"ended=(\d+) whole=(\d+) resets=(\d+)", out)
    check(m and int(m.group(1)) == n and int(m.group(2)) > n // 20 and int(m.group(3)) > n // 20,
          out)


def test_aborts(net, nbthread, requests):
    for port in (8001, 8002):
        net.start([os.path.join(BUILD, "tests/harness/abuse"), "server", "-s", str(port),
                   str(port)], ns=net.s)
        net.wait_port(net.s, "::", port)
    p = net.sluice(net.sluice_head("af_xdp", nbthread) + CONF)
    before = levels(net)
    check(all(x[0] == 0 and x[2] == 0 for x in before), "not idle at start: %s" % before)
    abuse(net, requests // 10, 1)  # everything that is lazily touched is touched
    rss = rss_kb(net, p)
    abuse(net, requests, 2)

    def idle():
        now = levels(net)
        return all(a[0] == 0 and a[2] == 0 and a[1] <= b[1] + 2048 and a[3] <= b[3] for a, b in zip(now, before))
    try:
        wait_for("idle", idle, 30)  # the last kept connections are closed by their timeouts
    except Failure:
        raise Failure("something is retained: %s, at start %s" % (levels(net), before)) from None
    grown = rss_kb(net, p) - rss
    # the sanitizers keep freed memory for a while
    check(grown < (200000 if ASAN else 2048), "RSS grew by %d kB" % grown)
    net.stop_sluice(p)


test_aborts.cases = [{"nbthread": 1, "requests": 100000 if FULL else 10000},
                     {"nbthread": 2, "requests": 20000 if FULL else 10000}]
test_aborts.net = lambda case: {"queues": case["nbthread"]}

