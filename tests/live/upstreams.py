# SPDX-License-Identifier: BSD-2-Clause
"""The servers that Waymark asks, and those that ask it: Debian's own, unpacked by ./peers, and Python ones that lie."""
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from process import BUILD, HERE, Process, free_port, wait_for

PEERS = os.path.abspath(os.environ.get('WAYMARK_PEERS', os.path.join(BUILD, 'peers')))


def fetch(*packages):
    subprocess.run([os.path.join(HERE, 'peers'), PEERS, *packages], check=True, timeout=300)


def answers(port):
    """Does a DNS server on this port answer anything?"""
    try:
        dns.query.udp(dns.message.make_query('version.bind', 'TXT', 'CH'), '127.0.0.1', port=port, timeout=0.2)
        return True
    except (dns.exception.Timeout, OSError):
        return False


class Peer:
    """A server of Debian, unprivileged, on a loopback port, in a folder of its own."""
    package = command = None

    def __init__(self, **more):
        fetch(self.package)
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix=f'waymark-{self.package}-')
        self.write(**more)
        env = {**os.environ, 'LD_LIBRARY_PATH': os.path.join(PEERS, 'lib')}
        words = [os.path.join(PEERS, self.package, self.command[0]), *self.command[1:]]
        self.process = Process([w.format(dir=self.dir) for w in words], f'{self.dir}/log', env=env)
        wait_for(self.is_ready, f'an answer of {self.package}')

    def is_ready(self):
        assert self.process.alive(), self.process.said()
        return answers(self.port)

    def put(self, name, text):
        with open(f'{self.dir}/{name}', 'w') as f:
            f.write(text)

    def finish(self):
        self.process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Nsd(Peer):
    """Authoritative: zones is {zone: text of its records}; SOA and NS are added."""
    package = 'nsd'
    command = ['usr/sbin/nsd', '-d', '-c', '{dir}/nsd.conf']

    def write(self, zones):
        d = self.dir
        text = [f'server:\n ip-address: 127.0.0.1@{self.port}\n username: ""\n chroot: ""\n zonesdir: "{d}"\n'
                f' pidfile: ""\n xfrdfile: "{d}/xfrd"\n zonelistfile: "{d}/zones"\n xfrdir: "{d}"\n database: ""\n'
                ' server-count: 1\n hide-version: yes\n minimal-responses: yes\n rrl-ratelimit: 0\n'
                'remote-control:\n control-enable: no\n']
        for zone, records in zones.items():
            head = '$TTL 3600\n@ IN SOA ns. root. 1 3600 600 86400 900\n@ IN NS ns.invalid.\n'
            self.put(f'{zone}.zone', head + records)
            text.append(f'zone:\n name: "{zone}"\n zonefile: "{zone}.zone"\n')
        self.put('nsd.conf', ''.join(text))


class Unbound(Peer):
    """A resolver that forwards zones, a dictionary of zone and port."""
    package = 'unbound'
    command = ['usr/sbin/unbound', '-d', '-c', '{dir}/unbound.conf']

    def write(self, zones):
        text = [f'server:\n interface: 127.0.0.1@{self.port}\n directory: "{self.dir}"\n username: ""\n chroot: ""\n'
                ' pidfile: ""\n use-syslog: no\n logfile: ""\n do-not-query-localhost: no\n num-threads: 1\n'
                ' module-config: "iterator"\n access-control: 127.0.0.0/8 allow\nremote-control:\n control-enable: no\n']
        for zone, port in zones.items():
            text.append(f'forward-zone:\n name: "{zone}"\n forward-addr: 127.0.0.1@{port}\n')
        self.put('unbound.conf', ''.join(text))


class Named(Peer):
    """BIND, likewise."""
    package = 'bind9'
    command = ['usr/sbin/named', '-g', '-n', '1', '-c', '{dir}/named.conf']

    def write(self, zones):
        d = self.dir
        text = [f'options {{ directory "{d}"; pid-file none; session-keyfile none; listen-on-v6 {{ none; }};\n'
                f' listen-on port {self.port} {{ 127.0.0.1; }}; recursion yes; allow-query {{ any; }};\n'
                ' dnssec-validation no; empty-zones-enable no; };\ncontrols { };\n']
        for zone, port in zones.items():
            text.append(f'zone "{zone}" {{ type forward; forward only; forwarders {{ 127.0.0.1 port {port}; }}; }};\n')
        self.put('named.conf', ''.join(text))


class Fake:
    """An upstream in Python. answer(query, how) returns the reply (a message, bytes, a list of these) or None.

    how.udp, how.client, how.server tell the way; `asked` lists (name, type, transport) in the order of arrival.
    """

    def __init__(self, answer, address='127.0.0.1'):
        self.answer, self.address, self.port = answer, address, free_port()
        self.asked, self.errors, self.lock = [], [], threading.Lock()
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.datagrams.bind((address, self.port))
        self.listener = socket.create_server((address, self.port), backlog=64)
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.serve_udp, self.serve_tcp)]
        for t in self.threads:
            t.start()

    def replies(self, wire, how):
        try:
            q = dns.message.from_wire(wire)
            with self.lock:
                self.asked.append((q.question[0].name.to_text().lower(), dns.rdatatype.to_text(q.question[0].rdtype), how.kind))
            got = self.answer(q, how)
        except Exception as e:  # told to the test, which would see a timeout only
            self.errors.append(repr(e))
            raise
        got = got if isinstance(got, list) else [got]
        return [r if isinstance(r, bytes) else r.to_wire(max_size=65535) for r in got if r is not None]

    def serve_udp(self):
        while True:
            try:
                wire, client = self.datagrams.recvfrom(65535)
            except OSError:
                return
            if client is None or not wire:
                return  # finish() has shut the socket
            for r in self.replies(wire, How(self, client, 'udp')):
                self.datagrams.sendto(r, client)

    def serve_tcp(self):
        while True:
            try:
                s, client = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_stream, args=(s, client), daemon=True).start()

    def serve_stream(self, s, client):
        with s, s.makefile('rb') as f:
            while len(head := f.read(2)) == 2:
                for r in self.replies(f.read(struct.unpack('!H', head)[0]), How(self, client, 'tcp')):
                    s.sendall(struct.pack('!H', len(r)) + r)

    def count(self, name=None):
        with self.lock:
            return sum(name is None or n == name for n, _, _ in self.asked)

    def finish(self):
        for s in (self.datagrams, self.listener):
            try:
                s.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
            except OSError:
                pass
            s.close()
        assert not self.errors, self.errors


class How:
    def __init__(self, server, client, kind):
        self.server, self.client, self.kind, self.udp = server, client, kind, kind == 'udp'


def reply(query, *records, rcode='NOERROR', soa=False):
    """A reply to the query: records are 'TTL TYPE DATA' at the name that was asked."""
    r = dns.message.make_response(query, recursion_available=True)
    r.set_rcode(dns.rcode.from_text(rcode))
    name = query.question[0].name
    for record in records:
        ttl, kind, data = record.split(' ', 2)
        r.answer.append(dns.rrset.from_text(name, int(ttl), 'IN', kind, data))
    if soa:
        r.authority.append(dns.rrset.from_text(name.parent(), 900, 'IN', 'SOA', 'ns. root. 1 3600 600 86400 900'))
    return r
