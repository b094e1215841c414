#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Requests from stdin as JSON [[port, text], ...], each on a connection of its own; the answers to
stdout as a list of texts. Bytes are latin-1 in both directions.

One after the other, as some rows build on what others left; but one that takes long (it waits for what
does not come) is not waited for, and those of mode tcp, which are for themselves, go side by side."""
import json
import socket
import sys
import threading
import time

PATIENCE = 1.0  # seconds until the next one begins
ALONE = 0.02    # behind one of mode tcp
HTTP = 80


def exchange(port, text, out, i):
    end = time.monotonic() + 15
    answer = b""
    while True:
        try:
            s = socket.create_connection((sys.argv[1], port), timeout=6)
            break
        except OSError:
            if time.monotonic() > end:
                return
            time.sleep(0.05)
    with s:
        try:
            s.sendall(text.encode("latin-1"))
            while True:
                b = s.recv(65536)
                if not b:
                    break
                answer += b
        except ConnectionError:
            answer += b"<reset>"
        except TimeoutError:
            answer += b"<timeout>"
    out[i] = answer.decode("latin-1")


requests = json.load(sys.stdin)
answers = ["<no connection>"] * len(requests)
threads = []
for at, (to, what) in enumerate(requests):
    threads.append(threading.Thread(target=exchange, args=(to, what, answers, at)))
    threads[-1].start()
    threads[-1].join(PATIENCE if to == HTTP else ALONE)
for thread in threads:
    thread.join()
json.dump(answers, sys.stdout)
