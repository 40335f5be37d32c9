# SPDX-License-Identifier: BSD-2-Clause
"""The forms of other programs: what their own checks say of what Waymark writes, and a million suffixes while it answers."""
import os
import pty
import re
import subprocess
import threading

import ask
import pytest
from ask import discovery
from pages import DOCS
from process import SLOW
from test_policy_live import ONE, Asker
from upstreams import PEERS, Nsd, fetch
from waymark import program

MANY = 1000000
ODD = r'''
waymark-policy: 1
networks: {lab: [10.0.0.0/8]}
pools:
  first: [kms01.contoso.com, {target: kms02.contoso.com, port: 1689, priority: 10, weight: 5}]
rules:
  odd: {suffixes: [fabrikam.local, ".", "m\xfcller.example", "a\\.b.example", "a_b.example", "q\\\"u;(\\@.example", "*.left.example"], pool: first, ttl: 1h}
  left: {suffixes: [left.example], pool: first, networks: [lab]}
'''
NAMES = ['fabrikam.local', '', 'm\\195\\188ller.example', 'a\\.b.example', 'a_b.example', 'q\\"u\\;\\(\\@.example']
SOA = '$TTL 3600\n. IN SOA ns. root. 1 3600 600 86400 900\n. IN NS ns.invalid.\nns.invalid. A 192.0.2.1\n'


@pytest.fixture
def zone(waymark):
    """The lines that Waymark writes of a policy with odd names."""
    w = waymark(start=False)
    w.policy(ODD)
    return w.ctl('policy', 'export', '--format', 'zone').out


def test_bind_takes_the_zone(zone, tmp_path):
    fetch('bind9', 'bind9-utils')
    file = tmp_path / 'zone'
    file.write_text(SOA + zone)
    tool = next(p for p in (f'{PEERS}/bind9-utils/usr/{d}/named-checkzone' for d in ('bin', 'sbin')) if os.path.exists(p))
    done = subprocess.run([tool, '-k', 'ignore', '.', str(file)], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, 'LD_LIBRARY_PATH': f'{PEERS}/lib'})
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'loaded serial 1' in done.stdout and zone.count(' IN SRV ') == 12, zone


def test_nsd_serves_the_zone_and_waymark_fills_the_same(zone, peers, waymark):
    there = peers(Nsd, zones={'.': zone})
    empty = peers(Nsd, zones={'.': ''})
    w = waymark(upstream=empty.port, policy=ODD)
    for name in NAMES:
        name = discovery(name) if name else '_vlmcs._tcp'
        theirs, ours = ask.udp(there.port, name, 'SRV'), w.ask(name)
        assert len(ask.targets(theirs)) == 2, name
        assert sorted(ask.targets(theirs)) == sorted(ask.targets(ours)), name
        assert [r.ttl for r in theirs.answer] == [r.ttl for r in ours.answer] == [3600], name


def test_zone_and_csv_come_back_the_same(zone, waymark, tmp_path):
    w = waymark(start=False)
    w.policy(ODD)
    before = w.ctl('policy', 'export').out
    table = w.ctl('policy', 'export', '--format', 'csv')
    assert 'rule odd is left out: a table has no column for its ttl' in table.err
    w.ctl('policy', 'rule', 'set', 'odd', '--ttl', '5m')
    before = w.ctl('policy', 'export').out
    for form in ('zone', 'csv'):
        (tmp_path / form).write_bytes(w.ctl('policy', 'export', '--format', form).out.encode())
    done = w.ctl('policy', 'import', '--merge', tmp_path / 'csv')
    assert 'is read as csv' in done.err and 'nothing to change' in done.out, done
    assert w.ctl('policy', 'export').out == before
    done = w.ctl('policy', 'import', '--replace', '--yes', tmp_path / 'zone')
    assert 'is read as zone' in done.err
    again = w.ctl('policy', 'export', '--format', 'zone').out
    assert again == (tmp_path / 'zone').read_text().replace('; *.left.example of rule odd: a zone has no such line\n', '').replace(
        '; rule left is left out: it is for some networks only\n', '')


def examples():
    """{format: the text} of the manual: of each form that can be read, the literal block below its heading."""
    with open(os.path.join(DOCS, 'waymark-policy.5')) as f:
        page = f.read().split('.Sh OTHER FORMS')[1].split('\n.Sh ')[0]
    found = {}
    for part in page.split('\n.Ss ')[1:]:
        name, block = part.split(':')[0], re.search(r'\.Bd -literal[^\n]*\n(.*?)\n\.Ed', part, re.S).group(1)
        if name != 'powershell':
            found[name] = block.replace('\\(aq', "'") + '\n'
    return found


@pytest.mark.parametrize('form', ['csv', 'zone', 'rpz', 'dnsmasq', 'unbound', 'publish-list'])
def test_example_of_the_manual(waymark, form, tmp_path):
    assert set(examples()) == {'csv', 'zone', 'rpz', 'dnsmasq', 'unbound', 'publish-list'}
    w = waymark(start=False)
    w.policy('waymark-policy: 1\nnetworks: {kiosks: [10.20.0.0/16]}\npools: {contoso: [kms09.contoso.com]}\n')
    (tmp_path / 'x').write_text(examples()[form])
    more = ['--pool', 'contoso'] if form == 'publish-list' else []
    done = w.ctl('policy', 'import', '--merge', tmp_path / 'x', *more)
    assert f'is read as {form} ' in done.err, done
    rows = {r['suffix']: r['rule'] for r in w.json('policy', 'show', 'suffixes')['suffixes']}
    assert rows == {'csv': {'fabrikam.local': 'fill-kms01', 'tailspin.com': 'fill-kms01', '*.lab.contoso.com': 'fill-kms03-kiosks'},
                    'zone': {'corp.example': 'fill-kms01', 'hr.corp.example': 'fill-kms01'},
                    'publish-list': {'fabrikam.local': 'fill-contoso', 'tailspin.com': 'fill-contoso'},
                    }.get(form, {'fabrikam.local': 'fill-kms01'})


class Measured:
    """waymarkctl with a terminal as its standard error; what it took."""

    def __init__(self, w, *words):
        master, slave = pty.openpty()
        with open(f'{w.dir}/out', 'wb') as out:
            child = subprocess.Popen([program('waymarkctl'), '-c', w.file, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=slave)
        os.close(slave)
        self.said = b''
        reader = threading.Thread(target=self.read, args=(master,))
        reader.start()
        _, status, self.used = os.wait4(child.pid, 0)
        child.returncode = self.code = os.waitstatus_to_exitcode(status)
        reader.join()

    def read(self, master):
        try:
            while part := os.read(master, 65536):
                self.said += part
        except OSError:  # nobody has the other end
            os.close(master)


LARGE = {
    'zone': lambda n: f'_vlmcs._tcp.s{n}.d{n % 977}.example. 3600 IN SRV 0 0 1688 kms{n % 50:02}.contoso.com.\n',
    'csv': lambda n: f's{n}.d{n % 977}.example;kms{n % 50:02}.contoso.com\r\n',
}


@pytest.mark.parametrize('form', LARGE)
def test_a_million_suffixes_while_it_answers(nsd, waymark, form):
    w = waymark(upstream=nsd.port, policy=ONE)
    asker = Asker(w, discovery('asked.example'), lambda a: ask.targets(a) == ['kms01.contoso.com.:1688'])
    with open(f'{w.dir}/many', 'w', newline='') as f:
        f.write('suffix;host\r\n' if form == 'csv' else '')
        f.writelines(map(LARGE[form], range(MANY)))
    asker.start()
    try:
        done = Measured(w, 'policy', 'import', '--merge', f'{w.dir}/many')
    finally:
        asker.end()
    assert done.code == 0, done.said
    assert not asker.wrong and asker.asked > 0, (len(asker.wrong), asker.wrong[:1])
    assert re.search(rb'\rpolicy import \[#+ *\] \d+ %', done.said), done.said
    assert done.said.endswith(b'\r\x1b[K'), 'the bar stays'
    assert w.json('status')['policy']['suffixes'] == MANY + 1
    assert w.find(f's999999.d{999999 % 977}.example') == ['kms49.contoso.com.:1688']
    if not SLOW:
        assert done.used.ru_maxrss < 300 * 1024, f'{done.used.ru_maxrss} KB'
        assert done.used.ru_utime + done.used.ru_stime < 10
