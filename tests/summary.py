#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Adds up the results of all builds and suites of one `./run test`. usage: summary.py RECORD

RECORD has a line for each thing that was run, its fields separated by tabs:

    step  LABEL  STATUS                      a build: one failure when it fails, and no test when it does not
    meson LABEL  STATUS BUILD-DIRECTORY LOG  a `meson test`; LOG: what its logs begin with; LOG-list.txt: --list

STATUS is an exit status. Each TAP subtest counts as one test, each other test program as one. What a program did
not say is not made up: one that crashed, ran out of time, printed no plan or a wrong one, or was never started counts
as a failed test besides those that it reported. The last line of the output is the sum, and the exit status is 0
only if something passed and nothing failed. Below each failure stands the end of what the test said of it.
"""

import json
import os
import re
import sys
import xml.etree.ElementTree
from dataclasses import dataclass, field

NO_TESTS = "No suitable tests defined."  # what meson lists then
GOOD = ("OK", "EXPECTEDFAIL", "SKIP")
SAID_MAX = 25  # lines shown of what a failed test said


@dataclass
class Tally:
    label: str
    build: bool = False
    passed: int = 0
    failures: list = field(default_factory=list)  # (text, what the test said)
    skips: list = field(default_factory=list)  # (test, reason)

    def fail(self, text, said=""):
        self.failures.append((text, said))


def lines_of(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line for line in file.read().splitlines() if line.strip()]
    except FileNotFoundError:
        return []


def short(name):
    """The name that meson.build gives, from meson's "project:suite+suite / name"."""
    return name.rpartition(" / ")[2]


def read_cases(log):
    """From the JUnit log: program -> its subtests; programs without subtests stand there under the project's name."""
    cases = {}
    try:
        root = xml.etree.ElementTree.parse(f"{log}.junit.xml").getroot()
    except (FileNotFoundError, xml.etree.ElementTree.ParseError):
        return cases
    for suite in root.iter("testsuite"):
        program = suite.get("name").partition(".")[2]
        if program:
            cases.setdefault(program, []).extend(suite.findall("testcase"))
    return cases


def read_protocols(build):
    """How each test program reports, by its name."""
    try:
        with open(os.path.join(build, "meson-info", "intro-tests.json"), encoding="utf-8") as file:
            return {test["name"]: test["protocol"] for test in json.load(file)}
    except FileNotFoundError:
        return {}


def plan_of(stdout):
    """The plan of a TAP stream: number of tests and reason to skip them all; None without a plan."""
    match = re.search(r"(?m)^1\.\.(\d+)(?:\s*#\s*skip\S*\s*(.*))?", stdout or "", re.IGNORECASE)
    return (int(match.group(1)), match.group(2)) if match else None


def number_of(case):
    """A subtest's number in its stream."""
    return (case.get("name") or "").partition(" ")[0]


def said_of(case, stdout):
    """What stands between the result of a subtest and the next one."""
    rest = re.split(rf"(?m)^not ok {re.escape(number_of(case))}\b.*\n", stdout or "", maxsplit=1)[1:]
    return re.split(r"(?m)^(?:not )?ok\b|^1\.\.\d", rest[0], maxsplit=1)[0] if rest else ""


def said_by(run):
    return (run.get("stdout") or "") + (run.get("stderr") or "")


def is_todo(case, stdout):
    """Whether a subtest is one that is expected to fail, which JUnit shows as passed."""
    number = number_of(case)
    return bool(re.search(rf"(?mi)^not ok {re.escape(number)}\b.*#\s*todo", stdout or ""))


def count_subtests(tally, name, cases, stdout):
    """Adds what a TAP program reported of its tests; returns how many of them failed."""
    failed = 0
    for case in cases:
        text = f"{name}: {case.get('name')}"
        reason = case.findtext("system-out") or "no reason given"
        if case.find("skipped") is not None:
            tally.skips.append((text, reason))
        elif case.find("failure") is not None or case.find("error") is not None:
            tally.fail(text, said_of(case, stdout))
            failed += 1
        elif is_todo(case, stdout):
            tally.skips.append((text, f"known to fail: {reason}"))
        else:
            tally.passed += 1
    return failed


def count_tap(tally, name, run, cases):
    stdout = run.get("stdout")
    plan = plan_of(stdout)
    failed = count_subtests(tally, name, cases, stdout)
    if run["result"] not in GOOD and not failed:
        tally.fail(f"{name}: {run['result']}, exit status {run['returncode']}", said_by(run))
    elif run["result"] not in GOOD and run["returncode"] not in (0, 1, failed):  # cmocka exits with its failures
        tally.fail(f"{name}: {run['result']} besides, exit status {run['returncode']}", said_by(run))
    elif plan is None or plan[0] != len(cases):
        tally.fail(f"{name}: {'no plan' if plan is None else f'{len(cases)} of {plan[0]} tests'}", said_by(run))
    elif plan[0] == 0:
        tally.skips.append((name, plan[1] or "no reason given"))


def count_program(tally, name, run):
    """A program that passes or fails as a whole."""
    if run["result"] == "SKIP":
        said = said_by(run).strip()
        tally.skips.append((name, said.splitlines()[-1] if said else "no reason given"))
    elif run["result"] in GOOD:
        tally.passed += 1
    else:
        tally.fail(f"{name}: {run['result']}, exit status {run['returncode']}", said_by(run))


def count_meson(label, status, build, log):
    tally = Tally(label)
    cases = read_cases(log)
    protocols = read_protocols(build)
    runs = {}
    for line in lines_of(f"{log}.json"):
        run = json.loads(line)
        runs[run["name"]] = run

    for name, run in runs.items():
        if protocols.get(short(name)) == "tap":
            count_tap(tally, short(name), run, cases.get(name, []))
        else:
            count_program(tally, short(name), run)
    for name in lines_of(f"{log}-list.txt"):
        if name == NO_TESTS:
            tally.fail("there is no such test")
        elif name not in runs:
            tally.fail(f"{short(name)}: never ran")
    if int(status) and not tally.failures:
        tally.fail(f"meson test ended with status {status}")
    return tally


def count_step(label, status):
    tally = Tally(label, build=True)
    if int(status):
        tally.fail(f"ended with status {status}")
    return tally


def read_record(path):
    kinds = {"step": count_step, "meson": count_meson}
    return [kinds[kind](*fields) for kind, *fields in (line.split("\t") for line in lines_of(path))]


def print_reasons(tallies):
    """Failures one by one; skips by reason, for one reason tends to have many tests."""
    for tally in tallies:
        for failure, said in tally.failures:
            print(f"FAILED   {tally.label}: {failure}")
            for line in [line for line in said.splitlines() if line.strip()][-SAID_MAX:]:
                print(f"         {line}")
    reasons = {}
    for tally in tallies:
        for test, reason in tally.skips:
            reasons.setdefault(reason, []).append(f"{tally.label}: {test}")
    for reason, tests in reasons.items():
        more = f" and {len(tests) - 3} more" if len(tests) > 3 else ""
        print(f"skipped  {', '.join(tests[:3])}{more}: {reason}")


def main(record):
    tallies = read_record(record)
    width = max((len(tally.label) for tally in tallies), default=0)
    print()
    for tally in tallies:
        if tally.build:
            print(f"{tally.label:{width}} {'FAILED' if tally.failures else 'done'}")
            continue
        skipped = f"{len(tally.skips):4} skipped" if tally.skips else ""
        print(f"{tally.label:{width}} {tally.passed:5} passed {len(tally.failures):4} failed {skipped}".rstrip())
    print()
    print_reasons(tallies)

    passed = sum(tally.passed for tally in tallies)
    failed = sum(len(tally.failures) for tally in tallies)
    skipped = sum(len(tally.skips) for tally in tallies)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
