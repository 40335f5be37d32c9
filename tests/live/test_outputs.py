# SPDX-License-Identifier: BSD-2-Clause
"""The outputs of the audit: files and syslog receivers get each record once, also after a restart, a reload and a receiver's
death; and one that takes nothing keeps no client waiting."""
import json
import os
import re
import socket
import time

import ask
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from process import free_port, wait_for

HEAD = re.compile(r'<(\d+)>1 (\S+) test waymarkd - (\S+) \[meta sequenceId="(\d+)"\] (.*)', re.S)


class Receiver:
    """A syslog server: what came, as the fields of HEAD. By TCP it reads when it is told to."""

    def __init__(self, kind, port=None, path=None, backlog=5):
        family = socket.AF_UNIX if path else socket.AF_INET
        self.s = socket.socket(family, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == 'tcp':
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.s.bind(path or ('127.0.0.1', port))
        if kind == 'tcp':
            self.s.listen(backlog)
        self.s.setblocking(False)
        self.kind, self.connection, self.left, self.got = kind, None, b'', []

    def take(self, text):
        self.got.append(HEAD.fullmatch(text.decode()).groups())

    def read(self):
        """Takes what there is."""
        try:
            if self.kind == 'tcp' and self.connection is None:
                self.connection = self.s.accept()[0]
                self.connection.setblocking(False)
            while True:
                data = (self.connection or self.s).recv(65536)
                if self.kind != 'tcp':
                    self.take(data)
                    continue
                if not data:
                    self.connection, self.left = None, b''
                    return self.got
                self.left += data
                while (m := re.match(rb'(\d+) ', self.left)) and len(self.left) >= m.end() + int(m[1]):
                    self.take(self.left[m.end():m.end() + int(m[1])])
                    self.left = self.left[m.end() + int(m[1]):]
        except BlockingIOError:
            return self.got

    def sequences(self):
        return [int(g[3]) for g in self.read()]

    def close(self):
        if self.connection:
            self.connection.close()
        self.s.close()


def outputs(*to):
    return {'audit': {'outputs': [{'to': t} if isinstance(t, str) else t for t in to]}}


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [json.loads(line) for line in f]


def numbers(w, path):
    return [e['event']['sequence'] for e in lines(path)]


def last(w):
    return w.events('--limit', '1')[0]['event']['sequence']


def all_of(w):
    """The numbers of all records; the first, "started", was there before the outputs."""
    return list(range(1, last(w) + 1))


def test_file_gets_what_events_prints(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY, start=False)
    path = f'{w.dir}/audit.json'
    w.settings['audit'].update(outputs(f'file:{path}')['audit'])
    w.write_settings()
    w.start()
    w.policy(POLICY)
    assert w.find('fabrikam.local') == HOSTS
    w.audit()
    w.stop()
    assert lines(path) == w.events()
    assert os.stat(path).st_mode & 0o777 == 0o640
