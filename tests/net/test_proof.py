# SPDX-License-Identifier: BSD-3-Clause
"""What takes long, behind --long: everything hostile at once for half an hour, thousands of transfers over
a path that loses, and a million frames of each protocol whose fields are anything."""
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from lib import BUILD, SLOW, SRV4, VIP4, VIP6, check, parse_wrk, random_file, sh, sha256, wait_for
from test_attacks import (HARNESS, attack, begin_probe, begin_wrk, beside, buffers_back, counters, end_probe,
                          grown, on_the_way, rss_kb, start)

MINUTES = int(os.environ.get("SLUICE_CHAOS_MINUTES", "30"))
TRANSFERS = int(os.environ.get("SLUICE_TRANSFERS", "1000"))
FRAMES = int(os.environ.get("SLUICE_FRAMES", "1000000"))
MORE = """
frontend torn
    bind %s:81
    default_backend torn
backend torn
    server t1 %s:8002
""" % (VIP4, SRV4)


def is_served(net, host=VIP4, timeout=3):
    try:
        return net.curl("-o", "/dev/null", "-w", "%{http_code}", "http://%s/name" % host, ok=False,
                        timeout=timeout)[1].strip() == "200"
    except subprocess.TimeoutExpired:  # it did not even get the CPU to give up
        return False


def idle(net):
    return net.stat("retained_bytes") == 0 and net.stat("streams") == 0


def end(net, p):
    """Both ways of the path did lose; then all ends in order."""
    net.impair.stop()
    lost = [int(x) for x in re.findall(r" lost=(\d+)", net.impair.log())]
    check(min(lost) > 0, net.impair.log())
    net.stop_sluice(p)


def flap(net, n):
    """The servers' link or the clients' goes, for longer than twice what lies between two looks at it."""
    ns, dev = (net.s, "s0") if n % 2 else (net.d, "lan")
    sh(["ip", "-n", ns, "link", "set", dev, "down"])
    time.sleep(1.2)  # the outage itself
    sh(["ip", "-n", ns, "link", "set", dev, "up"])
    if dev == "s0":
        sh(["ip", "-n", ns, "-6", "addr", "replace", "fd61:2::1/64", "dev", dev, "nodad"])


def link_changes(net):
    return sum(int(v["link_changes"]) for v in net.telemetry("/sluice/ports").values())


def torn_apart(torn):
    """Ends those who hang up: each way to do it was there."""
    torn.stop(signal.SIGINT)
    r = dict(re.findall(r"(\w+)=(\d+)", torn.log()))
    check(all(int(r.get(k, 0)) > 0 for k in ("whole", "resets", "closes", "shuts")), torn.log())


def recovery(net):
    """Seconds until both families are served again."""
    t = time.monotonic()
    wait_for("service after a flap", lambda: all(is_served(net, h, 1) for h in (VIP4, "[%s]" % VIP6)), 30)
    took = time.monotonic() - t
    check(took <= 5 * SLOW, "served %.1f s after a flap" % took)
    return took


def test_chaos(net, minutes):
    """A flood of SYNs, loss, clients and servers that hang up anywhere and links that flap, while wrk
    asks; what it asks beside the flaps is answered."""
    abuse = os.path.join(BUILD, "tests/harness/abuse")
    net.start([abuse, "server", "-s", "2", "8002"], ns=net.s)
    net.wait_port(net.s, "::", 8002)
    p = start(net, more=MORE)
    rounds, asked, failed, due, lost, away = 0, 0, 0, 0, 0, 0
    until = time.monotonic() + minutes * 60
    before, changes = counters(net), link_changes(net)
    rss = 0
    while time.monotonic() < until:
        host = "[%s]" % VIP6 if rounds // 2 % 2 else VIP4  # with each kind of flap, and of wrk, both families
        close = rounds // 4 % 2 == 0
        torn = net.start([abuse, "client", "-s", str(rounds), "-n", "1000000000", "-c", "8", VIP4,
                          "81"], ns=net.c, log=net.file("torn.log"))
        flood = attack(net, "syn", 3600, 5000)
        cookies = net.stat("tcp_cookies")
        probe = begin_probe(net, "[%s]" % VIP6 if host == VIP4 else VIP4, 20)
        w = begin_wrk(net, 20, close, host=host)
        r, q = parse_wrk(w.communicate(timeout=120)[0].decode()), end_probe(probe, 30)
        cookies = net.stat("tcp_cookies") - cookies
        asked += r["requests"]
        failed += r["bad"] + r["non2xx"]
        lost += q["errors"] + q["unfinished"]
        due += q["errors"] + q["unfinished"] + q["requests"]
        # one of 50 SYNs or their answers is lost: of 1,000 one goes again twice
        check(q["p999_us"] <= 4e6 * SLOW and cookies >= 10000, "%d cookies, %s" % (cookies, q))
        check(p.alive(), p.log()[-3000:])
        w = begin_wrk(net, 600, close, host=host)
        flap(net, rounds)
        away += recovery(net)
        w.kill()  # it is not judged, and may still wait for its first connection
        w.communicate()
        torn_apart(torn)
        flood.stop()
        rounds += 1
        if rounds == 2:
            rss = rss_kb(p)
        print("chaos: %d rounds, %d requests, %d failed, %d of %d over new connections not answered, %.1f s from "
              "links to service, %s" % (rounds, asked, failed, lost, due, away, torn.log().strip()), flush=True)
    grew = grown(net, before)
    print("chaos: %s" % grew, flush=True)
    check(asked > 100 * rounds and failed * 1000 <= asked, "%d of %d failed" % (failed, asked))
    check(lost * 1000 <= due, "%d of %d not answered" % (lost, due))
    check(grew.get("tcp_cookies", 0) > 0 and grew.get("tcp_retrans", 0) > 0, str(grew))
    wait_for("each flap seen, down and up", lambda: link_changes(net) - changes >= 2 * rounds)
    wait_for("nothing retained", lambda: idle(net), 150)
    buffers_back(net, before)
    check(not rss or rss_kb(p) - rss < 4096, "RSS %d kB, then %d" % (rss, rss_kb(p)))
    end(net, p)


test_chaos.cases = [{"minutes": MINUTES}]
test_chaos.net = {"impair": ["-s", "7", "-l", "1", "-d", "1"]}
test_chaos.long = True


def test_transfers(net, count):
    """Downloads and uploads of 10 MB each, eight at a time, 1 % lost both ways: exact by SHA-256."""
    files = [net.file("big%d" % i) for i in range(4)]
    sums = []
    for i, f in enumerate(files):
        random_file(f, 10 << 20, seed=i + 1)
        sums.append(sha256(f))
    os.makedirs(net.file("put"))
    os.chmod(net.file("put"), 0o777)
    p = start(net, client="60s")  # eight readers share CPUs with all the rest: 4 s without one are nobody's fault

    def told(what, i, rc, out, same):
        if not same:
            print("%s %d: %d, %s" % (what, i, rc, out), flush=True)
        return same

    def down(i):
        host = VIP4 if i & 4 else "[%s]" % VIP6
        rc, out = sh(["bash", "-c", "set -o pipefail; curl -sSf -m 600 http://%s/big%d | sha256sum" %
                      (host, i % 4)], ns=net.c, timeout=620, ok=False)
        return told("download", i, rc, out, rc == 0 and out.split()[0] == sums[i % 4])

    def up(i):
        host = VIP4 if i & 4 else "[%s]" % VIP6
        rc, out = sh(["curl", "-sSf", "-m", "600", "-H", "Expect:", "-T", files[i % 4],
                    "http://%s/put/%d" % (host, i)], ns=net.c, timeout=620, ok=False)
        name = net.file("put/%d" % i)
        same = rc == 0 and sha256(name) == sums[i % 4]
        if os.path.exists(name):
            os.unlink(name)
        return told("upload", i, rc, out, same)

    for what, one in (("downloads", down), ("uploads", up)):
        t, exact = time.monotonic(), 0
        with ThreadPoolExecutor(8) as pool:
            for i, same in enumerate(pool.map(one, range(count))):
                exact += same
                if (i + 1) % 100 == 0:
                    print("%s: %d of %d exact, %.0f s" % (what, exact, i + 1,
                                                          time.monotonic() - t), flush=True)
        check(exact == count, "%s: %d of %d exact\n%s" % (what, exact, count, p.log()[-3000:]))
    wait_for("nothing retained", lambda: idle(net), 60)
    end(net, p)


test_transfers.cases = [{"count": TRANSFERS}]
test_transfers.net = {"impair": ["-s", "7", "-l", "1", "-d", "5"]}
test_transfers.long = True


# Of all frames of a protocol, so large a share at least moves this counter, or none more than that share: most come
# through the checks of what is below, and reach their own.
FLOORS = {
    "arp": {"arp_in": 0.1, "arp_bad": 0.1},
    "ip4": {"ip_header": 0.1, "ip_proto": 0.25},
    "icmp4": {"icmp_bad": 0.1, "icmp_type": 0.2, "icmp_stale": 0.01},
    "udp": {"udp_no_port": 0.4, "udp_bad": 0.01},
    "tcp": {"tcp_bad_flags": 0.2, "tcp_no_conn": 0.1, "tcp_option": 0.005, "tcp_short": 0.01},
    "ip6": {"ip_fragment": 0.1, "ip6_ext": 0.1, "ip_header": 0.05},
    "nd": {"nd_in": 0.1, "nd_bad": 0.05, "icmp_bad": 0.05},
}
CEILINGS = {"ip_csum": 0.08, "tcp_csum": 0.05}


def test_fields(net, protocol):
    """Frames whose fields are anything: taken in, nothing is held, wrk beside is served."""
    p = start(net)
    is_served(net)
    rss, before = rss_kb(p), counters(net)
    _, mac = sh(["cat", "/sys/class/net/lan/address"], ns=net.d)
    seed, taken = 0, 0
    # what is made up of ARP stands for the client too: then only the other family is answered
    with beside(net, True, probed="[%s]" % VIP6 if protocol == "arp" else VIP4):
        while taken < FRAMES:  # what a full ring loses does not count
            seed += 1
            n, gone = FRAMES - taken + 1000, on_the_way(net)
            a = net.start(["/usr/bin/python3", os.path.join(HARNESS, "fields.py"), protocol, "c0",
                           mac.strip(), VIP4, VIP6, str(n), str(seed)], ns=net.c,
                          log=net.file("fields.log"))
            a.wait(3600)
            check("sent %d" % n in a.log(), a.log())
            taken += n - (on_the_way(net) - gone)
        is_served(net)  # if made-up neighbours stand for the client, this mends it for wrk's end
    check(p.alive(), p.log()[-3000:])
    # neighbours that were made up may stand for the client: its next word mends that
    wait_for("service", lambda: is_served(net), 60)
    grew = grown(net, before)
    print("fields: %s: %s" % (protocol, grew), flush=True)
    few = [k for k, v in FLOORS[protocol].items() if grew.get(k, 0) < v * FRAMES]
    many = [k for k, v in CEILINGS.items() if grew.get(k, 0) > v * taken]
    check(not few and not many, "of %d frames too few %s, too many %s: %s" % (taken, few, many, grew))
    check(rss_kb(p) - rss < 4096, "RSS grew by %d kB" % (rss_kb(p) - rss))
    wait_for("nothing retained", lambda: idle(net), 150)
    buffers_back(net, before)
    net.stop_sluice(p)


test_fields.cases = [{"protocol": x} for x in ("arp", "ip4", "icmp4", "udp", "tcp", "ip6", "nd")]
test_fields.long = True
