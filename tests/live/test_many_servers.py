# SPDX-License-Identifier: BSD-2-Clause
"""More servers than a worker remembers (256), and than it has connections for."""
import socket
import struct
import threading
import time

import dns.message
import pytest

import ask
from process import free_port
from upstreams import framed, reply

N = 280
IP_PKTINFO = 8


class Everywhere:
    """A server on every address of the loopback network, which says over UDP that its answers are too long, and gives them over TCP;
    no answer to a name that begins with `stall`. closes: the connection, behind the answer."""

    def __init__(self, closes):
        self.port, self.closes = free_port(), closes
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self.udp.bind(('0.0.0.0', self.port))
        self.tcp = socket.create_server(('0.0.0.0', self.port), backlog=512)
        for serve in self.datagrams, self.connections:
            threading.Thread(target=serve, daemon=True).start()

    def answer(self, wire, tcp):
        q = dns.message.from_wire(wire)
        r = reply(q, '300 A 192.0.2.1') if tcp else reply(q)
        r.flags |= 0 if tcp or q.question[0].rdtype == 2 else dns.flags.TC
        return None if tcp and q.question[0].name.labels[0].lower() == b'stall' else r

    def datagrams(self):
        try:
            while True:
                wire, ancillary, _, client = self.udp.recvmsg(65535, 200)
                if not wire:
                    break  # it is shut
                there = ancillary[0][2][8:12]
                self.udp.sendmsg([self.answer(wire, False).to_wire()],
                                 [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack('i4s4s', 0, there, there))], 0, client)
        except OSError:  # closed
            pass

    def connections(self):
        try:
            while True:
                threading.Thread(target=self.connection, args=(self.tcp.accept()[0],), daemon=True).start()
        except OSError:
            pass

    def connection(self, s):
        try:
            while length := s.recv(2, socket.MSG_WAITALL):
                r = self.answer(s.recv(struct.unpack('!H', length)[0], socket.MSG_WAITALL), True)
                if r:
                    s.sendall(framed(r))
                    if self.closes:
                        break
        except OSError:
            pass
        s.close()

    def finish(self):
        for s in self.udp, self.tcp:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


def routes(port, strategy):
    return [{'zone': f'z{i}', 'servers': [f'127.1.{i // 100}.{i % 100 + 1}:{port}', f'127.2.{i // 100}.{i % 100 + 1}:{port}'][:1 + (strategy == 'fastest')],
             'strategy': strategy, 'timeout': '3s'} for i in range(N)]


@pytest.mark.parametrize('closes', [False, True], ids=['connections stay', 'connections end'])
@pytest.mark.parametrize('strategy', ['ordered', 'fastest'])
def test_each_of_very_many_is_asked(waymark, peers, strategy, closes):
    """One of them is stuck meanwhile, with a connection that another one takes the place of."""
    server = peers(Everywhere, closes)
    w = waymark({'server': {'workers': 1}, 'forward': routes(server.port, strategy), 'cache': {'persist': False}})
    with ask.Datagrams(w.port) as d:
        d.socket.send(dns.message.make_query('stall.z0', 'A').to_wire())
        time.sleep(1)
        assert ask.addresses(w.ask('other.z0', 'A')) == ['192.0.2.1']
        for i in range(1, N):
            assert ask.addresses(w.ask(f'www.z{i}', 'A')) == ['192.0.2.1'], i
    time.sleep(2.5)
    assert ask.addresses(w.ask('again.z0', 'A')) == ['192.0.2.1']
