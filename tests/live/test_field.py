# SPDX-License-Identifier: BSD-2-Clause
"""What administrators report when Windows does not find its KMS host, situation by situation, with real servers behind Waymark.

F1   wrong suffix             F6   second host cannot publish       F11  host cached or set by hand
F2   workgroup                F7   publish list in the old key      F12  count spread over hosts
F3   record without suffix    F8   server drops SRV                 F13  port changed on the host
F4   typing errors            F9   second server without record     F15  new child zone
F5   host that is gone        F10  late answers
Not here: F14, cloned images that the host counts as one. Their machine ID is in the request to the host, which no DNS server sees.
"""
import contextlib
import sqlite3

import ask
import pytest
from ask import discovery
from conftest import CONTOSO, FABRIKAM
from process import SLOW, free_port, wait_for
from test_health import PROBING, Kms
from upstreams import Dnsmasq, Fake, Kresd, Named, Nsd, Recursor, Silent, Unbound, reply
from windows import Windows

KMS01, KMS02, OLD = 'kms01.contoso.com.:1688', 'kms02.contoso.com.:1688', 'kms-old.contoso.com.:1688'
NO_NAME, NO_RECORD = '0x8007232B', '0x8007251D'
ZONES = {
    '.': '',
    'contoso.com': CONTOSO,
    'fabrikam.local': FABRIKAM,
    'child.contoso.com': 'dc01 A 10.8.0.1\n',  # delegated lately: its record stayed in the zone above
    'stale.example': '_vlmcs._tcp SRV 0 0 1688 kms-old.contoso.com.\n_vlmcs._tcp SRV 0 0 1688 kms01.contoso.com.\n',
    'gone.example': '_vlmcs._tcp SRV 0 0 1688 kms-old.contoso.com.\n',
    'typo.example': 'vlmcs._tcp SRV 0 0 1688 kms01.contoso.com.\n_vmlcs._tcp SRV 0 0 1688 kms01.contoso.com.\n',
    'wildcard.example': '* A 10.9.0.9\n',
}


# What doctor looks at connects to its hosts, so their addresses are of loopback.
HOST = 'kms A 127.0.0.5\n'
SLIPS = {
    '.': '_vlmcs._tcp SRV 0 0 1688 kms.bare.example.\n',
    'bare.example': HOST,
    'good.example': '_vlmcs._tcp SRV 0 0 1688 kms\n' + HOST,
    'typo.example': 'vlmcs._tcp SRV 0 0 1688 kms\n_vmlcs._tcp SRV 0 0 1688 kms\n' + HOST,
    'address.example': '_vlmcs._tcp SRV 0 0 1688 127.0.0.5.\n',
    'dot.example': '_vlmcs._tcp SRV 0 0 1688 kms.good.example\n',
    'port.example': '_vlmcs._tcp SRV 0 0 0 kms\n' + HOST,
}


@pytest.fixture(scope='module')
def slips():
    server = Nsd(zones=SLIPS)
    yield server
    server.finish()


@pytest.fixture(scope='module')
def real():
    server = Nsd(zones=ZONES)
    yield server
    server.finish()


def found(w, *suffixes, address='127.0.0.1', servers=(), **more):
    """What a Windows machine with these suffixes finds, or the code that it shows."""
    hosts, shown = Windows([w.port, *servers], suffixes, address, **more).search()
    return hosts or shown


def fill(w, *words):
    return w.ctl('policy', 'fill', *words)


def test_f1_suffix_is_not_the_zone_with_the_record(real, waymark):
    w = waymark(upstream=real.port)
    assert found(w, 'fabrikam.local', 'hr.fabrikam.local') == NO_NAME
    fill(w, 'fabrikam.local', '*.fabrikam.local', '--host', 'kms01.contoso.com')
    assert found(w, 'fabrikam.local') == found(w, 'hr.fabrikam.local') == [KMS01]
    w.audit()
    row = {r['suffix']: r for r in w.json('audit', 'suffixes')['suffixes']}['fabrikam.local']
    assert (row['missing'], row['filled'], row['last_verdict']) == (1, 1, 'nxdomain'), row


def test_f1_name_exists_without_a_record(real, waymark):
    """A wildcard in the zone: Windows shows another code, and the remedy is the same."""
    w = waymark(upstream=real.port)
    assert found(w, 'wildcard.example') == NO_RECORD
    fill(w, 'wildcard.example', '--host', 'kms01.contoso.com')
    assert found(w, 'wildcard.example') == [KMS01]


@pytest.mark.parametrize('kind', [Named, Unbound, Recursor, Dnsmasq, Kresd])
def test_f1_whatever_resolver_is_behind(real, waymark, peers, kind):
    """The verdict is that of the zones, and so is the answer."""
    w = waymark({'server': {'workers': 1}}, upstream=peers(kind, zones=[], waymark=1, rest=real.port).port)
    fill(w, 'fabrikam.local', 'wildcard.example', 'contoso.com', '--host', 'kms02.contoso.com')
    assert [found(w, s) for s in ('fabrikam.local', 'wildcard.example', 'contoso.com', 'hr.fabrikam.local')] == [
        [KMS02], [KMS02], [KMS01], NO_NAME]
    w.audit()
    assert [e['waymark']['verdict']['name'] for e in w.events() if 'outcome' in e['waymark']] == [
        'nxdomain', 'nodata', 'unapproved', 'nxdomain']


def test_f2_workgroup_machine_with_the_suffix_of_dhcp(real, waymark):
    """It cannot resolve the host's name either; a guest with the same suffix gets what the real DNS says."""
    w = waymark(upstream=real.port)
    w.ctl('policy', 'network', 'set', 'workshop', '127.0.0.8/32')
    fill(w, 'lan', '--host', 'kms09.fabrikam.local,address=10.0.0.9', '--network', 'workshop')
    assert found(w, 'lan', address='127.0.0.8') == ['kms09.fabrikam.local.:1688']
    assert ask.addresses(w.ask('kms09.fabrikam.local', 'A', source='127.0.0.8')) == ['10.0.0.9']
    assert found(w, 'lan', address='127.0.0.9') == NO_NAME
    assert ask.rcode(w.ask('kms09.fabrikam.local', 'A', source='127.0.0.9')) == 'NXDOMAIN'


def test_f3_record_without_a_suffix_helps_nslookup_alone(waymark, peers):
    server = peers(Nsd, zones={'.': '_vlmcs._tcp SRV 0 0 1688 kms01.contoso.com.\n', 'fabrikam.local': FABRIKAM})
    w = waymark(upstream=server.port)
    assert ask.targets(w.ask('_vlmcs._tcp')) == ask.targets(w.ask('_vlmcs._tcp', 'ANY')) == [KMS01]
    assert found(w, 'fabrikam.local') == NO_NAME
    assert NO_NAME in w.ctl('explain', 'fabrikam.local').out
    fill(w, 'fabrikam.local', '--host', 'kms01.contoso.com')
    assert found(w, 'fabrikam.local') == [KMS01]


# What is typed in a hurry, and a word of the advice.
TYPOS = {
    'no underscore': ('vlmcs._tcp.typo.example', 'kms01.contoso.com', 'would be _vlmcs._tcp.SUFFIX'),
    'letters swapped': ('_vmlcs._tcp.typo.example', 'kms01.contoso.com', 'would be _vlmcs._tcp.SUFFIX'),
    'the whole name': ('_vlmcs._tcp.typo.example', 'kms01.contoso.com', 'write the suffix alone'),
    'an address as host': ('typo.example', '10.0.0.5', 'an SRV record needs a host name'),
    'host without its domain': ('typo.example', 'kms01', 'give the full name'),
    'port 0': ('typo.example', 'kms01.contoso.com:0', 'where no client can connect'),
    'an address outside': ('typo.example', 'kms01.contoso.com,address=8.8.8.8', 'public address'),
}


@pytest.mark.parametrize('row', TYPOS)
def test_f4_typo_is_refused_with_the_right_form(real, waymark, row):
    suffix, host, said = TYPOS[row]
    done = waymark(upstream=real.port, start=False).ctl('policy', 'fill', suffix, '--host', host, ok=5)
    assert said in done.err, done


def test_f4_typo_in_the_zone_is_filled(real, waymark):
    w = waymark(upstream=real.port)
    assert found(w, 'typo.example') == NO_NAME
    fill(w, 'typo.example', '--host', 'kms01.contoso.com')
    assert found(w, 'typo.example') == [KMS01]


def findings(w, *words):
    """What doctor finds, with the texts of each: {('D4', subject): text}."""
    done = w.json('doctor', *words, ok=7)
    assert all(f['remedy'] and f['article'] for f in done['findings'])
    return {(f['id'], f['subject']): f['text'] for f in done['findings']}


# The suffix that doctor is asked for -> the check that finds it, what is wrong, a word of how.
FOUND = {
    'f3: a record without a suffix': ('bare.example', 'D4', '127.0.0.1:{port}', 'no client does'),
    'f3: and the suffix has none': ('bare.example', 'D3', 'bare.example', NO_NAME),
    'f4: no underscore': ('typo.example', 'D4', 'vlmcs._tcp.typo.example', 'slip of the pen'),
    'f4: letters swapped': ('typo.example', 'D4', '_vmlcs._tcp.typo.example', 'slip of the pen'),
    'f4: an address as host': ('address.example', 'D4', '127.0.0.5:1688', 'name of a host'),
    'f4: no dot behind the host': ('dot.example', 'D5', 'kms.good.example.dot.example:1688', 'no address'),
    'f4: port 0': ('port.example', 'D4', 'kms.port.example:0', 'nobody connects'),
    'f5, f13: nobody listens at the host': ('good.example', 'D6', 'kms.good.example:1688', 'Connection refused'),
}


@pytest.mark.parametrize('row', FOUND)
def test_doctor_finds(slips, waymark, row):
    suffix, check, subject, said = FOUND[row]
    found_there = findings(waymark(upstream=slips.port), '--suffix', suffix)
    assert said in found_there[check, subject.format(port=slips.port)], found_there


def test_f7_doctor_finds_the_host_that_is_up_and_does_not_publish(slips, waymark, request):
    """Whatever the cause in the host's registry: it accepts, and its own zone has no record."""
    host = Kms('127.0.0.5', free_port())
    request.addfinalizer(host.stop)
    w = waymark(upstream=slips.port)
    fill(w, 'branch.example', '--host', f'kms.typo.example:{host.port}')
    done = w.json('doctor', '--suffix', 'branch.example', ok=7)
    (one,) = [f for f in done['findings'] if f['id'] == 'D13']
    assert one['subject'].startswith('kms.typo.example') and 'SoftwareProtectionPlatform' in one['remedy'], one


def test_f8_doctor_finds_the_server_that_filters_the_question(slips, waymark, peers):
    proxy = peers(Dnsmasq, zones=[], waymark=0, rest=slips.port, more='filterwin2k\n')
    assert 'SRV' in findings(waymark(upstream=proxy.port), '--suffix', 'good.example')['D2', f'127.0.0.1:{proxy.port}']
    done = waymark(upstream=slips.port).json('doctor', '--suffix', 'good.example', ok=7)
    assert [c['result'] for c in done['checks'] if c['id'] == 'D2'] == ['ok']


def test_f9_doctor_finds_the_second_server_that_lacks_the_record(slips, real, waymark):
    w = waymark(upstream=slips.port)
    assert 'NXDOMAIN' in findings(w, '--suffix', 'good.example', '--resolver', f'127.0.0.1:{real.port}')['D9', 'good.example']
    assert not [f for f in findings(w, '--suffix', 'good.example', '--resolver', f'127.0.0.1:{slips.port}') if f[0] == 'D9']


def test_f5_host_that_is_gone_leaves_the_answer(real, waymark):
    w = waymark(upstream=real.port)
    w.ctl('policy', 'pool', 'set', 'kms', 'kms01.contoso.com')
    assert found(w, 'stale.example') == sorted([OLD, KMS01])
    w.ctl('policy', 'rule', 'set', 'clean', '--suffix', 'stale.example', '--suffix', 'gone.example', '--action', 'filter')
    assert found(w, 'stale.example') == [KMS01]
    assert found(w, 'gone.example') == NO_RECORD, 'nothing is left of it'
    fill(w, 'gone.example', '--pool', 'kms')
    assert found(w, 'gone.example') == [KMS01]
    w.audit()
    rows = {r['target']: r['unapproved'] for r in w.json('audit', 'targets')['targets']}
    old = OLD.replace('.:', ':')
    assert rows == {old: 1, KMS01.replace('.:', ':'): 0}
    done = w.ctl('status', ok=7)
    assert f'! audit: the real DNS names 1 KMS host that the policy does not approve, lately {old}: ' in done.out, done
    [row] = w.json('audit', 'targets', '--unapproved')['targets']
    assert (row['target'], row['asked_by'], row['through']) == (old, '127.0.0.1', f'127.0.0.1:{real.port}')
    w.ctl('policy', 'approve', old)
    w.ctl('status')
    w.stop()
    with open(f'{w.state}/policy/data.mdb', 'r+b') as f:
        f.write(b'no store' * 1024)
    w.start()
    assert 'does not approve' not in w.ctl('status', ok=7).out, 'without a policy nobody knows what it approves'


def test_f5_host_that_is_gone_is_replaced(real, waymark):
    w = waymark(upstream=real.port)
    w.ctl('policy', 'pool', 'set', 'kms', 'kms01.contoso.com', 'kms02.contoso.com')
    w.ctl('policy', 'rule', 'set', 'old', '--suffix', '*', '--network', 'any', '--action', 'replace', '--when', 'unapproved', '--pool', 'kms')
    assert found(w, 'gone.example') == [KMS01, KMS02]
    assert found(w, 'contoso.com') == [KMS01], 'a good record stays'


def test_f6_second_host_cannot_publish(real, waymark):
    w = waymark(upstream=real.port)
    w.ctl('policy', 'pool', 'set', 'both', 'kms01.contoso.com', 'kms02.contoso.com')
    assert found(w, 'contoso.com') == [KMS01]
    w.ctl('policy', 'rule', 'set', 'both', '--suffix', 'contoso.com', '--action', 'replace', '--pool', 'both')
    assert found(w, 'contoso.com') == [KMS01, KMS02]


def test_f8_server_that_filters_the_question(real, waymark, peers):
    """dnsmasq with filterwin2k: the record is there, and does not come through."""
    proxy = peers(Dnsmasq, zones=[], waymark=0, rest=real.port, more='filterwin2k\n')
    w = waymark(upstream=proxy.port)
    assert ask.addresses(w.ask('kms01.contoso.com', 'A')) == ['10.0.0.5']
    assert found(w, 'contoso.com') in (NO_NAME, NO_RECORD)
    fill(w, 'contoso.com', '--host', 'kms01.contoso.com')
    assert found(w, 'contoso.com') == [KMS01]


def test_f9_second_server_of_the_client_lacks_the_record(real, waymark, peers):
    """The first is dead: a Waymark must be the second, because "no such name" of any other is final."""
    w = waymark(upstream=real.port)
    fill(w, 'fabrikam.local', '--host', 'kms01.contoso.com')
    dead = peers(Silent)
    assert Windows([dead.port, real.port], ['fabrikam.local'], second=0.02).search() == ([], NO_NAME)
    assert Windows([dead.port, w.port], ['fabrikam.local'], second=0.02, patience=30).search() == ([KMS01], None)


def test_f10_server_answers_too_late(waymark, peers):
    """The policy answers within the client's second; what came late is there for the next question."""
    slow = peers(Fake, lambda q, _: reply(q, '300 SRV 0 0 1688 kms02.contoso.com.'), delay=0.4)
    w = waymark({'kms': {'upstream-deadline': '100ms'}}, upstream=slow.port)
    w.ctl('policy', 'pool', 'set', 'kms', 'kms01.contoso.com')
    w.ctl('policy', 'rule', 'set', 'late', '--suffix', 'contoso.com', '--when', 'missing,failed', '--pool', 'kms')
    machine = Windows([w.port], ['contoso.com'], second=2.5 if SLOW else 1)
    assert machine.search() == ([KMS01], None)
    assert len(machine.lookups[0].sent) == 1, 'in time'
    wait_for(lambda: found(w, 'contoso.com') == [KMS02], 'the late record')
    w.audit()
    assert 'timeout' in [e['waymark']['verdict']['name'] for e in w.events() if 'outcome' in e['waymark']]


def test_f11_client_that_has_cached_its_host_is_silent(real, waymark):
    """It asks nothing for 40 days. (Those are made by moving what is recorded into the past.)"""
    w = waymark(upstream=real.port)
    assert found(w, 'contoso.com') == [KMS01]
    assert w.json('audit', 'report', 'silent')['clients'] == []
    w.stop()
    with contextlib.closing(sqlite3.connect(f'{w.state}/audit/audit.db')) as db, db:
        db.execute('UPDATE client SET first=first-40*86400000,last=last-40*86400000,host_at=host_at-40*86400000')
    (row,) = w.json('audit', 'report', 'silent')['clients']
    assert (row['address'], row['last_host']) == ('127.0.0.1', KMS01.replace('.:', ':')), row
    w.start()
    assert found(w, 'contoso.com') == [KMS01], 'after slmgr /ckms'
    w.audit()
    assert w.json('audit', 'report', 'silent')['clients'] == []


def test_f12_count_is_spread_over_hosts(real, waymark):
    """One host until enough clients have it; the report counts them."""
    w = waymark(upstream=real.port)
    w.ctl('policy', 'pool', 'set', 'kms', 'kms01.contoso.com', 'kms02.contoso.com', '--choice', 'pin', '--pin-clients', '3')
    fill(w, 'fabrikam.local', '--pool', 'kms')
    clients = [f'127.0.0.{n}' for n in (1, 2, 3, 4)]

    def given(address):
        return found(w, 'fabrikam.local', address=address)

    assert [given(a) for a in clients[:2]] == [[KMS01]] * 2
    wait_for(lambda: [given(a) for a in clients] == [[KMS01, KMS02]] * 4, 'three clients that have the host; from then on both are given')
    w.audit()
    rows = {r['target']: r['clients'] for r in w.json('audit', 'report', 'thresholds')['targets']}
    assert rows == {KMS01.replace('.:', ':'): 4, KMS02.replace('.:', ':'): 4}, rows


def test_f13_host_has_another_port_than_its_record(real, waymark, request):
    """The record says 1688 by hand. Waymark tries the port, and says so; the policy gives the right one."""
    host = Kms('127.0.0.1', free_port())
    request.addfinalizer(host.stop)
    wrong = free_port()
    w = waymark(PROBING, upstream=real.port)
    w.ctl('policy', 'pool', 'set', 'kms', f'kms01.contoso.com:{wrong},address=127.0.0.1')
    fill(w, 'fabrikam.local', '--pool', 'kms')
    problem = wait_for(lambda: [p for p in w.json('status', ok=False)['problems'] if 'kms01' in p], 'a host that is down')
    assert f'kms01.contoso.com:{wrong}' in problem[0] and 'refused' in problem[0], problem
    w.ctl('policy', 'pool', 'set', 'kms', f'kms01.contoso.com:{host.port},address=127.0.0.1')
    wait_for(lambda: w.json('status', ok=False)['problems'] == [], 'a host that is up')
    assert found(w, 'fabrikam.local') == [f'kms01.contoso.com.:{host.port}']
    w.ctl('policy', 'rule', 'set', 'port', '--suffix', 'contoso.com', '--action', 'replace', '--when', 'unapproved', '--pool', 'kms')
    assert found(w, 'contoso.com') == [f'kms01.contoso.com.:{host.port}']
    w.audit()
    (row,) = w.json('audit', 'report', 'unapproved')['targets']
    assert (row['target'], row['differs']) == ('kms01.contoso.com:1688', 'port'), row


def test_f15_record_is_missing_in_a_new_child_zone(waymark, peers):
    """Filled meanwhile; when the record has arrived, the real DNS is delivered again."""
    server = peers(Nsd, zones={'contoso.com': CONTOSO, 'child.contoso.com': ZONES['child.contoso.com']})
    w = waymark(upstream=server.port)
    assert found(w, 'child.contoso.com') == NO_NAME
    fill(w, 'child.contoso.com', '--host', 'kms01.contoso.com')
    assert found(w, 'child.contoso.com') == [KMS01]
    server.change('child.contoso.com', '_vlmcs._tcp SRV 0 0 1688 kms02.contoso.com.\n')
    wait_for(lambda: ask.targets(ask.udp(server.port, discovery('child.contoso.com'))), 'the new record')
    w.ctl('cache', 'flush', '--below', 'child.contoso.com')
    assert found(w, 'child.contoso.com') == [KMS02]
