# SPDX-License-Identifier: LGPL-2.1-or-later
"""The source tree as the checks see it: which files there are, their text, and C with its comments taken out.

This module judges nothing; it reads.
"""

import os
import re
import subprocess

# Files that are data for a program and have no room for a licence line.
DATA = ("tests/fuzz/corpus/", "tests/ledgers/")

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
COMMENT_OR_LITERAL = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)
STRING_OR_COMMENT = re.compile(
    r"""(?P<literal>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?://[^\n]*|/\*.*?\*/)""",
    re.DOTALL,
)


class Unavailable(Exception):
    """A check cannot run on this machine; the text says what is missing."""


def blank(match):
    """Replaces what was matched by spaces, so that lines and columns stay where they were."""
    return re.sub(r"[^\n]", " ", match.group(0))


def keep_literals(match):
    return match.group(0) if match.group("literal") else blank(match)


def is_regular(path):
    return os.path.isfile(path) and not os.path.islink(path)


def listed_by_git(root):
    """The files that git knows or would add; None where this is not a checkout of its own."""
    if not os.path.exists(os.path.join(root, ".git")):
        return None
    command = ["git", "-C", root, "-c", f"safe.directory={root}"]
    command += ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [name for name in listing.stdout.split("\0") if name]


def listed_by_walking(root):
    """The same for an unpacked release: everything but build folders and hidden ones."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name not in (".git", ".cache", "__pycache__")
            and not os.path.exists(os.path.join(folder, name, "build.ninja"))
        ]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in files]
    return found


class Tree:
    def __init__(self, root):
        self.root = root
        names = listed_by_git(root)
        if names is None:
            names = listed_by_walking(root)
        self.paths = sorted(name for name in set(names) if is_regular(os.path.join(root, name)))
        self._texts = {}

    def absolute(self, path):
        return os.path.join(self.root, path)

    def ending(self, *suffixes):
        """Paths of the given endings, without data files."""
        return [path for path in self.paths if path.endswith(suffixes) and not path.startswith(DATA)]

    def text(self, path):
        if path not in self._texts:
            with open(self.absolute(path), "rb") as file:
                self._texts[path] = file.read().decode("utf-8", "replace")
        return self._texts[path]

    def code(self, path):
        """C text with comments, strings and characters blanked."""
        return COMMENT_OR_LITERAL.sub(blank, self.text(path))

    def uncommented(self, path):
        """C text with comments blanked and strings kept."""
        return STRING_OR_COMMENT.sub(keep_literals, self.text(path))

    def matches(self, path, pattern, text=None):
        """Each match of a pattern in a file, with its line number."""
        text = self.code(path) if text is None else text
        for match in re.finditer(pattern, text):
            yield text.count("\n", 0, match.start()) + 1, match
