#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Raw frames of attacks, for the network tests:

    attack.py KIND IFACE MAC VIP4 VIP6 PORT SECONDS [RATE [FAMILY]]

Sends from a packet socket on IFACE to MAC, as fast as it can (RATE 0) or RATE frames per second, and prints
how many. FAMILY, 4 or 6, is that of TCP's segments. Sources: addresses that the kernel of this namespace does not have, so that it stays out
of it (10.61.1.66 and fd61:1::66 are attackers with connections; sluice knows their MAC by
'neighbour' lines). Kinds are the functions kind_* below.
"""
import ctypes
import random
import select
import signal
import socket
import struct
import sys
import time

ATTACKER4, ATTACKER6 = "10.61.1.66", "fd61:1::66"
CLIENT4, CLIENT6 = "10.61.1.1", "fd61:1::1"
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32


def csum(data, s=0):
    if len(data) & 1:
        data += b"\0"
    s += sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def packed(addr):
    return socket.inet_pton(socket.AF_INET6 if ":" in addr else socket.AF_INET, addr)


class Attack:
    def __init__(self, iface, mac, vip4, vip6, port, family=4):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.s.bind((iface, 0))
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self.own = self.s.getsockname()[4]
        self.mac = bytes.fromhex(mac.replace(":", ""))
        self.vip4, self.vip6, self.port = vip4, vip6, port
        self.v6 = family == 6
        self.attacker, self.client = (ATTACKER6, CLIENT6) if self.v6 else (ATTACKER4, CLIENT4)
        self.hear(packed(self.attacker))
        self.r = random.Random(1)
        self.sent = 0

    def hear(self, us):
        """From here on the socket sees frames to us alone, not all that wrk gets."""
        # the type of the frame, the last word of its destination (linux/filter.h)
        code = [(0x28, 0, 0, 12), (0x15, 0, 3, 0x86dd if self.v6 else 0x0800),
                (0x20, 0, 0, 50 if self.v6 else 30), (0x15, 0, 1, struct.unpack("!I", us[-4:])[0]),
                (0x06, 0, 0, 0xffff), (0x06, 0, 0, 0)]
        prog = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
        self.s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HP", len(code), ctypes.addressof(prog)))

    # ---- building ----

    def eth(self, kind, payload, dst=None):
        return (dst or self.mac) + self.own + struct.pack("!H", kind) + payload

    def ip4(self, proto, payload, src=ATTACKER4, dst=None, frag=0, ident=0, opts=b""):
        h = struct.pack("!BBHHHBBH4s4s", 0x45 + len(opts) // 4, 0, 20 + len(opts) + len(payload),
                        ident, frag, 64, proto, 0, socket.inet_aton(src),
                        socket.inet_aton(dst or self.vip4)) + opts
        return self.eth(0x0800, h[:10] + struct.pack("!H", csum(h)) + h[12:] + payload)

    def ip6(self, nxt, payload, src=ATTACKER6, dst=None, hops=64):
        return self.eth(0x86dd, struct.pack("!IHBB", 6 << 28, len(payload), nxt, hops) +
                        socket.inet_pton(socket.AF_INET6, src) +
                        socket.inet_pton(socket.AF_INET6, dst or self.vip6) + payload)

    def tcp(self, sport, seq, ack=0, flags=SYN, wnd=65535, opts=b"", data=b"", src=None,
            dport=None, dst=None, doff=None, urg=0):
        opts += b"\0" * (-len(opts) % 4)
        h = struct.pack("!HHIIBBHHH", sport, dport or self.port, seq & 0xffffffff,
                        ack & 0xffffffff, (5 + len(opts) // 4 if doff is None else doff) << 4, flags,
                        wnd, 0, urg) + opts + data
        src = src or self.attacker
        v6 = ":" in src
        dst = dst or (self.vip6 if v6 else self.vip4)
        # what is summed for IPv6 (two words of length and protocol) is the same for IPv4
        pseudo = packed(src) + packed(dst) + struct.pack("!II", len(h), 6)
        h = h[:16] + struct.pack("!H", csum(pseudo + h)) + h[18:]
        return self.ip6(6, h, src=src, dst=dst) if v6 else self.ip4(6, h, src=src, dst=dst)

    def icmp4(self, kind, code, rest, payload, src=ATTACKER4):
        h = struct.pack("!BBHI", kind, code, 0, rest) + payload
        return self.ip4(1, h[:2] + struct.pack("!H", csum(h)) + h[4:], src=src)

    def icmp6(self, kind, code, body, src=ATTACKER6, dst=None, hops=255):
        dst = dst or self.vip6
        h = struct.pack("!BBH", kind, code, 0) + body
        pseudo = (socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) +
                  struct.pack("!II", len(h), 58))
        return self.ip6(58, h[:2] + struct.pack("!H", csum(pseudo + h)) + h[4:], src=src, dst=dst,
                        hops=hops)

    # ---- sending ----

    def send(self, frame):
        try:
            self.s.send(frame)
            self.sent += 1
        except (BlockingIOError, OSError):
            time.sleep(0.001)

    def flood(self, frames, seconds, rate=0):
        """The frames round and round."""
        print("ready", flush=True)
        end, i, t0 = time.monotonic() + seconds, 0, time.monotonic()
        while time.monotonic() < end:
            for _ in range(64):
                self.send(frames[i])
                i = i + 1 if i + 1 < len(frames) else 0
            if rate and self.sent > (time.monotonic() - t0) * rate:
                time.sleep(64.0 / rate)

    def receive(self, sport, seconds):
        """Segments to that port of the attacker's, as they come: (flags, sequence number, bytes)."""
        # TCP's header behind 40 or 20 bytes of IP without options; protocol, destination, length
        l4, proto, to, size = (54, 20, 38, 18) if self.v6 else (34, 23, 30, 16)
        kind, us = b"\x86\xdd" if self.v6 else b"\x08\0", packed(self.attacker)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([self.s], [], [], 0.2)[0]:
                continue
            f = self.s.recv(2048)
            if (len(f) < l4 + 20 or f[12:14] != kind or f[proto] != 6 or f[to:to + len(us)] != us or
                    struct.unpack("!H", f[l4 + 2:l4 + 4])[0] != sport):
                continue
            n = struct.unpack("!H", f[size:size + 2])[0] - (0 if self.v6 else 20) - (f[l4 + 12] >> 4) * 4
            yield f[l4 + 13], struct.unpack("!I", f[l4 + 4:l4 + 8])[0], n

    def open(self, sport, mss=1460, opts=b"", wnd=65535):
        """A handshake by hand: (our next, theirs), or None."""
        isn = self.r.getrandbits(32)
        self.send(self.tcp(sport, isn, opts=(struct.pack("!BBH", 2, 4, mss) if mss is not None
                                            else b"") + opts, wnd=wnd))
        for flags, seq, _ in self.receive(sport, 2):
            if flags == SYN | ACK:
                self.send(self.tcp(sport, isn + 1, seq + 1, ACK, wnd=wnd))
                return isn + 1, seq + 1
        return None

    def shut(self, sport, data):
        """Says something, takes what one segment holds, and leaves the window closed."""
        c = self.open(sport, wnd=1460)
        if c is None:
            return
        self.send(self.tcp(sport, c[0], c[1], ACK | PSH, data=data, wnd=1460))
        for _, seq, n in self.receive(sport, 1):
            if n > 0:
                self.send(self.tcp(sport, c[0] + len(data), seq + n, ACK, wnd=0))

    # ---- kinds: each sends for that long ----

    def kind_syn(self, seconds, rate):
        """SYNs from everywhere."""
        net = "fd61:%x::%x" if self.v6 else "198.18.%d.%d"
        frames = [self.tcp(self.r.randrange(1024, 65536), self.r.getrandbits(32),
                           opts=b"\2\4\5\xb4\4\2\1\3\3\7", src=net % (
                               self.r.randrange(256) + 256 * self.v6, self.r.randrange(1, 255)))
                  for _ in range(20000)]
        self.flood(frames, seconds, rate)

    def kind_synlink(self, seconds, rate):
        """SYNs from neighbours that are not there: each answer has to ask who has that address."""
        v4 = ["10.61.1.%d" % i for i in range(100, 255)]
        v6 = ["fd61:1::%x:%x" % (self.r.randrange(1, 65536), self.r.randrange(65536)) for _ in range(20000)]
        frames = [self.tcp(self.r.randrange(1024, 65536), self.r.getrandbits(32), opts=b"\2\4\5\xb4",
                           src=v4[i // 2 % len(v4)] if i % 2 else v6[i // 2]) for i in range(40000)]
        self.flood(frames, seconds, rate)

    def blind(self, flags, seconds, rate, data=b""):
        frames = [self.tcp(p, self.r.getrandbits(32), self.r.getrandbits(32), flags,
                           src=self.client, data=data) for p in range(32768, 61000, 3)]
        self.flood(frames, seconds, rate)

    def kind_rst(self, seconds, rate):
        self.blind(RST, seconds, rate)

    def kind_blindsyn(self, seconds, rate):
        self.blind(SYN, seconds, rate)

    def kind_data(self, seconds, rate):
        self.blind(ACK | PSH, seconds, rate, b"x" * 100)

    def on_conn(self, seconds, rate, first, frames_of, n=8, **kw):
        """Connections by hand, from port `first` on, and what frames_of(sport, seq, ack) makes on each."""
        frames = []
        for i in range(n):
            sport = first + i
            c = self.open(sport, **kw)
            if c:
                new = frames_of(sport, *c)
                for f in new:  # at once: before long nobody listens any more
                    self.send(f)
                frames += new
        if not frames:
            sys.exit("no connection")
        self.flood(frames, seconds, rate)

    def kind_sack(self, seconds, rate):
        """Acknowledgements full of SACK blocks: inverted, beyond, overlapping, one byte each."""
        get = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"

        def frames(sport, seq, ack):
            f = [self.tcp(sport, seq, ack, ACK | PSH, data=get)]
            for i in range(200):
                b = b"".join(struct.pack("!II", (ack + k) & 0xffffffff, (ack + j) & 0xffffffff)
                             for k, j in ((9 * i + 1, 9 * i + 2), (i * 100, i), (1 << 31, 5),
                                          (i, i + 60000)))
                f.append(self.tcp(sport, seq + len(get), ack, ACK, opts=b"\1\1\5\x22" + b))
            return f
        self.on_conn(seconds, rate, 20000, frames, opts=b"\4\2")

    def kind_reverse(self, seconds, rate):
        """One byte in a segment, from the end to the beginning, which never comes."""
        self.on_conn(seconds, rate, 21000, lambda sport, seq, ack: [
            self.tcp(sport, seq + i, ack, ACK, data=b"x") for i in range(1500, 0, -1)], n=8)

    def kind_mss(self, seconds, rate):
        """The smallest segments that may be asked for, and what is no size at all."""
        get = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"
        for i, mss in enumerate((0, 1, 7, 8, 20, 47, 48, 64, 87, 88)):
            c = self.open(30000 + i, mss=mss)
            if c:
                self.send(self.tcp(30000 + i, c[0], c[1], ACK | PSH, data=get))
        print("ready", flush=True)
        time.sleep(seconds)

    def kind_window(self, seconds, rate):
        """A window that shrinks, closes, opens for a byte, and closes; and one that stays closed."""
        get = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"
        self.shut(23000, get)

        def frames(sport, seq, ack):
            f = [self.tcp(sport, seq, ack, ACK | PSH, data=get, wnd=2000)]
            return f + [self.tcp(sport, seq + len(get), ack + w % 3, ACK, wnd=w)
                        for w in (1500, 1000, 500, 1, 0, 1, 0, 3, 0, 65535, 0)]
        self.on_conn(seconds, rate, 22000, frames)

    def kind_land(self, seconds, rate):
        """From ourselves to ourselves; from groups, from nowhere, from port 0."""
        f = [self.tcp(self.port, 1, src=self.vip4)]
        for src in ("127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "10.61.1.255"):
            f.append(self.tcp(4000, 1, src=src))
        f.append(self.tcp(0, 1))
        f.append(self.tcp(self.port, 1, src=self.vip6))
        self.flood(f, seconds, rate)

    def kind_options(self, seconds, rate):
        """Every kind with every length, in 40 bytes, the others anything or nothing; header lengths that are none."""
        f = []
        for kind in list(range(10)) + [19, 29, 30, 34, 69, 253, 255]:
            for n in (0, 1, 2, 3, 4, 5, 9, 10, 11, 18, 26, 34, 40, 41, 255):
                for rest in (bytes(self.r.randrange(256) for _ in range(38)), b"\1" * 38):
                    o = bytes([kind, n]) + rest
                    f.append(self.tcp(5000 + kind, 1, opts=o))
                    f.append(self.tcp(5000 + kind, 1, 1, ACK, opts=o))
        for doff in range(16):
            f.append(self.tcp(6000, 1, doff=doff))
        for flags in range(256):  # null, xmas and all others
            f.append(self.tcp(7000, 1, 1, flags, urg=flags))
        self.flood(f, seconds, rate)

    def kind_fragments(self, seconds, rate):
        """Fragments: overlapping, tiny, beyond 64 KB."""
        f = []
        whole = self.tcp(8000, 1, data=b"x" * 100)[34:]
        for off in (0, 1, 2, 8189, 3):
            for more in (0, 0x2000):
                f.append(self.ip4(6, whole[off * 8 % 64:][:48], frag=more | off, ident=7))
        self.flood(f, seconds, rate)

    def kind_fragments6(self, seconds, rate):
        """The same of IPv6, with and without a first one; chains of headers, and a route that is to be followed."""
        f = []
        for off in (0, 8, 16, 0xfff8):
            for more in (0, 1):
                if off | more:
                    f.append(self.ip6(44, struct.pack("!BBHI", 6, 0, off | more, 9) + bytes(40)))
        f.append(self.ip6(44, struct.pack("!BBHI", 44, 0, 0, 9) * 6 + bytes(20)))
        f.append(self.ip6(0, b"\x3c\0\1\4\0\0\0\0" + b"\x3c\0\1\4\0\0\0\0" * 8 + bytes(20)))
        f.append(self.ip6(43, b"\6\0\0\1\0\0\0\0" + bytes(20)))
        self.flood(f, seconds, rate)

    def kind_icmp(self, seconds, rate):
        """Frag-needed with every MTU, unreachables, quoting connections by guess."""
        f = []
        for p in range(32768, 61000, 7):
            q = self.tcp(self.port, self.r.getrandbits(32), src=self.vip4, dst=CLIENT4,
                         dport=p)[14:42]
            f.append(self.icmp4(3, 4, self.r.choice((0, 1, 68, 296, 576, 1280)), q))
            f.append(self.icmp4(3, self.r.randrange(16), 0, q))
            f.append(self.icmp4(self.r.choice((4, 5, 11, 12, 13, 17)), 0, 0, q))
            q = self.tcp(self.port, self.r.getrandbits(32), src=self.vip6, dst=CLIENT6,
                         dport=p)[14:62]
            f.append(self.icmp6(2, 0, struct.pack("!I", self.r.choice((0, 68, 1279, 1280))) + q))
            f.append(self.icmp6(1, self.r.randrange(8), bytes(4) + q))
        f.append(self.icmp6(134, 0, bytes(40)))
        f.append(self.icmp6(137, 0, bytes(40)))
        self.flood(f, seconds, rate)

    def kind_arp(self, seconds, rate):
        """Requests and replies of hosts that are not there, and for the ones that are."""
        f = []
        for i in range(6000):
            sip = bytes([10, 61, self.r.choice((0, 1, 3, 4, 5, 6, 7)), self.r.randrange(2, 255)])
            if sip[2] == 1 and sip[3] in (10, 66):
                continue
            mac = b"\x02\x66" + bytes(self.r.randrange(256) for _ in range(4))
            f.append(self.eth(0x0806, struct.pack("!HHBBH", 1, 0x800, 6, 4, 1 + i % 2) + mac + sip +
                              bytes(6) + socket.inet_aton(self.vip4)))
        self.flood(f, seconds, rate)

    def kind_nd(self, seconds, rate):
        f = []
        for i in range(3000):
            src = "fd61:1::%x:%x" % (self.r.randrange(1, 65536), self.r.randrange(65536))
            lla = b"\x02\x66" + bytes(self.r.randrange(256) for _ in range(4))
            v = socket.inet_pton(socket.AF_INET6, self.vip6 if i % 2 == 0 else src)
            f.append(self.icmp6(135 + i % 2, 0, bytes([0x60 * (i % 2), 0, 0, 0]) + v +
                                bytes([1 + i % 2, 1]) + lla, src=src))
        self.flood(f, seconds, rate)


class Over(Exception):
    """It is ended from outside."""


def over(*_):
    raise Over


def main():
    kind, iface, mac, vip4, vip6, port, seconds = sys.argv[1:8]
    family = int(sys.argv[9]) if len(sys.argv) > 9 else 4
    a = Attack(iface, mac, vip4, vip6, int(port), family)
    rate = float(sys.argv[8]) if len(sys.argv) > 8 else 0
    signal.signal(signal.SIGTERM, over)
    try:
        getattr(a, "kind_" + kind)(float(seconds), rate)
    except Over:
        pass
    print("sent %d" % a.sent)


if __name__ == "__main__":
    main()
