# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs test cases one after the other and reports them in the Test Anything Protocol.

A case is a `with` block; what it raises is its failure. A case that cannot be tried here raises Skip with the reason.
"""

import contextlib
import time
import traceback


class Skip(Exception):
    """This cannot be tried on this machine; the text says why."""


class Tap:
    """Prints a line for each case as it ends, and the plan at the end."""

    def __init__(self):
        self._count = 0
        self.failures = 0

    def comment(self, text):
        for line in text.rstrip().splitlines():
            print(f"# {line}", flush=True)

    def _report(self, passed, name, remark=""):
        self._count += 1
        self.failures += not passed
        print(f"{'ok' if passed else 'not ok'} {self._count} - {name}{remark}", flush=True)

    @contextlib.contextmanager
    def case(self, name):
        begin = time.monotonic()
        try:
            yield
        except Skip as skip:
            self._report(True, name, f" # SKIP {skip}")
        except Exception:  # whatever goes wrong in a case is the failure of this case, and the next is tried
            self._report(False, name)
            self.comment(traceback.format_exc())
        else:
            self._report(True, name)
            self.comment(f"{time.monotonic() - begin:.1f} s")

    def finish(self, error=None):
        """Prints the plan. The error is what ended the run outside of any case, where there was one."""
        if isinstance(error, Skip) and self._count == 0:
            print(f"1..0 # SKIP {error}", flush=True)
            return
        if error is not None:
            self._report(False, "between the cases")
            self.comment("".join(traceback.format_exception(error)))
        print(f"1..{self._count}", flush=True)
