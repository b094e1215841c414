#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every family of features that scenarios test through sockets of the host also has a test over a port.

The host's sockets are the side door: what only they carry has not been shown to work. This lists the
families (the folders of tests/scenario) that have no test over a port, and is content with none. Each
family names what must stand in the source of such a test: words of its configuration or its commands.
Exit code 0: none is listed.
"""
import ast
import functools
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NET = os.path.join(HERE, "../net")
COMPAT = os.path.join(HERE, "../compat")
SCENARIO = os.path.join(HERE, "../scenario")

# folder: {test in tests/net: what it must say about the family}. Words are looked for in what the test itself uses:
# see Module.reach().
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


class Module:
    """One Python file: what its top-level names stand for."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            self.tree = ast.parse(f.read())
        self.named, self.others = {}, {}
        for node in self.tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.named.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.Assign):
                for name in (n for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)):
                    self.named.setdefault(name.id, []).append(node.value)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                self.imports(node)

    def imports(self, node):
        for alias in node.names:
            name = alias.asname or alias.name
            where = node.module if isinstance(node, ast.ImportFrom) else alias.name
            for folder in (NET, COMPAT):
                path = os.path.join(folder, "%s.py" % where)
                if where != "lib" and os.path.exists(path):
                    self.others[name] = (path, alias.name if isinstance(node, ast.ImportFrom) else None)

    def reach(self, name, done):
        """The words of a top-level name and of all that it uses, here and in what is imported from beside it:
        strings and names, without comments and without what only describes."""
        if name in self.others:
            path, other = self.others[name]
            if other is None:
                return whole(path, done)
            return module(path).reach(other, done)
        out = []
        for node in self.named.get(name, []):
            if (self, id(node)) not in done:
                done.add((self, id(node)))
                out += self.words(node, done)
        return out

    def words(self, top, done):
        out = []
        described = {id(n.body[0].value) for n in ast.walk(top) if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and
                     isinstance(n.body[0], ast.Expr)}
        for n in ast.walk(top):
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in described:
                out.append(n.value)
                for path in re.findall(r"^tests/compat/\w+\.py$", n.value):  # it runs there as a program
                    out += whole(os.path.join(HERE, "../..", path), done)
            elif isinstance(n, ast.Name):
                out += [n.id] + self.reach(n.id, done)
            elif isinstance(n, ast.Attribute):
                out.append(n.attr)
        return out


@functools.lru_cache(None)
def module(path):
    return Module(path)


def whole(path, done):
    """All that a file says."""
    m = module(path)
    if m in done:
        return []
    done.add(m)
    return m.words(m.tree, done)


def tests():
    """name: what it says."""
    found = {}
    for name in sorted(os.listdir(NET)):
        if not re.fullmatch(r"test_\w+\.py", name):
            continue
        m = module(os.path.join(NET, name))
        for f in m.named:
            if f.startswith("test_"):
                found.setdefault(f, []).append(m.reach(f, set()))
    return found


def over_port(said):
    return "sluice_head" in said or any("\nport " in s for s in said)


def says_so(said, word):
    """Whole words: "-c" is in no "-cc"."""
    word = re.compile(r"(?<![\w-])%s(?![\w-])" % re.escape(word))
    return any(word.search(s) for s in said)


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
            elif not any(over_port(said) for said in have[test]):
                bad.append("%s: %s has no port" % (family, test))
            elif not any(over_port(said) and says_so(said, says) for said in have[test]):
                bad.append("%s: nothing of '%s' in %s" % (family, says, test))
    bad += ["%s: is no folder of tests/scenario" % f for f in FAMILIES
            if not os.path.isdir(os.path.join(SCENARIO, f))]
    for line in bad:
        print(line)
    print("families: %d, without a test over a port: %d" % (len(FAMILIES), len(bad)))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
