# SPDX-License-Identifier: BSD-2-Clause
"""What the real DNS says arrives as it was said: many names and types, asked through Waymark and of the server itself."""
import os

import dns.rcode
import pytest

import ask
from upstreams import Dnsmasq, KresdForward, Named, Nsd, Recursor, Unbound

# One record of each type, for the names that have it. A name N has type K when (N + K) % 5 is not 0, so that every
# type is also asked where it is missing.
TYPES = {
    'A': '198.51.{h}.{l}', 'AAAA': '2001:db8::{n:x}', 'TXT': '"v=spf1 {n}" "second; part"', 'MX': '10 mail{n}',
    'SRV': '0 5 5060 sip{n}', 'PTR': 'host{n}.Example.ORG.', 'NAPTR': '10 20 "u" "E2U+sip" "!^.*$!sip:{n}@x!" .',
    'CAA': '0 issue "ca{n}.example"', 'TLSA': '3 1 1 {n:064x}', 'SSHFP': '1 1 {n:040x}', 'HINFO': '"CPU {n}" "OS"',
    'RP': 'admin{n} txt{n}', 'AFSDB': '1 db{n}', 'LOC': '52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m',
    'URI': '10 1 "https://{n}.example/"', 'DS': '{n} 8 2 {n:064x}', 'CERT': 'PKIX {n} 8 AQID',
    'DHCID': 'AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=', 'TYPE65280': '\\# 4 0a0b{n:04x}', 'NS': 'ns{n}',
}
NAMES = 500  # times the types: 10,000 questions, of which every day sees a part
LONG = os.environ.get('WAYMARK_LONG')


def zone():
    lines = []
    for n in range(NAMES):
        for k, (kind, data) in enumerate(TYPES.items()):
            if (n + k) % 5 and kind not in ('DS', 'NS'):
                lines.append(f'Name{n} IN {kind} {data.format(n=n, h=n // 256, l=n % 256)}\n')
    for i in range(240):  # 60 KB
        lines.append(f'long IN TXT "{i:03d}{"x" * 247}"\n')
    for n in range(10):
        lines.append(f'alias{n} IN CNAME Name{n}\n')
    lines.append('*.wild IN TXT "any"\nempty.below IN A 192.0.2.1\n')
    lines.append('away IN DNAME example.org.\n')
    return ''.join(lines)


@pytest.fixture(scope='module')
def origin():
    server = Nsd(zones={'example.com': zone()})
    yield server
    server.finish()


def records(section):
    """Owner, type, data with its letters as they are; TTLs apart."""
    return {(r.name.to_text(), r.rdtype, rr.to_text()) for r in section for rr in r}


def ttls(section):
    return {(r.name.to_text().lower(), r.rdtype): r.ttl for r in section}


def differences(direct, ours):
    found = []
    assert direct.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN), 'the server has to know'
    if direct.rcode() != ours.rcode():
        found.append(f'rcode {ask.rcode(direct)}, through Waymark {ask.rcode(ours)}')
    if records(direct.answer) != records(ours.answer):
        found.append(f'answer {direct.answer}, through Waymark {ours.answer}')
    negative = not direct.answer
    if negative and records(direct.authority) != records(ours.authority):
        found.append(f'authority {direct.authority}, through Waymark {ours.authority}')
    real = {**ttls(direct.answer), **ttls(direct.authority)}
    for key, ttl in {**ttls(ours.answer), **(ttls(ours.authority) if negative else {})}.items():
        if ttl > real.get(key, -1):
            found.append(f'TTL of {key} {ttl}, real {real.get(key)}')
    return found


@pytest.mark.parametrize('kind', TYPES)
def test_every_name_says_through_us_what_it_says_directly(origin, waymark, kind):
    w = waymark(upstream=origin.port)
    wrong = []
    for again in ('first', 'cached'):
        for n in range(0, NAMES, 1 if LONG else 3):
            name = f'name{n}.EXAMPLE.com'
            wrong += [(name, kind, again, d) for d in differences(ask.udp(origin.port, name, kind), w.ask(name, kind))]
    assert not wrong, wrong[:5]


ODD = [('alias3', 'A'), ('alias3', 'MX'), ('alias5', 'A'), ('x.y.wild', 'TXT'), ('x.wild', 'A'), ('below', 'A'),
       ('no.such', 'A'), ('x.away', 'A'), ('', 'SOA'), ('', 'NS'), ('alias1', 'CNAME'), ('name1', 'ANY')]


@pytest.mark.parametrize('name, kind', ODD, ids=[f'{n} {k}' for n, k in ODD])
def test_odd_names(origin, waymark, name, kind):
    w = waymark({'limits': {'any-to-tcp': False}}, upstream=origin.port)
    for _ in range(2):
        assert not differences(ask.udp(origin.port, f'{name}.example.com'.lstrip('.'), kind),
                               w.ask(f'{name}.example.com'.lstrip('.'), kind))


RESOLVERS = {'BIND': Named, 'unbound': Unbound, 'Recursor': Recursor, 'dnsmasq': Dnsmasq, 'kresd': KresdForward}


@pytest.fixture(scope='module', params=RESOLVERS)
def resolver(request, origin):
    server = RESOLVERS[request.param](zones=(), waymark=origin.port, rest=origin.port)
    yield server
    server.finish()


def test_in_front_of_a_resolver_every_name_says_what_the_resolver_says(resolver, waymark):
    """The resolver's own caching may make TTLs smaller, never ours larger."""
    w, wrong = waymark(upstream=resolver.port), []
    for n in range(0, NAMES, 1 if LONG else 40):
        for kind in TYPES:
            name = f'name{n}.EXAMPLE.com'
            direct = ask.udp(resolver.port, name, kind)
            wrong += [(name, kind, again, d) for again in ('first', 'cached') for d in differences(direct, w.ask(name, kind))]
    assert not wrong, (len(wrong), wrong[:5])


def test_60_kilobytes_of_text_arrive_over_tcp(origin, waymark):
    w = waymark(upstream=origin.port)
    cut = w.ask('long.example.com', 'TXT')
    assert cut.flags & 0x0200, 'TC over UDP'
    direct, ours = ask.tcp(origin.port, 'long.example.com', 'TXT'), w.tcp('long.example.com', 'TXT')
    assert len(direct.to_wire(max_size=65535)) > 60000
    assert records(ours.answer) == records(direct.answer)


def test_letters_of_the_question_come_back(origin, waymark):
    w = waymark(upstream=origin.port)
    for name in ('NaMe1.exAMple.COM.', 'name1.example.com.', 'NAME1.EXAMPLE.COM.'):
        answer = w.ask(name, 'A')
        assert answer.question[0].name.to_text() == name
        assert answer.answer[0].name.to_text() == name
