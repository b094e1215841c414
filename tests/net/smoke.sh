#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The shortest way through everything: a TAP port, two servers on the host's side of it, requests
# through the daemon, its counters by dpdk-telemetry.py, its end; then nothing may be left.
#
#   tests/net/smoke.sh [build folder]      default: build
#
# Needs root and /dev/net/tun. Ends with "smoke: ok" or names the step that failed.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
dev=slsmoke0
net=10.86.0
prefix=slsmoke$$
dir=$(mktemp -d /tmp/sluice-smoke.XXXXXX)
pids=()
step=setup

finish() {
	local rc=$? p
	for p in "${pids[@]}"; do
		kill "$p" 2>/dev/null
	done
	if [ $rc != 0 ]; then
		echo "smoke: FAILED in step '$step'" >&2
		tail -n 20 "$dir/err" "$dir/out" >&2 2>/dev/null
	fi
	rm -rf "$dir"
	exit $rc
}
trap finish EXIT
fail() {
	echo "smoke: $*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || fail "needs root"
[ -e /dev/net/tun ] || fail "no /dev/net/tun"
[ -x "$build/sluice" ] || fail "no $build/sluice: run scripts/build"
[ -z "$(ip -o route get $net.10 2>/dev/null | grep " dev $dev")" ] || fail "$dev exists already"

cat >"$dir/server.py" <<'PY'
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = "".join("%s: %s\n" % kv for kv in self.headers.items()).encode()
        self.send_response(200)
        self.send_header("X-Server", sys.argv[1])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[2])), H).serve_forever()
PY
cat >"$dir/x.cfg" <<CFG
global
    log stdout format raw local0
    dpdk-eal "--file-prefix=$prefix"
port lan
    device net_tap0,iface=$dev
    address $net.10/24
defaults
    log global
    mode http
    option httplog
    option forwardfor
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind $net.10:80
    http-request deny if { path /secret }
    http-request set-header X-Smoke yes
    default_backend app
backend app
    option httpchk GET /
    default-server inter 300 rise 1 fall 1
    server b1 $net.1:8601 check
    server b2 $net.1:8602 check
CFG

step=start
"$build/sluice" -f "$dir/x.cfg" >"$dir/out" 2>"$dir/err" &
sluice=$!
pids+=($sluice)
for _ in $(seq 200); do
	! grep -qs ' ready' "$dir/err" || break
	kill -0 $sluice 2>/dev/null || fail "the daemon ended at start"
	sleep 0.05
done
grep -q ' ready' "$dir/err" || fail "not ready after 10 s"
ip addr add $net.1/24 dev $dev && ip link set $dev up || fail "cannot set $dev up"
for b in 1 2; do
	python3 "$dir/server.py" b$b 860$b 2>/dev/null &
	pids+=($!)
done

step=servers
for _ in $(seq 100); do
	[ "$(grep -c 'is UP' "$dir/out")" -lt 2 ] || break
	sleep 0.1
done
[ "$(grep -c 'is UP' "$dir/out")" -ge 2 ] || fail "health checks did not find both servers"

step=requests
get() { curl -s -m 5 --noproxy '*' "$@"; }
for i in 1 2 3 4 5 6; do
	get -D - "http://$net.10/r$i" >>"$dir/answers" || fail "request $i"
done
grep -qi '^x-server: b1' "$dir/answers" && grep -qi '^x-server: b2' "$dir/answers" ||
	fail "requests did not reach both servers"
[ "$(grep -ci '^x-smoke: yes' "$dir/answers")" = 6 ] || fail "set-header is missing"
[ "$(grep -ci "^x-forwarded-for: $net.1" "$dir/answers")" = 6 ] || fail "forwardfor is missing"
[ "$(get -o /dev/null -w '%{http_code}' "http://$net.10/secret")" = 403 ] || fail "deny"

step=telemetry
tele() { printf '%s\n' "$1" | dpdk-telemetry.py -f "$prefix" | grep -o "{\"${1%%,*}\".*"; }
num() { grep -o "\"$1\": [0-9]*" | head -n 1 | grep -o '[0-9]*$'; }
[ "$(tele /sluice/workers | num h1_requests)" = 7 ] || fail "h1_requests: $(tele /sluice/workers)"
[ "$(tele /sluice/ports | num rx_packets)" -gt 20 ] || fail "rx_packets: $(tele /sluice/ports)"
[ "$(tele /sluice/proxies,web | num rsp_2xx)" = 6 ] || fail "rsp_2xx: $(tele /sluice/proxies)"
[ "$(tele /sluice/proxies,web | num denied_req)" = 1 ] || fail "denied_req"
tele /sluice/neigh | grep "\"$net.1\"" >/dev/null || fail "the host is not in the neighbour table"
[ -n "$(tele /sluice/drops | num tcp_csum)" ] || fail "drops"

step=log
sleep 0.3
[ "$(grep -c 'web app/b[12] .* 200 .*"GET /r[1-6] HTTP/1.1"$' "$dir/out")" = 6 ] || fail "log lines"
grep -q 'web web/<NOSRV> .* 403 .* PR-- .*"GET /secret HTTP/1.1"$' "$dir/out" || fail "denied line"

step="server down"
kill "${pids[2]}"
for _ in $(seq 50); do
	! grep -q 'app/b2 is DOWN, reason: ' "$dir/out" || break
	sleep 0.1
done
grep -q 'app/b2 is DOWN, reason: ' "$dir/out" || fail "not noticed"
for i in 1 2 3; do
	get -D - "http://$net.10/d$i" >"$dir/one"
	grep -qi '^x-server: b1' "$dir/one" || fail "request after b2 went down"
done

step=stop
t0=$(date +%s%N)
kill -TERM $sluice
wait $sluice
rc=$?
ms=$((($(date +%s%N) - t0) / 1000000))
[ $rc = 143 ] || [ $rc = 0 ] || fail "exit code $rc"
[ $ms -le 2000 ] || fail "stopping took $ms ms"
! grep -qE 'AddressSanitizer|LeakSanitizer|runtime error:' "$dir/err" || fail "sanitizer"
! ip link show $dev >/dev/null 2>&1 || fail "$dev is left"
[ ! -e /var/run/dpdk/"$prefix" ] || fail "/var/run/dpdk/$prefix is left"

step="killed"
for how in daemon parent; do
	"$build/sluice" -f "$dir/x.cfg" >"$dir/out" 2>"$dir/err" &
	sluice=$!
	pids+=($sluice)
	for _ in $(seq 200); do
		! grep -qs ' ready' "$dir/err" || break
		sleep 0.05
	done
	child=$(cat /proc/$sluice/task/$sluice/children)
	[ -n "$child" ] || fail "no daemon below the parent"
	if [ $how = daemon ]; then
		kill -KILL $child
		wait $sluice 2>/dev/null
		[ $? = 137 ] || fail "exit code after kill -9 of the daemon"
	else
		kill -KILL $sluice
		wait $sluice 2>/dev/null
		for _ in $(seq 60); do
			kill -0 $child 2>/dev/null || break
			sleep 0.05
		done
		! kill -0 $child 2>/dev/null || fail "the daemon outlived its parent"
	fi
	! ip link show $dev >/dev/null 2>&1 || fail "$how killed: $dev is left"
	[ ! -S /var/run/dpdk/"$prefix"/dpdk_telemetry.v2 ] || fail "$how killed: its socket is left"
done
rm -rf /var/run/dpdk/"$prefix"
echo "smoke: ok"
