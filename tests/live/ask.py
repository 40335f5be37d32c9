# SPDX-License-Identifier: BSD-2-Clause
"""Questions to a DNS server, as a client asks them."""
import socket
import struct

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

WAIT = 10  # a client's patience: far above what an answer takes, so that a slow machine fails no test


def udp(port, name, kind='SRV', source=None, server='127.0.0.1', edns=None, dnssec=False, **flags):
    q = dns.message.make_query(name, kind, use_edns=0 if edns is None and dnssec else edns, want_dnssec=dnssec)
    for flag, on in flags.items():
        bit = dns.flags.from_text(flag.upper())
        q.flags = q.flags | bit if on else q.flags & ~bit
    return dns.query.udp(q, server, port=port, timeout=WAIT, source=source)


def tcp(port, name, kind='SRV', source=None, server='127.0.0.1'):
    return dns.query.tcp(dns.message.make_query(name, kind), server, port=port, timeout=WAIT, source=source)


def targets(answer):
    """The hosts of an SRV answer, sorted: ['kms01.contoso.com.:1688']."""
    return sorted(f'{rr.target}:{rr.port}' for rrset in answer.answer if rrset.rdtype == dns.rdatatype.SRV
                  for rr in rrset)


def rcode(answer):
    return dns.rcode.to_text(answer.rcode())


def addresses(answer):
    return sorted(rr.address for rrset in answer.answer if rrset.rdtype in (1, 28) for rr in rrset)


def discovery(suffix):
    return f'_vlmcs._tcp.{suffix}'


class Stream:
    """A TCP connection, with the frames in our hands."""

    def __init__(self, port, source=None, server='127.0.0.1'):
        self.socket = socket.create_connection((server, port), timeout=WAIT, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, message, each=0):
        wire = message if isinstance(message, bytes) else message.to_wire()
        frame = struct.pack('!H', len(wire)) + wire
        for i in range(0, len(frame), each or len(frame)):
            self.socket.sendall(frame[i:i + (each or len(frame))])

    def exactly(self, n):
        got = b''
        while len(got) < n:
            more = self.socket.recv(n - len(got))
            if not more:
                raise EOFError
            got += more
        return got

    def receive(self):
        (n,) = struct.unpack('!H', self.exactly(2))
        return dns.message.from_wire(self.exactly(n))

    def is_closed(self):
        """True when the server closes; waits for it."""
        try:
            return self.socket.recv(1) == b''
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Datagrams:
    """A UDP socket that sends bytes as they are."""

    def __init__(self, port, source='127.0.0.1', server='127.0.0.1'):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.connect((server, port))
        self.socket.settimeout(WAIT)

    def ask(self, wire):
        self.socket.send(wire)
        return self.socket.recv(65535)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
