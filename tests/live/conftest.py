# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the live tests. Everything that is started is ended here, by its process id."""
import os
import shutil
import subprocess

import pytest

from network import Network
from process import BUILD, SLOW, finish
from upstreams import Fake, Named, Nsd, Unbound
from waymark import Waymark

# What an administrator sees is the same with a sanitizer, and takes three times as long.
collect_ignore = ['test_article.py', 'test_field.py', 'test_formats.py', 'test_pages.py', 'test_windows_client.py'] if SLOW else []

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
    """Adds "passed failed" to the file that sums all kinds of tests."""
    done = terminalreporter.stats
    if os.environ.get('WAYMARK_COUNT'):
        with open(os.environ['WAYMARK_COUNT'], 'a') as f:
            f.write(f"{len(done.get('passed', []))} {len(done.get('failed', [])) + len(done.get('error', []))}\n")


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
