#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""sluice-setup on invented machines: every message that it has, and every way there and back.

    sluice_setup.py [TEST...]     without one: all

A message that no test has seen fails the run, as does a command that is no stub.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import REPO, Machine  # noqa: E402

seen = []
NIC = "0000:3b:00.0"
PORT = "global\n    nbthread 1\nport lan\n    device %s\n    address 192.0.2.10/24\n" % NIC


class Failed(Exception):
    pass


def check(cond, text):
    if not cond:
        raise Failed(text)


def run(m, rc, *args):
    got, out = m.run(*args)
    seen.append(out)
    check("stub " not in out and "command not found" not in out and "unbound" not in out, out)
    check(got == rc, "sluice-setup %s: exit %d, expected %d:\n%s" % (" ".join(args), got, rc, out))
    return out


def says(out, *texts):
    for t in texts:
        check(t in out, "%r is not in:\n%s" % (t, out))


# ---- check: one row for each cause. (name, what is wrong with a good machine, what must be said) ----

def good():
    """A machine on which check has nothing to say about a port on PCI."""
    m = Machine(nodes=2, pages=250)
    m.mount_huge()
    m.nic(NIC, "vfio-pci", node=0, group=1)
    m.put("var/lib/sluice/setup/state", "bind %s e1000e\n" % NIC)
    m.conf(PORT)
    return m


def over(kind, iface="ens2", extra="", **kw):
    """A machine with a port over an interface of the kernel."""
    def make(m):
        m.iface(iface, **kw)
        m.conf("port lan\n    device net_%s0,iface=%s%s\n    address 192.0.2.10/24\n" % (kind, iface, extra))
    return make


def add(text):
    return lambda m: m.conf(m.get("etc/sluice/sluice.cfg") + text)


def both(*makers):
    def make(m):
        for f in makers:
            f(m)
    return make


def unlink(*names):
    return lambda m: [os.unlink(m.path(n)) for n in names]


def tun(m):  # no test may need to make a device node: any character device will do
    m.link("dev/net/tun", "/dev/null")


def runs(m, *pages):
    """A daemon with so many hugepages on the nodes, and its parent."""
    m.put("running", "41\n42\n")
    m.put("proc/41/numa_maps", "55d8c8000000 default file=/usr/sbin/sluice mapped=9 N0=9 kernelpagesize_kB=4\n")
    m.put("proc/42/numa_maps", "".join(
        "100000000 default file=/dev/hugepages/sluicemap_%d huge dirty=%d N%d=%d kernelpagesize_kB=2048\n"
        % (i, n, i, n) for i, n in enumerate(pages) if n))


MANY_ROUTES = "".join("default via 192.0.2.1 dev ens1 metric %d\n" % i for i in range(3000))  # more than a pipe holds
NOT_BOUND = "belongs to the kernel's driver e1000e\n      -> sluice-setup bind " + NIC
ROWS = [
    # name, change, exit code, texts
    ("nothing", lambda m: None, 0, ["0 faults, 0 warnings"]),
    ("no configuration", unlink("etc/sluice/sluice.cfg"), 0, ["only the machine is looked at",
                                                              "has no port section"]),
    # hugepages "needed"
    ("no hugepages", lambda m: m.pages(0, 0, 0), 1,
     ["node 0 has 0 MiB of hugepages free, a port on PCI needs 148\n      -> sluice-setup hugepages 0=148"]),
    ("hugepages on the wrong node", lambda m: (m.pages(0, 54, 54), m.pages(1, 500, 500)), 1,
     ["node 0 has 108 MiB of hugepages free"]),
    ("hugepages of one that runs", lambda m: (m.pages(0, 74, 2), runs(m, 72, 0)), 0,
     ["node 0: 148 MiB of hugepages are free, or sluice's that runs, 148 are needed"]),
    ("hugepages of one that hides them", lambda m: (m.pages(0, 0, 0), m.put("running", "77\n")), 0,
     ["sluice runs, but /proc/PID/numa_maps is hidden"]),
    ("one that runs with fewer hugepages", lambda m: (m.pages(0, 50, 0), runs(m, 40, 10)), 1,
     ["node 0 has 80 MiB of hugepages free, a port on PCI needs 148\n      -> sluice-setup hugepages 0=148"]),
    ("hugepages for more workers", both(add("global\n    nbthread 4\n"), lambda m: m.pages(0, 60, 60)), 1,
     ["needs 388", "hugepages 0=388"]),
    ("tune.mbufs counts", both(add("global\n    tune.mbufs 100000\n"), lambda m: m.pages(0, 150, 150)), 1, ["needs 308"]),
    ("hugepages not mounted", lambda m: m.put("proc/mounts", ""), 1, ["no hugetlbfs is mounted\n      -> dpdk-hugepages.py --mount"]),
    ("no hugepages without PCI", both(over("af_xdp"), lambda m: (m.pages(0, 0, 0), m.pages(1, 0, 0))), 0,
     ["node 1 has 0 MiB of hugepages free, of 148: sluice goes without, and dpdk-dumpcap cannot attach"]),
    ("--no-huge", add('    dpdk-eal "--no-huge"\n'), 0, ["has --no-huge: hugepages are not used"]),
    # --in-memory
    ("--in-memory", add('    dpdk-eal "--in-memory"\n'), 0, ["has --in-memory: dpdk-dumpcap", "--file-prefix=NAME"]),
    ("--in-memory --no-huge", add('    dpdk-eal "--in-memory --no-huge"\n'), 1, ["DPDK refuses that"]),
    # RUNTIME_DIRECTORY
    ("telemetry elsewhere", lambda m: m.put("run/other/dpdk/rte/dpdk_telemetry.v2", ""), 0,
     ["at /run/other/dpdk/rte/dpdk_telemetry.v2", "env -u RUNTIME_DIRECTORY"]),
    # root
    ("no rights", lambda m: m.put("proc/self/status", "CapEff:\t0000000000000000\n"), 1,
     ["without CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_BPF"]),
    ("one right missing", lambda m: m.put("proc/self/status", "CapEff:\t000001ffffffdfff\n"), 1,
     ["without CAP_NET_RAW: "]),
    # memlock
    ("memlock", lambda m: (setattr(m, "memlock", "8192"), m.put("proc/self/status", "CapEff:\t000001ffffffbfff\n")), 1,
     ["only 8192 KiB", "ulimit -l unlimited", "without CAP_IPC_LOCK: "]),
    ("memlock of root", lambda m: setattr(m, "memlock", "8192"), 0, ["0 faults, 0 warnings"]),
    # TAP
    ("TAP", both(tun, over("tap", up=False), lambda m: m.put("running", "")), 0,
     ["TAP takes a system call for each packet", "'failed to create multiq qdisc' of a TAP: it goes on"]),
    ("TAP remote", both(tun, over("tap", extra=",remote=eth1")), 1, ["with 'remote='", "leave 'remote=' out"]),
    ("TAP persist", both(tun, over("tap", extra=",persist")), 0, ["'persist' leaves"]),
    ("TAP left over", both(tun, over("tap", iface="slx0")), 0, ["slx0 is there though sluice does not run", "ip link del slx0"]),
    ("no tun", over("tap"), 1, ["no /dev/net/tun\n      -> modprobe tun"]),
    ("container without tun", both(over("tap"), lambda m: m.put(".dockerenv", "")), 1,
     ["--device /dev/net/tun --cap-add NET_ADMIN"]),
    ("rp_filter of a TAP", both(tun, over("tap", up=False), lambda m: m.put("running", ""),
                                lambda m: m.put("proc/sys/net/ipv4/conf/ens2/rp_filter", "1\n")), 0,
     ["rp_filter is strict on ens2", "sysctl -w net.ipv4.conf.all.rp_filter=2"]),
    ("rp_filter is loose", both(tun, over("tap", up=False), lambda m: m.put("running", ""),
                                lambda m: m.put("proc/sys/net/ipv4/conf/all/rp_filter", "1\n"),
                                lambda m: m.put("proc/sys/net/ipv4/conf/ens2/rp_filter", "2\n")), 0, ["0 faults, 0 warnings"]),
    # kernel-tap
    ("kernel-tap", both(tun, add("    kernel-tap sl0\n"), lambda m: m.put("proc/sys/net/ipv4/conf/default/rp_filter", "1\n")), 0,
     ["rp_filter is strict on sl0"]),
    ("kernel-tap without tun", add("    kernel-tap sl0 address 192.0.2.2/24\n"), 1,
     ["kernel-tap sl0: there is no /dev/net/tun\n      -> modprobe tun"]),
    ("kernel-tap beside AF_PACKET", both(tun, over("af_packet"), add("    kernel-tap sl0\n")), 0,
     ["so with kernel-tap it hears them twice", "hook ingress device ens2"]),
    # AF_XDP
    ("AF_XDP driver", both(over("af_xdp"), unlink("usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_af_xdp.so.23")), 1,
     ["driver for AF_XDP is not installed\n      -> apt-get install librte-net-af-xdp23"]),
    ("bpffs", both(over("af_xdp"), lambda m: m.put("proc/mounts", "hugetlbfs /h hugetlbfs rw 0 0\n")), 0,
     ["bpffs is not mounted", "mount -t bpf bpf /sys/fs/bpf"]),
    ("XDP program left", over("af_xdp", link="2: ens2: <UP> mtu 1500 xdp qdisc mq\n    prog/xdp id 7\n"), 1,
     ["has an XDP program though sluice does not run", "ip link set dev ens2 xdp off"]),
    ("XDP program of ours", both(over("af_xdp", link="2: ens2: <UP> mtu 1500 xdp qdisc mq\n    prog/xdp id 7\n"),
                                 lambda m: m.put("running", "")), 0, ["0 faults"]),
    ("veth offloads", both(over("af_xdp", iface="vp0", link="3: vp0@vp1: <UP> mtu 1500 \\    veth numtxqueues 1\n"),
                           lambda m: (m.iface("vp1"), m.put("ethtool.vp1", "tx-checksumming: on\n"))), 1,
     ["vp1, the other end of vp0", "ethtool -K vp1 tx off tso off gso off"]),
    ("veth without offloads", both(over("af_xdp", iface="vp0", link="3: vp0@vp1: <UP> mtu 1500 \\    veth numtxqueues 1\n"),
                                   lambda m: (m.iface("vp1"), m.put("ethtool.vp1", "tx-checksumming: off\n"))), 0, ["0 faults"]),
    ("kernel answers too", over("af_xdp", addrs=["192.0.2.5/24"]), 1,
     ["ens2 has addresses of its own", "ip addr flush dev ens2"]),
    ("kernel's IPv6", both(over("af_xdp"), lambda m: m.put("proc/sys/net/ipv6/conf/ens2/disable_ipv6", "0\n")), 0,
     ["the kernel speaks IPv6 on ens2", "sysctl -w net.ipv6.conf.ens2.disable_ipv6=1"]),
    ("no interface", both(over("af_xdp"), lambda m: m.conf("port a\n device net_af_xdp0,iface=nix\n")), 1,
     ["there is no interface nix"]),
    # AF_PACKET
    ("AF_PACKET", over("af_packet"), 0, ["the kernel sees each packet too"]),
    ("AF_PACKET mtu", both(over("af_packet"), lambda m: m.put("sys/class/net/ens2/mtu", "9000\n")), 0,
     ["ens2 has an MTU of 9000", "ip link set dev ens2 mtu 1500"]),
    # addresses
    ("server at 127.0.0.1", add("backend b\n    server s 127.0.0.1:8000\n"), 0,
     ["sluice.cfg:7: a server at 127.0.0.1 is reached over the kernel's sockets"]),
    ("Redis in another namespace", both(add("global\n    lua-load /x.lua\n"), lambda m: m.link("proc/self/ns/net", "net:[2]")), 0,
     ["scripts connect to 127.0.0.1 of this network namespace"]),
    ("route conflict", lambda m: m.put("ip/root.192.0.2.10_24", "192.0.2.0/24 dev eth0 proto kernel\n"), 0,
     ["a route to the network of 192.0.2.10/24 on eth0"]),
    ("route over a veth", lambda m: (m.put("ip/root.192.0.2.10_24", "192.0.2.0/24 dev vx1 proto kernel\n"),
                                     m.iface("vx1", link="3: vx1@vx0: <UP> mtu 1500 \\    veth numtxqueues 1\n")), 0,
     ["0 faults, 0 warnings"]),
    ("port 80 in use", both(add("frontend f\n    bind 192.0.2.10:80\n"), lambda m: m.put("ss.listen", "LISTEN 0 511 *:80 *:*\n")), 0,
     ["no conflict for addresses of a port section"]),
    # the machine
    ("few CPUs", add("global\n    nbthread 4\n"), 0, ["4 workers on 4 CPUs", "'nbthread 3'"]),
    ("busy-polling on few CPUs", add("global\n    nbthread 4\n    busy-polling\n"), 1, ["busy-polling with 4 workers on 4 CPUs"]),
    ("clock", lambda m: m.put("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"), 0,
     ["the kernel's clock is hpet, not tsc"]),
    ("not Debian 12", lambda m: m.put("etc/os-release", "ID=fedora\nVERSION_ID=39\n"), 0, ["this is fedora 39"]),
    ("packages", unlink("bin/ethtool", "bin/dpdk-devbind.py"), 1,
     ["tools are missing: dpdk ethtool (5 packages, 1,234 kB to fetch, 5,678 kB on disk)\n",
      "apt-get install --no-install-recommends dpdk ethtool\n"]),
    ("packages, apt cannot tell", both(unlink("bin/ethtool"), lambda m: m.stub("apt-get", "exit 100")), 1,
     ["tools are missing: ethtool\n"]),
    ("dpdk-dev", unlink("bin/dpdk-telemetry.py"), 0, ["come with the package dpdk-dev (314 packages"]),
    ("dpdk.service frees", lambda m: m.put("etc/dpdk/dpdk.conf", "NR_2M_PAGES=64\n"), 0,
     ["lets dpdk.service free hugepages", "echo FREE_PREVIOUS_ALLOCATIONS=0 >>"]),
    # PCI
    ("no such device", add("port b\n    device 0000:77:00.0\n"), 1, ["there is no PCI device 0000:77:00.0"]),
    ("not bound", lambda m: m.nic(NIC, "e1000e", iface="ens1", group=1), 1, [NOT_BOUND]),
    ("PCI driver", unlink("usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_e1000.so.23"), 1,
     ["apt-get install librte-net-e1000-23"]),
    ("mlx5 needs its driver", lambda m: m.nic(NIC, "mlx5_core", iface="ens1", group=1), 1,
     ["mlx5_core works together with DPDK, nothing is to be bound", "apt-get install librte-net-mlx5-23"]),
    ("no IOMMU", lambda m: (unlink("sys/bus/pci/devices/%s/iommu_group" % NIC)(m), m.nic(NIC, "e1000e", iface="ens1")), 1,
     ["is behind no IOMMU", "intel_iommu=on iommu=pt", "--af-xdp ens1"]),
    ("no IOMMU, AMD", lambda m: (unlink("sys/bus/pci/devices/%s/iommu_group" % NIC)(m), m.nic(NIC, "e1000e"),
                                 m.put("proc/cpuinfo", "processor : 0\nvendor_id : AuthenticAMD\nprocessor : 1\n")), 1,
     ["amd_iommu=on iommu=pt"]),
    ("bound without IOMMU", unlink("sys/bus/pci/devices/%s/iommu_group" % NIC), 1, ["--iova-mode=pa"]),
    ("a bond of bound cards", lambda m: m.conf(PORT.replace(NIC, "net_bonding0,mode=1,slave=" + NIC)), 0,
     [NIC + " is bound to vfio-pci", "node 0: 500 MiB"]),
    ("a slave that the kernel has", lambda m: (m.nic("0000:3b:00.1", "e1000e", iface="ens9", node=0, group=2),
                                               m.conf(PORT.replace(NIC, "net_bonding0,mode=1,slave=3b:00.0,slave=3b:00.1"))), 1,
     [NIC + " is bound to vfio-pci", "0000:3b:00.1 belongs to the kernel's driver e1000e"]),
    ("bonding", both(add("port b\n    device net_bonding0,mode=1,slave=0000:3b:00.0\n"),
                     unlink("usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_bond.so.23")), 1, ["librte-net-bond23"]),
    ("the management NIC", both(lambda m: m.nic(NIC, "e1000e", iface="ens1", group=1),
                                lambda m: m.put("ip/default4", "default via 192.0.2.1 dev ens1 proto dhcp\n")), 1,
     ["is ens1, and the default route goes through it: a port must be a card of its own"]),
    ("the management NIC, by many routes", both(lambda m: m.nic(NIC, "e1000e", iface="ens1", group=1),
                                                lambda m: m.put("ip/default4", MANY_ROUTES)), 1,
     ["is ens1, and the default route goes through it: a port must be a card of its own"]),
]


def test_check():
    for name, change, rc, texts in ROWS:
        m = good()
        try:
            change(m)
            says(run(m, rc, "check"), *texts)
            # what the command says holds elsewhere too: nothing of it was run
            check(not re.search("addr flush|link set|modprobe|devbind|hugepages", m.get("calls") or ""), m.get("calls"))
        except Failed as e:
            raise Failed("check, %s: %s" % (name, e))
        finally:
            m.close()


def test_check_many_words():
    """The route over a card that is yet to be bound goes with it, however much stands behind that card: who looks for
    it reads all, more than a pipe holds."""
    m = good()
    m.nic(NIC, "e1000e", iface="ens1", group=1)
    m.put("ip/root.192.0.2.10_24", "192.0.2.0/24 dev ens1 proto kernel\n")
    m.conf(PORT + "port b\n    device net_af_xdp0,iface=eth0,x=" + "x" * 200000 + "\n")
    out = run(m, 1, "check")
    check("the kernel has a route" not in out and "Broken pipe" not in out, out[:2000])
    m.close()


def two_nics(**kw):
    m = Machine(nodes=2, **kw)
    m.nic("0000:3b:00.0", "e1000e", iface="ens1", node=0, group=1)
    m.nic("0000:af:00.0", "virtio-pci", iface="ens2", node=1, group=2, virtio=True)
    m.addrs("ens1", "192.0.2.5/24", "2001:db8::5/64")
    m.put("etc/dpdk/interfaces", "# comment\n")
    return m


def test_bind_and_undo():
    """There, again, and back: driver, addresses, link, files."""
    m = two_nics()
    out = run(m, 0, "bind", "ens1")
    says(out, "e1000e -> vfio-pci", "binds it at boot")
    check(m.get("ip/addr.ens1") == "", "the kernel keeps the addresses")
    check(os.readlink(m.path("sys/bus/pci/devices/0000:3b:00.0/driver")).endswith("vfio-pci"), out)
    says(m.get("etc/dpdk/interfaces"), "# comment\n", "pci\t0000:3b:00.0\tvfio-pci\n")
    check("modprobe vfio-pci" in m.get("calls"), "the module is not loaded")
    before = m.get("var/lib/sluice/setup/state"), m.get("etc/dpdk/interfaces")
    says(run(m, 0, "bind", "3B:00.0"), "is bound to vfio-pci", "binds it at boot")
    check(before == (m.get("var/lib/sluice/setup/state"), m.get("etc/dpdk/interfaces")), "bind is not idempotent")
    says(run(m, 0, "status"), "vfio-pci", "DPDK's", "undo would take back:", "addr 0000:3b:00.0 ens1 192.0.2.5/24")
    says(run(m, 0, "config", "0000:3b:00.0"), "device 0000:3b:00.0", "address 192.0.2.5/24", "address 2001:db8::5/64",
         "On NUMA node 0")
    says(run(m, 0, "undo"), "vfio-pci -> e1000e", "ens1 has 192.0.2.5/24 again", "ens1 has 2001:db8::5/64 again",
         "/etc/dpdk/interfaces is as it was")
    check(os.readlink(m.path("sys/bus/pci/devices/0000:3b:00.0/driver")).endswith("e1000e"), "driver")
    check(m.get("etc/dpdk/interfaces") == "# comment\n", "interfaces")
    check(m.get("sys/class/net/ens1/operstate") == "up\n", "the interface stays down")
    says(m.get("ip/addr.ens1"), "inet 192.0.2.5/24", "2001:db8::5/64")
    check(not os.path.exists(m.path("var/lib/sluice/setup")), "state is left")
    says(run(m, 0, "undo"), "there is nothing to undo")
    says(run(m, 0, "status"), "there is nothing to undo")
    m.close()


def test_interface_comes_late():
    """The driver makes it, and udev names it, after it was bound; one that does not come loses nothing."""
    m = two_nics()
    run(m, 0, "bind", "ens1")
    m.put("late", "")
    says(run(m, 0, "undo"), "vfio-pci -> e1000e", "ens1 has 192.0.2.5/24 again")
    says(m.get("ip/addr.ens1"), "inet 192.0.2.5/24", "2001:db8::5/64")
    check(m.get("sys/class/net/ens1/operstate") == "up\n", "the interface stays down")
    check(not os.path.exists(m.path("var/lib/sluice/setup")), "state is left")
    m.close()
    m = two_nics()
    run(m, 0, "bind", "ens1")
    m.put("never", "")
    says(run(m, 1, "undo"), "FAULT 0000:3b:00.0: no interface has come back; what it had is kept in",
         "-> dmesg | grep 0000:3b:00.0; then: sluice-setup undo", "/etc/dpdk/interfaces is as it was")
    kept = m.get("var/lib/sluice/setup/state")
    says(kept, "bind 0000:3b:00.0 e1000e", "addr 0000:3b:00.0 ens1 192.0.2.5/24")
    check("file" not in kept, "more is kept: " + kept)
    os.unlink(m.path("never"))
    m.put("sys/class/net/ens1/operstate", "down\n")
    m.link("sys/class/net/ens1/device", m.path("sys/bus/pci/devices/0000:3b:00.0"))
    says(run(m, 0, "undo"), "is bound to e1000e", "ens1 has 192.0.2.5/24 again", "ens1 has 2001:db8::5/64 again")
    says(run(m, 0, "undo"), "there is nothing to undo")
    m.close()


def test_unbind():
    m = two_nics()
    run(m, 0, "bind", "ens1", "ens2")
    says(run(m, 0, "unbind", "0000:af:00.0"), "vfio-pci -> virtio-pci")
    check("0000:af" not in m.get("etc/dpdk/interfaces") and "0000:3b" in m.get("etc/dpdk/interfaces"), "interfaces")
    check("0000:af" not in m.get("var/lib/sluice/setup/state"), "state")
    says(run(m, 0, "unbind", "ens2"), "is bound to virtio-pci")
    m.put("stuck", "")
    says(run(m, 1, "unbind", "0000:3b:00.0"), "is still bound to vfio-pci: is sluice running?\n      -> systemctl stop sluice")
    m.close()
    # bound by somebody else, before us: the kernel chooses
    m = Machine()
    m.nic(NIC, "vfio-pci", group=1)
    m.put("sys/bus/pci/drivers_probe", "")
    says(run(m, 0, "unbind", NIC), "vfio-pci -> the kernel")
    check(m.get("sys/bus/pci/drivers_probe") == NIC + "\n", "the kernel was not asked")
    m.close()


def test_unbind_all():
    """Behind the last card nothing is left to undo, but for what is no card's."""
    rows = [  # what was there, what others add, what is there then
        ("# comment\n", "", "# comment\n", "/etc/dpdk/interfaces is as it was"),
        (None, "", None, "/etc/dpdk/interfaces is as it was"),
        ("# comment\n", "pci\t0000:5e:00.0\tvfio-pci\n", "# comment\npci\t0000:5e:00.0\tvfio-pci\n",
         "note  /etc/dpdk/interfaces was changed by others since: it stays, without our cards"),
        (None, "# mine\n", "# mine\n", "was changed by others since"),
    ]
    for before, added, after, text in rows:
        m = two_nics()
        os.unlink(m.path("etc/dpdk/interfaces"))
        if before:
            m.put("etc/dpdk/interfaces", before)
        run(m, 0, "bind", "ens1", "ens2")
        m.put("etc/dpdk/interfaces", m.get("etc/dpdk/interfaces") + added)
        run(m, 0, "hugepages", "0=10")
        out = run(m, 0, "unbind", "0000:af:00.0")
        check("interfaces" not in out, "not the last one: " + out)
        says(m.get("var/lib/sluice/setup/state"), "file /etc/dpdk/interfaces\n")
        says(run(m, 0, "unbind", "0000:3b:00.0"), text)
        check(m.get("etc/dpdk/interfaces") == after, m.get("etc/dpdk/interfaces"))
        says(m.get("var/lib/sluice/setup/state"), "file /etc/dpdk/dpdk.conf\n")
        check("interfaces" not in m.get("var/lib/sluice/setup/state"), "state")
        check(not any("interfaces" in f for f in os.listdir(m.path("var/lib/sluice/setup"))), "a copy is left")
        run(m, 0, "undo")
        check(m.get("etc/dpdk/interfaces") == after and not os.path.exists(m.path("var/lib/sluice/setup")), "undo")
        m.close()


def test_driver_lost():
    """A card that no driver takes is no card that was given back: how to is kept until it is."""
    for verb in ("undo", "unbind"):
        m = two_nics()
        run(m, 0, "bind", "ens1")
        m.put("lost", "")
        out = run(m, 1, verb, *["0000:3b:00.0"][:verb == "unbind"])
        says(out, "FAULT 0000:3b:00.0: no driver has it, which was e1000e's; what it had is kept in",
             "-> modprobe e1000e; then: sluice-setup undo")
        check("-> e1000e\n" not in out and "no interface" not in out, out)
        says(m.get("var/lib/sluice/setup/state"), "bind 0000:3b:00.0 e1000e", "addr 0000:3b:00.0 ens1 192.0.2.5/24")
        check("0000:3b" not in m.get("etc/dpdk/interfaces"), "a boot would bind it")
        os.unlink(m.path("lost"))
        says(run(m, 0, "undo"), "no driver -> e1000e", "ens1 has 192.0.2.5/24 again")
        says(run(m, 0, "undo"), "there is nothing to undo")
        m.close()
    m = two_nics()  # nor is one that vfio-pci did not take
    for mark in ("refused", "lost"):
        m.put(mark, "")
    says(run(m, 1, "bind", "ens1"), "no driver has it, which was e1000e's", "did not bind 0000:3b:00.0")
    for mark in ("refused", "lost"):
        os.unlink(m.path(mark))
    says(run(m, 0, "undo"), "no driver -> e1000e", "ens1 has 192.0.2.5/24 again")
    m.close()


def test_other_userspace():
    """A card that another of DPDK's modules had goes back to that one."""
    for was in ("uio_pci_generic", "igb_uio"):
        m = Machine()
        m.nic(NIC, was, group=1)
        says(run(m, 0, "bind", NIC), was + " -> vfio-pci")
        says(run(m, 0, "undo"), "vfio-pci -> " + was)
        check(driver(m, NIC) == was, "driver")
        says(run(m, 0, "undo"), "there is nothing to undo")
        m.put("stuck", "")
        says(run(m, 1, "bind", NIC), "%s is bound to %s\n" % (NIC, was), "did not bind " + NIC)
        says(run(m, 0, "status"), "there is nothing to undo")
        m.close()


def test_bind_refuses():
    rows = [
        ("default route", lambda m: m.put("ip/default4", "default via 192.0.2.1 dev ens1\n"),
         ["and the default route goes through it: this machine would not be reached any more", "bind --force"]),
        ("IPv6 default route", lambda m: m.put("ip/default6", "default via fe80::1 dev ens1\n"), ["the default route"]),
        ("through a VLAN", lambda m: (m.put("ip/default4", "default via 192.0.2.1 dev ens1.5\n"),
                                      m.link("sys/class/net/ens1/upper_ens1.5", "/")), ["the default route"]),
        ("through a bridge", lambda m: (m.put("ip/default4", "default via 192.0.2.1 dev br0\n"),
                                        m.link("sys/class/net/ens1/master", "../br0")), ["the default route"]),
        ("a VLAN on a bond", lambda m: (m.put("ip/default4", "default via 192.0.2.1 dev bond0.100\n"),
                                        m.link("sys/class/net/ens1/master", "../bond0"),
                                        m.link("sys/class/net/bond0/upper_bond0.100", "/")), ["the default route"]),
        ("a bridge on a VLAN on a bond, in a circle", lambda m: (
            m.put("ip/default4", "default via 192.0.2.1 dev br0\n"), m.link("sys/class/net/ens1/upper_bond0", "/"),
            m.link("sys/class/net/bond0/upper_bond0.100", "/"), m.link("sys/class/net/bond0/upper_ens1", "/"),
            m.link("sys/class/net/bond0.100/master", "../br0"), m.link("sys/class/net/br0/upper_bond0", "/")),
         ["the default route"]),
        ("the first of several nexthops", lambda m: m.put(
            "ip/default4", "default proto static \\\tnexthop via 192.0.2.1 dev ens1 weight 1 "
                           "\\\tnexthop via 198.51.100.1 dev ens2 weight 1\n"), ["the default route"]),
        ("more routes than a pipe holds", lambda m: m.put("ip/default4", MANY_ROUTES), ["the default route goes through it"]),
        ("this SSH connection", lambda m: (m.env.update(SSH_CONNECTION="198.51.100.7 5555 192.0.2.5 22"),
                                           m.put("ip/get.198.51.100.7", "198.51.100.7 via 192.0.2.1 dev ens1 src 192.0.2.5\n")),
         ["this SSH connection goes through it"]),
        ("an SSH session, under sudo", lambda m: m.put("ss.est", "0 0 192.0.2.5:22 198.51.100.7:5555\n"),
         ["an SSH session goes through it"]),
        ("an SSH session at another port", lambda m: m.put(
            "ss.est", '0 0 192.0.2.5:2222 198.51.100.7:5555 users:(("sshd",pid=9,fd=4),("sshd",pid=8,fd=4))\n'),
         ["an SSH session goes through it"]),
        ("an SSH session of a newer sshd", lambda m: m.put(
            "ss.est", '0 0 [2001:db8::5]:2222 [2001:db8::7]:5555 users:(("sshd-session",pid=9,fd=4))\n'),
         ["an SSH session goes through it"]),
        ("an SSH session over IPv6", lambda m: m.put("ss.est", "0 0 [2001:db8::5]:22 [2001:db8::7]:5555\n"),
         ["an SSH session goes through it"]),
        ("shared group", lambda m: m.nic("0000:3b:00.1", "e1000e", group=1),
         ["shares its IOMMU group with 0000:3b:00.1, which the kernel uses: vfio takes all or none\n"]),
        ("a group with a disk", lambda m: m.nic("0000:00:17.0", "ahci", group=1, cls="0x010601"),
         ["with 0000:00:17.0, which the kernel uses: vfio takes all or none, and 0000:00:17.0 cannot be bound\n"
          "      -> sluice-setup config --af-xdp ens1 (it stays with the kernel), or: put the card into another slot"]),
        ("a group with a card that stays the kernel's", lambda m: m.nic("0000:3b:00.1", "mlx5_core", group=1),
         ["0000:3b:00.1 cannot be bound"]),
        ("a group with the default route", lambda m: (m.nic("0000:3b:00.1", "e1000e", iface="ens9", group=1),
                                                      m.put("ip/default4", "default via 192.0.2.1 dev ens9\n")),
         ["all or none, and the default route goes through 0000:3b:00.1\n"]),
        ("no vfio", lambda m: m.put("no-vfio-pci", ""), ["has no vfio-pci", "apt-get install linux-image-amd64"]),
        ("devbind fails", lambda m: m.put("stuck", ""), ["did not bind 0000:3b:00.0", "dmesg | grep"]),
        ("no devbind", unlink("bin/dpdk-devbind.py"), ["dpdk-devbind.py is missing\n      -> apt-get install dpdk"]),
        ("not root", lambda m: m.env.update(STUB_UID="1000"), ["only root may do that\n      -> sudo sluice-setup bind"]),
    ]
    for name, change, texts in rows:
        m = two_nics()
        try:
            change(m)
            says(run(m, 1, "bind", "ens1"), *texts)
            check(driver(m, "0000:3b:00.0") == "e1000e", "it was bound")
            check(name == "devbind fails" or "addr flush" not in (m.get("calls") or ""), "addresses were taken")
        except Failed as e:
            raise Failed("bind, %s: %s" % (name, e))
        finally:
            m.close()
    m = two_nics()
    m.put("ip/default4", "default via 192.0.2.1 dev ens1\n")
    says(run(m, 0, "bind", "--force", "ens1"), "e1000e -> vfio-pci")
    m.close()
    # other routes and connections are in nobody's way, nor are names that are alike
    m = two_nics()
    m.put("ip/default4", "default via 192.0.2.1 dev ens1x\ndefault via 198.51.100.1 dev ens2 metric 2\n")
    m.put("ss.est", '0 0 192.0.2.5:443 198.51.100.7:22 users:(("ssh",pid=9,fd=4))\n')
    says(run(m, 0, "bind", "ens1"), "e1000e -> vfio-pci")
    m.close()
    # a bridge in the group may stay with the kernel
    m = two_nics()
    m.nic("0000:3a:00.0", "pcieport", group=1, cls="0x060400")
    says(run(m, 0, "bind", "ens1"), "e1000e -> vfio-pci")
    m.close()


def test_bind_fails():
    """The NIC is the kernel's again, with all that it had, and nothing is to be undone."""
    for mark, back in (("stuck", "is bound to e1000e"), ("refused", "no driver -> e1000e")):
        m = two_nics()
        m.put(mark, "")
        out = run(m, 1, "bind", "ens1")
        says(out, back, "ens1 has 192.0.2.5/24 again", "ens1 has 2001:db8::5/64 again", "did not bind 0000:3b:00.0",
             "-> dmesg | grep -e vfio -e 3b:00.0")
        check(driver(m, "0000:3b:00.0") == "e1000e", "driver")
        says(m.get("ip/addr.ens1"), "inet 192.0.2.5/24", "2001:db8::5/64")
        check(m.get("sys/class/net/ens1/operstate") == "up\n", "the interface stays down")
        says(run(m, 0, "status"), "there is nothing to undo")
        check(m.get("etc/dpdk/interfaces") == "# comment\n", "interfaces")
        os.unlink(m.path(mark))
        says(run(m, 0, "bind", "ens1"), "e1000e -> vfio-pci")
        m.close()
    # the second of two fails: the first stays, and can be undone; what an earlier bind remembers is kept
    m = two_nics()
    run(m, 0, "bind", "ens1")
    m.put("refused", "")
    says(run(m, 1, "bind", "3b:00.0", "ens2"), "0000:3b:00.0 is bound to vfio-pci", "no driver -> virtio-pci")
    says(m.get("var/lib/sluice/setup/state"), "bind 0000:3b:00.0 e1000e", "addr 0000:3b:00.0 ens1 192.0.2.5/24")
    check("0000:af" not in m.get("var/lib/sluice/setup/state"), "state")
    os.unlink(m.path("sys/bus/pci/devices/0000:3b:00.0/driver"))  # a boot, say
    m.link("sys/bus/pci/devices/0000:3b:00.0/driver", "../../drivers/e1000e")
    m.link("sys/class/net/ens1/device", m.path("sys/bus/pci/devices/0000:3b:00.0"))
    says(run(m, 1, "bind", "0000:3b:00.0"), "no driver -> e1000e", "ens1 has 192.0.2.5/24 again")
    says(run(m, 0, "undo"), "0000:3b:00.0 is bound to e1000e", "/etc/dpdk/interfaces is as it was")
    m.close()


def told(out):
    """The one command that a refusal prints."""
    lines = re.findall(r"^ +-> sluice-setup (.*)$", out, re.M)
    check(len(lines) == 1, out)
    return lines[0].split()


def driver(m, pci):
    return os.path.basename(os.readlink(m.path("sys/bus/pci/devices/%s/driver" % pci)))


def test_shared_group():
    """What a refusal says to run works, as often as it takes."""
    for args, twice in ((["ens1"], False), (["ens2", "ens1"], False), (["--force", "ens1"], False), (["ens2", "ens1"], True)):
        m = two_nics()
        pcis = ["0000:3b:00.0", "0000:3b:00.1"]
        m.nic(pcis[1], "e1000e", iface="ens3", group=1)
        if "--force" in args:
            m.put("ip/default4", "default via 192.0.2.1 dev ens1\ndefault via 192.0.2.2 dev ens3\n")
        if twice:  # both in a group with another each
            pcis += ["0000:af:00.0", "0000:af:00.1"]
            m.nic(pcis[3], "e1000e", iface="ens4", group=2)
        for _ in range(1 + twice):
            out = run(m, 1, "bind", *args)
            args = told(out)
            check(args.pop(0) == "bind", out)
            check(not m.get("var/lib/sluice/setup/state") and "devbind" not in (m.get("calls") or ""), "it changed something")
        says(run(m, 0, "bind", *args), *["%s: %s -> vfio-pci" % (p, "virtio-pci" if p == "0000:af:00.0" else "e1000e")
                                         for p in pcis])
        check([driver(m, p) for p in pcis] == ["vfio-pci"] * len(pcis), "not all are bound")
        m.close()
    m = two_nics()  # nor is there AF_XDP for a card without an interface
    m.nic("0000:5e:00.0", "e1000e", group=4)
    m.nic("0000:00:17.0", "ahci", group=4, cls="0x010601")
    says(run(m, 1, "bind", "0000:5e:00.0"), "      -> put the card into another slot")
    m.close()


def test_all_or_none():
    """A NIC that is refused keeps those before it from being bound."""
    m = two_nics()
    m.put("ip/default4", "default via 192.0.2.1 dev ens2\n")
    says(run(m, 1, "bind", "ens1", "ens2"), "0000:af:00.0 is ens2, and the default route goes through it")
    check(not re.search("flush|devbind", m.get("calls")), m.get("calls"))
    check(driver(m, "0000:3b:00.0") == "e1000e" and not m.get("var/lib/sluice/setup/state"), "the first is bound")
    says(run(m, 1, "bind", "ens1", "nix"), "'nix' is neither")
    check(driver(m, "0000:3b:00.0") == "e1000e", "the first is bound")
    says(run(m, 0, "bind", "ens1", "3b:00.0"), "e1000e -> vfio-pci", "is bound to vfio-pci")  # the same twice
    m.close()


def test_bind_names():
    m = two_nics()
    m.nic("0000:00:1f.0", "lpc_ich", cls="0x060100", group=3)
    m.iface("tun0")
    says(run(m, 1, "bind", "0000:00:1f.0"), "is no network card (class 0x060100)")
    says(run(m, 1, "bind", "nix"), "neither an interface nor a PCI address")
    says(run(m, 1, "bind", "0000:99:00.0"), "there is no PCI device 0000:99:00.0")
    says(run(m, 1, "bind", "tun0"), "tun0 is no PCI device: nothing has to be bound\n      -> sluice-setup config tun0")
    for name in ("", ".", "../net/ens1", "lo/x", "ens1 ens2"):
        says(run(m, 1, "bind", name), "'%s' is neither an interface nor a PCI address" % name)
        says(run(m, 1, "config", name), "'%s' is neither an interface nor a PCI address" % name)
    says(run(m, 2, "bind"), "sluice-setup bind [--force]")
    for wrong in ((), ("frob",), ("check", "-f"), ("check", "-f", ""), ("check", "x"), ("hugepages", "-f"),
                  ("hugepages", "0"), ("unbind",), ("unbind", "--force", "ens1"), ("status", "x"), ("undo", "x"),
                  ("config",), ("config", "ens1", "ens2"), ("config", "--af-xdp"), ("config", "--frob", "ens1")):
        says(run(m, 2, *wrong), "sluice-setup check")
    for help in ("-h", "--help", "help"):
        says(run(m, 0, help), "sluice-setup check")
    check(not m.get("calls"), m.get("calls"))
    m.close()


def test_bifurcated():
    m = Machine()
    m.nic(NIC, "mlx5_core", iface="ens1", group=1)
    m.put("ip/default4", "default via 192.0.2.1 dev ens1\n")  # it stays the kernel's: no harm
    m.put("usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_mlx5.so.23", "")
    says(run(m, 0, "bind", "ens1"), "mlx5_core works together with DPDK: nothing is to be bound")
    check("devbind" not in (m.get("calls") or ""), "it was bound")
    says(run(m, 0, "config", "ens1"), "nothing is bound", "device " + NIC)
    m.close()


def test_no_iommu():
    m = Machine()
    m.nic(NIC, "virtio-pci", iface="ens1", virtio=True)
    out = run(m, 1, "bind", "ens1")
    says(out, "behind no IOMMU", "intel_iommu=on", "--af-xdp ens1", "This kernel has no no-IOMMU mode")
    says(run(m, 1, "bind", "--noiommu", "ens1"), "this kernel has no no-IOMMU mode (CONFIG_VFIO_NOIOMMU)")
    m.put("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n")
    says(run(m, 1, "bind", "ens1"), "3. Accept it", "bind --noiommu " + NIC)
    says(run(m, 0, "bind", "--noiommu", "ens1"), "no-IOMMU mode is on", "--iova-mode=pa")
    check(m.get("sys/module/vfio/parameters/enable_unsafe_noiommu_mode") == "Y\n", "parameter")
    says(run(m, 0, "undo"), "no-IOMMU mode is off", "vfio-pci -> virtio-pci")
    check(m.get("sys/module/vfio/parameters/enable_unsafe_noiommu_mode") == "N\n", "parameter")
    m.close()


def free(m, node):
    return int(m.get("sys/devices/system/node/node%d/hugepages/hugepages-2048kB/free_hugepages" % node))


def test_hugepages():
    m = two_nics()
    m.put("etc/dpdk/dpdk.conf", "# mine\nNR_1G_PAGES=0\n")
    m.conf("global\n    nbthread 2\nport a\n    device 0000:af:00.0\n")
    m.pages(1, 20, 4)  # 16 are somebody else's
    says(run(m, 0, "hugepages"), "hugetlbfs is mounted now", "node 1: 228 MiB are free now", "reserves them at boot")
    check(free(m, 0) == 0 and free(m, 1) == 114, "pages: %d %d" % (free(m, 0), free(m, 1)))
    says(m.get("etc/dpdk/dpdk.conf"), "# mine\n", 'NR_2M_PAGES="0 130"\n', "FREE_PREVIOUS_ALLOCATIONS=0\n")
    before = m.get("etc/dpdk/dpdk.conf"), m.get("var/lib/sluice/setup/state")
    says(run(m, 0, "hugepages"), "node 1: 228 MiB are free, 228 are needed", "reserves them at boot")
    check(before == (m.get("etc/dpdk/dpdk.conf"), m.get("var/lib/sluice/setup/state")), "not idempotent")
    says(run(m, 0, "hugepages", "0=10", "1=10"), "node 0: 10 MiB are free now", "node 1: 228 MiB are free, 10 are needed")
    says(m.get("etc/dpdk/dpdk.conf"), 'NR_2M_PAGES="5 130"\n')
    out = run(m, 0, "undo")
    says(out, "node 1 has 20 pages", "node 0 has 0 pages", "not mounted any more", "/etc/dpdk/dpdk.conf is as it was")
    check(m.get("etc/dpdk/dpdk.conf") == "# mine\nNR_1G_PAGES=0\n", m.get("etc/dpdk/dpdk.conf"))
    check((free(m, 0), free(m, 1)) == (0, 4), "pages")
    # the program knows where main, workers and ports are
    m.stub("sluice", 'echo "sluice $*" >>"$ROOT/calls"; echo 0 64; echo 1 86; echo 2 0')
    says(run(m, 0, "hugepages"), "node 0: 64 MiB are free now", "node 1: 86 MiB are free now")
    says(m.get("calls"), "sluice -dN -f %s/etc/sluice/sluice.cfg" % m.root)
    run(m, 0, "undo")
    m.stub("sluice", "echo an error >&2; exit 1")
    says(run(m, 0, "hugepages"), "node 1: 228 MiB are free now")
    run(m, 0, "undo")
    m.put("max.0", "7")
    says(run(m, 1, "hugepages", "0=100"), "only 14 of 100 MiB could be reserved: memory is fragmented", "hugepages=50")
    says(run(m, 1, "hugepages", "7=100"), "there is no NUMA node 7")
    says(run(m, 2, "hugepages", "x"), "sluice-setup hugepages")
    held = two_nics()  # those of a sluice that runs are not those of others
    held.pages(0, 50, 0)
    runs(held, 40)
    says(run(held, 0, "hugepages", "0=148"), "node 0: 148 MiB are free now")
    check(free(held, 0) == 34, "pages: %d" % free(held, 0))
    for wrong in ("0=x", "x=0", "0=10x", "0=1.5", "0=-3", "=", "0=", "=5", "0=99999999999999999999", "0=1=2"):
        says(run(m, 1, "hugepages", wrong), "'%s' is not a node and its MiB, as in 0=512" % wrong)
    says(run(m, 0, "hugepages", "00=08"), "node 0: 14 MiB are free, 8 are needed")
    run(m, 0, "undo")
    m.close()
    m = two_nics()  # no file before: none after
    run(m, 0, "hugepages", "0=10")
    run(m, 0, "undo")
    check(m.get("etc/dpdk/dpdk.conf") is None, "a file is left")
    m.close()
    m = Machine(nodes=0)
    says(run(m, 1, "hugepages"), "the kernel has no pages of 2 MiB")
    m.close()


def test_config():
    m = two_nics()
    says(run(m, 0, "config", "ens2"), "# Bind it first: sluice-setup bind ens2", "port ens2\n    device 0000:af:00.0\n",
         "address 192.0.2.10/24", "On NUMA node 1")
    says(run(m, 0, "config", "--af-xdp", "ens2"), "device net_af_xdp0,iface=ens2", "ip addr flush dev ens2")
    m.iface("dummy0")
    says(run(m, 0, "config", "dummy0"), "device net_af_xdp0,iface=dummy0")
    for i in range(5):  # several of one card: the first
        m.iface("ens7f%d" % i, m.path("sys/bus/pci/devices/0000:5e:00.0"))
    m.nic("0000:5e:00.0", "mlx4_core", group=5)
    says(run(m, 0, "config", "0000:5e:00.0"), "port ens7f0\n    device 0000:5e:00.0\n")
    run(m, 0, "bind", "ens2")
    says(run(m, 1, "config", "--af-xdp", "0000:af:00.0"), "AF_XDP needs the kernel's driver\n      -> sluice-setup unbind 0000:af:00.0")
    says(run(m, 2, "config"), "sluice-setup config")
    m.close()


def test_purge():
    """The package goes, the record of how to give a card back does not, until it was followed."""
    def script(m, name, arg):
        env = {"PATH": m.bin, "DPKG_ROOT": m.root}
        p = subprocess.run(["/bin/sh", os.path.join(REPO, "debian", "sluice." + name), arg], env=env,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        check(p.returncode == 0 and "not found" not in p.stdout, p.stdout)
        return p.stdout

    m = two_nics()
    m.stub("getent", "exit 2")
    check(script(m, "prerm", "remove") == "", "it speaks of nothing")
    run(m, 0, "bind", "ens1")
    run(m, 0, "hugepages", "0=10")
    check(script(m, "prerm", "upgrade") == script(m, "postrm", "upgrade") == script(m, "postrm", "remove") == "", "it speaks")
    says(script(m, "prerm", "remove"), "what there was before is kept", "-> apt-get install sluice && sluice-setup undo")
    state, files = m.get("var/lib/sluice/setup/state"), os.listdir(m.path("var/lib/sluice/setup"))
    says(script(m, "postrm", "purge"), "var/lib/sluice/setup is kept: dpdk.service goes on binding cards",
         "-> apt-get install sluice && sluice-setup undo && apt-get purge sluice",
         "dpdk-devbind.py -b e1000e 0000:3b:00.0; and its line out of /etc/dpdk/interfaces\n")
    check(m.get("var/lib/sluice/setup/state") == state and os.listdir(m.path("var/lib/sluice/setup")) == files, "it is gone")
    # as it says
    says(run(m, 0, "undo"), "vfio-pci -> e1000e", "ens1 has 192.0.2.5/24 again", "/etc/dpdk/interfaces is as it was")
    check(script(m, "prerm", "remove") == script(m, "postrm", "purge") == "", "it speaks of nothing")
    check(not os.path.exists(m.path("var/lib/sluice")), "something is left")
    run(m, 0, "bind", "ens1")  # there and back by hand
    run(m, 0, "unbind", "0000:3b:00.0")
    check(script(m, "prerm", "remove") == script(m, "postrm", "purge") == "", "it speaks of nothing")
    check(not os.path.exists(m.path("var/lib/sluice")), "something is left")
    m.put("var/lib/sluice/setup/state", "pages 0 0\nmounted\n")  # which the next boot takes back
    script(m, "postrm", "purge")
    check(not os.path.exists(m.path("var/lib/sluice")), "something is left")
    m.close()


def test_all_messages_seen():
    """Last: what the scripts can say has been said."""
    text = "\n".join(seen)
    missing = []
    for name in ("sluice-setup", "setup.d/common.sh", "setup.d/check.sh"):
        with open(os.path.join(REPO, "scripts", name)) as f:
            source = f.read()
        for msg in re.findall(r'\b(?:ok|warn|fault|note|die) "((?:[^"\\]|\\.|\$\([^()]*\))*)"', source):
            if msg.startswith("$"):
                msg = re.sub(r"^\$\w+|^\$\{[^}]*\}", "", msg)
            parts = [p for p in re.split(r"\$\{[^}]*\}|\$\([^()]*\)|\$\w+|\\.", msg.split("$(")[0]) if p.strip()]
            if not re.search(".*".join(re.escape(p) for p in parts), text):
                missing.append("%s: %s" % (name, msg))
    check(not missing, "no test has seen:\n" + "\n".join(missing))


tests = {n: f for n, f in list(globals().items()) if n.startswith("test_")}
for name in sys.argv[1:]:
    if name not in tests:
        sys.exit("there is no test '%s'" % name)
failed = 0
for fn in [tests[n] for n in tests if n in sys.argv or len(sys.argv) < 2]:
    try:
        fn()
        print("ok     " + fn.__name__)
    except Failed as e:
        failed += 1
        print("FAILED %s: %s" % (fn.__name__, e))
sys.exit(failed > 0)
