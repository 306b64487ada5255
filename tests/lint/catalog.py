#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the journal's catalog against the program: each message id has an entry that helps, and no other has one.

usage: catalog.py SOURCE-DIRECTORY
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

CATALOG = "docs/catalog/ivshmem.catalog"
MESSAGES = "service/server/messages.h"
PAGE = "docs/ivshmem-server.8.rst"
HEADERS = ("Subject", "Defined-By", "Documentation")


def message_ids(header):
    return re.findall(r'#define MESSAGE_\w+ "([0-9a-f]{32})"', header)


def entries_of(catalog):
    """Id -> headers and text, for each entry; and what is repeated."""
    parts = re.split(r"(?m)^-- ([0-9a-f]{32})$\n", catalog)
    found = {}
    for name, entry in zip(parts[1::2], parts[2::2]):
        head, _, text = entry.partition("\n\n")
        found[name] = (dict(line.partition(": ")[::2] for line in head.splitlines()), text.strip())
    return found, sorted({name for name in parts[1::2] if parts[1::2].count(name) > 1})


def incomplete(entries):
    for name, (headers, text) in entries.items():
        yield from (f"{name} has no {header}" for header in HEADERS if not headers.get(header))
        if not text:
            yield f"{name} explains nothing"


def unknown_fields(entries, known):
    """An unknown @FIELD@ would be shown as it stands."""
    for name, (headers, text) in entries.items():
        for field in re.findall(r"@(\w+)@", headers.get("Subject", "") + text):
            if field not in known:
                yield f"{name}: no record has the field {field}"


def compile_problems(catalog):
    """What the journal's own reader says of it."""
    with tempfile.TemporaryDirectory(prefix="catalog.") as root:
        folder = pathlib.Path(root, "usr/lib/systemd/catalog")
        folder.mkdir(parents=True)
        pathlib.Path(root, "var/lib/systemd/catalog").mkdir(parents=True)
        shutil.copy(catalog, folder)
        command = ["journalctl", f"--root={root}", "--update-catalog"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        problems = [line for line in result.stderr.splitlines() if line.strip()]
    return problems or ([f"journalctl ended with {result.returncode}"] if result.returncode else [])


def difference(left, right, text):
    return [f"{name} {text}" for name in sorted(set(left) - set(right))]


def main(source):
    source = pathlib.Path(source)
    ids = message_ids((source / MESSAGES).read_text(encoding="utf-8"))
    entries, repeated = entries_of((source / CATALOG).read_text(encoding="utf-8"))
    page = re.findall(r"\b[0-9a-f]{32}\b", (source / PAGE).read_text(encoding="utf-8"))
    code = "".join(path.read_text(encoding="utf-8") for path in sorted((source / "service").glob("*/*.c")))
    fields = set(re.findall(r'"(IVSHMEM_\w+)"', code))

    tap = Tap(8)
    tap.result("the program has message ids", [] if ids and len(ids) == len(set(ids)) else [f"{ids}"])
    tap.result("each message id has an entry", difference(ids, entries, f"is not in {CATALOG}"))
    tap.result("each entry has a message id", difference(entries, ids, f"is not in {MESSAGES}"))
    tap.result("no entry is there twice", repeated)
    tap.result("each entry is complete", incomplete(entries))
    tap.result("each field of an entry exists", unknown_fields(entries, fields))
    tap.result("the manual lists each message id", difference(ids, page, f"is not in {PAGE}"))
    if shutil.which("journalctl"):
        tap.result("the journal can read it", compile_problems(source / CATALOG))
    else:
        tap.result("the journal can read it", skip="journalctl is not installed")
    return tap.exit_status()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
