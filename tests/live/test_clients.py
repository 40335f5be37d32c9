# SPDX-License-Identifier: BSD-2-Clause
"""Real clients find the KMS host that the policy names, with their own programs and libraries."""
import os
import re
import shutil
import subprocess

import pytest

from ask import discovery
from process import BUILD

FILLED = ['kms01.contoso.com', 'kms02.contoso.com']


def run(*words):
    if not os.path.isabs(words[0]) and not shutil.which(words[0]):
        pytest.skip(f'{words[0]} is not installed')
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def hosts(text):
    return sorted(set(re.findall(r'kms0\d\.contoso\.com', text)))


ROWS = {
    'dig': lambda p, n: ['dig', '@127.0.0.1', '-p', p, n, 'SRV', '+short'],
    'dig tcp': lambda p, n: ['dig', '@127.0.0.1', '-p', p, n, 'SRV', '+short', '+tcp'],
    'dig without edns': lambda p, n: ['dig', '@127.0.0.1', '-p', p, n, 'SRV', '+short', '+noedns'],
    'dig with do and cd': lambda p, n: ['dig', '@127.0.0.1', '-p', p, n, 'SRV', '+short', '+dnssec', '+cd'],
    'drill': lambda p, n: ['drill', '-Q', '-p', p, '@127.0.0.1', n, 'SRV'],
    'kdig': lambda p, n: ['kdig', '@127.0.0.1', '-p', p, n, 'SRV', '+short'],
    'kdig tcp': lambda p, n: ['kdig', '@127.0.0.1', '-p', p, n, 'SRV', '+short', '+tcp'],
    # Microsoft's own test in the article is `nslookup -type=all`, which asks for ANY; BIND's nslookup has another word.
    'nslookup -type=any': lambda p, n: ['nslookup', '-type=any', f'-port={p}', n, '127.0.0.1'],
    'nslookup -type=srv': lambda p, n: ['nslookup', '-type=srv', f'-port={p}', n, '127.0.0.1'],
    'glibc': lambda p, n: [os.path.join(BUILD, 'tests/live/tool_resquery'), p, n],
}


@pytest.mark.parametrize('row', ROWS)
def test_client_finds_the_host_that_the_policy_names(served, row):
    assert hosts(run(*ROWS[row](str(served.port), discovery('fabrikam.local')))) == FILLED


@pytest.mark.parametrize('row', ROWS)
def test_client_gets_the_real_record_where_there_is_one(served, row):
    assert hosts(run(*ROWS[row](str(served.port), discovery('contoso.com')))) == FILLED[:1]


def test_drill_shows_the_case_that_was_asked(served):
    out = run('drill', '-p', str(served.port), '@127.0.0.1', '_VLMCS._TCP.Fabrikam.LOCAL', 'SRV')
    assert '_VLMCS._TCP.Fabrikam.LOCAL.' in out and hosts(out) == FILLED


def test_dig_prints_no_warning(served):
    out = run('dig', '@127.0.0.1', '-p', str(served.port), discovery('tailspin.com'), 'SRV')
    assert 'status: NOERROR' in out and ';; WARNING' not in out and 'malformed' not in out.lower(), out
    assert re.search(r'flags: qr rd ra;', out), out


def test_address_of_a_pool_is_in_the_additional_section(served):
    answer = served.ask(discovery('fabrikam.local'))
    assert [(str(r.name), r[0].address) for r in answer.additional] == [('kms02.contoso.com.', '10.0.0.9')]
