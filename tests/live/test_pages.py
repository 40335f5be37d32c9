# SPDX-License-Identifier: BSD-2-Clause
"""The worked pages of docs/, followed from the first line to the last."""
import pages
import pytest

PAGES = ['use-mixed-domains.md', 'use-workgroup.md', 'use-audit.md', 'migration.md']


@pytest.mark.parametrize('page', PAGES)
def test_commands_of_the_page_print_what_stands_there(network, page):
    differs = pages.run(page, network)
    assert not differs, 'WAYMARK_WRITE_PAGES=1 writes what is printed now\n' + '\n'.join(differs)
