# SPDX-License-Identifier: BSD-2-Clause
"""Whatever the disk gave back: a damaged policy store never ends the daemon or the tool, and `status` says it.

WAYMARK_DAMAGES=500 tries that many stores (default 26), WAYMARK_SEED=N others than usual; with pytest -s a line for each kind.
"""
import os
import random
import re
import shutil
import sqlite3
import struct

import ask
import pytest
from conftest import HOSTS, POLICY
from process import wait_for
from waymark import Waymark

DAMAGES = int(os.environ.get('WAYMARK_DAMAGES', '26'))
SEED = int(os.environ.get('WAYMARK_SEED', '1'))
PAGE, META = 4096, 2
REMEDY = 'restore a backup or import a policy'


def content(path):
    """Every key and value of an LMDB file, in order; read without LMDB."""
    with open(path, 'rb') as f:
        file = f.read()
    metas = [struct.unpack_from('<IHHQQQQQQQ', file, n * PAGE + 88) for n in range(META)]
    root, found = max(metas, key=lambda m: m[9])[7], []

    def walk(number):
        at = number * PAGE
        flags, lower = struct.unpack_from('<HH', file, at + 10)
        for place in struct.unpack_from(f'<{(lower - 16) // 2}H', file, at + 16):
            low, high, more, size = struct.unpack_from('<HHHH', file, at + place)
            data = at + place + 8 + size
            if flags & 1:
                walk(low | high << 16 | more << 32)
                continue
            key, n = file[at + place + 8:data], low | high << 16
            if more & 1:  # a value with pages of its own
                data = struct.unpack_from('<Q', file, data)[0] * PAGE + 16
            found.append((key, file[data:data + n]))

    walk(root)
    return found


def foreign(path, rng):
    os.unlink(path)
    kind = rng.randrange(4)
    if kind == 0:
        db = sqlite3.connect(path)
        db.execute('CREATE TABLE t (a)')
        db.executemany('INSERT INTO t VALUES (?)', [(n,) for n in range(9999)])
        db.commit()
        db.close()
    elif kind == 1:
        with open(path, 'w') as f:
            f.write('waymark-policy: 1\n' * rng.randrange(1, 9999))
    elif kind == 2:
        with open(path, 'wb') as f:
            f.write(rng.randbytes(rng.randrange(1, 99999)))
    else:
        os.mkdir(path)


def some(rng, pages):
    return rng.randrange(META, pages)


def garbage(f, rng, pages):
    f.seek(META * PAGE)
    f.write(rng.randbytes((pages - META) * PAGE))


def garbage_at_the_end(f, rng, pages):
    n = some(rng, pages)
    f.seek(n * PAGE)
    f.write(rng.randbytes((pages - n) * PAGE))


def bad_page(f, rng, pages):
    f.seek(some(rng, pages) * PAGE)
    f.write(rng.randbytes(PAGE))


def hole(f, rng, pages):
    at = rng.randrange(META * PAGE, pages * PAGE)
    f.seek(at)
    f.write(bytes(min(rng.randrange(1, 20 * PAGE), pages * PAGE - at)))


def swap(f, rng, pages):
    for _ in range(rng.randrange(1, 4)):
        places = some(rng, pages), some(rng, pages)
        was = [os.pread(f.fileno(), PAGE, n * PAGE) for n in places]
        for n, page in zip(places, reversed(was)):
            os.pwrite(f.fileno(), page, n * PAGE)


def copy(f, rng, pages):
    os.pwrite(f.fileno(), os.pread(f.fileno(), PAGE, some(rng, pages) * PAGE), some(rng, pages) * PAGE)


def cut(f, rng, pages):
    f.truncate(rng.randrange(1, pages * PAGE))


def empty(f, rng, pages):
    f.truncate(0)


def bits(f, rng, pages):
    for _ in range(rng.randrange(1, 17)):
        at = rng.randrange(pages * PAGE)
        os.pwrite(f.fileno(), bytes([os.pread(f.fileno(), 1, at)[0] ^ 1 << rng.randrange(8)]), at)


def bits_of_the_meta_pages(f, rng, pages):
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(META) * PAGE + rng.randrange(152)
        os.pwrite(f.fileno(), bytes([os.pread(f.fileno(), 1, at)[0] ^ 1 << rng.randrange(8)]), at)


KINDS = [garbage, garbage_at_the_end, bad_page, hole, swap, copy, cut, empty, bits, bits_of_the_meta_pages, foreign, 'gone', 'read-only']


def damage(kind, w, rng, namespace):
    path = f'{w.state}/policy/data.mdb'
    if kind == 'gone':
        os.unlink(path)
    elif kind == foreign:
        foreign(path, rng)
    elif kind == 'read-only':
        w.inside(namespace, f'mount --bind {w.state} {w.state}', f'mount -o remount,ro,bind {w.state}', net=False)
    else:
        with open(path, 'r+b', buffering=0) as f:
            kind(f, rng, os.path.getsize(path) // PAGE)


@pytest.fixture(scope='module')
def original(nsd):
    """A store of some hundred pages: some levels, values with pages of their own, pages that are free."""
    w = Waymark({'server': {'workers': 1}}, upstream=nsd.port)
    many = ''.join(f'      - s{n}.d{n % 97}.example\n' for n in range(4000))
    hosts = ''.join(f'    - {{target: kms{n}.adatum.net, addresses: [10.0.{n}.1, 10.0.{n}.2]}}\n' for n in range(60))
    nets = ', '.join(f'10.{n // 200}.{n % 200}.0/24' for n in range(0, 1000, 2))
    w.policy(POLICY)
    text = (f'waymark-policy: 1\nnetworks:\n  lab: [{nets}]\npools:\n  large:\n{hosts}rules:\n'
            f'  many:\n    pool: large\n    suffixes:\n{many}')
    w.ctl('policy', 'import', '-', '--merge', stdin=text)
    for n in range(8, 14):
        w.ctl('policy', 'rule', 'drop', 'many', *[f's{i}.d{n}.example' for i in range(n, 4000, 97)], '--yes')
    w.upstream = nsd.port
    yield w
    w.finish()


TESTS = 'tests: [{suffix: fabrikam.local, client: 10.0.0.1, verdict: nxdomain, expect: filled}]'
TOOL = [['policy', 'show'], ['policy', 'show', 'suffixes', 'many'], ['policy', 'export'], ['policy', 'log'], ['policy', 'check'],
        ['policy', 'test', 'tests.yaml'], ['explain', 's7.d7.example'], ['policy', 'fill', 'new.example', '--host', 'kms01.contoso.com']]


def look(w, kind):
    """What `status` says of the policy, once its store was read whole."""
    def known():
        status = w.json('status', ok=False)
        found = [p for p in status['problems'] if p.startswith('policy')]
        return [found] if found or status['policy'].get('verified') else None
    return wait_for(known, f'a verified store, or a finding ({kind})')[0]


def ask_all(w):
    """Answers go on: ordinary names, and what a KMS client asks for."""
    assert ask.addresses(w.ask('www.contoso.com', 'A')) == ['10.0.0.80']
    for suffix in ('fabrikam.local', 's7.d7.example', 's3999.d22.example', 'contoso.com', 'x.y'):
        assert ask.rcode(w.ask(ask.discovery(suffix))) in ('NOERROR', 'NXDOMAIN')


def try_one(original, kind, rng, namespace):
    """True when `status` has a finding; else what is stored is what was."""
    w = Waymark({'server': {'workers': 1}}, original.upstream)
    path = f'{w.state}/policy/data.mdb'
    try:
        shutil.copytree(original.state, w.state)
        with open(f'{w.dir}/tests.yaml', 'w') as f:
            f.write(TESTS)
        damage(kind, w, rng, namespace)
        w.start()
        ask_all(w)
        if kind == 'read-only':
            assert w.find('fabrikam.local') == HOSTS
        found = look(w, kind)
        for text in found:
            assert f'{w.state}/policy' in text and ('make it writable' if kind == 'read-only' else REMEDY) in text, text
            # status itself reads, which may be one more that fails
            assert '! ' + re.sub(r'\d+ reads', 'N reads', text) in re.sub(r'\d+ reads', 'N reads', w.ctl('status', ok=7).out)
        if not found:
            assert content(path) == content(f'{original.state}/policy/data.mdb')
        for words in TOOL:
            done = w.ctl(*words, ok=False, cwd=w.dir)
            assert 0 <= done.code <= 7, (words, done)
            if done.code == 1:
                assert found and f'{w.state}/policy' in done.err and REMEDY in done.err, (words, done)
        ask_all(w)
        w.stop()
        return bool(found)
    finally:
        w.finish()


@pytest.mark.parametrize('kind', KINDS, ids=[k if isinstance(k, str) else k.__name__ for k in KINDS])
def test_damaged_store(request, original, kind):
    namespace = request.getfixturevalue('namespace') if kind == 'read-only' else None
    rng = random.Random(f'{SEED} {KINDS.index(kind)}')
    each, found, wrong = -(-DAMAGES // len(KINDS)), 0, []
    for n in range(each):
        try:
            found += try_one(original, kind, rng, namespace)
        except Exception as e:
            wrong.append(f'store {n}: {e}')
    print(f'\n{each} stores, {found} with a finding, {each - found - len(wrong)} with all that is stored untouched, {len(wrong)} wrong')
    assert not wrong, '\n'.join(wrong)


def test_damaged_state_hinders_no_rule(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY, start=False)
    path = f'{w.state}/policy/data.mdb'
    state = dict(content(path))[b'Mstate']
    with open(path, 'r+b') as f:
        file = f.read()
        f.seek(file.rindex(state) + 20)
        f.write(b'?')
    w.start()
    assert w.find('fabrikam.local') == HOSTS
    (found,) = look(w, 'state')
    assert f'! {found}' in w.ctl('status', ok=7).out and REMEDY in found
    wait_for(lambda: '1 of its' in w.ctl('status', ok=7).out, 'a verified store')
    assert 'policy    open' in w.ctl('status', ok=7).out
    assert w.find('fabrikam.local') == HOSTS


def test_new_state_directory_has_no_finding(nsd, waymark):
    w = waymark(upstream=nsd.port)
    assert w.find('fabrikam.local') == []
    assert w.json('status')['policy']['serial'] == 0
    wait_for(lambda: w.json('status')['policy']['verified'], 'a verified store')
    assert w.ctl('status').out


def test_store_that_is_cut_while_it_is_served(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    assert w.find('fabrikam.local') == HOSTS
    wait_for(lambda: w.json('status')['policy']['verified'], 'a verified store')  # else no reader would begin any more
    os.truncate(f'{w.state}/policy/data.mdb', 0)
    for n in range(50):
        assert ask.rcode(w.ask(ask.discovery(f'{n}.lab.contoso.com'))) == 'NXDOMAIN'
    assert ask.addresses(w.ask('www.contoso.com', 'A')) == ['10.0.0.80']
    status = w.ctl('status', ok=7)
    assert f'! policy: {w.state}/policy/data.mdb' in status.out and REMEDY in status.out, status
    assert w.json('status', ok=7)['policy']['faults'] >= 50
    for words in TOOL:
        done = w.ctl(*words, ok=False)
        assert 0 <= done.code <= 7, (words, done)
    assert w.stats()['kms_questions'] > 50
