#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Plain traffic beside scripts that mean harm: the set-up of tests/bench/isolation_compare and of
test_isolation.py.

Run as a program (hostile.py ADDRESS PATH...) it is the client: a connection a path, which asks again
soon after it has an answer or was hung up on; with --checked, the server of the health checks.
"""
import contextlib
import os
import re
import socket
import sys
import threading
import time

from lib import BUILD, SRV4, VIP4, check

HERE = os.path.dirname(os.path.abspath(__file__))
LOOPS = 8
HOOKS = 200  # a second; each is about ten milliseconds of Lua: twice what a thread could do
CHECK_MS = 200

CONF = """
defaults
    mode http
    log global
    timeout connect 2s
    timeout client 70s
    timeout server 30s
frontend web
    bind %s:80
    option httplog
    http-request lua.loop%s if { path_beg /loop }
    http-request lua.eat%s if { path /eat }
    http-request lua.stuck%s if { path /stuck }
    http-request lua.hook%s if { path /hook }
    http-request return status 200 if { path_beg /loop } or { path /eat } or { path /stuck } or { path /hook }
    default_backend be
backend be
    option httpchk GET /name
    server b1 %s:8001 check port 8009 inter %dms
    server b2 %s:8002
"""
OURS = (" deadline 5s on-error status 503 on-overload status 503",) * 3 + \
    (" deadline 500ms on-error status 503 on-overload status 503",)


def config(sluice):
    words = OURS if sluice else ("",) * 4
    glob = "    lua-load %s/hostile.lua\n    tune.lua.maxmem 64\n" % HERE
    if sluice:
        glob += "    tune.lua.stuck-timeout 500ms\n    log stdout format raw local0\n"
    return glob, CONF % ((VIP4,) + words + (SRV4, CHECK_MS, SRV4))


def servers(net):
    """nginx for the traffic, and a process of its own that writes down when it was checked."""
    net.nginx([("b1", 8001), ("b2", 8002)])
    net.start([sys.executable, os.path.abspath(__file__), "--checked"], ns=net.s,
              log=net.file("checks.log"))
    net.wait_port(net.s, "127.0.0.1", 8009)


def begin(net, stuck=True):
    """Starts the hostile clients; returns the function that ends them."""
    paths = ["/loop%d" % i for i in range(LOOPS)] + ["/eat"] + (["/stuck"] if stuck else [])
    procs = [net.start([sys.executable, os.path.abspath(__file__), VIP4] + paths, ns=net.c,
                       log=net.file("hostile.log")),
             net.start([os.path.join(BUILD, "tools/sluice-load"), "-m", "-c", "1000", "-d", "600",
                        "-r", str(HOOKS), "http://%s/hook" % VIP4], ns=net.c,
                       log=net.file("hooks.log"))]

    def end():
        for p in procs:
            p.kill()
    return end


def plain(net, seconds, strict=True):
    """wrk's requests a second and its 99th percentile in ms, of plain requests."""
    r = net.wrk("http://%s/name" % VIP4, seconds=seconds, extra=["--latency"])
    check(not strict or r["bad"] + r["non2xx"] == 0, r["text"])
    m = re.search(r"99%\s+([\d.]+)(us|ms|s)", r["text"])
    p99 = float(m.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[m.group(2)]
    return r["rate"], p99


class Watch(threading.Thread):
    """Meanwhile: telemetry's answers, Lua instructions and log lines, every 100 ms."""

    def __init__(self, net, log):
        super().__init__()
        self.net, self.log, self.over = net, log, threading.Event()
        self.answers, self.rows, self.error = [], [], None

    def run(self):
        try:
            while not self.over.wait(0.1):
                t = time.monotonic()
                lua = self.net.telemetry("/sluice/lua")
                self.answers.append(time.monotonic() - t)
                self.rows.append((t, instructions(lua), os.path.getsize(self.log)))
        except Exception as e:  # reported by whoever joins
            self.error = e

    def stop(self):
        self.over.set()
        self.join()
        check(self.error is None, "telemetry: %r" % self.error)

    def least(self, column, span=1.0):
        """The least growth of a column over any `span` seconds."""
        out, j = [], 0
        for i, row in enumerate(self.rows):
            while j < len(self.rows) and self.rows[j][0] < row[0] + span:
                j += 1
            if j == len(self.rows):
                break
            out.append(self.rows[j][column] - row[column])
        check(out, "nothing was seen")
        return min(out)


def instructions(tree):
    """Instructions of all script threads, abandoned ones too."""
    return sum(int(v.get("instructions", 0)) for v in tree.values()
               if isinstance(v, dict) and "slices" in v)


def check_gap(net, since):
    """The longest time between two health checks since then, in ms."""
    with open(net.file("checks.log")) as f:
        times = [since] + [float(x) for x in f if float(x) >= since] + [time.time()]
    return max(b - a for a, b in zip(times, times[1:])) * 1000


def be_checked():
    with socket.create_server(("0.0.0.0", 8009), backlog=64) as all_:
        while True:
            s, _ = all_.accept()
            with s, contextlib.suppress(OSError):
                s.settimeout(5)
                s.recv(4096)
                print("%.6f" % time.time(), flush=True)
                s.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")


def client(host, path):
    request = ("GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path).encode()
    while True:
        try:
            with socket.create_connection((host, 80), 60) as s:
                s.settimeout(120)
                while True:
                    s.sendall(request)
                    if not s.recv(65536):
                        break
                    if path == "/stuck":
                        return  # one sleeper: its thread is given up once
                    time.sleep(0.1)  # the scripts are to take CPU time, not this
        except OSError:
            pass
        time.sleep(0.05)


def main():
    if sys.argv[1] == "--checked":
        be_checked()
    for path in sys.argv[2:]:
        threading.Thread(target=client, args=(sys.argv[1], path), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
