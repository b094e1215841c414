# SPDX-License-Identifier: BSD-3-Clause
"""Requests across DPDK ports: ping, HTTP, both families, both devices, one and two workers."""
import os
import re

from lib import FULL, SRV4, SRV6, VIP4, VIP6, check, random_file, sh, sha256, wait_for
from test_cli import ask

PMDS = ("af_xdp", "af_packet")
EACH = [{"pmd": p, "nbthread": n} for p in PMDS for n in (1, 2)]


def queues(case):
    return {"queues": case.get("nbthread", 1)}


BODY = """
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend web
    bind %s:80
    bind [%s]:80
    use_backend six if { path_beg /six/ }
    default_backend four
backend four
    server b1 %s:8001
    server b2 %s:8002
backend six
    http-request set-header x-six 1
    server b6 [%s]:8001
""" % (VIP4, VIP6, SRV4, SRV4, SRV6)


def start(net, pmd, nbthread, body=BODY, extra=""):
    net.nginx([("b1", 8001), ("b2", 8002)])
    return net.sluice(net.sluice_head(pmd, nbthread, extra) + body)


def test_ping(net, pmd, nbthread):
    p = net.sluice(net.sluice_head(pmd, nbthread) + BODY)
    for target, name in ((VIP4, "IcmpInEchoReps"), (VIP6, "Icmp6InEchoReplies")):
        # the kernel counts them: ping itself waits for the last one as short as the others took
        replies = lambda: int(sh(["nstat", "-asz", name], ns=net.c)[1].split(name)[1].split()[0])  # noqa: E731, B023
        before = replies()
        sh(["ping", "-q", "-c", "20", "-i", "0.02", "-W", "2", target], ns=net.c, ok=False)
        wait_for("20 replies of %s" % target, lambda: replies() - before == 20)  # noqa: B023
    check(net.stat("echo_in") >= 40, "echo_in counts %d" % net.stat("echo_in"))
    net.stop_sluice(p)


test_ping.cases = EACH
test_ping.net = queues


def test_http(net, pmd, nbthread):
    """Both families and mixed, both servers, the answer byte for byte."""
    p = start(net, pmd, nbthread)
    seen = set()
    for host in (VIP4, "[%s]" % VIP6):
        for path in ("/name", "/name", "/six/../name"):
            _, out = net.curl("--path-as-is", "-i", "http://%s%s" % (host, path))
            check(out.startswith("HTTP/1.1 200 OK\r\n"), out)
            m = re.search(r"x-server: (\S+)", out)
            check(m and out.endswith("\r\n\r\n%s\n" % m.group(1)), out)
            seen.add(m.group(1))
    check(seen == {"b1", "b2"}, "servers seen: %s" % seen)
    check(net.stat("h1_requests") == 6, "h1_requests is %d" % net.stat("h1_requests"))
    net.stop_sluice(p)


test_http.cases = EACH
test_http.net = queues


def test_wrk(net, pmd, nbthread):
    """64 connections: no socket error, no answer but 2xx; every worker serves."""
    p = start(net, pmd, nbthread)
    r = net.wrk("http://%s/name" % VIP4, seconds=4)
    check(r["requests"] > 1000 and r["bad"] == 0 and r["non2xx"] == 0, r["text"])
    w = net.telemetry("/sluice/workers")
    served = [int(x["h1_requests"]) for x in w.values() if isinstance(x, dict)]
    check(len(served) == nbthread and all(n > 0 for n in served), "served: %s" % served)
    net.stop_sluice(p)


test_wrk.cases = EACH
test_wrk.net = queues


def test_wrk_close(net, pmd, nbthread):
    """A new connection for each request, on both sides."""
    p = start(net, pmd, nbthread, BODY.replace("mode http", "mode http\n    option httpclose"))
    r = net.wrk("http://%s/name" % VIP4, seconds=3, extra=["-H", "Connection: close"])
    check(r["requests"] > 200 and r["bad"] == 0 and r["non2xx"] == 0, r["text"])
    net.stop_sluice(p)


test_wrk_close.cases = [x for x in EACH if x != {"pmd": "af_packet", "nbthread": 2}]
test_wrk_close.net = queues


def transfer(net, url, path_in_server, upload):
    size = os.path.getsize(net.file("big"))
    limit = 120
    out = net.file("got")
    net.curl("-o", out, url + "/big", timeout=limit)
    check(sha256(out) == sha256(net.file("big")), "download of %d bytes differs" % size)
    os.unlink(out)
    if upload:
        os.makedirs(net.file("put"), exist_ok=True)
        os.chmod(net.file("put"), 0o777)
        net.curl("-f", "-H", "Expect:", "-T", net.file("big"), url + "/put/" + path_in_server,
                 timeout=limit)
        got = net.file("put/" + path_in_server)
        check(sha256(got) == sha256(net.file("big")), "upload of %d bytes differs" % size)
        os.unlink(got)


ONE = BODY.replace("    server b2 %s:8002\n" % SRV4, "")


def test_transfer(net, pmd, nbthread, family):
    """100 MB down and up, exact (10 under the sanitizers without --long)."""
    random_file(net.file("big"), (100 if FULL else 10) << 20)
    p = start(net, pmd, nbthread, ONE)
    transfer(net, "http://" + (VIP4 if family == 4 else "[%s]" % VIP6), "up%d" % family, True)
    net.stop_sluice(p)


test_transfer.cases = [dict(x, family=f) for x in EACH for f in (4, 6)]
test_transfer.net = queues


def test_transfer_tcp(net, pmd, nbthread):
    """mode tcp: both directions, half-closed by the client."""
    random_file(net.file("big"), 20 << 20)
    p = start(net, pmd, nbthread, ONE.replace("mode http", "mode tcp").replace(
        "    use_backend six if { path_beg /six/ }\n", "").replace(
            "    http-request set-header x-six 1\n", ""))
    transfer(net, "http://" + VIP4, "tcp", True)
    net.stop_sluice(p)


test_transfer_tcp.cases = EACH
test_transfer_tcp.net = queues


def test_chunked(net, nbthread):
    """A body without length in either direction."""
    random_file(net.file("big"), 3 << 20)
    p = start(net, "af_xdp", nbthread, ONE)
    os.makedirs(net.file("put"), exist_ok=True)
    os.chmod(net.file("put"), 0o777)
    sh(["sh", "-c", "cat %s | curl -sS -f -m 60 -H 'Transfer-Encoding: chunked' -H 'Expect:' "
        "-T - http://%s/put/chunked" % (net.file("big"), VIP4)], ns=net.c)
    check(sha256(net.file("put/chunked")) == sha256(net.file("big")), "chunked upload differs")
    net.stop_sluice(p)


test_chunked.cases = [{"nbthread": n} for n in (1, 2)]
test_chunked.net = queues


def test_impaired(net, nbthread, family):
    """1 % loss, 10 ms, 5 % reordered: 20 MB each way, exact; the box and our counters agree."""
    random_file(net.file("big"), 20 << 20)
    p = start(net, "af_xdp", nbthread, ONE)
    transfer(net, "http://" + (VIP4 if family == 4 else "[%s]" % VIP6), "imp", True)
    retrans, ooo = net.stat("tcp_retrans"), net.stat("tcp_ooo")
    check(retrans > 0 and ooo > 0, "retransmitted %d, out of order %d" % (retrans, ooo))
    net.impair.stop()
    lost = [int(x) for x in re.findall(r" lost=(\d+)", net.impair.log())]
    moved = [int(x) for x in re.findall(r" reordered=(\d+)", net.impair.log())]
    check(len(lost) == 2 and min(lost) > 0 and min(moved) > 0, net.impair.log())
    net.stop_sluice(p)


test_impaired.cases = [{"nbthread": n, "family": f} for n in (1, 2) for f in (4, 6)]
test_impaired.net = lambda case: dict(queues(case), impair=["-s", "7", "-l", "1", "-d", "10", "-r", "5"])


def test_lua(net, nbthread):
    """An action on a script thread decides, sees headers and sets one."""
    net.nginx([("b1", 8001), ("b2", 8002)])
    lua = net.write("p.lua", """
core.register_action("gate", { "http-req" }, function(txn, word)
    if txn.sf:path() == "/forbidden" then
        txn:set_var("txn.deny", 1)
    end
    txn.http:req_set_header("x-gate", word .. "/" .. txn.sf:req_fhdr("host"))
end, 1)
""")
    body = BODY.replace("    use_backend six", """    http-request lua.gate w0rd
    http-request deny deny_status 403 if { var(txn.deny) -m found }
    http-request return status 200 content-type text/plain lf-string %[req.hdr(x-gate)] if { path /echo }
    use_backend six""")
    p = net.sluice(net.sluice_head("af_xdp", nbthread, "    lua-load %s\n" % lua) + body)
    _, out = net.curl("-i", "-H", "Host: h.example", "http://%s/echo" % VIP4)
    check(out.startswith("HTTP/1.1 200") and out.endswith("w0rd/h.example"), out)
    _, out = net.curl("-i", "http://%s/forbidden" % VIP4)
    check(out.startswith("HTTP/1.1 403"), out)
    r = net.wrk("http://%s/name" % VIP4, seconds=3)
    check(r["requests"] > 500 and r["bad"] == 0 and r["non2xx"] == 0, r["text"])
    check(net.stat("lua_calls") >= r["requests"], "lua_calls %d" % net.stat("lua_calls"))
    wait_for("all Lua answers applied", lambda: net.stat("lua_calls") ==
             net.stat("lua_replies") + net.stat("lua_late"))
    net.stop_sluice(p)


test_lua.cases = [{"nbthread": n} for n in (1, 2)]
test_lua.net = queues


def test_lua_told(net):
    """What went wrong in scripts is told: an error's line in the log has the script's place, a traceback and
    the request's id, which the client got too; requests that were decided for want of time are counted for
    their function, in telemetry and by command."""
    lua = net.write("told.lua", """
local function inner(txn)
    error("for " .. txn.sf:path())
end
core.register_action("fail", { "http-req" }, function(txn) inner(txn) end)
core.register_action("slow", { "http-req" }, function(txn) core.msleep(10000) end)
""")
    cli = net.file("cli")
    p = net.sluice(net.sluice_head("af_packet", 1, "    lua-load %s\n    stats socket %s level admin\n"
                                   "    log stderr format raw local0\n" % (lua, cli)) + """
defaults
    mode http
    log global
    timeout client 10s
frontend web
    bind %s:80
    unique-id-format "%%ci-%%cp-%%rt"
    http-request lua.fail on-error continue if { path_beg /fail }
    http-request lua.slow deadline 50ms on-overload status 429 if { path /slow }
    http-request return status 200 hdr x-id "%%[unique-id]"
""" % VIP4)
    ids = []
    for i in range(3):
        _, out = net.curl("-i", "http://%s/fail%d" % (VIP4, i))
        ids.append(re.search(r"x-id: (\S+)", out, re.I).group(1))
    check(len(set(ids)) == 3, repr(ids))
    for i, name in enumerate(ids):
        line = (r"Lua function 'fail': \[state-id 0\] runtime error: \S*told.lua:3: for /fail%d from .*told.lua:3: in "
                r"(upvalue|local|function) 'inner', \S*told.lua:5: in .*\(request of 10\.\S+:\d+, id %s\)\n"
                % (i, re.escape(name)))
        wait_for("the line of " + name, lambda line=line: re.search(line, p.log()), 5)
    for i in range(4):
        _, out = net.curl("-i", "http://%s/slow" % VIP4)
        check(out.startswith("HTTP/1.1 429"), out)
    told = net.telemetry("/sluice/lua")
    check(int(told["a_slow"]["overloads"]) == 4 and int(told["a_slow"]["waits"]) == 0, repr(told))
    check(int(told["a_fail"]["overloads"]) == 0 and int(told["a_fail"]["errors"]) == 3, repr(told))
    head, *rows = ask(cli, "show lua").split("# function kind ")[1].strip().split("\n")
    rows = {r.split()[0]: dict(zip(head.split(), r.split()[2:])) for r in rows}
    check(rows["slow"]["overloads"] == "4" and rows["fail"]["errors"] == "3", repr(rows))
    check(p.stop() in (0, 143), p.log()[-2000:])  # it says "runtime error", as sanitizers do


def test_proc_vars(net):
    """A variable of the process is the same for both workers, for the states of both script threads and for
    the runtime API, whoever wrote it last, and never a mixture of two values."""
    lua = net.write("v.lua", """
core.register_action("put", { "http-req" }, function(txn)
    txn:set_var("proc.v", txn.f:url_param("v"))
end)
core.register_fetches("get", function(txn)
    return core.thread .. "=" .. txn:get_var("proc.v") .. "=" .. core.get_var("proc.v")
end)
""")
    cli = net.file("cli")
    head = ("    script-threads 2\n    set-var proc.v str(start)\n    lua-load-per-thread %s\n"
            "    stats socket %s level admin\n" % (lua, cli))
    p = net.sluice(net.sluice_head("af_packet", 2, head) + """
defaults
    mode http
    timeout client 10s
frontend web
    bind %s:80
    http-request set-var(proc.v) url_param(v) if { path /rule }
    http-request lua.put if { path /lua }
    http-request return status 200 content-type text/plain lf-string "%%[lua.get] %%[var(proc.v)]\\n"
""" % VIP4)

    def seen(want):
        urls = ["http://%s/get?n=%d" % (VIP4, i) for i in range(24)]
        _, out = net.curl("-H", "Connection: close", *urls)
        lines = set(out.split("\n")) - {""}
        check(lines == {"%d=%s=%s %s" % (t, want, want, want) for t in (1, 2)}, out)
        out = ask(cli, "get var proc.v")
        check(out.strip() == "proc.v: type=str value=<%s>" % want, out)

    seen("start")
    net.curl("http://%s/rule?v=by-rule" % VIP4)
    seen("by-rule")
    net.curl("http://%s/lua?v=by-lua" % VIP4)
    seen("by-lua")
    ask(cli, "experimental-mode on; set var proc.v str(by-command)")
    seen("by-command")
    both = [w["h1_requests"] for w in net.telemetry("/sluice/workers").values()]
    check(min(both) > 0, "requests of the workers: %r" % both)
    # Two long values, written by turns through rules and scripts while all read.
    script = net.write("turns.lua", """
local words = { ("a"):rep(900), ("b"):rep(901) }
local n, bad = 0, 0
request = function()
    n = n + 1
    return wrk.format("GET", (n % 3 == 0 and "/rule" or n % 3 == 1 and "/lua" or "/get") .. "?v=" .. words[n % 2 + 1])
end
response = function(status, headers, body)
    for v in body:gsub("^%d+=", ""):gmatch("[^%s=]+") do
        if v ~= words[1] and v ~= words[2] and v ~= "by-command" then bad = bad + 1 end
    end
    if bad > 0 then print("MIXED " .. body) wrk.thread:stop() end
end
""")
    r = net.wrk("http://%s/" % VIP4, seconds=3, conns=16, extra=("-s", script))
    check("MIXED" not in r["text"] and r["requests"] > 100 and r["bad"] + r["non2xx"] == 0, r["text"][:3000])
    net.stop_sluice(p)


test_proc_vars.net = {"queues": 2}


def test_small_writes(net, nbthread):
    """A server that sends head and body apart must not wait for a delayed acknowledgement."""
    server = net.write("two.py", """
import socket, sys, threading
s = socket.create_server(("", 8001), backlog=64)
def serve(c):
    buf = b""
    while True:
        d = c.recv(4096)
        if not d:
            return
        buf += d
        while b"\\r\\n\\r\\n" in buf:
            buf = buf.split(b"\\r\\n\\r\\n", 1)[1]
            c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\n")
            c.sendall(b"01234")
            c.sendall(b"56789")
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
""")
    net.start(["/usr/bin/python3", server], ns=net.s)
    net.wait_port(net.s, "0.0.0.0", 8001)
    p = net.sluice(net.sluice_head("af_xdp", nbthread) + ONE)
    n = 50
    _, out = net.curl("-o", "/dev/null", "-w", "%{http_code} %{time_total}\\n",
                      "http://%s/[1-%d]" % (VIP4, n))
    rows = [x.split() for x in out.split("\n") if x]
    check(len(rows) == n and all(r[0] == "200" for r in rows), out[:500])
    slow = [float(r[1]) for r in rows if float(r[1]) > 0.035]
    check(len(slow) < n // 2, "%d of %d answers took 35 ms or more" % (len(slow), n))
    net.stop_sluice(p)


test_small_writes.cases = [{"nbthread": n} for n in (1, 2)]
test_small_writes.net = queues
