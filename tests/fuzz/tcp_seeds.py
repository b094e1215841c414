#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Seeds for fuzz_tcp: inputs that reach what follows a loss, a report, a closed window, a cookie.

usage: tcp_seeds.py DIRECTORY. The fuzzer goes on from there; what adds coverage stands in corpus/tcp.
The bytes are those that fuzz_tcp.c takes: a set-up of two, then steps."""
import itertools
import os
import sys

NEWRENO, WESTWOOD, CUBIC, BBR = range(4)
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
DOWN, UP = 0, 1  # from host 0; from host 1


def setup(cc=CUBIC, active=0, sack=1, ts=1, scale=1, cookies=1, rcv=2, snd=3, small=0, v6=0, open=1, live=0):
    return bytes([active | cc << 1 | (not sack) << 3 | (not ts) << 4 | (not scale) << 5 | cookies << 6,
                  rcv | snd << 2 | small << 4 | v6 << 5 | open << 6 | live << 7])


def seg(flags, seq=0, ack=0, wnd=8192, n=0, bits=4, tail=b""):
    """A segment near what is expected; tail: the bytes behind seq and ack from tsval on."""
    b = [0, bits | (1 if n else 0), flags, 0, seq & 255, 0, ack & 255, wnd >> 8, wnd & 255]
    if n:
        b.append(n)
    return bytes(b) + (tail or bytes([0, 0, 0, 0, 5, 180, 3]))


def ack(edge):
    return bytes([2, edge])


def sack(edge, *blocks, dsack=0, within=0, old=0, size=1):
    """Each block: segments to leave out, segments to report."""
    b = [4, edge, (len(blocks) - 1) | dsack << 2 | within << 3 | size << 4 | old << 7]
    return bytes(b + [(skip - 1) << 4 | (n - 1) for skip, n in blocks])


def data(n, at=0, fin=0, acks=1, times=1):
    return bytes([6, (at != 0) | fin << 1 | acks << 2 | (times - 1) << 5, n >> 8, n & 255] +
                 ([at & 255] if at else []))


def answer(how=0):
    return bytes([7 | how << 4])


def close(host=0):
    return bytes([8, 1 | host << 7])


def shut(host=0):
    return bytes([8, 0 | host << 7])


def abort(host=0):
    return bytes([8, 2 | host << 7])


def reads(hold=0, nibble=0, host=0):
    return bytes([8, 3 | hold << 3 | bool(nibble) << 4 | host << 7] + ([nibble] if nibble else []))


def keepalive(on=1, idle=10, count=2, host=0):
    return bytes([8, 4 | (count | 1) << 3 if on else 4, idle])


def write(n, big=0, ends=0, host=0):
    return bytes([8, 5 | big << 3 | ends << 4 | host << 7, n])


def ms(n):
    return bytes([9, n - 1])


def tenths(n):
    return bytes([10, n - 1])


def minutes(n):
    return bytes([0x8b, n * 12 - 1])


def window(n, edge=0):
    return bytes([12, n >> 8, edge]) if n >= 256 else bytes([0x8c, n, edge])


def lose(mask, way=DOWN):
    return bytes([13, way, mask >> 8, mask & 255])


def delay(n, jitter=0, way=DOWN):
    return bytes([13, way | 2 | jitter << 3, n])


def mtu(n, hole=0, way=DOWN):
    return bytes([13, way | 4 | (8 if n else 0) | hole << 4] + ([(n - 600) // 4] if n else []))


def disorder(late=1, dup=0, slow=0, way=DOWN):
    return bytes([13, way | 6 | (late > 0) << 3 | dup << 4 | slow << 5 | late << 6])


def icmp(kind, size=1280, near=b""):
    return bytes([0x1e, kind, size // 6, bool(near)]) + near


def syns(times=1, other=None, away=1, known=1, bare=0):
    return bytes([14, (other is not None) | away << 1 | known << 2 | bare << 3 | (times - 1) << 4] +
                 ([other] if other is not None else []))


def trouble(what, bits=0, arg=None, host=0):
    return bytes([15, what | bits << 3 | host << 7] + ([arg] if arg is not None else []))


NO_BUFFER, BUDGET, PLENTY, UNLISTEN, STOPPING, PRESSURE, CONNECT, NO_BLOCK = range(8)


def transfers():
    """Down, up and both ways behind a path that loses, by congestion control."""
    kinds = itertools.product((NEWRENO, WESTWOOD, CUBIC, BBR), (1, 0), (1, 0))
    for cc, with_sack, with_ts in kinds:
        s = setup(cc, live=1, sack=with_sack, ts=with_ts)
        yield s + write(60, 1) + ms(60) + lose(0x0421) + ms(250) + tenths(5) + lose(0) + tenths(30)
        yield s + write(40, 1) + write(40, 1, host=1) + lose(0x8001) + lose(0x0100, UP) + tenths(20) + shut() + \
            lose(0) + lose(0, UP) + shut(1) + tenths(60)
        yield s + write(30, 1) + ms(40) + lose(0xffff) + tenths(12) + lose(0) + tenths(80)
        yield s + write(30, 1) + ms(20) + disorder(3, 1) + tenths(10) + disorder(0) + tenths(20)
    for cc, back in itertools.product((CUBIC, WESTWOOD, NEWRENO), (20, 160)):
        # HyStart++: round trips grow before anything is lost
        yield setup(cc, live=1, rcv=3) + disorder(0, 0, 1) + delay(20) + write(255, 1) + ms(50) + delay(90) + \
            ms(190) + delay(back) + tenths(9)
    for cc in (CUBIC, BBR, WESTWOOD, NEWRENO):
        slow = setup(cc, live=1, rcv=0) + delay(200) + delay(60, way=UP)
        yield slow + write(120, 1) + tenths(250) + lose(0x0010) + tenths(100) + lose(0) + tenths(200)
        yield setup(cc, live=1, rcv=3, v6=1) + disorder(0, 0, 1) + write(120, 1) + tenths(250) + tenths(100)
        yield setup(cc, live=1, active=1) + mtu(900) + write(30, 1) + tenths(20) + mtu(0) + minutes(11) + \
            write(20, 1) + tenths(10)
        yield setup(cc, live=1, active=1) + mtu(900, 1) + write(30, 1) + tenths(200) + mtu(0) + minutes(11) + \
            write(20, 1) + tenths(10)
        yield setup(cc, live=1) + trouble(NO_BLOCK) + write(60, 1) + ms(50) + lose(0x0300) + tenths(40)


def reports():
    """What the input's own peer reports and acknowledges."""
    for cc, ts in itertools.product((NEWRENO, CUBIC, BBR), (1, 0)):
        s = setup(cc, ts=ts) + window(0xff00) + write(20, 1) + ms(10)
        yield s + sack(0, (1, 3)) + ms(3) + sack(0, (1, 3), (1, 1)) + ms(9) + ack(2) + ms(5) + ack(255)
        yield s + sack(0, (1, 1)) + ms(40) + tenths(3) + sack(0, (1, 1), dsack=1) + ms(50) + ack(4) + tenths(3)
        yield s + ack(0) * 5 + ms(10) + ack(1) + ms(10) + sack(3, (2, 1), dsack=1, within=0, size=7) + ack(255)
        yield s + sack(0, (1, 4)) + ms(5) + sack(0, (1, 1), (1, 4), dsack=1, within=1) + ack(255) + ms(10)
        yield s + tenths(3) + tenths(6) + ack(2) + ms(20) + sack(2, (1, 2), old=1) + ack(255)
        yield s + ack(6) + ms(10) + sack(0, (2, 2)) + ms(10) + ack(255) + write(3) + ms(255) + ack(255)
        yield s + sack(0, (2, 3)) + ms(2) + ack(2) + tenths(9) + ack(255)  # reported, and taken back
        yield s + sack(0, (1, 9)) + tenths(4) + sack(0, (1, 9)) + tenths(20) + tenths(50) + ack(255)
    for ts in (1, 0):
        s = setup(NEWRENO, sack=0, ts=ts) + window(0xff00) + write(20, 1) + ms(10)
        yield s + ack(0) * 4 + ms(10) + ack(2) + ms(10) + ack(0) * 3 + ack(255) + ms(10)
        yield s + ack(0) * 9 + ms(10) + tenths(5) + ack(1) + ack(2) + ack(255)


def windows():
    s = setup() + window(0xff00)
    yield s + window(0) + write(5) + tenths(3) + tenths(10) + tenths(100) + window(0x1000) + ms(50) + ack(255)
    yield s + write(2, 1) + ms(5) + window(0, 255) + tenths(20) + window(90, 255) + tenths(30) + ack(255)
    yield s + window(0) + write(1) + close() + tenths(250) + tenths(250) + tenths(250) + minutes(6)
    yield s + window(0) + shut() + tenths(20) + window(0x2000) + ms(30) + ack(255)
    yield s + write(3, 1) + window(40, 0) + ms(90) + tenths(40) + ack(255)
    for rcv, scale in ((0, 1), (1, 0), (3, 1)):
        s = setup(rcv=rcv, scale=scale)
        yield s + reads(1) + data(1448, times=8) * 3 + ms(100) + data(1) + reads() + ms(50)
        yield s + reads(0, 9) + data(1448, times=8) + ms(9) + reads(0, 8) + data(200, times=8) + ms(50) + reads()
    yield setup(live=1, rcv=3) + write(150, 1, host=1) + tenths(40) + reads(1) + tenths(10) + reads(0, 200) + tenths(9)
    yield setup(live=1, rcv=3) + reads(1, host=1) + write(150, 1) + tenths(90) + reads(host=1) + tenths(50)


def pieces():
    s = setup()
    yield s + data(500, 5) + data(500, 15) + data(500, 10) + data(500, times=2)
    yield s + data(300, 6) + data(100, 7) + data(900, 3) + data(700, 5) + data(200, -1) + data(1400)
    yield s + data(100, 4, fin=1) + data(200, 2) + data(200) + ms(60) + data(10)
    yield s + data(200, 4) + data(200, 8) + data(200, 12) + data(200, 16) + data(600, 9) + data(1448) + data(1448)
    yield s + data(100) * 6 + ms(60) + data(100, -1) + data(300, -2) + ms(60)
    yield s + data(0, 3, fin=1) + data(300, fin=0) + ms(60) + data(40, fin=1) + close()
    yield setup(sack=0) + data(500, 5) + data(500, 15) + data(500) + ms(50)
    yield s + trouble(BUDGET, 0, 5) + data(500, 5) + data(500, 10) + data(500) + data(400) + trouble(PLENTY)
    yield s + reads(1) + trouble(BUDGET, 0, 40) + data(1448, 20) + data(1448, times=8) * 2 + trouble(PLENTY) + reads()
    yield s + reads(1) + (data(200, 2) + data(200, 6)) * 30 + reads()
    yield s + data(300, 6) + data(300, 12) + data(500, 10) + data(300, 20, fin=1) + data(600, 18) + data(400, 19)
    yield s + reads(1) + data(100, times=8) * 12 + reads(0, 50) + data(1448) + reads()


def ends():
    for active in (0, 1):
        s = setup(active=active)
        yield s + shut() + ms(5) + ack(255) + data(0, fin=1) + ms(5) + data(0, -1, fin=1) + syns() + answer()
        yield s + shut() + data(0, fin=1, acks=0) + ms(3) + ack(255) + ms(3) + tenths(40)
        yield s + data(20, fin=1) + ms(5) + write(2) + shut() + ms(5) + ack(255)
        yield s + close() + ms(3) + ack(255) + tenths(60)
        yield s + close() + data(100) + ms(3)
        yield s + write(9) + close() + tenths(255) + minutes(3)
        yield s + abort() + ms(3) + seg(ACK)
        yield s + seg(RST) + ms(2)
        yield s + seg(RST, seq=9) + seg(SYN) + seg(SYN | ACK, seq=60) + seg(RST, seq=-9) + seg(PSH)
        yield s + shut() + ms(3) + tenths(5) + tenths(20) + ack(255) + seg(ACK, 3) + seg(FIN | ACK, 0, 0)
        yield s + keepalive() + tenths(15) + tenths(20) + ack(0) + tenths(255) + tenths(100)
        yield s + keepalive() + tenths(9) + data(20) + tenths(30) + keepalive(0) + write(3) + tenths(3)
        yield s + reads(1) + data(300) + shut() + ms(2) + data(10, fin=1) + ms(5) + reads()
        yield s + write(2) + ms(2) + shut() + ms(2) + lose(0) + ack(255)
    # TIME_WAIT: a new SYN, an old one, data, RST
    w = setup(live=1) + shut() + tenths(1) + shut(1) + tenths(1)
    yield w + syns() + answer() + ms(50)
    yield w + syns(bare=1) + seg(RST) + seg(ACK, 50) + seg(SYN) + data(100) + tenths(30)
    yield setup(live=1, active=1) + shut() + tenths(1) + shut(1) + tenths(1) + seg(ACK) + tenths(30)
    for n in (1, 11):
        yield setup(small=1, live=1, active=1) + (close() + close(1) + tenths(n) + trouble(CONNECT, 4) + tenths(1)) * 7


def opens():
    yield setup(open=0) + syns() + tenths(10) + tenths(30) + tenths(70) + tenths(255) + tenths(255)
    yield setup(open=0) + syns() * 2 + answer(4) + syns() + seg(SYN, 5) + seg(ACK, 0, 9) + answer()
    yield setup(open=0) + syns() + seg(RST, 9) + seg(ACK, -90) + seg(RST, -90) + data(60) + answer(1) + b"\x20\x00"
    yield setup(open=0) + syns(known=0) + seg(ACK) + seg(RST) + syns(away=0) + syns(3, other=6) + answer()
    yield setup(open=0, small=1) + syns(9, other=1) + answer() + syns(9, other=20) + answer() + tenths(20)
    for c in (0, 1, 2):
        yield setup(open=0, cookies=c) + syns(16, other=1) + ms(5) + answer() + data(20) + seg(ACK, 5, 5)
        yield setup(open=0, cookies=c) + syns(16, other=1) + trouble(PRESSURE, 1) + syns() + answer() + ms(2) + \
            data(60) + write(3) + ms(50) + ack(255)
        yield setup(open=0, cookies=c, small=1) + syns(6, other=16) + answer() + \
            b"".join(syns(other=i) + answer() for i in (30, 31, 33, 34, 35))
        yield setup(open=0, cookies=c, ts=0, scale=0, sack=0) + syns() + answer() + write(5) + tenths(10)
    yield setup(open=0, cookies=2) + syns(bare=1) + answer() + ms(9) + minutes(1) + answer() + syns() + minutes(2) + answer()
    for v6 in (0, 1):
        a = setup(active=1, open=0, v6=v6)
        yield a + ms(9) + answer() + ms(9) + write(3) + ms(9) + ack(255)
        yield a + ms(9) + answer(2) + ms(9) + answer() + ms(9) + data(60)
        yield a + ms(9) + answer(2) + ms(9) + tenths(30) + write(1) + shut() + seg(ACK, 0, 7) + answer()
        yield a + tenths(10) + tenths(40) + tenths(100) + tenths(255) + tenths(255)
        yield a + ms(9) + answer(4) + ms(3)
        yield a + ms(9) + seg(ACK, 0, 9) + seg(RST) + seg(SYN) + seg(ACK, 0, 1) + answer()
        yield a + ms(9) + icmp(0) + ms(9)
        yield a + ms(9) + icmp(1) + icmp(2) + write(1) + shut() + answer()
        yield a + write(5) + close()
        yield a + ms(5) + abort()
    yield setup() + trouble(UNLISTEN) + syns(2, other=3) + trouble(UNLISTEN)
    yield setup(open=0) + syns() + trouble(UNLISTEN) + answer()
    yield setup(open=0) + trouble(STOPPING, 1) + syns() + trouble(STOPPING) + syns() + answer()
    yield setup(small=1) + b"".join(trouble(CONNECT, b) for b in (0, 1, 2, 4, 6, 7)) + tenths(20)
    yield setup(live=1) + trouble(CONNECT, 4) + trouble(CONNECT, 2) + trouble(CONNECT, 6) * 2 + tenths(40)


def path():
    s = setup() + window(0xff00) + write(20, 1) + ms(10)
    yield s + icmp(2, 600) + ms(10) + ack(255) + icmp(2, 6) + icmp(2, 900, b"\x00\x7f") + icmp(0) + tenths(9)
    yield setup(v6=1, active=1) + window(0xff00) + write(20, 1) + icmp(2, 1280) + ms(5) + ack(255) + tenths(2)
    yield s + tenths(4) + tenths(9) + tenths(20) + tenths(50) + tenths(100) + ack(255)
    yield s + trouble(NO_BLOCK) + icmp(2, 600) + tenths(9) + ack(255)
    for n in range(4):
        t = trouble(NO_BUFFER, 0, n)
        yield setup() + window(0xff00) + t + write(9, 1) + ms(20) + t + data(60) + t + data(60, 5) + sack(0, (1, 3)) + \
            ms(20) + t + tenths(4) + t + shut() + t + ms(20) + ack(255)
        yield setup(open=0) + t + syns() + t + ms(2) + answer() + t + ms(2)
        yield setup(open=0, cookies=2) + t + syns() + ms(2) + syns() + t + answer()
        yield setup(active=1, open=0) + t + ms(20) + answer() + t + ms(9) + seg(ACK, 0, 9)
    yield setup(live=1) + trouble(PRESSURE, 2) + trouble(BUDGET, 0, 90) + write(90, 1) + write(90, 1, host=1) + \
        lose(0x1111) + tenths(50) + trouble(PLENTY) + tenths(20)
    yield setup(live=1) + write(90, 1) + tenths(1) + trouble(BUDGET, 0, 2) + close() + lose(0xffff) + minutes(2)


def main():
    n = 0
    os.makedirs(sys.argv[1], exist_ok=True)
    for family in (transfers, reports, windows, pieces, ends, opens, path):
        for i, s in enumerate(family()):
            with open(os.path.join(sys.argv[1], "%s%02d" % (family.__name__, i)), "wb") as f:
                f.write(s)
            n += 1
    print("%d seeds" % n)


main()
