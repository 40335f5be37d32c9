# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of faults have in common: a disk whose power is cut, and what is preloaded (preload.c)."""
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time

import pytest

from process import HERE, SLOW, wait_for

LONG = bool(os.environ.get('WAYMARK_LONG'))
SHUTDOWN, NOLOGFLUSH = 0x8004587d, 2  # FS_IOC_SHUTDOWN of ext4: nothing more reaches the disk, its journal neither


def preload(folder):
    """The path of the library."""
    if SLOW:
        pytest.skip('a sanitizer is preloaded itself')
    path = f'{folder}/preload.so'
    subprocess.run(['cc', '-shared', '-fPIC', '-O1', '-o', path, f'{HERE}/preload.c'], check=True, timeout=60)
    return path


def cpu(pid):
    """Seconds of it so far."""
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def idles(pid, seconds=0.3):
    """The share of a processor that it takes while nothing is asked."""
    used, begun = cpu(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu(pid) - used) / (time.monotonic() - begun)


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


class Disk:
    """A file system of its own, at a folder; ext4 has a journal, as an administrator's disk has."""

    def __init__(self, at):
        self.at, self.image, self.mounted = at, tempfile.mktemp(prefix='waymark-disk-'), False
        os.makedirs(at, exist_ok=True)
        with open(self.image, 'wb') as f:
            f.truncate(48 << 20)
        made = run('mkfs.ext4', '-q', '-F', self.image) if shutil.which('mkfs.ext4') else None
        if made is None or made.returncode or not self.mount():
            os.unlink(self.image)
            pytest.skip('needs root, mkfs.ext4 and a loop device')

    def mount(self):
        self.mounted = run('mount', '-o', 'loop', self.image, self.at).returncode == 0
        return self.mounted

    def cut(self):
        """The power goes: from now on nothing is written. Who has files open there goes on, in vain."""
        fd = os.open(self.at, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(fd, SHUTDOWN, struct.pack('I', NOLOGFLUSH))
        os.close(fd)

    def again(self):
        """The machine is back; all that had files open there must have ended."""
        wait_for(lambda: run('umount', self.at).returncode == 0, 'a disk that nobody uses')
        assert self.mount()

    def finish(self):
        if self.mounted:
            run('umount', self.at).returncode == 0 or run('umount', '-l', self.at)
        os.unlink(self.image)
