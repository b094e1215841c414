# SPDX-License-Identifier: BSD-3-Clause
"""Frames of several segments that the device cuts: TAP does it in its driver, over IPv4."""
import os
import re

from lib import check, random_file, sh, sha256
from test_capture import Recorder
from pcapng import stream
from test_cli import ask
from test_start import refuse

VIP4, VIP6, PEER4, PEER6 = "10.61.3.10", "fd61:3::10", "10.61.3.1", "fd61:3::1"
PORT = """global
    dpdk-eal "--file-prefix=%s"
    stats socket "%s" mode 600 level admin
port tap
    device net_tap0,iface=slt0
    address %s/24
    %s
"""
BODY = """
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
frontend web
    bind %s:80
    use_backend six if { path_beg /six/ }
    default_backend four
backend four
    server b1 %s:8001
backend six
    server b6 [%s]:8001
""" % (VIP4, PEER4, PEER6)
SIX = "frontend web6\n    bind [%s]:80\n    use_backend six if { path_beg /six/ }\n    default_backend four\n" % VIP6


def start(net, lines, body=BODY + SIX):
    sock = net.file("cli.sock")
    p = net.sluice(PORT % (net.prefix, sock, VIP4, "\n    ".join(lines)) + body)
    sh(["ip", "-n", net.d, "addr", "add", PEER4 + "/24", "dev", "slt0"])
    sh(["ip", "-n", net.d, "-6", "addr", "add", PEER6 + "/64", "dev", "slt0", "nodad"])
    return p, sock


def curl(net, *args):
    sh(["curl", "-sS", "-f", "-m", "60", "--path-as-is", *args], ns=net.d, timeout=70)


def down_and_up(net, url, six):
    curl(net, "-o", net.file("got"), url + ("/six/.." if six else "") + "/big")
    check(sha256(net.file("got")) == sha256(net.file("big")), "download of %s differs" % url)
    os.unlink(net.file("got"))
    put = "put/x%d" % six
    curl(net, "-H", "Expect:", "-T", net.file("big"), url + ("/six/../" if six else "/") + put)
    check(sha256(net.file(put)) == sha256(net.file("big")), "upload to %s differs" % url)
    os.unlink(net.file(put))


def test_transfer(net, tso):
    """10 MB down and up, both families on either side: every byte, and no segment with a wrong sum."""
    random_file(net.file("big"), (10 << 20) + 12345)
    os.makedirs(net.file("put"))
    os.chmod(net.file("put"), 0o777)
    net.nginx([("b1", 8001)], ns=net.d)
    p, sock = start(net, ["address %s/64" % VIP6, "offload on", "tso " + tso])
    for host in (VIP4, "[%s]" % VIP6):
        for six in (False, True):
            down_and_up(net, "http://" + host, six)
    port = net.telemetry("/sluice/ports")["tap"]
    check((int(port["tso_segs"]) > 1) == (tso == "on"), "tso_segs: %s" % port["tso_segs"])
    names, values = [line.split() for line in ask(sock, "show ports").strip().split("\n")]
    check(int(dict(zip(names[1:], values))["tso_segs"]) == int(port["tso_segs"]), str(values))
    frames, segs, out = net.stat("tx_tso"), net.stat("tx_tso_segs"), net.stat("tcp_out")
    if tso == "on":  # a half of what was sent went over IPv4
        check(segs >= 2 * frames > 0, "%d segments in %d frames" % (segs, frames))
        check(segs > out / 4, "%d of %d segments were joined" % (segs, out))
    else:
        check(frames == 0 and segs == 0, "%d frames" % frames)
    _, bad = sh(["nstat", "-asz", "TcpInCsumErrors"], ns=net.d)
    check(re.search(r"TcpInCsumErrors +0 ", bad), bad)
    drops = net.telemetry("/sluice/drops")
    check(int(drops["tx_refused"]) == 0 and int(drops["tcp_csum"]) == 0, str(drops))
    check("TSO of IPv4" in p.log() if tso == "on" else "TSO" not in p.log(), p.log())
    net.stop_sluice(p)


test_transfer.cases = [{"tso": t} for t in ("on", "auto", "off")]


def test_capture(net):
    """A capture has each frame as the device got it, whole: no byte of a transfer is missing in it."""
    with open(random_file(net.file("big"), 2 << 20), "rb") as f:
        want = f.read()
    net.nginx([("b1", 8001)], ns=net.d)
    p, sock = start(net, ["address %s/64" % VIP6, "offload on", "tso on"])
    r = Recorder(net, sock)
    curl(net, "-o", net.file("got"), "http://%s/big" % VIP4)
    c = r.stop()
    check(c.sum("lost") == 0, str(c.stats))
    out = [k for k in c.packets if k.out and k.payload and k.src == VIP4 + ":80"]
    check(max(len(k.data) for k in out) > 3000, "no frame of several segments was captured")
    check(all(k.wire == len(k.data) <= 65535 for k in out), "a frame was cut off")
    check(stream(out, True).split(b"\r\n\r\n", 1)[1] == want, "bytes differ")
    net.stop_sluice(p)


def test_refused(net):
    """'tso on' where it cannot be is no start, and the message says why."""
    sock = net.file("cli.sock")
    refuse(net, PORT % (net.prefix, sock, VIP4, "tso on") + BODY, "port 'tap': 'tso on'", "'offload on'",
           r"bad\.cfg:\d+")
    head = net.sluice_head("af_packet").replace("port lan\n", "port lan\n    tso on\n")
    refuse(net, head + BODY.replace(VIP4, "10.61.1.10"), "port 'lan': 'tso on'", "checksums")
