# SPDX-License-Identifier: BSD-3-Clause
"""Attacks over a port while wrk runs: each is seen by its counter, and the others do not feel it.

tests/harness/attack.py makes the frames, in the clients' namespace. Its connections come from
addresses that nobody has, whose MAC sluice knows by 'neighbour' lines.
"""
import os
import re
import subprocess

from lib import ASAN, SLOW, SRV4, VIP4, VIP6, check, parse_wrk, random_file, sh, wait_for

HARNESS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "harness")
CONF = """
defaults
    mode http
    timeout connect 5s
    timeout client 4s
    timeout server 20s
    timeout http-request 4s
    timeout http-keep-alive 4s
frontend web
    bind %s:80
    bind [%s]:80
    default_backend be
backend be
    server b1 %s:8001
""" % (VIP4, VIP6, SRV4)

# kind: (counters of which one must move, wrk opens a connection for each request)
KINDS = {
    "syn": (("tcp_cookies", "tcp_accepts"), True),
    "rst": (("tcp_bad_rst", "tcp_challenge"), False),
    "blindsyn": (("tcp_bad_syn", "tcp_challenge"), False),
    "data": (("tcp_window", "tcp_bad_ack", "tcp_paws"), False),
    "sack": (("tcp_in",), False),
    "reverse": (("tcp_ooo",), False),
    "mss": (("tcp_accepts",), False),
    "window": (("tcp_probes", "tcp_retrans"), False),
    "land": (("ip_source",), True),
    "options": (("tcp_option",), True),
    "fragments": (("ip_fragment",), True),
    "icmp": (("icmp_bad", "icmp_type"), False),
    "arp": (("arp_in",), True),
    "nd": (("nd_in",), True),
}


def counters(net):
    """All counters and drop reasons, summed over workers."""
    out = {k: int(v) for k, v in net.telemetry("/sluice/drops").items()}
    for x in net.telemetry("/sluice/workers").values():
        for k, v in x.items():
            out[k] = out.get(k, 0) + int(v)
    return out


def start(net, pmd="af_xdp", extra="", more="", client="4s"):
    random_file(net.file("big"), 300 << 10)
    net.nginx([("b1", 8001)])
    _, out = sh(["cat", "/sys/class/net/c0/address"], ns=net.c)
    lines = ["gateway 10.61.1.1"] + ["neighbour %s %s" % (a, out.strip())
                                     for a in ("10.61.1.66", "fd61:1::66")]
    head = net.sluice_head(pmd, extra=extra).replace(
        "port lan\n", "port lan\n    %s\n" % "\n    ".join(lines))
    return net.sluice(head + CONF.replace("client 4s", "client " + client) + more)


def attack(net, kind, seconds, rate=0):
    _, mac = sh(["cat", "/sys/class/net/lan/address"], ns=net.d)
    return net.start(["/usr/bin/python3", os.path.join(HARNESS, "attack.py"), kind, "c0",
                      mac.strip(), VIP4, VIP6, "80", str(seconds)] + ([str(rate)] if rate else []),
                     ns=net.c, log=net.file("attack.log"))


def rss_kb(p):
    _, out = sh(["pgrep", "-P", str(p.pid)])
    with open("/proc/%s/status" % out.split()[0]) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def begin_wrk(net, seconds, close, conns=16):
    head = ["-H", "Connection: close"] if close else []
    return subprocess.Popen(["ip", "netns", "exec", net.c, "wrk", "-t1", "-c%d" % conns,
                             "-d%ds" % seconds, "--timeout", "%ds" % (10 * SLOW), *head,
                             "http://%s/name" % VIP4], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


def test_attack(net, kind, seconds=3):
    expect, close = KINDS[kind]
    p = start(net)
    net.wrk("http://%s/name" % VIP4, seconds=1, conns=16)
    before, rss = counters(net), rss_kb(p)
    a = attack(net, kind, 600)
    wait_for("the attack", lambda: "ready" in a.log() or not a.alive(), 60)
    # all that wrk does is done beside the attack
    r = parse_wrk(begin_wrk(net, seconds, close).communicate(timeout=120)[0].decode())
    a.stop(timeout=60 * SLOW)
    m = re.search(r"sent (\d+)", a.log())
    check(m, a.log())
    sent = int(m.group(1))
    check(p.alive(), p.log()[-3000:])
    now = counters(net)
    grew = {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}
    log = "%d frames\n%s\n%s" % (sent, r["text"], grew)
    check(r["requests"] > 50 and (r["bad"] + r["non2xx"]) * 1000 <= r["requests"], log)
    check(any(grew.get(k, 0) > 0 for k in expect if k in now), log)
    if kind == "syn":
        check(sent >= 5 * r["requests"], "%d SYNs against %d" % (sent, r["requests"]))
        check("tcp_cookies" not in now or grew.get("tcp_cookies", 0) > 0, log)
    grown = rss_kb(p) - rss
    check(grown < (200000 if ASAN else 2048), "RSS grew by %d kB\n%s" % (grown, log))
    # a connection that nobody owns any more, and whose peer is silent, goes by its first timeout after
    # a minute
    wait_for("nothing retained", lambda: net.stat("retained_bytes") == 0 and
             net.stat("streams") == 0, 150 if kind in OWN else 60)
    _, out = net.curl("-o", "/dev/null", "-w", "%{http_code}", "http://[%s]/name" % VIP6)
    check(out == "200", out)
    net.stop_sluice(p)
    return r, sent, grew


# Connections of the attackers' own, whose answers nobody reads: what they hold goes by timeouts, a minute
# after the attack. Too long for every run.
OWN = ("sack", "reverse", "mss", "window")
test_attack.cases = [{"kind": k} for k in KINDS if k not in OWN]


def test_own(net, kind):
    test_attack(net, kind)


test_own.cases = [{"kind": k} for k in OWN]
test_own.long = True


def test_scans(net):
    """nmap's scans and its guess of the system: answered, and nobody is hurt."""
    p = start(net)
    for args in (["-sS"], ["-sN"], ["-sX"], ["-sF"], ["-sU"], ["-sO"], ["-O", "--osscan-guess"]):
        ports = [] if args == ["-sO"] else ["-p", "1-200"] if args != ["-sU"] else ["-p", "50-60"]
        _, out = sh(["nmap", "-n", "-Pn", "--max-retries", "1", "--host-timeout", "60s", *args,
                     *ports, VIP4], ns=net.c, ok=False, timeout=150)
        check("Nmap done" in out, out)
        if args == ["-sS"]:
            check(re.search(r"80/tcp +open", out), out)
    _, out = net.curl("-o", "/dev/null", "-w", "%{http_code}", "http://%s/name" % VIP4)
    check(out == "200" and p.alive(), out)
    wait_for("nothing retained", lambda: net.stat("retained_bytes") == 0 and
             net.stat("conns") == 0, 30)
    net.stop_sluice(p)


test_scans.long = True
