# SPDX-License-Identifier: BSD-3-Clause
"""Reloads under load: both configurations are seen, and nothing is lost.

Two configurations that differ in a bind, in the list of servers, in the value of a header and in a
Lua file take turns, under 200 kept connections, a load of new connections and 50 tunnels in mode tcp;
over a port, and over sockets of the host. docs/reload.md has the figures of the long run.
"""
import contextlib
import os
import re
import signal
import socket
import sys
import time

from lib import ASAN, BUILD, ROOT, SLOW, SRV4, VIP4, check, log, sh, wait_for

sys.path.insert(0, os.path.join(ROOT, "tests", "compat"))
import conf_verdicts  # noqa: E402

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


def cli_until(path, line, end, timeout=5):
    """As cli(), for one that leaves the connection open: up to a line; None: sends only."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout * SLOW)
        s.connect(path)
        s.sendall(line.encode() + b"\n")
        out = b""
        while True:
            got = s.recv(65536)
            out += got
            if not got or (end is not None and end.encode() in out):
                return out.decode("utf-8", "replace")


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
        self.head = 'global\n    dpdk-eal "--file-prefix=%s"\n%s' % (net.prefix, top) if host else net.sluice_head(
            kind, extra=top)
        self.gen = None
        text = self.conf("A")
        # what was freed is kept by the sanitizer for a while: not for long, or memory says nothing
        keep_little = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"}
        self.p = net.sluice(text, args=self.files(), env=keep_little)
        sh(["sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=1024 65000"],
           ns=self.cns)

    def files(self):
        """Arguments that name files behind the first one."""
        return []

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


def under_load(bed, reloads, seconds, per_second, on_reload):
    """Reloads while the loads last, and until there were so many; how many, and the requests."""
    kept = bed.load("kept.log", seconds, 200)
    fresh = bed.load("fresh.log", seconds, 8, "-H", "Connection: close")
    start, done = time.monotonic(), 0
    while done < reloads or kept.alive():
        bed.reload("B" if bed.gen == "A" else "A")
        done += 1
        on_reload(done)
        if not kept.alive() and not fresh.alive() and done >= reloads:
            break
        time.sleep(max(0.0, start + done / per_second - time.monotonic()))
    return done, result("kept connections", kept) + result("new connections", fresh)


WARM = 20  # reloads until what is made once is there: connections of the loads, room that allocators keep


def run(net, kind, reloads, seconds, requests, per_second=10):
    bed = Bed(net, kind)
    t = bed.tunnels(50)
    seen = {}

    def look(n):
        if n == WARM or n % 100 == 0:
            seen[n] = rss_kb(bed.p)

    # as long as the loads last, even where more reloads fit than were asked for
    done, total = under_load(bed, reloads, seconds, per_second, look)
    rss, rounds = seen[WARM], 1
    while total < requests and rounds < 16:  # a machine that does other things needs more of them
        more = under_load(bed, 1, seconds, per_second, lambda n: None)
        done, total, rounds = done + more[0], total + more[1], rounds + 1
        log("%s: %d reloads, %d requests" % (kind, done, total))
    check(total >= requests, "%d requests, wanted %d" % (total, requests))
    check(len(bed.generations()) >= 2, "the tunnels hold no generation of theirs")
    old = cli(bed.sock, "show sess").count(" fe=tunnel be=tunnel srv=e1 ")
    check(old == 50, "%d of 50 streams of the old generation are named" % old)
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
    check(grown < (0.1 if ASAN else 0.02), "RSS grew by %.1f %% of %d kB; it was, by reloads: %s" % (100 * grown, rss, seen))
    net.stop_sluice(bed.p)


def test_nothing_lost(net, kind):
    run(net, kind, 60, 16 if ASAN else 8, 3000)


test_nothing_lost.cases = [{"kind": "af_xdp"}, {"kind": "host"}]


def test_thousand(net, kind):
    n = int(os.environ.get("SLUICE_RELOADS", "1000"))
    run(net, kind, n, (150 if kind == "af_xdp" else 260) * SLOW * n // 1000, 1000 * n)


test_thousand.cases = test_nothing_lost.cases
test_thousand.long = True


def messages(text):
    """Lines of a load, whoever printed them: without the process id."""
    return [re.sub(r" \(\d+\) : ", " : ", x) for x in text.splitlines() if x.startswith("[")]


def refused(bed, gen):
    """The answer of a reload that must be refused; nothing has changed by it."""
    out = cli(bed.sock, "reload")
    check(out.startswith("Success=0\n"), "it was taken: " + out)
    g = bed.generations()
    check(len(g) == 1 and int(g[0][0]) == gen, "generations after a refused reload: %s" % g)
    return out


BASE = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend base
    bind %(vip)s:8080
    http-response set-header x-gen A
    default_backend base-be
backend base-be
    server s1 %(srv)s:8001
"""


class BrokenBed(Bed):
    """Two files: one that is right, and one that takes turns."""

    def files(self):
        return ["-f", self.net.file("cur.cfg")]

    def conf(self, gen):
        self.net.write("cur.cfg", "# nothing yet\n")
        self.net.write("gen.lua", LUA % "A")
        text = self.head + BASE % {"vip": self.vip, "srv": self.srv}
        self.net.write("sluice.cfg", text)
        return text


def verdicts(bed, texts):
    """[(exit code, output)] of -c, each text in turn as the second file: all in one visit to the namespace."""
    for i, text in enumerate(texts):
        with open(bed.net.file("case-%d" % i), "w", newline="") as f:
            f.write(text)
    each = 'cd "$0" || exit; for i in $(seq 0 %d); do cp case-$i cur.cfg; "$@" >out-$i 2>&1; echo $? >code-$i; done'
    sh(["sh", "-c", each % (len(texts) - 1), bed.net.dir, os.path.join(BUILD, "sluice"), "-c", "-f",
        bed.net.file("sluice.cfg"), *bed.files()], ns=bed.net.d, timeout=120 * SLOW)
    result = []
    for i in range(len(texts)):
        with open(bed.net.file("out-%d" % i), errors="replace") as out, open(bed.net.file("code-%d" % i)) as code:
            result.append((int(code.read()), out.read()))
    return result


def test_broken(net, kind):
    """Each configuration that -c refuses is refused in -c's words, and no request notices."""
    bed = BrokenBed(net, kind)
    vip = bed.vip + ":8080"
    # which descriptors there are is the process's own
    cases = [(name, text) for name, _, text in conf_verdicts.cases if "fd@" not in text]
    told = verdicts(bed, [text for _, text in cases])
    w = net.start(["wrk", "-t1", "-c50", "-d10m", "--timeout", "10s", "http://%s/1k" % vip], ns=bed.cns, log=net.file("wrk.log"))
    n = 0
    for (name, text), (code, want) in zip(cases, told):
        if code != 1:
            continue
        with open(net.file("cur.cfg"), "w", newline="") as f:
            f.write(text)
        got = messages(refused(bed, 1))
        check(got == messages(want), "%s: -c says\n%s\nthe reload says\n%s" % (
            name, "\n".join(messages(want)), "\n".join(got)))
        n += 1
    check(n >= 50, "%d broken configurations only" % n)
    w.send(signal.SIGINT)  # it reports what there was until then
    w.wait(60 * SLOW)
    text = w.log()
    check("Socket errors" not in text and "Non-2xx" not in text, text)
    log("%d broken configurations under %s" % (n, re.search(r"\d+ requests in.*", text).group(0)))
    # and one that is right is still taken
    net.write("cur.cfg", "# nothing\n")
    check(cli(bed.sock, "reload").startswith("Success=1"), "a right one was refused")
    net.stop_sluice(bed.p)


test_broken.cases = test_nothing_lost.cases


def test_fixed(net):
    """What is fixed at start is refused by its name; what only sounds like it is taken."""
    rows = [
        ("nbthread 1", "nbthread 2", "'nbthread' is fixed at start (1, and now 2)"),
        ("global\n", "global\n script-threads 3\n", "'script-threads' is fixed at start"),
        ("global\n", "global\n tune.mbufs 70000\n", "'tune.mbufs' is fixed at start"),
        ("global\n", "global\n busy-polling\n", "'busy-polling' is fixed at start"),
        ("global\n", "global\n tune.lua.sockets 7\n", "'tune.lua.sockets' is fixed at start"),
        ("global\n", "global\n tune.lua.stuck-timeout 7s\n", "'tune.lua.stuck-timeout' is fixed"),
        ("global\n", "global\n cpu-map 1 0\n", "'cpu-map' is fixed at start"),
        ("global\n", "global\n pidfile /tmp/x\n", "'pidfile' is fixed at start"),
        ("global\n", "global\n user nobody\n", "'user' or 'uid' is fixed at start (0, and now 65534)"),
        ("global\n", "global\n gid 7\n", "'group' or 'gid' is fixed at start"),
        ("global\n", "global\n chroot /tmp\n", "'chroot' is fixed at start"),
        ("global\n", "global\n tune.tcp.delack 20ms\n", "'tune.tcp.*' is fixed at start"),
        ("global\n", "global\n maxconn 10000000\n", "'maxconn 10000000' is more than"),
        ("global\n", "global\n setenv RELOAD_TEST 1\n", "the environment is fixed at start"),
        ("--file-prefix=", "--no-pci --file-prefix=", "'dpdk-eal' is fixed at start"),
        ("device net_af_xdp1,iface=srv", "device net_af_packet1,iface=srv",
         "port 'srv' : 'device' is fixed at start"),
        ("    address fd61:2::10/64\n", "", "port 'srv' : 'address' is fixed at start"),
        ("port srv\n", "port srv\n mtu 1400\n", "port 'srv' : 'mtu' is fixed at start"),
        ("port srv\n", "port srv\n tso off\n", "port 'srv' : 'tso' is fixed at start"),
        ("port srv\n", "port srv\n kernel-tap sl1\n", "port 'srv' : 'kernel-tap' is fixed at start"),
        ("global\n", "global\n health-file /tmp/x\n", "'health-file' is fixed at start"),
        ("port srv\n", "port srv\n gateway 10.61.2.1\n", "'route' or 'gateway' is fixed at start"),
        ("port srv\n", "port other\n", "port 'other' was not there at start"),
        ("global\n", "global\n maxconn 100\n", None),
        ("global\n", "global\n setenv PATH %s\n" % os.environ["PATH"], None),
        ("global\n", "global\n hard-stop-after 30s\n node x\n stats timeout 20s\n", None),
        ("global\n", "global\n log 127.0.0.1 local0\n log-tag x\n", None),
    ]
    bed = Bed(net, "af_xdp")
    before = bed.conf("A")
    gen = 1
    for old, new, want in rows:
        check(old in before, "nothing to replace: " + old)
        net.write("sluice.cfg", before.replace(old, new, 1))
        if want is None:
            gen += 1
            check(cli(bed.sock, "reload").startswith("Success=1"), "refused: " + new)
            wait_for("one generation", lambda: len(bed.generations()) == 1)
            continue
        out = refused(bed, gen)
        check(want in out, "%s: the answer is\n%s" % (new, out))
    net.stop_sluice(bed.p)


STATE = """
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    timeout check 1s
frontend web
    bind 127.0.0.1:80
    http-response set-header x-gen %(gen)s
    default_backend be
backend be
    server s1 127.0.0.1:8001 weight %(weight)d
    server s2 127.0.0.1:%(two)d
    server s3 127.0.0.1:8003 check inter 100ms fall 1 rise 1
    server s4 127.0.0.1:8004 check inter 100ms fall 1 rise 1
%(more)s
"""


def test_state(net):
    """What was set or found out at run time stays, until the configuration says something else."""
    sock = net.file("sock")
    head = "global\n    stats socket %s level admin\n" % sock
    net.nginx([("s1", 8001), ("s2", 8002), ("s3", 8003), ("t2", 8012)], ns=net.d)

    def text(gen, weight=10, two=8002, more=""):
        return head + STATE % {"gen": gen, "weight": weight, "two": two, "more": more}

    def reload(**kw):
        net.write("sluice.cfg", text(**kw))
        out = cli(sock, "reload")
        check(out.startswith("Success=1"), out)

    def servers():
        out = {}
        for line in cli(sock, "show servers state be").splitlines()[2:]:
            w = line.split()
            if len(w) > 10:  # operational, administrative state, weights, address, port
                out[w[3]] = {"op": w[5], "adm": w[6], "weight": w[7], "iweight": w[8], "port": w[18]}
        return out

    def stat(who):
        for line in cli(sock, "show stat").splitlines():
            w = line.split(",")
            if w[:2] == who:
                return int(w[7])  # stot
        raise KeyError(who)

    def ask():
        _, out = sh(["curl", "-sS", "-i", "-m", "5", "http://127.0.0.1/name"], ns=net.d)
        return re.search(r"x-server: (\w+)", out).group(1), re.search(r"x-gen: (\w+)", out).group(1)

    p = net.sluice(text("one"))
    wait_for("s4 down, s3 checked", lambda: servers()["s4"]["op"] == "0")
    for line in ("disable server be/s3", "set weight be/s1 3", "set server be/s2 addr 127.0.0.1 port 8012"):
        cli(sock, line)
    seen = {ask()[0] for _ in range(8)}
    check(seen == {"s1", "t2"}, "answers of %s" % seen)
    before, total = servers(), stat(["web", "FRONTEND"])
    check(before["s3"]["adm"] != "0" and before["s1"]["weight"] == "3", before)
    # nothing of the servers changes, one comes
    reload(gen="two", more="    server s5 127.0.0.1:8001 weight 1")
    after = servers()
    check({k: after[k] for k in before} == before, "before %s\nafter %s" % (before, after))
    check(after["s5"]["op"] == "2" and after["s5"]["weight"] == "1", after["s5"])
    check(stat(["web", "FRONTEND"]) == total, "the counter of sessions began anew")
    check(stat(["be", "s5"]) == 0, "a new server has a past")
    seen = [ask() for _ in range(12)]
    check({x[0] for x in seen} == {"s1", "t2"} and {x[1] for x in seen} == {"two"}, seen)
    # the configuration says something else: that holds
    reload(gen="three", weight=20, two=8003)
    after = servers()
    check(after["s1"]["weight"] == "20", after["s1"])
    check(after["s2"]["port"] == "8003", after["s2"])
    check(after["s3"]["adm"] == before["s3"]["adm"], after["s3"])
    check("s5" not in after, after)
    check({ask()[0] for _ in range(24)} == {"s1", "s3"}, "the old address is still in use")
    wait_for("one generation", lambda: "two" not in cli(sock, "show generations") and
             len([x for x in cli(sock, "show generations").splitlines() if x and x[0] != "#"]) == 1)
    # a name that comes back is another server by now
    reload(gen="four", more="    server s5 127.0.0.1:8001")
    check(stat(["be", "s5"]) == 0, "a server that came back has the past of another one")
    # checks go on: s4 comes up, s3 too once it is asked to
    net.start(["nginx", "-c", net.write("n4.conf", open(net.file("nginx.conf")).read()
              .replace("8001", "8004").replace("8002", "8005").replace("8003", "8006")
              .replace("8012", "8007").replace("nginx.pid", "n4.pid")), "-e", net.file("n4.log")],
              ns=net.d, log=net.file("n4.out"))
    wait_for("s4 up", lambda: servers()["s4"]["op"] == "2")
    cli(sock, "enable server be/s3")
    wait_for("s3 up", lambda: servers()["s3"]["op"] == "2")
    net.stop_sluice(p)


def test_hard_stop(net):
    """'hard-stop-after' ends what holds an old generation, and nothing else."""
    bed = Bed(net, "host", extra="    hard-stop-after 1s\n")
    t = bed.tunnels(5)
    bed.reload("B")
    wait_for("the tunnels' end", lambda: len(bed.generations()) == 1, 10)
    check("'hard-stop-after' ends the connections that are left" in bed.p.log(), bed.p.log()[-1000:])
    t.wait(40)
    check("broken=5" in t.log(), t.log())
    later = bed.tunnels(5)
    time.sleep(1.5)  # longer than the limit: the generation of now has none
    later.send(signal.SIGTERM)
    later.wait(30)
    check("broken=0" in later.log(), later.log())
    net.stop_sluice(bed.p)


def test_signals(net):
    """SIGHUP and SIGUSR2 reload; systemd hears of it; what comes meanwhile is done behind it."""
    path = net.file("notify")
    n = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    n.bind(path)
    n.settimeout(10 * SLOW)
    bed = Bed(net, "host")
    net.stop_sluice(bed.p)
    os.unlink(net.file("sluice.log"))
    bed.p = net.sluice(bed.conf("A"), args=["-Ws"], env={"NOTIFY_SOCKET": path})
    got = lambda: n.recv(1024).decode().split("\n")[0]  # noqa: E731
    check(got() == "READY=1", "no READY at start")
    for i, sig in enumerate((signal.SIGHUP, signal.SIGUSR2)):
        bed.conf("B" if i == 0 else "A")
        bed.p.send(sig)
        check([got(), got()] == ["RELOADING=1", "READY=1"], "systemd was not told")
        wait_for("generation %d" % (i + 2), lambda: bed.generations()[0][0] == str(i + 2))
    for _ in range(20):
        bed.p.send(signal.SIGHUP)
    wait_for("a reload behind the last signal", lambda: int(bed.generations()[0][0]) > 3)
    wait_for("rest", lambda: len(bed.generations()) == 1)
    # a soft stop ends it, and no reload begins any more
    w = bed.load("w.log", 30, 5)
    t = bed.tunnels(1)  # there is still somebody when the last signal comes
    # of two generations, where a reload that was still asked for came in between
    wait_for("load", lambda: sum(int(g[3]) for g in bed.generations()) == 6)
    bed.p.send(signal.SIGUSR1)
    wait_for("the soft stop", lambda: "stops accepting" in bed.p.log())  # of two at once the kernel chooses
    bed.p.send(signal.SIGHUP)
    wait_for("no reload", lambda: "nothing is reloaded any more" in bed.p.log())
    t.stop()
    check(bed.p.wait(20 * SLOW) == 0, "a soft stop ends with 0")
    w.stop(signal.SIGINT, 20)


TASK = """core.register_task(function()
    while true do core.Info("task %s") core.msleep(20) end
end)
"""


def test_tasks(net):
    """Tasks of the new files run; those of the old ones end with their generation."""
    sock = net.file("sock")
    text = ("global\n    stats socket %s level admin\n    lua-load %s\ndefaults\n    mode http\n"
            "    timeout client 1s\nfrontend f\n    bind 127.0.0.1:80\n" % (sock, net.file("t.lua")))
    net.write("t.lua", TASK % "one")
    p = net.sluice(text)
    wait_for("the first task", lambda: "task one" in p.log())
    net.write("t.lua", TASK % "two")
    check(cli(sock, "reload").startswith("Success=1"), "refused")
    wait_for("the second task", lambda: "task two" in p.log())
    wait_for("one generation", lambda: len(cli(sock, "show generations").split("\n")) == 4)
    n = p.log().count("task one")
    two = p.log().count("task two")
    wait_for("more of the second", lambda: p.log().count("task two") > two + 5)
    check(p.log().count("task one") == n, "the first task runs on")
    # a file that never ends: the daemon answers meanwhile, and ends at once when it is told to
    net.write("t.lua", "while true do end")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(sock)
        s.sendall(b"reload\n")
        wait_for("loading", lambda: "is being loaded" in p.log()[-400:] or
                 p.log().count("is being loaded") == 2)
        check("3" not in cli(sock, "show generations").split("\n")[1][:1], "it is served")
        net.stop_sluice(p)


STUCK = """if os.rename("%s", "%s") then
    core.register_task(function() io.open("%s") end)
end
"""


def test_stuck(net):
    """A script thread that does not come back holds the configurations that it may know, and no later one."""
    sock, fifo, once = net.file("sock"), net.file("fifo"), net.write("once", "")
    os.mkfifo(fifo)
    net.write("t.lua", STUCK % (once, net.file("done"), fifo))
    p = net.sluice("global\n    dpdk-eal \"--file-prefix=%s\"\n    stats socket %s level admin\n    lua-load %s\n"
                   "    tune.lua.stuck-timeout 500ms\ndefaults\n    mode http\n    timeout client 1s\n"
                   "frontend f\n    bind 127.0.0.1:80\n" % (net.prefix, sock, net.file("t.lua")))
    wait_for("the stuck thread's end", lambda: "is abandoned" in p.log(), 20)
    generations = lambda: [x.split()[0] for x in cli(sock, "show generations").splitlines()  # noqa: E731
                           if x and x[0] != "#"]
    for _ in range(3):
        check(cli(sock, "reload").startswith("Success=1"), "refused")
    wait_for("two generations", lambda: len(generations()) == 2)
    check(generations() == ["4", "1"], generations())
    with open(fifo, "w"):
        wait_for("one generation", lambda: generations() == ["4"])
    net.stop_sluice(p)


def test_old_maps(net):
    """What rules of an old configuration ask for is done in its files, as long as requests are under way."""
    sock, path, files = net.file("sock"), net.file("fe.sock"), net.write("map", "k before\n")
    p = net.sluice("global\n    dpdk-eal \"--file-prefix=%s\"\n    stats socket %s level admin\ndefaults\n    mode http\n"
                   "    timeout client 90s\nfrontend f\n    bind unix@%s\n    http-request wait-for-body time 90s\n"
                   "    http-request set-map(%s) k %%[req.hdr(v)] if { req.hdr(v) -m found }\n"
                   "    http-request return status 200 hdr x-v %%[str(k),map(%s)]\n" % (
                       net.prefix, sock, path, files, files))
    with contextlib.ExitStack() as all_closed:
        old_maps(sock, path, all_closed)
    net.stop_sluice(p)


def old_maps(sock, path, all_closed):
    asked = []
    for i in range(60):
        s = all_closed.enter_context(socket.socket(socket.AF_UNIX))
        s.settimeout(10 * SLOW)
        s.connect(path)
        s.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n%s\r\n" % (
            b"v: after\r\n" if i == 0 else b""))
        asked.append(s)
    streams = lambda: [x.split()[4] for x in cli(sock, "show generations").splitlines()  # noqa: E731
                       if x and x[0] != "#"]
    wait_for("requests that wait", lambda: streams() == ["60"])
    check(cli(sock, "reload").startswith("Success=1"), "refused")
    check(streams() == ["0", "60"], streams())

    def answer(s):
        s.sendall(b"x")
        return s.recv(4096).decode()

    def is_changed():
        """As one of the requests sees it that are left: they last longer than the wait."""
        if "x-v: after" in answer(asked.pop(0)):
            return True
        time.sleep(0.2 * SLOW)
        return False

    check("200" in answer(asked.pop(0)), "no answer")
    wait_for("the change", is_changed, 10)


def test_successor(net):
    """-sf: the new process takes addresses and paths over; the old one ends and leaves them."""
    sock, path, health = net.file("sock"), net.file("fe.sock"), net.file("welcome")
    net.nginx([("s1", 8001)], ns=net.d)
    text = ("global\n    health-file %s\n    stats socket %s level admin\ndefaults\n    mode http\n    timeout client 5s\n"
            "    timeout server 5s\n    timeout connect 5s\nfrontend f\n    bind 127.0.0.1:80\n"
            "    bind unix@%s\n    default_backend b\nbackend b\n    server s1 127.0.0.1:8001\n" % (
                health, sock, path))
    first = net.sluice(text)
    hold = socket.socket(socket.AF_UNIX)  # the first stays until it is closed
    hold.connect(path)
    hold.sendall(b"GET / HTTP/1.1\r\n")
    second = net.start([os.path.join(BUILD, "sluice"), "-f", net.file("sluice.cfg"), "-sf",
                        str(first.pid)], ns=net.d, log=net.file("second.log"))
    wait_for("the successor", lambda: " ready" in second.log() or not second.alive(), 20)
    wait_for("its health file", lambda: "traffic is welcome" in second.log(), 10)
    hold.close()
    check(first.wait(20 * SLOW) == 0, "the first ends with 0:\n" + first.log()[-1000:])
    for args in (["http://127.0.0.1/name"], ["--unix-socket", path, "http://h/name"]):
        _, out = sh(["curl", "-sS", "-m", "5", *args], ns=net.d)
        check(out.strip() == "s1", "%s: %s" % (args, out))
    with open(health) as f:
        check(os.path.exists("/proc/" + f.read().strip()), "the health file is not the successor's")
    check(cli(sock, "show proc").count("worker") == 2, "the runtime API is gone")
    check(second.stop() in (0, 143), "the second")
    check(not any(map(os.path.exists, (path, sock, health))), "files are left")


def test_binds(net):
    """Options of a bind that stays hold after a reload; what the kernel fixes is refused by name."""
    sock, path = net.file("sock"), net.file("fe.sock")
    text = ("global\n    stats socket %s level admin\ndefaults\n    mode http\n    timeout client 5s\n"
            "frontend f\n    bind unix@%s mode 600 backlog 7\n    bind :::81 v6only\n"
            "    bind 127.0.0.1:80 backlog 8 maxconn 1\n    http-request return status 200\n" % (sock, path))

    def backlogs():
        _, tcp = sh(["ss", "-Hltn", "sport", "=", ":80"], ns=net.d)
        _, unix = sh(["ss", "-Hlx"], ns=net.d)
        unix = next(x for x in unix.splitlines() if path in x)
        return tcp.split()[2], unix.split()[3], os.stat(path).st_mode & 0o777, os.stat(path).st_uid

    def held():
        """How many of three connections are served at a time."""
        _, out = sh([sys.executable, "-c", "import socket\nok=[]\nfor i in range(3):\n"
                     "    s=socket.create_connection(('127.0.0.1',80))\n    s.settimeout(5)\n    try:\n"
                     "        s.sendall(b'GET / HTTP/1.1\\r\\nhost: h\\r\\n\\r\\n')\n"
                     "        ok+=[s] if s.recv(99) else []\n    except OSError:\n        pass\n"
                     "print(len(ok))"], ns=net.d)
        return int(out)

    p = net.sluice(text)
    check(backlogs() == ("8", "7", 0o600, 0), "at start: %s" % (backlogs(),))
    check(held() == 1, "maxconn 1 lets %d through" % held())
    text = text.replace("mode 600 backlog 7", "mode 660 user nobody backlog 17").replace(
        "backlog 8 maxconn 1", "backlog 18 maxconn 2")
    net.write("sluice.cfg", text)
    check(cli(sock, "reload").startswith("Success=1"), "refused")
    wait_for("backlogs: %s" % (backlogs(),), lambda: backlogs() == ("18", "17", 0o660, 65534))
    wait_for("the first connections' end", lambda: "0x" not in cli(sock, "show sess"))
    check(held() == 2, "maxconn 2 lets %d through" % held())
    net.write("sluice.cfg", text.replace(" v6only", " v4v6"))
    out = cli(sock, "reload")
    check(out.startswith("Success=0") and "'v4v6' and 'v6only' of a 'bind' that stays are fixed" in out, out)
    net.stop_sluice(p)


def test_stats_sockets(net):
    """'stats socket' lines come, go and change by reload; clients stay, and what fails changes nothing."""
    one, two = net.file("one.sock"), net.file("two.sock")
    text = ("global\n%s    stats socket %s level admin mode 600\ndefaults\n    mode http\n"
            "    timeout client 5s\nfrontend f\n    bind 127.0.0.1:80\n    http-request return status 200\n")

    def reload(sock, extra, path, **change):
        conf = text % (extra, path)
        for was, now in change.items():
            conf = conf.replace("mode 600" if was == "mode" else "level admin", now)
        net.write("sluice.cfg", conf)
        return cli(sock, "reload")

    def sockets(sock):
        return [x.rsplit(" ", 1)[0] for x in cli(sock, "show cli sockets").splitlines()[1:] if x]

    def connects(path):
        s = socket.socket(socket.AF_UNIX)
        with s:
            return s.connect_ex(path) == 0

    p = net.sluice(text % ("", one))
    stays = socket.socket(socket.AF_UNIX)
    stays.connect(one)
    stays.sendall(b"prompt\n")
    stays.settimeout(10)
    check(stays.recv(100) == b"\n> ", "no prompt")
    # another one, and one of TCP: both there before the answer of the reload
    out = reload(one, "    stats socket 127.0.0.1:9999 level user\n", two)
    check(out.startswith("Success=1"), out)
    check(sockets(two) == ["127.0.0.1:9999 user", "unix@%s admin" % two], sockets(two))
    check(not os.path.exists(one) and connects(two), "the first one is left")
    _, tcp = sh(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9999; echo show cli level >&3; cat <&3"], ns=net.d)
    check(tcp == "user\n\n", tcp)
    stays.sendall(b"show cli level\n")
    check(stays.recv(100) == b"admin\n\n> ", "who was connected is not served any more")
    stays.close()
    # rights and level of one that stays
    check(os.stat(two).st_mode & 0o777 == 0o600, oct(os.stat(two).st_mode))
    inode = os.stat(two).st_ino
    out = reload(two, "", two, mode="mode 660 user nobody")
    check(out.startswith("Success=1"), out)
    st = os.stat(two)
    check((st.st_mode & 0o777, st.st_uid, st.st_ino) == (0o660, 65534, inode), "%s" % (st,))
    check(sockets(two) == ["unix@%s admin" % two], sockets(two))
    # what cannot be opened is said, and all is as before; nothing of the attempt is left
    out = reload(two, "    stats socket %s\n" % one, net.file("none/x.sock"))
    check(out.startswith("Success=0") and "stats socket '%s': cannot listen: No such file or directory"
          % net.file("none/x.sock") in out, out)
    check(sockets(two) == ["unix@%s admin" % two] and not os.path.exists(one), sockets(two))
    # the level last: then nobody may reload by command any more
    check(reload(two, "", two, level="level operator").startswith("Success=1"), "refused")
    check(cli(two, "reload") == "Permission denied\n\n", "still admin")
    # without any, and back by signal
    net.write("sluice.cfg", (text % ("", two)).replace("    stats socket", "    # stats socket"))
    p.send(signal.SIGHUP)
    wait_for("the socket's end", lambda: not os.path.exists(two))
    net.write("sluice.cfg", text % ("", one))
    p.send(signal.SIGHUP)
    wait_for("the socket", lambda: os.path.exists(one))
    check(sockets(one) == ["unix@%s admin" % one], sockets(one))
    net.stop_sluice(p)
    check(not os.path.exists(one), "the file is left")
