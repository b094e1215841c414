# SPDX-License-Identifier: BSD-3-Clause
"""The rows of tests/compat/lua under Debian's haproxy and under sluice: the same scripts, the same
configuration, the same requests, and the answers compared row by row.

A row that differs on purpose stands in DIFFERS with what sluice answers and why.
"""
import glob
import json
import os
import re

import surface
from lib import ROOT, SRV4, VIP4, check, log, sh, wait_for

DIR = os.path.join(ROOT, "tests/compat/lua")

BODY = """
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend f
    bind %(vip)s:80
    http-request set-var(txn.path) path
    http-request set-var(proc.named) int(1) if FALSE
%(fe)s
    http-request lua.row-A if { path_beg /A/ }
    http-request lua.row-D if { path_beg /D/ }
    http-request set-var(txn.out) lua.row-F if { path_beg /F/ }
    http-request set-var(txn.out) lua.row-X if { path_beg /X/ }
    http-request set-var(txn.out) path,lua.row-C if { path_beg /C/ }
    http-request set-var(txn.out) lua.stored if { path_beg /B/ /I/ /T/ }
    http-response lua.row-E if { var(txn.path) -m beg /E/ }
    http-response lua.row-R if { var(txn.path) -m beg /R/ }
    http-response set-header x-out %%[var(txn.out)] if { var(txn.out) -m found }
    http-response set-header x-word yes if { str(gamma) -f %(dir)s/words.acl }
    default_backend echo
backend echo
    server s %(srv)s:8001
%(more)s
"""


PEER = SRV4 + ":8002"
GLOBAL = """
    set-var proc.text str("a b")
    set-var proc.sum int(200),add(2)
    set-var-fmt proc.format "%[var(proc.text)] is %[var(proc.sum)]"
"""


def config():
    fe = ("    tcp-request inspect-delay 5s\n    tcp-request content lua.row-Q if { path_beg /Q/ }\n"
          "    http-request use-service lua.row-V if { path_beg /V/ }\n"
          "    http-request use-service lua.row-v if { path_beg /v/ }\n")
    more = "    tcp-response content lua.row-S if { var(txn.path) -m beg /S/ }\n"
    for letter, port in (("W", 81), ("w", 82)):
        more += ("frontend t%s\n    mode tcp\n    bind %s:%d\n    tcp-request inspect-delay 5s\n"
                 "    tcp-request content use-service lua.row-%s\n" % (letter, VIP4, port, letter))
    for letter, port in (("K", 83), ("k", 84)):
        more += ("frontend t%s\n    mode tcp\n    bind %s:%d\n    tcp-request inspect-delay 5s\n"
                 "    tcp-request content lua.row-%s\n    default_backend bytes\n"
                 % (letter, VIP4, port, letter))
    for letter, port in (("L", 85), ("l", 86)):
        more += ("listen t%s\n    mode tcp\n    bind %s:%d\n    tcp-response inspect-delay 5s\n"
                 "    tcp-response content lua.row-%s\n    server s %s:8002\n" % (letter, VIP4, port, letter, SRV4))
    more += "backend bytes\n    mode tcp\n    server s %s:8002\n" % SRV4
    return BODY % {"vip": VIP4, "srv": SRV4, "fe": fe, "more": more, "dir": DIR}


def loads():
    first = [os.path.join(DIR, f) for f in ("driver.lua", "cover.lua")]
    files = first + sorted(f for f in glob.glob(DIR + "/*.lua") if f not in first)
    return GLOBAL + "".join("    lua-load %s\n" % f for f in files), files


def ask(net, requests):
    """[[port, bytes as latin-1 text]] -> answers, in the namespace of the client."""
    code, out = sh(["python3", os.path.join(DIR, "client.py"), VIP4], ns=net.c,
                   stdin=json.dumps(requests).encode(), timeout=300)
    return json.loads(out)


# Frontends of mode tcp.
PORTS = {"W": 81, "w": 82, "K": 83, "k": 84, "L": 85, "l": 86}

# What a proxy adds by itself, or what holds a date.
IGNORE = ("date:", "server:", "connection:", "keep-alive:", "transfer-encoding:")


def unchunked(body):
    """The payload; how a proxy cuts it into chunks is its own matter. One that is cut off says so."""
    out = ""
    while True:
        size, end, rest = body.partition("\r\n")
        try:
            n = int(size, 16)
        except ValueError:
            return out + "<cut off>"
        if n == 0:
            return out
        out += rest[:n]
        if not end or rest[n:n + 2] != "\r\n":
            return out + "<cut off>"
        body = rest[n + 2:]


def normal(text):
    """Head without what is not the script's; both parts as one text."""
    head, _, body = text.partition("\r\n\r\n")
    if "transfer-encoding: chunked" in head.lower():
        body = unchunked(body)
    lines = head.split("\r\n")
    fields = sorted(x for x in ("%s:%s" % (n.lower(), v.rstrip()) for n, _, v in
                                (l.partition(":") for l in lines[1:])) if not x.startswith(IGNORE))
    return re.sub("0x[0-9a-f]+", "0x…", "\n".join([lines[0]] + fields + ["", body]))


def get(letter, name):
    return [80, "GET /%s/%s HTTP/1.1\r\nhost: www.example.com\r\nx-one: 1\r\nx-One: 2, 3\r\n"
            "cookie: a=b; c=d\r\nconnection: close\r\n\r\n" % (letter, name)]


def answers(net):
    keys, requests = [], []
    with open(net.file("rows")) as f:
        items = f.read().split()
    for item in items:
        name, where = item.split(":")
        for letter in where:
            if name == "cover":
                continue
            keys.append(letter + "/" + name)
            if letter in PORTS:
                requests.append([PORTS[letter], name + "\n" + ("some\nbytes" if letter in "kl" else "")])
            else:
                requests.append(get(letter, name))
    return dict(zip(keys, [re.sub("0x[0-9a-f]+", "0x…", a) if k[0] in PORTS else normal(a)
                           for k, a in zip(keys, ask(net, requests))]))


def under_haproxy(net, prelude):
    net.kernel_dp(offloads=False)
    f = net.write("haproxy.cfg", "global\n" + prelude + config())
    p = net.start(["haproxy", "-db", "-f", f], ns=net.d, log=net.file("haproxy.log"),
                  env={"ROWS_LIST": net.file("rows"), "ROWS_PEER": PEER})
    net.wait_port(net.d, VIP4, 80)
    r = answers(net)
    p.stop()
    net.kernel_dp_off()
    return r


def under_sluice(net, prelude):
    p = net.sluice(net.sluice_head("af_packet", 1, prelude) + config(),
                   env={"ROWS_LIST": net.file("rows"), "ROWS_PEER": PEER})
    r = answers(net)
    # not stop_sluice(): scripts that fail on purpose say "runtime error", as sanitizers do
    check(p.stop() in (0, 143) and "Sanitizer" not in p.log(), p.log()[-3000:])
    net.left_behind()
    return r


def coverage(net, prelude):
    """{(class, member): (letters of rows in which it gave a value, and in which it raised)}"""
    path = net.file("cover")
    native = net.file("cover_native.so")
    sh(["cc", "-shared", "-fPIC", "-I/usr/include/lua5.3", "-o", native,
        os.path.join(DIR, "cover_native.c")])
    prelude = "    lua-prepend-path %s/?.so cpath\n%s" % (os.path.dirname(native), prelude)
    p = net.sluice(net.sluice_head("af_packet", 1, prelude) + config(),
                   env={"ROWS_LIST": net.file("rows"), "ROWS_PEER": PEER, "ROWS_COVER": path})
    got = answers(net)
    ask(net, [get("A", "cover")])
    p.stop()
    # not just "ok" anywhere: there is a cookie, too
    bad = ["%s: %s" % (k, v) for k, v in sorted(got.items())
           if "/own-" in k and re.search(r"(?m)^(x-out: )?ok\b", v) is None]
    check(not bad, "\n".join(bad))
    with open(path) as f:
        return {tuple(l.split()[:2]): tuple(l.split()[2:]) for l in f}


def test_surface(net):
    """Every function and constant of the API has rows of its value in each context that allows it, and of
    the error in one that does not (tests/compat/lua/surface.txt)."""
    net.start(["python3", os.path.join(DIR, "echo.py"), SRV4, "8001"], ns=net.s)
    net.wait_port(net.s, SRV4, 8001)
    have = coverage(net, loads()[0])
    bad = surface.holes(have)
    log("%d members of the surface" % len(have))
    check(not bad, "%d holes:\n%s" % (len(bad), "\n".join(bad)))


def differences(want, got):
    """The lines that only one has."""
    w, g = want.split("\n"), got.split("\n")
    return "\n".join(["  haproxy: " + x for x in w if x not in g] +
                     ["  sluice:  " + x for x in g if x not in w])


def test_same(net):
    """Every row gives the same answer under both, but for those that say why not."""
    from lua_differs import DIFFERS  # a table, beside this file
    net.start(["python3", os.path.join(DIR, "echo.py"), SRV4, "8001"], ns=net.s)
    net.wait_port(net.s, SRV4, 8001)
    prelude, _ = loads()
    want = under_haproxy(net, prelude)
    got = under_sluice(net, prelude)
    bad = []
    used = set()
    for k in sorted(want):
        d = next((d for d in DIFFERS if re.fullmatch(d[0], k)), None)
        if d is None:
            if want[k] != got.get(k):
                bad.append("%s\n%s" % (k, differences(want[k], got.get(k) or "")))
            continue
        if want[k] == got.get(k):
            continue  # a pattern may name more than differs
        used.add(d[0])
        if re.search(d[1], got.get(k) or "") is None:
            bad.append("%s: sluice answers\n%s\nwhich does not match %r" % (k, got.get(k), d[1]))
    for d in DIFFERS:
        if d[0] not in used:
            bad.append("lua_differs.py: nothing differs that is called %r" % d[0])
    log("%d rows compared, %d differ on purpose" % (len(want), len(used)))
    check(not bad, "%d rows:\n%s" % (len(bad), "\n".join(bad)[:60000]))
