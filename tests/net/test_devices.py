# SPDX-License-Identifier: BSD-3-Clause
"""Kinds of ports and memory beside veth: memif between two instances, hugepages."""
import contextlib
import mmap
import os
import re
import signal
import stat

from lib import ASAN, BUILD, VIP4, VIP6, check, is_gone, random_file, sha256, sh, wait_for

EAL_RUN = "/var/run/dpdk"
TIMEOUTS = """
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
"""


def test_memif(net, nbthread):
    """Two instances joined by shared memory: one forwards over memif to the other, which serves."""
    random_file(net.file("big"), 5 << 20)
    net.nginx([("b1", 8001)])
    far = net.write("far.cfg", """global
    nbthread %d
    dpdk-eal "--file-prefix=%sf"
port mem
    device net_memif0,role=server,id=0,socket=%s,socket-abstract=no
    address 10.61.3.2/24
    address fd61:3::2/64
port srv
    device net_af_packet1,iface=srv
    address 10.61.2.10/24
%s
frontend web
    bind 10.61.3.2:80
    bind [fd61:3::2]:80
    http-request return status 200 content-type text/plain string "over memif" if { path /own }
    default_backend far
backend far
    server b1 10.61.2.1:8001
""" % (nbthread, net.prefix, net.file("memif.sock"), TIMEOUTS))
    q = net.start([os.path.join(BUILD, "sluice"), "-f", far], ns=net.d, log=net.file("far.log"))
    wait_for("the far instance", lambda: " ready" in q.log() or not q.alive(), 20)
    check(q.alive(), q.log()[-2000:])
    p = net.sluice("""global
    nbthread %d
    dpdk-eal "--file-prefix=%s"
port lan
    device net_af_packet0,iface=lan
    address %s/24
port mem
    device net_memif0,role=client,id=0,socket=%s,socket-abstract=no
    address 10.61.3.1/24
    address fd61:3::1/64
%s
frontend web
    bind %s:80
    use_backend six if { path_beg /six/ }
    default_backend near
backend near
    server far 10.61.3.2:80
backend six
    server far [fd61:3::2]:80
""" % (nbthread, net.prefix, VIP4, net.file("memif.sock"), TIMEOUTS, VIP4))
    _, out = net.curl("-i", "--retry", "5", "--retry-all-errors", "http://%s/own" % VIP4)
    check(out.startswith("HTTP/1.1 200") and out.endswith("over memif"), out)
    second = net.start([os.path.join(BUILD, "sluice"), "-f", far], ns=net.d, log=net.file("second.log"))
    check(second.wait(20) == 1 and "another process uses --file-prefix" in second.log(), second.log())
    check(not [n for n in os.listdir(EAL_RUN) if n.startswith(net.prefix + "f-")], "its folder is left")
    net.curl("-o", net.file("got"), "http://%s/big" % VIP4)
    check(sha256(net.file("got")) == sha256(net.file("big")), "the download differs")
    _, out = net.curl("--path-as-is", "-i", "http://%s/six/../name" % VIP4)
    check(out.startswith("HTTP/1.1 200"), out)
    ports = net.telemetry("/sluice/ports")
    check(re.search(r"memif", str(ports)), "no memif port: %s" % ports)
    r = net.wrk("http://%s/own" % VIP4, seconds=2, conns=16)
    check(r["requests"] > 200 and r["bad"] == 0 and r["non2xx"] == 0, r["text"])
    net.stop_sluice(p)
    for kill_parent in (False, True):  # the server: by its parent, or by the next start
        child = int(sh(["pgrep", "-P", str(q.pid)])[1])
        if kill_parent:
            os.kill(q.pid, signal.SIGSTOP)
        os.kill(child, signal.SIGKILL)
        if kill_parent:
            q.kill()
        q.wait(20)
        wait_for("the daemon's end", lambda child=child: is_gone(child), 20)
        check(os.path.exists(net.file("memif.sock")) == kill_parent, "the socket of memif: %s" % kill_parent)
        q = net.start([os.path.join(BUILD, "sluice"), "-f", far], ns=net.d, log=net.file("far.log"))
        wait_for("the far instance", lambda: " ready" in q.log() or not q.alive(), 20)
        check(q.alive(), q.log()[-2000:])
    check(q.stop() in (0, 143), q.log()[-2000:])
    check(not os.path.exists(net.file("memif.sock")), "the socket of memif is left")


test_memif.cases = [{"nbthread": n} for n in (1, 2)]
test_memif.net = lambda case: {"queues": case["nbthread"]}


WEB = TIMEOUTS + """
frontend web
    bind %s:80
    bind [%s]:80
    http-request return status 200 content-type text/plain string "own" if { path /own }
    default_backend be
backend be
    server b1 %s
"""


def sent(net, iface):
    """Frames that an interface was given: a TAP by the kernel, a veth by the daemon."""
    return int(sh(["cat", "/sys/class/net/%s/statistics/tx_packets" % iface], ns=net.d)[1])


def test_bond(net, nbthread):
    """Active backup over two TAPs that a bridge joins to the lan: what the active one loses the other carries."""
    net.nginx([("b1", 8001)])
    p = net.sluice("""global
    nbthread %d
    dpdk-eal "--file-prefix=%s --vdev net_tap0,iface=slb0 --vdev=net_tap1,iface=slb1"
port lan
    device net_bonding0,mode=1,slave=net_tap0,slave=net_tap1,primary=net_tap1
    address %s/24
    address %s/64
port srv
    device net_af_packet0,iface=srv
    address 10.61.2.10/24
%s""" % (nbthread, net.prefix, VIP4, VIP6, WEB % (VIP4, VIP6, "10.61.2.1:8001")))
    check(re.search(r"port 'lan': net_bonding0\S* \(net_bonding\), .*, %d queues? of " % nbthread, p.log()), p.log())
    sh(["ip", "-n", net.d, "link", "add", "br0", "type", "bridge"])
    for i in ("lan", "slb0", "slb1", "br0"):
        sh(["sysctl", "-qw", "net.ipv6.conf.%s.disable_ipv6=1" % i], ns=net.d)
        if i != "br0":
            sh(["ip", "-n", net.d, "link", "set", i, "master", "br0"])
        sh(["ip", "-n", net.d, "link", "set", i, "up"])

    def serves(by, other):
        url = "http://%s/" % VIP4

        def answers():
            """An answer, and it came by this one: one that is up again may still wait for its turn."""
            was = sent(net, by), sent(net, other)
            rc, _ = net.curl("-m", "1", url + "own", ok=False)
            return rc == 0 and sent(net, by) - was[0] >= 3 > sent(net, other) - was[1]

        wait_for("an answer by " + by, answers, 20)
        before = sent(net, by), sent(net, other)
        for u in (url + "own", url + "name", "http://[%s]/name" % VIP6):
            out = net.curl(u)[1]
            check(out in ("own", "b1\n"), out)
        r = net.wrk(url + "name", seconds=1, conns=16)
        check(r["requests"] > 50 and r["bad"] == 0 and r["non2xx"] == 0, r["text"])
        check(sent(net, by) - before[0] > 50 > sent(net, other) - before[1], "not by " + by)

    def link():
        return net.telemetry("/sluice/ports")["lan"]["link_up"]

    serves("slb1", "slb0")
    sh(["ip", "-n", net.d, "link", "set", "slb1", "down"])
    serves("slb0", "slb1")
    sh(["ip", "-n", net.d, "link", "set", "slb1", "up"])  # the primary one is preferred
    serves("slb1", "slb0")
    up = link()
    for i in ("slb0", "slb1"):
        sh(["ip", "-n", net.d, "link", "set", i, "down"])
    wait_for("no link", lambda: link() != up)
    sh(["ip", "-n", net.d, "link", "set", "slb0", "up"])
    wait_for("link", lambda: link() == up)
    serves("slb0", "slb1")
    net.stop_sluice(p)
    check("slb" not in sh(["ip", "-n", net.d, "-br", "link"])[1], "a TAP is left")


test_bond.cases = [{"nbthread": n} for n in (1, 2)]
test_bond.net = lambda case: {"queues": case["nbthread"]}


def test_lacp(net, nbthread):
    """LACP between two instances: traffic takes both cables, in each direction."""
    for i in range(2):
        net._veth(net.d, "x%d" % i, net.d, "y%d" % i, ["numtxqueues", str(nbthread), "numrxqueues", str(nbthread)])
        for end in "xy":
            sh(["sysctl", "-qw", "net.ipv6.conf.%s%d.disable_ipv6=1" % (end, i)], ns=net.d)
            sh(["ip", "-n", net.d, "link", "set", "%s%d" % (end, i), "up"])

    def conf(suffix, end, ip, rest):
        return """global
    nbthread %d
    dpdk-eal "--file-prefix=%s%s --vdev net_af_packet8,iface=%s0 --vdev net_af_packet9,iface=%s1"
port bond
    device net_bonding0,mode=4,xmit_policy=l34,slave=net_af_packet8,slave=net_af_packet9
    address %s/24
%s""" % (nbthread, net.prefix, suffix, end, end, ip, rest)

    far = net.write("far.cfg", conf("f", "y", "10.61.3.2", TIMEOUTS + """
frontend web
    bind 10.61.3.2:80
    http-request return status 200 content-type text/plain string "over the bond"
"""))
    q = net.start([os.path.join(BUILD, "sluice"), "-f", far], ns=net.d, log=net.file("far.log"))
    wait_for("the far instance", lambda: " ready" in q.log() or not q.alive(), 20)
    check(q.alive(), q.log()[-2000:])
    p = net.sluice(conf("", "x", "10.61.3.1", """
port lan
    device net_af_packet0,iface=lan
    address %s/24
    address %s/64
%s""" % (VIP4, VIP6, WEB % (VIP4, VIP6, "10.61.3.2:80"))))
    wait_for("an answer over the bond", lambda: net.curl("-m", "1", "http://%s/" % VIP4, ok=False)[1] == "over the bond", 30)
    ends = ("x0", "x1", "y0", "y1")
    before = [sent(net, i) for i in ends]
    r = net.wrk("http://%s/" % VIP4, seconds=1, conns=16)
    check(r["requests"] > 50 and r["bad"] == 0 and r["non2xx"] == 0, r["text"])
    grown = [sent(net, i) - n for i, n in zip(ends, before)]
    check(min(grown) > 20, "frames sent by %s: %s" % (ends, grown))  # LACP itself: one a second
    net.stop_sluice(p)
    check(q.stop() in (0, 143), q.log()[-2000:])


test_lacp.cases = [{"nbthread": 2}]
test_lacp.net = lambda case: {"queues": case["nbthread"]}


PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/"


def pages(name):
    with open(PAGES + name) as f:
        return int(f.read())


@contextlib.contextmanager
def hugepages(net, n):
    """n free pages of 2 MB, reserved here, and a place where they are mounted. A kernel that gives none fails the case:
    what it is about was not seen."""
    check(os.path.exists(PAGES), "this kernel has no hugepages of 2 MB")
    had = pages("nr_hugepages")
    where = net.file("huge")
    mounted = False
    try:
        with contextlib.suppress(OSError):
            with open(PAGES + "nr_hugepages", "w") as f:
                f.write(str(had + n))
        check(pages("free_hugepages") >= n, "of %d hugepages this kernel gives %d" % (n, pages("free_hugepages")))
        os.mkdir(where)
        sh(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", where])
        mounted = True
        yield where
    finally:
        if mounted:
            sh(["umount", where], ok=False)
        with contextlib.suppress(OSError):
            with open(PAGES + "nr_hugepages", "w") as f:
                f.write(str(had))


@contextlib.contextmanager
def no_pages():
    """Takes what is free for a while: the machine is one without."""
    n = pages("free_hugepages")
    if n == 0:
        yield
        return
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE | 0x40000  # MAP_HUGETLB
    with mmap.mmap(-1, n << 21, flags):
        check(pages("free_hugepages") == 0, "%d of %d hugepages are still free" % (pages("free_hugepages"), n))
        yield


@contextlib.contextmanager
def closed_to_users():
    """EAL's folder as EAL makes it, whatever was here before."""
    os.makedirs(EAL_RUN, 0o700, exist_ok=True)
    mode = stat.S_IMODE(os.stat(EAL_RUN).st_mode)
    with contextlib.suppress(OSError):
        os.removexattr(EAL_RUN, "system.posix_acl_access")
    os.chmod(EAL_RUN, 0o700)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.removexattr(EAL_RUN, "system.posix_acl_access")
        os.chmod(EAL_RUN, mode)


def dumpcap(net):
    """dpdk-dumpcap attaches to the running daemon and sees what it receives and sends."""
    pcap = net.file("x.pcapng")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(pcap)
    # the socket that it makes is one that sluice's user has to write to; the folders let only root and that user in
    cap = net.start(["sh", "-c", "umask 0; exec dpdk-dumpcap --file-prefix=%s -i 0 -w %s -c 30" % (net.prefix, pcap)],
                    ns=net.d, log=net.file("dumpcap.log"))
    wait_for("the capture", lambda: (net.curl("http://%s/" % VIP4, ok=False), not cap.alive())[1], 30)
    check(os.path.exists(pcap), "no capture: %s\nand here: %s" % (cap.log(), open(net.file("sluice.log")).read()[-2000:]))
    with open(pcap, "rb") as f:
        data = f.read()
    check(data[:4] == b"\x0a\x0d\x0d\x0a" and b"HTTP/1.1 200" in data or b"GET / HTTP/1.1" in data,
          "nothing was captured: " + cap.log())


def test_hugepages(net):
    """Hugepages are used where they are there, under the instance's own names, and all given back."""
    conf = TIMEOUTS + """
frontend web
    bind %s:80
    http-request return status 200 content-type text/plain string "hello"
""" % VIP4
    with hugepages(net, 400) as where, closed_to_users():
        free = pages("free_hugepages")
        for end in ("stop", "kill", "user"):
            head = net.sluice_head("af_packet")
            if ASAN:  # EAL's own place is the sanitizer's; where it goes instead dpdk-dumpcap may have a library
                head = head.replace("--file-prefix=", "--base-virtaddr=0x200000000000 --file-prefix=")
            p = net.sluice(head + ("" if end != "user" else "global\n    user nobody\n    group nogroup\n") +
                           conf)
            check("(hugepages)" in p.log(), "hugepages are not used:\n" + p.log())
            wait_for("hugepages in use", lambda: pages("free_hugepages") < free)
            check(re.search(r"port 'lan': net_af_packet0\S* \(net_af_packet\), ([0-9A-F]{2}:){5}[0-9A-F]{2}.*, 1 queue of "
                            r"\d+\+\d+, link up.*; checksums in software", p.log()), p.log())
            if end != "kill":
                dumpcap(net)
            _, out = net.curl("-i", "http://%s/" % VIP4)
            check(out.startswith("HTTP/1.1 200"), out)
            if end != "kill":
                net.stop_sluice(p)
            else:  # the daemon itself: its parent clears up
                _, out = sh(["pgrep", "-P", str(p.pid)])
                os.kill(int(out.split()[0]), 9)
                p.wait(10)
                net.left_behind()
            check(os.listdir(where) == [], "files are left: %s" % os.listdir(where))
            wait_for("all pages free", lambda: pages("free_hugepages") == free)


def test_unprivileged(net):
    """A user who may not write to the first mount of hugepages takes one of his own, or goes without."""
    conf = net.write("own.cfg", """global
    nbthread 1
    dpdk-eal "--file-prefix=%su"
%s
frontend web
    bind 127.0.0.1:8088
    http-request return status 200
""" % (net.prefix, TIMEOUTS))

    def started(want):
        p = net.start(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "env",
                       "XDG_RUNTIME_DIR=" + home, net.anyones(), "-f", conf], ns=net.d,
                      log=net.file("own.log"))
        wait_for("the start", lambda: " ready" in p.log() or not p.alive(), 20)
        check(want in p.log(), "not '%s':\n%s" % (want, p.log()))
        _, out = sh(["curl", "-sSi", "-m", "5", "http://127.0.0.1:8088/"], ns=net.d)
        check(out.startswith("HTTP/1.1 200"), out)
        check(p.stop() in (0, 143, -15), p.log())  # no parent above it: ended by the signal itself
        net.left_behind()

    home, root = net.file("home"), os.path.dirname(net.file("x"))
    os.mkdir(home)
    os.chmod(home, 0o777)
    os.chmod(root, 0o755)
    with hugepages(net, 200) as first:
        os.chmod(first, 0o700)
        started("(no hugepages)")
        mine = net.file("mine")
        os.mkdir(mine)
        sh(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M,mode=1777", "none", mine])
        try:
            started("(hugepages)")
            check(os.listdir(mine) == [], "files are left: %s" % os.listdir(mine))
        finally:
            sh(["umount", mine])


def test_pci_refused(net):
    """A port on PCI without hugepages: refused before DPDK starts, by port, node and command."""
    text = """global
    dpdk-eal "--file-prefix=%s%s"
port lan
    device 0000:ff:1f.7
    address %s/24
%s
frontend web
    bind %s:80
"""
    with no_pages():
        p = net.sluice(text % (net.prefix, "", VIP4, TIMEOUTS, VIP4), ready=False)
        check(p.wait(20) == 1 and re.search(r"sluice.cfg:4\] : port 'lan': device '0000:ff:1f.7' needs hugepages: node 0 shall "
                                            r"give (\d+) MiB, 0 MiB are free there: run 'sluice-setup hugepages 0=\1'",
                                            p.log()), p.log())
    net.left_behind()
    with no_pages(), hugepages(net, 20):  # too few, and one could do without: said, not refused
        p = net.sluice(net.sluice_head("af_packet") + TIMEOUTS + "frontend web\n bind %s:80\n" % VIP4)
        check(re.search(r"hugepages are there, but node 0 has 40 MiB of \d+ free: going without", p.log()), p.log())
        net.stop_sluice(p)
