# SPDX-License-Identifier: BSD-3-Clause
"""Over a port: rules that wait for bytes of a connection or of a body, and rules that change maps."""
import os
import socket

from lib import SRV4, VIP4, check, sha256, random_file, sh, wait_for
from test_lua_socket import in_ns

HERE = os.path.dirname(os.path.abspath(__file__))

CONF = """
defaults
    timeout connect 2s
    timeout client 20s
    timeout server 20s
frontend word
    mode tcp
    bind %(vip)s:81
    tcp-request inspect-delay 20s
    tcp-request content accept if { req.payload(0,5) -m str HELLO }
    tcp-request content reject
    default_backend echo
frontend tls
    mode tcp
    bind %(vip)s:443
    tcp-request inspect-delay 20s
    tcp-request content accept if { req.ssl_hello_type 1 }
    tcp-request content reject
    use_backend tls if { req.ssl_sni -i WWW.example.com }
    default_backend none
frontend web
    mode http
    bind %(vip)s:80
    http-request wait-for-body time 20s at-least 8k if { path_beg /put/ }
    http-request set-map(%(map)s) %%[url_param(k)] %%[url_param(v)] if { path /set }
    http-request set-map(%(map)s.int) %%[url_param(k)] %%[url_param(v)] if { path /int }
    http-request return status 200 hdr x-v %%[url_param(k),map_int(%(map)s.int)] if { path_beg /int }
    http-request return status 200 hdr x-v %%[url_param(k),map(%(map)s,none)] if { path_beg /set /get }
    default_backend web
backend echo
    mode tcp
    tcp-response inspect-delay 20s
    tcp-response content accept if { res.payload(0,8) -m str HELLOyou }
    tcp-response content reject
    server e %(srv)s:7000
backend tls
    mode tcp
    server t %(srv)s:7443
backend none
    mode tcp
backend web
    mode http
    server b1 %(srv)s:8001
"""


def talk(net, port):
    s = in_ns(net.c, lambda: socket.create_connection((VIP4, port), timeout=10))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def read(s, n):
    got = b""
    while len(got) < n:
        piece = s.recv(n - len(got))
        if not piece:
            break
        got += piece
    return got


def closed(s):
    try:
        return s.recv(100) == b""
    except ConnectionResetError:
        return True


def test_content(net, pmd):
    """A word in pieces, another word, the host a TLS client asks for, an upload, a map for both workers."""
    net.nginx([("b1", 8001)])
    os.makedirs(net.file("put"), exist_ok=True)
    os.chmod(net.file("put"), 0o777)
    net.write("map", "old value\n")
    net.write("map.int", "1 one\n")
    net.start(["python3", os.path.join(HERE, "tunnels.py"), "serve", SRV4, "7000"], ns=net.s)
    sh(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", "/CN=www.example.com", "-days", "2", "-keyout", net.file("key"), "-out", net.file("crt")])
    net.start(["openssl", "s_server", "-accept", "%s:7443" % SRV4, "-cert", net.file("crt"),
               "-key", net.file("key"), "-www", "-quiet"], ns=net.s)
    net.wait_port(net.s, SRV4, 7000)
    net.wait_port(net.s, SRV4, 7443)
    p = net.sluice(net.sluice_head(pmd, 2) + CONF % {"vip": VIP4, "srv": SRV4, "map": net.file("map")})

    for word in (b"HELLOyou", b"HELLO" + b"you" * 2000):
        s = talk(net, 81)
        for i in range(8):
            s.sendall(word[i:i + 1])  # each a segment of its own
        s.sendall(word[8:])
        check(read(s, len(word)) == word, "what was said did not come back")
        s.close()
    s = talk(net, 81)
    s.sendall(b"HEAVY")
    check(closed(s), "another word was not refused")
    s = talk(net, 81)
    s.sendall(b"HELLOme!")
    check(closed(s), "another answer was not refused")

    for host, code in (("www.example.com", 0), ("other.example.com", 35)):
        r, out = net.curl("-k", "-o", net.file("page"), "-w", "%{http_code}", "--resolve",
                          "%s:443:%s" % (host, VIP4), "https://%s/" % host, ok=False)
        check((r == 0) == (code == 0), "%s: curl ended with %d, %s" % (host, r, out))
    s = talk(net, 443)
    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
    check(closed(s), "what is no TLS was not refused")

    random_file(net.file("big"), 3 << 20)
    net.curl("-T", net.file("big"), "http://%s/put/known" % VIP4)
    sh(["sh", "-c", "cat %s | curl -sS -f -m 60 -T - http://%s/put/chunked" % (net.file("big"), VIP4)], ns=net.c)
    for name in ("known", "chunked"):
        check(sha256(net.file("put/" + name)) == sha256(net.file("big")), "upload differs: " + name)

    net.curl("http://%s/set?k=new&v=one" % VIP4)

    def all_know():
        _, out = net.curl("-i", *["http://%s/get?k=new" % VIP4] * 2)
        return out.count("x-v: one") == 2
    wait_for("the change of the map", all_know)
    for _ in range(16):  # connections of their own: both workers
        check(all_know(), "a worker does not know of the change")
    check(net.stat("pat_asked") == 1 and net.stat("pat_lost") == 0, "pat_asked %d, pat_lost %d"
          % (net.stat("pat_asked"), net.stat("pat_lost")))
    net.curl("http://%s/int?k=2&v=two" % VIP4, "http://%s/int?k=no-number&v=x" % VIP4,
             "http://%s/int?k=3&v=three" % VIP4)

    def refused():
        return int(net.telemetry("/sluice/info")["pat_refused"])
    wait_for("a change that cannot be made is counted", lambda: refused() == 1)
    _, out = net.curl("-i", "http://%s/int/get?k=2" % VIP4, "http://%s/int/get?k=3" % VIP4)
    check("x-v: two" in out and "x-v: three" in out, "another change was lost: " + out)
    check(net.stat("pat_asked") == 4 and net.stat("pat_lost") == 0 and refused() == 1, "the others are counted")
    net.stop_sluice(p)


test_content.cases = [{"pmd": "af_xdp"}]
test_content.net = {"queues": 2}
