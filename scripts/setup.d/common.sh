# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154
# What the verbs of sluice-setup share: this machine's NICs, what is said, and the state file by
# which "undo" knows what was there before.

# Tests look at an invented machine below another root.
R=${SLUICE_SETUP_ROOT:-}
sys=$R/sys
state_dir=$R/var/lib/sluice/setup
state=$state_dir/state
conf_dpdk=$R/etc/dpdk/dpdk.conf
conf_nics=$R/etc/dpdk/interfaces
conf_sluice=$R/etc/sluice/sluice.cfg

bad=0
warned=0
ok() { printf 'ok    %s\n' "$*"; }
note() { printf 'note  %s\n' "$*"; }
# warn CAUSE COMMAND, fault CAUSE COMMAND: COMMAND is one line to run, or what to do where no command does
warn() {
	printf 'warn  %s\n' "$1"
	[ -z "${2:-}" ] || printf '      -> %s\n' "$2"
	warned=$((warned + 1))
}
fault() {
	printf 'FAULT %s\n' "$1"
	[ -z "${2:-}" ] || printf '      -> %s\n' "$2"
	bad=$((bad + 1))
}
die() { # CAUSE [COMMAND]
	printf 'sluice-setup: %s\n' "$1" >&2
	[ -z "${2:-}" ] || printf '      -> %s\n' "$2" >&2
	exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
need_tool() { # TOOL PACKAGE
	has "$1" || die "$1 is missing" "apt-get install $2"
}
need_root() {
	[ "$(id -u)" = 0 ] || die "only root may do that" "sudo sluice-setup ${verb:-}"
}
first_line() { # FILE: its first line, or nothing
	local l=
	[ ! -r "$1" ] || read -r l <"$1" || :
	printf '%s' "$l"
}
link_name() { # LINK: the name that it points to, or nothing
	[ ! -L "$1" ] || basename "$(readlink "$1")"
}

# ---- NICs ----

pci_re='^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$'
pci_of_iface() { # IFACE: the PCI function under it (virtio devices have a device between)
	local p
	p=$(readlink -f "$sys/class/net/$1/device" 2>/dev/null) || return 0
	while [ -n "$p" ] && [ "$p" != / ]; do
		if [[ $(basename "$p") =~ $pci_re ]]; then
			basename "$p"
			return 0
		fi
		p=$(dirname "$p")
	done
}
ifaces_of_pci() { # PCI: the kernel's interfaces on it, one a line
	local d
	for d in "$sys/class/net/"*; do
		[ -e "$d/device" ] || continue
		[ "$(pci_of_iface "$(basename "$d")")" != "$1" ] || basename "$d"
	done
}
iface_of_pci() { # PCI: the first of them, or nothing
	local all
	all=$(ifaces_of_pci "$1")
	printf '%s' "${all%%$'\n'*}"
}
is_iface() { [[ -n $1 && $1 != . && $1 != .. && $1 != */* ]] && [ -e "$sys/class/net/$1" ]; }
pci_of() { # NIC as an interface or an address, with or without domain: its address
	local n=${1,,}
	[[ $n =~ ^[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$ ]] && n=0000:$n
	if [[ $n =~ $pci_re ]]; then
		[ -e "$sys/bus/pci/devices/$n" ] || die "there is no PCI device $n" "dpdk-devbind.py --status-dev net"
		printf '%s' "$n"
	elif is_iface "$1"; then
		n=$(pci_of_iface "$1")
		[ -n "$n" ] || die "$1 is no PCI device: nothing has to be bound" "sluice-setup config $1"
		printf '%s' "$n"
	else
		die "'$1' is neither an interface nor a PCI address" "dpdk-devbind.py --status-dev net"
	fi
}
driver_of() { link_name "$sys/bus/pci/devices/$1/driver"; }
node_of() {
	local n
	n=$(first_line "$sys/bus/pci/devices/$1/numa_node")
	printf '%s' "${n:--1}"
}
is_nic() { [[ $(first_line "$sys/bus/pci/devices/$1/class") == 0x02* ]]; }
all_nics() {
	local d
	for d in "$sys/bus/pci/devices/"*; do
		[ -e "$d" ] || continue
		! is_nic "$(basename "$d")" || basename "$d"
	done
}
is_userspace() { [[ $1 == vfio-pci || $1 == uio_pci_generic || $1 == igb_uio ]]; }
# Drivers that stay bound to the kernel while DPDK uses the same device.
is_bifurcated() { [[ $1 == mlx5_core || $1 == mlx4_core || $1 == mana ]]; }
# The package with DPDK's driver of a kernel driver.
pmd_of() {
	case $1 in
	mlx5_core) echo librte-net-mlx5-23 librte_net_mlx5 ;;
	mlx4_core) echo librte-net-mlx4-23 librte_net_mlx4 ;;
	e1000 | e1000e | igb | igc | igbvf) echo librte-net-e1000-23 librte_net_e1000 ;;
	ixgbe | ixgbevf) echo librte-net-ixgbe23 librte_net_ixgbe ;;
	i40e) echo librte-net-i40e23 librte_net_i40e ;;
	ice) echo librte-net-ice23 librte_net_ice ;;
	iavf) echo librte-net-iavf23 librte_net_iavf ;;
	virtio-pci | virtio_net) echo librte-net-virtio23 librte_net_virtio ;;
	vmxnet3) echo librte-net-vmxnet3-23 librte_net_vmxnet3 ;;
	bnxt_en) echo librte-net-bnxt23 librte_net_bnxt ;;
	ena) echo librte-net-ena23 librte_net_ena ;;
	af_xdp) echo librte-net-af-xdp23 librte_net_af_xdp ;;
	af_packet) echo librte-net-af-packet23 librte_net_af_packet ;;
	tap) echo librte-net-tap23 librte_net_tap ;;
	bond) echo librte-net-bond23 librte_net_bond ;;
	esac
}
check_pmd() { # KERNEL_DRIVER WHAT: is its DPDK driver installed?
	local pkg lib
	read -r pkg lib < <(pmd_of "$1") || return 0
	[ -n "${pkg:-}" ] || return 0
	for lib in "$R"/usr/lib/*/dpdk/pmds-*/"$lib".so*; do
		[ ! -e "$lib" ] || return 0
	done
	fault "DPDK's driver for $2 is not installed" "apt-get install $pkg"
	return 1
}
has_iommu() { [ -e "$sys/bus/pci/devices/$1/iommu_group" ]; }
iommu_words() {
	if grep -q -s AuthenticAMD "$R/proc/cpuinfo"; then
		echo "amd_iommu=on iommu=pt"
	else
		echo "intel_iommu=on iommu=pt"
	fi
}

# Interfaces that the machine is reached by, as "IFACE WHAT": default routes, each nexthop of them, and SSH
# sessions. sudo hides SSH_CONNECTION, so connections of sshd at any port are looked up too; newer ones
# have a process "sshd-session" for each.
through() { # WHAT: for each "dev IFACE" of the routes on standard input
	grep -o '[[:space:]]dev [^[:space:]]*' | sed "s/^.dev \(.*\)/\1 $1/"
}
reached_by() {
	local peer rest addr
	{
		ip -o -4 route show default 2>/dev/null
		ip -o -6 route show default 2>/dev/null
	} | through "the default route" || :
	read -r peer rest <<<"${SSH_CONNECTION:-}"
	if [ -n "${peer:-}" ]; then
		ip -o route get "$peer" 2>/dev/null | through "this SSH connection" || :
	fi
	! has ss || ss -Htnp state established 2>/dev/null | while read -r _ _ addr rest; do
		[[ $addr == *:22 || $rest =~ \"sshd(-[a-z]+)?\" ]] || continue
		addr=${addr%:*}
		addr=${addr#[}
		addr=${addr%]}
		addr=${addr%%%*}
		ip -o addr show to "${addr#::ffff:}" 2>/dev/null | sed -n 's/^[0-9]*: \([^ :@]*\).*/\1 an SSH session/p'
	done
}
# An interface and what stands on it, however high, each once: VLANs, bridges, bonds, and those of a bond.
with_uppers() {
	local d up n=0 all=("$1")
	while [ $n -lt ${#all[@]} ]; do
		for d in "$sys/class/net/${all[n]}/"upper_* "$sys/class/net/${all[n]}/master"; do
			up=
			if [ "${d##*/}" = master ]; then
				up=$(link_name "$d")
			elif [ -e "$d" ]; then
				up=${d##*/upper_}
			fi
			[ -z "$up" ] || [[ " ${all[*]} " == *" $up "* ]] || all+=("$up")
		done
		n=$((n + 1))
	done
	printf '%s\n' "${all[@]}"
}
# Why IFACE must not be taken: nothing, or a text.
why_not() {
	local i by dev what
	by=$(reached_by)
	for i in $(with_uppers "$1"); do
		while read -r dev what; do
			[ "$dev" != "$i" ] || {
				echo "$what goes through it"
				return # the first is enough; head would end us by SIGPIPE
			}
		done <<<"$by"
	done
}

# ---- hugepages ----

nodes() {
	local d
	for d in "$sys/devices/system/node/node"[0-9]*; do
		[ ! -d "$d" ] || basename "$d" | sed 's/node//'
	done | sort -n
}
pages_dir() { printf '%s' "$sys/devices/system/node/node$1/hugepages/hugepages-2048kB"; }
pages_free() { first_line "$(pages_dir "$1")/free_hugepages"; }
pages_all() { first_line "$(pages_dir "$1")/nr_hugepages"; }
pages_own() { # NODE: those that a sluice which runs holds there; 1: we may not see it
	local pid one maps n=0
	for pid in $(pgrep -x sluice 2>/dev/null); do
		maps=$(cat "$R/proc/$pid/numa_maps" 2>/dev/null) || return 1
		while read -r one; do
			n=$((n + one))
		done < <(sed -n "s/.* huge .*\bN$1=\([0-9]*\).*/\1/p" <<<"$maps")
	done
	echo "$n"
}
pages_ours() { # NODE: those that are free, and those of a sluice that runs
	echo $(($(pages_free "$1") + $(pages_own "$1" || echo 0)))
}
# Whether what comes has such a line. All of it is read: where `grep -q` leaves, its writer ends by SIGPIPE, and
# pipefail takes that for "no".
has_line() { grep "$@" >/dev/null; }
huge_mounted() { grep -q -s ' hugetlbfs ' "$R/proc/mounts"; }

# ---- the configuration, as far as set-up cares ----

conf_words() { # KEYWORD: the rest of each line that starts with it
	[ ! -r "$cfg" ] || sed -n "s/^[[:space:]]*$1[[:space:]]\{1,\}\([^#]*\).*/\1/p" "$cfg"
}
# Of a bond the cards below it, too, which are DPDK's like any port's.
conf_devices() {
	local dev
	conf_words device | tr -d '"' | sed 's/[[:space:]]*$//' | while read -r dev; do
		echo "$dev"
		[[ $dev != net_bonding* && $dev != eth_bond* ]] ||
			tr , '\n' <<<"$dev" | sed -n -E 's/^[[:space:]]*slave=(([0-9a-f]+:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])$/\1/p'
	done
}
# MiB that sluice takes from hugepages, as drivers/mempool.c counts: a pool for each worker.
need_mb() {
	local threads mbufs ports n=1
	threads=$(conf_words nbthread | tail -n 1 | tr -d ' ')
	mbufs=$(conf_words tune.mbufs | tail -n 1 | tr -d ' ')
	ports=$(conf_words port | grep -c . || :)
	[ "$ports" -gt 0 ] || ports=1
	if [ -z "$mbufs" ]; then
		while [ $n -lt $((20480 + ports * 4096)) ]; do n=$((n * 2)); done
		mbufs=$((n - 1))
	fi
	n=$((${threads:-1} * ((mbufs + 1) * 2504 / 1048576 + 2) + ports * 4 + 64))
	echo $(((n + 1) / 2 * 2))
}
# Nodes that shall give it: those of the ports, else all.
need_nodes() {
	local dev n list=()
	while read -r dev; do
		dev=${dev%%,*}
		[[ $dev =~ ^[0-9a-f]{2}: ]] && dev=0000:$dev
		[[ $dev =~ $pci_re ]] || continue
		n=$(node_of "$dev")
		[ "$n" = -1 ] || list+=("$n")
	done < <(conf_devices)
	if [ ${#list[@]} -gt 0 ]; then
		printf '%s\n' "${list[@]}" | sort -n -u
	else
		nodes
	fi
}

# What each node shall give, as "NODE MIB": sluice's own words, or, where it has none (no sluice, a
# configuration with errors), near enough.
needs() {
	local list n
	if has sluice && list=$(sluice -dN -f "$cfg" 2>/dev/null) && [ -n "$list" ]; then
		sed -n '/^[0-9]* [1-9][0-9]*$/p' <<<"$list"
	else
		for n in $(need_nodes); do echo "$n $(need_mb)"; done
	fi
}

# ---- state: one line per change, the newest last ----

remember() { # WORDS...: once
	mkdir -p "$state_dir"
	grep -q -s -x -F -- "$*" "$state" || printf '%s\n' "$*" >>"$state"
}
forget() { # REGULAR EXPRESSION of lines
	[ -e "$state" ] || return 0
	sed -i -E "/$1/d" "$state"
	[ -s "$state" ] || rm -f "$state"
}
keep_file() { # FILE: as it is now, unless an earlier one is kept
	local name=${1#"$R"}
	! grep -q -s -x -F -- "file $name" "$state" || return 0
	mkdir -p "$state_dir"
	if [ -e "$1" ]; then
		cp -p "$1" "$state_dir/$(tr / _ <<<"$name")"
	else
		rm -f "$state_dir/$(tr / _ <<<"$name")"
	fi
	remember file "$name"
}
