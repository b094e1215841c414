#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Requests from stdin as JSON [[port, text], ...], each on a connection of its own; the answers to
stdout as a list of texts. Bytes are latin-1 in both directions."""
import json
import socket
import sys
import time

out = []
for port, text in json.load(sys.stdin):
    end = time.monotonic() + 15
    answer = b""
    while True:
        try:
            s = socket.create_connection((sys.argv[1], port), timeout=15)
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
    with s:
        s.sendall(text.encode("latin-1"))
        try:
            while True:
                b = s.recv(65536)
                if not b:
                    break
                answer += b
        except ConnectionResetError:
            answer += b"<reset>"
        except TimeoutError:
            answer += b"<timeout>"
    out.append(answer.decode("latin-1"))
json.dump(out, sys.stdout)
