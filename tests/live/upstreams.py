# SPDX-License-Identifier: BSD-2-Clause
"""The servers that Waymark asks, and those that ask it: Debian's own, unpacked by ./peers, and Python ones that lie."""
import collections
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from process import BUILD, HERE, Process, free_port, wait_for

AUTHORITY = '127.0.0.6'  # of Nsd as well: for BIND, whose `server` statement tells servers apart by address alone
PEERS = os.path.abspath(os.environ.get('WAYMARK_PEERS', os.path.join(BUILD, 'peers')))


def fetch(*packages):
    subprocess.run([os.path.join(HERE, 'peers'), PEERS, *packages], check=True, timeout=300)


def answers(port):
    """Does a DNS server on this port answer anything? One that is not there yet is refused at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        s.connect(('127.0.0.1', port))
        try:
            s.send(dns.message.make_query('version.bind', 'TXT', 'CH').to_wire())
            return len(s.recv(65535)) > 0
        except OSError:
            return False


class Peer:
    """A server of Debian, unprivileged, on a loopback port, in a folder of its own."""
    package = command = None
    before = ()  # words that run a command elsewhere

    def __init__(self, **more):
        fetch(self.package)
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix=f'waymark-{self.package}-')
        self.write(**more)
        env = {**os.environ, 'LD_LIBRARY_PATH': os.path.join(PEERS, 'lib')}
        words = [w.format(dir=self.dir) for w in self.command]
        words[0] = os.path.join(PEERS, self.package, words[0])
        self.process = Process([*self.before, *words], f'{self.dir}/log', env=env)
        try:
            wait_for(self.is_ready, f'an answer of {self.package}')
        except AssertionError:
            self.finish()
            raise

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
    """Authoritative: zones is {zone: text of its records}; SOA and NS are added. `anchor` is the DS of the signed zone."""
    package = 'nsd'
    command = ['usr/sbin/nsd', '-d', '-c', '{dir}/nsd.conf']
    head = '$TTL 3600\n@ IN SOA ns. root. 1 3600 600 86400 900\n@ IN NS ns.invalid.\n'

    def listen(self):
        return [f'127.0.0.1@{self.port}', f'{AUTHORITY}@{self.port}']

    def write(self, zones, signed=None):
        d = self.dir
        listen = ''.join(f' ip-address: {a}\n' for a in self.listen())
        text = [f'server:\n{listen} username: ""\n chroot: ""\n zonesdir: "{d}"\n'
                f' pidfile: ""\n xfrdfile: "{d}/xfrd"\n zonelistfile: "{d}/zones"\n xfrdir: "{d}"\n database: ""\n'
                ' server-count: 1\n hide-version: yes\n minimal-responses: yes\n rrl-ratelimit: 0\n'
                'remote-control:\n control-enable: no\n']
        for zone, records in zones.items():
            self.put(f'{zone}.zone', self.head + records)
            if zone == signed:
                self.sign(zone)
            text.append(f'zone:\n name: "{zone}"\n zonefile: "{zone}.zone"\n')
        self.put('nsd.conf', ''.join(text))

    def change(self, zone, records):
        """The zone has these records; soon, for it is read by a process of its own."""
        self.put(f'{zone}.zone', self.head.replace(' 1 ', ' 2 ') + records)
        self.process.send(signal.SIGHUP)

    def sign(self, zone):
        def ldns(*words):
            return subprocess.run(words, cwd=self.dir, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
        key = ldns('ldns-keygen', '-a', 'ECDSAP256SHA256', '-k', zone)
        ldns('ldns-signzone', '-o', zone, '-f', f'{zone}.signed', f'{zone}.zone', key)
        os.replace(f'{self.dir}/{zone}.signed', f'{self.dir}/{zone}.zone')
        with open(f'{self.dir}/{key}.ds') as f:
            self.anchor = ' '.join(f.read().split()[-4:])


class Resolver(Peer):
    """One that asks the ports `waymark` for the zones and `rest`, an Nsd, for all else, set up as the README says.

    anchor: the DS of a signed root: it validates.
    """


class Unbound(Resolver):
    package = 'unbound'
    command = ['usr/sbin/unbound', '-d', '-c', '{dir}/unbound.conf']

    def write(self, zones, waymark, rest, anchor=None, tls=None):
        self.tls_port = free_port()
        over_tls = tls and (f' interface: 127.0.0.1@{self.tls_port}\n tls-port: {self.tls_port}\n'
                            f' tls-service-pem: "{tls[0]}"\n tls-service-key: "{tls[1]}"\n')
        text = [f'server:\n interface: 127.0.0.1@{self.port}\n{over_tls or ""} directory: "{self.dir}"\n username: ""\n chroot: ""\n'
                ' pidfile: ""\n use-syslog: no\n logfile: ""\n do-not-query-localhost: no\n num-threads: 1\n'
                ' access-control: 127.0.0.0/8 allow\n']
        if anchor:
            text.append(f' module-config: "validator iterator"\n trust-anchor: ". DS {anchor}"\n')
            text += [f' domain-insecure: "{z}"\n' for z in zones]
        else:
            text.append(' module-config: "iterator"\n')
        text.append('remote-control:\n control-enable: no\n')
        text += [f'forward-zone:\n name: "{z}"\n forward-addr: 127.0.0.1@{waymark}\n' for z in zones]
        text.append(f'forward-zone:\n name: "."\n forward-addr: {AUTHORITY}@{rest}\n')
        self.put('unbound.conf', ''.join(text))


class Named(Resolver):
    """BIND."""
    package = 'bind9'
    command = ['usr/sbin/named', '-g', '-n', '1', '-c', '{dir}/named.conf']

    def write(self, zones, waymark, rest, anchor=None):
        def forward(zone, address, port):
            return f'zone "{zone}" {{ type forward; forward only; forwarders {{ {address} port {port}; }}; }};\n'

        if anchor:
            tag, algorithm, kind, digest = anchor.split()
            validation = f'yes; validate-except {{ {" ".join(f"{chr(34)}{z}{chr(34)};" for z in zones)} }}'
            anchors = f'trust-anchors {{ . static-ds {tag} {algorithm} {kind} "{digest}"; }};\n'
        else:
            validation, anchors = 'no', ''
        self.put('named.conf', ''.join([
            f'options {{ directory "{self.dir}"; pid-file none; session-keyfile none; listen-on-v6 {{ none; }};\n'
            f' listen-on port {self.port} {{ 127.0.0.1; }}; recursion yes; allow-query {{ any; }};\n'
            f' dnssec-validation {validation}; empty-zones-enable no; }};\ncontrols {{ }};\n{anchors}'
            f'server 127.0.0.1 {{ edns no; }};\n',
            *[forward(z, '127.0.0.1', waymark) for z in zones], forward('.', AUTHORITY, rest)]))


class Recursor(Resolver):
    """PowerDNS Recursor."""
    package = 'pdns-recursor'
    command = ['usr/sbin/pdns_recursor', '--config-dir={dir}']

    def write(self, zones, waymark, rest, anchor=None):
        routes = ','.join([f'{z}=127.0.0.1:{waymark}' for z in zones] + [f'.={AUTHORITY}:{rest}'])
        self.put('recursor.conf', f'local-address=127.0.0.1\nlocal-port={self.port}\nsocket-dir={self.dir}\nthreads=1\n'
                 'daemon=no\nwrite-pid=no\ndisable-syslog=yes\nsecurity-poll-suffix=\ndont-query=\nexport-etc-hosts=off\n'
                 f'dnssec={"validate" if anchor else "process"}\nlua-config-file={self.dir}/lua\nforward-zones-recurse={routes}\n')
        trust = f'clearTA(".")\naddTA(".", "{anchor}")\n' if anchor else ''
        self.put('lua', trust + ''.join(f'addNTA("{z}")\n' for z in zones))


class Dnsmasq(Resolver):
    package = 'dnsmasq-base'
    command = ['usr/sbin/dnsmasq', '--keep-in-foreground', '--conf-file={dir}/dnsmasq.conf']

    def write(self, zones, waymark, rest, anchor=None, more=''):
        self.put('dnsmasq.conf', f'port={self.port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\n'
                 f'user=\npid-file=\nlog-facility=-\nserver={AUTHORITY}#{rest}\n{more}'
                 + ''.join(f'server=/{z}/127.0.0.1#{waymark}\n' for z in zones))


class Dnsdist(Resolver):
    """dnsdist with a packet cache."""
    package = 'dnsdist'
    command = ['usr/bin/dnsdist', '--supervised', '--disable-syslog', '-C', '{dir}/dnsdist.conf']

    def write(self, zones, waymark, rest, anchor=None, tls=None):
        self.tls_port = free_port()
        over_tls = tls and f'addTLSLocal("127.0.0.1:{self.tls_port}", "{tls[0]}", "{tls[1]}")\n'
        names = ', '.join(f'"{z}"' for z in zones)
        self.put('dnsdist.conf', f'setLocal("127.0.0.1:{self.port}")\n{over_tls or ""}setSecurityPollSuffix("")\n'
                 f'newServer{{address="127.0.0.1:{waymark}", pool="waymark"}}:setUp()\n'
                 f'newServer{{address="{AUTHORITY}:{rest}"}}:setUp()\n'
                 f'addAction({{{names}}}, PoolAction("waymark"))\n'
                 'getPool("waymark"):setCache(newPacketCache(1000))\ngetPool(""):setCache(newPacketCache(1000))\n')


class Kresd(Resolver):
    """Knot Resolver. It looks for its files in one place of the file system: here that is its working folder."""
    package = 'knot-resolver'
    command = ['{dir}/kresd', '-n', '-c', '{dir}/kresd.conf', '{dir}']
    action = 'STUB'

    def write(self, zones, waymark, rest, anchor=None, tls=None):
        self.tls_port = free_port()
        over_tls = tls and (f'net.listen("127.0.0.1", {self.tls_port}, {{kind = "tls"}})\n'
                            f'net.tls("{tls[0]}", "{tls[1]}")\n')
        with open(os.path.join(PEERS, self.package, 'usr/sbin/kresd'), 'rb') as f:
            program = f.read()
        (place,) = set(re.findall(rb'/usr/lib/[^/\0]+/knot-resolver', program))
        here = b'/proc/self/cwd'.ljust(len(place) - len(b'/knot-resolver'), b'/') + b'/knot-resolver'
        with open(f'{self.dir}/kresd', 'wb') as f:
            f.write(program.replace(place, here))
        os.chmod(f.name, 0o755)
        shutil.copytree(os.path.join(PEERS, self.package, place[1:].decode()), f'{self.dir}/knot-resolver')
        with open(f'{self.dir}/knot-resolver/sandbox.lua') as f:
            lines = [line for line in f if 'root.key' not in line]  # the anchor of the Internet
        self.put('knot-resolver/sandbox.lua', ''.join(lines))
        names = ', '.join(f'"{z}"' for z in zones)
        trust = ''
        if anchor:
            trust = f'trust_anchors.add(". IN DS {anchor}")\ntrust_anchors.set_insecure({{{names}}})\n'
        self.put('kresd.conf', f'net.listen("127.0.0.1", {self.port}, {{kind = "dns"}})\n{over_tls or ""}cache.size = 10 * MB\n'
                 f'for _, m in ipairs({{"ta_update", "ta_signal_query", "priming", "detect_time_skew"}}) do modules.unload(m) end\n'
                 f'modules.load("hints")\nhints.root({{["ns.invalid."] = "{AUTHORITY}"}})\n{trust}'
                 f'policy.add(policy.suffix(policy.{self.action}("127.0.0.1@{waymark}"), policy.todnames({{{names}}})))\n'
                 f'policy.add(policy.all(policy.FORWARD("{AUTHORITY}@{rest}")))\n')


class KresdForward(Kresd):
    action = 'FORWARD'


class Fake:
    """An upstream in Python. answer(query, how) returns the reply (a message, bytes, a list of these) or None.

    how.udp, how.client, how.server tell the way; `asked` lists (name, type, transport) in the order of arrival.
    Over UDP what it returns is sent `delay` seconds later.
    """

    def __init__(self, answer, address='127.0.0.1', delay=0):
        self.answer, self.address, self.port, self.delay = answer, address, free_port(), delay
        self.asked, self.errors, self.lock, self.late = [], [], threading.Lock(), collections.deque()
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
                self.send_late()
                self.datagrams.settimeout(max(0.001, self.late[0][0] - time.monotonic()) if self.late else None)
                wire, client = self.datagrams.recvfrom(65535)
            except TimeoutError:
                continue
            except OSError:
                return
            if client is None or not wire:
                return  # finish() has shut the socket
            due = time.monotonic() + self.delay
            self.late += [(due, r, client) for r in self.replies(wire, How(self, client, 'udp'))]

    def send_late(self):
        while self.late and self.late[0][0] <= time.monotonic():
            _, r, client = self.late.popleft()
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


class Silent:
    """An upstream that takes every question and never answers, whatever the rate: what its queue cannot hold is lost."""

    def __init__(self):
        self.port = free_port()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', self.port))

    def finish(self):
        self.socket.close()


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
        above = name.parent() if name.labels != (b'',) else name
        r.authority.append(dns.rrset.from_text(above, 900, 'IN', 'SOA', 'ns. root. 1 3600 600 86400 900'))
    return r


class Streams:
    """An upstream whose answers over UDP are cut, so that it is asked over TCP, or TLS if it has a context of Python's ssl.

    speak(connection) has each connection in a thread of its own; `connections`, `datagrams` and `refused` (why no TLS came
    about) are counted, `sessions` are those taken up again.
    """

    def __init__(self, speak, tls=None, address='127.0.0.1', port=None):
        self.speak, self.tls, self.address, self.port = speak, tls, address, port or free_port()
        self.connections, self.datagrams, self.refused, self.sessions, self.open = 0, 0, [], 0, []
        self.lock = threading.Lock()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, self.port))
        self.listener = socket.create_server((address, self.port), backlog=64)
        for f in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=f, daemon=True).start()

    def serve_udp(self):
        while True:
            try:
                wire, client = self.socket.recvfrom(65535)
            except OSError:
                return
            if client is None or not wire:
                return
            self.datagrams += 1
            r = dns.message.make_response(dns.message.from_wire(wire))
            r.flags |= dns.flags.TC
            self.socket.sendto(r.to_wire(), client)

    def serve_tcp(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                s = self.tls.wrap_socket(s, server_side=True)
                self.sessions += s.session_reused
            with self.lock:
                self.open.append(s)
            with s:
                self.speak(Connection(s))
        except OSError as e:
            self.refused.append(getattr(e, 'reason', None) or str(e))

    def close_all(self):
        """The server closes its connections, and takes new ones."""
        with self.lock:
            for s in self.open:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.open = []

    def finish(self):
        for s in (self.socket, self.listener):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        self.close_all()


class Connection:
    """A server's side of a stream."""

    def __init__(self, s):
        self.socket = s

    def exactly(self, n):
        got = b''
        while len(got) < n:
            more = self.socket.recv(n - len(got))
            if not more:
                return b''
            got += more
        return got

    def take(self):
        """The next question, or None: the client has closed. `wire` is how it came."""
        head = self.exactly(2)
        if not head:
            return None
        self.wire = self.exactly(struct.unpack('!H', head)[0])
        return dns.message.from_wire(self.wire)

    def give(self, *replies):
        self.socket.sendall(b''.join(framed(r) for r in replies))


def framed(message):
    wire = message if isinstance(message, bytes) else message.to_wire(max_size=65535)
    return struct.pack('!H', len(wire)) + wire
