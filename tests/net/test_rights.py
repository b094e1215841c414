# SPDX-License-Identifier: BSD-3-Clause
"""The daemon without root's rights: what it may still do, what it serves, and what is left of it."""
import glob
import os
import random
import re
import signal
import stat
import time

from lib import VIP4, check, is_gone, log, sh, wait_for
from test_devices import closed_to_users, hugepages, pages

# A user that every Debian has.
USER = "global\n    user nobody\n    group nogroup\n"
CONF = """
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend web
    bind %s:80
    bind unix@%s/web.sock mode 666
    http-request return status 200 content-type text/plain string "own" if { path /own }
    default_backend be
backend be
    server b1 10.61.2.1:8001 check inter 300ms
"""


def conf(net, pmd="af_xdp", extra=""):
    return (net.sluice_head(pmd) + USER + "    stats socket %s/cli.sock mode 600 level admin\n" % net.dir + extra +
            CONF % (VIP4, net.dir))


def daemon(p):
    """The child of the parent that was started: its pid."""
    _, out = sh(["pgrep", "-P", str(p.pid)])
    return int(out.split()[0])


def threads(pid):
    out = []
    for f in glob.glob("/proc/%d/task/*/status" % pid):
        with open(f) as t:
            s = t.read()
        field = lambda k: re.search(r"^%s:\s*(.*)$" % k, s, re.M).group(1).split()  # noqa: E731
        out.append({"main": int(field("Pid")[0]) == pid, "name": field("Name")[0], "uid": set(field("Uid")),
                    "gid": set(field("Gid")), "eff": int(field("CapEff")[0], 16), "nnp": field("NoNewPrivs")[0],
                    "groups": set(field("Groups")) if re.search(r"^Groups:\s*\d", s, re.M) else set()})
    return out


def test_user(net, pmd):
    """All threads run as the user without capabilities; ports, checks, sockets of the host serve."""
    net.nginx([("b1", 8001)])
    p = net.sluice(conf(net, pmd))
    check("runs as uid 65534 (nobody), gid 65534" in p.log(), p.log())
    pid = daemon(p)
    ts = threads(pid)
    check(len(ts) >= 5, ts)
    for t in ts:
        check(t["uid"] == {"65534"} and t["gid"] == {"65534"} and t["groups"] <= {"65534"} and t["nnp"] == "1", t)
        # a thread that main makes later has what main has; there is none here
        check(t["eff"] == (1 << 10 if t["main"] else 0), t)
    par = threads(p.pid)[0]
    check(par["uid"] == {"0"} and par["nnp"] == "1" and par["eff"] & ~(1 << 1 | 1 << 3 | 1 << 5 | 1 << 12 | 1 << 21 | 1 << 39) == 0,
          par)
    check(net.curl("http://%s/own" % VIP4)[1] == "own", "own")
    wait_for("the backend", lambda: net.curl("http://%s/name" % VIP4, ok=False)[1].strip() == "b1", 10)
    _, out = sh(["curl", "-s", "--unix-socket", net.file("web.sock"), "http://x/own"])
    check(out == "own", out)
    # only root reaches telemetry and the runtime API
    for path in ("/var/run/dpdk/%s/dpdk_telemetry.v2" % net.prefix, net.file("cli.sock")):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        check(mode & 0o077 == 0, "%s has mode %o" % (path, mode))
    check(net.telemetry("/ethdev/list"), "telemetry")
    net.stop_sluice(p)
    check(not os.path.exists(net.file("web.sock")) and not os.path.exists(net.file("cli.sock")), "a socket is left")
    check("not permitted" not in p.log() and "denied" not in p.log(), p.log()[-2000:])


test_user.cases = [{"pmd": "af_xdp"}, {"pmd": "af_packet"}]


def test_user_tap(net):
    """A TAP, whose driver also acts at the end."""
    p = net.sluice("""global
    dpdk-eal "--file-prefix=%s"
    user nobody
    group nogroup
port lan
    device net_tap0,iface=slxr0
    address 10.61.9.10/24
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend web
    bind 10.61.9.10:80
    http-request return status 200 content-type text/plain string "own"
""" % net.prefix)
    sh(["ip", "-n", net.d, "addr", "add", "10.61.9.1/24", "dev", "slxr0"])
    check(sh(["curl", "-sS", "http://10.61.9.10/"], ns=net.d)[1] == "own", "own")
    check(all(t["uid"] == {"65534"} for t in threads(daemon(p))), "a thread is still root")
    net.stop_sluice(p)
    check("slxr0" not in sh(["ip", "-n", net.d, "link"])[1], "the TAP is left")
    check("not permitted" not in p.log() and "denied" not in p.log(), p.log())


def test_reload(net):
    """As the user: the configuration is loaded again, with a further port below 1024 of the host."""
    text = conf(net, "af_packet")
    p = net.sluice(text)
    net.write("sluice.cfg", text.replace("frontend web\n", "frontend web\n    bind 127.0.0.1:81\n"))
    os.kill(p.pid, signal.SIGUSR2)
    wait_for("the new socket", lambda: sh(["curl", "-s", "http://127.0.0.1:81/own"], ns=net.d, ok=False)[1] == "own", 20)
    check(all(t["uid"] == {"65534"} and t["eff"] in (0, 1 << 10) for t in threads(daemon(p))), "rights came back")
    net.stop_sluice(p)


def reload_killed(net, text):
    os.chmod(net.dir, 0o777)  # the user's, who makes them
    p = net.sluice(text)
    late = [net.file("late.sock"), net.file("late-cli.sock")]
    net.write("sluice.cfg", text.replace("frontend web\n", "frontend web\n    bind unix@%s\n" % late[0])
              .replace("global\n", "global\n    stats socket %s level admin\n" % late[1], 1))
    os.kill(p.pid, signal.SIGUSR2)
    wait_for("the new sockets", lambda: " is served" in p.log(), 20)
    check(all(os.path.exists(f) for f in late), "they are there")
    os.kill(daemon(p), signal.SIGKILL)
    p.wait(20)
    check(not any(os.path.exists(f) for f in late), "a socket is left")
    net.left_behind()


def test_reload_killed(net):
    """kill -9 behind a reload that added sockets: the parent removes those, too."""
    reload_killed(net, conf(net, "af_packet"))


def test_reload_killed_first(net):
    """The same where the start had no unix socket at all."""
    text = "".join(x for x in conf(net, "af_packet").splitlines(True) if ".sock" not in x)
    check("unix@" not in text and "stats socket" not in text and "frontend web" in text, text)
    reload_killed(net, text)


def test_chroot(net):
    """With another root: it serves, and loads again what is in there by the same names."""
    empty = net.file("empty")
    os.mkdir(empty)
    os.chmod(empty, 0o755)
    # LeakSanitizer looks into /proc, which is not in there
    no_leaks = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    text = conf(net, "af_packet", "    chroot %s\n" % empty)
    p = net.sluice(text, env=no_leaks)
    check(", in %s" % empty in p.log(), p.log())
    check(os.path.samefile("/proc/%d/root" % daemon(p), empty), "root")
    os.kill(p.pid, signal.SIGUSR2)
    wait_for("the refusal", lambda: "'chroot': the files were looked for inside of it" in p.log(), 10)
    check(net.curl("http://%s/own" % VIP4)[1] == "own", "own")
    for path, content in ((net.file("sluice.cfg"), text.replace('"own"', '"other"')),
                          ("/etc/passwd", "nobody:x:65534:65534:::\n"), ("/etc/group", "nogroup:x:65534:\n")):
        os.makedirs(empty + os.path.dirname(path), exist_ok=True)
        with open(empty + path, "w") as f:
            f.write(content)
        os.chmod(empty + path, 0o644)
    os.kill(p.pid, signal.SIGUSR2)
    wait_for("the other answer", lambda: net.curl("http://%s/own" % VIP4)[1] == "other", 20)
    net.stop_sluice(p)
    check(not os.path.exists(net.file("web.sock")), "a socket is left")
    p = net.sluice(conf(net, "af_packet", "    chroot %s/none\n" % empty), ready=False)
    check(p.wait(20) == 1 and "Cannot chroot(%s/none)" % empty in p.log(), p.log())
    net.left_behind()


def test_parent_killed(net):
    """kill -9 of the parent: the daemon ends; the next start takes away what it could not."""
    text = conf(net)
    p = net.sluice(text)
    child = daemon(p)
    p.kill()
    p.wait(20)
    wait_for("the daemon's end", lambda: is_gone(child), 20)
    # as soon as the ports have their programs, long before the daemon is ready
    p = net.sluice(text, ready=False)
    wait_for("the daemon", lambda: sh(["pgrep", "-P", str(p.pid)], ok=False)[1].strip(), 10)
    child = daemon(p)
    wait_for("an XDP program", lambda: "prog/xdp" in sh(["ip", "-n", net.d, "-d", "link", "show", "lan"])[1], 20)
    p.kill()
    p.wait(20)
    wait_for("the daemon's end", lambda: is_gone(child), 20)
    check("prog/xdp" in sh(["ip", "-n", net.d, "-d", "link", "show", "lan"])[1], "nobody was left to remove it")
    p = net.sluice(text)
    check(net.curl("http://%s/own" % VIP4)[1] == "own", "own")
    net.stop_sluice(p)
    check(not os.path.exists(net.file("web.sock")) and not os.path.exists(net.file("cli.sock")), "a socket is left")


KILLS = int(os.environ.get("SLUICE_KILLS", "20"))


def test_kill_anywhere(net):
    """kill -9 at 20 moments, of set-up and under load, with hugepages: nothing is left, and the next start works."""
    net.nginx([("b1", 8001)])
    rnd = random.Random(5)
    text = conf(net, extra="    health-file %s\n" % net.file("welcome"))
    text = text.replace("port lan\n", "port lan\n    kernel-tap slxk0 address 10.61.1.2/24\n")
    os.chmod(net.dir, 0o777)  # the user's, for the health file

    def nothing_left(where, free, what):
        net.left_behind()
        left = [n for n in ("web.sock", "cli.sock", "welcome") if os.path.exists(net.file(n))] + os.listdir(where)
        check(not left, "%s: left: %s" % (what, left))
        check("slxk0" not in sh(["ip", "-n", net.d, "link"])[1], what + ": the TAP is left")
        wait_for(what + ": all pages free", lambda: pages("free_hugepages") == free)

    def whole_life(where, free, what):
        """A start, what it serves, a stop; how many lines it said until it was ready."""
        p = net.sluice(text)
        said = p.log().split(" ready")[0].count("\n")
        check("(hugepages)" in p.log(), what + ": hugepages are not used:\n" + p.log())
        check(pages("free_hugepages") < free and os.path.exists(net.file("web.sock")), what + ": there is nothing to leave")
        check(net.curl("http://%s/own" % VIP4)[1] == "own", "own")
        check(sh(["ping", "-q", "-c", "1", "-W", "5", "10.61.1.2"], ns=net.c)[0] == 0, "the kernel's address")
        net.stop_sluice(p)
        nothing_left(where, free, what + ", stopped")
        return said

    with hugepages(net, 400) as where, closed_to_users():
        free = pages("free_hugepages")
        whole_life(where, free, "the first start")
        lines, early = whole_life(where, free, "the second start"), 0
        for i in range(KILLS):
            what, w = "kill %d" % (i + 1), None
            p = net.sluice(text, ready=i % 2 == 1)
            if i % 2 == 1:  # under load, which goes on at the kill
                w = net.start(["wrk", "-t1", "-c8", "-d600s", "http://%s/own" % VIP4], ns=net.c)
                wait_for("requests", lambda: net.stat("h1_requests") > 50, 20)
                time.sleep(rnd.random() * 0.05)
                n = net.stat("h1_requests")
                wait_for("further requests", lambda: net.stat("h1_requests") > n)  # noqa: B023
                child = daemon(p)
                check(w.alive(), "wrk has ended")
            else:
                wait_for("the daemon", lambda: sh(["pgrep", "-P", str(p.pid)], ok=False)[1].strip() or not p.alive(), 10)
                child = daemon(p)
                n = rnd.randrange(lines * 2 // 3)  # the moment is where it is, not when: however slow the machine is
                wait_for("line %d" % n, lambda: p.log().count("\n") >= n or not p.alive(), 20)  # noqa: B023
                early += " ready" not in p.log()
            check(p.alive(), what + ": it has ended by itself:\n" + p.log()[-2000:])
            if i % 5 == 4:  # the parent: what nobody is there to remove, the next start does
                p.kill()
                p.wait(20)
                wait_for("the daemon's end", lambda: is_gone(child), 20)  # noqa: B023
            else:
                os.kill(child, signal.SIGKILL)
                p.wait(20)
                nothing_left(where, free, what)
            if w is not None:
                w.kill()
            whole_life(where, free, "the start behind " + what)
        log("%d kills, %d of them in set-up" % (KILLS, early))
        check(early >= KILLS // 8, "they were not in set-up")


test_kill_anywhere.long = True
