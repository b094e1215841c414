#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Command lines: does sluice end as HAProxy 2.6 does, with the same last words?

    tests/compat/command_line.py BUILD/tools/sluice-check

Each runs under haproxy and under sluice-check, which has the daemon's command line; sluice reads one
file more, with a port section, because addresses need one. Compared are exit code and last line,
without process ids and names of programs.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

FILES = {
    "d/10.cfg": "defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n",
    "d/20.cfg": "frontend f\n bind :80\n",
    "d/30.txt": "not read\n",
    "empty/readme": "no configuration\n",
    "warn.cfg": "frontend f\n bind :80\n",
    "none.cfg": "backend b\n",
    "bad.cfg": "frontend f\n bind :80\n frob\n",
    "second.cfg": "frontend g\n bind :81\n",
    "global.cfg": "global\n daemon\n",
    "ports.cfg": "port lan\n device net_ring0\n address 10.1.0.1/24\n",
}
# Both end with the same code and the same last line.
LINES = """-c -f d
-c -f d -f none.cfg
-c -f d -f second.cfg
-c -f second.cfg -f d
-c -f d/20.cfg -f d/10.cfg
-c -f warn.cfg -f warn.cfg
-c -V -f d
-c -q -f d
-c -q -V -f d
-c -f warn.cfg
-c -V -f warn.cfg
-c -dW -f warn.cfg
-c -f warn.cfg -dW
-c -dW -f d
-c -f none.cfg
-c -q -f none.cfg
-c -dW -f none.cfg
-c -f bad.cfg
-c -q -f bad.cfg
-c -V -f bad.cfg
-c -f bad.cfg -f d
-c -dM -f d
-c -dM0x55 -f d
-c -dMno-merge,tag -f d
-c -dM5,no-cache -f d
-c -dM,tag -f d
-c -dMfoo -f d
-c -dMno-merge,bar,baz -f d
-c -dM5tag -f d
-c -dM0xZZ -f d
-c -dI -f d
-c -dr -f d
-c -de -dp -dS -dG -dR -dV -f d
-c -L name -f d
-c -f d -- none.cfg
-c -n 10 -f d
-c -N 5 -f d
-c -m 500 -f d
-c -C /nosuch -f d
-c -p pid -f d
-c -d -f d
-c -W -S /tmp/x -f d
-c -sf 1 2 -f d
-c -f d -st 1
-c -db -f d
-c -D -f d
-c -f global.cfg
-c -f /dev/null
-cc 1
-cc 0
-cc !0
-cc version_atleast(2.4)
-cc feature(LUA)
-c -cc 1 -f d
-c -f empty -f d
-c -f nosuch.cfg
-c -q -f nosuch.cfg
-c -C empty -f nosuch.cfg"""
# The same code; the last line is the program's own (usage, version).
CODES = """-cc nope
-c -f empty
-q -f empty -c
-vq
-vc -f bad.cfg
-c -f d -sf x
-c -f d -st 1 2x
-c -f d -sf 0
-v
-vv
-h
-c
-c -zz -f d
-c extra -f d
-c -L
-c -f"""
# HAProxy takes these; sluice refuses them by name.
REFUSED = """-c -x /tmp/x -f d
-c -dL -f d"""


def run(cmd, where):
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=where,
                       stdin=subprocess.DEVNULL, timeout=60)
    lines = [x for x in p.stdout.split("\n") if x.strip()]
    last = lines[-1] if lines else ""
    return p.returncode, re.sub(r"\(\d+\)", "(pid)", last).replace("haproxy", "sluice")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    check = os.path.abspath(sys.argv[1])
    haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if haproxy is None:
        sys.exit("haproxy is not installed (scripts/setup installs it)")
    with open(check, "rb") as f:
        asan = b"__asan_init" in f.read()
    bad = ran = 0
    with tempfile.TemporaryDirectory() as tmp:
        for name, text in FILES.items():
            os.makedirs(os.path.dirname(os.path.join(tmp, name)), exist_ok=True)
            with open(os.path.join(tmp, name), "w") as f:
                f.write(text)
        for kind, lines in (("same", LINES), ("code", CODES), ("refused", REFUSED)):
            for args in [x.split() for x in lines.split("\n")]:
                if asan and "-m" in args:
                    continue  # the sanitizer's own memory is more than any limit
                ran += 1
                ha = run([haproxy] + args, tmp)
                alone = "-f" not in args[:-1] or (kind == "code" and "empty" in args)
                ports = [] if alone else ["-f", "ports.cfg"]
                sl = run([check] + ports + args, tmp)
                if kind == "same":
                    ok = ha == sl
                elif kind == "code":
                    ok = ha[0] == sl[0]
                else:
                    ok = (ha[0], sl[0]) == (0, 1) and "not supported yet" in sl[1]
                if not ok:
                    bad += 1
                    print("%s: %s\n  haproxy %s\n  sluice  %s" % (kind, " ".join(args), ha, sl))
    print("%d command lines, %d unexpected" % (ran, bad))
    return 1 if bad or ran < 50 else 0


sys.exit(main())
