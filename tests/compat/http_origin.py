#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The server behind both proxies in the differential test (http_answers.py).

    http_origin.py PORT

The path of a request is /KEY/ANSWER: ANSWER names what is sent back, KEY the case. What came in is
kept by key, as it came; the path /dump gives all of it as JSON and forgets it.
"""
import json
import socket
import struct
import sys
import threading
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PAUSE = object()  # between two pieces: they shall arrive apart
FIN = object()    # ends the connection
RST = object()

ANSWERS = {
    b"ok": [OK],
    b"empty": [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    b"created": [b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nLocation: /x\r\n\r\nok"],
    b"noreason": [b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"],
    b"reason": [b"HTTP/1.1 200 Quite Fine\r\nContent-Length: 2\r\n\r\nok"],
    b"fields": [b"HTTP/1.1 200 OK\r\nServer: o\r\nX-A:  b  \r\nx-a: c\r\nX-Empty:\r\n"
                b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"],
    b"pieces": [OK[:9], PAUSE, OK[9:25], PAUSE, OK[25:-1], PAUSE, OK[-1:]],
    b"close": [b"HTTP/1.1 200 OK\r\n\r\nuntil the end", FIN],
    b"close-pieces": [b"HTTP/1.1 200 OK\r\n\r\nuntil", PAUSE, b" the end", PAUSE, FIN],
    b"conn-close": [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", FIN],
    b"conn-keep": [b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
                   b"Content-Length: 2\r\n\r\nok"],
    b"conn-named": [b"HTTP/1.1 200 OK\r\nConnection: x-hop, keep-alive\r\nX-Hop: 1\r\n"
                    b"Content-Length: 2\r\n\r\nok"],
    b"conn-empty": [b"HTTP/1.1 200 OK\r\nConnection:\r\nContent-Length: 2\r\n\r\nok"],
    b"http10": [b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", FIN],
    b"http10-keep": [b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"],
    b"http10-close": [b"HTTP/1.0 200 OK\r\n\r\nuntil the end", FIN],
    b"chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    b"chunked-many": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n", PAUSE,
                      b"1\r", PAUSE, b"\nk\r\n00", PAUSE, b"\r\n\r", PAUSE, b"\n"],
    b"chunked-ext": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n"
                     b"0;c\r\n\r\n"],
    b"chunked-trailers": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n"
                          b"2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"],
    b"chunked-bad": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n"],
    b"chunked-cut": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", PAUSE, FIN],
    b"length-cut": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", PAUSE, FIN],
    b"204": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    b"204-length": [b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n"],
    b"204-chunked": [b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"],
    b"304": [b"HTTP/1.1 304 Not Modified\r\nEtag: x\r\n\r\n"],
    b"304-length": [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nEtag: x\r\n\r\n"],
    b"head": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"],
    b"head-chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
    b"100": [b"HTTP/1.1 100 Continue\r\n\r\n" + OK],
    b"103": [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", PAUSE, OK],
    b"103-length": [b"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n" + OK],
    b"103-304": [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n"],
    b"102-thirty": [b"HTTP/1.1 102 Processing\r\n\r\n" * 30 + OK],
    b"100-twice": [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK],
    b"404": [b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"],
    b"500": [b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"],
    b"503": [b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy"],
    b"redirect": [b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"],
    b"garbage": [b"this is not HTTP\r\n\r\n", FIN],
    b"silent-end": [FIN],
    b"reset": [RST],
    b"whole-reset": [OK, RST],
    b"chunked-reset": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", RST],
    b"half-head": [b"HTTP/1.1 200 OK\r\nContent-Le", PAUSE, FIN],
    b"bare-lf": [b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"],
    b"two-lengths": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"],
    b"same-lengths": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"],
    b"length-bad": [b"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok", FIN],
    b"length-neg": [b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", FIN],
    b"te-cl": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"2\r\nok\r\n0\r\n\r\n"],
    b"te-gzip": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", FIN],
    b"fold": [b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok"],
    b"space-colon": [b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 2\r\n\r\nok"],
    b"version-2": [b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"],
    b"version-12": [b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok"],
    b"status-99": [b"HTTP/1.1 99 Odd\r\nContent-Length: 2\r\n\r\nok", FIN],
    b"status-600": [b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nok"],
    b"status-4": [b"HTTP/1.1 2000 Odd\r\nContent-Length: 2\r\n\r\nok", FIN],
    b"huge-head": [b"HTTP/1.1 200 OK\r\nX-Big: " + b"b" * 40000 + b"\r\nContent-Length: 2\r\n\r\nok"],
    b"big-head": [b"HTTP/1.1 200 OK\r\nX-Big: " + b"b" * 12000 + b"\r\nContent-Length: 2\r\n\r\nok"],
    b"body-64k": [b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + b"0123456789abcdef" * 4096],
    b"101": [b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
             "echo"],
    b"extra": [OK + b"unasked"],
    b"never": [],
    b"stall": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"],
    b"early": ["early", b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"],
    b"early-close": ["early", b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n"
                     b"\r\nbig", FIN],
}

lock = threading.Lock()
seen = {}


class Gone(Exception):
    """The proxy has ended its connection."""


class Peer:
    """One connection: its bytes, and how many of them were used."""

    def __init__(self, sock):
        self.sock = sock
        self.buf = b""

    def more(self):
        d = self.sock.recv(65536)
        if not d:
            raise Gone
        self.buf += d

    def line(self, at):
        while b"\n" not in self.buf[at:]:
            self.more()
        return self.buf.index(b"\n", at) + 1

    def head(self):
        at = 0
        while True:
            end = self.line(at)
            if self.buf[at:end].strip() == b"":
                return end
            at = end

    def body(self, at):
        """The end of the body that begins at `at`."""
        head = self.buf[:at].lower()
        if b"\ntransfer-encoding:" in head:
            while True:
                end = self.line(at)
                n = int(self.buf[at:end].split(b";")[0], 16)
                at = end
                if n == 0:
                    break
                while len(self.buf) < at + n + 2:
                    self.more()
                at += n + 2
            while True:
                end = self.line(at)
                if self.buf[at:end].strip() == b"":
                    return end
                at = end
        if b"\ncontent-length:" in head:
            n = int(head.split(b"\ncontent-length:")[1].split(b"\n")[0])
            while len(self.buf) < at + n:
                self.more()
            return at + n
        return at


def note(key, data):
    with lock:
        seen.setdefault(key, []).append(data.decode("latin-1"))


def echo(p):
    p.sock.sendall(b"hello" + p.buf.upper())  # what came with the head, if it did
    while True:
        p.buf = b""
        try:
            p.more()
        except Gone:
            p.sock.sendall(b"bye")
            return
        p.sock.sendall(p.buf.upper())


def act(p, steps):
    """Sends an answer; False: the connection is over."""
    for x in steps:
        if x is PAUSE:
            time.sleep(0.05)
        elif x is FIN:
            return False
        elif x is RST:
            p.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        elif x == "echo":
            echo(p)
            return False
        elif x != "early":
            p.sock.sendall(x)
    return True


def serve(sock):
    p = Peer(sock)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while True:
            end = p.head()
            path = p.buf.split(b"\n")[0].split(b" ")[1].split(b"?")[0].split(b"/")
            if path[1] == b"dump":
                with lock:
                    text = json.dumps(seen).encode()
                    seen.clear()
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
                return
            steps = ANSWERS.get(path[2] if len(path) > 2 else b"", [OK])
            if b"\nexpect:" in p.buf[:end].lower() and steps[:1] != ["early"]:
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if steps[:1] != ["early"]:
                end = p.body(end)
            note(path[1].decode(), p.buf[:end])
            p.buf = p.buf[end:]
            if not act(p, steps):
                return
            if steps[:1] == ["early"]:
                p.buf = b""
                while True:
                    p.more()
    except (Gone, OSError, ValueError, IndexError):
        pass
    finally:
        sock.close()


def main():
    s = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, backlog=1024,
                             dualstack_ipv6=True)
    while True:
        c, _ = s.accept()
        threading.Thread(target=serve, args=(c,), daemon=True).start()


if __name__ == "__main__":
    main()
