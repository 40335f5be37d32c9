# SPDX-License-Identifier: BSD-2-Clause
"""Real clients find the KMS host that the policy names, with their own programs and libraries."""
import functools
import os
import re
import select
import shutil
import subprocess

import pytest

from ask import discovery
from conftest import POLICY
from process import BUILD, HERE

FILLED = ['kms01.contoso.com', 'kms02.contoso.com']
NODE = '''
const [port, name, type] = process.argv.slice(1);
const r = new (require("dns").promises.Resolver)();
r.setServers(["127.0.0.1:" + port]);
r.resolve(name, type).then(console.log);
'''
GO = '''package main

import ("context"; "fmt"; "net"; "os")

func main() {
	r := &net.Resolver{PreferGo: true, Dial: func(c context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(c, network, "127.0.0.1:" + os.Args[1])
	}}
	if os.Args[3] == "A" {
		fmt.Println(r.LookupHost(context.Background(), os.Args[2]))
		return
	}
	_, records, err := r.LookupSRV(context.Background(), "", "", os.Args[2])
	for _, one := range records { fmt.Println(one.Target, one.Port) }
	fmt.Println(err)
}
'''


def run(*words, **more):
    if not os.path.isabs(words[0]) and not shutil.which(words[0]):
        pytest.skip(f'{words[0]} is not installed')
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **more)
    return done.stdout + done.stderr


def pycares(p, n, t):
    """The library in this process."""
    module = pytest.importorskip('pycares', reason='pycares is not installed')
    got = []
    channel = module.Channel(servers=['127.0.0.1'], udp_port=int(p), tcp_port=int(p))
    channel.query(n, getattr(module, f'QUERY_TYPE_{t}'), lambda result, error: got.append((result, error)))
    while not got:
        r, w = channel.getsock()
        r, w, _ = select.select(r, w, [], channel.timeout())
        for fd in r or [module.ARES_SOCKET_BAD]:
            channel.process_fd(fd, w[0] if w else module.ARES_SOCKET_BAD)
    return str(got)


@functools.cache
def built(name, text, *command):
    """The program that the command makes of the text, in the build folder; {source} and {program} are its words."""
    if not shutil.which(command[0]):
        pytest.skip(f'{command[0]} is not installed')
    source = os.path.join(BUILD, 'tests/live', name)
    program = os.path.splitext(source)[0]
    with open(source, 'w') as f:
        f.write(text)
    subprocess.run([w.format(source=source, program=program) for w in command], timeout=300, check=True)
    return program


def musl():
    with open(os.path.join(HERE, 'tool_resquery.c')) as f:
        return built('client_musl.c', f.read(), 'musl-gcc', '-std=c11', '-static', '-o', '{program}', '{source}')


def go():
    return built('client_go.go', GO, 'go', 'build', '-o', '{program}', '{source}')


# What a client types for port, name and type; or a function that asks.
ROWS = {
    'dig': lambda p, n, t: ['dig', '@127.0.0.1', '-p', p, n, t, '+short'],
    'dig tcp': lambda p, n, t: ['dig', '@127.0.0.1', '-p', p, n, t, '+short', '+tcp'],
    'dig without edns': lambda p, n, t: ['dig', '@127.0.0.1', '-p', p, n, t, '+short', '+noedns'],
    'dig with do and cd': lambda p, n, t: ['dig', '@127.0.0.1', '-p', p, n, t, '+short', '+dnssec', '+cd'],
    'drill': lambda p, n, t: ['drill', '-Q', '-p', p, '@127.0.0.1', n, t],
    'kdig': lambda p, n, t: ['kdig', '@127.0.0.1', '-p', p, n, t, '+short'],
    'kdig tcp': lambda p, n, t: ['kdig', '@127.0.0.1', '-p', p, n, t, '+short', '+tcp'],
    'host': lambda p, n, t: ['host', '-p', p, '-t', t, n, '127.0.0.1'],
    'delv -i': lambda p, n, t: ['delv', '-i', '@127.0.0.1', '-p', p, n, t, '+short'],
    # Microsoft's own test in the article is `nslookup -type=all`, which asks for ANY; BIND's nslookup has another word.
    'nslookup -type=any': lambda p, n, t: ['nslookup', '-type=any', f'-port={p}', n, '127.0.0.1'],
    'nslookup -type=srv': lambda p, n, t: ['nslookup', f'-type={t}', f'-port={p}', n, '127.0.0.1'],
    'glibc': lambda p, n, t: [os.path.join(BUILD, 'tests/live/tool_resquery'), p, n, t],
    'musl': lambda p, n, t: [musl(), p, n, t],
    'c-ares of node': lambda p, n, t: ['node', '-e', NODE, p, n, t],
    'c-ares of python': pycares,
    'go': lambda p, n, t: [go(), p, n, t],
}


@pytest.fixture(params=ROWS)
def client(request, served):
    """client(name, type): what the client printed."""
    def ask(name, kind='SRV'):
        done = ROWS[request.param](str(served.port), name, kind)
        return run(*done) if isinstance(done, list) else done
    return ask


def hosts(text):
    return sorted(set(re.findall(r'kms0\d\.contoso\.com', text)))


def test_client_finds_the_host_that_the_policy_names(client):
    assert hosts(client(discovery('fabrikam.local'))) == FILLED


def test_client_gets_the_real_record_where_there_is_one(client):
    assert hosts(client(discovery('contoso.com'))) == FILLED[:1]


def test_client_finds_the_address_of_the_host(client):
    assert '10.0.0.5' in client('kms01.contoso.com', 'A')


def test_drill_shows_the_case_that_was_asked(served):
    out = run('drill', '-p', str(served.port), '@127.0.0.1', '_VLMCS._TCP.Fabrikam.LOCAL', 'SRV')
    assert '_VLMCS._TCP.Fabrikam.LOCAL.' in out and hosts(out) == FILLED


def test_dig_prints_no_warning(served):
    out = run('dig', '@127.0.0.1', '-p', str(served.port), discovery('tailspin.com'), 'SRV')
    assert 'status: NOERROR' in out and ';; WARNING' not in out and 'malformed' not in out.lower(), out
    assert re.search(r'flags: qr rd ra;', out), out


def test_update_of_nsupdate_is_refused_and_recorded(nsd, waymark):
    """A rogue KMS host publishes itself; it is not to be found afterwards."""
    w = waymark(upstream=nsd.port, policy=POLICY)
    out = run('nsupdate', '-t', '10', input=f'server 127.0.0.1 {w.port}\nzone fabrikam.local\n'
              'update add _vlmcs._tcp.fabrikam.local 3600 SRV 0 0 1688 ws7.fabrikam.local\nsend\n')
    assert 'update failed: REFUSED' in out
    w.audit()
    (row,) = w.json('audit', 'clients', '--outcome', 'update')['clients']
    assert (row['address'], row['questions']) == ('127.0.0.1', 1)
    assert 'fabrikam.local' in w.ctl('audit', 'events', '--outcome', 'update').out
    assert w.find('fabrikam.local') == [f'{h}.:1688' for h in FILLED]


def test_address_of_a_pool_is_in_the_additional_section(served):
    answer = served.ask(discovery('fabrikam.local'))
    assert [(str(r.name), r[0].address) for r in answer.additional] == [('kms02.contoso.com.', '10.0.0.9')]
