# SPDX-License-Identifier: BSD-3-Clause
"""The exception path of a port: what is the kernel's reaches it and comes back, BGP beside us lives through a
saturated port, and our address is announced while the health file is there."""
import contextlib
import glob
import os
import re
import signal
import socket
import subprocess
import time

from lib import SLOW, VIP4, Failure, check, log, sh, wait_for
from test_link import mac_of, socket_in

VIP = "10.99.0.10"  # announced; the lan's addresses are 10.61.1.10 (ours) and 10.61.1.2 (the kernel's)
KERNEL4, KERNEL6 = "10.61.1.2", "fd61:1::2"
TAP = "kernel-tap sl0 address %s/24 address %s/64" % (KERNEL4, KERNEL6)
BODY = """
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
frontend web
    bind %s:80
    default_backend be
backend be
    server b1 10.61.2.1:8001
""" % VIP4


def in_lan(head, *lines):
    return head.replace("port lan\n", "port lan\n    %s\n" % "\n    ".join(lines))


def in_global(head, *lines):
    return head.replace("global\n", "global\n    %s\n" % "\n    ".join(lines), 1)


def deaf(net, pmd):
    """The kernel hears the frames of a packet socket's interface, too, unless it is told not to."""
    if pmd == "af_packet":
        sh(["nft", "table netdev t { chain in { type filter hook ingress device lan priority 0; policy drop; }; }"],
           ns=net.d)


def ping(net, to, ns=None):
    # until both are there, but not for ever
    _, out = sh(["ping", "-q", "-c", "2", "-i", "0.1", "-w", "5", to], ns=ns or net.c, ok=False)
    return re.search(r" [2-9]\d* received", out) is not None


def drops(net, name):
    return int(net.telemetry("/sluice/drops")[name])


def port(net, name="lan"):
    return net.telemetry("/sluice/ports")[name]


def has_tap(net):
    return sh(["ip", "-n", net.d, "link", "show", "sl0"], ok=False)[0] == 0


def test_kernel(net, pmd, nbthread):
    """Addresses of the kernel, by both families and both ways; of one that both have, what we do not serve."""
    net.nginx([("b1", 8001)])
    net.nginx_kernel = net.start(["/usr/bin/python3", "-m", "http.server", "2222", "--bind", "0.0.0.0", "--directory", net.dir],
                                 ns=net.d, log=net.file("kernel.log"))
    deaf(net, pmd)
    p = net.sluice(in_lan(net.sluice_head(pmd, nbthread), TAP) + BODY)
    net.wait_port(net.d, "", 2222)
    _, out = sh(["ip", "-n", net.d, "-br", "link", "show", "sl0"])
    check(mac_of(net, net.d, "lan") in out and "LOWER_UP" in out, out)
    wait_for("the kernel is reached", lambda: ping(net, KERNEL4) and ping(net, KERNEL6), 20)
    check(ping(net, "10.61.1.1", net.d) and ping(net, "fd61:1::1", net.d), "the kernel reaches nobody")
    net.curl("http://%s:2222/" % KERNEL4)
    check(net.curl("http://%s/name" % VIP4)[1] == "b1\n", "ours")
    check(ping(net, VIP4), "echo to ours")
    # ours alone: refused, as any host does
    rc, out = net.curl("http://%s:2222/" % VIP4, ok=False)
    check(rc == 7, out)
    # both have it: each serves its own
    sh(["ip", "-n", net.d, "addr", "add", VIP4 + "/32", "dev", "lo"])
    wait_for("the kernel's service at the same address", lambda: net.curl("http://%s:2222/" % VIP4, ok=False)[0] == 0, 5)
    check(net.curl("http://%s/name" % VIP4)[1] == "b1\n", "ours beside it")
    sh(["ip", "-n", net.d, "addr", "del", VIP4 + "/32", "dev", "lo"])
    wait_for("ours alone again", lambda: net.curl("http://%s:2222/" % VIP4, ok=False)[0] == 7, 5)
    # a protocol of its own, of which we know nothing
    with socket_in(net.d, "sl0") as kernel, socket_in(net.c, "c0") as raw:
        kernel.settimeout(5)
        frame = bytes.fromhex("0180c200000e02aa0000000988cc") + b"LLDP" + bytes(42)
        raw.send(frame)
        got = b""
        while got[12:14] != b"\x88\xcc":
            got = kernel.recv(2048)
        check(got == frame, got)
    check(drops(net, "kernel_rate") == 0 and drops(net, "kernel_full") == 0, str(net.telemetry("/sluice/drops")))
    check(net.stat("kernel_in") > 0 and net.stat("kernel_out") > 0, "not counted")
    # the link is one
    sh(["ip", "-n", net.c, "link", "set", "c0", "down"])
    wait_for("no carrier", lambda: "NO-CARRIER" in sh(["ip", "-n", net.d, "link", "show", "sl0"])[1], 5)
    sh(["ip", "-n", net.c, "link", "set", "c0", "up"])
    wait_for("carrier", lambda: "LOWER_UP" in sh(["ip", "-n", net.d, "link", "show", "sl0"])[1], 5)
    wait_for("the kernel again", lambda: ping(net, KERNEL4), 5)
    net.stop_sluice(p, 5)  # interfaces go under one lock of the kernel
    check(not has_tap(net), "the TAP is left")


test_kernel.cases = [{"pmd": "af_xdp", "nbthread": 1}, {"pmd": "af_packet", "nbthread": 2}]
test_kernel.net = lambda case: {"queues": case["nbthread"]}


# ---- BGP ----

def bird(net, ns, name, text):
    conf = net.write(name + ".conf", "log \"%s\" all;\n%s" % (net.file(name + ".log"), text))
    return net.start(["bird", "-f", "-c", conf, "-s", net.file(name + ".ctl"), "-P", net.file(name + ".pid")], ns=ns,
                     log=net.file(name + ".out"))


def birdc(net, name, *cmd):
    _, out = sh(["birdc", "-s", net.file(name + ".ctl"), *cmd], ok=False)
    return out


def session(net):
    """(is it up, since which second of the day) as BIRD beside us says."""
    out = birdc(net, "ours", "show", "protocols", "all", "upstream")
    m = re.search(r"^upstream\s+BGP\s+\S+\s+\S+\s+(\d+):(\d+):(\d+)", out, re.M)
    return ("Established" in out, sum(int(x) * y for x, y in zip(m.groups(), (3600, 60, 1))) if m else -1)


def lasted(net, since):
    """The session is the one of then. BIRD makes its times of the monotonic clock and of where the wall clock is
    now, so that one and the same may differ by what the clock was set by in between."""
    up, now = session(net)
    return up and (now - since + 1) % 86400 <= 2


@contextlib.contextmanager
def site(net, hold):
    """A client behind a router, which learns from BIRD beside us where VIP is; until then, and afterwards, the
    router knows of another site. Flows that exist keep their way, as with a stateful router."""
    k, o = "slk" + net.c[3:], "slo" + net.c[3:]
    try:
        for ns in (k, o):
            sh(["ip", "netns", "add", ns])
            sh(["ip", "-n", ns, "link", "set", "lo", "up"])
        for ns, i, there, mine in ((k, "k0", "10.62.0.2/24", "10.62.0.1/24"), (o, "o0", "10.63.0.2/24", "10.63.0.1/24")):
            net._veth(ns, i, net.c, "to-" + i, [])
            sh(["ip", "-n", ns, "addr", "add", there, "dev", i])
            sh(["ip", "-n", net.c, "addr", "add", mine, "dev", "to-" + i])
            for n, d in ((ns, i), (net.c, "to-" + i)):
                sh(["ip", "-n", n, "link", "set", d, "up"])
            sh(["ip", "-n", ns, "route", "add", "default", "via", mine.split("/")[0]])
        sh(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.c0.rp_filter=0",
            "net.ipv4.conf.to-k0.rp_filter=0"], ns=net.c)
        sh(["ip", "-n", o, "addr", "add", VIP + "/32", "dev", "lo"])
        sh(["ip", "-n", net.c, "route", "add", VIP + "/32", "via", "10.63.0.2", "metric", "1000"])
        for mark, way in (("1", KERNEL4), ("2", "10.63.0.2")):
            sh(["ip", "-n", net.c, "rule", "add", "fwmark", mark, "lookup", "10" + mark])
            sh(["ip", "-n", net.c, "route", "add", VIP + "/32", "via", way, "table", "10" + mark])
        sh(["nft", "table ip keep {"
            " chain out { type filter hook postrouting priority 0;"
            " oifname \"c0\" ct state new ct mark set 1; oifname \"to-o0\" ct state new ct mark set 2; };"
            " chain in { type filter hook prerouting priority -150; iifname \"to-k0\" meta mark set ct mark; }; }"],
           ns=net.c)
        common = """
protocol device { scan time 1; }
protocol bgp %s { local %s as %d; neighbor %s as %d; hold time %d; connect delay time 1; connect retry time 1;
    error wait time 1, 2; ipv4 { import all; export all; }; }
"""
        bird(net, net.c, "theirs", "router id 10.61.1.1;\nprotocol kernel { ipv4 { export all; }; }" +
             common % ("site", "10.61.1.1", 65001, KERNEL4, 65002, hold))
        bird(net, net.d, "ours", "router id %s;\nprotocol static vips { disabled; ipv4; route %s/32 blackhole; }" %
             (KERNEL4, VIP) + common % ("upstream", KERNEL4, 65002, "10.61.1.1", 65001, hold))
        yield k, o
    finally:
        for ns in (k, o):
            _, pids = sh(["ip", "netns", "pids", ns], ok=False)
            for pid in pids.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            sh(["ip", "netns", "del", ns], ok=False)


def sluice(net, pmd, *lines):
    head = in_lan(net.sluice_head(pmd), TAP, "address %s/32" % VIP, "gateway 10.61.1.1")
    health = net.file("welcome")
    head = in_global(head, "health-file %s backend be" % health, "stats socket %s level admin" % net.file("cli"), *lines)
    deaf(net, pmd)
    p = net.sluice(head + BODY.replace("bind %s:80" % VIP4, "bind %s:80\n    bind %s:80" % (VIP4, VIP)))
    vip = net.start([os.path.join(os.path.dirname(__file__), "../../scripts/sluice-vip"), "-s", net.file("ours.ctl"),
                     health, "vips"], log=net.file("vip.log"))
    return p, vip, health


def route(net):
    return "via %s" % KERNEL4 in sh(["ip", "-n", net.c, "route", "get", VIP, "from", "10.62.0.2", "iif", "to-k0"])[1]


JUNK = """
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("c0", 0))
frame = bytes.fromhex(sys.argv[1].replace(":", "")) + s.getsockname()[4] + bytes.fromhex("88b5") + bytes(46)
end = time.monotonic() + float(sys.argv[2])
n = 0
while time.monotonic() < end:
    for _ in range(50):
        try:
            s.send(frame)
            n += 1
        except OSError:  # its own queue is full
            pass
print(n)
"""


def saturate(net, k, seconds):
    """Everything that wrk and its server give, and as many frames for the kernel as another sender has time for."""
    junk = subprocess.Popen(["ip", "netns", "exec", net.c, "/usr/bin/python3", "-c", JUNK, mac_of(net, net.d, "lan"),
                             str(seconds)], stdout=subprocess.PIPE)
    _, out = sh(["wrk", "-t1", "-c64", "-d%ds" % seconds, "--timeout", "10s", "http://%s/name" % VIP], ns=k, timeout=seconds + 60)
    n = int(junk.communicate(timeout=30)[0])
    return out, n


def load_of(net, p):
    """Of the worker: cycles in loops that found work, all cycles, those in which others had its CPU, frames that came;
    and what the lan's device lost."""
    hz = int(re.search(r"^tsc_hz: (\d+)$", cli(net, "show workers"), re.M).group(1))
    return [net.stat("cycles_busy"), time.monotonic() * hz, run_delay(p) * hz, net.stat("rx_packets"),
            int(port(net)["rx_missed"])]


def run_delay(p):
    """Seconds that the one worker waited for a CPU."""
    daemon = sh(["pgrep", "-P", str(p.pid)])[1].split()[0]
    for task in glob.glob("/proc/%s/task/*" % daemon):
        with open(task + "/comm", encoding="ascii") as name, open(task + "/schedstat", encoding="ascii") as f:
            if name.read() == "rte-worker-1\n":
                return int(f.read().split()[1]) / 1e9
    raise Failure("there is no worker")


def test_bgp(net, pmd, hold, seconds):
    """The session with the router lives under all the load that the machine can put on the port; the address that it
    announces serves."""
    net.nginx([("b1", 8001)])
    with site(net, hold) as (k, _):
        p, _, _ = sluice(net, pmd)
        wait_for("the session", lambda: session(net)[0], 20)
        wait_for("the route", lambda: route(net), 10)
        since = session(net)[1]
        drops0 = drops(net, "kernel_rate") + drops(net, "kernel_full")
        before = load_of(net, p)
        out, junk = saturate(net, k, seconds)
        busy, cycles, away, came, missed = (b - a for a, b in zip(before, load_of(net, p)))
        check("requests in" in out and "Non-2xx" not in out and "Socket errors" not in out, out)
        # frames were lost in numbers, or there was work half of the time that others left the worker of its CPU:
        # where few CPUs are shared with what drives it no more can be asked
        check(missed > came // 1000 or busy > 0.5 * (cycles - away),
              "the port was hardly loaded: %.2f busy, %.2f away, %d of %d frames missed" % (
                  busy / cycles, away / cycles, missed, came))
        check(lasted(net, since) and route(net), "the session did not last:\n%s\n%s" %
              (birdc(net, "ours", "show", "protocols", "all", "upstream"), open(net.file("ours.log")).read()[-1500:]))
        lost = drops(net, "kernel_rate") + drops(net, "kernel_full") - drops0
        check(lost > 0, "%d frames of junk, none over the limit" % junk)
        log("%s, %d frames for the kernel, %d over the limit; worker busy %.2f, away %.2f, %d frames came, %d missed" % (
            re.search(r"Requests/sec:\s+\S+", out).group(0), junk, lost, busy / cycles, away / cycles, came, missed))
        net.stop_sluice(p, 5)  # interfaces go under one lock of the kernel
        check(not has_tap(net), "the TAP is left")


test_bgp.cases = [{"pmd": "af_xdp", "hold": 3, "seconds": 4}]


def test_bgp_long(net, pmd, hold, seconds):
    test_bgp(net, pmd, hold, seconds)


test_bgp_long.cases = [{"pmd": p, "hold": 9, "seconds": 300} for p in ("af_xdp", "af_packet")]
test_bgp_long.long = True


# a new connection for every request, so that each goes where the router sends it at that moment
CLIENT = """
import socket, sys, threading, time
stop = time.monotonic() + 30
counts, failed = {}, []
def run():
    while time.monotonic() < stop:
        try:
            s = socket.create_connection((sys.argv[1], 80), 5)
            s.settimeout(5)
            s.sendall(b"GET /name HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n")
            got = b""
            while True:
                b = s.recv(4096)
                if not b:
                    break
                got += b
            s.close()
            name = got.rsplit(b"\\r\\n\\r\\n", 1)[1].decode().strip()
            if not got.startswith(b"HTTP/1.1 200"):
                raise ValueError(got)
            counts[name] = counts.get(name, 0) + 1
        except Exception as e:
            failed.append("%.3f %r" % (time.time(), e))
        time.sleep(0.002)
ts = [threading.Thread(target=run) for _ in range(8)]
[t.start() for t in ts]
sys.stdin.readline()
stop = 0
[t.join() for t in ts]
print(counts, len(failed), failed[:3])
"""


@contextlib.contextmanager
def requests(ns):
    """Requests from here to the end of the block; the list gets [answers by server, failed, the first of these]."""
    c = subprocess.Popen(["ip", "netns", "exec", ns, "/usr/bin/python3", "-c", CLIENT, VIP], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    result = []
    try:
        yield result
        out = c.communicate(b"\n", timeout=40)[0].decode()
        m = re.match(r"(\{.*?\}) (\d+) (.*)", out)
        check(m is not None, out)
        result += [m.group(1), int(m.group(2)), m.group(3)]
    finally:
        c.kill()
        c.wait()


def cli(net, command):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(net.file("cli"))
        s.sendall(command.encode() + b"\n")
        return s.makefile().read().strip()


def other(net, ns):
    """The same name at the other site."""
    with open(net.file("nginx.conf")) as f:
        text = f.read().replace("nginx.pid", "other.pid").replace("listen 8001", "listen 80").replace(
            "listen [::]:8001", "listen [::]:80").replace("b1", "other")
    c = net.write("other.conf", text)
    q = net.start(["nginx", "-c", c, "-e", net.file("other-start.log")], ns=ns, log=net.file("other.log"))
    net.wait_port(ns, "127.0.0.1", 80)
    return q


def test_health(net, pmd):
    """Withdrawn by command, without a server, before a stop: the traffic moves, and no request fails."""
    net.nginx([("b1", 8001)])
    with site(net, 3) as (k, o):
        net_o = other(net, o)
        p, vip, health = sluice(net, pmd, "grace 5s")  # a moment is enough, when each has its CPU
        wait_for("the route", lambda: route(net), 20)
        check(cli(net, "show health") == "up" and os.path.exists(health), cli(net, "show health"))
        served = lambda: net.stat("h1_requests")  # noqa: E731
        with requests(k) as got:
            wait_for("requests", lambda: served() > 20)
            check(cli(net, "set health down") == "", "refused")
            check(not os.path.exists(health), "the file is there")
            wait_for("withdrawn", lambda: not route(net), 5)
            wait_for("no traffic", lambda: (lambda a: (time.sleep(0.2), served() == a)[1])(served()), 5)
            check(cli(net, "show health") == "down: by command", cli(net, "show health"))
            cli(net, "set health auto")
            wait_for("announced", lambda: route(net), 5)
            n = served()
            wait_for("requests again", lambda: served() > n + 20)
            os.kill(p.pid, signal.SIGUSR1)
            wait_for("the file", lambda: not os.path.exists(health), 4)
            wait_for("withdrawn", lambda: not route(net), 5)
            check("stops accepting" not in p.log(), "the route went behind the listeners")
            check(p.wait(15 * SLOW) == 0, p.log()[-1000:])
        check(got[1] == 0 and "'b1'" in got[0] and "'other'" in got[0], str(got))
        check(net_o.alive() and vip.alive(), "ended")
        net.left_behind()
        check(not has_tap(net), "the TAP is left")


test_health.cases = [{"pmd": "af_xdp"}]
