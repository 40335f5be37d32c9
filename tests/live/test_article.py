# SPDX-License-Identifier: BSD-2-Clause
"""The commands of docs/article.md, from the first row of its table to the last: exit code, and what to look for."""
import re

import pages

SETTINGS = '''
server: {listen: ["10.0.0.5:53", "127.0.0.1:53"]}
access: [{net: 10.0.0.0/8, action: allow}]
forward:
  - {zone: ., servers: [192.0.2.53]}
  - {zone: contoso.com, servers: [10.0.0.53]}
  - {zone: fabrikam.local, servers: [10.0.0.53]}
  - {zone: tailspin.com, servers: [10.0.0.53]}
'''
# What has happened before the first row.
BEFORE = '''windows 10.20.4.7 hr.fabrikam.local fabrikam.local
windows 10.20.4.8 tailspin.com
printf '%s\\n' 'server 10.0.0.5' 'local 10.20.64.7' 'zone fabrikam.local' \
'update add _vlmcs._tcp.fabrikam.local 3600 SRV 0 0 1688 ws7.fabrikam.local' send | nsupdate -t 10; true'''


def rows():
    for n, line in enumerate(pages.read('article.md'), 1):
        cells = [c.strip() for c in re.split(r'(?<!\\)\|', line)[1:-1]]
        if len(cells) == 6 and cells[0] not in ('Step', '---') and cells[3]:
            yield n, cells[3].strip('`'), int(cells[4]), cells[5].strip('`')


def test_each_command_of_the_table_shows_what_stands_beside_it(network):
    network.write('/etc/waymark/waymark.yaml', SETTINGS)
    network.run('sudo systemctl start waymark')
    for command in BEFORE.splitlines():
        assert network.run(command).code == 0
    wrong = []
    for n, command, code, word in rows():
        done = network.run(command)
        if done.code != code or word not in ' '.join(done.out.split()):
            wrong.append(f'article.md:{n}: $ {command}\nexit {done.code}\n{done.out}')
    assert not wrong, '\n'.join(wrong)


def test_each_step_of_the_article_is_in_the_table():
    """Methods and their numbered steps, as the article has them."""
    table = '\n'.join(pages.read('article.md'))
    for method, last in (('1', 3), ('2', 0), ('3', 2), ('4', 0), ('5', 10)):
        for step in range(1, last + 1) or [None]:
            found = [m for m in re.finditer(rf'^\| Method {method}(?:, ([^|]*))? \|', table, re.M) if step is None or has(m.group(1) or '', step)]
            assert found, f'method {method}, step {step}'


def has(text, step):
    """Is this step among "1, 2", "1 to 3", "6.1 to 6.9"?"""
    for a, b in re.findall(r'(\d+)(?:\.\d+)?(?: to (\d+))?', text):
        if int(a) <= step <= int(b or a):
            return True
    return False
