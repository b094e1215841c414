// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every keyword row: what it takes, what it says to a mistake, and of which line. A row without a case
 * here fails the test.
 */
#include "tests/unit/control/conf/conf_env.h"

#include "control/conf/conf_priv.h"

struct kw_case {
	int line;
	const char *kind, *name;
	const char *good; // arguments
	const char *bad;  // arguments that are a mistake
	const char *says; // part of the message
};

#define ROW(kind, name, good, bad, says)              \
	{                                             \
		__LINE__, kind, name, good, bad, says \
	}
/* A label of more than 63 bytes: no resolver is asked for it (RFC 1035 2.3.4). */
#define NO_NAME "x123456789012345678901234567890123456789012345678901234567890123456789"
#define NUM     "expects an integer argument"
#define RANGE   "must be between"
#define SURPLUS "cannot handle unexpected argument"

// clang-format off
static const struct kw_case cases[] = {
	ROW("global", "nbthread", "4", "x", NUM),
	ROW("global", "nbthread", "64", "65", RANGE),
	ROW("global", "nbthread", "1", "0", RANGE),
	ROW("global", "nbthread", "1", "", "expects <number>"),
	ROW("global", "script-threads", "2", "17", RANGE),
	ROW("global", "maxconn", "1000", "-1", RANGE),
	ROW("global", "maxconn", "1000", "3x", NUM),
	ROW("global", "busy-polling", "", "x", SURPLUS),
	ROW("global", "daemon", "", "x", SURPLUS),
	ROW("global", "quiet", "", "x", SURPLUS),
	ROW("global", "zero-warning", "", "x", SURPLUS),
	ROW("global", "pidfile", "/run/x.pid", "", "expects <file>"),
	ROW("global", "pidfile", "/run/x.pid", "a b", SURPLUS),
	ROW("global", "chroot", "/var/empty", "", "expects <folder>"),
	ROW("global", "user", "root", "nobody-at-all", "cannot find user id for 'nobody-at-all'"),
	ROW("global", "group", "root", "nobody-at-all", "cannot find group id for 'nobody-at-all'"),
	ROW("global", "uid", "65534", "x", NUM),
	ROW("global", "gid", "65534", "99999999999", "between 0 and 2147483647"),
	ROW("global", "stats socket", "/tmp/x mode 600 uid 0 gid 0 level admin", "", "expects <address>"),
	ROW("global", "stats socket", "ipv4@127.0.0.1:99 level user expose-fd listeners", "/x mode", "missing value"),
	ROW("global", "stats socket", "/tmp/x level admin severity-output string", "/x severity-output loud", "only supports 'none', 'number', and 'string'"),
	ROW("global", "stats timeout", "1m", "10x", "unexpected character 'x'"),
	ROW("global", "stats maxconn", "5", "0", RANGE),
	ROW("global", "tune.mbufs", "16384", "12", RANGE),
	ROW("global", "node", "n1", "", "expects <name>"),
	ROW("global", "description", "a b c", "", "expects <text>"),
	ROW("global", "hard-stop-after", "30s", "soon", "unexpected character 's'"),
	ROW("global", "grace", "10s", "10x", "unexpected character 'x'"),
	ROW("global", "health-file", "/run/x", "/run/", "expects the path of a file"),
	ROW("global", "health-file", "/run/x", "/run/x backend", "expects 'backend' and a name"),
	ROW("global", "health-file", "/run/x", "/run/x backend nobody", "there is no backend 'nobody'"),
	ROW("global", "tune.reload.timeout", "5s", "5x", "unexpected character 'x'"),
	ROW("global", "dpdk-eal", "\"-m 512 --log-level 8\"", "a b", SURPLUS),
	ROW("global", "localpeer", "me", "", "expects <name>"),
	ROW("global", "setenv", "SL_T1 x", "SL_T1", "expects <name> <value> as arguments, got only 'SL_T1'"),
	ROW("global", "presetenv", "SL_T2 x", "A=B x", "cannot set 'A=B'"),
	ROW("global", "unsetenv", "SL_T1 SL_T2", "", "expects <name>"),
	ROW("global", "resetenv", "PATH HOME ASAN_OPTIONS", NULL, NULL),
	ROW("global", "cpu-map", "1 0", "1", "got only '1'"),
	ROW("global", "cpu-map", "auto:1/1-4 0-3", "65 0", "expects a thread"),
	ROW("global", "cpu-map", "odd 0 2-3", "1 a", "'a' is not a CPU range"),
	ROW("global", "cpu-map", "all 0-1023", "1 0-1024", "'0-1024' is not a CPU range"),
	ROW("global", "cpu-map", "even 1", "4-2 1", "got '4-2'"),
	ROW("global", "log-tag", "mine", "", "expects <text>"),
	ROW("global", "log", "stdout format raw local0", "stdout", "expects <address> and <facility>"),
	ROW("global", "log", "stderr len 200 format short daemon info", "stdout foo", "unknown log facility 'foo'"),
	ROW("global", "log", "stdout local7 info notice", "stdout local0 frob", "unknown optional log level 'frob'"),
	ROW("global", "log", "stdout local0", "stdout format x local0", "unknown log format 'x'"),
	ROW("global", "log", "127.0.0.1 local0", "loghost local0", "invalid address: 'loghost'"),
	ROW("global", "log", "udp@[::1]:5514 len 200 local0", "ring@x local0", "'log' uses unknown ring named 'x'"),
	ROW("global", "log", "/dev/log local0", "*:514 local0", "is no address of a log server"),
	ROW("global", "log", "fd@0 local0", "fd@999999 local0", "cannot use file descriptor '999999'"),
	ROW("global", "log", "stdout local0", "stdout local0 info info x", SURPLUS),
	ROW("global", "lua-load", NULL, "", "expects a file name"),
	ROW("global", "lua-load", NULL, "/nonexistent/x.lua", "error in Lua file '/nonexistent/x.lua'"),
	ROW("global", "lua-load-per-thread", NULL, "/nonexistent/x.lua", "error in Lua file"),
	ROW("global", "lua-prepend-path", "/x/?.so cpath", "/x cpath y", SURPLUS),
	ROW("global", "lua-prepend-path", "/x/?.lua path", "/x foo", "unknown type 'foo'"),
	ROW("global", "tune.tcp.rto-min", "20ms", "1ms", "must be between 5ms and 10000ms"),
	ROW("global", "tune.tcp.rto-max", "2m", "4x", "unexpected character 'x'"),
	ROW("global", "tune.tcp.rto-initial", "500", "0", "must be between 50ms"),
	ROW("global", "tune.tcp.delack", "25", "1s", "must be between 1ms and 500ms"),
	ROW("global", "tune.tcp.syn-retries", "0", "8", "must be between 0 and 7"),
	ROW("global", "tune.tcp.retries", "8", "x", NUM),
	ROW("global", "tune.tcp.syn-cookies", "auto", "on", "expects 'off', 'auto' or 'always', got 'on'"),
	ROW("global", "tune.tcp.half-open", "65536", "3", "must be between 16"),
	ROW("global", "tune.tcp.timewait", "10s", "11m", "must be between 100ms"),
	ROW("global", "tune.tcp.timewait-max", "100000", "", "expects <number>"),
	ROW("global", "tune.tcp.fin-timeout", "30s", "1 2", SURPLUS),
	ROW("global", "tune.tcp.keepalive-idle", "1m", "10ms", "must be between 1000ms"),
	ROW("global", "tune.tcp.keepalive-intvl", "10s", "0", "must be between 1000ms"),
	ROW("global", "tune.tcp.keepalive-cnt", "3", "128", "must be between 1 and 127"),
	ROW("global", "tune.tcp.cc", "newreno", "reno", "got 'reno'"),
	ROW("global", "tune.tcp.cc", "host", "", "expects host|cubic"),
	ROW("global", "tune.tcp.cc", "bbr", "bbr2", "expects 'host', 'cubic', 'bbr', 'newreno' or 'westwood'"),
	ROW("global", "tune.tcp.rcvbuf", "256k", "1k", "must be between 16384 bytes"),
	ROW("global", "tune.tcp.sndbuf", "1m", "x", "expects a size in bytes"),
	ROW("global", "tune.tcp.sack", "off", "no", "expects 'on' or 'off', got 'no'"),
	ROW("global", "tune.tcp.timestamps", "on", "1", "expects 'on' or 'off'"),
	ROW("global", "tune.tcp.window-scaling", "off", "", "expects on|off"),
	ROW("global", "tune.tcp.port-range", "20000 60000", "20000 20100", "fewer than 256 ports"),
	ROW("global", "tune.tcp.port-range", "1024 65535", "80 60000", RANGE),
	ROW("global", "set-var", "proc.a int(1),add(2)", "txn.a int(1)",
		"cannot set variable 'txn.a', only scope 'proc' is permitted here"),
	ROW("global", "set-var", "proc.a_1.b str(x)", "proc.a src",
		"'src' cannot be used in the global section and the runtime API"),
	ROW("global", "set-var", "proc.a bool(true)", "proc.a", "expects proc.<name> <expr>"),
	ROW("global", "set-var", "proc.a var(proc.b)", "proc. int(1)", "invalid variable name 'proc.'"),
	ROW("global", "set-var-fmt", "proc.a %[int(1)]", "proc.a %[src]", "'src' cannot be used"),
	ROW("global", "set-var-fmt", "proc.a x", "proc.a x y", SURPLUS),
	ROW("global", "tune.vars.proc-max-size", "16777216", "16777217", RANGE),
	ROW("global", "tune.vars.proc-max-size", "0", "1k", NUM),
	ROW("global", "tune.lua.forced-yield", "500", "0", RANGE),
	ROW("global", "tune.lua.maxmem", "64", "x", NUM),
	ROW("global", "tune.lua.blocking", "error", "no", "expects 'warn' or 'error', got 'no'"),
	ROW("global", "tune.lua.bool-sample-conversion", "normal", "x", "expects 'pre-3.1-bug' or 'normal'"),
	ROW("global", "tune.lua.max-instructions", "1000000", "1k", NUM),
	ROW("global", "tune.lua.session-timeout", "4s", "4x", "unexpected character 'x'"),
	ROW("global", "tune.lua.burst-timeout", "1s", "", "expects <time>"),
	ROW("global", "tune.lua.task-timeout", "1m", "", "expects <time>"),
	ROW("global", "tune.lua.service-timeout", "1m", "", "expects <time>"),
	ROW("global", "tune.lua.stuck-timeout", "20s", "", "expects <time>"),
	ROW("global", "tune.lua.load-timeout", "20s", "", "expects <time>"),
	ROW("global", "tune.lua.runaway-share", "20", "0", RANGE),
	ROW("global", "tune.cli.cpu-share", "5", "101", RANGE),
	ROW("global", "tune.lua.deadline", "100ms", "1 2", SURPLUS),
	ROW("global", "tune.lua.socket-compat", "haproxy", "lua", "got 'lua'"),
	ROW("global", "tune.lua.socket-compat", "luasocket", "", "expects"),
	ROW("global", "tune.lua.sockets", "100", "x", NUM),
	ROW("global", "tune.lua.on-error", "status 503", "wait", "got 'wait'"),
	ROW("global", "tune.lua.on-error", "deny", "status 99", RANGE),
	ROW("global", "tune.lua.on-overload", "wait", "status", "got 'status'"),
	ROW("global", "tune.lua.on-overload", "continue", "deny 3", "unexpected argument '3'"),

	ROW("port", "device", "net_tap0,iface=x", "", "expects <device>"),
	ROW("port", "device", "wire0a", "eth1", "(\"net_af_xdp0,iface=eth1\"), got 'eth1'"),
	ROW("port", "device", "0000:3b:00.0", "net_ring0", "already used by port 'lan'"),
	ROW("port", "address", "10.2.0.1/24", "10.2.0.1", "with its prefix length"),
	ROW("port", "address", "fd01::1/64", "10.2.0.300/24", "got '10.2.0.300/24'"),
	ROW("port", "address", "10.2.0.1/24", "10.1.0.1/24", "already belongs to port 'lan'"),
	ROW("port", "address", "10.2.0.1/24", "0.0.0.0/24", "cannot be an address of a port: it is no address"),
	ROW("port", "address", "10.2.0.1/31", "224.0.0.1/4", "it is a group or a broadcast"),
	ROW("port", "address", "10.2.0.0/31", "127.0.0.1/8", "it is loopback"),
	ROW("port", "address", "10.2.0.0/32", "::1/64", "it is loopback"),
	ROW("port", "address", "10.2.1.0/23", "10.2.0.0/24", "it is the network itself"),
	ROW("port", "address", "10.2.0.255/23", "10.2.0.255/24", "it is the network's broadcast"),
	ROW("port", "gateway", "10.2.0.254", "10.2.0", "got '10.2.0'"),
	ROW("port", "gateway", "10.2.0.254", "10.9.0.1", "gateway '10.9.0.1' is on none of the port's networks"),
	ROW("port", "gateway", "10.2.0.254\n route 0.0.0.0/1 via 10.2.0.254", "10.2.0.254\n route 0.0.0.0/0 via 10.2.0.1", "both a 'gateway' and a 'route'"),
	ROW("port", "route", "192.0.2.0/24 via 10.2.0.7", "192.0.2.0/24 via", "expects <network>/<length> via <address>"),
	ROW("port", "route", "2001:db8::/32 via fe80::1", "192.0.2.0 via 10.2.0.7", "with its prefix length"),
	ROW("port", "route", "192.0.2.0/24 via 10.2.0.7", "192.0.2.0/24 dev 10.2.0.7", "expects 'via'"),
	ROW("port", "route", "192.0.2.0/24 via 10.2.0.7", "192.0.2.0/24 via fe80::1", "of the same family"),
	ROW("port", "route", "192.0.2.0/24 via 10.2.0.7", "192.0.2.0/24 via 10.9.0.1", "router '10.9.0.1' is on none"),
	ROW("port", "route", "192.0.2.0/24 via 10.2.0.7\n route 192.0.2.0/25 via 10.2.0.8", "192.0.2.0/24 via 10.2.0.7\n route 192.0.2.1/24 via 10.2.0.8", "has two routes to"),
	ROW("port", "neighbour", "10.2.0.7 52:54:00:12:34:56", "10.2.0.7", "expects <address> <MAC>"),
	ROW("port", "neighbour", "fe80::1 52-54-00-12-34-56", "10.2.0.7 53:54:00:12:34:56", "the Ethernet address of one host"),
	ROW("port", "neighbour", "10.2.0.7 52:54:00:12:34:AF", "10.9.0.7 52:54:00:12:34:56", "neighbour '10.9.0.7' is on none"),
	ROW("port", "neighbour", "10.2.0.7 52:54:00:12:34:56", "10.2.0.7 52:54:00:12:34:56\n neighbour 10.2.0.7 52:54:00:12:34:57", "two lines of neighbour"),
	ROW("port", "offload", "on", "yes", "'offload' expects 'auto', 'on' or 'off'"),
	ROW("port", "tso", "off", "1", "'tso' expects 'auto', 'on' or 'off'"),
	ROW("port", "kernel-tap", "sl0 address 10.2.0.2/24 rate 500", "sl/0", "expects the name of an interface"),
	ROW("port", "kernel-tap", "sl0 address fd00::2/64 address 10.2.0.3/24", "sl0 address 10.2.0.2", "with its prefix length"),
	ROW("port", "kernel-tap", "sl0", "a-name-of-16-chars", "at most 15 characters"),
	ROW("port", "kernel-tap", "sl0 rate 100", "sl0 rate 99", RANGE),
	ROW("port", "kernel-tap", "sl0", "sl0 frob 1", "unknown word 'frob'"),
	ROW("port", "kernel-tap", "sl0", "sl0 rate", "'rate' expects a value"),
	ROW("port", "kernel-tap", "sl0", "sl0\n kernel-tap sl1", "already has 'kernel-tap sl0'"),
	ROW("port", "mtu", "9000", "100", RANGE),
	ROW("port", "vlan", "100", "4095", RANGE),

	ROW("proxy", "mode", "tcp", "udp", "unknown proxy mode 'udp'"),
	ROW("proxy", "mode", "http", "http x", SURPLUS),
	ROW("proxy", "mode", "http", "health", "doesn't exist anymore"),
	ROW("proxy", "maxconn", "10", "10k", NUM),
	ROW("proxy", "retries", "0", "x", NUM),
	ROW("proxy", "id", "77", "0", RANGE),
	ROW("proxy", "description", "some text", "", "expects <text>"),
	ROW("proxy", "enabled", "", "x", SURPLUS),
	ROW("proxy", "default_backend", "b", "nope", "unable to find required default_backend: 'nope'"),
	ROW("proxy", "default_backend", "b", "b c", SURPLUS),
	ROW("proxy", "use_backend", "b", "nope", "unable to find required use_backend: 'nope'"),
	ROW("proxy", "use_backend", "b if { path /x }", "b foo", "unexpected keyword 'foo' after switching rule"),
	ROW("proxy", "use_backend", "b_%[path] unless { path /x }", "b if", "expects a condition after 'if'"),
	ROW("proxy", "use_backend", "b if TRUE", "b if nope", "no such ACL : 'nope'"),
	ROW("proxy", "use_backend", "b if TRUE", "b if { nope }", "'nope'"),
	ROW("proxy", "http-reuse", "safe", "always", "not supported yet by sluice: 'http-reuse always'"),
	ROW("proxy", "http-reuse", "safe", "x", "got 'x'"),
	ROW("proxy", "bind", ":81", "", "expects [<address>]:<port>"),
	ROW("proxy", "bind", "10.1.0.1:81,:82,[fd00::1]:81,*:83", "port@10.1.0.9:81", "is the 'address' of no port section"),
	ROW("proxy", "bind", "10.1.0.9:81,127.0.0.1:81", "port@127.0.0.1:81", "is the 'address' of no port section"),
	ROW("proxy", "bind", "host@:80", "host@", "missing port specification"),
	ROW("proxy", "bind", "host@10.1.0.1:80,port@10.1.0.1:81", "port@/x", "a port has IP addresses only"),
	ROW("proxy", "bind", "ipv4@:81", ":80", "is already taken by 'f'"),
	ROW("proxy", "bind", "ipv6@:81 v6only", "10.1.0.1", "missing port specification in '10.1.0.1'"),
	ROW("proxy", "bind", ":::81", ":70000", "invalid port '70000'"),
	ROW("proxy", "bind", "::1:81", NULL, NULL),
	ROW("proxy", "bind", ":81", ":0", "invalid port '0'"),
	ROW("proxy", "bind", ":81", ":8x", "invalid character 'x' in port number '8x'"),
	ROW("proxy", "bind", ":81", ":80-90", "ranges of ports"),
	ROW("proxy", "bind", "unix@/x", "unix@", "socket path 'unix@' is empty"),
	ROW("proxy", "bind", "/x,/y", "/x,unix@/z,/x", "is already taken by 'f'"),
	ROW("proxy", "bind", ":81", "fd@0", "cannot use file descriptor '0' : Socket operation on non-socket"),
	ROW("proxy", "bind", ":81", "fd@x", "file descriptor 'x' is not a number"),
	ROW("proxy", "bind", "abns@x", "sockpair@3", "not supported yet by sluice: 'sockpair@3'"),
	ROW("proxy", "bind", "/x mode 660 user root group root", "/x mode 8", "invalid mode '8'"),
	ROW("proxy", "bind", "/x uid 0 gid 0", "/x user nobody-at-all", "unknown user name"),
	ROW("proxy", "bind", "/x backlog 10", "/x group nobody-at-all", "unknown group name"),
	ROW("proxy", "bind", ":81", NO_NAME ":81", "invalid address: 'x1234"),
	ROW("proxy", "bind", ":81", "ipv4@[fd00::1]:81", "is no IPv4 address"),
	ROW("proxy", "bind", ":81", ":81 nam x", "unknown keyword 'nam'; did you mean 'name' maybe ?"),
	ROW("proxy", "bind", ":81", ":81 ssl crt x", "bind option 'ssl': there is no TLS yet"),
	ROW("proxy", "server", "t 10.1.0.12:80", "", "expects <name> and <addr>:<port>"),
	ROW("proxy", "server", "t [fd00::9]:80 check", "t", "got only t"),
	ROW("proxy", "server", "t 10.9.9.9:80", "s 10.1.0.12:80", "another server named 's' was already defined at line 10"),
	ROW("proxy", "server", "t 10.1.0.12:80", "t 10.1.0.12", "'10.1.0.12' without a port"),
	ROW("proxy", "server", "t 127.0.0.1:80", "t port@127.0.0.1:80", "on no port's network"),
	ROW("proxy", "server", "t [::1]:80", "t fd@3", "a descriptor is for 'bind' only"),
	ROW("proxy", "server", "t /x", "t port@/x", "a port has IP addresses only"),
	ROW("proxy", "server", "t abns@x", "t uxst@", "is empty"),
	ROW("proxy", "server", "t host@10.1.0.12:80", "t host@10.1.0.12", "without a port"),
	ROW("proxy", "server", "t 10.1.0.12:80", "t 10.1.0.1:80", "sluice's own address"),
	ROW("proxy", "server", "t 10.1.0.12:80", "t port@[2001:db8::1]:80", "on no port's network"),
	ROW("proxy", "server", "t 10.1.0.12:80", "t *:80", "the address that the client wanted"),
	ROW("proxy", "server", "t 10.1.0.12:80", "t?x 10.1.0.12:80", "character '?' is not permitted in server name 't?x'"),
	ROW("proxy", "server", "t ipv4@localhost:80", "t " NO_NAME ":80", "'server f/t' : could not resolve address 'x1234"),
	ROW("proxy", "server", "t " NO_NAME ":80 init-addr last,libc,10.1.0.12", "t " NO_NAME ":80 init-addr last", "no method found to resolve"),
	ROW("proxy", "server", "t 10.1.0.12:80 init-addr none", "t " NO_NAME ":80 init-addr libc,none", "'none', is not supported yet"),
	ROW("proxy", "server", "t 10.1.0.12:80", "t a%b:80", "neither an address nor a name"),
	ROW("proxy", "server", "t 10.1.0.12:80", "t 10.1.0.12:80 chek", "unknown keyword 'chek'; did you mean 'check' maybe ?"),
	ROW("proxy", "server", "t 10.1.0.12:80", "t 10.1.0.12:80 ssl verify none", "server option 'verify'"),
	ROW("proxy", "server", "t 10.1.0.12:80", "t 10.1.0.12:+1", "ports relative"),
	ROW("proxy", "default-server", "inter 3s", "10.1.0.12:80", "no address was expected"),
	ROW("proxy", "default-server", "", "inter", "'inter' expects <time>"),
	ROW("proxy", "acl", "a path /x", "a", "missing fetch method"),
	ROW("proxy", "acl", "a path -m beg /x /y", "a?b path", "character '?' is not permitted in acl name"),
	ROW("proxy", "acl", "a path", "\"\" path /x", "an empty word is no acl name"),
	ROW("proxy", "acl", "a path", "\xc3\xa4 path /x", "character '\\xc3' is not permitted in acl name '\xc3\xa4'"),
	ROW("proxy", "acl", "a src 10.0.0.0/8", "a src 1.2.3.4.5", "1.2.3.4.5"),
	ROW("proxy", "acl", "a hdr(host) -i x", "or path /x", "acl name 'or'"),
	ROW("proxy", "acl", "a int(5) gt 4", "a nope", "unknown fetch method 'nope'"),
	ROW("proxy", "balance", "roundrobin", "foo", "unknown balance algorithm 'foo'"),
	ROW("proxy", "balance", "roundrobin", "leastconn", "not supported yet by sluice: balance 'leastconn'"),
	ROW("proxy", "balance", "roundrobin", "roundrobin x", SURPLUS),
	ROW("proxy", "balance", "hash src", "hash", "requires a sample expression"),
	ROW("proxy", "balance", "hash hdr(x),lower", "hash nope", "unknown fetch method 'nope'"),
	ROW("proxy", "hash-type", "consistent", "x", "only supports 'consistent' and 'map-based'"),
	ROW("proxy", "hash-type", "map-based wt6 avalanche", "map-based foo", "hash functions, got 'foo'"),
	ROW("proxy", "hash-type", "map-based sdbm", "map-based sdbm x", "'avalanche' as modifier, got 'x'"),
	ROW("proxy", "log", "global", "global x", SURPLUS),
	ROW("proxy", "log", "stdout format raw local0", "foo", "'foo'"),
	ROW("proxy", "option httplog", "", "foo", "only supports option 'clf', got 'foo'"),
	ROW("proxy", "option httplog", "clf", "clf x", SURPLUS),
	ROW("proxy", "log-format", "\"%ci:%cp [%tr] %{+Q}r\"", "%ci %cp", SURPLUS),
	ROW("proxy", "log-format-sd", "%{+Q,+E}o\\ [x@1\\ a=%ci]", "", "expects <format>"),
	ROW("proxy", "error-log-format", "%ci", "", "expects <format>"),
	ROW("proxy", "log-tag", "mine", "", "expects <text>"),
	ROW("proxy", "unique-id-format", "%{+X}o\\ %ci:%cp", "", "expects <format>"),
	ROW("proxy", "unique-id-header", "X-Id", "a b", SURPLUS),
	ROW("proxy", "capture request header", "Host len 10", "Host 10", "expects <name> len <length>"),
	ROW("proxy", "capture request header", "Host len 10", "Host size 10", "expects <name> len <length>"),
	ROW("proxy", "capture response header", "Server len 10", "Server len 0", RANGE),
	ROW("proxy", "declare capture request", "len 10", "size 10", "expects len <length>"),
	ROW("proxy", "declare capture response", "len 10", "len x", NUM),
	ROW("proxy", "option dontlog-normal", "", "x", SURPLUS),
	ROW("proxy", "option log-separate-errors", "", "x", SURPLUS),
	ROW("proxy", "option logasap", "", "x", SURPLUS),
	ROW("proxy", "option tcplog", "", "x", SURPLUS),
	ROW("proxy", "option dontlognull", "", "x", SURPLUS),
	ROW("proxy", "option socket-stats", "", "x", SURPLUS),
	ROW("proxy", "option http-keep-alive", "", "x", SURPLUS),
	ROW("proxy", "option http-server-close", "", "x", SURPLUS),
	ROW("proxy", "option httpclose", "", "x", SURPLUS),
	ROW("proxy", "option tcpka", "", "x", SURPLUS),
	ROW("proxy", "option clitcpka", "", "x", SURPLUS),
	ROW("proxy", "option srvtcpka", "", "x", SURPLUS),
	ROW("proxy", "clitcpka-idle", "60", "10ms", "must be between 1s and 1d"),
	ROW("proxy", "clitcpka-intvl", "10s", "5x", "unexpected character 'x'"),
	ROW("proxy", "clitcpka-cnt", "3", "0", RANGE),
	ROW("proxy", "srvtcpka-idle", "1m", "90000", "must be between 1s and 1d"),
	ROW("proxy", "srvtcpka-intvl", "10", "", "expects <time>"),
	ROW("proxy", "srvtcpka-cnt", "9", "x", NUM),
	ROW("proxy", "option redispatch", "", "x", "invalid interval 'x'"),
	ROW("proxy", "option redispatch", "1", "1 2", SURPLUS),
	ROW("proxy", "option forwardfor", "except 10.0.0.0/8 header X-Client if-none", "foo", "got 'foo'"),
	ROW("proxy", "option forwardfor", "", "except", "expects <address>[/mask]"),
	ROW("proxy", "option forwardfor", "if-none", "except 1.2.3", "got 1.2.3"),
	ROW("proxy", "option forwardfor", "", "header", "expects <header_name>"),
	ROW("proxy", "option httpchk", "GET /x HTTP/1.1", "GET / HTTP/1.1 foo", SURPLUS),
	ROW("proxy", "http-check send", "meth GET uri /x ver HTTP/1.1 hdr Host x body y", "meth", "expects a value"),
	ROW("proxy", "http-check send", "hdr a b", "hdr a", "expects a value behind the header's name"),
	ROW("proxy", "http-check send", "uri /", "foo x", "'foo' unknown"),
	ROW("proxy", "timeout client", "10s", "10x", "unexpected character 'x'"),
	ROW("proxy", "timeout client", "0", "99999999999", "timer overflow"),
	ROW("proxy", "timeout client", "5", "3s 4s", "unexpected extra argument '4s' after value '3s'"),
	ROW("proxy", "timeout server", "1m", "", "expects <time>"),
	ROW("proxy", "timeout connect", "500us", "-1", "unexpected character '-'"),
	ROW("proxy", "timeout http-request", "1", "1.5s", "unexpected character '.'"),
	ROW("proxy", "timeout http-keep-alive", "1", "x", "unexpected character 'x'"),
	ROW("proxy", "timeout queue", "1", "1q", "unexpected character 'q'"),
	ROW("proxy", "timeout check", "1", "1q", "unexpected character 'q'"),
	ROW("proxy", "timeout tunnel", "1d", "25d", "timer overflow"),
	ROW("proxy", "http-request", "set-header x-a %[path]b if { path_beg /x } || !TRUE", "", "expects <action>"),
	ROW("proxy", "http-request", "set-var(txn.a) src", "set-var(a) src", "'a'"),
	ROW("proxy", "http-request", "set-var(proc.a,ifset,ifgt) src_port", "set-var(proc.a,iffy) src",
		"is no condition of a variable"),
	ROW("proxy", "http-request", "set-var(txn.a,ifset,iflt,ifempty,ifexists,ifgt,ifnotset) src",
		"set-var(txn.a,) src", "is no condition of a variable"),
	ROW("proxy", "http-request", "set-var-fmt(txn.a) %[src]:%[src_port]", "set-var-fmt(txn.a)",
		"expects (<scope>.<name>) <format>"),
	ROW("proxy", "http-request", "unset-var(proc.a)", "unset-var(proc.a,ifset)", "is no variable name"),
	ROW("proxy", "http-request", "deny status 429 unless { src 10.0.0.0/8 }", "deny if", "expects a condition after 'if'"),
	ROW("proxy", "http-request", "return status 200 content-type text/plain string ok", "deny if { nope }", "'nope'"),
	ROW("proxy", "http-request", "allow", "allow x", "unexpected argument 'x'"),
	ROW("proxy", "http-request", "del-header x-a", "set-header x-a %[nope]", "'nope'"),
	ROW("proxy", "http-request", "redirect location /y code 303", "set-header x-a %[path", "path"),
	ROW("proxy", "http-request", NULL, "foo", "but got 'foo'"),
	ROW("proxy", "http-request", NULL, "lua.nope", "no script registered the action 'lua.nope'"),
	ROW("proxy", "http-request", NULL, "track-sc0 src", "not supported yet by sluice: 'http-request track-sc*'"),
	ROW("proxy", "http-request", NULL, "use-service lua.nope", "no script registered the service 'lua.nope'"),
	ROW("proxy", "http-request", NULL, "use-service", "expects 'lua.<name>'"),
	ROW("proxy", "http-request", NULL, "use-service prometheus-exporter", "got 'prometheus-exporter'"),
	ROW("proxy", "tcp-request content", "accept if { src 10.0.0.0/8 }", "foo", "but got 'foo'"),
	ROW("proxy", "tcp-request content", "reject if { path /x }", "reject now", "unexpected argument 'now'"),
	ROW("proxy", "tcp-request content", "set-var(sess.a) src", "reject if { status 200 }", "there is no response yet"),
	ROW("proxy", "tcp-request content", NULL, "reject if { req.len gt 3 }", "reads the bytes of mode tcp"),
	ROW("proxy", "tcp-response content", "reject if { status 404 }", "close", "is of mode tcp"),
	ROW("proxy", "tcp-response content", "accept if WAIT_END", "reject if { req.len 3 }", "'req.len'"),
	ROW("proxy", "tcp-response inspect-delay", "5s", "5x", "unexpected character 'x'"),
	ROW("proxy", "http-request", "wait-for-body time 1s at-least 8k if { path /x }", "wait-for-body", "expects 'time <time>'"),
	ROW("proxy", "http-request", NULL, "set-map(/nonexistent) a", "expects (<file>) <key> <value>"),
	ROW("proxy", "http-request", NULL, "add-acl(/nonexistent) a", "failed to open pattern file </nonexistent>"),
	ROW("proxy", "tcp-request inspect-delay", "5s", "5x", "unexpected character 'x'"),
	ROW("proxy", "http-response", "set-header x-a %[status] if { status 200 }", "foo", "but got 'foo'"),
	ROW("proxy", "http-after-response", "set-header x-a %[status] if { status 200 }", "foo", "but got 'foo'"),
	ROW("proxy", "redirect", "location /y code 302 if { path /x }", "foo", "'foo'"),
	ROW("proxy", "redirect", "prefix /y", "location / code 999", "'999'"),
	ROW("proxy", "redirect", "scheme https", "", "expects location|prefix|scheme"),

	ROW("proxy", "errorfile", "503 /dev/null", "503", "expects <code> <file>"),
	ROW("proxy", "errorfile", "408 /dev/null", "999 /dev/null", "status code '999' not handled"),
	ROW("proxy", "errorfile", NULL, "503 /nonexistent/x", "error opening file '/nonexistent/x'"),
	ROW("proxy", "errorloc", "503 /busy", "x /busy", "status code 'x' not handled"),
	ROW("proxy", "errorloc302", "503 /busy", "503", "expects <code> <url>"),
	ROW("proxy", "errorloc303", "503 /busy", "503 /busy x", SURPLUS),
	ROW("proxy", "errorfiles", NULL, "nowhere", "unknown http-errors section 'nowhere'"),
	ROW("proxy", "errorfiles", NULL, "nowhere 999", "status code '999' not handled"),
	ROW("http-errors", "errorfile", "503 /dev/null", "503 /nonexistent/x", "error opening file"),
	ROW("http-errors", "errorfile", NULL, "999 /dev/null", "status code '999' not handled"),
	ROW("http-errors", "errorloc", NULL, "503 /x", "unknown keyword 'errorloc' in 'http-errors' section"),

	ROW("bind", "name", "x", "", "'name' : missing value"),
	ROW("bind", "maxconn", "5", "x", NUM),
	ROW("bind", "id", "5", "0", RANGE),
	ROW("bind", "backlog", "5", "0", RANGE),
	ROW("bind", "mode", "640", "x", "invalid mode 'x'"),
	ROW("bind", "user", "root", "nobody-at-all", "unknown user name"),
	ROW("bind", "uid", "0", "x", NUM),
	ROW("bind", "group", "root", "nobody-at-all", "unknown group name"),
	ROW("bind", "gid", "0", "x", NUM),
	ROW("bind", "v4v6", "", "x", "unknown keyword 'x'"),
	ROW("bind", "v6only", "", "x", "unknown keyword 'x'"),

	ROW("server", "check", "", "x", "unknown keyword 'x'"),
	ROW("server", "no-check", "", "x", "unknown keyword 'x'"),
	ROW("server", "inter", "5s", "0", "must be above 0"),
	ROW("server", "inter", "5s", "", "'inter' expects <time>"),
	ROW("server", "fastinter", "5s", "5x", "unexpected character 'x'"),
	ROW("server", "downinter", "5s", "x", "unexpected character 'x'"),
	ROW("server", "rise", "2", "0", RANGE),
	ROW("server", "fall", "2", "x", NUM),
	ROW("server", "port", "8080", "99999", RANGE),
	ROW("server", "weight", "256", "257", RANGE),
	ROW("server", "weight", "0", "-1", RANGE),
	ROW("server", "maxconn", "5", "x", NUM),
	ROW("server", "backup", "", "x", "unknown keyword 'x'"),
	ROW("server", "no-backup", "", "x", "unknown keyword 'x'"),
	ROW("server", "disabled", "", "x", "unknown keyword 'x'"),
	ROW("server", "enabled", "", "x", "unknown keyword 'x'"),
	ROW("server", "id", "7", "0", RANGE),
	ROW("server", "init-addr", "last,libc,127.0.0.1", "dns", "unknown init-addr method 'dns'"),
};
// clang-format on

#define PROXY   DEFAULTS " option httpchk\nlisten f\n bind :80\n log global\n server s 10.1.0.11:80\n"

static void
make(char *out, size_t size, const struct kw_case *k, const char *args)
{
	const char *b = "backend b\n server s 10.1.0.11:80\n";

	if (strcmp(k->kind, "global") == 0)
		snprintf(out, size, "global\n %s %s\n" PROXY, k->name, args);
	else if (strcmp(k->kind, "proxy") == 0)
		snprintf(out, size, PROXY " %s %s\n%s", k->name, args, b);
	else if (strcmp(k->kind, "http-errors") == 0)
		snprintf(out, size, "http-errors pages\n %s %s\n" PROXY " errorfiles pages\n", k->name, args);
	else if (strcmp(k->kind, "bind") == 0)
		snprintf(out, size, PROXY " bind [::]:81 %s %s\n", k->name, args);
	else if (strcmp(k->kind, "server") == 0)
		snprintf(out, size, PROXY " server t 10.1.0.12:80 %s %s\n", k->name, args);
	else
		snprintf(out, size, PORTS "port two\n %s %s\n%s%s" PROXY, k->name, args,
			strcmp(k->name, "device") == 0 ? "" : " device net_ring1\n",
			strcmp(k->name, "address") == 0 ? "" : " address 10.2.0.1/24\n");
}

/* What is said has to be said of the keyword's line (of the last one, where arguments have several). */
static void
check_line(const struct conf_run *r, const struct kw_case *k, const char *text)
{
	const char *said = strstr(r->text, k->says), *at = text, *colon;
	char args[512];
	unsigned int want = 1;

	if (said == NULL)
		fail_msg("line %d: %s %s: %s", k->line, k->name, k->bad, r->text);
	snprintf(args, sizeof(args), " %s %s\n", k->name, k->bad);
	for (const char *hit = strstr(text, args); hit != NULL; hit = strstr(hit + 1, args)) {
		for (const char *end = hit + strlen(args) - 1; at < end; at++)
			want += *at == '\n';
	}
	while (said > r->text && said[-1] != '\n')
		said--;
	colon = strchr(said, ']');
	while (colon > said && *colon != ':')
		colon--;
	if (strncmp(said, "ALERT parsing [", 15) != 0 || strtoul(colon + 1, NULL, 10) != want)
		fail_msg("line %d: %s %s: not said of line %u: %s", k->line, k->name, k->bad, want,
			said);
}

static void
check_good(struct conf_run *r, const struct kw_case *k)
{
	char text[2048];

	make(text, sizeof(text), k, k->good);
	// the port section comes with the text
	if (strcmp(k->kind, "port") == 0)
		return;
	conf_run(r, text);
	if (r->rc != 0)
		fail_msg("line %d: %s %s: %s", k->line, k->name, k->good, r->text);
	conf_run_end(r);
}

static void
check_bad(struct conf_run *r, const struct kw_case *k)
{
	char text[2048];

	make(text, sizeof(text), k, k->bad);
	conf_run(r, text);
	if (r->rc != -EINVAL || r->m != NULL || r->n.errors == 0)
		fail_msg("line %d: %s %s: accepted, %s", k->line, k->name, k->bad, r->text);
	check_line(r, k, text);
}

static struct conf_run run; // large

static void
test_rows(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		if (cases[i].good != NULL)
			check_good(&run, &cases[i]);
		if (cases[i].bad != NULL && strcmp(cases[i].kind, "port") != 0)
			check_bad(&run, &cases[i]);
	}
}

/* Port sections without the one that conf_run() adds, which would come second. */
static void
test_ports(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		const struct kw_case *k = &cases[i];
		const char *args[2] = { k->good, k->bad };

		for (uint32_t bad = 0; bad < 2 && strcmp(k->kind, "port") == 0; bad++) {
			char text[2048], path[64];
			const char *files[] = { path };
			const struct conf_spec spec = { .files = files,
				.nfiles = 1,
				.message = conf_run_message,
				.ctx = &run };
			int fd;

			if (args[bad] == NULL)
				continue;
			make(text, sizeof(text), k, args[bad]);
			fd = conf_run_file(text, path);
			sl_buf_init(&run.log, run.text, sizeof(run.text));
			run.rc = conf_load(&spec, &run.m, &run.n);
			close(fd);
			if (!bad && run.rc != 0)
				fail_msg("line %d: %s", k->line, run.text);
			if (bad && run.rc == 0)
				fail_msg("line %d: accepted", k->line);
			if (bad)
				check_line(&run, k, text);
			conf_run_end(&run);
		}
	}
}

struct missing {
	char text[4096];
	struct sl_buf b;
	uint32_t rows;
};

static void
look_for(void *ctx, const char *text)
{
	static const char *const kinds[] = { "global", "port", "http-errors", "proxy", "bind",
		"server" };
	struct missing *m = ctx;
	struct sl_str rest = sl_str_c(text), kind = sl_str_cut(&rest, '\t'),
		      name = sl_str_cut(&rest, '\t');
	bool ours = false;

	for (size_t i = 0; i < SL_ARRAY_SIZE(kinds); i++)
		ours |= sl_str_eq(kind, sl_str_c(kinds[i]));
	if (!ours)
		return;
	m->rows++;
	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		if (sl_str_eq(kind, sl_str_c(cases[i].kind)) &&
			sl_str_eq(name, sl_str_c(cases[i].name)))
			return;
	}
	sl_buf_printf(&m->b, "%.*s %.*s, ", SL_STR_ARG(kind), SL_STR_ARG(name));
}

static void
test_every_row_has_a_case(void **state sl_unused)
{
	struct missing m = { .rows = 0 };

	sl_buf_init(&m.b, m.text, sizeof(m.text));
	conf_dump_keywords(look_for, &m);
	assert_true(m.rows > 80); // a table that was not linked would be silent
	if (m.b.len > 0)
		fail_msg("no case for %s", m.text);
}

/* What is implemented must leave the list of what is not: else the list is not to be believed. */
static void
test_unsupported_is_so(void **state sl_unused)
{
	const struct conf_tables *t = conf_tables();

	assert_true(unsup_count() > 400);
	for (uint32_t i = 0; i < unsup_count(); i++) {
		const struct unsup *u = unsup_at(i);
		struct sl_str name = sl_str_c(u->name);
		char option[100];
		const void *row = NULL;

		if (u->scope == UNSUP_OPTION) {
			snprintf(option, sizeof(option), "option %s", u->name);
			name = sl_str_c(option);
		}
		if (u->scope == UNSUP_GLOBAL)
			row = registry_find(&t->global, name);
		else if (u->scope == UNSUP_PROXY || u->scope == UNSUP_OPTION)
			row = registry_find(&t->proxy, name);
		else if (u->scope == UNSUP_BIND)
			row = registry_find(&t->bind, name);
		else if (u->scope == UNSUP_SERVER)
			row = registry_find(&t->server, name);
		if (row != NULL)
			fail_msg("'%s' is there, and in unsupported.def", u->name);
		if (u->why[0] == '\0' || u->why[strlen(u->why) - 1] == '.')
			fail_msg("'%s': the reason stands inside a sentence", u->name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_has_a_case),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_unsupported_is_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
