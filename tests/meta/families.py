#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every family of features that scenarios test through sockets of the host also has a test over a port.

The host's sockets are the side door: what only they carry has not been shown to work. This lists the
families (the folders of tests/scenario) that have no test over a port, and is content with none. Each
family names what must stand in the source of such a test: words of its configuration or its commands.
Exit code 0: none is listed.
"""
import ast
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NET = os.path.join(HERE, "../net")
SCENARIO = os.path.join(HERE, "../scenario")

# folder: {test in tests/net: what it must say about the family}. Words are looked for in its file and in
# the configuration that file takes from tests/compat.
FAMILIES = {
    "acl": {"test_http_answers": "acl api path_beg"},
    "backend": {"test_http_answers": "use_backend", "test_state": "set server"},
    "check": {"test_kill": "check inter"},
    "cli": {"test_words": "stats socket", "test_sessions": "shutdown session", "test_errors": "show errors"},
    "conf": {"test_check_modes": "-c"},
    "condition": {"test_conditions": ".if feature"},
    "converter": {"test_http_answers": "path,upper"},
    "fetch": {"test_http_answers": "req.hdr(x-be)"},
    "http": {"test_http_answers": "chunked", "test_chunked": "chunked"},
    "log": {"test_stalled_targets": "log-format"},
    "lua": {"test_lua": "lua-load", "test_same": "lua"},
    "option": {"test_http_answers": "option forwardfor"},
    "reload": {"test_nothing_lost": "reload"},
    "request": {"test_http_answers": "http-request redirect location", "test_content": "wait-for-body"},
    "response": {"test_http_answers": "http-response set-header"},
    "signal": {"test_soft_stop": "SIGUSR1"},
    "socket": {"test_host_transfer": "bind 127.0.0.1"},
    "tcp": {"test_transfer_tcp": "mode tcp", "test_content": "tcp-response content", "test_http_answers": "mode tcp"},
    "timeout": {"test_http_answers": "timeout http-request 1s"},
}


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def tests():
    """name: source of its file, with what it imports from beside it and from tests/compat."""
    found = {}
    for name in sorted(os.listdir(NET)):
        if not re.fullmatch(r"test_\w+\.py", name):
            continue
        text = read(os.path.join(NET, name))
        functions = [n.name for n in ast.parse(text).body
                     if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
        for other in re.findall(r"from (test_\w+) import", text):
            text += read(os.path.join(NET, other + ".py"))
        for other in re.findall(r"tests/compat/\w+\.py", text):
            text += read(os.path.join(HERE, "../..", other))
        for f in functions:
            found[f] = text
    return found


def over_port(text):
    return "sluice_head(" in text or "\nport " in text


def main():
    have = tests()
    bad = []
    for family in sorted(os.listdir(SCENARIO)):
        if not os.path.isdir(os.path.join(SCENARIO, family)) or family.startswith("_"):
            continue
        named = FAMILIES.get(family, {})
        if not named:
            bad.append("%s: no test over a port is named" % family)
        for test, says in named.items():
            if test not in have:
                bad.append("%s: %s does not exist" % (family, test))
            elif not over_port(have[test]):
                bad.append("%s: %s has no port" % (family, test))
            elif says not in have[test]:
                bad.append("%s: nothing of '%s' around %s" % (family, says, test))
    bad += ["%s: is no folder of tests/scenario" % f for f in FAMILIES
            if not os.path.isdir(os.path.join(SCENARIO, f))]
    for line in bad:
        print(line)
    print("families: %d, without a test over a port: %d" % (len(FAMILIES), len(bad)))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
