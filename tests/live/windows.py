# SPDX-License-Identifier: BSD-2-Clause
"""A Windows machine that looks for its KMS host, as its DNS client does it.

The same packet, with the same ID and from the same port, goes out at 0, 1, 2, 4 and 8 s: to the first server, at 1 s to the
second, at 2 s to the third, from 4 s on to all. The first answer ends the search for a name, also when it says that the name
does not exist; no other server is waited for. Then the next suffix is asked for. The machine gives up a name after 10 s.
"""
import dataclasses
import select
import socket
import sys
import time

import ask
import dns.message

SENT_AT = (0, 1, 2, 4, 8)  # in seconds of the machine
GIVES_UP = 10
# Which servers get the packet that is sent at these times; servers that the machine does not have are left out.
TURNS = {1: [[0], [0], [0], [0], [0]],
         2: [[0], [1], [0], [0, 1], [0, 1]],
         3: [[0], [1], [2], [0, 1, 2], [0, 1, 2]]}
# What the activation window shows: HRESULT_FROM_WIN32 of the DNS client's result.
SHOWS = {'NODATA': '0x8007251D', 'FORMERR': '0x80072329', 'SERVFAIL': '0x8007232A', 'NXDOMAIN': '0x8007232B',
         'NOTIMP': '0x8007232C', 'REFUSED': '0x8007232D', 'timeout': '0x800705B4'}


@dataclasses.dataclass
class Lookup:
    """The search for one name."""
    name: str
    sent: list = dataclasses.field(default_factory=list)  # (index of SENT_AT, index of the server)
    heard: list = dataclasses.field(default_factory=list)  # (index of the server, its rcode)
    hosts: list = dataclasses.field(default_factory=list)
    result: str = 'timeout'  # NOERROR, NODATA, a rcode, or timeout


class Windows:
    """servers: (address, port) in the order of its settings; suffixes in the order in which it asks for them.

    second: how long a second of this machine lasts here. patience: seconds of ours from the last packet until it gives a name
    up, where the test and not the clock decides when the answer comes.
    """

    def __init__(self, servers, suffixes, address='127.0.0.1', second=1, patience=None):
        self.servers = [s if isinstance(s, tuple) else ('127.0.0.1', s) for s in servers]
        self.suffixes, self.address, self.second = suffixes, address, second
        self.patience = (GIVES_UP - SENT_AT[-1]) * second if patience is None else patience
        self.lookups = []

    def search(self):
        """Looks for a KMS host: the hosts that it found, and what the window shows when there are none."""
        self.lookups = []
        for suffix in self.suffixes:
            one = self.look_up(ask.discovery(suffix))
            if one.hosts:
                return one.hosts, None
        return [], SHOWS[self.lookups[-1].result]

    def look_up(self, name):
        one = Lookup(name)
        self.lookups.append(one)
        query = dns.message.make_query(name, 'SRV', use_edns=False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((self.address, 0))
            begun = time.monotonic()
            for n, at in enumerate(SENT_AT):
                if self.has_ended(s, query, one, begun + at * self.second):
                    return one
                for server in TURNS[min(len(self.servers), 3)][n]:
                    s.sendto(query.to_wire(), self.servers[server])
                    one.sent.append((n, server))
            self.has_ended(s, query, one, time.monotonic() + self.patience)
        return one

    def has_ended(self, s, query, one, until):
        """Reads what comes until then; is the search for this name over?"""
        while select.select([s], [], [], max(0, until - time.monotonic()))[0]:
            try:
                wire, server = s.recvfrom(65535)
            except ConnectionRefusedError:
                continue
            reply = dns.message.from_wire(wire)
            if server in self.servers and query.is_response(reply) and self.is_final(one, self.servers.index(server), reply):
                return True
        return False

    def is_final(self, one, server, reply):
        """A failure of one server leaves the search to the others."""
        rcode = ask.rcode(reply)
        one.heard.append((server, rcode))
        one.hosts = ask.targets(reply)
        one.result = rcode if rcode != 'NOERROR' or one.hosts else 'NODATA'
        return rcode in ('NOERROR', 'NXDOMAIN') or len({s for s, _ in one.heard}) == len(self.servers)


def main():
    """windows.py ADDRESS SUFFIX...: a patient machine with this address, whose DNS server is 10.0.0.5, looks for its KMS host."""
    hosts, shown = Windows([('10.0.0.5', 53)], sys.argv[2:], sys.argv[1], second=10).search()
    print(*hosts or [shown])


if __name__ == '__main__':
    main()
