# SPDX-License-Identifier: BSD-3-Clause
"""Reads what "sluicectl capture" writes, strictly: a block that is not well formed is an error."""
import ipaddress
import struct


class Packet:
    """One frame: interface, in or out, comment as a dictionary, and what its headers say."""

    def __init__(self, interface, when, data, wire, out, comment):
        self.interface, self.when, self.data, self.wire, self.out = interface, when, data, wire, out
        self.mark = dict(w.split("=", 1) for w in comment.split())
        self.src = self.dst = self.flags = self.payload = None
        kind = struct.unpack(">H", data[12:14])[0] if len(data) >= 14 else 0
        if kind == 0x0800 and len(data) >= 54 and data[23] == 6:
            at, end = 14 + (data[14] & 15) * 4, 14 + struct.unpack(">H", data[16:18])[0]
            src, dst = data[26:30], data[30:34]
        elif kind == 0x86dd and len(data) >= 74 and data[20] == 6:
            at, end = 54, 54 + struct.unpack(">H", data[18:20])[0]
            src, dst = data[22:38], data[38:54]
        else:
            return
        ports = struct.unpack(">HH", data[at:at + 4])
        self.src, self.dst = [("[%s]:%d" if len(a) == 16 else "%s:%d") % (ipaddress.ip_address(a), p)
                              for a, p in zip((src, dst), ports)]
        self.seq = struct.unpack(">I", data[at + 4:at + 8])[0]
        self.flags = data[at + 13]
        self.payload = data[at + (data[at + 12] >> 4) * 4:end]


def options(body, at):
    while True:
        code, size = struct.unpack("<HH", body[at:at + 4])
        if code == 0:
            assert size == 0 and at + 4 == len(body), "options do not end with the block"
            return
        yield code, body[at + 4:at + 4 + size]
        at += 4 + (size + 3) // 4 * 4


class Capture:
    def __init__(self, path):
        self.interfaces, self.packets, self.stats = [], [], {}
        with open(path, "rb") as f:
            raw = f.read()
        at, first = 0, True
        while at < len(raw):
            kind, size = struct.unpack("<II", raw[at:at + 8])
            assert size % 4 == 0 and size >= 12 and at + size <= len(raw), "a block of %d bytes" % size
            assert struct.unpack("<I", raw[at + size - 4:at + size])[0] == size, "the lengths differ"
            assert (kind == 0x0a0d0d0a) == first, "sections"
            self.block(kind, raw[at + 8:at + size - 4])
            first, at = False, at + size

    def block(self, kind, body):
        if kind == 0x0a0d0d0a:
            assert struct.unpack("<IHH", body[:8]) == (0x1a2b3c4d, 1, 0)
            list(options(body, 16))
        elif kind == 1:
            assert struct.unpack("<H", body[:2])[0] == 1, "the link type"
            self.interfaces.append(dict(options(body, 8))[2].decode())
        elif kind == 6:
            n, high, low, kept, wire = struct.unpack("<5I", body[:20])
            o = dict(options(body, 20 + (kept + 3) // 4 * 4))
            self.packets.append(Packet(self.interfaces[n], (high << 32 | low) / 1e6, body[20:20 + kept],
                                       wire, struct.unpack("<I", o[2])[0] == 2, o[1].decode()))
        elif kind == 5:
            o = dict(options(body, 12))
            self.stats[self.interfaces[struct.unpack("<I", body[:4])[0]]] = {
                name: struct.unpack("<Q", o[code])[0]
                for name, code in (("seen", 4), ("matched", 6), ("lost", 7), ("delivered", 8))}
        else:
            raise AssertionError("block type %#x" % kind)

    def sum(self, name):
        return sum(s[name] for s in self.stats.values())

    def leg(self, leg, **want):
        want["leg"] = leg
        return [p for p in self.packets if all(p.mark.get(k) == v for k, v in want.items())]


def stream(packets, out):
    """The bytes of one direction of a connection, put together by their numbers."""
    mine = [p for p in packets if p.out == out]
    syn = [p.seq + 1 for p in mine if p.flags & 2]
    start = syn[0] if syn else min(p.seq for p in mine)
    got = {(p.seq - start) & 0xffffffff: p.payload for p in mine if p.payload}
    text = b""
    for at in sorted(got):
        text = text[:at] + got[at]
    return text
