# SPDX-License-Identifier: BSD-2-Clause
"""Who may do what: the daemon's user, members of its group, root, everybody else."""
import os
import pwd
import shutil
import stat
import subprocess

import pytest

from conftest import POLICY
from process import SLOW
from waymark import program

USER, OTHER = 'games', 'nobody'  # any two users that every machine has

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which('setpriv'), reason='needs root, and setpriv')


@pytest.fixture(scope='module')
def open_folder(tmp_path_factory):
    """The tool where everybody can run it: the build folder may be closed to others."""
    folder = f'/tmp/waymark-bin-{os.getpid()}'
    os.mkdir(folder, 0o755)
    shutil.copy(program('waymarkctl'), f'{folder}/waymarkctl')
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def owned(nsd, waymark):
    """A daemon started by root, of the user USER; its policy was imported by root before the first start."""
    w = waymark({'server': {'user': USER}}, upstream=nsd.port, start=False)
    os.chmod(w.dir, 0o755)
    for d in (w.dir,):
        shutil.chown(d, USER)
    w.policy(POLICY)
    return w.start()


def as_user(user, group):
    return ['setpriv', '--reuid', user, '--regid', str(pwd.getpwnam(group).pw_gid), '--clear-groups']


def sql(who, w, statement):
    """What any SQL tool says."""
    code = 'import sqlite3, sys\nfor row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*row)'
    done = subprocess.run([*who['before'], '/usr/bin/python3', '-c', code, f'{w.state}/audit/audit.db', statement],
                          capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_daemon_gives_root_up(owned):
    uid = pwd.getpwnam(USER).pw_uid
    with open(f'/proc/{owned.daemon.pid}/status') as f:
        fields = dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)
    assert set(fields['Uid'].split()) == {str(uid)}
    assert fields['Groups'].split() in ([], [str(pwd.getpwnam(USER).pw_gid)])
    capabilities = {k: int(fields[k], 16) for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')}
    assert set(capabilities.values()) == {0}, capabilities
    assert fields['NoNewPrivs'].strip() == '1'
    with open(f'/proc/{owned.daemon.pid}/limits') as f:
        assert [line.split()[4:6] for line in f if line.startswith('Max core file size')] == [['0', '0']]
    if not SLOW:
        assert fields['Seccomp'].strip() == '2'  # a filter


def test_daemon_that_stays_root_has_no_capabilities(nsd, waymark):
    w = waymark(upstream=nsd.port)
    with open(f'/proc/{w.daemon.pid}/status') as f:
        assert {int(line.split()[1], 16) for line in f if line.startswith('Cap')} == {0}


@pytest.fixture
def foreign(nsd, waymark):
    """start(words of setpriv): a daemon that is somebody else from its beginning on."""
    folder = f'/tmp/waymark-bin-{os.getpid()}-d'
    os.mkdir(folder, 0o755)
    shutil.copy(program('waymarkd'), folder)

    def start(*words):
        w = waymark(upstream=nsd.port, start=False)
        shutil.chown(w.dir, USER)
        code = 'import os, sys; os.execv(sys.argv[1], sys.argv[1:2] + sys.argv[3:])'  # a shell would be one user again
        w.before = ['setpriv', *words, '--clear-groups', '/usr/bin/python3', '-c', code, f'{folder}/waymarkd']
        return w
    yield start
    shutil.rmtree(folder)


@pytest.mark.parametrize('words', ['--ruid root --euid USER --regid GROUP', '--reuid USER --rgid 0 --egid GROUP'], ids=['user', 'group'])
def test_daemon_that_could_become_root_again_does_not_start(foreign, words):
    w = foreign(*words.replace('USER', USER).replace('GROUP', str(pwd.getpwnam(USER).pw_gid)).split()).start(ready=False)
    assert w.daemon.wait() != 0
    assert 'error: server.user: the process could become root again; it does not go on so\n' in w.said()
    w.daemon = None


def test_user_of_the_group_root_is_not_root(foreign):
    """Some containers run each program as a user of its own, of the group root."""
    w = foreign('--reuid', USER, '--regid', '0').start()
    assert w.ask('www.contoso.com', 'A').rcode() == 0


def test_every_file_has_the_owner_and_mode_of_the_manual(owned):
    owned.find('fabrikam.local')
    owned.audit()
    uid = pwd.getpwnam(USER).pw_uid
    modes = {'state': 0o750, 'state/policy': 0o750, 'state/audit': 0o750, 'run': 0o750, 'run/control.sock': 0o660,
             'state/policy/data.mdb': 0o640, 'state/policy/lock.mdb': 0o660}
    modes |= {f'state/audit/audit.db{end}': 0o640 for end in ('', '-wal', '-shm')}
    got = {}
    for path in modes:
        st = os.stat(f'{owned.dir}/{path}')
        got[path] = stat.S_IMODE(st.st_mode)
        assert st.st_uid == uid, path
    assert got == modes


def test_policy_that_root_imported_first_is_served(owned):
    assert owned.find('fabrikam.local') != []


def test_member_of_the_group_reads_and_cannot_write(owned, open_folder):
    owned.find('fabrikam.local')
    owned.audit()
    member = {'before': as_user(OTHER, USER), 'path': f'{open_folder}/waymarkctl'}
    assert '127.0.0.1' in owned.ctl('audit', 'clients', **member).out
    assert 'merged-domains' in owned.ctl('policy', 'export', **member).out
    assert owned.ctl('status', **member).code == 0
    assert 'outcome filled' in owned.ctl('explain', 'fabrikam.local', **member).out
    assert 'outcome filled' in owned.ctl('explain', 'fabrikam.local', '--at', '1', **member).out
    assert 'merged-domains' in owned.ctl('policy', 'diff', '0', **member).out
    folder = f'{owned.dir}/of-{OTHER}'
    os.mkdir(folder)
    shutil.chown(folder, OTHER)
    assert owned.ctl('backup', f'{folder}/b', **member).out.count('MiB') == 2
    for words in (['policy', 'fill', 'x.example', '--host', 'kms01.contoso.com'], ['policy', 'rule', 'drop', 'dmz-mak', '--yes'],
                  ['policy', 'undo', '--yes'], ['reload'], ['cache', 'flush', '--all']):
        done = owned.ctl(*words, ok=1, **member)
        assert done.err.startswith('waymarkctl: ') and 'permission' in done.err.lower() or 'sudo' in done.err, done
    assert owned.json('status')['policy']['serial'] == 1
    for _ in range(2):  # the daemon runs; it has ended
        assert sql(member, owned, 'SELECT address FROM clients') == '127.0.0.1\n'
        assert 'readonly' in sql(member, owned, 'DELETE FROM client')
        assert '127.0.0.1' in owned.ctl('audit', 'clients', **member).out
        if owned.daemon:
            owned.stop()


def test_others_are_told_why_they_read_nothing(owned, open_folder):
    stranger = {'before': as_user(OTHER, OTHER), 'path': f'{open_folder}/waymarkctl'}
    for words in (['audit', 'clients'], ['policy', 'export'], ['status']):
        done = owned.ctl(*words, ok=False, **stranger)
        assert done.code in (1, 4) and done.out == '', done
        assert 'permission' in done.err.lower() or 'sudo' in done.err, done
    assert 'unable to open' in sql(stranger, owned, 'SELECT address FROM clients')


def test_the_user_of_the_daemon_writes(owned, open_folder):
    owned.ctl('reload', before=as_user(USER, USER), path=f'{open_folder}/waymarkctl')


def test_root_writes_and_the_files_stay_the_users(owned):
    owned.ctl('policy', 'fill', 'new.example', '--host', 'kms01.contoso.com')
    owned.ctl('reload')
    assert owned.find('new.example') == ['kms01.contoso.com.:1688']
    uid = pwd.getpwnam(USER).pw_uid
    assert {os.stat(f'{owned.state}/policy/{n}').st_uid for n in os.listdir(f'{owned.state}/policy')} == {uid}


@pytest.mark.parametrize('order', [1, -1])
def test_root_compares_with_a_file_of_its_own(owned, order):
    os.mkdir(f'{owned.dir}/closed', 0o700)
    shutil.chown(f'{owned.dir}/closed', 'root')
    with open(f'{owned.dir}/closed/p', 'w') as f:
        f.write(POLICY)
    assert owned.ctl('policy', 'diff', *['1', f'{owned.dir}/closed/p'][::order]).out == 'no difference\n'


def test_backup_of_root_goes_where_the_user_cannot(owned):
    os.mkdir(f'{owned.dir}/closed', 0o700)
    shutil.chown(f'{owned.dir}/closed', 'root')
    folder = f'{owned.dir}/closed/b'
    owned.ctl('backup', folder)
    owners = {n: pwd.getpwuid(os.stat(f'{folder}/{n}').st_uid).pw_name
              for n in ('settings/waymark.yaml', 'state/policy/data.mdb', 'state/audit/audit.db', 'backup.json')}
    assert owners == {'settings/waymark.yaml': 'root', 'state/policy/data.mdb': USER, 'state/audit/audit.db': USER, 'backup.json': USER}


def test_user_that_does_not_exist_is_named(waymark):
    w = waymark({'server': {'user': 'no-such-user'}}, upstream=9, start=False)
    w.start(ready=False)
    assert w.daemon.wait() != 0
    assert 'no-such-user' in w.said() and 'server.user' in w.said()
    assert 'no-such-user' in w.ctl('policy', 'export', ok=1).err
