# SPDX-License-Identifier: BSD-2-Clause
"""The audit: every discovery question is accounted for, also under load, after a stop, and on a full disk."""
import os
import re
import socket
import sqlite3
import time

import ask
import dns.message
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from process import wait_for

SHADOW = '  not-yet:\n    suffixes: [hr.fabrikam.local]\n    pool: contoso\n    mode: shadow\n'
LARGE = 'waymark-policy: 1\npools:\n  p: [kms01.contoso.com]\nrules:\n  r:\n    pool: p\n    suffixes:\n'


def flood(w, names, source='127.0.0.1', window=64):
    """Asks all, a window at a time; returns how many were answered."""
    answered = 0
    with ask.Datagrams(w.port, source) as d:
        wires = [dns.message.make_query(n, 'SRV', id=i % 65536).to_wire() for i, n in enumerate(names)]
        for at in range(0, len(wires), window):
            part = wires[at:at + window]
            for wire in part:
                d.socket.send(wire)
            for _ in part:
                d.socket.recv(4096)
                answered += 1
    return answered


def test_sums_are_exact_after_load_and_a_clean_stop(nsd, waymark):
    """recorded + counted + dropped = questions, with the rates of the default settings, which record but few of these."""
    w = waymark({'audit': {'max-rate': 5000, 'max-rate-client': 10}}, upstream=nsd.port, policy=POLICY)
    names = [discovery(f'{n % 50}.lab.contoso.com') for n in range(5000)] + [discovery('fabrikam.local')] * 5000
    asked = sum(flood(w, names[i::4], f'127.0.1.{i}') for i in range(4))
    assert asked == 10000
    assert w.stats()['kms_questions'] == asked
    w.stop()
    rows = w.json('audit', 'clients')['clients']
    assert {r['address']: r['questions'] for r in rows} == {f'127.0.1.{i}': 2500 for i in range(4)}
    assert sum(r['questions'] for r in w.json('audit', 'suffixes')['suffixes']) == asked
    assert sum(r['questions'] for r in w.json('audit', 'rules')['rules']) == asked
    summary = w.json('audit', 'summary')
    assert summary['questions'] == summary['all_questions'] == asked and summary['dropped'] == 0
    assert summary['recorded'] + summary['counted'] == asked
    assert 0 < summary['recorded'] < asked


def test_without_limits_each_question_is_an_event(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    names = [discovery(f'{n}.lab.contoso.com') for n in range(1000)]
    flood(w, names)
    w.stop()
    suffixes = [e['dns']['question']['name'] for e in w.events('--limit', '0') if 'dns' in e]
    assert sorted(s.rstrip('.') for s in suffixes) == sorted(names)


def test_repeat_of_a_windows_client_is_one_attempt(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    wire = dns.message.make_query(discovery('fabrikam.local'), 'SRV').to_wire()
    with ask.Datagrams(w.port) as d:
        for _ in range(4):  # Windows sends the same packet again at 1, 2, 4 and 8 seconds
            d.ask(wire)
    w.audit()
    (row,) = w.json('audit', 'clients')['clients']
    assert (row['questions'], row['attempts']) == (4, 1)


def test_story_of_a_client(nsd, waymark):
    w = waymark({'server': {'workers': 1}}, upstream=nsd.port, policy=POLICY)
    w.find('hr.fabrikam.local')
    w.find('fabrikam.local')
    w.find('fabrikam.local', source='127.0.0.2')
    w.audit()
    clients = {c['address']: c for c in w.json('audit', 'clients')['clients']}
    assert clients['127.0.0.1']['questions'] == 2 and clients['127.0.0.2']['questions'] == 1
    assert [c['address'] for c in w.json('audit', 'clients', '--no-host')['clients']] == ['127.0.0.2']
    assert [c['address'] for c in w.json('audit', 'clients', '--outcome', 'missing')['clients']] == ['127.0.0.1']
    out = w.ctl('audit', 'client', '127.0.0.1').out
    assert 'fabrikam.local' in out and 'hr.fabrikam.local' in out
    assert 'kms01.contoso.com' in w.ctl('audit', 'targets').out
    assert 'merged-domains' in w.ctl('audit', 'rules').out


def test_refused_client_is_recorded_as_blocked(nsd, waymark):
    w = waymark({'access': [{'net': '127.0.0.3/32', 'action': 'refuse'}]}, upstream=nsd.port, policy=POLICY)
    assert ask.rcode(w.ask(discovery('fabrikam.local'), source='127.0.0.3')) == 'REFUSED'
    w.audit()
    (row,) = w.json('audit', 'clients', '--outcome', 'blocked')['clients']
    assert row['address'] == '127.0.0.3'


def test_other_questions_leave_no_record(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    for name, kind in (('www.contoso.com', 'A'), ('_ldap._tcp.contoso.com', 'SRV'), ('contoso.com', 'SOA')):
        w.ask(name, kind)
    w.find('fabrikam.local')
    assert w.audit()['questions'] == 1


def fill(folder):
    """The disk is full; what to remove that it is not."""
    with open(f'{folder}/filler', 'wb', buffering=0) as f:
        for size in (65536, 4096, 1):
            try:
                while True:
                    f.write(b'x' * size)
            except OSError:
                pass
    return f.name


def on_small_disk(w, namespace, size):
    os.mkdir(w.state)
    w.inside(namespace, f'mount -t tmpfs -o size={size},mode=0750 none {w.state}', net=False)
    w.start()
    user = [] if os.geteuid() == 0 else ['-U', '--preserve-credentials']
    return {'before': ['nsenter', '-t', str(w.daemon.pid), *user, '-m']}, f'/proc/{w.daemon.pid}/root{w.state}'


def test_each_policy_is_recorded_once(nsd, waymark):
    w = waymark({'audit': {'commit-interval': '200ms'}}, upstream=nsd.port, policy=POLICY)
    kept = lambda: re.findall('policy serial ([0-9]+)', w.ctl('audit', 'events', '--csv').out)
    wait_for(lambda: kept() == ['1'], 'the record of the first policy')
    w.ctl('policy', 'fill', 'new.example', '--host', 'kms01.contoso.com')
    wait_for(lambda: sorted(kept()) == ['1', '2'], 'the record of the change')
    time.sleep(2.5)  # it is looked at each second
    assert len(kept()) == 2, kept()


def test_import_on_a_full_disk_fails_and_changes_nothing(nsd, waymark, namespace):
    w = waymark(upstream=nsd.port, start=False)
    inside, _ = on_small_disk(w, namespace, '2m')
    w.policy(POLICY, **inside)
    many = LARGE + ''.join(f'      - s{n}.d{n % 97}.example\n' for n in range(60000))
    done = w.policy(many, ok=1, **inside)
    assert 'is the disk full' in done.err, done
    assert w.json('status', ok=False)['policy']['serial'] == 1
    assert w.find('fabrikam.local') == HOSTS
    assert 'merged-domains' in w.ctl('policy', 'export', **inside).out


@pytest.mark.parametrize('left', [0, 5 * 4096], ids=['no room', 'room for a part of a commit'])
def test_audit_goes_on_when_a_full_disk_has_room_again(nsd, waymark, namespace, left):
    w = waymark({'audit': {'commit-interval': '200ms'}}, upstream=nsd.port, start=False)
    inside, folder = on_small_disk(w, namespace, '3m')
    w.policy(POLICY, **inside)
    filler = fill(folder)
    os.truncate(filler, os.path.getsize(filler) - left)
    asked = 0
    while w.stats()['audit_commit_failures'] == 0:
        asked += flood(w, [discovery(f's{asked + n}.lab.contoso.com') for n in range(500)])
        assert asked < 100000
    wait_for(lambda: w.stats()['audit_commit_failures'] > 3, 'more tries, which the log does not tell')
    assert w.find('fabrikam.local')  # DNS does not care
    asked += 1
    status = w.ctl('status', ok=7)
    assert '! audit' in status.out and 'No space left' in status.out, status
    os.unlink(f'{folder}/filler')
    audit = w.audit()
    assert (audit['questions'], audit['recorded'], audit['dropped']) == (asked, asked, 0)
    wait_for(lambda: w.ctl('status', ok=False).code == 0, 'a status without problems')
    said = [line for line in w.said().splitlines() if 'audit' in line]
    assert len(said) == 2 and 'No space left on device' in said[0] and 'written again; 0 were dropped' in said[1], said


def test_question_that_waits_in_a_socket_at_the_stop_is_answered_or_not_counted(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(('127.0.0.1', w.port))
        for n in range(200):  # as many answers as fit in a socket
            s.send(dns.message.make_query(discovery(f'{n}.lab.contoso.com'), 'SRV').to_wire())
        w.stop()
        s.setblocking(False)
        answered = 0
        try:
            while s.recv(4096):
                answered += 1
        except OSError:
            pass
    assert w.json('audit', 'summary')['all_questions'] == answered


def manual_queries():
    page = open(os.path.join(os.path.dirname(__file__), '../../docs/waymark-audit.5')).read()
    return re.findall(r'^([A-Z][^\n]*):\n\.Bd -literal -offset indent\n(SELECT.*?;)\n\.Ed', page, re.M | re.S)


def test_queries_of_the_manual(nsd, waymark):
    """Each of them runs as it stands, and finds what was asked for here."""
    w = waymark({'access': [{'net': '127.0.0.3/32', 'action': 'refuse'}]}, upstream=nsd.port,
                policy=POLICY + SHADOW)
    for suffix in ('fabrikam.local', 'hr.fabrikam.local', 'contoso.com', 'a.example', 'b.example', 'c.example'):
        w.find(suffix)
    w.ask(discovery('fabrikam.local'), source='127.0.0.3')
    wire = dns.message.make_query(discovery('fabrikam.local'), 'SRV').to_wire()
    with ask.Datagrams(w.port, '127.0.0.4') as d:
        for _ in range(2):
            d.ask(wire)
    w.ask(discovery('tailspin.com'), source='127.0.0.4')
    w.audit()
    queries = dict(manual_queries())
    assert len(queries) == 20
    with sqlite3.connect(f'file:{w.state}/audit/audit.db?mode=ro', uri=True) as db:
        db.execute('PRAGMA trusted_schema=OFF')
        found = {title: db.execute(sql.replace('10.20.64.7', '127.0.0.1')).fetchall() for title, sql in queries.items()}
    # Nothing here was unapproved, slow or unanswered.
    empty = {title.split()[0] + ' ' + title.split()[1] for title, rows in found.items() if not rows}
    assert empty == {'KMS hosts', 'Which servers', 'Answers that'}, found
    assert found['Clients whose packet had to be sent again'] == [('127.0.0.4', 1, 3)]
    assert found['Clients that have no host now, the longest first'][0][0] == '127.0.0.1'
    assert ('merged-domains', 4) in [(row[0], row[1]) for row in found['What the rules did']]
