# SPDX-License-Identifier: BSD-2-Clause
"""waymarkd and waymarkctl as built, run in a folder of their own."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import ask
from process import BUILD, PATIENCE, Process, free_port, wait_for

SANITIZERS = {
    'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=0:exitcode=99',
    'UBSAN_OPTIONS': 'print_stacktrace=1',
    'TSAN_OPTIONS': 'exitcode=66:halt_on_error=0:second_deadlock_stack=1',
}


def program(name):
    return os.path.join(BUILD, name)


def merge(base, more):
    for key, value in more.items():
        base[key] = merge(dict(base[key]), value) if isinstance(value, dict) and key in base else value
    return base


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f'exit {self.code}\n{self.out}\n{self.err}'


class Waymark:
    """One daemon, its settings and its state. The settings are written as JSON, which is YAML.

    before: words to put before the command (setpriv, unshare).
    """

    def __init__(self, settings=None, upstream=None, before=()):
        self.dir = tempfile.mkdtemp(prefix='waymark-')
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.state, self.run = f'{self.dir}/state', f'{self.dir}/run'
        self.file, self.log = f'{self.dir}/waymark.yaml', f'{self.dir}/log'
        self.before = list(before)
        self.daemon = None
        base = {
            'server': {'name': 'test', 'listen': [f'127.0.0.1:{self.port}'], 'workers': 2, 'user': '',
                       'state-dir': self.state, 'run-dir': self.run, 'seccomp': 'kill'},
            'kms': {'probe-interval': 0},  # the KMS hosts of most tests are nowhere
            'audit': {'commit-interval': '20ms', 'max-rate': 1000000, 'max-rate-client': 1000000},
        }
        if upstream:
            base['forward'] = [{'zone': '.', 'servers': [f'127.0.0.1:{upstream}']}]
        self.settings = merge(base, settings or {})
        self.write_settings()

    def write_settings(self):
        """All or nothing of it is there for who reads it meanwhile."""
        with open(f'{self.file}.new', 'w') as f:
            json.dump(self.settings, f, indent=1)
        os.replace(f'{self.file}.new', self.file)

    def environment(self, **more):
        env = {**os.environ, **{k: os.environ.get(k, v) for k, v in SANITIZERS.items()}, **more}
        env.pop('NOTIFY_SOCKET', None) if 'NOTIFY_SOCKET' not in more else None
        return env

    def inside(self, namespace, *commands, net=True):
        """The daemon gets mounts and a network of its own, where these commands of the shell come first."""
        self.before = namespace(net) + ['sh', '-c', ' && '.join([*commands, 'exec "$@"']), 'sh']

    def start(self, *words, ready=True):
        """Starts the daemon; returns when it says that it is ready (the protocol of sd_notify)."""
        command = self.before + [program('waymarkd'), '-c', self.file, *words]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            path = f'{self.dir}/notify'
            if os.path.exists(path):
                os.unlink(path)
            s.bind(path)
            os.chmod(path, 0o777)
            s.setblocking(False)

            def run():
                self.daemon = Process(command, self.log, env=self.environment(NOTIFY_SOCKET=path), cwd=self.dir)
            run()
            if ready:
                wait_for(lambda: self.has_said_ready(s, run), f'READY=1 of {command}')
        return self

    def has_said_ready(self, s, again):
        """Questions of other daemons are sent from any port: from its own, too, for a moment. Then it is started again."""
        if not self.daemon.alive() and 'the port is in use' in self.daemon.said().rstrip().split('\n')[-1]:
            time.sleep(0.1)
            again()
        assert self.daemon.alive(), f'waymarkd ended with {self.daemon.wait()} and said:\n{self.daemon.said()}'
        try:
            return b'READY=1' in s.recv(4096)
        except BlockingIOError:
            return False

    def stop(self, number=signal.SIGTERM):
        """A clean end; what a sanitizer found is in the exit code."""
        code = self.daemon.stop(number)
        said, self.daemon = self.daemon.said(), None
        assert code == 0, f'waymarkd ended with {code} and said:\n{said[-20000:]}'

    def kill(self):
        self.daemon.kill()
        self.daemon = None

    def finish(self):
        try:
            if self.daemon and self.daemon.alive():
                self.stop()
        finally:
            if self.daemon:
                self.daemon.kill()
            shutil.rmtree(self.dir, ignore_errors=True)

    def said(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    # --- the tool

    def ctl(self, *words, ok=True, stdin='', before=(), path=None, cwd=None):
        """waymarkctl; ok: the exit code must be 0 (or this one, when it is a number); False: it may be any."""
        command = list(before) + [path or program('waymarkctl'), '-c', self.file, *map(str, words)]
        done = Result(subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=4 * PATIENCE,
                                     env=self.environment(), cwd=cwd, check=False))
        if ok is not False:
            assert done.code == (0 if ok is True else ok), f'{" ".join(command)}: {done}'
        return done

    def json(self, *words, **more):
        return self.ctl(*words, '--json', **more).json()

    def api(self, method, path, patience=PATIENCE):
        """The API without the tool: status code and body."""
        c = http.client.HTTPConnection('localhost', timeout=patience)
        c.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        c.sock.settimeout(patience)
        c.sock.connect(f'{self.run}/control.sock')
        c.request(method, path)
        r = c.getresponse()
        body = r.read()
        c.close()
        return r.status, json.loads(body)

    def stats(self):
        return self.json('stats')['stats']

    def policy(self, text, *words, **more):
        return self.ctl('policy', 'import', '-', '--replace', '--yes', *words, stdin=text, **more)

    def audit(self):
        """The sums of the audit, once all that was asked is in them."""
        def settled():
            audit = self.json('status', ok=False)['audit']
            done = audit['recorded'] + audit['counted'] + audit['dropped']
            return audit if audit['pending'] == 0 and done == audit['questions'] else None
        return wait_for(settled, 'audit that has committed all')

    def events(self, *words):
        """The records of the audit."""
        return [json.loads(line) for line in self.ctl('audit', 'events', '--json', *words).out.splitlines()]

    # --- questions

    def ask(self, name, kind='SRV', **more):
        return ask.udp(self.port, name, kind, **more)

    def tcp(self, name, kind='SRV', **more):
        return ask.tcp(self.port, name, kind, **more)

    def find(self, suffix, **more):
        """The KMS hosts that a Windows machine with this suffix finds."""
        return ask.targets(self.ask(ask.discovery(suffix), **more))
