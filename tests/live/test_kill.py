# SPDX-License-Identifier: BSD-2-Clause
"""Sudden ends: what was acknowledged is there, nothing is there by half, and DNS goes on."""
import os
import random
import re
import subprocess

import ask
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from faults import LONG
from process import BUILD

TOOL = os.path.join(BUILD, 'tests/live/tool_policy')
KEPT, ROUND = 100, 50000  # as in tool_policy.c
FILES = {'policy': 'data.mdb', 'audit': 'audit.db'}
UNITS = {'d': 86400, 'h': 3600, 'm': 60, 's': 1, '': 1}


def kill_after(command, lines):
    """Runs it, kills it after so many lines, at whatever it does then; all that it said."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as p:
        said = [int(p.stdout.readline()) for _ in range(lines)]
        p.kill()
        return said + [int(n) for n in p.stdout.read().split('\n')[:-1]]


def state_of(w):
    """Number of the last change that is there, after a look at all of its parts."""
    text = w.ctl('policy', 'export').out
    rule = text[text.index('  changed:', text.index('rules:')):]
    port = re.search(r'kms\.changed\.example\W+port: (\d+)', text)
    port = int(port.group(1)) if port else 1688  # defaults are not written
    ttl = re.search(r'ttl: (\w+)', rule)
    seconds = sum(int(n) * UNITS[u] for n, u in re.findall(r'(\d+)([dhms]?)', ttl.group(1) if ttl else '300'))
    last = int(re.search(r'comment: ["\']?(\d+)', rule).group(1))
    suffixes = {int(n) for n in re.findall(r'n(\d+)\.changed\.example', rule)}
    assert (port, seconds) == (1000 + last % ROUND, 30 + last % ROUND)
    assert suffixes == set(range(max(1, last - KEPT + 1), last + 1))
    return last


def test_writer_killed_100_times_leaves_whole_changes(nsd, waymark):
    """With WAYMARK_LONG=1 a thousand times."""
    w = waymark(upstream=nsd.port, policy=POLICY)
    after = 0
    for n in range(1000 if LONG else 100):
        said = kill_after([TOOL, f'{w.state}/policy', str(after + 1), '1000000'], random.randrange(1, 20))
        last = state_of(w)
        assert last >= said[-1], 'a change was acknowledged and is gone'
        answer = w.ask(discovery(f'n{last}.changed.example'))
        assert ask.targets(answer) == [f'kms.changed.example.:{1000 + last % ROUND}']
        if n % 10 == 0:
            w.ctl('policy', 'undo', '--dry-run')  # what comes out has the digest of the log
        after = last
    assert w.find('fabrikam.local') == HOSTS


def test_daemon_killed_keeps_policy_and_what_was_committed(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    for n in range(50):
        w.ask(discovery(f's{n}.example'))
    assert w.audit()['recorded'] == 50
    w.kill()
    assert len(w.ctl('audit', 'events', '--suffix', '*.example', '--json').out.splitlines()) == 50
    w.start()
    assert w.find('fabrikam.local')
    assert w.audit()['recorded'] == 1


@pytest.mark.parametrize('store', ['policy', 'audit'])
@pytest.mark.parametrize('size', [0, 100, 5000, 12288])
def test_damaged_store_does_not_stop_dns(nsd, waymark, store, size):
    w = waymark(upstream=nsd.port, policy=POLICY)
    w.find('fabrikam.local')
    w.audit()
    w.stop()
    path = f'{w.state}/{store}/{FILES[store]}'
    os.truncate(path, size)
    w.start()
    assert ask.addresses(w.ask('www.contoso.com', 'A')) == ['10.0.0.80']
    assert w.find('contoso.com') == ['kms01.contoso.com.:1688']
    if size == 0 and store == 'audit':
        return  # an empty file is a new store
    status = w.ctl('status', ok=7)
    assert f'! {store}' in status.out and path.rsplit('/', 1)[0] in status.out, status
    # What is broken is left as it is: it may hold what somebody needs.
    assert os.path.getsize(path) == size
