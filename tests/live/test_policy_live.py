# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the policy while the daemon answers."""
import os
import subprocess
import threading
import time

import ask
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from process import BUILD, free_port, wait_for
from upstreams import Fake, reply

MANY = 100000
TOOL = os.path.join(BUILD, 'tests/live/tool_policy')
ONE = '''
waymark-policy: 1
pools:
  first: [kms01.contoso.com]
  second: [kms02.contoso.com]
rules:
  one: {suffixes: [asked.example], pool: first}
'''


def test_policy_imported_before_the_first_start_is_served(nsd, waymark):
    w = waymark(upstream=nsd.port, start=False)
    w.policy(POLICY)
    w.start()
    assert w.find('fabrikam.local') == HOSTS


def test_daemon_without_policy_sees_the_first_one(nsd, waymark):
    w = waymark(upstream=nsd.port)
    assert w.find('fabrikam.local') == []
    out = w.ctl('policy', 'fill', 'fabrikam.local', '--host', 'kms01.contoso.com')
    assert 'in use by waymarkd' in out.out + out.err
    assert w.find('fabrikam.local') == ['kms01.contoso.com.:1688']
    os.mkdir(elsewhere := f'{w.dir}/elsewhere')
    for n in (1, 2):
        out = w.ctl('policy', 'fill', f's{n}.example', '--host', 'kms01.contoso.com', '-o', f'server.state-dir={elsewhere}')
    assert 'serial 2, ' in out.out and 'but waymarkd uses another policy' in out.out


def test_each_change_is_seen_by_the_next_question(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=ONE)
    suffix = 'fabrikam.local'
    pools = {'first': ['kms01.contoso.com.:1688'], 'second': ['kms02.contoso.com.:1688']}
    assert w.find(suffix) == []
    w.ctl('policy', 'rule', 'add', 'one', suffix)
    for pool in ('second', 'first', 'second'):
        w.ctl('policy', 'rule', 'set', 'one', '--pool', pool)
        assert w.find(suffix) == pools[pool]
    w.ctl('policy', 'pool', 'set', 'second', 'kms03.contoso.com:1700')
    assert w.find(suffix) == ['kms03.contoso.com.:1700']
    w.ctl('policy', 'rule', 'drop', 'one', suffix, '--yes')
    assert w.find(suffix) == []


class Asker(threading.Thread):
    """Asks one name over and over; keeps what is not as expected."""

    def __init__(self, w, name, expected):
        super().__init__()
        self.w, self.name_asked, self.expected = w, name, expected
        self.asked, self.wrong, self.ended = 0, [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                answer = self.w.ask(self.name_asked)
                if not self.expected(answer):
                    self.wrong.append(str(answer))
            except Exception as e:  # a lost question
                self.wrong.append(repr(e))
            self.asked += 1

    def end(self):
        self.ended.set()
        self.join()


@pytest.fixture(scope='module')
def large():
    """A policy of 100,000 suffixes as text."""
    lines = [ONE, '  many:\n    pool: first\n    suffixes:\n']
    lines += [f'      - s{n}.d{n % 977}.example\n' for n in range(MANY)]
    return ''.join(lines)


@pytest.fixture
def loaded(nsd, waymark, large):
    """A daemon that was asked while 100,000 suffixes were imported; nothing was lost meanwhile."""
    w = waymark(upstream=nsd.port, policy=ONE)
    askers = [Asker(w, discovery('asked.example'), lambda a: ask.targets(a) == ['kms01.contoso.com.:1688']),
              Asker(w, 'www.contoso.com', lambda a: ask.rcode(a) == 'NOERROR')]
    for a in askers:
        a.start()
    try:
        w.policy(large)
    finally:
        for a in askers:
            a.end()
    for a in askers:
        assert not a.wrong, (len(a.wrong), a.wrong[0])
        assert a.asked > 0
    assert w.json('status')['policy']['suffixes'] == MANY + 1
    return w


def test_100000_suffixes_come_and_two_thousand_changes_follow(loaded):
    w = loaded
    host = ['kms01.contoso.com.:1688']
    for n in (0, 1, MANY // 2, MANY - 1):
        assert w.find(f's{n}.d{n % 977}.example') == host
    assert w.find('s1.d2.example') == [] and w.find('d1.example') == []
    w.ctl('policy', 'rule', 'set', 'many', '--pool', 'second')
    assert w.find('s5.d5.example') == ['kms02.contoso.com.:1688']
    # An idle worker must not hold pages of the past: then every change would make the store greater.
    before = used(w)
    done = subprocess.run([TOOL, f'{w.state}/policy', '1', '2000'], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split()[-1] == '2000'
    assert used(w) < before + 12 * 2**20, f'{before} bytes before, {used(w)} after 2,000 changes'  # else 80 MB
    assert w.find('n2000.changed.example') == ['kms.changed.example.:3000']


def used(w):
    return os.stat(f'{w.state}/policy/data.mdb').st_blocks * 512


def test_import_is_whole_or_not_at_all(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    serial = w.json('status')['policy']['serial']
    done = w.policy(POLICY.replace('comment:', 'coment:') + '  x: {sufixes: [a.example]}\n', ok=5)
    assert 'comment' in done.err and 'suffixes' in done.err, done  # each mistake is named
    assert 'nobody' in w.policy(POLICY.replace('pool: contoso', 'pool: nobody'), ok=5).err
    assert w.json('status')['policy']['serial'] == serial
    assert w.find('fabrikam.local') == HOSTS


def test_network_of_the_client_decides(served):
    assert served.find('fabrikam.local', source='127.0.0.1') != []
    assert served.find('fabrikam.local', source='127.0.0.2') == []
    assert ask.rcode(served.ask(discovery('unknown.example'), source='127.0.0.2')) == 'NOERROR'


def test_address_of_a_host_whose_name_does_not_resolve(served):
    given = served.ask('kms02.contoso.com', 'A')
    assert [(r.ttl, [d.to_text() for d in r]) for r in given.answer] == [(300, ['10.0.0.9'])]
    assert [d.to_text() for r in served.ask('kms01.contoso.com', 'A').answer for d in r] == ['10.0.0.5']  # of the real DNS
    assert ask.rcode(served.ask('kms03.contoso.com', 'A')) == 'NXDOMAIN'
    assert ask.rcode(served.ask('kms02.contoso.com', 'AAAA')) == 'NOERROR'


def test_explain_says_what_the_client_gets(served):
    for client, outcome in (('127.0.0.1', 'filled'), ('127.0.0.2', 'denied')):
        out = served.ctl('explain', 'fabrikam.local', '--client', client).out
        assert f'outcome {outcome}' in out, out
    assert 'outcome passed' in served.ctl('explain', 'contoso.com').out


def test_explain_tells_of_a_reply_behind_the_deadline(waymark, peers):
    """The first client cannot wait for this server; later ones get its record from the cache."""
    seen = set()

    def slow(query, how):
        if query.question[0].name not in seen:
            seen.add(query.question[0].name)
            time.sleep(0.3)
        return reply(query, '60 SRV 0 0 1688 real.example.')

    w = waymark({'kms': {'upstream-deadline': '60ms'}}, upstream=peers(Fake, slow).port,
                policy=POLICY.replace('pool: contoso\n', 'pool: contoso\n    when: [missing, failed]\n', 1))
    out = w.json('explain', 'fabrikam.local')
    assert (out['decision']['outcome'], out['late']['outcome'], out['late']['rule']) == ('passed', 'filled', 'merged-domains'), out
    assert w.find('fabrikam.local') == ['real.example.:1688']
    assert 'kms01.contoso.com.:1688' in w.find('tailspin.com')
    wait_for(lambda: w.find('tailspin.com') == ['real.example.:1688'], 'the late record in the cache')


def test_kill_switch_stops_all_rules_at_once(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    assert w.find('fabrikam.local')
    for mode, found in (('off', False), ('shadow', False), ('live', True)):
        w.settings['kms'] = {'mode': mode}
        w.write_settings()
        w.ctl('reload')
        assert bool(w.find('fabrikam.local')) == found, mode


def test_workers_without_a_policy_are_told(nsd, waymark):
    """All places for readers but three are taken: one is for the daemon itself, two are for the first of its workers."""
    w = waymark({'server': {'workers': 4}}, upstream=nsd.port, policy=ONE, start=False)
    with subprocess.Popen([TOOL, 'hold', f'{w.state}/policy', '3'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert int(holder.stdout.readline()) > 256 + 64
        w.start()
        for _ in range(20):
            assert w.find('asked.example') in ([], ['kms01.contoso.com.:1688'])
        assert ask.addresses(w.ask('www.contoso.com', 'A')) == ['10.0.0.80']
        status = w.ctl('status', ok=7)
        assert '! policy: 3 of 5 threads have no policy since the start: all 512 places for readers were taken' in status.out, status
        assert f'{w.state}/policy/lock.mdb' in status.out and 'restart waymarkd' in status.out, status
        assert w.json('status', ok=7)['policy']['threads_without'] == 3
        w.stop()
        holder.stdin.close()
    w.start()
    assert w.json('status')['policy']['threads_without'] == 0


def test_what_was_taken_back_is_answered_as_before(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=ONE)
    w.ctl('policy', 'pool', 'set', 'first', 'kms03.contoso.com:1700')
    w.ctl('policy', 'rule', 'drop', 'one', 'asked.example', '--yes')
    assert w.find('asked.example') == []
    w.ctl('policy', 'undo', '--yes')
    assert w.find('asked.example') == ['kms03.contoso.com.:1700']
    w.ctl('policy', 'restore', 1, '--yes')
    assert w.find('asked.example') == ['kms01.contoso.com.:1688']
    digest = {c['serial']: c['digest'] for c in w.json('policy', 'log')['changes']}
    assert digest[1] == digest[5] and digest[2] == digest[4] != digest[1]


def test_explain_of_the_past_supposes_what_the_real_dns_says_now(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=ONE)
    w.ctl('policy', 'rule', 'drop', 'one', 'asked.example', '--yes')
    out = w.json('explain', 'asked.example', '--at', 1)
    assert (out['decision']['outcome'], out['decision']['rule'], out['real']['verdict']) == ('filled', 'one', 'nxdomain'), out
    assert out['policy']['serial'] == 1
    assert out['real']['server'] == f'127.0.0.1:{nsd.port}', 'which was asked now'
    assert out['real'].keys() == w.json('explain', 'asked.example')['real'].keys()
    assert 'supposed' not in w.ctl('explain', 'asked.example', '--at', 1).out
    assert w.json('explain', 'asked.example', '--at', 2)['decision']['outcome'] == 'missing'
    assert w.json('explain', 'asked.example', '--at', 1, '--verdict', 'servfail')['decision']['outcome'] == 'failed'
    w.ctl('explain', 'asked.example', '--at', 3, ok=3)
    w.ctl('policy', 'rule', 'set', 'one', '--action', 'deny')  # is decided without the real DNS
    w.ctl('policy', 'rule', 'add', 'one', 'asked.example')
    assert 'give --verdict' in w.ctl('explain', 'asked.example', '--at', 1, ok=2).err
    w.stop()
    assert 'outcome filled' in w.ctl('explain', 'asked.example', '--at', 1, '--verdict', 'nxdomain').out
    w.ctl('explain', 'asked.example', '--at', 1, ok=4)


def test_check_tells_of_hosts_that_are_down(nsd, waymark):
    closed = free_port()
    w = waymark({'kms': {'probe-interval': '1s'}}, upstream=nsd.port, policy=POLICY)
    w.ctl('policy', 'pool', 'set', 'contoso', f'kms01.contoso.com:{closed},address=127.0.0.1', f'none.contoso.com:{closed}')
    wait_for(lambda: [h['state'] for h in w.api('GET', '/v1/health')[1]['hosts']] == ['down'] * 2, 'two hosts that are down')
    out = w.ctl('policy', 'check', ok=7)
    assert out.out.count(' is down since ') == 2 and 'refused' in out.out and 'does not resolve' in out.out and 'not known' not in out.err, out
    w.stop()
    done = w.ctl('policy', 'check')
    assert 'no findings' in done.out and 'whether the hosts resolve and are up is not known' in done.err
