# SPDX-License-Identifier: BSD-3-Clause
"""Signals and conditions with a port: a soft stop lets requests end, .if takes the right branch."""
import os
import signal
import subprocess

from lib import BUILD, VIP4, check, wait_for

SLOW_SERVER = """
import socket, sys
s = socket.socket()
s.setsockopt(1, 2, 1)
s.bind(('10.61.2.1', 8081))
s.listen(9)
c = s.accept()[0]
c.recv(4096)
open(sys.argv[1], 'w').close()
while not __import__('os').path.exists(sys.argv[2]):
    __import__('time').sleep(0.05)
c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok')
c.recv(1)
"""
CFG = """
defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
.if feature(NONESUCH)
frontend wrong
    bind %(vip)s:81
.elif version_atleast(2.4) && defined(HOME)
frontend web
    bind %(vip)s:80
    default_backend be
.endif
backend be
    server a 10.61.2.1:8081
""" % {"vip": VIP4}


def test_soft_stop(net):
    """SIGUSR1 by way of the parent: nobody new, the request in flight is answered, then the end."""
    asked, go = net.file("asked"), net.file("go")
    net.start(["python3", "-c", SLOW_SERVER, asked, go], ns=net.s, log=net.file("server.log"))
    net.wait_port(net.s, "10.61.2.1", 8081)
    p = net.sluice(net.sluice_head("af_packet") + CFG)
    curl = net.start(["curl", "-s", "-w", "%{http_code}", "http://%s/" % VIP4], ns=net.c, log=net.file("curl.log"))
    wait_for("the request at the server", lambda: os.path.exists(asked))
    p.send(signal.SIGUSR1)
    wait_for("no new connections", lambda: net.curl("http://%s/" % VIP4, "-m", "2", "-o", "/dev/null", ok=False)[0] != 0)
    check(p.alive() and curl.alive(), "it did not wait for the request")
    open(go, "w").close()
    check(curl.wait(10) == 0 and curl.log() == "ok200", "curl: %r" % curl.log())
    check(p.wait(10) == 0, "ended with %s" % p.p.returncode)
    net.left_behind()


def test_conditions(net):
    """-cc as scripts ask it, and .if in a configuration with ports."""
    for cond, rc in (("feature(NONESUCH)", 1), ("version_atleast(2.4)", 0), ("nonsense(", 2)):
        got = subprocess.run([os.path.join(BUILD, "sluice"), "-cc", cond], capture_output=True, check=False)
        check(got.returncode == rc, "-cc %s: %d" % (cond, got.returncode))
    net.nginx([("a", 8081)])
    p = net.sluice(net.sluice_head("af_packet") + CFG)
    check(net.curl("http://%s/name" % VIP4)[1] == "a\n", "the branch that holds")
    check(net.curl("http://%s:81/" % VIP4, ok=False)[0] != 0, "the branch that does not hold")
    net.stop_sluice(p)
