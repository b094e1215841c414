# SPDX-License-Identifier: BSD-3-Clause
"""Raw requests under HAProxy and under sluice, with the same configuration: what differs?

A case is bytes to a frontend. Compared are the bytes that come back, whether the connection is
open or closed in the end, and what the server saw; names of header fields without regard to case,
because HAProxy sends them in lower case. tests/net/test_compat.py runs both and calls compare().

    http_answers.py ADDRESS6 RESULT.json     the client: all cases at once, within its namespace
"""
import json
import re
import socket
import sys
import threading
import time

# One frontend for each set of timeouts or rules; HAProxy's language, so both read it.
CONF = """
defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
    timeout http-request 20s
    timeout http-keep-alive 20s
    retries 1
frontend plain
    bind {vip}:80
    bind [{vip6}]:80
    default_backend be
backend be
    server s {srv}:8001
backend be6
    server s [{srv6}]:8001
frontend quick
    bind {vip}:81
    timeout client 1s
    timeout http-request 1s
    timeout http-keep-alive 1s
    default_backend quick_be
backend quick_be
    timeout server 2s
    server s {srv}:8001
frontend rules
    bind {vip}:82
    acl api path_beg /api/
    http-request set-header x-set "%[method] %[path]"
    http-request add-header x-add 1
    http-request add-header x-add 2
    http-request del-header x-del
    http-request deny if {{ path /deny }}
    http-request deny deny_status 429 if {{ path /deny429 }}
    http-request return status 200 content-type text/plain string "own" if {{ path /own }}
    http-request return status 404 content-type text/plain lf-string "%[path,upper]" hdr x-y z if {{ path /lf }}
    http-request return status 204 if {{ path /own204 }}
    http-request redirect location /new if {{ path /old }}
    http-request redirect prefix /pre code 301 if {{ path_beg /prefix }}
    http-request redirect scheme https code 308 drop-query if {{ path /tls }}
    http-request set-header connection close if {{ path_end /setclose }}
    http-response set-header x-res %[status]
    http-response del-header server
    http-response deny if {{ status 500 }}
    http-response set-header connection close if {{ status 201 }}
    use_backend be6 if {{ path_end /six }}
    use_backend dead if {{ path_end /dead }}
    use_backend %[req.hdr(x-be)] if {{ req.hdr(x-be) -m found }}
    default_backend be
backend dead
    server s {srv}:9
backend none
backend again
    option redispatch
    server d {srv}:9
    server s {srv}:8001
listen httpclose
    bind {vip}:83
    option httpclose
    option forwardfor
    server s {srv}:8001
listen serverclose
    bind {vip}:84
    option http-server-close
    option forwardfor header x-client if-none
    server s {srv}:8001
frontend bytes
    bind {vip}:85
    mode tcp
    use_backend bytes2 if {{ src 10.61.1.0/24 }} {{ dst_port 85 }}
    default_backend bytes_dead
backend bytes2
    mode tcp
    server s {srv}:8001
backend bytes_dead
    mode tcp
    server s {srv}:9
frontend pages
    bind {vip}:87
    timeout http-request 1s
    errorfile 503 {pages}/measured.http
    errorfile 502 {pages}/unmeasured.http
    errorfile 403 {pages}/old.http
    errorfile 404 {pages}/old-measured.http
    errorfile 500 {pages}/nothing.http
    errorfile 410 /dev/null
    errorfile 408 /dev/null
    errorloc 405 http://x/405
    errorloc303 429 http://x/429
    http-request deny if {{ path /p403 }}
    http-request deny deny_status 404 if {{ path /p404 }}
    http-request deny deny_status 405 if {{ path /p405 }}
    http-request deny deny_status 410 if {{ path /p410 }}
    http-request deny deny_status 429 if {{ path /p429 }}
    http-request deny deny_status 500 if {{ path /p500 }}
    http-request deny deny_status 502 if {{ path /p502 }}
    http-request deny deny_status 503 if {{ path /p503 }}
    http-request deny status 503 if {{ path /empty503 }}
    http-request return status 200 errorfile {pages}/old.http if {{ path /old }}
    http-request return status 503 default-errorfiles if {{ path /default }}
    http-request return status 200 content-type a/b file {pages}/measured.http if {{ path /file }}
    use_backend dead if {{ path_end /dead }}
    default_backend be
listen nobackend
    bind {vip}:86
frontend statuses
    bind {vip}:88
"""
# Every status with its reason. 304 is left out: HAProxy gives it a length, which is the length of
# what was not sent (RFC 9110 8.6).
STATUSES = [n for n in range(200, 600) if n != 304]
CONF += "".join("    http-request return status %d if {{ path_end /=%d }}\n" % (n, n) for n in STATUSES)

PAUSE = 0.06
END = "shutdown"


def req(path, *fields, method="GET", version="1.1", host=True, body=""):
    h = ["Host: h"] if host else []
    return "\r\n".join(["%s %s HTTP/%s" % (method, path, version)] + h + list(fields)) + "\r\n\r\n" + body


def get(answer, *fields, **kw):
    return lambda key: req("/%s/%s" % (key, answer), *fields, **kw)


def raw(text):
    return lambda key: text.replace("@", key)


def post(answer, body, *fields, **kw):
    return get(answer, "Content-Length: %d" % len(body), *fields, method="POST", body=body, **kw)


CHUNKS = "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"


def chunked(answer, body=CHUNKS, *fields):
    return get(answer, "Transfer-Encoding: chunked", *fields, method="POST", body=body)


def each_byte(make):
    return lambda key: [x for b in make(key) for x in (b, 0.001)]


# name: (port, what is sent). What is sent: a function of the key giving text, or a list of text,
# pauses (numbers) and END; or a list of such functions.
cases = {}


def case(name, what, port=80):
    assert name not in cases, name
    cases[name] = (port, what if isinstance(what, list) else [what])


for a in ("ok empty created noreason reason fields pieces close close-pieces conn-close conn-keep conn-named conn-empty "
          "http10 http10-keep http10-close chunked chunked-many chunked-ext chunked-trailers "
          "chunked-bad chunked-cut length-cut 204 304 304-length 100 103 100-twice 404 500 503 redirect garbage "
          "silent-end reset half-head bare-lf two-lengths same-lengths length-bad length-neg te-cl "
          "te-gzip fold space-colon version-2 version-12 status-99 status-600 status-4 huge-head "
          "big-head body-64k never stall extra").split():
    case("res-" + a, get(a))
    if a not in ("never", "stall", "reset", "body-64k"):
        case("res10-" + a, get(a, version="1.0"))
for a in range(0, len(STATUSES), 50):
    case("status-%d" % STATUSES[a], [get("=%d" % n) for n in STATUSES[a:a + 50]], 88)
for a in "204-length 204-chunked 103-length 103-304 102-thirty whole-reset chunked-reset".split():
    case("then-" + a, [get(a), 0.3, get("ok")])
for a in ("head", "head-chunked", "204", "304", "404"):
    case("head-" + a, [get(a if a != "404" else "head", method="HEAD"), get("ok")])
for a in ("ok", "chunked", "close", "conn-close", "204", "304", "http10", "chunked-trailers", "100", "103"):
    case("kept-" + a, [get(a), 0.3, get("ok")])
    case("piped-" + a, [get(a), get("ok")])
    case("asks-close-" + a, [get(a, "Connection: close"), get("ok")])
    case("keep10-" + a, [get(a, "Connection: keep-alive", version="1.0"), get("ok")])

# requests
case("piped-hundred", [get("ok")] * 100)
case("bytes", each_byte(get("ok")))
case("bytes-post", each_byte(post("ok", "some body")))
case("bytes-chunked", each_byte(chunked("ok")))
case("post", post("ok", "0123456789"))
case("post-0", post("ok", ""))
case("post-none", get("ok", method="POST"))
case("post-piped", [post("ok", "abc"), post("ok", "def"), get("ok")])
case("post-cut", [lambda k: post("ok", "0123456789")(k)[:-3], 0.3, END])
case("put", get("created", "Content-Length: 3", method="PUT", body="abc"))
case("get-body", get("ok", "Content-Length: 3", body="abc"))
case("delete", get("204", method="DELETE"))
case("options-star", raw("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"))
case("patch", get("ok", "Content-Length: 3", method="PATCH", body="abc"))
case("method-own", get("ok", method="FROB"))
case("method-lower", get("ok", method="get"))
case("trace", get("ok", method="TRACE"))
case("chunked-req", chunked("ok"))
case("chunked-req-trailers", chunked("ok", "1\r\na\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n", "Trailer: x-t"))
case("chunked-req-piped", [chunked("ok"), chunked("chunked"), get("ok")])
case("chunked-req-bad", chunked("ok", "zz\r\nabc\r\n0\r\n\r\n"))
case("chunked-req-neg", chunked("ok", "-3\r\nabc\r\n0\r\n\r\n"))
case("chunked-req-huge", chunked("ok", "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n"))
case("chunked-req-most", [chunked("ok", "fffffffffffff\r\nabc"), 0.3, END])
case("chunked-req-more", chunked("ok", "10000000000000\r\nabc"))
case("chunked-req-signed", chunked("ok", "7fffffffffffffff\r\nabc"))
case("chunked-req-nocrlf", chunked("ok", "3\r\nabcd\r\n0\r\n\r\n"))
case("chunked-req-zeros", chunked("ok", "0003\r\nabc\r\n000\r\n\r\n"))
case("chunked-req-zeros-many", chunked("ok", "0" * 28 + "3\r\nabc\r\n0\r\n\r\n"))
case("chunked-req-upper", chunked("ok", "A\r\n0123456789\r\n0\r\n\r\n"))
case("chunked-req-ext", chunked("ok", '3;a="b\\"c";d\r\nabc\r\n0;e=f\r\n\r\n'))
case("chunked-req-blank", chunked("ok", " 3\r\nabc\r\n0\r\n\r\n"))
case("chunked-req-plus", chunked("ok", "+3\r\nabc\r\n0\r\n\r\n"))
case("chunked-req-hex", chunked("ok", "0x3\r\nabc\r\n0\r\n\r\n"))
case("chunked-req-empty-size", chunked("ok", "\r\nabc\r\n0\r\n\r\n"))
case("chunked-req-cr", chunked("ok", "3\rabc\r\n0\r\n\r\n"))
case("chunked-req-trailer-bad", chunked("ok", "3\r\nabc\r\n0\r\nnot a field\r\n\r\n"))
case("chunked-req-trailer-length", [chunked("ok", "3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n"), get("ok")])
case("chunked-req-half", [chunked("ok"), END])
case("chunked-req-cut", [chunked("ok", "3\r\nabc\r\n"), 0.3, END])
case("expect", [get("ok", "Content-Length: 3", "Expect: 100-continue", method="POST"), 0.4, raw("abc")])
case("expect-early", [get("early", "Content-Length: 3", "Expect: 100-continue", method="POST"), 0.4])
case("expect-at-once", get("ok", "Content-Length: 3", "Expect: 100-continue", method="POST", body="abc"))
case("early", [get("early", "Content-Length: 100000", method="POST", body="abc")])
case("early-close", [get("early-close", "Content-Length: 100000", method="POST", body="abc")])
case("http10", get("ok", version="1.0"))
case("http10-nohost", get("ok", version="1.0", host=False))
case("http10-post", post("ok", "abc", version="1.0"))
case("absolute", raw("GET http://h/@/ok HTTP/1.1\r\nHost: h\r\n\r\n"))
case("absolute-other", raw("GET http://other/@/ok HTTP/1.1\r\nHost: h\r\n\r\n"))
case("query", get("ok?a=b&c=%20d"))
case("uri-utf8", raw("GET /@/ok?\xe4 HTTP/1.1\r\nHost: h\r\n\r\n"))
case("uri-hash", get("ok#frag"))
case("uri-long", get("ok?" + "a" * 8000))
case("slashes", raw("GET //@/ok HTTP/1.1\r\nHost: h\r\n\r\n"))
case("empty-lines", raw("\r\n\r\nGET /@/ok HTTP/1.1\r\nHost: h\r\n\r\n"))
case("fields-many", get("ok", *["X-%d: %d" % (i, i) for i in range(80)]))
case("fields-101", get("ok", *["X-%d: %d" % (i, i) for i in range(110)]))
case("fields-twice", get("ok", "X-A: 1", "X-B: 2", "X-A: 3"))
case("field-empty", get("ok", "X-A:"))
case("field-blanks", get("ok", "X-A: \t b \t ", "X-B:c"))
case("field-utf8", get("ok", "X-A: \xe4\xf6"))
case("cookies", get("ok", "Cookie: a=b; c=d"))
case("upgrade", [get("101", "Connection: Upgrade", "Upgrade: echo"), 0.3, raw("abc"), 0.3, END])
case("upgrade-data", [get("101", "Connection: Upgrade", "Upgrade: echo"), raw("xyz"), 0.3, END])
case("upgrade-not", [get("ok", "Connection: Upgrade", "Upgrade: echo"), get("ok")])
case("upgrade-unasked", get("101"))
ECHO = ("Connection: Upgrade", "Upgrade: echo")
case("upgrade-body", post("ok", "abc", *ECHO))
case("upgrade-body-taken", post("101", "abc", *ECHO))
case("upgrade-body-empty", [post("101", "", *ECHO), 0.3, raw("abc"), 0.3, END])
case("upgrade-chunked", chunked("ok", CHUNKS, *ECHO))
case("upgrade-body-alone", post("ok", "abc", "Upgrade: echo"))
case("conn-empty", [get("ok", "Connection:"), get("ok")])
case("conn-commas", [get("ok", "Connection: , ,"), get("ok")])
case("conn-holes", [get("ok", "Connection: ,x-a,, x-b,"), get("ok")])
case("half-close", [get("ok"), END])
case("half-close-slow", [get("pieces"), END])
case("nothing-end", [END])
case("part-end", [raw("GET / HT"), 0.1, END])
case("head-end", [raw("GET /@/ok HTTP/1.1\r\nHost: h\r\n"), 0.1, END])

# malformed, and what smuggles
case("garbage", raw("hello there\r\n\r\n"))
case("garbage-binary", raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"))
case("no-version", raw("GET /@/ok\r\n\r\n"))
case("version-2", raw("GET /@/ok HTTP/2.0\r\nHost: h\r\n\r\n"))
case("version-12", raw("GET /@/ok HTTP/1.2\r\nHost: h\r\n\r\n"))
case("version-bad", raw("GET /@/ok HTTQ/1.1\r\nHost: h\r\n\r\n"))
case("version-lower", raw("GET /@/ok http/1.1\r\nHost: h\r\n\r\n"))
case("two-spaces", raw("GET  /@/ok HTTP/1.1\r\nHost: h\r\n\r\n"))
case("space-in-uri", raw("GET /@/ok x HTTP/1.1\r\nHost: h\r\n\r\n"))
case("tab-in-line", raw("GET\t/@/ok\tHTTP/1.1\r\nHost: h\r\n\r\n"))
case("ctl-in-uri", raw("GET /@/ok\x01 HTTP/1.1\r\nHost: h\r\n\r\n"))
case("method-bad", raw("G@T /@/ok HTTP/1.1\r\nHost: h\r\n\r\n"))
case("lf-only", raw("GET /@/ok HTTP/1.1\nHost: h\n\n"))
case("cr-inside", raw("GET /@/ok HTTP/1.1\r\nHost: h\r\nX-A: b\rc\r\n\r\n"))
case("nul-inside", raw("GET /@/ok HTTP/1.1\r\nHost: h\r\nX-A: b\0c\r\n\r\n"))
case("fold", get("ok", "X-A: b\r\n c"))
case("space-colon", get("ok", "X-A : b"))
case("space-first", raw("GET /@/ok HTTP/1.1\r\n X-A: b\r\nHost: h\r\n\r\n"))
case("no-colon", get("ok", "X-A"))
case("name-bad", get("ok", "X(A: b"))
case("name-empty", get("ok", ": b"))
case("host-none", get("ok", host=False))
case("host-two", get("ok", "Host: i"))
case("host-same", get("ok", "Host: h"))
case("host-empty", get("ok", "Host:", host=False))
case("cl-cl", get("ok", "Content-Length: 3", "Content-Length: 4", method="POST", body="abcd"))
case("cl-same", get("ok", "Content-Length: 3", "Content-Length: 3", method="POST", body="abc"))
case("cl-list", get("ok", "Content-Length: 3, 3", method="POST", body="abc"))
case("cl-plus", get("ok", "Content-Length: +3", method="POST", body="abc"))
case("cl-neg", get("ok", "Content-Length: -3", method="POST", body="abc"))
case("cl-x", get("ok", "Content-Length: 3x", method="POST", body="abc"))
case("cl-hex", get("ok", "Content-Length: 0x3", method="POST", body="abc"))
case("cl-empty", get("ok", "Content-Length:", method="POST", body="abc"))
case("cl-huge", get("ok", "Content-Length: 99999999999999999999999", method="POST", body="abc"))
case("te-cl", get("ok", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST", body=CHUNKS))
case("te-gzip", get("ok", "Transfer-Encoding: gzip", method="POST", body="abc"))
case("te-gzip-chunked", get("ok", "Transfer-Encoding: gzip, chunked", method="POST", body=CHUNKS))
case("te-chunked-gzip", get("ok", "Transfer-Encoding: chunked, gzip", method="POST", body=CHUNKS))
case("te-twice", get("ok", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", method="POST", body=CHUNKS))
case("te-identity", get("ok", "Transfer-Encoding: identity", method="POST"))
case("te-case", get("ok", "transfer-encoding: CHUNKED", method="POST", body=CHUNKS))
case("te-vt", get("ok", "Transfer-Encoding: \x0bchunked", method="POST", body=CHUNKS))
case("te-10", get("ok", "Transfer-Encoding: chunked", method="POST", version="1.0", body=CHUNKS))
case("te-http10-keep", get("ok", "Transfer-Encoding: chunked", "Connection: keep-alive", method="POST",
                           version="1.0", body=CHUNKS))
case("head-40k", get("ok", "X-Big: " + "b" * 40000))
case("head-15k", get("ok", "X-Big: " + "b" * 12000))
case("head-16k", get("ok", "X-Big: " + "b" * 17000))
case("line-40k", get("ok?" + "a" * 40000))
case("connect", raw("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"))

case("te-empty", get("ok", "Transfer-Encoding:", "Content-Length: 3", method="POST", body="abc"))
case("te-quoted", get("ok", 'Transfer-Encoding: "chunked"', method="POST", body=CHUNKS))
case("te-parameter", get("ok", "Transfer-Encoding: chunked;q=1", method="POST", body=CHUNKS))
case("te-blank-name", get("ok", "Transfer-Encoding : chunked", method="POST", body=CHUNKS))
case("te-underscore", get("ok", "Transfer_Encoding: chunked", "Content-Length: 3", method="POST", body="abc"))
case("te-nul", get("ok", "Transfer-Encoding\0: chunked", method="POST", body=CHUNKS))
case("cl-zeros", [get("ok", "Content-Length: 03", method="POST", body="abc"), get("ok")])
case("cl-blanks", [get("ok", "Content-Length: \t3 \t", method="POST", body="abc"), get("ok")])
case("cl-blank-name", get("ok", "Content-Length : 3", method="POST", body="abc"))
case("cl-decimal", get("ok", "Content-Length: 3.0", method="POST", body="abc"))
case("cl-exponent", get("ok", "Content-Length: 1e1", method="POST", body="abc"))
case("cl-most", get("ok", "Content-Length: 9223372036854775808", method="POST", body="abc"))
case("body-is-request", [post("ok", "GET /evil/ok HTTP/1.1\r\nHost: h\r\n\r\n"), get("ok")])
case("takes-gzip", get("ok", "TE: gzip, trailers"))
case("takes-gzip-only", get("ok", "TE: gzip", "te: deflate"))
for name, bad in (("garbage", "garbage\r\n\r\n"), ("blank", "GET /x HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n"),
                  ("chunk", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")):
    case("piped-bad-" + name, [get("ok"), get("pieces"), raw(bad), get("ok")])
case("upgrade-piped", [get("101", "Connection: Upgrade", "Upgrade: echo"), get("ok"), 0.3, END])
case("expect-chunked", [get("ok", "Transfer-Encoding: chunked", "Expect: 100-continue", method="POST"), 0.4,
                        raw(CHUNKS)])
case("expect-get", [get("ok", "Expect: 100-continue"), 0.4, get("ok")])
case("expect-other", [get("ok", "Content-Length: 3", "Expect: 200-ok", method="POST"), 0.4, raw("abc")])
case("expect-end", [get("ok", "Content-Length: 3", "Expect: 100-continue", method="POST"), 0.2, END])

# timeouts, each with its status
case("quick-silent", [1.6], 81)
case("quick-part", [raw("GET / HT"), 1.6], 81)
case("quick-drip", [x for p in ("GET ", "/@/ok ", "HTTP/1.1\r\n", "Host: h\r\n") for x in (raw(p), 0.4)], 81)
case("quick-never", get("never"), 81)
case("quick-stall", get("stall"), 81)
case("quick-kept", [get("ok"), 1.6], 81)
case("quick-kept-part", [get("ok"), 0.3, raw("GET /"), 1.6], 81)
case("quick-body", [get("ok", "Content-Length: 9", method="POST", body="abc"), 1.6], 81)
case("quick-post-never", post("never", "abc"), 81)

# rules
for p in ("/deny", "/deny429", "/own", "/lf", "/own204", "/old", "/prefix/a?b", "/tls?x=y"):
    case("rule-" + p[1:].split("?")[0].replace("/", "-"), [(lambda key, p=p: req(p)), get("ok")], 82)
    case("rule-head-" + p[1:].split("?")[0].replace("/", "-"), [(lambda key, p=p: req(p, method="HEAD")), get("ok")], 82)
    case("rule-post-" + p[1:].split("?")[0].replace("/", "-"),
         [(lambda key, p=p: req(p, "Content-Length: 3", method="POST", body="abc")), get("ok")], 82)
for p in ("/p403", "/p404", "/p405", "/p410", "/p429", "/p500", "/p502", "/p503", "/empty503", "/old",
          "/default", "/file", "/x/dead"):
    name = "page-" + p[1:].replace("/", "-")
    case(name, [(lambda key, p=p: req(p)), get("ok")], 87)
    case(name + "-10", [(lambda key, p=p: req(p, version="1.0")), get("ok")], 87)
    case(name + "-keep10", [(lambda key, p=p: req(p, "Connection: keep-alive", version="1.0")), get("ok")], 87)
    case(name + "-head", [(lambda key, p=p: req(p, method="HEAD")), get("ok")], 87)
    case(name + "-post", [(lambda key, p=p: req(p, "Content-Length: 3", method="POST", body="abc")),
                          get("ok")], 87)
case("page-408", raw("GET / HTTP/1.1\r\nHost"), 87)
case("rule-fields", get("fields", "X-Del: 1", "x-del: 2", "X-Set: mine"), 82)
case("rule-404", [get("404"), get("ok")], 82)
case("rule-500", [get("500"), get("ok")], 82)
case("rule-res-close", [get("created"), get("ok")], 82)
case("rule-setclose", [get("setclose"), get("ok")], 82)
case("rule-six", get("six"), 82)
case("rule-dead", [get("dead"), get("ok")], 82)
case("rule-none", [get("ok", "X-Be: none"), get("ok")], 82)
case("rule-unknown-be", [get("ok", "X-Be: nosuch"), get("ok")], 82)
case("rule-again", get("ok", "X-Be: again"), 82)
case("rule-post-dead", post("dead", "abc"), 82)
case("httpclose", [get("ok"), get("ok")], 83)
case("httpclose-10", get("ok", version="1.0"), 83)
case("httpclose-xff", get("ok", "X-Forwarded-For: 1.2.3.4"), 83)
case("serverclose", [get("ok"), 0.2, get("ok")], 84)
case("serverclose-given", get("ok", "X-Client: 1.2.3.4"), 84)
case("serverclose-close", [get("close"), get("ok")], 84)
case("tcp", get("ok"), 85)
case("tcp-half", [get("ok"), END], 85)
case("tcp-half-slow", [get("pieces"), END], 85)
case("tcp-server-ends", get("close"), 85)
case("tcp-garbage", [raw("GET /@/garbage HTTP/1.1\r\n\r\n"), 0.2], 85)
case("tcp-echo", [get("101"), 0.2, raw("abc"), 0.2, END], 85)
case("tcp-reset", get("reset"), 85)
case("tcp-whole-reset", get("whole-reset"), 85)
case("tcp-half-reset", [get("whole-reset"), END], 85)
case("nobackend", [get("ok"), get("ok")], 86)
case("v6", get("ok"), 6)
case("v6-post", post("ok", "abc"), 6)

WAIT = 8.0  # seconds after which what is still open counts as open


def play(host, host6, name, out):
    port, steps = cases[name]
    s = socket.create_connection((host6, 80) if port == 6 else (host, port), timeout=10)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    got, end = [], ["open"]

    def read():
        try:
            while True:
                d = s.recv(65536)
                if not d:
                    end[0] = "closed"
                    return
                got.append(d)
        except socket.timeout:
            pass
        except OSError:
            end[0] = "closed"  # whether by FIN or RST depends on what was unread

    t = threading.Thread(target=read, daemon=True)
    t.start()
    try:
        for step in steps:
            todo = step(name) if callable(step) else step
            for x in todo if isinstance(todo, list) else [todo]:
                if isinstance(x, (int, float)):
                    time.sleep(x)
                elif x == END:
                    s.shutdown(socket.SHUT_WR)
                else:
                    s.sendall(x.encode("latin-1"))
    except OSError:
        pass  # it is ended already: what came back tells
    t.join(WAIT)
    out[name] = {"got": b"".join(got).decode("latin-1"), "end": end[0]}
    s.close()


def client(host, host6, file):
    out, threads = {}, []
    for name in cases:
        t = threading.Thread(target=play, args=(host, host6, name, out), daemon=True)
        t.start()
        threads.append(t)
        time.sleep(0.005)
    for t in threads:
        t.join(30)
    s = socket.create_connection((host, 80), timeout=10)
    s.sendall(b"GET /dump HTTP/1.0\r\n\r\n")
    text = b""
    while True:
        d = s.recv(65536)
        if not d:
            break
        text += d
    for key, reqs in json.loads(text.split(b"\r\n\r\n", 1)[1]).items():
        out.setdefault(key, {})["seen"] = reqs
    with open(file, "w") as f:
        json.dump(out, f)


def dechunk(text):
    """(body, trailer lines, rest, whole?) of a chunked body: how it was cut up does not matter."""
    body = ""
    while True:
        size, ok, after = text.partition("\r\n")
        try:
            n = int(size.split(";")[0], 16) if ok else -1
        except ValueError:
            n = -1
        if n < 0:
            return body, [], "", False
        if n == 0:
            break
        body += after[:n]
        if len(after) < n + 2:
            return body, [], "", False
        text = after[n + 2:]
    trailers = []
    while True:
        line, ok, after = after.partition("\r\n")
        if line == "":
            return body, trailers, after, bool(ok)
        trailers.append(field(line))


def field(line):
    name, colon, value = line.partition(":")
    return name.lower() + ": " + value.strip() if colon else line


def messages(text, asked_head=False):  # asked_head: the first of them answers a HEAD
    """The messages in text, each in a form that does not depend on what means nothing: the case of
    names, the order of different fields, the size of chunks, the wording of default pages."""
    out = []
    while text:
        if "\r\n\r\n" not in text or "HTTP/1." not in text.split("\r\n", 1)[0]:
            out.append(text)
            break
        head, text = text.split("\r\n\r\n", 1)
        first, *lines = head.split("\r\n")
        fields = sorted((field(x) for x in lines), key=lambda x: x.split(":")[0])
        find = {x.split(": ", 1)[0]: x.split(": ", 1)[-1] for x in fields}
        bodyless = re.match(r"HTTP/1.. (1..|204|304)", first) or asked_head
        asked_head = False
        body = ""
        if bodyless:
            pass
        elif "transfer-encoding" in find:
            body, trailers, text, whole = dechunk(text)
            body = [body, "whole" if whole else "cut"] + trailers
        elif find.get("content-length", "").isdigit():
            n = int(find["content-length"])
            body, text = text[:n], text[n:]
        elif first.startswith("HTTP/1."):
            body, text = text, ""
        if "content-type: text/html" in fields and "cache-control: no-cache" in fields and \
                "content-length" in find:
            # a page of the proxy's own: the wording differs, its length is right
            if body and not (len(body) == n and body.startswith("<html><body><h1>" + first[9:12])):
                out.append("a page that is not as long as it says")
            body = "a page" if body else ""
            fields = [x for x in fields if not x.startswith("content-length")]
        out.append([first] + fields + ([body] if body else []))
    return out


def show(name, r):
    head = (name.startswith(("head-", "rule-head-")) or
                                                     (name.startswith("page-") and name.endswith("-head"))) and not name.startswith("head-1") and \
        name not in ("head-40k", "head-end")
    return {"answer": messages(r.get("got", ""), head), "end": r.get("end"),
            "server saw": [messages(x) for x in r.get("seen", [])]}


# What differs on purpose. strict: sluice refuses with 400 or 502 what HAProxy takes; each form has been
# used to make two parties see different messages (docs/configuration.md, "Strict HTTP").
STRICT = """bare-lf same-lengths te-cl fold version-2 status-99 status-4""".split()
STRICT = ["res-" + x for x in STRICT] + ["res10-" + x for x in STRICT] + """version-2 two-spaces tab-in-line
    lf-only nul-inside fold host-none host-same cl-same cl-list te-cl te-gzip-chunked te-10
    te-http10-keep""".split()
# 431 where HAProxy has one 400 for all: the status of RFC 6585 for heads that are too large.
TOO_LARGE = "fields-101 head-16k head-40k line-40k".split()
# A client of HTTP/1.0 gets no chunked body (RFC 9112 6.1) and no interim head (RFC 9110 15.2).
HTTP10 = """res10-chunked res10-chunked-many res10-chunked-ext res10-chunked-trailers res10-chunked-cut
    res10-100 res10-103 res10-100-twice keep10-chunked keep10-chunked-trailers keep10-100
    keep10-103""".split()
OTHER = {
    "conn-holes": "members of Connection that are empty go; HAProxy takes away those it has to touch",
    "early": "an answer before the end of the request ends the exchange; HAProxy waits for the rest",
    "early-close": "as early",
    "expect-early": "as early",
    "nothing-end": "a connection that ends without a byte gets no 400; the log has its BADREQ",
    "quick-body": "the side that keeps the other waiting is blamed: 408 for the client, not 504",
}


def status(shown):
    a = shown["answer"]
    return a[0][0][9:12] if a and isinstance(a[0], list) else ""


def explained(name, a, b):
    """Is the difference of a listed case the one that the list is about?"""
    if name in STRICT:
        return status(b) in ("400", "502") and status(a) != status(b)
    if name in TOO_LARGE:
        return (status(a), status(b)) == ("400", "431")
    return name in HTTP10 or name in OTHER


def compare(ha, sl):
    """[(name, HAProxy's, sluice's)] of what differs and should not, and listed ones that do not."""
    bad = []
    listed = set(STRICT) | set(TOO_LARGE) | set(HTTP10) | set(OTHER)
    for name in cases:
        a, b = show(name, ha.get(name, {})), show(name, sl.get(name, {}))
        if (a != b) != (name in listed) or (a != b and not explained(name, a, b)):
            bad.append((name, a, b))
    return bad


if __name__ == "__main__":
    client(sys.argv[1], sys.argv[2], sys.argv[3])
