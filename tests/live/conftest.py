# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the live tests. Everything that is started is ended here, by its process id."""
import os
import shutil
import subprocess

import pytest

from network import Network
from process import BUILD, RACES, SLOW, finish
from upstreams import Fake, Named, Nsd, Unbound
from waymark import Waymark

# What an administrator sees is the same with a sanitizer, and takes three times as long; and what fails on purpose is either
# allocated by the sanitizer, or counted in system calls of which it makes others.
collect_ignore = ['test_article.py', 'test_fault_calls.py', 'test_fault_clock.py', 'test_fault_memory.py', 'test_fault_power.py', 'test_field.py',
                  'test_formats.py', 'test_pages.py', 'test_windows_client.py'] if SLOW else []
# Races are looked for where threads meet: load, changes, reloads, outputs, health, starts and ends.
if RACES:
    collect_ignore += ['test_answers.py', 'test_clients.py', 'test_confine.py', 'test_damage.py', 'test_doctor.py', 'test_explain.py',
                       'test_failing.py', 'test_limits.py', 'test_loop.py', 'test_proxy.py', 'test_resolvers.py', 'test_rights.py', 'test_routes.py',
                       'test_second_hop.py', 'test_second_reader.py', 'test_spoof.py', 'test_transparency.py', 'test_verify.py']

CONTOSO = '''
_vlmcs._tcp 3600 IN SRV 0 0 1688 kms01
kms01 IN A 10.0.0.5
www 300 IN A 10.0.0.80
www IN AAAA 2001:db8::80
old CNAME www
'''
FABRIKAM = '''
dc01 IN A 10.9.0.1
'''
POLICY = '''
waymark-policy: 1
networks:
  dmz: [127.0.0.2/32]
pools:
  contoso:
    - kms01.contoso.com
    - {target: kms02.contoso.com, priority: 10, addresses: [10.0.0.9]}
rules:
  merged-domains:
    suffixes: [fabrikam.local, tailspin.com, "*.lab.contoso.com"]
    pool: contoso
    comment: CHG0042 merger
  dmz-mak:
    suffixes: ["*"]
    networks: [dmz]
    action: deny
'''
HOSTS = ['kms01.contoso.com.:1688', 'kms02.contoso.com.:1688']  # of its pool, as Waymark.find() says


def pytest_configure():
    if not os.path.exists(os.path.join(BUILD, 'waymarkd')):
        pytest.exit(f'no waymarkd in {BUILD}: run `make check-live`, or set WAYMARK_BUILD to the build folder', 2)


def pytest_terminal_summary(terminalreporter):
    """Adds a line of each test to the file of all kinds of tests; workers of pytest-xdist have their parts of it only."""
    if os.environ.get('WAYMARK_COUNT') and 'PYTEST_XDIST_WORKER' not in os.environ:
        with open(os.environ['WAYMARK_COUNT'], 'a') as f:
            for result, words in ('ok', ['passed']), ('FAILED', ['failed', 'error']), ('skipped', ['skipped']):
                for test in [t for w in words for t in terminalreporter.stats.get(w, [])]:
                    of, _, name = test.nodeid.partition('::')
                    print(result, f'live/{os.path.basename(of)}', name, sep='\t', file=f)


@pytest.fixture(scope='session')
def nsd():
    """The real DNS: contoso.com with a KMS record, fabrikam.local without; every other name does not exist."""
    server = Nsd(zones={'contoso.com': CONTOSO, 'fabrikam.local': FABRIKAM, 'tailspin.com': '', '.': ''})
    yield server
    server.finish()


@pytest.fixture
def waymark():
    """Makes daemons: waymark(settings, upstream=port, policy=text) returns one that runs."""
    made = []

    def make(settings=None, upstream=None, policy=None, start=True, **more):
        w = Waymark(settings, upstream, **more)
        made.append(w)
        if policy:
            w.policy(policy)
        return w.start() if start else w

    yield make
    finish(made)


@pytest.fixture
def peers():
    """Ends what a test made of Nsd, Unbound, Named and Fake: peers(Fake, answer)."""
    made = []

    def make(kind, *words, **more):
        made.append(kind(*words, **more))
        return made[-1]

    yield make
    finish(made)


@pytest.fixture(scope='session')
def served(nsd):
    """One daemon in front of nsd with the usual policy, for tests that only ask."""
    w = Waymark(upstream=nsd.port)
    try:
        w.policy(POLICY)
        yield w.start()
    finally:
        w.finish()


@pytest.fixture(scope='session')
def namespace():
    """namespace(net=True): words that run a command with mounts (and network) of its own."""
    root = [] if os.geteuid() == 0 else ['-r']
    probe = ['unshare', '-mn', *root, 'sh', '-c', 'mount -t tmpfs none /mnt']
    if not shutil.which('unshare') or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip('needs a mount namespace: root, or user namespaces')
    return lambda net: ['unshare', '-mn' if net else '-m', *root]


@pytest.fixture
def network(namespace):
    """The network of the worked pages, without Waymark's settings."""
    one = Network(namespace)
    yield one
    one.finish()
