# SPDX-License-Identifier: BSD-2-Clause
"""A backup while all of it is in use, and a daemon on another machine that goes on with it."""
import json
import os
import shutil
import sqlite3
import subprocess

import ask
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from faults import LONG
from process import BUILD, wait_for
from test_policy_live import Asker

TOOL = os.path.join(BUILD, 'tests/live/tool_policy')


@pytest.fixture
def busy(nsd, waymark):
    """A daemon that is asked, and whose policy changes, all the time; nothing it answers is wrong."""
    w = waymark(upstream=nsd.port, policy=POLICY)
    asker = Asker(w, discovery('tailspin.com'), lambda a: ask.targets(a) == HOSTS)
    asker.start()
    with subprocess.Popen([TOOL, f'{w.state}/policy', '1', '1000000'], stdout=subprocess.PIPE, text=True) as changes:
        try:
            assert changes.stdout.readline() == '1\n'
            wait_for(lambda: w.events('--suffix', 'tailspin.com'), 'a first record')
            yield w
        finally:
            changes.kill()
            asker.end()
    assert asker.asked > 0 and not asker.wrong, asker.wrong[:1]


def test_each_backup_is_one_state_with_which_another_daemon_goes_on(busy, nsd, waymark):
    serials = []
    for n in range(100 if LONG else 4):
        folder = f'{busy.dir}/backup{n}'
        told = busy.json('backup', folder)
        with open(f'{folder}/backup.json') as f:
            assert json.load(f) == told
        with open(busy.file) as f, open(f'{folder}/settings/waymark.yaml') as g:
            assert f.read() == g.read()
        other = waymark(upstream=nsd.port, start=False)
        shutil.copytree(f'{folder}/state', other.state)
        audit = sqlite3.connect(f'{other.state}/audit/audit.db')
        assert audit.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
        recorded = audit.execute('SELECT count(*) FROM events WHERE suffix = ?', ('tailspin.com',)).fetchone()[0]
        audit.close()
        other.start()
        policy = other.json('status')['policy']
        assert (policy['serial'], policy['digest']) == (told['policy']['serial'], told['policy']['digest'])
        assert other.find('fabrikam.local') == HOSTS
        other.ctl('policy', 'undo', '--yes')  # the history is in it
        assert other.json('status')['policy']['serial'] == policy['serial'] + 1
        other.ask(discovery('more.example'))
        other.audit()
        assert len(other.events('--suffix', 'tailspin.com', '--limit', '1000000')) == recorded > 0
        serials.append(policy['serial'])
    assert serials == sorted(serials) and serials[0] < serials[-1], serials


def test_backup_before_the_first_start_has_what_there_is(waymark):
    w = waymark(start=False)
    os.makedirs(f'{w.dir}/conf.d')
    with open(f'{w.dir}/conf.d/more.yaml', 'w') as f:
        f.write('kms: {mode: shadow}\n')
    told = w.json('backup', f'{w.dir}/b')
    assert (told['policy'], told['audit'], told['settings']) == (None, None, 2)
    assert sorted(os.listdir(f'{w.dir}/b/settings')) == ['conf.d', 'waymark.yaml']
    assert os.listdir(f'{w.dir}/b/settings/conf.d') == ['more.yaml']
    w.policy(POLICY)
    done = w.ctl('backup', f'{w.dir}/b', ok=2)
    assert 'b is not empty; a backup takes a folder of its own' in done.err
    os.makedirs(f'{w.dir}/empty')
    out = w.ctl('backup', 'empty', cwd=w.dir).out
    assert 'policy    serial 1, digest ' in out and 'audit     there is none' in out, out
    assert os.listdir(f'{w.dir}/empty/state/policy') == ['data.mdb']


def test_settings_below_a_folder_of_the_name_of_theirs(waymark):
    w = waymark(start=False)
    folder = f'{w.dir}/conf.d/etc'
    os.makedirs(f'{folder}/conf.d')
    shutil.copy(w.file, f'{folder}/waymark.yaml')
    with open(f'{folder}/conf.d/more.yaml', 'w') as f:
        f.write('kms: {mode: shadow}\n')
    w.file = f'{folder}/waymark.yaml'
    done = w.ctl('backup', f'{w.dir}/b')
    assert 'has neither policy nor audit: is it the right server.state-dir?' in done.err and 'not whole' not in done.err
    assert os.listdir(f'{w.dir}/b/settings/conf.d') == ['more.yaml']


def test_settings_of_a_pipe_are_not_backed_up(waymark):
    w = waymark(start=False)
    done = subprocess.run([f'{BUILD}/waymarkctl', '-c', '-', 'backup', f'{w.dir}/b'], input='{}', capture_output=True, text=True, check=False)
    assert done.returncode == 2 and 'needs the settings as a file' in done.stderr and not os.path.exists(f'{w.dir}/b'), done


def test_damaged_policy_is_not_backed_up(waymark):
    w = waymark(start=False)
    w.policy(POLICY)
    with open(f'{w.state}/policy/data.mdb', 'r+b') as f:
        f.truncate(8192)
    done = w.ctl('backup', f'{w.dir}/b', ok=1)
    assert 'data.mdb' in done.err and f'{w.dir}/b is not whole: remove it' in done.err, done
    assert not os.path.exists(f'{w.dir}/b/backup.json')


def test_full_disk_leaves_no_half_copy(waymark, namespace):
    w = waymark(start=False)
    w.policy(POLICY.replace('fabrikam.local', ', '.join(f's{n}.fabrikam.local' for n in range(20000))))
    done = subprocess.run([*namespace(False), 'sh', '-c', 'mount -t tmpfs -o size=512k none /mnt && cd /mnt && "$@"; e=$?; find b -name "*.mdb"; exit $e',
                           'sh', f'{BUILD}/waymarkctl', '-c', w.file, 'backup', 'b'], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == '' and f'cannot copy {w.state}/policy: No space left' in done.stderr, done
    w.ctl('policy', 'rule', 'drop', 'dmz-mak', '--yes')
    done = subprocess.run([*namespace(False), 'sh', '-c', 'mount -t tmpfs -o size=512k none /mnt && TMPDIR=/mnt "$@"',
                           'sh', f'{BUILD}/waymarkctl', '-c', w.file, 'policy', 'show', '--at', '1'], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and 'in /mnt: No space left' in done.stderr, done
