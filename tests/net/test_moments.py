# SPDX-License-Identifier: BSD-3-Clause
"""Failures of one server of two, each on a link of its own, at chosen moments: under load, inside of an answer,
between two requests of a kept connection."""
import os
import re
import signal
import time

from lib import SLOW, SRV4, VIP4, check, parse_wrk, sh, wait_for
from test_failures import begin_wrk, head, up

HURT = r" be/b1 .* 504 .* sH-- "  # a line of the log
ALONE = "10.61.2.3"  # of the server that has its own link

CONF = """
defaults
    log global
    mode http
    timeout connect 300ms
    timeout client 10s
    timeout server 1s
    retries 3
    option redispatch 1
    option httplog
frontend web
    bind %(vip)s:80
    default_backend be
backend be
    option httpchk GET /
    server b1 %(b1)s:8001 %(check)s
    server b2 %(b2)s:8002 %(check)s
"""
# a stopped server's kernel still accepts: only an answer shows that it lives
CHECK = "check inter 200ms fall 2 rise 2"

WEB = """daemon off; master_process off; user root; worker_processes 1;
pid %(d)s/%(n)s.pid; error_log %(d)s/%(n)s-error.log;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000; %(more)s
  client_body_temp_path %(d)s/%(n)s-b; proxy_temp_path %(d)s/%(n)s-p;
  fastcgi_temp_path %(d)s/%(n)s-f; uwsgi_temp_path %(d)s/%(n)s-u; scgi_temp_path %(d)s/%(n)s-s;
  server { listen %(p)d backlog=4096; root %(d)s;
    location / { add_header x-server %(n)s; default_type text/plain; return 200 "%(n)s\\n"; }
    location = /file { add_header x-server %(n)s; } } }
"""


def queues(case):
    return {"queues": case["nbthread"]}


def conf(checks=CHECK):
    return CONF % {"vip": VIP4, "b1": ALONE, "b2": SRV4, "check": checks}


def web(net, name, port, more=""):
    f = net.write("ng-%s.conf" % name, WEB % {"d": net.dir, "n": name, "p": port, "more": more})
    return ["nginx", "-c", f, "-e", net.file(name + "-start.log")]


def two(net, more=""):
    """Both servers: b2 where all servers are, b1 in a namespace of its own behind a bridge, by link b1i."""
    sh(["ip", "-n", net.s, "addr", "flush", "dev", "s0"])
    sh(["ip", "-n", net.s, "link", "add", "br0", "type", "bridge"])
    for i in ("s0", "br0"):
        sh(["ip", "-n", net.s, "link", "set", i, *(("master", "br0") if i == "s0" else ()), "up"])
    sh(["ip", "-n", net.s, "addr", "add", SRV4 + "/24", "dev", "br0"])
    # the namespace lives as long as the process
    b1 = net.start(["unshare", "-n", "sh", "-c", 'until ip link show b1e >/dev/null 2>&1; do sleep 0.02; done; '
                    'ip link set lo up; ip addr add %s/24 dev b1e; ip link set b1e up; exec "$@"' % ALONE, "sh",
                    *web(net, "b1", 8001, more)], ns=net.s, log=net.file("b1.log"))
    home = os.stat("/var/run/netns/" + net.s).st_ino
    there = "/proc/%d/ns/net" % b1.pid
    ours = os.stat("/proc/self/ns/net").st_ino
    wait_for("a namespace of its own", lambda: os.stat(there).st_ino not in (home, ours))
    sh(["ip", "-n", net.s, "link", "add", "b1i", "type", "veth", "peer", "name", "b1e", "netns", str(b1.pid)])
    sh(["ip", "-n", net.s, "link", "set", "b1i", "master", "br0", "up"])
    b2 = net.start(web(net, "b2", 8002, more), ns=net.s, log=net.file("b2.log"))
    net.wait_port(net.s, "127.0.0.1", 8002)
    wait_for("b1", lambda: sh(["curl", "-s", "-m", "1", "http://%s:8001/" % ALONE], ns=net.s, ok=False)[0] == 0)
    return b1, b2


def under_load(net, nbthread, breaks, mends):
    """b1 breaks under wrk -c64, is taken out, is mended and serves again; how many requests were hurt."""
    # of tens of thousands of lines some are dropped where the log finds no CPU; those that count are few
    body = conf().replace("option httplog", "option httplog\n    option dontlog-normal")
    p = net.sluice(net.sluice_head("af_xdp", nbthread, extra="    log stdout format raw local0\n") + body)
    up(net)
    w = begin_wrk(net, 600)
    wait_for("load", lambda: net.stat("h1_requests") > 1000)
    t = time.monotonic()
    breaks()
    wait_for("b1 taken out", lambda: "be/b1 is DOWN" in p.log(), 5)
    down = time.monotonic() - t
    for _ in range(6):
        check(head(net) == (200, "b2"), "a request did not reach b2")
    # what was in the air waits for 'timeout server', longer than checks need
    wait_for("a request was hurt", lambda: re.search(HURT, p.log()), 5)
    mends()
    t = time.monotonic()
    wait_for("b1 back", lambda: "be/b1 is UP" in p.log(), 5)
    back = time.monotonic() - t
    up(net)
    t = time.monotonic()
    while time.monotonic() - t < 1.5:  # nobody waits any more: longer than 'timeout server' and its line
        n = len(re.findall(HURT, p.log()))
        time.sleep(0.2)
        if len(re.findall(HURT, p.log())) != n:
            t = time.monotonic()
    w.send_signal(signal.SIGINT)
    r = parse_wrk(w.communicate(timeout=60)[0].decode())
    check(down < 3 * SLOW and back < 3 * SLOW, "down after %.1f s, back after %.1f s" % (down, back))
    # what was in the air on b1's connections: once, and again if it was seen later than 'timeout server'
    check(r["requests"] > 1000 and r["bad"] + r["non2xx"] <= 64 * (1 + int(down)), r["text"])
    text = p.log()
    check(net.stat("log_dropped") == 0, "lines are missing")
    net.stop_sluice(p)
    return r["bad"] + r["non2xx"], text


def test_stop_load(net, nbthread):
    """SIGSTOP under load: what waits for the server gets 504, the others go to the other one."""
    b1, _ = two(net)
    hurt, text = under_load(net, nbthread, lambda: b1.send(signal.SIGSTOP), lambda: b1.send(signal.SIGCONT))
    lines = len(re.findall(HURT, text))
    check(lines == hurt > 0, "%d were hurt, %d lines say so" % (hurt, lines))


def test_link_load(net, nbthread):
    """The link of one server goes down under load and comes back; the other server's stays."""
    two(net)
    hurt, text = under_load(net, nbthread, lambda: sh(["ip", "-n", net.s, "link", "set", "b1i", "down"]),
                            lambda: sh(["ip", "-n", net.s, "link", "set", "b1i", "up"]))
    lines = len(re.findall(HURT, text))
    check(lines == hurt > 0, "%d were hurt, %d lines say so" % (hurt, lines))


# one worker or two
test_stop_load.cases = [{"nbthread": 1}]
test_link_load.cases = [{"nbthread": n} for n in (1, 2)]
test_stop_load.net = test_link_load.net = queues


def begin_slow(net):
    """A download at 8 MB/s of 24 MB; returns when some of it is there."""
    with open(net.file("file"), "wb") as f:
        f.truncate(24 << 20)
    c = net.start(["curl", "-sS", "-m", "60", "--limit-rate", "8M", "-o", net.file("got"), "-w", "%{http_code}",
                   "http://%s/file" % VIP4], ns=net.c, log=net.file("curl.log"))
    wait_for("bytes", lambda: os.path.exists(net.file("got")) and os.path.getsize(net.file("got")) > 2 << 20)
    return c


def test_in_body(net, how, nbthread):
    """The server is stopped, or its link goes down, inside of an answer: it goes on when that is over soon, and is
    cut off, told as such, when it lasts longer than timeout server."""
    b1, _ = two(net)
    # b1 alone
    body = conf("").replace("    server b2", "#").replace("timeout server 1s", "timeout server %dms" % (4000 * SLOW))
    p = net.sluice(net.sluice_head("af_xdp", nbthread, extra="    log stdout format raw local0\n") + body)
    wait_for("b1", lambda: head(net) == (200, "b1"))

    def stop(on):
        if how == "stop":
            b1.send(signal.SIGSTOP if on else signal.SIGCONT)
        else:
            sh(["ip", "-n", net.s, "link", "set", "b1i", "down" if on else "up"])

    c = begin_slow(net)
    stop(True)
    time.sleep(0.4)  # shorter than the limit, and nothing to wait for: the outage itself
    stop(False)
    check(c.wait(60 * SLOW) == 0 and os.path.getsize(net.file("got")) == 24 << 20, "the answer did not go on")
    os.unlink(net.file("got"))
    c = begin_slow(net)
    stop(True)
    wait_for("the end", lambda: re.search(r' be/b1 .* 200 .* sD-- .* "GET /file', p.log()), 15)
    check(c.wait(10 * SLOW) == 18, "a part was taken for the whole: " + c.log())
    stop(False)
    wait_for("b1 again", lambda: head(net) == (200, "b1"), 10)
    net.stop_sluice(p)


test_in_body.cases = [{"how": how, "nbthread": n} for how in ("stop", "link") for n in (1, 2)]
test_in_body.net = queues


def test_idle_race(net, pmd, nbthread):
    """Servers that close kept connections just when they are used again: requests that were not taken go to another
    connection, no client hears of it."""
    two(net, more="keepalive_timeout 1ms;")
    # the race is it, no limit of time
    p = net.sluice(net.sluice_head(pmd, nbthread) + conf("").replace("server 1s", "server 10s").replace("300ms", "5s"))
    up(net)
    r = net.wrk("http://%s/" % VIP4, seconds=3, conns=8)
    check(r["requests"] > 200 and r["bad"] == 0 and r["non2xx"] == 0, r["text"])
    net.stop_sluice(p)


test_idle_race.cases = [{"pmd": "af_xdp", "nbthread": 1}, {"pmd": "af_xdp", "nbthread": 2},
                        {"pmd": "af_packet", "nbthread": 1}]
test_idle_race.net = queues
