#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the manual of the D-Bus interface and of ivshmemd against program, XML, and polkit's actions.

usage: docs-bus.py SOURCE-DIRECTORY PAGE IVSHMEMD AUTHZ-ROWS   (PAGE: org.ivshmem1(5) as it was made; AUTHZ-ROWS: the
program that prints the table of who may do what)
"""

import os
import re
import sys
import xml.etree.ElementTree as xml

from docs import missing, options_defined, options_in_help, output_of, rst_problems
from tap import Tap

PROGRAM_PAGE = "ivshmemd.8.rst"
ERRORS = re.compile(r'BUS_ERROR\("(\w+)"\)')
OWNER = "org.freedesktop.policykit.owner"


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def section(page, title):
    """The text below a title."""
    return re.split(r"\n[^\n]+\n={3,}\n", page.split(f"\n{title}\n", 1)[1], maxsplit=1)[0]


def members(source):
    for name in ("org.ivshmem1.Manager", "org.ivshmem1.Domain"):
        interface = xml.parse(os.path.join(source, "dbus", f"{name}.xml")).getroot().find("interface")
        yield from (each.get("name") for each in interface if each.tag in ("method", "signal", "property"))


def explained(page):
    """Members with a text of their own: a line in the first column that begins with the name, and text below."""
    return set(re.findall(r"(?m)^\*\*(\w+)\*\*(?:\\ | )\(.*\n    \S", page))


def errors_explained(page):
    lines = re.findall(r"(?m)^(\*\*\w+\*\*(?:, \*\*\w+\*\*)*)\n    \S", section(page, "ERRORS"))
    return {name for line in lines for name in re.findall(r"\w+", line)}


def table_rows(page):
    """The table of who may do what."""
    found = re.findall(r"(?m)^((?:Manager|Domain)\.\w+) +(\S+) +(\S+)$", section(page, "WHO MAY DO WHAT"))
    return {" ".join(row).replace("\\-", "-") for row in found}


def actions(source):
    """polkit's actions, and those of them that the manager's user may ask about."""
    root = xml.parse(os.path.join(source, "policy", "org.ivshmem1.policy")).getroot()
    owned = {
        action.get("id")
        for action in root.iter("action")
        for each in action.findall("annotate")
        if each.get("key") == OWNER and each.text == "unix-user:ivshmem"
    }
    return {action.get("id") for action in root.iter("action")}, owned


def both(ours, theirs, only_ours, only_theirs):
    return missing(ours, theirs, only_ours) + missing(theirs, ours, only_theirs)


def main(source, page_path, program, rows_program):
    page, rows = read(page_path), set(output_of(rows_program).splitlines())
    asked = {f"org.ivshmem1.{action}" for row in rows for action in row.split()[1:] if action != "-"}
    known, owned = actions(source)
    options = options_in_help(output_of(program, "--help"))
    described = options_defined(read(source, "docs", PROGRAM_PAGE))
    errors = set(ERRORS.findall(read(source, "dbus", "names.h")))

    tap = Tap(7)
    tap.result("org.ivshmem1(5) renders without warnings", rst_problems(page_path))
    tap.result("each member has a text", missing(members(source), explained(page), "nothing is said of"))
    explained_errors = errors_explained(page)
    tap.result(
        "each error is explained, and no other", both(errors, explained_errors, "not explained:", "there is no")
    )
    tap.result("who may do what is as in the program", both(rows, table_rows(page), "not in the manual:", "not so:"))
    tap.result("polkit knows each action", both(asked, known, "not in the policy:", "never asked about:"))
    tap.result("the manager's user may ask about each action", missing(known, owned, "not annotated as its own:"))
    tap.result("each option is explained, and no other", both(options, described, "not explained:", "there is no"))
    return tap.exit_status()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
