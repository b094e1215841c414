# SPDX-License-Identifier: BSD-3-Clause
"""An invented machine for sluice-setup: /sys, /proc and /etc below a folder, and stub tools that change it."""
import atexit
import os
import shutil
import subprocess
import tempfile

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SETUP = os.path.join(REPO, "scripts", "sluice-setup")

# Real programs; everything else that is called must be a stub.
REAL = ("bash sed grep basename dirname readlink cat tr sort head tail mkdir rm rmdir cp touch tac find ls "
        "env true ln mv sleep").split()

STUBS = {
    "id": "echo ${STUB_UID:-0}",
    "ip": """
echo "ip $*" >>"$ROOT/calls"
cd "$ROOT/ip"
case "$*" in
"-o -4 route show default") cat default4 ;;
"-o -6 route show default") cat default6 ;;
"-o route get "*) cat "get.$4" ;;
"-o route show root "*) cat "root.$(echo "$5" | tr / _)" ;;
"-o addr show dev "*) cat "addr.$5" ;;
"-o addr show to "*) grep -h -F " $5/" addr.* ;;
"-o link show dev "* | "-d link show dev "* | "-o -d link show dev "*)
	for d; do :; done
	cat "link.$d" ;;
"addr flush dev "*) : >"addr.$4" ;;
"link set dev "*) echo "$5" >"$ROOT/sys/class/net/$4/operstate" ;;
"addr replace "*) echo "9: $5    inet $3 scope global $5" >>"addr.$5" ;;
*) echo "stub ip: $*" >&2 && exit 99 ;;
esac 2>/dev/null
true""",
    # processes are said only where they are asked for; the one filter that is known
    "ss": """
case "$*" in
*established*)
	[ -e "$ROOT/ss.est" ] || exit 0
	re='^[^ ]+ [^ ]+ [^ ]+:22 '
	while read -r line; do
		[[ "$*" != *"sport = :22"* || $line =~ $re ]] || continue
		[[ $1 == -*p* ]] || line=${line%% users:*}
		echo "$line"
	done <"$ROOT/ss.est" ;;
*) cat "$ROOT/ss.listen" 2>/dev/null ;;
esac
true""",
    "apt-get": """case "$*" in *--assume-no*) cat <<'EOF'
0 upgraded, 5 newly installed, 0 to remove and 3 not upgraded.
Need to get 1,234 kB of archives.
After this operation, 5,678 kB of additional disk space will be used.
EOF
exit 1 ;;
*) echo "stub apt-get: $*" >&2 && exit 99 ;; esac""",
    "pgrep": """cat "$ROOT/running" 2>/dev/null""",
    "ethtool": """cat "$ROOT/ethtool.$2" 2>/dev/null; true""",
    "modprobe": """
echo "modprobe $*" >>"$ROOT/calls"
[ ! -e "$ROOT/no-$1" ] || exit 1
[ "$1" != vfio-pci ] || mkdir -p "$ROOT/sys/bus/pci/drivers/vfio-pci" """,
    # -b DRIVER PCI, -u PCI: as the kernel, the interface goes and comes with its driver
    "dpdk-devbind.py": """
echo "dpdk-devbind.py $*" >>"$ROOT/calls"
[ "$1" = -b ] && drv=$2 pci=$3 || { drv= pci=$2; }
[ ! -e "$ROOT/stuck" ] || exit 1
rc=0
[ ! -e "$ROOT/refused" ] || [ "$drv" != vfio-pci ] || { drv='' rc=1; } # the kernel's driver is off, and no other on
[ ! -e "$ROOT/lost" ] || [ "$drv" = vfio-pci ] || { drv='' rc=1; } # nor does the kernel's go on again
d=$ROOT/sys/bus/pci/devices/$pci
rm -f "$d/driver"
[ -z "$drv" ] || ln -s "../../drivers/$drv" "$d/driver"
i=$(cat "$ROOT/nics/$pci" 2>/dev/null)
[ -n "$i" ] || exit $rc
case $drv in
vfio-pci | "") rm -rf "$ROOT/sys/class/net/$i" ;;
*)
	come() {
		mkdir -p "$ROOT/sys/class/net/$1" && echo down >"$ROOT/sys/class/net/$1/operstate" && ln -sfn "$d" "$ROOT/sys/class/net/$1/device"
	}
	[ ! -e "$ROOT/never" ] || exit 0
	if [ -e "$ROOT/late" ]; then (sleep 0.3 && come eth0) >/dev/null 2>&1 & # and udev names it
	else come "$i"; fi ;;
esac
exit $rc""",
    "udevadm": """
echo "udevadm $*" >>"$ROOT/calls"
[ ! -e "$ROOT/sys/class/net/eth0" ] || mv "$ROOT/sys/class/net/eth0" "$ROOT/sys/class/net/ens1" """,
    "dpdk-hugepages.py": """
echo "dpdk-hugepages.py $*" >>"$ROOT/calls"
case "$1" in
--mount) echo "hugetlbfs /dev/hugepages hugetlbfs rw 0 0" >>"$ROOT/proc/mounts" ;;
--unmount) grep -v hugetlbfs "$ROOT/proc/mounts" >"$ROOT/m"; mv "$ROOT/m" "$ROOT/proc/mounts" ;;
--node)
	d=$ROOT/sys/devices/system/node/node$2/hugepages/hugepages-2048kB
	want=$(( ${6%M} / 2 ))
	max=$(cat "$ROOT/max.$2" 2>/dev/null || echo 100000)
	[ $want -le $max ] || want=$max
	used=$(( $(cat $d/nr_hugepages) - $(cat $d/free_hugepages) ))
	echo $want >$d/nr_hugepages
	echo $((want - used)) >$d/free_hugepages ;;
esac""",
    "dpdk-telemetry.py": "true",
}


class Machine:
    """Two CPUs, one node, Debian 12, all rights; without NICs."""

    def __init__(self, nodes=1, pages=0, cpus=4):
        self.root = tempfile.mkdtemp(prefix="sluice-setup-")
        atexit.register(self.close)
        self.bin = self.path("bin")
        os.makedirs(self.bin)
        for name in REAL:
            os.symlink(shutil.which(name), os.path.join(self.bin, name))
        for name, text in STUBS.items():
            self.stub(name, text)
        for d in ("ip", "nics", "sys/bus/pci/devices", "sys/bus/pci/drivers", "sys/class/net", "run/dpdk", "dev",
                  "etc/dpdk", "proc/self", "proc/1"):
            os.makedirs(self.path(d), exist_ok=True)
        self.put("etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
        self.put("proc/cpuinfo", "".join("processor : %d\nvendor_id : GenuineIntel\n" % i for i in range(cpus)))
        self.put("proc/self/status", "CapEff:\t000001ffffffffff\n")
        self.put("proc/mounts", "bpf /sys/fs/bpf bpf rw 0 0\n")
        self.put("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n")
        for d in ("self", "1"):
            self.link("proc/%s/ns/net" % d, "net:[1]")
        for n in range(nodes):
            self.pages(n, pages, pages)
        for pmd in ("af_xdp", "af_packet", "tap", "e1000", "virtio", "bond"):
            self.put("usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_%s.so.23" % pmd, "")
        self.memlock = "unlimited"
        self.env = {}

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.root, name)

    def put(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text)

    def get(self, name):
        try:
            with open(self.path(name)) as f:
                return f.read()
        except FileNotFoundError:
            return None

    def link(self, name, to):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        if os.path.islink(self.path(name)):
            os.unlink(self.path(name))
        os.symlink(to, self.path(name))

    def stub(self, name, text):
        p = os.path.join(self.bin, name)
        with open(p, "w") as f:
            f.write("#!%s/bash\nROOT=%s\n%s\n" % (self.bin, self.root, text))
        os.chmod(p, 0o755)

    def pages(self, node, total, free):
        d = "sys/devices/system/node/node%d/hugepages/hugepages-2048kB/" % node
        self.put(d + "nr_hugepages", "%d\n" % total)
        self.put(d + "free_hugepages", "%d\n" % free)

    def mount_huge(self):
        self.put("proc/mounts", self.get("proc/mounts") + "hugetlbfs /dev/hugepages hugetlbfs rw 0 0\n")

    def nic(self, pci, driver="e1000e", iface=None, node=-1, group=None, cls="0x020000", virtio=False):
        d = "sys/bus/pci/devices/%s/" % pci
        self.put(d + "class", cls + "\n")
        self.put(d + "numa_node", "%d\n" % node)
        if driver:
            os.makedirs(self.path("sys/bus/pci/drivers/" + driver), exist_ok=True)
            self.link(d + "driver", "../../drivers/" + driver)
        if group is not None:
            g = "sys/kernel/iommu_groups/%d" % group
            self.link(g + "/devices/" + pci, self.path(d.rstrip("/")))
            self.link(d + "iommu_group", self.path(g))
        if iface:
            self.put("nics/" + pci, iface + "\n")
            dev = self.path(d.rstrip("/"))
            if virtio:
                dev += "/virtio1"
                os.makedirs(dev)
            self.iface(iface, dev)

    def iface(self, name, dev=None, addrs=(), up=True, link=""):
        os.makedirs(self.path("sys/class/net/" + name), exist_ok=True)
        if dev:
            self.link("sys/class/net/%s/device" % name, dev)
        self.put("sys/class/net/%s/operstate" % name, "up\n" if up else "down\n")
        self.put("ip/link." + name, link)
        self.addrs(name, *addrs)

    def addrs(self, name, *addrs):
        self.put("ip/addr." + name, "".join("2: %s    inet%s %s scope global %s\n" %
                                            (name, "6" if ":" in a else "", a, name) for a in addrs))

    def conf(self, text):
        self.put("etc/sluice/sluice.cfg", text)

    def run(self, *args):
        """(exit code, output)"""
        env = {"PATH": self.bin, "SLUICE_SETUP_ROOT": self.root, "SLUICE_SETUP_MEMLOCK": self.memlock}
        env.update(self.env)
        p = subprocess.run([os.path.join(self.bin, "bash"), SETUP] + list(args), env=env, timeout=60,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        return p.returncode, p.stdout
