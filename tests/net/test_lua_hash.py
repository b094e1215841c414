# SPDX-License-Identifier: BSD-3-Clause
"""lua/examples/my_hash.lua under Debian's haproxy and under sluice: the same value, the same backend
by use_backend and the same server by balance hash, for 1,000 requests; and rate_limit.lua."""
import os
import re

from lib import ROOT, SRV4, VIP4, check, sh, wait_for

EXAMPLES = os.path.join(ROOT, "lua/examples")
KINDS = [("m1", "", (1, 1, 1)), ("m2", "hash-type map-based djb2 avalanche", (10, 20, 30)),
         ("m3", "hash-type map-based", (7, 3, 5)), ("c1", "hash-type consistent", (1, 1, 1)),
         ("c2", "hash-type consistent wt6", (1, 3, 2))]


def config():
    t = """
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend f
    bind %s:80
    http-request set-var(txn.h) lua.my-hash(pepper)
    http-request set-var(txn.n) var(txn.h),mod(%d)
    http-response set-header x-hash %%[var(txn.h)]
    http-response set-header x-be %%[be_name]
    use_backend be%%[lua.my-hash(pepper),mod(%d)]
""" % (VIP4, len(KINDS), len(KINDS))
    for i, (name, kind, weights) in enumerate(KINDS):
        t += "backend be%d\n    balance hash lua.my-hash(%s)\n" % (i, name)
        t += "    %s\n" % kind if kind else ""
        for k, w in enumerate(weights):
            t += "    server s%d %s:%d weight %d\n" % (k + 1, SRV4, 8001 + k, w)
    return t


CLIENT = """
import socket, sys
s = socket.create_connection((sys.argv[1], 80), timeout=20)
f = s.makefile("rb")
for i in range(int(sys.argv[2])):
    s.sendall(b"GET /name HTTP/1.1\\r\\nhost: h%d.example.com\\r\\n\\r\\n" % (i * 7919))
    got, n = {}, 0
    while True:
        l = f.readline()
        if l in (b"\\r\\n", b""):
            break
        k, _, v = l.partition(b":")
        got[k.lower()] = v.strip().decode()
    f.read(int(got.get(b"content-length", 0)))
    print(got.get(b"x-hash"), got.get(b"x-be"), got.get(b"x-server"))
"""


def ask(net, n):
    wait_for("an answer", lambda: net.curl("-o", "/dev/null", "http://%s/" % VIP4, ok=False)[0] == 0)
    _, out = sh(["python3", "-c", CLIENT, VIP4, str(n)], ns=net.c, timeout=120)
    return out.split("\n")[:-1]


def test_my_hash(net):
    """1,000 requests: value, backend and server are HAProxy's."""
    net.nginx([("s1", 8001), ("s2", 8002), ("s3", 8003)])
    load = "    lua-load %s/my_hash.lua\n" % EXAMPLES
    net.kernel_dp(offloads=False)
    f = net.write("haproxy.cfg", "global\n" + load + config())
    p = net.start(["haproxy", "-db", "-f", f], ns=net.d, log=net.file("haproxy.log"))
    net.wait_port(net.d, VIP4, 80)
    want = ask(net, 1000)
    p.stop()
    net.kernel_dp_off()
    p = net.sluice(net.sluice_head("af_packet", 1, load) + config())
    got = ask(net, 1000)
    net.stop_sluice(p)
    check(len(want) == 1000 and len({w.split()[1] for w in want}) == len(KINDS) and
          len({w.split()[2] for w in want}) == 3, "haproxy's answers: %s" % want[:5])
    bad = [(i, w, g) for i, (w, g) in enumerate(zip(want, got)) if w != g]
    check(len(got) == 1000 and not bad, "%d of %d differ: %s" % (len(bad), len(got), bad[:5]))


def test_rate_limit(net):
    """20 pass, more get 429 with the time that is left; the counter is one for all script threads."""
    net.nginx([("s1", 8001)])
    p = net.sluice(net.sluice_head("af_packet", 1, """    script-threads 2
    lua-load-per-thread %s/rate_limit.lua 20
""" % EXAMPLES) + """
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen web
    bind %s:80
    http-request lua.rate
    server s %s:8001
""" % (VIP4, SRV4))
    codes = []
    for _ in range(30):
        _, out = net.curl("-i", "http://%s/name" % VIP4)
        codes.append(int(out.split()[1]))
    check(codes == [200] * 20 + [429] * 10, "statuses: %s" % codes)
    m = re.search(r"(?mi)^retry-after: (\d+)\r?$", out)
    check(m and 1 <= int(m.group(1)) <= 10 and out.endswith("too many requests\n"), out)
    net.stop_sluice(p)


def test_header_routing(net):
    """header_routing.lua: what the header asks for, if it is there; else one address in 20 to the canary."""
    net.nginx([("stable", 8001), ("beta", 8002), ("canary", 8003)])
    p = net.sluice(net.sluice_head("af_packet", 1, "    lua-load %s/header_routing.lua\n" % EXAMPLES) + """
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend web
    bind %s:80
    use_backend %%[lua.target]
    default_backend stable
""" % VIP4 + "".join("backend %s\n    server s %s:%d\n" % (n, SRV4, 8001 + i)
                     for i, n in enumerate(("stable", "beta", "canary"))))

    def target(source, *args):
        return net.curl("--interface", source, *args, "http://%s/name" % VIP4)[1].strip()

    def by_share(address):
        total = 0
        for c in address.encode():
            total = (total * 31 + c) % 65521
        return "canary" if total % 20 == 0 else "stable"

    sources = ["10.61.1.%d" % i for i in range(100, 140)]
    for s in sources:
        sh(["ip", "-n", net.c, "addr", "add", s + "/24", "dev", "c0"])
    got, want = [target(s) for s in sources], [by_share(s) for s in sources]
    check(got == want and {"canary", "stable"} == set(want), "by share: %s, not %s" % (got, want))
    canary = sources[want.index("canary")]
    stable = sources[want.index("stable")]
    for source in (canary, stable):
        for asked in ("beta", "BETA", "stable", "canary"):
            check(target(source, "-H", "X-Version: " + asked) == asked.lower(), "%s asks for %s" % (source, asked))
        check(target(source, "-H", "X-Version: web") == by_share(source), "a target that is none")
    net.stop_sluice(p)
