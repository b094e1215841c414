#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Small configurations: does sluice say of them what HAProxy 2.6 says?

    tests/compat/conf_verdicts.py BUILD/tools/sluice-check [NAME...]

Each case runs under `haproxy -c` and under sluice, plain and with -dW (a warning counts), and the
exit statuses are compared. sluice gets a second file with a port section, because addresses need
one. A case says what is expected where the two differ on purpose:

    same      both statuses are equal
    yet       HAProxy takes it, sluice refuses it by name ("not supported yet")
    strict    HAProxy takes a mistake that sluice refuses

Without haproxy the test fails: it is the other half of the comparison.
"""
import os
import shutil
import subprocess
import sys
import tempfile

PORTS = """port lan
 device net_ring0
 address 10.1.0.1/24
 address fd00::1/64
 gateway 10.1.0.254
 gateway fd00::fe
"""
T = " timeout client 1s\n timeout server 1s\n timeout connect 1s\n"
D = "defaults\n mode http\n" + T
F = D + "frontend f\n bind :80\n"
B = "backend b\n server s 10.1.0.11:80\n"
L = D + "listen l\n bind :80\n server s 10.1.0.11:80\n"
S = L + " server t 10.1.0.12:80 "

same, yet, strict = "same", "yet", "strict"
cases = [
    # sections and lines
    ("empty", same, ""),
    ("comment-only", same, "# nothing\n"),
    ("global-only", same, "global\n daemon\n"),
    ("no-last-lf", same, F.rstrip("\n")),
    ("cr-inside", same, F + " maxconn\r3\n"),
    ("crlf", same, F.replace("\n", "\r\n")),
    ("out-of-section", same, "bind :80\n"),
    ("unknown-section", same, "foo bar\n x\n"),
    ("unknown-keyword", same, F + " frobnicate x\n"),
    ("unknown-global", same, "global\n foo\n" + F),
    ("frontend-no-name", same, "frontend\n bind :80\n"),
    ("frontend-bad-name", same, D + "frontend a?b\n bind :80\n"),
    # addresses take variables without quotes, and what is not there is empty
    ("address-variable", same, D + "frontend f\n bind :${A_PORT}\nbackend b\n server s $A_HOST:$A_PORT\n"),
    ("address-variable-unknown", same, D + "frontend f\n bind :${NOT_THERE}\n"),
    ("address-variable-fd", same, D + "frontend f\n bind fd@${NOT_THERE}\n"),
    ("address-variable-stats", same, "global\n stats socket $NOT_THERE\n" + F),
    ("address-variable-log", same, "global\n log $NOT_THERE local0\n" + F),
    ("address-variable-quoted", same, D + "frontend f\n bind ':${A_PORT}'\n"),
    ("address-variable-server", strict, F + "backend b\n server s $NOT_THERE:80\n"),
    ("global-extra", same, "global x\n daemon\n" + F),
    ("global-twice", same, "global\n daemon\nglobal\n quiet\n" + F),
    ("duplicate-frontend", same, F + "frontend f\n bind :81\n"),
    ("frontend-and-backend", same, F + "backend f\n"),
    ("duplicate-backend", same, F + "backend b\nbackend b\n"),
    ("duplicate-listen", same, F + "listen f\n bind :81\n"),
    ("defaults-from", same, "defaults a\n mode http\n" + T + "frontend f from a\n bind :80\n"),
    ("defaults-from-nope", same, D + "frontend f from nope\n bind :80\n"),
    ("defaults-ambiguous", same, "defaults a\ndefaults a\nfrontend f from a\n bind :80\n"),
    ("defaults-from-defaults", same,
     "defaults a\n" + T + "defaults b from a\n mode http\nfrontend f from b\n bind :80\n"),
    ("last-defaults", same, "defaults a\n" + T + "defaults b\n mode http\nfrontend f\n bind :80\n"),
    ("defaults-bind", same, "defaults\n bind :80\n"),
    ("defaults-server", same, "defaults\n server s 10.1.0.11:80\n"),
    ("defaults-use-backend", same, "defaults\n use_backend x\n"),
    ("defaults-acl", same, "defaults\n acl a path /x\n" + F),
    ("section-userlist", yet, "userlist u\n user a insecure-password b\n" + F),
    ("section-peers", yet, "peers p\n peer a 10.1.0.9:1000\n" + F),
    # quoting, variables, conditional blocks
    ("quotes", same, F + " http-request set-header a \"b c\"'d e'\n"),
    ("quote-open", same, F + " http-request set-header a \"b c\n"),
    ("squote-open", same, F + " http-request set-header a 'b c\n"),
    ("escape-hex", same, F + " http-request set-header a b\\x20c\n"),
    ("escape-hex-bad", same, F + " http-request set-header a \\x2\n"),
    ("env-default", same, F + " maxconn \"${SL_NOT_SET-33}\"\n"),
    ("env-open", same, F + " maxconn \"${SL_NOT_SET\"\n"),
    ("env-digit", same, F + " maxconn \"$1\"\n"),
    ("env-split", same, "global\n setenv SL_W \"a b\"\n" + F + " acl x path \"${SL_W[*]}\"\n"),
    ("words-64", same, F + " acl a path " + " ".join("/%d" % i for i in range(61)) + "\n"),
    ("words-65", same, F + " acl a path " + " ".join("/%d" % i for i in range(62)) + "\n"),
    ("if-taken", same, ".if 1\n" + F + ".else\n nonsense\n.endif\n"),
    ("if-not", same, ".if !feature(LUA)\n nonsense\n.endif\n" + F),
    ("if-words", same, ".if 1 && streq(a,a)\n" + F + ".endif\n"),
    ("if-open", same, F + ".if 1\n"),
    ("endif-lone", same, F + ".endif\n"),
    ("if-bad", same, ".if nope\n.endif\n" + F),
    ("alert", same, ".alert \"x\"\n" + F),
    ("warning", same, ".warning \"x\"\n" + F),
    # global
    ("nbthread", same, "global\n nbthread 2\n" + F),
    ("nbthread-0", same, "global\n nbthread 0\n" + F),
    ("nbthread-65", same, "global\n nbthread 65\n" + F),
    ("nbthread-x", same, "global\n nbthread x\n" + F),
    ("maxconn-missing", same, "global\n maxconn\n" + F),
    ("maxconn-two", same, "global\n maxconn 1 2\n" + F),
    ("maxconn-x", strict, "global\n maxconn 3x\n" + F),
    ("daemon-arg", same, "global\n daemon x\n" + F),
    ("pidfile", same, "global\n pidfile /run/x\n" + F),
    ("pidfile-missing", same, "global\n pidfile\n" + F),
    ("node", same, "global\n node n1\n description some text\n" + F),
    ("cpu-map", same, "global\n cpu-map auto:1/1-2 0-1\n" + F),
    ("cpu-map-x", same, "global\n cpu-map 1 a\n" + F),
    ("cpu-map-missing", same, "global\n cpu-map 1\n" + F),
    ("setenv", same, "global\n setenv A b\n presetenv C d\n unsetenv A\n" + F),
    ("zero-warning", same, "global\n zero-warning\nfrontend f\n bind :80\n"),
    ("log-stdout", same, "global\n log stdout format raw local0 info\n" + F + " log global\n"),
    ("log-facility", same, "global\n log stdout foo\n" + F),
    ("log-level", same, "global\n log stdout local0 foo\n" + F),
    ("log-missing", same, "global\n log stdout\n" + F),
    ("log-format", same, F + " log stdout local0\n log-format \"%ci %{+Q}r %[src]\"\n"),
    ("log-format-bad", same, F + " log stdout local0\n log-format %zz\n"),
    ("log-format-cut", same, F + " log stdout local0\n log-format a%\n"),
    ("log-format-head", same, F + " log stdout local0\n log-format %[req.hdr(host)]\n"),
    ("log-format-tcp", same, F + " mode tcp\n log stdout local0\n log-format %HM\n"),
    ("log-format-nolog", same, F + " log-format %ci\n"),
    ("log-format-be", same, F + B + " log-format %ci\n"),
    ("log-format-two", same, F + " log stdout local0\n log-format %ci %cp\n"),
    ("log-format-defaults", same, "defaults\n option httplog\n log-format %ci\n" + F),
    ("log-tag", same, "global\n log-tag x\n" + F + " log-tag y\n"),
    ("capture", same, F + " capture request header Host len 10\n capture response header X len 3\n"),
    ("capture-len", same, F + " capture request header Host 10\n"),
    ("capture-be", same, F + B + " capture request header Host len 10\n"),
    ("capture-defaults", same, "defaults\n capture request header Host len 10\n" + F),
    ("declare-capture", same, F + " declare capture request len 3\n http-request capture path id 0\n"),
    ("declare-capture-x", same, F + " declare capture both len 3\n"),
    ("rule-capture", same, F + " http-request capture path len 3\n"),
    ("rule-capture-nolen", same, F + " http-request capture path\n"),
    ("rule-capture-be", same, F + B + " http-request capture path len 3\n"),
    ("unique-id", same, F + " unique-id-format %{+X}o\\ %ci-%rt\n unique-id-header X-Id\n"),
    ("unique-id-path", same, F + " unique-id-format %[path]\n"),
    ("log-syslog", same, "global\n log 10.1.0.9 local0\n" + F),
    ("tune-lua", same, "global\n tune.lua.forced-yield 500\n tune.lua.session-timeout 2s\n"
     " tune.lua.maxmem 10\n" + F),
    ("tune-lua-x", same, "global\n tune.lua.session-timeout 2x\n" + F),
    ("lua-load-missing", same, "global\n lua-load\n" + F),
    ("lua-load-nofile", same, "global\n lua-load /nonexistent.lua\n" + F),
    ("user", same, "global\n user nobody\n group nogroup\n" + F),
    ("uid", same, "global\n uid 65534\n gid 65534\n chroot /var/empty\n" + F),
    ("uid-0", same, "global\n uid 0\n" + F),
    ("user-nobody-has", same, "global\n user nobody-at-all\n" + F),
    ("group-nobody-has", same, "global\n group nobody-at-all\n" + F),
    ("user-twice", same, "global\n user nobody\n uid 5\n" + F),
    ("group-twice", same, "global\n gid 5\n group nogroup\n" + F),
    ("uid-none", strict, "global\n uid x\n" + F),
    ("chroot-twice", same, "global\n chroot /tmp\n chroot /tmp\n" + F),
    ("chroot-empty", same, "global\n chroot\n" + F),
    ("ignored", same, "global\n ulimit-n 4096\n tune.maxaccept 10\n nosplice\n" + F),
    ("no-busy-polling", same, "global\n no busy-polling\n" + F),
    ("no-maxconn", same, "global\n no maxconn 3\n" + F),
    ("stats-socket", same, "global\n stats socket /run/sl.sock\n" + F),
    ("grace", same, "global\n grace 3s\n" + F),
    ("hard-stop", same, "global\n hard-stop-after 30s\n" + F),
    # bind
    ("bind-forms", same, D + "frontend f\n bind 10.1.0.1:80\n bind :81,:82\n bind *:83\n"
     " bind [fd00::1]:84\n bind ipv4@10.1.0.1:85\n bind :::86 v6only\n bind 0.0.0.0:87\n"),
    ("bind-options", same, D + "frontend f\n bind :80 name a id 3 maxconn 4 backlog 5 tfo\n"),
    ("bind-no-port", same, D + "frontend f\n bind 10.1.0.1\n"),
    ("bind-port-0", same, D + "frontend f\n bind :0\n"),
    ("bind-port-big", same, D + "frontend f\n bind :70000\n"),
    ("bind-port-x", strict, D + "frontend f\n bind :80x\n"),
    ("bind-missing", same, D + "frontend f\n bind\n"),
    ("bind-option-unknown", same, D + "frontend f\n bind :80 frob\n"),
    ("bind-option-value", same, D + "frontend f\n bind :80 maxconn\n"),
    ("bind-range", yet, D + "frontend f\n bind :80-90\n"),
    ("bind-unix", same, D + "frontend f\n bind /run/sl.sock mode 600,unix@/run/sl2.sock\n"
     " bind abns@sl,127.0.0.1:82\n"),
    ("bind-fd", same, D + "frontend f\n bind fd@7\n"),
    ("bind-fd-value", same, D + "frontend f\n bind fd@x\n"),
    ("bind-mode-value", same, D + "frontend f\n bind /run/sl.sock mode 9\n"),
    ("bind-accept-proxy", yet, D + "frontend f\n bind :80 accept-proxy\n"),
    ("bind-none", same, D + "frontend f\n"),
    ("bind-in-backend", same, F + "backend b\n bind :81\n"),
    # servers
    ("server", same, L),
    ("server-v6", same, L + " server t [fd00::9]:80\n server u fd00::9:80\n"),
    ("server-name", same, L + " server t localhost:80\n"),
    ("server-no-such-name", same, L + " server t %s:80\n" % ("x" * 70)),
    ("server-init-addr", same, L + " server t %s:80 init-addr last,libc,10.1.0.12\n" % ("x" * 70)),
    ("server-init-addr-last", same, L + " server t %s:80 init-addr last\n" % ("x" * 70)),
    ("server-init-addr-word", same, S + "init-addr dns\n"),
    ("bind-name", same, F + " bind localhost:81\n"),
    ("bind-no-such-name", same, F + " bind %s:81\n" % ("x" * 70)),
    ("server-options", same, S + "check inter 2s fastinter 1s downinter 5s rise 2 fall 3 port 81"
     " weight 10 maxconn 100 backup disabled id 7\n"),
    ("server-default", same, L + " default-server inter 5s weight 3\n"),
    ("server-default-addr", same, L + " default-server 10.1.0.11:80\n"),
    ("server-missing", same, L + " server\n"),
    ("server-no-addr", same, L + " server t\n"),
    ("server-twice", same, L + " server s 10.1.0.12:80\n"),
    ("server-unknown", same, S + "chek\n"),
    ("server-weight-300", same, S + "weight 300\n"),
    ("server-weight-neg", same, S + "weight -1\n"),
    ("server-weight-x", strict, S + "weight x\n"),
    ("server-rise-0", same, S + "rise 0\n"),
    ("server-inter-x", same, S + "inter 5x\n"),
    ("server-inter-0", same, S + "inter 0\n"),
    ("server-inter-none", same, S + "inter\n"),
    ("server-port-big", same, L + " server t 10.1.0.12:70000\n"),
    ("server-port-x", same, L + " server t 10.1.0.12:abc\n"),
    ("server-bad-name", same, L + " server t?u 10.1.0.12:80\n"),
    ("server-in-frontend", same, F + " server s 10.1.0.11:80\n"),
    ("server-no-port", yet, L + " server t 10.1.0.12\n"),
    ("server-cookie", yet, S + "cookie c\n"),
    ("server-slowstart", yet, S + "slowstart 5s\n"),
    # proxies
    ("mode-x", same, F + " mode httpx\n"),
    ("mode-extra", same, F + " mode http x\n"),
    ("mode-health", same, F + " mode health\n"),
    ("maxconn-backend", same, F + B + " maxconn 3\n"),
    ("retries-frontend", same, F + " retries 3\n"),
    ("retries-extra", same, L + " retries 3 4\n"),
    ("retries-missing", same, L + " retries\n"),
    ("id", same, F + " id 7\n"),
    ("id-0", same, F + " id 0\n"),
    ("id-twice", same, F + " id 7\nfrontend g\n bind :81\n id 7\n"),
    ("description-none", same, F + " description\n"),
    ("timeout-none", same, F + " timeout\n"),
    ("timeout-unknown", same, F + " timeout foo 3s\n"),
    ("timeout-missing", same, F + " timeout client\n"),
    ("timeout-x", same, F + " timeout client 3q\n"),
    ("timeout-neg", same, F + " timeout client -1\n"),
    ("timeout-extra", same, F + " timeout client 3s 4s\n"),
    ("timeout-overflow", same, F + " timeout client 99999999999\n"),
    ("timeout-removed", same, F + " timeout clitimeout 3s\n"),
    ("timeout-server-in-fe", same, F + " timeout server 3s\n"),
    ("timeout-client-in-be", same, F + B + " timeout client 3s\n"),
    ("timeouts-missing-fe", same, "frontend f\n bind :80\n"),
    ("timeouts-missing-be", same, F + "defaults\n mode http\n" + B),
    ("timeouts-tunnel", same, F + "defaults\n timeout connect 1s\n timeout tunnel 1s\n" + B),
    ("timeouts-no-server", same, F + "defaults\n mode http\nbackend b\n"),
    ("timeout-tarpit", yet, F + " timeout tarpit 3s\n"),
    ("default-backend", same, F + " default_backend b\n" + B),
    ("default-backend-nope", same, F + " default_backend nope\n"),
    ("default-backend-none", same, F + " default_backend\n"),
    ("default-backend-extra", same, F + " default_backend b c\n" + B),
    ("default-backend-fe", same, F + " default_backend f\n"),
    ("default-backend-in-be", same, F + "backend c\n" + B + " default_backend c\n"),
    ("default-backend-loop", same, L + " default_backend l\n"),
    ("use-backend-loop", same, L + " use_backend l if TRUE\n"),
    ("default-backend-mode", same, F + " default_backend b\n" + B + " mode tcp\n"),
    ("default-backend-http", yet, F + " mode tcp\n default_backend b\n" + B),
    ("use-backend", same, F + " use_backend b if { path /x }\n" + B),
    ("use-backend-nope", same, F + " use_backend nope if TRUE\n"),
    ("use-backend-none", same, F + " use_backend\n"),
    ("use-backend-word", same, F + " use_backend b foo\n" + B),
    ("use-backend-no-acl", same, F + " use_backend b if nope\n" + B),
    ("use-backend-brace", same, F + " use_backend b if { path /x\n" + B),
    ("use-backend-dynamic", same, F + " use_backend b_%[hdr(host),lower]\n"),
    ("use-backend-always", same, F + " use_backend b\n" + B),
    ("balance", same, L + " balance roundrobin\n"),
    ("balance-hash", same, L + " balance hash src\n"),
    ("balance-hash-none", same, L + " balance hash\n"),
    ("balance-hash-bad", same, L + " balance hash nope\n"),
    ("hash-type", same, L + " balance hash src\n hash-type consistent wt6 avalanche\n"),
    ("hash-type-bad", same, L + " hash-type foo\n"),
    ("hash-type-fn", same, L + " hash-type map-based foo\n"),
    ("hash-type-mod", same, L + " hash-type map-based sdbm foo\n"),
    ("balance-unknown", same, L + " balance foo\n"),
    ("balance-in-fe", same, F + " balance roundrobin\n"),
    ("balance-leastconn", yet, L + " balance leastconn\n"),
    ("http-reuse", same, L + " http-reuse safe\n"),
    ("http-reuse-x", same, L + " http-reuse x\n"),
    ("http-reuse-fe", same, F + " http-reuse safe\n"),
    ("http-reuse-always", yet, L + " http-reuse always\n"),
    ("option-none", same, F + " option\n"),
    ("option-unknown", same, F + " option foo\n"),
    ("options", same, L + " option dontlognull\n option http-server-close\n option redispatch\n"
     " option forwardfor except 10.0.0.0/8 header X-C if-none\n no option dontlognull\n"),
    ("option-extra", same, L + " option dontlognull x\n"),
    ("option-httplog-x", same, L + " option httplog x\n"),
    ("option-no-httplog", same, L + " no option httplog\n"),
    ("option-httplog-nolog", same, F + " option httplog\n"),
    ("option-httplog-tcp", same, F + " mode tcp\n log stdout local0\n option httplog\n"),
    ("option-httplog-be", same, F + B + " option httplog\n"),
    ("option-tcplog-x", same, L + " option tcplog x\n"),
    ("option-forwardfor-tcp", same, F + " mode tcp\n option forwardfor\n"),
    ("option-forwardfor-x", same, F + " option forwardfor foo\n"),
    ("option-forwardfor-except", same, F + " option forwardfor except\n"),
    ("option-redispatch-every", same, L + " option redispatch 1\n"),
    ("option-redispatch-fe", same, F + " option redispatch\n"),
    ("option-httpchk", same, L + " option httpchk GET /up HTTP/1.1\n"),
    ("option-httpchk-uri", same, L + " option httpchk /up\n"),
    ("option-httpchk-extra", same, L + " option httpchk GET / HTTP/1.0 x\n"),
    ("option-httpchk-fe", same, F + " option httpchk\n"),
    ("http-check-send", same, L + " option httpchk\n http-check send meth GET uri /up hdr a b\n"),
    ("option-allbackups", yet, L + " option allbackups\n"),
    ("option-splice", same, L + " option splice-auto\n option tcp-smart-accept\n"),
    # rules
    ("rules", same, F + " http-request set-header a %[path] if { path_beg /x }\n"
     " http-request add-header a b\n http-request del-header a\n http-request deny\n"),
    ("rule-none", same, F + " http-request\n"),
    ("rule-unknown", same, F + " http-request foo\n"),
    ("rule-header-short", same, F + " http-request set-header a\n"),
    ("rule-header-long", same, F + " http-request set-header a b c\n"),
    ("rule-fetch-unknown", same, F + " http-request set-header a %[foo]\n"),
    ("rule-bracket", same, F + " http-request set-header a %[path\n"),
    ("rule-deny-word", same, F + " http-request deny foo\n"),
    ("rule-deny-status", same, F + " http-request deny deny_status 429\n"),
    ("rule-if-nothing", strict, F + " http-request deny if\n"),
    ("rule-if-brace", same, F + " http-request deny if { path\n"),
    ("rule-if-acl-later", same, F + " http-request deny if a\n acl a path /x\n"),
    ("rule-or-not", same, F + " acl a path /x\n http-request deny if a or !a || { path /y }\n"),
    ("rule-return", same, F + " http-request return status 200 content-type text/plain string ok\n"),
    ("rule-return-errorfile", same, F + " http-request return status 503 errorfile /nonexistent\n"),
    ("rule-return-errorfiles", same, F + " http-request return status 503 errorfiles nowhere\n"),
    ("rule-return-default", same, F + " http-request return status 299 default-errorfiles\n"),
    ("rule-return-file", same, F + " http-request return content-type a/b file /nonexistent\n"),
    ("rule-return-lf-file", same, F + " http-request return content-type a/b lf-file /dev/null\n"),
    ("rule-return-two", same, F + " http-request return default-errorfiles errorfile /dev/null\n"),
    ("errorfile", same, F + " errorfile 503 /dev/null\n errorloc 500 /x\n errorloc303 502 /y\n"),
    ("errorfile-none", same, F + " errorfile 503\n"),
    ("errorfile-code", same, F + " errorfile 999 /dev/null\n"),
    ("errorfile-missing", same, F + " errorfile 503 /nonexistent\n"),
    ("errorfile-directory", same, F + " errorfile 503 /\n"),
    ("errorloc-none", same, F + " errorloc 503\n"),
    ("errorfiles-unknown", same, F + " errorfiles nowhere\n"),
    ("http-errors", same, "http-errors a\n errorfile 503 /dev/null\n" + F + " errorfiles a 503\n"),
    ("http-errors-later", same, F + " errorfiles a\n" + "http-errors a\n errorfile 503 /dev/null\n"),
    ("http-errors-lacks", same, "http-errors a\n errorfile 503 /dev/null\n" + F + " errorfiles a 404\n"),
    ("http-errors-twice", same, "http-errors a\nhttp-errors a\n" + F),
    ("http-errors-loc", same, "http-errors a\n errorloc 503 /x\n" + F),
    ("http-errors-none", same, "http-errors\n" + F),
    ("ring", same, "ring r\n description x\n format local\n maxlen 100\n size 20000\n" + F + " log ring@r local0\n"),
    ("ring-none", same, "ring\n" + F),
    ("ring-name", same, "ring a/b\n" + F),
    ("ring-twice", same, "ring a\nring a\n" + F),
    ("ring-own", same, "ring buf0\n" + F),
    ("ring-size", same, "ring a\n size 100\n" + F),
    ("ring-size-word", same, "ring a\n size x\n" + F),
    ("ring-maxlen", same, "ring a\n maxlen 0\n" + F),
    ("ring-maxlen-size", same, "ring a\n maxlen 99999\n" + F),
    ("ring-format", same, "ring a\n format foo\n" + F),
    ("ring-unknown", same, "ring a\n foo\n" + F),
    ("ring-description", same, "ring a\n description\n" + F),
    ("ring-timeout", same, "ring a\n timeout connect\n" + F),
    ("ring-server", same, "ring a\n timeout connect 1s\n timeout server 1s\n"
     " server s 127.0.0.1:514 log-proto octet-count\n" + F),
    ("ring-server-timeouts", same, "ring a\n server s 127.0.0.1:514\n" + F),
    ("ring-server-twice", same, "ring a\n server s 127.0.0.1:1\n server s 127.0.0.1:2\n" + F),
    ("ring-server-proto", same, "ring a\n server s 127.0.0.1:514 log-proto foo\n" + F),
    ("ring-server-port", strict, "ring a\n timeout connect 1s\n timeout server 1s\n server s 127.0.0.1\n" + F),
    ("ring-server-ssl", yet, "ring a\n timeout connect 1s\n timeout server 1s\n"
     " server s 127.0.0.1:514 ssl verify none\n" + F),
    ("ring-unknown-log", strict, F + " log ring@r local0\n"),  # HAProxy: at start only
    ("rule-redirect", same, F + " http-request redirect location /x code 301 if { path /y }\n"),
    ("rule-redirect-code", same, F + " http-request redirect location /x code 999\n"),
    ("rule-set-var", same, F + " http-request set-var(txn.a) path,lower\n"),
    ("rule-set-var-proc", same, F + " http-request set-var(proc.a) path\n"),
    ("rule-set-var-cond", same, F + " http-request set-var(txn.a,ifset,ifgt) path\n"),
    ("rule-set-var-cond-bad", same, F + " http-request set-var(txn.a,iffy) path\n"),
    ("rule-set-var-cond-five", same, F + " http-request set-var(txn.a,ifset,iflt,ifempty,ifexists,ifgt) path\n"),
    ("rule-set-var-fmt", same, F + " http-request set-var-fmt(txn.a) %[path]x\n"),
    ("rule-set-var-fmt-none", strict, F + " http-request set-var-fmt(txn.a)\n"),
    ("rule-unset-var-cond", same, F + " http-request unset-var(txn.a,ifset)\n"),
    ("proc-var", same, "global\n set-var proc.a int(1),add(2)\n set-var proc.b var(proc.a)\n" + F),
    ("proc-var-scope", same, "global\n set-var txn.a int(1)\n" + F),
    ("proc-var-name", same, "global\n set-var proc. int(1)\n" + F),
    ("proc-var-none", same, "global\n set-var proc.a\n" + F),
    ("proc-var-src", same, "global\n set-var proc.a src\n" + F),
    ("proc-var-fetch", same, "global\n set-var proc.a nonsense\n" + F),
    ("proc-var-rest", strict, "global\n set-var proc.a int(1) int(2)\n" + F),
    ("proc-var-fmt", same, "global\n set-var-fmt proc.a \"%[int(1)] x\"\n" + F),
    ("proc-var-fmt-src", same, "global\n set-var-fmt proc.a %[src]\n" + F),
    ("proc-var-fmt-none", same, "global\n set-var-fmt proc.a\n" + F),
    ("proc-var-max", same, "global\n tune.vars.proc-max-size 16384\n" + F),
    ("proc-var-max-bad", same, "global\n tune.vars.proc-max-size 1x\n" + F),
    ("proc-var-max-none", strict, "global\n tune.vars.proc-max-size\n" + F),
    ("proc-var-max-huge", strict, "global\n tune.vars.proc-max-size 17000000\n" + F),
    ("sess-var-max", yet, "global\n tune.vars.sess-max-size 1000\n" + F),
    ("rule-set-var-bad", same, F + " http-request set-var(x) path\n"),
    ("rule-lua-unknown", same, F + " http-request lua.nope\n"),
    ("rule-response", same, F + " http-response set-header a %[status]\n"),
    ("rule-in-tcp", same, F + " mode tcp\n http-request deny\n"),
    ("rule-tarpit", yet, F + " http-request tarpit\n"),
    ("redirect", same, F + " redirect prefix /x if { path /y }\n"),
    ("redirect-none", same, F + " redirect\n"),
    ("redirect-word", same, F + " redirect foo\n"),
    ("order-redirect", same, F + " redirect location /x if FALSE\n http-request deny\n"),
    ("order-use-backend", same, F + " use_backend b if FALSE\n http-request deny\n" + B),
    ("order-redirect-use", same, F + " use_backend b if FALSE\n redirect location /x\n" + B),
    # acls
    ("acl", same, F + " acl a path_beg -i /x /y\n acl a src 10.0.0.0/8\n acl b int(5) gt 4\n"),
    ("acl-none", same, F + " acl\n"),
    ("acl-name-only", same, F + " acl a\n"),
    ("acl-bad-name", same, F + " acl a?b path /x\n"),
    ("acl-or", same, F + " acl or path /x\n"),
    ("acl-fetch", same, F + " acl a nope /x\n"),
    ("acl-method", same, F + " acl a path -m nope /x\n"),
    ("acl-address", same, F + " acl a src 1.2.3.4.5\n"),
    ("acl-int", same, F + " acl a int(5) gt x\n"),
]


def run(cmd):
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENV,
                       errors="replace", timeout=60)
    return p.returncode, p.stdout


def judge(kind, flag, ha, sl):
    """None, or what is wrong. ha, sl: (status, output)."""
    if kind == same:
        return None if ha[0] == sl[0] else "statuses differ"
    if kind == yet and (ha[0] not in (0, 2) or sl[0] != 1 or "not supported yet" not in sl[1]):
        return "expected: HAProxy takes it, sluice refuses it by name"
    if kind == strict and (ha[0] != 0 or sl[0] != 1):
        return "expected: HAProxy takes it, sluice refuses it"
    return None


ENV = dict(os.environ, A_HOST="10.1.0.11", A_PORT="80")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    check, names = sys.argv[1], sys.argv[2:]
    haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if haproxy is None:
        sys.exit("haproxy is not installed (scripts/setup installs it)")
    bad = ran = 0
    with tempfile.TemporaryDirectory() as tmp:
        cfg, ports = os.path.join(tmp, "t.cfg"), os.path.join(tmp, "ports.cfg")
        with open(ports, "w") as f:
            f.write(PORTS)
        for name, kind, text in cases:
            if names and name not in names:
                continue
            with open(cfg, "w", newline="") as f:
                f.write(text)
            for flag in ([], ["-dW"]):
                if flag and (kind != same or ha[0] == sl[0] == 1):
                    continue  # an error is one with -dW too, and what differs on purpose was judged
                ran += 1
                ha = run([haproxy, "-c"] + flag + ["-f", cfg])
                sl = run([check, "-c"] + flag + ["-f", ports, "-f", cfg])
                why = judge(kind, flag, ha, sl)
                if why or names:
                    print("%s %s%s: haproxy %d, sluice %d\n%s\n--- haproxy\n%s--- sluice\n%s" % (
                        why or "ok", name, " -dW" if flag else "", ha[0], sl[0], text, ha[1], sl[1]))
                bad += why is not None
    print("%d comparisons of %d configurations, %d unexpected" % (ran, len(names) or len(cases), bad))
    return 1 if bad or ran < (len(names) or len(cases)) else 0


if __name__ == "__main__":
    sys.exit(main())
