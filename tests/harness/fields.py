#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Frames whose fields are anything: fields.py PROTOCOL IFACE MAC VIP4 VIP6 COUNT [SEED]

scapy's fuzz() makes MADE frames of the protocol; they are sent to MAC from a packet socket on IFACE, round
and round, from the second round on with one more 16-bit word changed each and the checksums that cover it
repaired (RFC 1624), for scapy itself makes a few thousand a second. Prints how many were sent.
Protocols are the functions make_* below.
"""
import random
import socket
import struct
import sys
import time

from scapy.all import (ARP, ICMP, IP, TCP, UDP, Ether, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
                       ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, IPv6,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                       IPv6ExtHdrRouting, Raw, fuzz)

MADE = 4000
THEM4, THEM6 = "10.61.1.1", "fd61:1::1"


def make_arp(r, vip4, vip6):
    if r.random() < 0.2:
        return fuzz(ARP())
    return fuzz(ARP(hwtype=1, ptype=0x800, hwlen=6, plen=4, op=r.choice((1, 2)),
                    psrc="10.61.1.%d" % r.randrange(2, 9), pdst=r.choice((vip4, THEM4))))


def make_ip4(r, vip4, vip6):
    kw = {} if r.random() < 0.3 else {"version": 4, "ihl": None, "len": None, "frag": 0, "flags": 0}
    return fuzz(IP(src=THEM4, dst=vip4, **kw)) / Raw(r.randbytes(r.randrange(60)))


def make_icmp4(r, vip4, vip6):
    quoted = IP(src=vip4, dst=THEM4) / TCP(sport=80, dport=r.randrange(65536), seq=r.getrandbits(32))
    kw = {} if r.random() < 0.3 else {"type": r.choice((3, 8, 11, 12))}
    return IP(src=THEM4, dst=vip4) / fuzz(ICMP(**kw)) / Raw(bytes(quoted)[:r.randrange(41)])


def make_udp(r, vip4, vip6):
    return IP(src=THEM4, dst=vip4) / fuzz(UDP()) / Raw(r.randbytes(r.randrange(60)))


def make_tcp(r, vip4, vip6):
    ip = IP(src=THEM4, dst=vip4) if r.random() < 0.6 else IPv6(src=THEM6, dst=vip6)
    kw = {} if r.random() < 0.2 else {"dport": 80, "dataofs": None}
    return ip / fuzz(TCP(**kw)) / Raw(r.randbytes(r.randrange(60)))


def make_ip6(r, vip4, vip6):
    kw = {} if r.random() < 0.2 else {"version": 6, "plen": None}
    p = fuzz(IPv6(src=THEM6, dst=vip6, **kw)) if r.random() < 0.5 else IPv6(src=THEM6, dst=vip6)
    for _ in range(r.randrange(5)):
        p = p / fuzz(r.choice((IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
                               IPv6ExtHdrFragment))())
    return p / r.choice((TCP(dport=80), UDP(), ICMPv6EchoRequest(), Raw(r.randbytes(20))))


def make_nd(r, vip4, vip6):
    kind = r.choice((ICMPv6ND_NS, ICMPv6ND_NA, ICMPv6PacketTooBig, ICMPv6EchoRequest))
    kw = {} if r.random() < 0.2 else {"type": kind().type, "code": 0}
    if kind in (ICMPv6ND_NS, ICMPv6ND_NA) and r.random() < 0.7:
        kw["tgt"] = r.choice((vip6, THEM6))
    p = IPv6(src=THEM6, dst=vip6, hlim=255 if r.random() < 0.9 else 64) / fuzz(kind(**kw))
    for _ in range(r.randrange(3)):
        kw = {} if r.random() < 0.3 else {"len": 1}
        p = p / fuzz(r.choice((ICMPv6NDOptSrcLLAddr, ICMPv6NDOptDstLLAddr))(**kw))
    return p


def sums(f):
    """(offset of the upper layer, of its checksum or 0)."""
    if f[12:14] == b"\x08\x00" and len(f) >= 34:
        at, proto = 14 + (f[14] & 15) * 4, f[23]
    elif f[12:14] == b"\x86\xdd" and len(f) >= 54:
        at, proto = 54, f[20]
    else:
        return len(f), 0
    off = at + {1: 2, 58: 2, 6: 16, 17: 6}.get(proto, -at)
    return at, off if at < off <= len(f) - 2 else 0


def repair(f, off, delta):
    s = (~(f[off] << 8 | f[off + 1]) & 0xffff) + delta
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    struct.pack_into("!H", f, off, ~s & 0xffff)


def change(r, frame):
    f = bytearray(frame)
    off = 14 + 2 * r.randrange((len(f) - 14) // 2)
    at, l4 = sums(f)
    if off == l4:
        return f
    old = f[off] << 8 | f[off + 1]
    new = r.choice((r.getrandbits(16), 0, 0xffff, old ^ (1 << r.randrange(16))))
    struct.pack_into("!H", f, off, new)
    delta = new + (~old & 0xffff)
    v4 = f[12] == 8 and f[13] == 0
    if v4 and off < at and off != 24 and len(f) >= 34:
        repair(f, 24, delta)
    if l4 and (off >= at or (off >= 26 if v4 and f[23] != 1 else off >= 22 and not v4)):
        repair(f, l4, delta)
    return f


def main():
    proto, iface, mac, vip4, vip6, count = sys.argv[1:7]
    seed, count = int(sys.argv[7]) if len(sys.argv) > 7 else 1, int(count)
    r = random.Random(seed)
    random.seed(seed)  # scapy's
    make = globals()["make_" + proto]
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((iface, 0))
    own = s.getsockname()[4].hex(":")
    frames = []
    while len(frames) < min(MADE, count):
        f = bytes(Ether(src=own, dst=mac) / make(r, vip4, vip6))
        if len(f) <= 1514:
            frames.append(f)
    sent = 0
    while sent < count:
        f = frames[sent % len(frames)]
        try:
            s.send(f if sent < len(frames) else change(r, f))
            sent += 1
        except OSError:
            time.sleep(0.001)
    print("sent %d" % sent)


if __name__ == "__main__":
    main()
