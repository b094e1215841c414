#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""An HTTP server whose answer is the request as it came: its line, its fields in their order with
names in lower case, its body. Some request fields ask for things: x-status, x-body.
On the next port: bytes as they come."""
import http.server
import socketserver
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        n = int(self.headers.get("content-length", 0))
        body = self.rfile.read(n)
        skip = ("connection",)
        lines = [self.requestline] + ["%s: %s" % (k.lower(), v) for k, v in self.headers.items()
                                      if k.lower() not in skip]
        text = "\n".join(lines).encode("latin-1") + b"\n\n" + body
        self.send_response(int(self.headers.get("x-status", 200)))
        self.send_header("content-length", str(len(text)))
        self.send_header("x-srv", "one")
        self.send_header("x-srv", "two, three")
        self.send_header("set-cookie", "k=v; path=/")
        self.end_headers()
        self.wfile.write(text)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Bytes(socketserver.BaseRequestHandler):
    """What comes goes back; the end too, when it is quiet for a moment."""

    def handle(self):
        self.request.settimeout(1)
        try:
            while True:
                b = self.request.recv(65536)
                if not b:
                    break
                self.request.sendall(b)
        except OSError:
            pass


class BytesServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


raw = BytesServer((sys.argv[1], int(sys.argv[2]) + 1), Bytes)
threading.Thread(target=raw.serve_forever, daemon=True).start()
Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
