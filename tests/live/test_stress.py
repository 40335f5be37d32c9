# SPDX-License-Identifier: BSD-2-Clause
"""Everything at once: two workers, questions by UDP and TCP, policy changes, reloads, flushes, a reader of the audit.

Threads meet each other here; built with the thread sanitizer, a race ends the daemon with an exit code of its own.
"""
import os
import subprocess
import threading
import time

import ask
from ask import Stream, discovery
from conftest import POLICY
from process import BUILD
from test_audit_live import flood

TOOL = os.path.join(BUILD, 'tests/live/tool_policy')
SECONDS = float(os.environ.get('WAYMARK_STRESS', '3'))


def test_all_at_once(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    end = time.monotonic() + SECONDS
    wrong, asked = [], [0] * 8

    def loop(f):
        def run():
            try:
                while time.monotonic() < end:
                    f()
            except Exception as e:
                wrong.append(f'{f.__name__}: {e!r}')
        return threading.Thread(target=run)

    def ask_udp(k):
        def udp():
            names = [discovery('fabrikam.local'), discovery(f'{asked[k]}.lab.contoso.com'), discovery('contoso.com'),
                     discovery(f'x{asked[k]}.fabrikam.local')] * 16
            asked[k] += flood(w, names, f'127.0.2.{k}', 32)
        return udp

    def ordinary():
        for n in range(20):
            assert ask.rcode(w.ask('www.contoso.com', 'A')) == 'NOERROR'
            assert ask.rcode(w.ask(f'no{n}.contoso.com', 'A')) == 'NXDOMAIN'

    def tcp():
        with Stream(w.port) as s:
            for n in range(20):
                s.send(ask.dns.message.make_query(f'host{n}.contoso.com', 'A'))
            for _ in range(20):
                s.receive()

    def torn():
        """A change is seen whole: port and TTL belong together."""
        answer = w.ask(discovery('stays.changed.example'))
        rr = answer.answer[0]
        assert rr[0].port - 1000 == rr.ttl - 30, answer

    def change():
        change.n += 50
        subprocess.run([TOOL, f'{w.state}/policy', str(change.n), '50'], stdout=subprocess.DEVNULL, timeout=60, check=True)

    def tool():
        w.ctl('reload')
        w.ctl('cache', 'flush', '--all')
        w.stats()
        w.json('upstreams')
        w.ctl('explain', 'fabrikam.local')
        w.ctl('audit', 'clients')
        w.ctl('policy', 'export')

    change.n = 1
    change()
    w.ctl('policy', 'rule', 'add', 'changed', 'stays.changed.example')
    threads = [loop(f) for f in (ask_udp(0), ask_udp(1), ordinary, tcp, torn, change, tool)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    assert not wrong, wrong
    audit = w.audit()
    assert audit['dropped'] == 0 and audit['questions'] >= sum(asked)
    w.stop()  # here a sanitizer speaks
