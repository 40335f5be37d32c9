# SPDX-License-Identifier: BSD-2-Clause
"""The wall clock jumps, by hours and years, both ways (preload.c): what is timed by it is judged again, what must not be is not.

Times to live and timers are monotonic; `from` and `until` of a rule, records and retention are by the wall clock.
"""
import datetime
import mmap
import struct

import ask
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from faults import idles, preload
from process import wait_for
from upstreams import Fake, reply

HOUR, YEAR = 3600, 365 * 86400
JUMPS = {'an hour ahead': HOUR, 'an hour back': -HOUR, 'a year ahead': YEAR, 'a year back': -YEAR}


class Clock:
    """That of the daemon and of the tool."""

    def __init__(self, path):
        with open(path, 'wb') as f:
            f.write(bytes(8))
        with open(path, 'r+b') as f:
            self.map = mmap.mmap(f.fileno(), 8)

    def jump(self, seconds):
        self.map[:8] = struct.pack('q', seconds)


@pytest.fixture
def clock(tmp_path, monkeypatch):
    library = preload(tmp_path)
    one = Clock(tmp_path / 'clock')
    monkeypatch.setenv('WAYMARK_CLOCK', str(tmp_path / 'clock'))
    monkeypatch.setenv('LD_PRELOAD', library)
    return one


def answer(q, _):
    return reply(q, '300 A 192.0.2.1') if q.question[0].rdtype == 1 else reply(q, rcode='NXDOMAIN', soa=True)


def ttl(w):
    return w.ask('cached.example', 'A').answer[0].ttl


@pytest.mark.parametrize('jump', JUMPS)
def test_times_to_live_do_not_follow_the_wall_clock(waymark, peers, clock, jump):
    fake = peers(Fake, answer)
    w = waymark(upstream=fake.port, policy=POLICY)
    assert ttl(w) == 300 and w.find('fabrikam.local') == HOSTS
    asked, lines = fake.count(), w.said().count('\n')
    for seconds in (JUMPS[jump], 0, JUMPS[jump]):
        clock.jump(seconds)
        assert 290 < ttl(w) <= 300
        assert w.find('fabrikam.local') == HOSTS
    assert fake.count() == asked, 'nothing was asked for again'
    assert idles(w.daemon.pid, 0.5) < 0.05
    assert w.said().count('\n') - lines <= 1, w.said()
    assert ask.addresses(w.ask('new.example', 'A')) == ['192.0.2.1']


def at(seconds):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime('%Y-%m-%dT%H:%M:%SZ')


# What is found at (before, after) a jump ahead by an hour, and again once the clock is back.
RULES = {'until': (HOSTS, []), 'from': ([], HOSTS)}


@pytest.mark.parametrize('row', RULES)
def test_kept_decision_is_judged_again(waymark, peers, clock, row):
    w = waymark(upstream=peers(Fake, answer).port, policy=POLICY)
    w.ctl('policy', 'rule', 'set', 'merged-domains', f'--{row}', at(HOUR / 2))
    now, later = RULES[row]
    for seconds, found in ((0, now), (HOUR, later), (0, now), (YEAR, later), (-YEAR, now), (HOUR, later)):
        clock.jump(seconds)
        for _ in range(2):  # the second is a kept one
            assert w.find('fabrikam.local') == found, seconds


@pytest.mark.parametrize('jump', JUMPS)
def test_audit_goes_on_and_loses_nothing(waymark, peers, clock, jump):
    """Neither at once, nor when the settings are read, when retention looks for what is old."""
    w = waymark(upstream=peers(Fake, answer).port, policy=POLICY)
    for turn, seconds in enumerate((0, JUMPS[jump], 0)):
        clock.jump(seconds)
        w.find(f'turn{turn}.lab.contoso.com')
        w.audit()
        w.ctl('reload')
        wait_for(lambda: len(w.events('--limit', '0', '--suffix', '*.lab.contoso.com')) == turn + 1, 'each of them')
    w.stop()
    clock.jump(JUMPS[jump])
    w.start()
    w.find('turn3.lab.contoso.com')
    w.audit()
    clock.jump(0)
    assert len(w.events('--limit', '0', '--suffix', '*.lab.contoso.com')) == 4
    assert w.json('audit', 'summary')['all_questions'] == 4
    assert w.ctl('audit', 'verify').code == 0


def test_log_of_the_policy_keeps_its_order(waymark, clock):
    """What was changed in the future is there, and can be undone; so can what came after it."""
    w = waymark(start=False)
    w.policy(POLICY)
    clock.jump(YEAR)
    w.ctl('policy', 'rule', 'add', 'merged-domains', 'future.example')
    clock.jump(0)
    w.ctl('policy', 'rule', 'add', 'merged-domains', 'now.example')
    w.ctl('policy', 'undo', '--yes')
    (entries,) = w.json('policy', 'log').values()
    assert [e['serial'] for e in entries] == [1, 2, 3, 4], entries
