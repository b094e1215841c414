#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Ten kinds of mistake, in any section, order and file: each is told at its own line, with its word, in one run.

    tests/compat/conf_mistakes.py BUILD/tools/sluice-check [--seed N] [--files N]

Each round takes a configuration that is right and puts one mistake of every kind into it, chosen and placed by the
seed, among comments, blank lines, conditions and DOS line ends, over one to three files. There has to be one error
for each, and no other.
"""
import argparse
import os
import random
import re
import subprocess
import sys
import tempfile

# kind: [(section, line, word)]; @ is a number of its own for each use. A line may be several: the last is wrong.
KINDS = {
    "unknown keyword": [
        ("global", "maxcon 5", "maxcon"), ("port", "adress 10.3.0.1/24", "adress"), ("defaults", "tmeout client 1s", "tmeout"),
        ("frontend", "defautl_backend b", "defautl_backend"), ("backend", "servr s@ 10.1.0.9:80", "servr"),
        ("listen", "http-requst deny", "http-requst"), ("frontend", "option httplg", "httplg"),
        ("backend", "server s@ 10.1.0.9:80 chck", "chck"), ("frontend", "bind :80@ nam x", "nam"),
        ("frontend", "http-request dny", "dny"), ("frontend", "acl a@ pth /x", "pth"),
        ("listen", "http-request set-header x %[nosuch]", "nosuch"), ("backend", "timeout srver 1s", "srver"),
        ("frontend", "acl a@ path,nosuchconv /x", "nosuchconv"), ("frontend", "acl a@ path -m nosuchm /x", "nosuchm")],
    "missing argument": [
        ("global", "nbthread", "nbthread"), ("port", "gateway", "gateway"), ("defaults", "timeout server", "timeout server"),
        ("frontend", "bind", "bind"), ("backend", "server", "server"), ("listen", "balance", "balance"),
        ("frontend", "http-request set-header x", "set-header"), ("backend", "server s@ 10.1.0.9:80 check inter", "inter"),
        ("frontend", "default_backend", "default_backend"), ("frontend", "use_backend", "use_backend"),
        ("global", "lua-load", "lua-load"), ("frontend", "redirect location", "redirect")],
    "surplus argument": [
        ("global", "nbthread 1 2", "2"), ("port", "mtu 1500 1501", "1501"), ("defaults", "retries 3 4", "4"),
        ("frontend", "default_backend b c", "c"), ("backend", "balance roundrobin roundrobin", "roundrobin"),
        ("listen", "timeout client 1s 2s", "2s"), ("global", "daemon yes", "yes"), ("frontend", "mode http tcp", "tcp")],
    "bad number": [
        ("global", "maxconn many", "many"), ("port", "mtu 12x", "12x"), ("defaults", "retries three", "three"),
        ("frontend", "maxconn 1e3", "1e3"), ("backend", "server s@ 10.1.0.9:http", "http"),
        ("backend", "server s@ 10.1.0.9:80 weight 257", "257"), ("listen", "bind :99999", "99999"),
        ("global", "nbthread 65", "65"), ("frontend", "http-request deny deny_status 99", "99"), ("port", "vlan 4095", "4095"),
        ("frontend", "acl a@ int(5) gt five", "five"), ("backend", "server s@ 10.1.0.9:80 check rise 0", "0")],
    "bad unit": [
        ("defaults", "timeout client 5q", "5q"), ("frontend", "timeout http-request 10sec", "10sec"),
        ("backend", "timeout server 1.5s", "1.5s"), ("listen", "timeout connect 3x", "3x"),
        ("backend", "server s@ 10.1.0.9:80 check inter 2q", "2q"), ("global", "hard-stop-after 5y", "5y"),
        ("global", "tune.lua.deadline 10w", "10w"), ("backend", "timeout queue -5s", "-5s")],
    "unknown backend": [
        ("frontend", "default_backend nob@", "nob@"), ("frontend", "use_backend nob@ if TRUE", "nob@"),
        ("listen", "use_backend nob@ unless FALSE", "nob@")],
    "duplicate name": [
        ("backend", "server two 10.1.0.8:80\n server two 10.1.0.9:80", "two"), ("top", "backend b", "b"),
        ("top", "frontend f", "f"), ("top", "listen l", "l"), ("port", "device net_ring8", "net_ring0"),
        ("listen", "server one 10.1.0.8:80\n server one 10.1.0.9:80", "one"),
        ("top", "listen b", "b"), ("port", "address 10.1.0.1/24", "10.1.0.1/24")],
    "unterminated quote": [
        ("global", 'node "x', '"x'), ("port", "device 'y", "'y"), ("defaults", 'log-format "%ci', '"%ci'),
        ("frontend", "http-request set-header x 'y", "'y"), ("backend", 'server s@ 10.1.0.9:80 "check', '"check'),
        ("listen", "acl a@ path '/x", "'/x")],
    "Lua syntax error": [
        ("global", "lua-load bad@.lua", "bad@.lua"), ("global", "lua-load-per-thread bad@.lua x", "bad@.lua")],
    "unregistered lua.X": [
        ("frontend", "http-request lua.nosuch@", "lua.nosuch@"), ("listen", "http-request lua.nosuch@ if TRUE", "lua.nosuch@"),
        ("backend", "http-response lua.nosuch@", "lua.nosuch@"), ("frontend", "http-request set-header x %[lua.nosuch@]",
                                                                   "lua.nosuch@"),
        ("frontend", "http-request use-service lua.nosuch@", "lua.nosuch@")],
}

BASE = [
    ("global", "global", ["nbthread 2", "lua-load good.lua", "log stdout format raw local0"]),
    ("port", "port lan", ["device net_ring0", "address 10.1.0.1/24"]),
    ("defaults", "defaults", ["mode http", "timeout client 5s", "timeout server 5s", "timeout connect 1s"]),
    ("frontend", "frontend f", ["bind :80", "acl ok path /x", "http-request lua.good if ok", "default_backend b"]),
    ("backend", "backend b", ["balance roundrobin", "server s1 10.1.0.11:80 check", "server s2 10.1.0.12:80"]),
    ("listen", "listen l", ["bind :8080", "server s1 10.1.0.11:80"]),
]
# A second line of a name is wrong behind the first one only; of default_backend the last line holds.
LATER = ("device", "address", "server", "default_backend")
LUA = {"good.lua": 'core.register_action("good", {"http-req"}, function(txn) end)\n', "bad": "local x = = 1\n"}
NOISE = ["", "# a comment", "   ", "\t# \"another", ".if 1", ".if 0", ".if defined(HOME) && !streq(a,b)"]


class Writer:
    """Lines over files; knows where each mistake stands."""

    def __init__(self, rnd):
        self.rnd = rnd
        self.files = [[]]
        self.want = []  # [file, line, word, text]
        self.seq = 0

    def noise(self):
        while self.rnd.random() < 0.3:
            x = self.rnd.choice(NOISE)
            self.files[-1].append(x)
            if x.startswith(".if"):
                # what is not taken is not looked at
                if x == ".if 0":
                    self.files[-1].append(" this is not looked at 'at all'")
                self.files[-1].append(".endif")

    def line(self, text, word=None):
        self.noise()
        self.files[-1].append(text)
        if word is not None:
            self.want.append((len(self.files) - 1, len(self.files[-1]), word, text))

    def mistake(self, m):
        section, text, word = m
        self.seq += 1
        text, word = text.replace("@", str(self.seq)), word.replace("@", str(self.seq))
        *before, last = text.split("\n")
        for x in before:
            self.line(" " + x)
        self.line(last if section == "top" else " " + last, word)


def build(rnd):
    chosen = [rnd.choice(v) for v in KINDS.values()]
    rnd.shuffle(chosen)
    w = Writer(rnd)
    for section, head, lines in BASE:
        if w.files[-1] and rnd.random() < 0.3 and len(w.files) < 3:
            w.files.append([])
        w.line(head)
        mine = [m for m in chosen if m[0] == section]
        for x in lines:
            while mine and rnd.random() < 0.4 and not mine[-1][1].startswith(LATER):
                w.mistake(mine.pop())
            w.line(" " + x)
        for m in mine:
            w.mistake(m)
    for m in [m for m in chosen if m[0] == "top"]:
        w.mistake(m)
    return w


def told(out):
    """[(file, line, message)]; what is pointed at below a message belongs to it."""
    result = []
    for x in out.splitlines():
        m = re.match(r"\[ALERT\] +\(\d+\) : config : parsing \[([^]:]+):(\d+)\] : (.*)", x)
        if m:
            result.append([m.group(1), int(m.group(2)), m.group(3)])
        elif x.startswith("  ") and result:
            result[-1][2] += "\n" + x
    return [tuple(x) for x in result]


def one(check, seed, tmp):
    """What is wrong, or None."""
    rnd = random.Random(seed)
    w = build(rnd)
    args = []
    for i, lines in enumerate(w.files):
        end = rnd.choice(["\n", "\n", "\r\n"])
        with open(os.path.join(tmp, "%d.cfg" % i), "w", newline="") as f:
            f.write(end.join(lines) + end)
        args += ["-f", "%d.cfg" % i]
    for i in range(w.seq + 1):
        with open(os.path.join(tmp, "bad%d.lua" % i), "w") as f:
            f.write(LUA["bad"])
    p = subprocess.run([check, "-c", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp,
                       timeout=60, check=False)
    errors = told(p.stdout)
    bad = []
    for file, line, word, text in w.want:
        at = [m for f, n, m in errors if f == "%d.cfg" % file and n == line]
        if not at:
            bad.append("nothing is said of %d.cfg:%d: %s" % (file, line, text))
        elif not any(word in m for m in at):
            bad.append("%d.cfg:%d does not name '%s': %s" % (file, line, word, at))
    others = [x for x in errors if not any(x[0] == "%d.cfg" % f and x[1] == n for f, n, _, _ in w.want)]
    bad += ["not asked for: %s:%d: %s" % x for x in others]
    if len(errors) != len(KINDS):
        bad.append("%d errors" % len(errors))
    if p.returncode != 1:
        bad.append("exit code %d" % p.returncode)
    return "seed %d:\n  %s\n%s" % (seed, "\n  ".join(bad), p.stdout) if bad else None


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("check")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--files", type=int, default=200)
    opt = ap.parse_args()
    check = os.path.abspath(opt.check)
    failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        with open(os.path.join(tmp, "good.lua"), "w") as f:
            f.write(LUA["good.lua"])
        for seed in range(opt.seed, opt.seed + opt.files):
            bad = one(check, seed, tmp)
            if bad:
                failed += 1
                if failed <= 5:
                    print(bad)
    print("%d configurations with %d mistakes each, %d unexpected" % (opt.files, len(KINDS), failed))
    return 1 if failed or opt.files < 1 else 0


if __name__ == "__main__":
    sys.exit(main())
