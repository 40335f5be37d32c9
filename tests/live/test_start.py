# SPDX-License-Identifier: BSD-2-Clause
"""Start, reload, stop, and the words in which they fail."""
import os
import shutil
import signal
import socket
import subprocess
import time

import ask
import pytest
from conftest import POLICY
from process import HERE, SLOW, free_port, wait_for
from upstreams import Silent
from waymark import program

STOP = 10 if SLOW else 1  # seconds


def refused(w, *words, code=5):
    w.start(*words, ready=False)
    got = w.daemon.wait()
    said = w.daemon.said()
    w.daemon = None
    assert got == code, (got, said)
    return said


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT], ids=['SIGTERM', 'SIGINT'])
def test_stop_takes_less_than_a_second(nsd, waymark, number):
    w = waymark(upstream=nsd.port, policy=POLICY)
    w.find('fabrikam.local')
    with ask.Stream(w.port):  # somebody who keeps his connection does not hold it up
        began = time.monotonic()
        w.stop(number)
        assert time.monotonic() - began < STOP


def test_stop_while_the_servers_are_silent(waymark, peers):
    silent = peers(Silent)
    w = waymark(upstream=silent.port)
    with ask.Datagrams(w.port) as d:
        for n in range(100):
            d.socket.send(ask.dns.message.make_query(f'host{n}.example', 'A').to_wire())
        silent.socket.settimeout(10)
        silent.socket.recv(512)
        began = time.monotonic()
        w.stop()
        assert time.monotonic() - began < STOP


@pytest.mark.parametrize('kind', [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=['UDP', 'TCP'])
def test_port_in_use_is_said_with_the_remedy(waymark, kind):
    w = waymark(upstream=9, start=False)
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(('127.0.0.1', w.port))
        if kind == socket.SOCK_STREAM:
            s.listen()
        said = refused(w, code=1)
    assert f'127.0.0.1:{w.port}' in said and 'the port is in use' in said and 'set server.listen' in said, said


def test_address_of_no_interface_is_said_with_the_remedy(waymark):
    w = waymark({'server': {'listen': ['192.0.2.1:5300']}}, upstream=9, start=False)
    assert '192.0.2.1:5300 (UDP): cannot be bound: no interface of this machine has that address' in refused(w, code=1)


def test_second_daemon_does_not_share_the_port_in_silence(nsd, waymark):
    first = waymark(upstream=nsd.port)
    second = waymark({'server': {'listen': [f'127.0.0.1:{first.port}']}}, upstream=nsd.port, start=False)
    assert f'127.0.0.1:{first.port} (UDP): cannot be bound: the port is in use' in refused(second, code=1)
    assert ask.addresses(first.ask('www.contoso.com', 'A')) == ['10.0.0.80']


def test_one_address_may_be_a_part_of_another(nsd, waymark):
    port = free_port()
    w = waymark({'server': {'listen': [f'0.0.0.0:{port}', f'127.0.0.1:{port}']}}, upstream=nsd.port)
    w.port = port
    assert ask.addresses(w.ask('www.contoso.com', 'A')) == ['10.0.0.80']
    assert ask.addresses(w.tcp('www.contoso.com', 'A')) == ['10.0.0.80']


WRONG = {
    'unknown key': ('server:\n  listn: ["127.0.0.1:53"]\n', '2:3', 'listen'),
    'unknown section': ('cahce:\n  size: 64M\n', '1:1', 'cache'),
    'bad unit': ('cache:\n  size: 64Q\n', '2:9', '64Q'),
    'out of range': ('kms:\n  upstream-deadline: 3h\n', '2:22', '3h'),
    'tab': ('server:\n\tname: x\n', '2:1', 'tab'),
    'given twice': ('kms:\n  mode: live\n  mode: off\n', '3:3', 'mode'),
    'no address': ('forward:\n  - {zone: ., servers: ["nowhere"]}\n', '2:', 'nowhere'),
}


@pytest.mark.parametrize('row', WRONG)
def test_wrong_settings_are_refused_with_their_place(waymark, row):
    text, place, word = WRONG[row]
    w = waymark(start=False)
    with open(w.file, 'w') as f:
        f.write(text)
    done = subprocess.run([program('waymarkd'), '-c', w.file, '--check'], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 5, done
    assert f'{w.file}:{place}' in done.stderr and word in done.stderr, done.stderr
    assert f'{w.file}:{place}' in refused(w)


def test_check_names_the_reverse_zones_that_are_answered_here(waymark):
    told = {}
    for server in ('9.9.9.9', '10.0.0.53'):
        w = waymark({'forward': [{'zone': '.', 'servers': [server]}]}, start=False)
        done = subprocess.run([program('waymarkd'), '-c', w.file, '--check'], capture_output=True, text=True, timeout=30, check=True)
        told[server] = done.stdout.split()
    assert '10.in-addr.arpa' in told['9.9.9.9'] and told['10.0.0.53'] == [], told


def test_all_mistakes_are_told_at_once(waymark):
    w = waymark(start=False)
    with open(w.file, 'w') as f:
        f.write('server: {workers: many}\ncache: {size: 1}\nkms: {mode: on}\n')
    said = refused(w)
    assert all(f'{w.file}:{line}:' in said for line in (1, 2, 3)), said


def test_reload_takes_new_settings_and_keeps_old_ones_from_a_bad_file(nsd, waymark):
    w = waymark(upstream=nsd.port, policy=POLICY)
    generation = w.json('status')['settings']['generation']
    w.settings['access'] = [{'net': '127.0.0.3/32', 'action': 'refuse'}]
    w.write_settings()
    assert 'access' in w.ctl('reload').out
    assert ask.rcode(w.ask('www.contoso.com', 'A', source='127.0.0.3')) == 'REFUSED'
    with open(w.file, 'a') as f:
        f.write('garbage: [')
    assert w.file in w.ctl('reload', ok=5).err
    code, body = w.api('POST', '/v1/reload')
    assert code == 400 and w.file in body['problems'][0], body
    w.daemon.send(signal.SIGHUP)
    wait_for(lambda: w.said().count(f'{w.file}:') >= 1, 'the mistake in the log')
    assert w.api('GET', '/v1/status')[1]['settings']['generation'] == generation + 1
    assert ask.rcode(w.ask('www.contoso.com', 'A', source='127.0.0.3')) == 'REFUSED'
    assert ask.rcode(w.ask('www.contoso.com', 'A')) == 'NOERROR'


def test_sighup_reloads(nsd, waymark):
    w = waymark(upstream=nsd.port)
    w.settings['access'] = [{'net': '127.0.0.3/32', 'action': 'refuse'}]
    w.write_settings()
    w.daemon.send(signal.SIGHUP)
    wait_for(lambda: ask.rcode(w.ask('www.contoso.com', 'A', source='127.0.0.3')) == 'REFUSED', 'the new access list')


def test_reload_says_what_waits_for_a_restart(nsd, waymark):
    w = waymark(upstream=nsd.port)
    w.settings['cache'] = {'size': '32M'}
    w.write_settings()
    out = w.ctl('reload').out
    assert 'cache.size' in out and 'restart' in out, out


def test_server_that_was_added_by_reload_is_asked(nsd, waymark):
    w = waymark(upstream=1)
    w.settings['forward'] = [{'zone': '.', 'servers': [f'127.0.0.1:{nsd.port}']}]
    w.write_settings()
    w.ctl('reload')
    assert ask.addresses(w.ask('www.contoso.com', 'A')) == ['10.0.0.80']


def test_resolv_conf_that_names_only_ourselves_is_refused_in_words(waymark, namespace):
    w = waymark({'server': {'listen': ['127.0.0.1:53']}}, start=False)
    with open(f'{w.dir}/resolv.conf', 'w') as f:
        f.write('nameserver 127.0.0.1\n')
    w.inside(namespace, f'mount --bind {w.dir}/resolv.conf /etc/resolv.conf')
    said = refused(w)
    assert '/etc/resolv.conf' in said and 'forward:' in said, said


def test_servers_of_resolv_conf_are_used_when_none_are_set(waymark, namespace):
    """In a network of its own, where the server of resolv.conf has port 53."""
    w = waymark({'server': {'listen': ['127.0.0.1:53']}}, start=False)
    with open(f'{w.dir}/resolv.conf', 'w') as f:
        f.write('nameserver 127.0.0.1\nnameserver 127.0.0.7\n')
    w.inside(namespace, 'ip link set lo up', f'mount --bind {w.dir}/resolv.conf /etc/resolv.conf')
    w.start()
    servers = [s['address'] for r in w.json('upstreams')['routes'] for s in r['servers']]
    assert servers == ['127.0.0.7:53']


def test_unit_is_hardened(tmp_path):
    """systemd's own score: 0 is best, 10 worst; Debian's units of DNS servers have 2.1 to 9.6."""
    analyze = shutil.which('systemd-analyze')
    if not analyze:
        pytest.skip('systemd-analyze is not installed')
    with open(os.path.join(HERE, '../../conf/waymark.service.in')) as f:
        unit = f.read().replace('@sbindir@/waymarkd', '/bin/true').replace('@statedir@', 'x').replace('@rundir@', 'x')
    path = tmp_path / 'waymark.service'
    path.write_text(unit)
    done = subprocess.run([analyze, 'security', '--offline=true', '--threshold=15', '--no-pager', path],
                          capture_output=True, text=True, timeout=60, check=False)
    if 'nrecognized option' in done.stderr:
        pytest.skip('this systemd-analyze cannot work offline')
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_help_and_version_need_no_settings():
    for name in ('waymarkd', 'waymarkctl'):
        for word in ('--help', '--version'):
            done = subprocess.run([program(name), word], capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 0 and name in done.stdout and done.stderr == '', done


def test_what_the_tool_asks_of_the_workers_comes_at_once(waymark):
    w = waymark(upstream=9)
    w.ctl('upstreams')
    begun = time.monotonic()
    for _ in range(8):
        w.ctl('upstreams')
    assert time.monotonic() - begun < 2  # a tick of the main loop is half a second
