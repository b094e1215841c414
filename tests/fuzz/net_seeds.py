#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the inputs of fuzz_net that were made by hand into a directory: tests/fuzz/net_seeds.py DIRECTORY

What takes several steps in their order: handshakes by each port, what a card cuts, a closed connection's
port taken again, a table that grows, a flow whose hash becomes trusted.
"""
import os
import sys

NOBODY, CHAIN, TCP = range(3)
SHARED = 4 | 7 << 3  # a TAP, all addresses are the kernel's too
V6, WORKER1 = 4, 8
FIN, RST = 8, 16


def connect(port, v6=0, worker=0):
    return bytes([164, worker, port | v6, 2])


def frame(kind, how=0, where=0, again=None):
    return bytes([kind, how, where | (128 if again is not None else 0), 0] + ([again] if again is not None else []))


def syn(port, v6=0, again=None):
    return frame(6, 2 | (1 if v6 else 0), port, again)


def answer(how=0, more=0, data=None):
    return bytes([135, how | (1 if data else 0), more] + ([data] if data else []) + [0])


def call(what, conn=0):
    return bytes([164, what, conn])


def send(n, conn=0):
    return call(6, n // 64 // 8 * 8 + conn)


def chain(what, arg, *more):
    return bytes([180, what, arg, *more])


SHUT, CLOSE, ABORT = 3, 4, 5
WAIT = bytes([236, 30])  # 3 s

seeds = {}
for name, port, v6 in (("plain", 0, 0), ("plain6", 0, V6), ("vlan", 1, 0), ("card", 2, 0), ("card6", 2, V6)):
    for worker in (0, WORKER1):
        opened = connect(port, v6, worker) + answer() + send(15872) + answer() + answer() + send(8192)
        seeds["open-%s-%d" % (name, worker // 8)] = bytes([TCP, 0]) + opened + answer() + call(CLOSE) + \
            answer() + answer(FIN) + WAIT + connect(port, v6, worker) + answer(RST)
    seeds["listen-" + name] = bytes([TCP, 0]) + syn(port, v6) + answer(data=200) + answer(data=100) + \
        send(15872) + answer() + answer(FIN) + call(SHUT) + answer() + answer()
seeds["ask-for-neighbour"] = bytes([TCP, 0]) + connect(0, 0, WORKER1) + frame(0, 1) + answer() + send(4096) + answer()
seeds["abort"] = bytes([TCP, 0]) + frame(0) + syn(0) + answer(data=10) + call(ABORT)
# a range of three ports: taken by connections, then by TIME_WAIT
few = bytes([TCP, 1]) + frame(0)
seeds["no-port-left"] = few + bytes([164, 0x10, 2, 2, 2, 2, 2, 2, 2, 2])
seeds["port-again"] = few + (connect(2) + answer() + call(CLOSE) + answer() + answer(FIN)) * 3 + WAIT + connect(2) * 3
seeds["table-grows"] = bytes([TCP, 0]) + frame(0) + syn(0, again=47) * 3 + syn(2, again=47) * 3 + WAIT * 3
seeds["cookies"] = bytes([TCP, 4]) + frame(0) + syn(0, again=20) + answer(data=50)
for bad in (0, 0x10):
    seeds["hash-trusted-%x" % bad] = bytes([0x40 | NOBODY, bad]) + syn(2, again=8) + syn(2, V6, again=8)
seeds["card-says"] = b"".join([bytes([NOBODY, 0])] + [bytes([208, 7, say]) + frame(6, 8, 2) + syn(2)
                                                     for say in range(0, 128, 5)])
seeds["chains"] = bytes([CHAIN, 0]) + frame(0) + syn(0, again=9) * 4 + b"".join(
    chain(what, arg, 10) for arg in (1, 3, 77, 255) for what in (4, 0x44, 0x24, 0, 0x20, 0x10, 2, 3, 7, 6, 1))
seeds["kernel"] = bytes([SHARED | NOBODY, 0]) + b"".join(frame(7, how | 2, where) for how in (0, 64, 128, 192)
                                                        for where in (0, 32, 64)) + frame(8) + syn(0)
seeds["kernel-full"] = bytes([0x80 | SHARED | NOBODY, 0]) + frame(7, 128, again=60) * 8 + bytes([196, 1, 255] * 3)
seeds["tcp-for-kernel"] = bytes([SHARED | TCP, 0]) + frame(7, 128) + frame(7, 129) + bytes([6, 0, 0, 1, 37, 81])
seeds["links"] = b"".join([bytes([TCP, 0])] + [
    bytes([208, what | port << 4, 0]) + connect(port) + bytes([208, 3 | port << 4, 40, 196, 1, 8, 208, what | port << 4, 1])
    for what in (0, 1) for port in range(3)])
seeds["full"] = bytes([NOBODY, 0]) + frame(0) + bytes([208, 3, 255])
BUSY = bytes([208, 12])
for n in (1, 4):  # devices take n - 1 frames of each burst
    seeds["busy-%d" % n] = bytes([SHARED | TCP, 0]) + frame(0) + connect(2) + answer() + BUSY + bytes([n]) + send(15872) + \
        bytes([196, 1, 40, 208, 3, 255, 208, 3, 60]) + answer() + bytes([208, 1 | 2 << 4, 0, 208, 3, 255]) + BUSY + b"\0"

if __name__ == "__main__":
    for name, data in seeds.items():
        with open(os.path.join(sys.argv[1], "hand-" + name), "wb") as f:
            f.write(data)
