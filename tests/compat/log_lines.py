#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The same traffic through haproxy and through sluice, with the same log formats: what lines differ?

    log_lines.py SLUICE [HAPROXY]

Every format stands in a frontend of its own; requests go through each of them one after another, so
that line i of one program is line i of the other. What cannot be equal is masked: dates, ports,
process numbers, times above zero, and the size of pages of our own. Exit code 0: no line differs.
"""
import re
import socket
import subprocess
import sys
import tempfile
import threading

HTTP = r"""
option httplog
option httplog clf
log-format "  a   b%hr  %hs c  %ST "
log-format "%{+Q}o %HM %HP [%HQ] %HU %HV %HPO %r %ID %CC %b %s %ST %ci %cp %si %sp %ts"
log-format "%HM %HP [%HQ] %HU %HV %HPO %r %ID %CC %CS %b %s %ST %ci %cp %si %sp %ts %tsc"
log-format "%{+X}o %ci %cp %fi %fp %si %sp %bi %rt %pid %ST %B %s"
log-format "%bi:%bp %fi:%fp %si:%sp %f %ft %U %B %rc"
log-format "%Th %Ti %Tq %TR %Tw %Tc %Tr %Td %Ta %Tt %Tu %lc %rt"
log-format "%T|%Tl|%t|%tr|%trg|%trl|%Ts|%ms|%H"
log-format "%{+E}r %{+E}HU %{+X}[src] %{+Q}[src] %{-Q}[fe_name] 100%% %[src,ipmask(8)] %[be_name]/%[srv_name]"
log-format "%[capture.req.method] %[capture.req.uri] %[capture.req.ver] %[capture.res.ver] %[method] %[status]"
http-request set-var(txn.b) req.hdr(x-b); http-request set-var(txn.a) req.hdr(x-a); log-format "%{+Q,+E}o %[var(txn.b)] %[var(txn.a)] %[var(txn.none)]"
http-request set-var(txn.b) req.hdr(x-b); log-format "%[var(txn.b)]%{+M}[var(txn.none)]%{-M}[var(txn.none)]|%{-M}ID|%[var(txn.b),length]"
capture request header X-B len 6; capture request header X-A len 10; capture request header None len 4; capture response header X-Res len 2; option httplog
capture request header X-B len 6; capture request header X-A len 10; capture request header None len 4; capture response header X-Res len 9; log-format "%hr %hs|%hrl|%hsl|%{+Q}hr|%{+Q}hrl|%[capture.req.hdr(0)] %[capture.req.hdr(2)] %[capture.res.hdr(0)] %{+E}hr"
capture request header X-B len 60; option httplog clf
declare capture request len 5; http-request capture path len 6; http-request capture req.hdr(x-b) id 0; log-format "%hr"
declare capture response len 5; http-response capture res.hdr(x-res) id 0; log-format "%hs %hr"
error-log-format "ERR %ci %r %ST"; option httplog
option dontlog-normal; option httplog
option log-separate-errors; option httplog
option logasap; log-format "%ST %Ta %B %tsc %{+Q}r"
unique-id-format %{+X}o\ %ci-%fi-%rt; unique-id-header X-Uid; log-format "%ID %[unique-id] %hr"
unique-id-format %[src]/%[path]x; unique-id-header X-Uid; log-format "%ID"
no log; log 127.0.0.1:@LOG@ len 8192 format rfc5424 local1; log-tag mine; log-format-sd "%{+Q,+E}o [x@1 a=%ci b=%[fe_name] h=%{-Q}HM]"; log-format "%ST"
no log; log 127.0.0.1:@LOG@ format rfc3164 local7 info err; log-tag mine; log-format "%ST"
""".strip().splitlines()
TCP = r"""
option tcplog
log-format "%ci %b/%s %ts %B %U %Tw/%Tc/%Tt %Td %Th %ac/%fc/%bc/%sc/%rc %sq/%bq %ST %f %ft %lc"
log-format "%bi:%bp %si:%sp %{+X}fi %[src] %[fe_name]"
option logasap; log-format "%ts %B %Tt"
""".strip().splitlines()
BAD = ["%HM", "%zz", "%ci%", "%[req.hdr(host)]", "%[path]", "%[nothing]", "%[src", "%{+Q}"]

LATE = 2.0  # seconds after which a line does not come any more

REQUESTS = [
    b"GET /a%20b/c?x=1&y=2 HTTP/1.1\r\nHost: h\r\nX-B: h\"q]\\z|{\r\nX-A: v\x09w\r\n\r\n",
    b"GET http://h/abs?q HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    b"GET /500 HTTP/1.1\r\nHost: h\r\nX-B: a\r\nX-B: b\r\n\r\n",
    b"HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n",
    b"BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /deny HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
]


def ports_for(n):
    """All at once, so that none is given twice."""
    socks = [socket.socket() for _ in range(n)]
    for s in socks:
        s.bind(("127.0.0.1", 0))
    out = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return out


class Origin:
    """Answers each head, and tells what unique-id it saw by nothing but the log."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(64)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            conn, _ = self.sock.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        got = b""
        try:
            while data := conn.recv(65536):
                got += data
                while b"\r\n\r\n" in got:
                    head, got = got.split(b"\r\n\r\n", 1)
                    status = b"500 Bad" if b"/500" in head else b"200 OK"
                    body = b"" if head.startswith(b"HEAD") else b"hello"
                    conn.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\nX-Res: r|1\r\n\r\n" + body)
        except OSError:
            pass
        conn.close()


def rules(line):
    return "".join("    %s\n" % w.strip() for w in line.split(";"))


def config(origin, log, ports):
    text = "global\n    nbthread 1\n    log 127.0.0.1:%d len 8192 format raw local0\n" % log
    text += "defaults\n    mode http\n    log global\n" + "".join(
        "    timeout %s 10s\n" % t for t in ("client", "connect", "server"))
    for i, line in enumerate(HTTP):
        text += "frontend f%d\n    bind 127.0.0.1:%d\n%s    http-request deny if { path /deny }\n" \
                "    default_backend be\n" % (i, ports[i], rules(line.replace("@LOG@", str(log))))
    for i, line in enumerate(TCP, len(HTTP)):
        text += "frontend f%d\n    mode tcp\n    bind 127.0.0.1:%d\n%s    default_backend bt\n" % (
            i, ports[i], rules(line))
    return text + "backend be\n    server s1 127.0.0.1:%d\nbackend bt\n    mode tcp\n    server t1 127.0.0.1:%d\n" % (
        origin, origin)


def answer(sock, head_only):
    got = b""
    while b"\r\n\r\n" not in got:
        data = sock.recv(65536)
        if not data:
            return
        got += data
    head, body = got.split(b"\r\n\r\n", 1)
    want = int((re.search(rb"(?i)content-length: (\d+)", head) or [0, 0])[1])
    while not head_only and len(body) < want:
        data = sock.recv(65536)
        if not data:
            return
        body += data


def drive(where, http, read):
    """Sends all requests to one frontend; the lines come by read()."""
    lines = []
    for r in REQUESTS if http else REQUESTS[:1]:
        with socket.create_connection(("127.0.0.1", where), timeout=20) as c:
            for _ in range(2 if r is REQUESTS[0] else 1):  # the second one on a kept connection
                c.sendall(r)
                answer(c, r.startswith(b"HEAD"))
                if http:
                    lines.append(read())
    if http:
        with socket.create_connection(("127.0.0.1", where), timeout=20) as c:
            c.sendall(b"BAD\r\n\r\n")
            while c.recv(4096):
                pass
    lines.append(read())
    return lines


def run(program, folder):
    log = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    log.bind(("127.0.0.1", 0))
    ports = ports_for(len(HTTP + TCP))
    path = folder + "/log.cfg"
    with open(path, "w", encoding="utf-8") as f:
        f.write(config(Origin().port, log.getsockname()[1], ports))
    p = subprocess.Popen([program, "-f", path, "-db"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    out = {}
    try:
        wait(ports[0], p)

        def read():
            # a line that is not written has no other sign than that it does not come
            log.settimeout(LATE)
            try:
                return log.recv(65536).decode("latin-1")
            except socket.timeout:
                return "(no line)"

        with socket.create_connection(("127.0.0.1", ports[0]), timeout=20) as c:
            c.sendall(b"GET /sync HTTP/1.1\r\nHost: h\r\n\r\n")
            answer(c, False)
        while "/sync" not in read():
            pass  # what waiting for the port made, and what is said at start
        for i, where in enumerate(ports):
            out[i] = drive(where, i < len(HTTP), read)
    finally:
        p.terminate()
        p.wait(20)
        log.close()
    return out


def wait(where, p):
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", where), timeout=5).close()
            return
        except OSError:
            if p.poll() is not None:
                sys.exit("ended: " + p.stderr.read().decode())
            threading.Event().wait(0.05)
    sys.exit("port %d does not open" % where)


def masked(line, line_format):
    line = line.rstrip("\n")
    line = re.sub(r"\b\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(\.\d{3})?", "DATE", line)
    line = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d", "DATE", line)
    line = re.sub(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d", "DATE", line)
    line = re.sub(r"mine(\[\d+\]| \d+)", "PROGRAM", line)
    line = re.sub(r"\b1\d{9}\b", "SECONDS", line)
    line = re.sub(r"\b\d{5}\b", "PORT", line)         # of the client, of frontends
    if "+X" in line_format:                            # ports, pid, the request's number
        line = re.sub(r"\b[0-9A-F]{4}\b", "HEX", line)
    if "%ms" in line_format:
        line = re.sub(r"\|\d{3}\|", "|MS|", line)
    if "clf" in line_format:                           # milliseconds, times; connections that are closing
        line = re.sub(r"PORT \d{3} ", "PORT MS ", line)
        line = re.sub(r"(?<=\") (-1|\d+) (-1|\d+) (-1|\d+) (-1|\d+) \d+ (....) \d+ \d+ ", times, line)
    elif "option" in line_format:
        line = re.sub(r" ([-\d]+)/([-\d]+)/([-\d]+)/([-\d]+)/([-\d]+) ", times, line)
        line = re.sub(r"(?<=t1) ([-\d]+)/([-\d]+)/\d+ ", times, line)
    elif "%T" in line_format:
        line = re.sub(r"(?<![-.\d])\d+(?![.\d])", "N", line)
    # Bytes of an answer of our own; last, so that no millisecond is taken for them.
    line = re.sub(r"\b(190|192)\b", "PAGE", line)
    return re.sub(r"\+\d+", "+N", line) if "logasap" in line_format else line


def times(m):
    """Reached or not is all that is compared of a time."""
    return " ".join(x if x and not re.fullmatch(r"\d+", x) else "N" for x in m.groups()) + " "


# What differs, and why it stays: (format, line): a part of ours.
KNOWN = {
    # HAProxy no longer knows a method by then that is not one of its own list
    "%[capture.req.method]": "BREW /pot HTTP/1.1 HTTP/1.1 BREW 200",
}


def is_known(text, line):
    return any(k in text and line.startswith(v) for k, v in KNOWN.items())


def compare(ha, sl):
    bad = 0
    for i, text in enumerate(HTTP + TCP):
        for j, (h, s) in enumerate(zip(ha[i], sl[i])):
            if masked(h, text) != masked(s, text) and not is_known(text, s):
                bad += 1
                print("%s\n  line %d\n  haproxy %r\n  sluice  %r" % (text, j, h, s))
    return bad


def verdicts(haproxy, sluice, folder):
    """Formats that are refused: by both."""
    bad = 0
    for text in BAD:
        mode = "tcp" if text == "%HM" else "http"
        path = folder + "/bad.cfg"
        with open(path, "w", encoding="utf-8") as f:
            f.write("defaults\n  mode %s\n  timeout client 1s\n  timeout server 1s\n  timeout connect 1s\n"
                    "frontend f\n  bind 127.0.0.1:1\n  log 127.0.0.1 local0\n  log-format \"%s\"\n" % (mode, text))
        rc = [subprocess.run([p, "-c", "-q", "-f", path], capture_output=True, check=False).returncode
              for p in (haproxy, sluice)]
        if rc != [1, 1]:
            bad += 1
            print("log-format %s: haproxy ends with %d, sluice with %d" % (text, *rc))
    return bad


def main():
    sluice = sys.argv[1]
    haproxy = sys.argv[2] if len(sys.argv) > 2 else "/usr/sbin/haproxy"
    with tempfile.TemporaryDirectory() as folder:
        bad = verdicts(haproxy, sluice, folder)
        ha, sl = run(haproxy, folder), run(sluice, folder)
        bad += compare(ha, sl)
    lines = sum(len(v) for v in ha.values())
    print("log_lines: %d lines of %d formats, %d differ" % (lines, len(HTTP + TCP), bad))
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
