# SPDX-License-Identifier: BSD-2-Clause
"""Shells complete the lines of waymarkctl: each on a terminal, with a user who presses the tab key."""
import os
import pty
import select
import shutil
import signal
import time

import pytest

from process import BUILD

SHELLS = {
    'bash': (['bash', '--norc', '--noprofile', '-i'], 'source <(waymarkctl completion bash)'),
    'zsh': (['zsh', '-f', '-i'], 'autoload -U compinit; compinit -u -D; source <(waymarkctl completion zsh)'),
    'fish': (['fish', '--no-config', '-i'], 'waymarkctl completion fish | source'),
}
# What is typed, and what becomes of it.
LINES = {
    'verb': ('waymarkctl policy ne\t', 'waymarkctl policy network'),
    'word': ('waymarkctl policy show app\t', 'waymarkctl policy show approved'),
    'option': ('waymarkctl policy fill a.example --po\tmain --dry-r\t', 'waymarkctl policy fill a.example --pool main --dry-run'),
    'value': ('waymarkctl policy rule set a --break-dnssec y\t', 'waymarkctl policy rule set a --break-dnssec yes'),
    'file': ('waymarkctl policy check the-po\t', 'waymarkctl policy check the-policy.yaml'),
    'nothing': ('waymarkctl policy network set the-po\t', 'waymarkctl policy network set the-po'),
}


def shown(terminal, until, seconds=10):
    """What a terminal shows until a text is there, without what moves its cursor or colours it."""
    text, end = '', time.monotonic() + seconds
    while until not in text and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                text += os.read(terminal, 65536).decode(errors='replace')
            except OSError:  # the shell ended
                break
    return text


@pytest.mark.parametrize('line', LINES)
@pytest.mark.parametrize('shell', SHELLS)
def test_a_shell_completes(tmp_path, shell, line):
    command, begin = SHELLS[shell]
    if not shutil.which(command[0]):
        pytest.skip(f'{shell} is not installed')
    (tmp_path / 'the-policy.yaml').touch()
    typed, wanted = LINES[line]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.execvpe(command[0], command, {'PATH': f'{BUILD}:/usr/bin:/bin', 'HOME': str(tmp_path), 'TERM': 'xterm', 'COLUMNS': '200'})
    try:
        os.write(terminal, f'{begin}; echo rea""dy\n'.encode())
        assert 'ready' in (text := shown(terminal, 'ready\r\n')), text
        for key in typed:
            os.write(terminal, key.encode())
            if key == '\t':
                text += shown(terminal, 'nothing more', 0.7)
        os.write(terminal, b'\x01echo \x05>said; echo do""ne\n')  # from the beginning of the line to its end
        text += shown(terminal, 'done\r\n')
        assert (tmp_path / 'said').read_text().rstrip() == wanted, text
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)
