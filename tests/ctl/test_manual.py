#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ivshmemctl(1) is true: verbs and options are those of the program, and its examples do what they show."""

import os
import pathlib
import re
import subprocess
import sys

from stage import TIMEOUT, Skip, run, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "ivshmemctl.1.rst"

sys.path.insert(0, str(ROOT / "tests" / "lint"))
from docs import missing, options_defined, options_in_help  # noqa: E402  (it lives with the other pages' test)

# What takes a systemd; its examples are marked as root's, with "#".
SYSTEMD_VERBS = {"enable", "disable", "restart"}


def verbs_of(stage):
    """The program's verbs."""
    return set(re.findall(r"^  ([a-z][a-z-]*) ", stage.ctl("--help").good().out, re.MULTILINE))


def options_of(stage):
    texts = [stage.ctl("--help").good().out, *(stage.ctl(verb, "--help").good().out for verb in verbs_of(stage))]
    return set().union(*map(options_in_help, texts))


def blocks(page):
    """Literal blocks: the lines that are indented by eight below a line that ends with "::"."""
    for block in re.findall(r"::\n\n((?: {8}.*\n|\n)+)", page):
        yield [line[8:] for line in block.rstrip("\n").split("\n")]


def steps(page):
    """Commands behind "$", each with the lines that it prints. Blocks of root on a machine with systemd have none."""
    found = []
    for block in blocks(page):
        for line in block if block[0].startswith("$ ") else []:
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern_of(lines):
    """A regular expression for what an example shows."""
    text = re.escape("\n".join(lines).strip("\n"))
    return re.compile(text.replace(re.escape("..."), "(?s:.*)"))


class Shell:
    """Runs the commands of the examples as a user's shell does; one behind "&" is looked at when it has ended."""

    def __init__(self, stage):
        self._environment = stage.environment(
            PATH=f"{pathlib.Path(stage.program).parent}:{os.environ['PATH']}", IVSHMEM_SERVER=str(stage.server)
        )
        self._folder = stage.folder
        self._stage = stage
        self._background = None

    def _start(self, command):
        process = subprocess.Popen(
            ["/bin/bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._stage.callback(process.kill)
        return process

    def run(self, command):
        """What a command printed, and what the one in the background printed by then."""
        if command.endswith(" &"):
            if "monitor" not in command:  # the peer that is waited for is the new one
                until(lambda: not self._stage.json("peers", "ring"), "the peer before has left")
            self._background = self._start(command.removesuffix(" &"))
            if "monitor" in command:
                return self._background.stdout.readline()
            self._stage.wait_peer("ring")
            return ""
        process = self._start(command)
        out, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, f"$ {command}\n{out}status {process.returncode}"
        if self._background and ("open" in command or "ring ring" in command):
            out += self._background.communicate(timeout=TIMEOUT)[0]
            self._background = None
        elif self._background and "evict" in command:
            out += self._background.stdout.readline()
            self._background.kill()
            self._background = None
        return out


def body(stage, tap):
    page = PAGE.read_text()

    with tap.case("each verb is explained, and no other"):
        verbs = verbs_of(stage)
        explained = set(re.findall(r"(?m)^\*\*([a-z-]+)\*\*.*\n    ", page))
        assert not missing(verbs, explained, "not explained:"), missing(verbs, explained, "not explained:")
        assert not missing(explained, verbs, "no verb:"), missing(explained, verbs, "no verb:")

    with tap.case("each option is explained, and no other"):
        options, explained = options_of(stage), options_defined(page)
        assert not missing(options, explained, "not explained:"), missing(options, explained, "not explained:")
        assert not missing(explained, options, "no option:"), missing(explained, options, "no option:")

    with tap.case("each verb has an example"):
        shown = "\n".join(line for block in blocks(page) for line in block if line[:2] in ("$ ", "# "))
        without = [verb for verb in verbs if not re.search(rf"(?m)ivshmemctl {verb}\b", shown)]
        assert not without, without
        root = "\n".join(line for block in blocks(page) for line in block if line[:2] == "# ")
        assert set(re.findall(r"ivshmemctl ([a-z-]+)", root)) == SYSTEMD_VERBS, root

    with tap.case("the examples do what they show"):
        if os.geteuid() != 0:
            raise Skip("the examples are those of root")
        stage.start_manager()
        shell = Shell(stage)
        for command, output in steps(page):
            out = shell.run(command)
            assert pattern_of(output).fullmatch(out.strip("\n")), f"$ {command}\n{out}instead of\n" + "\n".join(output)
        stage.ctl("stop", "ring").good()


run(body)
