#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A server that reads slowly, for test_host.py: PUT is answered by the SHA-256 of what came.

    slow_sink.py ADDRESS PORT BYTES_PER_SECOND
"""
import hashlib
import http.server
import socket
import socketserver
import sys
import time

RATE = int(sys.argv[3])


class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        left, got, begin = int(self.headers["Content-Length"]), 0, time.monotonic()
        digest = hashlib.sha256()
        while left > 0:
            data = self.rfile.read(min(left, 65536))
            if not data:
                return
            digest.update(data)
            left -= len(data)
            got += len(data)
            time.sleep(max(0.0, begin + got / RATE - time.monotonic()))
        self.answer(digest.hexdigest())

    def do_GET(self):
        self.answer("sink\n")

    def do_OPTIONS(self):  # what a check asks
        self.answer("")

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        """Says nothing."""


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def server_bind(self):
        # what the kernel holds for a slow reader is not to hide that it is slow
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
        super().server_bind()


Server((sys.argv[1], int(sys.argv[2])), Sink).serve_forever()
