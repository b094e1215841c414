# SPDX-License-Identifier: BSD-3-Clause
"""What breaks under load: servers killed, stopped, cut off; sluice stopped and restarted."""
import os
import re
import signal
import subprocess
import time

from lib import SLOW, SRV4, VIP4, check, parse_wrk, sh, wait_for

# Each server is a process of its own, so that it can be stopped apart.
CONF = """
defaults
    log global
    mode http
    timeout connect 500ms
    timeout client 10s
    timeout server 2s
    retries 3
    option redispatch 1
    option httplog
frontend web
    bind %s:80
    default_backend be
backend be
    server b1 %s:8001 check inter 300ms fall 2 rise 2
    server b2 %s:8002 check inter 300ms fall 2 rise 2
""" % (VIP4, SRV4, SRV4)


def server(net, name, port):
    conf = net.write("ng-%s.conf" % name, """daemon off; master_process off; user root;
worker_processes 1; pid %(d)s/%(n)s.pid; error_log %(d)s/%(n)s-error.log;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000;
  client_body_temp_path %(d)s/%(n)s-b; proxy_temp_path %(d)s/%(n)s-p;
  fastcgi_temp_path %(d)s/%(n)s-f; uwsgi_temp_path %(d)s/%(n)s-u; scgi_temp_path %(d)s/%(n)s-s;
  server { listen %(p)d backlog=4096;
    location / { add_header x-server %(n)s; default_type text/plain; return 200 "%(n)s\\n"; } } }
""" % {"d": net.dir, "n": name, "p": port})
    p = net.start(["nginx", "-c", conf, "-e", net.file(name + "-start.log")], ns=net.s,
                  log=net.file(name + ".log"))
    net.wait_port(net.s, "127.0.0.1", port)
    return p


def begin_wrk(net, seconds):
    return subprocess.Popen(["ip", "netns", "exec", net.c, "wrk", "-t1", "-c64",
                             "-d%ds" % seconds, "--timeout", "10s", "http://%s/" % VIP4],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def end_wrk(w):
    return parse_wrk(w.communicate(timeout=60)[0].decode())


def head(net):
    """(status, server) of one request."""
    _, out = net.curl("-i", "http://%s/" % VIP4, ok=False)
    m, s = re.match(r"HTTP/1.1 (\d+)", out), re.search(r"x-server: (\S+)", out)
    return (int(m.group(1)) if m else 0, s.group(1) if s else "")


def up(net):
    for name in ("b1", "b2"):
        wait_for(name + " serving", lambda n=name: any(head(net)[1] == n for _ in range(2)), 10)


def test_kill(net, nbthread):
    """kill -9 of one server under load: redispatch; restart: both serve again."""
    b1, _ = server(net, "b1", 8001), server(net, "b2", 8002)
    # b2 has no check: one that comes late is not what this is about
    p = net.sluice(net.sluice_head("af_xdp", nbthread) + re.sub(r"(server b2 .*?) check inter.*", r"\1", CONF))
    up(net)
    w = begin_wrk(net, 6)
    time.sleep(1.5)
    b1.kill()
    wait_for("b1 taken out", lambda: "be/b1 is DOWN" in p.log(), 5)
    r = end_wrk(w)
    # Requests in the air on the killed server's connections may fail: at most one each.
    check(r["requests"] > 1000 and r["bad"] + r["non2xx"] <= 64, r["text"])
    for _ in range(6):
        check(head(net) == (200, "b2"), "a request did not reach b2")
    server(net, "b1", 8001)
    wait_for("b1 back", lambda: "be/b1 is UP" in p.log(), 5)
    up(net)
    net.stop_sluice(p)


def test_stop(net, nbthread):
    """SIGSTOP of one server: its requests get 504 after timeout server; SIGCONT recovers."""
    b1, _ = server(net, "b1", 8001), server(net, "b2", 8002)
    # no checks: the stopped server stays in rotation
    head_ = net.sluice_head("af_xdp", nbthread, extra="    log stdout format raw local0\n")
    p = net.sluice(head_ + re.sub(r" check inter.*", "", CONF))
    up(net)
    b1.send(signal.SIGSTOP)
    seen = []
    # each worker has turns of its own, and a connection goes to either: of three two go to the same
    while len(seen) < 4:
        t = time.monotonic()
        code, name = head(net)
        seen.append((code, name, time.monotonic() - t))
    codes = sorted(c for c, _, _ in seen)
    check(codes == [200, 200, 504, 504] if nbthread == 1 else set(codes) == {200, 504}, str(seen))
    late = [t for c, _, t in seen if c == 504]
    check(min(late) >= 1.8 and min(late) <= 3.0 * SLOW, str(seen))  # of one the machine may have been away
    b1.send(signal.SIGCONT)
    up(net)
    wait_for("504 with sH-- in the log", lambda: re.search(r" 504 .* sH-- ", p.log()))
    net.stop_sluice(p)


def test_link(net, nbthread):
    """The servers' link goes down under load and comes back: 503 or 504 meanwhile, then 200."""
    server(net, "b1", 8001), server(net, "b2", 8002)
    p = net.sluice(net.sluice_head("af_xdp", nbthread) + CONF)
    up(net)
    w = begin_wrk(net, 5)
    time.sleep(1)
    sh(["ip", "-n", net.s, "link", "set", "s0", "down"])
    wait_for("an error answer", lambda: head(net)[0] in (503, 504), 8)
    sh(["ip", "-n", net.s, "link", "set", "s0", "up"])
    wait_for("200 again", lambda: head(net)[0] == 200, 10)
    end_wrk(w)
    up(net)
    net.stop_sluice(p)


def test_term(net, nbthread):
    """kill -TERM under load ends within 2 s; a restart serves at once."""
    server(net, "b1", 8001), server(net, "b2", 8002)
    took = []
    for _ in range(3):
        p = net.sluice(net.sluice_head("af_xdp", nbthread) + CONF)
        up(net)
        w = begin_wrk(net, 600)
        wait_for("load", lambda: net.stat("h1_requests") > 1000)
        t = time.monotonic()
        p.stop(timeout=10 * SLOW)
        took.append(time.monotonic() - t)
        net.stop_sluice(p)
        w.send_signal(signal.SIGINT)
        end_wrk(w)
    # once the machine may have been away, but not for long
    check(sorted(took)[1] <= 2.0 * SLOW and max(took) <= 6.0 * SLOW, "stopping took %s s" % took)


def test_kill9(net, nbthread):
    """kill -9 of the daemon itself: the parent removes what is left; a restart works."""
    server(net, "b1", 8001), server(net, "b2", 8002)
    p = net.sluice(net.sluice_head("af_xdp", nbthread) + CONF)
    up(net)
    _, out = sh(["pgrep", "-P", str(p.pid)])
    # ip netns exec replaces itself, so p is the parent and its child the daemon
    os.kill(int(out.split()[0]), signal.SIGKILL)
    p.wait(10)
    net.left_behind()
    p = net.sluice(net.sluice_head("af_xdp", nbthread) + CONF)
    up(net)
    net.stop_sluice(p)


for case in (test_kill, test_stop, test_link, test_term, test_kill9):
    case.cases = [{"nbthread": n} for n in (1, 2)]
    case.net = lambda params: {"queues": params["nbthread"]}
