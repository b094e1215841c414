# SPDX-License-Identifier: BSD-3-Clause
"""Starting and refusing to start: messages that name file, line, thing and fix; command line."""
import os
import re
import shutil
import signal
import time

from lib import BUILD, VIP4, check, is_gone, sh, wait_for

FRONT = """
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend web
    bind %s:80
    http-request return status 200 content-type text/plain string "hello"
""" % VIP4


def refuse(net, cfg, *words, args=(), code=1):
    """The daemon ends by itself with this code, and says all of the words."""
    f = net.write("bad.cfg", cfg)
    rc, out = sh([os.path.join(BUILD, "sluice"), *args, "-f", f], ns=net.d, ok=False, timeout=60)
    check(rc == code, "exit code %d:\n%s" % (rc, out[-2000:]))
    for w in words:
        check(re.search(w, out), "'%s' is not said:\n%s" % (w, out[-2000:]))
    net.left_behind()
    return out


def test_no_interface(net):
    cfg = net.sluice_head("af_xdp").replace("iface=srv", "iface=nosuch0") + FRONT
    line = 1 + cfg.split("\n").index("    device net_af_xdp1,iface=nosuch0")
    refuse(net, cfg, "nosuch0", r"bad\.cfg:%d" % line)


def test_peer_offload(net):
    """A veth peer that leaves checksums or segmentation to hardware: refused, with the command."""
    sh(["ip", "link", "add", "pa", "netns", net.d, "type", "veth", "peer", "name", "pb", "netns",
        net.d])
    for i in ("pa", "pb"):
        sh(["ip", "-n", net.d, "link", "set", i, "up"])
    cfg = net.sluice_head("af_xdp").replace("iface=srv", "iface=pa") + FRONT
    refuse(net, cfg, "pb", "ethtool -K")


def test_memory(net):
    """More memory asked for than there is: the sum needed and the sum there are in the message."""
    cfg = net.sluice_head("af_xdp", extra="    maxconn 2000000000\n") + FRONT
    refuse(net, cfg, r"\d+ (MB|MiB|GB|GiB)")


def test_device_unknown(net):
    cfg = net.sluice_head("af_xdp").replace("net_af_xdp0,iface=lan", "net_nosuch0,iface=lan")
    refuse(net, cfg + FRONT, "net_nosuch0", r"bad\.cfg:\d+")


def test_no_right(net):
    """An ordinary user's start with a port: the capability that is missing, said to a pipe of root's."""
    sluice = shutil.copy(os.path.join(BUILD, "sluice"), net.dir)  # a checkout may lie where only root may go
    for device, cap in (("net_tap0,iface=slt0", "CAP_NET_ADMIN"), ("net_af_xdp0,iface=lan", "CAP_NET_RAW"),
                        ("net_af_packet0,iface=lan", "CAP_NET_RAW")):
        head = net.sluice_head("af_xdp")
        head = head[:head.index("port srv")].replace("net_af_xdp0,iface=lan", device)
        f = net.write("user.cfg", head + FRONT)
        line = 1 + head.split("\n").index("    device " + device)
        rc, out = sh(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sluice, "-f", f], ns=net.d,
                     ok=False)
        check(rc == 1 and re.search(r"\[ALERT\].*user\.cfg:%d\].* port 'lan'.*%s" % (line, cap), out), out)
        net.left_behind()


def test_check_modes(net):
    """-c, -V and exit codes as haproxy's."""
    sluice = os.path.join(BUILD, "sluice")
    f = net.write("ok.cfg", net.sluice_head("af_xdp") + FRONT)
    rc, out = sh([sluice, "-c", "-V", "-f", f], ns=net.d, ok=False)
    check(rc == 0 and "Configuration file is valid" in out, out)
    f = net.write("none.cfg", net.sluice_head("af_xdp"))
    rc, out = sh([sluice, "-c", "-f", f], ns=net.d, ok=False)
    check(rc == 2, "no listener: %d %s" % (rc, out))
    f = net.write("bad.cfg", net.sluice_head("af_xdp") + FRONT.replace("mode http", "mode htpp"))
    rc, out = sh([sluice, "-c", "-f", f], ns=net.d, ok=False)
    check(rc == 1 and re.search(r"\[ALERT\].*bad\.cfg:\d+.*htpp", out), out)
    rc, out = sh([sluice, "-v"], ok=False)
    check(rc == 0 and "sluice" in out.lower(), out)


def test_return(net):
    """An answer of our own, without any server."""
    p = net.sluice(net.sluice_head("af_xdp") + FRONT)
    _, out = net.curl("-i", "http://%s/" % VIP4)
    check(out.startswith("HTTP/1.1 200") and out.endswith("hello"), out)
    net.stop_sluice(p)


def test_daemon(net):
    """-D: returns when ready; the pid file names the process that stops it."""
    f = net.write("sluice.cfg", net.sluice_head("af_xdp") + FRONT)
    pidfile = net.file("pid")
    sh([os.path.join(BUILD, "sluice"), "-D", "-p", pidfile, "-f", f], ns=net.d, timeout=60)
    wait_for("an answer", lambda: "200" in net.curl("-i", "http://%s/" % VIP4, ok=False)[1])
    with open(pidfile) as h:
        pid = int(h.read().split()[0])
    t = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    wait_for("the end", lambda: is_gone(pid), 5)
    check(time.monotonic() - t < 5, "stopping took long")
    net.left_behind()


def test_pid_file(net):
    """It stays that of the daemon that runs: whatever start fails beside it, and behind a takeover (-sf)."""
    def start(*more, rc=0, bind=8088):
        f = net.write("sluice.cfg", "defaults\n    mode http\n    timeout client 5s\n    timeout server 5s\n"
                      "    timeout connect 5s\nfrontend f\n    bind 127.0.0.1:%d\n"
                      "    http-request return status 200\n" % bind)
        got, out = sh([os.path.join(BUILD, "sluice"), "-D", "-p", file, "-f", f] + list(more), ns=net.d,
                      timeout=60, ok=False)
        check(got == rc, out)

    def pid():
        with open(file) as h:
            return int(h.read().split()[0])

    file = net.file("pid")
    start()
    first = pid()
    start(rc=1)  # the address is taken
    check(pid() == first, "a start that failed took the pid file")
    start("-sf", str(first), bind=8089)
    second = pid()
    check(second != first, "the successor is not in the pid file")
    wait_for("the end of the first", lambda: is_gone(first), 10)
    check(pid() == second, "the predecessor took the pid file with it")
    os.kill(second, signal.SIGTERM)
    wait_for("the end", lambda: is_gone(second), 10)
    check(not os.path.exists(file), "the pid file is left")
    net.left_behind()


def test_telemetry(net):
    """The four commands of the first day, read by Debian's tool."""
    p = net.sluice(net.sluice_head("af_xdp") + FRONT)
    net.curl("http://%s/" % VIP4)
    for path in ("/sluice/info", "/sluice/ports", "/sluice/workers", "/sluice/drops"):
        _, out = sh(["dpdk-telemetry.py", "-f", net.prefix], stdin=(path + "\n").encode())
        check(path in out and "null" not in out.split(path)[-1][:20], out)
    ports = str(net.telemetry("/sluice/ports"))
    check("rx_packets" in ports and "lan" in ports, ports)
    check(net.stat("h1_requests") == 1, "h1_requests is %d" % net.stat("h1_requests"))
    net.stop_sluice(p)
