# SPDX-License-Identifier: BSD-2-Clause
"""Processes, ports and waiting, as all live tests use them.

Nothing here sleeps for a fixed time to let something happen: wait_for() waits for a condition, bounded.
"""
import os
import random
import signal
import socket
import subprocess
import time

BUILD = os.path.abspath(os.environ.get('WAYMARK_BUILD', '.'))
HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 30  # seconds until a condition that must come is given up


def watches(what):
    """Does the program under test watch itself?"""
    program = os.path.join(BUILD, 'waymarkd')
    if not os.path.exists(program):
        return False
    with open(program, 'rb') as f:
        return what in f.read()


RACES = watches(b'__tsan_init')
SLOW = RACES or watches(b'__asan_init')


def wait_for(condition, what, patience=PATIENCE):
    """Returns the first value of condition() that is true."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f'waited {patience} s in vain: {what}'
        time.sleep(0.01)


used = set()
def ports():
    """The first and the last port for tests, below those that the kernel gives out: of several pytest-xdist workers each has its part."""
    first, last = (int(port) for port in os.environ.get('WAYMARK_PORTS', '20000-31999').split('-'))
    number, workers = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:]), int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))
    part = (last - first + 1) // workers
    return first + number * part, first + (number + 1) * part - 1


PORTS = ports()


def free_port():
    """A port that is free for UDP and TCP on every loopback address."""
    while True:
        port = random.randint(*PORTS)
        if port in used:
            continue
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as s:
                    s.bind(('0.0.0.0', port))
        except OSError:
            continue
        used.add(port)
        return port


class Process:
    """A child that is ended by its id; its output goes to a file."""

    def __init__(self, command, log, **more):
        self.command, self.log = command, log
        with open(log, 'ab') as out:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **more)

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def said(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def send(self, number):
        self.child.send_signal(number)

    def wait(self, patience=PATIENCE):
        """Its exit code; one that does not end is killed, which is a failure."""
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f'{self.command[0]} did not end in {patience} s; it said:\n{self.said()}') from None

    def stop(self, number=signal.SIGTERM):
        if self.alive():
            self.send(number)
        return self.wait()

    def kill(self):
        if self.alive():
            self.child.kill()
        self.child.wait()


def finish(made):
    """Ends them all, the newest first, whatever happens."""
    errors = []
    for one in reversed(made):
        try:
            one.finish()
        except AssertionError as e:
            errors.append(e)
    if errors:
        raise errors[0]
