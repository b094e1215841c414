# SPDX-License-Identifier: BSD-3-Clause
"""What the network tests share: namespaces, links, the daemon, backends, telemetry.

Topology of one test (names carry the pid of the runner, so that runs do not meet):

    ns c (client)                 ns d (sluice or haproxy)               ns s (servers)
    c0 10.61.1.1/24   ==veth==   lan 10.61.1.10      srv 10.61.2.10   ==veth==   s0 10.61.2.1/24
       fd61:1::1/64                  fd61:1::10          fd61:2::10                 fd61:2::1/64

With impair=… the left veth goes through the impairment box, in the namespace of sluice.
"""
import contextlib
import ctypes
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
ASAN = "asan" in os.path.basename(BUILD)
# Sanitizers make everything slower; time limits (never ratios) grow by this.
SLOW = 4 if ASAN else 1
# Under them the sizes are smaller, unless all the time is given that they take (scripts/test --long).
FULL = not ASAN or "SLUICE_LONG" in os.environ

VIP4, VIP6 = "10.61.1.10", "fd61:1::10"
SRV4, SRV6 = "10.61.2.1", "fd61:2::1"


class Failure(Exception):
    """An expectation that did not hold."""


class Skip(Exception):
    """What this machine lacks for a case. It is counted, and as root a failure (scripts/test)."""


def check(cond, text):
    if not cond:
        raise Failure(text)


def sh(cmd, ns=None, ok=True, timeout=60, stdin=None, env=None):
    """Runs a command line (list), returns (code, output)."""
    if ns:
        cmd = ["ip", "netns", "exec", ns] + cmd
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, input=stdin,
                       timeout=timeout, env=env)
    out = p.stdout.decode("utf-8", "replace")
    if ok and p.returncode != 0:
        raise Failure("%s: exit code %d\n%s" % (" ".join(cmd), p.returncode, out[-2000:]))
    return p.returncode, out


def wait_for(what, fn, timeout=10.0):
    """Waits for fn() to be true; the wait is for an event, the sleep only yields."""
    end = time.monotonic() + timeout * SLOW
    while True:
        late = time.monotonic() > end  # before the look: the last one is behind the time
        r = fn()
        if r:
            return r
        if late:
            raise Failure("timed out: " + what)
        time.sleep(0.02)


def is_gone(pid):
    """Ended, whether its new parent has noticed or not."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z" and len(os.listdir("/proc/%d/task" % pid)) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


class Proc:
    """A process of the test, ended by pid at the end of the test whatever happens."""

    def __init__(self, cmd, ns=None, log=None, env=None, cwd=None):
        if ns:
            cmd = ["ip", "netns", "exec", ns] + cmd
        self.cmd = cmd
        self.logname = log
        # what an earlier process wrote there is not this one's
        self.log_from = os.path.getsize(log) if log and os.path.exists(log) else 0
        out = open(log, "ab") if log else subprocess.DEVNULL
        e = dict(os.environ)
        e.update(env or {})
        self.p = subprocess.Popen(cmd, stdout=out, stderr=subprocess.STDOUT, env=e, cwd=cwd,
                                  stdin=subprocess.DEVNULL, start_new_session=True)
        if log:
            out.close()

    @property
    def pid(self):
        return self.p.pid

    def log(self):
        with open(self.logname, "rb") as f:
            f.seek(self.log_from)
            return f.read().decode("utf-8", "replace")

    def alive(self):
        return self.p.poll() is None

    def send(self, sig):
        os.kill(self.p.pid, sig)

    def wait(self, timeout=10.0):
        try:
            return self.p.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure("%s did not end within %.1f s" % (self.cmd[0:6], timeout)) from None

    def stop(self, sig=signal.SIGTERM, timeout=10.0):
        if self.alive():
            self.send(sig)
        return self.wait(timeout)

    def kill(self):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.p.pid, signal.SIGKILL)
        with contextlib.suppress(Exception):
            self.p.wait(5)


class Net:
    """Namespaces and links of one test, and the processes in them."""

    def __init__(self, queues=1, impair=None):
        tag = str(os.getpid())
        self.c, self.d, self.s = ["slt%s-%s" % (x, tag) for x in "cds"]
        self.queues = queues
        self.procs = []
        self.dir = tempfile.mkdtemp(prefix="sluice-test-")
        os.chmod(self.dir, 0o755)
        self.prefix = "slt" + tag
        self.impair = None
        try:
            self._links(impair)
        except Exception:
            self.close()
            raise

    def _links(self, impair):
        for ns in (self.c, self.d, self.s):
            sh(["ip", "netns", "add", ns])
            sh(["ip", "-n", ns, "link", "set", "lo", "up"])
            sh(["sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0",
                "net.ipv6.conf.default.accept_dad=0"], ns=ns)
        q = ["numtxqueues", str(self.queues), "numrxqueues", str(self.queues)]
        self._veth(self.c, "c0", self.d, "x0" if impair else "lan", q)
        self._veth(self.s, "s0", self.d, "srv", q)
        if impair:
            self._veth(self.d, "x1", self.d, "lan", q)
            for i in ("x0", "x1"):
                sh(["sysctl", "-qw", "net.ipv6.conf.%s.disable_ipv6=1" % i], ns=self.d)
                sh(["ip", "-n", self.d, "link", "set", i, "up"])
            self.impair = self.start([os.path.join(BUILD, "tests/harness/impair")] + impair +
                                     ["x0", "x1"], ns=self.d, log=self.file("impair.log"))
        for ns, i, a4, a6 in ((self.c, "c0", "10.61.1.1/24", "fd61:1::1/64"),
                              (self.s, "s0", "10.61.2.1/24", "fd61:2::1/64")):
            sh(["ip", "-n", ns, "addr", "add", a4, "dev", i])
            sh(["ip", "-n", ns, "-6", "addr", "add", a6, "dev", i, "nodad"])
            sh(["ip", "-n", ns, "link", "set", i, "up"])
        for i in ("lan", "srv"):
            sh(["sysctl", "-qw", "net.ipv6.conf.%s.disable_ipv6=1" % i], ns=self.d)
            sh(["ip", "-n", self.d, "link", "set", i, "up"])

    def _veth(self, ns1, i1, ns2, i2, q):
        sh(["ip", "link", "add", i1, "netns", ns1] + q +
           ["type", "veth", "peer", "name", i2, "netns", ns2] + q)
        for ns, i in ((ns1, i1), (ns2, i2)):
            sh(["ethtool", "-K", i, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro",
                "off"], ns=ns)

    def kernel_dp(self, offloads=True):
        """Gives the middle to the kernel, for haproxy in sluice's place."""
        for i, a4, a6 in (("lan", VIP4 + "/24", VIP6 + "/64"),
                          ("srv", "10.61.2.10/24", "fd61:2::10/64")):
            sh(["sysctl", "-qw", "net.ipv6.conf.%s.disable_ipv6=0" % i], ns=self.d)
            sh(["ip", "-n", self.d, "addr", "replace", a4, "dev", i])
            sh(["ip", "-n", self.d, "-6", "addr", "replace", a6, "dev", i, "nodad"])
        if offloads:
            self.offloads("on")

    def congestion(self, name):
        """Congestion control of what the kernels send over the lan. A sysctl would do, but a namespace may
        choose only what the machine allows to everyone; a route may choose any."""
        for ns, i in ((self.c, "c0"), (self.d, "lan")):
            for family, dst in (("-4", "10.61.1.0/24"), ("-6", "fd61:1::/64")):
                rc, _ = sh(["ip", "-n", ns, family, "route", "show", dst, "dev", i])
                sh(["ip", "-n", ns, family, "route", "replace", dst, "dev", i, "congctl", name])

    def kernel_dp_off(self):
        for i in ("lan", "srv"):
            sh(["ip", "-n", self.d, "addr", "flush", "dev", i])
            sh(["sysctl", "-qw", "net.ipv6.conf.%s.disable_ipv6=1" % i], ns=self.d)
        self.offloads("off")

    def offloads(self, state):
        for ns, i in ((self.c, "c0"), (self.s, "s0"), (self.d, "lan"), (self.d, "srv")):
            sh(["ethtool", "-K", i, "tx", state, "rx", state, "tso", state, "gso", state, "gro",
                state], ns=ns)

    def file(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.file(name), "w") as f:
            f.write(text)
        return self.file(name)

    def start(self, cmd, ns=None, log=None, env=None, cwd=None):
        p = Proc(cmd, ns=ns, log=log, env=env, cwd=cwd)
        self.procs.append(p)
        return p

    # ---- the daemon ----

    def devices(self, pmd):
        """The port sections' devices for a kind of device."""
        if pmd == "af_xdp":
            return ("net_af_xdp0,iface=lan", "net_af_xdp1,iface=srv")
        if pmd == "af_packet":
            return ("net_af_packet0,iface=lan", "net_af_packet1,iface=srv")
        raise ValueError(pmd)

    def sluice_head(self, pmd, nbthread=1, extra=""):
        lan, srv = self.devices(pmd)
        return """global
    nbthread %d
    dpdk-eal "--file-prefix=%s"
%s
port lan
    device %s
    address %s/24
    address %s/64
port srv
    device %s
    address 10.61.2.10/24
    address fd61:2::10/64
""" % (nbthread, self.prefix, extra, lan, VIP4, VIP6, srv)

    def anyones(self):
        """The program where any user may run it: a checkout may be in a folder that is root's alone."""
        path = self.file("sluice-of-all")
        if not os.path.exists(path):
            shutil.copy(os.path.join(BUILD, "sluice"), path)
        return path

    def sluice(self, cfg, args=(), ready=True, env=None):
        """Starts the daemon in the middle; cfg is the whole text."""
        f = self.write("sluice.cfg", cfg)
        p = self.start([os.path.join(BUILD, "sluice"), "-f", f, *args], ns=self.d,
                       log=self.file("sluice.log"), env=env)
        if ready:
            try:
                wait_for("sluice ready", lambda: " ready" in p.log() or not p.alive(), 20)
            except Failure as e:
                raise Failure("%s\n%s" % (e, p.log()[-3000:])) from None
            check(p.alive(), "sluice ended at start:\n" + p.log()[-3000:])
        return p

    def telemetry(self, path):
        """One request on DPDK's telemetry socket of our instance."""
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with s:
            s.settimeout(5 * SLOW)
            s.connect("/var/run/dpdk/%s/dpdk_telemetry.v2" % self.prefix)
            s.recv(4096)
            s.send(path.encode())
            reply = json.loads(s.recv(1 << 20).decode())
        return reply[path.split(",")[0]]

    def stat(self, name):
        """Sum over workers of one counter of /sluice/workers."""
        w = self.telemetry("/sluice/workers")
        return sum(int(x.get(name, 0)) for x in (w.values() if isinstance(w, dict) else w)
                   if isinstance(x, dict))

    def stop_sluice(self, p, limit=10.0):
        """Stops it, and sees that nothing is left; the log. How soon it ends by itself: failures.term."""
        t = time.monotonic()
        rc = p.stop(timeout=limit * SLOW + 1)
        took = time.monotonic() - t
        check(rc in (0, 143), "sluice ended with %d:\n%s" % (rc, p.log()[-3000:]))
        check(took <= limit * SLOW, "stopping took %.2f s" % took)
        text = p.log()
        # a script's runtime error is no report: UBSan's begins with file:line:column
        check("AddressSanitizer" not in text and "LeakSanitizer" not in text and
              not re.search(r":\d+:\d+: runtime error:", text), "sanitizer report:\n" + text[-4000:])
        self.left_behind()
        return text

    def left_behind(self):
        """Nothing of the daemon may survive it."""
        check(not os.path.exists("/var/run/dpdk/" + self.prefix), "EAL's run-time folder is left")
        check(not glob.glob("/dev/hugepages/%s*" % self.prefix), "hugepage files are left")
        _, out = sh(["ip", "-n", self.d, "-d", "link"], ok=False)
        check("xdp" not in re.sub(r"xdpgeneric off", "", out), "an XDP program is left:\n" + out)

    # ---- backends ----

    def nginx(self, names, root=None, ns=None):
        """One nginx in ns s, a server per (name, port), listening on both families."""
        root = root or self.dir
        servers = ""
        for name, port in names:
            servers += """
    server {
        listen %d backlog=4096; listen [::]:%d backlog=4096;
        location = /name { add_header x-server %s; default_type text/plain; return 200 "%s\\n"; }
        location /put/ { dav_methods PUT; client_max_body_size 0; root %s; }
        location / { add_header x-server %s; root %s; }
    }""" % (port, port, name, name, root, name, root)
        conf = self.write("nginx.conf", """daemon off; master_process off; user root;
worker_processes 1; pid %s/nginx.pid; error_log %s/nginx-error.log;
events { worker_connections 4096; }
http {
    access_log off; keepalive_requests 1000000000; client_body_temp_path %s/body;
    proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;
    sendfile on;%s
}
""" % ((self.dir,) * 7 + (servers,)))
        p = self.start(["nginx", "-c", conf, "-e", self.file("nginx-start.log")], ns=ns or self.s,
                       log=self.file("nginx.log"))
        for _, port in names:
            self.wait_port(ns or self.s, "127.0.0.1", port)
        return p

    def wait_port(self, ns, host, port):
        wait_for("port %d" % port, lambda: ("LISTEN" in sh(
            ["ss", "-Hltn", "sport", "=", ":%d" % port], ns=ns)[1]), 10)

    def curl(self, *args, ok=True, timeout=30):
        return sh(["curl", "-sS", "-m", str(timeout * SLOW), *args], ns=self.c, ok=ok,
                  timeout=timeout * SLOW + 5)

    def wrk(self, url, seconds=5, conns=64, threads=1, extra=()):
        """Returns {'requests', 'rate', 'bad' (socket errors), 'non2xx'}."""
        # an answer that is late is none of its errors: of 2 s, as it has it, a machine may be away
        _, out = sh(["wrk", "-t%d" % threads, "-c%d" % conns, "-d%ds" % seconds, "--timeout", "10s", *extra, url],
                    ns=self.c, timeout=seconds + 30)
        return parse_wrk(out)

    def close(self):
        for p in self.procs:
            p.kill()
        for ns in (self.c, self.d, self.s):
            _, pids = sh(["ip", "netns", "pids", ns], ok=False)
            for pid in pids.split():
                if pid.isdigit():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            sh(["ip", "netns", "del", ns], ok=False)
        shutil.rmtree(self.dir, ignore_errors=True)
        for second in ("", "f"):  # an instance beside the first
            shutil.rmtree("/var/run/dpdk/" + self.prefix + second, ignore_errors=True)


def parse_wrk(out):
    r = {"text": out, "bad": 0, "non2xx": 0}
    m = re.search(r"(\d+) requests in", out)
    r["requests"] = int(m.group(1)) if m else 0
    m = re.search(r"Requests/sec:\s+([\d.]+)", out)
    r["rate"] = float(m.group(1)) if m else 0.0
    m = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    if m:
        r["bad"] = sum(int(x) for x in m.groups())
    m = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if m:
        r["non2xx"] = int(m.group(1))
    return r


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            h.update(block)
    return h.hexdigest()


def random_file(path, size, seed=1):
    """Reproducible bytes without structure: SHA-256 in counter mode."""
    with open(path, "wb") as f:
        n = 0
        while n < size:
            block = b"".join(hashlib.sha256(b"%d-%d" % (seed, n + i)).digest()
                             for i in range(0, 1 << 16, 32))
            # the rest of the megabyte repeats the block, xored by position: cheap, not periodic
            for k in range(16):
                if n >= size:
                    break
                piece = block[k * 64:] + block[:k * 64]
                f.write(piece[:min(len(piece), size - n)])
                n += len(piece)
    return path


def set_child_subreaper():
    """Orphans of a test come to the runner instead of init, so that nothing is lost."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def log(text):
    print("    " + text, file=sys.stderr, flush=True)
