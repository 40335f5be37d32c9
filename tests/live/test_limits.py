# SPDX-License-Identifier: BSD-2-Clause
"""Clients whose address is not proved: DNS cookies, how much they may ask, how large an answer may be; and silence."""
import os
import random
import subprocess

import dns.edns
import dns.flags
import dns.message
import dns.query
import pytest

import ask
from ask import Datagrams, discovery
from conftest import CONTOSO, POLICY
from process import wait_for
from upstreams import Nsd, reply

CLIENT = b'octets_8'


def query(name, kind='A', cookie=None, options=(), **more):
    options = [dns.edns.GenericOption(10, cookie), *options] if cookie is not None else list(options)
    return dns.message.make_query(name, kind, use_edns=0, payload=1232, options=options, **more)


def cookie_of(answer):
    found = [o.to_wire() for o in answer.options if o.otype == 10]
    assert len(found) == 1
    return found[0]


def bare(cookie):
    """A question for nothing but the cookie (RFC 7873 5.4): its rcode tells whether the cookie is believed."""
    wire = query('.', cookie=cookie).to_wire()
    return wire[:4] + b'\0\0' + wire[6:12] + wire[17:]


def believed(w, cookie, source='127.0.0.1'):
    with Datagrams(w.port, source) as d:
        return ask.rcode(dns.message.from_wire(d.ask(bare(cookie)))) == 'NOERROR'


# --- RFC 7873, 9018

def test_rfc_7873_9018_1_cookie_is_given_taken_and_bound_to_the_address(served):
    """rfc 7873/9018-1"""
    answer = dns.query.udp(query('www.contoso.com', cookie=CLIENT), '127.0.0.1', port=served.port, timeout=ask.WAIT)
    given = cookie_of(answer)
    assert len(given) == 24 and given[:8] == CLIENT and given[8:12] == b'\1\0\0\0' and ask.addresses(answer) == ['10.0.0.80']
    for _ in range(8):  # whichever worker the port leads to
        again = dns.query.udp(query('www.contoso.com', cookie=given), '127.0.0.1', port=served.port, timeout=ask.WAIT)
        assert cookie_of(again) == given
        assert believed(served, given)
    assert not believed(served, given, source='127.0.0.9')
    assert not believed(served, given[:-1] + bytes([given[-1] ^ 1]))
    assert believed(served, CLIENT), 'one that only asks is not told off'
    assert cookie_of(dns.query.tcp(query('www.contoso.com', cookie=CLIENT), '127.0.0.1', port=served.port))[:8] == CLIENT


@pytest.mark.parametrize('n', [0, 1, 7, 9, 15, 41])
def test_rfc_7873_9018_1_malformed_cookie_is_formerr(served, n):
    """rfc 7873/9018-1"""
    answer = dns.query.udp(query('www.contoso.com', cookie=b'x' * n), '127.0.0.1', port=served.port, timeout=ask.WAIT)
    assert ask.rcode(answer) == 'FORMERR' and not any(o.otype == 10 for o in answer.options)


def test_rfc_7873_9018_1_secrets_are_shared_and_replaced(waymark, nsd, tmp_path):
    """rfc 7873/9018-1: two servers with one secret; a new one comes beside it, then before it, then alone."""
    os.chmod(tmp_path, 0o755)
    path = tmp_path / 'secrets'
    old, new = '00112233445566778899aabbccddeeff', 'ffeeddccbbaa99887766554433221100'
    path.write_text(old + '\n')
    one, other = (waymark({'limits': {'cookie-secret-file': str(path)}}, upstream=nsd.port) for _ in range(2))
    lonely = waymark(upstream=nsd.port)

    def given(w):
        return cookie_of(dns.query.udp(query('www.contoso.com', cookie=CLIENT), '127.0.0.1', port=w.port, timeout=ask.WAIT))

    first = given(one)
    assert believed(other, first) and not believed(lonely, first)
    path.write_text(f'{old}\n{new}\n')
    one.ctl('reload')
    path.write_text(f'{new}\n{old}\n')
    other.ctl('reload')
    second = given(other)
    assert believed(one, second) and believed(other, first)
    renewed = dns.query.udp(query('www.contoso.com', cookie=first), '127.0.0.1', port=other.port, timeout=ask.WAIT)
    assert cookie_of(renewed) != first, 'of the secret before: renewed'
    path.write_text('not a secret\n')
    assert f'{path}:1: not a secret' in other.ctl('reload', ok=5).err
    assert believed(other, first) and believed(other, second), 'nothing has changed'
    path.write_text(new + '\n')
    other.ctl('reload')
    assert believed(other, second) and not believed(other, first)
    kept = given(lonely)
    del other.settings['limits']['cookie-secret-file']
    other.write_settings()
    other.ctl('reload')
    assert not believed(other, second), 'who has the file knows no secret of a server without it'
    lonely.ctl('reload')
    assert believed(lonely, kept), 'what was drawn at the start stays'


def test_rfc_7873_9018_1_dig_says_that_it_is_good(served):
    """rfc 7873/9018-1"""
    out = subprocess.run(['dig', '@127.0.0.1', '-p', str(served.port), 'www.contoso.com', '+cookie'],
                         capture_output=True, text=True, timeout=60, check=True).stdout
    assert '; COOKIE: ' in out and '(good)' in out and '10.0.0.80' in out


# --- amplification (RFC 8482; T40)

TEXT = ' '.join(['"' + 'x' * 200 + '"'] * 5)
HOSTS = '\n'.join(f'many IN A 10.1.0.{i}\nmany IN AAAA 2001:db8::{i}' for i in range(1, 30))
ZONE = CONTOSO + f'''
text TXT {TEXT}
short TXT "v=spf1 -all"
many TXT {TEXT}
{HOSTS}
mail MX 10 many
alias CNAME many
'''
QUESTIONS = {
    'TXT of 1,000 octets': ('text.contoso.com', 'TXT', {}),
    'the same with DO': ('text.contoso.com', 'TXT', {'want_dnssec': True}),
    'TXT of an SPF': ('short.contoso.com', 'TXT', {}),
    'TXT at many': ('many.contoso.com', 'TXT', {}),
    'TXT that is not there': ('none.contoso.com', 'TXT', {}),
    'ANY': ('many.contoso.com', 'ANY', {}),
    'ANY with DO': ('many.contoso.com', 'ANY', {'want_dnssec': True}),
    'ANY of a zone': ('contoso.com', 'ANY', {}),
    'ANY of the root': ('.', 'ANY', {}),
    'ANY of a special name': ('localhost', 'ANY', {}),
    '29 addresses': ('many.contoso.com', 'A', {}),
    '29 addresses of IPv6': ('many.contoso.com', 'AAAA', {}),
    'behind an alias': ('alias.contoso.com', 'AAAA', {}),
    'MX and the addresses of its host': ('mail.contoso.com', 'MX', {}),
    'SOA': ('contoso.com', 'SOA', {}),
    'a name that is not there': ('n.contoso.com', 'A', {}),
    'a KMS host of a rule': (discovery('tailspin.com'), 'SRV', {}),
    'ANY for a KMS host': (discovery('tailspin.com'), 'ANY', {}),
    'the name of the server': ('id.server', 'TXT', {'rdclass': 'CH'}),
    'refused, with NSID': ('contoso.com', 'AXFR', {'options': [dns.edns.GenericOption(3, b'')]}),
}
FLOOD = 200


def flood(w, wire, source, n=FLOOD):
    """Sends so many, of which a socket's buffer holds all, and takes what comes back: octets, and answers without TC."""
    def done():
        s = w.stats()
        return s['answers'] + s['dropped'] >= before + n
    s = w.stats()
    before = s['answers'] + s['dropped']
    octets = whole = 0
    with Datagrams(w.port, source) as d:
        for _ in range(n):
            d.socket.send(wire)
        wait_for(done, 'all are answered, or are not')
        d.socket.setblocking(False)
        while True:
            try:
                got = d.socket.recv(65535)
            except BlockingIOError:
                return octets, whole
            octets += len(got)
            whole += not got[2] & 2


@pytest.fixture
def authority():
    server = Nsd(zones={'contoso.com': ZONE, 'fabrikam.local': '', 'tailspin.com': '', '.': ''})
    yield server
    server.finish()


def test_amplification(waymark, authority):
    """security.md T40, section 6 row 30: a flood from a made-up address brings nobody one and a half times its octets."""
    w = waymark({'server': {'name': 'a-name-of-this-server-that-is-rather-long.contoso.com'},
                 'limits': {'client-rate': 50, 'client-large-rate': 1}}, upstream=authority.port, policy=POLICY)
    factors = {}
    for i, (row, (name, kind, more)) in enumerate(QUESTIONS.items()):
        q = query(name, kind, **more)
        if kind != 'AXFR':
            dns.query.tcp(q, '127.0.0.1', port=w.port, timeout=ask.WAIT)  # it is in the cache
        wire = q.to_wire()
        octets, _ = flood(w, wire, f'127.0.1.{i + 1}')
        factors[row] = octets / (FLOOD * len(wire))
    print('\n'.join(f'{factor:.2f}  {row}' for row, factor in factors.items()))
    assert len(factors) == 20 and max(factors.values()) <= 1.5, factors
    stats = w.stats()
    assert stats['rate_dropped'] > 1000 and stats['rate_slipped'] > 1000 and stats['large_cut'] > 100
    assert stats['any_cut'] >= 5 * 50, 'of the five that are ANY and not for a KMS host'


@pytest.mark.parametrize('row', [r for r in QUESTIONS if r.startswith('ANY ') and 'KMS' not in r] + ['ANY', 'refused, with NSID'])
def test_rfc_8482_1_any_by_udp_is_no_amplifier_by_default(waymark, authority, row):
    """rfc 8482-1: TC, from the first question on, and all of it over TCP."""
    name, kind, more = QUESTIONS[row]
    w = waymark({'server': {'name': 'x' * 60}}, upstream=authority.port, policy=POLICY)
    q = query(name, kind, **more)
    octets, whole = flood(w, q.to_wire(), '127.0.0.5', n=20)
    assert octets <= 1.5 * 20 * len(q.to_wire())
    assert whole == (20 if kind == 'AXFR' else 0)
    if row == 'ANY':
        answer = dns.query.udp_with_fallback(q, '127.0.0.1', port=w.port, timeout=ask.WAIT)[0]
        assert answer.answer and not answer.flags & dns.flags.TC


# --- how much a client may ask (T42)

def test_client_rate_drops_slips_and_tells(waymark, nsd):
    w = waymark({'limits': {'client-rate': 10, 'exempt-clients': ['127.0.0.7']}}, upstream=nsd.port, policy=POLICY)
    wire = query('www.contoso.com').to_wire()
    octets, whole = flood(w, wire, '127.0.0.5', n=200)
    dropped, slipped = (w.stats()[of] for of in ('rate_dropped', 'rate_slipped'))
    assert whole >= 10 and whole + dropped + slipped == 200
    assert slipped > 0 and 0 <= dropped - slipped <= 1, 'half of those above are sent to TCP'
    assert octets > slipped * len(wire)
    assert flood(w, wire, '127.0.0.7', n=100)[1] == 100, 'exempt'
    assert ask.addresses(ask.tcp(w.port, 'www.contoso.com', 'A', source='127.0.0.5')) == ['10.0.0.80']
    cookie = cookie_of(dns.query.udp(query('www.contoso.com', cookie=CLIENT), '127.0.0.1', port=w.port, timeout=ask.WAIT))
    assert flood(w, query('www.contoso.com', cookie=cookie).to_wire(), '127.0.0.1', n=100)[1] == 100, 'its address is proved'
    assert w.find('tailspin.com', source='127.0.0.6'), 'others are not touched'
    w.settings['limits']['client-rate'] = 0
    w.write_settings()
    w.ctl('reload')
    assert flood(w, wire, '127.0.0.5', n=100)[1] == 100


def test_client_rate_discovery_questions_are_accounted_for(waymark, nsd):
    w = waymark({'limits': {'client-rate': 1}}, upstream=nsd.port, policy=POLICY)
    wire = query(discovery('tailspin.com'), 'SRV').to_wire()
    asked = 0

    def told():
        nonlocal asked
        asked += 20
        flood(w, wire, '127.0.0.5', n=20)
        return 'now above limits.client-rate' in w.ctl('explain', 'tailspin.com', '--client', '127.0.0.5').out
    wait_for(told, 'explain, before the second is over')
    assert not w.json('explain', 'tailspin.com', '--client', '127.0.0.9')['client']['over_rate']
    audit, stats = w.audit(), w.stats()
    assert audit['questions'] == asked == audit['recorded'] + audit['counted'] + audit['dropped']
    assert stats['kms_blocked'] == stats['rate_dropped'] + stats['rate_slipped'] > 0
    reasons = [e['waymark']['reason'] for e in w.events() if e.get('waymark', {}).get('outcome') == 'blocked']
    assert len(reasons) == stats['kms_blocked'] and set(reasons) == {'rate'}
    assert f'questions by UDP above client-rate: {stats["rate_dropped"]} not answered' in w.ctl('status', ok=False).out


# --- silence (T43)

def test_cve_2024_2169_replies_and_junk_get_silence(served):
    """CVE-2024-2169; security.md section 6 row 23: no reply to QR=1, whatever it says; nor to what is no header."""
    chance = random.Random(23)
    base = reply(query('www.contoso.com'), rcode='SERVFAIL').to_wire()
    n, before = 30000, served.stats()['ignored']
    with Datagrams(served.port) as d:
        for i in range(n):
            wire = bytearray(base if i % 2 else chance.randbytes(chance.randrange(1, 60)))
            if len(wire) > 2:
                wire[2] |= 0x80
            d.socket.send(wire)
            if i % 500 == 499:  # what the kernel holds of them
                wait_for(lambda: served.stats()['ignored'] >= before + i + 1, 'all are read')
        marker = query('www.contoso.com')
        assert dns.message.from_wire(d.ask(marker.to_wire())).id == marker.id, 'it is the first that is answered'
        d.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            d.socket.recv(100)
    assert served.stats()['ignored'] == before + n


@pytest.mark.parametrize('wire', [b'\x12\x34\x01\0\0\0\0\0\0\0\0\0', b'\x12\x34\x20\0\0\0\0\0\0\0\0\0', query('contoso.com', 'AXFR').to_wire()], ids=['header', 'opcode', 'axfr'])
def test_cve_2024_2169_an_error_is_no_question(served, wire):
    """CVE-2024-2169: what one server says to another of our kind ends there."""
    with Datagrams(served.port) as d:
        answer = d.ask(wire)
        d.socket.send(answer)
        marker = query('www.contoso.com')
        assert dns.message.from_wire(d.ask(marker.to_wire())).id == marker.id
