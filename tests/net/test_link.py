# SPDX-License-Identifier: BSD-3-Clause
"""What a port does on its link: tags, routes, static neighbours, announcements, conflicts, carrier,
checksums by the device."""
import ctypes
import os
import re
import socket
import struct
import time

from lib import SLOW, SRV4, SRV6, VIP4, VIP6, check, random_file, sh, sha256, wait_for

BODY = """
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
frontend web
    bind %s:80
    bind [%s]:80
    use_backend six if { path_beg /six/ }
    default_backend four
backend four
    server b1 %s:8001
backend six
    server b6 [%s]:8001
"""
PLAIN = BODY % (VIP4, VIP6, SRV4, SRV6)


# each device and each number of workers; with one of them AF_XDP programs no spread
CROSSED = [{"pmd": "af_xdp", "nbthread": 1}, {"pmd": "af_xdp", "nbthread": 2}, {"pmd": "af_packet", "nbthread": 1}]


def queues(case):
    return {"queues": case["nbthread"]}


def mac_of(net, ns, dev):
    _, out = sh(["cat", "/sys/class/net/%s/address" % dev], ns=ns)
    return out.strip()


def both(net, paths=("/name", "/six/../name")):
    for host in (VIP4, "[%s]" % VIP6):
        for path in paths:
            _, out = net.curl("--path-as-is", "-i", "http://%s%s" % (host, path))
            check(out.startswith("HTTP/1.1 200 OK\r\n"), out)


def in_port(head, port, lines):
    """Adds lines to a port section of the head."""
    return head.replace("port %s\n" % port, "port %s\n    %s\n" % (port, "\n    ".join(lines)))


def test_vlan(net, pmd, nbthread):
    """The port tags and untags by itself; a network that is not tagged does not reach it."""
    random_file(net.file("big"), 5 << 20)
    net.nginx([("b1", 8001)])
    p = net.sluice(in_port(net.sluice_head(pmd, nbthread), "lan", ["vlan 100"]) + PLAIN)
    both(net)
    net.curl("-o", net.file("got"), "http://%s/big" % VIP4)
    check(sha256(net.file("got")) == sha256(net.file("big")), "download differs")
    drops = net.telemetry("/sluice/drops")
    check(int(drops["eth_vlan"]) == 0, "eth_vlan: %s" % drops["eth_vlan"])
    net.impair.stop()
    log = net.impair.log()
    check([int(x) for x in re.findall(r" untagged=(\d+)", log)] == [0, 0], log)
    # without the box nothing is tagged
    before = int(net.telemetry("/sluice/drops")["eth_vlan"])
    raw = socket_in(net.d, "x1")
    with raw:
        raw.send(bytes.fromhex("ffffffffffff02aa000000090806") + bytes(46))
    wait_for("eth_vlan", lambda: int(net.telemetry("/sluice/drops")["eth_vlan"]) > before)
    net.stop_sluice(p)


test_vlan.cases = CROSSED
test_vlan.net = lambda case: dict(queues(case), impair=["-V", "100"])


def socket_in(ns, dev):
    """A packet socket of another namespace, bound to a device there."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/var/run/netns/" + ns, os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        check(libc.setns(there, 0x40000000) == 0, "setns")
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind((dev, 0))
        return s
    finally:
        libc.setns(home, 0x40000000)
        os.close(home)
        os.close(there)


def test_routes(net, nbthread):
    """Servers behind a router, by both families; the router is a static neighbour that is mute."""
    net.nginx([("b1", 8001)])
    sh(["ip", "-n", net.s, "addr", "add", "10.99.1.1/32", "dev", "lo"])
    sh(["ip", "-n", net.s, "-6", "addr", "add", "fd99::1/128", "dev", "lo"])
    sh(["ip", "-n", net.s, "link", "set", "s0", "arp", "off"])
    ours, mac = mac_of(net, net.d, "srv"), mac_of(net, net.s, "s0")
    for a in ("10.61.2.10", "fd61:2::10"):
        sh(["ip", "-n", net.s, "neigh", "replace", a, "lladdr", ours, "dev", "s0", "nud",
            "permanent"])
    body = BODY % (VIP4, VIP6, "10.99.1.1", "fd99::1")
    lines = ["route 10.99.0.0/16 via 10.61.2.1", "route fd99::/32 via fd61:2::1",
             "neighbour 10.61.2.1 " + mac, "neighbour fd61:2::1 " + mac]
    p = net.sluice(in_port(net.sluice_head("af_xdp", nbthread), "srv", lines) + body)
    both(net)
    rows = [r for r in net.telemetry("/sluice/neigh").values() if r["port"] == "srv"]
    check(sorted(r["address"] for r in rows) == ["10.61.2.1", "fd61:2::1"] and
          all(r["mac"].lower() == mac for r in rows), str(rows))
    net.stop_sluice(p)


test_routes.cases = [{"nbthread": n} for n in (1, 2)]
test_routes.net = queues


def neigh(net, ns, ip):
    _, out = sh(["ip", "-n", ns, "neigh", "show", ip], ok=False)
    m = re.search(r"lladdr (\S+)", out)
    return m.group(1) if m else ""


WRONG = "02:00:00:00:00:99"


def wrong_neighbours(net):
    for a in (VIP4, VIP6):
        sh(["ip", "-n", net.c, "neigh", "replace", a, "lladdr", WRONG, "dev", "c0",
            "nud", "stale"])


def test_announce(net, nbthread):
    """At start, and when the link comes back, who has a stale entry hears the right one unasked."""
    wrong_neighbours(net)
    p = net.sluice(net.sluice_head("af_xdp", nbthread) + PLAIN)
    mac = mac_of(net, net.d, "lan")
    for a in (VIP4, VIP6):
        wait_for("announcement of " + a, lambda a=a: neigh(net, net.c, a) == mac, 5)
    sh(["ip", "-n", net.d, "link", "set", "lan", "down"])
    wait_for("down in the log", lambda: "port 'lan': link is down" in p.log(), 5)
    # the kernel forgets c0's neighbours when it takes note, up to a second later; what is not known is not corrected
    wait_for("down at c0", lambda: re.search("state (LOWERLAYER)?DOWN",
                                             sh(["ip", "-n", net.c, "link", "show", "c0"])[1]), 5)
    wrong_neighbours(net)
    sh(["ip", "-n", net.d, "link", "set", "lan", "up"])
    wait_for("up in the log", lambda: "port 'lan': link is up" in p.log(), 5)
    for a in (VIP4, VIP6):
        wait_for("announcement of " + a, lambda a=a: neigh(net, net.c, a) == mac, 5)
    check(int(net.telemetry("/sluice/ports")["lan"]["link_changes"]) == 2,
          str(net.telemetry("/sluice/ports")["lan"]))
    net.stop_sluice(p)


test_announce.cases = [{"nbthread": n} for n in (1, 2)]
test_announce.net = queues


def test_bounce(net, pmd, nbthread):
    """A link that goes and comes between two looks was away: it is told, and our addresses are announced again."""
    p = net.sluice(net.sluice_head(pmd, nbthread) + PLAIN)
    mac = mac_of(net, net.d, "lan")
    time.sleep(2.5)  # the second announcement of the start comes two seconds behind the first
    check(int(net.telemetry("/sluice/ports")["lan"]["link_changes"]) == 0, "a change at start")
    batch = net.write("bounce", "link set lan down\nlink set lan up\n")
    t = time.monotonic()
    sh(["ip", "-n", net.d, "-batch", batch])
    took = time.monotonic() - t
    wait_for("the line in the log", lambda: re.search("port 'lan': link (changed 2 times, it )?is up", p.log()), 5)

    def told(a):
        # c0's kernel forgets its neighbours once it takes note; what is not known is not corrected
        if neigh(net, net.c, a) == "":
            wrong_neighbours(net)
        return neigh(net, net.c, a) == mac
    wrong_neighbours(net)
    for a in (VIP4, VIP6):
        wait_for("announcement of " + a, lambda a=a: told(a), 5)
    n = int(net.telemetry("/sluice/ports")["lan"]["link_changes"])
    check(n == 2, "%d changes, within %.3f s" % (n, took))
    net.stop_sluice(p)


test_bounce.cases = CROSSED
test_bounce.net = queues


def test_carrier(net, pmd, nbthread):
    """The other end loses carrier in the middle of a transfer and comes back: it goes on."""
    random_file(net.file("big"), 60 << 20)
    net.nginx([("b1", 8001)])
    p = net.sluice(net.sluice_head(pmd, nbthread) + PLAIN)
    c = net.start(["curl", "-sS", "-m", "60", "--limit-rate", "12M", "-o", net.file("got"),
                   "http://%s/big" % VIP4], ns=net.c, log=net.file("curl.log"))
    wait_for("bytes", lambda: os.path.exists(net.file("got")) and
             os.path.getsize(net.file("got")) > 1 << 20)
    # the servers' side: addresses of c0 would go with its link
    sh(["ip", "-n", net.s, "link", "set", "s0", "down"])
    wait_for("down in the log", lambda: "port 'srv': link is down" in p.log(), 5)
    time.sleep(0.5)  # with nothing to wait for: the outage itself
    sh(["ip", "-n", net.s, "link", "set", "s0", "up"])
    sh(["ip", "-n", net.s, "-6", "addr", "replace", "fd61:2::1/64", "dev", "s0", "nodad"])
    wait_for("up in the log", lambda: "port 'srv': link is up" in p.log(), 5)
    check(c.wait(60 * SLOW) == 0, net.file("curl.log"))
    check(sha256(net.file("got")) == sha256(net.file("big")), "download differs")
    both(net)
    net.stop_sluice(p)


test_carrier.cases = CROSSED
test_carrier.net = queues


def advert(mac, target):
    """An advertisement to all nodes, with Override: target is mac's (RFC 4861 4.4)."""
    t, group = socket.inet_pton(socket.AF_INET6, target), socket.inet_pton(socket.AF_INET6, "ff02::1")
    body = bytes([0x20, 0, 0, 0]) + t + b"\2\1" + mac
    s = sum(struct.unpack("!36H", t + group + struct.pack("!IIBBH", 32, 58, 136, 0, 0) + body))
    s = ~(s % 0xffff) & 0xffff
    return (b"\x33\x33\0\0\0\1" + mac + struct.pack("!HIHBB", 0x86dd, 6 << 28, 32, 58, 255) + t + group +
            struct.pack("!BBH", 136, 0, s) + body)


def test_conflict(net, nbthread):
    """Somebody else claims our addresses: main says who, and clients that believed it are told the right one."""
    p = net.sluice(net.sluice_head("af_xdp", nbthread) + PLAIN)
    mac, evil = mac_of(net, net.d, "lan"), "02:66:00:00:00:01"
    e = bytes.fromhex(evil.replace(":", ""))
    vip = socket.inet_aton(VIP4)
    claims = ((VIP4, b"\xff" * 6 + e + bytes.fromhex("08060001080006040001") + e + vip + bytes(6) + vip),
              (VIP6, advert(e, VIP6)))
    time.sleep(2.5)  # the second announcement of the start comes two seconds behind the first
    wrong_neighbours(net)
    time.sleep(0.5)
    check(all(neigh(net, net.c, a) == WRONG for a, _ in claims), "it still announces")
    raw = socket_in(net.c, "c0")
    with raw:
        # who claims it does not reach c itself: what c then has is what sluice says to it
        for n, (a, claim) in enumerate(claims):
            for _ in range(50):
                raw.send(claim)
            wait_for("the right MAC of " + a, lambda a=a: neigh(net, net.c, a) == mac, 2)
            wait_for("50 of " + a,
                     lambda n=n: int(net.telemetry("/sluice/drops")["addr_conflict"]) == 50 * (n + 1))
    wait_for("the line in the log", lambda: re.search(
        r"port 'lan': address (%s|%s) is also used by %s" % (re.escape(VIP4), VIP6, evil), p.log(), re.I), 5)
    for a in (VIP4, VIP6):
        _, out = sh(["ping", "-q", "-c", "3", "-i", "0.1", "-W", "10", a], ns=net.c)
        check(" 0% packet loss" in out and neigh(net, net.c, a) == mac, out)
    check(len(re.findall("is also used by", p.log())) == 1, "not said once")
    net.stop_sluice(p)


test_conflict.cases = [{"nbthread": n} for n in (1, 2)]
test_conflict.net = queues


def test_closed(net):
    """UDP and protocols that nobody serves are refused as by any host; at a bounded rate."""
    p = net.sluice(net.sluice_head("af_xdp") + PLAIN)
    ask = net.write("udp.py", """
import socket, sys
socks = []
for host, family in (("%s", socket.AF_INET), ("%s", socket.AF_INET6)):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((host, 53))
    s.send(b"x")
    try:
        s.recv(10)
        sys.exit("answered")
    except ConnectionRefusedError:
        socks.append(s)
for s in socks * 6000:
    try:
        s.send(b"x")
    except ConnectionRefusedError:
        pass
print("refused")
""" % (VIP4, VIP6))
    def burst():  # a worker that is away for one of them loses what its ring does not hold
        _, out = sh(["/usr/bin/python3", ask], ns=net.c, ok=False)
        check("refused" in out, out + str(net.telemetry("/sluice/drops")) +
              str(net.telemetry("/sluice/workers")))

    burst()
    wait_for("all counted", lambda: int(net.telemetry("/sluice/drops")["udp_no_port"]) >= 1500 or burst(), 20)
    sent, kept = net.stat("icmp_err_out"), net.stat("icmp_err_limited")
    check(sent >= 2 and kept > 0 and sent < kept, "%d sent, %d kept back" % (sent, kept))
    _, out = sh(["ping", "-q", "-c", "2", "-W", "10", VIP6], ns=net.c)  # echo has its own limit
    check(" 0% packet loss" in out, out)
    net.stop_sluice(p)


def test_offload(net, offload, nbthread):
    """TAP computes checksums in its driver, or we do: the same bytes, and the port says which."""
    random_file(net.file("big"), 10 << 20)
    conf = net.nginx([("b1", 8001)], ns=net.d)
    p = net.sluice("""global
    nbthread %d
    dpdk-eal "--file-prefix=%s"
port tap
    device net_tap0,iface=slt0
    address 10.61.3.10/24
    address fd61:3::10/64
    offload %s
""" % (nbthread, net.prefix, offload) + BODY % ("10.61.3.10", "fd61:3::10", "10.61.3.1", "fd61:3::1"))
    sh(["ip", "-n", net.d, "addr", "add", "10.61.3.1/24", "dev", "slt0"])
    sh(["ip", "-n", net.d, "-6", "addr", "add", "fd61:3::1/64", "dev", "slt0", "nodad"])
    for host in ("10.61.3.10", "[fd61:3::10]"):
        for path in ("/big", "/six/../big"):
            sh(["curl", "-sS", "-m", "60", "--path-as-is", "-o", net.file("got"),
                "http://%s%s" % (host, path)], ns=net.d, timeout=70)
            check(sha256(net.file("got")) == sha256(net.file("big")), "%s%s differs" % (host, path))
    bits = int(net.telemetry("/sluice/ports")["tap"]["offloads"])
    check((bits & 0x0f) == (0x0f if offload == "on" else 0), "offloads are 0x%x" % bits)
    drops = net.telemetry("/sluice/drops")
    check(int(drops["tcp_csum"]) == 0 and int(drops["ip_csum"]) == 0, str(drops))
    # flows of other ports, until each worker has had one
    wait_for("both workers serve", lambda: sh(["curl", "-sS", "http://10.61.3.10/name"], ns=net.d)[0] == 0 and
             all(int(w["h1_requests"]) > 0 for w in net.telemetry("/sluice/workers").values()))
    check(conf.alive(), "nginx ended")
    net.stop_sluice(p)


test_offload.cases = [{"offload": "on", "nbthread": 1}, {"offload": "on", "nbthread": 2}, {"offload": "off", "nbthread": 2}]


def test_vanish(net, pmd, nbthread):
    """An interface is deleted in the middle of traffic: that port is in error, everything else goes on, even when
    another one comes under its name; the end is an ordinary one."""
    net.nginx([("b1", 8001)])
    soon = PLAIN.replace("timeout connect 2s", "timeout connect 300ms\n    retries 1")
    p = net.sluice(net.sluice_head(pmd, nbthread) + soon + """
frontend own
    bind %s:81
    http-request return status 200 content-type text/plain string "own"
""" % VIP4)
    w = net.start(["wrk", "-t1", "-c16", "-d2s", "http://%s/name" % VIP4], ns=net.c, log=net.file("wrk.log"))
    wait_for("requests", lambda: net.stat("h1_requests") > 100)
    sh(["ip", "-n", net.s, "link", "del", "s0"])  # and srv with it
    wait_for("the alert", lambda: "port 'srv': its device " in p.log() and " is gone: " in p.log(), 5)
    port = net.telemetry("/sluice/ports")["srv"]
    check(int(port["gone"]) == 1 and int(port["link_up"]) == 0, str(port))
    check(net.curl("http://%s:81/" % VIP4)[1] == "own", "the other port")
    _, out = net.curl("-i", "http://%s/name" % VIP4)
    check(re.match(r"HTTP/1.1 50[34] ", out), out)
    w.wait(10 * SLOW)
    net._veth(net.s, "s0", net.d, "srv", ["numtxqueues", str(net.queues), "numrxqueues", str(net.queues)])
    for ns, i in ((net.s, "s0"), (net.d, "srv")):
        sh(["ip", "-n", ns, "link", "set", i, "up"])
    time.sleep(0.6)  # main looks twice a second
    check(int(net.telemetry("/sluice/ports")["srv"]["gone"]) == 1, "it came back by itself")
    check(len(re.findall("its device", p.log())) == 1, p.log())
    check(net.curl("http://%s:81/" % VIP4)[1] == "own", "the other port, later")
    net.stop_sluice(p, 5)


test_vanish.cases = CROSSED
test_vanish.net = queues


def test_vanish_tap(net):
    """The same of the only port, a TAP, and of the TAP of an exception path."""
    p = net.sluice("""global
    dpdk-eal "--file-prefix=%s"
port tap
    device net_tap0,iface=slt0
    address 10.61.3.10/24
    kernel-tap slk0
defaults
    mode http
    timeout client 5s
frontend own
    bind 10.61.3.10:80
    bind 127.0.0.1:80
    http-request return status 200 content-type text/plain string "own"
""" % net.prefix)
    sh(["ip", "-n", net.d, "addr", "add", "10.61.3.1/24", "dev", "slt0"])
    check(sh(["curl", "-sS", "http://10.61.3.10/"], ns=net.d)[1] == "own", "own")
    sh(["ip", "-n", net.d, "link", "del", "slk0"])
    wait_for("the alert", lambda: "somebody deleted its TAP 'slk0'" in p.log(), 5)
    sh(["ping", "-q", "-c", "1", "-W", "1", "10.61.3.99"], ns=net.d, ok=False)  # frames for it
    check(sh(["curl", "-sS", "http://10.61.3.10/"], ns=net.d)[1] == "own", "own, without the other TAP")
    sh(["ip", "-n", net.d, "link", "del", "slt0"])
    wait_for("the alert", lambda: "port 'tap': its device net_tap0" in p.log(), 5)
    check(sh(["curl", "-sS", "http://127.0.0.1/"], ns=net.d)[1] == "own", "own, over the host")
    net.stop_sluice(p, 5)
