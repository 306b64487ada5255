# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints test results as meson reads them (TAP): a plan first, then one line for each test."""


def diagnose(text):
    for line in text.splitlines():
        print(f"#   {line}")


class Tap:
    def __init__(self, planned):
        self.number = 0
        self.failures = 0
        print(f"1..{planned}", flush=True)

    def result(self, name, problems=(), skip=None):
        """One test: failed when there are problems, which are printed below it."""
        self.number += 1
        problems = list(problems)
        self.failures += bool(problems)
        verdict = "not ok" if problems else "ok"
        print(f"{verdict} {self.number} - {name.replace('#', '')}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        for problem in problems:
            diagnose(problem)

    def exit_status(self):
        return 1 if self.failures else 0
