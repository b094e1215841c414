# SPDX-License-Identifier: BSD-3-Clause
"""sluicectl against a daemon with a port: answers, completion on a terminal, top, report."""
import contextlib
import os
import pty
import re
import select
import socket
import subprocess
import tarfile
import threading
import time

from lib import BUILD, VIP4, check, sh
from test_cli import CFG, start

CTL = os.path.join(BUILD, "tools/sluicectl")


def ctl(sock, *args, **kw):
    return sh([CTL, "-s", sock, *args], ok=False, **kw)


def test_one_shot(net):
    """Commands, refusals and what is not there, by exit code; a file of commands."""
    p, sock = start(net)
    check(ctl(sock, "get", "weight", "be/b") == (0, "2 (initial 2)\n"), "get weight")
    rc, out = ctl(sock, "get", "weight", "be/zz")
    check(rc == 1 and out == "No such server.\n", "refused: %d %r" % (rc, out))
    check(ctl(sock, "frobnicate")[0] == 1, "unknown command")
    check(ctl(sock, "show version; show cli level") == (0, "0.1.0\n\nadmin\n"), "two at once")
    rc, out = sh([CTL, "-s", sock], ok=False, stdin=b"set weight be/b 7\nget weight be/b\n\nquit\nget x\n")
    check(rc == 0 and "7 (initial 2)\n" in out and "Unknown" not in out, "a file: %d %r" % (rc, out))
    check(ctl(net.file("nothing"), "help")[0] == 2, "no daemon")
    for words in ("set weight be/b 300", "set maxconn frontend web", "set server be/b addr nowhere",
                  "shutdown session 1", "show events nobody -w", "set server be/b"):
        rc, out = ctl(sock, *words.split())
        check(rc == 1 and not out.startswith("["), "%s: %d %r" % (words, rc, out))
    for verb, want in (("shutdown", 0), ("shutdown", 0), ("disable", 1), ("enable", 1)):  # what is so already is none
        rc, out = ctl(sock, verb, "frontend", "raw")
        check(rc == want and not out.startswith("["), "%s frontend: %d %r" % (verb, rc, out))
    net.stop_sluice(p)


def test_reload(net):
    """The exit code says whether the configuration that is there now is served."""
    p, sock = start(net)
    rc, out = ctl(sock, "reload")
    check(rc == 0 and out.startswith("Success=1\n"), "reloaded: %d %r" % (rc, out))
    with open(net.file("sluice.cfg"), "a", encoding="utf-8") as f:
        f.write("\nfrontend web\n    frobnicate\n")
    rc, out = ctl(sock, "reload")
    check(rc == 1 and out.startswith("Success=0\n") and "frobnicate" in out, "refused: %d %r" % (rc, out))
    net.stop_sluice(p)


class Fake:
    """A runtime API that answers as it is told, by answer(connection, line). None: it closes; a list: pieces of all."""

    def __init__(self, path, answer):
        self.path, self.answer, self.conns = path, answer, 0
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(5)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            c, _ = self.sock.accept()
            self.conns += 1
            with c, c.makefile("rb") as lines:
                for line in lines:
                    text = self.answer(self.conns, line.decode().strip())
                    if text is None:
                        break
                    try:
                        for piece in text if isinstance(text, list) else [text + "\n> "]:
                            c.sendall(piece.encode())
                            time.sleep(0.2 * isinstance(text, list))
                    except BrokenPipeError:  # it no longer waits
                        break


def test_timeouts(net):
    """A reload may take its time, behind a connection that was closed too; what comes behind it may not."""
    never = threading.Event()

    def slow(conn, line):
        if line == "reload":
            if conn == 1:
                return None
            never.wait(17)
        return "Success=1\n" if line == "reload" else "\n"

    def silent(_, line):
        if line == "show version":
            never.wait(60)
        return "\n"

    fakes = [Fake(net.file("slow"), slow), Fake(net.file("silent"), silent)]
    begin = time.monotonic()
    asks = [subprocess.Popen([CTL, "-s", f.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for f in fakes]
    for a, text in zip(asks, (b"reload\n", b"reload\nshow version\n")):
        a.stdin.write(text)
        a.stdin.close()
    try:
        rc, out = asks[0].wait(40), asks[0].stdout.read()
        check((rc, out, fakes[0].conns) == (0, b"Success=1\n", 2), "the reload: %d %r, %d connections" % (rc, out, fakes[0].conns))
        check(asks[1].wait(20) == 1 and b"timed out" in asks[1].stdout.read(), "behind it")
        check(time.monotonic() - begin < 30, "behind a reload it waits for longer")
    finally:
        for a in asks:
            a.kill()
            a.wait()
    never.set()


def follow(net):
    net.nginx([("a", 8081), ("b", 8082)])
    sock = net.file("cli.sock")
    head = net.sluice_head("af_xdp", extra='    stats socket "%s" level admin\n    log ring@later local0\n' % sock)
    return net.sluice(head + CFG + "\nring later\n    format raw\n    size 16384\n"), sock


def test_follow(net):
    """show events ... -w: what comes is there when it comes, though the command has no end."""
    p, sock = follow(net)
    ways = [[CTL, "-s", sock, *words] for words in (
        ["show", "events", "later", "-w"], ["show events later -w"], ["show  events later -n -w"],
        ["show version; show events later -nw"], ["show", "events later", "-wn"], [])]
    watches = [subprocess.Popen(w, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for w in ways]
    try:
        watches[-1].stdin.write(b"show version\nshow events later -w\n")
        watches[-1].stdin.flush()
        time.sleep(1)  # those of -n have skipped what there was
        ctl(sock, "disable", "server", "be/b")
        for way, watch in zip(ways, watches):
            got = until(watch.stdout.fileno(), b"be/b")
            check(not got.startswith(b"["), "%s: bare lines: %r" % (way, got))
            check(watch.poll() is None, "%s: it has ended" % way)
    finally:
        for watch in watches:
            watch.kill()
            watch.wait()
    rc, out = ctl(sock, "show events later -n")  # which does not wait
    check((rc, out.strip()) == (0, ""), "-n: %d %r" % (rc, out))
    rc, out = ctl(sock, "show events later -w -x")
    check((rc, out.strip()) == (1, "unknown option"), "an option: %d %r" % (rc, out))
    net.stop_sluice(p)


def test_follow_ends(net):
    """A reload takes the ring away: whoever waits for its lines is told so, and that is no refusal."""
    p, sock = follow(net)
    ways = (["show", "events", "later", "-w"], ["show events later -nw"])
    watches = [subprocess.Popen([CTL, "-s", sock, *w], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for w in ways]
    try:
        time.sleep(1)  # that of -n has skipped what there was
        ctl(sock, "disable", "server", "be/b")
        for watch in watches:
            until(watch.stdout.fileno(), b"be/b")
        text = open(net.file("sluice.cfg")).read()
        net.write("sluice.cfg", text.replace("    log ring@later local0\n", "").split("\nring later")[0])
        check(ctl(sock, "reload")[0] == 0, "reload")
        for watch in watches:
            rc, out = watch.wait(10), watch.stdout.read()
            check(rc == 0 and b">" not in out and b"sluicectl" not in out, "%d %r" % (rc, out))
    finally:
        for watch in watches:
            watch.kill()
            watch.wait()
    net.stop_sluice(p)


def test_follow_pieces(net):
    """The prompt behind the last line may come in two, and the words of its weight belong to a line's begin."""
    def answer(_, line):
        return "\n" if not line.startswith("show events") else ["one\ntw", "[3]: o\n", "\n", "> "]

    f = Fake(net.file("pieces"), answer)
    rc, out = ctl(f.path, "show events x -w")
    check((rc, out) == (0, "one\ntw[3]: o\n\n"), "in pieces: %d %r" % (rc, out))
    f = Fake(net.file("refusal"), lambda _, line: "[3]: no\n" if line.startswith("show events") else "\n")
    rc, out = ctl(f.path, "show events x -w")
    check((rc, out) == (1, "no\n"), "a refusal: %d %r" % (rc, out))


@contextlib.contextmanager
def shell(sock):
    """The shell on a terminal, at its prompt; it ends by itself, without a fault, when it was told to."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.execv(CTL, [CTL, "-s", sock])
    try:
        until(fd, b"sluice> ")
        yield fd
        _, status = os.waitpid(pid, 0)
        pid = 0
        check(status == 0, "the shell ended with %d" % status)
    finally:
        if pid:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        os.close(fd)


def test_follow_shell(net):
    """In the shell of a terminal the next line ends it, and the shell goes on."""
    p, sock = follow(net)
    with shell(sock) as fd:
        os.write(fd, b"show events later -w\n")
        time.sleep(1)
        ctl(sock, "disable", "server", "be/b")
        until(fd, b"be/b")
        os.write(fd, b"\n")
        until(fd, b"sluice> ")
        os.write(fd, b"get weight be/b\n")
        until(fd, b"2 (initial 2)")
        os.write(fd, b"quit\n")
    net.stop_sluice(p)


def until(fd, text, limit=20):
    got, end = b"", time.monotonic() + limit
    while text not in got:
        check(time.monotonic() < end, "%r does not come after %r" % (text, got[-500:]))
        if select.select([fd], [], [], 0.2)[0]:
            got += os.read(fd, 65536)
    return got


def test_shell(net):
    """On a terminal: Tab completes what the daemon has."""
    p, sock = start(net)
    with shell(sock) as fd:
        os.write(fd, b"show vers\t\n")
        until(fd, b"0.1.0")
        os.write(fd, b"get w\tbe/b\n")  # one word fits: a blank comes behind it
        until(fd, b"2 (initial 2)")
        os.write(fd, b"show e\t\t")
        out = until(fd, b"errors  ")
        check(b"env  " in out, "both are listed: %r" % out)
        os.write(fd, b"\x15quit\n")
    net.stop_sluice(p)


def test_top(net):
    """Rates of traffic, and a worker's busy share."""
    p, sock = start(net)
    w = net.start(["wrk", "-t1", "-c16", "-d8s", "http://%s/name" % VIP4], ns=net.c, log=net.file("wrk.log"))
    rc, out = ctl(sock, "top", "-d", "1", "-n", "3")
    check(rc == 0, out)
    last = out.strip().split("\n\nworker")[-1]
    busy = float(re.search(r"\n0 +([\d.]+)%", "\n" + last.split("\n", 1)[1]).group(1))
    row = next(x for x in last.split("\n") if x.startswith("web ")).split()
    check(busy > 1 and busy <= 100, "busy %.1f %%" % busy)
    check(row[1] == "FRONTEND" and int(row[6]) > 50, "requests a second: %s" % row)
    w.wait(20)
    net.stop_sluice(p)


def test_report(net):
    """A readable tar file, without what is nobody's business."""
    p, sock = start(net, '    setenv MY_SECRET hunter2\n')
    net.curl("-o", "/dev/null", "-H", "Authorization: hunter2", "http://%s/name?token=hunter2" % VIP4)
    net.curl("-o", "/dev/null", "-H", "Bad Name: hunter2", "http://%s/" % VIP4)
    out = net.file("r.tar")
    check(ctl(sock, "report", "-o", out) == (0, out + "\n"), "report")
    with tarfile.open(out) as t:
        names = [os.path.basename(n) for n in t.getnames()]
        text = {os.path.basename(m.name): t.extractfile(m).read() for m in t.getmembers()}
    check("show-stat.txt" in names and "show-workers.txt" in names and "machine.txt" in names, str(names))
    check(b"web,FRONTEND" in text["show-stat.txt"], "show stat")
    whole = b"".join(text.values())
    check(b"hunter2" not in whole and not re.search(rb"10\.61\.1\.1[^0-9]", whole), "a secret, or a client's address")
    check(ctl(sock, "report", "-o", out)[0] == 1, "an existing file is not written over")
    net.stop_sluice(p)
