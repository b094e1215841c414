#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""No real keyword of HAProxy 2.6 is "unknown" to sluice: it is there, or refused by name.

    tests/compat/conf_vocabulary.py BUILD/tools/sluice-check

Every name of vocabulary.txt is written once, on a line of its own, without arguments. What is said
about the line is not the matter, unless it is that the word is unknown.
"""
import os
import re
import subprocess
import sys
import tempfile

HEAD = {
    "global": ("global\n", " %s\n"),
    "proxy": ("listen l\n", " %s\n"),
    "section": ("", "%s x\n"),
    "bind": ("listen l\n", " bind :80 %s\n"),
    "server": ("listen l\n", " server s 10.1.0.11:80 %s\n"),
    "http-request": ("listen l\n mode http\n", " http-request %s\n"),
    "http-response": ("listen l\n mode http\n", " http-response %s\n"),
    "fetch": ("listen l\n mode http\n", " http-request set-header a %%[%s]\n"),
    "converter": ("listen l\n mode http\n", " http-request set-header a %%[str(a),%s]\n"),
}
UNKNOWN = re.compile("unknown (keyword|option|fetch|converter)|but got '|out of section|supports .* \\(got '|"
                     "expects one of")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    here = os.path.dirname(os.path.abspath(__file__))
    names = {}
    with open(os.path.join(here, "vocabulary.txt")) as f:
        for line in f:
            if not line.startswith("#"):
                kind, name = line.rstrip("\n").split(" ", 1)
                names.setdefault(kind, []).append(name)
    bad = total = 0
    for kind, (head, form) in HEAD.items():
        with tempfile.NamedTemporaryFile("w", suffix=".cfg") as f:
            f.write(head + "".join(form % re.sub(r"\*$", "(x)", n) for n in names[kind]))
            f.flush()
            out = subprocess.run([sys.argv[1], "-c", "-f", f.name], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, timeout=60).stdout
        first = head.count("\n") + 1
        total += len(names[kind])
        for line in out.split("\n"):
            m = re.search(r"parsing \[[^]]*:(\d+)\] : (.*)", line)
            if m and UNKNOWN.search(m.group(2)):
                bad += 1
                print("%s '%s': %s" % (kind, names[kind][int(m.group(1)) - first], m.group(2)[:200]))
    print("%d keywords, %d unknown" % (total, bad))
    return 1 if bad or total < 1100 else 0


sys.exit(main())
