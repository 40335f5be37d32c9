# SPDX-License-Identifier: BSD-2-Clause
"""Connections to servers: one is shared by many questions, and a server may close it when it likes."""
import concurrent.futures
import random
import threading

import ask
import dns.rcode
import pytest
from upstreams import Nsd, Streams, framed, reply

MANY = 40


def address(q):
    """Its own for each name: a reply that went to another question is seen."""
    label = q.question[0].name.labels[0]
    return reply(q, f'60 A 192.0.2.{int(label[1:])}') if label[:1] == b'n' else reply(q)  # that one is a probe


def asks(w, numbers):
    """Many names at the same time; the addresses that came must be theirs. Over TCP, where late answers are sent, too."""
    with concurrent.futures.ThreadPoolExecutor(MANY // 2) as pool:
        answers = list(pool.map(lambda n: w.tcp(f'n{n}.example', 'A'), numbers))
    assert [ask.addresses(a) for a in answers] == [[f'192.0.2.{n}'] for n in numbers]


@pytest.fixture
def forwarder(waymark, peers):
    def make(speak, **more):
        server = peers(Streams, speak, **more)
        return waymark({'server': {'workers': 1}}, upstream=server.port), server
    return make


def at_once(c):
    while q := c.take():
        c.give(address(q))


def reversed_order(c):
    """Waits for many questions, then answers the last first."""
    taken, n = [], 0
    while q := c.take():
        taken.append(q)
        n += 1
        if n >= MANY // 2:
            c.give(*[address(q) for q in reversed(taken)])
            taken.clear()


def one_by_one(c):
    while q := c.take():
        for octet in framed(address(q)):
            c.socket.sendall(bytes([octet]))


def twice(c):
    """Each answer two times, the second one behind the next."""
    last = []
    while q := c.take():
        c.give(address(q), *last)
        last = [address(q)]


@pytest.mark.parametrize('speak', [at_once, reversed_order, one_by_one, twice])
def test_questions_share_a_connection(forwarder, speak):
    """rfc 7766-1, 7766-4, T28: one connection for all, whatever the order in which the server answers."""
    w, server = forwarder(speak)
    asks(w, range(MANY))
    assert server.connections == w.stats()['upstream_connections'] < MANY / 4  # one, but where this machine stood still


def after_each(c):
    c.give(address(c.take()))


def after_seven(c):
    for _ in range(7):
        if q := c.take():
            c.give(address(q))


@pytest.mark.parametrize('speak', [after_each, after_seven])
def test_server_that_closes_is_asked_again(forwarder, speak):
    """rfc 7766-4, 7858-2: each client has its answer, and the server is not thought to fail."""
    w, server = forwarder(speak)
    asks(w, range(MANY))
    asks(w, range(MANY, 2 * MANY))
    stats = w.stats()
    assert stats['servfail'] == stats['upstream_errors'] == 0
    assert server.connections == stats['upstream_connections'] > 1


def test_server_that_closes_what_is_idle(forwarder):
    """rfc 7766-4: the next question has a new connection at once."""
    w, server = forwarder(at_once)
    for n in range(5):
        asks(w, [n])
        server.close_all()
    stats = w.stats()
    assert server.connections >= 5
    assert stats['upstream_errors'] == stats['upstream_timeouts'] == 0


def test_wrong_id_ends_the_connection(forwarder):
    """T28: an ID that was not asked is nobody's answer; the question goes on elsewhere."""
    def foreign(c):
        while q := c.take():
            r = address(q)
            r.id = (q.id + random.randrange(1, 65536)) % 65536
            c.give(r)

    w, server = forwarder(foreign)
    assert ask.rcode(w.tcp('n1.example', 'A')) == 'SERVFAIL'
    assert w.stats()['upstream_mismatch'] >= 1
    assert server.connections >= 1


def test_connection_that_went_silent_is_left(forwarder):
    """As after a fault of the network, of which no end says anything: nobody waits there a second time."""
    silent = threading.Event()

    def speak(c):
        first = not silent.is_set()
        while q := c.take():
            if first and silent.is_set():
                continue
            c.give(address(q))

    w, server = forwarder(speak)
    asks(w, [1])
    silent.set()
    w.tcp('n2.example', 'A')
    asks(w, [3, 4, 5])
    assert server.connections >= 2


@pytest.fixture(scope='module')
def long_texts():
    text = 'x' * 200
    server = Nsd(zones={'example': ''.join(f'n{n} 60 TXT {" ".join([text] * 10)}\n' for n in range(MANY)), '.': ''})
    yield server
    server.finish()


def test_real_server(waymark, long_texts):
    """NSD, whose long answers are cut over UDP: few connections for them all."""
    w = waymark({'server': {'workers': 1}}, upstream=long_texts.port)
    with concurrent.futures.ThreadPoolExecutor(MANY // 4) as pool:
        answers = list(pool.map(lambda n: w.tcp(f'n{n}.example', 'TXT'), range(MANY)))
    assert {a.rcode() for a in answers} == {dns.rcode.NOERROR}
    assert all(len(a.answer[0][0].strings) == 10 for a in answers)
    stats = w.stats()
    assert stats['upstream_tcp'] == MANY and stats['upstream_connections'] <= 2
    assert stats['upstream_errors'] == 0
