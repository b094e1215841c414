# SPDX-License-Identifier: BSD-3-Clause
"""The runtime API over its sockets while traffic crosses DPDK ports, beside haproxy's answers."""
import csv
import io
import json
import os
import re
import socket
import time

from lib import ROOT, SLOW, VIP4, check, sh, wait_for

CFG = """
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind %s:80
    http-request deny content-type text/plain string no if { path /no }
    http-request return status 200 content-type text/plain string hi if { path /own }
    default_backend be
backend be
    option redispatch
    # soon where a server is not up; where it is, a check may last as long as "inter"
    server a 10.61.2.1:8081 check inter 2s fastinter 200ms downinter 200ms
    server b 10.61.2.1:8082 check inter 2s fastinter 200ms downinter 200ms weight 2
listen raw
    mode tcp
    bind %s:81
    server c 10.61.2.1:8081
""" % (VIP4, VIP4)

PAGES = os.path.join(ROOT, "tests/compat/pages")
# What goes wrong, each kind at its place.
WRONG = CFG + """
frontend wrong
    bind %s:82
    # the default ones have words of our own, and so another length
    errorfile 502 %s/unmeasured.http
    errorfile 503 %s/measured.http
    http-request redirect location /elsewhere if { path /rule }
    http-response deny if { res.hdr(x-kept) -m found }
    use_backend closed if { path /closed }
    use_backend half if { path /half }
    default_backend odd
backend closed
    retries 1
    server x 10.61.2.1:8090
backend half
    retries 1
    option redispatch
    server x 10.61.2.1:8090
    server y 10.61.2.1:8081
backend odd
    server z 10.61.2.1:8083
# Heads that never get complete.
frontend torn
    bind %s:83
    timeout http-request 1s
    timeout http-keep-alive 10s
    http-request return status 200 if { path /own }
    default_backend be
""" % (VIP4, PAGES, PAGES, VIP4)
# Answers by the path; nothing for one that it does not know.
ODD = """
import socket
answers = {b"/moved": b"HTTP/1.1 302 Found\\r\\nLocation: /x\\r\\n", b"/broken": b"HTTP/1.1 500 Broken\\r\\n",
           b"/kept": b"HTTP/1.1 200 OK\\r\\nX-Kept: 1\\r\\n", b"/garbage": b"this is not HTTP\\r\\n",
           b"/early": b"HTTP/1.1 103 Early Hints\\r\\nLink: x\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\n",
           b"/continue": 2 * b"HTTP/1.1 100 Continue\\r\\n\\r\\n" + b"HTTP/1.1 204 No Content\\r\\n"}
s = socket.create_server(("10.61.2.1", 8083), backlog=100)
while True:
    c = s.accept()[0]
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        got = c.recv(65536)
        if not got:
            break
        head += got
    path = head.split(b" ")[1] if got else b""
    if path in answers:
        c.sendall(answers[path] + b"Content-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    if path == b"/early-only":
        c.sendall(b"HTTP/1.1 103 Early Hints\\r\\nLink: x\\r\\n\\r\\n")
    c.close()
"""
# Each way to send no request, first on a connection and behind one that was answered; the status that it gets.
TORN = """
import socket, sys
whole, half = b"GET /own HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", b"GET /own HTTP/1.1\\r\\nHo"
for before in (b"", whole):
    for what in (b"", half, b"\\r\\n", b"GET / HTTP/1.1\\r\\nBad Name: x\\r\\n\\r\\n"):
        for end in ("wait", "end", "gone"):
            if before and (what == b"\\r\\n" or not what and end == "wait"):
                continue  # it may be idle for long; an empty line is no beginning of a request to sluice
            s = socket.create_connection((sys.argv[1], 83))
            s.settimeout(30)
            s.sendall(before)
            got = s.recv(65536) if before else b""
            s.sendall(what)
            if end == "end":
                s.shutdown(socket.SHUT_WR)
            rest = b"" if end == "gone" else s.makefile("rb").read()
            s.close()
            if end == "end" and not what.strip():
                continue  # HAProxy answers 400 to who has closed before he asked, sluice just closes
            print(end, (got + rest).count(b"HTTP/1.1 200 "), rest[9:12].decode() or "-")
"""


def ask(path, text, timeout=10):
    """One connection, one line, the whole answer."""
    s = socket.socket(socket.AF_UNIX)
    with s:
        s.connect(path)
        s.settimeout(timeout)
        s.sendall(text.encode() + b"\n")
        out = b""
        while True:
            b = s.recv(65536)
            if not b:
                return out.decode()
            out += b


def rows(text):
    """The rows of "show stat" by (proxy, server)."""
    lines = text.lstrip("# ").strip().split("\n")
    return {(r["pxname"], r["svname"]): r for r in csv.DictReader(io.StringIO("\n".join(lines)))}


def start(net, extra="", cfg=CFG):
    net.nginx([("a", 8081), ("b", 8082)])
    sock = net.file("cli.sock")
    g = '    stats socket "%s" mode 600 level admin\n    stats maxconn 200\n%s' % (sock, extra)
    p = net.sluice(net.sluice_head("af_xdp", extra=g) + cfg)
    return p, sock


def haproxy(net, sock, cfg):
    net.kernel_dp()
    f = net.write("haproxy.cfg", 'global\n    stats socket "%s" level admin\n%s' % (sock, cfg))
    p = net.start(["haproxy", "-db", "-f", f], ns=net.d, log=net.file("haproxy.log"))
    wait_for("haproxy's socket", lambda: os.path.exists(sock))
    return p


def traffic(net):
    for _ in range(6):
        net.curl("http://%s/name" % VIP4)
    for path, n in (("/no", 2), ("/own", 3), ("/nothing-here", 1)):
        for _ in range(n):
            net.curl("-o", "/dev/null", "http://%s%s" % (VIP4, path))
    net.curl("http://%s:81/name" % VIP4)


def wrong_traffic(net):
    """Answers by their codes: what fails does so at a client, at a rule, at a connection, at an answer."""
    got = {}
    for path, n in (("rule", 2), ("moved", 3), ("broken", 2), ("garbage", 3), ("nothing", 2), ("kept", 2), ("closed", 2),
                    ("half", 1), ("early", 2), ("continue", 1), ("early-only", 1)):
        got[path] = [net.curl("-o", "/dev/null", "-w", "%{http_code}", "http://%s:82/%s" % (VIP4, path))[1] for _ in range(n)]
    got["bad"] = [net.curl("-o", "/dev/null", "-w", "%{http_code}", "-H", "Bad Name: x", "http://%s:82/" % VIP4)[1]]
    want = {"rule": 302, "moved": 302, "broken": 500, "garbage": 502, "nothing": 502, "kept": 502, "closed": 503, "half": 404,
            "early": 200, "continue": 204, "early-only": 502, "bad": 400}
    check(all(set(v) == {str(want[k])} for k, v in got.items()), got)
    _, torn = sh(["/usr/bin/python3", "-c", TORN, VIP4], ns=net.c)
    return torn


def test_words(net):
    """Sessions, levels, several commands, unknown ones, payload, too many clients."""
    p, sock = start(net, '    stats socket "%s" level user\n' % net.file("user.sock"))
    user = net.file("user.sock")
    check(ask(sock, "show version") == "0.1.0\n\n", "show version")
    check(ask(sock, "show cli level;show cli level") == "admin\n\nadmin\n\n", "two commands")
    check(ask(sock, "user;show cli level;set weight be/a 3").endswith(
        "\nuser\n\nPermission denied\n\n"), "lowered level")
    check(ask(user, "set weight be/a 3") == "Permission denied\n\n", "user's socket")
    check(ask(user, "show env") == "Permission denied\n\n", "operator's command")
    check(ask(sock, "show servers") .startswith("Unknown command, but maybe one"), "unknown")
    check("show servers state [<backend>]" in ask(sock, "show servers"), "help of the like")
    check("set weight" not in ask(user, "help"), "help shows what is allowed")
    check(ask(sock, "get weight be/zz") == "No such server.\n\n", "no server")
    check(ask(sock, "get weight zz/a") == "No such backend.\n\n", "no backend")
    check(ask(sock, "get weight be\\/a") == "1 (initial 1)\n\n", "an escaped byte")
    check(ask(sock, "show version <<\nline\n\n") == "0.1.0\n\n", "payload")
    s = socket.socket(socket.AF_UNIX)
    with s:
        s.settimeout(10)
        s.connect(sock)
        s.sendall(b"prompt\n")
        check(s.recv(100) == b"\n> ", "prompt")
        for c in b"show version\n":
            s.sendall(bytes([c]))
        got = b""
        while not got.endswith(b"> "):
            got += s.recv(100)
        check(got == b"0.1.0\n\n> ", "byte by byte: %r" % got)
        s.sendall(b"quit\n")
        check(s.recv(100) == b"", "quit")
    out = ask(sock, "x" * 20000)
    check("Line too long" in out, "a line without end: %r" % out[:100])
    net.stop_sluice(p)
    check(not os.path.exists(sock), "the socket's file is left")


def test_never_reads(net):
    """A hundred clients that ask much and never read: others are answered, traffic goes on."""
    p, sock = start(net)
    held = []
    for _ in range(100):
        s = socket.socket(socket.AF_UNIX)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect(sock)
        s.sendall(b"prompt\n" + b"show stat\n" * 400)
        held.append(s)
    t = time.monotonic()
    for _ in range(20):
        check("FRONTEND" in ask(sock, "show stat", 10 * SLOW), "another client is answered")
    check(time.monotonic() - t < 5 * SLOW, "slowly")
    net.curl("http://%s/name" % VIP4)
    for s in held:
        s.close()
    net.stop_sluice(p)


def test_state(net):
    """Weight, drain, maintenance, address and health act on traffic at once."""
    p, sock = start(net)
    wait_for("checks passed", lambda: are_up(sock))

    def who(n=12):
        return [net.curl("http://%s/name" % VIP4)[1].strip() for _ in range(n)]

    wait_for("checks passed", lambda: rows(ask(sock, "show stat"))[("be", "a")]["status"] == "UP")
    got = who(12)
    check(got.count("b") == 8 and got.count("a") == 4, "weights 1 and 2: %s" % got)
    ask(sock, "set weight be/b 0")
    check(set(who()) == {"a"}, "weight 0 takes no requests")
    check(ask(sock, "get weight be/b") == "0 (initial 2)\n\n", "get weight")
    ask(sock, "set weight be/b 100%;disable server be/a")
    check(set(who()) == {"b"}, "maintenance")
    check(rows(ask(sock, "show stat"))[("be", "a")]["status"] == "MAINT", "MAINT")
    ask(sock, "enable server be/a;set server be/b state drain")
    check(set(who()) == {"a"}, "drain")
    check(rows(ask(sock, "show stat"))[("be", "b")]["status"] == "DRAIN", "DRAIN")
    ask(sock, "set server be/b state ready;set server be/a health down")
    check(rows(ask(sock, "show stat"))[("be", "a")]["status"] in ("DOWN", "DOWN 1/2", "UP"),
          "health down")
    wait_for("checks bring a back",
             lambda: rows(ask(sock, "show stat"))[("be", "a")]["status"] == "UP")
    out = ask(sock, "set server be/a addr 10.61.2.1 port 8082")
    check("port changed from '8081' to '8082'" in out, out)
    check(set(who()) == {"b"}, "both lead to b now")
    check("10.61.2.1 2 0" in ask(sock, "show servers state be"), "show servers state")
    check(ask(sock, "set weight be/a 300").startswith("Absolute weight can only"), "300")
    check(ask(sock, "set server be/a").startswith("usage: set server"), "usage")
    net.stop_sluice(p)


# Of these the traffic has some; what it has not would be equal in any case.
SEEN = ("stot", "req_tot", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "econ", "bin", "bout", "dreq",
        "dresp", "ereq", "eresp", "wretr", "wredis", "lbtot", "intercepted")
EQUAL = ("stot", "req_tot", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx",
         "hrsp_other", "econ", "bin", "bout", "status", "dreq", "dresp", "ereq", "eresp", "wretr",
         "wredis", "lbtot", "intercepted", "weight", "act", "bck", "type", "iid", "sid", "mode",
         "algo", "addr", "scur")


# Counters of telemetry, and the cells of CSV that say the same.
CELL = {"cum_conn": "stot", "cum_req": "req_tot", "bytes_in": "bin", "bytes_out": "bout", "denied_req": "dreq",
        "failed_req": "ereq", "intercepted": "intercepted", "failed_conn": "econ", "failed_resp": "eresp",
        "denied_res": "dresp", "retries": "wretr", "redispatches": "wredis", "lb_picks": "lbtot", "cli_aborts": "cli_abrt",
        "srv_aborts": "srv_abrt", "connects": "connect", "reuses": "reuse", "cur_conn": "scur", "rsp_other": "hrsp_other",
        **{"rsp_%dxx" % n: "hrsp_%dxx" % n for n in range(1, 6)}}


def one_truth(a, info, tele, workers):
    """Telemetry, CSV and show info give one number for one counter."""
    seen = set()
    for row in a:
        px, sv = row
        if px == "raw":  # a listen section is two rows
            continue
        sets = tele[px] if sv in ("FRONTEND", "BACKEND") else tele[px]["server_" + sv]
        for name, cell in CELL.items():
            if a[row][cell] != "":
                check(str(sets[name]) == a[row][cell], "%s/%s: %s is %s by telemetry, %s is %s by CSV" % (
                    *row, name, sets[name], cell, a[row][cell]))
                seen.add(name)
    check(seen == set(CELL), "nowhere compared: %s" % (set(CELL) - seen))
    told = dict(line.split(": ", 1) for line in info.split("\n") if ": " in line)
    fronts = [(px, r) for (px, sv), r in a.items() if sv == "FRONTEND"]
    for name, want, other in (
            # without heads that are refused, which are requests of the frontend alone
            ("CumReq", sum(int(r["req_tot"]) - int(r["ereq"]) for _, r in fronts if r["mode"] == "http"),
             sum(int(w["h1_requests"]) for w in workers.values())),
            ("CumConns", sum(int(r["stot"]) for _, r in fronts), sum(int(tele[px]["cum_conn"]) for px, _ in fronts)),
            ("CurrConns", sum(int(r["scur"]) for _, r in fronts), sum(int(tele[px]["cur_conn"]) for px, _ in fronts))):
        check(told[name] == str(want) == str(other), "%s: %s by show info, %s by CSV, %s by telemetry" % (
            name, told[name], want, other))


def are_up(path):
    return all(rows(ask(path, "show stat"))[("be", s)]["status"] == "UP" for s in "ab")


def at_rest(path):
    """The last client's end has come round, and no check is under way that failed."""
    wait_for("sessions ended", lambda: are_up(path) and
             all(r["scur"] in ("", "0") for r in rows(ask(path, "show stat")).values()))


def test_same_numbers(net):
    """Same traffic through haproxy and sluice: header and counters equal, telemetry too."""
    net.start(["/usr/bin/python3", "-c", ODD], ns=net.s, log=net.file("odd.log"))
    p, sock = start(net, cfg=WRONG)
    net.wait_port(net.s, "10.61.2.1", 8083)
    wait_for("checks passed", lambda: are_up(sock))
    traffic(net)
    torn = wrong_traffic(net)
    at_rest(sock)
    ours = ask(sock, "show stat")
    typed, js = ask(sock, "show stat typed"), ask(sock, "show stat json")
    info = ask(sock, "show info")
    tele, workers = net.telemetry("/sluice/proxies"), net.telemetry("/sluice/workers")
    net.stop_sluice(p)
    other = net.file("haproxy.sock")
    hp = haproxy(net, other, WRONG)
    wait_for("haproxy's checks", lambda: are_up(other))
    traffic(net)
    their_torn = wrong_traffic(net)
    at_rest(other)
    theirs, their_typed = ask(other, "show stat"), ask(other, "show stat typed")
    hp.stop()
    check(ours.split("\n")[0] == theirs.split("\n")[0], "the header differs")
    check(torn == their_torn, "answers to no request:\n%s\nhaproxy:\n%s" % (torn, their_torn))
    a, b = rows(ours), rows(theirs)
    check(list(a) == list(b), "rows: %s, haproxy: %s" % (list(a), list(b)))
    bad = ["%s/%s %s: %s, haproxy: %s" % (*k, f, a[k][f], b[k][f])
           for k in a for f in EQUAL if a[k][f] != b[k][f]]
    check(not bad, "\n".join(bad))
    none = [f for f in SEEN if not any(int(r[f] or 0) for r in a.values())]
    check(not none, "nowhere counted: %s" % none)
    empty = ["%s/%s %s: '%s', haproxy: '%s'" % (*k, f, a[k][f], b[k][f])
             for k in a for f in a[k] if (a[k][f] == "") != (b[k][f] == "")]
    check(not empty, "filled or empty:\n" + "\n".join(empty))
    key = re.compile(r"^([FBSL]\.\d+\.\d+\.\d+\.\w+\.1:\w+:\w+):", re.M)
    check(key.findall(typed) == key.findall(their_typed), "typed keys differ: %s" % sorted(
        set(key.findall(typed)) ^ set(key.findall(their_typed)))[:20])
    cells = {(c["objType"], c["proxyId"], c["id"], c["field"]["name"]): c["value"]["value"]
             for r in json.loads(js) for c in r}
    check(str(cells[("Frontend", 2, 0, "req_tot")]) == a[("web", "FRONTEND")]["req_tot"], "json")
    one_truth(a, info, tele, workers)
    check("\nName: " not in info[1:], "show info")


def test_clear(net):
    """clear counters all: the CSV begins anew, gauges stay."""
    p, sock = start(net)
    traffic(net)
    check(rows(ask(sock, "show stat"))[("web", "FRONTEND")]["req_tot"] == "12", "before")
    ask(sock, "clear counters all")
    check(rows(ask(sock, "show stat"))[("web", "FRONTEND")]["req_tot"] == "0", "after")
    traffic(net)
    check(rows(ask(sock, "show stat"))[("web", "FRONTEND")]["req_tot"] == "12", "again")
    net.stop_sluice(p)


def test_hatop(net):
    """hatop in a terminal: it shows the servers; F10 takes one out of service, and traffic moves."""
    p, sock = start(net)
    tmux = ["tmux", "-S", net.file("tmux.sock"), "-f", "/dev/null"]
    sh(tmux + ["new-session", "-d", "-x", "170", "-y", "40", "hatop -s %s 2>%s" % (sock, net.file("hatop.err"))],
       env=dict(os.environ, TERM="xterm"))
    try:
        def screen():
            return sh(tmux + ["capture-pane", "-p"])[1]

        def is_down():
            return rows(ask(sock, "show stat"))[("be", "a")]["status"] == "MAINT"

        wait_for("hatop's table", lambda: ">>> be" in screen() and "\na " in screen(), 20)
        for _ in range(20):
            sh(tmux + ["send-keys", "Down"])
            sh(tmux + ["send-keys", "F10"])
            time.sleep(0.5)  # it draws and asks on its own clock
            if is_down():
                break
        check(is_down(), "server a was not disabled:\n" + screen())
        check({net.curl("http://%s/name" % VIP4)[1] for _ in range(6)} == {"b\n"}, "traffic did not move")
        wait_for("hatop shows it", lambda: "MAINT" in screen(), 20)
        sh(tmux + ["send-keys", "F9"])
        wait_for("enabled again", lambda: not is_down(), 20)
    finally:
        sh(tmux + ["kill-server"], ok=False)
    net.stop_sluice(p)


test_hatop.long = True
