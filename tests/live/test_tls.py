# SPDX-License-Identifier: BSD-2-Clause
"""TLS to servers (RFC 7858, 8310): who they must be, what is said when they are not, and that nothing goes in clear text then.

The CA is the test's own, made by `openssl`; the servers are unbound, Knot Resolver, dnsdist, and Python ones that lie.
"""
import base64
import hashlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading

import ask
import dns.edns
import dns.message
import pytest
from process import free_port, wait_for
from test_streams import MANY, address, after_each, asks, at_once, one_by_one, reversed_order, twice
from upstreams import Dnsdist, Kresd, Streams, Unbound

NAME = 'dns.corp.example'


class Ca:
    """A CA, and certificates of it: (file, key) for a name."""

    def __init__(self, folder, name):
        self.folder, self.file = folder, f'{folder}/{name}.pem'
        self.key = f'{folder}/{name}.key'
        self.run('req', '-x509', *self.new_key(self.key), '-out', self.file, '-subj', f'/CN={name}', '-days', '9')

    @staticmethod
    def run(*words):
        subprocess.run(['openssl', *words], check=True, capture_output=True, timeout=60)

    @staticmethod
    def new_key(key):
        return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key]

    def issue(self, name, days=2, label='server', subject='unused'):
        key, asked, out = (f'{self.folder}/{label}.{x}' for x in ('key', 'csr', 'pem'))
        self.run('req', *self.new_key(key), '-out', asked, '-subj', f'/CN={subject}',
                 *(['-addext', f'subjectAltName=DNS:{name}'] if name else []))
        self.run('x509', '-req', '-in', asked, '-CA', self.file, '-CAkey', self.key, '-days', str(days), '-out', out,
                 '-copy_extensions', 'copy')
        return out, key


def pin_of(certificate):
    """As RFC 7858 appendix A makes it."""
    public = subprocess.run(['openssl', 'x509', '-in', certificate, '-pubkey', '-noout'], check=True, capture_output=True).stdout
    der = subprocess.run(['openssl', 'pkey', '-pubin', '-outform', 'der'], input=public, check=True, capture_output=True).stdout
    return 'sha256/' + base64.b64encode(hashlib.sha256(der).digest()).decode()


def context(pair, version=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if version:
        c.set_ciphers('ALL:@SECLEVEL=0')
        c.minimum_version = c.maximum_version = version
    c.load_cert_chain(*pair)
    return c


@pytest.fixture(scope='module')
def pki():
    """What every test needs: made once."""
    folder = tempfile.mkdtemp(prefix='waymark-tls-')
    os.chmod(folder, 0o755)

    class Pki:
        ca, other = Ca(folder, 'ca'), Ca(folder, 'other')
        good = ca.issue(NAME, label='good')
        pin = pin_of(good[0])

    yield Pki
    shutil.rmtree(folder)


@pytest.fixture
def forwarder(waymark, peers, pki):
    """forwarder(server or how it speaks, **route): a daemon that asks it strictly, by name and the test's CA."""
    def make(speak, pair=None, shows=None, workers=1, **route):
        server = speak if isinstance(speak, Streams) else peers(Streams, speak, tls=shows or context(pair or pki.good))
        route = {'zone': '.', 'servers': [f'127.0.0.1:{server.port}'], 'tls': 'strict', 'tls-name': NAME,
                 'tls-ca': pki.ca.file, 'timeout': '5s', **route}
        return waymark({'server': {'workers': workers}, 'forward': [{k: v for k, v in route.items() if v is not None}]}), server
    return make


def last_error(w):
    return w.json('upstreams')['routes'][0]['servers'][0]['last_error']


def fails_closed(w, server, *words):
    """No answer, the reason in `upstreams`, and not one packet in clear text."""
    assert ask.rcode(w.tcp('n77.example', 'A')) == 'SERVFAIL'
    assert any(word in last_error(w) for word in words), last_error(w)
    assert server.datagrams == 0
    assert w.stats()['upstream_tcp'] == 0


@pytest.mark.parametrize('speak', [at_once, reversed_order, one_by_one, twice, after_each])
def test_answers_come_over_tls(forwarder, speak):
    """rfc 7858-2: several questions at once, answers in any order, cut into records of one octet, twice, and a server that
    closes after each; no answer goes to another client."""
    w, server = forwarder(speak)
    asks(w, range(MANY))
    stats = w.stats()
    assert server.datagrams == stats['upstream_tcp'] == stats['servfail'] == 0
    assert stats['upstream_tls'] >= MANY
    if speak is not after_each:  # more than one where this machine stood still for a while
        assert server.connections == stats['upstream_tls_connections'] < MANY / 4


STRICT = {  # what the server shows, and what it is refused for
    'wrong name': (lambda p: p.ca.issue('dns.evil.example', label='wrong'), 'hostname mismatch'),
    'the name in CN alone': (lambda p: p.ca.issue('other.example', label='cn', subject=NAME), 'hostname mismatch'),
    'the name in CN, and none elsewhere': (lambda p: p.ca.issue(None, label='cn-alone', subject=NAME), 'hostname mismatch'),
    'a wildcard for a part of a label': (lambda p: p.ca.issue('d*.corp.example', label='part'), 'hostname mismatch'),
    'another CA': (lambda p: p.other.issue(NAME, label='another'), 'unable to get local issuer certificate'),
    'expired': (lambda p: p.ca.issue(NAME, days=-1, label='expired'), 'certificate has expired'),
    'self-signed': (lambda p: (p.other.file, p.other.key), 'self-signed certificate'),
}


@pytest.mark.parametrize('row', STRICT)
def test_strict_takes_no_other_certificate(forwarder, pki, row):
    """rfc 7858/8310-1: name, chain and time; no fallback to clear text."""
    pair, words = STRICT[row]
    w, server = forwarder(at_once, pair(pki))
    fails_closed(w, server, words)


@pytest.mark.parametrize('pins, name, good', [
    (['right'], None, True), (['wrong', 'right'], None, True), (['right'], NAME, True), (['wrong'], None, False),
    (['wrong'], NAME, False)])
def test_pins(forwarder, pki, pins, name, good):
    """rfc 7858/8310-1: one of the pins is the server's key, whoever has signed it; with a name that must be right, too."""
    keys = {'right': pki.pin, 'wrong': pin_of(pki.other.file)}
    more = {'tls-name': name, 'tls-ca': pki.ca.file if name else None, 'tls-pin': [keys[p] for p in pins]}
    w, server = forwarder(at_once, **more)
    if good:
        asks(w, [1, 2, 3])
    else:
        fails_closed(w, server, 'its key is none of tls-pin')


def test_pinned_key_does_not_excuse_another_name(forwarder, pki):
    pair = pki.ca.issue('dns.evil.example', label='pinned')
    w, server = forwarder(at_once, pair, **{'tls-pin': [pin_of(pair[0])]})
    fails_closed(w, server, 'hostname mismatch')


def test_pinned_certificate_that_is_not_the_servers_own(forwarder, pki, tmp_path):
    """It sends along a certificate whose key it does not have."""
    liar, key = pki.other.issue(NAME, label='liar')
    both = tmp_path / 'chain.pem'
    both.write_bytes(open(liar, 'rb').read() + open(pki.good[0], 'rb').read())
    w, server = forwarder(at_once, (str(both), key), **{'tls-name': None, 'tls-ca': None, 'tls-pin': [pki.pin]})
    fails_closed(w, server, 'its key is none of tls-pin')


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(forwarder, pki, version):
    w, server = forwarder(at_once, shows=context(pki.good, version))
    fails_closed(w, server, 'protocol version', 'unsupported protocol')


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_session_is_taken_up_again(forwarder, pki, version):
    """rfc 7858-2: a new connection begins with the session of the one before."""
    w, server = forwarder(at_once, shows=context(pki.good, version))
    for n in range(3):
        asks(w, [n])
        server.close_all()
    assert server.connections >= 3
    assert server.sessions == w.stats()['upstream_resumed'] == server.connections - 1


@pytest.mark.parametrize('says, words', [(b'\0\14plain text..', 'TLS: '), (b'', 'Connection reset by peer')])
def test_plain_text_on_the_port(forwarder, peers, says, words):
    """Nobody there speaks TLS: it answers in clear text, or hangs up."""
    def speak(c):
        c.socket.recv(1 << 16)
        c.socket.sendall(says)

    w, server = forwarder(peers(Streams, speak))
    fails_closed(w, server, words)


def test_stall_in_the_handshake(forwarder, peers):
    """3 s, then it is over; the question has had its answer by then."""
    held = []
    server = peers(Streams, lambda c: (held.append(c), c.socket.recv(1 << 16), threading.Event().wait(20)))
    w, server = forwarder(server, timeout='1s')
    assert ask.rcode(w.tcp('n1.example', 'A')) == 'SERVFAIL'
    wait_for(lambda: 'timed out' in last_error(w), 'the end of the handshake')
    assert server.datagrams == 0 and w.stats()['upstream_tcp'] == 0


def test_reset_in_an_answer(forwarder):
    """As over TCP: the connection has failed, and the next one is asked."""
    first = []

    def speak(c):
        q = c.take()
        if not first:
            first.append(q)
            c.socket.sendall(struct.pack('!H', 200) + b'half')
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            return
        while q:
            c.give(address(q))
            q = c.take()

    w, server = forwarder(speak)
    asks(w, [1])
    assert server.connections >= 2 and server.datagrams == 0


def test_questions_are_padded(forwarder, peers):
    """rfc 7830/8467: to 128 octets, as the last option; never over UDP or TCP without TLS."""
    sizes = []

    def speak(c):
        while q := c.take():
            if q.edns >= 0:  # it is no probe of our own
                sizes.append((len(c.wire), [o.otype for o in q.options]))
            c.give(address(q) if q.edns >= 0 else q)

    w, _ = forwarder(speak)
    asks(w, range(5))
    w.tcp(f'n9.{"x" * 60}.{"y" * 60}.example', 'A')
    assert [s for s, _ in sizes[:5]] == [128] * 5 and sizes[5][0] == 256
    assert all(options == [dns.edns.OptionType.PADDING] for _, options in sizes)
    sizes.clear()
    plain = peers(Streams, speak)
    w, _ = forwarder(plain, tls=None, **{'tls-name': None, 'tls-ca': None})
    asks(w, [1])
    assert sizes and sizes[0][0] < 60 and sizes[0][1] == []


def opportunistic(forwarder, peers, tls_server, **more):
    """The clear-text server, and a daemon that tries TLS at the port of the other."""
    clear = peers(Streams, at_once)
    w, _ = forwarder(clear, tls='opportunistic', **{'tls-name': None, 'tls-ca': None, 'tls-port': tls_server, **more})
    return w, clear


def test_opportunistic_takes_any_certificate(forwarder, peers, pki):
    """rfc 8310: whoever it is, and clear text never."""
    server = peers(Streams, at_once, tls=context(pki.other.issue('whoever', days=-1, label='any')))
    w, clear = opportunistic(forwarder, peers, server.port)
    asks(w, range(MANY))
    assert 1 <= server.connections < MANY / 4
    assert clear.connections == clear.datagrams == 0


@pytest.mark.parametrize('row', ['refused', 'no TLS', 'silent'])
def test_opportunistic_falls_back(forwarder, peers, row):
    """rfc 8310: without TLS as it would be else; each client is answered, and the server is up."""
    port = free_port()
    if row == 'no TLS':
        port = peers(Streams, at_once).port
    elif row == 'silent':
        port = peers(Streams, lambda c: threading.Event().wait(20)).port
    w, clear = opportunistic(forwarder, peers, port, timeout='500ms')
    asks(w, range(10))
    asks(w, range(10, 20))
    server = w.json('upstreams')['routes'][0]['servers'][0]
    assert server['state'] == 'up' and 'TLS' in server['without'] and server['tls'] == 'opportunistic'
    assert clear.datagrams > 0
    assert w.stats()['upstream_tls_connections'] <= 4


def test_strict_without_its_server_says_nothing_in_clear(waymark, peers, pki):
    """rfc 7858/8310-1: whoever listens at port 53 of the server's address, or at its port without TLS, is not asked."""
    try:
        clear = peers(Streams, at_once, address='127.8.5.3', port=53)
    except PermissionError:
        pytest.skip('needs port 53: root')
    port = free_port()  # nobody
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(('127.8.5.3', port))
        w = waymark({'forward': [{'zone': '.', 'servers': [f'127.8.5.3:{port}'], 'tls': 'strict', 'tls-pin': [pki.pin]}]})
        for n in range(5):
            assert ask.rcode(w.tcp(f'n{n}.example', 'A')) == 'SERVFAIL'
        wait_for(lambda: w.json('upstreams')['routes'][0]['servers'][0]['state'] == 'down', 'the server to be down')
        wait_for(lambda: w.json('upstreams')['routes'][0]['servers'][0]['queries'] >= 12, 'probes')
        udp.setblocking(False)
        with pytest.raises(BlockingIOError):
            udp.recv(1)
    assert clear.connections == clear.datagrams == 0


def test_reload_with_another_ca(forwarder, pki, tmp_path):
    """New connections need it; a missing file changes nothing, and says why."""
    file = tmp_path / 'ca.pem'
    shutil.copy(pki.ca.file, file)
    w, server = forwarder(at_once, **{'tls-ca': str(file)})
    asks(w, [1])
    before = server.connections
    w.ctl('reload')
    asks(w, [2])
    assert server.connections == before, 'the same CA: the same connection'
    file.unlink()
    said = w.ctl('reload', ok=5)
    assert 'forward.tls-ca' in said.err and 'No such file' in said.err
    asks(w, [3])
    assert server.connections == before
    shutil.copy(pki.other.file, file)
    w.ctl('reload')
    fails_closed(w, server, 'unable to get local issuer certificate')
    shutil.copy(pki.ca.file, file)
    w.ctl('reload')
    asks(w, [4])


@pytest.mark.parametrize('kind', [Unbound, Kresd, Dnsdist], ids=['unbound', 'Knot Resolver', 'dnsdist'])
def test_real_server(waymark, peers, nsd, pki, kind):
    """rfc 7858-2: questions at once over one connection for each worker, one more with the session of the first."""
    server = peers(kind, zones=[], waymark=nsd.port, rest=nsd.port, tls=pki.good)
    route = {'zone': '.', 'servers': [f'127.0.0.1:{server.tls_port}'], 'tls': 'strict', 'tls-name': NAME, 'tls-ca': pki.ca.file, 'timeout': '5s'}
    w = waymark({'server': {'workers': 1}, 'forward': [route]})
    for name, kind_of, data in [('www.contoso.com', 'A', '10.0.0.80'), ('www.contoso.com', 'AAAA', '2001:db8::80')] * 5:
        assert ask.addresses(w.tcp(name, kind_of)) == [data]
    assert ask.rcode(w.tcp('nobody.contoso.com', 'A')) == 'NXDOMAIN'
    stats = w.stats()
    assert stats['upstream_tls_connections'] <= 3 and stats['upstream_errors'] == 0
    assert stats['upstream_tls'] == stats['upstream_queries']
