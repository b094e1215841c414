# SPDX-License-Identifier: BSD-3-Clause
"""Records of traffic over ports while nobody takes them: what was asked is delivered or counted."""
import contextlib
import fcntl
import os
import select
import socket
import threading

from lib import BUILD, VIP4, check, wait_for
from test_cli import ask

CFG = """
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind %s:80
    log %%s local0
    log %%s format raw local0
    log stdout format raw local0
    option dontlognull
    capture request header X-Mark len 10
    log-format "R %%%%ST %%%%HM %%%%HU %%%%hr %%%%[src]"
    default_backend be
backend be
    server a 10.61.2.1:8081
""" % VIP4
TARGETS = "    log %s local0\n    log %s format raw local0\n    log stdout format raw local0\n"
LINE = b"R 200 GET /name?"
URL = "http://%s/name?%s" % (VIP4, "x" * 500)  # lines of a length that fills what holds them soon


class Target:
    """A syslog daemon on a path; one that is stopped takes nothing, as its socket is never read."""

    def __init__(self, path, stopped=False):
        self.path, self.n, self.last, self.stopped = path, 0, b"", stopped
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.settimeout(0.2)
        self.end = False
        self.thread = threading.Thread(target=self.read, daemon=True)
        if not stopped:
            self.thread.start()

    def read(self):
        while True:
            try:
                data = self.sock.recv(65536)
            except socket.timeout:
                if self.end:
                    return
                continue
            if LINE in data:
                self.n += 1
                self.last = data

    def finish(self):
        self.end = True
        if self.stopped:
            self.read()  # what its socket held
        else:
            self.thread.join()

    def close(self):
        self.end = True
        if not self.stopped:
            self.thread.join()
        self.sock.close()


class Pipe:
    """What reads the daemon's stdout, until it stalls."""

    def __init__(self, path):
        os.mkfifo(path)
        self.fd, self.text = os.open(path, os.O_RDONLY | os.O_NONBLOCK), b""
        self.other = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # it has no end, and can be asked whether it has room
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 16384)
        self.go_on()

    def take(self, timeout_ms):
        while self.is_readable(timeout_ms):
            self.text += os.read(self.fd, 65536)

    def is_readable(self, timeout_ms):
        p = select.poll()
        p.register(self.fd, select.POLLIN)
        return p.poll(timeout_ms)

    def is_full(self):
        p = select.poll()
        p.register(self.other, select.POLLOUT)
        return not p.poll(0)

    def read(self):
        while not self.stalled.is_set():
            self.take(50)

    def go_on(self):
        self.stalled = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def stall(self):
        self.stalled.set()
        self.thread.join()

    def lines(self):
        return self.text.count(LINE)

    def finish(self):
        """When the daemon has ended: until then it writes what has waited."""
        self.stall()
        self.take(0)

    def close(self):
        self.stall()
        os.close(self.fd)
        os.close(self.other)


def test_stalled_targets(net):
    """A stopped syslog daemon, a full pipe for stdout, clients of the API that never read: every record is delivered or
    counted."""
    with contextlib.ExitStack() as at_end:  # a failure leaves no thread that polls, and no socket
        stalled_targets(net, at_end)


def stalled_targets(net, at_end):
    stuck = at_end.enter_context(contextlib.closing(Target(net.file("stuck.sock"), True)))
    good = at_end.enter_context(contextlib.closing(Target(net.file("good.sock"))))
    pipe = at_end.enter_context(contextlib.closing(Pipe(net.file("stdout"))))
    api = net.file("cli.sock")
    net.nginx([("a", 8081)])
    f = net.write("sluice.cfg", net.sluice_head("af_packet", extra='    stats socket "%s" level admin\n'
                                                "    stats maxconn 200\n" % api) + CFG % (stuck.path, good.path))
    p = net.start(["sh", "-c", 'exec "$0" -f "$1" >"$2"', os.path.join(BUILD, "sluice"), f, net.file("stdout")], ns=net.d,
                  log=net.file("sluice.log"))
    wait_for("sluice ready", lambda: " ready" in p.log() or not p.alive(), 20)
    told = lambda: sum(int(net.telemetry("/sluice/info")[k]) for k in ("log_lines", "log_lost_sink"))  # noqa: E731
    none = told()
    net.curl(URL)  # the interfaces have just changed hands: the first may take seconds
    wait_for("the first record told of", lambda: good.n == pipe.lines() == 1 and told() == none + 3)
    before = net.telemetry("/sluice/info")
    quiet = net.wrk(URL, seconds=2, conns=32, extra=("-H", "X-Mark: m"))
    pipe.stall()
    held = []
    for _ in range(50):
        s = at_end.enter_context(socket.socket(socket.AF_UNIX))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect(api)
        s.sendall(b"prompt\n" + b"show stat\n" * 400)
        held.append(s)
    end = threading.Event()

    def look():
        while not end.is_set():
            ask(api, "show stat", timeout=30)

    looks = threading.Thread(target=look, daemon=True)
    looks.start()
    at_end.callback(looks.join)
    at_end.callback(end.set)
    r = net.wrk(URL, seconds=3, conns=32, extra=("-H", "X-Mark: m"))
    end.set()
    looks.join()
    check(r["bad"] == 0 and r["non2xx"] == 0, "traffic suffered: %s" % r["text"])
    check(pipe.is_full(), "the pipe has room")

    def count():
        now = net.telemetry("/sluice/info")
        return [int(now[k]) - int(before[k]) for k in ("log_lines", "log_lost_sink")]

    def wait_told():
        wait_for("records collected", lambda: "0x" not in ask(api, "show sess"))
        wait_for("every record told of", lambda: sum(count()) >= 3 * (net.stat("log_records") - 1))

    wait_told()
    pipe.go_on()
    for s in held:
        s.close()
    # what the machine gives changes from one second to the next: before and behind
    later = net.wrk(URL, seconds=2, conns=32, extra=("-H", "X-Mark: m"))
    # tests/bench/stalled_compare measures; this sees that nobody waits
    rates = [x["rate"] for x in (quiet, r, later)]
    check(rates[1] > 0.5 * min(rates[0], rates[2]), "requests/s: %.0f before, %.0f stalled, %.0f behind" % tuple(rates))
    wait_told()
    lines, lost = count()
    asked, made, dropped = (net.stat(k) for k in ("h1_requests", "log_records", "log_dropped"))
    stuck.finish()
    good.finish()
    net.stop_sluice(p)
    pipe.finish()
    check(asked >= r["requests"] > 500, "requests: %d, wrk says %d" % (asked, r["requests"]))
    check(asked == made + dropped, "%d requests, %d records and %d dropped" % (asked, made, dropped))
    made -= 1  # the first one
    check(lines + lost == 3 * made, "%d records to 3 targets, %d lines and %d lost" % (made, lines, lost))
    check(stuck.n < made and pipe.lines() < made, "a stopped target took everything")
    check(stuck.n + good.n + pipe.lines() - 3 == lines, "%d, %d and %d delivered of %d lines" % (
        stuck.n, good.n, pipe.lines(), lines))
    check(b"{m} 10.61.1.1" in good.last, "the last line: %r" % good.last)


def test_sessions(net):
    """show sess over ports: TCP states of both connections; shutdown session ends one of them."""
    api = net.file("cli.sock")
    net.start(["python3", "-c", "import socket,time\ns=socket.socket()\ns.setsockopt(1,2,1)\n"
               "s.bind(('10.61.2.1',8081))\ns.listen(9)\nc=[s.accept() for _ in range(2)]\ntime.sleep(600)"],
              ns=net.s, log=net.file("mute.log"))
    net.wait_port(net.s, "10.61.2.1", 8081)
    p = net.sluice(net.sluice_head("af_packet", nbthread=2, extra='    stats socket "%s" level admin\n' % api) +
                   CFG.replace(TARGETS, "").replace("5s", "60s") +
                   "listen t\n    mode tcp\n    bind %s:81\n    server a 10.61.2.1:8081\n" % VIP4)
    curl = net.start(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://%s/x?y" % VIP4], ns=net.c,
                     log=net.file("curl.log"))
    net.start(["python3", "-c", "import socket,time\ns=socket.create_connection(('%s',81))\n"
               "s.sendall(b'x')\ns.recv(1)" % VIP4], ns=net.c, log=net.file("tcp.log"))

    def lines():
        return [x for x in ask(api, "show sess").split("\n") if x.startswith("0x")]

    wait_for("both in flight", lambda: len([x for x in lines() if "tcpb=ESTABLISHED" in x]) == 2)
    http = next(x for x in lines() if " fe=web " in x)
    check("proto=tcpv4 src=10.61.1.1:" in http and " be=be srv=a " in http and "phase=WAIT_RES" in http and
          "tcpf=ESTABLISHED tcpb=ESTABLISHED" in http, http)
    raw = next(x for x in lines() if " fe=t " in x)
    check(" be=t srv=a " in raw and "phase=TUNNEL" in raw, raw)
    one = ask(api, "show sess " + http.split(":")[0])
    check('txn="GET /x?y HTTP/1.1"' in one and "scf=tcp state=ESTABLISHED local=%s:80" % VIP4 in one and
          "remote=10.61.2.1:8081" in one, one)
    check(ask(api, "shutdown session " + http.split(":")[0]) == "\n", "shutdown session")
    check(ask(api, "shutdown session " + http.split(":")[0]).startswith("No such session"), "twice")
    check(curl.wait(10) == 0 and curl.log() == "502", "curl: %s" % curl.log())
    check(ask(api, "shutdown sessions server t/a") == "\n", "shutdown sessions server")
    wait_for("nothing in flight", lambda: not lines())
    net.stop_sluice(p)


def test_errors(net):
    """show errors over ports, of the worker that saw it."""
    api = net.file("cli.sock")
    p = net.sluice(net.sluice_head("af_packet", nbthread=2, extra='    stats socket "%s" level admin\n' % api) +
                   CFG.replace(TARGETS, ""))
    for _ in range(3):
        net.curl("-o", "/dev/null", "-H", "Bad Name: x", "http://%s/" % VIP4)
    out = ask(api, "show errors")
    check(" : 3\n" in out and out.count("invalid request") == 1, out)
    check("src 10.61.1.1:" in out and "Bad Name: x\\r\\n" in out, out)
    check("invalid" not in ask(api, "show errors web response"), "no response was invalid")
    net.stop_sluice(p)
    check(not os.path.exists(api), "the socket's file is left")


LOGS = """global
    stats socket %(api)s level admin
    log-tag tag-%(name)s
ring r
    format local
    size %(size)d
    timeout connect 1s
    timeout server 10s
    server s unix@%(dir)s/tcp log-proto octet-count
defaults
    mode tcp
    timeout connect 1s
    timeout client 1h
    timeout server 1h
listen web
    bind unix@%(dir)s/web
    log %(dir)s/%(name)s.log local0
    log ring@r local0
    log-format "R %%s %(name)s"
    server a unix@%(dir)s/srv
"""


def listen(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(50)
    s.settimeout(20)
    return s


class Collector:
    """A syslog daemon on streams, with counted octets; what the daemon says of itself is left out."""

    def __init__(self, path):
        self.sock, self.con, self.rest = listen(path), None, b""

    def lines(self, n):
        """The next n records; over the connection that is there, or the next one."""
        if self.con is None:
            self.con = self.sock.accept()[0]
            self.con.settimeout(20)
        out = []
        while len(out) < n:
            head, found, text = self.rest.partition(b" ")
            if found and len(text) >= int(head):
                line = text[:int(head)].decode()
                self.rest = text[int(head):]
                out += [line] if ": R a " in line else []
                continue
            got = self.con.recv(65536)
            check(got, "the connection to the collector has ended")
            self.rest += got
        return out

    def close(self):
        self.con.close()
        self.sock.close()
        self.con, self.rest = None, b""


def test_reloaded(net):
    """Targets change by reload: what an older generation writes goes where it said, rings keep their lines."""
    where = net.file("")
    api = net.file("api")
    tcp, srv = Collector(net.file("tcp")), listen(net.file("srv"))
    dgram = {}
    for name in ("old", "new"):
        dgram[name] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        dgram[name].bind(net.file(name + ".log"))
        dgram[name].settimeout(20)

    def conf(name, size=20000):
        return LOGS % {"api": api, "dir": where.rstrip("/"), "name": name, "size": size}

    def reload(name, size):
        net.write("sluice.cfg", conf(name, size))
        out = ask(api, "reload")
        check(out.startswith("Success=1"), out)

    def record(name):
        """The next record at a target: its tag and text."""
        while True:
            text = dgram[name].recv(4096).decode()
            if ": R a " in text:
                return text.split()[4].split("[")[0] + " " + text.split(": ")[1].strip()

    def connect():
        s = socket.socket(socket.AF_UNIX)
        s.connect(net.file("web"))
        return s, srv.accept()[0]

    def once():
        for s in connect():
            s.close()

    def tails(n):
        return [x.split("]: ")[1] for x in tcp.lines(n)]

    p = net.sluice(conf("old"))
    held = connect()
    once()
    check(record("old") == "tag-old R a old", "the first record")
    with socket.socket(socket.AF_UNIX) as watch:
        watch.settimeout(20)
        watch.connect(api)
        watch.sendall(b"prompt\nshow events r -nw\n")
        check(watch.recv(100) == b"\n> ", "no prompt")
        reload("new", 40000)
        once()
        check(record("new") == "tag-new R a new", "a record of the new generation")
        check(tails(2) == ["R a old", "R a new"], "records of two generations in the ring")
        for s in held:
            s.close()
        check(record("old") == "tag-old R a old", "a record of the old generation")
        check(tails(1) == ["R a old"], "its line in the ring")
        seen = b""
        while b"R a old" not in seen:
            seen += watch.recv(4096)
        check(b"R a new" in seen and b"> " not in seen, "seen as they came: %r" % seen)
        watch.sendall(b"\n")
        wait_for("its prompt", lambda: watch.recv(100).endswith(b"\n> "))
    # the collector goes away: what it did not get comes with the next one, to the line
    tcp.close()
    for _ in range(5):
        once()
    os.unlink(net.file("tcp"))
    tcp = Collector(net.file("tcp"))
    check(tails(5) == ["R a new"] * 5, "lines over a new connection")
    check(ask(api, "show events r").count("R a ") == 8, "lines in the ring")
    check("    r          : type=buffer, 0 dropped, r\n" in ask(api, "show events"), "the ring's row")
    # a descriptor that was not there at start may be anything by now; what fails changes nothing
    net.write("sluice.cfg", conf("old").replace("    log ring@r", "    log fd@2 local0\n    log ring@r"))
    out = ask(api, "reload")
    check("'log fd@2' was not there at start" in out and out.startswith("Success=0"), out)
    once()
    check(record("new") == "tag-new R a new", "a record behind a refused reload")
    net.stop_sluice(p)
