# SPDX-License-Identifier: BSD-3-Clause
"""Examples of lua/examples under Debian's haproxy and under sluice: external_auth.lua, service.lua."""
import os

from lib import ROOT, SLOW, SRV4, VIP4, check, sh

EXAMPLES = os.path.join(ROOT, "lua/examples")

HEAD = """
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
"""


def both(net, load, config, ask, options=""):
    """What ask() gives under each; options: words of rules that haproxy does not have."""
    net.kernel_dp(offloads=False)
    f = net.write("haproxy.cfg", "global\n" + load + HEAD + config.replace(" OPTIONS", ""))
    p = net.start(["haproxy", "-db", "-f", f], ns=net.d, log=net.file("haproxy.log"),
                  env={"AUTH": SRV4 + ":8090"})
    net.wait_port(net.d, VIP4, 80)
    want = ask()
    p.stop()
    net.kernel_dp_off()
    p = net.sluice(net.sluice_head("af_packet", 1, load) + HEAD +
                   config.replace(" OPTIONS", " " + options), env={"AUTH": SRV4 + ":8090"})
    net.curl("-o", "/dev/null", "--retry-connrefused", "--retry", "5", "http://%s/" % VIP4)
    got = ask()
    # not stop_sluice(): a script that fails says "runtime error", as sanitizers do
    check(p.stop() in (0, 143) and "Sanitizer" not in p.log(), p.log()[-3000:])
    net.left_behind()
    return want, got


# Decides by the password; says whom it saw. "down" closes without a word.
AUTH = """
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        who, uri = self.headers.get("authorization"), self.headers["x-original-uri"]
        if uri.startswith("/down"):
            self.close_connection = True
            return
        code = {"good": 200, "bad": 403, None: 401}.get(who, 500)
        self.send_response(code)
        if code == 200:
            self.send_header("X-Auth-User", "ann " + self.headers["x-original-method"] + " " + uri)
        if code == 401:
            self.send_header("WWW-Authenticate", "Basic realm=x")
        self.end_headers()
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer((sys.argv[1], 8090), H).serve_forever()
"""
ECHO = """
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(self.headers.get_all("x-auth-user")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer((sys.argv[1], 8001), H).serve_forever()
"""


def test_external_auth(net):
    """The service's word holds: passed with the user's name, refused with its field, failed."""
    net.start(["python3", "-c", AUTH, SRV4], ns=net.s)
    net.start(["python3", "-c", ECHO, SRV4], ns=net.s)
    net.wait_port(net.s, SRV4, 8090)
    net.wait_port(net.s, SRV4, 8001)

    def ask():
        out = []
        for path, word in (("/a?b=1", "good"), ("/a", "bad"), ("/a", None), ("/a", "odd"), ("/down", "good")):
            head = ["-H", "authorization: " + word] if word else []
            _, t = net.curl("-i", "-H", "x-auth-user: liar", *head,
                            "http://%s%s" % (VIP4, path), ok=False)
            lines = [x.lower() for x in t.split("\n")]
            out.append((lines[0].split(" ")[1], [x.strip() for x in lines if x.startswith("www-auth")],
                        lines[-1]))
        return out

    want, got = both(net, "    lua-load %s/external_auth.lua\n" % EXAMPLES, """
frontend f
    bind %s:80
    http-request lua.external-auth OPTIONS
    default_backend app
backend app
    server a %s:8001
""" % (VIP4, SRV4), ask, "deadline 5s on-error status 503")
    check(want[:3] == got[:3], "haproxy %s\nsluice %s" % (want, got))
    check(got[0][2] == "['ann get /a?b=1']" and got[1][0] == "403" and
          got[2][:2] == ("401", ["www-authenticate: basic realm=x"]), str(got))
    # there a failing script lets the request pass; here the rule says that it must not
    check([g[0] for g in got[3:]] == ["503", "503"] and [w[0] for w in want[3:]] == ["200", "200"],
          "haproxy %s\nsluice %s" % (want, got))


TICKS = """
import socket, sys, time
for attempt in range(4):  # a client that gets no CPU meanwhile finds several ticks at once
    s = socket.create_connection((sys.argv[1], 80), timeout=20)
    s.sendall(b"GET /ticks?4 HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n")
    t, times, text = time.monotonic(), [], b""
    while True:
        b = s.recv(65536)
        if not b:
            break
        text += b
        if b"tick" in b:
            times.append(time.monotonic() - t)
    if times[-1] - times[0] > 0.2:
        break
print(text.count(b"tick"), text.endswith(b"0\\r\\n\\r\\n"), times[-1] - times[0] > 0.2)
"""
LINES = """
import socket, sys
s = socket.create_connection((sys.argv[1], 81), timeout=20)
f = s.makefile("rb")
for w in (b"one\\n", b"two words\\n", b"x" * 10000 + b"\\n"):
    s.sendall(w)
    l = f.readline()
    print(l[:10], len(l))
s.sendall(b"no end")
s.shutdown(socket.SHUT_WR)
print(f.read())
"""


def test_service(net):
    """A body that is read while it comes, an answer that is sent while it is made, and mode tcp."""
    big = net.write("big", "line\n" * 300000)

    def ask():
        out = [net.curl("-s", "http://%s/x" % VIP4)[1], net.curl("-I", "-s", "http://%s/x" % VIP4)[1].lower()]
        out += [net.curl("-s", "--data-binary", "@" + big, "http://%s/x" % VIP4)[1]]
        out += [net.curl("-s", "-H", "transfer-encoding: chunked", "--data-binary", "@" + big,
                         "http://%s/x" % VIP4)[1]]
        out += [sh(["python3", "-c", p, VIP4], ns=net.c, timeout=60)[1] for p in (TICKS, LINES)]
        return out

    want, got = both(net, "    lua-load %s/service.lua\n" % EXAMPLES, """
frontend f
    bind %s:80
    http-request use-service lua.ticks if { path /ticks }
    http-request use-service lua.count OPTIONS
frontend g
    mode tcp
    bind %s:81
    tcp-request inspect-delay 5s
    tcp-request content use-service lua.shout
""" % (VIP4, VIP4), ask, "deadline %ds" % (60 * SLOW))
    want[1], got[1] = sorted(want[1].split("\r\n")), sorted(got[1].split("\r\n"))
    check(want == got, "haproxy %s\nsluice %s" % (want, got))
    check('"lines":300000,"bytes":1500000' in got[2] and got[2] == got[3], got[2])
    check(got[4] == "4 True True\n", got[4])
