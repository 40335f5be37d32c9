# SPDX-License-Identifier: BSD-2-Clause
"""What a Windows machine gets whose DNS server Waymark is, with its own times, retries and servers."""
import glob
import signal
import subprocess

import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from process import SLOW, wait_for
from upstreams import Fake, Silent, reply
from waymark import program
from windows import SHOWS, Windows

FAST = 0.02  # a second of a machine whose answers do not come by time, but when the test lets them
SECOND = 2.5 if SLOW else 1  # of one that must be answered within it
FAILED = POLICY.replace('pool: contoso\n', 'pool: contoso\n    when: [missing, failed]\n', 1)

# The packets of one search that nobody answers: the server of each, by the time of sending.
PACKETS = {
    'one server': (1, '0 0 0 0 0'),
    'two servers': (2, '0 1 0 01 01'),
    'three servers': (3, '0 1 2 012 012'),
}


@pytest.mark.parametrize('row', PACKETS)
def test_packets_of_a_search_without_an_answer(peers, row):
    count, expected = PACKETS[row]
    machine = Windows([peers(Silent).port for _ in range(count)], ['fabrikam.local'], second=FAST)
    assert machine.search() == ([], '0x800705B4')
    (one,) = machine.lookups
    assert ' '.join(''.join(str(s) for at, s in one.sent if at == n) for n in range(5)) == expected


def test_packet_that_is_sent_five_times_is_one_attempt_in_the_ledger(waymark, peers):
    """The real DNS replies when the machine has sent its last packet."""
    def when_all_are_sent(query, _):
        wait_for(lambda: machine.lookups and len(machine.lookups[0].sent) == 5, 'the packet at 8 s')
        return reply(query, rcode='NXDOMAIN', soa=True)

    w = waymark(upstream=peers(Fake, when_all_are_sent).port, policy=POLICY)
    machine = Windows([w.port], ['fabrikam.local'], second=FAST, patience=30)
    assert machine.search() == (HOSTS, None)
    w.audit()
    (row,) = w.json('audit', 'clients')['clients']
    assert (row['questions'], row['attempts'], row['filled']) == (5, 1, 5)
    (row,) = w.json('audit', 'suffixes')['suffixes']
    assert (row['suffix'], row['questions'], row['attempts']) == ('fabrikam.local', 5, 1)
    assert w.ctl('audit', 'client', '127.0.0.1').out.count('a repeat') == 4


def test_second_search_is_a_second_attempt(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    for _ in range(2):
        assert Windows([w.port], ['fabrikam.local']).search() == (HOSTS, None)
    w.audit()
    (row,) = w.json('audit', 'clients')['clients']
    assert (row['questions'], row['attempts']) == (2, 2)


def test_answer_comes_before_the_next_server_is_asked_though_the_upstream_is_dead(nsd, waymark, peers):
    w = waymark({'kms': {'upstream-deadline': '100ms'}}, upstream=peers(Silent).port, policy=FAILED)
    machine = Windows([w.port, nsd.port], ['fabrikam.local'], second=SECOND)
    assert machine.search() == (HOSTS, None)
    assert machine.lookups[0].sent == [(0, 0)], 'the second server, which would end the search, is not asked'
    w.audit()
    (event,) = [e['waymark'] for e in w.events() if 'outcome' in e['waymark']]
    assert (event['outcome'], event['verdict']['name']) == ('filled', 'timeout')


def test_deadline_is_below_the_second_after_which_the_next_server_is_asked():
    out = subprocess.run([program('waymarkd'), '-c', '/dev/null', '--print-config'], capture_output=True, text=True, check=True).stdout
    assert 'upstream-deadline: 700ms' in out


def test_no_such_name_of_a_second_server_ends_the_search(nsd, waymark, peers):
    """Why all servers of a client must be Waymarks: this one would have filled, had it been asked alone."""
    w = waymark(upstream=peers(Silent).port, policy=POLICY)
    machine = Windows([w.port, nsd.port], ['fabrikam.local'], second=FAST)
    assert machine.search() == ([], '0x8007232B')
    assert machine.lookups[0].heard == [(1, 'NXDOMAIN')]
    assert Windows([waymark(upstream=nsd.port, policy=POLICY).port], ['fabrikam.local']).search() == (HOSTS, None)


def states(pid):
    """Of the threads of a process, as proc(5) has them."""
    found = set()
    for path in glob.glob(f'/proc/{pid}/task/*/stat'):
        with open(path) as f:
            found.add(f.read().rsplit(') ', 1)[1][0])
    return found


def test_second_forwarder_answers_while_the_first_hangs(nsd, waymark):
    """Each has one attempt: the first, once it goes on, of the packets that have waited for it."""
    first, second = (waymark({'server': {'workers': 1}}, upstream=nsd.port, policy=POLICY) for _ in range(2))
    first.daemon.send(signal.SIGSTOP)
    wait_for(lambda: states(first.daemon.pid) == {'T'}, 'all threads are stopped')
    try:
        machine = Windows([first.port, second.port], ['fabrikam.local'], second=FAST, patience=30)
        assert machine.search() == (HOSTS, None)
        assert machine.lookups[0].heard == [(1, 'NOERROR')]
    finally:
        first.daemon.send(signal.SIGCONT)
    sent = [server for _, server in machine.lookups[0].sent]
    for n, w in enumerate((first, second)):
        wait_for(lambda w=w: w.audit()['questions'] > 0, 'its first record')
        (row,) = w.json('audit', 'clients')['clients']
        assert row['attempts'] == 1 and 1 <= row['questions'] <= sent.count(n), (n, row, sent)


def test_next_suffix_is_asked_after_no_such_name(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    machine = Windows([w.port], ['hr.fabrikam.local', 'branch.example', 'tailspin.com'])
    assert machine.search() == (HOSTS, None)
    w.audit()
    assert [(r['suffix'], r['attempts'], r['missing'], r['filled']) for r in
            w.json('audit', 'suffixes', '--sort', 'suffix')['suffixes']] == [
        ('branch.example', 1, 1, 0), ('hr.fabrikam.local', 1, 1, 0), ('tailspin.com', 1, 0, 1)]
    (row,) = w.json('audit', 'clients')['clients']
    assert row['attempts'] == 3 and not row['no_host_since'], row


def test_answer_for_the_first_suffix_ends_the_search_before_a_good_record(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    machine = Windows([w.port], ['fabrikam.local', 'contoso.com'])
    assert machine.search() == (HOSTS, None)
    assert [one.name for one in machine.lookups] == [discovery('fabrikam.local')]


# What the real DNS says, without a rule: the machine shows the code that the audit has for it.
SAID = {
    'NXDOMAIN': {'rcode': 'NXDOMAIN', 'soa': True},
    'NODATA': {'soa': True},
    'SERVFAIL': {'rcode': 'SERVFAIL'},
    'REFUSED': {'rcode': 'REFUSED'},
}


@pytest.mark.parametrize('row', SAID)
def test_code_that_windows_shows_is_in_the_audit(waymark, peers, row):
    w = waymark(upstream=peers(Fake, lambda q, _: reply(q, **SAID[row])).port)
    hosts, shown = Windows([w.port], ['fabrikam.local'], second=FAST, patience=30).search()
    w.audit()
    assert hosts == [] and f'Windows shows {shown}' in w.ctl('audit', 'client', '127.0.0.1').out
    assert shown == SHOWS['SERVFAIL' if row == 'REFUSED' else row]


# The suffixes of a machine, and its address.
SEARCHES = {
    'the first is filled': ('fabrikam.local contoso.com', '127.0.0.1'),
    'the second has a record': ('hr.fabrikam.local contoso.com tailspin.com', '127.0.0.1'),
    'none has a host': ('hr.fabrikam.local branch.example', '127.0.0.1'),
    'a network that is denied a host': ('hr.fabrikam.local contoso.com', '127.0.0.2'),
    'one suffix': ('contoso.com', '127.0.0.1'),
}


@pytest.mark.parametrize('row', SEARCHES)
def test_explained_search_is_what_the_machine_does(served, row):
    suffixes, address = SEARCHES[row]
    machine = Windows([served.port], suffixes.split(), address)
    hosts, shown = machine.search()
    told = served.json('explain', '--search', suffixes.replace(' ', ','), '--client', address)
    asked = [s['suffix'] for s in told['search'] if s['explained']]
    assert [discovery(s) for s in asked] == [one.name for one in machine.lookups]
    assert told['windows']['code'] == shown
    assert bool(told['end']) == bool(hosts) and (not hosts or told['end'] == asked[-1])
