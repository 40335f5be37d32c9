# SPDX-License-Identifier: BSD-2-Clause
"""Descriptors that run out, disks that are full, settings that are wrong again and again: answers go on, nothing spins, all heals."""
import contextlib
import itertools
import json
import os
import resource
import signal
import socket
import threading
import time

import ask
import pytest
from ask import Stream, discovery
from conftest import HOSTS, POLICY
from faults import LONG, idles
from load import Asked, ask_all, tell
from process import SLOW, wait_for
from test_audit_live import fill, on_small_disk
from test_policy_live import Asker
from upstreams import Fake, Silent, reply

FILES = 64
IDLE = 0.5 if SLOW else 0.05  # of a processor


def answer(q, _):
    return reply(q, '300 A 192.0.2.1') if q.question[0].rdtype == 1 else reply(q, rcode='NXDOMAIN', soa=True)


class Clients:
    """TCP connections that are kept; the kernel takes those that the daemon cannot."""

    def __init__(self, w, n):
        self.made = [Stream(w.port, f'127.0.0.{10 + k % 8}') for k in range(n)]

    def finish(self):
        for s in self.made:
            s.close()
        self.made = []


@pytest.fixture
def poor(waymark, peers):
    """A daemon with few descriptors."""
    good, dead = peers(Fake, answer), peers(Silent)
    w = waymark({'server': {'workers': 2}, 'limits': {'tcp-idle': '60s', 'tcp-per-client': 1000, 'discard-timeout': 0},
                 'forward': [{'zone': '.', 'servers': [f'127.0.0.1:{good.port}']},
                             {'zone': 'dead.example', 'servers': [f'127.0.0.1:{dead.port}']}]}, policy=POLICY, start=False)
    w.before = ['prlimit', f'--nofile={FILES}']
    w.start()
    assert resource.prlimit(w.daemon.pid, resource.RLIMIT_NOFILE) == (FILES, FILES)
    assert ask.addresses(w.ask('cached.example', 'A')) == ['192.0.2.1']
    assert w.find('fabrikam.local') == HOSTS
    return w


def descriptors(w):
    return len(os.listdir(f'/proc/{w.daemon.pid}/fd'))


def is_well(w):
    """But for the server that is dead."""
    said = w.ctl('status', '--json', ok=False)
    return said.code in (0, 7) and all('no server of route dead.example' in p for p in said.json()['problems'])


def works(w, n):
    """Everything that needs a descriptor."""
    return ask.addresses(w.ask(f'new{n}.example', 'A')) == ['192.0.2.1'] and ask.rcode(w.tcp(f'new{n}.example', 'A')) == 'NOERROR' \
        and w.find(f'new{n}.lab.contoso.com') == HOSTS and is_well(w)


def test_tcp_clients_leave_descriptors_to_the_questions(poor, peers):
    w = poor
    peers(Clients, w, 3 * FILES)
    wait_for(lambda: w.stats()['tcp_connections'] >= 3 * FILES, 'all were taken, and the longest idle gave way')
    assert descriptors(w) < FILES - 10, w.stats()
    assert works(w, 0)
    new = ask_all(w.port, [Asked(f'more{n}.example', 'A') for n in range(20)], 100, repeats=(), patience=6)
    assert all(q.good for q in new), tell(new)


def test_no_descriptor_is_left(poor):
    w = poor
    w.api('GET', '/v1/status')
    used = max(map(int, os.listdir(f'/proc/{w.daemon.pid}/fd'))) + 1
    resource.prlimit(w.daemon.pid, resource.RLIMIT_NOFILE, (used, FILES))
    holes = used - descriptors(w)
    try:
        for _ in range(2):
            assert w.api('GET', '/v1/status')[0] == 200, 'the administrator has a look'
        with contextlib.ExitStack() as waiting:  # which cannot be taken: a client, and one of the API
            for _ in range(holes + 3):
                waiting.enter_context(Stream(w.port))
            control = waiting.enter_context(socket.socket(socket.AF_UNIX))
            control.connect(f'{w.run}/control.sock')
            wait_for(lambda: descriptors(w) == used, 'no descriptor left')
            before = w.said().count('\n')
            idle = idles(w.daemon.pid, 1.5)
            lines = w.said().count('\n') - before
            assert ask.addresses(w.ask('cached.example', 'A')) == ['192.0.2.1']
            assert w.find('fabrikam.local') == HOSTS
            new = ask_all(w.port, [Asked(f'more{n}.example', 'A') for n in range(20)], 100, repeats=(), patience=6)
            assert all(q.rcode in (0, 2) for q in new), tell(new)
    finally:
        resource.prlimit(w.daemon.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    print(f'\nno descriptor left: idle {idle:.1%}, {lines} lines')
    assert idle < IDLE and lines <= 2, (idle, w.said())
    wait_for(lambda: works(w, 1), 'all is well', patience=15)


def test_questions_to_a_dead_server_that_take_all_descriptors(poor):
    w = poor
    names = [f'n{n}.dead.example' for n in range(10 * FILES)]
    before = w.said().count('\n')
    ended = threading.Event()

    def flood():
        while not ended.is_set():
            ask_all(w.port, [Asked(n, 'A', f'127.0.1.{k % 50 + 1}') for k, n in enumerate(names)], 2000, repeats=(), patience=0.3)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        wait_for(lambda: descriptors(w) == FILES, 'no descriptor left')
        for _ in range(20):
            assert ask.addresses(w.ask('cached.example', 'A')) == ['192.0.2.1']
            assert w.find('fabrikam.local') == HOSTS
    finally:
        ended.set()
        thread.join()
    begun = time.monotonic()
    wait_for(lambda: works(w, 2), 'all is well', patience=15)
    print(f'\nwell {time.monotonic() - begun:.1f} s later')
    lines = w.said().count('\n') - before
    assert lines <= 10, w.said()


# --- settings that are wrong

STORMS = 1000 if LONG else 50
WRONG = ['garbage: [', '{"server": {"listn": []}}', '{"cache": {"size": "64Q"}}', '{"forward": [{"zone": ".", "servers": ["nowhere"]}]}']


class Addresses:
    """Asks for addresses, of another name each time where there is an {n} in it."""

    def __init__(self, w):
        self.w, self.n = w, 0

    def ask(self, name):
        self.n += 1
        return self.w.ask(name.format(n=self.n), 'A')


def test_reload_each_100_ms_with_half_of_the_files_wrong(waymark, peers):
    w = waymark(upstream=peers(Fake, answer).port, policy=POLICY)
    askers = [Asker(Addresses(w), 'cached.example', lambda a: ask.addresses(a) == ['192.0.2.1']),
              Asker(Addresses(w), 'new{n}.example', lambda a: ask.addresses(a) == ['192.0.2.1']),
              Asker(w, discovery('fabrikam.local'), lambda a: ask.targets(a) == HOSTS)]
    for a in askers:
        a.start()
    rates = itertools.cycle(('5000', '6000'))
    try:
        for n in range(STORMS):
            text = WRONG[n // 2 % len(WRONG)] if n % 2 else json.dumps({**w.settings, 'audit': {**w.settings['audit'], 'max-rate': next(rates)}})
            with open(f'{w.file}.new', 'w') as f:
                f.write(text)
            os.rename(f'{w.file}.new', w.file)
            w.daemon.send(signal.SIGHUP)
            time.sleep(0.1)  # it is the rate that is asked for
        # What a wrong file leaves as it was:
        w.settings['access'] = [{'net': '127.0.0.3/32', 'action': 'refuse'}]
        w.write_settings()
        w.ctl('reload')
        with open(w.file, 'w') as f:
            f.write(WRONG[0])
        before = w.said().count('settings not changed')
        w.daemon.send(signal.SIGHUP)
        wait_for(lambda: w.said().count('settings not changed') > before, 'a file that is refused')
        assert ask.rcode(w.ask('cached.example', 'A', source='127.0.0.3')) == 'REFUSED'
    finally:
        for a in askers:
            a.end()
    said, generation = w.said(), w.api('GET', '/v1/status')[1]['settings']['generation']
    print(f'\n{STORMS} signals: generation {generation}, {said.count("settings not changed")} files refused, {sum(a.asked for a in askers)} questions')
    assert generation > STORMS / 5 and said.count('settings not changed') > STORMS / 5
    for a in askers:
        assert a.asked > 0 and not a.wrong, (len(a.wrong), a.wrong[0])


# --- disks that are full

def lines_of(path):
    with open(path) as f:
        return sum('_vlmcs' in line for line in f)


def test_full_disk_refuses_changes_and_nothing_else(nsd, waymark, namespace):
    """State, an output and the log on one small disk, as they are where everything is below /var."""
    w = waymark({'cache': {'persist': True}}, upstream=nsd.port, start=False)
    w.settings['audit']['outputs'] = [{'to': f'file:{w.state}/events.log'}]
    w.write_settings()
    inside, folder = on_small_disk(w, namespace, '3m')
    w.policy(POLICY, **inside)
    assert w.find('fabrikam.local') == HOSTS
    filler = fill(folder)
    for words in (['policy', 'rule', 'add', 'merged-domains', *[f'n{n}.example' for n in range(200)]],
                  ['policy', 'fill', *[f'm{n}.example' for n in range(200)], '--host', 'kms09.contoso.com'],
                  ['backup', f'{w.state}/backup']):
        done = w.ctl(*words, ok=1, **inside)
        assert 'No space left' in done.err or 'is the disk full' in done.err, done
    assert w.json('status', ok=False)['policy']['serial'] == 1
    for n in range(20):
        assert ask.rcode(w.ask(discovery(f'n{n}.example'))) == 'NXDOMAIN'
        assert w.find(f'f{n}.lab.contoso.com') == HOSTS
    assert ask.addresses(w.ask('www.contoso.com', 'A')) == ['10.0.0.80']
    w.ctl('reload')
    wait_for(lambda: 'No space left' in w.ctl('status', ok=7).out, 'status says so')
    assert idles(w.daemon.pid) < 0.5
    os.unlink(filler)
    w.ctl('policy', 'rule', 'add', 'merged-domains', 'n1.example', **inside)
    assert w.find('n1.example') == HOSTS
    wait_for(lambda: w.ctl('status', ok=False).code == 0, 'a status without problems')
    audit = w.audit()
    assert audit['dropped'] == 0 and audit['recorded'] == audit['questions'] >= 42
    wait_for(lambda: lines_of(f'{folder}/events.log') >= audit['recorded'], 'the output has what came meanwhile')
    assert w.said().count('\n') < 20, w.said()


def test_log_on_a_full_disk_hinders_nothing(nsd, waymark):
    """/dev/full: standard error takes nothing, at the start and later."""
    w = waymark(upstream=nsd.port, policy=POLICY, start=False)
    w.before = ['sh', '-c', 'exec "$@" 2>/dev/full', 'sh']
    w.start()
    for _ in range(3):
        w.daemon.send(signal.SIGHUP)
        assert w.find('fabrikam.local') == HOSTS
    w.ctl('reload')
    assert idles(w.daemon.pid) < 0.5
