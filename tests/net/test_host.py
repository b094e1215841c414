# SPDX-License-Identifier: BSD-3-Clause
"""The host's sockets beside DPDK ports: a client of one, a server of the other, and the reverse."""
import os
import signal
import subprocess
import time

from lib import ASAN, SLOW, SRV4, VIP4, check, log, random_file, sh, sha256, wait_for

BODY = """
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
frontend port_side
    bind %s:80
    default_backend near
frontend host_side
    bind 127.0.0.1:8080
    bind %%s
    default_backend far
backend near
    server b1 127.0.0.1:8002 check inter 200ms
    http-response set-header x-way port-host
backend far
    server b2 %s:8001 check inter 200ms
    http-response set-header x-way host-port
""" % (VIP4, SRV4)


def start(net, more="", checks=True):
    net.nginx([("far", 8001)])
    net.nginx([("near", 8002)], ns=net.d)
    body = BODY if checks else BODY.replace(" check inter 200ms", "")
    return net.sluice(net.sluice_head("af_packet") + body % net.file("front.sock") + more)


def daemon_pid(p):
    child = subprocess.run(["pgrep", "-P", str(p.pid)], capture_output=True, text=True, check=False)
    return int(child.stdout.split()[0])


def rss_kb(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


WAYS = (("port client, host server", "c", "http://" + VIP4),
        ("host client, port server", "d", "http://127.0.0.1:8080"))


def test_host_transfer(net):
    """Down and up, exact, both ways and over a path; counted as the host's."""
    random_file(net.file("big"), (4 if ASAN else 20) << 20)
    p = start(net, checks=False)
    os.makedirs(net.file("put"))
    os.chmod(net.file("put"), 0o777)
    want = sha256(net.file("big"))
    ways = [(w, ns, ["%s" % url]) for w, ns, url in WAYS]
    ways.append(("host client over a path", "d", ["--unix-socket", net.file("front.sock"), "http://x"]))
    for n, (what, ns, at) in enumerate(ways):
        curl = ["curl", "-sSf", "-m", "60", *at[:-1]]
        _, head = sh(curl + ["-I", at[-1] + "/name"], ns=getattr(net, ns))
        check("x-way: " + ("port-host" if n == 0 else "host-port") in head.lower(), what + "\n" + head)
        sh(curl + ["-o", net.file("got"), at[-1] + "/big"], ns=getattr(net, ns), timeout=90)
        check(sha256(net.file("got")) == want, what + ": download differs")
        sh(curl + ["-H", "Expect:", "-T", net.file("big"), at[-1] + "/put/%d" % n], ns=getattr(net, ns),
           timeout=90)
        check(sha256(net.file("put/%d" % n)) == want, what + ": upload differs")
    size = os.path.getsize(net.file("big"))
    check(net.stat("host_accepts") == 6, "host_accepts: %d" % net.stat("host_accepts"))
    check(net.stat("host_connects") >= 1, "no connection to the server of the host is counted")
    for name in ("host_in", "host_out"):
        check(3 * size <= net.stat(name) <= 4 * size, "%s: %d" % (name, net.stat(name)))
    net.stop_sluice(p)
    check(not os.path.exists(net.file("front.sock")), "the path is left behind")


SINKS = """
frontend port_put
    bind %s:81
    default_backend near_sink
frontend host_put
    bind 127.0.0.1:8081
    default_backend far_sink
backend near_sink
    server k1 127.0.0.1:8004
backend far_sink
    server k2 %s:8003
""" % (VIP4, SRV4)


def slow(net, mb, rate_mb):
    """Down to slow clients and up to slow servers, both ways at once: four transfers of mb MB."""
    random_file(net.file("big"), mb << 20)
    sink = os.path.join(os.path.dirname(os.path.abspath(__file__)), "slow_sink.py")
    for ns, at, port in ((net.s, SRV4, 8003), (net.d, "127.0.0.1", 8004)):
        net.start(["python3", sink, at, str(port), str(rate_mb << 20)], ns=ns, log=net.file("sink%d.log" % port))
        wait_for("port %d" % port, lambda n=ns, o=port: "LISTEN" in sh(
            ["ss", "-Hltn", "sport", "=", ":%d" % o], ns=n)[1], 60)
    p = start(net, SINKS, checks=False)  # a check that a busy machine delays is none of its matters
    pid = daemon_pid(p)
    want = sha256(net.file("big"))
    sh(["curl", "-sSf", "-o", "/dev/null", WAYS[1][2] + "/name"], ns=net.d)
    before = rss_kb(pid)
    peak, begin, last = before, time.monotonic(), {}
    jobs = []
    for i, (what, ns, url) in enumerate(WAYS):
        put = url.replace(":8080", "") + (":8081" if "8080" in url else ":81")
        curl = ["curl", "-sSf", "-o"]
        jobs.append((what + ", down", net.start(
            curl + [net.file("got%d" % i), "--limit-rate", "%dM" % rate_mb, url + "/big"], ns=getattr(net, ns))))
        jobs.append((what + ", up", net.start(
            curl + [net.file("sum%d" % i), "-H", "Expect:", "-T", net.file("big"), put], ns=getattr(net, ns))))
    while any(c.alive() for _, c in jobs):
        peak = max(peak, rss_kb(pid))
        for what, c in jobs:
            if c.alive():
                last[what] = time.monotonic() - begin
        # others are not kept waiting by a client or a server that reads slowly
        sh(["curl", "-sSf", "-m", "5" if mb < 100 else "60", "-o", "/dev/null", WAYS[1][2] + "/name"], ns=net.d,
           timeout=90)
        time.sleep(0.3)
        check(time.monotonic() - begin < 20 * mb / rate_mb + 60, "it does not end")
    for what, c in jobs:
        check(c.wait() == 0, what + ": curl failed")
        check(last[what] > 0.5 * mb / rate_mb, what + ": the reader was not slow (%.1f s)" % last[what])
    for i, (what, _, _) in enumerate(WAYS):
        check(sha256(net.file("got%d" % i)) == want, what + ": download differs")
        with open(net.file("sum%d" % i), encoding="ascii") as f:
            check(f.read() == want, what + ": upload differs")
    check(peak - before < 24 << 10, "memory grew by %d kB" % (peak - before))
    print("4 transfers of %d MB at %d MB/s: memory %d kB, grew by %d kB, %.0f s" % (
        mb, rate_mb, before, peak - before, time.monotonic() - begin))
    net.stop_sluice(p)


def test_host_slow(net):
    """Readers slower than writers: exact, memory bounded. 24 MB; a GB with --long."""
    slow(net, 24, 6)


def test_host_slow_long(net):
    """1 GB down and up at 1 MB/s, from host to port and from port to host at once."""
    slow(net, 1024, 1)


test_host_slow_long.long = True


def test_host_check(net):
    """A server of the host that stops is taken out by its checks, and comes back."""
    net.nginx([("far", 8001)])
    near = net.nginx([("near", 8002)], ns=net.d)
    p = net.sluice(net.sluice_head("af_packet") + BODY % net.file("front.sock"))
    curl = ["curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", WAYS[0][2] + "/name"]
    wait_for("an answer", lambda: sh(curl, ns=net.c)[1] == "200")
    seen = len(p.log())
    near.stop()
    wait_for("server down", lambda: "Server near/b1 is DOWN" in p.log()[seen:], 20)
    check(sh(curl, ns=net.c)[1] == "503", "a server that is down was used")
    net.nginx([("near", 8002)], ns=net.d)
    wait_for("server up", lambda: "Server near/b1 is UP" in p.log()[seen:], 20)
    wait_for("an answer after it came back", lambda: sh(curl, ns=net.c)[1] == "200")
    net.stop_sluice(p)


ALONE = """
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend web
    bind 127.0.0.1:%d
    bind unix@%s
    http-request return status 200 content-type text/plain string "instance %d"
"""


class Ordinary:
    """An instance without a port, of a user without rights, session and home."""

    def __init__(self, net, i, tmp):
        self.net, self.at, self.path, self.i = net, 18000 + i, os.path.join(tmp, "web%d" % i), i
        f = net.write("alone%d.cfg" % i, ALONE % (self.at, self.path, i))
        self.logname = net.file("alone%d.log" % i)
        self.begin = time.time()
        self.p = net.start(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "env", "-u",
                            "XDG_RUNTIME_DIR", "TMPDIR=" + tmp, net.anyones(), "-f", f], ns=net.d,
                           log=self.logname)

    def ready(self, limit):
        """Waits for it; the seconds that it took, and those of them in which it did not wait for a CPU."""
        wait_for("instance %d" % self.i, lambda: " ready" in self.p.log() or not self.p.alive(), limit)
        check(self.p.alive(), self.p.log())
        whole = os.stat(self.logname).st_mtime - self.begin  # its last words
        with open("/proc/%d/schedstat" % self.p.pid, encoding="ascii") as f:
            return whole, whole - int(f.read().split()[1]) / 1e9

    def serves(self):
        for at in (["http://127.0.0.1:%d/" % self.at], ["--unix-socket", self.path, "http://x/"]):
            _, out = sh(["curl", "-sS", "-m", "%d" % (20 * SLOW), *at], ns=self.net.d, timeout=100)
            check(out == "instance %d" % self.i, out)

    def stop(self):
        end = time.monotonic() + 30 * SLOW
        while self.p.alive() and time.monotonic() < end:  # who asks again does not end what is under way
            self.p.send(signal.SIGTERM)
            time.sleep(0.001)
        check(self.p.stop(timeout=30 * SLOW) in (0, 143, -15), self.p.log()[-2000:])  # by the signal itself
        check("Sanitizer" not in self.p.log(), self.p.log()[-3000:])


def test_ordinary(net):
    """Without a port, as an ordinary user: ready in a second, in 128 MB, twenty at once, and nothing is left."""
    tmp = net.file("tmp")
    os.mkdir(tmp)
    os.chmod(tmp, 0o1777)
    took = []
    for _ in range(3):  # the best of three: what it waits for may have waited for a CPU in its turn
        one = Ordinary(net, 0, tmp)
        took.append(one.ready(60)[::-1])
        one.serves()
        one.stop()
        check(os.listdir(tmp) == [], "left: %s" % os.listdir(tmp))
        if took[-1][0] < 1:
            break
    check(min(took)[0] < SLOW, "ready in %.2f s, the CPUs' other work apart" % min(took)[0])
    all20 = [Ordinary(net, i, tmp) for i in range(20)]
    whole = max(one.ready(120)[0] for one in all20)
    for one in all20:
        one.serves()
    sh(["wrk", "-t1", "-c64", "-d1s", "--timeout", "10s", "http://127.0.0.1:%d/" % all20[0].at], ns=net.d)
    folders = [n for n in os.listdir(tmp) if os.path.isdir(os.path.join(tmp, n))]
    check(len(folders) == 20, "20 instances have these folders: %s" % folders)
    for n in folders:
        st = os.stat(os.path.join(tmp, n))
        check(st.st_mode & 0o777 == 0o700 and st.st_uid == 65534, "%s: mode %o of %d" % (n, st.st_mode, st.st_uid))
    rss = max(rss_kb(one.p.pid) for one in all20)
    check(ASAN or rss <= 128 << 10, "%d kB are resident" % rss)
    log("ready in %.2f s (%.2f of wall time), 20 of them in %.1f s, at most %d kB each" % (*min(took), whole, rss))
    for one in all20:
        one.p.send(signal.SIGTERM)
    for one in all20:
        one.stop()
    check(os.listdir(tmp) == [], "left: %s" % os.listdir(tmp))


def test_ordinary_killed(net):
    """Without a port, started by root: kill -9 of the daemon, and its parent leaves nothing."""
    tmp, api = net.file("tmp"), net.file("cli")
    os.mkdir(tmp)
    text = "global\n    dpdk-eal \"--file-prefix=%s\"\n    stats socket %s\n" % (net.prefix, api)
    p = net.sluice(text + ALONE % (18000, os.path.join(tmp, "web"), 0), env={"TMPDIR": tmp})
    check(os.listdir(tmp) == ["web"] and os.path.exists("/var/run/dpdk/" + net.prefix), "there is nothing to leave")
    os.kill(daemon_pid(p), signal.SIGKILL)
    p.wait(20 * SLOW)
    net.left_behind()
    check(os.listdir(tmp) == [] and not os.path.exists(api), "left: %s" % os.listdir(tmp))
