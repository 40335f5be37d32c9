# SPDX-License-Identifier: BSD-2-Clause
"""Servers that are slow, dead, old or broken: what the client gets, and when.

The times are those of the product's own clocks (a try lasts 1 s), not of the machine: a bound lies between what is wanted
and what comes a try later.
"""
import struct
import time

import ask
import dns.rcode
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from load import Asked, ask_all
from process import SLOW
from upstreams import Fake, Silent, reply

LATE = 1.5 if SLOW else 0  # a sanitizer's own seconds
AT_ONCE = 0.9 + LATE  # without waiting for a try to end
STUB = 4.0 + LATE  # a stub resolver gives up at 5


def timed(question, *words):
    begun = time.monotonic()
    got = question(*words)
    return got, time.monotonic() - begun


def route(*servers):
    return {'forward': [{'zone': '.', 'servers': [f'127.0.0.1:{s.port}' for s in servers]}]}


def verdicts(w):
    w.audit()
    return [e['waymark']['verdict']['name'] for e in w.events('--limit', '0') if 'verdict' in e['waymark']]


# --- slow and dead

def slow_answer(q, _):
    if q.question[0].rdtype == 33 and 'fabrikam' in str(q.question[0].name).lower():
        return reply(q, rcode='NXDOMAIN', soa=True)
    return reply(q, '300 A 192.0.2.1' if q.question[0].rdtype == 1 else '300 SRV 0 0 1688 kms01.contoso.com.')


# What is asked, with the answer: (name, type, rcode, hosts where there are any).
SLOW_ROWS = {
    'live': [('www.contoso.com', 'A', 'NOERROR', []), (discovery('contoso.com'), 'SRV', 'NOERROR', HOSTS[:1]),
             (discovery('fabrikam.local'), 'SRV', 'NOERROR', HOSTS)],
    'off': [('www.contoso.com', 'A', 'NOERROR', []), (discovery('contoso.com'), 'SRV', 'NOERROR', HOSTS[:1]),
            (discovery('fabrikam.local'), 'SRV', 'NXDOMAIN', [])],
}


@pytest.mark.parametrize('mode', SLOW_ROWS)
def test_reply_after_1800_ms_is_delivered_whatever_was_asked(waymark, peers, mode):
    server = peers(Fake, slow_answer, delay=1.8)
    w = waymark({'kms': {'mode': mode}}, upstream=server.port, policy=POLICY)
    first = ask_all(w.port, [Asked(name, kind) for name, kind, _, _ in SLOW_ROWS[mode]], rate=1000, repeats=())
    told = [f'{q.kind}: {q.rcode and dns.rcode.to_text(q.rcode)} {q.seconds} s' for q in first]
    asked = server.count()
    for q, (name, kind, rcode, hosts) in zip(first, SLOW_ROWS[mode]):
        again, seconds = timed(w.ask, name, kind)
        assert (q.rcode, ask.rcode(again), ask.targets(again)) == (again.rcode(), rcode, hosts), told
        assert 1.7 < q.seconds < 2.7 + LATE, told
        assert server.count() == asked and seconds < AT_ONCE, 'the repeat is answered from the cache'
    assert sorted(verdicts(w)) == ['nxdomain'] * 2 + ['present'] * 2
    (shown,) = w.json('upstreams')['routes'][0]['servers']
    assert shown['state'] == 'up', shown


def test_dead_route_says_so_before_the_client_gives_up(waymark, peers):
    w = waymark(route(peers(Silent), peers(Silent)), policy=POLICY)
    asked = ask_all(w.port, [Asked('www.example', 'A'), Asked(discovery('example'), 'SRV')], rate=1000, repeats=(1, 2, 4), patience=7)
    assert all(q.rcode == dns.rcode.SERVFAIL and q.seconds < 5 + LATE for q in asked), asked
    assert w.stats()['discarded'] >= 4  # of each question the first two packets: they are too old


def test_dead_server_is_back_and_names_that_failed_meanwhile_are_served(waymark, peers):
    back = []
    w = waymark({'server': {'workers': 2}}, upstream=peers(Fake, lambda q, _: reply(q, '300 A 192.0.2.1') if back else None).port)
    names = [f'host{n}.example.com' for n in range(6)]

    def failing():
        asked = ask_all(w.port, [Asked(name, 'A') for name in names], rate=1000, repeats=(), patience=2)
        return [q for q in asked if q.rcode != dns.rcode.NOERROR]

    begun = time.monotonic()
    while time.monotonic() < begun + 14:  # each fails twice: the second time for 10 s
        assert len(failing()) == len(names)
    back.append(time.monotonic())
    while failing():
        time.sleep(0.1)
    assert time.monotonic() - back[0] < 5 + LATE


# --- servers that do not know EDNS

def bare(q, rcode):
    """A header and no more."""
    return struct.pack('!6H', q.id, 0x8180 | dns.rcode.from_text(rcode), 0, 0, 0, 0)


def without_opt(q, rcode):
    r = reply(q, rcode=rcode)
    r.use_edns(False)
    return r


# What the server says to a question with EDNS; without it, it answers.
EDNS_ROWS = {
    'FORMERR': lambda q: without_opt(q, 'FORMERR'),
    'FORMERR, header only': lambda q: bare(q, 'FORMERR'),
    'NOTIMP, header only': lambda q: bare(q, 'NOTIMP'),
    'BADVERS': lambda q: reply(q, rcode='BADVERS'),
    'SERVFAIL': lambda q: without_opt(q, 'SERVFAIL'),
    'SERVFAIL with OPT': lambda q: reply(q, rcode='SERVFAIL'),
    'silence': lambda q: None,
}


@pytest.mark.parametrize('row', EDNS_ROWS)
def test_server_without_edns_is_learnt(waymark, peers, row):
    def answer(q, _):
        if q.edns >= 0:
            return EDNS_ROWS[row](q)
        return reply(q, '300 A 192.0.2.1') if q.question[0].rdtype == 1 else reply(q, rcode='NXDOMAIN', soa=True)

    w = waymark({'server': {'workers': 1}}, upstream=peers(Fake, answer).port, policy=POLICY)
    got = [timed(w.ask, f'host{n}.example', 'A') for n in range(5)]
    told = [f'{ask.rcode(a)} {seconds:.2f} s' for a, seconds in got]
    assert [ask.addresses(a) for a, _ in got] == [['192.0.2.1']] * 5, told
    assert got[0][1] < (STUB if row == 'silence' else AT_ONCE) and got[-1][1] < AT_ONCE, told
    assert w.find('fabrikam.local') == HOSTS


@pytest.mark.parametrize('row', ['SERVFAIL with OPT', 'silence'])
def test_edns_is_kept_where_a_name_fails_with_it_and_without(waymark, peers, row):
    seen = []

    def answer(q, _):
        if 'bad' in str(q.question[0].name).lower():
            return EDNS_ROWS[row](q)
        seen.append(q.edns)
        return reply(q, '300 A 192.0.2.1')

    w = waymark({'server': {'workers': 1}, 'limits': {'discard-timeout': '0'}}, upstream=peers(Fake, answer).port)
    for q in ask_all(w.port, [Asked(f'bad{n}.example', 'A') for n in range(5)], rate=1000, repeats=(), patience=STUB):
        assert q.rcode == dns.rcode.SERVFAIL
    for n in range(5):
        assert ask.rcode(w.ask(f'good{n}.example', 'A')) == 'NOERROR'
    assert seen[-1] == 0, seen


# --- replies that cannot be used

def records(*rdata, kind=1, name=b'\xc0\x0c'):
    return b''.join(name + struct.pack('!2HIH', kind, 1, 300, len(r)) + r for r in rdata)


def made(q, rest, answers=1):
    """A reply with the right question and these octets after it."""
    wire = without_opt(q, 'NOERROR').to_wire()
    return wire[:6] + struct.pack('!H', answers) + wire[8:] + rest


BROKEN = {
    'header only, REFUSED': lambda q: bare(q, 'REFUSED'),
    'header only, SERVFAIL': lambda q: bare(q, 'SERVFAIL'),
    'cut in the middle': lambda q: made(q, records(b'\xc0\0\2\1'))[:-2],
    'a record too few': lambda q: made(q, records(b'\xc0\0\2\1'), 2),
    'trailing octets': lambda q: made(q, records(b'\xc0\0\2\1') + b'\0\0'),
    'owner that points to itself': lambda q: made(q, records(b'\xc0\0\2\1', name=struct.pack('!H', 0xc000 | len(made(q, b''))))),
    'address of three octets': lambda q: made(q, records(b'\xc0\0\2')),
    'text beyond its record': lambda q: made(q, records(b'\xffabc', kind=16)),
}


@pytest.mark.parametrize('row', BROKEN)
def test_next_server_is_asked_at_once_after_a_reply_that_cannot_be_used(waymark, peers, row):
    kind, data = ('TXT', '"true"') if 'text' in row else ('A', '192.0.2.1')
    w = waymark(route(peers(Fake, lambda q, _: BROKEN[row](q)), peers(Fake, lambda q, _: reply(q, f'300 {kind} {data}'))))
    answer, seconds = timed(w.ask, 'host.example', kind)
    assert ask.rcode(answer) == 'NOERROR' and [rr.to_text() for rr in answer.answer[0]] == [data], f'after {seconds:.2f} s'
    assert seconds < AT_ONCE


@pytest.mark.parametrize('row', BROKEN)
def test_true_reply_after_one_that_cannot_be_used_is_taken(waymark, peers, row):
    """Who can send us octets, but knows no more than the ID, cannot end the wait."""
    kind, data = ('TXT', '"true"') if 'text' in row else ('A', '192.0.2.1')
    w = waymark(upstream=peers(Fake, lambda q, _: [BROKEN[row](q), reply(q, f'300 {kind} {data}')]).port)
    answer, seconds = timed(w.ask, 'host.example', kind)
    assert ask.rcode(answer) == 'NOERROR' and [rr.to_text() for rr in answer.answer[0]] == [data], f'after {seconds:.2f} s'
    assert seconds < AT_ONCE


def test_only_server_that_says_nothing_usable_is_given_up_in_time(waymark, peers):
    servers = {row: peers(Fake, lambda q, _, row=row: BROKEN[row](q)) for row in BROKEN}
    w = waymark({'forward': [{'zone': f'z{n}.example', 'servers': [f'127.0.0.1:{s.port}']} for n, s in enumerate(servers.values())]})
    asked = [Asked(f'host.z{n}.example', 'TXT' if 'text' in row else 'A') for n, row in enumerate(BROKEN)]
    ask_all(w.port, asked, rate=1000, repeats=(), patience=STUB)
    told = {row: (q.rcode, q.seconds) for row, q in zip(BROKEN, asked)}
    assert [q.rcode for q in asked] == [dns.rcode.SERVFAIL] * len(BROKEN), told


def test_error_of_a_header_alone_is_the_verdict(waymark, peers):
    zones = {rcode.lower(): peers(Fake, lambda q, _, rcode=rcode: bare(q, rcode)) for rcode in ('REFUSED', 'SERVFAIL')}
    w = waymark({'forward': [{'zone': z, 'servers': [f'127.0.0.1:{s.port}']} for z, s in zones.items()]}, policy=POLICY)
    for q in ask_all(w.port, [Asked(discovery(z), 'SRV') for z in zones], rate=1000, repeats=()):
        assert q.rcode == dns.rcode.SERVFAIL
    assert sorted(verdicts(w)) == sorted(zones)
