# SPDX-License-Identifier: BSD-3-Clause
"""Attacks over a port while wrk runs: each is seen by its counter, and the others do not feel it.

tests/harness/attack.py makes the frames, in the clients' namespace. Its connections come from
addresses that nobody has, whose MAC sluice knows by 'neighbour' lines.
"""
import contextlib
import os
import re
import signal
import subprocess

from lib import ASAN, SLOW, SRV4, SRV6, VIP4, VIP6, Failure, check, parse_wrk, random_file, sh, wait_for

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

# kind: ({counter that the attack alone moves: by how much at least, "a|b": either}, wrk opens a connection for
# each request)
KINDS = {
    "syn": ({"tcp_cookies": 1}, True),
    "synlink": ({"neigh_queue": 100}, True),
    "rst": ({"tcp_bad_rst|tcp_challenge": 1}, False),
    "blindsyn": ({"tcp_bad_syn|tcp_challenge": 1}, False),
    "data": ({"tcp_window|tcp_bad_ack|tcp_paws": 1}, False),
    "sack": ({"tcp_sack_bad": 100}, False),
    "reverse": ({"tcp_ooo": 100}, False),
    "mss": ({"tcp_mss_small": 9}, False),  # of the ten SYNs one asks for 88
    "window": ({"tcp_probes": 1}, False),
    "land": ({"ip_source": 1, "tcp_port_zero": 1}, True),
    "options": ({"tcp_option": 1}, True),
    "fragments": ({"ip_fragment": 1}, True),
    "icmp": ({"icmp_stale": 100, "icmp_mtu": 10, "icmp_type": 1}, False),
    "arp": ({"arp_in": 1000}, True),  # wrk's kernel asks a few times
    "nd": ({"nd_in": 1000}, True),
}
# Frames a second, else as many as the attacker can. Each of these has an answer, and the kernel of the client that it
# names answers that: three parties share two CPUs, and what the rings then lose is wrk's as well.
RATE = {"blindsyn": 100000}


def counters(net):
    """All counters and drop reasons, summed over workers."""
    out = {k: int(v) for k, v in net.telemetry("/sluice/drops").items()}
    for x in net.telemetry("/sluice/workers").values():
        for k, v in x.items():
            out[k] = out.get(k, 0) + int(v)
    return out


def start(net, pmd="af_xdp", extra="", more="", client="4s", nbthread=1):
    random_file(net.file("big"), 300 << 10)
    net.nginx([("b1", 8001)])
    _, out = sh(["cat", "/sys/class/net/c0/address"], ns=net.c)
    lines = ["gateway 10.61.1.1", "gateway fd61:1::1"] + [
        "neighbour %s %s" % (a, out.strip()) for a in ("10.61.1.66", "fd61:1::66")]
    head = net.sluice_head(pmd, nbthread=nbthread, extra=extra).replace(
        "port lan\n", "port lan\n    %s\n" % "\n    ".join(lines))
    return net.sluice(head + CONF.replace("client 4s", "client " + client) + more)


def attack(net, kind, seconds, rate=0, family=4):
    _, mac = sh(["cat", "/sys/class/net/lan/address"], ns=net.d)
    return net.start(["/usr/bin/python3", os.path.join(HARNESS, "attack.py"), kind, "c0",
                      mac.strip(), VIP4, VIP6, "80", str(seconds), str(rate), str(family)],
                     ns=net.c, log=net.file("attack-%s-%d.log" % (kind, family)))


def begun(a):
    wait_for("the attack", lambda: "ready" in a.log() or not a.alive(), 60)
    check(a.alive(), a.log())


def rss_kb(p):
    _, out = sh(["pgrep", "-P", str(p.pid)])
    with open("/proc/%s/status" % out.split()[0]) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def begin_wrk(net, seconds, close, conns=16, host=VIP4):
    head = ["-H", "Connection: close"] if close else []
    return subprocess.Popen(["ip", "netns", "exec", net.c, "wrk", "-t1", "-c%d" % conns,
                             "-d%ds" % seconds, "--timeout", "%ds" % (10 * SLOW), *head,
                             "http://%s/name" % host], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


def served(r, log=""):
    """At least 999 of 1,000 requests of a run of wrk were answered."""
    check(r["requests"] > 50 and (r["bad"] + r["non2xx"]) * 1000 <= r["requests"], r["text"] + log)


@contextlib.contextmanager
def beside(net, close=False, host=VIP4):
    """wrk asks as long as this lasts, and is served."""
    w = begin_wrk(net, 7200, close, host=host)
    try:
        yield
        w.send_signal(signal.SIGINT)  # it tells what it has done
        served(parse_wrk(w.communicate(timeout=60 * SLOW)[0].decode()))
    finally:
        w.kill()


def grown(net, before):
    return {k: v - before.get(k, 0) for k, v in counters(net).items() if v != before.get(k, 0)}


def missing(kind, grew):
    """Which of a kind's counters have not moved enough."""
    return [k for k, n in KINDS[kind][0].items() if sum(grew.get(x, 0) for x in k.split("|")) < n]


def wait_seen(net, kinds, before):
    """Until the counters of all these kinds have moved."""
    grew = {}

    def seen():
        grew.update(grown(net, before))
        return not any(missing(k, grew) for k in kinds)
    try:
        wait_for("counters", seen, 30)
    except Failure as e:
        raise Failure("%s: %s\n%s" % (e, [missing(k, grew) for k in kinds], grew)) from None


def test_attack(net, kind, seconds=3):
    close = KINDS[kind][1]
    p = start(net)
    net.wrk("http://%s/name" % VIP4, seconds=1, conns=16)
    before, rss = counters(net), rss_kb(p)
    a = attack(net, kind, 600, RATE.get(kind, 0))
    begun(a)
    # all that wrk does is done beside the attack
    r = parse_wrk(begin_wrk(net, seconds, close).communicate(timeout=120)[0].decode())
    a.stop(timeout=60 * SLOW)
    m = re.search(r"sent (\d+)", a.log())
    check(m, a.log())
    sent = int(m.group(1))
    check(p.alive(), p.log()[-3000:])
    grew = grown(net, before)
    log = "%d frames\n%s\n%s" % (sent, r["text"], grew)
    served(r, log)
    check(not missing(kind, grew), "%s\n%s" % (missing(kind, grew), log))
    if kind == "syn":
        check(sent >= 5 * r["requests"], "%d SYNs against %d" % (sent, r["requests"]))
    more = rss_kb(p) - rss
    check(more < (200000 if ASAN else 2048), "RSS grew by %d kB\n%s" % (more, log))
    # a connection that nobody owns any more, and whose peer is silent, goes by its first timeout after
    # a minute
    wait_for("nothing retained", lambda: net.stat("retained_bytes") == 0 and
             net.stat("streams") == 0, 150 if kind in OWN else 60)
    _, out = net.curl("-o", "/dev/null", "-w", "%{http_code}", "http://[%s]/name" % VIP6)
    check(out == "200", out)
    net.stop_sluice(p)
    return r, sent, grew


# Connections of the attackers' own, whose answers nobody reads: what they hold goes by timeouts, a minute
# after the attack. With the timeouts that users have: too long for every run.
OWN = ("sack", "reverse", "mss", "window")
test_attack.cases = [{"kind": k} for k in KINDS if k not in OWN]


def test_own(net, kind):
    test_attack(net, kind)


test_own.cases = [{"kind": k} for k in OWN]
test_own.long = True
SHORT = """
    tune.tcp.fin-timeout 1s
    tune.tcp.rto-max 1s
    tune.tcp.retries 4
"""


def test_own_short(net):
    """Over IPv4 or IPv6, until the counters move; with timeouts so short that what they hold goes at once."""
    p = start(net, extra=SHORT, client="2s")
    with beside(net):
        for kind, family in zip(OWN, (4, 6, 6, 4)):
            before = counters(net)
            a = attack(net, kind, 600, 2000, family)
            begun(a)
            wait_seen(net, [kind], before)
            a.stop(timeout=60 * SLOW)
            check(p.alive(), p.log()[-3000:])
            # wrk's own is some ten kB; megabytes of two kinds at once may make sluice refuse requests
            wait_for("what the attacker holds to go", lambda: net.stat("retained_bytes") < 512 << 10, 60)
    wait_for("nothing retained", lambda: net.stat("retained_bytes") == 0 and
             net.stat("streams") == 0, 60)
    net.stop_sluice(p)


def test_spread(net, nbthread):
    """Over IPv6 as over IPv4, on one worker as on two: each attack until it is seen, wrk beside."""
    p = start(net, nbthread=nbthread)
    for family, host in ((4, VIP4), (6, "[%s]" % VIP6))[2 - nbthread:]:  # test_attack has (4, 1)
        for close in (True, False):
            with beside(net, close, host):
                for kind in [k for k in ("syn", "options", "rst", "data") if KINDS[k][1] == close]:
                    before = counters(net)
                    own = net.telemetry("/sluice/workers")
                    a = attack(net, kind, 600, family=family)
                    begun(a)
                    wait_seen(net, [kind], before)
                    if kind == "syn":
                        wait_for("cookies of each worker", lambda: all(
                            int(w["tcp_cookies"]) > int(own[k]["tcp_cookies"])
                            for k, w in net.telemetry("/sluice/workers").items()), 30)
                    a.stop(timeout=60 * SLOW)
                    check(p.alive(), p.log()[-3000:])
    wait_for("nothing retained", lambda: net.stat("retained_bytes") == 0 and
             net.stat("streams") == 0, 60)
    net.stop_sluice(p)


test_spread.cases = [{"nbthread": 1}, {"nbthread": 2}]
test_spread.net = lambda case: {"queues": case["nbthread"]}


def test_synlink_first(net, nbthread):
    """While SYNs come from neighbours that are not there, servers that nobody has used yet are found at once: on
    another port, and on the same one."""
    sh(["ip", "-n", net.c, "addr", "add", "10.61.1.77/24", "dev", "c0"])
    with open(net.file("name"), "w") as f:
        f.write("near")
    net.start(["/usr/bin/python3", "-m", "http.server", "-d", net.dir, "-b", "10.61.1.77", "8001"], ns=net.c)
    net.wait_port(net.c, "10.61.1.77", 8001)
    p = start(net, nbthread=nbthread, more="""
frontend later
    bind %s:81
    use_backend near if { path_beg /name }
    default_backend far
backend near
    server b2 10.61.1.77:8001
backend far
    server b3 [%s]:8001
""" % (VIP4, SRV6))
    with beside(net, True):
        before = counters(net)
        a = attack(net, "synlink", 600)
        begun(a)
        wait_seen(net, ["synlink"], before)
        known = [r["address"] for r in net.telemetry("/sluice/neigh").values()]
        check(SRV6 not in known and "10.61.1.77" not in known, str(known))
        for path, want in (("/big", "200"), ("/name", "200")):
            _, out = net.curl("-o", "/dev/null", "-w", "%{http_code}", "-m", str(2 * SLOW), "http://%s:81%s" % (VIP4, path))
            check(out == want, "%s: %s" % (path, out))
        a.stop(timeout=60 * SLOW)
    check(p.alive(), p.log()[-3000:])
    net.stop_sluice(p)


test_synlink_first.cases = [{"nbthread": 1}, {"nbthread": 2}]
test_synlink_first.net = lambda case: {"queues": case["nbthread"]}


def test_scans(net):
    """nmap's scans and its guess of the system, over both families: answered, and nobody is hurt."""
    p = start(net)
    with beside(net), beside(net, True, "[%s]" % VIP6):
        for args in (["-sS"], ["-sN"], ["-sX"], ["-sF"], ["-sU"], ["-sO"], ["-O", "--osscan-guess"]):
            ports = [] if args == ["-sO"] else ["-p", "1-200"] if args != ["-sU"] else ["-p", "50-60"]
            for host in (VIP4, VIP6):
                _, out = sh(["nmap", "-n", "-Pn", "--max-retries", "1", "--host-timeout", "60s", *args,
                             *ports, *(["-6"] if ":" in host else []), host], ns=net.c, ok=False,
                            timeout=150)
                check("Nmap done" in out, out)
                if args == ["-sS"]:
                    check(re.search(r"80/tcp +open", out), out)
    _, out = net.curl("-o", "/dev/null", "-w", "%{http_code}", "http://%s/name" % VIP4)
    check(out == "200" and p.alive(), out)
    wait_for("nothing retained", lambda: net.stat("retained_bytes") == 0 and
             net.stat("conns") == 0, 30)
    net.stop_sluice(p)


test_scans.long = True
