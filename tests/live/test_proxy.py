# SPDX-License-Identifier: BSD-2-Clause
"""Behind a load balancer that speaks the PROXY protocol, version 2, clients keep their address."""
import socket
import struct

import dns.message
import dns.rcode
import pytest

import ask
from ask import Datagrams, Stream, discovery
from conftest import HOSTS, POLICY
from upstreams import Dnsdist

BALANCER, CLIENT = '127.0.0.9', '127.0.0.5'
QUESTION = dns.message.make_query(discovery('fabrikam.local'), 'SRV').to_wire()


def head(client=CLIENT, port=40000, kind=0x12, command=0x21, more=b''):
    addresses = socket.inet_aton(client) + socket.inet_aton('127.0.0.1') + struct.pack('!2H', port, 53) + more
    return b'\r\n\r\n\0\r\nQUIT\n' + struct.pack('!2BH', command, kind, len(addresses)) + addresses


@pytest.fixture
def behind(nsd, waymark):
    """Who may ask: the client, and not the balancer itself."""
    return waymark({'server': {'proxy-from': [BALANCER]},
                    'access': [{'net': '127.0.0.9', 'action': 'refuse'}, {'net': '127.0.0.6', 'action': 'refuse'}]},
                   upstream=nsd.port, policy=POLICY)


def clients(w):
    w.audit()
    return [e['client']['ip'] for e in w.events() if 'client' in e]


def code(answer):
    return dns.rcode.to_text(answer[3] & 15)


def test_dnsdist_hands_the_client_on(nsd, waymark, peers):
    class Balancer(Dnsdist):
        def write(self, **more):
            super().write(**more)
            with open(f'{self.dir}/dnsdist.conf') as f:
                text = f.read()
            self.put('dnsdist.conf', text.replace('pool="waymark"', f'pool="waymark", source="{BALANCER}", useProxyProtocol=true'))

    w = waymark({'server': {'proxy-from': [BALANCER]}}, upstream=nsd.port, policy=POLICY)
    balancer = peers(Balancer, zones=['fabrikam.local', 'tailspin.com'], waymark=w.port, rest=nsd.port)
    assert ask.targets(ask.udp(balancer.port, discovery('fabrikam.local'), source=CLIENT)) == HOSTS
    assert ask.targets(ask.tcp(balancer.port, discovery('tailspin.com'), source='127.0.0.7')) == HOSTS
    assert set(clients(w)) == {CLIENT, '127.0.0.7'}


def test_access_and_policy_go_by_the_client(behind):
    with Datagrams(behind.port, source=BALANCER) as d:
        assert code(d.ask(head() + QUESTION)) == 'NOERROR'
        assert code(d.ask(head(client='127.0.0.6') + QUESTION)) == 'REFUSED'
        assert code(d.ask(head(client='203.0.113.7') + QUESTION)) == 'REFUSED', 'nobody allows it'
        denied = dns.message.from_wire(d.ask(head(client='127.0.0.2') + QUESTION))
        assert not denied.answer and ask.rcode(denied) == 'NOERROR', 'the network dmz is denied'
        assert code(d.ask(head(command=0x20) + QUESTION)) == 'REFUSED', 'the balancer itself'
    assert clients(behind) == [CLIENT, '127.0.0.6', '203.0.113.7', '127.0.0.2', BALANCER]


def test_a_late_answer_goes_to_the_balancer(behind):
    """It was not in the cache: it leaves by another way than the batch."""
    with Datagrams(behind.port, source=BALANCER) as d:
        answer = dns.message.from_wire(d.ask(head() + dns.message.make_query('www.contoso.com', 'A').to_wire()))
    assert ask.addresses(answer) == ['10.0.0.80']


def test_only_a_balancer_may_say_who_asks(behind):
    """A head of anybody else is a packet that is no question; a balancer that does not say gets no answer."""
    with Datagrams(behind.port, source=CLIENT) as d:
        assert code(d.ask(head() + QUESTION)) == 'NOTIMP'
        assert code(d.ask(QUESTION)) == 'NOERROR'
    with Datagrams(behind.port, source=BALANCER) as d:
        before = behind.stats()['ignored']
        for wrong in (QUESTION, head(kind=0x13) + QUESTION, head()[:20], head(more=b'x' * 2000)):
            d.socket.send(wrong)
        marker = dns.message.make_query('www.contoso.com', 'A')
        assert d.ask(head() + marker.to_wire())[:2] == struct.pack('!H', marker.id)
    assert behind.stats()['ignored'] >= before + 4
    with Stream(behind.port, source=BALANCER) as s:
        s.send(QUESTION)
        assert s.is_closed()


def test_cookies_and_rates_go_by_the_client(nsd, waymark):
    """Not by the balancer: no client pays for another, and none takes the cookie of another."""
    w = waymark({'server': {'proxy-from': [BALANCER]}, 'limits': {'client-rate': 2, 'client-slip': 0}}, upstream=nsd.port)

    def question(cookie):
        return dns.message.make_query('localhost', 'A', use_edns=0, options=[dns.edns.GenericOption(10, cookie)])

    with Datagrams(w.port, source=BALANCER) as d:
        def asks(client, cookie=b'12345678', kind=0x12):
            wire = question(cookie).to_wire()
            answer = d.ask(head(client=client, kind=kind) + wire)
            while answer[:2] != wire[:2]:
                answer = d.socket.recv(65535)
            return answer

        given = dns.message.from_wire(asks(CLIENT)).options[0].to_wire()
        for _ in range(10):
            assert code(asks(CLIENT, cookie=given, kind=0x11)) == 'NOERROR', 'with its cookie there is no limit'
        assert w.stats()['cookies_valid'] == 10
        for _ in range(100):
            d.socket.send(head(client='127.0.0.7') + question(given).to_wire())
        assert code(asks('127.0.0.8')) == 'NOERROR'
    assert w.stats()['cookies_valid'] == 10 and w.stats()['rate_dropped'] > 0


@pytest.mark.parametrize('each', [1, 7, 1000])
def test_head_of_a_stream_split_anywhere(behind, each):
    message = head(kind=0x11, more=b'\x04\0\x02xx') + struct.pack('!H', len(QUESTION)) + QUESTION
    with Stream(behind.port, source=BALANCER) as s:
        for i in range(0, len(message), each):
            s.socket.sendall(message[i:i + each])
        for _ in range(2):
            assert ask.targets(s.receive()) == HOSTS
            s.send(QUESTION)
        s.receive()
    assert clients(behind) == [CLIENT] * 3


def test_connections_of_a_balancer_are_those_of_its_clients(nsd, waymark):
    """Of which each may have two, and all together nine; and the balancer as many as have not said yet whose they are."""
    w = waymark({'server': {'proxy-from': [BALANCER], 'workers': 1}, 'limits': {'tcp-per-client': 2, 'tcp-connections': 9}},
                upstream=nsd.port)
    question = dns.message.make_query('www.contoso.com', 'A').to_wire()

    def connect(client, s=None):
        s = s or Stream(w.port, source=BALANCER)
        s.socket.sendall(head(client=client, kind=0x11) + struct.pack('!H', len(question)) + question)
        s.receive()
        return s

    unsaid = [Stream(w.port, source=BALANCER) for _ in range(6)]
    many = [connect(f'127.0.1.{n}', s) for n, s in enumerate(unsaid)]
    assert w.stats()['tcp_displaced'] == 0
    same = [connect(CLIENT) for _ in range(3)]
    assert same[0].is_closed() and w.stats()['tcp_displaced'] == 1
    many.append(connect('127.0.2.1'))
    assert w.stats()['tcp_displaced'] == 1, 'it is the ninth'
    for s in many + same[1:]:
        s.send(question)
        s.receive()
    for s in many + same:
        s.close()
