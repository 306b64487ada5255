#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Proves that docs.py finds a manual that is wrong: a right one passes, and each way to break it fails one test."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tap import Tap

CHECK = Path(__file__).resolve().parent / "docs.py"

HELP = """#!/bin/sh
cat <<END
usage: x [-v] [--size SIZE]

  -h, --help         this text
  -l, --size=SIZE    bytes
      --check
  -v                 more
END
"""
KEYS = "#!/bin/sh\necho Domain.Size ''\necho Peer.VMID 16\n"

SERVER = """\
==============
ivshmem-server
==============

OPTIONS
=======

``-h``, ``--help``
    This text; see ``--nowhere`` of another program.

-l SIZE, --size SIZE
    Bytes.

--check  Looks.

**-v**
    More.
"""
DEFINITION = """\
==============
ivshmem.domain
==============

[DOMAIN] SECTION
----------------

``Size=``
    Bytes, as in Unknown=

[Peer NAME] sections
--------------------

VMID=NUMBER
    A number.

    Default: ``16``.
"""
CONTROL = """\
===============
ivshmem-control
===============

A packet is a record of 10 bytes.

0 *first*
    A record.

1 *second*
    Another.

0 *ok*
    A result.

The bytes::

           0    4  kind                   all
           4    4  number
"""
CONTROL_HEADER = """\
#define CONTROL_RECORD_SIZE 10U
typedef enum ControlKind {
        CONTROL_FIRST, /* text */
        CONTROL_SECOND,
        _CONTROL_KIND_MAX,
} ControlKind;
typedef enum ControlResult {
        CONTROL_OK,
} ControlResult;
"""
CONTROL_SOURCE = """\
        [CONTROL_FIRST] = "first", [CONTROL_SECOND] = "second",
        [CONTROL_OK] = "ok",
"""
PAGES = {
    "ivshmem-server.8.rst": SERVER,
    "ivshmem.domain.5.rst": DEFINITION,
    "ivshmem-protocol.7.rst": SERVER,
    "ivshmem-control.7.rst": CONTROL,
}

# What is changed, from what, to what: the one test that then fails.
BROKEN = {
    "each option is explained": ("ivshmem-server.8.rst", "-l SIZE, --size SIZE", "-l SIZE"),
    "each explained option exists": ("ivshmem-server.8.rst", "**-v**", "**-v**, **--verbose**"),
    "each key is explained": ("ivshmem.domain.5.rst", "``Size=``\n    Bytes", "Size\n    Bytes"),
    "each explained key exists": ("ivshmem.domain.5.rst", "VMID=NUMBER", "VMID=NUMBER, Master=BOOLEAN"),
    "each default is named": ("ivshmem.domain.5.rst", "``16``", "160"),
    "each record of the control link is explained": ("ivshmem-control.7.rst", "1 *second*\n    Another", "No more"),
    "each explained record exists": ("ivshmem-control.7.rst", "0 *ok*", "1 *bad*\n    None.\n\n0 *ok*"),
    "fields of records follow each other": ("ivshmem-control.7.rst", "4    4  number", "5    4  number"),
    "ivshmem-protocol.7.rst renders without warnings": ("ivshmem-protocol.7.rst", "OPTIONS\n=======", "OPTIONS\n===="),
}


def failed_tests(changes):
    """Names of the tests that fail over the sample manual after some changes."""
    with tempfile.TemporaryDirectory(prefix="docs-self.") as name:
        folder = Path(name) / "docs"
        core = Path(name) / "service" / "core"
        folder.mkdir()
        core.mkdir(parents=True)
        (core / "control.h").write_text(CONTROL_HEADER, encoding="utf-8")
        (core / "control.c").write_text(CONTROL_SOURCE, encoding="utf-8")
        for page, text in PAGES.items():
            for changed, old, new in changes:
                text = text.replace(old, new) if changed == page else text
            (folder / page).write_text(text, encoding="utf-8")
        for program, text in (("server", HELP), ("keys", KEYS)):
            (folder / program).write_text(text, encoding="utf-8")
            (folder / program).chmod(0o755)
        command = [sys.executable, str(CHECK), str(folder), f"{folder}/server", f"{folder}/keys"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line.partition(" - ")[2] for line in lines if line.startswith("not ok")]


def main():
    tap = Tap(len(BROKEN) + 1)
    tap.result("a right manual passes", failed_tests([]))
    for name, change in BROKEN.items():
        found = failed_tests([change])
        tap.result(name, [] if found == [name] else [f"failed: {found}"])
    return tap.exit_status()


if __name__ == "__main__":
    sys.exit(main())
