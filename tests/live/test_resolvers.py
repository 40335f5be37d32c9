# SPDX-License-Identifier: BSD-2-Clause
"""Waymark behind a resolver that forwards a suffix to it: its clients find the KMS host as well."""
import pytest

import ask
from ask import discovery
from conftest import HOSTS
from upstreams import Dnsdist, Dnsmasq, Kresd, Named, Recursor, Unbound

SUFFIXES = ('fabrikam.local', 'tailspin.com', 'contoso.com')


@pytest.fixture(scope='module', params=[Named, Unbound, Recursor, Dnsmasq, Dnsdist, Kresd],
                ids=['BIND', 'unbound', 'Recursor', 'dnsmasq', 'dnsdist', 'kresd'])
def resolver(request, nsd, served):
    server = request.param(zones=SUFFIXES, waymark=served.port, rest=nsd.port)
    yield server
    server.finish()


def find(resolver, suffix):
    return ask.targets(ask.udp(resolver.port, discovery(suffix)))


def test_lacking_record_is_filled(resolver):
    assert find(resolver, 'fabrikam.local') == HOSTS
    assert find(resolver, 'fabrikam.local') == HOSTS  # from its cache


def test_real_record_passes(resolver):
    assert find(resolver, 'contoso.com') == HOSTS[:1]


@pytest.mark.parametrize('kind', ['TXT', 'A', 'AAAA', 'HTTPS'])
def test_filled_after_the_name_was_asked_for_another_type(resolver, kind):
    """An NXDOMAIN for the TXT would be kept for the whole name, and hide the SRV."""
    name = discovery('tailspin.com')
    other = ask.udp(resolver.port, name, kind)
    assert (ask.rcode(other), other.answer) == ('NOERROR', [])
    assert ask.targets(ask.udp(resolver.port, name)) == HOSTS


def test_negative_answer_has_the_soa_that_a_resolver_needs(resolver):
    answer = ask.udp(resolver.port, discovery('hr.fabrikam.local'))
    assert ask.rcode(answer) == 'NXDOMAIN'
    assert answer.authority[0].rdtype == 6 and answer.authority[0].ttl <= 60
