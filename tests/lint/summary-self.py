#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Proves that the sum of `./run test` is true: tests/summary.py against meson's logs of tests that fail in every way.

usage: summary-self.py SUMMARY
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tap import Tap

# Name: how it reports, what it prints and does, and passed, failed, skipped as they have to be counted.
PROGRAMS = {
    "good": ("tap", r"printf '1..2\nok 1 - a\nok 2 - b\n'", (2, 0, 0)),
    "skips-one": ("tap", r"printf '1..2\nok 1 - a\nok 2 - b # SKIP no kvm\n'", (1, 0, 1)),
    "skips-all": ("tap", r"printf '1..0 # SKIP no huge pages\n'", (0, 0, 1)),
    "known-to-fail": ("tap", r"printf '1..2\nok 1 - a\nnot ok 2 - b # TODO later\n'", (1, 0, 1)),
    "fails": ("tap", r"printf '1..3\nok 1 - a\nnot ok 2 - b\n# a reason\nok 3 - c\n# fine\n'; exit 1", (2, 1, 0)),
    "fails-like-cmocka": ("tap", r"printf '1..2\nnot ok 1 - a\nnot ok 2 - b\n'; exit 2", (0, 2, 0)),
    "fails-and-crashes": ("tap", r"printf '1..2\nnot ok 1 - a\n'; kill -SEGV $$", (0, 2, 0)),
    "crashes": ("tap", r"printf '1..2\nok 1 - a\n'; kill -SEGV $$", (1, 1, 0)),
    "stops-early": ("tap", r"printf '1..2\nok 1 - a\n'", (1, 1, 0)),
    "says-too-much": ("tap", r"printf '1..1\nok 1 - a\nok 2 - b\n'", (2, 1, 0)),
    "has-no-plan": ("tap", r"printf 'ok 1 - a\n'", (1, 1, 0)),
    "says-nothing": ("tap", "true", (0, 1, 0)),
    "bails-out": ("tap", "echo Bail out! broken", (0, 1, 0)),
    "passes-with-an-error": ("tap", r"printf '1..1\nok 1 - a\n'; exit 99", (1, 1, 0)),
    "hangs": ("tap", r"printf '1..2\nok 1 - a\n'; exec sleep 60", (1, 1, 0)),
    "plain-passes": ("exitcode", "true", (1, 0, 0)),
    "plain-fails": ("exitcode", "echo a reason >&2; false", (0, 1, 0)),
    "plain-skips": ("exitcode", "echo no cgroups; exit 77", (0, 0, 1)),
    "plain-is-killed": ("exitcode", "kill -KILL $$", (0, 1, 0)),
}


def write_project(folder):
    lines = ["project('sample')", "shell = find_program('sh')"]
    for name, (protocol, script, _) in PROGRAMS.items():
        options = f"protocol : '{protocol}', suite : ['some', '{name}'], timeout : {1 if name == 'hangs' else 30}"
        Path(folder, name).write_text(script, encoding="utf-8")
        lines.append(f"test('{name}', shell, args : [files('{name}')], {options})")
    Path(folder, "meson.build").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_meson(folder):
    """Runs all tests as ./run does; returns the line of the record."""
    arguments = ["meson", "test", "-C", f"{folder}/build", "--no-rebuild"]
    listing = subprocess.run([*arguments, "--list"], capture_output=True, text=True, check=True).stdout
    log = f"{folder}/build/meson-logs/all"
    Path(f"{log}-list.txt").write_text(listing, encoding="utf-8")
    status = subprocess.run([*arguments, "--logbase", "all"], capture_output=True, check=False).returncode
    return f"meson\tall\t{status}\t{folder}/build\t{log}\n"


def only(folder, name):
    """The record as if one program alone had run."""
    logs = Path(folder, "build", "meson-logs")
    for suffix in (".json", "-list.txt"):
        lines = (logs / f"all{suffix}").read_text(encoding="utf-8").splitlines(keepends=True)
        (logs / f"{name}{suffix}").write_text("".join(line for line in lines if is_of(line, name)), encoding="utf-8")
    shutil.copy(logs / "all.junit.xml", logs / f"{name}.junit.xml")
    return f"meson\t{name}\t0\t{folder}/build\t{logs}/{name}\n"


def is_of(line, name):
    return line.rstrip().endswith(f" / {name}") or f' / {name}"' in line


def summarize(summary, folder, record):
    """The lines that it prints, and its exit status."""
    path = Path(folder, "record")
    path.write_text(record, encoding="utf-8")
    result = subprocess.run([sys.executable, summary, path], capture_output=True, text=True, check=False)
    return result.stdout.splitlines() or [""], result.returncode


def last_line(passed, failed, skipped):
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def main(summary):
    tap = Tap(len(PROGRAMS) + 10)
    with tempfile.TemporaryDirectory(prefix="summary-self.") as folder:
        write_project(folder)
        subprocess.run(["meson", "setup", f"{folder}/build", folder], capture_output=True, check=True)
        everything = run_meson(folder)

        def expect(name, record, counts):
            wanted = (last_line(*counts), 0 if counts[0] and not counts[1] else 1)
            lines, status = summarize(summary, folder, record)
            found = (lines[-1], status)
            tap.result(name, [] if found == wanted else [f"wanted {wanted}, got {found}"])

        for name, (_, _, counts) in PROGRAMS.items():
            expect(name, only(folder, name), counts)
        total = tuple(map(sum, zip(*(counts for _, _, counts in PROGRAMS.values()))))
        expect("all at once", everything, total)
        expect("two builds", everything + only(folder, "good"), (total[0] + 2, *total[1:]))
        expect("a build that fails", "step\tbuild\t1\nstep\tother\t0\n", (0, 1, 0))
        expect("nothing but builds", "step\tbuild\t0\n", (0, 0, 0))
        expect("nothing ran", "", (0, 0, 0))
        expect("meson fails", only(folder, "good").replace("\t0\t", "\t2\t"), (2, 1, 0))

        def expect_said(name, program, wanted):
            lines, _ = summarize(summary, folder, only(folder, program))
            begin = next((i for i, line in enumerate(lines) if line.startswith("FAILED ")), len(lines))
            said = [line.strip() for line in lines[begin + 1 : -1]]
            tap.result(name, [] if said == wanted else [f"wanted {wanted}, got {said}"])

        expect_said("what a failed subtest said", "fails", ["# a reason"])
        expect_said("what a program that failed said", "plain-fails", ["a reason"])

        record = only(folder, "good")
        with open(f"{folder}/build/meson-logs/good-list.txt", "a", encoding="utf-8") as file:
            file.write("sample:some+plain-passes / plain-passes\n")
        expect("a test that never ran", record, (2, 1, 0))
        os.unlink(f"{folder}/build/meson-logs/good.json")
        expect("a lost log", record, (0, 2, 0))
    return tap.exit_status()


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
