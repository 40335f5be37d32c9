# SPDX-License-Identifier: BSD-2-Clause
"""A second reader, which shares nothing with ours: of mutated messages dnspython accepts each that we accept, and finds the
same records in it. So nothing is smuggled past whoever reads behind us (CVE-2026-5172, CVE-2026-42004)."""
import os
import random
import struct
import subprocess

import dns.edns
import dns.message
import dns.rdata
import pytest

from process import BUILD

MESSAGES = int(os.environ.get('WAYMARK_MUTATED', 50000))
CORPUS = os.path.join(os.path.dirname(__file__), '..', 'fuzz', 'corpus')
# Types of RFC 1035 and after, whose names may be compressed: there is something to mutate in them.
OWNERS = [b'\xc0\x0c', b'\0', b'\xc0\x00', b'\xc0\x0b', b'\x01a\xc0\x0c', b'\x01A\x01b\0', b'\x3f' + b'x' * 63 + b'\0']
TYPES = [1, 2, 5, 6, 12, 13, 14, 15, 16, 17, 18, 21, 26, 28, 33, 35, 36, 39, 41, 46, 47, 64, 99, 257, 65280]


def originals():
    made = []
    for folder in 'query', 'reply':
        for name in sorted(os.listdir(f'{CORPUS}/{folder}')):
            with open(f'{CORPUS}/{folder}/{name}', 'rb') as f:
                made.append(f.read()[:1500])
    return [m for m in made if len(m) >= 12]


def record(chance):
    data = b''.join(chance.choice([b'\xc0\x0c', b'\x01a\xc0\x0c', b'\0', b'\x02ab\0', bytes([chance.randrange(256)]),
                                   b'\0\1', b'\x04text', b'\x0a\0\0\1', b'\0' * 20]) for _ in range(chance.randrange(6)))
    lie = chance.choice([0] * 9 + [-1, 1, 2, 300])
    return (chance.choice(OWNERS) + struct.pack('>HHIH', chance.choice(TYPES), chance.choice([1, 1, 1, 3, 254]),
            chance.choice([0, 60, 86400, 1 << 31, (1 << 32) - 1]), max(0, len(data) + lie)) + data)


def mutated(chance, messages):
    m = bytearray(chance.choice(messages))
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3, 8])):
        at = chance.randrange(len(m)) if m else 0
        kind = chance.randrange(7)
        if kind == 0 and m:
            m[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and m:
            m[at] = chance.choice([0, 1, 12, 63, 64, 192, 255])
        elif kind == 2:
            del m[at:at + chance.choice([1, 2, 10, 1000])]
        elif kind == 3:
            m[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice([1, 2, 11])))
        elif kind == 4 and len(m) >= 12:  # a record more, in one of the sections
            m += record(chance)
            count = 6 + 2 * chance.randrange(3)
            m[count:count + 2] = struct.pack('>H', (struct.unpack('>H', m[count:count + 2])[0] + 1) & 0xffff)
        elif kind == 5 and len(m) >= 12:
            m[2] ^= 128  # a query becomes a reply
        elif kind == 6 and len(m) > 20:
            m[at:at + 2] = b'\xc0' + bytes([chance.randrange(len(m)) & 255])  # a pointer to anywhere
    return bytes(m)


def ours(messages):
    """The types that are looked into; of each message None, or its records and those of its image."""
    data = b''.join(struct.pack('>H', len(m)) + m for m in messages)
    out = subprocess.run([f'{BUILD}/tests/live/tool_read'], input=data, capture_output=True, check=True).stdout.decode()
    types, *lines = out.splitlines()

    def records(text):
        return [(int(r[0]), bytes.fromhex(r[1]), int(r[2]), int(r[3]), int(r[4]), bytes.fromhex(r[5]))
                for r in (word.split(',') for word in text.split())]

    return {int(t) for t in types.split()}, [
        None if line[0] == '-' else [records(part) for part in line[1:].split('|')] for line in lines]


class Reader:
    """dnspython, where it looks into what we look into: an EDNS option, and RDATA of a type that our reader does not know,
    are octets that it hands on as they are (RFC 3597), whatever they say."""

    def __init__(self, monkeypatch, types):
        real = dns.rdata.get_rdata_class
        self.rest = False  # what stands behind names in RDATA (bitmaps, SVCB parameters, a CAA value, GPOS numbers, a second subaddress of ISDN) is octets to us, too
        self.generic = set()  # (class, type) that were so

        def choose(rdclass, rdtype):
            opaque = rdtype not in types or (rdtype in (1, 28) and rdclass != 1)
            made = dns.rdata.GenericRdata if opaque or (self.rest and rdtype in REST) else real(rdclass, rdtype)
            if made is dns.rdata.GenericRdata and not opaque:
                self.generic.add((int(rdclass), int(rdtype)))
            return made

        monkeypatch.setattr(dns.rdata, 'get_rdata_class', choose)
        monkeypatch.setattr(dns.edns, 'get_option_class', lambda option: dns.edns.GenericOption)

    def read(self, wire):
        self.generic.clear()
        try:
            message = dns.message.from_wire(wire, one_rr_per_rrset=True, raise_on_truncation=False)
        except Exception:
            if self.rest:
                raise
            self.rest = True
            try:
                return self.read(wire)
            finally:
                self.rest = False
        return [(section - 1, rrset.name.to_wire(), int(rrset.rdtype), int(rrset.rdclass), rrset.ttl, rrset[0].to_wire())
                for section in (1, 2, 3) for rrset in message.sections[section]]


REST = {20, 24, 27, 30, 46, 47, 64, 65, 257}
OPT, TSIG = 41, 250


def same(a, b, generic):
    """A name that was compressed in RDATA comes out of our reader in lower case: its octets may be those of the question,
    whose case is random. A type that dnspython has no class for keeps its pointers there."""
    return a[:5] == b[:5] and (a[5].lower() == b[5].lower() or a[3:1:-1] in generic)


def test_cve_2026_5172_and_42004_dnspython_accepts_what_we_accept_and_finds_the_same_records(monkeypatch):
    chance = random.Random(20261130)
    messages = originals()
    messages += [mutated(chance, messages) for _ in range(MESSAGES)]
    types, found = ours(messages)
    reader = Reader(monkeypatch, types)
    accepted = records = 0
    assert len(found) == len(messages)
    for wire, mine in zip(messages, found):
        if mine is None or any(r[2] == TSIG for r in mine[0]):  # a signed message needs a key there
            continue
        accepted += 1
        try:
            theirs = reader.read(wire)
        except Exception as e:
            pytest.fail(f'we accept what dnspython refuses, {e!r}: {wire.hex()}')
        mine[0] = [r for r in mine[0] if r[2] != OPT]
        records += len(mine[0])
        if len(mine[0]) != len(theirs) or not all(same(a, b, reader.generic) for a, b in zip(mine[0], theirs)):
            pytest.fail(f'other records: {mine[0]} {theirs} of {wire.hex()}')
        for kept in mine[1] if len(mine) > 1 else []:  # of a reply: each is one of those that came
            assert any(same((0, kept[1].lower(), *kept[2:4], 0, kept[5]), (0, r[1].lower(), *r[2:4], 0, r[5]), reader.generic)
                       for r in theirs), f'kept, but not sent: {kept} of {wire.hex()}'
    assert accepted > MESSAGES / 10 and records > MESSAGES / 10, 'hardly any was accepted: this shows nothing'
    print(f'{len(messages)} messages, {accepted} accepted, {records} records')
