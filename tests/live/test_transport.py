# SPDX-License-Identifier: BSD-2-Clause
"""UDP and TCP as such: frames, limits, silence, error codes, access."""
import socket
import struct

import ask
import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from ask import Datagrams, Stream, discovery
from conftest import HOSTS, POLICY
from process import wait_for
from upstreams import Fake, reply


def query(name='www.contoso.com', kind='A', **more):
    return dns.message.make_query(name, kind, **more)


# --- UDP

def header(ident=0x1234, flags=0x0100, counts=(1, 0, 0, 0)):
    return struct.pack('!6H', ident, flags, *counts)


QUESTION = b'\x03www\x07contoso\x03com\x00\x00\x01\x00\x01'
OPT1 = b'\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00'  # EDNS version 1
CODES = {
    'a question': (header() + QUESTION, 'NOERROR'),
    'no question': (header(counts=(0, 0, 0, 0)), 'FORMERR'),
    'two questions': (header(counts=(2, 0, 0, 0)) + QUESTION * 2, 'FORMERR'),
    'question cut short': (header() + QUESTION[:-2], 'FORMERR'),
    'label that points to itself': (header() + b'\xc0\x0c\x00\x01\x00\x01', 'FORMERR'),
    'two OPT': (header(counts=(1, 0, 0, 2)) + QUESTION + OPT1 * 2, 'FORMERR'),
    'STATUS': (header(flags=0x1000) + QUESTION, 'NOTIMP'),
    'NOTIFY': (header(flags=0x2000) + QUESTION, 'NOTIMP'),
    'opcode 15': (header(flags=0x7800) + QUESTION, 'NOTIMP'),
    'EDNS version 1': (header(counts=(1, 0, 0, 1)) + QUESTION + OPT1, 'BADVERS'),
    'flags that nobody knows': (header(flags=0x0170) + QUESTION, 'NOERROR'),
    'AXFR': (header() + QUESTION[:-4] + b'\x00\xfc\x00\x01', None),
}


@pytest.mark.parametrize('row', CODES)
def test_packet_gets_its_code(served, row):
    wire, code = CODES[row]
    with Datagrams(served.port) as d:
        answer = d.ask(wire)
    assert answer[:2] == wire[:2] and answer[2] & 0x80
    assert (answer[2] & 0x78) == (wire[2] & 0x78), 'the opcode comes back'
    got = dns.rcode.to_text(answer[3] & 15)
    if code == 'BADVERS':
        got = ask.rcode(dns.message.from_wire(answer))
    assert got in ([code] if code else ['NOTIMP', 'REFUSED', 'FORMERR'])


SILENCE = {
    'a reply': header(flags=0x8100) + QUESTION,
    'a reply with an error': header(flags=0x8185) + QUESTION,
    'nothing': b'',
    'one octet': b'x',
    'eleven octets': header()[:11],
}


@pytest.mark.parametrize('row', SILENCE)
def test_packet_that_is_no_question_gets_no_answer(served, row):
    """The answer to a question sent after it is the first that arrives."""
    before = served.stats()['ignored']
    with Datagrams(served.port) as d:
        d.socket.send(SILENCE[row])
        marker = query()
        assert d.ask(marker.to_wire())[:2] == struct.pack('!H', marker.id)
    assert served.stats()['ignored'] >= before + (row != 'nothing')


@pytest.fixture
def broad(waymark, peers):
    """A server whose answers are as large as the name says, in octets of text."""
    def answer(q, how):
        size = int(q.question[0].name.labels[0])
        texts = [f'60 TXT "{i:04d}{"x" * 200}"' for i in range(size // 204)]
        r = reply(q, *texts)
        if how.udp and len(r.to_wire(max_size=65535)) > 1232:
            r.answer, r.flags = [], r.flags | dns.flags.TC
        return r

    server = peers(Fake, answer)
    return waymark(upstream=server.port), server


@pytest.mark.parametrize('size, edns, fits', [(400, None, True), (800, None, False), (800, 1232, True), (1100, 1232, True),
                                              (2000, 1232, False), (2000, 65535, False), (100, 0, True), (800, 0, False)])
def test_answer_is_cut_to_what_the_client_takes(broad, size, edns, fits):
    w, _ = broad
    q = query(f'{size}.example', 'TXT', use_edns=0 if edns is not None else None, payload=edns)
    with Datagrams(w.port) as d:
        wire = d.ask(q.to_wire())
    answer = dns.message.from_wire(wire)
    assert len(wire) <= min(max(edns or 512, 512), 1232)
    assert bool(answer.flags & dns.flags.TC) != fits
    whole = w.tcp(f'{size}.example', 'TXT')
    assert sum(len(r) for r in whole.answer) == size // 204


@pytest.mark.parametrize('size', [4000, 60000])
def test_answer_to_a_cut_one_is_fetched_by_tcp_once(broad, size):
    w, server = broad
    for _ in range(3):
        assert len(w.tcp(f'{size}.example', 'TXT').answer[0]) == size // 204
    assert [how for _, _, how in server.asked] in (['udp', 'tcp'], ['tcp'])


@pytest.mark.parametrize('rotate', [True, False])
def test_kept_set_begins_with_each_of_its_records(waymark, peers, rotate):
    server = peers(Fake, lambda q, _: reply(q, *[f'60 A 192.0.2.{n}' for n in (1, 2, 3, 4)]))
    w = waymark({'cache': {'rotate': rotate}}, upstream=server.port)
    first = {w.ask('host.example', 'A').answer[0][0].address for _ in range(200)}
    assert len(first) == (4 if rotate else 1) and server.count() == 1


# --- TCP

def test_frame_split_byte_by_byte(served):
    with Stream(served.port) as s:
        for _ in range(3):
            q = query()
            s.send(q, each=1)
            assert s.receive().id == q.id


def test_many_questions_at_once_each_get_their_answer(served):
    with Stream(served.port) as s:
        asked = {}
        for n in range(200):
            q = query(discovery('fabrikam.local'), 'SRV') if n % 2 else query(f'host{n}.contoso.com')
            q.id = n
            asked[n] = q
            s.send(q)
        for _ in range(200):
            answer = s.receive()
            assert asked.pop(answer.id).question == answer.question
        assert not asked


def test_slow_answer_does_not_hold_up_a_fast_one(waymark, peers):
    slow = peers(Fake, lambda q, _: reply(q, '60 A 192.0.2.1') if b'slow' not in q.question[0].name.labels[0].lower() else None)
    w = waymark(upstream=slow.port)
    with Stream(w.port) as s:
        first, second = query('slow.example'), query('fast.example')
        s.send(first)
        s.send(second)
        assert s.receive().id == second.id
        assert ask.rcode(s.receive()) == 'SERVFAIL'


def test_idle_connection_is_closed(nsd, waymark):
    w = waymark({'limits': {'tcp-idle': '300ms'}}, upstream=nsd.port)
    with Stream(w.port) as s:
        s.send(query())
        s.receive()
        assert s.is_closed()
    with Stream(w.port) as s:  # half a frame does not hold it open
        s.socket.sendall(b'\x00')
        assert s.is_closed()
    assert w.stats()['tcp_timeouts'] == 2


def test_client_that_asks_is_told_how_long_its_connection_stays(nsd, waymark):
    w = waymark({'limits': {'tcp-idle': '7s'}}, upstream=nsd.port)
    q = query(use_edns=0, options=[dns.edns.GenericOption(11, b'')])
    with Stream(w.port) as s:
        for _ in range(2):  # forwarded, then cached
            s.send(q)
            assert [o.to_wire() for o in s.receive().options if o.otype == 11] == [struct.pack('!H', 70)]
        s.send(query(use_edns=0))
        assert not s.receive().options
    with Datagrams(w.port) as d:
        assert not dns.message.from_wire(d.ask(q.to_wire())).options, 'never over UDP'


@pytest.mark.parametrize('length', [0, 1, 11])
def test_frame_too_short_for_a_header_closes(served, length):
    with Stream(served.port) as s:
        s.socket.sendall(struct.pack('!H', length) + b'x' * length)
        assert s.is_closed()
    assert served.tcp('www.contoso.com', 'A').answer


def connections(w, source, n, asks=True):
    """Streams of one client; each has its answer when it asks."""
    opened = [Stream(w.port, source) for _ in range(n)]
    for s in opened if asks else []:
        s.send(query())
        s.receive()
    return opened


def closed(streams):
    """How many of them the server has closed by now."""
    n = 0
    for s in streams:
        s.socket.setblocking(False)
        try:
            n += s.socket.recv(1) == b''
        except ConnectionResetError:
            n += 1
        except BlockingIOError:
            pass
    return n


def test_longest_idle_connection_makes_room_within_a_client_and_in_all(nsd, waymark):
    w = waymark({'server': {'workers': 1}, 'limits': {'tcp-connections': 6, 'tcp-per-client': 4, 'tcp-idle': '1h'}},
                upstream=nsd.port)
    first = connections(w, '127.0.0.1', 4)
    second = connections(w, '127.0.0.1', 4)
    wait_for(lambda: closed(first) == 4, 'the end of the first four')
    third = connections(w, '127.0.0.5', 4)
    wait_for(lambda: closed(second) == 2, 'the end of two more, for another client')
    assert w.stats()['tcp_displaced'] == 6 and w.stats()['tcp_refused'] == 0
    for s in (*first, *second, *third):
        s.close()


def test_idle_connections_keep_nobody_out(nsd, waymark):
    """Many clients hold all places and say nothing; each honest one is answered at once, over UDP and TCP."""
    w = waymark({'limits': {'tcp-connections': 64, 'tcp-idle': '1h'}}, upstream=nsd.port)
    idle = [s for n in range(20) for s in connections(w, f'127.0.1.{n + 1}', 15, asks=False)]
    for n in range(100):
        assert w.tcp('www.contoso.com', 'A', source=f'127.0.2.{n + 1}').answer
        assert w.ask('www.contoso.com', 'A').answer
    assert closed(idle) >= 300 - 64
    assert w.stats()['tcp_refused'] == 0
    for s in idle:
        s.close()


def test_client_that_reads_nothing_loses_only_its_own_connection(broad):
    w, _ = broad
    with Stream(w.port) as s:
        s.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.socket.settimeout(0.5)
        try:
            for _ in range(20000):
                s.send(query('60000.example', 'TXT'))
        except OSError:
            pass
        assert w.ask('100.example', 'TXT', edns=0).rcode() == 0
        assert len(w.tcp('3000.example', 'TXT').answer[0]) == 3000 // 204


# --- who answers

def test_two_daemons_can_be_told_apart(nsd, waymark):
    for name in ('ns1', 'ns2'):
        w = waymark({'server': {'name': name}}, upstream=nsd.port)
        nsid = query(use_edns=0, options=[dns.edns.GenericOption(dns.edns.NSID, b'')])
        id_server = dns.message.make_query('id.server', 'TXT', 'CH')
        version = dns.message.make_query('version.bind', 'TXT', 'CH')
        with Datagrams(w.port) as d, Stream(w.port) as s:
            def both(q):
                s.send(q)
                return dns.message.from_wire(d.ask(q.to_wire())), s.receive()
            for _ in range(2):  # forwarded, then cached
                for answer in both(nsid):
                    assert answer.answer and [o.to_wire() for o in answer.options] == [name.encode()]
            for answer in both(id_server):
                assert answer.answer[0][0].strings == (name.encode(),)
            for answer in both(version):
                assert ask.rcode(answer) == 'REFUSED'
            w.settings['server'].update({'hide-identity': True, 'hide-version': False})
            w.write_settings()
            w.ctl('reload')
            wait_for(lambda: not any(a.answer for a in both(id_server)), 'the new settings')
            for answer in both(version):
                assert answer.answer[0][0].strings[0].startswith(b'waymark ')
            assert not both(nsid)[0].options


# --- access

def test_refused_client_gets_nothing_even_of_what_is_cached(nsd, waymark):
    w = waymark({'access': [{'net': '127.0.0.3/32', 'action': 'refuse'}, {'net': '127.0.0.4/32', 'action': 'drop'}]},
                upstream=nsd.port, policy=POLICY)
    for name, kind in (('www.contoso.com', 'A'), (discovery('fabrikam.local'), 'SRV'), ('localhost', 'A')):
        assert w.ask(name, kind).answer
        for question in (w.ask, w.tcp):
            answer = question(name, kind, source='127.0.0.3')
            assert ask.rcode(answer) == 'REFUSED' and not answer.answer and not answer.additional
    with Datagrams(w.port, '127.0.0.4') as d:
        for _ in range(3):
            d.socket.send(query().to_wire())
        wait_for(lambda: w.stats()['access_dropped'] == 3, 'three dropped questions')
        d.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            d.socket.recv(512)


def test_answer_comes_from_the_address_that_was_asked(nsd, waymark):
    """On 0.0.0.0 the kernel would choose the address, and the client would not take the answer."""
    w = waymark(upstream=nsd.port, start=False)
    w.settings['server']['listen'] = [f'0.0.0.0:{w.port}']
    w.write_settings()
    w.start()
    for server in ('127.0.0.1', '127.0.0.66'):
        for _ in range(2):  # forwarded, then cached
            assert ask.udp(w.port, 'www.contoso.com', 'A', server=server).answer
        assert ask.tcp(w.port, 'www.contoso.com', 'A', server=server).answer


@pytest.mark.parametrize('listen', ['[::1]', '[::]'])
def test_ipv6(nsd, waymark, listen):
    if not socket.has_ipv6 or not has_loopback6():
        pytest.skip('no ::1 here')
    w = waymark(upstream=nsd.port, policy=POLICY, start=False)
    w.settings['server']['listen'] = [f'{listen}:{w.port}']
    w.write_settings()
    w.start()
    assert ask.targets(ask.udp(w.port, discovery('fabrikam.local'), server='::1'))
    assert ask.targets(ask.tcp(w.port, discovery('fabrikam.local'), server='::1'))
    w.audit()
    assert [c['address'] for c in w.json('audit', 'clients')['clients']] == ['::1']


def has_loopback6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.bind(('::1', 0))
        return True
    except OSError:
        return False


# --- servers that fail

def test_equal_questions_at_once_are_asked_once(waymark, peers):
    server = peers(Fake, lambda q, _: reply(q, '60 A 192.0.2.1'))
    w = waymark({'server': {'workers': 1}}, upstream=server.port)
    with Datagrams(w.port) as d:
        for n in range(50):
            d.socket.send(query('host.example', id=n).to_wire())
        assert {struct.unpack('!H', d.socket.recv(512)[:2])[0] for _ in range(50)} == set(range(50))
    assert server.count('host.example.') == 1


def test_second_server_is_asked_when_the_first_fails(waymark, peers):
    for bad in ('SERVFAIL', 'REFUSED', None):
        first = peers(Fake, lambda q, _, bad=bad: bad and reply(q, rcode=bad))
        second = peers(Fake, lambda q, _: reply(q, '60 A 192.0.2.2'))
        w = waymark({'forward': [{'zone': '.', 'servers': [f'127.0.0.1:{first.port}', f'127.0.0.1:{second.port}'],
                                  'timeout': '300ms'}]})
        assert ask.addresses(w.ask('host.example', 'A')) == ['192.0.2.2'], bad


def test_longest_zone_decides_and_others_are_not_asked(waymark, peers):
    every = peers(Fake, lambda q, _: reply(q, '60 A 192.0.2.1'))
    corp = peers(Fake, lambda q, _: reply(q, rcode='NXDOMAIN', soa=True))
    w = waymark({'forward': [{'zone': '.', 'servers': [f'127.0.0.1:{every.port}']},
                             {'zone': 'corp.example', 'servers': [f'127.0.0.1:{corp.port}']}]})
    assert ask.addresses(w.ask('host.example', 'A')) == ['192.0.2.1']
    assert ask.rcode(w.ask('host.corp.example', 'A')) == 'NXDOMAIN'
    assert ask.rcode(w.ask('corp.example', 'A')) == 'NXDOMAIN'
    assert ask.addresses(w.ask('xcorp.example', 'A')) == ['192.0.2.1']
    assert every.count() == 2 and corp.count() == 2


def test_discovery_has_an_answer_before_windows_asks_elsewhere(waymark, peers):
    """A rule for `failed` answers at kms.upstream-deadline although no server ever does."""
    silent = peers(Fake, lambda q, _: None)
    w = waymark(upstream=silent.port, policy=POLICY.replace('    comment: CHG0042 merger', '    when: [missing, failed]'))
    assert w.find('fabrikam.local') == HOSTS
    assert w.stats()['kms_deadline'] == 1
    assert ask.rcode(ask.tcp(w.port, discovery('unknown.example'))) == 'SERVFAIL'


def test_answer_is_asked_for_again_before_its_end(waymark, peers):
    """Over 9 s, since what lives shorter than 10 s is not asked for again; over UDP and TCP at the same time."""
    server = peers(Fake, lambda q, _: reply(q, '10 A 192.0.2.1'))
    daemons = [(ask.udp, waymark(upstream=server.port)), (ask.tcp, waymark(upstream=server.port))]

    def again():
        got = [ask.addresses(way(w.port, 'www.example', 'A')) for way, w in daemons]
        return all(got) and all(w.stats()['prefetched'] > 0 for _, w in daemons)

    wait_for(again, 'a question for nobody')
    wait_for(lambda: server.count() >= 4, 'that it reaches the server')
