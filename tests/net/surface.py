# SPDX-License-Identifier: BSD-3-Clause
"""Which members of the Lua API may be used in which contexts, and what rows are missing.

Contexts are the letters of tests/compat/lua/driver.lua. A member needs rows that got its value in each
context of its line here, and a row that got an error in one of the contexts behind the bar; letters in
the last column are contexts where neither is possible, with the reason.
"""
import re

# B body, I init, T task, A http-request, R http-response, F fetch, C converter, V W services, K tcp-request content
EVERY = "BITARFCVW"
TXN = "ARF"

# (class, member pattern, contexts of value, contexts of error)
RULES = [
    ("core", r"register_(action|fetches|converters|service|init)", "B", "A"),
    ("core", r"sleep|msleep", "TARFCVW", "BI"),
    ("core", r"add_acl|del_acl", "ITARFCVW", "A"),
    ("core", r"tcp", EVERY, ""),
    ("core", r"done", "VWF", ""),
    ("core", r"yield", "TARFCVW", ""),
    ("core", r".*", EVERY, ""),
    ("act", r".*", EVERY, ""),
    ("Map", r"new", "BI", "TARFCVW"),
    ("Map", r".*", EVERY, ""),
    ("Regex", r".*", EVERY, ""),
    ("TXN", r"reply", "A", ""),
    ("TXN", r".*", TXN, ""),
    ("HTTP", r"req_get_headers", "ARF", ""),
    ("HTTP", r"res_get_headers", "R", ""),
    ("HTTP", r"req_.*", "A", "R"),
    ("HTTP", r"res_.*", "R", "A"),
    ("Channel", r"input|output|is_.*|may_recv|get_.*_len", "ARFK", ""),
    ("Channel", r".*", "K", "A"),
    ("Reply", r".*", "A", ""),
    ("Socket", r"connect|connect_ssl", "TARFCVW", "BI"),
    ("Socket", r"settimeout|gettimeout|close", EVERY, ""),
    ("Socket", r".*", "TARFCVW", ""),
    ("AppletHTTP", r".*", "V", ""),
    ("AppletTCP", r".*", "W", ""),
    ("Queue", r"pop_wait", "TARFCVW", ""),
    ("Concat|Queue|Shared", r".*", EVERY, ""),
]

# Letters of rows that count as another: v and D answer themselves.
SAME = {"v": "V", "w": "W", "D": "A", "E": "R", "X": "F", "k": "K"}


def rule_of(cls, name):
    for c, n, value, error in RULES:
        if re.fullmatch(c, cls) and re.fullmatch(n, name):
            return value, error
    return None


def letters(text):
    return {SAME.get(c, c) for c in text if c != "-"}


def holes(have):
    bad = []
    for (cls, name), (value, error) in sorted(have.items()):
        rule = rule_of(cls, name)
        if rule is None:
            bad.append("%s.%s: no rule says where it may be used" % (cls, name))
            continue
        if name == "done" or name.startswith("register_"):
            value += error  # it ends the call, so nothing returns
        missing = [c for c in rule[0] if c not in letters(value)]
        if missing:
            bad.append("%s.%s: no row has its value in %s" % (cls, name, "".join(missing)))
        if rule[1] and not letters(error) & set(rule[1]):
            bad.append("%s.%s: no row has its error in one of %s" % (cls, name, rule[1]))
    for c, n, _, _ in RULES:
        if not any(re.fullmatch(c, cls) and re.fullmatch(n, name) for cls, name in have):
            bad.append("surface.py: nothing is called %s.%s" % (c, n))
    return bad
