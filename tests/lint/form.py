# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks of the form of single files: headers, lengths, forbidden calls, formatting."""

import json
import re
import shutil
import subprocess

from tree import Unavailable

LICENCE = "SPDX-License-Identifier: LGPL-2.1-or-later"
LICENSED = (".c", ".h", ".py", ".sh", ".rst", ".service", ".socket", ".slice", ".conf", ".rules", ".supp", ".yml")
LICENSED_NAMES = ("meson.build", "meson_options.txt", "meson.options", "run", ".clang-format")
COMMENT_STARTS = ("/*", "*", "//", "<!--", "#", '"""', "'''", "..", " ", "\t")

FILE_MAX = 600
FUNCTION_MAX = 80
FUNCTION_P90 = 45
HEADER_BODY_MAX = 3

# Name: what to use instead.
FORBIDDEN = {
    "alloca": "talloc",
    "asctime": "strftime",
    "atof": "a parser that reports errors",
    "atoi": "a parser that reports errors",
    "atol": "a parser that reports errors",
    "atoll": "a parser that reports errors",
    "bcopy": "memmove",
    "bzero": "memset",
    "ctime": "strftime",
    "gets": "getline",
    "gmtime": "gmtime_r",
    "localtime": "localtime_r",
    "mktemp": "mkstemp",
    "popen": "posix_spawn",
    "rand": "getrandom",
    "signal": "sigaction or signalfd",
    "sprintf": "snprintf or talloc_asprintf",
    "srand": "getrandom",
    "strcat": "talloc_asprintf",
    "strcpy": "memcpy with a checked length",
    "strncat": "talloc_asprintf",
    "strncpy": "memcpy with a checked length",
    "strtok": "strtok_r or strsep",
    "system": "posix_spawn",
    "talloc_autofree_context": "a root of main's own",
    "talloc_reference": "one owner",
    "tempnam": "mkstemp",
    "tmpnam": "mkstemp",
    "vfork": "posix_spawn",
    "vsprintf": "vsnprintf",
}

# Folders of the machines on which this was written mean nothing to anybody else. Put together from pieces, so that
# this file passes its own check.
STRAY_PATHS = r"(?<![\w.-])/" + "work" + r"(?:/|\b)|/tmp/" + r"wt\b|/home/" + r"\w+/|shared/" + "design"


def named(path, names):
    return path.rpartition("/")[2] in names


def check_licence(tree):
    """First line (second after #!): the licence. Then a comment on what the file is for."""
    for path in tree.paths:
        if path not in tree.ending(*LICENSED) and not named(path, LICENSED_NAMES):
            continue
        lines = tree.text(path).split("\n")
        if lines[0].startswith("#!"):
            lines.pop(0)
        if LICENCE not in lines[0]:
            yield f"{path}:1: does not begin with {LICENCE}"
        elif path.endswith(".rst"):
            continue  # its title says what it is for
        elif not any(re.search(r"\w{2}", line) for line in leading_comment(lines[1:])):
            yield f"{path}:2: no comment says what this file is for"


def leading_comment(lines):
    """The lines of the first comment, blank ones before it skipped."""
    lines = [line for line in lines[:20] if line.strip()]
    for line in lines:
        if not line.startswith(COMMENT_STARTS) or line.startswith(("#include", "#pragma", "#define")):
            return
        yield line


def check_pragma_once(tree):
    for path in tree.ending(".h"):
        if not re.search(r"(?m)^#pragma once$", tree.code(path)):
            yield f"{path}:1: no #pragma once"


def check_file_length(tree):
    for path in tree.ending(".c"):
        length = tree.text(path).count("\n")
        if length >= FILE_MAX:
            yield f"{path}:{length}: {length} lines; a file has less than {FILE_MAX}"


def functions(tree, suffixes):
    """Each function of the tree: path, name, first line, last line."""
    paths = tree.ending(*suffixes)
    if not paths:
        return []
    if not shutil.which("ctags"):
        raise Unavailable("universal-ctags is not installed")
    command = ["ctags", "--output-format=json", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f", "--fields=+ne"]
    result = subprocess.run(
        command + ["-f", "-", "-L", "-"],
        cwd=tree.root,
        input="\n".join(paths),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise Unavailable(f"this ctags is not universal-ctags: {result.stderr.strip()}")
    tags = [json.loads(line) for line in result.stdout.splitlines()]
    return [(tag["path"], tag["name"], tag["line"], tag["end"]) for tag in tags if "end" in tag]


def check_function_length(tree):
    for path, name, begin, end in functions(tree, (".c",)):
        if end - begin + 1 > FUNCTION_MAX:
            yield f"{path}:{begin}: {name}() has {end - begin + 1} lines, at most {FUNCTION_MAX}"


def check_function_length_p90(tree):
    """Nine of ten functions of what ships are short."""
    shipped = [row for row in functions(tree, (".c",)) if not row[0].startswith("tests/")]
    lengths = sorted(end - begin + 1 for _, _, begin, end in shipped)
    if lengths and lengths[len(lengths) * 9 // 10] >= FUNCTION_P90:
        p90 = lengths[len(lengths) * 9 // 10]
        yield f"of {len(lengths)} functions a tenth has {p90} lines or more, not under {FUNCTION_P90}"


def check_header_bodies(tree):
    for path, name, begin, end in functions(tree, (".h",)):
        body = len([line for line in tree.text(path).split("\n")[begin : end - 1] if line.strip()])
        if body > HEADER_BODY_MAX:
            yield f"{path}:{begin}: {name}() has {body} lines in a header, at most {HEADER_BODY_MAX}"


def check_forbidden_functions(tree):
    for path in tree.ending(".c", ".h"):
        for line, match in tree.matches(path, r"(?<![\w.>])(" + "|".join(FORBIDDEN) + r")\s*\("):
            yield f"{path}:{line}: {match.group(1)}(): use {FORBIDDEN[match.group(1)]}"


def check_sleeps(tree):
    """A test waits for an event, not for a time."""
    for path in tree.ending(".c", ".h"):
        if path.startswith("tests/"):
            for line, match in tree.matches(path, r"(?<![\w.>])(sleep|usleep|nanosleep|clock_nanosleep)\s*\("):
                yield f"{path}:{line}: {match.group(1)}() in a test: wait for the event"


def check_goto(tree):
    """goto goes forward only. Functions begin and end in the first column, as the formatting has it."""
    for path in tree.ending(".c", ".h"):
        labels = {}
        for number, line in enumerate(tree.code(path).split("\n"), 1):
            if line.startswith("}"):
                labels = {}
            label = re.match(r"\s*(\w+)\s*:(?!:)\s*$", line)
            if label and label.group(1) != "default":
                labels[label.group(1)] = number
            for target in re.findall(r"\bgoto\s+(\w+)", line):
                if target in labels:
                    yield f"{path}:{number}: goto {target} goes back to line {labels[target]}"


def check_stray_paths(tree):
    for path in tree.paths:
        for line, match in tree.matches(path, STRAY_PATHS, tree.text(path)):
            yield f"{path}:{line}: {match.group(0)} exists on the author's machine only"


def clang_format():
    """The version that the form was decided with; others differ in details."""
    for command in ("clang-format-14", "clang-format"):
        if shutil.which(command):
            version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
            if " 14." in version:
                return command
    raise Unavailable("clang-format 14 is not installed")


def check_formatting(tree):
    paths = tree.ending(".c", ".h")
    if not paths:
        return
    command = [clang_format(), "--style=file", "--dry-run", "-Werror", *paths]
    result = subprocess.run(command, cwd=tree.root, capture_output=True, text=True, check=False)
    lines = {}
    for match in re.finditer(r"(?m)^(\S+?):(\d+):\d+: error:", result.stderr):
        lines.setdefault(match.group(1), match.group(2))
    for path, line in lines.items():
        yield f"{path}:{line}: not formatted (clang-format-14 -i {path})"
    if result.returncode and not lines:
        yield result.stderr.strip()
