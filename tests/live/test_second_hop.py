# SPDX-License-Identifier: BSD-2-Clause
"""Waymark behind a validating resolver, below a signed root that denies .local: the README's table, question by question.

A resolver in front keeps what it has heard of other names and types, so the order of questions matters. The built program
alone is asked in all orders; one with a sanitizer, which says nothing else here, in one.
"""
import ask
import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from process import SLOW
from upstreams import Dnsdist, Dnsmasq, Kresd, KresdForward, Named, Nsd, Recursor, Unbound

RESOLVERS = {'BIND': Named, 'unbound': Unbound, 'Recursor': Recursor, 'dnsmasq': Dnsmasq, 'dnsdist': Dnsdist,
             'kresd STUB': Kresd, 'kresd FORWARD': KresdForward}
# What is asked before the discovery question (its name, the suffix, the name of a neighbour below the same signed zone),
# and how that one is asked.
ORDERS = {
    'SRV alone': ((), {}),
    'TXT first': ((('_vlmcs._tcp.{suffix}', 'TXT'),), {}),
    'A of the suffix first': ((('{suffix}', 'A'),), {}),
    '_tcp first': ((('_tcp.{suffix}', 'A'),), {}),
    'DO': ((), {'dnssec': True}),
    'CD': ((), {'cd': True}),
    'DS first': ((('{suffix}', 'DS'),), {}),
    'neighbour first': ((('{neighbour}', 'A'),), {}),
}
# (suffix, its neighbour, break-dnssec)
ZONES = {
    'signed': ('fabrikam.local', 'printer.local', False),
    'signed, break-dnssec': ('fabrikam.local', 'printer.local', True),
    'unsigned': ('tailspin.com', 'printer.com', False),
}
NONE, ALL = set(), set(ORDERS)
# Those that ask with DO get the signed denial, and those that pass DO on give it to a client that asks so. kresd in
# mode FORWARD, once it has a signed denial, applies it to all names that it covers.
FILLED = {
    ('unbound', 'signed'): NONE,
    ('Recursor', 'signed'): NONE,
    ('dnsmasq', 'signed'): ALL - {'DO'},
    ('dnsdist', 'signed'): ALL - {'DO'},
    ('kresd FORWARD', 'signed'): NONE,
    ('kresd FORWARD', 'signed, break-dnssec'): ALL - {'DS first', 'neighbour first'},
}
ASKED = ('SRV alone',) if SLOW else ORDERS


@pytest.fixture(scope='module')
def signed_root():
    """tailspin.com is delegated without DS; fabrikam.local and all of .local are denied with signatures."""
    below = ''.join(f'{z} NS ns.invalid.\n' for z in ('lan', 'net', 'tailspin.com'))
    server = Nsd(zones={'.': below, 'tailspin.com': ''}, signed='.')
    yield server
    server.finish()


def found(resolver, order, suffix, neighbour):
    before, flags = ORDERS[order]
    for name, kind in before:
        ask.udp(resolver.port, name.format(suffix=suffix, neighbour=neighbour), kind)
    first, again = (ask.udp(resolver.port, discovery(suffix), **flags) for _ in range(2))
    assert ask.targets(first) == ask.targets(again), 'the same from its cache'
    return ask.targets(first)


@pytest.mark.parametrize('zone', ZONES)
@pytest.mark.parametrize('row', RESOLVERS)
def test_filled_behind_a_validating_resolver(signed_root, waymark, peers, row, zone):
    suffix, neighbour, breaks = ZONES[zone]
    filled = {}
    for order in ASKED:
        w = waymark(upstream=signed_root.port, policy=POLICY)
        if breaks:
            w.ctl('policy', 'rule', 'set', 'merged-domains', '--break-dnssec', 'yes')
        resolver = peers(RESOLVERS[row], zones=[suffix], waymark=w.port, rest=signed_root.port, anchor=signed_root.anchor)
        hosts = found(resolver, order, suffix, neighbour)
        assert hosts in (HOSTS, [])
        filled[order] = bool(hosts)
    expected = FILLED.get((row, zone), ALL)
    assert filled == {order: order in expected for order in ASKED}
