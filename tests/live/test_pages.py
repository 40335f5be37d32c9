# SPDX-License-Identifier: BSD-2-Clause
"""The worked pages of docs/, followed from the first line to the last."""
import glob
import os
import re

import pages
import pytest

PAGES = ['use-mixed-domains.md', 'use-workgroup.md', 'use-audit.md', 'migration.md']


@pytest.mark.parametrize('page', PAGES)
def test_commands_of_the_page_print_what_stands_there(network, page):
    differs = pages.run(page, network)
    assert not differs, 'WAYMARK_WRITE_PAGES=1 writes what is printed now\n' + '\n'.join(differs)


def anchors(path):
    """The headings of a page, as links name them."""
    with open(path) as f:
        return {re.sub(r'[^\w\- ]', '', line.lstrip('# ').strip().lower()).replace(' ', '-') for line in f if line.startswith('#')}


def test_links_between_the_pages_lead_somewhere():
    root = os.path.join(pages.DOCS, '..')
    lost = []
    for page in [*glob.glob(f'{root}/*.md'), *glob.glob(f'{root}/docs/**/*.md', recursive=True)]:
        with open(page) as f:
            links = re.findall(r'\]\(([^):]*)\)', f.read())
        for link in links:
            name, _, anchor = link.partition('#')
            target = os.path.join(os.path.dirname(page), name) if name else page
            if not os.path.exists(target) or (anchor and anchor not in anchors(target)):
                lost.append(f'{os.path.relpath(page, root)}: {link}')
    assert not lost, lost
