# SPDX-License-Identifier: BSD-2-Clause
"""Forwarding loops end, are named, and end nobody: servers that ask us what we ask them (security.md T44, CVE-2026-26018)."""
import dns.rcode
import pytest

import ask
from process import free_port, wait_for
from upstreams import Dnsmasq, Fake, reply

PACKETS = 8  # that a question may cost


def pair(waymark, between=None, workers=1):
    """Two that forward to each other, by way of what `between` makes."""
    a = waymark({'server': {'name': 'a', 'workers': workers}}, upstream=free_port())
    b = waymark({'server': {'name': 'b', 'workers': workers}}, upstream=between(a.port) if between else a.port)
    a.settings['forward'] = [{'zone': '.', 'servers': [f'127.0.0.1:{b.port}']}]
    a.write_settings()
    a.ctl('reload')
    return a, b


def sent(*daemons):
    return sum(w.stats()['upstream_queries'] for w in daemons)


@pytest.mark.parametrize('workers', [1, 2])
def test_t44_two_that_forward_to_each_other(waymark, workers):
    a, b = pair(waymark, workers=workers)
    for n in range(2):
        answer = a.tcp(f'host{n}.example.com', 'A')
        assert answer.rcode() == dns.rcode.SERVFAIL
        assert sent(a, b) <= PACKETS * (n + 1)  # with the probes that tell it
    before = sent(a, b)
    assert a.tcp('again.example.com', 'A').rcode() == dns.rcode.SERVFAIL
    assert sent(a, b) - before <= PACKETS
    assert a.stats()['upstream_loops'] + b.stats()['upstream_loops'] > 0
    told = [w for w in (a, b) if 'asks us for names of example.com' in w.ctl('status', ok=False).out]
    assert told
    (server,) = told[0].json('upstreams')['routes'][0]['servers']
    assert server['loop'] == 'example.com'


@pytest.mark.parametrize('workers', [1, 8])
def test_t44_two_on_a_network(network, waymark, workers):
    """Each has an address of its own, so that it sees at once who asks, whichever of its workers is asked: four packets. Without it, seven."""
    ours = []
    for here, there in ('10.0.0.5', '10.0.0.6'), ('10.0.0.6', '10.0.0.5'):
        w = waymark({'server': {'listen': [f'{here}:53'], 'workers': workers}, 'access': [{'net': '10.0.0.0/8', 'action': 'allow'}],
                     'forward': [{'zone': '.', 'servers': [there], 'source': [here]}]}, start=False)
        w.before = network.inside()
        ours.append(w.start())
    assert 'SERVFAIL' in network.run('dig +tries=1 @10.0.0.5 host.example.com A').out
    assert sent(*ours) <= PACKETS - 2
    assert 'SERVFAIL' in network.run('dig +tries=1 @10.0.0.5 host2.example.com A').out
    assert sent(*ours) <= PACKETS


def test_t44_a_loop_by_way_of_another_forwarder(waymark, peers):
    a, b = pair(waymark, lambda port: peers(Dnsmasq, zones=['.'], waymark=port, rest=port).port)
    assert a.tcp('host.example.com', 'A').rcode() == dns.rcode.SERVFAIL
    assert sent(a, b) <= 2 * PACKETS
    wait_for(lambda: a.stats()['upstream_loops'] + b.stats()['upstream_loops'] > 0, 'a loop that is noticed')


def test_cve_2026_26018_nobody_can_tell_the_name_nor_what_it_answers(waymark, peers):
    names = []

    def answer(query, _):
        name = query.question[0].name
        if len(name.labels[0]) != 32:
            return None  # silence makes suspicious
        names.append(name.labels[0].decode().lower())
        return reply(query, f'0 TXT "{names[-1][16:]}"')  # a guess

    real = peers(Fake, answer)
    w = waymark(upstream=real.port)
    w.tcp('host.example.com', 'A')
    assert names and w.stats()['upstream_loops'] == 0
    for guess in (names[0][::-1], '0' * 32, names[0][:31] + 'x'):
        w.tcp(f'{guess}.example.com', 'TXT')
    assert w.json('upstreams')['routes'][0]['servers'][0]['loop'] is None
    # Its own name it answers, to whomever: what that says is of no use to others, and the daemon goes on.
    own = w.ask(f'{names[0]}.example.com', 'TXT')
    assert own.answer and own.answer[0].ttl == 0
    w.ctl('reload')
