# SPDX-License-Identifier: BSD-2-Clause
"""System calls that fail: at the start in words, or the start goes on without; while it runs the service goes on.

WAYMARK_LONG=1 tries each call of the start by itself and fails each call that runs in four patterns, which takes some
minutes; with pytest -s a line tells what came of each.
"""
import collections
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess

import ask
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from faults import LONG, idles
from load import Asked, ask_all, question
from process import SLOW, Process, finish, wait_for
from upstreams import Fake, answers, reply
from waymark import Waymark

MOST = 40  # of the calls of one kind at the start
TRIES = 1  # in CI
WHEN = ['1+2', '2+2', '3+3', '4+7'] if LONG else ['1+2']  # which calls of each thread
SEED = os.environ.get('WAYMARK_SEED', '1')

# At the start: what fails, and how it may fail in earnest.
START = {
    'socket': 'EMFILE', 'bind': 'EACCES', 'listen': 'EADDRINUSE', 'setsockopt': 'ENOMEM', 'openat': 'EMFILE', 'read': 'EIO',
    'pread64': 'EIO', 'pwrite64': 'ENOSPC', 'write': 'EIO', 'fdatasync': 'EIO', 'fsync': 'EIO', 'ftruncate': 'ENOSPC',
    'newfstatat': 'EACCES', 'mmap': 'ENOMEM', 'mkdir': 'ENOSPC', 'link': 'EPERM', 'unlink': 'EACCES', 'chmod': 'EPERM',
    'fchown': 'EPERM', 'pipe2': 'EMFILE', 'epoll_create1': 'EMFILE', 'epoll_ctl': 'ENOSPC',
    'epoll_wait': 'EINTR', 'getrandom': 'ENOSYS', 'clone3': 'EAGAIN', 'prlimit64': 'EPERM', 'sendto': 'ENOBUFS', 'access': 'EIO',
}
FILES = ['openat', 'read', 'pread64', 'pwrite64', 'write', 'fdatasync', 'fsync', 'ftruncate', 'newfstatat', 'mkdir', 'chmod', 'fchown', 'link', 'unlink']
# While it runs; each failure but the first is followed by one that does not fail, and so on.
RUNNING = {
    'socket': 'EMFILE', 'bind': 'EADDRINUSE', 'connect': 'ENETUNREACH', 'sendto': 'ENOBUFS', 'sendmmsg': 'ENOBUFS', 'recvmmsg': 'ENOMEM',
    'recvfrom': 'ECONNREFUSED', 'accept4': 'EMFILE', 'readv': 'ECONNRESET', 'writev': 'EPIPE', 'ioctl': 'EINVAL', 'epoll_wait': 'EINTR',
    'epoll_ctl': 'ENOMEM', 'openat': 'EMFILE', 'read': 'EINTR', 'pread64': 'EIO', 'pwrite64': 'ENOSPC', 'write': 'EINTR', 'recvmsg': 'ENOMEM',
    'sendmsg': 'EPIPE', 'fdatasync': 'EIO', 'mmap': 'ENOMEM', 'madvise': 'EAGAIN', 'newfstatat': 'EIO',
    'setsockopt': 'ENOMEM', 'getrandom': 'EINTR', 'clone3': 'EAGAIN', 'poll': 'EINTR',
}
# What an administrator can do something with: a place, a thing, or a number of the system.
WORDS = re.compile(r'waymark|/|:\d+|memory|listen|cache|settings|error')


@pytest.fixture(scope='session', autouse=True)
def strace():
    if not shutil.which('strace') or subprocess.run(['strace', '-f', '-o', '/dev/null', 'true'], capture_output=True, check=False).returncode:
        pytest.skip('needs strace, and the right to trace')


@pytest.fixture(autouse=True)
def without_leak_check(monkeypatch):
    """Which does not work in a process that is traced."""
    monkeypatch.setenv('ASAN_OPTIONS', 'detect_leaks=0:abort_on_error=0:exitcode=99')


def answer(q, _):
    return reply(q, '300 A 192.0.2.1') if q.question[0].rdtype == 1 else reply(q, rcode='NXDOMAIN', soa=True)


def crashed(code, said):
    return code is not None and (code < 0 or code in (66, 99, 134, 139)) or 'Assertion' in said or 'Sanitizer' in said


# --- the start

def traced(w, *words):
    w.before = ['strace', '-D', '-f', '-qq', '-o', f'{w.dir}/trace', *words]


def calls_of_the_start(w):
    """How often each is called by the first thread until it is ready, and how often by the loader before."""
    traced(w, '-e', f'trace={",".join(START)},execve')
    w.start()
    with open(f'{w.dir}/trace') as f:
        lines = [line.split(maxsplit=1) for line in f]
    w.stop()
    if w.is_first:
        shutil.rmtree(w.state, ignore_errors=True)
    all_of, loader = collections.Counter(), None
    for pid, call in lines:
        name = call.split('(')[0]
        if pid != lines[0][0] or name not in START or (name == 'write' and '(2,' not in call):
            continue
        if loader is None and '/waymark.yaml' in call:
            loader = collections.Counter(all_of)
        all_of[name] += 1
    return all_of, loader


def places(name, calls, loader, rng):
    """Which calls fail, one start each. What the loader says is not ours; memory, file names and entropy may fail there, too."""
    every = range(loader[name] + 1, calls[name] + 1)
    if LONG:
        return every if len(every) <= MOST else sorted(rng.sample(every, MOST))
    return sorted(rng.sample(every, min(TRIES, len(every))))


def ready_or_ended(w, name):
    """An answer alone does not tell: one worker may answer, and then another cannot be started."""
    return not w.daemon.alive() or 'started: ' in w.said() or (name == 'write' and answers(w.port))


def start_with(w, name, n):
    """What came of it; what is wrong is an assertion."""
    open(w.log, 'w').close()
    only = ['-P', w.log] if name == 'write' else []  # a pipe of this process takes what is written
    traced(w, *only, '-e', f'trace={name}', '-e', f'inject={name}:error={START[name]}:when={n}')
    w.start(ready=False)
    wait_for(lambda: ready_or_ended(w, name), f'ready, or an end; it said:\n{w.said()}')
    if not w.daemon.alive():
        code, said = w.daemon.wait(), w.said()
        w.daemon = None
        assert not crashed(code, said) and code != 0 and WORDS.search(said), (code, said)
        return 'ends in words'
    assert ask.addresses(w.ask('www.example', 'A')) == ['192.0.2.1'], w.said()
    assert ask.rcode(w.ask(discovery('fabrikam.local'))) in ('NOERROR', 'NXDOMAIN')
    code = w.daemon.stop()
    said, w.daemon = w.said(), None
    assert code == 0 or 'evsig_cb' in said, (code, said)  # libevent's own end, where its signals cannot be read
    assert not crashed(code, said), (code, said)
    return 'goes on'


@pytest.fixture(scope='module', params=['first', 'later'])
def started(request):
    """A daemon that starts over and over, and how often each call comes when all is well. The first start makes the stores."""
    fake = Fake(answer)
    w = Waymark({'server': {'workers': 2}}, upstream=fake.port)
    w.is_first = request.param == 'first'
    try:
        if not w.is_first:
            w.policy(POLICY)
            w.start()
            w.find('fabrikam.local')
            w.stop()
        yield (w, *calls_of_the_start(w))
    finally:
        finish([fake, w])


def is_whole(w):
    """What a start has left behind that did not come to its end is no ruin for the next one."""
    w.before = []
    w.start()
    w.find('fabrikam.local')
    w.ctl('status')
    w.stop()
    shutil.rmtree(w.state, ignore_errors=True)


@pytest.mark.parametrize('name', START)
def test_start_with_a_call_that_fails(started, name):
    w, calls, loader = started
    if calls[name] == loader[name] or (w.is_first and name not in FILES):
        return  # it is not called, or as often as later
    came, wrong = collections.Counter(), []
    for n in places(name, calls, loader, random.Random(f'{SEED} {name}')):
        try:
            came[start_with(w, name, n)] += 1
            if w.is_first:
                is_whole(w)
        except AssertionError as e:
            wrong.append(f'{name} {n}: {e}')
            if w.daemon:
                w.daemon.kill()
                w.daemon = None
            if w.is_first:
                shutil.rmtree(w.state, ignore_errors=True)
    print(f'\n| {name}{", first start" * w.is_first} | {START[name]} | {calls[name] - loader[name]} | {", ".join(f"{n} {what}" for what, n in came.items())} | {len(wrong)} wrong |')
    assert not wrong, '\n'.join(wrong)


# --- while it runs

class Tracer(Process):
    """Calls of the process, and of all its threads, fail; until its end."""

    def __init__(self, w, name, when):
        super().__init__(['strace', '-f', '-o', f'{w.dir}/calls', '-e', f'trace={name}', '-e',
                          f'inject={name}:error={RUNNING[name]}:when={when}', '-p', str(w.daemon.pid)], f'{w.dir}/strace')
        wait_for(lambda: 'attached' in self.said(), 'a tracer')

    def finish(self):
        self.stop(signal.SIGINT)


def tried(function, *words, **more):
    """Of what may fail now, whether it was done."""
    try:
        function(*words, **more)
        return True
    except Exception:
        return False


def use(w, turn, failing):
    """All that a daemon does; how many of the questions over UDP got an answer."""
    names = [(f'h{n}.t{turn}.example', 'A') for n in range(10)] + [(discovery(f't{turn}n{n}.lab.contoso.com'), 'SRV') for n in range(10)]
    asked = ask_all(w.port, [Asked(*q) for q in names], rate=1000, repeats=(0.1, 0.3, 0.6), patience=2)
    for n in range(4):
        with socket.socket() as s:
            s.settimeout(0.3)
            tried(s.connect, ('127.0.0.1', w.port))
            tried(s.sendall, b'\0\x1d' + question(n, f'a{turn}{n}.example.com', 'A')[:29])
            tried(s.recv, 512)
    w.daemon.send(signal.SIGHUP)
    for path in ('/v1/status', '/v1/upstreams') if failing != 'epoll_ctl' else ():  # where libmicrohttpd takes what cannot be for a defect
        tried(w.api, 'GET', path, patience=1)
    if failing != 'epoll_ctl':
        w.ctl('policy', 'rule', 'add', 'merged-domains', f't{turn}.example')
    asked += ask_all(w.port, [Asked(discovery(f't{turn}.example'), 'SRV')], rate=1000, repeats=(0.1, 0.3, 0.6), patience=2)
    return sum(q.rcode is not None for q in asked), len(asked)


def is_well(w, turn):
    """Everything works as before."""
    for n in range(4):
        assert ask.addresses(w.ask(f'well{n}.t{turn}.example', 'A')) == ['192.0.2.1']
        assert ask.addresses(w.tcp(f'well{n}.t{turn}.example', 'A')) == ['192.0.2.1']
        assert w.find(f'well{n}t{turn}.lab.contoso.com') == HOSTS
    w.ctl('reload')
    w.ctl('status')
    w.ctl('policy', 'rule', 'add', 'merged-domains', f't{turn}.well.example')
    assert w.find(f't{turn}.well.example') == HOSTS
    return True


@pytest.fixture(scope='module')
def running():
    fake = Fake(answer)
    w = Waymark({'server': {'workers': 2}, 'cache': {'serve-stale': 0}}, upstream=fake.port)
    try:
        w.policy(POLICY)
        w.turn = itertools.count()
        yield w.start()
        if w.daemon:
            w.stop()
    finally:
        finish([fake, w])


@pytest.mark.parametrize('when', WHEN)
@pytest.mark.parametrize('name', RUNNING)
def test_call_that_fails_while_it_runs(running, name, when):
    w, turn = running, next(running.turn)
    if w.daemon is None:
        w.start()
    try:
        tracer = Tracer(w, name, when)
        try:
            got, asked = use(w, turn, name)
            idle = idles(w.daemon.pid)
        finally:
            tracer.finish()
        with open(f'{w.dir}/calls') as f:
            failed = f.read().count('(INJECTED)')
        assert w.daemon.alive()
        assert got >= asked * 0.9, f'{got} of {asked} were answered'
        assert idle < 0.5, f'{idle:.0%} of a processor while nothing is asked'
        wait_for(lambda: tried(is_well, w, turn), 'all is well', patience=10)
        w.audit()
    except (AssertionError, OSError) as e:
        code = w.daemon.child.poll()
        w.kill()
        raise AssertionError(f'{e}; waymarkd: {code}; it said:\n{w.said()[-3000:]}') from e
    print(f'\n| {name} | {RUNNING[name]} | {when} | {failed} failed | {got} of {asked} answered | idle {idle:.0%} |')
