# SPDX-License-Identifier: BSD-2-Clause
"""What changes in the machine is noticed without a reload: its networks, its addresses, its resolv.conf.

Each daemon has a network of its own; that of resolv.conf also a private /etc and /run.
"""
import errno
import os
import platform
import signal
import socket
import subprocess
import sys
import time

import pytest
from process import HERE, PATIENCE, Process, wait_for

ASK = '''import sys, ask
a = ask.udp(int(sys.argv[1]), sys.argv[2], 'A', source=sys.argv[3], server='::1' if ':' in sys.argv[3] else '127.0.0.1')
print(ask.rcode(a), *ask.addresses(a))'''
# A server at each address, which gives its own address for every name.
SERVE = '''import socket, sys, threading, dns.message, dns.rrset
def serve(s, address):
    while True:
        wire, client = s.recvfrom(4096)
        q = dns.message.from_wire(wire)
        r = dns.message.make_response(q)
        r.answer.append(dns.rrset.from_text(q.question[0].name, 60, 'IN', 'A', address))
        s.sendto(r.to_wire(), client)
for address in sys.argv[1:]:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 53))
    threading.Thread(target=serve, args=(s, address)).start()
print('ready', flush=True)'''


class Machine:
    def __init__(self, w, namespace, setup, mounts):
        self.w, self.questions, self.servers = w, 0, None
        w.inside(namespace, 'ip link set lo up', *setup, *[f'mount --bind {w.dir}/{a} {b}' for a, b in mounts])

    def inside(self, *words):
        user = [] if os.geteuid() == 0 else ['-U', '--preserve-credentials']
        return ['nsenter', '-t', str(self.w.daemon.pid), *user, '-n', *words]

    def run(self, *words):
        done = subprocess.run(self.inside(*words), capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=HERE)
        assert done.returncode == 0, done
        return done.stdout.split()

    def ask(self, name, source='127.0.0.1'):
        """The response code and the addresses, as a client there gets them."""
        return self.run(sys.executable, '-B', '-c', ASK, str(self.w.port), name, source)

    def serve(self, *addresses):
        log = f'{self.w.dir}/servers'
        self.servers = Process(self.inside(sys.executable, '-B', '-c', SERVE, *addresses), log)
        wait_for(lambda: 'ready' in self.servers.said(), 'servers')

    def server(self):
        """Who answers a name that nobody has asked for."""
        self.questions += 1
        return self.ask(f'n{self.questions}.example')

    def upstreams(self):
        return [s['address'] for r in self.w.json('upstreams')['routes'] for s in r['servers']]

    def looks(self):
        return [line.split('machine: ', 1)[1] for line in self.w.said().splitlines() if 'machine: ' in line]

    def changes(self):
        return [look for look in self.looks() if look != 'nothing changed']

    def start(self):
        """What a test changes afterwards is not seen by the look after the start, but because it is watched."""
        self.w.settings['server']['log-level'] = 'debug'
        self.w.write_settings()
        self.w.start()
        wait_for(lambda: self.looks() == ['nothing changed'], 'the look after the start')

    def problems(self):
        return self.w.api('GET', '/v1/status')[1]['problems']  # the tool would read the settings' file


@pytest.fixture
def machine(waymark, namespace):
    made = []

    def make(settings, *setup, mounts=()):
        """setup: commands of the shell; mounts: (path in the test's folder, place of the file system)."""
        made.append(Machine(waymark(settings, start=False), namespace, setup, mounts))
        return made[-1]

    yield make
    for m in made:
        if m.servers:
            m.servers.kill()


ADDRESSES = {
    'IPv4': ('10.99.0.1/24', '10.99.0.2', '10.99.0.0/24', 'route add local 10.99.0.0/24 dev lo'),
    'IPv6': ('2001:db8:99::1/64', '2001:db8:99::2', '2001:db8:99::/64', '-6 route add local 2001:db8:99::/64 dev lo'),
}


def test_what_failed_without_a_way_there_is_asked_again_when_there_is_one(machine):
    """Though a failure is kept for five seconds. Packets that could not be sent are tries, which have an end at once."""
    m = machine({'forward': [{'zone': '.', 'servers': ['10.99.0.7']}]})
    m.start()
    assert m.ask('www.example')[0] == 'SERVFAIL'
    began = time.monotonic()
    m.run('ip', 'addr', 'add', '10.99.0.7/24', 'dev', 'lo')
    m.serve('10.99.0.7')
    wait_for(lambda: m.ask('www.example')[0] == 'NOERROR', 'an answer')
    assert time.monotonic() - began < 4


@pytest.mark.parametrize('user', ['', 'nobody'], ids=['own user', 'nobody'])
@pytest.mark.parametrize('row', ADDRESSES)
def test_network_of_a_new_address_may_ask_until_it_goes(machine, row, user):
    if user and os.geteuid() != 0:
        pytest.skip('only root can become somebody else')
    address, client, network, route = ADDRESSES[row]
    m = machine({'server': {'user': user, 'listen': ['127.0.0.1:5300', '[::1]:5300']},
                 'forward': [{'zone': '.', 'servers': ['127.0.0.7']}]})
    m.w.port = 5300
    m.start()
    m.run('sh', '-c', 'echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind')
    m.run('ip', *route.split())  # such clients reach us, and are not ours
    assert m.ask('localhost', client) == ['REFUSED']
    with open(m.w.file, 'a') as f:
        f.write('half-edited: [')  # the file is not read
    m.run('ip', 'addr', 'add', address, 'dev', 'lo')
    wait_for(lambda: m.ask('localhost', client)[0] == 'NOERROR', 'an answer for the new network')
    m.run('ip', 'addr', 'del', address, 'dev', 'lo')
    m.run('ip', *route.replace(' add ', ' replace ').split())
    wait_for(lambda: m.ask('localhost', client) == ['REFUSED'], 'REFUSED for the network that has gone')
    added, gone = m.changes()
    assert f' {network}' in added.split('->')[1] and f' {network}' not in added.split('->')[0], added
    assert f' {network}' in gone.split('->')[0] and f' {network}' not in gone.split('->')[1], gone
    assert m.problems() == []


def test_second_address_in_a_network_changes_nothing(machine):
    m = machine({'forward': [{'zone': '.', 'servers': ['127.0.0.7']}]},
                'ip addr add 10.99.0.1/24 dev lo')
    m.start()
    generation = m.w.json('status')['settings']['generation']
    m.run('ip', 'addr', 'add', '10.99.0.3/24', 'dev', 'lo')
    wait_for(lambda: m.looks() == ['nothing changed'] * 2, 'the look after the change')
    assert m.w.json('status')['settings']['generation'] == generation


def test_networks_when_there_was_no_room_to_tell_them(machine):
    """The kernel drops messages when the socket is full: what it still holds is a sign all the same."""
    m = machine({'forward': [{'zone': '.', 'servers': ['127.0.0.7']}]})
    m.start()
    batch = f'{m.w.dir}/batch'
    with open(batch, 'w') as f:
        f.writelines(f'addr add 10.{100 + n // 250}.{n % 250}.1/16 dev lo\n' for n in range(1500))
    m.w.daemon.send(signal.SIGSTOP)
    try:
        m.run('ip', '-batch', batch)
    finally:
        m.w.daemon.send(signal.SIGCONT)
    wait_for(lambda: ' 10.105.0.0/16' in ' '.join(m.changes()), 'the last network')


EXCHANGED = {'another network': ('10.98.0.1/24', '10.98.0.0/24'), 'a larger one': ('10.99.0.1/16', '10.99.0.0/16'),
             'a larger one beside it': ('10.99.0.1/16', '10.99.0.0/16')}


@pytest.mark.parametrize('row', EXCHANGED)
def test_networks_that_change_at_once(machine, row):
    address, networks = EXCHANGED[row]
    m = machine({'forward': [{'zone': '.', 'servers': ['127.0.0.7']}]},
                'ip addr add 10.99.0.1/24 dev lo')
    m.start()
    gone = '' if 'beside' in row else 'ip addr del 10.99.0.1/24 dev lo && '
    m.run('sh', '-c', f'{gone}ip addr add {address} dev lo')
    wait_for(lambda: f' {networks} ' in ' '.join(m.changes()).split(' ->')[-1] + ' ', 'the new networks')
    assert m.changes()[0].startswith('networks ')


def settings_events(w):
    """What the audit says of changes of the settings, oldest first."""
    return [e['waymark']['text'] for e in w.events() if e['event']['action'] == 'audit-settings']


def test_of_many_networks_those_are_told_that_differ(machine):
    many = [f'10.{n}.0.0/24' for n in range(100, 160)]
    m = machine({'forward': [{'zone': '.', 'servers': ['127.0.0.7']}]},
                *[f'ip addr add {n} dev lo' for n in many])
    m.start()
    m.run('sh', '-c', f'ip addr del {many[7]} dev lo && ip addr add 10.99.0.1/24 dev lo')
    wait_for(lambda: m.changes() == [f'networks {many[7]} -> 10.99.0.0/24'], 'the new network')
    m.run('ip', 'addr', 'del', '10.99.0.1/24', 'dev', 'lo')
    wait_for(lambda: m.changes()[1:] == ['networks 10.99.0.0/24 -> none'], 'its end')
    m.run('sh', '-c', ' && '.join(f'ip addr del {n} dev lo' for n in many[20:40]))
    wait_for(lambda: m.changes()[2:], 'a change with a long text')
    events = wait_for(lambda: (e := settings_events(m.w))[2:] and e, 'three records')
    assert events == [c[:127] for c in m.changes()]


def test_with_an_access_list_networks_are_nothing_to_tell(machine):
    m = machine({'access': [{'net': '10.98.0.0/16', 'action': 'allow'}],
                 'forward': [{'zone': '.', 'servers': ['127.0.0.7']}]})
    m.start()
    m.run('ip', 'addr', 'add', '10.99.0.3/24', 'dev', 'lo')
    wait_for(lambda: m.looks() == ['nothing changed'] * 2, 'the look after the change')


def test_server_that_becomes_our_own_address_is_left_out_until_it_is_not(machine):
    m = machine({'server': {'listen': ['0.0.0.0:53']}, 'access': [{'net': '127.0.0.0/8', 'action': 'allow'}],
                 'forward': [{'zone': '.', 'servers': ['10.99.0.7', '127.0.0.7:54']},
                             {'zone': 'corp.example', 'servers': ['10.99.0.7']}]})
    m.start()
    assert m.upstreams() == ['10.99.0.7:53', '127.0.0.7:54', '10.99.0.7:53']
    m.run('ip', 'addr', 'add', '10.99.0.7/32', 'dev', 'lo')
    wait_for(lambda: m.upstreams() == ['127.0.0.7:54'], 'servers without ourselves')
    assert '! machine: forward.servers: 10.99.0.7' in m.w.ctl('status', ok=7).out
    m.run('ip', 'addr', 'del', '10.99.0.7/32', 'dev', 'lo')
    wait_for(lambda: m.upstreams() == ['10.99.0.7:53', '127.0.0.7:54', '10.99.0.7:53'], 'all servers')
    assert m.problems() == []
    m.run('ip', 'addr', 'add', '10.99.0.7/32', 'dev', 'lo')
    wait_for(m.problems, 'the problem')
    m.w.settings['forward'] = [{'zone': '.', 'servers': ['127.0.0.7:54']}]
    m.w.write_settings()
    m.w.ctl('reload')
    wait_for(lambda: m.problems() == [], 'the end of a problem by a reload')
    corp = 'servers of corp.example'
    assert [c for c in m.changes() if '->' in c][:2] == [
        f'servers of . 10.99.0.7:53 127.0.0.7:54 -> 127.0.0.7:54, {corp} 10.99.0.7:53 -> none',
        f'servers of . 127.0.0.7:54 -> 10.99.0.7:53 127.0.0.7:54, {corp} none -> 10.99.0.7:53']


def test_route_is_empty_when_its_only_server_is_ourselves(machine):
    """What we asked ourselves would count as questions of a client, and wait as long as for a dead server."""
    m = machine({'server': {'listen': ['0.0.0.0:53']}, 'access': [{'net': '10.99.0.0/16', 'action': 'allow'}],
                 'forward': [{'zone': '.', 'servers': ['10.99.0.7']}]})
    m.w.port = 53
    m.start()
    m.run('ip', 'addr', 'add', '10.99.0.7/32', 'dev', 'lo')
    wait_for(m.problems, 'the problem')
    assert m.ask('fabrikam.local') == m.ask('1.0.99.10.in-addr.arpa') == ['SERVFAIL']
    assert m.upstreams() == []
    assert m.w.stats()['queries'] == 2
    assert [c for c in m.changes() if '->' in c] == ['servers of . 10.99.0.7:53 -> none']


# --- resolv.conf: 127.0.0.7 first, then 127.0.0.8

class Files:
    """The private /etc and /run."""

    def __init__(self, root):
        self.root = root
        os.makedirs(f'{root}/etc')
        os.makedirs(f'{root}/run/systemd/resolve')

    def write(self, path, *servers):
        with open(f'{self.root}/{path}', 'w') as f:
            f.write(''.join(f'nameserver {s}\n' for s in servers))

    def replace(self, path, *servers):
        self.write(f'{path}.new', *servers)
        os.rename(f'{self.root}/{path}.new', f'{self.root}/{path}')

    def link(self, path, to):
        os.symlink(to, f'{self.root}/{path}.new')
        os.rename(f'{self.root}/{path}.new', f'{self.root}/{path}')

    def remove(self, path):
        os.unlink(f'{self.root}/{path}')


def plain(f):
    f.write('etc/resolv.conf', '127.0.0.7')


def linked(f):
    os.mkdir(f'{f.root}/run/NetworkManager')
    f.write('run/NetworkManager/resolv.conf', '127.0.0.7')
    f.link('etc/resolv.conf', '../run/NetworkManager/resolv.conf')


def stub(f):
    f.write('run/systemd/resolve/resolv.conf', '127.0.0.7')
    f.write('run/systemd/resolve/stub-resolv.conf', '127.0.0.53')
    f.link('etc/resolv.conf', '/run/systemd/resolve/stub-resolv.conf')


def removed_and_made_anew(f):
    f.remove('etc/resolv.conf')
    f.write('etc/resolv.conf', '127.0.0.8')


def switched(f):
    f.write('run/resolv.conf', '127.0.0.8')
    f.link('etc/resolv.conf', '/run/resolv.conf')


WAYS = {
    'replaced by renaming': (plain, lambda f: f.replace('etc/resolv.conf', '127.0.0.8')),
    'written in place': (plain, lambda f: f.write('etc/resolv.conf', '127.0.0.8')),
    'removed and made anew': (plain, removed_and_made_anew),
    'becomes a link': (plain, switched),
    'link is switched': (linked, switched),
    'target of the link is replaced': (linked, lambda f: f.replace('run/NetworkManager/resolv.conf', '127.0.0.8')),
    'target of the link is written in place': (linked, lambda f: f.write('run/NetworkManager/resolv.conf', '127.0.0.8')),
    'file of systemd-resolved behind its stub': (stub, lambda f: f.replace('run/systemd/resolve/resolv.conf', '127.0.0.8')),
    'link to the stub is switched': (stub, switched),
}


def start_with_files(machine, before):
    m = machine({'server': {'listen': ['127.0.0.1:53']}}, mounts=[('root/etc', '/etc'), ('root/run', '/run')])
    m.w.port = 53
    f = Files(f'{m.w.dir}/root')
    before(f)
    m.start()
    m.serve('127.0.0.7', '127.0.0.8')
    assert m.server() == ['NOERROR', '127.0.0.7']
    return m, f


@pytest.mark.parametrize('row', WAYS)
def test_new_server_of_resolv_conf_is_asked(machine, row):
    before, change = WAYS[row]
    m, f = start_with_files(machine, before)
    change(f)
    wait_for(lambda: m.server() == ['NOERROR', '127.0.0.8'], 'an answer of the new server')
    assert m.changes() == ['servers of . 127.0.0.7:53 -> 127.0.0.8:53']
    assert m.problems() == []


def test_servers_of_resolv_conf_in_another_order(machine):
    m, f = start_with_files(machine, lambda f: f.write('etc/resolv.conf', '127.0.0.7', '127.0.0.8'))
    f.replace('etc/resolv.conf', '127.0.0.8', '127.0.0.7')
    wait_for(lambda: m.server() == ['NOERROR', '127.0.0.8'], 'an answer of the server that is first now')
    assert m.changes() == ['servers of . 127.0.0.7:53 127.0.0.8:53 -> 127.0.0.8:53 127.0.0.7:53']


# Runs a command without address family netlink, as a unit that forbids it.
NO_NETLINK = f'''import ctypes, os, platform, struct, sys
call = {{'x86_64': 41, 'aarch64': 198}}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 3, call), (0x20, 0, 0, 16), (0x15, 0, 1, {socket.AF_NETLINK}),
         (0x06, 0, 0, 0x00050000 | {errno.EAFNOSUPPORT}), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *s) for s in steps))
program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(steps), ctypes.addressof(code)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, program):
    raise OSError(ctypes.get_errno(), 'seccomp')
os.execvp(sys.argv[1], sys.argv[1:])'''


@pytest.mark.skipif(platform.machine() not in ('x86_64', 'aarch64'), reason='the filter knows two machines')
def test_resolv_conf_is_followed_where_addresses_cannot_be_known(machine):
    m = machine({'server': {'listen': ['127.0.0.1:53']}}, mounts=[('root/etc', '/etc')])
    m.w.port = 53
    f = Files(f'{m.w.dir}/root')
    plain(f)
    m.w.before += [sys.executable, '-c', NO_NETLINK]
    m.w.start()
    m.serve('127.0.0.7', '127.0.0.8')
    wait_for(m.problems, 'the problem')
    assert os.strerror(errno.EAFNOSUPPORT) in m.problems()[0]
    f.replace('etc/resolv.conf', '127.0.0.8')
    wait_for(lambda: m.server() == ['NOERROR', '127.0.0.8'], 'an answer of the new server')


def test_file_that_is_mounted_over_resolv_conf_is_watched_itself(machine):
    """As in a container: nothing changes in /etc, the file is written from outside."""
    m = machine({'server': {'listen': ['127.0.0.1:53']}}, mounts=[('resolv.conf', '/etc/resolv.conf')])
    m.w.port = 53
    path = f'{m.w.dir}/resolv.conf'
    with open(path, 'w') as f:
        f.write('nameserver 127.0.0.7\n')
    m.start()
    m.serve('127.0.0.7', '127.0.0.8')
    assert m.server() == ['NOERROR', '127.0.0.7']
    with open(path, 'w') as f:
        f.write('nameserver 127.0.0.8\n')
    wait_for(lambda: m.server() == ['NOERROR', '127.0.0.8'], 'an answer of the new server')


NO_SERVERS = {
    'empty': lambda f: f.write('etc/resolv.conf'),
    'ourselves only': lambda f: f.replace('etc/resolv.conf', '127.0.0.1'),
    'gone': lambda f: f.remove('etc/resolv.conf'),
    'link to nowhere': lambda f: f.link('etc/resolv.conf', '/run/later/resolv.conf'),
}


@pytest.mark.parametrize('row', NO_SERVERS)
def test_resolv_conf_without_servers_keeps_those_of_before_and_says_so(machine, row):
    m, f = start_with_files(machine, plain)
    f.replace('etc/resolv.conf', '127.0.0.8')
    wait_for(lambda: m.server() == ['NOERROR', '127.0.0.8'], 'an answer of the second server')
    NO_SERVERS[row](f)
    wait_for(m.problems, 'a problem in status')
    assert '! machine: /etc/resolv.conf has no server' in m.w.ctl('status', ok=7).out
    assert m.server() == ['NOERROR', '127.0.0.8']
    m.run('ip', 'addr', 'add', '10.99.0.1/24', 'dev', 'lo')
    wait_for(lambda: '10.99.0.0/24' in m.changes()[-1], 'the new network')
    assert m.server() == ['NOERROR', '127.0.0.8']
    assert len([c for c in m.changes() if 'has no server' in c]) == 1
    if row == 'link to nowhere':
        os.mkdir(f'{f.root}/run/later')
        f.write('run/later/resolv.conf', '127.0.0.7')
    else:
        f.replace('etc/resolv.conf', '127.0.0.7')
    wait_for(lambda: m.server() == ['NOERROR', '127.0.0.7'], 'an answer of the server')
    assert m.problems() == []
