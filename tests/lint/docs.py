#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the manual pages against the program: each option, key and record is in them, and each of theirs exists.

usage: docs.py DOCS-DIRECTORY SERVER KEYS [CONFIG-KEYS]   (KEYS: a program that prints "Section.Key default")

In a page, an option or key is defined by a line in the first column that begins with it, with its text indented below:

    -l SIZE, --size SIZE          or ``-l``, **-l**
        The size of the memory.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

SERVER_PAGE = "ivshmem-server.8.rst"
DEFINITION_PAGE = "ivshmem.domain.5.rst"
PROTOCOL_PAGE = "ivshmem-protocol.7.rst"
CONTROL_PAGE = "ivshmem-control.7.rst"
PAGES = (SERVER_PAGE, DEFINITION_PAGE, PROTOCOL_PAGE, CONTROL_PAGE)

CONTROL_SOURCE = "../service/core/control"
CONFIG_PAGE = "ivshmemd.conf.5.rst"

MARKUP = re.compile(r"[*`]+")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]*|-[A-Za-z])(?![\w-])")


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def options_in_help(text):
    """What --help lists: each line that begins with spaces and an option."""
    found = set()
    for line in text.splitlines():
        match = re.match(r"\s+(-[A-Za-z])?(?:, |\s+)?(--[a-z][a-z0-9-]*)?(?![\w-])", line)
        if match:
            found.update(option for option in match.groups() if option)
    return found


def lines_and_next(page):
    lines = page.splitlines()
    return zip(lines, lines[1:] + [""])


def is_title(line, below):
    return bool(line.strip()) and re.fullmatch(r"([=\-~^\"'#*+])\1{2,}", below.strip()) is not None


def is_definition(line, below):
    """A line in the first column with an indented text below it, or two spaces beside it."""
    return bool(line[:1].strip()) and bool(re.match(r"\s+\S", below) or re.match(r"-\S.*\s{2,}\S", line))


def options_defined(page):
    """Options that the page explains."""
    found = set()
    for line, below in lines_and_next(page):
        plain = MARKUP.sub("", line)
        if plain.startswith("-") and is_definition(line, below):
            found.update(OPTION.findall(re.split(r"\s{2,}", plain)[0]))
    return found


def keys_defined(page):
    """Section.Key -> its text, for each key that the page explains; the section is the one in the title above."""
    section = None
    names = []
    found = {}
    for line, below in lines_and_next(page):
        plain = MARKUP.sub("", line)
        if is_title(line, below):
            title = re.search(r"\[(\w+)[^]]*\]", plain)
            section = title.group(1).capitalize() if title else section
        elif is_definition(line, below):
            names = [f"{section}.{key}" for key in re.findall(r"(?:^|, *)([A-Z][A-Za-z0-9]*)=", plain)]
            found.update((name, plain) for name in names)
        elif plain[:1].strip():
            names = []
        else:
            found.update((name, f"{found[name]} {plain.strip()}") for name in names)
    return found


def defaults_missing(defaults, texts, page=DEFINITION_PAGE):
    """Keys whose text does not name their default."""
    for key, default in sorted(defaults.items()):
        if default and key in texts and not re.search(rf"(?<!\w){re.escape(default)}(?!\w)", texts[key]):
            yield f"{page} does not say that {key} is {default} by default"


def records_in_source(header, source):
    """"NUMBER NAME" for each kind and each result of the control link, by the order of the enums and the tables of names."""
    names = dict(re.findall(r'\[(CONTROL_\w+)\] = "([^"]+)"', source))
    for enum in re.findall(r"typedef enum Control\w+ \{(.*?)\}", header, re.DOTALL):
        for number, constant in enumerate(re.findall(r"^\s+(CONTROL_\w+),", enum, re.MULTILINE)):
            yield f"{number} {names.get(constant)}"


def records_explained(page):
    return {f"{number} {name}" for number, name in re.findall(r"^(\d+) \*([^*]+)\*\n    ", page, re.MULTILINE)}


def gaps_between_fields(page, size):
    """Fields of the control link that do not begin where the one before ends."""
    end = 0
    for place, length, name in re.findall(r"^ {8} *(\d+) +(\d+)  (\S.*?)(?:  .*)?$", page, re.MULTILINE):
        if int(place) != end:
            yield f"{CONTROL_PAGE}: {name} is not at {end}"
        end = int(place) + int(length)
    if not 0 < end <= size or f"record of {size} bytes" not in page:
        yield f"{CONTROL_PAGE}: the fields have {end} bytes of {size}, or the page does not name the size"


def missing(wanted, present, text):
    return [f"{text} {item}" for item in sorted(set(wanted) - set(present))]


def keys_printed(program):
    """Section.Key -> default."""
    lines = [line for line in output_of(program).splitlines() if not line.startswith("[")]
    return {line.split(" ")[0]: line.partition(" ")[2] for line in lines}


def check_config(tap, page, program):
    """The manual of the configuration: sections, keys and defaults."""
    keys, explained = keys_printed(program), keys_defined(page)
    sections = [line for line in output_of(program).splitlines() if line.startswith("[")]
    tap.result("each section of the configuration is explained", [f"no {name}" for name in sections if name not in page])
    tap.result(
        "each key of the configuration is explained, and no other",
        missing(keys, explained, f"{CONFIG_PAGE} does not explain") + missing(explained, keys, "there is no"),
    )
    tap.result("each default of the configuration is named", defaults_missing(keys, explained, CONFIG_PAGE))


def stray_output(*command, **environment):
    """What a command says or how it failed; nothing when it is content."""
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    problems = [line for line in result.stderr.splitlines() if line.strip()]
    if result.returncode and not problems:
        problems = [f"{command[0]} ended with {result.returncode}"]
    return problems, result.stdout


def rst_problems(path):
    """Errors of rst2man and of man with one page."""
    converter = shutil.which("rst2man") or shutil.which("rst2man.py")
    if not converter:
        return ["rst2man (python3-docutils) is not installed"]
    problems, roff = stray_output(converter, "--halt=2", "--report=2", path)
    if problems:
        return problems
    with tempfile.TemporaryDirectory(prefix="docs.") as folder:
        page = os.path.join(folder, os.path.basename(path).removesuffix(".rst"))
        with open(page, "w", encoding="utf-8") as file:
            file.write(roff)
        command = ("man", "--warnings=w", "-E", "UTF-8", "-Tutf8", "-Z", "-l", page)
        problems, _ = stray_output(*command, LC_ALL="C.UTF-8", MANWIDTH="100")
    return problems


def read(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main(folder, server, keys_program, config_program=None):
    options = options_in_help(output_of(server, "--help"))
    explained_options = options_defined(read(folder, SERVER_PAGE))
    keys = keys_printed(keys_program)
    explained_keys = keys_defined(read(folder, DEFINITION_PAGE))
    pages = sorted(glob.glob(os.path.join(folder, "*.[1-8].rst")))

    control_page = read(folder, CONTROL_PAGE)
    control_header = read(folder, f"{CONTROL_SOURCE}.h")
    records = set(records_in_source(control_header, read(folder, f"{CONTROL_SOURCE}.c")))
    record_size = int(re.search(r"#define CONTROL_RECORD_SIZE (\d+)U", control_header).group(1))

    tap = Tap(10 + (3 if config_program else 0) + len(pages))
    tap.result("the manual pages are there", [f"no {page}" for page in PAGES if not read(folder, page)])
    tap.result("the program names options and keys", [] if options and keys else [f"{options} {keys}"])
    tap.result("each option is explained", missing(options, explained_options, f"{SERVER_PAGE} does not explain"))
    tap.result("each explained option exists", missing(explained_options, options, "--help does not list"))
    tap.result("each key is explained", missing(keys, explained_keys, f"{DEFINITION_PAGE} does not explain"))
    tap.result("each explained key exists", missing(explained_keys, keys, "no definition can have"))
    tap.result("each default is named", defaults_missing(keys, explained_keys))
    tap.result(
        "each record of the control link is explained",
        missing(records, records_explained(control_page), f"{CONTROL_PAGE} does not explain"),
    )
    tap.result(
        "each explained record exists", missing(records_explained(control_page), records, "the control link has no")
    )
    tap.result("fields of records follow each other", list(gaps_between_fields(control_page, record_size)))
    if config_program:
        check_config(tap, read(folder, CONFIG_PAGE), config_program)
    for path in pages:
        tap.result(f"{os.path.basename(path)} renders without warnings", rst_problems(path))
    return tap.exit_status()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
