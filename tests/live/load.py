# SPDX-License-Identifier: BSD-2-Clause
"""Many clients at once: those that ask and repeat as Windows does, and one that only sends.

As a program: load.py PORT ADDRESS RATE COUNT SUFFIX sends COUNT questions for new names below SUFFIX, and reads nothing;
load.py PORT NETWORK CONNECTIONS keeps so many TCP connections from addresses in 127.NETWORK, of which each sends an octet a second.
"""
import dataclasses
import heapq
import os
import selectors
import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35  # socket(7): when a packet came, not when this program had its turn
PORTS = 16  # of each client: the kernel deals them out among the workers


def open_socket(port, address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 0))
    s.connect(('127.0.0.1', port))
    s.setblocking(False)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return s


def wire_name(name):
    return b''.join(bytes([len(label)]) + label.encode() for label in name.rstrip('.').split('.')) + b'\0'


def question(ident, name, kind):
    return struct.pack('!6H', ident, 0x0100, 1, 0, 0, 0) + wire_name(name) + struct.pack('!2H', {'A': 1, 'TXT': 16, 'SRV': 33}[kind], 1)


def flood(port, address, rate, count, suffix):
    sockets = [open_socket(port, address) for _ in range(PORTS)]
    begun = time.monotonic()
    for n in range(count):
        wait = begun + n / rate - time.monotonic()
        if wait > 0.002:  # a batch of what is due meanwhile
            time.sleep(wait)
        try:
            sockets[n % PORTS].send(question(n % 65536, f'n{n}.{suffix}', 'A'))
        except OSError:
            pass


def crawl(port, network, count):
    """Slow clients, until the end: who is closed comes again at once. They are of other machines: this one's time is the others'."""
    os.nice(19)
    frame = struct.pack('!H', 512) + bytes(510)

    def connect(n):
        s = socket.socket()
        s.setblocking(False)
        s.bind((f'127.{network}.{n // 250}.{n % 250 + 1}', 0))
        s.connect_ex(('127.0.0.1', port))
        return s

    crawlers = [[connect(n), 0] for n in range(count)]
    while True:
        begun = time.monotonic()
        for n, (s, sent) in enumerate(crawlers):
            try:
                s.send(frame[sent % len(frame):][:1])
                crawlers[n][1] += 1
            except BlockingIOError:
                pass
            except OSError:
                s.close()
                crawlers[n] = [connect(n), 0]
            if n % 4 == 0:  # they do not come in step
                time.sleep(max(0, begun + n / count - time.monotonic()))
        time.sleep(max(0, begun + 1 - time.monotonic()))


@dataclasses.dataclass
class Asked:
    """One question of one client, and what became of it."""
    name: str
    kind: str
    address: str = '127.0.0.1'
    sent: int = 0  # how often
    rcode: int = None  # of the first answer; None: there was none
    found: int = 0  # its records
    seconds: float = None  # after the first time that it was sent
    lag: float = 0  # how late it was sent, by this machine's fault

    @property
    def good(self):
        return self.rcode == 0 and self.found > 0


def ask_all(port, questions, rate, repeats=(1, 2), patience=5):
    """Asks each, `rate` a second; one that got nothing is sent again, the same packet, so many seconds after the first.

    Every client has PORTS ports, and no two questions of a port the same ID. Returns when each has had its answer, or
    `patience` after its first packet.
    """
    assert len(questions) < 65536
    sockets, waiting, first = {}, {}, {}
    selector = selectors.DefaultSelector()
    due, begun = [], time.monotonic() + 0.05
    for n, q in enumerate(questions):
        key = (q.address, n % PORTS)
        if key not in sockets:
            sockets[key] = open_socket(port, q.address)
            selector.register(sockets[key], selectors.EVENT_READ, key)
        waiting[key, n] = q
        for after in (0, *repeats):
            heapq.heappush(due, (begun + n / rate + after, n, key, question(n, q.name, q.kind)))
    end = begun + len(questions) / rate + patience
    while waiting and (now := time.monotonic()) < end:
        for ready, _ in selector.select(max(0, min(due[0][0] if due else end, end) - now)):
            receive(ready.fileobj, ready.data, waiting, first)
        while due and due[0][0] <= (now := time.monotonic()):
            at, n, key, wire = heapq.heappop(due)
            q = waiting.get((key, n))
            if q:
                first.setdefault(n, time.time())
                q.sent, q.lag = q.sent + 1, max(q.lag, now - at)
                sockets[key].send(wire)
    for s in sockets.values():
        s.close()
    selector.close()
    return questions


def receive(s, key, waiting, first):
    try:
        while True:
            wire, [(_, _, stamp)], *_ = s.recvmsg(4096, 64)
            ident, flags, _, found = struct.unpack('!4H', wire[:8])
            q = waiting.pop((key, ident), None)
            if q:
                q.rcode, q.found = flags & 15, found
                seconds, nanoseconds = struct.unpack('2q', stamp)
                q.seconds = seconds + nanoseconds / 1e9 - first[ident]
    except BlockingIOError:
        pass


def share(questions, of=lambda q: q.good):
    return sum(map(of, questions)) / len(questions)


def starved(port, questions):
    """Why this machine was too slow for these questions, if it was: what the kernel lost, and how late they were sent."""
    with open('/proc/net/udp') as f:
        lost = sum(int(line.split()[-1]) for line in f if line.split()[1].endswith(f':{port:04X}'))
    lag = max(q.lag for q in questions)
    return f'this machine is too slow or too busy: {lost} questions lost, {lag:.1f} s late' if lost or lag > 0.3 else None


def tell(questions):
    """For a failed assertion: how many of each, and the slowest."""
    what = [f'{"none" if q.rcode is None else q.rcode} after {q.sent}' for q in questions]
    slowest = max((q.seconds for q in questions if q.seconds is not None), default=None)
    return {w: what.count(w) for w in sorted(set(what))}, f'slowest {slowest}'


if __name__ == '__main__':
    if len(sys.argv) == 4:
        crawl(*map(int, sys.argv[1:]))
    flood(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
