# SPDX-License-Identifier: BSD-2-Clause
"""`waymarkctl doctor`: a sane world has no findings, and each broken one has its own, with the remedy."""
import os
import socket
import sqlite3
import threading
import time

import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest

from upstreams import Fake, reply
from process import free_port

POLICY = '''
waymark-policy: 1
pools: {contoso: [{target: kms01.contoso.com, port: %d}]}
rules:
  merged: {suffixes: [%s, "*.lab.contoso.com"], pool: contoso}
  later: {suffixes: [shadow.example], pool: contoso, mode: shadow}
  never: {suffixes: [mak.example], action: deny}
'''
V = '_vlmcs._tcp.'


@pytest.fixture
def kms():
    """Takes TCP connections, as a KMS host does; its port."""
    with socket.create_server(('127.0.0.1', 0)) as s:
        yield s.getsockname()[1]


def zone(port, more=()):
    """contoso.com has a host and its record; whatever is not there does not exist."""
    records = {(V + 'contoso.com', 'SRV'): [f'60 SRV 0 0 {port} kms01.contoso.com.'], ('kms01.contoso.com', 'A'): ['60 A 127.0.0.1'],
               ('localhost', 'SOA'): []}
    records.update(more)

    def answer(query, how):
        q = query.question[0]
        name, kind = q.name.to_text(True).lower(), q.to_text().split()[-1]
        if ('*', kind) in records:
            return reply(query, rcode=records['*', kind], soa=True) if records['*', kind] else None
        found = records.get((name, kind), records.get((name, 'SRV')) if kind == 'ANY' else None)
        if found is not None:
            return reply(query, *found)
        there = any(n == name or n.endswith('.' + name) for n, _ in records)
        return reply(query, rcode='NOERROR' if there or not name else 'NXDOMAIN', soa=True)
    return answer


class World:
    """A daemon in front of one server or more, and what doctor says of it."""

    def __init__(self, waymark, peers, port, more=(), suffix='fabrikam.local', servers=(), first=(), policy=None, settings=None, **how):
        self.fake = peers(Fake, zone(port, more), **how)
        forward = [{'zone': '.', 'servers': [f'127.0.0.1:{p}' for p in (*first, self.fake.port, *servers)]}]
        self.w = waymark({'forward': forward} | (settings or {}), policy=policy or POLICY % (port, suffix))

    def doctor(self, *words, ok=True):
        done = self.w.ctl('doctor', *words, '--json', ok=False)
        assert done.code == (0 if ok is True else ok), done
        said = done.json()
        self.check = {c['id']: c for c in said['checks']}
        assert list(self.check) == [f'D{n}' for n in range(1, 17)]
        assert [f for c in said['checks'] for f in c['findings']] == said['findings']
        assert all(said['findings'].count(f) == 1 for f in said['findings'])
        for c in said['checks']:
            assert c['result'] == ('found' if c['findings'] else 'ok' if c['seen'] else 'not checked'), c
        return said

    def finds(self, check, subject, text, remedy, *words):
        """This check finds that, and no check anything of another kind."""
        said = self.doctor(*words, ok=7)
        found = [f for f in said['findings'] if f['id'] == check and f['subject'] == subject and text in f['text']]
        assert found and remedy in found[0]['remedy'], said['findings']
        return said

    def others(self, *checks):
        return {i for i, c in self.check.items() if c['findings']} - set(checks)


@pytest.fixture
def world(waymark, peers, kms):
    return lambda *words, **more: World(waymark, peers, kms, *words, **more)


def test_a_sane_world_has_no_findings(world, kms):
    w = world()
    said = w.doctor()
    assert {c['result'] for c in said['checks']} == {'ok', 'not checked'}
    assert [i for i, c in w.check.items() if c['result'] != 'ok'] == ['D8', 'D9']
    assert w.check['D16']['note'].startswith('the newest record is of 20')
    assert w.check['D3']['seen'][0] == f'fabrikam.local: this forwarder gives kms01.contoso.com:{kms} (filled)'
    assert w.check['D6']['seen'] == [f'kms01.contoso.com:{kms} takes a connection at 127.0.0.1:{kms}']
    assert w.check['D14']['seen'] == ['fabrikam.local']  # what is live and a whole name
    assert w.w.audit()['questions'] == 0  # it leaves no trace
    assert not w.fake.errors and all('update' not in kind for _, kind, _ in w.fake.asked)
    out = w.w.ctl('doctor').out
    assert out.startswith('CHECK  ARTICLE') and '!' not in out
    assert w.w.ctl('doctor', '--csv').out.startswith('id,article,what,result,note\nD1,"method 5, step 3",')


HOST = 'kms01.contoso.com'
BROKEN = [  # the world, what is found by which check, what the remedy says
    ('a stale record: its host has no address', {(V + 'old.example', 'SRV'): ['60 SRV 0 0 1688 gone.contoso.com.']}, ['--suffix', 'old.example'],
     'D5', 'gone.contoso.com:1688', 'has no address (NXDOMAIN)', 'add A or AAAA', {'D7'}),
    ('a host without IPv4 or IPv6', {(V + 'x.example', 'SRV'): ['60 SRV 0 0 1688 kms.x.example.'], ('kms.x.example', 'TXT'): ['60 TXT a']},
     ['--suffix', 'x.example'], 'D5', 'kms.x.example:1688', 'has no address (NOERROR)', 'pool add POOL HOST,address=IP', {'D7'}),
    ('an unapproved host', {(V + 'x.example', 'SRV'): ['60 SRV 0 0 1 kms.x.example.'], ('kms.x.example', 'A'): ['60 A 127.0.0.1']},
     ['--suffix', 'x.example'], 'D7', 'kms.x.example:1', 'no pool or list approves it', 'policy approve HOST', {'D6'}),
    ('a public address', {('kms01.contoso.com', 'AAAA'): ['60 AAAA 2001:db8::5']}, [],
     'D7', f'{HOST}:PORT', '2001:db8::5 is a public address', 'policy approve', {'D6'}),
    ('a wrong suffix', {}, ['--suffix', 'typo.example'], 'D3', 'typo.example', 'NXDOMAIN; Windows shows 0x8007232B',
     'waymarkctl policy fill typo.example --pool POOL', set()),
    ('no SRV record, a wildcard', {(V + 'wild.example', 'A'): ['60 A 127.0.0.1']}, ['--suffix', 'wild.example'],
     'D3', 'wild.example', 'no SRV record; Windows shows 0x8007251D', 'policy fill wild.example', set()),
    ('nslookup shows something else', {(V + 'contoso.com', 'ANY'): ['60 HINFO "RFC8482" ""']}, ['--suffix', 'contoso.com'],
     'D3', 'contoso.com', 'to ANY (nslookup -type=all): no SRV record', 'the same zones', set()),
    ('a record without a suffix', {('_vlmcs._tcp', 'SRV'): ['60 SRV 0 0 1688 kms01.contoso.com.']}, [],
     'D4', 'SERVER', 'without a suffix: nslookup finds it, no client does', 'correct the record', {'D6', 'D7'}),
    ('no underscore', {('vlmcs._tcp.fabrikam.local', 'SRV'): ['60 SRV 0 0 1688 kms01.contoso.com.']}, [],
     'D4', 'vlmcs._tcp.fabrikam.local', 'a slip of the pen', 'correct the record', {'D6', 'D7'}),
    ('a slip of the pen', {('_vmlcs._tcp.fabrikam.local', 'SRV'): ['60 SRV 0 0 1688 kms01.contoso.com.']}, [],
     'D4', '_vmlcs._tcp.fabrikam.local', 'a slip of the pen', 'correct the record', {'D6', 'D7'}),
    ('an address for a name', {(V + 'x.example', 'SRV'): ['60 SRV 0 0 1688 10.0.0.5.']}, ['--suffix', 'x.example'],
     'D4', '10.0.0.5:1688', 'an address stands where the name', 'SRV 0 0 1688 HOST', {'D5', 'D7'}),
    ('port 0', {(V + 'x.example', 'SRV'): ['60 SRV 0 0 0 kms01.contoso.com.']}, ['--suffix', 'x.example'],
     'D4', f'{HOST}:0', 'the port is 0', 'correct the record', {'D6', 'D7'}),
    ('a forgotten dot', {(V + 'x.example', 'SRV'): ['60 SRV 0 0 1688 kms.x.example.x.example.']}, ['--suffix', 'x.example'],
     'D4', 'kms.x.example.x.example:1688', 'a final dot is missing', 'correct the record', {'D5', 'D7'}),
    ('an alias', {('kms01.contoso.com', 'A'): ['60 CNAME other.contoso.com.'], ('kms01.contoso.com', 'AAAA'): ['60 CNAME other.contoso.com.']}, [],
     'D5', f'{HOST}:PORT', 'is an alias (CNAME)', '', set()),
    ('a server that filters SRV', {('*', 'SRV'): 'NOERROR'}, [], 'D2', 'SERVER', 'to SRV: no SRV record; to A it does not', 'filterwin2k', {'D13'}),
    ('a server that drops SRV', {('*', 'SRV'): None, ('*', 'A'): 'NOERROR', ('*', 'AAAA'): 'NOERROR'}, ['--suffix', 'mak.example'],
     'D2', 'SERVER', 'to SRV: no reply', 'filterwin2k', {'D5'}),
    ('the host publishes nothing', {(V + 'contoso.com', 'SRV'): []}, [], 'D13', f'{HOST}:PORT', 'its own zone contoso.com names no host',
     'slmgr.vbs /sdns, or Set-KmsLicenseInfo -DnsPublishing $true', set()),
]


@pytest.mark.parametrize('more, words, check, subject, text, remedy, also', [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_broken_world_has_its_finding(world, kms, more, words, check, subject, text, remedy, also):
    w = world(more)
    subject = subject.replace('PORT', str(kms)).replace('SERVER', f'127.0.0.1:{w.fake.port}')
    said = w.finds(check, subject, text, remedy, *words)
    assert w.others(check) <= also
    lines = w.w.ctl('doctor', *words, ok=7).out.splitlines()
    assert [l for l in lines if l.startswith(f'! {check} {subject}: ') and text in l]
    assert any(l.startswith(f'  {said["findings"][0]["article"]}: ') for l in lines)


def test_more_hosts_than_are_looked_at(world):
    suffixes = [f's{n}.example' for n in range(4)]
    w = world({(V + s, 'SRV'): [f'60 SRV 0 0 1688 h{i}.{s}.' for i in range(20)] for s in suffixes})
    w.doctor(*(word for s in suffixes for word in ('--suffix', s)), ok=7)
    assert [f['subject'] for f in w.check['D5']['findings']] == [f'h{i % 20}.s{i // 20}.example:1688' for i in range(63)]


def test_port_1688_is_refused(world):
    port = free_port()
    w = world({(V + 'contoso.com', 'SRV'): []}, policy=POLICY % (port, 'fabrikam.local'))  # a host that is down need not publish
    w.finds('D6', f'{HOST}:{port}', f'no connection to 127.0.0.1:{port} from here: Connection refused', 'slmgr.vbs /dlv, or Get-KmsLicenseInfo')
    assert w.others('D6') == set()
    steps = {s['step']: s['lines'] for s in w.doctor('--suffix', 'fabrikam.local', ok=7)['steps']}
    assert steps['method 5, steps 8 and 9'] == ['record: ok', 'name: ok', 'port and host: found']
    assert steps['method 5, step 10'][0].startswith(f'! {HOST}:{port} no connection')


def test_a_dead_server_and_one_that_has_no_tcp(world, peers, kms):
    dead = free_port()
    for more in ({'servers': [dead]}, {'first': [dead]}):
        w = world(**more)
        w.finds('D1', f'127.0.0.1:{dead}', 'no reply over UDP: Connection refused', 'UDP and TCP port 53')
        assert len(w.check['D1']['findings']) == 2 and w.others('D1') == set()
        assert w.check['D13']['seen'] == [f'{HOST}:{kms}: its zone contoso.com names a host']
    deaf = peers(Fake, zone(kms))
    deaf.listener.shutdown(socket.SHUT_RDWR)
    deaf.listener.close()
    w = world(servers=[deaf.port])
    w.finds('D1', f'127.0.0.1:{deaf.port}', 'no reply over TCP: ', 'port 53')
    assert len(w.check['D1']['findings']) == 1


def test_two_servers_of_a_route_disagree(world, peers, kms):
    other = peers(Fake, zone(kms, {(V + 'contoso.com', 'SRV'): [f'60 SRV 0 0 {kms} kms01.contoso.com.', f'60 SRV 0 0 {kms} kms02.contoso.com.'],
                                   ('kms02.contoso.com', 'A'): ['60 A 127.0.0.1']}))
    w = world({('kms02.contoso.com', 'A'): ['60 A 127.0.0.1']}, servers=[other.port])
    w.finds('D3', 'contoso.com', f'127.0.0.1:{w.fake.port} says kms01.contoso.com:{kms}, and 127.0.0.1:{other.port} says', 'replication',
            '--suffix', 'contoso.com')
    assert w.others('D3') == {'D7'}


def test_another_resolver_of_the_site_lies(world, peers, kms):
    other = peers(Fake, zone(kms))
    w = world()
    said = w.finds('D9', 'fabrikam.local', f'127.0.0.1:{other.port} says NXDOMAIN, and this forwarder kms01.contoso.com:{kms}: where a client '
                   'has both, this ends it', 'DHCP option 6', '--resolver', f'127.0.0.1:{other.port}')
    assert w.others('D9') == set() and len(said['findings']) == 1
    same = w.doctor('--suffix', 'contoso.com', '--resolver', f'127.0.0.1:{other.port}')
    assert f'127.0.0.1:{other.port} says the same' in w.check['D9']['seen'][0], same
    liar = peers(Fake, zone(kms, {(V + 'contoso.com', 'SRV'): []}))
    w.finds('D9', 'contoso.com', f'127.0.0.1:{liar.port} says no SRV record, and this forwarder kms01.contoso.com:{kms}', 'DHCP option 6',
            '--suffix', 'contoso.com', '--resolver', f'127.0.0.1:{liar.port}')
    assert w.others('D9') == set() and w.check['D9']['findings'][0]['text'].endswith(str(kms))
    w.finds('D1', '127.0.0.1:9', 'no reply', 'port 53', '--resolver', '127.0.0.1:9')


def change_audit(w, *statements):
    """Plays time: a month has passed, a clock was wrong."""
    w.w.audit()
    w.w.stop()
    with sqlite3.connect(f'{w.w.state}/audit/audit.db') as db:
        for statement in statements:
            db.execute(statement)
    db.close()
    w.w.start()


def test_worlds_that_are_meant_so(world, waymark, peers, kms):
    w = world({(V + 'none.example', 'SRV'): ['60 SRV 0 0 0 .']})
    w.doctor('--suffix', 'none.example')  # "no service here" is no host
    assert '.:0 (passed)' in w.check['D3']['seen'][0]
    w = world({(V + 'contoso.com', 'SRV'): []}, suffix='contoso.com')
    w.doctor()
    assert w.check['D13']['seen'] == [f'{HOST}:{kms}: its zone contoso.com names none, and a rule does']
    pinned = (POLICY % (kms, 'fabrikam.local')).replace('{contoso: [{', '{contoso: [{addresses: [127.0.0.1], ')
    w = world({('kms01.contoso.com', 'A'): ['60 A 127.0.0.9']}, policy=pinned)
    w.doctor()
    assert w.check['D5']['seen'] == [f'{HOST}:{kms} is 127.0.0.1, as the pool says']
    w.w.policy(pinned.replace('127.0.0.1', '2001:db8::5').replace('[{', '{allow-public: yes, hosts: [{').replace('}]}', '}]}}'))
    w.doctor(ok=7)
    assert w.others() == {'D6'}
    port = free_port()
    w = world(policy=(POLICY % (port, 'fabrikam.local')).replace('{contoso: [{', '{contoso: [{probe: no, '))
    w.doctor()
    assert w.check['D6']['seen'] == [f'{HOST}:{port} is not tried: its pool says probe=no']
    w = waymark(upstream=w.fake.port)  # no policy, no audit: nothing is approved, no suffix known
    assert {c['id'] for c in w.ctl('doctor', '--json').json()['checks'] if c['result'] == 'not checked'} >= {'D3', 'D5', 'D6', 'D7', 'D8', 'D13'}
    checks = {c['id']: c for c in w.ctl('doctor', '--suffix', 'contoso.com', '--json', ok=False).json()['checks']}
    assert checks['D5']['result'] == 'ok' and checks['D7']['result'] == 'not checked'


def test_address_of_another_length_is_none(waymark, peers, kms):
    """Without a daemon doctor reads what the servers say."""
    def answer(query, how):
        made = zone(kms)(query, how)
        if query.question[0].rdtype == dns.rdatatype.A and made.answer:
            made.answer = [dns.rrset.from_rdata(query.question[0].name, 60, dns.rdata.GenericRdata('IN', 'A', b'x' * n)) for n in (0, 3, 200)]
        return made

    w = waymark(upstream=peers(Fake, answer).port, policy=POLICY % (kms, 'fabrikam.local'), start=False)
    checks = {c['id']: c for c in w.ctl('doctor', '--json', ok=7).json()['checks']}
    assert [f['text'] for f in checks['D5']['findings']] == ['has no address (NOERROR)']


def test_what_the_audit_tells(world, kms):
    w = world(delay=1.1)
    w.w.ask(V + 'typo.example', source='127.0.0.5')
    w.w.ask(V + 'fabrikam.local', source='127.0.0.6')
    w.fake.delay = 0
    w.w.audit()
    w.finds('D8', 'answers', '2 of the last 2 took 1 s or more', 'upstreams')
    w.finds('D10', 'typo.example', '1 client(s) of 127.0.0.0/24 get no host: nxdomain', 'typo.example')
    w.finds('D11', f'{HOST}:{kms}', '1 client(s) in 30 days: a host activates from 25', 'fewer hosts')
    assert w.check['D12']['result'] == w.check['D16']['result'] == 'ok'
    now = int(time.time() * 1000)
    change_audit(w, f"UPDATE client SET cadence_s=7200,attempts=30,first={now - 5 * 86400000},last={now} WHERE name='127.0.0.5'",
                 f'UPDATE event SET ms={now + 3600000} WHERE id=(SELECT max(id) FROM event)')
    w.finds('D12', '127.0.0.5', 'asks every two hours', 'waymarkctl audit client 127.0.0.5')
    w.finds('D16', 'clock', 'is of ', 'chronyc')


def test_the_policy_and_its_file(world, kms):
    w = world(policy=POLICY % (kms, 'fabrikam.local, corp') + 'networks: {unused: [10.0.0.0/8]}\n')
    w.finds('D15', 'network unused', 'no rule uses it', 'policy check')
    w.finds('D14', 'corp', 'has one label', 'two labels')
    os.chmod(f'{w.w.state}/policy/data.mdb', 0o666)
    w.finds('D15', f'{w.w.state}/policy/data.mdb', 'everybody may change it', 'chmod')


def test_the_story_of_a_client(world, kms):
    w = world()
    w.w.ask(V + 'typo.example', source='127.0.0.5')
    w.w.audit()
    said = w.doctor('--client', '127.0.0.5')
    assert said['client']['attempts'] == 1 and said['client']['last_asked'].endswith('Z')
    assert (said['windows']['code'], said['windows']['article']) == ('0x8007232B', 'method 5, step 4')
    assert w.check['D10']['result'] == 'not checked' and said['silent'] is None
    w.w.ask(V + 'fabrikam.local', source='127.0.0.5')
    w.w.audit()
    assert w.doctor('--client', '127.0.0.5')['windows']['code'] is None
    assert [s.split(':')[0] for s in w.check['D14']['seen']] == ['typo.example', 'fabrikam.local']
    out = w.w.ctl('doctor', '--client', '127.0.0.5').out
    assert 'client    127.0.0.5: 2 attempts, 1 filled, 1 missing' in out
    assert 'asks for  typo.example    nxdomain  missing\n          fabrikam.local  nxdomain  filled\n' in out
    assert 'Windows   a host is given' in out
    said = w.doctor('--client', '127.0.0.9')  # it has asked for nothing
    assert (said['client'], said['silent'], said['windows']['code']) == (None, '127.0.0.9', '0x8007007B')
    assert '127.0.0.9 asked for no KMS host here' in w.w.ctl('doctor', '--client', '127.0.0.9').out


def test_the_article_by_hand_for_one_suffix(world, kms):
    w = world()
    steps = w.doctor('--suffix', 'fabrikam.local')['steps']
    assert [s['step'] for s in steps] == ['method 3, step 1.3', 'method 3, step 1.4', 'method 3, step 1.5', 'method 3, step 2',
                                          *[f'method 5, step {n}' for n in range(3, 8)], 'method 5, steps 8 and 9', 'method 5, step 10']
    assert all(s['lines'] for s in steps)
    assert steps[6]['lines'] == [f'fabrikam.local: this forwarder gives {HOST}:{kms} (filled)', f'fabrikam.local: 127.0.0.1:{w.fake.port} says NXDOMAIN']
    assert steps[7]['lines'] == ['no other DNS server is given (doctor --resolver IP), or none replies']
    assert w.check['D15']['result'] == 'not checked'
    w.doctor('--suffix', 'mak.example', '--suffix', 'MAK.example')  # denied, as it is meant
    assert w.check['D14']['seen'] == ['mak.example'] and '(denied)' in w.check['D3']['seen'][0]
    w.doctor('--suffix', f'{V}Fabrikam.Local')
    assert w.check['D14']['seen'] == ['fabrikam.local']
    out = w.w.ctl('doctor', '--suffix', 'fabrikam.local').out
    assert 'method 5, step 10: TCP connects to the hosts, from here\n  kms01.contoso.com:' in out


def test_without_a_daemon(world):
    w = world()
    w.w.stop()
    w.finds('D1', 'waymarkd', 'does not answer on its socket', 'systemctl start waymark')
    assert w.others('D1') == set() and len(w.check['D1']['findings']) == 1
    assert w.check['D5']['result'] == w.check['D6']['result'] == 'ok'  # by the servers of the settings


def test_what_answers_in_its_place_says_something_else(world):
    w = world()
    w.w.stop()

    def answer(s):
        while True:
            with s.accept()[0] as c:
                c.recv(4096)
                c.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"answer": {"records": [null, 5, {}]}, "windows": 5}')

    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f'{w.w.run}/control.sock')
        s.listen()
        threading.Thread(target=answer, args=[s], daemon=True).start()
        w.finds('D3', 'fabrikam.local', 'this forwarder gives no host', '')


@pytest.mark.parametrize('words, says', [(['--suffix', 'a..b'], 'not a domain name'), (['--resolver', 'kms'], 'not an IP address'),
                                         (['--client', 'kms'], 'not an address')])
def test_lines_with_mistakes(world, words, says):
    assert says in world().w.ctl('doctor', *words, ok=2).err


def test_a_server_of_two_routes_is_looked_at_once(waymark, peers, kms):
    server = f'127.0.0.1:{peers(Fake, zone(kms)).port}'
    w = waymark({'forward': [{'zone': z, 'servers': [server]} for z in ('.', 'contoso.com')], 'audit': {'client-address': 'hmac'}})
    w.ask(V + 'contoso.com', source='127.0.0.5')
    w.audit()
    name = w.ctl('audit', 'clients', '--json').json()['clients'][0]['address']
    checks = {c['id']: c for c in w.ctl('doctor', '--suffix', 'contoso.com', '--json', ok=False).json()['checks']}
    assert [sum(server in s for s in checks[d]['seen']) for d in ('D1', 'D2', 'D3')] == [2, 1, 1]
    # A name that stands for a client has no address, of which it could be explained.
    done = w.ctl('doctor', '--suffix', 'contoso.com', '--client', name, '--json', ok=False)
    assert done.err == '' and 'that client stands for no address' in done.json()['checks'][2]['seen'][0]
    assert done.json()['windows'] is None and done.json()['client']['attempts'] == 1
    assert w.ctl('doctor', '--client', '127.0.0.5', '--json', ok=False).json()['client']['address'] == name
