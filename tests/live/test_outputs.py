# SPDX-License-Identifier: BSD-2-Clause
"""The outputs of the audit: files and syslog receivers get each record once, also after a restart, a reload and a receiver's
death; and one that takes nothing keeps no client waiting."""
import ipaddress
import json
import os
import re
import socket
import time

import ask
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from process import free_port, wait_for

HEAD = re.compile(r'<(\d+)>1 (\S+) test waymarkd - (\S+) \[meta sequenceId="(\d+)"\] (.*)', re.S)


class Receiver:
    """A syslog server: what came, as the fields of HEAD. By TCP it reads when it is told to."""

    def __init__(self, kind, port=None, path=None, backlog=5):
        family = socket.AF_UNIX if path else socket.AF_INET
        self.s = socket.socket(family, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == 'tcp':
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.s.bind(path or ('127.0.0.1', port))
        if kind == 'tcp':
            self.s.listen(backlog)
        self.s.setblocking(False)
        self.kind, self.connection, self.left, self.got = kind, None, b'', []

    def take(self, text):
        self.got.append(HEAD.fullmatch(text.decode()).groups())

    def read(self):
        """Takes what there is."""
        try:
            if self.kind == 'tcp' and self.connection is None:
                self.connection = self.s.accept()[0]
                self.connection.setblocking(False)
            while True:
                data = (self.connection or self.s).recv(65536)
                if self.kind != 'tcp':
                    self.take(data)
                    continue
                if not data:
                    self.connection, self.left = None, b''
                    return self.got
                self.left += data
                while (m := re.match(rb'(\d+) ', self.left)) and len(self.left) >= m.end() + int(m[1]):
                    self.take(self.left[m.end():m.end() + int(m[1])])
                    self.left = self.left[m.end() + int(m[1]):]
        except BlockingIOError:
            return self.got

    def sequences(self):
        return [int(g[3]) for g in self.read()]

    def close(self):
        if self.connection:
            self.connection.close()
        self.s.close()


def outputs(*to):
    return {'audit': {'outputs': [{'to': t} if isinstance(t, str) else t for t in to]}}


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [json.loads(line) for line in f]


def numbers(w, path):
    return [e['event']['sequence'] for e in lines(path)]


def last(w):
    return w.events('--limit', '1')[0]['event']['sequence']


def all_of(w):
    """The numbers of all records; the first, "started", was there before the outputs."""
    return list(range(1, last(w) + 1))


def test_file_gets_what_events_prints(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY, start=False)
    path = f'{w.dir}/audit.json'
    w.settings['audit'].update(outputs(f'file:{path}')['audit'])
    w.write_settings()
    w.start()
    w.policy(POLICY)
    assert w.find('fabrikam.local') == HOSTS
    w.audit()
    w.stop()
    assert lines(path) == w.events()
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_all_kinds_at_once_and_over_a_restart(nsd, waymark):
    w = waymark(upstream=nsd.port, start=False)
    path, port = f'{w.dir}/audit.json', {k: free_port() for k in ('udp', 'tcp')}
    receivers = {k: Receiver(k, port[k]) for k in port} | {'unix': Receiver('unix', path=f'{w.dir}/log.sock')}
    os.chmod(f'{w.dir}/log.sock', 0o777)
    w.settings['audit']['outputs'] = [
        {'to': f'file:{path}'}, {'to': f'udp:127.0.0.1:{port["udp"]}', 'format': 'cef', 'facility': 'local3'},
        {'to': f'tcp:127.0.0.1:{port["tcp"]}'}, {'to': f'unix:{w.dir}/log.sock', 'format': 'text'}]
    w.write_settings()
    w.policy(POLICY)
    for _ in range(2):
        w.start()
        assert w.find('fabrikam.local') == HOSTS
        w.find('x=y.fabrikam.local')
        w.audit()
        for r in receivers.values():
            wait_for(lambda r=r: last(w) in r.sequences(), r.kind)
        w.stop()
    numbers_now = all_of(w)
    assert numbers(w, path) == numbers_now
    for r in receivers.values():
        assert r.sequences() == numbers_now, r.kind
    filled = [i for i, g in enumerate(receivers['udp'].got) if 'act=filled' in g[4]][0]
    pri, _, what, _, cef = receivers['udp'].got[filled]
    assert (pri, what) == ('158', 'kms-discovery')  # local3, informational
    assert re.fullmatch(r'CEF:0\|Waymark\|waymarkd\|[0-9.]+\|kms-discovery\|KMS discovery\|3\|rt=\d+ externalId=\d+ dvchost=test '
                        r'src=127\.0\.0\.1 spt=\d+ proto=UDP app=DNS cnt=1 act=filled outcome=NOERROR reason=rule '
                        r'destinationDnsDomain=_vlmcs\._tcp\.fabrikam\.local cs1Label=rule cs1=merged-domains cs2Label=answer '
                        r'cs2=kms\S+ kms\S+ cs3Label=realDns cs3=nxdomain cn1Label=latencyUs cn1=\d+', cef), cef
    # Two workers may hand their events to the writer in either order: the other question is found by its name.
    assert any(r'destinationDnsDomain=_vlmcs._tcp.x\=y.fabrikam.local' in g[4] for g in receivers['udp'].got)
    assert json.loads(receivers['tcp'].got[filled][4]) == w.events()[filled]
    assert receivers['unix'].got[filled][0] == '30'  # daemon
    assert receivers['unix'].got[filled][4].startswith(
        '127.0.0.1  _vlmcs._tcp.fabrikam.local  filled by rule merged-domains, answer kms')


def test_dead_receiver_is_told_and_gets_all_when_it_is_back(nsd, waymark):
    port = free_port()
    to = f'tcp:127.0.0.1:{port}'
    w = waymark(outputs(to), upstream=nsd.port, policy=POLICY)
    for n in range(20):
        assert w.find('fabrikam.local') == HOSTS
    w.audit()
    wait_for(lambda: 'Connection refused' in str(w.json('status', ok=False)['problems']), 'a problem in status')
    out = w.ctl('status', ok=7).out
    assert f'! audit: output {to}: Connection refused; it lacks ' in out
    assert re.search(rf'^outputs +{to}: \d+ records behind, Connection refused$', out, re.M), out
    w.stop()
    w.start()  # the cursor is in the database
    r = Receiver('tcp', port)
    wait_for(lambda: r.sequences() == all_of(w), 'all records, once')  # one more may come meanwhile
    wait_for(lambda: not w.json('status', ok=False)['problems'], 'that all is well')
    assert [(o['to'], o['behind'], o['error']) for o in w.json('status')['audit']['outputs']] == [(to, 0, None)]
    r.close()  # and once more, while the connection stands
    for n in range(20):
        w.find('fabrikam.local')
    w.audit()
    again = Receiver('tcp', port)
    wait_for(lambda: last(w) in again.sequences(), 'the rest')
    assert set(r.got[n][3] for n in range(len(r.got))) | set(g[3] for g in again.got) >= {str(n) for n in all_of(w)}


def test_receiver_that_does_not_read_delays_nothing(nsd, waymark):
    port = free_port()
    r = Receiver('tcp', port)
    w = waymark(outputs(f'tcp:127.0.0.1:{port}'), upstream=nsd.port, policy=POLICY)
    slowest, asked = 0, 12000
    with ask.Datagrams(w.port) as d:
        wires = [ask.dns.message.make_query(discovery(f'{n % 50}.lab.contoso.com'), 'SRV', id=n).to_wire() for n in range(asked)]
        for n in range(0, asked, 20):
            began = time.monotonic()
            for wire in wires[n:n + 20]:
                d.socket.send(wire)
            for _ in range(20):
                d.socket.recv(4096)
            slowest = max(slowest, time.monotonic() - began)
    assert slowest < 1
    assert w.audit()['recorded'] == asked
    (output,) = w.json('status')['audit']['outputs']
    assert output['behind'] > 0 and output['error'] is None
    wait_for(lambda: last(w) in r.sequences(), 'all, once it reads')
    assert r.sequences() == all_of(w)


def test_file_that_is_moved_is_made_again(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY, start=False)
    path = f'{w.dir}/audit.json'
    w.settings['audit']['outputs'] = [{'to': f'file:{path}'}]
    w.write_settings()
    w.start()
    w.find('fabrikam.local')
    w.audit()
    wait_for(lambda: last(w) in numbers(w, path), 'the first file')
    os.rename(path, f'{path}.1')
    w.find('fabrikam.local')
    w.audit()
    wait_for(lambda: last(w) in numbers(w, path), 'the new file')
    assert numbers(w, f'{path}.1') + numbers(w, path) == all_of(w)


def test_what_retention_removed_is_a_gap(nsd, waymark):
    port = free_port()
    to = f'tcp:127.0.0.1:{port}'
    w = waymark(outputs(to), upstream=nsd.port, policy=POLICY)
    for _ in range(10):
        w.find('fabrikam.local')
    w.audit()
    before = last(w)
    w.settings['audit']['retention'] = '1s'
    w.write_settings()
    end = time.time() + 1.1
    wait_for(lambda: time.time() > end, 'the records are old')
    w.ctl('reload')
    wait_for(lambda: [e for e in w.events() if e['event']['action'] == 'audit-prune'], 'a removal')
    r = Receiver('tcp', port)
    gap = f'gap: {before} records: removed before {to} got them'
    wait_for(lambda: [g for g in r.read() if json.loads(g[4])['event']['action'] == 'audit-gap'], 'the gap')
    assert min(r.sequences()) == before + 1
    assert gap in w.ctl('audit', 'events', '-f', '--limit', '5', ok=False, before=['timeout', '-s', 'INT', '2']).out


@pytest.mark.parametrize('path', ['/dev/null', '/nowhere/x'])
def test_file_that_cannot_be_written_is_told(nsd, waymark, path):
    w = waymark(outputs(f'file:{path}'), upstream=nsd.port, policy=POLICY)
    wait_for(lambda: w.json('status', ok=False)['problems'], 'a problem')
    assert w.find('fabrikam.local') == HOSTS


# Of ECS 8.11 (elastic.co/guide/en/ecs/8.11), what a DNS record may use: field, its type, the words that it allows.
DNS_FLAGS = {'AA', 'TC', 'RD', 'RA', 'AD', 'CD', 'DO'}
ECS = {
    '@timestamp': str, 'ecs.version': str,
    'event.kind': {'event'}, 'event.category': [{'network', 'configuration'}], 'event.type': [{'protocol', 'info'}],
    'event.dataset': str, 'event.action': str, 'event.sequence': int, 'event.outcome': {'success', 'failure', 'unknown'},
    'event.reason': str, 'event.duration': int,
    'observer.name': str, 'observer.product': str, 'observer.type': str,
    'client.address': str, 'client.ip': 'ip', 'client.port': int,
    'network.transport': {'udp', 'tcp'}, 'network.protocol': {'dns'},
    'dns.id': str, 'dns.type': {'answer', 'query'}, 'dns.op_code': str, 'dns.header_flags': [DNS_FLAGS],
    'dns.response_code': str, 'dns.question.name': str, 'dns.question.type': str, 'dns.question.class': str,
    'dns.answers.type': str, 'dns.answers.data': str,
    'rule.name': str,
}


def check_ecs(value, path=''):
    if isinstance(value, dict):
        for key, inner in value.items():
            if path + key != 'waymark':  # ours, in a namespace of its own
                check_ecs(inner, f'{path}{key}.')
        return
    want = ECS[path[:-1]] if path != 'dns.answers.' else None
    for one in value if isinstance(value, list) else [value]:
        allowed = want[0] if isinstance(want, list) else want
        if want is None:
            check_ecs(one, path)
        elif allowed == 'ip':
            ipaddress.ip_address(one)
        else:
            assert one in allowed if isinstance(allowed, set) else type(one) is allowed, (path, one)
    assert isinstance(value, list) == (isinstance(want, list) or want is None), path


def test_records_are_elastic_common_schema(nsd, waymark):
    w = waymark({'access': [{'net': '127.0.0.3/32', 'action': 'refuse'}]}, upstream=nsd.port, policy=POLICY)
    for suffix, more in (('fabrikam.local', {}), ('hr.fabrikam.local', {'source': '127.0.0.2'}), ('contoso.com', {}),
                         ('fabrikam.local', {'source': '127.0.0.3'})):
        w.ask(discovery(suffix), **more)
    w.ask(discovery('fabrikam.local'), kind='ANY')
    w.tcp(discovery('fabrikam.local'))
    w.audit()
    w.stop()
    seen = set()
    for event in w.events():
        check_ecs(event)
        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', event['@timestamp'])
        seen |= set(event)
    assert seen == {'@timestamp', 'ecs', 'event', 'observer', 'client', 'network', 'dns', 'rule', 'waymark'}


def test_client_as_a_pseudonym(nsd, waymark):
    w = waymark({'audit': {'client-address': 'hmac'}}, upstream=nsd.port, policy=POLICY)
    w.find('fabrikam.local')
    w.find('fabrikam.local', source='127.0.0.2')
    w.audit()
    w.stop()
    w.start()
    w.find('fabrikam.local')
    w.audit()
    key = f'{w.state}/audit/client.key'
    assert os.stat(key).st_mode & 0o777 == 0o600 and os.path.getsize(key) == 32
    names = {c['address']: c['questions'] for c in w.json('audit', 'clients')['clients']}
    assert sorted(names.values()) == [1, 2] and all(re.fullmatch('hmac:[0-9a-f]{16}', n) for n in names)
    story = w.json('audit', 'client', '127.0.0.1')
    assert story['questions'] == 2 and story['address'] in names
    assert w.json('audit', 'client', story['address'])['questions'] == 2
    events = [e for e in w.events() if 'client' in e]
    assert {e['client']['address'] for e in events} == set(names) and not [e for e in events if 'ip' in e['client']]
    w.stop()
    with open(f'{w.state}/audit/audit.db', 'rb') as f:
        assert b'127.0.0.1' not in f.read().replace(b'127.0.0.1:', b'')
    os.chmod(key, 0)
    os.truncate(key, 5) if os.geteuid() == 0 else None
    assert 'client.key cannot be read' in w.ctl('audit', 'client', '127.0.0.1', ok=1).err
    w.start()  # DNS goes on
    assert w.find('fabrikam.local') == HOSTS
    assert 'client.key cannot be read or made' in w.ctl('status', ok=7).out


@pytest.mark.parametrize('fill', [0, 8], ids=['that does not read', 'that does not accept'])
def test_stop_is_quick_with_a_receiver(nsd, waymark, fill):
    port = free_port()
    r = Receiver('tcp', port, backlog=0 if fill else 5)
    others = [socket.socket() for _ in range(fill)]
    for s in others:  # the kernel takes so many, and no more
        s.setblocking(False)
        s.connect_ex(('127.0.0.1', port))
    w = waymark(outputs(f'tcp:127.0.0.1:{port}'), upstream=nsd.port, policy=POLICY)
    with ask.Datagrams(w.port) as d:
        for n in range(4000):
            d.ask(ask.dns.message.make_query(discovery(f'{n % 50}.lab.contoso.com'), 'SRV', id=n).to_wire())
    w.audit()
    began = time.monotonic()
    w.stop()
    assert time.monotonic() - began < 1.5
    r.close()
    for s in others:
        s.close()
    again = Receiver('tcp', port)
    w.start()
    wait_for(lambda: last(w) in again.sequences(), 'all that is left')
