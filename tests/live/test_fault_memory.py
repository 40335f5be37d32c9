# SPDX-License-Identifier: BSD-2-Clause
"""The n-th allocation fails: at the start, at a reload, a request, a connection, a change of the policy. Nothing crashes
or hangs; what cannot be done is said, and is done the next time. The path of a UDP question has no allocation.

WAYMARK_LONG=1 tries each n; in CI the first ones and a part of the others. With pytest -s a line tells what came of it.
"""
import collections
import http.client
import mmap
import os
import random
import signal
import socket
import struct
import subprocess

import ask
import dns.exception
import dns.message
import dns.query
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from faults import LONG, preload
from process import PATIENCE, wait_for
from upstreams import Fake, reply
from waymark import Waymark, program

SEED = os.environ.get('WAYMARK_SEED', '1')


class Memory:
    """How many allocations are left until one fails, in all processes that have it preloaded."""

    def __init__(self, folder):
        self.path = f'{folder}/memory'
        with open(self.path, 'wb') as f:
            f.write(bytes(16))
        with open(self.path, 'r+b') as f:
            self.map = mmap.mmap(f.fileno(), 16)
        self.env = {'LD_PRELOAD': preload(folder), 'WAYMARK_MEMORY': self.path}

    def fail(self, n):
        """The n-th from now on; 0: none."""
        self.map[0:8] = struct.pack('q', n)

    def pending(self):
        return struct.unpack('q', self.map[0:8])[0] > 0

    def seen(self):
        return struct.unpack('q', self.map[8:16])[0]

    def count(self, what):
        before = self.seen()
        what()
        return self.seen() - before


@pytest.fixture
def memory(tmp_path, monkeypatch):
    m = Memory(tmp_path)
    for key, value in m.env.items():
        monkeypatch.setenv(key, value)
    return m


def some(n, first, others):
    """Which allocations of n are tried."""
    if LONG or n <= first + others:
        return range(1, n + 1)
    return [*range(1, first + 1), *sorted(random.Random(SEED).sample(range(first + 1, n + 1), others))]


def answer(q, _):
    return reply(q, '300 A 192.0.2.1') if q.question[0].rdtype == 1 else reply(q, rcode='NXDOMAIN', soa=True)


@pytest.fixture
def served(waymark, peers, memory):
    # libseccomp 2.5 turns in a circle in seccomp_load() when one of its own fails.
    return waymark({'server': {'workers': 1, 'seccomp': 'no'}, 'limits': {'tcp-idle': '1s'}}, upstream=peers(Fake, answer).port, policy=POLICY)


def serves(w):
    """All of it: a name, a decision, and the tool."""
    assert ask.rcode(w.ask('www.example.com', 'A')) == 'NOERROR'
    assert w.find('fabrikam.local') == HOSTS


def told(title, came):
    print(f'{title}: {dict(came)}')


def test_at_the_start_it_says_so_or_goes_on_without(served, memory):
    w = served
    w.stop()
    came = collections.Counter()
    n_all = memory.count(lambda: (w.start(), w.stop()))
    for n in some(n_all, 8, 22):
        begin = len(w.said())
        memory.fail(n)
        w.start(ready=False)
        try:
            code = wait_for(lambda: w.daemon.child.poll() is not None and ['ended'] or is_up(w) and ['up'], f'allocation {n}: up, or the end')
            memory.fail(0)
            came[code[0]] += 1
            if code == ['up']:
                serves(w)
                w.stop()
                continue
            code = w.daemon.wait()
            said = w.said()[begin:]
            assert code in (1, 5), f'allocation {n}: ended with {code} and said:\n{said}'
            assert said.strip(), f'allocation {n}: ended without a word'
            w.daemon = None
        finally:
            memory.fail(0)
    told(f'{n_all} allocations of the start', came)
    assert came['ended'] > 0, 'none failed: this shows nothing'
    w.start()
    serves(w)


def is_up(w):
    try:
        dns.query.udp(dns.message.make_query('up.example.com', 'A'), '127.0.0.1', port=w.port, timeout=0.3)
        return True
    except (OSError, dns.exception.Timeout):
        return False


def request(w, method, path, body=None):
    """Status, or None when the connection was cut."""
    c = http.client.HTTPConnection('localhost', timeout=PATIENCE)
    c.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    c.sock.settimeout(PATIENCE)
    try:
        c.sock.connect(f'{w.run}/control.sock')
        c.request(method, path, body)
        r = c.getresponse()
        r.read()
        return r.status
    except (http.client.HTTPException, ConnectionError):
        return None
    finally:
        c.close()


REQUESTS = {
    'reload': ('POST', '/v1/reload', None), 'status': ('GET', '/v1/status', None), 'stats': ('GET', '/v1/stats', None),
    'upstreams': ('GET', '/v1/upstreams', None), 'cache': ('GET', '/v1/cache/www.example.com', None),
    'explain': ('GET', f'/v1/explain?name={discovery("fabrikam.local")}&client=127.0.0.1', None),
    'flush': ('POST', '/v1/cache/flush', '{"name": "x.example.com"}'),
}


@pytest.mark.parametrize('what', REQUESTS)
def test_a_request_fails_and_the_next_one_does_not(served, memory, what):
    w, question = served, REQUESTS[what]
    serves(w)
    assert request(w, *question) == 200
    came = collections.Counter()
    n_all = memory.count(lambda: request(w, *question))
    for n in some(n_all, 30, 20):
        memory.fail(n)
        came[request(w, *question)] += 1
        memory.fail(0)
        assert w.daemon.alive(), f'allocation {n} of {what}: ended and said:\n{w.said()}'
        serves(w)
    told(f'{n_all} allocations of {what}', came)
    assert set(came) <= {200, 400, 404, 500, 503, None}
    assert request(w, *question) == 200


def test_sighup_and_a_connection(served, memory):
    w = served
    serves(w)
    came = collections.Counter()
    for n in some(400, 15, 15):
        memory.fail(n)
        w.daemon.send(signal.SIGHUP)
        came['whole' if not memory.pending() else 'not reached'] += 1
        memory.fail(0)
        serves(w)
    for n in range(1, 25):
        memory.fail(n)
        try:
            came[ask.rcode(w.tcp('www.example.com', 'A'))] += 1
        except (OSError, EOFError):
            came['closed'] += 1  # perhaps when it was idle: what came could not be kept
        memory.fail(0)
        assert ask.rcode(w.tcp('www.example.com', 'A')) == 'NOERROR'
    told('SIGHUP and connections', came)
    assert w.ctl('reload').code == 0


CHANGES = {
    'fill': ('policy', 'fill', 'new.example', '--host', 'kms.new.example'), 'show': ('policy', 'show'),
    'log': ('policy', 'log'), 'summary': ('audit', 'summary'), 'events': ('audit', 'events'),
    'undo': ('policy', 'undo', '--yes'), 'check': ('policy', 'check'),
}


@pytest.mark.parametrize('what', CHANGES)
def test_the_tool_says_so_and_the_policy_is_whole(served, memory, what):
    w = served
    serves(w)
    w.stop()
    export = lambda: w.ctl('policy', 'export').out
    command = [program('waymarkctl'), '-c', w.file, *CHANGES[what]]
    run = lambda: subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE, check=False)
    came = collections.Counter()
    if what == 'undo':
        w.ctl(*CHANGES['fill'])
    before = export()
    n_all = memory.count(run)
    after = export()
    restore(w, before)
    for n in some(n_all, 5, 20):
        memory.fail(n)
        done = run()
        memory.fail(0)
        came[done.returncode] += 1
        assert done.returncode >= 0 and done.returncode != 134, f'allocation {n}: {done}'
        now = export()
        assert now in (before, after), f'allocation {n} of {what} left a policy that nobody wrote: {now}'
        assert done.returncode != 0 or now == after, f'allocation {n}: it says that it is done'
        assert done.returncode == 0 or done.stderr.strip(), f'allocation {n}: not a word'
        if now != before:
            restore(w, before)
    told(f'{n_all} allocations of {" ".join(CHANGES[what])}', came)
    assert sum(came.values()) > came[0], 'none failed: this shows nothing'


def restore(w, text):
    w.ctl('policy', 'import', '-', '--replace', '--yes', stdin=text)
