# SPDX-License-Identifier: BSD-3-Clause
"""The same configuration and the same raw requests under HAProxy and under sluice (tests/compat)."""
import importlib.util
import json
import os
import shutil

from lib import ROOT, Skip, SRV4, SRV6, VIP4, VIP6, check, log, sh, wait_for

FILE = os.path.join(ROOT, "tests/compat/http_answers.py")
spec = importlib.util.spec_from_file_location("http_answers", FILE)
answers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(answers)


def ask(net, name):
    f = net.file(name + ".json")
    sh(["/usr/bin/python3", FILE, VIP4, VIP6, f], ns=net.c, timeout=120)
    if os.environ.get("SLUICE_KEEP"):
        shutil.copy(f, os.environ["SLUICE_KEEP"])
    with open(f) as h:
        return json.load(h)


def test_http_answers(net):
    net.start(["/usr/bin/python3", os.path.join(ROOT, "tests/compat/http_origin.py"), "8001"], ns=net.s)
    net.wait_port(net.s, "::", 8001)
    conf = answers.CONF.format(vip=VIP4, vip6=VIP6, srv=SRV4, srv6=SRV6,
                               pages=os.path.join(ROOT, "tests/compat/pages"))
    net.kernel_dp(offloads=False)
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:" + os.environ["PATH"])
    if not haproxy:
        raise Skip("there is no haproxy")
    p = net.start([haproxy, "-db", "-f", net.write("haproxy.cfg", conf)], ns=net.d, log=net.file("haproxy.log"))
    wait_for("haproxy", lambda: "LISTEN" in sh(["ss", "-Hltn", "sport", "=", ":86"], ns=net.d)[1])
    ha = ask(net, "haproxy")
    p.stop()
    net.kernel_dp_off()
    p = net.sluice(net.sluice_head("af_packet") + conf)
    sl = ask(net, "sluice")
    net.stop_sluice(p)
    bad = answers.compare(ha, sl)
    for name, a, b in bad:
        log("%s:%s" % (name, " differs no more" if a == b else ""))
        for k in [k for k in a if a[k] != b[k]]:
            log("  %s\n      haproxy %s\n      sluice  %s" % (k, str(a[k])[:700], str(b[k])[:700]))
    check(len(answers.OTHER) * 50 <= len(answers.cases), "more than 2 % differ without a standard's word")
    check(not bad, "%d of %d cases are not as expected" % (len(bad), len(answers.cases)))
