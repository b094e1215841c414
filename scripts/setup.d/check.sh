# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# sluice-setup check: what keeps sluice from running, or from running well, on this machine with this
# configuration. Each finding names the cause and the one command (or line) for it.

running() { pgrep -x sluice >/dev/null 2>&1; }
in_container() { [ -e "$R/.dockerenv" ] || [ -e "$R/run/.containerenv" ] || [ -e "$R/run/systemd/container" ]; }

check_machine() {
	local id='' ver='' n line threads clock
	# shellcheck disable=SC1091
	[ ! -r "$R/etc/os-release" ] || read -r id ver < <(. "$R/etc/os-release" && echo "${ID:-} ${VERSION_ID:-}")
	if [ "$id $ver" = "debian 12" ]; then
		ok "Debian 12"
	else
		warn "this is ${id:-an unknown system} ${ver:-}: packages and their names are Debian 12's (it is in long-term support; DPDK 22.11)" \
			"run it on Debian 12, or build from source against your DPDK"
	fi
	n=$(grep -c '^processor' "$R/proc/cpuinfo" 2>/dev/null || :)
	threads=$(conf_words nbthread | tail -n 1 | tr -d ' ')
	threads=${threads:-1}
	if [ "${n:-0}" -le "$threads" ]; then
		if [ -n "$(conf_words 'busy-polling')" ] || grep -q -s -E '^[[:space:]]*busy-polling' "$cfg"; then
			fault "busy-polling with $threads workers on $n CPUs: they never give a CPU to main, scripts and the kernel" \
				"remove 'busy-polling' from $cfg, or set 'nbthread $((n > 1 ? n - 1 : 1))'"
		else
			warn "$threads workers on $n CPUs: workers share them with main and scripts, and nap when idle" \
				"'nbthread $((n > 1 ? n - 1 : 1))' in $cfg"
		fi
	else
		ok "$n CPUs for $threads workers"
	fi
	clock=$(first_line "$sys/devices/system/clocksource/clocksource0/current_clocksource")
	if [ -n "$clock" ] && [ "$clock" != tsc ]; then
		warn "the kernel's clock is $clock, not tsc: it holds the CPU's counter for unreliable, and every look at the time is slow" \
			"give the virtual machine an invariant TSC (QEMU: -cpu host,+invtsc), or boot with clocksource=tsc"
	else
		ok "the clock is ${clock:-unknown}"
	fi
	if in_container && [ ! -c "$R/dev/net/tun" ]; then
		fault "in a container without /dev/net/tun: no TAP port" \
			"docker run --device /dev/net/tun --cap-add NET_ADMIN ... (without: sockets of the kernel only, no DPDK port)"
	fi
	line=$(find "$R/run" -mindepth 2 -maxdepth 4 -name 'dpdk_telemetry.v2*' -not -path "$R/run/dpdk/*" 2>/dev/null | head -n 1) || :
	line=/${line#"$R/"}
	[ "$line" = / ] || warn "a DPDK program has its telemetry socket at $line, where dpdk-telemetry.py does not look: systemd's RuntimeDirectory= moved it" \
		"in that unit: ExecStart=/usr/bin/env -u RUNTIME_DIRECTORY PROGRAM (sluice does it by itself)"
}

cap_missing() { # BIT NAME
	local eff
	eff=$(sed -n 's/^CapEff:[[:space:]]*//p' "$R/proc/self/status" 2>/dev/null) || :
	[ -z "$eff" ] || [ $((16#$eff >> $1 & 1)) = 1 ] || printf '%s ' "$2"
}
check_rights() {
	local lost kb
	lost=$(
		cap_missing 12 CAP_NET_ADMIN
		cap_missing 13 CAP_NET_RAW
		cap_missing 14 CAP_IPC_LOCK
		cap_missing 39 CAP_BPF
	)
	if [ -n "$lost" ]; then
		fault "without ${lost% }: TAP, AF_PACKET and AF_XDP ports need them (sluice starts as root and gives up what it can)" \
			"sudo sluice-setup check${cfg:+ -f $cfg}"
	else
		ok "the rights that ports need are there"
	fi
	kb=${SLUICE_SETUP_MEMLOCK:-$(ulimit -l)}
	if [ "$kb" != unlimited ] && [ "$kb" -lt 1048576 ] && [ -n "$(cap_missing 14 CAP_IPC_LOCK)" ]; then
		warn "only $kb KiB of memory may be locked: vfio and AF_XDP pin all packet buffers (the service has LimitMEMLOCK=infinity)" \
			"ulimit -l unlimited"
	else
		ok "memory may be locked"
	fi
}

check_hugepages() {
	local eal n need free own pci=0 dev
	eal=$(conf_words dpdk-eal)
	while read -r dev; do
		[[ $dev =~ ^([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] ]] && pci=1
	done < <(conf_devices)
	if [[ $eal == *--in-memory* ]]; then
		if [[ $eal == *--no-huge* ]]; then
			fault "dpdk-eal has both --in-memory and --no-huge: DPDK refuses that" "remove --in-memory in $cfg"
		else
			warn "dpdk-eal has --in-memory: dpdk-dumpcap and dpdk-proc-info cannot attach, and a second instance's telemetry gets the suffix :1" \
				"replace it by --file-prefix=NAME in $cfg, and read with dpdk-telemetry.py -f NAME"
		fi
	fi
	if [[ $eal == *--no-huge* ]]; then
		note "dpdk-eal has --no-huge: hugepages are not used, dpdk-dumpcap cannot attach"
		return
	fi
	if ! pages_own 0 >/dev/null; then
		note "sluice runs, but /proc/PID/numa_maps is hidden: whether it has its hugepages is not seen"
		return
	fi
	while read -r n need; do
		own=$(pages_own "$n" || echo 0)
		free=$(($(pages_ours "$n") * 2))
		if [ "$free" -ge "$need" ]; then
			ok "node $n: $free MiB of hugepages are free$([ "$own" = 0 ] || echo ", or sluice's that runs"), $need are needed"
		elif [ $pci = 1 ]; then
			fault "node $n has $free MiB of hugepages free, a port on PCI needs $need" "sluice-setup hugepages $n=$need"
		else
			warn "node $n has $free MiB of hugepages free, of $need: sluice goes without, and dpdk-dumpcap cannot attach" \
				"sluice-setup hugepages $n=$need"
		fi
	done < <(needs)
	if [ "$(pages_all 0)" != 0 ] && ! huge_mounted; then
		fault "there are hugepages, but no hugetlbfs is mounted" "dpdk-hugepages.py --mount"
	fi
	if grep -q -s '^NR_[0-9A-Z]*_PAGES=' "$conf_dpdk" && ! grep -q '^FREE_PREVIOUS_ALLOCATIONS=0' "$conf_dpdk"; then
		warn "$conf_dpdk lets dpdk.service free hugepages that others have reserved" \
			"echo FREE_PREVIOUS_ALLOCATIONS=0 >> $conf_dpdk"
	fi
}

check_pci_port() { # DEVICE
	local pci=${1%%,*} drv i why
	[[ $pci =~ ^[0-9a-f]{2}: ]] && pci=0000:$pci
	if [ ! -e "$sys/bus/pci/devices/$pci" ]; then
		fault "device $1: there is no PCI device $pci" "dpdk-devbind.py --status-dev net"
		return
	fi
	drv=$(driver_of "$pci")
	if is_bifurcated "$drv"; then
		ok "$pci: $drv works together with DPDK, nothing is to be bound"
		check_pmd "$drv" "$pci ($drv)" || :
		return
	fi
	if is_userspace "$drv"; then
		ok "$pci is bound to $drv"
		if ! has_iommu "$pci" && [[ $(conf_words dpdk-eal) != *--iova-mode=pa* ]]; then
			fault "$pci is bound without an IOMMU: DPDK must use physical addresses" \
				"dpdk-eal \"--iova-mode=pa\" in the global section of $cfg"
		fi
		check_pmd "$(sed -n "s/^bind $pci //p" "$state" 2>/dev/null)" "$pci" || :
		return
	fi
	i=$(iface_of_pci "$pci")
	why=$([ -z "$i" ] || why_not "$i")
	if [ -n "$why" ]; then
		fault "$pci is $i, and $why: a port must be a card of its own" \
			"another device in $cfg (dpdk-devbind.py --status-dev net lists them)"
	elif ! has_iommu "$pci"; then
		fault "$pci is behind no IOMMU: vfio cannot protect memory from it" \
			"add '$(iommu_words)' to GRUB_CMDLINE_LINUX in /etc/default/grub, then: update-grub && reboot (or: sluice-setup config --af-xdp ${i:-$pci})"
	else
		fault "$pci belongs to the kernel's driver ${drv:-(none)}" "sluice-setup bind $pci"
	fi
}

has_prog() { ip -d link show dev "$1" 2>/dev/null | has_line 'prog/xdp\| xdp'; }
# What a port over an interface of the kernel wants of it.
check_iface_port() { # KIND IFACE
	local i=$2 f p mtu
	if [ ! -e "$sys/class/net/$i" ]; then
		fault "there is no interface $i" "ip -br link"
		return
	fi
	if [ -n "$(ip -o addr show dev "$i" scope global 2>/dev/null)" ]; then
		fault "$i has addresses of its own: the kernel answers there too, with RST" "ip addr flush dev $i"
	fi
	if [ "$(first_line "$R/proc/sys/net/ipv6/conf/$i/disable_ipv6")" = 0 ]; then
		warn "the kernel speaks IPv6 on $i beside sluice (router solicitations, MLD)" "sysctl -w net.ipv6.conf.$i.disable_ipv6=1"
	fi
	if [ "$1" = af_xdp ]; then
		grep -q -s ' /sys/fs/bpf bpf ' "$R/proc/mounts" ||
			warn "bpffs is not mounted: libxdp cannot pin its dispatcher" "mount -t bpf bpf /sys/fs/bpf"
		if has_prog "$i" && ! running; then
			fault "$i has an XDP program though sluice does not run: it was killed, or it is somebody else's" "ip link set dev $i xdp off"
		fi
	else
		mtu=$(first_line "$sys/class/net/$i/mtu")
		[ "${mtu:-1500}" -le 1500 ] ||
			warn "AF_PACKET drops frames beyond 2048 bytes, and $i has an MTU of $mtu" "ip link set dev $i mtu 1500"
		note "AF_PACKET on $i: the kernel sees each packet too; AF_XDP does not let it"
	fi
	p=$(ip -o -d link show dev "$i" 2>/dev/null | sed -n 's/^[0-9]*: [^@:]*@\([^:]*\):.* veth .*/\1/p') || :
	if [ -n "$p" ] && [ -e "$sys/class/net/$p" ]; then
		f=$(ethtool -k "$p" 2>/dev/null | grep -c -E '^(tx-checksumming|tcp-segmentation-offload|generic-segmentation-offload): on' || :)
		[ "$f" = 0 ] || fault "$p, the other end of $i, leaves checksums and segmentation to a card that is not there: frames arrive with bad sums or too long" \
			"ethtool -K $p tx off tso off gso off"
	fi
}

check_tap_port() { # DEVICE
	local i=${1##*iface=}
	i=${i%%,*}
	if [ ! -c "$R/dev/net/tun" ]; then
		in_container || fault "there is no /dev/net/tun" "modprobe tun"
	fi
	if [[ $1 == *remote=* ]]; then
		fault "device $1: with 'remote=' DPDK's TAP driver does not start (it cannot make a multiqueue qdisc)" \
			"leave 'remote=' out (the same message without it does no harm)"
	fi
	[[ $1 != *iface=* ]] || check_rp_filter "$i"
	[[ $1 != *persist* ]] || warn "device $1: 'persist' leaves the interface there when sluice ends" "leave 'persist' out"
	if [[ $1 == *iface=* ]] && [ -e "$sys/class/net/$i" ] && ! running; then
		warn "$i is there though sluice does not run: a process was killed, or had 'persist'" "ip link del $i"
	fi
	note "TAP takes a system call for each packet: fine to try things, never to measure"
	note "DPDK may say 'failed to create multiq qdisc' of a TAP: it goes on without flow rules, which sluice does not use"
}

# With 1 (strict) the kernel drops what comes by an interface from networks that it routes elsewhere; the
# larger of both values counts.
check_rp_filter() { # IFACE
	local all one
	all=$(first_line "$R/proc/sys/net/ipv4/conf/all/rp_filter")
	one=$(first_line "$R/proc/sys/net/ipv4/conf/$1/rp_filter")
	[ -n "$one" ] || one=$(first_line "$R/proc/sys/net/ipv4/conf/default/rp_filter") # it is not there yet
	[ "${one:-0}" -ge "${all:-0}" ] || one=$all
	[ "${one:-0}" != 1 ] ||
		warn "rp_filter is strict on $1: the kernel drops what comes there from networks that it routes over another interface" \
			"sysctl -w net.ipv4.conf.all.rp_filter=2 (and a line in /etc/sysctl.d)"
}

# What is not sluice's of a port, and goes to the kernel.
check_kernel_taps() {
	local tap dev
	while read -r tap _; do
		if [ ! -c "$R/dev/net/tun" ]; then
			fault "kernel-tap $tap: there is no /dev/net/tun" "modprobe tun"
		fi
		check_rp_filter "$tap"
	done < <(conf_words kernel-tap)
	[ -n "$(conf_words kernel-tap)" ] || return 0
	while read -r dev; do
		[[ $dev == net_af_packet* ]] || continue
		dev=${dev##*iface=}
		dev=${dev%%,*}
		warn "AF_PACKET leaves all frames on $dev to the kernel as well, so with kernel-tap it hears them twice" \
			"nft 'table netdev sluice { chain in { type filter hook ingress device $dev priority 0; policy drop; }; }'"
	done < <(conf_devices)
}

check_ports() {
	local dev kind i n=0
	while read -r dev; do
		n=$((n + 1))
		case $dev in
		net_tap*)
			check_pmd tap "TAP" || :
			check_tap_port "$dev"
			;;
		net_af_xdp* | net_af_packet*)
			kind=af_xdp
			[[ $dev != net_af_packet* ]] || kind=af_packet
			check_pmd $kind "${kind^^}" || :
			i=${dev##*iface=}
			check_iface_port $kind "${i%%,*}"
			;;
		net_bond* | eth_bond*) check_pmd bond "bonding" || : ;;
		net_* | wire* | virtio_user*) ;;
		*) check_pci_port "$dev" ;;
		esac
	done < <(conf_devices)
	check_kernel_taps
	[ $n -gt 0 ] || note "$cfg has no port section: sluice uses sockets of the kernel only"
}

# What the configuration says about addresses, against what the kernel has.
check_addresses() {
	local a dev line
	while read -r a; do
		a=${a%%[[:space:]]*}
		[[ $a == *.* ]] || continue
		dev=$(ip -o route show root "$a" 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1) || :
		# the card of a port that is still to be bound takes its route along
		! conf_devices | has_line -F -- "$([ -z "$dev" ] || pci_of_iface "$dev" | grep . || echo "$dev is none")" || continue
		# the other end of a veth is in that network because sluice is
		! ip -o -d link show dev "$dev" 2>/dev/null | has_line ' veth ' || continue
		[ -z "$dev" ] || conf_devices | has_line "iface=$dev\\(,\\|\$\\)" ||
			warn "the kernel has a route to the network of $a on $dev: it and sluice would both be in that network" \
				"another network in $cfg, or: ip route del ${a} dev $dev"
	done < <(conf_words address)
	line=$(grep -n -s -E '^[[:space:]]*server[[:space:]].*[[:space:]]127\.' "$cfg" | head -n 1) || :
	[ -z "$line" ] || note "$cfg:${line%%:*}: a server at 127.0.0.1 is reached over the kernel's sockets, slower than over a port"
	if [ -n "$(conf_words lua-load)$(conf_words lua-load-per-thread)" ] &&
		[ "$(readlink "$R/proc/self/ns/net")" != "$(readlink "$R/proc/1/ns/net")" ]; then
		warn "scripts connect to 127.0.0.1 of this network namespace, which is not that of the machine" \
			"start Redis and the like in the same namespace (ip netns exec)"
	fi
	if grep -q -s -E '^[[:space:]]*bind[[:space:]].*:80([[:space:]]|$)' "$cfg" && has ss &&
		[ -n "$(ss -Hltn '( sport = :80 )' 2>/dev/null)" ]; then
		note "somebody listens at port 80 of the kernel: no conflict for addresses of a port section, which the kernel does not have"
	fi
}

# What apt would fetch for packages and what they pull in, without doing it; empty when it cannot tell.
apt_size() { # PACKAGES...
	has apt-get || return 0
	apt-get -o Debug::NoLocking=1 --assume-no install --no-install-recommends "$@" 2>/dev/null |
		sed -n -e 's/.* \([0-9]*\) newly installed.*/\1 packages/p' -e 's/^Need to get \([^/]* [kM]\?B\).*/\1 to fetch/p' \
			-e 's/^After this operation, \(.* [kM]\?B\) of additional.*/\1 on disk/p' | tr '\n' ';' | sed 's/;$//; s/;/, /g'
}

check_packages() {
	local t size missing=()
	for t in dpdk-devbind.py:dpdk dpdk-hugepages.py:dpdk ip:iproute2 ethtool:ethtool; do
		has "${t%%:*}" || missing+=("${t#*:}")
	done
	if [ ${#missing[@]} -gt 0 ]; then
		mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
		size=$(apt_size "${missing[@]}") || :
		fault "tools are missing: ${missing[*]}${size:+ ($size)}" \
			"apt-get install --no-install-recommends ${missing[*]}"
	fi
	has dpdk-telemetry.py || note "dpdk-telemetry.py and dpdk-dumpcap come with the package dpdk-dev (314 packages with what it pulls in; not needed to run)"
}

do_check() {
	[ -r "$cfg" ] || warn "there is no $cfg: only the machine is looked at" "sluice-setup config NIC >> $cfg"
	check_machine
	check_packages
	check_rights
	check_hugepages
	check_ports
	check_addresses
	echo "check: $bad faults, $warned warnings"
}
