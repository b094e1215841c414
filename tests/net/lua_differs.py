# SPDX-License-Identifier: BSD-3-Clause
"""Rows of tests/compat/lua whose answers differ: (row, what sluice answers, why)."""

DIFFERS = [
    (r"[BA]/core-(http|imf)_date-future", r"ok 253402300799",
     "HAProxy's year 9999 overflows"),
    (r"./core-parse_addr-name", r'ok "nil"',
     "names are not resolved: that would hold the thread"),
    (r"./(args-txn-get_priv-self|http-no-object)", r"object of the current transaction expected",
     "HAProxy says (null)"),
    (r"[ARF]/txn-s?f-path-1", r"'path': expects no argument", "better words"),
    # what is read at a response
    (r"R/(http-req_get_headers|txn-s?f-.*)", r"ok ",
     "HAProxy has forgotten the request by then"),
    (r"A/http-wrong-res_get_headers", r"ok \{\}", "no response: no headers; HAProxy raises a value"),
    (r"[AR]/http-wrong-.*", r"no (request|response) to edit at this point",
     "HAProxy raises whatever lies on the stack"),
    (r"A/http-req_set_method", r'ok true "PUT"',
     "the fetch method of HAProxy does not follow; the request itself does"),
    (r"A/http-req_set_query-empty", r"query-empty HTTP/1", "HAProxy leaves a '?'"),
    (r"A/http-more-req_set_(uri|path)", r"ok false", "HAProxy sends what is no request line"),
    (r"./txn-s?c-regsub-42", r'ok "abxc"|abc', "HAProxy forgets the flag i in scripts"),
    (r"A/args-register_task-[0235]", r"between 1 and 5 arguments|function expected",
     "arguments of tasks, as in HAProxy 2.8"),
    (r"./reply-empty", r'"HAProxy class Reply" 200 "OK"', "HAProxy 2.6 gives it no name"),
    (r"A/reply-table", r'404 "Gone"', "HAProxy 2.6 loses the reason"),
    (r"A/reply-bad-set_low", r"HTTP status expected", "HAProxy takes any number"),
    (r"A/loglevel-silent", r"ok", "as HAProxy 3.0"),
    # what actions return
    (r"[DE]/act-(res-)?(DENY|ERROR|INVALID)", r"HTTP/1.1 (403|500|400|502)",
     "our pages have other words; HAProxy's answer to act.DENY at a response is 200"),
    (r"D/act-ABORT", r"^\s*$", "HAProxy answers 503, though the manual says that nothing is sent"),
    (r"D/act-YIELD", r"run 3", "HAProxy waits until something else wakes the stream"),
    (r"D/act-text", r"HTTP/1.1 200", "a text is no action; HAProxy takes it as a number"),
    (r"D/done-core", r"HTTP/1.1 403", "our page has other words"),
    (r"D/done-reply", r"418 Teapot", "HAProxy 2.6 loses the reason"),
    # not there yet
    # channels
    (r"[KL]/channel-tcp(res)?-append", r'"hello\\010world\\010rest-tail"', "behind the others, as the manual says; HAProxy: in front"),
    # maps
    (r"./map-lookup-bad-(num|self)", r"(Map|table) expected", "HAProxy says (null)"),
    (r"./map-new-bad-(file|nets)", r"error .*'new': .*(No such file|line 2 of file)",
     "HAProxy says no reason, and takes the file for an empty map the second time"),
    (r"./core-patterns-bad-(set_acl|add_acl_map)", r"unknown (map|acl) file",
     "HAProxy puts values into lists, and keys without a value into maps"),
    (r"./core-patterns-bad-del_none", r"unknown map file", "HAProxy says 'acl file'"),
    (r"./txn-c-map.*", r"cannot load map at runtime; use Map.new", "better words"),
    (r"[BI]/core-m?sleep-early", r"cannot wait here: not in a call or a task", "HAProxy does nothing"),
    # services
    (r"v/applet-http-(error|length-none|length-two|nothing|send-early)", r"^HTTP/1.1 500 ",
     "our page has other words"),
    (r"v/applet-http-bad-(field|reason)", r"^HTTP/1.1 500 ", "HAProxy lets a value split the head"),
    (r"V/applet-http-fetches-http", r'ok "/V/', "HAProxy has no HTTP in services"),
    (r"V/applet-http-headers", r'"connection"', "HAProxy hides Connection"),
    (r"(V/applet-http|W/applet-tcp)-priv", r"ok \{\[1\]=5\}",
     "HAProxy has no private data unless an action was called before"),
    (r"V/applet-http-bad-(get_priv_two|start_response)", r"needs 1 arguments", "better words"),
    # arguments of fetches and converters
    (r"./txn-s?f-(bool-1|ipv[46]-.*|req_hdr-table)", r"ok ",
     "HAProxy refuses numbers and addresses as arguments"),
    (r"./txn-s?c-(add|mul|div|mod|and|xor)-.*", r"ok ", "HAProxy refuses numbers as arguments"),
    (r"[AF]/txn-s?c-field-36", r"'field': expects 2 to 3 arguments", "better words"),
    (r"./txn-s?f-req_hdr_names", r'ok "host,x-one,x-one,cookie', "HAProxy hides Connection"),
]
