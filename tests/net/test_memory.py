# SPDX-License-Identifier: BSD-3-Clause
"""Memory: the sum at start, its refusals, and a pool that is too small for what clients want."""
import os
import re
import time

from lib import ASAN, BUILD, SRV4, VIP4, check, parse_wrk, random_file, sh, wait_for

CONF = """
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend web
    bind %s:80
    default_backend be
backend be
    server b1 %s:8001
""" % (VIP4, SRV4)


def refused(net, extra, *words, before=(), nbthread=1):
    f = net.write("bad.cfg", net.sluice_head("af_xdp", nbthread=nbthread, extra=extra) + CONF)
    rc, out = sh([*before, os.path.join(BUILD, "sluice"), "-f", f], ns=net.d, ok=False)
    check(rc == 1, "exit code %d: %s" % (rc, out))
    for w in words:
        check(re.search(w, out), "'%s' is not said:\n%s" % (w, out))
    return out


def test_sum(net):
    """What maxconn costs is printed; too much is refused with a number that would do."""
    out = refused(net, "    maxconn 50000000\n", r"'maxconn 50000000' on 1 thread needs \d+ MiB",
                  r"\d+ bytes for each of \d+ connections", r"lower maxconn to (\d+)")
    fits = int(re.search(r"lower maxconn to (\d+)", out).group(1))
    check(1000 < fits < 50000000, out)
    refused(net, "    tune.mbufs 2000\n", "'tune.mbufs 2000' is too few", r"at least (\d+)")
    p = net.sluice(net.sluice_head("af_xdp", extra="    maxconn 100000\n") + CONF)
    m = re.search(r"memory for maxconn 100000: 1 worker x \((\d+) connections of (\d+) bytes \+ "
                  r"(\d+) requests in flight of (\d+) bytes \+ (\d+) MiB\) = (\d+) MiB", p.log())
    check(m, p.log())
    n = [int(x) for x in m.groups()]
    check(abs((n[0] * n[1] + n[2] * n[3]) / 1048576 + n[4] - n[5]) < 3, p.log())
    _, pids = sh(["pgrep", "-P", str(p.pid)])
    with open("/proc/%s/status" % pids.split()[0]) as f:
        rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024
    # the sanitizers' own memory is no part of the sum
    check(ASAN or rss >= n[5], "%d MiB are resident, %d were announced" % (rss, n[5]))
    net.stop_sluice(p)


def test_suggested(net):
    """The number that a refusal names does start, and it is the largest: on a machine that has 300 MB left."""
    told = net.write("meminfo", "MemTotal: 4000000 kB\nMemFree: 300000 kB\nMemAvailable: 307200 kB\n")
    # "ip netns exec" has mounts of its own
    small = ["sh", "-c", 'mount --bind "$0" /proc/meminfo && exec "$@"', told]
    out = refused(net, "    maxconn 50000000\n", r" 300 MiB are there: lower maxconn to \d+", before=small)
    fits = int(re.search(r"lower maxconn to (\d+)", out).group(1))
    check(10000 < fits < 1000000, out)
    # of so little nothing is left behind the packet buffers
    less = net.write("less", "MemTotal: 4000000 kB\nMemFree: 20000 kB\nMemAvailable: 20480 kB\n")
    for n, word in ((1, ""), (2, " or lower nbthread")):
        out = refused(net, "    maxconn 10000\n", r" 20 MiB are there: no maxconn would do: give the machine "
                      r"\d+ MiB more%s\n" % word, before=["sh", "-c", small[2], less], nbthread=n)
        check("lower maxconn" not in out, out)
    refused(net, "    maxconn %d\n" % (fits + 2000), r"lower maxconn to %d " % fits, before=small)
    f = net.write("sluice.cfg", net.sluice_head("af_xdp", extra="    maxconn %d\n" % fits) + CONF)
    p = net.start([*small, os.path.join(BUILD, "sluice"), "-f", f], ns=net.d, log=net.file("sluice.log"))
    wait_for("sluice ready", lambda: " ready" in p.log() or not p.alive(), 60)
    check(p.alive() and "memory for maxconn %d: " % fits in p.log(), "with maxconn %d:\n%s" % (fits, p.log()))
    net.stop_sluice(p)


TINY = 9216


def rx_lost(net):
    """Frames that the drivers had no buffer for, by port."""
    return {k: int(v["rx_no_mbuf"]) for k, v in net.telemetry("/sluice/ports").items()}


def test_tiny_pool(net):
    """Clients that read nothing hold all buffers: the rings still refill, who comes is answered by
    200 or 503, and all is well again by itself when the clients go."""
    random_file(net.file("big"), 4 << 20)
    net.nginx([("b1", 8001)])
    p = net.sluice(net.sluice_head("af_xdp", extra="    tune.mbufs %d\n" % TINY) + CONF)
    before = net.telemetry("/sluice/workers")["0"]
    rx_before = rx_lost(net)
    slow = net.start(["/usr/bin/python3", net.write("slow.py", """
import socket, time
s = []
for i in range(200):
    c = socket.socket()
    c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.connect(("%s", 80))
    c.sendall(b"GET /big HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    s.append(c)
time.sleep(600)
""" % VIP4)], ns=net.c)
    wait_for("pressure", lambda: net.stat("pressure_shed") > 0, 15)
    w = net.start(["wrk", "-t1", "-c16", "-d3s", "--timeout", "10s", "http://%s/name" % VIP4], ns=net.c,
                  log=net.file("wrk.log"))
    seen, peak = set(), 0
    while w.alive():
        now = net.telemetry("/sluice/workers")["0"]
        seen.add(int(now["pressure"]))
        peak = max(peak, int(now["mbufs"]))
        time.sleep(0.05)
    r = parse_wrk(w.log())
    log = "%s\n%s" % (r["text"], net.telemetry("/sluice/workers"))
    # queues may hold some 1,900 of them, the rings have some 4,100: the rest is there at any time
    check(peak <= TINY - 2048, "%d of %d buffers are taken\n%s" % (peak, TINY, log))
    check(seen and all(net.stat("pressure_" + k) > 0 for k in ("cookies", "windows", "shed")) and max(seen) == 3,
          "levels %s\n%s" % (seen, log))
    # a connection that is idle just then may be among those that are closed: wrk calls it an error
    check(r["requests"] > 100 and r["bad"] <= r["requests"] / 100, log)
    check(int(net.telemetry("/sluice/drops")["no_mbuf"]) == 0, "no_mbuf")
    check(rx_lost(net) == rx_before, "without a buffer for its ring: %s, then %s" % (rx_before, rx_lost(net)))
    check(slow.alive(), "the clients ended")
    slow.kill()
    wait_for("all given back", lambda: net.stat("retained_bytes") == 0, 20)
    wait_for("no pressure", lambda: net.stat("pressure") == 0, 1)
    t = time.monotonic()
    r = net.wrk("http://%s/name" % VIP4, seconds=3, conns=16)
    check(r["bad"] == 0 and r["non2xx"] == 0 and r["requests"] > 500, r["text"])
    now = net.telemetry("/sluice/workers")["0"]
    check(int(now["pressure"]) == 0 and int(now["mbufs"]) <= int(before["mbufs"]) + 2048,
          "%s after %.1f s" % (now, time.monotonic() - t))
    net.stop_sluice(p)
