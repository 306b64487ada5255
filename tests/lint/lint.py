#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the tree against the house rules that a program can see. usage: lint.py SOURCE-DIRECTORY

Each rule is one TAP test; what breaks it is listed below it. That the rules find what they are for is lint-self.py's.
"""

import sys

from checks import CHECKS
from tap import Tap
from tree import Tree, Unavailable


def main(root):
    tree = Tree(root)
    tap = Tap(len(CHECKS))
    for name, check in CHECKS:
        try:
            problems = list(check(tree))
        except Unavailable as error:
            tap.result(name, skip=str(error))
        else:
            tap.result(name, problems)
    return tap.exit_status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
