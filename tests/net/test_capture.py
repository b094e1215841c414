# SPDX-License-Identifier: BSD-3-Clause
"""sluicectl capture against a daemon with ports: what is in the file, and what it costs nobody."""
import os
import re
import signal
import subprocess
import time

from lib import BUILD, SRV4, SRV6, VIP4, VIP6, check, random_file, sh, sha256, wait_for
from pcapng import Capture, stream

CTL = os.path.join(BUILD, "tools/sluicectl")
CFG = """
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
frontend web
    bind %s:80
    bind [%s]:80
    bind %%s
    default_backend far
frontend raw
    mode tcp
    bind %s:81
    default_backend raw_near
backend far
    server b1 %s:8001
    server b2 [%s]:8001 backup
backend raw_near
    mode tcp
    server b3 unix@%%s
""" % (VIP4, VIP6, VIP4, SRV4, SRV6)


def start(net, eal="", pmd="af_packet", **kw):
    sock = net.file("cli.sock")
    net.nginx([("far", 8001)])
    extra = '    stats socket "%s" mode 600 level admin\n    stats socket "%s" mode 600 level operator\n' % (
        sock, sock + ".oper")
    head = net.sluice_head(pmd, extra=extra, **kw)
    if eal:
        head = head.replace("--file-prefix=", eal + " --file-prefix=")
    return net.sluice(head + CFG % ((net.file("front.sock"),) * 2)), sock


class Recorder:
    """A sluicectl capture in the background; stop() interrupts it and reads its file."""

    def __init__(self, net, sock, *args):
        self.file = net.file("x%d.pcapng" % len(net.procs))
        self.p = net.start([CTL, "-s", sock, "capture", "-w", self.file, *args],
                           log=net.file("ctl%d.log" % len(net.procs)))
        # the head of the file is there when it captures
        wait_for("a capture", lambda: not self.p.alive() or (
            os.path.exists(self.file) and os.path.getsize(self.file) > 100))
        check(self.p.alive() or "-c" in args, self.p.log())

    def stop(self):
        if self.p.alive():
            self.p.send(signal.SIGINT)
        return self.ended()

    def ended(self):
        check(self.p.wait(20) == 0, self.p.log())
        c, text = Capture(self.file), self.p.log()
        told = [int(x) for x in re.findall(r"^(\d+) packets", text, re.M)]
        check(told == [len(c.packets), c.sum("lost"), c.sum("seen") - c.sum("matched")],
              "%s: %d packets, %s" % (text, len(c.packets), c.stats))
        check(c.sum("delivered") == len(c.packets), str(c.stats))
        return c


def both_legs(c, url_end, words, server=":8001"):
    """Every client that asked has a leg at a server, with the same bytes; returns their names."""
    clients = {p.mark["client"] for p in c.leg("client") if p.payload and words in p.payload}
    for client in clients:
        near, far = c.leg("client", client=client), c.leg("server", client=client)
        check(near and far, "%s has %d and %d packets" % (client, len(near), len(far)))
        check({p.dst if p.out else p.src for p in near} == {client}, "another client's packets")
        check(all((p.dst if p.out else p.src).endswith(server) for p in far), "not a server's")
        check(all((p.src if p.out else p.dst).endswith(url_end) for p in near), "not a client's")
        check(near[0].flags == 2 and not near[0].out, "the leg does not begin with the client's SYN")
        names = {p.mark["stream"] for p in near + far if "stream" in p.mark}
        check(len(names) == 1, "streams: %s" % names)
        asked = stream(far, True)
        check(words in asked and b"\r\n\r\n" in asked, "the server's leg says %r" % asked[:200])
    return clients


def body(packets, out):
    return stream(packets, out).split(b"\r\n\r\n", 1)[1]


def test_legs(net, eal):
    """Both legs of proxied connections are there and marked, of IPv4, IPv6, a client over a path and a server
    over one; bytes are whole; in each form of DPDK's memory."""
    p, sock = start(net, eal)
    with open(random_file(net.file("big"), 200000), "rb") as f:
        want = f.read()
    r = Recorder(net, sock)
    for url in ("http://%s" % VIP4, "http://[%s]" % VIP6):
        check(net.curl(url + "/name?x=1")[1] == "far\n", "no answer")
    net.curl("-o", net.file("got"), "http://%s/big?x=2" % VIP4)
    net.curl("-o", net.file("got"), "http://%s:81/big?x=3" % VIP4)  # to a path, which is the frontend's
    c = r.stop()
    check(c.interfaces == ["lan", "srv", "host"], str(c.interfaces))
    check(c.sum("lost") == 0 and c.sum("matched") == c.sum("seen"), str(c.stats))
    check(all(a.when <= b.when for a, b in zip(c.packets, c.packets[1:])), "dates go back")
    check(all(x.mark["worker"] == "0" for x in c.packets), "worker")
    check(len(both_legs(c, ":80", b"GET /name?x=1 ")) == 2, "two clients of ports")
    third = {x.mark["client"]: x.interface for x in c.leg("client") if x.payload and b"GET /big?x=3 " in x.payload}
    check(sorted(third.values()) == ["host", "lan"], "a client of the port, and one of the path: %s" % third)
    for client, via in third.items():
        far = {x.interface for x in c.leg("server", client=client)}
        check(far == {"srv" if via == "host" else "host"}, "%s: %s" % (via, far))
    for client in {*both_legs(c, ":80", b"GET /big?x=2 "), *third}:
        for leg, out in (("client", True), ("server", False)):
            check(body(c.leg(leg, client=client), out) == want, "%s of %s: bytes differ" % (leg, client))
    net.stop_sluice(p)


# hugepages where there are any, none, and nothing that another process could attach to
test_legs.cases = [{"eal": ""}, {"eal": "--no-huge"}, {"eal": "--no-shconf"}]


def test_options(net):
    """-c, -s and a filter; what is refused, and by which words; the next one can begin."""
    p, sock = start(net)
    url = "http://%s/name" % VIP4
    random_file(net.file("big"), 1 << 20)
    r = Recorder(net, sock, "-c", "50", "-s", "80", "tcp", "port", "8001")
    rc, out = sh([CTL, "-s", sock, "capture", "-w", net.file("no")], ok=False)
    check(rc == 1 and "a capture is running already" in out, "a second one: %d %s" % (rc, out))
    check(not os.path.exists(net.file("no")), "a file of nothing")
    with open(net.file("old"), "w", encoding="ascii") as f:
        f.write("what was there\n")
    rc, out = sh([CTL, "-s", sock, "capture", "-w", net.file("old")], ok=False)
    with open(net.file("old"), encoding="ascii") as f:
        check(rc == 1 and f.read() == "what was there\n", "a refused one touches the file: %d %s" % (rc, out))
    # what is wrong by itself is told before that: no capture begins of which nobody takes the packets
    rc, out = sh([CTL, "-s", sock, "capture", "-w", "/nowhere/x"], ok=False)
    check(rc == 1 and "/nowhere/x: No such file" in out, "no folder: %d %s" % (rc, out))
    check("Invalid count" in sh([CTL, "-s", sock, "capture count 0"], ok=False)[1], "words are read first")
    net.curl("-o", "/dev/null", "http://%s/big" % VIP4)
    c = r.ended()
    check(len(c.packets) == 50 and c.sum("seen") > c.sum("matched"), str(c.stats))
    check(all(":8001" in x.src + x.dst for x in c.packets), "the filter")
    check(all(len(x.data) == min(80, x.wire) for x in c.packets), "lengths")
    check(any(x.wire > 80 for x in c.packets), "nothing was cut")
    # a filter over the made up packets of the host
    r = Recorder(net, sock, "port 65535 and tcp[tcpflags] & tcp-push != 0")
    net.curl(url)
    sh(["curl", "-sSf", "--unix-socket", net.file("front.sock"), "http://x/name"], ns=net.d)
    c = r.stop()
    check([x.interface for x in c.packets] == ["host"] * 2, "%d packets" % len(c.packets))
    for args, rc, want in ((("-w", net.file("no"), "prot", "8001"), 2, "filter 'prot 8001'"),
                           (("-c", "5"), 2, "usage"), (("-w", net.file("no"), "-s", "0"), 2, "usage"),
                           (("-w", "/nowhere/x"), 1, "/nowhere/x: No such file")):
        got, out = sh([CTL, "-s", sock, "capture", *args], ok=False)
        check(got == rc and want in out, "%s: %d %s" % (args, got, out))
    rc, out = sh([CTL, "-s", sock + ".oper", "capture", "-w", net.file("no")], ok=False)
    check(rc == 1 and "Permission denied" in out, "as operator: %d %s" % (rc, out))
    for words, want in (("count 0", "Invalid count"), ("snaplen 70000", "Invalid snaplen"), ("filter 12", "Invalid filter"),
                        ("filter ffff000000000000", "Invalid filter"), ("fast 1", "Invalid word 'fast'")):
        _, out = sh([CTL, "-s", sock, "capture " + words], ok=False)
        check(want in out, "%s: %s" % (words, out))
    check(subprocess.run([CTL, "-s", sock, "capture", "-c", "1", "-w", "-"], stdout=subprocess.PIPE, check=True,
                         stderr=subprocess.DEVNULL).stdout[:4] == b"\n\r\r\n", "standard output")
    net.stop_sluice(p)


def test_stall(net):
    """A reader that stalls loses packets, which are counted, and nobody else notices; one that is killed
    makes room for the next; the end of the daemon leaves whole blocks."""
    p, sock = start(net)
    random_file(net.file("big"), 8 << 20)
    get = ["-o", net.file("got"), "http://%s/big" % VIP4]
    r = Recorder(net, sock)
    r.p.send(signal.SIGSTOP)
    net.curl(*get)
    check(sha256(net.file("got")) == sha256(net.file("big")), "the transfer differs")
    r.p.send(signal.SIGCONT)
    c = r.stop()
    check(c.sum("lost") > 1000 and c.sum("matched") == c.sum("lost") + len(c.packets), str(c.stats))
    check(len(c.packets) > 1000, str(c.stats))
    r = Recorder(net, sock)
    r.p.kill()
    wait_for("its end", lambda: sh([CTL, "-s", sock, "capture", "-c", "1", "-w", "/dev/null"], ok=False)[0] == 0)
    r = Recorder(net, sock)
    net.curl("-o", "/dev/null", "http://%s/name" % VIP4)
    wait_for("packets", lambda: os.path.getsize(r.file) > 1000)
    net.stop_sluice(p)
    check(r.p.wait(20) == 2 and "the daemon ended the capture" in r.p.log(), r.p.log())
    check(len(Capture(r.file).packets) > 3, "the file")


def test_tshark(net):
    """Wireshark's own reader: no malformed packet, right checksums of what is made up, and each client's
    request on two connections, through a port and through the host."""
    p, sock = start(net)
    random_file(net.file("big"), 1 << 20)  # all of it has room in the ring
    r = Recorder(net, sock)
    net.curl("-o", net.file("got"), "http://%s/big?x=1" % VIP4)
    net.curl("-o", net.file("got"), "http://%s:81/big?x=2" % VIP4)
    c = r.stop()
    check(c.sum("lost") == 0, str(c.stats))
    with open(net.file("big"), "rb") as f:
        want = f.read()
    for url in (b"GET /big?x=1 ", b"GET /big?x=2 "):
        for client in {x.mark["client"] for x in c.leg("client") if x.payload and url in x.payload}:
            for leg, out in (("client", True), ("server", False)):
                check(body(c.leg(leg, client=client), out) == want, "%s of %s: bytes differ" % (leg, client))
    env = dict(os.environ, HOME=net.dir)

    def tshark(*args):
        _, out = sh(["tshark", "-r", r.file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
                      "-o", "tcp.reassemble_out_of_order:TRUE", *args],
                    env=env)
        return [line.split("\t") for line in out.split("\n") if line and "Running as user" not in line]

    bad = tshark("-Y", "_ws.malformed or tcp.checksum.status == 0 or ip.checksum.status == 0")
    check(not bad, str(bad[:3]))
    # all bytes are in the file: a gap is of the wire, and what fills it comes behind it
    gaps, again = tshark("-Y", "tcp.analysis.lost_segment"), tshark(
        "-Y", "tcp.analysis.retransmission or tcp.analysis.fast_retransmission or tcp.analysis.out_of_order")
    check(len(gaps) <= len(again), "%d gaps, %d segments fill them: %s" % (len(gaps), len(again), gaps[:3]))
    asked = tshark("-Y", "http.request", "-T", "fields", "-e", "frame.interface_name", "-e", "tcp.stream", "-e",
                   "http.request.uri", "-e", "frame.comment")
    # the second one's server is the frontend's path
    want = [("lan", "/big?x=1"), ("srv", "/big?x=1"), ("lan", "/big?x=2"), ("srv", "/big?x=2")]
    check(sorted((x[0], x[2]) for x in asked) == sorted(want + [("host", "/big?x=2")] * 2), str(asked))
    for uri in ("/big?x=1", "/big?x=2"):
        streams = {x[1] for x in asked if x[2] == uri}
        client = re.search(r"client=(\S+)", next(x for x in asked if x[2] == uri and x[0] == "lan")[3]).group(1)
        legs = {x[0] for x in tshark("-Y", 'frame.comment contains "client=%s"' % client, "-T", "fields", "-e",
                                     "tcp.stream")}
        check(len(legs) == 2 and legs <= streams, "%s: streams %s, of its client %s" % (uri, streams, legs))
    sent = tshark("-Y", "http.response", "-T", "fields", "-e", "http.content_length")
    check(len(sent) == len(asked) and {x[0] for x in sent} == {str(1 << 20)}, "answers: %s" % sent)
    net.stop_sluice(p)


test_tshark.long = True
