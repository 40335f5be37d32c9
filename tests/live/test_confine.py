# SPDX-License-Identifier: BSD-2-Clause
"""What the running daemon has given up (resolver/confine.c), and what it tells the watchdog of systemd.

Every daemon of the live tests runs with server.seccomp: kill, so that a system call which is missing in the list ends it.
"""
import ctypes
import errno
import os
import re
import shutil
import signal
import socket
import time

import pytest

from conftest import POLICY
from process import PATIENCE, SLOW, wait_for

LIBC = ctypes.CDLL(None, use_errno=True)
ABI = LIBC.syscall(ctypes.c_long(444), None, ctypes.c_long(0), ctypes.c_long(1))  # landlock_create_ruleset
PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH, WALL = 9, 12, 13, 16, 17, 0x40000000
R10, R9, R8, RAX, RDX, RSI, RDI, ORIG_RAX, RIP, RSP = 7, 8, 9, 10, 12, 13, 14, 15, 16, 19  # in struct user_regs_struct

confined = pytest.mark.skipif(SLOW, reason='sanitizers need more files and system calls')
needs_landlock = pytest.mark.skipif(ABI < 1, reason='no Landlock in this kernel')
traced = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != 'x86_64', reason='needs root, and numbers of system calls')


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


def worker_threads(w):
    """Those that wait for questions in epoll, without the main thread."""
    tasks = [int(t) for t in os.listdir(f'/proc/{w.daemon.pid}/task')]
    found = []
    for tid in tasks:
        try:
            with open(f'/proc/{w.daemon.pid}/task/{tid}/syscall') as f:
                if tid != w.daemon.pid and f.read().split()[0] in ('232', '281', '441'):
                    found.append(tid)
        except FileNotFoundError:  # it has ended meanwhile
            pass
    return found


def ptrace(request, tid, data=None):
    assert LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(tid), None, data) == 0, os.strerror(ctypes.get_errno())


def injected(w, number, *arguments):
    """What a system call gives to the daemon (-errno), as somebody would call it who has taken a worker over; None: it was killed.

    The worker waits in a system call, behind that instruction: it makes another one of it, and waits again.
    """
    regs, worker = (ctypes.c_ulonglong * 27)(), wait_for(lambda: worker_threads(w), 'worker in epoll_wait')[0]
    ptrace(PTRACE_ATTACH, worker)
    os.waitpid(worker, WALL)
    ptrace(PTRACE_GETREGS, worker, regs)
    before = list(regs)
    with open(f'/proc/{w.daemon.pid}/mem', 'r+b', buffering=0) as memory:
        for register, value in zip((RDI, RSI, RDX, R10, R8, R9), arguments):
            if isinstance(value, bytes):  # far below what lies on its stack
                memory.seek(regs[RSP] - 4096)
                memory.write(value + b'\0')
                value = regs[RSP] - 4096
            regs[register] = value % 2**64
    regs[RAX], regs[ORIG_RAX], regs[RIP] = number, 2**64 - 1, regs[RIP] - 2
    ptrace(PTRACE_SETREGS, worker, regs)
    ptrace(PTRACE_SINGLESTEP, worker)
    if not os.WIFSTOPPED(os.waitpid(worker, WALL)[1]):
        return None
    ptrace(PTRACE_GETREGS, worker, regs)
    got = ctypes.c_longlong(regs[RAX]).value
    ptrace(PTRACE_SETREGS, worker, (ctypes.c_ulonglong * 27)(*before))
    ptrace(PTRACE_DETACH, worker)
    return got


HOSTILE = {
    'a file elsewhere is written': (257, -100, b'/tmp/x', 0x41, 0o600),  # openat
    'a program is run': (59, b'/bin/true', 0, 0),
    'a process is made': (58,),  # vfork
    'a packet socket is opened': (41, 17, 3, 0),
    'code comes into memory': (9, 0, 4096, 7, 0x22, -1, 0),  # mmap
    'root comes back': (105, 0),  # setuid
}


@confined
@traced
@pytest.mark.parametrize('attack', HOSTILE)
def test_who_takes_the_daemon_over_gets_nothing_more(nsd, waymark, attack):
    w = waymark({'server': {'user': 'games', 'seccomp': 'yes'}}, upstream=nsd.port, start=False)
    shutil.chown(w.dir, 'games')
    w.start()
    assert injected(w, *HOSTILE[attack]) in (-errno.ENOSYS, -errno.EACCES, -errno.EPERM)  # of seccomp, Landlock, the user
    for _ in range(3):  # each worker goes on
        w.ask('www.contoso.com', 'A')


@confined
@traced
def test_who_takes_the_daemon_over_may_ask_what_it_may(nsd, waymark):
    w = waymark(upstream=nsd.port)
    assert injected(w, 39) == w.daemon.pid  # getpid


@confined
@traced
def test_kill_ends_it(nsd, waymark):
    w = waymark(upstream=nsd.port)
    assert injected(w, *HOSTILE['a program is run']) is None
    assert w.daemon.wait() == -signal.SIGSYS
    w.daemon = None


# --- systemd

class Watched:
    """A daemon whose socket of systemd stays open."""

    def __init__(self, w):
        self.w = w
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        name = f'waymark-{os.getpid()}-{w.port}'
        self.socket.bind('\0' + name)  # in no file system, as containers have it
        environment = w.environment
        w.environment = lambda **_: environment(NOTIFY_SOCKET='@' + name, WATCHDOG_USEC='10000000')
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


@traced
def test_watchdog_hears_of_a_worker_that_hangs(nsd, waymark):
    watched = Watched(waymark(upstream=nsd.port, start=False))
    held = []
    for _ in range(5):
        watched.wait_for(b'WATCHDOG=1')
        held.append(len(os.listdir(f'/proc/{watched.w.daemon.pid}/fd')))
    assert held[4] - held[0] < 4, 'each word costs a descriptor'
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
