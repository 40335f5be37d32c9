# SPDX-License-Identifier: BSD-2-Clause
"""Worked pages of docs/: their commands are run as they stand, and print what stands below them.

    ```yaml /etc/waymark/waymark.yaml     the block is this file
    ```console                            `$ ` begins a command, the lines below are what it prints; a line `...` is any
                                          number of lines; `[exit 7]` at the end is its exit code
    <!-- $ command -->                    a command that the reader does not see: what happens elsewhere meanwhile

Times, serial digests and the like differ from run to run and compare as equal. WAYMARK_WRITE_PAGES=1 writes what the commands
print into the page, where it differs.
"""
import dataclasses
import os
import re

from process import HERE

DOCS = os.path.join(HERE, '../../docs')
# What differs from run to run.
VARIES = [(r'\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+\d\d:\d\d)?', 'TIME'), (r'\b\d+(\.\d+)? (ms|us|s|min)\b', 'TIME'),
          (r'\b[0-9a-f]{64}\b', 'HASH'), (r'records 1 to \d+', 'records'), (r'digest [0-9a-f]{8}', 'digest N'), (r'(author|user|process|up|version) \S+', r'\1 N'), (r'TTL \d+', 'TTL N'),
          (r'"(port|id|sequence|duration|ms)": "?\d+"?', r'"\1": N'),
          (r'(NXDOMAIN|NODATA), TIME', r'\1'), (r'-{3,}', '-'), (r'\s+', ' ')]


@dataclasses.dataclass
class Step:
    kind: str  # file, command, hidden
    line: int  # where it stands, from 1
    words: str  # the command, or the name of the file
    lines: list = dataclasses.field(default_factory=list)  # what it prints, or the text of the file


def read(name):
    with open(os.path.join(DOCS, name)) as f:
        return f.read().splitlines()


def steps(lines):
    found, block = [], None
    for n, line in enumerate(lines, 1):
        hidden = re.fullmatch(r'<!-- \$ (.*) -->', line)
        if block is None and hidden:
            found.append(Step('hidden', n, hidden.group(1)))
        elif block is None and line.startswith('```'):
            block = line[3:].split(' ')
            if len(block) > 1:
                found.append(Step('file', n, block[1]))
        elif line == '```':
            block = None
        elif block and len(block) > 1:
            found[-1].lines.append(line)
        elif block == ['console'] and line.startswith('$ '):
            found.append(Step('command', n, line[2:]))
        elif block == ['console'] and found[-1].words.endswith('\\') and not found[-1].lines:
            found[-1].words = found[-1].words[:-1] + line.strip()
            found[-1].line = n
        elif block == ['console']:
            found[-1].lines.append(line)
    return found


def plain(line):
    for pattern, text in VARIES:
        line = re.sub(pattern, text, line)
    return line.strip()


def matches(expected, printed):
    """Do the lines match? `...` of the page stands for any number of them."""
    pattern = '\n'.join('(.*)' if line == '...' else re.escape(plain(line)) for line in expected)
    return re.fullmatch(pattern.replace('(.*)\n', '(?:.*\n)*?').replace('\n(.*)', '(?:\n.*)*?'), '\n'.join(map(plain, printed))) is not None


def run(name, network):
    """Runs the page; returns what differs from it, and writes that into it when that is wanted."""
    lines = read(name)
    moved, differs = 0, []
    for step in steps(lines):
        if step.kind == 'file':
            network.write(step.words, '\n'.join(step.lines) + '\n')
            continue
        done = network.run(step.words)
        printed = done.out.rstrip('\n').split('\n') if done.out.strip() else []
        printed = [line.rstrip() for line in printed] + ([f'[exit {done.code}]'] if done.code else [])
        if step.kind == 'hidden':
            assert done.code == 0, f'{name}:{step.line}: {step.words}\n{done.out}'
        elif not matches(step.lines, printed):
            differs.append(f'{name}:{step.line}: $ {step.words}\n' + '\n'.join(f'  page   {p}' for p in step.lines) + '\n'
                           + '\n'.join(f'  prints {p}' for p in printed))
            begin = step.line + moved
            lines[begin:begin + len(step.lines)] = printed
            moved += len(printed) - len(step.lines)
    if differs and os.environ.get('WAYMARK_WRITE_PAGES'):
        with open(os.path.join(DOCS, name), 'w') as f:
            f.write('\n'.join(lines) + '\n')
    return differs
