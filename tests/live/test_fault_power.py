# SPDX-License-Identifier: BSD-2-Clause
"""The power is cut: what was acknowledged is on the disk. Without syncs the same test loses it, which shows that it can fail.

WAYMARK_LONG=1 cuts 200 times; with pytest -s a line tells what was lost.
"""
import os
import random
import shutil
import subprocess
import threading

import pytest
from ask import discovery
from conftest import HOSTS, POLICY
from faults import LONG, Disk, preload
from load import Asked, ask_all
from process import SLOW
from test_kill import TOOL, state_of

CUTS = 200 if LONG else 4 if SLOW else 20
AUDIT_CUTS = 200 if LONG else 3 if SLOW else 8
CONTROLS = 30 if LONG else 4


@pytest.fixture
def disk(nsd, waymark, peers):
    """A Waymark that is not started, whose state is on a disk of its own."""
    w = waymark({'server': {'workers': 1}, 'audit': {'commit-interval': '50ms'}}, upstream=nsd.port, start=False)
    disk = peers(Disk, w.state)
    os.makedirs(f'{w.state}/policy')
    yield w, disk
    if w.daemon:
        w.kill()


def changes_until_a_cut(w, disk, first, env):
    """Numbers of the changes that were acknowledged."""
    with subprocess.Popen([TOOL, f'{w.state}/policy', str(first), '1000000'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=env) as p:
        said = [int(p.stdout.readline()) for _ in range(random.randrange(1, 30))]
        disk.cut()
        p.kill()
        return said + [int(n) for n in p.stdout.read().split('\n')[:-1]]


def cut_changes(w, disk, cuts, env=None):
    """Cuts that lost something acknowledged; changes in all. What is there is always whole."""
    w.policy(POLICY)
    disk.again()
    lost, all_of, last = 0, 0, 0
    for _ in range(cuts):
        said = changes_until_a_cut(w, disk, last + 1, env)
        all_of += len(said)
        disk.again()
        try:
            last = state_of(w)
            if env is None:
                w.ctl('policy', 'undo', '--dry-run')  # what comes out has the digest of the log
        except Exception:
            if env is None:
                raise
            last = -1  # without syncs it may be a ruin
        if last < said[-1]:
            lost += 1
        if last < 0:
            shutil.rmtree(f'{w.state}/policy')
            w.policy(POLICY)
            disk.again()
            last = 0
    return lost, all_of


def test_power_cut_loses_no_change_that_was_acknowledged(disk):
    lost, n = cut_changes(*disk, CUTS)
    print(f'\n{CUTS} cuts, {n} acknowledged changes: {lost} cuts lost one')
    assert lost == 0 and n >= CUTS


def test_power_cut_without_syncs_loses_changes(disk, tmp_path):
    """The control."""
    lost, n = cut_changes(*disk, CONTROLS, {**os.environ, 'LD_PRELOAD': preload(tmp_path), 'WAYMARK_NOSYNC': '1'})
    print(f'\n{CONTROLS} cuts without syncs, {n} changes: {lost} cuts lost one')
    assert lost >= CONTROLS * 0.75


class Load(threading.Thread):
    """Discovery questions, one after the other, for new names."""

    def __init__(self, w, prefix):
        super().__init__()
        self.w, self.prefix, self.ended = w, prefix, threading.Event()

    def run(self):
        n = 0
        while not self.ended.is_set():
            n += 20
            ask_all(self.w.port, [Asked(discovery(f'{self.prefix}{n + k}.lab.contoso.com'), 'SRV') for k in range(20)], 2000, (), 0.1)

    def finish(self):
        self.ended.set()
        self.join()


def recorded_until_a_cut(w, disk, n, rng):
    """How many questions the daemon has told to be recorded."""
    w.start()
    load = Load(w, f'r{n}n')
    load.start()
    try:
        for _ in range(rng.randrange(1, 5)):
            told = w.api('GET', '/v1/status')[1]['audit']['recorded']
        while told == 0:
            told = w.api('GET', '/v1/status')[1]['audit']['recorded']
        if disk:
            disk.cut()
            assert w.find('fabrikam.local') == HOSTS, 'answers need no disk'
    finally:
        load.finish()
        w.kill()
    return told


def cut_audit(w, disk, cuts, is_control=False):
    """Without a disk: the daemon is killed, and no more."""
    w.policy(POLICY)
    if disk:
        disk.again()
    rng, base, lost, all_of = random.Random(7), 0, 0, 0
    for n in range(cuts):
        told = recorded_until_a_cut(w, disk, n, rng)
        all_of += told
        if disk:
            disk.again()
        is_well = w.ctl('audit', 'verify', ok=False).code == 0
        there = w.json('audit', 'summary')['all_questions'] if is_well else 0
        assert is_well or is_control
        lost += there < base + told
        base = there
        if not is_well:
            shutil.rmtree(f'{w.state}/audit')
    return lost, all_of


def test_power_cut_loses_no_record_that_was_told(disk):
    lost, n = cut_audit(*disk, AUDIT_CUTS)
    print(f'\n{AUDIT_CUTS} cuts, {n} records told: {lost} cuts lost one')
    assert lost == 0


def test_daemon_killed_under_load_loses_no_record_that_was_told(nsd, waymark):
    w = waymark({'server': {'workers': 2}, 'audit': {'commit-interval': '50ms'}}, upstream=nsd.port, start=False)
    lost, n = cut_audit(w, None, 5 * AUDIT_CUTS if LONG else AUDIT_CUTS)
    print(f'\n{n} records told: {lost} kills lost one')
    assert lost == 0


def test_power_cut_without_syncs_loses_records(disk, tmp_path, monkeypatch):
    """The control."""
    library = preload(tmp_path)
    monkeypatch.setenv('WAYMARK_NOSYNC', '1')
    monkeypatch.setenv('LD_PRELOAD', library)
    lost, n = cut_audit(*disk, CONTROLS, is_control=True)
    print(f'\n{CONTROLS} cuts without syncs, {n} records: {lost} cuts lost one')
    assert lost >= CONTROLS * 0.75
