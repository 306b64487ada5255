#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the texts for developers against the tree: files, functions, tests and layers that they name are there.

usage: links.py SOURCE-DIRECTORY
"""

import pathlib
import re
import sys

from layers import LAYERS
from tap import Tap
from tree import Tree

ARCHITECTURE = "docs/architecture.md"
FOLDERS = ("client", "dbus", "docs", "policy", "service", "tests", "units")

# Names in capitals stand for what the reader puts there.
PATH = re.compile(r"`((?:" + "|".join(FOLDERS) + r")/[a-z0-9./_@-]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
FUNCTION = re.compile(r"`([a-z]\w+)\(\)`")
TEST = re.compile(r"`(test_\w+)`")


def texts_of(tree):
    return {path: tree.text(path) for path in tree.ending(".md")}


def exists(root, path):
    return (root / path).exists()


def broken_links(root, texts):
    for path, text in texts.items():
        for target in LINK.findall(text):
            if not exists(root, pathlib.Path(path).parent / target):
                yield f"{path} links to {target}"


def missing_files(root, texts):
    """What is said to be planned need not be there."""
    for path, text in texts.items():
        lines = [line for line in text.splitlines() if "(planned)" not in line]
        names = PATH.findall("\n".join(lines))
        yield from (f"{path} names {name}" for name in names if not exists(root, name))


def missing_names(texts, pattern, code):
    for path, text in texts.items():
        yield from (f"{path} names {name}" for name in pattern.findall(text) if not re.search(rf"\b{name}\b", code))


def missing_layers(architecture):
    named = set(re.findall(r"(?m)^\| `([\w/]+)`", architecture))
    for layer in LAYERS:
        if layer.folder.endswith("/") and layer.folder.rstrip("/") not in named:
            yield f"{ARCHITECTURE} has no row for {layer.folder}"


def numbering(tree):
    """Decisions have a number each, which is also in their first line."""
    seen = {}
    for path in tree.paths:
        match = re.fullmatch(r"docs/decisions/(\d{4})-[a-z0-9-]+\.md", path)
        if match and match.group(1) in seen:
            yield f"{path} has the number of {seen[match.group(1)]}"
        elif match and not tree.text(path).startswith(f"# {match.group(1)}: "):
            yield f"{path} does not begin with its number"
        elif path.startswith("docs/decisions/") and not match:
            yield f"{path} is not called NNNN-title.md"
        if match:
            seen[match.group(1)] = path


def main(source):
    root, tree = pathlib.Path(source), Tree(source)
    texts = texts_of(tree)
    code = "\n".join(tree.text(path) for path in tree.ending(".c", ".h", ".py"))

    tap = Tap(6)
    tap.result("each link leads somewhere", broken_links(root, texts))
    tap.result("each file that is named exists", missing_files(root, texts))
    tap.result("each function that is named exists", missing_names(texts, FUNCTION, code))
    tap.result("each test that is named exists", missing_names(texts, TEST, code))
    tap.result("the architecture names each layer", missing_layers(texts.get(ARCHITECTURE, "")))
    tap.result("decisions are numbered", numbering(tree))
    return tap.exit_status()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
