# SPDX-License-Identifier: BSD-3-Clause
"""Sockets of scripts: against LuaSocket row by row, Redis with Debian's library, failures, TLS, names."""
import contextlib
import os
import re
import socket
import ssl
import struct
import threading
import time

import lib
from lib import ASAN, SLOW, SRV4, VIP4, check, sh, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "lua", "examples")
CONF = """
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
frontend web
    bind %s:80
""" % VIP4
ACTION = "    http-request lua.%s%s\n    http-request return status 200\n"


# ---- a peer, on a thread of its own in a namespace ----

class Peer:
    """Answers each connection by serve(conn) in a thread; the socket lies in namespace ns."""

    def __init__(self, ns, addr, serve, tls=None):
        self.serve, self.tls, self.conns = serve, tls, 0
        self.sock = in_ns(ns, lambda: listen(addr))
        self.port = self.sock.getsockname()[1]
        self.stopped = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            self.conns += 1
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        with contextlib.suppress(OSError, ssl.SSLError):
            with c:
                c.settimeout(20 * SLOW)
                if self.tls:
                    c = self.tls.wrap_socket(c, server_side=True)
                self.serve(c)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def listen(addr):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(addr)
    s.listen(512)
    return s


def in_ns(ns, fn):
    """fn() on a thread that is in the namespace: sockets stay where they were made."""
    out = []

    def go():
        with open("/run/netns/" + ns) as f:
            os.setns(f.fileno(), os.CLONE_NEWNET)
        out.append(fn())

    t = threading.Thread(target=go)
    t.start()
    t.join()
    return out[0]


if not hasattr(os, "setns"):  # Python before 3.12
    import ctypes
    os.CLONE_NEWNET = 0x40000000
    _libc = ctypes.CDLL(None, use_errno=True)

    def _setns(fd, kind):
        if _libc.setns(fd, kind) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    os.setns = _setns


def play(c):
    """The parts of socket_rows.lua."""
    f = c.makefile("rb", buffering=0)
    part = b""
    while not part.endswith(b"\n"):
        b = f.read(1)
        if not b:
            return
        part += b
    part = part.strip().decode()
    if part == "echo":
        while True:
            b = c.recv(65536)
            if not b:
                return
            c.sendall(b)
    if part == "lines":
        for b in (b"on", b"e\r\n\r\n", b"t\rw\r\ro\n", b"\n", b"three\r", b"\n", b"x" * 20000,
                  b"\r\n", b"last\r"):
            c.sendall(b)
            time.sleep(0.01)
    elif part == "bytes":
        for i in range(10):
            c.sendall(bytes([65 + i]) * 3000)
            time.sleep(0.005)
    elif part == "short":
        c.sendall(b"abc")
    elif part == "reset":
        c.sendall(b"ab")
        time.sleep(0.2)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif part == "swallow":
        n = 0
        while True:
            b = c.recv(65536)
            if not b:
                break
            n += len(b)
        c.sendall(b"%d" % n)
    elif part == "stuck":
        time.sleep(20)


# ---- helpers ----

def script(net, name, text, how="lua-load"):
    return "    %s %s\n" % (how, net.write(name, text))


def start(net, extra, rules, pmd="af_xdp"):
    return net.sluice(net.sluice_head(pmd, 1, extra) + CONF + rules)


def get(net, path="/"):
    """(status, seconds) of a request that is to be answered whatever the script does."""
    _, out = net.curl("-o", "/dev/null", "-w", "%{http_code} %{time_total}",
                      "http://%s%s" % (VIP4, path))
    code, took = out.split()
    return int(code), float(took)


def result(net, name):
    """What a script has written to its file, once the last line is 'end'."""
    path = net.file(name)
    wait_for("the script's results", lambda: os.path.exists(path) and
             open(path).read().endswith("end\n"), 30)
    return open(path).read().splitlines()[:-1]


RUNNER = """
local rows = dofile("%s")
core.register_action("rows", { "http-req" }, function(txn)
	local f = io.open("%s", "w")
	local ok, err = pcall(rows, core.tcp, "%s", %d, function(line) f:write(line, "\\n") end)
	f:write(ok and "" or "error: " .. tostring(err) .. "\\n", "end\\n")
	f:close()
end)
"""


def compare(net, ns, addr):
    """The same rows under LuaSocket in the peer's namespace and under sluice."""
    peer = Peer(ns, (addr, 0), play)
    rows = os.path.join(HERE, "socket_rows.lua")
    _, want = sh(["lua5.3", "-e", """
local socket = require("socket")
dofile("%s")(socket.tcp, "%s", %d, print)""" % (rows, addr, peer.port)], ns=ns, timeout=60 * SLOW)
    p = start(net, script(net, "rows.lua", RUNNER % (rows, net.file("out"), addr, peer.port)),
              ACTION % ("rows", " deadline 60s"))
    code, _ = get(net)
    check(code == 200, "the request got %d\n%s" % (code, p.log()[-2000:]))
    got = result(net, "out")
    want = want.splitlines()
    peer.close()
    for i in range(max(len(got), len(want))):
        a, b = (x[i] if i < len(x) else "(nothing)" for x in (want, got))
        if not same(a, b, ns == net.d):
            raise lib.Failure("row %d:\nLuaSocket: %s\nsluice:    %s\nbefore:\n%s"
                              % (i, a, b, "\n".join(got[max(0, i - 4):i])))
    check(len(want) > 100, "only %d rows" % len(want))
    net.stop_sluice(p)


def same(a, b, kernel):
    # our own TCP has no descriptor and no options; the way to the address differs
    if not kernel and a.split(" ")[0] in ("opt", "linger", "name", "reset"):
        return True
    return a == b


def test_rows(net):
    """Every result of a kernel socket is LuaSocket's."""
    compare(net, net.d, "127.0.0.1")


def test_rows_stack(net):
    """The same over our own TCP, to a peer behind a port."""
    compare(net, net.s, SRV4)


# ---- Redis ----

def redis(net, port=6379):
    p = net.start(["redis-server", "--port", str(port), "--save", "", "--appendonly", "no",
                   "--unixsocket", net.file("redis.sock")], ns=net.d, log=net.file("redis.log"))
    net.wait_port(net.d, "127.0.0.1", port)
    return p


def ask_redis(net, *cmd):
    return sh(["redis-cli", *cmd], ns=net.d)[1].strip()


def test_accounting(net, name, how, conns):
    """The example: exactly one incrby a request, and as many connections as it says."""
    redis(net)
    p = start(net, "    %s %s\n" % (how, os.path.abspath(os.path.join(EXAMPLES, name))),
              "    http-request lua.redis-accounting\n    http-request redirect location /ok\n")
    before = int(re.search(r"total_connections_received:(\d+)",
                           ask_redis(net, "info", "stats")).group(1))
    for k in ([], ["-k"]):
        _, out = sh(["ab", "-q", "-n", "1000", "-c", "32", *k, "http://%s/x" % VIP4], ns=net.c,
                    timeout=60 * SLOW)
        check(re.search(r"Complete requests:\s+1000\b", out) and
              re.search(r"Failed requests:\s+0\b", out), out)
    check(ask_redis(net, "get", "10.61.1.1") == "2000", "not 2000 in Redis")
    after = int(re.search(r"total_connections_received:(\d+)",
                          ask_redis(net, "info", "stats")).group(1))
    made = after - before - 2  # ours
    check(conns[0] <= made <= conns[1], "%d connections" % made)
    net.stop_sluice(p)


test_accounting.cases = [
    {"name": "redis_accounting.lua", "how": "lua-load", "conns": (2000, 2000)},
    {"name": "redis_accounting_pool.lua", "how": "lua-load", "conns": (1, 64)},
    {"name": "redis_accounting_kept.lua", "how": "lua-load-per-thread", "conns": (1, 64)},
]

LIBRARY = """
package.path = package.path .. ";/usr/share/lua/5.3/?.lua"
local redis = require("redis")
local function client(address, port)
	local tcp = core.tcp()
	assert(tcp:connect(address, port))
	return redis.connect({ socket = tcp })
end
core.register_action("rows", { "http-req" }, function(txn)
	local f = io.open("%(out)s", "w")
	local function row(...) f:write(table.concat({...}, " "), "\\n") end
	local ok, err = pcall(function()
		local c, d = client("127.0.0.1", 6379), client("unix@%(dir)s/redis.sock")
		row("ping", tostring(c:ping()), tostring(d:ping()))
		local replies, n = c:pipeline(function(p)
			-- with Lua 5.3 the library takes only commands whose reply it converts
			for i = 1, 50 do p:setnx("k" .. i, ("v"):rep(i * 1000)) end
			for i = 1, 50 do p:exists("k" .. i) end
		end)
		row("pipeline", n, #replies, tostring(replies[100]), #c:get("k50"))
		local r, n = c:transaction({ watch = "k1", cas = true, retry = 2 }, function(t)
			local v = t:get("k1")
			t:multi()
			t:set("k1", #v)
			t:incrby("k1", 5)
		end)
		row("transaction", n, tostring(r[2]), c:get("k1"))
		local e, m = client("127.0.0.1", 6379), client("127.0.0.1", 6379)
		for msg, abort in e:pubsub({ subscribe = { "one", "two" } }) do
			if msg.kind:sub(1, 2) ~= "un" then
				row(msg.kind, msg.channel, msg.payload)
			end
			if msg.kind == "subscribe" and msg.channel == "two" then
				d:publish("one", "hello")
				d:publish("two", "bye")
			elseif msg.kind == "message" and msg.channel == "two" then
				abort()
			end
		end
		for msg, abort in m:monitor_messages() do
			if msg.command:upper() == "SET" then
				row("monitor", msg.command, msg.arguments)
				break
			end
		end
		row("quit", tostring(d:quit()))
		row("after", tostring(pcall(d.ping, d)))
	end)
	f:write(ok and "" or "error: " .. tostring(err) .. "\\n", "end\\n")
	f:close()
end)
"""


def test_library(net):
    """subscribe, monitor, transaction, pipelines and quit of the unmodified lua-redis."""
    redis(net)
    p = start(net, script(net, "rows.lua", LIBRARY % {"out": net.file("out"), "dir": net.dir}),
              ACTION % ("rows", ""))
    done = threading.Event()

    def seen():  # for monitor
        while not done.wait(0.2):
            ask_redis(net, "set", "seen", "1")

    t = threading.Thread(target=seen)
    t.start()
    try:
        get(net)
        rows = result(net, "out")
    finally:
        done.set()
        t.join()
    net.stop_sluice(p)
    check(rows == ["ping true true", "pipeline 100 100 true 50000", "transaction 2 1005 1005",
                   "subscribe one 1", "subscribe two 2", "message one hello", "message two bye",
                   'monitor set "seen" "1"',
                   "quit true", "after false"], "\n".join(rows))


# ---- failures ----

CALLER = """
core.register_action("ask", { "http-req" }, function(txn)
	local tcp = core.tcp()
	if tcp:connect("127.0.0.1", %d) == nil then
		error("cannot connect")
	end
	tcp:send("INCR x\\r\\n")
	local line = tcp:receive("*l")
	if line == nil then
		error("no answer")
	end
end)
"""
FAIL_AT = 0.4  # s; the deadline


def stall(c):
    for b in b":1234567890123456789012345678901234567890":
        c.sendall(bytes([b]))
        time.sleep(0.1)
    time.sleep(5)


def half(c):
    c.recv(100)
    c.sendall(b":12")


def silent(c):
    time.sleep(10 * FAIL_AT)


def slow(c):
    c.recv(100)
    time.sleep(FAIL_AT / 4)
    c.sendall(b":1\r\n")


def answer(c):
    c.recv(100)
    c.sendall(b":1\r\n")


def lua(net):
    return net.telemetry("/sluice/lua")["0"]


ABANDON = """
core.register_action("stick", { "http-req" }, function(txn)
	local idle, a, b = core.tcp(), core.tcp(), core.tcp()
	assert(a:connect("127.0.0.1", %(host)d))
	assert(a:send("kernel\\n"))
	assert(b:connect("%(srv)s", %(port)d))
	assert(b:send("port\\n"))
	assert(idle:connect("127.0.0.1", %(host)d))
	assert(idle:send("idle\\n"))
	assert(idle:setkeepalive(60000, 4))
	core.msleep(200)
	require("socket").sleep(8) -- in C: no hook of Lua's ends it
	a:send("late\\n")
	b:send("late\\n")
end)
core.register_action("work", { "http-req" }, function(txn)
	local s = core.tcp()
	assert(s:connect("127.0.0.1", %(host)d))
	assert(s:send("work\\n"))
	txn:set_var("txn.ok", 1)
end)
"""


def test_abandoned(net):
    """Of a script thread that is stuck in C and given up the servers see the end of all connections: those it
    serves itself, idle ones, and one through a port. Its successor connects; and it may come back."""
    seen, ended = [], {}

    def until_end(c):
        name = c.makefile().readline().strip()
        seen.append(name)
        with contextlib.suppress(ConnectionResetError):
            while c.recv(100):
                name += "+"
        ended[name] = time.monotonic()

    host = Peer(net.d, ("127.0.0.1", 0), until_end)
    port = Peer(net.s, (SRV4, 0), until_end)
    text = ABANDON % {"host": host.port, "port": port.port, "srv": SRV4}
    p = start(net, script(net, "stick.lua", text) + "    tune.lua.stuck-timeout 500ms\n",
              "    http-request lua.stick deadline 20s on-error status 502 on-overload status 504 if { path /stick }\n"
              "    http-request lua.work on-error status 502 if { path /work }\n"
              "    http-request return status 200\n")
    begun = time.monotonic()
    code, _ = get(net, "/stick")
    check(code in (502, 504), code)
    until = begun + 7 * SLOW
    while len(ended) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    check(sorted(ended) == ["idle", "kernel", "port"],
          "begun %s, ended %r\n%s" % (seen, ended, p.log()[-2000:]))
    # long before it comes back; how long after the loss depends on the machine
    check(max(ended.values()) - begun < 7, repr(ended))
    check("is abandoned" in p.log(), p.log()[-2000:])
    check(get(net, "/work")[0] == 200, p.log()[-2000:])
    wait_for("the work's end", lambda: "work" in ended, 10)
    time.sleep(max(0.0, begun + 9.5 - time.monotonic()))  # it has come back
    check(get(net, "/work")[0] == 200, p.log()[-2000:])
    wait_for("all sockets to be freed", lambda: net.telemetry("/sluice/sockets")["open"] == 0, 15)
    check(not [n for n in ended if "+" in n], repr(ended))
    host.close()
    port.close()
    net.stop_sluice(p)


def nothing_left(net, daemon, fds):
    """Descriptors, sockets, calls: all given back."""
    wait_for("calls to end", lambda: lua(net)["running"] == 0, 10)
    wait_for("descriptors to be closed",
             lambda: len(os.listdir("/proc/%d/fd" % daemon)) <= fds, 10)
    wait_for("sockets to be freed", lambda: net.telemetry("/sluice/sockets")["open"] == 0, 10)


def daemon_pid(p):
    return int(sh(["pgrep", "-P", str(p.pid)])[1].split()[0])


def worker_away(pid):
    """Milliseconds for which the worker wanted a CPU and had none, so far: others had it, or the host."""
    ms = 0.0
    for t in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/comm" % (pid, t)) as f:
            if not f.read().startswith("rte-worker"):
                continue
        with open("/proc/%d/task/%s/schedstat" % (pid, t)) as f:
            ms += int(f.read().split()[1]) / 1e6
    with open("/proc/stat") as f:
        ms += int(f.readline().split()[8]) * 1000 / os.sysconf("SC_CLK_TCK")
    return ms


def records(p):
    """(ms, status) of each request; ab also makes a connection that it does not use, which is a 400."""
    return [(int(ms), int(code)) for ms, code in re.findall(r"took (\d+) (?!400)(\d+)", p.log())]


def test_failing(net, how):
    """Every request has its policy's answer, at its deadline or before; nothing is left."""
    serve = {"stall": stall, "half": half, "silent": silent, "slow": slow}.get(how)
    peer = Peer(net.d, ("127.0.0.1", 0), serve) if serve else None
    port = peer.port if peer else 1
    if how == "backlog":  # connections stand, nobody accepts
        s = in_ns(net.d, lambda: listen(("127.0.0.1", 0)))
        port = s.getsockname()[1]
    if how == "down":  # nobody answers its SYN
        sh(["nft", "table inet down { chain in { type filter hook input priority 0; tcp dport %d drop; }; }" % port],
           ns=net.d)
    want = {"refused": 502, "half": 502, "slow": 200}.get(how, 504)
    # where the script's own end decides, the deadline is far away
    ms = int((FAIL_AT if want == 504 else 20 * SLOW) * 1000)
    p = start(net, script(net, "ask.lua", CALLER % port) + "    log stdout format raw local0\n",
              '    log global\n    log-format "took %Ta %ST"\n' +
              ACTION % ("ask", " deadline %dms on-error status 502 on-overload status 504" % ms))
    pid = daemon_pid(p)
    fds = len(os.listdir("/proc/%d/fd" % pid))
    n, allow = 0, 0.0
    for _ in range(5):
        # By the daemon's own clock, as a client may get its answer late on a loaded machine; and of what
        # is late there, the kernel knows how long the worker was kept from its CPU meanwhile.
        away, n = worker_away(pid), n + 4
        sh(["ab", "-q", "-n", "4", "-c", "4", "http://%s/" % VIP4], ns=net.c)
        wait_for("records", lambda n=n: len(records(p)) == n)
        away = worker_away(pid) - away
        allow = max(allow, away)
        took = records(p)[-4:]
        check(all(code == want for _, code in took), "%s: %s" % (how, took))
        check(how != "slow" or all(t >= FAIL_AT * 250 for t, _ in took), "slow: %s" % took)
        check(all(t < ms if want != 504 else ms - 1 <= t <= ms + 20 * SLOW + away for t, _ in took),
              "%s: deadline %d, the worker was away for %.1f ms: %s" % (how, ms, away, took))
    # and half of them even so: the worker may be kept from its CPU at times, but not when each is due
    half_of = sorted(t for t, _ in records(p))[n // 2]
    check(half_of < ms if want != 504 else half_of <= ms + 20, "%s: %s" % (how, records(p)))
    fn = {k: int(v) for k, v in net.telemetry("/sluice/lua")["a_ask"].items() if k != "name"}
    late = [fn[k] for k in ("late_2ms", "late_20ms", "later")]
    check(sum(late) == fn["overloads"] == (n if want == 504 else 0), repr(fn))
    check(late[2] == 0 or allow > 15 or ASAN, "away for %.1f ms at most: %r" % (allow, fn))
    nothing_left(net, pid, fds)
    net.stop_sluice(p)


test_failing.cases = [{"how": h} for h in ("refused", "half", "silent", "stall", "backlog", "down", "slow")]

LEAK = """
local n = 0
core.register_action("ask", { "http-req" }, function(txn)
	n = n + 1
	local tcp = core.tcp()
	tcp:settimeout(0.02)
	if n %% 10 == 4 then -- nothing comes, and the call ends before the socket's time is up
		tcp:settimeout(1)
		tcp:connect("127.0.0.1", %d)
		tcp:receive("*l")
	end
	if tcp:connect("127.0.0.1", n %% 5 == 0 and 1 or n %% 5 == 2 and %d or 6379) == nil then
		return
	end
	if n %% 5 == 1 then
		error("on the way")
	end
	tcp:send("INCR x\\r\\n")
	tcp:receive(n %% 5 == 2 and 1000 or "*l")
	if n %% 5 == 3 then
		tcp:setkeepalive(50, 8)
	end
end)
"""


def test_leak(net, calls):
    """Calls that end in every way leave no descriptor, slot, socket or memory."""
    redis(net)  # is quick; every fifth call has a peer that closes in the middle of what is wanted
    peer = Peer(net.d, ("127.0.0.1", 0), answer)
    quiet = Peer(net.d, ("127.0.0.1", 0), silent)
    p = start(net, script(net, "ask.lua", LEAK % (quiet.port, peer.port)),
              ACTION % ("ask", " deadline 200ms on-overload continue"))
    pid = daemon_pid(p)
    fds = len(os.listdir("/proc/%d/fd" % pid))

    def run(n):
        _, out = sh(["ab", "-q", "-k", "-r", "-n", str(n), "-c", "64", "http://%s/" % VIP4],
                    ns=net.c, timeout=600 * SLOW)
        check(re.search(r"Complete requests:\s+%d\b" % n, out), out)

    def rss():
        with open("/proc/%d/status" % pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    run(calls // 5)  # what is allocated once
    nothing_left(net, pid, fds)
    before = rss()
    run(calls)
    nothing_left(net, pid, fds)
    # AddressSanitizer keeps what was freed, up to 256 MB; it has its own word about leaks at the end
    check(rss() - before < 4096 * (80 if SLOW > 1 else 1), "grew by %d kB" % (rss() - before))
    fn = net.telemetry("/sluice/lua")["a_ask"]
    check(sum(int(fn[k]) for k in ("late_2ms", "late_20ms", "later")) > calls // 20, "given up: %s" % fn)
    st = net.telemetry("/sluice/sockets")
    check(st["opened"] > calls // 2 and st["failed"] > calls // 10, str(st))
    net.stop_sluice(p)


test_leak.cases = [{"calls": 10000}]


def test_leak_long(net):
    """The same with 10^5 calls."""
    test_leak(net, 100000)


test_leak_long.long = True

# The request is given up while a kept connection waits for its answer.
KEPT = """
local tcp = core.tcp()
core.register_action("ask", { "http-req" }, function(txn)
	local ok, err = tcp:connect("127.0.0.1", %d)
	assert(ok or err == "already connected", err)
	tcp:send(txn.sf:path() .. "\\n")
	txn.http:req_set_header("x", tcp:receive() or "nothing")
end)
"""


def echo_slow(c):
    f = c.makefile("rb")
    for line in f:
        if b"slow" in line:
            time.sleep(10 * FAIL_AT)
        c.sendall(line)


def test_kept_is_closed(net):
    """A kept connection does not hand the answer of a call that was given up to the next one."""
    peer = Peer(net.d, ("127.0.0.1", 0), echo_slow)
    p = start(net, script(net, "ask.lua", KEPT % peer.port),
              "    http-request lua.ask deadline 400ms on-overload status 504 if { path /slow }\n"
              "    http-request lua.ask deadline 20s unless { path /slow }\n"
              "    http-request return status 200 hdr x %[req.hdr(x)]\n")
    for path, code in (("/a", 200), ("/b", 200), ("/slow", 504), ("/c", 200), ("/d", 200)):
        _, out = net.curl("-i", "http://%s%s" % (VIP4, path))
        check(" %d " % code in out.split("\r\n")[0], "%s: %s" % (path, out))
        check(code != 200 or "x: %s\r\n" % path in out, "%s has another's answer: %s" % (path, out))
    check(peer.conns == 2, "%d connections" % peer.conns)
    net.stop_sluice(p)


SAID = """
core.register_action("ask", { "http-req" }, function(txn)
	local tcp = core.tcp()
	tcp:connect("127.0.0.1", %d)
	tcp:send("go\\n")
	local f = io.open("%s") -- a FIFO: until the peer opens it
	txn.http:req_set_header("x", f:read("l"))
	f:close()
	tcp:close()
end)
"""


def test_said_before_it_blocks(net):
    """What a script says is on its way before a function that holds its thread, which may wait for the answer."""
    path = net.file("fifo")

    def serve(c):
        line = c.makefile("rb").readline()
        with open(path, "wb") as f:
            f.write(b"heard " + line)

    os.mkfifo(path)
    peer = Peer(net.d, ("127.0.0.1", 0), serve)
    p = start(net, script(net, "ask.lua", SAID % (peer.port, path)),
              "    http-request lua.ask deadline 10s on-overload status 504\n"
              "    http-request return status 200 hdr x %[req.hdr(x)]\n")
    _, out = net.curl("-i", "http://%s/" % VIP4)
    check("x: heard go\r\n" in out, out)
    net.stop_sluice(p)


# ---- TLS, names, bounds ----

TLS = """
core.register_action("rows", { "http-req" }, function(txn)
	local f = io.open("%(out)s", "w")
	local function try(what, ...)
		local tcp = core.tcp()
		tcp:settimeout(5)
		local ok, err = tcp:connect_ssl(...)
		local line = ok and tcp:send("ping\\n") and tcp:receive() or nil
		local all = line and tcp:receive("*a")
		f:write(what, " ", tostring(ok and 1), " ", tostring(err), " ", tostring(line), " ",
			all and #all or "-", "\\n")
	end
	local ca = "%(dir)s/ca.pem"
	try("good", "localhost", %(port)d, { ca = ca })
	try("sni", "127.0.0.1", %(port)d, { ca = ca, sni = "localhost" })
	try("system", "localhost", %(port)d)
	try("name", "127.0.0.1", %(port)d, { ca = ca })
	try("other", "127.0.0.1", %(port)d, { ca = ca, sni = "other" })
	try("none", "127.0.0.1", %(port)d, { verify = false })
	try("no ca", "localhost", %(port)d, { ca = "/nonexistent" })
	try("plain", "localhost", %(plain)d, { ca = ca })
	try("stack", "%(srv)s", %(far)d, { ca = ca, sni = "localhost" })
	f:write("end\\n")
	f:close()
end)
"""


def serve_tls(c):
    b = c.recv(100)
    name = c.context.seen[-1] if c.context.seen else None
    c.sendall(b"%s %s\n" % (b.strip(), str(name).encode()))
    c.sendall(b"z" * 100000)


def test_tls(net):
    """connect_ssl: verification, SNI, words of failures, over the kernel and over our own TCP."""
    sh(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", net.file("key.pem"),
        "-out", net.file("ca.pem"), "-days", "2", "-subj", "/CN=localhost", "-addext",
        "subjectAltName=DNS:localhost"])
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(net.file("ca.pem"), net.file("key.pem"))
    ctx.seen = []
    ctx.sni_callback = lambda s, name, c: ctx.seen.append(name)
    near = Peer(net.d, ("127.0.0.1", 0), serve_tls, ctx)
    far = Peer(net.s, (SRV4, 0), serve_tls, ctx)
    plain = Peer(net.d, ("127.0.0.1", 0), lambda c: c.sendall(b"hello\n"))
    p = start(net, script(net, "rows.lua", TLS % {
        "out": net.file("out"), "dir": net.dir, "port": near.port, "plain": plain.port,
        "far": far.port, "srv": SRV4}), ACTION % ("rows", ""))
    get(net)
    rows = result(net, "out")
    net.stop_sluice(p)
    failed = "certificate verify failed: "
    want = ["good 1 nil ping localhost 100000", "sni 1 nil ping localhost 100000",
            "system nil " + failed + "self-signed certificate nil -",
            "name nil " + failed + "IP address mismatch nil -",
            "other nil " + failed + "hostname mismatch nil -",
            "none 1 nil ping None 100000",
            "no ca nil cannot read the ca file",
            "plain nil TLS handshake: wrong version number nil -",
            "stack 1 nil ping localhost 100000"]
    for row, w in zip(rows, want):
        check(row.startswith(w), "got  %s\nwant %s" % (row, w))
    check(len(rows) == len(want), "\n".join(rows))


NAMES = """
core.register_action("rows", { "http-req" }, function(txn)
	local f = io.open("%(out)s", "w")
	local function try(what, ...)
		local tcp = core.tcp()
		tcp:settimeout(3)
		local ok, err = tcp:connect(...)
		f:write(what, " ", tostring(ok ~= nil), " ", tostring(err), "\\n")
	end
	try("hosts", "localhost", %(port)d)
	try("dns", "there.example", %(port)d)
	try("both", "two.example:%(port)d")
	try("none", "nowhere.example", %(port)d)
	try("service", "127.0.0.1", "nosuch")
	try("joined", "127.0.0.1:%(port)d")
	try("empty", "", 80)
	try("path", "/nonexistent/x")
	try("abns", "abns@sluice-test-none")
	f:write("end\\n")
	f:close()
end)
"""


def dns_server(net):
    """Knows two names; two.example has a dead address first."""
    s = in_ns(net.d, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    in_ns(net.d, lambda: s.bind(("127.0.0.1", 53)))

    def run():
        while True:
            try:
                q, a = s.recvfrom(512)
            except OSError:
                return
            name, at = [], 12
            while q[at]:
                name.append(q[at + 1:at + 1 + q[at]].decode())
                at += 1 + q[at]
            kind = struct.unpack(">H", q[at + 1:at + 3])[0]
            ips = {"there.example": ["127.0.0.1"],
                   "two.example": ["127.0.0.9", "127.0.0.1"]}.get(".".join(name))
            found = ips if kind == 1 and ips else []
            r = q[:2] + struct.pack(">HHHHH", 0x8180 if ips else 0x8183, 1, len(found), 0, 0)
            r += q[12:at + 5]
            for ip in found:
                r += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton(ip)
            s.sendto(r, a)

    threading.Thread(target=run, daemon=True).start()
    return s


def test_names(net):
    """Names through /etc/hosts and DNS while the call waits; all addresses are tried."""
    s = dns_server(net)
    peer = Peer(net.d, ("127.0.0.1", 0), answer)
    # ip netns exec puts it over /etc/resolv.conf
    conf = "/etc/netns/%s" % net.d
    os.makedirs(conf)
    try:
        with open(conf + "/resolv.conf", "w") as f:
            f.write("nameserver 127.0.0.1\n")
        p = start(net, script(net, "rows.lua", NAMES % {"out": net.file("out"),
                                                        "port": peer.port}),
                  ACTION % ("rows", ""))
        get(net)
        rows = result(net, "out")
        st = net.telemetry("/sluice/sockets")
        net.stop_sluice(p)
    finally:
        os.unlink(conf + "/resolv.conf")
        os.rmdir(conf)
        s.close()
    unknown = "host or service not provided, or not known"
    check(rows == ["hosts true nil", "dns true nil", "both true nil", "none false " + unknown,
                   "service false " + unknown, "joined true nil",
                   "empty false address is empty", "path false No such file or directory",
                   "abns false connection refused"], "\n".join(rows))
    check(st["names"] == 3 and st["bad_names"] == 1, str(st))


COMPAT = """
core.register_action("rows", { "http-req" }, function(txn)
	local f = io.open("%(out)s", "w")
	local function row(...)
		local t = table.pack(...)
		for i = 1, t.n do t[i] = tostring(t[i]) end
		f:write(t.n, " ", table.concat(t, " "), "\\n")
	end
	local tcp = core.tcp()
	tcp:settimeout(10)
	row(tcp:connect("127.0.0.1", %(port)d))
	row(tcp:getpeername())
	row(tcp:setoption("anything", true))
	row(tcp:send("x\\n"))
	row(tcp:receive("*l"))
	row(tcp:receive("*l"))
	tcp:close()
	row(tcp:send("x"))
	row(tcp:receive())
	row(core.tcp():connect("127.0.0.1", 1))
	f:write("end\\n")
	f:close()
end)
"""


def test_compat(net):
    """tune.lua.socket-compat haproxy, and haproxy itself with the same script."""
    def serve(c):
        c.recv(100)
        c.sendall(b"one\npartial")

    peer = Peer(net.d, ("127.0.0.1", 0), serve)
    text = COMPAT % {"out": net.file("out"), "port": peer.port}
    net.kernel_dp(offloads=False)
    cfg = net.write("haproxy.cfg", "global\n" + script(net, "rows.lua", text) + CONF +
                    ACTION % ("rows", ""))
    p = net.start(["haproxy", "-db", "-f", cfg], ns=net.d, log=net.file("haproxy.log"))
    net.wait_port(net.d, VIP4, 80)
    get(net)
    want = result(net, "out")
    p.stop()
    net.kernel_dp_off()
    os.unlink(net.file("out"))
    p = start(net, "    tune.lua.socket-compat haproxy\n" + script(net, "rows.lua", text),
              ACTION % ("rows", ""))
    get(net)
    got = result(net, "out")
    net.stop_sluice(p)
    check(got == want, "haproxy:\n%s\nsluice:\n%s" % ("\n".join(want), "\n".join(got)))


BOUND = """
local held = {}
core.register_action("rows", { "http-req" }, function(txn)
	local f = io.open("%(out)s", "w")
	for i = 1, 12 do
		held[i] = core.tcp()
		local ok, err = held[i]:connect("127.0.0.1", %(port)d)
		f:write(i, " ", tostring(err), "\\n")
	end
	f:write("end\\n")
	f:close()
end)
"""


def test_bound(net):
    """tune.lua.sockets: the next one is refused by name, and counted; the call's end frees them."""
    peer = Peer(net.d, ("127.0.0.1", 0), silent)
    p = start(net, "    tune.lua.sockets 10\n" + script(
        net, "rows.lua", BOUND % {"out": net.file("out"), "port": peer.port}),
        ACTION % ("rows", ""))
    for i in range(2):
        get(net)
        rows = result(net, "out")
        check(rows == ["%d nil" % i for i in range(1, 11)] +
              ["%d Too many open files" % i for i in (11, 12)], "\n".join(rows))
        os.unlink(net.file("out"))
        wait_for("sockets to be freed", lambda: net.telemetry("/sluice/sockets")["open"] == 0)
        check(net.telemetry("/sluice/sockets")["refused"] == 2 * (i + 1), "not counted")
    net.stop_sluice(p)
