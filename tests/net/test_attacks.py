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
import time

from lib import (ASAN, BUILD, SLOW, SRV4, SRV6, VIP4, VIP6, Failure, check, parse_wrk, random_file, sh,
                 wait_for)

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

# kind: ({counter that the attack alone moves: by how much at least, below 1 as a share of the frames that came;
# "a|b": either}, wrk opens a connection for each request). Where every frame of the round has its counter, the share
# is what the round has of them, less a little: one of its frames taken for something else is seen.
KINDS = {
    "syn": ({"tcp_cookies": 0.5}, True),  # the others are again what is half open
    "synlink": ({"neigh_queue": 100}, True),
    "rst": ({"tcp_bad_rst|tcp_challenge": 1, "tcp_no_conn|tcp_bad_rst": 0.9}, False),
    "blindsyn": ({"tcp_bad_syn|tcp_challenge": 1, "tcp_rst_in": 0.5}, False),
    "data": ({"tcp_window|tcp_bad_ack|tcp_paws": 1, "tcp_no_conn": 0.9}, False),
    "sack": ({"tcp_sack_bad": 100}, False),
    "reverse": ({"tcp_ooo": 100}, False),
    "mss": ({"tcp_mss_small": 9}, False),  # of the ten SYNs one asks for 88
    "window": ({"tcp_probes": 1}, False),
    "land": ({"ip_source": 0.85, "tcp_port_zero": 0.11}, True),  # 7 and 1 of 8
    "options": ({"tcp_option": 0.45, "tcp_bad_flags": 0.118, "tcp_short": 0.0108}, True),  # 592, 159 and 15 of 1292
    "fragments": ({"ip_fragment": 0.88}, True),  # 9 of 10
    "fragments6": ({"ip_fragment": 0.68, "ip6_ext": 0.28}, True),  # 7 and 3 of 10
    "icmp": ({"icmp_stale": 0.63, "icmp_mtu": 0.14, "icmp_type": 0.19}, False),
    "arp": ({"arp_in": 0.97}, True),
    "nd": ({"nd_in": 0.97}, True),
}
# Whom wrk asks, else VIP4.
HOST = {"nd": "[%s]" % VIP6, "fragments6": "[%s]" % VIP6}
# Frames a second, else as many as the attacker can. Each of these has an answer, and the kernel of the client that it
# names answers that: three parties share two CPUs, and what the rings then lose is wrk's as well.
RATE = {"blindsyn": 100000}
# At this rate no ring loses anything, so that not one of 1,000 who ask meanwhile may wait for long.
CARRIED = 10000


def counters(net):
    """All counters and drop reasons, summed over workers."""
    out = {k: int(v) for k, v in net.telemetry("/sluice/drops").items()}
    for x in net.telemetry("/sluice/workers").values():
        for k, v in x.items():
            out[k] = out.get(k, 0) + int(v)
    return out


def start(net, pmd="af_xdp", extra="", more="", client="4s", nbthread=1, prefix=24):
    random_file(net.file("big"), 300 << 10)
    net.nginx([("b1", 8001)])
    _, out = sh(["cat", "/sys/class/net/c0/address"], ns=net.c)
    lines = ["gateway 10.61.1.1", "gateway fd61:1::1"] + [
        "neighbour %s %s" % (a, out.strip()) for a in ("10.61.1.66", "fd61:1::66")]
    head = net.sluice_head(pmd, nbthread=nbthread, extra=extra).replace(
        "port lan\n", "port lan\n    %s\n" % "\n    ".join(lines)).replace(VIP4 + "/24", "%s/%d" % (VIP4, prefix))
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


# wrk does not count what is never answered, nor how long a connect took. So beside it somebody asks at a rate,
# whatever becomes of what he asked, and over a new connection each time.
ASKS = 200  # a second
LATE = 2  # seconds


def begin_probe(net, host=VIP4, seconds=7200):
    return subprocess.Popen(["ip", "netns", "exec", net.c, os.path.join(BUILD, "tools/sluice-load"), "-m", "-C",
                             "-c", str(2 * LATE * ASKS), "-r", str(ASKS), "-d", str(seconds),
                             "http://%s/name" % host], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def end_probe(w, seconds=0):
    """Its figures, after these seconds or now; what is open then still has two."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        w.wait(seconds or 0.01)
    w.send_signal(signal.SIGINT)
    out = w.communicate(timeout=60 * SLOW)[0].decode()
    return {k: float(v) for k, v in re.findall(r"(\w+)=([\d.]+)", out)}


def all_answered(r, log=""):
    """At least 999 of 1,000 of what was due was asked, and answered in time; 99 of 100 need no second SYN, which
    comes after a second."""
    asked = r["requests"] + r["errors"] + r["unfinished"]
    check(asked > 50 and (r["errors"] + r["unfinished"]) * 1000 <= asked and
          r["p999_us"] <= LATE * SLOW * 1e6 and r["p99_us"] < 0.9e6 * SLOW, "%s\n%s" % (r, log))


def most_answered(r, log=""):
    """The same beside a flood as fast as it goes, where the rings lose SYNs of everyone (half of all frames and more, if
    sluice has less of the CPUs than who floods): what came is answered, however late. carried() is strict."""
    asked = r["requests"] + r["errors"] + r["unfinished"]
    check(asked > 50 and (r["errors"] + r["unfinished"]) * 5 <= asked, "%s\n%s" % (r, log))


@contextlib.contextmanager
def beside(net, close=False, host=VIP4, judge=all_answered, probed=None):
    """wrk and the probe ask as long as this lasts, and are served. Gives what waits until so much was asked that it can
    be judged."""
    w = begin_wrk(net, 7200, close, host=host)
    probe, began = begin_probe(net, probed or host), time.monotonic()
    try:
        yield lambda: time.sleep(max(0.0, began + 1 - time.monotonic()))
        judge(end_probe(probe))
        w.send_signal(signal.SIGINT)  # it tells what it has done
        served(parse_wrk(w.communicate(timeout=60 * SLOW)[0].decode()))
    finally:
        w.kill()
        probe.kill()


def tried(net):
    """Connections that the clients' kernel tried to open, and SYNs that it sent again."""
    _, out = sh(["cat", "/proc/net/snmp", "/proc/net/netstat"], ns=net.c)
    rows = [x.split() for x in out.split("\n") if x]
    v = {a[0] + k: int(n) for a, b in zip(rows[::2], rows[1::2]) for k, n in zip(a[1:], b[1:])}
    return v["Tcp:ActiveOpens"], v["TcpExt:TCPSynRetrans"]


def on_the_way(net):
    """Frames of the clients, the attacker's too, that have not come to sluice."""
    stats = "/sys/class/net/c0/statistics/"
    _, out = sh(["cat", stats + "tx_packets", stats + "tx_dropped"], ns=net.c)
    return sum(int(x) for x in out.split()) - next(
        int(v["rx_packets"]) for v in net.telemetry("/sluice/ports").values() if v["name"] == "lan")


def grown(net, before):
    return {k: v - before.get(k, 0) for k, v in counters(net).items() if v != before.get(k, 0)}


def missing(kind, grew, arrived=0):
    """Which of a kind's counters have not moved enough."""
    return [k for k, n in KINDS[kind][0].items() if sum(grew.get(x, 0) for x in k.split("|")) <
            (n if n >= 1 else max(n * arrived, 1))]


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


def buffers_back(net, before):
    """Of the workers: no more in use than before, but for a burst in somebody's hand."""
    try:
        wait_for("buffers", lambda: counters(net)["mbufs"] <= before["mbufs"] + 64, 10)
    except Failure as e:
        raise Failure("%s: %d in use, %d before" % (e, counters(net)["mbufs"], before["mbufs"])) from None


def ended(a):
    """Ends an attack: how many frames were sent."""
    a.stop(timeout=60 * SLOW)
    m = re.search(r"sent (\d+)", a.log())
    check(m, a.log())
    return int(m.group(1))


def carried(net, kind, seconds, host=VIP4, family=4):
    """The attack at a rate that the rings carry: who asks meanwhile feels nothing. How many frames were sent."""
    opens, before = tried(net), counters(net)
    a = attack(net, kind, 600, CARRIED, family)
    begun(a)
    probe = begin_probe(net, host, seconds)
    r = end_probe(probe, seconds)
    sent, grew = ended(a), grown(net, before)
    log = "%d frames, of the clients' SYNs %d again, %s" % (sent, tried(net)[1] - opens[1], grew)
    all_answered(r, log)
    check(sent >= CARRIED * seconds // 4, log)
    return sent


def test_attack(net, kind, seconds=3):
    close, host = KINDS[kind][1], HOST.get(kind, VIP4)
    p = start(net, prefix=21 if kind == "arp" else 24)  # ARP's senders: more than the table has places
    net.wrk("http://%s/name" % host, seconds=1, conns=16)
    before, rss, lost = counters(net), rss_kb(p), on_the_way(net)
    a = attack(net, kind, 600, RATE.get(kind, 0))
    begun(a)
    # all that wrk does is done beside the attack
    meanwhile, opens = counters(net), tried(net)
    probe = begin_probe(net, host, seconds)
    w, held = begin_wrk(net, seconds, close, host=host), 0
    while True:  # the attacker's connections may end before wrk does
        held = max(held, net.stat("retained_bytes"))
        with contextlib.suppress(subprocess.TimeoutExpired):
            r = parse_wrk(w.communicate(timeout=0.2)[0].decode())
            break
    opens, during = tried(net)[0] - opens[0], grown(net, meanwhile)
    asked = end_probe(probe)
    sent = ended(a)
    check(p.alive(), p.log()[-3000:])
    if kind not in OWN:
        sent += carried(net, kind, seconds - 1, host)
    lost = on_the_way(net) - lost
    grew = grown(net, before)
    log = "%d frames, %d lost\n%s\n%s" % (sent, lost, r["text"], grew)
    served(r, log)
    most_answered(asked, log)
    check(not missing(kind, grew, sent - lost), "%s\n%s" % (missing(kind, grew, sent - lost), log))
    check(kind in OWN or sent - lost >= 10000 * seconds, log)
    check(kind not in OWN or HELD <= held <= budget(net), "%d bytes were held\n%s" % (held, log))
    if kind == "syn":  # beside what wrk opened, which has cookies as well
        cookies = during.get("tcp_cookies", 0)
        check(cookies >= 6 * opens > 0, "%d cookies, %d connections tried" % (cookies, opens))
    if kind in ("arp", "nd"):  # more than it shows; who is talked to has kept his place
        check(len(net.telemetry("/sluice/neigh")) == 64 and not [k for k in grew if k.startswith("neigh_")], log)
    more = rss_kb(p) - rss
    check(more < (200000 if ASAN else 2048), "RSS grew by %d kB\n%s" % (more, log))
    # a connection that nobody owns any more, and whose peer is silent, goes by its first timeout after
    # a minute
    wait_for("nothing retained", lambda: net.stat("retained_bytes") == 0 and
             net.stat("streams") == 0, 150 if kind in OWN else 60)
    buffers_back(net, before)
    _, out = net.curl("-o", "/dev/null", "-w", "%{http_code}", "http://[%s]/name" % VIP6)
    check(out == "200", out)
    net.stop_sluice(p)
    return r, sent, grew


# Connections of the attackers' own, whose answers nobody reads: what they hold goes by timeouts, a minute
# after the attack. With the timeouts that users have: too long for every run.
OWN = ("sack", "reverse", "mss", "window")
test_attack.cases = [{"kind": k} for k in KINDS if k not in OWN]


HELD = 1 << 20  # bytes that such an attack makes sluice hold at least; wrk's own are some ten kB


def budget(net):
    """No less than what may be held: three quarters of the buffers, at what one costs (lcore.c)."""
    return net.stat("mbufs_total") // 4 * 3 * 2560


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
            wait_for("what the attacker holds", lambda: net.stat("retained_bytes") >= HELD, 30)
            check(net.stat("retained_bytes") <= budget(net), "%d bytes are held" % net.stat("retained_bytes"))
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
    idle = counters(net)
    for family, host in ((4, VIP4), (6, "[%s]" % VIP6))[2 - nbthread:]:  # test_attack has (4, 1)
        for close in (True, False):
            kinds = [k for k in ("syn", "options", "rst", "data") if KINDS[k][1] == close]
            with beside(net, close, host, most_answered) as asked:
                for kind in kinds:
                    before = counters(net)
                    own = net.telemetry("/sluice/workers")
                    a = attack(net, kind, 600, family=family)
                    begun(a)
                    wait_seen(net, [kind], before)
                    if kind == "syn":
                        wait_for("cookies of each worker", lambda: all(
                            int(w["tcp_cookies"]) > int(own[k]["tcp_cookies"])
                            for k, w in net.telemetry("/sluice/workers").items()), 30)
                    asked()
                    a.stop(timeout=60 * SLOW)
                    check(p.alive(), p.log()[-3000:])
            for kind in kinds:  # without wrk: with it two workers on two CPUs lose some on the way to each other
                carried(net, kind, 1, host, family)
    wait_for("nothing retained", lambda: net.stat("retained_bytes") == 0 and
             net.stat("streams") == 0, 60)
    buffers_back(net, idle)
    net.stop_sluice(p)


test_spread.cases = [{"nbthread": 1}, {"nbthread": 2}]
test_spread.net = lambda case: {"queues": case["nbthread"]}


def reported(scan, v6, out):
    """What nmap must have found: port 80 alone is open, what can be no segment has no answer of any port, UDP and
    other protocols are refused (IPv6's for a header that is none). What a ring loses it asks for twice."""
    def n(pattern):
        return sum(int(x) for x in re.findall(pattern, out))
    if scan in ("-sS", "-O"):
        good = re.findall(r"(\d+/tcp) +open ", out) == ["80/tcp"] and n(r"(\d+) closed tcp ports \(reset\)") >= 190
    elif scan == "-sU":
        good = len(re.findall(r"\d+/udp +closed ", out)) >= 9 and not re.search(r"/udp +open ", out)
    elif scan == "-sO":
        good = set(re.findall(r"\n(\d+) +open +", out)) == ({"6", "17", "58"} if v6 else {"1", "6", "17"})
    else:
        good = n(r"(\d+) open\|filtered tcp ports \(no-response\)") == 200
    check(good and (scan != "-O" or "OS detection performed" in out), out)


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
    with beside(net, True, judge=most_answered) as asked:
        before = counters(net)
        a = attack(net, "synlink", 600, CARRIED)  # 64 places are taken at once; no SYN is lost on the way
        begun(a)
        wait_seen(net, ["synlink"], before)
        known = [r["address"] for r in net.telemetry("/sluice/neigh").values()]
        check(SRV6 not in known and "10.61.1.77" not in known, str(known))
        for path, want in (("/big", "200"), ("/name", "200")):
            _, out = net.curl("-o", "/dev/null", "-w", "%{http_code}", "-m", str(2 * SLOW), "http://%s:81%s" % (VIP4, path))
            check(out == want, "%s: %s" % (path, out))
        asked()
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
                check("Nmap done" in out and p.alive(), out)
                reported(args[0], ":" in host, out)
    _, out = net.curl("-o", "/dev/null", "-w", "%{http_code}", "http://%s/name" % VIP4)
    check(out == "200" and p.alive(), out)
    wait_for("nothing retained", lambda: net.stat("retained_bytes") == 0 and
             net.stat("conns") == 0, 30)
    net.stop_sluice(p)


test_scans.long = True
