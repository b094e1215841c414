# SPDX-License-Identifier: BSD-3-Clause
"""Reloads under load: both configurations are seen, and nothing is lost.

Two configurations that differ in a bind, in the list of servers, in the value of a header and in a
Lua file take turns, under 200 kept connections, a load of new connections and 50 tunnels in mode tcp;
over a port, and over sockets of the host. docs/reload.md has the figures of the long run.
"""
import os
import re
import signal
import socket
import sys
import time

from lib import SLOW, SRV4, VIP4, check, log, sh, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))

LUA = """core.register_action("mark", {"http-req"}, function(txn)
    txn:set_var("txn.gen", "%s")
end)
"""
CONF = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive 30s
frontend web
    bind %(vip)s:80
    http-request lua.mark
    http-response set-header x-gen %(gen)s
    http-response set-header x-lua %%[var(txn.gen)]
    default_backend be
frontend second
    bind %(vip)s:%(second)d
    http-response set-header x-gen %(gen)s
    default_backend be
backend be
    server s1 %(srv)s:8001
    server %(other)s %(srv)s:%(otherport)d
listen tunnel
    mode tcp
    timeout client 1h
    timeout server 1h
    bind %(vip)s:90
    server e1 %(srv)s:8009
"""
# Counts the answers of each configuration; the header and the script's must be of the same.
WRK = """
local threads = {}
a, b, mixed = 0, 0, 0
function setup(t) threads[#threads + 1] = t end
function response(status, headers)
    local g = headers["x-gen"]
    if g ~= headers["x-lua"] then mixed = mixed + 1 end
    if g == "A" then a = a + 1 elseif g == "B" then b = b + 1 end
end
function done()
    local n, m, x = 0, 0, 0
    for _, t in ipairs(threads) do
        n, m, x = n + t:get("a"), m + t:get("b"), x + t:get("mixed")
    end
    print(string.format("gens A=%d B=%d mixed=%d", n, m, x))
end
"""


def cli(path, line, timeout=30):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout * SLOW)
        s.connect(path)
        s.sendall(line.encode() + b"\n")
        out = b""
        while True:
            got = s.recv(65536)
            if not got:
                return out.decode("utf-8", "replace")
            out += got


def rss_kb(p):
    """Of the daemon itself: the privileged parent's child."""
    _, out = sh(["pgrep", "-P", str(p.pid)])
    with open("/proc/%s/status" % out.split()[0]) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


class Bed:
    """Servers, the two configurations, the daemon, and the loads on it."""

    def __init__(self, net, kind, extra=""):
        self.net, self.kind = net, kind
        host = kind == "host"
        self.vip, self.srv = ("127.0.0.1", "127.0.0.1") if host else (VIP4, SRV4)
        self.cns, sns = (net.d, net.d) if host else (net.c, net.s)
        self.sock = net.file("sock")
        net.nginx([("s1", 8001), ("s2", 8002), ("s3", 8003)], ns=sns)
        with open(net.file("1k"), "w") as f:
            f.write("x" * 1024)
        net.start([sys.executable, os.path.join(HERE, "tunnels.py"), "serve", self.srv, "8009"],
                  ns=sns)
        net.wait_port(sns, self.srv, 8009)
        top = "    stats socket %s level admin\n    lua-load %s\n%s" % (
            self.sock, net.file("gen.lua"), extra)
        self.head = ("global\n" + top) if host else net.sluice_head(kind, extra=top)
        self.gen = None
        text = self.conf("A")
        self.p = net.sluice(text, args=())
        sh(["sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=1024 65000"],
           ns=self.cns)

    def conf(self, gen):
        """Writes the files of a configuration; returns its text."""
        other = {"A": ("s2", 8002, 81), "B": ("s3", 8003, 82)}[gen]
        self.net.write("gen.lua", LUA % gen)
        text = self.head + CONF % {"vip": self.vip, "srv": self.srv, "gen": gen, "other": other[0],
                                   "otherport": other[1], "second": other[2]}
        self.gen = gen
        self.net.write("sluice.cfg", text)
        return text

    def reload(self, gen):
        self.conf(gen)
        out = cli(self.sock, "reload")
        check(out.startswith("Success=1\n"), "reload: " + out)

    def load(self, name, seconds, conns, *extra):
        script = self.net.write("wrk.lua", WRK)
        return self.net.start(["wrk", "-t1", "-c%d" % conns, "-d%ds" % seconds, "--timeout", "10s", "-s",
                               script, *extra, "http://%s/1k" % self.vip], ns=self.cns,
                              log=self.net.file(name))

    def tunnels(self, n):
        t = self.net.start([sys.executable, os.path.join(HERE, "tunnels.py"), "keep", self.vip,
                            "90", str(n)], ns=self.cns, log=self.net.file("tunnels.log"))
        wait_for("%d tunnels" % n, lambda: "ready" in t.log() or not t.alive(), 20)
        return t

    def generations(self):
        return [x.split() for x in cli(self.sock, "show generations").splitlines()
                if x and x[0] != "#"]


def result(name, w):
    w.wait(60 * SLOW)
    text = w.log()
    m = re.search(r"gens A=(\d+) B=(\d+) mixed=(\d+)", text)
    check(m, "%s: no result:\n%s" % (name, text))
    a, b, mixed = (int(x) for x in m.groups())
    total = int(re.search(r"(\d+) requests in", text).group(1))
    bad = re.search(r"Socket errors: (.*)", text)
    check(bad is None, "%s: %s" % (name, bad and bad.group(1)))
    check("Non-2xx" not in text, "%s:\n%s" % (name, text))
    check(a > 0 and b > 0, "%s saw one configuration only: A %d, B %d" % (name, a, b))
    check(mixed == 0, "%s: %d answers of both configurations" % (name, mixed))
    check(a + b == total, "%s: %d answers are of neither" % (name, total - a - b))
    return total


def run(net, kind, reloads, seconds, requests, per_second=10):
    bed = Bed(net, kind)
    t = bed.tunnels(50)
    kept = bed.load("kept.log", seconds, 200)
    fresh = bed.load("fresh.log", seconds, 8, "-H", "Connection: close")
    start = time.monotonic()
    done, rss = 0, 0
    # as long as the load lasts, even where more reloads fit than were asked for
    while done < reloads or kept.alive():
        bed.reload("B" if bed.gen == "A" else "A")
        done += 1
        if done == reloads // 4:
            rss = rss_kb(bed.p)
        if not kept.alive() and not fresh.alive() and done >= reloads:
            break
        time.sleep(max(0.0, start + done / per_second - time.monotonic()))
    total = result("kept connections", kept)
    total += result("new connections", fresh)
    check(total >= requests, "%d requests, wanted %d" % (total, requests))
    check(len(bed.generations()) >= 2, "the tunnels hold no generation of theirs")
    t.send(signal.SIGTERM)
    t.wait(30)
    m = re.search(r"tunnels=50 exchanges=(\d+) broken=0\n", t.log())
    check(m and int(m.group(1)) > 50, "tunnels:\n" + t.log()[-2000:])
    wait_for("one generation: %s" % bed.generations(), lambda: len(bed.generations()) == 1, 10)
    g = bed.generations()[0]
    check(int(g[0]) == done + 1 and g[1] == "served", "generation %s after %d reloads" % (g, done))
    grown = rss_kb(bed.p) / rss - 1
    log("%d reloads, %d requests, %s exchanges of tunnels, RSS %+.2f %% of %d kB" % (
        done, total, m.group(1), 100 * grown, rss))
    check(grown < 0.02, "RSS grew by %.1f %% of %d kB" % (100 * grown, rss))
    net.stop_sluice(bed.p)


def test_nothing_lost(net, kind):
    run(net, kind, 60, 8 * SLOW, 3000)


test_nothing_lost.cases = [{"kind": "af_xdp"}, {"kind": "host"}]


def test_thousand(net, kind):
    run(net, kind, 1000, 150 * SLOW, 10 ** 6)


test_thousand.cases = test_nothing_lost.cases
test_thousand.long = True
