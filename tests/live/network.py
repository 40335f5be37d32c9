# SPDX-License-Identifier: BSD-2-Clause
"""The network of the worked pages, with the addresses that stand there, in a namespace of its own: nothing of the machine's
network is seen or changed.

    10.0.0.5            Waymark, port 53                10.0.0.53    DNS of contoso.com, fabrikam.local, tailspin.com
    10.0.0.11           kms01.contoso.com, port 1688    192.0.2.53   DNS of a provider, which knows none of these
    10.0.0.12           kms02.contoso.com, port 1688    10.0.0.6     a resolver that Waymark takes over from
    10.20.4.7, 10.20.4.8, 10.20.64.7, 10.30.9.20        clients
"""
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

from process import BUILD, HERE, PATIENCE, Process, finish, wait_for
from upstreams import Nsd, Peer
from waymark import Waymark

ADDRESSES = ['10.0.0.5', '10.0.0.6', '10.0.0.53', '192.0.2.53', '10.0.0.11', '10.0.0.12', '10.20.4.7', '10.20.4.8', '10.20.64.7', '10.30.9.20']
CORPORATE = {
    'contoso.com': 'dc01 A 10.0.0.53\n_vlmcs._tcp 3600 SRV 0 0 1688 kms01\nkms01 A 10.0.0.11\nkms02 A 10.0.0.12\nwww A 10.0.0.80\n',
    'fabrikam.local': 'dc01 A 10.0.0.53\n',
    'tailspin.com': 'dc01 A 10.0.0.53\n_vlmcs._tcp 3600 SRV 0 0 1688 kms-old.tailspin.com.\nkms-old A 10.0.0.99\n',
}
HOST = '''import socket, sys, threading
def serve(s):
    while True:
        s.accept()[0].close()
for address in sys.argv[1:]:
    threading.Thread(target=serve, args=(socket.create_server((address, 1688)),)).start()
print('ready', flush=True)'''
COLUMNS = 140  # of the terminal in which the commands run


class Zones(Nsd):
    """Authoritative, at port 53 of one address of the network."""

    def __init__(self, network, address, zones):
        self.network, self.address, self.before = network, address, network.inside()
        super().__init__(zones=zones)

    def listen(self):
        return [f'{self.address}@53']

    def is_ready(self):
        assert self.process.alive(), self.process.said()
        return self.network.run(f'dig +tries=1 +time=1 @{self.address} . SOA').code == 0


# Resolvers of Debian: the package, how they are run, and what makes them use a file of the page as it stands.
OLD = {
    'dnsmasq': ('dnsmasq-base', 'usr/sbin/dnsmasq --keep-in-foreground --conf-file={dir}/conf',
                'listen-address=10.0.0.6\nbind-interfaces\nno-resolv\nno-hosts\nuser=\npid-file=\nserver=10.0.0.53\n'
                'conf-file={files}/dnsmasq.conf\n'),
    'unbound': ('unbound', 'usr/sbin/unbound -d -c {dir}/conf',
                'server:\n interface: 10.0.0.6\n directory: "{dir}"\n username: ""\n chroot: ""\n pidfile: ""\n use-syslog: no\n logfile: ""\n'
                ' do-not-query-localhost: no\n access-control: 10.0.0.0/8 allow\n module-config: "iterator"\n'
                'include: "{files}/unbound.conf"\nforward-zone:\n name: "."\n forward-addr: 10.0.0.53\n'),
    'named': ('bind9', 'usr/sbin/named -g -n 1 -c {dir}/conf',
              'options {{ directory "{dir}"; pid-file none; session-keyfile none; listen-on {{ 10.0.0.6; }}; listen-on-v6 {{ none; }};\n'
              ' dnssec-validation no; recursion yes; allow-query {{ any; }}; forward only; forwarders {{ 10.0.0.53; }}; empty-zones-enable no;\n'
              ' response-policy {{ zone "kms.rpz"; }}; }};\ncontrols {{ }};\nzone "kms.rpz" {{ type primary; file "{files}/kms.rpz"; }};\n'),
}


class Old(Peer):
    """One of these, at port 53 of 10.0.0.6."""

    def __init__(self, network, name):
        self.network, self.before = network, network.inside()
        self.package, command, self.text = OLD[name]
        self.command = command.split()
        super().__init__()

    def write(self):
        self.put('conf', self.text.format(dir=self.dir, files=f'{self.network.dir}/files'))

    def is_ready(self):
        assert self.process.alive(), self.process.said()
        return self.network.run('dig +tries=1 +time=1 @10.0.0.6 www.contoso.com A').code == 0


class Done:
    def __init__(self, code, out):
        self.code, self.out = code, out


class Network:
    """The network, and Waymark in it, which is started when its settings are there."""

    def __init__(self, namespace):
        self.made = []
        try:
            self.make(namespace)
        except BaseException:
            self.finish()
            raise

    def make(self, namespace):
        self.waymark = Waymark()
        self.made.append(self.waymark)
        self.dir = self.waymark.dir
        self.places = [(self.waymark.state, '/var/lib/waymark'), (self.waymark.run, '/run/waymark'), (f'{self.dir}/etc', '/etc/waymark')]
        setup = ['ip link set lo up', *[f'ip addr add {a}/32 dev lo' for a in ADDRESSES], 'echo ready', 'exec sleep infinity']
        holder = Process([*namespace(True), 'sh', '-c', ' && '.join(setup)], f'{self.dir}/network')
        self.made.append(Killed(holder))
        wait_for(lambda: 'ready' in holder.said(), 'a network')
        self.holder = holder
        self.write_programs()
        self.waymark.before = self.inside()
        self.waymark.file = f'{self.dir}/etc/waymark.yaml'
        hosts = Process([*self.inside(), sys.executable, '-B', '-c', HOST, '10.0.0.11', '10.0.0.12'], f'{self.dir}/hosts')
        self.made.append(Killed(hosts))
        self.made.append(Zones(self, '10.0.0.53', CORPORATE))
        self.made.append(Zones(self, '192.0.2.53', {'.': ''}))
        wait_for(lambda: 'ready' in hosts.said(), 'KMS hosts')

    def write_programs(self):
        """What the pages call, by its name; the settings that only a test needs stand beside those of the page."""
        for folder in ('bin', 'etc/conf.d', 'files'):
            os.makedirs(f'{self.dir}/{folder}')
        for name, text in {
                'waymarkctl': f'exec {BUILD}/waymarkctl -c {self.dir}/etc/waymark.yaml "$@"',
                'waymarkd': f'exec {BUILD}/waymarkd -c {self.dir}/etc/waymark.yaml "$@"',
                'sudo': 'SUDO_USER=admin exec "$@"',
                'windows': f'exec {sys.executable} -B {HERE}/windows.py "$@"'}.items():
            with open(f'{self.dir}/bin/{name}', 'w') as f:
                f.write(f'#!/bin/sh\n{text}\n')
            os.chmod(f.name, 0o755)
        self.write('/etc/waymark/conf.d/test.yaml', f'server: {{name: dns1, workers: 1, user: "", state-dir: {self.waymark.state}, run-dir: {self.waymark.run}}}\n'
                   'audit: {commit-interval: 20ms, max-rate: 1000000, max-rate-client: 1000000}\n'
                   'kms: {upstream-deadline: 3s}\n')  # a slow machine is not what the pages show

    def inside(self):
        user = [] if os.geteuid() == 0 else ['-U', '--preserve-credentials']
        return ['nsenter', '-t', str(self.holder.pid), *user, '-n']

    def here(self, text):
        for ours, theirs in self.places:
            text = text.replace(theirs, ours)
        return text

    def there(self, text):
        for ours, theirs in self.places:
            text = text.replace(ours, theirs)
        return text

    def write(self, name, text):
        path = self.here(name)
        with open(path if os.path.isabs(path) else f'{self.dir}/files/{path}', 'w') as f:
            f.write(text)

    def turn(self, verb, service):
        """The service is started or stopped."""
        if verb != 'start':
            self.waymark.stop() if service == 'waymark' else self.old.finish()
        if verb != 'stop' and service == 'waymark':
            self.waymark.start()
        elif verb != 'stop':
            self.old = Old(self, service)
            self.made.append(self.old)

    def run(self, command):
        """Runs a line of the shell in a terminal of its own; what it prints there, in the order of printing."""
        service = re.fullmatch(r'sudo systemctl (start|restart|stop) (\w+)', command)
        if service:
            self.turn(*service.groups())
            return Done(0, '')
        if re.search('waymarkctl (audit|status|doctor)', command) and self.waymark.daemon:
            self.waymark.audit()
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('4H', 50, COLUMNS, 0, 0))
        env = self.waymark.environment(PATH=f'{self.dir}/bin:{os.environ["PATH"]}', TZ='UTC', NO_COLOR='1', TERM='dumb')
        with subprocess.Popen([*self.inside(), 'bash', '-o', 'pipefail', '-c', self.here(command)], stdin=subprocess.DEVNULL,
                              stdout=theirs, stderr=theirs, env=env, cwd=f'{self.dir}/files') as child:
            os.close(theirs)
            out = b''
            try:
                while more := os.read(ours, 65536):
                    out += more
            except OSError:  # nobody has the terminal any more
                pass
            os.close(ours)
            code = child.wait(PATIENCE)
        text = re.sub('[^\n]*\x1b\\[K', '', out.decode(errors='replace').replace('\r\n', '\n'))  # progress leaves nothing
        return Done(code, self.there(text))

    def finish(self):
        finish(self.made)


class Killed:
    """A process that ends with the network."""

    def __init__(self, process):
        self.finish = process.kill
