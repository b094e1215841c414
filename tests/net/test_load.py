# SPDX-License-Identifier: BSD-3-Clause
"""tools/sluice-load against a server of known behaviour, over the host's loopback."""
import os
import re
import signal
import socket
import subprocess
import threading
import time

from lib import BUILD, check, sh, wait_for

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers one connection at a time: `answer(n)` is what the n-th request gets, when it returns."""

    def __init__(self, answer):
        self.answer, self.n = answer, 0
        self.s = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            while True:
                with self.s.accept()[0] as c:
                    self.serve(c)
        except OSError:  # the end, of the server or of a client that does not wait for its answer
            return

    def serve(self, c):
        buf = b""
        while True:
            d = c.recv(65536)
            if not d:
                return
            buf += d
            while b"\r\n\r\n" in buf:
                buf = buf.split(b"\r\n\r\n", 1)[1]
                self.n += 1
                c.sendall(self.answer(self.n))

    def close(self):
        self.s.shutdown(socket.SHUT_RDWR)  # to close it alone does not wake who waits in accept()
        self.s.close()


def load(server, *args):
    """Exit code and the figures of the last line."""
    rc, out = sh([os.path.join(BUILD, "tools/sluice-load"), "-m", *args,
                  "http://127.0.0.1:%d/" % server.s.getsockname()[1]], ok=False)
    server.close()
    return rc, {k: float(v) for k, v in re.findall(r"(\w+)=([\d.]+)", out)}


def test_open_loop(net):
    """A server that is away for a second is seen by every request that was due meanwhile, not only by the one
    that it kept; and each that is due is sent."""
    def answer(n):
        if n == 40:
            time.sleep(1)  # the outage itself
        return ANSWER

    rc, r = load(Server(answer), "-c", "1", "-r", "200", "-d", "2")
    check(rc == 0 and r["requests"] == 400 and r["errors"] == 0, str(r))
    # 200 of 400 were due in that second, evenly
    check(r["p90_us"] > 400000 and r["p99_us"] > 800000 and r["max_us"] >= 950000, str(r))


def test_closed_loop(net):
    """The same without a rate: only the request that the server kept has waited."""
    def answer(n):
        time.sleep(1 if n == 5 else 0.001)
        return ANSWER

    rc, r = load(Server(answer), "-c", "1", "-d", "2")
    check(rc == 0 and r["requests"] > 6 and r["errors"] == 0, str(r))
    check(r["max_us"] >= 950000 and r["p50_us"] < 200000, str(r))


def test_overload(net):
    """What was due and could not be sent is no success: it counts as unfinished."""
    def answer(n):
        time.sleep(0.1)
        return ANSWER

    rc, r = load(Server(answer), "-c", "1", "-r", "200", "-d", "1")
    check(rc != 0 and r["requests"] <= 31 and r["requests"] + r["unfinished"] == 200, str((rc, r)))


def test_unsent(net):
    """The same where every request that was sent has its answer: what was never sent fails the run by itself. The
    server answers well within the wait of the loop, so that the end falls behind an answer and before a request."""
    def answer(n):
        time.sleep(0.005)
        return ANSWER

    rc, r = load(Server(answer), "-c", "1", "-r", "2000", "-d", "1")
    check(rc != 0 and r["requests"] <= 610 and r["requests"] + r["unfinished"] == 2000, str((rc, r)))


def test_ended(net):
    """A signal ends it as its time would: what was due is answered, and nothing more is asked."""
    server = Server(lambda n: ANSWER)
    p = subprocess.Popen([os.path.join(BUILD, "tools/sluice-load"), "-m", "-c", "4", "-r", "200", "-d", "600",
                          "http://127.0.0.1:%d/" % server.s.getsockname()[1]], stdout=subprocess.PIPE)
    try:
        wait_for("requests", lambda: server.n >= 50)
        p.send_signal(signal.SIGINT)
        out = p.communicate(timeout=10)[0].decode()
    finally:
        p.kill()
        server.close()
    r = {k: float(v) for k, v in re.findall(r"(\w+)=([\d.]+)", out)}
    check(p.returncode == 0 and r["requests"] == server.n and r["errors"] == r["unfinished"] == 0, out)


def test_errors(net):
    """Another status, a body that ends early."""
    rc, r = load(Server(lambda n: ANSWER.replace(b"200 OK", b"503 No") if n % 2 else ANSWER), "-c", "1", "-r", "50", "-d", "1")
    check(rc != 0 and r["status"] == 25 and r["requests"] == 25, str(r))
    rc, r = load(Server(lambda n: ANSWER), "-c", "1", "-r", "50", "-d", "1", "-e", "3")
    check(rc != 0 and r["short"] == 50 and r["requests"] == 0, str(r))


for case in (test_open_loop, test_closed_loop, test_overload, test_unsent, test_ended, test_errors):
    case.net = None
