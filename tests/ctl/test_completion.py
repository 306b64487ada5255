#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bash completion of ivshmemctl, asked as bash asks it."""

import pathlib
import subprocess

from stage import run

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "client" / "ctl" / "completion" / "ivshmemctl"

# What readline does on a tab: the words up to the cursor, and the answer in COMPREPLY.
ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_ivshmemctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(stage, *words, **environment):
    """What the last one of the words can become."""
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", str(SCRIPT), stage.program, *words],
        capture_output=True,
        text=True,
        check=True,
        env=stage.environment(**environment),
    )
    assert done.stderr == "", done.stderr
    return [line for line in done.stdout.splitlines() if line]


def body(stage, tap):
    directory = stage.start_manager()
    for name in ("ring", "router", "other"):
        stage.ctl("create", name, "--size=1M").good()
    stage.ctl("reserve", "ring", "fw", 3, "--user=root").good()
    stage.ctl("start", "ring").good()

    with tap.case("verbs"):
        assert complete(stage, "st") == ["status", "start", "stop"]
        assert complete(stage, "help", "st") == ["status", "start", "stop"]
        assert len(complete(stage, "")) == 26

    with tap.case("options of all, and of the verb"):
        assert complete(stage, "--no-p") == ["--no-pager"]
        assert complete(stage, "create", "x", "--si") == ["--size"]
        assert complete(stage, "list", "--si") == []
        assert "--machine" in complete(stage, "reserve", "ring", "--")

    with tap.case("domains, by what can be done with them"):
        assert complete(stage, "start", "") == ["other", "router"]
        assert complete(stage, "stop", "") == ["ring"]
        assert complete(stage, "show", "r") == ["ring", "router"]
        assert complete(stage, "create", "") == []

    with tap.case("values of options"):
        assert complete(stage, "list", "--state", "=", "r") == ["running"]
        assert complete(stage, "create", "x", "--hugepages", "=") == ["2M", "1G", "no"]
        assert complete(stage, "create", "x", "--topology", "s") == ["star"]
        assert complete(stage, "show", "ring", "-p", "Vec") == ["Vectors"]
        assert "root" in complete(stage, "create", "x", "--user", "=", "roo")

    with tap.case("peers and reservations"):
        peer = stage.start("open", "ring", "wait 0")
        assert peer.poll() is None
        number = stage.wait_peer("ring")
        assert complete(stage, "ring", "ring", "") == [str(number)]
        assert complete(stage, "evict", "ring", "") == [str(number)]
        assert complete(stage, "release", "ring", "") == ["fw"]

    with tap.case("the manager that the line names is asked"):
        line = ["--directory", "=", str(directory), "start", "ro"]
        assert complete(stage, *line, IVSHMEM_DIRECTORY="/nowhere") == ["router"]
        assert complete(stage, "--directory", str(directory), "start", "ro", IVSHMEM_DIRECTORY="/nowhere") == ["router"]
        assert complete(stage, "start", "ro", IVSHMEM_DIRECTORY="/nowhere") == []

    with tap.case("files"):
        (stage.folder / "one.domain").write_text("")
        assert complete(stage, "check", f"{stage.folder}/on") == [f"{stage.folder}/one.domain"]
        assert complete(stage, "create", "x", "--from", "=", f"{stage.folder}/on") == [f"{stage.folder}/one.domain"]

    with tap.case("bash is told for which command"):
        done = subprocess.run(
            ["bash", "--norc", "-c", 'source "$1"; complete -p ivshmemctl', "bash", str(SCRIPT)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "complete -F _ivshmemctl ivshmemctl\n", done.stdout


run(body)
