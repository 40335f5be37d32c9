# SPDX-License-Identifier: BSD-2-Clause
"""What the running daemon has given up (resolver/confine.c), and what it tells the watchdog of systemd.

Every daemon of the live tests runs with server.seccomp: kill, so that a system call which is missing in the list ends it.
"""
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import POLICY
from process import PATIENCE, SLOW, wait_for

LIBC = ctypes.CDLL(None, use_errno=True)
ABI = LIBC.syscall(ctypes.c_long(444), None, ctypes.c_long(0), ctypes.c_long(1))  # landlock_create_ruleset
PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000

confined = pytest.mark.skipif(SLOW, reason='sanitizers need more files and system calls')
needs_landlock = pytest.mark.skipif(ABI < 1, reason='no Landlock in this kernel')
needs_gdb = pytest.mark.skipif(not shutil.which('gdb') or os.geteuid() != 0, reason='needs root, and gdb')


@pytest.fixture
def outputs(nsd, waymark):
    """A daemon with an output; and a folder that it did not have at its start."""
    w = waymark(upstream=nsd.port, start=False)
    for name in ('logs', 'later'):
        os.mkdir(f'{w.dir}/{name}')
    w.settings['audit']['outputs'] = [{'to': f'file:{w.dir}/logs/a.json'}]
    w.write_settings()
    w.policy(POLICY)
    return w.start()


def set_output(w, path):
    w.settings['audit']['outputs'] = [{'to': f'file:{path}'}]
    w.write_settings()


def lines(path):
    if not os.path.exists(path):
        return 0
    with open(path) as f:
        return f.read().count('fabrikam.local')


@confined
@needs_landlock
def test_output_in_a_folder_of_the_start_may_come_with_a_reload(outputs):
    outputs.find('fabrikam.local')
    wait_for(lambda: lines(f'{outputs.dir}/logs/a.json'), 'a line in the first output')
    set_output(outputs, f'{outputs.dir}/logs/b.json')
    outputs.ctl('reload')
    outputs.find('fabrikam.local')
    wait_for(lambda: lines(f'{outputs.dir}/logs/b.json'), 'a line in the second')


@confined
@needs_landlock
@pytest.mark.parametrize('folder', ['later', 'logs/../later', 'logs2'])
def test_output_in_another_folder_needs_a_restart(outputs, folder):
    os.mkdir(f'{outputs.dir}/logs2')
    set_output(outputs, f'{outputs.dir}/{folder}/a.json')
    said = outputs.ctl('reload', ok=5).err
    assert 'restart waymarkd' in said and f'{folder}/a.json' in said
    assert outputs.json('status')['settings']['generation'] == 1
    outputs.stop()
    outputs.start()
    outputs.find('fabrikam.local')
    wait_for(lambda: lines(f'{outputs.dir}/{folder}/a.json'), 'a line after the restart')


@confined
@needs_landlock
def test_without_landlock_it_may_write_where_rights_let_it(nsd, waymark):
    w = waymark({'server': {'landlock': False}}, upstream=nsd.port)
    os.mkdir(f'{w.dir}/later')
    set_output(w, f'{w.dir}/later/a.json')
    w.ctl('reload')


@confined
def test_drop_in_that_is_a_link_is_read_again(nsd, waymark):
    w = waymark(upstream=nsd.port, start=False)
    for name in ('conf.d', 'elsewhere'):
        os.mkdir(f'{w.dir}/{name}')
    with open(f'{w.dir}/elsewhere/a.yaml', 'w') as f:
        f.write('cache: {max-ttl: 1h}\n')
    os.symlink(f'{w.dir}/elsewhere/a.yaml', f'{w.dir}/conf.d/a.yaml')
    w.start()
    with open(f'{w.dir}/elsewhere/b.yaml', 'w') as f:
        f.write('cache: {max-ttl: 2h}\n')
    os.replace(f'{w.dir}/elsewhere/b.yaml', f'{w.dir}/elsewhere/a.yaml')
    assert 'cache.max-ttl' in w.ctl('reload').out


@confined
@needs_landlock
@pytest.mark.parametrize('lies', ['there', 'elsewhere'])
def test_secrets_are_read_again_wherever_they_lie(nsd, waymark, tmp_path, lies):
    path = secrets = tmp_path / 'called' / 'cookies'
    path.parent.mkdir()
    if lies == 'elsewhere':
        secrets = tmp_path / 'lies'
        path.symlink_to(secrets)
    secrets.write_text('00' * 16 + '\n')
    secrets.chmod(0o600)
    w = waymark({'limits': {'cookie-secret-file': str(path)}}, upstream=nsd.port)
    secrets.write_text('11' * 16 + '\n')
    w.ctl('reload')


def injected(w, code):
    """What becomes of the daemon when it runs this C expression, as somebody would who has taken it over."""
    words = ['gdb', '-nx', '-batch', '-p', str(w.daemon.pid), '-ex', 'set unwindonsignal on', '-ex', f'print (long){code}', '-ex', 'print *(int *)__errno_location()']
    return subprocess.run(words, capture_output=True, text=True, timeout=2 * PATIENCE, check=False).stdout


HOSTILE = {
    'a file elsewhere is written': '((int (*)(const char *, int, int))open)("/tmp/x", 0x41, 0600)',
    'a program is run': '((int (*)(const char *, void *, void *))execve)("/bin/true", 0, 0)',
    'a process is made': '((int (*)(void))vfork)()',
    'a packet socket is opened': '((int (*)(int, int, int))socket)(17, 3, 0)',
    'code comes into memory': '((long (*)(void *, long, int, int, int, long))mmap)(0, 4096, 7, 0x22, -1, 0)',
    'root comes back': '((int (*)(int))setuid)(0)',
}


@confined
@needs_gdb
@pytest.mark.parametrize('attack', HOSTILE)
def test_who_takes_the_daemon_over_gets_nothing_more(nsd, waymark, attack):
    w = waymark({'server': {'user': 'games', 'seccomp': 'yes'}}, upstream=nsd.port, start=False)
    shutil.chown(w.dir, 'games')
    w.start()
    said = injected(w, HOSTILE[attack])
    assert re.search(r'\$1 = -1\n', said), said
    assert re.search(r'\$2 = (38|13|1)\n', said), said  # ENOSYS of seccomp, EACCES of Landlock
    w.ask('www.contoso.com', 'A')  # and it goes on


@confined
@needs_gdb
def test_kill_ends_it(nsd, waymark):
    w = waymark(upstream=nsd.port)
    injected(w, HOSTILE['a program is run'])
    assert w.daemon.wait() == -signal.SIGSYS
    w.daemon = None


# --- systemd

def ptrace(request, tid):
    assert LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(tid), None, None) == 0, os.strerror(ctypes.get_errno())


class Watched:
    """A daemon whose socket of systemd stays open."""

    def __init__(self, w):
        self.w = w
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.path = f'{w.dir}/systemd'
        self.socket.bind(self.path)
        environment = w.environment
        w.environment = lambda **_: environment(NOTIFY_SOCKET=self.path, WATCHDOG_USEC='10000000')
        w.start(ready=False)
        self.wait_for(b'READY=1')

    def wait_for(self, word):
        said = b''
        while word not in said:
            said = self.socket.recv(4096)
        return said

    def count(self, seconds):
        """Watchdog messages of a time, without those that wait already."""
        self.socket.setblocking(False)
        n, end = -1, time.monotonic() + seconds
        while True:
            try:
                while self.socket.recv(4096):
                    n += 1 if n >= 0 else 0
            except BlockingIOError:
                n = max(n, 0)
            if time.monotonic() > end:
                self.socket.settimeout(PATIENCE)
                return n
            time.sleep(0.01)


def worker_threads(w):
    """Those that wait for questions in epoll, without the main thread."""
    tasks = [int(t) for t in os.listdir(f'/proc/{w.daemon.pid}/task')]
    found = []
    for tid in tasks:
        with open(f'/proc/{w.daemon.pid}/task/{tid}/syscall') as f:
            if tid != w.daemon.pid and f.read().split()[0] in ('232', '281', '441'):
                found.append(tid)
    return found


@pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != 'x86_64', reason='needs root, and numbers of system calls')
def test_watchdog_hears_of_a_worker_that_hangs(nsd, waymark):
    watched = Watched(waymark(upstream=nsd.port, start=False))
    for _ in range(2):
        watched.wait_for(b'WATCHDOG=1')
    worker = wait_for(lambda: worker_threads(watched.w), 'worker in epoll_wait')[0]
    ptrace(PTRACE_ATTACH, worker)
    os.waitpid(worker, WALL)
    watched.count(0.6)  # what was on its way
    assert watched.count(1.2) == 0
    ptrace(PTRACE_DETACH, worker)
    watched.wait_for(b'WATCHDOG=1')
    watched.w.ctl('status')
    watched.w.daemon.send(signal.SIGHUP)
    told = re.search(rb'MONOTONIC_USEC=([0-9]{6,})', watched.wait_for(b'RELOADING=1'))
    assert 0 <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 - int(told[1]) < PATIENCE * 1000000
    watched.wait_for(b'READY=1')


def test_without_a_watchdog_nothing_is_told(nsd, waymark):
    w = waymark(upstream=nsd.port, start=False)
    watched = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    watched.settimeout(PATIENCE)
    watched.bind(f'{w.dir}/systemd')
    environment = w.environment
    w.environment = lambda **_: environment(NOTIFY_SOCKET=f'{w.dir}/systemd')
    w.start(ready=False)
    assert watched.recv(4096) == b'READY=1'
    w.daemon.send(signal.SIGTERM)
    assert watched.recv(4096) == b'STOPPING=1'
    assert w.daemon.wait() == 0
    w.daemon = None
