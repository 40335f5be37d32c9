# SPDX-License-Identifier: BSD-2-Clause
"""What the tool explains without a daemon is what the daemon explains, and a search ends where that of a machine does."""
import itertools

import pytest

from upstreams import Fake, reply

POLICY = '''
waymark-policy: 1
networks: {kiosks: [10.20.64.0/18], dmz: [192.0.2.0/24]}
pools:
  contoso: [kms01.contoso.com, {target: kms02.contoso.com, port: 1689, priority: 10, addresses: [10.0.0.9]}]
rules:
  merged: {suffixes: [fabrikam.local, "*.lab.contoso.com"], pool: contoso}
  anyway: {suffixes: [down.example], when: [missing, failed], pool: contoso}
  kiosks-anything: {suffixes: ["*"], networks: [kiosks], pool: contoso, mode: shadow}
  dmz-mak: {suffixes: ["*"], networks: [dmz], action: deny}
  clean: {suffixes: [clean.example], action: filter}
  old: {suffixes: [old.example], action: replace, pool: contoso}
  except: {suffixes: [x.fabrikam.local], action: pass}
'''
SETTINGS = {'access': [{'net': '10.0.0.0/8', 'action': 'allow'}, {'net': '192.0.2.0/24', 'action': 'allow'},
                       {'net': '10.9.0.0/16', 'action': 'refuse'}, {'net': '10.8.0.0/16', 'action': 'drop'}]}
SUFFIXES = ['Fabrikam.local', 'HR.fabrikam.local', 'a.lab.contoso.com', 'down.example', 'clean.example', 'old.example',
            'x.fabrikam.local', 'other.example', '.', '_vlmcs._tcp.fabrikam.local']
CLIENTS = ['127.0.0.1', '10.20.64.7', '192.0.2.1', '10.9.1.1', '10.8.1.1']
VERDICTS = ['nxdomain', 'nodata', 'present', 'unapproved', 'servfail', 'timeout']
ASKED = list(itertools.product(SUFFIXES[:5], CLIENTS[:3], VERDICTS)) + \
    [(s, c, 'nxdomain') for s in SUFFIXES for c in CLIENTS]


def explained(w, suffix, client, verdict, *more):
    said = w.json('explain', suffix, '--client', client, '--verdict', verdict, *more)
    return said.pop('offline', False), said


def known(said):
    """Without which hosts are up; the records of an answer have no order."""
    said.pop('hosts', None)
    said['answer']['records'].sort()
    return said


@pytest.mark.parametrize('mode', ['live', 'shadow', 'off'])
def test_without_a_daemon_the_same_is_explained(waymark, mode):
    w = waymark(SETTINGS | {'kms': {'mode': mode}}, upstream=9, policy=POLICY)
    asked = ASKED if mode == 'live' else [(s, '10.20.64.7', 'nxdomain') for s in SUFFIXES]
    online = [explained(w, *a) for a in asked]
    w.stop()
    for a, (offline, said) in zip(asked, online):
        assert not offline
        here, again = explained(w, *a)
        assert here
        assert known(again) == known(said), a
    out = w.ctl('explain', 'fabrikam.local', '--verdict', 'nodata', '--client', '10.1.1.1')
    if mode == 'live':
        assert 'kms01.contoso.com., TTL 300' in out.out or 'kms02.contoso.com., TTL 300' in out.out
    assert 'offline   this is decided of the policy store' in out.out
    assert 'does not answer' in w.ctl('explain', 'fabrikam.local', ok=4).err


def test_without_a_daemon_and_a_list_of_access(waymark):
    w = waymark(upstream=9, policy=POLICY)
    clients = ['127.0.0.1', '10.20.64.7', '127.0.0.9']  # it is that of the machine's networks
    online = [known(explained(w, 'fabrikam.local', c, 'nxdomain')[1]) for c in clients]
    w.stop()
    assert [known(explained(w, 'fabrikam.local', c, 'nxdomain')[1]) for c in clients] == online


def world(query, how):
    name = query.question[0].name.to_text().lower()
    if name == '_vlmcs._tcp.corp.example.':
        return reply(query, '60 SRV 0 0 1688 kms.corp.example.')
    if name == '_vlmcs._tcp.wild.example.':
        return reply(query, soa=True)
    if name == '_vlmcs._tcp.broken.example.':
        return reply(query, rcode='SERVFAIL')
    return reply(query, rcode='NXDOMAIN', soa=True)


SEARCHES = [  # suffixes, the one that ends it, what is said of each, what Windows shows, its step
    ('typo.example,corp.example,after.example', 'corp.example',
     ['the next suffix is asked for', 'a host: it ends the search', 'not asked'], None, 'method 5, steps 7 to 10'),
    ('typo.example,fabrikam.local', 'fabrikam.local', ['next suffix', 'a host'], None, 'method 5, steps 7 to 10'),
    ('typo.example', None, ['no host: the next suffix is asked for'], '0x8007232B', 'method 5, step 4'),
    ('typo.example,wild.example', None, ['next suffix', 'most likely; Microsoft does not say'], '0x8007251D', 'method 5, step 5'),
    ('broken.example', None, ['next DNS server'], '0x8007232A', 'method 5, step 3'),
    ('', None, [], '0x8007007B', 'method 5, step 4'),
]


@pytest.mark.parametrize('suffixes, end, said, code, step', SEARCHES, ids=[s[0] or 'none' for s in SEARCHES])
def test_a_search_ends_with_the_first_host(waymark, peers, suffixes, end, said, code, step):
    w = waymark(upstream=peers(Fake, world).port, policy=POLICY)
    found = w.json('explain', '--search', suffixes)
    assert found['end'] == end
    assert [s['suffix'] for s in found['search']] == [s for s in suffixes.split(',') if s]
    for row, part in zip(found['search'], said):
        assert part in row['next']
        assert (row['explained'] is None) == (part == 'not asked')
    assert (found['windows']['code'], found['windows']['article']) == (code, step)
    assert len(found['unknown']) == 2
    out = w.ctl('explain', '--search', suffixes).out
    assert f'ends      {"with " + end if end else "without a host"}\n' in out
    assert f'Windows   {code or "a host is given"}' in out
    assert w.audit()['questions'] == 0


def test_a_machine_that_is_denied_reads_of_method_1(waymark):
    w = waymark(SETTINGS, upstream=9, policy=POLICY)
    out = w.ctl('explain', 'fabrikam.local', '--client', '192.0.2.7', '--verdict', 'nxdomain').out
    assert 'article   method 1: ' in out and 'slmgr.vbs /ipk MAK' in out
