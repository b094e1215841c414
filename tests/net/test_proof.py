# SPDX-License-Identifier: BSD-3-Clause
"""What takes long, behind --long: everything hostile at once for half an hour, thousands of transfers over
a path that loses, and a million frames of each protocol whose fields are anything."""
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from lib import BUILD, SRV4, VIP4, VIP6, check, parse_wrk, random_file, sh, sha256, wait_for
from test_attacks import HARNESS, attack, begin_wrk, beside, counters, rss_kb, start

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


def is_served(net):
    try:
        return net.curl("-o", "/dev/null", "-w", "%{http_code}", "http://%s/name" % VIP4, ok=False,
                        timeout=3)[1].strip() == "200"
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
    """The servers' link or the clients' goes for half a second."""
    ns, dev = (net.s, "s0") if n % 2 else (net.d, "lan")
    sh(["ip", "-n", ns, "link", "set", dev, "down"])
    time.sleep(0.5)  # the outage itself
    sh(["ip", "-n", ns, "link", "set", dev, "up"])
    if dev == "s0":
        sh(["ip", "-n", ns, "-6", "addr", "replace", "fd61:2::1/64", "dev", dev, "nodad"])


def test_chaos(net, minutes):
    """A flood of SYNs, loss, clients and servers that hang up anywhere and links that flap, while wrk
    asks; what it asks beside the flaps is answered."""
    abuse = os.path.join(BUILD, "tests/harness/abuse")
    net.start([abuse, "server", "-s", "2", "8002"], ns=net.s)
    net.wait_port(net.s, "::", 8002)
    p = start(net, more=MORE)
    rounds, asked, failed = 0, 0, 0
    until = time.monotonic() + minutes * 60
    before = counters(net)
    rss = 0
    while time.monotonic() < until:
        torn = net.start([abuse, "client", "-s", str(rounds), "-n", "1000000000", "-c", "8", VIP4,
                          "81"], ns=net.c)
        flood = attack(net, "syn", 3600, 5000)
        w = begin_wrk(net, 20, rounds % 2 == 0)
        r = parse_wrk(w.communicate(timeout=120)[0].decode())
        asked += r["requests"]
        failed += r["bad"] + r["non2xx"]
        check(p.alive(), p.log()[-3000:])
        w = begin_wrk(net, 4, rounds % 2 == 0)
        flap(net, rounds)
        w.communicate(timeout=120)
        torn.stop()
        flood.stop()
        wait_for("service after a flap", lambda: is_served(net), 30)
        rounds += 1
        if rounds == 2:
            rss = rss_kb(p)
        print("chaos: %d rounds, %d requests, %d failed" % (rounds, asked, failed), flush=True)
    now = counters(net)
    grew = {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}
    print("chaos: %s" % grew, flush=True)
    check(asked > 100 * rounds and failed * 1000 <= asked, "%d of %d failed" % (failed, asked))
    check(grew.get("tcp_cookies", 0) > 0 and grew.get("tcp_retrans", 0) > 0, str(grew))
    wait_for("nothing retained", lambda: idle(net), 150)
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


def on_the_way(net):
    """Frames of the clients, wrk's too, that have not come to sluice."""
    stats = "/sys/class/net/c0/statistics/"
    _, out = sh(["cat", stats + "tx_packets", stats + "tx_dropped"], ns=net.c)
    return sum(int(x) for x in out.split()) - next(
        int(v["rx_packets"]) for v in net.telemetry("/sluice/ports").values() if v["name"] == "lan")


def test_fields(net, protocol):
    """Frames whose fields are anything: taken in, nothing is held, wrk beside is served."""
    p = start(net)
    is_served(net)
    rss, before = rss_kb(p), counters(net)
    _, mac = sh(["cat", "/sys/class/net/lan/address"], ns=net.d)
    seed, taken = 0, 0
    with beside(net, True):
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
    now = counters(net)
    grew = {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}
    print("fields: %s: %s" % (protocol, grew), flush=True)
    check(rss_kb(p) - rss < 4096, "RSS grew by %d kB" % (rss_kb(p) - rss))
    wait_for("nothing retained", lambda: idle(net), 150)
    net.stop_sluice(p)


test_fields.cases = [{"protocol": x} for x in ("arp", "ip4", "icmp4", "udp", "tcp", "ip6", "nd")]
test_fields.long = True
