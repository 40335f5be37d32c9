# SPDX-License-Identifier: BSD-2-Clause
"""The chain of the audit, and what may be taken out of it: forgotten clients, old records."""
import re
import socket
import sqlite3
import threading
import time

import dns.message
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from process import wait_for


@pytest.fixture
def audited(nsd, waymark):
    """A daemon that was asked by two clients, and restarted."""
    w = waymark(upstream=nsd.port, policy=POLICY)
    for suffix, source in (('fabrikam.local', '127.0.0.3'), ('hr.fabrikam.local', '127.0.0.3'), ('fabrikam.local', '127.0.0.4')):
        w.find(suffix, source=source)
        w.audit()
    w.stop()
    w.start()
    w.find('contoso.com', source='127.0.0.3')
    w.audit()
    return w


def tampered(w, *statements):
    """What verify says once somebody has changed the database; it is as it was then."""
    w.stop() if w.daemon else None
    path = f'{w.state}/audit/audit.db'
    with sqlite3.connect(path) as db:
        db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    with open(path, 'rb') as f:
        before = f.read()
    with sqlite3.connect(path) as db:
        for statement in statements:
            assert db.execute(statement).rowcount != 0, statement
        db.commit()
        db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    db.close()
    done = w.ctl('audit', 'verify', ok=False)
    with open(path, 'wb') as f:
        f.write(before)
    return done


def test_whole_chain_while_the_daemon_runs(audited):
    w = audited
    told = w.json('audit', 'verify')
    assert told['broken'] is None and (told['first'], told['last']) == (1, w.events('--limit', '1')[0]['event']['sequence'])
    assert told['head'] == w.json('audit', 'summary')['chain_head'] and re.fullmatch('[0-9a-f]{64}', told['head'])
    (stopped,) = told['not_running']
    assert stopped['since'] <= stopped['until'] and stopped['killed'] is False
    assert told['lost'] == told['pruned'] == told['forgotten'] == 0
    head = told['head']
    w.find('tailspin.com')
    w.audit()
    assert w.json('audit', 'verify')['head'] != head
    out = w.ctl('audit', 'verify', '--head', head).out
    assert f'it was the head at record {told["last"]}: all up to there is as it was' in out
    assert re.search(r'^chain +whole: records 1 to \d+, ', out, re.M)
    assert 'NOT FOUND' in w.ctl('audit', 'verify', '--head', head[::-1], ok=7).out
    w.ctl('audit', 'verify', '--head', 'abc', ok=2)


def test_a_start_is_recorded_before_the_first_question(waymark):
    """Clients ask on while the daemon is restarted: those that are heard first are none of the run before."""
    w = waymark({'audit': {'commit-interval': '10s'}}, policy=POLICY, start=False)
    ended = threading.Event()

    def ask():
        question = dns.message.make_query(discovery('fabrikam.local'), 'SRV').to_wire()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            while not ended.is_set():
                s.sendto(question, ('127.0.0.1', w.port))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(8):
            w.start()
            w.stop()
    finally:
        ended.set()
        thread.join()
    told = w.json('audit', 'verify')
    assert told['last'] > 16 and [s['killed'] for s in told['not_running']] == 7 * [False], told


CHANGES = {
    'time': 'UPDATE event SET ms=ms+1 WHERE id=3', 'latency': 'UPDATE event SET latency_us=latency_us+1 WHERE client NOTNULL',
    'port': 'UPDATE event SET port=port+1 WHERE client NOTNULL', 'serial': 'UPDATE event SET serial=7 WHERE client NOTNULL',
    'flags': 'UPDATE event SET bits=bits|1 WHERE client NOTNULL',
    'name': "UPDATE event SET asked='_vlmcs._tcp.x' WHERE client NOTNULL",
    'client of a record': 'UPDATE event SET client=(SELECT max(id) FROM client) WHERE client=(SELECT min(id) FROM client)',
    'address': "UPDATE client SET name='10.0.0.1' WHERE name='127.0.0.3'",
    'address and salt': "UPDATE client SET name='10.0.0.1',salt=NULL,digest=randomblob(16) WHERE name='127.0.0.3'",
    'suffix': "UPDATE suffix SET name='other.example' WHERE name='contoso.com'",
    'answer': "UPDATE answer SET answer='evil.example:1688' WHERE answer<>''", 'rule': "UPDATE answer SET rule=NULL WHERE rule<>''",
    'nothing for empty': "UPDATE answer SET unapproved=NULL WHERE unapproved=''", 'note': "UPDATE answer SET note='x' WHERE kind='start'",
    'removed': 'DELETE FROM event WHERE id=4', 'the first removed': 'DELETE FROM event WHERE id=1',
    'the last removed': 'DELETE FROM event WHERE id=(SELECT max(id) FROM event)',
    'removed, and closed up': ('DELETE FROM event WHERE id=4', 'UPDATE event SET id=id-1 WHERE id>4'),
    'added': 'INSERT INTO event(id,ms,answer) SELECT max(id)+1,max(ms),1 FROM event',
    'two change places': ('UPDATE event SET id=-3 WHERE id=3', 'UPDATE event SET id=3 WHERE id=4', 'UPDATE event SET id=4 WHERE id=-3'),
    'segment removed': 'DELETE FROM chain WHERE id=1',
    'the first segment and its records removed': ('DELETE FROM event WHERE id<(SELECT min(id) FROM chain WHERE id>1)',
                                                  'DELETE FROM chain WHERE id=1'),
    'answer removed': "DELETE FROM answer WHERE kind='start'",
}


def test_each_change_breaks_it(audited):
    missed = [what for what, how in CHANGES.items()
              if tampered(audited, *([how] if isinstance(how, str) else how)).code != 7]
    assert not missed
    said = tampered(audited, CHANGES['answer'])
    assert re.search(r'^chain +BROKEN: records \d+ to \d+ are not those that were recorded', said.out, re.M), said
    assert audited.json('audit', 'verify')['broken'] is None


def test_end_that_is_cut_off_is_known_by_its_head(audited):
    w = audited
    head = w.json('audit', 'summary')['chain_head']
    w.stop()
    with sqlite3.connect(f'{w.state}/audit/audit.db') as db:
        first = db.execute('SELECT max(id) FROM chain').fetchone()[0]
        db.execute('DELETE FROM event WHERE id>=?', [first])
        db.execute('DELETE FROM chain WHERE id=?', [first])
    assert w.json('audit', 'verify')['broken'] is None  # nothing tells, but
    assert 'NOT FOUND' in w.ctl('audit', 'verify', '--head', head, ok=7).out


def octets(w):
    with open(f'{w.state}/audit/audit.db', 'rb') as db, open(f'{w.state}/audit/audit.db-wal', 'rb') as wal:
        return db.read() + wal.read()


def test_forgotten_client(audited):
    w = audited
    assert b'127.0.0.3' in octets(w)
    assert w.ctl('audit', 'forget', '127.0.0.3', ok=1).err.endswith('nothing is changed\n')
    assert '3 records are now those of nobody' in w.ctl('audit', 'forget', '127.0.0.3', '--yes').out
    assert b'127.0.0.3' not in octets(w)
    w.find('fabrikam.local', source='127.0.0.3')  # the daemon did not keep it in mind
    w.audit()
    clients = {c['address']: c['questions'] for c in w.json('audit', 'clients')['clients']}
    assert sorted(clients.values()) == [1, 1, 3] and clients['127.0.0.3'] == clients['127.0.0.4'] == 1
    assert w.json('audit', 'client', '127.0.0.4')['suffix_details']  # of the others all is kept
    told = w.json('audit', 'verify')
    assert told['broken'] is None and told['forgotten'] == told['forget_records'] == 1
    (record,) = [e for e in w.events() if e['event']['action'] == 'audit-forget']
    assert record['waymark']['text'].startswith('3 records of a client, by ')
    w.ctl('audit', 'forget', '127.0.0.99', '--yes', ok=3)
    w.stop()
    w.ctl('audit', 'forget', '127.0.0.4', '--yes')  # without a daemon
    assert w.json('audit', 'verify')['forgotten'] == 2


def test_forgotten_span(audited):
    w = audited
    events = [e for e in w.events() if e.get('client', {}).get('address') == '127.0.0.3']
    until = events[2]['@timestamp']
    w.ctl('audit', 'forget', '127.0.0.3', '--until', until, '--yes')
    story = w.ctl('audit', 'client', '127.0.0.3').out
    assert 'contoso.com' in story and story.count('_vlmcs._tcp.') == 1
    w.find('tailspin.com', source='127.0.0.3')
    w.audit()
    w.ctl('audit', 'forget', '127.0.0.3', '--since', until, '--yes')
    told = w.json('audit', 'verify')
    assert told['broken'] is None and told['forgotten'] == told['forget_records'] == 2
    addresses = [e['client']['address'] for e in w.events() if 'client' in e]
    assert addresses.count('127.0.0.4') == 1 and '127.0.0.3' not in addresses and len(set(addresses)) == 3
    w.ctl('audit', 'forget', '127.0.0.3', '--since', until, '--yes', ok=3)


def test_pruned_records(audited):
    w = audited
    end = time.time() + 1.1
    wait_for(lambda: time.time() > end, 'a second')
    w.stop()
    w.start()
    w.find('fabrikam.local')
    w.audit()
    n = w.events('--limit', '1')[0]['event']['sequence']
    w.ctl('audit', 'prune', '--yes', ok=2)
    out = w.ctl('audit', 'prune', '--before', '1s', '--yes').out
    assert re.fullmatch(r'[1-9]\d* records removed\n', out), out
    w.find('fabrikam.local')
    w.audit()
    told = w.json('audit', 'verify')
    assert told['broken'] is None and 1 < told['first'] <= n and told['pruned'] == told['first'] - 1
    (record,) = [e for e in w.events() if e['event']['action'] == 'audit-prune']
    assert record['waymark']['count'] == told['pruned']
    assert w.find('fabrikam.local') == HOSTS and discovery
