#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""make soak: does the daemon grow? UDP at half of what it can do, TCP, policy changes, reloads, a server that comes and goes.

    soak.py [MINUTES]       30 unless given; the build folder in WAYMARK_BUILD, as all live tests have it

Each minute the load rests until nothing is on the way, so that what is measured differs by what stays, not by what passes: a
line. At the end the growth, from a straight line through what was measured after the first fifth. Exit 1: more than 5 MB a day,
descriptors or threads more than at the begin, or no good answers.
"""
import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import dns.message
from ask import Stream
from process import BUILD, finish
from upstreams import Nsd
from waymark import Waymark

NAMES = 20000  # more than the cache below holds
DAY = 24 * 3600
LIMIT = 5 << 20  # a day
REST = 6  # seconds: what waits for a server has ended, and the audit is written
ZONE = '* 5 IN A 192.0.2.1\n_vlmcs._tcp 3600 IN SRV 0 0 1688 kms01\nkms01 IN A 192.0.2.2\n'
POLICY = '''
waymark-policy: 1
pools: {kms: [kms01.contoso.com]}
rules: {fills: {suffixes: ["*.bench.example"], pool: kms}}
'''


class Load:
    """Threads that do one thing again and again until the end; what goes wrong is counted, and the last is kept."""

    def __init__(self, w, nsd):
        self.w, self.nsd, self.done, self.go = w, nsd, threading.Event(), threading.Event()
        self.busy = threading.Semaphore(5)  # a place for each thread
        self.go.set()
        self.counts = dict.fromkeys(('good', 'bad', 'lost', 'tcp', 'changes', 'reloads', 'stops', 'errors'), 0)
        self.last_error = ''
        self.threads = [threading.Thread(target=self.loop, args=(f, pause)) for f, pause in (
            (self.udp, 1), (self.tcp, 0.05), (self.change, 5), (self.reload, 10), (self.flap, 7))]
        for t in self.threads:
            t.start()

    def loop(self, step, pause):
        while not self.done.wait(pause):
            self.go.wait()
            self.busy.acquire()
            try:
                step()
            except Exception as e:
                self.counts['errors'] += 1
                self.last_error = f'{step.__name__}: {e!r}'
            finally:
                self.busy.release()

    @contextlib.contextmanager
    def rest(self):
        self.go.clear()
        for t in self.threads:
            self.busy.acquire()
        time.sleep(REST / 2)
        self.w.find('contoso.com')  # behind a small commit the audit gives back what the large ones needed
        time.sleep(REST / 2)
        try:
            yield
        finally:
            self.busy.release(len(self.threads))
            self.go.set()

    def udp(self):
        """One second as much as it can, one second nothing: half of it."""
        for mode in 'a', 'kms':
            done = subprocess.run([f'{BUILD}/bench/bench_load', str(self.w.port), str(self.w.daemon.pid), mode, str(NAMES), '0.5', '128'],
                                  capture_output=True, text=True, timeout=60, check=True)
            for key, value in json.loads(done.stdout).items():
                if key in self.counts:
                    self.counts[key] += value

    def tcp(self):
        with Stream(self.w.port) as s:
            for n in range(10):
                s.send(dns.message.make_query(f't{self.counts["tcp"] % 5000}.bench.example', 'A'))
                self.counts['tcp'] += 1
            for n in range(10):
                s.receive()

    def change(self):
        n = self.counts['changes']
        self.w.ctl('policy', 'rule', 'set', f'r{n % 50}', '--suffix', f'x{n}.example', '--pool', 'kms')
        self.counts['changes'] += 1

    def reload(self):
        self.w.settings['cache'] = {'size': '4M', 'max-ttl': f'{self.counts["reloads"] % 2 + 1}h'}
        self.w.write_settings()
        self.w.daemon.send(signal.SIGHUP)
        self.counts['reloads'] += 1

    def flap(self):
        self.nsd.process.send(signal.SIGSTOP)
        time.sleep(2)
        self.nsd.process.send(signal.SIGCONT)
        self.counts['stops'] += 1

    def finish(self):
        self.done.set()
        for t in self.threads:
            t.join()


def measured(pid):
    """Octets that are the process's own, descriptors, threads."""
    with open(f'/proc/{pid}/smaps_rollup') as f:
        kilobytes = next(int(line.split()[1]) for line in f if line.startswith('Pss_Anon:'))
    return kilobytes * 1024, len(os.listdir(f'/proc/{pid}/fd')), len(os.listdir(f'/proc/{pid}/task'))


def growth(samples):
    """Octets a day: of the straight line through (seconds, octets), and its upper bound."""
    times, octets = zip(*samples)
    line = statistics.linear_regression(times, octets)
    middle = statistics.fmean(times)
    rest = sum((o - line.slope * t - line.intercept) ** 2 for t, o in samples) / max(len(samples) - 2, 1)
    error = math.sqrt(rest / sum((t - middle) ** 2 for t in times))
    return line.slope * DAY, (line.slope + 1.96 * error) * DAY


def soak(minutes):
    nsd = Nsd(zones={'bench.example': ZONE, 'contoso.com': ZONE})
    w = Waymark({'cache': {'size': '4M'}, 'audit': {'commit-interval': '1s', 'max-rate': 5000, 'max-size': '64M'}}, nsd.port)
    with contextlib.ExitStack() as ends:
        ends.callback(finish, [nsd, w])
        w.policy(POLICY)
        w.start()
        load, begun, samples = Load(w, nsd), time.monotonic(), []
        ends.callback(load.finish)
        while time.monotonic() < begun + minutes * 60:
            time.sleep(60 - REST)
            with load.rest():
                samples.append((time.monotonic() - begun, *measured(w.daemon.pid)))
            print(f'{samples[-1][0] / 60:4.0f} min  {samples[-1][1] / 2**20:7.2f} MB  {samples[-1][2]} descriptors  '
                  f'{samples[-1][3]} threads ', *(f'{k} {v}' for k, v in load.counts.items()), load.last_error, flush=True)
    return samples, load.counts


def main():
    minutes = float(sys.argv[1] if len(sys.argv) > 1 else 30)
    samples, counts = soak(minutes)
    later = samples[len(samples) // 5:]
    slope, bound = growth([s[:2] for s in later])
    half = len(later) // 2
    flat = all(min(s[i] for s in later[half:]) <= min(s[i] for s in later[:half]) for i in (2, 3))
    print(f'growth {slope / 2**20:.2f} MB a day, at most {bound / 2**20:.2f}; descriptors and threads {"flat" if flat else "GROW"}; {counts}')
    return slope > LIMIT or not flat or counts['good'] < 1000 or counts['errors'] > 0


if __name__ == '__main__':
    sys.exit(main())
