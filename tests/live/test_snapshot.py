# SPDX-License-Identifier: BSD-2-Clause
"""Answers over a restart, in the file STATE/cache.snapshot; and the verbs that show what is cached."""
import os
import signal
import time

import ask
import pytest
from ask import discovery
from conftest import POLICY
from process import SLOW, wait_for
from upstreams import Fake, reply

STOP = 10 if SLOW else 1  # seconds


def answer(q, _):
    name = str(q.question[0].name).lower()
    if 'nowhere' in name:
        return reply(q, rcode='NXDOMAIN', soa=True)
    if q.question[0].rdtype == 33:
        return reply(q, '300 SRV 0 0 1688 kms01.contoso.com.')
    return reply(q, '300 A 192.0.2.1') if q.question[0].rdtype == 1 else reply(q, soa=True)


def restart(w):
    w.stop()
    before = w.said().count(' known')
    w.start()
    wait_for(lambda: w.said().count(' known') > before, 'the file is read')


def snapshot(w):
    return f'{w.state}/cache.snapshot'


@pytest.fixture
def server(peers):
    return peers(Fake, answer)


def test_answers_are_known_after_a_restart(waymark, server):
    w = waymark(upstream=server.port, policy=POLICY)
    names = [('www.example', 'A'), ('nowhere.example', 'A'), ('www.example', 'AAAA'), (discovery('contoso.com'), 'SRV')]
    first = [w.ask(*n) for n in names]
    w.find('nowhere.fabrikam.local')  # not covered: the real answer
    restart(w)
    asked = server.count()
    for n, was in zip(names, first):
        got = w.ask(*n)
        assert (got.rcode(), ask.targets(got), ask.addresses(got)) == (was.rcode(), ask.targets(was), ask.addresses(was))
    assert server.count() == asked, 'no server is asked for what is known'
    assert os.stat(snapshot(w)).st_mode & 0o777 == 0o600
    assert not os.path.exists(snapshot(w) + '.new')


def test_policy_decides_anew_after_a_restart(waymark, peers):
    """What the policy gave is not in the file: a rule that is gone while the daemon was down gives nothing."""
    w = waymark(upstream=peers(Fake, lambda q, _: reply(q, rcode='NXDOMAIN', soa=True)).port, policy=POLICY)
    assert w.find('fabrikam.local') and w.find('fabrikam.local')
    w.stop()
    w.ctl('policy', 'rule', 'drop', 'merged-domains', '--yes')
    w.start()
    assert w.find('fabrikam.local') == []


def test_time_goes_on_while_the_daemon_is_down(waymark, peers):
    server = peers(Fake, lambda q, _: reply(q, '2 A 192.0.2.1'))
    w = waymark(upstream=server.port)
    w.ask('short.example', 'A')
    began = time.monotonic()
    w.stop()
    wait_for(lambda: time.monotonic() - began > 2.1, 'its TTL is over')
    w.start()
    wait_for(lambda: ' known' in w.said(), 'the file is read')
    asked = server.count()
    assert ask.addresses(w.ask('short.example', 'A')) == ['192.0.2.1']
    assert server.count() > asked, 'it is asked for again'


def test_expired_answer_of_the_file_is_served_stale(waymark, peers):
    server = peers(Fake, lambda q, _: reply(q, '1 A 192.0.2.1'))
    w = waymark({'forward': [{'zone': '.', 'servers': [f'127.0.0.1:{server.port}'], 'timeout': '100ms'}]})
    w.ask('short.example', 'A')
    began = time.monotonic()
    w.stop()
    server.finish()
    wait_for(lambda: time.monotonic() - began > 1.1, 'its TTL is over')
    w.start()
    wait_for(lambda: ' known' in w.said(), 'the file is read')
    got = w.ask('short.example', 'A', edns=0)
    assert ask.addresses(got) == ['192.0.2.1'] and got.answer[0].ttl == 30, got


DAMAGE = {
    'bit': (lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:], 'is damaged, or cut short'),
    'cut': (lambda b: b[:len(b) // 2], 'is damaged, or cut short'),
    'empty': (lambda b: b'', 'is no file of this program'),
    'foreign': (lambda b: b'SQLite format 3\0' + b[16:], 'is no file of this program'),
    'newer': (lambda b: b[:8] + b'\0\2' + b[10:], 'has format 2, of a newer version'),
}


@pytest.mark.parametrize('row', DAMAGE)
def test_file_that_is_not_as_it_was_is_thrown_away(waymark, server, row):
    change, why = DAMAGE[row]
    w = waymark(upstream=server.port)
    for n in range(20):
        w.ask(f'www{n}.example', 'A')
    w.stop()
    with open(snapshot(w), 'rb') as f:
        whole = f.read()
    with open(snapshot(w), 'wb') as f:
        f.write(change(whole))
    at = len(w.said())
    w.start()
    wait_for(lambda: 'thrown away' in w.said(), 'the line that says so')
    lines = [line for line in w.said()[at:].splitlines() if 'cache' in line]
    assert len(lines) == 1 and snapshot(w) in lines[0] and why in lines[0], lines
    assert not os.path.exists(snapshot(w))
    assert all(ask.addresses(w.ask(f'www{n}.example', 'A')) == ['192.0.2.1'] for n in range(20))
    assert w.ctl('status', ok=False).code == 0


def test_kill_leaves_the_file_of_before(waymark, server):
    w = waymark(upstream=server.port)
    w.ask('before.example', 'A')
    restart(w)
    w.ask('after.example', 'A')
    with open(snapshot(w), 'rb') as f:
        whole = f.read()
    w.daemon.send(signal.SIGKILL)
    w.daemon.wait()
    with open(snapshot(w), 'rb') as f:
        assert f.read() == whole
    before = w.said().count(' known')
    w.start()
    wait_for(lambda: w.said().count(' known') > before, 'the file is read')
    asked = server.count()
    w.ask('before.example', 'A')
    assert server.count() == asked
    w.ask('after.example', 'A')
    assert server.count() > asked


def test_what_was_flushed_does_not_come_back(waymark, server):
    """Neither by the file of a clean stop, nor by that of before when the daemon is killed."""
    w = waymark(upstream=server.port)
    w.ask('www.example', 'A')
    restart(w)
    w.ctl('cache', 'flush', 'www.example')
    assert not os.path.exists(snapshot(w))
    w.daemon.send(signal.SIGKILL)
    w.daemon.wait()
    w.start()
    asked = server.count()
    w.ask('www.example', 'A')
    assert server.count() > asked


def test_persist_no_removes_the_file(waymark, server):
    w = waymark(upstream=server.port)
    w.ask('www.example', 'A')
    w.stop()
    assert os.path.exists(snapshot(w))
    w.settings['cache'] = {'persist': False}
    w.write_settings()
    w.start()
    wait_for(lambda: not os.path.exists(snapshot(w)), 'the file is gone')
    asked = server.count()
    w.ask('www.example', 'A')
    assert server.count() > asked
    w.stop()
    assert not os.path.exists(snapshot(w))


def test_large_file_is_written_in_a_daemon_that_may_do_little(waymark, peers):
    """Behind the first MiB the disk is told to begin: a system call that server.seccomp must know."""
    w = waymark(upstream=peers(Fake, lambda q, _: reply(q, *[f'300 TXT "{n:03}{"x" * 250}"' for n in range(200)])).port)
    for n in range(24):
        w.tcp(f'large{n}.example', 'TXT')
    w.stop()
    assert 'answers are kept in' in w.said() and os.stat(snapshot(w)).st_size > 1 << 20, w.said()


def test_full_disk_is_said_and_leaves_no_half_file(waymark, server, namespace):
    w = waymark(upstream=server.port, start=False)
    w.inside(namespace, f'mkdir -p {w.state}', f'mount -t tmpfs -o size=20m none {w.state}', net=False)
    w.start()
    w.ask('www.example', 'A')
    pid = w.daemon.pid
    assert os.listdir(f'/proc/{pid}/root{w.state}')
    began = time.monotonic()
    w.stop()
    assert time.monotonic() - began < STOP
    assert f'cache: {snapshot(w)} cannot be written: No space left on device; a restart forgets the answers' in w.said()


def test_cache_says_whether_it_is_kept(waymark, server):
    w = waymark(upstream=server.port)
    w.ask('www.example', 'A')
    assert w.json('cache')['snapshot'] == {'file': snapshot(w), 'written': None, 'error': None}
    w.settings['cache'] = {'persist': False}
    w.write_settings()
    assert 'cache.persist' in w.ctl('reload').out
    w.stop()
    w.start()
    assert w.json('cache')['snapshot']['file'] is None
    assert 'a restart forgets it (cache.persist: no)' in w.ctl('cache').out


# --- what is cached, by kind and by name

def test_what_is_cached_is_counted_by_kind(waymark, peers):
    def some(q, how):
        return None if 'silent' in str(q.question[0].name).lower() else answer(q, how)

    w = waymark({'forward': [{'zone': '.', 'servers': [f'127.0.0.1:{peers(Fake, some).port}'], 'timeout': '100ms'}]}, policy=POLICY)
    for name, kind in (('a.example', 'A'), ('b.example', 'A'), ('a.example', 'AAAA'), ('nowhere.example', 'A'),
                       ('silent.example', 'A'), ('a.example', 'A'), (discovery('nowhere.fabrikam.local'), 'SRV')):
        w.ask(name, kind)
    for _ in range(2):  # filled; a decision is kept when what it was made on was in the cache
        w.find('nowhere.lab.contoso.com')
    told = w.json('cache')
    entries = {k['kind']: k['entries'] for k in told['kinds']}
    assert entries == {'positive': 2, 'nodata': 1, 'nxdomain': 3, 'failure': 1, 'decision': 1}, told
    assert told['entries'] == sum(entries.values()) and told['bytes'] == sum(k['bytes'] for k in told['kinds'])
    assert all(k['bytes'] > 80 * k['entries'] for k in told['kinds'])
    assert told['hits'] == 2 and told['misses'] == 7 and told['stale'] == 0 and told['hit_rate'] == 22.2, told
    stats = w.stats()
    assert stats['cache_nxdomain'] == 3 and stats['cache_failures'] == 1 and stats['cache_decisions_bytes'] > 80
    out = w.ctl('cache').out
    assert 'nxdomain  3  ' in out and '2 answered from it, 22.2 %; 7 not; 0 got an expired answer' in out, out
    w.ctl('cache', 'flush', '--all')
    assert w.json('cache')['entries'] == 0


def test_cache_get_shows_what_is_held(waymark, peers):
    server = peers(Fake, lambda q, _: reply(q, '1 A 192.0.2.1') if q.question[0].rdtype == 1 else answer(q, _))
    w = waymark({'forward': [{'zone': 'example', 'servers': [f'127.0.0.1:{server.port}'], 'timeout': '100ms'},
                             {'zone': '.', 'servers': ['127.0.0.1:9']}]})
    w.ask('www.example', 'A')
    w.ask('www.example', 'AAAA', dnssec=True)
    held = {e['type']: e for e in w.json('cache', 'get', 'WWW.example')['entries']}
    assert [r.split() for r in held['A']['records']] == [['www.example.', '1', 'IN', 'A', '192.0.2.1']], held
    assert (held['A']['rcode'], held['A']['kind'], held['A']['route'], held['A']['dnssec']) == ('NOERROR', 'positive', 'example', False)
    assert held['A']['server'] == f'127.0.0.1:{server.port}' and held['A']['age_s'] <= 1
    assert (held['AAAA']['kind'], held['AAAA']['dnssec'], held['AAAA']['expired'], held['AAAA']['stale']) == ('nodata', True, False, False)
    assert 'www.example AAAA with DO  NOERROR, nodata, ' in w.ctl('cache', 'get', 'www.example', 'AAAA').out
    wait_for(lambda: w.json('cache', 'get', 'www.example', 'A')['entries'][0]['expired'], 'the answer has expired')
    assert w.json('cache', 'get', 'www.example', 'A')['entries'][0]['stale']
    assert 'expired, served while no server answers' in w.ctl('cache', 'get', 'www.example', 'A').out
    server.finish()
    w.ask('www.example', 'A')
    failure = [e for e in w.json('cache', 'get', 'www.example', 'A')['entries'] if e['kind'] == 'failure']
    assert failure and failure[0]['rcode'] != 'NOERROR' and failure[0]['ttl_s'] > 0, failure
    w.settings['forward'] = [{'zone': '.', 'servers': ['127.0.0.1:9']}]
    w.write_settings()
    w.ctl('reload')
    assert 'of a route that is gone' in w.ctl('cache', 'get', 'www.example').out
    assert w.ctl('cache', 'get', 'other.example', ok=3).err.strip().endswith('nothing is cached at other.example')
