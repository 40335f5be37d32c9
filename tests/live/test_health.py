# SPDX-License-Identifier: BSD-2-Clause
"""KMS hosts that stop, are blocked, are slow and come back: what clients are given meanwhile."""
import socket
import threading
import time

import ask
import dns.rrset
import pytest
from ask import discovery
from process import free_port, wait_for
from upstreams import Fake, reply

INTERVAL = 0.4
PROBING = {'kms': {'probe-interval': f'{int(INTERVAL * 1000)}ms', 'probe-timeout': '150ms'}}
SUFFIX = 'fabrikam.local'
RULE = f'rules: {{r: {{suffixes: [{SUFFIX}], pool: p}}}}\n'


class Kms:
    """A KMS host, as far as DNS can tell: it takes TCP connections, on an address of its own."""

    def __init__(self, address, port):
        self.address, self.port, self.socket, self.full, self.got = address, port, None, [], []
        self.start()

    def start(self, backlog=1000):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((self.address, self.port))
        self.socket.listen(backlog)
        self.socket.settimeout(0.05)

    def take(self):
        """What each connection so far has sent until its end."""
        while True:
            try:
                s, _ = self.socket.accept()
            except TimeoutError:
                return self.got
            s.settimeout(5)
            self.got.append(s.recv(100))
            s.close()

    def block(self):
        """Nobody accepts, and the queue is full: the kernel drops who comes."""
        self.stop()
        self.start(backlog=0)
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((self.address, self.port))
            self.full.append(s)

    def stop(self):
        for s in [self.socket, *self.full]:
            s.close()
        self.full = []


@pytest.fixture
def hosts():
    port = free_port()
    made = [Kms('127.0.0.1', port), Kms('127.0.0.2', port)]
    yield made
    for h in made:
        h.stop()


def policy(hosts):
    lines = [f'    - {{target: kms0{i}.contoso.com, port: {h.port}, addresses: [{h.address}]}}\n'
             for i, h in enumerate(hosts, 1)]
    return 'waymark-policy: 1\npools:\n  p:\n' + ''.join(lines) + RULE


def given(w):
    return [t.split('.')[0] for t in w.find(SUFFIX)]


def state(w, host):
    known = w.api('GET', '/v1/health')[1]['hosts']
    return next((h for h in known if h['host'] == host), {'state': None, 'addresses': None, 'last_error': None})


class Client(threading.Thread):
    """Asks all the time; every question has an answer, with at least one host."""

    def __init__(self, w):
        super().__init__()
        self.w, self.asked, self.lost, self.ended = w, 0, [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                if not given(self.w):
                    self.lost.append('no host')
            except Exception as e:
                self.lost.append(repr(e))
            self.asked += 1

    def end(self):
        self.ended.set()
        self.join()


def test_host_that_stops_is_blocked_and_comes_back(nsd, waymark, hosts):
    w = waymark(PROBING, upstream=nsd.port, policy=policy(hosts))
    wait_for(lambda: state(w, 'kms01.contoso.com')['state'] == 'up', 'the first probe')
    assert given(w) == ['kms01', 'kms02']
    client = Client(w)
    client.start()
    try:
        for harm, error in ((hosts[0].stop, 'refused'), (hosts[0].block, 'timed out')):
            harm()
            began = time.monotonic()
            wait_for(lambda: given(w) == ['kms02'], f'the answer without the host: {error}')
            assert time.monotonic() - began < 2 * INTERVAL + 2
            told = state(w, 'kms01.contoso.com')
            assert (told['state'], told['last_error']) == ('down', error)
            problems = w.json('status', ok=7)['problems']
            assert [p for p in problems if 'kms01.contoso.com' in p and error in p], problems
            hosts[0].stop()
            hosts[0].start()
            wait_for(lambda: given(w) == ['kms01', 'kms02'], 'the host is back')
    finally:
        client.end()
    w.audit()
    row = w.json('audit', 'targets', '--target', 'kms01.contoso.com')['targets'][0]
    assert (row['state'], row['last_error']) == ('up', 'timed out') and row['state_since'] > '2026'
    shown = {h['host']: h for h in w.json('policy', 'show', 'pools')['pools'][0]['health']}
    assert shown['kms01.contoso.com']['last_error'] == 'timed out'
    assert 'kms02.contoso.com' in w.ctl('policy', 'show', 'pools').out
    assert client.asked > 100 and not client.lost
    assert w.ctl('status').code == 0
    assert state(w, 'kms02.contoso.com')['last_error'] is None


def test_a_slow_host_stays(nsd, waymark, hosts):
    """Its queue is full at first: the kernel takes who comes again, a second later."""
    w = waymark({'kms': {'probe-interval': '100ms', 'probe-timeout': '20s'}}, upstream=nsd.port, policy=policy(hosts))
    wait_for(lambda: state(w, 'kms01.contoso.com')['state'] == 'up', 'the first probe')
    hosts[0].block()
    n = len(hosts[1].take())
    wait_for(lambda: len(hosts[1].take()) > n + 5, 'more probes of the other host')
    assert given(w) == ['kms01', 'kms02']
    for s in hosts[0].full:
        s.close()
    n = len(hosts[0].take())  # which makes room
    wait_for(lambda: len(hosts[0].take()) > n, 'the probe that waited')
    assert state(w, 'kms01.contoso.com')['last_error'] is None


def test_one_address_is_enough(nsd, waymark, hosts):
    text = policy(hosts[:1]).replace('127.0.0.1]', '127.0.0.1, 127.0.0.2]')
    hosts[0].block()
    w = waymark(PROBING, upstream=nsd.port, policy=text)
    wait_for(lambda: len(hosts[1].take()) > 3, 'probes')
    assert (state(w, 'kms01.contoso.com')['state'], state(w, 'kms01.contoso.com')['last_error']) == ('up', None)
    hosts[0].stop()
    n = len(hosts[1].take())
    wait_for(lambda: len(hosts[1].take()) > n + 3, 'more probes')
    assert state(w, 'kms01.contoso.com')['last_error'] is None
    hosts[1].stop()
    wait_for(lambda: state(w, 'kms01.contoso.com')['state'] == 'down', 'that none is left')


def test_a_failed_probe_is_repeated_soon(nsd, waymark, hosts):
    hosts[0].stop()
    w = waymark({'kms': {'probe-interval': '8s'}}, upstream=nsd.port, policy=policy(hosts))
    wait_for(lambda: given(w) == ['kms02'], 'the second failure', patience=6)


def test_the_shortest_interval(nsd, waymark, hosts):
    began = time.monotonic()
    waymark({'kms': {'probe-interval': '1ms'}}, upstream=nsd.port, policy=policy(hosts))
    wait_for(lambda: len(hosts[0].take()) > 5, 'some probes')
    assert len(hosts[0].got) <= (time.monotonic() - began) / 0.08 + 1


def test_a_pinned_host_gets_its_clients_first(nsd, waymark, hosts):
    pinned = policy(hosts).replace('  p:\n', '  p:\n    choice: pin\n    pin-clients: 3\n    hosts:\n')
    w = waymark(PROBING, upstream=nsd.port, policy=pinned)
    wait_for(lambda: state(w, 'kms01.contoso.com')['state'] == 'up', 'the first probe')

    def found(i):
        return [t.split('.')[0] for t in w.find(SUFFIX, source=f'127.0.0.{i}')]
    assert [found(i) for i in (1, 2, 2, 1)] == [['kms01']] * 4
    out = w.ctl('explain', SUFFIX, '--client', '127.0.0.9').out
    assert 'the pool gives kms01.contoso.com alone until 3 clients have it' in out
    assert found(3) == ['kms01']
    clients = iter(range(4, 100))
    wait_for(lambda: found(next(clients)) == ['kms01', 'kms02'], 'enough clients')
    assert found(1) == ['kms01', 'kms02']


def test_last_host_stays(nsd, waymark, hosts):
    w = waymark(PROBING, upstream=nsd.port, policy=policy(hosts))
    for h in hosts:
        h.stop()
    wait_for(lambda: {h['state'] for h in w.api('GET', '/v1/health')[1]['hosts']} == {'down'}, 'both are down')
    assert given(w) == ['kms01', 'kms02']
    assert len(w.json('status', ok=7)['problems']) == 2
    hosts[1].start()
    wait_for(lambda: given(w) == ['kms02'], 'one is back')


def test_probing_ends_and_begins_with_a_reload(nsd, waymark, hosts):
    w = waymark(PROBING, upstream=nsd.port, policy=policy(hosts))
    hosts[0].stop()
    wait_for(lambda: given(w) == ['kms02'], 'one is down')
    w.settings['kms']['probe-interval'] = 0
    w.write_settings()
    w.ctl('reload')
    wait_for(lambda: given(w) == ['kms01', 'kms02'], 'nothing is known of the hosts')
    assert w.ctl('status').code == 0
    w.settings['kms']['probe-interval'] = '200ms'
    w.write_settings()
    w.ctl('reload')
    wait_for(lambda: given(w) == ['kms02'], 'one is down')


def test_a_host_gets_no_octet(nsd, waymark, hosts):
    waymark(PROBING, upstream=nsd.port, policy=policy(hosts))
    got = wait_for(hosts[0].take, 'a probe')
    assert got == [b''] * len(got)


@pytest.mark.parametrize('choice', ['all', 'pin'])
def test_host_that_must_not_be_probed_is_left_alone(nsd, waymark, hosts, choice):
    text = policy(hosts).replace('127.0.0.1]', '127.0.0.1], probe: no')
    text = text.replace('  p:\n', f'  p:\n    choice: {choice}\n    hosts:\n')
    w = waymark(PROBING, upstream=nsd.port, policy=text)
    wait_for(lambda: state(w, 'kms02.contoso.com')['state'] == 'up', 'the first probe')
    if choice == 'pin':  # its clients are counted, and no more
        assert state(w, 'kms01.contoso.com')['state'] == 'unknown'
    else:
        assert [h['host'] for h in w.api('GET', '/v1/health')[1]['hosts']] == ['kms02.contoso.com']
    hosts[0].stop()
    wait_for(lambda: len(hosts[1].take()) > 2, 'more probes')
    assert given(w) == (['kms01', 'kms02'] if choice == 'all' else ['kms01'])
    shown = w.json('policy', 'show', 'pools')['pools'][0]['health']
    assert [h['state'] for h in shown] == ['not probed', 'up']


def test_more_hosts_than_are_tried(nsd, waymark):
    port = free_port()  # where nobody listens
    text = 'waymark-policy: 1\npools:\n'
    for i in range(18):
        text += f'  p{i}:\n'
        for k in range(60):
            text += f'    - {{target: h{k}.p{i}.contoso.com, port: {port}, addresses: [127.0.0.1]}}\n'
    w = waymark({'kms': {'probe-interval': '30s', 'probe-fall': 1}}, upstream=nsd.port, policy=text)

    def problems():
        return [p for p in w.json('status', ok=False)['problems'] if 'more KMS' in p or 'not tried' in p]
    wait_for(lambda: any('1014 more KMS hosts are down' in p for p in problems()), 'all that are tried are down')
    assert any('56 KMS hosts are not tried: pools have more than 1024' in p for p in problems())
    assert len(w.json('status', ok=7)['problems']) == 12


def test_each_host_has_its_turn(nsd, waymark, hosts):
    """More are silent than are tried at once, and each is due again before the last one had a turn."""
    text = 'waymark-policy: 1\npools:\n'
    for i in range(150):
        text += '' if i % 50 else f'  p{i}:\n'
        text += f'    - {{target: h{i}.contoso.com, port: {hosts[0].port}, addresses: [127.0.0.1]}}\n'
    hosts[0].block()
    w = waymark({'kms': {'probe-interval': '100ms', 'probe-timeout': '300ms'}}, upstream=nsd.port, policy=text)
    wait_for(lambda: [h['state'] for h in w.api('GET', '/v1/health')[1]['hosts']] == ['down'] * 150, 'all were tried')


def test_hosts_come_and_go_with_the_policy(nsd, waymark, hosts):
    w = waymark(PROBING, upstream=nsd.port, policy=policy(hosts[:1]))
    names = lambda: [h['host'] for h in w.api('GET', '/v1/health')[1]['hosts']]  # noqa: E731
    wait_for(lambda: names() == ['kms01.contoso.com'], 'the first')
    w.ctl('policy', 'pool', 'set', 'p', f'new.contoso.com:{hosts[1].port},address=127.0.0.2')
    wait_for(lambda: names() == ['new.contoso.com'], 'another one')
    wait_for(lambda: state(w, 'new.contoso.com')['state'] == 'up', 'its first probe')
    w.ctl('policy', 'pool', 'set', 'p', f'new.contoso.com:{hosts[1].port},address=127.0.0.1')
    wait_for(lambda: state(w, 'new.contoso.com')['addresses'] == ['127.0.0.1'], 'another address')


def test_addresses_that_are_pinned_while_the_name_is_asked_for(waymark, hosts):
    asked, go_on = threading.Event(), threading.Event()

    def answer(q, _):
        asked.set()
        go_on.wait(10)
        return reply(q, '300 A 127.0.0.9') if q.question[0].rdtype == 1 else reply(q)
    upstream = Fake(answer)
    host, other = f'kms01.contoso.com:{hosts[0].port}', f'kms02.contoso.com:{hosts[0].port}'
    w = waymark(PROBING, upstream=upstream.port, policy=f'waymark-policy: 1\npools: {{p: [{host}]}}\n' + RULE)
    try:
        wait_for(asked.is_set, 'the question for the name')
        w.ctl('policy', 'pool', 'set', 'p', host + ',address=127.0.0.1')
        wait_for(lambda: state(w, 'kms01.contoso.com')['addresses'] == ['127.0.0.1'], 'the address')
        go_on.set()
        wait_for(lambda: state(w, 'kms01.contoso.com')['state'] == 'up', 'a probe')
        wait_for(lambda: len(hosts[0].take()) > 1, 'more probes')
        assert state(w, 'kms01.contoso.com')['addresses'] == ['127.0.0.1']
        go_on.clear()
        w.ctl('policy', 'pool', 'set', 'p', other + ',address=127.0.0.1')
        wait_for(lambda: state(w, 'kms02.contoso.com')['addresses'] == ['127.0.0.1'], 'the address of another one')
        w.ctl('policy', 'pool', 'set', 'p', other)
        wait_for(lambda: state(w, 'kms02.contoso.com')['addresses'] == [], 'that it is no longer the address')
        go_on.set()
        w.ctl('policy', 'pool', 'set', 'p', host)  # the name is asked for again
        wait_for(lambda: state(w, 'kms01.contoso.com')['addresses'] == ['127.0.0.9'], 'that of the name')
    finally:
        go_on.set()
        upstream.finish()


def test_a_late_address_of_a_host_that_is_gone(waymark, hosts):
    asked, go_on = set(), threading.Event()

    def answer(q, _):
        name = q.question[0].name.to_text().lower()
        asked.add(name)
        go_on.wait(10)
        return reply(q, f'300 A 127.0.0.{name[4]}') if q.question[0].rdtype == 1 else reply(q)
    upstream = Fake(answer)
    w = waymark(PROBING, upstream=upstream.port,
                policy=f'waymark-policy: 1\npools: {{p: [kms01.contoso.com:{hosts[0].port}]}}\n' + RULE)
    try:
        wait_for(lambda: asked, 'the question for the first')
        w.ctl('policy', 'pool', 'set', 'p', 'kms09.contoso.com,address=127.0.0.9')
        wait_for(lambda: state(w, 'kms09.contoso.com')['addresses'], 'another')
        w.ctl('policy', 'pool', 'set', 'p', f'kms02.contoso.com:{hosts[1].port}')
        wait_for(lambda: state(w, 'kms02.contoso.com')['addresses'] == [], 'the second')
        go_on.set()
        wait_for(lambda: state(w, 'kms02.contoso.com')['addresses'], 'its addresses')
        assert state(w, 'kms02.contoso.com')['addresses'] == ['127.0.0.2']
        wait_for(lambda: len(hosts[1].take()) > 2, 'more probes')
    finally:
        go_on.set()
        upstream.finish()


def test_names_are_resolved_and_given(waymark, hosts):
    known = {'kms01.contoso.com.': '127.0.0.1', 'kms02.contoso.com.': '127.0.0.2'}
    known6 = {'kms02.contoso.com.': ['300 AAAA fd00::9']}

    def answer(q, _):
        name, kind = q.question[0].name.to_text().lower(), q.question[0].rdtype
        if failing and kind in (1, 28):
            return reply(q, rcode='SERVFAIL')
        if name not in known:
            return reply(q, rcode='NXDOMAIN')
        r = reply(q, f'300 A {known[name]}') if kind == 1 else reply(q, *known6.get(name, []))
        r.authority.append(dns.rrset.from_text('contoso.com.', 300, 'IN', 'NS', 'ns.contoso.com.'))
        r.additional.append(dns.rrset.from_text('ns.contoso.com.', 300, 'IN', kind, '127.0.0.77' if kind == 1 else 'fd00::77'))
        return r
    failing = False
    upstream = Fake(answer)
    text = f'waymark-policy: 1\npools: {{p: [kms01.contoso.com:{hosts[0].port}, kms02.contoso.com:{hosts[0].port}]}}\n' + RULE
    w = waymark({**PROBING, 'cache': {'max-ttl': '1s', 'max-negative-ttl': '1s', 'serve-stale': '0'}},
                upstream=upstream.port, policy=text)
    try:
        wait_for(lambda: len(w.ask(discovery(SUFFIX)).additional) == 3, 'addresses')
        a = w.ask(discovery(SUFFIX))
        assert sorted(rr.address for s in a.additional for rr in s) == ['127.0.0.1', '127.0.0.2', 'fd00::9']
        assert all(s.ttl <= 1 for s in a.additional)  # which is how long they may be kept
        known['kms02.contoso.com.'] = '127.0.0.1'
        wait_for(lambda: state(w, 'kms02.contoso.com')['addresses'] == ['127.0.0.1', 'fd00::9'], 'another address')
        known['kms02.contoso.com.'] = '127.0.0.2'
        del known['kms01.contoso.com.']
        wait_for(lambda: given(w) == ['kms02'], 'a name that is gone')
        assert state(w, 'kms01.contoso.com')['last_error'] == 'does not resolve'
        failing = True  # a server that fails says nothing of the hosts
        n = len(upstream.asked)
        wait_for(lambda: len(upstream.asked) >= n + 4, 'questions that fail')
        hits = w.stats()['cache_hits']
        wait_for(lambda: w.stats()['cache_hits'] > hits + 12, 'the failures are known for more rounds')
        assert given(w) == ['kms02']
    finally:
        upstream.finish()
