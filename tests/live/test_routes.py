# SPDX-License-Identifier: BSD-2-Clause
"""The servers of a route: which is asked, from where, and what becomes of those that are slow, dead or come and go."""
import threading
import time

import dns.rcode
import pytest

import ask
import upstreams
from process import SLOW, free_port, wait_for
from upstreams import Fake, reply


def truth(query, _):
    return reply(query, '1 A 192.0.2.1')


def with_route(waymark, *servers, **more):
    servers = [f'{s.address}:{s.port}' for s in servers]
    return waymark({'server': {'workers': 1}, 'forward': [{'zone': '.', 'servers': servers, **more}]})


def test_fastest_asks_the_fast_one_and_notices_when_that_has_changed(waymark, peers):
    slow, fast = peers(Fake, truth, delay=0.25), peers(Fake, truth)
    w = with_route(waymark, slow, fast, strategy='fastest')
    n = iter(range(10000))

    def is_first(server):
        before = server.count()
        for _ in range(8):
            w.ask(f'host{next(n)}.example.com', 'A')
        return server.count() - before >= 8
    wait_for(lambda: is_first(fast), 'questions to the fast server alone')
    slow.delay, fast.delay = 0, 0.25
    wait_for(lambda: is_first(slow), 'questions to the one that is fast now')


def test_parallel_takes_the_first_answer_of_three(waymark, peers):
    servers = [peers(Fake, truth, delay=2), peers(Fake, lambda q, _: reply(q, rcode='SERVFAIL')), peers(Fake, truth),
               peers(Fake, truth)]
    w = with_route(waymark, *servers, strategy='parallel', timeout='5s')
    begun = time.monotonic()
    assert ask.addresses(w.ask('host.example.com', 'A')) == ['192.0.2.1']
    assert time.monotonic() - begun < 1.5
    wait_for(lambda: [s.count('host.example.com.') for s in servers[:3]] == [1, 1, 1], 'a question to each of three')


def test_source_is_the_address_that_servers_see_over_udp_and_tcp(waymark, peers):
    seen = set()

    def answer(query, how):
        seen.add((how.kind, how.client[0]))
        r = truth(query, how)
        r.flags |= 0x0200 if how.udp else 0  # TC
        return r

    w = with_route(waymark, peers(Fake, answer), source='127.0.0.77')
    assert ask.addresses(w.ask('host.example.com', 'A')) == ['192.0.2.1']
    assert seen == {('udp', '127.0.0.77'), ('tcp', '127.0.0.77')}
    (shown,) = w.json('upstreams')['routes'][0]['servers']
    assert (shown['source'], shown['state']) == ('127.0.0.77', 'up')


def test_source_that_the_machine_does_not_have_is_named(waymark, peers):
    server = peers(Fake, truth)
    w = with_route(waymark, server, source='203.0.113.77')
    assert w.ask('host.example.com', 'A').rcode() == dns.rcode.SERVFAIL
    (shown,) = w.json('upstreams')['routes'][0]['servers']
    assert shown['last_error'] == '203.0.113.77 is not an address of this machine'
    assert shown['state'] == 'down' and shown['since'] > 0
    assert '203.0.113.77 is not an address of this machine' in w.ctl('upstreams').out
    w.settings['forward'][0]['source'] = []
    w.write_settings()
    w.ctl('reload')
    assert ask.addresses(w.ask('other.example.com', 'A')) == ['192.0.2.1'], 'it was not the server'


def test_t48_a_dead_server_is_back_within_5_s_of_its_first_good_reply(waymark, peers, monkeypatch):
    port = free_port()
    good = peers(Fake, truth)
    w = waymark({'server': {'workers': 1},
                 'forward': [{'zone': '.', 'servers': [f'127.0.0.1:{port}', f'127.0.0.1:{good.port}']}]})

    def state():
        return w.json('upstreams')['routes'][0]['servers'][0]['state']
    for n in range(2):
        assert ask.addresses(w.ask(f'host{n}.example.com', 'A')) == ['192.0.2.1']
    assert state() == 'down'
    monkeypatch.setattr(upstreams, 'free_port', lambda: port)
    back = peers(Fake, truth)
    begun = time.monotonic()
    wait_for(lambda: state() == 'up', 'a server that is back')
    assert time.monotonic() - begun < 5 + (5 if SLOW else 0)
    w.ask('then.example.com', 'A')
    assert back.count('then.example.com.') == 1


def test_status_names_a_route_of_which_no_server_answers(waymark, peers, monkeypatch):
    port, good = free_port(), peers(Fake, truth)
    here = f'127.0.0.1:{good.port}'
    w = waymark({'forward': [{'zone': '.', 'servers': [f'127.0.0.1:{port}', here]},
                             {'zone': 'dead.example', 'servers': [f'127.0.0.1:{port}', f'127.0.0.2:{port}']},
                             {'zone': 'new.example', 'servers': [f'127.0.0.1:{port}', f'127.0.0.3:{port}']}]})

    def problems():
        return w.json('status', ok=False)['problems']
    for n in range(8):
        assert ask.addresses(w.ask(f'host{n}.example.com', 'A')) == ['192.0.2.1']
    assert problems() == [], 'of a route, one is down, and of another, one was never asked'
    for n in range(4):
        assert w.ask(f'host{n}.dead.example', 'A').rcode() == dns.rcode.SERVFAIL
    (problem,) = wait_for(problems, 'a problem')
    assert problem.startswith('forward: no server of route dead.example has answered since 20')
    assert problem.endswith(': Connection refused; see waymarkctl upstreams')
    assert f'! {problem}\n' in w.ctl('status', ok=7).out
    monkeypatch.setattr(upstreams, 'free_port', lambda: port)
    peers(Fake, truth)
    wait_for(lambda: not problems(), 'a server that is back')


@pytest.mark.parametrize('row', ['silent', 'servfail', 'flapping'])
def test_t48_warm_names_are_answered_while_the_server_fails(waymark, peers, row):
    """99.9 % answered, at most 3 packets a name in 5 s, which is what it takes."""
    broken = threading.Event()

    def answer(query, _):
        if not broken.is_set() or (row == 'flapping' and int(time.monotonic() * 5) % 2 == 0):
            return truth(query, _)
        return reply(query, rcode='SERVFAIL') if row == 'servfail' else None

    server = peers(Fake, answer)
    w = with_route(waymark, server)
    names = [f'host{n}.example.com' for n in range(2)]
    for name in names:
        w.ask(name, 'A')
    time_over = time.monotonic() + 1.1  # their TTL
    wait_for(lambda: time.monotonic() > time_over, 'expired answers')
    broken.set()
    before, begun, asked, good = [server.count(n + '.') for n in names], time.monotonic(), 0, 0
    while time.monotonic() - begun < 4.5:
        for name in names:
            good += w.ask(name, 'A').rcode() == dns.rcode.NOERROR
            asked += 1
    assert good >= 0.999 * asked
    if row != 'flapping':
        most = max(server.count(n + '.') - b for n, b in zip(names, before))
        assert most <= 3, most
